// The mount API by descriptors: fsopen, fsconfig, fsmount, fspick, open_tree, move_mount, mount_setattr, statmount, listmount.
#include "guest.h"
#include <sched.h>
#include <sys/mount.h>
#include <sys/statvfs.h>

#define fs_open(...) syscall(430, __VA_ARGS__)
#define fs_config(...) syscall(431, __VA_ARGS__)
#define fs_mount(...) syscall(432, __VA_ARGS__)
#define fs_pick(...) syscall(433, __VA_ARGS__)
#define tree_open(...) syscall(428, __VA_ARGS__)
#define tree_move(...) syscall(429, __VA_ARGS__)
#define set_attr(...) syscall(442, __VA_ARGS__)
#define stat_mount(...) syscall(457, __VA_ARGS__)
#define list_mount(...) syscall(458, __VA_ARGS__)
enum { FLAG, STRING, BINARY, PATH, PATH_EMPTY, FD, CREATE, RECONF };
#define FROM_EMPTY 4
#define TO_EMPTY 0x40
#define RECURSIVE 0x8000
struct attr { uint64_t set, clr, propagation, userns; };
struct req { uint32_t size, spare; uint64_t id, param, ns; };

static void contexts(void) {
  ok("fsopen", fs_open("tmpfs", 1));
  ret("fsopen unknown", fs_open("nonsense", 0));
  ret("fsopen flags", fs_open("tmpfs", 2));
  ret("fsopen bad name", fs_open(BAD_PTR, 0));
  int fd = fs_open("tmpfs", 0);
  ret("unknown option", fs_config(fd, STRING, "nonsense", "1", 0));
  ret("bad value", fs_config(fd, STRING, "mode", "xyz", 0));
  ret("flag for a value", fs_config(fd, FLAG, "size", NULL, 0));
  ret("no key", fs_config(fd, STRING, NULL, "1", 0));
  ret("no value", fs_config(fd, STRING, "mode", NULL, 0));
  ret("aux with a string", fs_config(fd, STRING, "mode", "700", 1));
  ret("value with a flag", fs_config(fd, FLAG, "ro", "1", 0));
  ret("unknown command", fs_config(fd, 99, NULL, NULL, 0));
  ret("negative descriptor", fs_config(-1, FLAG, "ro", NULL, 0));
  ret("no descriptor", fs_config(99, FLAG, "ro", NULL, 0));
  ret("another file", fs_config(0, FLAG, "ro", NULL, 0));
  ret("source", fs_config(fd, STRING, "source", "mine", 0));
  ret("source again", fs_config(fd, STRING, "source", "other", 0));
  ret("size", fs_config(fd, STRING, "size", "1m", 0));
  ret("mode", fs_config(fd, STRING, "mode", "0750", 0));
  ret("mount before create", fs_mount(fd, 0, 0));
  ret("reconfigure before create", fs_config(fd, RECONF, NULL, NULL, 0));
  ret("create", fs_config(fd, CREATE, NULL, NULL, 0));
  ret("create again", fs_config(fd, CREATE, NULL, NULL, 0));
  ret("option after create", fs_config(fd, FLAG, "ro", NULL, 0));
  ret("mount flags", fs_mount(fd, 8, 0));
  ret("mount attributes", fs_mount(fd, 0, 1 << 30));
  ret("mount two atimes", fs_mount(fd, 0, 0x30));
  ret("mount of a file", fs_mount(0, 0, 0));
  int m = fs_mount(fd, 1, MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
  is("mounted", m >= 0);
  ret("mount again", fs_mount(fd, 0, 0));
  ok("file in the detached", openat(m, "f", O_CREAT | O_RDWR, 0600));
  ret("read it", read(m, &fd, 1));
  mkdir("a", 0700);
  ret("move flags", tree_move(m, "", AT_FDCWD, "a", 0x8000));
  ret("move without empty", tree_move(m, "", AT_FDCWD, "a", 0));
  ret("move to a file", tree_move(m, "", AT_FDCWD, "/dev/null", FROM_EMPTY));
  ret("move to nothing", tree_move(m, "", AT_FDCWD, "nowhere", FROM_EMPTY));
  ret("move", tree_move(m, "", AT_FDCWD, "a", FROM_EMPTY));
  ret("its file", access("a/f", F_OK));
  struct statvfs v;
  statvfs("a", &v);
  say("flags %lx, size %ld", v.f_flag & (ST_NODEV | ST_NOEXEC | ST_NOSUID | ST_RDONLY), (long)(v.f_blocks * v.f_frsize));
  struct stat st;
  stat("a", &st);
  say("mode %o", st.st_mode & 07777);
  ret("move to itself", tree_move(AT_FDCWD, "a", AT_FDCWD, "a", 0));
  mkdir("b", 0700);
  ret("move on", tree_move(AT_FDCWD, "a", AT_FDCWD, "b", 0));
  ret("move what is no mount", tree_move(AT_FDCWD, "a", AT_FDCWD, "b", 0));
  int p = fs_pick(AT_FDCWD, "b", 0);
  is("picked", p >= 0);
  ret("pick flags", fs_pick(AT_FDCWD, "b", 99));
  ret("pick what is no mount", fs_pick(AT_FDCWD, "a", 0));
  ret("create of a picked", fs_config(p, CREATE, NULL, NULL, 0));
  ret("new size", fs_config(p, STRING, "size", "2m", 0));
  ret("reconfigure", fs_config(p, RECONF, NULL, NULL, 0));
  statvfs("b", &v);
  say("size %ld", (long)(v.f_blocks * v.f_frsize));
  ret("given up", close(m));
  ret("still there", access("b/f", F_OK));
}

static void trees(void) {
  mkdir("t", 0700);
  mount("none", "t", "tmpfs", 0, NULL);
  mkdir("t/sub", 0700);
  mount("none", "t/sub", "tmpfs", 0, NULL);
  close(open("t/sub/f", O_CREAT | O_RDWR, 0600));
  ret("flags", tree_open(AT_FDCWD, "t", 8));
  ret("recursive alone", tree_open(AT_FDCWD, "t", RECURSIVE));
  ret("missing", tree_open(AT_FDCWD, "nowhere", 0));
  int plain = tree_open(AT_FDCWD, "t", O_CLOEXEC), one = tree_open(AT_FDCWD, "t", 1), all = tree_open(AT_FDCWD, "t", 1 | RECURSIVE);
  is("opened", plain >= 0 && one >= 0 && all >= 0);
  ret("in place", faccessat(plain, "sub/f", F_OK, 0));
  ret("alone", faccessat(one, "sub/f", F_OK, 0));
  ret("all", faccessat(all, "sub/f", F_OK, 0));
  struct attr a = {.set = MOUNT_ATTR_RDONLY};
  ret("read-only", set_attr(all, "", AT_EMPTY_PATH | RECURSIVE, &a, sizeof a));
  ret("write below", openat(all, "sub/g", O_CREAT | O_RDWR, 0600));
  ok("write in place", openat(plain, "sub/g", O_CREAT | O_RDWR, 0600));
  ret("set busy", set_attr(AT_FDCWD, "t", RECURSIVE, &a, sizeof a));
  struct attr none = {0};
  ret("set nothing", set_attr(AT_FDCWD, "t", 0, &none, sizeof none));
  ret("set nowhere", set_attr(AT_FDCWD, "nowhere", 0, &a, sizeof a));
  ret("set what is no mount", set_attr(AT_FDCWD, "t/sub/..", 0, &a, sizeof a) == 0 ? 0 : -1);
  ret("set on a file's place", set_attr(AT_FDCWD, "t/sub/f", 0, &a, sizeof a));
  ret("set flags", set_attr(AT_FDCWD, "t", 1, &a, sizeof a));
  ret("set small", set_attr(AT_FDCWD, "t", 0, &a, 8));
  ret("set large", set_attr(AT_FDCWD, "t", 0, &a, 5000));
  ret("set bad", set_attr(AT_FDCWD, "t", 0, BAD_PTR, sizeof a));
  a.set = 1 << 30;
  ret("set unknown", set_attr(AT_FDCWD, "t", 0, &a, sizeof a));
  a.set = MOUNT_ATTR_NOATIME;
  ret("set atime alone", set_attr(AT_FDCWD, "t", 0, &a, sizeof a));
  a.clr = 0x70;
  ret("set atime", set_attr(AT_FDCWD, "t", 0, &a, sizeof a));
  a = (struct attr){.propagation = MS_SHARED | MS_PRIVATE};
  ret("set two propagations", set_attr(AT_FDCWD, "t", 0, &a, sizeof a));
  a.propagation = MS_SHARED;
  ret("set shared", set_attr(AT_FDCWD, "t", 0, &a, sizeof a));
  a = (struct attr){.set = MOUNT_ATTR_NOSUID, .clr = MOUNT_ATTR_RDONLY};
  ret("set and clear", set_attr(all, "", AT_EMPTY_PATH, &a, sizeof a));
  struct statvfs v;
  fstatvfs(all, &v);
  say("flags %lx", v.f_flag & (ST_NODEV | ST_NOEXEC | ST_NOSUID | ST_RDONLY));
  mkdir("u", 0700);
  ret("attach", tree_move(all, "", AT_FDCWD, "u", FROM_EMPTY));
  ret("below it", access("u/sub/f", F_OK));
  ret("unmount", umount2("u", MNT_DETACH));
  ret("attach below by descriptor", tree_move(one, "", tree_open(AT_FDCWD, "u", 0), "", FROM_EMPTY | TO_EMPTY));
  ret("unmount", umount("u"));
}

static char big[8192];

static void queries(void) {
  mkdir("q", 0700);
  mount("origin", "q", "tmpfs", MS_NOSUID, "size=64k");
  mkdir("q/one", 0700);
  mkdir("q/two", 0700);
  mount("none", "q/one", "tmpfs", 0, NULL);
  mount("none", "q/two", "tmpfs", 0, NULL);
  struct statx x, y;
  syscall(SYS_statx, AT_FDCWD, "q", 0, 0x4000, &x);
  syscall(SYS_statx, AT_FDCWD, "q", 0, 0x1000, &y);
  is("unique id", (x.stx_mask & 0x4000) && x.stx_mnt_id > (1ULL << 31) && y.stx_mnt_id < (1ULL << 31));
  struct req r = {24, 0, x.stx_mnt_id, 1 | 2 | 0x8 | 0x20, 0};
  uint32_t *w = (uint32_t *)big;
  uint64_t *d = (uint64_t *)big;
  ret("statmount", stat_mount(&r, big, sizeof big, 0));
  say("mask %lx magic %lx attr %lx", (long)d[1], (long)d[3], (long)d[8]);
  is("id", d[5] == x.stx_mnt_id && w[14] == (uint32_t)y.stx_mnt_id);
  say("type %s root %s", big + 512 + w[9], big + 512 + w[26]);
  is("size", w[0] > 512 && w[0] < 600);
  r.param = 0x200;
  ret("statmount source", stat_mount(&r, big, sizeof big, 0));
  say("source %s", big + 512 + w[31]);
  r.param = 1;
  ret("statmount short", stat_mount(&r, big, 16, 0));
  r.param = 0x20;
  ret("statmount no room", stat_mount(&r, big, 512, 0));
  unsigned long mask = r.param;
  r.param = -1, ret("statmount of everything, no room", stat_mount(&r, big, 88, 0)), r.param = mask;
  ret("statmount, more room than there is", stat_mount(&r, big, 1UL << 62, 0));
  ret("statmount flags", stat_mount(&r, big, sizeof big, 99));
  ret("statmount bad request", stat_mount(BAD_PTR, big, sizeof big, 0));
  ret("statmount bad buffer", stat_mount(&r, BAD_PTR, sizeof big, 0));
  r.spare = 1;
  r.spare = 0;
  r.size = 8;
  ret("statmount small request", stat_mount(&r, big, sizeof big, 0));
  r.size = 24;
  r.id = 5;
  ret("statmount old id", stat_mount(&r, big, sizeof big, 0));
  r.id = x.stx_mnt_id + 100000;
  ret("statmount unknown", stat_mount(&r, big, sizeof big, 0));
  uint64_t ids[64];
  r.id = x.stx_mnt_id;
  r.param = 0;
  ret("listmount", list_mount(&r, ids, 64, 0));
  is("in order", ids[0] < ids[1]);
  ret("listmount one", list_mount(&r, ids, 1, 0));
  r.param = ids[0];
  ret("listmount the rest", list_mount(&r, ids, 64, 0));
  r.param = ids[0];
  ret("listmount after the last", list_mount(&r, ids, 64, 0));
  r.param = 5;
  ret("listmount after an old id", list_mount(&r, ids, 64, 0));
  r.param = 0;
  ret("listmount flags", list_mount(&r, ids, 64, 8));
  ret("listmount huge", list_mount(&r, ids, 2000000, 0));
  ret("listmount bad", list_mount(&r, BAD_PTR, 64, 0));
  r.id = ~0ULL;
  is("listmount root", list_mount(&r, ids, 64, 0) >= 3);
  r.id = 5;
  ret("listmount old id", list_mount(&r, ids, 64, 0));
}

static void refused(void) {
  if (setresuid(1000, 1000, 1000)) return;
  ret("fsopen", fs_open("tmpfs", 0));
  ret("fspick", fs_pick(AT_FDCWD, "/", 0));
  ret("open_tree copy", tree_open(AT_FDCWD, "/", 1));
  ok("open_tree", tree_open(AT_FDCWD, "/", 0));
  ret("move_mount", tree_move(AT_FDCWD, "/", AT_FDCWD, "/", 0));
  ret("fsmount", fs_mount(0, 0, 0));
  struct attr a = {.set = 1};
  ret("mount_setattr", set_attr(AT_FDCWD, "/", 0, &a, sizeof a));
}

int main(void) {
  if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL)) return 1;
  mount("none", ".", "tmpfs", 0, NULL);
  char cwd[200];
  if (!getcwd(cwd, sizeof cwd) || chdir(cwd)) return 1;
  contexts();
  trees();
  queries();
  refused();
  return 0;
}
