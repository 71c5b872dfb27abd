// open, openat, openat2, creat: flags, errors and their order, links, permissions, O_PATH, O_TMPFILE.
#pragma GCC diagnostic ignored "-Wunused-result"
#pragma GCC diagnostic ignored "-Wnonnull"
#pragma GCC diagnostic ignored "-Wstringop-overread"
#include "guest.h"
#include <dirent.h>
#include <linux/openat2.h>
#include <sys/resource.h>

static int openat2_(int dfd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve) {
  struct open_how how = {.flags = flags, .mode = mode, .resolve = resolve};
  return syscall(SYS_openat2, dfd, path, &how, sizeof how);
}

// Opens, says how it went, closes.
static void try(const char *what, const char *path, int flags, mode_t mode) {
  char line[400];
  snprintf(line, sizeof line, "open %s", what);
  int fd = ok(line, open(path, flags, mode));
  if (fd >= 0) close(fd);
}

static void try2(const char *what, int dfd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve) {
  char line[400];
  snprintf(line, sizeof line, "openat2 %s", what);
  int fd = ok(line, openat2_(dfd, path, flags, mode, resolve));
  if (fd >= 0) close(fd);
}

static void basics(void) {
  put_file("f", "hello");
  mkdir("d", 0755);
  mkdir("d/e", 0755);
  put_file("d/e/g", "deep");
  symlink("f", "to-f");
  symlink("d", "to-d");
  symlink("none", "dangling");
  symlink("loop", "loop");
  symlink("f/", "to-f-slash");
  symlink("/", "to-root");
  try("file", "f", O_RDONLY, 0);
  try("missing", "none", O_RDONLY, 0);
  try("empty name", "", O_RDONLY, 0);
  try("null", NULL, O_RDONLY, 0);
  try("bad pointer", BAD_PTR, O_RDONLY, 0);
  try("file/", "f/", O_RDONLY, 0);
  try("file/.", "f/.", O_RDONLY, 0);
  try("file/x", "f/x", O_RDONLY, 0);
  try("missing/x", "none/x", O_RDONLY, 0);
  try("dir", "d", O_RDONLY, 0);
  try("dir/", "d/", O_RDONLY, 0);
  try("dir for write", "d", O_WRONLY, 0);
  try("dir O_CREAT", "d", O_RDONLY | O_CREAT, 0644);
  try("dir O_TRUNC", "d", O_RDONLY | O_TRUNC, 0);
  try("file O_DIRECTORY", "f", O_RDONLY | O_DIRECTORY, 0);
  try("dir O_DIRECTORY", "d", O_RDONLY | O_DIRECTORY, 0);
  try("link", "to-f", O_RDONLY, 0);
  try("link O_NOFOLLOW", "to-f", O_RDONLY | O_NOFOLLOW, 0);
  try("link/ to file", "to-f/", O_RDONLY, 0);
  try("link to dir", "to-d", O_RDONLY | O_DIRECTORY, 0);
  try("link to dir O_NOFOLLOW", "to-d", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
  try("link to dir/ O_NOFOLLOW", "to-d/", O_RDONLY | O_NOFOLLOW, 0);
  try("link to file with slash", "to-f-slash", O_RDONLY, 0);
  try("dangling", "dangling", O_RDONLY, 0);
  try("loop", "loop", O_RDONLY, 0);
  try("loop O_CREAT", "loop", O_RDONLY | O_CREAT, 0644);
  try("O_CREAT|O_EXCL on link", "dangling", O_WRONLY | O_CREAT | O_EXCL, 0644);
  try("O_CREAT|O_NOFOLLOW on link", "dangling", O_WRONLY | O_CREAT | O_NOFOLLOW, 0644);
  try("O_CREAT through dangling", "dangling", O_WRONLY | O_CREAT, 0644);
  is("dangling made its target", access("none", F_OK) == 0);
  unlink("none");
  try("O_CREAT with slash", "new/", O_WRONLY | O_CREAT, 0644);
  try("O_CREAT in missing dir", "nodir/new", O_WRONLY | O_CREAT, 0644);
  try("O_CREAT in missing dir with slash", "nodir/new/", O_WRONLY | O_CREAT, 0644);
  try("O_CREAT in file", "f/new", O_WRONLY | O_CREAT, 0644);
  try("O_CREAT .", ".", O_WRONLY | O_CREAT, 0644);
  try("O_CREAT ..", "d/..", O_RDONLY | O_CREAT, 0644);
  try("O_CREAT|O_EXCL .", ".", O_RDONLY | O_CREAT | O_EXCL, 0644);
  try("O_EXCL existing", "f", O_RDONLY | O_CREAT | O_EXCL, 0644);
  try("O_EXCL new", "excl", O_RDWR | O_CREAT | O_EXCL, 0600);
  try("access mode 3", "f", 3, 0);
  try("O_CREAT|O_DIRECTORY", "cd", O_RDONLY | O_CREAT | O_DIRECTORY, 0644);
  char name[300];
  memset(name, 'x', sizeof name);
  name[255] = 0;
  try("255 byte name", name, O_WRONLY | O_CREAT, 0644);
  unlink(name);
  name[255] = 'x', name[256] = 0;
  try("256 byte name", name, O_WRONLY | O_CREAT, 0644);
  try("256 byte name to read", name, O_RDONLY, 0);
  static char path[5000];
  memset(path, '/', sizeof path);
  path[4095] = 0;
  try("4095 slashes", path, O_RDONLY, 0);
  path[4095] = '/', path[4096] = 0;
  try("4096 slashes", path, O_RDONLY, 0);
  try("to-root/..", "to-root/../..", O_RDONLY, 0);
  try("nested", "to-d/e/../e/./g", O_RDONLY, 0);
}

static void flags_kept(void) {
  int fd = open("f", O_RDWR | O_APPEND | O_NONBLOCK | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  ret("F_GETFL", fcntl(fd, F_GETFL));
  ret("F_GETFD", fcntl(fd, F_GETFD));
  ret("F_SETFL", fcntl(fd, F_SETFL, O_RDONLY));
  ret("F_GETFL after", fcntl(fd, F_GETFL));
  close(fd);
  fd = open("f", O_PATH | O_RDWR | O_CREAT, 0644);
  ret("O_PATH F_GETFL", fcntl(fd, F_GETFL));
  char c;
  ret("O_PATH read", read(fd, &c, 1));
  ret("O_PATH write", write(fd, "x", 1));
  ret("O_PATH fchmod", fchmod(fd, 0600));
  ret("O_PATH ftruncate", ftruncate(fd, 0));
  ret("O_PATH lseek", lseek(fd, 0, SEEK_SET));
  ret("O_PATH F_SETFL", fcntl(fd, F_SETFL, 0));
  struct stat st;
  ret("O_PATH fstat", fstat(fd, &st));
  ret("O_PATH fsync", fsync(fd));
  ret("O_PATH fchdir", fchdir(fd));
  int d = fcntl(fd, F_DUPFD, 50);
  ret("O_PATH dup", d);
  close(d);
  close(fd);
  fd = open("to-f", O_PATH | O_NOFOLLOW);
  fstat(fd, &st);
  is("O_PATH|O_NOFOLLOW is the link", S_ISLNK(st.st_mode));
  char buf[10];
  ret("readlinkat empty", readlinkat(fd, "", buf, sizeof buf));
  close(fd);
  ret("openat bad fd", openat(99, "f", O_RDONLY));
  ok("openat bad fd absolute", openat(99, "/", O_RDONLY) >= 0 ? 0 : -1);
  int ffd = open("f", O_RDONLY);
  ret("openat file as dir", openat(ffd, "x", O_RDONLY));
  close(ffd);
}

static void data(void) {
  put_file("t", "0123456789");
  struct stat st;
  int fd = open("t", O_RDONLY | O_TRUNC);
  fstat(fd, &st);
  ret("O_RDONLY|O_TRUNC size", st.st_size);
  close(fd);
  put_file("t", "0123456789");
  fd = open("t", O_RDWR | O_APPEND);
  ret("append write", write(fd, "ab", 2));
  ret("append pos", lseek(fd, 0, SEEK_CUR));
  ret("append pwrite", pwrite(fd, "cd", 2, 0));
  fstat(fd, &st);
  ret("append pwrite size", st.st_size);
  close(fd);
  fd = open("t", O_RDONLY);
  ret("write to O_RDONLY", write(fd, "x", 1));
  ret("ftruncate O_RDONLY", ftruncate(fd, 1));
  close(fd);
  fd = open("t", O_WRONLY);
  char c;
  ret("read from O_WRONLY", read(fd, &c, 1));
  close(fd);
  fd = open("d", O_RDONLY);
  ret("read dir", read(fd, &c, 1));
  ret("write dir", write(fd, &c, 1));
  ret("ftruncate dir", ftruncate(fd, 0));
  close(fd);
}

static void tmpfile_(void) {
  ret("O_TMPFILE rdonly", open(".", O_TMPFILE | O_RDONLY, 0600));
  ret("O_TMPFILE on file", open("f", O_TMPFILE | O_RDWR, 0600));
  ret("O_TMPFILE missing", open("none", O_TMPFILE | O_RDWR, 0600));
  int fd = open(".", O_TMPFILE | O_RDWR, 0640);
  ok("O_TMPFILE", fd);
  struct stat st;
  fstat(fd, &st);
  ret("nlink", st.st_nlink);
  ret("mode", st.st_mode & 07777);
  ret("write", write(fd, "tmp", 3));
  char p[64];
  snprintf(p, sizeof p, "/proc/self/fd/%d", fd);
  ret("linkat", linkat(AT_FDCWD, p, AT_FDCWD, "linked", AT_SYMLINK_FOLLOW));
  fstat(fd, &st);
  ret("nlink after", st.st_nlink);
  close(fd);
  char buf[10] = {0};
  fd = open("linked", O_RDONLY);
  ret("read back", read(fd, buf, sizeof buf));
  is("contents", !strcmp(buf, "tmp"));
  close(fd);
  fd = open(".", O_TMPFILE | O_RDWR | O_EXCL, 0600);
  snprintf(p, sizeof p, "/proc/self/fd/%d", fd);
  ret("linkat O_EXCL", linkat(AT_FDCWD, p, AT_FDCWD, "linked2", AT_SYMLINK_FOLLOW));
  close(fd);
}

static void at2(void) {
  int d = open("d", O_RDONLY);
  try2("plain", AT_FDCWD, "f", O_RDONLY, 0, 0);
  try2("unknown flag", AT_FDCWD, "f", 1u << 30, 0, 0);
  try2("high flag", AT_FDCWD, "f", 1ull << 40, 0, 0);
  try2("mode without create", AT_FDCWD, "f", O_RDONLY, 0644, 0);
  try2("bad mode", AT_FDCWD, "n2", O_RDWR | O_CREAT, 0200000, 0);
  try2("unknown resolve", AT_FDCWD, "f", O_RDONLY, 0, 0x400);
  try2("beneath and in root", AT_FDCWD, "f", O_RDONLY, 0, RESOLVE_BENEATH | RESOLVE_IN_ROOT);
  try2("beneath ok", d, "e/g", O_RDONLY, 0, RESOLVE_BENEATH);
  try2("beneath ..", d, "e/../e/g", O_RDONLY, 0, RESOLVE_BENEATH);
  try2("beneath escape", d, "../f", O_RDONLY, 0, RESOLVE_BENEATH);
  try2("beneath absolute", d, "/", O_RDONLY, 0, RESOLVE_BENEATH);
  try2("in root ..", d, "../../e/g", O_RDONLY, 0, RESOLVE_IN_ROOT);
  try2("in root absolute", d, "/e/g", O_RDONLY, 0, RESOLVE_IN_ROOT);
  try2("no symlinks", AT_FDCWD, "to-f", O_RDONLY, 0, RESOLVE_NO_SYMLINKS);
  try2("no symlinks in the middle", AT_FDCWD, "to-d/e/g", O_RDONLY, 0, RESOLVE_NO_SYMLINKS);
  try2("no magic links", AT_FDCWD, "/proc/self/exe", O_RDONLY, 0, RESOLVE_NO_MAGICLINKS);
  try2("no xdev", AT_FDCWD, "/proc/self/status", O_RDONLY, 0, RESOLVE_NO_XDEV);
  struct open_how how = {.flags = O_RDONLY};
  ret("size too small", syscall(SYS_openat2, AT_FDCWD, "f", &how, 8));
  ret("size zero", syscall(SYS_openat2, AT_FDCWD, "f", &how, 0));
  char big[64] = {0};
  ok("size bigger, zero", syscall(SYS_openat2, AT_FDCWD, "f", big, 64));
  big[40] = 1;
  ret("size bigger, not zero", syscall(SYS_openat2, AT_FDCWD, "f", big, 64));
  ret("bad how", syscall(SYS_openat2, AT_FDCWD, "f", BAD_PTR, sizeof how));
  close(d);
}

static void as_user(void) {
  put_file("secret", "x");
  chmod("secret", 0600);
  put_file("shared", "x");
  chmod("shared", 0666);
  mkdir("closed", 0700);
  put_file("closed/in", "x");
  mkdir("noread", 0711);
  put_file("noread/in", "x");
  mkdir("sticky", 01777);
  put_file("sticky/root", "x");
  mkdir("own", 0755);
  chown("own", 1000, 1000);
  chmod(".", 0755);
  pid_t p = fork();
  if (p == 0) {
    setgid(1000);
    setuid(1000);
    try("secret as user", "secret", O_RDONLY, 0);
    try("shared as user", "shared", O_RDWR, 0);
    try("shared O_NOATIME", "shared", O_RDONLY | O_NOATIME, 0);
    try("in closed dir", "closed/in", O_RDONLY, 0);
    try("missing in closed dir", "closed/none", O_RDONLY, 0);
    try("in unreadable dir", "noread/in", O_RDONLY, 0);
    try("unreadable dir", "noread", O_RDONLY, 0);
    try("create in foreign dir", "d/new", O_WRONLY | O_CREAT, 0644);
    try("create in own dir", "own/new", O_WRONLY | O_CREAT, 0444);
    try("own read-only for write", "own/new", O_WRONLY, 0);
    ret("unlink sticky", unlink("sticky/root"));
    ret("rename sticky", rename("sticky/root", "sticky/x"));
    ret("unlink foreign", unlink("d/e/g"));
    ret("chmod foreign", chmod("shared", 0777));
    ret("chown own", chown("own", 0, -1));
    ret("chown own to own", chown("own", 1000, 1000));
    ret("utimes foreign", utimensat(AT_FDCWD, "secret", NULL, 0));
    ret("utimes writable", utimensat(AT_FDCWD, "shared", NULL, 0));
    struct timespec ts[2] = {{1, 0}, {2, 0}};
    ret("utimes writable to times", utimensat(AT_FDCWD, "shared", ts, 0));
    ret("truncate foreign", truncate("secret", 0));
    ret("mknod device", mknod("own/dev", S_IFCHR | 0600, 0x103));
    ret("mknod fifo", mknod("own/fifo", S_IFIFO | 0600, 0));
    ret("chroot", chroot("own"));
    ret("access secret", access("secret", R_OK));
    ret("access shared x", access("shared", X_OK));
    ret("access closed/in", access("closed/in", F_OK));
    _exit(0);
  }
  wait_say("user", p);
  ret("root access x on plain file", access("secret", X_OK));
  ret("root access r", access("secret", R_OK | W_OK));
}

static void modes(void) {
  struct stat st;
  umask(027);
  close(open("um", O_WRONLY | O_CREAT, 0666));
  stat("um", &st);
  ret("umask", st.st_mode & 07777);
  umask(0);
  close(open("sbits", O_WRONLY | O_CREAT, 07777));
  stat("sbits", &st);
  ret("mode 07777", st.st_mode & 07777);
  mkdir("sg", 0775);
  chown("sg", 0, 500);
  chmod("sg", 02775);
  mkdir("sg/sub", 0755);
  stat("sg/sub", &st);
  ret("setgid dir inherited mode", st.st_mode & 07777);
  ret("setgid dir inherited gid", st.st_gid);
  close(open("sg/file", O_WRONLY | O_CREAT, 0644));
  stat("sg/file", &st);
  ret("setgid file gid", st.st_gid);
  mkdir("mk", 07777);
  stat("mk", &st);
  ret("mkdir 07777", st.st_mode & 07777);
  umask(022);
}

static void limits(void) {
  struct rlimit old, one = {20, 20};
  getrlimit(RLIMIT_NOFILE, &old);
  one.rlim_max = old.rlim_max;
  setrlimit(RLIMIT_NOFILE, &one);
  int last = -1, fd;
  while ((fd = open("f", O_RDONLY)) >= 0) last = fd;
  ret("last descriptor", last);
  ret("EMFILE", open("f", O_RDONLY));
  ret("dup2 beyond", dup2(0, 20));
  ret("F_DUPFD beyond", fcntl(0, F_DUPFD, 20));
  for (int i = 3; i < 20; i++) close(i);
  setrlimit(RLIMIT_NOFILE, &old);
}

int main(void) {
  umask(022);
  basics();
  flags_kept();
  data();
  tmpfile_();
  at2();
  modes();
  as_user();
  limits();
  return 0;
}
