// Which bytes of each structure a call writes: found by two calls into memory with different patterns.
#include "guest.h"
#include <dirent.h>
#include <linux/capability.h>
#include <linux/stat.h>
#include <mqueue.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/times.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <termios.h>

enum { ROOM = 1024 };
static unsigned char buf[2][ROOM];

static void report(const char *name, const long r[2]) {
  char text[200] = "";
  for (int i = 0; i < ROOM;) {
    while (i < ROOM && buf[0][i] == 0xaa && buf[1][i] == 0x55) i++;
    int from = i;
    while (i < ROOM && !(buf[0][i] == 0xaa && buf[1][i] == 0x55)) i++;
    size_t n = strlen(text);
    if (from < i && n < sizeof text - 30) snprintf(text + n, 30, " %d-%d", from, i);
  }
  say("%s: %s, bytes%s", name, r[0] >= 0 && r[1] >= 0 ? "done" : "failed", text);
}

#define WRITES(name, call)                               \
  do {                                                   \
    long r[2];                                           \
    memset(buf[0], 0xaa, ROOM), memset(buf[1], 0x55, ROOM); \
    for (int k = 0; k < 2; k++) {                        \
      unsigned char *b = buf[k];                         \
      r[k] = (long)(call);                               \
    }                                                    \
    report(name, r);                                     \
  } while (0)

// With something that the call reads first.
#define GIVEN(b, type, ...) (*(type *)(b) = (type)__VA_ARGS__, (b))

static void files(void) {
  int fd = open("f", O_RDWR | O_CREAT, 0644);
  if (write(fd, "abc", 3) != 3) return;
  WRITES("stat", syscall(SYS_stat, "f", b));
  WRITES("fstat", syscall(SYS_fstat, fd, b));
  WRITES("statx", syscall(SYS_statx, AT_FDCWD, "f", 0, STATX_BASIC_STATS, b));
  WRITES("statfs", syscall(SYS_statfs, ".", b));
  WRITES("ustat", syscall(SYS_ustat, ({ struct stat st; stat("/proc", &st); st.st_dev; }), b));
  WRITES("F_GETLK, free", fcntl(fd, F_GETLK, GIVEN(b, struct flock, {.l_type = F_WRLCK})));
  mkdir("d", 0777);
  close(open("d/name", O_CREAT, 0644));
  int dir = open("d", O_RDONLY);
  // Padding between the entries is nobody's: their lengths are compared.
  long n = syscall(SYS_getdents64, dir, buf[0], ROOM);
  for (long at = 0; at < n; at += *(unsigned short *)(buf[0] + at + 16))
    say("getdents64: length %d, type %d", *(unsigned short *)(buf[0] + at + 16), buf[0][at + 18]);
  lseek(dir, 0, SEEK_SET);
  n = syscall(SYS_getdents, dir, buf[0], ROOM);
  for (long at = 0; at < n; at += *(unsigned short *)(buf[0] + at + 16)) {
    unsigned short length = *(unsigned short *)(buf[0] + at + 16);
    say("getdents: length %d, type %d", length, buf[0][at + length - 1]);
  }
  WRITES("readlink", syscall(SYS_readlink, "/proc/self/exe", b, 5));
  WRITES("getcwd", chdir("/") < 0 ? -1 : syscall(SYS_getcwd, b, ROOM));
  int in = inotify_init();
  ok("watch", inotify_add_watch(in, "/dev", IN_OPEN) < 0 ? -1 : 0);
  WRITES("inotify_event", (close(open("/dev/null", O_RDONLY)), read(in, b, ROOM)));
  WRITES("FIONREAD", ioctl(fd, FIONREAD, b));
  close(fd), close(dir), close(in);
}

static void process(void) {
  WRITES("uname", syscall(SYS_uname, b));
  WRITES("sysinfo", syscall(SYS_sysinfo, b));
  WRITES("getrusage", syscall(SYS_getrusage, RUSAGE_SELF, b));
  WRITES("times", syscall(SYS_times, b));
  WRITES("getrlimit", syscall(SYS_getrlimit, RLIMIT_NOFILE, b));
  WRITES("prlimit64", syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, b));
  WRITES("getresuid", syscall(SYS_getresuid, b, b + 8, b + 16));
  WRITES("capget", syscall(SYS_capget, (struct __user_cap_header_struct[]){{_LINUX_CAPABILITY_VERSION_3, 0}}, b));
  WRITES("sched_getparam", syscall(SYS_sched_getparam, 0, b));
  WRITES("sched_getattr", syscall(SYS_sched_getattr, 0, b, 48, 0));
  WRITES("sched_rr_get_interval", syscall(SYS_sched_rr_get_interval, 0, b));
  WRITES("sched_getaffinity, 8 bytes", syscall(SYS_sched_getaffinity, 0, 8, b));
  WRITES("get_robust_list", syscall(SYS_get_robust_list, 0, b, b + 8));
  WRITES("getcpu", syscall(SYS_getcpu, b, b + 8, NULL));
  WRITES("prctl PDEATHSIG", syscall(SYS_prctl, 2, b));
  WRITES("prctl GET_NAME", syscall(SYS_prctl, 16, b));
  WRITES("wait4", ({ pid_t p = fork(); if (p == 0) _exit(3); syscall(SYS_wait4, p, b, 0, b + 16); }));
  WRITES("waitid", ({ pid_t p = fork(); if (p == 0) _exit(3); syscall(SYS_waitid, P_PID, p, b, WEXITED, b + 200); }));
  WRITES("pipe2", syscall(SYS_pipe2, b, 0));
}

static void signals_and_time(void) {
  WRITES("sigaction", syscall(SYS_rt_sigaction, SIGUSR1, NULL, b, 8));
  WRITES("sigprocmask", syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, b, 8));
  WRITES("sigpending", syscall(SYS_rt_sigpending, b, 8));
  WRITES("sigaltstack", syscall(SYS_sigaltstack, NULL, b));
  sigset_t set;
  sigemptyset(&set), sigaddset(&set, SIGUSR1), sigprocmask(SIG_BLOCK, &set, NULL);
  WRITES("sigtimedwait", (kill(getpid(), SIGUSR1), syscall(SYS_rt_sigtimedwait, &set, b, NULL, 8)));
  int sfd = signalfd(-1, &set, 0);
  WRITES("signalfd_siginfo", (kill(getpid(), SIGUSR1), read(sfd, b, ROOM)));
  WRITES("clock_gettime", syscall(SYS_clock_gettime, 0, b));
  WRITES("clock_getres", syscall(SYS_clock_getres, 0, b));
  WRITES("gettimeofday", syscall(SYS_gettimeofday, b, b + 32));
  WRITES("time", syscall(SYS_time, b));
  WRITES("getitimer", syscall(SYS_getitimer, ITIMER_REAL, b));
  WRITES("adjtimex", syscall(SYS_adjtimex, memset(b, 0, 4)));
  int tfd = timerfd_create(CLOCK_MONOTONIC, 0);
  WRITES("timerfd_gettime", syscall(SYS_timerfd_gettime, tfd, b));
  int id;
  WRITES("timer_create", syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, b));
  if (syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, &id) == 0) WRITES("timer_gettime", syscall(SYS_timer_gettime, id, b));
}

static void events_and_sockets(void) {
  int ep = epoll_create1(0), pair[2], p[2];
  if (pipe(p) < 0 || write(p[1], "x", 1) != 1 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0) return;
  struct epoll_event e = {EPOLLIN, {.u64 = 0x1122334455667788}};
  epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &e);
  WRITES("epoll_event", syscall(SYS_epoll_wait, ep, b, 4, 0));
  WRITES("pollfd", syscall(SYS_poll, GIVEN(b, struct pollfd, {p[0], POLLIN, 0}), 1, 0));
  WRITES("select", syscall(SYS_select, p[0] + 1, GIVEN(b, long, 1L << p[0]), NULL, NULL, (struct timeval[]){{0, 0}}));
  WRITES("getsockname", syscall(SYS_getsockname, pair[0], b, GIVEN(b + 200, int, 110)));
  WRITES("SO_PEERCRED", syscall(SYS_getsockopt, pair[0], SOL_SOCKET, SO_PEERCRED, b, GIVEN(b + 200, int, 100)));
  WRITES("SO_LINGER", syscall(SYS_getsockopt, pair[0], SOL_SOCKET, SO_LINGER, b, GIVEN(b + 200, int, 100)));
  WRITES("SO_RCVTIMEO", syscall(SYS_getsockopt, pair[0], SOL_SOCKET, SO_RCVTIMEO, b, GIVEN(b + 200, int, 100)));
  WRITES("SO_TYPE", syscall(SYS_getsockopt, pair[0], SOL_SOCKET, SO_TYPE, b, GIVEN(b + 200, int, 100)));
  int inet = socket(AF_INET, SOCK_DGRAM, 0);
  WRITES("SIOCGIFINDEX", ioctl(inet, SIOCGIFINDEX, strcpy((char *)b, "lo")));
  WRITES("SIOCGIFHWADDR", ioctl(inet, SIOCGIFHWADDR, strcpy((char *)b, "lo")));
  struct iovec iov = {p, 1};
  WRITES("recvmsg", (write(pair[1], "x", 1), ({
           struct msghdr *h = (void *)b;
           memset(h, 0, sizeof *h), h->msg_iov = &iov, h->msg_iovlen = 1, h->msg_control = b + 100, h->msg_controllen = 64;
           recvmsg(pair[0], h, 0);
         })));
}

static void ipc(void) {
  int sem = semget(IPC_PRIVATE, 2, 0600), msg = msgget(IPC_PRIVATE, 0600), shm = shmget(IPC_PRIVATE, 4096, 0600);
  WRITES("semid_ds", syscall(SYS_semctl, sem, 0, IPC_STAT, b));
  WRITES("semaphores", syscall(SYS_semctl, sem, 0, GETALL, b));
  WRITES("seminfo", syscall(SYS_semctl, 0, 0, IPC_INFO, b));
  WRITES("msqid_ds", syscall(SYS_msgctl, msg, IPC_STAT, b));
  WRITES("msginfo", syscall(SYS_msgctl, 0, IPC_INFO, b));
  WRITES("shmid_ds", syscall(SYS_shmctl, shm, IPC_STAT, b));
  WRITES("shminfo", syscall(SYS_shmctl, 0, IPC_INFO, b));
  WRITES("shm_info", syscall(SYS_shmctl, 0, SHM_INFO, b));
  struct {
    long type;
    char text[5];
  } m = {1, "text"};
  WRITES("msgbuf", (msgsnd(msg, &m, 5, 0), syscall(SYS_msgrcv, msg, b, 100, 0, 0)));
  semctl(sem, 0, IPC_RMID), msgctl(msg, IPC_RMID, NULL), shmctl(shm, IPC_RMID, NULL);
  mqd_t q = mq_open("/struct-sizes", O_RDWR | O_CREAT, 0600, NULL);
  WRITES("mq_attr", syscall(SYS_mq_getsetattr, q, NULL, b));
  WRITES("mq_timedreceive", (mq_send(q, "abc", 3, 1), syscall(SYS_mq_timedreceive, q, b, 8192, b + 100, NULL)));
  mq_unlink("/struct-sizes");
}

static void terminals(void) {
  int m = posix_openpt(O_RDWR | O_NOCTTY);
  if (m < 0 || grantpt(m) < 0 || unlockpt(m) < 0) return;
  WRITES("TCGETS", ioctl(m, TCGETS, b));
  WRITES("TCGETS2", ioctl(m, 0x802c542a, b));
  WRITES("TCGETA", ioctl(m, TCGETA, b));
  WRITES("TIOCGWINSZ", ioctl(m, TIOCGWINSZ, b));
  WRITES("TIOCGPTN", ioctl(m, TIOCGPTN, b));
}

// A structure of a newer caller ends at the end of memory and is said to be longer: what is set comes before what is not there.
static void tails(void) {
  char *page = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap(page + 4096, 4096);
  static const struct {
    const char *name;
    int nr, known;
  } calls[] = {{"openat2", 437, 24}, {"clone3", 435, 88}, {"mount_setattr", 442, 32}};
  for (unsigned i = 0; i < sizeof calls / sizeof *calls; i++)
    for (int set = 0; set < 2; set++) {
      int known = calls[i].known;
      char *at = page + 4096 - known - 8, title[40];
      memset(page, 0, 4096);
      memset(at + known, set ? 1 : 0, 8);
      sprintf(title, "%s, more beyond memory, %s", calls[i].name, set ? "set" : "zero");
      ret(title, calls[i].nr == 435 ? syscall(435, at, known + 16) : calls[i].nr == 437 ? syscall(437, AT_FDCWD, "/", at, known + 16) : syscall(442, AT_FDCWD, "/nonexistent", 0, at, known + 16));
    }
}

int main(void) {
  tails();
  files(), process(), signals_and_time(), events_and_sockets(), ipc(), terminals();
  return 0;
}
