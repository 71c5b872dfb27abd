// pidfds of processes and threads: opening, signals by them, polling, what else takes them.
#include "guest.h"
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>

#define PIDFD_THREAD O_EXCL

static int popen_(pid_t p, int flags) { return syscall(SYS_pidfd_open, p, flags); }
static long psend(int fd, int sig, siginfo_t *si, int flags) { return syscall(SYS_pidfd_send_signal, fd, sig, si, flags); }

static int ready(int fd) {
  struct pollfd p = {fd, POLLIN | POLLHUP, 0};
  return poll(&p, 1, 0) < 0 ? -1 : p.revents;
}

static volatile pid_t tid;
static int go[2];

static void *thread(void *arg) {
  char c;
  tid = syscall(SYS_gettid);
  if (read(go[0], &c, 1) < 0) exit(1);
  return NULL;
}

static volatile sig_atomic_t sig_tid, sig_code, sig_pid_ok, sig_value;
static void on_sig(int s, siginfo_t *si, void *u) {
  sig_code = si->si_code, sig_pid_ok = si->si_pid == getpid(), sig_value = si->si_value.sival_int;
  sig_tid = syscall(SYS_gettid); // What the other thread waits for.
}

static void sent(const char *name, int fd, siginfo_t *si, int flags) {
  sig_tid = 0;
  long r = psend(fd, SIGUSR1, si, flags);
  if (r) {
    ret(name, r);
    return;
  }
  while (sig_tid == 0) sleep_ms(1);
  say("%s: to %s, code %d, pid %d, value %d", name, sig_tid == getpid() ? "the leader" : "a thread", sig_code, sig_pid_ok, sig_value);
}

static void threads(void) {
  if (pipe(go)) exit(1);
  struct sigaction sa = {.sa_sigaction = on_sig, .sa_flags = SA_SIGINFO | SA_RESTART};
  sigaction(SIGUSR1, &sa, NULL);
  pthread_t th;
  pthread_create(&th, NULL, thread, NULL);
  while (tid == 0) sleep_ms(1);
  ret("thread as a process", popen_(tid, 0));
  int t = popen_(tid, PIDFD_THREAD), own = popen_(getpid(), 0), leader = popen_(getpid(), PIDFD_THREAD | O_NONBLOCK);
  ok("thread", t);
  ok("leader as a thread", leader);
  say("flags %o %o %o", fcntl(t, F_GETFL), fcntl(own, F_GETFL), fcntl(leader, F_GETFL));
  say("close on exec %d", fcntl(t, F_GETFD));
  say("ready %x %x %x", ready(t), ready(own), ready(leader));
  sent("default of a thread", t, NULL, 0);
  sent("thread of a thread", t, NULL, 1);
  sent("thread of a leader", leader, NULL, 0);
  sent("thread of a process", own, NULL, 1);
  ret("two scopes", psend(own, 0, NULL, 3));
  ret("scope 8", psend(own, 0, NULL, 8));
  ret("bad descriptor", psend(900, 0, NULL, 0));
  ret("bad descriptor and scope", psend(900, 0, NULL, 8));
  ret("signal 65", psend(own, 65, NULL, 0));
  ret("signal -1 of a thread", psend(t, -1, NULL, 0));
  siginfo_t si = {.si_signo = SIGUSR1, .si_code = SI_QUEUE};
  si.si_value.sival_int = 7;
  si.si_pid = getpid();
  sent("own siginfo", t, &si, 0);
  si.si_code = SI_USER;
  ret("forged, another thread", psend(t, SIGUSR1, &si, 0));
  sent("forged, oneself", leader, &si, 0);
  ret("forged, own group", psend(own, SIGUSR1, &si, 4));
  si.si_signo = SIGUSR2;
  ret("another signal's siginfo", psend(t, SIGUSR1, &si, 0));
  ret("bad siginfo", psend(t, SIGUSR1, BAD_PTR, 0));
  ok("getfd of a thread", syscall(SYS_pidfd_getfd, t, 0, 0));
  ret("waitid of a thread", syscall(SYS_waitid, 3, t, NULL, WEXITED | WNOHANG, NULL));
  ret("waitid of oneself", syscall(SYS_waitid, 3, own, NULL, WEXITED | WNOHANG, NULL));
  ret("setns of a thread", setns(t, 0x4000000));
  struct { uint64_t mask, cgroup; uint32_t pid, tgid, ppid; } i[8] = {{.mask = 1}};
  ret("info of a thread", ioctl(t, _IOWR(0xff, 11, char[64]), i));
  say("pid %d tgid %d", i->pid == tid, i->tgid == getpid());
  if (write(go[1], "", 1) < 0) exit(1);
  pthread_join(th, NULL);
  while (ready(t) == 0) sleep_ms(1);
  say("ready after its end %x, process %x", ready(t), ready(own));
  ret("signal to the ended", psend(t, 0, NULL, 0));
  ret("getfd of the ended", syscall(SYS_pidfd_getfd, t, 0, 0));
  ret("open the ended", popen_(tid, PIDFD_THREAD));
}

static void processes(void) {
  int p[2];
  if (pipe(p)) exit(1);
  pid_t c = fork();
  if (c == 0) {
    char b;
    close(p[1]);
    if (read(p[0], &b, 1) < 0) _exit(1);
    _exit(5);
  }
  int fd = popen_(c, O_NONBLOCK);
  ok("child", fd);
  ret("nobody", popen_(0x3fffffff, 0));
  ret("pid 0", popen_(0, 0));
  ret("pid -1", popen_(-1, 0));
  siginfo_t si = {0};
  ret("not yet", syscall(SYS_waitid, 3, fd, &si, WEXITED, NULL));
  ret("not yet, WNOHANG", syscall(SYS_waitid, 3, fd, &si, WEXITED | WNOHANG, NULL));
  ret("stopped", psend(fd, SIGSTOP, NULL, 0));
  until_state(c, 'T');
  ret("told", syscall(SYS_waitid, 3, fd, &si, WSTOPPED, NULL));
  say("code %d status %d", si.si_code, si.si_status);
  psend(fd, SIGCONT, NULL, 0);
  ret("group that it does not lead", psend(fd, 0, NULL, 4));
  close(p[1]);
  until_state(c, 'Z');
  say("ready %x", ready(fd));
  ret("signal to a zombie", psend(fd, SIGUSR1, NULL, 0));
  ret("signal to a zombie as a thread", psend(fd, SIGUSR1, NULL, 1));
  ret("getfd of a zombie", syscall(SYS_pidfd_getfd, fd, 0, 0));
  ret("setns of a zombie", setns(fd, 0x4000000));
  ok("open a zombie", popen_(c, 0));
  ok("open a zombie as a thread", popen_(c, PIDFD_THREAD));
  memset(&si, 0, sizeof si);
  ret("left", syscall(SYS_waitid, 3, fd, &si, WEXITED | WNOWAIT, NULL));
  ret("taken", syscall(SYS_waitid, 3, fd, &si, WEXITED, NULL));
  say("code %d status %d pid %d", si.si_code, si.si_status, si.si_pid == c);
  say("ready %x", ready(fd));
  ret("again", syscall(SYS_waitid, 3, fd, &si, WEXITED, NULL));
  ret("signal", psend(fd, 0, NULL, 0));
  ret("no pidfd", syscall(SYS_waitid, 3, p[0], &si, WEXITED, NULL));
  ret("no descriptor", syscall(SYS_waitid, 3, 900, &si, WEXITED, NULL));
  ret("negative descriptor", syscall(SYS_waitid, 3, -1, &si, WEXITED, NULL));
}

static void permissions(void) {
  int p[2];
  if (pipe(p)) exit(1);
  pid_t c = fork();
  if (c == 0) {
    char b;
    close(p[1]);
    if (read(p[0], &b, 1) < 0) _exit(1);
    _exit(5);
  }
  int fd = popen_(c, 0);
  pid_t d = fork();
  if (d == 0) {
    close(p[1]);
    if (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534)) _exit(1);
    ok("open another's", popen_(c, 0));
    ret("signal 0", psend(fd, 0, NULL, 0));
    ret("signal 0 to the thread", psend(fd, 0, NULL, 1));
    ret("signal 70", psend(fd, 70, NULL, 0));
    ret("getfd", syscall(SYS_pidfd_getfd, fd, 0, 0));
    ret("getfd of a bad number", syscall(SYS_pidfd_getfd, fd, 900, 0));
    ret("setns", setns(fd, 0x4000000));
    _exit(0);
  }
  wait_say("another user", d);
  int dir = open("/proc/self", O_RDONLY | O_DIRECTORY);
  char path[30];
  snprintf(path, sizeof path, "/proc/%d", c);
  int cdir = open(path, O_RDONLY | O_DIRECTORY);
  ret("by a directory of /proc", psend(dir, 0, NULL, 0));
  ret("its thread", psend(cdir, 0, NULL, 1));
  ret("getfd by it", syscall(SYS_pidfd_getfd, cdir, 0, 0));
  ret("kill by it", psend(cdir, SIGKILL, NULL, 0));
  wait_say("killed", c);
  ret("again", psend(cdir, SIGKILL, NULL, 0));
}

static void clones(void) {
  int fd = -1;
  struct { uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, size, tls; } a = {.flags = CLONE_PIDFD, .pidfd = (uint64_t)&fd, .exit_signal = SIGCHLD};
  pid_t p = syscall(SYS_clone3, &a, sizeof a);
  if (p == 0) _exit(3);
  say("close on exec %d, flags %o", fcntl(fd, F_GETFD), fcntl(fd, F_GETFL));
  siginfo_t si;
  ret("waitid", syscall(SYS_waitid, 3, fd, &si, WEXITED, NULL));
  say("status %d", si.si_status);
  p = syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, NULL, &fd, NULL, 0);
  if (p == 0) _exit(4);
  wait_say("old clone", p);
  while (ready(fd) == 0) sleep_ms(1);
  say("ready %x", ready(fd));
  a.pidfd = 0x10;
  ret("nowhere", syscall(SYS_clone3, &a, sizeof a));
  ret("nobody is left", waitpid(-1, NULL, 0));
}

int main(void) {
  say("== threads");
  pid_t p = fork();
  if (p == 0) threads(), _exit(0);
  wait_say("threads", p);
  say("== processes");
  processes();
  say("== permissions");
  permissions();
  say("== clones");
  clones();
  return 0;
}
