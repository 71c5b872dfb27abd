// `launcher enter PID FLAGS DIR PROGRAM ARG0 ARG…`: runs a program in namespaces of a process, for createContainer hooks. DIR and
// PROGRAM are names in the mount namespace that is entered, which has not changed its root yet. Ends as the program does.
#define _GNU_SOURCE
#include "launcher.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

int enter_main(char **argv) {
  int flags = strtol(argv[1], NULL, 0), status;
  int pidfd = syscall(SYS_pidfd_open, atoi(argv[0]), 0);
  if (pidfd < 0 || (flags && setns(pidfd, flags) < 0)) die("cannot enter the container's namespaces");
  close(pidfd);
  if (flags & CLONE_NEWUSER && (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)) die("cannot become root");
  if (chdir(argv[2]) < 0) die("cannot enter %s", argv[2]);
  // Into a PID namespace only children go.
  pid_t child = fork();
  if (child < 0) die("fork");
  if (child == 0) {
    die_with_parent();
    execve(argv[3], argv + 4, environ);
    die("fork/exec %s", argv[3]);
  }
  if (waitpid(child, &status, 0) != child) die("wait");
  if (!WIFSIGNALED(status)) return WEXITSTATUS(status);
  signal(WTERMSIG(status), SIG_DFL);
  kill(getpid(), WTERMSIG(status));
  return 128 + WTERMSIG(status);
}
