// Senders and peers of Unix sockets, by the numbers of whoever asks (SCM_CREDENTIALS, SO_PEERCRED across PID namespaces).
#include "guest.h"
#include <sched.h>
#include <sys/socket.h>

static long told(int fd, pid_t pid) {
  union {
    char buf[CMSG_SPACE(sizeof(struct ucred))];
    struct cmsghdr align;
  } ctl = {0};
  struct iovec iov = {"x", 1};
  struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl.buf, .msg_controllen = sizeof ctl.buf};
  struct cmsghdr *c = CMSG_FIRSTHDR(&m);
  struct ucred u = {pid, 0, 0};
  c->cmsg_level = SOL_SOCKET, c->cmsg_type = SCM_CREDENTIALS, c->cmsg_len = CMSG_LEN(sizeof u);
  memcpy(CMSG_DATA(c), &u, sizeof u);
  return sendmsg(fd, &m, 0);
}

static pid_t sender(int fd) {
  union {
    char buf[CMSG_SPACE(sizeof(struct ucred))];
    struct cmsghdr align;
  } ctl;
  char b;
  struct iovec iov = {&b, 1};
  struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl.buf, .msg_controllen = sizeof ctl.buf};
  struct ucred u = {-1, 0, 0};
  if (recvmsg(fd, &m, 0) != 1) return -2;
  struct cmsghdr *c = CMSG_FIRSTHDR(&m);
  if (c != NULL && c->cmsg_type == SCM_CREDENTIALS) memcpy(&u, CMSG_DATA(c), sizeof u);
  return u.pid;
}

static pid_t peer(int fd) {
  struct ucred u = {-1, 0, 0};
  socklen_t n = sizeof u;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &u, &n)) return -2;
  return u.pid;
}

static void between(const char *name, int type) {
  int s[2], t[2], done[2], on = 1;
  say("== %s", name);
  if (socketpair(AF_UNIX, type, 0, s) || pipe(t) || pipe(done)) exit(1);
  for (int i = 0; i < 2; i++) setsockopt(s[i], SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
  ret("write", write(s[0], "w", 1));
  pid_t p = syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);
  if (p == 0) {
    // Its parent has no number here.
    ret("peer inside", peer(s[1]));
    ret("sender inside", sender(s[1]));
    ret("told", told(s[1], 1));
    ret("untold", write(s[1], "y", 1));
    ret("nobody's", told(s[1], 77777));
    int made[2];
    socketpair(AF_UNIX, type, 0, made);
    ret("own peer", peer(made[0]));
    pid_t g = fork();
    if (g == 0) {
      int bad = write(s[1], "z", 1) != 1 || write(done[1], "", 1) != 1 || read(t[0], &on, 1) != 1;
      _exit(bad);
    }
    wait_say("grandchild", g);
    _exit(0);
  }
  if (read(done[0], &on, 1) != 1) exit(1);
  is("told is the child", sender(s[0]) == p);
  is("untold is the child", sender(s[0]) == p);
  pid_t g = sender(s[0]);
  is("grandchild is another", g > 0 && g != p && kill(g, 0) == 0);
  is("peer is this process", peer(s[0]) == getpid());
  if (write(t[1], "", 1) != 1) exit(1);
  waitpid(p, NULL, 0);
}

int main(void) {
  between("stream", SOCK_STREAM);
  between("datagrams", SOCK_DGRAM);
  between("packets", SOCK_SEQPACKET);
  return 0;
}
