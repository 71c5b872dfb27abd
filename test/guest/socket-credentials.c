// link: -w
// Control messages between processes: which credentials may be forged, several messages and their alignment, descriptors of every
// kind, cuts, MSG_CMSG_CLOEXEC, who the peer is.
#include "guest.h"
#include <linux/memfd.h>
#include <poll.h>
#include <sched.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>

#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#define SO_PEERPIDFD 77
#endif

static char buf[4096];
static union { char c[2048]; struct cmsghdr h; } ctl;
static size_t used;

static void add(int level, int type, const void *data, size_t size) {
  struct cmsghdr *c = (void *)(ctl.c + used);
  c->cmsg_level = level, c->cmsg_type = type, c->cmsg_len = CMSG_LEN(size);
  memcpy(CMSG_DATA(c), data, size);
  used += CMSG_SPACE(size);
}

static long out(int s, size_t len) {
  struct iovec iov = {"x", 1};
  struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl.c, .msg_controllen = len};
  long r = sendmsg(s, &m, MSG_DONTWAIT);
  used = 0;
  return r;
}

// What came: types, lengths; descriptors are closed, or kept in `kept`.
static int kept[64], nkept;
static void in(const char *what, int s, size_t room, int flags) {
  union { char c[1024]; struct cmsghdr h; } in;
  struct iovec iov = {buf, 10};
  memset(&in, 0, sizeof in);
  struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = room ? in.c : NULL, .msg_controllen = room};
  long r = recvmsg(s, &m, flags | MSG_DONTWAIT);
  if (r < 0) {
    say("%s: %s", what, strerrorname_np(errno));
    return;
  }
  printf("%s: %ld, flags %x, %zu bytes", what, r, m.msg_flags, m.msg_controllen);
  nkept = 0;
  for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
    printf(" [%d %zu", c->cmsg_type, c->cmsg_len);
    if (c->cmsg_type == SCM_RIGHTS)
      for (unsigned i = 0; i < (c->cmsg_len - 16) / 4; i++) kept[nkept++] = ((int *)CMSG_DATA(c))[i];
    if (c->cmsg_type == SCM_CREDENTIALS && c->cmsg_len == CMSG_LEN(12)) {
      struct ucred *u = (void *)CMSG_DATA(c);
      printf(" %s %d %d", u->pid == getpid() ? "self" : u->pid == 0 ? "none" : u->pid == getppid() ? "parent" : "other", u->uid, u->gid);
    }
    printf("]");
  }
  for (int i = 0; i < nkept; i++) printf(" %s", (fcntl(kept[i], F_GETFD) & FD_CLOEXEC) ? "cloexec" : "kept");
  printf("\n");
  fflush(stdout);
  if (!(flags & 0x100)) for (; nkept > 0;) close(kept[--nkept]);
}

static void forge(const char *who, int s, int peer) {
  struct ucred me = {getpid(), getuid(), getgid()};
  struct { const char *name; struct ucred c; } all[] = {
      {"own", me}, {"parent", {getppid(), me.uid, me.gid}}, {"nobody's pid", {4000000, me.uid, me.gid}}, {"pid 0", {0, me.uid, me.gid}},
      {"pid -1", {-1, me.uid, me.gid}}, {"uid 7", {me.pid, 7, me.gid}}, {"gid 7", {me.pid, me.uid, 7}}, {"uid -1", {me.pid, -1, me.gid}},
      {"gid -1", {me.pid, me.uid, -1}}, {"effective", {me.pid, geteuid(), getegid()}}, {"root", {me.pid, 0, 0}},
  };
  for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
    char what[60];
    snprintf(what, sizeof what, "%s %s", who, all[i].name);
    add(SOL_SOCKET, SCM_CREDENTIALS, &all[i].c, sizeof me);
    say("%s: %s", what, err(out(s, used)));
    in(what, peer, 200, 0);
  }
  for (int len = 0; len <= 16; len += 4) {
    add(SOL_SOCKET, SCM_CREDENTIALS, &me, len), say("%s of %d bytes: %s", who, len, err(out(s, used)));
    in("then", peer, 200, 0);
  }
}

static void forging(int type) {
  int s[2], on = 1;
  socketpair(AF_UNIX, type, 0, s);
  setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
  forge("root", s[0], s[1]);
  pid_t p = fork();
  if (p == 0) {
    setresgid(100, 200, 300), setresuid(1000, 2000, 3000);
    forge("user", s[0], s[1]);
    send(s[0], "plain", 5, 0);
    in("implied", s[1], 200, 0);
    _exit(0);
  }
  waitpid(p, NULL, 0);
  // Of a process that is gone.
  p = fork();
  if (p == 0) send(s[0], "late", 4, 0), _exit(0);
  waitpid(p, NULL, 0);
  in("of the dead", s[1], 200, 0);
  int off = 0;
  setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &off, sizeof off);
  send(s[0], "early", 5, 0);
  setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
  in("asked for later", s[1], 200, 0);
  setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &off, sizeof off), setsockopt(s[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
  send(s[0], "sender", 6, 0);
  in("only the sender asks", s[1], 200, 0);
  struct ucred me = {getpid(), getuid(), getgid()};
  add(SOL_SOCKET, SCM_CREDENTIALS, &me, sizeof me), out(s[0], used);
  in("not asked for", s[1], 200, 0);
  close(s[0]), close(s[1]);
}

// Headers that are cut, empty, too long, or follow each other.
static void layout(int type) {
  int s[2], fd = 0, on = 1;
  struct ucred me = {getpid(), getuid(), getgid()};
  socketpair(AF_UNIX, type, 0, s);
  setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
  for (int len = 0; len <= 40; len += 4) {
    add(SOL_SOCKET, SCM_RIGHTS, &fd, 4);
    say("control of %d bytes: %s", len, err(out(s[0], len)));
    in("then", s[1], 200, 0);
  }
  static const long lens[] = {0, 15, 16, 17, 19, 20, 21, 23, 24, 25, 32, -1, 1L << 32};
  for (unsigned i = 0; i < sizeof lens / sizeof *lens; i++) {
    memset(&ctl, 0, sizeof ctl);
    add(SOL_SOCKET, SCM_RIGHTS, &fd, 4), ctl.h.cmsg_len = lens[i];
    say("length %ld of 24: %s", lens[i], err(out(s[0], 24)));
    in("then", s[1], 200, 0);
  }
  memset(&ctl, 0, sizeof ctl);
  add(SOL_SOCKET, SCM_RIGHTS, &fd, 4), add(SOL_SOCKET, SCM_RIGHTS, (int[]){0, 1}, 8), add(SOL_SOCKET, SCM_CREDENTIALS, &me, sizeof me);
  say("three messages %s", err(out(s[0], used)));
  in("then", s[1], 200, 0);
  add(SOL_SOCKET, SCM_CREDENTIALS, &me, sizeof me), me.uid = 5, add(SOL_SOCKET, SCM_CREDENTIALS, &me, sizeof me);
  say("credentials twice %s", err(out(s[0], used)));
  in("the last counts", s[1], 200, 0);
  add(SOL_SOCKET, SCM_RIGHTS, &fd, 4), add(SOL_SOCKET, 77, &fd, 4);
  say("one unknown %s", err(out(s[0], used)));
  add(SOL_SOCKET, SCM_RIGHTS, &fd, 4), add(77, 77, &fd, 4);
  say("one of another level %s", err(out(s[0], used)));
  in("then", s[1], 200, 0);
  add(SOL_SOCKET, SCM_RIGHTS, &fd, 4), add(SOL_SOCKET, SCM_RIGHTS, (int[]){99}, 4);
  say("one that is none %s", err(out(s[0], used)));
  add(SOL_SOCKET, 4 /* SCM_PIDFD */, &fd, 4), say("a pidfd %s", err(out(s[0], used)));
  add(SOL_SOCKET, 3 /* SCM_SECURITY */, &fd, 4), say("security %s", err(out(s[0], used)));
  int many[256];
  for (int i = 0; i < 256; i++) many[i] = 0;
  for (int n = 252; n <= 254; n++) {
    add(SOL_SOCKET, SCM_RIGHTS, many, 4 * n), say("%d descriptors %s", n, err(out(s[0], used)));
    if (n < 254) in("then", s[1], 64, 0);
  }
  struct iovec iov = {"x", 1};
  struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = BAD_PTR, .msg_controllen = 24};
  say("control nowhere %s", err(sendmsg(s[0], &m, 0)));
  m.msg_control = NULL;
  say("no control of 24 bytes %s", err(sendmsg(s[0], &m, 0)));
  m.msg_control = BAD_PTR, iov.iov_base = buf;
  send(s[0], "y", 1, 0);
  add(SOL_SOCKET, SCM_RIGHTS, &fd, 4), out(s[0], used);
  say("received nowhere %s", err(recvmsg(s[1], &m, MSG_DONTWAIT)));
  close(s[0]), close(s[1]);
}

// A descriptor of each kind goes to oneself and is the same file.
static void kinds(int type) {
  int s[2], p[2], x[2];
  sigset_t set;
  sigemptyset(&set);
  socketpair(AF_UNIX, type, 0, s);
  pipe(p), socketpair(AF_UNIX, SOCK_DGRAM, 0, x);
  int ep = epoll_create1(0);
  struct epoll_event e = {.events = EPOLLIN};
  epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &e);
  struct { const char *name; int fd; } all[] = {
      {"file", open("given", O_RDWR | O_CREAT, 0600)}, {"directory", open(".", O_RDONLY)}, {"path", open(".", O_PATH)}, {"pipe", p[0]},
      {"socket", x[0]}, {"tcp", socket(AF_INET, SOCK_STREAM, 0)}, {"udp", socket(AF_INET6, SOCK_DGRAM, 0)}, {"netlink", socket(AF_NETLINK, SOCK_RAW, 0)},
      {"epoll", ep}, {"eventfd", eventfd(3, 0)}, {"timerfd", timerfd_create(CLOCK_MONOTONIC, 0)}, {"signalfd", signalfd(-1, &set, 0)},
      {"inotify", inotify_init()}, {"memfd", memfd_create("m", 0)}, {"pidfd", syscall(SYS_pidfd_open, getpid(), 0)}, {"null", open("/dev/null", O_RDWR)},
      {"pty", open("/dev/ptmx", O_RDWR | O_NOCTTY)}, {"proc", open("/proc/self/status", O_RDONLY)}, {"namespace", open("/proc/self/ns/net", O_RDONLY)},
      {"itself", s[0]}, {"the receiver", s[1]}, {"stdout", 1},
  };
  for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
    if (all[i].fd < 0) continue;
    for (int cloexec = 0; cloexec < 2; cloexec++) {
      int flags = fcntl(all[i].fd, F_GETFL);
      add(SOL_SOCKET, SCM_RIGHTS, &all[i].fd, 4);
      say("%s: %s", all[i].name, err(out(s[0], used)));
      in(all[i].name, s[1], 200, (cloexec ? MSG_CMSG_CLOEXEC : 0) | 0x100);
      if (nkept != 1) continue;
      struct stat a, b;
      fstat(all[i].fd, &a), fstat(kept[0], &b);
      say(" same file %d, same description %ld, flags %d", a.st_ino == b.st_ino && a.st_dev == b.st_dev, (long)syscall(SYS_kcmp, getpid(), getpid(), 0, all[i].fd, kept[0]), flags == fcntl(kept[0], F_GETFL));
      if (all[i].fd == ep) say(" epoll add %s, wait %s", err(epoll_ctl(kept[0], EPOLL_CTL_ADD, x[1], &e)), err(epoll_wait(kept[0], &e, 1, 0)));
      close(kept[0]), nkept = 0;
    }
  }
  unlink("given");
  // Those that were not taken are closed: the pipe breaks.
  add(SOL_SOCKET, SCM_RIGHTS, &p[1], 4), out(s[0], used);
  close(p[1]);
  struct pollfd pf = {p[0], POLLIN};
  say("pipe %d, %x", poll(&pf, 1, 0), pf.revents);
  say("read without control %s", err(read(s[1], buf, 10)));
  say("pipe %d, %x", poll(&pf, 1, 0), pf.revents);
  pipe(p);
  add(SOL_SOCKET, SCM_RIGHTS, &p[1], 4), out(s[0], used);
  close(p[1]);
  in("peeked", s[1], 200, MSG_PEEK);
  in("too little room", s[1], 16, 0);
  pf.fd = p[0], pf.revents = 0;
  say("pipe %d, %x", poll(&pf, 1, 0), pf.revents);
  pipe(p);
  add(SOL_SOCKET, SCM_RIGHTS, &p[1], 4), out(s[0], used);
  close(p[1]), close(s[1]);
  pf.fd = p[0], pf.revents = 0;
  say("receiver closed: pipe %d, %x", poll(&pf, 1, 0), pf.revents);
  close(s[0]);
}

static void peer_of(const char *what, int s, pid_t want) {
  struct ucred u = {7, 7, 7};
  socklen_t n = sizeof u;
  int fd = -1;
  long r = getsockopt(s, SOL_SOCKET, SO_PEERCRED, &u, &n);
  say("%s: %s, pid %d, %d %d, %d bytes", what, err(r), u.pid == want, u.uid, u.gid, n);
  n = sizeof fd;
  r = getsockopt(s, SOL_SOCKET, SO_PEERPIDFD, &fd, &n);
  say("%s: pidfd %s, cloexec %d", what, err(r), r == 0 ? fcntl(fd, F_GETFD) : -1);
  if (r == 0) {
    say("signal %s", err(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0)));
    close(fd);
  }
  for (n = 0; n < 16; n += 5) {
    socklen_t l = n;
    memset(&u, 0x55, sizeof u);
    say("room for %d: %s, %d bytes", n, err(getsockopt(s, SOL_SOCKET, SO_PEERCRED, &u, &l)), l);
  }
  char label[100];
  n = sizeof label;
  say("security %s", err(getsockopt(s, SOL_SOCKET, SO_PEERSEC, label, &n)));
}

// Whose connection it is: the one who listened and the one who connected, whoever holds it.
static void peers(int type) {
  struct sockaddr_un a = {AF_UNIX};
  socklen_t l = sizeof a;
  int s = socket(AF_UNIX, type, 0), ready[2];
  bind(s, (struct sockaddr *)&a, sizeof(sa_family_t));
  getsockname(s, (struct sockaddr *)&a, &l);
  peer_of("new", s, 0);
  listen(s, 3);
  peer_of("listening", s, getpid());
  pid_t p = fork();
  if (p == 0) {
    setresgid(10, 20, 30), setresuid(40, 50, 60);
    int c = socket(AF_UNIX, type, 0);
    connect(c, (struct sockaddr *)&a, l);
    setresuid(50, 50, 50);
    peer_of("client", c, getppid());
    char b;
    send(c, "r", 1, 0);
    read(c, &b, 1);
    _exit(0);
  }
  int k = accept(s, NULL, NULL);
  char small[2];
  recv(k, small, 1, 0);
  peer_of("accepted", k, p);
  l = 0;
  say("groups in no room %s", err(getsockopt(k, SOL_SOCKET, SO_PEERGROUPS, small, &l)));
  send(k, "x", 1, 0);
  waitpid(p, NULL, 0);
  peer_of("of the dead", k, p);
  close(s), close(k);
}

int main(void) {
  static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
  signal(SIGPIPE, SIG_IGN);
  // The first process of the sandbox has no parent.
  pid_t p = fork();
  if (p > 0) {
    wait_say("all", p);
    return 0;
  }
  for (int i = 0; i < 3; i++) forging(types[i]), layout(types[i]), kinds(types[i]);
  peers(SOCK_STREAM), peers(SOCK_SEQPACKET);
  return 0;
}
