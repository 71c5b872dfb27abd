// link: -w
// Network namespaces made inside: empty at first, with a loopback of their own, gone with the last user.
#include "guest.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <sched.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <linux/capability.h>

static char buf[1 << 16];

static struct sockaddr_in loopback(int port) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  return a;
}

static int port_of(int s) {
  struct sockaddr_in a;
  socklen_t l = sizeof a;
  getsockname(s, (void *)&a, &l);
  return ntohs(a.sin_port);
}

// Sends one request of rtnetlink and returns the error of the answer, or -1 and errno.
static int rtnetlink(int s, void *request, int len) {
  struct nlmsghdr *h = request;
  h->nlmsg_len = len;
  if (send(s, h, len, 0) < 0) return -1;
  int n = recv(s, buf, sizeof buf, 0);
  h = (void *)buf;
  if (n < (int)NLMSG_LENGTH(sizeof(int)) || h->nlmsg_type != NLMSG_ERROR) return 0;
  errno = -*(int *)NLMSG_DATA(h);
  return errno ? -1 : 0;
}

static int change_link_by(int s, int type, unsigned flags, unsigned change) {
  struct {
    struct nlmsghdr h;
    struct ifinfomsg i;
  } m = {.h = {.nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
         .i = {.ifi_index = 1, .ifi_flags = flags, .ifi_change = change}};
  return rtnetlink(s, &m, sizeof m);
}

static int change_link(int s, unsigned flags, unsigned change) { return change_link_by(s, RTM_NEWLINK, flags, change); }

static int change_address(int s, int type, const char *address, int prefix) {
  struct {
    struct nlmsghdr h;
    struct ifaddrmsg a;
    struct rtattr local;
    struct in_addr in;
    struct rtattr addr;
    struct in_addr in2;
  } m = {.h = {.nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL},
         .a = {AF_INET, prefix, IFA_F_PERMANENT, RT_SCOPE_UNIVERSE, 1},
         .local = {8, IFA_LOCAL},
         .addr = {8, IFA_ADDRESS}};
  inet_pton(AF_INET, address, &m.in);
  m.in2 = m.in;
  return rtnetlink(s, &m, sizeof m);
}

static int change_route(int s, int type, const char *destination, int prefix) {
  struct {
    struct nlmsghdr h;
    struct rtmsg r;
    struct rtattr dst;
    struct in_addr in;
    struct rtattr oif;
    int index;
  } m = {.h = {.nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL},
         .r = {.rtm_family = AF_INET, .rtm_dst_len = prefix, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_BOOT,
               .rtm_scope = RT_SCOPE_LINK, .rtm_type = RTN_UNICAST},
         .dst = {8, RTA_DST},
         .oif = {8, RTA_OIF},
         .index = 1};
  inet_pton(AF_INET, destination, &m.in);
  return rtnetlink(s, &m, sizeof m);
}

static void show(const char *path) {
  FILE *f = fopen(path, "r");
  say("%s:", path);
  for (char line[400]; f && fgets(line, sizeof line, f);) printf("%s", line);
  if (f) fclose(f);
}

static void flags_of(const char *name) {
  struct ifreq r = {.ifr_name = "lo"};
  int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ret(name, ioctl(s, SIOCGIFFLAGS, &r));
  say("flags %x", r.ifr_flags);
  close(s);
}

static void names(const char *path) {
  DIR *d = opendir(path);
  int n = 0;
  for (struct dirent *e; d && (e = readdir(d));) n += e->d_name[0] != '.' && strcmp(e->d_name, "lo") != 0;
  if (d) closedir(d);
  say("%s: %d beside lo", path, n);
}

static void test_empty(void) {
  flags_of("new");
  say("index of lo %d", if_nametoindex("lo"));
  struct if_nameindex *list = if_nameindex();
  int n = 0;
  while (list && list[n].if_index) n++;
  if_freenameindex(list);
  say("%d interface", n);
  show("/proc/net/dev");
  show("/proc/net/route");
  show("/proc/net/if_inet6");
  show("/proc/net/ipv6_route");
  show("/proc/net/arp");
  show("/proc/net/tcp");
  show("/proc/net/unix");
  struct sockaddr_in a = loopback(9);
  int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ret("connect while down", connect(s, (void *)&a, sizeof a));
  ret("send while down", sendto(s, "x", 1, 0, (void *)&a, sizeof a));
  a.sin_addr.s_addr = inet_addr("192.0.2.1");
  ret("send elsewhere", sendto(s, "x", 1, 0, (void *)&a, sizeof a));
  close(s);
  s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  a = loopback(9);
  ret("stream while down", connect(s, (void *)&a, sizeof a));
  ret("bind while down", bind(s, (void *)&a, sizeof a));
  close(s);
}

static void test_configure(void) {
  int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  ret("up", change_link(s, IFF_UP, IFF_UP));
  flags_of("up");
  show("/proc/net/if_inet6");
  ret("again", change_link(s, IFF_UP, IFF_UP));
  // As systemd sets a loopback up.
  ret("down by SETLINK", change_link_by(s, RTM_SETLINK, 0, IFF_UP));
  flags_of("down");
  ret("up by SETLINK", change_link_by(s, RTM_SETLINK, IFF_UP, IFF_UP));
  flags_of("up by SETLINK");
  ret("address that is there", change_address(s, RTM_NEWADDR, "127.0.0.1", 8));
  ret("address", change_address(s, RTM_NEWADDR, "10.9.8.7", 24));
  int u = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in a = loopback(0);
  a.sin_addr.s_addr = inet_addr("10.9.8.7");
  ret("bind to it", bind(u, (void *)&a, sizeof a));
  close(u);
  ret("no address", change_address(s, RTM_DELADDR, "10.9.8.7", 24));
  u = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ret("bind to none", bind(u, (void *)&a, sizeof a));
  close(u);
  ret("route", change_route(s, RTM_NEWROUTE, "192.0.2.0", 24));
  ret("route again", change_route(s, RTM_NEWROUTE, "192.0.2.0", 24));
  show("/proc/net/route");
  ret("no route", change_route(s, RTM_DELROUTE, "192.0.2.0", 24));
  ret("none to take", change_route(s, RTM_DELROUTE, "192.0.2.0", 24));
  struct ifreq r = {.ifr_name = "lo"};
  u = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ret("mtu", ioctl(u, SIOCGIFMTU, &r));
  say("%d", r.ifr_mtu);
  r.ifr_mtu = 1500;
  ret("set mtu", ioctl(u, SIOCSIFMTU, &r));
  ret("flags", ioctl(u, SIOCGIFFLAGS, &r));
  r.ifr_flags &= ~IFF_UP;
  ret("down by ioctl", ioctl(u, SIOCSIFFLAGS, &r));
  flags_of("down");
  r.ifr_flags |= IFF_UP;
  ret("up by ioctl", ioctl(u, SIOCSIFFLAGS, &r));
  strcpy(r.ifr_name, "none");
  ret("up of none", ioctl(u, SIOCSIFFLAGS, &r));
  close(u);
  close(s);
}

// A connection over loopback; on port 80, which the process may use as it has made the namespace.
static void test_tcp(int family) {
  struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT, .sin6_port = htons(80)};
  struct sockaddr_in four = loopback(80);
  struct sockaddr *a = family == AF_INET ? (void *)&four : (void *)&six;
  socklen_t l = family == AF_INET ? sizeof four : sizeof six;
  int s = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0), c = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ret("low port", bind(s, a, l));
  ret("listen", listen(s, 5));
  pid_t pid = fork();
  if (pid == 0) {
    ret("connect", connect(c, a, l));
    ret("send", send(c, "hello", 5, 0));
    _exit(0);
  }
  int t = accept(s, NULL, NULL);
  wait_say("client", pid);
  ret("recv", recv(t, buf, 5, MSG_WAITALL));
  close(t);
  close(c);
  close(s);
}

static void test_ping(void) {
  ret("echo socket", socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP));
  int s = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
  struct icmphdr echo = {.type = ICMP_ECHO, .checksum = htons(0xf7ff)};
  struct sockaddr_in to = loopback(0);
  ret("ping", sendto(s, &echo, sizeof echo, 0, (void *)&to, sizeof to));
  ret("request", recv(s, buf, sizeof buf, 0));
  ret("reply", recv(s, buf, sizeof buf, 0));
  say("type %d", ((struct icmphdr *)(buf + 20))->type);
  close(s);
}

static int named(const char *name, int listens) {
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  strcpy(a.sun_path + 1, name);
  int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  socklen_t l = offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name);
  int r = listens ? bind(s, (void *)&a, l) : connect(s, (void *)&a, l);
  if (r == 0 && listens) listen(s, 5);
  return r == 0 ? s : -1;
}

static void enter(const char *name, int flags) { ret(name, unshare(flags)); }

// Two namespaces, one after the other, and a way back.
static void test_two(void) {
  char before[64] = "", after[64] = "", again[64] = "";
  readlink("/proc/self/ns/net", before, 63);
  int first = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in a = loopback(0);
  bind(server, (void *)&a, sizeof a);
  listen(server, 5);
  int port = port_of(server);
  ok("abstract name", named("net-namespaces", 1));
  int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  enter("second", CLONE_NEWNET);
  readlink("/proc/self/ns/net", after, 63);
  is("another one", strcmp(before, after) != 0);
  flags_of("second");
  int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  ret("up", change_link(s, IFF_UP, IFF_UP));
  int c = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  a = loopback(port);
  ret("nobody listens here", connect(c, (void *)&a, sizeof a));
  ok("nor under the name", named("net-namespaces", 0));
  ok("which is free", named("net-namespaces", 1));
  ret("a socket stays where it was made", connect(udp, (void *)&a, sizeof a));
  pid_t pid = fork();
  if (pid == 0) {
    ret("back", setns(first, CLONE_NEWNET));
    readlink("/proc/self/ns/net", again, 63);
    is("the first", strcmp(before, again) == 0);
    int d = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ret("somebody listens", connect(d, (void *)&a, sizeof a));
    ok("and under the name", named("net-namespaces", 0));
    _exit(0);
  }
  wait_say("child", pid);
  ret("wrong kind", setns(first, CLONE_NEWUTS));
  ret("right kind", setns(first, 0));
  close(first);
  flags_of("first again");
  close(server);
  close(udp);
  close(c);
  close(s);
}

// By clone, and by a pidfd; sysfs shows the one of whoever mounts it.
static void test_clone(void) {
  int p[2], q[2];
  pipe(p), pipe(q);
  pid_t pid = syscall(SYS_clone, CLONE_NEWNET | CLONE_NEWNS | SIGCHLD, 0, 0, 0, 0);
  if (pid == 0) {
    flags_of("clone");
    ret("mount", mount("none", "/sys", "sysfs", 0, NULL));
    names("/sys/class/net");
    int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    ret("up", change_link(s, IFF_UP, IFF_UP));
    write(p[1], "x", 1);
    read(q[0], buf, 1);
    _exit(0);
  }
  read(p[0], buf, 1);
  pid_t other = fork();
  if (other == 0) {
    int fd = syscall(SYS_pidfd_open, pid, 0);
    ret("setns to its", setns(fd, CLONE_NEWNET));
    flags_of("its");
    _exit(0);
  }
  wait_say("other", other);
  write(q[1], "x", 1);
  wait_say("first", pid);
}

// More than are there at a time, one after the other.
static void test_many(void) {
  int n = 0;
  for (int i = 0; i < 150; i++) {
    if (unshare(CLONE_NEWNET) < 0) break;
    n++;
    if (i % 30 == 0) close(socket(AF_INET, SOCK_DGRAM, 0));
  }
  say("%d in sequence", n);
  int keep = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ret("away from it", unshare(CLONE_NEWNET));
  struct ifreq r = {.ifr_name = "lo"};
  ret("its socket knows it", ioctl(keep, SIOCGIFFLAGS, &r));
  say("flags %x", r.ifr_flags);
  close(keep);
}

static void test_without_rights(void) {
  pid_t pid = fork();
  if (pid == 0) {
    struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct d[2] = {{0, 0, 0}, {0, 0, 0}};
    ret("no capabilities", syscall(SYS_capset, &h, d));
    ret("unshare", unshare(CLONE_NEWNET));
    int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    ret("down", change_link(s, 0, IFF_UP));
    ret("address", change_address(s, RTM_NEWADDR, "10.9.8.7", 24));
    struct ifreq r = {.ifr_name = "lo"};
    int u = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ret("down by ioctl", ioctl(u, SIOCSIFFLAGS, &r));
    struct sockaddr_in a = loopback(80);
    ret("low port", bind(u, (void *)&a, sizeof a));
    ret("raw", socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
    ret("packet", socket(AF_PACKET, SOCK_RAW, 0));
    _exit(0);
  }
  wait_say("without rights", pid);
}

int main(void) {
  // Its own user namespace, so that it runs without rights, too.
  if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) {
    say("no user namespaces here");
    return 0;
  }
  test_empty();
  test_configure();
  test_tcp(AF_INET);
  test_tcp(AF_INET6);
  test_ping();
  test_two();
  test_clone();
  test_without_rights();
  test_many();
  return 0;
}
