// Overlays that guests mount: what is seen, what the upper layer stores, which layers and options are taken.
#include "guest.h"
#include <dirent.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

static void get(const char *path) {
  char b[100];
  int fd = open(path, O_RDONLY);
  ssize_t n = fd < 0 ? -1 : read(fd, b, sizeof b);
  if (n < 0) say("get %s %s", path, strerrorname_np(errno));
  else say("get %s \"%.*s\"", path, (int)n, b);
  if (fd >= 0) close(fd);
}

static void append(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_APPEND);
  char what[200];
  snprintf(what, sizeof what, "append %s", path);
  ret(what, fd < 0 ? -1 : write(fd, text, strlen(text)));
  if (fd >= 0) close(fd);
}

// All layers are of one file system: numbers of files are theirs.
static int one_device = 1;

static int by_name(const void *a, const void *b) { return strcmp(*(char **)a, *(char **)b); }

// Names, types, modes and link counts of files below `dir`; of those of an upper layer (`raw`) the attributes, too.
static void tree(const char *dir, int raw) {
  DIR *d = opendir(dir);
  if (!d) {
    say("  %s %s", dir, strerrorname_np(errno));
    return;
  }
  char *names[100];
  int n = 0;
  for (struct dirent *e; (e = readdir(d)) && n < 100;) {
    char p[600];
    struct stat st;
    // Whiteouts that are kept for later are in the work directory.
    if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") || *e->d_name == '#') continue;
    snprintf(p, sizeof p, "%s/%s", dir, e->d_name);
    if (lstat(p, &st)) say("  %s %s", p, strerrorname_np(errno));
    else if (!raw && one_device && st.st_ino != e->d_ino) say("  %s: d_ino is not st_ino", p);
    if (IFTODT(st.st_mode) != e->d_type) say("  %s: d_type %d", p, e->d_type);
    names[n++] = strdup(p);
  }
  closedir(d);
  qsort(names, n, sizeof *names, by_name);
  for (int i = 0; i < n; i++) {
    struct stat st;
    lstat(names[i], &st);
    char more[300] = "";
    if (S_ISCHR(st.st_mode)) snprintf(more, sizeof more, " dev %d:%d", major(st.st_rdev), minor(st.st_rdev));
    else snprintf(more, sizeof more, " links %d", (int)st.st_nlink);
    if (S_ISREG(st.st_mode)) snprintf(more + strlen(more), 100, " size %d", (int)st.st_size);
    const char *attrs[] = {"opaque", "redirect", "impure"};
    for (int a = 0; raw && a < 3; a++) {
      char name[60], value[100];
      for (int user = 0; user < 2; user++) {
        snprintf(name, sizeof name, "%s.overlay.%s", user ? "user" : "trusted", attrs[a]);
        ssize_t len = lgetxattr(names[i], name, value, sizeof value);
        if (len >= 0) snprintf(more + strlen(more), 120, " %s=%.*s", name, (int)len, value);
      }
    }
    say("  %s %o%s", names[i], st.st_mode, more);
    if (S_ISDIR(st.st_mode)) tree(names[i], raw);
    free(names[i]);
  }
}

// Options of the mount on `m`, without those that kernels do not agree about.
static void options(const char *name) {
  char line[2000], cwd[500], want[600], *at, *save;
  FILE *f = fopen("/proc/self/mountinfo", "r");
  if (!getcwd(cwd, sizeof cwd)) return;
  snprintf(want, sizeof want, " %s/m ", cwd);
  while (f && fgets(line, sizeof line, f)) {
    if (!strstr(line, want) || !(at = strstr(line, " - overlay "))) continue;
    line[strcspn(line, "\n")] = 0;
    char out[2000] = "";
    at = strrchr(at, ' ') + 1;
    for (char *o = strtok_r(at, ",", &save); o; o = strtok_r(NULL, ",", &save))
      if (strncmp(o, "uuid=", 5) && strncmp(o, "fsync=", 6) && strcmp(o, "volatile")) {
        strcat(out, " ");
        strcat(out, o);
      }
    say("%s options:%s", name, out);
  }
  if (f) fclose(f);
}

static int over(const char *name, const char *data) {
  int r = mount("src", "m", "overlay", 0, data);
  ret(name, r);
  if (r == 0) options(name);
  return r;
}

static void tried(const char *name, const char *data) {
  if (over(name, data) == 0) ret("umount", umount("m"));
}

static void layers(void) {
  const char *dirs[] = {"l1", "l2", "u", "w", "m", "l1/d", "l1/d/sub", "l2/d", "l2/d/sub2", "l1/only", "l2/e", "l2/e/deep"};
  for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++) mkdir(dirs[i], 0755);
  put_file("l1/f", "one");
  put_file("l2/f", "hidden");
  put_file("l2/g", "two");
  put_file("l1/d/a", "a");
  put_file("l2/d/a", "hidden a");
  put_file("l2/d/b", "b");
  put_file("l1/only/x", "x");
  put_file("l2/e/deep/y", "y");
  put_file("l1/h1", "links");
  link("l1/h1", "l1/h2");
  if (symlink("f", "l1/s")) perror("symlink");
  mkfifo("l1/fifo", 0600);
}

static void fresh(void) {
  umount2("m", MNT_DETACH);
  umount2(".", MNT_DETACH);
  chdir("/");
}

static void start(void) {
  if (mount("t", "/tmp", "tmpfs", 0, NULL) || chdir("/tmp")) perror("tmpfs");
  layers();
}

#define ALL "lowerdir=l1:l2,upperdir=u,workdir=w"

static void changes(void) {
  say("== changes");
  over("mount", ALL);
  struct statfs s;
  statfs("m", &s);
  say("type %lx namelen %ld", (long)s.f_type, (long)s.f_namelen);
  tree("m", 0);
  get("m/f");
  get("m/s");
  int reader = open("m/f", O_RDONLY);
  struct stat before, after, root, layer;
  lstat("m/f", &before);
  append("m/f", " more");
  lstat("m/f", &after);
  is("number stays", before.st_ino == after.st_ino && before.st_dev == after.st_dev);
  stat("m", &root);
  stat("u", &layer);
  is("one device", root.st_dev == after.st_dev);
  is("another than the layer's", root.st_dev != layer.st_dev);
  char b[20] = "";
  ret("read by the old descriptor", pread(reader, b, sizeof b, 0));
  close(reader);
  ret("chmod", chmod("m/g", 0600));
  ret("unlink", unlink("m/d/a"));
  ret("unlink again", unlink("m/d/a"));
  ret("rmdir of a merged one", rmdir("m/d"));
  ret("rmdir", rmdir("m/d/sub"));
  ret("mkdir over a whiteout", mkdir("m/d/sub", 0700));
  ret("file over a whiteout", open("m/d/a", O_CREAT | O_EXCL | O_WRONLY, 0600) < 0 ? -1 : 0);
  ret("mkdir", mkdir("m/new", 0755));
  ret("mkdir in it", mkdir("m/new/in", 0755));
  ret("mkdir in what only a lower layer has", mkdir("m/e/more", 0755));
  ret("symlink", symlink("x", "m/link"));
  ret("fifo", mkfifo("m/pipe", 0644));
  ret("a device", mknod("m/null", S_IFCHR | 0666, makedev(1, 3)));
  ret("a whiteout", mknod("m/white", S_IFCHR, makedev(0, 0)));
  ret("hard link of a lower file", link("m/g", "m/g2"));
  ret("write to one of two lower links", truncate("m/h1", 2));
  get("m/h1");
  get("m/h2");
  int tmp = open("m/new", O_TMPFILE | O_RDWR, 0600);
  is("O_TMPFILE", tmp >= 0);
  char path[40];
  snprintf(path, sizeof path, "/proc/self/fd/%d", tmp);
  ret("give it a name", linkat(AT_FDCWD, path, AT_FDCWD, "m/new/named", AT_SYMLINK_FOLLOW));
  close(tmp);
  tree("m", 0);
  say("upper:");
  tree("u", 1);
  say("work:");
  tree("w", 1);
  ret("umount", umount("m"));
  over("again", ALL);
  tree("m", 0);
  stat("m/f", &after);
  is("number after all", before.st_ino == after.st_ino);
}

static void renames(void) {
  say("== renames");
  over("mount", ALL);
  ret("lower file", rename("m/f", "m/f2"));
  ret("lower directory", rename("m/only", "m/other"));
  ret("merged directory", rename("m/d", "m/other"));
  ret("new directory", mkdir("m/n", 0755));
  ret("moved", rename("m/n", "m/n2"));
  ret("into a merged one", rename("m/n2", "m/d/n3"));
  ret("onto a lower file", rename("m/f2", "m/g"));
  get("m/g");
  mkdir("m/n", 0755);
  ret("directory onto one that is not empty", rename("m/n", "m/d"));
  unlink("m/only/x");
  ret("directory onto an emptied lower one", rename("m/n", "m/only"));
  tree("m/only", 0);
  ret("exchange files", renameat2(AT_FDCWD, "m/g", AT_FDCWD, "m/h1", RENAME_EXCHANGE));
  get("m/g");
  get("m/h1");
  ret("exchange with a lower directory", renameat2(AT_FDCWD, "m/g", AT_FDCWD, "m/d", RENAME_EXCHANGE));
  ret("no replace", renameat2(AT_FDCWD, "m/g", AT_FDCWD, "m/h1", RENAME_NOREPLACE));
  ret("whiteout", renameat2(AT_FDCWD, "m/g", AT_FDCWD, "m/g3", RENAME_WHITEOUT));
  ret("out of it", rename("m/g", "g"));
  tree("m", 0);
  say("upper:");
  tree("u", 1);
}

static void redirects(void) {
  say("== redirects");
  over("mount", ALL ",redirect_dir=on");
  ret("in place", rename("m/d", "m/d2"));
  ret("elsewhere", rename("m/only", "m/d2/only"));
  ret("of a redirected one", rename("m/d2/sub", "m/d2/sub3"));
  ret("back", rename("m/d2/only", "m/only2"));
  put_file("m/d2/b", "changed");
  ret("remove what was there", unlink("m/d2/a"));
  ret("a new one of the old name", mkdir("m/d", 0755));
  tree("m", 0);
  tree("u", 1);
  umount("m");
  over("follow", ALL);
  tree("m", 0);
  umount("m");
  over("nofollow", ALL ",redirect_dir=nofollow");
  struct stat st;
  ret("not followed", stat("m/d2", &st));
  umount("m");
}

static void attributes(void) {
  say("== attributes");
  over("mount", ALL);
  char v[100];
  ret("user", setxattr("m/f", "user.a", "1", 1, 0));
  ret("trusted", setxattr("m/f", "trusted.a", "1", 1, 0));
  ret("trusted.overlay", setxattr("m/f", "trusted.overlay.opaque", "y", 1, 0));
  ret("read", getxattr("m/f", "trusted.overlay.opaque", v, sizeof v));
  ret("of the upper file", getxattr("u/f", "trusted.overlay.opaque", v, sizeof v));
  ret("escaped", getxattr("u/f", "trusted.overlay.overlay.opaque", v, sizeof v));
  ret("impure is not seen", getxattr("m", "trusted.overlay.impure", v, sizeof v));
  ret("impure", getxattr("u", "trusted.overlay.impure", v, sizeof v));
  ret("list", listxattr("m/f", v, sizeof v));
  is("in the list", memmem(v, sizeof v, "trusted.overlay.opaque", 23) != NULL);
  ret("of the root", listxattr("m", v, sizeof v));
  ret("without a buffer", listxattr("m", NULL, 0));
  ret("of a copied file", listxattr("m/f", NULL, 0));
  ret("remove", removexattr("m/f", "trusted.overlay.opaque"));
  ret("gone", getxattr("u/f", "trusted.overlay.overlay.opaque", v, sizeof v));
  ret("user.overlay", setxattr("m/f", "user.overlay.x", "y", 1, 0));
  ret("is as it is", getxattr("u/f", "user.overlay.x", v, sizeof v));
  umount("m");
  say("of lower directories");
  ret("opaque", setxattr("l1/d", "trusted.overlay.opaque", "y", 1, 0));
  ret("whiteout", mknod("l1/g", S_IFCHR, 0));
  mkdir("u2", 0755);
  mkdir("w2", 0755);
  over("mount", "lowerdir=l1:l2,upperdir=u2,workdir=w2");
  tree("m", 0);
  umount("m");
  over("userxattr", "lowerdir=l1:l2,upperdir=u2,workdir=w2,userxattr");
  ret("trusted opaque does not count", access("m/d/b", F_OK));
  ret("mkdir", mkdir("m/d/new", 0755));
  ret("rmdir", rmdir("m/e/deep"));
  ret("not empty", -1);
  ret("unlink", unlink("m/e/deep/y"));
  ret("rmdir", rmdir("m/e/deep"));
  ret("mkdir", mkdir("m/e/deep", 0755));
  tree("u2", 1);
  umount("m");
}

static long accessed(const char *path) {
  struct stat st;
  lstat(path, &st);
  return st.st_atime;
}

// What copies a file up although nothing comes of it, and what notes an access.
static void in_vain(void) {
  say("== in vain");
  char v[10];
  over("mount", ALL);
  ret("no such namespace", setxattr("m/f", "other.a", "1", 1, 0));
  ret("copied", access("u/f", F_OK));
  ret("nothing after the namespace", setxattr("m/d/b", "user.", "1", 1, 0));
  ret("copied", access("u/d/b", F_OK));
  ret("not removed", removexattr("m/g", "other.a"));
  ret("no list to remove", removexattr("m/g", "system.posix_acl_access"));
  ret("not copied", access("u/g", F_OK));
  ret("of the upper file", removexattr("m/f", "system.posix_acl_access"));
  struct timespec old[2] = {{1000000000, 0}, {1000000000, 0}};
  utimensat(AT_FDCWD, "m/f", old, 0);
  int fd = open("m/f", O_RDWR);
  char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  utimensat(AT_FDCWD, "m/f", old, 0);
  ret("read of nothing", pread(fd, v, 0, 0));
  say("is %s", accessed("m/f") == 1000000000 ? "none" : "one");
  ret("read", pread(fd, v, 1, 0));
  say("is %s", accessed("m/f") == 1000000000 ? "none" : "one");
  munmap(p, 4096), close(fd);
  umount("m");
  static const char *const dirs[] = {"m/d", "m/e"};
  mkdir("u/d", 0755);
  utimensat(AT_FDCWD, "u/d", old, 0);
  utimensat(AT_FDCWD, "l1/e", old, 0), utimensat(AT_FDCWD, "l2/e", old, 0);
  over("mount", ALL);
  for (int i = 0; i < 2; i++) {
    int quiet = open(dirs[i], O_RDONLY | O_DIRECTORY | O_NOATIME), loud = open(dirs[i], O_RDONLY | O_DIRECTORY);
    char entries[1000];
    syscall(SYS_getdents64, quiet, entries, sizeof entries);
    say("%s listed quietly: %s", dirs[i], accessed(dirs[i]) == 1000000000 ? "old" : "new");
    syscall(SYS_getdents64, loud, entries, sizeof entries);
    say("%s listed: %s", dirs[i], accessed(dirs[i]) == 1000000000 ? "old" : "new");
    close(quiet), close(loud);
  }
  umount("m");
}

static void layer_names(void) {
  say("== names in the layer");
  over("mount", ALL);
  ret("absent", access("u/f", F_OK));
  ret("absent new", access("u/n", F_OK));
  append("m/f", "!");
  get("u/f");
  put_file("m/n", "new");
  get("u/n");
  ret("remove", unlink("m/n"));
  ret("gone", access("u/n", F_OK));
  ret("remove the other", unlink("m/f"));
  struct stat st;
  ret("whiteout", stat("u/f", &st));
  is("a device", S_ISCHR(st.st_mode) && st.st_rdev == 0);
  put_file("m/f", "again");
  get("u/f");
  ret("mkdir", mkdir("m/dir", 0755));
  put_file("m/dir/x", "x");
  get("u/dir/x");
  ret("rename", rename("m/dir", "m/dir2"));
  get("u/dir/x");
  get("u/dir2/x");
  umount("m");
}

static void refusals(void) {
  say("== refusals");
  symlink("l1", "to-l1");
  mkdir("u/in", 0755);
  mkdir("w3", 0755);
  mkdir("a:b", 0755);
  mkdir("a,b", 0755);
  mkdir("other", 0755);
  put_file("file", "");
  tried("no data", NULL);
  tried("no lower", "upperdir=u,workdir=w");
  tried("one lower", "lowerdir=l1");
  over("two lowers", "lowerdir=l1:l2");
  ret("write", open("m/n", O_CREAT | O_WRONLY, 0600));
  ret("write to a file", open("m/f", O_WRONLY));
  ret("remount rw", mount(NULL, "m", NULL, MS_REMOUNT, NULL));
  ret("umount", umount("m"));
  tried("no work", "lowerdir=l1,upperdir=u");
  tried("work without upper", "lowerdir=l1:l2,workdir=w");
  tried("missing lower", "lowerdir=l1:none,upperdir=u,workdir=w");
  tried("missing upper", "lowerdir=l1,upperdir=none,workdir=w");
  tried("lower is a file", "lowerdir=file,upperdir=u,workdir=w");
  tried("upper is a file", "lowerdir=l1,upperdir=file,workdir=w");
  tried("by a link", "lowerdir=to-l1,upperdir=u,workdir=w");
  tried("upper is work", "lowerdir=l1,upperdir=u,workdir=u");
  tried("work in upper", "lowerdir=l1,upperdir=u,workdir=u/in");
  tried("upper in work", "lowerdir=l1,upperdir=u/in,workdir=u");
  tried("lower is upper", "lowerdir=u,upperdir=u,workdir=w");
  tried("lower in upper", "lowerdir=u/in,upperdir=u,workdir=w");
  tried("upper in lower", "lowerdir=.,upperdir=u,workdir=w");
  tried("the same lower twice", "lowerdir=l1:l1,upperdir=u,workdir=w");
  tried("lower in lower", "lowerdir=l1:l1/d,upperdir=u,workdir=w");
  tried("empty lower", "lowerdir=,upperdir=u,workdir=w");
  tried("trailing colon", "lowerdir=l1:,upperdir=u,workdir=w");
  tried("leading colon", "lowerdir=:l1,upperdir=u,workdir=w");
  tried("three colons", "lowerdir=l1:::l2,upperdir=u,workdir=w");
  tried("data layer", "lowerdir=l1::l2,upperdir=u,workdir=w");
  tried("escaped colon", "lowerdir=a\\:b,upperdir=u,workdir=w");
  tried("escaped comma", "lowerdir=l1,upperdir=a\\,b,workdir=w");
  tried("unknown option", ALL ",nonsense");
  tried("unknown value", ALL ",xino=maybe");
  tried("flag with a value", ALL ",userxattr=1");
  tried("value missing", ALL ",redirect_dir");
  tried("ro", ALL ",ro");
  const char *good[] = {"redirect_dir=off", "redirect_dir=follow", "redirect_dir=nofollow", "redirect_dir=on", "index=off",
    "metacopy=off", "nfs_export=off", "xino=off", "xino=auto", "uuid=null", "volatile", "default_permissions", "verity=off"};
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    char data[200];
    snprintf(data, sizeof data, "lowerdir=l1:l2,upperdir=other,workdir=w3,%s", good[i]);
    tried(good[i], data);
    unlink("w3/work/incompat/volatile/dirty");
    rmdir("w3/work/incompat/volatile");
    rmdir("w3/work/incompat");
  }
  const char *conflicts[] = {"userxattr,redirect_dir=on", "userxattr,metacopy=on", "metacopy=on,redirect_dir=off",
    "nfs_export=on,index=off", "nfs_export=on,metacopy=on"};
  for (size_t i = 0; i < sizeof conflicts / sizeof *conflicts; i++) {
    char data[200];
    snprintf(data, sizeof data, "lowerdir=l1:l2,upperdir=other,workdir=w3,%s", conflicts[i]);
    tried(conflicts[i], data);
  }
  ret("bind elsewhere", mount("other", "other", NULL, MS_BIND, NULL));
  tried("work of another mount", "lowerdir=l1,upperdir=other,workdir=w");
  ret("read-only upper", mount(NULL, "other", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
  tried("read-only upper", "lowerdir=l1,upperdir=other,workdir=other");
  umount("other");
  say("stacks");
  mkdir("m2", 0755);
  mkdir("m3", 0755);
  over("first", "lowerdir=l1:l2");
  ret("upper on an overlay", mount("s", "m2", "overlay", 0, "lowerdir=u,upperdir=m/d,workdir=m/e"));
  ret("second", mount("s", "m2", "overlay", 0, "lowerdir=m,upperdir=other,workdir=w3"));
  append("m2/f", " through two");
  get("m2/f");
  get("m2/g");
  get("m/f");
  ret("third", mount("s", "m3", "overlay", 0, "lowerdir=m2:u"));
  umount("m2");
  umount("m");
  get("other/f");
}

#define fs_config(...) syscall(431, __VA_ARGS__)
enum { FLAG, STRING, BINARY, PATH, PATH_EMPTY, FD, CREATE, RECONF };

static void by_descriptors(void) {
  say("== fsconfig");
  int fd = syscall(430, "overlay", 1);
  is("fsopen", fd >= 0);
  ret("lowerdir+", fs_config(fd, STRING, "lowerdir+", "l1", 0));
  ret("another", fs_config(fd, STRING, "lowerdir+", "l2", 0));
  ret("missing", fs_config(fd, STRING, "lowerdir+", "none", 0));
  ret("colons are names", fs_config(fd, STRING, "lowerdir+", "l1:l2", 0));
  ret("upperdir", fs_config(fd, STRING, "upperdir", "u", 0));
  ret("workdir", fs_config(fd, STRING, "workdir", "w", 0));
  ret("unknown", fs_config(fd, STRING, "nonsense", "1", 0));
  ret("redirect_dir", fs_config(fd, STRING, "redirect_dir", "on", 0));
  ret("flag", fs_config(fd, FLAG, "userxattr", NULL, 0));
  ret("conflict", fs_config(fd, CREATE, NULL, NULL, 0));
  close(fd);
  fd = syscall(430, "overlay", 1);
  int dirs[4] = {open("l1", O_PATH), open("l2", O_RDONLY | O_DIRECTORY), open("u", O_PATH), open("w", O_PATH)};
  ret("lowerdir+ by descriptor", fs_config(fd, FD, "lowerdir+", NULL, dirs[0]));
  ret("another", fs_config(fd, FD, "lowerdir+", NULL, dirs[1]));
  ret("upperdir by descriptor", fs_config(fd, FD, "upperdir", NULL, dirs[2]));
  ret("workdir by descriptor", fs_config(fd, FD, "workdir", NULL, dirs[3]));
  ret("a flag by descriptor", fs_config(fd, FD, "userxattr", NULL, dirs[3]));
  ret("create", fs_config(fd, CREATE, NULL, NULL, 0));
  int m = syscall(432, fd, 1, 0);
  is("fsmount", m >= 0);
  ret("move_mount", syscall(429, m, "", AT_FDCWD, "m", 4));
  append("m/f", " by fsconfig");
  get("u/f");
  int pick = syscall(433, AT_FDCWD, "m", 0);
  ret("change an option", fs_config(pick, STRING, "redirect_dir", "on", 0));
  ret("read-only", fs_config(pick, FLAG, "ro", NULL, 0));
  ret("reconfigure", fs_config(pick, RECONF, NULL, NULL, 0));
  append("m/f", "no");
  close(pick);
  close(m);
  ret("umount", umount("m"));
}

static void write_file(const char *path, const char *text) {
  int fd = open(path, O_WRONLY);
  if (fd < 0 || write(fd, text, strlen(text)) < 0) say("%s: %s", path, strerrorname_np(errno));
  close(fd);
}

static void in_user_namespace(void) {
  say("== user namespace");
  pid_t pid = fork();
  if (pid == 0) {
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS)) _exit(1);
    write_file("/proc/self/setgroups", "deny");
    write_file("/proc/self/uid_map", "0 0 1");
    write_file("/proc/self/gid_map", "0 0 1");
    mkdir("own", 0755);
    if (mount("t", "own", "tmpfs", 0, NULL)) perror("tmpfs");
    mkdir("own/u", 0755);
    mkdir("own/w", 0755);
    chmod("own/u", 0755);
    mkdir("own/l", 0755);
    mkdir("own/l/d", 0755);
    put_file("own/l/d/x", "x");
    one_device = 0;
    over("redirect_dir", "lowerdir=own/l:l1,upperdir=own/u,workdir=own/w,redirect_dir=on");
    over("metacopy", "lowerdir=own/l:l1,upperdir=own/u,workdir=own/w,metacopy=on");
    if (over("userxattr", "lowerdir=own/l:l1,upperdir=own/u,workdir=own/w,userxattr") == 0) {
      append("m/f", " in a namespace");
      get("m/f");
      unlink("m/d/x");
      unlink("m/d/a");
      rmdir("m/d/sub");
      ret("rmdir", rmdir("m/d"));
      ret("mkdir", mkdir("m/d", 0755));
      ret("copy of a stranger's", chmod("m/strange", 0600));
      tree("m", 0);
      tree("own/u", 1);
      ret("umount", umount("m"));
    }
    unlink("own/w/work");
    mkdir("own/u2", 0755);
    if (over("without", "lowerdir=own/l:l1,upperdir=own/u2,workdir=own/w") == 0) {
      append("m/f", " twice");
      unlink("m/d/x");
      unlink("m/d/a");
      rmdir("m/d/sub");
      ret("rmdir", rmdir("m/d"));
      ret("mkdir over a whiteout", mkdir("m/d", 0755));
      ret("mkdir", mkdir("m/new", 0755));
      tree("own/u2", 1);
    }
    _exit(0);
  }
  wait_say("in it", pid);
}

static void each(void (*part)(void)) {
  start();
  part();
  fresh();
}

int main(void) {
  if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)) {
    say("no mount namespace: %s", strerrorname_np(errno));
    return 0;
  }
  umask(022);
  each(changes);
  each(renames);
  each(redirects);
  each(attributes);
  each(in_vain);
  each(layer_names);
  each(refusals);
  each(by_descriptors);
  start();
  put_file("l1/strange", "s");
  if (chown("l1/strange", 7, 7)) perror("chown");
  in_user_namespace();
  fresh();
  return 0;
}
