// link: -w
// Timers and clocks in their corners: errors of every call, overruns, CPU clocks of others, limits of CPU time, what only root may.
#include "guest.h"
#include <linux/capability.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/times.h>
#include <sys/timex.h>
#include <poll.h>

static volatile sig_atomic_t hits, code;
static volatile pid_t in_thread;
static void on_sig(int s, siginfo_t *si, void *u) {
  hits++, code = si->si_code, in_thread = syscall(SYS_gettid);
}

static void drop_cap(int cap) {
  struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct d[2];
  syscall(SYS_capget, &h, d);
  d[cap / 32].effective &= ~(1u << cap % 32);
  syscall(SYS_capset, &h, d);
}

static void timer_errors(void) {
  timer_t id;
  struct itimerspec ts = {{0, 0}, {0, 0}}, old;
  struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = 0};
  ret("signo 0", syscall(SYS_timer_create, 0, &ev, &id));
  ev.sigev_signo = 65, ret("signo 65", syscall(SYS_timer_create, 0, &ev, &id));
  ev.sigev_signo = SIGUSR1, ev.sigev_notify = 3, ret("notify 3", syscall(SYS_timer_create, 0, &ev, &id));
  ev.sigev_notify = SIGEV_THREAD, ok("SIGEV_THREAD raw", syscall(SYS_timer_create, 0, &ev, &id));
  ev.sigev_notify = SIGEV_THREAD_ID;
  pid_t other_process = fork();
  if (other_process == 0) for (;;) pause();
  ev._sigev_un._tid = other_process, ret("another's thread", syscall(SYS_timer_create, 0, &ev, &id));
  kill(other_process, SIGKILL), waitpid(other_process, NULL, 0);
  ev._sigev_un._tid = 0, ret("thread 0", syscall(SYS_timer_create, 0, &ev, &id));
  ev._sigev_un._tid = getpid(), ok("own thread", syscall(SYS_timer_create, 0, &ev, &id));
  ret("bad event", syscall(SYS_timer_create, 0, BAD_PTR, &id));
  ret("bad id pointer", syscall(SYS_timer_create, 0, NULL, BAD_PTR));
  ret("coarse", syscall(SYS_timer_create, CLOCK_MONOTONIC_COARSE, NULL, &id));
  ok("TAI", syscall(SYS_timer_create, CLOCK_TAI, NULL, &id));
  ok("BOOTTIME", syscall(SYS_timer_create, CLOCK_BOOTTIME, NULL, &id));
  ok("thread CPU", syscall(SYS_timer_create, CLOCK_THREAD_CPUTIME_ID, NULL, &id));
  ok("process CPU", syscall(SYS_timer_create, CLOCK_PROCESS_CPUTIME_ID, NULL, &id));
  clockid_t other;
  clock_getcpuclockid(getppid(), &other);
  ok("another process's CPU", syscall(SYS_timer_create, other, NULL, &id));
  int kid;
  ret("create", syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, &kid));
  ret("null setting", syscall(SYS_timer_settime, kid, 0, NULL, NULL));
  ret("bad setting", syscall(SYS_timer_settime, kid, 0, BAD_PTR, NULL));
  ret("bad old", syscall(SYS_timer_settime, kid, 0, &ts, BAD_PTR));
  ts.it_value.tv_nsec = -1, ret("negative", syscall(SYS_timer_settime, kid, 0, &ts, NULL));
  ts.it_value.tv_nsec = 0, ts.it_value.tv_sec = -1, ret("negative seconds", syscall(SYS_timer_settime, kid, 0, &ts, NULL));
  ts.it_value.tv_sec = 0, ts.it_interval.tv_nsec = 1000000000, ret("bad interval", syscall(SYS_timer_settime, kid, 0, &ts, NULL));
  ts.it_interval.tv_nsec = 0, ret("unknown flags", syscall(SYS_timer_settime, kid, 0x10, &ts, NULL));
  ret("bad gettime", syscall(SYS_timer_gettime, kid, BAD_PTR));
  ret("gettime nobody", syscall(SYS_timer_gettime, 12345, &ts));
  ret("overrun nobody", syscall(SYS_timer_getoverrun, 12345));
  ts.it_value.tv_sec = 1000, ts.it_interval.tv_sec = 7;
  syscall(SYS_timer_settime, kid, 0, &ts, NULL);
  ts.it_value.tv_sec = 0;
  ret("disarm", syscall(SYS_timer_settime, kid, 0, &ts, &old));
  say("old interval %ld, value near %d", old.it_interval.tv_sec, old.it_value.tv_sec >= 900);
  syscall(SYS_timer_gettime, kid, &old);
  say("disarmed: interval %ld value %ld", old.it_interval.tv_sec, old.it_value.tv_sec);
  ret("delete", syscall(SYS_timer_delete, kid));
  int first, next;
  ev.sigev_notify = SIGEV_NONE, ret("none", syscall(SYS_timer_create, CLOCK_MONOTONIC, &ev, &first));
  ev.sigev_notify = 6, ret("THREAD and THREAD_ID", syscall(SYS_timer_create, CLOCK_MONOTONIC, &ev, &next));
  ret("no such process", syscall(SYS_timer_create, (~(clockid_t)999999 << 3) | 2, NULL, &next));
  ret("null id", syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, NULL));
  ret("no clock", syscall(SYS_timer_create, 99, NULL, &next));
  ret("then", syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, &next));
  say("numbers used meanwhile: %d", next - first);
  ts = (struct itimerspec){{0, 0}, {1000000, 0}};
  syscall(SYS_timer_settime, first, 0, &ts, NULL);
  ts.it_value.tv_sec = 0, syscall(SYS_timer_settime, first, 0, &ts, NULL);
  syscall(SYS_timer_gettime, first, &old), say("disarmed, without a signal: left %d", old.it_value.tv_sec > 900000);
  pid_t p = fork();
  if (p == 0) _exit(syscall(SYS_timer_gettime, 0, &old) == -1 ? errno : 0);
  wait_say("not inherited", p);
}

// A time that is past: whoever sets it is asked first, though the first thread would take it, too.
static void *set_past(void *id) {
  struct itimerspec ts = {{0, 0}, {1, 0}};
  timer_settime(*(timer_t *)id, TIMER_ABSTIME, &ts, NULL);
  while (!hits) {}
  return (void *)(long)(in_thread == syscall(SYS_gettid));
}

static void *burn_until_hit(void *a) {
  while (!hits) {}
  return (void *)(long)(in_thread == syscall(SYS_gettid));
}

static void timer_signals(void) {
  struct sigaction sa = {.sa_sigaction = on_sig, .sa_flags = SA_SIGINFO};
  sigaction(SIGUSR1, &sa, NULL);
  timer_t id;
  struct sigevent ev = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1};
  ev._sigev_un._tid = getpid();
  struct itimerspec ts = {{0, 0}, {0, 1000000}};
  timer_create(CLOCK_MONOTONIC, &ev, &id);
  timer_settime(id, 0, &ts, NULL);
  pthread_t t;
  pthread_create(&t, NULL, burn_until_hit, NULL);
  void *mine;
  pthread_join(t, &mine);
  say("to the thread that was asked for: %d, code %d", in_thread == getpid(), code);
  hits = 0;
  // By the CPU time that is used.
  clockid_t cpu[] = {CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID};
  for (int i = 0; i < 2; i++) {
    ev.sigev_notify = SIGEV_SIGNAL;
    timer_create(cpu[i], &ev, &id);
    ts.it_value.tv_nsec = 5000000;
    timer_settime(id, 0, &ts, NULL);
    while (!hits) {}
    say("CPU timer %d: code %d", i, code), hits = 0;
    timer_delete(id);
  }
  // A moment that is past comes at once, an interval that has passed often counts.
  timer_create(CLOCK_REALTIME, &ev, &id);
  ts.it_value.tv_sec = 1, ts.it_value.tv_nsec = 0;
  timer_settime(id, TIMER_ABSTIME, &ts, NULL);
  while (!hits) pause();
  say("past: %d", hits), hits = 0;
  pthread_create(&t, NULL, set_past, &id);
  pthread_join(t, &mine);
  say("past, to the thread that sets it: %d", mine != NULL), hits = 0;
  timer_delete(id);
}

static void timerfds(void) {
  int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
  struct itimerspec ts = {{0, 0}, {0, 0}}, old;
  uint64_t n;
  ret("not armed", read(fd, &n, 8));
  ret("short", read(fd, &n, 7));
  ret("write", write(fd, &n, 8));
  ret("bad flags", timerfd_settime(fd, 8, &ts, NULL));
  ret("bad pointer", timerfd_settime(fd, 0, BAD_PTR, NULL));
  ts.it_value.tv_nsec = 1000000000, ret("bad value", timerfd_settime(fd, 0, &ts, NULL));
  ts.it_value.tv_nsec = 0, ts.it_interval.tv_nsec = -1, ret("bad interval", timerfd_settime(fd, 0, &ts, NULL));
  ret("not one", timerfd_settime(1, 0, &(struct itimerspec){}, NULL));
  ret("nobody", timerfd_settime(99, 0, &(struct itimerspec){}, NULL));
  ret("gettime of none", timerfd_gettime(1, &old));
  ret("process clock", timerfd_create(CLOCK_PROCESS_CPUTIME_ID, 0));
  ret("coarse clock", timerfd_create(CLOCK_MONOTONIC_COARSE, 0));
  ret("TAI", timerfd_create(CLOCK_TAI, 0));
  ret("create flags", timerfd_create(CLOCK_MONOTONIC, 1));
  ts.it_interval.tv_nsec = 1000000, ts.it_value.tv_nsec = 1;
  ret("periodic", timerfd_settime(fd, 0, &ts, NULL));
  struct pollfd p = {fd, POLLIN, 0};
  poll(&p, 1, -1);
  say("poll %x", p.revents);
  ret("read", read(fd, &n, 8));
  is("some", n >= 1);
  ts.it_value.tv_nsec = 0;
  ret("disarm", timerfd_settime(fd, 0, &ts, &old));
  say("interval %ld", old.it_interval.tv_nsec);
  timerfd_gettime(fd, &old);
  say("then interval %ld", old.it_interval.tv_nsec);
  ret("nothing", read(fd, &n, 8));
  int real = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK);
  ts.it_value.tv_sec = 5, ts.it_interval.tv_nsec = 0;
  ret("cancel on set", timerfd_settime(real, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &ts, NULL));
  p.fd = real;
  poll(&p, 1, -1);
  ret("of the past", read(real, &n, 8));
  say("ticks %d", (int)n);
  char text[200], path[40];
  snprintf(path, sizeof path, "/proc/self/fdinfo/%d", real);
  int info = open(path, O_RDONLY);
  text[read(info, text, sizeof text - 1)] = 0, close(info);
  say("%.19s", strstr(text, "settime"));
  ret("cancel without absolute", timerfd_settime(real, TFD_TIMER_CANCEL_ON_SET, &ts, NULL));
  ret("cancel, monotonic", timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &ts, NULL));
}

// A periodic timerfd stands still until somebody asks; then all that has come counts, from the time that was set on.
static void standing(void) {
  struct itimerspec ts = {{100000000, 0}, {0, 1}}, old;
  uint64_t n;
  char text[200], path[40];
  struct timespec now;
  for (int k = 0; k < 2; k++) {
    int fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK);
    ret("set", timerfd_settime(fd, TFD_TIMER_ABSTIME, &ts, NULL));
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    get_file(path, text, sizeof text);
    say("%.8s, %.16s", strstr(text, "ticks"), strstr(text, "it_value"));
    if (k) timerfd_gettime(fd, &old), is("it goes on", old.it_value.tv_sec > 0);
    read(fd, &n, 8), clock_gettime(CLOCK_REALTIME, &now);
    is("all that has come", n == now.tv_sec / 100000000 + 1);
    close(fd);
  }
}

static void *with_timer(void *id) {
  struct sigevent e = {.sigev_notify = SIGEV_NONE};
  struct itimerspec ts = {{7, 0}, {1000, 0}};
  syscall(SYS_timer_create, CLOCK_THREAD_CPUTIME_ID, &e, id);
  syscall(SYS_timer_settime, *(int *)id, 0, &ts, NULL);
  return NULL;
}
static void of_the_dead(void) {
  int id = -1;
  struct itimerspec ts = {{7, 0}, {1000, 0}}, old = {{9, 9}, {9, 9}};
  pthread_t th;
  pthread_create(&th, NULL, with_timer, &id), pthread_join(th, NULL);
  // Joined is a moment before it is gone.
  for (int i = 0; i < 50000 && syscall(SYS_timer_settime, id, 0, &ts, NULL) == 0; i++) usleep(100);
  ret("timer of a thread that is gone", syscall(SYS_timer_settime, id, 0, &ts, &old));
  ret("its time", syscall(SYS_timer_gettime, id, &old));
  say("%ld %ld", old.it_value.tv_sec, old.it_interval.tv_sec);
  ret("delete", syscall(SYS_timer_delete, id));
}

static void far_away(void) {
  static const int clocks[] = {CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_PROCESS_CPUTIME_ID};
  static const long times[] = {4000000001, 5000000000, 9223372035, 9223372036, 1L << 62};
  for (int c = 0; c < 3; c++)
    for (int t = 0; t < 5; t++) {
      int id = -1;
      struct sigevent e = {.sigev_notify = SIGEV_NONE};
      struct itimerspec ts = {{times[t], 0}, {times[t], 0}}, old = {0};
      syscall(SYS_timer_create, clocks[c], &e, &id);
      syscall(SYS_timer_settime, id, TIMER_ABSTIME, &ts, NULL);
      syscall(SYS_timer_gettime, id, &old);
      say("clock %d, %ld: left about %ld, interval %ld", clocks[c], times[t], (old.it_value.tv_sec + 50000000) / 1000000000, old.it_interval.tv_sec);
      syscall(SYS_timer_delete, id);
    }
}

static void alarms(void) {
  struct timespec t = {0, 1};
  ok("alarm clock", timerfd_create(CLOCK_BOOTTIME_ALARM, 0));
  drop_cap(35);
  ret("alarm clock without CAP_WAKE_ALARM", timerfd_create(CLOCK_BOOTTIME_ALARM, 0));
  ret("alarm clock without CAP_WAKE_ALARM", timerfd_create(CLOCK_REALTIME_ALARM, 0));
}

static void setting(void) {
  struct timeval tv = {1, 0};
  struct timex tx = {.modes = 0};
  struct timespec t = {1, 0};
  struct timezone tz = {0, 0};
  drop_cap(25);
  ret("settimeofday", settimeofday(&tv, NULL));
  ret("settimeofday, zone", syscall(SYS_settimeofday, NULL, &tz));
  tv.tv_usec = 1000000, ret("settimeofday, bad", settimeofday(&tv, NULL));
  ret("settimeofday, pointer", syscall(SYS_settimeofday, BAD_PTR, NULL));
  ret("clock_settime", clock_settime(CLOCK_REALTIME, &t));
  ret("clock_settime monotonic", clock_settime(CLOCK_MONOTONIC, &t));
  ret("clock_settime boottime", clock_settime(CLOCK_BOOTTIME, &t));
  ret("clock_settime cpu", clock_settime(CLOCK_PROCESS_CPUTIME_ID, &t));
  ret("clock_settime pointer", syscall(SYS_clock_settime, CLOCK_REALTIME, BAD_PTR));
  t.tv_nsec = -1, ret("clock_settime bad", clock_settime(CLOCK_REALTIME, &t));
  is("adjtimex", adjtimex(&tx) >= 0);
  tx.modes = ADJ_OFFSET, ret("adjtimex offset", adjtimex(&tx));
  tx.modes = ADJ_TICK, tx.tick = 1, ret("adjtimex tick", adjtimex(&tx));
  tx.modes = ADJ_OFFSET_SS_READ, is("adjtimex read", adjtimex(&tx) >= 0);
  tx.modes = 0, is("clock_adjtime", clock_adjtime(CLOCK_REALTIME, &tx) >= 0);
  ret("clock_adjtime monotonic", clock_adjtime(CLOCK_MONOTONIC, &tx));
  ret("clock_adjtime cpu", clock_adjtime(CLOCK_PROCESS_CPUTIME_ID, &tx));
  ret("clock_adjtime bad", clock_adjtime(77, &tx));
  ret("adjtimex pointer", syscall(SYS_adjtimex, BAD_PTR));
  ret("stime", syscall(SYS_time, BAD_PTR));
}

static void *sleeper(void *a) {
  *(pid_t *)a = syscall(SYS_gettid);
  for (;;) pause();
}

static void cpu_clocks(void) {
  struct timespec t;
  clockid_t c;
  pid_t p = fork();
  if (p == 0) for (;;) {}
  ret("of a child", clock_getcpuclockid(p, &c));
  do clock_gettime(c, &t);
  while (t.tv_sec == 0 && t.tv_nsec == 0);
  say("it runs");
  ret("resolution", clock_getres(c, &t));
  say("%ld", t.tv_nsec);
  kill(p, SIGKILL);
  waitpid(p, NULL, 0);
  ret("of the dead", clock_gettime(c, &t));
  say("of nobody: %d", clock_getcpuclockid(999999, &c));
  volatile pid_t tid = 0;
  pthread_t th;
  pthread_create(&th, NULL, sleeper, (void *)&tid);
  while (!tid) {}
  ret("of a thread", pthread_getcpuclockid(th, &c));
  ret("read", clock_gettime(c, &t));
  ret("a thread's number as a process's", clock_gettime((~(clockid_t)tid << 3) | 2, &t));
  ret("bad kind", clock_gettime((~(clockid_t)getpid() << 3) | 3, &t));
}

static void limits(void) {
  pid_t p = fork();
  if (p == 0) {
    struct rlimit l = {1, RLIM_INFINITY};
    struct sigaction sa = {.sa_sigaction = on_sig, .sa_flags = SA_SIGINFO};
    sigaction(SIGXCPU, &sa, NULL);
    setrlimit(RLIMIT_CPU, &l);
    while (!hits) {}
    say("SIGXCPU code %d", code);
    _exit(0);
  }
  wait_say("soft", p);
  p = fork();
  if (p == 0) {
    struct rlimit l = {1, 1};
    signal(SIGXCPU, SIG_IGN);
    setrlimit(RLIMIT_CPU, &l);
    for (;;) {}
  }
  wait_say("hard", p);
}

// Alarms as far as can be, in seconds of an unsigned int.
static void far_alarms(void) {
  struct itimerval it = {{1L << 62, 999999}, {1L << 62, 0}}, got;
  for (int which = 0; which < 3; which++) {
    ret("set", setitimer(which, &it, NULL));
    ret("get", getitimer(which, &got));
    // What is left of CPU timers overflows.
    if (which == ITIMER_REAL) say("%ld million seconds", (long)got.it_value.tv_sec / 1000000);
    say("then %ld.%06ld", (long)got.it_interval.tv_sec, (long)got.it_interval.tv_usec);
  }
  say("alarm: %u0 million seconds", alarm(0) / 10000000);
}

static void accounts(void) {
  struct rusage r;
  ret("times null", times(NULL) != -1);
  ret("times bad", syscall(SYS_times, BAD_PTR));
  ret("rusage thread", getrusage(RUSAGE_THREAD, &r));
  ret("rusage bad", getrusage(9, &r));
  ret("rusage pointer", syscall(SYS_getrusage, 0, BAD_PTR));
}

int main(void) {
  say("# timer errors"), timer_errors();
  say("# timer signals"), timer_signals();
  say("# timerfd"), timerfds(), standing();
  pid_t p = fork();
  if (p == 0) alarms(), _exit(0);
  wait_say("alarms", p);
  p = fork();
  if (p == 0) setting(), _exit(0);
  wait_say("setting", p);
  say("# CPU clocks"), cpu_clocks(), of_the_dead();
  say("# far away"), far_away();
  say("# alarms far away"), far_alarms();
  say("# limits"), limits();
  say("# accounts"), accounts();
  return 0;
}
