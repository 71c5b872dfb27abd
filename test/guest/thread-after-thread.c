// Threads one after the other: none finds anything of those before it, each begins with what its creator has.
#include "guest.h"
#include <asm/prctl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>

enum { STACK = 65536, THREAD = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM };
static char stack[STACK] __attribute__((aligned(64)));
static volatile int word;
static char tls[4096] __attribute__((aligned(64)));
static unsigned long area[16];

struct state {
  unsigned long fs, gs, pending, robust;
  int tid, mxcsr, altstack, blocked, named;
  unsigned short x87;
};
static struct state first, seen;

// Without the C library's errno, which a thread may share with its creator here.
static long raw(long nr, long a, long b, long c, long d) {
  long r;
  register long r10 __asm__("r10") = d;
  __asm__ volatile("syscall" : "=a"(r) : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
  return r;
}

static void look(struct state *s) {
  stack_t ss;
  unsigned long mask = 0, size;
  char name[16] = "";
  memset(s, 0, sizeof *s);
  raw(SYS_arch_prctl, ARCH_GET_FS, (long)&s->fs, 0, 0);
  raw(SYS_arch_prctl, ARCH_GET_GS, (long)&s->gs, 0, 0);
  raw(SYS_rt_sigpending, (long)&s->pending, 8, 0, 0);
  raw(SYS_get_robust_list, 0, (long)&s->robust, (long)&size, 0);
  s->tid = (int)raw(SYS_gettid, 0, 0, 0, 0);
  __asm__ volatile("stmxcsr %0\n fnstcw %1" : "=m"(s->mxcsr), "=m"(s->x87));
  raw(SYS_sigaltstack, 0, (long)&ss, 0, 0);
  s->altstack = ss.ss_flags != SS_DISABLE;
  raw(SYS_rt_sigprocmask, SIG_SETMASK, 0, (long)&mask, 8);
  s->blocked = (mask & 1UL << (SIGUSR1 - 1)) != 0;
  raw(SYS_prctl, PR_GET_NAME, (long)name, 0, 0);
  s->named = strcmp(name, "other") == 0;
}

// Changes everything that belongs to a thread.
static int spoil(void *arg) {
  static char alt[16384];
  static unsigned long head[3];
  stack_t ss = {.ss_sp = alt, .ss_size = sizeof alt};
  unsigned long mask = 1UL << (SIGUSR1 - 1);
  int mxcsr = 0x7f80;
  unsigned short x87 = 0x77f;
  (void)arg;
  look(&seen);
  raw(SYS_rt_sigprocmask, SIG_BLOCK, (long)&mask, 0, 8);
  raw(SYS_tgkill, getpid(), raw(SYS_gettid, 0, 0, 0, 0), SIGUSR1, 0);
  raw(SYS_sigaltstack, (long)&ss, 0, 0, 0);
  raw(SYS_prctl, PR_SET_NAME, (long)"other", 0, 0);
  head[0] = (unsigned long)head;
  raw(SYS_set_robust_list, (long)head, sizeof head, 0, 0);
  raw(SYS_arch_prctl, ARCH_SET_GS, (long)area, 0, 0);
  raw(SYS_arch_prctl, ARCH_SET_FS, (long)tls, 0, 0);
  __asm__ volatile("ldmxcsr %0\n fldcw %1" ::"m"(mxcsr), "m"(x87));
  raw(SYS_exit, 0, 0, 0, 0);
  return 0;
}

static int observe(void *arg) {
  (void)arg;
  look(&seen);
  raw(SYS_exit, 0, 0, 0, 0);
  return 0;
}

// Without a TLS of its own, which a thread then shares with its creator.
static int run(int (*fn)(void *), int flags) {
  int tid;
  word = -1;
  tid = clone(fn, stack + STACK, THREAD | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID | flags, NULL, &word, tls, &word);
  while (word != 0) raw(SYS_futex, (long)&word, FUTEX_WAIT, tid, 0);
  return tid;
}

static void compare(const char *who, int tid) {
  say("%s: fs %d gs %d pending %lx robust %d mxcsr %x x87 %x altstack %d blocked %d named %d tid %d", who, seen.fs == first.fs,
      seen.gs == first.gs, seen.pending, seen.robust != 0, seen.mxcsr, seen.x87, seen.altstack, seen.blocked, seen.named,
      seen.tid == tid);
}

static volatile int handled;
static void on(int sig) { handled += sig == SIGUSR1 || sig == SIGSEGV; }

static volatile int in_pause;
static int pausing(void *arg) {
  (void)arg;
  in_pause = 1;
  raw(SYS_pause, 0, 0, 0, 0);
  raw(SYS_exit, 0, 0, 0, 0);
  return 0;
}

static int faulting(void *arg) {
  (void)arg;
  raw(SYS_tgkill, getpid(), raw(SYS_gettid, 0, 0, 0, 0), SIGUSR1, 0);
  raw(SYS_exit, 0, 0, 0, 0);
  return 0;
}

static int forking(void *arg) {
  long pid = raw(SYS_fork, 0, 0, 0, 0);
  (void)arg;
  if (pid == 0) {
    look(&seen);
    raw(SYS_exit_group, seen.fs == first.fs && !seen.blocked && !seen.altstack ? 7 : 8, 0, 0, 0);
  }
  handled = (int)pid;
  raw(SYS_exit, 0, 0, 0, 0);
  return 0;
}

static void *sum(void *p) {
  static __thread long own = 3;
  own += (long)p;
  sched_yield();
  return (void *)own;
}

static void together(int n) {
  pthread_t t[40];
  long total = 0;
  for (long i = 0; i < n; i++)
    if (pthread_create(&t[i], NULL, sum, (void *)i) != 0) say("pthread_create FAIL");
  for (int i = 0; i < n; i++) {
    void *r;
    pthread_join(t[i], &r);
    total += (long)r;
  }
  say("%d threads at once: %ld", n, total);
}

static void *execs(void *p) {
  char *argv[] = {p, "again", NULL};
  execv(p, argv);
  return NULL;
}

int main(int argc, char **argv) {
  if (argc > 1 && strcmp(argv[1], "again") == 0) {
    look(&seen);
    say("after execve: blocked %d altstack %d named %d gs %d", seen.blocked, seen.altstack, seen.named, seen.gs != 0);
    return 0;
  }
  signal(SIGUSR1, on);
  look(&first);
  for (int i = 0; i < 12; i++) {
    compare("spoiler", run(spoil, i % 2 == 0 ? 0 : CLONE_SETTLS));
    compare("next", run(observe, 0));
  }
  compare("with a TLS of its own", run(observe, CLONE_SETTLS));
  is("which it has", seen.fs == (unsigned long)tls);

  // The creator's own state goes to its thread, whoever had the host's before.
  int mxcsr = 0x3f80;
  __asm__ volatile("ldmxcsr %0" ::"m"(mxcsr));
  raw(SYS_arch_prctl, ARCH_SET_GS, (long)area, 0, 0);
  compare("of a creator with a GS base", run(observe, 0));
  is("which it has", seen.gs == (unsigned long)area);
  raw(SYS_arch_prctl, ARCH_SET_GS, 0, 0, 0);
  mxcsr = 0x1f80;
  __asm__ volatile("ldmxcsr %0" ::"m"(mxcsr));
  compare("without again", run(observe, 0));

  for (int i = 0; i < 3; i++) {
    handled = in_pause = 0;
    word = -1;
    int tid = clone(pausing, stack + STACK, THREAD | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID, NULL, &word, tls, &word);
    char path[64], state = 0, line[200];
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", tid);
    while (!in_pause || state != 'S') {
      FILE *f = fopen(path, "r");
      if (f == NULL) break;
      if (fgets(line, sizeof line, f) != NULL) state = strrchr(line, ')')[2];
      fclose(f);
    }
    ok("signal to a thread that pauses", raw(SYS_tgkill, getpid(), tid, SIGUSR1, 0));
    while (word != 0) raw(SYS_futex, (long)&word, FUTEX_WAIT, tid, 0);
    is("ends its pause", handled == 1);
    run(faulting, 0);
    is("and the next one's own signal is delivered", handled == 2);
    run(forking, 0);
    wait_say("its child", handled);
    ret("signal to the thread that is gone", syscall(SYS_tgkill, getpid(), tid, SIGUSR1));
  }
  for (int i = 0; i < 4; i++) together(10 * (i + 1));
  for (int i = 0; i < 3; i++) {
    pid_t pid = vfork();
    if (pid == 0) _exit(20 + i);
    wait_say("vfork", pid);
    pid = vfork();
    if (pid == 0) {
      execl("/proc/self/exe", "thread-after-thread", "again", NULL);
      _exit(1);
    }
    wait_say("vfork and execve", pid);
    together(3);
  }
  pthread_t t;
  pthread_create(&t, NULL, execs, "/proc/self/exe");
  pthread_join(t, NULL);
  return 1;
}
