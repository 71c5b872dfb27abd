// PTRACE_EVENT_EXIT of tasks that something else ends: SIGKILL, another thread's exit_group or execve, a fatal signal.
#include "guest.h"
#include <linux/ptrace.h>
#include <poll.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/user.h>

#define OPTIONS (PTRACE_O_TRACEEXIT | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC)

static long pt(long req, pid_t pid, long addr, long data) { return syscall(SYS_ptrace, req, pid, addr, data); }
static long sigkill(pid_t pid) { return kill(pid, SIGKILL); }

static int event(const char *name, pid_t pid) {
  int st = 0;
  unsigned long msg = 0;
  pid_t r = waitpid(pid, &st, __WALL);
  if (r != pid) say("%s: waitpid %s", name, r < 0 ? strerrorname_np(errno) : "other");
  else if (!WIFSTOPPED(st)) say("%s: %s %d", name, WIFEXITED(st) ? "exit" : "killed", WIFEXITED(st) ? WEXITSTATUS(st) : WTERMSIG(st));
  else if (st >> 16 == PTRACE_EVENT_EXIT && pt(PTRACE_GETEVENTMSG, pid, 0, (long)&msg) == 0)
    say("%s: exits with %lx", name, msg);
  else say("%s: stop %d event %d", name, WSTOPSIG(st), st >> 16);
  return st;
}
static void nothing(const char *name, pid_t pid) {
  int st = 0;
  say("%s: %s", name, waitpid(pid, &st, __WALL | WNOHANG) == 0 ? "nothing" : "something");
}
static void go(pid_t pid) { pt(PTRACE_CONT, pid, 0, 0); }

// What a tracer can look at: the call that was interrupted, the memory.
static long word = 42;
static void look(const char *name, pid_t pid) {
  struct user_regs_struct r;
  struct iovec v = {&r, sizeof r};
  long w = 0;
  if (pt(PTRACE_GETREGSET, pid, 1, (long)&v) < 0) say("%s: registers %s", name, strerrorname_np(errno));
  else say("%s: call %ld result %ld", name, (long)r.orig_rax, (long)r.rax);
  say("%s: word %ld", name, pt(PTRACE_PEEKDATA, pid, (long)&word, (long)&w) < 0 ? -errno : w);
}

static volatile int *shared;
static void *sleeper(void *a) {
  shared[0] = gettid();
  for (;;) pause();
  return a;
}
static void *runner(void *a) {
  for (;;) shared[0] = gettid();
  return a;
}

enum what { NOTHING, SLEEP, RUN, WITH_SLEEPER, WITH_RUNNER, EXIT_GROUP, EXEC, EXIT_THREAD, TERM };
static void *exits(void *a) {
  shared[1] = gettid();
  while (shared[2] == 0) sleep_ms(1);
  enum what w = *(enum what *)a;
  if (w == EXIT_GROUP) exit(7);
  if (w == EXEC) execl("/bin/true", "true", (char *)0);
  if (w == TERM) signal(SIGTERM, SIG_DFL), tgkill(getpid(), gettid(), SIGTERM);
  syscall(SYS_exit, 5);
  return a;
}
static pid_t child(enum what w) {
  memset((void *)shared, 0, 4096);
  fflush(stdout);
  pid_t c = fork();
  if (c == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    pthread_t t;
    static enum what mine;
    mine = w;
    if (w == WITH_SLEEPER || w >= EXIT_GROUP) pthread_create(&t, 0, sleeper, 0);
    if (w == WITH_RUNNER) pthread_create(&t, 0, runner, 0);
    if (w >= EXIT_GROUP) pthread_create(&t, 0, exits, &mine);
    shared[3] = 1;
    if (w == RUN) for (;;) shared[4]++;
    for (;;) pause();
  }
  while (shared[3] == 0) sleep_ms(1);
  if (w == WITH_SLEEPER || w == WITH_RUNNER || w >= EXIT_GROUP) while (shared[0] == 0) sleep_ms(1);
  if (w >= EXIT_GROUP) while (shared[1] == 0) sleep_ms(1);
  if (w != RUN) until_state(c, 'S');
  return c;
}

static void killed(const char *name, enum what w, long (*how)(pid_t)) {
  say("# %s", name);
  pid_t c = child(w);
  ret("seize", pt(PTRACE_SEIZE, c, 0, OPTIONS));
  ret("kill", how(c));
  event("killed", c);
  if (w != RUN) look("killed", c);
  ret("again", sigkill(c));
  nothing("again", c);
  go(c);
  event("gone on", c);
}
static long kill_request(pid_t pid) { return pt(PTRACE_KILL, pid, 0, 0); }

static void in_a_stop(const char *name, int listen) {
  say("# %s", name);
  pid_t c = child(SLEEP);
  ret("seize", pt(PTRACE_SEIZE, c, 0, OPTIONS));
  if (listen) kill(c, SIGSTOP);
  else ret("interrupt", pt(PTRACE_INTERRUPT, c, 0, 0));
  event("stop", c);
  if (listen) {
    pt(PTRACE_CONT, c, 0, SIGSTOP);
    event("group stop", c);
    ret("listen", pt(PTRACE_LISTEN, c, 0, 0));
  }
  ret("kill", sigkill(c));
  event("killed", c);
  go(c);
  event("gone on", c);
}

static void unwanted(void) {
  say("# not asked for");
  pid_t c = child(SLEEP);
  ret("seize", pt(PTRACE_SEIZE, c, 0, 0));
  sigkill(c);
  event("killed", c);
}

static void detached(void) {
  say("# detached at its end");
  pid_t c = child(SLEEP);
  ret("seize", pt(PTRACE_SEIZE, c, 0, OPTIONS));
  sigkill(c);
  event("killed", c);
  ret("detach", pt(PTRACE_DETACH, c, 0, 0));
  event("gone on", c);
}

static void tracer_ends(void) {
  say("# the tracer ends");
  pid_t c = child(SLEEP);
  fflush(stdout);
  pid_t tracer = fork();
  if (tracer == 0) {
    ret("seize", pt(PTRACE_SEIZE, c, 0, OPTIONS));
    sigkill(c);
    event("killed", c);
    _exit(0);
  }
  wait_say("tracer", tracer);
  event("gone on", c);
}

static void siblings(const char *name, enum what w) {
  say("# %s", name);
  pid_t c = child(w);
  pid_t t = shared[0];
  ret("seize", pt(PTRACE_SEIZE, c, 0, OPTIONS));
  ret("seize thread", pt(PTRACE_SEIZE, t, 0, OPTIONS));
  sigkill(c);
  event("thread", t);
  event("leader", c);
  go(c);
  // The leader is a zombie that waits for its thread.
  nothing("leader", c);
  go(t);
  event("thread", t);
  event("leader", c);
}

static void third(const char *name, enum what w) {
  say("# %s", name);
  pid_t c = child(w);
  pid_t t = shared[0], other = shared[1];
  ret("seize", pt(PTRACE_SEIZE, c, 0, OPTIONS));
  ret("seize thread", pt(PTRACE_SEIZE, t, 0, OPTIONS));
  ret("seize other", pt(PTRACE_SEIZE, other, 0, OPTIONS));
  shared[2] = 1;
  if (w == TERM) {
    event("other", other);
    pt(PTRACE_CONT, other, 0, SIGTERM);
  }
  if (w == EXIT_GROUP || w == TERM) event("other", other);
  if (w == EXIT_THREAD) {
    event("other", other);
    nothing("thread", t);
    go(other);
    event("other", other);
    sigkill(c);
  }
  event("thread", t);
  event("leader", c);
  look("leader", c);
  go(t);
  event("thread", t);
  go(c);
  if (w == EXEC) {
    event("other", c);
    go(c);
    event("other", c);
    go(c);
  } else if (w != EXIT_THREAD) {
    nothing("leader", c);
    go(other);
    event("other", other);
  }
  event("leader", c);
}

// execve waits until the tracer has waited for the threads that it ends.
static void held_up(const char *name, int is_killed) {
  say("# %s", name);
  pid_t c = child(EXEC);
  pid_t t = shared[0], other = shared[1];
  ret("seize thread", pt(PTRACE_SEIZE, t, 0, 0));
  shared[2] = 1;
  until_state(t, 'Z');
  until_state(other, 'D');
  if (is_killed) sigkill(c);
  event("thread", t);
  event("leader", c);
}

static void own_end(void) {
  say("# killed at its own end");
  pid_t c = child(EXIT_THREAD);
  pid_t other = shared[1];
  ret("seize other", pt(PTRACE_SEIZE, other, 0, OPTIONS));
  shared[2] = 1;
  event("other", other);
  sigkill(c);
  event("other", other);
  event("leader", c);
}

// A process is waited for after its threads, by whomever.
static void unseen_thread(void) {
  say("# a thread that its tracer has not waited for");
  pid_t c = child(WITH_SLEEPER);
  pid_t t = shared[0];
  struct pollfd p = {syscall(SYS_pidfd_open, c, 0), POLLIN, 0};
  ret("seize thread", pt(PTRACE_SEIZE, t, 0, 0));
  sigkill(c);
  until_state(t, 'Z');
  until_state(c, 'Z');
  nothing("leader", c);
  ret("poll", poll(&p, 1, 0));
  event("thread", t);
  ret("poll", poll(&p, 1, -1));
  event("leader", c);
  close(p.fd);
}

static void unseen_by_another(void) {
  say("# the same, its tracer ends");
  pid_t c = child(WITH_SLEEPER);
  fflush(stdout);
  pid_t tracer = fork();
  if (tracer == 0) {
    ret("seize thread", pt(PTRACE_SEIZE, shared[0], 0, 0));
    sigkill(c);
    until_state(shared[0], 'Z');
    until_state(c, 'Z');
    shared[2] = 1;
    for (;;) pause();
  }
  while (shared[2] == 0) sleep_ms(1);
  nothing("leader", c);
  sigkill(tracer);
  wait_say("tracer", tracer);
  event("leader", c);
}

int main(void) {
  setvbuf(stdout, 0, _IOLBF, 0);
  alarm(100);
  shared = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  killed("sleeping", SLEEP, sigkill);
  killed("running", RUN, sigkill);
  killed("PTRACE_KILL", SLEEP, kill_request);
  in_a_stop("in a stop", 0);
  in_a_stop("listening", 1);
  unwanted();
  detached();
  tracer_ends();
  siblings("two threads", WITH_SLEEPER);
  siblings("a running thread", WITH_RUNNER);
  third("exit_group of another thread", EXIT_GROUP);
  third("a fatal signal of another thread", TERM);
  third("execve of another thread", EXEC);
  third("exit of a thread, then SIGKILL", EXIT_THREAD);
  held_up("execve among tracees", 0);
  held_up("the same, killed", 1);
  own_end();
  unseen_thread();
  unseen_by_another();
  return 0;
}
