// Clocks, sleeping, interval and POSIX timers: results and relations, no absolute values.
#include "guest.h"
#include <pthread.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/times.h>

static volatile sig_atomic_t hits, last_code, last_value, last_overrun;
static void on_sig(int s, siginfo_t *si, void *u) {
  (void)s, (void)u;
  hits++;
  last_code = si->si_code;
  last_value = si->si_value.sival_int;
  if (si->si_overrun > last_overrun) last_overrun = si->si_overrun;
}
static long long now(clockid_t c) {
  struct timespec t;
  syscall(SYS_clock_gettime, c, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void clocks(void) {
  struct timespec t;
  clockid_t ids[] = {0, 1, 2, 3, 4, 5, 6, 7, 11};
  for (unsigned i = 0; i < sizeof ids / sizeof *ids; i++) {
    char n[32];
    sprintf(n, "gettime %d", ids[i]);
    ret(n, syscall(SYS_clock_gettime, ids[i], &t));
    sprintf(n, "getres %d", ids[i]);
    ret(n, syscall(SYS_clock_getres, ids[i], &t));
    if (ids[i] < 5) say("  %ld.%09ld", (long)t.tv_sec, t.tv_nsec);
  }
  ret("gettime 10", syscall(SYS_clock_gettime, 10, &t));
  ret("gettime 99", syscall(SYS_clock_gettime, 99, &t));
  ret("gettime bad ptr", syscall(SYS_clock_gettime, 1, BAD_PTR));
  ret("getres null", syscall(SYS_clock_getres, 1, 0));
  long long a = now(CLOCK_MONOTONIC), b = now(CLOCK_MONOTONIC);
  is("monotonic", b >= a);
  struct timespec v;
  clock_gettime(CLOCK_REALTIME, &v);
  is("vdso and syscall agree", now(CLOCK_REALTIME) - (v.tv_sec * 1000000000LL + v.tv_nsec) < 500000000);
  is("time", labs(syscall(SYS_time, 0) - v.tv_sec) <= 1);
  struct timeval tv;
  ret("gettimeofday", syscall(SYS_gettimeofday, &tv, 0));
  is("gettimeofday value", labs(tv.tv_sec - v.tv_sec) <= 1);
  is("process cpu", now(CLOCK_PROCESS_CPUTIME_ID) > 0);
  struct timespec bad = {0, 1000000000};
  ret("settime bad", clock_settime(CLOCK_REALTIME, &bad));
  ret("settime monotonic", clock_settime(CLOCK_MONOTONIC, &v));
}

static void sleeps(void) {
  struct timespec ms10 = {0, 10000000}, bad = {0, 1000000000}, neg = {-1, 0}, rem = {9, 9};
  long long a = now(CLOCK_MONOTONIC);
  ret("nanosleep", nanosleep(&ms10, 0));
  is("slept", now(CLOCK_MONOTONIC) - a >= 10000000);
  ret("nanosleep bad", nanosleep(&bad, 0));
  ret("nanosleep negative", nanosleep(&neg, 0));
  ret("nanosleep fault", syscall(SYS_nanosleep, BAD_PTR, 0));
  ret("nanosleep null", syscall(SYS_nanosleep, 0, 0));
  ret("cpu thread clock", syscall(SYS_clock_nanosleep, 3, 0, &ms10, 0));
  ret("raw clock", syscall(SYS_clock_nanosleep, 4, 0, &ms10, 0));
  ret("unknown clock", syscall(SYS_clock_nanosleep, 55, 0, &ms10, 0));
  struct timespec abs;
  clock_gettime(CLOCK_REALTIME, &abs);
  ret("absolute past", syscall(SYS_clock_nanosleep, 0, TIMER_ABSTIME, &abs, 0));
  clock_gettime(CLOCK_MONOTONIC, &abs);
  abs.tv_nsec += 10000000;
  if (abs.tv_nsec >= 1000000000) abs.tv_nsec -= 1000000000, abs.tv_sec++;
  ret("absolute", syscall(SYS_clock_nanosleep, 1, TIMER_ABSTIME, &abs, 0));
  struct itimerval it = {{0, 0}, {0, 20000}};
  setitimer(ITIMER_REAL, &it, 0);
  struct timespec sec = {5, 0};
  hits = 0;
  ret("interrupted", nanosleep(&sec, &rem));
  is("remaining", rem.tv_sec == 4 && hits == 1);
}

static void itimers(void) {
  struct itimerval it = {{0, 5000}, {0, 5000}}, old;
  hits = 0;
  ret("setitimer", setitimer(ITIMER_REAL, &it, 0));
  while (hits < 5) pause();
  it.it_interval.tv_usec = it.it_value.tv_usec = 0;
  ret("disarm", setitimer(ITIMER_REAL, &it, &old));
  is("old interval", old.it_interval.tv_usec == 5000 && old.it_value.tv_usec > 0);
  ret("getitimer", getitimer(ITIMER_REAL, &old));
  is("disarmed", old.it_value.tv_sec == 0 && old.it_value.tv_usec == 0);
  it.it_value.tv_usec = 1000000;
  ret("bad usec", setitimer(ITIMER_REAL, &it, 0));
  ret("bad which", setitimer(7, &it, 0));
  ret("alarm", alarm(100));
  is("alarm left", alarm(0) >= 99);
  ret("alarm none", alarm(0));
  hits = 0;
  struct itimerval prof = {{0, 0}, {0, 20000}};
  ret("ITIMER_PROF", setitimer(ITIMER_PROF, &prof, 0));
  while (hits == 0) {}
  is("SIGPROF came", hits == 1);
}

static void disarmed_intervals(void) {
  static const int which[] = {ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF};
  for (int i = 0; i < 3; i++) {
    struct itimerval it = {{10, 20}, {0, 0}}, old = {{7, 7}, {7, 7}};
    setitimer(which[i], &it, NULL);
    getitimer(which[i], &old);
    say("timer %d disarmed: interval %ld.%06ld value %ld", which[i], old.it_interval.tv_sec, old.it_interval.tv_usec, old.it_value.tv_sec);
    setitimer(which[i], NULL, &old);
    say("  replaced: interval %ld.%06ld", old.it_interval.tv_sec, old.it_interval.tv_usec);
    getitimer(which[i], &old);
    say("  without a value: interval %ld.%06ld", old.it_interval.tv_sec, old.it_interval.tv_usec);
  }
}

static void posix(void) {
  timer_t id;
  struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_int = 77};
  struct itimerspec ts = {{0, 0}, {0, 10000000}}, cur;
  ret("timer_create", timer_create(CLOCK_MONOTONIC, &ev, &id));
  hits = 0;
  ret("settime", timer_settime(id, 0, &ts, 0));
  while (hits == 0) pause();
  say("code %d value %d overrun %d", (int)last_code, (int)last_value, (int)last_overrun);
  ts.it_interval.tv_nsec = 1000000;
  sigset_t s;
  sigemptyset(&s);
  sigaddset(&s, SIGRTMIN);
  sigprocmask(SIG_BLOCK, &s, 0);
  hits = 0;
  timer_settime(id, 0, &ts, 0);
  sleep_ms(60);
  ret("gettime", timer_gettime(id, &cur));
  is("interval kept", cur.it_interval.tv_nsec == 1000000);
  sigprocmask(SIG_UNBLOCK, &s, 0);
  is("overruns", last_overrun > 20);
  is("getoverrun", timer_getoverrun(id) >= 0);
  ret("delete", timer_delete(id));
  ret("delete again", syscall(SYS_timer_delete, 12345));
  ret("settime gone", syscall(SYS_timer_settime, 12345, 0, &ts, 0));
  ev.sigev_notify = 55;
  ret("bad notify", timer_create(CLOCK_MONOTONIC, &ev, &id));
  ev.sigev_notify = SIGEV_SIGNAL;
  ev.sigev_signo = 100;
  ret("bad signo", timer_create(CLOCK_MONOTONIC, &ev, &id));
  ret("bad clock", syscall(SYS_timer_create, 77, 0, &id));
  ret("raw clock", syscall(SYS_timer_create, CLOCK_MONOTONIC_RAW, 0, &id));
  ev.sigev_notify = SIGEV_NONE;
  ret("none", timer_create(CLOCK_REALTIME, &ev, &id));
  ts.it_value.tv_sec = 100;
  ret("arm none", timer_settime(id, 0, &ts, 0));
  timer_gettime(id, &cur);
  is("counts down", cur.it_value.tv_sec >= 99);
  ts.it_value.tv_nsec = 2000000000;
  ret("bad value", timer_settime(id, 0, &ts, 0));
}

// A repetition beyond the end of time: what was armed before it still comes.
static void far(void) {
  timer_t a, b;
  struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
  struct itimerspec later = {{0, 0}, {0, 50000000}}, ts = {{1L << 62, 0}, {0, 1000000}};
  sigset_t block, old;
  sigemptyset(&block);
  sigaddset(&block, SIGRTMIN);
  sigprocmask(SIG_BLOCK, &block, &old);
  ret("timer_create", timer_create(CLOCK_MONOTONIC, &ev, &a));
  ret("timer_create", timer_create(CLOCK_MONOTONIC, &ev, &b));
  hits = 0;
  ret("in 50 ms", timer_settime(a, 0, &later, 0));
  ret("in 1 ms, then never", timer_settime(b, 0, &ts, 0));
  while (hits < 2) sigsuspend(&old);
  say("hits %d", (int)hits);
  sigprocmask(SIG_SETMASK, &old, 0);
  ret("delete", timer_delete(a));
  ret("delete", timer_delete(b));
}

static void usage(void) {
  struct rusage ru;
  struct tms tm;
  volatile long x = 0;
  for (long i = 0; i < 60000000; i++) x += i;
  ret("getrusage", getrusage(RUSAGE_SELF, &ru));
  is("user time", ru.ru_utime.tv_sec * 1000000 + ru.ru_utime.tv_usec > 10000);
  ret("bad who", getrusage(5, &ru));
  is("times", times(&tm) != -1 && tm.tms_utime > 0);
  pid_t c = fork();
  if (c == 0) {
    for (long i = 0; i < 60000000; i++) x += i;
    _exit(0);
  }
  wait_say("child", c);
  getrusage(RUSAGE_CHILDREN, &ru);
  is("children time", ru.ru_utime.tv_sec * 1000000 + ru.ru_utime.tv_usec > 10000);
}

static void *burn(void *arg) {
  for (volatile long n = 0;; n++) {}
  return NULL;
}

// Sleeps that end by CPU time, of threads that use it meanwhile.
static void cpu_sleeps(void) {
  struct timespec ts = {0, 20000000}, rem = {7, 7}, then;
  clockid_t own, other;
  pthread_t t;
  say("thread: %s", strerrorname_np(-(int)syscall(SYS_clock_nanosleep, CLOCK_THREAD_CPUTIME_ID, 0, &ts, NULL) == 1 ? errno : 0));
  pthread_getcpuclockid(pthread_self(), &own);
  say("own thread by number: %s", strerrorname_np(clock_nanosleep(own, 0, &ts, NULL)));
  say("nobody: %s", strerrorname_np(clock_nanosleep((~0x3ffffffu << 3) | 2, 0, &ts, NULL)));
  pthread_create(&t, NULL, burn, NULL);
  long long before = now(CLOCK_PROCESS_CPUTIME_ID);
  say("relative: %d", clock_nanosleep(CLOCK_PROCESS_CPUTIME_ID, 0, &ts, &rem));
  is("the time was used", now(CLOCK_PROCESS_CPUTIME_ID) - before >= 20000000);
  say("rest untouched: %d", (int)rem.tv_sec);
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &then);
  then.tv_sec += then.tv_nsec >= 980000000;
  then.tv_nsec = (then.tv_nsec + 20000000) % 1000000000;
  say("absolute: %d", clock_nanosleep(CLOCK_PROCESS_CPUTIME_ID, TIMER_ABSTIME, &then, NULL));
  is("the moment is past", now(CLOCK_PROCESS_CPUTIME_ID) >= then.tv_sec * 1000000000LL + then.tv_nsec);
  then.tv_sec = 0;
  say("long ago: %d", clock_nanosleep(CLOCK_PROCESS_CPUTIME_ID, TIMER_ABSTIME, &then, NULL));
  pid_t p = fork();
  if (p == 0)
    for (volatile long n = 0;; n++) {}
  clock_getcpuclockid(p, &other);
  say("another process: %d", clock_nanosleep(other, 0, &ts, NULL));
  kill(p, SIGKILL);
  wait_say("it", p);
}

int main(void) {
  struct sigaction sa = {.sa_sigaction = on_sig, .sa_flags = SA_SIGINFO};
  sigaction(SIGALRM, &sa, 0);
  sigaction(SIGPROF, &sa, 0);
  sigaction(SIGRTMIN, &sa, 0);
  say("# clocks"), clocks();
  say("# sleeps"), sleeps();
  say("# CPU sleeps");
  pid_t sleeper = fork();
  if (sleeper == 0) cpu_sleeps(), _exit(0);
  wait_say("CPU sleeps", sleeper);
  say("# itimers"), itimers();
  disarmed_intervals();
  say("# posix"), posix();
  say("# far"), far();
  say("# usage"), usage();
  return 0;
}
