// What counts as a use of a file: times of access of mapped files and followed links. And whom names of unknown classes of
// attributes are refused how, what is said first of several errors, in what order watches and locks are told of.
#include "guest.h"
#include <sys/fsuid.h>
#include <sys/inotify.h>
#include <sys/xattr.h>

static const struct timespec old[2] = {{100, 0}, {200, 0}};

static void accessed(const char *what, const char *path) {
  struct stat st;
  lstat(path, &st);
  say("%s: %s", what, st.st_atime == 100 ? "as before" : st.st_atime > 1600000000 ? "now" : "else");
  utimensat(AT_FDCWD, path, old, AT_SYMLINK_NOFOLLOW);
}

static void map_file(int flags, int prot, int open_flags, const char *what) {
  int fd = open("f", open_flags);
  void *p = mmap(NULL, 4096, prot, flags, fd, 0);
  close(fd);
  accessed(what, "f");
  munmap(p, 4096);
}

static void follow(void) {
  struct stat st;
  char b[10];
  symlink("f", "l"), symlink(".", "dir");
  utimensat(AT_FDCWD, "l", old, AT_SYMLINK_NOFOLLOW), utimensat(AT_FDCWD, "dir", old, AT_SYMLINK_NOFOLLOW);
  lstat("l", &st), accessed("lstat of a link", "l");
  stat("l", &st), accessed("stat of a link", "l");
  stat("dir/f", &st), accessed("a link on the way", "dir");
  stat("dir/f", &st), accessed("a link on the way again", "dir");
  readlink("l", b, sizeof b), accessed("readlink", "l");
  close(open("l", O_RDONLY | O_NOFOLLOW)), accessed("open without following", "l");
  close(open("l", O_RDONLY | O_NOATIME)), accessed("open with O_NOATIME", "l");
}

static void attributes(void) {
  char b[10];
  int fd = open("f", O_RDONLY);
  ret("system.other", fgetxattr(fd, "system.other", b, sizeof b));
  ret("set system.other", fsetxattr(fd, "system.other", "x", 1, 0));
  ret("no class", fgetxattr(fd, "other.a", b, sizeof b));
  ret("set no class", fsetxattr(fd, "other.a", "x", 1, 0));
  setfsuid(1000);
  ret("no class, not readable", fgetxattr(fd, "other.a", b, sizeof b));
  ret("set no class, not writable", fsetxattr(fd, "other.a", "x", 1, 0));
  ret("system.other, not readable", fgetxattr(fd, "system.other", b, sizeof b));
  setfsuid(0);
  close(fd);
}

static void locks(void) {
  int fd = open("f", O_RDWR), other = open("f", O_RDWR);
  struct flock l = {.l_type = F_WRLCK, .l_start = 10, .l_len = 5};
  fcntl(fd, F_OFD_SETLK, &l);
  l = (struct flock){.l_type = F_UNLCK};
  ret("own lock", fcntl(fd, F_OFD_GETLK, &l));
  say("type %d %ld+%ld pid %d", l.l_type, l.l_start, l.l_len, l.l_pid);
  l = (struct flock){.l_type = F_UNLCK};
  ret("own lock of another open file", fcntl(other, F_OFD_GETLK, &l));
  say("type %d", l.l_type);
  ret("F_GETLK of F_UNLCK", fcntl(fd, F_GETLK, &l));
  l = (struct flock){.l_type = F_RDLCK, .l_start = 2, .l_len = 2};
  fcntl(other, F_OFD_SETLK, &l);
  l = (struct flock){.l_type = F_WRLCK};
  fcntl(open("f", O_RDWR), F_OFD_GETLK, &l);
  say("of two the first to come: %ld+%ld", l.l_start, l.l_len);
}

static void orders(void) {
  char b[10];
  int path = open("f", O_PATH), watcher = inotify_init1(0), fd = open("f", O_RDWR);
  ret("no such file, no name", getxattr("none", "", b, 10));
  ret("no such file, no name to set", setxattr("none", "", b, 1, 0));
  ret("no such file, bad flags", setxattr("none", "user.a", b, 1, 4));
  ret("no such file, no name to remove", removexattr("none", ""));
  ret("bad descriptor, no name", fgetxattr(-1, "", b, 10));
  ret("copy_file_range to O_PATH with flags", copy_file_range(fd, NULL, path, NULL, 1, 1));
  setfsuid(1000);
  ret("chown of a nameless object by others", fchown(watcher, 1, 1));
  ret("chmod of a nameless object by others", fchmod(watcher, 0));
  setfsuid(0);
}

static void watches(void) {
  int fd = inotify_init1(IN_NONBLOCK);
  char path[40], line[200];
  for (int i = 0; i < 3; i++) {
    static const char *const files[] = {"f", "g", "."};
    inotify_add_watch(fd, files[i], IN_MODIFY);
  }
  inotify_add_watch(fd, "f", IN_OPEN);
  snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
  FILE *f = fopen(path, "r");
  int wd;
  while (f != NULL && fgets(line, sizeof line, f) != NULL)
    if (sscanf(line, "inotify wd:%d", &wd) == 1) say("watch %d", wd);
  if (f != NULL) fclose(f);
}

int main(void) {
  int fd = open("f", O_CREAT | O_RDWR, 0600);
  write(fd, "text", 4);
  close(fd), close(open("g", O_CREAT | O_WRONLY, 0600));
  utimensat(AT_FDCWD, "f", old, 0);
  map_file(MAP_PRIVATE, PROT_READ, O_RDONLY, "mapped privately");
  map_file(MAP_SHARED, PROT_READ, O_RDONLY, "mapped shared");
  map_file(MAP_SHARED, PROT_READ | PROT_WRITE, O_RDWR, "mapped to be written");
  map_file(MAP_PRIVATE, PROT_READ, O_RDONLY | O_NOATIME, "mapped with O_NOATIME");
  map_file(MAP_SHARED, PROT_WRITE, O_RDONLY, "not mapped");
  follow(), attributes(), locks(), orders(), watches();
  return 0;
}
