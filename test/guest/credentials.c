// Ids, groups and capabilities: every set*id call from root and from others, what happens to capabilities, prctl.
#include "guest.h"
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/fsuid.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sched.h>

static void show(const char *name) {
  uid_t r, e, s;
  gid_t rg, eg, sg;
  getresuid(&r, &e, &s);
  getresgid(&rg, &eg, &sg);
  say("%s: uid %d %d %d gid %d %d %d", name, r, e, s, rg, eg, sg);
}

static void caps(const char *name) {
  struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct d[2];
  memset(d, 0, sizeof d);
  syscall(SYS_capget, &h, d);
  say("%s: setuid e%d p%d i%d", name, d[0].effective >> CAP_SETUID & 1, d[0].permitted >> CAP_SETUID & 1, d[0].inheritable >> CAP_SETUID & 1);
}

// Each part in a process of its own.
static void as_root(void) {
  show("start");
  ret("setreuid", setreuid(-1, 1000));
  show("euid only");
  caps("euid only");
  ret("seteuid back", seteuid(0));
  caps("back");
  ret("setresuid", setresuid(1000, 1001, 1002));
  show("three");
  caps("three");
  ret("to ruid", seteuid(1000));
  ret("to suid", seteuid(1002));
  ret("to root", seteuid(0));
  ret("to other", seteuid(5));
  ret("setuid other", setuid(5));
  ret("setuid own", setuid(1000));
  show("end");
}

static void drop(void) {
  ret("setgid", setgid(2000));
  gid_t g[] = {30, 10, 20}, back[8];
  ret("setgroups", setgroups(3, g));
  ret("getgroups 0", getgroups(0, NULL));
  ret("getgroups 2", getgroups(2, back));
  int n = getgroups(8, back);
  say("groups %d: %d %d %d", n, back[0], back[1], back[2]);
  ret("setuid", setuid(1000));
  show("dropped");
  caps("dropped");
  ret("setuid root", setuid(0));
  ret("setgid root", setgid(0));
  ret("setgid own", setgid(2000));
  ret("setgroups", setgroups(1, g));
  ret("setregid", setregid(-1, 5));
  ret("setresgid same", setresgid(-1, 2000, -1));
  ret("setuid -1", setuid(-1));
  say("fsuid %d", setfsuid(7));
  say("fsuid %d", setfsuid(-1));
  ret("nice below", setpriority(PRIO_PROCESS, 0, -5));
  ret("nice above", setpriority(PRIO_PROCESS, 0, 5));
  errno = 0;
  ret("getpriority", getpriority(PRIO_PROCESS, 0));
  ret("getpriority which", getpriority(9, 0));
  ret("kill init", kill(1, 0));
  ret("sethostname", sethostname("x", 1));
  ret("dumpable", prctl(PR_GET_DUMPABLE));
}

static void keepcaps(void) {
  ret("keepcaps", prctl(PR_SET_KEEPCAPS, 1));
  setuid(1000);
  caps("kept");
  struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct d[2];
  syscall(SYS_capget, &h, d);
  d[0].effective = d[0].permitted;
  ret("raise again", syscall(SYS_capset, &h, d));
  caps("raised");
  d[0].inheritable = d[0].permitted;
  ret("inheritable", syscall(SYS_capset, &h, d));
  ret("ambient raise", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SETUID, 0, 0));
  ret("ambient set", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_SETUID, 0, 0));
  ret("ambient clear", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0));
  ret("ambient set", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_SETUID, 0, 0));
  d[0].permitted &= ~(1 << CAP_SETUID);
  d[0].effective = 0;
  ret("drop setuid", syscall(SYS_capset, &h, d));
  caps("dropped");
  d[0].permitted |= 1 << CAP_SETUID;
  ret("no way back", syscall(SYS_capset, &h, d));
  h.version = 1;
  ret("unknown version", syscall(SYS_capset, &h, d));
  say("told %x", h.version);
  ret("bad header", syscall(SYS_capget, BAD_PTR, d));
}

static void bounding(void) {
  ret("bset read", prctl(PR_CAPBSET_READ, CAP_SETUID));
  ret("bset drop", prctl(PR_CAPBSET_DROP, CAP_SETUID));
  ret("bset read", prctl(PR_CAPBSET_READ, CAP_SETUID));
  ret("bset bad", prctl(PR_CAPBSET_READ, 99));
  ret("securebits", prctl(PR_GET_SECUREBITS));
  ret("set noroot", prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NO_SETUID_FIXUP));
  setuid(1000);
  caps("no fixup");
}

static void prctls(void) {
  char name[16] = "";
  ret("set name", prctl(PR_SET_NAME, "a-name-that-is-longer-than-allowed"));
  prctl(PR_GET_NAME, name);
  say("name %s", name);
  ret("bad name", prctl(PR_SET_NAME, BAD_PTR));
  int sig = 0;
  ret("pdeathsig", prctl(PR_SET_PDEATHSIG, SIGTERM));
  prctl(PR_GET_PDEATHSIG, &sig);
  say("pdeathsig %d", sig);
  ret("pdeathsig bad", prctl(PR_SET_PDEATHSIG, 99));
  ret("no_new_privs", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
  ret("no_new_privs 2", prctl(PR_SET_NO_NEW_PRIVS, 2, 0, 0, 0));
  ret("no_new_privs 1", prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  ret("no_new_privs", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
  ret("dumpable", prctl(PR_SET_DUMPABLE, 0));
  ret("dumpable", prctl(PR_GET_DUMPABLE));
  ret("dumpable 2", prctl(PR_SET_DUMPABLE, 2));
  ret("timerslack", prctl(PR_SET_TIMERSLACK, 1000));
  ret("timerslack", prctl(PR_GET_TIMERSLACK));
  ret("unknown", prctl(12345));
  ret("personality", personality(0xffffffff));
  int sub = 5;
  prctl(PR_GET_CHILD_SUBREAPER, &sub);
  say("subreaper %d", sub);
  cpu_set_t set;
  is("affinity", sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0);
  ret("affinity size", syscall(SYS_sched_getaffinity, 0, 1, &set));
  CPU_ZERO(&set);
  ret("no cpu", sched_setaffinity(0, sizeof set, &set));
  ret("scheduler", sched_getscheduler(0));
  ret("rr max", sched_get_priority_max(SCHED_RR));
  ret("bad policy", sched_get_priority_max(42));
  struct sched_param sp = {0};
  ret("batch", sched_setscheduler(0, SCHED_BATCH, &sp));
  ret("scheduler", sched_getscheduler(0));
  sp.sched_priority = 5;
  ret("other with priority", sched_setscheduler(0, SCHED_OTHER, &sp));
}

static void sessions(void) {
  pid_t p = fork();
  if (p == 0) {
    is("setsid", setsid() == getpid());
    is("ids", getsid(0) == getpid() && getpgrp() == getpid());
    ret("setsid again", setsid());
    ret("setpgid of a leader", setpgid(0, 0));
    pid_t c = fork();
    if (c == 0) {
      ret("own group", setpgid(0, 0));
      is("group", getpgrp() == getpid());
      ret("into the leader's", setpgid(0, getppid()));
      ret("setsid of no leader", setsid() > 0);
      _exit(0);
    }
    wait_say("child", c);
    ret("setpgid negative", setpgid(0, -1));
    ret("getpgid none", getpgid(999999));
    ret("getsid none", getsid(999999));
    ret("setpgid none", setpgid(999999, 0));
    _exit(0);
  }
  wait_say("session", p);
}

int main(void) {
  in_child("as root", as_root);
  in_child("drop", drop);
  in_child("keepcaps", keepcaps);
  in_child("bounding", bounding);
  in_child("prctls", prctls);
  in_child("sessions", sessions);
  return 0;
}
