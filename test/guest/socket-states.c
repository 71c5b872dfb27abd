// link: -w
// What poll, epoll, reads and writes say of every state of a socket: unix and TCP; shutdowns, ends, errors.
#include "ready.h"
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/un.h>

static char buf[1 << 16];

// The state settles: packets of the loopback are handled soon, but not at once.
static int settled(int fd, int want) {
  for (int i = 0; i < 2000 && mask(fd) != want; i++) sleep_ms(1);
  return mask(fd);
}

static void masks(const char *what, int a, int b) {
  struct epoll_event e = {.events = ALL}, out = {0};
  int ep = epoll_create1(EPOLL_CLOEXEC);
  epoll_ctl(ep, EPOLL_CTL_ADD, a, &e);
  int n = epoll_wait(ep, &out, 1, 0);
  say("%s: %x %x, epoll %d %x", what, mask(a), mask(b), n, n > 0 ? out.events : 0);
  close(ep);
}

// Reads, writes, peeks: what each says.
static void tries(const char *what, int s) {
  const char *r = err(recv(s, buf, 1, MSG_DONTWAIT));
  const char *w = err(send(s, "w", 1, MSG_DONTWAIT | MSG_NOSIGNAL));
  const char *p = err(recv(s, buf, 0, MSG_DONTWAIT));
  say("%s: read %s, write %s, read nothing %s", what, r, w, p);
}

static socklen_t name_of(struct sockaddr_un *a, const char *name) {
  memset(a, 0, sizeof *a);
  a->sun_family = AF_UNIX;
  strcpy(a->sun_path + 1, name);
  return offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name);
}

static void tcp_pair(int *s, int *listener) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t l = sizeof a;
  int ls = socket(AF_INET, SOCK_STREAM, 0);
  bind(ls, (struct sockaddr *)&a, l);
  listen(ls, 5);
  getsockname(ls, (struct sockaddr *)&a, &l);
  s[0] = socket(AF_INET, SOCK_STREAM, 0);
  connect(s[0], (struct sockaddr *)&a, l);
  s[1] = accept(ls, NULL, NULL);
  if (listener) *listener = ls;
  else close(ls);
}

static void shutdowns(const char *kind, int type, int tcp) {
  static const char *how[] = {"RD", "WR", "RDWR"};
  for (int first = 0; first < 3; first++)
    for (int other = -1; other < 3; other++) {
      for (int data = 0; data < 2; data++) {
        int s[2];
        char what[100];
        if (tcp) tcp_pair(s, NULL);
        else socketpair(AF_UNIX, type, 0, s);
        if (data) {
          send(s[0], "abc", 3, 0), send(s[1], "def", 3, 0);
          if (tcp) settled(s[0], mask(s[0]) | POLLIN), settled(s[1], mask(s[1]) | POLLIN);
        }
        const char *r1 = err(shutdown(s[0], first)), *r2 = "-";
        if (tcp && first > 0) settled(s[1], mask(s[1]) | POLLRDHUP | POLLIN | POLLRDNORM);
        if (other >= 0) r2 = err(shutdown(s[1], other));
        if (tcp && other > 0) settled(s[0], mask(s[0]) | POLLRDHUP | POLLIN | POLLRDNORM);
        snprintf(what, sizeof what, "%s %s/%s%s", kind, how[first], other < 0 ? "-" : how[other], data ? " data" : "");
        say("%s: %s %s", what, r1, r2);
        masks(what, s[0], s[1]);
        // What TCP does with bytes sent to an end that is gone depends on when an answer comes.
        if (!tcp) tries(" first", s[0]), tries(" second", s[1]);
        else {
          say(" read %s", err(recv(s[0], buf, 9, MSG_DONTWAIT)));
          say(" read %s", err(recv(s[1], buf, 9, MSG_DONTWAIT)));
          say(" read %s", err(recv(s[0], buf, 9, MSG_DONTWAIT)));
          say(" read %s", err(recv(s[1], buf, 9, MSG_DONTWAIT)));
        }
        say(" again %s, error %d %d", err(shutdown(s[0], first)), so_error(s[0]), so_error(s[1]));
        if (!tcp || !data) {
          close(s[0]);
          if (tcp) settled(s[1], other == 0 || other == -1 ? mask(s[1]) : mask(s[1]) | POLLHUP);
          if (!tcp) masks(" closed", s[1], s[1]), tries(" then", s[1]);
        } else close(s[0]);
        close(s[1]);
      }
    }
}

static void unconnected(const char *kind, int domain, int type) {
  char v[128];
  struct sockaddr_storage a;
  socklen_t l = sizeof a;
  int s = socket(domain, type, 0);
  masks(kind, s, s);
  tries(kind, s);
  for (int how = -1; how < 4; how++) say("%s shutdown %d: %s", kind, how, err(shutdown(s, how)));
  masks(kind, s, s);
  tries(kind, s);
  say("%s: peer %s, listen %s, accept %s", kind, err(getpeername(s, (struct sockaddr *)&a, &l)), "-", err(accept(s, NULL, NULL)));
  l = sizeof a;
  say("%s: name %s %d", kind, err(getsockname(s, (struct sockaddr *)&a, &l)), l);
  int n = -1;
  const char *in = err(ioctl(s, FIONREAD, &n));
  const char *out = err(ioctl(s, TIOCOUTQ, &n));
  say("%s: in %s out %s mark %s", kind, in, out, err(ioctl(s, SIOCATMARK, &n)));
  say("%s: sendto nowhere %s", kind, err(sendto(s, "x", 1, MSG_NOSIGNAL, (struct sockaddr *)&a, 0)));
  say("%s: empty send %s", kind, err(send(s, "", 0, MSG_NOSIGNAL)));
  struct msghdr m = {0};
  say("%s: empty message %s", kind, err(sendmsg(s, &m, MSG_NOSIGNAL)));
  say("%s: oob %s %s", kind, err(send(s, "x", 1, MSG_OOB | MSG_NOSIGNAL)), err(recv(s, v, 1, MSG_OOB | MSG_DONTWAIT)));
  say("%s: errors %s", kind, err(recv(s, v, 1, MSG_ERRQUEUE | MSG_DONTWAIT)));
  say("%s: disconnect %s", kind, err(connect(s, &(struct sockaddr){AF_UNSPEC}, sizeof(struct sockaddr))));
  say("%s: disconnect, short %s", kind, err(connect(s, &(struct sockaddr){AF_UNSPEC}, 2)));
  close(s);
}

static void listening_unix(int type, const char *kind) {
  struct sockaddr_un a;
  char name[50];
  snprintf(name, sizeof name, "states-%d-%d", getpid(), type);
  socklen_t l = name_of(&a, name);
  int s = socket(AF_UNIX, type, 0), c = socket(AF_UNIX, type, 0), d = socket(AF_UNIX, type | SOCK_NONBLOCK, 0);
  bind(s, (struct sockaddr *)&a, l);
  masks("bound", s, c);
  tries("bound", s);
  say("connect to bound %s", err(connect(c, (struct sockaddr *)&a, l)));
  masks("refused", s, c);
  say("error %d", so_error(c));
  say("listen %s", err(listen(s, 0)));
  masks("listening", s, c);
  tries("listening", s);
  say("listener's peer %s", err(getpeername(s, (struct sockaddr *)&a, &(socklen_t){sizeof a})));
  say("listener connects %s", err(connect(s, (struct sockaddr *)&a, l)));
  say("connect %s", err(connect(c, (struct sockaddr *)&a, l)));
  masks("pending", s, c);
  say("write before accept %s", err(send(c, "early", 5, 0)));
  say("second %s", err(connect(d, (struct sockaddr *)&a, l)));
  masks("refused for now", s, d);
  tries("refused for now", d);
  say("listen more %s", err(listen(s, 2)));
  say("second %s", err(connect(d, (struct sockaddr *)&a, l)));
  int n = -1;
  say("listener: in %s, out %s", err(ioctl(s, FIONREAD, &n)), err(ioctl(s, TIOCOUTQ, &n)));
  shutdown(c, SHUT_WR);
  int k = accept(s, NULL, NULL);
  masks("accepted half closed", k, c);
  tries("accepted", k);
  close(d);
  k = accept(s, NULL, NULL);
  masks("accepted closed", k, k);
  tries("accepted closed", k);
  say("shut %s", err(shutdown(s, SHUT_RD)));
  masks("shut listener", s, s);
  say("accept %s", err(accept(s, NULL, NULL)));
  d = socket(AF_UNIX, type | SOCK_NONBLOCK, 0);
  say("connect to shut %s", err(connect(d, (struct sockaddr *)&a, l)));
  say("listen again %s", err(listen(s, 5)));
  say("connect to shut %s", err(connect(d, (struct sockaddr *)&a, l)));
  close(s);
  s = socket(AF_UNIX, type, 0);
  bind(s, (struct sockaddr *)&a, l);
  listen(s, 5);
  int e = socket(AF_UNIX, type, 0);
  connect(e, (struct sockaddr *)&a, l);
  close(s);
  masks("listener closed", e, e);
  say("error %d", so_error(e));
  masks("error taken", e, e);
  tries("listener closed", e);
}

static void listening_tcp(void) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t l = sizeof a;
  int s = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0);
  bind(s, (struct sockaddr *)&a, l);
  masks("bound", s, c);
  tries("bound", s);
  getsockname(s, (struct sockaddr *)&a, &l);
  say("connect to bound %s", err(connect(c, (struct sockaddr *)&a, l)));
  masks("refused", c, c);
  say("error %d", so_error(c));
  tries("refused", c);
  say("listen %s", err(listen(s, 1)));
  say("listen %s", err(listen(s, 3)));
  masks("listening", s, s);
  tries("listening", s);
  say("listener connects %s", err(connect(s, (struct sockaddr *)&a, l)));
  say("connect after refusal %s", err(connect(c, (struct sockaddr *)&a, l)));
  say("pending %x %x", settled(s, POLLIN | POLLRDNORM), mask(c));
  say("twice %s", err(connect(c, (struct sockaddr *)&a, l)));
  int k = accept(s, NULL, NULL);
  masks("accepted", k, c);
  masks("none left", s, s);
  say("reset: close with linger 0");
  struct linger lg = {1, 0};
  setsockopt(k, SOL_SOCKET, SO_LINGER, &lg, sizeof lg);
  close(k);
  settled(c, POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDHUP | POLLRDNORM | POLLWRNORM);
  masks("reset", c, c);
  tries("reset", c);
  tries("reset", c);
  masks("error taken", c, c);
  say("peer %s", err(getpeername(c, (struct sockaddr *)&a, &(socklen_t){sizeof a})));
  say("connect anew %s", err(connect(c, (struct sockaddr *)&a, l)));
  close(c);
  c = socket(AF_INET, SOCK_STREAM, 0);
  connect(c, (struct sockaddr *)&a, l);
  k = accept(s, NULL, NULL);
  masks("anew", k, c);
  // Unread bytes at the close make a reset.
  send(c, "unread", 6, 0);
  settled(k, POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM);
  close(k);
  settled(c, POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDHUP | POLLRDNORM | POLLWRNORM);
  masks("unread at close", c, c);
  say("error %d", so_error(c));
  tries("unread at close", c);
  close(c);
  // A disconnect is a reset.
  c = socket(AF_INET, SOCK_STREAM, 0);
  connect(c, (struct sockaddr *)&a, l);
  k = accept(s, NULL, NULL);
  say("disconnect %s", err(connect(c, &(struct sockaddr){AF_UNSPEC}, sizeof(struct sockaddr))));
  masks("disconnected", c, c);
  settled(k, POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDHUP | POLLRDNORM | POLLWRNORM);
  masks("its peer", k, k);
  say("error %d", so_error(k));
  struct sockaddr_in own;
  l = sizeof own;
  getsockname(c, (struct sockaddr *)&own, &l);
  say("name kept %d", own.sin_port != 0);
  say("connect again %s", err(connect(c, (struct sockaddr *)&a, l)));
  close(k);
  k = accept(s, NULL, NULL);
  say("shutdown of the listener %s", err(shutdown(s, SHUT_WR)));
  masks("still listens", s, s);
  say("shutdown of the listener %s", err(shutdown(s, SHUT_RD)));
  masks("shut listener", s, s);
  say("accept %s", err(accept4(s, NULL, NULL, SOCK_NONBLOCK)));
  say("listen again %s", err(listen(s, 1)));
  masks("listens again", s, s);
  say("listener disconnects %s", err(connect(s, &(struct sockaddr){AF_UNSPEC}, sizeof(struct sockaddr))));
  masks("disconnected listener", s, s);
}

static void udp_states(int family) {
  struct sockaddr_storage a = {.ss_family = family}, b = a;
  socklen_t l = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
  if (family == AF_INET) ((struct sockaddr_in *)&a)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  else ((struct sockaddr_in6 *)&a)->sin6_addr = in6addr_loopback;
  b = a;
  int s = socket(family, SOCK_DGRAM, 0), c = socket(family, SOCK_DGRAM, 0);
  bind(s, (struct sockaddr *)&a, l);
  getsockname(s, (struct sockaddr *)&a, &l);
  say("connect %s", err(connect(c, (struct sockaddr *)&a, l)));
  masks("connected", s, c);
  tries("connected", c);
  masks("one there", s, c);
  int n = -1;
  ioctl(s, FIONREAD, &n);
  say("next is %d bytes", n);
  say("wrong type of read %s", err(recv(s, buf, 1, MSG_OOB | MSG_DONTWAIT)));
  say("oob %s", err(send(c, "x", 1, MSG_OOB)));
  for (int how = 0; how < 3; how++) {
    say("shutdown %d %s", how, err(shutdown(c, how)));
    masks("shut", s, c);
    tries("shut", c);
  }
  say("disconnect %s", err(connect(c, &(struct sockaddr){AF_UNSPEC}, sizeof(struct sockaddr))));
  masks("disconnected", s, c);
  say("sendto after shutdown %s", err(sendto(c, "x", 1, MSG_NOSIGNAL, (struct sockaddr *)&a, l)));
  close(c);
  c = socket(family, SOCK_DGRAM, 0);
  connect(c, (struct sockaddr *)&a, l);
  close(s);
  say("to nobody %s", err(send(c, "x", 1, 0)));
  settled(c, POLLERR | POLLOUT | POLLWRNORM | POLLWRBAND);
  masks("icmp", c, c);
  tries("icmp", c);
  tries("icmp", c);
  say("error %d, then %d", so_error(c), so_error(c));
}

int main(void) {
  signal(SIGPIPE, SIG_IGN);
  unconnected("tcp", AF_INET, SOCK_STREAM);
  unconnected("tcp6", AF_INET6, SOCK_STREAM);
  unconnected("udp", AF_INET, SOCK_DGRAM);
  unconnected("udp6", AF_INET6, SOCK_DGRAM);
  unconnected("stream", AF_UNIX, SOCK_STREAM);
  unconnected("seqpacket", AF_UNIX, SOCK_SEQPACKET);
  unconnected("datagram", AF_UNIX, SOCK_DGRAM);
  listening_unix(SOCK_STREAM, "stream");
  listening_unix(SOCK_SEQPACKET, "seqpacket");
  listening_tcp();
  udp_states(AF_INET);
  udp_states(AF_INET6);
  shutdowns("stream", SOCK_STREAM, 0);
  shutdowns("seqpacket", SOCK_SEQPACKET, 0);
  shutdowns("datagram", SOCK_DGRAM, 0);
  shutdowns("tcp", 0, 1);
  return 0;
}
