// Signal masks and robust lists of threads that change them much: everybody who looks at them, or sends a signal, finds what
// the thread has set last.
#include "guest.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/user.h>

static atomic_int taken, step, stop;
static void on(int sig) { (void)sig; atomic_fetch_add(&taken, 1); }

static unsigned long kernel_mask(int how, const unsigned long *set) {
  unsigned long old = ~0UL;
  if (syscall(SYS_rt_sigprocmask, how, set, &old, 8) != 0) say("rt_sigprocmask FAIL");
  return old;
}

static unsigned long shown(int tid, const char *field) {
  char path[64], line[256];
  unsigned long mask = ~0UL;
  snprintf(path, sizeof path, "/proc/self/task/%d/status", tid);
  FILE *f = fopen(path, "r");
  if (f == NULL) return mask;
  while (fgets(line, sizeof line, f) != NULL)
    if (strncmp(line, field, strlen(field)) == 0) sscanf(line + strlen(field), ":%lx", &mask);
  fclose(f);
  return mask;
}

#define BIT(sig) (1UL << ((sig)-1))

static void warm(void) {
  unsigned long none = 0;
  for (int i = 0; i < 3000; i++) kernel_mask(SIG_SETMASK, &none);
}

static void masks(void) {
  unsigned long all = ~0UL, set = BIT(SIGUSR1) | BIT(40), none = 0, old = 0;
  kernel_mask(SIG_SETMASK, &none);
  kernel_mask(SIG_SETMASK, &all);
  say("everything blocked: %lx", kernel_mask(SIG_UNBLOCK, &set));
  say("without two: %lx", kernel_mask(SIG_SETMASK, &set));
  say("only two: %lx", kernel_mask(SIG_BLOCK, &none));
  say("a look: %lx", kernel_mask(77, NULL));
  say("shown: %lx", shown(getpid(), "SigBlk"));
  ret("no such how", syscall(SYS_rt_sigprocmask, 3, &set, NULL, 8));
  ret("no such how, and nowhere", syscall(SYS_rt_sigprocmask, 3, &set, BAD_PTR, 8));
  ret("wrong size", syscall(SYS_rt_sigprocmask, SIG_BLOCK, &set, NULL, 4));
  ret("set nowhere", syscall(SYS_rt_sigprocmask, SIG_BLOCK, BAD_PTR, &old, 8));
  ret("set beyond the end", syscall(SYS_rt_sigprocmask, SIG_BLOCK, (void *)0x7ffffffff000, &old, 8));
  ret("old nowhere", syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, BAD_PTR, 8));
  say("which changes the mask: %lx", kernel_mask(SIG_SETMASK, &set));
  ret("old where it is read-only", syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, "read-only", 8));
  say("which does too: %lx", kernel_mask(SIG_SETMASK, &set));
  ret("in place", syscall(SYS_rt_sigprocmask, SIG_SETMASK, &set, &set, 8));
  say("what was there: %lx", set);
  // Memory that nobody has touched.
  unsigned long *fresh = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  say("from fresh memory: %lx", kernel_mask(SIG_SETMASK, fresh));
  ret("to fresh memory", syscall(SYS_rt_sigprocmask, SIG_SETMASK, &set, fresh + 512, 8));
  say("it has: %lx", fresh[512]);
  kernel_mask(SIG_SETMASK, &none);
}

static void pending(void) {
  unsigned long usr = BIT(SIGUSR1), none = 0, p = 0;
  atomic_store(&taken, 0);
  kernel_mask(SIG_BLOCK, &usr);
  kill(getpid(), SIGUSR1);
  say("blocked: taken %d", atomic_load(&taken));
  syscall(SYS_rt_sigpending, &p, 8);
  say("pending: %lx", p);
  kernel_mask(SIG_SETMASK, &usr);
  say("still: %d", atomic_load(&taken));
  kernel_mask(SIG_UNBLOCK, &usr);
  say("unblocked: %d", atomic_load(&taken));
  kernel_mask(SIG_SETMASK, &none);
  raise(SIGUSR1);
  say("open: %d", atomic_load(&taken));
}

static void *toggles(void *p) {
  unsigned long usr = BIT(SIGUSR1), none = 0;
  (void)p;
  atomic_store(&step, (int)syscall(SYS_gettid));
  while (!atomic_load(&stop)) {
    kernel_mask(SIG_BLOCK, &usr);
    kernel_mask(SIG_SETMASK, &none);
  }
  return NULL;
}

// Each signal is sent when the one before has been taken, so none may be merged or lost.
static void storm(int whole, int n) {
  pthread_t t;
  unsigned long usr = BIT(SIGUSR1), none = 0;
  atomic_store(&taken, 0);
  atomic_store(&step, 0);
  atomic_store(&stop, 0);
  pthread_create(&t, NULL, toggles, NULL);
  while (atomic_load(&step) == 0) sched_yield();
  if (whole) kernel_mask(SIG_BLOCK, &usr);
  for (int i = 0; i < n; i++) {
    if (whole) kill(getpid(), SIGUSR1);
    else syscall(SYS_tgkill, getpid(), atomic_load(&step), SIGUSR1);
    while (atomic_load(&taken) <= i) sched_yield();
  }
  atomic_store(&stop, 1);
  pthread_join(t, NULL);
  kernel_mask(SIG_SETMASK, &none);
  say("%d signals to %s: taken %d", n, whole ? "the process" : "a thread", atomic_load(&taken));
}

static void *blocks_all(void *p) {
  unsigned long all = ~0UL;
  kernel_mask(SIG_SETMASK, &all);
  kernel_mask(SIG_SETMASK, &all);
  atomic_store((atomic_int *)p, (int)syscall(SYS_gettid));
  while (!atomic_load(&stop)) sched_yield();
  return NULL;
}

// All but one thread block: that one takes what is sent to the process.
static void choice(void) {
  pthread_t t[3];
  atomic_int tid[3] = {0, 0, 0};
  atomic_store(&stop, 0);
  atomic_store(&taken, 0);
  for (int i = 0; i < 3; i++) pthread_create(&t[i], NULL, blocks_all, &tid[i]);
  for (int i = 0; i < 3; i++)
    while (atomic_load(&tid[i]) == 0) sched_yield();
  for (int i = 0; i < 3; i++) say("thread that runs: %lx", shown(atomic_load(&tid[i]), "SigBlk"));
  for (int i = 0; i < 5; i++) {
    kill(getpid(), SIGUSR1);
    while (atomic_load(&taken) <= i) sched_yield();
  }
  say("taken by the one: %d", atomic_load(&taken));
  syscall(SYS_tgkill, getpid(), atomic_load(&tid[1]), SIGUSR1);
  say("a blocked one has it pending: %lx %lx", shown(atomic_load(&tid[1]), "SigPnd"), shown(atomic_load(&tid[0]), "SigPnd"));
  atomic_store(&stop, 1);
  for (int i = 0; i < 3; i++) pthread_join(t[i], NULL);
  say("and takes it with it: %d", atomic_load(&taken));
}

static void children(void) {
  unsigned long set = BIT(SIGUSR2) | BIT(50), none = 0;
  kernel_mask(SIG_SETMASK, &set);
  pid_t pid = fork();
  if (pid == 0) _exit(kernel_mask(SIG_SETMASK, &none) == set && kernel_mask(SIG_SETMASK, &none) == 0 ? 3 : 4);
  wait_say("child of fork", pid);
  pid = vfork();
  if (pid == 0) {
    unsigned long old = kernel_mask(SIG_SETMASK, &none);
    _exit(old == set ? 5 : 6);
  }
  wait_say("child of vfork", pid);
  say("parent after it: %lx", kernel_mask(SIG_SETMASK, &set));
  pid = fork();
  if (pid == 0) {
    kernel_mask(SIG_BLOCK, &set);
    execl("/proc/self/exe", "thread-masks", "mask", NULL);
    _exit(1);
  }
  wait_say("after execve", pid);
  kernel_mask(SIG_SETMASK, &none);
  kernel_mask(SIG_SETMASK, &none);
  pid = fork();
  if (pid == 0) {
    unsigned long term = BIT(SIGTERM);
    kernel_mask(SIG_SETMASK, &term);
    kernel_mask(SIG_SETMASK, &term);
    kill(getpid(), SIGTERM);
    kernel_mask(SIG_SETMASK, &none);
    _exit(1);
  }
  wait_say("killed when it unblocks", pid);
}

static struct robust_list_head list;
static void *robust(void *p) {
  struct robust_list_head *head = NULL;
  size_t len = 0;
  ret("set_robust_list", syscall(SYS_set_robust_list, &list, sizeof list));
  ret("of another size", syscall(SYS_set_robust_list, p, 23));
  syscall(SYS_get_robust_list, 0, &head, &len);
  say("get_robust_list %d %zu", head == &list, len);
  ret("again", syscall(SYS_set_robust_list, &list, sizeof list));
  syscall(SYS_set_robust_list, p, sizeof list);
  ret("the last one", syscall(SYS_set_robust_list, &list, sizeof list));
  return NULL;
}

// A mutex whose owner ends is handed on by the list that the owner has set last.
static pthread_mutex_t mutex;
static void *locks(void *p) {
  unsigned long none = 0;
  (void)p;
  for (int i = 0; i < 5; i++) kernel_mask(SIG_SETMASK, &none);
  pthread_mutex_lock(&mutex);
  return NULL;
}

static void robust_lists(void) {
  pthread_t t;
  unsigned char other[24] = {0};
  list.list.next = &list.list;
  pthread_create(&t, NULL, robust, other);
  pthread_join(t, NULL);
  pthread_mutexattr_t a;
  pthread_mutexattr_init(&a);
  pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_init(&mutex, &a);
  for (int i = 0; i < 3; i++) {
    pthread_create(&t, NULL, locks, NULL);
    pthread_join(t, NULL);
    int r = pthread_mutex_lock(&mutex);
    say("its owner is dead: %s", r == EOWNERDEAD ? "EOWNERDEAD" : strerrorname_np(r));
    pthread_mutex_consistent(&mutex);
    pthread_mutex_unlock(&mutex);
  }
}

// Who watches calls sees these, too.
static void filtered(void) {
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigprocmask, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EBUSY),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog prog = {sizeof code / sizeof code[0], code};
  unsigned long none = 0, usr = BIT(SIGUSR1);
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    pthread_t t;
    atomic_int tid = 0;
    kernel_mask(SIG_SETMASK, &usr);
    kernel_mask(SIG_SETMASK, &usr);
    atomic_store(&stop, 0);
    pthread_create(&t, NULL, blocks_all, &tid);
    while (atomic_load(&tid) == 0) sched_yield();
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    ok("filter for all threads", syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &prog));
    ret("refused by it", syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, 8));
    say("the mask is as it was: %lx", shown(getpid(), "SigBlk"));
    _exit(0);
  }
  wait_say("filtered", pid);
}

static void traced(void) {
  int status, stops = 0, ready[2], go[2];
  unsigned long none = 0, mask = 0;
  char c = 0;
  if (pipe(ready) != 0 || pipe(go) != 0) say("pipe FAIL");
  pid_t pid = fork();
  if (pid == 0) {
    close(go[1]);
    unsigned long set = BIT(SIGUSR1) | BIT(33);
    for (int i = 0; i < 4; i++) kernel_mask(SIG_SETMASK, &set);
    if (write(ready[1], &c, 1) != 1 || read(go[0], &c, 1) != 0) say("read FAIL");
    for (int i = 0; i < 3; i++) kernel_mask(SIG_SETMASK, &none);
    _exit(kernel_mask(SIG_BLOCK, &none) == 0 ? 9 : 10);
  }
  if (read(ready[0], &c, 1) != 1) say("read FAIL");
  ok("PTRACE_SEIZE", ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACESYSGOOD));
  ok("PTRACE_INTERRUPT", ptrace(PTRACE_INTERRUPT, pid, 0, 0));
  waitpid(pid, &status, __WALL);
  ok("PTRACE_GETSIGMASK", ptrace(0x420a, pid, 8, &mask));
  say("its mask: %lx", mask);
  close(go[1]);
  for (;;) {
    if (WIFSTOPPED(status) && WSTOPSIG(status) == (SIGTRAP | 0x80)) {
      struct user_regs_struct regs;
      ptrace(PTRACE_GETREGS, pid, 0, &regs);
      stops += regs.orig_rax == SYS_rt_sigprocmask;
    }
    ptrace(PTRACE_SYSCALL, pid, 0, 0);
    waitpid(pid, &status, __WALL);
    if (WIFEXITED(status)) break;
  }
  say("stops at rt_sigprocmask: %d, exit %d", stops, WEXITSTATUS(status));
  close(ready[0]);
  close(ready[1]);
  close(go[0]);
}

static void waits(void) {
  unsigned long usr = BIT(SIGUSR1), none = 0;
  struct timespec soon = {0, 0};
  atomic_store(&taken, 0);
  kernel_mask(SIG_SETMASK, &usr);
  kernel_mask(SIG_SETMASK, &usr);
  kill(getpid(), SIGUSR1);
  ret("sigtimedwait", syscall(SYS_rt_sigtimedwait, &usr, NULL, &soon, 8));
  say("not handled: %d, mask %lx", atomic_load(&taken), kernel_mask(SIG_SETMASK, &usr));
  kill(getpid(), SIGUSR1);
  ret("sigsuspend", syscall(SYS_rt_sigsuspend, &none, 8));
  say("handled: %d, mask %lx", atomic_load(&taken), kernel_mask(SIG_SETMASK, &usr));
  kill(getpid(), SIGUSR1);
  struct { const void *set; size_t len; } arg = {&none, 8};
  ret("pselect", syscall(SYS_pselect6, 0, NULL, NULL, NULL, NULL, &arg));
  say("handled: %d, mask %lx", atomic_load(&taken), kernel_mask(SIG_SETMASK, &none));
}

int main(int argc, char **argv) {
  if (argc > 1 && strcmp(argv[1], "mask") == 0) {
    say("mask after execve: %lx", kernel_mask(SIG_BLOCK, NULL));
    return 0;
  }
  struct sigaction sa = {.sa_handler = on};
  sigaction(SIGUSR1, &sa, NULL);
  for (int round = 0; round < 2; round++) {
    say("round %d", round);
    masks();
    pending();
    storm(0, 30);
    storm(1, 30);
    choice();
    children();
    robust_lists();
    waits();
    filtered();
    traced();
    warm(); // The second round from patched text.
  }
  return 0;
}
