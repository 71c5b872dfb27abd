// move_mount(2) with MOVE_MOUNT_BENEATH and MOVE_MOUNT_SET_GROUP; statmount(2) and listmount(2) of other mount namespaces.
#include "guest.h"
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/statvfs.h>

#define F_EMPTY 4
#define T_EMPTY 0x40
#define SET_GROUP 0x100
#define BENEATH 0x200

static int tree_move(int from, const char *fp, int to, const char *tp, unsigned flags) {
  return syscall(SYS_move_mount, from, fp, to, tp, flags);
}

// A detached tmpfs with a file of that name in it.
static int fresh(const char *name) {
  int fs = syscall(SYS_fsopen, "tmpfs", 0);
  syscall(SYS_fsconfig, fs, 1, "source", name, 0);
  syscall(SYS_fsconfig, fs, 6, NULL, NULL, 0);
  int m = syscall(SYS_fsmount, fs, 0, 0);
  close(fs);
  close(openat(m, name, O_CREAT | O_RDWR, 0600));
  return m;
}

static void make(const char *name, const char *dir) {
  mkdir(dir, 0700);
  int m = fresh(name);
  tree_move(m, "", AT_FDCWD, dir, F_EMPTY);
  close(m);
}

static int copy_of(const char *dir, unsigned flags) { return syscall(SYS_open_tree, AT_FDCWD, dir, 1 | flags); }

// The sources that are mounted at a place, bottom first, with their propagation.
static void stack(const char *what, const char *dir) {
  static char line[1000];
  char want[300], cwd[200], *at, *opt;
  getcwd(cwd, sizeof cwd);
  snprintf(want, sizeof want, "%s/%s", cwd, dir);
  FILE *f = fopen("/proc/self/mountinfo", "r");
  printf("%s:", what);
  struct { int id, parent; char text[100]; } rows[40];
  int n = 0;
  while (fgets(line, sizeof line, f)) {
    char point[300], *dash = strstr(line, " - ");
    sscanf(line, "%d %d %*s %*s %299s", &rows[n].id, &rows[n].parent, point);
    if (strcmp(point, want) != 0) continue;
    char source[60];
    sscanf(dash, " - %*s %59s", source);
    *dash = 0;
    opt = strstr(line, "shared:"), at = strstr(line, "master:");
    snprintf(rows[n++].text, 100, "%s%s%s", source, opt ? "+shared" : "", at ? "+master" : "");
  }
  fclose(f);
  // By who stands on whom.
  int below = -1;
  for (int left = n; left > 0; left--)
    for (int i = 0; i < n; i++) {
      int on = -1;
      for (int j = 0; j < n; j++) if (rows[j].id == rows[i].parent) on = j;
      if (on != below) continue;
      printf(" %s", rows[i].text), below = i;
      break;
    }
  printf("\n");
  fflush(stdout);
}

static void beneath(void) {
  make("a", "a");
  int b = fresh("b"), c = fresh("c"), d = fresh("d");
  ret("beneath", tree_move(b, "", AT_FDCWD, "a", F_EMPTY | BENEATH));
  stack("two", "a");
  ret("top is as before", access("a/a", F_OK));
  ret("beneath again", tree_move(c, "", AT_FDCWD, "a", F_EMPTY | BENEATH));
  stack("three", "a");
  int top = open("a", O_PATH);
  ret("by descriptor", tree_move(d, "", top, "", F_EMPTY | T_EMPTY | BENEATH));
  close(top);
  stack("four", "a");
  ret("take the top off", umount2("a", MNT_DETACH));
  ret("what was beneath", access("a/d", F_OK));
  ret("and the next", umount2("a", MNT_DETACH));
  ret("what was beneath that", access("a/c", F_OK));
  stack("left", "a");
  ret("moved already", tree_move(b, "", AT_FDCWD, "a", F_EMPTY | BENEATH));

  make("x", "x");
  mkdir("plain", 0700);
  mkdir("x/sub", 0700);
  int e = fresh("e");
  ret("not a mount", tree_move(e, "", AT_FDCWD, "plain", F_EMPTY | BENEATH));
  ret("inside of one", tree_move(e, "", AT_FDCWD, "x/sub", F_EMPTY | BENEATH));
  ret("the root", tree_move(e, "", AT_FDCWD, "/", F_EMPTY | BENEATH));
  ret("with SET_GROUP", tree_move(e, "", AT_FDCWD, "x", F_EMPTY | BENEATH | SET_GROUP));
  ret("not a mount's root", tree_move(AT_FDCWD, "x/sub", AT_FDCWD, "a", BENEATH));
  ret("beneath itself", tree_move(AT_FDCWD, "x", AT_FDCWD, "x", BENEATH));
  make("below", "x/sub");
  ret("beneath its parent", tree_move(AT_FDCWD, "x/sub", AT_FDCWD, "x", BENEATH));
  ret("its parent beneath it", tree_move(AT_FDCWD, "x", AT_FDCWD, "x/sub", BENEATH));
  make("moving", "moving");
  ret("an attached one", tree_move(AT_FDCWD, "moving", AT_FDCWD, "x", BENEATH));
  stack("x", "x");
  stack("moving", "moving");
  // A tree with something on its root.
  mkdir("o", 0700);
  make("o1", "o");
  make("o2", "o");
  int o = open("o", O_PATH);
  umount2("o", MNT_DETACH);
  make("o3", "o");
  close(o);
  int file = open("file", O_CREAT | O_RDWR, 0600);
  mount("file", "file", NULL, MS_BIND, NULL);
  ret("a directory beneath a file", tree_move(e, "", AT_FDCWD, "file", F_EMPTY | BENEATH));
  close(file);

  // Shared: what is put beneath is propagated.
  make("p", "p");
  mount(NULL, "p", NULL, MS_SHARED, NULL);
  mkdir("peer", 0700);
  mount("p", "peer", NULL, MS_BIND, NULL);
  mkdir("p/m", 0700);
  make("top", "p/m");
  stack("peer before", "peer/m");
  ret("beneath in a shared one", tree_move(e, "", AT_FDCWD, "p/m", F_EMPTY | BENEATH));
  stack("here", "p/m");
  stack("at the peer", "peer/m");
  ret("off again", umount("p/m"));
  stack("here", "p/m");
  stack("at the peer", "peer/m");
  // A shared mount that lies on its own peer.
  mkdir("self", 0700);
  make("s", "self");
  mount(NULL, "self", NULL, MS_SHARED, NULL);
  mount("self", "self", NULL, MS_BIND, NULL);
  stack("self", "self");
  int g = fresh("g");
  ret("it would come on top", tree_move(g, "", AT_FDCWD, "self", F_EMPTY | BENEATH));
  mount("self", "self", NULL, MS_BIND, NULL);
  ret("out of a shared parent", tree_move(AT_FDCWD, "p/m", AT_FDCWD, "a", BENEATH));
  mkdir("u", 0700);
  make("u", "u");
  int un = copy_of("u", 0);
  mount(NULL, "u", NULL, MS_UNBINDABLE, NULL);
  ret("an unbindable one into a shared one", tree_move(AT_FDCWD, "u", AT_FDCWD, "p/m", BENEATH));
  ret("that is shared", mount(NULL, "x", NULL, MS_SHARED, NULL));
  ret("a copy", tree_move(un, "", AT_FDCWD, "x", F_EMPTY | BENEATH));
  stack("x", "x");
}

static void groups(void) {
  static const struct { const char *name; unsigned from, to; } cases[] = {
    {"shared to private", MS_SHARED, MS_PRIVATE}, {"private to private", MS_PRIVATE, MS_PRIVATE},
    {"shared to shared", MS_SHARED, MS_SHARED}, {"slave to private", MS_SLAVE, MS_PRIVATE},
    {"shared slave to private", MS_SHARED | MS_SLAVE, MS_PRIVATE}, {"shared to slave", MS_SHARED, MS_SLAVE},
    {"shared to unbindable", MS_SHARED, MS_UNBINDABLE}, {"unbindable to private", MS_UNBINDABLE, MS_PRIVATE}};
  make("origin", "origin");
  mkdir("from", 0700), mkdir("to", 0700), mkdir("origin/sub", 0700);
  for (int i = 0; i < 8; i++) {
    mount(NULL, "origin", NULL, MS_SHARED, NULL);
    mount("origin", "from", NULL, MS_BIND, NULL);
    mount("origin/sub", "to", NULL, MS_BIND, NULL);
    if (cases[i].from & MS_SLAVE) mount(NULL, "from", NULL, MS_SLAVE, NULL);
    if (cases[i].from & MS_SHARED) mount(NULL, "from", NULL, MS_SHARED, NULL);
    if (cases[i].from & (MS_PRIVATE | MS_UNBINDABLE)) mount(NULL, "from", NULL, cases[i].from, NULL);
    mount(NULL, "to", NULL, cases[i].to, NULL);
    ret(cases[i].name, tree_move(AT_FDCWD, "from", AT_FDCWD, "to", SET_GROUP));
    stack("from", "from");
    stack("to", "to");
    // Whether they tell each other.
    mkdir("from/sub/t", 0700);
    mount("news", "from/sub/t", "tmpfs", 0, NULL);
    stack("it hears", "to/t");
    umount2("from/sub/t", MNT_DETACH);
    umount2("to", MNT_DETACH), umount2("from", MNT_DETACH);
  }
  mount("origin/sub", "from", NULL, MS_BIND, NULL);
  mount("origin", "to", NULL, MS_BIND, NULL);
  mount(NULL, "to", NULL, MS_PRIVATE, NULL);
  ret("from a narrower one", tree_move(AT_FDCWD, "from", AT_FDCWD, "to", SET_GROUP));
  ret("not the root of from", tree_move(AT_FDCWD, "origin/sub", AT_FDCWD, "to", SET_GROUP));
  ret("not the root of to", tree_move(AT_FDCWD, "from", AT_FDCWD, "to/sub", SET_GROUP));
  make("other", "other");
  ret("another file system", tree_move(AT_FDCWD, "from", AT_FDCWD, "other", SET_GROUP));
  int detached = copy_of("other", 0);
  mount(NULL, "other", NULL, MS_SHARED, NULL);
  ret("to a detached one", tree_move(AT_FDCWD, "other", detached, "", T_EMPTY | SET_GROUP));
}

struct req { uint32_t size, fd; uint64_t id, param, ns; };
static char big[8192];
static uint32_t *w = (uint32_t *)big;
static uint64_t *q = (uint64_t *)big;

static long stat_mount(struct req *r, size_t len) { return memset(big, 0, sizeof big), syscall(457, r, big, len, 0); }
static long list_mount(struct req *r, uint64_t *ids, int n) { return syscall(458, r, ids, n, 0); }

static uint64_t mount_id(const char *dir) {
  struct statx x;
  syscall(SYS_statx, AT_FDCWD, dir, 0, 0x4000, &x);
  return x.stx_mnt_id;
}

static void queries(void) {
  make("counted", "counted");
  mkdir("counted/in", 0700);
  make("in", "counted/in");
  uint64_t own = 0, other = 0, ids[64];
  int ns = open("/proc/self/ns/mnt", O_RDONLY);
  ret("NS_GET_MNTNS_ID", ioctl(ns, _IOR(0xb7, 5, uint64_t), &own));
  int uts = open("/proc/self/ns/uts", O_RDONLY);
  ret("of another kind", ioctl(uts, _IOR(0xb7, 5, uint64_t), &other));
  ret("to nowhere", ioctl(ns, _IOR(0xb7, 5, uint64_t), BAD_PTR));
  struct req r = {32, 0, mount_id("counted"), 0x40, own};
  ret("statmount of the own namespace", stat_mount(&r, sizeof big));
  is("its number", (q[1] & 0x40) && q[14] == own);
  r.param = 0x1fff;
  ret("everything", stat_mount(&r, sizeof big));
  say("mask %lx", (long)(q[1] & ~0x1000ul));
  r.param = 0x400;
  ret("options one by one", stat_mount(&r, sizeof big));
  say("mask %lx", (long)q[1]);
  if (q[1] & 0x400) for (uint32_t i = 0, at = 512 + w[33]; i < w[32]; at += strlen(big + at) + 1, i++) say("option %s", big + at);
  mount(NULL, "counted", NULL, MS_REMOUNT, "size=1m,mode=711");
  ret("options one by one", stat_mount(&r, sizeof big));
  if (q[1] & 0x400) for (uint32_t i = 0, at = 512 + w[33]; i < w[32]; at += strlen(big + at) + 1, i++) say("option %s", big + at);
  r.param = 0x800;
  ret("options of security", stat_mount(&r, sizeof big));
  say("mask %lx", (long)q[1]);
  r.param = 0x2000 | 0x4000 | 0x100;
  ret("maps and subtype", stat_mount(&r, sizeof big));
  say("mask %lx", (long)q[1]);
  mount(NULL, "counted", NULL, MS_SHARED, NULL);
  mkdir("slave", 0700);
  mount("counted", "slave", NULL, MS_BIND, NULL);
  mount(NULL, "slave", NULL, MS_SLAVE, NULL);
  r.id = mount_id("slave");
  r.param = 6;
  ret("a slave", stat_mount(&r, sizeof big));
  is("it receives from its master", q[12] == q[11] && q[11] != 0);
  r.ns = own + 1000000;
  ret("unknown namespace", stat_mount(&r, sizeof big));
  ret("list of an unknown one", list_mount(&r, ids, 64));
  r.ns = own;
  r.id = mount_id("counted");
  r.param = 0;
  ret("listmount", list_mount(&r, ids, 64));
  // Another namespace, from outside.
  int p[2], z[2];
  pipe(p), pipe(z);
  pid_t child = fork();
  if (child == 0) {
    unshare(CLONE_NEWNS);
    make("theirs", "counted/in");
    uint64_t told[2] = {mount_id("counted"), 0};
    int f = open("/proc/self/ns/mnt", O_RDONLY);
    ioctl(f, _IOR(0xb7, 5, uint64_t), &told[1]);
    write(p[1], told, sizeof told);
    read(z[0], told, 1);
    _exit(0);
  }
  uint64_t told[2];
  read(p[0], told, sizeof told);
  is("another number", told[1] != own && told[1] != 0);
  r = (struct req){32, 0, told[0], 0x8 | 0x10 | 0x200 | 0x40, told[1]};
  ret("statmount there", stat_mount(&r, sizeof big));
  say("source %s root %s", big + 512 + w[31], big + 512 + w[26]);
  is("of that namespace", q[14] == told[1]);
  r.ns = 0;
  ret("not here", stat_mount(&r, sizeof big));
  r.ns = told[1], r.param = 0;
  ret("listmount there", list_mount(&r, ids, 64));
  r.id = ~0ul;
  is("its root", list_mount(&r, ids, 64) > 3);
  pid_t weak = fork();
  if (weak == 0) {
    setresuid(1000, 1000, 1000);
    ret("without privilege", list_mount(&r, ids, 64));
    r.id = told[0];
    ret("one without privilege", stat_mount(&r, sizeof big));
    r.ns = own, r.id = mount_id("counted");
    ret("the own one", stat_mount(&r, sizeof big));
    _exit(0);
  }
  waitpid(weak, NULL, 0);
  write(z[1], "x", 1);
  waitpid(child, NULL, 0);
}

int main(void) {
  if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL)) return 1;
  mount("none", ".", "tmpfs", 0, NULL);
  char cwd[200];
  if (!getcwd(cwd, sizeof cwd) || chdir(cwd)) return 1;
  beneath();
  groups();
  queries();
  return 0;
}
