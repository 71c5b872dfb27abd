// `launcher enter PID FLAGS DIR PROGRAM ARG0 ARG…`: a hook, in namespaces of a process if there are FLAGS. DIR and PROGRAM are names
// in the mount namespace that is entered, which has not changed its root yet. Ends as the program does; why the host did not execute
// it goes to descriptor 3. (Node's child_process gives files of no known format to a shell.)
#define _GNU_SOURCE
#include "launcher.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { REASON_FD = 3 };

static void run_program(char **argv) __attribute__((noreturn));
static void run_program(char **argv) {
  execve(argv[0], argv + 1, environ);
  const char *why = strerror(errno);
  dprintf(REASON_FD, "%c%s", tolower(why[0]), why + 1);
  _exit(EXIT_CANNOT_START);
}

int enter_main(char **argv) {
  int flags = strtol(argv[1], NULL, 0), status;
  fcntl(REASON_FD, F_SETFD, FD_CLOEXEC);
  if (flags == 0) {
    if (chdir(argv[2]) < 0) die("cannot enter %s", argv[2]);
    run_program(argv + 3);
  }
  int pidfd = syscall(SYS_pidfd_open, atoi(argv[0]), 0);
  if (pidfd < 0 || setns(pidfd, flags) < 0) die("cannot enter the container's namespaces");
  close(pidfd);
  if (flags & CLONE_NEWUSER && (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)) die("cannot become root");
  if (chdir(argv[2]) < 0) die("cannot enter %s", argv[2]);
  // Into a PID namespace only children go.
  pid_t child = fork();
  if (child < 0) die("fork");
  if (child == 0) {
    die_with_parent();
    run_program(argv + 3);
  }
  if (waitpid(child, &status, 0) != child) die("wait");
  if (!WIFSIGNALED(status)) return WEXITSTATUS(status);
  signal(WTERMSIG(status), SIG_DFL);
  kill(getpid(), WTERMSIG(status));
  return 128 + WTERMSIG(status);
}
