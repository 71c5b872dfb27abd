// link: -w
// What /proc/net and sock_diag tell of sockets: states, names, queues, owners.
#include "guest.h"
#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

static char buf[1 << 16];
static int port; // of the listener

static ino_t inode_of(int fd) {
  struct stat st;
  fstat(fd, &st);
  return st.st_ino;
}

// The line of /proc/net/TABLE with the inode of `fd` in column `column`; prints columns [from, to).
static void line_of(const char *table, int fd, int column, int from, int to) {
  char path[64], line[1000], *word[40];
  snprintf(path, sizeof path, "/proc/net/%s", table);
  FILE *f = fopen(path, "r");
  int found = 0;
  while (f && fgets(line, sizeof line, f)) {
    int n = 0;
    for (char *w = strtok(line, " \n"); w && n < 40; w = strtok(NULL, " \n")) word[n++] = w;
    if (n <= column || strtoul(word[column], NULL, 10) != inode_of(fd)) continue;
    found = 1;
    char out[600] = "";
    for (int i = from; i < to && i < n; i++) strcat(strcat(out, " "), word[i]);
    char hex[10];
    snprintf(hex, sizeof hex, "%04X", port);
    for (char *p; port && (p = strstr(out, hex));) memcpy(p, "PORT", 4);
    say("%s:%s", table, out);
  }
  if (f) fclose(f);
  if (!found) say("%s: none", table);
}

static int ask(void *request, int size, int flags) {
  struct {
    struct nlmsghdr h;
    char body[64];
  } m = {.h = {NLMSG_LENGTH(size), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | flags, 77, 0}};
  memcpy(m.body, request, size);
  int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
  send(s, &m, m.h.nlmsg_len, 0);
  return s;
}

static const char *name(__be32 *a, int family) {
  static char text[2][INET6_ADDRSTRLEN];
  static int which;
  which ^= 1;
  return inet_ntop(family, a, text[which], sizeof text[which]);
}

static void inet(const char *what, int fd, int family, int protocol, unsigned states) {
  struct inet_diag_req_v2 r = {.sdiag_family = family, .sdiag_protocol = protocol, .idiag_states = states, .idiag_ext = 1 << (INET_DIAG_INFO - 1)};
  int s = ask(&r, sizeof r, NLM_F_DUMP), end = 0, found = 0;
  while (!end) {
    int n = recv(s, buf, sizeof buf, 0);
    if (n <= 0) break;
    for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
      if (h->nlmsg_type == NLMSG_ERROR) say("%s: error %s", what, strerrorname_np(-((struct nlmsgerr *)NLMSG_DATA(h))->error));
      if (h->nlmsg_type != SOCK_DIAG_BY_FAMILY) { end = 1; break; }
      struct inet_diag_msg *m = NLMSG_DATA(h);
      if (m->idiag_inode != inode_of(fd)) continue;
      found = 1;
      int info = 0, rest = h->nlmsg_len - NLMSG_LENGTH(sizeof *m);
      for (struct nlattr *a = (void *)(m + 1); rest >= 4; rest -= NLA_ALIGN(a->nla_len), a = (void *)a + NLA_ALIGN(a->nla_len))
        info |= a->nla_type == INET_DIAG_INFO && ((unsigned char *)(a + 1))[0] == m->idiag_state;
      say("%s: family %d state %d %s:%s -> %s:%s rx %d tx %d uid %d info %d sequence %d", what, m->idiag_family, m->idiag_state,
          name(m->id.idiag_src, family), ntohs(m->id.idiag_sport) == port ? "PORT" : "other", name(m->id.idiag_dst, family),
          m->id.idiag_dport == 0 ? "0" : ntohs(m->id.idiag_dport) == port ? "PORT" : "other", protocol == IPPROTO_TCP ? m->idiag_rqueue : m->idiag_rqueue > 0, m->idiag_state == 10 ? m->idiag_wqueue : 0 /* not acknowledged yet, maybe */, m->idiag_uid, info, h->nlmsg_seq);
    }
  }
  if (!found) say("%s: none", what);
  close(s);
}

static void unix_(const char *what, int fd, unsigned states, int peer) {
  struct unix_diag_req r = {.sdiag_family = AF_UNIX, .udiag_states = states, .udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_PEER | UDIAG_SHOW_RQLEN};
  int s = ask(&r, sizeof r, NLM_F_DUMP), end = 0, found = 0;
  while (!end) {
    int n = recv(s, buf, sizeof buf, 0);
    if (n <= 0) break;
    for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
      if (h->nlmsg_type != SOCK_DIAG_BY_FAMILY) { end = 1; break; }
      struct unix_diag_msg *m = NLMSG_DATA(h);
      if (m->udiag_ino != inode_of(fd)) continue;
      found = 1;
      say("%s: type %d state %d", what, m->udiag_type, m->udiag_state);
      int rest = h->nlmsg_len - NLMSG_LENGTH(sizeof *m);
      for (struct nlattr *a = (void *)(m + 1); rest >= 4; rest -= NLA_ALIGN(a->nla_len), a = (void *)a + NLA_ALIGN(a->nla_len)) {
        char *v = (char *)(a + 1);
        if (a->nla_type == UNIX_DIAG_NAME) say("  name %s, %d", v[0] ? v : v + 1, a->nla_len);
        if (a->nla_type == UNIX_DIAG_PEER) say("  peer is the other end: %d", *(unsigned *)v == inode_of(peer));
        if (a->nla_type == UNIX_DIAG_RQLEN) say("  queues %u %u", ((unsigned *)v)[0], ((unsigned *)v)[1]);
      }
    }
  }
  if (!found) say("%s: none", what);
  close(s);
}

static void test_tcp(int family) {
  struct sockaddr_storage a = {0};
  struct sockaddr_in *v4 = (void *)&a;
  struct sockaddr_in6 *v6 = (void *)&a;
  socklen_t l = sizeof a;
  a.ss_family = family;
  if (family == AF_INET) v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK), l = sizeof *v4;
  else v6->sin6_addr = in6addr_loopback, l = sizeof *v6;
  const char *table = family == AF_INET ? "tcp" : "tcp6";
  int s = socket(family, SOCK_STREAM, 0), c = socket(family, SOCK_STREAM, 0), c2 = socket(family, SOCK_STREAM, 0);
  inet("never bound", s, family, IPPROTO_TCP, ~0u);
  bind(s, (void *)&a, l), listen(s, 7);
  getsockname(s, (void *)&a, &l);
  port = ntohs(v4->sin_port);
  connect(c, (void *)&a, l), connect(c2, (void *)&a, l);
  int k = accept(s, NULL, NULL);
  write(c, "hello", 5);
  recv(k, buf, 1, MSG_PEEK);
  inet("listener", s, family, IPPROTO_TCP, ~0u);
  inet("accepted", k, family, IPPROTO_TCP, 1 << 1);
  inet("client", c, family, IPPROTO_TCP, 1 << 1);
  inet("other states", c, family, IPPROTO_TCP, ~(1u << 1));
  line_of(table, s, 9, 1, 5);
  line_of(table, k, 9, 4, 5);
  line_of(table, c, 9, 3, 4);
  close(c);
  read(k, buf, 10), read(k, buf, 10);
  inet("closed by the peer", k, family, IPPROTO_TCP, ~0u);
  close(k), close(s), close(c2);
}

int main(void) {
  struct ifreq up = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
  unshare(CLONE_NEWNET);
  int u = socket(AF_INET, SOCK_DGRAM, 0);
  ioctl(u, SIOCSIFFLAGS, &up);
  test_tcp(AF_INET);
  test_tcp(AF_INET6);
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t l = sizeof a;
  bind(u, (void *)&a, sizeof a), getsockname(u, (void *)&a, &l);
  port = ntohs(a.sin_port);
  int u2 = socket(AF_INET, SOCK_DGRAM, 0);
  connect(u2, (void *)&a, sizeof a), send(u2, "x", 1, 0);
  recv(u, buf, 1, MSG_PEEK);
  inet("udp", u, AF_INET, IPPROTO_UDP, ~0u);
  inet("connected", u2, AF_INET, IPPROTO_UDP, ~0u);
  line_of("udp", u, 9, 1, 4);
  int r = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), p = socket(AF_PACKET, SOCK_RAW, htons(3));
  line_of("raw", r, 9, 1, 4);
  line_of("packet", p, 8, 2, 6);
  struct sockaddr_un name = {AF_UNIX, "listening"};
  int x = socket(AF_UNIX, SOCK_STREAM, 0), y = socket(AF_UNIX, SOCK_STREAM, 0), pair[2];
  bind(x, (void *)&name, sizeof name.sun_family + 10), listen(x, 4);
  connect(y, (void *)&name, sizeof name);
  socketpair(AF_UNIX, SOCK_DGRAM, 0, pair);
  unix_("listener", x, ~0u, -1);
  unix_("pair", pair[0], ~0u, pair[1]);
  unix_("not listening", x, 1 << 1, -1);
  line_of("unix", x, 6, 2, 6);
  struct inet_diag_req_v2 bad = {.sdiag_family = 77};
  int s = ask(&bad, sizeof bad, NLM_F_DUMP);
  struct nlmsghdr *h = (void *)buf;
  recv(s, buf, sizeof buf, 0);
  say("unknown family: type %d %s", h->nlmsg_type, strerrorname_np(-((struct nlmsgerr *)NLMSG_DATA(h))->error));
  return 0;
}
