// L, the launcher: starts the gofer and the sandbox, forwards signals, and ends as the container
// ended. See launcher.h for the whole.
#define _GNU_SOURCE
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

bool privileged;
int sentry_ctl[2] = {-1, -1}, gofer_ctl[2] = {-1, -1}, gofer_link[2] = {-1, -1}, init_ctl[2] = {-1, -1};
int node_fd, dist_fd;

static pid_t init_pid, gofer_pid, opener_pid;
static int signal_fd;
static int booting = -1; // open in S until it executes Node
// While it boots no guest has a say, and a machine that starts many sandboxes at once may take long.
enum { PING_INTERVAL_MS = 5000, SILENCE_MAX_MS = 20000, BOOT_SILENCE_MAX_MS = 120000, STARVED_MS = 500, END_DEADLINE_MS = 10000, END_PAUSE_MS = 100 };
static bool pinged;          // and no message has come since
static int silent_ms;        // since then, as far as it counts
static int64_t cpu_used_ns;  // of sentry and gofer, at the last ping
static pid_t sentry_pid;     // as L sees it; 0 before its first message
static bool sentry_answered, sentry_ready, gofer_loaded, gofer_ready, init_pivoted, hooked, rooted, started;

void close_launcher_ends(void) {
  if (sentry_ctl[0] >= 0) close(sentry_ctl[0]);
  if (init_ctl[0] >= 0) close(init_ctl[0]);
  if (gofer_ctl[0] >= 0) close(gofer_ctl[0]);
}

static void make_pair(int pair[2]) {
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) die("socketpair");
}

static bool has_sys_admin(void) {
  struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2];
  if (syscall(SYS_capget, &head, data) < 0) die("capget");
  return data[0].effective >> CAP_SYS_ADMIN & 1;
}

// One line for the caller and for the log.
static void say(const char *text) {
  if (opt.create_fd >= 0) send_text(opt.create_fd, MSG_FAILED, EXIT_SANDBOX_GONE, text);
  char line[200];
  int n = snprintf(line, sizeof line, "runsc-ts: %s\n", text);
  if (opt.log_fd >= 0 && write(opt.log_fd, line, n) < 0) opt.log_fd = -1;
  if (write(2, line, n) < 0) n = 0;
}

static int64_t now_ms(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

// Ends everything that is left. Both are killed before either is waited for; a PID namespace's init is only reaped
// when no process of the namespace is left. One that is stuck in the host kernel is not waited for without end.
static void end_sandbox(void) {
  pid_t *const pids[] = {&init_pid, &gofer_pid, &opener_pid};
  for (int i = 0; i < 3; i++)
    if (*pids[i] > 0) kill(*pids[i], SIGKILL);
  for (int64_t deadline = now_ms() + END_DEADLINE_MS;;) {
    for (int i = 0; i < 3; i++)
      if (*pids[i] > 0 && waitpid(*pids[i], NULL, WNOHANG) != 0) *pids[i] = 0;
    if (init_pid <= 0 && gofer_pid <= 0 && opener_pid <= 0) break;
    if (now_ms() > deadline) {
      say("processes of the sandbox do not end");
      return;
    }
    // SIGCHLD, and nothing that a signal asks for matters any more.
    struct pollfd signals = {signal_fd, POLLIN, 0};
    struct signalfd_siginfo info;
    if (poll(&signals, 1, END_PAUSE_MS) > 0)
      while (read(signal_fd, &info, sizeof info) > 0) continue;
  }
  remove_own_groups();
}

// Ends as the container did, so that whoever waits for the launcher sees the same wait status. `exec` in the foreground is a command
// of the runtime's: of signals it tells as runc does.
static void exit_like(int status) __attribute__((noreturn));
static void exit_like(int status) {
  end_sandbox();
  if (WIFSIGNALED(status) && opt.join_fd >= 0 && opt.create_fd < 0) _exit(128 + WTERMSIG(status));
  if (WIFSIGNALED(status)) {
    int signo = WTERMSIG(status);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signo);
    signal(signo, SIG_DFL);
    kill(getpid(), signo);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    _exit(128 + signo);
  }
  _exit(WEXITSTATUS(status));
}

static void fail(const char *who, int status) __attribute__((noreturn));
static void fail(const char *who, int status) {
  char how[40] = "";
  if (WIFSIGNALED(status)) snprintf(how, sizeof how, " (killed by signal %d)", WTERMSIG(status));
  else if (WIFEXITED(status)) snprintf(how, sizeof how, " (exit status %d)", WEXITSTATUS(status));
  char text[160];
  snprintf(text, sizeof text, "%s ended unexpectedly%s, the sandbox is gone", who, how);
  say(text);
  end_sandbox();
  _exit(EXIT_SANDBOX_GONE);
}

// Messages may be queued behind the death of their sender: an exit status among them counts.
static void drain_sentry(void) {
  struct msg m;
  while (recv(sentry_ctl[0], &m, sizeof m, MSG_DONTWAIT) == sizeof m)
    if (m.type == MSG_EXIT) exit_like(m.value);
}

// What is left to do is messages, waiting and killing.
static void give_up_rights(void) {
  static const int calls[] = {SYS_poll,       SYS_read,         SYS_recvfrom,       SYS_recvmsg, SYS_sendto,
                              SYS_wait4,      SYS_write,        SYS_close,          SYS_kill,    SYS_tgkill,
                              SYS_getpid,     SYS_gettid,       SYS_clock_gettime,  SYS_shutdown, SYS_exit,
                              SYS_exit_group, SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_restart_syscall};
  if (privileged) drop_caps(1u << CAP_KILL);
  lock_calls(calls, sizeof calls / sizeof *calls);
}

static void start_when_ready(void) {
  if (gofer_loaded && !gofer_ready && hooked) {
    // Hooks may have put something into the trees.
    pivot_gofer(gofer_pid);
    gofer_ready = true;
    send_msg(gofer_ctl[0], MSG_GO, 0); // at once: the sentry may ask it something before it is ready itself
  }
  if (!rooted && hooked && (gofer_pid == 0 || gofer_ready)) {
    // While the sentry still loads: unmounting waits for all CPUs, some milliseconds.
    rooted = true;
    take_names();
    enter_root();
  }
  if (started || !hooked || !sentry_ready || !init_pivoted || !(gofer_pid == 0 || gofer_ready)) return;
  started = true;
  if (opt.create_fd >= 0) take_identity();
  give_up_rights();
  if (opt.join_fd < 0) send_msg(sentry_ctl[0], MSG_GO, 0);
  else if (opt.create_fd >= 0) send_msg(opt.create_fd, MSG_READY, 0);
  join_late_groups();
}

// The sandbox that this stub's process was in is gone, and with it the process.
static void lost_sandbox(void) __attribute__((noreturn));
static void lost_sandbox(void) {
  end_sandbox();
  _exit(128 + SIGKILL);
}

static void on_sentry_message(void) {
  struct {
    struct msg head;
    char text[MAX_TEXT + 1];
  } in;
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(struct ucred))]; // no room for descriptors
  } control;
  struct iovec iov = {&in, sizeof in - 1};
  struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  ssize_t n = recvmsg(sentry_ctl[0], &h, MSG_CMSG_CLOEXEC);
  if (n < 0 && errno == EINTR) return;
  if (n <= 0) {
    if (opt.join_fd >= 0) lost_sandbox();
    shutdown(sentry_ctl[0], SHUT_RDWR);
    close(sentry_ctl[0]);
    sentry_ctl[0] = -1; // I reports how it ended
    return;
  }
  if (n < (ssize_t)sizeof in.head) return; // malformed: the peer is not trusted, its message does not exist
  struct msg m = in.head;
  pinged = false; // whatever it says, it is there
  silent_ms = 0;
  struct cmsghdr *c = CMSG_FIRSTHDR(&h);
  if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS) sentry_pid = ((struct ucred *)CMSG_DATA(c))->pid;
  if (started) sentry_answered = true;
  if ((m.type == MSG_CREATED || m.type == MSG_FAILED) && opt.create_fd >= 0) {
    ((char *)&in)[n] = 0;
    send_text(opt.create_fd, m.type, m.value, in.text);
  }
  if (m.type == MSG_EXIT) exit_like(m.value);
  if (m.type == MSG_STOPPED) raise(SIGSTOP);
  if (m.type == MSG_READY && !sentry_ready) {
    sentry_ready = true;
    send_msg(init_ctl[0], MSG_PIVOT, 0);
  }
}

static void on_gofer_message(void) {
  struct msg m;
  if (!recv_msg(gofer_ctl[0], &m)) {
    close(gofer_ctl[0]);
    gofer_ctl[0] = -1; // SIGCHLD follows
    return;
  }
  if (m.type != MSG_READY) return;
  gofer_loaded = true;
  start_when_ready();
}

static void on_cli_message(void) {
  struct msg m;
  if (!recv_msg(opt.create_fd, &m)) {
    end_sandbox();
    _exit(EXIT_CANNOT_START);
  }
  if (m.type == MSG_HOOKED) {
    hooked = true;
    start_when_ready();
  }
  if (m.type == MSG_COMMIT) {
    close(opt.create_fd);
    opt.create_fd = -1;
  }
}

static void on_init_message(void) {
  struct msg m;
  if (!recv_msg(init_ctl[0], &m)) {
    close(init_ctl[0]);
    init_ctl[0] = -1;
    return;
  }
  if (m.type == MSG_DIED) {
    drain_sentry();
    fail("the sentry", m.value);
  }
  if (m.type == MSG_PIVOT) {
    init_pivoted = true;
    start_when_ready();
  }
}

static void on_child(void) {
  int status;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
    struct msg m;
    if (pid == opener_pid) opener_pid = 0; // from now on no raw socket can be made
    if (pid == gofer_pid) {
      gofer_pid = 0;
      drain_sentry();
      fail("the gofer", status);
    }
    if (pid == init_pid) {
      init_pid = 0;
      drain_sentry();
      // I may have said how S ended.
      if (init_ctl[0] >= 0 && recv(init_ctl[0], &m, sizeof m, MSG_DONTWAIT) == sizeof m && m.type == MSG_DIED)
        fail("the sentry", m.value);
      fail("the sandbox's init", status);
    }
  }
}

static void on_signals(void) {
  struct signalfd_siginfo info;
  while (read(signal_fd, &info, sizeof info) == sizeof info) {
    int signo = info.ssi_signo;
    bool ends = signo == SIGINT || signo == SIGTERM || signo == SIGHUP || signo == SIGQUIT;
    if (signo == SIGCHLD) on_child();
    else if (ends && !started) exit_like(signo); // there is nobody yet to deliver it to
    else if (sentry_ctl[0] >= 0) send_msg(sentry_ctl[0], MSG_SIGNAL, signo);
  }
}

static int64_t cpu_time_ns(pid_t pid) {
  struct timespec ts;
  // linux/posix-timers.h MAKE_PROCESS_CPUCLOCK, CPUCLOCK_SCHED
  if (pid <= 0 || clock_gettime((clockid_t)(~(unsigned)pid << 3 | 2), &ts) < 0) return 0;
  return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

// What an interval without an answer counts for. A sentry that has used no CPU time in it is stuck (or waits for a gofer that is), one
// that has used all of it is in a loop; one that has used a little does not get more on this machine, and may need longer.
static int silence(void) {
  int64_t now = cpu_time_ns(sentry_pid) + cpu_time_ns(gofer_pid), used_ms = (now - cpu_used_ns + 999999) / 1000000;
  cpu_used_ns = now;
  if (used_ms <= 0 || used_ms > PING_INTERVAL_MS) return PING_INTERVAL_MS;
  return used_ms < STARVED_MS ? STARVED_MS : used_ms;
}

// Counted in intervals of L's own time, so that a freezer's or a debugger's pause of the whole sandbox counts as one.
static void ping(void) {
  if (!started || sentry_ctl[0] < 0) return;
  int interval = silence();
  if (pinged) silent_ms += interval;
  if (silent_ms < (sentry_answered ? SILENCE_MAX_MS : BOOT_SILENCE_MAX_MS)) {
    pinged = true;
    send_msg(sentry_ctl[0], MSG_PING, 0);
    return;
  }
  say("the sentry does not answer any more, the sandbox is ended");
  end_sandbox();
  _exit(EXIT_SANDBOX_GONE);
}

// S has become Node, or has ended: its zygote is where it shall be. Both would have waited for the lock of all groups that L holds
// meanwhile, and now have enough to do without L.
static void on_boot(void) {
  close(booting);
  booting = -1;
  join_late_groups();
}

static void serve(void) __attribute__((noreturn));
static void serve(void) {
  for (;;) {
    // The connection of a stub that joins is the CLI's until it commits.
    int sentry = opt.join_fd >= 0 && opt.create_fd >= 0 ? -1 : sentry_ctl[0];
    struct pollfd fds[6] = {{sentry, POLLIN, 0},    {gofer_ctl[0], POLLIN, 0},   {init_ctl[0], POLLIN, 0},
                            {signal_fd, POLLIN, 0}, {opt.create_fd, POLLIN, 0}, {booting, 0, 0}};
    int ready = poll(fds, 6, PING_INTERVAL_MS);
    if (ready == 0) ping();
    if (ready < 0) {
      if (errno == EINTR) continue;
      die("poll");
    }
    if (fds[0].revents) on_sentry_message();
    if (fds[1].revents) on_gofer_message();
    if (fds[2].revents) on_init_message();
    if (fds[3].revents) on_signals();
    if (fds[4].revents) on_cli_message();
    if (fds[5].revents) on_boot();
  }
}

// `launcher stamp NODE`, for build.js: names of snapshots end so.
static int print_stamp(const char *node) {
  char stamp[17];
  opt.node = node;
  node_fd = open(node, O_PATH | O_CLOEXEC);
  if (node_fd < 0) die("cannot open %s", node);
  snapshot_stamp(stamp);
  return puts(stamp) < 0;
}

// The gofer, and the sandbox unless L joins one that is there.
static void start_sandbox(void) {
  bool joins = opt.join_fd >= 0, has_gofer = opt.gofer_config_fd >= 0;
  if (joins) {
    sentry_ctl[0] = opt.join_fd;
    gofer_link[1] = opt.gofer_link_fd;
    sentry_ready = init_pivoted = true;
  } else {
    make_pair(sentry_ctl);
    make_pair(init_ctl);
  }
  // Its messages say which process it is, in L's own PID namespace.
  if (setsockopt(sentry_ctl[0], SOL_SOCKET, SO_PASSCRED, &(int){1}, sizeof(int)) < 0) die("setsockopt");
  if (has_gofer) {
    make_pair(gofer_ctl);
    if (!joins) make_pair(gofer_link);
  }
  unsigned long user = privileged ? 0 : CLONE_NEWUSER;
  if (has_gofer) {
    gofer_pid = clone_into(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | user);
    if (gofer_pid == 0) gofer_main();
    if (user) write_id_maps(gofer_pid);
    close(gofer_ctl[1]);
    send_msg(gofer_ctl[0], MSG_GO, 0);
  }
  if (!joins) {
    unsigned long net = opt.host_network ? 0 : CLONE_NEWNET;
    if (opt.raw_sockets && (own_network || net)) make_pair(raw_ctl);
    make_pair(networks_ctl);
    make_tun_directory();
    int boot[2];
    if (pipe2(boot, O_CLOEXEC) < 0) die("pipe");
    init_pid = clone_into(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | net);
    if (init_pid == 0) init_main();
    close(boot[1]);
    booting = boot[0];
    write_id_maps(init_pid);
    if (raw_ctl[1] >= 0 && own_network) opener_pid = start_raw_opener();
    close(sentry_ctl[1]);
    close(init_ctl[1]);
    for (int i = 0; i < 2; i++) {
      if (raw_ctl[i] >= 0) close(raw_ctl[i]);
      close(networks_ctl[i]);
    }
    if (tun_dir >= 0) close(tun_dir);
    if (has_gofer) close(gofer_link[0]);
    send_msg(init_ctl[0], MSG_GO, 0);
  }
  if (has_gofer) close(gofer_link[1]);
}

enum { KEPT_MAX = 11 + MAX_GROUPS };

// Nothing of the caller's stays open here but standard error and the log: whoever reads the container's output sees its
// end when the container closes it.
static void keep_own_descriptors(void) {
  int null_fd, log_fd;
  open_null_and_log(&null_fd, &log_fd);
  struct place places[3 + KEPT_MAX] = {{null_fd, 0}, {null_fd, 1}, {2, 2}};
  int *kept[KEPT_MAX] = {&signal_fd,     &sentry_ctl[0], &init_ctl[0],    &gofer_ctl[0], &opt.log_fd, &opt.create_fd,
                         &remover_pipe, &root_fd,       &mount_space_fd, &mover,        &booting};
  for (int i = 0; i < opt.nlate_procs; i++) kept[KEPT_MAX - MAX_GROUPS + i] = &opt.late_procs[i];
  int n = 3;
  for (int i = 0; i < KEPT_MAX; i++)
    if (kept[i] && *kept[i] >= 0) places[n] = (struct place){*kept[i], n}, n++;
  place_fds(places, n);
  for (int i = 0, at = 3; i < KEPT_MAX; i++)
    if (kept[i] && *kept[i] >= 0) *kept[i] = at++;
}

int main(int argc, char **argv) {
  errno = 0;
  if (argc == 3 && strcmp(argv[1], "stamp") == 0) return print_stamp(argv[2]);
  if (argc >= 7 && strcmp(argv[1], "enter") == 0) return enter_main(argv + 2);
  parse_options(argc, argv);
  privileged = has_sys_admin();
  set_core_limit();
  set_own_limits();
  // Signals that end a process by its own fault keep doing so; everything else is forwarded.
  sigset_t set;
  sigfillset(&set);
  static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT};
  for (unsigned i = 0; i < sizeof own / sizeof *own; i++) {
    sigdelset(&set, own[i]);
    signal(own[i], SIG_DFL);
  }
  signal(SIGCHLD, SIG_DFL); // ignored, children would vanish without a status
  sigprocmask(SIG_SETMASK, &set, NULL);
  signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (signal_fd < 0) die("signalfd");
  node_fd = open(opt.node, O_PATH | O_CLOEXEC);
  if (node_fd < 0) die("cannot open %s", opt.node);
  dist_fd = open(opt.dist, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (dist_fd < 0) die("cannot open %s", opt.dist);
  use_snapshots();
  struct msg m;
  if (opt.create_fd >= 0 && (!recv_msg(opt.create_fd, &m) || m.type != MSG_GO)) _exit(EXIT_CANNOT_START);
  start_remover();
  join_groups();
  if (opt.create_fd >= 0) become_stub();
  enter_namespaces();
  enter_network();
  if (opt.terminal && ioctl(0, TIOCSCTTY, 0) < 0) die("cannot take the terminal");
  // L is in the container's groups only when its children are in the sentry's.
  bool placed_late = opt.new_namespaces & CLONE_NEWCGROUP;
  if (opt.create_fd >= 0 && !placed_late) send_msg(opt.create_fd, MSG_PLACED, 0);
  hooked = opt.create_fd < 0;
  start_sandbox();
  join_guest_groups();
  if (placed_late) {
    struct pollfd boot = {booting, 0, 0};
    if (booting >= 0) poll(&boot, 1, -1);
    join_late_groups();
    enter_cgroup_namespace();
    send_msg(opt.create_fd, MSG_PLACED, 0);
  }
  mount_space_fd = joined_mount_namespace();
  prctl(PR_SET_DUMPABLE, 0);
  keep_own_descriptors();
  show_title(argc, argv);
  start_when_ready(); // a stub without a gofer waits for nobody
  serve();
}
