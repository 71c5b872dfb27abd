// Agents: processes and threads that make one call when they are told to and sleep otherwise, so that walks of several of them give
// the same trace each time. The walk's process tells one agent per step, waits until all sleep, stand still or are gone, and prints
// what they said. An agent's number is known from where its stack is: nothing that threads have of their own is needed for it.
// Programs define act(), which an agent does in a step, and are executed with the agent's number.
#ifndef AGENTS_H
#define AGENTS_H
#define EXECUTED
#include "walk.h"
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#define AGENTS 6
#define SHARED_FD 200
#define SHARED 0x200000000UL  // struct agent[AGENTS], then what the walk has in common
#define STACKS 0x210000000UL
#define STACK_SIZE 0x40000UL
#define ALT_SIZE 0x10000UL    // its lower end, an alternate signal stack

enum { RUNS, IDLE, WAITS };
struct agent {
  int used, tid, pid;
  volatile int at;
  int pipe[2];
  uint64_t rng;
  int op;              // what to do, -1: by chance
  int spare;           // a number for a new agent, or -1
  struct words {
    volatile int len;
    int shown;         // of the text
    char text[8192];
  } said, noted;       // noted: by handlers, whenever they come
  char last[400];      // state
};
static struct agent *const agents = (struct agent *)SHARED;
static void *const common = (void *)(SHARED + 0x40000);
static int executed_as = -1;

static inline long sys6(long n, long a, long b, long c, long d, long e, long f) {
  register long r10 asm("r10") = d, r8 asm("r8") = e, r9 asm("r9") = f;
  asm volatile("syscall" : "+a"(n) : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
  return n;
}
#define SYS_ARGS(n, a, b, c, d, e, f, ...) sys6((long)(n), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
// System calls that leave errno alone, which all threads here share.
#define sys(...) SYS_ARGS(__VA_ARGS__, 0, 0, 0, 0, 0, 0)
// One in which the agent may sleep.
#define waits(...) ({ \
  agents[me()].at = WAITS; \
  long r_ = sys(__VA_ARGS__); \
  agents[me()].at = RUNS; \
  r_; \
})

static inline int me(void) {
  unsigned long sp = (unsigned long)__builtin_frame_address(0) - STACKS;
  return sp < AGENTS * STACK_SIZE ? (int)(sp / STACK_SIZE) : executed_as;
}
static inline void add(struct words *a, const char *fmt, va_list ap) {
  int room = sizeof a->text - a->len, n = vsnprintf(a->text + a->len, room, fmt, ap);
  a->len += n < room ? n : room - 1;
}
static inline void tell(const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  add(&agents[me()].said, fmt, ap);
  va_end(ap);
}
static inline void note(const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  add(&agents[me()].noted, fmt, ap);
  va_end(ap);
}
static inline long told(long r) {
  if (r < 0 && r > -4096) tell(" = %s", strerrorname_np(-r) ? strerrorname_np(-r) : "?");
  else tell(" = %ld", r);
  return r;
}
// The result of signalling process `pid`: of the own one failures only, as it may stop or end before it can be told.
static inline long told_sent(int pid, long r) { return r < 0 || (pid > 0 && pid != sys(SYS_getpid)) ? told(r) : r; }
static inline long told_done(long r) { return told(r > 0 ? 0 : r), r; }

// A process or thread by name.
static const char *who(int tid) {
  static char names[8][4];
  static int turn;
  char *s = names[turn = (turn + 1) % 8];
  for (int i = 0; i < AGENTS; i++)
    if (agents[i].tid == tid && tid > 0) return s[0] = 'A' + i, s[1] = 0, s;
  return tid == 0 ? "0" : tid == 1 ? "init" : tid == *(int *)common ? "M" : tid < 0 ? "-" : "?";
}
static const char *whose(long r) { // what a call returned
  static char text[40];
  if (r < 0) snprintf(text, sizeof text, " = %s", strerrorname_np(-r) ? strerrorname_np(-r) : "?");
  else snprintf(text, sizeof text, " = %s", who(r));
  return text;
}
static int somebody(void) {
  int n = 0, found[AGENTS];
  for (int i = 0; i < AGENTS; i++)
    if (agents[i].used) found[n++] = i;
  return n > 0 ? found[below(n)] : 0;
}
// To another one three times in four.
static int another(void) {
  int i = somebody();
  for (int n = 0; n < 2 && i == me() && !one_in(4); n++) i = somebody();
  return i;
}

static void act(int op);
static void agent_loop(void) {
  for (struct agent *a = &agents[me()];;) {
    char c;
    a->at = IDLE;
    while (sys(SYS_read, a->pipe[0], &c, 1) != 1) {}
    a->at = RUNS;
    walk_rng = a->rng;
    act(a->op);
  }
}
static int agent_start(void *n) {
  agents[(long)n].pid = sys(SYS_getpid);
  agent_loop();
  return 0;
}
static long spawn_at(int i, unsigned long flags) {
  agents[i].used = 1, agents[i].at = RUNS, agents[i].tid = 0;
  agents[i].pid = flags & CLONE_THREAD ? sys(SYS_getpid) : 0;
  agents[i].last[0] = 0;
  long r = clone(agent_start, (void *)(STACKS + (i + 1) * STACK_SIZE), flags | CLONE_PARENT_SETTID, (void *)(long)i, &agents[i].tid);
  if (r == -1) r = -errno, agents[i].used = 0;
  return r;
}
#define THREAD (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)
static void spawn(unsigned long flags) {
  int i = agents[me()].spare;
  if (i < 0) return tell("-");
  if (flags & CLONE_VFORK) agents[me()].at = WAITS;
  tell("clone(%lx)", flags);
  long r = spawn_at(i, flags);
  agents[me()].at = RUNS;
  tell("%s", whose(r));
}
// This program again, as the same agent.
static void execute(void) {
  char n[2] = {'0' + me()};
  tell("exec");
  told(sys(SYS_execve, "/proc/self/exe", ((char *[]){"walk", n, NULL}), ((char *[]){NULL})));
}

static int map_agents(void) {
  void *a = mmap((void *)SHARED, 0x80000, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, SHARED_FD, 0);
  void *s = mmap((void *)STACKS, AGENTS * STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  return a == MAP_FAILED || s == MAP_FAILED ? -1 : 0;
}
static int executed(int argc, char **argv) {
  if (map_agents() < 0) return 99;
  executed_as = argv[1][0] - '0';
  agents[executed_as].tid = agents[executed_as].pid = sys(SYS_getpid);
  for (int i = 0; i < AGENTS; i++)
    if (i != executed_as && agents[i].tid == agents[executed_as].tid) agents[i].used = agents[i].tid = 0;
  tell(" -> ");
  agent_loop();
  return 0;
}

// The walk's own process.

static const char *status_of(const struct agent *a) {
  char path[60];
  snprintf(path, sizeof path, "/proc/%d/task/%d/status", a->pid ? a->pid : a->tid, a->tid);
  return slurp(path);
}
// 0 if there is none.
static char letter(const struct agent *a) {
  const char *text = status_of(a), *p = strstr(text, "State:\t");
  return p ? p[7] : 0;
}
static int settled(void) {
  // Who ends is a zombie before its parent has been told, but both in one critical section, which this waits for.
  sys(SYS_waitid, P_ALL, 0, NULL, WEXITED | WNOHANG | WNOWAIT | __WALL, NULL);
  for (int i = 0; i < AGENTS; i++) {
    struct agent *a = &agents[i];
    if (!a->used || a->tid == 0) continue;
    char c = letter(a);
    if (c == 'R' || ((c == 'S' || c == 'D') && a->at == RUNS)) return 0;
  }
  return 1;
}
static void settle(void) {
  struct timespec little = {0, 20000};
  for (int calm = 0, tries = 0; calm < 3; tries++) {
    calm = settled() ? calm + 1 : 0;
    clock_nanosleep(CLOCK_MONOTONIC, 0, &little, NULL);
    if (tries > 20000) {
      for (int i = 0; i < AGENTS; i++)
        if (agents[i].used) out("%c is %c and %d\n", 'A' + i, letter(&agents[i]), agents[i].at);
      out("not settled\n");
      _exit(1);
    }
  }
}
// Which of two signals comes first depends on whether the second was sent before the first was taken.
static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }
static void sort_notes(char *text) {
  static char copy[8192];
  char *rest, *notes[200], *to = text;
  int n = 0;
  strcpy(copy, text);
  for (char *p = strtok_r(copy, "]", &rest); p != NULL && n < 200; p = strtok_r(NULL, "]", &rest)) notes[n++] = p;
  qsort(notes, n, sizeof *notes, by_text);
  for (int i = 0; i < n; i++) to += sprintf(to, "%s]", notes[i]);
}
static void show(int i, struct words *a, const char *how) {
  if (a->len == a->shown) return;
  if (*how != 0) sort_notes(a->text + a->shown);
  out("\n  %c%s %.*s", 'A' + i, how, a->len - a->shown, a->text + a->shown);
  a->shown = a->len;
  if (a->len > 6000) a->len = a->shown = 0;
}
static void show_texts(void) {
  for (int i = 0; i < AGENTS; i++) show(i, &agents[i].said, ""), show(i, &agents[i].noted, " handles");
}
static void order(int i, int op) {
  agents[i].rng = rnd();
  agents[i].op = op;
  agents[i].spare = -1;
  for (int k = AGENTS - 1; k >= 0; k--)
    if (!agents[k].used) agents[i].spare = k;
  if (write(agents[i].pipe[1], "x", 1) != 1) out("cannot tell\n");
  settle();
  show_texts();
}
// The walk's process takes orphans.
static void reap(void) {
  for (int i = 0; i < AGENTS; i++) {
    struct agent *a = &agents[i];
    siginfo_t si = {0};
    if (!a->used || a->tid == 0) continue;
    if (sys(SYS_waitid, P_PID, a->tid, &si, WEXITED | WNOHANG | __WALL, 0) == 0 && si.si_pid != 0)
      out("\n  M reaps %c: %d %d", 'A' + i, si.si_code, si.si_status);
    if (letter(a) == 0) out("\n  %c is gone", 'A' + i), a->used = a->tid = 0;
  }
}
static void begin_agent(int i) {
  long pid = spawn_at(i, SIGCHLD);
  setpgid(pid, pid);
  settle();
}
static void agents_begin(void) {
  struct rlimit none = {0, 0};
  setsid(); // kill(0) reaches the whole group, in outer namespaces too
  setrlimit(RLIMIT_CORE, &none);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  signal(SIGALRM, SIG_DFL);
  int fd = memfd_create("agents", 0);
  ftruncate(fd, 0x80000);
  dup2(fd, SHARED_FD), close(fd);
  if (map_agents() < 0) out("no memory\n");
  *(int *)common = getpid();
  for (int i = 0; i < AGENTS; i++) {
    int fds[2];
    pipe(fds);
    for (int k = 0; k < 2; k++) agents[i].pipe[k] = SHARED_FD + 1 + 2 * i + k, dup2(fds[k], agents[i].pipe[k]), close(fds[k]);
  }
  begin_agent(0);
}
// Tells one that can hear it.
static void agents_step(void) {
  int n = 0, ready[AGENTS];
  for (int i = 0; i < AGENTS; i++)
    if (agents[i].used && agents[i].at == IDLE && letter(&agents[i]) == 'S') ready[n++] = i;
  if (n == 0) {
    for (int i = AGENTS - 1; i >= 0; i--)
      if (!agents[i].used) n = i + 1;
    if (n-- == 0) return;
    out("a new one"), begin_agent(n);
  } else order(ready[below(n)], -1);
  reap();
}
// Only what has changed.
static void agents_state(char *to, size_t room, void (*one)(char *, size_t, const char *status, const char *stat)) {
  static char status[4096], stat[1024];
  char now[400], path[60], *p = to;
  *p = 0;
  for (int i = 0; i < AGENTS; i++) {
    struct agent *a = &agents[i];
    if (!a->used) continue;
    snprintf(status, sizeof status, "%s", status_of(a));
    snprintf(path, sizeof path, "/proc/%d/task/%d/stat", a->pid ? a->pid : a->tid, a->tid);
    snprintf(stat, sizeof stat, "%s", slurp(path));
    one(now, sizeof now, status, strrchr(stat, ')') ? strrchr(stat, ')') + 2 : "");
    if (strcmp(now, a->last) == 0) continue;
    strcpy(a->last, now);
    p += snprintf(p, room - (p - to), "    %c: %s\n", 'A' + i, now);
  }
}
#endif
