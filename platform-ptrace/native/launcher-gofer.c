// G, the gofer: Node in namespaces of its own, whose root holds the exported trees and nothing else.
#define _GNU_SOURCE
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// Files of every owner have to be served with their owners and modes; nothing else is privileged about it.
#define GOFER_CAPS                                                                                            \
  (1u << CAP_CHOWN | 1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH | 1u << CAP_FOWNER | 1u << CAP_FSETID)

void gofer_main(void) {
  struct msg m;
  die_with_parent();
  close_launcher_ends();
  if (!recv_msg(gofer_ctl[1], &m)) _exit(0); // the id maps are written
  if (privileged ? !drop_groups() : setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
    die("cannot take the gofer's ids");
  setsid();
  if (chdir("/") < 0) die("chdir /");
  umask(0);
  int null_fd, log_fd;
  open_null_and_log(&null_fd, &log_fd);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  enum { NODE = GOFER_DIST_FD + 1 };
  struct place places[] = {
      {null_fd, 0},
      {log_fd, 1},
      {log_fd, 2},
      {gofer_ctl[1], GOFER_CONTROL_FD},
      {gofer_link[1], GOFER_SENTRY_FD},
      {opt.gofer_config_fd, GOFER_CONFIG_FD},
      {dist_fd, GOFER_DIST_FD},
      {node_fd, NODE},
  };
  place_fds(places, 8);
  opt.create_fd = -1;
  node_fd = NODE;
  fcntl(node_fd, F_SETFD, FD_CLOEXEC);
  opt.log_fd = -1;
  drop_caps(GOFER_CAPS);
  die_with_parent();
  struct pollfd control = {GOFER_CONTROL_FD, POLLIN, 0};
  if (poll(&control, 1, 0) > 0 && control.revents & POLLHUP) _exit(0); // L was gone before
  exec_node(opt.gofer_argv, opt.gofer_argc, NULL);
}

int open_path_tree(const char *path, bool recursive) {
  int flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;
  int tree = syscall(SYS_open_tree, AT_FDCWD, path, flags | (recursive ? AT_RECURSIVE : 0));
  // What a greater user namespace has mounted there cannot be taken off (has_locked_children()).
  if (tree < 0 && errno == EINVAL && !recursive) tree = syscall(SYS_open_tree, AT_FDCWD, path, flags | AT_RECURSIVE);
  if (tree < 0) die("cannot export %s", path);
  return tree;
}

// What config.json says of one mount, as far as the host's kernel has to know it. Mounts of a greater user namespace keep what they
// have: guests get its errors then.
static void set_flags(int tree, const char *letters) {
  static const struct {
    char letter;
    uint64_t set, clear;
  } all[] = {{'w', 0, MOUNT_ATTR_RDONLY},
             {'x', 0, MOUNT_ATTR_NOEXEC},
             {'d', MOUNT_ATTR_NODIRATIME, 0},
             {'n', MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME},
             {'s', MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME},
             {'r', MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME}};
  for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
    if (strchr(letters, all[i].letter) == NULL) continue;
    struct mount_attr attr = {.attr_set = all[i].set, .attr_clr = all[i].clear};
    if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr, sizeof attr) < 0 && errno != EPERM)
      die("cannot set the flags of a mount");
  }
}

// One export: a private clone of the tree, without devices and setuid.
int clone_tree(int index) {
  const char *spec = opt.exports[index];
  bool read_only = strncmp(spec, "ro:", 3) == 0;
  const char *path = spec + 3;
  const char *alone = opt.alone[index];
  int tree = opt.overlays[index] ? make_overlay(path, opt.overlays[index]) : open_path_tree(path, alone == NULL);
  if (alone) set_flags(tree, alone);
  struct mount_attr attr = {
      .attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | (read_only ? MOUNT_ATTR_RDONLY : 0),
      .propagation = MS_PRIVATE,
  };
  if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof attr) < 0)
    die("cannot restrict the mount of %s", path);
  if (opt.idmaps[index].uids) map_tree(tree, index);
  return tree;
}

// Attaches a tree as /N of the new root.
static void attach_tree(int root, int index, int tree) {
  char name[16];
  struct stat st;
  snprintf(name, sizeof name, "%d", index);
  if (fstat(tree, &st) < 0) die("cannot stat export %d", index);
  if (S_ISDIR(st.st_mode)) {
    if (mkdirat(root, name, 0555) < 0) die("mkdir %s", name);
  } else {
    int fd = openat(root, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0444);
    if (fd < 0) die("create %s", name);
    close(fd);
  }
  if (syscall(SYS_move_mount, tree, "", root, name, MOVE_MOUNT_F_EMPTY_PATH) < 0)
    die("cannot attach export %d", index);
  close(tree);
}

// The gofer's own procfs, for reopening its O_PATH descriptors; only its own PID namespace is in it.
static void attach_proc(int root) {
  if (mkdirat(root, "proc", 0555) < 0) die("mkdir proc");
  int fs = syscall(SYS_fsopen, "proc", FSOPEN_CLOEXEC);
  if (fs < 0) die("fsopen proc");
  syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "subset", "pid", 0);
  if (syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0) die("cannot make the gofer's procfs");
  int fd =
      syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
  if (fd < 0 || syscall(SYS_move_mount, fd, "", root, "proc", MOVE_MOUNT_F_EMPTY_PATH) < 0)
    die("cannot attach the gofer's procfs");
  close(fd);
  close(fs);
}

// Undoes mountinfo's escapes (\040 and the like) in place.
static void unescape(char *s) {
  char *to = s;
  for (; *s; s++) {
    if (s[0] == '\\' && s[1] && s[2] && s[3]) {
      *to++ = (s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0');
      s += 3;
    } else {
      *to++ = *s;
    }
  }
  *to = 0;
}

// The host's procfs, sysfs and the like are no files to be served: uncovered where they are mounted inside a tree, or
// covered where unmounting is not ours to do (mounts that a user namespace has inherited). Runs in the new root.
static void remove_pseudo_file_systems(void) {
  static const char *const types[] = {"proc",       "sysfs",    "devtmpfs", "devpts",     "cgroup",  "cgroup2",
                                      "mqueue",     "debugfs",  "tracefs",  "securityfs", "bpf",     "pstore",
                                      "configfs",   "fusectl",  "efivarfs", "binfmt_misc", "autofs", "hugetlbfs",
                                      "rpc_pipefs", "selinuxfs"};
  static char line[8192], point[4096], type[64];
  FILE *mounts = fopen("/proc/self/mountinfo", "re");
  if (mounts == NULL) die("cannot read the gofer's mounts");
  while (fgets(line, sizeof line, mounts)) {
    char *dash = strstr(line, " - ");
    if (dash == NULL || sscanf(line, "%*s %*s %*s %*s %4095s", point) != 1 || sscanf(dash, " - %63s", type) != 1)
      continue;
    unescape(point);
    if (point[1] < '0' || point[1] > '9' || strchr(point + 1, '/') == NULL) continue; // not inside an export
    for (unsigned i = 0; i < sizeof types / sizeof *types; i++) {
      if (strcmp(type, types[i]) != 0 || umount2(point, MNT_DETACH | UMOUNT_NOFOLLOW) == 0) continue;
      // ENOENT, EINVAL too: it went with one above it.
      if (access(point, F_OK) == 0) mount("none", point, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=4k");
    }
  }
  fclose(mounts);
}

static void build_root(int trees[MAX_EXPORTS]) {
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) die("cannot make mounts private");
  // All clones first: a clone of "/" must not contain the new root on top of it.
  if (!privileged) clone_trees(trees);
  int root = make_tmpfs();
  for (int i = 0; i < opt.nexports; i++) attach_tree(root, i, trees[i]);
  attach_proc(root);
  if (move_root_into_tmpfs(root) < 0) die("cannot change the gofer's root");
  remove_pseudo_file_systems();
}

// Root of a user namespace only has no rights over the mounts it was born with, but over a copy of them.
static void own_mounts(void) {
  int fd = syscall(SYS_open_tree, AT_FDCWD, "/", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (fd >= 0) close(fd);
  else if (errno == EPERM && unshare(CLONE_NEWNS) < 0) die("cannot copy the mounts");
}

// Changes the root of G from outside, so that G itself never holds CAP_SYS_ADMIN. The process that mounts must be
// in G's PID namespace (its procfs), its parent not (G would have to reap it).
void pivot_gofer(pid_t gofer) {
  int status;
  pid_t helper = fork();
  if (helper < 0) die("fork");
  if (helper == 0) {
    die_with_parent();
    int trees[MAX_EXPORTS];
    // What hooks have mounted is there in L's mount namespace. Without rights of its own L has them in the gofer's only.
    if (privileged) {
      own_mounts();
      clone_trees(trees);
    }
    int pidfd = syscall(SYS_pidfd_open, gofer, 0);
    int spaces = CLONE_NEWNS | CLONE_NEWPID | (privileged ? 0 : CLONE_NEWUSER);
    if (pidfd < 0 || setns(pidfd, spaces) < 0) die("cannot enter the gofer's namespaces");
    pid_t inner = fork();
    if (inner < 0) die("fork");
    if (inner == 0) {
      build_root(trees);
      _exit(0);
    }
    if (waitpid(inner, &status, 0) != inner || status != 0) _exit(EXIT_CANNOT_START);
    _exit(0);
  }
  if (waitpid(helper, &status, 0) != helper || status != 0) {
    kill(gofer, SIGKILL);
    _exit(EXIT_CANNOT_START); // the helper has said why
  }
}
