// Flags of files: chattr(1)'s ioctls, file_getattr(2) and file_setattr(2), what inherits them and what they forbid.
#include "guest.h"
#include <linux/fs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/xattr.h>

#ifndef RWF_NOAPPEND
#define RWF_NOAPPEND 0x20
#endif

struct attr {
  uint64_t xflags;
  uint32_t extsize, nextents, projid, cowextsize;
};

static long getattr(int dfd, const char *path, void *a, size_t size, unsigned at) { return syscall(468, dfd, path, a, size, at); }
static long setattr(int dfd, const char *path, void *a, size_t size, unsigned at) { return syscall(469, dfd, path, a, size, at); }

static void set(const char *path, int flags) {
  int fd = open(path, O_RDONLY | O_NONBLOCK);
  char name[100];
  snprintf(name, sizeof name, "  %s := %x", path, flags);
  ret(name, ioctl(fd, FS_IOC_SETFLAGS, &flags));
  close(fd);
}

static void show(const char *path) {
  struct statx sx;
  struct attr a = {0};
  int flags = -1, fd = open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW);
  if (fd >= 0 && ioctl(fd, FS_IOC_GETFLAGS, &flags)) say("  %s: GETFLAGS %s", path, strerrorname_np(errno));
  else say("  %s: flags %x", path, flags);
  close(fd);
  statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &sx);
  say("  statx %llx of %llx", (long long)sx.stx_attributes, (long long)sx.stx_attributes_mask);
  if (getattr(AT_FDCWD, path, &a, sizeof a, AT_SYMLINK_NOFOLLOW)) say("  getattr %s", strerrorname_np(errno));
  else say("  getattr %llx %u %u %u %u", (long long)a.xflags, a.extsize, a.nextents, a.projid, a.cowextsize);
}

static void touch(const char *path) { close(open(path, O_CREAT | O_RDWR, 0644)); }

static void inheritance(void) {
  say("== what inherits");
  mkdir("d", 0755);
  const int flags[] = {FS_NODUMP_FL | FS_NOATIME_FL, FS_APPEND_FL | FS_NODUMP_FL};
  for (int i = 0; i < 2; i++) {
    set("d", flags[i]);
    touch("d/f");
    mkdir("d/d", 0755);
    mkfifo("d/p", 0644);
    mknod("d/n", S_IFREG | 0644, 0);
    if (symlink("x", "d/l")) say("  symlink %s", strerrorname_np(errno));
    show("d");
    show("d/f");
    show("d/d");
    show("d/p");
    show("d/n");
    show("d/l");
    int f = 0, fd = open("d", O_TMPFILE | O_RDWR, 0600);
    ret("  tmpfile", ioctl(fd, FS_IOC_GETFLAGS, &f));
    say("  flags %x", f);
    close(fd);
    ret("  linked in", link("d/f", "d/g"));
    ret("  unlink", unlink("d/f"));
    set("d", 0);
    unlink("d/f"), unlink("d/g"), rmdir("d/d"), unlink("d/p"), unlink("d/n"), unlink("d/l");
  }
  rmdir("d");
}

static void others(void) {
  say("== other files");
  int f = 0, p[2], s = socket(AF_UNIX, SOCK_STREAM, 0), m = memfd_create("m", MFD_CLOEXEC);
  if (pipe(p)) return;
  struct fsxattr x;
  ret("pipe get", ioctl(p[0], FS_IOC_GETFLAGS, &f));
  ret("pipe set", ioctl(p[0], FS_IOC_SETFLAGS, &f));
  ret("pipe set badly", ioctl(p[0], FS_IOC_SETFLAGS, BAD_PTR));
  ret("pipe fsget", ioctl(p[0], FS_IOC_FSGETXATTR, &x));
  ret("socket get", ioctl(s, FS_IOC_GETFLAGS, &f));
  ret("memfd get", ioctl(m, FS_IOC_GETFLAGS, &f));
  ret("proc get", ioctl(open("/proc/self/status", O_RDONLY), FS_IOC_GETFLAGS, &f));
  f = FS_NODUMP_FL;
  ret("memfd set", ioctl(m, FS_IOC_SETFLAGS, &f));
  struct statx sx;
  statx(m, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &sx);
  say("  statx %llx of %llx", (long long)sx.stx_attributes, (long long)sx.stx_attributes_mask);
  statx(p[0], "", AT_EMPTY_PATH, STATX_BASIC_STATS, &sx);
  say("  pipe %llx of %llx", (long long)sx.stx_attributes, (long long)sx.stx_attributes_mask);
  struct attr a = {0};
  ret("pipe getattr", getattr(p[0], "", &a, sizeof a, AT_EMPTY_PATH));
  ret("proc getattr", getattr(AT_FDCWD, "/proc/self/status", &a, sizeof a, 0));
  ret("proc setattr", setattr(AT_FDCWD, "/proc/self/status", &a, sizeof a, 0));
  close(p[0]), close(p[1]), close(s), close(m);
}

static void calls(void) {
  say("== file_getattr, file_setattr");
  touch("f");
  symlink("f", "l");
  mkdir("d", 0755);
  int fd = open("f", O_RDWR), opath = open("f", O_PATH), dir = open("d", O_RDONLY);
  struct attr a = {0};
  union {
    struct attr a;
    char bytes[5000];
  } big;
  memset(&big, 0x55, sizeof big);
  ret("get", getattr(AT_FDCWD, "f", &a, sizeof a, 0));
  ret("get of fd", getattr(fd, "", &a, sizeof a, AT_EMPTY_PATH));
  ret("get of fd, null", getattr(fd, NULL, &a, sizeof a, AT_EMPTY_PATH));
  ret("get of O_PATH", getattr(opath, "", &a, sizeof a, AT_EMPTY_PATH));
  ret("get of cwd", getattr(AT_FDCWD, "", &a, sizeof a, AT_EMPTY_PATH));
  ret("get, empty", getattr(fd, "", &a, sizeof a, 0));
  ret("get, null", getattr(fd, NULL, &a, sizeof a, 0));
  ret("get, no fd", getattr(-1, "", &a, sizeof a, AT_EMPTY_PATH));
  ret("get, bad fd", getattr(999, "f", &a, sizeof a, 0));
  ret("get, missing", getattr(AT_FDCWD, "missing", &a, sizeof a, 0));
  ret("get, short", getattr(AT_FDCWD, "f", &a, 16, 0));
  ret("get, flags", getattr(AT_FDCWD, "f", &a, sizeof a, 0x4000));
  ret("get, bad pointer", getattr(AT_FDCWD, "f", BAD_PTR, sizeof a, 0));
  ret("get, long", getattr(AT_FDCWD, "f", &big, 100, 0));
  say("  %d %d %d", big.bytes[24], big.bytes[99], big.bytes[100]);
  ret("get, too long", getattr(AT_FDCWD, "f", &big, sizeof big, 0));
  ret("get of a link", getattr(AT_FDCWD, "l", &a, sizeof a, 0));
  ret("get of the link itself", getattr(AT_FDCWD, "l", &a, sizeof a, AT_SYMLINK_NOFOLLOW));
  ret("set of the link itself", setattr(AT_FDCWD, "l", &a, sizeof a, AT_SYMLINK_NOFOLLOW));
  ret("set, bad pointer", setattr(AT_FDCWD, "missing", BAD_PTR, sizeof a, 0));
  ret("set, short", setattr(AT_FDCWD, "f", &a, 16, 0));
  ret("set, too long", setattr(AT_FDCWD, "f", &big, sizeof big, 0));
  ret("set, more", setattr(AT_FDCWD, "f", &big, 200, 0));
  ret("set, missing", setattr(AT_FDCWD, "missing", &a, sizeof a, 0));
  for (int bit = 0; bit < 34; bit++) {
    struct attr one = {.xflags = 1ull << bit}, now = {0};
    char name[40];
    snprintf(name, sizeof name, "file, bit %d", bit);
    ret(name, setattr(AT_FDCWD, "f", &one, sizeof one, 0));
    snprintf(name, sizeof name, "dir, bit %d", bit);
    ret(name, setattr(dir, "", &one, sizeof one, AT_EMPTY_PATH));
    if (bit < 32) {
      struct fsxattr x = {.fsx_xflags = 1u << bit};
      snprintf(name, sizeof name, "ioctl, bit %d", bit);
      ret(name, ioctl(fd, FS_IOC_FSSETXATTR, &x));
      ioctl(fd, FS_IOC_FSGETXATTR, &x);
      say("  %x", x.fsx_xflags);
    }
    getattr(AT_FDCWD, "f", &now, sizeof now, 0);
    say("  %llx", (long long)now.xflags);
  }
  a = (struct attr){0};
  ret("clear", setattr(AT_FDCWD, "f", &a, sizeof a, 0));
  const struct attr odd[] = {{0, 4096, 0, 0, 0}, {0, 0, 7, 0, 0}, {0, 0, 0, 1, 0}, {0, 0, 0, -1, 0}, {0, 0, 0, 0, 1}, {FS_XFLAG_EXTSIZE, 4096, 0, 0, 0}};
  for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) ret("odd", setattr(AT_FDCWD, "f", (void *)&odd[i], sizeof a, 0));
  mkdir("ro", 0755);
  mount("none", "ro", "tmpfs", 0, NULL);
  touch("ro/f");
  int rofd = open("ro/f", O_RDONLY), f = 0;
  mount(NULL, "ro", NULL, MS_REMOUNT | MS_RDONLY, NULL);
  ret("read-only get", ioctl(rofd, FS_IOC_GETFLAGS, &f));
  ret("read-only set", ioctl(rofd, FS_IOC_SETFLAGS, &f));
  ret("read-only setattr", setattr(AT_FDCWD, "ro/f", &a, sizeof a, 0));
  close(rofd);
  umount("ro");
  mount("none", "ro", "ramfs", 0, NULL);
  touch("ro/f");
  show("ro/f");
  umount("ro");
  close(fd), close(opath), close(dir);
}

static void forbidden(const char *path, int flags) {
  touch(path);
  int fd = open(path, O_RDWR), f = flags;
  say("-- %x", flags);
  setxattr(path, "user.a", "x", 1, 0);
  set(path, flags);
  ret("setxattr", setxattr(path, "user.b", "x", 1, 0));
  ret("trusted", setxattr(path, "trusted.b", "x", 1, 0));
  ret("removexattr", removexattr(path, "user.a"));
  ret("acl", setxattr(path, "system.posix_acl_access", "\2\0\0\0", 4, 0));
  ret("remove acl", removexattr(path, "system.posix_acl_access"));
  void *m = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
  ok("map shared to read", m == MAP_FAILED ? -1 : 0);
  m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ok("map shared to write", m == MAP_FAILED ? -1 : 0);
  m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  ok("map private", m == MAP_FAILED ? -1 : 0);
  int ro = open(path, O_RDONLY);
  m = mmap(NULL, 4096, PROT_READ, MAP_SHARED, ro, 0);
  ok("map shared read-only file", m == MAP_FAILED ? -1 : 0);
  int app = open(path, O_WRONLY | O_APPEND);
  ok("open to append", app);
  ret("clear O_APPEND", fcntl(app, F_SETFL, 0));
  ret("set O_APPEND", fcntl(fd, F_SETFL, O_APPEND));
  struct iovec v = {"x", 1};
  ret("RWF_NOAPPEND", pwritev2(app, &v, 1, 0, RWF_NOAPPEND));
  ret("write", pwrite(fd, "yyy", 3, 0));
  off_t from = 0, to = 5;
  ret("copy_file_range", copy_file_range(ro, &from, fd, &to, 1, 0));
  for (int mode = 0; mode < 4; mode++) ret("fallocate", fallocate(fd, mode, 0, 10));
  ret("zero range", fallocate(fd, 16, 0, 10));
  ret("chown to nobody", chown(path, -1, -1));
  struct timespec now[2] = {{0, UTIME_NOW}, {0, UTIME_NOW}}, one[2] = {{0, UTIME_NOW}, {0, UTIME_OMIT}};
  ret("utimes now", utimensat(AT_FDCWD, path, now, 0));
  ret("utimes atime now", utimensat(AT_FDCWD, path, one, 0));
  ret("linkat", linkat(AT_FDCWD, path, AT_FDCWD, "other", 0));
  unlink("other");
  touch("mine");
  ret("exchange", renameat2(AT_FDCWD, "mine", AT_FDCWD, path, RENAME_EXCHANGE));
  unlink("mine");
  pid_t p = fork();
  if (p == 0) {
    setresuid(1000, 1000, 1000);
    f = 0;
    ret("clear by another", ioctl(ro, FS_IOC_SETFLAGS, &f));
    _exit(0);
  }
  wait_say("child", p);
  struct stat st;
  stat(path, &st);
  say("  size %ld mode %o nlink %ld", (long)st.st_size, st.st_mode, (long)st.st_nlink);
  set(path, 0);
  close(fd), close(ro), close(app);
  ret("unlink", unlink(path));
}

static void directories(void) {
  say("== directories");
  const int flags[] = {FS_IMMUTABLE_FL, FS_APPEND_FL};
  for (int i = 0; i < 2; i++) {
    say("-- %x", flags[i]);
    mkdir("dir", 0755);
    mkdir("dir/sub", 0755);
    mkdir("away", 0755);
    touch("dir/f");
    set("dir", flags[i]);
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "dir/sock"};
    ret("bind", bind(s, (void *)&un, sizeof un));
    close(s);
    ret("mkdir", mkdir("dir/x", 0755));
    ret("mkfifo", mkfifo("dir/p", 0755));
    ret("symlink", symlink("x", "dir/l"));
    ret("link", link("dir/f", "dir/g"));
    ok("tmpfile", open("dir", O_TMPFILE | O_RDWR, 0600));
    ret("write to what is in it", truncate("dir/f", 3));
    ret("move out", rename("dir/f", "away/f"));
    touch("in");
    ret("move in", rename("in", "dir/in"));
    ret("move over", rename("in", "dir/f"));
    ret("rmdir in it", rmdir("dir/sub"));
    ret("rename it", rename("dir", "dir2"));
    ret("chmod", chmod("dir", 0700));
    ret("access", access("dir", W_OK));
    set("dir", 0);
    if (system("rm -rf dir away in")) return;
  }
}

static void noatime(void) {
  say("== no access times");
  if (mount(NULL, ".", NULL, MS_REMOUNT | MS_BIND | MS_STRICTATIME, NULL)) say("  remount %s", strerrorname_np(errno));
  for (int i = 0; i < 2; i++) {
    touch("at");
    int fd = open("at", O_RDWR);
    if (write(fd, "xxx", 3) != 3) return;
    if (i) set("at", FS_NOATIME_FL);
    struct timespec old[2] = {{1000, 0}, {1000, 0}};
    futimens(fd, old);
    char c;
    if (pread(fd, &c, 1, 0) != 1) return;
    struct stat st;
    fstat(fd, &st);
    is(i ? "kept" : "touched", (st.st_atime == 1000) == i);
    close(fd);
    unlink("at");
  }
}

int main(void) {
  umask(022);
  if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL)) return 1;
  mkdir("work", 0755);
  if (mount("none", "work", "tmpfs", 0, "mode=755") || chdir("work")) return 1;
  inheritance();
  others();
  calls();
  say("== what is forbidden");
  forbidden("file", FS_IMMUTABLE_FL);
  forbidden("file", FS_APPEND_FL);
  forbidden("file", 0);
  directories();
  noatime();
  return 0;
}
