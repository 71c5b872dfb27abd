// link: -w
// Terminals' ioctls and reads: VMIN and VTIME, TIOCEXCL, TIOCSTI, locks of ptys, TIOCGPTPEER, flow control, queues and flushes, packet mode,
// instances of devpts, the ends of both sides.
#include "ready.h"
#include <linux/tty.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <termios.h>

static char buf[8192], slave_name[64];
static int m, s;

#define seq(format, ...) \
  do { \
    const char *a_[4] = {__VA_ARGS__}; \
    say(format, a_[0], a_[1], a_[2], a_[3]); \
  } while (0)

static void open_pair(void) {
  int zero = 0, n = 0;
  m = open("/dev/ptmx", O_RDWR | O_NOCTTY);
  ioctl(m, TIOCSPTLCK, &zero), ioctl(m, TIOCGPTN, &n);
  snprintf(slave_name, sizeof slave_name, "/dev/pts/%d", n);
  s = open(slave_name, O_RDWR | O_NOCTTY);
}

static void close_pair(void) { close(s), close(m); }

static void mode(int lflag_on, int lflag_off, int vmin, int vtime) {
  struct termios t;
  tcgetattr(s, &t);
  t.c_lflag = (t.c_lflag | lflag_on) & ~lflag_off;
  t.c_cc[VMIN] = vmin, t.c_cc[VTIME] = vtime;
  tcsetattr(s, TCSANOW, &t);
}

static int queued(int fd) {
  int n = -1;
  return ioctl(fd, FIONREAD, &n) < 0 ? -errno : n;
}

static void arrived(int fd, int n) {
  for (int i = 0; i < 50000 && queued(fd) < n; i++) usleep(100);
}

// Reads of `want` with `have` bytes there, by every kind of VMIN and VTIME; only those that end.
static void vmin_vtime(void) {
  static const int mins[] = {0, 1, 3, 255}, times[] = {0, 1}, haves[] = {0, 1, 3, 5}, wants[] = {0, 1, 4, 100};
  open_pair();
  for (int i = 0; i < 4; i++)
    for (int t = 0; t < 2; t++)
      for (int h = 0; h < 4; h++)
        for (int w = 0; w < 4; w++) {
          int min = mins[i], need = min > wants[w] ? wants[w] : min;
          // Waits that a timer ends cost a tenth of a second each.
          int timed = times[t] > 0 && (min == 0 ? haves[h] == 0 : haves[h] > 0 && haves[h] < need);
          int forever = haves[h] < need && !(times[t] > 0 && haves[h] > 0);
          mode(0, ICANON | ECHO, min, times[t]);
          tcflush(s, TCIOFLUSH);
          write(m, "abcde", haves[h]);
          arrived(s, haves[h]);
          fcntl(s, F_SETFL, O_NONBLOCK);
          int poll_says = mask(s) & POLLIN;
          const char *nonblock = "-", *blocked = "-";
          if (forever || (timed && !(i == 0 && w == 1) && !(i == 2 && w == 3 && h == 1))) nonblock = err(read(s, buf, wants[w]));
          else {
            fcntl(s, F_SETFL, 0);
            blocked = err(read(s, buf, wants[w]));
          }
          say("min %d time %d, %d there, want %d: poll %x, %s %s, left %d", min, times[t], haves[h], wants[w], poll_says, nonblock, blocked, queued(s));
        }
  close_pair();
}

static void exclusive(void) {
  int v = -1;
  open_pair();
  seq("exclusive %s, again %s", err(ioctl(s, TIOCEXCL)), err(ioctl(s, TIOCEXCL)));
  ioctl(s, TIOCGEXCL, &v), say("is %d", v);
  v = -1, ioctl(m, TIOCGEXCL, &v), say("the master's %d", v);
  say("root opens %s", err(open(slave_name, O_RDWR | O_NOCTTY) < 0 ? -1 : 0));
  chmod(slave_name, 0666);
  if (fork() == 0) {
    setresuid(1000, 1000, 1000);
    say("user opens %s", err(open(slave_name, O_RDWR | O_NOCTTY) < 0 ? -1 : 0));
    _exit(0);
  }
  wait(NULL);
  say("not exclusive %s", err(ioctl(s, TIOCNXCL)));
  if (fork() == 0) {
    setresuid(1000, 1000, 1000);
    say("user opens %s", err(open(slave_name, O_RDWR | O_NOCTTY) < 0 ? -1 : 0));
    _exit(0);
  }
  wait(NULL);
  close_pair();
}

static void locks_and_peers(void) {
  int one = 1, zero = 0, v = -1, n = -1, p;
  m = open("/dev/ptmx", O_RDWR | O_NOCTTY);
  seq("locked %s", err(ioctl(m, TIOCGPTLCK, &v)));
  ioctl(m, TIOCGPTN, &n), snprintf(slave_name, sizeof slave_name, "/dev/pts/%d", n);
  say("is %d, open %s", v, err(open(slave_name, O_RDWR | O_NOCTTY)));
  p = ioctl(m, TIOCGPTPEER, O_RDWR | O_NOCTTY);
  say("peer of the locked %s", p < 0 ? strerrorname_np(errno) : "opens");
  if (p >= 0) close(p);
  seq("unlock %s, %s", err(ioctl(m, TIOCSPTLCK, &zero)), err(ioctl(m, TIOCGPTLCK, &v)));
  say("is %d", v);
  seq("nowhere %s %s %s", err(ioctl(m, TIOCSPTLCK, BAD_PTR)), err(ioctl(m, TIOCGPTLCK, BAD_PTR)), err(ioctl(m, TIOCGPTN, BAD_PTR)));
  static const int flags[] = {O_RDWR, O_RDONLY, O_WRONLY, O_RDWR | O_CLOEXEC, O_RDWR | O_NONBLOCK, O_RDWR | O_TRUNC};
  for (unsigned i = 0; i < sizeof flags / sizeof *flags; i++) {
    p = ioctl(m, TIOCGPTPEER, flags[i] | O_NOCTTY);
    if (p < 0) say("peer %x: %s", flags[i], strerrorname_np(errno));
    else {
      struct stat a, b;
      int same = fstat(p, &a) == 0 && stat(slave_name, &b) == 0 && a.st_rdev == b.st_rdev;
      say("peer %x: flags %x, cloexec %d, same %d, tty %d", flags[i], fcntl(p, F_GETFL), fcntl(p, F_GETFD), same, isatty(p));
      close(p);
    }
  }
  s = open(slave_name, O_RDWR | O_NOCTTY);
  seq("of a slave %s %s %s %s", err(ioctl(s, TIOCGPTPEER, O_RDWR)), err(ioctl(s, TIOCSPTLCK, &zero)), err(ioctl(s, TIOCGPTN, &n)), err(ioctl(s, TIOCGPTLCK, &v)));
  ioctl(m, TIOCSPTLCK, &one);
  say("locked again, open %s", err(open(slave_name, O_RDWR | O_NOCTTY)));
  close_pair();
  say("gone %s", err(open(slave_name, O_RDWR | O_NOCTTY)));
}

static void sti(void) {
  open_pair();
  char c = 'q';
  seq("no terminal of ours %s", err(ioctl(s, TIOCSTI, &c)));
  pid_t p = fork();
  if (p == 0) {
    setsid();
    say("takes %s", err(ioctl(s, TIOCSCTTY, 0)));
    mode(0, ICANON | ECHO, 1, 0);
    say("root pushes %s", err(ioctl(s, TIOCSTI, &c)));
    say("to read %d", queued(s));
    if (queued(s) > 0) seq("read %s", err(read(s, buf, 10)));
    seq("from nowhere %s", err(ioctl(s, TIOCSTI, BAD_PTR)));
    _exit(0);
  }
  waitpid(p, NULL, 0);
  close_pair();
}

static void flow(void) {
  open_pair();
  int one = 1;
  mode(0, ECHO, 1, 0);
  seq("stop %s, start %s, stop input %s, start %s", err(tcflow(s, TCOOFF)), err(tcflow(s, TCOON)), err(tcflow(s, TCIOFF)), err(tcflow(s, TCION)));
  arrived(m, 2);
  int n = read(m, buf, 10);
  say("sent %d: %x %x", n, n > 0 ? buf[0] : 0, n > 1 ? buf[1] : 0);
  seq("bad %s, master's %s", err(tcflow(s, 77)), err(tcflow(m, TCOOFF)));
  tcflow(m, TCOON);
  tcflow(s, TCOOFF);
  fcntl(s, F_SETFL, O_NONBLOCK);
  say("writable %x", mask(s) & POLLOUT);
  seq("stopped write %s", err(write(s, "held", 4)));
  say("master sees %d", queued(m));
  tcflow(s, TCOON);
  seq("then %s", err(write(s, "held", 4)));
  arrived(m, 4);
  seq("read %s", err(read(m, buf, 10)));
  // By characters.
  write(m, "\023", 1);
  for (int i = 0; i < 20000 && (mask(s) & POLLOUT); i++) usleep(100);
  say("^S: writable %x", mask(s) & POLLOUT);
  seq("write %s", err(write(s, "x", 1)));
  write(m, "\021", 1);
  say("^Q: writable %x", until(s, POLLOUT) & POLLOUT);
  // What tcflow(3) stops, no character starts.
  tcflow(s, TCOOFF);
  write(m, "\021z\n", 3), arrived(s, 2);
  say("TCOOFF, then ^Q: writable %x", mask(s) & POLLOUT);
  tcflow(s, TCOON), tcflush(s, TCIFLUSH);
  say("TCOON: writable %x", mask(s) & POLLOUT);
  // The master itself, which sends stop characters, too.
  tcflow(m, TCOOFF);
  say("master stopped: writable %x", mask(m) & POLLOUT);
  tcflow(m, TCOON), tcflow(m, TCIOFF);
  for (int i = 0; i < 20000 && (mask(s) & POLLOUT); i++) usleep(100);
  say("master's TCIOFF: writable %x", mask(s) & POLLOUT);
  tcflow(m, TCION);
  say("master's TCION: writable %x", until(s, POLLOUT) & POLLOUT);
  // Ends of files are no characters.
  write(m, "ab\004\004\n", 5), until(s, POLLIN);
  arrived(s, 3);
  say("queued %d", queued(s));
  tcflush(s, TCIFLUSH);
  // IXANY: anything goes on.
  struct termios t;
  tcgetattr(s, &t), t.c_iflag |= IXANY, tcsetattr(s, TCSANOW, &t);
  write(m, "\023", 1);
  for (int i = 0; i < 20000 && (mask(s) & POLLOUT); i++) usleep(100);
  write(m, "a", 1);
  say("any: writable %x", until(s, POLLOUT) & POLLOUT);
  // Off: the characters are input.
  tcgetattr(s, &t), t.c_iflag &= ~(IXON | IXANY), t.c_lflag &= ~ICANON, tcsetattr(s, TCSANOW, &t);
  tcflush(s, TCIFLUSH);
  write(m, "\023\021", 2), arrived(s, 2);
  say("as input %d, writable %x", queued(s), mask(s) & POLLOUT);
  close_pair();
}

static void flushes(void) {
  static const int which[] = {TCIFLUSH, TCOFLUSH, TCIOFLUSH, 7};
  for (int side = 0; side < 2; side++)
    for (int i = 0; i < 4; i++) {
      open_pair();
      mode(0, ICANON | ECHO, 1, 0);
      write(m, "input", 5), arrived(s, 5);
      write(s, "out", 3), arrived(m, 3);
      int out = -1;
      const char *r = err(tcflush(side ? m : s, which[i]));
      ioctl(s, TIOCOUTQ, &out);
      say("flush %d of the %s: %s, %d %d, out %d", which[i], side ? "master" : "slave", r, queued(s), queued(m), out);
      close_pair();
    }
  open_pair();
  seq("drain %s, break %s, send break %s", err(tcdrain(s)), err(ioctl(s, TIOCSBRK)), err(tcsendbreak(s, 0)));
  // A change with a flush drops what was typed.
  struct termios t;
  for (int how = TCSANOW; how <= TCSAFLUSH + 1; how++) {
    tcflush(s, TCIOFLUSH), mode(0, ICANON | ECHO, 1, 0);
    write(m, "abc", 3), arrived(s, 3);
    tcgetattr(s, &t);
    const char *r = err(tcsetattr(s, how, &t));
    say("set %d: %s, left %d", how, r, queued(s));
  }
  // Canonical: what counts is lines.
  mode(ICANON, ECHO, 1, 0), tcflush(s, TCIFLUSH);
  write(m, "one\ntwo", 7), until(s, POLLIN);
  say("line %d, poll %x", queued(s), mask(s) & POLLIN);
  seq("read %s", err(read(s, buf, 2)));
  say("rest %d", queued(s));
  seq("read %s", err(read(s, buf, 100)));
  say("none %d, poll %x", queued(s), mask(s) & POLLIN);
  close_pair();
}

static void sizes(void) {
  struct winsize w = {1, 2, 3, 4}, v = {9, 9, 9, 9};
  open_pair();
  ioctl(s, TIOCGWINSZ, &v), say("new %d %d %d %d", v.ws_row, v.ws_col, v.ws_xpixel, v.ws_ypixel);
  seq("set %s, nowhere %s, get nowhere %s", err(ioctl(m, TIOCSWINSZ, &w)), err(ioctl(m, TIOCSWINSZ, BAD_PTR)), err(ioctl(s, TIOCGWINSZ, BAD_PTR)));
  ioctl(s, TIOCGWINSZ, &v), say("slave %d %d %d %d", v.ws_row, v.ws_col, v.ws_xpixel, v.ws_ypixel);
  w.ws_row = 65535, ioctl(s, TIOCSWINSZ, &w), ioctl(m, TIOCGWINSZ, &v), say("master %d", v.ws_row);
  int d = -1;
  seq("discipline %s, bad %s, n_null %s", err(ioctl(s, TIOCGETD, &d)), err((d = 99, ioctl(s, TIOCSETD, &d))), err((d = 0, ioctl(s, TIOCSETD, &d))));
  unsigned dev = 0;
  struct stat st;
  say("TIOCGDEV %s", err(ioctl(s, TIOCGDEV, &dev)));
  seq("linux %s, serial %s, modem %s", err(ioctl(s, TIOCLINUX, &d)), err(ioctl(s, TIOCGSERIAL, buf)), err(ioctl(s, TIOCMGET, &d)));
  seq("unknown %s, soft carrier %s, vhangup %s", err(ioctl(s, 0x54ff)), err(ioctl(s, TIOCGSOFTCAR, &d)), err(ioctl(m, TIOCVHANGUP)));
  close_pair();
}

static void packets(void) {
  int one = 1, zero = 0, v = -1;
  open_pair();
  mode(0, ECHO, 1, 0);
  seq("of the slave %s, on %s, is %s", err(ioctl(s, TIOCPKT, &one)), err(ioctl(m, TIOCPKT, &one)), err(ioctl(m, TIOCGPKT, &v)));
  say("is %d, poll %x", v, mask(m));
  fcntl(m, F_SETFL, O_NONBLOCK);
  write(s, "data", 4), until(m, POLLIN);
  int n = read(m, buf, 3);
  say("small: %d, %x", n, buf[0]);
  n = read(m, buf, 100);
  say("rest: %d, %x", n, buf[0]);
  static const struct { const char *name; int which, arg; } acts[] = {{"flush in", 0, TCIFLUSH}, {"flush out", 0, TCOFLUSH}, {"flush both", 0, TCIOFLUSH}, {"stop", 1, TCOOFF}, {"start", 1, TCOON}};
  for (int i = 0; i < 5; i++) {
    if (acts[i].which) tcflow(s, acts[i].arg);
    else tcflush(s, acts[i].arg);
    int p = mask(m);
    n = read(m, buf, 100);
    say("%s: poll %x, %d, %x", acts[i].name, p, n, n > 0 ? buf[0] : 0);
  }
  struct termios t;
  tcgetattr(s, &t), t.c_iflag &= ~IXON, tcsetattr(s, TCSANOW, &t);
  n = read(m, buf, 100), say("no stop: %d, %x", n, n > 0 ? buf[0] : 0);
  t.c_iflag |= IXON, tcsetattr(s, TCSANOW, &t);
  n = read(m, buf, 100), say("do stop: %d, %x", n, n > 0 ? buf[0] : 0);
  tcsetattr(s, TCSANOW, &t);
  seq("no change %s", err(read(m, buf, 100)));
  t.c_lflag |= EXTPROC, tcsetattr(s, TCSANOW, &t);
  n = read(m, buf, 100), say("external: %d, %x", n, n > 0 ? buf[0] : 0);
  tcflush(s, TCIFLUSH), ioctl(m, TIOCPKT, &zero);
  seq("off: %s", err(read(m, buf, 100)));
  ioctl(m, TIOCPKT, &one);
  seq("on again: %s", err(read(m, buf, 100)));
  close(s);
  int p = until(m, POLLHUP);
  seq("closed: %s", err(read(m, buf, 100)));
  say("poll %x", p);
  close(m);
}

// The two sides' ends: every call on what is left.
static void left(const char *what, int fd) {
  struct termios t;
  struct winsize w;
  int v = 0;
  fcntl(fd, F_SETFL, O_NONBLOCK);
  say("%s: poll %x", what, mask(fd));
  seq(" read %s, write %s, read nothing %s, write nothing %s", err(read(fd, buf, 10)), err(write(fd, "x", 1)), err(read(fd, buf, 0)), err(write(fd, "x", 0)));
  seq(" attributes %s, size %s, queue %s, flush %s", err(tcgetattr(fd, &t)), err(ioctl(fd, TIOCGWINSZ, &w)), err(ioctl(fd, FIONREAD, &v)), err(tcflush(fd, TCIOFLUSH)));
  seq(" group %s, session %s, out %s, tty %s", err(ioctl(fd, TIOCGPGRP, &v)), err(ioctl(fd, TIOCGSID, &v)), err(ioctl(fd, TIOCOUTQ, &v)), err(isatty(fd)));
  say(" poll %x", mask(fd) & ~(POLLIN | POLLRDNORM)); // the echo of what was written comes when it likes
}

static void ends(void) {
  open_pair();
  close(m), left("master closed", s), close(s);
  open_pair();
  write(m, "line\n", 5), until(s, POLLIN), close(m), left("master closed after a line", s), close(s);
  open_pair();
  close(s), left("slave closed", m);
  s = open(slave_name, O_RDWR | O_NOCTTY), say("opened again %x, master %x", mask(s) & POLLHUP, mask(m)), close(s);
  close(m);
  open_pair();
  mode(0, ECHO, 1, 0);
  write(s, "last words", 10), arrived(m, 10), close(s);
  left("slave closed after words", m);
  seq("then %s", err(read(m, buf, 100)));
  close(m);
  m = open("/dev/ptmx", O_RDWR | O_NOCTTY);
  left("never opened", m), close(m);
}

// Instances of their own in a mount namespace.
static void instances(void) {
  if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) return;
  mkdir("pts", 0755);
  static const char *options[] = {"newinstance", "newinstance,ptmxmode=0666", "newinstance,max=2", "mode=0600,gid=5", "max=-1", "ptmxmode=9", "newinstance,uid=1000,gid=1000,mode=0640,ptmxmode=0777", "unknown"};
  for (unsigned i = 0; i < sizeof options / sizeof *options; i++) {
    long r = mount("devpts", "pts", "devpts", 0, options[i]);
    say("%s: %s", options[i], err(r));
    if (r < 0) continue;
    struct stat st;
    stat("pts/ptmx", &st);
    say(" ptmx %o, %d %d, device %x", st.st_mode, st.st_uid, st.st_gid, (unsigned)st.st_rdev);
    int fds[4];
    for (int j = 0; j < 4; j++) {
      fds[j] = open("pts/ptmx", O_RDWR | O_NOCTTY);
      int n = -1, zero = 0;
      char name[30];
      if (fds[j] < 0) { say(" %d: %s", j, strerrorname_np(errno)); continue; }
      ioctl(fds[j], TIOCGPTN, &n), ioctl(fds[j], TIOCSPTLCK, &zero);
      snprintf(name, sizeof name, "pts/%d", n);
      stat(name, &st);
      int peer = ioctl(fds[j], TIOCGPTPEER, O_RDWR | O_NOCTTY);
      say(" %d: number %d, %o %d %d, peer %s", j, n, st.st_mode, st.st_uid, st.st_gid, peer < 0 ? strerrorname_np(errno) : "opens");
      if (peer >= 0) close(peer);
    }
    for (int j = 0; j < 4; j++) if (fds[j] >= 0) close(fds[j]);
    say(" make %s, remove %s", err(mknod("pts/x", S_IFREG | 0600, 0)), err(unlink("pts/ptmx")));
    umount("pts");
  }
  rmdir("pts");
}

int main(void) {
  vmin_vtime();
  exclusive();
  locks_and_peers();
  sti();
  flow();
  flushes();
  sizes();
  packets();
  ends();
  instances();
  return 0;
}
