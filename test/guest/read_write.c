// link: -w
// read, write and their kin on files: offsets, vectors, limits, bad memory, flags.
#include "guest.h"
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>

#ifndef RWF_NOAPPEND
#define RWF_NOAPPEND 0x20
#endif

static char buf[1 << 20];
static volatile sig_atomic_t fsz;
static void on_xfsz(int s) { (void)s, fsz++; }

static void show(const char *name, int fd) {
  char b[64];
  long n = pread(fd, b, sizeof b, 0);
  say("%s: %ld \"%.*s\" at %ld", name, n, (int)n, b, (long)lseek(fd, 0, SEEK_CUR));
}

// The end of a transfer is a position, too: rw_verify_area().
static void farAway(const char *name, int f) {
  struct iovec v[2] = {{buf, 5}, {buf + 5, 6}};
  const long at[] = {1l << 62, INT64_MAX - 4096, INT64_MAX - 11, INT64_MAX - 10, INT64_MAX};
  for (unsigned i = 0; i < sizeof at / sizeof *at; i++) {
    say("%s, %lx", name, at[i]);
    ret("pread", pread(f, buf, 11, at[i]));
    ret("pread of none", pread(f, buf, 0, at[i]));
    ret("preadv", preadv(f, v, 2, at[i]));
    ret("preadv2", preadv2(f, v, 2, at[i], 0));
    ret("pread nowhere", pread(f, BAD_PTR, 11, at[i]));
    if (i < 3) continue;
    ret("pwrite", pwrite(f, buf, 11, at[i]));
    ret("pwrite of none", pwrite(f, buf, 0, at[i]));
    ret("pwritev", pwritev(f, v, 2, at[i]));
    ret("pwritev2", pwritev2(f, v, 2, at[i], 0));
  }
}

int main(void) {
  int f = open("f", O_CREAT | O_TRUNC | O_RDWR, 0600), r = open("f", O_RDONLY), w = open("f", O_WRONLY), d = open(".", O_RDONLY),
      p = open("f", O_PATH), a = open("f", O_RDWR | O_APPEND);
  char *page = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap(page + 8192, 4096);
  char *edge = page + 8192 - 10;
  char *ro = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  char *none = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

  say("-- descriptors");
  ret("write to read-only", write(r, "x", 1));
  ret("read from write-only", read(w, buf, 1));
  ret("read O_PATH", read(p, buf, 1));
  ret("write O_PATH", write(p, buf, 1));
  ret("closed", read(77, buf, 1));
  ret("negative", read(-1, buf, 1));
  ret("directory", read(d, buf, 1));
  ret("write directory", write(d, buf, 1));

  say("-- positions");
  ret("write", write(f, "0123456789", 10));
  ret("read at end", read(f, buf, 10));
  ret("pread", pread(f, buf, 4, 3));
  say("%.4s", buf);
  ret("pread past end", pread(f, buf, 4, 100));
  ret("pread negative", pread(f, buf, 4, -1));
  ret("pwrite negative", pwrite(f, buf, 4, -1));
  ret("pwrite", pwrite(f, "AB", 2, 20));
  struct stat st;
  fstat(f, &st);
  say("size %ld", (long)st.st_size);
  show("hole", f);
  ret("append", write(a, "end", 3));
  say("append position %ld", (long)lseek(a, 0, SEEK_CUR));
  ret("pwrite to append", pwrite(a, "!", 1, 0));
  fstat(f, &st);
  say("size %ld", (long)st.st_size);
  ret("dup shares", lseek(dup(f), 5, SEEK_SET));
  ret("read", read(f, buf, 2));
  say("%.2s", buf);
  ftruncate(f, 10), lseek(f, 0, SEEK_SET);

  say("-- far away");
  farAway("file", f);
  char *shared = mmap(NULL, 10, PROT_READ, MAP_SHARED, f, 0);
  farAway("mapped file", f);
  munmap(shared, 10);
  farAway("zero", open("/dev/zero", O_RDWR));
  farAway("null", open("/dev/null", O_RDWR));

  say("-- memory");
  ret("nowhere", read(f, BAD_PTR, 5));
  ret("kernel", read(f, (void *)-4096L, 5));
  ret("read-only memory", read(f, ro, 5));
  ret("no access", read(f, none, 5));
  ret("huge length", syscall(SYS_read, f, buf, -1L));
  ret("huge length, end of space", syscall(SYS_read, f, buf, 0x7fffffffffffL));
  ret("zero to nowhere", read(f, BAD_PTR, 0));
  ret("to the edge", read(f, edge, 10));
  lseek(f, 0, SEEK_SET);
  ret("over the edge", pread(f, edge + 5, 10, 0));
  ret("write nowhere", write(f, BAD_PTR, 5));
  ret("write no access", write(f, none, 5));
  memcpy(edge, "edge write", 10);
  ret("write over the edge", pwrite(f, edge, 20, 0));
  show("f", f);

  say("-- vectors");
  char x[3], y[5];
  struct iovec in[4] = {{x, 3}, {NULL, 0}, {y, 5}, {BAD_PTR, 0}};
  lseek(f, 0, SEEK_SET);
  ret("readv", readv(f, in, 4));
  say("%.3s|%.5s", x, y);
  ret("preadv", preadv(f, in, 3, 2));
  say("%.3s|%.5s", x, y);
  struct iovec out[2] = {{"vec", 3}, {"tor", 3}};
  ret("pwritev", pwritev(f, out, 2, 1));
  show("f", f);
  ret("none", readv(f, in, 0));
  ret("negative count", syscall(SYS_readv, f, in, -1L));
  ret("too many", syscall(SYS_readv, f, in, 1025));
  ret("bad array", readv(f, BAD_PTR, 1));
  struct iovec neg[2] = {{x, 3}, {y, -1}};
  ret("negative length", readv(f, neg, 2));
  struct iovec bad[2] = {{x, 3}, {BAD_PTR, 5}};
  ret("second bad", preadv(f, bad, 2, 0));
  struct iovec first[2] = {{BAD_PTR, 5}, {x, 3}};
  ret("first bad", preadv(f, first, 2, 0));
  ret("preadv negative", preadv(f, in, 1, -2));

  say("-- flags");
  lseek(f, 3, SEEK_SET);
  ret("preadv2 position", preadv2(f, in, 1, -1, 0));
  say("at %ld", (long)lseek(f, 0, SEEK_CUR));
  ret("unknown", preadv2(f, in, 1, 0, 0x4000));
  ret("append and not", preadv2(f, in, 1, 0, RWF_APPEND | 0x20));
  ret("append flag", pwritev2(f, out, 1, 0, RWF_APPEND));
  fstat(f, &st);
  say("size %ld", (long)st.st_size);
  ret("dsync", pwritev2(f, out, 1, 0, RWF_DSYNC));
  int s[2];
  pipe(s);
  ret("pipe nowait", preadv2(s[0], in, 1, -1, RWF_NOWAIT));
  ret("pipe offset", preadv2(s[0], in, 1, 0, 0));
  ret("lseek pipe", lseek(s[0], 0, SEEK_SET));

  say("-- limits");
  signal(SIGXFSZ, on_xfsz);
  struct rlimit rl = {50, RLIM_INFINITY};
  setrlimit(RLIMIT_FSIZE, &rl);
  ftruncate(f, 0), lseek(f, 0, SEEK_SET);
  ret("up to the limit", write(f, buf, 100));
  ret("beyond", write(f, buf, 1));
  say("signals %d", fsz);
  ret("pwrite beyond", pwrite(f, buf, 1, 60));
  ret("below", pwrite(f, buf, 1, 49));
  ret("append beyond", write(a, buf, 1));
  ret("zero beyond", pwrite(f, buf, 0, 60));
  ret("pipe has no limit", write(s[1], buf, 100));
  say("signals %d", fsz);
  rl.rlim_cur = RLIM_INFINITY;
  setrlimit(RLIMIT_FSIZE, &rl);

  say("-- big");
  for (unsigned i = 0; i < sizeof buf; i++) buf[i] = i * 7 + (i >> 9);
  char *copy = malloc(sizeof buf);
  ftruncate(f, 0);
  is("pwrite", pwrite(f, buf, sizeof buf, 1000) == sizeof buf);
  is("pread", pread(f, copy, sizeof buf, 1000) == sizeof buf);
  is("same", memcmp(buf, copy, sizeof buf) == 0);
  memset(copy, 0, sizeof buf);
  struct iovec many[64];
  for (int i = 0; i < 64; i++) many[i].iov_base = copy + i * 16384, many[i].iov_len = 16384;
  is("preadv", preadv(f, many, 64, 1000) == sizeof buf);
  is("same", memcmp(buf, copy, sizeof buf) == 0);
  is("short at end", pread(f, copy, sizeof buf, sizeof buf) == 1000);
  return 0;
}
