// Whose child a wait for any child tells of first: the calling thread's children in the order of their birth, then its tracees, then
// those of the threads behind it (kernel/exit.c __do_wait()).
#include "guest.h"
#include <pthread.h>
#include <sys/ptrace.h>

static pid_t born(int status) {
  pid_t pid = fork();
  if (pid == 0) _exit(status);
  until_state(pid, 'Z');
  return pid;
}
static void any(const char *name, int flags) {
  int st = 0;
  pid_t r = waitpid(-1, &st, WNOHANG | flags);
  say("%s: %s %x", name, r > 0 ? "child" : r == 0 ? "nothing" : strerrorname_np(errno), st);
}
static pthread_barrier_t barrier;
static void meet(void) { pthread_barrier_wait(&barrier); }

static void *younger(void *a) {
  born(1), meet();
  meet(); // the leader has children of its own
  any("its own thread's only", __WNOTHREAD);
  born(5), meet();
  meet();
  return a;
}
static void own_first(void) {
  pthread_t t;
  pthread_barrier_init(&barrier, NULL, 2);
  pthread_create(&t, NULL, younger, NULL);
  meet();
  born(2), born(3);
  any("own before older ones of another thread", 0);
  meet(), meet();
  any("own only", __WNOTHREAD), any("no more", __WNOTHREAD);
  any("the other thread's", 0);
  meet(), pthread_join(t, NULL);
  any("none", 0);
}

static pid_t stopped;
static void *tracer(void *a) {
  ret("attach", ptrace(PTRACE_ATTACH, stopped, 0, 0));
  until_state(stopped, 't');
  meet(), meet();
  ret("detach", ptrace(PTRACE_DETACH, stopped, 0, 0));
  return a;
}
// A child that another thread traces is told of in its place among the children.
static void traced_child(void) {
  pthread_t t;
  stopped = fork();
  if (stopped == 0)
    for (;;) pause();
  pthread_barrier_init(&barrier, NULL, 2);
  pthread_create(&t, NULL, tracer, NULL);
  meet();
  born(4);
  any("tracee", WUNTRACED), any("younger child", WUNTRACED), any("no more", WUNTRACED);
  meet(), pthread_join(t, NULL);
  kill(stopped, SIGKILL);
  until_state(stopped, 'Z');
  any("killed", 0);
}


// Of tracees the latest comes first.
static void strangers(void) {
  int st, to[2];
  pid_t pids[2];
  if (pipe(to) < 0) return;
  pid_t parent = fork();
  if (parent == 0) {
    for (int i = 0; i < 2; i++) {
      pids[i] = fork();
      if (pids[i] == 0)
        for (;;) pause();
    }
    if (write(to[1], pids, sizeof pids) < 0) _exit(1);
    for (;;) pause();
  }
  if (read(to[0], pids, sizeof pids) < 0) return;
  for (int i = 0; i < 2; i++) ret("seize", ptrace(PTRACE_SEIZE, pids[i], 0, 0)), ret("interrupt", ptrace(PTRACE_INTERRUPT, pids[i], 0, 0)), until_state(pids[i], 't');
  is("the latest first", waitpid(-1, &st, 0) == pids[1]);
  is("then the other", waitpid(-1, &st, 0) == pids[0]);
  for (int i = 0; i < 2; i++) kill(pids[i], SIGKILL);
  kill(parent, SIGKILL);
}

int main(void) {
  in_child("own first", own_first);
  in_child("traced child", traced_child);
  in_child("strangers", strangers);
  return 0;
}
