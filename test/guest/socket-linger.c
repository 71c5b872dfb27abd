// link: -w
// How connections end: SO_LINGER with no time and with some, resets, what is left to read, ECONNRESET, EPIPE and SIGPIPE in their
// order, urgent and unread data, half-closed connections.
#include "ready.h"
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

enum { TCP4, TCP6, STREAM, SEQ, KINDS };
static const char *kinds[] = {"tcp4", "tcp6", "stream", "seqpacket"};
static char buf[1 << 20];
static volatile sig_atomic_t pipes;
static void on_pipe(int s) { (void)s, pipes++; }

static void pair(int kind, int *s) {
  if (kind >= STREAM) {
    socketpair(AF_UNIX, kind == STREAM ? SOCK_STREAM : SOCK_SEQPACKET, 0, s);
    return;
  }
  struct sockaddr_storage a = {.ss_family = kind == TCP4 ? AF_INET : AF_INET6};
  if (kind == TCP4) ((struct sockaddr_in *)&a)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  else ((struct sockaddr_in6 *)&a)->sin6_addr = in6addr_loopback;
  socklen_t l = sizeof a;
  int ls = socket(a.ss_family, SOCK_STREAM, 0), one = 1;
  bind(ls, (struct sockaddr *)&a, l), listen(ls, 4), getsockname(ls, (struct sockaddr *)&a, &l);
  s[0] = socket(a.ss_family, SOCK_STREAM, 0);
  connect(s[0], (struct sockaddr *)&a, l);
  s[1] = accept(ls, NULL, NULL);
  setsockopt(s[0], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one), setsockopt(s[1], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  close(ls);
}

static void linger(int s, int on, int seconds) {
  struct linger l = {on, seconds};
  setsockopt(s, SOL_SOCKET, SO_LINGER, &l, sizeof l);
}

// One operation on an end of a connection, and how many SIGPIPE it raised.
enum { RECV, SEND, SENDNOSIG, WRITE, WRITEV, SENDMSG, SENDNONE, SENDFILE, PEEK, SOERROR, SHUTWR, SHUTRD, NAME, OPS };
static const char *ops[] = {"recv", "send", "send nosignal", "write", "writev", "sendmsg", "send nothing", "sendfile", "peek", "error", "shut wr", "shut rd", "name"};
static int some_file;

static void op(const char *what, int s, int which) {
  struct iovec iov = {buf, 3};
  struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
  struct sockaddr_storage a;
  socklen_t l = sizeof a;
  off_t o = 0;
  pipes = 0;
  long r = -2;
  switch (which) {
    case RECV: r = recv(s, buf, 4, MSG_DONTWAIT); break;
    case SEND: r = send(s, "abc", 3, MSG_DONTWAIT); break;
    case SENDNOSIG: r = send(s, "abc", 3, MSG_DONTWAIT | MSG_NOSIGNAL); break;
    case WRITE: r = write(s, "abc", 3); break;
    case WRITEV: r = writev(s, &iov, 1); break;
    case SENDMSG: r = sendmsg(s, &m, 0); break;
    case SENDNONE: r = send(s, "", 0, 0); break;
    case SENDFILE: r = sendfile(s, some_file, &o, 3); break;
    case PEEK: r = recv(s, buf, 4, MSG_DONTWAIT | MSG_PEEK); break;
    case SOERROR: r = so_error(s); break;
    case SHUTWR: r = shutdown(s, SHUT_WR); break;
    case SHUTRD: r = shutdown(s, SHUT_RD); break;
    case NAME: r = getpeername(s, (struct sockaddr *)&a, &l); break;
  }
  say(" %s %s: %s, %d SIGPIPE, poll %x", what, ops[which], err(r), pipes, mask(s));
}

// How the other end ended: plainly, with data unread, by a linger time of 0, half.
enum { PLAIN, UNREAD, ZERO, HALF, HALF_THEN, GONE_AFTER_DATA, UNREAD_AFTER_DATA, ENDS };
static const char *ends[] = {"close", "close with data unread", "linger 0", "half", "half, then close", "data, then close", "data, then close with data unread"};

static void ended_pair(int kind, int how, int *s) {
  pair(kind, s);
  int reset = kind < STREAM && (how == UNREAD || how == ZERO || how == UNREAD_AFTER_DATA);
  if (how == UNREAD || how == UNREAD_AFTER_DATA) send(s[0], "unread", 6, 0), until(s[1], POLLIN);
  if (how >= GONE_AFTER_DATA) send(s[1], "0123456789", 10, 0), until(s[0], POLLIN);
  if (how == ZERO) linger(s[1], 1, 0);
  if (how == HALF || how == HALF_THEN) shutdown(s[1], SHUT_WR);
  if (how == HALF_THEN) until(s[0], POLLRDHUP);
  if (how != HALF) close(s[1]);
  until(s[0], reset ? POLLHUP : POLLRDHUP);
}

static void sequences(int kind) {
  static const int seqs[][4] = {
      {RECV, RECV, SEND, SEND}, {SEND, SEND, RECV, RECV}, {PEEK, RECV, SENDNOSIG, SENDNOSIG}, {SOERROR, SEND, RECV, RECV},
      {WRITE, WRITE, SOERROR, RECV}, {SENDNONE, SEND, SEND, RECV}, {WRITEV, SENDMSG, RECV, NAME}, {SENDFILE, SENDFILE, RECV, SOERROR},
      {SHUTWR, SEND, RECV, RECV}, {SHUTRD, RECV, RECV, SEND}, {NAME, SHUTWR, SHUTRD, RECV},
  };
  for (int how = 0; how < ENDS; how++)
    for (unsigned i = 0; i < sizeof seqs / sizeof *seqs; i++) {
      int s[2];
      ended_pair(kind, how, s);
      say("%s %s", kinds[kind], ends[how]);
      int reset = kind < STREAM && (how == UNREAD || how == ZERO || how == UNREAD_AFTER_DATA);
      for (int j = 0; j < 4; j++) {
        int o = seqs[i][j];
        op(kinds[kind], s[0], o);
        // The other end answers with a reset.
        int sends = o >= SEND && o <= SENDFILE && o != SENDNONE;
        if (kind < STREAM && sends && !reset && how != HALF && how != ENDS && j < 3) until_tcp_state(s[0], TCP_CLOSE);
      }
      close(s[0]);
      if (how == HALF) close(s[1]);
    }
}

// Default action and the others of SIGPIPE.
static void sigpipe_actions(int kind) {
  static const char *names[] = {"default", "ignored", "blocked", "write", "nosignal"};
  for (int i = 0; i < 5; i++) {
    int s[2];
    pair(kind, s);
    close(s[1]);
    if (kind < STREAM) until(s[0], POLLRDHUP), send(s[0], "x", 1, MSG_NOSIGNAL), until_tcp_state(s[0], TCP_CLOSE), so_error(s[0]);
    pid_t p = fork();
    if (p == 0) {
      sigset_t set;
      sigemptyset(&set), sigaddset(&set, SIGPIPE);
      signal(SIGPIPE, i == 1 ? SIG_IGN : SIG_DFL);
      if (i == 2) sigprocmask(SIG_BLOCK, &set, NULL);
      long r = i == 3 ? write(s[0], "x", 1) : send(s[0], "x", 1, i == 4 ? MSG_NOSIGNAL : 0);
      say("%s: %s", names[i], err(r));
      if (i == 2) {
        siginfo_t si;
        struct timespec none = {0, 0};
        r = sigtimedwait(&set, &si, &none);
        say("pending %s, code %d", err(r), r > 0 ? si.si_code : 0), is("from oneself", r < 0 || si.si_pid == getpid());
      }
      _exit(0);
    }
    wait_say(names[i], p);
    close(s[0]);
  }
}

// A close that waits: until all has been taken, the time is over or a signal comes.
static int closing;
static volatile int done;
static pid_t tid;
static void *closer(void *arg) {
  tid = gettid();
  long r = arg ? shutdown(closing, SHUT_WR) : close(closing);
  say("waited: %s", err(r));
  __atomic_store_n(&done, 1, __ATOMIC_SEQ_CST);
  return NULL;
}
static void on_usr(int s) { (void)s; }

static void lingering(int kind) {
  for (int how = 0; how < 6; how++) {
    if (how == 4 && kind == TCP6) continue;
    int s[2];
    pthread_t t;
    pair(kind, s);
    linger(s[0], 1, how == 4 ? 1 : 30);
    send(s[0], buf, how == 0 ? 10 : sizeof buf, MSG_DONTWAIT);
    if (how == 5) fcntl(s[0], F_SETFL, O_NONBLOCK);
    closing = s[0], tid = 0, done = 0;
    pthread_create(&t, NULL, closer, NULL);
    until_asleep(&tid, &done);
    // In time: it sleeps while the peer takes nothing.
    if (how == 1 || how == 2 || how == 5) is("still waiting", !done);
    if (how == 2) syscall(SYS_tgkill, getpid(), tid, SIGUSR1);
    if (how == 3) close(s[1]);
    if (how == 1 || how == 5)
      for (long n; (n = recv(s[1], buf, sizeof buf, 0)) > 0;) {}
    pthread_join(t, NULL);
    if (how != 3) close(s[1]);
  }
}

// Options, and what is inherited by accepted sockets.
static void options(int kind) {
  static const struct linger values[] = {{0, 0}, {1, 0}, {1, 5}, {0, 7}, {-1, 3}, {1, 1 << 20}};
  int s[2];
  pair(kind, s);
  for (unsigned i = 0; i < sizeof values / sizeof *values; i++) {
    struct linger l = {9, 9};
    socklen_t n = sizeof l;
    const char *r = err(setsockopt(s[0], SOL_SOCKET, SO_LINGER, &values[i], sizeof values[i]));
    getsockopt(s[0], SOL_SOCKET, SO_LINGER, &l, &n);
    say("%s linger %d %d: %s, then %d %d, %d bytes", kinds[kind], values[i].l_onoff, values[i].l_linger, r, l.l_onoff, l.l_linger, n);
  }
  linger(s[0], 1, 0);
  say("shutdown %s", err(shutdown(s[0], SHUT_RDWR)));
  say("the other %x", until(s[1], POLLRDHUP));
  close(s[0]);
  say("closed %x", until(s[1], POLLRDHUP));
  say("read %s", err(recv(s[1], buf, 1, MSG_DONTWAIT)));
  close(s[1]);
  // A copy of the descriptor keeps the connection.
  pair(kind, s);
  linger(s[0], 1, 0);
  int d = dup(s[0]);
  close(s[0]);
  say("copy %x %x", mask(s[1]), mask(d));
  pid_t p = fork();
  if (p == 0) _exit(0);
  waitpid(p, NULL, 0);
  say("after a fork %x", mask(s[1]));
  close(d);
  say("gone %x", until(s[1], kind < STREAM ? POLLHUP : POLLRDHUP));
  say("error %d", so_error(s[1]));
  close(s[1]);
  // The end of a process closes without waiting, but resets.
  for (int sec = 0; sec <= 30; sec += 30) {
    pair(kind, s);
    p = fork();
    if (p == 0) {
      close(s[1]);
      linger(s[0], 1, sec);
      send(s[0], "last", 4, 0);
      _exit(0);
    }
    close(s[0]);
    wait_say("end", p);
    int m = until(s[1], POLLRDHUP);
    say("ended %x, read %s", m, err(recv(s[1], buf, 10, MSG_DONTWAIT)));
    close(s[1]);
  }
  // Of a listener: those who are not accepted are reset.
  if (kind < STREAM) {
    struct sockaddr_storage a = {.ss_family = kind == TCP4 ? AF_INET : AF_INET6};
    socklen_t l = kind == TCP4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    int ls = socket(a.ss_family, SOCK_STREAM, 0), c = socket(a.ss_family, SOCK_STREAM, 0);
    linger(ls, 1, 5);
    bind(ls, (struct sockaddr *)&a, l), listen(ls, 4), getsockname(ls, (struct sockaddr *)&a, &l);
    say("connect %s", err(connect(c, (struct sockaddr *)&a, l)));
    int k = accept(ls, NULL, NULL);
    struct linger v;
    socklen_t n = sizeof v;
    getsockopt(k, SOL_SOCKET, SO_LINGER, &v, &n);
    say("inherited %d %d", v.l_onoff, v.l_linger);
    int c2 = socket(a.ss_family, SOCK_STREAM, 0);
    connect(c2, (struct sockaddr *)&a, l);
    close(ls);
    say("not accepted %x, error %d", until(c2, POLLHUP), so_error(c2));
    close(c), close(k), close(c2);
  }
}

// TCP_LINGER2 and states after half-closes.
static void states(int kind) {
  int s[2];
  pair(kind, s);
  say("states %d %d", tcp_state(s[0]), tcp_state(s[1]));
  shutdown(s[0], SHUT_WR);
  until_tcp_state(s[0], TCP_FIN_WAIT2);
  until_tcp_state(s[1], TCP_CLOSE_WAIT);
  say("half %d %d, %x %x", tcp_state(s[0]), tcp_state(s[1]), mask(s[0]), mask(s[1]));
  say("the other way %s", err(send(s[1], "more", 4, 0)));
  until(s[0], POLLIN);
  say("got %s", err(recv(s[0], buf, 10, 0)));
  shutdown(s[1], SHUT_WR);
  until_tcp_state(s[1], TCP_CLOSE);
  until(s[0], POLLHUP);
  say("both %d %d, %x %x", tcp_state(s[0]), tcp_state(s[1]), mask(s[0]), mask(s[1]));
  say("errors %d %d", so_error(s[0]), so_error(s[1]));
  say("shutdown again %s %s", err(shutdown(s[0], SHUT_WR)), err(shutdown(s[1], SHUT_RD)));
  close(s[0]), close(s[1]);
}

int main(void) {
  struct sigaction sa = {.sa_handler = on_pipe};
  sigaction(SIGPIPE, &sa, NULL);
  sa.sa_handler = on_usr;
  sigaction(SIGUSR1, &sa, NULL);
  some_file = open("some", O_RDWR | O_CREAT | O_TRUNC, 0600);
  write(some_file, "file", 4);
  for (int kind = 0; kind < KINDS; kind++) sequences(kind);
  for (int kind = 0; kind < KINDS; kind++) sigpipe_actions(kind);
  for (int kind = 0; kind < KINDS; kind++) options(kind);
  for (int kind = 0; kind < STREAM; kind++) states(kind);
  for (int kind = 0; kind < STREAM; kind++) lingering(kind);
  unlink("some");
  return 0;
}
