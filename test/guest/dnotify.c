// link: -w
// Directory notification by signals: F_NOTIFY.
#include "guest.h"
#include <dirent.h>
#include <sys/stat.h>
#include <sys/wait.h>

static volatile sig_atomic_t hits, fd, code;
static void on_event(int s, siginfo_t *si, void *c) {
  (void)s, (void)c;
  hits++, code = si->si_code, fd = si->si_fd;
}

// Signals of the caller's own calls are there when the call returns.
static void told(const char *name) {
  say("%s: %d", name, (int)hits);
  hits = 0;
}

static void touch(const char *path) { close(open(path, O_CREAT | O_WRONLY, 0644)); }

int main(void) {
  struct sigaction sa = {.sa_sigaction = on_event, .sa_flags = SA_SIGINFO};
  sigaction(SIGIO, &sa, NULL);
  sigaction(SIGRTMIN, &sa, NULL);
  char dir[] = "/tmp/dnotifyXXXXXX";
  mkdtemp(dir), chdir(dir);
  int d = open(".", O_RDONLY), f = open("file", O_CREAT | O_RDWR, 0644);
  ret("not a directory", fcntl(f, F_NOTIFY, DN_CREATE));
  ret("nothing, not a directory", fcntl(f, F_NOTIFY, 0));
  ret("bad descriptor", fcntl(-1, F_NOTIFY, DN_CREATE));
  int p = open(".", O_PATH);
  ret("path", fcntl(p, F_NOTIFY, DN_CREATE));
  ret("create", fcntl(d, F_NOTIFY, DN_CREATE));
  is("owner is the caller", fcntl(d, F_GETOWN) == getpid());
  touch("a"), told("created");
  touch("b"), told("once only");
  ret("signal", fcntl(d, F_SETSIG, SIGRTMIN));
  ret("many", fcntl(d, F_NOTIFY, DN_CREATE | DN_MULTISHOT));
  touch("c");
  is("fd", fd == d);
  is("code", code == POLL_MSG);
  touch("d"), mkdir("sub", 0755), told("three");
  touch("sub/x"), told("below a subdirectory");
  unlink("d"), told("deleted, not asked for");
  ret("delete too", fcntl(d, F_NOTIFY, DN_DELETE));
  unlink("c"), touch("c"), told("both");
  rename("c", "sub/c"), told("moved out");
  rename("sub/c", "c"), told("moved in");
  ret("off", fcntl(d, F_NOTIFY, 0));
  touch("e"), unlink("e"), told("off");
  ret("rename", fcntl(d, F_NOTIFY, DN_RENAME | DN_MULTISHOT));
  rename("c", "g"), told("renamed");
  rename("g", "sub/g"), told("renamed away");
  rename("sub/g", "c"), told("renamed in");
  fcntl(d, F_NOTIFY, 0);
  ret("access, modify, attributes", fcntl(d, F_NOTIFY, DN_ACCESS | DN_MODIFY | DN_ATTRIB | DN_MULTISHOT));
  write(f, "xyz", 3), told("written");
  char b[8];
  pread(f, b, 3, 0), told("read");
  fchmod(f, 0600), told("mode");
  ftruncate(f, 1), told("truncated");
  chmod(".", 0750), told("own mode");
  int copy = dup(d);
  ret("closed", close(copy));
  write(f, "x", 1), told("any close ends it");
  fcntl(d, F_NOTIFY, DN_MODIFY | DN_MULTISHOT);
  pid_t pid = fork();
  if (pid == 0) write(f, "x", 1), _exit(0);
  waitpid(pid, NULL, 0);
  told("by a child");
  ret("close", close(d));
  write(f, "x", 1), told("closed");
  return 0;
}
