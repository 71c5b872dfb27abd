// link: -w
// Connections in the making: EINPROGRESS, EALREADY, EISCONN and what SO_ERROR keeps, full backlogs, simultaneous and self-connects, disconnects;
// which addresses may be bound, shared and left (SO_REUSEPORT groups, TIME_WAIT, devices, foreign addresses), dual stack.
#include "ready.h"
#include <arpa/inet.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif
static union any {
  struct sockaddr sa;
  struct sockaddr_in in;
  struct sockaddr_in6 in6;
} addr;
static socklen_t len;
static int four;

// Arguments from left to right, all of them text.
#define seq(format, ...) \
  do { \
    const char *a_[4] = {__VA_ARGS__}; \
    say(format, a_[0], a_[1], a_[2], a_[3]); \
  } while (0)

static const char *number(int v) {
  static char text[8][12];
  static int at;
  return snprintf(text[++at & 7], 12, "%d", v), text[at & 7];
}

static const char *hex(int v) {
  static char text[8][12];
  static int at;
  return snprintf(text[++at & 7], 12, "%x", v), text[at & 7];
}

static void on(int s, int level, int name, int v) {
  if (setsockopt(s, level, name, &v, sizeof v) < 0) say("option %d %d: %s", level, name, strerrorname_np(errno));
}

static int get(int s, int level, int name) {
  int v = -1;
  socklen_t l = sizeof v;
  return getsockopt(s, level, name, &v, &l) < 0 ? -errno : v;
}

static void name(const char *host, int port) {
  memset(&addr, 0, sizeof addr);
  len = four ? sizeof addr.in : sizeof addr.in6;
  addr.sa.sa_family = four ? AF_INET : AF_INET6;
  addr.in.sin_port = htons(port);
  inet_pton(addr.sa.sa_family, host ? host : four ? "127.0.0.1" : "::1", four ? (void *)&addr.in.sin_addr : &addr.in6.sin6_addr);
}

static int port_of(int s) {
  union any a;
  socklen_t l = sizeof a;
  getsockname(s, &a.sa, &l);
  return ntohs(a.in.sin_port);
}

static int sock(int type, int nonblock) { return socket(four ? AF_INET : AF_INET6, type | (nonblock ? SOCK_NONBLOCK : 0), 0); }
static long to(int s) { return connect(s, &addr.sa, len); }
static long nowhere(int s) { return connect(s, &(struct sockaddr){AF_UNSPEC}, sizeof(struct sockaddr)); }

static int listening(int backlog) {
  int s = sock(SOCK_STREAM, 0);
  name(NULL, 0);
  bind(s, &addr.sa, len), listen(s, backlog);
  len = sizeof addr;
  getsockname(s, &addr.sa, &len);
  return s;
}

static void in_progress(void) {
  int ls = listening(0), c = sock(SOCK_STREAM, 1), k;
  say("nonblocking %s", err(to(c)));
  seq("made %s, error %s", hex(until(c, POLLOUT)), number(so_error(c)));
  seq("again %s, %s", err(to(c)), err(to(c)));
  // The backlog is full: the next one stays in progress.
  until(ls, POLLIN);
  int d = sock(SOCK_STREAM, 1);
  seq("full %s, again %s, %s", err(to(d)), err(to(d)), hex(mask(d)));
  seq("send %s, recv %s, error %s", err(send(d, "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL)), err(recv(d, &k, 1, MSG_DONTWAIT)), number(so_error(d)));
  seq("listen %s, bind %s, shutdown %s", err(listen(d, 1)), err(bind(d, &addr.sa, len)), err(shutdown(d, SHUT_RD)));
  seq("shut %s, error %s, connect %s", hex(mask(d)), number(so_error(d)), err(to(d)));
  seq("disconnect %s, %s, error %s", err(nowhere(d)), hex(mask(d)), number(so_error(d)));
  close(d);
  close(ls);
  seq("listener closed %s, error %s", hex(until(c, POLLHUP)), number(so_error(c)));
  seq("error taken %s, %s, recv %s", number(so_error(c)), hex(mask(c)), err(recv(c, &k, 1, 0)));
  close(c);
  // Refused.
  c = sock(SOCK_STREAM, 1);
  say("refused %s", err(to(c)));
  say("then %x", until(c, POLLHUP));
  seq("connect tells %s, error %s", err(to(c)), number(so_error(c)));
  seq("then %s, connect %s", hex(mask(c)), err(to(c)));
  until(c, POLLHUP);
  seq("error %s, connect %s", number(so_error(c)), err(to(c)));
  close(c);
  c = sock(SOCK_STREAM, 1);
  to(c), until(c, POLLHUP);
  seq("refused: send %s, send %s", err(send(c, "x", 1, MSG_NOSIGNAL)), err(send(c, "x", 1, MSG_NOSIGNAL)));
  close(c);
  c = sock(SOCK_STREAM, 1);
  to(c), until(c, POLLHUP);
  seq("refused: recv %s, recv %s, connect %s", err(recv(c, &k, 1, 0)), err(recv(c, &k, 1, 0)), err(to(c)));
  close(c);
  c = sock(SOCK_STREAM, 0);
  seq("blocking %s, again %s, error %s", err(to(c)), err(to(c)), number(so_error(c)));
  ls = sock(SOCK_STREAM, 0);
  on(ls, SOL_SOCKET, SO_REUSEADDR, 1);
  seq("bind %s, listen %s", err(bind(ls, &addr.sa, len)), err(listen(ls, 5)));
  say("the same socket %s", err(to(c)));
  k = accept(ls, NULL, NULL);
  seq("disconnect %s, connect %s", err(nowhere(c)), err(to(c)));
  seq("the first ended %s, error %s", hex(until(k, POLLHUP)), number(so_error(k)));
  close(k), close(c), close(ls);
}

static void itself(void) {
  int s = sock(SOCK_STREAM, 0);
  char b[10];
  name(NULL, 0), bind(s, &addr.sa, len), getsockname(s, &addr.sa, &len);
  say("to itself %s", err(to(s)));
  seq("%s, send %s, recv %s", hex(mask(s)), err(send(s, "self", 4, 0)), err(recv(s, b, 10, 0)));
  seq("shutdown %s, recv %s, %s", err(shutdown(s, SHUT_WR)), err(recv(s, b, 10, 0)), hex(until(s, POLLHUP)));
  close(s);
  s = sock(SOCK_DGRAM, 0);
  name(NULL, 0), bind(s, &addr.sa, len), len = sizeof addr, getsockname(s, &addr.sa, &len);
  seq("datagram to itself %s, send %s, recv %s", err(to(s)), err(send(s, "self", 4, 0)), err(recv(s, b, 10, 0)));
  close(s);
  // Both at once.
  int x = sock(SOCK_STREAM, 1), y = sock(SOCK_STREAM, 1);
  name(NULL, 0), bind(x, &addr.sa, len);
  union any ax, ay;
  socklen_t l = sizeof ax;
  getsockname(x, &ax.sa, &l);
  bind(y, &addr.sa, len), getsockname(y, &ay.sa, &l);
  say("refused first %s", err(connect(x, &ay.sa, l)));
  seq("%s, error %s", hex(until(x, POLLHUP)), number(so_error(x)));
  close(x), close(y);
  s = sock(SOCK_STREAM, 0);
  name(NULL, 0);
  say("port 0 %s", err(to(s)));
  close(s);
  s = sock(SOCK_DGRAM, 0);
  seq("datagram to port 0 %s, send %s", err(to(s)), err(send(s, "x", 1, 0)));
  close(s);
  name(four ? "0.0.0.0" : "::", 0);
  int ls = listening(3);
  int port = port_of(ls);
  name(four ? "0.0.0.0" : "::", port);
  s = sock(SOCK_STREAM, 0);
  say("to no address %s", err(to(s)));
  l = sizeof ax, getpeername(s, &ax.sa, &l);
  say("is the loopback %d", four ? ax.in.sin_addr.s_addr == htonl(INADDR_LOOPBACK) : IN6_IS_ADDR_LOOPBACK(&ax.in6.sin6_addr));
  close(s), close(ls);
}

// Where one may bind: rights, foreign addresses, devices.
static void binds(void) {
  static const char *hosts4[] = {"127.0.0.1", "127.9.9.9", "10.1.2.3", "255.255.255.255", "224.0.0.5", "0.0.0.0", "127.255.255.255"};
  static const char *hosts6[] = {"::1", "2001:db8::1", "fe80::1", "ff02::5", "::ffff:127.0.0.1", "::", "::ffff:10.1.2.3"};
  for (int type = SOCK_STREAM; type <= SOCK_DGRAM; type++)
    for (int i = 0; i < 7; i++) {
      char line[200];
      int at = 0;
      for (int how = 0; how < 4; how++) {
        int s = sock(type, 0);
        if (how == 1) on(s, IPPROTO_IP, IP_FREEBIND, 1);
        if (how == 2) on(s, IPPROTO_IP, IP_TRANSPARENT, 1);
        if (how == 3 && !four) on(s, IPPROTO_IPV6, IPV6_V6ONLY, 1);
        name(four ? hosts4[i] : hosts6[i], 0);
        at += sprintf(line + at, " %s", err(bind(s, &addr.sa, len)));
        if (type == SOCK_STREAM) at += sprintf(line + at, "/%s", err(listen(s, 1)));
        close(s);
      }
      say("%s %s:%s", type == SOCK_STREAM ? "tcp" : "udp", four ? hosts4[i] : hosts6[i], line);
    }
  int s = sock(SOCK_STREAM, 0);
  on(s, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
  name(NULL, 0);
  seq("no port: bind %s, port %s", err(bind(s, &addr.sa, len)), number(port_of(s) > 0));
  int ls = listening(3);
  seq("connect %s, port %s", err(to(s)), number(port_of(s) > 0));
  close(s), close(ls);
  for (int port = 1; port <= 1024; port *= 2) {
    s = sock(SOCK_STREAM, 0);
    name(NULL, port == 1024 ? 1023 : port), say("port %d %s", port, err(bind(s, &addr.sa, len)));
    close(s);
  }
  if (fork() == 0) {
    setresuid(1000, 1000, 1000);
    s = sock(SOCK_STREAM, 0);
    name(NULL, 80), say("a user's %s", err(bind(s, &addr.sa, len)));
    name(NULL, 1024), say("above %s", err(bind(s, &addr.sa, len)));
    int v = 1;
    seq("transparent %s, freebind %s, mark %s", err(setsockopt(s, 0, IP_TRANSPARENT, &v, 4)), err(setsockopt(s, 0, IP_FREEBIND, &v, 4)), err(setsockopt(s, 1, SO_MARK, &v, 4)));
    say("device %s", err(setsockopt(s, 1, SO_BINDTODEVICE, "lo", 3)));
    say("another %s", err(setsockopt(s, 1, SO_BINDTODEVICE, "", 0)));
    _exit(0);
  }
  wait(NULL);
  // A device.
  s = sock(SOCK_DGRAM, 0);
  char device[IFNAMSIZ + 1] = "";
  socklen_t l;
  static const char *devices[] = {"lo", "nothing", "", "a-name-longer-than-fifteen"};
  for (int i = 0; i < 4; i++)
    for (int n = 0; n < 3; n++) {
      l = n == 0 ? strlen(devices[i]) : n == 1 ? strlen(devices[i]) + 1 : 40;
      char given[64] = "";
      strcpy(given, devices[i]);
      const char *r = err(setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, given, l));
      memset(device, 0, sizeof device), l = IFNAMSIZ;
      const char *g = err(getsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, device, &l));
      say("device '%s' %d: %s, then %s '%s' %d", devices[i], n, r, g, device, l);
    }
  l = 4;
  on(s, SOL_SOCKET, 62 /* SO_BINDTOIFINDEX */, 1);
  seq("by number %s, little room %s", number(get(s, SOL_SOCKET, 62)), err(getsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, device, &l)));
  close(s);
}

// Several at one port: who gets what.
static void shared(void) {
  int s[4], got[4] = {0}, all = 0, port = 0;
  for (int i = 0; i < 4; i++) {
    s[i] = sock(SOCK_STREAM, 1), on(s[i], SOL_SOCKET, SO_REUSEPORT, 1);
    name(NULL, port);
    if (bind(s[i], &addr.sa, len) < 0 || listen(s[i], 64) < 0) say("member %d: %s", i, strerrorname_np(errno));
    port = port_of(s[i]);
  }
  int c[64];
  name(NULL, port);
  for (int i = 0; i < 64; i++) c[i] = sock(SOCK_STREAM, 0), to(c[i]);
  for (int i = 0; i < 4; i++)
    for (int k; (k = accept(s[i], NULL, NULL)) >= 0; all++) got[i]++, close(k);
  say("64 connections: %d taken, each has some %d", all, got[0] && got[1] && got[2] && got[3]);
  int other = sock(SOCK_STREAM, 0);
  say("one that does not share %s", err(bind(other, &addr.sa, len)));
  on(other, SOL_SOCKET, SO_REUSEADDR, 1);
  say("reuse of the address %s", err(bind(other, &addr.sa, len)));
  close(other);
  for (int i = 0; i < 64; i++) close(c[i]);
  for (int i = 0; i < 4; i++) close(s[i]);
  // Datagrams of one source go to one.
  int u[3], first = -1, same = 1;
  port = 0;
  for (int i = 0; i < 3; i++) u[i] = sock(SOCK_DGRAM, 1), on(u[i], SOL_SOCKET, SO_REUSEPORT, 1), name(NULL, port), bind(u[i], &addr.sa, len), port = port_of(u[i]);
  int d = sock(SOCK_DGRAM, 0);
  to(d);
  for (int i = 0; i < 10; i++) send(d, "x", 1, 0);
  int total = 0;
  for (int wait = 0; wait < 50000 && total < 10; wait++) {
    for (int i = 0; i < 3; i++)
      for (char b; recv(u[i], &b, 1, 0) == 1; total++) {
        if (first < 0) first = i;
        same &= first == i;
      }
    if (total < 10) usleep(100);
  }
  say("datagrams %d, one member's %d", total, same);
  for (int i = 0; i < 3; i++) close(u[i]);
  close(d);
}

// The side that closes first keeps the port for a while.
static void time_wait(void) {
  int ls = sock(SOCK_STREAM, 0), c = sock(SOCK_STREAM, 0);
  on(ls, SOL_SOCKET, SO_REUSEADDR, 1);
  name(NULL, 0), bind(ls, &addr.sa, len), listen(ls, 3), len = sizeof addr, getsockname(ls, &addr.sa, &len);
  int port = port_of(ls);
  to(c);
  int k = accept(ls, NULL, NULL);
  close(k);
  until(c, POLLRDHUP), close(c);
  close(ls);
  // Until the last acknowledgement has come: not bound any more but for TIME_WAIT.
  for (int reuse = 0; reuse < 2; reuse++) {
    ls = sock(SOCK_STREAM, 0);
    on(ls, SOL_SOCKET, SO_REUSEADDR, reuse);
    name(NULL, port);
    long r = bind(ls, &addr.sa, len);
    for (int i = 0; reuse && r < 0 && i < 20000; i++) usleep(100), r = bind(ls, &addr.sa, len);
    seq("reuse %s: %s, listen %s", number(reuse), err(r), r == 0 ? err(listen(ls, 1)) : "-");
    close(ls);
  }
}

static void ranges(void) {
  int bad = 0, seen[3] = {0};
  char text[64] = "";
  int low = 0, high = 0, fd = open("/proc/sys/net/ipv4/ip_local_port_range", O_RDONLY);
  read(fd, text, 63), close(fd), sscanf(text, "%d %d", &low, &high);
  for (int i = 0; i < 60; i++) {
    int s = sock(i % 2 ? SOCK_DGRAM : SOCK_STREAM, 0);
    name(NULL, 0), bind(s, &addr.sa, len);
    int p = port_of(s);
    bad += p < low || p > high;
    close(s);
  }
  say("ports outside of the range %d", bad);
  int s = sock(SOCK_STREAM, 0);
  unsigned range = 40010u << 16 | 40000;
  say("range %s", err(setsockopt(s, 0, 51 /* IP_LOCAL_PORT_RANGE */, &range, 4)));
  name(NULL, 0), bind(s, &addr.sa, len);
  is("in the range", port_of(s) >= 40000 && port_of(s) <= 40010);
  say("given %x", get(s, 0, 51));
  range = 40000u << 16 | 40010;
  say("reversed %s", err(setsockopt(s, 0, 51, &range, 4)));
  close(s);
}

// A socket of IPv6 that takes IPv4, too.
static void dual(void) {
  for (int only = 0; only < 2; only++) {
    four = 0;
    int ls = sock(SOCK_STREAM, 0);
    on(ls, IPPROTO_IPV6, IPV6_V6ONLY, only);
    name("::", 0), bind(ls, &addr.sa, len), listen(ls, 3);
    int port = port_of(ls), v = 1;
    say("after bind %s", err(setsockopt(ls, IPPROTO_IPV6, IPV6_V6ONLY, &v, 4)));
    four = 1;
    int c = sock(SOCK_STREAM, 0);
    name(NULL, port), say("v4 %s", err(to(c)));
    if (!only) {
      union any a;
      socklen_t l = sizeof a;
      char text[64];
      int k = accept(ls, &a.sa, &l);
      say("from %s, family %d, length %d", inet_ntop(AF_INET6, &a.in6.sin6_addr, text, 64), a.sa.sa_family, l);
      l = sizeof a, getsockname(k, &a.sa, &l);
      seq("own %s, domain %s", inet_ntop(AF_INET6, &a.in6.sin6_addr, text, 64), number(get(k, SOL_SOCKET, SO_DOMAIN)));
      v = 1, say("tos %s %d, class %s", err(setsockopt(k, 0, IP_TOS, &v, 4)), get(k, 0, IP_TOS), err(setsockopt(k, 41, IPV6_TCLASS, &v, 4)));
      v = AF_INET, say("form %s", err(setsockopt(k, 41, 1 /* IPV6_ADDRFORM */, &v, 4)));
      l = sizeof a, getsockname(k, &a.sa, &l);
      say("family %d, domain %d, length %d", a.sa.sa_family, get(k, SOL_SOCKET, SO_DOMAIN), l);
      close(k);
    }
    close(c);
    four = 0, c = sock(SOCK_STREAM, 0);
    on(c, IPPROTO_IPV6, IPV6_V6ONLY, only);
    name("::ffff:127.0.0.1", port), say("mapped %s", err(to(c)));
    close(c), close(ls);
    int u = sock(SOCK_DGRAM, 0), w = sock(SOCK_DGRAM, 0);
    on(u, IPPROTO_IPV6, IPV6_V6ONLY, only), on(w, IPPROTO_IPV6, IPV6_V6ONLY, only);
    name("::", 0), bind(u, &addr.sa, len);
    name("::ffff:127.0.0.1", port_of(u));
    say("datagram %s", err(sendto(w, "x", 1, 0, &addr.sa, len)));
    name(NULL, port_of(u));
    seq("datagram %s, connect %s", err(sendto(w, "y", 1, 0, &addr.sa, len)), err(to(w)));
    name("::ffff:127.0.0.1", port_of(u));
    seq("connect %s, v4 address on v6 %s", err(to(w)), err(connect(w, (struct sockaddr *)&(struct sockaddr_in){AF_INET, htons(9), {htonl(INADDR_LOOPBACK)}}, 16)));
    close(u), close(w);
  }
}

int main(void) {
  unshare(CLONE_NEWNET);
  struct ifreq up = {"lo", .ifr_flags = IFF_UP};
  int s = socket(AF_INET, SOCK_DGRAM, 0);
  ioctl(s, SIOCSIFFLAGS, &up);
  close(s);
  // The address of IPv6 is there at once; wait for it all the same.
  four = 0;
  for (int i = 0; i < 5000; i++) {
    s = sock(SOCK_DGRAM, 0), name(NULL, 0);
    int r = bind(s, &addr.sa, len);
    close(s);
    if (r == 0) break;
    usleep(1000);
  }
  for (four = 1; four >= 0; four--) {
    say("IPv%d", four ? 4 : 6);
    in_progress(), itself(), binds(), shared(), time_wait(), ranges();
  }
  dual();
  return 0;
}
