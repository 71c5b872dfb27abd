// Debug registers of a tracee as far as nothing is enabled: they keep what is written there (arch/x86/kernel/ptrace.c).
#include "guest.h"
#include <linux/ptrace.h>
#include <stddef.h>
#include <sys/user.h>

static long pt(long req, pid_t pid, void *addr, void *data) { return syscall(SYS_ptrace, req, pid, addr, data); }
#define N(x) ((void *)(uintptr_t)(x))
#define DR(n) N(offsetof(struct user, u_debugreg) + 8 * (n))

static void show(const char *name, pid_t c) {
  for (int n = 0; n < 8; n++) {
    unsigned long v = 0x55;
    long r = pt(PTRACE_PEEKUSR, c, DR(n), &v);
    if (r < 0) say("%s: dr%d %s", name, n, strerrorname_np(errno));
    else say("%s: dr%d %lx", name, n, v);
  }
}
static void set(pid_t c, int n, unsigned long v) {
  char name[64];
  sprintf(name, "dr%d := %lx", n, v);
  ret(name, pt(PTRACE_POKEUSR, c, DR(n), N(v)));
}

int main(int argc, char **argv) {
  if (argc > 1) {
    raise(SIGSTOP);
    return 3;
  }
  fflush(stdout);
  pid_t c = fork();
  if (c == 0) {
    pt(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    pid_t inner = fork();
    if (inner == 0) _exit(4);
    waitpid(inner, 0, 0);
    execl("/proc/self/exe", "debug-regs", "x", NULL);
    _exit(5);
  }
  int st;
  waitpid(c, &st, 0);
  show("new", c);
  static const unsigned long addr[] = {1, 2, 0x1000, 0x7fffffffe000, 0x7fffffffeff8, 0x7fffffffefff, 0x7ffffffff000, 0x800000000000,
                                       0xffff7fffffffffff, 0xffff800000000000, 0xffffffffffffffff, 0xffffffffff600000};
  for (unsigned i = 0; i < sizeof addr / sizeof *addr; i++) set(c, 0, addr[i]);
  set(c, 1, 0xffff800000000000);
  set(c, 2, 0x800000000000);
  set(c, 3, 0x1234);
  set(c, 4, 0), set(c, 4, 1), set(c, 5, 0), set(c, 5, 1);
  show("addresses", c);
  set(c, 6, 0), show("dr6 0", c);
  set(c, 6, 0xffff), show("dr6 ffff", c);
  set(c, 6, 0xffffffffffffffff), show("dr6 all", c);
  set(c, 6, 0xff);
  static const unsigned long control[] = {0, 0x400, 0x300, 0xdc00, 0xffff0000, 0x30000, 0xf00000000, 0xffffffff0000ff00};
  for (unsigned i = 0; i < sizeof control / sizeof *control; i++) {
    unsigned long v = 0;
    set(c, 7, control[i]);
    pt(PTRACE_PEEKUSR, c, DR(7), &v);
    say("dr7 %lx", v);
  }
  pt(PTRACE_SETOPTIONS, c, 0, N(PTRACE_O_TRACEFORK | PTRACE_O_TRACEEXEC));
  pt(PTRACE_CONT, c, 0, 0);
  waitpid(c, &st, 0);
  is("forked", st >> 16 == PTRACE_EVENT_FORK);
  unsigned long inner = 0;
  pt(PTRACE_GETEVENTMSG, c, 0, &inner);
  waitpid(inner, &st, __WALL);
  show("parent", c);
  show("child", inner);
  pt(PTRACE_DETACH, inner, 0, 0);
  do {
    pt(PTRACE_CONT, c, 0, 0);
    waitpid(c, &st, 0);
  } while (st >> 16 != PTRACE_EVENT_EXEC);
  show("executed", c);
  set(c, 0, 0x4000);
  pt(PTRACE_CONT, c, 0, 0);
  waitpid(c, &st, 0);
  pt(PTRACE_DETACH, c, 0, N(SIGSTOP));
  waitpid(c, &st, WUNTRACED);
  pt(PTRACE_SEIZE, c, 0, 0);
  pt(PTRACE_INTERRUPT, c, 0, 0);
  waitpid(c, &st, 0);
  show("traced again", c);
  kill(c, SIGKILL);
  waitpid(c, &st, 0);
  return 0;
}
