// Landlock (landlock(7)): what of the third version rules about files grant and deny.
#include "guest.h"

#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/un.h>

enum {
  EXECUTE = 1, WRITE_FILE = 2, READ_FILE = 4, READ_DIR = 8, REMOVE_DIR = 16, REMOVE_FILE = 32, MAKE_CHAR = 64, MAKE_DIR = 128,
  MAKE_REG = 256, MAKE_SOCK = 512, MAKE_FIFO = 1024, MAKE_BLOCK = 2048, MAKE_SYM = 4096, REFER = 8192, TRUNCATE = 16384, ALL = 32767,
};
struct beneath {
  uint64_t allowed;
  int32_t parent;
} __attribute__((packed));

static long create(void *attr, size_t size, unsigned flags) { return syscall(SYS_landlock_create_ruleset, attr, size, flags); }
static int ruleset(uint64_t handled) { return create(&handled, sizeof handled, 0); }
static long add(int fd, const char *path, uint64_t allowed) {
  struct beneath b = {allowed, open(path, O_PATH | O_CLOEXEC)};
  long r = syscall(SYS_landlock_add_rule, fd, 1, &b, 0);
  int e = errno;
  close(b.parent);
  errno = e;
  return r;
}
static long restrict_self(int fd) { return syscall(SYS_landlock_restrict_self, fd, 0); }
static void must(long r) {
  if (r < 0) say("failed: %s", strerrorname_np(errno));
}
static int put(const char *path) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0755);
  if (fd >= 0) close(fd);
  return fd < 0 ? -1 : 0;
}
static long opens(const char *path, int flags) {
  int fd = open(path, flags | O_CLOEXEC, 0644);
  if (fd < 0) return -1;
  close(fd);
  return 0;
}

// Runs a part in a process of its own, which what it does to itself ends with.
static void part(const char *name, void (*f)(void)) {
  say("-- %s", name);
  pid_t p = fork();
  if (p == 0) {
    f();
    _exit(0);
  }
  int status;
  waitpid(p, &status, 0);
  if (status != 0) say("status %x", status);
}

static void arguments(void) {
  is("version", create(NULL, 0, 1) >= 3);
  ret("version with a size", create(NULL, 8, 1));
  uint64_t attr[600] = {READ_FILE};
  ret("null", create(NULL, 8, 0));
  ret("bad address", create(BAD_PTR, 8, 0));
  ret("short", create(attr, 7, 0));
  ok("long", create(attr, 64, 0));
  ret("too long", create(attr, 4097, 0));
  attr[20] = 1;
  ret("unknown member", create(attr, 168, 0));
  ret("nothing", ruleset(0));
  ret("unknown rights", ruleset(1ULL << 40));
  int fd = ruleset(READ_FILE | MAKE_REG);
  is("closed at exec", fcntl(fd, F_GETFD) == FD_CLOEXEC);
  char c;
  ret("read", read(fd, &c, 1));
  ret("write", write(fd, &c, 1));
  struct beneath b = {READ_FILE, open(".", O_PATH)};
  ret("flags", syscall(SYS_landlock_add_rule, fd, 1, &b, 1));
  ret("type", syscall(SYS_landlock_add_rule, fd, 9, &b, 0));
  ret("rule at a bad address", syscall(SYS_landlock_add_rule, fd, 1, BAD_PTR, 0));
  ret("to no ruleset", syscall(SYS_landlock_add_rule, b.parent, 1, &b, 0));
  ret("to a file", syscall(SYS_landlock_add_rule, 1, 1, &b, 0));
  ret("to nothing", syscall(SYS_landlock_add_rule, -1, 1, &b, 0));
  b.allowed = 0;
  ret("no rights", syscall(SYS_landlock_add_rule, fd, 1, &b, 0));
  b.allowed = EXECUTE;
  ret("rights not handled", syscall(SYS_landlock_add_rule, fd, 1, &b, 0));
  b.allowed = READ_FILE;
  ret("rule", syscall(SYS_landlock_add_rule, fd, 1, &b, 0));
  b.parent = -1;
  ret("for nothing", syscall(SYS_landlock_add_rule, fd, 1, &b, 0));
  b.parent = fd;
  ret("for a ruleset", syscall(SYS_landlock_add_rule, fd, 1, &b, 0));
  int pipes[2];
  must(pipe(pipes));
  b.parent = pipes[0];
  ret("for a pipe", syscall(SYS_landlock_add_rule, fd, 1, &b, 0));
  ret("directories' right for a file", add(fd, "d/in", MAKE_REG));
  ret("files' right for a file", add(fd, "d/in", READ_FILE));
  ret("restrict: no ruleset", restrict_self(1));
  ret("restrict: nothing", restrict_self(-1));
  if (setresuid(1000, 1000, 1000) == 0) ret("without no_new_privs", restrict_self(fd));
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  ret("with it", restrict_self(fd));
}

static void reading(void) {
  int before = open("other/out", O_RDONLY), fd = ruleset(READ_FILE | READ_DIR | WRITE_FILE | EXECUTE);
  must(add(fd, "d", READ_FILE | READ_DIR | EXECUTE));
  must(add(fd, "other/writable", WRITE_FILE));
  ret("restrict", restrict_self(fd));
  ret("read inside", opens("d/in", O_RDONLY));
  ret("write inside", opens("d/in", O_WRONLY));
  ret("both inside", opens("d/in", O_RDWR));
  ret("the directory", opens("d", O_RDONLY | O_DIRECTORY));
  ret("deep", opens("d/sub/deep", O_RDONLY));
  ret("outside", opens("other/out", O_RDONLY));
  ret("outside directory", opens("other", O_RDONLY | O_DIRECTORY));
  ret("as a place", opens("other/out", O_PATH));
  struct stat st;
  ret("stat", stat("other/out", &st));
  ret("access", access("other/out", R_OK));
  ret("write there", opens("other/writable", O_WRONLY));
  ret("read there", opens("other/writable", O_RDONLY));
  ret("through ..", opens("d/../other/out", O_RDONLY));
  ret("by a link inside", opens("d/link", O_RDONLY));
  char c;
  ret("opened before", read(before, &c, 1));
  char path[40];
  snprintf(path, sizeof path, "/proc/self/fd/%d", before);
  ret("opened again", opens(path, O_RDONLY));
  ret("truncation is not handled", truncate("other/out", 0));
  ret("mkdir is not handled", mkdir("other/new", 0755));
  ret("rename is not handled", rename("other/new", "other/new2"));
  ret("but to elsewhere", rename("other/new2", "d/new2"));
  ret("nor is rmdir", rmdir("other/new2"));
  int pipes[2], memory = memfd_create("m", 0);
  must(pipe(pipes));
  snprintf(path, sizeof path, "/proc/self/fd/%d", pipes[1]);
  ret("a pipe again", opens(path, O_WRONLY));
  snprintf(path, sizeof path, "/proc/self/fd/%d", memory);
  ret("a memfd again", opens(path, O_RDWR));
  ret("/proc", opens("/proc/self/status", O_RDONLY));
}

static void executing(void) {
  int fd = ruleset(EXECUTE | READ_FILE);
  must(add(fd, "d", EXECUTE));
  must(add(fd, "other", EXECUTE | READ_FILE));
  must(restrict_self(fd));
  char *argv[] = {"x", NULL};
  // Not programs: what comes after permission is ENOEXEC.
  ret("without reading", execv("d/in", argv));
  ret("with reading", execv("other/out", argv));
  ret("neither", execv("/proc/self/exe", argv));
}

static long bind_at(const char *path) {
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  strcpy(a.sun_path, path);
  int s = socket(AF_UNIX, SOCK_STREAM, 0);
  long r = bind(s, (void *)&a, sizeof a);
  int e = errno;
  close(s);
  errno = e;
  return r;
}

static void make_all(const char *dir) {
  char p[8][80];
  for (int i = 0; i < 8; i++) snprintf(p[i], sizeof p[i], "%s/made%d", dir, i);
  say("in %s", dir);
  ret("regular", opens(p[0], O_WRONLY | O_CREAT));
  ret("mknod", mknod(p[1], S_IFREG | 0644, 0));
  ret("directory", mkdir(p[2], 0755));
  ret("FIFO", mkfifo(p[3], 0644));
  ret("socket", bind_at(p[4]));
  ret("symlink", symlink("x", p[5]));
  ret("link", link("other/out", p[6]));
  ret("link in place", link(p[0], p[7]));
  ret("temporary", opens(dir, O_TMPFILE | O_RDWR));
  ret("existing", opens(p[0], O_WRONLY | O_CREAT));
  ret("rename", rename(p[1], p[6]));
  ret("onto another", rename(p[6], p[0]));
  for (int i = 0; i < 8; i++) {
    struct stat st;
    if (lstat(p[i], &st) != 0) continue;
    if (S_ISDIR(st.st_mode)) ret("rmdir", rmdir(p[i]));
    else ret("unlink", unlink(p[i]));
  }
}

static void making(void) {
  uint64_t makes = MAKE_DIR | MAKE_REG | MAKE_SOCK | MAKE_FIFO | MAKE_SYM, removes = REMOVE_DIR | REMOVE_FILE;
  int fd = ruleset(makes | removes);
  must(add(fd, "d", makes | removes));
  must(add(fd, "other", MAKE_REG | REMOVE_FILE));
  must(add(fd, "third", makes));
  must(restrict_self(fd));
  make_all("d");
  make_all("other");
  make_all("third");
  make_all(".");
}

static void moving(void) {
  uint64_t both = REFER | MAKE_REG | REMOVE_FILE | MAKE_DIR | REMOVE_DIR;
  int fd = ruleset(both | READ_FILE | EXECUTE | READ_DIR);
  must(add(fd, "d", both | READ_FILE));
  must(add(fd, "other", both | READ_FILE | EXECUTE));
  must(add(fd, "third", both));
  must(add(fd, "d/free", EXECUTE));
  must(add(fd, "fourth", MAKE_REG | REMOVE_FILE | READ_FILE));
  must(restrict_self(fd));
  ret("to more rights", rename("d/in", "other/in"));
  ret("link to more rights", link("d/in", "other/in"));
  ret("to fewer rights", rename("d/in", "third/in"));
  ret("and back", rename("third/in", "d/in"));
  ret("what has the rights itself", rename("d/free", "other/free"));
  ret("and back", rename("other/free", "d/free"));
  ret("where nothing may be moved", rename("d/in", "fourth/in"));
  ret("from there", rename("fourth/here", "third/here"));
  ret("within", rename("fourth/here", "fourth/there"));
  ret("a directory", rename("d/sub", "third/sub"));
  ret("a directory to more", rename("d/empty", "other/empty"));
  ret("into a directory below", rename("d/in", "d/empty/in"));
  ret("exchange", renameat2(AT_FDCWD, "other/out", AT_FDCWD, "third/x", RENAME_EXCHANGE));
  ret("exchange within", renameat2(AT_FDCWD, "third/x", AT_FDCWD, "third/y", RENAME_EXCHANGE));
  ret("to nowhere", rename("d/empty/in", "nowhere"));
}

static void truncating(void) {
  must(put("d/in"));
  int before = open("other/out", O_RDWR), fd = ruleset(TRUNCATE | WRITE_FILE);
  must(add(fd, "d", TRUNCATE | WRITE_FILE));
  must(add(fd, "other", WRITE_FILE));
  must(add(fd, "third", TRUNCATE));
  must(restrict_self(fd));
  ret("truncate", truncate("d/in", 0));
  ret("truncate elsewhere", truncate("other/out", 0));
  ret("truncate alone", truncate("third/x", 0));
  ret("O_TRUNC", opens("d/in", O_WRONLY | O_TRUNC));
  ret("O_TRUNC elsewhere", opens("other/out", O_WRONLY | O_TRUNC));
  ret("O_TRUNC for reading", opens("third/x", O_RDONLY | O_TRUNC));
  ret("creat of a new one", opens("other/fresh", O_WRONLY | O_CREAT | O_TRUNC));
  int mine = open("d/in", O_RDWR), others = open("other/out", O_RDWR);
  ret("ftruncate", ftruncate(mine, 5));
  ret("ftruncate elsewhere", ftruncate(others, 5));
  ret("fallocate elsewhere", fallocate(others, 0, 0, 10));
  ret("of before", ftruncate(before, 5));
  ret("of a memfd", ftruncate(memfd_create("m", 0), 5));
}

static void layers(void) {
  int fd = ruleset(READ_FILE | WRITE_FILE);
  must(add(fd, ".", READ_FILE | WRITE_FILE));
  must(restrict_self(fd));
  must(add(fd, "/", READ_FILE));
  ret("a rule added later", opens("/proc/self/status", O_RDONLY));
  ret("first", opens("other/out", O_RDWR));
  fd = ruleset(READ_FILE);
  must(add(fd, "d", READ_FILE));
  must(restrict_self(fd));
  ret("second", opens("other/out", O_RDONLY));
  ret("what only the first handles", opens("other/out", O_WRONLY));
  ret("both", opens("d/in", O_RDWR));
  int n = 2;
  while (restrict_self(fd) == 0) n++;
  say("layers: %d, %s", n, strerrorname_np(errno));
  pid_t p = fork();
  if (p == 0) _exit(opens("other/out", O_RDONLY) == -1 && errno == EACCES ? 7 : 1);
  int status;
  waitpid(p, &status, 0);
  say("inherited: %d", WEXITSTATUS(status));
}

static void others(void) {
  pid_t outside = getppid();
  int fd = ruleset(READ_FILE), start[2];
  must(pipe(start));
  must(add(fd, "/proc", READ_FILE));
  pid_t sibling = fork();
  if (sibling == 0) {
    close(start[1]);
    char c;
    _exit((int)read(start[0], &c, 1));
  }
  must(restrict_self(fd));
  ret("mount", mount("none", "d", "tmpfs", 0, NULL));
  ret("bind", mount("d", "other", NULL, MS_BIND, NULL));
  ret("umount", umount2("d", 0));
  ret("attach", ptrace(PTRACE_ATTACH, sibling, 0, 0));
  char path[60];
  
  snprintf(path, sizeof path, "/proc/%d/mem", outside);
  ret("memory of others", opens(path, O_RDONLY));
  snprintf(path, sizeof path, "/proc/%d/cwd", outside);
  char name[200];
  ok("directory of others", readlink(path, name, sizeof name));
  ret("own", opens("/proc/self/environ", O_RDONLY));
  pid_t below = fork();
  if (below == 0) {
    ret("restricted further", restrict_self(fd));
    raise(SIGSTOP);
    _exit(3);
  }
  int status;
  waitpid(below, &status, WUNTRACED);
  ret("attach to one below", ptrace(PTRACE_SEIZE, below, 0, 0));
  kill(below, SIGKILL);
  waitpid(below, &status, 0);
  below = fork();
  if (below == 0) _exit(ptrace(PTRACE_TRACEME, 0, 0, 0) == 0 ? 7 : 1);
  waitpid(below, &status, 0);
  say("traced by its like: %d", WEXITSTATUS(status));
  close(start[1]);
  waitpid(sibling, &status, 0);
}

int main(void) {
  char dir[] = "landlock-XXXXXX";
  if (mkdtemp(dir) == NULL || chdir(dir) != 0) return 1;
  must(chmod(".", 0777));
  for (const char **d = (const char *[]){"d", "d/sub", "d/empty", "other", "third", "fourth", NULL}; *d != NULL; d++) must(mkdir(*d, 0777));
  for (const char **f = (const char *[]){"d/in", "d/free", "d/sub/deep", "other/out", "other/writable", "third/x", "third/y", "fourth/here", NULL};
       *f != NULL; f++)
    must(put(*f));
  must(symlink("../other/out", "d/link"));
  part("arguments", arguments);
  part("reading", reading);
  part("executing", executing);
  part("making", making);
  part("moving", moving);
  part("truncating", truncating);
  part("layers", layers);
  part("others", others);
  if (chdir("..") != 0) return 1;
  pid_t p = fork();
  if (p == 0) execlp("rm", "rm", "-rf", dir, NULL);
  waitpid(p, NULL, 0);
  return 0;
}
