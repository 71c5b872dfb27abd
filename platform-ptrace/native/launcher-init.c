// I, the first process of the sandbox's namespaces, and S, which it starts and becomes Node.
#define _GNU_SOURCE
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void sentry_main(void) __attribute__((noreturn));
static void sentry_main(void) {
  int null_fd, log_fd;
  open_null_and_log(&null_fd, &log_fd);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  die_with_parent();
  drop_caps(0);
  ask_for_short_turns();
  struct started_zygote zygote = {-1, -1, -1};
  if (opt.has_stub) zygote = start_zygote();
  struct place places[16 + MAX_DONATED] = {
      {null_fd, 0},
      {log_fd, 1},
      {log_fd, 2},
      {sentry_ctl[1], SENTRY_CONTROL_FD},
      {dist_fd, SENTRY_DIST_FD},
      {0, SENTRY_STDIO_FD},
      {1, SENTRY_STDIO_FD + 1},
      {2, SENTRY_STDIO_FD + 2},
  };
  int n = 8;
  if (opt.gofer_config_fd >= 0) places[n++] = (struct place){gofer_link[0], SENTRY_GOFER_FD};
  if (opt.has_stub) {
    places[n++] = (struct place){zygote.listener, SENTRY_LISTENER_FD};
    places[n++] = (struct place){zygote.area, SENTRY_AREA_FD};
  }
  if (raw_ctl[0] >= 0) places[n++] = (struct place){raw_ctl[0], SENTRY_RAW_FD};
  places[n++] = (struct place){networks_ctl[0], SENTRY_NETWORKS_FD};
  if (opt.sentry_config_fd >= 0) places[n++] = (struct place){opt.sentry_config_fd, SENTRY_CONFIG_FD};
  for (int i = 0; i < opt.ndonated; i++) places[n++] = (struct place){opt.donated[i], SENTRY_EXTRA_FD + i};
  int node = node_fd;
  places[n++] = (struct place){node, SENTRY_EXTRA_FD + opt.ndonated};
  place_fds(places, n);
  opt.create_fd = -1;
  node_fd = SENTRY_EXTRA_FD + opt.ndonated;
  fcntl(node_fd, F_SETFD, FD_CLOEXEC);
  char variable[64];
  snprintf(variable, sizeof variable, "RUNSC_TS_ZYGOTE=%d,%d,%d", zygote.pid, SENTRY_LISTENER_FD, SENTRY_AREA_FD);
  exec_node(opt.sentry_argv, opt.sentry_argc, opt.has_stub ? variable : NULL);
}

// Waits for S and serves L until either is gone. Returning would end the namespaces just as well.
static void serve(pid_t sentry, int tmpfs) __attribute__((noreturn));
static void serve(pid_t sentry, int tmpfs) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  int sigfd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (sigfd < 0) die("signalfd");
  for (;;) {
    struct pollfd fds[2] = {{sigfd, POLLIN, 0}, {init_ctl[1], POLLIN, 0}};
    if (poll(fds, 2, -1) < 0 && errno != EINTR) die("poll");
    if (fds[0].revents) {
      struct signalfd_siginfo info;
      while (read(sigfd, &info, sizeof info) > 0) continue;
      int status;
      for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        if (pid != sentry) continue;
        send_msg(init_ctl[1], MSG_DIED, status);
        _exit(0);
      }
    }
    if (!fds[1].revents) continue;
    struct msg m;
    if (!recv_msg(init_ctl[1], &m)) _exit(0); // L is gone
    if (m.type != MSG_PIVOT) continue;
    errno = 0;
    if (move_root_into_tmpfs(tmpfs) < 0) die("cannot change the sandbox's root");
    drop_caps(0);
    static const int calls[] = {SYS_poll,  SYS_read,  SYS_recvfrom, SYS_sendto,     SYS_wait4,
                                SYS_write, SYS_close, SYS_exit,     SYS_exit_group, SYS_restart_syscall};
    lock_calls(calls, sizeof calls / sizeof *calls);
    if (!send_msg(init_ctl[1], MSG_PIVOT, 0)) _exit(0);
  }
}

void init_main(void) {
  struct msg m;
  die_with_parent();
  close_launcher_ends();
  if (!recv_msg(init_ctl[1], &m)) _exit(0); // the id maps are written
  // Inside, 0 is the only id there is.
  if (setresgid(0, 0, 0) < 0 || (privileged && !drop_groups()) || setresuid(0, 0, 0) < 0)
    die("cannot take the sandbox's ids");
  die_with_parent();
  setsid();
  if (chdir("/") < 0) die("chdir /");
  if (!opt.host_network) set_up_network();
  int tmpfs = make_tmpfs();
  pid_t sentry = fork();
  if (sentry < 0) die("fork");
  if (sentry == 0) sentry_main();
  if (raw_ctl[1] >= 0 && !opt.host_network) start_raw_opener();
  start_networker();
  // Only what the loop needs; the caller's standard streams among the rest, so that a pipe's reader sees its end.
  int null_fd, log_fd;
  open_null_and_log(&null_fd, &log_fd);
  struct place places[] = {{null_fd, 0}, {null_fd, 1}, {log_fd, 2}, {init_ctl[1], 3}, {tmpfs, 4}};
  place_fds(places, 5);
  opt.log_fd = opt.create_fd = -1;
  init_ctl[1] = 3;
  prctl(PR_SET_DUMPABLE, 0);
  serve(sentry, 4);
}
