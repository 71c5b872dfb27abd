// CPU times of processes and threads: who is told to have used how much. All in inequalities: a busy thread has used what it says it
// has, one that waited has not, and sums never exceed their parts.
#include "guest.h"
#include <pthread.h>
#include <sys/resource.h>
#include <sys/times.h>
#include <unistd.h>

#define MS 1000000L

static long now(clockid_t c) {
  struct timespec t;
  if (clock_gettime(c, &t) != 0) return -1;
  return t.tv_sec * 1000000000L + t.tv_nsec;
}

static long of(struct timeval t) { return t.tv_sec * 1000000000L + t.tv_usec * 1000L; }

static long used(int who) {
  struct rusage r;
  if (getrusage(who, &r) != 0) return -1;
  return of(r.ru_utime) + of(r.ru_stime);
}

// Until this thread has used `ns`.
static void burn(long ns) {
  long end = now(CLOCK_THREAD_CPUTIME_ID) + ns;
  volatile unsigned x = 0;
  while (now(CLOCK_THREAD_CPUTIME_ID) < end)
    for (int i = 0; i < 20000; i++) x++;
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int stage;

static void await(int n) {
  pthread_mutex_lock(&lock);
  while (stage < n) pthread_cond_wait(&changed, &lock);
  pthread_mutex_unlock(&lock);
}

static void reach(int n) {
  pthread_mutex_lock(&lock);
  stage = n;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&lock);
}

static volatile pid_t sleeper_tid, worker_tid;

static void *sleeper(void *arg) {
  sleeper_tid = gettid();
  reach(1);
  await(4);
  long *own = arg;
  *own = now(CLOCK_THREAD_CPUTIME_ID);
  return NULL;
}

static void *worker(void *arg) {
  (void)arg;
  worker_tid = gettid();
  long before = now(CLOCK_THREAD_CPUTIME_ID), usage_before = used(RUSAGE_THREAD);
  burn(60 * MS);
  is("its clock tells its work", now(CLOCK_THREAD_CPUTIME_ID) - before >= 60 * MS);
  is("RUSAGE_THREAD tells it too", used(RUSAGE_THREAD) - usage_before >= 60 * MS - 2000);
  reach(3);
  await(4);
  return NULL;
}

static void *brief(void *arg) {
  *(long *)arg = now(CLOCK_THREAD_CPUTIME_ID);
  burn(30 * MS);
  return NULL;
}

// utime + stime of a /proc stat file in ticks, -1 without it.
static long ticks(const char *path) {
  char text[1024];
  int fd = open(path, O_RDONLY);
  if (fd < 0) return -1;
  long n = read(fd, text, sizeof text - 1);
  close(fd);
  if (n <= 0) return -1;
  text[n] = 0;
  char *p = strrchr(text, ')');
  long utime, stime;
  if (sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld", &utime, &stime) != 2) return -1;
  return utime + stime;
}

static long thread_ticks(pid_t tid) {
  char path[64];
  snprintf(path, sizeof path, "/proc/self/task/%d/stat", tid);
  return ticks(path);
}

static void threads(void) {
  pthread_t idle, busy;
  long own = 0;
  long process = now(CLOCK_PROCESS_CPUTIME_ID), self = now(CLOCK_THREAD_CPUTIME_ID);
  is("alone: thread and process are the same", process - self < 20 * MS && self - process < 20 * MS);
  pthread_create(&idle, NULL, sleeper, &own);
  await(1);
  pthread_create(&busy, NULL, worker, NULL);
  clockid_t busy_clock, idle_clock;
  ok("clock of the busy thread", pthread_getcpuclockid(busy, &busy_clock) == 0 ? 0 : -1);
  pthread_getcpuclockid(idle, &idle_clock);
  await(3);
  long b = now(busy_clock), i = now(idle_clock), m = now(CLOCK_THREAD_CPUTIME_ID);
  process = now(CLOCK_PROCESS_CPUTIME_ID);
  is("the busy thread's clock, read by another", b >= 60 * MS);
  is("the sleeping thread's clock", i >= 0 && i < b);
  is("the process has used what its threads have", process + 20 * MS >= b + i + m);
  is("and the main thread none of theirs", m < process - 40 * MS);
  struct timespec res;
  ret("resolution of a thread's clock", clock_getres(busy_clock, &res));
  is("stat of the busy thread", thread_ticks(worker_tid) >= 5);
  is("stat of the sleeping one", thread_ticks(sleeper_tid) < thread_ticks(worker_tid));
  is("stat of the process", ticks("/proc/self/stat") + 2 >= thread_ticks(worker_tid) + thread_ticks(sleeper_tid));
  reach(4);
  pthread_join(idle, NULL);
  pthread_join(busy, NULL);
  is("the sleeper about itself", own < 50 * MS);
  ret("clock of a thread that has ended", clock_gettime(busy_clock, &res));
  long least = 1000 * MS;
  for (int n = 0; n < 4; n++) {
    long start = -1;
    pthread_create(&busy, NULL, brief, &start);
    pthread_join(busy, NULL);
    if (start >= 0 && start < least) least = start;
  }
  is("the next thread begins anew", least < 25 * MS);
  is("the process keeps the ended ones'", now(CLOCK_PROCESS_CPUTIME_ID) >= 60 * MS + 4 * 30 * MS);
}

static void children(void) {
  struct rusage before, after, waited;
  struct tms t0, t1;
  getrusage(RUSAGE_CHILDREN, &before);
  times(&t0);
  pid_t pid = fork();
  if (pid == 0) {
    is("a child begins with nothing", now(CLOCK_PROCESS_CPUTIME_ID) < 150 * MS && used(RUSAGE_CHILDREN) == 0);
    pid_t grandchild = fork();
    if (grandchild == 0) {
      burn(40 * MS);
      _exit(0);
    }
    burn(40 * MS);
    waitpid(grandchild, NULL, 0);
    is("its child's time is its own child's", used(RUSAGE_CHILDREN) >= 40 * MS - 2000);
    exit(0);
  }
  siginfo_t info;
  waitid(P_PID, pid, &info, WEXITED | WNOWAIT);
  getrusage(RUSAGE_CHILDREN, &after);
  is("not before it is waited for", of(after.ru_utime) + of(after.ru_stime) == of(before.ru_utime) + of(before.ru_stime));
  clockid_t c;
  is("clock of a zombie", clock_getcpuclockid(pid, &c) != 0 || now(c) >= 40 * MS);
  wait4(pid, NULL, 0, &waited);
  is("wait4 tells child and grandchild", of(waited.ru_utime) + of(waited.ru_stime) >= 80 * MS - 4000);
  getrusage(RUSAGE_CHILDREN, &after);
  is("RUSAGE_CHILDREN has both", of(after.ru_utime) + of(after.ru_stime) >= 80 * MS - 4000);
  times(&t1);
  is("times has both", t1.tms_cutime + t1.tms_cstime - t0.tms_cutime - t0.tms_cstime >= 7);
  is("the own time does not", t1.tms_utime + t1.tms_stime - t0.tms_utime - t0.tms_stime < 60);
}

// The clock of another process.
static void others(void) {
  int go[2], told[2];
  char c = 0;
  if (pipe(go) != 0 || pipe(told) != 0) return;
  pid_t pid = fork();
  if (pid == 0) {
    close(go[1]);
    burn(50 * MS);
    if (write(told[1], &c, 1) != 1 || read(go[0], &c, 1) != 1) _exit(1);
    burn(50 * MS);
    _exit(0);
  }
  clockid_t clock;
  ret("clock_getcpuclockid", clock_getcpuclockid(pid, &clock));
  if (read(told[0], &c, 1) != 1) return;
  struct timespec later = {.tv_nsec = 20 * MS};
  long first = now(clock);
  ret("it is none of a thread of this process", clock_gettime(clock | 4, &(struct timespec){0}));
  is("another process's clock", first >= 50 * MS);
  is("stands still while it sleeps", now(clock) - first < 45 * MS);
  // A timer on it: it fires once the other has worked again.
  timer_t timer;
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigprocmask(SIG_BLOCK, &set, NULL);
  ret("timer on another's CPU time", timer_create(clock, &event, &timer));
  struct itimerspec value = {.it_value = {.tv_nsec = 30 * MS}};
  ret("armed", timer_settime(timer, 0, &value, NULL));
  ret("timer_gettime", timer_gettime(timer, &value));
  is("time left", value.it_value.tv_sec == 0 && value.it_value.tv_nsec > 0 && value.it_value.tv_nsec <= 30 * MS);
  ret("sleep on another's CPU time that ends at once", clock_nanosleep(clock, TIMER_ABSTIME, &later, NULL));
  if (write(go[1], &c, 1) != 1) return;
  ret("signal", sigwaitinfo(&set, NULL));
  is("not too early", now(clock) == -1 || now(clock) - first >= 30 * MS);
  timer_delete(timer);
  waitpid(pid, NULL, 0);
  ret("clock of a process that is gone", clock_gettime(clock, &later));
  ret("timer on it", timer_create(clock, &event, &timer));
}

static void counts(void) {
  struct rusage a, b;
  getrusage(RUSAGE_SELF, &a);
  char *p = mmap(NULL, 64 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  madvise(p, 64 * 4096, MADV_NOHUGEPAGE);
  for (int i = 0; i < 64; i++) p[i * 4096] = 1;
  getrusage(RUSAGE_SELF, &b);
  is("touched pages are minor faults", b.ru_minflt - a.ru_minflt >= 64);
  is("there is a peak of memory", b.ru_maxrss > 0);
  int fds[2];
  if (pipe(fds) != 0) return;
  pid_t pid = fork();
  if (pid == 0) {
    for (int i = 0; i < 10; i++) {
      struct timespec t = {.tv_nsec = 1 * MS};
      nanosleep(&t, NULL);
      if (write(fds[1], "", 1) != 1) _exit(1);
    }
    _exit(0);
  }
  char c;
  close(fds[1]);
  while (read(fds[0], &c, 1) == 1) {}
  waitpid(pid, NULL, 0);
  getrusage(RUSAGE_SELF, &a);
  is("waiting is switching", a.ru_nvcsw - b.ru_nvcsw >= 1);
  getrusage(RUSAGE_CHILDREN, &b);
  is("a child that slept ten times", b.ru_nvcsw >= 10);
  ret("bad who", getrusage(2, &a));
  ret("bad address", getrusage(RUSAGE_SELF, BAD_PTR));
  ret("bad address, thread", getrusage(RUSAGE_THREAD, BAD_PTR));
  ret("bad address, clock", clock_gettime(CLOCK_THREAD_CPUTIME_ID, BAD_PTR));
}

// Never back, and never more than there was.
static void bounds(void) {
  long start = now(CLOCK_PROCESS_CPUTIME_ID), wall = now(CLOCK_MONOTONIC);
  struct rusage last = {0}, r;
  int back = 0;
  for (int i = 0; i < 3000; i++) {
    getrusage(RUSAGE_SELF, &r);
    if (of(r.ru_utime) < of(last.ru_utime) || of(r.ru_stime) < of(last.ru_stime)) back++;
    last = r;
    if (i % 3 == 0) getppid();
  }
  ret("user or system time that went back", back);
  long cpu = now(CLOCK_PROCESS_CPUTIME_ID) - start;
  is("one thread uses no more than the time that passes", cpu <= now(CLOCK_MONOTONIC) - wall + 1 * MS);
  long thread = 0, t;
  for (int i = 0; i < 2000; i++) {
    t = now(CLOCK_THREAD_CPUTIME_ID);
    if (t < thread) back++;
    thread = t;
  }
  ret("a clock that went back", back);
}

static void timers_file(void) {
  timer_t t;
  struct sigevent e = {.sigev_notify = SIGEV_NONE, .sigev_signo = 5};
  e.sigev_value.sival_ptr = (void *)0x1234567890;
  ok("no timers yet", open("/proc/self/timers", O_RDONLY) < 0 ? -1 : 0);
  timer_create(CLOCK_MONOTONIC, &e, &t);
  e.sigev_notify = SIGEV_SIGNAL;
  timer_create(CLOCK_PROCESS_CPUTIME_ID, &e, &t);
  e.sigev_value.sival_int = 77;
  timer_create(CLOCK_REALTIME, &e, &t);
  FILE *f = fopen("/proc/self/timers", "r");
  char line[128], *cut;
  while (f != NULL && fgets(line, sizeof line, f) != NULL) {
    if ((cut = strstr(line, "ID: ")) == line) continue;
    if ((cut = strstr(line, "pid.")) != NULL) cut[4] = 0;
    line[strcspn(line, "\n")] = 0;
    say("%s", line);
  }
  if (f != NULL) fclose(f);
}

int main(void) {
  bounds();
  threads();
  bounds();
  children();
  others();
  counts();
  timers_file();
  return 0;
}
