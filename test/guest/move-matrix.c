// link: -lrt
// splice, sendfile, tee, copy_file_range between every two kinds of files, with and without offsets; fallocate, seeks and
// advice on every kind.
#include "guest.h"
#include <mqueue.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>

static const char *const kinds[] = {
    "read", "rdwr", "write", "append", "path", "other", "dir", "pipe r", "pipe w", "pipe eof", "pipe broken", "fifo", "stream",
    "dgram", "udp", "tcp", "eventfd", "epoll", "inotify", "timerfd", "signalfd", "memfd", "sealed", "fixed", "null", "zero",
    "full", "proc", "procdir", "ptmx", "closed", "sysctl", "mqueue"};
enum { KINDS = sizeof kinds / sizeof *kinds };

static int file(const char *name, const char *text, int flags) {
  int w = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  write(w, text, strlen(text));
  close(w);
  return open(name, flags);
}

static int memory(const char *text, int seals) {
  int m = memfd_create("m", MFD_ALLOW_SEALING);
  write(m, text, strlen(text));
  fcntl(m, F_ADD_SEALS, seals);
  return m;
}

static int pair(int *p, int end, const char *text, int *other) {
  if (*text) write(p[1], text, strlen(text));
  *other = p[1 - end];
  return p[end];
}

static int both(int *p, int domain, int type, const char *text, int *other) {
  socketpair(domain, type | SOCK_NONBLOCK, 0, p);
  return pair(p, 0, text, other);
}

/* A fresh file of a kind, non-blocking; `other` is its other end or -1. */
static int make(int kind, int *other) {
  int p[2], m;
  sigset_t s;
  *other = -1;
  switch (kind) {
  case 0: return file("f", "0123456789", O_RDONLY);
  case 1: return file("f", "0123456789", O_RDWR);
  case 2: return file("f", "0123456789", O_WRONLY);
  case 3: return file("f", "0123456789", O_RDWR | O_APPEND);
  case 4: return file("f", "0123456789", O_PATH);
  case 5: return file("g", "abcde", O_RDWR);
  case 6: return open(".", O_RDONLY);
  case 7: return pipe2(p, O_NONBLOCK), pair(p, 0, "pipe", other);
  case 8: return pipe2(p, O_NONBLOCK), pair(p, 1, "", other);
  case 9: return pipe2(p, O_NONBLOCK), close(p[1]), p[0];
  case 10: return pipe2(p, O_NONBLOCK), close(p[0]), p[1];
  case 11: return open("fifo", O_RDWR | O_NONBLOCK);
  case 12: return both(p, AF_UNIX, SOCK_STREAM, "sock", other);
  case 13: return both(p, AF_UNIX, SOCK_DGRAM, "dgram", other);
  case 14: return socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  case 15: return socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  case 16: return eventfd(1, EFD_NONBLOCK);
  case 17: return epoll_create1(0);
  case 18: return inotify_init1(IN_NONBLOCK);
  case 19: return timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
  case 20: return sigemptyset(&s), sigaddset(&s, SIGUSR1), signalfd(-1, &s, SFD_NONBLOCK);
  case 21: return memory("memory", 0);
  case 22: return memory("sealed", F_SEAL_WRITE);
  case 23: return memory("fixed", F_SEAL_GROW | F_SEAL_SHRINK);
  case 24: return open("/dev/null", O_RDWR);
  case 25: return open("/dev/zero", O_RDWR);
  case 26: return open("/dev/full", O_RDWR);
  case 27: return open("/proc/self/comm", O_RDONLY);
  case 28: return open("/proc/self", O_RDONLY);
  case 29: return open("/dev/ptmx", O_RDWR | O_NONBLOCK | O_NOCTTY);
  case 31: return open("/proc/sys/kernel/ostype", O_RDONLY);
  case 32: return m = mq_open("/move-matrix", O_CREAT | O_RDWR | O_NONBLOCK, 0600, NULL), mq_unlink("/move-matrix"), m;
  default: return 999;
  }
}

static void drop(int f, int other) {
  if (f != 999) close(f);
  if (other >= 0) close(other);
}

typedef long (*Move)(int in, int out, int variant);

static loff_t offIn, offOut;
static long doSplice(int in, int out, int v) {
  return splice(in, v & 1 ? &offIn : NULL, out, v & 2 ? &offOut : NULL, 3, v & 4 ? SPLICE_F_NONBLOCK : 0);
}
static long doSendfile(int in, int out, int v) { return sendfile(out, in, v & 1 ? &offIn : NULL, 3); }
static long doTee(int in, int out, int v) { return v ? -2 : tee(in, out, 3, SPLICE_F_NONBLOCK); }
static long doCopy(int in, int out, int v) {
  return copy_file_range(in, v & 1 ? &offIn : NULL, out, v & 2 ? &offOut : NULL, 3, 0);
}

static void matrix(const char *name, Move move, int variants) {
  for (int v = 0; v < variants; v++)
    for (int i = 0; i < KINDS; i++) {
      printf("%s %d from %s:", name, v, kinds[i]);
      for (int j = 0; j < KINDS; j++) {
        int otherIn, otherOut, in = make(i, &otherIn), out = make(j, &otherOut);
        offIn = 2, offOut = 1, errno = 0;
        long r = move(in, out, v);
        if (r == -1) printf(" %s", strerrorname_np(errno));
        else printf(" %ld", r);
        if (v & 1 && offIn != 2) printf("<%ld", (long)offIn);
        if (v & 2 && offOut != 1) printf(">%ld", (long)offOut);
        long at = lseek(in, 0, SEEK_CUR), to = lseek(out, 0, SEEK_CUR);
        if (at > 0) printf("@%ld", at);
        if (to > 0) printf("#%ld", to);
        drop(in, otherIn), drop(out, otherOut);
      }
      printf("\n");
      fflush(stdout);
    }
}

#define EACH(name, op) \
  do { \
    printf(name ":"); \
    for (int i = 0; i < KINDS - 2; i++) { \
      int other, f = make(i, &other); \
      errno = 0; \
      long r = (long)(op); \
      if (r == -1) printf(" %s", strerrorname_np(errno)); \
      else printf(" %ld", r); \
      if (lseek(f, 0, SEEK_CUR) > 0) printf("@%ld", (long)lseek(f, 0, SEEK_CUR)); \
      drop(f, other); \
    } \
    printf("\n"); \
    fflush(stdout); \
  } while (0)

int main(void) {
  char b[64];
  struct iovec v = {b, 4};
  signal(SIGPIPE, SIG_IGN);
  // On tmpfs, wherever the sandbox has its root.
  char dir[] = "/dev/shm/move-XXXXXX";
  if (mkdtemp(dir) == NULL || chdir(dir) != 0) return 1;
  mkfifo("fifo", 0600);
  matrix("splice", doSplice, 3);
  matrix("sendfile", doSendfile, 2);
  matrix("tee", doTee, 1);
  matrix("copy_file_range", doCopy, 1);
  EACH("allocate", fallocate(f, 0, 0, 100));
  EACH("keep", fallocate(f, FALLOC_FL_KEEP_SIZE, 0, 100));
  EACH("punch", fallocate(f, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 2, 3));
  EACH("punch alone", fallocate(f, FALLOC_FL_PUNCH_HOLE, 2, 3));
  EACH("zero", fallocate(f, FALLOC_FL_ZERO_RANGE, 2, 3));
  EACH("collapse", fallocate(f, FALLOC_FL_COLLAPSE_RANGE, 0, 4096));
  EACH("insert", fallocate(f, FALLOC_FL_INSERT_RANGE, 0, 4096));
  EACH("unshare", fallocate(f, FALLOC_FL_UNSHARE_RANGE, 0, 4096));
  EACH("allocate nothing", fallocate(f, 0, 0, 0));
  EACH("allocate before", fallocate(f, 0, -1, 10));
  EACH("allocate far", fallocate(f, 0, 0x7ffffffffffffff0, 0x100));
  EACH("unknown mode", fallocate(f, 0x1000, 0, 10));
  EACH("vmsplice", vmsplice(f, &v, 1, SPLICE_F_NONBLOCK));
  EACH("seek end", lseek(f, 0, SEEK_END) >= 0 ? 0 : -1);
  EACH("seek data", lseek(f, 0, SEEK_DATA));
  EACH("seek hole", lseek(f, 0, SEEK_HOLE));
  EACH("seek data at the end", lseek(f, 10, SEEK_DATA));
  EACH("seek hole at the end", lseek(f, 10, SEEK_HOLE));
  EACH("seek before", lseek(f, -1, SEEK_SET));
  EACH("seek 5", lseek(f, 5, SEEK_SET));
  EACH("seek 9", lseek(f, 0, 9));
  EACH("truncate", ftruncate(f, 3));
  EACH("truncate -1", ftruncate(f, -1));
  EACH("pread", pread(f, b, 3, 1));
  EACH("pread -1", pread(f, b, 3, -1));
  EACH("pwrite", pwrite(f, "abc", 3, 1));
  EACH("preadv2 -1", preadv2(f, &v, 1, -1, 0));
  EACH("preadv2 -2", preadv2(f, &v, 1, -2, 0));
  EACH("preadv2 nowait", preadv2(f, &v, 1, 0, RWF_NOWAIT));
  EACH("pwritev2 -1", pwritev2(f, &v, 1, -1, 0));
  EACH("pwritev2 append", pwritev2(f, &v, 1, 0, RWF_APPEND));
  EACH("pwritev2 sync", pwritev2(f, &v, 1, 0, RWF_SYNC));
  EACH("read nothing", read(f, b, 0));
  EACH("write nothing", write(f, b, 0));
  EACH("readahead", readahead(f, 0, 10));
  EACH("fadvise", (errno = posix_fadvise(f, 0, 0, POSIX_FADV_WILLNEED)) ? -1 : 0);
  EACH("fadvise 77", (errno = posix_fadvise(f, 0, 0, 77)) ? -1 : 0);
  EACH("fadvise -1", (errno = posix_fadvise(f, 0, -1, 0)) ? -1 : 0);
  EACH("sync_file_range", sync_file_range(f, 0, 0, SYNC_FILE_RANGE_WRITE));
  EACH("sync_file_range -1", sync_file_range(f, -1, 0, SYNC_FILE_RANGE_WRITE));
  EACH("sync_file_range 16", sync_file_range(f, 0, 0, 16));
  EACH("fsync", fsync(f));
  EACH("fdatasync", fdatasync(f));
  EACH("syncfs", syncfs(f));
  EACH("seals", fcntl(f, F_GET_SEALS));
  EACH("add seals", fcntl(f, F_ADD_SEALS, F_SEAL_SEAL));
  EACH("pipe size", fcntl(f, F_GETPIPE_SZ));
  EACH("poll", poll(&(struct pollfd){f, POLLIN | POLLOUT | POLLPRI, 0}, 1, 0));
  unlink("f"), unlink("g"), unlink("fifo");
  rmdir(dir);
  return 0;
}
