// platform: ptrace
// Breakpoints in debug registers by ptrace(2): reads, writes and execution of a tracee's, as SIGTRAP with TRAP_HWBKPT and bits of DR6
// (arch/x86/kernel/ptrace.c, hw_breakpoint.c).
#include "guest.h"
#include <linux/ptrace.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/user.h>

static long pt(long req, pid_t pid, void *addr, void *data) { return syscall(SYS_ptrace, req, pid, addr, data); }
#define N(x) ((void *)(uintptr_t)(x))
#define DR(n) N(offsetof(struct user, u_debugreg) + 8 * (n))
// DR7: enabled locally, kind (0 execution, 1 write, 3 access), length less one as the register has it (3: 4, 2: 8).
#define ON(n, kind, len) (1ul << 2 * (n) | (unsigned long)((len) << 2 | (kind)) << (16 + 4 * (n)))
enum { EXEC, WRITE, ACCESS = 3 };

static volatile long words[8] __attribute__((aligned(64)));
__attribute__((noinline)) static void called(void) { __asm__ volatile("nop"); }
__attribute__((noinline)) static void called_too(void) { __asm__ volatile("nop"); }

static unsigned long get(pid_t c, int n) {
  unsigned long v = 0x55;
  if (pt(PTRACE_PEEKUSR, c, DR(n), &v) < 0) say("peek %s", strerrorname_np(errno));
  return v;
}
static void set(const char *name, pid_t c, int n, unsigned long v) { ret(name, pt(PTRACE_POKEUSR, c, DR(n), N(v))); }

// The next stop, with signal, code, DR6, and the address if it is the one that is executed.
static int stop(const char *name, pid_t c, const void *at) {
  int st;
  siginfo_t si;
  struct user_regs_struct r;
  if (waitpid(c, &st, __WALL) != c) return say("%s: nobody", name), 0;
  if (!WIFSTOPPED(st)) return say("%s: ends %x", name, st), 0;
  pt(PTRACE_GETSIGINFO, c, 0, &si);
  pt(PTRACE_GETREGS, c, 0, &r);
  say("%s: %x code %d dr6 %lx%s%s%s", name, st, si.si_signo == SIGTRAP ? si.si_code : 0, get(c, 6), si.si_addr == N(r.rip) ? " at rip" : "",
      N(r.rip) == at ? " there" : "", r.eflags & 0x10000 ? " RF" : "");
  return 1;
}
static void go(pid_t c) { pt(PTRACE_CONT, c, 0, 0); }

static void act(void) {
  words[0] = 1;         // a write
  (void)words[0];       // a read
  ((volatile char *)words)[3] = 2;
  words[1] = 3;
  called(), called_too();
  raise(SIGSTOP);
}
static pid_t tracee(void (*fn)(void)) {
  fflush(stdout);
  pid_t c = fork();
  int st;
  if (c == 0) {
    pt(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    fn();
    _exit(0);
  }
  waitpid(c, &st, 0);
  return c;
}
static void end(pid_t c) {
  int st;
  kill(c, SIGKILL);
  while (waitpid(c, &st, __WALL) == c && WIFSTOPPED(st)) {}
}

static void data(void) {
  pid_t c = tracee(act);
  set("address", c, 0, (unsigned long)words);
  set("writes of 8", c, 7, ON(0, WRITE, 2));
  say("dr0 %d dr7 %lx", get(c, 0) == (unsigned long)words, get(c, 7));
  go(c), stop("write", c, 0), go(c), stop("write of a part", c, 0), go(c), stop("no more", c, 0);
  end(c);
  c = tracee(act);
  set("address", c, 3, (unsigned long)words), set("other", c, 1, (unsigned long)(words + 1));
  set("access of 1, writes of 2", c, 7, ON(3, ACCESS, 0) | ON(1, WRITE, 1));
  for (int i = 0; i < 4; i++) go(c), stop("access", c, 0);
  end(c);
  c = tracee(act);
  set("address", c, 2, (unsigned long)words);
  set("writes", c, 7, ON(2, WRITE, 3));
  go(c), stop("write", c, 0);
  set("elsewhere", c, 2, (unsigned long)(words + 1));
  go(c), stop("there", c, 0);
  set("off", c, 7, 0);
  go(c), stop("off", c, 0);
  end(c);
}

static void execution(void) {
  pid_t c = tracee(act);
  set("address", c, 0, (unsigned long)called), set("address", c, 1, (unsigned long)called_too);
  set("execution", c, 7, ON(0, EXEC, 0) | ON(1, EXEC, 0));
  go(c), stop("called", c, called), go(c), stop("called too", c, called_too);
  pt(PTRACE_SINGLESTEP, c, 0, 0), stop("step from it", c, 0);
  go(c), stop("raised", c, 0);
  end(c);
  c = tracee(act);
  pt(PTRACE_SINGLESTEP, c, 0, 0), stop("a step", c, 0);
  set("dr6", c, 6, 0), say("dr6 %lx", get(c, 6));
  end(c);
}

static void refusals(void) {
  pid_t c = tracee(act);
  unsigned long at = (unsigned long)words;
  set("unaligned", c, 0, at + 1), set("writes of 2", c, 7, ON(0, WRITE, 1)), say("dr7 %lx", get(c, 7));
  set("writes of 1", c, 7, ON(0, WRITE, 0));
  set("I/O", c, 7, ON(0, 2, 0)), set("execution of 2", c, 7, ON(0, EXEC, 1)), say("dr7 %lx", get(c, 7));
  set("in the kernel", c, 0, -8ul), set("last", c, 0, 0x7fffffffefff), set("behind", c, 0, 0x7ffffffff000);
  say("dr0 %lx", get(c, 0));
  set("back", c, 0, at), set("one good, one bad", c, 7, ON(0, WRITE, 2) | ON(1, 2, 0)), say("dr7 %lx", get(c, 7));
  go(c), stop("the old one", c, 0);
  set("nowhere", c, 7, ON(0, WRITE, 0) | ON(1, EXEC, 0) | ON(2, WRITE, 0) | ON(3, WRITE, 0));
  for (int n = 0; n < 4; n++) say("dr%d %d", n, get(c, n) == at);
  set("length under an address", c, 1, 0x1002), set("fits not", c, 7, ON(1, WRITE, 3)), say("dr7 %lx", get(c, 7));
  end(c);
}

static void handler(int sig, siginfo_t *si, void *context) {
  ucontext_t *uc = context;
  say("handler: %d code %d %d trap %lld", sig, si->si_code, si->si_addr == N(uc->uc_mcontext.gregs[REG_RIP]), uc->uc_mcontext.gregs[REG_TRAPNO]);
  fflush(stdout);
}
static void *other_thread(void *a) {
  words[0] = 7;
  return a;
}
static void alone(void) {
  struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
  sigaction(SIGTRAP, &sa, NULL);
  raise(SIGSTOP);
  words[0] = 1;
  called(), called();
  pthread_t t;
  pthread_create(&t, NULL, other_thread, NULL), pthread_join(t, NULL);
  pid_t pid = fork();
  if (pid == 0) words[0] = 2, called(), _exit(0);
  waitpid(pid, NULL, 0);
  words[0] = 3;
  signal(SIGTRAP, SIG_DFL);
  raise(SIGSTOP);
  words[0] = 4;
}
static void by_the_kernel(void) {
  int p[2];
  if (pipe(p) < 0 || write(p[1], (const void *)words, 8) != 8 || read(p[0], (void *)words, 8) != 8) _exit(1);
  raise(SIGSTOP);
}
static void system_calls(void) {
  pid_t c = tracee(by_the_kernel);
  set("address", c, 0, (unsigned long)words), set("access", c, 7, ON(0, ACCESS, 2));
  go(c), stop("system calls", c, 0);
  end(c);
}

// They stay when the tracer goes, and are this one thread's.
static void detached(void) {
  int st;
  pid_t c = tracee(alone);
  go(c), waitpid(c, &st, 0);
  set("address", c, 0, (unsigned long)words), set("function", c, 1, (unsigned long)called);
  set("on", c, 7, ON(0, WRITE, 2) | ON(1, EXEC, 0));
  fflush(stdout);
  ret("detach", pt(PTRACE_DETACH, c, 0, 0));
  waitpid(c, &st, WUNTRACED), say("stopped %x", st);
  kill(c, SIGCONT);
  wait_say("ends", c);
}

static void executes(void) { execl("/proc/self/exe", "x", "x", NULL); }
static void births(void) {
  pid_t c = tracee(executes);
  int st;
  set("address", c, 0, (unsigned long)words), set("on", c, 7, ON(0, WRITE, 2));
  pt(PTRACE_SETOPTIONS, c, 0, N(PTRACE_O_TRACEEXEC));
  go(c), waitpid(c, &st, 0);
  say("executed %x: %lx %lx", st, get(c, 0), get(c, 7));
  go(c), stop("new program", c, 0);
  end(c);
}

static void forks(void) {
  pid_t pid = fork();
  if (pid == 0) words[0] = 5, raise(SIGSTOP), _exit(0);
  waitpid(pid, NULL, 0);
}
static void children(void) {
  pid_t c = tracee(forks);
  int st;
  unsigned long child = 0;
  set("address", c, 0, (unsigned long)words), set("on", c, 7, ON(0, WRITE, 2));
  pt(PTRACE_SETOPTIONS, c, 0, N(PTRACE_O_TRACEFORK | PTRACE_O_EXITKILL));
  go(c), waitpid(c, &st, 0), pt(PTRACE_GETEVENTMSG, c, 0, &child);
  waitpid(child, &st, __WALL);
  say("child %lx %lx", get(child, 0), get(child, 7));
  set("address alone", child, 0, (unsigned long)words);
  go(child), stop("child", child, 0);
  end(child), end(c);
}

int main(int argc, char **argv) {
  if (argc > 1) {
    words[0] = 1;
    return 3;
  }
  data();
  execution();
  refusals();
  system_calls();
  detached();
  births();
  children();
  return 0;
}
