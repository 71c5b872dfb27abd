// /proc/net as programs read it: which files there are, what they say of a new network, and counters that rise with its traffic.
#include "guest.h"
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static char text[1 << 16];

static int load(const char *path) {
  int f = open(path, O_RDONLY), n = 0, got;
  if (f < 0) return -1;
  while (n < (int)sizeof text - 1 && (got = read(f, text + n, sizeof text - 1 - n)) > 0) n += got;
  text[n] = 0;
  close(f);
  return n;
}

// The counter `name` of `group` ("Udp:") in a file of pairs of lines, or of a file with a name in each line.
static long counter(const char *file, const char *group, const char *name) {
  char path[64], *names[200], *save, *row;
  int n = 0;
  snprintf(path, sizeof path, "/proc/net/%s", file);
  if (load(path) < 0) return -1;
  for (row = strtok_r(text, "\n", &save); row; row = strtok_r(NULL, "\n", &save)) {
    char *word_save, *word = strtok_r(row, " \t", &word_save);
    if (group == NULL) {
      if (word && strcmp(word, name) == 0) return strtol(strtok_r(NULL, " \t", &word_save), NULL, 10);
      continue;
    }
    if (!word || strcmp(word, group) != 0) continue;
    int values = n > 0, i = 0;
    for (word = strtok_r(NULL, " ", &word_save); word; word = strtok_r(NULL, " ", &word_save), i++) {
      if (!values) names[n++] = word;
      else if (strcmp(names[i], name) == 0) return strtol(word, NULL, 10);
    }
  }
  return -1;
}

enum { MAX = 40 };
static struct watch {
  const char *file, *group, *name;
  long before;
} watched[MAX];
static int nwatched;

static void watch(const char *file, const char *group, const char *names) {
  static char room[4096], *next = room;
  char *save, *copy = strcpy(next, names);
  next += strlen(names) + 1;
  for (char *name = strtok_r(copy, " ", &save); name; name = strtok_r(NULL, " ", &save))
    watched[nwatched++] = (struct watch){file, group, name, counter(file, group, name)};
}

static void differences(const char *what) {
  say("%s:", what);
  for (int i = 0; i < nwatched; i++) {
    struct watch *w = &watched[i];
    say("  %s%s %+ld", w->group ? w->group : "", w->name, counter(w->file, w->group, w->name) - w->before);
  }
  nwatched = 0;
}

static void files(void) {
  static const char *const names[] = {
      "anycast6", "arp", "dev", "dev_mcast", "fib_trie", "fib_triestat", "icmp", "icmp6", "if_inet6", "igmp", "igmp6", "ip6_flowlabel",
      "ip6_mr_cache", "ip6_mr_vif", "ip_mr_cache", "ip_mr_vif", "ipv6_route", "mcfilter", "mcfilter6", "netlink", "netstat", "packet",
      "ptype", "raw", "raw6", "route", "rt6_stats", "rt_cache", "snmp", "snmp6", "sockstat6", "tcp", "tcp6", "udp", "udp6", "udplite",
      "udplite6", "unix", "xfrm_stat", "dev_snmp6/lo", "dev_snmp6/none", "stat/arp_cache", "stat/rt_cache", "softnet_stat", "protocols",
      "sockstat", "psched"};
  for (int i = 0; i < (int)(sizeof names / sizeof *names); i++) {
    char path[64], what[80];
    struct stat st = {0};
    snprintf(path, sizeof path, "/proc/net/%s", names[i]);
    int found = stat(path, &st);
    int n = load(path), lines = 0, widest = 0, w = open(path, O_WRONLY);
    if (found < 0) {
      say("%s: none", names[i]);
      continue;
    }
    snprintf(what, sizeof what, "%s: mode %o, for writing", names[i], st.st_mode);
    ok(what, w);
    if (w >= 0) ok("  write", write(w, "0", 1)), close(w);
    // Whose content is not the machine's or the test's.
    if (strchr("np", names[i][0]) || strncmp(names[i], "unix", 4) == 0 || strncmp(names[i], "so", 2) == 0 || strstr(names[i], "stat/")) continue;
    for (int at = 0, from = 0; at < n; at++) {
      if (text[at] != '\n') continue;
      if (at - from > widest) widest = at - from;
      from = at + 1, lines++;
    }
    say("  %d lines, the widest %d", lines, widest);
    if (n < 1200) say("%s", text);
  }
}

static void raise_lo(void) {
  struct ifreq up = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
  int s = socket(AF_INET, SOCK_DGRAM, 0);
  ok("up", ioctl(s, SIOCSIFFLAGS, &up));
  close(s);
}

struct end {
  struct sockaddr_storage a;
  socklen_t l;
};

static struct end loopback(int family, int port) {
  struct end e = {.a.ss_family = family};
  struct sockaddr_in *v4 = (void *)&e.a;
  struct sockaddr_in6 *v6 = (void *)&e.a;
  v4->sin_port = htons(port);
  if (family == AF_INET) v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK), e.l = sizeof *v4;
  else v6->sin6_addr = in6addr_loopback, e.l = sizeof *v6;
  return e;
}

static void datagrams(int family) {
  int v6 = family == AF_INET6;
  struct end e = loopback(family, 4000), nobody = loopback(family, 4001);
  int r = socket(family, SOCK_DGRAM, 0), s = socket(family, SOCK_DGRAM, 0), c = socket(family, SOCK_DGRAM, 0);
  bind(r, (void *)&e.a, e.l), connect(c, (void *)&nobody.a, nobody.l);
  if (v6) {
    watch("snmp6", NULL, "Udp6InDatagrams Udp6OutDatagrams Udp6NoPorts Udp6InErrors Udp6RcvbufErrors Ip6InReceives Ip6OutRequests Ip6InDelivers Ip6OutTransmits Ip6InOctets Icmp6OutDestUnreachs Icmp6InDestUnreachs Icmp6OutType1");
    watch("dev_snmp6/lo", NULL, "Ip6InReceives Ip6OutRequests");
  } else {
    watch("snmp", "Udp:", "InDatagrams OutDatagrams NoPorts InErrors RcvbufErrors");
    watch("snmp", "Ip:", "InReceives InDelivers OutRequests OutTransmits ForwDatagrams");
    watch("snmp", "Icmp:", "OutDestUnreachs InDestUnreachs InMsgs OutMsgs");
    watch("netstat", "IpExt:", "InOctets OutOctets InNoECTPkts");
  }
  for (int i = 0; i < 7; i++) sendto(s, "hello", 5, 0, (void *)&e.a, e.l);
  send(c, "nobody", 6, 0);
  char b[10];
  for (int i = 0; i < 5; i++) recv(r, b, sizeof b, 0);
  differences(v6 ? "datagrams over IPv6" : "datagrams");
  // What does not fit.
  int small = 0;
  setsockopt(r, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  watch(v6 ? "snmp6" : "snmp", v6 ? NULL : "Udp:", v6 ? "Udp6InErrors Udp6RcvbufErrors" : "InErrors RcvbufErrors");
  for (int i = 0; i < 30; i++) sendto(s, text, 1000, 0, (void *)&e.a, e.l);
  struct watch first = watched[0];
  nwatched = 0;
  is("some are lost", counter(first.file, first.group, first.name) > first.before);
  close(r), close(s), close(c);
}

static void show(const char *table, int from, int to) {
  char path[64], *save;
  snprintf(path, sizeof path, "/proc/net/%s", table);
  load(path);
  int k = 0;
  for (char *row = strtok_r(text, "\n", &save); row; row = strtok_r(NULL, "\n", &save), k++) {
    if (k == 0) continue;
    char out[400] = "", *word_save;
    int i = 0, width = strlen(row);
    for (char *w = strtok_r(row, " ", &word_save); w; w = strtok_r(NULL, " ", &word_save), i++)
      if (i >= from && i < to) strcat(strcat(out, " "), w);
    say("%s, %d wide:%s", table, strncmp(table, "tcp", 3) == 0 && table[3] == 0 ? width : 0, out);
  }
}

static void connections(int family) {
  int v6 = family == AF_INET6, one = 1;
  struct end e = loopback(family, 4002), nobody = loopback(family, 4003);
  int l = socket(family, SOCK_STREAM, 0), c = socket(family, SOCK_STREAM, 0), d = socket(family, SOCK_STREAM, 0), f = socket(family, SOCK_STREAM, 0);
  bind(l, (void *)&e.a, e.l), listen(l, 5);
  watch("snmp", "Tcp:", "ActiveOpens PassiveOpens AttemptFails EstabResets CurrEstab RetransSegs InErrs OutRsts");
  watch("netstat", "TcpExt:", "ListenOverflows ListenDrops TCPAbortOnData TW");
  connect(c, (void *)&e.a, e.l), connect(d, (void *)&e.a, e.l);
  connect(f, (void *)&nobody.a, nobody.l);
  differences(v6 ? "connections over IPv6" : "connections");
  // Two of them wait to be accepted: listed, with no inode.
  show(v6 ? "tcp6" : "tcp", 3, 4);
  int k = accept(l, NULL, NULL);
  show(v6 ? "tcp6" : "tcp", 3, 4);
  watch("snmp", "Tcp:", "CurrEstab EstabResets OutRsts");
  watch("netstat", "TcpExt:", "TCPAbortOnData TCPAbortOnClose TCPAbortOnLinger");
  struct linger hard = {1, 0};
  setsockopt(k, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  close(k);
  differences("a reset");
  int m = accept(l, NULL, NULL);
  // The end that closes first waits for a while; the table has it still.
  shutdown(m, SHUT_WR), recv(d, &one, 1, 0), close(d), recv(m, &one, 1, 0);
  close(m), close(c), close(f);
  show(v6 ? "tcp6" : "tcp", 3, 4);
  close(l);
}

static void counts(const char *what) {
  char *save;
  load("/proc/net/sockstat");
  say("%s:", what);
  for (char *row = strtok_r(text, "\n", &save); row; row = strtok_r(NULL, "\n", &save)) {
    // Memory and orphans are the machine's.
    char *end = strstr(row, " orphan");
    if (!end) end = strstr(row, " mem");
    if (strncmp(row, "sockets", 7) == 0) end = strstr(row, " used");
    say("  %.*s", end ? (int)(end - row) : (int)strlen(row), row);
  }
  load("/proc/net/sockstat6");
  say("%s", text);
  load("/proc/net/protocols");
  for (char *row = strtok_r(text, "\n", &save); row; row = strtok_r(NULL, "\n", &save)) {
    char name[40];
    int size, n;
    static const char *const known[] = {"TCP", "TCPv6", "UDP", "UDPv6", "RAW", "RAWv6", "PACKET", "UNIX", "UNIX-STREAM", "NETLINK", "PING"};
    if (sscanf(row, "%39s %d %d", name, &size, &n) != 3) continue;
    for (int i = 0; i < (int)(sizeof known / sizeof *known); i++)
      if (strcmp(name, known[i]) == 0) say("  %s %d", name, strncmp(name, "UNIX", 4) == 0 ? n > 0 : n);
  }
}

static void sockets(void) {
  struct end e = loopback(AF_INET, 4004), e6 = loopback(AF_INET6, 4004);
  counts("nothing open");
  int u = socket(AF_INET, SOCK_DGRAM, 0), u6 = socket(AF_INET6, SOCK_DGRAM, 0), l = socket(AF_INET, SOCK_STREAM, 0), r = socket(AF_INET, SOCK_RAW, 1);
  int r6 = socket(AF_INET6, SOCK_RAW, 58), p = socket(AF_PACKET, SOCK_DGRAM, 0), n = socket(AF_NETLINK, SOCK_RAW, 0), x[2], y[2];
  int lite = socket(AF_INET, SOCK_DGRAM, 136), v6 = socket(AF_INET6, SOCK_STREAM, 0);
  bind(u, (void *)&e.a, e.l), bind(u6, (void *)&e6.a, e6.l), bind(l, (void *)&e.a, e.l), bind(lite, (void *)&e.a, e.l);
  listen(l, 1), bind(v6, (void *)&e6.a, e6.l), listen(v6, 1);
  socketpair(AF_UNIX, SOCK_STREAM, 0, x), socketpair(AF_UNIX, SOCK_DGRAM, 0, y);
  counts("one of each");
  sendto(u, "abc", 3, 0, (void *)&e.a, e.l);
  sendto(u6, "abc", 3, 0, (void *)&e6.a, e6.l);
  show("udp", 1, 4), show("udp6", 1, 4), show("udplite", 1, 4), show("raw", 1, 4), show("raw6", 1, 4), show("tcp", 1, 7), show("tcp6", 1, 7);
  fchown(u, 77, 78);
  show("udp", 7, 9);
  int all[] = {u, u6, l, r, r6, p, n, lite, v6, x[0], x[1], y[0], y[1]};
  for (int i = 0; i < (int)(sizeof all / sizeof *all); i++) close(all[i]);
}

static void routes(void) {
  static const char *const names[] = {"route", "fib_trie", "fib_triestat", "ipv6_route", "if_inet6", "igmp", "igmp6", "dev_mcast", "arp", "ptype", "dev_snmp6/lo"};
  for (int i = 0; i < (int)(sizeof names / sizeof *names); i++) {
    char path[64];
    snprintf(path, sizeof path, "/proc/net/%s", names[i]);
    load(path);
    if (strcmp(names[i], "ptype") == 0) say("%.50s", text);
    else say("%s\n%s", names[i], text);
  }
}

static void memberships(void) {
  struct ip_mreqn m = {.imr_multiaddr.s_addr = inet_addr("239.1.2.3"), .imr_ifindex = 1};
  struct ipv6_mreq m6 = {.ipv6mr_interface = 1};
  inet_pton(AF_INET6, "ff12::1234", &m6.ipv6mr_multiaddr);
  int s = socket(AF_INET, SOCK_DGRAM, 0), s6 = socket(AF_INET6, SOCK_DGRAM, 0), again = socket(AF_INET, SOCK_DGRAM, 0);
  ret("join", setsockopt(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof m));
  ret("join by another", setsockopt(again, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof m));
  ret("join IPv6", setsockopt(s6, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &m6, sizeof m6));
  struct ip_mreq_source from = {.imr_multiaddr.s_addr = inet_addr("239.1.2.4"), .imr_interface.s_addr = htonl(INADDR_LOOPBACK), .imr_sourceaddr.s_addr = inet_addr("127.0.0.9")};
  ret("join a source", setsockopt(s, IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, &from, sizeof from));
  for (int i = 0; i < 4; i++) {
    static const char *const lists[] = {"/proc/net/igmp", "/proc/net/igmp6", "/proc/net/mcfilter", "/proc/net/anycast6"};
    load(lists[i]);
    say("%s\n%s", lists[i], text);
  }
  close(s), close(s6), close(again);
}

int main(void) {
  if (unshare(CLONE_NEWNET) < 0) return 1;
  files();
  raise_lo();
  routes();
  datagrams(AF_INET);
  datagrams(AF_INET6);
  sockets();
  connections(AF_INET);
  connections(AF_INET6);
  memberships();
  return 0;
}
