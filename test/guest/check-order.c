// Calls with several bad arguments: which one the answer is about, and what has been written by then.
#include "guest.h"
#include <mqueue.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <linux/capability.h>

#define T(name, ...) ret(name, syscall(__VA_ARGS__))

static char *page, *read_only; // behind both nothing can be touched
static int pipes[2], sockets[2], file;

// `size` bytes, of which the last is not there.
static void *cut(int size) { return page + 4096 - size + 1; }
static void *put(const void *data, int size) { return memcpy(page, data, size); }

static void drop(unsigned long caps) {
  struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct d[2] = {{caps, caps, 0}, {caps >> 32, caps >> 32, 0}};
  syscall(SYS_capset, &h, d);
}

static void vectors(void) {
  // A negative length, and then the end of the memory.
  struct iovec *v = (void *)(page + 4096 - 32);
  v[0] = (struct iovec){page, 1}, v[1] = (struct iovec){page, -1};
  T("readv, negative before the end", SYS_readv, pipes[0], v, 3);
  T("writev, negative before the end", SYS_writev, pipes[1], v, 3);
  T("pwritev, negative before the end", SYS_pwritev, file, v, 1000, 0, 0);
  T("process_vm_readv, negative before the end", SYS_process_vm_readv, getpid(), v, 3, v, 1, 0);
  v[1].iov_len = 1;
  T("readv, the end", SYS_readv, pipes[0], v, 3);
  int epoll = syscall(SYS_epoll_create1, 0);
  T("readv of what cannot be read, bad vector", SYS_readv, epoll, BAD_PTR, 1);
  T("writev of what cannot be written, bad vector", SYS_writev, epoll, BAD_PTR, 1);
  T("writev, too many, bad vector", SYS_writev, pipes[1], BAD_PTR, 1025);
  T("vmsplice, no pipe, bad vector", SYS_vmsplice, file, BAD_PTR, 1, 0);
  T("vmsplice, no pipe, too many", SYS_vmsplice, file, page, 1025, 0);
  T("vmsplice, no pipe, none", SYS_vmsplice, file, page, 0, 0);
  T("vmsplice, no pipe", SYS_vmsplice, file, v, 1, 0);
  T("process_vm_readv, nothing local, bad remote", SYS_process_vm_readv, getpid(), v, 0, BAD_PTR, 1, 0);
  T("splice, bad offset, not open for it", SYS_splice, pipes[1], NULL, file, BAD_PTR, 8, 0);
  T("splice, bad offset of a pipe", SYS_splice, pipes[0], BAD_PTR, file, BAD_PTR, 8, 0);
  T("copy_file_range, bad offset, flags", SYS_copy_file_range, file, BAD_PTR, file, NULL, 8, 1);
  T("copy_file_range, bad offset, a pipe", SYS_copy_file_range, file, NULL, pipes[1], BAD_PTR, 8, 0);
}

static void signals(void) {
  siginfo_t *info = (void *)page;
  memset(info, 0, sizeof *info);
  info->si_signo = SIGUSR1, info->si_code = -100;
  signal(SIGUSR1, SIG_IGN);
  T("a code of no layout", SYS_rt_sigqueueinfo, getpid(), SIGUSR1, info);
  page[100] = 1;
  T("a code of no layout, more than is known", SYS_rt_sigqueueinfo, getpid(), SIGUSR1, info);
  T("the same for nobody", SYS_rt_sigqueueinfo, 4000000, SIGUSR1, info);
  T("the same for a negative thread", SYS_rt_tgsigqueueinfo, getpid(), -1, SIGUSR1, info);
  info->si_code = SI_QUEUE;
  T("a known layout, more than is known", SYS_rt_sigqueueinfo, getpid(), SIGUSR1, info);
  info->si_code = 7;
  T("codes of the kernel: no signal's", SYS_rt_sigqueueinfo, getpid(), SIGUSR1, info);
  T("codes of the kernel: of a fault", SYS_rt_sigqueueinfo, getpid(), SIGCHLD, info);
  info->si_code = 6;
  T("codes of the kernel: of a child", SYS_rt_sigqueueinfo, getpid(), SIGCHLD, info);
  siginfo_t *end = (void *)(page + 4096 - 48);
  memset(end, 0, 48), end->si_code = SI_QUEUE;
  T("a known layout that ends early", SYS_rt_sigqueueinfo, getpid(), SIGUSR1, end);
  end->si_code = -100;
  T("another that ends early", SYS_rt_sigqueueinfo, getpid(), SIGUSR1, end);
  T("signalfd4, bad mask, bad flags", SYS_signalfd4, -1, BAD_PTR, 8, 1);
  memset(page, 0xff, 128);
  T("waitid, no child", SYS_waitid, P_ALL, 0, info, WEXITED, NULL);
  is("zeros", info->si_signo == 0 && info->si_code == 0 && info->si_pid == 0);
  memset(page, 0xff, 128);
  T("waitid, bad type", SYS_waitid, 9, 0, info, WEXITED, NULL);
  is("zeros", info->si_signo == 0);
  T("waitid, bad options, bad address", SYS_waitid, P_ALL, 0, BAD_PTR, 0, NULL);
}

static void sockets_calls(void) {
  int *fds = (int *)page;
  fds[0] = fds[1] = -1;
  T("socketpair, no family", SYS_socketpair, 99, SOCK_STREAM, 0, fds);
  is("has told two numbers", fds[0] > 2 && fds[1] > fds[0] && fcntl(fds[0], F_GETFD) < 0);
  T("socketpair, no family, bad address", SYS_socketpair, 99, SOCK_STREAM, 0, BAD_PTR);
  T("socketpair, bad flags, bad address", SYS_socketpair, 99, SOCK_STREAM | 0x100, 0, BAD_PTR);
  struct timespec bad = {0, -1};
  T("recvmmsg, no socket, bad time", SYS_recvmmsg, file, page, 1, 0, put(&bad, sizeof bad));
  T("recvmmsg, no socket, no time", SYS_recvmmsg, -1, page, 1, 0, BAD_PTR);
  T("setsockopt, no socket, negative length", SYS_setsockopt, file, SOL_SOCKET, SO_DEBUG, page, -1);
  T("setsockopt, negative length", SYS_setsockopt, sockets[0], SOL_SOCKET, SO_DEBUG, page, -1);
  T("mq_open, none, bad attributes", SYS_mq_open, "none", O_RDONLY, 0, BAD_PTR);
  char handle[16] = {8};
  T("open_by_handle_at, a socket", SYS_open_by_handle_at, sockets[0], put(handle, sizeof handle), 0);
}

static void times(void) {
  struct timespec bad[2] = {{0, -1}, {0, 1000000000}};
  T("utimensat, none, bad times", SYS_utimensat, AT_FDCWD, "none", put(bad, sizeof bad), 0);
  T("utimensat, bad flags, bad times", SYS_utimensat, AT_FDCWD, "none", page, 1);
  T("utimensat, a bad descriptor, bad times", SYS_utimensat, 999, NULL, page, 0);
  T("utimensat, bad times", SYS_utimensat, file, NULL, page, 0);
  T("clock_nanosleep, an alarm clock, bad time", SYS_clock_nanosleep, CLOCK_REALTIME_ALARM, 0, page, NULL);
  T("clock_nanosleep, an alarm clock, bad address", SYS_clock_nanosleep, CLOCK_REALTIME_ALARM, 0, BAD_PTR, NULL);
  T("clock_adjtime, no clock, bad address", SYS_clock_adjtime, 99, BAD_PTR);
  T("clock_adjtime, monotonic, bad address", SYS_clock_adjtime, CLOCK_MONOTONIC, BAD_PTR);
  T("clock_adjtime, a CPU clock of nobody", SYS_clock_adjtime, -1, page);
  T("clock_adjtime, a clock of no file", SYS_clock_adjtime, -5, page);
  drop(0);
  struct timeval far = {1L << 62, 0}, fine = {1, 0};
  T("settimeofday", SYS_settimeofday, put(&fine, sizeof fine), NULL);
  T("settimeofday, a bad zone", SYS_settimeofday, page, BAD_PTR);
  T("settimeofday, far off", SYS_settimeofday, put(&far, sizeof far), NULL);
  T("clock_settime, a CPU clock of nobody, bad address", SYS_clock_settime, -0x80000000, BAD_PTR);
  T("adjtimex, may not be written", SYS_adjtimex, read_only);
}

static void others(void) {
  T("sched_setaffinity, negative", SYS_sched_setaffinity, -1, 8, memset(page, 1, 8));
  T("sched_getaffinity, 2^34 bits", SYS_sched_getaffinity, 0, 1u << 31, page);
  T("sched_setparam, negative, bad address", SYS_sched_setparam, -1, BAD_PTR);
  T("sched_setscheduler, negative, bad address", SYS_sched_setscheduler, -1, SCHED_OTHER, BAD_PTR);
  memset(page, 0xff, 4096);
  T("sched_getattr, room for more", SYS_sched_getattr, 0, page, 200, 0);
  is("zeros", page[150] == 0 && page[199] == 0 && page[200] == (char)0xff);
  T("sched_getattr, room for more than there is", SYS_sched_getattr, 0, page + 4096 - 100, 200, 0);
  T("sched_setattr, larger, may not be written", SYS_sched_setattr, 0, read_only, 0);
  struct rlimit backwards = {RLIM_INFINITY, 1UL << 60};
  T("prlimit64, no limit, bad address", SYS_prlimit64, 0, 99, BAD_PTR, NULL);
  T("prlimit64, nobody, no limit", SYS_prlimit64, 4000000, 99, NULL, NULL);
  T("setrlimit, both beyond what counts", SYS_setrlimit, RLIMIT_CORE, put(&backwards, sizeof backwards));
  gid_t *groups = (void *)(page + 4096 - 8);
  groups[0] = 1, groups[1] = -1;
  T("setgroups, a bad one before the end", SYS_setgroups, 3, groups);
  groups[1] = 1;
  T("setgroups, the end", SYS_setgroups, 3, groups);
  T("execveat, bad name, bad flags", SYS_execveat, AT_FDCWD, BAD_PTR, NULL, NULL, 1);
  T("execveat, bad flags", SYS_execveat, AT_FDCWD, "none", NULL, NULL, 1);
  drop(1UL << CAP_SYS_ADMIN);
  T("syslog, no such action", SYS_syslog, -1, NULL, 0);
  T("syslog, no such action yet", SYS_syslog, 11, NULL, 0);
  T("acct", SYS_acct, "none");
}

int main(void) {
  char *all = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  page = all, read_only = all + 2 * 4096;
  memset(read_only, 'a', 4096);
  mprotect(page + 4096, 4096, PROT_NONE), mprotect(read_only, 4096, PROT_READ), mprotect(read_only + 4096, 4096, PROT_NONE);
  pipe(pipes), socketpair(AF_UNIX, SOCK_DGRAM, 0, sockets), file = memfd_create("file", 0);
  in_child("vectors", vectors), in_child("signals", signals), in_child("sockets", sockets_calls);
  in_child("times", times), in_child("others", others);
}
