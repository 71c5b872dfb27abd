// name_to_handle_at(2) and open_by_handle_at(2) on a file system that has handles, and on one that has none.
#include "guest.h"
#include <linux/capability.h>

struct handle { unsigned bytes; int type; unsigned char data[128]; };
#define FID 0x200

static int dir;

static long name(const char *path, struct handle *h, int *mnt, int flags) {
  return syscall(SYS_name_to_handle_at, dir, path, h, mnt, flags);
}
static long opened(const char *what, struct handle *h, int flags) {
  return ok(what, syscall(SYS_open_by_handle_at, dir, h, flags));
}

int main(void) {
  struct handle h = {128}, g = {128}, small = {0};
  int mnt = -1;
  mkdir("d", 0700);
  dir = open("d", O_RDONLY);
  int fd = openat(dir, "f", O_RDWR | O_CREAT, 0600);
  if (write(fd, "hello", 5) != 5 || symlinkat("f", dir, "l")) return 1;
  small.bytes = 0;
  ret("no room", name("f", &small, &mnt, 0));
  is("size told", small.bytes > 0 && small.bytes <= 128);
  h.bytes = small.bytes;
  ret("name", name("f", &h, &mnt, 0));
  is("mount id", mnt > 0);
  ret("again", name("f", &g, &mnt, 0));
  is("the same", h.bytes == g.bytes && h.type == g.type && !memcmp(h.data, g.data, h.bytes));
  g.bytes = 128;
  ret("of the link", name("l", &g, &mnt, 0));
  is("another", memcmp(h.data, g.data, h.bytes) != 0);
  g.bytes = 128;
  ret("through the link", name("l", &g, &mnt, AT_SYMLINK_FOLLOW));
  is("the file", !memcmp(h.data, g.data, h.bytes));
  ret("of a descriptor", syscall(SYS_name_to_handle_at, fd, "", &g, &mnt, AT_EMPTY_PATH));
  is("the file", !memcmp(h.data, g.data, h.bytes));
  ret("flags", name("f", &h, &mnt, 0x8000));
  ret("missing", name("g", &h, &mnt, 0));
  ret("bad handle", name("f", BAD_PTR, &mnt, 0));
  ret("bad mount id", name("f", &h, BAD_PTR, 0));
  small.bytes = 129;
  ret("too much room", name("f", &small, &mnt, 0));
  struct handle p = {128};
  ret("of /proc", syscall(SYS_name_to_handle_at, AT_FDCWD, "/proc/self/status", &p, &mnt, 0));

  struct handle c = {128};
  uint64_t unique = 0;
  ret("unique mount id", syscall(SYS_name_to_handle_at, dir, "f", &c, &unique, 1));
  is("unique", unique > 0x80000000);
  ret("connectable and FID", name("f", &c, &mnt, 0x202));
  ret("connectable and empty path", name("", &c, &mnt, 0x1002));
  c = h;
  c.type |= 0x40000;
  opened("unknown flag of the type", &c, O_RDONLY);
  c.type = h.type | 0x30000;
  opened("a file that claims to be a directory", &c, O_RDONLY);

  long r = opened("open", &h, O_RDONLY);
  char buf[8] = {0};
  if (read(r, buf, 8) == 5) say("%s", buf);
  ret("write", write(r, "x", 1));
  ret("renamed", renameat(dir, "f", dir, "e"));
  r = opened("open under another name", &h, O_RDWR);
  ret("write", write(r, "x", 1));
  close(r);
  opened("open as a path", &h, O_PATH);
  opened("open as a directory", &h, O_DIRECTORY | O_RDONLY);
  struct handle z = h;
  z.bytes = 0;
  opened("empty", &z, O_RDONLY);
  z.bytes = 129;
  opened("too large", &z, O_RDONLY);
  opened("bad handle", BAD_PTR, O_RDONLY);
  dir = -1;
  opened("bad mount", &h, O_RDONLY);
  dir = AT_FDCWD;
  opened("mount of the working directory", &h, O_RDONLY);
  z = h;
  for (unsigned i = 0; i < z.bytes; i++) z.data[i] ^= 0x5a;
  opened("forged", &z, O_RDONLY);
  struct handle d = {128};
  ret("directory", name("d", &d, &mnt, 0));
  r = opened("open directory", &d, O_RDONLY | O_DIRECTORY);
  ret("its entry", faccessat(r, "e", F_OK, 0));
  for (int i = 3; i < 30; i++) close(i);
  unlink("d/e");
  opened("removed", &h, O_RDONLY);
  struct __user_cap_header_struct hd = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct cd[2] = {{0xa80425fb, 0xa80425fb, 0}, {0, 0, 0}};
  syscall(SYS_capset, &hd, cd);
  opened("without the capability", &d, O_RDONLY);
  ret("name without it", name("d", &d, &mnt, 0));
  return 0;
}
