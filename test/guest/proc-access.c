// Who may look into whose /proc/PID. Runs as root; a child without privileges asks about its parent and itself.
#include "guest.h"
#include <dirent.h>
#include <sys/prctl.h>

static char path[100], buf[4096];
static pid_t about;

static const char *p(const char *name) {
  snprintf(path, sizeof path, "/proc/%d/%s", about, name);
  return path;
}

static void try_open(const char *name, int flags) {
  int fd = open(p(name), flags);
  long n = fd < 0 ? -1 : read(fd, buf, sizeof buf);
  int e = errno;
  say("%s: %s %s", name, fd < 0 ? strerrorname_np(e) : "opens", fd < 0 ? "" : n < 0 ? strerrorname_np(e) : "reads");
  if (fd >= 0) close(fd);
}

static void try_link(const char *name) {
  long n = readlink(p(name), buf, sizeof buf);
  say("%s: %s", name, n < 0 ? strerrorname_np(errno) : "reads");
}

static void look(const char *who) {
  say("== %s", who);
  const char *files[] = {"cmdline", "comm", "environ", "auxv", "status", "stat", "statm", "maps", "smaps", "limits",
                         "mounts", "mountinfo", "io", "personality", "syscall", "wchan", "oom_score", "cgroup"};
  for (unsigned i = 0; i < sizeof files / sizeof *files; i++) try_open(files[i], O_RDONLY);
  try_open("mem", O_RDWR);
  try_link("exe");
  try_link("cwd");
  try_link("root");
  try_link("fd/0");
  try_link("ns/net");
  DIR *d = opendir(p("fd"));
  say("fd: %s", d ? "opens" : strerrorname_np(errno));
  if (d) closedir(d);
  struct stat st;
  stat(p(""), &st);
  say("owner %s", st.st_uid == 0 ? "root" : "the user");
  stat(p("environ"), &st);
  say("owner of environ %s mode %o", st.st_uid == 0 ? "root" : "the user", st.st_mode & 07777);
  int fd = open(p("stat"), O_RDONLY);
  long n = read(fd, buf, sizeof buf - 1);
  close(fd);
  buf[n > 0 ? n : 0] = 0;
  char *s = strrchr(buf, ')');
  // Fields 26 to 28: startcode, endcode, startstack.
  for (int f = 2; s && f < 26; f++) s = strchr(s + 1, ' ');
  say("addresses in stat %s", s && strtoull(s, NULL, 10) > 1 ? "shown" : "hidden");
}

static void store(const char *name, const char *text) {
  int fd = open(p(name), O_WRONLY);
  long r = fd < 0 ? -1 : write(fd, text, strlen(text));
  int e = errno;
  say("%s <- %s: %s", name, text, r < 0 ? strerrorname_np(e) : "written");
  if (fd >= 0) close(fd);
}

int main(void) {
  int go[2];
  char c;
  pipe(go);
  pid_t child = fork();
  if (child == 0) {
    if (setgid(65534) || setuid(65534)) say("cannot drop privileges");
    about = getpid();
    look("not dumpable: itself");
    prctl(PR_SET_DUMPABLE, 1);
    look("itself");
    about = getppid();
    look("root's process");
    store("comm", "new");
    store("oom_score_adj", "500");
    about = getpid();
    store("comm", "new");
    store("oom_score_adj", "500");
    store("oom_score_adj", "400");
    store("timerslack_ns", "60000");
    about = 1;
    write(go[1], "x", 1);
    pause();
  }
  read(go[0], &c, 1);
  about = child;
  look("the user's process, by root");
  store("comm", "new");
  kill(child, SIGKILL);
  wait(NULL);
  return 0;
}
