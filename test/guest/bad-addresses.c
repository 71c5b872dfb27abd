// Pointers that lead nowhere a program has memory: at the end of user space, beyond it, and where the sandbox keeps pages of its
// own in the address space of its guests (above 0x7fff00000000). Whatever a call reads there, it answers EFAULT.
#include "guest.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <linux/futex.h>

#define TASK_SIZE 0x7ffffffff000ul
#define OWN_PAGES 0x7fff00000000ul

static struct { uintptr_t from, to; } maps[512];
static int mapped;
static void read_maps(void) {
  FILE *f = fopen("/proc/self/maps", "r");
  char line[512];
  mapped = 0;
  while (f != NULL && fgets(line, sizeof line, f) != NULL && mapped < 512) {
    unsigned long from, to;
    if (sscanf(line, "%lx-%lx", &from, &to) != 2) continue;
    // Below a stack it grows.
    if (strstr(line, "[stack]") != NULL) from -= 64 << 20;
    maps[mapped].from = from, maps[mapped++].to = to;
  }
  if (f != NULL) fclose(f);
}
// The first address from `at` on with nothing at it, nor in the page behind.
static uintptr_t hole(uintptr_t at) {
  for (int i = 0; i < mapped; i++)
    if (at + 8192 > maps[i].from && at < maps[i].to) at = maps[i].to;
  return at;
}

static uintptr_t addresses[32];
static int count;
static int pipes[2], sockets[2], memfd, epoll, timer;
static timer_t posix_timer;

static long c_access(long p) { return syscall(SYS_access, p, 0); }
static long c_open(long p) { return syscall(SYS_openat, AT_FDCWD, p, O_RDONLY); }
static long c_stat(long p) { struct stat s; return syscall(SYS_newfstatat, AT_FDCWD, p, &s, 0); }
static long c_symlink(long p) { return syscall(SYS_symlinkat, p, AT_FDCWD, "link"); }
static long c_rename(long p) { return syscall(SYS_rename, "none", p); }
static long c_memfd(long p) { return syscall(SYS_memfd_create, p, 0); }
static long c_getxattr(long p) { return syscall(SYS_fgetxattr, memfd, p, 0, 0); }
static long c_setxattr(long p) { return syscall(SYS_fsetxattr, memfd, "user.a", p, 8, 0); }
static long c_execve(long p) { return syscall(SYS_execve, p, 0, 0); }
static long c_argv(long p) { return syscall(SYS_execve, "/bin/true", p, 0); }
static long c_prctl(long p) { return syscall(SYS_prctl, 15, p, 0, 0, 0); }
static long c_mask(long p) { return syscall(SYS_rt_sigprocmask, SIG_BLOCK, p, 0, 8); }
static long c_set_mask(long p) { return syscall(SYS_rt_sigprocmask, SIG_SETMASK, p, 0, 8); }
static long c_old_mask(long p) { return syscall(SYS_rt_sigprocmask, SIG_BLOCK, 0, p, 8); }
static long c_action(long p) { return syscall(SYS_rt_sigaction, SIGUSR1, p, 0, 8); }
static long c_altstack(long p) { return syscall(SYS_sigaltstack, p, 0); }
static long c_suspend(long p) { return syscall(SYS_rt_sigsuspend, p, 8); }
static long c_timedwait(long p) { struct timespec t = {0, 0}; return syscall(SYS_rt_sigtimedwait, p, 0, &t, 8); }
static long c_timedwait_time(long p) { long s = 0; return syscall(SYS_rt_sigtimedwait, &s, 0, p, 8); }
static long c_nanosleep(long p) { return syscall(SYS_nanosleep, p, 0); }
static long c_clock_nanosleep(long p) { return syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, p, 0); }
static long c_itimer(long p) { return syscall(SYS_setitimer, ITIMER_VIRTUAL, p, 0); }
static long c_timerfd(long p) { return syscall(SYS_timerfd_settime, timer, 0, p, 0); }
static long c_timer_create(long p) { return syscall(SYS_timer_create, CLOCK_MONOTONIC, p, &posix_timer); }
static long c_timer(long p) { return syscall(SYS_timer_settime, posix_timer, 0, p, 0); }
static long c_rlimit(long p) { return syscall(SYS_setrlimit, RLIMIT_CORE, p); }
static long c_prlimit(long p) { return syscall(SYS_prlimit64, 0, RLIMIT_CORE, p, 0); }
static long c_epoll(long p) { return syscall(SYS_epoll_ctl, epoll, EPOLL_CTL_ADD, pipes[0], p); }
static long c_poll(long p) { return syscall(SYS_poll, p, 1, 0); }
static long c_ppoll(long p) { return syscall(SYS_ppoll, 0, 0, p, 0, 8); }
static long c_ppoll_mask(long p) { struct timespec t = {0, 0}; return syscall(SYS_ppoll, 0, 0, &t, p, 8); }
static long c_select(long p) { return syscall(SYS_select, 0, 0, 0, 0, p); }
static long c_fdset(long p) { struct timeval t = {0, 0}; return syscall(SYS_select, 8, p, 0, 0, &t); }
static long c_pselect(long p) { struct timespec t = {0, 0}; return syscall(SYS_pselect6, 0, 0, 0, 0, &t, p); }
static long c_futex(long p) { int w = 0; return syscall(SYS_futex, &w, FUTEX_WAIT_PRIVATE, 0, p, 0, 0); }
static long c_futex_word(long p) { return syscall(SYS_futex, p, FUTEX_WAIT, 0x1234567, 0, 0, 0); }
static long c_private_word(long p) { return syscall(SYS_futex, p, FUTEX_WAIT_PRIVATE, 0x1234567, 0, 0, 0); }
static long c_utimens(long p) { return syscall(SYS_utimensat, memfd, 0, p, 0); }
static long c_write(long p) { return syscall(SYS_write, pipes[1], p, 8); }
static long c_pwrite(long p) { return syscall(SYS_pwrite64, memfd, p, 8, 0); }
static long c_writev(long p) { return syscall(SYS_writev, pipes[1], p, 1); }
static long c_iov_base(long p) { struct iovec v = {(void *)p, 8}; return syscall(SYS_writev, memfd, &v, 1); }
static long c_vmsplice(long p) { return syscall(SYS_vmsplice, pipes[1], p, 1, 0); }
static long c_sendto(long p) { return syscall(SYS_sendto, sockets[0], p, 8, 0, 0, 0); }
static long c_sendto_addr(long p) { return syscall(SYS_sendto, sockets[0], "a", 1, 0, p, 16); }
static long c_sendmsg(long p) { return syscall(SYS_sendmsg, sockets[0], p, 0); }
static long c_connect(long p) { return syscall(SYS_connect, sockets[0], p, 16); }
static long c_bind(long p) { return syscall(SYS_bind, sockets[0], p, 16); }
static long c_sockopt(long p) { return syscall(SYS_setsockopt, sockets[0], SOL_SOCKET, SO_SNDBUF, p, 4); }
static long c_clone3(long p) { return syscall(SYS_clone3, p, 64); }
static long c_affinity(long p) { return syscall(SYS_sched_setaffinity, 0, 8, p); }
static long c_capget(long p) { return syscall(SYS_capget, p, 0); }
static long c_mq(long p) { return syscall(SYS_mq_open, p, O_RDONLY, 0, 0); }

static const struct { const char *name; long (*call)(long); } calls[] = {
  {"access", c_access}, {"openat", c_open}, {"newfstatat", c_stat}, {"symlinkat", c_symlink}, {"rename", c_rename},
  {"memfd_create", c_memfd}, {"fgetxattr", c_getxattr}, {"fsetxattr", c_setxattr}, {"execve", c_execve},
  {"execve arguments", c_argv}, {"prctl", c_prctl}, {"rt_sigprocmask", c_mask}, {"rt_sigprocmask set", c_set_mask},
  {"rt_sigprocmask old", c_old_mask}, {"rt_sigaction", c_action}, {"sigaltstack", c_altstack}, {"rt_sigsuspend", c_suspend},
  {"rt_sigtimedwait", c_timedwait}, {"rt_sigtimedwait time", c_timedwait_time}, {"nanosleep", c_nanosleep},
  {"clock_nanosleep", c_clock_nanosleep}, {"setitimer", c_itimer}, {"timerfd_settime", c_timerfd},
  {"timer_create", c_timer_create}, {"timer_settime", c_timer}, {"setrlimit", c_rlimit}, {"prlimit64", c_prlimit},
  {"epoll_ctl", c_epoll}, {"poll", c_poll}, {"ppoll time", c_ppoll}, {"ppoll mask", c_ppoll_mask}, {"select time", c_select},
  {"select set", c_fdset}, {"pselect6 mask", c_pselect}, {"futex time", c_futex}, {"futex word", c_futex_word},
  {"futex private word", c_private_word}, {"utimensat", c_utimens}, {"write", c_write}, {"pwrite64", c_pwrite},
  {"writev", c_writev}, {"writev base", c_iov_base}, {"vmsplice", c_vmsplice}, {"sendto", c_sendto},
  {"sendto address", c_sendto_addr}, {"sendmsg", c_sendmsg}, {"connect", c_connect}, {"bind", c_bind},
  {"setsockopt", c_sockopt}, {"clone3", c_clone3}, {"sched_setaffinity", c_affinity}, {"capget", c_capget}, {"mq_open", c_mq},
};

// One line for a call that says the same everywhere, otherwise one for each address.
static void everywhere(const char *name, long (*call)(long)) {
  int errors[32], same = 1;
  for (int i = 0; i < count; i++) {
    errno = 0;
    long r = call((long)addresses[i]);
    errors[i] = r == -1 ? errno : 0;
    same &= errors[i] == errors[0];
  }
  if (same) say("%s: %s", name, errors[0] ? strerrorname_np(errors[0]) : "succeeds");
  else for (int i = 0; i < count; i++) say("%s at %d: %s", name, i, errors[i] ? strerrorname_np(errors[i]) : "succeeds");
}

// What begins in a page of the program's and goes on where it has none.
static void across(uintptr_t at) {
  char *page = mmap((void *)at, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  is("page", page == (char *)at);
  if (page != (char *)at) return;
  memset(page, 'a', 4096);
  char *end = page + 4096;
  ret("mask", c_mask((long)end - 4));
  ret("path", c_access((long)end - 4));
  ret("xattr name", c_getxattr((long)end - 4));
  ret("time", c_nanosleep((long)end - 8));
  ret("write to a pipe", c_write((long)end - 4));
  ret("pwrite", c_pwrite((long)end - 4));
  ret("send", c_sendto((long)end - 4));
  ret("address", c_bind((long)end - 4));
  end[-1] = 0;
  ret("path that ends", c_access((long)end - 4));
  ret("old mask", c_old_mask((long)end - 4));
  munmap(page, 4096);
}

int main(void) {
  alarm(100);
  if (pipe2(pipes, O_NONBLOCK) || socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, sockets)) return 1;
  memfd = syscall(SYS_memfd_create, "file", 0), epoll = epoll_create1(0), timer = timerfd_create(CLOCK_MONOTONIC, 0);
  if (timer_create(CLOCK_MONOTONIC, &(struct sigevent){.sigev_notify = SIGEV_NONE}, &posix_timer)) return 1;
  read_maps();
  static const uintptr_t offsets[] = {0, 0x10, 0x800, 0x1000, 0x8000000, 0x8001000, 0x8004000, 0x10000000, 0x10000040, 0x10008000, 0x10009000, 0x1000a000, 0x1000c000, 0x80000000};
  for (unsigned i = 0; i < sizeof offsets / sizeof *offsets; i++) addresses[count++] = hole(OWN_PAGES + offsets[i]);
  static const uintptr_t beyond[] = {TASK_SIZE, TASK_SIZE + 8, TASK_SIZE + 4096, 1ul << 47, 1ul << 48, 1ul << 63, 0xffff800000000000, 0xffffffff81000000, 0xffffffffff600000, -4096ul, -8ul};
  for (unsigned i = 0; i < sizeof beyond / sizeof *beyond; i++) addresses[count++] = beyond[i];
  addresses[count++] = 8;
  for (unsigned i = 0; i < sizeof calls / sizeof *calls; i++) everywhere(calls[i].name, calls[i].call);
  int wrong = 0;
  for (uintptr_t at = OWN_PAGES; at < TASK_SIZE; at += 1 << 20) wrong += hole(at) == at && (c_mask((long)at) != -1 || errno != EFAULT);
  say("a mask is found at %d places", wrong);
  say("# across the end of a page");
  // In the sandbox, the last page that a program can have.
  across(hole(OWN_PAGES - 4096));
  return 0;
}
