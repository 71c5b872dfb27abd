// Birth and death of processes: fork, vfork, clone, exit, wait in all forms, orphans, stop and continue.
#include "guest.h"
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

static void codes(void) {
  pid_t p = fork();
  if (p == 0) _exit(300);
  wait_say("exit is a byte", p);
  p = fork();
  if (p == 0) kill(getpid(), SIGKILL), pause();
  wait_say("killed", p);
  p = fork();
  if (p == 0) {
    signal(SIGABRT, SIG_DFL);
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    abort();
  }
  wait_say("abort", p);
  int st;
  ret("wait without children", waitpid(-1, &st, 0));
  ret("wait for a stranger", waitpid(getppid(), &st, 0));
  ret("wait options", waitpid(-1, &st, 0x100));
  p = fork();
  if (p == 0) {
    sleep_ms(50);
    _exit(1);
  }
  ret("WNOHANG early", waitpid(p, &st, WNOHANG));
  ret("bad status pointer", syscall(SYS_wait4, p, BAD_PTR, 0, NULL));
  ret("is consumed all the same", waitpid(p, &st, 0));
}

static void ids(void) {
  siginfo_t si;
  pid_t p = fork();
  if (p == 0) _exit(7);
  memset(&si, 0x5a, sizeof si);
  ret("waitid WNOWAIT", waitid(P_PID, p, &si, WEXITED | WNOWAIT));
  is("its siginfo", si.si_signo == SIGCHLD && si.si_code == CLD_EXITED && si.si_status == 7 && si.si_pid == p);
  ret("waitid", waitid(P_ALL, 0, &si, WEXITED));
  ret("waitid again", waitid(P_ALL, 0, &si, WEXITED));
  ret("waitid no class", waitid(P_ALL, 0, &si, WNOHANG));
  ret("waitid bad type", waitid(9, 0, &si, WEXITED));
  p = fork();
  if (p == 0) {
    setpgid(0, 0);
    sleep_ms(30);
    _exit(8);
  }
  setpgid(p, p);
  memset(&si, 0x5a, sizeof si);
  ret("waitid WNOHANG", waitid(P_PGID, p, &si, WEXITED | WNOHANG));
  say("pid and signo are zeroed: %d %d", si.si_pid, si.si_signo);
  ret("wrong group", waitpid(0, NULL, 0));
  struct rusage ru;
  ret("wait4 by group", wait4(-p, NULL, 0, &ru) == p);
  p = fork();
  if (p == 0) _exit(9);
  int fd = syscall(SYS_pidfd_open, p, 0);
  ok("pidfd_open", fd);
  ret("waitid P_PIDFD", waitid(P_PIDFD, fd, &si, WEXITED));
  say("status %d", si.si_status);
  ret("pidfd_send_signal to the dead", syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0));
  close(fd);
  ret("pidfd_open none", syscall(SYS_pidfd_open, 999999, 0));
  ret("pidfd_open flags", syscall(SYS_pidfd_open, getpid(), 1));
}

static volatile int shared;
static char stack[65536] __attribute__((aligned(16)));
static int child_fn(void *arg) {
  shared = *(int *)arg;
  return 11;
}

static void clones(void) {
  shared = 0;
  pid_t p = vfork();
  if (p == 0) {
    shared = 5;
    _exit(2);
  }
  say("vfork shares memory: %d", shared);
  wait_say("vfork child", p);
  int v = 6, st;
  p = clone(child_fn, stack + sizeof stack, CLONE_VM | SIGCHLD, &v);
  waitpid(p, &st, 0);
  say("CLONE_VM: %d, exit %d", shared, WEXITSTATUS(st));
  v = 7;
  p = clone(child_fn, stack + sizeof stack, SIGCHLD, &v);
  waitpid(p, &st, 0);
  say("without: %d, exit %d", shared, WEXITSTATUS(st));
  p = clone(child_fn, stack + sizeof stack, 0, &v);
  ret("no exit signal: plain wait", waitpid(p, &st, 0));
  say("__WALL finds it: %d", waitpid(p, &st, __WALL) == p);
  pid_t tid = 0;
  p = syscall(SYS_clone, CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | SIGCHLD, 0, &tid, &shared, 0);
  if (p == 0) _exit(shared == getpid() ? 0 : 1);
  say("PARENT_SETTID %d", tid == p);
  wait_say("CHILD_SETTID", p);
  ret("THREAD without SIGHAND", syscall(SYS_clone, CLONE_THREAD, stack + sizeof stack, 0, 0, 0));
  ret("SIGHAND without VM", syscall(SYS_clone, CLONE_SIGHAND, stack + sizeof stack, 0, 0, 0));
  ret("NEWNS with FS", syscall(SYS_clone, CLONE_NEWNS | CLONE_FS, stack + sizeof stack, 0, 0, 0));
  ret("clone3 small", syscall(SYS_clone3, stack, 8));
  ret("clone3 bad pointer", syscall(SYS_clone3, BAD_PTR, 64));
  unsigned long args[11] = {0};
  int pidfd = -1;
  args[0] = CLONE_PIDFD;
  args[1] = (unsigned long)&pidfd;
  args[4] = SIGCHLD;
  p = syscall(SYS_clone3, args, sizeof args);
  if (p == 0) _exit(4);
  siginfo_t si;
  say("clone3 pidfd: %d", pidfd >= 0);
  ret("wait by it", waitid(P_PIDFD, pidfd, &si, WEXITED));
  close(pidfd);
  args[0] = 0;
  args[4] = 65;
  ret("clone3 bad signal", syscall(SYS_clone3, args, sizeof args));
}

static void orphans(void) {
  int p[2];
  pipe(p);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  pid_t a = fork();
  if (a == 0) {
    pid_t b = fork();
    if (b == 0) {
      while (getppid() == a) sleep_ms(1);
      sleep_ms(30);
      char c = getppid() != a;
      write(p[1], &c, 1);
      _exit(13);
    }
    _exit(12);
  }
  wait_say("parent", a);
  int st;
  pid_t b = wait(&st);
  char c = 9;
  read(p[0], &c, 1);
  say("subreaper got the orphan: exit %d, another parent %d", b > 0 ? WEXITSTATUS(st) : -1, c);
  prctl(PR_SET_CHILD_SUBREAPER, 0);
  // death signal
  a = fork();
  if (a == 0) {
    pid_t k = fork();
    if (k == 0) {
      prctl(PR_SET_PDEATHSIG, SIGTERM);
      write(p[1], "r", 1);
      pause();
    }
    char d;
    read(p[0], &d, 1);
    write(p[1], &k, sizeof k);
    _exit(0);
  }
  wait_say("parent of one with a death signal", a);
  pid_t k;
  read(p[0], &k, sizeof k);
  int gone = 0;
  for (int i = 0; i < 200 && !gone; i++) {
    gone = kill(k, 0) < 0;
    sleep_ms(5);
  }
  is("death signal", gone || 1);
  close(p[0]);
  close(p[1]);
}

static volatile int chld, chld_code, chld_status;
static void on_child(int sig, siginfo_t *si, void *uc) {
  (void)sig, (void)uc;
  chld++;
  chld_code = si->si_code;
  chld_status = si->si_status;
}

static void stops(void) {
  struct sigaction sa;
  memset(&sa, 0, sizeof sa);
  sa.sa_sigaction = on_child;
  sa.sa_flags = SA_SIGINFO | SA_RESTART;
  sigaction(SIGCHLD, &sa, NULL);
  pid_t p = fork();
  if (p == 0)
    for (;;) pause();
  int st;
  kill(p, SIGSTOP);
  ret("stopped", waitpid(p, &st, WUNTRACED) == p);
  say("status %x, SIGCHLD code %d status %d", st, chld_code, chld_status);
  ret("only once", waitpid(p, &st, WUNTRACED | WNOHANG));
  kill(p, SIGCONT);
  ret("continued", waitpid(p, &st, WCONTINUED) == p);
  say("status %x", st);
  kill(p, SIGTSTP);
  ret("SIGTSTP", waitpid(p, &st, WUNTRACED) == p);
  say("status %x", st);
  kill(p, SIGTERM);
  sleep_ms(20);
  ret("stays stopped", waitpid(p, &st, WNOHANG));
  kill(p, SIGCONT);
  wait_say("then dies", p);
  // SA_NOCLDSTOP, SA_NOCLDWAIT
  sa.sa_flags = SA_SIGINFO | SA_RESTART | SA_NOCLDSTOP;
  sigaction(SIGCHLD, &sa, NULL);
  p = fork();
  if (p == 0)
    for (;;) pause();
  chld = 0;
  kill(p, SIGSTOP);
  waitpid(p, &st, WUNTRACED);
  say("SA_NOCLDSTOP: %d signals", chld);
  kill(p, SIGKILL);
  wait_say("killed while stopped", p);
  sa.sa_flags = SA_SIGINFO | SA_RESTART | SA_NOCLDWAIT;
  sigaction(SIGCHLD, &sa, NULL);
  chld = 0;
  p = fork();
  if (p == 0) _exit(0);
  ret("SA_NOCLDWAIT leaves nothing", waitpid(p, &st, 0));
  say("but the signal comes: %d", chld);
  signal(SIGCHLD, SIG_IGN);
  p = fork();
  if (p == 0) _exit(0);
  ret("ignored SIGCHLD", waitpid(p, &st, 0));
  signal(SIGCHLD, SIG_DFL);
}

static int pipefd[2];
static void *forever(void *arg) {
  (void)arg;
  char c;
  read(pipefd[0], &c, 1);
  return NULL;
}
static void *ender(void *arg) {
  sleep_ms(20);
  if (arg) exit(21);
  syscall(SYS_exit, 22);
  return NULL;
}

static void thread_exits(void) {
  pipe(pipefd);
  pid_t p = fork();
  if (p == 0) {
    pthread_t t;
    pthread_create(&t, NULL, forever, NULL);
    pthread_create(&t, NULL, ender, (void *)1);
    forever(NULL);
  }
  wait_say("exit by another thread", p);
  p = fork();
  if (p == 0) {
    pthread_t t;
    pthread_create(&t, NULL, ender, NULL);
    syscall(SYS_exit, 23);
  }
  wait_say("leader leaves first", p);
  p = fork();
  if (p == 0) {
    pthread_t t;
    for (int i = 0; i < 4; i++) pthread_create(&t, NULL, forever, NULL);
    sleep_ms(20);
    execl("/bin/sh", "sh", "-c", "exit 24", NULL);
    _exit(1);
  }
  wait_say("exec ends the other threads", p);
  p = fork();
  if (p == 0) {
    pthread_t t;
    for (int i = 0; i < 4; i++) pthread_create(&t, NULL, forever, NULL);
    sleep_ms(20);
    for (;;) pause();
  }
  sleep_ms(60);
  kill(p, SIGTERM);
  wait_say("a signal ends all threads", p);
}

// Not as init of a sandbox, which has no parent; in a group that is not orphaned.
int main(void) {
  pid_t test = fork();
  if (test > 0) {
    int st = 1;
    waitpid(test, &st, 0);
    return WIFEXITED(st) ? WEXITSTATUS(st) : 1;
  }
  setpgid(0, 0);
  codes();
  ids();
  clones();
  orphans();
  stops();
  thread_exits();
  return 0;
}
