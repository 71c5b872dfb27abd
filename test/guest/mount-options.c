// mount(2) by type: flags and options, as mountinfo, statfs and statx tell of them; remounts; errors.
#include "guest.h"
#include <sched.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>

// The line of mountinfo for `dir` without what varies: ids, device and what is above.
static void info(const char *dir) {
  char cwd[500], want[600], line[2000];
  if (!getcwd(cwd, sizeof cwd)) return;
  snprintf(want, sizeof want, "%s/%s", cwd, dir);
  FILE *f = fopen("/proc/self/mountinfo", "r");
  char last[2000] = "none";
  while (f && fgets(line, sizeof line, f)) {
    char root[500], at[500], *dash = strstr(line, " - ");
    int used = 0;
    if (!dash || sscanf(line, "%*d %*d %*s %499s %499s %n", root, at, &used) != 2 || strcmp(at, want) != 0) continue;
    line[strcspn(line, "\n")] = 0;
    snprintf(last, sizeof last, "%s %s", root, line + used);
  }
  if (f) fclose(f);
  say("  info %s", last);
}

// The options as /proc/mounts has them.
static void mounts(const char *dir) {
  char cwd[500], want[600], line[2000], last[2000] = "none";
  if (!getcwd(cwd, sizeof cwd)) return;
  snprintf(want, sizeof want, "%s/%s", cwd, dir);
  FILE *f = fopen("/proc/self/mounts", "r");
  while (f && fgets(line, sizeof line, f)) {
    char source[300], at[600], type[100], options[1000];
    int dump, pass;
    if (sscanf(line, "%299s %599s %99s %999s %d %d", source, at, type, options, &dump, &pass) != 6) continue;
    if (strcmp(at, want) == 0) snprintf(last, sizeof last, "%s %s %s %d %d", source, type, options, dump, pass);
  }
  if (f) fclose(f);
  say("  mounts %s", last);
}

static void vfs(const char *dir) {
  struct statvfs v;
  struct statfs s;
  if (statvfs(dir, &v) || statfs(dir, &s)) {
    say("  statvfs %s", strerrorname_np(errno));
    return;
  }
  say("  statfs type %lx flags %lx bsize %ld frsize %ld namelen %ld", (long)s.f_type, (long)v.f_flag, (long)s.f_bsize,
      (long)s.f_frsize, (long)s.f_namelen);
}

static void try(const char *name, const char *source, const char *type, unsigned long flags, const char *data) {
  if (ret(name, mount(source, "m", type, flags, data))) return;
  info("m");
  mounts("m");
  vfs("m");
  ret("  umount", umount("m"));
}

static void flags(void) {
  say("== flags");
  try("none", "src", "tmpfs", 0, NULL);
  try("ro", "src", "tmpfs", MS_RDONLY, NULL);
  try("nosuid", "src", "tmpfs", MS_NOSUID, NULL);
  try("nodev", "src", "tmpfs", MS_NODEV, NULL);
  try("noexec", "src", "tmpfs", MS_NOEXEC, NULL);
  try("nosymfollow", "src", "tmpfs", 256, NULL);
  try("sync", "src", "tmpfs", MS_SYNCHRONOUS, NULL);
  try("dirsync", "src", "tmpfs", MS_DIRSYNC, NULL);
  try("lazytime", "src", "tmpfs", MS_LAZYTIME, NULL);
  try("mandlock", "src", "tmpfs", MS_MANDLOCK, NULL);
  try("noatime", "src", "tmpfs", MS_NOATIME, NULL);
  try("nodiratime", "src", "tmpfs", MS_NODIRATIME, NULL);
  try("relatime", "src", "tmpfs", MS_RELATIME, NULL);
  try("strictatime", "src", "tmpfs", MS_STRICTATIME, NULL);
  try("noatime strictatime", "src", "tmpfs", MS_NOATIME | MS_STRICTATIME, NULL);
  try("noatime relatime", "src", "tmpfs", MS_NOATIME | MS_RELATIME, NULL);
  try("noatime nodiratime", "src", "tmpfs", MS_NOATIME | MS_NODIRATIME, NULL);
  try("silent", "src", "tmpfs", MS_SILENT, NULL);
  try("posixacl", "src", "tmpfs", MS_POSIXACL, NULL);
  try("iversion", "src", "tmpfs", MS_I_VERSION, NULL);
  try("kernmount", "src", "tmpfs", MS_KERNMOUNT, NULL);
  try("bit 26", "src", "tmpfs", 1 << 26, NULL);
  try("nouser", "src", "tmpfs", 1UL << 31, NULL);
  try("active", "src", "tmpfs", 1 << 30, NULL);
  try("magic", "src", "tmpfs", MS_MGC_VAL | MS_NODEV, NULL);
  try("magic and high", "src", "tmpfs", MS_MGC_VAL | MS_STRICTATIME, NULL);
  try("all", "src", "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME | MS_SYNCHRONOUS, NULL);
  try("rec alone", "src", "tmpfs", MS_REC, NULL);
  try("no source", NULL, "tmpfs", 0, NULL);
  try("empty source", "", "tmpfs", 0, NULL);
  try("blanks in source", "a b\tc\\d\ne#f", "tmpfs", 0, NULL);
}

static void tmpfs_options(void) {
  say("== tmpfs");
  const char *good[] = {
      "size=64k", "size=100000", "size=1m,nr_inodes=100", "nr_blocks=10", "nr_inodes=1k", "size=0", "nr_inodes=0", "mode=700",
      "mode=0755", "mode=1777", "mode=4755", "mode=77777", "uid=1000", "uid=1000,gid=1001,mode=711", "", ",", ",,size=4k,,", "size=1M", "size=1g",
      "inode64", "inode32", "size=4k,size=8k", "mode=0", "uid=0", "size=1", "nr_blocks=1k", "source=x", "ro", "rw", "size=5%",
      "noexec", "nosuid", "sync", "size= 4k", "lazytime", "dirsync", "mand", "defaults", "user", "loop",
  };
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    char name[60];
    snprintf(name, sizeof name, "data '%s'", good[i]);
    if (!strcmp(good[i], "size=5%")) ret(name, mount("s", "m", "tmpfs", 0, good[i])), umount("m");
    else try(name, "s", "tmpfs", 0, good[i]);
  }
  const char *bad[] = {
      "size", "size=", "size=x", "size=1x", "size=-1", "mode=9", "mode=", "mode=x", "mode", "uid=x", "uid=-1", "uid=", "gid=4294967295", "nr_inodes=x", "nr_inodes=-1",
      "size=101%x", "nonsense", "SIZE=4k", "mode=0x1", "uid=0x10", "inode64=1", "mode=-1", "ro=1",
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    char name[60];
    snprintf(name, sizeof name, "bad '%s'", bad[i]);
    if (ret(name, mount("s", "m", "tmpfs", 0, bad[i])) == 0) umount("m");
  }
}

static void full(void) {
  say("== limits of tmpfs");
  struct statfs s;
  ret("mount", mount("s", "m", "tmpfs", 0, "size=16k,nr_inodes=5"));
  statfs("m", &s);
  say("blocks %ld free %ld avail %ld files %ld ffree %ld", (long)s.f_blocks, (long)s.f_bfree, (long)s.f_bavail, (long)s.f_files, (long)s.f_ffree);
  for (int i = 0; i < 5; i++) {
    char name[20];
    snprintf(name, sizeof name, "m/f%d", i);
    int fd = open(name, O_CREAT | O_RDWR, 0600);
    ok(name, fd);
    close(fd);
  }
  ret("mkdir", mkdir("m/d", 0700));
  ret("symlink", symlink("x", "m/l"));
  ret("mknod", mknod("m/n", S_IFIFO | 0600, 0));
  ret("link", link("m/f0", "m/ln"));
  statfs("m", &s);
  say("files %ld ffree %ld", (long)s.f_files, (long)s.f_ffree);
  ret("unlink", unlink("m/f3"));
  ret("mkdir", mkdir("m/d", 0700));
  int fd = open("m/f0", O_RDWR);
  static char buf[20000];
  ret("write", write(fd, buf, sizeof buf));
  ret("write more", write(fd, buf, 1));
  ret("fallocate", fallocate(fd, 0, 0, 40960));
  ret("truncate", ftruncate(fd, 1 << 20));
  ret("pwrite beyond", pwrite(fd, buf, 10, 1 << 18));
  ret("punch", fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096));
  ret("pwrite now", pwrite(fd, buf, 10, 1 << 18));
  statfs("m", &s);
  say("blocks %ld free %ld avail %ld", (long)s.f_blocks, (long)s.f_bfree, (long)s.f_bavail);
  ret("remount smaller than in use", mount(NULL, "m", NULL, MS_REMOUNT, "size=4k"));
  ret("remount fewer inodes", mount(NULL, "m", NULL, MS_REMOUNT, "nr_inodes=2"));
  ret("remount larger", mount(NULL, "m", NULL, MS_REMOUNT, "size=64k,nr_inodes=50"));
  info("m");
  ret("remount no limit", mount(NULL, "m", NULL, MS_REMOUNT, "size=0"));
  ret("remount mode", mount(NULL, "m", NULL, MS_REMOUNT, "mode=700"));
  struct stat st;
  stat("m", &st);
  say("mode %o", st.st_mode & 07777);
  info("m");
  ret("remount bad", mount(NULL, "m", NULL, MS_REMOUNT, "nonsense"));
  close(fd);
  ret("umount", umount("m"));
}

static void remounts(void) {
  say("== remounts");
  ret("mount", mount("s", "m", "tmpfs", MS_NOSUID, NULL));
  int fd = open("m/f", O_CREAT | O_RDWR, 0600);
  ret("ro while written", mount(NULL, "m", NULL, MS_REMOUNT | MS_RDONLY, NULL));
  ret("bind ro while written", mount(NULL, "m", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
  close(fd);
  fd = open("m/f", O_RDONLY);
  ret("ro", mount(NULL, "m", NULL, MS_REMOUNT | MS_RDONLY, NULL));
  info("m");
  vfs("m");
  ret("create", open("m/g", O_CREAT | O_RDWR, 0600));
  ret("bind rw of a ro super block", mount(NULL, "m", NULL, MS_REMOUNT | MS_BIND, NULL));
  info("m");
  ret("create", open("m/g", O_CREAT | O_RDWR, 0600));
  ret("rw", mount(NULL, "m", NULL, MS_REMOUNT, NULL));
  info("m");
  ok("create", open("m/g", O_CREAT | O_EXCL, 0600));
  ret("bind noexec noatime", mount(NULL, "m", NULL, MS_REMOUNT | MS_BIND | MS_NOEXEC | MS_NOATIME, NULL));
  info("m");
  ret("bind nothing keeps atime", mount(NULL, "m", NULL, MS_REMOUNT | MS_BIND, NULL));
  info("m");
  ret("bind strictatime", mount(NULL, "m", NULL, MS_REMOUNT | MS_BIND | MS_STRICTATIME, NULL));
  info("m");
  ret("sync", mount(NULL, "m", NULL, MS_REMOUNT | MS_SYNCHRONOUS | MS_NODEV, NULL));
  info("m");
  ret("plain", mount(NULL, "m", NULL, MS_REMOUNT, NULL));
  info("m");
  mkdir("b", 0700);
  ret("bind", mount("m", "b", NULL, MS_BIND, NULL));
  ret("remount a bind ro", mount(NULL, "b", NULL, MS_REMOUNT | MS_RDONLY, NULL));
  info("b");
  info("m");
  ret("write in the other", open("m/h", O_CREAT | O_RDWR, 0600));
  ret("rw again", mount(NULL, "m", NULL, MS_REMOUNT, NULL));
  info("b");
  ret("remount with type and source", mount("x", "m", "proc", MS_REMOUNT | MS_NODEV, NULL));
  info("m");
  close(fd);
  mkdir("m/sub", 0700);
  ret("remount what is no root", mount(NULL, "m/sub", NULL, MS_REMOUNT, NULL));
  ret("remount rec", mount(NULL, "m", NULL, MS_REMOUNT | MS_REC | MS_BIND | MS_RDONLY, NULL));
  info("m");
  ret("bind with flags", mount("m", "b", NULL, MS_BIND | MS_RDONLY | MS_NOEXEC, NULL));
  info("b");
  ret("umount", umount("b"));
  ret("umount", umount("b"));
  ret("umount", umount("m"));
}

static void types(void) {
  say("== types");
  try("proc", "p", "proc", 0, NULL);
  try("proc hidepid", "p", "proc", 0, "hidepid=2");
  try("proc hidepid name", "p", "proc", 0, "hidepid=invisible");
  try("proc gid", "p", "proc", 0, "gid=5,hidepid=1");
  try("proc subset", "p", "proc", 0, "subset=pid");
  try("proc bad", "p", "proc", 0, "nonsense");
  try("proc bad hidepid", "p", "proc", 0, "hidepid=9");
  try("sysfs", "s", "sysfs", MS_NOSUID, NULL);
  try("sysfs data", "s", "sysfs", 0, "nonsense");
  try("devpts", "d", "devpts", 0, "newinstance,ptmxmode=0666,mode=620,gid=5");
  try("devpts plain", "d", "devpts", 0, NULL);
  try("devpts uid", "d", "devpts", MS_NOEXEC, "uid=7,gid=8,mode=600,max=10");
  try("devpts bad", "d", "devpts", 0, "nonsense");
  try("devpts bad mode", "d", "devpts", 0, "mode=9");
  try("mqueue", "q", "mqueue", 0, NULL);
  try("mqueue data", "q", "mqueue", 0, "nonsense");
  try("ramfs", "r", "ramfs", 0, NULL);
  try("ramfs mode", "r", "ramfs", 0, "mode=700");
  try("empty type", "r", "", 0, NULL);
  try("subtype", "r", "tmpfs.sub", 0, NULL);
  try("subtype of fuse only", "r", "tmpfs.", 0, NULL);
  try("sockfs", "r", "sockfs", 0, NULL);
  try("pipefs", "r", "pipefs", 0, NULL);
  try("nsfs", "r", "nsfs", 0, NULL);
  try("Tmpfs", "r", "Tmpfs", 0, NULL);
}

static void places(void) {
  say("== places");
  char big[4200];
  ret("on a file", mount("s", "file", "tmpfs", 0, NULL));
  ret("on nothing", mount("s", "nowhere", "tmpfs", 0, NULL));
  ret("on ''", mount("s", "", "tmpfs", 0, NULL));
  ret("on a bad pointer", mount("s", BAD_PTR, "tmpfs", 0, NULL));
  ret("on NULL", syscall(SYS_mount, "s", NULL, "tmpfs", 0, NULL));
  ret("below a file", mount("s", "file/x", "tmpfs", 0, NULL));
  memset(big, 'n', sizeof big);
  big[256] = 0;
  ret("on a long name", mount("s", big, "tmpfs", 0, NULL));
  big[256] = 'n';
  big[4199] = 0;
  ret("on a long path", mount("s", big, "tmpfs", 0, NULL));
  ret("a long source", mount(big, "m", "tmpfs", 0, NULL));
  ret("a long type", mount("s", "m", big, 0, NULL));
  ret("bad source", mount(BAD_PTR, "m", "tmpfs", 0, NULL));
  ret("bad type", mount("s", "m", BAD_PTR, 0, NULL));
  ret("bad data", mount("s", "m", "tmpfs", 0, BAD_PTR));
  symlink("m", "tom");
  symlink("loop", "loop");
  ret("through a link", mount("linked", "tom", "tmpfs", 0, NULL));
  info("m");
  ret("umount nofollow of a link", umount2("tom", UMOUNT_NOFOLLOW));
  ret("umount through it", umount2("tom", 0));
  ret("on a loop", mount("s", "loop", "tmpfs", 0, NULL));
  ret("umount of a loop", umount("loop"));
  ret("umount ''", umount(""));
  ret("umount bad", umount(BAD_PTR));
  ret("umount of a directory", umount("m"));
  ret("umount of a file", umount("file"));
  ret("umount of nothing", umount("nowhere"));
  ret("umount flags", umount2("m", 0x10));
  ret("umount expire and detach", umount2("m", MNT_EXPIRE | MNT_DETACH));
  ret("umount expire and force of a directory", umount2("m", MNT_EXPIRE | MNT_FORCE));
  ret("mount", mount("s", "m", "tmpfs", 0, NULL));
  ret("expire and detach", umount2("m", MNT_EXPIRE | MNT_DETACH));
  ret("expire and force", umount2("m", MNT_EXPIRE | MNT_FORCE));
  ret("expire", umount2("m", MNT_EXPIRE));
  ret("use it", access("m/x", F_OK));
  ret("expire a used one", umount2("m", MNT_EXPIRE));
  ret("expire again", umount2("m", MNT_EXPIRE));
  ret("mount", mount("s", "m", "tmpfs", 0, NULL));
  ret("force", umount2("m", MNT_FORCE));
  ret("mount", mount("s", "m", "tmpfs", 0, NULL));
  ret("slash", umount("m/"));
  ret("mount", mount("s", "m", "tmpfs", 0, NULL));
  ret("dot", umount("m/."));
  ret("mount", mount("s", "m", "tmpfs", 0, NULL));
  mkdir("m/sub", 0700);
  ret("dot dot", umount("m/sub/.."));
}

static void busy(void) {
  say("== busy");
  char cwd[500];
  getcwd(cwd, sizeof cwd);
  ret("mount", mount("s", "m", "tmpfs", 0, NULL));
  int fd = open("m", O_PATH);
  ret("O_PATH", umount("m"));
  close(fd);
  ret("chdir", chdir("m"));
  ret("by the working directory", umount("../m"));
  ret("umount .", umount("."));
  chdir("..");
  fd = open("m/f", O_CREAT | O_RDWR, 0600);
  ftruncate(fd, 4096);
  void *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
  close(fd);
  ret("by a mapping", umount("m"));
  munmap(p, 4096);
  mkdir("m/sub", 0700);
  ret("mount below", mount("s", "m/sub", "tmpfs", 0, NULL));
  ret("by a mount", umount("m"));
  ret("force", umount2("m", MNT_FORCE));
  ret("expire", umount2("m", MNT_EXPIRE));
  fd = open("m/sub/f", O_CREAT | O_RDWR, 0600);
  ret("detach", umount2("m", MNT_DETACH));
  ret("file lives", write(fd, "x", 1));
  struct stat st;
  ret("fstat", fstat(fd, &st));
  char path[200], link[40];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, path, sizeof path - 1);
  path[n > 0 ? n : 0] = 0;
  say("link %s", path);
  close(fd);
  ret("mount", mount("s", "m", "tmpfs", 0, NULL));
  mkdir("m/d", 0700);
  fd = open("m/d", O_RDONLY);
  ret("detach", umount2("m", MNT_DETACH));
  ret("mkdirat", mkdirat(fd, "e", 0700));
  int up = openat(fd, "..", O_RDONLY);
  is("dot dot stays", up >= 0 && faccessat(up, "d", F_OK, 0) == 0);
  int root = openat(up, "..", O_RDONLY);
  is("and ends at its root", root >= 0 && faccessat(root, "d", F_OK, 0) == 0);
  snprintf(path, sizeof path, "/proc/self/fd/%d/e", fd);
  ret("mount in it", mount("s", path, "tmpfs", 0, NULL));
  snprintf(path, sizeof path, "/proc/self/fd/%d", up);
  ret("umount it again", umount(path));
  ret("bind it", mount(path, "b", NULL, MS_BIND, NULL));
  fchdir(fd);
  ret("getcwd", syscall(SYS_getcwd, path, sizeof path));
  say("%s", path);
  chdir(cwd);
  close(fd), close(up), close(root);
  pid_t child = fork();
  if (child == 0) {
    ret("mount", mount("s", "m", "tmpfs", 0, NULL));
    ret("chroot", chroot("m"));
    ret("umount /", umount("/"));
    ret("detach /", umount2("/", MNT_DETACH));
    ret("stat /", stat("/", &st));
    _exit(0);
  }
  wait_say("child", child);
  ret("what it did", umount("m"));
}

static void deleted(void) {
  say("== deleted directories");
  mkdir("gone", 0700);
  int fd = open("gone", O_RDONLY);
  rmdir("gone");
  char path[60];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  ret("mount on it", mount("s", path, "tmpfs", 0, NULL));
  ret("bind on it", mount("m", path, NULL, MS_BIND, NULL));
  ret("bind it", mount(path, "m", NULL, MS_BIND, NULL));
  info("m");
  umount("m");
  close(fd);
  fd = open("file2", O_CREAT | O_RDWR, 0600);
  unlink("file2");
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  ret("bind an unlinked file", mount(path, "file", NULL, MS_BIND, NULL));
  info("file");
  ret("umount", umount("file"));
  ret("bind on an unlinked file", mount("file", path, NULL, MS_BIND, NULL));
  close(fd);
  say("== what removes a mount point elsewhere");
  mkdir("mp", 0700);
  close(open("mf", O_CREAT | O_RDWR, 0600));
  int sync[2], back[2];
  char c;
  if (pipe(sync) || pipe(back)) return;
  pid_t child = fork();
  if (child == 0) {
    unshare(CLONE_NEWNS);
    ret("mount there", mount("s", "mp", "tmpfs", 0, NULL));
    ret("bind there", mount("file", "mf", NULL, MS_BIND, NULL));
    write(back[1], "x", 1);
    read(sync[0], &c, 1);
    ret("gone there", access("mp", F_OK));
    ret("gone there too", access("mf", F_OK));
    info("mp");
    _exit(0);
  }
  read(back[0], &c, 1);
  ret("rmdir here", rmdir("mp"));
  ret("unlink here", unlink("mf"));
  write(sync[1], "x", 1);
  wait_say("child", child);
  mkdir("mp", 0700);
  ret("mount", mount("s", "mp", "tmpfs", 0, NULL));
  ret("rmdir of a mount point", rmdir("mp"));
  ret("rename of a mount point", rename("mp", "mp2"));
  mkdir("other", 0700);
  ret("rename onto a mount point", rename("other", "mp"));
  ret("exchange with a mount point", renameat2(AT_FDCWD, "other", AT_FDCWD, "mp", RENAME_EXCHANGE));
  mkdir("above", 0700);
  umount("mp");
  rename("mp", "above/mp");
  ret("mount", mount("s", "above/mp", "tmpfs", 0, NULL));
  ret("rename above it", rename("above", "moved"));
  info("moved/mp");
  ret("umount", umount("moved/mp"));
}

int main(void) {
  setvbuf(stdout, NULL, _IONBF, 0);
  umask(022);
  if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL)) return 1;
  mkdir("work", 0755);
  if (mount("none", "work", "tmpfs", 0, NULL) || chdir("work")) return 1;
  mkdir("m", 0755);
  close(open("file", O_CREAT | O_RDWR, 0600));
  flags();
  tmpfs_options();
  full();
  remounts();
  types();
  places();
  busy();
  deleted();
  return 0;
}
