// link: -w
// Fan-out groups and virtio headers of packet sockets, and SOCK_PACKET, on the loopback of a network namespace of the process's own.
#include "guest.h"
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#ifndef PACKET_VNET_HDR_SZ
#define PACKET_VNET_HDR_SZ 24
#endif

static char buf[4096];

static int packet(int type) {
  int s = socket(AF_PACKET, type | SOCK_CLOEXEC, htons(ETH_P_IP));
  struct sockaddr_ll a = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP), .sll_ifindex = 1};
  if (bind(s, (void *)&a, sizeof a) < 0) return -1;
  return s;
}

static int option(int s, int name, int v) { return setsockopt(s, SOL_PACKET, name, &v, sizeof v); }

static void datagram(const char *text) {
  int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  sendto(s, text, strlen(text), 0, (void *)&a, sizeof a);
  close(s);
}

// Frames that are there.
static int drain(int s) {
  int n = 0;
  while (recv(s, buf, sizeof buf, MSG_DONTWAIT) > 0) n++;
  return n;
}

static void take(int s, int count) {
  static char other[4096];
  while (count-- > 0) recv(s, other, sizeof other, 0);
}

static void test_fanout(const char *name, int type) {
  int a = packet(SOCK_DGRAM), b = packet(SOCK_DGRAM), v = 0;
  option(a, PACKET_IGNORE_OUTGOING, 1);
  option(b, PACKET_IGNORE_OUTGOING, 1);
  say("%s", name);
  ret("first", option(a, PACKET_FANOUT, type << 16 | 7));
  ret("twice", option(a, PACKET_FANOUT, type << 16 | 7));
  ret("of another kind", option(b, PACKET_FANOUT, (type + 1) << 16 | 7));
  ret("second", option(b, PACKET_FANOUT, type << 16 | 7));
  socklen_t l = sizeof v;
  ret("which", getsockopt(b, SOL_PACKET, PACKET_FANOUT, &v, &l));
  say("%x", v);
  struct tpacket_rollover_stats stats;
  l = sizeof stats;
  ret("rollover", getsockopt(a, SOL_PACKET, PACKET_ROLLOVER_STATS, &stats, &l));
  for (int i = 0; i < 10; i++) datagram("hello");
  // Each to one of the two, an answer of ICMP as well.
  int n = 0, m = 0;
  struct pollfd f[2] = {{a, POLLIN, 0}, {b, POLLIN, 0}};
  while (n + m < 20 && poll(f, 2, 10000) > 0) n += drain(a), m += drain(b);
  say("together %d", n + m);
  if (type == PACKET_FANOUT_LB) is("half each", n == m);
  close(a);
  close(b);
}

static void test_arguments(void) {
  int s = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), v = 0;
  ret("not bound", option(s, PACKET_FANOUT, 1));
  ret("no such kind", option(s, PACKET_FANOUT, 0x00990001));
  ret("short", setsockopt(s, SOL_PACKET, PACKET_FANOUT, &v, 2));
  socklen_t l = sizeof v;
  ret("which", getsockopt(s, SOL_PACKET, PACKET_FANOUT, &v, &l));
  say("%d", v);
  struct tpacket_rollover_stats stats;
  l = sizeof stats;
  ret("rollover", getsockopt(s, SOL_PACKET, PACKET_ROLLOVER_STATS, &stats, &l));
  close(s);
}

static void test_virtio(void) {
  int d = packet(SOCK_DGRAM), s = packet(SOCK_RAW), v = 0;
  socklen_t l = sizeof v;
  ret("cooked", option(d, PACKET_VNET_HDR, 1));
  ret("short", setsockopt(s, SOL_PACKET, PACKET_VNET_HDR, &v, 1));
  ret("headers", option(s, PACKET_VNET_HDR, 1));
  ret("there", getsockopt(s, SOL_PACKET, PACKET_VNET_HDR, &v, &l));
  say("%d", v);
  option(s, PACKET_IGNORE_OUTGOING, 1);
  datagram("hello");
  int n = recv(s, buf, sizeof buf, 0);
  struct virtio_net_hdr *h = (void *)buf;
  say("%d bytes, gso %d, header of %d", n, h->gso_type, (int)sizeof *h);
  say("frame of IP: %02x %02x", buf[10 + 12], buf[10 + 13]);
  take(s, 1); // that nobody has the port
  // Back where it came from.
  struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = 1, .sll_halen = 6, .sll_protocol = htons(ETH_P_IP)};
  memset(buf, 0, sizeof *h);
  ret("send", sendto(s, buf, n, 0, (void *)&to, sizeof to));
  take(s, 1);
  ret("send less than a header", sendto(s, buf, 5, 0, (void *)&to, sizeof to));
  h->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
  h->csum_start = 60000;
  ret("send a bad header", sendto(s, buf, n, 0, (void *)&to, sizeof to));
  ret("longer", option(s, PACKET_VNET_HDR_SZ, 12));
  v = 0, l = sizeof v;
  ret("which", getsockopt(s, SOL_PACKET, PACKET_VNET_HDR_SZ, &v, &l));
  say("%d", v);
  ret("of another length", option(s, PACKET_VNET_HDR_SZ, 11));
  ret("none", option(s, PACKET_VNET_HDR, 0));
  datagram("hello");
  say("%d bytes", (int)recv(s, buf, sizeof buf, 0));
  close(d);
  close(s);
}

static void test_obsolete(int domain) {
  int s = socket(domain, SOCK_PACKET | SOCK_CLOEXEC, htons(ETH_P_IP));
  ok("SOCK_PACKET", s);
  if (s < 0) return;
  struct sockaddr_pkt {
    unsigned short family;
    unsigned char device[14];
    unsigned short protocol;
  } a = {AF_PACKET, "lo", htons(ETH_P_IP)};
  int v;
  socklen_t l = sizeof v;
  ret("SO_TYPE", getsockopt(s, SOL_SOCKET, SO_TYPE, &v, &l));
  say("%d", v);
  ret("bind", bind(s, (void *)&a, sizeof(struct sockaddr)));
  datagram("hello");
  memset(&a, 0, sizeof a);
  l = sizeof a;
  int n = recvfrom(s, buf, sizeof buf, 0, (void *)&a, &l);
  say("%d bytes of %s, protocol %04x, %d", n, a.device, ntohs(a.protocol), l);
  ret("sendto", sendto(s, buf, n, 0, (void *)&a, sizeof a));
  ret("send", send(s, buf, n, 0));
  strcpy((char *)a.device, "none");
  ret("sendto nowhere", sendto(s, buf, n, 0, (void *)&a, sizeof a));
  ret("bind", bind(s, (void *)&a, sizeof(struct sockaddr)));
  close(s);
}

int main(void) {
  if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) {
    say("no user namespaces here");
    return 0;
  }
  struct ifreq r = {.ifr_name = "lo", .ifr_flags = IFF_UP};
  int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ret("up", ioctl(s, SIOCSIFFLAGS, &r));
  close(s);
  test_arguments();
  test_fanout("hash", PACKET_FANOUT_HASH);
  test_fanout("load", PACKET_FANOUT_LB);
  test_fanout("cpu", PACKET_FANOUT_CPU);
  test_fanout("rollover", PACKET_FANOUT_ROLLOVER);
  test_fanout("random", PACKET_FANOUT_RND);
  test_virtio();
  test_obsolete(AF_PACKET);
  test_obsolete(AF_INET);
  return 0;
}
