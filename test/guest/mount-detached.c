// Trees of mounts that hang nowhere: moving others into them, what may be done with them, and how they end.
#include "guest.h"
#include <sched.h>
#include <sys/mount.h>

#define F_EMPTY 4
#define T_EMPTY 0x40
#define BENEATH 0x200
#define RECURSIVE 0x8000
struct attr { uint64_t set, clr, propagation, userns; };

static int tree_move(int from, const char *fp, int to, const char *tp, unsigned flags) {
  return syscall(SYS_move_mount, from, fp, to, tp, flags);
}
static int tree_open(int at, const char *path, unsigned flags) { return syscall(SYS_open_tree, at, path, flags); }
static int set_attr(int at, const char *path, unsigned flags, uint64_t set) {
  struct attr a = {.set = set};
  return syscall(SYS_mount_setattr, at, path, flags, &a, sizeof a);
}

// A detached tmpfs with a file of that name and directories d and e in it.
static int fresh(const char *name) {
  int fs = syscall(SYS_fsopen, "tmpfs", 0);
  syscall(SYS_fsconfig, fs, 6, NULL, NULL, 0);
  int m = syscall(SYS_fsmount, fs, 0, 0);
  close(fs);
  close(openat(m, name, O_CREAT | O_RDWR, 0600));
  mkdirat(m, "d", 0700);
  mkdirat(m, "e", 0700);
  return m;
}

static void look(const char *what, int at, const char *path) { ret(what, faccessat(at, path, F_OK, 0)); }

// One in another, and a third in that one.
static void nest(void) {
  int a = fresh("fa"), b = fresh("fb"), c = fresh("fc");
  ret("move in", tree_move(b, "", a, "d", F_EMPTY));
  look("seen", a, "d/fb");
  ret("again", tree_move(b, "", a, "e", F_EMPTY));
  ret("back out of it", tree_move(b, "", AT_FDCWD, ".", F_EMPTY));
  ret("further in, by its own descriptor", tree_move(c, "", b, "e", F_EMPTY));
  look("seen", a, "d/e/fc");
  ret("into itself", tree_move(a, "", a, "e", F_EMPTY));
  ret("into what is in it", tree_move(a, "", b, "d", F_EMPTY));
  ret("descriptor closed", close(b));
  look("still there", a, "d/e/fc");
  int d = fresh("fd");
  ret("on top", tree_move(d, "", a, "d", F_EMPTY));
  look("covers", a, "d/fd");
  look("hidden", a, "d/fb");
  ret("a file on a directory", tree_move(d, "fd", a, "e", 0));
  ret("a directory on a file", tree_move(fresh("x"), "", a, "fa", F_EMPTY));
  ret("to nowhere", tree_move(fresh("x"), "", a, "none", F_EMPTY));
  ret("to its root", tree_move(fresh("x"), "", a, "", F_EMPTY | T_EMPTY));
  look("covered by name only", a, "fa");
  mkdir("place", 0700);
  ret("all of it into the namespace", tree_move(a, "", AT_FDCWD, "place", F_EMPTY));
  look("seen by name", AT_FDCWD, "place/x");
  ret("on its way", umount2("place", MNT_DETACH));
}

// Which operations take a place in such a tree.
static void operations(void) {
  char name[40];
  int a = fresh("fa"), b = fresh("fb");
  tree_move(b, "", a, "d", F_EMPTY);
  snprintf(name, sizeof name, "/proc/self/fd/%d/e", a);
  ret("mount(2) in it", mount("none", name, "tmpfs", 0, NULL));
  ret("bind into it", mount("/proc", name, NULL, MS_BIND, NULL));
  mkdir("here", 0700);
  snprintf(name, sizeof name, "/proc/self/fd/%d/d", a);
  ret("bind of it", mount(name, "here", NULL, MS_BIND, NULL));
  look("seen", AT_FDCWD, "here/fb");
  umount("here");
  ret("move by mount(2) out of it", mount(name, "here", NULL, MS_MOVE, NULL));
  ret("move out of it", tree_move(a, "d", AT_FDCWD, "here", 0));
  ret("umount in it", umount2(name, MNT_DETACH));
  ret("remount in it", mount(NULL, name, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
  ret("propagation in it", mount(NULL, name, NULL, MS_SHARED, NULL));
  ret("attributes in it", set_attr(a, "d", 0, MOUNT_ATTR_RDONLY));
  ret("attributes of all", set_attr(a, "", AT_EMPTY_PATH | RECURSIVE, MOUNT_ATTR_RDONLY));
  ret("read-only", openat(a, "d/new", O_CREAT | O_RDWR, 0600));
  int copy = tree_open(a, "d", 1), all = tree_open(a, "", 1 | AT_EMPTY_PATH | RECURSIVE);
  ok("copy of a part", copy);
  ok("copy of all", all);
  look("seen", copy, "fb");
  look("seen", all, "d/fb");
  ret("copy into the original", tree_move(copy, "", a, "e", F_EMPTY));
  look("seen", a, "e/fb");
  mkdir("own", 0700);
  mount("none", "own", "tmpfs", 0, NULL);
  ret("a mount of the namespace", tree_move(AT_FDCWD, "own", a, "e", 0));
  ret("beneath", tree_move(fresh("below"), "", a, "e", F_EMPTY | BENEATH));
  look("not seen", a, "e/below");
  umount("own");
}

// What has been taken off is not what has never been put on.
static void ended(void) {
  mkdir("gone", 0700);
  mount("none", "gone", "tmpfs", 0, NULL);
  mkdir("gone/d", 0700);
  int fd = open("gone", O_PATH);
  umount2("gone", MNT_DETACH);
  look("open still", fd, "d");
  ret("move", tree_move(fd, "", AT_FDCWD, "gone", F_EMPTY));
  ret("move to it", tree_move(fresh("x"), "", fd, "d", F_EMPTY));
  ok("copy", tree_open(fd, "", 1 | AT_EMPTY_PATH));
  ret("attributes", set_attr(fd, "", AT_EMPTY_PATH, MOUNT_ATTR_RDONLY));
  int a = fresh("fa"), b = fresh("fb");
  tree_move(b, "", a, "d", F_EMPTY);
  int in = openat(a, "d", O_PATH);
  close(a);
  look("inner one after the end of all", in, "fb");
  ret("move", tree_move(b, "", AT_FDCWD, "gone", F_EMPTY));
  ret("move to it", tree_move(fresh("x"), "", in, "", F_EMPTY | T_EMPTY));
  ok("copy", tree_open(in, "", 1 | AT_EMPTY_PATH));
}

// Copies of another namespace's mounts take nothing here, what fsmount(2) made does.
static void foreign(void) {
  mkdir("far", 0700);
  mount("none", "far", "tmpfs", 0, NULL);
  mkdir("far/d", 0700);
  int copy = tree_open(AT_FDCWD, "far", 1), own = fresh("own");
  ret("into a copy", tree_move(fresh("x"), "", copy, "d", F_EMPTY));
  ret("unshare", unshare(CLONE_NEWNS));
  ret("into a copy of another namespace", tree_move(fresh("y"), "", copy, "", F_EMPTY | T_EMPTY));
  ok("a copy of it", tree_open(copy, "", 1 | AT_EMPTY_PATH));
  ret("attributes of it", set_attr(copy, "", AT_EMPTY_PATH, MOUNT_ATTR_NODEV));
  ret("into what belongs to none", tree_move(fresh("z"), "", own, "d", F_EMPTY));
  ret("it itself, here", tree_move(copy, "", AT_FDCWD, "far", F_EMPTY));
}

// A shared place passes on what is moved to it.
static void shared(void) {
  mkdir("s", 0700);
  mount("none", "s", "tmpfs", 0, NULL);
  mount(NULL, "s", NULL, MS_SHARED, NULL);
  mkdir("s/d", 0700);
  int copy = tree_open(AT_FDCWD, "s", 1);
  int x = fresh("x");
  ret("unbindable", syscall(SYS_mount_setattr, x, "", AT_EMPTY_PATH, &(struct attr){.propagation = MS_UNBINDABLE}, sizeof(struct attr)));
  ret("to a shared place", tree_move(x, "", copy, "d", F_EMPTY));
  ret("another", tree_move(fresh("fx"), "", copy, "d", F_EMPTY));
  look("in the copy", copy, "d/fx");
  look("in the namespace", AT_FDCWD, "s/d/fx");
  mkdir("s/e", 0700);
  mount("none", "s/e", "tmpfs", 0, NULL);
  mkdir("s/e/in", 0700);
  look("from the namespace", copy, "e/in");
  umount("s/e");
  look("no more", copy, "e/in");
  close(copy);
  look("after its end", AT_FDCWD, "s/d/fx");
  umount2("s", MNT_DETACH);
}

int main(void) {
  unshare(CLONE_NEWNS);
  mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
  in_child("nest", nest);
  in_child("operations", operations);
  in_child("ended", ended);
  in_child("foreign", foreign);
  in_child("shared", shared);
  return 0;
}
