// link: -w
// Sessions, groups and their terminal: who may read, write and change it, who gets which signal (drivers/tty/tty_jobctrl.c).
#include "guest.h"
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <termios.h>

static int master, slave;

// Runs `f` as the leader of a session whose terminal is the slave.
static void session(const char *name, void (*f)(void)) {
  say("# %s", name);
  if (openpty(&master, &slave, NULL, NULL, NULL) < 0) say("openpty");
  pid_t p = fork();
  if (p == 0) {
    setsid();
    ioctl(slave, TIOCSCTTY, 0);
    f();
    _exit(0);
  }
  close(slave);
  wait_say(name, p);
  close(master);
}

static volatile sig_atomic_t seen[65];
static void note(int s) { seen[s]++; }

static void handle(int sig, int flags) {
  struct sigaction sa = {.sa_handler = note, .sa_flags = flags};
  sigaction(sig, &sa, NULL);
}

static void status_say(const char *name, pid_t p, int options) {
  int st = 0;
  pid_t r = waitpid(p, &st, options);
  if (r < 0) say("%s: %s", name, strerrorname_np(errno));
  else if (r == 0) say("%s: nothing", name);
  else if (WIFSTOPPED(st)) say("%s: stopped by %d", name, WSTOPSIG(st));
  else if (WIFCONTINUED(st)) say("%s: continued", name);
  else if (WIFSIGNALED(st)) say("%s: killed by %d", name, WTERMSIG(st));
  else say("%s: exit %d", name, WEXITSTATUS(st));
}

// A child in a group of its own, in the background.
static pid_t job(void (*f)(void)) {
  pid_t p = fork();
  if (p == 0) {
    setpgid(0, 0);
    f();
    _exit(0);
  }
  setpgid(p, p);
  return p;
}

static void try_all(void) {
  char c;
  struct termios t;
  struct winsize w;
  int n;
  ret("read", read(slave, &c, 1));
  ret("write", write(slave, "w", 1));
  ret("TCGETS", ioctl(slave, TCGETS, &t));
  ret("TCSETS", ioctl(slave, TCSETS, &t));
  ret("TCFLSH", ioctl(slave, TCFLSH, TCIFLUSH));
  ret("TCSBRK", ioctl(slave, TCSBRK, 1));
  ret("TCXONC", ioctl(slave, TCXONC, TCOON));
  ret("TIOCSPGRP", tcsetpgrp(slave, getpgrp()));
  ret("TIOCGWINSZ", ioctl(slave, TIOCGWINSZ, &w));
  ret("TIOCSWINSZ", ioctl(slave, TIOCSWINSZ, &w));
  ret("FIONREAD", ioctl(slave, FIONREAD, &n));
  ret("TIOCGSID", ioctl(slave, TIOCGSID, &n));
}

static void ignoring(void) {
  signal(SIGTTIN, SIG_IGN);
  signal(SIGTTOU, SIG_IGN);
  try_all();
}

static void blocking(void) {
  sigset_t s;
  sigemptyset(&s);
  sigaddset(&s, SIGTTIN);
  sigaddset(&s, SIGTTOU);
  sigprocmask(SIG_BLOCK, &s, NULL);
  try_all();
  sigpending(&s);
  say("pending %d %d", sigismember(&s, SIGTTIN), sigismember(&s, SIGTTOU));
}

static void handling(void) {
  char c;
  handle(SIGTTIN, 0);
  handle(SIGTTOU, 0);
  ret("read", read(slave, &c, 1));
  say("SIGTTIN %d", seen[SIGTTIN]);
  ret("write", write(slave, "x", 1));
  ret("tcsetpgrp", tcsetpgrp(slave, getpgrp()));
  say("SIGTTOU %d", seen[SIGTTOU]);
}

static void read_default(void) {
  char c;
  read(slave, &c, 1);
}
static void write_default(void) { write(slave, "x", 1); }
static void set_default(void) {
  struct termios t;
  tcgetattr(slave, &t);
  tcsetattr(slave, TCSANOW, &t);
}
static void grab_default(void) { tcsetpgrp(slave, getpgrp()); }

static void ttou(int on) {
  struct termios t;
  tcgetattr(slave, &t);
  t.c_lflag = on ? t.c_lflag | TOSTOP : t.c_lflag & ~TOSTOP;
  tcsetattr(slave, TCSANOW, &t);
}

static void background(void) {
  void (*f[])(void) = {read_default, write_default, set_default, grab_default};
  const char *names[] = {"reader", "writer", "setter", "grabber"};
  signal(SIGTTOU, SIG_IGN);
  for (int tostop = 0; tostop < 2; tostop++) {
    ttou(tostop);
    say("tostop %d", tostop);
    signal(SIGTTOU, SIG_DFL);
    for (int i = 0; i < 4; i++) {
      pid_t p = job(f[i]);
      status_say(names[i], p, WUNTRACED);
      if (waitpid(p, NULL, WNOHANG) == 0) kill(p, SIGKILL), waitpid(p, NULL, 0);
    }
    signal(SIGTTOU, SIG_IGN);
    tcsetpgrp(slave, getpgrp());
    say("handling"), status_say("end", job(handling), 0);
    tcsetpgrp(slave, getpgrp());
    say("ignoring"), status_say("end", job(ignoring), 0);
    tcsetpgrp(slave, getpgrp());
    say("blocking"), status_say("end", job(blocking), 0);
    tcsetpgrp(slave, getpgrp());
  }
}

// Stop, continue, and who is told what.
static void pauser(void) { for (;;) pause(); }

static void stops(void) {
  pid_t p = job(pauser);
  status_say("nothing yet", p, WNOHANG | WUNTRACED);
  kill(p, SIGTSTP);
  status_say("TSTP", p, WUNTRACED);
  status_say("told once", p, WUNTRACED | WNOHANG);
  kill(p, SIGCONT);
  status_say("CONT", p, WCONTINUED);
  kill(p, SIGTTIN);
  status_say("TTIN", p, WUNTRACED);
  kill(p, SIGTERM);
  status_say("TERM waits", p, WNOHANG);
  kill(p, SIGCONT);
  status_say("then", p, 0);
  p = job(pauser);
  kill(p, SIGSTOP);
  status_say("STOP", p, WUNTRACED);
  kill(p, SIGKILL);
  status_say("KILL", p, 0);
  // The keys.
  signal(SIGTTOU, SIG_IGN);
  p = job(pauser);
  tcsetpgrp(slave, p);
  write(master, "\x1a", 1);
  status_say("^Z", p, WUNTRACED);
  kill(p, SIGCONT);
  status_say("fg", p, WCONTINUED);
  write(master, "\x03", 1);
  status_say("^C", p, 0);
  p = job(pauser);
  tcsetpgrp(slave, p);
  struct rlimit_ {
    unsigned long a, b;
  } none = {0, 0};
  syscall(SYS_prlimit64, p, 4, &none, NULL);
  write(master, "\x1c", 1);
  status_say("^\\", p, 0);
  tcsetpgrp(slave, getpgrp());
}

static void orphan_child(void) {
  char c;
  kill(getpid(), SIGTSTP);
  say("TSTP does not stop an orphan");
  kill(getpid(), SIGTTIN);
  ret("read", read(slave, &c, 1));
  signal(SIGTTOU, SIG_DFL);
  ret("tcsetpgrp", tcsetpgrp(slave, getpgrp()));
}

static int go[2];

static void orphans(void) {
  char c;
  int done[2];
  pipe(go);
  pipe(done);
  pid_t p = fork();
  if (p == 0) {
    setpgid(0, 0);
    if (fork() == 0) {
      close(go[1]);
      read(go[0], &c, 1);
      orphan_child();
      _exit(0);
    }
    _exit(0);
  }
  waitpid(p, NULL, 0);
  close(go[0]);
  close(go[1]);
  close(done[1]);
  read(done[0], &c, 1); // until the orphan is gone
  // A stopped group that becomes orphaned gets SIGHUP and SIGCONT.
  pipe(done);
  p = fork();
  if (p == 0) {
    setpgid(0, 0);
    close(done[0]);
    pid_t q = fork();
    if (q == 0) {
      handle(SIGHUP, 0);
      handle(SIGCONT, 0);
      raise(SIGSTOP);
      while (!seen[SIGHUP] || !seen[SIGCONT]) sleep_ms(1);
      dprintf(done[1], "HUP %d CONT %d", seen[SIGHUP], seen[SIGCONT]);
      _exit(0);
    }
    until_state(q, 'T');
    _exit(0);
  }
  close(done[1]);
  waitpid(p, NULL, 0);
  char b[100] = "";
  for (int n = 0, r; (r = read(done[0], b + n, sizeof b - 1 - n)) > 0;) n += r;
  say("stopped when orphaned: %s", b);
}

static void errors(void) {
  int n = 0, other_master, other;
  pid_t pg;
  openpty(&other_master, &other, NULL, NULL, NULL);
  ret("TIOCSCTTY, has one", ioctl(other, TIOCSCTTY, 0));
  ret("TIOCSCTTY, the same", ioctl(slave, TIOCSCTTY, 0));
  ret("TIOCGPGRP of another", ioctl(other, TIOCGPGRP, &n));
  ret("TIOCSPGRP of another", ioctl(other, TIOCSPGRP, (pg = getpgrp(), &pg)));
  ret("TIOCNOTTY of another", ioctl(other, TIOCNOTTY));
  ret("TIOCGSID of another", ioctl(other, TIOCGSID, &n));
  is("TIOCGPGRP of the master", ioctl(master, TIOCGPGRP, &n) == 0 && n == getpgrp());
  is("TIOCGSID of the master", ioctl(master, TIOCGSID, &n) == 0 && n == getsid(0));
  pg = -1;
  ret("TIOCSPGRP -1", ioctl(slave, TIOCSPGRP, &pg));
  pg = 0;
  ret("TIOCSPGRP 0", ioctl(slave, TIOCSPGRP, &pg));
  pg = 999999;
  ret("TIOCSPGRP nobody", ioctl(slave, TIOCSPGRP, &pg));
  pg = getppid();
  ret("TIOCSPGRP, another session", ioctl(slave, TIOCSPGRP, &pg));
  ret("TIOCSPGRP bad pointer", ioctl(slave, TIOCSPGRP, BAD_PTR));
  ret("TIOCGPGRP bad pointer", ioctl(slave, TIOCGPGRP, BAD_PTR));
  ret("setsid of a leader", setsid());
  ret("setpgid of a leader", setpgid(0, 0));
  ret("setpgid negative", setpgid(0, -1));
  ret("setpgid of a stranger", setpgid(getppid(), 0));
  pid_t p = fork();
  if (p == 0) {
    ret("child: TIOCSCTTY, no leader", ioctl(other, TIOCSCTTY, 0));
    ok("child: /dev/tty", open("/dev/tty", O_RDWR));
    ret("child: setpgid to nobody", setpgid(0, 999999));
    ok("child: setsid", setsid());
    ret("child: /dev/tty", open("/dev/tty", O_RDWR));
    ret("child: terminal of another session", ioctl(slave, TIOCSCTTY, 0));
    ret("child: TIOCNOTTY", ioctl(slave, TIOCNOTTY));
    ret("child: TIOCGPGRP", ioctl(slave, TIOCGPGRP, &n));
    int fd = open(ttyname(other), O_RDWR);
    ok("child: opened", fd);
    is("child: it is the terminal", tcgetsid(fd) == getpid() && tcgetpgrp(fd) == getpid());
    ok("child: /dev/tty", open("/dev/tty", O_RDWR));
    _exit(0);
  }
  wait_say("child", p);
  p = fork();
  if (p == 0) {
    setsid();
    ok("opened without", open(ttyname(other), O_RDWR | O_NOCTTY));
    ret("no terminal", open("/dev/tty", O_RDWR));
    // Stolen by root.
    ok("steal", ioctl(slave, TIOCSCTTY, 1));
    _exit(0);
  }
  wait_say("thief", p);
  ret("robbed: TIOCGPGRP", ioctl(slave, TIOCGPGRP, &n));
  ret("robbed: /dev/tty", open("/dev/tty", O_RDWR));
}

static void children_of_exec(void) {
  pid_t p = fork();
  if (p == 0) execl("/bin/true", "true", NULL), _exit(1);
  until_state(p, 'Z');
  ret("setpgid after exec", setpgid(p, p));
  wait_say("it", p);
}

// vhangup(2) of the terminal: what is open is dead, /dev/tty is gone.
static void hung_up(void) {
  char c;
  int n;
  handle(SIGHUP, 0);
  handle(SIGCONT, 0);
  ret("vhangup", syscall(SYS_vhangup));
  while (!seen[SIGHUP] || !seen[SIGCONT]) sleep_ms(1);
  say("HUP %d CONT %d", seen[SIGHUP], seen[SIGCONT]);
  ret("read", read(slave, &c, 1));
  ret("write", write(slave, "x", 1));
  ret("TIOCGPGRP", ioctl(slave, TIOCGPGRP, &n));
  ret("FIONREAD", ioctl(slave, FIONREAD, &n));
  struct pollfd p = {slave, POLLIN | POLLOUT, 0};
  poll(&p, 1, 0);
  say("poll %x", p.revents);
  ret("/dev/tty", open("/dev/tty", O_RDWR));
  ret("tcgetsid", tcgetsid(slave));
}

static void wait_for_end(void) { for (;;) pause(); }
static void read_one(void) { char c; _exit(read(slave, &c, 1) == 1 ? c : 100); }

// The terminal goes on belonging to a group that is gone: all others are in its background.
static void dead_foreground(void) {
  char c;
  int n = 0;
  pid_t p = job(wait_for_end);
  ret("tcsetpgrp", tcsetpgrp(slave, p));
  kill(p, SIGKILL), status_say("its end", p, 0);
  ret("TIOCGPGRP", ioctl(slave, TIOCGPGRP, &n));
  say("still its: %d", n == p);
  ret("read of the leader, an orphan", read(slave, &c, 1));
  ret("write", write(slave, "x", 1));
  pid_t reader = job(read_one);
  status_say("read of a job", reader, WUNTRACED);
  ret("a signal for nobody", ioctl(master, TIOCSIG, SIGINT));
  ret("tcsetpgrp of the dead", tcsetpgrp(slave, p));
  ret("tcsetpgrp of an orphan", tcsetpgrp(slave, getpgrp()));
  signal(SIGTTOU, SIG_IGN);
  ret("tcsetpgrp, SIGTTOU ignored", tcsetpgrp(slave, p));
  ret("tcsetpgrp of the reader", tcsetpgrp(slave, reader));
  kill(reader, SIGCONT);
  write(master, "7\n", 2);
  status_say("the reader in the foreground", reader, 0);
}

static void winch(void) {
  handle(SIGWINCH, 0);
  struct winsize w = {11, 22, 0, 0};
  ret("from the slave", ioctl(slave, TIOCSWINSZ, &w));
  while (!seen[SIGWINCH]) sleep_ms(1);
  w.ws_row = 12;
  ret("from the master", ioctl(master, TIOCSWINSZ, &w));
  while (seen[SIGWINCH] < 2) sleep_ms(1);
  ret("the same", ioctl(master, TIOCSWINSZ, &w));
  say("SIGWINCH %d", seen[SIGWINCH]);
}

int main(void) {
  signal(SIGHUP, SIG_IGN);
  session("background", background);
  session("stops", stops);
  session("orphans", orphans);
  session("errors", errors);
  session("exec", children_of_exec);
  session("vhangup", hung_up);
  session("dead foreground", dead_foreground);
  session("window size", winch);
  return 0;
}
