// Pseudo-terminals: line discipline, job control, hang-up, packet mode.
#include "guest.h"
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <termios.h>

static int master, slave;
static char buf[8192];

static void show(const char *name, int fd) {
  long n = read(fd, buf, sizeof buf);
  if (n < 0) {
    say("%s: %s", name, strerrorname_np(errno));
    return;
  }
  printf("%s: %ld \"", name, n);
  for (long i = 0; i < n; i++) {
    unsigned char c = buf[i];
    if (c >= 32 && c < 127) putchar(c);
    else printf("\\x%02x", c);
  }
  puts("\"");
  fflush(stdout);
}

// Linux hands input over in the background.
static void type(const char *s) {
  ret("type", write(master, s, strlen(s)));
  usleep(20000);
}

static short ready(int fd) {
  struct pollfd p = {fd, POLLIN | POLLOUT | POLLPRI, 0};
  poll(&p, 1, 200);
  return p.revents;
}

static void open_pair(void) {
  char name[64];
  int unlock = 0, n = -1, locked = -1;
  master = open("/dev/ptmx", O_RDWR | O_NOCTTY);
  ok("open ptmx", master);
  ret("TIOCGPTN", ioctl(master, TIOCGPTN, &n));
  ret("TIOCGPTLCK", ioctl(master, TIOCGPTLCK, &locked));
  say("locked %d", locked);
  snprintf(name, sizeof name, "/dev/pts/%d", n);
  ret("open locked slave", open(name, O_RDWR | O_NOCTTY));
  ret("TIOCSPTLCK", ioctl(master, TIOCSPTLCK, &unlock));
  slave = open(name, O_RDWR | O_NOCTTY);
  ok("open slave", slave);
  struct stat st;
  fstat(slave, &st);
  say("slave char %d major %d minor ok %d", S_ISCHR(st.st_mode), major(st.st_rdev), (int)minor(st.st_rdev) == n);
  is("ptsname", strcmp(ptsname(master), name) == 0);
  is("ttyname", strcmp(ttyname(slave), name) == 0);
  is("isatty", isatty(slave) && isatty(master));
}

static void canonical(void) {
  struct termios t;
  ret("tcgetattr", tcgetattr(slave, &t));
  say("modes %x %x %x %x", t.c_iflag, t.c_oflag, t.c_cflag, t.c_lflag);
  fcntl(slave, F_SETFL, O_NONBLOCK);
  fcntl(master, F_SETFL, O_NONBLOCK);
  show("read nothing", slave);
  type("hel");
  show("read unfinished line", slave);
  int n;
  ioctl(slave, FIONREAD, &n);
  say("FIONREAD %d", n);
  type("lo\r");
  ioctl(slave, FIONREAD, &n);
  say("FIONREAD %d", n);
  say("slave poll %x", ready(slave));
  show("line", slave);
  show("echo", master);
  type("abc\x7f\x7fX\x15yes no\x17maybe\n");
  show("edited", slave);
  show("echo", master);
  type("half\x04");
  show("eof after text", slave);
  type("\x04");
  show("eof", slave);
  show("echo", master);
  type("one\ntwo\n");
  show("first of two", slave);
  show("second of two", slave);
  type("long line\n");
  ret("short read", read(slave, buf, 4));
  show("rest", slave);
  show("echo", master);
  write(slave, "out\n", 4);
  show("output", master);
  ret("tcflush", tcflush(slave, TCIOFLUSH));
  type("gone\n");
  tcflush(slave, TCIFLUSH);
  show("flushed", slave);
  show("echo", master);
}

static void raw(void) {
  struct termios t, old;
  tcgetattr(slave, &t);
  old = t;
  type("typed before");
  cfmakeraw(&t);
  ret("tcsetattr", tcsetattr(slave, TCSANOW, &t));
  show("after switch", slave);
  show("echo", master);
  type("\x03\x04\r\n");
  show("raw", slave);
  show("no echo", master);
  t.c_cc[VMIN] = 0;
  t.c_cc[VTIME] = 0;
  tcsetattr(slave, TCSANOW, &t);
  fcntl(slave, F_SETFL, 0);
  show("MIN 0 TIME 0", slave);
  struct timespec a, b;
  t.c_cc[VTIME] = 2;
  tcsetattr(slave, TCSANOW, &t);
  clock_gettime(CLOCK_MONOTONIC, &a);
  show("MIN 0 TIME 2", slave);
  clock_gettime(CLOCK_MONOTONIC, &b);
  long ms = (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000;
  is("waited", ms >= 150 && ms < 5000);
  t.c_cc[VMIN] = 5;
  t.c_cc[VTIME] = 1;
  tcsetattr(slave, TCSANOW, &t);
  type("abc");
  show("MIN 5 TIME 1, three", slave);
  type("abcdefg");
  ret("MIN 5 TIME 1, seven, room for 6", read(slave, buf, 6));
  show("last", slave);
  tcsetattr(slave, TCSANOW, &old);
}

static void modes(void) {
  struct winsize w = {24, 80, 1, 2}, v;
  ret("TIOCSWINSZ", ioctl(master, TIOCSWINSZ, &w));
  memset(&v, 0, sizeof v);
  ret("TIOCGWINSZ", ioctl(slave, TIOCGWINSZ, &v));
  say("%d %d %d %d", v.ws_row, v.ws_col, v.ws_xpixel, v.ws_ypixel);
  ret("TIOCGWINSZ bad", ioctl(slave, TIOCGWINSZ, BAD_PTR));
  ret("TCGETS bad", ioctl(slave, TCGETS, BAD_PTR));
  ret("TCSETS bad", ioctl(slave, TCSETS, BAD_PTR));
  int n = 0, ldisc = 7;
  ret("TIOCGPTN slave", ioctl(slave, TIOCGPTN, &n));
  ret("TIOCGETD", ioctl(slave, TIOCGETD, &ldisc));
  say("ldisc %d", ldisc);
  ret("TIOCOUTQ", ioctl(slave, TIOCOUTQ, &n));
  ret("tcdrain", tcdrain(slave));
  ret("tcsendbreak", tcsendbreak(slave, 0));
  ret("tcflow off", tcflow(slave, TCOOFF));
  fcntl(slave, F_SETFL, O_NONBLOCK);
  ret("write while stopped", write(slave, "x", 1));
  ret("tcflow on", tcflow(slave, TCOON));
  ret("write again", write(slave, "x", 1));
  show("output", master);
  ret("tcflow bad", tcflow(slave, 9));
  ret("tcflush bad", tcflush(slave, 9));
  ret("TIOCGPGRP, not ours", ioctl(slave, TIOCGPGRP, &n));
  ret("TIOCGSID, not ours", ioctl(slave, TIOCGSID, &n));
  ret("TIOCMGET", ioctl(slave, TIOCMGET, &n));
  ret("lseek", lseek(slave, 0, SEEK_SET));
  ret("TIOCEXCL", ioctl(slave, TIOCEXCL));
  ret("TIOCGEXCL", ioctl(slave, TIOCGEXCL, &n));
  say("exclusive %d", n);
  ret("TIOCNXCL", ioctl(slave, TIOCNXCL));
  ret("unknown ioctl", ioctl(slave, 0x5499, 0));
  fcntl(slave, F_SETFL, 0);
}

static void locked_modes(void) {
  struct termios t, old, locked;
  tcgetattr(slave, &old);
  memset(&locked, 0xee, sizeof locked);
  ret("TIOCGLCKTRMIOS", ioctl(slave, TIOCGLCKTRMIOS, &locked));
  say("locked %x %x %x %x %x %x", locked.c_iflag, locked.c_oflag, locked.c_cflag, locked.c_lflag, locked.c_line, locked.c_cc[VINTR]);
  ret("TIOCGLCKTRMIOS bad", ioctl(slave, TIOCGLCKTRMIOS, BAD_PTR));
  ret("TIOCSLCKTRMIOS bad", ioctl(slave, TIOCSLCKTRMIOS, BAD_PTR));
  memset(&locked, 0, sizeof locked);
  locked.c_lflag = ECHO, locked.c_cc[VINTR] = 1;
  ret("TIOCSLCKTRMIOS", ioctl(slave, TIOCSLCKTRMIOS, &locked));
  t = old;
  t.c_lflag ^= ECHO | NOFLSH, t.c_cc[VINTR] ^= 4, t.c_cc[VQUIT] ^= 4;
  ret("TCSETS, some locked", ioctl(master, TCSETS, &t));
  ioctl(master, TCGETS, &t);
  say("changed: lflag %x, intr %d, quit %d", t.c_lflag ^ old.c_lflag, t.c_cc[VINTR] ^ old.c_cc[VINTR], t.c_cc[VQUIT] ^ old.c_cc[VQUIT]);
  memset(&locked, 0, sizeof locked);
  ioctl(slave, TIOCSLCKTRMIOS, &locked);
  int on = 7;
  ret("TIOCGSOFTCAR", ioctl(slave, TIOCGSOFTCAR, &on));
  say("softcar %d", on);
  on = !on;
  ret("TIOCSSOFTCAR", ioctl(slave, TIOCSSOFTCAR, &on));
  ioctl(slave, TCGETS, &t);
  say("clocal %d", !!(t.c_cflag & CLOCAL));
  ret("TIOCSSOFTCAR bad", ioctl(slave, TIOCSSOFTCAR, BAD_PTR));
  ioctl(slave, TCSETS, &old);
}

static void packets(void) {
  int on = 1, got = 0;
  ret("TIOCPKT", ioctl(master, TIOCPKT, &on));
  ret("TIOCGPKT", ioctl(master, TIOCGPKT, &got));
  say("packet %d", got);
  write(slave, "data", 4);
  show("packet data", master);
  type("\x13");
  say("poll %x", ready(master));
  show("stop", master);
  type("\x11");
  show("start", master);
  tcflush(slave, TCIOFLUSH);
  show("flush", master);
  struct termios t;
  tcgetattr(slave, &t);
  t.c_iflag &= ~IXON;
  tcsetattr(slave, TCSANOW, &t);
  show("no flow control", master);
  t.c_iflag |= IXON;
  tcsetattr(slave, TCSANOW, &t);
  show("flow control", master);
  t.c_lflag |= EXTPROC;
  tcsetattr(slave, TCSANOW, &t);
  show("EXTPROC", master);
  t.c_lflag &= ~EXTPROC;
  tcsetattr(slave, TCSANOW, &t);
  show("no EXTPROC", master);
  on = 0;
  ioctl(master, TIOCPKT, &on);
}

static volatile sig_atomic_t got_winch, got_int, got_hup, got_cont;
static void on_signal(int s) {
  if (s == SIGWINCH) got_winch++;
  if (s == SIGINT) got_int++;
  if (s == SIGHUP) got_hup++;
  if (s == SIGCONT) got_cont++;
}

static void settle(volatile sig_atomic_t *v) {
  for (int i = 0; i < 200 && !*v; i++) usleep(5000);
}

// Runs in a session of its own with the slave as controlling terminal.
static void session(void) {
  pid_t pid = fork();
  if (pid == 0) {
    ok("setsid", setsid());
    ret("open /dev/tty without terminal", open("/dev/tty", O_RDWR));
    ret("TIOCSCTTY", ioctl(slave, TIOCSCTTY, 0));
    ret("TIOCSCTTY again", ioctl(slave, TIOCSCTTY, 0));
    is("tcgetpgrp", tcgetpgrp(slave) == getpgrp());
    is("tcgetsid", tcgetsid(slave) == getsid(0));
    ok("open /dev/tty", open("/dev/tty", O_RDWR));
    struct sigaction sa = {.sa_handler = on_signal};
    int s[] = {SIGWINCH, SIGINT, SIGHUP, SIGCONT};
    for (int i = 0; i < 4; i++) sigaction(s[i], &sa, NULL);
    struct winsize w = {30, 90, 0, 0};
    ioctl(master, TIOCSWINSZ, &w);
    settle(&got_winch);
    say("SIGWINCH %d", got_winch);
    ioctl(master, TIOCSWINSZ, &w);
    say("SIGWINCH for the same size %d", got_winch);
    type("ab\x03");
    settle(&got_int);
    say("SIGINT %d", got_int);
    show("echo", master);
    ret("TIOCSIG", ioctl(master, TIOCSIG, SIGINT));
    for (int i = 0; i < 200 && got_int < 2; i++) usleep(5000);
    say("SIGINT %d", got_int);
    ret("TIOCSIG bad", ioctl(master, TIOCSIG, SIGKILL));
    pid_t child = fork();
    if (child == 0) {
      setpgid(0, 0);
      fcntl(slave, F_SETFL, 0);
      signal(SIGTTIN, SIG_DFL);
      read(slave, buf, 1);
      _exit(0);
    }
    int status;
    ret("tcsetpgrp bad", tcsetpgrp(slave, 999999));
    ok("wait for background reader", waitpid(child, &status, WUNTRACED));
    say("stopped %d by %d", WIFSTOPPED(status), WIFSTOPPED(status) ? WSTOPSIG(status) == SIGTTIN : 0);
    ret("tcsetpgrp", tcsetpgrp(slave, child));
    is("foreground", tcgetpgrp(slave) == child);
    signal(SIGTTOU, SIG_IGN);
    ret("tcsetpgrp back while SIGTTOU ignored", tcsetpgrp(slave, getpgrp()));
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    ret("close master", close(master));
    settle(&got_hup);
    say("SIGHUP %d SIGCONT %d", got_hup, got_cont);
    _exit(0);
  }
  int status;
  close(master);
  waitpid(pid, &status, 0);
  say("session ended %d", status);
}

static void hangup(void) {
  fcntl(slave, F_SETFL, O_NONBLOCK);
  show("read after hang-up", slave);
  ret("write after hang-up", write(slave, "x", 1));
  say("poll %x", ready(slave));
  struct termios t;
  ret("tcgetattr after hang-up", tcgetattr(slave, &t));
  close(slave);
  ok("openpty", openpty(&master, &slave, NULL, NULL, NULL));
  write(slave, "last", 4);
  close(slave);
  fcntl(master, F_SETFL, O_NONBLOCK);
  say("poll %x", ready(master) & ~POLLOUT);
  show("data of a closed slave", master);
  show("closed slave", master);
  int n = -1;
  slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY);
  ok("TIOCGPTPEER", slave);
  show("open again", master);
  ret("TIOCSTI", ioctl(slave, TIOCSTI, "x") == -1 && errno == EIO ? 0 : 0);
  ret("TIOCLINUX", ioctl(slave, TIOCLINUX, &n));
}

int main(void) {
  open_pair();
  canonical();
  raw();
  modes();
  locked_modes();
  packets();
  session();
  hangup();
  return 0;
}
