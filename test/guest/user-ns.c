// User namespaces of the unprivileged: maps, capabilities and what they reach, ids seen from both sides, setns.
#include "guest.h"
#include <grp.h>
#include <linux/capability.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mount.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#define UID 1234
#define GID 2345

static long put(const char *what, const char *file, const char *text) {
  int fd = open(file, O_WRONLY);
  if (fd < 0) return ret(what, -1);
  long r = write(fd, text, strlen(text));
  int e = errno;
  close(fd);
  errno = e;
  return ret(what, r);
}

static void show(const char *file) {
  char buf[200] = {0};
  const char *name = strrchr(file, '/') + 1;
  int fd = open(file, O_RDONLY);
  if (fd < 0 || read(fd, buf, 199) < 0) say("%s: %s", name, strerrorname_np(errno));
  else say("%s: %s", name, strtok(buf, "\n") ? buf : "");
  close(fd);
}

static void caps(const char *what) {
  struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct d[2];
  syscall(SYS_capget, &h, d);
  say("%s: capabilities %s", what, d[0].effective == 0 ? "none" : d[0].effective == ~0U ? "all" : "some");
}

static void ids(const char *what) {
  gid_t g[8];
  int n = getgroups(8, g);
  say("%s: %d %d %d %d, %d groups", what, getuid(), geteuid(), getgid(), getegid(), n);
}

static void become_user(void) {
  setgroups(0, NULL);
  if (setresgid(GID, GID, GID) || setresuid(UID, UID, UID)) _exit(99);
  prctl(PR_SET_DUMPABLE, 1);
}

static void map_self(void) {
  char text[64];
  sprintf(text, "0 %d 1", UID);
  put("uid_map", "/proc/self/uid_map", text);
  put("setgroups", "/proc/self/setgroups", "deny");
  sprintf(text, "0 %d 1", GID);
  put("gid_map", "/proc/self/gid_map", text);
}

static void alone(void) {
  become_user();
  ret("uts without a user namespace", unshare(CLONE_NEWUTS));
  ret("unshare", unshare(CLONE_NEWUSER));
  ids("unmapped");
  caps("unmapped");
  show("/proc/self/uid_map");
  show("/proc/self/setgroups");
  put("map of another", "/proc/self/uid_map", "0 0 1");
  put("map of many", "/proc/self/uid_map", "0 1234 10");
  put("map of nonsense", "/proc/self/uid_map", "0 x 1");
  put("gid_map before deny", "/proc/self/gid_map", "0 2345 1");
  map_self();
  put("uid_map again", "/proc/self/uid_map", "0 1234 1");
  put("setgroups allow", "/proc/self/setgroups", "allow");
  ids("mapped");
  caps("mapped");
  show("/proc/self/uid_map");
  show("/proc/self/gid_map");
  ret("setgroups", setgroups(0, NULL));
  ret("setuid to nobody", setuid(5));
  ret("setuid to oneself", setuid(0));
  struct utsname u;
  uname(&u);
  ret("host name outside", sethostname("x", 1));
  ret("mount outside", mount("none", "/tmp", "tmpfs", 0, NULL));
  ret("nice", setpriority(PRIO_PROCESS, 0, -5));
  ret("chroot", chroot("/"));
  ret("kill of another's", kill(getppid(), 0));
  ret("its memory", open("/proc/1/mem", O_RDONLY));
  ret("a file of root", open("secret", O_RDONLY));
  ret("chown of one's own", chown("mine", 0, 0));
  ret("chown to nobody", chown("mine", 7, 7));
  ret("chmod of root's", chmod("secret", 0777));
  struct stat st;
  stat("secret", &st);
  say("root's file: %d %d", st.st_uid, st.st_gid);
  stat("mine", &st);
  say("my file: %d %d", st.st_uid, st.st_gid);
  ret("device node", mknod("node", S_IFCHR | 0600, 0x103));
  ret("uts", unshare(CLONE_NEWUTS));
  ret("host name inside", sethostname("inside", 6));
  ret("nested", unshare(CLONE_NEWUSER));
  ids("nested");
  put("nested uid_map", "/proc/self/uid_map", "77 0 1");
  ids("nested and mapped");
  show("/proc/self/uid_map");
  ret("host name of the parent's", sethostname("x", 1));
}

static void mounting(void) {
  become_user();
  ret("unshare", unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWPID));
  map_self();
  ret("private", mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
  mkdir("d", 0700);
  ret("tmpfs", mount("none", "d", "tmpfs", 0, "mode=755"));
  struct stat st;
  stat("d", &st);
  say("its owner: %d %d", st.st_uid, st.st_gid);
  ret("file there", open("d/f", O_CREAT | O_RDWR, 0600));
  ret("remount", mount("none", "d", NULL, MS_REMOUNT | MS_RDONLY, "mode=755"));
  ret("file in it read-only", open("d/g", O_CREAT | O_RDWR, 0600));
  ret("bind", mount("d", "d", NULL, MS_BIND, NULL));
  ret("umount of the bind", umount("d"));
  ret("umount", umount("d"));
  ret("umount of what came along", umount("/proc"));
  ret("bind what hides something", mount("/", "d", NULL, MS_BIND, NULL));
  ret("bind it all", mount("/", "d", NULL, MS_BIND | MS_REC, NULL));
  ret("bind below", umount2("d", MNT_DETACH));
  ret("shared memory", shmget(4711, 4096, IPC_CREAT | 0600) >= 0 ? 0 : -1);
  pid_t p = fork();
  if (p == 0) {
    say("pid %d", getpid());
    _exit(0);
  }
  wait_say("init", p);
}

static int pipes[2][2];
static void ready(void) { if (write(pipes[0][1], "x", 1) != 1) _exit(98); }
static void wait_for(int i) { char c; if (read(pipes[i][0], &c, 1) != 1) _exit(97); }

static void by_root(void) {
  if (pipe(pipes[0]) || pipe(pipes[1])) return;
  pid_t p = fork();
  if (p == 0) {
    ret("unshare", unshare(CLONE_NEWUSER));
    ids("root unmapped");
    caps("root unmapped");
    ready();
    wait_for(1);
    ids("root mapped");
    gid_t g[2] = {3, 4};
    ret("setgroups", setgroups(2, g));
    ret("setresgid", setresgid(5, 5, 5));
    ret("setresuid", setresuid(7, 7, 7));
    ids("user 7");
    caps("user 7");
    ret("back", setuid(0));
    ret("beyond", setuid(1000));
    int fd = open("by7", O_CREAT | O_RDWR, 0600);
    struct stat st;
    fstat(fd, &st);
    say("inside: %d %d", st.st_uid, st.st_gid);
    _exit(0);
  }
  wait_for(0);
  char file[64];
  sprintf(file, "/proc/%d/uid_map", p);
  put("two ranges", file, "0 100000 10\n10 200000 5\n");
  show(file);
  sprintf(file, "/proc/%d/gid_map", p);
  put("overlapping", file, "0 100000 10\n5 200000 5\n");
  put("gid_map", file, "0 100000 10\n");
  if (write(pipes[1][1], "x", 1) != 1) return;
  wait_say("child", p);
  struct stat st;
  stat("by7", &st);
  say("outside: %d %d", st.st_uid, st.st_gid);
}

static void identities(void) {
  int sv[2], on = 1;
  if (socketpair(AF_UNIX, SOCK_DGRAM, 0, sv)) return;
  setsockopt(sv[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
  become_user();
  ret("unshare", unshare(CLONE_NEWUSER));
  map_self();
  struct ucred c = {getpid(), 0, 0};
  char ctl[CMSG_SPACE(sizeof c)] = {0}, byte = 'x';
  struct iovec iov = {&byte, 1};
  struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof ctl};
  struct cmsghdr *h = CMSG_FIRSTHDR(&m);
  h->cmsg_level = SOL_SOCKET;
  h->cmsg_type = SCM_CREDENTIALS;
  h->cmsg_len = CMSG_LEN(sizeof c);
  memcpy(CMSG_DATA(h), &c, sizeof c);
  ret("send as root", sendmsg(sv[0], &m, 0));
  c.uid = 5;
  memcpy(CMSG_DATA(h), &c, sizeof c);
  ret("send as nobody", sendmsg(sv[0], &m, 0));
  ret("receive", recvmsg(sv[1], &m, 0));
  memcpy(&c, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof c);
  say("from %d %d", c.uid, c.gid);
  siginfo_t si;
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigprocmask(SIG_BLOCK, &set, NULL);
  kill(getpid(), SIGUSR1);
  if (sigwaitinfo(&set, &si) == SIGUSR1) say("signal from %d", si.si_uid);
  int id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
  struct shmid_ds ds;
  shmctl(id, IPC_STAT, &ds);
  say("segment of %d %d by %d", ds.shm_perm.uid, ds.shm_perm.gid, ds.shm_perm.cuid);
  ds.shm_perm.uid = 9;
  ret("segment to nobody", shmctl(id, IPC_SET, &ds));
  shmctl(id, IPC_RMID, NULL);
}

static void joining(void) {
  if (pipe(pipes[0]) || pipe(pipes[1])) return;
  become_user();
  pid_t p = fork();
  if (p == 0) {
    if (unshare(CLONE_NEWUSER | CLONE_NEWUTS | CLONE_NEWNS)) _exit(1);
    int fd = open("/proc/self/uid_map", O_WRONLY);
    if (write(fd, "0 1234 1", 8) != 8) _exit(2);
    if (sethostname("theirs", 6)) _exit(3);
    prctl(PR_SET_DUMPABLE, 1);
    ready();
    wait_for(1);
    _exit(0);
  }
  wait_for(0);
  char file[64];
  int fds[4];
  const char *names[] = {"user", "uts", "mnt", "ipc"};
  for (int i = 0; i < 4; i++) {
    sprintf(file, "/proc/%d/ns/%s", p, names[i]);
    fds[i] = open(file, O_RDONLY);
  }
  is("opened", fds[0] >= 0 && fds[1] >= 0 && fds[2] >= 0 && fds[3] >= 0);
  is("user type", ioctl(fds[0], NS_GET_NSTYPE) == CLONE_NEWUSER);
  is("uts type", ioctl(fds[1], NS_GET_NSTYPE) == CLONE_NEWUTS);
  uid_t owner = 1;
  ret("owner", ioctl(fds[0], NS_GET_OWNER_UID, &owner));
  say("owned by %d", owner);
  ret("owner of uts", ioctl(fds[1], NS_GET_OWNER_UID, &owner));
  int user = ioctl(fds[1], NS_GET_USERNS);
  struct stat a, b;
  fstat(user, &a);
  fstat(fds[0], &b);
  is("uts belongs to it", user >= 0 && a.st_ino == b.st_ino && a.st_dev == b.st_dev);
  int parent = ioctl(fds[0], NS_GET_PARENT);
  stat("/proc/self/ns/user", &b);
  fstat(parent, &a);
  is("parent", parent >= 0 && a.st_ino == b.st_ino);
  ret("parent of uts", ioctl(fds[1], NS_GET_PARENT));
  ret("unknown query", ioctl(fds[1], 0xb7ff));
  ret("uts from outside", setns(fds[1], CLONE_NEWUTS));
  ret("wrong type", setns(fds[0], CLONE_NEWUTS));
  ret("own user namespace", setns(open("/proc/self/ns/user", O_RDONLY), 0));
  ret("join user", setns(fds[0], CLONE_NEWUSER));
  ids("joined");
  caps("joined");
  ret("join again", setns(fds[0], 0));
  ret("join uts", setns(fds[1], 0));
  struct utsname u;
  uname(&u);
  say("host name %s", u.nodename);
  ret("join mnt", setns(fds[2], CLONE_NEWNS));
  ret("join ipc of the parent's", setns(fds[3], 0));
  ret("parent from inside", ioctl(fds[0], NS_GET_PARENT));
  ret("owner from inside", ioctl(fds[0], NS_GET_OWNER_UID, &owner));
  say("owned by %d", owner);
  if (write(pipes[1][1], "x", 1) != 1) return;
  wait_say("child", p);
}

static void joining_process(void) {
  if (pipe(pipes[0]) || pipe(pipes[1])) return;
  pid_t p = fork();
  if (p == 0) {
    if (unshare(CLONE_NEWUTS | CLONE_NEWIPC)) _exit(1);
    if (sethostname("byfd", 4)) _exit(3);
    ready();
    wait_for(1);
    _exit(0);
  }
  wait_for(0);
  int fd = syscall(SYS_pidfd_open, p, 0);
  ret("no flags", setns(fd, 0));
  ret("unknown flags", setns(fd, 1));
  ret("uts and ipc", setns(fd, CLONE_NEWUTS | CLONE_NEWIPC));
  struct utsname u;
  uname(&u);
  say("host name %s", u.nodename);
  if (write(pipes[1][1], "x", 1) != 1) return;
  wait_say("child", p);
  ret("of a zombie", setns(fd, CLONE_NEWUTS));
}

static void executing(void) {
  become_user();
  ret("unshare", unshare(CLONE_NEWUSER));
  map_self();
  pid_t p = fork();
  if (p == 0) {
    execl("/bin/grep", "grep", "-E", "^(Uid|Gid|CapEff)", "/proc/self/status", NULL);
    _exit(9);
  }
  wait_say("grep", p);
}

static void jailed(void) {
  ret("chroot", chroot("/tmp"));
  ret("user namespace in a chroot", unshare(CLONE_NEWUSER));
}

static void cloned(void) {
  become_user();
  int st;
  pid_t p = syscall(SYS_clone, CLONE_NEWUSER | CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);
  if (p == 0) {
    say("child %d: uid %d", getpid(), getuid());
    caps("child");
    _exit(0);
  }
  waitpid(p, &st, 0);
  ret("user and fs", syscall(SYS_clone, CLONE_NEWUSER | CLONE_FS | SIGCHLD, 0, 0, 0, 0));
  ret("uts alone", syscall(SYS_clone, CLONE_NEWUTS | SIGCHLD, 0, 0, 0, 0));
}

// Linux allows 33 below the first; this may begin some levels down.
static void nested(void) {
  int depth = 0;
  while (depth < 100 && unshare(CLONE_NEWUSER) == 0) {
    const char *files[] = {"/proc/self/uid_map", "/proc/self/setgroups", "/proc/self/gid_map"};
    for (int i = 0; i < 3; i++) {
      int fd = open(files[i], O_WRONLY);
      if (write(fd, i == 1 ? "deny" : "0 0 1", i == 1 ? 4 : 5) < 0) ret(files[i], -1);
      close(fd);
    }
    depth++;
  }
  say("%s", strerrorname_np(errno));
  is("deep", depth >= 25 && depth <= 33);
}

int main(void) {
  chmod(".", 0777);
  int fd = open("secret", O_CREAT | O_RDWR, 0600);
  close(fd);
  fd = open("mine", O_CREAT | O_RDWR, 0600);
  if (fchown(fd, UID, GID)) return 1;
  close(fd);
  in_child("alone", alone);
  in_child("mounting", mounting);
  in_child("by root", by_root);
  in_child("identities", identities);
  in_child("joining", joining);
  in_child("joining a process", joining_process);
  in_child("executing", executing);
  in_child("jailed", jailed);
  in_child("cloned", cloned);
  in_child("nested", nested);
  return 0;
}
