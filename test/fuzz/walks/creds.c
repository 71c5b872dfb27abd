// Random walks of a process's credentials and attributes: ids, groups, capabilities, securebits, prctl, limits, priorities; seen in
// /proc/self/status, and in that of a program that it executes.
#define EXECUTED
#include "walk.h"
#include <linux/capability.h>
#include <linux/securebits.h>
#include <grp.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>

// What both sides have: an engine's usual set.
#define USUAL 0xa80425fbUL
#define SCHED_DEADLINE_ 6

static void attributes(char *to, size_t room) {
  char *s = slurp("/proc/self/status"), *p = to;
  p += snprintf(p, room, "  uid %s gid %s groups %s inh %s prm %s eff %s bnd %s amb %s nnp %s umask %s\n", field(s, "\nUid:"), field(s, "\nGid:"),
                field(s, "\nGroups:"), field(s, "\nCapInh:"), field(s, "\nCapPrm:"), field(s, "\nCapEff:"), field(s, "\nCapBnd:"), field(s, "\nCapAmb:"),
                field(s, "\nNoNewPrivs:"), field(s, "\nUmask:"));
  struct stat st;
  int owner = stat("/proc/self", &st) == 0 ? (int)st.st_uid : -1;
  snprintf(p, room - (p - to), "  securebits %x keep %d dumpable %d personality %x nice %d io %lx timer slack %d policy %d thp %d subreaper? owner %d\n",
           prctl(PR_GET_SECUREBITS), prctl(PR_GET_KEEPCAPS), prctl(PR_GET_DUMPABLE), personality(-1), getpriority(PRIO_PROCESS, 0),
           syscall(SYS_ioprio_get, 1, 0), prctl(PR_GET_TIMERSLACK), sched_getscheduler(0), prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), owner);
}
static void state(char *to, size_t room) { attributes(to, room); }

static int executed(int argc, char **argv) {
  static char text[4096];
  attributes(text, sizeof text);
  return write(1, text, strlen(text)) < 0;
}

static void begin(uint64_t seed) {
  for (int c = 0; c < 41; c++)
    if (!(USUAL >> c & 1)) prctl(PR_CAPBSET_DROP, c);
  struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct d[2] = {{USUAL, USUAL, 0}, {0}};
  if (syscall(SYS_capset, &h, d) != 0) out("capset %d\n", errno);
  gid_t none;
  setgroups(0, &none);
  umask(022);
  personality(0);
  setpriority(PRIO_PROCESS, 0, 0);
  prctl(PR_SET_TIMERSLACK, 0);
  for (int i = 0; i < 100; i++) {
    char name[20];
    snprintf(name, sizeof name, "f%d", i);
    unlink(name);
  }
  setrlimit(RLIMIT_NICE, &(struct rlimit){0, 0});
  setrlimit(RLIMIT_RTPRIO, &(struct rlimit){0, 0});
}

static long id(void) { return PICK(0, 0, 1000, 1001, 1002, 65534, -1, 1000); }
static uint64_t caps(uint64_t of) {
  switch (below(5)) {
    case 0: return of;
    case 1: return 0;
    case 2: return of & rnd();
    case 3: return USUAL & rnd() & rnd();
    default: return of | 1UL << below(34);
  }
}

static void do_capset(void) {
  struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct d[2] = {{0}};
  if (one_in(20)) h.version = PICK(_LINUX_CAPABILITY_VERSION_1, _LINUX_CAPABILITY_VERSION_2, 0);
  if (one_in(20)) h.pid = PICK(1, -1, 99999);
  struct __user_cap_header_struct g = {_LINUX_CAPABILITY_VERSION_3, 0};
  syscall(SYS_capget, &g, d);
  uint64_t e = caps(d[0].permitted | (uint64_t)d[1].permitted << 32), p = one_in(2) ? d[0].permitted : caps(d[0].permitted), i = one_in(2) ? d[0].inheritable : caps(d[0].inheritable | d[0].permitted);
  d[0].effective = e, d[0].permitted = p, d[0].inheritable = i;
  d[1].effective = e >> 32, d[1].permitted = p >> 32, d[1].inheritable = i >> 32;
  out("capset(%x %d, e %lx p %lx i %lx)", h.version, h.pid, e, p, i);
  result(syscall(SYS_capset, &h, d));
  out(" version %x", h.version);
}

static void do_exec(void) {
  int fds[2], st;
  char text[4096];
  if (pipe(fds) < 0) return;
  out("exec");
  pid_t pid = vfork();
  if (pid == 0) {
    dup2(fds[1], 1);
    execl("/proc/self/exe", "walk", "show", NULL);
    _exit(100);
  }
  close(fds[1]);
  int n = read(fds[0], text, sizeof text - 1);
  close(fds[0]);
  waitpid(pid, &st, 0);
  text[n > 0 ? n : 0] = 0;
  out(" = %x\n%s", st, text);
}

// What the credentials allow.
static void do_try(unsigned i) {
  int r, fd;
  pid_t other;
  char name[20];
  switch (below(9)) {
    case 0: out("kill init"), result(kill(1, 0)); break;
    case 1:
      snprintf(name, sizeof name, "f%u", i);
      out("create");
      unlink(name);
      fd = open(name, O_CREAT | O_RDWR, 0666);
      if (result(fd < 0 ? -1 : 0) == 0) {
        struct stat st;
        fstat(fd, &st);
        out(" %o %d %d", st.st_mode, st.st_uid, st.st_gid);
        long u = id(), g = id();
        out("; fchown %ld %ld", u, g), result(fchown(fd, u, g));
        int m = PICK(04755, 02755, 06711, 0644);
        out("; fchmod %o", m), result(fchmod(fd, m));
        fstat(fd, &st);
        out(" %o", st.st_mode);
        out("; write"), result(write(fd, "x", 1));
        fstat(fd, &st);
        out(" %o", st.st_mode);
        close(fd);
      }
      break;
    case 2: {
      int what = PICK(RLIMIT_NOFILE, RLIMIT_CORE, RLIMIT_NICE, RLIMIT_SIGPENDING, RLIMIT_FSIZE, RLIMIT_RTPRIO, RLIMIT_NPROC);
      struct rlimit l, n;
      getrlimit(what, &l);
      n.rlim_cur = PICK(0, 100, 50, -1, 40), n.rlim_max = PICK(100, 200, -1, 60);
      if (what == RLIMIT_FSIZE || what == RLIMIT_NOFILE || what == RLIMIT_NPROC) n.rlim_cur += 500, n.rlim_max += 500;
      if (l.rlim_max > n.rlim_max || l.rlim_max == n.rlim_max || 1) {
        out("setrlimit(%d, %ld, %ld)", what, (long)n.rlim_cur, (long)n.rlim_max);
        long rr = setrlimit(what, &n);
        if (l.rlim_max == RLIM_INFINITY || l.rlim_max <= 600) result(rr);
        getrlimit(what, &l);
      }
      break;
    }
    case 3: {
      int policy = PICK(SCHED_OTHER, SCHED_BATCH, SCHED_IDLE, SCHED_FIFO, SCHED_RR, SCHED_OTHER | SCHED_RESET_ON_FORK, SCHED_DEADLINE_, 99);
      struct sched_param sp = {PICK(0, 0, 1, 5, 100)};
      out("sched_setscheduler(%x, %d)", policy, sp.sched_priority);
      if ((policy == SCHED_FIFO || policy == SCHED_RR) && geteuid() == 0) sp.sched_priority = 0;
      result(sched_setscheduler(0, policy, &sp));
      break;
    }
    case 4: r = PICK(-20, -5, 0, 3, 19, 40), out("setpriority(%d)", r), result(setpriority(PRIO_PROCESS, 0, r)); break;
    case 5: {
      int c = PICK(0, 1, 2, 3, 4), l = PICK(0, 3, 7, 8);
      out("ioprio_set(%d, %d)", c, l), result(syscall(SYS_ioprio_set, 1, 0, c << 13 | l));
      break;
    }
    case 6: {
      // A child that has not changed: may it be signalled, traced, its limits set?
      other = fork();
      if (other == 0) {
        long u = id();
        long g = setresgid(u, u, u);
        g = setresuid(u, u, u) * 2 + g;
        prctl(PR_SET_DUMPABLE, one_in(2));
        (void)g;
        raise(SIGSTOP);
        _exit(0);
      }
      waitpid(other, &r, WUNTRACED);
      out("child: kill"), result(kill(other, 0));
      out(" prlimit"), result(prlimit(other, RLIMIT_CORE, NULL, &(struct rlimit){0}));
      struct rlimit l2;
      getrlimit(RLIMIT_CORE, &l2);
      out(" prlimit set"), result(prlimit(other, RLIMIT_CORE, &l2, NULL));
      snprintf(name, sizeof name, "/proc/%d/mem", other);
      fd = open(name, O_RDONLY);
      out(" mem"), result(fd < 0 ? -1 : 0);
      if (fd >= 0) close(fd);
      snprintf(name, sizeof name, "/proc/%d/exe", other);
      char link[200];
      out(" exe"), result(readlink(name, link, sizeof link) < 0 ? -1 : 0);
      out(" nice"), result(setpriority(PRIO_PROCESS, other, 1));
      out(" sched"), result(sched_setscheduler(other, SCHED_BATCH, &(struct sched_param){0}));
      out(" affinity"), result(syscall(SYS_sched_setaffinity, other, 8, &(unsigned long){-1}));
      out(" pgid"), result(setpgid(other, other));
      out(" getpgid"), result(getpgid(other) == other);
      out(" kcmp"), result(syscall(SYS_kcmp, getpid(), other, 1, 0, 0) < 0 ? -1 : 0);
      int pf = syscall(SYS_pidfd_open, other, 0);
      out(" getfd"), result(syscall(SYS_pidfd_getfd, pf, 0, 0) < 0 ? -1 : 0);
      out(" pidfd signal"), result(syscall(SYS_pidfd_send_signal, pf, 0, NULL, 0));
      close(pf);
      siginfo_t si = {.si_code = PICK(-1, 0, -6, 1, -60)};
      si.si_signo = 0;
      out(" queue %d", si.si_code), result(syscall(SYS_rt_sigqueueinfo, other, 0, &si));
      out(" attach");
      if (result(syscall(SYS_ptrace, 16, other, 0, 0)) == 0) waitpid(other, &r, __WALL), syscall(SYS_ptrace, 17, other, 0, 0);
      kill(other, SIGCONT);
      kill(other, SIGKILL);
      // It may be out of reach; then it ends by itself when it is told to go on by its end of parent.
      if (kill(other, 0) == 0 || errno != EPERM) waitpid(other, &r, 0);
      break;
    }
    case 7: out("chroot"), result(one_in(2) ? chroot("/") : chroot("/missing")); break;
    case 8: {
      int fdt = open("/proc/self/oom_score_adj", O_WRONLY);
      const char *v = one_in(2) ? "100" : "0";
      out("oom_score_adj %s", v), result(fdt < 0 ? -1 : write(fdt, v, strlen(v)) < 0 ? -1 : 0);
      close(fdt);
      break;
    }
  }
}

static void step(unsigned i) {
  long a = id(), b = id(), c = id();
  int n;
  switch (below(24)) {
    case 0: out("setuid(%ld)", a), result(syscall(SYS_setuid, a)); break;
    case 1: out("setgid(%ld)", a), result(syscall(SYS_setgid, a)); break;
    case 2: out("setreuid(%ld, %ld)", a, b), result(syscall(SYS_setreuid, a, b)); break;
    case 3: out("setregid(%ld, %ld)", a, b), result(syscall(SYS_setregid, a, b)); break;
    case 4 ... 5: out("setresuid(%ld, %ld, %ld)", a, b, c), result(syscall(SYS_setresuid, a, b, c)); break;
    case 6: out("setresgid(%ld, %ld, %ld)", a, b, c), result(syscall(SYS_setresgid, a, b, c)); break;
    case 7: out("setfsuid(%ld)", a), result(setfsuid(a)); break;
    case 8: out("setfsgid(%ld)", a), result(setfsgid(a)); break;
    case 9: {
      gid_t groups[4];
      n = below(5);
      out("setgroups(");
      for (int k = 0; k < n; k++) groups[k] = id(), out("%d ", groups[k]);
      out(")"), result(syscall(SYS_setgroups, n, groups));
      break;
    }
    case 10 ... 11: do_capset(); break;
    case 12: n = PICK(0, 1, 2, 3, 0x10, 0x20, 0x30, 0x14, 0xff, 0x40, 0x100, 0x100, 8, 0x800), out("securebits(%x)", n), result(prctl(PR_SET_SECUREBITS, n)); break;
    case 13: n = PICK(0, 1, 1, 2), out("keepcaps(%d)", n), result(prctl(PR_SET_KEEPCAPS, n)); break;
    case 14: if (one_in(6)) out("no_new_privs"), result(prctl(PR_SET_NO_NEW_PRIVS, one_in(5) ? 0 : 1, 0, 0, 0)); else out("-"); break;
    case 15: {
      int how = PICK(1, 2, 2, 3, 4), cap = one_in(10) ? PICK(60, 41, -1) : below(34);
      out("ambient(%d, %d)", how, cap), result(prctl(PR_CAP_AMBIENT, how, how == 4 ? 0 : cap, 0, 0));
      break;
    }
    case 16: n = below(34), out("capbset_drop(%d)", n), result(prctl(PR_CAPBSET_DROP, n)); break;
    case 17: n = PICK(0, 1, 2, 3), out("dumpable(%d)", n), result(prctl(PR_SET_DUMPABLE, n)); break;
    case 18: n = PICK(0, 0x40000, 0x400000, 0x20000, 0x800000, 0x8, 0x1, 0xffffffff), out("personality(%x)", n), result(personality(n)); break;
    case 19: n = PICK(0, 022, 077, 01777), out("umask(%o)", n), result(umask(n)); break;
    case 20: do_exec(); break;
    default: do_try(i);
  }
}
