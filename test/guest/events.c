// link: -w
// eventfd, timerfd, signalfd, epoll, poll, select.
#include "guest.h"
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>

static volatile sig_atomic_t hits;
static void on_usr1(int s) { (void)s, hits++; }

static int poll1(int fd, int mask, int ms) {
  struct pollfd p = {fd, mask, 0};
  int n = poll(&p, 1, ms);
  return n < 0 ? -1 : p.revents;
}

static void wait_ev(const char *name, int ep, int max, int ms) {
  struct epoll_event ev[8];
  int n = epoll_wait(ep, ev, max, ms);
  if (n < 0) {
    say("%s: %s", name, strerrorname_np(errno));
    return;
  }
  printf("%s: %d", name, n);
  for (int i = 0; i < n; i++) printf(" %x/%d", ev[i].events, ev[i].data.u32);
  printf("\n");
  fflush(stdout);
}

static int ctl(int ep, int op, int fd, uint32_t events, int data) {
  struct epoll_event e = {.events = events, .data.u32 = data};
  return epoll_ctl(ep, op, fd, &e);
}

static void *poker(void *arg) {
  sleep_ms(30);
  uint64_t one = 1;
  write(*(int *)arg, &one, 8);
  return NULL;
}

static void test_eventfd(void) {
  uint64_t v = 0;
  ret("eventfd bad flags", eventfd(0, 0x100));
  int e = eventfd(3, EFD_NONBLOCK);
  ret("short read", read(e, &v, 4));
  ret("read", read(e, &v, 8));
  say("value %d", (int)v);
  ret("empty", read(e, &v, 8));
  v = UINT64_MAX;
  ret("write max", write(e, &v, 8));
  v = UINT64_MAX - 1;
  ret("write max - 1", write(e, &v, 8));
  say("poll %x", poll1(e, POLLIN | POLLOUT, 0));
  v = 1;
  ret("overflow", write(e, &v, 8));
  ret("read", read(e, &v, 8));
  is("whole value", v == UINT64_MAX - 1);
  ret("lseek", lseek(e, 0, SEEK_SET));
  ret("pread", pread(e, &v, 8, 0));
  uint64_t two[2] = {5, 6};
  struct iovec v2[2] = {{&two[0], 8}, {&two[1], 8}}, v3[2] = {{&two[0], 8}, {&two[1], 4}};
  ret("16 bytes", write(e, two, 16));
  ret("two counts", writev(e, v2, 2));
  ret("read", read(e, &v, 8));
  say("sum %d", (int)v);
  ret("a count and a half", writev(e, v3, 2));
  ret("read", read(e, &v, 8));
  close(e);
  int o = open("/proc/self/comm", O_RDWR);
  struct iovec names[2] = {{"one", 3}, {"two", 3}};
  char name[20] = "";
  ret("two names", writev(o, names, 2));
  ret("the name", pread(o, name, sizeof name, 0));
  say("%s", name);
  close(o);
  e = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK | EFD_CLOEXEC);
  is("cloexec", fcntl(e, F_GETFD) == FD_CLOEXEC);
  ret("sem", read(e, &v, 8));
  say("value %d", (int)v);
  ret("sem", read(e, &v, 8));
  ret("sem empty", read(e, &v, 8));
  ret("eventfd, much from nowhere", write(e, BAD_PTR, 4096)), ret("enough from nowhere", write(e, BAD_PTR, 8));
  close(e);
  e = eventfd(0, 0);
  pthread_t t;
  pthread_create(&t, NULL, poker, &e);
  ret("blocking read", read(e, &v, 8));
  pthread_join(t, NULL);
  close(e);
}

static void test_timerfd(void) {
  uint64_t v = 0;
  struct itimerspec it = {{0, 0}, {100, 0}}, old;
  ret("bad clock", timerfd_create(77, 0));
  ret("bad flags", timerfd_create(CLOCK_MONOTONIC, 1));
  int t = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
  ok("create", t);
  ret("unarmed", read(t, &v, 8));
  ret("settime", timerfd_settime(t, 0, &it, NULL));
  ret("not yet", read(t, &v, 8));
  ret("gettime", timerfd_gettime(t, &old));
  is("remaining", old.it_value.tv_sec > 0 && old.it_value.tv_sec <= 100);
  it.it_value.tv_sec = 0, it.it_value.tv_nsec = 20000000;
  ret("settime again", timerfd_settime(t, 0, &it, &old));
  is("remained", old.it_value.tv_sec > 0 && old.it_value.tv_sec <= 100);
  say("poll %x", poll1(t, POLLIN, 1000));
  ret("read", read(t, &v, 8));
  say("expirations %d", (int)v);
  it.it_interval.tv_nsec = 5000000, it.it_value.tv_nsec = 5000000;
  timerfd_settime(t, 0, &it, NULL);
  sleep_ms(60);
  ret("read", read(t, &v, 8));
  is("several", v >= 8 && v <= 30);
  struct itimerspec off = {{0, 0}, {0, 0}};
  ret("disarm", timerfd_settime(t, 0, &off, &old));
  is("old interval", old.it_interval.tv_nsec == 5000000);
  it.it_value.tv_nsec = 1000000000;
  ret("bad nsec", timerfd_settime(t, 0, &it, NULL));
  ret("bad fd", timerfd_settime(0, 0, &off, NULL));
  ret("bad pointer", timerfd_settime(t, 0, BAD_PTR, NULL));
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  struct itimerspec past = {{0, 0}, now};
  ret("past", timerfd_settime(t, TFD_TIMER_ABSTIME, &past, NULL));
  say("poll %x", poll1(t, POLLIN, 1000));
  close(t);
  t = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC);
  clock_gettime(CLOCK_REALTIME, &now);
  now.tv_nsec += 30000000;
  if (now.tv_nsec >= 1000000000) now.tv_sec++, now.tv_nsec -= 1000000000;
  struct itimerspec soon = {{0, 0}, now};
  timerfd_settime(t, TFD_TIMER_ABSTIME, &soon, NULL);
  ret("blocking read", read(t, &v, 8));
  say("expirations %d", (int)v);
  close(t);
}

static void test_signalfd(void) {
  sigset_t s;
  sigemptyset(&s);
  sigaddset(&s, SIGUSR2);
  sigaddset(&s, SIGRTMIN);
  sigprocmask(SIG_BLOCK, &s, NULL);
  struct signalfd_siginfo si[4];
  int f = signalfd(-1, &s, SFD_NONBLOCK);
  ok("signalfd", f);
  ret("none", read(f, si, sizeof si));
  ret("short", read(f, si, 100));
  kill(getpid(), SIGUSR2);
  kill(getpid(), SIGUSR2);
  union sigval val = {.sival_int = 5};
  sigqueue(getpid(), SIGRTMIN, val);
  val.sival_int = 6;
  sigqueue(getpid(), SIGRTMIN, val);
  say("poll %x", poll1(f, POLLIN, 0));
  ret("read", read(f, si, sizeof si));
  for (int i = 0; i < 3; i++)
    say("signo %d code %d int %d mine %d", si[i].ssi_signo == (uint32_t)SIGRTMIN ? 34 : (int)si[i].ssi_signo, si[i].ssi_code,
        si[i].ssi_int, si[i].ssi_pid == (uint32_t)getpid());
  sigdelset(&s, SIGUSR2);
  kill(getpid(), SIGUSR2);
  struct pollfd all = {f, 0x3fff};
  poll(&all, 1, 0);
  say("poll %x", all.revents);
  while (read(f, si, sizeof si) > 0) {}
  int counter = eventfd(0, EFD_NONBLOCK);
  ret("two counts at once", write(counter, (uint64_t[]){1, 2}, 16));
  ret("less than one", write(counter, (uint64_t[]){1, 2}, 7));
  close(counter);
  is("change mask", signalfd(f, &s, 0) == f);
  kill(getpid(), SIGUSR2);
  ret("not wanted", read(f, si, sizeof si));
  ret("bad fd", signalfd(0, &s, 0));
  ret("bad size", syscall(SYS_signalfd4, -1, &s, 4, 0));
  pid_t pid = fork();
  if (pid == 0) {
    sigaddset(&s, SIGUSR2);
    signalfd(f, &s, 0);
    ret("child sees its own only", read(f, si, sizeof si));
    raise(SIGUSR2);
    ret("child", read(f, si, sizeof si));
    _exit(0);
  }
  wait_say("child", pid);
  signal(SIGUSR2, SIG_IGN);
  close(f);
}

static void test_epoll(void) {
  int e = eventfd(0, EFD_NONBLOCK), f = eventfd(1, EFD_NONBLOCK), p[2];
  pipe(p);
  uint64_t v = 1;
  ret("create 0", epoll_create(0));
  ret("bad flags", epoll_create1(1));
  int ep = epoll_create1(EPOLL_CLOEXEC);
  ok("create", ep);
  ret("add", ctl(ep, EPOLL_CTL_ADD, e, EPOLLIN, 1));
  ret("add again", ctl(ep, EPOLL_CTL_ADD, e, EPOLLIN, 1));
  ret("mod missing", ctl(ep, EPOLL_CTL_MOD, f, EPOLLIN, 2));
  ret("del missing", ctl(ep, EPOLL_CTL_DEL, f, 0, 0));
  ret("add itself", ctl(ep, EPOLL_CTL_ADD, ep, EPOLLIN, 2));
  ret("bad fd", ctl(ep, EPOLL_CTL_ADD, 999, EPOLLIN, 2));
  ret("bad op", ctl(ep, 77, f, EPOLLIN, 2));
  ret("bad event", epoll_ctl(ep, EPOLL_CTL_ADD, f, BAD_PTR));
  ret("not an epoll", ctl(e, EPOLL_CTL_ADD, f, EPOLLIN, 2));
  int reg = open("reg", O_CREAT | O_RDWR, 0600);
  ret("regular file", ctl(ep, EPOLL_CTL_ADD, reg, EPOLLIN, 2));
  ret("bad max", epoll_wait(ep, NULL, 0, 0));
  wait_ev("none", ep, 8, 0);
  wait_ev("timeout", ep, 8, 10);
  ctl(ep, EPOLL_CTL_ADD, f, EPOLLIN | EPOLLOUT, 2);
  wait_ev("second", ep, 8, 0);
  write(e, &v, 8);
  wait_ev("both", ep, 8, 0);
  wait_ev("one of them", ep, 1, 0);
  wait_ev("the other", ep, 1, 0);
  ret("mod edge", ctl(ep, EPOLL_CTL_MOD, e, EPOLLIN | EPOLLET, 3));
  ctl(ep, EPOLL_CTL_DEL, f, 0, 0);
  wait_ev("edge once", ep, 8, 0);
  wait_ev("edge not twice", ep, 8, 0);
  write(e, &v, 8);
  wait_ev("edge again", ep, 8, 0);
  ctl(ep, EPOLL_CTL_MOD, e, EPOLLIN | EPOLLONESHOT, 4);
  wait_ev("one-shot", ep, 8, 0);
  write(e, &v, 8);
  wait_ev("one-shot is off", ep, 8, 0);
  ctl(ep, EPOLL_CTL_MOD, e, EPOLLIN, 5);
  wait_ev("on again", ep, 8, 0);
  int d = dup(f);
  ctl(ep, EPOLL_CTL_ADD, d, EPOLLIN, 6);
  close(d);
  ctl(ep, EPOLL_CTL_DEL, e, 0, 0);
  wait_ev("closed dup lives on", ep, 8, 0);
  close(f);
  wait_ev("gone with the last", ep, 8, 0);
  ctl(ep, EPOLL_CTL_ADD, p[0], EPOLLIN, 7);
  ctl(ep, EPOLL_CTL_ADD, p[1], 0, 8);
  close(p[0]);
  wait_ev("error without asking", ep, 8, 0);
  close(p[1]);

  // Nesting.
  int n[7];
  for (int i = 0; i < 7; i++) n[i] = epoll_create1(0);
  ctl(n[0], EPOLL_CTL_ADD, e, EPOLLIN, 10);
  for (int i = 1; i < 7; i++) {
    char name[20];
    snprintf(name, sizeof name, "nest %d", i);
    ret(name, ctl(n[i], EPOLL_CTL_ADD, n[i - 1], EPOLLIN, i));
  }
  ret("loop", ctl(n[0], EPOLL_CTL_ADD, n[2], EPOLLIN, 1));
  say("nested poll %x", poll1(n[4], POLLIN, 0));
  wait_ev("nested", n[2], 8, 0);
  read(e, &v, 8);
  say("nested poll %x", poll1(n[4], POLLIN, 0));
  wait_ev("nested none", n[2], 8, 0);
  ret("exclusive", ctl(ep, EPOLL_CTL_ADD, e, EPOLLIN | EPOLLEXCLUSIVE, 1));
  ret("mod exclusive", ctl(ep, EPOLL_CTL_MOD, e, EPOLLIN, 1));
  ctl(ep, EPOLL_CTL_DEL, e, 0, 0);
  ret("exclusive one-shot", ctl(ep, EPOLL_CTL_ADD, e, EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT, 1));
  ret("exclusive epoll", ctl(ep, EPOLL_CTL_ADD, n[0], EPOLLIN | EPOLLEXCLUSIVE, 1));

  // Blocking and signals.
  ctl(ep, EPOLL_CTL_ADD, e, EPOLLIN, 9);
  pthread_t t;
  pthread_create(&t, NULL, poker, &e);
  wait_ev("blocking", ep, 8, 5000);
  pthread_join(t, NULL);
  read(e, &v, 8);
  struct sigaction sa = {.sa_handler = on_usr1, .sa_flags = SA_RESTART};
  sigaction(SIGALRM, &sa, NULL);
  ualarm(20000, 0);
  wait_ev("signal", ep, 8, 5000);
  sigset_t block, none;
  sigemptyset(&block), sigemptyset(&none);
  sigaddset(&block, SIGALRM);
  sigprocmask(SIG_BLOCK, &block, NULL);
  hits = 0;
  raise(SIGALRM);
  struct epoll_event ev[2];
  ret("pwait takes the signal", epoll_pwait(ep, ev, 2, 1000, &none));
  say("hits %d", hits);
  sigset_t cur;
  sigprocmask(SIG_SETMASK, NULL, &cur);
  is("mask is back", sigismember(&cur, SIGALRM));
  raise(SIGALRM);
  write(e, &v, 8);
  ret("ready beats signal", epoll_pwait(ep, ev, 2, 1000, &none) >= 0 ? 1 : -1);
  struct timespec ts = {0, 10000000}, bad = {0, -1};
  read(e, &v, 8);
  ret("pwait2", epoll_pwait2(ep, ev, 2, &ts, NULL));
  ret("pwait2 bad time", epoll_pwait2(ep, ev, 2, &bad, NULL));
  ret("bad sigset size", syscall(SYS_epoll_pwait, ep, ev, 2, 0, &none, 4));
  sigprocmask(SIG_UNBLOCK, &block, NULL);
  write(e, &v, 8);
  ret("bad buffer", epoll_wait(ep, BAD_PTR, 1, 0));
  wait_ev("not lost", ep, 8, 0);
}

static void test_poll_select(void) {
  int p[2], q[2];
  pipe(p), pipe(q);
  struct pollfd f[4] = {{p[0], POLLIN, 0}, {q[1], POLLOUT, 0}, {-1, POLLIN, 7}, {999, POLLIN, 0}};
  ret("poll", poll(f, 4, 100));
  say("%x %x %x %x", f[0].revents, f[1].revents, f[2].revents, f[3].revents);
  ret("poll timeout", poll(f, 1, 10));
  ret("poll nothing", poll(NULL, 0, 5));
  ret("bad array", poll(BAD_PTR, 2, 0));
  ret("too many", poll(f, 2000000, 0));
  hits = 0;
  ualarm(20000, 0);
  ret("poll interrupted", poll(f, 1, 5000));
  struct timespec ts = {5, 0};
  ualarm(20000, 0);
  ret("ppoll interrupted", syscall(SYS_ppoll, f, 1, &ts, NULL, 8));
  is("time left", ts.tv_sec == 4);
  say("hits %d", hits);
  fd_set r, w, x;
  FD_ZERO(&r); FD_ZERO(&w); FD_ZERO(&x);
  FD_SET(p[0], &r); FD_SET(q[1], &w), FD_SET(p[0], &x);
  struct timeval tv = {1, 0};
  ret("select", select(q[1] + 1, &r, &w, &x, &tv));
  say("%d %d %d", !!FD_ISSET(p[0], &r), !!FD_ISSET(q[1], &w), !!FD_ISSET(p[0], &x));
  FD_ZERO(&r); FD_SET(p[0], &r);
  tv.tv_sec = 0, tv.tv_usec = 10000;
  ret("select timeout", select(p[0] + 1, &r, NULL, NULL, &tv));
  say("%d left %ld", !!FD_ISSET(p[0], &r), (long)tv.tv_usec);
  FD_SET(p[0], &r); FD_SET(900, &r);
  ret("closed fd", select(901, &r, NULL, NULL, &tv));
  ret("negative", select(-1, NULL, NULL, NULL, NULL));
  tv.tv_sec = -1;
  ret("bad time", select(0, NULL, NULL, NULL, &tv));
  write(p[1], "x", 1);
  FD_ZERO(&r); FD_SET(p[0], &r);
  ret("readable", select(p[0] + 1, &r, NULL, NULL, NULL));
  sigset_t block, none;
  sigemptyset(&block), sigemptyset(&none);
  sigaddset(&block, SIGALRM);
  sigprocmask(SIG_BLOCK, &block, NULL);
  read(p[0], &tv, 1);
  hits = 0;
  raise(SIGALRM);
  ts.tv_sec = 5;
  ret("pselect takes the signal", pselect(0, NULL, NULL, NULL, &ts, &none));
  say("hits %d", hits);
  raise(SIGALRM);
  ret("ppoll takes the signal", ppoll(f, 1, &ts, &none));
  say("hits %d", hits);
  raise(SIGALRM);
  ts.tv_sec = 0, ts.tv_nsec = 0;
  ret("ppoll without wait", ppoll(f, 1, &ts, &none));
  sigprocmask(SIG_UNBLOCK, &block, NULL);
  int s[2];
  socketpair(AF_UNIX, SOCK_STREAM, 0, s);
  shutdown(s[1], SHUT_WR);
  say("rdhup %x", poll1(s[0], POLLIN | POLLRDHUP | POLLOUT, 0));
  close(s[1]);
  say("hup %x", poll1(s[0], POLLIN | POLLRDHUP | POLLOUT, 0));
  int reg = open("reg", O_RDWR);
  say("regular %x", poll1(reg, POLLIN | POLLOUT | POLLPRI, 0));
}

// More events than one batch of the kernel's.
static void test_epoll_many(void) {
  enum { N = 5000 };
  struct rlimit limit = {N + 50, N + 50};
  static struct epoll_event got[N + 10];
  static char seen[N];
  setrlimit(RLIMIT_NOFILE, &limit);
  int ep = epoll_create1(0), e = eventfd(1, 0), n = 0;
  for (int i = 0; i < N; i++) {
    struct epoll_event ev = {.events = EPOLLIN, .data.u32 = i};
    n += epoll_ctl(ep, EPOLL_CTL_ADD, dup(e), &ev) == 0;
  }
  say("%d watched", n);
  for (int round = 0; round < 2; round++) {
    memset(seen, 0, sizeof seen);
    ret("all at once", epoll_wait(ep, got, N + 10, 0));
    int once = 0;
    for (int i = 0; i < N; i++) once += got[i].data.u32 < N && !seen[got[i].data.u32]++;
    say("%d different", once);
  }
  ret("some", epoll_wait(ep, got, 4500, 0));
}

int main(void) {
  test_eventfd();
  test_timerfd();
  test_signalfd();
  test_epoll();
  test_poll_select();
  test_epoll_many();
  return 0;
}
