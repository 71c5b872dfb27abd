// RLIMIT_RTTIME: signals to real-time threads that run without waiting, and how the limit moves on; RLIMIT_CPU's does, too.
#include "guest.h"
#include <sched.h>
#include <sys/resource.h>

static volatile int hits;
static void on_signal(int s) { hits += s == SIGXCPU; }

static void limit(int which, rlim_t cur, rlim_t max) {
  struct rlimit l = {cur, max};
  if (setrlimit(which, &l) != 0) say("setrlimit: %s", strerrorname_np(errno));
}

static void policy(int what) {
  struct sched_param p = {.sched_priority = what == SCHED_OTHER ? 0 : 1};
  if (sched_setscheduler(0, what, &p) != 0) say("sched_setscheduler: %s", strerrorname_np(errno));
}

static double cpu(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

// Runs until a signal has come, at most so many seconds.
static void spin(double most) {
  for (double start = cpu(); hits == 0 && cpu() - start < most;)
    for (volatile int i = 0; i < 100000; i++) {}
}

static void soft(void) {
  signal(SIGXCPU, on_signal);
  limit(RLIMIT_RTTIME, 50000, RLIM_INFINITY);
  policy(SCHED_FIFO);
  spin(10);
  struct rlimit l;
  getrlimit(RLIMIT_RTTIME, &l);
  say("hits %d, now %ld", hits, (long)l.rlim_cur);
}

static void untold(void) {
  limit(RLIMIT_RTTIME, 50000, RLIM_INFINITY);
  policy(SCHED_RR);
  spin(10);
}

static void hard(void) {
  signal(SIGXCPU, SIG_IGN);
  limit(RLIMIT_RTTIME, 10000, 60000);
  policy(SCHED_FIFO);
  spin(10);
}

static void spin_long(void) { spin(10); }

static void inherited(void) {
  limit(RLIMIT_RTTIME, 50000, RLIM_INFINITY);
  policy(SCHED_FIFO);
  in_child("its child", spin_long);
}

static void ordinary(void) {
  signal(SIGXCPU, on_signal);
  limit(RLIMIT_RTTIME, 10000, 20000);
  spin(0.1);
  say("hits %d", hits);
}

// Waiting starts the count anew.
static void waiting(void) {
  signal(SIGXCPU, on_signal);
  limit(RLIMIT_RTTIME, 500000, RLIM_INFINITY);
  policy(SCHED_FIFO);
  for (double start = cpu(); hits == 0 && cpu() - start < 0.1; usleep(1))
    for (volatile int i = 0; i < 100000; i++) {}
  say("hits %d", hits);
}

static void cpu_limit(void) {
  signal(SIGXCPU, on_signal);
  limit(RLIMIT_CPU, 0, 5);
  spin(10);
  struct rlimit l;
  getrlimit(RLIMIT_CPU, &l);
  say("hits %d, now %ld of %ld", hits, (long)l.rlim_cur, (long)l.rlim_max);
}

int main(void) {
  in_child("soft limit", soft);
  in_child("without a handler", untold);
  in_child("hard limit", hard);
  in_child("inherited", inherited);
  in_child("ordinary thread", ordinary);
  in_child("waiting", waiting);
  in_child("RLIMIT_CPU", cpu_limit);
  return 0;
}
