// Netlink sockets as such: protocols, addresses, messages between programs, flags, malformed requests, memberships, credentials.
#include "guest.h"
#include <linux/capability.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

extern int capget(struct __user_cap_header_struct *, struct __user_cap_data_struct *);
extern int capset(struct __user_cap_header_struct *, const struct __user_cap_data_struct *);

static char buf[1 << 18];

static struct sockaddr_nl at(unsigned pid, unsigned groups) {
  struct sockaddr_nl a = {.nl_family = AF_NETLINK, .nl_pid = pid, .nl_groups = groups};
  return a;
}

static unsigned port(int s) {
  struct sockaddr_nl a = {0};
  socklen_t l = sizeof a;
  getsockname(s, (void *)&a, &l);
  return a.nl_pid;
}

static void names(const char *what, int s) {
  struct sockaddr_nl a = {0}, b = {0};
  socklen_t l = sizeof a, k = sizeof b;
  int r = getsockname(s, (void *)&a, &l), q = getpeername(s, (void *)&b, &k);
  say("%s: %d own %s groups %x length %u family %d; %d peer %s groups %x length %u", what, r, a.nl_pid == 0 ? "none" : a.nl_pid == (unsigned)getpid() ? "pid" : "other",
      a.nl_groups, l, a.nl_family, q, b.nl_pid == 0 ? "none" : b.nl_pid == (unsigned)getpid() ? "pid" : "other", b.nl_groups, k);
}

static void capabilities(int on) {
  static struct __user_cap_data_struct kept[2];
  struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct none[2];
  if (!on) {
    capget(&h, kept);
    memcpy(none, kept, sizeof none);
    none[0].effective = none[1].effective = 0;
    ret("no capabilities", capset(&h, none));
  } else ret("capabilities", capset(&h, kept));
}

static int messages(int s) {
  int n = 0;
  for (;;) {
    int r = recv(s, buf, sizeof buf, MSG_DONTWAIT);
    if (r < 0) return n;
    for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, r); h = NLMSG_NEXT(h, r)) {
      n++;
      if (h->nlmsg_type == NLMSG_ERROR) {
        struct nlmsgerr *e = NLMSG_DATA(h);
        say("  error %d of %u type %d flags %x len %u about len %u type %d flags %x seq %u", e->error, r, h->nlmsg_type, h->nlmsg_flags, h->nlmsg_len, e->msg.nlmsg_len, e->msg.nlmsg_type, e->msg.nlmsg_flags, e->msg.nlmsg_seq);
      } else say("  type %d flags %x seq %u mine %d", h->nlmsg_type, h->nlmsg_flags, h->nlmsg_seq, h->nlmsg_pid == port(s));
      if (h->nlmsg_len == 0) break;
    }
  }
}

static void test_creation(void) {
  static const int types[] = {SOCK_RAW, SOCK_DGRAM, SOCK_STREAM, SOCK_SEQPACKET, SOCK_RDM, 0, 9, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC};
  for (unsigned i = 0; i < sizeof types / sizeof *types; i++) {
    int s = socket(AF_NETLINK, types[i], NETLINK_ROUTE);
    say("type %x: %s", types[i], s < 0 ? strerrorname_np(errno) : "ok");
    if (s >= 0) close(s);
  }
  static const int protocols[] = {-1, 0, 1, 2, 3, 4, 15, 16, 17, 22, 23, 31, 32, 1000};
  for (unsigned i = 0; i < sizeof protocols / sizeof *protocols; i++) {
    int s = socket(AF_NETLINK, SOCK_RAW, protocols[i]), v = -1;
    socklen_t l = sizeof v;
    if (s >= 0) getsockopt(s, SOL_SOCKET, SO_PROTOCOL, &v, &l);
    say("protocol %d: %s %d", protocols[i], s < 0 ? strerrorname_np(errno) : "ok", v);
    if (s >= 0) close(s);
  }
  int p[2];
  ret("pair", socketpair(AF_NETLINK, SOCK_RAW, 0, p));
  int s = socket(AF_NETLINK, SOCK_RAW, 0);
  ret("listen", listen(s, 1));
  ret("accept", accept(s, NULL, NULL));
  ret("shutdown", shutdown(s, SHUT_RDWR));
  names("fresh", s);
  static const int options[] = {SO_TYPE, SO_DOMAIN, SO_PROTOCOL, SO_ERROR, SO_ACCEPTCONN, SO_SNDBUF, SO_RCVBUF, SO_PASSCRED, SO_RCVLOWAT, SO_REUSEADDR};
  for (unsigned i = 0; i < sizeof options / sizeof *options; i++) {
    int v = -7;
    socklen_t l = sizeof v;
    int r = getsockopt(s, SOL_SOCKET, options[i], &v, &l);
    say("option %d: %d %d", options[i], r, v);
  }
  struct pollfd f = {s, POLLIN | POLLOUT | POLLRDHUP, 0};
  poll(&f, 1, 0), say("poll %x", f.revents);
  ret("nothing", recv(s, buf, 10, MSG_DONTWAIT));
  ret("urgent", recv(s, buf, 10, MSG_OOB));
  ret("error queue", recv(s, buf, 10, MSG_ERRQUEUE | MSG_DONTWAIT));
  int v = 0;
  ret("FIONREAD", ioctl(s, FIONREAD, &v));
  ret("SIOCOUTQ", ioctl(s, TIOCOUTQ, &v));
  ret("seek", lseek(s, 0, SEEK_SET));
  close(s);
}

static void test_bind(void) {
  int s = socket(AF_NETLINK, SOCK_RAW, 0), o = socket(AF_NETLINK, SOCK_RAW, 0);
  struct sockaddr_nl a = at(0, 0);
  for (int l = 0; l <= 13; l += l == 0 ? 1 : l == 2 ? 9 : 1) {
    char name[30];
    sprintf(name, "bind length %d", l);
    ret(name, bind(s, (void *)&a, l));
  }
  ret("bind long", bind(s, (void *)&a, 129));
  a.nl_family = AF_INET;
  ret("bind family", bind(s, (void *)&a, sizeof a));
  a.nl_family = AF_UNSPEC;
  ret("bind unspecified", bind(s, (void *)&a, sizeof a));
  names("bound", s);
  a = at(getpid(), 0);
  ret("again the same", bind(s, (void *)&a, sizeof a));
  a = at(0, 0);
  ret("again any", bind(s, (void *)&a, sizeof a));
  a = at(getpid() + 1, 0);
  ret("again another", bind(s, (void *)&a, sizeof a));
  a = at(getpid(), 0);
  ret("taken", bind(o, (void *)&a, sizeof a));
  names("not bound", o);
  a = at(4000000000u, 0);
  ret("large", bind(o, (void *)&a, sizeof a));
  names("large", o);
  a = at(4000000000u, 1);
  ret("with a group", bind(o, (void *)&a, sizeof a));
  names("group", o);
  a = at(4000000000u, 0x80000010);
  ret("with others", bind(o, (void *)&a, sizeof a));
  names("groups", o);
  a = at(4000000000u, 0);
  ret("with none", bind(o, (void *)&a, sizeof a));
  names("groups", o);
  int r = socket(AF_NETLINK, SOCK_RAW, 0);
  a = at(0, 0);
  ret("automatic", bind(r, (void *)&a, sizeof a));
  is("not the pid", port(r) != (unsigned)getpid() && (int)port(r) < 0);
  int u = socket(AF_NETLINK, SOCK_RAW, NETLINK_USERSOCK);
  a = at(getpid(), 0);
  ret("of another protocol", bind(u, (void *)&a, sizeof a));
  a = at(getpid(), 0xffffffff);
  ret("all groups", bind(u, (void *)&a, sizeof a));
  names("all groups", u);
  int k = socket(AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT);
  ret("all groups of events", bind(k, (void *)&a, sizeof a));
  names("events", k);
  close(k);
  close(s);
  a = at(getpid(), 0);
  ret("free again", bind(o, (void *)&a, sizeof a));
  ret("bad address", bind(o, BAD_PTR, sizeof a));
  close(r), close(u), close(o);
}

static void test_connect(void) {
  int s = socket(AF_NETLINK, SOCK_RAW, NETLINK_USERSOCK);
  struct sockaddr_nl a = at(0, 0);
  ret("short", connect(s, (void *)&a, 1));
  ret("short, family", connect(s, (void *)&a, 2));
  ret("shorter", connect(s, (void *)&a, 11));
  a.nl_family = AF_INET;
  ret("family", connect(s, (void *)&a, sizeof a));
  a = at(0, 0);
  ret("kernel", connect(s, (void *)&a, sizeof a));
  names("kernel", s);
  a = at(12345, 0);
  ret("somebody", connect(s, (void *)&a, sizeof a));
  names("somebody", s);
  a = at(0, 0x14);
  ret("groups", connect(s, (void *)&a, sizeof a));
  names("groups", s);
  a.nl_family = AF_UNSPEC;
  ret("unspecified", connect(s, (void *)&a, 2));
  names("unspecified", s);
  close(s);
  static const int protocols[] = {NETLINK_ROUTE, NETLINK_USERSOCK, NETLINK_KOBJECT_UEVENT, NETLINK_GENERIC, NETLINK_SOCK_DIAG};
  capabilities(0);
  for (unsigned i = 0; i < sizeof protocols / sizeof *protocols; i++) {
    char name[30];
    int group = 1;
    s = socket(AF_NETLINK, SOCK_RAW, protocols[i]);
    sprintf(name, "%d ", protocols[i]);
    a = at(0, 0), strcpy(name + 3, "kernel"), name[2] = ' ';
    ret(name, connect(s, (void *)&a, sizeof a));
    a = at(12345, 0), strcpy(name + 3, "somebody");
    ret(name, connect(s, (void *)&a, sizeof a));
    a = at(0, 4), strcpy(name + 3, "group");
    ret(name, connect(s, (void *)&a, sizeof a));
    a = at(0, 1), strcpy(name + 3, "send to group");
    ret(name, sendto(s, "hello hello hello hello", 20, 0, (void *)&a, sizeof a));
    a = at(12345, 0), strcpy(name + 3, "send to somebody");
    ret(name, sendto(s, "hello hello hello hello", 20, 0, (void *)&a, sizeof a));
    a = at(0, 1), strcpy(name + 3, "bind group");
    ret(name, bind(s, (void *)&a, sizeof a));
    strcpy(name + 3, "join");
    ret(name, setsockopt(s, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, 4));
    strcpy(name + 3, "leave");
    ret(name, setsockopt(s, SOL_NETLINK, NETLINK_DROP_MEMBERSHIP, &group, 4));
    close(s);
  }
  capabilities(1);
}

static void receive(const char *name, int s, int len, int flags) {
  struct sockaddr_nl from = {0};
  char control[256];
  struct iovec iov = {buf, len};
  struct msghdr m = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  int r = recvmsg(s, &m, flags | MSG_DONTWAIT);
  if (r < 0) {
    ret(name, r);
    return;
  }
  say("%s: %d flags %x name %u family %d from %s groups %x", name, r, m.msg_flags, m.msg_namelen, from.nl_family, from.nl_pid == 0 ? "kernel" : from.nl_pid == (unsigned)getpid() ? "pid" : "other", from.nl_groups);
  for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
    int *v = (void *)CMSG_DATA(c);
    if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS) say("  credentials %s %d %d", v[0] == 0 ? "kernel" : v[0] == getpid() ? "pid" : "other", v[1], v[2]);
    else say("  level %d type %d length %zu value %d", c->cmsg_level, c->cmsg_type, c->cmsg_len, c->cmsg_len >= CMSG_LEN(4) ? *v : -1);
  }
}

static void test_between(void) {
  int a = socket(AF_NETLINK, SOCK_RAW, NETLINK_USERSOCK), b = socket(AF_NETLINK, SOCK_DGRAM, NETLINK_USERSOCK), one = 1, group = 3;
  struct sockaddr_nl na = at(getpid(), 0), nb = at(77, 0);
  ret("bind", bind(a, (void *)&na, sizeof na));
  ret("bind", bind(b, (void *)&nb, sizeof nb));
  ret("to b", sendto(a, "hello", 5, 0, (void *)&nb, sizeof nb));
  struct pollfd f = {b, POLLIN | POLLOUT, 0};
  poll(&f, 1, 0), say("poll %x", f.revents);
  int v = -1;
  ioctl(b, FIONREAD, &v);
  say("bytes %d", v);
  receive("peek", b, 100, MSG_PEEK);
  receive("cut", b, 2, MSG_PEEK);
  receive("whole length", b, 2, MSG_TRUNC);
  receive("no more", b, 100, 0);
  ret("empty", sendto(a, "", 0, 0, (void *)&nb, sizeof nb));
  receive("empty", b, 100, 0);
  struct sockaddr_nl nobody = at(78, 0), kernel = at(0, 0);
  ret("to nobody", sendto(a, "hello", 5, 0, (void *)&nobody, sizeof nobody));
  ret("to the kernel", sendto(a, "hello", 5, 0, (void *)&kernel, sizeof kernel));
  ret("to the kernel unconnected", send(a, "hello", 5, 0));
  ret("connect", connect(a, (void *)&nb, sizeof nb));
  ret("send", send(a, "connected", 9, 0));
  receive("connected", b, 100, 0);
  names("connected", a);
  ret("from another", sendto(b, "x", 1, 0, (void *)&na, sizeof na));
  receive("from the peer", a, 100, 0);
  int c = socket(AF_NETLINK, SOCK_RAW, NETLINK_USERSOCK);
  ret("from a third", sendto(c, "x", 1, 0, (void *)&na, sizeof na));
  receive("from a third", a, 100, 0);
  is("bound by sending", port(c) != 0);
  ret("passcred", setsockopt(b, SOL_SOCKET, SO_PASSCRED, &one, sizeof one));
  ret("pktinfo", setsockopt(b, SOL_NETLINK, NETLINK_PKTINFO, &one, sizeof one));
  ret("send", send(a, "credentials", 11, 0));
  receive("credentials", b, 100, 0);
  ret("join", setsockopt(b, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group));
  ret("c joins", setsockopt(c, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group));
  struct sockaddr_nl many = at(0, 4);
  ret("to the group", sendto(a, "group", 5, 0, (void *)&many, sizeof many));
  receive("member b", b, 100, 0);
  receive("member c", c, 100, 0);
  receive("not a member", a, 100, 0);
  many.nl_groups = 8;
  ret("to an empty group", sendto(a, "group", 5, 0, (void *)&many, sizeof many));
  many.nl_groups = 4, many.nl_pid = 77;
  ret("to group and port", sendto(c, "both", 4, 0, (void *)&many, sizeof many));
  receive("member b", b, 100, 0);
  receive("member b again", b, 100, 0);
  receive("the sender", c, 100, 0);
  ret("oob", send(a, "x", 1, MSG_OOB));
  ret("long", send(a, buf, 200000, 0));
  ret("longer", send(a, buf, 250000, 0));
  receive("long", b, sizeof buf, 0);
  // Until there is no more room.
  int n = 0, r;
  while ((r = send(a, buf, 4096, MSG_DONTWAIT)) > 0) n++;
  ret("full", r);
  is("some", n > 20 && n < 200);
  f = (struct pollfd){a, POLLOUT, 0};
  poll(&f, 1, 0), say("poll of the sender %x", f.revents);
  close(b);
  ret("gone", send(a, "x", 1, 0));
  close(a), close(c);
}

static struct {
  struct nlmsghdr h;
  char body[64];
  struct nlmsghdr h2;
  char body2[64];
} m;

static void link_request(int flags) {
  memset(&m, 0, sizeof m);
  m.h = (struct nlmsghdr){NLMSG_LENGTH(16), RTM_GETLINK, NLM_F_REQUEST | flags, 5, 0};
  *(int *)(m.body + 4) = 1;
}

static void shot(const char *name, int s, int len) {
  ret(name, send(s, &m, len, 0));
  say(" %d messages", messages(s));
}

static void test_malformed(int protocol) {
  int s = socket(AF_NETLINK, SOCK_RAW, protocol);
  say("-- protocol %d", protocol);
  link_request(0);
  // A type that the protocol knows, or nobody.
  int known = protocol == NETLINK_ROUTE ? RTM_GETLINK : protocol == NETLINK_GENERIC ? 900 : 20;
  m.h.nlmsg_type = known;
  shot("empty", s, 0);
  shot("half a header", s, 8);
  shot("header alone of longer", s, 16);
  shot("all but one", s, 31);
  m.h.nlmsg_len = 15;
  shot("length 15", s, 32);
  m.h.nlmsg_len = 0;
  shot("length 0", s, 32);
  m.h.nlmsg_len = 0x80000010;
  shot("length negative", s, 32);
  link_request(0), m.h.nlmsg_flags = 0;
  shot("no request", s, 32);
  m.h.nlmsg_flags = NLM_F_ACK;
  shot("no request, acknowledged", s, 32);
  for (int type = 0; type < 16; type += type < 4 ? 1 : 11) {
    char name[40];
    link_request(0), m.h.nlmsg_type = type;
    sprintf(name, "type %d", type);
    shot(name, s, 32);
    m.h.nlmsg_flags |= NLM_F_ACK, strcat(name, " acknowledged");
    shot(name, s, 32);
  }
  link_request(NLM_F_ACK), m.h.nlmsg_type = 999;
  shot("unknown", s, 32);
  link_request(NLM_F_ACK), m.h.nlmsg_len = 16;
  m.h.nlmsg_type = known;
  shot("header alone", s, 16);
  link_request(NLM_F_ACK), m.h.nlmsg_len = 17;
  m.h.nlmsg_type = known;
  shot("family alone", s, 17);
  m.h.nlmsg_len = 32, m.body[0] = 200;
  shot("family 200", s, 32);
  m.body[0] = 0;
  // Two in one.
  link_request(NLM_F_ACK), m.h.nlmsg_type = NLMSG_NOOP, m.h.nlmsg_len = sizeof m.h + sizeof m.body;
  m.h2 = m.h, m.h2.nlmsg_seq = 6;
  shot("two", s, sizeof m);
  m.h.nlmsg_len -= 3;
  shot("two, the first odd", s, sizeof m);
  shot("two, the second cut", s, sizeof m - 1);
  m.h.nlmsg_type = 999;
  shot("two, the first unknown", s, sizeof m);
  // Addressed to others.
  struct sockaddr_nl a = at(1234567, 0);
  ret("to nobody", sendto(s, &m, 32, 0, (void *)&a, sizeof a));
  a = at(0, 0);
  ret("short address", sendto(s, &m, 32, 0, (void *)&a, 11));
  a.nl_family = AF_INET;
  ret("another family", sendto(s, &m, 32, 0, (void *)&a, sizeof a));
  a.nl_family = 0;
  ret("no family", sendto(s, &m, 32, 0, (void *)&a, sizeof a));
  ret("bad address", sendto(s, BAD_PTR, 32, 0, NULL, 0));
  say(" %d messages", messages(s));
  close(s);
}

static void test_receive(void) {
  int s = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), one = 1;
  link_request(0);
  m.h.nlmsg_type = NLMSG_NOOP, m.h.nlmsg_flags |= NLM_F_ACK;
  send(s, &m, 32, 0);
  receive("answer", s, 1000, 0);
  setsockopt(s, SOL_SOCKET, SO_PASSCRED, &one, sizeof one);
  setsockopt(s, SOL_NETLINK, NETLINK_PKTINFO, &one, sizeof one);
  send(s, &m, 32, 0);
  receive("answer with everything", s, 1000, MSG_PEEK);
  receive("cut", s, 10, 0);
  send(s, &m, 32, 0);
  ret("whole length", recv(s, buf, 10, MSG_TRUNC));
  send(s, &m, 32, 0);
  ret("read", read(s, buf, 10));
  ret("no more", recv(s, buf, 10, MSG_DONTWAIT));
  send(s, &m, 32, 0);
  struct sockaddr_nl from;
  socklen_t l = 5;
  ret("short name", recvfrom(s, buf, 100, 0, (void *)&from, &l));
  say("length %u", l);
  send(s, &m, 32, 0);
  l = 100;
  ret("bad memory", recvfrom(s, BAD_PTR, 100, 0, NULL, NULL));
  receive("after that", s, 1000, 0);
  send(s, &m, 32, 0);
  ret("empty buffer", recv(s, buf, 0, 0));
  receive("after that", s, 1000, 0);
  // Many answers in one buffer.
  for (int i = 0; i < 3; i++) send(s, &m, 32, 0);
  struct mmsghdr mm[4] = {0};
  struct iovec iov[4];
  for (int i = 0; i < 4; i++) iov[i] = (struct iovec){buf + 1000 * i, 1000}, mm[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1};
  ret("many", recvmmsg(s, mm, 4, MSG_DONTWAIT, NULL));
  say("lengths %d %d %d", mm[0].msg_len, mm[1].msg_len, mm[2].msg_len);
  int small = 1;
  ret("little room", setsockopt(s, SOL_SOCKET, SO_RCVBUF, &small, sizeof small));
  int n = 0;
  for (; n < 300 && send(s, &m, 32, MSG_DONTWAIT) == 32; n++);
  is("all sent", n == 300);
  ret("overrun", recv(s, buf, 100, MSG_DONTWAIT));
  int e = 0;
  l = sizeof e;
  getsockopt(s, SOL_SOCKET, SO_ERROR, &e, &l);
  say("error %d", e);
  for (n = 0; recv(s, buf, 100, MSG_DONTWAIT) > 0; n++);
  is("some arrived", n > 0 && n < 300);
  setsockopt(s, SOL_NETLINK, NETLINK_NO_ENOBUFS, &one, sizeof one);
  for (n = 0; n < 300 && send(s, &m, 32, MSG_DONTWAIT) == 32; n++);
  is("no overrun told", recv(s, buf, 100, MSG_DONTWAIT) > 0);
  close(s);
}

static void test_memberships(void) {
  static const int protocols[] = {NETLINK_ROUTE, NETLINK_USERSOCK, NETLINK_KOBJECT_UEVENT, NETLINK_GENERIC, NETLINK_SOCK_DIAG};
  for (unsigned i = 0; i < sizeof protocols / sizeof *protocols; i++) {
    int s = socket(AF_NETLINK, SOCK_RAW, protocols[i]);
    unsigned words[8];
    socklen_t l = sizeof words;
    int r = getsockopt(s, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, words, &l);
    say("protocol %d: list %d length %u", protocols[i], r, l);
    static const int groups[] = {0, -1, 1, 2, 31, 32, 33, 1000000};
    for (unsigned g = 0; g < sizeof groups / sizeof *groups; g++) {
      // How many families and groups of theirs there are is the machine's.
      if (protocols[i] == NETLINK_GENERIC && groups[g] > 32) continue;
      int add = setsockopt(s, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[g], 4) < 0 ? errno : 0;
      memset(words, 0, sizeof words);
      l = sizeof words;
      getsockopt(s, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, words, &l);
      struct sockaddr_nl a = {0};
      socklen_t n = sizeof a;
      getsockname(s, (void *)&a, &n);
      say("  %d: %s length %u %x %x name %x", groups[g], add ? strerrorname_np(add) : "ok", protocols[i] == NETLINK_GENERIC ? 0 : l, words[0], words[1], a.nl_groups);
    }
    int g = 2;
    ret("  leave", setsockopt(s, SOL_NETLINK, NETLINK_DROP_MEMBERSHIP, &g, 4));
    ret("  leave again", setsockopt(s, SOL_NETLINK, NETLINK_DROP_MEMBERSHIP, &g, 4));
    ret("  short", setsockopt(s, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &g, 3));
    l = 3;
    memset(words, 0, sizeof words);
    ret("  list short", getsockopt(s, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, words, &l));
    say("  length %d", protocols[i] == NETLINK_GENERIC ? 0 : l);
    close(s);
  }
}

// How often /proc/net/netlink and NETLINK_SOCK_DIAG have the socket: once it has a port, the latter with a group, too.
static void listed(const char *name, int s) {
  struct stat st;
  fstat(s, &st);
  char line[256];
  int table = 0, dump = 0;
  FILE *f = fopen("/proc/net/netlink", "r");
  while (f && fgets(line, sizeof line, f)) {
    char *last = strrchr(line, ' ');
    while (last > line && last[1] <= ' ') *last = 0, last = strrchr(line, ' ');
    table += last && strtoul(last, 0, 10) == st.st_ino;
  }
  if (f) fclose(f);
  int d = socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG);
  struct {
    struct nlmsghdr h;
    unsigned char family, protocol;
    unsigned short pad;
    unsigned ino, show, cookie[2];
  } req = {{sizeof req, 20, NLM_F_REQUEST | NLM_F_DUMP, 0, 0}, AF_NETLINK, 255, 0, 0, 0, {0, 0}};
  send(d, &req, sizeof req, 0);
  char buf[16384];
  for (int end = 0; !end;) {
    int n = recv(d, buf, sizeof buf, 0);
    if (n <= 0) break;
    for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, (unsigned)n); h = NLMSG_NEXT(h, n)) {
      if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR) end = 1;
      else dump += ((unsigned *)NLMSG_DATA(h))[4] == (unsigned)st.st_ino;
    }
  }
  close(d);
  say("%s: in the table %d, in the dump %d", name, table, dump);
}

static void test_listed(void) {
  int s = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), g = 1;
  listed("new", s);
  setsockopt(s, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &g, 4);
  listed("in a group", s);
  setsockopt(s, SOL_NETLINK, NETLINK_DROP_MEMBERSHIP, &g, 4);
  struct sockaddr_nl a = {AF_NETLINK, 0, 0, 0};
  bind(s, (void *)&a, sizeof a);
  listed("bound", s);
  close(s);
}

int main(void) {
  // Others send in the network that the machine is in.
  unshare(CLONE_NEWNET);
  test_creation();
  test_bind();
  test_connect();
  test_between();
  test_malformed(NETLINK_ROUTE);
  test_malformed(NETLINK_GENERIC);
  test_malformed(NETLINK_SOCK_DIAG);
  test_malformed(NETLINK_KOBJECT_UEVENT);
  test_receive();
  test_memberships();
  test_listed();
  return 0;
}
