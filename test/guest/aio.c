// Asynchronous I/O by system call: contexts, transfers, polls, cancelling, waiting.
#pragma GCC diagnostic ignored "-Wunused-result"
#include "guest.h"
#include <linux/aio_abi.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/uio.h>

static aio_context_t ctx;
static struct io_event ev[16];

static long setup(unsigned n, aio_context_t *c) { return syscall(SYS_io_setup, n, c); }
static long destroy(aio_context_t c) { return syscall(SYS_io_destroy, c); }
static long submit(aio_context_t c, long n, struct iocb **p) { return syscall(SYS_io_submit, c, n, p); }
static long get(aio_context_t c, long min, long nr, struct timespec *ts) {
  return syscall(SYS_io_getevents, c, min, nr, ev, ts);
}

static struct iocb req(int op, int fd, void *buf, size_t n, long off, long data) {
  return (struct iocb){.aio_lio_opcode = op, .aio_fildes = fd, .aio_buf = (uint64_t)buf, .aio_nbytes = n,
                       .aio_offset = off, .aio_data = data};
}

// Submits one and says what comes of it.
static void one(const char *what, struct iocb r) {
  struct iocb *p = &r;
  struct timespec some = {5, 0};
  if (ret(what, submit(ctx, 1, &p)) != 1) return;
  long n = get(ctx, 1, 16, &some);
  say("  %ld event, data %ld, result %ld, iocb %s", n, n > 0 ? (long)ev[0].data : 0, n > 0 ? (long)ev[0].res : 0,
      n > 0 && ev[0].obj == (uint64_t)&r ? "its own" : "-");
}

static void contexts(void) {
  aio_context_t c = 1, d = 0;
  ret("context not zero", setup(1, &c));
  c = 0;
  ret("no events", setup(0, &c));
  ret("bad pointer", setup(1, BAD_PTR));
  ret("far too many", setup(0x7fffffff, &c));
  ret("setup", setup(8, &c));
  is("id is an address", c != 0 && c % 4096 == 0);
  ret("destroy", destroy(c));
  ret("destroy again", destroy(c));
  ret("destroy nothing", destroy(d));
  ret("submit to nothing", submit(d, 0, NULL));
  ret("events of nothing", get(d, 0, 1, NULL));
}

static void transfers(void) {
  char buf[64] = "", text[] = "hello, world";
  int f = open("aio", O_RDWR | O_CREAT | O_TRUNC, 0644), ro = open("aio", O_RDONLY), p[2], e = eventfd(0, EFD_NONBLOCK);
  struct iovec v[2] = {{buf, 5}, {buf + 10, 5}};
  setup(8, &ctx);
  one("pwrite", req(IOCB_CMD_PWRITE, f, text, 12, 0, 1));
  one("pread", req(IOCB_CMD_PREAD, f, buf, 20, 7, 2));
  say("  %s", buf);
  one("preadv", req(IOCB_CMD_PREADV, f, v, 2, 0, 3));
  say("  %.5s %.5s", buf, buf + 10);
  one("pwritev", req(IOCB_CMD_PWRITEV, f, v, 2, 20, 4));
  one("past the end", req(IOCB_CMD_PREAD, f, buf, 20, 1000, 5));
  one("fsync", req(IOCB_CMD_FSYNC, f, NULL, 0, 0, 6));
  one("fdsync", req(IOCB_CMD_FDSYNC, f, NULL, 0, 0, 7));
  one("fsync with a buffer", req(IOCB_CMD_FSYNC, f, buf, 1, 0, 8));
  one("not writable", req(IOCB_CMD_PWRITE, ro, text, 1, 0, 9));
  one("no such file", req(IOCB_CMD_PREAD, 999, buf, 1, 0, 10));
  one("no such command", req(42, f, buf, 1, 0, 11));
  one("bad buffer", req(IOCB_CMD_PREAD, f, BAD_PTR, 10, 0, 12));
  one("bad vector", req(IOCB_CMD_PREADV, f, BAD_PTR, 1, 0, 13));
  one("negative offset", req(IOCB_CMD_PREAD, f, buf, 1, -5, 14));
  struct iocb r = req(IOCB_CMD_PREAD, f, buf, 4, 0, 15), *list[3] = {&r, &r, BAD_PTR};
  r.aio_flags = IOCB_FLAG_RESFD;
  r.aio_resfd = e;
  one("with eventfd", r);
  uint64_t count = 0;
  read(e, &count, 8);
  say("  eventfd %ld", (long)count);
  r.aio_resfd = f;
  one("with no eventfd", r);
  r.aio_flags = 0;
  r.aio_reserved2 = 1;
  one("reserved field", r);
  r.aio_reserved2 = 0;
  ret("two and a bad one", submit(ctx, 3, list));
  ret("bad one first", submit(ctx, 1, list + 2));
  ret("bad array", submit(ctx, 1, BAD_PTR));
  ret("none", submit(ctx, 0, list));
  ret("negative", submit(ctx, -1, list));
  struct timespec now = {0, 0}, bad = {0, 2000000000}, soon = {0, 20000000};
  ret("min above nr", get(ctx, 3, 2, &now));
  ret("timeout of many nanoseconds", get(ctx, 0, 0, &bad));
  ret("timeout nowhere", get(ctx, 1, 2, BAD_PTR));
  ret("one of two", get(ctx, 1, 1, &now));
  ret("the other, wanted both", get(ctx, 2, 2, &soon));
  ret("nothing left", get(ctx, 1, 2, &soon));
  pipe(p);
  write(p[1], "pipe", 4);
  one("read of a pipe", req(IOCB_CMD_PREAD, p[0], buf, 20, 0, 16));
  one("write of a pipe", req(IOCB_CMD_PWRITE, p[1], buf, 4, 0, 17));
}

// struct aio_ring of fs/aio.c, which programs may look at, and take events from.
struct ring {
  unsigned id, nr, head, tail, magic, compat, incompat, header;
  struct io_event events[];
};

// Each range and each request has its own bytes of a file that is mapped, small as they are.
static void pieces(void) {
  enum { N = 10, LEN = 512 };
  static char buf[N * LEN];
  struct iovec v[N];
  struct iocb r[N], *l[N];
  struct timespec some = {5, 0};
  int f = open("aio-pieces", O_RDWR | O_CREAT | O_TRUNC, 0644), wrong = 0;
  ftruncate(f, N * LEN);
  char *map = mmap(NULL, N * LEN, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0);
  for (int i = 0; i < N; i++) {
    memset(map + i * LEN, 'a' + i, LEN);
    v[i] = (struct iovec){buf + i * LEN, LEN};
    r[i] = req(IOCB_CMD_PREAD, f, buf + i * LEN, LEN, (N - 1 - i) * LEN, i);
    l[i] = &r[i];
  }
  one("preadv of ten ranges", req(IOCB_CMD_PREADV, f, v, N, 0, 0));
  say("  %d differ", memcmp(buf, map, N * LEN) != 0);
  ret("ten preads", submit(ctx, 8, l));
  ret("their events", get(ctx, 8, 16, &some));
  for (int i = 0; i < 8; i++)
    for (int k = 0; k < LEN; k++) wrong += buf[i * LEN + k] != 'a' + N - 1 - i;
  say("  %d wrong", wrong);
  munmap(map, N * LEN);
  close(f);
  unlink("aio-pieces");
}

// The ring may be moved; its context is then named by its new address.
static void moved(void) {
  aio_context_t c = 0;
  struct timespec now = {0, 0};
  int f = open("aio", O_RDWR | O_CREAT | O_TRUNC, 0644);
  struct iocb r = req(IOCB_CMD_PWRITE, f, "abcdef", 6, 0, 1), *l = &r;
  setup(1, &c);
  size_t size = (sizeof(struct ring) + ((struct ring *)c)->nr * 32 + 4095) & ~4095ul;
  ret("submit", submit(c, 1, &l));
  void *at = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  struct ring *ring = mremap((void *)c, size, size, MREMAP_FIXED | MREMAP_MAYMOVE, at);
  is("moved", (void *)ring == at && ring->head != ring->tail);
  ret("by the old name", submit(c, 1, &l));
  ret("by the new name", get((aio_context_t)ring, 1, 1, &now));
  ret("again", submit((aio_context_t)ring, 1, &l));
  is("in the ring", ring->head != ring->tail && ring->events[ring->head].res == 6);
  ret("destroy", destroy((aio_context_t)ring));
  is("ring unmapped", msync(ring, 4096, MS_ASYNC) < 0 && errno == ENOMEM);
  close(f);
  unlink("aio");
}

// aio_rw_flags
static void flags(void) {
  char buf[8] = "";
  int f = open("aio", O_RDWR | O_CREAT | O_TRUNC, 0644), p[2];
  struct iocb r = req(IOCB_CMD_PWRITE, f, "abcd", 4, 0, 1);
  one("plain", r);
  r.aio_rw_flags = RWF_APPEND;
  one("append", r);
  r.aio_rw_flags = RWF_DSYNC;
  one("dsync", r);
  r.aio_rw_flags = 1 << 20;
  one("unknown", r);
  pipe(p);
  r = req(IOCB_CMD_PREAD, p[0], buf, 4, 0, 2);
  r.aio_rw_flags = RWF_NOWAIT;
  one("empty pipe, nowait", r);
  say("  %ld bytes", (long)lseek(f, 0, SEEK_END));
  close(f);
  unlink("aio");
}

static void polls(void) {
  int p[2];
  struct timespec now = {0, 0}, soon = {5, 0};
  pipe(p);
  one("poll ready", req(IOCB_CMD_POLL, p[1], (void *)POLLOUT, 0, 0, 20));
  struct iocb r = req(IOCB_CMD_POLL, p[0], (void *)POLLIN, 0, 0, 21), *l = &r;
  ret("poll waiting", submit(ctx, 1, &l));
  ret("no event yet", get(ctx, 0, 1, &now));
  if (fork() == 0) {
    sleep_ms(100);
    write(p[1], "x", 1);
    _exit(0);
  }
  ret("event when written", get(ctx, 1, 1, &soon));
  say("  result %ld", (long)ev[0].res & POLLIN);
  wait(NULL);
  char c;
  read(p[0], &c, 1);
  ret("poll again", submit(ctx, 1, &l));
  ret("cancel", syscall(SYS_io_cancel, ctx, &r, ev));
  ret("event of the cancelled", get(ctx, 1, 1, &soon));
  say("  result %ld", (long)ev[0].res);
  ret("cancel again", syscall(SYS_io_cancel, ctx, &r, ev));
  ret("cancel nowhere", syscall(SYS_io_cancel, ctx, BAD_PTR, ev));
  ret("poll of a file", submit(ctx, 1, (struct iocb *[]){&(struct iocb){.aio_lio_opcode = IOCB_CMD_POLL, .aio_nbytes = 3}}));
}

// What io_submit itself refuses.
static void refusals(void) {
  aio_context_t old = ctx;
  int f = open("aio2", O_RDWR | O_CREAT, 0600), e = eventfd(0, 0), s[2], in = inotify_init();
  char buf[8] = "abcdefg";
  socketpair(AF_UNIX, SOCK_STREAM, 0, s), write(s[1], "x", 1);
  ctx = 0, ret("setup", setup(8, &ctx));
  one("poll of a file for data", req(IOCB_CMD_POLL, f, (void *)POLLIN, 0, 0, 1));
  one("poll of a file for nothing", req(IOCB_CMD_POLL, f, (void *)POLLPRI, 0, 0, 2));
  struct iocb r = req(IOCB_CMD_POLL, s[0], (void *)POLLIN, 0, 0, 3);
  r.aio_rw_flags = 1, one("poll with flags", r);
  r = req(IOCB_CMD_FSYNC, f, NULL, 0, 0, 4);
  r.aio_rw_flags = 1, one("fsync with flags", r);
  one("fsync of a socket", req(IOCB_CMD_FSYNC, s[0], NULL, 0, 0, 5));
  one("read of a socket before the start", req(IOCB_CMD_PREAD, s[0], buf, 1, -1, 6));
  one("read of a socket far behind", req(IOCB_CMD_PREAD, s[0], buf, 1, 100, 7));
  one("write to a counter", req(IOCB_CMD_PWRITE, e, buf, 8, 0, 8));
  r = req(IOCB_CMD_PWRITE, e, buf, 8, 0, 9);
  r.aio_rw_flags = RWF_SYNC, one("the same with flags", r);
  one("read of events", req(IOCB_CMD_PREAD, in, buf, 8, 0, 10));
  int child = fork();
  if (child == 0) pause();
  int pidfd = syscall(SYS_pidfd_open, child, 0);
  one("read of a process", req(IOCB_CMD_PREAD, pidfd, buf, 8, 0, 11));
  kill(child, SIGKILL), waitpid(child, NULL, 0), close(pidfd);
  destroy(ctx), ctx = old;
  close(f), close(e), close(in), close(s[0]), close(s[1]), unlink("aio2");
}

static void nothing(int sig) {}

static void waits(void) {
  struct sigaction sa = {.sa_handler = nothing, .sa_flags = SA_RESTART};
  struct timespec soon = {0, 30000000};
  sigaction(SIGALRM, &sa, NULL);
  ualarm(50000, 0);
  ret("interrupted", get(ctx, 1, 1, NULL));
  ualarm(50000, 0);
  ret("a time before now, interrupted", get(ctx, 1, 1, &(struct timespec){0, -1}));
  sigset_t none, all;
  sigemptyset(&none), sigfillset(&all);
  struct {
    sigset_t *set;
    size_t size;
  } arg = {&all, 8};
  ualarm(10000, 0);
  ret("masked", syscall(SYS_io_pgetevents, ctx, 1, 1, ev, &soon, &arg));
  arg.size = 7;
  ret("mask of a wrong size", syscall(SYS_io_pgetevents, ctx, 1, 1, ev, &soon, &arg));
  ret("mask nowhere", syscall(SYS_io_pgetevents, ctx, 1, 1, ev, &soon, BAD_PTR));
  pid_t c = fork();
  if (c == 0) {
    ret("not the child's", get(ctx, 0, 1, &soon));
    _exit(0);
  }
  waitpid(c, NULL, 0);
  ret("destroy", destroy(ctx));
}

static void rings(void) {
  aio_context_t c = 0;
  struct timespec now = {0, 0};
  struct iocb r[3], *l[] = {&r[0], &r[1], &r[2]};
  int f = open("aio", O_RDWR | O_CREAT | O_TRUNC, 0644);
  setup(3, &c);
  struct ring *ring = (struct ring *)c;
  say("magic %x, features %u %u, header %u, head %u, tail %u", ring->magic, ring->compat, ring->incompat, ring->header, ring->head, ring->tail);
  is("room", ring->nr > 2 * 3);
  char line[300], *name = NULL;
  FILE *maps = fopen("/proc/self/maps", "r");
  while (!name && fgets(line, sizeof line, maps))
    if (strtoul(line, NULL, 16) == c) name = strdup(line + 25);
  fclose(maps);
  is("is a shared mapping", name && strstr(line, "rw-s") && strstr(name, "/[aio] (deleted)"));
  unsigned long taken = 0, wrong = 0;
  for (int round = 0; round < 100; round++) {
    for (int i = 0; i < 3; i++) r[i] = req(IOCB_CMD_PWRITE, f, "abcdef", i + 1, 0, round * 3 + i);
    if (submit(c, 3, l) != 3) wrong++;
    // Two by itself, one by system call.
    for (int i = 0; i < 2; i++) {
      struct io_event *e = &ring->events[ring->head];
      if (ring->head == ring->tail || e->data != (unsigned)(round * 3 + i) || e->res != i + 1 || e->obj != (uint64_t)&r[i]) wrong++;
      ring->head = (ring->head + 1) % ring->nr;
      taken++;
    }
    if (get(c, 0, 16, &now) != 1 || ev[0].data != (unsigned)(round * 3 + 2) || ev[0].res != 3) wrong++;
    if (ring->head != ring->tail || ring->head != (round + 1) * 3 % ring->nr) wrong++;
  }
  say("%lu taken from the ring, %lu wrong", taken, wrong);
  r[0] = req(IOCB_CMD_PWRITE, f, "abcdef", 4, 0, 7);
  ret("submit", submit(c, 1, l));
  ring->head = ring->tail;
  ret("events when all are taken", get(c, 0, 16, &now));
  ret("destroy", destroy(c));
  is("ring unmapped", msync(ring, 4096, MS_ASYNC) < 0 && errno == ENOMEM);
  close(f);
  unlink("aio");
}

int main(void) {
  rings();
  moved();
  contexts();
  transfers();
  pieces();
  flags();
  polls();
  refusals();
  waits();
  return 0;
}
