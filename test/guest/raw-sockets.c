// link: -w
// Raw and packet sockets on loopback, with CAP_NET_RAW and without.
#include "guest.h"
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <linux/capability.h>

// <linux/icmp.h>, which <net/if.h> does not go along with.
#define ICMP_FILTER 1
struct icmp_filter {
  unsigned data;
};

static unsigned char buf[70000];
static struct sockaddr_in loopback(int port) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  return a;
}

static unsigned short checksum(const void *data, int len) {
  const unsigned short *w = data;
  unsigned sum = 0;
  for (; len > 1; len -= 2) sum += *w++;
  if (len) sum += *(unsigned char *)w;
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum;
}

static int readable(int fd) {
  struct pollfd p = {fd, POLLIN, 0};
  return poll(&p, 1, 5000);
}

static void test_arguments(void) {
  ret("no protocol", socket(AF_INET, SOCK_RAW, 0));
  ret("negative", socket(AF_INET, SOCK_RAW, -1));
  ret("too large", socket(AF_INET, SOCK_RAW, 263));
  ret("too large for streams", socket(AF_INET, SOCK_STREAM, 263));
  ok("any other", socket(AF_INET, SOCK_RAW, 200));
  ok("raw", socket(AF_INET, SOCK_RAW, IPPROTO_RAW));
  ok("v6", socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6));
  ret("v6 without protocol", socket(AF_INET6, SOCK_RAW, 0));
  ret("packet stream", socket(AF_PACKET, SOCK_STREAM, htons(ETH_P_ALL)));
  ret("packet seqpacket", socket(AF_PACKET, SOCK_SEQPACKET, htons(ETH_P_ALL)));
  int s = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMP), v = 0;
  socklen_t l = sizeof v;
  ok("icmp", s);
  say("flags %x %x", fcntl(s, F_GETFD), fcntl(s, F_GETFL) & O_NONBLOCK);
  getsockopt(s, SOL_SOCKET, SO_TYPE, &v, &l), say("type %d", v);
  getsockopt(s, SOL_SOCKET, SO_PROTOCOL, &v, &l), say("protocol %d", v);
  getsockopt(s, SOL_SOCKET, SO_DOMAIN, &v, &l), say("domain %d", v);
  ret("nothing there", recv(s, buf, sizeof buf, 0));
  ret("unconnected", send(s, "x", 1, 0));
  ret("listen", listen(s, 5));
  ret("accept", accept(s, NULL, NULL));
  close(s);
}

static void test_ping(void) {
  struct sockaddr_in to = loopback(0), from = {0};
  struct icmphdr echo = {.type = ICMP_ECHO, .un.echo = {.id = htons(0x1234), .sequence = htons(7)}};
  echo.checksum = checksum(&echo, sizeof echo);
  int s = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
  struct icmp_filter filter = {~(1u << ICMP_ECHOREPLY)};
  ret("filter", setsockopt(s, SOL_RAW, ICMP_FILTER, &filter, sizeof filter));
  socklen_t l = sizeof filter;
  memset(&filter, 0, sizeof filter);
  ret("get filter", getsockopt(s, SOL_RAW, ICMP_FILTER, &filter, &l));
  say("filter %x %u", filter.data, l);
  ret("send", sendto(s, &echo, sizeof echo, 0, (struct sockaddr *)&to, sizeof to));
  say("readable %d", readable(s));
  l = sizeof from;
  long n = ret("reply with its header", recvfrom(s, buf, sizeof buf, 0, (struct sockaddr *)&from, &l));
  struct iphdr *ip = (void *)buf;
  struct icmphdr *icmp = (void *)(buf + ip->ihl * 4);
  say("version %d protocol %d type %d id %x sequence %d", ip->version, ip->protocol, icmp->type, ntohs(icmp->un.echo.id), ntohs(icmp->un.echo.sequence));
  say("from %s, length %u, port %d", inet_ntoa(from.sin_addr), l, ntohs(from.sin_port));
  say("total length %d of %ld", ntohs(ip->tot_len), n);
  // Cut off.
  sendto(s, &echo, sizeof echo, 0, (struct sockaddr *)&to, sizeof to);
  readable(s);
  ret("cut, whole length", recv(s, buf, 5, MSG_TRUNC));
  ret("connect", connect(s, (struct sockaddr *)&to, sizeof to));
  ret("send connected", send(s, &echo, sizeof echo, 0));
  ret("peek", recv(s, buf, 10, MSG_PEEK));
  ret("read", read(s, buf, sizeof buf));
  to.sin_port = htons(80);
  ret("bind to a port below 1024", bind(s, (struct sockaddr *)&to, sizeof to));
  struct sockaddr_in name;
  l = sizeof name;
  getsockname(s, (struct sockaddr *)&name, &l);
  say("name %s %d", inet_ntoa(name.sin_addr), ntohs(name.sin_port));
  ret("short address", sendto(s, "x", 1, 0, (struct sockaddr *)&to, 8));
  close(s);
  // Version 6: no header comes along, the kernel makes the checksum.
  int s6 = socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6), on = 1, off = 2;
  struct icmp6_filter f6;
  ICMP6_FILTER_SETBLOCKALL(&f6);
  ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &f6);
  ret("filter of v6", setsockopt(s6, IPPROTO_ICMPV6, ICMP6_FILTER, &f6, sizeof f6));
  ret("hop limits", setsockopt(s6, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &on, sizeof on));
  ret("checksum of ICMPv6", setsockopt(s6, SOL_RAW, IPV6_CHECKSUM, &off, sizeof off));
  struct icmp6_hdr echo6 = {.icmp6_type = ICMP6_ECHO_REQUEST};
  echo6.icmp6_id = htons(99);
  struct sockaddr_in6 to6 = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
  ret("send v6", sendto(s6, &echo6, sizeof echo6, 0, (struct sockaddr *)&to6, sizeof to6));
  char control[64];
  struct iovec iov = {buf, sizeof buf};
  struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  ret("reply", recvmsg(s6, &m, 0));
  struct cmsghdr *c = CMSG_FIRSTHDR(&m);
  say("type %d id %d, hop limit %d", buf[0], ntohs(((struct icmp6_hdr *)buf)->icmp6_id), c ? *(int *)CMSG_DATA(c) : -1);
  close(s6);
}

// A datagram with a header of our own.
static void test_header(void) {
  int s = socket(AF_INET, SOCK_RAW, IPPROTO_RAW), u = socket(AF_INET, SOCK_DGRAM, 0), v = 0;
  socklen_t l = sizeof v;
  getsockopt(s, IPPROTO_IP, IP_HDRINCL, &v, &l);
  say("header included %d", v);
  struct sockaddr_in a = loopback(0);
  bind(u, (struct sockaddr *)&a, sizeof a);
  l = sizeof a;
  getsockname(u, (struct sockaddr *)&a, &l);
  struct {
    struct iphdr ip;
    struct udphdr udp;
    char data[5];
  } __attribute__((packed)) p = {.data = "hello"};
  p.ip.version = 4, p.ip.ihl = 5, p.ip.ttl = 9, p.ip.protocol = IPPROTO_UDP;
  p.ip.saddr = htonl(0x7f000005), p.ip.daddr = htonl(INADDR_LOOPBACK);
  p.udp.source = htons(4242), p.udp.dest = a.sin_port, p.udp.len = htons(13);
  struct sockaddr_in to = loopback(0);
  ret("send", sendto(s, &p, sizeof p, 0, (struct sockaddr *)&to, sizeof to));
  struct sockaddr_in from;
  l = sizeof from;
  ret("received", recvfrom(u, buf, sizeof buf, 0, (struct sockaddr *)&from, &l));
  say("from %s port %d: %.5s", inet_ntoa(from.sin_addr), ntohs(from.sin_port), buf);
  p.ip.ihl = 3;
  ret("bad header", sendto(s, &p, sizeof p, 0, (struct sockaddr *)&to, sizeof to));
  close(s);
  s = socket(AF_INET, SOCK_RAW, IPPROTO_UDP);
  v = 1;
  ret("header option", setsockopt(s, IPPROTO_IP, IP_HDRINCL, &v, sizeof v));
  ret("options", setsockopt(s, IPPROTO_IP, IP_OPTIONS, "\1\1\1\0", 4));
  sendto(u, "to all", 6, 0, (struct sockaddr *)&a, sizeof a);
  readable(s);
  ret("a copy for raw sockets", recv(s, buf, sizeof buf, 0));
  close(s), close(u);
}

static void test_packet(void) {
  int s = socket(AF_PACKET, SOCK_RAW, 0), u = socket(AF_INET, SOCK_DGRAM, 0);
  ok("packet socket", s);
  struct sockaddr_ll a = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP), .sll_ifindex = if_nametoindex("lo")}, from;
  ret("bind", bind(s, (struct sockaddr *)&a, sizeof a));
  a.sll_ifindex = 12345;
  ret("no such interface", bind(s, (struct sockaddr *)&a, sizeof a));
  ret("short", bind(s, (struct sockaddr *)&a, 5));
  socklen_t l = sizeof from;
  ret("name", getsockname(s, (struct sockaddr *)&from, &l));
  say("family %d protocol %x interface %d type %d, %u", from.sll_family, ntohs(from.sll_protocol), from.sll_ifindex == (int)if_nametoindex("lo"), from.sll_hatype, l);
  ret("peer", getpeername(s, (struct sockaddr *)&from, &l));
  struct sockaddr_in to = loopback(9);
  sendto(u, "frame", 5, 0, (struct sockaddr *)&to, sizeof to);
  say("readable %d", readable(s));
  l = sizeof from;
  ret("frame", recvfrom(s, buf, sizeof buf, 0, (struct sockaddr *)&from, &l));
  say("protocol %x, type %d, data %.5s", ntohs(from.sll_protocol), from.sll_pkttype, buf + 14 + 28);
  struct packet_mreq mr = {.mr_ifindex = if_nametoindex("lo"), .mr_type = PACKET_MR_PROMISC};
  ret("promiscuous", setsockopt(s, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &mr, sizeof mr));
  ret("no more", setsockopt(s, SOL_PACKET, PACKET_DROP_MEMBERSHIP, &mr, sizeof mr));
  int on = 1;
  ret("auxdata", setsockopt(s, SOL_PACKET, PACKET_AUXDATA, &on, sizeof on));
  struct tpacket_stats stats;
  l = sizeof stats;
  ret("statistics", getsockopt(s, SOL_PACKET, PACKET_STATISTICS, &stats, &l));
  close(s);
  s = socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_IP));
  ok("cooked", s);
  memset(&a, 0, sizeof a);
  a.sll_family = AF_PACKET, a.sll_protocol = htons(0x88b5), a.sll_ifindex = if_nametoindex("lo"), a.sll_halen = 6;
  ret("send", sendto(s, "own protocol", 12, 0, (struct sockaddr *)&a, sizeof a));
  ret("no address", send(s, "x", 1, 0));
  close(s), close(u);
}

static void test_without(void) {
  struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2];
  capget(&head, data);
  int kept = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
  data[0].effective &= ~(1u << CAP_NET_RAW);
  ret("drop CAP_NET_RAW", capset(&head, data));
  ret("raw", socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
  ret("raw v6", socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6));
  ret("bad protocol first", socket(AF_INET, SOCK_RAW, 0));
  ret("packet", socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)));
  ret("packet stream", socket(AF_PACKET, SOCK_STREAM, 0));
  struct sockaddr_in to = loopback(0);
  struct icmphdr echo = {.type = ICMP_ECHO};
  echo.checksum = checksum(&echo, sizeof echo);
  ret("an open one goes on", sendto(kept, &echo, sizeof echo, 0, (struct sockaddr *)&to, sizeof to));
}

// Packets of others would be received as well.
static void own_network(void) {
  struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
  unshare(CLONE_NEWNET);
  int s = socket(AF_INET, SOCK_DGRAM, 0);
  ioctl(s, SIOCSIFFLAGS, &request);
  close(s);
}

int main(void) {
  own_network();
  test_arguments();
  test_ping();
  test_header();
  test_packet();
  test_without();
  return 0;
}
