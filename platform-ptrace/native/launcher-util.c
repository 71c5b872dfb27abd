// Helpers of the launcher's processes: messages, descriptors, capabilities, roots.
#define _GNU_SOURCE
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

void die(const char *fmt, ...) {
  char line[512];
  int n = snprintf(line, sizeof line, "runsc-ts: ");
  int error = errno;
  va_list ap;
  va_start(ap, fmt);
  n += vsnprintf(line + n, sizeof line - n, fmt, ap);
  va_end(ap);
  if (n > (int)sizeof line - 100) n = sizeof line - 100;
  if (error) n += snprintf(line + n, sizeof line - n, ": %s", strerror(error));
  if (opt.create_fd >= 0) {
    line[n] = 0;
    send_text(opt.create_fd, MSG_FAILED, EXIT_CANNOT_START, line + strlen("runsc-ts: "));
  }
  line[n++] = '\n';
  if (write(opt.log_fd >= 0 ? opt.log_fd : 2, line, n) < 0) _exit(EXIT_CANNOT_START);
  if (opt.log_fd >= 0 && write(2, line, n) < 0) _exit(EXIT_CANNOT_START);
  _exit(EXIT_CANNOT_START);
}

bool send_msg(int fd, int type, int value) {
  struct msg m = {type, value};
  return send(fd, &m, sizeof m, MSG_NOSIGNAL) == sizeof m;
}

void send_text(int fd, int type, int value, const char *text) {
  struct {
    struct msg head;
    char text[MAX_TEXT];
  } m = {{type, value}, ""};
  size_t n = strnlen(text, MAX_TEXT);
  memcpy(m.text, text, n);
  if (send(fd, &m, sizeof m.head + n, MSG_NOSIGNAL) < 0) return; // the CLI is gone
}

int recv_msg(int fd, struct msg *m) {
  for (;;) {
    ssize_t n = recv(fd, m, sizeof *m, 0);
    if (n == sizeof *m) return 1;
    if (n < 0 && errno == EINTR) continue;
    if (n > 0) continue; // malformed: the peer is not trusted, its message does not exist
    return 0;
  }
}

void place_fds(const struct place *places, int n) {
  enum { HIGH = 512 };
  int high[MAX_DONATED + 16], max = 2;
  for (int i = 0; i < n; i++) {
    high[i] = fcntl(places[i].from, F_DUPFD_CLOEXEC, HIGH);
    if (high[i] < 0) die("cannot move descriptor %d", places[i].from);
  }
  for (int i = 0; i < n; i++) {
    if (dup2(high[i], places[i].to) < 0) die("cannot place descriptor %d", places[i].to);
    if (places[i].to > max) max = places[i].to;
  }
  for (int i = 0; i < max; i++) { // gaps
    bool placed = i < 3;
    for (int j = 0; j < n; j++) placed |= places[j].to == i;
    if (!placed) close(i);
  }
  if (syscall(SYS_close_range, max + 1, ~0u, 0) < 0) die("close_range");
}

void drop_caps(uint64_t keep) {
  for (int cap = 0; cap <= 63; cap++) {
    if (keep >> cap & 1) continue;
    if (prctl(PR_CAPBSET_DROP, cap) < 0) {
      if (errno == EINVAL) break; // past the last capability of this kernel
      die("cannot drop capability %d", cap);
    }
  }
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  if (keep == 0 &&
      prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
                                   SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE |
                                   SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED) < 0)
    die("cannot set secure bits");
  struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2] = {{keep, keep, keep}, {keep >> 32, keep >> 32, keep >> 32}};
  if (syscall(SYS_capset, &head, data) < 0) die("cannot drop capabilities");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) die("cannot set no_new_privs");
}

// 1, not 0: with 0 a core_pattern helper would still be run, as root of the host.
void set_core_limit(void) {
  struct rlimit one = {1, 1}, now;
  if (getrlimit(RLIMIT_CORE, &now) == 0 && now.rlim_max < 1) one.rlim_cur = one.rlim_max = 0;
  if (setrlimit(RLIMIT_CORE, &one) < 0) die("cannot limit core dumps");
}

// As much as may be had, and that is `least`: the hard limit is raised where that is allowed. `option`: ulimit(1)'s.
static void want_limit(int nr, rlim_t wanted, rlim_t least, char option) {
  struct rlimit l;
  if (getrlimit(nr, &l) < 0) die("getrlimit");
  l.rlim_cur = wanted;
  if (l.rlim_max < wanted) {
    struct rlimit higher = {wanted, wanted};
    if (setrlimit(nr, &higher) == 0) return;
    l.rlim_cur = l.rlim_max;
  }
  errno = 0;
  if (l.rlim_cur < least)
    die("ulimit -H%c is %llu: a sandbox needs %llu", option, (unsigned long long)l.rlim_max, (unsigned long long)least);
  if (setrlimit(nr, &l) < 0) die("setrlimit");
}

// What the caller has limited is the guest kernel's affair, and would hit the sandbox's own processes: their memory is files, and
// with an unlimited stack address spaces are laid out the other way round (mmap_is_legacy()).
void set_own_limits(void) {
  enum { FILES = 65536, FILES_MIN = 2048, FILE_SIZE_MIN = 128 << 20, STACK = 8 << 20 };
  want_limit(RLIMIT_CPU, RLIM_INFINITY, 0, 't');
  want_limit(RLIMIT_RTTIME, RLIM_INFINITY, 0, 'R');
  want_limit(RLIMIT_FSIZE, RLIM_INFINITY, FILE_SIZE_MIN, 'f');
  want_limit(RLIMIT_DATA, RLIM_INFINITY, 0, 'd');
  want_limit(RLIMIT_AS, RLIM_INFINITY, 0, 'v');
  want_limit(RLIMIT_STACK, STACK, 0, 's');
  struct rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) < 0) die("getrlimit");
  if (files.rlim_cur < FILES) want_limit(RLIMIT_NOFILE, FILES, FILES_MIN, 'n');
}

void die_with_parent(void) {
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0) die("cannot set parent death signal");
}

// Mounting on top of "/" needs no directory of the host; names still resolve from the old root until the pivot.
int make_tmpfs(void) {
  int fs = syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
  if (fs < 0) die("fsopen tmpfs");
  syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "mode", "0555", 0);
  syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "size", "64k", 0);
  if (syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0) die("fsconfig tmpfs");
  int fd = syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
  if (fd < 0) die("fsmount tmpfs");
  close(fs);
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) die("cannot make mounts private");
  if (syscall(SYS_move_mount, fd, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0) die("cannot attach new root");
  return fd;
}

int move_root_into_tmpfs(int fd) {
  if (fchdir(fd) < 0) return -1;
  if (syscall(SYS_pivot_root, ".", ".") < 0) return -1;
  if (umount2(".", MNT_DETACH) < 0) return -1;
  struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
  if (syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attr, sizeof attr) < 0) return -1;
  close(fd);
  return chdir("/");
}

pid_t clone_into(unsigned long flags) {
  pid_t pid = syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
  if (pid < 0) die("cannot create namespaces");
  return pid;
}

// By descriptor: S cannot walk to the program when it lies below a directory that only the caller may enter.
void exec_node(const char *const *args, int argc, const char *variable) {
  const char *argv[MAX_ARGS + 2] = {"node"};
  for (int i = 0; i < argc; i++) argv[i + 1] = args[i];
  const char *envp[] = {"HOME=/",
                        "LC_ALL=C",
                        "UV_THREADPOOL_SIZE=1",
                        "MALLOC_ARENA_MAX=1",
                        // Huge pages for malloc: Node reads its heap snapshot into fresh memory twice, 4,000 page faults.
                        "GLIBC_TUNABLES=glibc.malloc.hugetlb=1",
                        variable,
                        NULL};
  syscall(SYS_execveat, node_fd, "", argv, envp, AT_EMPTY_PATH);
  die("cannot execute %s", opt.node);
}

// For a stub that changes its root: a descriptor from its own mount namespace would keep the old root's mounts.
static int outer_null = -1;
void open_outer_null(void) { outer_null = open("/dev/null", O_RDWR | O_CLOEXEC); }

void open_null_and_log(int *null_fd, int *log_fd) {
  *null_fd = outer_null >= 0 ? fcntl(outer_null, F_DUPFD_CLOEXEC, 3) : open("/dev/null", O_RDWR | O_CLOEXEC);
  if (*null_fd < 0) die("cannot open /dev/null");
  *log_fd = opt.log_fd >= 0 ? opt.log_fd : 2;
}
