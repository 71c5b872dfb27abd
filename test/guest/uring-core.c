// io_uring: making rings, entering them, reading, writing, links, drains, overflow, what is registered.
#pragma GCC diagnostic ignored "-Wunused-result"
#include "uring.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/uio.h>

static void try_setup(const char *what, unsigned n, unsigned flags, unsigned cq) {
  struct io_uring_params p = {.flags = flags, .cq_entries = cq};
  int fd = uring_setup(n, &p);
  if (fd < 0) say("%s: %s", what, strerrorname_np(errno));
  else say("%s: sq %u cq %u array %d", what, p.sq_entries, p.cq_entries, p.sq_off.array > 0);
  if (fd >= 0) close(fd);
}

static void setups(void) {
  try_setup("one", 1, 0, 0);
  try_setup("five", 5, 0, 0);
  try_setup("none", 0, 0, 0);
  try_setup("most", 32768, 0, 0);
  try_setup("too many", 32769, 0, 0);
  try_setup("too many, clamped", 40000, IORING_SETUP_CLAMP, 0);
  try_setup("own cq", 4, IORING_SETUP_CQSIZE, 33);
  try_setup("cq of none", 4, IORING_SETUP_CQSIZE, 0);
  try_setup("cq less than sq", 8, IORING_SETUP_CQSIZE, 4);
  try_setup("cq too large", 8, IORING_SETUP_CQSIZE, 65537);
  try_setup("cq clamped", 8, IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP, 100000);
  try_setup("affinity without polling", 8, IORING_SETUP_SQ_AFF, 0);
  try_setup("deferred without single", 8, IORING_SETUP_DEFER_TASKRUN, 0);
  try_setup("deferred", 8, IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SINGLE_ISSUER, 0);
  try_setup("taskrun flag alone", 8, IORING_SETUP_TASKRUN_FLAG, 0);
  try_setup("taskrun flag", 8, IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_COOP_TASKRUN, 0);
  try_setup("large entries", 8, IORING_SETUP_SQE128 | IORING_SETUP_CQE32, 0);
  try_setup("no array", 8, 1u << 16, 0);
  try_setup("unknown flag", 8, 1u << 31, 0);
  try_setup("attach to nothing", 8, IORING_SETUP_ATTACH_WQ, 0);
  struct io_uring_params p = {.resv = {0, 1, 0}};
  ret("reserved", uring_setup(4, &p));
  ret("bad pointer", uring_setup(4, BAD_PTR));
  memset(&p, 0, sizeof p);
  int fd = uring_setup(8, &p), flags = fcntl(fd, F_GETFL);
  is("close on exec", fcntl(fd, F_GETFD) == FD_CLOEXEC);
  is("read and write", (flags & O_ACCMODE) == O_RDWR);
  unsigned need = IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_RW_CUR_POS | IORING_FEAT_EXT_ARG | IORING_FEAT_FAST_POLL;
  is("features", (p.features & need) == need);
  char link[64], buf[64] = "";
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  readlink(link, buf, sizeof buf - 1);
  say("name %s", buf);
  ret("read", read(fd, buf, 8));
  ret("write", write(fd, buf, 8));
  ret("lseek", lseek(fd, 0, SEEK_SET));
  ok("map beyond", (long)mmap(NULL, 1 << 20, PROT_READ, MAP_SHARED, fd, 0));
  ok("map elsewhere", (long)mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0x20000000));
  close(fd);
}

static void enters(void) {
  struct ring r = {0};
  ring_open(&r, 4);
  struct timespec none = {0, 1};
  struct io_uring_getevents_arg arg = {.ts = (uint64_t)&none};
  ret("unknown flag", uring_enter(r.fd, 0, 0, 1u << 30, NULL, 0));
  ret("no descriptor", uring_enter(-1, 0, 0, 0, NULL, 0));
  ret("no ring", uring_enter(0, 0, 0, 0, NULL, 0));
  ret("nothing", uring_enter(r.fd, 0, 0, 0, NULL, 0));
  ret("submit of nothing", uring_enter(r.fd, 3, 0, 0, NULL, 0));
  ret("wait for none", uring_enter(r.fd, 0, 0, IORING_ENTER_GETEVENTS, NULL, 0));
  ret("time is up", uring_enter(r.fd, 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &arg, sizeof arg));
  ret("bad size", uring_enter(r.fd, 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &arg, 8));
  ret("bad argument", uring_enter(r.fd, 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, BAD_PTR, sizeof arg));
  arg.ts = 0x10;
  ret("bad time", uring_enter(r.fd, 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &arg, sizeof arg));
  sqe_at(&r, IORING_OP_NOP, -1, NULL, 0, 0, 1);
  ring_one(&r, "nop");
  sqe_at(&r, 200, -1, NULL, 0, 0, 2);
  ring_one(&r, "unknown operation");
  sqe_at(&r, IORING_OP_NOP, -1, NULL, 0, 0, 3)->flags = 0x80;
  ring_one(&r, "unknown flag of an entry");
  sqe_at(&r, IORING_OP_NOP, -1, NULL, 0, 0, 4)->personality = 7;
  ring_one(&r, "unknown personality");
  sqe_at(&r, IORING_OP_NOP, -1, NULL, 0, 0, 5)->ioprio = 7;
  ring_one(&r, "priority of a nop");
  for (int i = 0; i < 4; i++) sqe_at(&r, i == 1 ? 200 : IORING_OP_NOP, -1, NULL, 0, 0, 10 + i);
  ret("one of four is bad", ring_enter(&r, 0));
  ring_show(&r);
  ret("the rest", ring_enter(&r, 0));
  ring_show(&r);
  sqe_at(&r, IORING_OP_NOP, -1, NULL, 0, 0, 20);
  sqe_at(&r, IORING_OP_NOP, -1, NULL, 0, 0, 21);
  r.sq_array[(*r.sq_tail - 2) & *r.sq_mask] = 77;
  ret("index beyond", ring_enter(&r, 0));
  say("  dropped %u", *r.sq_dropped);
  ring_show(&r);
  ret("behind it", ring_enter(&r, 0));
  ring_show(&r);
  ring_close(&r);
  r = (struct ring){.p.flags = IORING_SETUP_SUBMIT_ALL};
  ring_open(&r, 4);
  for (int i = 0; i < 4; i++) sqe_at(&r, i == 1 ? 200 : IORING_OP_NOP, -1, NULL, 0, 0, 10 + i);
  ret("all are submitted", ring_enter(&r, 0));
  ring_show(&r);
  ring_close(&r);
  r = (struct ring){.p.flags = IORING_SETUP_R_DISABLED};
  ring_open(&r, 4);
  ret("disabled", ring_enter(&r, 0));
  ret("enable", uring_register(r.fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0));
  ret("enable again", uring_register(r.fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0));
  sqe_at(&r, IORING_OP_NOP, -1, NULL, 0, 0, 1);
  ring_one(&r, "enabled");
  ring_close(&r);
  r = (struct ring){.p.flags = IORING_SETUP_SQE128 | IORING_SETUP_CQE32 | 1u << 16};
  ring_open(&r, 4);
  for (int i = 0; i < 7; i++) {
    sqe_at(&r, IORING_OP_NOP, -1, NULL, 0, 0, i);
    if (i % 3 == 2) ring_one(&r, "large entries");
  }
  ring_one(&r, "large entries");
  ring_close(&r);
}

static void transfers(void) {
  struct ring r = {0};
  char buf[64] = "", text[] = "hello, world";
  int f = open("uring", O_RDWR | O_CREAT | O_TRUNC, 0644), ro = open("uring", O_RDONLY);
  struct iovec v[2] = {{buf, 5}, {buf + 10, 5}};
  ring_open(&r, 8);
  sqe_at(&r, IORING_OP_WRITE, f, text, 12, 0, 1);
  ring_one(&r, "write");
  sqe_at(&r, IORING_OP_READ, f, buf, 20, 7, 2);
  ring_one(&r, "read");
  say("  %s", buf);
  sqe_at(&r, IORING_OP_READV, f, v, 2, 0, 3);
  ring_one(&r, "readv");
  say("  %.5s %.5s", buf, buf + 10);
  sqe_at(&r, IORING_OP_WRITEV, f, v, 2, 20, 4);
  ring_one(&r, "writev");
  sqe_at(&r, IORING_OP_READ, f, buf, 5, -1, 5);
  ring_one(&r, "at the position");
  sqe_at(&r, IORING_OP_READ, f, buf, 5, -1, 5);
  ring_one(&r, "and on");
  say("  position %ld, %.5s", (long)lseek(f, 0, SEEK_CUR), buf);
  sqe_at(&r, IORING_OP_READ, f, buf, 20, 1000, 6);
  ring_one(&r, "past the end");
  sqe_at(&r, IORING_OP_READ, f, buf, 20, -5, 7);
  ring_one(&r, "negative offset");
  sqe_at(&r, IORING_OP_WRITE, ro, text, 1, 0, 8);
  ring_one(&r, "not writable");
  sqe_at(&r, IORING_OP_READ, 999, buf, 1, 0, 9);
  ring_one(&r, "no such file");
  sqe_at(&r, IORING_OP_READ, f, BAD_PTR, 10, 0, 10);
  ring_one(&r, "bad buffer");
  sqe_at(&r, IORING_OP_READV, f, BAD_PTR, 1, 0, 11);
  ring_one(&r, "bad vector");
  sqe_at(&r, IORING_OP_READV, f, v, 2000, 0, 11);
  ring_one(&r, "long vector");
  sqe_at(&r, IORING_OP_READV, f, v, 0, 0, 11);
  ring_one(&r, "empty vector");
  sqe_at(&r, IORING_OP_READ, f, buf, 5, 0, 12)->rw_flags = 0x800000;
  ring_one(&r, "unknown flags");
  sqe_at(&r, IORING_OP_WRITE, f, "!", 1, 0, 13)->rw_flags = RWF_APPEND;
  ring_one(&r, "append");
  say("  size %ld", (long)lseek(f, 0, SEEK_END));
  sqe_at(&r, IORING_OP_FSYNC, f, NULL, 0, 0, 14);
  ring_one(&r, "fsync");
  sqe_at(&r, IORING_OP_FSYNC, f, NULL, 0, 0, 15)->fsync_flags = IORING_FSYNC_DATASYNC;
  ring_one(&r, "fdatasync");
  sqe_at(&r, IORING_OP_FSYNC, f, NULL, 0, 0, 15)->fsync_flags = 8;
  ring_one(&r, "fsync with a flag");
  sqe_at(&r, IORING_OP_READ_FIXED, f, buf, 5, 0, 16);
  ring_one(&r, "no registered buffer");
  int p[2];
  pipe(p);
  sqe_at(&r, IORING_OP_READ, p[0], buf, 5, 0, 17);
  ret("read of an empty pipe", ring_enter(&r, 0));
  ring_show(&r);
  sqe_at(&r, IORING_OP_WRITE, p[1], "abc", 3, 0, 18);
  ret("and a write", ring_enter(&r, 2));
  ring_show(&r);
  say("  %.3s", buf);
  fcntl(p[0], F_SETFL, O_NONBLOCK);
  sqe_at(&r, IORING_OP_READ, p[0], buf, 5, 0, 19);
  ret("O_NONBLOCK waits", ring_enter(&r, 0));
  ring_show(&r);
  sqe_at(&r, IORING_OP_READ, p[0], buf, 5, 0, 20)->rw_flags = RWF_NOWAIT;
  ring_one(&r, "RWF_NOWAIT does not");
  close(p[1]);
  ret("the end comes", ring_enter(&r, 1));
  ring_show(&r);
  close(p[0]);
  int e = eventfd(0, 0);
  uint64_t one = 1, got = 0;
  sqe_at(&r, IORING_OP_READ, e, &got, 8, 0, 21);
  sqe_at(&r, IORING_OP_WRITE, e, &one, 8, 0, 22);
  ret("eventfd", ring_enter(&r, 2));
  ring_show(&r);
  say("  %ld", (long)got);
  ring_close(&r);
}

static void links(void) {
  struct ring r = {0};
  char buf[64] = "";
  ring_open(&r, 16);
  int f = open("uring", O_RDWR | O_CREAT | O_TRUNC, 0644);
  sqe_at(&r, IORING_OP_WRITE, f, "0123456789", 10, 0, 1)->flags = IOSQE_IO_LINK;
  sqe_at(&r, IORING_OP_READ, f, buf, 10, 0, 2)->flags = IOSQE_IO_LINK;
  sqe_at(&r, IORING_OP_NOP, -1, NULL, 0, 0, 3);
  ret("linked", ring_enter(&r, 3));
  ring_show(&r);
  say("  %s", buf);
  sqe_at(&r, IORING_OP_READ, f, buf, 20, 0, 1)->flags = IOSQE_IO_LINK;
  sqe_at(&r, IORING_OP_NOP, -1, NULL, 0, 0, 2)->flags = IOSQE_IO_LINK;
  sqe_at(&r, IORING_OP_NOP, -1, NULL, 0, 0, 3);
  ret("short reads break a link", ring_enter(&r, 3));
  ring_show(&r);
  sqe_at(&r, IORING_OP_READ, f, buf, 20, 0, 1)->flags = IOSQE_IO_HARDLINK;
  sqe_at(&r, IORING_OP_NOP, -1, NULL, 0, 0, 2)->flags = IOSQE_IO_LINK;
  sqe_at(&r, IORING_OP_NOP, -1, NULL, 0, 0, 3);
  ret("but not a hard one", ring_enter(&r, 3));
  ring_show(&r);
  sqe_at(&r, IORING_OP_NOP, -1, NULL, 0, 0, 1)->flags = IOSQE_IO_LINK;
  sqe_at(&r, 200, -1, NULL, 0, 0, 2)->flags = IOSQE_IO_LINK;
  sqe_at(&r, IORING_OP_NOP, -1, NULL, 0, 0, 3);
  sqe_at(&r, IORING_OP_NOP, -1, NULL, 0, 0, 4);
  ret("bad in the middle", ring_enter(&r, 3));
  ring_show(&r);
  ret("the rest", ring_enter(&r, 0));
  ring_show(&r);
  sqe_at(&r, IORING_OP_NOP, -1, NULL, 0, 0, 1)->flags = IOSQE_IO_LINK;
  ret("linked to nothing", ring_enter(&r, 1));
  ring_show(&r);
  sqe_at(&r, IORING_OP_NOP, -1, NULL, 0, 0, 1)->flags = IOSQE_CQE_SKIP_SUCCESS;
  sqe_at(&r, IORING_OP_READ, 999, buf, 1, 0, 2)->flags = IOSQE_CQE_SKIP_SUCCESS;
  ret("only failures", ring_enter(&r, 1));
  ring_show(&r);
  sqe_at(&r, IORING_OP_READ, 999, buf, 1, 0, 1)->flags = IOSQE_CQE_SKIP_SUCCESS | IOSQE_IO_LINK;
  sqe_at(&r, IORING_OP_NOP, -1, NULL, 0, 0, 2);
  ret("failures of links", ring_enter(&r, 1));
  ring_show(&r);
  sqe_at(&r, IORING_OP_NOP, -1, NULL, 0, 0, 1)->flags = IOSQE_IO_DRAIN;
  ring_one(&r, "no draining after skipping");
  ring_close(&r);
  r = (struct ring){0};
  ring_open(&r, 16);
  int p[2];
  pipe(p);
  sqe_at(&r, IORING_OP_READ, p[0], buf, 5, 0, 1);
  sqe_at(&r, IORING_OP_NOP, -1, NULL, 0, 0, 2)->flags = IOSQE_IO_DRAIN;
  sqe_at(&r, IORING_OP_NOP, -1, NULL, 0, 0, 3);
  ret("draining", ring_enter(&r, 0));
  ring_show(&r);
  write(p[1], "x", 1);
  ret("drained", uring_enter(r.fd, 0, 3, IORING_ENTER_GETEVENTS, NULL, 0));
  ring_show(&r);
  sqe_at(&r, IORING_OP_READ, p[0], buf, 5, 0, 1)->flags = IOSQE_IO_LINK;
  sqe_at(&r, IORING_OP_WRITE, f, "late", 4, 0, 2)->flags = IOSQE_IO_LINK;
  sqe_at(&r, IORING_OP_READ, f, buf, 4, 0, 3);
  ret("linked to what waits", ring_enter(&r, 0));
  ring_show(&r);
  write(p[1], "12345", 5);
  ret("goes on", uring_enter(r.fd, 0, 3, IORING_ENTER_GETEVENTS, NULL, 0));
  ring_show(&r);
  say("  %.4s", buf);
  ring_close(&r);
}

static void overflow(void) {
  struct ring r = {.p = {.flags = IORING_SETUP_CQSIZE, .cq_entries = 4}};
  struct io_uring_cqe c;
  ring_open(&r, 4);
  for (int i = 0; i < 3; i++) {
    for (int j = 0; j < 4; j++) sqe_at(&r, IORING_OP_NOP, -1, NULL, 0, 0, 10 * i + j);
    ret("four more", ring_enter(&r, 0));
  }
  say("flag %d, lost %u, ready %u", (*r.sq_flags & IORING_SQ_CQ_OVERFLOW) != 0, *r.cq_overflow, ring_ready(&r));
  struct pollfd pf = {r.fd, POLLIN | POLLOUT, 0};
  poll(&pf, 1, 0);
  say("polled %x", pf.revents);
  for (int i = 0; i < 4; i++) {
    int n = 0;
    while (ring_take(&r, &c)) n++;
    say("took %d", n);
    ret("and more", uring_enter(r.fd, 0, 0, IORING_ENTER_GETEVENTS, NULL, 0));
  }
  say("flag %d, lost %u", (*r.sq_flags & IORING_SQ_CQ_OVERFLOW) != 0, *r.cq_overflow);
  // Positions that lie.
  *r.cq_head = 12345;
  sqe_at(&r, IORING_OP_NOP, -1, NULL, 0, 0, 1);
  ret("wrong head", ring_enter(&r, 0));
  *r.cq_head = *r.cq_tail;
  ret("right again", uring_enter(r.fd, 0, 0, IORING_ENTER_GETEVENTS, NULL, 0));
  ring_show(&r);
  ring_close(&r);
}

static void events(void) {
  struct ring r = {0};
  struct pollfd pf;
  uint64_t count = 0;
  ring_open(&r, 4);
  int e = eventfd(0, EFD_NONBLOCK), ep = epoll_create1(0);
  struct epoll_event ev = {EPOLLIN, {.u32 = 7}};
  ret("eventfd", uring_register(r.fd, IORING_REGISTER_EVENTFD, &e, 1));
  ret("again", uring_register(r.fd, IORING_REGISTER_EVENTFD, &e, 1));
  ret("epoll", epoll_ctl(ep, EPOLL_CTL_ADD, r.fd, &ev));
  pf = (struct pollfd){r.fd, POLLIN | POLLOUT, 0};
  poll(&pf, 1, 0);
  say("polled %x", pf.revents);
  ret("nothing", epoll_wait(ep, &ev, 1, 0));
  sqe_at(&r, IORING_OP_NOP, -1, NULL, 0, 0, 1);
  ring_enter(&r, 0);
  ret("eventfd says", read(e, &count, 8));
  say("  %ld", (long)count);
  poll(&pf, 1, 0);
  say("polled %x", pf.revents);
  ret("something", epoll_wait(ep, &ev, 1, 0));
  ring_show(&r);
  ret("gone", uring_register(r.fd, IORING_UNREGISTER_EVENTFD, NULL, 0));
  ret("twice", uring_register(r.fd, IORING_UNREGISTER_EVENTFD, NULL, 0));
  int none = 999, file = open("uring", O_RDONLY);
  ret("no descriptor", uring_register(r.fd, IORING_REGISTER_EVENTFD, &none, 1));
  ret("no eventfd", uring_register(r.fd, IORING_REGISTER_EVENTFD, &file, 1));
  ret("no operation", uring_register(r.fd, 1000, NULL, 0));
  ret("no ring", uring_register(file, IORING_REGISTER_PROBE, NULL, 0));
  struct {
    struct io_uring_probe p;
    struct io_uring_probe_op ops[256];
  } probe = {0};
  ret("probe", uring_register(r.fd, IORING_REGISTER_PROBE, &probe, 256));
  int common = 1;
  for (int i = 0; i <= IORING_OP_SHUTDOWN; i++)
    if (!(probe.ops[i].flags & IO_URING_OP_SUPPORTED)) common = 0;
  is("common operations", common);
  ret("probe again", uring_register(r.fd, IORING_REGISTER_PROBE, &probe, 256));
  ring_close(&r);
}

int main(void) {
  setups();
  enters();
  transfers();
  links();
  overflow();
  events();
  return 0;
}
