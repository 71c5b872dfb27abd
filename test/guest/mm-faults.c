// Faults beyond the end of files, what private copies survive, and what mremap, madvise and locks make of each kind of mapping.
#include "guest.h"
#include <setjmp.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#define PAGE 4096L
#define RW (PROT_READ | PROT_WRITE)

static sigjmp_buf back;
static volatile int sig, code;
static volatile void *where;

static void caught(int s, siginfo_t *i, void *u) {
  sig = s;
  code = i->si_code;
  where = i->si_addr;
  siglongjmp(back, 1);
}

// What touching `p` does: 0, or the signal.
static void touch(const char *name, volatile char *p, int write) {
  sig = 0;
  if (sigsetjmp(back, 1) == 0) {
    if (write) *p = 1;
    else (void)*p;
  }
  if (sig == 0) say("%s: fine, %d", name, *p);
  else say("%s: signal %d code %d address %s", name, sig, code, where == p ? "right" : "wrong");
}

static int file(int pages) {
  int fd = memfd_create("f", 0);
  static char page[PAGE];
  for (int i = 0; i < pages; i++) {
    memset(page, 'a' + i, PAGE);
    if (write(fd, page, PAGE) != PAGE) return -1;
  }
  return fd;
}

static void ends(int how, const char *name) {
  say("# end of file, %s", name);
  int fd = file(3);
  char *p = mmap(NULL, 5 * PAGE, RW, how, fd, 0);
  touch("in", p + 2 * PAGE, 0);
  touch("past", p + 3 * PAGE, 0);
  touch("past, written", p + 3 * PAGE, 1);
  p[PAGE] = 'P';
  ret("shrink", ftruncate(fd, PAGE + 10));
  touch("last page", p + PAGE, 0);
  touch("rest of it", p + PAGE + 20, 0);
  touch("cut off", p + 2 * PAGE, 0);
  ret("grow", ftruncate(fd, 3 * PAGE));
  touch("back", p + 2 * PAGE, 0);
  touch("rest of the page", p + PAGE + 20, 0);
  p[2 * PAGE + 5] = 'x';
  char c = 0;
  pread(fd, &c, 1, 2 * PAGE + 5);
  say("file has %d", c);
  ret("shrink to nothing", ftruncate(fd, 0));
  touch("nothing", p, 0);
  ret("written from", write(1, p, 1));
  int q[2];
  pipe(q);
  ret("pipe", write(q[1], p, 10));
  ret("stat into", fstat(fd, (struct stat *)p));
  ret("path in", open(p, O_RDONLY));
  ret("futex in", syscall(SYS_futex, p, 0, 0, NULL, NULL, 0));
  ret("read into", read(open("/dev/zero", O_RDONLY), p, 10));
  ret("grow", ftruncate(fd, PAGE));
  touch("zeros", p, 0);
  ret("punch", fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE));
  touch("hole", p + 5, 0);
  pid_t child = fork();
  if (child == 0) {
    signal(SIGBUS, SIG_DFL);
    ((volatile char *)p)[2 * PAGE] = 1;
    _exit(0);
  }
  wait_say("child", child);
  child = fork();
  if (child == 0) {
    p[0] = 'c';
    _exit(0);
  }
  wait_say("child", child);
  say("parent sees %d", p[0]);
  ret("msync", msync(p, 5 * PAGE, MS_SYNC));
  ret("mincore", mincore(p, PAGE, (unsigned char *)p + 100));
  ret("mlock", mlock(p, 5 * PAGE));
  ret("munlock", munlock(p, 5 * PAGE));
  ret("populate read", madvise(p, 5 * PAGE, 22));
  ret("populate write", madvise(p, 5 * PAGE, 23));
  munmap(p, 5 * PAGE);
  close(fd);
}

static void protections(void) {
  say("# protections");
  char *p = mmap(NULL, 3 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  touch("none", p, 0);
  mprotect(p, PAGE, PROT_READ);
  touch("read", p, 0);
  touch("write", p, 1);
  mprotect(p, PAGE, PROT_WRITE);
  touch("write only", p, 1);
  touch("write only, read", p, 0);
  mprotect(p, PAGE, PROT_EXEC | PROT_READ);
  touch("exec, write", p, 1);
  munmap(p + PAGE, PAGE);
  touch("unmapped", p + PAGE, 0);
  touch("kernel", (char *)0xffffffff80000000UL, 0);
  touch("hole", (char *)0x800000000000UL - 1, 0);
  touch("null", NULL, 0);
  ret("mprotect over a hole", mprotect(p, 3 * PAGE, PROT_READ));
  touch("first part changed", p, 1);
  ret("mprotect grows down", mprotect(p, PAGE, PROT_READ | PROT_GROWSDOWN));
  ret("mprotect both", mprotect(p, PAGE, PROT_READ | PROT_GROWSDOWN | PROT_GROWSUP));
  ret("mprotect grows up", mprotect(p, PAGE, PROT_READ | PROT_GROWSUP));
  ret("mprotect unaligned", mprotect(p + 1, PAGE, PROT_READ));
  ret("mprotect odd bits", mprotect(p, PAGE, 0x40));
  ret("mprotect SEM", mprotect(p, PAGE, PROT_READ | 8));
  ret("mprotect nothing", mprotect(p + PAGE, 0, PROT_READ));
  ret("mprotect wraps", mprotect(p, -PAGE, PROT_READ));
  ret("pkey_mprotect, no key", syscall(SYS_pkey_mprotect, p, PAGE, PROT_READ, -1));
  int fd = open("/proc/self/exe", O_RDONLY);
  char *q = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
  ret("shared, file only read", mprotect(q, PAGE, RW));
  ok("private, file only read", (long)mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, 0));
  ok("shared write", (long)mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0));
  close(fd);
  fd = open("wo", O_CREAT | O_WRONLY, 0600);
  ok("write only file", (long)mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, fd, 0));
  ok("write only file, private", (long)mmap(NULL, PAGE, PROT_WRITE, MAP_PRIVATE, fd, 0));
  close(fd);
}

static void fixed(void) {
  say("# fixed");
  char *p = mmap(NULL, 4 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ok("no replace", (long)mmap(p, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
  ok("partly", (long)mmap(p + 3 * PAGE, 2 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
  munmap(p + PAGE, 2 * PAGE);
  is("in a hole", mmap(p + PAGE, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == p + PAGE);
  ok("unaligned", (long)mmap(p + 1, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
  ok("unaligned fixed", (long)mmap(p + 1, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
  ok("high", (long)mmap((void *)0x7ffffffff000UL, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
  ok("beyond", (long)mmap((void *)0x800000000000UL, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
  ok("nothing", (long)mmap(NULL, 0, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ok("wraps", (long)mmap(NULL, -PAGE + 1, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ok("huge", (long)mmap(NULL, 1UL << 47, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ok("no sharing", (long)mmap(NULL, PAGE, RW, MAP_ANONYMOUS, -1, 0));
  ok("shared validate, odd", (long)mmap(NULL, PAGE, RW, MAP_SHARED_VALIDATE | MAP_ANONYMOUS, -1, 0));
  int fd = file(1);
  ok("shared validate", (long)mmap(NULL, PAGE, RW, MAP_SHARED_VALIDATE, fd, 0));
  ok("shared validate sync", (long)mmap(NULL, PAGE, RW, MAP_SHARED_VALIDATE | MAP_SYNC, fd, 0));
  ok("shared sync", (long)mmap(NULL, PAGE, RW, MAP_SHARED | MAP_SYNC, fd, 0));
  ok("shared validate unknown", (long)mmap(NULL, PAGE, RW, MAP_SHARED_VALIDATE | 0x8000000, fd, 0));
  ok("unaligned offset", syscall(SYS_mmap, NULL, PAGE, RW, MAP_PRIVATE, fd, 100));
  ok("offset wraps", syscall(SYS_mmap, NULL, 4 * PAGE, RW, MAP_PRIVATE, fd, -2 * PAGE));
  ok("huge offset", syscall(SYS_mmap, NULL, PAGE, RW, MAP_PRIVATE, fd, 1L << 50));
  ok("bad descriptor", (long)mmap(NULL, PAGE, RW, MAP_PRIVATE, 999, 0));
  int q[2];
  pipe(q);
  ok("pipe", (long)mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, q[0], 0));
  ok("directory", (long)mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, open(".", O_RDONLY), 0));
  ok("path only", (long)mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, open(".", O_PATH), 0));
  ok("grows down, shared", (long)mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0));
  ok("grows down, file", (long)mmap(NULL, PAGE, RW, MAP_PRIVATE | MAP_GROWSDOWN, fd, 0));
  ok("huge pages", (long)mmap(NULL, 2 << 20, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | (50 << 26), -1, 0));
  ret("munmap nothing", munmap(p, 0));
  ret("munmap unaligned", munmap(p + 1, PAGE));
  ret("munmap hole", munmap(p + 2 * PAGE, PAGE));
  ret("munmap wraps", munmap(p, -PAGE));
  ret("munmap of it all", munmap(p, 1L << 46) == -1 ? 0 : 1);
  ret("remap_file_pages", syscall(SYS_remap_file_pages, p, PAGE, 0, 0, 0));
  close(fd);
}

static void grows(void) {
  say("# growing down");
  char *room = mmap(NULL, 600 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap(room, 600 * PAGE);
  char *p = mmap(room + 500 * PAGE, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED, -1, 0);
  touch("page below", p - 10, 1);
  touch("three below", p - 3 * PAGE, 1);
  touch("far below", p - 100 * PAGE, 1);
  char *q = mmap(p - 300 * PAGE, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  touch("in the gap", q + 100 * PAGE, 1);
  touch("above the gap", q + 258 * PAGE, 0);
  touch("neighbour", q, 1);
  ret("mprotect from the start", mprotect(p - PAGE, PAGE, PROT_READ | PROT_GROWSDOWN));
  touch("read only", p - 50 * PAGE, 1);
  ret("unmap", munmap(room, 600 * PAGE));
}

static void remaps(void) {
  say("# mremap");
  int fd = file(4);
  char *s = mmap(NULL, 2 * PAGE, RW, MAP_SHARED, fd, 0);
  char *v = mmap(NULL, 2 * PAGE, RW, MAP_PRIVATE, fd, 0);
  char *a = mmap(NULL, 4 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  char *sa = mmap(NULL, 2 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  a[0] = 'A';
  v[0] = 'V';
  sa[0] = 'S';
  char *t = mremap(s, 0, PAGE, MREMAP_MAYMOVE);
  is("copy of a shared one", t != MAP_FAILED && t[0] == 'a');
  t = mremap(sa, 0, PAGE, MREMAP_MAYMOVE);
  is("copy of shared memory", t != MAP_FAILED && t[0] == 'S' && (t[0] = 'T', sa[0] == 'T'));
  ok("copy of a private one", (long)mremap(a, 0, PAGE, MREMAP_MAYMOVE));
  ok("copy of a private file", (long)mremap(v, 0, PAGE, MREMAP_MAYMOVE));
  s = mremap(s, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE);
  is("grown file", s != MAP_FAILED && s[3 * PAGE] == 'd');
  v = mremap(v, 2 * PAGE, 6 * PAGE, MREMAP_MAYMOVE);
  is("grown private file", v != MAP_FAILED && v[0] == 'V' && v[3 * PAGE] == 'd');
  touch("past its end", v + 4 * PAGE, 0);
  sa = mremap(sa, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE);
  touch("shared memory grown", sa + 3 * PAGE, 0);
  char *d = mremap(a, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP);
  is("left behind", d != MAP_FAILED && d[0] == 'A' && a[0] == 0);
  char *ds = mremap(s, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP);
  is("shared left behind", ds != MAP_FAILED && ds[0] == 'a' && s[0] == 'a');
  ds = mremap(v, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP);
  is("private file left behind", ds != MAP_FAILED && ds[0] == 'V' && v[0] == 'a');
  ok("other length", (long)mremap(a, PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP));
  ok("without may move", (long)mremap(a, PAGE, PAGE, MREMAP_DONTUNMAP));
  ok("fixed without", (long)mremap(a, PAGE, PAGE, MREMAP_FIXED, d));
  ok("overlap", (long)mremap(d, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, d + PAGE));
  ok("unaligned", (long)mremap(d + 1, PAGE, PAGE, 0));
  ok("new unaligned", (long)mremap(d, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, a + 1));
  ok("to nothing", (long)mremap(d, PAGE, 0, 0));
  ok("bad flags", (long)mremap(d, PAGE, PAGE, 8));
  ok("not mapped", (long)mremap((void *)0x10000000000, PAGE, 2 * PAGE, MREMAP_MAYMOVE));
  munmap(d + 2 * PAGE, PAGE);
  ok("over a hole", (long)mremap(d, 4 * PAGE, 8 * PAGE, MREMAP_MAYMOVE));
  ok("shrink over a hole", (long)mremap(d, 4 * PAGE, PAGE, 0));
  mprotect(a + PAGE, PAGE, PROT_READ);
  ok("over two mappings", (long)mremap(a, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE));
  close(fd);
}

static void advices(void) {
  say("# advice");
  static const int advice[] = {0, 1, 2, 3, 4, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 102, 103, 5, 104, -1};
  int fd = file(4), ro = open("/proc/self/exe", O_RDONLY);
  struct { const char *name; char *p; } m[] = {
      {"anonymous", mmap(NULL, 4 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)},
      {"shared memory", mmap(NULL, 4 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0)},
      {"shared file", mmap(NULL, 4 * PAGE, RW, MAP_SHARED, fd, 0)},
      {"private file", mmap(NULL, 4 * PAGE, RW, MAP_PRIVATE, fd, 0)},
      {"read-only file", mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, ro, 0)},
      {"no access", mmap(NULL, 4 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)},
      {"read-only", mmap(NULL, 4 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)},
      {"locked", mmap(NULL, 4 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0)},
      {"grows down", mmap(NULL, 4 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0)},
  };
  for (unsigned k = 0; k < sizeof m / sizeof *m; k++)
    for (unsigned i = 0; i < sizeof advice / sizeof *advice; i++) {
      long r = madvise(m[k].p, PAGE, advice[i]);
      say("%s, advice %d: %s", m[k].name, advice[i], r < 0 ? strerrorname_np(errno) : "0");
    }
  char *p = m[0].p + PAGE;
  p[0] = 'x';
  ret("dontneed", madvise(p, PAGE, MADV_DONTNEED));
  say("%d", p[0]);
  char *f = m[3].p + PAGE;
  f[0] = 'x';
  ret("dontneed of a private file", madvise(f, PAGE, MADV_DONTNEED));
  say("%c", f[0]);
  char *s = m[1].p + PAGE;
  s[0] = 'x';
  ret("dontneed of shared memory", madvise(s, PAGE, MADV_DONTNEED));
  say("%c", s[0]);
  ret("remove", madvise(s, PAGE, MADV_REMOVE));
  say("%d", s[0]);
  ret("over a hole", (munmap(p + PAGE, PAGE), madvise(p, 3 * PAGE, MADV_DONTNEED)));
  ret("unaligned", madvise(p + 1, PAGE, MADV_DONTNEED));
  ret("nothing", madvise(p, 0, MADV_DONTNEED));
  ret("nothing, unknown", madvise(p, 0, 77));
  ret("wraps", madvise(p, -1, MADV_DONTNEED));
  char *w = mmap(NULL, 2 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  w[0] = w[PAGE] = 'w';
  madvise(w, PAGE, MADV_WIPEONFORK);
  madvise(w + PAGE, PAGE, MADV_DONTFORK);
  pid_t child = fork();
  if (child == 0) {
    touch("wiped", w, 0);
    touch("not there", w + PAGE, 0);
    ret("not there", madvise(w + PAGE, PAGE, MADV_DOFORK));
    _exit(0);
  }
  wait_say("child", child);
  close(fd);
  close(ro);
}

static void locks(void) {
  say("# locks");
  char *p = mmap(NULL, 8 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ret("mlock2 flags", syscall(SYS_mlock2, p, PAGE, 2));
  ret("mlock2 on fault", syscall(SYS_mlock2, p, PAGE, 1));
  ret("mlockall 0", mlockall(0));
  ret("mlockall odd", mlockall(8));
  ret("mlockall on fault", mlockall(4));
  ret("munlock", munlock(p, 8 * PAGE));
  struct rlimit r = {4 * PAGE, 4 * PAGE};
  pid_t child = fork();
  if (child == 0) {
    setrlimit(RLIMIT_MEMLOCK, &r);
    if (setresuid(1000, 1000, 1000) < 0) _exit(1);
    ret("too much", mlock(p, 5 * PAGE));
    ret("enough", mlock(p, 4 * PAGE));
    ret("again", mlock(p, 4 * PAGE));
    ret("more", mlock(p + 4 * PAGE, PAGE));
    ok("mapping locked", (long)mmap(NULL, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0));
    ret("all", mlockall(MCL_CURRENT));
    ret("future", mlockall(MCL_FUTURE));
    ok("then mapping", (long)mmap(NULL, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    ok("then brk", (long)sbrk(PAGE * 100));
    ret("none", munlockall());
    ok("mremap of locked", (mlock(p, 4 * PAGE), (long)mremap(p, 4 * PAGE, 5 * PAGE, MREMAP_MAYMOVE)));
    r.rlim_cur = 0;
    setrlimit(RLIMIT_MEMLOCK, &r);
    ret("limit 0", mlock(p, PAGE));
    ret("limit 0, unlock", munlock(p, PAGE));
    ret("limit 0, all", mlockall(MCL_CURRENT));
    ok("limit 0, mapping locked", (long)mmap(NULL, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0));
    _exit(0);
  }
  wait_say("child", child);
  ret("msync flags", msync(p, PAGE, MS_SYNC | MS_ASYNC));
  ret("msync odd", msync(p, PAGE, 8));
  ret("msync none", msync(p, PAGE, 0));
  ret("msync unaligned", msync(p + 1, PAGE, MS_SYNC));
  ret("msync hole", (munmap(p + PAGE, PAGE), msync(p, 3 * PAGE, MS_SYNC)));
  mlock(p, PAGE);
  ret("msync of locked", msync(p, PAGE, MS_INVALIDATE));
  ret("msync wraps", msync(p, -PAGE, MS_SYNC));
}

static void limited(int what, rlim_t value, void (*f)(void), const char *name) {
  pid_t child = fork();
  if (child == 0) {
    struct rlimit r = {value, value};
    say("# %s", name);
    setrlimit(what, &r);
    f();
    _exit(0);
  }
  wait_say(name, child);
}

static void expand(void) {
  ok("small", (long)mmap(NULL, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ok("large", (long)mmap(NULL, 512L << 20, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ok("large, no access", (long)mmap(NULL, 512L << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ok("large, no reserve", (long)mmap(NULL, 512L << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  ok("large, shared", (long)mmap(NULL, 512L << 20, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  ok("brk", (long)sbrk(512L << 20));
  ok("small brk", (long)sbrk(PAGE));
  char *p = mmap(NULL, 100L << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p != MAP_FAILED) {
    ret("becomes data", mprotect(p, 100L << 20, RW));
    ok("grows", (long)mremap(p, 100L << 20, 400L << 20, MREMAP_MAYMOVE));
  }
}

int main(void) {
  struct sigaction sa = {.sa_sigaction = caught, .sa_flags = SA_SIGINFO};
  sigaction(SIGSEGV, &sa, NULL);
  sigaction(SIGBUS, &sa, NULL);
  ends(MAP_SHARED, "shared");
  ends(MAP_PRIVATE, "private");
  protections();
  fixed();
  grows();
  remaps();
  advices();
  locks();
  limited(RLIMIT_AS, 300L << 20, expand, "address space");
  limited(RLIMIT_DATA, 64L << 20, expand, "data");
  limited(RLIMIT_AS, 0, expand, "no address space");
  limited(RLIMIT_DATA, 0, expand, "no data");
  return 0;
}
