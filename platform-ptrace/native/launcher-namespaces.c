// The namespaces of a container's stub (linux.namespaces of config.json, runtime-spec config-linux.md): those that are named
// by a path are joined, the others made, as runc does for a container's first process. Guests live in the sandbox's kernel;
// these are for hooks, engines and tools of the host, which know a container by its pid.
//
// A process is born into its PID namespace, so the process that the CLI started makes L, as the CLI's child, and ends. With
// a user namespace of the container's it stays as the mover until the gofer has its trees: it has the host's rights to walk
// to them, and L, whose root is somebody else on the host, has not.
#define _GNU_SOURCE
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

int root_fd = -1, mount_space_fd = -1, mover = -1;
bool in_user_namespace;

static pid_t session = -1; // L becomes the leader of a session because the process before it was

static void join(int type) {
  for (int i = 0; i < opt.njoined; i++) {
    if (opt.joined[i].type != type) continue;
    if (setns(opt.joined[i].fd, type) < 0) die("cannot join a namespace (0x%x)", type);
    if (type == CLONE_NEWUSER) in_user_namespace = true;
  }
}

static bool joins(int type) {
  for (int i = 0; i < opt.njoined; i++)
    if (opt.joined[i].type == type) return true;
  return false;
}

void send_fds(int to, const int *fds, int n) {
  char byte = 0, control[CMSG_SPACE(sizeof(int) * MAX_EXPORTS)] = "";
  struct iovec iov = {&byte, 1};
  struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control};
  m.msg_controllen = CMSG_SPACE(sizeof(int) * n);
  struct cmsghdr *c = CMSG_FIRSTHDR(&m);
  *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int) * n), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
  memcpy(CMSG_DATA(c), fds, sizeof(int) * n);
  if (sendmsg(to, &m, MSG_NOSIGNAL) < 0) die("cannot hand descriptors on");
}

void receive_fds(int from, int *fds, int n) {
  char byte, control[CMSG_SPACE(sizeof(int) * MAX_EXPORTS)] = "";
  struct iovec iov = {&byte, 1};
  struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  if (recvmsg(from, &m, MSG_CMSG_CLOEXEC) != 1) _exit(EXIT_CANNOT_START); // who should send has said why
  struct cmsghdr *c = CMSG_FIRSTHDR(&m);
  if (c == NULL || c->cmsg_len != CMSG_LEN(sizeof(int) * n)) die("not the descriptors that were expected");
  memcpy(fds, CMSG_DATA(c), sizeof(int) * n);
}

// With the host's root mounted over itself processes would be as in a chroot below it, and could make no user namespaces
// (current_chrooted()): that mount is made when the root is entered.
static bool is_hosts_root(void) { return strcmp(opt.root, "/") == 0; }

// The container's root has to be a mount of its own to become the root of L's mount namespace.
static int bind_root(void) {
  if (mount(opt.root, opt.root, NULL, MS_BIND | MS_REC, NULL) < 0) die("cannot mount %s", opt.root);
  // What is mounted over "/" is reached by "..".
  int fd = open(is_hosts_root() ? "/.." : opt.root, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) die("cannot open %s", opt.root);
  return fd;
}

// The mover: first the root, then the container's mounts, and once the hooks have run the gofer's trees.
static void move(int link, pid_t stub) __attribute__((noreturn));
static void move(int link, pid_t stub) {
  char byte;
  int trees[MAX_EXPORTS];
  while (read(link, &byte, 1) == 1) {
    int pidfd = syscall(SYS_pidfd_open, stub, 0);
    if (opt.new_namespaces & CLONE_NEWNS && setns(pidfd, CLONE_NEWNS) < 0) die("cannot enter the container's mounts");
    close(pidfd);
    if (byte == 'r') {
      int fd = bind_root();
      send_fds(link, &fd, 1);
      close(fd);
      continue;
    }
    if (byte == 'v') {
      clone_view(link);
      continue;
    }
    for (int i = 0; i < opt.nexports; i++) trees[i] = clone_tree(i);
    send_fds(link, trees, opt.nexports);
    break;
  }
  _exit(0);
}

void clone_trees(int trees[MAX_EXPORTS]) {
  if (mover < 0) {
    for (int i = 0; i < opt.nexports; i++) trees[i] = clone_tree(i);
    return;
  }
  if (write(mover, "t", 1) != 1) die("the mover is gone");
  receive_fds(mover, trees, opt.nexports);
}

// Inside, 0 is who has all rights; the process that made L has none that count there.
static void become_root(void) {
  if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0) die("the user namespace has no id 0");
  prctl(PR_SET_DUMPABLE, 1); // changing ids has cleared it: files of /proc/self would be somebody else's
  privileged = true;
}

// Returns in L, which is the caller unless L has to be born somewhere else. The CLI is told L's pid, and maps its ids.
void become_stub(void) {
  static const int with_own_rights[] = {CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWNET, CLONE_NEWCGROUP, CLONE_NEWTIME, CLONE_NEWPID};
  bool had_rights = privileged;
  open_outer_null();
  int link[2] = {-1, -1};
  struct msg m;
  if (!had_rights) join(CLONE_NEWUSER);
  for (unsigned i = 0; i < sizeof with_own_rights / sizeof *with_own_rights; i++) join(with_own_rights[i]);
  if (opt.network_fd >= 0) enter_network();
  if (opt.root) {
    root_fd = open(opt.root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root_fd < 0) die("cannot open %s", opt.root);
  }
  bool moves = had_rights && opt.nexports > 0 && (opt.new_namespaces & CLONE_NEWUSER || joins(CLONE_NEWUSER));
  unsigned long born_into = opt.new_namespaces & (CLONE_NEWUSER | CLONE_NEWPID);
  if (moves && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, link) < 0) die("socketpair");
  pid_t pid = 0;
  if (born_into || moves || joins(CLONE_NEWPID)) {
    session = getsid(0) == getpid() ? 0 : -1;
    pid = clone_into(born_into | CLONE_PARENT);
    if (pid > 0) {
      close(link[1]);
      send_msg(opt.create_fd, MSG_STUB, pid);
      if (moves) move(link[0], pid);
      _exit(0);
    }
    close(link[0]);
    mover = link[1];
    if (session == 0) setsid();
  } else {
    send_msg(opt.create_fd, MSG_STUB, getpid());
  }
  if (had_rights) join(CLONE_NEWUSER);
  if (opt.new_namespaces & CLONE_NEWUSER) {
    in_user_namespace = true;
    if (!recv_msg(opt.create_fd, &m) || m.type != MSG_GO) _exit(EXIT_CANNOT_START); // the ids are mapped
  }
  if (in_user_namespace) become_root();
}

// Offsets can be set until the first process is inside (time_namespaces(7)).
static void enter_time(void) {
  if (unshare(CLONE_NEWTIME) < 0) die("cannot make a time namespace");
  if (opt.time_offsets) {
    int fd = open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, opt.time_offsets, strlen(opt.time_offsets)) < 0) die("cannot set time offsets");
    close(fd);
  }
  int fd = open("/proc/self/ns/time_for_children", O_RDONLY | O_CLOEXEC);
  if (fd < 0 || setns(fd, CLONE_NEWTIME) < 0) die("cannot enter the time namespace");
  close(fd);
}

// Everything but the control group, which L is not yet in, and what hooks still find as it was: the root and the names.
void enter_namespaces(void) {
  unsigned long plain = opt.new_namespaces & (CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNS);
  if (plain && unshare(plain) < 0) die("cannot make namespaces");
  if (opt.new_namespaces & CLONE_NEWTIME) enter_time();
  if (!(opt.new_namespaces & CLONE_NEWNS)) return;
  if (mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL) < 0) die("cannot make mounts slaves");
  if (!opt.root) return;
  if (root_fd >= 0) close(root_fd);
  root_fd = -1;
  if (is_hosts_root()) return;
  if (mover < 0) {
    root_fd = bind_root();
  } else {
    if (write(mover, "r", 1) != 1) die("the mover is gone");
    receive_fds(mover, &root_fd, 1);
  }
  mount_view();
}

void enter_cgroup_namespace(void) {
  if (opt.new_namespaces & CLONE_NEWCGROUP && unshare(CLONE_NEWCGROUP) < 0) die("cannot make a cgroup namespace");
}

int joined_mount_namespace(void) {
  for (int i = 0; i < opt.njoined; i++)
    if (opt.joined[i].type == CLONE_NEWNS) return opt.joined[i].fd;
  return -1;
}

void take_names(void) {
  if (opt.hostname && sethostname(opt.hostname, strlen(opt.hostname)) < 0) die("cannot set the host name");
  if (opt.domainname && setdomainname(opt.domainname, strlen(opt.domainname)) < 0) die("cannot set the domain name");
}

// Who enters L's mount namespace finds the container's root. Where the root cannot be exchanged (on an initial ramfs), L's
// own root is all that changes.
void enter_root(void) {
  if (mount_space_fd >= 0 && setns(mount_space_fd, CLONE_NEWNS) < 0) die("cannot join the mount namespace");
  if (opt.new_namespaces & CLONE_NEWNS && opt.root && is_hosts_root()) root_fd = bind_root();
  if (root_fd >= 0) {
    if (fchdir(root_fd) < 0) die("cannot enter the container's root");
    if (opt.new_namespaces & CLONE_NEWNS && mount_space_fd < 0) {
      int proc = is_hosts_root() ? make_proc() : -1;
      if (!is_hosts_root()) seal_view();
      if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0) {
        if (chroot(".") < 0) die("cannot change the root");
      } else if (proc >= 0) {
        syscall(SYS_move_mount, proc, "", AT_FDCWD, "/proc", MOVE_MOUNT_F_EMPTY_PATH); // there may be no such directory
      }
      if (proc >= 0) close(proc);
    } else if (chroot(".") < 0) {
      die("cannot change the root");
    }
    if (chdir("/") < 0) die("chdir /");
  }
  if (root_fd >= 0) close(root_fd);
  if (mount_space_fd >= 0) close(mount_space_fd);
  root_fd = mount_space_fd = -1;
  errno = 0;
}
