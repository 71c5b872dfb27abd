// POSIX access control lists: what the attributes take and give, the permission check, chmod, inheritance.
#pragma GCC diagnostic ignored "-Wunused-result"
#include "guest.h"
#include <grp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/un.h>
#include <sys/socket.h>
#include <sys/xattr.h>

#define ACCESS "system.posix_acl_access"
#define DEFAULT "system.posix_acl_default"
enum { UO = 1, U = 2, GO = 4, G = 8, M = 16, O = 32 };
struct entry { uint16_t tag, perm; uint32_t id; };

static char buf[4 + 8 * 64];
// tag, perm, id triples, ended by tag 0.
static size_t build(const int *e) {
  uint32_t version = 2;
  size_t n = 4;
  memcpy(buf, &version, 4);
  for (; e[0]; e += 3, n += 8) {
    struct entry x = {e[0], e[1], e[2]};
    memcpy(buf + n, &x, 8);
  }
  return n;
}
#define ACL(...) build((int[]){__VA_ARGS__, 0})

static void show(const char *what, const char *path, const char *name) {
  char b[512], text[600];
  ssize_t n = lgetxattr(path, name, b, sizeof b);
  if (n < 0) {
    say("%s: %s", what, strerrorname_np(errno));
    return;
  }
  int at = 0;
  text[0] = 0;
  for (ssize_t i = 4; i + 8 <= n; i += 8) {
    struct entry x;
    memcpy(&x, b + i, 8);
    at += sprintf(text + at, " %d:%d:%d", x.tag, x.perm, (int)x.id);
  }
  say("%s: version %d%s", what, b[0], text);
}

static void mode(const char *what, const char *path) {
  struct stat st;
  if (lstat(path, &st)) say("%s: %s", what, strerrorname_np(errno));
  else say("%s: %o", what, st.st_mode & 07777);
}

static void list(const char *what, const char *path) {
  char b[512];
  ssize_t n = llistxattr(path, b, sizeof b);
  int at = 0;
  char out[1024] = "";
  for (char *p = b; p < b + n; p += strlen(p) + 1) at += sprintf(out + at, " %s", p);
  say("%s:%s", what, n < 0 ? strerrorname_np(errno) : out);
}

// What user `uid` with group `gid` and one more group is let do: the letters of access(2) with effective ids.
static void may(const char *what, const char *path, int uid, int gid, int more) {
  pid_t p = fork();
  if (p == 0) {
    gid_t g = more;
    setgroups(1, &g);
    setresgid(gid, gid, gid);
    setresuid(uid, uid, uid);
    char s[8] = "";
    int r = access(path, R_OK), w = access(path, W_OK), x = access(path, X_OK);
    sprintf(s, "%c%c%c%c", r ? '-' : 'r', w ? '-' : 'w', x ? '-' : 'x', access(path, R_OK | W_OK) ? '-' : '+');
    say("%s: %d/%d+%d %s", what, uid, gid, more, s);
    _exit(0);
  }
  waitpid(p, NULL, 0);
}

static void forms(void) {
  close(open("f", O_RDWR | O_CREAT, 0640));
  chmod("f", 0640);
  show("none", "f", ACCESS);
  show("none by default", "f", DEFAULT);
  ret("remove none", removexattr("f", ACCESS));
  ret("remove no default of a file", removexattr("f", DEFAULT));
  size_t n = ACL(UO, 6, -1, GO, 4, -1, O, 4, -1);
  ret("minimal", setxattr("f", ACCESS, buf, n, 0));
  show("is the mode's", "f", ACCESS);
  mode("minimal mode", "f");
  list("minimal list", "f");
  n = ACL(UO, 6, 5, U, 7, 1001, GO, 4, 6, M, 5, 7, O, 0, 8);
  ret("extended", setxattr("f", ACCESS, buf, n, 0));
  show("extended", "f", ACCESS);
  mode("extended mode", "f");
  list("extended list", "f");
  ret("size", getxattr("f", ACCESS, NULL, 0));
  ret("too small", getxattr("f", ACCESS, buf, 10));
  n = ACL(UO, 6, -1, U, 7, 1001, GO, 4, -1, M, 5, -1, O, 0, -1);
  ret("create that exists", setxattr("f", ACCESS, buf, n, XATTR_CREATE));
  ret("default of a file", setxattr("f", DEFAULT, buf, n, 0));
  ret("no default of a file", setxattr("f", DEFAULT, buf, 4, 0));
  ret("odd length", setxattr("f", ACCESS, buf, n - 1, 0));
  ret("short header", setxattr("f", ACCESS, buf, 3, 0));
  ret("bad flags", setxattr("f", ACCESS, buf, n, 8));
  buf[0] = 3;
  ret("version", setxattr("f", ACCESS, buf, n, 0));
  const int bad[][24] = {
    {UO, 6, -1, GO, 4, -1},
    {UO, 6, -1, U, 6, 5, GO, 4, -1, O, 0, -1},
    {GO, 6, -1, UO, 4, -1, O, 0, -1},
    {UO, 6, -1, GO, 4, -1, O, 0, -1, M, 7, -1},
    {UO, 8, -1, GO, 4, -1, O, 0, -1},
    {UO, 6, -1, U, 6, -1, GO, 4, -1, M, 7, -1, O, 0, -1},
    {UO, 6, -1, GO, 4, -1, U, 6, 5, M, 7, -1, O, 0, -1},
    {UO, 6, -1, UO, 6, -1, GO, 4, -1, O, 0, -1},
    {UO, 6, -1, GO, 4, -1, O, 0, -1, O, 0, -1},
    {64, 6, -1, UO, 6, -1, GO, 4, -1, O, 0, -1},
    {UO, 6, -1, GO, 4, -1, M, 7, -1, O, 0, -1},
    {UO, 6, -1, U, 6, 7, U, 1, 7, GO, 4, -1, M, 7, -1, O, 0, -1},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    char what[40];
    sprintf(what, "form %zu", i);
    n = build(bad[i]);
    ret(what, setxattr("f", ACCESS, buf, n, 0));
    mode(what, "f");
  }
  ret("remove", removexattr("f", ACCESS));
  show("removed", "f", ACCESS);
  mode("removed mode", "f");
  n = ACL(UO, 6, -1, U, 7, 1001, GO, 4, -1, M, 5, -1, O, 0, -1);
  setxattr("f", ACCESS, buf, n, 0);
  ret("empty value", setxattr("f", ACCESS, buf, 0, 0));
  show("after empty value", "f", ACCESS);
  setxattr("f", ACCESS, buf, n, 0);
  ret("no entries", setxattr("f", ACCESS, buf, 4, 0));
  show("after no entries", "f", ACCESS);
  symlink("f", "link");
  ret("of a link", lsetxattr("link", ACCESS, buf, n, 0));
  show("of a link", "link", ACCESS);
  ret("prefix", setxattr("f", "system.posix_acl", buf, n, 0));
  ret("another", setxattr("f", "system.posix_acl_access2", buf, n, 0));
  mkfifo("fifo", 0600);
  ret("of a fifo", setxattr("fifo", ACCESS, buf, n, 0));
  show("of a fifo", "fifo", ACCESS);
  ret("of /proc/self/status", setxattr("/proc/self/status", ACCESS, buf, n, 0));
  show("of /proc/self/status", "/proc/self/status", ACCESS);
  int p[2];
  pipe(p);
  ret("of a pipe", fgetxattr(p[0], ACCESS, buf, sizeof buf));
}

static void check(void) {
  close(open("c", O_RDWR | O_CREAT, 0640));
  chown("c", 1000, 2000);
  size_t n = ACL(UO, 0, -1, U, 6, 1001, U, 0, 1002, GO, 4, -1, G, 2, 2001, G, 7, 2002, M, 6, -1, O, 5, -1);
  ret("list for the check", setxattr("c", ACCESS, buf, n, 0));
  may("owner", "c", 1000, 2001, 2002);
  may("named", "c", 1001, 3000, 3000);
  may("named without", "c", 1002, 2002, 2000);
  may("owning group", "c", 1500, 2000, 3000);
  may("named group", "c", 1500, 2001, 3000);
  may("masked group", "c", 1500, 3000, 2002);
  may("two groups", "c", 1500, 2000, 2001);
  may("others", "c", 1500, 3000, 3001);
  may("root", "c", 0, 0, 0);
  chmod("c", 0604);
  show("mask of nothing", "c", ACCESS);
  may("named, no mask", "c", 1001, 3000, 3000);
  may("group, no mask", "c", 1500, 2000, 2000);
  may("others still", "c", 1500, 3000, 3001);
  chmod("c", 0475);
  show("after chmod", "c", ACCESS);
  mode("after chmod", "c");
  may("named after chmod", "c", 1001, 3000, 3000);
  // A directory that everybody may search, but for one.
  mkdir("d", 0755);
  close(open("d/in", O_RDWR | O_CREAT, 0644));
  n = ACL(UO, 7, -1, U, 0, 1001, GO, 5, -1, M, 7, -1, O, 5, -1);
  may("before", "d/in", 1001, 3000, 3000);
  ret("list of d", setxattr("d", ACCESS, buf, n, 0));
  may("kept out", "d/in", 1001, 3000, 3000);
  may("let in", "d/in", 1003, 3000, 3000);
  removexattr("d", ACCESS);
  may("let in again", "d/in", 1001, 3000, 3000);
}

static void rights(void) {
  close(open("o", O_RDWR | O_CREAT, 0644));
  chown("o", 1000, 2000);
  pid_t p = fork();
  if (p == 0) {
    gid_t g = 3000;
    setgroups(1, &g);
    setresgid(3000, 3000, 3000);
    setresuid(1001, 1001, 1001);
    size_t n = ACL(UO, 6, -1, U, 6, 1001, GO, 4, -1, M, 6, -1, O, 4, -1);
    ret("a stranger's", setxattr("o", ACCESS, buf, n, 0));
    ret("a stranger's removal", removexattr("o", ACCESS));
    show("a stranger reads", "o", ACCESS);
    _exit(0);
  }
  waitpid(p, NULL, 0);
  chmod("o", 02755);
  p = fork();
  if (p == 0) {
    gid_t g = 3000;
    setgroups(1, &g);
    setresgid(3000, 3000, 3000);
    setresuid(1000, 1000, 1000);
    size_t n = ACL(UO, 6, -1, U, 6, 1001, GO, 4, -1, M, 7, -1, O, 4, -1);
    ret("the owner's", setxattr("o", ACCESS, buf, n, 0));
    mode("without the group's set-id", "o");
    _exit(0);
  }
  waitpid(p, NULL, 0);
}

static void inherit(void) {
  mkdir("p", 0755);
  umask(027);
  size_t n = ACL(UO, 7, -1, U, 7, 1001, GO, 5, -1, M, 6, -1, O, 1, -1);
  ret("default", setxattr("p", DEFAULT, buf, n, 0));
  show("default", "p", DEFAULT);
  show("default changes no access", "p", ACCESS);
  list("default list", "p");
  mode("default mode", "p");
  close(open("p/f", O_RDWR | O_CREAT, 0666));
  mode("file", "p/f");
  show("file", "p/f", ACCESS);
  show("file's default", "p/f", DEFAULT);
  close(open("p/g", O_RDWR | O_CREAT, 0700));
  mode("private file", "p/g");
  show("private file", "p/g", ACCESS);
  mkdir("p/d", 0777);
  mode("directory", "p/d");
  show("directory", "p/d", ACCESS);
  show("directory's default", "p/d", DEFAULT);
  mkdir("p/d/e", 0700);
  show("deeper", "p/d/e", ACCESS);
  show("deeper default", "p/d/e", DEFAULT);
  symlink("x", "p/l");
  mode("link", "p/l");
  mkfifo("p/fifo", 0666);
  mode("fifo", "p/fifo");
  struct sockaddr_un sa = {AF_UNIX, "p/sock"};
  int s = socket(AF_UNIX, SOCK_STREAM, 0);
  bind(s, (struct sockaddr *)&sa, sizeof sa);
  mode("socket", "p/sock");
  int t = open("p", O_TMPFILE | O_RDWR, 0666);
  struct stat st;
  fstat(t, &st);
  if (t >= 0) say("unnamed: %o", st.st_mode & 07777);
  else say("unnamed: %s", strerrorname_np(errno));
  if (t >= 0) ret("unnamed size", fgetxattr(t, ACCESS, NULL, 0));
  rename("p/f", "moved");
  show("moved", "moved", ACCESS);
  link("moved", "p/linked");
  show("linked", "p/linked", ACCESS);
  n = ACL(UO, 7, -1, GO, 7, -1, O, 7, -1);
  ret("default like a mode", setxattr("p", DEFAULT, buf, n, 0));
  show("default like a mode", "p", DEFAULT);
  close(open("p/h", O_RDWR | O_CREAT, 0666));
  mode("umask counts for nothing", "p/h");
  show("no list", "p/h", ACCESS);
  ret("remove default", removexattr("p", DEFAULT));
  ret("remove default again", removexattr("p", DEFAULT));
  close(open("p/i", O_RDWR | O_CREAT, 0666));
  mode("umask counts again", "p/i");
}

int main(void) {
  umask(022);
  // Others may search it, wherever it lies.
  mkdir("acl", 0755);
  if (getxattr("acl", ACCESS, NULL, 0) < 0 && errno == EOPNOTSUPP) {
    // A file system without them: tmpfs has.
    unshare(CLONE_NEWNS);
    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
    mount("tmpfs", "acl", "tmpfs", 0, "mode=755");
  }
  chdir("acl");
  forms();
  check();
  rights();
  inherit();
  return 0;
}
