// Random walks of processes and threads that send each other signals: actions with all flags, masks, every way to send, queues and the
// order of delivery, waiting for signals, signalfd, alternate stacks, stops; seen in handlers and in /proc/PID/status.
#include "agents.h"
#include <poll.h>
#include <sys/signalfd.h>
#include <ucontext.h>

#define SS_AUTODISARM (1U << 31)
#define SA_RESTORER 0x04000000
static const int signals[] = {SIGHUP, SIGINT, SIGUSR1, SIGUSR2, SIGCHLD, SIGCONT, SIGTSTP, SIGTTIN, SIGURG, SIGSEGV, SIGPIPE, SIGALRM, SIGTERM, 34, 35, 40, 64, SIGIO, SIGTRAP, SIGILL};
#define COUNT (sizeof signals / sizeof *signals)

struct kernel_action {
  void (*handler)(int, siginfo_t *, void *);
  unsigned long flags;
  void (*restorer)(void);
  uint64_t mask;
};
#define HANDLERS 44
static int empty_pipe = 230, signal_fd = 240;

static int a_signal(void) {
  if (one_in(25)) return PICK(SIGKILL, SIGSTOP, SIGSTOP, 0, 65, -1);
  return signals[below(COUNT)];
}
static uint64_t a_set(void) {
  uint64_t set = 0;
  if (one_in(8)) return ~0UL;
  for (int n = below(6); n > 0; n--) set |= 1UL << (signals[below(COUNT)] - 1);
  return set;
}

asm(".globl walk_restorer\nwalk_restorer: mov $15, %eax\nsyscall\n");
void walk_restorer(void);

static const char *sender(const siginfo_t *si) {
  if (si->si_signo == SIGSEGV && si->si_code > 0) return "fault";
  return si->si_code <= 0 || si->si_signo == SIGCHLD ? who(si->si_pid) : "-";
}
static void handler(int sig, siginfo_t *si, void *context) {
  ucontext_t *uc = context;
  uint64_t mask = 0, before = *(uint64_t *)&uc->uc_sigmask;
  stack_t alt = {0};
  int at = agents[me()].at;
  agents[me()].at = RUNS;
  sys(SYS_rt_sigprocmask, 0, NULL, &mask, 8);
  sys(SYS_sigaltstack, NULL, &alt);
  tell(" [%d code %d %s", sig, si->si_code, sender(si));
  if (si->si_code == SI_QUEUE) tell(" value %d", si->si_value.sival_int);
  if (sig == SIGCHLD && si->si_code > 0) tell(" status %d", si->si_status);
  unsigned long sp = (unsigned long)__builtin_frame_address(0) - STACKS;
  tell(" mask %lx before %lx alt %x saved %x%s]", mask, before, alt.ss_flags, uc->uc_stack.ss_flags, executed_as < 0 && sp % STACK_SIZE < ALT_SIZE ? " on it" : "");
  if (si->si_code > 0 && (sig == SIGSEGV || sig == SIGILL)) uc->uc_mcontext.gregs[REG_RIP] += 2;
  if (sig == SIGUSR2 && si->si_code == SI_USER) tell(" again"), sys(SYS_tkill, sys(SYS_gettid), SIGUSR1), tell(" done");
  agents[me()].at = at;
}

static void do_action(int sig, int how) {
  struct kernel_action act = {how == 0 ? (void *)SIG_DFL : how == 1 ? (void *)SIG_IGN : handler, SA_SIGINFO | SA_RESTORER, walk_restorer, one_in(2) ? a_set() : 0}, old;
  static const unsigned flags[] = {SA_NOCLDSTOP, SA_NOCLDWAIT, SA_NODEFER, SA_RESETHAND, SA_RESTART, SA_ONSTACK};
  for (int i = 0; i < 6; i++)
    if (one_in(4)) act.flags |= flags[i];
  tell("sigaction(%d, %d, %lx, %lx)", sig, how, act.flags, act.mask);
  memset(&old, 0, sizeof old);
  if (told(sys(SYS_rt_sigaction, sig, one_in(10) ? NULL : &act, &old, 8)) == 0) tell(" old %s %lx %lx", old.handler == handler ? "handler" : old.handler == (void *)SIG_IGN ? "ign" : old.handler ? "?" : "dfl", old.flags, old.mask);
}
static void do_mask(void) {
  uint64_t set = a_set(), old = 0;
  int how = PICK(SIG_BLOCK, SIG_BLOCK, SIG_UNBLOCK, SIG_SETMASK);
  tell("sigprocmask(%d, %lx)", how, set);
  told(sys(SYS_rt_sigprocmask, how, &set, &old, 8));
  tell(" old %lx", old);
}
static void do_send(void) {
  int to = another(), sig = a_signal(), tid = agents[to].tid, pid = agents[to].pid;
  siginfo_t si;
  memset(&si, 0, sizeof si);
  si.si_signo = one_in(10) ? SIGUSR1 : sig;
  si.si_code = PICK(SI_QUEUE, SI_QUEUE, SI_QUEUE, SI_USER, SI_TKILL, -7, -60, 1);
  si.si_pid = sys(SYS_getpid);
  si.si_value.sival_int = below(100);
  switch (below(10)) {
    case 0 ... 2: tell("kill(%c, %d)", 'A' + to, sig), told_sent(pid, sys(SYS_kill, pid, sig)); break;
    case 3: tell("tkill(%c, %d)", 'A' + to, sig), told_sent(pid, sys(SYS_tkill, tid, sig)); break;
    case 4: tell("tgkill(%c, %d)", 'A' + to, sig), told_sent(pid, sys(SYS_tgkill, one_in(8) ? sys(SYS_getpid) : pid, tid, sig)); break;
    case 5: tell("queue(%c, %d, %d)", 'A' + to, sig, si.si_code), told_sent(pid, sys(SYS_rt_sigqueueinfo, one_in(3) ? tid : pid, sig, &si)); break;
    case 6: tell("tgqueue(%c, %d, %d)", 'A' + to, sig, si.si_code), told_sent(pid, sys(SYS_rt_tgsigqueueinfo, pid, tid, sig, &si)); break;
    case 7: tell("kill group(%d)", sig), told_sent(0, sys(SYS_kill, 0, sig)); break;
    default: {
      int thread = one_in(2), flags = PICK(0, 0, 0, 1, 2, 4, 3, 8), info = one_in(2);
      long fd = sys(SYS_pidfd_open, thread ? tid : pid, thread ? O_EXCL : 0);
      tell("pidfd_send_signal(%c %d, %d, %d, %x)", 'A' + to, thread, sig, info ? si.si_code : 0, flags);
      told_sent(pid, sys(SYS_pidfd_send_signal, fd, sig, info ? &si : NULL, flags));
      sys(SYS_close, fd);
    }
  }
}
static void show_info(const siginfo_t *si) {
  tell(" {%d %d %s", si->si_errno, si->si_code, sender(si));
  if (si->si_code == SI_QUEUE) tell(" %d", si->si_value.sival_int);
  tell("}");
}
static void do_wait_signal(void) {
  uint64_t set = a_set();
  siginfo_t si = {0};
  struct timespec none = {0, 0};
  int block = one_in(3);
  tell("sigtimedwait(%lx%s)", set, block ? ", NULL" : "");
  if (told(waits(SYS_rt_sigtimedwait, &set, &si, block ? NULL : &none, 8)) > 0) show_info(&si);
}
static void do_alt(void) {
  stack_t old = {0}, alt = {(void *)(STACKS + me() * STACK_SIZE), 0, ALT_SIZE};
  alt.ss_flags = PICK(0, 0, 0, SS_AUTODISARM, SS_AUTODISARM, SS_DISABLE, SS_ONSTACK, 4);
  if (one_in(10)) alt.ss_size = 1000;
  tell("sigaltstack(%x, %lx)", alt.ss_flags, alt.ss_size);
  if (told(sys(SYS_sigaltstack, one_in(6) ? NULL : &alt, &old)) == 0) tell(" old %x %lx", old.ss_flags, old.ss_size);
}
static void do_signalfd(void) {
  uint64_t set = a_set();
  struct signalfd_siginfo si[3];
  struct pollfd p = {signal_fd, POLLIN | POLLOUT};
  switch (below(4)) {
    case 0: {
      int old = one_in(2);
      tell("signalfd(%d, %lx)", old, set);
      long fd = sys(SYS_signalfd4, old ? signal_fd : -1, &set, 8, SFD_NONBLOCK);
      told_done(fd);
      if (fd >= 0 && fd != signal_fd) sys(SYS_dup2, fd, signal_fd), sys(SYS_close, fd);
      break;
    }
    case 1: tell("poll"), told(sys(SYS_poll, &p, 1, 0)), tell(" %x", p.revents); break;
    default: {
      memset(si, 0, sizeof si);
      tell("read signalfd");
      long n = told(sys(SYS_read, signal_fd, si, sizeof si));
      for (long i = 0; i * 128 < n; i++) {
        tell(" {%d %d", si[i].ssi_signo, si[i].ssi_code);
        if (si[i].ssi_code <= 0) tell(" %s %d", who(si[i].ssi_pid), si[i].ssi_code == SI_QUEUE ? si[i].ssi_int : 0);
        tell("}");
      }
    }
  }
}
static void do_wait_child(void) {
  int st = 0;
  tell("wait4");
  long r = sys(SYS_wait4, -1, &st, WNOHANG | (one_in(2) ? WUNTRACED | WCONTINUED : 0) | (one_in(4) ? __WALL : 0), NULL);
  tell("%s %x", whose(r), st);
}

static void act(int op) {
  char c;
  uint64_t set;
  switch (op >= 0 ? op : below(HANDLERS)) {
    case 0 ... 6: do_action(a_signal(), below(4)); break;
    case 7 ... 11: do_mask(); break;
    case 12 ... 24: do_send(); break;
    case 25: set = 0, tell("sigpending"), told(sys(SYS_rt_sigpending, &set, 8)), tell(" %lx", set); break;
    case 26 ... 28: do_wait_signal(); break;
    case 29: set = a_set(), tell("sigsuspend(%lx)", set), told(waits(SYS_rt_sigsuspend, &set, 8)); break;
    case 30: tell("read"), told(waits(SYS_read, empty_pipe, &c, 1)); break;
    case 31: one_in(2) ? (tell("pause"), told(waits(SYS_pause))) : (tell("poll"), told(waits(SYS_poll, NULL, 0, -1))); break;
    case 32 ... 33: do_alt(); break;
    case 34 ... 36: do_signalfd(); break;
    case 37: spawn(THREAD); break;
    case 38: spawn(PICK(SIGCHLD, SIGCHLD, SIGUSR1, 0, 40, CLONE_PARENT | SIGCHLD, CLONE_VM | CLONE_VFORK | SIGCHLD, CLONE_VM | SIGCHLD)); break;
    case 39: do_wait_child(); break;
    case 40: one_in(3) ? execute() : do_wait_child(); break;
    case 41: if (one_in(4)) tell("exit"), sys(one_in(2) ? SYS_exit : SYS_exit_group, 3); tell("-"); break;
    case 42: {
      
      tell("fault");
      if (one_in(2)) asm volatile("ud2");
      else asm volatile("movb (%0), %%al" : : "r"(8UL) : "rax");
      break;
    }
    case 43: tell("restart"), told(waits(SYS_futex, (int *)common + 1, 0, 0, NULL)); break;
    case HANDLERS: // for most, so that few of them kill
      for (unsigned i = 0; i < COUNT; i++) do_action(signals[i], 2);
      break;
  }
}

static void one(char *to, size_t room, const char *status, const char *stat) {
  int ppid = 0, pgrp = 0, sid = 0;
  sscanf(stat, "%*c %d %d %d", &ppid, &pgrp, &sid);
  if (stat[0] == 'Z' && strcmp(field(status, "\nThreads:"), "1") == 0) { // Linux keeps what was pending until it is waited for
    snprintf(to, room, "Z parent %s", who(ppid));
    return;
  }
  snprintf(to, room, "%c parent %s threads %s pending %s %s blocked %s ignored %s caught %s", stat[0], who(ppid), field(status, "\nThreads:"), field(status, "\nSigPnd:"),
           field(status, "\nShdPnd:"), field(status, "\nSigBlk:"), field(status, "\nSigIgn:"), field(status, "\nSigCgt:"));
}
static void state(char *to, size_t room) { agents_state(to, room, one); }
static void step(unsigned i) { agents_step(); }
static void begin(uint64_t seed) {
  int fds[2];
  pipe(fds), dup2(fds[0], empty_pipe), dup2(fds[1], empty_pipe + 1);
  sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL);
  agents_begin();
  order(0, HANDLERS), order(0, 37), order(0, 38), order(2, 37);
  out("\n");
}
