// Operations on attributes: modes, owners, times, extended attributes, access control lists.
#include "world.h"
#include <linux/fs.h>

// The file that an operation is on: a name, or a descriptor by an empty one.
struct subject {
  int dir;
  const char *path;
  int flags;
};
static struct subject subject(void) {
  char d[20];
  struct subject s = {at_dir(d), path(), one_in(3) ? AT_SYMLINK_NOFOLLOW : 0};
  if (one_in(4)) {
    int n = slot();
    s.dir = slots[n], s.path = "", s.flags |= AT_EMPTY_PATH, sprintf(d, "s%d", n);
  }
  say("(%s, \"%s\", %#x", d, s.path, s.flags);
  return s;
}

static void op_mode(void) {
  mode_t mode = PICK(modes);
  int s = slot();
  const char *p = path();
  switch (below(4)) {
    case 0: say("fchmod(s%d, %#o)", s, mode), result(fchmod(slots[s], mode)); break;
    case 1: say("chmod(%s, %#o)", p, mode), result(chmod(p, mode)); break;
    case 2: say("umask(%#o)", mode & 077), result(umask(mode & 077)); break;
    default: {
      say("fchmodat2");
      struct subject f = subject();
      say(", %#o)", mode), result(syscall(452 /* fchmodat2 */, f.dir, f.path, mode, f.flags));
    }
  }
}

static void op_owner(void) {
  static const int ids[] = {-1, 0, 1000, 1001, 2000};
  int u = PICK(ids), g = PICK(ids), s = slot();
  if (one_in(3)) say("fchown(s%d, %d, %d)", s, u, g), result(fchown(slots[s], u, g));
  else {
    say("fchownat");
    struct subject f = subject();
    say(", %d, %d)", u, g), result(fchownat(f.dir, f.path, u, g, f.flags));
  }
}

static void op_times(void) {
  struct timespec t[2];
  for (int i = 0; i < 2; i++) {
    int how = below(6);
    t[i] = how == 0 ? (struct timespec){0, UTIME_NOW} : how == 1 ? (struct timespec){0, UTIME_OMIT}
        : how == 2 ? (struct timespec){(long)below(2000000000), below(1100000000)}
                   : (struct timespec){1000000000 + below(1000), 5};
    if (how == 3) t[i].tv_sec = -5;
  }
  int null = one_in(5), s = slot();
  char text[80];
  sprintf(text, "%ld.%09ld %ld.%09ld", t[0].tv_sec, t[0].tv_nsec, t[1].tv_sec, t[1].tv_nsec);
  if (one_in(3)) say("futimens(s%d, %s)", s, null ? "now" : text), result(futimens(slots[s], null ? NULL : t));
  else {
    say("utimensat");
    struct subject f = subject();
    say(", %s)", null ? "now" : text), result(syscall(SYS_utimensat, f.dir, f.path, null ? NULL : t, f.flags));
  }
}

static const char *some_attr(void) {
  static const char *const names[] = {"user.a", "user.b", "user.a", "user.", "trusted.a", "trusted.b", "security.a", "other.a",
      "system.posix_acl_access", "system.posix_acl_default", "system.other", "user", ""};
  const char *name = PICK(names);
  // What a directory of the host does not take is in docs.
  if (kind == VOLUME && strncmp(name, "user.", 5) != 0 && strncmp(name, "system.", 7) != 0) name = "user.a";
  return name;
}

// An access control list as the kernel takes it: sometimes one that is none.
static size_t some_list(char *b) {
  static const short tags[] = {1, 2, 4, 8, 16, 32};
  size_t n = 4;
  int with = below(8), v = one_in(20) ? 1 : 2;
  memcpy(b, &v, 4);
  for (int i = 0; i < 6; i++) {
    short e[2] = {tags[i], one_in(40) ? 9 : (short)below(8)};
    int id = i == 1 || i == 3 ? 1000 + (int)below(2) : -1, drop = one_in(40);
    if ((i == 1 || i == 3 || i == 4) && !(with & 1 << (i / 2))) continue;
    if (drop) continue;
    memcpy(b + n, e, 4), memcpy(b + n + 4, &id, 4), n += 8;
  }
  return n;
}

static void op_attr_set(void) {
  const char *name = some_attr(), *p = path();
  size_t n = one_in(10) ? 0 : below(40);
  int flags = one_in(2) ? 0 : below(4), s = slot();
  static char value[200];
  memset(value, 'a' + at % 26, sizeof value);
  if (strncmp(name, "system.posix", 12) == 0) n = some_list(value);
  if (one_in(40)) n = 200;
  switch (below(4)) {
    case 0: say("fsetxattr(s%d, %s, %zu, %d)", s, name, n, flags), result(fsetxattr(slots[s], name, value, n, flags)); break;
    case 1: say("lsetxattr(%s, %s, %zu, %d)", p, name, n, flags), result(lsetxattr(p, name, value, n, flags)); break;
    default: say("setxattr(%s, %s, %zu, %d)", p, name, n, flags), result(setxattr(p, name, value, n, flags));
  }
}

static void op_attr_get(void) {
  const char *name = some_attr(), *p = path();
  int s = slot();
  char b[300];
  size_t n = one_in(3) ? 0 : one_in(8) ? 3 : sizeof b;
  long r;
  switch (below(8)) {
    case 0: say("fgetxattr(s%d, %s, %zu)", s, name, n), r = fgetxattr(slots[s], name, b, n); break;
    case 1: say("lgetxattr(%s, %s, %zu)", p, name, n), r = lgetxattr(p, name, b, n); break;
    case 2: say("removexattr(%s, %s)", p, name), result(removexattr(p, name)); return;
    case 3: say("fremovexattr(s%d, %s)", s, name), result(fremovexattr(slots[s], name)); return;
    case 4: say("lremovexattr(%s, %s)", p, name), result(lremovexattr(p, name)); return;
    case 5: say("flistxattr(s%d, 0)", s), result(flistxattr(slots[s], NULL, 0)); return;
    case 6: say("llistxattr(%s, 0)", p), result(llistxattr(p, NULL, 0)); return;
    default: say("getxattr(%s, %s, %zu)", p, name, n), r = getxattr(p, name, b, n);
  }
  int e = errno;
  if (r > 0 && n > 0) say(" {%08x}", hash(b, r));
  errno = e;
  result(r);
}

// The same by directory and name.
static void op_attr_at(void) {
  const char *name = some_attr();
  static char value[300];
  struct {
    uint64_t value;
    uint32_t size, flags;
  } args = {(uintptr_t)value, one_in(3) ? 0 : below(40), one_in(2) ? 0 : below(4)};
  unsigned how = below(4), odd = one_in(20) ? 1u << below(16) : 0, size = one_in(20) ? 8 * below(4) : sizeof args;
  long r;
  memset(value, 'a' + at % 26, sizeof value);
  if (strncmp(name, "system.posix", 12) == 0 && how == 0) args.size = some_list(value);
  say("%sxattrat", (const char *[]){"set", "get", "list", "remove"}[how]);
  struct subject f = subject();
  say(", %#x, %s, %u, %u, %u)", odd, name, args.size, args.flags, size);
  f.flags |= odd;
  if (how == 0) r = syscall(463, f.dir, f.path, f.flags, name, &args, size);
  else if (how == 1) r = syscall(464, f.dir, f.path, f.flags, name, &args, size);
  else if (how == 2) r = syscall(465, f.dir, f.path, f.flags, NULL, 0);
  else r = syscall(466, f.dir, f.path, f.flags, name);
  int e = errno;
  if (r > 0 && how == 1 && args.size > 0) say(" {%08x}", hash(value, r));
  errno = e;
  result(r);
}

// FS_IOC_SETFLAGS is not for files of the host, FS_IOC_GETFLAGS shows what ext4 keeps for itself.
static void op_flags(void) {
  int s = slot(), set = one_in(2) && kind == TMPFS, v = 0;
  static const int some[] = {0, 0, FS_APPEND_FL, FS_IMMUTABLE_FL, FS_NODUMP_FL, FS_NOATIME_FL};
  if (kind != TMPFS) return (void)say("flags: none\n");
  if (set) v = PICK(some);
  say("ioctl(s%d, FS_IOC_%cETFLAGS, %#x)", s, set ? 'S' : 'G', v);
  long r = ioctl(slots[s], set ? FS_IOC_SETFLAGS : FS_IOC_GETFLAGS, &v);
  int e = errno;
  if (r == 0) say(" %#x", v);
  errno = e;
  result(r);
}

static void op_stat(void) {
  struct statx x;
  unsigned mask = one_in(3) ? 1u << below(16) : STATX_BASIC_STATS;
  memset(&x, 0, sizeof x);
  say("statx");
  struct subject f = subject();
  if (one_in(20)) f.flags |= 1 << below(16), say(" %#x", f.flags);
  say(", %#x)", mask);
  long r = statx(f.dir, f.path, f.flags, mask, &x);
  int e = errno;
  if (r == 0) {
    say(" %#o %u:%u n%u", x.stx_mode, x.stx_uid, x.stx_gid, S_ISDIR(x.stx_mode) ? 0 : x.stx_nlink);
    if (S_ISREG(x.stx_mode) || S_ISLNK(x.stx_mode)) say(" %lld", x.stx_size);
    if (kind < VOLUME) say(" mask %#x attributes %llx of %llx", x.stx_mask, x.stx_attributes, x.stx_attributes_mask);
  }
  errno = e;
  result(r);
}

static void op_access(void) {
  int mode = below(9);
  say("faccessat2");
  struct subject f = subject();
  if (one_in(2)) f.flags |= AT_EACCESS, say(" EACCESS");
  say(", %d)", mode), result(syscall(SYS_faccessat2, f.dir, f.path, mode, f.flags));
}

static void op_statfs(void) {
  struct statfs f;
  int s = slot(), by_path = one_in(2);
  const char *p = path();
  if (by_path) say("statfs(%s)", p);
  else say("fstatfs(s%d)", s);
  long r = by_path ? statfs(p, &f) : fstatfs(slots[s], &f);
  int e = errno;
  if (r == 0) say(" %lx %ld %lx", kind == ROOT ? 0L : (long)f.f_type, f.f_namelen, f.f_flags & ~0x20L);
  errno = e;
  result(r);
}
