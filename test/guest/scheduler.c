// Scheduling policies: sched_setscheduler, sched_setattr, sched_getattr and what fork makes of them. Without CAP_SYS_NICE, which
// not every machine gives.
#include "guest.h"
#include <linux/capability.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define RESET_ON_FORK 1
#define KEEP_POLICY 8
#define KEEP_PARAMS 0x10
#define DEADLINE 6

struct attr {
  unsigned size, policy;
  unsigned long flags;
  int nice;
  unsigned priority;
  unsigned long runtime, deadline, period;
  unsigned util_min, util_max;
  unsigned more[4];
};

static struct attr a;
static long set(void) { return syscall(SYS_sched_setattr, 0, &a, 0); }
static void prepare(unsigned policy, unsigned long flags, int nice, unsigned priority) {
  memset(&a, 0, sizeof a);
  a.size = 48, a.policy = policy, a.flags = flags, a.nice = nice, a.priority = priority;
}
static void try(const char *name, unsigned policy, unsigned long flags, int nice, unsigned priority) {
  prepare(policy, flags, nice, priority);
  ret(name, set());
}
static void show(const char *name) {
  memset(&a, 0xee, sizeof a);
  ret(name, syscall(SYS_sched_getattr, 0, &a, 48, 0));
  // Newer kernels tell the slice of fair tasks as their runtime.
  say("size %u, policy %u, flags %lx, nice %d, priority %u, %lu %lu", a.size, a.policy, a.flags, a.nice, a.priority, a.deadline, a.period);
}
static void deadline(const char *name, unsigned long runtime, unsigned long dl, unsigned long period) {
  prepare(DEADLINE, 0, 0, 0);
  a.runtime = runtime, a.deadline = dl, a.period = period;
  ret(name, set());
}

static void drop_nice(void) {
  struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct d[2];
  syscall(SYS_capget, &h, d);
  d[0].effective &= ~(1u << CAP_SYS_NICE), d[0].permitted &= ~(1u << CAP_SYS_NICE);
  syscall(SYS_capset, &h, d);
  struct rlimit none = {0, 0};
  setrlimit(RLIMIT_RTPRIO, &none);
  setrlimit(RLIMIT_NICE, &none);
}

static void sizes(void) {
  long page = sysconf(_SC_PAGESIZE);
  char *two = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  mprotect(two + page, page, PROT_NONE);
  ret("no attr", syscall(SYS_sched_setattr, 0, NULL, 0));
  ret("bad attr", syscall(SYS_sched_setattr, 0, BAD_PTR, 0));
  ret("flags", syscall(SYS_sched_setattr, 0, &a, 1));
  ret("negative", syscall(SYS_sched_setattr, -1, &a, 0));
  prepare(SCHED_OTHER, 0, 0, 0);
  ret("nobody", syscall(SYS_sched_setattr, 999999, &a, 0));
  a.size = 0;
  ret("size 0", set());
  a.size = 47;
  ret("size 47", set());
  say("told %u", a.size);
  a.size = 4097;
  ret("size 4097", set());
  a.size = sizeof a;
  ret("larger, zeros", set());
  a.size = sizeof a, a.more[3] = 1;
  ret("larger, not zeros", set());
  say("told %u", a.size);
  struct attr *last = (struct attr *)(two + page - 48);
  last->size = 48;
  ret("at the end", syscall(SYS_sched_setattr, 0, last, 0));
  last->size = 56;
  ret("over the end", syscall(SYS_sched_setattr, 0, last, 0));
  ret("get no attr", syscall(SYS_sched_getattr, 0, NULL, 48, 0));
  ret("get bad attr", syscall(SYS_sched_getattr, 0, BAD_PTR, 48, 0));
  ret("get 47", syscall(SYS_sched_getattr, 0, &a, 47, 0));
  ret("get flags", syscall(SYS_sched_getattr, 0, &a, 48, 1));
  ret("get nobody", syscall(SYS_sched_getattr, 999999, &a, 48, 0));
  ret("get 56", syscall(SYS_sched_getattr, 0, &a, 56, 0));
  say("size %u", a.size);
  ret("get 64", syscall(SYS_sched_getattr, 0, &a, 64, 0));
  say("size %u", a.size);
}

static void policies(void) {
  show("at first");
  try("unknown", 4, 0, 0, 0);
  try("negative", -1, 0, 0, 0);
  try("unknown flag", SCHED_OTHER, 0x80, 0, 0);
  try("high flag", SCHED_OTHER, 1ul << 40, 0, 0);
  try("with priority", SCHED_OTHER, 0, 0, 1);
  try("fifo without", SCHED_FIFO, 0, 0, 0);
  try("fifo 100", SCHED_FIFO, 0, 0, 100);
  try("fifo 1", SCHED_FIFO, 0, 0, 1);
  try("rr 99", SCHED_RR, 0, 0, 99);
  try("nice 5", SCHED_OTHER, 0, 5, 0);
  show("nice 5");
  try("nice 4", SCHED_OTHER, 0, 4, 0);
  try("batch, nice 100", SCHED_BATCH, 0, 100, 0);
  show("batch");
  try("keep policy", SCHED_OTHER, KEEP_POLICY, 19, 0);
  try("keep parameters", SCHED_OTHER, KEEP_PARAMS, 3, 0);
  show("other");
  try("keep both", SCHED_FIFO, KEEP_POLICY | KEEP_PARAMS, 0, 0);
  deadline("deadline", 10000000, 30000000, 30000000);
  deadline("no deadline", 10000000, 0, 30000000);
  deadline("runtime of 1023", 1023, 30000000, 30000000);
  deadline("runtime beyond deadline", 30000001, 30000000, 0);
  deadline("deadline beyond period", 10000000, 30000000, 20000000);
  deadline("short period", 10000, 99999, 0);
  deadline("long period", 10000000, 10000000, 4194304001);
  deadline("huge period", 10000000, 10000000, 1ul << 63);
  struct sched_param p = {1};
  ret("setscheduler fifo", sched_setscheduler(0, SCHED_FIFO, &p));
  ret("setscheduler deadline", sched_setscheduler(0, DEADLINE, &p));
  p.sched_priority = 0;
  ret("setscheduler deadline, 0", sched_setscheduler(0, DEADLINE, &p));
  ret("setscheduler reset", sched_setscheduler(0, SCHED_BATCH | RESET_ON_FORK << 30, &p));
  show("reset");
  pid_t c = fork();
  if (c == 0) {
    show("child");
    _exit(0);
  }
  waitpid(c, NULL, 0);
  ret("setparam", sched_setparam(0, &p));
  p.sched_priority = 1;
  ret("setparam 1", sched_setparam(0, &p));
  p.sched_priority = -1;
  ret("setparam -1", sched_setparam(0, &p));
  try("no reset", SCHED_BATCH, 0, 19, 0);
  try("reset again", SCHED_BATCH, RESET_ON_FORK, 19, 0);
  try("idle", SCHED_IDLE, RESET_ON_FORK, 0, 0);
  show("idle");
  try("from idle", SCHED_OTHER, RESET_ON_FORK, 19, 0);
  show("from idle");
  struct timespec ts;
  ret("max", sched_get_priority_max(DEADLINE)), ret("interval", sched_rr_get_interval(0, &ts));
}

// With the capability where there is one.
static void privileged(void) {
  prepare(DEADLINE, 0, 0, 0);
  a.runtime = 1000000, a.deadline = 300000000, a.period = 0;
  if (set() == 0) {
    memset(&a, 0, sizeof a);
    syscall(SYS_sched_getattr, 0, &a, 48, 0);
    is("told back", a.policy == DEADLINE && a.runtime == 1000000 && a.deadline == 300000000);
    is("fork", fork() == -1 && errno == EAGAIN);
    prepare(SCHED_FIFO, RESET_ON_FORK, 0, 3);
    is("fifo", set() == 0);
    pid_t c = fork();
    if (c == 0) _exit(sched_getscheduler(0));
    int status = -1;
    waitpid(c, &status, 0);
    is("a child's policy", status == 0);
    prepare(SCHED_OTHER, 0, 0, 0);
    is("back", set() == 0);
  } else {
    is("told back", 1), is("fork", 1), is("fifo", 1), is("a child's policy", 1), is("back", 1);
  }
}

// Of those with capabilities that the caller lacks nobody of the same user changes the scheduling (cap_safe_nice).
static void stronger(void) {
  struct { unsigned version; int pid; } h = {0x20080522, 0};
  struct { unsigned effective, permitted, inheritable; } d[2];
  struct sched_param sp = {0};
  cpu_set_t set;
  pid_t parent = getpid();
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    ret("ioprio_get of a child", syscall(SYS_ioprio_get, 1, 0));
    syscall(SYS_capget, &h, d);
    d[0].effective &= ~(1u << 23), d[0].permitted &= ~(1u << 23) & ~1u;
    d[0].effective &= d[0].permitted;
    ret("capset", syscall(SYS_capset, &h, d));
    sched_getaffinity(0, sizeof set, &set);
    ret("setpriority", setpriority(PRIO_PROCESS, parent, 1));
    ret("ioprio_set", syscall(SYS_ioprio_set, 1, parent, 2 << 13 | 5));
    ret("sched_setscheduler", sched_setscheduler(parent, SCHED_OTHER, &sp));
    ret("sched_setaffinity", sched_setaffinity(parent, sizeof set, &set));
    ret("setpriority of itself", setpriority(PRIO_PROCESS, 0, 1));
    ret("ioprio_set of itself", syscall(SYS_ioprio_set, 1, 0, 2 << 13 | 5));
    exit(0);
  }
  wait_say("the weaker one", pid);
}

static void io_classes(void) {
  static const int values[] = {8, 2 << 13 | 3, 0};
  for (int i = 0; i < 3; i++) {
    ret("ioprio_set", syscall(SYS_ioprio_set, 1, 0, values[i]));
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) _exit((syscall(SYS_ioprio_get, 1, 0) & 0xff) + (syscall(SYS_ioprio_get, 1, 0) >> 13));
    wait_say("a child's", pid);
  }
}

int main(void) {
  setpriority(PRIO_PROCESS, 0, 0);
  privileged();
  drop_nice();
  sizes();
  policies();
  stronger();
  io_classes();
  return 0;
}
