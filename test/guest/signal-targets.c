// Which thread takes a signal that is for the process, and what of signals and zombies random walks (test/fuzz/walks) have found.
#include "guest.h"
#include <pthread.h>
#include <sched.h>
#include <ucontext.h>

static volatile pid_t took, tids[3];
static volatile int taken, told[3];
static pthread_t threads[3];

static pid_t tid(void) { return syscall(SYS_gettid); }
static void taker(int sig) { took = tid(), taken++; }
static const char *who(void) { return took == getpid() ? "leader" : took == tids[1] ? "first" : took == tids[2] ? "second" : "nobody"; }

enum { NOTHING, BLOCK, UNBLOCK, FORK, FORGE, END };
static void *thread(void *n) {
  int i = (long)n;
  sigset_t set;
  sigemptyset(&set), sigaddset(&set, SIGUSR1);
  tids[i] = tid();
  for (;;) {
    while (told[i] == NOTHING) usleep(100);
    int what = told[i];
    if (what == BLOCK) pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (what == UNBLOCK) pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    if (what == FORK) {
      pid_t pid = fork();
      if (pid == 0) _exit(0);
      waitpid(pid, NULL, 0);
    }
    if (what == FORGE) {
      siginfo_t si = {.si_signo = SIGUSR1, .si_code = SI_TKILL};
      ret("a thread queues to its process as tkill", syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, &si));
    }
    told[i] = NOTHING;
    if (what == END) return NULL;
  }
}
static void tell(int i, int what) {
  told[i] = what;
  while (told[i] != NOTHING) sched_yield();
}
static void sent(const char *name, int result) {
  while (result == 0 && taken == 0) sched_yield();
  say("%s: the %s", name, who());
  taken = 0;
}

static void targets(void) {
  signal(SIGUSR1, taker), signal(SIGCHLD, taker);
  for (long i = 1; i < 3; i++) {
    pthread_create(&threads[i], NULL, thread, (void *)i);
    while (tids[i] == 0) sched_yield();
  }
  sent("kill of the process", kill(getpid(), SIGUSR1));
  sent("kill of a thread's number", kill(tids[2], SIGUSR1));
  told[2] = FORK, sent("end of a thread's child", 0);
  while (told[2] != NOTHING) sched_yield();
  tell(1, FORGE);
  sigset_t set;
  sigemptyset(&set), sigaddset(&set, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &set, NULL);
  sent("blocked by the leader", kill(getpid(), SIGUSR1));
  tell(1, BLOCK);
  sent("and by the first", kill(getpid(), SIGUSR1));
  tell(1, UNBLOCK);
  sent("no longer by the first", kill(getpid(), SIGUSR1));
  tell(2, END), pthread_join(threads[2], NULL);
  sent("without the second", kill(getpid(), SIGUSR1));
  tell(1, END), pthread_join(threads[1], NULL);
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void zombies(void) {
  char path[40], line[100];
  siginfo_t si;
  signal(SIGCHLD, SIG_DFL);
  pid_t pid = fork();
  if (pid == 0) _exit(0);
  waitid(P_PID, pid, &si, WEXITED | WNOWAIT);
  ret("wait for a zombie's stop", waitid(P_ALL, 0, &si, WSTOPPED));
  ret("and for its going on, not hanging", waitid(P_PID, pid, &si, WCONTINUED | WNOHANG));
  snprintf(path, sizeof path, "/proc/%d/status", pid);
  FILE *f = fopen(path, "r");
  while (f && fgets(line, sizeof line, f))
    if (strncmp(line, "Threads:", 8) == 0) say("zombie: %.10s", line);
  fclose(f);
  waitpid(pid, NULL, 0);
}

static void show_stack(int sig, siginfo_t *si, void *uc) { say("alternate stack's flags after exec: %x", ((ucontext_t *)uc)->uc_stack.ss_flags); }
static int child_pipe[2];
static int end_when_told(void *arg) {
  char c;
  close(child_pipe[1]);
  return read(child_pipe[0], &c, 1) < 0;
}
static void before_exec(void) {
  static char stack[65536] __attribute__((aligned(16)));
  sigset_t all;
  sigfillset(&all), sigprocmask(SIG_BLOCK, &all, NULL);
  pipe(child_pipe);
  pid_t pid = clone(end_when_told, stack + sizeof stack, SIGUSR2, NULL);
  sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = sizeof stack}, NULL);
  char fd[12], child[12];
  snprintf(fd, sizeof fd, "%d", child_pipe[1]), snprintf(child, sizeof child, "%d", pid);
  execl("/proc/self/exe", "signal-targets", fd, child, NULL);
}
static int after_exec(char **argv) {
  sigset_t pending, usr1;
  siginfo_t si;
  close(atoi(argv[1]));
  waitid(P_PID, atoi(argv[2]), &si, WEXITED | WNOWAIT | __WALL);
  sigpending(&pending);
  say("a child's signal to another program: SIGUSR2 %d SIGCHLD %d", sigismember(&pending, SIGUSR2), sigismember(&pending, SIGCHLD));
  ret("it is waited for", waitpid(atoi(argv[2]), NULL, __WALL) > 0);
  struct sigaction sa = {.sa_sigaction = show_stack, .sa_flags = SA_SIGINFO};
  sigaction(SIGUSR1, &sa, NULL);
  sigemptyset(&usr1), sigaddset(&usr1, SIGUSR1), sigprocmask(SIG_UNBLOCK, &usr1, NULL);
  raise(SIGUSR1);
  return 0;
}

int main(int argc, char **argv) {
  if (argc == 3) return after_exec(argv);
  targets();
  zombies();
  before_exec();
}
