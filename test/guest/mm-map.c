// mmap, munmap, mprotect, mremap, brk, madvise, mincore, msync: results and contents.
#include "guest.h"
#include <sys/personality.h>
#include <setjmp.h>
#include <sys/syscall.h>

#define PG 4096L
static sigjmp_buf jb;
static volatile int fault_sig, fault_code;
static void on_fault(int sig, siginfo_t *si, void *uc) {
  (void)uc;
  fault_sig = sig;
  fault_code = si->si_code;
  siglongjmp(jb, 1);
}
// "fault 11/1" or "reads 65".
static void touch(const char *name, volatile char *p, int write) {
  if (sigsetjmp(jb, 1) == 0) {
    if (write) *p = 66;
    say("%s: %s %d", name, write ? "writes" : "reads", *p);
  } else say("%s: fault %d/%d", name, fault_sig, fault_code);
}
static char *map(void *addr, size_t len, int prot, int flags) {
  return mmap(addr, len, prot, flags | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void basics(void) {
  char *p = map(0, 4 * PG, PROT_READ | PROT_WRITE, 0);
  is("anonymous", p != MAP_FAILED);
  memset(p, 65, 4 * PG);
  touch("middle", p + 2 * PG, 0);
  ret("mprotect none", mprotect(p + PG, PG, PROT_NONE));
  touch("none", p + PG, 0);
  ret("mprotect read", mprotect(p + PG, PG, PROT_READ));
  touch("read-only read", p + PG, 0);
  touch("read-only write", p + PG, 1);
  ret("munmap middle", munmap(p + 2 * PG, PG));
  touch("unmapped", p + 2 * PG, 0);
  touch("after hole", p + 3 * PG, 1);
  ret("mprotect over hole", mprotect(p, 4 * PG, PROT_READ | PROT_WRITE));
  touch("before hole writable", p + PG, 1);
  ret("munmap all", munmap(p, 4 * PG));
  ret("munmap again", munmap(p, 4 * PG));
  ret("munmap unaligned", munmap(p + 1, PG));
  ret("munmap zero", munmap(p, 0));
  ret("mmap zero", (long)map(0, 0, PROT_READ, 0));
  ret("mmap huge", (long)map(0, 1UL << 47, PROT_READ, 0));
  ret("mmap fixed unaligned", (long)map((void *)0x20000001, PG, PROT_READ, MAP_FIXED));
  ret("mmap no type", (long)mmap(0, PG, PROT_READ, MAP_ANONYMOUS, -1, 0));
  ret("mmap bad fd", (long)mmap(0, PG, PROT_READ, MAP_PRIVATE, 99, 0));
  ret("mmap unaligned offset", (long)mmap(0, PG, PROT_READ, MAP_PRIVATE, 0, 100));
  ret("mmap hugetlb", (long)map(0, 2 << 20, PROT_READ, MAP_HUGETLB));
  ret("mprotect bad bits", mprotect((void *)0x1000, PG, 0x100));
  ret("mprotect unmapped", mprotect((void *)0x10000, PG, PROT_READ));
}

static void placement(void) {
  char *p = map((void *)0x200000000000, 2 * PG, PROT_READ | PROT_WRITE, 0);
  is("hint honoured", p == (char *)0x200000000000);
  ret("noreplace over it", (long)map(p, PG, PROT_READ, MAP_FIXED_NOREPLACE));
  is("hint taken", map(p, PG, PROT_READ, 0) != p);
  p[0] = 7;
  is("fixed replaces", map(p, PG, PROT_READ, MAP_FIXED) == p && p[0] == 0);
  char *low = map(0, PG, PROT_READ, MAP_32BIT);
  is("MAP_32BIT below 2 GiB", (uintptr_t)low < 0x80000000);
  char *stack = map(0, 16 * PG, PROT_READ | PROT_WRITE, MAP_STACK | MAP_NORESERVE | MAP_POPULATE);
  is("stack flags", stack != MAP_FAILED);
}

static void remap(void) {
  char *p = map(0, 8 * PG, PROT_READ | PROT_WRITE, 0);
  memset(p, 1, 8 * PG);
  is("shrink", mremap(p, 8 * PG, 4 * PG, 0) == p);
  touch("shrunk away", p + 4 * PG, 0);
  is("grow in place", mremap(p, 4 * PG, 8 * PG, 0) == p);
  is("grown is zero", p[5 * PG] == 0 && p[3 * PG] == 1);
  map(p + 8 * PG, PG, PROT_READ, MAP_FIXED);
  ret("cannot grow", (long)mremap(p, 8 * PG, 9 * PG, 0));
  char *q = mremap(p, 8 * PG, 64 * PG, MREMAP_MAYMOVE);
  is("moved", q != MAP_FAILED && q != p && q[0] == 1 && q[63 * PG] == 0);
  touch("old place", p, 0);
  char *r = mremap(q, 64 * PG, 64 * PG, MREMAP_MAYMOVE | MREMAP_FIXED, 0x210000000000);
  is("fixed move", r == (char *)0x210000000000 && r[1] == 1);
  ret("fixed without maymove", (long)mremap(r, PG, PG, MREMAP_FIXED, 0x220000000000));
  ret("overlap", (long)mremap(r, 4 * PG, 4 * PG, MREMAP_MAYMOVE | MREMAP_FIXED, r + PG));
  ret("unaligned", (long)mremap(r + 1, PG, PG, 0));
  ret("new size 0", (long)mremap(r, PG, 0, 0));
  ret("unmapped", (long)mremap((void *)0x230000000000, PG, 2 * PG, MREMAP_MAYMOVE));
  ret("private old size 0", (long)mremap(r, 0, PG, MREMAP_MAYMOVE));
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
  char *d = mremap(r, 4 * PG, 4 * PG, MREMAP_MAYMOVE | MREMAP_DONTUNMAP);
  is("dontunmap", d != MAP_FAILED && d[0] == 1 && r[0] == 0);
  char *s = mmap(0, 2 * PG, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  char *s2 = mremap(s, 0, 2 * PG, MREMAP_MAYMOVE);
  if (s2 != MAP_FAILED) {
    s[5] = 9;
    is("shared duplicate", s2[5] == 9);
  } else say("shared duplicate failed");
}

static void heap(void) {
  char *b = sbrk(0);
  is("sbrk", sbrk(5 * PG) == b);
  memset(b, 3, 5 * PG);
  is("shrink", sbrk(-4 * PG) != (void *)-1);
  touch("beyond break may fault or not: first page", b, 0);
  is("grow again", sbrk(4 * PG) != (void *)-1);
  is("regrown is zero", b[3 * PG] == 0);
  is("raw brk(0)", syscall(SYS_brk, 0) == (long)sbrk(0));
  is("brk below start fails", syscall(SYS_brk, 1) == (long)sbrk(0));
  for (int i = 0; i < 300; i++)
    if (sbrk(PG) == (void *)-1) say("sbrk failed at %d", i);
  is("300 pages", 1);
  sbrk(-300 * PG);
  sbrk(2 * PG);
  char *end = (char *)(((uintptr_t)sbrk(0) + PG - 1) / PG * PG);
  touch("above the break", end, 0), touch("write above the break", end, 1), touch("a page further", end + PG, 0);
  ret("a call's string there", access(end, F_OK));
  ret("across the break", write(2, end - 1, 2) < 2 ? 0 : -1);
  ret("a struct there", nanosleep((void *)end, NULL));
  if (fork() == 0) touch("above the break in a child", end, 0), _exit(0);
  wait(NULL);
}

static void advice(void) {
  char *p = map(0, 4 * PG, PROT_READ | PROT_WRITE, 0);
  memset(p, 5, 4 * PG);
  ret("dontneed", madvise(p, 2 * PG, MADV_DONTNEED));
  is("dontneed zeroes", p[0] == 0 && p[2 * PG] == 5);
  ret("unaligned", madvise(p + 1, PG, MADV_DONTNEED));
  ret("unknown", madvise(p, PG, 999));
  ret("len 0", madvise(p, 0, MADV_DONTNEED));
  ret("willneed", madvise(p, PG, MADV_WILLNEED));
  ret("remove private", madvise(p, PG, MADV_REMOVE));
  munmap(p + PG, PG);
  ret("hole", madvise(p, 4 * PG, MADV_DONTNEED));
  char *s = mmap(0, 2 * PG, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  s[0] = s[PG] = 1;
  ret("dontneed shared", madvise(s, PG, MADV_DONTNEED));
  is("shared keeps", s[0] == 1);
  ret("remove shared", madvise(s, PG, MADV_REMOVE));
  is("removed", s[0] == 0 && s[PG] == 1);
  ret("free shared", madvise(s, PG, MADV_FREE));
  char *w = map(0, 2 * PG, PROT_READ | PROT_WRITE, 0);
  char *n = map(0, 2 * PG, PROT_READ | PROT_WRITE, 0);
  w[0] = n[0] = 4;
  ret("wipeonfork", madvise(w, PG, MADV_WIPEONFORK));
  ret("wipeonfork shared", madvise(s, PG, MADV_WIPEONFORK));
  ret("dontfork", madvise(n, PG, MADV_DONTFORK));
  pid_t c = fork();
  if (c == 0) {
    is("child: wiped", w[0] == 0);
    touch("child: not forked", n, 0);
    is("child: rest forked", n[PG] == 0);
    _exit(0);
  }
  wait_say("child", c);
  is("parent keeps", w[0] == 4 && n[0] == 4);
}

static void shared(void) {
  int *s = mmap(0, PG, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  int *p = (int *)map(0, PG, PROT_READ | PROT_WRITE, 0);
  pid_t c = fork();
  if (c == 0) {
    *s = 42;
    *p = 42;
    _exit(0);
  }
  wait_say("child", c);
  say("shared %d private %d", *s, *p);
}

static void files(void) {
  char name[] = "/tmp/mmXXXXXX";
  int fd = mkstemp(name);
  unlink(name);
  ret("write", write(fd, "hello world", 11));
  char *p = mmap(0, PG, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  char *s = mmap(0, PG, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  is("mapped", p != MAP_FAILED && s != MAP_FAILED);
  say("%.11s %.11s %d", p, s, s[11]);
  p[0] = 'J';
  s[6] = 'W';
  char b[12] = {0};
  pread(fd, b, 11, 0);
  say("file: %s", b);
  ret("msync", msync(s, PG, MS_SYNC));
  ret("msync both", msync(s, PG, MS_SYNC | MS_ASYNC));
  ret("msync unaligned", msync(s + 1, PG, MS_SYNC));
  ret("msync unmapped", msync((void *)0x10000, PG, MS_SYNC));
  char *beyond = mmap(0, 3 * PG, PROT_READ, MAP_SHARED, fd, 0);
  touch("beyond the end", beyond + 2 * PG, 0);
  int ro = open("/proc/self/exe", O_RDONLY);
  ret("shared write of read-only fd", (long)mmap(0, PG, PROT_WRITE, MAP_SHARED, ro, 0));
  char *x = mmap(0, PG, PROT_READ, MAP_SHARED, ro, 0);
  ret("mprotect it writable", mprotect(x, PG, PROT_READ | PROT_WRITE));
  say("%d", x[1] == 'E');
  int wr = open("/dev/null", O_WRONLY);
  ret("map write-only", (long)mmap(0, PG, PROT_READ, MAP_PRIVATE, wr, 0));
  int pipefd[2];
  pipe(pipefd);
  ret("map pipe", (long)mmap(0, PG, PROT_READ, MAP_PRIVATE, pipefd[0], 0));
  int zero = open("/dev/zero", O_RDWR);
  char *z = mmap(0, PG, PROT_READ | PROT_WRITE, MAP_PRIVATE, zero, 0);
  is("/dev/zero", z != MAP_FAILED && z[0] == 0 && (z[0] = 1));
}

// A file mapped as a whole and in parts over it, as the dynamic linker does; then parts over parts that were changed.
static void parts(void) {
  char name[] = "/tmp/mmXXXXXX";
  int fd = mkstemp(name);
  char page[PG];
  for (int i = 0; i < 6; i++) {
    memset(page, 'a' + i, PG);
    if (write(fd, page, PG) != PG) _exit(1);
  }
  int ro = open(name, O_RDONLY);
  unlink(name);
  char *p = mmap(0, 6 * PG, PROT_READ, MAP_PRIVATE, ro, 0);
  is("part executable", mmap(p + PG, PG, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, ro, PG) == p + PG);
  is("part writable", mmap(p + 3 * PG, 2 * PG, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, ro, 3 * PG) == p + 3 * PG);
  is("part moved", mmap(p + 5 * PG, PG, PROT_READ, MAP_PRIVATE | MAP_FIXED, ro, 0) == p + 5 * PG);
  say("contents %c%c%c%c%c%c", p[0], p[PG], p[2 * PG], p[3 * PG], p[4 * PG], p[5 * PG]);
  touch("executable part", p + PG, 1);
  touch("writable part", p + 3 * PG, 1);
  touch("moved part", p + 5 * PG, 1);
  is("over written", mmap(p + 3 * PG, PG, PROT_READ, MAP_PRIVATE | MAP_FIXED, ro, 3 * PG) == p + 3 * PG);
  say("written is gone %c", p[3 * PG]);
  touch("read-only again", p + 3 * PG, 1);
  ret("mprotect", mprotect(p, PG, PROT_READ | PROT_WRITE));
  touch("written after mprotect", p, 1);
  ret("mprotect back", mprotect(p, PG, PROT_READ));
  is("over what was writable", mmap(p, PG, PROT_READ, MAP_PRIVATE | MAP_FIXED, ro, 0) == p);
  say("written is gone %c", p[0]);
  is("shared over private", mmap(p + 2 * PG, PG, PROT_READ, MAP_SHARED | MAP_FIXED, ro, 2 * PG) == p + 2 * PG);
  is("none over private", mmap(p + PG, PG, PROT_NONE, MAP_PRIVATE | MAP_FIXED, ro, PG) == p + PG);
  touch("none", p + PG, 0);
  memset(page, 'z', PG);
  if (pwrite(fd, page, PG, 2 * PG) != PG) _exit(1);
  say("change seen %c", p[2 * PG]);
  close(fd);
  close(ro);
  munmap(p, 6 * PG);
}

static void others(void) {
  unsigned char vec[4];
  char *p = map(0, 4 * PG, PROT_READ | PROT_WRITE, 0);
  memset(p, 1, 4 * PG);
  ret("mincore", mincore(p, 4 * PG, vec));
  say("%d%d%d%d", vec[0] & 1, vec[1] & 1, vec[2] & 1, vec[3] & 1);
  ret("mincore unaligned", mincore(p + 1, PG, vec));
  ret("mincore bad vec", mincore(p, PG, BAD_PTR));
  munmap(p + PG, PG);
  ret("mincore hole", mincore(p, 4 * PG, vec));
  ret("mlock", mlock(p, PG));
  ret("munlock", munlock(p, PG));
  ret("mlock hole", mlock(p, 4 * PG));
  ret("mlock2 bad flags", syscall(SYS_mlock2, p, PG, 8));
  ret("mlockall 0", mlockall(0));
  ret("munlockall", munlockall());
  ret("pkey_free", syscall(SYS_pkey_free, 15));
  ret("pkey_alloc flags", syscall(SYS_pkey_alloc, 1, 0));
}

static int deep(int n) {
  volatile char b[16384];
  b[0] = n;
  b[16383] = n;
  return n == 0 ? 0 : deep(n - 1) + b[0] - n + 1;
}
// In a frame of its own: deep() needs most of the stack.
static void __attribute__((noinline)) read_below(void) {
  char big[3 << 20];
  int fd = open("/dev/zero", O_RDONLY);
  ret("read into untouched stack", read(fd, big, 100000));
}
static void stack(void) {
  read_below();
  say("deep %d", deep(400));
  pid_t c = fork();
  if (c == 0) {
    signal(SIGSEGV, SIG_DFL);
    deep(1 << 20);
    _exit(0);
  }
  wait_say("overflow", c);
}

// What the kernel has mapped, too: valgrind unmaps the vDSO. A kernel may have sealed it.
static void kernels_own(void) {
  pid_t c = fork();
  if (c == 0) {
    char line[512];
    unsigned long from = 0, to = 0, start, end;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (fgets(line, sizeof line, maps))
      if (strstr(line, "[vdso]") && sscanf(line, "%lx-%lx", &start, &end) == 2) from = start, to = end;
    fclose(maps);
    // A part of it is refused, for one reason or the other.
    long part = to - from > PG ? syscall(SYS_munmap, from, PG) : -1;
    is("part of the vDSO", part == -1 && (to - from <= PG || errno == EINVAL || errno == EPERM));
    part = to - from > PG ? syscall(SYS_mprotect, from, PG, PROT_READ) : -1;
    is("protection of a part", part == -1 && (to - from <= PG || errno == EINVAL || errno == EPERM));
    long r = syscall(SYS_munmap, from, to - from);
    is("vDSO unmapped", from != 0 && (r == 0 || errno == EPERM));
    char *p = mmap(0, 4 * PG, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    p[PG] = 66;
    ret("munmap", munmap(p + 2 * PG, PG));
    touch("memory", p + PG, 1);
    struct timespec ts;
    ret("time", syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &ts));
    _exit(0);
  }
  wait_say("without vDSO", c);
}

// personality(2): what can be read can be run.
static void personalities(void) {
  pid_t c = fork();
  if (c == 0) {
    personality(READ_IMPLIES_EXEC);
    unsigned char code[] = {0xb8, 42, 0, 0, 0, 0xc3};
    char *p = mmap(0, PG, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(p, code, sizeof code);
    ret("run what was mapped", ((int (*)(void))p)());
    char *q = mmap(0, PG, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(q, PG, PROT_READ | PROT_WRITE);
    memcpy(q, code, sizeof code);
    ret("run what was made readable", ((int (*)(void))q)());
    _exit(0);
  }
  wait_say("personality", c);
}

int main(void) {
  static char alt[65536];
  stack_t ss = {.ss_sp = alt, .ss_size = sizeof alt};
  sigaltstack(&ss, 0);
  struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
  sigaction(SIGSEGV, &sa, 0);
  sigaction(SIGBUS, &sa, 0);
  say("# basics"), basics();
  say("# placement"), placement();
  say("# remap"), remap();
  say("# heap"), heap();
  say("# advice"), advice();
  say("# shared"), shared();
  say("# files"), files();
  say("# parts"), parts();
  say("# others"), others();
  say("# stack"), stack();
  say("# personality"), personalities();
  say("# the kernel's own"), kernels_own();
  return 0;
}
