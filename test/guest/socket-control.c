// link: -w
// Control messages and errors of internet sockets: what IP_RECV* and IPV6_RECV* give, what may be sent along, the error queue,
// segmentation, multicast, TCP's options on connections; SCM_* of unix sockets in buffers of every size.
#include "guest.h"
#include <arpa/inet.h>
#include <linux/errqueue.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#define UDP_GRO 104
#endif
#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#endif

static char buf[1 << 17];
static int until(int fd, int bits) {
  struct pollfd p = {fd, POLLIN | POLLPRI | POLLOUT | POLLRDHUP, 0};
  for (int i = 0; i < 5000; i++, sleep_ms(1))
    if (poll(&p, 1, 0) >= 0 && (p.revents & bits) == bits) break;
  return p.revents;
}

static void on(int s, int level, int name, int v) {
  if (setsockopt(s, level, name, &v, sizeof v) < 0) say("option %d %d: %s", level, name, strerrorname_np(errno));
}

// A message with its control data: level, type, length and bytes, but for what is nobody's business.
static void take(const char *what, int s, int flags, int room) {
  static char control[4096];
  struct sockaddr_storage from;
  struct iovec iov = {buf, 200};
  memset(control, 0xee, sizeof control);
  struct msghdr m = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &iov, .msg_iovlen = 1, .msg_control = room ? control : NULL, .msg_controllen = room};
  long n = recvmsg(s, &m, flags);
  if (n < 0) {
    say("%s: %s", what, strerrorname_np(errno));
    return;
  }
  printf("%s: %ld, flags %x, name %d, control %zu", what, n, m.msg_flags, m.msg_namelen, m.msg_controllen);
  for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
    printf(" [%d %d %zu", c->cmsg_level, c->cmsg_type, c->cmsg_len);
    int stamp = c->cmsg_level == SOL_SOCKET && (c->cmsg_type == SO_TIMESTAMP || c->cmsg_type == SO_TIMESTAMPNS || c->cmsg_type == SO_TIMESTAMPING || c->cmsg_type == 63 || c->cmsg_type == 64);
    int id = c->cmsg_level == SOL_SOCKET && (c->cmsg_type == SCM_RIGHTS || c->cmsg_type == SCM_CREDENTIALS || c->cmsg_type == 4);
    int port = c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVORIGDSTADDR || c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVORIGDSTADDR;
    if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
      for (unsigned i = 0; i < (c->cmsg_len - 16) / 4; i++) close(((int *)CMSG_DATA(c))[i]);
    for (unsigned i = 0; !stamp && !id && i + 16 < c->cmsg_len && i < 40; i++)
      if (!port || (i != 2 && i != 3)) printf("%s%02x", i ? "" : " ", CMSG_DATA(c)[i]);
    printf("]");
  }
  printf("\n");
  fflush(stdout);
}

static long send_with(int s, const void *data, size_t len, int level, int type, const void *value, size_t size, const void *to, socklen_t tolen) {
  char control[200];
  memset(control, 0, sizeof control);
  struct iovec iov = {(void *)data, len};
  struct msghdr m = {.msg_name = (void *)to, .msg_namelen = tolen, .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(size)};
  struct cmsghdr *c = CMSG_FIRSTHDR(&m);
  c->cmsg_level = level, c->cmsg_type = type, c->cmsg_len = CMSG_LEN(size);
  memcpy(CMSG_DATA(c), value, size);
  return sendmsg(s, &m, MSG_DONTWAIT);
}

static socklen_t loopback(struct sockaddr_storage *a, int family, int port) {
  memset(a, 0, sizeof *a);
  a->ss_family = family;
  ((struct sockaddr_in *)a)->sin_port = port;
  if (family == AF_INET) ((struct sockaddr_in *)a)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  else ((struct sockaddr_in6 *)a)->sin6_addr = in6addr_loopback;
  return family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

static void pair(int family, int *s, struct sockaddr_storage *to) {
  s[0] = socket(family, SOCK_DGRAM, 0), s[1] = socket(family, SOCK_DGRAM, 0);
  socklen_t l = loopback(to, family, 0);
  bind(s[1], (struct sockaddr *)to, l);
  getsockname(s[1], (struct sockaddr *)to, &l);
  connect(s[0], (struct sockaddr *)to, l);
}

static void received(int family) {
  static const int four[] = {IP_PKTINFO, IP_RECVTTL, IP_RECVTOS, IP_RECVOPTS, IP_RETOPTS, IP_RECVORIGDSTADDR, 23, 25};
  static const int six[] = {IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT, IPV6_RECVTCLASS, IPV6_RECVORIGDSTADDR, 77};
  static const int own[] = {SO_TIMESTAMP, SO_TIMESTAMPNS, SO_RXQ_OVFL, SO_RCVMARK, 82};
  int n = family == AF_INET ? 8 : 5, s[2];
  struct sockaddr_storage to;
  for (int i = 0; i < n + 5; i++) {
    char what[40];
    pair(family, s, &to);
    int level = i >= n ? SOL_SOCKET : family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
    int name = i >= n ? own[i - n] : family == AF_INET ? four[i] : six[i];
    on(s[1], level, name, 1);
    send(s[0], "x", 1, 0);
    until(s[1], POLLIN);
    snprintf(what, sizeof what, "receives %d %d", level, name);
    take(what, s[1], MSG_PEEK | MSG_DONTWAIT, 4096);
    take(what, s[1], MSG_DONTWAIT | MSG_CMSG_CLOEXEC, i < n ? 18 : 16);
    close(s[0]), close(s[1]);
  }
  pair(family, s, &to);
  if (family == AF_INET) on(s[1], 0, IP_PKTINFO, 1), on(s[1], 0, IP_RECVTTL, 1), on(s[1], 0, IP_RECVTOS, 1), on(s[0], 0, IP_TTL, 7), on(s[0], 0, IP_TOS, 0x10);
  else on(s[1], 41, IPV6_RECVPKTINFO, 1), on(s[1], 41, IPV6_RECVHOPLIMIT, 1), on(s[1], 41, IPV6_RECVTCLASS, 1), on(s[0], 41, IPV6_UNICAST_HOPS, 7), on(s[0], 41, IPV6_TCLASS, 0x10);
  for (int room = 0; room < 100; room += 12) {
    send(s[0], "x", 1, 0);
    until(s[1], POLLIN);
    take("room", s[1], MSG_DONTWAIT, room);
  }
  close(s[0]), close(s[1]);
}

static void sent(int family) {
  int s[2], v = 9;
  struct sockaddr_storage to;
  pair(family, s, &to);
  socklen_t l = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
  if (family == AF_INET) {
    struct in_pktinfo info = {if_nametoindex("lo"), {htonl(INADDR_LOOPBACK + 5)}, {0}};
    on(s[1], 0, IP_RECVTTL, 1), on(s[1], 0, IP_RECVTOS, 1);
    say("ttl %s", err(send_with(s[0], "x", 1, IPPROTO_IP, IP_TTL, &v, 4, NULL, 0)));
    until(s[1], POLLIN), take("with a ttl", s[1], MSG_DONTWAIT, 300);
    say("tos %s", err(send_with(s[0], "x", 1, IPPROTO_IP, IP_TOS, &v, 4, NULL, 0)));
    until(s[1], POLLIN), take("with a tos", s[1], MSG_DONTWAIT, 300);
    say("tos of a byte %s", err(send_with(s[0], "x", 1, IPPROTO_IP, IP_TOS, &v, 1, NULL, 0)));
    until(s[1], POLLIN), take("with a tos", s[1], MSG_DONTWAIT, 300);
    say("source %s", err(send_with(s[0], "x", 1, IPPROTO_IP, IP_PKTINFO, &info, sizeof info, &to, l)));
    if (until(s[1], POLLIN)) {
      struct sockaddr_in from = {0};
      socklen_t n = sizeof from;
      recvfrom(s[1], buf, 1, MSG_DONTWAIT, (struct sockaddr *)&from, &n);
      say("from 127.0.0.%d", ntohl(from.sin_addr.s_addr) & 255);
    }
    v = 0;
    say("ttl of nothing %s", err(send_with(s[0], "x", 1, IPPROTO_IP, IP_TTL, &v, 4, NULL, 0)));
    v = 256;
    say("ttl of 256 %s", err(send_with(s[0], "x", 1, IPPROTO_IP, IP_TTL, &v, 4, NULL, 0)));
    v = 9;
    say("short ttl %s", err(send_with(s[0], "x", 1, IPPROTO_IP, IP_TTL, &v, 1, NULL, 0)));
    say("short source %s", err(send_with(s[0], "x", 1, IPPROTO_IP, IP_PKTINFO, &info, 4, NULL, 0)));
    info.ipi_ifindex = 9999;
    say("no such interface %s", err(send_with(s[0], "x", 1, IPPROTO_IP, IP_PKTINFO, &info, sizeof info, NULL, 0)));
    say("protocol %s", err(send_with(s[0], "x", 1, IPPROTO_IP, 52, &v, 4, NULL, 0)));
    say("options %s", err(send_with(s[0], "x", 1, IPPROTO_IP, IP_RETOPTS, "\1\1\1\0", 4, NULL, 0)));
  } else {
    struct in6_pktinfo info = {in6addr_loopback, if_nametoindex("lo")};
    on(s[1], 41, IPV6_RECVHOPLIMIT, 1), on(s[1], 41, IPV6_RECVTCLASS, 1);
    say("hop limit %s", err(send_with(s[0], "x", 1, IPPROTO_IPV6, IPV6_HOPLIMIT, &v, 4, NULL, 0)));
    until(s[1], POLLIN), take("with a hop limit", s[1], MSG_DONTWAIT, 300);
    say("class %s", err(send_with(s[0], "x", 1, IPPROTO_IPV6, IPV6_TCLASS, &v, 4, NULL, 0)));
    until(s[1], POLLIN), take("with a class", s[1], MSG_DONTWAIT, 300);
    say("source %s", err(send_with(s[0], "x", 1, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info, NULL, 0)));
    until(s[1], POLLIN), take("with a source", s[1], MSG_DONTWAIT, 300);
    say("do not fragment %s", err(send_with(s[0], "x", 1, IPPROTO_IPV6, 62, &v, 4, NULL, 0)));
    v = 256;
    say("hop limit of 256 %s", err(send_with(s[0], "x", 1, IPPROTO_IPV6, IPV6_HOPLIMIT, &v, 4, NULL, 0)));
    info.ipi6_ifindex = 9999;
    say("no such interface %s", err(send_with(s[0], "x", 1, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info, NULL, 0)));
    say("short class %s", err(send_with(s[0], "x", 1, IPPROTO_IPV6, IPV6_TCLASS, &v, 1, NULL, 0)));
    say("unknown %s", err(send_with(s[0], "x", 1, IPPROTO_IPV6, 199, &v, 4, NULL, 0)));
  }
  v = 5;
  say("unknown of the socket's %s", err(send_with(s[0], "x", 1, SOL_SOCKET, 99, &v, 4, NULL, 0)));
  say("priority %s", err(send_with(s[0], "x", 1, SOL_SOCKET, SO_PRIORITY, &v, 4, NULL, 0)));
  say("rights %s", err(send_with(s[0], "x", 1, SOL_SOCKET, SCM_RIGHTS, &s[0], 4, NULL, 0)));
  say("credentials %s", err(send_with(s[0], "x", 1, SOL_SOCKET, SCM_CREDENTIALS, &(struct ucred){getpid(), getuid(), getgid()}, 12, NULL, 0)));
  say("timestamping %s", err(send_with(s[0], "x", 1, SOL_SOCKET, SO_TIMESTAMPING, &(int){0}, 4, NULL, 0)));
  say("another level %s", err(send_with(s[0], "x", 1, 99, 1, &v, 4, NULL, 0)));
  close(s[0]), close(s[1]);
}

static void segments(void) {
  int s[2];
  struct sockaddr_storage to;
  pair(AF_INET, s, &to);
  uint16_t size = 100;
  say("segments by control %s", err(send_with(s[0], buf, 250, IPPROTO_UDP, UDP_SEGMENT, &size, 2, NULL, 0)));
  for (int i = 0; i < 3; i++) until(s[1], POLLIN), take("segment", s[1], MSG_DONTWAIT, 0);
  on(s[0], IPPROTO_UDP, UDP_SEGMENT, 60);
  say("segments by option %s", err(send(s[0], buf, 130, 0)));
  for (int i = 0; i < 3; i++) until(s[1], POLLIN), take("segment", s[1], MSG_DONTWAIT, 0);
  on(s[1], IPPROTO_UDP, UDP_GRO, 1);
  say("together %s", err(send(s[0], buf, 130, 0)));
  until(s[1], POLLIN), take("together", s[1], MSG_DONTWAIT, 100);
  say("too many %s", err(send(s[0], buf, 60 * 129, 0)));
  on(s[0], IPPROTO_UDP, UDP_SEGMENT, 0);
  on(s[0], IPPROTO_UDP, 1, 1);
  send(s[0], "cork", 4, 0), send(s[0], "ed", 2, 0);
  take("corked", s[1], MSG_DONTWAIT, 0);
  on(s[0], IPPROTO_UDP, 1, 0);
  until(s[1], POLLIN), take("uncorked", s[1], MSG_DONTWAIT, 0);
  send(s[0], "more", 4, MSG_MORE);
  say("a ping while more is to come %s", err(send(s[0], "", 0, 0)));
  until(s[1], POLLIN), take("more", s[1], MSG_DONTWAIT, 0);
  for (int n = 65506; n <= 65508; n++) say("%d bytes %s", n, err(send(s[0], buf, n, 0)));
  close(s[0]), close(s[1]);
}

static void error_queue(int family) {
  int s[2];
  struct sockaddr_storage to;
  pair(family, s, &to);
  socklen_t l = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
  if (family == AF_INET) on(s[0], 0, IP_RECVERR, 1);
  else on(s[0], 41, IPV6_RECVERR, 1);
  take("no error", s[0], MSG_ERRQUEUE, 500);
  close(s[1]);
  say("send %s", err(send(s[0], "lost", 4, 0)));
  say("poll %x", until(s[0], POLLERR));
  take("error, peeked at", s[0], MSG_ERRQUEUE | MSG_PEEK, 0);
  int v = -1;
  socklen_t n = sizeof v;
  say("send again %s", err(send(s[0], "lost too", 8, 0)));
  until(s[0], POLLERR);
  char control[512];
  struct sockaddr_storage name;
  struct iovec iov = {buf, 200};
  for (int i = 0; i < 3; i++) {
    struct msghdr m = {.msg_name = &name, .msg_namelen = sizeof name, .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    long r = recvmsg(s[0], &m, MSG_ERRQUEUE);
    if (r < 0) {
      say("error %d: %s", i, strerrorname_np(errno));
      continue;
    }
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    struct sock_extended_err *e = c ? (void *)CMSG_DATA(c) : NULL;
    say("error %d: %ld bytes, flags %x, name %d, port %d", i, r, m.msg_flags, m.msg_namelen, ((struct sockaddr_in *)&name)->sin_port == ((struct sockaddr_in *)&to)->sin_port);
    if (e) say(" [%d %d] errno %d origin %d type %d code %d info %u data %u, offender %d", c->cmsg_level, c->cmsg_type, e->ee_errno, e->ee_origin, e->ee_type, e->ee_code, e->ee_info, e->ee_data, SO_EE_OFFENDER(e)->sa_family);
  }
  say("poll %x", until(s[0], POLLOUT));
  getsockopt(s[0], SOL_SOCKET, SO_ERROR, &v, &n);
  say("error left %d", v);
  // Without IP_RECVERR an unconnected socket hears nothing.
  int u = socket(family, SOCK_DGRAM, 0);
  say("unconnected %s %s", err(sendto(u, "x", 1, 0, (struct sockaddr *)&to, l)), err(recv(u, buf, 1, MSG_DONTWAIT)));
  getsockopt(u, SOL_SOCKET, SO_ERROR, &v, &n);
  say("its error %d", v);
  close(u), close(s[0]);
}

static void multicast(void) {
  int s = socket(AF_INET, SOCK_DGRAM, 0), c = socket(AF_INET, SOCK_DGRAM, 0);
  struct ip_mreqn m = {{inet_addr("239.1.2.3")}, {htonl(INADDR_LOOPBACK)}, if_nametoindex("lo")};
  struct sockaddr_in a = {.sin_family = AF_INET};
  socklen_t l = sizeof a;
  bind(s, (struct sockaddr *)&a, l);
  getsockname(s, (struct sockaddr *)&a, &l);
  say("leave %s", err(setsockopt(s, 0, IP_DROP_MEMBERSHIP, &m, sizeof m)));
  say("join %s", err(setsockopt(s, 0, IP_ADD_MEMBERSHIP, &m, sizeof m)));
  say("join twice %s", err(setsockopt(s, 0, IP_ADD_MEMBERSHIP, &m, sizeof m)));
  say("through %s", err(setsockopt(c, 0, IP_MULTICAST_IF, &m, sizeof m)));
  a.sin_addr = m.imr_multiaddr;
  on(s, 0, IP_PKTINFO, 1);
  say("send %s", err(sendto(c, "all", 3, 0, (struct sockaddr *)&a, l)));
  until(s, POLLIN), take("member", s, MSG_DONTWAIT, 100);
  on(c, 0, IP_MULTICAST_LOOP, 0);
  say("leave %s", err(setsockopt(s, 0, IP_DROP_MEMBERSHIP, &m, sizeof m)));
  m.imr_multiaddr.s_addr = inet_addr("10.0.0.1");
  say("no group %s", err(setsockopt(s, 0, IP_ADD_MEMBERSHIP, &m, sizeof m)));
  m.imr_ifindex = 9999, m.imr_multiaddr.s_addr = inet_addr("239.1.2.3");
  say("no interface %s", err(setsockopt(s, 0, IP_ADD_MEMBERSHIP, &m, sizeof m)));
  say("short %s", err(setsockopt(s, 0, IP_ADD_MEMBERSHIP, &m, 4)));
  int b = socket(AF_INET, SOCK_DGRAM, 0);
  a.sin_addr.s_addr = htonl(INADDR_BROADCAST);
  say("broadcast %s", err(sendto(b, "x", 1, 0, (struct sockaddr *)&a, l)));
  close(b);
  b = socket(AF_INET6, SOCK_DGRAM, 0);
  struct ipv6_mreq g = {.ipv6mr_interface = if_nametoindex("lo")};
  inet_pton(AF_INET6, "ff02::1234", &g.ipv6mr_multiaddr);
  say("join 6 %s", err(setsockopt(b, 41, IPV6_JOIN_GROUP, &g, sizeof g)));
  say("join 6 twice %s", err(setsockopt(b, 41, IPV6_JOIN_GROUP, &g, sizeof g)));
  say("leave 6 %s", err(setsockopt(b, 41, IPV6_LEAVE_GROUP, &g, sizeof g)));
  g.ipv6mr_interface = 9999;
  say("no interface 6 %s", err(setsockopt(b, 41, IPV6_JOIN_GROUP, &g, sizeof g)));
  close(b), close(s), close(c);
}

static void pings(int family) {
  int s = socket(family, SOCK_DGRAM, family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6);
  if (s < 0) {
    say("ping socket: %s", strerrorname_np(errno));
    return;
  }
  struct sockaddr_storage to, from;
  socklen_t l = loopback(&to, family, 0), n = sizeof from;
  char packet[12] = {family == AF_INET ? 8 : (char)128, 0, 0, 0, 9, 9, 0, 1, 'd', 'a', 't', 'a'};
  say("echo %s", err(sendto(s, packet, 12, 0, (struct sockaddr *)&to, l)));
  until(s, POLLIN);
  memset(buf, 0, 12);
  long r = recvfrom(s, buf, 100, MSG_DONTWAIT, (struct sockaddr *)&from, &n);
  say("reply of %ld, type %d, sequence %d, '%.4s', name %d", r, (unsigned char)buf[0], buf[7], buf + 8, n);
  packet[0] = 3;
  say("no echo %s", err(sendto(s, packet, 12, 0, (struct sockaddr *)&to, l)));
  say("short %s", err(sendto(s, packet, 7, 0, (struct sockaddr *)&to, l)));
  say("unconnected %s", err(send(s, packet, 12, 0)));
  int id = 0;
  n = sizeof from;
  say("name %s", err(getsockname(s, (struct sockaddr *)&from, &n)));
  close(s);
}

static void tcp_options(void) {
  struct sockaddr_storage a;
  socklen_t l = loopback(&a, AF_INET, 0), n;
  int ls = socket(AF_INET, SOCK_STREAM, 0), v = 7;
  on(ls, 6, TCP_KEEPIDLE, 77), on(ls, 6, TCP_NODELAY, 1), on(ls, 6, TCP_USER_TIMEOUT, 4321), on(ls, SOL_SOCKET, SO_KEEPALIVE, 1), on(ls, 6, TCP_LINGER2, 9);
  on(ls, 6, TCP_DEFER_ACCEPT, 5);
  bind(ls, (struct sockaddr *)&a, l);
  getsockname(ls, (struct sockaddr *)&a, &l);
  listen(ls, 3);
  int c = socket(AF_INET, SOCK_STREAM, 0);
  on(c, 6, TCP_MAXSEG, 600), on(c, 6, TCP_CORK, 1);
  connect(c, (struct sockaddr *)&a, l);
  fcntl(ls, F_SETFL, O_NONBLOCK);
  say("deferred %s", err(accept(ls, NULL, NULL)));
  fcntl(ls, F_SETFL, 0);
  on(c, 6, TCP_CORK, 0);
  send(c, "data", 4, 0);
  until(ls, POLLIN);
  int k = accept(ls, NULL, NULL);
  static const int names[] = {TCP_NODELAY, TCP_MAXSEG, TCP_CORK, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT, TCP_SYNCNT, TCP_LINGER2, TCP_DEFER_ACCEPT, TCP_WINDOW_CLAMP, TCP_QUICKACK, TCP_USER_TIMEOUT, TCP_FASTOPEN, TCP_NOTSENT_LOWAT};
  for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
    int x = -1, y = -1, z = -1;
    n = 4, getsockopt(ls, 6, names[i], &x, &n);
    n = 4, getsockopt(k, 6, names[i], &y, &n);
    n = 4, getsockopt(c, 6, names[i], &z, &n);
    int varies = names[i] == TCP_MAXSEG || names[i] == TCP_QUICKACK || names[i] == TCP_WINDOW_CLAMP;
    say("option %d: %d %d %d", names[i], varies ? x > 0 : x, varies ? y > 0 : y, varies ? z > 0 : z);
  }
  n = 4, v = 0;
  getsockopt(k, SOL_SOCKET, SO_KEEPALIVE, &v, &n);
  say("keepalive %d", v);
  struct tcp_info info = {0};
  n = sizeof info;
  say("info %s", err(getsockopt(c, 6, TCP_INFO, &info, &n)));
  say("state %d, mss %u, retransmits %d, options %x", info.tcpi_state, info.tcpi_snd_mss, info.tcpi_retransmits, info.tcpi_options & 7);
  n = sizeof info, getsockopt(ls, 6, TCP_INFO, &info, &n);
  say("listener's state %d, queue %u of %u", info.tcpi_state, info.tcpi_unacked, info.tcpi_sacked);
  char cc[16] = "";
  n = sizeof cc;
  say("congestion %s, %d, %d", err(getsockopt(c, 6, TCP_CONGESTION, cc, &n)), n, strlen(cc) > 2);
  say("cubic %s", err(setsockopt(c, 6, TCP_CONGESTION, "cubic", 5)));
  n = sizeof cc, memset(cc, 0, sizeof cc), getsockopt(c, 6, TCP_CONGESTION, cc, &n);
  say("now %s %d", cc, n);
  say("reno %s, none %s", err(setsockopt(c, 6, TCP_CONGESTION, "reno", 4)), err(setsockopt(c, 6, TCP_CONGESTION, "nothing", 7)));
  n = sizeof cc, memset(cc, 0, sizeof cc), getsockopt(c, 6, TCP_CONGESTION, cc, &n);
  say("now %s %d", cc, n);
  int q = -1;
  send(c, "1234567890", 10, 0);
  for (int i = 0; i < 5000 && (ioctl(k, FIONREAD, &q), q < 14); i++) sleep_ms(1);
  say("to read %d", q);
  for (int i = 0; i < 5000 && (ioctl(c, TIOCOUTQ, &q), q > 0); i++) sleep_ms(1);
  say("not acknowledged %d", q);
  close(c), close(k), close(ls);
}

static void unix_controls(int type) {
  int s[2];
  socketpair(AF_UNIX, type, 0, s);
  on(s[1], SOL_SOCKET, SO_PASSCRED, 1);
  for (int pidfd = 0; pidfd < 2; pidfd++) {
    if (pidfd) on(s[1], SOL_SOCKET, SO_PASSPIDFD, 1);
    for (int room = 0; room <= 80; room += 4) {
      int fds[3] = {0, 0, 0};
      send_with(s[0], "x", 1, SOL_SOCKET, SCM_RIGHTS, fds, sizeof fds, NULL, 0);
      take(pidfd ? "with pidfd" : "room", s[1], MSG_DONTWAIT, room);
    }
  }
  int off = 0;
  setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &off, sizeof off), setsockopt(s[1], SOL_SOCKET, SO_PASSPIDFD, &off, sizeof off);
  // Descriptors refused.
  int fd = 0;
  say("pass rights %s", err(setsockopt(s[1], SOL_SOCKET, 83, &off, sizeof off)));
  say("send %s", err(send_with(s[0], "y", 1, SOL_SOCKET, SCM_RIGHTS, &fd, 4, NULL, 0)));
  take("refused", s[1], MSG_DONTWAIT, 200);
  close(s[0]), close(s[1]);
  // Descriptors without data, and more than one control message.
  socketpair(AF_UNIX, type, 0, s);
  say("no data %s", err(send_with(s[0], "", 0, SOL_SOCKET, SCM_RIGHTS, &fd, 4, NULL, 0)));
  take("no data", s[1], MSG_DONTWAIT, 200);
  say("none %s", err(send_with(s[0], "z", 1, SOL_SOCKET, SCM_RIGHTS, &fd, 0, NULL, 0)));
  take("none", s[1], MSG_DONTWAIT, 200);
  say("three bytes %s", err(send_with(s[0], "z", 1, SOL_SOCKET, SCM_RIGHTS, &fd, 3, NULL, 0)));
  say("another level %s", err(send_with(s[0], "z", 1, IPPROTO_IP, 1, &fd, 4, NULL, 0)));
  fd = -1;
  say("minus one %s", err(send_with(s[0], "z", 1, SOL_SOCKET, SCM_RIGHTS, &fd, 4, NULL, 0)));
  fd = open("/", O_PATH);
  say("a path %s", err(send_with(s[0], "z", 1, SOL_SOCKET, SCM_RIGHTS, &fd, 4, NULL, 0)));
  take("rest", s[1], MSG_DONTWAIT, 200);
  close(fd), close(s[0]), close(s[1]);
}

// When a datagram was sent: before and after the option was set, with other control messages, in little room.
static void unix_stamps(int type) {
  static const int names[] = {SO_TIMESTAMP, SO_TIMESTAMPNS, 63, 64};
  for (int i = 0; i < 4; i++) {
    int s[2], fd = 0;
    struct timespec before, after;
    socketpair(AF_UNIX, type, 0, s);
    clock_gettime(CLOCK_REALTIME, &before);
    send(s[0], "early", 5, 0);
    on(s[1], SOL_SOCKET, names[i], 1);
    send(s[0], "late", 4, 0);
    for (int n = 0; n < 2; n++) {
      struct { struct cmsghdr h; long sec, part; } c = {};
      struct iovec iov = {buf, 200};
      struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof c};
      if (ret("stamped", recvmsg(s[1], &m, MSG_DONTWAIT)) < 0) continue;
      clock_gettime(CLOCK_REALTIME, &after);
      say("%zu bytes, type %d of %zu, flags %x", m.msg_controllen, c.h.cmsg_type, c.h.cmsg_len, m.msg_flags);
      long unit = i & 1 ? 1 : 1000;
      if (m.msg_controllen > 0) {
        is("not before it was sent", c.sec > before.tv_sec || (c.sec == before.tv_sec && c.part >= before.tv_nsec / unit));
        is("not after it was taken", c.sec < after.tv_sec || (c.sec == after.tv_sec && c.part <= after.tv_nsec / unit));
      }
    }
    on(s[1], SOL_SOCKET, SO_PASSCRED, 1);
    for (int room = 0; room <= 100; room += 4) {
      send_with(s[0], "x", 1, SOL_SOCKET, SCM_RIGHTS, &fd, 4, NULL, 0);
      take("room", s[1], MSG_DONTWAIT, room);
    }
    send(s[0], "peek", 4, 0);
    take("peeked", s[1], MSG_DONTWAIT | MSG_PEEK, 100);
    on(s[1], SOL_SOCKET, names[i], 0);
    take("off", s[1], MSG_DONTWAIT, 100);
    close(s[0]), close(s[1]);
  }
}

int main(void) {
  unshare(CLONE_NEWNET);
  signal(SIGPIPE, SIG_IGN);
  struct ifreq up = {"lo", .ifr_flags = IFF_UP};
  int s = socket(AF_INET, SOCK_DGRAM, 0);
  ioctl(s, SIOCSIFFLAGS, &up);
  close(s);
  received(AF_INET);
  received(AF_INET6);
  sent(AF_INET);
  sent(AF_INET6);
  segments();
  error_queue(AF_INET);
  error_queue(AF_INET6);
  multicast();
  pings(AF_INET);
  pings(AF_INET6);
  tcp_options();
  unix_controls(SOCK_STREAM);
  unix_controls(SOCK_DGRAM);
  unix_stamps(SOCK_STREAM);
  unix_stamps(SOCK_DGRAM);
  unix_stamps(SOCK_SEQPACKET);
  return 0;
}
