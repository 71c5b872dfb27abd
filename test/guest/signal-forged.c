// Hostile signal frames: whatever a handler writes into its frame, only this process suffers.
#include "guest.h"
#include <sys/ucontext.h>

static int which;

static void forge(int sig, siginfo_t *si, void *p) {
  (void)sig, (void)si;
  ucontext_t *u = p;
  greg_t *r = u->uc_mcontext.gregs;
  char *fp = (char *)u->uc_mcontext.fpregs;
  switch (which) {
    case 0: u->uc_mcontext.fpregs = NULL; break;
    case 1: u->uc_mcontext.fpregs = (void *)0xffff888000000000; break;
    case 2: u->uc_mcontext.fpregs = (void *)0x10; break;
    case 3: *(unsigned *)(fp + 464) = 0; break;
    case 4: *(unsigned *)(fp + 464 + 4) = 0xffffffff; break;
    case 5: r[REG_RIP] = 0xdead000000000000; break;
    case 6: r[REG_RIP] = 0xffffffff81000000; break;
    case 7: r[REG_CSGSFS] = 0x10; break;
    case 8: r[REG_EFL] = -1 & ~0x40100; break;
    case 9: r[REG_RSP] = 0x10; break;
    case 10: u->uc_stack.ss_size = 1; u->uc_stack.ss_flags = 0x7777; break;
    case 11: memset(&u->uc_sigmask, 0xff, 8); break;
    case 12: u->uc_flags = -1; break;
    case 13: *(unsigned *)(fp + 24) = 0x1fff; break;  // reserved mxcsr bits are a #GP in xrstor
    case 14: memset(fp + 512, 0xff, 64); break;
  }
}

static void back(int sig) {
  (void)sig;
  write(1, "  fault handler\n", 16);
  _exit(77);
}

int main(void) {
  for (which = 0; which < 15; which++) {
    // What the CPU does about these is not for every machine the same.
    if (which == 7 || which == 8 || which == 13 || which == 14) {
      pid_t p = fork();
      if (p == 0) {
        struct sigaction sa = {.sa_sigaction = forge, .sa_flags = SA_SIGINFO};
        sigaction(SIGUSR1, &sa, NULL);
        raise(SIGUSR1);
        _exit(0);
      }
      int st;
      is("ends", waitpid(p, &st, 0) == p);
      continue;
    }
    pid_t p = fork();
    if (p == 0) {
      struct sigaction sa = {.sa_sigaction = forge, .sa_flags = SA_SIGINFO};
      struct sigaction sb = {.sa_handler = back};
      sigaction(SIGUSR1, &sa, NULL);
      if (which != 9) sigaction(SIGSEGV, &sb, NULL);
      raise(SIGUSR1);
      sigset_t s;
      sigprocmask(SIG_SETMASK, NULL, &s);
      say("  goes on; usr2 blocked %d kill blocked %d", sigismember(&s, SIGUSR2), sigismember(&s, SIGKILL));
      _exit(0);
    }
    char name[32];
    snprintf(name, sizeof name, "case %d", which);
    wait_say(name, p);
  }
  // sigreturn out of the blue
  pid_t p = fork();
  if (p == 0) {
    syscall(SYS_rt_sigreturn);
    _exit(0);
  }
  wait_say("sigreturn without a frame", p);
  p = fork();
  if (p == 0) {
    __asm__ volatile("mov $0x18, %%rsp\n mov $15, %%eax\n syscall" ::: "memory");
    _exit(0);
  }
  wait_say("sigreturn without a stack", p);
  say("alive");
  return 0;
}
