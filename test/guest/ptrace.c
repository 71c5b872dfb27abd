// ptrace(2): stops, registers, memory, events, seizing.
#include "guest.h"
#include <linux/ptrace.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/uio.h>
#include <sys/user.h>

// <sys/ptrace.h> and <linux/ptrace.h> exclude each other.
static long pt(long req, pid_t pid, void *addr, void *data) { return syscall(SYS_ptrace, req, pid, addr, data); }
#define N(x) ((void *)(uintptr_t)(x))

static const char *status_text(int st) {
  static char b[64];
  if (WIFEXITED(st)) sprintf(b, "exit %d", WEXITSTATUS(st));
  else if (WIFSIGNALED(st)) sprintf(b, "killed %d", WTERMSIG(st));
  else if (WIFSTOPPED(st)) sprintf(b, "stop %d%s event %d", WSTOPSIG(st) & 0x7f, WSTOPSIG(st) & 0x80 ? "+80" : "", st >> 16);
  else sprintf(b, "other %x", st);
  return b;
}
static int wait_for(const char *name, pid_t pid) {
  int st = 0;
  pid_t r = waitpid(pid, &st, __WALL);
  if (r != pid) say("%s: waitpid %s", name, r < 0 ? strerrorname_np(errno) : "other");
  else say("%s: %s", name, status_text(st));
  return st;
}
static void siginfo(const char *name, pid_t pid) {
  siginfo_t si;
  if (pt(PTRACE_GETSIGINFO, pid, 0, &si) < 0) say("%s: siginfo %s", name, strerrorname_np(errno));
  else say("%s: signo %d code %x own pid %d", name, si.si_signo, si.si_code, si.si_pid == pid);
}
static volatile long word = 5;
static volatile int handled;
static void on_signal(int s) { handled += s; }

static pid_t traced(void (*f)(void)) {
  fflush(stdout);
  pid_t c = fork();
  if (c == 0) {
    pt(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    f();
    _exit(9);
  }
  return c;
}

static void errors(void) {
  ret("no such process", pt(PTRACE_ATTACH, 0x3ffff0, 0, 0));
  ret("self", pt(PTRACE_ATTACH, getpid(), 0, 0));
  ret("parent", pt(PTRACE_CONT, getppid(), 0, 0));
  ret("seize options", pt(PTRACE_SEIZE, 0x3ffff0, 0, N(1u << 30)));
  ret("seize addr", pt(PTRACE_SEIZE, 0x3ffff0, N(8), 0));
  pid_t c = fork();
  if (c == 0) {
    ret("traceme", pt(PTRACE_TRACEME, 0, 0, 0));
    ret("traceme again", pt(PTRACE_TRACEME, 0, 0, 0));
    for (;;) pause();
  }
  until_state(c, 'S');
  ret("running tracee", pt(PTRACE_CONT, c, 0, 0));
  ret("peek running", pt(PTRACE_PEEKDATA, c, (void *)&word, (void *)&word));
  kill(c, SIGKILL);
  wait_for("killed", c);
  ret("dead tracee", pt(PTRACE_CONT, c, 0, 0));
}

static void do_signals(void) {
  signal(SIGUSR1, on_signal);
  signal(SIGUSR2, SIG_IGN);
  raise(SIGUSR1); // suppressed
  raise(SIGUSR1); // delivered
  raise(SIGUSR2); // ignored, but seen
  raise(SIGHUP);  // becomes SIGUSR1
  raise(SIGTERM); // suppressed
  _exit(handled == 2 * SIGUSR1 ? 3 : handled);
}
static void signals(void) {
  pid_t c = traced(do_signals);
  wait_for("stop", c);
  siginfo("stop", c);
  ret("bad signal", pt(PTRACE_CONT, c, 0, N(65)));
  ret("bad request", pt(0x777, c, 0, 0));
  ret("not seized", pt(PTRACE_INTERRUPT, c, 0, 0));
  ret("listen", pt(PTRACE_LISTEN, c, 0, 0));
  static const int pass[] = {0, 0, SIGUSR1, SIGUSR2, SIGUSR1, 0};
  for (int i = 0; i < 6; i++) {
    pt(PTRACE_CONT, c, 0, N(pass[i]));
    int st = wait_for("signal", c);
    if (!WIFSTOPPED(st)) return;
    siginfo("signal", c);
  }
  pt(PTRACE_CONT, c, 0, N(SIGTERM));
  wait_for("end", c);
}

#ifndef PTRACE_ARCH_PRCTL
#define PTRACE_ARCH_PRCTL 30
#endif
static void do_calls(void) {
  syscall(SYS_getpid);
  syscall(SYS_close, 1000);
  syscall(SYS_getppid);
  errno = 0;
  long skipped = syscall(SYS_getuid), why = errno;
  errno = 0;
  long answered = syscall(SYS_dup, 1000), why2 = errno;
  syscall(SYS_exit_group, skipped == -1 && why == ENOSYS && answered == -1 && why2 == EPERM ? 4 : 5);
}
struct info {
  uint8_t op, pad[3];
  uint32_t arch;
  uint64_t ip, sp;
  union {
    struct { uint64_t nr, args[6]; } entry;
    struct { int64_t rval; uint8_t is_error; } exit;
  };
};
static void calls(void) {
  pid_t c = traced(do_calls);
  struct user_regs_struct r;
  struct info in;
  wait_for("stop", c);
  ret("bad options", pt(PTRACE_SETOPTIONS, c, 0, N(1u << 30)));
  ret("options", pt(PTRACE_SETOPTIONS, c, 0, N(PTRACE_O_TRACESYSGOOD)));
  for (int i = 0; i < 40; i++) {
    if (pt(PTRACE_SYSCALL, c, 0, 0) < 0) { ret("syscall", -1); break; }
    int st = 0;
    waitpid(c, &st, __WALL);
    if (!WIFSTOPPED(st)) { say("call: %s", status_text(st)); break; }
    if (WSTOPSIG(st) != (SIGTRAP | 0x80)) { say("call: %s", status_text(st)); continue; }
    pt(PTRACE_GETREGS, c, 0, &r);
    memset(&in, 0, sizeof in);
    long n = pt(PTRACE_GET_SYSCALL_INFO, c, N(sizeof in), &in);
    if (in.op == 1 && (r.orig_rax == SYS_getuid || r.orig_rax == SYS_dup)) { // is skipped, with an answer
      if (r.orig_rax == SYS_dup) r.rax = -EPERM;
      r.orig_rax = -1;
      ret("  skip", pt(PTRACE_SETREGS, c, 0, &r));
      pt(PTRACE_SYSCALL, c, 0, 0);
      waitpid(c, &st, __WALL);
      pt(PTRACE_GETREGS, c, 0, &r);
      say("  skipped: %s, call %lld, rax %lld", status_text(st), (long long)r.orig_rax, (long long)r.rax);
      unsigned long fs = 0;
      is("  fs", pt(PTRACE_ARCH_PRCTL, c, &fs, N(0x1003)) == 0 && fs == r.fs_base && fs != 0);
      is("  set fs", pt(PTRACE_ARCH_PRCTL, c, N(fs), N(0x1002)) == 0);
      ret("  set fs high", pt(PTRACE_ARCH_PRCTL, c, N(1ul << 63), N(0x1002)));
      ret("  fs to nowhere", pt(PTRACE_ARCH_PRCTL, c, BAD_PTR, N(0x1003)));
      ret("  no such", pt(PTRACE_ARCH_PRCTL, c, &fs, N(0x1999)));
      continue;
    }
    if (r.orig_rax != SYS_getpid && r.orig_rax != SYS_close && r.orig_rax != SYS_getppid && r.orig_rax != SYS_exit_group) continue;
    say("call %lld op %d size %ld ip %d sp %d arch %x", r.orig_rax, in.op, n, in.ip == r.rip, in.sp == r.rsp, in.arch);
    if (in.op == 1) {
      say("  rax %lld nr %ld arg %ld", (long long)r.rax, (long)in.entry.nr, r.orig_rax == SYS_close ? (long)in.entry.args[0] : 0);
      siginfo("  entry", c);
      unsigned long msg = 9;
      ret("  message", pt(PTRACE_GETEVENTMSG, c, 0, &msg));
      say("  message %lu", msg);
      if (r.orig_rax == SYS_getppid) { // becomes close(2000)
        r.orig_rax = SYS_close, r.rdi = 2000;
        ret("  change", pt(PTRACE_SETREGS, c, 0, &r));
      }
    } else if (r.orig_rax == SYS_getpid) {
      is("  pid", (pid_t)r.rax == c && in.exit.rval == c && !in.exit.is_error);
    } else say("  result %lld error %d", (long long)in.exit.rval, in.exit.is_error);
  }
}

static void do_emulated(void) {
  long r = syscall(SYS_getpid);
  _exit(r == 77 ? 5 : 6);
}
static void emulation(void) {
  pid_t c = traced(do_emulated);
  struct user_regs_struct r;
  wait_for("stop", c);
  for (int i = 0; i < 30; i++) {
    ret("sysemu", pt(PTRACE_SYSEMU, c, 0, 0));
    int st = 0;
    waitpid(c, &st, __WALL);
    if (!WIFSTOPPED(st)) { say("%s", status_text(st)); return; }
    pt(PTRACE_GETREGS, c, 0, &r);
    if (r.orig_rax == SYS_getpid) {
      say("rax %lld", (long long)r.rax);
      r.rax = 77;
      pt(PTRACE_SETREGS, c, 0, &r);
      break;
    }
  }
  pt(PTRACE_CONT, c, 0, 0);
  wait_for("end", c);
}

__attribute__((noinline)) static int target(int x) {
  __asm__ volatile("" ::: "memory");
  return x + 1;
}
static void do_memory(void) { _exit(word == 1234 ? target(6) : 1); }
static void memory(void) {
  pid_t c = traced(do_memory);
  struct user_regs_struct r;
  wait_for("stop", c);
  long v = 0, text, old;
  ret("peek", pt(PTRACE_PEEKDATA, c, (void *)&word, &v));
  say("word %ld", v);
  ret("poke", pt(PTRACE_POKEDATA, c, (void *)&word, N(1234)));
  ret("peek bad", pt(PTRACE_PEEKDATA, c, BAD_PTR, &v));
  ret("poke bad", pt(PTRACE_POKEDATA, c, BAD_PTR, 0));
  ret("peek to bad", pt(PTRACE_PEEKDATA, c, (void *)&word, BAD_PTR));
  ret("peek text", pt(PTRACE_PEEKTEXT, c, target, &text));
  is("text", text == *(long *)target);
  ret("breakpoint", pt(PTRACE_POKETEXT, c, target, N((text & ~0xffL) | 0xcc)));
  is("own text is left", text == *(long *)target);
  pt(PTRACE_PEEKTEXT, c, target, &old);
  is("breakpoint is there", (old & 0xff) == 0xcc);
  ret("cont", pt(PTRACE_CONT, c, 0, 0));
  wait_for("breakpoint", c);
  siginfo("breakpoint", c);
  ret("getregs", pt(PTRACE_GETREGS, c, 0, &r));
  is("at breakpoint", r.rip == (uintptr_t)target + 1);
  say("arg %d orig_rax %lld", (int)r.rdi, (long long)r.orig_rax);
  ret("remove", pt(PTRACE_POKETEXT, c, target, N(text)));
  r.rip--, r.rdi = 20;
  ret("setregs", pt(PTRACE_SETREGS, c, 0, &r));
  for (int i = 0; i < 2; i++) {
    unsigned long rip = r.rip;
    ret("step", pt(PTRACE_SINGLESTEP, c, 0, 0));
    wait_for("step", c);
    siginfo("step", c);
    pt(PTRACE_GETREGS, c, 0, &r);
    is("went on", r.rip != rip && !(r.eflags & 0x100));
  }
  // The same by /proc/PID/mem.
  char path[64];
  sprintf(path, "/proc/%d/mem", c);
  int fd = open(path, O_RDWR);
  ret("mem read", pread(fd, &v, 8, (uintptr_t)target));
  is("same", v == text);
  ret("mem write text", pwrite(fd, &text, 8, (uintptr_t)target));
  ret("mem write data", pwrite(fd, &v, 8, (uintptr_t)&word));
  ret("mem write bad", pwrite(fd, &v, 8, 0x10));
  close(fd);
  long rip = 0;
  ret("peekuser", pt(PTRACE_PEEKUSR, c, N(offsetof(struct user_regs_struct, rip)), &rip));
  is("rip", (unsigned long)rip == r.rip);
  ret("peekuser debug", pt(PTRACE_PEEKUSR, c, N(offsetof(struct user, u_debugreg)), &rip));
  ret("peekuser odd", pt(PTRACE_PEEKUSR, c, N(3), &rip));
  ret("peekuser far", pt(PTRACE_PEEKUSR, c, N(5000), &rip));
  ret("pokeuser", pt(PTRACE_POKEUSR, c, N(offsetof(struct user_regs_struct, rip)), N(r.rip)));
  ret("cont", pt(PTRACE_CONT, c, 0, 0));
  wait_for("end", c);
}

static void do_fp(void) {
  double d = 3;
  __asm__ volatile("movsd %0, %%xmm7\n int3\n movsd %%xmm7, %0" : "+m"(d)::"xmm7");
  _exit((int)d);
}
static void registers(void) {
  pid_t c = traced(do_fp);
  struct user_regs_struct r;
  struct user_fpregs_struct fp;
  static char big[16384];
  wait_for("stop", c);
  pt(PTRACE_CONT, c, 0, 0);
  wait_for("int3", c);
  struct iovec iov = {&r, sizeof r};
  ret("prstatus", pt(PTRACE_GETREGSET, c, N(1), &iov));
  say("len %zu", iov.iov_len);
  iov.iov_len = 16;
  ret("short", pt(PTRACE_GETREGSET, c, N(1), &iov));
  say("len %zu", iov.iov_len);
  iov.iov_len = 15;
  ret("odd", pt(PTRACE_GETREGSET, c, N(1), &iov));
  iov = (struct iovec){&fp, sizeof fp};
  ret("fpregs", pt(PTRACE_GETREGSET, c, N(2), &iov));
  say("len %zu", iov.iov_len);
  double d;
  memcpy(&d, &fp.xmm_space[28], 8);
  say("xmm7 %g", d);
  iov = (struct iovec){big, sizeof big};
  ret("xstate", pt(PTRACE_GETREGSET, c, N(0x202), &iov));
  uint64_t features;
  memcpy(&features, big + 464, 8);
  is("features", (features & 7) == 7);
  memcpy(&d, big + 160 + 7 * 16, 8);
  say("xmm7 %g", d);
  size_t full = iov.iov_len;
  is("length", full > 576);
  ret("unknown set", pt(PTRACE_GETREGSET, c, N(0x777), &iov));
  d = 40;
  memcpy(big + 160 + 7 * 16, &d, 8);
  iov.iov_len = full;
  ret("set xstate", pt(PTRACE_SETREGSET, c, N(0x202), &iov));
  ret("getfpregs", pt(PTRACE_GETFPREGS, c, 0, &fp));
  memcpy(&d, &fp.xmm_space[28], 8);
  say("xmm7 %g", d);
  d = 41;
  memcpy(&fp.xmm_space[28], &d, 8);
  ret("setfpregs", pt(PTRACE_SETFPREGS, c, 0, &fp));
  uint64_t mask = 0;
  ret("getsigmask", pt(PTRACE_GETSIGMASK, c, N(8), &mask));
  ret("getsigmask size", pt(PTRACE_GETSIGMASK, c, N(4), &mask));
  mask = 1ull << (SIGUSR1 - 1);
  ret("setsigmask", pt(PTRACE_SETSIGMASK, c, N(8), &mask));
  mask = 0;
  pt(PTRACE_GETSIGMASK, c, N(8), &mask);
  say("mask %lx", (long)mask);
  r.cs = 0x23;
  pt(PTRACE_GETREGS, c, 0, &r);
  r.fs_base = ~0ull;
  ret("bad fs_base", pt(PTRACE_SETREGS, c, 0, &r));
  pt(PTRACE_CONT, c, 0, 0);
  wait_for("end", c);
}

static void do_step_call(void) {
  __asm__ volatile("int3\n mov $39, %%eax\n syscall\n nop\n nop\n" ::: "rax", "rcx", "r11");
  _exit(2);
}
static void step_over_call(void) {
  pid_t c = traced(do_step_call);
  struct user_regs_struct r, last;
  wait_for("stop", c);
  pt(PTRACE_CONT, c, 0, 0);
  wait_for("int3", c);
  pt(PTRACE_GETREGS, c, 0, &last);
  for (int i = 0; i < 3; i++) {
    pt(PTRACE_SINGLESTEP, c, 0, 0);
    wait_for("step", c);
    pt(PTRACE_GETREGS, c, 0, &r);
    say("bytes %d result %d", (int)(r.rip - last.rip), i == 1 && (pid_t)r.rax == c);
    last = r;
  }
  pt(PTRACE_CONT, c, 0, 0);
  wait_for("end", c);
}

static void *thread(void *a) { return a; }
static void do_family(void) {
  pid_t c = fork();
  if (c == 0) _exit(1);
  waitpid(c, 0, 0);
  c = vfork();
  if (c == 0) _exit(2);
  waitpid(c, 0, 0);
  pthread_t t;
  pthread_create(&t, 0, thread, 0);
  pthread_join(t, 0);
  execl("/bin/true", "true", (char *)0);
  _exit(8);
}
// Events of the first process one after another; what its children report in between is counted apart.
static void family(int seize) {
  pid_t c;
  int opts = PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_TRACEVFORKDONE | PTRACE_O_TRACEEXIT;
  if (seize) {
    int p[2];
    if (pipe(p)) return;
    fflush(stdout);
    c = fork();
    if (c == 0) {
      char b;
      close(p[1]);
      if (read(p[0], &b, 1) < 0) _exit(1);
      do_family();
    }
    close(p[0]);
    ret("seize", pt(PTRACE_SEIZE, c, 0, N(opts)));
    close(p[1]);
  } else {
    c = traced(do_family);
    wait_for("stop", c);
    ret("options", pt(PTRACE_SETOPTIONS, c, 0, N(opts)));
    pt(PTRACE_CONT, c, 0, 0);
  }
  int children = 0, child_exits = 0, child_events = 0, child_stops = 0, known = 0;
  pid_t kids[8];
  for (;;) {
    int st;
    pid_t p = waitpid(-1, &st, __WALL);
    if (p < 0) break;
    unsigned long msg = 0;
    if (p != c) {
      if (WIFSTOPPED(st) && st >> 16 == PTRACE_EVENT_EXIT) child_events++;
      else if (WIFSTOPPED(st)) child_stops++, children += st >> 16 == (seize ? PTRACE_EVENT_STOP : 0);
      else child_exits++;
      if (WIFSTOPPED(st)) pt(PTRACE_CONT, p, 0, 0);
      continue;
    }
    if (!WIFSTOPPED(st)) { say("first: %s", status_text(st)); continue; }
    int ev = st >> 16;
    if (ev) {
      pt(PTRACE_GETEVENTMSG, c, 0, &msg);
      if (ev <= PTRACE_EVENT_CLONE) kids[known++] = (pid_t)msg;
      int fits = ev == PTRACE_EVENT_EXEC ? (pid_t)msg == c : ev == PTRACE_EVENT_VFORK_DONE ? (pid_t)msg == kids[known - 1] : ev == PTRACE_EVENT_EXIT ? msg == 0 : msg > 0;
      say("first: event %d message %d", ev, fits);
      pt(PTRACE_CONT, c, 0, 0);
    } else {
      if (WSTOPSIG(st) != SIGCHLD) say("first: %s", status_text(st));
      pt(PTRACE_CONT, c, 0, N(WSTOPSIG(st)));
    }
  }
  say("children %d stops %d exit events %d exits %d", children, child_stops, child_events, child_exits);
}

static void do_exec(void) { execl("/bin/true", "true", (char *)0); }
static void exec_trap(void) {
  pid_t c = traced(do_exec);
  struct user_regs_struct r;
  wait_for("stop", c);
  pt(PTRACE_CONT, c, 0, 0);
  wait_for("exec", c);
  siginfo("exec", c);
  pt(PTRACE_GETREGS, c, 0, &r);
  say("orig_rax %lld rax %lld", (long long)r.orig_rax, (long long)r.rax);
  pt(PTRACE_CONT, c, 0, 0);
  wait_for("end", c);
}

static void attaching(void) {
  pid_t c = fork();
  char path[64], line[256];
  if (c == 0) for (;;) pause();
  until_state(c, 'S');
  ret("attach", pt(PTRACE_ATTACH, c, 0, 0));
  wait_for("attach", c);
  sprintf(path, "/proc/%d/status", c);
  FILE *f = fopen(path, "r");
  while (fgets(line, sizeof line, f))
    if (!strncmp(line, "State", 5)) printf("%s", line);
    else if (!strncmp(line, "TracerPid", 9)) say("tracer %d", atoi(line + 10) == getpid());
  fclose(f);
  ret("again", pt(PTRACE_ATTACH, c, 0, 0));
  struct user_regs_struct r;
  pt(PTRACE_GETREGS, c, 0, &r);
  say("orig_rax %lld rax %lld", (long long)r.orig_rax, (long long)r.rax);
  ret("detach", pt(PTRACE_DETACH, c, 0, 0));
  ret("gone", pt(PTRACE_CONT, c, 0, 0));
  until_state(c, 'S');
  int st;
  ret("runs on", waitpid(c, &st, WNOHANG));
  ret("attach", pt(PTRACE_ATTACH, c, 0, 0));
  wait_for("attach", c);
  ret("detach with a signal", pt(PTRACE_DETACH, c, 0, N(SIGTERM)));
  wait_for("end", c);
}

static void seizing(void) {
  pid_t c = fork();
  int st;
  if (c == 0) {
    signal(SIGCONT, on_signal);
    for (;;) pause();
  }
  until_state(c, 'S');
  ret("seize", pt(PTRACE_SEIZE, c, 0, 0));
  ret("no stop", waitpid(c, &st, WNOHANG | __WALL));
  ret("interrupt", pt(PTRACE_INTERRUPT, c, 0, 0));
  wait_for("interrupt", c);
  siginfo("interrupt", c);
  ret("cont", pt(PTRACE_CONT, c, 0, 0));
  kill(c, SIGSTOP);
  wait_for("signal", c);
  siginfo("signal", c);
  ret("deliver", pt(PTRACE_CONT, c, 0, N(SIGSTOP)));
  wait_for("group stop", c);
  siginfo("group stop", c);
  ret("listen", pt(PTRACE_LISTEN, c, 0, 0));
  ret("listening", pt(PTRACE_CONT, c, 0, 0));
  ret("quiet", waitpid(c, &st, WNOHANG | __WALL));
  kill(c, SIGCONT);
  wait_for("continued", c);
  pt(PTRACE_CONT, c, 0, 0);
  wait_for("SIGCONT", c);
  pt(PTRACE_CONT, c, 0, 0);
  ret("kill", pt(PTRACE_KILL, c, 0, 0));
  kill(c, SIGKILL);
  wait_for("end", c);
}

static void *tracer_thread(void *a) {
  pid_t c = (pid_t)(intptr_t)a;
  ret("attach by a thread", pt(PTRACE_ATTACH, c, 0, 0));
  wait_for("thread", c);
  return 0;
}
static void tracer_ends(void) {
  int p[2];
  char b = 0;
  if (pipe(p)) return;
  pid_t c = fork();
  pthread_t t;
  if (c == 0) _exit(read(p[0], &b, 1) == 1 ? 7 : 1);
  pthread_create(&t, 0, tracer_thread, (void *)(intptr_t)c);
  pthread_join(t, 0);
  ret("other thread", pt(PTRACE_CONT, c, 0, 0));
  if (write(p[1], &b, 1) != 1) return;
  wait_for("detached", c);
  close(p[0]), close(p[1]);
  // EXITKILL
  if (pipe(p)) return;
  fflush(stdout);
  pid_t tracer = fork();
  if (tracer == 0) {
    pid_t g = fork();
    if (g == 0) {
      close(p[0]);
      for (;;) pause();
    }
    pt(PTRACE_SEIZE, g, 0, N(PTRACE_O_EXITKILL));
    _exit(0);
  }
  close(p[1]);
  wait_say("tracer", tracer);
  ret("tracee is killed", read(p[0], &b, 1));
}

static void real_parent(void) {
  int p[2], seen[2];
  char b = 0;
  if (pipe(p) || pipe(seen)) return;
  fflush(stdout);
  pid_t c = fork();
  if (c == 0) {
    if (read(p[0], &b, 1) < 0) _exit(1);
    _exit(6);
  }
  fflush(stdout);
  pid_t tracer = fork();
  if (tracer == 0) {
    ret("seize sibling", pt(PTRACE_SEIZE, c, 0, 0));
    if (write(p[1], &b, 1) != 1) _exit(1);
    if (read(seen[0], &b, 1) != 1) _exit(1);
    wait_for("tracer sees", c);
    _exit(0);
  }
  until_state(c, 'Z');
  int st;
  ret("parent does not see", waitpid(c, &st, WNOHANG));
  if (write(seen[1], &b, 1) != 1) return;
  waitpid(tracer, &st, 0);
  say("tracer %s", status_text(st));
  wait_for("parent sees", c);
}

// Tracers that come and end while their tracee makes calls: whatever the call was at, the tracee goes on.
static void tracers_come_and_go(void) {
  pid_t c = fork();
  if (c == 0)
    for (;;) getppid();
  int seized = 0;
  for (int i = 0; i < 300; i++) {
    pid_t tracer = fork();
    if (tracer == 0) {
      long r = pt(PTRACE_SEIZE, c, 0, 0);
      for (volatile int n = i % 100 * 200; n > 0; n--) {}
      _exit(r == 0);
    }
    int st;
    waitpid(tracer, &st, 0);
    seized += WEXITSTATUS(st);
  }
  say("seized %d times", seized);
  ret("still there", kill(c, SIGKILL));
  wait_say("tracee", c);
}

int main(void) {
  setvbuf(stdout, 0, _IOLBF, 0);
  say("# errors"), errors();
  say("# signals"), signals();
  say("# calls"), calls();
  say("# emulation"), emulation();
  say("# memory"), memory();
  say("# registers"), registers();
  say("# step over a call"), step_over_call();
  say("# exec"), exec_trap();
  say("# family"), family(0);
  say("# family, seized"), family(1);
  say("# attaching"), attaching();
  say("# seizing"), seizing();
  say("# end of the tracer"), tracer_ends();
  say("# parent and tracer"), real_parent();
  say("# tracers come and go"), tracers_come_and_go();
  return 0;
}
