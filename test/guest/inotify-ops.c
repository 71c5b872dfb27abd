// inotify: what each operation on files tells the directory's watch, the object's own and that of another name.
#include "guest.h"
#include <dirent.h>
#include <poll.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <sys/inotify.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <sys/uio.h>
#include <sys/time.h>

static int in, dirWatch;
static char buf[1 << 16];
static const struct { unsigned bit; const char *name; } bits[] = {
    {IN_ACCESS, "access"}, {IN_MODIFY, "modify"}, {IN_ATTRIB, "attrib"}, {IN_CLOSE_WRITE, "closew"},
    {IN_CLOSE_NOWRITE, "closer"}, {IN_OPEN, "open"}, {IN_MOVED_FROM, "from"}, {IN_MOVED_TO, "to"},
    {IN_CREATE, "create"}, {IN_DELETE, "delete"}, {IN_DELETE_SELF, "dself"}, {IN_MOVE_SELF, "mself"},
    {IN_UNMOUNT, "unmount"}, {IN_Q_OVERFLOW, "overflow"}, {IN_IGNORED, "ignored"}, {IN_ISDIR, "isdir"},
};

static void events(const char *what) {
  long n = read(in, buf, sizeof buf);
  printf("%s:", what);
  if (n < 0 && errno != EAGAIN) printf(" %s", strerrorname_np(errno));
  unsigned cookie = 0;
  for (long at = 0; at < n;) {
    struct inotify_event *e = (void *)(buf + at);
    printf(" %d", e->wd);
    unsigned left = e->mask;
    for (unsigned i = 0; i < sizeof bits / sizeof *bits; i++)
      if (e->mask & bits[i].bit) printf("+%s", bits[i].name), left &= ~bits[i].bit;
    if (left) printf("+%x", left);
    // What has no name yet is shown by its number.
    if (e->len && e->name[0] == '#') printf("(#)");
    else if (e->len) printf("(%s,%d)", e->name, e->len);
    if (e->cookie) printf(e->cookie == cookie ? "=same" : "=new"), cookie = e->cookie;
    at += sizeof *e + e->len;
  }
  printf("\n");
  fflush(stdout);
}

#define DO(op) do { op; events(#op); } while (0)

static int watch(const char *p) { return inotify_add_watch(in, p, IN_ALL_EVENTS); }

static void fresh(void) {
  if (in > 0) close(in);
  in = inotify_init1(IN_NONBLOCK);
}

static void attributes(int f) {
  struct timeval tv[2] = {{1, 0}, {2, 0}};
  struct timespec omit[2] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}}, one[2] = {{5, 0}, {0, UTIME_OMIT}},
                  two[2] = {{0, UTIME_OMIT}, {6, 0}}, now[2] = {{0, UTIME_NOW}, {0, UTIME_NOW}};
  DO(chmod("d/f", 0600));
  DO(fchmod(f, 0644));
  DO(fchmodat(AT_FDCWD, "d/f", 0640, 0));
  DO(chown("d/f", 1, 1));
  DO(chown("d/f", -1, -1));
  DO(lchown("d/f", 0, 0));
  DO(fchown(f, 0, 0));
  DO(utimes("d/f", tv));
  DO(utimes("d/f", NULL));
  DO(futimens(f, omit));
  DO(futimens(f, one));
  DO(futimens(f, two));
  DO(futimens(f, now));
  DO(utimensat(AT_FDCWD, "d/f", now, 0));
  DO(setxattr("d/f", "user.a", "1", 1, 0));
  DO(setxattr("d/f", "user.a", "1", 1, XATTR_CREATE));
  DO(fsetxattr(f, "user.b", "1", 1, 0));
  DO(getxattr("d/f", "user.a", buf, 10));
  DO(listxattr("d/f", buf, 100));
  DO(removexattr("d/f", "user.a"));
  DO(fremovexattr(f, "user.a"));
  DO(setxattr("d/f", "trusted.a", "1", 1, 0));
  DO(ioctl(f, FS_IOC_SETFLAGS, &(int){FS_NODUMP_FL}));
  DO(ioctl(f, FS_IOC_SETFLAGS, &(int){0}));
  DO(stat("d/f", &(struct stat){0}));
  DO(access("d/f", R_OK));
  DO(link("d/f", "other"));
  DO(link("d/f", "d/second"));
  DO(chmod("other", 0600));
  DO(chmod("d/second", 0600));
  DO(unlink("other"));
  DO(unlink("d/second"));
}

static void data(int f) {
  int p[2], g;
  pipe(p);
  struct iovec v[2] = {{"ab", 2}, {"cd", 2}}, r[2] = {{buf, 2}, {buf, 2}};
  loff_t off = 0, off2 = 0;
  DO(write(f, "abcdefgh", 8));
  DO(write(f, "", 0));
  DO(pwrite(f, "x", 1, 3));
  DO(writev(f, v, 2));
  DO(pwritev(f, v, 2, 0));
  DO(write(f, BAD_PTR, 4));
  DO(read(f, buf, 1));
  DO(pread(f, buf, 4, 0));
  DO(pread(f, buf, 4, 10000));
  DO(pread(f, buf, 0, 0));
  DO(preadv(f, r, 2, 0));
  DO(lseek(f, 0, SEEK_SET));
  DO(readahead(f, 0, 4096));
  DO(splice(f, &off, p[1], NULL, 4, 0));
  off = 0;
  DO(splice(p[0], NULL, f, &off, 4, 0));
  write(p[1], "pipe", 4);
  DO(g = open("d/g", O_CREAT | O_RDWR, 0600));
  off = 0;
  DO(sendfile(g, f, &off, 4));
  off = 0;
  DO(copy_file_range(f, &off, g, &off2, 4, 0));
  off = off2 = 0;
  DO(copy_file_range(f, &off, g, &off2, 0, 0));
  DO(close(g));
  DO(ftruncate(f, 4));
  DO(ftruncate(f, 4));
  DO(ftruncate(f, 8192));
  DO(truncate("d/f", 16384));
  DO(fallocate(f, 0, 0, 100));
  DO(fallocate(f, FALLOC_FL_KEEP_SIZE, 0, 65536));
  DO(fallocate(f, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, 4096));
  DO(fsync(f));
  DO(fdatasync(f));
  DO(posix_fadvise(f, 0, 0, POSIX_FADV_DONTNEED));
  char *m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0);
  DO(m[0] = 1);
  DO(msync(m, 4096, MS_SYNC));
  DO(munmap(m, 4096));
  int h;
  DO(h = open("d/f", O_RDONLY));
  DO(close(dup(h)));
  DO(close(h));
  DO(close(open("d/f", O_WRONLY)));
  DO(close(open("d/f", O_RDWR)));
  DO(close(open("d/f", O_RDWR | O_TRUNC)));
  DO(close(open("d/f", O_RDONLY | O_CREAT, 0600)));
  DO(open("d/f", O_RDONLY | O_CREAT | O_EXCL, 0600));
  DO(close(open("d/f", O_PATH)));
  DO(close(open("d/f", 3)));
  DO(close(creat("d/g", 0600)));
  DO(close(creat("d/new", 0600)));
  DO(unlink("d/new"));
  char self[40];
  sprintf(self, "/proc/self/fd/%d", f);
  DO(close(open(self, O_RDONLY)));
  DO(close(p[0]); close(p[1]));
  DO(unlink("d/g"));
}

// What takes set-id bits away with the data.
#define STRIPS(op) do { fchmod(f, 06777); read(in, buf, sizeof buf); setfsuid(1000); op; setfsuid(0); events(#op); } while (0)

static void stripped(int f) {
  int p[2], g = open("d/g", O_CREAT | O_RDWR, 0600), t;
  pipe(p);
  write(p[1], "pipe", 4), write(g, "data", 4);
  loff_t off = 0, off2 = 0;
  char self[40];
  sprintf(self, "/proc/self/fd/%d", f);
  STRIPS(write(f, "a", 1));
  STRIPS(pwrite(f, "", 0, 0));
  STRIPS(pwritev2(f, &(struct iovec){"ab", 2}, 1, 1, 0));
  STRIPS(ftruncate(f, 9000));
  STRIPS(truncate(self, 8000));
  STRIPS(t = open(self, O_WRONLY | O_TRUNC));
  STRIPS(close(t));
  STRIPS(fallocate(f, 0, 0, 100));
  STRIPS(splice(p[0], NULL, f, &off, 4, 0));
  off = 0;
  STRIPS(sendfile(f, g, &off, 4));
  off = 0;
  STRIPS(copy_file_range(g, &off, f, &off2, 4, 0));
  close(p[0]), close(p[1]), close(g), unlink("d/g"), fchmod(f, 0666);
  read(in, buf, sizeof buf);
}

static void names(void) {
  mkdir("out", 0700);
  DO(mkdir("d/s", 0700));
  DO(mkdir("d/s", 0700));
  DO(mknod("d/fifo", S_IFIFO | 0600, 0));
  DO(mknod("d/reg", S_IFREG | 0600, 0));
  DO(symlink("f", "d/sym"));
  DO(readlink("d/sym", buf, 10));
  DO(lchown("d/sym", 0, 0));
  int f;
  DO(f = open("d/fifo", O_RDWR));
  DO(write(f, "x", 1));
  DO(read(f, buf, 1));
  DO(close(f));
  int s = socket(AF_UNIX, SOCK_STREAM, 0);
  struct sockaddr_un a = {AF_UNIX, "d/sock"};
  DO(bind(s, (void *)&a, sizeof a));
  DO(unlink("d/sock"));
  close(s);
  DIR *dir;
  DO(dir = opendir("d"));
  DO(while (readdir(dir)));
  DO(rewinddir(dir); readdir(dir));
  DO(closedir(dir));
  DO(dir = opendir("d/s"));
  DO(while (readdir(dir)));
  DO(closedir(dir));
  DO(chmod("d", 0755));
  DO(chmod("d/s", 0755));
  DO(rename("d/reg", "d/reg2"));
  DO(rename("d/reg2", "d/fifo"));
  DO(rename("d/fifo", "d/fifo"));
  DO(rename("d/fifo", "out/fifo"));
  DO(rename("out/fifo", "d/back"));
  DO(rename("d/s", "d/t"));
  mkdir("d/u", 0700);
  events("mkdir u");
  DO(rename("d/t", "d/u"));
  DO(renameat2(AT_FDCWD, "d/back", AT_FDCWD, "d/u", RENAME_NOREPLACE));
  DO(renameat2(AT_FDCWD, "d/back", AT_FDCWD, "d/u", RENAME_EXCHANGE));
  DO(renameat2(AT_FDCWD, "d/back", AT_FDCWD, "d/f", RENAME_EXCHANGE));
  close(creat("out/x", 0600));
  DO(renameat2(AT_FDCWD, "d/f", AT_FDCWD, "out/x", RENAME_EXCHANGE));
  DO(renameat2(AT_FDCWD, "d/f", AT_FDCWD, "out/x", RENAME_EXCHANGE));
  link("d/f", "d/f2");
  events("link");
  DO(rename("d/f", "d/f2"));
  DO(unlink("d/f2"));
  DO(rmdir("d/u"));
  DO(unlink("d/u"));
  DO(unlink("d/sym"));
  DO(rmdir("d/back"));
  DO(f = open("d", O_TMPFILE | O_RDWR, 0600));
  DO(write(f, "x", 1));
  char self[40];
  sprintf(self, "/proc/self/fd/%d", f);
  DO(linkat(AT_FDCWD, self, AT_FDCWD, "d/tmp", AT_SYMLINK_FOLLOW));
  DO(write(f, "x", 1));
  DO(close(f));
  DO(chdir("d"));
  DO(chdir(".."));
  DO(unlink("d/tmp"));
}

static void ownWatches(void) {
  fresh();
  mkdir("w", 0700);
  int f = open("w/f", O_CREAT | O_RDWR, 0600);
  link("w/f", "w2");
  ret("file", watch("w/f"));
  ret("by the other name", watch("w2"));
  DO(write(f, "x", 1));
  DO(unlink("w2"));
  DO(rename("w/f", "w/g"));
  DO(write(f, "x", 1));
  close(creat("w/over", 0600));
  ret("over", watch("w/over"));
  DO(rename("w/g", "w/over"));
  DO(unlink("w/over"));
  DO(write(f, "x", 1));
  DO(fchmod(f, 0600));
  DO(close(f));
  // A directory and its own.
  mkdir("w/s", 0700);
  ret("directory", watch("w/s"));
  DO(close(open("w/s", O_RDONLY)));
  DO(rename("w/s", "w/t"));
  DO(close(creat("w/t/x", 0600)));
  DO(unlink("w/t/x"));
  DO(setxattr("w/t", "user.x", "1", 1, 0));
  DO(rmdir("w/t"));
  symlink("nowhere", "w/l");
  ret("symlink followed", inotify_add_watch(in, "w/l", IN_ALL_EVENTS));
  ret("symlink itself", inotify_add_watch(in, "w/l", IN_ALL_EVENTS | IN_DONT_FOLLOW));
  ret("only a directory", inotify_add_watch(in, "w/l", IN_ALL_EVENTS | IN_DONT_FOLLOW | IN_ONLYDIR));
  DO(lchown("w/l", 0, 0));
  DO(unlink("w/l"));
  // Execution.
  char copy[300];
  ssize_t n = readlink("/proc/self/exe", copy, sizeof copy - 1);
  copy[n] = 0;
  int from = open(copy, O_RDONLY), to = open("w/exe", O_CREAT | O_WRONLY, 0700);
  while (sendfile(to, from, NULL, 1 << 20) > 0) {}
  close(to), close(from);
  ret("executable", watch("w/exe"));
  pid_t pid = fork();
  if (pid == 0) {
    execl("w/exe", "w/exe", "child", NULL);
    _exit(9);
  }
  wait_say("executed", pid);
  events("execve");
  unlink("w/exe");
  rmdir("w");
}

static void masks(void) {
  fresh();
  mkdir("m", 0700);
  close(creat("m/f", 0600));
  int w = inotify_add_watch(in, "m", IN_CREATE);
  ret("add", inotify_add_watch(in, "m", IN_DELETE | IN_MASK_ADD) - w);
  DO(close(creat("m/a", 0600)));
  DO(unlink("m/a"));
  ret("replace", inotify_add_watch(in, "m", IN_DELETE) - w);
  DO(close(creat("m/a", 0600)));
  DO(unlink("m/a"));
  ret("both", inotify_add_watch(in, "m", IN_DELETE | IN_MASK_ADD | IN_MASK_CREATE));
  ret("only flags", inotify_add_watch(in, "m", IN_ONESHOT));
  ret("only ONLYDIR", inotify_add_watch(in, "m", IN_ONLYDIR));
  ret("only EXCL", inotify_add_watch(in, "m", IN_EXCL_UNLINK));
  ret("only ISDIR", inotify_add_watch(in, "m", IN_ISDIR));
  ret("only UNMOUNT", inotify_add_watch(in, "m", IN_UNMOUNT));
  ret("only OVERFLOW", inotify_add_watch(in, "m", IN_Q_OVERFLOW));
  ret("only IGNORED", inotify_add_watch(in, "m", IN_IGNORED));
  ret("unknown", inotify_add_watch(in, "m", 0x00010000));
  ret("unknown and known", inotify_add_watch(in, "m", 0x00010000 | IN_CREATE));
  ret("all of them", inotify_add_watch(in, "m", 0xfff | 0x8000));
  ret("once, added", inotify_add_watch(in, "m", IN_DELETE | IN_ONESHOT | IN_MASK_ADD) - w);
  DO(close(creat("m/a", 0600)));
  DO(unlink("m/a"));
  w = inotify_add_watch(in, "m/f", IN_ATTRIB | IN_ONESHOT);
  ret("plain again", inotify_add_watch(in, "m/f", IN_ATTRIB | IN_MASK_ADD) - w);
  DO(chmod("m/f", 0600));
  DO(chmod("m/f", 0600));
  w = inotify_add_watch(in, "m/f", IN_ATTRIB | IN_ONESHOT);
  ret("plain instead", inotify_add_watch(in, "m/f", IN_ATTRIB) - w);
  DO(chmod("m/f", 0600));
  DO(chmod("m/f", 0600));
  DO(inotify_rm_watch(in, w));
  ret("twice", inotify_rm_watch(in, w));
  ret("of another kind", inotify_rm_watch(0, w));
  ret("closed", inotify_rm_watch(99, w));
  ret("negative", inotify_rm_watch(in, -1));
  ret("zero", inotify_rm_watch(in, 0));
  // Who may watch.
  pid_t pid = fork();
  if (pid == 0) {
    chmod("m/f", 0200);
    chown("m/f", 77, 77);
    setresgid(77, 77, 77), setresuid(77, 77, 77);
    ret("no permission to read", inotify_add_watch(in, "m/f", IN_ALL_EVENTS));
    _exit(0);
  }
  wait_say("permission", pid);
  unlink("m/f"), rmdir("m");
}

static void queue(void) {
  fresh();
  mkdir("q", 0700);
  close(creat("q/f", 0600));
  close(creat("q/sixteen.bytes.xx", 0600));
  int w = watch("q"), n;
  (void)w;
  ret("FIONREAD none", ioctl(in, FIONREAD, &n)), say("%d", n);
  chmod("q/f", 0600), chmod("q/f", 0600), chmod("q/f", 0644);
  ret("FIONREAD joined", ioctl(in, FIONREAD, &n)), say("%d", n);
  chmod("q/sixteen.bytes.xx", 0600), chmod("q/f", 0600);
  ret("FIONREAD three", ioctl(in, FIONREAD, &n)), say("%d", n);
  ret("FIONREAD bad", ioctl(in, FIONREAD, BAD_PTR));
  ret("FIONBIO", ioctl(in, FIONBIO, &(int){1}));
  ret("no such ioctl", ioctl(in, 0x1234, 0));
  ret("nothing", read(in, buf, 0));
  ret("15", read(in, buf, 15));
  ret("31", read(in, buf, 31));
  ret("32", read(in, buf, 32));
  ret("too short for the next", read(in, buf, 32));
  struct iovec v[2] = {{buf, 48}, {buf + 48, 64}};
  ret("readv", readv(in, v, 2));
  ret("lseek", lseek(in, 0, SEEK_SET));
  ret("pread", pread(in, buf, 100, 0));
  ret("write", write(in, buf, 100));
  events("rest");
  for (int i = 0; i < 3; i++) rename("q/f", "q/g"), rename("q/g", "q/f");
  n = 0;
  long got = read(in, buf, sizeof buf);
  say("%ld bytes of six renames", got);
  inotify_add_watch(in, "q", IN_MOVED_FROM);
  for (int i = 0; i < 3; i++) rename("q/f", "f"), rename("f", "q/f");
  events("moved out again and again");
  watch("q");
  // Two files in turn are not joined.
  for (int i = 0; i < 3; i++) chmod("q/f", 0600), chmod("q/sixteen.bytes.xx", 0600);
  say("%ld bytes of chmod in turn", (long)read(in, buf, sizeof buf));
  int limit = 0;
  FILE *f = fopen("/proc/sys/fs/inotify/max_queued_events", "r");
  fscanf(f, "%d", &limit);
  fclose(f);
  for (int i = 0; i < limit / 2 + 10; i++) chmod("q/f", 0600), chmod("q/sixteen.bytes.xx", 0600);
  long count = 0, overflow = 0, after = 0;
  for (long n; (n = read(in, buf, sizeof buf)) > 0;)
    for (long at = 0; at < n;) {
      struct inotify_event *e = (void *)(buf + at);
      count++;
      if (overflow) after++;
      if (e->mask == IN_Q_OVERFLOW && e->wd == -1 && e->len == 0 && e->cookie == 0) overflow++;
      at += sizeof *e + e->len;
    }
  say("full: %ld above the limit, %ld of them overflow, %ld after it", count - limit, overflow, after);
  chmod("q/f", 0600);
  events("after the overflow");
  unlink("q/f"), unlink("q/sixteen.bytes.xx"), rmdir("q");
  events("the end");
  struct pollfd p = {in, POLLIN | POLLOUT | POLLRDNORM | POLLRDHUP, 0};
  ret("poll", poll(&p, 1, 0)), say("%x", p.revents);
  // The number of the next watch is never an old one.
  mkdir("q", 0700);
  ret("next", watch("q")), inotify_rm_watch(in, 2);
  ret("and next", (inotify_rm_watch(in, 2), watch("q")));
  rmdir("q");
}

static void mounts(void) {
  fresh();
  if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) return;
  mkdir("mnt", 0700);
  ret("below", watch("mnt"));
  DO(mount("none", "mnt", "tmpfs", 0, NULL));
  ret("mounted", watch("mnt"));
  close(creat("mnt/f", 0600));
  ret("in it", inotify_add_watch(in, "mnt/f", IN_OPEN));
  events("made");
  DO(mount(NULL, "mnt", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
  DO(umount("mnt"));
  DO(mount("none", "mnt", "tmpfs", 0, NULL));
  watch("mnt");
  mkdir("mnt2", 0700);
  DO(mount("mnt", "mnt2", NULL, MS_BIND, NULL));
  DO(close(creat("mnt2/f", 0600)));
  DO(umount("mnt"));
  DO(close(creat("mnt2/g", 0600)));
  int f = open("mnt2/f", O_RDONLY);
  DO(umount2("mnt2", MNT_DETACH));
  DO(close(f));
  DO(rmdir("mnt"));
  rmdir("mnt2");
}

int main(int argc, char **argv) {
  if (argc > 1) return 0;
  umask(022);
  mkdir("d", 0700);
  int f = open("d/f", O_CREAT | O_RDWR, 0600);
  fresh();
  dirWatch = watch("d");
  attributes(f);
  data(f);
  stripped(f);
  fresh();
  watch("d"), watch("d/f");
  attributes(f);
  data(f);
  names();
  close(f);
  DO(rmdir("d"));
  ownWatches();
  masks();
  queue();
  mounts();
  return 0;
}
