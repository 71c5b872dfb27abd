// link: -w -lrt
// Signals: what siginfo says of every source, limits and order of queues, waiting for them, and what goes on after a handler.
#include "guest.h"
#include <linux/futex.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <mqueue.h>
#include <ucontext.h>

static volatile sig_atomic_t hits;
static siginfo_t got;
static void on_info(int s, siginfo_t *si, void *u) {
  (void)u;
  hits++;
  got = *si;
}

static void handle(int sig, int flags) {
  struct sigaction sa = {.sa_sigaction = on_info, .sa_flags = flags | SA_SIGINFO};
  sigemptyset(&sa.sa_mask);
  sigaction(sig, &sa, NULL);
}

static const char *who(pid_t p) { return p == 0 ? "nobody" : p == getpid() ? "self" : p == getppid() ? "parent" : "other"; }

static void tell(const char *name) {
  say("%s: signo %d code %d errno %d from %s uid %d hits %d", name, got.si_signo, got.si_code, got.si_errno, who(got.si_pid), got.si_uid, hits);
  hits = 0;
  memset(&got, 0, sizeof got);
}

static long raw_queue(pid_t pid, int sig, siginfo_t *si) { return syscall(SYS_rt_sigqueueinfo, pid, sig, si); }

static void sources(void) {
  handle(SIGUSR1, 0), handle(SIGCHLD, 0), handle(SIGALRM, 0), handle(SIGVTALRM, 0), handle(SIGRTMIN, 0), handle(SIGPIPE, 0);
  handle(SIGXFSZ, 0), handle(SIGSYS, 0), handle(SIGURG, 0);
  kill(getpid(), SIGUSR1), tell("kill");
  kill(0, 0);
  raise(SIGUSR1), tell("raise");
  union sigval v = {.sival_int = 42};
  sigqueue(getpid(), SIGUSR1, v);
  say("value %d", got.si_value.sival_int), tell("sigqueue");
  siginfo_t si = {.si_code = -5};
  si.si_pid = 1234567, si.si_uid = 77;
  ret("rt_sigqueueinfo", raw_queue(getpid(), SIGUSR1, &si));
  say("pid %d uid %d code %d", got.si_pid, got.si_uid, got.si_code), hits = 0;
  si.si_code = SI_USER;
  ret("SI_USER to oneself", raw_queue(getpid(), SIGUSR1, &si));
  si.si_code = SI_TKILL;
  ret("SI_TKILL to oneself", raw_queue(getpid(), SIGUSR1, &si));
  si.si_code = SI_KERNEL;
  ret("SI_KERNEL to oneself", raw_queue(getpid(), SIGUSR1, &si));
  say("code %d", got.si_code), hits = 0;
  pid_t p = fork();
  if (p == 0) {
    si.si_code = SI_USER;
    ret("SI_USER to another", raw_queue(getppid(), SIGUSR1, &si));
    si.si_code = 5;
    ret("positive to another", raw_queue(getppid(), SIGUSR1, &si));
    si.si_code = SI_QUEUE;
    ret("signal 0", raw_queue(getppid(), 0, &si));
    ret("signal 65", raw_queue(getppid(), 65, &si));
    ret("tgsigqueueinfo", syscall(SYS_rt_tgsigqueueinfo, getppid(), getppid(), 0, &si));
    ret("tgsigqueueinfo, bad", syscall(SYS_rt_tgsigqueueinfo, -1, getppid(), 0, &si));
    _exit(3);
  }
  waitpid(p, NULL, 0);
  say("status %d, of the child %d", got.si_status, got.si_pid == p), got.si_pid = 0, tell("exit");
  p = fork();
  if (p == 0) for (;;) pause();
  kill(p, SIGSTOP);
  waitpid(p, NULL, WUNTRACED);
  say("status %d", got.si_status), got.si_pid = 0, tell("stop");
  kill(p, SIGCONT);
  waitpid(p, NULL, WCONTINUED);
  // Its parent is told by the child itself.
  while (!hits) sleep_ms(1);
  say("status %d", got.si_status), got.si_pid = 0, tell("continue");
  kill(p, SIGKILL);
  waitpid(p, NULL, 0);
  say("status %d", got.si_status), got.si_pid = 0, tell("kill of a child");
  struct itimerval it = {{0, 0}, {0, 1000}};
  setitimer(ITIMER_REAL, &it, NULL);
  while (!hits) pause();
  tell("ITIMER_REAL");
  setitimer(ITIMER_VIRTUAL, &it, NULL);
  while (!hits) {}
  tell("ITIMER_VIRTUAL");
  int fd[2];
  pipe(fd);
  close(fd[0]);
  ret("write", write(fd[1], "x", 1)), tell("SIGPIPE");
  int s[2];
  socketpair(AF_UNIX, SOCK_STREAM, 0, s);
  close(s[1]);
  ret("send", send(s[0], "x", 1, 0)), tell("SIGPIPE of a socket");
  ret("MSG_NOSIGNAL", send(s[0], "x", 1, MSG_NOSIGNAL)), say("hits %d", hits);
  struct rlimit l = {10, RLIM_INFINITY};
  setrlimit(RLIMIT_FSIZE, &l);
  int f = open("f", O_CREAT | O_RDWR, 0600);
  ret("within", pwrite(f, "12345678901234", 14, 0)), say("hits %d", hits);
  ret("beyond", pwrite(f, "1", 1, 10)), tell("SIGXFSZ");
  ret("ftruncate", ftruncate(f, 11)), tell("SIGXFSZ of ftruncate");
  l.rlim_cur = RLIM_INFINITY;
  setrlimit(RLIMIT_FSIZE, &l);
  close(f);
  prctl(PR_SET_PDEATHSIG, 0);
  p = fork();
  if (p == 0) {
    // Who dies is the middle one.
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    int ready[2];
    pipe(ready);
    pid_t middle = fork();
    if (middle == 0) {
      if (fork() == 0) {
        sigset_t set;
        sigemptyset(&set), sigaddset(&set, SIGUSR1);
        sigprocmask(SIG_BLOCK, &set, NULL);
        prctl(PR_SET_PDEATHSIG, SIGUSR1);
        write(ready[1], "x", 1);
        siginfo_t i;
        sigwaitinfo(&set, &i);
        say("PDEATHSIG: signo %d code %d", i.si_signo, i.si_code);
        _exit(0);
      }
      char c;
      read(ready[0], &c, 1);
      _exit(0);
    }
    while (waitpid(-1, NULL, 0) > 0) {}
    _exit(0);
  }
  waitpid(p, NULL, 0);
  hits = 0;
}

static const char *kind;
static char *m;
// Ends the process with what it was told.
static void on_fault(int s, siginfo_t *si, void *u) {
  greg_t *g = ((ucontext_t *)u)->uc_mcontext.gregs;
  const char *addr = si->si_addr == NULL ? "0" : si->si_addr == m ? "m" : si->si_addr == (void *)g[REG_RIP] ? "rip" : si->si_addr == (void *)64 ? "64" : "other";
  // No error code: a tracer cannot get at it, so the ptrace platform does not know it.
  say("%s: signo %d code %d addr %s", kind, s, si->si_code, addr);
  _exit(0);
}

static void faults(void) {
  struct { const char *name; int sig; } kinds[] = {{"unmapped", SIGSEGV}, {"read-only", SIGSEGV}, {"non-canonical", SIGSEGV}, {"divide", SIGFPE}, {"illegal", SIGILL}, {"breakpoint", SIGTRAP}, {"beyond the end", SIGBUS}, {"privileged", SIGSEGV}, {"jump", SIGSEGV}, {"overflow", SIGSEGV}, {"icebp", SIGTRAP}};
  for (int i = 0; i < 11; i++) {
    pid_t p = fork();
    if (p == 0) {
      static char stack[16384];
      stack_t ss = {.ss_sp = stack, .ss_size = sizeof stack};
      sigaltstack(&ss, NULL);
      kind = kinds[i].name;
      m = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      struct sigaction act = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
      sigaction(kinds[i].sig, &act, NULL);
      volatile int zero = 0;
      int fd;
      switch (i) {
        case 0: *(volatile char *)64 = 1; break;
        case 1: *(volatile char *)m = 1; break;
        case 2: *(volatile char *)0x8000000000000000UL = 1; break;
        case 3: asm volatile("xor %%ecx,%%ecx; xor %%edx, %%edx; mov $1,%%eax; div %%ecx" ::: "eax", "ecx", "edx"); break;
        case 4: asm volatile("ud2"); break;
        case 5: asm volatile("int3"); break;
        case 6:
          fd = open("g", O_CREAT | O_RDWR | O_TRUNC, 0600);
          m = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
          zero += *(volatile char *)m;
          break;
        case 7: asm volatile("hlt"); break;
        case 8: ((void (*)(void))m)(); break;
        case 9: asm volatile("int $4"); break;
        case 10: asm volatile(".byte 0xf1"); break;
      }
      say("%s: nothing", kinds[i].name);
      _exit(1);
    }
    waitpid(p, NULL, 0);
  }
}

static void queues(void) {
  sigset_t all, old;
  sigemptyset(&all);
  for (int s = SIGRTMIN; s <= SIGRTMAX; s++) sigaddset(&all, s);
  sigaddset(&all, SIGUSR1), sigaddset(&all, SIGUSR2), sigaddset(&all, SIGSEGV), sigaddset(&all, SIGTERM);
  sigprocmask(SIG_BLOCK, &all, &old);
  struct rlimit l, was;
  getrlimit(RLIMIT_SIGPENDING, &was);
  union sigval v;
  for (int i = 0; i < 3; i++) v.sival_int = i, sigqueue(getpid(), SIGRTMIN + 3, v);
  for (int i = 0; i < 3; i++) v.sival_int = 10 + i, sigqueue(getpid(), SIGRTMIN + 1, v);
  kill(getpid(), SIGTERM), kill(getpid(), SIGUSR2), kill(getpid(), SIGUSR1), kill(getpid(), SIGSEGV), kill(getpid(), SIGUSR1);
  siginfo_t si;
  struct timespec none = {0, 0};
  for (int s; (s = sigtimedwait(&all, &si, &none)) > 0;) say("got %d value %d", s >= SIGRTMIN ? 1000 + s - SIGRTMIN : s, s >= SIGRTMIN ? si.si_value.sival_int : 0);
  ret("none left", sigtimedwait(&all, &si, &none));
  struct timespec bad = {0, 1000000000}, neg = {-1, 0};
  ret("bad time", sigtimedwait(&all, &si, &bad));
  ret("negative time", sigtimedwait(&all, &si, &neg));
  ret("bad set", syscall(SYS_rt_sigtimedwait, BAD_PTR, &si, &none, 8));
  ret("bad size", syscall(SYS_rt_sigtimedwait, &all, &si, &none, 4));
  struct timespec soon = {0, 1000000};
  ret("in time", sigtimedwait(&all, &si, &soon));
  // thread's before process's
  sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 1});
  siginfo_t q = {.si_code = SI_QUEUE};
  q.si_value.sival_int = 2;
  syscall(SYS_rt_tgsigqueueinfo, getpid(), getpid(), SIGRTMIN, &q);
  sigtimedwait(&all, &si, &none);
  say("first %d", si.si_value.sival_int);
  sigtimedwait(&all, &si, &none);
  // The limit is the user's: other processes of root may have some queued, so it is lowered to 0.
  l = (struct rlimit){0, was.rlim_max};
  setrlimit(RLIMIT_SIGPENDING, &l);
  ret("sigqueue beyond the limit", sigqueue(getpid(), SIGRTMIN, v));
  ret("kill beyond the limit", kill(getpid(), SIGRTMIN));
  ret("standard beyond the limit", sigqueue(getpid(), SIGUSR1, v));
  ret("it is there", sigtimedwait(&all, &si, &none) == SIGUSR1);
  say("code %d value %d", si.si_code, si.si_value.sival_int);
  int s = sigtimedwait(&all, &si, &none);
  say("real-time %d code %d", s == SIGRTMIN, si.si_code);
  setrlimit(RLIMIT_SIGPENDING, &was);
  // Interrupted by another signal.
  handle(SIGALRM, SA_RESTART);
  struct itimerval it = {{0, 0}, {0, 2000}};
  setitimer(ITIMER_REAL, &it, NULL);
  ret("sigwaitinfo interrupted", sigwaitinfo(&all, &si));
  sigprocmask(SIG_SETMASK, &old, NULL);
}

// A call, blocked until the child's signal interrupts it: restarted or not. Then the child makes it return, if it was restarted.
static int fds[2], sem, queue;
static uint32_t word;
static pid_t victim_pid;
static long blocking(int what) {
  char b[16];
  struct timespec far = {1000, 0}, t;
  struct pollfd p = {fds[0], POLLIN, 0};
  struct sembuf op = {0, -1, 0};
  fd_set set;
  struct epoll_event ev;
  siginfo_t si;
  int ep;
  switch (what) {
    case 0: return read(fds[0], b, 1);
    case 1: return poll(&p, 1, -1);
    case 2: return poll(&p, 1, 1000000);
    case 3: FD_ZERO(&set); FD_SET(fds[0], &set); return select(fds[0] + 1, &set, NULL, NULL, NULL);
    case 4: ep = epoll_create1(0), ev.events = EPOLLIN; epoll_ctl(ep, EPOLL_CTL_ADD, fds[0], &ev); return epoll_wait(ep, &ev, 1, -1);
    case 5: return nanosleep(&far, &t);
    case 6: clock_gettime(CLOCK_MONOTONIC, &t), t.tv_sec += 1000; errno = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL); return errno ? -1 : 0;
    case 7: return syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL);
    case 8: return syscall(SYS_futex, &word, FUTEX_WAIT, 0, &far);
    case 9: return semop(sem, &op, 1);
    case 10: return semtimedop(sem, &op, 1, &far);
    case 11: return msgrcv(queue, b, 1, 0, 0);
    case 12: return pause();
    case 13: return waitpid(-1, NULL, 0);
    case 14: return syscall(SYS_waitid, P_ALL, 0, &si, WEXITED, NULL);
    case 15: return recv(fds[0], b, 1, 0);
    case 16: return accept(fds[0], NULL, NULL);
    case 17: return fcntl(fds[0], F_SETLKW, &(struct flock){.l_type = F_WRLCK});
    case 18: return ppoll(&p, 1, &far, NULL);
    case 19: sigemptyset((void *)&set); return sigsuspend((void *)&set);
    case 20: return open("fifo", O_RDONLY);
    case 21: return mq_receive(fds[0], b, 16, NULL);
    case 22: return flock(fds[0], 2);
  }
  return -2;
}

static const char *names[] = {"read", "poll", "poll with a time", "select", "epoll_wait", "nanosleep", "clock_nanosleep", "futex", "futex with a time", "semop", "semtimedop", "msgrcv", "pause", "waitpid", "waitid", "recv", "accept", "F_SETLKW", "ppoll", "sigsuspend", "open", "mq_receive", "flock"};

static void prepare(int what) {
  fds[0] = fds[1] = -1;
  if (what == 15) socketpair(AF_UNIX, SOCK_STREAM, 0, fds);
  else if (what == 16) {
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    fds[0] = socket(AF_UNIX, SOCK_STREAM, 0);
    bind(fds[0], (void *)&a, sizeof(sa_family_t));
    listen(fds[0], 1);
  } else if (what == 17 || what == 22) fds[0] = open("lock", O_CREAT | O_RDWR, 0600), fds[1] = open("lock", O_RDWR);
  else if (what == 21) {
    struct mq_attr at = {.mq_maxmsg = 2, .mq_msgsize = 16};
    mq_unlink("/sig-guest");
    fds[0] = mq_open("/sig-guest", O_CREAT | O_RDWR, 0600, &at);
  } else pipe(fds);
}

static void restarts(void) {
  mkfifo("fifo", 0600);
  for (int what = 0; what < 23; what++) {
    for (int how = 0; how < 3; how++) {
      // how 0: handler, 1: handler with SA_RESTART, 2: stopped and continued
      sem = semget(IPC_PRIVATE, 1, 0600), queue = msgget(IPC_PRIVATE, 0600);
      prepare(what);
      pid_t locker = 0;
      int ready[2];
      pipe(ready);
      if (what == 17 || what == 22) {
        locker = fork();
        if (locker == 0) {
          int own = open("lock", O_RDWR);
          if (what == 17) fcntl(own, F_SETLK, &(struct flock){.l_type = F_WRLCK});
          else flock(own, 2);
          write(ready[1], "x", 1);
          for (;;) pause();
        }
        char c;
        read(ready[0], &c, 1);
      }
      int out[2];
      pipe(out);
      pid_t p = fork();
      if (p == 0) {
        hits = 0;
        handle(SIGUSR1, how == 1 ? SA_RESTART : 0);
        signal(SIGCHLD, SIG_DFL);
        pid_t self = getpid();
        if (what == 13 || what == 14) if (fork() == 0) { prctl(PR_SET_PDEATHSIG, SIGKILL); while (getppid() == self) pause(); _exit(0); }
        write(ready[1], "y", 1);
        long r = blocking(what);
        int e = errno;
        dprintf(out[1], "%s hits %d", r == -1 ? strerrorname_np(e) : "done", hits);
        _exit(0);
      }
      close(out[1]);
      char c, b[100] = "goes on";
      read(ready[0], &c, 1);
      until_state(p, 'S');
      if (how == 2) {
        kill(p, SIGSTOP);
        until_state(p, 'T');
        kill(p, SIGCONT);
      } else kill(p, SIGUSR1);
      struct pollfd pf = {out[0], POLLIN, 0};
      // Who has not answered, sleeps again: looked at for long enough to see it run.
      int answered = 0;
      for (int i = 0; i < 400 && !answered; i++) {
        answered = poll(&pf, 1, 5) == 1;
        if (!answered && i > 3) {
          char path[40], line[400];
          snprintf(path, sizeof path, "/proc/%d/status", p);
          FILE *f = fopen(path, "r");
          int state = 0, pending = 0;
          while (f && fgets(line, sizeof line, f)) {
            if (!strncmp(line, "State:\tS", 8)) state = 1;
            if (!strncmp(line, "ShdPnd:", 7)) pending = strtoul(line + 8, NULL, 16) != 0;
          }
          if (f) fclose(f);
          if (state && !pending) break;
        }
      }
      if (answered) b[read(out[0], b, sizeof b - 1)] = 0;
      say("%s, %s: %s", names[what], how == 0 ? "handler" : how == 1 ? "SA_RESTART" : "stopped", b);
      kill(p, SIGKILL), waitpid(p, NULL, 0);
      if (locker) kill(locker, SIGKILL), waitpid(locker, NULL, 0);
      close(out[0]), close(ready[0]), close(ready[1]), close(fds[0]), close(fds[1]);
      semctl(sem, 0, IPC_RMID), msgctl(queue, IPC_RMID, NULL);
    }
  }
  mq_unlink("/sig-guest");
}

static volatile int nested, max_nested, inside;
static void nest(int s) {
  if (++nested > max_nested) max_nested = nested;
  if (inside++ < 3) raise(s);
  nested--;
}

static void on_stack(int s, siginfo_t *si, void *u) {
  stack_t now;
  sigaltstack(NULL, &now);
  say("  on the stack %d, disabled %d, of the frame %x", !!(now.ss_flags & SS_ONSTACK), !!(now.ss_flags & SS_DISABLE), ((ucontext_t *)u)->uc_stack.ss_flags);
  now.ss_flags = 0, now.ss_size = 32768;
  ok("  change it", sigaltstack(&now, NULL));
}

static void flags(void) {
  struct sigaction sa = {.sa_handler = nest}, old;
  max_nested = inside = 0, sigaction(SIGUSR1, &sa, NULL), raise(SIGUSR1), say("plain: depth %d, calls %d", max_nested, inside);
  sa.sa_flags = SA_NODEFER, max_nested = inside = 0, sigaction(SIGUSR1, &sa, NULL), raise(SIGUSR1), say("SA_NODEFER: depth %d, calls %d", max_nested, inside);
  sa.sa_flags = 0x7fffffff & ~SA_NOCLDWAIT;
  struct { void *h; unsigned long f; void *r; unsigned long m; } k = {SIG_IGN, ~0ul, NULL, ~0ul}, o;
  ret("all flags", syscall(SYS_rt_sigaction, SIGUSR2, &k, NULL, 8));
  syscall(SYS_rt_sigaction, SIGUSR2, NULL, &o, 8);
  say("flags %lx mask %lx", o.f, o.m);
  signal(SIGUSR2, SIG_DFL);
  static char stack[65536];
  struct sigaction on = {.sa_sigaction = on_stack, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  sigaction(SIGUSR1, &on, NULL);
  stack_t ss = {.ss_sp = stack, .ss_size = sizeof stack}, was;
  sigaltstack(&ss, NULL), say("alternate stack"), raise(SIGUSR1);
  ss.ss_flags = 1 << 31, sigaltstack(&ss, NULL), say("SS_AUTODISARM"), raise(SIGUSR1);
  sigaltstack(NULL, &was), say("afterwards flags %x size %zu", was.ss_flags, was.ss_size);
  ss.ss_flags = 4, ret("bad flags", sigaltstack(&ss, NULL));
  ss.ss_flags = 0, ss.ss_size = 100, ret("too small", sigaltstack(&ss, NULL));
  ss.ss_flags = SS_DISABLE, ret("off", sigaltstack(&ss, NULL));
  sigaltstack(NULL, &was), say("off: flags %x size %zu", was.ss_flags, was.ss_size);
  ss.ss_flags = SS_ONSTACK, ss.ss_size = sizeof stack, ret("SS_ONSTACK", sigaltstack(&ss, NULL));
  ss.ss_flags = SS_DISABLE, sigaltstack(&ss, NULL);
  // SIGCHLD's own
  struct sigaction ch = {.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT};
  sigaction(SIGCHLD, &ch, NULL);
  pid_t p = fork();
  if (p == 0) _exit(1);
  ret("SA_NOCLDWAIT", waitpid(p, NULL, 0));
  ch.sa_flags = 0, ch.sa_handler = SIG_IGN, sigaction(SIGCHLD, &ch, NULL);
  p = fork();
  if (p == 0) _exit(1);
  ret("SIG_IGN", waitpid(p, NULL, 0));
  handle(SIGCHLD, SA_NOCLDSTOP);
  hits = 0;
  p = fork();
  if (p == 0) for (;;) pause();
  kill(p, SIGSTOP), waitpid(p, NULL, WUNTRACED), kill(p, SIGCONT), waitpid(p, NULL, WCONTINUED);
  say("SA_NOCLDSTOP: %d", hits);
  kill(p, SIGKILL), waitpid(p, NULL, 0);
  say("end: %d", hits);
}

static void descriptors(void) {
  sigset_t s;
  sigemptyset(&s), sigaddset(&s, SIGUSR1), sigaddset(&s, SIGRTMIN), sigaddset(&s, SIGCHLD);
  sigprocmask(SIG_BLOCK, &s, NULL);
  int fd = signalfd(-1, &s, SFD_NONBLOCK);
  struct signalfd_siginfo i[3];
  ret("nothing", read(fd, i, sizeof i));
  ret("too short", read(fd, i, 127));
  kill(getpid(), SIGUSR1);
  sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 5});
  ret("two", read(fd, i, sizeof i));
  say("%d %d code %d int %d, %d code %d int %d", i[0].ssi_signo, i[0].ssi_pid == getpid(), i[0].ssi_code, i[0].ssi_int, i[1].ssi_signo == SIGRTMIN, i[1].ssi_code, i[1].ssi_int);
  pid_t p = fork();
  if (p == 0) _exit(7);
  waitpid(p, NULL, 0);
  ret("child", read(fd, i, sizeof i));
  say("status %d code %d pid %d", i[0].ssi_status, i[0].ssi_code, i[0].ssi_pid == p);
  sigemptyset(&s), sigaddset(&s, SIGUSR2);
  ret("change", signalfd(fd, &s, 0) == fd);
  kill(getpid(), SIGUSR1);
  ret("not its own", read(fd, i, sizeof i));
  ret("bad flags", signalfd(-1, &s, 1));
  ret("not a signalfd", signalfd(0, &s, 0));
  sigset_t all;
  sigfillset(&all);
  struct timespec none = {0, 0};
  while (sigtimedwait(&all, NULL, &none) > 0) {}
}

int main(void) {
  signal(SIGUSR1, SIG_DFL);
  setpgid(0, 0);
  say("# sources"), sources();
  say("# faults"), faults();
  say("# queues"), queues();
  say("# restarts"), restarts();
  say("# flags"), flags();
  say("# descriptors"), descriptors();
  return 0;
}
