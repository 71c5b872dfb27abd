// Which pages are in memory: mincore, pagemap, move_pages, smaps and statm before and after touching, populating, locking.
#include "guest.h"
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/sysinfo.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
#define PAGE 4096ul
#define N 8
#define MiB (1024 * 1024l)

static int pagemap;

// One character per page: mincore's, pagemap's (p present, f of a file or shared, - neither) and move_pages' answer.
static void show(const char *name, char *at, unsigned n) {
  unsigned char vec[64];
  char a[65] = "", b[65] = "", c[65] = "";
  memset(vec, 7, sizeof vec);
  long r = mincore(at, n * PAGE, vec);
  for (unsigned i = 0; i < n; i++) a[i] = vec[i] == 7 ? '?' : '0' + (vec[i] & 1);
  uint64_t e[64];
  memset(e, 0, sizeof e);
  if (pread(pagemap, e, n * 8, (uintptr_t)at / PAGE * 8) != n * 8) strcpy(b, "unread");
  else
    for (unsigned i = 0; i < n; i++) b[i] = e[i] >> 63 ? (e[i] >> 61 & 1 ? 'f' : 'p') : '-';
  void *pages[64];
  int status[64];
  for (unsigned i = 0; i < n; i++) pages[i] = at + i * PAGE;
  long m = syscall(SYS_move_pages, 0, (long)n, pages, NULL, status, 0);
  for (unsigned i = 0; i < n; i++) c[i] = m != 0 ? 'x' : status[i] == 0 ? '0' : status[i] == -ENOENT ? '-' : status[i] == -EFAULT ? 'z' : '?';
  say("%s: %s%s %s %s", name, r == 0 ? "" : strerrorname_np(errno), a, b, c);
}

static char *anon(int n, int prot, int flags) {
  char *p = mmap(NULL, n * PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
  if (p != MAP_FAILED) madvise(p, n * PAGE, MADV_NOHUGEPAGE);
  return p;
}

// The sum of a line of smaps, in pages, over the mappings in [at, at + n pages).
static long smaps(const char *key, char *at, int n) {
  FILE *f = fopen("/proc/self/smaps", "r");
  char line[500];
  unsigned long start = 0, end = 0;
  long sum = 0, kb;
  int in = 0;
  size_t len = strlen(key);
  while (fgets(line, sizeof line, f) != NULL) {
    char dash;
    if (sscanf(line, "%lx%c%lx ", &start, &dash, &end) == 3 && dash == '-') in = start >= (uintptr_t)at && end <= (uintptr_t)at + n * PAGE;
    else if (in && strncmp(line, key, len) == 0 && line[len] == ':' && sscanf(line + len + 1, "%ld", &kb) == 1) sum += kb / 4;
  }
  fclose(f);
  return sum;
}

static void smaps_say(const char *name, char *at, int n) {
  say("%s: Rss %ld, Referenced %ld, Anonymous %ld, Locked %ld", name, smaps("Rss", at, n), smaps("Referenced", at, n),
      smaps("Anonymous", at, n), smaps("Locked", at, n));
}

static long status_kb(const char *key) {
  FILE *f = fopen("/proc/self/status", "r");
  char line[300];
  long kb = -1;
  size_t len = strlen(key);
  while (fgets(line, sizeof line, f) != NULL)
    if (strncmp(line, key, len) == 0 && line[len] == ':') sscanf(line + len + 1, "%ld", &kb);
  fclose(f);
  return kb;
}

static void touching(void) {
  char *p = anon(N, PROT_READ | PROT_WRITE, 0);
  show("fresh", p, N);
  smaps_say("fresh", p, N);
  p[0] = p[3 * PAGE] = 1;
  volatile char c = p[5 * PAGE];
  (void)c;
  show("two written, one read", p, N);
  smaps_say("two written, one read", p, N);
  if (read(open("/dev/zero", O_RDONLY), p + 6 * PAGE, 1) != 1) return;
  show("one written by a call", p, N);
  ok("DONTNEED", madvise(p, PAGE, MADV_DONTNEED));
  show("one given back", p, N);
  mprotect(p, N * PAGE, PROT_NONE);
  show("none may be touched", p, N);
  mprotect(p, N * PAGE, PROT_READ | PROT_WRITE);
  char *q = mremap(p, N * PAGE, N * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, anon(N, PROT_NONE, 0));
  show("moved", q, N);
  pid_t child = fork();
  if (child == 0) {
    show("child", q, N);
    q[1 * PAGE] = 1;
    show("child has touched", q, N);
    _exit(0);
  }
  wait_say("child", child);
  show("parent", q, N);
  munmap(q + 4 * PAGE, PAGE);
  unsigned char vec[N] = {9, 9, 9, 9, 9, 9, 9, 9};
  ret("over a hole", mincore(q, N * PAGE, vec));
  munmap(q, N * PAGE);
  char *none = anon(N, PROT_NONE, 0);
  show("PROT_NONE", none, N);
  ret("odd address", mincore(none + 1, PAGE, vec));
  ret("nothing", mincore(none, 0, vec));
  ret("bad vector", mincore(none, PAGE, BAD_PTR));
  munmap(none, N * PAGE);
}

static void populating(void) {
  char *p = anon(N, PROT_READ | PROT_WRITE, MAP_POPULATE);
  show("MAP_POPULATE", p, N);
  munmap(p, N * PAGE);
  p = anon(N, PROT_READ, MAP_POPULATE);
  show("MAP_POPULATE, read-only", p, N);
  munmap(p, N * PAGE);
  p = anon(N, PROT_NONE, MAP_POPULATE);
  show("MAP_POPULATE, PROT_NONE", p, N);
  munmap(p, N * PAGE);
  p = anon(N, PROT_READ | PROT_WRITE, MAP_POPULATE | MAP_NONBLOCK);
  show("MAP_POPULATE, MAP_NONBLOCK", p, N);
  munmap(p, N * PAGE);
  p = anon(N, PROT_READ | PROT_WRITE, 0);
  ret("POPULATE_READ", madvise(p, 2 * PAGE, MADV_POPULATE_READ));
  ret("POPULATE_WRITE", madvise(p + 4 * PAGE, 2 * PAGE, MADV_POPULATE_WRITE));
  show("advised", p, N);
  mprotect(p + 6 * PAGE, PAGE, PROT_READ);
  mprotect(p + 7 * PAGE, PAGE, PROT_NONE);
  ret("POPULATE_WRITE, read-only", madvise(p + 6 * PAGE, PAGE, MADV_POPULATE_WRITE));
  ret("POPULATE_READ, read-only", madvise(p + 6 * PAGE, PAGE, MADV_POPULATE_READ));
  ret("POPULATE_READ, PROT_NONE", madvise(p + 7 * PAGE, PAGE, MADV_POPULATE_READ));
  ret("POPULATE_WRITE over all", madvise(p, N * PAGE, MADV_POPULATE_WRITE));
  show("until refused", p, N);
  munmap(p + 2 * PAGE, PAGE);
  ret("POPULATE_READ over a hole", madvise(p, 4 * PAGE, MADV_POPULATE_READ));
  ret("odd address", madvise(p + 1, PAGE, MADV_POPULATE_READ));
  munmap(p, N * PAGE);
  int fd = open("few", O_CREAT | O_RDWR | O_TRUNC, 0600);
  if (ftruncate(fd, 2 * PAGE) != 0) return;
  p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ret("POPULATE_READ, file", madvise(p, 2 * PAGE, MADV_POPULATE_READ));
  ret("POPULATE_WRITE, file", madvise(p, 2 * PAGE, MADV_POPULATE_WRITE));
  ret("POPULATE_READ beyond the end", madvise(p, 4 * PAGE, MADV_POPULATE_READ));
  show("file", p, 4);
  munmap(p, 4 * PAGE);
  p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
  is("MAP_POPULATE beyond the end", p != MAP_FAILED);
  show("file again", p, 4);
  ret("mlock beyond the end", mlock(p, 4 * PAGE));
  ret("mlock of the file", mlock(p, 2 * PAGE));
  munmap(p, 4 * PAGE);
  close(fd);
  unlink("few");
}

static void locking(void) {
  char *p = anon(N, PROT_READ | PROT_WRITE, 0);
  long before = status_kb("VmLck");
  ret("mlock", mlock(p + PAGE, 2 * PAGE));
  show("locked", p, N);
  smaps_say("locked", p, N);
  ret("mlock2 on fault", syscall(SYS_mlock2, p + 4 * PAGE, 2 * PAGE, 1));
  p[4 * PAGE] = 1;
  show("on fault", p, N);
  smaps_say("on fault", p, N);
  say("VmLck +%ld", status_kb("VmLck") - before);
  ret("on fault, now at once", mlock(p + 4 * PAGE, 2 * PAGE));
  show("at once", p, N);
  ret("DONTNEED", madvise(p + PAGE, PAGE, MADV_DONTNEED));
  ret("DONTNEED_LOCKED", madvise(p + PAGE, PAGE, 24));
  show("locked and given back", p, N);
  ret("munlock", munlock(p, N * PAGE));
  say("VmLck +%ld", status_kb("VmLck") - before);
  mprotect(p + 7 * PAGE, PAGE, PROT_NONE);
  ret("mlock with PROT_NONE", mlock(p + 6 * PAGE, 2 * PAGE));
  ret("bad flag", syscall(SYS_mlock2, p, PAGE, 2));
  munmap(p, N * PAGE);
  p = anon(N, PROT_READ | PROT_WRITE, MAP_LOCKED);
  show("MAP_LOCKED", p, N);
  char *q = mremap(p, N * PAGE, 2 * N * PAGE, MREMAP_MAYMOVE);
  show("locked and grown", q, 2 * N);
  munmap(q, 2 * N * PAGE);
  ret("mlockall, future, on fault", mlockall(MCL_FUTURE | MCL_ONFAULT));
  p = anon(N, PROT_READ | PROT_WRITE, 0);
  show("on fault by default", p, N);
  ret("mlockall, future", mlockall(MCL_FUTURE));
  char *r = anon(N, PROT_READ | PROT_WRITE, 0);
  show("at once by default", r, N);
  char *s = sbrk(4 * PAGE);
  show("heap", (char *)(((uintptr_t)s + PAGE - 1) & -PAGE), 3);
  ret("munlockall", munlockall());
  munmap(p, N * PAGE);
  munmap(r, N * PAGE);
  p = anon(N, PROT_READ | PROT_WRITE, 0);
  show("unlocked", p, N);
  munmap(p, N * PAGE);
}

static void sharing(void) {
  char *p = mmap(NULL, N * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  show("shared", p, N);
  p[PAGE] = 1;
  pid_t child = fork();
  if (child == 0) {
    p[2 * PAGE] = 1;
    _exit(0);
  }
  wait_say("child", child);
  show("child has touched", p, N);
  ret("REMOVE", madvise(p + PAGE, PAGE, MADV_REMOVE));
  show("one removed", p, N);
  munmap(p, N * PAGE);
  int fd = memfd_create("m", 0);
  if (ftruncate(fd, N * PAGE) != 0 || pwrite(fd, "x", 1, 3 * PAGE) != 1) return;
  p = mmap(NULL, N * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  p[5 * PAGE] = 1;
  show("private memfd", p, N);
  munmap(p, N * PAGE);
  close(fd);
  int id = shmget(IPC_PRIVATE, N * PAGE, 0600);
  p = shmat(id, NULL, 0);
  shmctl(id, IPC_RMID, NULL);
  p[0] = 1;
  show("segment", p, N);
  shmdt(p);
}

static void totals(void) {
  long rss = status_kb("VmRSS"), data = status_kb("RssAnon"), shm = status_kb("RssShmem");
  char *p = mmap(NULL, 64 * MiB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  madvise(p, 64 * MiB, MADV_NOHUGEPAGE);
  is("untouched memory does not count", status_kb("VmRSS") - rss < 1024);
  memset(p, 1, 16 * MiB);
  long more = status_kb("RssAnon") - data;
  is("touched memory does", more >= 16 * 1024 && more < 17 * 1024);
  long vm = 0, resident = 0, shared = 0;
  FILE *f = fopen("/proc/self/statm", "r");
  int n = fscanf(f, "%ld %ld %ld", &vm, &resident, &shared);
  fclose(f);
  is("statm", n == 3 && resident >= 4096 && resident < vm - 10000 && shared < resident);
  is("VmHWM", status_kb("VmHWM") >= status_kb("VmRSS"));
  munmap(p, 64 * MiB);
  is("unmapped", status_kb("RssAnon") - data < 1024);
  is("VmHWM stays", status_kb("VmHWM") >= 16 * 1024);
  p = mmap(NULL, 4 * MiB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  memset(p, 1, 4 * MiB);
  more = status_kb("RssShmem") - shm;
  is("shared memory", more >= 4096 && more < 4200);
  munmap(p, 4 * MiB);
}

// The stack grows by what is touched, and the mapping with it.
static __attribute__((noinline)) int deep(int levels) {
  volatile char frame[16384];
  memset((char *)frame, levels, sizeof frame);
  if (levels > 0) return deep(levels - 1) + frame[5];
  char line[300], name[40] = "";
  unsigned long start, end;
  int found = 0;
  FILE *f = fopen("/proc/self/maps", "r");
  while (fgets(line, sizeof line, f) != NULL)
    if (sscanf(line, "%lx-%lx %*s %*s %*s %*s %39s", &start, &end, name) == 3 && strcmp(name, "[stack]") == 0)
      found = start <= (uintptr_t)frame && end > (uintptr_t)frame;
  fclose(f);
  is("[stack] has the deepest frame", found);
  return 0;
}

// Of a mapping that nobody could go through page by page: what is asked about it is answered all the same.
static void enormous(void) {
  const size_t all = 1ul << 42, some = 1ul << 31;
  char *p = mmap(NULL, all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  is("4 TiB", p != MAP_FAILED);
  madvise(p, all, MADV_NOHUGEPAGE);
  p[5 * PAGE] = p[some - 1] = 1;
  unsigned char *vec = malloc(some / PAGE);
  ret("mincore of 2 GiB", mincore(p, some, vec));
  long there = 0;
  for (size_t i = 0; i < some / PAGE; i++) there += vec[i];
  say("%ld pages, %d and %d", there, vec[5], vec[some / PAGE - 1]);
  free(vec);
  is("VmRSS", status_kb("VmRSS") < 64 * 1024);
  long size = 0, rss = 0, kb;
  char line[300];
  FILE *f = fopen("/proc/self/smaps", "r");
  while (fgets(line, sizeof line, f) != NULL) {
    if (sscanf(line, "Size: %ld", &kb) == 1) size += kb;
    if (sscanf(line, "Rss: %ld", &kb) == 1) rss += kb;
  }
  fclose(f);
  is("smaps", size > (1L << 32) && rss < 64 * 1024);
  struct sysinfo info;
  ret("sysinfo", sysinfo(&info));
  munmap(p, all);
}

int main(void) {
  pagemap = open("/proc/self/pagemap", O_RDONLY);
  touching();
  populating();
  locking();
  sharing();
  totals();
  enormous();
  deep(60);
  return 0;
}
