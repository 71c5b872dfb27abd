// Control groups of version 2 that a program makes, without controllers: tree, moves, events, threads, freezer, kill, namespaces.
// host: /sys/fs/cgroup/unified/cgroup.max.depth max
#include "guest.h"
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

#define LIMIT_MS 20000

static char g[64]; // the group of this run

static const char *at(const char *name) {
  static char path[4][300];
  static int n;
  n = (n + 1) % 4;
  snprintf(path[n], sizeof path[n], "%s%s", g, name);
  return path[n];
}

static int put(const char *name, const char *text) {
  int fd = open(at(name), O_WRONLY);
  if (fd < 0) return -1;
  int r = write(fd, text, strlen(text)), e = errno;
  close(fd);
  errno = e;
  return r < 0 ? -1 : 0;
}

static const char *get(const char *path) {
  static char text[4096];
  int fd = open(path, O_RDONLY), n = fd < 0 ? -1 : (int)read(fd, text, sizeof text - 1), e = errno;
  if (fd >= 0) close(fd);
  if (n < 0) return strerrorname_np(e);
  text[n] = 0;
  if (n > 0 && text[n - 1] == '\n') text[n - 1] = 0;
  for (char *c = text; *c; c++)
    if (*c == '\n') *c = '|';
  return text;
}

static void show(const char *name) { say("%s: %s", name, get(at(name))); }

static void await(const char *what, const char *name, const char *part) {
  for (int i = 0; i < LIMIT_MS && strstr(get(at(name)), part) == NULL; i++) usleep(1000);
  is(what, strstr(get(at(name)), part) != NULL);
}

// Where the caller is, of version 2: from the group of this run on.
static const char *place(void) {
  static char text[4096];
  FILE *f = fopen("/proc/self/cgroup", "r");
  char *found = NULL;
  while (found == NULL && fgets(text, sizeof text, f) != NULL)
    if (strncmp(text, "0::", 3) == 0) found = text + 3;
  fclose(f);
  if (found == NULL) return "nowhere";
  found[strcspn(found, "\n")] = 0;
  char *own = strstr(found, g);
  return own == NULL ? found : own + strlen(g);
}

// A child that moves itself to `group` and waits to be killed; returns when it is there.
static pid_t sleeper(const char *group) {
  int p[2];
  char c;
  if (pipe(p)) exit(1);
  pid_t pid = fork();
  if (pid == 0) {
    char name[200];
    snprintf(name, sizeof name, "%s/cgroup.procs", group);
    c = put(name, "0") == 0 ? 'y' : 'n';
    if (write(p[1], &c, 1) != 1) _exit(1);
    for (;;) pause();
  }
  close(p[1]);
  if (read(p[0], &c, 1) != 1 || c != 'y') say("%s: cannot move", group);
  close(p[0]);
  return pid;
}

static void end(pid_t pid) {
  kill(pid, SIGKILL);
  waitpid(pid, NULL, 0);
}

static void tree(void) {
  struct statfs s;
  is("magic", statfs(".", &s) == 0 && s.f_type == 0x63677270);
  ret("mkdir", mkdir(g, 0755));
  ret("mkdir again", mkdir(g, 0755));
  ret("mkdir with newline", mkdir(at("/a\nb"), 0755));
  ret("mkdir file's name", mkdir(at("/cgroup.procs"), 0755));
  ret("create", open(at("/x"), O_CREAT | O_WRONLY, 0644));
  ret("symlink", symlink("x", at("/y")));
  ret("unlink", unlink(at("/cgroup.procs")));
  ret("rmdir file", rmdir(at("/cgroup.procs")));
  ok("open kill for reading", open(at("/cgroup.kill"), O_RDONLY));
  ok("open events for writing", open(at("/cgroup.events"), O_WRONLY));
  for (const char **n = (const char *[]){"/cgroup.type", "/cgroup.events", "/cgroup.max.depth",
         "/cgroup.max.descendants", "/cgroup.freeze", "/cgroup.procs", "/cgroup.threads", NULL}; *n; n++)
    show(*n);
  ret("depth 0", put("/cgroup.max.depth", "0\n"));
  ret("mkdir too deep", mkdir(at("/s"), 0755));
  ret("depth max", put("/cgroup.max.depth", "max"));
  ret("descendants 1", put("/cgroup.max.descendants", "1"));
  ret("mkdir one", mkdir(at("/s"), 0755));
  ret("mkdir two", mkdir(at("/t"), 0755));
  ret("rmdir with child", rmdir(g));
  ret("rmdir child", rmdir(at("/s")));
  ret("descendants max", put("/cgroup.max.descendants", "max\n"));
}

static void errors(void) {
  static const char *const cases[][2] = {
    {"/cgroup.procs", "x"}, {"/cgroup.procs", "-1"}, {"/cgroup.procs", "4194305"},
    {"/cgroup.freeze", "2"}, {"/cgroup.freeze", "x"}, {"/cgroup.kill", "0"}, {"/cgroup.kill", "y"},
    {"/cgroup.type", "foo"}, {"/cgroup.type", "domain"}, {"/cgroup.subtree_control", "+nosuch"},
    {"/cgroup.subtree_control", "pids"}, {"/cgroup.subtree_control", "\n"}, {"/cgroup.max.depth", "-1"},
    {"/cgroup.max.depth", "x"}, {"/cgroup.max.depth", "99999999999"}, {"/cgroup.max.descendants", "0x10"},
  };
  for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
    char name[100];
    snprintf(name, sizeof name, "%s < %s", cases[i][0], cases[i][1][0] == '\n' ? "newline" : cases[i][1]);
    ret(name, put(cases[i][0], cases[i][1]));
  }
  show("/cgroup.max.descendants");
  put("/cgroup.max.descendants", "max");
}

static void moves(void) {
  int fd = open(at("/cgroup.events"), O_RDONLY), in = inotify_init1(IN_NONBLOCK);
  char buf[4096];
  struct pollfd p = {.fd = fd, .events = POLLPRI};
  is("watch", inotify_add_watch(in, at("/cgroup.events"), IN_MODIFY) > 0);
  ok("read events", read(fd, buf, sizeof buf));
  ret("nothing new", poll(&p, 1, 0));
  pid_t pid = sleeper("");
  is("one process", atoi(get(at("/cgroup.procs"))) == pid);
  is("one thread", atoi(get(at("/cgroup.threads"))) == pid);
  show("/cgroup.events");
  ret("told", poll(&p, 1, LIMIT_MS));
  say("revents %x", p.revents & (POLLPRI | POLLERR));
  p = (struct pollfd){.fd = in, .events = POLLIN};
  ret("inotify is told", poll(&p, 1, LIMIT_MS));
  ok("inotify", read(in, buf, sizeof buf));
  is("of a modification", ((struct inotify_event *)buf)->mask == IN_MODIFY);
  ret("rmdir populated", rmdir(g));
  ret("mkdir below", mkdir(at("/b"), 0755));
  snprintf(buf, sizeof buf, "%d\n", pid);
  ret("move by number", put("/b/cgroup.procs", buf));
  show("/cgroup.procs");
  show("/cgroup.events");
  end(pid);
  await("empty again", "/cgroup.events", "populated 0");
  ret("rmdir below", rmdir(at("/b")));
  lseek(fd, 0, SEEK_SET);
  ok("read events", read(fd, buf, sizeof buf));
  close(in);
  close(fd);
}

static void inherits(void) {
  pid_t pid = fork();
  if (pid == 0) {
    put("/cgroup.procs", "0");
    say("self %s", place());
    pid_t kid = fork();
    if (kid == 0) {
      say("child %s", place());
      ret("unshare", unshare(CLONE_NEWCGROUP | CLONE_NEWNS));
      say("in the namespace %s", place());
      ret("mkdir for the mount", mkdir(at("/in"), 0755));
      ret("mount in the namespace", mount("none", at("/in"), "cgroup2", 0, NULL));
      say("in the mount: in is %s", access(at("/in/in"), F_OK) == 0 ? "there" : "missing");
      ret("umount", umount(at("/in")));
      ret("rmdir of the mount", rmdir(at("/in")));
      _exit(0);
    }
    waitpid(kid, NULL, 0);
    _exit(0);
  }
  waitpid(pid, NULL, 0);
}

static long clone_into(int fd) {
  struct clone_args a = {.flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = fd};
  long pid = syscall(SYS_clone3, &a, sizeof a);
  if (pid == 0) {
    say("born in %s", place());
    _exit(0);
  }
  if (pid > 0) waitpid(pid, NULL, 0);
  return pid > 0 ? 0 : pid;
}

static void into(void) {
  mkdir(at("/k"), 0755);
  int fd = open(at("/k"), O_PATH | O_DIRECTORY), file = open(at("/k/cgroup.procs"), O_RDONLY), null = open("/dev/null", O_RDONLY);
  ret("clone into", clone_into(fd));
  ret("clone into a file", clone_into(file));
  ret("clone into /dev/null", clone_into(null));
  ret("clone into nothing", clone_into(999));
  await("empty", "/k/cgroup.events", "populated 0");
  int events = open(at("/k/cgroup.events"), O_RDONLY);
  char buf[100];
  ret("rmdir", rmdir(at("/k")));
  ret("clone into the removed", clone_into(fd));
  ret("read of the removed", read(events, buf, sizeof buf));
  close(fd), close(file), close(null), close(events);
}

static void threads(void) {
  ret("mkdir t", mkdir(at("/t"), 0755));
  ret("threaded", put("/t/cgroup.type", "threaded\n"));
  ret("mkdir u", mkdir(at("/u"), 0755));
  show("/cgroup.type"), show("/t/cgroup.type"), show("/u/cgroup.type");
  ret("into the invalid", put("/u/cgroup.procs", "0"));
  pid_t pid = sleeper("");
  char number[20];
  snprintf(number, sizeof number, "%d", pid);
  ret("thread into t", put("/t/cgroup.threads", number));
  is("thread of t", atoi(get(at("/t/cgroup.threads"))) == pid);
  show("/t/cgroup.procs");
  is("process of the domain", atoi(get(at("/cgroup.procs"))) == pid);
  ret("kill of t", put("/t/cgroup.kill", "1"));
  end(pid);
  await("empty", "/cgroup.events", "populated 0");
  ret("rmdir u", rmdir(at("/u")));
  ret("rmdir t", rmdir(at("/t")));
  show("/cgroup.type");
}

static void freezer(void) {
  mkdir(at("/f"), 0755);
  pid_t pid = sleeper("/f");
  ret("freeze", put("/cgroup.freeze", "1"));
  await("frozen", "/cgroup.events", "frozen 1");
  await("frozen below", "/f/cgroup.events", "frozen 1");
  show("/f/cgroup.freeze");
  kill(pid, SIGTERM);
  int status;
  is("SIGTERM ends the frozen", waitpid(pid, &status, 0) == pid && WTERMSIG(status) == SIGTERM);
  ret("thaw", put("/cgroup.freeze", "0"));
  show("/f/cgroup.freeze");
  pid = sleeper("/f");
  ret("kill all", put("/cgroup.kill", "1"));
  is("SIGKILL", waitpid(pid, &status, 0) == pid && WTERMSIG(status) == SIGKILL);
  await("empty", "/cgroup.events", "populated 0");
  ret("rmdir f", rmdir(at("/f")));
}

static void attributes(void) {
  char v[10];
  ret("user", setxattr(g, "user.a", "bc", 2, 0));
  ret("trusted", setxattr(g, "trusted.a", "b", 1, 0));
  ret("create again", setxattr(g, "user.a", "b", 1, XATTR_CREATE));
  ret("value", getxattr(g, "user.a", v, sizeof v));
  ret("remove", removexattr(g, "user.a"));
  ret("gone", getxattr(g, "user.a", v, sizeof v));
}

static void delegation(void) {
  mkdir(at("/d"), 0755);
  ret("chown", chown(at("/d"), 1000, 1000));
  pid_t pid = fork();
  if (pid == 0) {
    if (setgid(1000) || setuid(1000)) _exit(1);
    ret("own mkdir", mkdir(at("/d/e"), 0755));
    struct stat s;
    is("own files", stat(at("/d/e/cgroup.procs"), &s) == 0 && s.st_uid == 1000);
    ret("not into it", put("/d/e/cgroup.procs", "0"));
    ret("nor its parent", put("/d/cgroup.procs", "0"));
    ret("own rmdir", rmdir(at("/d/e")));
    _exit(0);
  }
  waitpid(pid, NULL, 0);
  ret("chown procs", chown(at("/d/cgroup.procs"), 1000, 1000));
  pid = fork();
  if (pid == 0) {
    put("/d/cgroup.procs", "0");
    if (setgid(1000) || setuid(1000)) _exit(1);
    mkdir(at("/d/e"), 0755);
    ret("within", put("/d/e/cgroup.procs", "0"));
    say("now in %s", place());
    ret("not out", put("/cgroup.procs", "0"));
    ret("back", put("/d/cgroup.procs", "0"));
    ret("rmdir", rmdir(at("/d/e")));
    _exit(0);
  }
  waitpid(pid, NULL, 0);
  await("empty", "/d/cgroup.events", "populated 0");
  ret("rmdir d", rmdir(at("/d")));
}

int main(void) {
  snprintf(g, sizeof g, "rts-guest-%d", getpid());
  is("mount namespace", unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
  chmod(".", 0755);
  is("mount", mkdir("m", 0755) == 0 && mount("none", "m", "cgroup2", 0, NULL) == 0 && chdir("m") == 0);
  tree();
  errors();
  moves();
  inherits();
  await("empty", "/cgroup.events", "populated 0");
  into();
  threads();
  freezer();
  attributes();
  delegation();
  ret("rmdir", rmdir(g));
  return 0;
}
