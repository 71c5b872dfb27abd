// NETLINK_ROUTE, GENERIC, SOCK_DIAG and KOBJECT_UEVENT in a network namespace of the program's own: dumps, errors with what the kernel says
// of them, strict checking, multicast groups.
#include "guest.h"
#include <arpa/inet.h>
#include <linux/ethtool.h>
#include <linux/genetlink.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/netlink_diag.h>
#include <linux/packet_diag.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <linux/unix_diag.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static char buf[1 << 16];
static struct {
  struct nlmsghdr h;
  char body[256];
} m;

static int netlink(int protocol) {
  struct sockaddr_nl a = {.nl_family = AF_NETLINK};
  int s = socket(AF_NETLINK, SOCK_RAW, protocol);
  if (s >= 0) bind(s, (void *)&a, sizeof a);
  return s;
}

static void set(int s, int name, int value) {
  if (setsockopt(s, SOL_NETLINK, name, &value, sizeof value) < 0) ret("setsockopt", -1);
}

// A request of `type` with a fixed part of `size` bytes, the first of which is the family.
static void begin(int type, int flags, int size, int family) {
  memset(&m, 0, sizeof m);
  m.h = (struct nlmsghdr){NLMSG_LENGTH(size), type, NLM_F_REQUEST | flags, 77, 0};
  m.body[0] = family;
}

static void attribute(int type, const void *value, int len) {
  struct rtattr *a = (void *)((char *)&m + NLMSG_ALIGN(m.h.nlmsg_len));
  a->rta_type = type, a->rta_len = RTA_LENGTH(len);
  memcpy(RTA_DATA(a), value, len);
  m.h.nlmsg_len = NLMSG_ALIGN(m.h.nlmsg_len) + RTA_ALIGN(a->rta_len);
}

// What the kernel says of an error, where it says something.
static const char *said(struct nlmsghdr *h, char *from) {
  if (!(h->nlmsg_flags & NLM_F_ACK_TLVS)) return "";
  for (struct rtattr *a = (void *)from; (char *)a + sizeof *a <= (char *)h + h->nlmsg_len;
       a = (void *)((char *)a + RTA_ALIGN(a->rta_len))) {
    if (a->rta_len < sizeof *a) break;
    if (a->rta_type == NLMSGERR_ATTR_MSG) return RTA_DATA(a);
  }
  return "";
}

static void error_of(struct nlmsghdr *h) {
  struct nlmsgerr *e = NLMSG_DATA(h);
  const char *name = e->error ? strerrorname_np(-e->error) : "none";
  int whole = !(h->nlmsg_flags & NLM_F_CAPPED);
  char *rest = (char *)e + sizeof *e + (whole ? NLMSG_ALIGN(e->msg.nlmsg_len) - sizeof(struct nlmsghdr) : 0);
  say(" error %s flags %x length %d of %d, about %d %d: %s", name, h->nlmsg_flags, whole ? (int)e->msg.nlmsg_len : 0,
      (int)(h->nlmsg_flags & NLM_F_ACK_TLVS ? 0 : h->nlmsg_len), e->msg.nlmsg_type, e->msg.nlmsg_seq, said(h, rest));
}

// Sends the request and counts the answers by type up to the end; calls `each` for those that are no end.
static void ask(int s, const char *name, void (*each)(struct nlmsghdr *)) {
  int count = 0, type = 0, multi = 0;
  if (send(s, &m, m.h.nlmsg_len, 0) < 0) {
    ret(name, -1);
    return;
  }
  say("%s", name);
  for (int done = 0; !done;) {
    int n = recv(s, buf, sizeof buf, MSG_DONTWAIT);
    if (n < 0) break;
    for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
      if (h->nlmsg_seq != 77) say(" another sequence");
      if (h->nlmsg_type == NLMSG_ERROR) error_of(h), done = 1;
      else if (h->nlmsg_type == NLMSG_DONE) {
        int code = *(int *)NLMSG_DATA(h);
        if (code) say(" ends with %s: %s", strerrorname_np(-code), said(h, (char *)NLMSG_DATA(h) + 4));
        done = 1;
      } else {
        count++, type = h->nlmsg_type, multi = h->nlmsg_flags & NLM_F_MULTI;
        if (each) each(h);
        if (!multi && !(m.h.nlmsg_flags & NLM_F_ACK)) done = 1;
      }
    }
  }
  say(" answers %d type %d multi %d", count, type, multi);
}

static void test_dumps(void) {
  int s = netlink(NETLINK_ROUTE);
  static const struct {
    const char *name;
    int type, size, family;
  } dumps[] = {
      {"links", RTM_GETLINK, sizeof(struct ifinfomsg), 0},
      {"addresses", RTM_GETADDR, sizeof(struct ifaddrmsg), 0},
      {"IPv4 addresses", RTM_GETADDR, sizeof(struct ifaddrmsg), AF_INET},
      {"routes", RTM_GETROUTE, sizeof(struct rtmsg), AF_INET},
      {"neighbours", RTM_GETNEIGH, sizeof(struct ndmsg), 0},
      {"rules", RTM_GETRULE, sizeof(struct rtmsg), AF_INET},
      {"queues", RTM_GETQDISC, 20, 0},
      {"classes", RTM_GETTCLASS, 20, 0},
      {"neighbour tables", RTM_GETNEIGHTBL, 4, AF_INET},
      {"labels", RTM_GETADDRLABEL, 12, AF_INET6},
      {"configuration", RTM_GETNETCONF, 4, AF_INET},
      {"namespaces", RTM_GETNSID, 4, 0},
      {"next hops", RTM_GETNEXTHOP, 8, 0},
      {"multicast", RTM_GETMULTICAST, 8, AF_INET6},
      {"anycast", RTM_GETANYCAST, 8, AF_INET6},
  };
  for (unsigned i = 0; i < sizeof dumps / sizeof *dumps; i++) {
    begin(dumps[i].type, NLM_F_DUMP, dumps[i].size, dumps[i].family);
    ask(s, dumps[i].name, NULL);
  }
  begin(RTM_GETLINK, 0, sizeof(struct ifinfomsg), 0);
  ask(s, "one link without a name", NULL);
  attribute(IFLA_IFNAME, "lo", 3);
  ask(s, "lo", NULL);
  m.h.nlmsg_flags |= NLM_F_ACK;
  ask(s, "lo, acknowledged", NULL);
  begin(RTM_GETLINK, 0, sizeof(struct ifinfomsg), 0);
  attribute(IFLA_IFNAME, "nowhere", 8);
  ask(s, "nowhere", NULL);
  set(s, NETLINK_CAP_ACK, 1);
  ask(s, "nowhere, capped", NULL);
  begin(RTM_BASE + 110, NLM_F_DUMP, 4, 0);
  ask(s, "beyond the last type", NULL);
  close(s);
}

static void route(struct nlmsghdr *h) {
  struct rtmsg *r = NLMSG_DATA(h);
  say(" to /%d table %d type %d scope %d", r->rtm_dst_len, r->rtm_table, r->rtm_type, r->rtm_scope);
}

static void test_strict(void) {
  int s = netlink(NETLINK_ROUTE), table = 77;
  struct in_addr to = {htonl(INADDR_LOOPBACK)}, far = {htonl(0x0a000001)};
  for (int strict = 0; strict < 2; strict++) {
    set(s, NETLINK_EXT_ACK, strict);
    set(s, NETLINK_GET_STRICT_CHK, strict);
    begin(RTM_GETROUTE, NLM_F_DUMP, sizeof(struct rtmsg), AF_INET);
    attribute(RTA_TABLE, &table, sizeof table);
    ask(s, "a table that is not there", NULL);
    begin(RTM_GETROUTE, 0, sizeof(struct rtmsg), AF_INET);
    m.body[1] = 32;
    attribute(RTA_DST, &to, sizeof to);
    ask(s, "route to loopback", route);
    begin(RTM_GETROUTE, 0, sizeof(struct rtmsg), AF_INET);
    m.body[1] = 32;
    attribute(RTA_DST, &far, sizeof far);
    ask(s, "route to elsewhere", route);
    begin(RTM_GETADDR, NLM_F_DUMP, 1, AF_INET);
    ask(s, "short header", NULL);
  }
  close(s);
}

static int groups_of(int s) {
  unsigned words[4] = {0};
  socklen_t l = sizeof words;
  int r = getsockopt(s, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, words, &l);
  struct sockaddr_nl a;
  socklen_t al = sizeof a;
  getsockname(s, (void *)&a, &al);
  say("memberships %d: %x %x, %x", r, words[0], words[1], a.nl_groups);
  return l > 4;
}

static void link_up(int up) {
  struct ifreq r = {.ifr_name = "lo"};
  int s = socket(AF_INET, SOCK_DGRAM, 0);
  ioctl(s, SIOCGIFFLAGS, &r);
  r.ifr_flags = up ? r.ifr_flags | IFF_UP : r.ifr_flags & ~IFF_UP;
  ret(up ? "up" : "down", ioctl(s, SIOCSIFFLAGS, &r));
  close(s);
}

static void change_address(int s, int type) {
  struct in_addr a = {htonl(0x0a010203)};
  begin(type, NLM_F_ACK | (type == RTM_NEWADDR ? NLM_F_CREATE | NLM_F_EXCL : 0), sizeof(struct ifaddrmsg), AF_INET);
  struct ifaddrmsg *i = (void *)m.body;
  i->ifa_prefixlen = 24, i->ifa_index = 1;
  attribute(IFA_LOCAL, &a, sizeof a);
  ask(s, type == RTM_NEWADDR ? "new address" : "address away", NULL);
}

// All that has come to the groups.
static void heard(int s, const char *name) {
  say("%s", name);
  struct pollfd p = {s, POLLIN, 0};
  poll(&p, 1, 2000);
  for (;;) {
    char control[64];
    struct sockaddr_nl from;
    struct iovec v = {buf, sizeof buf};
    struct msghdr h = {&from, sizeof from, &v, 1, control, sizeof control, 0};
    int n = recvmsg(s, &h, MSG_DONTWAIT), group = 0;
    if (n < 0) break;
    struct cmsghdr *c = CMSG_FIRSTHDR(&h);
    if (c && c->cmsg_level == SOL_NETLINK && c->cmsg_type == NETLINK_PKTINFO) group = *(int *)CMSG_DATA(c);
    for (struct nlmsghdr *i = (void *)buf; NLMSG_OK(i, n); i = NLMSG_NEXT(i, n))
      say(" type %d group %d from %u to %x", i->nlmsg_type, group, from.nl_pid, from.nl_groups);
  }
}

static void test_groups(void) {
  int s = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), changer = netlink(NETLINK_ROUTE), other = netlink(NETLINK_ROUTE);
  struct sockaddr_nl a = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR};
  ret("bind", bind(s, (void *)&a, sizeof a));
  set(s, NETLINK_PKTINFO, 1);
  groups_of(s);
  set(s, NETLINK_ADD_MEMBERSHIP, RTNLGRP_IPV4_ROUTE);
  set(s, NETLINK_ADD_MEMBERSHIP, RTNLGRP_NEXTHOP);
  groups_of(s);
  set(s, NETLINK_DROP_MEMBERSHIP, RTNLGRP_NEXTHOP);
  groups_of(s);
  set(s, NETLINK_ADD_MEMBERSHIP, 0);
  change_address(changer, RTM_NEWADDR);
  heard(s, "after a new address");
  change_address(changer, RTM_NEWADDR);
  change_address(changer, RTM_DELADDR);
  heard(s, "after it is away");
  set(s, NETLINK_DROP_MEMBERSHIP, RTNLGRP_IPV4_ROUTE);
  link_up(0);
  heard(s, "after lo is down");
  link_up(1);
  heard(s, "after lo is up");
  ret("others hear nothing", recv(other, buf, sizeof buf, MSG_DONTWAIT));
  close(s), close(changer), close(other);
}

static void generic(struct nlmsghdr *h) {
  struct genlmsghdr *g = NLMSG_DATA(h);
  say(" command %d version %d", g->cmd, g->version);
}

static void test_generic(void) {
  int s = netlink(NETLINK_GENERIC);
  is("generic", s >= 0);
  begin(GENL_ID_CTRL, 0, GENL_HDRLEN, CTRL_CMD_GETFAMILY);
  ask(s, "no family", NULL);
  attribute(CTRL_ATTR_FAMILY_NAME, "nosuch", 7);
  ask(s, "a family that is not there", NULL);
  begin(GENL_ID_CTRL, NLM_F_ACK, GENL_HDRLEN, CTRL_CMD_GETFAMILY);
  attribute(CTRL_ATTR_FAMILY_NAME, "nlctrl", 7);
  ask(s, "the controller", generic);
  begin(0x3ff, NLM_F_ACK, GENL_HDRLEN, 1);
  ask(s, "a number that is not there", NULL);
  close(s);
  struct sockaddr_nl a = {.nl_family = AF_NETLINK, .nl_groups = 1};
  s = socket(AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT);
  is("uevent", s >= 0);
  ret("its group", bind(s, (void *)&a, sizeof a));
  groups_of(s);
  ret("nothing", recv(s, buf, sizeof buf, MSG_DONTWAIT));
  close(s);
}

static unsigned own_ino;
static void diag(struct nlmsghdr *h) {
  unsigned char *b = NLMSG_DATA(h);
  if (b[0] == AF_PACKET) {
    struct packet_diag_msg *p = (void *)b;
    if (p->pdiag_ino != own_ino) return;
    say(" packet type %d protocol %x", p->pdiag_type, p->pdiag_num);
    int n = h->nlmsg_len - NLMSG_LENGTH(sizeof *p);
    for (struct rtattr *a = (void *)(p + 1); RTA_OK(a, n); a = RTA_NEXT(a, n)) {
      unsigned *w = RTA_DATA(a);
      if (a->rta_type == PACKET_DIAG_INFO) say("  index %u version %u reserve %u", w[0], w[1], w[2]);
      if (a->rta_type == PACKET_DIAG_RX_RING) say("  ring %u %u %u %u", w[0], w[1], w[2], w[3]);
      if (a->rta_type == PACKET_DIAG_UID) say("  user %u", w[0]);
    }
  } else {
    struct netlink_diag_msg *p = (void *)b;
    if (p->ndiag_ino != own_ino) return;
    say(" netlink type %d protocol %d state %d", p->ndiag_type, p->ndiag_protocol, p->ndiag_state);
  }
}

static void test_diag(void) {
  struct sockaddr_ll a = {.sll_family = AF_PACKET, .sll_protocol = htons(0x88b5), .sll_ifindex = 1};
  struct tpacket_req req = {4096, 2, 2048, 4};
  int s = netlink(NETLINK_SOCK_DIAG), p = socket(AF_PACKET, SOCK_RAW, 0), version = TPACKET_V2;
  struct stat st;
  bind(p, (void *)&a, sizeof a);
  setsockopt(p, SOL_PACKET, PACKET_VERSION, &version, sizeof version);
  setsockopt(p, SOL_PACKET, PACKET_RX_RING, &req, sizeof req);
  fstat(p, &st), own_ino = st.st_ino;
  begin(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, sizeof(struct packet_diag_req), AF_PACKET);
  ((struct packet_diag_req *)m.body)->pdiag_show = PACKET_SHOW_INFO | PACKET_SHOW_RING_CFG;
  send(s, &m, m.h.nlmsg_len, 0);
  int n = recv(s, buf, sizeof buf, 0);
  for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) diag(h);
  while (recv(s, buf, sizeof buf, MSG_DONTWAIT) > 0);
  fstat(s, &st), own_ino = st.st_ino;
  begin(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, sizeof(struct netlink_diag_req), AF_NETLINK);
  ((struct netlink_diag_req *)m.body)->sdiag_protocol = NDIAG_PROTO_ALL;
  send(s, &m, m.h.nlmsg_len, 0);
  n = recv(s, buf, sizeof buf, 0);
  for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) diag(h);
  close(s), close(p);
}

// libpcap asks about interfaces by a socket of generic netlink.
static void test_ioctl(void) {
  static const int protocols[] = {NETLINK_ROUTE, NETLINK_GENERIC};
  for (int i = 0; i < 2; i++) {
    int s = netlink(protocols[i]), v = 0;
    struct ethtool_ts_info ts = {.cmd = ETHTOOL_GET_TS_INFO};
    struct ifreq r = {.ifr_ifindex = 0};
    ret("name of none", ioctl(s, SIOCGIFNAME, &r));
    strcpy(r.ifr_name, "lo");
    ret("index", ioctl(s, SIOCGIFINDEX, &r)), say(" %d", r.ifr_ifindex);
    r.ifr_data = (char *)&ts, ret("times", ioctl(s, SIOCETHTOOL, &r)), say(" %x", ts.so_timestamping);
    ret("unread", ioctl(s, SIOCINQ, &v));
    ret("unknown", ioctl(s, 0x89ff00, &v));
    close(s);
  }
}

int main(void) {
  ret("unshare", unshare(CLONE_NEWNET));
  link_up(1);
  test_dumps();
  test_strict();
  test_groups();
  test_generic();
  test_diag();
  test_ioctl();
  return 0;
}
