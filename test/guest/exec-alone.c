// execve of a process that is alone in its address space: nothing of the old program stays behind. Without arguments: the cases;
// with some: what the executed program finds.
#include "guest.h"
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/ucontext.h>

#define PLACE ((char *)0x200000000000)
#define SIZE 0x10000

static char **own;

static void after(const char *name) {
  if (!strcmp(name, "nothing")) exit(0);
  unsigned char vec[SIZE / 4096];
  is("old mapping gone", mincore(PLACE, SIZE, vec) == -1 && errno == ENOMEM);
  char *p = mmap(PLACE, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  is("mapped anew", p == PLACE);
  int zero = p == PLACE;
  for (int i = 0; zero && i < SIZE; i++) zero = p[i] == 0;
  is("zeros", zero);
  struct timespec a, b;
  is("vdso", clock_gettime(CLOCK_MONOTONIC, &a) == 0 && syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &b) == 0 &&
             (a.tv_sec < b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec <= b.tv_nsec)));
  struct sigaction sa;
  is("handler reset", sigaction(SIGUSR1, NULL, &sa) == 0 && sa.sa_handler == SIG_DFL);
  is("ignored stays", sigaction(SIGUSR2, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN);
  sigset_t mask;
  sigprocmask(SIG_SETMASK, NULL, &mask);
  is("mask stays", sigismember(&mask, SIGWINCH) == 1 && sigismember(&mask, SIGUSR1) == 0);
  stack_t ss;
  is("alternate stack gone", sigaltstack(NULL, &ss) == 0 && ss.ss_flags == SS_DISABLE);
  is("close-on-exec", fcntl(100, F_GETFD) == -1 && fcntl(101, F_GETFD) == 0);
  char buf[8];
  ret("mem of before", pread(101, buf, 8, (off_t)(uintptr_t)PLACE));
  void *old = sbrk(0);
  is("break", sbrk(0x3000) == old && *(volatile char *)old == 0);
  unsigned short cw;
  unsigned mxcsr;
  __asm__ volatile("fnstcw %0\n stmxcsr %1" : "=m"(cw), "=m"(mxcsr));
  is("FP state", cw == 0x37f && (mxcsr & 0xffc0) == 0x1f80);
  struct rusage u;
  is("CPU time stays", getrusage(RUSAGE_SELF, &u) == 0 &&
             (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 + u.ru_utime.tv_usec + u.ru_stime.tv_usec >= 15000);
  struct timespec cpu;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
  is("process clock stays", cpu.tv_sec * 1000000000 + cpu.tv_nsec >= 20000000);
  // Handlers and threads' words work as in any program.
  signal(SIGUSR1, SIG_IGN);
  raise(SIGUSR1);
  pid_t p2 = fork();
  if (p2 == 0) _exit(7);
  int st;
  is("child", waitpid(p2, &st, 0) == p2 && WEXITSTATUS(st) == 7);
  exit(0);
}

static void use_cpu(void) {
  struct timespec t;
  do clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  while (t.tv_sec == 0 && t.tv_nsec < 25000000);
}

static void on_signal(int s) { (void)s; }

// Everything that must not survive, then execve.
static void prepare(void) {
  char *p = mmap(PLACE, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (p != PLACE) _exit(3);
  memset(p, 'x', SIZE);
  sbrk(0x8000);
  memset((char *)sbrk(0) - 0x8000, 'y', 0x8000);
  signal(SIGUSR1, on_signal);
  signal(SIGUSR2, SIG_IGN);
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGWINCH);
  sigprocmask(SIG_SETMASK, &mask, NULL);
  static char stack[65536];
  stack_t ss = {.ss_sp = stack, .ss_size = sizeof stack};
  sigaltstack(&ss, NULL);
  dup3(0, 100, O_CLOEXEC);
  int mem = open("/proc/self/mem", O_RDONLY);
  dup2(mem, 101);
  close(mem);
  unsigned short cw = 0x27f;
  unsigned mxcsr = 0x3f80;
  __asm__ volatile("fldcw %0\n ldmxcsr %1" ::"m"(cw), "m"(mxcsr));
  // A word that threads would wait at: calls of that kind are the process's own from now on.
  static unsigned word;
  syscall(SYS_futex, &word, 129 /* WAKE, private */, 1, NULL, NULL, 0);
  use_cpu();
}

static int run(void (*before)(void), const char *name, char *const *more) {
  fflush(stdout);
  pid_t p = fork();
  if (p == 0) {
    before();
    char *args[] = {own[0], (char *)name, NULL};
    execv("/proc/self/exe", more == NULL ? args : more);
    printf("execv: %s\n", strerrorname_np(errno));
    fflush(stdout);
    _exit(9);
  }
  int st;
  waitpid(p, &st, 0);
  return WIFEXITED(st) ? WEXITSTATUS(st) : 1000 + WTERMSIG(st);
}

static void none(void) {}

static void fails_first(void) {
  int local = 5;
  char *args[] = {"x", NULL};
  ret("missing", execv("/no/such/program", args));
  ret("directory", execv("/proc", args));
  int fd = memfd_create("bad", 0);
  char path[32];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  write(fd, "\177ELF and nothing else", 21);
  fchmod(fd, 0755);
  ret("no program", execv(path, args));
  close(fd);
  is("still here", local == 5 && getpid() > 0);
  prepare();
}

static void not_dumpable(void) { prctl(PR_SET_DUMPABLE, 0); }

static void protected_vdso(void) {
  char line[512];
  unsigned long start, end;
  prepare();
  FILE *f = fopen("/proc/self/maps", "r");
  while (fgets(line, sizeof line, f)) {
    if (strstr(line, "[vdso]") == NULL || sscanf(line, "%lx-%lx", &start, &end) != 2) continue;
    ok("protect vdso", mprotect((void *)start, end - start, PROT_READ));
  }
  fclose(f);
}

static void chain(int n) {
  char left[16], *args[] = {own[0], "chain", left, NULL};
  snprintf(left, sizeof left, "%d", n - 1);
  execv("/proc/self/exe", args);
  _exit(9);
}

int main(int argc, char **argv) {
  own = argv;
  if (argc > 2 && !strcmp(argv[1], "chain")) {
    if (atoi(argv[2]) > 0) chain(atoi(argv[2]));
    return 21;
  }
  if (argc > 2 && !strcmp(argv[1], "long")) return strlen(argv[2]) == 100000 && argv[2][99999] == 'z' ? 22 : 1;
  if (argc > 1) after(argv[1]);
  ret("after all that", run(prepare, "x", NULL));
  ret("after failures", run(fails_first, "x", NULL));
  ret("with another vdso", run(protected_vdso, "x", NULL));
  ret("not dumpable before", run(not_dumpable, "nothing", NULL));
  char *links[] = {own[0], "chain", "30", NULL};
  ret("thirty in a row", run(none, NULL, links));
  static char text[100001];
  memset(text, 'z', 100000);
  char *longer[] = {own[0], "long", text, NULL};
  ret("long argument", run(none, NULL, longer));
  return 0;
}
