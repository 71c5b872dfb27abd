// Values that arguments of the calls of calls.c take: names, and lists of numbers by kind. `wide`: a long; others are ints, whose upper
// half does not count.
#ifndef CALL_LISTS_H
#define CALL_LISTS_H
#include "walk.h"

static const char *const paths[] = {"a", "a", "b", "d", "d/x", "d/e", "l", "loop", "fifo", "sock", "new", "new", "d/new", "..", ".", "", "/", "a/", "d/", "d/.", "l/",
    "nothing/x", "a/x", "new/", "mnt", "mnt/a", "x", "d/e/..", "//w//a", "/proc", "/proc/self/status", "/proc/self/.", "/proc/self/fd", "/dev/null", "/dev/pts"};
static const char *const names[] = {"user.a", "user.b", "user.", "user", "trusted.x", "security.x", "system.posix_acl_access", "system.x", "", "a", "/queue", "/none",
    "queue", "keyring", ".x", "/", "//", "nothing.x"};
static const char *const types[] = {"tmpfs", "proc", "devpts", "mqueue", "none", "nothing", "", "user", "keyring", "logon"};
static const char *const settings[] = {"size", "mode", "uid", "nr_inodes", "source", "ro", "rw", "huge", "mpol", "nosuid", "noexec", "sync", "inode64", "gid", "newinstance",
    "ptmxmode", "fscontext", "nothing", ""};
static const char *const values[] = {"1m", "1M", "50%", "755", "1777", "1000", "0", "-1", "none", "never", "default", "x y", "4294967296", ""};

struct list {
  char kind;
  char wide;
  int count;
  const long *values;
};
// No other values than these.
#define FIXED 2
#define LIST(kind, wide, ...) {kind, wide, sizeof((const long[]){__VA_ARGS__}) / sizeof(long), (const long[]){__VA_ARGS__}}
#define INT(kind, ...) LIST(kind, 0, __VA_ARGS__)
#define LONG(kind, ...) LIST(kind, 1, __VA_ARGS__)

static const struct list lists[] = {
  // Sizes, of structures too; lengths of mappings; offsets; anything.
  LONG('z', 0, 1, 2, 4, 7, 8, 8, 12, 16, 16, 17, 20, 24, 28, 32, 33, 40, 48, 56, 63, 64, 65, 72, 80, 88, 100, 104, 112, 120, 128, 136, 144, 152, 256, 1000, 4095, 4096, 4097,
       65536, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000008, -1, 0x7fffffffffffffff, 1L << 63, -4096),
  LONG('l', 0, 1, 4096, 4096, 4097, 8192, 16384, 65536, 40000, 1L << 62, -1, -4096, 0x7fffffffffff, 1L << 47),
  LONG('~', 0, 0, 1, 5, 100, 4096, 5000, 9000, 10000, 1 << 20, -1, -4096, 0x7fffffffffffffff, 1L << 63, 1L << 40),
  LONG('j', 0, 1, 2, 3, 8, 16, 64, 100, 4096, -1, -2, 0x7fffffff, 0x80000000, 0xffffffff, 1L << 32, 1L << 63, 0x8000000000000000 - 1),
  INT('i', 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 16, -1, -2, 0x7fffffff, -0x80000000L),
  INT('c', 0, 1, 2, 3, 4, 4, 5, 16, 1023, 1024, 1025, -1, 0x7fffffff, -0x80000000L),
  INT('g', 0, 0, 1, 9, 10, 12, 14, 17, 18, 19, 20, 23, 28, 32, 33, 34, 63, 64, 65, -1, 0x7fffffff),
  INT('u', 0, 0, 1000, 1000, 1001, 65534, -1, -2, 0x7fffffff),
  INT('m', 0, 0644, 0755, 0777, 01777, 07777, 0100644, 0040755, 0010600, 0020600, 0060600, 0120777, 0140600, 0170000, -1),
  LONG('8', 8, 8, 8, 8, 8, 8, 8, 8, 0, 4, 7, 16, 128, -1, 0x100000008),
  INT('C', 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 16, -1, -2, -6, 0x7fffffff, -0x80000000L),
  INT('W', 0, 1, 2, 3, 4, 5, -1, 0x7fffffff),
  INT('O', 0, 1, 2, 3, O_RDWR | O_CREAT, O_WRONLY | O_CREAT | O_EXCL, O_WRONLY | O_TRUNC, O_RDWR | O_APPEND, O_DIRECTORY, O_DIRECTORY | O_RDWR, O_DIRECTORY | O_CREAT,
      O_NOFOLLOW, O_PATH, O_PATH | O_NOFOLLOW, O_PATH | O_RDWR | O_CREAT, O_TMPFILE | O_RDWR, O_TMPFILE, O_TMPFILE | O_RDWR | O_EXCL, O_NONBLOCK, O_NONBLOCK | O_WRONLY,
      O_NOATIME, O_DIRECT, O_SYNC, O_DSYNC, O_CLOEXEC, O_ASYNC, O_NOCTTY, -1, 1 << 30),
  LIST('D', FIXED, 0, 0x103, 0x105, 0xffff), // devices: no others
  INT('R', 0, 1, 1, 3, 3, 2, 4, 5, 7, 8, 0x10, 0x1000000, 0x2000000, 0x3000000, -1),
  INT('*', 0x22, 0x22, 0x21, 1, 2, 3, 0x23, 0, 0x32, 0x31, 0x12, 0x11, 0x100022, 0x100021, 0x122, 0x8022, 0x4022, 0x2022, 0x62, 0x20022, 0x80003, 0x10, 0x20),
  INT('r', 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, -1),
  LIST('P', FIXED, 0, 1, 3, 4, -1), LIST('<', FIXED, 0, 1, 2, 4, -1), // PRIO_*, IOPRIO_WHO_*: not the user
  INT('h', 0, 0, 0, 0, 1, -0x80000000L),
  INT('S', 0, 0x40, 0x40, 0x42, 1, 2, 4, 8, 0x20, 0x40, 0x80, 0x100, 0x2000, 0x4000, 0x8000, 0x10000, 0x40000000, 0x4000000, 0x20000000, -1),
  LONG('M', 0, 1, 2, 4, 8, 16, 32, 0x20, 0x21, 0x1020, 0x1000, 0x5000, 0x2000, 0x3000, 0x20000, 0x40000, 0x80000, 0x100000, 0x44000, 0x400, 0x800, 0xc0ed0000, 0x200000, 0x2000000, -1),
  INT('Q', 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0x40000000, 0x40000003, -1),
  LONG('U', 0, 0x100, 0x200, 0x400, 0x800, 0x10000, 0x20000, 0x40000, 0x80, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000, 0x80000000, 0x1000, 1, 0x100000000),
  // Commands of calls that do many things.
  INT('1', 0, 0x406, 1, 2, 3, 4, 8, 9, 10, 11, 15, 16, 17, 1024, 1025, 1026, 1027, 1028, 1029, 1030, 1031, 1032, 1033, 1034, 1035, 1036, 1037, 1038, 1039, 1040, 1100, 18, -1),
  INT('!', 5, 6, 7, 36, 37, 38, 12, 13, 14), // locks
  INT('2', 0x5401, 0x5402, 0x5403, 0x5404, 0x5405, 0x5406, 0x5407, 0x5409, 0x540a, 0x540b, 0x540c, 0x540d, 0x540e, 0x540f, 0x5410, 0x5411, 0x5412, 0x5413, 0x5414, 0x5415, 0x5416,
      0x5418, 0x5419, 0x541a, 0x541b, 0x541e, 0x5420, 0x5421, 0x5422, 0x5423, 0x5424, 0x5425, 0x5427, 0x5428, 0x5429, 0x5450, 0x5451, 0x5452, 0x5456, 0x5457, 0x5460, 0x80045430,
      0x40045431, 0x80045432, 0x40045436, 0x80045438, 0x80045439, 0x80045440, 0x5441, 0x545c, 0x5437, 0x802c542a, 0x402c542b),
  INT('(', 0x8901, 0x8902, 0x8903, 0x8904, 0x8905, 0x8906, 0x8907, 0x890b, 0x890c, 0x8910, 0x8911, 0x8912, 0x8913, 0x8914, 0x8915, 0x8917, 0x8919, 0x891b, 0x891d, 0x891f, 0x8920,
      0x8921, 0x8922, 0x8927, 0x8933, 0x8942, 0x8946, 0x8947, 0x8948, 0x894c, 0x8953, 0x8954, 0x8970, 0x8990, 0x89e0, 0x89f0, 0x8b01, 0x541b, 0x5411),
  INT(')', 1, 2, 0x80086601, 0x40086602, 0x80047601, 0x40047602, 0x801c581f, 0x401c5820, 0xc020660b, 0x40049409, 0x4020940d, 0xc0189436, 0x81009431, 0x41009432, 0xb701, 0xb702,
      0xb703, 0xb704, 0xb705, 0x8004b706, 0x8004b707, 0x8004b708, 0x8004b709, 0x1260, 0x1268, 0x80081272, 0x127b, 0x80106e7d, 0x5008, 0x40085400, 0x80111500, 0x80111501, 0x8100660a,
      0x660c, 0x40185828, 0x40305829, 0xc0406605, 0x40086610, 0xff00, 0xff01, 0xff02, 0xff0b),
  INT('3', 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 19, 20, 21, 22, 23, 24, 25, 27, 28, 29, 30, 33, 34, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 50, 51, 54,
      55, 56, 57, 58, 59, 62, 64, 65, 66, 67, 68, 69, 70, 71, 72, 73, 80, 0x59616d61, 35, 35, 0x53564d41, 0, -1),
  INT('4', 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 128, 129, 131, 132, 133, 137, 138, 256, 265, 267, 393, -1),
  INT('5', 0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15, 16, 17, 18, 19, 20, 21, 24, 29, 30, 31, 33, -1),
  INT('6', 0, 1, 2, 3, 4, 8, 9, 10, 11, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 5, 7, 24, 26, 102, 103, -1),
  INT('7', 0, 1, 1, 1, 6, 6, 17, 41, 58, 132, 255, 263, 270, 282, 284, 2, -1),
  INT('9', 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 28, 29, 30, 31, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 47, 49,
      50, 51, 52, 53, 56, 57, 58, 59, 60, 61, 62, 63, 64, 65, 66, 67, 68, 70, 72, 73, 74, 75, 76, 77, 78, 79, 80, 100, -1),
  INT('@', 1, 1, 2, 10, 16, 0, 3, 4, 9, 11, 15, 17, 29, 30, 31, 38, 46, 47, -1), // 40 to 45, and MPTCP below, are up to the kernel's configuration
  INT('#', 1, 2, 3, 5, 4, 6, 10, 0, 7, 11, 0x801, 0x802, 0x80801, 0x80001, 0x1001, -1),
  INT('%', 0, 0, 0, 1, 6, 17, 58, 132, 136, 255, 256, 4, 15, 16, -1),
  INT('&', 0, 0, 0, 0, 1, 77, -1, 32768, 0x7fffffff),
  INT('K', 77, 77, 0, 78, -1), // keys of System V IPC
  INT('=', 0, 1, 2, 3, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 10, 21, -1, 0x100),
  INT('I', 0, 0600, 0666, 01000, 01600, 03000, 03600, 010600, 020600, -1),
  LONG('B', 0, 4, 2, 8, 9, 16, 110, 28, 12, 128, 129, 1000, -1, 0x7fffffff), // lengths of addresses and options
  LIST('-', FIXED, -1, -2, -3, -6, -7, -8, -9, 0, 1, 0x7fffffff), // keyrings: not the user's
  INT('X', 0x1001, 0x1003, 0x1004, 0x1011, 0x1021, 0x1022, 0x2001, 0x4001, 0x4002, 0x4003, 0x5001, 0x5005, 0, -1),
  INT('Y', 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 16, 17, 24, 31, 0x4200, 0x4201, 0x4202, 0x4203, 0x4204, 0x4205, 0x4206, 0x4207, 0x4208, 0x4209, 0x420a, 0x420b, 0x420d, 0x420e, 0x420f,
      0x4210, 30, 10, 11, 14, 15, 33, -1),
  LIST('N', FIXED, 1, 2, 4, 8, 16, 32, 64, 0, 3, -1), // membarrier: not for rseq
  INT('Z', 0, 0, 1, 1, 2, 3, 4, 5, 6, 6, 7, 8, 9, -1), // FSCONFIG_*
  LIST('L', FIXED, 0, 1, -1, 11, 0x7fffffff), // syslog: what tells and changes nothing
};
#endif
