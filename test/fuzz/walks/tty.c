// Random walks over a pseudoterminal: flags of every kind, editing, echo, flow, packets, sizes, flushes, hang-ups, with a session of its own.
#include "walk.h"
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>

static int master, slave, other; // other: the slave, opened once more
static char slave_name[40];
static volatile int signals[32];

static void on_signal(int sig) { signals[sig]++; }

static int pending(int fd) {
  int n = -1;
  return ioctl(fd, FIONREAD, &n) != 0 ? -2 : n;
}

// What one end writes reaches the other a moment later, when a thread of the kernel has come to it: it has if it has come to what was written
// to another pair meanwhile. Echoes go the same way once more.
static int canary[2];
static void settle(void) {
  for (int i = 0; i < 3; i++) {
    char c = 'c';
    struct pollfd f = {canary[0], POLLIN};
    write(canary[0], &c, 1);
    while (poll(&f, 1, -1) < 0) {}
    read(canary[0], &c, 1), read(canary[1], &c, 1);
  }
}

static void state(char *to, size_t room) {
  struct pollfd f[2] = {{master, 0x3fff}, {slave, 0x3fff}};
  struct termios t;
  char *p = to;
  settle();
  poll(f, 2, 0);
  p += snprintf(p, room, " m %x/%d s %x/%d", f[0].revents, pending(master), f[1].revents, pending(slave));
  if (tcgetattr(slave, &t) == 0) p += snprintf(p, room - (p - to), " %x %x %x %x min %d time %d", t.c_iflag, t.c_oflag, t.c_cflag, t.c_lflag, t.c_cc[VMIN], t.c_cc[VTIME]);
  for (int i = 1; i < 32; i++) if (signals[i]) p += snprintf(p, room - (p - to), " sig%d %d", i, signals[i]);
  snprintf(p, room - (p - to), "\n");
}

static int open_master(void) {
  int n = 0, fd = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
  ioctl(fd, TIOCSPTLCK, &n), ioctl(fd, TIOCGPTN, &n);
  snprintf(slave_name, sizeof slave_name, "/dev/pts/%d", n);
  return fd;
}
static void open_pair(void) {
  master = open_master();
  slave = open(slave_name, O_RDWR | O_NOCTTY | O_NONBLOCK);
}

static void begin(uint64_t seed) {
  static const int caught[] = {SIGHUP, SIGINT, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU, SIGWINCH, SIGCONT, SIGIO};
  struct sigaction sa = {.sa_handler = on_signal};
  for (unsigned i = 0; i < sizeof caught / sizeof *caught; i++) sigaction(caught[i], &sa, NULL);
  setsid();
  other = -1;
  struct termios raw;
  canary[0] = open_master(), canary[1] = open(slave_name, O_RDWR | O_NOCTTY | O_NONBLOCK);
  tcgetattr(canary[1], &raw), cfmakeraw(&raw), raw.c_lflag |= ECHO, tcsetattr(canary[1], TCSANOW, &raw);
  open_pair();
  if (one_in(2)) ioctl(slave, TIOCSCTTY, 0);
}

static int some_text(char *to) {
  static const char *const pieces[] = {"a", "bc", "word word", "\n", "\n", "\r", "\t", "\x7f", "\x15", "\x17", "\x04", "\x16", "\x12", "\x03", "\x1c", "\x1a", "\x11", "\x13", "\xff", "\xc3\xa4", "A", "\b", "\x01", "\xff\xff", "  ", "\x0f", "#", "\x1b[A"};
  int n = 0;
  if (one_in(30)) return memset(to, 'x', 5000), to[4999] = '\n', PICK(300, 4095, 4096, 5000);
  for (int k = 1 + below(6); k > 0; k--) {
    const char *p = pieces[below(sizeof pieces / sizeof *pieces)];
    strcpy(to + n, p), n += strlen(p);
    if (one_in(20)) to[n++] = 0;
  }
  return n;
}

static void show(const char *text, int n) {
  unsigned sum = 0;
  for (int i = 0; i < n; i++) {
    unsigned char c = text[i];
    if (i >= 100) sum = sum * 31 + c;
    else if (c > ' ' && c < 127 && c != '\\') out("%c", c);
    else out("\\%02x", c);
  }
  if (n > 100) out("… %x", sum);
}

static void do_write(int fd, const char *who) {
  char text[6000];
  int n = some_text(text);
  out("write(%s, ", who), show(text, n), out(")"), result(write(fd, text, n));
}

static void do_read(int fd, const char *who) {
  char text[6000];
  int n = PICK(1, 3, 10, 100, 6000, 6000, 0);
  out("read(%s, %d)", who, n);
  long r = result(read(fd, text, n));
  if (r > 0) out(" "), show(text, r);
}

static void do_termios(void) {
  struct termios t;
  int end = one_in(8) ? master : slave, how = PICK(TCSANOW, TCSANOW, TCSADRAIN, TCSAFLUSH);
  if (tcgetattr(end, &t) != 0) {
    out("tcgetattr"), result(-1);
    return;
  }
  out("termios");
  for (int k = 1 + below(3); k > 0; k--) {
    tcflag_t bit;
    switch (below(8)) {
      case 0 ... 1: bit = PICK(IGNBRK, BRKINT, IGNPAR, PARMRK, INPCK, ISTRIP, INLCR, IGNCR, ICRNL, IUCLC, IXON, IXANY, IXOFF, IMAXBEL, IUTF8), t.c_iflag ^= bit, out(" i%x", bit); break;
      case 2: bit = PICK(OPOST, OLCUC, ONLCR, OCRNL, ONOCR, ONLRET, TAB3, TAB1, OFILL), t.c_oflag ^= bit, out(" o%x", bit); break;
      case 3 ... 5: bit = PICK(ISIG, ICANON, ICANON, ICANON, ECHO, ECHOE, ECHOK, ECHONL, NOFLSH, TOSTOP, ECHOCTL, ECHOPRT, ECHOKE, IEXTEN, EXTPROC, XCASE, FLUSHO), t.c_lflag ^= bit, out(" l%x", bit); break;
      case 6: {
        int which = PICK(VMIN, VTIME, VEOL, VEOL2, VINTR, VERASE, VKILL, VEOF, VLNEXT, VSTART, VSTOP, VSUSP, VWERASE, VREPRINT), value = PICK(0, 1, 3, 'a', '#', 1);
        if (which == VTIME) value = 0;
        t.c_cc[which] = value, out(" c%d=%d", which, value); break;
      }
      default: bit = PICK(CS5, CSIZE, PARENB, CSTOPB, CREAD, HUPCL, CLOCAL, PARODD), t.c_cflag ^= bit, out(" f%x", bit);
    }
  }
  out(" how %d", how), result(tcsetattr(end, how, &t));
}

static void do_ioctl(void) {
  int m = below(2), fd = m ? master : slave, n = 0;
  const char *who = m ? "master" : "slave";
  struct winsize w = {below(3), below(3), 0, below(2)};
  switch (below(19)) {
    case 0 ... 1: n = PICK(TCIFLUSH, TCOFLUSH, TCIOFLUSH, 5), out("TCFLSH(%s, %d)", who, n), result(ioctl(fd, TCFLSH, n)); break;
    case 2 ... 3: n = PICK(TCOOFF, TCOON, TCIOFF, TCION, TCOON, 7), out("TCXONC(%s, %d)", who, n), result(ioctl(fd, TCXONC, n)); break;
    case 4 ... 5: n = below(2), out("TIOCPKT(%s, %d)", who, n), result(ioctl(fd, TIOCPKT, &n)); break;
    case 6: out("TIOCSWINSZ(%s, %d %d)", who, w.ws_row, w.ws_col), result(ioctl(fd, TIOCSWINSZ, &w)); break;
    case 7: out("TIOCGWINSZ(%s)", who), result(ioctl(fd, TIOCGWINSZ, &w)), out(" %d %d", w.ws_row, w.ws_col); break;
    case 8: out("TIOCOUTQ(%s)", who), result(ioctl(fd, TIOCOUTQ, &n)), out(" %d", n); break;
    case 9: n = below(2), out(n ? "TIOCEXCL(%s)" : "TIOCNXCL(%s)", who), result(ioctl(fd, n ? TIOCEXCL : TIOCNXCL)), out(" is"), result(ioctl(fd, TIOCGEXCL, &n)), out(" %d", n); break;
    case 10: n = PICK(SIGINT, SIGWINCH, SIGTSTP, SIGUSR1, 0, 99), out("TIOCSIG(%s, %d)", who, n), result(ioctl(fd, TIOCSIG, n)); break;
    case 11: n = PICK(0, 1), out("TIOCSPTLCK(%s, %d)", who, n), result(ioctl(fd, TIOCSPTLCK, &n)), out(" is"), result(ioctl(fd, TIOCGPTLCK, &n)), out(" %d", n); break;
    case 12: out("TIOCGPKT(%s)", who), result(ioctl(fd, TIOCGPKT, &n)), out(" %d", n); break;
    case 13: out("TIOCGETD(%s)", who), result(ioctl(fd, TIOCGETD, &n)), out(" %d", n); break;
    case 14: n = PICK(0, 1), out("TCSBRK(%s, %d)", who, n), result(ioctl(fd, TCSBRK, n)); break;
    case 15: n = one_in(2), out("TIOCSSOFTCAR(%s, %d)", who, n), result(ioctl(fd, TIOCSSOFTCAR, &n)), out(" is"), result(ioctl(fd, TIOCGSOFTCAR, &n)), out(" %d", n); break;
    case 16: out("TIOCMGET(%s)", who), result(ioctl(fd, TIOCMGET, &n)); break;
    default: {
      char c = PICK('q', '\n', 3);
      if (one_in(2)) out("TIOCSTI(%s, %d)", who, c), result(ioctl(fd, TIOCSTI, &c));
      else out("TCGETS(%s)", who), result(ioctl(fd, 0x5401, (char[64]){0}));
    }
  }
}

static void do_session(void) {
  int m = below(2), fd = m ? master : slave, st;
  pid_t p = 0;
  const char *who = m ? "master" : "slave";
  switch (below(7)) {
    case 0: out("TIOCSCTTY(%s)", who), result(ioctl(fd, TIOCSCTTY, 0)); break;
    case 1: if (one_in(3)) out("TIOCNOTTY(%s)", who), result(ioctl(fd, TIOCNOTTY)); else out("no step"); break;
    case 2: out("TIOCGSID(%s)", who), result(ioctl(fd, TIOCGSID, &p)), out(p == getpid() ? " own" : " %d", p); break;
    case 3: out("TIOCGPGRP(%s)", who), result(ioctl(fd, TIOCGPGRP, &p)), out(p == getpid() ? " own" : p > 1 ? " gone" : " %d", p); break;
    case 4: p = PICK(getpid(), getpid(), 1, -1, 99999), out("TIOCSPGRP(%s, %s)", who, p == getpid() ? "own" : "strange"), result(ioctl(fd, TIOCSPGRP, &p)); break;
    case 5: {
      out("/dev/tty");
      int t = open("/dev/tty", O_RDWR | O_NONBLOCK);
      done(t), close(t); break;
    }
    default:
      // In the background: what it may read, write and change.
      out("background");
      if (fork() == 0) {
        char c = 'z';
        setpgid(0, 0);
        if (one_in(2)) signal(SIGTTOU, SIG_IGN), signal(SIGTTIN, SIG_IGN), out(" ignoring");
        out(" read"), result(read(slave, &c, 1)), out(" write"), result(write(slave, &c, 1));
        struct termios t;
        out(" set"), tcgetattr(slave, &t), result(tcsetattr(slave, TCSANOW, &t)), out(" pgrp"), p = getpid(), result(ioctl(slave, TIOCSPGRP, &p));
        out(" signals %d %d", signals[SIGTTIN], signals[SIGTTOU]);
        _exit(0);
      }
      while (wait(&st) < 0) {}
  }
}

static void step(unsigned i) {
  switch (below(40)) {
    case 0 ... 8: do_write(master, "master"); break;
    case 9 ... 12: do_write(slave, "slave"); break;
    case 13 ... 18: do_read(slave, "slave"); break;
    case 19 ... 22: do_read(master, "master"); break;
    case 23 ... 28: do_termios(); break;
    case 29 ... 34: do_ioctl(); break;
    case 35 ... 37: do_session(); break;
    case 38:
      if (other >= 0) out("close other"), result(close(other)), other = -1;
      else out("open other"), other = open(slave_name, O_RDWR | O_NOCTTY | O_NONBLOCK), done(other);
      break;
    default:
      switch (below(6)) {
        case 0: out("close slave"), result(close(slave)), slave = -1; break;
        case 1: out("close master"), result(close(master)), master = -1; break;
        case 2: if (slave < 0) out("open slave"), slave = open(slave_name, O_RDWR | O_NOCTTY | O_NONBLOCK), done(slave); else out("no step"); break;
        case 3: out("no step"); break;
        default: if (master < 0) close(slave), close(other), other = -1, open_pair(), out("new pair"); else out("no step");
      }
  }
}
