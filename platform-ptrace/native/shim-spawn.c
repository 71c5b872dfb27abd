// Part of shim.so: a child process of the CLI. libuv's spawn is part of Node's child_process, whose loading takes longer than
// the start of the child.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// In the child, which shares this memory until it execs: becomes `path`, or returns.
static void become(const char *path, char *const *argv, char *const *envp, int32_t *fds, int count, int session) {
  static const struct sigaction dfl = {.sa_handler = SIG_DFL};
  for (int sig = 1; sig < NSIG; sig++) sigaction(sig, &dfl, NULL); // also what Node ignores
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  if (session && setsid() < 0) return;
  if (chdir("/") < 0) return;
  // First out of the way of the numbers that they are to have.
  for (int i = 0; i < count; i++)
    if ((fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, count)) < 0) return;
  for (int i = 0; i < count; i++)
    if (dup2(fds[i], i) < 0) return;
  if (syscall(SYS_close_range, count, ~0U, 0) < 0) return;
  execve(path, argv, envp);
}

// Starts `path` in the root directory, with default signal dispositions and fds[0 … count) as its descriptors 0, 1, …, no
// others; in a session of its own if asked for. Overwrites `fds`. Its pid or −errno.
int shim_spawn(const char *path, char *const *argv, char *const *envp, int32_t *fds, int count, int session) {
  sigset_t all, old;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &old); // no handler of ours runs in the child
  volatile int error = 0;
  pid_t pid = vfork();
  if (pid == 0) {
    become(path, argv, envp, fds, count, session);
    error = errno;
    _exit(127);
  }
  int e = errno;
  sigprocmask(SIG_SETMASK, &old, NULL);
  if (pid < 0) return -e;
  if (error == 0) return pid;
  waitpid(pid, NULL, 0);
  return -error;
}

// Waits for a child: its wait status, or −errno.
int shim_wait_child(int pid) {
  int status;
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) return -errno;
  return status;
}
