// Mounts with ids of their own (runtime-spec config.md, "uidMappings" of a mount; mount_setattr(2), ID-mapped mounts).
#define _GNU_SOURCE
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// The mappings are those of a user namespace, which lives as long as somebody has it: here a child that does nothing else.
static int make_user_namespace(int index) {
  char path[64];
  pid_t child = clone_into(CLONE_NEWUSER);
  if (child == 0) {
    die_with_parent();
    for (;;) pause();
  }
  int pid = number_in_proc(child);
  write_file(pid, "uid_map", opt.idmaps[index].uids);
  write_file(pid, "gid_map", opt.idmaps[index].gids);
  snprintf(path, sizeof path, "/proc/%d/ns/user", pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) die("cannot open %s", path);
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  return fd;
}

void map_tree(int tree, int index) {
  struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = make_user_namespace(index)};
  int recursive = opt.idmaps[index].recursive ? AT_RECURSIVE : 0;
  if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | recursive, &attr, sizeof attr) < 0)
    die("cannot map the ids of %s", opt.exports[index] + 3);
  close(attr.userns_fd);
}
