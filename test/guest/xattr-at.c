// setxattrat, getxattrat, listxattrat, removexattrat.
#include "guest.h"
#include <sys/xattr.h>

#define NR_set 463
#define NR_get 464
#define NR_list 465
#define NR_remove 466

struct args { uint64_t value; uint32_t size, flags; };

static int dir;

static long set(const char *name, unsigned at, const char *attr, const char *value, size_t n, unsigned flags) {
  struct args a = {(uintptr_t)value, n, flags};
  return syscall(NR_set, dir, name, at, attr, &a, sizeof a);
}
static long get(const char *name, unsigned at, const char *attr, char *value, size_t n) {
  struct args a = {(uintptr_t)value, n, 0};
  return syscall(NR_get, dir, name, at, attr, &a, sizeof a);
}

int main(void) {
  char buf[256] = {0};
  mkdir("d", 0700);
  dir = open("d", O_RDONLY);
  int fd = openat(dir, "f", O_RDWR | O_CREAT, 0600);
  if (symlinkat("f", dir, "l")) return 1;
  ret("set", set("f", 0, "user.one", "eins", 4, 0));
  ret("set create again", set("f", 0, "user.one", "eins", 4, 1));
  ret("set replace missing", set("f", 0, "user.two", "zwei", 4, 2));
  ret("set through a link", set("l", 0, "user.two", "zwei", 4, 1));
  ret("set on a link", set("l", AT_SYMLINK_NOFOLLOW, "user.two", "zwei", 4, 0));
  ret("set on a link, trusted", set("l", AT_SYMLINK_NOFOLLOW, "trusted.t", "x", 1, 0));
  ret("set flags", set("f", 0, "user.one", "x", 1, 8));
  ret("set at flags", set("f", 0x8000, "user.one", "x", 1, 0));
  ret("set missing", set("g", 0, "user.one", "x", 1, 0));
  ret("set no name", set("", 0, "user.one", "x", 1, 0));
  ret("set empty attribute", set("f", 0, "", "x", 1, 0));
  ret("set bad value", set("f", 0, "user.one", (char *)BAD_PTR, 1, 0));
  ret("get", get("f", 0, "user.two", buf, sizeof buf));
  say("%.4s", buf);
  ret("get size", get("f", 0, "user.two", NULL, 0));
  ret("get short", get("f", 0, "user.two", buf, 2));
  ret("get missing", get("f", 0, "user.three", buf, 2));
  struct args flagged = {(uintptr_t)buf, 9, 1};
  ret("get with flags", syscall(NR_get, dir, "f", 0, "user.one", &flagged, sizeof flagged));
  struct { struct args a; uint64_t more; } wide = {{(uintptr_t)buf, 9, 0}, 0};
  ret("get wide", syscall(NR_get, dir, "f", 0, "user.one", &wide, sizeof wide));
  wide.more = 1;
  ret("get wider", syscall(NR_get, dir, "f", 0, "user.one", &wide, sizeof wide));
  ret("get narrow", syscall(NR_get, dir, "f", 0, "user.one", &wide, 8));
  ret("get huge", syscall(NR_get, dir, "f", 0, "user.one", &wide, 5000));
  ret("get bad arguments", syscall(NR_get, dir, "f", 0, "user.one", BAD_PTR, sizeof flagged));
  dir = fd;
  ret("get of a descriptor", get("", AT_EMPTY_PATH, "user.one", buf, sizeof buf));
  ret("get of a descriptor, no name", get(NULL, AT_EMPTY_PATH, "user.one", buf, sizeof buf));
  ret("list of a descriptor", syscall(NR_list, fd, "", AT_EMPTY_PATH, buf, sizeof buf));
  ret("list size", syscall(NR_list, fd, "", AT_EMPTY_PATH, NULL, 0));
  ret("list short", syscall(NR_list, fd, "", AT_EMPTY_PATH, buf, 3));
  ret("list at flags", syscall(NR_list, fd, "", 0x4000, buf, sizeof buf));
  ret("remove of a descriptor", syscall(NR_remove, fd, "", AT_EMPTY_PATH, "user.one"));
  ret("remove again", syscall(NR_remove, fd, "", AT_EMPTY_PATH, "user.one"));
  ret("remove at flags", syscall(NR_remove, fd, "", 0x4000, "user.two"));
  ret("remove bad fd", syscall(NR_remove, -1, "", AT_EMPTY_PATH, "user.two"));
  ret("list after", syscall(NR_list, fd, "", AT_EMPTY_PATH, buf, sizeof buf));
  // A descriptor of O_PATH does not do; the working directory does, and a path that is not looked at.
  int path = openat(dir, "f", O_PATH), good = fd;
  int fds[] = {path, AT_FDCWD, good, -5};
  const char *what[] = {"O_PATH", "cwd", "good", "negative"};
  for (int i = 0; i < 4; i++) {
    struct args value = {(uintptr_t) "v", 1, 0}, out = {(uintptr_t)buf, sizeof buf, 0};
    for (int named = 0; named < 2; named++) {
      const char *name = named ? "" : NULL;
      say("%s, %s: set %s", what[i], named ? "empty name" : "no name",
          err(syscall(NR_set, fds[i], name, AT_EMPTY_PATH, "user.p", &value, sizeof value)));
      say("get %s", err(syscall(NR_get, fds[i], name, AT_EMPTY_PATH, "user.p", &out, sizeof out)));
      say("list %s", err(syscall(NR_list, fds[i], name, AT_EMPTY_PATH, NULL, 0)));
      say("remove %s", err(syscall(NR_remove, fds[i], name, AT_EMPTY_PATH, "user.p")));
    }
    removexattr(".", "user.p");
  }
  return 0;
}
