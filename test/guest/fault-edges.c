// Buffers that run into memory that is not there: what has been transferred, what counts, and what is left in the source.
#include "guest.h"
#include <dirent.h>
#include <mqueue.h>
#include <poll.h>
#include <pty.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/msg.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <netinet/in.h>

#define PAGE 4096L
#define FIT 60

enum { UNMAPPED, NONE, READ_ONLY, GUARD, PAST_PRIVATE, PAST_SHARED, KINDS };
static const char *const kinds[] = {"unmapped", "PROT_NONE", "read-only", "guard", "past end private", "past end shared"};

// Two good pages, whose end, the address of the first bad byte, is returned, and two bad ones.
static char *edge(int kind) {
  char *at = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  char *end = at + 2 * PAGE;
  switch (kind) {
    case UNMAPPED: munmap(end, 2 * PAGE); break;
    case NONE: mprotect(end, 2 * PAGE, PROT_NONE); break;
    case READ_ONLY: mprotect(end, 2 * PAGE, PROT_READ); break;
    case GUARD: madvise(end, 2 * PAGE, 102); break;
    default: {
      int fd = memfd_create("edge", 0);
      if (ftruncate(fd, 2 * PAGE) < 0) return NULL;
      int how = kind == PAST_PRIVATE ? MAP_PRIVATE : MAP_SHARED;
      mmap(at, 4 * PAGE, PROT_READ | PROT_WRITE, how | MAP_FIXED, fd, 0);
      close(fd);
    }
  }
  memset(at, 'w', 2 * PAGE);
  return end;
}

static char *end;

// How many bytes before the edge have been written since they were cleared.
static int arrived(void) {
  int n = 0;
  while (n < FIT && end[n - FIT] != 'w') n++;
  return n;
}

static void got(const char *name, long r) {
  int e = errno;
  int n = arrived();
  if (r < 0) say("%s: %s, %d arrived", name, strerrorname_np(e), n);
  else say("%s: %ld, %d arrived", name, r, n);
  memset(end - 2 * PAGE, 'w', 2 * PAGE);
}

static int filled(int n) {
  static char data[8 * PAGE];
  memset(data, 'd', sizeof data);
  int fd = memfd_create("data", 0);
  if (write(fd, data, n) != n) return -1;
  lseek(fd, 0, SEEK_SET);
  return fd;
}

static int left(int fd) {
  static char rest[1 << 17];
  int n = 0;
  for (int r; (r = recv(fd, rest, sizeof rest, MSG_DONTWAIT)) > 0 || (r = read(fd, rest, sizeof rest)) > 0;) n += r;
  return n;
}

static void files(void) {
  int fd = filled(3 * PAGE);
  got("read", read(fd, end - FIT, 100));
  say("position %ld", lseek(fd, 0, SEEK_CUR));
  got("read of nothing", read(fd, end, 100));
  got("pread", pread(fd, end - FIT, 100, 10));
  got("pread of pages", pread(fd, end - FIT - PAGE, 2 * PAGE, 10));
  got("pread at the end", pread(fd, end - FIT, 100, 3 * PAGE - FIT));
  got("pread near the end", pread(fd, end - FIT, 100, 3 * PAGE - 10));
  got("pread past the end", pread(fd, end, 100, 3 * PAGE));
  struct iovec second[2] = {{end - FIT, 20}, {end, 20}}, first[2] = {{end, 20}, {end - FIT, 20}};
  struct iovec across[2] = {{end - FIT, 20}, {end - 20, 40}}, empty[2] = {{end, 0}, {end - FIT, 20}};
  got("preadv, second bad", preadv(fd, second, 2, 0));
  got("preadv, first bad", preadv(fd, first, 2, 0));
  got("preadv, across", preadv(fd, across, 2, 0));
  got("preadv, nothing to bad", preadv(fd, empty, 2, 0));
  lseek(fd, 0, SEEK_SET);
  ret("write", write(fd, end - FIT, 100));
  say("position %ld", lseek(fd, 0, SEEK_CUR));
  ret("write of nothing", write(fd, end, 100));
  ret("pwrite", pwrite(fd, end - FIT, 100, 0));
  ret("pwrite of pages", pwrite(fd, end - FIT - PAGE, 2 * PAGE, 0));
  ret("pwritev, second bad", pwritev(fd, second, 2, 0));
  ret("pwritev, first bad", pwritev(fd, first, 2, 0));
  ret("pwritev, across", pwritev(fd, across, 2, 0));
  ret("pwrite at the end", pwrite(fd, end - FIT, 100, 3 * PAGE));
  say("size %ld", lseek(fd, 0, SEEK_END));
  close(fd);
  fd = open("/dev/zero", O_RDWR);
  got("zero", read(fd, end - FIT, 100));
  got("zero, nothing", read(fd, end, 100));
  ret("write to zero", write(fd, end, 100));
  close(fd);
  fd = open("/dev/null", O_RDWR);
  got("null", read(fd, end, 100));
  ret("write to null", write(fd, end, 100));
  close(fd);
  fd = open("/proc/self/status", O_RDONLY);
  got("proc", read(fd, end - FIT, 100));
  got("proc, nothing", read(fd, end, 100));
  say("position %ld", lseek(fd, 0, SEEK_CUR));
  close(fd);
  fd = open("/proc/self/cmdline", O_RDONLY);
  got("cmdline", read(fd, end - 4, 10));
  close(fd);
  got("link", readlink("/proc/self/exe", end - 1, 100) < 0 ? -1 : 1);
  mkdir("d", 0755);
  for (int i = 0; i < 8; i++) {
    char name[32];
    snprintf(name, sizeof name, "d/f%d", i);
    close(open(name, O_CREAT | O_RDWR, 0644));
  }
  fd = open("d", O_RDONLY);
  long n = syscall(SYS_getdents64, fd, end - FIT, 400);
  say("entries: %ld", n < 0 ? -errno : n);
  n = syscall(SYS_getdents64, fd, end - 2, 400);
  say("entries, none: %ld", n < 0 ? -errno : n);
  close(fd);
  if (end[-1] != 'w') memset(end - 2 * PAGE, 'w', 2 * PAGE);
  long r = getrandom(end - 50, 100, 0);
  say("random: %ld", r < 0 ? -errno : r);
  r = getrandom(end, 100, 0);
  say("random, nothing: %ld", r < 0 ? -errno : r);
  memset(end - 2 * PAGE, 'w', 2 * PAGE);
}

static void pipes(void) {
  int p[2];
  char data[100];
  memset(data, 'd', sizeof data);
  pipe2(p, O_NONBLOCK);
  ret("fill", write(p[1], data, 100));
  got("pipe", read(p[0], end - FIT, 100));
  say("left %d", left(p[0]));
  ret("fill", write(p[1], data, 30) + write(p[1], data, 70));
  got("pipe, two buffers", read(p[0], end - FIT, 100));
  say("left %d", left(p[0]));
  struct iovec second[2] = {{end - FIT, 20}, {end, 20}};
  ret("fill", write(p[1], data, 100));
  got("pipe, second bad", readv(p[0], second, 2));
  say("left %d", left(p[0]));
  ret("write to pipe", write(p[1], end - FIT, 100));
  say("left %d", left(p[0]));
  ret("write pages to pipe", write(p[1], end - FIT - PAGE, 2 * PAGE));
  say("left %d", left(p[0]));
  ret("writev to pipe", writev(p[1], second, 2));
  say("left %d", left(p[0]));
  ret("vmsplice", vmsplice(p[1], second, 2, 0));
  say("left %d", left(p[0]));
  int fd = filled(100);
  ret("splice", splice(fd, (loff_t *)(end - 4), p[1], NULL, 10, 0));
  say("left %d", left(p[0]));
  close(fd);
  close(p[0]);
  close(p[1]);
}

static void sockets(const char *name, int domain, int type) {
  int s[2];
  char data[100], label[80];
  memset(data, 'd', sizeof data);
  if (domain == AF_UNIX) socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, s);
  else {
    struct sockaddr_in a = {AF_INET, 0, {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof a;
    int l = socket(AF_INET, type, 0);
    bind(l, (void *)&a, sizeof a);
    if (type == SOCK_STREAM) listen(l, 1);
    getsockname(l, (void *)&a, &len);
    s[0] = socket(AF_INET, type, 0);
    connect(s[0], (void *)&a, sizeof a);
    s[1] = l;
    if (type == SOCK_STREAM) {
      s[1] = accept(l, NULL, NULL);
      close(l);
    } else {
      getsockname(s[0], (void *)&a, &len);
      connect(s[1], (void *)&a, sizeof a);
    }
    for (int i = 0; i < 2; i++) fcntl(s[i], F_SETFL, O_NONBLOCK);
  }
  struct pollfd in = {s[1], POLLIN};
#define FILL() (write(s[0], data, 100), poll(&in, 1, 2000))
#define LEFT() say("left %d", left(s[1]))
#define NAME(x) (snprintf(label, sizeof label, "%s %s", name, x), label)
  struct iovec second[2] = {{end - FIT, 20}, {end, 20}}, first[2] = {{end, 20}, {end - FIT, 20}};
  struct msghdr m = {.msg_iov = second, .msg_iovlen = 2};
  FILL();
  got(NAME("read"), read(s[1], end - FIT, 100));
  LEFT();
  FILL();
  got(NAME("recv"), recv(s[1], end - FIT, 100, 0));
  LEFT();
  FILL();
  got(NAME("peek"), recv(s[1], end - FIT, 100, MSG_PEEK));
  LEFT();
  FILL();
  got(NAME("readv, second bad"), readv(s[1], second, 2));
  LEFT();
  FILL();
  got(NAME("readv, first bad"), readv(s[1], first, 2));
  LEFT();
  FILL();
  got(NAME("recvmsg"), recvmsg(s[1], &m, 0));
  LEFT();
  FILL();
  struct mmsghdr mm[2] = {{{.msg_iov = second, .msg_iovlen = 1}}, {{.msg_iov = first, .msg_iovlen = 1}}};
  FILL();
  got(NAME("recvmmsg"), recvmmsg(s[1], mm, 2, 0, NULL));
  LEFT();
  got(NAME("recvmmsg again"), recvmmsg(s[1], mm, 2, 0, NULL));
  FILL();
  socklen_t len = 16;
  got(NAME("name"), recvfrom(s[1], end - FIT, 30, 0, (void *)(end - 1), &len));
  LEFT();
  FILL();
  got(NAME("length"), recvfrom(s[1], end - FIT, 30, 0, (void *)data, (socklen_t *)(end - 1)));
  LEFT();
  memset(data, 'd', sizeof data);
  got(NAME("read of nothing"), read(s[1], end, 30));
  ret(NAME("write"), write(s[0], end - FIT, 100));
  LEFT();
  ret(NAME("write of pages"), write(s[0], end - FIT - PAGE, 2 * PAGE));
  poll(&in, 1, 10);
  LEFT();
  ret(NAME("writev"), writev(s[0], second, 2));
  LEFT();
  ret(NAME("writev, first bad"), writev(s[0], first, 2));
  LEFT();
  ret(NAME("sendmsg"), sendmsg(s[0], &m, 0));
  LEFT();
  ret(NAME("sendmmsg"), sendmmsg(s[0], mm, 2, 0));
  poll(&in, 1, 10);
  LEFT();
  ret(NAME("send nowhere"), sendto(s[0], data, 10, 0, (void *)(end - 1), 16));
  LEFT();
  m.msg_iovlen = 1;
  m.msg_control = end - 4;
  m.msg_controllen = 16;
  ret(NAME("control"), sendmsg(s[0], &m, 0));
  LEFT();
  close(s[0]);
  close(s[1]);
}

// Which comes first, the state of the socket or the address.
static void unconnected(const char *name, int domain, int type) {
  char label[80];
  int s = socket(domain, type | SOCK_NONBLOCK, 0);
  struct iovec bad = {end, 20};
  struct msghdr m = {.msg_iov = &bad, .msg_iovlen = 1};
  ret(NAME("read"), read(s, end, 20));
  ret(NAME("readv"), readv(s, &bad, 1));
  ret(NAME("recv"), recv(s, end, 20, 0));
  ret(NAME("recvmsg"), recvmsg(s, &m, 0));
  ret(NAME("write"), write(s, end, 20));
  ret(NAME("writev"), writev(s, &bad, 1));
  ret(NAME("send"), send(s, end, 20, 0));
  ret(NAME("sendmsg"), sendmsg(s, &m, 0));
  ret(NAME("none"), send(s, end, 0, 0));
  close(s);
}

static void counters(void) {
  int fd = eventfd(5, EFD_NONBLOCK);
  got("eventfd", read(fd, end - 4, 8));
  uint64_t v = 0;
  ret("then", read(fd, &v, 8));
  ret("write", write(fd, end - 4, 8));
  struct iovec two[2] = {{end - FIT, 4}, {end - FIT + 4, 4}};
  v = 7;
  ret("write", write(fd, &v, 8));
  got("readv", readv(fd, two, 2));
  close(fd);
  fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
  struct itimerspec once = {{0, 0}, {0, 1}};
  timerfd_settime(fd, 0, &once, NULL);
  struct pollfd p = {fd, POLLIN};
  poll(&p, 1, 2000);
  got("timerfd", read(fd, end - 4, 8));
  ret("then", read(fd, &v, 8));
  close(fd);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigprocmask(SIG_BLOCK, &set, NULL);
  fd = signalfd(-1, &set, SFD_NONBLOCK);
  kill(getpid(), SIGUSR1);
  got("signalfd", read(fd, end - FIT, 128));
  char info[128];
  ret("then", read(fd, info, 128));
  sigqueue(getpid(), SIGUSR1, (union sigval){1});
  struct timespec soon = {0, 0};
  ret("sigtimedwait", syscall(SYS_rt_sigtimedwait, &set, end - 8, &soon, 8));
  ret("then", read(fd, info, 128));
  close(fd);
  fd = inotify_init1(IN_NONBLOCK);
  inotify_add_watch(fd, ".", IN_CREATE);
  close(open("watched", O_CREAT | O_RDWR, 0644));
  got("inotify", read(fd, end - 8, 100));
  got("then", read(fd, end - FIT, FIT));
  unlink("watched");
  close(open("watched", O_CREAT | O_RDWR, 0644));
  close(open("watched2", O_CREAT | O_RDWR, 0644));
  got("two events, one fits", read(fd, end - 48, 100));
  got("then", read(fd, end - FIT, FIT));
  unlink("watched");
  unlink("watched2");
  close(fd);
}

static void queues(void) {
  int q = msgget(IPC_PRIVATE, 0600);
  struct { long type; char text[100]; } m = {1};
  msgsnd(q, &m, 100, 0);
  ret("msgrcv", msgrcv(q, end - FIT, 100, 0, IPC_NOWAIT));
  ret("then", msgrcv(q, &m, 100, 0, IPC_NOWAIT));
  memset(end - 2 * PAGE, 1, 2 * PAGE);
  ret("msgsnd", msgsnd(q, end - FIT, 100, IPC_NOWAIT));
  ret("then", msgrcv(q, &m, 100, 0, IPC_NOWAIT));
  msgctl(q, IPC_RMID, NULL);
  struct mq_attr a = {0, 4, 100};
  mqd_t mq = mq_open("/fault-edges", O_CREAT | O_RDWR | O_NONBLOCK, 0600, &a);
  mq_unlink("/fault-edges");
  mq_send(mq, m.text, 100, 3);
  ret("mq_receive", mq_receive(mq, end - FIT, 100, NULL));
  ret("then", mq_receive(mq, m.text, 100, NULL));
  mq_send(mq, m.text, 100, 3);
  ret("mq priority", mq_receive(mq, m.text, 100, (unsigned *)(end - 1)));
  ret("then", mq_receive(mq, m.text, 100, NULL));
  ret("mq_send", mq_send(mq, end - FIT, 100, 3));
  mq_close(mq);
  memset(end - 2 * PAGE, 'w', 2 * PAGE);
}

static void terminals(void) {
  int m, s;
  char data[100];
  memset(data, 'd', sizeof data);
  if (openpty(&m, &s, NULL, NULL, NULL) < 0) return;
  struct termios t;
  tcgetattr(s, &t);
  cfmakeraw(&t);
  tcsetattr(s, TCSANOW, &t);
  fcntl(m, F_SETFL, O_NONBLOCK);
  fcntl(s, F_SETFL, O_NONBLOCK);
  struct pollfd p = {s, POLLIN}, pm = {m, POLLIN};
  ret("fill", write(m, data, 100));
  poll(&p, 1, 2000);
  got("tty", read(s, end - FIT, 100));
  ret("then", read(s, data, 100));
  ret("fill", write(s, data, 100));
  poll(&pm, 1, 2000);
  got("master", read(m, end - FIT, 100));
  ret("then", read(m, data, 100));
  ret("write", write(m, end - FIT, 100));
  ret("write to the slave", write(s, end - FIT, 100));
  ret("write of pages", write(s, end - FIT - PAGE, 2 * PAGE));
  close(m);
  close(s);
}

static void memories(void) {
  char data[100];
  memset(data, 'd', sizeof data);
  struct iovec from = {data, 100}, to = {end - FIT, 100};
  got("process_vm_readv", process_vm_readv(getpid(), &to, 1, &from, 1, 0));
  ret("process_vm_writev", process_vm_writev(getpid(), &to, 1, &from, 1, 0));
  struct iovec bad = {end - FIT, 100}, good = {data, 100};
  ret("remote", process_vm_readv(getpid(), &good, 1, &bad, 1, 0));
  got("to remote", process_vm_writev(getpid(), &good, 1, &bad, 1, 0));
  int fd = open("/proc/self/mem", O_RDWR);
  ret("mem", pread(fd, data, 100, (off_t)(end - FIT)));
  ret("mem written", pwrite(fd, data, 100, (off_t)(end - FIT)));
  ret("mem, nothing", pread(fd, data, 10, (off_t)end));
  memset(end - 2 * PAGE, 'w', 2 * PAGE);
  got("mem to the edge", pread(fd, end - FIT, 100, (off_t)kinds));
  close(fd);
}

int main(void) {
  signal(SIGPIPE, SIG_IGN);
  for (int k = 0; k < KINDS; k++) {
    say("# %s", kinds[k]);
    end = edge(k);
    files();
    pipes();
    if (k != NONE && k != READ_ONLY) memories();
    if (k != UNMAPPED && k != PAST_PRIVATE) continue;
    sockets("stream", AF_UNIX, SOCK_STREAM);
    sockets("packets", AF_UNIX, SOCK_SEQPACKET);
    sockets("datagrams", AF_UNIX, SOCK_DGRAM);
    sockets("tcp", AF_INET, SOCK_STREAM);
    sockets("udp", AF_INET, SOCK_DGRAM);
    unconnected("unix stream", AF_UNIX, SOCK_STREAM);
    unconnected("unix packets", AF_UNIX, SOCK_SEQPACKET);
    unconnected("unix datagrams", AF_UNIX, SOCK_DGRAM);
    unconnected("tcp", AF_INET, SOCK_STREAM);
    unconnected("udp", AF_INET, SOCK_DGRAM);
    counters();
    queues();
    terminals();
  }
  return 0;
}
