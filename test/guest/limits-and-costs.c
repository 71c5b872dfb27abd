// Limits, priorities and schedulers as calls see them; personalities, membarrier, times; timers that are cancelled.
#include "guest.h"
#include <linux/membarrier.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/times.h>

#define CHILD(name, ...) \
  do { \
    pid_t child_ = fork(); \
    if (child_ == 0) { \
      __VA_ARGS__; \
      _exit(0); \
    } \
    wait_say(name, child_); \
  } while (0)

static void limits(void) {
  say("# limits");
  struct rlimit r, old;
  for (int i = 0; i < 16; i++) {
    say("limit %d: get %ld", i, syscall(SYS_getrlimit, i, &r));
    say("limit %d: cur %s max", i, r.rlim_cur <= r.rlim_max ? "at most" : "beyond");
    ok("  same", setrlimit(i, &r));
    r = (struct rlimit){10, 5};
    ok("  cur beyond max", setrlimit(i, &r));
  }
  ok("no such limit", getrlimit(16, &r));
  ok("no such limit", setrlimit(-1, &r));
  ok("bad address", syscall(SYS_getrlimit, 3, BAD_PTR));
  ok("bad address", syscall(SYS_setrlimit, 3, BAD_PTR));
  ok("prlimit, bad new", syscall(SYS_prlimit64, 0, 3, BAD_PTR, NULL));
  ok("prlimit, bad old", syscall(SYS_prlimit64, 0, 3, NULL, BAD_PTR));
  ok("prlimit, nobody", syscall(SYS_prlimit64, 999999999, 3, NULL, &r));
  ok("prlimit, negative", syscall(SYS_prlimit64, -1, 3, NULL, &r));
  ok("prlimit, nothing", syscall(SYS_prlimit64, 0, 3, NULL, NULL));
  pid_t other = fork();
  if (other == 0) {
    pause();
    _exit(0);
  }
  r = (struct rlimit){100, 200};
  ok("of a child", prlimit(other, RLIMIT_NOFILE, &r, &old));
  ok("of a child", prlimit(other, RLIMIT_NOFILE, NULL, &r));
  say("%lu %lu", (long)r.rlim_cur, (long)r.rlim_max);
  CHILD("others", {
    if (setresgid(7, 7, 7) < 0 || setresuid(7, 7, 7) < 0) _exit(1);
    ok("of a process of root", prlimit(other, RLIMIT_NOFILE, NULL, &r));
    ok("of the parent", prlimit(getppid(), RLIMIT_NOFILE, &r, NULL));
    r = (struct rlimit){10, 20};
    ok("lower", setrlimit(RLIMIT_NOFILE, &r));
    r = (struct rlimit){10, 30};
    ok("raise", setrlimit(RLIMIT_NOFILE, &r));
    r = (struct rlimit){20, 20};
    ok("up to it", setrlimit(RLIMIT_NOFILE, &r));
    r = (struct rlimit){0, 0};
    ok("none", setrlimit(RLIMIT_NOFILE, &r));
    ok("open", open("/", O_RDONLY));
    ok("dup", dup(0));
    ok("fcntl", fcntl(0, F_DUPFD, 5));
    ok("dup2", dup2(0, 10));
    ok("pipe", pipe((int[2]){0, 0}));
    ok("epoll", epoll_create1(0));
    struct pollfd p[2] = {{0, 0}, {1, 0}};
    ok("poll of more", poll(p, 2, 0));
    ok("poll of nothing", poll(p, 0, 0));
  });
  CHILD("descriptors", {
    r = (struct rlimit){1UL << 40, 1UL << 40};
    ok("beyond nr_open", setrlimit(RLIMIT_NOFILE, &r));
    r = (struct rlimit){RLIM_INFINITY, RLIM_INFINITY};
    ok("infinity", setrlimit(RLIMIT_NOFILE, &r));
  });
  CHILD("processes", {
    r = (struct rlimit){0, 0};
    ok("none", setrlimit(RLIMIT_NPROC, &r));
    int pid = fork();
    if (pid == 0) _exit(0);
    ok("fork of root", pid);
    if (setresuid(4711, 4711, 4711) < 0) say("setresuid %s", strerrorname_np(errno));
    pid = fork();
    if (pid == 0) _exit(0);
    ok("fork", pid);
  });
  CHILD("file size", {
    r = (struct rlimit){100, 100};
    setrlimit(RLIMIT_FSIZE, &r);
    signal(SIGXFSZ, SIG_IGN);
    int fd = memfd_create("f", 0);
    ok("truncate to it", ftruncate(fd, 100));
    ok("truncate beyond", ftruncate(fd, 101));
    ok("allocate beyond", fallocate(fd, 0, 0, 101));
    ok("allocate, size kept", fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 101));
    ret("write across", pwrite(fd, &limits, 20, 90));
  });
  CHILD("pending signals", {
    r = (struct rlimit){0, 0};
    setrlimit(RLIMIT_SIGPENDING, &r);
    ok("timer", timer_create(CLOCK_MONOTONIC, NULL, &(timer_t){0}));
    sigset_t set;
    sigfillset(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    ok("sigqueue", sigqueue(getpid(), SIGRTMIN, (union sigval){0}));
    ok("kill", kill(getpid(), SIGRTMIN));
    ok("kill standard", kill(getpid(), SIGUSR1));
  });
  kill(other, SIGKILL);
  wait_say("other", other);
}

static void priorities(void) {
  say("# priorities");
  ret("which", syscall(SYS_getpriority, 3, 0));
  ret("nobody", syscall(SYS_getpriority, PRIO_PROCESS, 999999999));
  ret("no group", syscall(SYS_getpriority, PRIO_PGRP, 999999999));
  ret("no user", syscall(SYS_getpriority, PRIO_USER, 999999));
  ret("own", syscall(SYS_getpriority, PRIO_PROCESS, 0));
  CHILD("nice", {
    ret("set", setpriority(PRIO_PROCESS, 0, 5));
    ret("get", syscall(SYS_getpriority, PRIO_PROCESS, 0));
    ret("far", setpriority(PRIO_PROCESS, 0, 100));
    ret("get", syscall(SYS_getpriority, PRIO_PROCESS, 0));
    ret("set nobody", setpriority(PRIO_PROCESS, 999999999, 0));
    struct rlimit r = {0, 0};
    setrlimit(RLIMIT_NICE, &r);
    if (setresuid(7, 7, 7) < 0) _exit(1);
    ret("lower", setpriority(PRIO_PROCESS, 0, 10));
    ret("the same", setpriority(PRIO_PROCESS, 0, 19));
    ret("of root's", setpriority(PRIO_PROCESS, getppid(), 19));
    errno = 0;
    ret("nice", nice(-1));
  });
#define IOPRIO(class, data) ((class) << 13 | (data))
  ret("ioprio who", syscall(SYS_ioprio_get, 9, 0));
  ret("ioprio nobody", syscall(SYS_ioprio_get, 1, 999999999));
  ret("ioprio set", syscall(SYS_ioprio_set, 1, 0, IOPRIO(2, 7)));
  ret("ioprio get", syscall(SYS_ioprio_get, 1, 0));
  ret("ioprio level", syscall(SYS_ioprio_set, 1, 0, IOPRIO(2, 8)));
  ret("ioprio class", syscall(SYS_ioprio_set, 1, 0, IOPRIO(4, 0)));
  ret("ioprio none", syscall(SYS_ioprio_set, 1, 0, IOPRIO(0, 3)));
  ret("ioprio idle", syscall(SYS_ioprio_set, 1, 0, IOPRIO(3, 3)));
  ret("ioprio get", syscall(SYS_ioprio_get, 1, 0));
  ret("ioprio off", syscall(SYS_ioprio_set, 1, 0, 0));
}

struct attr {
  uint32_t size, policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime, deadline, period;
  uint32_t util_min, util_max;
};

static void schedulers(void) {
  say("# schedulers");
  struct sched_param p = {0};
  for (int policy = -1; policy < 7; policy++) {
    say("policy %d: from %d to %d", policy, sched_get_priority_min(policy), sched_get_priority_max(policy));
    say("policy %d: %s", policy, sched_setscheduler(0, policy, &p) < 0 ? strerrorname_np(errno) : "set");
    sched_setscheduler(0, 0, &p);
  }
  p.sched_priority = 1;
  ret("other with a priority", sched_setscheduler(0, SCHED_OTHER, &p));
  ret("param with a priority", sched_setparam(0, &p));
  ret("bad address", syscall(SYS_sched_setscheduler, 0, 0, NULL));
  ret("param bad address", syscall(SYS_sched_getparam, 0, NULL));
  ret("nobody", sched_getscheduler(999999999));
  ret("negative", sched_getscheduler(-1));
  CHILD("reset on fork", {
    p.sched_priority = 0;
    ret("set", sched_setscheduler(0, SCHED_BATCH | SCHED_RESET_ON_FORK, &p));
    ret("get", sched_getscheduler(0));
    CHILD("child", ret("child has", sched_getscheduler(0)));
  });
  struct attr a = {sizeof a};
  ret("getattr", syscall(SYS_sched_getattr, 0, &a, sizeof a, 0));
  say("size %u policy %u flags %lu nice %d priority %u", a.size, a.policy, (long)a.flags, a.nice, a.priority);
  ret("small", syscall(SYS_sched_getattr, 0, &a, 47, 0));
  ret("first size", syscall(SYS_sched_getattr, 0, &a, 48, 0));
  say("size %u", a.size);
  ret("large", syscall(SYS_sched_getattr, 0, &a, 5000, 0));
  ret("flags", syscall(SYS_sched_getattr, 0, &a, sizeof a, 1));
  ret("none", syscall(SYS_sched_getattr, 0, NULL, sizeof a, 0));
  a = (struct attr){48};
  ret("setattr", syscall(SYS_sched_setattr, 0, &a, 0));
  ret("setattr flags", syscall(SYS_sched_setattr, 0, &a, 1));
  a.size = 10;
  ret("setattr small", syscall(SYS_sched_setattr, 0, &a, 0));
  say("size %u", a.size);
  a.size = 0;
  ret("setattr no size", syscall(SYS_sched_setattr, 0, &a, 0));
  a = (struct attr){sizeof a, 0, 0x1000};
  ret("setattr odd flags", syscall(SYS_sched_setattr, 0, &a, 0));
  a = (struct attr){sizeof a, 6, 0, 0, 0, 10, 5, 5};
  ret("deadline beyond", syscall(SYS_sched_setattr, 0, &a, 0));
  CHILD("attr", {
    a = (struct attr){48, 0, 0, 3};
    ret("nice", syscall(SYS_sched_setattr, 0, &a, 0));
    ret("is", getpriority(PRIO_PROCESS, 0));
    a = (struct attr){48, 0, 0, 30};
    ret("far", syscall(SYS_sched_setattr, 0, &a, 0));
    ret("is", getpriority(PRIO_PROCESS, 0));
  });
  cpu_set_t set;
  unsigned char small[4];
  ret("affinity, small", syscall(SYS_sched_getaffinity, 0, 4, small));
  ret("affinity, odd", syscall(SYS_sched_getaffinity, 0, 9, &set));
  is("affinity", syscall(SYS_sched_getaffinity, 0, sizeof set, &set) > 0);
  ret("affinity, nobody", syscall(SYS_sched_getaffinity, 999999999, sizeof set, &set));
  CPU_ZERO(&set);
  ret("no processor", sched_setaffinity(0, sizeof set, &set));
  CPU_SET(1000, &set);
  ret("far processor", sched_setaffinity(0, sizeof set, &set));
  struct timespec ts;
  ret("interval", sched_rr_get_interval(0, &ts));
  ret("interval, nobody", sched_rr_get_interval(999999999, &ts));
  ret("interval, negative", sched_rr_get_interval(-1, &ts));
  ret("yield", sched_yield());
  ret("getcpu", syscall(SYS_getcpu, NULL, NULL, NULL));
  ret("getcpu, bad", syscall(SYS_getcpu, BAD_PTR, NULL, NULL));
}

static void personalities(void) {
  say("# personality");
  say("%x", personality(0xffffffff));
  static const unsigned kinds[] = {0x0040000, 0x0100000, 0x0200000, 0x0400000, 0x0800000, 0x1000000, 0x2000000, 0x4000000, 0x8000000, 0x0020000, 8, 0x123};
  for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    say("%x: was %x", kinds[i], personality(kinds[i]));
    say("  is %x", personality(0xffffffff));
    if (kinds[i] == 0x0400000) {
      char *p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      char line[200];
      FILE *f = fopen("/proc/self/maps", "r");
      while (fgets(line, sizeof line, f) != NULL) if (strtoul(line, NULL, 16) == (unsigned long)p) say("  %.4s", strchr(line, ' ') + 1);
      fclose(f);
    }
  }
  personality(0);
}

static void barriers(void) {
  say("# membarrier");
  say("query %s", syscall(SYS_membarrier, 0, 0, 0) > 0 ? "something" : "nothing");
  CHILD("registered", {
    ret("private first", syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
    ret("sync first", syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0));
    ret("register", syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0));
    ret("private", syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
    ret("sync still", syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0));
    ret("what", syscall(SYS_membarrier, 512, 0, 0));
    ret("global", syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0));
    ret("global expedited", syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0));
    ret("flags", syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 1, 0));
    ret("two at once", syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL | MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0));
    ret("unknown", syscall(SYS_membarrier, 1 << 20, 0, 0));
    ret("negative", syscall(SYS_membarrier, -1, 0, 0));
  });
}

static void usage(void) {
  say("# usage");
  struct rusage u;
  ret("self", getrusage(RUSAGE_SELF, &u));
  is("memory", u.ru_maxrss > 100);
  is("nothing else", u.ru_ixrss == 0 && u.ru_idrss == 0 && u.ru_isrss == 0 && u.ru_nswap == 0);
  is("no messages", u.ru_msgsnd == 0 && u.ru_msgrcv == 0 && u.ru_nsignals == 0);
  ret("children", getrusage(RUSAGE_CHILDREN, &u));
  ret("thread", getrusage(RUSAGE_THREAD, &u));
  ret("what", getrusage(-2, &u));
  ret("what", getrusage(2, &u));
  ret("bad", syscall(SYS_getrusage, 0, BAD_PTR));
  struct tms t;
  is("times", times(&t) != -1);
  is("times of nothing", syscall(SYS_times, NULL) != -1);
  ret("times bad", syscall(SYS_times, BAD_PTR));
  struct sysinfo i;
  ret("sysinfo", sysinfo(&i));
  is("unit", i.mem_unit >= 1 && i.totalram > 0 && i.procs > 0);
  ret("sysinfo bad", syscall(SYS_sysinfo, BAD_PTR));
}

static void timerfds(void) {
  say("# timerfd");
  int fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK), m = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  struct itimerspec far = {{0, 0}, {now.tv_sec + 1000, 0}}, rel = {{0, 0}, {1000, 0}}, off = {{0, 0}, {0, 0}}, got;
  uint64_t v;
  ret("cancel on set", timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &far, NULL));
  ret("read", read(fd, &v, 8));
  ret("relative cancel", timerfd_settime(fd, TFD_TIMER_CANCEL_ON_SET, &rel, NULL));
  ret("monotonic cancel", timerfd_settime(m, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &rel, NULL));
  ret("odd flags", timerfd_settime(fd, 4, &rel, NULL));
  ret("set", timerfd_settime(fd, 0, &rel, NULL));
  ret("get", timerfd_gettime(fd, &got));
  is("left", got.it_value.tv_sec >= 990 && got.it_value.tv_sec <= 1000);
  ret("off", timerfd_settime(fd, 0, &off, &got));
  is("old", got.it_value.tv_sec >= 990);
  uint64_t ticks = 3;
#ifndef TFD_IOC_SET_TICKS
#define TFD_IOC_SET_TICKS _IOW('T', 0, uint64_t)
#endif
  ret("set ticks", ioctl(fd, TFD_IOC_SET_TICKS, &ticks));
  ret("read", read(fd, &v, 8));
  ticks = 0;
  ret("no ticks", ioctl(fd, TFD_IOC_SET_TICKS, &ticks));
  ret("ticks bad", ioctl(fd, TFD_IOC_SET_TICKS, BAD_PTR));
  ret("another", ioctl(fd, TIOCGWINSZ, &ticks));
  struct itimerspec bad = {{0, 0}, {0, 1000000000}}, neg = {{0, 0}, {-1, 0}}, badi = {{-1, 0}, {0, 0}};
  ret("nanoseconds", timerfd_settime(fd, 0, &bad, NULL));
  ret("negative", timerfd_settime(fd, 0, &neg, NULL));
  ret("bad interval", timerfd_settime(fd, 0, &badi, NULL));
  ret("clock", timerfd_create(CLOCK_PROCESS_CPUTIME_ID, 0));
  ret("clock", timerfd_create(CLOCK_REALTIME_COARSE, 0));
  ret("clock", timerfd_create(99, 0));
  ret("flags", timerfd_create(CLOCK_REALTIME, 1));
  ok("boot time", timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC));
  ret("not one", timerfd_gettime(1, &got));
  ret("none", timerfd_gettime(999, &got));
  close(fd);
  close(m);
}

int main(void) {
  priorities();
  schedulers();
  personalities();
  barriers();
  usage();
  timerfds();
  limits();
  return 0;
}
