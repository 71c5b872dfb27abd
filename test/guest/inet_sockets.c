// link: -w
// AF_INET and AF_INET6 on loopback, name and interface queries.
#include "guest.h"
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

static char buf[1 << 20];
static struct sockaddr_in any(int port) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  return a;
}

static int ev(int fd, int ms) {
  struct pollfd p = {fd, POLLIN | POLLOUT | POLLRDHUP, 0};
  poll(&p, 1, ms);
  return p.revents;
}

static int listener(struct sockaddr_in *a) {
  int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  *a = any(0);
  bind(s, (struct sockaddr *)a, sizeof *a);
  listen(s, 8);
  socklen_t l = sizeof *a;
  getsockname(s, (struct sockaddr *)a, &l);
  return s;
}

static void *server(void *arg) {
  int k = accept(*(int *)arg, NULL, NULL);
  long total = 0, n;
  while ((n = read(k, buf, sizeof buf)) > 0) total += n;
  dprintf(k, "%ld", total);
  close(k);
  return NULL;
}

static void test_tcp(void) {
  struct sockaddr_in a, b;
  int v = 1;
  socklen_t l = sizeof v;
  ret("bad type", socket(AF_INET, 77, 0));
  ret("bad protocol", socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
  int s = listener(&a);
  ok("listener", s);
  is("port", ntohs(a.sin_port) > 1024);
  ret("reuseaddr", setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &v, sizeof v));
  v = 0;
  ret("get", getsockopt(s, SOL_SOCKET, SO_REUSEADDR, &v, &l));
  say("%d", v);
  getsockopt(s, SOL_SOCKET, SO_PROTOCOL, &v, &l);
  say("protocol %d", v);
  ret("unknown option", getsockopt(s, SOL_SOCKET, 9999, &v, &l));
  fcntl(s, F_SETFL, O_NONBLOCK);
  ret("none", accept(s, NULL, NULL));
  say("poll %x", ev(s, 0));
  int c = socket(AF_INET, SOCK_STREAM, 0);
  ret("recv unconnected", recv(c, buf, 1, 0));
  ret("short address", connect(c, (struct sockaddr *)&a, 5));
  ret("bad pointer", connect(c, BAD_PTR, sizeof a));
  ret("connect", connect(c, (struct sockaddr *)&a, sizeof a));
  ret("again", connect(c, (struct sockaddr *)&a, sizeof a));
  say("poll %x", ev(s, 1000));
  l = sizeof b;
  int k = accept4(s, (struct sockaddr *)&b, &l, SOCK_NONBLOCK);
  ok("accept", k);
  is("from loopback", l == sizeof b && b.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
  struct sockaddr_in own;
  l = sizeof own;
  getsockname(c, (struct sockaddr *)&own, &l);
  is("same port", own.sin_port == b.sin_port);
  v = 1;
  ret("nodelay", setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &v, sizeof v));
  struct tcp_info ti;
  l = sizeof ti;
  ret("info", getsockopt(c, IPPROTO_TCP, TCP_INFO, &ti, &l));
  is("established", ti.tcpi_state == 1);
  ret("empty", recv(k, buf, 10, 0));
  ret("send", send(c, "hello", 5, MSG_MORE));
  ret("send", send(c, " there", 6, 0));
  say("poll %x", ev(k, 1000));
  ret("peek", recv(k, buf, 3, MSG_PEEK));
  sleep_ms(20);
  ioctl(k, FIONREAD, &v);
  say("fionread %d", v);
  ret("recv", recv(k, buf, 100, 0));
  struct iovec iov[2] = {{buf, 2}, {buf + 10, 50}};
  write(c, "vector", 6);
  ev(k, 1000);
  ret("readv", readv(k, iov, 2));
  ret("writev", writev(k, iov, 1));
  ret("read", read(c, buf, 10));
  ret("sendto with address", sendto(c, "x", 1, 0, (struct sockaddr *)&a, sizeof a));
  recv(k, buf, 1, 0);
  // Fill it.
  long total = 0, n;
  fcntl(c, F_SETFL, O_NONBLOCK);
  while ((n = write(c, buf, sizeof buf)) > 0) total += n;
  ret("full", n);
  is("much", total > 50000);
  say("poll %x", ev(c, 0));
  long got = 0;
  while (ev(k, 200) & POLLIN && (n = read(k, buf, sizeof buf)) > 0) got += n;
  is("all arrived", got + 0 >= total);
  say("poll %x", ev(c, 1000));
  shutdown(c, SHUT_WR);
  say("rdhup %x", ev(k, 1000) & ~POLLOUT);
  sleep_ms(10);
  ret("end", read(k, buf, 1));
  close(k);
  sleep_ms(10);
  say("hup %x", ev(c, 1000));
  close(c);
  // A big transfer through a blocking pair, and its answer.
  fcntl(s, F_SETFL, 0);
  pthread_t t;
  pthread_create(&t, NULL, server, &s);
  c = socket(AF_INET, SOCK_STREAM, 0);
  connect(c, (struct sockaddr *)&a, sizeof a);
  for (int i = 0; i < 8; i++)
    for (long o = 0; o < (long)sizeof buf;) o += write(c, "0123456789abcdef0123456789abcdef" + (i & 1), 32) > 0 ? 32 * 1024 : 0;
  shutdown(c, SHUT_WR);
  n = recv(c, buf, 100, MSG_WAITALL);
  buf[n > 0 ? n : 0] = 0;
  say("server counted %s", buf);
  pthread_join(t, NULL);
  close(c), close(s);
  // Refusals.
  c = socket(AF_INET, SOCK_STREAM, 0);
  ret("refused", connect(c, (struct sockaddr *)&a, sizeof a));
  close(c);
  c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  ret("in progress", connect(c, (struct sockaddr *)&a, sizeof a));
  say("poll %x", ev(c, 1000));
  l = sizeof v;
  getsockopt(c, SOL_SOCKET, SO_ERROR, &v, &l);
  say("so_error %s", strerrorname_np(v));
  close(c);
  s = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in far = any(80);
  far.sin_addr.s_addr = inet_addr("203.0.113.1");
  ret("not ours", bind(s, (struct sockaddr *)&far, sizeof far));
  struct timeval tv = {0, 20000};
  setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
  listen(s, 1);
  ret("accept times out", accept(s, NULL, NULL));
  struct linger lg = {1, 5};
  ret("linger", setsockopt(s, SOL_SOCKET, SO_LINGER, &lg, sizeof lg));
  close(s);
}

static void test_edge(void) {
  struct sockaddr_in a;
  int s = listener(&a), c = socket(AF_INET, SOCK_STREAM, 0);
  connect(c, (struct sockaddr *)&a, sizeof a);
  int k = accept4(s, NULL, NULL, SOCK_NONBLOCK), ep = epoll_create1(0);
  struct epoll_event e = {.events = EPOLLIN | EPOLLET | EPOLLRDHUP, .data.u32 = 1}, out[4];
  epoll_ctl(ep, EPOLL_CTL_ADD, k, &e);
  ret("quiet", epoll_wait(ep, out, 4, 0));
  write(c, "ab", 2);
  ret("edge", epoll_wait(ep, out, 4, 1000));
  ret("once", epoll_wait(ep, out, 4, 10));
  write(c, "cd", 2);
  ret("edge", epoll_wait(ep, out, 4, 1000));
  ret("read", read(k, buf, 10));
  ret("once", epoll_wait(ep, out, 4, 10));
  close(c);
  ret("end", epoll_wait(ep, out, 4, 1000));
  say("%x", out[0].events);
  close(k), close(s);
}

static void test_udp(int family) {
  say("-- udp family %d", family == AF_INET ? 4 : 6);
  int a = socket(family, SOCK_DGRAM, 0), b = socket(family, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  struct sockaddr_storage to;
  socklen_t l;
  memset(&to, 0, sizeof to);
  to.ss_family = family;
  if (family == AF_INET6) ((struct sockaddr_in6 *)&to)->sin6_addr = in6addr_loopback, l = sizeof(struct sockaddr_in6);
  else ((struct sockaddr_in *)&to)->sin_addr.s_addr = htonl(INADDR_LOOPBACK), l = sizeof(struct sockaddr_in);
  if (bind(b, (struct sockaddr *)&to, l) < 0) {
    say("no such family here");
    return;
  }
  getsockname(b, (struct sockaddr *)&to, &l);
  ret("unconnected", send(a, "x", 1, 0));
  ret("sendto", sendto(a, "datagram", 8, 0, (struct sockaddr *)&to, l));
  ret("empty one", sendto(a, "", 0, 0, (struct sockaddr *)&to, l));
  struct sockaddr_storage from;
  socklen_t fl = sizeof from;
  say("poll %x", ev(b, 1000));
  ret("cut", recvfrom(b, buf, 4, MSG_TRUNC, (struct sockaddr *)&from, &fl));
  is("from", fl == l && from.ss_family == family);
  ret("empty one", recv(b, buf, 10, 0));
  ret("none", recv(b, buf, 10, 0));
  ret("answer", sendto(b, "back", 4, 0, (struct sockaddr *)&from, fl));
  ret("read", read(a, buf, 10));
  ret("connect", connect(a, (struct sockaddr *)&to, l));
  ret("send", send(a, "again", 5, 0));
  ret("too long", send(a, buf, 70000, 0));
  int on = 1;
  if (family == AF_INET) {
    setsockopt(b, IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
    send(a, "info", 4, 0);
    char ctl[200];
    struct iovec iov = {buf, 100};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof ctl};
    recv(b, buf, 10, 0);
    ret("recvmsg", recvmsg(b, &m, 0));
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    is("pktinfo", c && c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO);
  }
  close(b);
  send(a, "x", 1, 0);
  ret("refused", recv(a, buf, 1, 0));
  close(a);
}

static void test_interfaces(void) {
  struct ifaddrs *ifa;
  ret("getifaddrs", getifaddrs(&ifa));
  int lo = 0, link = 0;
  for (struct ifaddrs *i = ifa; i; i = i->ifa_next) {
    if (strcmp(i->ifa_name, "lo") || !i->ifa_addr) continue;
    if (i->ifa_addr->sa_family == AF_PACKET) link++;
    if (i->ifa_addr->sa_family == AF_INET) lo = ((struct sockaddr_in *)i->ifa_addr)->sin_addr.s_addr == htonl(INADDR_LOOPBACK);
  }
  say("lo %d link %d", lo, link);
  say("index %d", if_nametoindex("lo"));
  char name[IF_NAMESIZE] = "";
  say("name %s", if_indextoname(1, name) ? name : "none");
  ret("no such", if_nametoindex("nothere0") == 0 ? -1 : 0);
  struct ifreq r;
  memset(&r, 0, sizeof r);
  strcpy(r.ifr_name, "lo");
  int s = socket(AF_INET, SOCK_DGRAM, 0);
  ret("flags", ioctl(s, SIOCGIFFLAGS, &r));
  is("up and loopback", (r.ifr_flags & (IFF_UP | IFF_LOOPBACK)) == (IFF_UP | IFF_LOOPBACK));
  ret("mtu", ioctl(s, SIOCGIFMTU, &r));
  struct ifconf ic = {.ifc_len = sizeof buf, .ifc_buf = buf};
  ret("conf", ioctl(s, SIOCGIFCONF, &ic));
  is("has one", ic.ifc_len >= (int)sizeof(struct ifreq));
  ret("unknown", ioctl(s, 0x8999, &r));
  ret("bad pointer", ioctl(s, SIOCGIFFLAGS, BAD_PTR));
  struct addrinfo *ai, hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
  ret("getaddrinfo", getaddrinfo("localhost", "80", &hints, &ai));
  int n = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
  struct sockaddr_nl nl = {.nl_family = AF_NETLINK};
  ret("bind", bind(n, (struct sockaddr *)&nl, sizeof nl));
  socklen_t l = sizeof nl;
  getsockname(n, (struct sockaddr *)&nl, &l);
  is("port", nl.nl_pid == (uint32_t)getpid() || nl.nl_pid != 0);
  struct {
    struct nlmsghdr h;
    struct rtgenmsg g;
  } q = {{sizeof q, RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP, 7, 0}, {AF_INET}};
  ret("request", send(n, &q, sizeof q, 0));
  long r1 = recv(n, buf, sizeof buf, 0);
  struct nlmsghdr *h = (struct nlmsghdr *)buf;
  is("answer", r1 > 0 && h->nlmsg_seq == 7 && h->nlmsg_pid == nl.nl_pid && h->nlmsg_type == RTM_NEWADDR);
  q.h.nlmsg_type = 200;
  ret("junk", send(n, &q, sizeof q, 0));
}

int main(void) {
  test_tcp();
  test_edge();
  test_udp(AF_INET);
  test_udp(AF_INET6);
  test_interfaces();
  return 0;
}
