// What the calls of calls.c find: namespaces and a root of their own, a small tree, descriptors of every kind at fixed numbers, processes.
// Nothing of the host can be reached from it: /proc is read-only, the rest are small tmpfs.
#ifndef CALL_WORLD_H
#define CALL_WORLD_H
#include "walk.h"
#include <grp.h>
#include <linux/capability.h>
#include <mqueue.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/timerfd.h>
#include <sys/un.h>

// An engine's usual set; what a walk may have besides: not those with which the host itself could be changed.
#define USUAL 0xa80425fbUL
#define ADMIN (USUAL | 1UL << 2 | 1UL << 9 | 1UL << 12 | 1UL << 14 | 1UL << 15 | 1UL << 19 | 1UL << 21 | 1UL << 23 | 1UL << 28)

#define FIRST_FD 20
static struct { const char *name; int fd; } world_fds[90];
static int world_fd_count;
static pid_t stopped, zombie;
static int ipc_sem, ipc_shm, ipc_msg;

static void keep(const char *name, int fd) {
  int to = FIRST_FD + world_fd_count;
  if (fd < 0) {
    out("no %s: %s\n", name, strerrorname_np(errno));
  } else {
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    dup2(fd, to), close(fd);
  }
  world_fds[world_fd_count].name = name, world_fds[world_fd_count++].fd = to;
}
static void keep_pair(const char *a, const char *b, int *fds) { keep(a, fds[0]), keep(b, fds[1]); }

static struct sockaddr_in loopback(int port) {
  return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

// Device nodes are made, not bound: their owner and mode are files', which calls change. Where calls make nodes, none can be opened.
static void make_root(void) {
  static const char *const nodes[] = {"dev/null", "dev/zero", "dev/full"};
  static const int minors[] = {3, 5, 7};
  mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
  if (mount("tmpfs", ".", "tmpfs", 0, "size=1m,nr_inodes=100,mode=755") < 0) out("no root %s\n", strerrorname_np(errno)), _exit(1);
  char *cwd = getcwd(NULL, 0);
  if (chdir(cwd) < 0) _exit(1);
  mkdir("proc", 0555), mkdir("dev", 0755), mkdir("dev/pts", 0755), mkdir("w", 0777);
  mount("proc", "proc", "proc", 0, NULL);
  mount(NULL, "proc", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL);
  for (int i = 0; i < 3; i++) mknod(nodes[i], S_IFCHR | 0666, makedev(1, minors[i])), chmod(nodes[i], 0666);
  mount("devpts", "dev/pts", "devpts", 0, "newinstance,ptmxmode=0666,mode=0620");
  symlink("pts/ptmx", "dev/ptmx");
  if (mount("tmpfs", "w", "tmpfs", MS_NODEV, "size=8m,nr_inodes=2000,mode=777") < 0 || chroot(".") < 0 || chdir("/w") < 0) _exit(1);
  if (access("/bin", F_OK) == 0 || access("/dev/kmsg", F_OK) == 0) out("the root of another\n"), _exit(1);
}

static void make_tree(void) {
  static char text[10000];
  memset(text, 't', sizeof text);
  int fd = open("a", O_RDWR | O_CREAT, 0666);
  write(fd, text, 9000), close(fd);
  fd = open("b", O_RDWR | O_CREAT, 0600), write(fd, "hello\n", 6), close(fd);
  mkdir("d", 0755), mkdir("d/e", 0700), mkdir("mnt", 0755), symlink("a", "l"), symlink("loop", "loop"), mkfifo("fifo", 0666);
  close(creat("d/x", 0644)), link("a", "d/hard"), close(creat("x", 0755));
}

static void make_files(void) {
  int fds[2];
  keep("file_r", open("a", O_RDONLY)), keep("file_w", open("a", O_WRONLY)), keep("file_rw", open("a", O_RDWR));
  keep("file_append", open("b", O_RDWR | O_APPEND)), keep("file_path", open("a", O_PATH)), keep("dir", open(".", O_RDONLY));
  keep("dir_d", open("d", O_RDONLY)), keep("dir_path", open("d", O_PATH)), keep("link_path", open("l", O_PATH | O_NOFOLLOW));
  keep("fifo", open("fifo", O_RDWR)), keep("null", open("/dev/null", O_RDWR)), keep("zero", open("/dev/zero", O_RDWR));
  keep("full", open("/dev/full", O_RDWR)), keep("status", open("/proc/self/status", O_RDONLY)), keep("proc_dir", open("/proc/self", O_RDONLY));
  keep("ns_uts", open("/proc/self/ns/uts", O_RDONLY)), keep("ns_net", open("/proc/self/ns/net", O_RDONLY));
  keep("ns_mnt", open("/proc/self/ns/mnt", O_RDONLY)), keep("ns_ipc", open("/proc/self/ns/ipc", O_RDONLY));
  pipe(fds), keep_pair("pipe_r", "pipe_w", fds);
  pipe(fds), write(fds[1], "hello", 5), keep_pair("pipe_full_r", "pipe_full_w", fds);
  pipe(fds), close(fds[0]), keep("pipe_broken", fds[1]);
  pipe(fds), close(fds[1]), keep("pipe_eof", fds[0]);
  int fd = memfd_create("m", MFD_ALLOW_SEALING);
  ftruncate(fd, 5000), keep("memfd", fd);
  fd = memfd_create("sealed", MFD_ALLOW_SEALING);
  ftruncate(fd, 5000), fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW), keep("memfd_sealed", fd);
  fd = open("/dev/ptmx", O_RDWR | O_NOCTTY);
  int zero = 0, n = -1;
  char name[40];
  ioctl(fd, TIOCSPTLCK, &zero), ioctl(fd, TIOCGPTN, &n);
  snprintf(name, sizeof name, "/dev/pts/%d", n);
  keep("pty_slave", open(name, O_RDWR | O_NOCTTY)), keep("pty_master", fd);
}

static void make_events(void) {
  sigset_t set;
  sigemptyset(&set), sigaddset(&set, SIGUSR2);
  int fd = epoll_create1(0);
  epoll_ctl(fd, EPOLL_CTL_ADD, world_fds[20].fd, &(struct epoll_event){.events = EPOLLIN | EPOLLOUT, .data.u64 = 77});
  keep("epoll", fd), keep("eventfd", eventfd(3, 0)), keep("timerfd", timerfd_create(CLOCK_MONOTONIC, 0));
  keep("signalfd", signalfd(-1, &set, 0)), keep("inotify", inotify_init1(0));
  struct mq_attr attr = {.mq_maxmsg = 4, .mq_msgsize = 64};
  keep("mqueue", mq_open("/queue", O_RDWR | O_CREAT, 0600, &attr));
}

static void make_sockets(void) {
  struct ifreq up = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
  int fds[2], s = socket(AF_INET, SOCK_DGRAM, 0);
  ioctl(s, SIOCSIFFLAGS, &up);
  struct sockaddr_in at = loopback(4000);
  bind(s, (void *)&at, sizeof at), keep("udp", s);
  s = socket(AF_INET, SOCK_DGRAM, 0), connect(s, (void *)&at, sizeof at), keep("udp_connected", s);
  keep("tcp", socket(AF_INET, SOCK_STREAM, 0));
  s = socket(AF_INET, SOCK_STREAM, 0), bind(s, (void *)&at, sizeof at), listen(s, 4);
  fds[0] = socket(AF_INET, SOCK_STREAM, 0), connect(fds[0], (void *)&at, sizeof at), fds[1] = accept(s, NULL, NULL);
  keep("tcp_listening", s), keep_pair("tcp_client", "tcp_server", fds);
  keep("tcp6", socket(AF_INET6, SOCK_STREAM, 0)), keep("udp6", socket(AF_INET6, SOCK_DGRAM, 0));
  keep("netlink", socket(AF_NETLINK, SOCK_RAW, 0)), keep("unix", socket(AF_UNIX, SOCK_STREAM, 0)), keep("unix_dgram", socket(AF_UNIX, SOCK_DGRAM, 0));
  socketpair(AF_UNIX, SOCK_STREAM, 0, fds), write(fds[1], "hello", 5), keep_pair("unix_a", "unix_b", fds);
  socketpair(AF_UNIX, SOCK_DGRAM, 0, fds), write(fds[1], "hello", 5), keep_pair("dgram_a", "dgram_b", fds);
  socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), close(fds[1]), keep("seqpacket_alone", fds[0]);
  s = socket(AF_UNIX, SOCK_STREAM, 0);
  struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "sock"};
  bind(s, (void *)&un, sizeof un), listen(s, 2), keep("unix_listening", s);
}

static void make_mounts(void) {
  int fd = syscall(SYS_fsopen, "tmpfs", 0);
  keep("context_new", syscall(SYS_fsopen, "tmpfs", 0)), keep("context_devpts", syscall(SYS_fsopen, "devpts", 0));
  syscall(SYS_fsconfig, fd, 6, NULL, NULL, 0), keep("mount_new", syscall(SYS_fsmount, fd, 0, 0)), close(fd);
  fd = syscall(SYS_fsopen, "tmpfs", 0), syscall(SYS_fsconfig, fd, 6, NULL, NULL, 0), keep("context_made", fd);
  keep("context_picked", syscall(SYS_fspick, AT_FDCWD, "/dev/pts", 0));
  keep("mount_tree", syscall(SYS_open_tree, AT_FDCWD, "/w/d", OPEN_TREE_CLONE)), keep("mount_in_use", open("/dev/pts", O_PATH));
}

static void make_processes(void) {
  if ((stopped = fork()) == 0) {
    setpgid(0, 0), prctl(PR_SET_PDEATHSIG, SIGKILL);
    raise(SIGSTOP), _exit(0);
  }
  waitpid(stopped, NULL, WUNTRACED);
  if ((zombie = fork()) == 0) _exit(3);
  waitid(P_PID, zombie, &(siginfo_t){0}, WEXITED | WNOWAIT);
  keep("pidfd_stopped", syscall(SYS_pidfd_open, stopped, 0)), keep("pidfd_zombie", syscall(SYS_pidfd_open, zombie, 0));
}

// `kind` 0 may administrate its namespaces, 1 has what containers have, 2 is nobody.
static void make_world(int kind) {
  unsigned long caps = kind == 0 ? ADMIN : USUAL;
  close_range(3, ~0U, 0), umask(022), signal(SIGPIPE, SIG_IGN);
  setsid();
  if (unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC) < 0) out("no namespaces\n"), _exit(1);
  sethostname("walk", 4), setdomainname("(none)", 6);
  make_root(), make_tree(), make_files(), make_sockets(), make_mounts();
  ipc_sem = semget(77, 3, IPC_CREAT | 0600), ipc_shm = shmget(77, 8192, IPC_CREAT | 0600), ipc_msg = msgget(77, IPC_CREAT | 0600);
  msgsnd(ipc_msg, &(struct { long type; char text[8]; }){3, "message"}, 8, 0);
  static const struct { int what; long most; } limits[] = {{RLIMIT_CORE, 0}, {RLIMIT_FSIZE, 1 << 20}, {RLIMIT_AS, 256 << 20},
      {RLIMIT_NOFILE, 128}, {RLIMIT_MEMLOCK, 64 << 10}, {RLIMIT_RTPRIO, 0}, {RLIMIT_NICE, 0}, {RLIMIT_MSGQUEUE, 819200}, {RLIMIT_SIGPENDING, 1000}};
  for (int i = 0; i < sizeof limits / sizeof *limits; i++) setrlimit(limits[i].what, &(struct rlimit){limits[i].most, limits[i].most});
  signal(SIGXFSZ, SIG_IGN);
  syscall(SYS_keyctl, 1, NULL);
  for (int c = 0; c < 41; c++)
    if (!(caps >> c & 1)) prctl(PR_CAPBSET_DROP, c);
  if (kind == 2) setgroups(0, NULL), setresgid(1000, 1000, 1000), setresuid(1000, 1000, 1000), prctl(PR_SET_DUMPABLE, 1);
  else {
    struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct d[2] = {{caps, caps, 0}, {caps >> 32, caps >> 32, 0}};
    setgroups(0, NULL);
    if (syscall(SYS_capset, &h, d) != 0) out("no capset\n"), _exit(1);
  }
  make_events(), make_processes();
}
#endif
