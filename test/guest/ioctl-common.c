// ioctls that every file understands.
#include "guest.h"
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>

#define FIOQSIZE_ 0x5460
#define FIGETBSZ_ 2
#define FS_IOC_FIEMAP_ 0xc020660b

static void common(const char *name, int fd) {
  int n = -1, on = 1, off = 0;
  say("== %s", name);
  ret("FIOCLEX", ioctl(fd, FIOCLEX));
  say("close on exec %d", fcntl(fd, F_GETFD));
  ret("FIONCLEX", ioctl(fd, FIONCLEX));
  say("close on exec %d", fcntl(fd, F_GETFD));
  ret("FIONBIO on", ioctl(fd, FIONBIO, &on));
  say("nonblocking %d", (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
  ret("FIONBIO off", ioctl(fd, FIONBIO, &off));
  say("nonblocking %d", (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
  ret("FIONBIO bad", ioctl(fd, FIONBIO, BAD_PTR));
  long r = ioctl(fd, FIONREAD, &n);
  ret("FIONREAD", r);
  if (r == 0) say("readable %d", n);
  ret("TCGETS", ioctl(fd, TCGETS, &n) == -1 && errno == ENOTTY ? -1 : 0);
  ret("unknown", ioctl(fd, 0x12345678, 0) == -1 ? -1 : 0);
  ret("TIOCGWINSZ bad", ioctl(fd, TIOCGWINSZ, BAD_PTR) == -1 ? -1 : 0);
}

// ioctl_preallocate() and ioctl_file_dedupe_range()
static void ranges(void) {
  struct { short type, whence; long start, len; int sysid, pid, pad[4]; } r = {0, SEEK_SET, 0, 4096};
  struct { long offset, len; unsigned short count, reserved; int reserved2; char info[64]; } d = {0, 4096};
  struct stat st;
  int f = memfd_create("ranges", 0), p[2], ro = open("/proc/self/ns/uts", O_RDONLY), dir = open("/proc", O_RDONLY);
  pipe(p), write(f, "hello", 5);
  static const struct { const char *name; unsigned cmd; } cmds[] = {{"RESVSP", 0x40305828}, {"RESVSP64", 0x4030582a}, {"ZERO_RANGE", 0x40305839}, {"UNRESVSP", 0x40305829}, {"UNRESVSP64", 0x4030582b}};
  for (int i = 0; i < 5; i++) {
    say("== %s", cmds[i].name);
    r.whence = SEEK_SET, r.start = 4096, r.len = 4096;
    ret("a page", ioctl(f, cmds[i].cmd, &r));
    fstat(f, &st), say("size %ld blocks %ld", (long)st.st_size, (long)st.st_blocks);
    r.whence = SEEK_END, r.start = -5, ret("from the end", ioctl(f, cmds[i].cmd, &r));
    fstat(f, &st), say("blocks %ld", (long)st.st_blocks);
    r.whence = SEEK_CUR, r.start = -10, ret("before the beginning", ioctl(f, cmds[i].cmd, &r));
    r.start = 0, r.len = 0, ret("nothing", ioctl(f, cmds[i].cmd, &r));
    r.whence = 3, ret("from nowhere", ioctl(f, cmds[i].cmd, &r));
    ret("bad pointer", ioctl(f, cmds[i].cmd, BAD_PTR));
    r.whence = 0, r.len = 4096;
    ret("of a file that is read", ioctl(ro, cmds[i].cmd, &r));
    ret("of a pipe", ioctl(p[1], cmds[i].cmd, &r));
    ret("of a directory", ioctl(dir, cmds[i].cmd, &r));
  }
  say("== FIDEDUPERANGE");
  ret("nobody", ioctl(f, 0xc0189436, &d));
  ret("bad pointer", ioctl(f, 0xc0189436, BAD_PTR));
  d.reserved = 1, ret("reserved", ioctl(f, 0xc0189436, &d));
  d.reserved = 0, d.count = 200, ret("too many", ioctl(f, 0xc0189436, &d));
  d.count = 1, ret("of a pipe", ioctl(p[0], 0xc0189436, &d));
  ret("of a pipe's writing end", ioctl(p[1], 0xc0189436, &d));
  ret("of a directory", ioctl(dir, 0xc0189436, &d));
}

int main(void) {
  int p[2], s[2];
  pipe(p);
  write(p[1], "abc", 3);
  common("pipe", p[0]);
  socketpair(AF_UNIX, SOCK_STREAM, 0, s);
  write(s[1], "abcde", 5);
  common("socket", s[0]);
  char name[] = "/tmp/guest-ioctl-XXXXXX";
  int f = mkstemp(name);
  unlink(name);
  write(f, "0123456789", 10);
  lseek(f, 4, SEEK_SET);
  common("file", f);
  long long size = -1;
  ret("FIOQSIZE", ioctl(f, FIOQSIZE_, &size));
  is("allocated size", size >= 0);
  int bs = 0;
  ret("FIGETBSZ", ioctl(f, FIGETBSZ_, &bs));
  is("block size", bs >= 512);
  lseek(f, 20, SEEK_SET);
  int n;
  ioctl(f, FIONREAD, &n);
  say("behind the end %d", n);
  int d = open("/", O_RDONLY);
  common("directory", d);
  int e = eventfd(3, 0);
  common("eventfd", e);
  // Whose extents nobody tells: no ENOTTY, which is no answer to programs that ask for holes.
  int map[16] = {0}, shared = memfd_create("map", 0), version = open("/proc/version", O_RDONLY);
  ret("FIEMAP of a pipe", ioctl(p[0], FS_IOC_FIEMAP_, map));
  ret("FIEMAP of a socket", ioctl(s[0], FS_IOC_FIEMAP_, map));
  ret("FIEMAP of an eventfd", ioctl(e, FS_IOC_FIEMAP_, map));
  ret("FIEMAP of a memfd", ioctl(shared, FS_IOC_FIEMAP_, map));
  ret("FIEMAP of a memfd, bad pointer", ioctl(shared, FS_IOC_FIEMAP_, BAD_PTR));
  ret("FIEMAP of a file of /proc", ioctl(version, FS_IOC_FIEMAP_, map));
  int o = open("/", O_PATH);
  ret("O_PATH FIOCLEX", ioctl(o, FIOCLEX));
  ret("O_PATH FIONREAD", ioctl(o, FIONREAD, &n));
  ret("closed", ioctl(99, FIONREAD, &n));
  ret("negative", ioctl(-1, FIOCLEX));
  ranges();
  return 0;
}
