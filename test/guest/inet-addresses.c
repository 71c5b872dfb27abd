// link: -w
// Addresses of internet, ping, raw and packet sockets: every call with every family and length, and which binds get in each other's way.
#include "guest.h"
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static const struct {
  const char *name;
  int domain, type, protocol;
} kinds[] = {
    {"tcp", AF_INET, SOCK_STREAM, 0},
    {"tcp6", AF_INET6, SOCK_STREAM, 0},
    {"udp", AF_INET, SOCK_DGRAM, 0},
    {"udp6", AF_INET6, SOCK_DGRAM, 0},
    {"udplite", AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE},
    {"ping", AF_INET, SOCK_DGRAM, IPPROTO_ICMP},
    {"ping6", AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6},
    {"raw", AF_INET, SOCK_RAW, IPPROTO_ICMP},
    {"raw udp", AF_INET, SOCK_RAW, IPPROTO_UDP},
    {"raw6", AF_INET6, SOCK_RAW, IPPROTO_ICMPV6},
    {"packet", AF_PACKET, SOCK_RAW, 0},
    {"cooked", AF_PACKET, SOCK_DGRAM, 0},
};
enum { KINDS = sizeof kinds / sizeof *kinds };
static const int families[] = {AF_UNSPEC, AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, 300};
static const int lengths[] = {0, 1, 2, 4, 8, 15, 16, 17, 23, 24, 27, 28, 29, 128, 129, -1};
enum { LENGTHS = sizeof lengths / sizeof *lengths };

static union {
  struct sockaddr a;
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
  struct sockaddr_ll ll;
  char bytes[200];
} u;

static void address(int family) {
  memset(&u, 0, sizeof u);
  u.a.sa_family = family;
  if (family == AF_PACKET) u.ll.sll_ifindex = 1, u.ll.sll_halen = 6;
  else if (family == AF_INET6) u.v6.sin6_addr = in6addr_loopback, u.v6.sin6_port = htons(9);
  else if (family == AF_INET) u.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK), u.v4.sin_port = htons(9);
}

static void test_lengths(void) {
  for (int k = 0; k < KINDS; k++) {
    for (unsigned f = 0; f < sizeof families / sizeof *families; f++) {
      static const char *calls[] = {"bind", "connect", "sendto", "sendmsg"};
      for (int c = 0; c < 4; c++) {
        char line[600];
        int at = 0;
        for (int l = 0; l < LENGTHS; l++) {
          int s = socket(kinds[k].domain, kinds[k].type | SOCK_NONBLOCK, kinds[k].protocol), r;
          if (s < 0) {
            at += sprintf(line + at, " no socket: %s", strerrorname_np(errno));
            break;
          }
          address(families[f]);
          if (c == 0 && families[f] != AF_PACKET) u.v4.sin_port = 0;
          struct iovec iov = {"\10\0\367\377\0\0\0\0", 8};
          struct msghdr m = {.msg_name = &u, .msg_namelen = lengths[l], .msg_iov = &iov, .msg_iovlen = 1};
          if (c == 0) r = bind(s, &u.a, lengths[l]);
          else if (c == 1) r = connect(s, &u.a, lengths[l]);
          else if (c == 2) r = sendto(s, iov.iov_base, 8, MSG_NOSIGNAL, &u.a, lengths[l]);
          else r = sendmsg(s, &m, MSG_NOSIGNAL);
          at += sprintf(line + at, " %s", r < 0 ? strerrorname_np(errno) : r == 0 ? "0" : "8");
          close(s);
        }
        say("%s %s family %d:%s", kinds[k].name, calls[c], families[f], line);
      }
    }
  }
}

// Two sockets of a type bound to the same port, by address, SO_REUSEADDR, SO_REUSEPORT, IPV6_V6ONLY.
static const struct {
  const char *name;
  int family, only;
  const char *text;
} places[] = {
    {"any", AF_INET, 0, "0.0.0.0"},     {"loopback", AF_INET, 0, "127.0.0.1"}, {"another", AF_INET, 0, "127.0.0.2"},
    {"any6", AF_INET6, 0, "::"},        {"any6 only", AF_INET6, 1, "::"},      {"loopback6", AF_INET6, 0, "::1"},
    {"mapped", AF_INET6, 0, "::ffff:127.0.0.1"}, {"mapped any", AF_INET6, 0, "::ffff:0.0.0.0"},
};
enum { PLACES = sizeof places / sizeof *places };

static int placed(int type, int p, int port, int reuse, int *port_out) {
  int s = socket(places[p].family, type, 0), one = 1;
  memset(&u, 0, sizeof u);
  u.a.sa_family = places[p].family;
  socklen_t l;
  if (places[p].family == AF_INET6) {
    setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &places[p].only, sizeof(int));
    inet_pton(AF_INET6, places[p].text, &u.v6.sin6_addr);
    u.v6.sin6_port = htons(port), l = sizeof u.v6;
  } else {
    inet_pton(AF_INET, places[p].text, &u.v4.sin_addr);
    u.v4.sin_port = htons(port), l = sizeof u.v4;
  }
  if (reuse & 1) setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (reuse & 2) setsockopt(s, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
  if (bind(s, &u.a, l) < 0) {
    int e = errno;
    close(s);
    errno = e;
    return -1;
  }
  if (port_out) {
    l = sizeof u;
    getsockname(s, &u.a, &l);
    *port_out = ntohs(u.v4.sin_port);
  }
  return s;
}

static void test_conflicts(int type, int listens) {
  for (int a = 0; a < PLACES; a++) {
    for (int reuse = 0; reuse < 16; reuse++) {
      char line[400];
      int at = 0;
      for (int b = 0; b < PLACES; b++) {
        int port = 0, s = placed(type, a, 0, reuse & 3, &port);
        if (s < 0) {
          at += sprintf(line + at, " first: %s", strerrorname_np(errno));
          continue;
        }
        if (listens) listen(s, 1);
        int t = placed(type, b, port, reuse >> 2, NULL);
        const char *r = t < 0 ? strerrorname_np(errno) : "0";
        at += sprintf(line + at, " %s", r);
        if (t >= 0 && listens) at += sprintf(line + at, "/%s", listen(t, 1) < 0 ? strerrorname_np(errno) : "0");
        if (t >= 0) close(t);
        close(s);
      }
      say("type %d %s %s first %d second %d:%s", type, listens ? "listening" : "bound", places[a].name, reuse & 3, reuse >> 2, line);
    }
  }
}

static void test_multicast(void) {
  int s = socket(AF_INET, SOCK_DGRAM, 0), six = socket(AF_INET6, SOCK_DGRAM, 0), one = 1, v;
  socklen_t l;
  struct in_addr group, lo = {htonl(INADDR_LOOPBACK)};
  inet_pton(AF_INET, "239.1.2.3", &group);
  struct ip_mreqn n = {group, lo, 0};
  struct ip_mreq m = {group, lo};
  struct ip_mreq_source ms = {group, lo, {htonl(0x7f000009)}};
  ret("by number", setsockopt(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &n, sizeof n));
  ret("again", setsockopt(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof m));
  ret("source of a joined one", setsockopt(s, IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, &ms, sizeof ms));
  ret("block", setsockopt(s, IPPROTO_IP, IP_BLOCK_SOURCE, &ms, sizeof ms));
  ret("block again", setsockopt(s, IPPROTO_IP, IP_BLOCK_SOURCE, &ms, sizeof ms));
  union {
    struct ip_msfilter f;
    struct group_filter g;
    char bytes[1000];
  } f;
  memset(&f, 0, sizeof f);
  f.f.imsf_multiaddr = group, f.f.imsf_interface = lo, f.f.imsf_numsrc = 4;
  l = IP_MSFILTER_SIZE(4);
  ret("filter", getsockopt(s, IPPROTO_IP, IP_MSFILTER, &f, &l));
  say("mode %u sources %u %s length %u", f.f.imsf_fmode, f.f.imsf_numsrc, inet_ntoa(f.f.imsf_slist[0]), l);
  f.f.imsf_numsrc = 0;
  l = IP_MSFILTER_SIZE(0);
  ret("filter without room", getsockopt(s, IPPROTO_IP, IP_MSFILTER, &f, &l));
  say("sources %u length %u", f.f.imsf_numsrc, l);
  memset(&f, 0, sizeof f);
  f.f.imsf_multiaddr = group, f.f.imsf_interface = lo, f.f.imsf_numsrc = 2, f.f.imsf_fmode = MCAST_INCLUDE;
  f.f.imsf_slist[0].s_addr = htonl(0x7f000001), f.f.imsf_slist[1].s_addr = htonl(0x7f000002);
  ret("set filter", setsockopt(s, IPPROTO_IP, IP_MSFILTER, &f, IP_MSFILTER_SIZE(2)));
  memset(&f, 0, sizeof f);
  f.g.gf_interface = 1, f.g.gf_numsrc = 3;
  *(struct sockaddr_in *)&f.g.gf_group = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = group};
  l = GROUP_FILTER_SIZE(3);
  ret("filter by interface", getsockopt(s, IPPROTO_IP, MCAST_MSFILTER, &f, &l));
  say("mode %u sources %u %s length %u", f.g.gf_fmode, f.g.gf_numsrc, inet_ntoa(((struct sockaddr_in *)&f.g.gf_slist[1])->sin_addr), l);
  ret("leave", setsockopt(s, IPPROTO_IP, IP_DROP_MEMBERSHIP, &m, sizeof m));
  ret("leave again", setsockopt(s, IPPROTO_IP, IP_DROP_MEMBERSHIP, &m, sizeof m));
  l = GROUP_FILTER_SIZE(3);
  ret("filter of none", getsockopt(s, IPPROTO_IP, MCAST_MSFILTER, &f, &l));
  l = 8;
  ret("short", getsockopt(s, IPPROTO_IP, IP_MSFILTER, &f, &l));
  l = 1000;
  ret("nowhere", getsockopt(s, IPPROTO_IP, IP_MSFILTER, BAD_PTR, &l));
  struct ipv6_mreq six_m = {.ipv6mr_interface = 1};
  inet_pton(AF_INET6, "ff15::77", &six_m.ipv6mr_multiaddr);
  ret("join v6", setsockopt(six, IPPROTO_IPV6, IPV6_JOIN_GROUP, &six_m, sizeof six_m));
  memset(&f, 0, sizeof f);
  f.g.gf_interface = 1, f.g.gf_numsrc = 3;
  *(struct sockaddr_in6 *)&f.g.gf_group = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_addr = six_m.ipv6mr_multiaddr};
  l = GROUP_FILTER_SIZE(3);
  ret("filter v6", getsockopt(six, IPPROTO_IPV6, MCAST_MSFILTER, &f, &l));
  say("mode %u sources %u length %u", f.g.gf_fmode, f.g.gf_numsrc, l);
  struct group_source_req gs = {.gsr_interface = 1};
  *(struct sockaddr_in *)&gs.gsr_group = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = group};
  *(struct sockaddr_in *)&gs.gsr_source = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = lo};
  ret("join source", setsockopt(s, IPPROTO_IP, MCAST_JOIN_SOURCE_GROUP, &gs, sizeof gs));
  ret("leave source", setsockopt(s, IPPROTO_IP, MCAST_LEAVE_SOURCE_GROUP, &gs, sizeof gs));
  ret("leave source again", setsockopt(s, IPPROTO_IP, MCAST_LEAVE_SOURCE_GROUP, &gs, sizeof gs));
  n.imr_ifindex = 4711;
  ret("no such interface", setsockopt(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &n, sizeof n));
  n.imr_ifindex = 1, n.imr_multiaddr = lo;
  ret("no group", setsockopt(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &n, sizeof n));
  ret("interface by address", setsockopt(s, IPPROTO_IP, IP_MULTICAST_IF, &lo, sizeof lo));
  l = sizeof v;
  ret("get", getsockopt(s, IPPROTO_IP, IP_MULTICAST_IF, &v, &l));
  say("interface %x %u", v, l);
  struct ip_mreqn by = {.imr_ifindex = 1};
  ret("interface by number", setsockopt(s, IPPROTO_IP, IP_MULTICAST_IF, &by, sizeof by));
  l = sizeof by;
  ret("get", getsockopt(s, IPPROTO_IP, IP_MULTICAST_IF, &by, &l));
  say("interface %x %d %u", by.imr_address.s_addr, by.imr_ifindex, l);
  close(s), close(six);
}

static void test_ping(void) {
  ok("ping", socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP));
  int f = open("/proc/sys/net/ipv4/ping_group_range", O_RDWR);
  char text[40] = "";
  read(f, text, sizeof text - 1);
  say("range %s", text);
  close(f);
}

int main(void) {
  struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING | IFF_MULTICAST};
  unshare(CLONE_NEWNET);
  int s = socket(AF_INET, SOCK_DGRAM, 0);
  ioctl(s, SIOCSIFFLAGS, &request);
  close(s);
  test_ping();
  test_multicast();
  test_lengths();
  test_conflicts(SOCK_STREAM, 0);
  test_conflicts(SOCK_STREAM, 1);
  test_conflicts(SOCK_DGRAM, 0);
  return 0;
}
