// Seccomp: strict mode, filters with every action, chains, inheritance, refusals.
#include "guest.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/user.h>
#include <sys/ptrace.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/utsname.h>

#define LOAD(f) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, f))
#define RET(v) BPF_STMT(BPF_RET | BPF_K, v)
#define IF_EQ(v, t, f) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, v, t, f)

static int install(struct sock_filter *f, int n, int flags) {
  struct sock_fprog p = {n, f};
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &p);
}
#define INSTALL(f) install(f, sizeof f / sizeof f[0], 0)

static void without_new_privs(const char *name, void (*fn)(void)) {
  pid_t p = fork();
  if (p == 0) {
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    fn();
    _exit(0);
  }
  wait_say(name, p);
}

static void strict(void) {
  say("mode %d", prctl(PR_GET_SECCOMP));
  ret("strict", prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
  write(1, "still writes\n", 13);
  syscall(SYS_getpid);
  write(1, "not reached\n", 12);
}

static void strict_exit(void) {
  prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
  syscall(SYS_exit, 5);
}

static void errnos(void) {
  struct sock_filter f[] = {LOAD(nr), IF_EQ(SYS_uname, 0, 1), RET(SECCOMP_RET_ERRNO | 42), IF_EQ(SYS_getppid, 0, 1),
                            RET(SECCOMP_RET_ERRNO | 0xffff), RET(SECCOMP_RET_ALLOW)};
  struct utsname u;
  ret("install", INSTALL(f));
  say("mode %d", prctl(PR_GET_SECCOMP));
  ret("uname", uname(&u));
  say("getppid %ld", syscall(SYS_getppid) == -1 ? (long)errno : 0);
  is("getpid", getpid() > 0);
  pid_t p = fork();
  if (p == 0) {
    ret("inherited", uname(&u));
    _exit(0);
  }
  wait_say("child", p);
}

static void args(void) {
  // write(fd 7, …) fails, others pass
  struct sock_filter f[] = {LOAD(arch), IF_EQ(AUDIT_ARCH_X86_64, 1, 0), RET(SECCOMP_RET_KILL_PROCESS), LOAD(nr),
                            IF_EQ(SYS_getpriority, 0, 3), LOAD(args[0]), IF_EQ(2, 0, 1), RET(SECCOMP_RET_ERRNO | EBUSY), RET(SECCOMP_RET_ALLOW)};
  ret("install", INSTALL(f));
  ret("argument 2", syscall(SYS_getpriority, 2, 0));
  ok("argument 0", syscall(SYS_getpriority, 0, 0));
}

static volatile int sys_nr, sys_code, sys_errno, sys_arch;
static void on_sys(int sig, siginfo_t *si, void *uc) {
  (void)sig, (void)uc;
  sys_nr = si->si_syscall;
  sys_code = si->si_code;
  sys_errno = si->si_errno;
  sys_arch = si->si_arch;
}

static void trap(void) {
  struct sigaction sa;
  memset(&sa, 0, sizeof sa);
  sa.sa_sigaction = on_sys;
  sa.sa_flags = SA_SIGINFO;
  sigaction(SIGSYS, &sa, NULL);
  struct sock_filter f[] = {LOAD(nr), IF_EQ(SYS_getppid, 0, 1), RET(SECCOMP_RET_TRAP | 99), RET(SECCOMP_RET_ALLOW)};
  ret("install", INSTALL(f));
  long r = syscall(SYS_getppid);
  say("trapped: returned %ld nr %d code %d errno %d arch %x", r, sys_nr, sys_code, sys_errno, sys_arch);
}

static void trap_kills(void) {
  struct sock_filter f[] = {LOAD(nr), IF_EQ(SYS_getppid, 0, 1), RET(SECCOMP_RET_TRAP), RET(SECCOMP_RET_ALLOW)};
  INSTALL(f);
  syscall(SYS_getppid);
}

static void kill_process(void) {
  struct sock_filter f[] = {LOAD(nr), IF_EQ(SYS_getppid, 0, 1), RET(SECCOMP_RET_KILL_PROCESS), RET(SECCOMP_RET_ALLOW)};
  INSTALL(f);
  syscall(SYS_getppid);
}

static void *victim(void *arg) {
  struct sock_filter f[] = {LOAD(nr), IF_EQ(SYS_getppid, 0, 1), RET(SECCOMP_RET_KILL_THREAD), RET(SECCOMP_RET_ALLOW)};
  INSTALL(f);
  syscall(SYS_getppid);
  *(int *)arg = 1;
  return NULL;
}

static void kill_thread(void) {
  pthread_t t;
  int reached = 0;
  pthread_create(&t, NULL, victim, &reached);
  sleep_ms(50);
  say("the thread is gone %d, the process is not", !reached);
}

static void others(void) {
  struct sock_filter f[] = {LOAD(nr), IF_EQ(SYS_getppid, 0, 1), RET(SECCOMP_RET_TRACE), IF_EQ(SYS_uname, 0, 1),
                            RET(SECCOMP_RET_LOG), RET(SECCOMP_RET_ALLOW)};
  struct utsname u;
  ret("install", INSTALL(f));
  ret("trace without tracer", syscall(SYS_getppid));
  ret("log", uname(&u));
}

// SECCOMP_RET_TRACE in a child that we trace: what the tracer sees, and what it may change.
static void traced(void) {
  pid_t p = fork();
  if (p == 0) {
    struct sock_filter f[] = {LOAD(nr), IF_EQ(SYS_getppid, 0, 1), RET(SECCOMP_RET_TRACE | 5), IF_EQ(SYS_getpgid, 0, 1),
                              RET(SECCOMP_RET_ERRNO | ENOTTY), RET(SECCOMP_RET_ALLOW)};
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    long parent = getppid();
    ret("install", INSTALL(f));
    ret("not wanted", syscall(SYS_getppid));
    raise(SIGSTOP);
    is("let through", syscall(SYS_getppid) == parent);
    ret("left out", syscall(SYS_getppid));
    ret("left out with an error", syscall(SYS_getppid));
    is("another call", syscall(SYS_getppid) == getuid());
    ret("a refused call", syscall(SYS_getppid));
    ret("a call that waits", syscall(SYS_getppid));
    syscall(SYS_getppid);
    _exit(0);
  }
  int st, events = 0, stops = 0;
  struct user_regs_struct r;
  while (waitpid(p, &st, 0) == p && !WIFEXITED(st) && !WIFSIGNALED(st)) {
    int event = st >> 16;
    unsigned long data = 0;
    if (event == PTRACE_EVENT_SECCOMP) {
      events++;
      ptrace(PTRACE_GETEVENTMSG, p, 0, &data);
      ptrace(PTRACE_GETREGS, p, 0, &r);
      say("event %d: signal %d, data %lu, call %d, rax %lld", events, WSTOPSIG(st), data, r.orig_rax == SYS_getppid, (long long)r.rax);
      if (events == 2 || events == 3) {
        r.orig_rax = -1;
        r.rax = events == 2 ? 77 : -ENODEV;
      } else if (events == 4) r.orig_rax = SYS_getuid;
      else if (events == 5) r.orig_rax = SYS_getpgid;
      else if (events == 6) {
        r.orig_rax = SYS_poll;
        r.rdi = 0;
        r.rsi = 0;
        r.rdx = 20;
      }
      if (events > 1) ptrace(PTRACE_SETREGS, p, 0, &r);
      if (events == 7) kill(p, SIGKILL);
    } else if (WSTOPSIG(st) == SIGSTOP && ++stops == 2) ok("options", ptrace(PTRACE_SETOPTIONS, p, 0, PTRACE_O_TRACESECCOMP));
    ptrace(PTRACE_CONT, p, 0, 0);
  }
  say("end: %s", WIFSIGNALED(st) ? "killed" : "exited");
}

static void chain(void) {
  struct sock_filter a[] = {LOAD(nr), IF_EQ(SYS_uname, 0, 1), RET(SECCOMP_RET_ERRNO | 1), RET(SECCOMP_RET_ALLOW)};
  struct sock_filter b[] = {LOAD(nr), IF_EQ(SYS_uname, 0, 1), RET(SECCOMP_RET_ERRNO | 2), RET(SECCOMP_RET_ALLOW)};
  struct utsname u;
  INSTALL(a);
  INSTALL(b);
  ret("the newest errno counts", uname(&u));
}

static void *sync_peer(void *arg) {
  struct utsname u;
  while (!*(volatile int *)arg) sleep_ms(1);
  ret("in the other thread", uname(&u));
  return NULL;
}

static void tsync(void) {
  pthread_t t;
  int go = 0;
  pthread_create(&t, NULL, sync_peer, &go);
  struct sock_filter f[] = {LOAD(nr), IF_EQ(SYS_uname, 0, 1), RET(SECCOMP_RET_ERRNO | EBUSY), RET(SECCOMP_RET_ALLOW)};
  ret("TSYNC", install(f, 4, SECCOMP_FILTER_FLAG_TSYNC));
  *(volatile int *)&go = 1;
  pthread_join(t, NULL);
}

static void refusals(void) {
  struct sock_filter no_ret[] = {LOAD(nr)};
  struct sock_filter far[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 64), RET(0)};
  struct sock_filter odd[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 2), RET(0)};
  struct sock_filter half[] = {BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 0), RET(0)};
  struct sock_filter jump[] = {BPF_STMT(BPF_JMP | BPF_JA, 5), RET(0)};
  struct sock_filter div[] = {BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0), RET(0)};
  struct sock_filter fine[] = {RET(SECCOMP_RET_ALLOW)};
  ret("no return", INSTALL(no_ret));
  ret("beyond the data", INSTALL(far));
  ret("unaligned", INSTALL(odd));
  ret("half word", INSTALL(half));
  ret("far jump", INSTALL(jump));
  ret("division by zero", INSTALL(div));
  ret("empty", install(fine, 0, 0));
  ret("too long", install(fine, 5000, 0));
  ret("bad pointer", syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, BAD_PTR));
  ret("bad program", install(BAD_PTR, 1, 0));
  ret("unknown flag", install(fine, 1, 0x4000));
  ret("unknown operation", syscall(SYS_seccomp, 77, 0, 0));
  unsigned act = SECCOMP_RET_ERRNO, none = 0x12340000;
  ret("action", syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &act));
  ret("no such action", syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &none));
  ret("prctl", prctl(PR_SET_SECCOMP, 9));
  ret("fine", INSTALL(fine));
  ret("strict after filter", prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
}

static void unprivileged(void) {
  pid_t p = fork();
  if (p == 0) {
    struct sock_filter fine[] = {RET(SECCOMP_RET_ALLOW)};
    setuid(1000);
    ret("without no_new_privs", INSTALL(fine));
    ret("and a filter nowhere", install(BAD_PTR, 1, 0)), ret("of no length", install(BAD_PTR, 0, 0));
    _exit(0);
  }
  wait_say("unprivileged", p);
}

int main(void) {
  unprivileged();
  without_new_privs("strict", strict);
  without_new_privs("strict exit", strict_exit);
  without_new_privs("errno", errnos);
  without_new_privs("arguments", args);
  without_new_privs("trap", trap);
  without_new_privs("trap without handler", trap_kills);
  without_new_privs("kill process", kill_process);
  without_new_privs("kill thread", kill_thread);
  without_new_privs("others", others);
  traced();
  without_new_privs("chain", chain);
  without_new_privs("tsync", tsync);
  without_new_privs("refusals", refusals);
  return 0;
}
