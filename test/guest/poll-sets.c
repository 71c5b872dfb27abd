// link: -w
// poll, ppoll, select and pselect: masks of everything, closed and negative descriptors, limits, sets beyond the table, times
// that are written back, masks of signals.
#include "guest.h"
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>

static volatile sig_atomic_t hits;
static void on_signal(int s) { (void)s, hits++; }

static int mask(int fd, int events) {
  struct pollfd p = {fd, events, 0x5555};
  int n = poll(&p, 1, 0);
  if (n < 0) return -errno;
  return (n << 16) | (uint16_t)p.revents;
}

// Whether select finds it readable, writable, exceptional.
static const char *sel(int fd) {
  static char text[40];
  fd_set r, w, x;
  FD_ZERO(&r); FD_ZERO(&w); FD_ZERO(&x);
  FD_SET(fd, &r); FD_SET(fd, &w); FD_SET(fd, &x);
  struct timeval tv = {0, 0};
  int n = select(fd + 1, &r, &w, &x, &tv);
  if (n < 0) return strerrorname_np(errno);
  snprintf(text, sizeof text, "%d %d%d%d", n, !!FD_ISSET(fd, &r), !!FD_ISSET(fd, &w), !!FD_ISSET(fd, &x));
  return text;
}

// A set in which a few files stand many times, each time with another wish: it is waited for, and all of them are told.
static void repeated(void) {
  enum { N = 900 };
  int in[2], out[2];
  pipe(in), pipe(out);
  struct pollfd p[N];
  for (int i = 0; i < N; i++) p[i] = (struct pollfd){i % 3 == 0 ? in[0] : i % 3 == 1 ? out[0] : -1, i % 2 ? POLLIN : POLLRDHUP, 0x5555};
  for (int kind = 0; kind < 3; kind++) {
    pid_t parent = getpid(), child = fork();
    if (child == 0) {
      until_state(parent, 'S');
      if (kind == 0) write(out[1], "x", 1);
      else if (kind == 1) write(in[1], "x", 1);
      else close(in[1]);
      _exit(0);
    }
    if (kind == 2) close(in[1]);
    int n = poll(p, N, 20000), told = 0, hups = 0;
    for (int i = 0; i < N; i++) told += (p[i].revents & POLLIN) != 0, hups += (p[i].revents & POLLHUP) != 0;
    say("many times: %d, readable %d, hung up %d", n, told, hups);
    char c;
    if (kind < 2) read(kind == 0 ? out[0] : in[0], &c, 1);
    waitpid(child, NULL, 0);
  }
  close(in[0]), close(out[0]), close(out[1]);
  // select sees duplicates.
  pipe(in);
  fd_set r;
  FD_ZERO(&r);
  int top = 0;
  for (int i = 0; i < 40; i++) top = dup(in[0]), FD_SET(top, &r);
  pid_t parent = getpid(), child = fork();
  if (child == 0) {
    until_state(parent, 'S');
    write(in[1], "x", 1);
    _exit(0);
  }
  struct timeval tv = {20, 0};
  ret("select of duplicates", select(top + 1, &r, NULL, NULL, &tv));
  waitpid(child, NULL, 0);
  for (int i = 0; i < 40; i++) close(top - i);
  close(in[0]), close(in[1]);
}

static void object(const char *name, int fd) {
  int ep = epoll_create1(0);
  struct epoll_event e = {.events = 0x7fff & ~POLLNVAL}, out = {0};
  int r = epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e), n = r < 0 ? -errno : epoll_wait(ep, &out, 1, 0);
  say("%s: all %x none %x in %x every bit %x, select %s, epoll %d %x", name,
      mask(fd, POLLIN | POLLOUT | POLLPRI | POLLRDHUP | POLLRDNORM | POLLRDBAND | POLLWRNORM | POLLWRBAND | POLLMSG), mask(fd, 0),
      mask(fd, POLLIN), mask(fd, -1), sel(fd), n, out.events);
  close(ep);
}

static void objects(void) {
  int p[2], q[2], u[2], d[2];
  uint64_t v = 1;
  pipe(p);
  object("empty pipe", p[0]), object("its writer", p[1]);
  write(p[1], "x", 1);
  object("filled pipe", p[0]);
  fcntl(p[1], F_SETFL, O_NONBLOCK);
  static char page[4096];
  while (write(p[1], page, sizeof page) > 0) {}
  object("full pipe", p[1]);
  close(p[1]);
  object("pipe without writer", p[0]);
  pipe(q);
  close(q[0]);
  object("pipe without reader", q[1]);
  mkfifo("fifo", 0600);
  int f = open("fifo", O_RDWR), g = open("fifo", O_RDONLY | O_NONBLOCK);
  object("fifo for both", f), object("fifo for reading", g);
  close(f);
  object("fifo whose writer left", g);
  close(g);
  g = open("fifo", O_RDONLY | O_NONBLOCK);
  object("fifo without a writer yet", g);
  int e = eventfd(0, 0);
  object("eventfd", e);
  write(e, &v, 8);
  object("counted", e);
  v = UINT64_MAX - 2;
  write(e, &v, 8);
  object("full eventfd", e);
  int t = timerfd_create(CLOCK_MONOTONIC, 0);
  object("timerfd", t);
  int in = inotify_init1(0);
  object("inotify", in);
  int ep = epoll_create1(0);
  object("epoll", ep);
  struct epoll_event ev = {.events = EPOLLIN};
  epoll_ctl(ep, EPOLL_CTL_ADD, e, &ev);
  object("ready epoll", ep);
  sigset_t set;
  sigemptyset(&set);
  object("signalfd", signalfd(-1, &set, 0));
  object("memfd", memfd_create("m", 0));
  object("file", open("file", O_CREAT | O_RDWR, 0600));
  object("write-only file", open("file", O_WRONLY));
  object("directory", open(".", O_RDONLY));
  object("path", open(".", O_PATH));
  object("null", open("/dev/null", O_RDWR));
  object("zero for reading", open("/dev/zero", O_RDONLY));
  object("urandom", open("/dev/urandom", O_RDONLY));
  object("full", open("/dev/full", O_WRONLY));
  object("proc file", open("/proc/self/stat", O_RDONLY));
  object("proc mounts", open("/proc/self/mounts", O_RDONLY));
  object("maps", open("/proc/self/maps", O_RDONLY));
  object("sysctl", open("/proc/sys/kernel/hostname", O_RDONLY));
  object("sysctl without poll", open("/proc/sys/kernel/pid_max", O_RDONLY));
  object("own pidfd", syscall(SYS_pidfd_open, getpid(), 0));
  object("namespace", open("/proc/self/ns/net", O_RDONLY));
  object("unix stream", socket(AF_UNIX, SOCK_STREAM, 0));
  object("unix datagram", socket(AF_UNIX, SOCK_DGRAM, 0));
  object("unix packets", socket(AF_UNIX, SOCK_SEQPACKET, 0));
  object("TCP", socket(AF_INET, SOCK_STREAM, 0));
  object("UDP", socket(AF_INET, SOCK_DGRAM, 0));
  object("UDP 6", socket(AF_INET6, SOCK_DGRAM, 0));
  object("netlink", socket(AF_NETLINK, SOCK_RAW, 0));
  for (int type = SOCK_STREAM; type <= SOCK_SEQPACKET; type++) {
    if (socketpair(AF_UNIX, type, 0, u) < 0) continue;
    object("pair", u[0]);
    write(u[1], "x", 1);
    object("with data", u[0]);
    shutdown(u[0], SHUT_WR);
    object("shut", u[0]), object("other", u[1]);
    close(u[1]);
    object("left", u[0]);
    close(u[0]);
  }
  socketpair(AF_UNIX, SOCK_STREAM, 0, d);
  send(d[1], "u", 1, MSG_OOB);
  object("urgent", d[0]);
  struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "sock"};
  int l = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0);
  bind(l, (void *)&a, sizeof a);
  object("bound", l);
  listen(l, 1);
  object("listening", l);
  connect(c, (void *)&a, sizeof a);
  object("to accept", l), object("connected", c);
  shutdown(l, SHUT_RD);
  object("shut listener", l);
}

static void descriptors(void) {
  struct pollfd f[6] = {{-1, POLLIN, 0x1234}, {INT32_MIN, -1, 0x1234}, {1023, POLLIN, 0x1234}, {INT32_MAX, 0, 0x1234}, {900, 0, 0x1234}, {open(".", O_PATH), POLLIN, 0x1234}};
  ret("poll", poll(f, 6, -1));
  for (int i = 0; i < 6; i++) say("%x", f[i].revents);
  ret("negative only", poll(f, 2, 0));
  int p[2];
  pipe(p);
  close(p[1]);
  // The same descriptor several times.
  struct pollfd twice[3] = {{p[0], POLLIN, 0}, {p[0], 0, 0}, {p[0], POLLOUT, 0}};
  ret("twice", poll(twice, 3, -1));
  say("%x %x %x", twice[0].revents, twice[1].revents, twice[2].revents);
  struct rlimit old, small = {32, 0};
  getrlimit(RLIMIT_NOFILE, &old);
  small.rlim_max = old.rlim_max;
  static struct pollfd many[64];
  for (int i = 0; i < 64; i++) many[i].fd = -1;
  setrlimit(RLIMIT_NOFILE, &small);
  ret("as many as allowed", poll(many, 32, 0));
  ret("one more", poll(many, 33, 0));
  ret("more, nowhere", poll(BAD_PTR, 33, 0));
  ret("allowed, nowhere", poll(BAD_PTR, 32, 0));
  ret("-1", poll(many, (nfds_t)-1, 0));
  ret("2^32", syscall(SYS_poll, many, 1ul << 32, 0));
  struct timespec zero = {0, 0}, bad = {0, 1000000000}, before = {-1, 0};
  ret("ppoll one more", ppoll(many, 33, &zero, NULL));
  ret("ppoll bad time", ppoll(many, 33, &bad, NULL));
  ret("ppoll past", ppoll(many, 1, &before, NULL));
  ret("ppoll bad time, nowhere", syscall(SYS_ppoll, BAD_PTR, 1, &bad, NULL, 8));
  ret("ppoll time nowhere", syscall(SYS_ppoll, many, 1, BAD_PTR, NULL, 8));
  sigset_t set;
  sigemptyset(&set);
  ret("ppoll sigset of 4", syscall(SYS_ppoll, many, 1, &zero, &set, 4));
  ret("ppoll no sigset of 4", syscall(SYS_ppoll, many, 1, &zero, NULL, 4));
  ret("ppoll sigset nowhere", syscall(SYS_ppoll, many, 1, &zero, BAD_PTR, 8));
  fd_set r;
  FD_ZERO(&r);
  FD_SET(p[0], &r);
  ret("select is not limited", select(1024, &r, NULL, NULL, NULL));
  setrlimit(RLIMIT_NOFILE, &old);
}

static void sets(void) {
  // Beyond the table of descriptors (a power of two) nothing is looked at; before that a closed one is an error.
  enum { WORDS = 4096 };
  static unsigned long r[WORDS];
  struct timeval tv = {0, 0};
  int at[] = {40, 63, 64, 70, 127, 128, 200, 255, 256, 300, 511, 512, 1000, 1023, 1024, 2047, 2048, 5000, 65535, 65536, 100000};
  pid_t pid;
  for (int high = 600; high <= 1500; high += 900) {
    fflush(stdout);
    if ((pid = fork()) == 0) {
      struct rlimit limit = {2000, 2000};
      setrlimit(RLIMIT_NOFILE, &limit);
      closefrom(3);
      dup2(1, high);
      for (unsigned i = 0; i < sizeof at / sizeof *at; i++) {
        memset(r, 0, sizeof r);
        r[at[i] / 64] |= 1ul << (at[i] % 64);
        char name[60];
        snprintf(name, sizeof name, "%d open, bit %d", high, at[i]);
        ret(name, syscall(SYS_select, at[i] + 1, r, NULL, NULL, &tv));
        say("%d", (int)(r[at[i] / 64] >> (at[i] % 64) & 1));
      }
      _exit(0);
    }
    waitpid(pid, NULL, 0);
  }
  memset(r, 0, sizeof r);
  // Descriptor 3 is always writable, as the standard output may not be.
  closefrom(3);
  is("descriptor 3", eventfd(0, 0) == 3);
  // How much of the results is written.
  for (int n = 0; n <= 130; n += 13) {
    unsigned long x[4] = {0, ~0ul, ~0ul, ~0ul};
    x[0] = 8;
    x[1] = n > 64 ? 0 : ~0ul;
    x[2] = n > 128 ? 0 : ~0ul;
    char name[40];
    snprintf(name, sizeof name, "%d bits", n);
    ret(name, syscall(SYS_select, n, NULL, x, NULL, &tv));
    say("%lx %lx %lx %lx", x[0], x[1], x[2], x[3]);
  }
  unsigned long x = ~0ul << 4 | 8;
  ret("bits above n", syscall(SYS_select, 4, NULL, &x, NULL, &tv));
  say("%lx", x);
  ret("negative n", syscall(SYS_select, -1, r, NULL, NULL, &tv));
  ret("negative n, bad time", syscall(SYS_select, -1, r, NULL, NULL, BAD_PTR));
  ret("nowhere", syscall(SYS_select, 3, BAD_PTR, NULL, NULL, &tv));
  ret("nowhere, n 0", syscall(SYS_select, 0, BAD_PTR, BAD_PTR, BAD_PTR, &tv));
  ret("second nowhere", syscall(SYS_select, 3, r, BAD_PTR, NULL, &tv));
  ret("huge n", syscall(SYS_select, INT32_MAX, NULL, NULL, NULL, &tv));
  void *ro = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  *(unsigned long *)ro = 8;
  mprotect(ro, 4096, PROT_READ);
  ret("read-only set", syscall(SYS_select, 4, NULL, ro, NULL, &tv));
  struct pollfd *rp = ro;
  ret("read-only pollfd", poll(rp, 1, 0));
  ret("read-only timeval", syscall(SYS_select, 0, NULL, NULL, NULL, (char *)ro + 16));
}

static void times(void) {
  closefrom(3);
  sigset_t none, block;
  sigemptyset(&none), sigemptyset(&block);
  sigaddset(&block, SIGUSR1);
  struct sigaction sa = {.sa_handler = on_signal};
  sigaction(SIGUSR1, &sa, NULL);
  int p[2];
  pipe(p);
  struct pollfd f = {p[0], POLLIN, 0};
  struct timespec ts = {0, 1000};
  ret("ppoll", syscall(SYS_ppoll, &f, 1, &ts, NULL, 8));
  say("left %ld %ld", (long)ts.tv_sec, ts.tv_nsec);
  struct timeval tv = {0, 1};
  ret("select", syscall(SYS_select, 0, NULL, NULL, NULL, &tv));
  say("left %ld %ld", (long)tv.tv_sec, (long)tv.tv_usec);
  ts = (struct timespec){0, 1000};
  ret("pselect", syscall(SYS_pselect6, 0, NULL, NULL, NULL, &ts, NULL));
  say("left %ld %ld", (long)ts.tv_sec, ts.tv_nsec);
  write(p[1], "x", 1);
  ts = (struct timespec){1000000, 0};
  ret("ready", syscall(SYS_ppoll, &f, 1, &ts, NULL, 8));
  is("less is left", ts.tv_sec < 1000000 && ts.tv_sec > 990000);
  ts = (struct timespec){1000000, 0};
  f.fd = 900;
  ret("nothing open", syscall(SYS_ppoll, &f, 1, &ts, NULL, 8));
  is("less is left", ts.tv_sec < 1000000);
  ts = (struct timespec){1000000, 0};
  ret("nowhere", syscall(SYS_ppoll, BAD_PTR, 1, &ts, NULL, 8));
  say("less is left %d", ts.tv_sec < 1000000);
  ts = (struct timespec){1000000, 0};
  ret("too many", syscall(SYS_ppoll, &f, 100000000, &ts, NULL, 8));
  say("less is left %d", ts.tv_sec < 1000000);
  tv = (struct timeval){1000000, 0};
  unsigned long closed = 1ul << 40;
  ret("closed", syscall(SYS_select, 64, &closed, NULL, NULL, &tv));
  say("less is left %d, set %lx", tv.tv_sec < 1000000, closed);
  tv = (struct timeval){1000000, 0};
  ret("negative n", syscall(SYS_select, -1, NULL, NULL, NULL, &tv));
  say("less is left %d", tv.tv_sec < 1000000);
  tv = (struct timeval){1, 3000000};
  unsigned long in = 1ul << p[0];
  ret("many microseconds", syscall(SYS_select, 64, &in, NULL, NULL, &tv));
  say("%ld", (long)tv.tv_sec);
  tv = (struct timeval){0, -1};
  ret("negative microseconds", syscall(SYS_select, 0, NULL, NULL, NULL, &tv));
  f.fd = p[0];
  read(p[0], &in, 1);

  // A pending signal of the mask given: it ends what would wait, not what is ready.
  sigprocmask(SIG_BLOCK, &block, NULL);
  struct { const sigset_t *set; size_t size; } arg = {&none, 8};
  int ep = epoll_create1(0);
  struct epoll_event e = {.events = EPOLLIN}, got;
  epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &e);
  for (int ready = 0; ready <= 1; ready++)
    for (int zero = 0; zero <= 1; zero++) {
      say("ready %d, no time %d", ready, zero);
      struct timespec given = {zero ? 0 : 1000000, 0};
      for (int call = 0; call < 4; call++) {
        static const char *names[] = {"ppoll", "pselect", "epoll_pwait", "epoll_pwait2"};
        hits = 0;
        raise(SIGUSR1);
        ts = given;
        in = 1ul << p[0];
        long r = call == 0   ? syscall(SYS_ppoll, &f, 1, &ts, &none, 8)
                 : call == 1 ? syscall(SYS_pselect6, 64, &in, NULL, NULL, &ts, &arg)
                 : call == 2 ? syscall(SYS_epoll_pwait, ep, &got, 1, zero ? 0 : 1000000, &none, 8)
                             : syscall(SYS_epoll_pwait2, ep, &got, 1, &ts, &none, 8);
        ret(names[call], r);
        sigset_t now, pending;
        sigprocmask(SIG_SETMASK, NULL, &now), sigpending(&pending);
        say("hits %d, blocked %d, pending %d, less is left %d", hits, sigismember(&now, SIGUSR1), sigismember(&pending, SIGUSR1),
            ts.tv_sec < given.tv_sec);
        // Whatever is left of it.
        sigprocmask(SIG_UNBLOCK, &block, NULL), sigprocmask(SIG_BLOCK, &block, NULL);
      }
      if (zero && !ready) write(p[1], "x", 1);
    }
  arg.size = 4;
  ret("pselect sigset of 4", syscall(SYS_pselect6, 0, NULL, NULL, NULL, &ts, &arg));
  arg.set = NULL;
  ts = (struct timespec){0, 0};
  ret("no sigset of 4", syscall(SYS_pselect6, 0, NULL, NULL, NULL, &ts, &arg));
  ret("argument nowhere", syscall(SYS_pselect6, 0, NULL, NULL, NULL, &ts, BAD_PTR));
  ret("epoll_pwait sigset of 4", syscall(SYS_epoll_pwait, ep, &got, 1, 0, &none, 4));
  ret("epoll_pwait no sigset of 4", syscall(SYS_epoll_pwait, ep, &got, 1, 0, NULL, 4));
  ret("epoll_pwait sigset nowhere", syscall(SYS_epoll_pwait, ep, &got, 1, 0, BAD_PTR, 8));
  ret("epoll_pwait sigset nowhere, closed", syscall(SYS_epoll_pwait, 900, &got, 1, 0, BAD_PTR, 8));
  ret("epoll_pwait2 time nowhere", syscall(SYS_epoll_pwait2, ep, &got, 1, BAD_PTR, NULL, 8));
  ts.tv_nsec = 1000000000;
  ret("epoll_pwait2 bad time, closed", syscall(SYS_epoll_pwait2, 900, &got, 1, &ts, NULL, 8));
  ts.tv_sec = -1, ts.tv_nsec = 0;
  ret("epoll_pwait2 past", syscall(SYS_epoll_pwait2, ep, &got, 1, &ts, NULL, 8));
}

int main(void) {
  objects();
  descriptors();
  sets();
  times();
  repeated();
  return 0;
}
