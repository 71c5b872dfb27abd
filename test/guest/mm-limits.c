// Limits on memory, growing mappings, /proc/self/maps against what was mapped, many mappings, concurrent changes.
#include "guest.h"
#include <pthread.h>
#include <sys/resource.h>
#include <sys/uio.h>

#define PG 4096UL
static char *map(void *a, size_t len, int prot, int flags) {
  return mmap(a, len, prot, flags | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}
static void limit(int what, rlim_t v) {
  struct rlimit r;
  getrlimit(what, &r);
  r.rlim_cur = v;
  if (setrlimit(what, &r)) say("setrlimit %s", strerrorname_np(errno));
}
static long vmsize(void) {
  long v = 0;
  FILE *f = fopen("/proc/self/statm", "r");
  fscanf(f, "%ld", &v);
  fclose(f);
  return v * PG;
}

static void as(void) {
  limit(RLIMIT_AS, vmsize() + 64 * PG);
  ok("fits", (long)map(0, 32 * PG, PROT_READ, 0));
  ret("too large", (long)map(0, 64 * PG, PROT_READ, 0));
  char *p = map(0, 16 * PG, PROT_READ, 0);
  ret("mremap too large", (long)mremap(p, 16 * PG, 64 * PG, MREMAP_MAYMOVE));
  is("replacing needs none", map(p, 16 * PG, PROT_READ, MAP_FIXED) == p);
  void *b = sbrk(0);
  is("brk refused", syscall(SYS_brk, (char *)b + 64 * PG) == (long)b);
}
static void data(void) {
  limit(RLIMIT_DATA, 1 << 20);
  ret("private writable", (long)map(0, 8 << 20, PROT_READ | PROT_WRITE, 0));
  char *p = map(0, 8 << 20, PROT_READ, 0);
  ok("read-only", (long)p);
  ret("made writable", mprotect(p, 8 << 20, PROT_READ | PROT_WRITE));
  ok("shared", (long)mmap(0, 8 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  void *b = sbrk(0);
  is("brk refused", syscall(SYS_brk, (char *)b + (4 << 20)) == (long)b);
}
// may_expand_vm(): mappings take a soft limit of 0 for the hard one, the break does not.
static void noData(void) {
  limit(RLIMIT_DATA, 0);
  ok("private writable", (long)map(0, 8 << 20, PROT_READ | PROT_WRITE, 0));
  ret("made writable", mprotect(map(0, 8 << 20, PROT_READ, 0), 8 << 20, PROT_READ | PROT_WRITE));
  void *b = sbrk(0);
  is("brk refused", syscall(SYS_brk, (char *)b + PG) == (long)b);
  struct rlimit r = {0, 1 << 20};
  ret("hard", setrlimit(RLIMIT_DATA, &r));
  ret("private writable beyond", (long)map(0, 8 << 20, PROT_READ | PROT_WRITE, 0));
}
static void memlock(void) {
  limit(RLIMIT_MEMLOCK, 16 * PG);
  char *p = map(0, 64 * PG, PROT_READ | PROT_WRITE, 0);
  if (getuid() == 0) setresuid(1000, 1000, 1000);
  ret("some", mlock(p, 8 * PG));
  ret("again", mlock(p, 8 * PG));
  ret("too much", mlock(p, 17 * PG));
  ret("unlock", munlock(p, 64 * PG));
  ret("all", mlockall(MCL_CURRENT));
  ret("future", mlockall(MCL_FUTURE));
  ret("locked mapping", (long)map(0, 64 * PG, PROT_READ, MAP_LOCKED));
  munlockall();
  limit(RLIMIT_MEMLOCK, 0);
  ret("limit 0", mlock(p, PG));
}

static void on_segv(int s) {
  (void)s;
  write(1, "overflow\n", 9);
  _exit(5);
}
static int deep(int n) {
  volatile char b[4000];
  b[0] = n;
  return n == 0 ? 0 : deep(n - 1) + b[0] - (char)n;
}
static void stack_limit(void) {
  static char alt[16384];
  stack_t ss = {.ss_sp = alt, .ss_size = sizeof alt};
  sigaltstack(&ss, 0);
  struct sigaction sa = {.sa_handler = on_segv, .sa_flags = SA_ONSTACK};
  sigaction(SIGSEGV, &sa, 0);
  say("1 MiB %d", deep(256));
  limit(RLIMIT_STACK, 20 << 20);
  say("16 MiB after raising the limit %d", deep(4096));
  deep(100000);
}
static void growsdown(void) {
  char *area = map(0, 4 << 20, PROT_NONE, 0);
  munmap(area, 4 << 20);
  char *top = area + (4 << 20);
  char *p = map(top - 2 * PG, 2 * PG, PROT_READ | PROT_WRITE, MAP_GROWSDOWN | MAP_FIXED);
  is("mapped", p == top - 2 * PG);
  for (int i = 3; i < 100; i++) top[-i * (long)PG] = i;
  is("grown", top[-50 * (long)PG] == 50);
  ret("shared refused", (long)mmap(0, PG, PROT_READ, MAP_SHARED | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0));
}

static char perms[8];
static int entries;
// Counts the entries within [start, end) and notes the permissions of the one at `start`.
static void look(void *start, void *end) {
  FILE *f = fopen("/proc/self/maps", "r");
  char line[4200];
  entries = 0;
  strcpy(perms, "none");
  while (fgets(line, sizeof line, f)) {
    unsigned long a, b;
    char pr[8];
    sscanf(line, "%lx-%lx %7s", &a, &b, pr);
    if (a < (unsigned long)end && b > (unsigned long)start) entries++;
    if (a <= (unsigned long)start && b > (unsigned long)start) strcpy(perms, pr);
  }
  fclose(f);
}
static void maps(void) {
  char *p = map(0, 10 * PG, PROT_NONE, 0);
  map(p, 9 * PG, PROT_READ | PROT_WRITE, MAP_FIXED);
  look(p, p + 9 * PG);
  say("one: %d %s", entries, perms);
  mprotect(p + 3 * PG, PG, PROT_READ);
  look(p, p + 9 * PG);
  say("split: %d", entries);
  look(p + 3 * PG, p + 4 * PG);
  say("middle: %d %s", entries, perms);
  mprotect(p + 3 * PG, PG, PROT_READ | PROT_WRITE);
  look(p, p + 9 * PG);
  say("merged: %d", entries);
  munmap(p + 2 * PG, PG);
  look(p, p + 9 * PG);
  say("hole: %d", entries);
  char *s = mmap(0, PG, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  look(s, s + PG);
  say("shared: %s", perms);
  int here;
  look(&here, &here + 1);
  say("stack: %s", perms);
  look((void *)maps, (char *)maps + 1);
  say("text: %s", perms);
  void *b = malloc(10);
  look(b, b);
  say("heap: %s", perms);
}

static void many(void) {
  int n = 0;
  char *area = map(0, 70000UL * 2 * PG, PROT_NONE, MAP_NORESERVE);
  for (; n < 70000; n++)
    if (mprotect(area + n * 2 * PG, PG, PROT_READ)) break;
  say("refused: %s", strerrorname_np(errno));
  is("after tens of thousands", n > 30000 && n < 33000);
  ret("unmap all", munmap(area, 70000UL * 2 * PG));
}

static char *volatile arena;
static void *churn(void *arg) {
  unsigned seed = (unsigned)(uintptr_t)arg;
  for (int i = 0; i < 2000; i++) {
    size_t len = (1 + rand_r(&seed) % 8) * PG;
    char *p = map(0, len, PROT_READ | PROT_WRITE, 0);
    if (p == MAP_FAILED) return (void *)1;
    p[0] = p[len - 1] = (char)i;
    mprotect(p, PG, PROT_READ);
    if (p[0] != (char)i) return (void *)2;
    mprotect(p, len, PROT_READ | PROT_WRITE);
    if (rand_r(&seed) % 2) p = mremap(p, len, len + PG, MREMAP_MAYMOVE), len += PG;
    if (p == MAP_FAILED || p[0] != (char)i) return (void *)3;
    munmap(p, len);
  }
  return 0;
}
static void threads(void) {
  pthread_t t[4];
  for (int i = 0; i < 4; i++) pthread_create(&t[i], 0, churn, (void *)(uintptr_t)(i + 1));
  for (int i = 0; i < 4; i++) {
    void *r;
    pthread_join(t[i], &r);
    say("thread %ld", (long)r);
  }
}
static void cow(void) {
  size_t len = 32 << 20;
  char *p = map(0, len, PROT_READ | PROT_WRITE, 0);
  memset(p, 1, len);
  void *b = sbrk(64 * PG);
  memset(b, 2, 64 * PG);
  for (int i = 0; i < 4; i++) {
    fflush(stdout);
    pid_t c = fork();
    if (c == 0) {
      memset(p, 3 + i, len / 2);
      memset(b, 9, 64 * PG);
      char *q = sbrk(64 * PG);
      int bad = p[0] != 3 + i || p[len - 1] != 1 || q[5] != 0;
      _exit(bad);
    }
    wait_say("cow child", c);
  }
  is("parent intact", p[0] == 1 && p[len / 2] == 1 && ((char *)b)[5] == 2);
}

// Lengths that wrap: from the start of the first page on they come to nothing.
static void wrapping(void) {
  char *p = map(0, 2 * PG, PROT_READ, 0), *top = (char *)-PG;
  ret("mlock2 of -4096, one byte in", syscall(SYS_mlock2, p + 1, -PG, 0));
  ret("mlock2 of -4096", syscall(SYS_mlock2, p, -PG, 0));
  ret("munlock of -1, one byte in", syscall(SYS_munlock, p + 1, -1L));
  ret("munlock of -1", syscall(SYS_munlock, p, -1L));
  ret("munlock of -1, two bytes in", syscall(SYS_munlock, p + 2, -1L));
  ret("mprotect over the top", syscall(SYS_mprotect, top, 2 * PG, PROT_GROWSDOWN | 0x100));
  ret("mprotect up to the top", syscall(SYS_mprotect, top, PG, 0x100));
  ret("mprotect below the top", syscall(SYS_mprotect, top - PG, PG, 0x100));
  ret("mprotect of an odd address there", syscall(SYS_mprotect, top + 1, PG, 0));
  ret("mlock over the top", syscall(SYS_mlock, -1L, 16 * PG));
  ret("mlock at the top", syscall(SYS_mlock, top - PG, PG));
  ret("nothing there", syscall(SYS_mprotect, top, 0, 0));
}

int main(void) {
  in_child("address space", as);
  in_child("data", data);
  in_child("no data", noData);
  in_child("memlock", memlock);
  in_child("wrapping", wrapping);
  in_child("stack", stack_limit);
  in_child("growsdown", growsdown);
  in_child("maps", maps);
  in_child("many", many);
  in_child("threads", threads);
  in_child("cow", cow);
  return 0;
}
