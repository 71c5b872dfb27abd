// What programs can tell of tmpfs beside the contents: the order of directories, the mask of statx, allocated pages that nobody wrote.
#include "guest.h"
#include <dirent.h>
#include <linux/falloc.h>

static void list(const char *what, DIR *d) {
  char names[200] = "";
  for (struct dirent *e; (e = readdir(d)) != NULL;)
    if (e->d_name[0] != '.') strcat(strcat(names, " "), e->d_name);
  say("%s:%s", what, names);
}

static void make(const char *name) { close(open(name, O_CREAT | O_WRONLY, 0600)); }

static void order(void) {
  char name[20];
  mkdir("dir", 0700), chdir("dir");
  DIR *d = opendir(".");
  list("empty", d);
  for (int i = 0; i < 5; i++) sprintf(name, "f%d", i), make(name);
  rewinddir(d), list("newest first", d);
  rename("f1", "f9"), link("f3", "f8"), mkdir("sub", 0700), symlink("x", "l"), unlink("f2");
  rewinddir(d), list("after changes", d);
  rewinddir(d), readdir(d), readdir(d);
  say("first %s", readdir(d)->d_name);
  long second = telldir(d);
  say("second %s", readdir(d)->d_name);
  long third = telldir(d);
  make("late"), unlink("f3");
  list("the rest, one made and one removed meanwhile", d);
  seekdir(d, second), list("from the second", d);
  seekdir(d, third), list("from the third", d);
  rewinddir(d), list("again", d);
  renameat2(AT_FDCWD, "f0", AT_FDCWD, "f4", RENAME_EXCHANGE);
  rewinddir(d), list("exchanged", d);
  // One entry per call.
  char buf[40];
  int fd = open(".", O_RDONLY | O_DIRECTORY), n = 0;
  while (syscall(SYS_getdents64, fd, buf, 32) > 0) n++;
  say("%d calls", n);
  ret("no room", syscall(SYS_getdents64, fd, buf, 8));
  lseek(fd, 0, SEEK_SET);
  ret("no room for the first", syscall(SYS_getdents64, fd, buf, 8));
  close(fd), closedir(d), chdir("..");
}

static void mask(void) {
  struct statx x;
  static const unsigned masks[] = {0, STATX_TYPE, STATX_SIZE, STATX_ATIME, STATX_MTIME, STATX_CTIME, STATX_BTIME, STATX_BASIC_STATS,
      STATX_BASIC_STATS | STATX_BTIME, STATX_MNT_ID, 0xfff, STATX_BTIME | STATX_MTIME};
  make("f"), symlink("f", "link");
  static const char *const paths[] = {"f", "link", "dir"};
  for (int p = 0; p < 3; p++)
    for (unsigned i = 0; i < sizeof masks / sizeof *masks; i++) {
      memset(&x, 1, sizeof x);
      if (statx(AT_FDCWD, paths[p], AT_SYMLINK_NOFOLLOW, masks[i], &x) < 0) ret("statx", -1);
      else say("%s %#x: %#x m%d c%d b%d", paths[p], masks[i], x.stx_mask & 0xfff, x.stx_mtime.tv_sec != 0, x.stx_ctime.tv_sec != 0, x.stx_btime.tv_sec != 0);
    }
}

static void holes(const char *what, int fd) {
  long end = 0, at;
  printf("%s:", what);
  for (int i = 0; i < 8; i++) {
    at = lseek(fd, end, SEEK_DATA);
    if (at < 0) break;
    end = lseek(fd, at, SEEK_HOLE);
    printf(" %ld-%ld", at, end);
  }
  struct stat st;
  fstat(fd, &st);
  say(" size %ld blocks %ld", (long)st.st_size, (long)st.st_blocks);
}

static void allocated(long unit) {
  char b[100] = "x";
  int fd = open("g", O_CREAT | O_RDWR | O_TRUNC, 0600);
  ret("fallocate", fallocate(fd, 0, 0, 8 * unit));
  holes("allocated", fd);
  ret("pwrite", pwrite(fd, b, 1, 2 * unit + 5));
  holes("one page written", fd);
  ret("pread", pread(fd, b, 100, 4 * unit));
  holes("another read", fd);
  ret("zeros", b[0] == 0 && b[99] == 0);
  ret("keep size", fallocate(fd, FALLOC_FL_KEEP_SIZE, 8 * unit, 2 * unit));
  holes("beyond the end", fd);
  ret("pwrite there", pwrite(fd, "y", 1, 9 * unit));
  holes("written there", fd);
  ret("punch", fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2 * unit, unit));
  holes("punched", fd);
  char *m = mmap(NULL, 10 * unit, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  say("mapped %d", m[4 * unit]);
  m[6 * unit] = 1;
  holes("mapped", fd);
  munmap(m, 10 * unit);
  ret("ftruncate", ftruncate(fd, 5 * unit + 7));
  holes("cut", fd);
  ret("ftruncate", ftruncate(fd, 8 * unit));
  holes("longer", fd);
  close(fd), unlink("g");
}

int main(void) {
  char name[40];
  sprintf(name, "/dev/shm/tmpfs-%d", getpid());
  ret("mkdir", mkdir(name, 0700));
  chdir(name);
  order();
  mask();
  allocated(4096);
  allocated(65536);
  chdir("/");
  char command[80];
  sprintf(command, "rm -r %s", name);
  system(command);
  return 0;
}
