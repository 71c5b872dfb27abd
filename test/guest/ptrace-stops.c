// ptrace(2) and group stops: attaching to running, sleeping and stopped tracees, PTRACE_INTERRUPT and PTRACE_LISTEN, SIGCONT,
// what the tracer and a parent that does not trace hear of it, detaching, and the ends of both sides.
#include "guest.h"
#include <linux/ptrace.h>
#include <sys/prctl.h>
#include <pthread.h>

static long pt(long req, pid_t pid, long addr, long data) { return syscall(SYS_ptrace, req, pid, addr, data); }

static const char *status_text(int st) {
  static char b[64];
  if (WIFEXITED(st)) sprintf(b, "exit %d", WEXITSTATUS(st));
  else if (WIFSIGNALED(st)) sprintf(b, "killed %d", WTERMSIG(st));
  else if (WIFCONTINUED(st)) sprintf(b, "continued");
  else sprintf(b, "stop %d event %d", WSTOPSIG(st), st >> 16);
  return b;
}
static int wait_for(const char *name, pid_t pid) {
  int st = 0;
  pid_t r = waitpid(pid, &st, __WALL);
  if (r != pid) say("%s: waitpid %s", name, r < 0 ? strerrorname_np(errno) : "other");
  else say("%s: %s", name, status_text(st));
  return st;
}
static void look(const char *name, pid_t pid, int options) {
  siginfo_t si = {0};
  if (waitid(P_PID, pid, &si, options | WNOHANG | __WALL) < 0) say("%s: %s", name, strerrorname_np(errno));
  else if (si.si_pid == 0) say("%s: nothing", name);
  else say("%s: code %d status %x", name, si.si_code, si.si_status);
}
// waitid that waits: code and status.
static void wait_info(const char *name, pid_t pid, int options) {
  siginfo_t si = {0};
  if (waitid(P_PID, pid, &si, options | __WALL) < 0) say("%s: %s", name, strerrorname_np(errno));
  else say("%s: code %d status %x own %d", name, si.si_code, si.si_status, si.si_pid == pid);
}
static void siginfo(const char *name, pid_t pid) {
  siginfo_t si;
  if (pt(PTRACE_GETSIGINFO, pid, 0, (long)&si) < 0) say("%s: siginfo %s", name, strerrorname_np(errno));
  else say("%s: signo %d code %x own pid %d", name, si.si_signo, si.si_code, si.si_pid == pid);
}
// SIGCHLD is blocked all the time. A wait may come before the signal and take the status away: so the signal is taken first.
static void print_chld(const char *name, int wait) {
  sigset_t s;
  siginfo_t si;
  sigemptyset(&s), sigaddset(&s, SIGCHLD);
  struct timespec none = {0, 0};
  int r = sigtimedwait(&s, &si, wait ? NULL : &none);
  if (r < 0) say("%s: no SIGCHLD", name);
  else say("%s: SIGCHLD code %d status %x", name, si.si_code, si.si_status);
}
static void chld(const char *name) { print_chld(name, 1); }
static void no_chld(const char *name) { print_chld(name, 0); }
// After the end of a process, whose signals have all come by then.
static void drop_chld(void) {
  sigset_t s;
  sigemptyset(&s), sigaddset(&s, SIGCHLD);
  struct timespec none = {0, 0};
  while (sigtimedwait(&s, 0, &none) > 0) {}
}

static volatile int *shared;
static void on_signal(int s) { shared[s]++; }
static void until(volatile int *word, int value) { while (*word < value) sleep_ms(1); }

enum kind { SLEEPING, RUNNING, STOPPED };
static const char *const kinds[] = {"sleeping", "running", "stopped"};
static pid_t child(enum kind k) {
  memset((void *)shared, 0, 4096);
  fflush(stdout);
  pid_t c = fork();
  if (c == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGUSR1, on_signal);
    signal(SIGCONT, on_signal);
    shared[100] = 1;
    if (k == RUNNING) for (;;) shared[101]++;
    for (;;) pause();
  }
  until(&shared[100], 1);
  if (k == RUNNING) until(&shared[101], 1);
  else until_state(c, 'S');
  if (k == STOPPED) {
    kill(c, SIGTSTP);
    int st;
    chld("child");
    waitpid(c, &st, WUNTRACED);
    until_state(c, 'T');
  }
  return c;
}
static void end(pid_t c) {
  kill(c, SIGKILL);
  wait_for("  end", c);
  drop_chld();
}

static void seize(enum kind k) {
  pid_t c = child(k);
  say("# seize, %s", kinds[k]);
  ret("seize", pt(PTRACE_SEIZE, c, 0, 0));
  if (k == STOPPED) {
    chld("it");
    wait_info("stop of its own", c, WSTOPPED);
    siginfo("it", c);
    ret("interrupt, stopped", pt(PTRACE_INTERRUPT, c, 0, 0));
    look("nothing yet", c, WSTOPPED);
    ret("cont", pt(PTRACE_CONT, c, 0, 0));
  } else {
    look("nothing yet", c, WSTOPPED);
    ret("interrupt", pt(PTRACE_INTERRUPT, c, 0, 0));
  }
  chld("interrupted");
  wait_info("interrupted", c, WSTOPPED);
  siginfo("interrupted", c);
  ret("interrupt twice", pt(PTRACE_INTERRUPT, c, 0, 0));
  ret("interrupt twice", pt(PTRACE_INTERRUPT, c, 0, 0));
  look("in the trap", c, WSTOPPED);
  ret("cont", pt(PTRACE_CONT, c, 0, SIGUSR1));
  chld("trap again");
  wait_for("trap again", c);
  say("signal of cont came %d", shared[SIGUSR1]);
  ret("cont", pt(PTRACE_CONT, c, 0, 0));
  ret("usr1", kill(c, SIGUSR1));
  chld("signal");
  wait_for("signal", c);
  siginfo("signal", c);
  ret("interrupt in a signal stop", pt(PTRACE_INTERRUPT, c, 0, 0));
  ret("cont", pt(PTRACE_CONT, c, 0, SIGUSR1));
  wait_for("trap after the signal", c);
  ret("listen", pt(PTRACE_LISTEN, c, 0, 0));
  look("listening", c, WSTOPPED);
  ret("interrupt, listening", pt(PTRACE_INTERRUPT, c, 0, 0));
  wait_for("trap", c);
  siginfo("trap", c);
  ret("cont", pt(PTRACE_CONT, c, 0, 0));
  until(&shared[SIGUSR1], 1);
  // SIGCONT is told of, stopped or not.
  kill(c, SIGCONT);
  wait_for("continued", c);
  siginfo("continued", c);
  ret("cont", pt(PTRACE_CONT, c, 0, 0));
  wait_for("SIGCONT", c);
  ret("cont", pt(PTRACE_CONT, c, 0, SIGCONT));
  until(&shared[SIGCONT], 1);
  look("continued state", c, WCONTINUED);
  end(c);
}

static void attach(enum kind k) {
  pid_t c = child(k);
  say("# attach, %s", kinds[k]);
  ret("attach", pt(PTRACE_ATTACH, c, 0, 0));
  chld("stop");
  wait_info("stop", c, WSTOPPED | WNOWAIT);
  wait_info("stop", c, WSTOPPED);
  siginfo("stop", c);
  ret("interrupt", pt(PTRACE_INTERRUPT, c, 0, 0));
  ret("listen", pt(PTRACE_LISTEN, c, 0, 0));
  ret("cont", pt(PTRACE_CONT, c, 0, 0));
  if (k == STOPPED) {
    chld("SIGSTOP");
    wait_for("SIGSTOP", c);
    siginfo("SIGSTOP", c);
    ret("cont", pt(PTRACE_CONT, c, 0, SIGSTOP));
    chld("second group stop");
    wait_for("second group stop", c);
    siginfo("second group stop", c);
    ret("cont", pt(PTRACE_CONT, c, 0, 0));
  }
  kill(c, SIGTTIN);
  chld("SIGTTIN");
  wait_for("SIGTTIN", c);
  ret("cont", pt(PTRACE_CONT, c, 0, SIGTTIN));
  chld("group stop");
  wait_info("group stop", c, WSTOPPED);
  siginfo("group stop", c);
  kill(c, SIGCONT);
  look("SIGCONT leaves a tracee stopped", c, WSTOPPED);
  look("continued state", c, WCONTINUED);
  ret("cont", pt(PTRACE_CONT, c, 0, 0));
  wait_for("SIGCONT", c);
  ret("cont", pt(PTRACE_CONT, c, 0, SIGCONT));
  until(&shared[SIGCONT], 1);
  end(c);
}

static void listening(void) {
  say("# listening");
  pid_t c = child(STOPPED);
  ret("seize", pt(PTRACE_SEIZE, c, 0, 0));
  ret("listen unseen", pt(PTRACE_LISTEN, c, 0, 0));
  look("not reported", c, WSTOPPED);
  ret("interrupt", pt(PTRACE_INTERRUPT, c, 0, 0));
  wait_info("interrupted", c, WSTOPPED);
  siginfo("interrupted", c);
  ret("listen", pt(PTRACE_LISTEN, c, 0, 0));
  ret("getsiginfo, listening", pt(PTRACE_GETSIGINFO, c, 0, (long)&(siginfo_t){0}));
  ret("cont, listening", pt(PTRACE_CONT, c, 0, 0));
  ret("detach, listening", pt(PTRACE_DETACH, c, 0, 0));
  ret("listen, listening", pt(PTRACE_LISTEN, c, 0, 0));
  kill(c, SIGUSR1);
  kill(c, SIGSTOP);
  look("signals do not end it", c, WSTOPPED);
  kill(c, SIGCONT);
  wait_info("SIGCONT", c, WSTOPPED);
  siginfo("SIGCONT", c);
  look("continued state", c, WCONTINUED | WNOWAIT);
  kill(c, SIGTSTP);
  kill(c, SIGCONT);
  look("stopped as it is", c, WSTOPPED);
  ret("listen", pt(PTRACE_LISTEN, c, 0, 0));
  wait_for("SIGCONT has come since", c);
  ret("cont", pt(PTRACE_CONT, c, 0, 0));
  wait_for("usr1", c);
  ret("cont", pt(PTRACE_CONT, c, 0, SIGUSR1));
  wait_for("SIGCONT", c);
  // A stop signal that a SIGCONT has overtaken stops nobody.
  ret("cont", pt(PTRACE_CONT, c, 0, 0));
  kill(c, SIGTSTP);
  wait_for("SIGTSTP", c);
  kill(c, SIGCONT);
  ret("cont", pt(PTRACE_CONT, c, 0, SIGTSTP));
  wait_for("no stop", c);
  ret("cont", pt(PTRACE_CONT, c, 0, 0));
  wait_for("SIGCONT", c);
  // A signal becomes a stop.
  ret("cont", pt(PTRACE_CONT, c, 0, 0));
  kill(c, SIGUSR1);
  wait_for("usr1", c);
  ret("cont as SIGSTOP", pt(PTRACE_CONT, c, 0, SIGSTOP));
  wait_for("group stop", c);
  ret("cont", pt(PTRACE_CONT, c, 0, 0));
  kill(c, SIGTSTP);
  wait_for("SIGTSTP while the group is stopped", c);
  ret("cont", pt(PTRACE_CONT, c, 0, SIGTSTP));
  wait_info("stopped again", c, WSTOPPED);
  end(c);
}

static void state(const char *name, pid_t c, char want) {
  until_state(c, want);
  say("%s: state %c", name, want);
}
static void detaching(void) {
  say("# detaching");
  static const int sigs[] = {0, SIGUSR1, SIGKILL, SIGCONT};
  for (int seized = 0; seized < 2; seized++) {
    for (int i = 0; i < 4; i++) {
      pid_t c = child(STOPPED);
      ret(seized ? "seize" : "attach", pt(seized ? PTRACE_SEIZE : PTRACE_ATTACH, c, 0, 0));
      wait_for("stop", c);
      say("with %d = %ld", sigs[i], pt(PTRACE_DETACH, c, 0, sigs[i]));
      state("still stopped", c, 'T');
      look("parent", c, WSTOPPED | WCONTINUED);
      say("handled %d", shared[SIGUSR1]);
      kill(c, SIGCONT);
      look("continued", c, WCONTINUED);
      if (seized) until(&shared[SIGCONT], 1), state("on", c, 'S');
      end(c);
    }
  }
  pid_t c = child(STOPPED);
  ret("seize", pt(PTRACE_SEIZE, c, 0, 0));
  wait_for("stop", c);
  ret("cont", pt(PTRACE_CONT, c, 0, 0));
  state("runs in a stopped group", c, 'S');
  kill(c, SIGUSR1);
  wait_for("signal", c);
  ret("detach with the signal", pt(PTRACE_DETACH, c, 0, SIGUSR1));
  state("joins the stop", c, 'T');
  ret("seize again", pt(PTRACE_SEIZE, c, 0, 0));
  wait_for("stop", c);
  ret("cont", pt(PTRACE_CONT, c, 0, 0));
  until(&shared[SIGUSR1], 1);
  end(c);
}

static void killed(void) {
  say("# killed");
  for (int i = 0; i < 6; i++) {
    pid_t c = child(i == 0 || i == 5 ? SLEEPING : STOPPED);
    ret("seize", pt(i == 1 ? PTRACE_ATTACH : PTRACE_SEIZE, c, 0, 0));
    if (i >= 2 && i < 5) wait_for("stop", c);
    if (i == 3) ret("listen", pt(PTRACE_LISTEN, c, 0, 0));
    if (i == 4) ret("cont", pt(PTRACE_CONT, c, 0, 0));
    if (i == 5) kill(c, SIGUSR1), wait_for("signal", c);
    end(c);
  }
}

// A tracer of its own for `c`, which is its sibling: does `f`, says so, and ends when it is told to.
static int go[2], done[2];
static pid_t tracer(pid_t c, void (*f)(pid_t)) {
  if (pipe(go) || pipe(done)) exit(1);
  fflush(stdout);
  pid_t t = fork();
  if (t == 0) {
    char b = 0;
    close(go[1]), close(done[0]);
    f(c);
    if (write(done[1], &b, 1) != 1) _exit(1);
    _exit(read(go[0], &b, 1) < 0);
  }
  close(go[0]), close(done[1]);
  char b;
  if (read(done[0], &b, 1) != 1) say("tracer failed");
  return t;
}
static void tracer_end(pid_t t) {
  close(go[1]), close(done[0]);
  wait_for("tracer", t);
  drop_chld();
}
static void f_seize(pid_t c) { ret("seize", pt(PTRACE_SEIZE, c, 0, 0)); }
static void f_exitkill(pid_t c) { ret("seize, EXITKILL", pt(PTRACE_SEIZE, c, 0, PTRACE_O_EXITKILL)); }
static void f_seize_wait(pid_t c) { f_seize(c), wait_for("tracer sees", c); }
static void f_kill_wait(pid_t c) { f_exitkill(c), wait_for("tracer sees", c); }
static void f_listen(pid_t c) { f_seize_wait(c), ret("listen", pt(PTRACE_LISTEN, c, 0, 0)); }
static void f_cont(pid_t c) { f_seize_wait(c), ret("cont", pt(PTRACE_CONT, c, 0, 0)); }
static void f_attach_wait(pid_t c) { ret("attach", pt(PTRACE_ATTACH, c, 0, 0)), wait_for("tracer sees", c); }
static void f_signal(pid_t c) { f_seize(c), kill(c, SIGUSR1), wait_for("tracer sees", c); }
// The stop stays unseen.
static void f_unseen(pid_t c) { f_seize(c), kill(c, SIGUSR1), until_state(c, 't'); }
static void f_stop(pid_t c) {
  f_seize(c), kill(c, SIGSTOP), wait_for("signal", c);
  ret("cont", pt(PTRACE_CONT, c, 0, SIGSTOP)), wait_for("group stop", c);
}

static void tracers_end(void) {
  say("# ends of tracers");
  static const struct { enum kind k; void (*f)(pid_t); char then; int handled; const char *name; } cases[] = {
    {STOPPED, f_seize, 'T', 0, "seized, stopped"}, {STOPPED, f_seize_wait, 'T', 0, "seen"},
    {STOPPED, f_listen, 'T', 0, "listening"},      {STOPPED, f_cont, 'T', 0, "let go in a stop"},
    {STOPPED, f_attach_wait, 'T', 0, "attached"},  {SLEEPING, f_seize, 'S', 0, "running"},
    {SLEEPING, f_signal, 'S', 0, "at a signal"},   {SLEEPING, f_unseen, 'S', 1, "at a signal nobody saw"},
    {SLEEPING, f_stop, 'T', 0, "stopped by the tracer"},
  };
  for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
    say("## %s", cases[i].name);
    pid_t c = child(cases[i].k);
    pid_t t = tracer(c, cases[i].f);
    look("parent meanwhile", c, WSTOPPED | WCONTINUED | WEXITED);
    tracer_end(t);
    if (cases[i].handled) until(&shared[SIGUSR1], 1);
    state("then", c, cases[i].then);
    say("handled %d", shared[SIGUSR1]);
    end(c);
  }
  static void (*const deadly[])(pid_t) = {f_exitkill, f_kill_wait};
  for (int i = 0; i < 3; i++) {
    pid_t c = child(i == 0 ? SLEEPING : STOPPED);
    pid_t t = tracer(c, deadly[i == 2]);
    tracer_end(t);
    wait_for("killed", c);
    drop_chld();
  }
}

// The parent that does not trace hears of group stops, not of the tracer's own.
static void f_parent(pid_t c) {
  f_seize(c);
  ret("interrupt", pt(PTRACE_INTERRUPT, c, 0, 0)), wait_for("tracer sees", c);
}
static void command(char what) {
  char b;
  if (write(go[1], &what, 1) != 1 || read(done[0], &b, 1) != 1) say("tracer failed");
}
static void f_serve(pid_t c) {
  f_parent(c);
  char b = 0;
  while (write(done[1], &b, 1) == 1 && read(go[0], &b, 1) == 1) {
    if (b == 'c') ret("tracer: cont", pt(PTRACE_CONT, c, 0, 0));
    if (b == 's') ret("tracer: cont with SIGSTOP", pt(PTRACE_CONT, c, 0, SIGSTOP));
    if (b == 'w') wait_for("tracer", c);
    if (b == 'l') ret("tracer: listen", pt(PTRACE_LISTEN, c, 0, 0));
    if (b == 'd') ret("tracer: detach", pt(PTRACE_DETACH, c, 0, 0));
    if (b == 'n') look("tracer", c, WSTOPPED | WCONTINUED);
  }
  _exit(0);
}
static void parents(void) {
  say("# parent and tracer");
  pid_t c = child(SLEEPING);
  pid_t t = tracer(c, f_serve);
  look("parent, interrupted tracee", c, WSTOPPED | WCONTINUED | WEXITED);
  no_chld("parent, interrupted tracee");
  command('c');
  kill(c, SIGSTOP);
  command('w');
  look("parent, signal stop", c, WSTOPPED);
  no_chld("parent, signal stop");
  command('s'), command('w');
  chld("parent, group stop");
  wait_info("parent, group stop", c, WSTOPPED | WNOWAIT);
  wait_info("parent, group stop", c, WSTOPPED);
  look("parent, once", c, WSTOPPED);
  command('c');
  look("parent, tracee runs on", c, WSTOPPED | WCONTINUED);
  kill(c, SIGCONT);
  command('w');
  look("parent, continued", c, WCONTINUED | WNOWAIT);
  look("parent, continued", c, WCONTINUED);
  command('n');
  command('c'), command('w'), command('c');
  kill(c, SIGSTOP);
  command('w'), command('s'), command('w'), command('l');
  int st = 0;
  waitpid(c, &st, WUNTRACED);
  say("parent: %s", status_text(st));
  command('n');
  kill(c, SIGCONT);
  command('w'), command('n'), command('c'), command('w'), command('d');
  state("detached", c, 'S');
  tracer_end(t);
  end(c);
}

// Two threads, of which the tracer lets one go at a time.
static volatile pid_t *tids;
static void *second(void *a) {
  tids[1] = syscall(SYS_gettid);
  for (;;) pause();
  return a;
}
static void threads(void) {
  say("# threads");
  memset((void *)shared, 0, 4096);
  tids = (volatile pid_t *)shared + 200;
  fflush(stdout);
  pid_t c = fork();
  if (c == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    pthread_t t;
    signal(SIGUSR1, on_signal);
    pthread_create(&t, 0, second, 0);
    for (;;) pause();
  }
  until((volatile int *)&tids[1], 1);
  pid_t o = tids[1];
  until_state(c, 'S'), until_state(o, 'S');
  ret("seize one", pt(PTRACE_SEIZE, o, 0, 0));
  look("the other is the child", c, WSTOPPED);
  kill(c, SIGSTOP);
  // The untraced leader takes it.
  wait_info("thread stops with the group", o, WSTOPPED);
  siginfo("thread", o);
  until_state(c, 'T');
  wait_info("parent hears of it all", c, WSTOPPED);
  ret("seize the leader", pt(PTRACE_SEIZE, c, 0, 0));
  wait_for("leader", c);
  ret("listen", pt(PTRACE_LISTEN, o, 0, 0));
  ret("leader goes on", pt(PTRACE_CONT, c, 0, 0));
  state("leader", c, 'S');
  syscall(SYS_tgkill, c, c, SIGTSTP);
  wait_for("leader, SIGTSTP", c);
  look("thread listens", o, WSTOPPED);
  ret("cont", pt(PTRACE_CONT, c, 0, SIGTSTP));
  wait_for("leader, group stop", c);
  wait_for("thread, group stop", o);
  ret("interrupt", pt(PTRACE_INTERRUPT, o, 0, 0));
  ret("listen", pt(PTRACE_LISTEN, o, 0, 0));
  look("interrupt before listen", o, WSTOPPED);
  kill(c, SIGCONT);
  wait_for("thread, SIGCONT", o);
  look("leader, SIGCONT", c, WSTOPPED);
  ret("cont", pt(PTRACE_CONT, c, 0, 0));
  wait_for("leader, SIGCONT", c);
  // A stop that is not complete: the thread stays in its trap.
  ret("cont", pt(PTRACE_CONT, c, 0, 0));
  wait_for("leader, signal", c);
  ret("cont", pt(PTRACE_CONT, c, 0, 0));
  syscall(SYS_tgkill, c, c, SIGSTOP);
  wait_for("leader, SIGSTOP", c);
  ret("cont", pt(PTRACE_CONT, c, 0, SIGSTOP));
  wait_for("leader, group stop", c);
  ret("detach the leader", pt(PTRACE_DETACH, c, 0, 0));
  state("leader", c, 'T');
  look("parent, not complete", c, WSTOPPED);
  ret("cont", pt(PTRACE_CONT, o, 0, 0));
  wait_for("thread, group stop", o);
  wait_info("parent, complete", c, WSTOPPED);
  ret("detach the thread", pt(PTRACE_DETACH, o, 0, 0));
  state("thread", o, 'T');
  kill(c, SIGCONT);
  state("thread", o, 'S');
  wait_info("parent, continued", c, WCONTINUED);
  end(c);
}

static void f_events(void) {
  if (fork() == 0) _exit(0);
  wait(0);
}
// A signal given along from a stop that is no signal's.
static void events(void) {
  say("# signals from other stops");
  memset((void *)shared, 0, 4096);
  fflush(stdout);
  pid_t c = fork();
  if (c == 0) {
    signal(SIGUSR1, on_signal);
    shared[100] = 1;
    until(&shared[102], 1);
    f_events();
    _exit(shared[SIGUSR1]);
  }
  until(&shared[100], 1);
  ret("seize", pt(PTRACE_SEIZE, c, 0, PTRACE_O_TRACEFORK));
  shared[102] = 1;
  int st = wait_for("fork", c);
  unsigned long kid = 0;
  ret("message", pt(PTRACE_GETEVENTMSG, c, 0, (long)&kid));
  wait_for("kid", (pid_t)kid);
  ret("cont kid", pt(PTRACE_CONT, (pid_t)kid, 0, SIGUSR1));
  wait_for("kid", (pid_t)kid);
  ret("interrupt", pt(PTRACE_INTERRUPT, c, 0, 0));
  ret("cont", pt(PTRACE_CONT, c, 0, SIGUSR1));
  for (;;) {
    st = 0;
    if (waitpid(c, &st, __WALL) != c || !WIFSTOPPED(st)) break;
    if (WSTOPSIG(st) != SIGCHLD) say("first: %s", status_text(st));
    pt(PTRACE_CONT, c, 0, 0);
  }
  say("first: %s", status_text(st));
}

int main(void) {
  setvbuf(stdout, 0, _IOLBF, 0);
  sigset_t s;
  sigemptyset(&s), sigaddset(&s, SIGCHLD);
  sigprocmask(SIG_BLOCK, &s, 0);
  shared = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  // A process group that is not orphaned: SIGTSTP stops it.
  pid_t all = fork();
  if (all != 0) {
    wait_say("all", all);
    return 0;
  }
  setpgid(0, 0);
  alarm(100);
  for (enum kind k = SLEEPING; k <= STOPPED; k++) seize(k), attach(k);
  listening();
  detaching();
  killed();
  tracers_end();
  parents();
  threads();
  events();
  return 0;
}
