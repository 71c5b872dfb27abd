// Changes by rtnetlink(7) in a network of the program's own: every kind with every combination of flags, with cut messages, and what is there afterwards.
#include "guest.h"
#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/fib_rules.h>
#include <linux/veth.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>

static char buf[1 << 16];
static struct {
  struct nlmsghdr h;
  char body[512];
} m;
static int s;

static void begin(int type, int flags, const void *fixed, int size) {
  memset(&m, 0, sizeof m);
  m.h = (struct nlmsghdr){NLMSG_LENGTH(size), type, NLM_F_REQUEST | NLM_F_ACK | flags, 7, 0};
  memcpy(m.body, fixed, size);
}

static struct rtattr *attribute(int type, const void *value, int len) {
  struct rtattr *a = (void *)((char *)&m + NLMSG_ALIGN(m.h.nlmsg_len));
  a->rta_type = type, a->rta_len = RTA_LENGTH(len);
  if (len) memcpy(RTA_DATA(a), value, len);
  m.h.nlmsg_len = NLMSG_ALIGN(m.h.nlmsg_len) + RTA_ALIGN(a->rta_len);
  return a;
}

static void ends(struct rtattr *a) { a->rta_len = (char *)&m + m.h.nlmsg_len - (char *)a; }

// The errno and what the kernel says of it.
static const char *answer(int len) {
  static char text[300];
  if (send(s, &m, len, 0) < 0) return strerrorname_np(errno);
  int n = recv(s, buf, sizeof buf, MSG_DONTWAIT);
  if (n < 0) return "nothing";
  struct nlmsghdr *h = (void *)buf;
  struct nlmsgerr *e = NLMSG_DATA(h);
  if (h->nlmsg_type != NLMSG_ERROR) {
    while (recv(s, buf, sizeof buf, MSG_DONTWAIT) > 0);
    return "an answer";
  }
  int at = sprintf(text, "%s", e->error ? strerrorname_np(-e->error) : "0");
  if (h->nlmsg_flags & NLM_F_ACK_TLVS) {
    char *from = (char *)e + sizeof *e + (h->nlmsg_flags & NLM_F_CAPPED ? 0 : NLMSG_ALIGN(e->msg.nlmsg_len) - sizeof(struct nlmsghdr));
    for (struct rtattr *a = (void *)from; (char *)a + sizeof *a <= buf + h->nlmsg_len && a->rta_len >= sizeof *a; a = (void *)((char *)a + RTA_ALIGN(a->rta_len))) {
      if (a->rta_type == NLMSGERR_ATTR_MSG) at += sprintf(text + at, " '%s'", (char *)RTA_DATA(a));
      if (a->rta_type == NLMSGERR_ATTR_OFFS) at += sprintf(text + at, " at %u", *(unsigned *)RTA_DATA(a));
    }
  }
  return text;
}

static void ask(const char *name) { say("%s: %s", name, answer(m.h.nlmsg_len)); }

static const int flags[] = {0, NLM_F_CREATE, NLM_F_CREATE | NLM_F_EXCL, NLM_F_REPLACE, NLM_F_CREATE | NLM_F_REPLACE, NLM_F_CREATE | NLM_F_APPEND, NLM_F_EXCL, NLM_F_DUMP};
enum { FLAGS = sizeof flags / sizeof *flags };

// What is there: a line for each answer to a dump.
static void dump(int type, int size, int family) {
  char fixed[32] = {family};
  begin(type, NLM_F_DUMP, fixed, size);
  m.h.nlmsg_flags &= ~NLM_F_ACK;
  send(s, &m, m.h.nlmsg_len, 0);
  for (;;) {
    int n = recv(s, buf, sizeof buf, 0);
    for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
      if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR) return;
      char text[600];
      int at = sprintf(text, "  %d:", h->nlmsg_type);
      if (type == RTM_GETADDR) {
        struct ifaddrmsg *a = NLMSG_DATA(h);
        at += sprintf(text + at, " /%d scope %d flags %x link %d", a->ifa_prefixlen, a->ifa_scope, a->ifa_flags & ~IFA_F_TENTATIVE, a->ifa_index);
      } else if (type == RTM_GETROUTE) {
        struct rtmsg *r = NLMSG_DATA(h);
        if (r->rtm_table == RT_TABLE_LOCAL) continue;
        at += sprintf(text + at, " /%d table %d protocol %d scope %d type %d", r->rtm_dst_len, r->rtm_table, r->rtm_protocol, r->rtm_scope, r->rtm_type);
      } else if (type == RTM_GETNEIGH) {
        struct ndmsg *r = NLMSG_DATA(h);
        at += sprintf(text + at, " link %d state %x flags %x", r->ndm_ifindex, r->ndm_state, r->ndm_flags);
      } else if (type == RTM_GETRULE) {
        struct fib_rule_hdr *r = NLMSG_DATA(h);
        at += sprintf(text + at, " /%d /%d table %d action %d", r->dst_len, r->src_len, r->table, r->action);
      } else {
        struct ifinfomsg *i = NLMSG_DATA(h);
        at += sprintf(text + at, " %d flags %x", i->ifi_index, i->ifi_flags);
      }
      int k = h->nlmsg_len - NLMSG_LENGTH(size);
      for (struct rtattr *a = (void *)((char *)NLMSG_DATA(h) + NLMSG_ALIGN(size)); RTA_OK(a, k); a = RTA_NEXT(a, k)) {
        int t = a->rta_type & 0x3fff;
        if (type == RTM_GETLINK && t != IFLA_IFNAME && t != IFLA_MTU) continue;
        if ((type == RTM_GETADDR && t == IFA_CACHEINFO) || (type == RTM_GETNEIGH && (t == NDA_CACHEINFO || t == NDA_PROBES)) || (type == RTM_GETROUTE && t == RTA_CACHEINFO)) continue;
        at += sprintf(text + at, " %d=", t);
        for (unsigned b = 0; b < RTA_PAYLOAD(a) && b < 16; b++) at += sprintf(text + at, "%02x", ((unsigned char *)RTA_DATA(a))[b]);
      }
      say("%s", text);
    }
  }
}

static void address_of(int type, int flag, const char *text, int prefix, int link) {
  struct in_addr a;
  inet_pton(AF_INET, text, &a);
  struct ifaddrmsg i = {AF_INET, prefix, 0, 0, link};
  begin(type, flag, &i, sizeof i);
  attribute(IFA_LOCAL, &a, 4);
  attribute(IFA_ADDRESS, &a, 4);
}

static void test_addresses(void) {
  for (int f = 0; f < FLAGS; f++) {
    char name[60];
    for (int twice = 0; twice < 2; twice++) {
      address_of(RTM_NEWADDR, flags[f], "10.0.0.1", 24, 1);
      sprintf(name, "address flags %x%s", flags[f], twice ? " again" : "");
      ask(name);
    }
    dump(RTM_GETADDR, sizeof(struct ifaddrmsg), AF_INET);
    address_of(RTM_DELADDR, flags[f], "10.0.0.1", 24, 1);
    ask("delete");
    ask("delete again");
  }
  static const struct {
    const char *name, *text;
    int prefix, link;
  } odd[] = {{"prefix 33", "10.0.0.1", 33, 1}, {"prefix 0", "10.0.0.1", 0, 1}, {"no link", "10.0.0.1", 24, 0}, {"another link", "10.0.0.1", 24, 4711}, {"negative link", "10.0.0.1", 24, -1}, {"multicast", "224.0.0.1", 24, 1}, {"nothing", "0.0.0.0", 24, 1}, {"broadcast", "255.255.255.255", 32, 1}};
  for (unsigned i = 0; i < sizeof odd / sizeof *odd; i++) {
    address_of(RTM_NEWADDR, NLM_F_CREATE, odd[i].text, odd[i].prefix, odd[i].link);
    ask(odd[i].name);
    address_of(RTM_DELADDR, 0, odd[i].text, odd[i].prefix, odd[i].link);
    ask(" away");
  }
  // Cut.
  for (int n = 16; n <= 40; n++) {
    char name[30];
    address_of(RTM_NEWADDR, NLM_F_CREATE, "10.0.0.9", 24, 1);
    m.h.nlmsg_len = n;
    sprintf(name, "length %d", n);
    ask(name);
  }
  address_of(RTM_DELADDR, 0, "10.0.0.9", 24, 1), ask("away");
  // Attributes that are odd.
  struct ifaddrmsg i = {AF_INET, 24, 0, 0, 1};
  begin(RTM_NEWADDR, NLM_F_CREATE, &i, sizeof i), ask("no attributes");
  begin(RTM_NEWADDR, NLM_F_CREATE, &i, sizeof i), attribute(IFA_LOCAL, "\12\0", 2), ask("short");
  begin(RTM_NEWADDR, NLM_F_CREATE, &i, sizeof i), attribute(IFA_LOCAL, "\12\0\0\3abcd", 8), ask("long");
  begin(RTM_DELADDR, 0, &i, sizeof i), attribute(IFA_LOCAL, "\12\0\0\3", 4), ask("away");
  begin(RTM_NEWADDR, NLM_F_CREATE, &i, sizeof i), attribute(IFA_LOCAL, "\12\0\0\4", 4), attribute(IFA_LABEL, "lo:one", 7), attribute(IFA_BROADCAST, "\12\0\0\377", 4), ask("with a label");
  begin(RTM_NEWADDR, NLM_F_CREATE, &i, sizeof i), attribute(IFA_LOCAL, "\12\0\0\5", 4), attribute(99, "\12\0\0\377", 4), ask("unknown");
  begin(RTM_NEWADDR, NLM_F_CREATE, &i, sizeof i), attribute(IFA_LOCAL, "\12\0\0\6", 4), attribute(IFA_LABEL, "a label that is far too long", 28), ask("long label");
  dump(RTM_GETADDR, sizeof(struct ifaddrmsg), AF_INET);
  i.ifa_family = AF_INET6, i.ifa_prefixlen = 64;
  struct in6_addr a6;
  inet_pton(AF_INET6, "fd00::1", &a6);
  begin(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &i, sizeof i), attribute(IFA_ADDRESS, &a6, 16), ask("v6"), ask("v6 again");
  begin(RTM_DELADDR, 0, &i, sizeof i), attribute(IFA_ADDRESS, &a6, 16), ask("v6 away"), ask("v6 away again");
  i.ifa_family = 77;
  begin(RTM_NEWADDR, NLM_F_CREATE, &i, sizeof i), attribute(IFA_LOCAL, "\12\0\0\4", 4), ask("family 77");
  i.ifa_family = AF_UNSPEC;
  begin(RTM_NEWADDR, NLM_F_CREATE, &i, sizeof i), attribute(IFA_LOCAL, "\12\0\0\4", 4), ask("no family");
}

static void link_of(int type, int flag, const char *name, const char *kind) {
  struct ifinfomsg i = {0};
  begin(type, flag, &i, sizeof i);
  if (name) attribute(IFLA_IFNAME, name, strlen(name) + 1);
  if (kind) {
    struct rtattr *n = attribute(IFLA_LINKINFO, NULL, 0);
    attribute(IFLA_INFO_KIND, kind, strlen(kind));
    ends(n);
  }
}

static void test_links(void) {
  for (int f = 0; f < FLAGS; f++) {
    char name[60];
    for (int twice = 0; twice < 2; twice++) {
      link_of(RTM_NEWLINK, flags[f], "dummy7", "dummy");
      sprintf(name, "link flags %x%s", flags[f], twice ? " again" : "");
      ask(name);
    }
    link_of(RTM_DELLINK, flags[f] & ~NLM_F_DUMP, "dummy7", NULL);
    ask("delete");
    ask("delete again");
  }
  link_of(RTM_NEWLINK, NLM_F_CREATE, "a name that is far too long", "dummy"), ask("long name");
  link_of(RTM_NEWLINK, NLM_F_CREATE, "with/slash", "dummy"), ask("slash");
  link_of(RTM_NEWLINK, NLM_F_CREATE, "", "dummy"), ask("empty");
  link_of(RTM_NEWLINK, NLM_F_CREATE, "nokind", NULL), ask("no kind");
  link_of(RTM_NEWLINK, NLM_F_CREATE, "unknown", "no-such-kind"), ask("unknown kind");
  link_of(RTM_DELLINK, 0, "lo", NULL), ask("delete lo");
  link_of(RTM_DELLINK, 0, NULL, NULL), ask("delete nothing");
  link_of(RTM_SETLINK, 0, "nothere", NULL), ask("set nothing");
  link_of(RTM_NEWLINK, NLM_F_CREATE, "one", "dummy"), ask("one");
  struct ifinfomsg up = {.ifi_index = if_nametoindex("one"), .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
  begin(RTM_NEWLINK, 0, &up, sizeof up), ask("up");
  unsigned mtu = 1400;
  begin(RTM_NEWLINK, 0, &up, sizeof up), attribute(IFLA_MTU, &mtu, 4), ask("MTU");
  mtu = 10;
  begin(RTM_NEWLINK, 0, &up, sizeof up), attribute(IFLA_MTU, &mtu, 4), ask("small MTU");
  begin(RTM_NEWLINK, 0, &up, sizeof up), attribute(IFLA_MTU, &mtu, 2), ask("short MTU");
  begin(RTM_NEWLINK, 0, &up, sizeof up), attribute(IFLA_ADDRESS, "\2\0\0\0\0\1", 6), ask("address");
  begin(RTM_NEWLINK, 0, &up, sizeof up), attribute(IFLA_ADDRESS, "\2\0\0", 3), ask("short address");
  begin(RTM_NEWLINK, 0, &up, sizeof up), attribute(IFLA_ADDRESS, "\1\0\0\0\0\1", 6), ask("multicast address");
  begin(RTM_NEWLINK, 0, &up, sizeof up), attribute(IFLA_IFNAME, "two", 4), ask("rename while up");
  begin(RTM_NEWLINK, 0, &up, sizeof up), attribute(IFLA_IFNAME, "lo", 3), ask("to a name that is taken");
  begin(RTM_NEWLINK, 0, &up, sizeof up), attribute(IFLA_TXQLEN, "\5\0\0\0", 4), ask("queue");
  begin(RTM_NEWLINK, 0, &up, sizeof up), attribute(IFLA_IFALIAS, "alias", 5), ask("alias");
  begin(RTM_NEWLINK, 0, &up, sizeof up), attribute(IFLA_MASTER, "\1\0\0\0", 4), ask("master lo");
  begin(RTM_NEWLINK, 0, &up, sizeof up), attribute(IFLA_NET_NS_PID, "\377\377\377\177", 4), ask("to nobody's network");
  begin(RTM_NEWLINK, 0, &up, sizeof up), attribute(IFLA_NET_NS_FD, "\377\377\377\377", 4), ask("to no network");
  dump(RTM_GETLINK, sizeof(struct ifinfomsg), 0);
  for (int n = 16; n <= 36; n += 2) {
    char name[30];
    link_of(RTM_NEWLINK, NLM_F_CREATE, "cut", "dummy");
    m.h.nlmsg_len = n;
    sprintf(name, "length %d", n);
    ask(name);
  }
}

static void test_routes(void) {
  int link = if_nametoindex("two") ? if_nametoindex("two") : if_nametoindex("one");
  address_of(RTM_NEWADDR, NLM_F_CREATE, "10.9.0.1", 24, link), ask("address");
  for (int f = 0; f < FLAGS; f++) {
    char name[60];
    struct rtmsg r = {.rtm_family = AF_INET, .rtm_dst_len = 16, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_BOOT, .rtm_scope = RT_SCOPE_UNIVERSE, .rtm_type = RTN_UNICAST};
    for (int twice = 0; twice < 2; twice++) {
      begin(RTM_NEWROUTE, flags[f], &r, sizeof r);
      attribute(RTA_DST, "\300\250\0\0", 4), attribute(RTA_GATEWAY, "\12\11\0\2", 4);
      sprintf(name, "route flags %x%s", flags[f], twice ? " again" : "");
      ask(name);
    }
    dump(RTM_GETROUTE, sizeof r, AF_INET);
    begin(RTM_DELROUTE, 0, &r, sizeof r), attribute(RTA_DST, "\300\250\0\0", 4);
    ask("delete");
    ask("delete again");
    ask("once more");
  }
  struct rtmsg r = {.rtm_family = AF_INET, .rtm_dst_len = 16, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_BOOT, .rtm_type = RTN_UNICAST};
  begin(RTM_NEWROUTE, NLM_F_CREATE, &r, sizeof r), attribute(RTA_DST, "\300\250\0\1", 4), attribute(RTA_GATEWAY, "\12\11\0\2", 4), ask("bits beyond the prefix");
  begin(RTM_NEWROUTE, NLM_F_CREATE, &r, sizeof r), attribute(RTA_DST, "\300\250\0\0", 4), attribute(RTA_GATEWAY, "\13\11\0\2", 4), ask("gateway elsewhere");
  begin(RTM_NEWROUTE, NLM_F_CREATE, &r, sizeof r), attribute(RTA_DST, "\300\250\0\0", 4), ask("no way");
  r.rtm_dst_len = 40;
  begin(RTM_NEWROUTE, NLM_F_CREATE, &r, sizeof r), attribute(RTA_DST, "\300\250\0\0", 4), ask("prefix 40");
  r.rtm_dst_len = 16, r.rtm_type = 99;
  begin(RTM_NEWROUTE, NLM_F_CREATE, &r, sizeof r), attribute(RTA_DST, "\300\250\0\0", 4), ask("type 99");
  r.rtm_type = RTN_BLACKHOLE;
  begin(RTM_NEWROUTE, NLM_F_CREATE, &r, sizeof r), attribute(RTA_DST, "\300\250\0\0", 4), ask("blackhole");
  begin(RTM_DELROUTE, 0, &r, sizeof r), attribute(RTA_DST, "\300\250\0\0", 4), ask("away");
  begin(RTM_GETROUTE, 0, &(struct rtmsg){.rtm_family = AF_INET, .rtm_dst_len = 32}, sizeof r), attribute(RTA_DST, "\12\11\0\5", 4), ask("lookup");
  begin(RTM_GETROUTE, 0, &(struct rtmsg){.rtm_family = AF_INET, .rtm_dst_len = 32}, sizeof r), attribute(RTA_DST, "\300\250\0\5", 4), ask("lookup of nothing");
  struct ndmsg n = {.ndm_family = AF_INET, .ndm_ifindex = link, .ndm_state = NUD_PERMANENT};
  for (int f = 0; f < FLAGS; f++) {
    char name[60];
    begin(RTM_NEWNEIGH, flags[f], &n, sizeof n), attribute(NDA_DST, "\12\11\0\7", 4), attribute(NDA_LLADDR, "\2\0\0\0\0\7", 6);
    sprintf(name, "neighbour flags %x", flags[f]);
    ask(name), ask(" again");
    begin(RTM_DELNEIGH, 0, &n, sizeof n), attribute(NDA_DST, "\12\11\0\7", 4);
    ask(" away"), ask(" away again");
  }
  struct fib_rule_hdr rule = {.family = AF_INET, .table = 77, .action = FR_ACT_TO_TBL, .src_len = 32};
  unsigned priority = 1000;
  for (int f = 0; f < FLAGS; f++) {
    char name[60];
    begin(RTM_NEWRULE, flags[f], &rule, sizeof rule), attribute(FRA_SRC, "\12\11\0\7", 4), attribute(FRA_PRIORITY, &priority, 4);
    sprintf(name, "rule flags %x", flags[f]);
    ask(name), ask(" again");
    dump(RTM_GETRULE, sizeof rule, AF_INET);
    begin(RTM_DELRULE, 0, &rule, sizeof rule), attribute(FRA_SRC, "\12\11\0\7", 4), attribute(FRA_PRIORITY, &priority, 4);
    ask(" away"), ask(" away again"), ask(" and again");
  }
}

int main(void) {
  unshare(CLONE_NEWNET);
  s = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
  int one = 1;
  setsockopt(s, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof one);
  struct ifinfomsg up = {.ifi_index = 1, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
  begin(RTM_NEWLINK, 0, &up, sizeof up), ask("lo up");
  test_addresses();
  test_links();
  test_routes();
  return 0;
}
