// Delivery of signals: handlers, masks, restarts, nesting, alternate stacks, extended registers, what sigreturn restores.
#include "guest.h"
#include <immintrin.h>
#include <pthread.h>
#include <setjmp.h>
#include <sys/time.h>
#include <sys/ucontext.h>

static volatile int calls, depth, last;
static volatile siginfo_t info;
static char altstack[65536];

static void count(int sig) {
  calls++;
  last = sig;
}

static void detail(int sig, siginfo_t *si, void *uc) {
  (void)uc;
  calls++;
  last = sig;
  info = *si;
}

static void set(int sig, void *fn, int flags) {
  struct sigaction sa;
  memset(&sa, 0, sizeof sa);
  sa.sa_sigaction = fn;
  sa.sa_flags = flags;
  sigaction(sig, &sa, NULL);
}

static void basics(void) {
  set(SIGUSR1, count, 0);
  calls = 0;
  ret("kill self", kill(getpid(), SIGUSR1));
  say("calls %d last %d", calls, last);
  set(SIGUSR1, detail, SA_SIGINFO);
  kill(getpid(), SIGUSR1);
  is("SI_USER with own pid", info.si_code == SI_USER && info.si_pid == getpid() && info.si_uid == getuid());
  syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGUSR1);
  is("SI_TKILL", info.si_code == SI_TKILL && info.si_pid == getpid());
  union sigval v = {.sival_ptr = (void *)0x123456789abcdefL};
  ret("sigqueue", sigqueue(getpid(), SIGUSR1, v));
  is("SI_QUEUE with value", info.si_code == SI_QUEUE && info.si_value.sival_ptr == v.sival_ptr);
  set(SIGUSR2, count, SA_RESETHAND);
  raise(SIGUSR2);
  struct sigaction sa;
  sigaction(SIGUSR2, NULL, &sa);
  is("SA_RESETHAND resets", sa.sa_handler == SIG_DFL);
  ret("sigaction KILL", sigaction(SIGKILL, &sa, NULL));
  ret("sigaction 0", sigaction(0, NULL, &sa));
  ret("sigaction 65", sigaction(65, NULL, &sa));
  ret("sigaction bad new", syscall(SYS_rt_sigaction, SIGUSR1, BAD_PTR, NULL, 8));
  ret("sigaction bad old", syscall(SYS_rt_sigaction, SIGUSR1, NULL, BAD_PTR, 8));
  ret("sigaction size", syscall(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 4));
  ret("kill 0 of self", kill(getpid(), 0));
  ret("kill none", kill(999999, SIGTERM));
  ret("kill bad signal", kill(getpid(), 99));
  ret("tgkill bad", syscall(SYS_tgkill, -1, 1, SIGUSR1));
  ret("tgkill other group", syscall(SYS_tgkill, getppid(), getpid(), 0));
}

static void masks(void) {
  sigset_t s, old, pend;
  set(SIGUSR1, count, 0);
  set(SIGUSR2, count, 0);
  sigemptyset(&s);
  sigaddset(&s, SIGUSR1);
  sigaddset(&s, SIGUSR2);
  sigaddset(&s, SIGKILL);
  sigprocmask(SIG_BLOCK, &s, NULL);
  sigprocmask(SIG_SETMASK, NULL, &old);
  say("blocked usr1 %d usr2 %d kill %d", sigismember(&old, SIGUSR1), sigismember(&old, SIGUSR2), sigismember(&old, SIGKILL));
  calls = 0;
  raise(SIGUSR2);
  raise(SIGUSR1);
  raise(SIGUSR1);
  say("while blocked %d", calls);
  sigpending(&pend);
  say("pending usr1 %d usr2 %d term %d", sigismember(&pend, SIGUSR1), sigismember(&pend, SIGUSR2), sigismember(&pend, SIGTERM));
  sigprocmask(SIG_UNBLOCK, &s, NULL);
  say("after unblock %d, last to run %d", calls, last);
  ret("how", syscall(SYS_rt_sigprocmask, 7, &s, NULL, 8));
  ret("set size", syscall(SYS_rt_sigprocmask, SIG_BLOCK, &s, NULL, 16));
  ret("bad set", syscall(SYS_rt_sigprocmask, SIG_BLOCK, BAD_PTR, NULL, 8));
  // ignored while blocked is dropped at unblock
  sigprocmask(SIG_BLOCK, &s, NULL);
  raise(SIGUSR1);
  signal(SIGUSR1, SIG_IGN);
  sigpending(&pend);
  say("ignoring drops it: %d", sigismember(&pend, SIGUSR1));
  sigprocmask(SIG_UNBLOCK, &s, NULL);
}

static void nested2(int sig) {
  (void)sig;
  depth++;
  sigset_t now;
  sigprocmask(SIG_SETMASK, NULL, &now);
  say("inner: usr1 blocked %d usr2 blocked %d", sigismember(&now, SIGUSR1), sigismember(&now, SIGUSR2));
}

static void nested1(int sig) {
  (void)sig;
  depth++;
  raise(SIGUSR2);
  say("depth after inner %d", depth);
}

static void nesting(void) {
  set(SIGUSR1, nested1, 0);
  set(SIGUSR2, nested2, 0);
  depth = 0;
  raise(SIGUSR1);
  set(SIGUSR2, nested2, SA_NODEFER);
  raise(SIGUSR2);
}

static void realtime(void) {
  sigset_t s;
  sigemptyset(&s);
  sigaddset(&s, SIGRTMIN);
  sigaddset(&s, SIGRTMIN + 1);
  sigaddset(&s, SIGUSR1);
  sigprocmask(SIG_BLOCK, &s, NULL);
  for (int i = 0; i < 3; i++) {
    union sigval v = {.sival_int = i};
    sigqueue(getpid(), SIGRTMIN + 1, v);
    sigqueue(getpid(), SIGRTMIN, v);
    kill(getpid(), SIGUSR1);
  }
  struct timespec zero = {0, 0};
  siginfo_t si;
  for (;;) {
    int r = sigtimedwait(&s, &si, &zero);
    if (r < 0) {
      ret("then", r);
      break;
    }
    say("got %d value %d", r == SIGUSR1 ? r : r - SIGRTMIN + 100, r == SIGUSR1 ? 0 : si.si_value.sival_int);
  }
  struct timespec bad = {0, 2000000000};
  ret("bad timeout", sigtimedwait(&s, &si, &bad));
  struct timespec some = {0, 20000000};
  ret("timeout", sigtimedwait(&s, &si, &some));
  memset(&si, 0, sizeof si);
  si.si_code = SI_USER;
  ret("forge SI_USER to other", syscall(SYS_rt_sigqueueinfo, getppid(), SIGUSR1, &si));
  si.si_code = SI_TKILL;
  ret("forge SI_TKILL to other", syscall(SYS_rt_sigqueueinfo, getppid(), SIGUSR1, &si));
  sigprocmask(SIG_UNBLOCK, &s, NULL);
}

static void restarts(void) {
  int p[2];
  char c;
  pipe(p);
  set(SIGALRM, count, 0);
  struct itimerval it = {{0, 0}, {0, 30000}};
  calls = 0;
  setitimer(ITIMER_REAL, &it, NULL);
  ret("read without SA_RESTART", read(p[0], &c, 1));
  say("calls %d", calls);
  set(SIGALRM, count, SA_RESTART);
  pid_t pid = fork();
  if (pid == 0) {
    sleep_ms(120);
    write(p[1], "x", 1);
    _exit(0);
  }
  setitimer(ITIMER_REAL, &it, NULL);
  ret("read with SA_RESTART", read(p[0], &c, 1));
  say("calls %d", calls);
  wait_say("writer", pid);
  setitimer(ITIMER_REAL, &it, NULL);
  ret("pause", pause());
  sigset_t s;
  sigfillset(&s);
  sigdelset(&s, SIGALRM);
  setitimer(ITIMER_REAL, &it, NULL);
  ret("sigsuspend", sigsuspend(&s));
  sigprocmask(SIG_SETMASK, NULL, &s);
  say("mask restored: usr1 %d", sigismember(&s, SIGUSR1));
  ret("sigsuspend bad", syscall(SYS_rt_sigsuspend, BAD_PTR, 8));
  // nanosleep tells what is left
  struct timespec ts = {1, 0}, rem = {0, 0};
  setitimer(ITIMER_REAL, &it, NULL);
  ret("nanosleep", nanosleep(&ts, &rem));
  is("rest of the sleep", rem.tv_sec == 0 && rem.tv_nsec > 800000000);
  close(p[0]);
  close(p[1]);
}

static volatile char *on;
static void where(int sig) {
  char here;
  (void)sig;
  on = &here;
  stack_t ss;
  sigaltstack(NULL, &ss);
  say("in handler: onstack %d", (ss.ss_flags & SS_ONSTACK) != 0);
  stack_t other = {.ss_sp = altstack, .ss_size = sizeof altstack};
  if (ss.ss_flags & SS_ONSTACK) ret("change while on it", sigaltstack(&other, NULL));
}

static void alternate(void) {
  stack_t ss = {.ss_sp = altstack, .ss_size = sizeof altstack}, old;
  ret("sigaltstack", sigaltstack(&ss, &old));
  say("was disabled %d", old.ss_flags == SS_DISABLE);
  set(SIGUSR1, where, SA_ONSTACK);
  raise(SIGUSR1);
  is("on the alternate stack", on >= altstack && on < altstack + sizeof altstack);
  set(SIGUSR1, where, 0);
  raise(SIGUSR1);
  is("on the ordinary stack", on < altstack || on >= altstack + sizeof altstack);
  ss.ss_size = 100;
  ret("too small", sigaltstack(&ss, NULL));
  ss.ss_size = sizeof altstack;
  ss.ss_flags = 0x10;
  ret("bad flags", sigaltstack(&ss, NULL));
  ss.ss_flags = SS_DISABLE;
  ret("disable", sigaltstack(&ss, NULL));
  ret("bad pointer", syscall(SYS_sigaltstack, BAD_PTR, NULL));
  set(SIGUSR1, where, SA_ONSTACK);
  raise(SIGUSR1);
}

__attribute__((target("avx2"))) static void scribble(int sig) {
  (void)sig;
  __m256i ones = _mm256_set1_epi32(-1);
  __asm__ volatile("vmovdqa %0, %%ymm5\n vmovdqa %0, %%ymm11" ::"m"(ones) : "ymm5", "ymm11");
  calls++;
}

__attribute__((target("avx2"))) static void registers(void) {
  set(SIGUSR1, scribble, 0);
  __m256i v = _mm256_set_epi32(1, 2, 3, 4, 5, 6, 7, 8), w;
  long pid = getpid(), r;
  calls = 0;
  __asm__ volatile("vmovdqa %2, %%ymm5\n"
                   "mov $62, %%eax\n mov %3, %%rdi\n mov $10, %%rsi\n syscall\n"
                   "mov %%rax, %1\n vmovdqa %%ymm5, %0"
                   : "=m"(w), "=r"(r)
                   : "m"(v), "r"(pid)
                   : "rax", "rdi", "rsi", "rcx", "r11", "ymm5", "memory");
  is("AVX registers survive a handler", calls == 1 && r == 0 && memcmp(&v, &w, sizeof v) == 0);
}

static sigjmp_buf env;
static void fault(int sig, siginfo_t *si, void *uc) {
  info = *si;
  last = sig;
  (void)uc;
  siglongjmp(env, 1);
}

static void skip(int sig, siginfo_t *si, void *uc) {
  ucontext_t *u = uc;
  info = *si;
  last = sig;
  u->uc_mcontext.gregs[REG_RIP] += 2;
  u->uc_mcontext.gregs[REG_R12] = 0x1234;
}

static void faults(void) {
  int sigs[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
  for (int i = 0; i < 5; i++) set(sigs[i], fault, SA_SIGINFO);
  if (sigsetjmp(env, 1) == 0) *(volatile int *)0x1000 = 1;
  say("unmapped: signal %d code %d addr %p", last, info.si_code, info.si_addr);
  char *ro = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (sigsetjmp(env, 1) == 0) *(volatile char *)(ro + 5) = 1;
  say("read-only: signal %d code %d offset %ld", last, info.si_code, (long)((char *)info.si_addr - ro));
  if (sigsetjmp(env, 1) == 0) __asm__ volatile("xor %%edx,%%edx\n mov $1,%%eax\n xor %%ecx,%%ecx\n div %%ecx" ::: "eax", "ecx", "edx");
  say("divide: signal %d code %d", last, info.si_code);
  if (sigsetjmp(env, 1) == 0) __asm__ volatile("ud2");
  say("ud2: signal %d code %d", last, info.si_code);
  if (sigsetjmp(env, 1) == 0) __asm__ volatile("int3");
  say("int3: signal %d code %d", last, info.si_code);
  if (sigsetjmp(env, 1) == 0) __asm__ volatile("hlt");
  say("hlt: signal %d code %d addr %p", last, info.si_code, info.si_addr);
  if (sigsetjmp(env, 1) == 0) __asm__ volatile("movabs $0x8000000000000000,%%rax\n mov (%%rax),%%rax" ::: "rax");
  say("non-canonical: signal %d code %d addr %p", last, info.si_code, info.si_addr);
  char *exec = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (sigsetjmp(env, 1) == 0) ((void (*)(void))exec)();
  say("no-exec: signal %d code %d here %d", last, info.si_code, info.si_addr == exec);
  set(SIGILL, skip, SA_SIGINFO);
  long r12 = 0;
  __asm__ volatile("mov $0,%%r12\n ud2\n mov %%r12,%0" : "=r"(r12)::"r12");
  say("handler edits registers: r12 %lx", r12);
  // blocked synchronous signals kill
  pid_t pid = fork();
  if (pid == 0) {
    sigset_t s;
    sigfillset(&s);
    sigprocmask(SIG_BLOCK, &s, NULL);
    *(volatile int *)0x1000 = 1;
    _exit(0);
  }
  wait_say("blocked SIGSEGV", pid);
  pid = fork();
  if (pid == 0) {
    signal(SIGSEGV, SIG_IGN);
    *(volatile int *)0x1000 = 1;
    _exit(0);
  }
  wait_say("ignored SIGSEGV", pid);
  pid = fork();
  if (pid == 0) {
    set(SIGUSR1, count, 0);
    __asm__ volatile("mov $0x100,%%rsp\n mov $39,%%eax\n syscall\n mov %%eax,%%edi\n mov $10,%%esi\n mov $62,%%eax\n syscall\n ud2" ::: "memory");
  }
  wait_say("no stack for the frame", pid);
}

static pthread_t main_thread;
static void *sender(void *arg) {
  (void)arg;
  sleep_ms(20);
  pthread_kill(main_thread, SIGUSR1);
  return NULL;
}

static volatile int spun;
static void stop_spin(int sig) {
  (void)sig;
  spun = 1;
}

static void threads(void) {
  pthread_t t;
  main_thread = pthread_self();
  set(SIGUSR1, stop_spin, 0);
  pthread_create(&t, NULL, sender, NULL);
  while (!spun) {}
  is("a spinning thread takes a signal", spun);
  pthread_join(t, NULL);
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
  basics();
  masks();
  nesting();
  realtime();
  restarts();
  alternate();
  if (__builtin_cpu_supports("avx2")) registers();
  else is("AVX registers survive a handler", 1);
  faults();
  threads();
  return 0;
}
