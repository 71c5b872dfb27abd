// Start-up snapshots of sentry and gofer. Node ends if it is given one that another version, or another set of CPU
// features, has made; so their names carry a stamp of both, and without a file of that name Node loads the program itself.
#define _GNU_SOURCE
#include "launcher.h"

#include <cpuid.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// FNV-1a
static void mix(uint64_t *hash, const void *data, size_t n) {
  for (const unsigned char *p = data; n--; p++) *hash = (*hash ^ *p) * 0x100000001b3;
}

void snapshot_stamp(char stamp[17]) {
  uint64_t hash = 0xcbf29ce484222325;
  struct stat st;
  if (fstat(node_fd, &st) < 0) die("cannot stat %s", opt.node);
  mix(&hash, &st.st_size, sizeof st.st_size);
  mix(&hash, &st.st_mtim, sizeof st.st_mtim);
  static const struct { // vendor; features; structured features; extended features
    unsigned leaf, eax, ebx, ecx, edx;
  } leaves[] = {{0, 0, -1, -1, -1}, {1, -1, 0, -1, -1}, {7, 0, -1, -1, -1}, {0x80000001, 0, 0, -1, -1}};
  for (unsigned i = 0; i < sizeof leaves / sizeof *leaves; i++) {
    unsigned a = 0, b = 0, c = 0, d = 0;
    __get_cpuid_count(leaves[i].leaf, 0, &a, &b, &c, &d);
    const unsigned registers[4] = {a & leaves[i].eax, b & leaves[i].ebx, c & leaves[i].ecx, d & leaves[i].edx};
    mix(&hash, registers, sizeof registers);
  }
  snprintf(stamp, 17, "%016lx", hash);
}

static void use_snapshot(const char *name, int fd, char path[80], const char **argv, int *argc) {
  char stamp[17];
  snapshot_stamp(stamp);
  int start = snprintf(path, 80, "/proc/self/fd/%d/", fd);
  snprintf(path + start, 80 - start, "%s-%s.blob", name, stamp);
  if (*argc + 3 > MAX_ARGS || faccessat(dist_fd, path + start, R_OK, 0) < 0) return;
  memmove(argv + 3, argv, *argc * sizeof *argv);
  argv[0] = "--no-rehash-snapshot"; // SNAPSHOT_V8_ARGS
  argv[1] = "--snapshot-blob";
  argv[2] = path;
  *argc += 3;
}

void use_snapshots(void) {
  static char sentry[80], gofer[80];
  if (opt.sentry_snapshot)
    use_snapshot(opt.sentry_snapshot, SENTRY_DIST_FD, sentry, opt.sentry_argv, &opt.sentry_argc);
  if (opt.gofer_snapshot) use_snapshot(opt.gofer_snapshot, GOFER_DIST_FD, gofer, opt.gofer_argv, &opt.gofer_argc);
}
