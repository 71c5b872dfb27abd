// Random walks over readiness: three epoll instances, poll and select watch a dozen files of all kinds that have it, while these are
// read, written, filled, shut down, duplicated and closed. No call waits.
#include "walk.h"
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <termios.h>

#define SLOTS 10
#define FIRST 40 // descriptors of the slots, then those of the epoll instances
#define INSTANCES 3
static const char *kinds[SLOTS]; // NULL: closed
static int pid_of_child, handled;
static char data[1 << 18];
static int urgent; // has been sent: what FIONREAD says of streams of Unix then, Linux has not settled

static int fd_of(int k) { return FIRST + k; }
static int slot(void) {
  int k = below(SLOTS);
  for (int i = 0; i < 3 && kinds[k] == NULL; i++) k = below(SLOTS);
  return k;
}
// A slot of this kind, if there is one: many operations are for one kind only.
static int slot_of(const char *kind) {
  int k = slot();
  for (int i = 0; i < SLOTS; i++, k = (k + 1) % SLOTS)
    if (kinds[k] && strncmp(kinds[k], kind, strlen(kind)) == 0) return k;
  return k;
}
static int is_kind(int k, const char *kind) { return kinds[k] && strncmp(kinds[k], kind, strlen(kind)) == 0; }
// What these carry comes a moment later.
static int late(int k) { return is_kind(k, "tcp") || is_kind(k, "udp") || is_kind(k, "pty"); }

static int put_in(int k, int fd, const char *kind) {
  if (fd < 0) return result(fd);
  dup2(fd, fd_of(k)), close(fd), kinds[k] = kind;
  out(" %s in %d", kind, k);
  return 0;
}

static int pending(int k) {
  int n = -1;
  if (is_kind(k, "eventfd") || is_kind(k, "stream") && urgent || ioctl(fd_of(k), FIONREAD, &n) != 0) return -1;
  return n;
}

static void look(char *to, size_t room) {
  char *p = to;
  for (int k = 0; k < SLOTS; k++) {
    struct pollfd f = {fd_of(k), 0x3fff};
    if (kinds[k] == NULL) continue;
    poll(&f, 1, 0);
    p += snprintf(p, room - (p - to), " %d:%s %x", k, kinds[k], f.revents);
    if (pending(k) >= 0) p += snprintf(p, room - (p - to), "/%d", pending(k));
  }
  snprintf(p, room - (p - to), "\n");
}

static void state(char *to, size_t room) {
  static char before[4000];
  int any = 0;
  for (int k = 0; k < SLOTS; k++) any |= late(k);
  look(to, room);
  for (int same = 0; any && same < 3;) {
    strcpy(before, to);
    nanosleep(&(struct timespec){0, 300000}, NULL);
    look(to, room);
    same = strcmp(before, to) == 0 ? same + 1 : 0;
  }
}

static void on_signal(int sig) { handled++; }

static void do_new(void);

static void begin(uint64_t seed) {
  sigset_t set;
  char dir[40];
  for (int i = 0; i < 10000; i++) {
    snprintf(dir, sizeof dir, "poll%d", i);
    if (mkdir(dir, 0777) == 0) break;
  }
  chdir(dir);
  signal(SIGPIPE, SIG_IGN), signal(SIGUSR1, on_signal), signal(SIGUSR2, on_signal);
  sigemptyset(&set), sigaddset(&set, SIGUSR1), sigaddset(&set, SIGUSR2), sigaddset(&set, SIGCHLD);
  sigprocmask(SIG_BLOCK, &set, NULL);
  for (int i = 0; i < INSTANCES; i++) {
    int fd = epoll_create1(0);
    dup2(fd, fd_of(SLOTS + i)), close(fd);
  }
  close(creat("w", 0600)), mkfifo("fifo", 0600);
  for (int i = 0; i < 6; i++) do_new(), out("\n");
}

static void new_inet(int a, int b, int type) {
  struct sockaddr_in at = {AF_INET, 0, {htonl(INADDR_LOOPBACK)}}, to = at;
  socklen_t len = sizeof at;
  int x = socket(AF_INET, type | SOCK_NONBLOCK, 0), y = socket(AF_INET, type | SOCK_NONBLOCK, 0);
  bind(x, (void *)&at, len), getsockname(x, (void *)&at, &len);
  if (type == SOCK_STREAM) {
    listen(x, 16), connect(y, (void *)&at, len);
    put_in(a, x, "tcp listener"), put_in(b, y, "tcp");
    return;
  }
  bind(y, (void *)&to, len), getsockname(y, (void *)&to, &len);
  connect(x, (void *)&to, len), connect(y, (void *)&at, len);
  put_in(a, x, "udp"), put_in(b, y, "udp");
}

static void new_child(int k) {
  int fd = -1;
  // With the same table of files: it holds none of its own.
  int pid = syscall(SYS_clone, CLONE_FILES | CLONE_PIDFD | SIGCHLD, 0, &fd, 0, 0);
  if (pid == 0) for (;;) pause();
  if (pid_of_child) kill(pid_of_child, SIGKILL), waitpid(pid_of_child, NULL, 0);
  pid_of_child = pid;
  put_in(k, fd, "pidfd");
}

static void do_new(void) {
  int a = below(SLOTS), b = (a + 1 + below(SLOTS - 1)) % SLOTS, fds[2] = {-1, -1};
  sigset_t set;
  static const char *const types[] = {"", "stream", "dgram", "", "", "seqpacket"};
  out("new");
  switch (below(19)) {
    case 0 ... 2: pipe2(fds, O_NONBLOCK | PICK(0, 0, O_DIRECT)), put_in(a, fds[0], "pipe end"), put_in(b, fds[1], "pipe"); break;
    case 3 ... 4: put_in(a, open("fifo", O_NONBLOCK | PICK(O_RDONLY, O_RDONLY, O_WRONLY, O_RDWR)), "pipe fifo"); break;
    case 5 ... 6: put_in(a, eventfd(PICK(0, 1, 3), EFD_NONBLOCK | PICK(0, EFD_SEMAPHORE)), "eventfd"); break;
    case 7: put_in(a, timerfd_create(PICK(CLOCK_MONOTONIC, CLOCK_REALTIME), TFD_NONBLOCK), "timerfd"); break;
    case 8:
      sigemptyset(&set), sigaddset(&set, PICK(SIGUSR1, SIGUSR1, SIGUSR2, SIGCHLD)), sigaddset(&set, SIGUSR1);
      put_in(a, signalfd(-1, &set, SFD_NONBLOCK), "signalfd");
      break;
    case 9 ... 11: {
      int type = PICK(SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET);
      socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, fds), put_in(a, fds[0], types[type]), put_in(b, fds[1], types[type]);
      break;
    }
    case 12: new_inet(a, b, PICK(SOCK_STREAM, SOCK_STREAM, SOCK_DGRAM)); break;
    case 13: {
      int n = 0, m = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
      ioctl(m, TIOCSPTLCK, &n);
      put_in(b, ioctl(m, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_NONBLOCK), "pty"), put_in(a, m, "pty master");
      break;
    }
    case 14:
      fds[0] = inotify_init1(IN_NONBLOCK), inotify_add_watch(fds[0], "w", IN_OPEN | IN_MODIFY);
      put_in(a, fds[0], "inotify");
      break;
    case 15: new_child(a); break;
    case 16: put_in(a, memfd_create("m", 0), "memfd"); break;
    case 17: put_in(a, open(((const char *[]){"/proc/self/mounts", "/proc/sys/kernel/hostname", "/proc/self/status", "/proc/self/mountinfo", "."})[below(5)], O_RDONLY), "proc"); break;
    default: put_in(a, open(((const char *[]){"/dev/null", "/dev/zero", "/dev/full", "w"})[below(4)], O_RDWR), "device");
  }
}

static unsigned some_events(void) {
  unsigned e = PICK(EPOLLIN, EPOLLIN, EPOLLOUT, EPOLLIN | EPOLLOUT, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI, 0, EPOLLRDNORM, EPOLLWRNORM, EPOLLRDHUP, EPOLLPRI, 0x3fff);
  return e | PICK(0, 0, 0, EPOLLET, EPOLLET, EPOLLET, EPOLLONESHOT, EPOLLET | EPOLLONESHOT, EPOLLEXCLUSIVE, EPOLLEXCLUSIVE | EPOLLET, EPOLLWAKEUP);
}

static void do_ctl(unsigned i) {
  int ep = below(INSTANCES), k = one_in(8) ? SLOTS + below(INSTANCES) : slot();
  int op = PICK(EPOLL_CTL_ADD, EPOLL_CTL_ADD, EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_MOD, EPOLL_CTL_DEL);
  struct epoll_event e = {some_events(), {.u32 = i}};
  out("ctl(%d, %s, %d, %x)", ep, op == EPOLL_CTL_ADD ? "add" : op == EPOLL_CTL_MOD ? "mod" : "del", k, e.events);
  result(epoll_ctl(fd_of(SLOTS + ep), op, fd_of(k), &e));
}

static void do_wait(void) {
  static const sigset_t none;
  struct epoll_event e[16];
  int ep = below(INSTANCES), max = PICK(1, 1, 2, 3, 16, 16, 16), unblock = one_in(10);
  out("wait(%d, %d%s)", ep, max, unblock ? ", signals" : "");
  int n = result(epoll_pwait(fd_of(SLOTS + ep), e, max, 0, unblock ? &none : NULL));
  for (int i = 0; i < n; i++) out(" [%u %x]", e[i].data.u32, e[i].events);
  if (unblock) out(" handled %d", handled);
}

static void do_poll(void) {
  static const sigset_t none;
  static const struct timespec now;
  struct pollfd f[SLOTS + INSTANCES];
  int n = 1 + below(SLOTS), unblock = one_in(10);
  out("poll(");
  for (int i = 0; i < n; i++) {
    int k = one_in(8) ? SLOTS + below(INSTANCES) : slot();
    f[i] = (struct pollfd){one_in(20) ? -5 : fd_of(k), PICK(POLLIN, POLLOUT, POLLIN | POLLOUT, POLLPRI, 0, 0x3fff, POLLRDHUP, -1)};
    out("%s%d %hx", i ? ", " : "", f[i].fd < 0 ? -1 : k, f[i].events);
  }
  out(unblock ? ", signals)" : ")");
  result(ppoll(f, n, &now, unblock ? &none : NULL));
  for (int i = 0; i < n; i++) out(" %hx", f[i].revents);
  if (unblock) out(" handled %d", handled);
}

static void do_select(void) {
  fd_set sets[3];
  struct timeval now = {0, 0};
  int n = FIRST + PICK(SLOTS + INSTANCES, SLOTS + INSTANCES, 3, 0, 100);
  out("select(%d", n);
  for (int s = 0; s < 3; s++) {
    FD_ZERO(&sets[s]);
    out(", ");
    for (int k = 0; k < SLOTS + INSTANCES; k++)
      if (below(3) == 0 && (k >= SLOTS || kinds[k] || one_in(30))) FD_SET(fd_of(k), &sets[s]), out("%x", k);
  }
  out(")"), result(select(n, &sets[0], one_in(10) ? NULL : &sets[1], &sets[2], &now));
  for (int s = 0; s < 3; s++) {
    out(" ");
    for (int k = 0; k < SLOTS + INSTANCES; k++) if (FD_ISSET(fd_of(k), &sets[s])) out("%x", k);
  }
}

static int amount(int k) {
  if (late(k)) return PICK(0, 1, 10, 100, 1000);
  return PICK(0, 1, 8, 10, 100, 4000, 4095, 4096, 4097, 5000, 20000, 65536, 70000, 200000);
}

static void do_write(void) {
  int k = slot(), n = amount(k);
  if (is_kind(k, "eventfd")) {
    uint64_t value = PICK(0, 1, 5, -2, -3, -1);
    out("write(%d, %ld)", k, (long)value), result(write(fd_of(k), &value, PICK(8, 8, 8, 8, 7, 16)));
    return;
  }
  if (is_kind(k, "pty")) {
    static const char *const texts[] = {"a", "line\n", "\n", "two\nthree", "\x04", "\x15", "\x13", "\x11"};
    const char *text = texts[below(8)];
    out("write(%d)", k), result(write(fd_of(k), text, strlen(text)));
    return;
  }
  out("write(%d, %d)", k, n), result(write(fd_of(k), data, n));
}

static void do_read(void) {
  int k = slot(), n = amount(k);
  out("read(%d, %d)", k, n);
  if (is_kind(k, "proc") || is_kind(k, "device")) done(read(fd_of(k), data, n));
  else result(read(fd_of(k), data, n));
  if (is_kind(k, "eventfd")) out(" %ld", *(long *)data);
  memset(data, 0, 100);
}

static int no_socket(int k) { return is_kind(k, "pipe") || is_kind(k, "memfd") || is_kind(k, "eventfd") || is_kind(k, "device"); }

static void do_move(void) {
  int a = slot(), b = slot(), n = amount(a) ?: 1;
  // How sockets cut what they give is no promise.
  if (!no_socket(a)) a = slot_of("pipe");
  if (!no_socket(b)) b = slot_of("pipe");
  struct iovec { char *p; size_t n; } v = {data + PICK(0, 0, 100), n};
  switch (below(4)) {
    case 0 ... 1: out("splice(%d, %d, %d)", a, b, n), result(splice(fd_of(a), NULL, fd_of(b), NULL, n, SPLICE_F_NONBLOCK)); break;
    case 2: out("tee(%d, %d, %d)", a, b, n), result(tee(fd_of(a), fd_of(b), n, SPLICE_F_NONBLOCK)); break;
    default: out("sendfile(%d, %d, %d)", b, a, n), result(sendfile(fd_of(b), fd_of(a), NULL, n));
  }
}

static void do_timer(void) {
  int k = slot_of("timerfd"), what = below(3);
  struct itimerspec t = {{0, 0}, {what == 1 ? 100000 : 0, what == 2}};
  out("settime(%d, %s)", k, what == 0 ? "off" : what == 1 ? "far" : "past");
  result(timerfd_settime(fd_of(k), what == 2 ? TFD_TIMER_ABSTIME : 0, &t, NULL));
  struct pollfd f = {fd_of(k), POLLIN};
  if (what == 2 && is_kind(k, "timerfd")) poll(&f, 1, 5000);
}

static void do_child(void) {
  if (pid_of_child == 0) return out("nobody"), (void)0;
  siginfo_t info = {0};
  if (one_in(2)) out("kill"), result(kill(pid_of_child, SIGKILL)), waitid(P_PID, pid_of_child, &info, WEXITED | WNOWAIT);
  else out("reap"), done(waitpid(pid_of_child, NULL, WNOHANG)) > 0 ? pid_of_child = 0 : 0;
}

static void do_signal(void) {
  static const struct timespec now;
  sigset_t set;
  int sig = PICK(SIGUSR1, SIGUSR1, SIGUSR2);
  sigemptyset(&set), sigaddset(&set, sig);
  if (one_in(3)) out("sigtimedwait(%d)", sig), result(sigtimedwait(&set, NULL, &now));
  else out("raise(%d)", sig), result(raise(sig));
}

static void do_pty(void) {
  struct termios t = {0};
  int k = slot_of("pty"), on = one_in(2);
  switch (below(4)) {
    case 0: out("tcflush(%d)", k), result(tcflush(fd_of(k), PICK(TCIFLUSH, TCOFLUSH, TCIOFLUSH))); break;
    case 1: out("TIOCPKT(%d, %d)", k, on), result(ioctl(fd_of(k), TIOCPKT, &on)); break;
    case 2: out("tcflow(%d)", k), result(tcflow(fd_of(k), PICK(TCOOFF, TCOON))); break;
    default:
      out("tcsetattr(%d, %d)", k, on);
      if (result(tcgetattr(fd_of(k), &t)) != 0) break;
      // Unread input is looked at in another way then: none.
      tcflush(fd_of(k), TCIOFLUSH);
      t.c_lflag = on ? t.c_lflag | ICANON : t.c_lflag & ~(ICANON | ECHO);
      t.c_cc[VMIN] = PICK(0, 1, 3);
      result(tcsetattr(fd_of(k), TCSANOW, &t));
  }
}

static void do_socket(void) {
  static const char *const types[] = {"stream", "dgram", "seqpacket", "tcp", "tcp listener", "udp"};
  int k = slot_of(types[below(6)]), v;
  switch (below(6)) {
    case 0 ... 1: v = below(3), out("shutdown(%d, %d)", k, v), result(shutdown(fd_of(k), v)); break;
    case 2:
      if (late(k)) return out("nothing"), (void)0;
      v = PICK(0, 5000, 20000, 212992), out("sndbuf(%d, %d)", k, v), result(setsockopt(fd_of(k), SOL_SOCKET, SO_SNDBUF, &v, 4)); break;
    case 3: v = PICK(1, 5, 200), out("rcvlowat(%d, %d)", k, v), result(setsockopt(fd_of(k), SOL_SOCKET, SO_RCVLOWAT, &v, 4)); break;
    case 4:
      k = slot_of("tcp listener");
      out("accept(%d)", k), v = accept4(fd_of(k), NULL, NULL, SOCK_NONBLOCK), v < 0 ? (void)result(v) : (void)put_in(slot(), v, "tcp");
      break;
    default: out("send oob(%d)", k), urgent |= is_kind(k, "stream"), result(send(fd_of(k), "u", 1, MSG_OOB | MSG_DONTWAIT));
  }
}

static void step(unsigned i) {
  int k = slot(), j = slot(), v;
  switch (below(40)) {
    case 0 ... 4: do_new(); break;
    case 5 ... 12: do_ctl(i); break;
    case 13 ... 17: do_wait(); break;
    case 18: do_poll(); break;
    case 19: do_select(); break;
    case 20 ... 23: do_write(); break;
    case 24 ... 27: do_read(); break;
    case 28: out("close(%d)", k), result(close(fd_of(k))), kinds[k] = NULL; break;
    case 29:
      out("dup(%d, %d)", k, j);
      if (result(dup2(fd_of(k), fd_of(j))) >= 0) kinds[j] = kinds[k];
      break;
    case 30 ... 31: do_move(); break;
    case 32:
      k = slot_of("pipe"), v = PICK(4096, 8192, 16384, 65536, 100000);
      out("setpipe(%d, %d)", k, v), result(fcntl(fd_of(k), F_SETPIPE_SZ, v)); break;
    case 33: do_timer(); break;
    case 34: do_child(); break;
    case 35: do_signal(); break;
    case 36: do_pty(); break;
    case 37 ... 38: do_socket(); break;
    default:
      if (one_in(2)) out("touch"), v = open("w", O_WRONLY), write(v, "x", 1), close(v);
      else if (one_in(3)) k = below(INSTANCES), out("again(%d)", k), v = epoll_create1(0), result(dup2(v, fd_of(SLOTS + k)) == fd_of(SLOTS + k)), close(v);
      else k = slot_of("pipe"), v = PICK(0, O_DIRECT), out("setfl(%d, %x)", k, v), result(fcntl(fd_of(k), F_SETFL, O_NONBLOCK | v));
  }
}
