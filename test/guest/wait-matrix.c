// wait4 and waitid in every form: kinds of children, exit signals, stops, groups, pointers; clone3's argument checks.
#include "guest.h"
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>

#define WCLONE 0x80000000
#define WALL 0x40000000
#define WNOTHREAD 0x20000000

static long waitid_(int type, int id, siginfo_t *si, int options, struct rusage *ru) {
  return syscall(SYS_waitid, type, id, si, options, ru);
}

static pid_t born(int exit_signal, int code) {
  pid_t p = syscall(SYS_clone, exit_signal, NULL, NULL, NULL, 0);
  if (p == 0) syscall(SYS_exit_group, code);
  return p;
}

static void tell(const char *name, long r, siginfo_t *si, pid_t p) {
  if (r) ret(name, r);
  else say("%s: signo %d code %d status %d pid %d uid %d", name, si->si_signo, si->si_code, si->si_status, si->si_pid == p, si->si_uid);
}

static void exit_signals(void) {
  const int signals[] = {SIGCHLD, SIGUSR1, 0, SIGRTMIN};
  const char *names[] = {"SIGCHLD", "SIGUSR1", "none", "SIGRTMIN"};
  const unsigned options[] = {0, WCLONE, WALL};
  const char *how[] = {"", " __WCLONE", " __WALL"};
  signal(SIGUSR1, SIG_IGN);
  signal(SIGRTMIN, SIG_IGN);
  for (int i = 0; i < 4; i++) {
    for (int j = 0; j < 3; j++) {
      pid_t p = born(signals[i], 5);
      int st = 0;
      char name[60];
      snprintf(name, sizeof name, "%s%s", names[i], how[j]);
      long r = syscall(SYS_wait4, p, &st, options[j], NULL);
      if (r == p) say("%s: %x", name, st);
      else ret(name, r), syscall(SYS_wait4, p, &st, WALL, NULL);
    }
  }
  pid_t p = born(SIGUSR1, 0);
  ret("anybody", syscall(SYS_wait4, -1, NULL, 0, NULL));
  is("anybody at all", syscall(SYS_wait4, -1, NULL, WALL, NULL) == p);
}

static void ignored(void) {
  signal(SIGUSR1, SIG_IGN);
  signal(SIGCHLD, SIG_IGN);
  born(SIGCHLD, 3);
  ret("SIGCHLD ignored", waitpid(-1, NULL, 0));
  born(SIGUSR1, 3);
  int st;
  is("another signal ignored", syscall(SYS_wait4, -1, &st, WALL, NULL) > 0 && WEXITSTATUS(st) == 3);
  struct sigaction sa = {.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT};
  sigaction(SIGCHLD, &sa, NULL);
  born(SIGCHLD, 3);
  ret("SA_NOCLDWAIT", waitpid(-1, NULL, 0));
  born(0, 3);
  ret("SA_NOCLDWAIT, no signal", syscall(SYS_wait4, -1, &st, WALL, NULL) > 0 ? 0 : -1);
  sa.sa_flags = 0;
  sigaction(SIGCHLD, &sa, NULL);
}

static void waitids(void) {
  siginfo_t si;
  struct rusage ru;
  memset(&si, 0x55, sizeof si);
  pid_t p = born(SIGCHLD, 7);
  tell("left", waitid_(P_PID, p, &si, WEXITED | WNOWAIT, NULL), &si, p);
  is("only some of it is written", si.si_errno == 0 && ((unsigned char *)&si)[12] == 0x55 && ((unsigned char *)&si)[28] == 0x55);
  tell("left again, by group", waitid_(P_PGID, 0, &si, WEXITED | WNOWAIT, NULL), &si, p);
  ret("without siginfo", waitid_(P_ALL, 99, NULL, WEXITED | WNOWAIT, NULL));
  ret("bad siginfo", waitid_(P_PID, p, BAD_PTR, WEXITED | WNOWAIT, NULL));
  ret("bad rusage", waitid_(P_PID, p, &si, WEXITED | WNOWAIT, BAD_PTR));
  memset(&ru, 0x55, sizeof ru);
  tell("taken", waitid_(P_PID, p, &si, WEXITED, &ru), &si, p);
  is("rusage", ru.ru_nswap == 0 && ru.ru_utime.tv_sec < 5);
  ret("nobody", waitid_(P_ALL, 0, &si, WEXITED, NULL));
  ret("nobody, at once", waitid_(P_ALL, 0, &si, WEXITED | WNOHANG, NULL));
  p = fork();
  if (p == 0) {
    pause();
    _exit(1);
  }
  memset(&si, 0x55, sizeof si);
  ret("living", waitid_(P_PID, p, &si, WEXITED | WNOHANG, NULL));
  say("signo %d pid %d status %d", si.si_signo, si.si_pid, si.si_status);
  ret("by another group", waitid_(P_PGID, 0x3fffffff, &si, WEXITED | WNOHANG, NULL));
  ret("negative group", waitid_(P_PGID, -1, &si, WEXITED | WNOHANG, NULL));
  ret("pid 0", waitid_(P_PID, 0, &si, WEXITED | WNOHANG, NULL));
  kill(p, SIGSTOP);
  until_state(p, 'T');
  ret("stopped, but exits are asked for", waitid_(P_PID, p, &si, WEXITED | WNOHANG, NULL));
  ret("stopped, but continuing is asked for", waitid_(P_PID, p, &si, WCONTINUED | WNOHANG, NULL));
  tell("stopped, left", waitid_(P_PID, p, &si, WSTOPPED | WNOWAIT, NULL), &si, p);
  tell("stopped", waitid_(P_PID, p, &si, WSTOPPED | WEXITED, NULL), &si, p);
  memset(&si, 0, sizeof si);
  ret("told once", waitid_(P_PID, p, &si, WSTOPPED | WNOHANG, NULL));
  kill(p, SIGCONT);
  tell("continued, left", waitid_(P_PID, p, &si, WCONTINUED | WNOWAIT, NULL), &si, p);
  int st = 0;
  is("continued, by wait4", wait4(p, &st, WCONTINUED, NULL) == p && WIFCONTINUED(st) && st == 0xffff);
  kill(p, SIGSTOP);
  until_state(p, 'T');
  kill(p, SIGCONT);
  ret("a stop that is over", waitid_(P_PID, p, &si, WSTOPPED | WNOHANG, NULL));
  kill(p, SIGTERM);
  tell("killed", waitid_(P_PID, p, &si, WEXITED | WCONTINUED, NULL), &si, p);
  if (si.si_code == CLD_CONTINUED) tell("killed, then", waitid_(P_PID, p, &si, WEXITED, NULL), &si, p);
  struct rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
  p = fork();
  if (p == 0) signal(SIGSEGV, SIG_DFL), raise(SIGSEGV);
  tell("core signal", waitid_(P_PID, p, &si, WEXITED, NULL), &si, p);
  p = fork();
  if (p == 0) {
    if (setuid(65534)) _exit(1);
    _exit(0);
  }
  tell("another user", waitid_(P_PID, p, &si, WEXITED, NULL), &si, p);
  p = born(SIGCHLD, 0x1ff);
  ret("bad status pointer", syscall(SYS_wait4, p, BAD_PTR, 0, NULL));
  ret("is taken all the same", syscall(SYS_wait4, p, &st, 0, NULL));
  p = born(SIGCHLD, 0x1ff);
  ret("bad rusage pointer", syscall(SYS_wait4, p, &st, 0, BAD_PTR));
  ret("is taken, too", syscall(SYS_wait4, p, &st, 0, NULL));
  ret("INT_MIN", syscall(SYS_wait4, 0x80000000, &st, 0, NULL));
}

static volatile pid_t of_thread;
static void *mother(void *arg) {
  of_thread = born(SIGCHLD, 4);
  while (of_thread) sleep_ms(1);
  return NULL;
}

static void no_thread(void) {
  pthread_t th;
  int st;
  pthread_create(&th, NULL, mother, NULL);
  while (of_thread == 0) sleep_ms(1);
  ret("another thread's", syscall(SYS_wait4, -1, &st, WNOTHREAD, NULL));
  ret("by number", syscall(SYS_wait4, of_thread, &st, WNOTHREAD, NULL));
  is("without __WNOTHREAD", syscall(SYS_wait4, -1, &st, 0, NULL) == of_thread);
  of_thread = 0;
  pthread_join(th, NULL);
}

static void traced(void) {
  siginfo_t si;
  pid_t p = fork();
  if (p == 0) {
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGUSR1);
    _exit(9);
  }
  tell("trapped", waitid_(P_PID, p, &si, WSTOPPED, NULL), &si, p);
  ret("exits only", waitid_(P_PID, p, &si, WEXITED | WNOHANG, NULL));
  ptrace(PTRACE_CONT, p, 0, 0);
  tell("exited", waitid_(P_PID, p, &si, WEXITED, NULL), &si, p);
  p = fork();
  if (p == 0) {
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGUSR1);
    _exit(9);
  }
  int st;
  is("wait4 without WUNTRACED", wait4(p, &st, 0, NULL) == p && WSTOPSIG(st) == SIGUSR1);
  kill(p, SIGKILL);
  is("killed", wait4(p, &st, 0, NULL) == p && WTERMSIG(st) == SIGKILL);
}

static char stack[65536];

static void c3(const char *name, struct clone_args *a, size_t size) {
  long p = syscall(SYS_clone3, a, size);
  if (p == 0) syscall(SYS_exit_group, 6);
  if (p < 0) ret(name, p);
  else {
    int st;
    pid_t w = syscall(SYS_wait4, p, &st, WALL, NULL);
    say("%s: child %d %x", name, w == p, st);
  }
}

static void clones(void) {
  struct { struct clone_args a; uint64_t more[600]; } x;
  signal(64, SIG_IGN);
#define A(name, ...)                        \
  memset(&x, 0, sizeof x);                  \
  x.a = (struct clone_args){__VA_ARGS__};   \
  c3(name, &x.a, sizeof x.a);
  A("nothing", 0)
  A("SIGCHLD", .exit_signal = SIGCHLD)
  A("signal 64", .exit_signal = 64)
  A("signal 65", .exit_signal = 65)
  A("signal 256", .exit_signal = 256)
  A("signal of 2^32", .exit_signal = 1ul << 32)
  A("flags with a signal", .flags = SIGCHLD)
  A("CLONE_DETACHED", .flags = 0x400000)
  A("bit 40", .flags = 1ul << 40)
  A("stack without size", .stack = (uint64_t)stack)
  A("size without stack", .stack_size = 4096)
  A("stack beyond memory", .stack = 1ul << 62, .stack_size = 4096, .exit_signal = SIGCHLD)
  A("CLONE_THREAD with a signal", .flags = CLONE_THREAD | CLONE_VM | CLONE_SIGHAND, .exit_signal = SIGCHLD)
  A("CLONE_THREAD without CLONE_SIGHAND", .flags = CLONE_THREAD | CLONE_VM)
  A("CLONE_SIGHAND without CLONE_VM", .flags = CLONE_SIGHAND)
  A("CLONE_FS and CLONE_NEWNS", .flags = CLONE_FS | CLONE_NEWNS)
  A("CLONE_FS and CLONE_NEWUSER", .flags = CLONE_FS | CLONE_NEWUSER)
  A("CLONE_NEWPID and CLONE_THREAD", .flags = CLONE_NEWPID | CLONE_THREAD | CLONE_VM | CLONE_SIGHAND)
  A("CLONE_NEWIPC and CLONE_SYSVSEM", .flags = CLONE_NEWIPC | CLONE_SYSVSEM)
  A("CLONE_CLEAR_SIGHAND and CLONE_SIGHAND", .flags = CLONE_CLEAR_SIGHAND | CLONE_SIGHAND | CLONE_VM)
  A("CLONE_CLEAR_SIGHAND", .flags = CLONE_CLEAR_SIGHAND, .exit_signal = SIGCHLD)
  A("CLONE_PARENT with a signal", .flags = CLONE_PARENT, .exit_signal = SIGCHLD)
  A("tids without size", .set_tid = (uint64_t)stack)
  A("size without tids", .set_tid_size = 1)
  A("many tids", .set_tid = (uint64_t)stack, .set_tid_size = 33)
  A("too many tids for the namespace", .set_tid = (uint64_t)stack, .set_tid_size = 32)
  A("tid 0", .set_tid = (uint64_t)stack, .set_tid_size = 1)
  A("tids nowhere", .set_tid = 0x10, .set_tid_size = 1)
  pid_t one[1] = {1};
  A("tid 1", .set_tid = (uint64_t)one, .set_tid_size = 1)
  A("cgroup without the flag", .cgroup = 1, .exit_signal = SIGCHLD)
  A("cgroup of no descriptor", .flags = CLONE_INTO_CGROUP, .cgroup = 900)
  A("cgroup of a large number", .flags = CLONE_INTO_CGROUP, .cgroup = 1ul << 32)
  A("pidfd nowhere", .flags = CLONE_PIDFD, .pidfd = 0x10)
  A("pidfd and detached", .flags = CLONE_PIDFD | 0x400000)
  A("parent's tid nowhere", .flags = CLONE_PARENT_SETTID, .parent_tid = 0x10, .exit_signal = SIGCHLD)
  A("child's tid nowhere", .flags = CLONE_CHILD_SETTID, .child_tid = 0x10, .exit_signal = SIGCHLD)
  A("tid to clear nowhere", .flags = CLONE_CHILD_CLEARTID, .child_tid = 0x10, .exit_signal = SIGCHLD)
  A("tls without the flag", .tls = 5, .exit_signal = SIGCHLD)
  A("tls not canonical", .flags = CLONE_SETTLS, .tls = 1ul << 62, .exit_signal = SIGCHLD)
  memset(&x, 0, sizeof x);
  x.a.exit_signal = SIGCHLD;
  c3("size 0", &x.a, 0);
  c3("size 63", &x.a, 63);
  c3("size 64", &x.a, 64);
  c3("size 72", &x.a, 72);
  c3("size 80", &x.a, 80);
  c3("size 81", &x.a, 81);
  c3("larger", &x.a, sizeof x.a + 8);
  x.more[0] = 1;
  c3("larger, not zero", &x.a, sizeof x.a + 8);
  c3("a page and more", &x.a, 4097);
  c3("nowhere", BAD_PTR, sizeof x.a);
  ret("old signal 65", syscall(SYS_clone, 65, NULL, NULL, NULL, 0) == 0 ? (syscall(SYS_exit_group, 0), 0) : (syscall(SYS_wait4, -1, NULL, WALL, NULL), 0));
}

#define RUN(f)                          \
  do {                                  \
    say("== " #f);                      \
    pid_t c = fork();                   \
    if (c == 0) f(), _exit(0);          \
    wait_say(#f, c);                    \
  } while (0)

int main(void) {
  RUN(exit_signals);
  RUN(ignored);
  RUN(waitids);
  RUN(no_thread);
  RUN(traced);
  RUN(clones);
  return 0;
}
