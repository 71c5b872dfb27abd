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
