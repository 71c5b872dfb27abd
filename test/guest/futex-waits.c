// Threads that wait at private words, and everything that may end or disturb such a wait: signals, stops, tracers, filters,
// exits. (systrap has the host's futexes do the waiting, until somebody has to see the calls.)
#include "guest.h"
#include <asm/prctl.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>

static long futex(volatile int *word, int op, int val, void *timeout, volatile int *word2, int val3) {
  return syscall(SYS_futex, word, op, val, timeout, word2, val3);
}
static long wait_at(volatile int *word, int val) { return futex(word, FUTEX_WAIT_PRIVATE, val, NULL, NULL, 0); }
static long wake(volatile int *word, int n) { return futex(word, FUTEX_WAKE_PRIVATE, n, NULL, NULL, 0); }

static char state_of(pid_t pid, pid_t tid) {
  char path[64], text[512];
  snprintf(path, sizeof path, "/proc/%d/task/%d/stat", pid, tid);
  int fd = open(path, O_RDONLY);
  if (fd < 0) return '?';
  ssize_t n = read(fd, text, sizeof text - 1);
  close(fd);
  if (n <= 0) return '?';
  text[n] = 0;
  char *p = strrchr(text, ')');
  return p == NULL ? '?' : p[2];
}

static int becomes(pid_t pid, pid_t tid, char state) {
  for (int i = 0; i < 20000; i++) {
    if (state_of(pid, tid) == state) return 1;
    sleep_ms(1);
  }
  return 0;
}

// Wakes until somebody has been woken: who is about to wait is there soon.
static long wake_one(volatile int *word) {
  for (int i = 0; i < 20000; i++) {
    long r = wake(word, 1);
    if (r != 0) return r;
    sleep_ms(1);
  }
  return 0;
}

struct waiter {
  volatile int word, tid;
  volatile long result;
  volatile int error;
  struct timespec *timeout;
  int op;
  pthread_t thread;
};

static void *run_waiter(void *arg) {
  struct waiter *w = arg;
  w->tid = (int)syscall(SYS_gettid);
  w->result = futex(&w->word, w->op, 0, w->timeout, NULL, -1);
  w->error = w->result < 0 ? errno : 0;
  return NULL;
}

static void start(struct waiter *w, int op, struct timespec *timeout) {
  memset(w, 0, sizeof *w);
  w->op = op;
  w->timeout = timeout;
  pthread_create(&w->thread, NULL, run_waiter, w);
  while (w->tid == 0) sleep_ms(1);
  if (!becomes(getpid(), w->tid, 'S')) say("waiter does not sleep FAIL");
}

static void finish(const char *name, struct waiter *w) {
  pthread_join(w->thread, NULL);
  errno = w->error;
  ret(name, w->result);
}

static volatile int handled;
static void on_signal(int s) {
  (void)s;
  handled++;
}

static void handle(int flags) {
  struct sigaction sa = {.sa_handler = on_signal, .sa_flags = flags};
  sigaction(SIGUSR1, &sa, NULL);
  handled = 0;
}

static void signals(void) {
  struct waiter w;
  handle(0);
  start(&w, FUTEX_WAIT_PRIVATE, NULL);
  syscall(SYS_tgkill, getpid(), w.tid, SIGUSR1);
  finish("interrupted", &w);
  say("handled %d", handled);

  handle(SA_RESTART);
  start(&w, FUTEX_WAIT_PRIVATE, NULL);
  for (int i = 1; i <= 3; i++) {
    syscall(SYS_tgkill, getpid(), w.tid, SIGUSR1);
    while (handled < i) sleep_ms(1);
  }
  ret("wake after restarts", wake_one(&w.word));
  finish("restarted", &w);

  struct timespec long_time = {1000, 0};
  start(&w, FUTEX_WAIT_PRIVATE, &long_time);
  syscall(SYS_tgkill, getpid(), w.tid, SIGUSR1);
  finish("with a time, interrupted in spite of SA_RESTART", &w);

  signal(SIGUSR1, SIG_IGN);
  start(&w, FUTEX_WAIT_PRIVATE, NULL);
  syscall(SYS_tgkill, getpid(), w.tid, SIGUSR1);
  ret("wake after an ignored signal", wake_one(&w.word));
  finish("not disturbed", &w);

  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  now.tv_nsec += 20000000;
  if (now.tv_nsec >= 1000000000) now.tv_nsec -= 1000000000, now.tv_sec++;
  volatile int word = 0;
  ret("until a time of day", futex(&word, FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME, 0, &now, NULL, 1));
  struct timespec past = {0, 1};
  ret("until long ago", futex(&word, FUTEX_WAIT_BITSET_PRIVATE, 0, &past, NULL, 1));
  struct timespec invalid = {0, 1000000000};
  ret("until no time", futex(&word, FUTEX_WAIT_PRIVATE, 0, &invalid, NULL, 0));
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int turn, storm_over;
enum { ROUNDS = 500 };
static void *other_side(void *arg) {
  pthread_mutex_lock(&mutex);
  for (int i = 0; i < ROUNDS; i++) {
    while (turn != 1) pthread_cond_wait(&cond, &mutex);
    turn = 0;
    pthread_cond_broadcast(&cond);
  }
  pthread_mutex_unlock(&mutex);
  return arg;
}
static void *stormer(void *arg) {
  pthread_t *both = arg;
  while (!__atomic_load_n(&storm_over, __ATOMIC_ACQUIRE)) {
    pthread_kill(both[0], SIGUSR1);
    pthread_kill(both[1], SIGUSR1);
  }
  return NULL;
}

// Turns are taken while signals rain on both sides.
static void storm(int flags) {
  pthread_t both[2] = {pthread_self()}, storming;
  handle(flags);
  turn = 0;
  __atomic_store_n(&storm_over, 0, __ATOMIC_RELEASE);
  pthread_create(&both[1], NULL, other_side, NULL);
  pthread_create(&storming, NULL, stormer, both);
  pthread_mutex_lock(&mutex);
  for (int i = 0; i < ROUNDS; i++) {
    turn = 1;
    pthread_cond_broadcast(&cond);
    while (turn != 0) pthread_cond_wait(&cond, &mutex);
  }
  pthread_mutex_unlock(&mutex);
  __atomic_store_n(&storm_over, 1, __ATOMIC_RELEASE);
  pthread_join(storming, NULL);
  pthread_join(both[1], NULL);
  is("turns under signals", handled > 0);
}

static void who_wakes(void) {
  struct waiter w;
  start(&w, FUTEX_WAIT_PRIVATE, NULL);
  ret("a shared wake-up finds nobody", futex(&w.word, FUTEX_WAKE, 1, NULL, NULL, 0));
  ret("a private one does", wake_one(&w.word));
  finish("woken", &w);
  start(&w, FUTEX_WAIT, NULL);
  ret("a private wake-up finds nobody", wake(&w.word, 1));
  long r = 0;
  for (int i = 0; i < 20000 && r == 0; i++) {
    r = futex(&w.word, FUTEX_WAKE, 1, NULL, NULL, 0);
    if (r == 0) sleep_ms(1);
  }
  ret("a shared one does", r);
  finish("woken", &w);

  struct waiter a, b;
  volatile int target = 0;
  start(&a, FUTEX_WAIT_PRIVATE, NULL);
  start(&b, FUTEX_WAIT_BITSET_PRIVATE, NULL);
  long moved = 0;
  for (int i = 0; i < 20000 && moved < 2; i++) {
    moved += futex(&a.word, FUTEX_CMP_REQUEUE_PRIVATE, 0, (void *)1L, &target, 0);
    moved += futex(&b.word, FUTEX_REQUEUE_PRIVATE, 0, (void *)1L, &target, 0);
    if (moved < 2) sleep_ms(1);
  }
  ret("moved", moved);
  ret("both woken", wake(&target, 10));
  finish("first", &a);
  finish("second", &b);
  ret("requeue of another value", futex(&a.word, FUTEX_CMP_REQUEUE_PRIVATE, 0, NULL, &target, 5));
  ret("wake operation", futex(&a.word, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1L, &target,
                              FUTEX_OP(FUTEX_OP_ADD, 7, FUTEX_OP_CMP_EQ, 0)));
  say("word %d", target);
  ret("bad address", wait_at((volatile int *)BAD_PTR, 0));
  ret("address of the kernel's", wait_at((volatile int *)0xffff800000000000, 0));
  ret("address at the end", wait_at((volatile int *)0x7fff20000000, 0));
  ret("misaligned", wait_at((volatile int *)((char *)&target + 1), 0));
  ret("no bits", futex(&target, FUTEX_WAIT_BITSET_PRIVATE, target, NULL, NULL, 0));
  ret("another value", wait_at(&target, target + 1));
}

// A child whose second thread waits until the word in shared memory says so.
struct shared { volatile int tid, go, result; };
static volatile int child_word;
static void *child_waits(void *arg) {
  struct shared *s = arg;
  s->tid = (int)syscall(SYS_gettid);
  s->result = wait_at(&child_word, 0) == 0 ? 1 : 2;
  return NULL;
}
static pid_t waiting_child(struct shared *s) {
  memset((void *)s, 0, sizeof *s);
  pid_t pid = fork();
  if (pid == 0) {
    pthread_t t;
    pthread_create(&t, NULL, child_waits, s);
    while (!s->go) sleep_ms(1);
    long r = wake_one(&child_word);
    pthread_join(t, NULL);
    _exit(r == 1 && s->result == 1 ? 7 : 1);
  }
  while (s->tid == 0) sleep_ms(1);
  if (!becomes(pid, s->tid, 'S')) say("child does not sleep FAIL");
  return pid;
}

static void processes(void) {
  struct shared *s = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  int st;
  pid_t pid = waiting_child(s);
  kill(pid, SIGSTOP);
  waitpid(pid, &st, WUNTRACED);
  is("stopped", WIFSTOPPED(st) && becomes(pid, s->tid, 'T'));
  kill(pid, SIGCONT);
  is("sleeps again", becomes(pid, s->tid, 'S'));
  s->go = 1;
  wait_say("after a stop", pid);

  pid = waiting_child(s);
  pid_t tid = s->tid;
  ret("attach", ptrace(PTRACE_ATTACH, tid, 0, 0));
  is("its stop", waitpid(tid, &st, __WALL) == tid && WIFSTOPPED(st) && WSTOPSIG(st) == SIGSTOP);
  ret("detach", ptrace(PTRACE_DETACH, tid, 0, 0));
  is("sleeps again", becomes(pid, tid, 'S'));
  s->go = 1;
  wait_say("after a tracer", pid);

  pid = waiting_child(s);
  ret("seize", ptrace(PTRACE_SEIZE, s->tid, 0, 0));
  s->go = 1;
  is("its end", waitpid(s->tid, &st, __WALL) == s->tid && WIFEXITED(st));
  wait_say("with a tracer", pid);

  pid = waiting_child(s);
  kill(pid, SIGKILL);
  wait_say("killed", pid);

  pid = fork();
  if (pid == 0) {
    struct waiter w;
    start(&w, FUTEX_WAIT_PRIVATE, NULL);
    exit(9);
  }
  wait_say("exit with a waiter", pid);
  pid = fork();
  if (pid == 0) {
    struct waiter w;
    start(&w, FUTEX_WAIT_PRIVATE, NULL);
    execl("/proc/self/exe", "futex-waits", "exec", NULL);
    _exit(1);
  }
  wait_say("exec with a waiter", pid);
  pid = fork();
  if (pid == 0) {
    struct waiter w;
    start(&w, FUTEX_WAIT_PRIVATE, NULL);
    pid_t grandchild = fork();
    if (grandchild == 0) {
      is("nobody waits in a child", wake(&w.word, 1) == 0);
      _exit(3);
    }
    waitpid(grandchild, &st, 0);
    ret("still waits in the parent", wake_one(&w.word));
    finish("woken", &w);
    _exit(WEXITSTATUS(st));
  }
  wait_say("fork with a waiter", pid);
}

static int deny_wake(void) {
  struct sock_filter f[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_futex, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FUTEX_WAKE_PRIVATE, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EXDEV),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog prog = {sizeof f / sizeof *f, f};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog);
}
static int deny_yield(void) {
  struct sock_filter f[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sched_yield, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EXDEV),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog prog = {sizeof f / sizeof *f, f};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog);
}
static volatile int filtered_word, filtered_done;
static void *filtered(void *arg) {
  ret("yield", sched_yield());
  ret("filter of yields", deny_yield());
  ret("filtered yield", sched_yield());
  ret("filter", deny_wake());
  ret("filtered wake-up", wake(&filtered_word, 1));
  filtered_done = 1;
  return arg;
}

static void observers(void) {
  pid_t pid = fork();
  if (pid == 0) {
    struct waiter w;
    pthread_t t;
    start(&w, FUTEX_WAIT_PRIVATE, NULL);
    pthread_create(&t, NULL, filtered, NULL);
    while (!filtered_done) sleep_ms(1);
    ret("unfiltered yield", sched_yield());
    ret("unfiltered wake-up", wake_one(&w.word));
    finish("woken", &w);
    _exit(0);
  }
  wait_say("a filter of another thread's", pid);
  pid = fork();
  if (pid == 0) {
    struct waiter w;
    volatile int lock = 0;
    start(&w, FUTEX_WAIT_PRIVATE, NULL);
    ret("lock of another kind", futex(&lock, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    ret("its release", futex(&lock, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    ret("wake-up", wake_one(&w.word));
    finish("woken", &w);
    _exit(0);
  }
  wait_say("PI", pid);
}

// futex_wake(2), futex_wait(2) and futex_requeue(2) know the waiters of futex(2), and it knows theirs.
enum { NEW_WAKE = 454, NEW_WAIT, NEW_REQUEUE, FLAGS = 2 | 128 };
static void *new_waiter(void *arg) {
  struct waiter *w = arg;
  w->tid = (int)syscall(SYS_gettid);
  w->result = syscall(NEW_WAIT, &w->word, 0ul, 1ul, FLAGS, NULL, 0);
  return NULL;
}
static void new_wakes(void) {
  struct waiter w, v;
  start(&w, FUTEX_WAIT_PRIVATE, NULL);
  start(&v, FUTEX_WAIT_BITSET_PRIVATE, NULL);
  ret("new wake", syscall(NEW_WAKE, &w.word, -1u & 0xfffffffful, 1, FLAGS));
  ret("another", syscall(NEW_WAKE, &v.word, 1ul, 1, FLAGS));
  finish("woken", &w), finish("woken", &v);
}
static void new_waits(void) {
  struct waiter old, w = {0};
  start(&old, FUTEX_WAIT_PRIVATE, NULL);
  pthread_create(&w.thread, NULL, new_waiter, &w);
  while (w.tid == 0) sleep_ms(1);
  becomes(getpid(), w.tid, 'S');
  ret("wake", wake(&w.word, 1));
  finish("woken", &w);
  ret("wake-up", wake_one(&old.word));
  finish("woken", &old);
}
static void new_requeues(void) {
  struct waiter w;
  volatile int to = 0;
  start(&w, FUTEX_WAIT_PRIVATE, NULL);
  struct { uint64_t val, uaddr; uint32_t flags, reserved; } v[2] = {{0, (uintptr_t)&w.word, FLAGS, 0}, {0, (uintptr_t)&to, FLAGS, 0}};
  ret("requeue", syscall(NEW_REQUEUE, v, 0, 0, 1));
  ret("wake", wake(&to, 1));
  finish("woken", &w);
}

// The registers and flags of a thread are as before its wait.
static volatile int reg_word;
static volatile int reg_tid;
static struct { int gs, registers, flags; } seen;
static void *check_regs(void *arg) {
  unsigned long gs = (unsigned long)arg, out[6] = {0}, flags = 0;
  if (gs != 0) syscall(SYS_arch_prctl, ARCH_SET_GS, gs);
  reg_tid = (int)syscall(SYS_gettid);
  long r = SYS_futex;
  register long r10 __asm__("r10") = 0;
  register long r8 __asm__("r8") = 0x1108;
  register long r9 __asm__("r9") = 0x1109;
  register long r12 __asm__("r12") = 0x1112;
  register long r13 __asm__("r13") = 0x1113;
  register long r14 __asm__("r14") = 0x1114;
  register long r15 __asm__("r15") = 0x1115;
  long b = 0x1103;
  __asm__ volatile("sub $128, %%rsp\n stc\n syscall\n pushfq\n pop %[f]\n add $128, %%rsp\n"
                   : "+a"(r), "+b"(b), "+r"(r10), "+r"(r8), "+r"(r9), "+r"(r12), "+r"(r13), "+r"(r14), "+r"(r15),
                     [f] "=&r"(flags)
                   : "D"(&reg_word), "S"(FUTEX_WAIT_PRIVATE), "d"(0)
                   : "rcx", "r11", "memory", "cc");
  int kept = b == 0x1103 && r8 == 0x1108 && r9 == 0x1109 && r12 == 0x1112 && r13 == 0x1113 && r14 == 0x1114 &&
             r15 == 0x1115 && r10 == 0;
  out[0] = gs;
  if (gs != 0) {
    syscall(SYS_arch_prctl, ARCH_GET_GS, &out[1]);
    seen.gs = out[0] == out[1];
    syscall(SYS_arch_prctl, ARCH_SET_GS, 0);
  }
  seen.registers = kept;
  seen.flags = (flags & 1) == 1 && (flags & 0x400) == 0;
  return (void *)r;
}
static void registers(void) {
  static unsigned long area[16];
  for (int own_gs = 0; own_gs < 2; own_gs++) {
    pthread_t t;
    void *r;
    reg_tid = 0;
    pthread_create(&t, NULL, check_regs, own_gs ? area : NULL);
    while (reg_tid == 0) sleep_ms(1);
    is("sleeps", becomes(getpid(), reg_tid, 'S'));
    ret("wake", wake_one(&reg_word));
    pthread_join(t, &r);
    say("result %ld", (long)r);
    is("registers", seen.registers);
    is("carry flag", seen.flags);
    is("GS base", seen.gs == own_gs);
  }
}

static void *in_cond(void *arg) {
  pthread_mutex_lock(&mutex);
  *(volatile int *)arg = (int)syscall(SYS_gettid);
  for (;;) pthread_cond_wait(&cond, &mutex);
  return NULL;
}
static void unlock(void) {
  volatile int tid = 0;
  pthread_t t;
  void *r = NULL;
  pthread_create(&t, NULL, in_cond, (void *)&tid);
  while (tid == 0) sleep_ms(1);
  is("sleeps", becomes(getpid(), tid, 'S'));
  pthread_cancel(t);
  pthread_join(t, &r);
  is("cancelled", r == PTHREAD_CANCELED);
  is("holds the mutex", pthread_mutex_trylock(&mutex) == EBUSY);
}

int main(int argc, char **argv) {
  if (argc > 1 && strcmp(argv[1], "exec") == 0) {
    struct waiter w;
    start(&w, FUTEX_WAIT_PRIVATE, NULL);
    return wake_one(&w.word) == 1 ? 11 : 1;
  }
  signals();
  storm(0);
  storm(SA_RESTART);
  signal(SIGUSR1, SIG_DFL);
  who_wakes();
  registers();
  processes();
  observers();
  in_child("new wakes", new_wakes);
  in_child("new waits", new_waits);
  in_child("new requeues", new_requeues);
  unlock();
  return 0;
}
