// Random walks of a family of processes: every way to be born, waits with all options, process groups and sessions, subreapers, exits of
// threads and leaders, programs executed by any thread, signals at a parent's end, stops, tracing; seen in wait statuses and /proc/PID/stat.
#include "agents.h"
#include <linux/sched.h>
#include <poll.h>
#include <sys/ptrace.h>
#include <linux/ptrace.h>

#define CLONE_CLEAR_SIGHAND_ 0x100000000UL
#define CATCH_ALL 44

static void handler(int sig, siginfo_t *si, void *context) {
  note(" [%d code %d", sig, si->si_code);
  if (si->si_code <= 0 || sig == SIGCHLD) note(" %s", who(si->si_pid));
  if (sig == SIGCHLD && si->si_code > 0) note(" status %x", si->si_status);
  note("]");
}
static void catch(int sig, void (*to)(int, siginfo_t *, void *), int flags) {
  struct sigaction sa = {.sa_sigaction = to, .sa_flags = SA_SIGINFO | flags};
  sigaction(sig, &sa, NULL);
}

static void do_spawn(void) {
  switch (below(8)) {
    case 0 ... 1: spawn(THREAD); break;
    case 2: spawn(SIGCHLD); break;
    case 3: spawn(CLONE_VM | CLONE_VFORK | SIGCHLD); break;
    case 4: spawn(CLONE_PARENT | PICK(SIGCHLD, 0, SIGUSR1)); break;
    case 5: spawn(PICK(0, SIGUSR1, SIGUSR2, SIGSTOP, 64, 65, 255)); break;
    case 6: spawn(PICK(CLONE_VM, CLONE_VM | CLONE_SIGHAND, CLONE_FILES, CLONE_PTRACE, CLONE_UNTRACED) | SIGCHLD); break;
    case 7: spawn(PICK(CLONE_SIGHAND, CLONE_THREAD, CLONE_VM | CLONE_THREAD, CLONE_VM | CLONE_SIGHAND | CLONE_PARENT, CLONE_NEWPID | CLONE_PARENT | CLONE_NEWNS | CLONE_FS, CLONE_PIDFD | CLONE_DETACHED)); break;
  }
}
static int stands_still(int pid) {
  char path[40];
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  const char *p = strrchr(slurp(path), ')');
  return p != NULL && (p[2] == 'T' || p[2] == 't');
}
// Without a stack of its own: fork's child ends at once.
static void do_clone3(void) {
  struct clone_args a = {.flags = PICK(0, 0, CLONE_PARENT, CLONE_CLEAR_SIGHAND_, CLONE_DETACHED, CSIGNAL, CLONE_CLEAR_SIGHAND_ | CLONE_SIGHAND | CLONE_VM, CLONE_THREAD), .exit_signal = PICK(SIGCHLD, SIGCHLD, 0, SIGUSR1, 64, 65, 300)};
  int bad = below(12);
  if (bad == 0) a.stack_size = 4096;
  if (bad == 1) a.stack = 4096;
  if (bad == 2) a.set_tid_size = 40;
  if (bad == 3) a.cgroup = 5, a.flags |= CLONE_INTO_CGROUP;
  tell("clone3(%lx, %lu, %d)", (long)a.flags, (long)a.exit_signal, bad);
  uint64_t all = ~0UL, mask;
  sys(SYS_rt_sigprocmask, SIG_BLOCK, &all, &mask, 8);
  long r = sys(SYS_clone3, &a, bad == 4 ? 40 : sizeof a);
  if (r == 0) sys(SYS_exit_group, 7);
  told(r > 0 ? 1 : r);
  if (r > 0) {
    struct pollfd p = {sys(SYS_pidfd_open, r, 0), POLLIN};
    // The step is not over while the child runs; its tracer may keep it for longer.
    while (sys(SYS_poll, &p, 1, 0) == 0)
      if (stands_still(r)) waits(SYS_poll, &p, 1, -1);
    sys(SYS_close, p.fd);
  }
  sys(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, 8);
}

static int a_pid(void) {
  int k = below(10), i = somebody();
  return k < 5 ? agents[i].tid : k < 7 ? agents[i].pid : k == 7 ? 0 : k == 8 ? *(int *)common : 99999;
}
static void do_wait4(void) {
  int options = 0, st = 0, k = below(6);
  int pid = k < 3 ? -1 : k == 3 ? 0 : k == 4 ? -a_pid() : a_pid();
  if (!one_in(4)) options |= WNOHANG;
  if (one_in(3)) options |= WUNTRACED;
  if (one_in(3)) options |= WCONTINUED;
  if (one_in(4)) options |= __WALL;
  if (one_in(8)) options |= __WCLONE;
  if (one_in(8)) options |= __WNOTHREAD;
  if (one_in(20)) options |= PICK(WEXITED, WNOWAIT, 0x100);
  tell("wait4(%s%s, %x)", pid < -1 ? "-" : "", pid == -1 ? "any" : who(pid < 0 ? -pid : pid), options);
  long r = waits(SYS_wait4, pid, &st, options, NULL);
  tell("%s %x", whose(r), st);
}
static void do_waitid(void) {
  int options = 0, type = PICK(P_ALL, P_ALL, P_PID, P_PGID, P_PIDFD), pid = a_pid();
  long id = pid;
  siginfo_t si = {0};
  options |= one_in(4) ? 0 : WNOHANG;
  options |= one_in(4) ? 0 : WEXITED;
  options |= one_in(2) ? 0 : WSTOPPED;
  options |= one_in(2) ? 0 : WCONTINUED;
  options |= one_in(2) ? 0 : WNOWAIT;
  options |= one_in(3) ? __WALL : 0;
  options |= one_in(8) ? __WCLONE : 0;
  options |= one_in(8) ? __WNOTHREAD : 0;
  if (type == P_PIDFD) id = sys(SYS_pidfd_open, pid, one_in(2) ? O_NONBLOCK : 0);
  tell("waitid(%d, %s, %x)", type, who(pid), options);
  if (told(waits(SYS_waitid, type, id, &si, options, NULL)) == 0 && si.si_pid) tell(" %s code %d status %x", who(si.si_pid), si.si_code, si.si_status);
  if (type == P_PIDFD) sys(SYS_close, id);
}

static void do_group(void) {
  int a = a_pid(), b = a_pid();
  switch (below(6)) {
    case 0 ... 2: {
      if (one_in(2)) b = one_in(2) ? 0 : a;
      tell("setpgid(%s, %s)", who(a), who(b)), told(sys(SYS_setpgid, a, b));
      break;
    }
    case 3: tell("setsid%s", whose(sys(SYS_setsid))); break;
    case 4: tell("getsid(%s)", who(a)), tell("%s", whose(sys(SYS_getsid, a))); break;
    case 5: tell("getpgid(%s)", who(a)), tell("%s", whose(sys(SYS_getpgid, a))); break;
  }
}
static void do_kill(void) {
  int to = another(), sig = PICK(SIGSTOP, SIGTSTP, SIGCONT, SIGCONT, SIGCONT, SIGTTIN, SIGUSR1, SIGUSR2, SIGTERM, SIGCHLD, SIGKILL, SIGINT, SIGHUP);
  int group = one_in(6), thread = one_in(3);
  tell("%s(%s%c, %d)", thread ? "tkill" : "kill", group ? "-" : "", 'A' + to, sig);
  told_sent(group ? 0 : agents[to].pid, thread ? sys(SYS_tkill, agents[to].tid, sig) : sys(SYS_kill, group ? -agents[to].pid : agents[to].pid, sig));
}
static void do_action(void) {
  int sig = PICK(SIGCHLD, SIGCHLD, SIGCHLD, SIGTSTP, SIGCONT, SIGHUP, SIGUSR1), how = below(4), flags = PICK(0, SA_NOCLDWAIT, SA_NOCLDSTOP, SA_RESTART);
  tell("catch(%d, %d, %x)", sig, how, flags);
  catch(sig, how == 0 ? (void *)SIG_DFL : how == 1 ? (void *)SIG_IGN : handler, flags);
}
static void do_prctl(void) {
  int n = 0;
  switch (below(5)) {
    case 0: n = below(3), tell("subreaper(%d)", n), told(sys(SYS_prctl, PR_SET_CHILD_SUBREAPER, n)); break;
    case 1 ... 2: n = PICK(0, SIGUSR1, SIGUSR2, SIGHUP, SIGTERM, 65), tell("pdeathsig(%d)", n), told(sys(SYS_prctl, PR_SET_PDEATHSIG, n)); break;
    case 3: tell("get pdeathsig"), told(sys(SYS_prctl, PR_GET_PDEATHSIG, &n)), tell(" %d", n); break;
    case 4: tell("get subreaper"), told(sys(SYS_prctl, PR_GET_CHILD_SUBREAPER, &n)), tell(" %d", n); break;
  }
}

static void do_trace(void) {
  int to = another(), tid = agents[to].tid, sig = PICK(0, 0, 0, SIGUSR1, SIGSTOP, SIGCONT, SIGTERM);
  long options = PICK(0, 1, 1, 2, 4, 8, 0x10, 0x20, 0x40, 0x7f, 0x10007f, 0x100000, 0x200, 0x100), message = 0;
  siginfo_t si = {0};
  switch (below(12)) {
    case 0: if (one_in(3)) tell("traceme"), told(sys(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0)); else tell("-"); break;
    case 1: tell("attach(%c)", 'A' + to), told(sys(SYS_ptrace, PTRACE_ATTACH, tid, 0, 0)); break;
    case 2 ... 3: tell("seize(%c, %lx)", 'A' + to, options), told(sys(SYS_ptrace, PTRACE_SEIZE, tid, 0, options)); break;
    case 4: tell("interrupt(%c)", 'A' + to), told(sys(SYS_ptrace, PTRACE_INTERRUPT, tid, 0, 0)); break;
    case 5: tell("options(%c, %lx)", 'A' + to, options), told(sys(SYS_ptrace, PTRACE_SETOPTIONS, tid, 0, options)); break;
    case 6: tell("listen(%c)", 'A' + to), told(sys(SYS_ptrace, PTRACE_LISTEN, tid, 0, 0)); break;
    case 7: tell("detach(%c, %d)", 'A' + to, sig), told(sys(SYS_ptrace, PTRACE_DETACH, tid, 0, sig)); break;
    case 8: tell("siginfo(%c)", 'A' + to), told(sys(SYS_ptrace, PTRACE_GETSIGINFO, tid, 0, &si)); if (si.si_signo) tell(" %d %x", si.si_signo, si.si_code); break;
    case 9: tell("message(%c)", 'A' + to), told(sys(SYS_ptrace, PTRACE_GETEVENTMSG, tid, 0, &message)), tell(" %s", message < 2 || message > 0x7f && message % 256 == 0 ? "status" : who(message)); break;
    default: {
      int all = one_in(3), how = PICK(PTRACE_CONT, PTRACE_CONT, PTRACE_SYSCALL);
      if (all) // whoever it traces
        for (int i = 0; i < AGENTS; i++) {
          if (!agents[i].used || sys(SYS_ptrace, how, agents[i].tid, 0, 0) < 0) continue;
          tell("cont %d(%c) ", how, 'A' + i);
        }
      else tell("cont %d(%c, %d)", how, 'A' + to, sig), told(sys(SYS_ptrace, how, tid, 0, sig));
    }
  }
}

static void act(int op) {
  switch (op >= 0 ? op : below(CATCH_ALL)) {
    case 0 ... 6: do_spawn(); break;
    case 7: do_clone3(); break;
    case 8 ... 13: do_wait4(); break;
    case 14 ... 18: do_waitid(); break;
    case 19 ... 21: do_group(); break;
    case 22 ... 26: do_kill(); break;
    case 27 ... 28: do_action(); break;
    case 29 ... 30: do_prctl(); break;
    case 31 ... 32: tell("exit"), sys(SYS_exit, 3 + me()); break;
    case 33: tell("exit_group"), sys(SYS_exit_group, 20 + me()); break;
    case 34 ... 35: execute(); break;
    case CATCH_ALL: for (int s = 1; s < 32; s++) if (s != SIGTERM && s != SIGTSTP && s != SIGTTIN) catch(s, handler, s == SIGCHLD ? SA_RESTART : 0); break;
    default: do_trace(); break;
  }
}

static void one(char *to, size_t room, const char *status, const char *stat) {
  int ppid = 0, pgrp = 0, sid = 0;
  sscanf(stat, "%*c %d %d %d", &ppid, &pgrp, &sid);
  snprintf(to, room, "%c parent %s group %s session %s tracer %s threads %s", stat[0], who(ppid), who(pgrp), who(sid), who(atoi(field(status, "\nTracerPid:"))), field(status, "\nThreads:"));
}
static void state(char *to, size_t room) { agents_state(to, room, one); }
static void step(unsigned i) { agents_step(); }
static void begin(uint64_t seed) {
  for (int s = 1; s < 32; s++) signal(s, SIG_DFL);
  agents_begin();
  order(0, CATCH_ALL), order(0, 0), order(0, 1);
  out("\n");
}
