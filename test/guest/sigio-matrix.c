// link: -w -lutil
// O_ASYNC over every kind of file: which events raise the signal, what siginfo says, whom it is sent to.
#include "guest.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <pty.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <termios.h>

static sigset_t set;

// What is queued of SIGRTMIN and SIGIO.
static void told(const char *name) {
  siginfo_t si;
  struct timespec now = {0, 0};
  printf("%s:", name);
  while (sigtimedwait(&set, &si, &now) > 0) {
    printf(" %s code %d", si.si_signo == SIGRTMIN ? "rt" : si.si_signo == SIGURG ? "urg" : "io", si.si_code);
    if (si.si_code > 0 && si.si_code < 10) printf(" band %lx fd %d", si.si_band, si.si_fd);
  }
  printf("\n");
  fflush(stdout);
}

static int watch(int fd) {
  if (fcntl(fd, F_SETOWN, getpid()) < 0) return -1;
  fcntl(fd, F_SETSIG, SIGRTMIN);
  return fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_ASYNC | O_NONBLOCK);
}

static char buf[70000];

static void pipes(int p[2]) {
  // Numbers that stay the same.
  dup2(p[0], 100), close(p[0]), p[0] = 100;
  dup2(p[1], 101), close(p[1]), p[1] = 101;
  ret("watch reader", watch(p[0]));
  ret("watch writer", watch(p[1]));
  told("nothing yet");
  write(p[1], "a", 1), told("first byte");
  write(p[1], "b", 1), told("second byte");
  read(p[0], buf, 1), told("a byte is read");
  read(p[0], buf, 1), told("empty again");
  write(p[1], buf, 65536), told("full");
  write(p[1], "x", 1), told("refused");
  read(p[0], buf, 10), told("a little read");
  read(p[0], buf, 65536), told("the rest read");
  write(p[1], "x", 1), told("one more");
  close(p[1]), told("writer closed");
  read(p[0], buf, 10), told("read");
  read(p[0], buf, 10), told("end");
  close(p[0]), told("reader closed");
}

static void pipe_broken(void) {
  int p[2];
  pipe(p);
  dup2(p[1], 101), close(p[1]), p[1] = 101;
  watch(p[1]);
  close(p[0]);
  told("reader closed");
}

static void pair(int type) {
  int s[2];
  socketpair(AF_UNIX, type, 0, s);
  dup2(s[0], 100), close(s[0]), s[0] = 100;
  ret("watch", watch(s[0]));
  told("nothing yet");
  write(s[1], "a", 1), told("first");
  write(s[1], "b", 1), told("second");
  read(s[0], buf, 1), told("read");
  write(s[0], "x", 1), told("sent");
  read(s[1], buf, 1), told("peer read");
  if (type == SOCK_STREAM) send(s[1], "u", 1, MSG_OOB), told("urgent");
  shutdown(s[1], SHUT_WR), told("peer shut down");
  close(s[1]), told("peer closed");
  close(s[0]);
}

static void listener(int domain) {
  int l = socket(domain, SOCK_STREAM, 0);
  struct sockaddr_storage a = {.ss_family = domain};
  socklen_t n = domain == AF_INET ? sizeof(struct sockaddr_in) : sizeof(sa_family_t);
  if (domain == AF_INET) ((struct sockaddr_in *)&a)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  bind(l, (void *)&a, n);
  listen(l, 5);
  n = sizeof a;
  getsockname(l, (void *)&a, &n);
  dup2(l, 100), close(l);
  ret("watch", watch(100));
  int c = socket(domain, SOCK_STREAM, 0);
  connect(c, (void *)&a, n);
  struct pollfd p = {100, POLLIN, 0};
  poll(&p, 1, 5000);
  told("connection");
  int s = accept(100, NULL, NULL);
  told("accepted");
  dup2(s, 102), close(s);
  ret("watch accepted", watch(102));
  told("nothing yet");
  write(c, "a", 1);
  p.fd = 102;
  poll(&p, 1, 5000);
  told("data");
  close(c);
  p.events = POLLRDHUP;
  poll(&p, 1, 5000);
  told("end");
  close(100), close(102);
}

// What goes through a terminal arrives a little later.
static void readable(int fd) {
  struct pollfd p = {fd, POLLIN, 0};
  poll(&p, 1, 5000);
  // The signal is sent just after those who wait have been woken.
  sigset_t now;
  for (int i = 0; i < 1000; i++, sleep_ms(1)) {
    sigpending(&now);
    if (sigismember(&now, SIGRTMIN) == 1) break;
  }
}

static void terminal(void) {
  int m, s;
  struct termios t;
  openpty(&m, &s, NULL, NULL, NULL);
  dup2(m, 100), close(m), m = 100;
  dup2(s, 101), close(s), s = 101;
  tcgetattr(s, &t), t.c_lflag &= ~ECHO, tcsetattr(s, TCSANOW, &t);
  ret("watch slave", watch(s));
  told("nothing yet");
  write(m, "a", 1);
  write(m, "b\n", 2), readable(s), told("a line");
  read(s, buf, 10), told("read");
  write(m, "c\n", 2), readable(s), told("a line more");
  tcflush(s, TCIOFLUSH);
  cfmakeraw(&t), tcsetattr(s, TCSANOW, &t);
  while (sigtimedwait(&set, NULL, &(struct timespec){0, 0}) > 0) {}
  write(m, "x", 1), readable(s), told("a byte");
  fcntl(s, F_SETFL, 0);
  ret("watch master", watch(m));
  told("nothing yet");
  write(s, "out", 3), readable(m), told("output");
  read(m, buf, 10), told("read");
  close(s), told("slave closed");
  close(m);
}

static void others(void) {
  int e = eventfd(0, 0), t = timerfd_create(CLOCK_MONOTONIC, 0), f = open("f", O_CREAT | O_RDWR, 0600), in = inotify_init();
  dup2(in, 100), close(in);
  ret("watch an eventfd", watch(e));
  ret("flags", fcntl(e, F_GETFL) & O_ASYNC);
  ret("watch a timerfd", watch(t));
  ret("watch a file", watch(f));
  ret("file's flags", fcntl(f, F_GETFL) & O_ASYNC);
  ret("FIOASYNC of it", ioctl(f, FIOASYNC, &(int){1}));
  ret("watch inotify", watch(100));
  inotify_add_watch(100, ".", IN_CREATE);
  close(open("created", O_CREAT | O_WRONLY, 0600));
  told("event");
  close(open("created2", O_CREAT | O_WRONLY, 0600));
  told("second event");
  int z = open("/dev/zero", O_RDWR);
  ret("watch zero", watch(z));
}

static void no_signal(void) {
  int p[2];
  pipe(p);
  dup2(p[0], 100), close(p[0]), p[0] = 100;
  fcntl(p[0], F_SETOWN, getpid());
  fcntl(p[0], F_SETFL, O_ASYNC);
  write(p[1], "a", 1), write(p[1], "b", 1);
  told("SIGIO once");
  fcntl(p[0], F_SETSIG, SIGIO);
  write(p[1], "c", 1);
  told("SIGIO asked for");
  fcntl(p[0], F_SETSIG, 0);
  fcntl(p[0], F_SETOWN, 0);
  write(p[1], "d", 1);
  told("nobody");
  fcntl(p[0], F_SETOWN, getpid());
  int d = dup2(p[0], 110);
  close(p[0]);
  fcntl(d, F_SETSIG, SIGRTMIN);
  write(p[1], "e", 1);
  told("by another number");
  fcntl(d, F_SETFL, 0);
  write(p[1], "f", 1);
  told("off");
  fcntl(d, F_SETFL, O_ASYNC);
  write(p[1], "f", 1);
  told("on by the other number");
  ret("FIOASYNC off", ioctl(d, FIOASYNC, &(int){0}));
  ret("flags", fcntl(d, F_GETFL) & O_ASYNC);
  write(p[1], "g", 1);
  told("off again");
  struct f_owner_ex o = {F_OWNER_PGRP, getpgrp()};
  fcntl(d, F_SETOWN_EX, &o);
  is("group", fcntl(d, F_GETOWN) == -getpgrp());
  fcntl(d, F_SETFL, O_ASYNC);
  write(p[1], "h", 1);
  told("to the group");
  o.type = 7;
  ret("bad type", fcntl(d, F_SETOWN_EX, &o));
  o.type = F_OWNER_PID, o.pid = 0x3fffffff;
  ret("nobody", fcntl(d, F_SETOWN_EX, &o));
  ret("negative group", fcntl(d, F_SETOWN, -0x3fffffff));
  ret("bad pointer", fcntl(d, F_SETOWN_EX, BAD_PTR));
  o.type = F_OWNER_TID, o.pid = syscall(SYS_gettid);
  ret("thread", fcntl(d, F_SETOWN_EX, &o));
  ret("own", fcntl(d, F_GETOWN) == getpid());
  write(p[1], "i", 1);
  told("to the thread");
  uint32_t ids[2] = {9, 9};
  ret("ids", fcntl(d, 17, ids));
  say("%u %u", ids[0], ids[1]);
}

static void by_another(void) {
  int p[2], go[2], done[2];
  pipe(p), pipe(go), pipe(done);
  dup2(p[0], 100), close(p[0]), p[0] = 100;
  // The owner is a root process; who asked for signals to it is not.
  pid_t c = fork();
  if (c == 0) {
    setpgid(0, 0);
    pid_t parent = getppid();
    if (setresuid(65534, 65534, 65534)) _exit(1);
    fcntl(p[0], F_SETSIG, SIGRTMIN);
    int r = fcntl(p[0], F_SETOWN, parent);
    fcntl(p[0], F_SETFL, O_ASYNC);
    _exit(r != 0);
  }
  wait_say("asks", c);
  write(p[1], "a", 1);
  told("not permitted");
  uint32_t ids[2] = {9, 9};
  fcntl(p[0], 17, ids);
  say("%u %u", ids[0], ids[1]);
}

#define RUN(f, ...)                      \
  do {                                   \
    say("== %s %s", #f, #__VA_ARGS__);   \
    pid_t c = fork();                    \
    if (c == 0) {                        \
      setpgid(0, 0);                     \
      f(__VA_ARGS__), _exit(0);          \
    }                                    \
    wait_say(#f, c);                     \
  } while (0)

static void anonymous(void) { int p[2]; pipe(p); pipes(p); }
static void fifo(void) {
  mkfifo("ff", 0600);
  int r = open("ff", O_RDONLY | O_NONBLOCK), p[2] = {r, open("ff", O_WRONLY | O_NONBLOCK)};
  pipes(p);
}

int main(void) {
  signal(SIGPIPE, SIG_IGN);
  sigemptyset(&set);
  sigaddset(&set, SIGRTMIN), sigaddset(&set, SIGIO), sigaddset(&set, SIGURG);
  sigprocmask(SIG_BLOCK, &set, NULL);
  RUN(anonymous);
  RUN(fifo);
  RUN(pipe_broken);
  RUN(pair, SOCK_STREAM);
  RUN(pair, SOCK_DGRAM);
  RUN(pair, SOCK_SEQPACKET);
  RUN(listener, AF_UNIX);
  RUN(terminal);
  RUN(others);
  RUN(no_signal);
  RUN(by_another);
  return 0;
}
