// The ptrace platform's part of shim.so.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "xstate.h"

struct timespec *shim_limit(double ns, struct timespec *ts);

struct shim_ptrace_event {
  int status, pad;
  unsigned char syscall_info[88]; // struct ptrace_syscall_info
};

static int tracer, signal_fd, handled;

// Runs in threads other than the tracer, once in each at most: blocks SIGCHLD there for good, and passes it on. (Node
// resets the signal mask that it was started with, so it cannot be blocked before there are threads.)
static void on_child(int signo, siginfo_t *info, void *context) {
  int saved = errno;
  sigaddset(&((ucontext_t *)context)->uc_sigmask, signo);
  if (info->si_code == SI_TKILL) __atomic_add_fetch(&handled, 1, __ATOMIC_SEQ_CST);
  else syscall(SYS_tgkill, getpid(), tracer, signo);
  errno = saved;
}

// Has every other thread run the handler. Without procfs it happens at the first SIGCHLD that each of them catches.
static void block_in_other_threads(void) {
  DIR *tasks = opendir("/proc/self/task");
  if (tasks == NULL) return;
  int sent = 0;
  for (struct dirent *entry; (entry = readdir(tasks)) != NULL;) {
    int tid = atoi(entry->d_name);
    if (tid > 0 && tid != tracer && syscall(SYS_tgkill, getpid(), tid, SIGCHLD) == 0) sent++;
  }
  closedir(tasks);
  // Threads that block all signals never answer, and need not.
  struct timespec pause = {0, 100 * 1000};
  for (int i = 0; i < 50 && __atomic_load_n(&handled, __ATOMIC_SEQ_CST) < sent; i++) nanosleep(&pause, NULL);
}

// Makes the calling thread the one that is told of tracees' events. From now on libuv cannot have children.
int shim_ptrace_init(void) {
  sigset_t child;
  tracer = syscall(SYS_gettid);
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  if (sigprocmask(SIG_BLOCK, &child, NULL) < 0) return -errno;
  struct sigaction action = {.sa_sigaction = on_child, .sa_flags = SA_RESTART | SA_SIGINFO};
  if (sigaction(SIGCHLD, &action, NULL) < 0) return -errno;
  block_in_other_threads();
  signal_fd = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
  return signal_fd < 0 ? -errno : 0;
}

// Lets a tracee that stands at a syscall go on with `result` as the syscall's, to its next one.
long shim_ptrace_return(int tid, long result) {
  enum { POKEUSER = 6, SYSEMU = 31, RAX = 80 };
  syscall(SYS_ptrace, POKEUSER, tid, RAX, result);
  return syscall(SYS_ptrace, SYSEMU, tid, 0, 0) < 0 ? -errno : 0;
}

// Takes the next event of any tracee if there is one. Its tid, with its wait status and, at a syscall stop, the syscall.
static int take_event(struct shim_ptrace_event *event) {
  enum { WAIT_ALL = 0x40000000, GET_SYSCALL_INFO = 0x420e };
  for (;;) {
    int tid = wait4(-1, &event->status, WNOHANG | WAIT_ALL, NULL);
    if (tid <= 0) return 0;
    if (!WIFSTOPPED(event->status) || event->status >> 8 != (SIGTRAP | 0x80) ||
        syscall(SYS_ptrace, GET_SYSCALL_INFO, tid, sizeof event->syscall_info, event->syscall_info) >= 0)
      return tid;
    // Killed meanwhile: its end is the next event.
  }
}

// wait4 reports the first tracee of a list that has something, so busy ones would starve those behind them. Every few
// turns, therefore, all events there are get taken at once and are handled before the next wait4.
enum { FAIR_EVERY = 4, QUEUE_MAX = 64 };
static struct {
  int tid;
  struct shim_ptrace_event event;
} queue[QUEUE_MAX];
static int queue_head, queue_len, turns;

static int next_event(struct shim_ptrace_event *event) {
  if (queue_head == queue_len && ++turns % FAIR_EVERY == 0) {
    queue_head = queue_len = 0;
    while (queue_len < QUEUE_MAX && (queue[queue_len].tid = take_event(&queue[queue_len].event)) > 0) queue_len++;
  }
  if (queue_head == queue_len) return take_event(event);
  *event = queue[queue_head].event;
  return queue[queue_head++].tid;
}

// One turn of the platform's loop in one call. Reaps the next event of any tracee; sleeps until there is one, until
// wakefd is readable, or until the timeout is over (0: no sleep, -1: no limit). Returns the tid, with its wait status
// and, at a syscall stop, the syscall; 0: timeout; -1: wakefd is readable.
long shim_ptrace_wait(int wakefd, double timeout_ns, struct shim_ptrace_event *event) {
  for (;;) {
    int tid = next_event(event);
    if (tid > 0) return tid;
    if (timeout_ns == 0) return 0;
    struct pollfd fds[2] = {{signal_fd, POLLIN, 0}, {wakefd, POLLIN, 0}};
    struct timespec ts;
    int ready = ppoll(fds, 2, shim_limit(timeout_ns, &ts), NULL);
    if (ready == 0) return 0;
    if (ready < 0 && errno != EINTR) return 0;
    if (ready < 0) continue;
    struct signalfd_siginfo info;
    if (fds[0].revents == 0) return -1;
    if (read(signal_fd, &info, sizeof info) < 0) continue; // it was taken with another one
  }
}

// Extended state that a thread has without having asked for more: its size, the features beyond it as a mask, and the place of PKRU.
void shim_xstate(unsigned out[4]) {
  struct xstate_sizes sizes = xstate_sizes();
  out[0] = sizes.initial;
  out[1] = (unsigned)sizes.dynamic;
  out[2] = (unsigned)(sizes.dynamic >> 32);
  out[3] = sizes.pkru;
}
