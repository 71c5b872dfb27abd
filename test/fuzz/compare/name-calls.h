// Operations on names: opening, making, moving and removing files.
#include "world.h"
#include <linux/openat2.h>

static const struct flag open_flags[] = {{"SYNC", O_SYNC}, {"TMPFILE", O_TMPFILE}, {"WRONLY", O_WRONLY}, {"RDWR", O_RDWR},
    {"CREAT", O_CREAT}, {"EXCL", O_EXCL}, {"TRUNC", O_TRUNC}, {"APPEND", O_APPEND}, {"DIRECTORY", O_DIRECTORY},
    {"NOFOLLOW", O_NOFOLLOW}, {"PATH", O_PATH}, {"NOATIME", O_NOATIME}, {"DIRECT", O_DIRECT}, {"DSYNC", O_DSYNC},
    {"CLOEXEC", O_CLOEXEC}, {"NONBLOCK", O_NONBLOCK}, {"NOCTTY", O_NOCTTY}, {"ASYNC", O_ASYNC}, {NULL, 0}};
static const struct flag resolve_flags[] = {{"NO_XDEV", RESOLVE_NO_XDEV}, {"NO_MAGICLINKS", RESOLVE_NO_MAGICLINKS},
    {"NO_SYMLINKS", RESOLVE_NO_SYMLINKS}, {"BENEATH", RESOLVE_BENEATH}, {"IN_ROOT", RESOLVE_IN_ROOT}, {NULL, 0}};
static const mode_t modes[] = {0, 0400, 0600, 0644, 0666, 0700, 0711, 0755, 0777, 01777, 02755, 02775, 04755, 06777, 07777};

// O_DIRECT asks some file systems for an alignment that others do not need.
static int some_open_flags(void) {
  static const int accesses[] = {O_RDONLY, O_WRONLY, O_RDWR, O_RDWR, O_RDWR, 3};
  static const int bits[] = {O_CREAT, O_CREAT, O_CREAT, O_EXCL, O_TRUNC, O_APPEND, O_DIRECTORY, O_NOFOLLOW, O_PATH, O_NOATIME,
      O_SYNC, O_DSYNC, O_CLOEXEC, O_NOCTTY, O_TMPFILE, O_ASYNC};
  int f = PICK(accesses) | O_NONBLOCK;
  for (int n = below(4); n > 0; n--) f |= PICK(bits);
  if (one_in(3)) f |= O_CREAT;
  if (one_in(60)) f |= 1 << 30;
  return f;
}

static void op_open(void) {
  int s = file_slot(), f = some_open_flags(), dirs = one_in(3);
  char d[20];
  int dir = at_dir(d);
  mode_t mode = PICK(modes);
  const char *p = path();
  if (dirs) {
    s = dir_slot();
    f = (one_in(3) ? O_PATH : 0) | O_DIRECTORY | O_NONBLOCK | (one_in(8) ? O_NOFOLLOW : 0);
  }
  if (one_in(5)) {
    struct open_how how = {.flags = f, .mode = f & (O_CREAT | __O_TMPFILE) ? mode : one_in(20)};
    struct {
      struct open_how how;
      uint64_t more;
    } large = {how, one_in(2)};
    size_t size = one_in(12) ? 8 * below(5) : sizeof how;
    for (int n = below(3); n > 0; n--) how.resolve |= 1 << below(5);
    // RESOLVE_CACHED goes by what happens to be known.
    if (one_in(40)) how.resolve |= 1 << (6 + below(3));
    say("s%d = openat2(%s, %s, ", s, d, p), say_flags(open_flags, f), say(", %#o, ", mode), say_flags(resolve_flags, how.resolve);
    large.how = how;
    say(", %zu %lu)", size, large.more);
    keep(s, result(syscall(SYS_openat2, dir, p, &large, size)));
  } else {
    say("s%d = openat(%s, %s, ", s, d, p), say_flags(open_flags, f), say(", %#o)", mode);
    keep(s, result(openat(dir, p, f, mode)));
  }
}

static void op_close(void) {
  int s = slot();
  say("close(s%d)", s);
  result(close(slots[s]));
  slots[s] = -1;
}

static void op_make(void) {
  char d[20];
  int dir = at_dir(d);
  const char *p = path(), *to = path();
  mode_t mode = PICK(modes);
  static const mode_t types[] = {S_IFREG, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK, 0, S_IFDIR, S_IFLNK};
  switch (below(4)) {
    case 0: case 1: say("mkdirat(%s, %s, %#o)", d, p, mode), result(mkdirat(dir, p, mode)); break;
    case 2: {
      mode_t type = PICK(types);
      // 0:0 is an overlay's whiteout.
      dev_t dev = (kind == TMPFS || kind == VOLUME) && one_in(2) ? makedev(0, 0) : makedev(1, 3);
      say("mknodat(%s, %s, %#o, %u:%u)", d, p, type | mode, major(dev), minor(dev));
      result(mknodat(dir, p, type | mode, dev));
      break;
    }
    default: {
      if (one_in(3)) to = "a/b";
      say("symlinkat(%s, %s, %s)", to, d, p), result(symlinkat(to, dir, p));
    }
  }
}

static void op_remove(void) {
  char d[20];
  int dir = at_dir(d), flags = one_in(2) ? AT_REMOVEDIR : 0;
  const char *p = path();
  if (one_in(40)) flags |= 1 << below(16);
  say("unlinkat(%s, %s, %#x)", d, p, flags);
  result(unlinkat(dir, p, flags));
}

static void op_rename(void) {
  char d[20], e[20];
  int from = at_dir(d), to = at_dir(e), flags = one_in(2) ? 0 : below(8);
  const char *p = path(), *q = path();
  if (one_in(50)) flags |= 8;
  // Only an overlay's own upper layer needs to have whiteouts made in it.
  if (kind != TMPFS) flags &= ~4;
  say("renameat2(%s, %s, %s, %s, %#x)", d, p, e, q, flags);
  result(renameat2(from, p, to, q, flags));
}

static void op_link(void) {
  char d[20], e[20];
  int from = at_dir(d), to = at_dir(e), flags = one_in(3) ? AT_SYMLINK_FOLLOW : 0;
  const char *p = path(), *q = path();
  if (one_in(4)) {
    int s = file_slot();
    from = slots[s], sprintf(d, "s%d", s), p = "", flags = AT_EMPTY_PATH;
  }
  if (one_in(6)) {
    // The way to give an unnamed file a name without a capability. The number is that of the descriptor.
    int s = file_slot();
    static char link[40];
    sprintf(link, "self/fd/%d", slots[s]);
    say("linkat(/proc/self/fd of s%d, %s, %s, FOLLOW)", s, e, q);
    result(linkat(proc_fd, link, to, q, AT_SYMLINK_FOLLOW));
    return;
  }
  say("linkat(%s, %s, %s, %s, %#x)", d, p, e, q, flags);
  result(linkat(from, p, to, q, flags));
}

static void op_readlink(void) {
  char d[20], b[200];
  int dir = at_dir(d), n = one_in(4) ? below(4) : 200;
  const char *p = path();
  if (one_in(8)) {
    int s = slot();
    dir = slots[s], sprintf(d, "s%d", s), p = "";
  }
  say("readlinkat(%s, %s, %d)", d, p, n);
  long r = readlinkat(dir, p, b, n);
  int e = errno;
  if (r > 0) say(" \"%.*s\"", (int)r, b);
  errno = e;
  result(r);
}

static void say_cwd(void) {
  char b[500];
  long r = syscall(SYS_getcwd, b, sizeof b);
  say(" cwd %s\n", r < 0 ? strerrorname_np(errno) : b);
}

static void op_chdir(void) {
  const char *p = path();
  int s = dir_slot(), how = below(12);
  if (how == 11) say("chroot(%s)", p), errno = 0, result(chroot(p));
  else if (how < 3) say("fchdir(s%d)", s), result(fchdir(slots[s]));
  else if (how < 8) say("chdir(/)"), result(chdir("/"));
  else say("chdir(%s)", p), result(chdir(p));
  say_cwd();
}

static int by_text(const void *a, const void *b) { return strcmp(a, b); }

// All entries: their order is the file system's own.
static void op_list(void) {
  int s = dir_slot(), n = 0;
  char names[64][32];
  say("getdents(s%d)", s);
  if (lseek(slots[s], 0, SEEK_SET) < 0) return (void)result(-1);
  long r = syscall(SYS_getdents64, slots[s], data, 4096);
  if (r < 0) return (void)result(-1);
  for (long i = 0; i < r && n < 64;) {
    struct dirent64 *d = (void *)(data + i);
    snprintf(names[n++], 32, "%s:%d", d->d_name, d->d_type);
    i += d->d_reclen;
  }
  qsort(names, n, 32, by_text);
  for (int i = 0; i < n; i++) say(" %s", names[i]);
  result(n);
}

// Positions in a directory are the file system's own; what comes after an entry is the same each time.
static void op_list_on(void) {
  int s = dir_slot(), n = 0, found = 0, after, same = 1;
  size_t part = 24 + below(120);
  static char names[64][32];
  long offsets[64], r;
  say("getdents(s%d) of %zu bytes:", s, part);
  if (lseek(slots[s], 0, SEEK_SET) < 0) return (void)result(-1);
  while ((r = syscall(SYS_getdents64, slots[s], data, part)) > 0)
    for (long i = 0; i < r && n < 64; n++) {
      struct dirent64 *d = (void *)(data + i);
      snprintf(names[n], 32, "%s", d->d_name), offsets[n] = d->d_off, i += d->d_reclen;
    }
  if (r < 0) return (void)result(-1);
  after = n == 0 ? 0 : below(n);
  if (n > 0) lseek(slots[s], offsets[after], SEEK_SET);
  while (n > 0 && (r = syscall(SYS_getdents64, slots[s], data, 4096)) > 0)
    for (long i = 0; i < r; found++) {
      struct dirent64 *d = (void *)(data + i);
      same &= after + 1 + found < n && strcmp(names[after + 1 + found], d->d_name) == 0, i += d->d_reclen;
    }
  say(" %d after %d, %s", found, after, same && after + 1 + found >= n ? "the same" : "others"), result(n);
}

// No file here is a program: whether it would have been run.
static void op_exec(void) {
  char d[20];
  static const int some[] = {0, 0, AT_SYMLINK_NOFOLLOW, 0x10000 /* AT_EXECVE_CHECK */, 0x10000, 0x20000};
  int dir = at_dir(d), flags = PICK(some), status = 0;
  const char *p = path();
  if (one_in(4)) {
    int s = slot();
    dir = slots[s], sprintf(d, "s%d", s), p = "", flags |= AT_EMPTY_PATH;
  }
  say("execveat(%s, \"%s\", %#x)", d, p, flags);
  pid_t pid = fork();
  if (pid == 0) _exit(syscall(SYS_execveat, dir, p, (char *[]){"a", NULL}, (char *[]){NULL}, flags) < 0 ? errno : 0);
  waitpid(pid, &status, 0);
  errno = WEXITSTATUS(status);
  result(status == 0 ? 0 : -1);
}

static void op_handle(void) {
  struct {
    struct file_handle h;
    unsigned char more[128];
  } f = {{.handle_bytes = one_in(8) ? 4 : 128}};
  int mount_id, flags = one_in(3) ? AT_SYMLINK_FOLLOW : 0, s = file_slot(), access = below(3), dir = AT_FDCWD, of = -1;
  const char *p = path();
  static const int more[] = {O_PATH, O_DIRECTORY, O_TRUNC, O_APPEND, O_CREAT, O_NOFOLLOW};
  struct stat a, b;
  if (one_in(4)) of = slot(), dir = slots[of], p = "", flags |= AT_EMPTY_PATH;
  if (one_in(8)) flags |= 0x200 /* AT_HANDLE_FID */;
  if (one_in(20)) flags |= 1 << below(16);
  if (one_in(3)) access |= PICK(more);
  say("name_to_handle_at(s%d, %s, %#x)", of, p, flags);
  if (outcome(name_to_handle_at(dir, p, &f.h, &mount_id, flags)) < 0 || (flags & 0x203) != 0) return;
  say("  s%d = open_by_handle_at(%#x)", s, access);
  int fd = open_by_handle_at(root_fd, &f.h, access | O_NONBLOCK);
  result(fd);
  keep(s, fd);
  if (of < 0 && fd >= 0 && fstat(fd, &a) == 0 && fstatat(AT_FDCWD, p, &b, flags ? 0 : AT_SYMLINK_NOFOLLOW) == 0)
    say("  the same file: %d\n", a.st_ino == b.st_ino);
}
