// link: -w
// TCP on loopback: every call in every state, states by poll, options that have an effect, resets, urgent data, peeks, fast open.
#include "ready.h"
#include <arpa/inet.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

static char buf[1 << 17];
static struct sockaddr_in at;

static int option(int s, int level, int name) {
  int v = -1;
  socklen_t l = sizeof v;
  return getsockopt(s, level, name, &v, &l) < 0 ? -errno : v;
}

static int set(int s, int level, int name, int v) { return setsockopt(s, level, name, &v, sizeof v) < 0 ? -errno : 0; }

static int listener(int backlog) {
  int s = socket(AF_INET, SOCK_STREAM, 0);
  at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  bind(s, (void *)&at, sizeof at);
  socklen_t l = sizeof at;
  getsockname(s, (void *)&at, &l);
  listen(s, backlog);
  return s;
}

static void pair(int *p) {
  int l = listener(4);
  p[0] = socket(AF_INET, SOCK_STREAM, 0);
  connect(p[0], (void *)&at, sizeof at);
  p[1] = accept(l, NULL, NULL);
  close(l);
}

// States: 5 is FIN_WAIT2, 7 CLOSE (net/tcp_states.h).

// Every call on a socket in the state that it is in.
static void calls(const char *name, int (*make)(int *)) {
  static const char *what[] = {"send", "recv", "peek", "oob", "connect", "listen", "accept", "bind", "name", "peer", "rd", "wr", "both", "inq", "outq", "mark", "unspecified", "write0", "read0"};
  char line[900];
  int n = 0;
  for (unsigned c = 0; c < sizeof what / sizeof *what; c++) {
    int other = -1, s = make(&other), v = 0;
    struct sockaddr_in a;
    socklen_t l = sizeof a;
    struct sockaddr none = {AF_UNSPEC};
    long r = 0;
    if (c == 0) n += sprintf(line + n, "poll %x error %d state %d", mask(s), option(s, SOL_SOCKET, SO_ERROR), tcp_state(s));
    switch (c) {
      case 0: r = send(s, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT); break;
      case 1: r = recv(s, buf, 10, MSG_DONTWAIT); break;
      case 2: r = recv(s, buf, 10, MSG_DONTWAIT | MSG_PEEK); break;
      case 3: r = recv(s, buf, 10, MSG_DONTWAIT | MSG_OOB); break;
      case 4: fcntl(s, F_SETFL, O_NONBLOCK), r = connect(s, (void *)&at, sizeof at); break;
      case 5: r = listen(s, 3); break;
      case 6: fcntl(s, F_SETFL, O_NONBLOCK), r = accept(s, NULL, NULL), r = r > 0 ? close(r) : r; break;
      case 7: a = (struct sockaddr_in){.sin_family = AF_INET}, r = bind(s, (void *)&a, sizeof a); break;
      case 8: r = getsockname(s, (void *)&a, &l); break;
      case 9: r = getpeername(s, (void *)&a, &l); break;
      case 10: r = shutdown(s, SHUT_RD); break;
      case 11: r = shutdown(s, SHUT_WR); break;
      case 12: r = shutdown(s, SHUT_RDWR); break;
      case 13: r = ioctl(s, SIOCINQ, &v), r = r < 0 ? r : v; break;
      case 14: r = ioctl(s, SIOCOUTQ, &v), r = r < 0 ? r : v > 0; break;
      case 15: r = ioctl(s, 0x8905, &v), r = r < 0 ? r : v; break;
      case 16: r = connect(s, &none, sizeof none); break;
      case 17: signal(SIGPIPE, SIG_IGN), r = write(s, "", 0); break;
      case 18: r = read(s, buf, 0); break;
    }
    n += sprintf(line + n, " %s %s", what[c], err(r));
    if (c >= 10 && c <= 12) n += sprintf(line + n, "(%x)", mask(s));
    close(s);
    if (other >= 0) close(other);
  }
  say("%s: %s", name, line);
}

static int fresh(int *o) { return listener(1), *o = -1, socket(AF_INET, SOCK_STREAM, 0); }
static int is_bound(int *o) {
  int s = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in a = {.sin_family = AF_INET};
  *o = listener(1);
  bind(s, (void *)&a, sizeof a);
  return s;
}
static int listening(int *o) { return *o = -1, listener(1); }
static int waiting(int *o) {
  int s = listener(1);
  *o = socket(AF_INET, SOCK_STREAM, 0);
  connect(*o, (void *)&at, sizeof at);
  until(s, POLLIN);
  return s;
}
static int connected(int *o) {
  int p[2];
  pair(p);
  *o = p[1];
  return p[0];
}
static int with_data(int *o) {
  int s = connected(o);
  send(*o, "hello", 5, 0);
  until(s, POLLIN);
  return s;
}
static int peer_done(int *o) {
  int s = connected(o);
  shutdown(*o, SHUT_WR);
  until(s, POLLRDHUP);
  return s;
}
static int peer_gone(int *o) {
  int s = connected(o);
  close(*o), *o = -1;
  until(s, POLLRDHUP);
  return s;
}
static int done(int *o) {
  int s = connected(o);
  shutdown(s, SHUT_WR);
  until_tcp_state(s, 5);
  return s;
}
static int both_done(int *o) {
  int s = connected(o);
  shutdown(*o, SHUT_WR);
  until(s, POLLRDHUP);
  shutdown(s, SHUT_WR);
  until_tcp_state(s, 7);
  return s;
}
static int reset(int *o) {
  int s = connected(o);
  send(s, "unread", 6, 0);
  until(*o, POLLIN);
  close(*o), *o = -1;
  until(s, POLLERR);
  return s;
}
static int refused(int *o) {
  int l = listener(1), s = socket(AF_INET, SOCK_STREAM, 0);
  close(l), *o = -1;
  connect(s, (void *)&at, sizeof at);
  return s;
}
static int refused_later(int *o) {
  int l = listener(1), s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  close(l), *o = -1;
  connect(s, (void *)&at, sizeof at);
  until(s, POLLERR);
  return s;
}
static int read_shut(int *o) {
  int s = with_data(o);
  shutdown(s, SHUT_RD);
  return s;
}
static int disconnected(int *o) {
  int s = connected(o);
  struct sockaddr none = {AF_UNSPEC};
  connect(s, &none, sizeof none);
  return s;
}
static int was_listening(int *o) {
  int s = listener(1);
  *o = -1;
  shutdown(s, SHUT_RD);
  return s;
}

static void test_states(void) {
  calls("fresh", fresh), calls("bound", is_bound), calls("listening", listening), calls("somebody waiting", waiting), calls("connected", connected), calls("with data", with_data);
  calls("peer has shut", peer_done), calls("peer is gone", peer_gone), calls("has shut", done), calls("both have shut", both_done), calls("reset", reset);
  calls("refused", refused), calls("refused later", refused_later), calls("shut for reading", read_shut), calls("disconnected", disconnected), calls("was listening", was_listening);
}

static void test_self(void) {
  int s = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, b;
  socklen_t l = sizeof a;
  bind(s, (void *)&a, sizeof a);
  getsockname(s, (void *)&a, &l);
  ret("connect to itself", connect(s, (void *)&a, sizeof a));
  ret("send", send(s, "hello", 5, 0));
  ret("recv", recv(s, buf, 10, 0));
  getpeername(s, (void *)&b, &l);
  is("its own peer", b.sin_port == a.sin_port);
  ret("shut", shutdown(s, SHUT_WR));
  ret("end", recv(s, buf, 10, 0));
  close(s);
}

static void test_urgent(void) {
  int p[2], v;
  pair(p);
  send(p[0], "ab", 2, 0), send(p[0], "c", 1, MSG_OOB), send(p[0], "de", 2, 0);
  say("poll %x", until(p[1], POLLPRI));
  until(p[1], POLLIN);
  for (int i = 0; i < 5000 && (ioctl(p[1], SIOCINQ, &v), v < 2); i++) sleep_ms(1);
  say("queued %d", v);
  ioctl(p[1], 0x8905, &v), say("at mark %d", v);
  say("up to the mark %s", err(recv(p[1], buf, 10, 0)));
  ioctl(p[1], 0x8905, &v), say("at mark %d", v);
  say("peek %s %c", err(recv(p[1], buf, 10, MSG_OOB | MSG_PEEK)), buf[0]);
  say("urgent %s %c", err(recv(p[1], buf, 10, MSG_OOB)), buf[0]);
  say("again %s", err(recv(p[1], buf, 10, MSG_OOB)));
  say("rest %s %.2s", err(recv(p[1], buf, 10, 0)), buf);
  say("none %s", err(recv(p[1], buf, 10, MSG_OOB)));
  set(p[1], SOL_SOCKET, SO_OOBINLINE, 1);
  send(p[0], "xyz", 3, MSG_OOB);
  until(p[1], POLLPRI);
  say("before the inline one %s", err(recv(p[1], buf, 10, 0)));
  say("inline %s %c", err(recv(p[1], buf, 10, 0)), buf[0]);
  close(p[0]), close(p[1]);
}

static void test_options(void) {
  static const struct {
    const char *name;
    int option, values[6];
  } options[] = {
      {"NODELAY", TCP_NODELAY, {0, 1, 2, -1, 5, 0}}, {"CORK", TCP_CORK, {0, 1, 2, -1, 5, 0}}, {"KEEPIDLE", TCP_KEEPIDLE, {0, 1, 32767, 32768, -1, 60}}, {"KEEPINTVL", TCP_KEEPINTVL, {0, 1, 32767, 32768, -1, 60}},
      {"KEEPCNT", TCP_KEEPCNT, {0, 1, 127, 128, -1, 9}}, {"SYNCNT", TCP_SYNCNT, {0, 1, 127, 128, -1, 9}}, {"LINGER2", TCP_LINGER2, {0, 1, 60, 61, -1, 200}}, {"DEFER_ACCEPT", TCP_DEFER_ACCEPT, {0, 1, 2, 100, -1, 3}},
      {"WINDOW_CLAMP", TCP_WINDOW_CLAMP, {0, 1, 2000, 70000, -1, 3}}, {"QUICKACK", TCP_QUICKACK, {0, 1, 2, 3, 0, 1}}, {"USER_TIMEOUT", TCP_USER_TIMEOUT, {0, 1, 10000, 70000, -1, 3}}, {"FASTOPEN", TCP_FASTOPEN, {0, 1, 5, 100000, -1, 3}},
      {"NOTSENT_LOWAT", TCP_NOTSENT_LOWAT, {0, 1, 10000, 70000, -1, 3}}, {"FASTOPEN_CONNECT", TCP_FASTOPEN_CONNECT, {0, 1, 2, -1, 0, 3}}, {"FASTOPEN_NO_COOKIE", TCP_FASTOPEN_NO_COOKIE, {0, 1, 2, -1, 0, 3}}, {"INQ", TCP_INQ, {0, 1, 2, -1, 0, 3}},
      {"TX_DELAY", TCP_TX_DELAY, {0, 1, 2, -1, 0, 3}}, {"SAVE_SYN", TCP_SAVE_SYN, {0, 1, 2, 3, -1, 0}}, {"THIN_LINEAR", TCP_THIN_LINEAR_TIMEOUTS, {0, 1, 2, -1, 0, 1}}, {"THIN_DUPACK", TCP_THIN_DUPACK, {0, 1, 2, -1, 0, 1}}, {"MAXSEG", TCP_MAXSEG, {0, 1, 88, 1000, 32768, -1}},
      {"TIMESTAMP", TCP_TIMESTAMP, {0, 1, 2, -1, 0, 1}}, {"REPAIR", TCP_REPAIR, {0, 1, 2, -1, 0, 1}}, {"REPAIR_QUEUE", TCP_REPAIR_QUEUE, {0, 1, 2, -1, 0, 1}},
  };
  for (int state = 0; state < 3; state++) {
    for (unsigned i = 0; i < sizeof options / sizeof *options; i++) {
      // The privilege to repair is the machine's.
      if (options[i].option == TCP_REPAIR || options[i].option == TCP_REPAIR_QUEUE) continue;
      char line[400];
      int at_ = 0, p[2] = {-1, -1}, s;
      if (state == 2) pair(p), s = p[0];
      else s = state == 0 ? socket(AF_INET, SOCK_STREAM, 0) : listener(1);
      int hide = options[i].option == TCP_TIMESTAMP || (options[i].option == TCP_WINDOW_CLAMP && state == 2) || options[i].option == TCP_NOTSENT_LOWAT || options[i].option == TCP_MAXSEG;
      for (int k = 0; k < 6; k++) {
        int r = set(s, IPPROTO_TCP, options[i].option, options[i].values[k]);
        at_ += sprintf(line + at_, " %s", r < 0 ? strerrorname_np(-r) : "0");
        if (!hide && options[i].option != TCP_QUICKACK) at_ += sprintf(line + at_, ">%d", option(s, IPPROTO_TCP, options[i].option));
      }
      say("%s of %s:%s", options[i].name, state == 0 ? "fresh" : state == 1 ? "listening" : "connected", line);
      close(s);
      if (p[1] >= 0) close(p[1]);
    }
  }
}

static void test_inq(void) {
  int p[2], one = 1;
  pair(p);
  set(p[1], IPPROTO_TCP, TCP_INQ, one);
  send(p[0], "0123456789", 10, 0);
  until(p[1], POLLIN);
  char control[64];
  struct iovec iov = {buf, 4};
  struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  ret("some", recvmsg(p[1], &m, 0));
  struct cmsghdr *c = CMSG_FIRSTHDR(&m);
  say("left %d", c && c->cmsg_level == IPPROTO_TCP && c->cmsg_type == TCP_CM_INQ ? *(int *)CMSG_DATA(c) : -1);
  ret("thrown away", recv(p[1], NULL, 3, MSG_TRUNC));
  ret("rest", recv(p[1], buf, 10, 0));
  say("%.3s", buf);
  send(p[0], "ab", 2, 0);
  until(p[1], POLLIN);
  ret("peek more than there is", recv(p[1], buf, 10, MSG_PEEK));
  ret("wait for all, not blocking", recv(p[1], buf, 10, MSG_WAITALL | MSG_DONTWAIT));
  ret("cork", set(p[0], IPPROTO_TCP, TCP_CORK, 1));
  send(p[0], "ab", 2, 0);
  int v;
  ioctl(p[0], SIOCOUTQNSD, &v), say("not sent %d", v);
  ret("uncork", set(p[0], IPPROTO_TCP, TCP_CORK, 0));
  until(p[1], POLLIN);
  ret("recv", recv(p[1], buf, 10, 0));
  send(p[0], "ab", 2, MSG_MORE), send(p[0], "cd", 2, 0);
  until(p[1], POLLIN);
  ret("recv", recv(p[1], buf, 10, 0));
  ret("accept flags", accept4(p[0], NULL, NULL, 1));
  // Into sockets and out of them.
  int f = open("file", O_RDWR | O_CREAT, 0600), pipes[2];
  write(f, "from a file", 11);
  lseek(f, 0, SEEK_SET);
  ret("sendfile", sendfile(p[0], f, NULL, 100));
  until(p[1], POLLIN);
  pipe(pipes);
  ret("splice", splice(p[1], NULL, pipes[1], NULL, 100, 0));
  ret("and back", splice(pipes[0], NULL, p[0], NULL, 4, SPLICE_F_MORE));
  ret("rest", splice(pipes[0], NULL, p[0], NULL, 100, 0));
  until(p[1], POLLIN);
  for (v = 0; v < 11;) ioctl(p[1], SIOCINQ, &v);
  ret("read", read(p[1], buf, 100));
  ret("from a socket", sendfile(p[0], p[1], NULL, 10));
  close(p[0]), close(p[1]), close(f);
}

static void test_fastopen(void) {
  int l = listener(4), v = 5;
  ret("server", setsockopt(l, IPPROTO_TCP, TCP_FASTOPEN, &v, sizeof v));
  int c = socket(AF_INET, SOCK_STREAM, 0);
  ret("data with the connection", sendto(c, "early", 5, MSG_FASTOPEN, (void *)&at, sizeof at));
  int s = accept(l, NULL, NULL);
  until(s, POLLIN);
  ret("recv", recv(s, buf, 10, 0));
  ret("again", sendto(c, "late", 4, MSG_FASTOPEN, (void *)&at, sizeof at));
  ret("nowhere", sendto(c, "late", 4, MSG_FASTOPEN, NULL, 0));
  close(s), close(c);
  c = socket(AF_INET, SOCK_STREAM, 0);
  ret("option", set(c, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1));
  ret("connect", connect(c, (void *)&at, sizeof at));
  ret("write", write(c, "data", 4));
  s = accept(l, NULL, NULL);
  until(s, POLLIN);
  ret("recv", recv(s, buf, 10, 0));
  close(s), close(c);
  c = socket(AF_INET, SOCK_STREAM, 0);
  ret("nowhere", sendto(c, "x", 1, MSG_FASTOPEN, NULL, 0));
  ret("unspecified", sendto(c, "x", 1, MSG_FASTOPEN, (void *)&(struct sockaddr){AF_UNSPEC}, sizeof(struct sockaddr)));
  close(c), close(l);
}

static void test_backlog(void) {
  int l = listener(1), c[8], n = 0;
  for (int i = 0; i < 8; i++) {
    c[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    connect(c[i], (void *)&at, sizeof at);
    if (mask(c[i]) & POLLOUT) n++;
  }
  say("taken %d", n);
  say("listen again %s", err(listen(l, 5)));
  struct tcp_info t;
  socklen_t k = sizeof t;
  getsockopt(l, IPPROTO_TCP, TCP_INFO, &t, &k), say("waiting %u of %u", t.tcpi_unacked, t.tcpi_sacked);
  for (int i = 0; i < 8; i++) close(c[i]);
  close(l);
  // Connections that were reset before they are taken.
  l = listener(2);
  struct linger hard = {1, 0};
  int s = socket(AF_INET, SOCK_STREAM, 0);
  connect(s, (void *)&at, sizeof at);
  until(l, POLLIN);
  setsockopt(s, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  close(s);
  int a = accept4(l, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  ok("taken", a);
  say("flags %x %x poll %x", fcntl(a, F_GETFD), fcntl(a, F_GETFL), until(a, POLLERR));
  ret("read", read(a, buf, 10));
  ret("end", read(a, buf, 10));
  close(a), close(l);
}

static void test_inherit(void) {
  int l = listener(4), one = 1, v;
  set(l, SOL_SOCKET, SO_KEEPALIVE, 1), set(l, IPPROTO_TCP, TCP_NODELAY, 1), set(l, IPPROTO_TCP, TCP_KEEPIDLE, 77), set(l, SOL_SOCKET, SO_RCVLOWAT, 3), set(l, IPPROTO_IP, IP_TTL, 33), set(l, SOL_SOCKET, SO_PRIORITY, 4), set(l, IPPROTO_TCP, TCP_SAVE_SYN, one);
  fcntl(l, F_SETFL, O_NONBLOCK);
  int c = socket(AF_INET, SOCK_STREAM, 0);
  connect(c, (void *)&at, sizeof at);
  until(l, POLLIN);
  int s = accept(l, NULL, NULL);
  say("keepalive %d nodelay %d idle %d lowat %d ttl %d priority %d flags %x accepting %d", option(s, SOL_SOCKET, SO_KEEPALIVE), option(s, IPPROTO_TCP, TCP_NODELAY), option(s, IPPROTO_TCP, TCP_KEEPIDLE), option(s, SOL_SOCKET, SO_RCVLOWAT),
      option(s, IPPROTO_IP, IP_TTL), option(s, SOL_SOCKET, SO_PRIORITY), fcntl(s, F_GETFL), option(s, SOL_SOCKET, SO_ACCEPTCONN));
  socklen_t n = sizeof buf;
  ret("first packet", getsockopt(s, IPPROTO_TCP, TCP_SAVED_SYN, buf, &n));
  say("length %d version %d", n > 40, buf[0] >> 4);
  n = sizeof buf;
  ret("once", getsockopt(s, IPPROTO_TCP, TCP_SAVED_SYN, buf, &n));
  say("length %u", n);
  send(c, "ab", 2, 0);
  for (v = 0; v < 2;) ioctl(s, SIOCINQ, &v);
  say("below the mark %x", mask(s));
  send(c, "c", 1, 0);
  say("at it %x", until(s, POLLIN));
  close(c), close(s), close(l);
}

int main(void) {
  struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
  unshare(CLONE_NEWNET);
  int s = socket(AF_INET, SOCK_DGRAM, 0);
  ioctl(s, SIOCSIFFLAGS, &request);
  close(s);
  signal(SIGPIPE, SIG_IGN);
  test_states();
  test_self();
  test_urgent();
  test_options();
  test_inq();
  test_fastopen();
  test_backlog();
  test_inherit();
  return 0;
}
