// Path walk: openat2's RESOLVE_* flags, long names and paths, chains of links, "." and ".." and slashes at the end of names in
// every call, O_PATH descriptors and AT_EMPTY_PATH in every call.
#pragma GCC diagnostic ignored "-Wnonnull"
#pragma GCC diagnostic ignored "-Wunused-result"
#include "guest.h"
#include <linux/openat2.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/time.h>
#include <sys/xattr.h>

static int dirfd_;

static int open2(const char *path, uint64_t flags, uint64_t resolve) {
  struct open_how how = {.flags = flags, .mode = (flags & O_CREAT) ? 0600 : 0, .resolve = resolve};
  return syscall(SYS_openat2, dirfd_, path, &how, sizeof how);
}

static void at(const char *path, uint64_t flags) {
  const struct {
    const char *name;
    uint64_t bits;
  } modes[] = {{"none", 0}, {"no-xdev", RESOLVE_NO_XDEV}, {"no-magic", RESOLVE_NO_MAGICLINKS}, {"no-links", RESOLVE_NO_SYMLINKS},
               {"beneath", RESOLVE_BENEATH}, {"in-root", RESOLVE_IN_ROOT}, {"cached", RESOLVE_CACHED}, {"beneath in-root", RESOLVE_BENEATH | RESOLVE_IN_ROOT},
               {"beneath no-links", RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS}, {"in-root no-xdev", RESOLVE_IN_ROOT | RESOLVE_NO_XDEV}};
  for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
    // What is in the cache is the file system's affair: generated names may not be, names that lead nowhere either.
    int cached = modes[i].bits == RESOLVE_CACHED;
    if (cached && (strstr(path, "proc") || path[0] == '5')) continue;
    char line[300];
    snprintf(line, sizeof line, "%s %s %s", path, modes[i].name, (flags & O_CREAT) ? "create" : (flags & O_NOFOLLOW) ? "nofollow" : "");
    int fd = open2(path, flags, modes[i].bits);
    if (cached && fd < 0 && (errno == EAGAIN || errno == ENOENT || errno == ENOTDIR)) say("%s fails", line);
    else ok(line, fd);
    close(fd);
  }
}

static void resolve(void) {
  say("== resolve");
  mkdir("r", 0755);
  mkdir("r/a", 0755);
  mkdir("r/a/b", 0755);
  mkdir("r/m", 0755);
  mount("s", "r/m", "tmpfs", 0, NULL);
  mkdir("r/m/d", 0755);
  close(open("r/f", O_CREAT | O_RDWR, 0644));
  close(open("out", O_CREAT | O_RDWR, 0644));
  close(open("r/m/f", O_CREAT | O_RDWR, 0644));
  symlink("f", "r/rel");
  symlink("/f", "r/abs");
  symlink("/", "r/slash");
  symlink("../out", "r/up");
  symlink("../../..", "r/a/upup");
  symlink("../r/f", "r/back");
  symlink("a/b", "r/dirl");
  symlink("/proc/self/fd", "r/procfd");
  symlink("/proc/self/root", "r/procroot");
  symlink("m/f", "r/cross");
  symlink("nowhere", "r/dangling");
  symlink("loop", "r/loop");
  symlink("/a/b/../../f", "r/absdots");
  symlink(".", "r/dot");
  dirfd_ = open("r", O_RDONLY | O_DIRECTORY);
  const char *paths[] = {"f", "a/b", "a/..", "a/../f", "..", "../r/f", "a/../../out", "/", "/f", "//f", "rel", "abs", "slash", "up", "a/upup", "a/upup/f", "back", "dirl", "dirl/../../f",
                         "procfd", "procroot", "procroot/proc", "m", "m/f", "m/d/..", "m/..", "m/../f", "m/d/../../f", "cross", "dangling", "loop", "absdots", "dot", "dot/dot/f", "nowhere", "f/", "f/x", "f/..", "a/b/", ".", "",
                         "a/b/../../../../../../../../../f", "rel/", "m/.", "abs/../f"};
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) at(paths[i], O_RDONLY);
  const char *last[] = {"rel", "abs", "up", "dangling", "loop", "procroot", "dirl/"};
  for (size_t i = 0; i < sizeof last / sizeof *last; i++) at(last[i], O_RDONLY | O_NOFOLLOW);
  for (size_t i = 0; i < sizeof last / sizeof *last; i++) at(last[i], O_PATH | O_NOFOLLOW);
  const char *made[] = {"new1", "a/../new2", "dangling", "../new3", "m/new4", "abs/new5"};
  for (size_t i = 0; i < sizeof made / sizeof *made; i++) at(made[i], O_RDWR | O_CREAT);
  say("-- magic links");
  char path[64];
  int fd = open("r/a", O_RDONLY), proc = open("/proc/self/fd", O_RDONLY), keep = dirfd_;
  dirfd_ = proc;
  int high = fcntl(fd, F_DUPFD, 50);
  snprintf(path, sizeof path, "%d", high);
  at(path, O_RDONLY);
  at(path, O_RDONLY | O_NOFOLLOW);
  at(path, O_PATH | O_NOFOLLOW);
  strcat(path, "/b");
  at(path, O_RDONLY);
  close(high);
  close(proc);
  dirfd_ = keep;
  say("-- a directory that is no directory");
  dirfd_ = open("r/f", O_RDONLY);
  at("x", O_RDONLY);
  at("/", O_RDONLY);
  at("", O_RDONLY);
  close(dirfd_);
  dirfd_ = 99;
  at("x", O_RDONLY);
  dirfd_ = keep;
  say("-- moved out while inside");
  chdir("r");
  mkdir("a/b/c", 0755);
  close(dirfd_);
  dirfd_ = open("a", O_RDONLY);
  int deep = open("a/b/c", O_RDONLY);
  at("b/c/../..", O_RDONLY);
  at("b/c/../../..", O_RDONLY);
  rename("a/b/c", "c-moved");
  close(dirfd_);
  dirfd_ = deep;
  at("..", O_RDONLY);
  at("../f", O_RDONLY);
  at(".", O_RDONLY);
  close(dirfd_);
  dirfd_ = AT_FDCWD;
  at("f", O_RDONLY);
  at("..", O_RDONLY);
  chdir("..");
}

static void lengths(void) {
  say("== lengths");
  static char name[5000], path[9000];
  struct stat st;
  memset(name, 'n', sizeof name);
  for (int len = 254; len <= 257; len++) {
    name[len] = 0;
    say("name of %d", len);
    ret("open", open(name, O_CREAT | O_EXCL | O_RDWR, 0600) >= 0 ? 0 : -1);
    ret("stat", stat(name, &st));
    ret("rename", rename(name, name));
    ret("link", link(name, "short"));
    ret("unlink short", unlink("short"));
    ret("mkdir on it", mkdir(name, 0700));
    ret("unlink", unlink(name));
    ret("mkdir", mkdir(name, 0700));
    ret("rmdir", rmdir(name));
    ret("symlink", symlink("x", name));
    ret("readlink", readlink(name, path, 10));
    ret("unlink", unlink(name));
    ret("mknod", mknod(name, S_IFIFO | 0600, 0));
    ret("unlink", unlink(name));
    ret("access", access(name, F_OK));
    ret("chdir", chdir(name));
    ret("rename to it", rename("out", name));
    ret("and back", rename(name, "out"));
    name[len] = 'n';
  }
  for (int len = 4094; len <= 4097; len++) {
    memset(path, '/', sizeof path);
    path[0] = '.';
    path[len - 3] = 'o', path[len - 2] = 'u', path[len - 1] = 't';
    path[len] = 0;
    say("path of %d", len);
    ret("stat", stat(path, &st));
    ret("open", open(path, O_RDONLY) >= 0 ? 0 : -1);
    ret("access", access(path, F_OK));
    ret("symlink to it", symlink(path, "longlink"));
    ret("through it", stat("longlink", &st));
    ret("unlink", unlink("longlink"));
    ret("statfs", statfs(path, &(struct statfs){0}));
    ret("rename", rename(path, "out"));
    ret("mkdir", mkdir(path, 0700));
    ret("getxattr", getxattr(path, "user.x", path, 0));
  }
}

static void chains(void) {
  say("== chains of links");
  char from[20], to[20];
  mkdir("c", 0755);
  chdir("c");
  close(open("l0", O_CREAT | O_RDWR, 0600));
  for (int i = 1; i <= 42; i++) {
    snprintf(from, sizeof from, "l%d", i);
    snprintf(to, sizeof to, "l%d", i - 1);
    symlink(to, from);
  }
  struct stat st;
  for (int i = 38; i <= 42; i++) {
    snprintf(from, sizeof from, "l%d", i);
    ret(from, stat(from, &st));
    ret("  lstat", lstat(from, &st));
    ret("  open", open(from, O_RDONLY) >= 0 ? 0 : -1);
    ret("  open nofollow", open(from, O_RDONLY | O_NOFOLLOW));
    ret("  open create", open(from, O_RDONLY | O_CREAT, 0600) >= 0 ? 0 : -1);
    ret("  unlink slash", unlink(strcat(from, "/")));
  }
  mkdir("d0", 0755);
  for (int i = 1; i <= 42; i++) {
    snprintf(from, sizeof from, "d%d", i);
    snprintf(to, sizeof to, "d%d", i - 1);
    symlink(to, from);
  }
  for (int i = 39; i <= 41; i++) {
    snprintf(from, sizeof from, "d%d/", i);
    ret(from, stat(from, &st));
    ret("  lstat", lstat(from, &st));
    snprintf(from, sizeof from, "d%d/x", i);
    ret("  mkdir below", mkdir(from, 0700));
    ret("  rmdir below", rmdir(from));
  }
  ret("several in one path", stat("d20/../d20/.", &st));
  ret("too many in one path", stat("d20/../d21/.", &st));
  symlink("d0/../l0", "indirect");
  ret("indirect", stat("indirect", &st));
  symlink("", "empty");
  symlink("//", "slashes");
  ret("slashes", stat("slashes", &st));
  symlink("l0/", "fileslash");
  ret("file with a slash", stat("fileslash", &st));
  ret("its lstat", lstat("fileslash", &st));
  symlink("new", "tonew");
  ret("create through a dangling one", open("tonew", O_CREAT | O_RDWR, 0600) >= 0 ? 0 : -1);
  ret("made", access("new", F_OK));
  symlink("new2/", "tonewslash");
  ret("create through one with a slash", open("tonewslash", O_CREAT | O_RDWR, 0600));
  symlink("new3", "excl");
  ret("exclusive", open("excl", O_CREAT | O_EXCL | O_RDWR, 0600));
  ret("mkdir through a dangling one", mkdir("excl", 0700));
  ret("with a slash", mkdir("excl/", 0700));
  ret("mknod", mknod("excl", S_IFREG | 0600, 0));
  ret("rename onto it", rename("new", "excl"));
  chdir("..");
}

// Each call with the same name.
static void name(const char *n) {
  struct stat st;
  struct statfs sf;
  struct timeval tv[2] = {{1, 0}, {2, 0}};
  char buf[100];
  say("-- '%s'", n);
  ret("stat", stat(n, &st));
  ret("lstat", lstat(n, &st));
  ret("access", access(n, F_OK));
  ret("statfs", statfs(n, &sf));
  ret("open", open(n, O_RDONLY) >= 0 ? 0 : -1);
  ret("open write", open(n, O_WRONLY) >= 0 ? 0 : -1);
  ret("open directory", open(n, O_RDONLY | O_DIRECTORY) >= 0 ? 0 : -1);
  ret("open nofollow", open(n, O_RDONLY | O_NOFOLLOW) >= 0 ? 0 : -1);
  ret("open path", open(n, O_PATH) >= 0 ? 0 : -1);
  ret("open path nofollow", open(n, O_PATH | O_NOFOLLOW) >= 0 ? 0 : -1);
  ret("open create", open(n, O_RDONLY | O_CREAT, 0600) >= 0 ? 0 : -1);
  ret("open exclusive", open(n, O_RDWR | O_CREAT | O_EXCL, 0600) >= 0 ? 0 : -1);
  ret("open tmpfile", open(n, O_RDWR | O_TMPFILE, 0600) >= 0 ? 0 : -1);
  ret("open truncate", open(n, O_WRONLY | O_TRUNC) >= 0 ? 0 : -1);
  ret("creat", creat(n, 0600) >= 0 ? 0 : -1);
  ret("mkdir", mkdir(n, 0700));
  ret("mknod", mknod(n, S_IFREG | 0600, 0));
  ret("mknod fifo", mknod(n, S_IFIFO | 0600, 0));
  ret("symlink", symlink("x", n));
  ret("link to", link("file", n));
  ret("link from", link(n, "newlink") == 0 ? unlink("newlink") : -1);
  ret("linkat follow", linkat(AT_FDCWD, n, AT_FDCWD, "newlink", AT_SYMLINK_FOLLOW) == 0 ? unlink("newlink") : -1);
  ret("readlink", readlink(n, buf, sizeof buf));
  ret("chmod", chmod(n, 0755));
  ret("fchmodat2 nofollow", syscall(452, AT_FDCWD, n, 0755, AT_SYMLINK_NOFOLLOW));
  ret("chown", chown(n, 0, 0));
  ret("lchown", lchown(n, 0, 0));
  ret("utimes", utimes(n, tv));
  ret("lutimes", lutimes(n, tv));
  ret("truncate", truncate(n, 0));
  ret("chdir", chdir(n) == 0 ? chdir("/tmp") : -1);
  fchdir(dirfd_);
  ret("getxattr", getxattr(n, "user.none", buf, sizeof buf));
  ret("setxattr", setxattr(n, "user.none", "x", 1, XATTR_REPLACE));
  ret("listxattr", listxattr(n, buf, sizeof buf) >= 0 ? 0 : -1);
  ret("name_to_handle_at", name_to_handle_at(AT_FDCWD, n, (struct file_handle *)memset(buf, 0, 8), (int *)(buf + 50), 0));
  ret("inotify_add_watch", syscall(SYS_inotify_add_watch, 98, n, 1));
  ret("mount", mount("none", n, "nonsense", 0, NULL));
  ret("umount", umount(n));
  ret("execve", execve(n, NULL, NULL));
  ret("rename from", rename(n, "renamed") == 0 ? rename("renamed", n) : -1);
  ret("rename to", rename("spare", n) == 0 ? rename(n, "spare") : -1);
  ret("rename directory to", rename("sparedir", n) == 0 ? rename(n, "sparedir") : -1);
  ret("noreplace to", renameat2(AT_FDCWD, "spare", AT_FDCWD, n, RENAME_NOREPLACE) == 0 ? rename(n, "spare") : -1);
  ret("exchange", renameat2(AT_FDCWD, "spare", AT_FDCWD, n, RENAME_EXCHANGE) == 0 ? renameat2(AT_FDCWD, "spare", AT_FDCWD, n, RENAME_EXCHANGE) : -1);
  ret("whiteout", renameat2(AT_FDCWD, n, AT_FDCWD, "white", RENAME_WHITEOUT | RENAME_NOREPLACE) == 0 ? renameat2(AT_FDCWD, "white", AT_FDCWD, n, 0) : -1);
  ret("unlink", unlink(n));
  ret("rmdir", rmdir(n));
}

static void last(void) {
  say("== the end of names");
  mkdir("e", 0755);
  chdir("e");
  dirfd_ = open(".", O_RDONLY);
  const char *names[] = {"", ".", "..", "./", "../", "/", "//", "/.", "/..", "full", "full/", "full/.", "full/..", "full/../", "full/./.", "file", "file/", "file/.", "file/..", "file/x",
                         "none", "none/", "none/.", "none/..", "none/x", "tofull", "tofull/", "tofull/.", "tofile", "tofile/", "tofile/.", "dangling", "dangling/", "dangling/.", "loop", "loop/", "full//sub", ".hidden", "..x", "..."};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    // From the start each time.
    mkdir("full", 0755);
    mkdir("full/sub", 0755);
    mkdir("sparedir", 0755);
    close(open("file", O_CREAT | O_RDWR, 0600));
    close(open("spare", O_CREAT | O_RDWR, 0600));
    symlink("full", "tofull");
    symlink("file", "tofile");
    symlink("none", "dangling");
    symlink("loop", "loop");
    const char *n = names[i];
    // Only names of our own are changed.
    if (n[0] == '/' || !strcmp(n, "..") || !strcmp(n, "../")) {
      struct stat st;
      say("-- '%s'", n);
      ret("stat", stat(n, &st));
      ret("mkdir", mkdir(n, 0700));
      ret("rmdir", rmdir(n));
      ret("unlink", unlink(n));
      ret("rename from", rename(n, "x"));
      ret("rename to", rename("spare", n));
      ret("rename directory to", rename("sparedir", n));
      ret("noreplace", renameat2(AT_FDCWD, "spare", AT_FDCWD, n, RENAME_NOREPLACE));
      ret("exchange", renameat2(AT_FDCWD, "spare", AT_FDCWD, n, RENAME_EXCHANGE));
      ret("link to", link("file", n));
      ret("link from", link(n, "x"));
      ret("symlink", symlink("x", n));
      ret("mknod", mknod(n, S_IFREG | 0600, 0));
      ret("open create", open(n, O_RDONLY | O_CREAT, 0600));
      ret("open exclusive", open(n, O_RDWR | O_CREAT | O_EXCL, 0600));
      continue;
    }
    name(n);
    for (const char *const *gone = (const char *[]){"none", "renamed", "newlink", "white", ".hidden", "..x", "...", "full/sub", NULL}; *gone; gone++) {
      unlink(*gone);
      rmdir(*gone);
    }
  }
  chdir("..");
}

// Each call with an O_PATH descriptor, by number, with an empty name, and as directory.
static void descriptor(const char *title, int fd) {
  struct stat st;
  struct statx sx;
  struct statfs sf;
  struct timespec ts[2] = {{1, 0}, {2, 0}};
  char buf[100], proc[50];
  say("-- %s", title);
  ret("fstat", fstat(fd, &st));
  ret("fstatfs", fstatfs(fd, &sf));
  ret("fstatat", fstatat(fd, "", &st, AT_EMPTY_PATH));
  ret("fstatat without", fstatat(fd, "", &st, 0));
  ret("fstatat NULL", syscall(SYS_newfstatat, fd, NULL, &st, AT_EMPTY_PATH));
  ret("statx", statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &sx));
  ret("statx NULL", syscall(SYS_statx, fd, NULL, AT_EMPTY_PATH, STATX_BASIC_STATS, &sx));
  ret("read", read(fd, buf, 1));
  ret("write", write(fd, buf, 1));
  ret("lseek", lseek(fd, 0, SEEK_SET));
  ret("ftruncate", ftruncate(fd, 0));
  ret("fallocate", fallocate(fd, 0, 0, 1));
  ret("fsync", fsync(fd));
  ret("fdatasync", fdatasync(fd));
  ret("syncfs", syncfs(fd));
  ret("fchmod", fchmod(fd, 0755));
  ret("fchmodat2", syscall(452, fd, "", 0755, AT_EMPTY_PATH));
  ret("fchmodat2 without", syscall(452, fd, "", 0755, 0));
  ret("fchown", fchown(fd, 0, 0));
  ret("fchownat", fchownat(fd, "", 0, 0, AT_EMPTY_PATH));
  ret("fchownat without", fchownat(fd, "", 0, 0, 0));
  ret("futimens", futimens(fd, ts));
  ret("utimensat empty", utimensat(fd, "", ts, AT_EMPTY_PATH));
  ret("fchdir", fchdir(fd) == 0 ? fchdir(dirfd_) : -1);
  ret("getdents", syscall(SYS_getdents64, fd, buf, sizeof buf) >= 0 ? 0 : -1);
  ret("ioctl", syscall(SYS_ioctl, fd, 0x5401, buf));
  ret("flock", syscall(SYS_flock, fd, 1));
  struct flock fl = {.l_type = F_RDLCK};
  ret("fcntl lock", fcntl(fd, F_SETLK, &fl));
  ret("fcntl getfl", fcntl(fd, F_GETFL));
  ret("fcntl setfl", fcntl(fd, F_SETFL, O_NONBLOCK));
  ret("fcntl getfd", fcntl(fd, F_GETFD));
  ret("fcntl setfd", fcntl(fd, F_SETFD, FD_CLOEXEC));
  ok("fcntl dup", fcntl(fd, F_DUPFD, 60));
  ok("dup", dup(fd));
  ret("fcntl owner", fcntl(fd, F_SETOWN, 1));
  ret("fcntl lease", fcntl(fd, F_SETLEASE, F_RDLCK));
  fcntl(fd, F_SETLEASE, F_UNLCK); // Opening the file for writing would wait for it.
  ret("fcntl pipe size", fcntl(fd, F_GETPIPE_SZ));
  ret("fcntl seals", fcntl(fd, F_GET_SEALS));
  ret("mmap", mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0);
  ret("fgetxattr", fgetxattr(fd, "user.none", buf, 10));
  ret("fsetxattr", fsetxattr(fd, "user.none", "x", 1, 0));
  ret("flistxattr", flistxattr(fd, buf, 10));
  ret("fremovexattr", fremovexattr(fd, "user.none"));
  ret("readlinkat", readlinkat(fd, "", buf, sizeof buf));
  ret("faccessat2", syscall(439, fd, "", R_OK, AT_EMPTY_PATH));
  ret("faccessat2 without", syscall(439, fd, "", R_OK, 0));
  ret("faccessat", faccessat(fd, "", R_OK, 0));
  ret("openat", openat(fd, "", O_RDONLY));
  ok("openat sub", openat(fd, "sub", O_RDONLY));
  ok("openat .", openat(fd, ".", O_RDONLY));
  ok("openat ..", openat(fd, "..", O_RDONLY));
  ret("mkdirat", mkdirat(fd, "sub", 0700));
  ret("unlinkat", unlinkat(fd, "", 0));
  ret("linkat", linkat(fd, "", AT_FDCWD, "linked", AT_EMPTY_PATH) == 0 ? unlink("linked") : -1);
  ret("linkat without", linkat(fd, "", AT_FDCWD, "linked", 0));
  snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
  ret("linkat proc", linkat(AT_FDCWD, proc, AT_FDCWD, "linked", AT_SYMLINK_FOLLOW) == 0 ? unlink("linked") : -1);
  ok("open proc", open(proc, O_RDONLY | O_NONBLOCK));
  ok("open proc path", open(proc, O_PATH));
  ret("open proc nofollow", open(proc, O_RDONLY | O_NOFOLLOW));
  ret("chmod proc", chmod(proc, 0755));
  ret("stat proc", stat(proc, &st));
  ret("name_to_handle", name_to_handle_at(fd, "", (struct file_handle *)memset(buf, 0, 8), (int *)(buf + 50), AT_EMPTY_PATH));
  ret("epoll", syscall(SYS_epoll_ctl, syscall(SYS_epoll_create1, 0), 1, fd, buf));
  struct { int fd; short ev, rev; } p = {fd, 1, 0};
  ret("poll", syscall(SYS_poll, &p, 1, 0));
  say("revents %x", p.rev);
  ret("sendfile", syscall(SYS_sendfile, fd, fd, NULL, 1));
  ret("copy_file_range", syscall(SYS_copy_file_range, fd, NULL, fd, NULL, 1, 0));
  ret("splice", syscall(SYS_splice, fd, NULL, fd, NULL, 1, 0));
  ret("readahead", syscall(SYS_readahead, fd, 0, 1));
  ret("fadvise", syscall(SYS_fadvise64, fd, 0, 1, 0));
  ret("sync_file_range", syscall(SYS_sync_file_range, fd, 0, 1, 0));
  ret("cachestat", syscall(451, fd, buf, buf, 0));
  ret("execveat", syscall(SYS_execveat, fd, "", NULL, NULL, AT_EMPTY_PATH));
  memcpy(memset(buf, 0, sizeof buf), "\x0c\0\0\0\1", 5);
  ret("open_by_handle_at", syscall(SYS_open_by_handle_at, fd, buf, 0));
  ret("inotify by fd", syscall(SYS_inotify_add_watch, fd, ".", 1));
  ret("fsconfig", syscall(431, fd, 0, "ro", NULL, 0));
  ret("open_tree", syscall(428, fd, "", AT_EMPTY_PATH) >= 0 ? 0 : -1);
  ret("quotactl_fd", syscall(443, fd, 0x800001, 0, NULL));
}

static void descriptors(void) {
  say("== descriptors");
  mkdir("o", 0755);
  chdir("o");
  dirfd_ = open(".", O_RDONLY);
  close(open("file", O_CREAT | O_RDWR, 0600));
  mkdir("dir", 0755);
  mkfifo("fifo", 0600);
  symlink("file", "link");
  mknod("sock", S_IFSOCK | 0600, 0);
  descriptor("path of a file", open("file", O_PATH));
  descriptor("path of a directory", open("dir", O_PATH));
  descriptor("path of a link", open("link", O_PATH | O_NOFOLLOW));
  descriptor("path of a fifo", open("fifo", O_PATH));
  descriptor("path of a socket", open("sock", O_PATH));
  descriptor("file", open("file", O_RDONLY));
  descriptor("directory", open("dir", O_RDONLY));
  descriptor("write-only file", open("file", O_WRONLY));
  descriptor("AT_FDCWD", AT_FDCWD);
  descriptor("closed", 997);
  int gone = open("gone", O_CREAT | O_RDWR, 0600);
  unlink("gone");
  descriptor("unlinked file", gone);
  ret("O_PATH with other flags", fcntl(open("file", O_PATH | O_RDWR | O_APPEND | O_CREAT | O_TRUNC | O_NONBLOCK, 0600), F_GETFL));
  ret("O_PATH with O_DIRECTORY of a file", open("file", O_PATH | O_DIRECTORY));
  ret("O_PATH | O_TMPFILE", fcntl(open("dir", O_PATH | O_TMPFILE, 0600), F_GETFL));
  chdir("..");
}

int main(void) {
  umask(022);
  setvbuf(stdout, NULL, _IONBF, 0);
  signal(SIGIO, SIG_IGN);
  if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL)) return 1;
  mkdir("work", 0755);
  if (mount("none", "work", "tmpfs", 0, NULL) || chdir("work")) return 1;
  resolve();
  lengths();
  chains();
  last();
  descriptors();
  return 0;
}
