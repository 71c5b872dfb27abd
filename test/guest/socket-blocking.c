// link: -w
// How blocking calls of sockets end: by signals with and without SA_RESTART, by timeouts, stops, closes and shutdowns of other
// threads, and by what the peer does; and what has been transferred by then.
#include "guest.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

enum { TCP4, TCP6, STREAM, SEQ, DGRAM, UDP4, UDP6, KINDS };
static const char *kinds[] = {"tcp4", "tcp6", "stream", "seqpacket", "datagram", "udp4", "udp6"};
static const int types[] = {SOCK_STREAM, SOCK_STREAM, SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM, SOCK_DGRAM, SOCK_DGRAM};
static const int domains[] = {AF_INET, AF_INET6, AF_UNIX, AF_UNIX, AF_UNIX, AF_INET, AF_INET6};
enum { BIG = 4 << 20 };
static char buf[BIG], sink[BIG];
static volatile sig_atomic_t hits;
static void on_signal(int s) { (void)s, hits++; }

static void handle(int flags) {
  struct sigaction sa = {.sa_handler = on_signal, .sa_flags = flags};
  sigaction(SIGUSR1, &sa, NULL);
}

static union any {
  struct sockaddr sa;
  struct sockaddr_in in;
  struct sockaddr_in6 in6;
  struct sockaddr_un un;
} addr;

static socklen_t loopback(int kind) {
  memset(&addr, 0, sizeof addr);
  addr.sa.sa_family = domains[kind];
  if (domains[kind] == AF_UNIX) return sizeof(sa_family_t);
  if (domains[kind] == AF_INET) {
    addr.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return sizeof addr.in;
  }
  addr.in6.sin6_addr = in6addr_loopback;
  return sizeof addr.in6;
}

// A listener (or a bound datagram socket) whose name is in `addr`.
static socklen_t name_len;
static int listener(int kind, int backlog) {
  int s = socket(domains[kind], types[kind], 0);
  name_len = loopback(kind);
  bind(s, &addr.sa, name_len);
  if (types[kind] != SOCK_DGRAM) listen(s, backlog);
  name_len = sizeof addr;
  getsockname(s, &addr.sa, &name_len);
  return s;
}

static int small;
static void buffers(int s) {
  if (small) setsockopt(s, SOL_SOCKET, SO_SNDBUF, &small, sizeof small), setsockopt(s, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
}

static void pair(int kind, int *s) {
  if (domains[kind] == AF_UNIX) {
    socketpair(AF_UNIX, types[kind], 0, s);
    buffers(s[0]), buffers(s[1]);
    return;
  }
  int ls = listener(kind, 4);
  buffers(ls);
  s[0] = socket(domains[kind], types[kind], 0);
  buffers(s[0]);
  connect(s[0], &addr.sa, name_len);
  if (types[kind] == SOCK_DGRAM) {
    name_len = sizeof addr;
    getsockname(s[0], &addr.sa, &name_len);
    connect(ls, &addr.sa, name_len);
    s[1] = ls;
    return;
  }
  s[1] = accept(ls, NULL, NULL);
  close(ls);
}

// The call in the thread.
static int fd, call_flags;
static pid_t tid;
static volatile int done;
static long result;
static int error;
static long (*body)(void);
static struct msghdr msg;
static struct iovec iov[2];
static struct mmsghdr many[4];

static long do_read(void) { return read(fd, sink, 100); }
static long do_readv(void) { return readv(fd, (struct iovec[]){{sink, 2}, {sink + 2, 90}}, 2); }
static long do_recv(void) { return recv(fd, sink, 100, call_flags); }
static long do_recvmsg(void) {
  msg = (struct msghdr){.msg_iov = iov, .msg_iovlen = 1};
  iov[0] = (struct iovec){sink, 100};
  return recvmsg(fd, &msg, call_flags);
}
static long do_recvmmsg(void) {
  for (int i = 0; i < 4; i++) many[i].msg_hdr = (struct msghdr){.msg_iov = iov, .msg_iovlen = 1};
  iov[0] = (struct iovec){sink, 3};
  return recvmmsg(fd, many, 4, call_flags, NULL);
}
static long do_accept(void) {
  long r = accept(fd, NULL, NULL);
  if (r >= 0) close(r), r = 0;
  return r;
}
static long do_connect(void) { return connect(fd, &addr.sa, name_len); }
static long do_write(void) { return write(fd, buf, BIG); }
static long do_send(void) { return send(fd, buf, BIG, call_flags); }
static long do_sendmsg(void) {
  msg = (struct msghdr){.msg_iov = iov, .msg_iovlen = 2};
  iov[0] = (struct iovec){buf, BIG / 2}, iov[1] = (struct iovec){buf, BIG / 2};
  return sendmsg(fd, &msg, call_flags);
}
static long do_sendmmsg(void) {
  iov[0] = (struct iovec){buf, BIG};
  for (int i = 0; i < 2; i++) many[i].msg_hdr = (struct msghdr){.msg_iov = iov, .msg_iovlen = 1};
  return sendmmsg(fd, many, 2, call_flags);
}
static long do_small(void) { return send(fd, buf, 1000, call_flags); }
static long do_all(void) { return recv(fd, sink, 100, MSG_WAITALL); }
static long do_peek_all(void) { return recv(fd, sink, 100, MSG_WAITALL | MSG_PEEK); }

static void *thread(void *arg) {
  tid = gettid();
  result = body();
  error = errno;
  __atomic_store_n(&done, 1, __ATOMIC_SEQ_CST);
  return NULL;
}

// The thread sleeps in its call, or has ended.
static pthread_t it;
static void start(long (*f)(void), int on) {
  fd = on, body = f, done = 0, tid = 0, hits = 0;
  pthread_create(&it, NULL, thread, NULL);
  until_asleep(&tid, &done);
}

static void signalled(void) {
  int before = hits;
  syscall(SYS_tgkill, getpid(), tid, SIGUSR1);
  while (hits == before && !done) usleep(100);
  until_asleep(&tid, &done);
}

// Of transfers that fill queues the number is nobody's business.
static void ended(const char *kind, const char *call, const char *how) {
  pthread_join(it, NULL);
  // Room comes when acknowledgements do.
  if (strncmp(kind, "tcp", 3) == 0 && strncmp(how, "full", 4) == 0) say("%s %s %s: ended, %d signals", kind, call, how, hits);
  else if (result < 0) say("%s %s %s: %s, %d signals", kind, call, how, strerrorname_np(error), hits);
  else if (result > 1000) say("%s %s %s: some, %d signals", kind, call, how, hits);
  else say("%s %s %s: %ld, %d signals", kind, call, how, result, hits);
}

static void timeout(int s, int name, long us) {
  struct timeval t = {us / 1000000, us % 1000000};
  setsockopt(s, SOL_SOCKET, name, &t, sizeof t);
}

static const struct {
  const char *name;
  long (*f)(void);
  int flags;
} reads[] = {{"read", do_read}, {"readv", do_readv}, {"recv", do_recv}, {"peek", do_recv, MSG_PEEK}, {"trunc", do_recv, MSG_TRUNC}, {"recvmsg", do_recvmsg}, {"recvmmsg", do_recvmmsg}, {"recvmmsg one", do_recvmmsg, MSG_WAITFORONE}, {"waitall", do_all}, {"peek all", do_peek_all}};

static void test_reads(int kind) {
  int s[2];
  const char *k = kinds[kind];
  for (unsigned i = 0; i < sizeof reads / sizeof *reads; i++) {
    const char *name = reads[i].name;
    // All of them for two kinds, some for the others.
    if (kind != TCP4 && kind != DGRAM && i % 3 != 2) continue;
    int fills = strcmp(name, "recvmmsg") == 0 ? 3 : 0;
    call_flags = reads[i].flags;
    handle(0);
    pair(kind, s), start(reads[i].f, s[0]), signalled(), ended(k, name, "signal");
    close(s[0]), close(s[1]);
    // Restarted, it takes what comes then.
    handle(SA_RESTART);
    pair(kind, s), start(reads[i].f, s[0]), signalled(), signalled();
    for (int j = 0; j <= fills; j++) send(s[1], "hello", 5, 0), sleep_ms(0);
    if (strstr(name, "all") && types[kind] == SOCK_STREAM) send(s[1], buf, 95, 0);
    ended(k, name, "restart");
    close(s[0]), close(s[1]);
    pair(kind, s), timeout(s[0], SO_RCVTIMEO, 30000000), start(reads[i].f, s[0]), signalled(), ended(k, name, "restart with a timeout");
    timeout(s[0], SO_RCVTIMEO, 3000);
    timeout(s[0], SO_SNDTIMEO, 60000000), start(reads[i].f, s[0]), ended(k, name, "timeout");
    close(s[0]), close(s[1]);
    if (i < 2 || i == 3 || i == 4 || i == 7) continue;
    // A close by somebody else changes nothing for who waits.
    pair(kind, s), start(reads[i].f, s[0]);
    int kept = dup(s[0]);
    close(s[0]);
    for (int j = 0; j <= fills; j++) send(s[1], "hello", 5, 0);
    if (strstr(name, "all") && types[kind] == SOCK_STREAM) send(s[1], buf, 95, 0);
    ended(k, name, "close of a number");
    close(kept), close(s[1]);
  }
  call_flags = 0;
}

// Part of it has come.
static void test_partial(int kind) {
  int s[2];
  const char *k = kinds[kind];
  for (int flags = 0; flags <= SA_RESTART; flags += SA_RESTART) {
    const char *how = flags ? "restart after part" : "signal after part";
    handle(flags);
    pair(kind, s), send(s[1], "abcdefg", 7, 0), start(do_all, s[0]);
    if (!done) signalled();
    ended(k, "waitall", how);
    int left = -1;
    ioctl(s[0], FIONREAD, &left);
    say("left %d", left);
    close(s[0]), close(s[1]);
    pair(kind, s), send(s[1], "abcdefg", 7, 0), start(do_recvmmsg, s[0]);
    if (types[kind] != SOCK_STREAM) send(s[1], "hi", 2, 0);
    until_asleep(&tid, &done);
    if (!done) signalled();
    ended(k, "recvmmsg", how);
    close(s[0]), close(s[1]);
  }
  pair(kind, s), send(s[1], "abcdefg", 7, 0), timeout(s[0], SO_RCVTIMEO, 3000);
  start(do_all, s[0]), ended(k, "waitall", "timeout after part");
  close(s[0]), close(s[1]);
  pair(kind, s), send(s[1], "abcdefg", 7, 0), timeout(s[0], SO_RCVTIMEO, 3000);
  start(do_peek_all, s[0]), ended(k, "peek all", "timeout after part");
  close(s[0]), close(s[1]);
  pair(kind, s), send(s[1], "ab", 2, 0), timeout(s[0], SO_RCVTIMEO, 3000);
  start(do_recvmmsg, s[0]), ended(k, "recvmmsg", "timeout after part");
  close(s[0]), close(s[1]);
  pair(kind, s), send(s[1], "abcdefg", 7, 0), start(do_all, s[0]);
  close(s[1]), ended(k, "waitall", "end after part");
  close(s[0]);
}

// What makes a waiting read end without data.
static void test_ends(int kind) {
  static const char *how[] = {"RD", "WR", "RDWR"};
  int s[2];
  const char *k = kinds[kind];
  int inet_dgram = kind >= UDP4;
  for (int i = 0; i < 3; i++) {
    char what[40];
    pair(kind, s), start(do_recv, s[0]);
    snprintf(what, sizeof what, "own shutdown %s", how[i]);
    shutdown(s[0], i);
    // A direction that is not its own goes on.
    if (i == SHUT_WR) until_asleep(&tid, &done), send(s[1], "x", 1, 0);
    ended(k, "recv", what);
    close(s[0]), close(s[1]);
    pair(kind, s), start(do_recv, s[0]);
    snprintf(what, sizeof what, "shutdown %s of the peer", how[i]);
    shutdown(s[1], i);
    if (i == SHUT_RD || kind >= DGRAM) until_asleep(&tid, &done), send(i != SHUT_RD ? s[0] : s[1], "x", 1, MSG_NOSIGNAL), shutdown(s[0], SHUT_RD);
    ended(k, "recv", what);
    close(s[0]), close(s[1]);
  }
  pair(kind, s), start(do_recv, s[0]), close(s[1]);
  if (kind >= DGRAM) until_asleep(&tid, &done), shutdown(s[0], SHUT_RD);
  ended(k, "recv", "close of the peer");
  close(s[0]);
  if (kind < DGRAM) {
    pair(kind, s), send(s[0], "unread", 6, 0), start(do_recv, s[0]), close(s[1]), ended(k, "recv", "close of the peer with data unread");
    close(s[0]);
  }
  if (inet_dgram) {
    pair(kind, s), close(s[1]), start(do_recv, s[0]), send(s[0], "x", 1, 0), ended(k, "recv", "ICMP");
    close(s[0]);
  }
}

static void fill(int s) {
  for (int none = 0; none < 5;) {
    if (send(s, buf, 1000, MSG_DONTWAIT) > 0) none = 0;
    else none++, usleep(200);
  }
}

static void fill_messages(int s) {
  while (send(s, buf, 1000, MSG_DONTWAIT) > 0) {}
}

static long drain(int s) {
  long all = 0, n;
  struct pollfd p = {s, POLLIN};
  while (poll(&p, 1, 50) > 0 && (n = recv(s, sink, BIG, MSG_DONTWAIT)) > 0) all += n;
  return all;
}

static const struct {
  const char *name;
  long (*f)(void);
} writes[] = {{"write", do_write}, {"send", do_send}, {"sendmsg", do_sendmsg}, {"sendmmsg", do_sendmmsg}};

static void test_writes(int kind) {
  int s[2];
  const char *k = kinds[kind];
  int stream = types[kind] == SOCK_STREAM;
  small = 20000;
  for (unsigned i = 0; i < 4; i++) {
    if (kind != STREAM && i != (unsigned)kind % 3) continue;
    long (*f)(void) = stream ? writes[i].f : do_small;
    void (*filled)(int) = stream ? fill : fill_messages;
    const char *name = stream ? writes[i].name : "send";
    for (int full = 0; full < 2; full++) {
      if (!stream && !full) continue;
      char what[60];
      for (int flags = 0; flags <= SA_RESTART; flags += SA_RESTART) {
        handle(flags);
        pair(kind, s);
        if (full) filled(s[0]);
        start(f, s[0]), signalled();
        snprintf(what, sizeof what, "%s, %s", full ? "full" : "fresh", flags ? "restart" : "signal");
        // What was restarted goes on when there is room, or an end.
        if (flags && full) close(s[1]);
        struct sigaction sa = {.sa_handler = SIG_IGN};
        sigaction(SIGPIPE, &sa, NULL);
        ended(k, name, what);
        if (!flags && !full) is("as many came", drain(s[1]) == result || i == 3);
        close(s[0]);
        if (!(flags && full)) close(s[1]);
      }
      pair(kind, s), timeout(s[0], SO_SNDTIMEO, 5000);
      if (full) filled(s[0]);
      start(f, s[0]), snprintf(what, sizeof what, "%s, timeout", full ? "full" : "fresh"), ended(k, name, what);
      timeout(s[0], SO_SNDTIMEO, 30000000), handle(SA_RESTART);
      if (full) start(f, s[0]), signalled(), ended(k, name, "full, restart with a timeout");
      close(s[0]), close(s[1]);
      static const char *how[] = {"RD", "WR", "RDWR"};
      for (int h = 0; h < 6; h++) {
        pair(kind, s);
        if (full) filled(s[0]);
        start(f, s[0]);
        shutdown(s[h / 3], h % 3);
        // The other direction, and the peer's, say nothing to a TCP writer.
        int goes_on = kind <= TCP6 ? h == 0 || h > 2 : kind == DGRAM ? h == 0 || h > 2 : h == 0 || h == 4;
        if (goes_on) until_asleep(&tid, &done), close(s[1]);
        snprintf(what, sizeof what, "%s, shutdown %s of %s", full ? "full" : "fresh", how[h % 3], h < 3 ? "its own" : "the peer");
        ended(k, name, what);
        close(s[0]);
        if (!goes_on) close(s[1]);
      }
      pair(kind, s);
      if (full) filled(s[0]);
      start(f, s[0]), close(s[1]), snprintf(what, sizeof what, "%s, close of the peer", full ? "full" : "fresh"), ended(k, name, what);
      close(s[0]);
    }
  }
  small = 0;
}

static void test_accept(int kind) {
  const char *k = kinds[kind];
  handle(0);
  int ls = listener(kind, 1);
  start(do_accept, ls), signalled(), ended(k, "accept", "signal");
  handle(SA_RESTART);
  start(do_accept, ls), signalled();
  int c = socket(domains[kind], types[kind], 0);
  connect(c, &addr.sa, name_len), ended(k, "accept", "restart");
  close(c);
  timeout(ls, SO_RCVTIMEO, 3000);
  start(do_accept, ls), ended(k, "accept", "timeout");
  timeout(ls, SO_RCVTIMEO, 30000000);
  start(do_accept, ls), signalled(), ended(k, "accept", "restart with a timeout");
  timeout(ls, SO_RCVTIMEO, 0);
  start(do_accept, ls);
  int kept = dup(ls);
  close(ls);
  c = socket(domains[kind], types[kind], 0);
  connect(c, &addr.sa, name_len), ended(k, "accept", "close of a number");
  close(c);
  for (int i = 0; i < 3; i++) {
    char what[30];
    snprintf(what, sizeof what, "shutdown %d", i);
    ls = listener(kind, 1);
    start(do_accept, ls), shutdown(ls, i);
    if (i == SHUT_WR && domains[kind] != AF_UNIX) {
      until_asleep(&tid, &done), c = socket(domains[kind], types[kind], 0);
      connect(c, &addr.sa, name_len), close(c);
    }
    if (i == SHUT_WR && domains[kind] == AF_UNIX) {
      until_asleep(&tid, &done), c = socket(domains[kind], types[kind], 0);
      say("connect %ld", (long)connect(c, &addr.sa, name_len));
      if (!done) shutdown(ls, SHUT_RD);
      close(c);
    }
    ended(k, "accept", what);
    close(ls);
  }
  close(kept);
}

static void test_connect(int kind) {
  const char *k = kinds[kind];
  int ls = listener(kind, 0), c[8], n = 0;
  // Until one has to wait.
  for (; n < 8; n++) {
    c[n] = socket(domains[kind], types[kind], 0);
    fcntl(c[n], F_SETFL, O_NONBLOCK);
    int r = connect(c[n], &addr.sa, name_len);
    struct pollfd p = {c[n], POLLOUT};
    if (domains[kind] == AF_UNIX ? r != 0 : poll(&p, 1, 100) == 0) break;
  }
  is("full", n < 8);
  close(c[n]);
  handle(0);
  int s = socket(domains[kind], types[kind], 0);
  start(do_connect, s), signalled(), ended(k, "connect", "signal");
  fcntl(s, F_SETFL, O_NONBLOCK);
  ret("again", connect(s, &addr.sa, name_len));
  close(s);
  s = socket(domains[kind], types[kind], 0);
  timeout(s, SO_SNDTIMEO, 3000);
  start(do_connect, s), ended(k, "connect", "timeout");
  close(s);
  s = socket(domains[kind], types[kind], 0);
  handle(SA_RESTART), timeout(s, SO_SNDTIMEO, 30000000);
  start(do_connect, s), signalled(), ended(k, "connect", "restart with a timeout");
  close(s);
  s = socket(domains[kind], types[kind], 0);
  start(do_connect, s), signalled();
  close(ls);
  if (domains[kind] != AF_UNIX) shutdown(s, SHUT_RDWR);
  ended(k, "connect", "restart and end of the listener");
  close(s);
  for (int i = 0; i < n; i++) close(c[i]);
}

// A stop and a continuation, without any handler.
static void test_stop(int kind) {
  const char *k = kinds[kind];
  for (int how = 0; how < 4; how++) {
    int s[2];
    pair(kind, s);
    int ls = types[kind] == SOCK_DGRAM ? -1 : listener(kind, 1);
    if (how == 3 && ls < 0) continue;
    pid_t pid = fork();
    if (pid == 0) {
      if (how & 1) timeout(s[0], SO_RCVTIMEO, 30000000), timeout(ls, SO_RCVTIMEO, 30000000);
      long r = how == 3 ? accept(ls, NULL, NULL) : how == 2 ? recvmmsg(s[0], many, 0, 0, NULL) : recv(s[0], sink, 100, 0);
      say("%s stopped %d: %s", k, how, r < 0 ? strerrorname_np(errno) : "data");
      _exit(0);
    }
    if (how != 2) {
      until_state(pid, 'S');
      kill(pid, SIGSTOP);
      until_state(pid, 'T');
      kill(pid, SIGCONT);
      if (!(how & 1)) until_state(pid, 'S'), send(s[1], "x", 1, 0);
    }
    waitpid(pid, NULL, 0);
    close(s[0]), close(s[1]), close(ls);
  }
}

int main(void) {
  for (int kind = 0; kind < KINDS; kind++) test_reads(kind);
  for (int kind = 0; kind < KINDS; kind++) test_partial(kind);
  for (int kind = 0; kind < KINDS; kind++) test_ends(kind);
  for (int kind = 0; kind <= DGRAM; kind++) test_writes(kind);
  for (int kind = 0; kind <= SEQ; kind++) test_accept(kind);
  for (int kind = 0; kind <= SEQ; kind++) test_connect(kind);
  for (int kind = 0; kind < KINDS; kind++) test_stop(kind);
  return 0;
}
