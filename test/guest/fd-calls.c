// More kinds of descriptors than fd-kinds.c and all other calls that take one: one line per call, all kinds in it.
#pragma GCC diagnostic ignored "-Wunused-result"
#pragma GCC diagnostic ignored "-Wnonnull"
#include "guest.h"
#include <linux/fs.h>
#include <linux/fscrypt.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <termios.h>

static int file(int flags) {
  int fd = open("f", O_CREAT | O_RDWR | O_TRUNC, 0644);
  write(fd, "0123456789", 10);
  close(fd);
  return open("f", flags);
}
static int inet(int type, int listening) {
  int s = socket(AF_INET, type, 0);
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  bind(s, (void *)&a, sizeof a);
  if (listening) listen(s, 1);
  return s;
}
static int k_rdwr(void) { return file(O_RDWR); }
static int k_rd(void) { return file(O_RDONLY); }
static int k_path(void) { return file(O_PATH); }
static int k_dir(void) { mkdir("d", 0755); return open("d", O_RDONLY); }
static int k_dirpath(void) { mkdir("d", 0755); return open("d", O_PATH); }
static int k_linkpath(void) { symlink("f", "l"); return open("l", O_PATH | O_NOFOLLOW); }
static int k_fifopath(void) { mkfifo("ff", 0600); return open("ff", O_PATH); }
static int k_nodepath(void) { return open("/dev/null", O_PATH); }
static int k_memfd(void) { return memfd_create("m", MFD_ALLOW_SEALING); }
static int k_pipe_r(void) { int p[2]; pipe2(p, O_NONBLOCK); close(p[1]); return p[0]; }
static int k_pipe_w(void) { int p[2]; pipe2(p, O_NONBLOCK); close(p[0]); return p[1]; }
static int k_stream(void) { return socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0); }
static int k_udp(void) { return inet(SOCK_DGRAM | SOCK_NONBLOCK, 0); }
static int k_listener(void) { return inet(SOCK_STREAM | SOCK_NONBLOCK, 1); }
static int k_netlink(void) { return socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK, 0); }
static int k_eventfd(void) { return eventfd(3, EFD_NONBLOCK); }
static int k_timerfd(void) { return timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK); }
static int k_signalfd(void) { sigset_t s; sigemptyset(&s); return signalfd(-1, &s, SFD_NONBLOCK); }
static int k_epoll(void) { return epoll_create1(0); }
static int k_inotify(void) { return inotify_init1(IN_NONBLOCK); }
static int k_pidfd(void) { return syscall(SYS_pidfd_open, getpid(), 0); }
static int k_mqueue(void) {
  struct mq_attr a = {.mq_maxmsg = 2, .mq_msgsize = 10};
  mq_unlink("/fd-calls");
  return mq_open("/fd-calls", O_RDWR | O_CREAT | O_NONBLOCK, 0600, &a);
}
static int k_null(void) { return open("/dev/null", O_RDWR); }
static int k_ptmx(void) { return open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK); }
static int k_proc(void) { return open("/proc/self/status", O_RDONLY); }
static int k_procdir(void) { return open("/proc/self", O_RDONLY); }
static int k_mem(void) { return open("/proc/self/mem", O_RDWR); }
static int k_ns(void) { return open("/proc/self/ns/uts", O_RDONLY); }
static int k_fscontext(void) { return syscall(SYS_fsopen, "tmpfs", 0); }
static int k_closed(void) { return 900; }

#define K(n) {#n, k_##n}
static const struct { const char *name; int (*make)(void); } kinds[] = {
  K(rdwr), K(rd), K(path), K(dir), K(dirpath), K(linkpath), K(fifopath), K(nodepath), K(memfd), K(pipe_r), K(pipe_w), K(stream),
  K(udp), K(listener), K(netlink), K(eventfd), K(timerfd), K(signalfd), K(epoll), K(inotify), K(pidfd), K(mqueue), K(null),
  K(ptmx), K(proc), K(procdir), K(mem), K(ns), K(fscontext), K(closed)};
enum { KINDS = sizeof kinds / sizeof *kinds };

static char big[70000];

static const char *outcome(long r) {
  static char text[24];
  if (r == -1) return strerrorname_np(errno);
  snprintf(text, sizeof text, "%ld", r);
  return text;
}

// One line for each answer, with the kinds that give it.
static void show(const char *what, char answers[KINDS][24]) {
  for (int i = 0; i < KINDS; i++) {
    if (answers[i][0] == 0) continue;
    printf("%s: %s:", what, answers[i]);
    for (int j = KINDS - 1; j > i; j--) if (strcmp(answers[j], answers[i]) == 0) answers[j][0] = 1;
    for (int j = i; j < KINDS; j++) {
      if (j > i && answers[j][0] != 1) continue;
      printf(" %s", kinds[j].name);
      if (j > i) answers[j][0] = 0;
    }
    printf("\n");
  }
  fflush(stdout);
}

// `skip`: kinds whose answer is not compared, each between spaces.
#define T(what, skip, expr)                                       \
  do {                                                            \
    char answers[KINDS][24] = {0};                                \
    for (unsigned i = 0; i < KINDS; i++) {                        \
      char k[32];                                                 \
      snprintf(k, sizeof k, " %s ", kinds[i].name);               \
      if (strstr(skip, k)) continue;                              \
      int fd = kinds[i].make();                                   \
      memset(big, 0, 300);                                        \
      strcpy(answers[i], outcome(expr));                          \
      close(fd);                                                  \
    }                                                             \
    show(what, answers);                                          \
  } while (0)

// Zero for a descriptor that is closed again, or the error.
static long fresh(long fd) {
  if (fd >= 0) close(fd);
  return fd < 0 ? -1 : 0;
}
static long mapped(int fd, int prot, int flags) {
  void *p = mmap(NULL, 4096, prot, flags, fd, 0);
  if (p != MAP_FAILED) munmap(p, 4096);
  return p == MAP_FAILED ? -1 : 0;
}
static long leased(int fd, int type) {
  long r = fcntl(fd, F_SETLEASE, type);
  if (r == 0) fcntl(fd, F_SETLEASE, F_UNLCK);
  return r;
}
static long linked(int fd) {
  unlink("new");
  return linkat(fd, "", AT_FDCWD, "new", AT_EMPTY_PATH);
}
static long handle(int fd, int flags) {
  struct file_handle *h = (void *)big;
  int mnt;
  h->handle_bytes = 128;
  return name_to_handle_at(fd, "", h, &mnt, AT_EMPTY_PATH | flags);
}
static long own(int fd) { return fcntl(fd, F_SETOWN, getpid()) < 0 ? -1 : fcntl(fd, F_GETOWN) == getpid(); }
static long sig(int fd) { return fcntl(fd, F_SETSIG, SIGUSR1) < 0 ? -1 : fcntl(fd, F_GETSIG); }
static long dup_query(int fd) {
  int other = dup(fd);
  long r = fcntl(fd, 1027, other);
  int e = errno;
  close(other);
  errno = e;
  return r;
}
static long set_flags(int fd, int flags) {
  int old = fcntl(fd, F_GETFL);
  return fcntl(fd, F_SETFL, flags) < 0 ? -1 : (fcntl(fd, F_GETFL) ^ old) & ~O_ACCMODE;
}
static struct iovec five = {big, 5};
static struct iovec none = {BAD_PTR, 5};
static long tmp(int fd) { return fresh(openat(fd, ".", O_TMPFILE | O_RDWR, 0600)); }
static long tiocgwinsz(int fd) { return ioctl(fd, TIOCGWINSZ, big); }

int main(void) {
  static struct stat st;
  static struct statfs sf;
  static struct statx sx;
  struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 5}};
  signal(SIGPIPE, SIG_IGN);
  signal(SIGIO, SIG_IGN);
  umask(022);
  int cwd = open(".", O_RDONLY);
  T("fstat", "", fstat(fd, &st) < 0 ? -1 : (long)(st.st_mode & S_IFMT) >> 12);
  T("permissions", " proc ns ptmx ", fstat(fd, &st) < 0 ? -1 : (long)(st.st_mode & 07777));
  T("fstatat empty", "", fstatat(fd, "", &st, AT_EMPTY_PATH));
  T("fstatat null", "", syscall(SYS_newfstatat, fd, NULL, &st, AT_EMPTY_PATH));
  T("statx empty", "", statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &sx));
  T("statx sync", "", statx(fd, "", AT_EMPTY_PATH | AT_STATX_SYNC_TYPE, STATX_BASIC_STATS, &sx));
  T("fstatfs", "", fstatfs(fd, &sf));
  T("f_type", " ns fscontext rdwr rd path dir dirpath linkpath fifopath nodepath null memfd ptmx ", fstatfs(fd, &sf) < 0 ? -1 : sf.f_type);
  T("fchmod", " null ns proc procdir mem ", fchmod(fd, 0640));
  T("fchmodat2 empty", " nodepath null ns proc procdir mem ", syscall(452, fd, "", 0640, AT_EMPTY_PATH));
  T("fchown", " ns proc procdir mem ", fchown(fd, -1, -1));
  T("fchownat empty", " ns proc procdir mem ", fchownat(fd, "", -1, -1, AT_EMPTY_PATH));
  T("futimens", " null proc procdir mem ", futimens(fd, times));
  T("utimensat null path", " nodepath null proc procdir mem ", syscall(SYS_utimensat, fd, NULL, times, 0));
  T("utimensat null path and flag", " nodepath null proc procdir mem ", syscall(SYS_utimensat, fd, NULL, times, AT_SYMLINK_NOFOLLOW));
  T("utimensat empty", " nodepath null proc procdir mem ", syscall(SYS_utimensat, fd, "", times, AT_EMPTY_PATH));
  T("fchdir", "", fchdir(fd) < 0 ? -1 : fchdir(cwd));
  T("openat .", "", fresh(openat(fd, ".", O_RDONLY)));
  T("openat empty", "", fresh(openat(fd, "", O_RDONLY)));
  T("openat of an absolute path", "", fresh(openat(fd, "/", O_RDONLY)));
  T("openat O_TMPFILE", " procdir ", tmp(fd));
  T("mkdirat", "", mkdirat(fd, "x/y", 0700));
  T("faccessat2 empty", " proc procdir mem ", syscall(SYS_faccessat2, fd, "", R_OK, AT_EMPTY_PATH));
  T("faccessat2 empty X_OK", " pidfd ", syscall(SYS_faccessat2, fd, "", X_OK, AT_EMPTY_PATH));
  T("readlinkat empty", "", readlinkat(fd, "", big, 100));
  T("linkat empty", " null nodepath proc procdir mem ns rdwr rd path ptmx pidfd ", linked(fd));
  T("unlinkat empty", "", unlinkat(fd, "", 0));
  T("name_to_handle_at", " proc procdir mem ns ptmx null nodepath pidfd ", handle(fd, 0));
  T("fgetxattr", " pidfd ptmx procdir ns null ", fgetxattr(fd, "user.x", big, 100));
  T("fgetxattr of trusted", " pidfd ptmx procdir ns null ", fgetxattr(fd, "trusted.x", big, 100));
  T("fgetxattr of security", " pidfd ptmx procdir ns null ", fgetxattr(fd, "security.x", big, 100));
  T("fgetxattr of no class", "", fgetxattr(fd, "x", big, 100));
  T("fsetxattr", " pidfd ptmx procdir ns null ", fsetxattr(fd, "user.x", "1", 1, 0));
  T("fsetxattr of trusted", " pidfd ptmx procdir ns null ", fsetxattr(fd, "trusted.x", "1", 1, 0));
  T("fremovexattr", " pidfd ptmx procdir ns null ", fremovexattr(fd, "user.y"));
  T("flistxattr", " rdwr rd dir path dirpath pidfd ptmx procdir ns null ", flistxattr(fd, big, 100));
  T("mmap read", " listener ptmx ", mapped(fd, PROT_READ, MAP_PRIVATE));
  T("mmap write private", " listener ptmx ", mapped(fd, PROT_READ | PROT_WRITE, MAP_PRIVATE));
  T("mmap read shared", " listener ptmx ", mapped(fd, PROT_READ, MAP_SHARED));
  T("mmap write shared", " listener ptmx ", mapped(fd, PROT_READ | PROT_WRITE, MAP_SHARED));
  T("mmap execute", " listener ptmx proc procdir mem ", mapped(fd, PROT_READ | PROT_EXEC, MAP_PRIVATE));
  T("mmap MAP_SHARED_VALIDATE", " listener ptmx ", mapped(fd, PROT_READ, MAP_SHARED_VALIDATE));
  T("mmap MAP_SHARED_VALIDATE and MAP_SYNC", "", mapped(fd, PROT_READ, MAP_SHARED_VALIDATE | MAP_SYNC));
  T("mmap MAP_HUGETLB", "", mapped(fd, PROT_READ, MAP_PRIVATE | MAP_HUGETLB));
  T("read lease", " pidfd mqueue ", leased(fd, F_RDLCK));
  T("write lease", " rdwr memfd null pidfd mqueue ", leased(fd, F_WRLCK));
  T("F_GETLEASE", "", fcntl(fd, F_GETLEASE));
  T("F_NOTIFY", "", fcntl(fd, F_NOTIFY, DN_CREATE) < 0 ? -1 : fcntl(fd, F_NOTIFY, 0));
  T("F_SETOWN", "", own(fd));
  T("F_SETOWN of nobody", "", fcntl(fd, F_SETOWN, 0x3fffffff));
  T("F_SETSIG", "", sig(fd));
  T("F_SETSIG 65", "", fcntl(fd, F_SETSIG, 65));
  T("F_DUPFD_QUERY itself", "", fcntl(fd, 1027, fd));
  T("F_DUPFD_QUERY a duplicate", "", dup_query(fd));
  T("F_DUPFD_QUERY another", "", fcntl(fd, 1027, cwd));
  T("F_DUPFD_QUERY of nothing", "", fcntl(fd, 1027, 901));
  T("F_CREATED_QUERY", " mqueue ", fcntl(fd, 1028, 0));
  T("F_GET_SEALS", " rdwr rd ", fcntl(fd, F_GET_SEALS));
  T("F_SETPIPE_SZ", "", fcntl(fd, F_SETPIPE_SZ, 4096));
  T("F_GET_FILE_RW_HINT", "", fcntl(fd, 1037, big));
  T("F_SET_FILE_RW_HINT", "", fcntl(fd, 1038, big));
  T("F_GETOWN_EX", "", fcntl(fd, F_GETOWN_EX, big));
  T("F_GETOWNER_UIDS", "", fcntl(fd, 17, big));
  T("F_GETFL", " stream ", fcntl(fd, F_GETFL) & ~O_LARGEFILE);
  T("F_SETFL O_APPEND", "", set_flags(fd, O_APPEND));
  T("F_SETFL O_NOATIME", "", set_flags(fd, O_NOATIME));
  T("F_SETFL O_SYNC O_CREAT O_TRUNC O_DIRECTORY", "", set_flags(fd, O_SYNC | O_CREAT | O_TRUNC | O_DIRECTORY));
  T("dup3 to itself", "", dup3(fd, fd, 0));
  T("dup2 to itself", "", dup2(fd, fd) == fd ? 0 : -1);
  T("F_DUPFD beyond", "", fcntl(fd, F_DUPFD, 1 << 30));
  T("fdatasync", "", fdatasync(fd));
  T("syncfs", "", syncfs(fd));
  T("readahead", "", readahead(fd, 0, 4096));
  T("fadvise WILLNEED", "", syscall(SYS_fadvise64, fd, 0, 0, 3));
  T("fadvise 9", "", syscall(SYS_fadvise64, fd, 0, 0, 9));
  T("fadvise -1", "", syscall(SYS_fadvise64, fd, 0, -1, 3));
  T("cachestat", " rdwr rd dir memfd ", syscall(451, fd, big, big + 100, 0));
  T("flags of preadv2", "", preadv2(fd, &five, 1, 0, 0x10000));
  T("preadv2 RWF_APPEND", " mem proc ", preadv2(fd, &five, 1, 0, RWF_APPEND));
  T("preadv2 RWF_HIPRI", " mem proc ", preadv2(fd, &five, 1, 0, RWF_HIPRI));
  T("preadv2 RWF_NOWAIT", " mem ", preadv2(fd, &five, 1, 0, RWF_NOWAIT));
  T("preadv2 RWF_ATOMIC", " mem proc ", preadv2(fd, &five, 1, 0, 0x40));
  T("preadv2 RWF_DONTCACHE", " mem proc ", preadv2(fd, &five, 1, 0, 0x80));
  T("pwritev2 RWF_APPEND", " mem proc ", pwritev2(fd, &five, 1, 0, RWF_APPEND));
  T("pwritev2 RWF_NOAPPEND", " mem proc ", pwritev2(fd, &five, 1, 0, 0x20));
  T("pwritev2 both", " mem proc ", pwritev2(fd, &five, 1, 0, 0x30));
  T("pwritev2 RWF_HIPRI", " mem proc ", pwritev2(fd, &five, 1, 0, RWF_HIPRI));
  T("pwritev2 RWF_SYNC", " mem proc ", pwritev2(fd, &five, 1, 0, RWF_SYNC));
  T("pwritev2 RWF_ATOMIC", " mem proc ", pwritev2(fd, &five, 1, 0, 0x40));
  T("pwritev2 RWF_DONTCACHE", " mem proc ", pwritev2(fd, &five, 1, 0, 0x80));
  T("writev from nowhere", " eventfd timerfd stream udp listener ", writev(fd, &none, 1));
  T("readv to nowhere", " proc mem stream udp listener eventfd timerfd signalfd epoll pidfd ns null fscontext netlink inotify ptmx ", readv(fd, &none, 1));
  T("TIOCGWINSZ", "", tiocgwinsz(fd));
  T("TCGETS", "", ioctl(fd, TCGETS, big));
  T("FIONBIO", "", ioctl(fd, FIONBIO, &(int){1}));
  T("FIOQSIZE", "", ioctl(fd, FIOQSIZE, big));
  T("FIGETBSZ", " null ptmx nodepath ns ", ioctl(fd, FIGETBSZ, big));
  T("FS_IOC_GETFLAGS", " rdwr rd dir ", ioctl(fd, FS_IOC_GETFLAGS, big));
  T("FS_IOC_GETVERSION", " rdwr rd dir pidfd ", ioctl(fd, FS_IOC_GETVERSION, big));
  T("BLKGETSIZE", "", ioctl(fd, BLKGETSIZE, big));
  T("SIOCATMARK", " listener ", ioctl(fd, SIOCATMARK, big));
  T("SIOCGPGRP", "", ioctl(fd, SIOCGPGRP, big));
  T("ioctl 0", " mem ", ioctl(fd, 0, big));
  T("getsockopt", "", getsockopt(fd, SOL_SOCKET, SO_TYPE, big, &(socklen_t){4}));
  T("getsockname", "", getsockname(fd, (void *)big, &(socklen_t){100}));
  T("getpeername", "", getpeername(fd, (void *)big, &(socklen_t){100}));
  T("listen", "", listen(fd, 1));
  T("accept", "", fresh(accept(fd, NULL, NULL)));
  T("accept4 with flags", "", fresh(accept4(fd, NULL, NULL, 1)));
  T("connect nowhere", "", connect(fd, BAD_PTR, 16));
  T("connect to a short address", "", connect(fd, (void *)big, 1));
  T("shutdown 3", "", shutdown(fd, 3));
  T("shutdown", "", shutdown(fd, SHUT_RDWR));
  T("recv", "", recv(fd, big, 5, MSG_DONTWAIT));
  T("recv MSG_ERRQUEUE", "", recv(fd, big, 5, MSG_DONTWAIT | MSG_ERRQUEUE));
  T("recvmmsg of none", "", recvmmsg(fd, NULL, 0, 0, NULL));
  T("sendmmsg of none", "", sendmmsg(fd, NULL, 0, 0));
  T("epoll_wait", "", epoll_wait(fd, (void *)big, 1, 0));
  T("inotify_add_watch", "", inotify_add_watch(fd, ".", IN_OPEN));
  T("inotify_rm_watch", "", inotify_rm_watch(fd, 1));
  T("timerfd_gettime", "", timerfd_gettime(fd, (void *)big));
  T("timerfd_settime", "", timerfd_settime(fd, 0, (void *)big, NULL));
  T("signalfd", "", fresh(syscall(SYS_signalfd4, fd, big, 8, 0)) < 0 ? -1 : 0);
  T("mq_getattr", "", syscall(SYS_mq_getsetattr, fd, NULL, big));
  T("mq_timedreceive", "", syscall(SYS_mq_timedreceive, fd, big, 100, NULL, NULL));
  T("mq_timedsend", "", syscall(SYS_mq_timedsend, fd, big, 5, 0, NULL));
  T("mq_notify", "", syscall(SYS_mq_notify, fd, NULL));
  T("setns", "", setns(fd, 0));
  T("setns of a PID namespace", "", setns(fd, 0x20000000));
  T("NS_GET_NSTYPE", "", ioctl(fd, 0xb703));
  T("NS_GET_USERNS", "", fresh(ioctl(fd, 0xb701)));
  T("NS_GET_PARENT", "", fresh(ioctl(fd, 0xb702)));
  T("NS_GET_OWNER_UID", "", ioctl(fd, 0xb704, big));
  T("pidfd_send_signal", "", syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0));
  T("pidfd_getfd", "", fresh(syscall(SYS_pidfd_getfd, fd, 0, 0)));
  T("waitid", "", syscall(SYS_waitid, 3, fd, NULL, WEXITED | WNOHANG, NULL));
  T("process_madvise", "", syscall(SYS_process_madvise, fd, &five, 1, 4, 1));
  T("process_mrelease", "", syscall(SYS_process_mrelease, fd, 0));
  T("open_tree empty", " rdwr rd path dir dirpath nodepath fifopath linkpath null ptmx proc procdir mem ns ", fresh(syscall(SYS_open_tree, fd, "", AT_EMPTY_PATH)));
  T("fsconfig", "", syscall(SYS_fsconfig, fd, 0, "ro", NULL, 0));
  T("fsmount", " fscontext ", fresh(syscall(SYS_fsmount, fd, 0, 0)));
  T("fspick", " rdwr rd path dir dirpath nodepath fifopath linkpath null ptmx proc procdir mem ns ", fresh(syscall(SYS_fspick, fd, "", 8)));
  T("finit_module", "", syscall(SYS_finit_module, fd, "", 0));
  T("quotactl_fd", " rdwr rd dir ", syscall(443, fd, 0x800007 << 8, 0, big));
  T("open_by_handle_at", "", syscall(SYS_open_by_handle_at, fd, big, 0));
  T("bind", "", bind(fd, BAD_PTR, 16));
  T("setsockopt", "", setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, 4));
  T("vmsplice", "", vmsplice(fd, &five, 1, SPLICE_F_NONBLOCK));
  T("vmsplice with flags", "", vmsplice(fd, &five, 1, 0x100));
  T("ftruncate -1", "", ftruncate(fd, -1));
  T("fallocate COLLAPSE_RANGE", " rdwr memfd pidfd ", syscall(SYS_fallocate, fd, 8, 0, 4096));
  T("getdents", " dir procdir ", syscall(SYS_getdents, fd, big, 4096));
  T("file_getattr", " rdwr rd dir path dirpath linkpath nodepath fifopath null ptmx ns proc procdir mem ", syscall(468, fd, "", big, 24, AT_EMPTY_PATH));
  T("execveat", "", syscall(SYS_execveat, fd, "x", NULL, NULL, 0));
  return 0;
}
