// The container's mounts in the mount namespace of its stub, for who looks there: hooks, `podman cp`, nsenter(1). Guests see those of the
// sandbox's kernel. A bind is the tree that the gofer gets; a tmpfs, which lives in the sentry, is covered by an empty one that
// in the end is read-only: what is written there by the host would be lost.
//
// All of them are unbindable: the gofer's clone of the root (hooks may have mounted something there) leaves them out.
#define _GNU_SOURCE
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int open_inside(const char *path) {
  struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT};
  return syscall(SYS_openat2, root_fd, path, &how, sizeof how);
}

// Where it is to be mounted, made with what is missing above it if that is asked for. -1: the sentry will say why.
static int open_point(const char *path, bool make, bool is_dir) {
  int fd = open_inside(path);
  const char *slash = strrchr(path, '/');
  if (fd >= 0 || errno != ENOENT || !make || slash == NULL) return fd;
  char up[PATH_MAX];
  if (slash - path >= PATH_MAX) return -1;
  memcpy(up, path, slash - path);
  up[slash - path] = 0;
  int parent = slash == path ? open_inside("/") : open_point(up, true, true);
  if (parent < 0) return -1;
  if (is_dir) {
    mkdirat(parent, slash + 1, 0755);
  } else {
    fd = openat(parent, slash + 1, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0755);
    if (fd >= 0) close(fd);
  }
  close(parent);
  return open_inside(path);
}

static int new_mount(const char *type, const char *key, const char *value) {
  int fs = syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);
  if (fs < 0) return -1;
  if (key) syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, key, value, 0);
  int fd = -1;
  if (syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
    fd = syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
  close(fs);
  return fd;
}

// A procfs of the PID namespace that L is in.
int make_proc(void) { return new_mount("proc", NULL, NULL); }

static void attach(int tree, int point) {
  struct mount_attr attr = {.propagation = MS_UNBINDABLE};
  if (point >= 0 && tree >= 0 && syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof attr) == 0)
    syscall(SYS_move_mount, tree, "", point, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
  if (tree >= 0) close(tree);
  if (point >= 0) close(point);
}

static bool is_dir(int fd) {
  struct stat st;
  return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

// `view=` is followed by '+' (the mount point may be made) or '-', a kind or the index of an export, and the path.
enum { KIND_TMPFS = -1, KIND_READ_ONLY = -2 };

static int kind_of(const char *entry, const char **path) {
  *path = strchr(entry, ':') + 1;
  return entry[1] == 't' ? KIND_TMPFS : entry[1] == 'r' ? KIND_READ_ONLY : (int)strtol(entry + 1, NULL, 10);
}

void clone_view(int to) {
  const char *path;
  for (int i = 0; i < opt.nview; i++) {
    int index = kind_of(opt.view[i], &path);
    if (index < 0) continue;
    int tree = clone_tree(index);
    send_fds(to, &tree, 1);
    close(tree);
  }
}

void mount_view(void) {
  mode_t mask = umask(0);
  attach(make_proc(), open_inside("/proc"));
  if (mover >= 0 && write(mover, "v", 1) != 1) die("the mover is gone");
  for (int i = 0; i < opt.nview; i++) {
    const char *path;
    bool make = opt.view[i][0] == '+';
    int tree, index = kind_of(opt.view[i], &path);
    if (index == KIND_READ_ONLY) continue;
    if (index == KIND_TMPFS) tree = new_mount("tmpfs", "mode", "755");
    else if (mover >= 0) receive_fds(mover, &tree, 1);
    else tree = clone_tree(index);
    if (tree >= 0) attach(tree, open_point(path, make, is_dir(tree)));
  }
  umask(mask);
}

void seal_view(void) {
  struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
  for (int i = 0; i < opt.nview; i++) {
    const char *path;
    if (kind_of(opt.view[i], &path) >= 0) continue;
    int fd = open_inside(path);
    if (fd < 0) continue;
    syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attr, sizeof attr); // EINVAL: it could not be covered
    close(fd);
  }
}
