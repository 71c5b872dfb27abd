// link: -w
// Links of network namespaces that the process has made: veth, bridge, ifb; names, masters, moves between namespaces; rules, neighbours.
#include "guest.h"
#include <arpa/inet.h>
#include <linux/capability.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/fib_rules.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static int route;
static char buf[1 << 16];

// A request in the making.
static struct {
  struct nlmsghdr h;
  char rest[2000];
} m;

static void *grow(int n) {
  void *at = (char *)&m + NLMSG_ALIGN(m.h.nlmsg_len);
  m.h.nlmsg_len = NLMSG_ALIGN(m.h.nlmsg_len) + n;
  return at;
}

static void begin(int type, int flags, const void *fixed, int n) {
  memset(&m, 0, sizeof m);
  m.h.nlmsg_len = NLMSG_LENGTH(0);
  m.h.nlmsg_type = type;
  m.h.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
  memcpy(grow(n), fixed, n);
}

static struct rtattr *attr(int type, const void *value, int n) {
  struct rtattr *a = grow(RTA_LENGTH(n));
  a->rta_type = type;
  a->rta_len = RTA_LENGTH(n);
  if (n) memcpy(RTA_DATA(a), value, n);
  return a;
}

static struct rtattr *nest(int type) { return attr(type, NULL, 0); }
static void end(struct rtattr *a) { a->rta_len = (char *)&m + m.h.nlmsg_len - (char *)a; }
static void attr_str(int type, const char *s) { attr(type, s, strlen(s) + 1); }
static void attr_int(int type, int v) { attr(type, &v, 4); }

static int ask(void) {
  if (send(route, &m, m.h.nlmsg_len, 0) < 0) return -1;
  for (;;) {
    int n = recv(route, buf, sizeof buf, 0);
    if (n < 0) return -1;
    struct nlmsghdr *h = (void *)buf;
    if (h->nlmsg_type != NLMSG_ERROR) continue;
    errno = -*(int *)NLMSG_DATA(h);
    return errno ? -1 : 0;
  }
}

static void link_request(int type, int flags, int index) {
  struct ifinfomsg i = {.ifi_index = index};
  begin(type, flags, &i, sizeof i);
}

enum { NEW = NLM_F_CREATE | NLM_F_EXCL };

static int add_link(const char *kind, const char *name) {
  link_request(RTM_NEWLINK, NEW, 0);
  attr_str(IFLA_IFNAME, name);
  struct rtattr *info = nest(IFLA_LINKINFO);
  attr_str(IFLA_INFO_KIND, kind);
  end(info);
  return ask();
}

static int add_pair(const char *name, const char *peer, int peer_ns) {
  link_request(RTM_NEWLINK, NEW, 0);
  attr_str(IFLA_IFNAME, name);
  struct rtattr *info = nest(IFLA_LINKINFO);
  attr_str(IFLA_INFO_KIND, "veth");
  struct rtattr *data = nest(IFLA_INFO_DATA), *end_of = nest(VETH_INFO_PEER);
  struct ifinfomsg i = {0};
  memcpy(grow(sizeof i), &i, sizeof i);
  attr_str(IFLA_IFNAME, peer);
  if (peer_ns >= 0) attr_int(IFLA_NET_NS_FD, peer_ns);
  end(end_of);
  end(data);
  end(info);
  return ask();
}

static int set_int(const char *name, int type, int value) {
  link_request(RTM_NEWLINK, 0, if_nametoindex(name));
  attr_int(type, value);
  return ask();
}

static int set_str(const char *name, int type, const char *value) {
  link_request(RTM_NEWLINK, 0, if_nametoindex(name));
  attr_str(type, value);
  return ask();
}

static int up(const char *name) {
  struct ifinfomsg i = {.ifi_index = if_nametoindex(name), .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
  begin(RTM_NEWLINK, 0, &i, sizeof i);
  return ask();
}

static int del_link(const char *name) {
  link_request(RTM_DELLINK, 0, if_nametoindex(name));
  return ask();
}

static int alt_name(int type, const char *name, const char *alt) {
  link_request(type, type == RTM_NEWLINKPROP ? NLM_F_CREATE | NLM_F_APPEND | NLM_F_EXCL : 0, if_nametoindex(name));
  struct rtattr *list = nest(IFLA_PROP_LIST | NLA_F_NESTED);
  attr_str(IFLA_ALT_IFNAME, alt);
  end(list);
  return ask();
}

static int address(int type, const char *name, const char *text, int prefix) {
  struct ifaddrmsg a = {AF_INET, prefix, IFA_F_PERMANENT, RT_SCOPE_UNIVERSE, if_nametoindex(name)};
  struct in_addr in;
  inet_pton(AF_INET, text, &in);
  begin(type, NEW, &a, sizeof a);
  attr(IFA_LOCAL, &in, 4);
  attr(IFA_ADDRESS, &in, 4);
  return ask();
}

static int rule(int type, int table, int priority) {
  struct fib_rule_hdr r = {.family = AF_INET, .src_len = 32, .table = table, .action = FR_ACT_TO_TBL};
  struct in_addr in = {htonl(0x0a090807)};
  begin(type, type == RTM_NEWRULE ? NEW : 0, &r, sizeof r);
  attr(FRA_SRC, &in, 4);
  attr_int(FRA_PRIORITY, priority);
  return ask();
}

static int neighbour(int type, const char *name, const char *text) {
  struct ndmsg d = {.ndm_family = AF_INET, .ndm_ifindex = if_nametoindex(name), .ndm_state = NUD_PERMANENT};
  struct in_addr in;
  inet_pton(AF_INET, text, &in);
  begin(type, type == RTM_NEWNEIGH ? NEW : 0, &d, sizeof d);
  attr(NDA_DST, &in, 4);
  attr(NDA_LLADDR, "\2\0\0\0\0\1", 6);
  return ask();
}

static int count(int type, int family) {
  struct rtgenmsg g = {family};
  int n = 0;
  begin(type, NLM_F_DUMP, &g, sizeof g);
  send(route, &m, m.h.nlmsg_len, 0);
  for (;;) {
    int left = recv(route, buf, sizeof buf, 0);
    for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
      if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR) return n;
      n++;
    }
  }
}

static void names(const char *title) {
  struct if_nameindex *list = if_nameindex();
  printf("%s:", title);
  for (int i = 0; list && list[i].if_index; i++) printf(" %s", list[i].if_name);
  putchar('\n');
  if_freenameindex(list);
}

static void in_proc(void) {
  FILE *f = fopen("/proc/net/dev", "r");
  printf("/proc/net/dev:");
  for (char line[400], *colon; fgets(line, sizeof line, f);)
    if ((colon = strchr(line, ':'))) *colon = 0, printf(" %s", line + strspn(line, " "));
  putchar('\n');
  fclose(f);
}

static void test_links(void) {
  ret("bridge", add_link("bridge", "b0"));
  ret("again", add_link("bridge", "b0"));
  ret("ifb", add_link("ifb", "i0"));
  ret("nonsense", add_link("nonsense", "x0"));
  ret("pair", add_pair("v0", "v1", -1));
  ret("no room for the name", add_link("bridge", "a-name-that-is-too-long"));
  names("links");
  in_proc();
  ret("no such master", set_int("v0", IFLA_MASTER, 99));
  ret("master", set_int("v0", IFLA_MASTER, if_nametoindex("b0")));
  ret("rename", set_str("v1", IFLA_IFNAME, "eth5"));
  ret("to a name in use", set_str("eth5", IFLA_IFNAME, "b0"));
  ret("mtu", set_int("eth5", IFLA_MTU, 1400));
  ret("too large", set_int("eth5", IFLA_MTU, 100000));
  ret("alias", set_str("eth5", IFLA_IFALIAS, "the other end"));
  ret("hardware address", (link_request(RTM_NEWLINK, 0, if_nametoindex("eth5")), attr(IFLA_ADDRESS, "\2\1\2\3\4\5", 6), ask()));
  struct ifreq r = {.ifr_name = "eth5"};
  int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ret("SIOCGIFHWADDR", ioctl(s, SIOCGIFHWADDR, &r));
  say("%02x %02x", r.ifr_hwaddr.sa_data[0], r.ifr_hwaddr.sa_data[5]);
  r.ifr_hwaddr.sa_data[5] = 9;
  ret("SIOCSIFHWADDR", ioctl(s, SIOCSIFHWADDR, &r));
  ret("SIOCGIFMTU", ioctl(s, SIOCGIFMTU, &r));
  say("%d", r.ifr_mtu);
  strcpy(r.ifr_newname, "eth6");
  ret("SIOCSIFNAME", ioctl(s, SIOCSIFNAME, &r));
  ret("other name", alt_name(RTM_NEWLINKPROP, "eth6", "a-name-that-may-be-long"));
  ret("again", alt_name(RTM_NEWLINKPROP, "eth6", "a-name-that-may-be-long"));
  ret("no other name", alt_name(RTM_DELLINKPROP, "eth6", "a-name-that-may-be-long"));
  ret("nor there", alt_name(RTM_DELLINKPROP, "eth6", "a-name-that-may-be-long"));
  ret("up", up("v0") | up("eth6") | up("b0") | up("lo"));
  ret("no loopback", del_link("lo"));
  ret("no ifb", del_link("i0"));
  ret("none", del_link("i0"));
  names("links");
  close(s);
}

static void test_rules(void) {
  ret("address", address(RTM_NEWADDR, "b0", "10.1.0.1", 24));
  say("rules %d", count(RTM_GETRULE, AF_INET));
  ret("rule", rule(RTM_NEWRULE, 100, 1000));
  ret("again", rule(RTM_NEWRULE, 100, 1000));
  say("rules %d", count(RTM_GETRULE, AF_INET));
  ret("no rule", rule(RTM_DELRULE, 100, 1000));
  ret("nor there", rule(RTM_DELRULE, 100, 1000));
  ret("neighbour", neighbour(RTM_NEWNEIGH, "b0", "10.1.0.7"));
  ret("again", neighbour(RTM_NEWNEIGH, "b0", "10.1.0.7"));
  ret("no neighbour", neighbour(RTM_DELNEIGH, "b0", "10.1.0.7"));
  ret("nor there", neighbour(RTM_DELNEIGH, "b0", "10.1.0.7"));
}

static int ns_of(pid_t pid) {
  char path[40];
  snprintf(path, sizeof path, "/proc/%d/ns/net", pid);
  return open(path, O_RDONLY | O_CLOEXEC);
}

// An end in another namespace, and data through it.
static void test_move(void) {
  int p[2], q[2];
  pipe(p), pipe(q);
  pid_t pid = fork();
  if (pid == 0) {
    unshare(CLONE_NEWNET);
    close(route);
    route = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    write(p[1], "x", 1);
    read(q[0], buf, 1);
    names("there");
    ret("up there", up("lo") | up("eth6"));
    ret("address there", address(RTM_NEWADDR, "eth6", "10.1.0.2", 24));
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(4000)};
    ret("bind there", bind(s, (void *)&a, sizeof a));
    write(p[1], "x", 1);
    socklen_t l = sizeof a;
    ret("from here", recvfrom(s, buf, sizeof buf, 0, (void *)&a, &l));
    say("from %s", inet_ntoa(a.sin_addr));
    sendto(s, "well", 4, 0, (void *)&a, l);
    read(q[0], buf, 1);
    names("there");
    _exit(0);
  }
  read(p[0], buf, 1);
  int there = ns_of(pid), wrong = open("/dev/null", O_RDONLY | O_CLOEXEC);
  ret("to no namespace", set_int("eth6", IFLA_NET_NS_FD, wrong));
  ret("to no descriptor", set_int("eth6", IFLA_NET_NS_FD, 999));
  ret("to no process", set_int("eth6", IFLA_NET_NS_PID, 0x3ffff));
  ret("there", set_int("eth6", IFLA_NET_NS_FD, there));
  names("here");
  write(q[1], "x", 1);
  read(p[0], buf, 1);
  int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(4000), .sin_addr.s_addr = inet_addr("10.1.0.2")};
  // Until both ends have noticed that they are connected.
  struct pollfd answer = {s, POLLIN, 0};
  do sendto(s, "hello", 5, 0, (void *)&a, sizeof a);
  while (poll(&answer, 1, 50) == 0);
  ret("answer", recv(s, buf, sizeof buf, 0));
  close(s);
  ret("pair across", add_pair("w0", "w1", there));
  write(q[1], "x", 1);
  wait_say("there", pid);
  close(there);
  names("here");
}

static void test_without_rights(void) {
  pid_t pid = fork();
  if (pid == 0) {
    struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct none[2] = {{0, 0, 0}, {0, 0, 0}};
    ret("no capabilities", syscall(SYS_capset, &h, none));
    ret("bridge", add_link("bridge", "b7"));
    ret("rule", rule(RTM_NEWRULE, 100, 1000));
    ret("no bridge", del_link("b0"));
    _exit(0);
  }
  wait_say("without rights", pid);
}

int main(void) {
  if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) {
    say("no user namespaces here");
    return 0;
  }
  route = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (add_link("bridge", "probe") < 0 || add_link("ifb", "probe2") < 0 || add_pair("probe3", "probe4", -1) < 0) {
    say("no such links here");
    return 0;
  }
  ret("no bridge", del_link("probe") | del_link("probe2") | del_link("probe3"));
  test_links();
  test_rules();
  test_move();
  test_without_rights();
  return 0;
}
