// mkdir, rmdir, link, symlink, unlink, rename, renameat2, mknod, getdents, getcwd, chdir, chroot.
#pragma GCC diagnostic ignored "-Wunused-result"
#pragma GCC diagnostic ignored "-Wnonnull"
#pragma GCC diagnostic ignored "-Wstringop-overflow"
#pragma GCC diagnostic ignored "-Wstringop-overread"
#include "guest.h"
#include <dirent.h>
#include <limits.h>

static const char *get(const char *name) {
  static char buf[100];
  memset(buf, 0, sizeof buf);
  int fd = open(name, O_RDONLY);
  if (fd < 0) return strerrorname_np(errno);
  if (read(fd, buf, sizeof buf - 1) < 0) return "unreadable";
  close(fd);
  return buf;
}

static int compare(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

// The names in a directory, sorted.
static void ls(const char *name) {
  char *names[1000];
  int n = 0;
  DIR *d = opendir(name);
  if (!d) {
    say("ls %s: %s", name, strerrorname_np(errno));
    return;
  }
  for (struct dirent *e; (e = readdir(d));) {
    char line[400];
    snprintf(line, sizeof line, "%s:%d", e->d_name, e->d_type);
    names[n++] = strdup(line);
  }
  closedir(d);
  qsort(names, n, sizeof *names, compare);
  printf("ls %s:", name);
  for (int i = 0; i < n; i++) printf(" %s", names[i]);
  say("");
}

static long nlink_(const char *name) {
  struct stat st;
  return lstat(name, &st) ? -1 : (long)st.st_nlink;
}

static void dirs(void) {
  ret("mkdir", mkdir("d", 0755));
  ret("mkdir again", mkdir("d", 0755));
  ret("mkdir slash", mkdir("ds//", 0755));
  ret("mkdir .", mkdir(".", 0755));
  ret("mkdir ..", mkdir("..", 0755));
  ret("mkdir d/.", mkdir("d/.", 0755));
  ret("mkdir /", mkdir("/", 0755));
  ret("mkdir empty", mkdir("", 0755));
  ret("mkdir missing parent", mkdir("none/x", 0755));
  put_file("f", "f");
  ret("mkdir below file", mkdir("f/x", 0755));
  ret("mkdir over file", mkdir("f", 0755));
  symlink("target", "dl");
  ret("mkdir over dangling link", mkdir("dl", 0755));
  ret("mkdir dangling link/", mkdir("dl/", 0755));
  ret("rmdir missing", rmdir("none"));
  ret("rmdir file", rmdir("f"));
  ret("rmdir .", rmdir("."));
  ret("rmdir d/.", rmdir("d/."));
  ret("rmdir d/..", rmdir("d/.."));
  ret("rmdir /", rmdir("/"));
  put_file("d/x", "x");
  ret("rmdir not empty", rmdir("d"));
  ret("unlink dir", unlink("d"));
  ret("unlink dir/", unlink("d/"));
  ret("unlink file/", unlink("f/"));
  ret("unlink .", unlink("."));
  ret("unlink missing", unlink("none"));
  ret("unlink missing/", unlink("none/"));
  ret("unlink empty", unlink(""));
  ret("unlink bad", unlink(BAD_PTR));
  ret("unlinkat bad flag", unlinkat(AT_FDCWD, "f", 1));
  ret("unlinkat dir", unlinkat(AT_FDCWD, "ds", AT_REMOVEDIR));
  unlink("d/x");
  ret("rmdir slash", rmdir("d/"));
  symlink("/nowhere", "broken");
  ret("unlink broken link", unlink("broken"));
  unlink("dl");
  ret("rmdir symlink", symlink(".", "dot") || rmdir("dot"));
  ret("rmdir symlink/", rmdir("dot/"));
  unlink("dot");
}

static void dead_dir(void) {
  mkdir("dead", 0755);
  int fd = open("dead", O_RDONLY | O_DIRECTORY);
  chdir("dead");
  rmdir("../dead");
  char buf[PATH_MAX];
  is("getcwd in removed dir", getcwd(buf, sizeof buf) == NULL && errno == ENOENT);
  ret("create in removed dir", open("x", O_WRONLY | O_CREAT, 0644));
  ret("mkdir in removed dir", mkdir("y", 0755));
  ret("stat .", access(".", F_OK));
  ret("openat ..", openat(fd, "..", O_RDONLY) >= 0 ? 0 : -1);
  char ents[1000];
  ret("getdents", syscall(SYS_getdents64, fd, ents, sizeof ents));
  struct stat st;
  fstat(fd, &st);
  ret("nlink", st.st_nlink);
  chdir("..");
  is("still here", access("f", F_OK) == 0);
  close(fd);
}

static void links(void) {
  put_file("a", "a");
  ret("link", link("a", "b"));
  ret("nlink", nlink_("a"));
  ret("link existing", link("a", "b"));
  ret("link missing", link("none", "c"));
  ret("link dir", link(".", "c"));
  ret("link to slash", link("a", "c/"));
  ret("link bad", link(BAD_PTR, "c"));
  symlink("a", "sl");
  ret("link of symlink", link("sl", "sl2"));
  struct stat st;
  lstat("sl2", &st);
  is("is a link", S_ISLNK(st.st_mode));
  ret("linkat follow", linkat(AT_FDCWD, "sl", AT_FDCWD, "a3", AT_SYMLINK_FOLLOW));
  ret("nlink 3", nlink_("a"));
  ret("linkat bad flag", linkat(AT_FDCWD, "a", AT_FDCWD, "a4", 1));
  int fd = open("a", O_RDONLY);
  ret("linkat empty", linkat(fd, "", AT_FDCWD, "a5", AT_EMPTY_PATH));
  ret("xdev", link("a", "/proc/x") == -1 && (errno == EXDEV || errno == ENOENT) ? 0 : -1);
  unlink("a");
  unlink("b");
  unlink("a3");
  unlink("a5");
  fstat(fd, &st);
  ret("nlink of unlinked", st.st_nlink);
  char p[64];
  snprintf(p, sizeof p, "/proc/self/fd/%d", fd);
  ret("revive unlinked", linkat(AT_FDCWD, p, AT_FDCWD, "z", AT_SYMLINK_FOLLOW));
  ssize_t n = readlink(p, p, sizeof p - 1);
  p[n > 0 ? n : 0] = 0;
  is("(deleted)", n > 10 && !strcmp(p + n - 10, " (deleted)"));
  close(fd);
  ret("symlink empty", symlink("", "e"));
  ret("symlink existing", symlink("x", "sl"));
  ret("symlink slash", symlink("x", "news/"));
  char buf[8];
  ret("readlink", readlink("sl", buf, sizeof buf));
  ret("readlink short", readlink("sl", buf, 0));
  ret("readlink file", readlink("f", buf, sizeof buf));
  ret("readlink missing", readlink("none", buf, sizeof buf));
  ret("readlink bad", readlink("sl", BAD_PTR, 8));
  char big[5000];
  memset(big, 'y', sizeof big);
  big[4095] = 0;
  ret("symlink 4095", symlink(big, "long"));
  big[4095] = 'y', big[4096] = 0;
  ret("symlink 4096", symlink(big, "long2"));
  unlink("long");
  unlink("sl");
  unlink("sl2");
}

static long z_from(int dir, const char *name) {
  unlink("z");
  return linkat(dir, name, AT_FDCWD, "z", AT_EMPTY_PATH);
}

// By descriptor: for who has opened it, or may read everything.
static void links_by_descriptor(void) {
  mkdir("open", 0777), chmod("open", 0777);
  int given = open("open", O_TMPFILE | O_RDWR, 0666), dir = open("open", O_PATH);
  put_file("open/x", "x"), chmod("open/x", 0666);
  pid_t p = fork();
  if (p != 0) return (void)wait_say("stranger", p);
  if (chdir("open") || setresgid(1000, 1000, 1000) || setresuid(1000, 1000, 1000)) perror("become");
  int own = open(".", O_TMPFILE | O_RDWR, 0666), place = open("x", O_PATH), here = open(".", O_PATH), two[2];
  pipe(two);
  ret("own", linkat(own, "", AT_FDCWD, "kept", AT_EMPTY_PATH));
  ret("another name", z_from(own, ""));
  unlink("kept"), unlink("z");
  ret("when all are gone", z_from(own, ""));
  own = open(".", O_TMPFILE | O_RDWR, 0666);
  linkat(own, "", AT_FDCWD, "kept", AT_EMPTY_PATH);
  ret("given", z_from(given, ""));
  ret("own place", z_from(place, ""));
  ret("below an own directory", z_from(here, "x"));
  ret("below a given one", z_from(dir, "x"));
  ret("working directory", z_from(AT_FDCWD, ""));
  ret("none", z_from(-1, ""));
  ret("pipe", z_from(two[0], ""));
  p = fork();
  if (p == 0) _exit(ret("of the parent", z_from(own, "")) == 0);
  waitpid(p, NULL, 0);
  syscall(SYS_setfsuid, 0);
  ret("as before", z_from(own, ""));
  _exit(0);
}

static void renames(void) {
  put_file("a", "A");
  put_file("b", "B");
  mkdir("d1", 0755);
  mkdir("d2", 0755);
  mkdir("d1/sub", 0755);
  put_file("d1/sub/f", "deep");
  ret("rename missing", rename("none", "x"));
  ret("rename to missing dir", rename("a", "none/x"));
  ret("rename onto", rename("a", "b"));
  say("b is %s", get("b"));
  ret("rename file to dir", rename("b", "d1"));
  ret("rename dir to file", rename("d1", "b"));
  ret("rename dir to nonempty", rename("d2", "d1"));
  ret("rename nonempty to empty dir", rename("d1", "d2"));
  say("moved %s", get("d2/sub/f"));
  ret("rename into itself", rename("d2", "d2/sub/x"));
  ret("rename onto ancestor", rename("d2/sub", "d2"));
  ret("rename .", rename("d2/.", "x"));
  ret("rename ..", rename("d2/..", "x"));
  ret("rename to .", rename("b", "d2/."));
  ret("rename file/", rename("b/", "x"));
  ret("rename to file/", rename("b", "x/"));
  ret("rename dir to name/", rename("d2", "d3/"));
  ret("rename same", rename("b", "b"));
  link("b", "b2");
  ret("rename links", rename("b", "b2"));
  is("both stay", access("b", F_OK) == 0 && access("b2", F_OK) == 0);
  ret("noreplace", renameat2(AT_FDCWD, "b", AT_FDCWD, "f", RENAME_NOREPLACE));
  ret("noreplace free", renameat2(AT_FDCWD, "b", AT_FDCWD, "c", RENAME_NOREPLACE));
  put_file("x", "X");
  ret("exchange", renameat2(AT_FDCWD, "c", AT_FDCWD, "x", RENAME_EXCHANGE));
  say("c %s", get("c"));
  say("x %s", get("x"));
  ret("exchange missing", renameat2(AT_FDCWD, "c", AT_FDCWD, "none", RENAME_EXCHANGE));
  ret("exchange dir and file", renameat2(AT_FDCWD, "c", AT_FDCWD, "d3", RENAME_EXCHANGE));
  say("in swapped %s", get("c/sub/f"));
  ret("exchange with below", renameat2(AT_FDCWD, "c", AT_FDCWD, "c/sub", RENAME_EXCHANGE));
  ret("bad flags", renameat2(AT_FDCWD, "c", AT_FDCWD, "y", 8));
  ret("both flags", renameat2(AT_FDCWD, "c", AT_FDCWD, "y", RENAME_EXCHANGE | RENAME_NOREPLACE));
  ret("rename to longer", rename("x", "c/sub/x"));
  chdir("c/sub");
  rename("../../c", "../../cc");
  char buf[PATH_MAX];
  is("cwd follows rename", getcwd(buf, sizeof buf) && strstr(buf, "/cc/sub"));
  chdir("../..");
  ls("cc");
  ls("cc/sub");
  int fd = open("cc/sub/f", O_RDONLY);
  rename("cc/sub/f", "moved-file");
  char p[64];
  snprintf(p, sizeof p, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(p, buf, sizeof buf - 1);
  buf[n > 0 ? n : 0] = 0;
  is("fd link follows rename", strlen(buf) > 11 && !strcmp(buf + strlen(buf) - 11, "/moved-file"));
  close(fd);
}

static void nodes(void) {
  struct stat st;
  ret("mknod file", mknod("n1", S_IFREG | 0644, 0));
  ret("mknod type 0", mknod("n2", 0644, 0));
  stat("n2", &st);
  is("type 0 is regular", S_ISREG(st.st_mode));
  ret("mknod dir", mknod("n3", S_IFDIR | 0755, 0));
  ret("mknod link", mknod("n3", S_IFLNK | 0755, 0));
  ret("mknod fifo", mknod("n4", S_IFIFO | 0644, 0));
  ret("mknod socket", mknod("n5", S_IFSOCK | 0644, 0));
  ret("open socket", open("n5", O_RDONLY));
  ret("mknod existing", mknod("n1", S_IFREG | 0644, 0));
  ret("fifo nonblocking write", open("n4", O_WRONLY | O_NONBLOCK));
  int r = open("n4", O_RDONLY | O_NONBLOCK);
  ok("fifo nonblocking read", r);
  int w = open("n4", O_WRONLY | O_NONBLOCK);
  ok("fifo writer", w);
  ret("fifo write", write(w, "pipe", 4));
  char buf[10];
  ret("fifo read", read(r, buf, sizeof buf));
  close(r);
  close(w);
  pid_t p = fork();
  if (p == 0) {
    int fd = open("n4", O_WRONLY);
    _exit(write(fd, "x", 1) == 1 ? 0 : 1);
  }
  r = open("n4", O_RDONLY);
  ret("blocking fifo", read(r, buf, 1));
  wait_say("fifo child", p);
  close(r);
  ls(".");
}

static void listing(void) {
  mkdir("many", 0755);
  char name[64];
  for (int i = 0; i < 500; i++) {
    snprintf(name, sizeof name, "many/file-number-%d", i);
    close(open(name, O_WRONLY | O_CREAT, 0644));
  }
  DIR *d = opendir("many");
  int n = 0;
  long pos = 0;
  char at100[300] = "";
  for (struct dirent *e; (e = readdir(d)); n++) {
    if (n == 99) pos = telldir(d);
    if (n == 100) strcpy(at100, e->d_name);
  }
  ret("entries", n);
  seekdir(d, pos);
  struct dirent *e = readdir(d);
  is("seekdir", e && !strcmp(e->d_name, at100));
  rewinddir(d);
  int removed = 0;
  while ((e = readdir(d)))
    if (e->d_name[0] == 'f') {
      snprintf(name, sizeof name, "many/%s", e->d_name);
      if (!unlink(name)) removed++;
    }
  ret("removed while reading", removed);
  closedir(d);
  ret("rmdir", rmdir("many"));
  int fd = open(".", O_RDONLY);
  char buf[16];
  ret("getdents too small", syscall(SYS_getdents64, fd, buf, sizeof buf));
  ret("getdents bad", syscall(SYS_getdents64, fd, BAD_PTR, 4096));
  ret("getdents file", syscall(SYS_getdents64, open("f", O_RDONLY), buf, sizeof buf));
  ret("getdents bad fd", syscall(SYS_getdents64, 99, buf, sizeof buf));
  ret("lseek dir", lseek(fd, 0, SEEK_SET));
  close(fd);
}

// Deeper than a name can be long: the size of the buffer does not matter.
static void deep(void) {
  static char buf[6000];
  char part[201];
  int top = open(".", O_RDONLY | O_DIRECTORY);
  memset(part, 'd', 200), part[200] = 0;
  for (int i = 0; i < 21; i++) mkdir(part, 0755), chdir(part);
  ret("deep getcwd", syscall(SYS_getcwd, buf, sizeof buf));
  ret("deep getcwd small", syscall(SYS_getcwd, buf, 10));
  ret("deep /proc/self/cwd", readlink("/proc/self/cwd", buf, sizeof buf));
  char link[64];
  int fd = open(".", O_RDONLY | O_DIRECTORY);
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ret("deep /proc/self/fd", readlink(link, buf, sizeof buf));
  close(fd);
  is("deep getcwd of libc", getcwd(buf, sizeof buf) != NULL && strlen(buf) > PATH_MAX);
  for (int i = 0; i < 21; i++) chdir(".."), rmdir(part);
  fchdir(top);
  close(top);
}

static void cwd(void) {
  char buf[PATH_MAX], small[2];
  mkdir("w", 0755);
  ret("chdir file", chdir("f"));
  ret("chdir missing", chdir("none"));
  ret("chdir", chdir("w"));
  is("getcwd", getcwd(buf, sizeof buf) && !strcmp(buf + strlen(buf) - 2, "/w"));
  is("getcwd small", getcwd(small, sizeof small) == NULL && errno == ERANGE);
  ret("raw getcwd bad", syscall(SYS_getcwd, BAD_PTR, 4096));
  ret("fchdir bad", fchdir(99));
  int fd = open("..", O_RDONLY);
  ret("fchdir", fchdir(fd));
  close(fd);
  pid_t p = fork();
  if (p == 0) {
    ret("chroot missing", chroot("none"));
    ret("chroot file", chroot("f"));
    ret("chroot", chroot("w"));
    syscall(SYS_getcwd, buf, sizeof buf);
    is("unreachable", !strncmp(buf, "(unreachable)/", 14));
    chdir("/");
    is("root", getcwd(buf, sizeof buf) && !strcmp(buf, "/"));
    ret("escape by ..", chdir("../../.."));
    is("still root", getcwd(buf, sizeof buf) && !strcmp(buf, "/"));
    ret("outside gone", access("/proc", F_OK));
    _exit(0);
  }
  wait_say("chroot", p);
}

int main(void) {
  umask(022);
  dirs();
  dead_dir();
  links();
  links_by_descriptor();
  renames();
  nodes();
  listing();
  deep();
  cwd();
  return 0;
}
