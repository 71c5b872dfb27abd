// Queries of pidfds: PIDFD_GET_INFO and PIDFD_GET_*_NAMESPACE; RLIMIT_CPU; STICKY_TIMEOUTS.
#include "guest.h"
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/select.h>

struct info {
  uint64_t mask, cgroup;
  uint32_t pid, tgid, ppid, ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
  int32_t exit_code;
};
#define GET_INFO _IOWR(0xff, 11, struct info)
#define GET_NS(n) _IO(0xff, n)

static void information(void) {
  int go[2];
  if (pipe(go)) return;
  pid_t p = fork();
  if (p == 0) {
    close(go[1]);
    char c;
    if (read(go[0], &c, 1) < 0) _exit(1);
    _exit(7);
  }
  close(go[0]);
  int fd = syscall(SYS_pidfd_open, p, 0);
  struct info i = {.mask = 1 | 2};
  ret("info", ioctl(fd, GET_INFO, &i));
  is("pid and parent", i.pid == p && i.tgid == p && i.ppid == getpid());
  is("mask", (i.mask & 3) == 3 && !(i.mask & 8));
  say("ids %d %d %d %d %d %d %d %d", i.ruid, i.rgid, i.euid, i.egid, i.suid, i.sgid, i.fsuid, i.fsgid);
  i.mask = 8;
  ret("exit of the living", ioctl(fd, GET_INFO, &i));
  is("not known", !(i.mask & 8));
  ret("no pointer", ioctl(fd, GET_INFO, NULL));
  ret("too small", ioctl(fd, _IOC(_IOC_READ | _IOC_WRITE, 0xff, 11, 16), &i));
  ret("unknown", ioctl(fd, _IO(0xff, 77)));
  int ns = ioctl(fd, GET_NS(10), 0);
  struct stat a, b;
  fstat(ns, &a);
  stat("/proc/self/ns/uts", &b);
  is("uts namespace", ns >= 0 && a.st_ino == b.st_ino);
  ret("with an argument", ioctl(fd, GET_NS(10), 1));
  for (int n = 1; n <= 10; n++) is("namespace", ioctl(fd, GET_NS(n), 0) >= 0);
  close(go[1]);
  siginfo_t si;
  waitid(P_PID, p, &si, WEXITED | WNOWAIT);
  i.mask = 8;
  ret("of a zombie", ioctl(fd, GET_INFO, &i));
  ret("namespace of a zombie", ioctl(fd, GET_NS(10), 0));
  wait_say("child", p);
  i.mask = 1;
  ret("of the reaped", ioctl(fd, GET_INFO, &i));
  i.mask = 8;
  ret("exit of the reaped", ioctl(fd, GET_INFO, &i));
  is("exit known", (i.mask & 8) && WIFEXITED(i.exit_code) && WEXITSTATUS(i.exit_code) == 7);
  ret("namespace of the reaped", ioctl(fd, GET_NS(10), 0));
}

// Who could not see the process learns nothing of it, not even how it ended. Until 6.18 Linux said ESRCH, then EREMOTE.
static void from_another_namespace(void) {
  pid_t p = fork();
  if (p == 0) _exit(3);
  int fd = syscall(SYS_pidfd_open, p, 0);
  for (int reaped = 0; reaped < 2; reaped++) {
    pid_t q = syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);
    if (q == 0) {
      struct info i = {.mask = reaped ? 8 : 1};
      int r = ioctl(fd, GET_INFO, &i);
      is(reaped ? "another's reaped" : "another's zombie", r < 0 && (errno == ESRCH || errno == EREMOTE));
      _exit(0);
    }
    wait_say("asker", q);
    if (!reaped) wait_say("child", p);
  }
}

// A second of CPU time: the limit comes from the parent, the clock starts at zero.
static void cpu_limit(void) {
  struct rlimit l = {1, RLIM_INFINITY};
  setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
  setrlimit(RLIMIT_CPU, &l);
  pid_t p = fork();
  if (p == 0)
    for (;;) {}
  wait_say("CPU limit", p);
}

static void timeouts(void) {
  struct timeval tv = {0, 10};
  select(0, NULL, NULL, NULL, &tv);
  say("left %ld", (long)tv.tv_usec);
  personality(STICKY_TIMEOUTS);
  tv.tv_usec = 10;
  select(0, NULL, NULL, NULL, &tv);
  say("left %ld", (long)tv.tv_usec);
}

int main(void) {
  information();
  from_another_namespace();
  cpu_limit();
  timeouts();
  return 0;
}
