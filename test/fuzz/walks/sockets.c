// Random walks over sockets: of Unix, of IPv4, of IPv6 or of all three, in a network of their own, with few names, so that they meet. No
// call waits. Ports that the kernel chooses are told as such.
#include "walk.h"
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#define SLOTS 9
#define FIRST 40
#define BASE_PORT 20001
#define PORTS 3
static int family; // 0: all
static char data[1 << 18];
static unsigned at_step;
static int flight; // descriptors have been sent: those that only hold each other end some ticks later
static int urgent; // has been sent: what FIONREAD says of streams of Unix then, Linux has not settled

static int fd_of(int k) { return FIRST + k; }
static int slot(void) {
  int k = below(SLOTS);
  for (int i = 0; i < 3 && fcntl(fd_of(k), F_GETFD) < 0; i++) k = below(SLOTS);
  return k;
}
static int domain_of(int k) {
  int v = -1;
  socklen_t len = 4;
  return getsockopt(fd_of(k), SOL_SOCKET, SO_DOMAIN, &v, &len) == 0 ? v : -1;
}
static int type_of(int k) {
  int v = -1;
  socklen_t len = 4;
  return getsockopt(fd_of(k), SOL_SOCKET, SO_TYPE, &v, &len) == 0 ? v : -1;
}
static int put_in(int k, int fd) {
  if (fd < 0) return result(fd);
  dup2(fd, fd_of(k)), close(fd);
  fcntl(fd_of(k), F_SETFL, O_NONBLOCK);
  out(" in %d", k);
  return 0;
}
static int a_family(void) { return family ? family : PICK(AF_UNIX, AF_INET, AF_INET6); }
static int a_type(int f) { return f == AF_UNIX ? PICK(SOCK_STREAM, SOCK_STREAM, SOCK_DGRAM, SOCK_DGRAM, SOCK_SEQPACKET) : PICK(SOCK_STREAM, SOCK_STREAM, SOCK_DGRAM); }

// Names.

union name {
  struct sockaddr any;
  struct sockaddr_un un;
  struct sockaddr_in in;
  struct sockaddr_in6 in6;
  char bytes[200];
};

static void say_name(const union name *n, int len) {
  char text[60] = "";
  if (len < 2) return out(" <%d>", len), (void)0;
  switch (n->any.sa_family) {
    case AF_UNIX: {
      const char *p = n->un.sun_path;
      if (len == 2) out(" unix");
      else if (p[0]) out(" unix %.*s/%d", len - 2, p, len);
      else if (len == 8 && p[1] != 'x') out(" unix auto");
      else out(" unix @%.*s/%d", len - 3, p + 1, len);
      return;
    }
    case AF_INET: {
      int port = ntohs(n->in.sin_port);
      out(len < 8 ? " inet/%d" : " inet %x:%d/%d", len < 8 ? len : ntohl(n->in.sin_addr.s_addr), port >= BASE_PORT + PORTS ? -1 : port, len);
      return;
    }
    case AF_INET6: {
      int port = ntohs(n->in6.sin6_port);
      if (len < 24) return out(" inet6/%d", len), (void)0;
      for (int i = 0; i < 4; i++) sprintf(text + strlen(text), "%x:", ntohl(n->in6.sin6_addr.s6_addr32[i]));
      out(" inet6 %s%d/%d", text, port >= BASE_PORT + PORTS ? -1 : port, len);
      return;
    }
    default: out(" family %d/%d", n->any.sa_family, len);
  }
}

static int in6_of(struct in6_addr *to) {
  static const char six[][16] = {{[15] = 1}, {[15] = 1}, {0}, {[10] = -1, [11] = -1, [12] = 127, [15] = 1}, {[10] = -1, [11] = -1}};
  memcpy(to, six[below(5)], 16);
  return 0;
}

// A name: its length.
static int some_name(union name *n, int f) {
  memset(n, 0, sizeof *n);
  if (one_in(15)) f = PICK(AF_UNIX, AF_INET, AF_INET6, AF_UNSPEC);
  n->any.sa_family = f;
  int odd = one_in(20);
  switch (f) {
    case AF_UNIX: {
      static const char *const names[] = {"a", "b", "d/a", "c", "none/a", "f", "@x1", "@x2", "@xx", "@x1"};
      const char *name = names[below(10)];
      if (one_in(12)) return 2;
      strcpy(n->un.sun_path, name);
      if (name[0] == '@') n->un.sun_path[0] = 0;
      return odd ? PICK(1, 3, 111, 110, 0, 150) : 2 + strlen(name) + (name[0] == '@' ? 0 : PICK(0, 1));
    }
    case AF_INET:
      n->in.sin_port = htons(one_in(8) ? 0 : BASE_PORT + below(PORTS));
      n->in.sin_addr.s_addr = htonl(PICK(INADDR_LOOPBACK, INADDR_LOOPBACK, INADDR_LOOPBACK, INADDR_LOOPBACK + 1, 0, 0));
      return odd ? PICK(2, 8, 15, 17, 100) : 16;
    case AF_INET6:
      n->in6.sin6_port = htons(one_in(8) ? 0 : BASE_PORT + below(PORTS));
      in6_of(&n->in6.sin6_addr);
      return odd ? PICK(2, 16, 23, 24, 27, 100) : 28;
    default: return PICK(2, 16, 28);
  }
}

// What is seen of all.

static void look(char *to, size_t room) {
  char *p = to;
  for (int k = 0; k < SLOTS; k++) {
    struct pollfd f = {fd_of(k), 0x3fff};
    int d = domain_of(k), type = type_of(k), n;
    if (d < 0) continue;
    poll(&f, 1, 0);
    p += snprintf(p, room - (p - to), " %d:%s%d %x", k, d == AF_UNIX ? "u" : d == AF_INET ? "i" : "s", type, f.revents);
    if (!(urgent && d == AF_UNIX && type == SOCK_STREAM) && ioctl(fd_of(k), FIONREAD, &n) == 0) p += snprintf(p, room - (p - to), "/%d", n);
    if (d == AF_UNIX && ioctl(fd_of(k), TIOCOUTQ, &n) == 0) p += snprintf(p, room - (p - to), "/%d", n);
  }
  snprintf(p, room - (p - to), "\n");
}

static void state(char *to, size_t room) {
  static char before[4000];
  // The end of a socket makes Linux look for those that only hold each other.
  close(socket(AF_UNIX, SOCK_DGRAM, 0));
  look(to, room);
  // That, and what the network has on its way, is done a moment later.
  for (int same = 0; same < 2;) {
    strcpy(before, to);
    nanosleep(&(struct timespec){0, flight ? 10000000 : 300000}, NULL);
    look(to, room);
    same = strcmp(before, to) == 0 ? same + 1 : 0;
  }
}

// Operations.

static int amount(int k) {
  if (domain_of(k) != AF_UNIX) return PICK(0, 1, 2, 10, 100, 1000, 3000);
  return PICK(0, 1, 2, 5, 10, 100, 1000, 5000, 40000, 100000, 213000);
}

static void show(const char *p, int n) {
  for (int i = 0, shown = 0; i < n && shown < 12; shown++) {
    int same = 1;
    while (i + same < n && p[i + same] == p[i]) same++;
    out(" %c*%d", p[i], same);
    i += same;
  }
}

static int some_flags(void) { return PICK(0, 0, 0, 0, MSG_DONTWAIT, MSG_OOB, MSG_EOR, MSG_MORE, MSG_NOSIGNAL); }

static int fill(int n) {
  memset(data, 'a' + at_step % 26, n);
  if (n > 2) data[0] = 'A' + at_step % 26;
  return n;
}

static void do_send(void) {
  int k = slot(), n = fill(amount(k)), flags = some_flags(), len = 0, d = domain_of(k);
  union name to;
  if (type_of(k) == SOCK_DGRAM ? one_in(2) : one_in(10)) len = some_name(&to, d < 0 ? AF_UNIX : d);
  out("send(%d, %d, %x", k, n, flags);
  if (len) out(","), say_name(&to, len);
  out(")");
  urgent |= flags & MSG_OOB;
  result(sendto(fd_of(k), data, n, flags, len ? &to.any : NULL, len));
}

static void do_sendmsg(void) {
  int k = slot(), n = fill(amount(k)), flags = some_flags(), d = domain_of(k), rights = below(4), creds = one_in(3);
  struct ucred *c;
  union name to;
  char control[200] __attribute__((aligned(8))) = {0};
  struct iovec v[2] = {{data, n / 2}, {data + n / 2, n - n / 2}};
  struct msghdr m = {.msg_iov = v, .msg_iovlen = 2, .msg_control = control};
  struct cmsghdr *h = (void *)control;
  if (type_of(k) == SOCK_DGRAM && one_in(3)) m.msg_name = &to, m.msg_namelen = some_name(&to, d < 0 ? AF_UNIX : d);
  out("sendmsg(%d, %d, %x", k, n, flags);
  if (m.msg_name) out(","), say_name(&to, m.msg_namelen);
  if (rights) {
    flight = 1;
    *h = (struct cmsghdr){CMSG_LEN(4 * rights), SOL_SOCKET, SCM_RIGHTS};
    for (int i = 0; i < rights; i++) {
      int f = slot();
      ((int *)CMSG_DATA(h))[i] = fd_of(f), out(", fd %d", f);
    }
    h = (void *)((char *)h + CMSG_SPACE(4 * rights));
  }
  if (creds) {
    *h = (struct cmsghdr){CMSG_LEN(12), SOL_SOCKET, SCM_CREDENTIALS};
    c = (void *)CMSG_DATA(h), *c = (struct ucred){getpid(), PICK(0, 5), PICK(0, 7)};
    out(", creds %d %d", c->uid, c->gid);
    h = (void *)((char *)h + CMSG_SPACE(12));
  }
  m.msg_controllen = (char *)h - control;
  if (m.msg_controllen && one_in(15)) m.msg_controllen -= PICK(1, 4, 9), out(", short");
  urgent |= flags & MSG_OOB;
  out(")"), result(sendmsg(fd_of(k), &m, flags));
}

static void do_recv(void) {
  int k = slot(), n = amount(k), flags = PICK(0, 0, 0, MSG_PEEK, MSG_PEEK, MSG_TRUNC, MSG_PEEK | MSG_TRUNC, MSG_OOB, MSG_OOB | MSG_PEEK, MSG_WAITALL, MSG_DONTWAIT, MSG_ERRQUEUE);
  union name from = {0};
  char control[300] __attribute__((aligned(8)));
  struct iovec v[2] = {{data, n / 3}, {data + n / 3, n - n / 3}};
  struct msghdr m = {&from, sizeof from, v, 2, control, PICK(0, 12, 16, 20, 24, 28, 40, 64, 300), 0x7777};
  memset(data, '.', n);
  out("recv(%d, %d, %x, %zu)", k, n, flags, m.msg_controllen);
  int got = result(recvmsg(fd_of(k), &m, flags | MSG_CMSG_CLOEXEC));
  if (got < 0) return;
  show(data, got < n ? got : n);
  out(" flags %x control %zu", m.msg_flags, m.msg_controllen);
  if (m.msg_namelen) say_name(&from, m.msg_namelen);
  for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) {
    out(" [%d %d %zu", h->cmsg_level, h->cmsg_type, h->cmsg_len);
    int ints = (h->cmsg_len - sizeof *h) / 4, *value = (void *)CMSG_DATA(h);
    if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS) {
      // The first becomes a slot's.
      for (int i = 0; i < ints; i++)
        if (i == 0) put_in(slot(), value[i]);
        else close(value[i]);
    } else if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_CREDENTIALS && ints == 3)
      out(" %s %d %d", value[0] == getpid() ? "self" : value[0] ? "other" : "none", value[1], value[2]);
    out("]");
  }
}

static void do_name(void) {
  union name n;
  int k = slot(), peer = one_in(2);
  socklen_t len = PICK(sizeof n, sizeof n, sizeof n, 0, 1, 2, 4, 8, 16, 20, -1), room = len;
  memset(&n, 0, sizeof n);
  out("%s(%d, %d)", peer ? "getpeername" : "getsockname", k, (int)len);
  if (result(peer ? getpeername(fd_of(k), &n.any, &len) : getsockname(fd_of(k), &n.any, &len)) != 0) return;
  out(" %d", (int)len);
  if (len <= room) say_name(&n, len);
}

// Options whose values say more than what was done to the socket.
static int varies(int level, int name) {
  if (level == SOL_TCP) return name != TCP_NODELAY && name != TCP_CORK && name != TCP_KEEPIDLE && name != TCP_DEFER_ACCEPT && name != TCP_MAXSEG;
  if (level != SOL_SOCKET) return level == IPPROTO_IP && (name == 14 || name == 25) || level == IPPROTO_IPV6 && (name == 24 || name == 61);
  switch (name) {
    case SO_COOKIE: case SO_NETNS_COOKIE: case SO_MEMINFO: case SO_INCOMING_CPU: case SO_INCOMING_NAPI_ID: case 77 /* SO_PEERPIDFD */: case SO_PEERCRED: case SO_PEERSEC: case SO_PEERNAME: return 1;
    case SO_RCVBUF: case SO_SNDBUF: return family != AF_UNIX;
    default: return 0;
  }
}

static void do_get(void) {
  unsigned char value[300];
  int k = slot(), d = domain_of(k), level = PICK(SOL_SOCKET, SOL_SOCKET, SOL_SOCKET, SOL_TCP, IPPROTO_UDP, IPPROTO_IP, IPPROTO_IPV6, 5);
  int name = level == SOL_SOCKET ? one_in(30) ? PICK(-1, 90, 1000) : below(85) : below(64);
  socklen_t len = PICK(4, 4, 4, 0, 1, 2, 8, 12, 16, 100, 300, -1), room = len;
  if (level == SOL_SOCKET && name == 77) name = SO_ERROR;
  memset(value, 0xee, sizeof value);
  out("getsockopt(%d, %d, %d, %d)", k, level, name, (int)len);
  if (result(getsockopt(fd_of(k), level, name, value, &len)) != 0) return;
  if (level == SOL_TCP && varies(level, name)) return;
  out(" %d", (int)len);
  if (!varies(level, name)) for (int i = 0; i < (int)len && i < 16 && i < (int)room; i++) out(" %x", value[i]);
}

static void do_set(void) {
  int k = slot(), d = domain_of(k), v[4] = {PICK(0, 0, 1, 1, 1, 2, 5, 100, -1), PICK(0, 0, 0, 1), 0, 0}, len = PICK(4, 4, 4, 4, 4, 4, 4, 4, 8, 16, 3, 1, 0), level = SOL_SOCKET, name;
  if (d != AF_UNIX && one_in(2)) {
    level = PICK(SOL_TCP, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_UDP);
    name = level == SOL_TCP ? PICK(TCP_NODELAY, TCP_CORK, TCP_KEEPIDLE, TCP_MAXSEG, TCP_USER_TIMEOUT, TCP_INQ, 200)
           : level == IPPROTO_UDP ? PICK(101, 102, 200)
           : level == IPPROTO_IP ? PICK(1, 2, 8, 10, 11, 12, 13, 20, 32, 33, 34, 49, 50) : PICK(IPV6_V6ONLY, IPV6_V6ONLY, IPV6_V6ONLY, IPV6_RECVPKTINFO, IPV6_TCLASS, IPV6_RECVTCLASS, IPV6_UNICAST_HOPS, IPV6_RECVERR, IPV6_ADDRFORM);
  } else name = PICK(SO_REUSEADDR, SO_REUSEADDR, SO_REUSEADDR, SO_REUSEPORT, SO_REUSEPORT, SO_KEEPALIVE, SO_OOBINLINE, SO_OOBINLINE, SO_LINGER, SO_PASSCRED, SO_PASSCRED, SO_PEEK_OFF, SO_PEEK_OFF, SO_RCVLOWAT, SO_PRIORITY, SO_BROADCAST, SO_DONTROUTE, SO_ZEROCOPY, SO_LOCK_FILTER, SO_BUF_LOCK, SO_MARK, 83);
  // Lingering waits.
  if (level == SOL_SOCKET && name == SO_LINGER) v[1] = 0, len = PICK(8, 8, 8, 4);
  if (level == SOL_SOCKET && d == AF_UNIX && one_in(5)) name = SO_SNDBUF, v[0] = PICK(0, 2000, 5000, 50000, 212992), len = 4;
  out("setsockopt(%d, %d, %d, %d %d, %d)", k, level, name, v[0], v[1], len), result(setsockopt(fd_of(k), level, name, v, len));
}

static void do_connect(void) {
  union name n;
  int k = slot(), d = domain_of(k), len = some_name(&n, d < 0 ? AF_UNIX : d);
  if (one_in(8)) n.any.sa_family = AF_UNSPEC;
  out("connect(%d,", k), say_name(&n, len), out(")");
  result(connect(fd_of(k), &n.any, len));
}

static void do_accept(void) {
  union name n;
  int k = slot();
  socklen_t len = PICK(sizeof n, sizeof n, 0, 2, 5), room = len;
  memset(&n, 0, sizeof n);
  out("accept(%d, %d)", k, (int)len);
  int fd = accept(fd_of(k), &n.any, &len);
  if (put_in(slot(), fd) != 0) return;
  out(" %d", (int)len);
  if (len <= room) say_name(&n, len);
}

static void do_socket(int k) {
  int f = a_family(), type = a_type(f), fds[2];
  if (f == AF_UNIX && one_in(3)) {
    out("socketpair(%d, %d)", f, type);
    if (socketpair(f, type, 0, fds) == 0) put_in(k, fds[0]), put_in((k + 1) % SLOTS, fds[1]);
  } else out("socket(%d, %d)", f, type), put_in(k, socket(f, type, 0));
}

static void begin(uint64_t seed) {
  char dir[40];
  struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING | IFF_LOOPBACK};
  for (int i = 0; i < 10000; i++) {
    snprintf(dir, sizeof dir, "sockets%d", i);
    if (mkdir(dir, 0777) == 0) break;
  }
  chdir(dir);
  mkdir("d", 0755), close(creat("f", 0600));
  signal(SIGPIPE, SIG_IGN), signal(SIGURG, SIG_IGN);
  if (unshare(CLONE_NEWNET) != 0) out("no network: %s\n", strerrorname_np(errno));
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  if (ioctl(fd, SIOCSIFFLAGS, &lo) != 0) out("no loopback: %s\n", strerrorname_np(errno));
  close(fd);
  family = PICK(AF_UNIX, AF_UNIX, AF_INET, AF_INET6, 0);
  out("family %d\n", family);
  for (int i = 0; i < 5; i++) do_socket(below(SLOTS)), out("\n");
}

static void step(unsigned i) {
  int k = slot(), j = slot(), f = a_family(), v, len;
  union name n;
  at_step = i;
  switch (below(36)) {
    case 0 ... 3: do_socket(below(SLOTS)); break;
    case 4 ... 5:
      out("like(%d)", k), v = domain_of(k) < 0 ? AF_UNIX : domain_of(k), len = type_of(k);
      put_in(below(SLOTS), socket(v, len < 0 ? SOCK_STREAM : len, 0));
      break;
    case 6 ... 9:
      if (domain_of(k) > 0) f = domain_of(k);
      len = some_name(&n, f);
      out("bind(%d,", k), say_name(&n, len), out(")"), result(bind(fd_of(k), &n.any, len)); break;
    case 10 ... 11:
      v = domain_of(k) == AF_UNIX ? PICK(0, 0, 1, 3, -1) : PICK(16, 128);
      out("listen(%d, %d)", k, v), result(listen(fd_of(k), v)); break;
    case 12 ... 15: do_connect(); break;
    case 16 ... 17: do_accept(); break;
    case 18 ... 20: do_send(); break;
    case 21 ... 22: do_sendmsg(); break;
    case 23 ... 26: do_recv(); break;
    case 27: v = PICK(0, 1, 1, 2, 3), out("shutdown(%d, %d)", k, v), result(shutdown(fd_of(k), v)); break;
    case 28: out("close(%d)", k), result(close(fd_of(k))); break;
    case 29:
      if (one_in(3)) out("dup(%d, %d)", k, j), done(dup2(fd_of(k), fd_of(j)));
      else if (one_in(2)) out("unlink a"), result(unlink("a"));
      else out("rename b c"), result(rename("b", "c"));
      break;
    case 30: do_name(); break;
    case 31 ... 32: do_get(); break;
    case 33 ... 34: do_set(); break;
    default: v = -5, out("atmark(%d)", k), result(ioctl(fd_of(k), SIOCATMARK, &v)), out(" %d", v);
  }
}
