// Every bit of arguments that are flags, and small numbers of those that are commands: one line per answer.
#pragma GCC diagnostic ignored "-Wunused-result"
#include "guest.h"
#include <sched.h>
#include <sys/personality.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/uio.h>

static char buf[8192];
static int fd, dir, pp[2], sk[2], ep, in, semid, shmid, msgid;
static char *page;

// A call that takes the value in hand. Descriptors are closed by whoever makes them: the process is thrown away.
typedef long (*call)(long v);

static const char *outcome(long r, int plain) {
  static char text[24];
  if (r == -1) return strerrorname_np(errno);
  if (plain) snprintf(text, sizeof text, "%ld", r);
  else strcpy(text, "ok");
  return text;
}

static void show(const char *name, const char *const *labels, char answers[][24], int n) {
  for (int i = 0; i < n; i++) {
    if (answers[i][0] == 0) continue;
    printf("%s: %s:", name, answers[i]);
    for (int j = n - 1; j > i; j--) if (strcmp(answers[i], answers[j]) == 0) answers[j][0] = 1;
    for (int j = i; j < n; j++) {
      if (j > i && answers[j][0] != 1) continue;
      if (labels) printf(" %s", labels[j]);
      else printf(" %d", j);
      if (j > i) answers[j][0] = 0;
    }
    printf("\n");
  }
  fflush(stdout);
}

static const char *const BITS[] = {"0", "0x1", "0x2", "0x4", "0x8", "0x10", "0x20", "0x40", "0x80", "0x100", "0x200", "0x400", "0x800",
  "0x1000", "0x2000", "0x4000", "0x8000", "0x10000", "0x20000", "0x40000", "0x80000", "0x100000", "0x200000", "0x400000",
  "0x800000", "0x1000000", "0x2000000", "0x4000000", "0x8000000", "0x10000000", "0x20000000", "0x40000000", "0x80000000",
  "2^32", "2^63", "-1"};
enum { NBITS = sizeof BITS / sizeof *BITS };

static long bit(int i) { return i == 0 ? 0 : i <= 33 ? 1L << (i - 1) : i == 34 ? 1L << 63 : -1; }

// `plain`: the number that the call returns is shown, otherwise only that it succeeds.
static void ask(const char *name, call f, int n, int numbers, int plain) {
  static char (*answers)[24];
  if (answers == NULL) answers = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  memset(answers, 0, 65536);
  pid_t p = fork();
  if (p == 0) {
    for (int i = 0; i < n; i++) strcpy(answers[i], outcome(f(numbers ? i : bit(i)), plain));
    _exit(0);
  }
  int st;
  waitpid(p, &st, 0);
  if (st) say("%s: the process ends with %x", name, st);
  show(name, numbers ? NULL : BITS, answers, n);
}

#define B(name, expr) { long f(long v) { return expr; } ask(name, f, NBITS, 0, 0); }
#define BP(name, expr) { long f(long v) { return expr; } ask(name, f, NBITS, 0, 1); }
#define N(name, count, expr) { long f(long v) { return expr; } ask(name, f, count, 1, 0); }
#define NP(name, count, expr) { long f(long v) { return expr; } ask(name, f, count, 1, 1); }

struct how { uint64_t flags, mode, resolve; };

static long fresh(long n) {
  if (n >= 0) close(n);
  return n < 0 ? -1 : 0;
}
static long opened(const char *path, long flags, long mode, long resolve) {
  struct how h = {flags, mode, resolve};
  unlink("new");
  return fresh(syscall(SYS_openat2, AT_FDCWD, path, &h, sizeof h));
}

static void files(void) {
  B("open of a file", fresh(open("f", v & ~O_NONBLOCK, 0600)))
  B("open of a directory", fresh(open("d", v, 0600)))
  B("open of nothing", (unlink("new"), fresh(open("new", v, 0600))))
  B("open O_CREAT", (unlink("new"), fresh(open("new", v | O_CREAT, 0600))))
  B("open O_PATH", fresh(open("f", v | O_PATH)))
  B("openat2 of a file", opened("f", v, 0, 0))
  B("openat2 of a directory", opened("d", v, 0, 0))
  B("openat2 O_PATH", opened("f", v | O_PATH, 0, 0))
  B("openat2 O_CREAT", opened("new", v | O_CREAT | O_RDWR, 0600, 0))
  B("openat2 mode", opened("new", O_CREAT | O_RDWR, v, 0))
  B("openat2 mode without O_CREAT", opened("f", O_RDWR, v, 0))
  B("openat2 resolve", opened("f", O_RDONLY, 0, v))
  B("openat2 resolve of a link", opened("l", O_RDONLY, 0, v))
  B("openat2 resolve of ..", opened("d/../f", O_RDONLY, 0, v))
  B("openat2 resolve of a magic link", opened("/proc/self/fd/0", O_PATH, 0, v))
  B("openat2 resolve of an absolute path", opened("/", O_RDONLY, 0, v))
  B("openat2 resolve and O_CREAT", opened("new", O_CREAT | O_RDWR, 0600, v))
  BP("flags that stay", (int)v == O_PATH ? 0 : ({ int n = open("f", v & ~(O_CREAT | O_EXCL | O_DIRECTORY | 020000000)); n < 0 ? -1 : fcntl(n, F_GETFL); }))
  BP("F_SETFL", ({ int n = open("f", O_RDWR); fcntl(n, F_SETFL, v & ~O_DIRECT) < 0 ? -1 : fcntl(n, F_GETFL); }))
  BP("F_SETFL of a pipe", fcntl(pp[0], F_SETFL, v) < 0 ? -1 : fcntl(pp[0], F_GETFL))
  B("fstatat", fstatat(dir, "f", (void *)buf, v))
  B("fstatat empty", fstatat(dir, "", (void *)buf, v | AT_EMPTY_PATH))
  B("statx", statx(dir, "f", v, 0xfff, (void *)buf))
  B("statx mask", statx(dir, "f", 0, v, (void *)buf))
  B("faccessat2", syscall(SYS_faccessat2, dir, "f", 0, v))
  B("access mode", access("f", v))
  B("fchmodat2", syscall(452, dir, "f", 0600, v))
  B("fchownat", fchownat(dir, "f", -1, -1, v))
  B("utimensat", utimensat(dir, "f", NULL, v))
  B("linkat", (unlink("new"), linkat(dir, "f", dir, "new", v)))
  B("unlinkat", (close(open("new", O_CREAT, 0600)), unlinkat(dir, "new", v)))
  B("renameat2", (close(open("new", O_CREAT, 0600)), unlink("newer"), v & 4 ? 0 : syscall(SYS_renameat2, dir, "new", dir, "newer", v)))
  B("renameat2 over", (close(open("new", O_CREAT, 0600)), close(open("newer", O_CREAT, 0600)), v & 4 ? 0 : syscall(SYS_renameat2, dir, "new", dir, "newer", v)))
  B("chmod mode", (unlink("new"), close(open("new", O_CREAT, 0600)), chmod("new", v)))
  B("mkdir mode", (rmdir("nd"), mkdir("nd", v)))
  B("mknod mode", (unlink("new"), v == 0x2000 ? 0 : mknod("new", v, 0)))
  B("umount2", umount2("d", v))
  B("open_tree", fresh(syscall(SYS_open_tree, dir, "f", v)))
  B("execveat", syscall(SYS_execveat, dir, "f", NULL, NULL, v))
  B("fallocate of a file", ({ int n = open("new", O_CREAT | O_RDWR, 0600); syscall(SYS_fallocate, n, v, 0, 4096); }))
  B("sync_file_range", sync_file_range(fd, 0, 0, v))
  B("preadv2", preadv2(fd, &(struct iovec){buf, 5}, 1, 0, v))
  B("pwritev2", pwritev2(fd, &(struct iovec){buf, 5}, 1, 0, v))
  B("copy_file_range", syscall(SYS_copy_file_range, fd, NULL, fd, NULL, 1, v))
  B("splice", syscall(SYS_splice, pp[0], NULL, pp[0], NULL, 1, v))
  B("tee", syscall(SYS_tee, pp[0], pp[0], 1, v))
  B("vmsplice", syscall(SYS_vmsplice, pp[1], &(struct iovec){buf, 5}, 1, v | SPLICE_F_NONBLOCK))
  B("close_range", syscall(SYS_close_range, 500, 600, v))
  B("dup3", fresh(syscall(SYS_dup3, fd, 300, v)))
  B("pipe2", syscall(SYS_pipe2, buf, v))
  B("flock", syscall(SYS_flock, fd, v | 4))
  N("lseek", 8, lseek(fd, 0, v))
  N("fadvise64", 10, syscall(SYS_fadvise64, fd, 0, 0, v))
  B("mount_setattr", syscall(SYS_mount_setattr, dir, "f", v, buf, 32))
  B("name_to_handle_at", v == 2 ? 0 : ({ *(int *)buf = 0; syscall(SYS_name_to_handle_at, dir, "f", buf, buf + 200, v); }))
  B("setxattr", syscall(SYS_fsetxattr, fd, "user.x", "1", 1, v))
  B("setxattrat", syscall(463, dir, "f", v, "user.x", &(struct { uint64_t p; uint32_t l, f; }){(uint64_t)"1", 1, 0}, 16))
  B("memfd_create", v == 4 ? 0 : fresh(syscall(SYS_memfd_create, "x", v)))
  B("F_ADD_SEALS", fcntl(syscall(SYS_memfd_create, "x", MFD_ALLOW_SEALING), F_ADD_SEALS, v))
  B("F_NOTIFY", (signal(SIGIO, SIG_IGN), fcntl(dir, F_NOTIFY, v)))
  N("F_SETLEASE", 5, fcntl(open("f", O_RDONLY), F_SETLEASE, v))
  N("F_SETSIG", 66, fcntl(fd, F_SETSIG, v))
  N("fcntl", 45, v == F_SETLKW || v == F_OFD_SETLKW ? 0 : fresh(syscall(SYS_fcntl, fd, v, memset(buf, 0, 100))))
  N("fcntl from 1024", 45, v == 10 ? 0 : fresh(syscall(SYS_fcntl, fd, 1024 + v, memset(buf, 0, 100))))
}

static void memory(void) {
  B("mmap of nothing", (long)mmap(page + 32768, 4096, PROT_READ, v & ~0x40000, -1, 0))
  B("mmap private anonymous", (long)mmap(page + 32768, 4096, PROT_READ, (v & ~0x40000) | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))
  B("mmap shared anonymous", (long)mmap(page + 32768, 4096, PROT_READ, (v & ~0x40000) | MAP_SHARED | MAP_ANONYMOUS, -1, 0))
  B("mmap private of a file", (long)mmap(page + 32768, 4096, PROT_READ, (v & ~0x40000) | MAP_PRIVATE, fd, 0))
  B("mmap shared of a file", (long)mmap(page + 32768, 4096, PROT_READ, (v & ~0x40000) | MAP_SHARED, fd, 0))
  B("mmap validated of a file", v == -1 ? 0 : (long)mmap(page + 32768, 4096, PROT_READ, v | MAP_SHARED_VALIDATE, fd, 0))
  B("mmap protection", (long)mmap(NULL, 4096, v, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))
  B("mprotect", mprotect(page, 4096, v))
  B("msync", msync(page, 4096, v))
  B("mremap", (long)mremap(page, 4096, 4096, v, page + 8192))
  N("madvise", 27, v == 8 || v == 9 || v == 25 ? 0 : madvise(page, 4096, v))
  N("madvise 98 on", 8, v >= 2 && v < 6 ? 0 : madvise(page, 4096, 98 + v))
  B("mlock2", syscall(SYS_mlock2, page, 4096, v))
  B("mlockall", (munlockall(), v == 0 || v & 2 ? syscall(SYS_mlockall, v | 4) : 0))
  B("mseal", syscall(462, page, 0, v))
  N("membarrier", 40, (v & (v - 1)) ? syscall(SYS_membarrier, v, 0, 0) : 0)
  B("membarrier flags", syscall(SYS_membarrier, 0, v, 0))
  B("process_vm_readv", syscall(SYS_process_vm_readv, getpid(), &(struct iovec){buf, 5}, 1, &(struct iovec){buf, 5}, 1, v))
  B("shmat", (long)shmat(shmid, NULL, v & ~SHM_REMAP))
  B("mbind", syscall(SYS_mbind, page, 4096, 0, NULL, 0, v))
  B("get_mempolicy", syscall(SYS_get_mempolicy, NULL, NULL, 0, NULL, v))
}

static void processes(void) {
  B("waitid options", syscall(SYS_waitid, 0, 0, NULL, v, NULL))
  B("waitid WEXITED and", syscall(SYS_waitid, 0, 0, NULL, v | WEXITED, NULL))
  N("waitid of all kinds", 6, syscall(SYS_waitid, v, 1, NULL, WEXITED, NULL))
  B("wait4", syscall(SYS_wait4, -1, NULL, v, NULL))
  B("unshare", v == CLONE_NEWPID || v == CLONE_NEWUSER || v == CLONE_NEWNET || v == CLONE_NEWTIME || v == CLONE_NEWCGROUP || v == -1 ? 0 : unshare(v))
  B("setns", setns(dir, v))
  B("getrandom", syscall(SYS_getrandom, buf, 5, v))
  NP("personality", 1, personality(0xffffffff))
  N("syslog", 14, v == 2 || v == 5 || v == 6 || v == 7 || v == 8 || v == 4 || v == 3 || v == 9 || v == 10 ? 0 : syscall(SYS_syslog, v, buf, 100))
  N("sysfs", 5, v == 3 ? 0 : syscall(SYS_sysfs, v, "no such", buf))
  N("getpriority", 5, getpriority(v, 0))
  N("setpriority", 5, setpriority(v, 0, 0))
  N("ioprio_get", 5, syscall(SYS_ioprio_get, v, 0))
  N("ioprio_set class", 8, syscall(SYS_ioprio_set, 1, 0, v << 13))
  N("ioprio_set level", 12, syscall(SYS_ioprio_set, 1, 0, 2 << 13 | v))
  N("getrusage", 5, getrusage(v - 2, (void *)buf))
  N("getrlimit", 20, getrlimit(v, (void *)buf))
  N("sched_get_priority_max", 10, sched_get_priority_max(v))
  N("sched_setscheduler", 10, v == 1 || v == 2 ? 0 : sched_setscheduler(0, v, &(struct sched_param){0}))
  B("sched_setattr flags", syscall(SYS_sched_setattr, 0, &(struct { uint32_t s, p; uint64_t f; int32_t n; uint32_t r; uint64_t a, b, c; }){48, 0, v, 0, 0, 0, 0, 0}, 0))
  B("pidfd_open", fresh(syscall(SYS_pidfd_open, getpid(), v)))
  B("pidfd_send_signal", syscall(SYS_pidfd_send_signal, syscall(SYS_pidfd_open, getpid(), 0), 0, NULL, v))
  B("pidfd_getfd", fresh(syscall(SYS_pidfd_getfd, syscall(SYS_pidfd_open, getpid(), 0), 0, v)))
  N("kcmp", 12, syscall(SYS_kcmp, getpid(), getpid(), v, 0, 0) < 0 ? -1 : 0)
  N("rt_sigprocmask how", 5, syscall(SYS_rt_sigprocmask, v, buf, NULL, 8))
  N("signal", 70, syscall(SYS_rt_sigaction, v, NULL, buf, 8))
  N("kill", 70, v > 0 && v <= 64 ? 0 : kill(getpid(), v))
  B("sigaltstack", syscall(SYS_sigaltstack, &(stack_t){.ss_sp = page, .ss_flags = v, .ss_size = 8192}, NULL))
  N("arch_prctl", 12, v == 2 || v == 1 ? 0 : syscall(SYS_arch_prctl, 0x1000 + v, buf))
  B("seccomp flags", syscall(SYS_seccomp, 1, v, NULL))
  N("seccomp", 5, v == 0 ? 0 : syscall(SYS_seccomp, v, 0, memset(buf, 0, 10)))
  B("clock_nanosleep", syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, v, &(struct timespec){0, 0}, NULL))
  N("clock_getres", 14, clock_getres(v, NULL))
  N("timer_create", 14, syscall(SYS_timer_create, v, NULL, buf))
  N("timerfd_create", 14, fresh(syscall(SYS_timerfd_create, v, 0)))
  B("timerfd_create flags", fresh(syscall(SYS_timerfd_create, 1, v)))
  B("timerfd_settime", syscall(SYS_timerfd_settime, syscall(SYS_timerfd_create, 1, 0), v, memset(buf, 0, 32), NULL))
  B("timerfd_settime of CLOCK_REALTIME", syscall(SYS_timerfd_settime, syscall(SYS_timerfd_create, 0, 0), v, memset(buf, 0, 32), NULL))
  B("eventfd2", fresh(syscall(SYS_eventfd2, 0, v)))
  B("signalfd4", fresh(syscall(SYS_signalfd4, -1, buf, 8, v)))
  B("epoll_create1", fresh(syscall(SYS_epoll_create1, v)))
  B("inotify_init1", fresh(syscall(SYS_inotify_init1, v)))
  B("inotify_add_watch", inotify_add_watch(in, "d", v))
  B("inotify_add_watch IN_OPEN and", inotify_add_watch(in, "f", v | IN_OPEN))
  B("epoll_ctl", ({ int e = epoll_create1(0); epoll_ctl(e, EPOLL_CTL_ADD, pp[0], &(struct epoll_event){.events = v}); }))
  B("epoll_ctl EPOLLEXCLUSIVE and", ({ int e = epoll_create1(0); epoll_ctl(e, EPOLL_CTL_ADD, pp[0], &(struct epoll_event){.events = v | EPOLLEXCLUSIVE}); }))
  N("futex", 16, v == 0 || v == 6 || v == 9 || v == 11 || v == 13 ? 0 : syscall(SYS_futex, buf + 4096, v, 0, 0, buf + 4100, 1) < 0 ? -1 : 0)
  B("futex flags", syscall(SYS_futex, buf + 4096, v | 1, 0, 0, 0, 0))
  B("futex_wake", syscall(454, buf + 4096, -1, 1, v))
  B("futex_wake 2 and", v == 4 || v == 8 ? 0 : syscall(454, buf + 4096, 0xffffffff, 1, v | 2))
  B("futex_waitv", syscall(449, (struct { uint64_t v, a; uint32_t f, r; }[]){{1, (uint64_t)buf + 4096, v, 0}}, 1, 0, NULL, 1))
  B("futex_waitv flags", syscall(449, buf, 1, v, NULL, 1))
  B("add_key", syscall(SYS_keyctl, v & 0xff, 0, 0, 0, 0) < 0 && errno == EOPNOTSUPP ? -1 : 0)
}

static void ipc(void) {
  B("shmget", (long)shmget(IPC_PRIVATE, 4096, v & ~0x800) < 0 ? -1 : 0)
  B("semget", (long)semget(IPC_PRIVATE, 1, v) < 0 ? -1 : 0)
  B("msgget", (long)msgget(IPC_PRIVATE, v) < 0 ? -1 : 0)
  N("shmctl", 20, v == 0 ? 0 : syscall(SYS_shmctl, shmid, v, memset(buf, 0, 200)) < 0 ? -1 : 0)
  N("semctl", 24, v == 0 ? 0 : syscall(SYS_semctl, semid, 0, v, memset(buf, 0, 200)) < 0 ? -1 : 0)
  N("msgctl", 20, v == 0 ? 0 : syscall(SYS_msgctl, msgid, v, memset(buf, 0, 200)) < 0 ? -1 : 0)
  B("msgrcv", msgrcv(msgid, buf, 10, 0, v | IPC_NOWAIT))
  B("msgsnd", msgsnd(msgid, &(struct { long t; char c; }){1, 0}, 1, v | IPC_NOWAIT))
  B("semop", semop(semid, &(struct sembuf){0, 0, v}, 1))
}

static void sockets(void) {
  N("socket domain", 48, v == AF_PACKET || v == 10 || v == 40 || v == 15 || v == 38 || v == 16 || v == 44 ? 0 : fresh(socket(v, SOCK_DGRAM, 0)))
  N("socket type", 16, fresh(socket(AF_UNIX, v, 0)))
  B("socket type flags", fresh(socket(AF_UNIX, v | SOCK_DGRAM, 0)))
  N("socketpair protocol", 4, socketpair(AF_UNIX, SOCK_STREAM, v, (int *)buf))
  B("recv", recv(sk[0], buf, 10, v | MSG_DONTWAIT))
  B("send", send(sk[0], buf, 1, v | MSG_DONTWAIT | MSG_NOSIGNAL))
  B("recvmsg", recvmsg(sk[0], &(struct msghdr){0}, v | MSG_DONTWAIT))
  B("recvmmsg", recvmmsg(sk[0], (void *)memset(buf, 0, 200), 1, v | MSG_DONTWAIT, NULL))
  B("accept4", accept4(sk[0], NULL, NULL, v))
  N("shutdown", 5, shutdown(sk[0], v))
  N("getsockopt level", 20, getsockopt(sk[0], v, SO_TYPE, buf, &(socklen_t){4}))
}

int main(void) {
  umask(022);
  close(open("f", O_CREAT | O_RDWR, 0600));
  mkdir("d", 0700);
  symlink("f", "l");
  fd = open("f", O_RDWR);
  write(fd, "0123456789", 10);
  dir = open(".", O_RDONLY);
  pipe(pp);
  write(pp[1], "abc", 3);
  fcntl(pp[0], F_SETFL, O_NONBLOCK);
  socketpair(AF_UNIX, SOCK_DGRAM, 0, sk);
  in = inotify_init1(IN_NONBLOCK);
  ep = epoll_create1(0);
  semid = semget(IPC_PRIVATE, 1, 0600);
  shmid = shmget(IPC_PRIVATE, 4096, 0600);
  msgid = msgget(IPC_PRIVATE, 0600);
  page = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  files();
  memory();
  processes();
  ipc();
  sockets();
  semctl(semid, 0, IPC_RMID);
  shmctl(shmid, IPC_RMID, NULL);
  msgctl(msgid, IPC_RMID, NULL);
  return 0;
}
