// link: -w
// What waits on its way between the two ends of a pseudo-terminal: full buffers, flow control that overtakes, flushes, echoes that are
// held, and slaves that could not be opened again.
#include "ready.h"
#include <sys/ioctl.h>
#include <termios.h>

static char buf[16384], slave_name[64];
static int m, s;

static void open_pair(int lflag_off) {
  int zero = 0, n = 0;
  struct termios t;
  m = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK);
  ioctl(m, TIOCSPTLCK, &zero), ioctl(m, TIOCGPTN, &n);
  snprintf(slave_name, sizeof slave_name, "/dev/pts/%d", n);
  s = open(slave_name, O_RDWR | O_NOCTTY | O_NONBLOCK);
  tcgetattr(s, &t), t.c_lflag &= ~lflag_off, tcsetattr(s, TCSANOW, &t);
}
static void close_pair(void) { close(s), close(m); }

static int queued(int fd) {
  int n = -1;
  return ioctl(fd, FIONREAD, &n) < 0 ? -errno : n;
}
static void arrived(int fd, int n) {
  for (int i = 0; i < 20000 && queued(fd) < n; i++) usleep(100);
}
// Until the slave may not, or may, write.
static void stopped(int yes) {
  for (int i = 0; i < 20000 && !(mask(s) & POLLOUT) != yes; i++) usleep(100);
}
static void write_x(int fd, int n) {
  memset(buf, 'x', n);
  if (write(fd, buf, n) != n) say("write of %d: %s", n, strerrorname_np(errno));
}
static void reads(const char *what, int fd) {
  long n = read(fd, buf, sizeof buf);
  if (n < 0) say("%s: read %s", what, strerrorname_np(errno));
  else say("%s: read %ld, last %x", what, n, n > 0 ? (unsigned char)buf[n - 1] : 0);
}
// The same once there is something.
static void reads_next(const char *what, int fd) {
  until(fd, POLLIN);
  reads(what, fd);
}

// A start character lets out what has been echoed so far, even if nothing was stopped.
static void start_characters(void) {
  open_pair(ICANON);
  write(m, "ab\x11" "cd\x13", 6);
  stopped(1), arrived(m, 2);
  say("echoed %d", queued(m));
  write(m, "\x11", 1), stopped(0), arrived(m, 4);
  say("started: echoed %d", queued(m));
  close_pair();
  open_pair(ICANON);
  write(m, "ab\x03" "cd\x13", 6);
  stopped(1), arrived(m, 4);
  say("interrupted: echoed %d", queued(m));
  close_pair();
}

// A line that is longer than the buffer: the newest character makes room for its end.
static void full_lines(void) {
  static const char *const ends[] = {"\n", "\x04", "z\n", "zy\n", "\x04\x04", "z\x04\x04", "\n\n", "z\x7f\n", "\x7f\x7f\n"};
  for (unsigned i = 0; i < sizeof ends / sizeof *ends; i++) {
    open_pair(ECHO);
    write_x(m, 4095), write(m, ends[i], strlen(ends[i]));
    int now = until(s, POLLIN);
    say("end %d: queued %d, mask %x", i, queued(s), now);
    reads("the line", s);
    // The second end is taken in now.
    if (i == 4 || i == 5 || i == 6) reads_next("another one", s);
    reads("and then", s);
    close_pair();
  }
  // The same without lines, then.
  open_pair(0);
  struct termios t;
  write_x(m, 4096), write(m, "yze", 3), arrived(m, 4099);
  tcgetattr(s, &t);
  t.c_lflag &= ~(ECHO | ICANON), tcsetattr(s, TCSANOW, &t);
  say("not a line any more: queued %d", queued(s));
  reads("it", s);
  close_pair();
  open_pair(ECHO | ICANON);
  tcgetattr(s, &t), t.c_iflag |= PARMRK, tcsetattr(s, TCSANOW, &t);
  write_x(m, 8000), arrived(s, 4095);
  say("PARMRK: queued %d", queued(s)), reads("it", s);
  arrived(s, 3907), say("PARMRK: queued %d", queued(s)), reads("it", s);
  close_pair();
}

// Stop and start characters are obeyed before what is in front of them has been taken in.
static void overtaking(void) {
  open_pair(ECHO);
  write(m, "\n\n", 2), write_x(m, 4096), write(m, "#\x13", 2);
  stopped(1);
  say("stopped behind a full buffer: mask %x, queued %d", mask(s), queued(s));
  write(m, "\x11", 1), stopped(0);
  say("started: mask %x", mask(s));
  write(m, "\x13y\n", 3), stopped(1);
  say("stopped: mask %x", mask(s));
  ioctl(m, TCXONC, TCION), stopped(0);
  say("started by TCION: mask %x", mask(s));
  // Where they are reached at last, they do nothing again.
  for (int i = 0; i < 3; i++) reads_next("line", s);
  reads("and then", s);
  say("after all: mask %x, queued %d", mask(s), queued(s));
  close_pair();
  open_pair(ECHO | ICANON);
  write_x(m, 4096), write(m, "\x16\x13z", 3), stopped(1);
  say("a literal one is obeyed as well: mask %x", mask(s));
  reads("it", s), arrived(s, 3), reads("the rest", s);
  say("mask %x", mask(s));
  close_pair();
  // Unless the line discipline has forgotten that it saw them.
  open_pair(ECHO | ICANON);
  int one = 1;
  struct termios t;
  write_x(m, 4096), write(m, "\x13\x11", 2), stopped(1), stopped(0);
  ioctl(m, TIOCPKT, &one), tcgetattr(s, &t), tcsetattr(s, TCSAFLUSH, &t);
  int told = 0;
  for (int i = 0; i < 20000 && !(told & TIOCPKT_START); i++)
    if (read(m, buf, 1) == 1) told |= buf[0];
    else usleep(100);
  say("seen again: %x", told & (TIOCPKT_FLUSHREAD | TIOCPKT_START));
  close_pair();
}

// An interrupt that was looked at for flow control before it was taken in: stop characters do nothing until a flush.
static void overtaken_interrupt(void) {
  open_pair(ECHO);
  write(m, "\n", 1), write_x(m, 4096), write(m, "\x03\x13", 2), stopped(1);
  reads("line", s);
  // The interrupt has started output, the stop character was obeyed before.
  stopped(0);
  write(m, "\x13" "a\n", 3), reads_next("interrupted", s);
  say("mask %x", mask(s));
  tcflush(s, TCIFLUSH);
  write(m, "\x13", 1), stopped(1);
  say("flushed: mask %x", mask(s));
  close_pair();
}

// Of too many echoes that wait the oldest go.
static void held_echoes(void) {
  static const int counts[] = {3800, 3806, 3807, 4000};
  struct termios t;
  for (int i = 0; i < 4; i++) {
    int n = counts[i];
    open_pair(ICANON);
    write(m, "\x13", 1), stopped(1);
    memset(buf, 'x', n), buf[0] = 'a', buf[1] = 1, write(m, buf, n), arrived(s, n);
    tcgetattr(s, &t), t.c_iflag &= ~IXON, tcsetattr(s, TCSANOW, &t);
    stopped(0), arrived(m, 3700), write(s, "z", 1);
    int got = 0;
    while (got == 0 || buf[got - 1] != 'z') {
      until(m, POLLIN);
      int r = read(m, buf + got, sizeof buf - got);
      if (r <= 0) break;
      got += r;
    }
    say("%d of %d: %c%c%c", got, n, buf[0], buf[1], buf[2]);
    close_pair();
  }
}

// tcflush(3) of the input takes what is still on its way.
static void flushes(void) {
  static const int how[] = {TCIFLUSH, TCOFLUSH, TCIOFLUSH};
  for (int i = 0; i < 3; i++) {
    open_pair(ECHO);
    write_x(s, 5000), arrived(m, 4095);
    say("%d of the master: %s", how[i], err(ioctl(m, TCFLSH, how[i])));
    reads("the master", m), arrived(m, how[i] == TCOFLUSH ? 905 : 0), reads("and", m);
    close_pair();
    open_pair(ECHO | ICANON);
    write_x(m, 5000), arrived(s, 4095);
    say("%d of the slave: %s", how[i], err(ioctl(s, TCFLSH, how[i])));
    write(m, "z", 1), reads_next("the slave", s), arrived(s, how[i] == TCOFLUSH ? 906 : 0), reads("and", s);
    close_pair();
  }
  // tcsetattr(3) does not; packet mode hears of it.
  open_pair(ECHO | ICANON);
  struct termios t;
  int one = 1;
  ioctl(m, TIOCPKT, &one);
  write_x(m, 5000), arrived(s, 4095);
  tcgetattr(s, &t);
  say("TCSADRAIN: %s", err(tcsetattr(s, TCSADRAIN, &t))), say("mask %x", mask(m) & (POLLPRI | POLLIN));
  say("TCSAFLUSH: %s", err(tcsetattr(s, TCSAFLUSH, &t))), say("mask %x", mask(m) & (POLLPRI | POLLIN));
  reads("packet", m);
  arrived(s, 905), reads("the slave", s);
  say("TCSAFLUSH by the master: %s", err(tcsetattr(m, TCSAFLUSH, &t))), say("mask %x", mask(m) & (POLLPRI | POLLIN));
  reads("packet", m);
  close_pair();
}

static void may_open(int yes) { ioctl(m, TIOCSPTLCK, &(int){!yes}); }
static int opens(void) { return open(slave_name, O_RDWR | O_NOCTTY | O_NONBLOCK); }

// An open that fails leaves the slave unusable until one succeeds.
static void failed_opens(void) {
  open_pair(ECHO);
  write(m, "a\n", 2), arrived(s, 2);
  may_open(0);
  say("locked: mask %x", mask(s)), reads("it", s);
  say("open: %s", err(opens()));
  write(m, "b\n", 2), arrived(s, 2);
  say("mask %x, queued %d", mask(s), queued(s)), reads("the slave", s);
  say("write %s, of nothing %s", err(write(s, "x", 1)), err(write(s, "x", 0)));
  say("read of nothing %s", err(read(s, buf, 0)));
  say("modes %s", err(tcflush(s, TCOFLUSH)));
  reads("the master", m);
  may_open(1);
  say("unlocked, write %s", err(write(s, "x", 1)));
  int other = opens();
  say("open %s", other < 0 ? strerrorname_np(errno) : "succeeds");
  reads("the slave", s);
  say("write %s", err(write(s, "x", 1)));
  close(other);
  say("closed, write %s", err(write(s, "x", 1)));
  // Who closes it then is not heard of.
  arrived(m, 2), reads("the master", m);
  may_open(0), opens(), close(s);
  say("mask %x", mask(m)), reads("the master", m);
  may_open(1), s = opens();
  close(s);
  say("mask %x", mask(m)), reads("the master", m);
  may_open(0);
  say("open: %s", err(opens()));
  say("mask %x", mask(m)), reads("the master", m);
  close(m);
}

// What TIOCSPGRP looks at first.
static void strange_groups(void) {
  open_pair(0);
  say("not ours: %s, nowhere %s", err(ioctl(s, TIOCSPGRP, &(int){-1})), err(ioctl(s, TIOCSPGRP, BAD_PTR)));
  say("own %s", err(ioctl(s, TIOCSPGRP, &(int){getpgrp()})));
  close_pair();
}

int main(void) {
  say("# start characters"), start_characters();
  say("# full lines"), full_lines();
  say("# overtaking"), overtaking(), overtaken_interrupt();
  say("# held echoes"), held_echoes();
  say("# flushes"), flushes();
  say("# failed opens"), failed_opens(), strange_groups();
  return 0;
}
