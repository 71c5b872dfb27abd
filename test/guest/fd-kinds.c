// What every kind of descriptor answers to calls that take one: one line per call, all kinds in it.
#pragma GCC diagnostic ignored "-Wunused-result"
#include "guest.h"
#include <linux/falloc.h>
#include <linux/fs.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>

// The other end of what has two, closed with it.
static int peer = -1;

static int file(int flags) {
  int fd = open("f", O_CREAT | O_RDWR | O_TRUNC, 0644);
  write(fd, "0123456789", 10);
  close(fd);
  return open("f", flags);
}
static int pair(int keep_read, int close_peer) {
  int p[2];
  pipe2(p, O_NONBLOCK);
  if (keep_read && !close_peer) write(p[1], "abcdef", 6);
  if (close_peer) close(p[keep_read]);
  else peer = p[keep_read];
  return p[!keep_read];
}
static int sockets(int type) {
  int p[2];
  socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, p);
  write(p[1], "abcdef", 6);
  peer = p[1];
  return p[0];
}
static int k_rdwr(void) { return file(O_RDWR); }
static int k_rd(void) { return file(O_RDONLY); }
static int k_wr(void) { return file(O_WRONLY); }
static int k_append(void) { return file(O_RDWR | O_APPEND); }
static int k_path(void) { return file(O_PATH); }
static int k_3(void) { return file(3); }
static int k_dir(void) { mkdir("d", 0755); return open("d", O_RDONLY); }
static int k_pipe_r(void) { return pair(1, 0); }
static int k_pipe_eof(void) { return pair(1, 1); }
static int k_pipe_w(void) { return pair(0, 0); }
static int k_pipe_broken(void) { return pair(0, 1); }
static int k_fifo(void) {
  mkfifo("ff", 0600);
  int fd = open("ff", O_RDWR | O_NONBLOCK);
  write(fd, "abc", 3);
  return fd;
}
static int k_stream(void) { return sockets(SOCK_STREAM); }
static int k_dgram(void) { return sockets(SOCK_DGRAM); }
static int k_eventfd(void) { return eventfd(3, EFD_NONBLOCK); }
static int k_timerfd(void) { return timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK); }
static int k_signalfd(void) { sigset_t s; sigemptyset(&s); sigaddset(&s, SIGUSR1); return signalfd(-1, &s, SFD_NONBLOCK); }
static int k_epoll(void) { return epoll_create1(0); }
static int k_inotify(void) { return inotify_init1(IN_NONBLOCK); }
static int k_null(void) { return open("/dev/null", O_RDWR); }
static int k_zero(void) { return open("/dev/zero", O_RDWR); }
static int k_full(void) { return open("/dev/full", O_RDWR); }
static int k_urandom(void) { return open("/dev/urandom", O_RDONLY); }
static int k_ptmx(void) { return open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK); }
static int k_proc(void) { return open("/proc/self/status", O_RDONLY); }
static int k_closed(void) { return 900; }

#define K(n) {#n, k_##n}
static const struct { const char *name; int (*make)(void); } kinds[] = {
  K(rdwr), K(rd), K(wr), K(append), K(path), K(3), K(dir), K(pipe_r), K(pipe_eof), K(pipe_w), K(pipe_broken), K(fifo),
  K(stream), K(dgram), K(eventfd), K(timerfd), K(signalfd), K(epoll), K(inotify), K(null), K(zero), K(full), K(urandom),
  K(ptmx), K(proc), K(closed)};
#define KINDS (sizeof kinds / sizeof *kinds)

static char big[70000];
static char line[4096];
static int len;

static void add(const char *kind, long v) {
  int e = errno;
  if (v == -1) len += snprintf(line + len, sizeof line - len, " %s %s", kind, strerrorname_np(e));
  else len += snprintf(line + len, sizeof line - len, " %s %ld", kind, v);
}

// `skip`: kinds whose answer is not compared, each between spaces.
#define T(what, skip, expr)                                       \
  len = 0;                                                        \
  for (unsigned i = 0; i < KINDS; i++) {                          \
    char k[32];                                                   \
    snprintf(k, sizeof k, " %s ", kinds[i].name);                 \
    if (strstr(skip, k)) continue;                                \
    peer = -1;                                                    \
    int fd = kinds[i].make();                                     \
    memset(big, 0, 100);                                          \
    add(kinds[i].name, expr);                                     \
    close(fd);                                                    \
    if (peer >= 0) close(peer);                                   \
  }                                                               \
  say("%s:%s", what, line);

static long locked(int fd, int cmd, int type) {
  struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = 0, .l_len = 5};
  return fcntl(fd, cmd, &l);
}
static long selected(int fd) {
  fd_set r, w;
  FD_ZERO(&r);
  FD_ZERO(&w);
  FD_SET(fd, &r);
  FD_SET(fd, &w);
  return select(fd + 1, &r, &w, NULL, &(struct timeval){0});
}
static long polled(int fd) {
  struct pollfd p = {fd, POLLIN | POLLOUT | POLLPRI | POLLRDHUP, 0};
  return poll(&p, 1, 0) < 0 ? -1 : p.revents;
}
static long watched(int fd) {
  int e = epoll_create1(0);
  long r = epoll_ctl(e, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN});
  int saved = errno;
  close(e);
  errno = saved;
  return r;
}
enum { SPLICE, SPLICE_AT, SENDFILE, TEE };
static long to_pipe(int fd, int how) {
  int p[2];
  off_t at = 2;
  pipe2(p, O_NONBLOCK);
  long r = how == SPLICE ? splice(fd, NULL, p[1], NULL, 5, SPLICE_F_NONBLOCK)
           : how == SPLICE_AT ? splice(fd, &at, p[1], NULL, 5, SPLICE_F_NONBLOCK)
           : how == SENDFILE ? sendfile(p[1], fd, NULL, 5) : tee(fd, p[1], 5, SPLICE_F_NONBLOCK);
  int saved = errno;
  close(p[0]);
  close(p[1]);
  errno = saved;
  return r;
}
static long from_pipe(int fd, int how) {
  int p[2];
  off_t at = 2;
  pipe2(p, O_NONBLOCK);
  write(p[1], "hello", 5);
  long r = how == SPLICE ? splice(p[0], NULL, fd, NULL, 5, SPLICE_F_NONBLOCK)
           : how == SPLICE_AT ? splice(p[0], NULL, fd, &at, 5, SPLICE_F_NONBLOCK) : tee(p[0], fd, 5, SPLICE_F_NONBLOCK);
  int saved = errno;
  close(p[0]);
  close(p[1]);
  errno = saved;
  return r;
}
static long with_file(int fd, int out) {
  int f = open("source", O_CREAT | O_RDWR, 0600);
  pwrite(f, "source", 6, 0);
  long r = out ? syscall(SYS_copy_file_range, fd, NULL, f, NULL, 6, 0) : syscall(SYS_copy_file_range, f, NULL, fd, NULL, 6, 0);
  int saved = errno;
  close(f);
  errno = saved;
  return r;
}
static long hint(int fd, uint64_t value) {
  uint64_t got = 99;
  if (fcntl(fd, 1036, &value) < 0 || fcntl(fd, 1035, &got) < 0) return -1;
  return got;
}
static struct iovec five = {big, 5};

int main(void) {
  signal(SIGPIPE, SIG_IGN);
  signal(SIGIO, SIG_IGN);
  umask(022);
  T("read", " urandom proc ", read(fd, big, 5))
  T("read of 0", "", read(fd, big, 0))
  T("read to nowhere", " null signalfd ", syscall(SYS_read, fd, BAD_PTR, 8))
  T("readv of nothing", "", readv(fd, NULL, 0))
  T("pread before 0", "", pread(fd, big, 5, -1))
  T("pread beyond", " zero full urandom ", pread(fd, big, 5, 20000))
  T("write", "", write(fd, "\1\0\0\0\0\0\0\0", 8))
  T("write from nowhere", "", syscall(SYS_write, fd, BAD_PTR, 8))
  T("writev of nothing", "", writev(fd, NULL, 0))
  T("pwrite", " proc ", pwrite(fd, "hello", 5, 2))
  T("preadv2 RWF_NOWAIT", "", preadv2(fd, &five, 1, -1, RWF_NOWAIT))
  T("preadv2 RWF_DSYNC", " proc ", preadv2(fd, &five, 1, -1, RWF_DSYNC))
  T("pwritev2 RWF_NOWAIT", "", pwritev2(fd, &five, 1, -1, RWF_NOWAIT))
  T("pwritev2 RWF_DSYNC", "", pwritev2(fd, &five, 1, -1, RWF_DSYNC))
  T("lseek SEEK_SET", "", lseek(fd, 5, SEEK_SET))
  T("lseek SEEK_END", "", lseek(fd, 5, SEEK_END))
  T("lseek before 0", "", lseek(fd, -5, SEEK_SET))
  T("lseek SEEK_DATA", " dir ", lseek(fd, 0, SEEK_DATA))
  T("lseek 9", "", lseek(fd, 0, 9))
  T("ftruncate", "", ftruncate(fd, 5))
  T("fallocate", "", fallocate(fd, 0, 0, 4096))
  T("fallocate PUNCH_HOLE", "", fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 4096))
  T("fallocate 2 modes", "", fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 0, 4096))
  T("fallocate of 0", "", fallocate(fd, 0, 0, 0))
  T("fsync", "", fsync(fd))
  T("sync_file_range", "", sync_file_range(fd, 0, 10, SYNC_FILE_RANGE_WRITE))
  T("flock LOCK_EX", "", flock(fd, LOCK_EX | LOCK_NB))
  T("flock LOCK_UN", "", flock(fd, LOCK_UN))
  T("flock 0", "", flock(fd, 0))
  T("F_SETLK F_RDLCK", " null zero full ", locked(fd, F_SETLK, F_RDLCK))
  T("F_SETLK F_WRLCK", " null zero full ", locked(fd, F_SETLK, F_WRLCK))
  T("F_OFD_SETLK F_RDLCK", " null zero full ", locked(fd, F_OFD_SETLK, F_RDLCK))
  T("F_SETFL O_DIRECT", "", fcntl(fd, F_SETFL, O_DIRECT | O_NONBLOCK))
  T("F_GETFL of O_ASYNC", "", fcntl(fd, F_SETFL, O_ASYNC | O_NONBLOCK) < 0 ? -1 : fcntl(fd, F_GETFL) & O_ASYNC)
  T("F_GETPIPE_SZ", "", fcntl(fd, F_GETPIPE_SZ))
  T("F_ADD_SEALS", " rdwr wr append ", fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL))
  T("F_SET_RW_HINT", "", hint(fd, 2))
  T("F_SET_RW_HINT 9", "", hint(fd, 9))
  T("fcntl 999", "", fcntl(fd, 999, 0))
  T("FIONREAD", " epoll ", ioctl(fd, FIONREAD, big))
  T("FIOASYNC", "", ioctl(fd, FIOASYNC, &(int){1}))
  T("FIOCLEX", "", ioctl(fd, FIOCLEX) < 0 ? -1 : fcntl(fd, F_GETFD))
  T("FIBMAP", " epoll ", ioctl(fd, FIBMAP, big))
  T("FICLONE", "", ioctl(fd, FICLONE, fd))
  T("FIDEDUPERANGE", "", ioctl(fd, FIDEDUPERANGE, big))
  T("getdents64", " dir ", syscall(SYS_getdents64, fd, big, 4096))
  T("splice from", " urandom proc ", to_pipe(fd, SPLICE))
  T("splice from offset", " urandom proc ", to_pipe(fd, SPLICE_AT))
  T("sendfile from", " urandom proc ", to_pipe(fd, SENDFILE))
  T("tee from", "", to_pipe(fd, TEE))
  T("splice to", "", from_pipe(fd, SPLICE))
  T("splice to offset", "", from_pipe(fd, SPLICE_AT))
  T("tee to", "", from_pipe(fd, TEE))
  T("copy_file_range from", "", with_file(fd, 1))
  T("copy_file_range to", "", with_file(fd, 0))
  T("copy_file_range within", "", syscall(SYS_copy_file_range, fd, NULL, fd, NULL, 3, 0))
  T("poll", "", polled(fd))
  T("select", " closed ", selected(fd))
  T("epoll_ctl", "", watched(fd))
  T("execveat", "", syscall(SYS_execveat, fd, "", NULL, NULL, AT_EMPTY_PATH))
  struct stat st;
  char link[64];
#define LINK(fd) (snprintf(link, sizeof link, "/proc/self/fd/%d", fd), link)
  T("mode of the link", "", lstat(LINK(fd), &st) < 0 ? -1 : (long)st.st_mode)
  T("open again", " pipe_broken ", open(LINK(fd), O_RDONLY | O_NONBLOCK) < 0 ? -1 : 0)
  return 0;
}
