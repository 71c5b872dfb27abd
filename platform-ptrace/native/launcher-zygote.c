// In S, before it becomes Node: starts Z, the parent image of all guest processes.
#define _GNU_SOURCE
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static void limit(int what, unsigned long value) {
  struct rlimit r = {value, value};
  if (setrlimit(what, &r) < 0) die("setrlimit %d", what);
}

static void zygote_main(int null_fd) __attribute__((noreturn));
static void zygote_main(int null_fd) {
  struct place places[] = {{null_fd, 0}, {dist_fd, 1}};
  place_fds(places, 2);
  fcntl(0, F_SETFD, FD_CLOEXEC);
  fcntl(1, F_SETFD, FD_CLOEXEC);
  die_with_parent();
  limit(RLIMIT_NOFILE, 2);
  limit(RLIMIT_MEMLOCK, 0);
  char *const argv[] = {"stub", NULL}, *const envp[] = {NULL};
  syscall(SYS_execveat, 1, opt.stub, argv, envp, 0);
  _exit(127);
}

int start_zygote(int null_fd) {
  int done[2];
  char byte;
  if (pipe2(done, O_CLOEXEC) < 0) die("pipe");
  pid_t zygote = fork();
  if (zygote < 0) die("fork");
  if (zygote == 0) zygote_main(null_fd);
  close(done[1]);
  // End of file: the zygote's copy is closed.
  if (read(done[0], &byte, 1) != 0) die("the zygote did not start");
  close(done[0]);
  zygote_pid = zygote;
  return -1;
}
