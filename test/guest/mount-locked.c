// Mounts seen from a lesser user namespace: locked ones, locked flags, what may be mounted; pivot_root's and chroot's rules.
#pragma GCC diagnostic ignored "-Wunused-result"
#include "guest.h"
#include <sched.h>
#include <sys/mount.h>
#include <sys/statvfs.h>

#define pivot(a, b) syscall(SYS_pivot_root, a, b)
struct attr { uint64_t set, clr, propagation, userns; };

static void put(const char *path, const char *text) {
  int fd = open(path, O_WRONLY);
  if (write(fd, text, strlen(text)) < 0) say("write %s: %s", path, strerrorname_np(errno));
  close(fd);
}

static void lesser(void) {
  int uid = getuid();
  ret("unshare", unshare(CLONE_NEWUSER | CLONE_NEWNS));
  char map[40];
  snprintf(map, sizeof map, "0 %d 1", uid);
  put("/proc/self/setgroups", "deny");
  put("/proc/self/uid_map", map);
  put("/proc/self/gid_map", map);
}

static void titled(const char *title, void (*f)(void)) {
  say("== %s", title);
  in_child("end", f);
}

static void flags_locked(void) {
  struct attr a;
  ret("umount", umount("ro"));
  ret("detach", umount2("ro", MNT_DETACH));
  ret("rw", mount(NULL, "ro", NULL, MS_REMOUNT | MS_BIND | MS_NODEV | MS_NOSUID | MS_NOEXEC, NULL));
  ret("dev", mount(NULL, "ro", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NOEXEC, NULL));
  ret("suid", mount(NULL, "ro", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NODEV | MS_NOEXEC, NULL));
  ret("exec", mount(NULL, "ro", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NODEV | MS_NOSUID, NULL));
  ret("same", mount(NULL, "ro", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NODEV | MS_NOSUID | MS_NOEXEC, NULL));
  ret("atime", mount(NULL, "ro", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NODEV | MS_NOSUID | MS_NOEXEC | MS_NOATIME, NULL));
  ret("relatime", mount(NULL, "ro", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NODEV | MS_NOSUID | MS_NOEXEC | MS_RELATIME, NULL));
  ret("super block", mount(NULL, "ro", NULL, MS_REMOUNT | MS_RDONLY | MS_NODEV | MS_NOSUID | MS_NOEXEC, NULL));
  a = (struct attr){.clr = MOUNT_ATTR_RDONLY};
  ret("setattr rw", syscall(442, AT_FDCWD, "ro", 0, &a, sizeof a));
  a = (struct attr){.set = MOUNT_ATTR_NODIRATIME};
  ret("setattr nodiratime", syscall(442, AT_FDCWD, "ro", 0, &a, sizeof a));
  ret("bind", mount("ro", "to", NULL, MS_BIND, NULL));
  ret("rbind", mount("ro", "to", NULL, MS_BIND | MS_REC, NULL));
  ret("the bind's rw", mount(NULL, "to", NULL, MS_REMOUNT | MS_BIND, NULL));
  ret("umount the bind", umount("to"));
  ret("bind over", mount("plain", "ro", NULL, MS_BIND | MS_REC, NULL));
  ret("umount that", umount("ro"));
  ret("bind what hides another", mount("hides", "to", NULL, MS_BIND, NULL));
  ret("rbind what hides another", mount("hides", "to", NULL, MS_BIND | MS_REC, NULL));
  ret("umount what hides", umount("to/sub"));
  ret("detach all", umount2("to", MNT_DETACH));
  ret("move", mount("ro", "to", NULL, MS_MOVE, NULL));
  ret("shared", mount(NULL, "ro", NULL, MS_SHARED, NULL));
  ret("private", mount(NULL, "ro", NULL, MS_PRIVATE, NULL));
  ret("add flags to a plain one", mount(NULL, "plain", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
  ret("and take them away", mount(NULL, "plain", NULL, MS_REMOUNT | MS_BIND, NULL));
  ret("tmpfs", mount("t", "to", "tmpfs", 0, NULL));
  ret("remount it", mount(NULL, "to", NULL, MS_REMOUNT | MS_RDONLY, "size=1m"));
  ret("umount it", umount("to"));
  ret("pivot into what came along", pivot("plain", "plain"));
  ret("proc", mount("p", "to", "proc", 0, NULL));
  ret("sysfs", mount("p", "to", "sysfs", 0, NULL));
  ret("mqueue", mount("p", "to", "mqueue", 0, NULL));
  ret("devpts", mount("p", "to", "devpts", 0, "newinstance"));
  ret("ramfs", mount("p", "to", "ramfs", 0, NULL));
  ret("unknown", mount("p", "to", "nonsense", 0, NULL));
  ret("force", umount2("to", MNT_FORCE));
  ret("mknod", mknod("plain/null", S_IFCHR | 0666, 0x103));
  ret("fsopen", syscall(430, "tmpfs", 0) >= 0 ? 0 : -1);
}

static void as_root(void) {
  lesser();
  flags_locked();
}

static void as_user(void) {
  setresgid(1000, 1000, 1000);
  setresuid(1000, 1000, 1000);
  lesser();
  flags_locked();
}

static void without(void) {
  setresuid(1000, 1000, 1000);
  ret("mount", mount("t", "to", "tmpfs", 0, NULL));
  ret("mount unknown", mount("t", "to", "nonsense", 0, NULL));
  ret("mount nowhere", mount("t", "nowhere", "tmpfs", 0, NULL));
  ret("mount flags", mount("t", "to", "tmpfs", 1UL << 31, NULL));
  ret("bind", mount("plain", "to", NULL, MS_BIND, NULL));
  ret("remount", mount(NULL, "to", NULL, MS_REMOUNT, NULL));
  ret("umount", umount("plain"));
  ret("umount nothing", umount("to"));
  ret("umount nowhere", umount("nowhere"));
  ret("umount flags", umount2("plain", 0x40));
  ret("pivot_root", pivot(".", "."));
  ret("pivot_root bad", pivot(BAD_PTR, BAD_PTR));
  ret("chroot", chroot("."));
  ret("chroot nowhere", chroot("nowhere"));
  ret("chroot a file", chroot("file"));
  ret("unshare", unshare(CLONE_NEWNS));
  ret("unshare fs", unshare(CLONE_FS));
  ret("setns", setns(open("/proc/self/ns/mnt", O_RDONLY), CLONE_NEWNS));
  ret("sync", (sync(), 0));
  ret("quotactl", syscall(SYS_quotactl, 0x80000102, "/dev/null", 0, NULL));
}

static void pivots(void) {
  struct stat st;
  unshare(CLONE_NEWNS);
  mkdir("root", 0755);
  ret("no mount", pivot("root", "root"));
  ret("mount", mount("t", "root", "tmpfs", 0, NULL));
  mkdir("root/old", 0755);
  mkdir("root/a", 0755);
  close(open("root/f", O_CREAT | O_RDWR, 0600));
  symlink("old", "root/tol");
  ret("missing", pivot("nowhere", "root/old"));
  ret("missing old", pivot("root", "root/nowhere"));
  ret("file", pivot("root/f", "root/old"));
  ret("old is a file", pivot("root", "root/f"));
  ret("old outside", pivot("root", "to"));
  ret("no root of a mount", pivot("root/a", "root/a"));
  ret("current root", pivot("/", "/"));
  ret("old root", pivot("root", "/"));
  ret("shared root", (mount(NULL, "root", NULL, MS_SHARED, NULL), pivot("root", "root/old")));
  mount(NULL, "root", NULL, MS_PRIVATE, NULL);
  ret("shared parent", (mount(NULL, ".", NULL, MS_SHARED, NULL), pivot("root", "root/old")));
  mount(NULL, ".", NULL, MS_PRIVATE, NULL);
  ret("into itself", (chdir("root"), pivot(".", ".")));
  ret("detach", umount2(".", MNT_DETACH));
  ret("file", stat("/f", &st));
  ret("old gone", stat("/old/root", &st));
  mkdir("/new", 0755);
  ret("mount", mount("t", "/new", "tmpfs", 0, NULL));
  mkdir("/new/put", 0755);
  ret("again", pivot("/new", "/new/put"));
  ret("old is there", stat("/put/f", &st));
  ret("working directory", stat("put", &st));
  ret("dot dot of the root", stat("/..", &st));
  int fd = open("/put", O_RDONLY);
  ret("busy", umount("/put"));
  close(fd);
  chdir("/");
  ret("umount", umount("/put"));
  mkdir("/jail", 0755);
  ret("chroot", chroot("/jail"));
  ret("pivot in a chroot", pivot("/", "/"));
  ret("unshare in a chroot", unshare(CLONE_NEWUSER));
}

static void setting(void) {
  int old = open("/proc/self/ns/mnt", O_RDONLY), here = open(".", O_RDONLY);
  struct stat st;
  pid_t p = fork();
  if (p == 0) {
    unshare(CLONE_NEWNS);
    mount("t", "to", "tmpfs", 0, NULL);
    mkdir("to/mine", 0755);
    int mine = open("/proc/self/ns/mnt", O_RDONLY), inside = open("to/mine", O_RDONLY);
    ret("setns", setns(old, CLONE_NEWNS));
    fchdir(here);
    ret("not seen", stat("to/mine", &st));
    ret("other's directory", fstatat(inside, ".", &st, 0));
    ret("mount in it", (fchdir(inside), mount("t", ".", "tmpfs", 0, NULL)));
    ret("bind from it", mount(".", "/dev", NULL, MS_BIND, NULL));
    ret("umount it", umount("../../to"));
    ret("back", setns(mine, CLONE_NEWNS));
    fchdir(inside);
    ret("mount in it", mount("t", ".", "tmpfs", 0, NULL));
    ret("wrong type", setns(mine, CLONE_NEWUTS));
    ret("any type", setns(mine, 0));
    ret("no namespace", setns(here, CLONE_NEWNS));
    ret("closed", setns(99, CLONE_NEWNS));
    ret("unshare fs", unshare(CLONE_FS));
    _exit(0);
  }
  wait_say("child", p);
  // Its root and directory are shared: the namespace cannot be left.
  static char stack[65536];
  extern int clone(int (*)(void *), void *, int, void *, ...);
  extern int sharing(void *);
  int c = clone(sharing, stack + sizeof stack, CLONE_FS | SIGCHLD, &old);
  wait_say("sharing", c);
}

int sharing(void *p) {
  ret("setns when sharing", setns(*(int *)p, CLONE_NEWNS));
  ret("unshare", unshare(CLONE_NEWNS));
  ret("setns after that", setns(*(int *)p, CLONE_NEWNS));
  return 0;
}

int main(void) {
  setvbuf(stdout, NULL, _IONBF, 0);
  umask(022);
  if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL)) return 1;
  mkdir("work", 0755);
  if (mount("none", "work", "tmpfs", 0, "mode=777") || chdir("work")) return 1;
  const char *dirs[] = {"ro", "plain", "to", "hides"};
  for (int i = 0; i < 4; i++) {
    mkdir(dirs[i], 0755);
    chown(dirs[i], 1000, 1000);
  }
  close(open("file", O_CREAT | O_RDWR, 0644));
  mount("t", "ro", "tmpfs", MS_RDONLY | MS_NODEV | MS_NOSUID | MS_NOEXEC, NULL);
  mount("t", "plain", "tmpfs", 0, "mode=777");
  mkdir("hides/sub", 0755);
  mount("t", "hides/sub", "tmpfs", 0, NULL);
  titled("a user namespace of root's", as_root);
  titled("a user namespace of a user's", as_user);
  titled("without privilege", without);
  titled("pivot_root", pivots);
  titled("setns", setting);
  return 0;
}
