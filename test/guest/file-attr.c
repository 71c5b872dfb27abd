// stat, statx, chmod, chown, utimensat, truncate, fallocate, lseek holes, xattr, statfs.
#pragma GCC diagnostic ignored "-Wunused-result"
#pragma GCC diagnostic ignored "-Wnonnull"
#pragma GCC diagnostic ignored "-Wstringop-overread"
#include "guest.h"
#include <sys/resource.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <linux/falloc.h>
#include <utime.h>

static void mode_of(const char *what, const char *name) {
  struct stat st;
  if (lstat(name, &st)) say("%s: %s", what, strerrorname_np(errno));
  else say("%s: %o uid %d gid %d size %ld nlink %ld", what, st.st_mode, st.st_uid, st.st_gid,
           S_ISDIR(st.st_mode) ? 0 : (long)st.st_size, S_ISDIR(st.st_mode) ? 0 : (long)st.st_nlink);
}

static void stats(void) {
  struct stat st, st2;
  put_file("f", "hello world");
  symlink("f", "l");
  mode_of("file", "f");
  mode_of("link", "l");
  mode_of("missing", "none");
  ret("stat bad path", stat(BAD_PTR, &st));
  ret("stat bad buf", syscall(SYS_stat, "f", BAD_PTR));
  ret("fstat bad fd", fstat(99, &st));
  ret("fstatat bad flag", syscall(SYS_newfstatat, AT_FDCWD, "f", &st, 0x8));
  ret("fstatat empty", fstatat(AT_FDCWD, "", &st, 0));
  ret("fstatat empty path flag", fstatat(AT_FDCWD, "", &st, AT_EMPTY_PATH));
  is("is cwd", S_ISDIR(st.st_mode));
  int fd = open("f", O_RDONLY);
  fstat(fd, &st);
  fstatat(fd, "", &st2, AT_EMPTY_PATH);
  is("same inode", st.st_ino == st2.st_ino && st.st_dev == st2.st_dev);
  stat("l", &st2);
  is("link leads to it", st.st_ino == st2.st_ino);
  lstat("l", &st2);
  is("link is another", st.st_ino != st2.st_ino);
  ret("link size", st2.st_size);
  ret("blksize", st.st_blksize);
  is("times sane", st.st_mtime > 1600000000 && st.st_mtim.tv_nsec < 1000000000);
  close(fd);
  int p[2];
  pipe(p);
  fstat(p[0], &st);
  is("pipe", S_ISFIFO(st.st_mode));
  ret("fstatat pipe", fstatat(p[0], "", &st2, AT_EMPTY_PATH));
  struct timespec odd[2] = {{0, 1000000000}, {0, 0}};
  ret("odd times of nothing", utimensat(-1, "", odd, AT_EMPTY_PATH));
  ret("odd times of a missing file", utimensat(AT_FDCWD, "missing", odd, 0));
  ret("odd times", utimensat(AT_FDCWD, "f", odd, 0));
  struct timeval strange[2] = {{0, 1000000}, {0, 0}};
  ret("odd times by microseconds", syscall(SYS_futimesat, AT_FDCWD, "missing", strange));
  struct statx x;
  ret("statx pipe", statx(p[0], "", AT_EMPTY_PATH, STATX_BASIC_STATS, &x));
  say("%#x", x.stx_mask);
  stat("/dev/null", &st);
  is("null", S_ISCHR(st.st_mode) && major(st.st_rdev) == 1 && minor(st.st_rdev) == 3);
  struct statx sx;
  memset(&sx, 0xff, sizeof sx);
  ret("statx", statx(AT_FDCWD, "f", 0, STATX_BASIC_STATS, &sx));
  is("statx basic", (sx.stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS && sx.stx_size == 11 && sx.stx_nlink == 1);
  ret("statx mode", sx.stx_mode);
  ret("statx reserved", statx(AT_FDCWD, "f", 0, STATX__RESERVED, &sx));
  ret("statx bad flag", statx(AT_FDCWD, "f", 0x40, 0, &sx));
  ret("statx bad sync", statx(AT_FDCWD, "f", AT_STATX_SYNC_TYPE, 0, &sx));
  ret("statx link", statx(AT_FDCWD, "l", AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &sx));
  is("statx is link", S_ISLNK(sx.stx_mode));
  ret("statx bad buf", syscall(SYS_statx, AT_FDCWD, "f", 0, 0, BAD_PTR));
  struct statfs sf;
  ret("statfs", statfs(".", &sf));
  ret("namelen", sf.f_namelen);
  ret("statfs missing", statfs("none", &sf));
  ret("fstatfs bad", fstatfs(99, &sf));
  statfs("/proc", &sf);
  is("proc magic", sf.f_type == 0x9fa0);
}

static void modes(void) {
  ret("chmod", chmod("f", 04755));
  mode_of("setuid", "f");
  ret("chmod missing", chmod("none", 0));
  ret("chmod link", chmod("l", 0600));
  mode_of("through link", "f");
  ret("chmod bits", chmod("f", 0177777));
  mode_of("all bits", "f");
  ret("fchmodat2 nofollow", syscall(452, AT_FDCWD, "l", 0600, AT_SYMLINK_NOFOLLOW));
  ret("chown", chown("f", 1, 2));
  mode_of("chown drops", "f");
  chmod("f", 06755);
  ret("chown none", chown("f", -1, -1));
  mode_of("chown -1", "f");
  chmod("f", 02745);
  ret("chown setgid without x", chown("f", 3, -1));
  mode_of("setgid without x", "f");
  ret("lchown", lchown("l", 7, 8));
  mode_of("link owner", "l");
  ret("fchownat empty", fchownat(AT_FDCWD, "", 1, 1, 0));
  ret("fchownat bad flag", fchownat(AT_FDCWD, "f", 1, 1, 1));
  ret("fchown bad", fchown(99, 0, 0));
  chown("f", 0, 0);
  mkdir("d", 0755);
  chmod("d", 06755);
  chown("d", 5, 5);
  mode_of("dir keeps bits", "d");
  put_file("s", "data");
  chmod("s", 06777);
  chown("s", 1000, 1000);
  chmod("s", 06777);
  chmod(".", 0777);
  pid_t p = fork();
  if (p == 0) {
    setgid(2000);
    setuid(2000);
    int fd = open("s", O_WRONLY);
    ret("write as other", write(fd, "x", 1));
    close(fd);
    mode_of("write drops setuid", "s");
    _exit(0);
  }
  wait_say("writer", p);
  chmod("s", 06777);
  p = fork();
  if (p == 0) {
    setgid(2000);
    setuid(2000);
    ret("truncate as other", truncate("s", 1));
    mode_of("truncate drops setuid", "s");
    _exit(0);
  }
  wait_say("truncater", p);
}

static void times(void) {
  struct timespec ts[2] = {{100, 5}, {200, 7}};
  struct stat st;
  ret("utimensat", utimensat(AT_FDCWD, "f", ts, 0));
  stat("f", &st);
  say("times %ld.%ld %ld.%ld", st.st_atim.tv_sec, st.st_atim.tv_nsec, st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
  ts[0].tv_nsec = UTIME_OMIT;
  ts[1].tv_nsec = UTIME_NOW;
  ret("omit and now", utimensat(AT_FDCWD, "f", ts, 0));
  stat("f", &st);
  is("omit kept, now set", st.st_atime == 100 && st.st_mtime > 1600000000);
  ts[1].tv_nsec = UTIME_OMIT;
  ret("both omit, missing", utimensat(AT_FDCWD, "none", ts, 0));
  ts[1].tv_nsec = 1000000000;
  ret("bad nsec", utimensat(AT_FDCWD, "f", ts, 0));
  ret("bad flag", utimensat(AT_FDCWD, "f", NULL, 1));
  ret("bad pointer", syscall(SYS_utimensat, AT_FDCWD, "f", BAD_PTR, 0));
  ret("null path", syscall(SYS_utimensat, AT_FDCWD, NULL, NULL, 0));
  ret("missing", utimensat(AT_FDCWD, "none", NULL, 0));
  struct timespec neg[2] = {{-5, 1}, {5000000000, 2}};
  ret("wide times", utimensat(AT_FDCWD, "f", neg, 0));
  stat("f", &st);
  say("wide %ld %ld", st.st_atime, st.st_mtime);
  ret("nofollow", utimensat(AT_FDCWD, "l", (struct timespec[2]){{1, 0}, {2, 0}}, AT_SYMLINK_NOFOLLOW));
  lstat("l", &st);
  is("link time", st.st_mtime == 2);
  int fd = open("f", O_RDONLY);
  ret("futimens", futimens(fd, (struct timespec[2]){{3, 0}, {4, 0}}));
  close(fd);
  struct utimbuf ub = {11, 12};
  ret("utime", utime("f", &ub));
  stat("f", &st);
  say("utime %ld %ld", st.st_atime, st.st_mtime);
  struct timeval tv[2] = {{21, 500000}, {22, 999999}};
  ret("utimes", utimes("f", tv));
  stat("f", &st);
  say("utimes %ld %ld", st.st_atim.tv_nsec, st.st_mtim.tv_nsec);
  tv[0].tv_usec = 1000000;
  ret("utimes bad usec", utimes("f", tv));
}

static void sizes(void) {
  struct stat st;
  put_file("t", "0123456789");
  ret("truncate", truncate("t", 5));
  ret("truncate up", truncate("t", 100000));
  ret("truncate negative", truncate("t", -1));
  ret("truncate dir", truncate("d", 0));
  ret("truncate missing", truncate("none", 0));
  ret("truncate fifo", mkfifo("ff", 0600) || truncate("ff", 0));
  int fd = open("t", O_RDWR);
  char buf[16];
  memset(buf, 'z', sizeof buf);
  ret("read hole", pread(fd, buf, 8, 4));
  is("tail zero", buf[0] == '4' && buf[1] == 0 && buf[7] == 0);
  ret("ftruncate", ftruncate(fd, 3));
  ret("ftruncate up", ftruncate(fd, 10));
  pread(fd, buf, 10, 0);
  is("cut bytes are gone", buf[2] == '2' && buf[3] == 0 && buf[9] == 0);
  ret("big", ftruncate(fd, 1L << 40));
  fstat(fd, &st);
  is("big size", st.st_size == 1L << 40);
  ret("pread at end", pread(fd, buf, 8, (1L << 40) - 4));
  ret("pwrite far", pwrite(fd, "end", 3, (1L << 40) - 3));
  ret("SEEK_HOLE", lseek(fd, 0, SEEK_HOLE));
  ret("SEEK_DATA", lseek(fd, 4096, SEEK_DATA));
  ret("SEEK_DATA past end", lseek(fd, 1L << 40, SEEK_DATA));
  ret("SEEK_END", lseek(fd, -1, SEEK_END));
  ret("SEEK bad", lseek(fd, 0, 9));
  ret("SEEK negative", lseek(fd, -1, SEEK_SET));
  ret("lseek overflow", lseek(fd, 0x7fffffffffffffff, SEEK_CUR) == -1 ? 0 : 1);
  ret("back", ftruncate(fd, 8192));
  ret("punch", fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096));
  pread(fd, buf, 4, 0);
  is("punched", buf[0] == 0);
  ret("punch alone", fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 4096));
  ret("fallocate", fallocate(fd, 0, 0, 20000));
  fstat(fd, &st);
  ret("size", st.st_size);
  is("allocated", st.st_blocks * 512 >= 20000);
  int large = memfd_create("large", 0);
  ret("fallocate 20 MiB", fallocate(large, 0, 4096, 20 << 20));
  fstat(large, &st);
  ret("size of it", st.st_size), is("all of it", st.st_blocks >= 20 << 11);
  ret("punch 10 MiB", fallocate(large, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 10 << 20));
  fstat(large, &st);
  ret("size, punched", st.st_size), is("half of it", st.st_blocks < 15 << 11);
  close(large);
  ret("keep size", fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 40000));
  fstat(fd, &st);
  ret("size kept", st.st_size);
  ret("fallocate zero", fallocate(fd, 0, 0, 0));
  ret("fallocate negative", fallocate(fd, 0, -1, 1));
  ret("fallocate bad mode", fallocate(fd, 0x1000, 0, 1));
  close(fd);
  fd = open("t", O_RDONLY);
  ret("fallocate rdonly", fallocate(fd, 0, 0, 1));
  close(fd);
  int p[2];
  pipe(p);
  ret("fallocate pipe", fallocate(p[1], 0, 0, 1));
  ret("lseek pipe", lseek(p[0], 0, SEEK_SET));
  ret("ftruncate pipe", ftruncate(p[1], 0));
  ret("fsync pipe", fsync(p[1]));
  put_file("small", "abc");
  fd = open("small", O_RDWR);
  pwrite(fd, "x", 1, 20000);
  fstat(fd, &st);
  ret("sparse small size", st.st_size);
  ret("sparse small blocks", st.st_blocks);
  ret("small hole", lseek(fd, 0, SEEK_HOLE));
  ret("small data", lseek(fd, 4096, SEEK_DATA));
  ret("small end hole", lseek(fd, 17000, SEEK_HOLE));
  close(fd);
}

static void on_xfsz(int s) { say("signal %s", sigabbrev_np(s)); }

static void file_limit(void) {
  signal(SIGXFSZ, on_xfsz);
  struct rlimit rl, old;
  getrlimit(RLIMIT_FSIZE, &old);
  rl = old;
  rl.rlim_cur = 1000;
  setrlimit(RLIMIT_FSIZE, &rl);
  int fd = open("lim", O_RDWR | O_CREAT, 0644);
  static char buf[2000];
  ret("write over limit", write(fd, buf, 2000));
  ret("write at limit", write(fd, buf, 1));
  ret("truncate over limit", ftruncate(fd, 1001));
  ret("truncate to limit", ftruncate(fd, 1000));
  ret("fallocate over limit", fallocate(fd, 0, 0, 2000));
  setrlimit(RLIMIT_FSIZE, &old);
  close(fd);
}

static void xattrs(void) {
  char buf[100];
  ret("set", setxattr("f", "user.a", "value", 5, 0));
  ret("get", getxattr("f", "user.a", buf, sizeof buf));
  ret("get size", getxattr("f", "user.a", NULL, 0));
  ret("get short", getxattr("f", "user.a", buf, 2));
  ret("get missing", getxattr("f", "user.b", buf, sizeof buf));
  ret("create existing", setxattr("f", "user.a", "v", 1, XATTR_CREATE));
  ret("replace missing", setxattr("f", "user.b", "v", 1, XATTR_REPLACE));
  ret("bad flags", setxattr("f", "user.b", "v", 1, 4));
  ret("empty value", setxattr("f", "user.e", NULL, 0, 0));
  ret("get empty", getxattr("f", "user.e", buf, sizeof buf));
  ret("no namespace", setxattr("f", "foo", "v", 1, 0));
  ret("unknown namespace", getxattr("f", "foo.bar", buf, sizeof buf));
  ret("empty name", setxattr("f", "", "v", 1, 0));
  char longname[300] = "user.";
  memset(longname + 5, 'n', 290);
  longname[295] = 0;
  ret("long name", setxattr("f", longname, "v", 1, 0));
  ret("huge value", setxattr("f", "user.h", buf, 70000, 0));
  ret("bad value", setxattr("f", "user.h", BAD_PTR, 5, 0));
  ret("list size", listxattr("f", NULL, 0));
  ret("list", listxattr("f", buf, sizeof buf));
  ret("list short", listxattr("f", buf, 3));
  ret("remove", removexattr("f", "user.a"));
  ret("remove again", removexattr("f", "user.a"));
  ret("link", lsetxattr("l", "user.a", "v", 1, 0));
  ret("trusted", setxattr("f", "trusted.t", "v", 1, 0));
  ret("on fifo", setxattr("ff", "user.a", "v", 1, 0));
  ret("missing file", getxattr("none", "user.a", buf, sizeof buf));
  ret("fd", fsetxattr(99, "user.a", "v", 1, 0));
  pid_t p = fork();
  if (p == 0) {
    setuid(1000);
    ret("user trusted get", getxattr("f", "trusted.t", buf, sizeof buf));
    ret("user trusted set", setxattr("f", "trusted.t", "v", 1, 0));
    ret("user set foreign", setxattr("f", "user.x", "v", 1, 0));
    _exit(0);
  }
  wait_say("user", p);
}

int main(void) {
  umask(022);
  stats();
  modes();
  times();
  sizes();
  file_limit();
  xattrs();
  return 0;
}
