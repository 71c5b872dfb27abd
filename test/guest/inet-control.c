// link: -w
// What comes along with datagrams (control messages, errors), what can be sent along, raw sockets of version 6, packet sockets' figures.
#include "guest.h"
#include <arpa/inet.h>
#include <linux/errqueue.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/net_tstamp.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static unsigned char buf[4096];
static union {
  char bytes[1024];
  struct cmsghdr h;
} control;

static void show(struct msghdr *m) {
  for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
    char text[200] = "";
    int at = 0, n = (int)c->cmsg_len - (int)CMSG_LEN(0);
    int time = c->cmsg_level == SOL_SOCKET && (c->cmsg_type == SO_TIMESTAMP || c->cmsg_type == SO_TIMESTAMPNS || c->cmsg_type == SO_TIMESTAMPING || c->cmsg_type == 63 || c->cmsg_type == 64 || c->cmsg_type == 65);
    int ports = c->cmsg_type == 20 || c->cmsg_type == 74 || c->cmsg_type == IP_RECVERR || c->cmsg_type == IPV6_RECVERR;
    int label = c->cmsg_level == SOL_IPV6 && c->cmsg_type == 11;
    for (int i = 0; !time && !label && i < n && i < 48; i++) at += sprintf(text + at, "%02x", ports && (i == 2 || i == 3 || (i > 17 && i < 20)) ? 0 : CMSG_DATA(c)[i]);
    say("   level %d type %d length %d %s", c->cmsg_level, c->cmsg_type, n, text);
  }
}

static void receive(const char *name, int s, int room, int flags) {
  struct sockaddr_in6 from;
  struct iovec iov = {buf, sizeof buf};
  struct msghdr m = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = room};
  struct pollfd p = {s, POLLIN, 0};
  poll(&p, 1, 5000);
  memset(&control, 0, sizeof control);
  long r = recvmsg(s, &m, flags | MSG_DONTWAIT);
  if (r < 0) {
    ret(name, r);
    return;
  }
  say("%s: %ld flags %x name %u control %zu", name, r, m.msg_flags, m.msg_namelen, m.msg_controllen);
  show(&m);
}

static void bound(int s, int family, struct sockaddr_storage *a, socklen_t *l) {
  memset(a, 0, sizeof *a);
  a->ss_family = family;
  *l = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
  if (family == AF_INET) ((struct sockaddr_in *)a)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  else ((struct sockaddr_in6 *)a)->sin6_addr = in6addr_loopback;
  bind(s, (void *)a, *l);
  getsockname(s, (void *)a, l);
}

static void test_receive(void) {
  static const struct {
    const char *name;
    int family, level, option, value;
  } options[] = {
      {"TTL", AF_INET, SOL_IP, IP_RECVTTL, 1}, {"TOS", AF_INET, SOL_IP, IP_RECVTOS, 1}, {"PKTINFO", AF_INET, SOL_IP, IP_PKTINFO, 1},
      {"ORIGDSTADDR", AF_INET, SOL_IP, IP_RECVORIGDSTADDR, 1}, {"OPTS", AF_INET, SOL_IP, IP_RECVOPTS, 1}, {"RETOPTS", AF_INET, SOL_IP, IP_RETOPTS, 1},
      {"CHECKSUM", AF_INET, SOL_IP, 23, 1}, {"FRAGSIZE", AF_INET, SOL_IP, 25, 1}, {"TIMESTAMP", AF_INET, SOL_SOCKET, SO_TIMESTAMP, 1},
      {"TIMESTAMPNS", AF_INET, SOL_SOCKET, SO_TIMESTAMPNS, 1}, {"TIMESTAMP_NEW", AF_INET, SOL_SOCKET, 63, 1},
      {"RXQ_OVFL", AF_INET, SOL_SOCKET, SO_RXQ_OVFL, 1}, {"RCVMARK", AF_INET, SOL_SOCKET, 75, 1}, {"RCVPRIORITY", AF_INET, SOL_SOCKET, 82, 1},
      {"HOPLIMIT", AF_INET6, SOL_IPV6, IPV6_RECVHOPLIMIT, 1}, {"TCLASS", AF_INET6, SOL_IPV6, IPV6_RECVTCLASS, 1}, {"PKTINFO6", AF_INET6, SOL_IPV6, IPV6_RECVPKTINFO, 1},
      {"ORIGDSTADDR6", AF_INET6, SOL_IPV6, 74, 1}, {"FLOWINFO", AF_INET6, SOL_IPV6, 11, 1}, {"RTHDR", AF_INET6, SOL_IPV6, IPV6_RECVRTHDR, 1},
      {"HOPOPTS", AF_INET6, SOL_IPV6, IPV6_RECVHOPOPTS, 1}, {"DSTOPTS", AF_INET6, SOL_IPV6, IPV6_RECVDSTOPTS, 1}, {"2292PKTINFO", AF_INET6, SOL_IPV6, 2, 1},
      {"2292HOPLIMIT", AF_INET6, SOL_IPV6, 8, 1}, {"FRAGSIZE6", AF_INET6, SOL_IPV6, 77, 1}, {"UDP_GRO", AF_INET, SOL_UDP, 104, 1},
  };
  for (unsigned i = 0; i < sizeof options / sizeof *options; i++) {
    struct sockaddr_storage a;
    socklen_t l;
    int s = socket(options[i].family, SOCK_DGRAM, 0), c = socket(options[i].family, SOCK_DGRAM, 0), tos = 0x48;
    bound(s, options[i].family, &a, &l);
    setsockopt(c, options[i].family == AF_INET ? SOL_IP : SOL_IPV6, options[i].family == AF_INET ? IP_TOS : IPV6_TCLASS, &tos, sizeof tos);
    ret(options[i].name, setsockopt(s, options[i].level, options[i].option, &options[i].value, sizeof(int)));
    sendto(c, "datagram", 8, 0, (void *)&a, l);
    sendto(c, "datagram", 8, 0, (void *)&a, l);
    receive("  whole", s, 512, 0);
    receive("  cut", s, 17, 0);
    close(s), close(c);
  }
}

static void put(struct msghdr *m, int level, int type, const void *value, int n) {
  memset(&control, 0, sizeof control);
  m->msg_control = control.bytes, m->msg_controllen = CMSG_SPACE(n);
  control.h.cmsg_level = level, control.h.cmsg_type = type, control.h.cmsg_len = CMSG_LEN(n);
  memcpy(CMSG_DATA(&control.h), value, n);
}

static void test_send(void) {
  static const struct {
    const char *name;
    int family, level, type, size, value;
  } sent[] = {
      {"TTL 5", AF_INET, SOL_IP, IP_TTL, 4, 5}, {"TTL 0", AF_INET, SOL_IP, IP_TTL, 4, 0}, {"TTL 256", AF_INET, SOL_IP, IP_TTL, 4, 256}, {"TTL short", AF_INET, SOL_IP, IP_TTL, 2, 5},
      {"TOS", AF_INET, SOL_IP, IP_TOS, 4, 0x10}, {"TOS byte", AF_INET, SOL_IP, IP_TOS, 1, 0x10}, {"TOS 256", AF_INET, SOL_IP, IP_TOS, 4, 256}, {"PROTOCOL", AF_INET, SOL_IP, 52, 4, 17},
      {"unknown", AF_INET, SOL_IP, 99, 4, 1}, {"another level", AF_INET, 99, 1, 4, 1}, {"v6 on v4", AF_INET, SOL_IPV6, IPV6_HOPLIMIT, 4, 5}, {"rights", AF_INET, SOL_SOCKET, SCM_RIGHTS, 4, 1},
      {"PRIORITY", AF_INET, SOL_SOCKET, SO_PRIORITY, 4, 3}, {"TIMESTAMPING", AF_INET, SOL_SOCKET, SO_TIMESTAMPING, 4, SOF_TIMESTAMPING_TX_SOFTWARE},
      {"SEGMENT", AF_INET, SOL_UDP, 103, 2, 4}, {"SEGMENT long", AF_INET, SOL_UDP, 103, 4, 4},
      {"HOPLIMIT 9", AF_INET6, SOL_IPV6, IPV6_HOPLIMIT, 4, 9}, {"HOPLIMIT -1", AF_INET6, SOL_IPV6, IPV6_HOPLIMIT, 4, -1}, {"HOPLIMIT 256", AF_INET6, SOL_IPV6, IPV6_HOPLIMIT, 4, 256}, {"TCLASS", AF_INET6, SOL_IPV6, IPV6_TCLASS, 4, 0x20},
      {"TCLASS 256", AF_INET6, SOL_IPV6, IPV6_TCLASS, 4, 256}, {"DONTFRAG", AF_INET6, SOL_IPV6, IPV6_DONTFRAG, 4, 1}, {"DONTFRAG 2", AF_INET6, SOL_IPV6, IPV6_DONTFRAG, 4, 2}, {"unknown 6", AF_INET6, SOL_IPV6, 99, 4, 1}, {"2292HOPLIMIT", AF_INET6, SOL_IPV6, 8, 4, 3},
  };
  for (unsigned i = 0; i < sizeof sent / sizeof *sent; i++) {
    struct sockaddr_storage a;
    socklen_t l;
    int v4 = sent[i].family == AF_INET, s = socket(sent[i].family, SOCK_DGRAM, 0), c = socket(sent[i].family, SOCK_DGRAM, 0), one = 1;
    bound(s, sent[i].family, &a, &l);
    setsockopt(s, v4 ? SOL_IP : SOL_IPV6, v4 ? IP_RECVTTL : IPV6_RECVHOPLIMIT, &one, sizeof one);
    setsockopt(s, v4 ? SOL_IP : SOL_IPV6, v4 ? IP_RECVTOS : IPV6_RECVTCLASS, &one, sizeof one);
    struct iovec iov = {"datagram", 8};
    struct msghdr m = {.msg_name = &a, .msg_namelen = l, .msg_iov = &iov, .msg_iovlen = 1};
    put(&m, sent[i].level, sent[i].type, &sent[i].value, sent[i].size);
    if (ret(sent[i].name, sendmsg(c, &m, 0)) > 0) receive("  got", s, 512, 0);
    m.msg_controllen = 10;
    ret("  less than a header", sendmsg(c, &m, 0));
    m.msg_controllen = CMSG_SPACE(4), control.h.cmsg_len = 3;
    ret("  bad length", sendmsg(c, &m, 0));
    control.h.cmsg_len = 1000;
    ret("  long length", sendmsg(c, &m, 0));
    close(s), close(c);
  }
  // Whether anything can be sent comes first.
  for (int i = 0; i < 4; i++) {
    int c = socket(i & 1 ? AF_INET6 : AF_INET, i & 2 ? SOCK_DGRAM : SOCK_STREAM, 0);
    struct iovec iov = {"x", 1};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    put(&m, SOL_IP, 99, &(int){1}, 4);
    ret("not connected, unknown control", sendmsg(c, &m, MSG_NOSIGNAL));
    control.h.cmsg_len = 1000;
    ret("not connected, long length", sendmsg(c, &m, MSG_NOSIGNAL));
    close(c);
  }
}

static void test_errors(int family) {
  struct sockaddr_storage a;
  socklen_t l;
  int c = socket(family, SOCK_DGRAM, 0), closed = socket(family, SOCK_DGRAM, 0), one = 1, v;
  bound(closed, family, &a, &l);
  close(closed);
  ret("RECVERR", setsockopt(c, family == AF_INET ? SOL_IP : SOL_IPV6, family == AF_INET ? IP_RECVERR : IPV6_RECVERR, &one, sizeof one));
  ret("nothing yet", recv(c, buf, 10, MSG_ERRQUEUE));
  ret("send", sendto(c, "to nobody", 9, 0, (void *)&a, l));
  struct pollfd p = {c, POLLIN, 0};
  poll(&p, 1, 5000), say("poll %x", p.revents);
  receive("peek", c, 512, MSG_ERRQUEUE | MSG_PEEK);
  receive("cut", c, 20, MSG_ERRQUEUE);
  ret("send", sendto(c, "to nobody", 9, 0, (void *)&a, l));
  poll(&p, 1, 5000), say("poll %x", p.revents);
  receive("error", c, 512, MSG_ERRQUEUE);
  ret("send", sendto(c, "to nobody", 9, 0, (void *)&a, l));
  poll(&p, 1, 5000);
  l = sizeof v;
  getsockopt(c, SOL_SOCKET, SO_ERROR, &v, &l), say("SO_ERROR %s", v ? strerrorname_np(v) : "none");
  receive("still there", c, 512, MSG_ERRQUEUE);
  close(c);
}

static void test_disconnect(void) {
  struct sockaddr_storage a, b;
  socklen_t l;
  int s = socket(AF_INET, SOCK_DGRAM, 0), c = socket(AF_INET, SOCK_DGRAM, 0);
  bound(s, AF_INET, &a, &l);
  ret("connect", connect(c, (void *)&a, l));
  ret("peer", getpeername(c, (void *)&b, &l));
  ret("nothing to send", send(c, "", 0, 0));
  ret("received", recv(s, buf, 10, 0));
  struct sockaddr none = {AF_UNSPEC};
  ret("disconnect", connect(c, &none, sizeof none));
  ret("peer", getpeername(c, (void *)&b, &l));
  ret("send", send(c, "x", 1, 0));
  l = sizeof b;
  getsockname(c, (void *)&b, &l), say("name %s port %d", inet_ntoa(((struct sockaddr_in *)&b)->sin_addr), ((struct sockaddr_in *)&b)->sin_port != 0);
  ret("shutdown", shutdown(c, SHUT_RD));
  ret("connect", connect(c, (void *)&a, sizeof(struct sockaddr_in)));
  ret("shutdown", shutdown(c, SHUT_WR));
  ret("send", send(c, "x", 1, MSG_NOSIGNAL));
  ret("read", recv(c, buf, 1, 0));
  ret("broadcast", sendto(s, "x", 1, 0, (void *)&(struct sockaddr_in){.sin_family = AF_INET, .sin_port = 9, .sin_addr.s_addr = INADDR_BROADCAST}, 16));
  ret("probe", sendto(s, "x", 1, 0x10, (void *)&a, sizeof(struct sockaddr_in)));
  ret("nothing came", recv(s, buf, 10, MSG_DONTWAIT));
  close(s), close(c);
}

static void test_raw6(void) {
  int s = socket(AF_INET6, SOCK_RAW, IPPROTO_UDP), v, one = 1;
  socklen_t l = sizeof v;
  ret("checksum", getsockopt(s, SOL_RAW, IPV6_CHECKSUM, &v, &l));
  say("offset %d", v);
  static const int offsets[] = {6, 5, -1, -2, 1000, 0};
  for (int i = 0; i < 6; i++) {
    ret("set", setsockopt(s, IPPROTO_IPV6, IPV6_CHECKSUM, &offsets[i], 4));
    l = sizeof v;
    getsockopt(s, SOL_RAW, IPV6_CHECKSUM, &v, &l), say(" offset %d", v);
  }
  v = 6;
  setsockopt(s, SOL_RAW, IPV6_CHECKSUM, &v, 4);
  struct sockaddr_storage a;
  int u = socket(AF_INET6, SOCK_DGRAM, 0);
  bound(u, AF_INET6, &a, &l);
  struct {
    struct udphdr udp;
    char data[6];
  } p = {{.source = htons(77), .dest = ((struct sockaddr_in6 *)&a)->sin6_port, .len = htons(14)}, "hello"};
  struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
  ret("send", sendto(s, &p, sizeof p, 0, (void *)&to, sizeof to));
  ret("with its checksum", recv(u, buf, 100, 0));
  to.sin6_port = htons(1);
  ret("another protocol in the port", sendto(s, &p, sizeof p, 0, (void *)&to, sizeof to));
  ret("copy", recv(s, buf, 100, 0));
  say("checksum %d", ((struct udphdr *)buf)->check != 0);
  int h = socket(AF_INET6, SOCK_RAW, IPPROTO_RAW);
  l = sizeof v;
  ret("header", getsockopt(h, SOL_IPV6, 36, &v, &l));
  say("included %d", v);
  ret("include", setsockopt(s, SOL_IPV6, 36, &one, sizeof one));
  struct icmp6_filter f, g;
  int i = socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6);
  l = sizeof g;
  ret("filter", getsockopt(i, IPPROTO_ICMPV6, ICMP6_FILTER, &g, &l));
  say("first %x length %u", g.icmp6_filt[0], l);
  ICMP6_FILTER_SETBLOCKALL(&f);
  ret("block", setsockopt(i, IPPROTO_ICMPV6, ICMP6_FILTER, &f, 4));
  l = 8;
  getsockopt(i, IPPROTO_ICMPV6, ICMP6_FILTER, &g, &l), say("first %x second %x length %u", g.icmp6_filt[0], g.icmp6_filt[1], l);
  l = 100;
  char more[100];
  ret("long", getsockopt(i, IPPROTO_ICMPV6, ICMP6_FILTER, more, &l));
  say("length %u", l);
  ret("set long", setsockopt(i, IPPROTO_ICMPV6, ICMP6_FILTER, more, 100));
  ret("on another", setsockopt(s, IPPROTO_ICMPV6, ICMP6_FILTER, &f, sizeof f));
  close(s), close(u), close(h), close(i);
}

static void test_packet(void) {
  static const int options[] = {PACKET_STATISTICS, PACKET_AUXDATA, PACKET_ORIGDEV, PACKET_VERSION, PACKET_HDRLEN, PACKET_RESERVE, PACKET_LOSS, PACKET_VNET_HDR, PACKET_TIMESTAMP, PACKET_FANOUT, PACKET_TX_HAS_OFF, PACKET_QDISC_BYPASS, PACKET_ROLLOVER_STATS, PACKET_FANOUT_DATA, PACKET_IGNORE_OUTGOING, PACKET_RX_RING, PACKET_TX_RING, PACKET_RECV_OUTPUT, 99};
  for (unsigned i = 0; i < sizeof options / sizeof *options; i++) {
    static const int lengths[] = {0, 1, 4, 8, 12, 64};
    char line[400];
    int at = 0, s = socket(AF_PACKET, SOCK_RAW, 0);
    for (int k = 0; k < 6; k++) {
      socklen_t l = lengths[k];
      memset(buf, 0, 64);
      int r = getsockopt(s, SOL_PACKET, options[i], buf, &l);
      at += sprintf(line + at, " %s", r < 0 ? strerrorname_np(errno) : "");
      if (r >= 0) at += sprintf(line + at, "%u:%02x%02x%02x%02x", l, buf[0], buf[1], buf[2], buf[3]);
    }
    at += sprintf(line + at, " | set");
    for (int k = 0; k < 6; k++) {
      int v[16] = {1};
      int r = setsockopt(s, SOL_PACKET, options[i], v, lengths[k]);
      at += sprintf(line + at, " %s", r < 0 ? strerrorname_np(errno) : "0");
    }
    say("packet option %d:%s", options[i], line);
    close(s);
  }
  int s = socket(AF_PACKET, SOCK_RAW, 0), one = 1, u = socket(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_ll a = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP), .sll_ifindex = 1};
  setsockopt(s, SOL_PACKET, PACKET_AUXDATA, &one, sizeof one);
  ret("bind", bind(s, (void *)&a, sizeof a));
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  sendto(u, "frame", 5, 0, (void *)&to, sizeof to);
  struct pollfd p = {s, POLLIN, 0};
  poll(&p, 1, 5000);
  struct iovec iov = {buf, 20};
  struct sockaddr_ll from;
  struct msghdr m = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control};
  ret("frame", recvmsg(s, &m, MSG_TRUNC));
  struct cmsghdr *c = CMSG_FIRSTHDR(&m);
  struct tpacket_auxdata *x = c ? (void *)CMSG_DATA(c) : NULL;
  say("flags %x name %u type %d hardware %d length %d", m.msg_flags, m.msg_namelen, from.sll_pkttype, from.sll_hatype, from.sll_halen);
  if (x) say("aux level %d type %d length %u snap %u mac %u net %u status %x", c->cmsg_level, c->cmsg_type, x->tp_len, x->tp_snaplen, x->tp_mac, x->tp_net, x->tp_status & ~(TP_STATUS_CSUMNOTREADY | TP_STATUS_CSUM_VALID));
  struct tpacket_stats st;
  socklen_t l = sizeof st;
  getsockopt(s, SOL_PACKET, PACKET_STATISTICS, &st, &l), say("some packets %d drops %u", st.tp_packets > 0, st.tp_drops);
  getsockopt(s, SOL_PACKET, PACKET_STATISTICS, &st, &l), say("told once %u", st.tp_packets);
  int small = 1;
  setsockopt(s, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  for (int i = 0; i < 50; i++) sendto(u, buf, 1000, 0, (void *)&to, sizeof to);
  getsockopt(s, SOL_PACKET, PACKET_STATISTICS, &st, &l), say("drops %d", st.tp_drops > 0);
  a.sll_protocol = htons(ETH_P_ALL), a.sll_ifindex = 0;
  ret("bind to all", bind(s, (void *)&a, sizeof a));
  ret("short frame", sendto(s, buf, 5, 0, (void *)&(struct sockaddr_ll){.sll_family = AF_PACKET, .sll_ifindex = 1}, sizeof a));
  ret("long frame", sendto(s, buf, 4096, 0, (void *)&(struct sockaddr_ll){.sll_family = AF_PACKET, .sll_ifindex = 1, .sll_protocol = htons(0x88b5)}, sizeof a));
  ret("nowhere", sendto(s, buf, 60, 0, (void *)&(struct sockaddr_ll){.sll_family = AF_PACKET, .sll_ifindex = 4711}, sizeof a));
  close(s), close(u);
}

int main(void) {
  struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
  unshare(CLONE_NEWNET);
  int s = socket(AF_INET, SOCK_DGRAM, 0);
  ioctl(s, SIOCSIFFLAGS, &request);
  close(s);
  test_receive();
  test_send();
  test_errors(AF_INET);
  test_errors(AF_INET6);
  test_disconnect();
  test_raw6();
  test_packet();
  return 0;
}
