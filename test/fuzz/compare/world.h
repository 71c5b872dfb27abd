// What the operations of compare.c share: numbers from the seed, names, descriptors, users, and the lines they print.
// Every operation draws its numbers from the seed and its own index alone, so that leaving others out does not change it.
#ifndef WORLD_H
#define WORLD_H
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

enum kind { TMPFS, OVERLAY, VOLUME, ROOT };

static enum kind kind;
static uint64_t state;
// Which of the two processes this is, and the index of the operation that runs.
static int me, at;
// Descriptors that no operation gets: the host's /proc, the tree's root, both ends of the turns, the output.
static int proc_fd, root_fd, turn_in, turn_out;
enum { PRIVATE_FDS = 200, SLOTS = 12, SPECIAL_SLOTS = 4, MAPS = 4 };
static int slots[SLOTS + SPECIAL_SLOTS];

static uint64_t rnd(void) {
  state ^= state << 13, state ^= state >> 7, state ^= state << 17;
  return state * 0x2545F4914F6CDD1DULL >> 11;
}

static void seed_from(uint64_t a, uint64_t b) {
  state = (a + 1) * 0x9E3779B97F4A7C15ULL ^ (b + 1) * 0xBF58476D1CE4E5B9ULL;
  if (state == 0) state = 1;
  for (int i = 0; i < 8; i++) rnd();
}

static unsigned below(unsigned n) { return rnd() % n; }
static int one_in(unsigned n) { return below(n) == 0; }
#define PICK(a) ((a)[below(sizeof(a) / sizeof *(a))])

static void say(const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  vprintf(fmt, ap);
  va_end(ap);
}

// The end of an operation's line: its result, or what error.
static long result(long r) {
  int e = errno;
  if (r == -1) say(" = %s\n", strerrorname_np(e) ? strerrorname_np(e) : "E?");
  else say(" = %ld\n", r);
  errno = e;
  return r;
}

// The same for what varies.
static long outcome(long r) {
  int e = errno;
  if (r == -1) say(" = %s\n", strerrorname_np(e) ? strerrorname_np(e) : "E?");
  else say(" = ok\n");
  return r;
}

static unsigned hash(const void *data, size_t n) {
  unsigned h = 2166136261u;
  for (size_t i = 0; i < n; i++) h = (h ^ ((const unsigned char *)data)[i]) * 16777619u;
  return h;
}

// Names: few, so that operations meet, three deep at most; now and then a detour or a slash at the end.
static const char *path(void) {
  static char bufs[4][200];
  static int next;
  char *b = bufs[next++ % 4];
  unsigned how = below(40);
  int depth = 1 + (below(10) > 4) + (below(10) > 6);
  *b = 0;
  if (one_in(8)) strcat(b, "/");
  for (int i = 0; i < depth; i++) {
    static const char *const names[] = {"a", "b", "c", "d", "e", "f"};
    if (i > 0) strcat(b, "/");
    strcat(b, i == 0 && depth > 1 && !one_in(4) ? (one_in(2) ? "a" : "d") : PICK(names));
  }
  if (how == 0) strcat(b, "/");
  if (how == 1) strcat(b, "/.");
  if (how == 2) strcat(b, "/..");
  if (how == 3) strcpy(b, one_in(4) ? "" : ".");
  if (how == 4) strcpy(b, one_in(2) ? ".." : "/");
  if (how == 5) strcat(b, "/../b");
  if (how == 6) snprintf(b, 200, "b/%s", one_in(2) ? "." : "x");
  return b;
}

// A directory descriptor to start from: mostly none.
static int slot(void) { return one_in(12) ? SLOTS + below(SPECIAL_SLOTS) : below(SLOTS); }
static int file_slot(void) { return one_in(12) ? slot() : (int)below(5); }
static int dir_slot(void) { return one_in(12) ? slot() : 8 + (int)below(3); }
static int at_dir(char *name) {
  if (!one_in(4)) return strcpy(name, "cwd"), AT_FDCWD;
  int s = dir_slot();
  sprintf(name, "s%d", s);
  return slots[s];
}

static void keep(int s, int fd) {
  if (fd < 0) return;
  if (slots[s] >= 0) close(slots[s]);
  slots[s] = fd;
}

// Users: root, two others who share a group, and root without what lets it do everything to files.
static void capabilities(int all) {
  static struct __user_cap_data_struct full[2];
  struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct c[2];
  if (full[0].permitted == 0) syscall(SYS_capget, &h, full);
  memcpy(c, full, sizeof c);
  for (int i = 0; i < 2; i++) c[i].effective = c[i].permitted;
  if (!all) c[0].effective &= ~(1u << CAP_CHOWN | 1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH | 1u << CAP_FOWNER | 1u << CAP_FSETID);
  if (!all) c[0].effective &= ~(1u << CAP_MKNOD | 1u << CAP_SYS_ADMIN | 1u << CAP_LEASE | 1u << CAP_SETFCAP | 1u << CAP_SYS_RESOURCE);
  syscall(SYS_capset, &h, c);
}

static void become(int user) {
  static const gid_t groups[2][2] = {{1000, 2000}, {2000}};
  if (user == 1) setgroups(2, groups[0]), syscall(SYS_setfsgid, 1000), syscall(SYS_setfsuid, 1000);
  if (user == 2) setgroups(1, groups[1]), syscall(SYS_setfsgid, 1001), syscall(SYS_setfsuid, 1001);
  if (user == 3) capabilities(0);
}

static void become_root(int user) {
  if (user == 3) capabilities(1);
  else if (user != 0) syscall(SYS_setfsuid, 0), syscall(SYS_setfsgid, 0), setgroups(0, NULL), capabilities(1);
}

// Data of an operation: its index is in it.
static char data[300000];
static size_t some_data(void) {
  static const unsigned sizes[] = {0, 1, 5, 100, 4095, 4096, 4097, 8192, 10000, 70000};
  size_t n = one_in(3) ? below(6000) : PICK(sizes);
  for (size_t i = 0; i < n; i++) data[i] = 1 + (at * 31 + i * 7) % 250;
  return n;
}

static long offset(void) {
  static const long offsets[] = {0, 0, 1, 100, 4095, 4096, 4097, 8192, 12288, 65536, 70000, 1 << 20};
  return one_in(40) ? -1 - (long)below(3) : one_in(60) ? 1L << (30 + below(34)) : one_in(3) ? below(20000) : PICK(offsets);
}

struct flag {
  const char *name;
  unsigned long bit;
};
static void say_flags(const struct flag *f, unsigned long v) {
  const char *sep = "";
  for (; f->name != NULL; f++)
    if ((v & f->bit) == f->bit && f->bit != 0) say("%s%s", sep, f->name), v &= ~f->bit, sep = "|";
  if (v != 0 || *sep == 0) say("%s%#lx", sep, v);
}

#endif
