// link: -w
// epoll_ctl's errors in every combination, edges of every kind of file, one-shot, exclusive, nested, closed, fair.
#include "guest.h"
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <termios.h>

enum { BOTH = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI };
static char buf[1 << 17];

static int ctl(int ep, int op, int fd, uint32_t events, int data) {
  struct epoll_event e = {.events = events, .data.u32 = data};
  return epoll_ctl(ep, op, fd, &e);
}

static int by_data(const void *a, const void *b) {
  return (int)((struct epoll_event *)a)->data.u32 - (int)((struct epoll_event *)b)->data.u32;
}

// What is ready now, in order of the data.
static void see_within(const char *name, int ep, int ms) {
  struct epoll_event ev[16];
  int n = epoll_wait(ep, ev, 16, ms);
  if (n > 0) qsort(ev, n, sizeof ev[0], by_data);
  printf("%s: %d", name, n);
  for (int i = 0; i < n; i++) printf(" %x/%d", ev[i].events, ev[i].data.u32);
  printf("\n");
  fflush(stdout);
}

static void see(const char *name, int ep) { see_within(name, ep, 0); }

// The same of what comes from the loopback: it is there, or will be.
static void soon(const char *name, int ep) { see_within(name, ep, 10000); }

// An instance that watches one file by edges.
static int edges(int fd, uint32_t events) {
  int ep = epoll_create1(EPOLL_CLOEXEC);
  if (ctl(ep, EPOLL_CTL_ADD, fd, events | EPOLLET, 1) < 0) say("add: %s", strerrorname_np(errno));
  return ep;
}

static void errors(void) {
  int ep = epoll_create1(0), other = epoll_create1(0), e = eventfd(0, 0), p[2], path = open(".", O_PATH),
      dir = open(".", O_RDONLY), null = open("/dev/null", O_RDWR);
  pipe(p);
  close(p[1]);
  struct { const char *name; int fd; } eps[] = {{"epoll", ep}, {"pipe", p[0]}, {"directory", dir}, {"closed", 900}, {"path", path}, {"-1", -1}};
  struct { const char *name; int fd; } files[] = {{"eventfd", e}, {"itself", ep}, {"epoll", other}, {"directory", dir}, {"closed", 901}, {"path", path}, {"null", null}};
  static const char *ops[] = {"0", "add", "del", "mod"};
  uint32_t sets[] = {
      EPOLLIN,
      EPOLLIN | EPOLLEXCLUSIVE,
      EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT,
      EPOLLPRI | EPOLLEXCLUSIVE,
      EPOLLRDHUP | EPOLLEXCLUSIVE,
      EPOLLIN | EPOLLET | EPOLLWAKEUP | EPOLLEXCLUSIVE,
      ~0u,
      0,
  };
  for (int i = 0; i < 6; i++)
    for (int j = 0; j < 7; j++)
      for (int op = 0; op <= 4; op++) {
        printf("%s %s %s:", eps[i].name, op < 4 ? ops[op] : "4", files[j].name);
        for (int k = 0; k < 8; k++) {
          int r = ctl(eps[i].fd, op, files[j].fd, sets[k], 1);
          printf(" %s", err(r));
          if (r < 0 || op != EPOLL_CTL_ADD) continue;
          // While it is watched.
          for (int m = 0; m < 3; m++) {
            printf(" (again %s", err(ctl(ep, EPOLL_CTL_ADD, files[j].fd, sets[m], 1)));
            printf(" mod %s)", err(ctl(ep, EPOLL_CTL_MOD, files[j].fd, sets[m], 1)));
          }
          printf(" del %s", err(epoll_ctl(ep, EPOLL_CTL_DEL, files[j].fd, NULL)));
        }
        say("");
      }
  for (int op = 0; op <= 4; op++) {
    ret("no event", epoll_ctl(ep, op, e, NULL));
    ret("bad event", epoll_ctl(ep, op, e, BAD_PTR));
    ret("bad event of closed", epoll_ctl(900, op, 901, BAD_PTR));
  }
  struct epoll_event ev[4];
  ret("wait of a pipe", epoll_wait(p[0], ev, 4, 0));
  ret("wait of nothing", epoll_wait(900, ev, 4, 0));
  ret("wait of a path", epoll_wait(path, ev, 4, 0));
  ret("wait of nothing, none", epoll_wait(900, ev, 0, 0));
  ret("none", epoll_wait(ep, ev, -1, 0));
  ret("too many", epoll_wait(ep, ev, INT32_MAX / 12 + 1, 0));
  ret("bad array, nothing ready", epoll_wait(ep, BAD_PTR, 4, 0));
  ret("array of the kernel", epoll_wait(ep, (void *)0xffff888000000000, 4, 0));
  ret("array of the kernel, closed", epoll_wait(900, (void *)0xffff888000000000, 4, 0));
  ret("read", read(ep, buf, 10));
  ret("write", write(ep, buf, 10));
  ret("fsync", fsync(ep));
  ret("ftruncate", ftruncate(ep, 0));
  ret("mmap", mmap(NULL, 4096, PROT_READ, MAP_SHARED, ep, 0) == MAP_FAILED ? -1 : 0);
  ret("FIONREAD", ioctl(ep, FIONREAD, buf));
  ret("FIONBIO", ioctl(ep, FIONBIO, &(int){1}));
  say("flags %x", fcntl(ep, F_GETFL));
  // EPIOCSPARAMS, EPIOCGPARAMS
  struct { uint32_t usecs; uint16_t budget; uint8_t prefer, pad; } params = {0, 8, 0, 0};
  ret("set params", ioctl(ep, 0x40088a01, &params));
  params.pad = 1;
  ret("set bad padding", ioctl(ep, 0x40088a01, &params));
  params.pad = 0, params.prefer = 2;
  ret("set bad prefer", ioctl(ep, 0x40088a01, &params));
  params.prefer = 0, params.usecs = 1u << 31;
  ret("set long", ioctl(ep, 0x40088a01, &params));
  params.usecs = 77, params.budget = 9, params.prefer = 1;
  ret("set", ioctl(ep, 0x40088a01, &params));
  memset(&params, 0xff, sizeof params);
  ret("get params", ioctl(ep, 0x80088a02, &params));
  say("%u %u %u %u", params.usecs, params.budget, params.prefer, params.pad);
  ret("params nowhere", ioctl(ep, 0x80088a02, BAD_PTR));
  ret("params of a pipe", ioctl(p[0], 0x80088a02, &params));
}

static void pipe_edges(void) {
  int p[2], r, w;
  pipe2(p, O_NONBLOCK);
  r = edges(p[0], BOTH), w = edges(p[1], BOTH);
  see("empty pipe", r), see("its writer", w), see("writer again", w);
  write(p[1], buf, 10);
  see("wrote", r), see("again", r), see("writer", w);
  write(p[1], buf, 10);
  see("wrote more", r);
  read(p[0], buf, 5);
  see("read some", r), see("writer", w);
  read(p[0], buf, 100);
  see("read all", r), see("writer", w);
  ret("fill", write(p[1], buf, sizeof buf));
  see("filled", r), see("writer", w);
  ret("fuller", write(p[1], buf, 1));
  see("nothing more", r);
  read(p[0], buf, 100);
  see("little room", r), see("writer", w);
  read(p[0], buf, 3996);
  see("a page of room", r), see("writer", w);
  read(p[0], buf, 4096);
  see("two pages", r), see("writer", w);
  while (read(p[0], buf, sizeof buf) > 0) {}
  see("empty", r), see("writer", w);
  see("never wrote", r);
  ctl(w, EPOLL_CTL_MOD, p[1], BOTH | EPOLLET, 2);
  see("armed again", w), see("once", w);
  ctl(w, EPOLL_CTL_MOD, p[1], EPOLLIN | EPOLLET, 2);
  see("of no interest", w);
  ctl(w, EPOLL_CTL_MOD, p[1], BOTH | EPOLLET | EPOLLONESHOT, 3);
  see("one shot", w);
  write(p[1], "x", 1), read(p[0], buf, 1);
  see("shot", w);
  close(p[1]);
  see("hung up", r), see("once", r);
  close(p[0]);
  see("both gone", r), see("both gone", w);
  close(r), close(w);
  pipe(p);
  w = edges(p[1], BOTH);
  see("writer", w);
  close(p[0]);
  see("reader gone", w), see("once", w);
  signal(SIGPIPE, SIG_IGN);
  write(p[1], "x", 1);
  see("broken", w);
  close(p[1]), close(w);
}

static void counter_edges(void) {
  uint64_t v = 1;
  int e = eventfd(0, EFD_NONBLOCK), ep = edges(e, BOTH);
  see("eventfd", ep), see("again", ep);
  write(e, &v, 8);
  see("added", ep), see("again", ep);
  write(e, &v, 8);
  see("added again", ep);
  read(e, &v, 8);
  see("read", ep);
  read(e, &v, 8);
  see("read nothing", ep);
  v = UINT64_MAX - 1;
  write(e, &v, 8);
  see("full", ep);
  v = 1;
  write(e, &v, 8);
  see("refused", ep);
  read(e, &v, 8);
  see("room", ep);
  v = 0;
  write(e, &v, 8);
  see("added nothing", ep);
  close(ep);
  int s = eventfd(3, EFD_NONBLOCK | EFD_SEMAPHORE);
  ep = edges(s, EPOLLIN);
  see("semaphore", ep);
  read(s, &v, 8);
  see("one taken", ep);
  close(ep), close(s), close(e);
  int t = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
  ep = edges(t, BOTH);
  see("timer", ep);
  struct itimerspec it = {{0, 0}, {0, 1}};
  struct epoll_event ev;
  timerfd_settime(t, 0, &it, NULL);
  ret("expires", epoll_wait(ep, &ev, 1, 10000));
  see("once", ep);
  timerfd_settime(t, 0, &it, NULL);
  ret("expires again", epoll_wait(ep, &ev, 1, 10000));
  read(t, &v, 8);
  see("read", ep);
  timerfd_settime(t, 0, &it, NULL);
  ret("third", epoll_wait(ep, &ev, 1, 10000));
  ctl(ep, EPOLL_CTL_MOD, t, EPOLLIN | EPOLLET, 5);
  see("armed again", ep);
  it.it_value = (struct timespec){0, 0};
  timerfd_settime(t, 0, &it, NULL);
  ctl(ep, EPOLL_CTL_MOD, t, EPOLLIN | EPOLLET, 5);
  see("disarmed", ep);
  close(t), close(ep);
}

static void other_edges(void) {
  sigset_t set, old;
  struct signalfd_siginfo si;
  sigemptyset(&set), sigaddset(&set, SIGUSR1), sigaddset(&set, SIGRTMIN);
  sigprocmask(SIG_BLOCK, &set, &old);
  int s = signalfd(-1, &set, SFD_NONBLOCK), ep = edges(s, BOTH);
  see("signalfd", ep);
  kill(getpid(), SIGUSR1);
  see("signal", ep), see("once", ep);
  kill(getpid(), SIGUSR1);
  see("pending already", ep);
  sigqueue(getpid(), SIGRTMIN, (union sigval){1});
  see("another", ep);
  read(s, &si, sizeof si);
  see("one read", ep);
  read(s, &si, sizeof si);
  see("all read", ep);
  raise(SIGUSR1);
  see("raised", ep);
  read(s, &si, sizeof si);
  sigdelset(&set, SIGUSR1);
  signalfd(s, &set, 0);
  raise(SIGUSR1);
  see("no longer asked for", ep);
  sigaddset(&set, SIGUSR1);
  signalfd(s, &set, 0);
  see("asked for", ep);
  read(s, &si, sizeof si);
  sigprocmask(SIG_SETMASK, &old, NULL);
  close(s), close(ep);

  int in = inotify_init1(IN_NONBLOCK);
  mkdir("watched", 0700);
  inotify_add_watch(in, "watched", IN_CREATE);
  ep = edges(in, BOTH);
  see("inotify", ep);
  close(open("watched/a", O_CREAT | O_WRONLY, 0600));
  see("made", ep), see("once", ep);
  close(open("watched/b", O_CREAT | O_WRONLY, 0600));
  see("another", ep);
  ret("one read", read(in, buf, 40) > 0 ? 1 : 0);
  see("the rest", ep);
  while (read(in, buf, sizeof buf) > 0) {}
  see("none", ep);
  close(in), close(ep);

  int gate[2];
  pipe(gate);
  pid_t pid = fork();
  if (pid == 0) {
    close(gate[1]);
    read(gate[0], buf, 1);
    _exit(0);
  }
  int pf = syscall(SYS_pidfd_open, pid, 0);
  struct epoll_event ev;
  ep = edges(pf, BOTH);
  see("pidfd", ep);
  close(gate[1]);
  ret("ends", epoll_wait(ep, &ev, 1, 10000));
  say("%x", ev.events & EPOLLIN);
  see("once", ep);
  int level = epoll_create1(0);
  ctl(level, EPOLL_CTL_ADD, pf, BOTH, 1);
  see("a zombie", level);
  waitpid(pid, NULL, 0);
  see("reaped", level), see("reaped", level), see("edge", ep);
  close(pf), close(ep), close(level), close(gate[0]);
}

static void pty_edges(void) {
  int m = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK), n = 0;
  ioctl(m, TIOCSPTLCK, &n);
  int s = ioctl(m, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_NONBLOCK);
  struct termios t;
  tcgetattr(s, &t);
  cfmakeraw(&t);
  tcsetattr(s, TCSANOW, &t);
  // What is written arrives by a worker: level-triggered, until it is there.
  struct pollfd pm = {m, POLLIN, 0}, ps = {s, POLLIN, 0};
  int a = edges(m, EPOLLIN), b = edges(s, EPOLLIN);
  see("master", a), see("slave", b);
  write(m, "abc", 3);
  poll(&ps, 1, 10000);
  see("typed", b), see("once", b), see("master", a);
  read(s, buf, 1);
  see("read one", b);
  write(s, "xyz", 3);
  poll(&pm, 1, 10000);
  see("printed", a), see("once", a);
  read(m, buf, 10);
  see("read", a);
  int c = edges(m, EPOLLOUT), d = edges(s, EPOLLOUT);
  see("master has room", c), see("slave has room", d);
  static const int queues[] = {TCIFLUSH, TCOFLUSH, TCIOFLUSH};
  for (int i = 0; i < 3; i++) {
    tcflush(s, queues[i]);
    see("master after a flush", c), see("slave after a flush", d);
  }
  close(c), close(d);
  close(s);
  int l = epoll_create1(0);
  ctl(l, EPOLL_CTL_ADD, m, EPOLLIN, 1);
  see("slave closed", l);
  ret("read", read(m, buf, 10));
  close(m), close(a), close(b), close(l);
}

// Until poll says `want` of everything: the loopback takes its time.
static void settle(int fd, int want) {
  struct pollfd p = {fd, POLLIN | POLLOUT | POLLRDHUP | POLLPRI, 0};
  for (int i = 0; i < 10000 && (poll(&p, 1, 0), p.revents != want); i++) sleep_ms(1);
  if (p.revents != want) say("settled at %x", p.revents);
}

static void unix_edges(int type) {
  int s[2];
  socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, s);
  int a = edges(s[0], BOTH), b = edges(s[1], BOTH);
  see("pair", a), see("pair", b), see("once", a);
  send(s[1], "abc", 3, 0);
  see("sent", a), see("once", a), see("sender", b);
  send(s[1], "abc", 3, 0);
  see("sent more", a), see("sender", b);
  recv(s[0], buf, 1, 0);
  see("read", a), see("sender", b);
  recv(s[0], buf, 1, MSG_PEEK);
  see("peeked", a), see("sender", b);
  while (recv(s[0], buf, sizeof buf, 0) > 0) {}
  see("read all", a), see("sender", b);
  ret("nothing", send(s[1], "", 0, 0));
  see("sent nothing", a);
  while (recv(s[0], buf, sizeof buf, 0) > 0) {}
  while (send(s[1], buf, 2000, 0) > 0) {}
  see("full", a), see("sender", b);
  while (recv(s[0], buf, sizeof buf, 0) > 0) {}
  see("drained", a), see("sender", b), see("once", b);
  shutdown(s[1], SHUT_WR);
  see("half closed", a), see("self", b), see("once", a);
  close(s[1]);
  see("closed", a), see("once", a);
  close(s[0]), close(a), close(b);
}

// Edges may come more than once here: nobody may rely on their number.
static void tcp_edges(void) {
  struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t l = sizeof in;
  int lis = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  int fresh = edges(c, BOTH);
  soon("fresh", fresh);
  bind(lis, (void *)&in, sizeof in), listen(lis, 16), getsockname(lis, (void *)&in, &l);
  int ep = edges(lis, BOTH);
  see("listener", ep);
  connect(c, (void *)&in, sizeof in);
  settle(c, POLLOUT);
  settle(lis, POLLIN);
  soon("to accept", ep);
  soon("connected", fresh);
  // A burst while one waits.
  int more[5];
  for (int i = 0; i < 5; i++) {
    more[i] = socket(AF_INET, SOCK_STREAM, 0);
    connect(more[i], (void *)&in, sizeof in);
  }
  int s = accept4(lis, NULL, NULL, SOCK_NONBLOCK);
  struct epoll_event ev;
  ret("burst", epoll_wait(ep, &ev, 1, 10000));
  int left = 0;
  for (int i = 0; i < 10000 && left < 5; i++) {
    int x = accept4(lis, NULL, NULL, SOCK_NONBLOCK);
    if (x < 0) sleep_ms(1);
    else left++, close(x);
  }
  say("%d accepted", left);
  for (int i = 0; i < 5; i++) close(more[i]);
  int a = edges(s, BOTH);
  soon("accepted", a);
  send(c, "abc", 3, 0);
  settle(s, POLLIN | POLLOUT);
  soon("sent", a);
  recv(s, buf, 1, 0);
  send(c, "d", 1, MSG_OOB);
  settle(s, POLLIN | POLLOUT | POLLPRI);
  soon("urgent", a);
  recv(s, buf, 1, MSG_OOB);
  while (recv(s, buf, 10, 0) > 0) {}
  ctl(a, EPOLL_CTL_MOD, s, BOTH | EPOLLET, 2);
  see("armed", a);
  shutdown(c, SHUT_WR);
  settle(s, POLLIN | POLLOUT | POLLRDHUP);
  soon("half closed", a);
  shutdown(s, SHUT_WR);
  settle(s, POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
  soon("closed", a);
  settle(c, POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
  close(c), close(s), close(a), close(ep), close(lis), close(fresh);
}

static void closing(void) {
  uint64_t one = 1;
  int ep = epoll_create1(0), e = eventfd(1, 0), d = dup(e), high = 500;
  ctl(ep, EPOLL_CTL_ADD, e, EPOLLIN, 1);
  ctl(ep, EPOLL_CTL_ADD, d, EPOLLIN, 2);
  see("twice", ep);
  dup2(e, high);
  close(e), close(d);
  see("closed, but there", ep);
  ret("del of the closed", epoll_ctl(ep, EPOLL_CTL_DEL, e, NULL));
  int other = eventfd(1, 0);
  is("same number", other == e);
  ret("del of another file", epoll_ctl(ep, EPOLL_CTL_DEL, other, NULL));
  ret("mod of another file", ctl(ep, EPOLL_CTL_MOD, other, EPOLLIN, 3));
  ret("add under one number", ctl(ep, EPOLL_CTL_ADD, other, EPOLLIN, 4));
  see("three", ep);
  ret("add by the third name", ctl(ep, EPOLL_CTL_ADD, high, EPOLLIN, 5));
  see("four", ep);
  close(high);
  see("one left", ep);
  dup2(ep, high);
  close(ep);
  see("instance by another name", high);
  pid_t pid = fork();
  if (pid == 0) {
    ret("child deletes", epoll_ctl(high, EPOLL_CTL_DEL, other, NULL));
    close(other);
    int p[2];
    pipe(p);
    write(p[1], "x", 1);
    ctl(high, EPOLL_CTL_ADD, p[0], EPOLLIN, 6);
    see("child's pipe", high);
    _exit(0);
  }
  waitpid(pid, NULL, 0);
  see("gone with the child", high);
  close(high), close(other);
}

static void nested(void) {
  uint64_t v = 1;
  int e = eventfd(0, EFD_NONBLOCK), in = epoll_create1(0), out = epoll_create1(0), outet = epoll_create1(0);
  ctl(in, EPOLL_CTL_ADD, e, EPOLLIN, 1);
  ctl(out, EPOLL_CTL_ADD, in, EPOLLIN | EPOLLOUT, 2);
  ctl(outet, EPOLL_CTL_ADD, in, EPOLLIN | EPOLLET, 3);
  see("none", out), see("none", outet);
  write(e, &v, 8);
  see("level", out), see("level again", out), see("edge", outet), see("edge once", outet);
  write(e, &v, 8);
  see("written again", outet);
  see("inner", in), see("edge", outet), see("level", out);
  read(e, &v, 8);
  see("read", out), see("inner", in);
  write(e, &v, 8);
  see("edge", outet);
  ctl(in, EPOLL_CTL_MOD, e, EPOLLIN | EPOLLET, 1);
  see("inner by edges", in), see("inner once", in), see("outer", out);
  write(e, &v, 8);
  see("outer", out), see("outer again", out), see("inner", in), see("outer after inner", out);
  ctl(in, EPOLL_CTL_MOD, e, EPOLLIN | EPOLLONESHOT, 1);
  see("outer", out), see("inner one-shot", in), see("outer", out);
  ret("loop of two", ctl(in, EPOLL_CTL_ADD, out, EPOLLIN, 1));
  ctl(out, EPOLL_CTL_DEL, in, 0, 0);
  ret("no loop now", ctl(in, EPOLL_CTL_ADD, out, EPOLLIN, 1));
  ret("loop the other way", ctl(out, EPOLL_CTL_ADD, in, EPOLLIN, 1));
  close(in), close(out), close(outet);
  // Depth: chains joined in the middle.
  for (int above = 0; above <= 5; above++)
    for (int below = 0; below <= 5; below++) {
      int a[6], b[6];
      for (int i = 0; i <= above; i++) {
        a[i] = epoll_create1(0);
        if (i > 0 && ctl(a[i], EPOLL_CTL_ADD, a[i - 1], EPOLLIN, 1) < 0) say("above %d: %s", i, strerrorname_np(errno));
      }
      for (int i = 0; i <= below; i++) {
        b[i] = epoll_create1(0);
        if (i > 0 && ctl(b[i - 1], EPOLL_CTL_ADD, b[i], EPOLLIN, 1) < 0) say("below %d: %s", i, strerrorname_np(errno));
      }
      char name[40];
      snprintf(name, sizeof name, "%d above %d", above, below);
      ret(name, ctl(a[0], EPOLL_CTL_ADD, b[0], EPOLLIN, 1));
      ret(" file at the bottom", ctl(b[below], EPOLL_CTL_ADD, e, EPOLLIN, 1));
      for (int i = 0; i <= above; i++) close(a[i]);
      for (int i = 0; i <= below; i++) close(b[i]);
    }
  // A diamond is no loop.
  int top = epoll_create1(0), left = epoll_create1(0), right = epoll_create1(0), bottom = epoll_create1(0);
  ret("diamond", ctl(top, EPOLL_CTL_ADD, left, EPOLLIN, 1));
  ret("diamond", ctl(top, EPOLL_CTL_ADD, right, EPOLLIN, 2));
  ret("diamond", ctl(left, EPOLL_CTL_ADD, bottom, EPOLLIN, 1));
  ret("diamond", ctl(right, EPOLL_CTL_ADD, bottom, EPOLLIN, 1));
  ret("diamond", ctl(bottom, EPOLL_CTL_ADD, e, EPOLLIN, 1));
  write(e, &v, 8);
  see("both sides", top);
  ret("up again", ctl(bottom, EPOLL_CTL_ADD, top, EPOLLIN, 1));
  close(top), close(left), close(right), close(bottom), close(e);
}

// One event at a time: everybody has a turn before anyone has a second one.
static void fair(void) {
  enum { N = 7 };
  int ep = epoll_create1(0), fds[N], seen[N] = {0}, fine = 1;
  for (int i = 0; i < N; i++) {
    fds[i] = eventfd(1, 0);
    ctl(ep, EPOLL_CTL_ADD, fds[i], EPOLLIN, i);
  }
  struct epoll_event ev[3];
  for (int turn = 0; turn < 3 * N; turn++) {
    if (epoll_wait(ep, ev, 1, 0) != 1) fine = 0;
    else seen[ev[0].data.u32]++;
    for (int i = 0; i < N; i++) fine &= seen[i] == turn / N || seen[i] == turn / N + 1;
  }
  is("round robin", fine);
  memset(seen, 0, sizeof seen);
  for (int turn = 0; turn < N; turn++)
    for (int n = epoll_wait(ep, ev, 3, 0), i = 0; i < n; i++) seen[ev[i].data.u32]++;
  for (int i = 0; i < N; i++) fine &= seen[i] == 3;
  is("by threes", fine);
  for (int i = 0; i < N; i++) ctl(ep, EPOLL_CTL_MOD, fds[i], EPOLLIN | EPOLLET, i);
  int total = 0, n;
  while ((n = epoll_wait(ep, ev, 3, 0)) > 0) total += n;
  say("%d edges", total);
  for (int i = 0; i < N; i++) close(fds[i]);
  close(ep);
}

// Wake-up paths: many may watch a file, few those.
static void paths(void) {
  struct rlimit limit = {1500, 1500};
  setrlimit(RLIMIT_NOFILE, &limit);
  int e = eventfd(0, 0), in = epoll_create1(0), n = 0, fds[700];
  ctl(in, EPOLL_CTL_ADD, e, EPOLLIN, 1);
  for (int i = 0; i < 700; i++) {
    fds[i] = epoll_create1(0);
    if (ctl(fds[i], EPOLL_CTL_ADD, in, EPOLLIN, 1) < 0) {
      if (n++ == 0) say("%d: %s", i, strerrorname_np(errno));
    }
  }
  say("%d refused", n);
  int second = epoll_create1(0), f = eventfd(0, 0);
  ret("second", ctl(in, EPOLL_CTL_ADD, f, EPOLLIN, 2));
  ret("below", ctl(in, EPOLL_CTL_ADD, second, EPOLLIN, 2));
  ret("below that", ctl(second, EPOLL_CTL_ADD, f, EPOLLIN, 2));
  for (int i = 0; i < 700; i++) close(fds[i]);
  ret("below that", ctl(second, EPOLL_CTL_ADD, f, EPOLLIN, 2));
  close(in), close(second), close(e), close(f);
}

// An instance that is watched twice is still watched when one of the items is gone.
static void twice(void) {
  int a = epoll_create1(0), b = epoll_create1(0), again = dup(b);
  ctl(a, EPOLL_CTL_ADD, b, EPOLLIN, 1);
  ctl(a, EPOLL_CTL_ADD, again, EPOLLIN, 2);
  ret("one of two", ctl(a, EPOLL_CTL_DEL, again, 0, 0));
  ret("loop", ctl(b, EPOLL_CTL_ADD, a, EPOLLIN, 1));
  ret("the other", ctl(a, EPOLL_CTL_DEL, b, 0, 0));
  ret("no loop", ctl(b, EPOLL_CTL_ADD, a, EPOLLIN, 1));
  close(a), close(b), close(again);
}

// Several items for one file: which comes first, and where one that is modified stands then; what an instance tells those that watch it.
static void order(void) {
  int fd[4], ep = epoll_create1(0), out = epoll_create1(0), p[2];
  fd[0] = eventfd(0, EFD_NONBLOCK);
  for (int i = 1; i < 4; i++) fd[i] = dup(fd[0]);
  for (int i = 0; i < 4; i++) ctl(ep, EPOLL_CTL_ADD, fd[i], EPOLLIN | EPOLLET | (i == 1 ? EPOLLEXCLUSIVE : 0), i);
  for (int turn = 0; turn < 2; turn++) {
    struct epoll_event e[4];
    write(fd[0], &(uint64_t){1}, 8);
    int n = epoll_wait(ep, e, 4, 0);
    printf("order");
    for (int i = 0; i < n; i++) printf(" %d", e[i].data.u32);
    say("");
    ctl(ep, EPOLL_CTL_MOD, fd[2], EPOLLIN | EPOLLET, 2);
    epoll_wait(ep, e, 4, 0);
  }
  int s[2], size = 5000;
  socketpair(AF_UNIX, SOCK_STREAM, 0, s);
  int room = edges(s[0], EPOLLOUT);
  see("at first", room);
  setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  see("another size", room);
  pipe(p);
  ctl(out, EPOLL_CTL_ADD, ep, EPOLLRDNORM, 7);
  see("normal data of an instance", out);
  ctl(ep, EPOLL_CTL_ADD, p[1], EPOLLOUT, 8);
  see("wakes for EPOLLIN only", out);
  ctl(out, EPOLL_CTL_MOD, ep, EPOLLRDNORM, 9);
  see("but is there", out);
}

int main(void) {
  errors();
  pipe_edges();
  counter_edges();
  other_edges();
  pty_edges();
  say("stream"), unix_edges(SOCK_STREAM);
  say("datagrams"), unix_edges(SOCK_DGRAM);
  say("packets"), unix_edges(SOCK_SEQPACKET);
  tcp_edges();
  closing();
  nested();
  fair();
  twice();
  paths();
  order();
  return 0;
}
