// Operations on mounts, in a namespace of the two processes.
#include "world.h"

static const struct flag mount_flags[] = {{"RDONLY", MS_RDONLY}, {"NOSUID", MS_NOSUID}, {"NODEV", MS_NODEV}, {"NOEXEC", MS_NOEXEC},
    {"REMOUNT", MS_REMOUNT}, {"NOATIME", MS_NOATIME}, {"NODIRATIME", MS_NODIRATIME}, {"BIND", MS_BIND}, {"MOVE", MS_MOVE},
    {"REC", MS_REC}, {"UNBINDABLE", MS_UNBINDABLE}, {"PRIVATE", MS_PRIVATE}, {"SLAVE", MS_SLAVE}, {"SHARED", MS_SHARED},
    {"RELATIME", MS_RELATIME}, {"STRICTATIME", MS_STRICTATIME}, {"NOSYMFOLLOW", 256}, {NULL, 0}};

static const char *mount_point(void) {
  static const char *const dirs[] = {"/a", "/d", "/a/c", "/d/e", "/a/b", "/b", "/f", "/d/a"};
  return PICK(dirs);
}

static void op_mount(void) {
  const char *from = mount_point(), *to = mount_point();
  static const unsigned long options[] = {MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_NOATIME, MS_NODIRATIME, MS_STRICTATIME, MS_RELATIME, 256};
  static const unsigned long types[] = {MS_PRIVATE, MS_SHARED, MS_SLAVE, MS_UNBINDABLE};
  unsigned long flags = 0, type = PICK(types);
  for (int n = below(3); n > 0; n--) flags |= PICK(options);
  unsigned how = below(10), rec = one_in(3) ? MS_REC : 0;
  const char *fs = "none";
  if (how < 2) flags |= MS_BIND | rec;
  else if (how == 2) fs = "tmpfs";
  else if (how == 3) flags = MS_MOVE;
  else if (how == 4) flags |= MS_REMOUNT | MS_BIND | (one_in(8) ? rec : 0);
  else if (how == 5) flags |= MS_REMOUNT, fs = "tmpfs";
  else if (how == 6) flags = type | rec;
  else {
    static const int umounts[] = {0, 0, MNT_DETACH, MNT_DETACH, MNT_EXPIRE, UMOUNT_NOFOLLOW, MNT_DETACH | MNT_EXPIRE, 64};
    int f = PICK(umounts);
    say("umount2(%s, %#x)", to, f), result(umount2(to, f));
    return;
  }
  // A remount of the file system itself would be one of the host's.
  if ((flags & (MS_REMOUNT | MS_BIND)) == MS_REMOUNT && kind != TMPFS) flags |= MS_BIND;
  say("mount(%s, %s, %s, ", from, to, fs), say_flags(mount_flags, flags), say(")");
  result(mount(from, to, fs, flags, NULL));
}

// The same by mount_setattr(2), open_tree(2), move_mount(2).
static void op_mount_tree(void) {
  const char *from = mount_point(), *to = mount_point();
  static const uint64_t attributes[] = {1, 2, 4, 8, 0x10, 0x20, 0x80, 0x200000, 0x40, 0x70, 1 << 10};
  static const uint64_t types[] = {MS_PRIVATE, MS_SHARED, MS_SLAVE, MS_UNBINDABLE, MS_SHARED | MS_SLAVE};
  struct {
    uint64_t set, clear, type, user_ns;
  } a = {0};
  unsigned rec = one_in(3) ? 0x8000 /* AT_RECURSIVE */ : 0, size = one_in(20) ? 8 * below(5) : sizeof a;
  for (int n = below(3); n > 0; n--) a.set |= PICK(attributes);
  for (int n = below(3); n > 0; n--) a.clear |= PICK(attributes);
  if (one_in(3)) a.clear |= 0x70;
  if (one_in(6)) a.type = PICK(types);
  if (one_in(2)) {
    say("mount_setattr(%s, %#x, +%#lx -%#lx %#lx, %u)", to, rec, a.set, a.clear, a.type, size);
    result(syscall(442, AT_FDCWD, to, rec, &a, size));
    return;
  }
  unsigned clone = one_in(4) ? 0 : 1, beneath = one_in(6) ? 0x200 : 0;
  say("open_tree(%s, %#x)", from, clone | rec);
  int fd = syscall(428, AT_FDCWD, from, clone | rec);
  if (outcome(fd) < 0) return;
  if (one_in(3)) {
    say("  mount_setattr(+%#lx -%#lx)", a.set, a.clear), a.type = 0;
    result(syscall(442, fd, "", AT_EMPTY_PATH | rec, &a, sizeof a));
  }
  say("  move_mount(%s, %#x)", to, 4 | beneath), result(syscall(429, fd, "", AT_FDCWD, to, 4 | beneath));
  close(fd);
}
