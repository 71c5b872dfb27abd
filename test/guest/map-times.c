// Times of files that are mapped: mmap(2) is an access, the first store through a shared mapping a change.
#include "guest.h"
#include <sys/mman.h>
#include <sys/stat.h>

static void set(int fd) {
  struct timespec ts[2] = {{1000, 0}, {2000, 0}};
  if (futimens(fd, ts) < 0) say("futimens: %s", strerrorname_np(errno));
}
static void times(const char *name, int fd) {
  struct stat st;
  fstat(fd, &st);
  const char *a = st.st_atim.tv_sec == 1000 ? "old" : st.st_atim.tv_sec > 2000 ? "new" : "other";
  const char *m = st.st_mtim.tv_sec == 2000 ? "old" : st.st_mtim.tv_sec > 2000 ? "new" : "other";
  is("ctime", st.st_ctim.tv_sec > 2000);
  say("%s: atime %s mtime %s", name, a, m);
}

static void file(const char *kind, int fd) {
  say("%s", kind);
  char page[4096] = "x";
  for (int i = 0; i < 2; i++) write(fd, page, sizeof page);
  set(fd);
  times("set", fd);
  char *p = mmap(0, 8192, PROT_READ, MAP_SHARED, fd, 0);
  times("shared, reading", fd);
  set(fd);
  (void)*(volatile char *)p;
  times("load", fd);
  munmap(p, 8192);
  p = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  times("private", fd);
  set(fd);
  p[0] = 'y';
  times("private store", fd);
  munmap(p, 8192);
  p = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  times("shared", fd);
  set(fd);
  p[0] = 'z';
  times("shared store", fd);
  set(fd);
  times("set again", fd);
  p[4096] = 'z';
  msync(p, 8192, MS_SYNC);
  times("another page", fd);
  set(fd);
  times("set after it", fd);
  pwrite(fd, page, 1, 0);
  times("pwrite", fd);
  set(fd);
  times("set after pwrite", fd);
  ftruncate(fd, 4096);
  times("ftruncate", fd);
  set(fd);
  times("set after ftruncate", fd);
  munmap(p, 8192);
  times("unmapped", fd);
  set(fd);
  p = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  munmap(p, 4096);
  times("without a store", fd);
  p = mmap(0, 4096, PROT_READ, MAP_SHARED, fd, 0);
  set(fd);
  mprotect(p, 4096, PROT_READ | PROT_WRITE);
  p[0] = 1;
  times("store after mprotect", fd);
  close(fd);
}

int main(void) {
  setvbuf(stdout, 0, _IOLBF, 0);
  int shm = open("/dev/shm/map-times", O_RDWR | O_CREAT | O_EXCL, 0600);
  unlink("/dev/shm/map-times");
  file("tmpfs", shm);
  file("memfd", memfd_create("m", 0));
  ret("all bits", (long)mmap(0, 1024, PROT_READ, ~0, -1, 0));
  ret("hugetlb size", (long)mmap(0, 1024, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_HUGETLB | (50 << 26), -1, 0));
  return 0;
}
