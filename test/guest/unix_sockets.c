// link: -w
// AF_UNIX: pairs, names, messages, descriptors, credentials, shutdown.
#include "guest.h"
#include <poll.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

static char buf[400000];
static volatile sig_atomic_t pipes;
static void on_sigpipe(int s) { (void)s, pipes++; }

static socklen_t named(struct sockaddr_un *a, const char *name) {
  memset(a, 0, sizeof *a);
  a->sun_family = AF_UNIX;
  size_t n = strlen(name);
  memcpy(a->sun_path, name, n);
  if (name[0] == '@') {
    a->sun_path[0] = 0;
    return offsetof(struct sockaddr_un, sun_path) + n;
  }
  return offsetof(struct sockaddr_un, sun_path) + n + 1;
}

static int ev(int fd) {
  struct pollfd p = {fd, POLLIN | POLLOUT | POLLRDHUP, 0};
  poll(&p, 1, 0);
  return p.revents;
}

static long send_fds(int s, const char *data, int n, int *fds, int nfds) {
  struct iovec iov = {(void *)data, n};
  char ctl[CMSG_SPACE(sizeof(int) * 300)];
  memset(ctl, 0, sizeof ctl);
  struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = CMSG_SPACE(sizeof(int) * nfds)};
  struct cmsghdr *c = CMSG_FIRSTHDR(&m);
  c->cmsg_level = SOL_SOCKET, c->cmsg_type = SCM_RIGHTS, c->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
  memcpy(CMSG_DATA(c), fds, sizeof(int) * nfds);
  return sendmsg(s, &m, 0);
}

// Prints what a recvmsg gave; keeps received descriptors in got[].
static int got[300], ngot;
static void recv_say(const char *name, int s, int len, int ctlroom, int flags) {
  struct iovec iov = {buf, len};
  char ctl[4096];
  struct sockaddr_un from;
  memset(&from, 0, sizeof from);
  struct msghdr m = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = ctlroom};
  long n = recvmsg(s, &m, flags);
  if (n < 0) {
    say("%s: %s", name, strerrorname_np(errno));
    return;
  }
  printf("%s: %ld \"%.*s\" flags %x name %d", name, n, (int)(n > 20 ? 20 : n), buf, m.msg_flags, m.msg_namelen);
  ngot = 0;
  for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
    if (c->cmsg_type == SCM_RIGHTS) {
      int k = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      printf(" fds %d", k);
      for (int i = 0; i < k; i++) got[ngot++] = ((int *)CMSG_DATA(c))[i];
    } else if (c->cmsg_type == SCM_CREDENTIALS) {
      struct ucred *u = (struct ucred *)CMSG_DATA(c);
      printf(" creds pid %s uid %d gid %d", u->pid == getpid() ? "mine" : u->pid == 0 ? "none" : "other", u->uid, u->gid);
    }
  }
  printf("\n");
  fflush(stdout);
}

static void test_pair(void) {
  int s[2], v;
  socklen_t l = sizeof v;
  ret("bad domain", socketpair(77, SOCK_STREAM, 0, s));
  ret("inet pair", socketpair(AF_INET, SOCK_STREAM, 0, s));
  ret("bad type", socketpair(AF_UNIX, 9, 0, s));
  ret("bad protocol", socketpair(AF_UNIX, SOCK_STREAM, 6, s));
  ret("bad pointer", socketpair(AF_UNIX, SOCK_STREAM, 0, BAD_PTR));
  ret("pair", socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s));
  is("cloexec", fcntl(s[0], F_GETFD) == FD_CLOEXEC);
  say("poll %x", ev(s[0]));
  ret("write", write(s[0], "hello", 5));
  ret("send", send(s[0], " world", 6, 0));
  ioctl(s[1], FIONREAD, &v);
  say("inq %d", v);
  ret("peek", recv(s[1], buf, 3, MSG_PEEK));
  ret("recv", recv(s[1], buf, 100, 0));
  ret("empty", recv(s[1], buf, 100, MSG_DONTWAIT));
  ret("oob", send(s[0], "x", 1, MSG_OOB) >= -1 ? 0 : 1);
  recv(s[1], buf, 100, MSG_DONTWAIT);
  recv(s[1], buf, 100, MSG_DONTWAIT | MSG_OOB);
  ret("bad buffer", send(s[0], BAD_PTR, 5, 0));
  write(s[0], "data", 4);
  ret("recv nowhere", recv(s[1], BAD_PTR, 4, 0));
  ret("still there", recv(s[1], buf, 4, 0));
  ret("type", getsockopt(s[0], SOL_SOCKET, SO_TYPE, &v, &l));
  say("%d", v == SOCK_STREAM);
  getsockopt(s[0], SOL_SOCKET, SO_DOMAIN, &v, &l);
  say("%d", v == AF_UNIX);
  ret("level", getsockopt(s[0], 77, 1, &v, &l));
  ret("option", getsockopt(s[0], SOL_SOCKET, 999, &v, &l));
  v = 10000;
  ret("sndbuf", setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &v, sizeof v));
  getsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &v, &l);
  say("%d", v);
  ret("short option", setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &v, 2));
  struct sockaddr_un a;
  socklen_t al = sizeof a;
  ret("getsockname", getsockname(s[0], (struct sockaddr *)&a, &al));
  say("len %d", al);
  al = sizeof a;
  ret("getpeername", getpeername(s[0], (struct sockaddr *)&a, &al));
  say("len %d", al);
  ret("bind connected", 0);
  ret("listen unbound", listen(s[0], 1));
  ret("accept not listening", accept(s[0], NULL, NULL));
  ret("connect connected", connect(s[0], (struct sockaddr *)&a, named(&a, "@nobody")));
  ret("not a socket", send(1, "x", 1, 0));
  ret("bad fd", send(99, "x", 1, 0));

  // Waiting for all, timeouts.
  pid_t pid = fork();
  if (pid == 0) {
    for (int i = 0; i < 5; i++) sleep_ms(10), write(s[0], "12345678", 8);
    _exit(0);
  }
  ret("waitall", recv(s[1], buf, 40, MSG_WAITALL));
  wait_say("child", pid);
  struct timeval tv = {0, 30000};
  ret("timeout", setsockopt(s[1], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
  ret("times out", recv(s[1], buf, 1, 0));
  memset(&tv, 9, sizeof tv);
  l = sizeof tv;
  ret("get timeout", getsockopt(s[1], SOL_SOCKET, SO_RCVTIMEO, &tv, &l));
  is("close", tv.tv_sec == 0 && tv.tv_usec >= 29000 && tv.tv_usec <= 40000);

  // Ends.
  signal(SIGPIPE, on_sigpipe);
  ret("shutdown wr", shutdown(s[0], SHUT_WR));
  ret("bad how", shutdown(s[0], 7));
  ret("write", write(s[0], "x", 1));
  ret("send nosignal", send(s[0], "x", 1, MSG_NOSIGNAL));
  say("sigpipe %d", pipes);
  say("poll %x %x", ev(s[0]), ev(s[1]));
  ret("read end", read(s[1], buf, 1));
  ret("other way", write(s[1], "back", 4));
  ret("read", read(s[0], buf, 10));
  write(s[1], "unread", 6);
  close(s[0]);
  l = sizeof v;
  ret("recv", recv(s[1], buf, 1, 0));
  ret("again", recv(s[1], buf, 1, 0));
  say("poll %x", ev(s[1]));
  ret("write", send(s[1], "x", 1, MSG_NOSIGNAL));
  close(s[1]);
}

static void test_types(int type, const char *name) {
  int s[2];
  say("-- %s", name);
  ret("pair", socketpair(AF_UNIX, type, 0, s));
  ret("one", send(s[0], "one", 3, 0));
  ret("empty", send(s[0], "", 0, 0));
  ret("three", send(s[0], "three", 5, 0));
  recv_say("one", s[1], 100, 0, 0);
  recv_say("empty", s[1], 100, 0, 0);
  recv_say("peek cut", s[1], 2, 0, MSG_PEEK);
  ret("full length", recv(s[1], buf, 2, MSG_TRUNC));
  ret("gone", recv(s[1], buf, 100, MSG_DONTWAIT));
  ret("too long", send(s[0], buf, 300000, 0));
  int n = 0;
  while (send(s[0], buf, 1000, MSG_DONTWAIT) > 0) n++;
  is("queue is bounded", n > 5 && n < 1000);
  struct mmsghdr mm[3];
  struct iovec iov[3];
  memset(mm, 0, sizeof mm);
  for (int i = 0; i < 3; i++) {
    iov[i].iov_base = buf + i * 2000, iov[i].iov_len = 2000;
    mm[i].msg_hdr.msg_iov = &iov[i], mm[i].msg_hdr.msg_iovlen = 1;
  }
  ret("recvmmsg", recvmmsg(s[1], mm, 3, MSG_DONTWAIT, NULL));
  say("%d %d %d", mm[0].msg_len, mm[1].msg_len, mm[2].msg_len);
  while (recv(s[1], buf, 2000, MSG_DONTWAIT) > 0) {}
  for (int i = 0; i < 3; i++) iov[i].iov_len = 10 + i;
  ret("sendmmsg", sendmmsg(s[0], mm, 3, 0));
  ret("waitforone", recvmmsg(s[1], mm, 3, MSG_WAITFORONE, NULL));
  say("%d %d %d", mm[0].msg_len, mm[1].msg_len, mm[2].msg_len);
  ret("shutdown", shutdown(s[1], SHUT_RD));
  ret("send", send(s[0], "x", 1, MSG_NOSIGNAL));
  close(s[0]);
  ret("recv", recv(s[1], buf, 10, MSG_DONTWAIT));
  ret("send to closed", send(s[1], "x", 1, MSG_NOSIGNAL));
  close(s[1]);
}

static void *client(void *arg) {
  struct sockaddr_un a;
  int c = socket(AF_UNIX, SOCK_STREAM, 0);
  sleep_ms(30);
  connect(c, (struct sockaddr *)&a, named(&a, arg));
  write(c, "from client", 11);
  return (void *)(long)c;
}

static void test_names(const char *name) {
  struct sockaddr_un a, b;
  say("-- name %s", name);
  int s = socket(AF_UNIX, SOCK_STREAM, 0);
  socklen_t l = named(&a, name);
  int c = socket(AF_UNIX, SOCK_STREAM, 0);
  ret("refused", connect(c, (struct sockaddr *)&a, l) < 0 ? errno != 0 : 0);
  ret("bad length", bind(s, (struct sockaddr *)&a, 200));
  ret("short", bind(s, (struct sockaddr *)&a, 1));
  a.sun_family = AF_INET;
  ret("bad family", bind(s, (struct sockaddr *)&a, l));
  a.sun_family = AF_UNIX;
  ret("bind", bind(s, (struct sockaddr *)&a, l));
  ret("bind again", bind(s, (struct sockaddr *)&a, l));
  int o = socket(AF_UNIX, SOCK_STREAM, 0);
  ret("in use", bind(o, (struct sockaddr *)&a, l));
  ret("not listening", connect(c, (struct sockaddr *)&a, l));
  ret("listen", listen(s, 1));
  int v;
  socklen_t vl = sizeof v;
  getsockopt(s, SOL_SOCKET, SO_ACCEPTCONN, &v, &vl);
  say("acceptconn %d", v);
  say("poll %x %x", ev(s), ev(c));
  fcntl(s, F_SETFL, O_NONBLOCK);
  ret("none", accept(s, NULL, NULL));
  fcntl(s, F_SETFL, 0);
  int d = socket(AF_UNIX, SOCK_DGRAM, 0);
  ret("wrong type", connect(d, (struct sockaddr *)&a, l));
  ret("connect", connect(c, (struct sockaddr *)&a, l));
  ret("connect again", connect(c, (struct sockaddr *)&a, l));
  fcntl(o, F_SETFL, O_NONBLOCK);
  ret("second", connect(o, (struct sockaddr *)&a, l));
  int third = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
  ret("backlog full", connect(third, (struct sockaddr *)&a, l));
  say("poll %x", ev(s));
  socklen_t bl = sizeof b;
  int k = accept4(s, (struct sockaddr *)&b, &bl, SOCK_CLOEXEC | SOCK_NONBLOCK);
  ok("accept", k);
  say("peer length %d", bl);
  is("flags", fcntl(k, F_GETFD) == FD_CLOEXEC && (fcntl(k, F_GETFL) & O_NONBLOCK));
  ret("bad flags", accept4(s, NULL, NULL, 0x1));
  bl = sizeof b;
  getsockname(k, (struct sockaddr *)&b, &bl);
  is("own name", bl == l && memcmp(&a, &b, l) == 0);
  bl = sizeof b;
  getpeername(c, (struct sockaddr *)&b, &bl);
  is("peer name", bl == l && memcmp(&a, &b, l) == 0);
  bl = 5;
  memset(&b, 0, sizeof b);
  ret("cut name", getpeername(c, (struct sockaddr *)&b, &bl));
  say("length %d", bl);
  write(c, "ping", 4);
  ret("data", read(k, buf, 10));
  struct ucred u;
  socklen_t ul = sizeof u;
  ret("peercred", getsockopt(k, SOL_SOCKET, SO_PEERCRED, &u, &ul));
  is("mine", u.pid == getpid() && u.uid == getuid() && ul == sizeof u);
  int k2 = accept(s, NULL, NULL);
  ok("accept", k2);
  pthread_t t;
  pthread_create(&t, NULL, client, (void *)name);
  int k3 = accept(s, NULL, NULL);
  ok("blocking accept", k3);
  ret("read", read(k3, buf, 100));
  void *cfd;
  pthread_join(t, &cfd);
  close((int)(long)cfd);
  ret("end", read(k3, buf, 100));
  int pending = socket(AF_UNIX, SOCK_STREAM, 0);
  ret("connect", connect(pending, (struct sockaddr *)&a, l));
  close(s);
  ret("dropped", read(pending, buf, 1));
  if (name[0] != '@') {
    struct stat st;
    ret("stat", stat(name, &st));
    say("socket %d mode %o", S_ISSOCK(st.st_mode), st.st_mode & 07777);
    ret("open", open(name, O_RDWR));
    ret("refused", connect(third, (struct sockaddr *)&a, l));
    ret("unlink", unlink(name));
  }
  ret("gone", connect(third, (struct sockaddr *)&a, l) < 0);
}

static void test_dgram(void) {
  struct sockaddr_un a, b;
  say("-- dgram names");
  int x = socket(AF_UNIX, SOCK_DGRAM, 0), y = socket(AF_UNIX, SOCK_DGRAM, 0);
  socklen_t la = named(&a, "@dg-x"), lb = named(&b, "@dg-y");
  ret("unconnected", send(x, "x", 1, 0));
  bind(x, (struct sockaddr *)&a, la);
  ret("no such", sendto(x, "x", 1, 0, (struct sockaddr *)&b, lb));
  bind(y, (struct sockaddr *)&b, lb);
  ret("sendto", sendto(x, "hello", 5, 0, (struct sockaddr *)&b, lb));
  recv_say("recv", y, 100, 0, 0);
  ret("connect", connect(x, (struct sockaddr *)&b, lb));
  ret("send", send(x, "hi", 2, 0));
  recv_say("recv", y, 100, 0, 0);
  ret("connect back", connect(y, (struct sockaddr *)&a, la));
  int z = socket(AF_UNIX, SOCK_DGRAM, 0);
  ret("not allowed", sendto(z, "x", 1, 0, (struct sockaddr *)&b, lb));
  ret("connect not allowed", connect(z, (struct sockaddr *)&b, lb));
  struct sockaddr un = {AF_UNSPEC};
  ret("disconnect", connect(y, &un, sizeof un));
  ret("allowed now", sendto(z, "z", 1, 0, (struct sockaddr *)&b, lb));
  recv_say("from nobody", y, 100, 0, 0);
  a.sun_family = AF_UNIX;
  ret("autobind", bind(z, (struct sockaddr *)&a, sizeof(sa_family_t)));
  socklen_t l = sizeof a;
  getsockname(z, (struct sockaddr *)&a, &l);
  say("autobind length %d", l);
  close(y);
  ret("peer is gone", send(x, "x", 1, 0));
  ret("listen", listen(x, 1));
  ret("accept", accept(x, NULL, NULL));
}

static void test_fds(int type) {
  int s[2], p[2];
  say("-- descriptors type %d", type);
  socketpair(AF_UNIX, type, 0, s);
  pipe(p);
  ret("send", send_fds(s[0], "abc", 3, p, 2));
  write(s[0], "def", 3);
  recv_say("recv", s[1], 100, 4096, MSG_CMSG_CLOEXEC);
  is("two", ngot == 2);
  if (ngot == 2) {
    is("cloexec", fcntl(got[0], F_GETFD) == FD_CLOEXEC);
    write(got[1], "through", 7);
    ret("through", read(p[0], buf, 10));
    close(got[0]), close(got[1]);
  }
  recv_say("rest", s[1], 100, 4096, 0);
  send_fds(s[0], "x", 1, p, 2);
  recv_say("no room", s[1], 100, 0, 0);
  send_fds(s[0], "x", 1, p, 2);
  recv_say("room for one", s[1], 100, CMSG_LEN(sizeof(int)), 0);
  for (int i = 0; i < ngot; i++) close(got[i]);
  send_fds(s[0], "x", 1, p, 2);
  recv_say("peek", s[1], 100, 4096, MSG_PEEK);
  for (int i = 0; i < ngot; i++) close(got[i]);
  recv_say("and again", s[1], 100, 4096, 0);
  for (int i = 0; i < ngot; i++) close(got[i]);
  int many[300];
  for (int i = 0; i < 300; i++) many[i] = p[0];
  ret("253", send_fds(s[0], "m", 1, many, 253));
  recv_say("253", s[1], 100, 4096, 0);
  for (int i = 0; i < ngot; i++) close(got[i]);
  ret("254", send_fds(s[0], "m", 1, many, 254));
  many[1] = 999;
  ret("bad one", send_fds(s[0], "m", 1, many, 2));
  // A pipe whose only write end is in flight.
  send_fds(s[0], "w", 1, &p[1], 1);
  close(p[1]);
  fcntl(p[0], F_SETFL, O_NONBLOCK);
  ret("in flight", read(p[0], buf, 1));
  close(s[0]), close(s[1]);
  ret("dropped", read(p[0], buf, 1));
  // A cycle.
  pipe(p);
  socketpair(AF_UNIX, type, 0, s);
  send_fds(s[0], "c", 1, &s[0], 1), send_fds(s[1], "c", 1, &s[1], 1);
  send_fds(s[0], "w", 1, &p[1], 1);
  close(p[1]), close(s[0]), close(s[1]);
  int u[2];
  socketpair(AF_UNIX, SOCK_STREAM, 0, u);
  close(u[0]), close(u[1]);
  int e = -1;
  fcntl(p[0], F_SETFL, O_NONBLOCK);
  for (int i = 0; i < 200 && (e = read(p[0], buf, 1)) < 0; i++) sleep_ms(5);
  ret("cycle collected", e);
  close(p[0]);
}

static void test_creds(void) {
  int s[2], on = 1;
  say("-- credentials");
  socketpair(AF_UNIX, SOCK_STREAM, 0, s);
  write(s[0], "early", 5);
  ret("passcred", setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
  recv_say("before", s[1], 100, 4096, 0);
  write(s[0], "now", 3);
  recv_say("after", s[1], 100, 4096, 0);
  struct ucred u = {getpid(), getuid(), getgid()};
  struct iovec iov = {"own", 3};
  char ctl[CMSG_SPACE(sizeof u)];
  memset(ctl, 0, sizeof ctl);
  struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof ctl};
  struct cmsghdr *c = CMSG_FIRSTHDR(&m);
  c->cmsg_level = SOL_SOCKET, c->cmsg_type = SCM_CREDENTIALS, c->cmsg_len = CMSG_LEN(sizeof u);
  memcpy(CMSG_DATA(c), &u, sizeof u);
  ret("explicit", sendmsg(s[0], &m, 0));
  recv_say("explicit", s[1], 100, 4096, 0);
  c->cmsg_len = CMSG_LEN(4);
  ret("short", sendmsg(s[0], &m, 0));
  c->cmsg_len = 5;
  ret("broken", sendmsg(s[0], &m, 0));
  c->cmsg_len = CMSG_LEN(sizeof u), c->cmsg_type = 99;
  ret("unknown", sendmsg(s[0], &m, 0));
  pid_t pid = fork();
  if (pid == 0) {
    if (setgid(1234) || setuid(1234)) _exit(1);
    u.pid = getpid(), u.uid = u.gid = 0;
    c->cmsg_type = SCM_CREDENTIALS;
    memcpy(CMSG_DATA(c), &u, sizeof u);
    ret("forged", sendmsg(s[0], &m, 0));
    write(s[0], "child", 5);
    _exit(0);
  }
  wait_say("child", pid);
  recv_say("child's", s[1], 100, 4096, 0);
  // Messages of different senders are not joined.
  write(s[0], "a", 1);
  if (fork() == 0) write(s[0], "b", 1), _exit(0);
  wait(NULL);
  recv_say("first", s[1], 100, 4096, 0);
  recv_say("second", s[1], 100, 4096, 0);
}

#define SO_PASSPIDFD 76
#define SO_PEERPIDFD 77
#define SCM_PIDFD 4

// Whose a pidfd is: its process is the caller, or the caller's child `pid`.
static void whose(const char *name, int fd, pid_t pid) {
  char path[64], line[100];
  int nr = 0;
  snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
  FILE *f = fopen(path, "r");
  while (f && fgets(line, sizeof line, f)) sscanf(line, "Pid: %d", &nr);
  if (f) fclose(f);
  say("%s: %s, cloexec %d", name, nr == getpid() ? "own" : nr == pid ? "child" : "other", fcntl(fd, F_GETFD));
}

static void test_pidfds(void) {
  int s[2], one = 1, fd = -1;
  socklen_t l = sizeof fd;
  socketpair(AF_UNIX, SOCK_DGRAM, 0, s);
  ret("peer", getsockopt(s[0], SOL_SOCKET, SO_PEERPIDFD, &fd, &l));
  whose("peer", fd, 0);
  ret("groups", getsockopt(s[0], SOL_SOCKET, SO_PEERGROUPS, &fd, &(socklen_t){0}) == -1 && errno == ERANGE);
  ret("pass", setsockopt(s[1], SOL_SOCKET, SO_PASSPIDFD, &one, sizeof one));
  pid_t pid = fork();
  if (pid == 0) write(s[0], "x", 1), pause();
  char data[10], control[100];
  for (int room = 100; room >= 16; room -= 84) {
    struct iovec v = {data, sizeof data};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = room};
    ret("receive", recvmsg(s[1], &m, 0));
    say("flags %x, control %zu", m.msg_flags, m.msg_controllen);
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    if (c && room == 100) {
      say("%d %d %zu", c->cmsg_level, c->cmsg_type, c->cmsg_len);
      memcpy(&fd, CMSG_DATA(c), sizeof fd);
      whose("sender", fd, pid);
    }
    write(s[0], "own", 3);
  }
  kill(pid, SIGKILL);
  wait(NULL);
}

// What is found out in which order, and what a message shows of a sender who has changed since.
static void test_order(void) {
  struct sockaddr_un a;
  int s[2], p[2], on = 1;
  say("-- order");
  pipe(p), close(creat("plain", 0600));
  socketpair(AF_UNIX, SOCK_STREAM, 0, s);
  ret("connected to a file", connect(s[0], (struct sockaddr *)&a, named(&a, "plain")));
  int d = socket(AF_UNIX, SOCK_DGRAM, 0);
  struct iovec iov = {"x", 1};
  char ctl[CMSG_SPACE(sizeof(int))] = {0};
  struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof ctl, .msg_name = &a, .msg_namelen = named(&a, "plain")};
  *CMSG_FIRSTHDR(&m) = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
  memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), p, sizeof(int));
  ret("descriptors to a file", sendmsg(d, &m, 0));
  ret("bind", bind(d, (struct sockaddr *)&a, named(&a, "@order")));
  ret("bound, nowhere", bind(d, (struct sockaddr *)&a, named(&a, "none/a")));
  ret("bound, in use", bind(d, (struct sockaddr *)&a, named(&a, "plain")));
  ret("bound, free", bind(d, (struct sockaddr *)&a, named(&a, "free")));
  ret("nothing is left", access("free", F_OK));
  ret("bound, abstract", bind(d, (struct sockaddr *)&a, named(&a, "@other")));

  // Stream and datagram, the name comes later.
  write(s[0], "early", 5);
  bind(s[0], (struct sockaddr *)&a, named(&a, "@late"));
  recv_say("a name that came later", s[1], 100, 0, 0);
  int e[2];
  socketpair(AF_UNIX, SOCK_DGRAM, 0, e);
  write(e[0], "early", 5);
  bind(e[0], (struct sockaddr *)&a, named(&a, "@late dgram"));
  close(e[0]);
  recv_say("of a closed socket", e[1], 100, 0, 0);

  // Peeks go on to descriptors.
  write(s[0], "plain", 5);
  send_fds(s[0], "with", 4, p, 1);
  write(s[0], "rest", 4);
  recv_say("peek of the first", s[1], 5, 0, MSG_PEEK);
  recv_say("peek of some of it", s[1], 3, 4096, MSG_PEEK);
  for (int i = 0; i < ngot; i++) close(got[i]);
  recv_say("the first", s[1], 5, 0, 0);
  recv_say("a part", s[1], 2, 4096, 0);
  recv_say("the rest", s[1], 100, 4096, 0);
  setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
  write(s[0], "one", 3);
  if (fork() == 0) send_fds(s[0], "two", 3, p, 1), _exit(0);
  wait(NULL);
  recv_say("peek ends at another writer", s[1], 3, 10, MSG_PEEK);

  // The urgent byte of much data, in pieces of which only the last one has it; what is unread at the end.
  int u[2], n = 0;
  socketpair(AF_UNIX, SOCK_STREAM, 0, u);
  ret("urgent", send(u[0], buf, 100000, MSG_OOB));
  ioctl(u[0], TIOCOUTQ, &n);
  say("costs %d", n);
  while (recv(u[1], buf, 50000, MSG_DONTWAIT) > 0) n++;
  ret("its byte", recv(u[1], buf, 10, MSG_OOB | MSG_DONTWAIT));
  int q = socket(AF_UNIX, SOCK_SEQPACKET, 0);
  int bad = 999;
  ret("bad descriptor, not connected", send_fds(q, "x", 1, &bad, 1));
  socketpair(AF_UNIX, SOCK_SEQPACKET, 0, e), close(e[1]);
  ret("from nowhere to nobody", send(e[0], BAD_PTR, 8, MSG_NOSIGNAL)), close(e[0]);
  for (int i = 1; i < 3; i++) {
    socketpair(AF_UNIX, SOCK_SEQPACKET, 0, e);
    for (int k = 0; k < i; k++) send(e[0], "", 0, 0);
    close(e[1]);
    n = -1;
    getsockopt(e[0], SOL_SOCKET, SO_ERROR, &n, &(socklen_t){4});
    say("%d empty unread: %d", i, n);
  }
}

int main(void) {
  ret("socket", socket(AF_UNIX, SOCK_STREAM | 0x100, 0));
  ret("family", socket(99, SOCK_STREAM, 0));
  ret("packet", socket(AF_UNIX, SOCK_PACKET, 0));
  test_pair();
  test_types(SOCK_DGRAM, "dgram");
  test_types(SOCK_SEQPACKET, "seqpacket");
  test_names("@abstract");
  test_names("path.sock");
  test_dgram();
  test_fds(SOCK_STREAM);
  test_fds(SOCK_DGRAM);
  test_fds(SOCK_SEQPACKET);
  test_creds();
  test_pidfds();
  test_order();
  return 0;
}
