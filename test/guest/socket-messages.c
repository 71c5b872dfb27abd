// link: -w
// MSG_* flags, SO_PEEK_OFF, SO_RCVLOWAT, urgent data and several messages at once, on sockets of all kinds.
#include "ready.h"
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <sys/un.h>

static char buf[1 << 18];
enum { STREAM, SEQ, DGRAM, TCP, UDP, KINDS };
static const char *kinds[] = {"stream", "seqpacket", "datagram", "tcp", "udp"};

// Until `fd` has at least `n` bytes to read (of messages: a message).
static void arrived(int fd, int n) {
  for (int i = 0, v = 0; i < 5000; i++) {
    if (ioctl(fd, FIONREAD, &v) == 0 && v >= n) return;
    sleep_ms(1);
  }
}

// What a receive gives: length or errno, and the bytes.
static const char *got(int s, size_t len, int flags) {
  static char text[8][80];
  static int at;
  char *out = text[at++ & 7];
  memset(buf, '.', 64);
  long r = recv(s, buf, len, flags);
  if (r < 0) snprintf(out, 80, "%s", strerrorname_np(errno));
  else snprintf(out, 80, "%ld '%.*s'", r, (int)(r > 30 ? 30 : r), buf);
  return out;
}

static void make(int kind, int *s) {
  int types[] = {SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM, SOCK_STREAM, SOCK_DGRAM};
  if (kind < TCP) {
    socketpair(AF_UNIX, types[kind], 0, s);
    return;
  }
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, b = a;
  socklen_t l = sizeof a;
  int ls = socket(AF_INET, types[kind], 0);
  bind(ls, (struct sockaddr *)&a, l);
  getsockname(ls, (struct sockaddr *)&a, &l);
  s[0] = socket(AF_INET, types[kind], 0);
  if (kind == UDP) {
    bind(s[0], (struct sockaddr *)&b, l);
    getsockname(s[0], (struct sockaddr *)&b, &l);
    connect(s[0], (struct sockaddr *)&a, l);
    connect(ls, (struct sockaddr *)&b, l);
    s[1] = ls;
    return;
  }
  listen(ls, 2);
  connect(s[0], (struct sockaddr *)&a, l);
  s[1] = accept(ls, NULL, NULL);
  close(ls);
  int one = 1;
  setsockopt(s[0], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static void end(int *s) { close(s[0]), close(s[1]); }

// One message of "abcdef" read with each combination of flags.
static void test_reads(int kind) {
  static const struct {
    const char *name;
    int flags;
  } how[] = {
      {"0", 0},
      {"PEEK", MSG_PEEK},
      {"TRUNC", MSG_TRUNC},
      {"PEEK|TRUNC", MSG_PEEK | MSG_TRUNC},
      {"DONTWAIT", MSG_DONTWAIT},
      {"WAITALL|DONTWAIT", MSG_WAITALL | MSG_DONTWAIT},
      {"WAITALL|PEEK|DONTWAIT", MSG_WAITALL | MSG_PEEK | MSG_DONTWAIT},
      {"EOR", MSG_EOR},
      {"NOSIGNAL", MSG_NOSIGNAL},
      {"MORE", MSG_MORE},
      {"CTRUNC", MSG_CTRUNC},
      {"ERRQUEUE", MSG_ERRQUEUE},
      {"CMSG_CLOEXEC", MSG_CMSG_CLOEXEC},
      {"DONTROUTE", MSG_DONTROUTE},
      {"unknown", 0x00800000},
      {"WAITFORONE", MSG_WAITFORONE},
  };
  for (unsigned i = 0; i < sizeof how / sizeof *how; i++) {
    int s[2];
    make(kind, s);
    send(s[0], "abcdef", 6, 0);
    arrived(s[1], 6);
    const char *zero = got(s[1], 0, how[i].flags | MSG_PEEK);
    const char *cut = got(s[1], 4, how[i].flags);
    const char *rest = got(s[1], 20, how[i].flags | MSG_DONTWAIT);
    say("%s %s: zero %s, cut %s, rest %s", kinds[kind], how[i].name, zero, cut, rest);
    // msg_flags of recvmsg, with a name and no control.
    send(s[0], "0123456789", 10, 0);
    arrived(s[1], 4);
    char name[128];
    struct iovec iov[2] = {{buf, 2}, {buf + 10, 3}};
    struct msghdr m = {.msg_name = name, .msg_namelen = sizeof name, .msg_iov = iov, .msg_iovlen = 2, .msg_flags = 0x5555};
    long r = recvmsg(s[1], &m, how[i].flags | MSG_DONTWAIT);
    say("%s %s: message %s, flags %x, name %d", kinds[kind], how[i].name, err(r), m.msg_flags, m.msg_namelen);
    end(s);
  }
}

static void test_sends(int kind) {
  static const struct {
    const char *name;
    int flags;
  } how[] = {
      {"EOR", MSG_EOR},
      {"CONFIRM", MSG_CONFIRM},
      {"DONTROUTE", MSG_DONTROUTE},
      {"MORE", MSG_MORE},
      {"DONTWAIT", MSG_DONTWAIT},
      {"TRUNC", MSG_TRUNC},
      {"PEEK", MSG_PEEK},
      {"WAITALL", MSG_WAITALL},
      {"SYN", 0x400},
      {"FIN", 0x200},
      {"RST", 0x1000},
      {"CTRUNC", MSG_CTRUNC},
      {"ERRQUEUE", MSG_ERRQUEUE},
      {"BATCH", 0x40000},
      {"PROBE", 0x10},
      {"ZEROCOPY", MSG_ZEROCOPY},
      {"unknown", 0x00800000},
  };
  for (unsigned i = 0; i < sizeof how / sizeof *how; i++) {
    int s[2];
    make(kind, s);
    const char *r = err(send(s[0], "abc", 3, how[i].flags | MSG_NOSIGNAL));
    const char *q = err(send(s[0], "def", 3, MSG_NOSIGNAL));
    arrived(s[1], 3);
    char name[128];
    struct iovec iov = {buf, 100};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    if (how[i].flags != MSG_MORE || kind == DGRAM) {
      if (kind == STREAM || kind == TCP) arrived(s[1], 6);
      long n = recvmsg(s[1], &m, MSG_DONTWAIT);
      say("%s send %s: %s %s, received %s flags %x", kinds[kind], how[i].name, r, q, err(n), m.msg_flags);
    } else {
      arrived(s[1], 6);
      say("%s send %s: %s %s, received %s", kinds[kind], how[i].name, r, q, got(s[1], 100, MSG_DONTWAIT));
    }
    end(s);
  }
}

static void test_peek_off(int kind) {
  int s[2], v = -5;
  socklen_t l = sizeof v;
  make(kind, s);
  const char *r = err(getsockopt(s[1], SOL_SOCKET, SO_PEEK_OFF, &v, &l));
  say("%s: peek off %s %d", kinds[kind], r, v);
  v = 0;
  if (setsockopt(s[1], SOL_SOCKET, SO_PEEK_OFF, &v, sizeof v) < 0) {
    say("%s: %s", kinds[kind], strerrorname_np(errno));
    end(s);
    return;
  }
#define OFF() (getsockopt(s[1], SOL_SOCKET, SO_PEEK_OFF, &v, &l), v)
  send(s[0], "abcdef", 6, 0), send(s[0], "ghijkl", 6, 0);
  v = 6;
  setsockopt(s[1], SOL_SOCKET, SO_PEEK_OFF, &v, sizeof v);
  for (int i = 0; i < 5000 && recv(s[1], buf, 1, MSG_PEEK | MSG_DONTWAIT) < 0; i++) sleep_ms(1);
  v = 0;
  setsockopt(s[1], SOL_SOCKET, SO_PEEK_OFF, &v, sizeof v);
  for (int i = 0; i < 6; i++) {
    const char *t = got(s[1], 4, MSG_PEEK | MSG_DONTWAIT);
    say("%s: peek %s, at %d", kinds[kind], t, OFF());
  }
  const char *t = got(s[1], 3, MSG_DONTWAIT);
  say("%s: read %s, at %d", kinds[kind], t, OFF());
  t = got(s[1], 3, MSG_PEEK | MSG_DONTWAIT);
  say("%s: peek %s, at %d", kinds[kind], t, OFF());
  v = 2;
  setsockopt(s[1], SOL_SOCKET, SO_PEEK_OFF, &v, sizeof v);
  t = got(s[1], 3, MSG_PEEK | MSG_DONTWAIT);
  say("%s: peek %s, at %d", kinds[kind], t, OFF());
  t = got(s[1], 3, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
  say("%s: peek %s, at %d", kinds[kind], t, OFF());
  v = -1;
  setsockopt(s[1], SOL_SOCKET, SO_PEEK_OFF, &v, sizeof v);
  t = got(s[1], 30, MSG_PEEK | MSG_DONTWAIT);
  say("%s: peek %s, at %d", kinds[kind], t, OFF());
  v = -7;
  say("%s: negative %s, at %d", kinds[kind], err(setsockopt(s[1], SOL_SOCKET, SO_PEEK_OFF, &v, sizeof v)), OFF());
  v = 50;
  setsockopt(s[1], SOL_SOCKET, SO_PEEK_OFF, &v, sizeof v);
  t = got(s[1], 30, MSG_PEEK | MSG_DONTWAIT);
  say("%s: beyond %s, at %d", kinds[kind], t, OFF());
  t = got(s[1], 30, MSG_DONTWAIT);
  say("%s: read %s, at %d", kinds[kind], t, OFF());
  end(s);
}

static void mark(const char *what, int s) {
  int v = -1;
  const char *r = err(ioctl(s, SIOCATMARK, &v));
  say(" %s: mark %s %d, poll %x", what, r, v, mask(s));
}

static volatile sig_atomic_t urgent;
static void on_urg(int sig) { (void)sig, urgent++; }

static void test_oob(int kind) {
  for (int inline_ = 0; inline_ < 2; inline_++) {
    int s[2];
    make(kind, s);
    urgent = 0;
    fcntl(s[1], F_SETOWN, getpid());
    say("%s urgent, inline %d: %s", kinds[kind], inline_, err(setsockopt(s[1], SOL_SOCKET, SO_OOBINLINE, &inline_, sizeof inline_)));
    mark("none", s[1]);
    say(" none: %s", got(s[1], 1, MSG_OOB | MSG_DONTWAIT));
    say(" send %s %s", err(send(s[0], "abc", 3, MSG_OOB)), err(send(s[0], "de", 2, 0)));
    arrived(s[1], inline_ ? 5 : 4);
    until(s[1], POLLPRI | POLLIN);
    mark("there", s[1]);
    for (int i = 0; i < 5000 && !urgent; i++) sleep_ms(1);
    say(" signal %d", urgent > 0);
    say(" peek %s", got(s[1], 1, MSG_OOB | MSG_PEEK | MSG_DONTWAIT));
    say(" peek data %s", got(s[1], 10, MSG_PEEK | MSG_DONTWAIT));
    say(" read %s", got(s[1], 10, MSG_DONTWAIT));
    mark("at it", s[1]);
    say(" urgent %s", got(s[1], 5, MSG_OOB | MSG_DONTWAIT));
    mark("taken", s[1]);
    say(" again %s", got(s[1], 1, MSG_OOB | MSG_DONTWAIT));
    say(" read %s", got(s[1], 10, MSG_DONTWAIT));
    mark("after", s[1]);
    say(" read %s", got(s[1], 10, MSG_DONTWAIT));
    // A second one replaces the first.
    send(s[0], "12", 2, MSG_OOB), send(s[0], "34", 2, MSG_OOB), send(s[0], "5", 1, 0);
    arrived(s[1], inline_ ? 5 : 4);
    until(s[1], POLLPRI | POLLIN);
    mark("two", s[1]);
    say(" urgent %s", got(s[1], 1, MSG_OOB | MSG_DONTWAIT));
    say(" read %s", got(s[1], 2, MSG_DONTWAIT));
    say(" read %s", got(s[1], 10, MSG_DONTWAIT));
    say(" read %s", got(s[1], 10, MSG_DONTWAIT));
    say(" read %s", got(s[1], 10, MSG_DONTWAIT));
    say(" nothing to send %s", err(send(s[0], "", 0, MSG_OOB)));
    // Data only.
    send(s[0], "x", 1, MSG_OOB);
    until(s[1], POLLPRI);
    mark("alone", s[1]);
    say(" read %s", got(s[1], 10, MSG_DONTWAIT));
    mark("read", s[1]);
    say(" urgent %s", got(s[1], 1, MSG_OOB | MSG_DONTWAIT));
    send(s[0], "y", 1, MSG_OOB);
    until(s[1], POLLPRI);
    close(s[0]);
    until(s[1], POLLRDHUP);
    mark("closed", s[1]);
    say(" read %s", got(s[1], 10, MSG_DONTWAIT));
    say(" read %s", got(s[1], 10, MSG_DONTWAIT));
    close(s[1]);
  }
}

static void test_lowat(int kind) {
  int s[2], v = 5;
  socklen_t l = sizeof v;
  make(kind, s);
  say("%s: lowat %s", kinds[kind], err(setsockopt(s[1], SOL_SOCKET, SO_RCVLOWAT, &v, sizeof v)));
  send(s[0], "abc", 3, 0);
  arrived(s[1], 3);
  say("%s: too few %x", kinds[kind], mask(s[1]));
  say("%s: read %s", kinds[kind], got(s[1], 2, MSG_DONTWAIT));
  say("%s: read %s", kinds[kind], got(s[1], 10, MSG_DONTWAIT | MSG_PEEK));
  send(s[0], "defgh", 5, 0);
  arrived(s[1], kind == STREAM || kind == TCP ? 6 : 1);
  say("%s: enough %x", kinds[kind], mask(s[1]));
  say("%s: read %s", kinds[kind], got(s[1], 20, 0));
  v = -1;
  setsockopt(s[1], SOL_SOCKET, SO_RCVLOWAT, &v, sizeof v);
  getsockopt(s[1], SOL_SOCKET, SO_RCVLOWAT, &v, &l);
  say("%s: minus one is %d", kinds[kind], v);
  v = 0;
  setsockopt(s[1], SOL_SOCKET, SO_RCVLOWAT, &v, sizeof v);
  getsockopt(s[1], SOL_SOCKET, SO_RCVLOWAT, &v, &l);
  say("%s: none is %d", kinds[kind], v);
  end(s);
}

static void test_waitall(int kind) {
  int s[2];
  make(kind, s);
  send(s[0], "abcd", 4, 0);
  shutdown(s[0], SHUT_WR);
  say("%s: waitall until the end %s", kinds[kind], got(s[1], 10, MSG_WAITALL));
  say("%s: the end %s", kinds[kind], kind == UDP || kind == DGRAM ? "-" : got(s[1], 10, MSG_WAITALL));
  end(s);
  make(kind, s);
  struct timeval tv = {0, 30000};
  setsockopt(s[1], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
  send(s[0], "abcd", 4, 0);
  arrived(s[1], 4);
  say("%s: waitall until the time %s", kinds[kind], got(s[1], 10, MSG_WAITALL));
  say("%s: nothing in time %s", kinds[kind], got(s[1], 10, MSG_WAITALL));
  send(s[0], "abcd", 4, 0);
  arrived(s[1], 4);
  say("%s: peek all %s", kinds[kind], got(s[1], 10, MSG_WAITALL | MSG_PEEK));
  end(s);
}

static void test_many(int kind) {
  int s[2];
  make(kind, s);
  struct mmsghdr mm[4];
  struct iovec iov[4];
  char data[4][10];
  memset(mm, 0, sizeof mm);
  for (int i = 0; i < 4; i++) {
    iov[i] = (struct iovec){"abcdefgh", 2 + i};
    mm[i].msg_hdr.msg_iov = &iov[i], mm[i].msg_hdr.msg_iovlen = 1, mm[i].msg_len = 77;
  }
  say("%s: sendmmsg none %s", kinds[kind], err(sendmmsg(s[0], mm, 0, 0)));
  mm[2].msg_hdr.msg_iov = BAD_PTR;
  say("%s: sendmmsg, third bad %s %d %d %d", kinds[kind], err(sendmmsg(s[0], mm, 4, 0)), mm[0].msg_len, mm[1].msg_len, mm[2].msg_len);
  say("%s: first bad %s", kinds[kind], err(sendmmsg(s[0], mm + 2, 2, 0)));
  mm[2].msg_hdr.msg_iov = &iov[2];
  say("%s: bad vector %s", kinds[kind], err(sendmmsg(s[0], BAD_PTR, 2, 0)));
  arrived(s[1], kind == STREAM || kind == TCP ? 5 : 2);
  for (int i = 0; i < 4; i++) iov[i] = (struct iovec){data[i], 10};
  struct timespec ts = {30, 0};
  if (kind != STREAM && kind != TCP) {
    say("%s: recvmmsg with a time %s", kinds[kind], err(recvmmsg(s[1], mm, 2, 0, &ts)));
    say("%s: lengths %d %d", kinds[kind], mm[0].msg_len, mm[1].msg_len);
  } else say("%s: %s", kinds[kind], got(s[1], 20, 0));
  ts = (struct timespec){0, 1000000000};
  say("%s: bad time %s", kinds[kind], err(recvmmsg(s[1], mm, 2, 0, &ts)));
  ts = (struct timespec){-1, 0};
  say("%s: bad time %s", kinds[kind], err(recvmmsg(s[1], mm, 2, 0, &ts)));
  say("%s: bad time %s", kinds[kind], err(recvmmsg(s[1], mm, 2, 0, BAD_PTR)));
  ts = (struct timespec){1, 0};
  say("%s: none %s", kinds[kind], err(recvmmsg(s[1], mm, 0, 0, &ts)));
  is("time is told back", ts.tv_sec == 1 || ts.tv_nsec > 0);
  say("%s: nothing there %s", kinds[kind], err(recvmmsg(s[1], mm, 2, MSG_DONTWAIT, NULL)));
  ts = (struct timespec){0, 0};
  send(s[0], "xy", 2, 0);
  arrived(s[1], 2);
  say("%s: no time %s", kinds[kind], err(recvmmsg(s[1], mm, 2, 0, &ts)));
  ts = (struct timespec){30, 0};
  send(s[0], "xy", 2, 0);
  arrived(s[1], 2);
  say("%s: one %s", kinds[kind], err(recvmmsg(s[1], mm, 2, MSG_WAITFORONE, &ts)));
  is("time left", ts.tv_sec < 30 && ts.tv_sec >= 0);
  // The third into a bad header: two are given.
  if (kind != STREAM && kind != TCP) {
    for (int i = 0; i < 3; i++) send(s[0], "abcdefgh", 2 + i, 0);
    arrived(s[1], 2);
    mm[1].msg_hdr.msg_iov = BAD_PTR;
    say("%s: second bad %s", kinds[kind], err(recvmmsg(s[1], mm, 3, MSG_DONTWAIT, NULL)));
    int e = 0;
    socklen_t l = sizeof e;
    getsockopt(s[1], SOL_SOCKET, SO_ERROR, &e, &l);
    say("%s: error afterwards %d", kinds[kind], e);
    until(s[1], POLLIN);
    say("%s: next %s", kinds[kind], got(s[1], 20, MSG_DONTWAIT));
  }
  end(s);
}

static void test_headers(int kind) {
  int s[2];
  make(kind, s);
  struct iovec iov[1025];
  for (int i = 0; i < 1025; i++) iov[i] = (struct iovec){buf + i, 1};
  struct msghdr m = {.msg_iov = iov, .msg_iovlen = 1024};
  say("%s: 1024 pieces %s", kinds[kind], err(sendmsg(s[0], &m, 0)));
  arrived(s[1], 1024);
  say("%s: 1024 pieces %s", kinds[kind], err(recvmsg(s[1], &m, 0)));
  m.msg_iovlen = 1025;
  say("%s: 1025 pieces %s %s", kinds[kind], err(sendmsg(s[0], &m, 0)), err(recvmsg(s[1], &m, MSG_DONTWAIT)));
  iov[1].iov_len = -1;
  m.msg_iovlen = 2;
  say("%s: negative piece %s %s", kinds[kind], err(sendmsg(s[0], &m, 0)), err(recvmsg(s[1], &m, MSG_DONTWAIT)));
  iov[1].iov_len = 1;
  iov[1].iov_base = BAD_PTR;
  say("%s: bad piece %s", kinds[kind], err(sendmsg(s[0], &m, MSG_DONTWAIT)));
  if (kind == STREAM || kind == TCP) recv(s[1], buf, 10, MSG_DONTWAIT);
  say("%s: bad header %s %s", kinds[kind], err(sendmsg(s[0], BAD_PTR, 0)), err(recvmsg(s[1], BAD_PTR, MSG_DONTWAIT)));
  m.msg_iovlen = 1;
  m.msg_namelen = -1, m.msg_name = buf;
  say("%s: negative name %s %s", kinds[kind], err(sendmsg(s[0], &m, 0)), err(recvmsg(s[1], &m, MSG_DONTWAIT)));
  m.msg_namelen = 0x7fffffff, m.msg_name = NULL;
  say("%s: long name nowhere %s", kinds[kind], err(sendmsg(s[0], &m, 0)));
  m.msg_namelen = 0, m.msg_name = NULL, m.msg_control = BAD_PTR, m.msg_controllen = 20;
  say("%s: bad control %s", kinds[kind], err(sendmsg(s[0], &m, 0)));
  m.msg_controllen = 10;
  say("%s: short bad control %s", kinds[kind], err(sendmsg(s[0], &m, 0)));
  m.msg_control = buf, m.msg_controllen = 10;
  say("%s: short control %s", kinds[kind], err(sendmsg(s[0], &m, 0)));
  m.msg_controllen = (size_t)1 << 31;
  say("%s: huge control %s", kinds[kind], err(sendmsg(s[0], &m, 0)));
  m.msg_controllen = 0;
  struct iovec none = {NULL, 0};
  m.msg_iov = &none;
  say("%s: nothing %s", kinds[kind], err(sendmsg(s[0], &m, 0)));
  end(s);
}

int main(void) {
  signal(SIGPIPE, SIG_IGN);
  signal(SIGURG, on_urg);
  for (int k = 0; k < KINDS; k++) {
    test_reads(k);
    test_sends(k);
    test_peek_off(k);
    test_lowat(k);
    test_waitall(k);
    test_many(k);
    test_headers(k);
  }
  test_oob(STREAM);
  test_oob(TCP);
  return 0;
}
