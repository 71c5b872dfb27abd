// RLIMIT_FSIZE in every call that makes files longer, and arguments at the ends of their ranges.
#pragma GCC diagnostic ignored "-Wunused-result"
#include "guest.h"
#include <linux/falloc.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <sys/xattr.h>

static int signals;
static void on_signal(int s) { signals++; }

// The result and whether SIGXFSZ came.
static void limited(const char *what, long r) {
  int e = errno, n = signals;
  signals = 0;
  if (r == -1) say("%s = -1 %s, %d signals", what, strerrorname_np(e), n);
  else say("%s = %ld, %d signals", what, r, n);
}

static void limits(void) {
  char b[2000] = {0};
  struct rlimit old, l = {1000, RLIM_INFINITY};
  int fd = open("limited", O_CREAT | O_RDWR | O_TRUNC, 0644), src = open("source", O_CREAT | O_RDWR | O_TRUNC, 0644), p[2];
  write(src, b, 500);
  pipe(p);
  signal(SIGXFSZ, on_signal);
  getrlimit(RLIMIT_FSIZE, &old);
  l.rlim_max = old.rlim_max;
  setrlimit(RLIMIT_FSIZE, &l);
  limited("write", write(fd, b, 2000));
  limited("write at the limit", write(fd, b, 1));
  limited("write of nothing", write(fd, b, 0));
  limited("pwrite across", pwrite(fd, b, 100, 950));
  limited("ftruncate", ftruncate(fd, 1001));
  limited("fallocate", fallocate(fd, 0, 0, 2000));
  limited("fallocate KEEP_SIZE", fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 2000));
  limited("punch", fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, 2000));
  lseek(fd, 900, SEEK_SET);
  struct iovec v[2] = {{b, 60}, {b, 60}};
  limited("writev across", writev(fd, v, 2));
  limited("sendfile", sendfile(fd, src, &(off_t){0}, 100));
  lseek(fd, 950, SEEK_SET);
  limited("sendfile across", sendfile(fd, src, &(off_t){0}, 50));
  limited("copy_file_range", copy_file_range(src, &(off_t){0}, fd, &(off_t){1000}, 10, 0));
  limited("copy_file_range across", copy_file_range(src, &(off_t){0}, fd, &(off_t){990}, 100, 0));
  write(p[1], b, 100);
  limited("splice", splice(p[0], NULL, fd, &(off_t){1000}, 50, 0));
  setrlimit(RLIMIT_FSIZE, &old);
  close(fd);
  close(src);
}

static void ends(void) {
  char b[16];
  int fd = open("source", O_RDWR);
  struct iovec v[2] = {{b, 0x7fffffffffffffffUL}, {b, 10}};
  ret("iovec beyond the address space", readv(fd, v, 2));
  v[0].iov_len = (size_t)-1;
  ret("iovec of -1", readv(fd, v, 2));
  ret("copy from -1", copy_file_range(fd, &(off_t){-1}, fd, &(off_t){9000}, 4, 0));
  lseek(fd, 4, SEEK_SET);
  ret("copy of 2^64-1", copy_file_range(fd, NULL, fd, &(off_t){9000}, (size_t)-1, 0));
  close(fd);
}

static void suid(void) {
  struct stat st;
  int fd = open("set-id", O_CREAT | O_RDWR | O_TRUNC, 0644);
  fchown(fd, 1000, 1000);
  fchmod(fd, 06777);
  chmod(".", 0755);
  pid_t p = fork();
  if (p == 0) {
    setgid(1001);
    setuid(1001);
    ret("chown of nothing by a stranger", chown("set-id", -1, -1));
    int other = open("set-id", O_WRONLY);
    ret("fallocate by a stranger", fallocate(other, 0, 0, 100));
    _exit(0);
  }
  wait_say("stranger", p);
  fstat(fd, &st);
  say("mode %o", st.st_mode);
  close(fd);
}

static void attributes(void) {
  char b[16];
  const char *names[] = {"user.", "trusted.", "security."};
  for (int i = 0; i < 3; i++) {
    ret(names[i], setxattr("source", names[i], "v", 1, 0));
    ret(names[i], getxattr("source", names[i], b, sizeof b));
    ret(names[i], removexattr("source", names[i]));
  }
  ret("no capabilities", setxattr("source", "security.capability", "v", 1, 0));
}

int main(void) {
  umask(022);
  limits();
  ends();
  suid();
  attributes();
  return 0;
}
