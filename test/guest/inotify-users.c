// How many inotify instances and watches a user may have: of each user apart, whatever user namespace they are in.
#include "guest.h"
#include <sched.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static long max;

static long sysctl_value(const char *name) {
  char path[60], text[20];
  snprintf(path, sizeof path, "/proc/sys/fs/inotify/%s", name);
  get_file(path, text, sizeof text);
  return atol(text);
}

static void become(uid_t uid) {
  setresgid(uid, uid, uid), setresuid(uid, uid, uid);
  prctl(PR_SET_DUMPABLE, 1);
}

static void another(void) {
  become(54322);
  ok("another user", inotify_init1(IN_CLOEXEC));
}
static void same_user(void) { ok("the same user in another process", inotify_init1(IN_CLOEXEC)); }
static void inside(void) {
  ret("unshare", unshare(CLONE_NEWUSER));
  ok("in a user namespace of the user's", inotify_init1(IN_CLOEXEC));
}

static void fill(void) {
  long n = 0;
  become(54321);
  while (inotify_init1(IN_CLOEXEC) >= 0) n++;
  is("as many as allowed", n == max && errno == EMFILE);
  in_child("same", same_user);
  in_child("inside", inside);
}

// The user of `fill` has its share while others ask.
static void beside(void) {
  int p[2], q[2];
  char c;
  pipe(p), pipe(q);
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    close(q[1]);
    fill();
    write(p[1], "", 1);
    read(q[0], &c, 1);
    _exit(0);
  }
  read(p[0], &c, 1);
  in_child("another", another);
  ok("root", inotify_init1(IN_CLOEXEC));
  close(q[1]);
  waitpid(pid, NULL, 0);
}

static void again(void) {
  become(54321);
  ok("given back", inotify_init1(IN_CLOEXEC));
}

int main(void) {
  max = sysctl_value("max_user_instances");
  struct rlimit r = {max + 100, max + 100};
  setrlimit(RLIMIT_NOFILE, &r);
  beside();
  in_child("again", again);
  return 0;
}
