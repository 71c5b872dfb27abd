// Random system calls with a seed: `fuzz SEED SECONDS [VOLUME]`.
//
// The supervisor starts workers, each a PID namespace with processes and threads that make random calls (calls.h, args.h),
// and ends each after a while. Every ROUND workers it waits for all of them, so that nothing of them should be left in the
// kernel, prints "quiet N" and waits for a byte on its standard input: whoever runs it can look for leaks. Whatever the workers do, the
// supervisor has to get its answers: it prints a line per worker, and a silence of minutes is a hang.
//
// What workers are kept from is only what would hit the supervisor: they are in namespaces of their own, under a root that is a
// small tmpfs, or without privileges on the root of the sandbox or on a volume.
#include "args.h"
#include "calls.h"
#include <errno.h>
#include <ftw.h>
#include <grp.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>

#define ROUND 24
#define AT_ONCE 3
#define WORKER_MS 1500
#define CALLS 1200
#define NAMESPACES (CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS)

static const char *self;
static int null;
static char **environment;

static long now_ms(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void tick(int s) { (void)s; }

static void seed_from(uint64_t a, uint64_t b) {
  rng = a * 0x9e3779b97f4a7c15 + b * 0xbf58476d1ce4e5b9 + 1;
  for (int i = 0; i < 4; i++) rnd();
}

static void *storm(void *arg);

static void become_another(void) {
  char *argv[] = {(char *)self, "worker", place(), NULL};
  snprintf(argv[2], 30, "%lu", rnd());
  execve(below(2) ? self : "self", argv, environment);
}

// Per cent of the cases in which a call is not made after all: what ends or paralyses everything is not made often.
static unsigned spared(int nr) {
  switch (nr) {
    case SYS_close: case SYS_kill: case SYS_tkill: case SYS_tgkill: case SYS_rt_sigqueueinfo: case SYS_rt_tgsigqueueinfo: return 70;
    case SYS_close_range: case SYS_chroot: case SYS_seccomp: return 93;
    case SYS_setitimer: case SYS_alarm: case SYS_rt_sigprocmask: case SYS_rt_sigaction: case SYS_ptrace: case SYS_prlimit64: return 85;
    default: return 0;
  }
}

static void one_call(int left) {
  unsigned dice = below(2500);
  if (dice < 8) {
    // A child goes on with calls of its own.
    if (fork() == 0) seed_from(rnd(), getpid()), storm((void *)(long)(left / 3)), _exit(below(256));
    return;
  }
  if (dice == 8) return become_another();
  if (dice == 9) return (void)syscall(SYS_exit_group, below(256));
  if (dice == 10) return (void)syscall(SYS_exit, below(256));
  if (dice == 11) return (void)syscall(SYS_rt_sigreturn);
  if (dice == 12) return (void)*(volatile char *)anything();
  if (dice == 13) {
    // Raw clone with any flags but those that share the stack.
    long f = (flags() & ~(CLONE_VM | CLONE_VFORK | 0xffL)) | SIGCHLD;
    if (syscall(SYS_clone, f, 0, place(), place(), 0) == 0) storm((void *)(long)(left / 4)), _exit(0);
    return;
  }
  if (dice == 14) return (void)syscall(below(480), anything() & 0xff, anything(), anything(), anything(), anything(), anything());
  if (dice == 15 && below(3) == 0) {
    char *at = place();
    fill_filter(at);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    syscall(SYS_seccomp, 1, below(3) ? 0 : 8, at);
    return;
  }
  const struct call *c = &calls[below(sizeof calls / sizeof *calls)];
  if (below(100) < spared(c->nr)) return;
  long a[6] = {0};
  for (int i = 0; c->args[i] != 0; i++) a[i] = argument(c->args[i]);
  // A call that is restarted for ever, or a sleep, ends with the timer's signal.
  long r = syscall(c->nr, a[0], a[1], a[2], a[3], a[4], a[5]);
  if (c->nr == SYS_io_setup && r == 0) aio_context = *(uint64_t *)a[1];
}

// Its signal ends calls that would wait for ever.
static void start_timer(void) { setitimer(ITIMER_REAL, &(struct itimerval){{0, 3000}, {0, 3000}}, NULL); }

static void *storm(void *arg) {
  sigset_t none;
  sigemptyset(&none);
  for (long left = (long)arg; left > 0; left--) {
    one_call(left);
    if (left % 64 == 0) sigprocmask(SIG_SETMASK, &none, NULL), start_timer();
  }
  return NULL;
}

static void *thread(void *arg) {
  seed_from((uint64_t)arg, 77);
  return storm((void *)(long)CALLS);
}

// The process that makes calls: memory, a few descriptors to begin with, a timer, threads.
static void work(uint64_t seed) {
  seed_from(seed, 1);
  arena = mmap(NULL, ARENA + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap(arena + ARENA, 4096);
  playground = mmap(NULL, PLAYGROUND, PROT_READ | PROT_WRITE, (below(2) ? MAP_PRIVATE : MAP_SHARED) | MAP_ANONYMOUS, -1, 0);
  for (int i = 0; i < 40; i++) fill_words(place());
  int fds[2];
  if (pipe(fds) < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0 || socketpair(AF_UNIX, SOCK_DGRAM, 0, fds) < 0) _exit(9);
  open("a", O_RDWR | O_CREAT, 0666), open(".", O_RDONLY), epoll_create1(0), open("/dev/ptmx", O_RDWR | O_NOCTTY);
  struct sigaction sa = {.sa_handler = tick};
  for (int s = 1; s < 65; s++)
    if (below(8) && s != SIGSEGV && s != SIGBUS && s != SIGILL && s != SIGFPE) sigaction(s, &sa, NULL);
  sigaction(SIGALRM, &sa, NULL);
  signal(SIGPIPE, SIG_IGN);
  start_timer();
  pthread_t t;
  for (unsigned n = below(4); n > 0; n--) pthread_create(&t, NULL, thread, (void *)rnd());
  storm((void *)CALLS);
  _exit(0);
}

static void make_tree(void) {
  int fd = open("b", O_RDWR | O_CREAT, 0666);
  if (ftruncate(fd, 9000) < 0) return;
  close(fd);
  mkdir("d", 0777), mkdir("d/e", 0777), mkdir("mnt", 0777);
  if (symlink("a", "l") < 0 || symlink("loop", "loop") < 0) return;
  mkfifo("fifo", 0666);
}

// PID 1 of the worker's namespace.
static int reaper(uint64_t seed, const char *volume) {
  seed_from(seed, 3);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  setsid();
  int kind = below(4);
  for (int i = 0; i < 3; i++) dup2(null, i);
  close_range(3, ~0U, 0);
  mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
  struct rlimit files = {200, 200}, size = {8 << 20, 8 << 20}, space = {1 << 30, 1 << 30}, core = {1 << 20, 1 << 20};
  setrlimit(RLIMIT_NOFILE, &files), setrlimit(RLIMIT_FSIZE, &size), setrlimit(RLIMIT_AS, &space);
  if (below(2)) setrlimit(RLIMIT_CORE, &core);
  if (below(4) == 0) unshare(CLONE_NEWNET);
  char dir[200];
  if (kind < 2) {
    snprintf(dir, sizeof dir, "/tmp/root");
    mkdir(dir, 0777);
    if (mount("tmpfs", dir, "tmpfs", 0, "size=24m,nr_inodes=3000") < 0 || chdir(dir) < 0) return 11;
    make_tree();
    for (const char *const *p = (const char *const[]){"proc", "dev", "tmp", "sys", "dev/pts", NULL}; *p != NULL; p++) mkdir(*p, 0777);
    close(open("self", O_CREAT | O_RDWR, 0755));
    mount(self, "self", NULL, MS_BIND, NULL);
    mount("proc", "proc", "proc", 0, NULL);
    // Nodes one by one: what a worker does to the directory is gone with it.
    for (const char *const *p = (const char *const[]){"null", "zero", "full", "urandom", "tty", NULL}; *p != NULL; p++) {
      char from[30], to[30];
      snprintf(from, sizeof from, "/dev/%s", *p), snprintf(to, sizeof to, "dev/%s", *p);
      close(open(to, O_CREAT | O_RDWR, 0666));
      mount(from, to, NULL, MS_BIND, NULL);
    }
    if (symlink("pts/ptmx", "dev/ptmx") < 0 || symlink("/proc/self/fd", "dev/fd") < 0) return 15;
    mount("devpts", "dev/pts", "devpts", 0, below(2) ? "newinstance,ptmxmode=0666" : "ptmxmode=0666");
    mount("sysfs", "sys", "sysfs", 0, NULL);
    if (chroot(".") < 0) return 12;
    self = "/self";
  } else {
    snprintf(dir, sizeof dir, "%s/%lx", kind == 2 && volume != NULL ? volume : "/tmp", seed);
    mkdir(dir, 0777);
    if (chdir(dir) < 0) return 13;
    chmod(".", 0777);
    make_tree();
  }
  if (kind >= 2 || below(3) == 0)
    if (setgroups(0, NULL) < 0 || setresgid(1000, 1000, 1000) < 0 || setresuid(1000, 1000, 1000) < 0) return 14;
  for (unsigned n = 1 + below(2); n > 0; n--) {
    uint64_t s = rnd();
    if (fork() == 0) work(s);
  }
  while (waitpid(-1, NULL, __WALL) > 0 || errno == EINTR) {}
  return 0;
}

static int start_reaper(void *arg) {
  void **a = arg;
  return reaper(*(uint64_t *)a[0], a[1]);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *w) {
  (void)st, (void)w;
  return type == FTW_DP ? rmdir(path) : unlink(path), 0;
}

struct worker {
  pid_t pid;
  uint64_t seed;
  long started;
  int killed;
};

static void clean(uint64_t seed, const char *volume) {
  char dir[200];
  for (int i = 0; i < 2; i++) {
    snprintf(dir, sizeof dir, "%s/%lx", i == 0 ? "/tmp" : volume != NULL ? volume : "/tmp", seed);
    nftw(dir, remove_one, 20, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
  }
}

int main(int argc, char **argv, char **envp) {
  static char stack[256 << 10] __attribute__((aligned(16)));
  static char exe[200];
  environment = envp;
  self = argv[0];
  if (argc == 3 && strcmp(argv[1], "worker") == 0) work(strtoull(argv[2], NULL, 10));
  if (argc < 3) return 2;
  if (readlink("/proc/self/exe", exe, sizeof exe - 1) > 0) self = exe;
  if ((null = open("/dev/null", O_RDWR)) < 0) return 5;
  if (strcmp(argv[1], "only") == 0) {
    // One worker alone, to see again what it did.
    uint64_t seed = strtoull(argv[2], NULL, 16);
    void *arg[2] = {&seed, NULL};
    pid_t pid = clone(start_reaper, stack + sizeof stack, NAMESPACES | SIGCHLD, arg);
    usleep(1000 * WORKER_MS);
    return kill(pid, SIGKILL), waitpid(pid, NULL, 0), 0;
  }
  uint64_t seed = strtoull(argv[1], NULL, 10);
  long end = now_ms() + 1000 * atol(argv[2]);
  const char *volume = argc > 3 ? argv[3] : NULL;
  struct worker workers[AT_ONCE] = {0};
  unsigned long started = 0, ended = 0, refused = 0;
  setvbuf(stdout, NULL, _IOLBF, 0);
  while (now_ms() < end) {
    for (int i = 0; i < AT_ONCE; i++) {
      struct worker *w = &workers[i];
      if (w->pid == 0 && started < ended + AT_ONCE && started % ROUND < ROUND - 1) {
        seed_from(seed, ++started);
        w->seed = rnd(), w->started = now_ms(), w->killed = 0;
        printf("start %lx\n", w->seed);
        void *arg[2] = {&w->seed, (void *)volume};
        w->pid = clone(start_reaper, stack + sizeof stack, NAMESPACES | SIGCHLD, arg);
        // The workers' processes together may reach the sandbox's limit of 400: until some of them have been ended.
        if (w->pid < 0 && errno == EAGAIN && refused++ < 6000) w->pid = 0, started--;
        else if (w->pid < 0) return printf("clone %s\n", strerrorname_np(errno)), 3;
        else refused = 0;
      }
      if (w->pid > 0 && !w->killed && now_ms() > w->started + WORKER_MS) kill(w->pid, SIGKILL), w->killed = 1;
      int status;
      if (w->pid > 0 && waitpid(w->pid, &status, WNOHANG) == w->pid) {
        printf("end %lx %x\n", w->seed, status);
        clean(w->seed, volume);
        w->pid = 0, ended++;
      }
    }
    usleep(5000);
    if (started % ROUND == ROUND - 1 && ended == started) {
      started++, ended++;
      printf("quiet %lu\n", started);
      char c;
      if (read(0, &c, 1) != 1) return 4;
    }
  }
  for (int i = 0; i < AT_ONCE; i++)
    if (workers[i].pid > 0) kill(workers[i].pid, SIGKILL), waitpid(workers[i].pid, NULL, 0), clean(workers[i].seed, volume);
  printf("done %lu\n", ended);
  return 0;
}
