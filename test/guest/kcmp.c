// kcmp: what two processes share.
#include "guest.h"
#include <sched.h>
#include <sys/epoll.h>

enum { FILE_, VM, FILES, FS, SIGHAND, IO, SYSVSEM, EPOLL_TFD };

static long kcmp(pid_t a, pid_t b, int type, unsigned long i, unsigned long j) {
  long r = syscall(SYS_kcmp, a, b, type, i, j);
  return r > 1 ? 1 : r;  // the order is the kernel's secret
}

static int child(void *arg) {
  sleep_ms(2000);
  return 0;
}

int main(void) {
  static char stack[65536];
  pid_t me = getpid();
  int a = open("/dev/null", O_RDONLY), b = dup(a), c = open("/dev/null", O_RDONLY), ep = epoll_create1(0), p[2];
  ret("same descriptor", kcmp(me, me, FILE_, a, a));
  ret("duplicate", kcmp(me, me, FILE_, a, b));
  ret("opened again", kcmp(me, me, FILE_, a, c));
  ret("no such descriptor", kcmp(me, me, FILE_, a, 500));
  ret("bad type", kcmp(me, me, 99, 0, 0));
  ret("no such process", kcmp(me, 999999, VM, 0, 0));
  is("antisymmetric", syscall(SYS_kcmp, me, me, 0, a, c) + syscall(SYS_kcmp, me, me, 0, c, a) == 3);
  pid_t f = fork();
  if (f == 0) _exit(child(NULL));
  pid_t t = clone(child, stack + sizeof stack, CLONE_VM | CLONE_FILES | CLONE_FS | CLONE_SIGHAND | SIGCHLD, NULL);
  const char *names[] = {"file", "vm", "files", "fs", "sighand", "io", "sysvsem"};
  for (int i = 0; i < 7; i++) {
    long forked = kcmp(me, f, i, a, a), cloned = kcmp(me, t, i, a, a);
    // Whether a process has an I/O context depends on what it had to read from the disk.
    if (i == 5) is("io", forked >= 0 && cloned >= 0);
    else say("%s: fork %ld, clone %ld", names[i], forked, cloned);
  }
  pipe(p);
  struct epoll_event e = {.events = EPOLLIN};
  epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &e);
  unsigned slot[3] = {ep, p[0], 0};
  ret("watched", kcmp(me, me, EPOLL_TFD, p[0], (unsigned long)slot));
  ret("another", kcmp(me, me, EPOLL_TFD, a, (unsigned long)slot));
  slot[2] = 1;
  ret("no second of the number", kcmp(me, me, EPOLL_TFD, p[0], (unsigned long)slot));
  slot[0] = a;
  ret("no epoll", kcmp(me, me, EPOLL_TFD, p[0], (unsigned long)slot));
  ret("slot nowhere", kcmp(me, me, EPOLL_TFD, p[0], 16));
  pid_t other = fork();
  if (other == 0) {
    setresuid(65534, 65534, 65534);
    ret("somebody else's", kcmp(me, getpid(), VM, 0, 0));
    _exit(0);
  }
  waitpid(other, NULL, 0);
  kill(f, SIGKILL), kill(t, SIGKILL);
  while (wait(NULL) > 0) {}
  return 0;
}
