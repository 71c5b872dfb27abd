// unshare and clone with namespaces, host names, PID namespaces from inside and outside.
#include "guest.h"
#include <sched.h>
#include <sys/utsname.h>

static void uts(void) {
  struct utsname u, v;
  uname(&u);
  ret("unshare", unshare(CLONE_NEWUTS));
  ret("sethostname", sethostname("other-name", 10));
  ret("setdomainname", setdomainname("dom", 3));
  uname(&v);
  say("now %s %s", v.nodename, v.domainname);
  ret("too long", syscall(SYS_sethostname, "x", 65));
  ret("negative", syscall(SYS_sethostname, "x", -1));
  ret("bad pointer", syscall(SYS_sethostname, BAD_PTR, 5));
  ret("uname bad pointer", uname(BAD_PTR));
}

static void pidns(void) {
  ret("unshare", unshare(CLONE_NEWPID));
  pid_t p = fork();
  if (p == 0) {
    say("inside: pid %d parent %d", getpid(), getppid());
    say("kill from inside %d", kill(1, SIGTERM));
    say("own default action is ignored");
    pid_t c = fork();
    if (c == 0) {
      say("child: pid %d parent %d", getpid(), getppid());
      _exit(3);
    }
    int st;
    say("child's number %d", waitpid(c, &st, 0));
    ret("process outside", kill(99999, 0));
    c = fork();
    if (c == 0)
      for (;;) pause();
    _exit(4);  // takes the namespace along
  }
  wait_say("init of the namespace", p);
  is("other number outside", p > 1);
  ret("no more processes", fork());
}

static void refused(void) {
  ret("unknown flag", unshare(0x1));
  ret("files and fs", unshare(CLONE_FILES | CLONE_FS));
  setuid(1000);
  ret("uts without privilege", unshare(CLONE_NEWUTS));
  ret("pid without privilege", unshare(CLONE_NEWPID));
  ret("ipc without privilege", unshare(CLONE_NEWIPC));
  ret("mounts without privilege", unshare(CLONE_NEWNS));
  ret("net without privilege", unshare(CLONE_NEWNET));
  ret("clone without privilege", syscall(SYS_clone, CLONE_NEWUTS | SIGCHLD, 0, 0, 0, 0));
  ret("setns of no descriptor", setns(99, 0));
  ret("setns of a file", setns(1, 0));
}

static void mounts(void) {
  ret("unshare", unshare(CLONE_NEWNS));
  is("working directory", access(".", F_OK) == 0);
  is("root", access("/etc/passwd", R_OK) == 0);
}

int main(void) {
  in_child("uts", uts);
  struct utsname u;
  uname(&u);
  is("not seen outside", strcmp(u.nodename, "other-name") != 0);
  in_child("pid", pidns);
  in_child("mounts", mounts);
  in_child("refused", refused);
  return 0;
}
