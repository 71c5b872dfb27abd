// What CAP_NET_ADMIN and CAP_NET_RAW of a network of one's own allow, and what happens without: marks and priorities of single
// messages, TCP_REPAIR, netfilter's options; sock_diag about one socket.
#include "guest.h"
#include <arpa/inet.h>
#include <linux/capability.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <linux/unix_diag.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#ifndef SO_RCVPRIORITY
#define SO_RCVPRIORITY 82
#endif

static void lo_up(void) {
  struct ifreq up = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
  int s = socket(AF_INET, SOCK_DGRAM, 0);
  ioctl(s, SIOCSIFFLAGS, &up);
  close(s);
}

static struct sockaddr_in at(int port) {
  return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void keep(unsigned long long caps) {
  struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct d[2] = {{caps, caps, 0}, {caps >> 32, caps >> 32, 0}};
  syscall(SYS_capset, &h, d);
}

// One message with up to two integers as control messages.
static void send_with(const char *what, int s, struct sockaddr_in *to, int n, const int *types, const int *values, int size) {
  union {
    struct cmsghdr h;
    char room[3 * CMSG_SPACE(8)];
  } c = {0};
  struct iovec v = {"x", 1};
  struct msghdr m = {.msg_name = to, .msg_namelen = to ? sizeof *to : 0, .msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = n * CMSG_SPACE(4)};
  struct cmsghdr *h = CMSG_FIRSTHDR(&m);
  for (int i = 0; i < n; i++, h = CMSG_NXTHDR(&m, h)) {
    *h = (struct cmsghdr){CMSG_LEN(size), SOL_SOCKET, types[i]};
    memcpy(CMSG_DATA(h), &values[i], size);
  }
  ret(what, sendmsg(s, &m, 0));
}

static void got(int r) {
  char b[8], control[200];
  struct iovec v = {b, sizeof b};
  struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  if (recvmsg(r, &m, MSG_DONTWAIT) < 0) {
    say("  nothing");
    return;
  }
  for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) say("  %d: %d", h->cmsg_type, *(int *)CMSG_DATA(h));
}

static int option(int s, int name) {
  int v = -1;
  socklen_t n = sizeof v;
  getsockopt(s, SOL_SOCKET, name, &v, &n);
  return v;
}

static void messages(int domain) {
  struct sockaddr_in a = at(5000);
  int r = socket(AF_INET, SOCK_DGRAM, 0), s = socket(AF_INET, domain, domain == SOCK_RAW ? IPPROTO_UDP : 0), one = 1;
  bind(r, (void *)&a, sizeof a);
  setsockopt(r, SOL_SOCKET, SO_RCVMARK, &one, sizeof one);
  setsockopt(r, SOL_SOCKET, SO_RCVPRIORITY, &one, sizeof one);
  if (domain == SOCK_RAW) connect(s, (void *)&a, sizeof a);
  send_with("mark", s, &a, 1, (int[]){SO_MARK}, (int[]){77}, 4), got(r);
  send_with("priority 6", s, &a, 1, (int[]){SO_PRIORITY}, (int[]){6}, 4), got(r);
  send_with("priority 7", s, &a, 1, (int[]){SO_PRIORITY}, (int[]){7}, 4), got(r);
  send_with("priority -1", s, &a, 1, (int[]){SO_PRIORITY}, (int[]){-1}, 4), got(r);
  send_with("both", s, &a, 2, (int[]){SO_PRIORITY, SO_MARK}, (int[]){100, 5}, 4), got(r);
  send_with("twice", s, &a, 2, (int[]){SO_MARK, SO_MARK}, (int[]){100, 5}, 4), got(r);
  send_with("mark, short", s, &a, 1, (int[]){SO_MARK}, (int[]){77}, 2), got(r);
  send_with("none", s, &a, 0, NULL, NULL, 4), got(r);
  say("the socket's own: mark %d, priority %d", option(s, SO_MARK), option(s, SO_PRIORITY));
  int v = 9;
  ret("set mark", setsockopt(s, SOL_SOCKET, SO_MARK, &v, sizeof v));
  ret("set priority", setsockopt(s, SOL_SOCKET, SO_PRIORITY, &v, sizeof v));
  send_with("mark of the message", s, &a, 1, (int[]){SO_MARK}, (int[]){77}, 4), got(r);
  send_with("of the socket", s, &a, 0, NULL, NULL, 4), got(r);
  say("the socket's own: mark %d, priority %d", option(s, SO_MARK), option(s, SO_PRIORITY));
  close(r), close(s);
}

static void stream(void) {
  struct sockaddr_in a = at(5001);
  int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0);
  bind(l, (void *)&a, sizeof a), listen(l, 1);
  send_with("not connected", c, NULL, 1, (int[]){SO_MARK}, (int[]){77}, 4);
  connect(c, (void *)&a, sizeof a);
  send_with("connected", c, NULL, 1, (int[]){SO_MARK}, (int[]){77}, 4);
  send_with("priority", c, NULL, 1, (int[]){SO_PRIORITY}, (int[]){77}, 4);
  say("the socket's own: mark %d, priority %d", option(c, SO_MARK), option(c, SO_PRIORITY));
  close(c), close(l);
}

static void repair(void) {
  struct sockaddr_in a = at(5002), b = at(5003);
  int s = socket(AF_INET, SOCK_STREAM, 0), v = TCP_REPAIR_ON, e;
  unsigned seq = 1000;
  struct tcp_repair_window w;
  socklen_t n = sizeof v;
  ret("repair", e = setsockopt(s, IPPROTO_TCP, TCP_REPAIR, &v, sizeof v));
  v = 7;
  ret("repair 7", setsockopt(s, IPPROTO_TCP, TCP_REPAIR, &v, sizeof v));
  v = -1;
  ret("get", getsockopt(s, IPPROTO_TCP, TCP_REPAIR, &v, &n));
  say("%d", v);
  v = TCP_SEND_QUEUE;
  ret("queue", setsockopt(s, IPPROTO_TCP, TCP_REPAIR_QUEUE, &v, sizeof v));
  ret("its number", setsockopt(s, IPPROTO_TCP, TCP_QUEUE_SEQ, &seq, sizeof seq));
  n = sizeof w;
  ret("window", getsockopt(s, IPPROTO_TCP, TCP_REPAIR_WINDOW, &w, &n));
  if (e == 0) {
    // Nobody is there: a connection is repaired, not made.
    ret("bind", bind(s, (void *)&a, sizeof a));
    ret("connect", connect(s, (void *)&b, sizeof b));
    ret("queued only", send(s, "abcd", 4, 0));
    n = sizeof seq;
    ret("number", getsockopt(s, IPPROTO_TCP, TCP_QUEUE_SEQ, &seq, &n));
    say("%u", seq);
    char back[8] = "";
    ret("peek at what was sent", recv(s, back, sizeof back, MSG_PEEK));
    say("%s", back);
    n = sizeof w;
    ret("window", getsockopt(s, IPPROTO_TCP, TCP_REPAIR_WINDOW, &w, &n));
    struct sockaddr_in name;
    n = sizeof name;
    ret("peer", getpeername(s, (void *)&name, &n));
  }
  close(s);
}

static void netfilter(void) {
  enum { GET_INFO = 64, GET_ENTRIES = 65 };
  char info[100] = "filter";
  int s = socket(AF_INET, SOCK_RAW, IPPROTO_RAW), u = socket(AF_INET, SOCK_DGRAM, 0), u6 = socket(AF_INET6, SOCK_DGRAM, 0);
  socklen_t n = 84;
  if (s >= 0) ret("tables, raw socket", getsockopt(s, IPPROTO_IP, GET_INFO, info, &n));
  n = 84;
  ret("tables", getsockopt(u, IPPROTO_IP, GET_INFO, info, &n));
  ret("set tables", setsockopt(u, IPPROTO_IP, GET_INFO, info, 84));
  n = 84;
  ret("tables of IPv6", getsockopt(u6, IPPROTO_IPV6, GET_INFO, info, &n));
  close(s), close(u), close(u6);
}

static char reply[8192];

// Asks about one socket: prints the answer's relation to `fd`.
static void ask(const char *what, void *request, int size, int fd) {
  struct {
    struct nlmsghdr h;
    char body[64];
  } m = {.h = {NLMSG_LENGTH(size), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, 77, 0}};
  struct stat st = {0};
  memcpy(m.body, request, size);
  fstat(fd, &st);
  int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
  send(s, &m, m.h.nlmsg_len, 0);
  int n = recv(s, reply, sizeof reply, MSG_DONTWAIT);
  struct nlmsghdr *h = (void *)reply;
  if (n < 0) say("%s: no answer", what);
  else if (h->nlmsg_type == NLMSG_ERROR) say("%s: %s", what, strerrorname_np(-((struct nlmsgerr *)NLMSG_DATA(h))->error));
  else if (m.body[0] == AF_UNIX) {
    struct unix_diag_msg *u = NLMSG_DATA(h);
    say("%s: flags %d sequence %d, it %d, type %d state %d", what, h->nlmsg_flags, h->nlmsg_seq, u->udiag_ino == st.st_ino, u->udiag_type, u->udiag_state);
  } else {
    struct inet_diag_msg *i = NLMSG_DATA(h);
    say("%s: flags %d sequence %d, it %d, family %d state %d ports %d %d", what, h->nlmsg_flags, h->nlmsg_seq, i->idiag_inode == st.st_ino, i->idiag_family, i->idiag_state,
        ntohs(i->id.idiag_sport) == 5004, i->id.idiag_dport != 0);
  }
  say("  then %ld", (long)recv(s, reply + 4096, 4096, MSG_DONTWAIT));
  close(s);
}

static struct inet_diag_req_v2 about(int family, int protocol, int source, int destination) {
  struct inet_diag_req_v2 r = {.sdiag_family = family, .sdiag_protocol = protocol, .idiag_states = ~0u};
  r.id.idiag_sport = htons(source), r.id.idiag_dport = htons(destination);
  r.id.idiag_cookie[0] = r.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
  if (family == AF_INET) r.id.idiag_src[0] = r.id.idiag_dst[0] = htonl(INADDR_LOOPBACK);
  else r.id.idiag_src[3] = r.id.idiag_dst[3] = htonl(1);
  return r;
}

static void one_inet(int family) {
  struct sockaddr_in a4 = at(5004);
  struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_port = htons(5004), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  void *a = family == AF_INET ? (void *)&a4 : (void *)&a6;
  socklen_t n = family == AF_INET ? sizeof a4 : sizeof a6;
  struct sockaddr_in6 name;
  int l = socket(family, SOCK_STREAM, 0), c = socket(family, SOCK_STREAM, 0), u = socket(family, SOCK_DGRAM, 0), v = socket(family, SOCK_DGRAM, 0);
  bind(l, a, n), listen(l, 1), connect(c, a, n);
  int k = accept(l, NULL, NULL);
  bind(u, a, n);
  socklen_t m = sizeof name;
  getsockname(c, (void *)&name, &m);
  int port = ntohs(name.sin6_port);
  struct inet_diag_req_v2 r = about(family, IPPROTO_TCP, port, 5004);
  ask("client", &r, sizeof r, c);
  uint64_t cookie = 0;
  m = sizeof cookie;
  getsockopt(c, SOL_SOCKET, SO_COOKIE, &cookie, &m);
  say("its cookie: %d", memcmp(((struct inet_diag_msg *)NLMSG_DATA(reply))->id.idiag_cookie, &cookie, 8));
  memcpy(r.id.idiag_cookie, &cookie, 8);
  ask("by cookie", &r, sizeof r, c);
  r.id.idiag_cookie[0] ^= 1;
  ask("another's cookie", &r, sizeof r, c);
  r = about(family, IPPROTO_TCP, 5004, port);
  ask("accepted", &r, sizeof r, k);
  r = about(family, IPPROTO_TCP, 5004, 0);
  ask("listener", &r, sizeof r, l);
  r = about(family, IPPROTO_TCP, 5004, 1);
  ask("listener, for anybody", &r, sizeof r, l);
  r.idiag_states = 1 << 1;
  ask("listener, other states", &r, sizeof r, l);
  r = about(family, IPPROTO_TCP, 5005, 0);
  ask("nobody", &r, sizeof r, l);
  r = about(family, IPPROTO_TCP, 5004, 0), r.id.idiag_if = 1;
  ask("interface", &r, sizeof r, l);
  r = about(family, IPPROTO_TCP, 5004, 0), memset(r.id.idiag_src, 0, 16), memset(r.id.idiag_dst, 0, 16);
  ask("no addresses", &r, sizeof r, l);
  // Datagram sockets are looked up the other way round.
  r = about(family, IPPROTO_UDP, 0, 5004);
  ask("udp", &r, sizeof r, u);
  r = about(family, IPPROTO_UDP, 5004, 0);
  ask("udp, turned round", &r, sizeof r, u);
  r.id.idiag_cookie[0] = 1;
  ask("udp, another's cookie", &r, sizeof r, u);
  r = about(family, IPPROTO_UDPLITE, 0, 5004);
  ask("udplite", &r, sizeof r, u);
  connect(v, a, n);
  m = sizeof name;
  getsockname(v, (void *)&name, &m);
  r = about(family, IPPROTO_UDP, 5004, ntohs(name.sin6_port));
  ask("connected udp", &r, sizeof r, v);
  r = about(family, IPPROTO_UDP, 5005, ntohs(name.sin6_port));
  ask("connected udp, another's", &r, sizeof r, v);
  r = about(family == AF_INET ? AF_INET6 : AF_INET, IPPROTO_TCP, 5004, 0);
  ask("the other family", &r, sizeof r, l);
  r = about(family, 99, 5004, 0);
  ask("no such protocol", &r, sizeof r, l);
  close(l), close(c), close(k), close(u), close(v);
}

static void one_unix(void) {
  int x[2];
  struct stat st;
  uint64_t cookie = 0;
  socklen_t n = sizeof cookie;
  socketpair(AF_UNIX, SOCK_STREAM, 0, x);
  fstat(x[0], &st);
  struct unix_diag_req r = {.sdiag_family = AF_UNIX, .udiag_ino = st.st_ino, .udiag_states = ~0u, .udiag_cookie = {~0u, ~0u}};
  ask("unix", &r, sizeof r, x[0]);
  getsockopt(x[0], SOL_SOCKET, SO_COOKIE, &cookie, &n);
  say("its cookie: %d", memcmp(((struct unix_diag_msg *)NLMSG_DATA(reply))->udiag_cookie, &cookie, 8));
  memcpy(r.udiag_cookie, &cookie, 8);
  ask("by cookie", &r, sizeof r, x[0]);
  r.udiag_cookie[1] ^= 1;
  ask("another's cookie", &r, sizeof r, x[0]);
  r.udiag_cookie[0] = r.udiag_cookie[1] = ~0u, r.udiag_states = 1 << 10;
  ask("other states", &r, sizeof r, x[0]);
  r.udiag_ino = 0;
  ask("no inode", &r, sizeof r, x[0]);
  r.udiag_ino = 1;
  ask("nobody's inode", &r, sizeof r, x[0]);
  ask("short", &r, 8, x[0]);
  close(x[0]), close(x[1]);
}

int main(void) {
  if (unshare(CLONE_NEWNET) < 0) return 1;
  signal(SIGPIPE, SIG_IGN);
  lo_up();
  for (int i = 0; i < 3; i++) {
    static const char *const which[] = {"all capabilities", "CAP_NET_RAW", "none"};
    say("%s", which[i]);
    if (i > 0) keep(i == 1 ? 1ull << CAP_NET_RAW : 0);
    messages(SOCK_DGRAM);
    stream();
    repair();
    if (i > 0) netfilter();
  }
  one_inet(AF_INET);
  one_inet(AF_INET6);
  one_unix();
  return 0;
}
