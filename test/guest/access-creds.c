// Which of its ids a process is judged by when it looks into another: the real ones by system calls, those for files by /proc; what is left
// of them at execve.
#include "guest.h"
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

static pid_t other(void) {
  pid_t pid = fork();
  if (pid == 0) {
    if (setresgid(1000, 1000, 1000) != 0 || setresuid(1000, 1000, 1000) != 0) _exit(1);
    prctl(PR_SET_DUMPABLE, 1);
    raise(SIGSTOP);
    _exit(0);
  }
  waitpid(pid, NULL, WUNTRACED);
  return pid;
}

static void look(const char *who, pid_t pid) {
  char path[40], name[80], c;
  snprintf(path, sizeof path, "/proc/%d/mem", pid);
  int fd = open(path, O_RDONLY);
  snprintf(name, sizeof name, "%s: /proc/PID/mem", who);
  ok(name, fd);
  if (fd >= 0) close(fd);
  struct iovec l = {&c, 1}, r = {&l, 1};
  snprintf(name, sizeof name, "%s: process_vm_readv", who);
  ok(name, process_vm_readv(pid, &l, 1, &r, 1, 0));
  snprintf(name, sizeof name, "%s: kcmp", who);
  ok(name, syscall(SYS_kcmp, getpid(), pid, 1, 0, 0));
  int pidfd = syscall(SYS_pidfd_open, pid, 0);
  snprintf(name, sizeof name, "%s: pidfd_getfd", who);
  ok(name, syscall(SYS_pidfd_getfd, pidfd, 0, 0));
  void *head;
  size_t len;
  snprintf(name, sizeof name, "%s: get_robust_list", who);
  ok(name, syscall(SYS_get_robust_list, pid, &head, &len));
  snprintf(name, sizeof name, "%s: attach", who);
  if (ok(name, ptrace(PTRACE_ATTACH, pid, 0, 0)) == 0) waitpid(pid, NULL, __WALL), ptrace(PTRACE_DETACH, pid, 0, 0);
}

static void as(const char *who, int rgid, int ruid, int fsgid, int fsuid, pid_t pid) {
  fflush(stdout);
  pid_t me = fork();
  if (me == 0) {
    // Real ids as given, effective ones 1002, those for files at last: changing them takes CAP_SETUID.
    if (setresgid(rgid, 1002, fsgid) != 0 || setresuid(ruid, 1002, fsuid) != 0) _exit(1);
    setfsgid(fsgid);
    setfsuid(fsuid);
    look(who, pid);
    _exit(0);
  }
  wait_say(who, me);
}

// Dumpable of a process whose ids for files were others before it executed a program.
static void execute(const char *what, int fsuid, int fsgid) {
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    setfsgid(fsgid), setfsuid(fsuid);
    prctl(PR_SET_DUMPABLE, 1);
    execl("/proc/self/exe", "access-creds", what, NULL);
    _exit(1);
  }
  wait_say(what, pid);
}

int main(int argc, char **argv) {
  if (argc > 1) {
    say("%s: dumpable %d", argv[1], prctl(PR_GET_DUMPABLE) == 1);
    return 0;
  }
  pid_t pid = other();
  as("all but the effective", 1000, 1000, 1000, 1000, pid);
  as("real only", 1000, 1000, 1002, 1002, pid);
  as("real user only", 1002, 1000, 1002, 1002, pid);
  as("files only", 1002, 1002, 1000, 1000, pid);
  as("none", 1002, 1002, 1002, 1002, pid);
  kill(pid, SIGKILL);
  wait_say("other", pid);
  execute("as it was", 0, 0);
  execute("other user for files", 1000, 0);
  execute("other group for files", 0, 1000);
}
