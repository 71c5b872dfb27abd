// What options of prctl(2) do: syscall user dispatch, MDWE, PR_SET_MM, death signals, reapers, dumpability, secure bits.
#include "guest.h"
#include <elf.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <pthread.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>

#define PR_SYSCALL_DISPATCH 59
#define MDWE 65

static volatile char selector;
static volatile sig_atomic_t caught, caught_code, caught_nr, caught_arch_ok, caught_addr_ok, caught_errno;

// Answers the call with 77, and lets calls through from now on.
static void on_sys(int s, siginfo_t *si, void *u) {
  ucontext_t *c = u;
  selector = 0;
  caught++, caught_code = si->si_code, caught_nr = si->si_syscall, caught_errno = si->si_errno;
  caught_arch_ok = si->si_arch == 0xc000003e;
  caught_addr_ok = (long)si->si_call_addr == c->uc_mcontext.gregs[REG_RIP] && c->uc_mcontext.gregs[REG_RAX] == si->si_syscall;
  c->uc_mcontext.gregs[REG_RAX] = 77;
}

static void report(const char *name, long r) {
  char sel = selector;
  selector = 0;
  say("%s: %ld, caught %d code %d nr %d errno %d arch %d place %d, selector %d", name, r, caught, caught_code, caught_nr, caught_errno,
      caught_arch_ok, caught_addr_ok, sel);
  caught = 0;
}

// The first thread makes no call while the selector says that calls are handed back.
static volatile int go, done;

static void *another(void *arg) {
  while (!go) {}
  selector = 1;
  long r = syscall(SYS_getppid);
  int found = selector;
  selector = 0;
  done = 1;
  return (void *)(long)(r == getppid() && found == 1);
}

static void dispatch(void) {
  struct sigaction sa = {.sa_sigaction = on_sys, .sa_flags = SA_SIGINFO};
  sigaction(SIGSYS, &sa, NULL);
  ret("wrapping range", prctl(PR_SYSCALL_DISPATCH, 1, 5, -1ul, 0));
  ret("empty inclusive range", prctl(PR_SYSCALL_DISPATCH, 2, 5, 0, 0));
  ret("selector in the kernel", prctl(PR_SYSCALL_DISPATCH, 1, 0, 0, 1ul << 63));
  ret("off with a range", prctl(PR_SYSCALL_DISPATCH, 0, 1, 1, 0));
  ret("on", prctl(PR_SYSCALL_DISPATCH, 1, 0, 0, &selector));
  ret("allowed", syscall(SYS_getuid));
  selector = 1;
  report("getpid", syscall(SYS_getpid));
  selector = 1;
  report("no such call", syscall(5000));
  sigset_t none;
  sigemptyset(&none);
  selector = 1;
  report("mask", syscall(SYS_rt_sigprocmask, SIG_BLOCK, &none, NULL, 8));
  for (int i = 0; i < 1000; i++) syscall(SYS_getppid);
  selector = 1;
  report("busy place", syscall(SYS_getppid));
  pthread_t th;
  void *r;
  pthread_create(&th, NULL, another, NULL);
  go = 1;
  while (!done) {}
  pthread_join(th, &r);
  is("a thread has it not", r != NULL);
  pid_t p = fork();
  if (p == 0) {
    selector = 1;
    long id = syscall(SYS_getuid);
    _exit(id == 0 && selector == 1 ? 3 : 4);
  }
  wait_say("nor a child", p);
  p = fork();
  if (p == 0) {
    prctl(PR_SYSCALL_DISPATCH, 1, 0, 0, &selector);
    selector = 7;
    syscall(SYS_getuid);
    _exit(5);
  }
  wait_say("bad selector", p);
  p = fork();
  if (p == 0) {
    prctl(PR_SYSCALL_DISPATCH, 1, 0, 0, 0x10);
    syscall(SYS_getuid);
    _exit(5);
  }
  wait_say("unreadable selector", p);
  p = fork();
  if (p == 0) {
    signal(SIGSYS, SIG_IGN);
    prctl(PR_SYSCALL_DISPATCH, 1, 0, 0, &selector);
    selector = 1;
    syscall(SYS_getuid);
    _exit(5);
  }
  wait_say("ignored", p);
  p = fork();
  if (p == 0) {
    prctl(PR_SYSCALL_DISPATCH, 1, 0, 1ul << 47, 0);
    _exit(6);
  }
  wait_say("everything is allowed", p);
  p = fork();
  if (p == 0) {
    prctl(PR_SYSCALL_DISPATCH, 2, 0x1000, 0x1000, 0);
    _exit(6);
  }
  wait_say("only a range is dispatched", p);
  p = fork();
  if (p == 0) {
    prctl(PR_SYSCALL_DISPATCH, 1, 0, 0, &selector);
    selector = 0;
    execl("/bin/true", "true", NULL);
    _exit(6);
  }
  wait_say("exec ends it", p);
  ret("off", prctl(PR_SYSCALL_DISPATCH, 0, 0, 0, 0));
}

static void mdwe(void) {
  char *rw = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  char *rx = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ret("no inherit alone", prctl(MDWE, 2, 0, 0, 0));
  ret("refuse", prctl(MDWE, 1, 0, 0, 0));
  ret("get", prctl(MDWE + 1, 0, 0, 0, 0));
  ret("take back", prctl(MDWE, 0, 0, 0, 0));
  ret("other bits", prctl(MDWE, 3, 0, 0, 0));
  ret("the same", prctl(MDWE, 1, 0, 0, 0));
  ret("gain", mprotect(rw, 4096, PROT_READ | PROT_EXEC));
  ret("both", mprotect(rx, 4096, PROT_READ | PROT_WRITE | PROT_EXEC));
  ret("pkey_mprotect", syscall(SYS_pkey_mprotect, rw, 4096, PROT_EXEC, -1));
  ret("lose", mprotect(rx, 4096, PROT_READ));
  ret("and gain again", mprotect(rx, 4096, PROT_READ | PROT_EXEC));
  ok("map both", (long)mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ok("map executable", (long)mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  pid_t p = fork();
  if (p == 0) _exit(prctl(MDWE + 1, 0, 0, 0, 0));
  wait_say("inherited", p);
}

static void mdwe_alone(void) {
  prctl(MDWE, 3, 0, 0, 0);
  ret("both bits", prctl(MDWE + 1, 0, 0, 0, 0));
  pid_t p = fork();
  if (p == 0) _exit(prctl(MDWE + 1, 0, 0, 0, 0));
  wait_say("not inherited", p);
}

struct mm_map { uint64_t place[11], auxv; uint32_t auxv_size, exe_fd; };

static void stat_places(struct mm_map *m) {
  char line[2000];
  FILE *f = fopen("/proc/self/stat", "r");
  if (!fgets(line, sizeof line, f)) exit(1);
  fclose(f);
  unsigned long v[60] = {0};
  int n = 2;
  for (char *at = strtok(strrchr(line, ')') + 4, " "); at && n < 60; at = strtok(NULL, " ")) v[++n + 1] = strtoul(at, NULL, 10);
  unsigned long brk = syscall(SYS_brk, 0);
  *m = (struct mm_map){{v[26], v[27], v[45], v[46], v[47], brk, v[28], v[48], v[49], v[50], v[51]}, 0, 0, -1};
}

static void cmdline(const char *name) {
  char b[100] = "";
  int fd = open("/proc/self/cmdline", O_RDONLY);
  long n = read(fd, b, 99);
  say("%s: %ld \"%s\"", name, n, b);
  close(fd);
}

static void mm(void) {
  unsigned size = 0;
  unsigned long saved[56], file[100] = {0};
  ret("size of the map", prctl(PR_SET_MM, 15, &size, 0, 0));
  say("%u", size);
  ret("size nowhere", prctl(PR_SET_MM, 15, 0x10, 0, 0));
  struct mm_map m;
  stat_places(&m);
  ret("map of another size", prctl(PR_SET_MM, 14, &m, size - 1, 0));
  ret("map nowhere", prctl(PR_SET_MM, 14, 0x10, size, 0));
  ret("the same map", prctl(PR_SET_MM, 14, &m, size, 0));
  struct mm_map bad = m;
  bad.place[0] = bad.place[1];
  ret("no code", prctl(PR_SET_MM, 14, &bad, size, 0));
  bad = m, bad.place[7] = 0;
  ret("arguments at 0", prctl(PR_SET_MM, 14, &bad, size, 0));
  bad = m, bad.place[10] = 1ul << 63;
  ret("environment in the kernel", prctl(PR_SET_MM, 14, &bad, size, 0));
  bad = m, bad.auxv_size = 8;
  ret("vector nowhere", prctl(PR_SET_MM, 14, &bad, size, 0));
  bad = m, bad.auxv_size = 9999, bad.auxv = (uint64_t)saved;
  ret("vector too long", prctl(PR_SET_MM, 14, &bad, size, 0));
  bad = m, bad.exe_fd = 900;
  ret("no file", prctl(PR_SET_MM, 14, &bad, size, 0));
  bad.exe_fd = open("/", O_RDONLY);
  ret("a directory", prctl(PR_SET_MM, 14, &bad, size, 0));
  close(bad.exe_fd);
  bad.exe_fd = open("/bin/true", O_RDONLY);
  ret("mapped", prctl(PR_SET_MM, 14, &bad, size, 0));
  close(bad.exe_fd);
  char *title = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memcpy(title, "another\0title", 14);
  m.place[7] = (uint64_t)title, m.place[8] = (uint64_t)title + 14;
  ret("arguments elsewhere", prctl(PR_SET_MM, 14, &m, size, 0));
  cmdline("cmdline");
  ret("vector", prctl(0x41555856, saved, sizeof saved, 0, 0));
  int fd = open("/proc/self/auxv", O_RDONLY);
  long n = read(fd, file, sizeof file);
  close(fd);
  is("the same as the file's", n > 100 && memcmp(saved, file, n) == 0);
  saved[0] = saved[1] = 5;
  ret("part of it", prctl(0x41555856, saved, 8, 0, 0));
  is("no more", saved[0] == file[0] && saved[1] == 5);
}

// A child of a thread that ends while its process lives on.
static void *parent_thread(void *arg) {
  int *out = arg;
  pid_t p = fork();
  if (p == 0) {
    sigset_t set;
    int s;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    prctl(PR_SET_PDEATHSIG, SIGUSR1);
    if (write(out[1], "", 1) < 0) _exit(1);
    siginfo_t si;
    s = sigwaitinfo(&set, &si);
    _exit(s == SIGUSR1 && si.si_code == SI_USER && si.si_pid == getppid() && si.si_uid == 0 ? 3 : 4);
  }
  char c;
  if (read(out[0], &c, 1) < 0) exit(1);
  return (void *)(long)p;
}

static int death_signal(void) {
  int v = -1;
  prctl(PR_GET_PDEATHSIG, &v);
  return v;
}

static void death(void) {
  int p[2], v = -1;
  if (pipe(p)) exit(1);
  prctl(PR_SET_PDEATHSIG, SIGUSR2);
  prctl(PR_GET_PDEATHSIG, &v);
  ret("own", v);
  pid_t c = fork();
  if (c == 0) _exit(death_signal());
  wait_say("of a child", c);
  c = fork();
  if (c == 0) {
    prctl(PR_SET_PDEATHSIG, SIGUSR2);
    if (setuid(65534)) _exit(99);
    _exit(death_signal());
  }
  wait_say("after setuid", c);
  c = fork();
  if (c == 0) {
    prctl(PR_SET_PDEATHSIG, SIGUSR2);
    if (setresuid(-1, 65534, -1) || setresuid(-1, 0, -1)) _exit(99);
    _exit(death_signal());
  }
  wait_say("after seteuid and back", c);
  c = fork();
  if (c == 0) {
    prctl(PR_SET_PDEATHSIG, SIGUSR2);
    if (setresgid(-1, 65534, -1)) _exit(99);
    _exit(death_signal());
  }
  wait_say("after setegid", c);
  c = fork();
  if (c == 0) {
    prctl(PR_SET_PDEATHSIG, SIGUSR2);
    if (setresuid(65534, -1, -1)) _exit(99);
    _exit(death_signal());
  }
  wait_say("after another real uid", c);
  prctl(PR_SET_PDEATHSIG, 0);
  pthread_t th;
  void *child;
  pthread_create(&th, NULL, parent_thread, p);
  pthread_join(th, &child);
  wait_say("the thread that forked ends", (pid_t)(long)child);
}

static void wait_any(const char *name) {
  int st = -1;
  is(name, wait(&st) > 0);
  say("status %x", st);
}

// Orphans come to this process.
static void death_of_parents(void) {
  int p[2];
  char b;
  if (pipe(p)) exit(1);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  // The init of a PID namespace, whose parent is outside.
  pid_t c = fork();
  if (c == 0) {
    if (unshare(CLONE_NEWPID)) _exit(99);
    if (fork() == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (write(p[1], "", 1) < 0) _exit(98);
      for (;;) pause();
    }
    if (read(p[0], &b, 1) < 0) _exit(97);
    _exit(0);
  }
  wait_say("a namespace's parent", c);
  wait_any("its init");
  // Who may not send a signal does not do so by its end.
  pid_t self = getpid();
  c = fork();
  if (c == 0) {
    if (fork() == 0) {
      sigset_t set;
      sigemptyset(&set);
      sigaddset(&set, SIGUSR1);
      sigprocmask(SIG_BLOCK, &set, NULL);
      prctl(PR_SET_PDEATHSIG, SIGUSR1);
      if (write(p[1], "", 1) < 0) _exit(98);
      while (getppid() != self) sleep_ms(1);
      sigpending(&set);
      _exit(sigismember(&set, SIGUSR1) ? 1 : 0);
    }
    if (read(p[0], &b, 1) < 0) _exit(97);
    if (setresuid(65534, 65534, 65534)) _exit(96);
    _exit(0);
  }
  wait_say("a lesser parent", c);
  wait_any("its child");
  prctl(PR_SET_CHILD_SUBREAPER, 0);
}

static void reaper(void) {
  int p[2], v = -1;
  if (pipe(p)) exit(1);
  prctl(PR_SET_CHILD_SUBREAPER, 5);
  prctl(PR_GET_CHILD_SUBREAPER, &v);
  ret("own", v);
  pid_t c = fork();
  if (c == 0) {
    prctl(PR_GET_CHILD_SUBREAPER, &v);
    pid_t orphan = fork();
    if (orphan == 0) {
      char b;
      close(p[1]);
      if (read(p[0], &b, 1) < 0) _exit(1);
      _exit(getppid() == 1 ? 8 : 9);
    }
    _exit(v);
  }
  wait_say("child's", c);
  close(p[1]);
  wait_say("the orphan", -1);
  prctl(PR_SET_CHILD_SUBREAPER, 0);
}

static void dumpable_of(const char *name) { ret(name, prctl(PR_GET_DUMPABLE)); }

static void dumpable(void) {
  struct stat st;
  dumpable_of("at first");
  if (setresuid(-1, 65534, -1)) exit(1);
  dumpable_of("after seteuid");
  stat("/proc/self/status", &st);
  say("owner %d", st.st_uid);
  ret("set", prctl(PR_SET_DUMPABLE, 1));
  stat("/proc/self/status", &st);
  say("owner %d", st.st_uid);
  if (setresuid(-1, 0, -1)) exit(1);
  dumpable_of("and back");
  prctl(PR_SET_DUMPABLE, 1);
  if (setresgid(-1, 65534, -1) || setresgid(-1, 0, -1)) exit(1);
  dumpable_of("after setegid");
  prctl(PR_SET_DUMPABLE, 1);
  if (setresuid(65534, -1, -1)) exit(1);
  dumpable_of("after the real uid");
  prctl(PR_SET_DUMPABLE, 0);
  pid_t c = fork();
  if (c == 0) _exit(prctl(PR_GET_DUMPABLE));
  wait_say("child's", c);
}

static void bits(const char *name) { say("%s: %x keep %d", name, prctl(PR_GET_SECUREBITS), prctl(PR_GET_KEEPCAPS)); }

static int effective(void) {
  struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct d[2];
  syscall(SYS_capget, &h, d);
  return (d[0].permitted != 0) << 1 | (d[0].effective != 0);
}

static void secure(void) {
  bits("at first");
  ret("keep", prctl(PR_SET_KEEPCAPS, 1));
  bits("kept");
  if (setresuid(65534, 65534, 65534)) exit(1);
  say("capabilities %d", effective());
  ret("unprivileged bits without a capability", prctl(PR_SET_SECUREBITS, 0x500 | 0x10));
  ret("nothing changes", prctl(PR_SET_SECUREBITS, 0x500 | 0x10));
  ret("keep taken away", prctl(PR_SET_SECUREBITS, 0x500));
  ret("locked", prctl(PR_SET_SECUREBITS, 0xf10));
  ret("unlocked", prctl(PR_SET_SECUREBITS, 0x510));
  bits("now");
}

static void secure_fixup(void) {
  ret("no fixup", prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP));
  if (setresuid(65534, 65534, 65534)) exit(1);
  say("capabilities %d", effective());
  if (setresuid(0, 0, 0)) exit(1);
  ret("keep caps locked", prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP | SECBIT_KEEP_CAPS_LOCKED));
  ret("keep", prctl(PR_SET_KEEPCAPS, 1));
  ret("all", prctl(PR_SET_SECUREBITS, 0xff));
  ret("noroot lock", prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP | SECBIT_KEEP_CAPS_LOCKED | SECBIT_NOROOT_LOCKED));
  ret("noroot", prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP | SECBIT_KEEP_CAPS_LOCKED | SECBIT_NOROOT_LOCKED | SECBIT_NOROOT));
  bits("now");
}

static void keep_exec(void) {
  prctl(PR_SET_KEEPCAPS, 1);
  prctl(PR_SET_PDEATHSIG, SIGUSR2);
  prctl(PR_SET_NAME, "before");
  prctl(PR_SET_DUMPABLE, 0);
  prctl(PR_SET_TIMERSLACK, 12345);
  prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
  prctl(67, 1, 0, 0, 0);
  prctl(MDWE, 1, 0, 0, 0);
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP | SECBIT_KEEP_CAPS);
  execl("/proc/self/exe", "prctl", "after", NULL);
}

static void after_exec(void) {
  int sig = -1, sub = -1;
  char name[16];
  prctl(PR_GET_PDEATHSIG, &sig);
  prctl(PR_GET_CHILD_SUBREAPER, &sub);
  prctl(PR_GET_NAME, name);
  bits("secure bits");
  say("death signal %d, reaper %d, renamed %d", sig, sub, strcmp(name, "before") != 0);
  dumpable_of("dumpable");
  ret("slack", prctl(PR_GET_TIMERSLACK));
  ret("huge pages", prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
  ret("merging", prctl(68, 0, 0, 0, 0));
  ret("executable memory", prctl(MDWE + 1, 0, 0, 0, 0));
  ret("no new privileges", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
}

static void restore_ids(void) {
  int id = 1000;
  struct sigevent none = {.sigev_notify = SIGEV_NONE};
  ret("on", prctl(77, 1, 0, 0, 0));
  ret("get", prctl(77, 2, 0, 0, 0));
  ret("number 1000", syscall(SYS_timer_create, CLOCK_MONOTONIC, &none, &id));
  say("%d", id);
  ret("again", syscall(SYS_timer_create, CLOCK_MONOTONIC, &none, &id));
  id = -1;
  ret("negative", syscall(SYS_timer_create, CLOCK_MONOTONIC, &none, &id));
  ret("nowhere", syscall(SYS_timer_create, CLOCK_MONOTONIC, &none, BAD_PTR));
  pid_t p = fork();
  if (p == 0) _exit(prctl(77, 2, 0, 0, 0));
  wait_say("child's", p);
  ret("off", prctl(77, 0, 0, 0, 0));
  id = 1000;
  ret("any number", syscall(SYS_timer_create, CLOCK_MONOTONIC, &none, &id));
  is("another", id != 1000);
}

static void names(void) {
  char n[20], big[64];
  memset(big, 'x', 63), big[63] = 0;
  ret("long", prctl(PR_SET_NAME, big));
  memset(n, '-', sizeof n);
  prctl(PR_GET_NAME, n);
  say("%.16s %d, next %c", n, n[15], n[16]);
  char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap(page + 4096, 4096);
  strcpy(page + 4092, "end");
  ret("at the end of memory", prctl(PR_SET_NAME, page + 4092));
  memcpy(page + 4092, "ends", 4);
  ret("over the end of memory", prctl(PR_SET_NAME, page + 4092));
  ret("told over the end", prctl(PR_GET_NAME, page + 4092));
  prctl(PR_GET_NAME, n);
  say("%s", n);
}

#define IN_CHILD(f)                \
  do {                             \
    say("== " #f);                 \
    pid_t p_ = fork();             \
    if (p_ == 0) f(), _exit(0);    \
    wait_say(#f, p_);              \
  } while (0)

// Extended state: what every processor has, and what there is to ask for on none.
static void xcomp(void) {
  static const int ask[] = {0, 1, 2, 9, 17, 19, 20, 63, -1};
  char name[64];
  for (int code = 0x1021; code <= 0x1024; code += code == 0x1022 ? 2 : 1) {
    unsigned long features = 0;
    snprintf(name, sizeof name, "extended state %x", code);
    ret(name, syscall(SYS_arch_prctl, code, &features));
    say("x87 and SSE %lx", features & 3);
    ret("to nowhere", syscall(SYS_arch_prctl, code, 8L));
  }
  for (unsigned i = 0; i < sizeof ask / sizeof *ask; i++) {
    snprintf(name, sizeof name, "asking for %d", ask[i]);
    ret(name, syscall(SYS_arch_prctl, 0x1023, (long)ask[i]));
  }
  ret("unknown", syscall(SYS_arch_prctl, 0x1026, 0L));
}

int main(int argc, char **argv) {
  if (argc > 1) {
    after_exec();
    return 0;
  }
  struct rlimit_ { long a, b; } none = {0, 0};
  syscall(SYS_setrlimit, 4, &none);
  IN_CHILD(dispatch);
  IN_CHILD(mdwe);
  IN_CHILD(mdwe_alone);
  IN_CHILD(mm);
  IN_CHILD(death);
  IN_CHILD(death_of_parents);
  IN_CHILD(reaper);
  IN_CHILD(dumpable);
  IN_CHILD(secure);
  IN_CHILD(secure_fixup);
  IN_CHILD(keep_exec);
  IN_CHILD(restore_ids);
  IN_CHILD(names);
  IN_CHILD(xcomp);
  return 0;
}
