// link: -w
// The line discipline: editing of lines, echo, what becomes of characters on their way in and out (drivers/tty/n_tty.c, termios(3)).
#include "guest.h"
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <termios.h>

static int master, slave;
static char buf[16384];
static struct termios initial;

static void print(const char *name, long n) {
  if (n < 0) {
    say("%s: %s", name, strerrorname_np(errno));
    return;
  }
  printf("%s: %ld \"", name, n);
  for (long i = 0; i < n; i++) {
    unsigned char c = buf[i];
    if (c >= 32 && c < 127 && c != '\\') putchar(c);
    else printf("\\x%02x", c);
  }
  puts("\"");
  fflush(stdout);
}

static int queued(int fd) {
  int n = -1;
  ioctl(fd, FIONREAD, &n);
  return n;
}

static int readable(int fd, int ms) {
  struct pollfd p = {fd, POLLIN, 0};
  return poll(&p, 1, ms) == 1 && (p.revents & POLLIN);
}

// All that is on the screen: a mark that the program writes comes behind it.
static long screen(void) {
  long n = 0;
  if (write(slave, "\x1e", 1) != 1) say("no mark");
  while (n == 0 || buf[n - 1] != 0x1e) {
    long r = readable(master, 10000) ? read(master, buf + n, sizeof buf - n) : -1;
    if (r <= 0) return -1;
    n += r;
  }
  return n - 1;
}

static void modes(unsigned iflag, unsigned ioff, unsigned oflag, unsigned ooff, unsigned lflag, unsigned loff) {
  struct termios t = initial;
  t.c_iflag = (t.c_iflag | iflag) & ~ioff;
  t.c_oflag = (t.c_oflag | oflag) & ~ooff;
  t.c_lflag = (t.c_lflag | lflag) & ~loff;
  tcsetattr(slave, TCSAFLUSH, &t);
  tcflush(master, TCIOFLUSH);
}

// Types `s`, shows what the program reads and what is on the screen. `lines`: how many reads.
static void typed(const char *name, const char *s, int len, int lines) {
  char n[80];
  if (write(master, s, len) != len) say("write: %s", strerrorname_np(errno));
  for (int i = 0; i < lines; i++) {
    snprintf(n, sizeof n, "%s, read", name);
    print(n, readable(slave, 5000) ? read(slave, buf, sizeof buf) : (errno = EAGAIN, -1));
  }
  snprintf(n, sizeof n, "%s, screen", name);
  print(n, screen());
}
#define TYPED(name, s, lines) typed(name, s, sizeof(s) - 1, lines)

static void editing(void) {
  modes(0, 0, 0, 0, 0, 0);
  TYPED("erase", "abc\x7f\x7fxyz\n", 1);
  TYPED("erase at the start", "\x7f\x7f" "a\n", 1);
  TYPED("erase a control character", "a\x01" "b\x7f\x7f\x7f" "c\n", 1);
  TYPED("erase a tab", "ab\t\x7f" "c\n", 1);
  TYPED("erase one of two tabs", "\t\t\x7f" "c\n", 1);
  TYPED("word", "one two\x17three\n", 1);
  TYPED("words", "one two, three  \x17\x17x\n", 1);
  TYPED("word with underscore", "a_b.c\x17x\n", 1);
  TYPED("kill", "abc\x15xyz\n", 1);
  TYPED("literal next", "a\x16\x03\x16\x7f" "b\n", 1);
  TYPED("literal newline", "a\x16\n" "b\n", 1);
  TYPED("literal return", "a\x16\r" "b\n", 1);
  TYPED("erase a literal", "a\x16\x03\x7f" "b\n", 1);
  TYPED("reprint", "abc\x12" "d\n", 1);
  TYPED("two lines", "one\ntwo\n", 2);
  TYPED("end of file after text", "abc\x04", 1);
  TYPED("end of file", "\x04", 1);
  TYPED("end of file, twice", "\x04\x04", 2);
  TYPED("end of file, then a line", "\x04x\n", 2);
  TYPED("line, end of file", "x\n\x04", 2);
  TYPED("literal end of file", "\x16\x04\n", 1);
  TYPED("return", "abc\r", 1);
  TYPED("null", "a\0b\n", 1);
  TYPED("high", "\xe4\xf6\x7f\n", 1);
  struct termios t = initial;
  t.c_cc[VEOL] = '.', t.c_cc[VEOL2] = ';';
  tcsetattr(slave, TCSANOW, &t);
  TYPED("other ends of lines", "a.b;c\n", 3);
  t.c_cc[VEOF] = 0, t.c_cc[VERASE] = '#', t.c_cc[VKILL] = '@', t.c_cc[VINTR] = 0;
  tcsetattr(slave, TCSANOW, &t);
  TYPED("disabled and changed", "a\x04" "b#c\x7f@d\x03\0e\n", 1);
}

static void utf8(void) {
  modes(IUTF8, 0, 0, 0, 0, 0);
  TYPED("IUTF8 erase", "a\xc3\xa4\x7f" "b\n", 1);
  TYPED("IUTF8 erase of three bytes", "\xe2\x82\xac\xe2\x82\xac\x7f" "b\n", 1);
  TYPED("IUTF8 word", "x \xc3\xa4\xc3\xb6\x17" "b\n", 1);
  modes(0, IUTF8, 0, 0, 0, 0);
  TYPED("bytes", "a\xc3\xa4\x7f" "b\n", 1);
}

static void echoes(void) {
  modes(0, 0, 0, 0, 0, ECHO);
  TYPED("no ECHO", "abc\x7f\n", 1);
  modes(0, 0, 0, 0, ECHONL, ECHO);
  TYPED("ECHONL", "abc\x7f\n", 1);
  modes(0, 0, 0, 0, 0, ECHOE);
  TYPED("no ECHOE", "abc\x7f\n", 1);
  TYPED("no ECHOE, word", "abc d\x17\n", 1);
  modes(0, 0, 0, 0, 0, ECHOK | ECHOKE);
  TYPED("no ECHOK", "abc\x15" "d\n", 1);
  modes(0, 0, 0, 0, ECHOK, ECHOKE);
  TYPED("ECHOK", "abc\x15" "d\n", 1);
  modes(0, 0, 0, 0, 0, ECHOCTL);
  TYPED("no ECHOCTL", "a\x01" "b\x7f\x7f\n", 1);
  modes(0, 0, 0, 0, ECHOPRT, 0);
  TYPED("ECHOPRT", "abc\x7f\x7f" "d\x15" "e\n", 1);
  TYPED("ECHOPRT, word", "ab cd\x17" "e\n", 1);
  modes(0, 0, 0, 0, 0, IEXTEN);
  TYPED("no IEXTEN", "ab cd\x17" "e\x16\x12\n", 1);
  modes(0, 0, 0, 0, 0, ISIG);
  TYPED("no ISIG", "a\x03\x1c\x1a\n", 1);
  modes(0, 0, 0, 0, 0, ICANON);
  TYPED("no ICANON", "a\x7f\x04\x17", 1);
  modes(0, 0, 0, 0, ECHONL, ICANON | ECHO);
  TYPED("no ICANON, ECHONL", "a\n", 1);
  modes(0, 0, 0, 0, XCASE, 0);
  TYPED("XCASE", "Ab\\c\n", 1);
}

static void input(void) {
  modes(ISTRIP, 0, 0, 0, 0, 0);
  TYPED("ISTRIP", "\xe1\xe2" "c\n", 1);
  modes(INLCR, ICRNL, 0, 0, 0, ICANON);
  TYPED("INLCR", "a\nb\r", 1);
  modes(IGNCR, 0, 0, 0, 0, 0);
  TYPED("IGNCR", "a\rb\n", 1);
  modes(0, ICRNL, 0, 0, 0, 0);
  TYPED("no ICRNL", "a\rb\n", 1);
  modes(INLCR, 0, 0, 0, 0, 0);
  TYPED("INLCR and ICRNL", "a\nb\r", 1);
  modes(IUCLC, 0, 0, 0, 0, 0);
  TYPED("IUCLC", "aBC\n", 1);
  char all[129];
  for (int i = 0; i < 128; i++) all[i] = 128 + i;
  all[128] = '\n';
  typed("IUCLC, high", all, 129, 1);
  modes(IUCLC, 0, 0, 0, 0, IEXTEN);
  TYPED("IUCLC without IEXTEN", "aBC\n", 1);
  modes(PARMRK, 0, 0, 0, 0, ICANON);
  TYPED("PARMRK", "a\xff" "b", 1);
  modes(PARMRK | ISTRIP, 0, 0, 0, 0, ICANON);
  TYPED("PARMRK and ISTRIP", "a\xff" "b", 1);
  modes(0, IXON, 0, 0, 0, 0);
  TYPED("no IXON", "a\x13\x11" "b\n", 1);
  modes(IXON, IXANY, 0, 0, 0, 0);
  TYPED("IXON", "a\x11" "b\n", 1);
  TYPED("stopped, started", "a\x13" "b\x11\n", 1);
  modes(IXON | IXANY, 0, 0, 0, 0, 0);
  TYPED("IXANY", "a\x13" "b\n", 1);
}

static void put(const char *name, const char *s) {
  if (write(slave, s, strlen(s)) < 0) say("write: %s", strerrorname_np(errno));
  print(name, screen());
}

static void output(void) {
  modes(0, 0, 0, OPOST, 0, 0);
  put("no OPOST", "a\nb\tc\r\n");
  modes(0, 0, 0, ONLCR, 0, 0);
  put("no ONLCR", "a\nb\r\n");
  modes(0, 0, OCRNL, 0, 0, 0);
  put("OCRNL", "a\rb\n");
  modes(0, 0, OCRNL, ONLCR, 0, 0);
  put("OCRNL without ONLCR", "a\rb\n");
  put("to the start", "\r\n");
  modes(0, 0, ONOCR, ONLCR, 0, 0);
  put("ONOCR", "\r\rab\r\rc\n");
  put("ONOCR after a newline", "\r\n");
  modes(0, 0, ONLRET, ONLCR, 0, 0);
  put("ONLRET", "ab\nc\td\n");
  modes(0, 0, OLCUC, 0, 0, 0);
  put("OLCUC", "abC\xe4\n");
  char all[130];
  for (int i = 0; i < 128; i++) all[i] = 128 + i;
  all[128] = '\n', all[129] = 0;
  put("OLCUC, high", all);
  modes(0, 0, XTABS, 0, 0, 0);
  put("XTABS", "\ta\tbcdefgh\ti\n");
  put("XTABS after backspace", "abc\b\b\tx\n");
  put("XTABS after control", "a\x01" "b\tx\r\ty\n");
  modes(0, 0, XTABS, ONLCR, 0, 0);
  put("XTABS without ONLCR", "abc\n\tx\n");
  modes(XTABS, 0, XTABS, 0, 0, 0);
  TYPED("XTABS, echo", "a\tb\n", 1);
  modes(IUTF8, 0, XTABS, 0, 0, 0);
  put("XTABS, IUTF8", "\xc3\xa4\tx\n");
  modes(0, IUTF8, XTABS, 0, 0, 0);
  put("XTABS, bytes", "\xc3\xa4\tx\n");
  modes(0, 0, 0, 0, 0, 0);
  put("plain", "a\tb\n");
}

// All of it, however much the line discipline takes at once.
static long type_all(const char *s, long len) {
  long n = 0;
  fcntl(master, F_SETFL, O_NONBLOCK);
  for (int tries = 0; n < len && tries < 2000; tries++) {
    long r = write(master, s + n, len - n);
    if (r > 0) n += r;
    else sleep_ms(5);
  }
  fcntl(master, F_SETFL, 0);
  return n;
}

static void literal_next(void) {
  modes(0, 0, 0, 0, 0, 0);
  write(master, "ab\x16", 3);
  while (queued(master) < 4) {}
  tcflush(slave, TCIFLUSH);
  TYPED("a literal next character, over a flush", "\x04" "c\n", 1);
}

static void long_lines(void) {
  modes(0, 0, 0, 0, 0, ECHO);
  static char line[6000];
  memset(line, 'x', sizeof line);
  for (int i = 4094; i <= 4097; i++) {
    line[i] = '\n';
    say("line of %d: written %ld", i + 1, type_all(line, i + 1));
    long got = readable(slave, 5000) ? read(slave, buf, sizeof buf) : -1;
    say("line of %d: read %ld, ends in %x", i + 1, got, got > 0 ? buf[got - 1] : 0);
    line[i] = 'x';
  }
  line[5999] = '\n';
  say("line of 6000: written %ld", type_all(line, 6000));
  say("line of 6000: read %ld", readable(slave, 5000) ? read(slave, buf, sizeof buf) : -1);
  // A short read leaves the rest.
  write(master, "0123456789\n", 11);
  readable(slave, 5000);
  print("3 of it", read(slave, buf, 3));
  say("left %d", queued(slave));
  print("the rest", read(slave, buf, 100));
  write(master, "abc\x04", 4);
  readable(slave, 5000);
  print("exactly as many", read(slave, buf, 3));
  fcntl(slave, F_SETFL, O_NONBLOCK);
  print("and no end of file", read(slave, buf, 3));
  fcntl(slave, F_SETFL, 0);
}

static void switching(void) {
  modes(0, 0, 0, 0, 0, 0);
  struct termios t;
  tcgetattr(slave, &t);
  write(master, "half", 4);
  // What is echoed has been taken in.
  for (int n = 0; n < 4;) n += read(master, buf, sizeof buf);
  t.c_lflag &= ~ICANON;
  tcsetattr(slave, TCSANOW, &t);
  print("half a line when ICANON goes", readable(slave, 5000) ? read(slave, buf, 100) : -1);
  write(master, "raw", 3);
  readable(slave, 5000);
  t.c_lflag |= ICANON;
  tcsetattr(slave, TCSANOW, &t);
  print("raw bytes when ICANON comes", readable(slave, 5000) ? read(slave, buf, 100) : -1);
  write(master, "one\n", 4);
  readable(slave, 5000);
  t.c_lflag &= ~ICANON;
  tcsetattr(slave, TCSAFLUSH, &t);
  say("flushed: %d", queued(slave));
}

// What the slave has no room for waits on its way to it.
static void full(void) {
  modes(0, 0, 0, 0, 0, ICANON | ECHO);
  struct pollfd p = {master, POLLOUT, 0};
  memset(buf, 'f', 4096);
  print("of 4096", write(master, buf, 4096) == 4096 ? 0 : -1);
  while (queued(slave) < 4095) {}
  poll(&p, 1, 0), say("more fits: %d", p.revents == POLLOUT);
  write(master, "late", 4);
  say("%d", queued(slave));
  print("some", read(slave, buf, 90));
  while (queued(slave) < 4010) {}
  say("%d then", queued(slave));
  write(master, buf, 4096), write(master, buf, 1000);
  tcflush(master, TCOFLUSH);
  while (queued(slave) > 0) read(slave, buf, sizeof buf);
  fcntl(slave, F_SETFL, O_NONBLOCK);
  print("flushed", read(slave, buf, 3));
  fcntl(slave, F_SETFL, 0);
}

// Modes are the slave's: job control applies, even through the master.
static void background(void) {
  pid_t session = fork();
  if (session == 0) {
    struct termios t;
    setsid();
    ioctl(slave, TIOCSCTTY, 0);
    tcgetattr(slave, &t);
    pid_t foreground = fork();
    if (foreground == 0) setpgid(0, 0), _exit(-tcsetpgrp(slave, getpid()));
    waitpid(foreground, NULL, 0);
    signal(SIGTTOU, SIG_DFL);
    print("by the slave", tcsetattr(slave, TCSANOW, &t));
    print("by the master", tcsetattr(master, TCSANOW, &t));
    print("flow, by the master", tcflow(master, TCOON));
    signal(SIGHUP, SIG_IGN);
    _exit(0);
  }
  wait_say("background", session);
}

int main(void) {
  signal(SIGTTOU, SIG_IGN);
  if (openpty(&master, &slave, NULL, NULL, NULL) < 0) return 1;
  tcgetattr(slave, &initial);
  say("# editing"), editing();
  say("# utf8"), utf8();
  say("# echo"), echoes();
  say("# input"), input(), literal_next();
  say("# output"), output();
  say("# long lines"), long_lines();
  say("# switching"), switching();
  say("# full"), full();
  say("# background"), background();
  return 0;
}
