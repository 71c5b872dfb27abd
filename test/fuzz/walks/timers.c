// Random walks of processes and threads with timers: timer_create with every kind of event and clock, itimers, alarm, timerfd, sleeps;
// what is inherited by clone and exec, signals that are blocked, ignored, taken by sigtimedwait or thrown away with their timer.
// Nothing depends on time that passes: timers are due at once, or so late that they never are. Times are told rounded.
#include "agents.h"
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <sys/timerfd.h>

#define BEGIN 60
#define TIMERFDS 230
#define FDS 3
#define FAR 1000000L
#define TFD_IOC_SET_TICKS _IOW('T', 0, uint64_t)
#define PR_TIMER_CREATE_RESTORE_IDS_ 77
static const int signals[] = {SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, 34, 40};
static int a_signal(void) { return signals[below(sizeof signals / sizeof *signals)]; }

static void handler(int sig, siginfo_t *si, void *context) {
  note(" [%d code %d", sig, si->si_code);
  if (si->si_code == SI_TIMER) note(" timer %d overrun %d value %d", si->si_timerid, si->si_overrun, si->si_int);
  note("]");
}
static void do_action(int sig, int how) {
  struct sigaction sa = {.sa_sigaction = how == 0 ? (void *)SIG_DFL : how == 1 ? (void *)SIG_IGN : handler, .sa_flags = SA_SIGINFO | (one_in(2) ? SA_RESTART : 0)};
  tell("sigaction(%d, %d)", sig, how), sigaction(sig, &sa, NULL);
}
static void do_mask(void) {
  uint64_t set = 0;
  int how = PICK(SIG_BLOCK, SIG_BLOCK, SIG_UNBLOCK, SIG_SETMASK);
  for (int n = 1 + below(3); n > 0; n--) set |= 1UL << (a_signal() - 1);
  tell("sigprocmask(%d, %lx)", how, set), told(sys(SYS_rt_sigprocmask, how, &set, NULL, 8));
}
static void do_take(void) {
  uint64_t set = 0;
  siginfo_t si = {0};
  struct timespec none = {0, 0};
  for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++) set |= 1UL << (signals[i] - 1);
  tell("sigtimedwait");
  if (told(sys(SYS_rt_sigtimedwait, &set, &si, &none, 8)) < 0) return;
  tell(" code %d", si.si_code);
  if (si.si_code == SI_TIMER) tell(" timer %d overrun %d value %d", si.si_timerid, si.si_overrun, si.si_int);
}

// To the next million of seconds.
static const char *rounded(struct timespec t) {
  static char texts[8][24];
  static int turn;
  char *s = texts[turn = (turn + 1) % 8];
  if (t.tv_sec >= FAR / 2 || t.tv_sec < 0) snprintf(s, 24, "%ld", (t.tv_sec + FAR / 2) / FAR * FAR);
  else snprintf(s, 24, t.tv_sec || t.tv_nsec ? "soon" : "0");
  return s;
}
static void show_time(const char *what, const struct itimerspec *t) { tell(" %s %s/%s", what, rounded(t->it_value), rounded(t->it_interval)); }
// Due at once if absolute, else late; intervals are so long that nothing comes twice.
static struct timespec a_time(int absolute) {
  switch (below(10)) {
    case 0 ... 1: return (struct timespec){0, 0};
    case 2: return (struct timespec){PICK(-1, 0, 0, 5000000000, 1L << 62), PICK(0, 1, 1000000000, -1)};
    case 3 ... 6: if (absolute) return (struct timespec){0, 1 + below(2)};
    default: return (struct timespec){(absolute ? 4000 : 1 + below(3)) * FAR, below(1000)};
  }
}
static struct timespec an_interval(void) { return (struct timespec){one_in(2) ? 0 : one_in(30) ? -1 : (1 + below(3)) * FAR, one_in(30) ? 1000000000 : 0}; }
// What is due has come when this is over.
static void a_moment(void) {
  uint64_t all = ~0UL, old;
  struct timespec t = {0, 100000};
  sys(SYS_rt_sigprocmask, SIG_BLOCK, &all, &old, 8);
  sys(SYS_nanosleep, &t, NULL);
  sys(SYS_rt_sigprocmask, SIG_SETMASK, &old, NULL, 8);
}

static int a_clock(void) {
  if (one_in(10)) return PICK(CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE, 10, 99, -1, -2, -3, -6);
  return PICK(CLOCK_REALTIME, CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_TAI, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID);
}
static void do_create(void) {
  int to = another(), id = below(10), clock = a_clock(), kind = PICK(SIGEV_SIGNAL, SIGEV_SIGNAL, SIGEV_SIGNAL, SIGEV_NONE, SIGEV_THREAD, SIGEV_THREAD_ID, SIGEV_THREAD_ID, SIGEV_THREAD_ID), none = one_in(8);
  struct sigevent e = {.sigev_notify = kind, .sigev_signo = one_in(30) ? PICK(0, 65, -1) : a_signal(), .sigev_value.sival_int = below(100)};
  if (one_in(30)) e.sigev_notify = PICK(3, 5, 6, 8, -1);
  e._sigev_un._tid = agents[to].tid;
  tell("timer_create(%d, %d %d %c)", clock, none ? -1 : e.sigev_notify, e.sigev_signo, 'A' + to);
  if (told(sys(SYS_timer_create, clock, none ? NULL : &e, &id)) == 0) tell(" %d", id);
}
// Of one that there is, mostly.
static int an_id(void) {
  struct itimerspec t;
  int id = one_in(20) ? PICK(-1, 77) : below(6);
  for (int i = 0; i < 8 && sys(SYS_timer_gettime, id, &t) < 0; i++) id = below(6);
  return id;
}
// CPU time comes in ticks, and how much of it has been used varies.
static int of_cpu_time(int id) {
  char name[20];
  snprintf(name, sizeof name, "ID: %d\n", id);
  const char *p = strstr(slurp("/proc/self/timers"), name);
  return p != NULL && atoi(field(p, "ClockID:")) < 0;
}
static void do_settime(void) {
  int id = an_id(), flags = one_in(10) ? 2 : one_in(3) ? 0 : TIMER_ABSTIME;
  struct itimerspec t = {an_interval(), a_time(flags == TIMER_ABSTIME)}, old = {0};
  if (t.it_value.tv_sec == 0 && t.it_value.tv_nsec > 0 && of_cpu_time(id)) t.it_value.tv_sec = FAR;
  tell("timer_settime(%d, %d, %ld.%ld/%ld)", id, flags, t.it_value.tv_sec, t.it_value.tv_nsec, t.it_interval.tv_sec);
  if (told(sys(SYS_timer_settime, id, flags, &t, one_in(8) ? NULL : &old)) == 0) show_time("old", &old);
  a_moment();
}
static void do_timer(void) {
  int id = an_id();
  struct itimerspec t = {0};
  switch (below(5)) {
    case 0 ... 1: tell("timer_gettime(%d)", id), told(sys(SYS_timer_gettime, id, &t)), show_time("is", &t); break;
    case 2 ... 3: tell("timer_getoverrun(%d)", id), told(sys(SYS_timer_getoverrun, id)); break;
    default: tell("timer_delete(%d)", id), told(sys(SYS_timer_delete, id));
  }
}
static struct itimerspec from_timeval(const struct itimerval *v) {
  return (struct itimerspec){{v->it_interval.tv_sec, v->it_interval.tv_usec}, {v->it_value.tv_sec, v->it_value.tv_usec}};
}
static void do_itimer(void) {
  int which = one_in(20) ? PICK(3, -1) : below(3);
  struct timespec value = a_time(0), interval = an_interval();
  struct itimerval t = {{interval.tv_sec, interval.tv_nsec}, {value.tv_sec, value.tv_nsec}}, old = {0};
  struct itimerspec shown;
  switch (below(4)) {
    case 0: tell("alarm(%ld)", value.tv_sec & 0xffffffff), tell(" %s", rounded((struct timespec){sys(SYS_alarm, value.tv_sec)})); break;
    case 1: tell("getitimer(%d)", which), told(sys(SYS_getitimer, which, &old)), shown = from_timeval(&old), show_time("is", &shown); break;
    default:
      tell("setitimer(%d, %ld.%ld/%ld)", which, t.it_value.tv_sec, t.it_value.tv_usec, t.it_interval.tv_sec);
      if (told(sys(SYS_setitimer, which, &t, &old)) == 0) shown = from_timeval(&old), show_time("old", &shown);
  }
}
static void do_timerfd(void) {
  int fd = TIMERFDS + below(FDS), flags = one_in(3) ? 0 : TFD_TIMER_ABSTIME, r;
  struct itimerspec t = {0}, old = {0};
  uint64_t ticks = 0;
  struct pollfd p = {fd, POLLIN | POLLOUT};
  char path[40];
  switch (below(9)) {
    case 0 ... 1: {
      int clock = a_clock(), how = TFD_NONBLOCK | (one_in(2) ? TFD_CLOEXEC : 0) | (one_in(20) ? 1 : 0);
      tell("timerfd_create(%d, %x)", clock, how);
      told_done(r = sys(SYS_timerfd_create, clock, how));
      if (r >= 0) sys(SYS_dup3, r, fd, how & TFD_CLOEXEC), sys(SYS_close, r), tell(" %d", fd);
      break;
    }
    case 2 ... 4:
      if (one_in(6)) flags |= TFD_TIMER_CANCEL_ON_SET;
      if (one_in(20)) flags |= 4;
      t = (struct itimerspec){an_interval(), a_time(flags & TFD_TIMER_ABSTIME)};
      tell("timerfd_settime(%d, %x, %ld.%ld/%ld)", fd, flags, t.it_value.tv_sec, t.it_value.tv_nsec, t.it_interval.tv_sec);
      if (told(sys(SYS_timerfd_settime, fd, flags, &t, one_in(8) ? NULL : &old)) == 0) show_time("old", &old);
      a_moment();
      break;
    case 5: tell("timerfd_gettime(%d)", fd), told(sys(SYS_timerfd_gettime, fd, &t)), show_time("is", &t); break;
    case 6: tell("read(%d)", fd), told(sys(SYS_read, fd, &ticks, 8)), tell(" %lu", ticks); break;
    case 7: ticks = below(3), tell("TFD_IOC_SET_TICKS(%d, %lu)", fd, ticks), told(sys(SYS_ioctl, fd, TFD_IOC_SET_TICKS, &ticks)); break;
    default:
      tell("poll(%d)", fd), told(sys(SYS_poll, &p, 1, 0)), tell(" %x", p.revents);
      snprintf(path, sizeof path, "/proc/%ld/fdinfo/%d", sys(SYS_getpid), fd);
      const char *text = slurp(path);
      int sec = 0, interval = 0;
      sscanf(field(text, "it_value:"), "(%d,", &sec), sscanf(field(text, "it_interval:"), "(%d,", &interval);
      tell(" clock %s ticks %s flags %s value %s interval %d", field(text, "clockid:"), field(text, "ticks:"), field(text, "settime flags:"), rounded((struct timespec){sec}), interval);
  }
}
static void do_sleep(void) {
  int clock = a_clock(), absolute = one_in(2);
  struct timespec t = a_time(absolute), left = {7, 7}, late = {FAR};
  if (clock == CLOCK_PROCESS_CPUTIME_ID || clock < 0) t = (struct timespec){0, absolute}, absolute = 1;
  if (one_in(3)) tell("nanosleep"), told(waits(SYS_nanosleep, &late, &left)), tell(" left %s", rounded(left));
  else {
    tell("clock_nanosleep(%d, %d, %ld.%ld)", clock, absolute, t.tv_sec, t.tv_nsec);
    told(t.tv_sec > 0 ? waits(SYS_clock_nanosleep, clock, absolute, &t, &left) : sys(SYS_clock_nanosleep, clock, absolute, &t, &left)), tell(" left %s", rounded(left));
  }
}
static void do_signal(void) {
  int to = another(), sig = one_in(20) ? SIGKILL : PICK(SIGSTOP, SIGCONT, SIGCONT, a_signal(), a_signal(), a_signal()), thread = one_in(2);
  tell("%s(%c, %d)", thread ? "tkill" : "kill", 'A' + to, sig);
  told_sent(agents[to].pid, thread ? sys(SYS_tkill, agents[to].tid, sig) : sys(SYS_kill, agents[to].pid, sig));
}
static void do_prctl(void) {
  int n = below(2);
  switch (below(4)) {
    case 0: n = PICK(0, 1, 50000, 70000), tell("slack %d", n), told(sys(SYS_prctl, PR_SET_TIMERSLACK, n)); break;
    case 1: tell("slack"), told(sys(SYS_prctl, PR_GET_TIMERSLACK)); break;
    case 2: n = PICK(0, 0, 1), tell("restore ids %d", n), told(sys(SYS_prctl, PR_TIMER_CREATE_RESTORE_IDS_, n)); break;
    default: tell("restore ids"), told(sys(SYS_prctl, PR_TIMER_CREATE_RESTORE_IDS_, 2));
  }
}

static void act(int op) {
  switch (op >= 0 ? op : below(BEGIN)) {
    case 0 ... 8: do_create(); break;
    case 9 ... 20: do_settime(); break;
    case 21 ... 26: do_timer(); break;
    case 27 ... 30: do_itimer(); break;
    case 31 ... 39: do_timerfd(); break;
    case 40 ... 42: do_sleep(); break;
    case 43 ... 45: do_action(a_signal(), PICK(0, 1, 1, 2, 2, 2)); break;
    case 46 ... 49: do_mask(); break;
    case 50 ... 51: do_take(); break;
    case 52 ... 53: do_signal(); break;
    case 54: do_prctl(); break;
    case 55 ... 57: spawn(PICK(THREAD, THREAD, THREAD, THREAD, SIGCHLD, CLONE_VM | SIGCHLD)); break;
    case 58: tell("exit"), sys(SYS_exit, 3); break;
    case 59: if (one_in(2)) execute(); else do_settime(); break;
    case BEGIN:
      for (int i = 0; i < FDS; i++) op = sys(SYS_timerfd_create, i == 0 ? CLOCK_REALTIME : i, TFD_NONBLOCK), sys(SYS_dup2, op, TIMERFDS + i), sys(SYS_close, op);
      for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++) do_action(signals[i], 2);
      for (int i = 0; i < 3; i++) do_create();
      break;
  }
}

// Its timers, without the numbers of processes.
static void one(char *to, size_t room, const char *status, const char *stat) {
  char path[40], *p = to, *end = to + room;
  if (stat[0] == 'Z' && strcmp(field(status, "\nThreads:"), "1") == 0) { // Linux keeps what was pending until it is waited for
    strcpy(to, "Z");
    return;
  }
  p += snprintf(p, end - p, "%c threads %s pending %s %s", stat[0], field(status, "\nThreads:"), field(status, "\nSigPnd:"), field(status, "\nShdPnd:"));
  snprintf(path, sizeof path, "/proc/%s/timers", field(status, "\nTgid:"));
  char *rest;
  for (char *line = strtok_r(slurp(path), "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
    char *dot = strchr(line, '.');
    if (strncmp(line, "notify:", 7) == 0 && dot != NULL) p += snprintf(p, end - p, ", %.*s %s", (int)(strchr(line, '/') - line), line, who(atoi(dot + 1)));
    else p += snprintf(p, end - p, ", %s", line);
    if (p > end) p = end;
  }
}
static void state(char *to, size_t room) { agents_state(to, room, one); }
static void step(unsigned i) { agents_step(); }
static void begin(uint64_t seed) {
  agents_begin();
  order(0, BEGIN), order(0, 55), order(0, 55);
  out("\n");
}
