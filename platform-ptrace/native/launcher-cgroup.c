// Control groups, as far as they are the launcher's: who is in which, and their removal. The CLI has made the groups; L enters
// the sentry's, and its children follow. L itself and the guests belong to the container's, where engines look.
// A process that moves itself through a `tasks` file of version 1 needs no lock of the host's, everything else takes 10 ms.
#define _GNU_SOURCE
#include "launcher.h"

#include <errno.h>
#include <linux/capability.h>
#include <poll.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { REMOVE_TRIES = 2000, REMOVE_PAUSE_MS = 5 };

static pid_t remover = -1;
int remover_pipe = -1;

// Whether the writer may is decided by who opened the file. A failure makes figures wrong, nothing else.
static void write_pid(const int *procs, int n, pid_t pid) {
  char text[16];
  int len = snprintf(text, sizeof text, "%d", pid);
  for (int i = 0; i < n; i++)
    if (write(procs[i], text, len) < 0) errno = 0;
}

// Limits are what the user relies on: without them nothing starts.
void join_groups(void) {
  for (int i = 0; i < opt.njoin_procs; i++)
    if (write(opt.join_procs[i], "0", 1) < 0) die("cannot enter a cgroup of the container");
}

void join_guest_groups(void) { write_pid(opt.guest_procs, opt.nguest_procs, 0); }

// Those whose files move whole processes: the host's kernel lets every CPU pass a quiescent state first, 10 ms, and holds the lock
// of all groups meanwhile. So L does it while nobody waits for it, or for that lock.
void join_late_groups(void) {
  write_pid(opt.late_procs, opt.nlate_procs, 0);
  for (int i = 0; i < opt.nlate_procs; i++) close(opt.late_procs[i]);
  opt.nlate_procs = 0;
}

static bool remove_groups(void) {
  bool all = true;
  for (int i = 0; i < opt.nrmdirs; i++)
    if (rmdir(opt.rmdirs[i]) < 0 && errno != ENOENT) all = false;
  return all;
}

// R, a child of L that is outside of the groups, removes them when L says so or has ended, however that happened.
void start_remover(void) {
  int ends[2];
  if (opt.nrmdirs == 0) return;
  if (pipe(ends) < 0) die("pipe");
  pid_t launcher = getpid();
  remover = fork();
  if (remover < 0) die("fork");
  if (remover > 0) {
    close(ends[0]);
    remover_pipe = ends[1];
    return;
  }
  setsid();
  if (chdir("/") < 0) die("chdir /");
  int null_fd, log_fd;
  open_null_and_log(&null_fd, &log_fd);
  struct place places[4 + MAX_GROUPS] = {{null_fd, 0}, {null_fd, 1}, {null_fd, 2}, {ends[0], 3}};
  for (int i = 0; i < opt.nleave_procs; i++) {
    places[4 + i] = (struct place){opt.leave_procs[i], 4 + i};
    opt.leave_procs[i] = 4 + i;
  }
  place_fds(places, 4 + opt.nleave_procs);
  // The roots of hierarchies are writable for nobody; a cpuset asks who may change L's affinity.
  drop_caps(privileged ? 1u << CAP_DAC_OVERRIDE | 1u << CAP_SYS_NICE : 0);
  static const int calls[] = {SYS_read, SYS_write, SYS_poll, SYS_rmdir, SYS_exit, SYS_exit_group, SYS_restart_syscall};
  lock_calls(calls, sizeof calls / sizeof *calls);
  char byte;
  if (read(3, &byte, 1) == 1) write_pid(opt.leave_procs, opt.nleave_procs, launcher);
  for (int i = 0; i < REMOVE_TRIES && !remove_groups(); i++) poll(NULL, 0, REMOVE_PAUSE_MS);
  _exit(0);
}

// Everything else of the sandbox has ended. L goes on when its groups are gone: the id may be used again at once.
void remove_own_groups(void) {
  if (remover < 0 || write(remover_pipe, "", 1) != 1) return;
  for (int i = 0; i < REMOVE_TRIES && waitpid(remover, NULL, WNOHANG) == 0; i++) poll(NULL, 0, 1);
}
