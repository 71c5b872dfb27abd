// Time namespaces made inside: whose clocks are offset, by how much, and what follows them (time_namespaces(7)).
#include "guest.h"
#include <linux/futex.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/sysinfo.h>
#include <sys/timerfd.h>

#define STEP 100000L // seconds, the offsets are multiples of them

static long seconds(clockid_t c) {
  struct timespec t = {0, 0};
  return clock_gettime(c, &t) == 0 ? t.tv_sec : -1;
}

static long by_call(clockid_t c) {
  struct timespec t = {0, 0};
  return syscall(SYS_clock_gettime, c, &t) == 0 ? t.tv_sec : -1;
}

static long start_mono, start_boot, start_real;

// How many times 100,000 s a clock has gone on since the start of the program.
static long leap(long now, long then) { return (now - then + STEP / 2) / STEP; }

static long uptime_file(void) {
  FILE *f = fopen("/proc/uptime", "r");
  double up = 0;
  if (fscanf(f, "%lf", &up) != 1) up = -1;
  fclose(f);
  return up;
}

static long boot_moment(void) {
  char line[20000];
  long b = -1;
  FILE *f = fopen("/proc/stat", "r");
  while (fgets(line, sizeof line, f)) sscanf(line, "btime %ld", &b);
  fclose(f);
  return b;
}

static long start_of(const char *who) {
  char path[64], line[1000];
  snprintf(path, sizeof path, "/proc/%s/stat", who);
  FILE *f = fopen(path, "r");
  char *got = fgets(line, sizeof line, f);
  fclose(f);
  if (got == NULL) return -1;
  char *p = strrchr(line, ')') + 1;
  for (int i = 0; i < 19; i++) p = strchr(p + 1, ' ');
  return atol(p) / sysconf(_SC_CLK_TCK);
}

static long first_boot_moment, first_start;

static void clocks(const char *who) {
  struct sysinfo info;
  sysinfo(&info);
  say("%s: monotonic %+ld %+ld, raw %+ld, coarse %+ld %+ld, boottime %+ld %+ld, realtime %+ld", who,
      leap(seconds(CLOCK_MONOTONIC), start_mono), leap(by_call(CLOCK_MONOTONIC), start_mono), leap(seconds(CLOCK_MONOTONIC_RAW), start_mono),
      leap(seconds(CLOCK_MONOTONIC_COARSE), start_mono), leap(by_call(CLOCK_MONOTONIC_COARSE), start_mono), leap(seconds(CLOCK_BOOTTIME), start_boot),
      leap(by_call(CLOCK_BOOTTIME), start_boot), leap(seconds(CLOCK_REALTIME), start_real));
  say("%s: uptime %+ld, sysinfo %+ld, btime %+ld, start %+ld", who, leap(uptime_file(), start_boot), leap(info.uptime, start_boot),
      leap(boot_moment(), first_boot_moment), leap(start_of("self"), first_start));
}

static long offsets(const char *name, const char *text) {
  int fd = open("/proc/self/timens_offsets", O_WRONLY);
  long r = ret(name, write(fd, text, strlen(text)));
  close(fd);
  return r;
}

static void show_offsets(const char *who) {
  char b[200] = "";
  int fd = open("/proc/self/timens_offsets", O_RDONLY);
  if (read(fd, b, sizeof b - 1) < 0) say("unreadable");
  close(fd);
  for (char *l = strtok(b, "\n"); l; l = strtok(NULL, "\n")) say("%s: %s", who, l);
}

// Are the namespace and the one of the children the same?
static void compare_links(const char *who) {
  struct stat a, b;
  char t[40] = "";
  stat("/proc/self/ns/time", &a);
  stat("/proc/self/ns/time_for_children", &b);
  if (readlink("/proc/self/ns/time_for_children", t, sizeof t - 1) < 6) say("no link");
  t[6] = 0;
  say("%s: %s, children's is %s", who, t, a.st_ino == b.st_ino ? "its own" : "another");
}

static void in_child_of(const char *name, void (*f)(const char *)) {
  pid_t p = fork();
  if (p == 0) f(name), _exit(0);
  wait_say(name, p);
}

// Absolute times are the caller's, remaining ones nobody's.
static void waits(const char *who) {
  struct timespec t, ms = {0, 1000000};
  clockid_t both[] = {CLOCK_MONOTONIC, CLOCK_BOOTTIME};
  for (int i = 0; i < 2; i++) {
    clock_gettime(both[i], &t);
    say("%s: sleep until now: %d", who, clock_nanosleep(both[i], TIMER_ABSTIME, &t, NULL));
    t.tv_sec = 1;
    say("%s: until long ago: %d", who, clock_nanosleep(both[i], TIMER_ABSTIME, &t, NULL));
    clock_gettime(both[i], &t);
    t.tv_sec += 1000;
    int fd = timerfd_create(both[i], TFD_NONBLOCK);
    struct itimerspec it = {{0, 0}, t}, left;
    ret("timerfd", timerfd_settime(fd, TFD_TIMER_ABSTIME, &it, NULL));
    timerfd_gettime(fd, &left);
    is("a thousand seconds are left", left.it_value.tv_sec > 900 && left.it_value.tv_sec <= 1000);
    clock_gettime(both[i], &it.it_value);
    fcntl(fd, F_SETFL, 0);
    timerfd_settime(fd, TFD_TIMER_ABSTIME, &it, NULL);
    uint64_t n = 0;
    ret("timerfd of now", read(fd, &n, 8));
    close(fd);
    timer_t id;
    struct sigevent none = {.sigev_notify = SIGEV_NONE};
    timer_create(both[i], &none, &id);
    it.it_value = t;
    ret("timer", timer_settime(id, TIMER_ABSTIME, &it, NULL));
    timer_gettime(id, &left);
    is("a thousand seconds are left", left.it_value.tv_sec > 900 && left.it_value.tv_sec <= 1000);
    timer_delete(id);
  }
  uint32_t word = 0;
  clock_gettime(CLOCK_MONOTONIC, &t);
  t.tv_nsec += 1000000;
  if (t.tv_nsec >= 1000000000) t.tv_nsec -= 1000000000, t.tv_sec++;
  ret("futex", syscall(SYS_futex, &word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, 0, &t, NULL, ~0));
  ret("shared futex", syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, 0, &t, NULL, ~0));
  ret("futex, relative", syscall(SYS_futex, &word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 0, &ms, NULL, 0));
  struct {
    uint64_t val, uaddr;
    uint32_t flags, reserved;
  } w = {0, (uint64_t)&word, 2, 0};
  ret("futex_waitv", syscall(449, &w, 1, 0, &t, CLOCK_MONOTONIC));
  clock_gettime(CLOCK_REALTIME, &t);
  ret("futex, wall clock", syscall(SYS_futex, &word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME | FUTEX_PRIVATE_FLAG, 0, &t, NULL, ~0));
}

static void in_there(const char *who) {
  clocks(who);
  compare_links(who);
  show_offsets(who);
  offsets("changed when somebody is inside", "monotonic 5 0\n");
  waits(who);
  in_child_of("grandchild", clocks);
}

static void bad_offsets(void) {
  offsets("nothing", "");
  offsets("word", "monotonic");
  offsets("unknown clock", "realtime 1 0\n");
  offsets("too many nanoseconds", "monotonic 1 1000000000\n");
  offsets("negative nanoseconds", "monotonic 1 -1\n");
  offsets("too far", "monotonic 9999999999 0\n");
  offsets("before the start", "monotonic -9223372036 0\n");
  offsets("far ahead", "monotonic 4611686018 0\n");
  offsets("a second that is bad", "monotonic 7 0\nboottime x 0\n");
  show_offsets("unchanged");
  offsets("by number", "1 3 5\n");
  offsets("both and more", "monotonic 4 0\nboottime 5 6\nboottime 7 8\n");
  show_offsets("both");
  offsets("negative", "boottime -3 7\n");
  show_offsets("negative");
  int fd = open("/proc/self/timens_offsets", O_RDWR);
  lseek(fd, 3, SEEK_SET);
  ret("at an offset", write(fd, "monotonic 4 0\n", 14));
  close(fd);
}

static int exec_reached(int argc, char **argv) {
  start_mono = atol(argv[2]), start_boot = atol(argv[3]), start_real = atol(argv[4]), first_boot_moment = atol(argv[5]);
  first_start = atol(argv[6]);
  clocks(argv[1]);
  compare_links(argv[1]);
  return argc != 7;
}

static void exec_self(const char *name) {
  char n[5][24];
  long v[] = {start_mono, start_boot, start_real, first_boot_moment, first_start};
  for (int i = 0; i < 5; i++) snprintf(n[i], sizeof n[i], "%ld", v[i]);
  execl("/proc/self/exe", "self", name, n[0], n[1], n[2], n[3], n[4], NULL);
  _exit(9);
}

static void vforked(void) {
  pid_t p = vfork();
  if (p == 0) {
    // Memory is shared still: so is the clock.
    long now = by_call(CLOCK_MONOTONIC) - start_mono;
    say("vfork: %+ld", (now + STEP / 2) / STEP);
    exec_self("after vfork and exec");
  }
  wait_say("vfork", p);
}

static int thread_fn(void *a) { return 0; }

static void threads(void) {
  static char stack[2][65536];
  int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
  ok("a thread of one whose children live elsewhere", clone(thread_fn, stack[1], flags, NULL));
  ok("a process with its memory", clone(thread_fn, stack[2], CLONE_VM | SIGCHLD, NULL) == -1 ? -1 : waitpid(-1, NULL, 0));
}

static void by_clone3(void) {
  struct clone_args a = {.flags = CLONE_NEWTIME, .exit_signal = SIGCHLD};
  long p = syscall(SYS_clone3, &a, sizeof a);
  if (p == 0) compare_links("clone3"), show_offsets("clone3"), offsets("of who is inside", "monotonic 1 0\n"), _exit(0);
  wait_say("clone3", p);
  a.flags = CLONE_NEWTIME | CLONE_VM;
  a.exit_signal = SIGCHLD;
  // The child ends at once, on the caller's stack.
  asm volatile("syscall\n test %%rax, %%rax\n jnz 1f\n mov $60, %%eax\n xor %%edi, %%edi\n syscall\n 1:"
               : "=a"(p)
               : "0"(SYS_clone3), "D"(&a), "S"(sizeof a)
               : "rcx", "r11", "memory");
  ok("clone3 with memory", p);
  if (p > 0) waitpid(p, NULL, 0);
}

// The offsets of others, and who may enter.
static void entering(void) {
  int to_child[2], to_parent[2];
  char c;
  if (pipe(to_child) || pipe(to_parent)) return;
  pid_t p = fork();
  if (p == 0) {
    unshare(CLONE_NEWTIME);
    offsets("of a namespace to enter", "monotonic 300000 0\nboottime 400000 0\n");
    if (write(to_parent[1], "x", 1) != 1 || read(to_child[0], &c, 1) != 1) _exit(1);
    _exit(0);
  }
  if (read(to_parent[0], &c, 1) != 1) return;
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/ns/time_for_children", p);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ret("setns of the wrong kind", setns(fd, CLONE_NEWUTS));
  int own = open("/proc/self/ns/time", O_RDONLY | O_CLOEXEC);
  pid_t q = fork();
  if (q == 0) {
    ret("setns", setns(fd, CLONE_NEWTIME));
    clocks("entered");
    compare_links("entered");
    waits("entered");
    ret("and back", setns(own, 0));
    clocks("back");
    _exit(0);
  }
  wait_say("entering", q);
  q = fork();
  if (q == 0) {
    // CAP_SYS_ADMIN in a user namespace of one's own is not enough.
    ret("user namespace", unshare(CLONE_NEWUSER));
    ret("setns without right", setns(fd, CLONE_NEWTIME));
    ret("own time namespace", unshare(CLONE_NEWTIME));
    offsets("its offsets", "boottime 100000 0\n");
    in_child_of("of the user namespace", show_offsets);
    _exit(0);
  }
  wait_say("unprivileged", q);
  q = fork();
  if (q == 0) {
    if (setresuid(65534, 65534, 65534)) _exit(1);
    ret("unshare without right", unshare(CLONE_NEWTIME));
    _exit(0);
  }
  wait_say("nobody", q);
  if (write(to_child[1], "x", 1) == 1) wait_say("owner", p);
}

int main(int argc, char **argv) {
  if (argc > 1) return exec_reached(argc, argv);
  start_mono = seconds(CLOCK_MONOTONIC), start_boot = seconds(CLOCK_BOOTTIME), start_real = seconds(CLOCK_REALTIME);
  first_boot_moment = boot_moment(), first_start = start_of("self");
  clocks("start");
  compare_links("start");
  offsets("of the first namespace", "monotonic 1 0\n");
  pid_t p = fork();
  if (p == 0) {
    ret("unshare", unshare(CLONE_NEWTIME));
    bad_offsets();
    _exit(0);
  }
  wait_say("bad offsets", p);
  ret("unshare", unshare(CLONE_NEWTIME));
  compare_links("after unshare");
  offsets("offsets", "monotonic 100000 500000000\nboottime 200000 0\n");
  clocks("who unshared");
  threads();
  vforked();
  in_child_of("child", in_there);
  p = fork();
  if (p == 0) exec_self("after fork and exec");
  wait_say("exec", p);
  by_clone3();
  entering();
  p = fork();
  if (p == 0) {
    ret("a further one", unshare(CLONE_NEWTIME));
    show_offsets("inherited");
    offsets("added", "monotonic 600000 0\n");
    in_child_of("nested", clocks);
    _exit(0);
  }
  wait_say("nested", p);
  clocks("end");
  exec_self("exec of who unshared");
}
