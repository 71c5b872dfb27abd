// Sleeps of less than a millisecond, alone and among threads: they last long enough, signals and stops get through, bad
// times are refused. (systrap has the host make them, until somebody has to see the calls.)
#include "guest.h"
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>

enum { SHORT_NS = 100000 };

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}
static long nap(long ns, struct timespec *rem) {
  struct timespec t = {0, ns};
  return syscall(SYS_nanosleep, &t, rem);
}
static long clock_nap(int clock, int flags, long ns, struct timespec *rem) {
  struct timespec t = {0, ns};
  return syscall(SYS_clock_nanosleep, clock, flags, &t, rem);
}

static int lasts(long (*sleep)(void), int times) {
  int64_t from = now_ns();
  for (int i = 0; i < times; i++)
    if (sleep() != 0) return 0;
  return now_ns() - from >= (int64_t)times * SHORT_NS;
}
static long plain(void) { return nap(SHORT_NS, NULL); }
static long monotonic(void) { return clock_nap(CLOCK_MONOTONIC, 0, SHORT_NS, NULL); }
static long real(void) { return clock_nap(CLOCK_REALTIME, 0, SHORT_NS, NULL); }
static long boottime(void) { return clock_nap(CLOCK_BOOTTIME, 0, SHORT_NS, NULL); }

static void times(const char *who) {
  printf("%s: ", who), is("nanosleep lasts", lasts(plain, 20));
  printf("%s: ", who), is("on the monotonic clock", lasts(monotonic, 20));
  printf("%s: ", who), is("on the real clock", lasts(real, 20));
  printf("%s: ", who), is("on the boot clock", lasts(boottime, 20));
  struct timespec late;
  clock_gettime(CLOCK_MONOTONIC, &late);
  late.tv_sec--;
  ret("a time that has passed", syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &late, NULL));
  ret("no time", nap(0, NULL));
  ret("too many nanoseconds", nap(1000000000, NULL));
  ret("negative", nap(-1, NULL));
  ret("bad request", syscall(SYS_nanosleep, BAD_PTR, NULL));
  ret("null request", syscall(SYS_nanosleep, NULL, NULL));
  ret("request in the kernel", syscall(SYS_nanosleep, -4096L, NULL));
  ret("a bad place for the rest, not needed", syscall(SYS_nanosleep, &(struct timespec){0, 1000}, BAD_PTR));
  ret("bad clock", clock_nap(77, 0, 1000, NULL));
  ret("unknown flags", clock_nap(CLOCK_MONOTONIC, 4, 1000, NULL));
}

static volatile int done, interrupted, wrong;
static void *naps(void *arg) {
  while (!done) {
    struct timespec rem = {7, 7};
    long r = nap(900000, &rem);
    if (r == 0 && rem.tv_sec != 7) wrong++;
    if (r == 0) continue;
    // Linux counts the slack of 50 µs to what is left.
    if (errno != EINTR || rem.tv_sec != 0 || rem.tv_nsec > 950000) wrong++;
    interrupted++;
  }
  return arg;
}
static volatile int handled;
static void handler(int sig) { (void)sig, handled++; }

static void disturbed(void) {
  int word = 0;
  syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1); // From here on they are the host's.
  struct sigaction sa = {.sa_handler = handler, .sa_flags = SA_RESTART};
  sigaction(SIGUSR1, &sa, NULL);
  pthread_t t;
  pthread_create(&t, NULL, naps, NULL);
  for (int i = 0; i < 2000 && interrupted < 20; i++) {
    int before = handled;
    pthread_kill(t, SIGUSR1);
    while (handled == before) sched_yield();
  }
  is("signals end sleeps, SA_RESTART or not", interrupted >= 20);
  done = 1;
  pthread_join(t, NULL);
  is("with the time left, no more than what was asked for", wrong == 0);
}

static pid_t napper(void (*first)(void)) {
  pid_t pid = fork();
  if (pid != 0) return pid;
  if (first != NULL) first();
  for (;;) nap(500000, NULL);
}
static void stopped(void) {
  pid_t pid = napper(NULL);
  int status;
  for (int i = 0; i < 5; i++) {
    kill(pid, SIGSTOP);
    if (waitpid(pid, &status, WUNTRACED) != pid || !WIFSTOPPED(status)) break;
    kill(pid, SIGCONT);
    if (waitpid(pid, &status, WCONTINUED) != pid || !WIFCONTINUED(status)) break;
  }
  is("stops and goes on", WIFCONTINUED(status));
  kill(pid, SIGKILL);
  wait_say("killed in a sleep", pid);
}

static void no_sleep(void) {
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_nanosleep, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOANO),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog prog = {sizeof code / sizeof *code, code};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  ok("a filter", prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog));
  ret("hears of the next sleep", nap(1000, NULL));
  ret("and of that", nap(1000, NULL));
}

static void traced(void) {
  pid_t pid = napper(NULL);
  int status, calls = 0;
  sleep_ms(5);
  ok("attach", ptrace(PTRACE_SEIZE, pid, NULL, (void *)PTRACE_O_TRACESYSGOOD));
  ptrace(PTRACE_INTERRUPT, pid, NULL, NULL);
  waitpid(pid, &status, 0);
  for (int i = 0; i < 8; i++) {
    ptrace(PTRACE_SYSCALL, pid, NULL, NULL);
    waitpid(pid, &status, 0);
    calls += WIFSTOPPED(status) && WSTOPSIG(status) == (SIGTRAP | 0x80);
  }
  is("a tracer sees each sleep", calls == 8);
  kill(pid, SIGKILL);
  while (waitpid(pid, &status, 0) == pid && !WIFSIGNALED(status)) {}
  is("killed", WIFSIGNALED(status));
}

int main(void) {
  times("alone");
  disturbed();
  times("among threads");
  stopped();
  traced();
  no_sleep();
  return 0;
}
