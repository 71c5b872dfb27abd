// link: -w
// Names of sockets: which binds conflict, ephemeral ports, dual stack, names in every state; unix names of every length, control data.
#include "guest.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

static union any {
  struct sockaddr sa;
  struct sockaddr_in in;
  struct sockaddr_in6 in6;
  struct sockaddr_un un;
  struct sockaddr_storage ss;
} one, two;

static const char *addresses[] = {"any4", "lo4", "lo4b", "any6", "lo6", "mapped"};
enum { ANY4, LO4, LO4B, ANY6, LO6, MAPPED, ADDRESSES };

static socklen_t address(union any *a, int which, int port) {
  memset(a, 0, sizeof *a);
  if (which < ANY6) {
    a->in.sin_family = AF_INET, a->in.sin_port = htons(port);
    a->in.sin_addr.s_addr = htonl(which == ANY4 ? INADDR_ANY : which == LO4 ? INADDR_LOOPBACK : INADDR_LOOPBACK + 1);
    return sizeof a->in;
  }
  a->in6.sin6_family = AF_INET6, a->in6.sin6_port = htons(port);
  if (which == LO6) a->in6.sin6_addr = in6addr_loopback;
  if (which == MAPPED) inet_pton(AF_INET6, "::ffff:127.0.0.1", &a->in6.sin6_addr);
  return sizeof a->in6;
}

static int port_of(int s) {
  union any a;
  socklen_t l = sizeof a;
  getsockname(s, &a.sa, &l);
  return ntohs(a.sa.sa_family == AF_INET ? a.in.sin_port : a.in6.sin6_port);
}

// Two binds to one port: both addresses, SO_REUSEADDR and SO_REUSEPORT of each, listening or not.
static void conflicts(int type) {
  for (int a = 0; a < ADDRESSES; a++)
    for (int b = 0; b < ADDRESSES; b++) {
      char line[400];
      int at = 0;
      for (int how = 0; how < 9; how++) {
        // 0: nothing; 1, 2: reuse address of both, of the second; 3, 4: the same and listening; 5, 6: reuse port of both, of one; 7: v6 only; 8: both of both
        int on = 1, ra = how == 1 || how == 3 || how == 8, rb = ra || how == 2 || how == 4, pa = how == 5 || how == 8, pb = pa || how == 6;
        int x = socket(a < ANY6 ? AF_INET : AF_INET6, type, 0), y = socket(b < ANY6 ? AF_INET : AF_INET6, type, 0);
        if (ra) setsockopt(x, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (rb) setsockopt(y, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (pa) setsockopt(x, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
        if (pb) setsockopt(y, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
        if (how == 7) setsockopt(x, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on), setsockopt(y, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
        socklen_t l = address(&one, a, 0);
        const char *first = err(bind(x, &one.sa, l));
        if (how == 3 || how == 4) listen(x, 1);
        l = address(&two, b, port_of(x));
        const char *second = err(bind(y, &two.sa, l));
        at += sprintf(line + at, " %s/%s", first, second);
        if (type == SOCK_STREAM && how > 2 && how < 6 && strcmp(second, "0") == 0) at += sprintf(line + at, "/%s", err(listen(y, 1)));
        close(x), close(y);
      }
      say("%s %s %s:%s", type == SOCK_STREAM ? "tcp" : "udp", addresses[a], addresses[b], line);
    }
}

static void names(const char *what, int s) {
  union any a;
  socklen_t l = sizeof a, m = sizeof a, n = 3;
  const char *own = err(getsockname(s, &a.sa, &l));
  const char *peer = err(getpeername(s, &a.sa, &m));
  const char *cut = err(getsockname(s, &a.sa, &n));
  say("%s: own %s %d, peer %s %d, cut %s %d", what, own, l, peer, m, cut, n);
  n = -1;
  const char *neg = err(getsockname(s, &a.sa, &n));
  n = sizeof a;
  say("%s: negative %s, bad %s %s %s", what, neg, err(getsockname(s, BAD_PTR, &n)), err(getsockname(s, &a.sa, BAD_PTR)), err(getpeername(s, BAD_PTR, &n)));
}

static void inet_names(int type, int which) {
  int s = socket(which < ANY6 ? AF_INET : AF_INET6, type, 0), c = socket(which < ANY6 ? AF_INET : AF_INET6, type, 0);
  names("new", s);
  socklen_t l = address(&one, which, 0);
  say("bind %s, port %d", err(bind(s, &one.sa, l)), port_of(s) > 0);
  say("bind twice %s", err(bind(s, &one.sa, l)));
  names("bound", s);
  if (type == SOCK_STREAM) say("listen unbound %s, port %d", err(listen(c, 1)), port_of(c) > 0), close(c), c = socket(which < ANY6 ? AF_INET : AF_INET6, type, 0);
  if (type == SOCK_STREAM) listen(s, 1);
  names("listening", s);
  l = address(&one, which == ANY4 ? LO4 : which == ANY6 ? LO6 : which, port_of(s));
  say("connect %s", err(connect(c, &one.sa, l)));
  names("connected", c);
  say("bind connected %s", err(bind(c, &one.sa, l)));
  if (type == SOCK_STREAM) {
    int k = accept(s, NULL, NULL);
    names("accepted", k);
    say("bind accepted %s", err(bind(k, &one.sa, l)));
    shutdown(c, SHUT_RDWR);
    names("shut", c);
    close(k);
  }
  say("disconnect %s", err(connect(c, &(struct sockaddr){AF_UNSPEC}, sizeof(struct sockaddr))));
  names("disconnected", c);
  say("port kept %d", port_of(c) > 0);
  close(c);
  c = socket(which < ANY6 ? AF_INET : AF_INET6, type, 0);
  l = address(&one, which, 0);
  for (int len = 0; len <= (int)l + 1; len += len < 4 ? 1 : 4) say("bind of %d bytes %s", len, err(bind(c, &one.sa, len)));
  close(c);
  c = socket(which < ANY6 ? AF_INET : AF_INET6, type, 0);
  say("bind of 200 bytes %s", err(bind(c, &one.sa, 200)));
  say("bind of -1 bytes %s", err(bind(c, &one.sa, -1)));
  say("bind nowhere %s", err(bind(c, BAD_PTR, l)));
  one.sa.sa_family = AF_UNSPEC;
  say("bind of no family %s", err(bind(c, &one.sa, l)));
  one.sa.sa_family = AF_UNIX;
  say("bind of another family %s", err(bind(c, &one.sa, l)));
  say("connect of another family %s", err(connect(c, &one.sa, l)));
  address(&one, which < ANY6 ? LO6 : LO4, 9);
  say("connect of the other family %s", err(connect(c, &one.sa, sizeof one.in6)));
  for (int len = 0; len <= 28; len += len < 4 ? 1 : 4) {
    address(&one, which, 9);
    say("connect of %d bytes %s", len, type == SOCK_STREAM && len >= (int)l ? "-" : err(connect(c, &one.sa, len)));
  }
  close(s), close(c);
}

static socklen_t unix_name(union any *a, const char *name, size_t len) {
  memset(a, 0, sizeof *a);
  a->un.sun_family = AF_UNIX;
  memcpy(a->un.sun_path, name, len);
  return offsetof(struct sockaddr_un, sun_path) + len;
}

static void unix_names(int type) {
  char path[120];
  memset(path, 'p', sizeof path);
  for (int len = 104; len <= 109; len++) {
    int s = socket(AF_UNIX, type, 0);
    socklen_t l = unix_name(&one, path, len > 108 ? 108 : len);
    if (len > 108) l++;
    const char *r = err(bind(s, &one.sa, l));
    union any a;
    socklen_t n = sizeof a;
    getsockname(s, &a.sa, &n);
    struct stat st;
    char file[120] = "";
    memcpy(file, path, len);
    say("path of %d: %s, name of %d, made %s", len, r, n, err(stat(file, &st)));
    unlink(file);
    close(s);
  }
  // A NUL ends a path.
  int s = socket(AF_UNIX, type, 0);
  socklen_t l = unix_name(&one, "cut\0rest", 8);
  say("cut path %s", err(bind(s, &one.sa, l)));
  union any a;
  socklen_t n = sizeof a;
  getsockname(s, &a.sa, &n);
  struct stat st;
  say("name of %d '%s', made %s", n, a.un.sun_path, err(stat("cut", &st)));
  int c = socket(AF_UNIX, type, 0);
  if (type != SOCK_DGRAM) listen(s, 3);
  l = unix_name(&one, "./cut", 5);
  say("connect by another path %s", err(connect(c, &one.sa, l)));
  close(c);
  rename("cut", "moved");
  c = socket(AF_UNIX, type, 0);
  l = unix_name(&one, "moved", 6);
  say("connect after a rename %s", err(connect(c, &one.sa, l)));
  close(c);
  link("moved", "linked");
  c = socket(AF_UNIX, type, 0);
  l = unix_name(&one, "linked", 7);
  say("connect by a link %s", err(connect(c, &one.sa, l)));
  close(c);
  symlink("linked", "symbolic");
  c = socket(AF_UNIX, type, 0);
  l = unix_name(&one, "symbolic", 9);
  say("connect by a symbolic link %s, bind %s", err(connect(c, &one.sa, l)), err(bind(c, &one.sa, l)));
  close(c);
  symlink("nowhere", "dangling");
  c = socket(AF_UNIX, type, 0);
  l = unix_name(&one, "dangling", 9);
  say("dangling %s %s", err(connect(c, &one.sa, l)), err(bind(c, &one.sa, l)));
  l = unix_name(&one, "missing/name", 13);
  say("no directory %s %s", err(connect(c, &one.sa, l)), err(bind(c, &one.sa, l)));
  close(open("file", O_CREAT | O_WRONLY, 0600));
  l = unix_name(&one, "file", 5);
  say("a file %s %s", err(connect(c, &one.sa, l)), err(bind(c, &one.sa, l)));
  l = unix_name(&one, "file/name", 10);
  say("in a file %s %s", err(connect(c, &one.sa, l)), err(bind(c, &one.sa, l)));
  l = unix_name(&one, ".", 2);
  say("a directory %s %s", err(connect(c, &one.sa, l)), err(bind(c, &one.sa, l)));
  unlink("moved"), unlink("linked");
  unlink("symbolic"), unlink("dangling"), unlink("file");
  l = unix_name(&one, "moved", 6);
  say("unlinked %s", err(connect(c, &one.sa, l)));
  names("unlinked", s);
  close(s), close(c);
  // Modes.
  mode_t old = umask(0137);
  s = socket(AF_UNIX, type, 0);
  fchmod(s, 0700);
  l = unix_name(&one, "mode", 5);
  bind(s, &one.sa, l);
  stat("mode", &st);
  say("mode %o", st.st_mode);
  umask(old);
  unlink("mode");
  close(s);
  // Abstract names: every byte counts.
  static const char *abstract[] = {"\0", "\0\0", "\0a", "\0a\0", "\0a\0b", "\0a\0b\0"};
  int made[6];
  char tag[20];
  snprintf(tag, sizeof tag, "%d", getpid());
  for (int i = 0; i < 6; i++) {
    char name[30];
    memcpy(name, abstract[i], i + 1);
    memcpy(name + i + 1, tag, strlen(tag));
    made[i] = socket(AF_UNIX, type, 0);
    l = unix_name(&one, name, i + 1 + strlen(tag));
    say("abstract %d %s", i, err(bind(made[i], &one.sa, l)));
    c = socket(AF_UNIX, type, 0);
    say("again %s", err(bind(c, &one.sa, l)));
    if (type != SOCK_DGRAM) listen(made[i], 1);
    say("one more byte %s", err(connect(c, &one.sa, l + 1)));
    say("connect %s", err(connect(c, &one.sa, l)));
    close(c);
  }
  for (int i = 0; i < 6; i++) close(made[i]);
  c = socket(AF_UNIX, type, 0);
  say("closed %s", err(connect(c, &one.sa, l)));
  say("autobind %s %s", err(bind(c, &one.sa, 2)), err(bind(c, &one.sa, 2)));
  n = sizeof a;
  getsockname(c, &a.sa, &n);
  say("autobound %d, hex %d", n, strspn(a.un.sun_path + 1, "0123456789abcdef") == 5);
  say("bind then %s", err(bind(c, &one.sa, l)));
  if (type != SOCK_DGRAM) say("listen %s", err(listen(c, 1)));
  for (int len = 0; len < 4; len++) say("connect of %d bytes %s", len, err(connect(c, &one.sa, len)));
  one.sa.sa_family = AF_INET;
  say("another family %s", err(connect(c, &one.sa, l)));
  close(c);
}

static void accepted(int type) {
  int on = 1, v = 0, size = 30000;
  socklen_t l = unix_name(&one, "listener", 9), n = sizeof v;
  int s = socket(AF_UNIX, type, 0), c = socket(AF_UNIX, type, 0);
  setsockopt(s, SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
  setsockopt(s, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  setsockopt(s, SOL_SOCKET, SO_RCVLOWAT, &size, sizeof size);
  struct timeval tv = {5, 0};
  setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
  bind(s, &one.sa, l);
  listen(s, 1);
  connect(c, &one.sa, l);
  int k = accept(s, NULL, NULL);
  unlink("listener");
  names("accepted", k);
  names("client", c);
  getsockopt(k, SOL_SOCKET, SO_PASSCRED, &v, &n);
  say("passcred %d", v);
  getsockopt(k, SOL_SOCKET, SO_SNDBUF, &v, &n);
  say("sndbuf is the listener's %d", v == 2 * size);
  getsockopt(k, SOL_SOCKET, SO_RCVLOWAT, &v, &n);
  say("rcvlowat %d", v);
  n = sizeof tv;
  getsockopt(k, SOL_SOCKET, SO_RCVTIMEO, &tv, &n);
  say("timeout %ld", (long)tv.tv_sec);
  say("bind accepted %s", err(bind(k, &one.sa, l)));
  char data[10];
  union any from;
  n = sizeof from;
  send(k, "x", 1, 0);
  say("from the accepted %s", err(recvfrom(c, data, 1, 0, &from.sa, &n)));
  say("name of %d", n);
  n = sizeof from;
  send(c, "x", 1, 0);
  say("from the client %s", err(recvfrom(k, data, 1, 0, &from.sa, &n)));
  say("name of %d", n);
  l = unix_name(&one, "\0client-name", 12);
  say("bind connected %s", err(bind(c, &one.sa, l)));
  n = sizeof from;
  send(c, "x", 1, 0);
  say("from the client %s", err(recvfrom(k, data, 1, 0, &from.sa, &n)));
  say("name of %d", n);
  say("listen connected %s", err(listen(c, 1)));
  close(s);
  names("listener closed", c);
  close(k);
  names("peer closed", c);
  say("connect again %s", err(connect(c, &one.sa, l)));
  close(c);
}

static void datagrams(void) {
  char a[30], b[30], data[20];
  snprintf(a, sizeof a, "%cdg-a-%07d", 0, getpid()), snprintf(b, sizeof b, "%cdg-b-%07d", 0, getpid());
  size_t len = strlen(a + 1) + 1;
  int x = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0), y = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0), z = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  socklen_t l = unix_name(&one, a, len);
  unix_name(&two, b, len);
  bind(x, &one.sa, l), bind(y, &two.sa, l);
  say("to oneself %s %s", err(connect(x, &one.sa, l)), err(send(x, "self", 4, 0)));
  say("received %s", err(recv(x, data, 20, 0)));
  say("queue lost by a new peer: %s %s, then %s", err(connect(x, &two.sa, l)), err(sendto(x, "to y", 4, 0, &one.sa, l)), err(recv(x, data, 20, 0)));
  say("z to y, twice %s %s", err(sendto(z, "1", 1, 0, &two.sa, l)), err(sendto(z, "2", 1, 0, &two.sa, l)));
  say("y connects to x %s", err(connect(y, &one.sa, l)));
  say("what z sent %s", err(recv(y, data, 20, 0)));
  say("z may not %s", err(sendto(z, "3", 1, 0, &two.sa, l)));
  say("y disconnects %s", err(connect(y, &(struct sockaddr){AF_UNSPEC}, sizeof(struct sockaddr))));
  int e = -1;
  socklen_t n = sizeof e;
  getsockopt(x, SOL_SOCKET, SO_ERROR, &e, &n);
  say("x has the error %d", e);
  say("what was left %s", err(recv(y, data, 20, 0)));
  close(y);
  names("peer closed", x);
  struct pollfd p = {x, POLLIN | POLLOUT, 0};
  poll(&p, 1, 0);
  say("poll %x", p.revents);
  say("send %s, again %s", err(send(x, "1", 1, 0)), err(send(x, "1", 1, 0)));
  names("afterwards", x);
  // A full queue.
  y = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  bind(y, &two.sa, l);
  connect(z, &two.sa, l);
  int sent = 0, big = 4 << 20;
  setsockopt(z, SOL_SOCKET, SO_SNDBUFFORCE, &big, sizeof big);
  while (send(z, "m", 1, 0) == 1) sent++;
  say("full %s", strerrorname_np(errno));
  FILE *f = fopen("/proc/sys/net/unix/max_dgram_qlen", "r");
  int most = 0;
  if (f) fscanf(f, "%d", &most), fclose(f);
  say("as many as allowed %d", sent == most + 1);
  p = (struct pollfd){z, POLLIN | POLLOUT, 0};
  poll(&p, 1, 0);
  say("sender's poll %x", p.revents);
  int w = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  say("another's %s", err(sendto(w, "m", 1, 0, &two.sa, l)));
  recv(y, data, 1, 0);
  p.revents = 0;
  poll(&p, 1, 0);
  say("after one was read %x, %s", p.revents, err(send(z, "m", 1, 0)));
  close(w), close(x), close(y), close(z);
}

int main(void) {
  unshare(CLONE_NEWNET);
  signal(SIGPIPE, SIG_IGN);
  struct { char name[16]; short flags; char rest[22]; } up = {"lo", 1};
  int s = socket(AF_INET, SOCK_DGRAM, 0);
  ioctl(s, 0x8914, &up);
  close(s);
  conflicts(SOCK_STREAM);
  conflicts(SOCK_DGRAM);
  inet_names(SOCK_STREAM, LO4);
  inet_names(SOCK_STREAM, ANY6);
  inet_names(SOCK_DGRAM, LO4);
  inet_names(SOCK_DGRAM, ANY6);
  unix_names(SOCK_STREAM);
  unix_names(SOCK_DGRAM);
  unix_names(SOCK_SEQPACKET);
  accepted(SOCK_STREAM);
  accepted(SOCK_SEQPACKET);
  datagrams();
  return 0;
}
