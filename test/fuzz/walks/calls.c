// Random walks over nearly every system call with arguments of every kind, good ones and bad ones. Each step is a process of its own, born
// with what call-world.h has prepared, that makes a few calls: what it does to itself ends with it, files and open files remain. Printed are
// arguments, result and, where it does not vary, a digest of what was written to the memory that arguments point to.
#include "call-args.h"
#include "call-table.h"

#define CALLS 3
// A call that waits for so long, idle, waits for ever.
#define IDLE_MS 20
#define IDLE_ROUNDS 10

static int world, proc;

static void begin(uint64_t seed) {
  alarm(150);
  make_memory();
  world = seed % 3;
  make_world(world);
  proc = FIRST_FD + world_fd_count + 2;
  int fd = open("/proc", O_PATH);
  dup2(fd, proc), close(fd);
}

static void state(char *to, size_t size) { to[0] = 0; }

// What a process looks like in stat: 'S' sleeps, 'T' or 't' is stopped.
static char looks(pid_t pid) {
  char name[40], text[300], *p;
  snprintf(name, sizeof name, "%d/stat", pid);
  int fd = openat(proc, name, O_RDONLY), n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
  close(fd);
  text[n > 0 ? n : 0] = 0;
  return n > 0 && (p = strrchr(text, ')')) != NULL ? p[2] : 'R';
}

static void written(int nargs) {
  for (int i = 0; i < nargs; i++) {
    int from = 0, to = PAGE;
    while (from < PAGE && pages[i][from] == before[i][from]) from++;
    if (from == PAGE) continue;
    while (pages[i][to - 1] == before[i][to - 1]) to--;
    out(" *%d", i);
    if (volatile_output[i]) continue;
    uint32_t hash = 0;
    for (int k = from; k < to; k++) hash = hash * 31 + (unsigned char)pages[i][k];
    out("[%ld-%ld]%x", (long)(pages[i] + from - (char *)args[i]), (long)(pages[i] + to - (char *)args[i]), hash);
  }
}

// Of flags and options that would make a call tell or change too much.
static int spared(const struct call *c) {
  switch (c->nr) {
    case SYS_keyctl: return (int)args[0] == 22 || (int)args[0] == 4 && (int)args[1] < -6;
    case SYS_memfd_create: return (args[1] & 4) != 0;
    // What is let go runs on beside the walk; steps of blocks (PTRACE_SINGLEBLOCK).
    case SYS_ptrace: return args[0] == 17 && args[3] != 0 || args[0] == 33;
    // A filter that tells the host's log.
    case SYS_seccomp: return ((int)args[0] == 1 || (int)args[0] == 0) && (args[1] & 2) != 0;
    // Of all memory, the stack too.
    case SYS_madvise: return args[1] > 1L << 40;
    case SYS_mmap: return (args[3] & 0x40000) != 0;
    case SYS_shmget: return (args[2] & 04000) != 0;
    default: return 0;
  }
}

// Requests about a tracee: now and then it is one.
static void seize(void) {
  if ((int)args[1] != stopped || one_in(3)) return;
  int status, options = PICK(0, 0, 1, 0x40, 0x7f, 0x10, 0x80);
  long r = syscall(SYS_ptrace, 0x4206, stopped, 0, options);
  out(" seized %#x", options), done(r);
  if (r == 0 && waitpid(stopped, &status, __WALL) == stopped) out(" %x", status);
}

// A tracee that goes on stops or ends.
static void wait_for_tracee(void) {
  int status;
  switch (args[0]) {
    case 7: case 8: case 9: case 24: case 31: case 32:
      if (waitpid(stopped, &status, __WALL) == stopped) out(" then %x", status);
  }
}

static void one_call(unsigned i) {
  const struct call *c = &calls[below(sizeof calls / sizeof *calls)];
  const char *kinds = c->args + (c->args[0] == '?');
  int nargs = strlen(kinds);
  out("%s(", c->name);
  memset(volatile_output, 0, sizeof volatile_output), memset(args, 0, sizeof args);
  for (int k = 0; k < PAGES; k++) memset(pages[k], 0xa5, PAGE);
  for (int k = 0; k < nargs; k++) {
    if (k > 0) out(", ");
    args[k] = argument(kinds[k], k);
  }
  out(")");
  if (spared(c)) { out(" spared"); return; }
  // Who wins, a timer of a few microseconds or the next line?
  if (c->nr == SYS_setitimer) signal(SIGALRM, SIG_IGN), signal(SIGVTALRM, SIG_IGN), signal(SIGPROF, SIG_IGN);
  if (c->nr == SYS_ptrace) seize();
  for (int k = 0; k < PAGES; k++) memcpy(before[k], pages[k], PAGE);
  errno = 0;
  long r = c->nr == SYS_clone3 ? raw_clone3(args[0], args[1]) : syscall(c->nr, args[0], args[1], args[2], args[3], args[4], args[5]);
  if (c->args[0] == '?' || r > 0x10000 || r < -1) done(r);
  else result(r);
  if (c->nr == SYS_ptrace && r == 0) wait_for_tracee();
  // How much of a structure is written before the end of the memory is nobody's business.
  if (r >= 0 || errno != EFAULT) written(nargs);
}

static void step(unsigned i) {
  pid_t pid = fork();
  if (pid == 0) {
    setpgid(0, 0);
    for (int k = 0; k < CALLS; k++) {
      if (k > 0) out("\n%u: ", i);
      one_call(i);
    }
    _exit(0);
  }
  sigset_t child;
  sigemptyset(&child), sigaddset(&child, SIGCHLD), sigprocmask(SIG_BLOCK, &child, NULL);
  for (int status, idle = 0, len = -1;;) {
    if (waitpid(pid, &status, WNOHANG | WUNTRACED) == pid) {
      if (WIFEXITED(status)) break;
      if (WIFSIGNALED(status)) { out(" ends: %d", WTERMSIG(status)); break; }
      if (WIFSTOPPED(status)) { out(" stops: %d", WSTOPSIG(status)), kill(pid, SIGKILL), waitpid(pid, NULL, 0); break; }
    }
    sigtimedwait(&child, NULL, &(struct timespec){0, IDLE_MS * 1000000});
    if (looks(pid) != 'S' || len != walk_log->len) idle = 0, len = walk_log->len;
    else if (++idle == IDLE_ROUNDS) { out(" waits"), kill(pid, SIGKILL), waitpid(pid, NULL, 0); break; }
  }
}
