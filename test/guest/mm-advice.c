// Guard regions, MAP_DROPPABLE, advice about fork; what prctl changes of an address space: PR_SET_MM, PR_GET_AUXV, PR_SET_MDWE.
#include "guest.h"
#include <elf.h>
#include <linux/capability.h>
#include <linux/prctl.h>
#include <setjmp.h>
#include <sys/prctl.h>

#define PAGE 4096ul
#define INSTALL 102
#define REMOVE 103
#define DROPPABLE 8
#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#define PR_GET_MDWE 66
#endif
#ifndef PR_GET_AUXV
#define PR_GET_AUXV 0x41555856
#endif

static sigjmp_buf back;
static volatile int code, fault_at_page;
static char *base;

static void on_fault(int sig, siginfo_t *si, void *context) {
  (void)context;
  code = sig * 100 + si->si_code;
  fault_at_page = ((char *)si->si_addr - base) / (long)PAGE;
  siglongjmp(back, 1);
}

// One character per page: its first byte, or x if reading it faults.
static void contents(const char *name, char *p, int n) {
  char line[65] = "";
  base = p;
  for (volatile int i = 0; i < n; i++) {
    if (sigsetjmp(back, 1) == 0) {
      char c = *(volatile char *)(p + i * PAGE);
      line[i] = c == 0 ? '.' : c;
    } else line[i] = 'x';
  }
  say("%s: %s", name, line);
}

static void poke(const char *name, char *p, int page) {
  base = p;
  code = 0;
  if (sigsetjmp(back, 1) == 0) *(volatile char *)(p + page * PAGE) = 'w';
  say("%s: fault %d at page %d", name, code, code == 0 ? 0 : fault_at_page);
}

static char *fresh(int n, int flags) {
  char *p = mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | flags, -1, 0);
  if (p == MAP_FAILED) return p;
  for (int i = 0; i < n; i++) p[i * PAGE] = 'a' + i;
  return p;
}

static void guards(void) {
  char *p = fresh(8, MAP_PRIVATE);
  ret("install", madvise(p + 2 * PAGE, 2 * PAGE, INSTALL));
  contents("installed", p, 8);
  poke("write to a guard", p, 3);
  ret("install again", madvise(p + 2 * PAGE, 2 * PAGE, INSTALL));
  int fd = open("/dev/zero", O_RDONLY);
  ret("a call writes there", read(fd, p + 2 * PAGE, 10));
  pid_t child = fork();
  if (child == 0) {
    contents("child", p, 8);
    ret("child removes", madvise(p + 2 * PAGE, PAGE, REMOVE));
    contents("child has removed", p, 8);
    _exit(0);
  }
  wait_say("child", child);
  contents("parent", p, 8);
  ret("DONTNEED over it", madvise(p, 4 * PAGE, MADV_DONTNEED));
  contents("DONTNEED keeps it", p, 8);
  ret("protect", mprotect(p, 8 * PAGE, PROT_READ));
  ret("unprotect", mprotect(p, 8 * PAGE, PROT_READ | PROT_WRITE));
  contents("protection keeps it", p, 8);
  char *q = mmap(NULL, 8 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  is("moved", mremap(p, 8 * PAGE, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, q) == q);
  contents("moved", q, 8);
  ret("populate over it", madvise(q, 8 * PAGE, MADV_POPULATE_WRITE));
  ret("lock over it", mlock(q, 8 * PAGE));
  ret("install where locked", madvise(q + 5 * PAGE, PAGE, INSTALL));
  ret("remove where locked", madvise(q + 2 * PAGE, PAGE, REMOVE));
  munlock(q, 8 * PAGE);
  ret("remove all", madvise(q, 8 * PAGE, REMOVE));
  contents("removed", q, 8);
  munmap(q + 4 * PAGE, PAGE);
  ret("install over a hole", madvise(q + 3 * PAGE, 3 * PAGE, INSTALL));
  contents("beside the hole", q, 8);
  ret("odd address", madvise(q + 1, PAGE, INSTALL));
  ret("nothing", madvise(q, 0, INSTALL));
  munmap(q, 8 * PAGE);
  ret("unmapped", madvise(q, PAGE, INSTALL));
  p = mmap(NULL, 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ret("in PROT_NONE", madvise(p, PAGE, INSTALL));
  munmap(p, 2 * PAGE);
}

static void droppable(void) {
  char *p = fresh(4, DROPPABLE);
  is("MAP_DROPPABLE", p != MAP_FAILED);
  if (p == MAP_FAILED) return;
  contents("droppable", p, 4);
  pid_t child = fork();
  if (child == 0) {
    contents("child", p, 4);
    _exit(0);
  }
  wait_say("child", child);
  ret("KEEPONFORK", madvise(p, PAGE, MADV_KEEPONFORK));
  ret("DODUMP", madvise(p, PAGE, MADV_DODUMP));
  ret("mlock", mlock(p, 4 * PAGE));
  munmap(p, 4 * PAGE);
  ok("MAP_LOCKED", (long)mmap(NULL, PAGE, PROT_READ, DROPPABLE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0));
  ok("MAP_GROWSDOWN", (long)mmap(NULL, PAGE, PROT_READ, DROPPABLE | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0));
  ok("file", (long)mmap(NULL, PAGE, PROT_READ, DROPPABLE, open("/dev/zero", O_RDONLY), 0));
}

static void forks(void) {
  char *p = fresh(6, MAP_PRIVATE);
  char *s = fresh(2, MAP_SHARED);
  ret("WIPEONFORK", madvise(p + PAGE, 2 * PAGE, MADV_WIPEONFORK));
  ret("KEEPONFORK", madvise(p + 2 * PAGE, PAGE, MADV_KEEPONFORK));
  ret("DONTFORK", madvise(p + 4 * PAGE, 2 * PAGE, MADV_DONTFORK));
  ret("DOFORK", madvise(p + 5 * PAGE, PAGE, MADV_DOFORK));
  ret("WIPEONFORK, shared", madvise(s, PAGE, MADV_WIPEONFORK));
  ret("DONTFORK, shared", madvise(s + PAGE, PAGE, MADV_DONTFORK));
  ret("REMOVE, private", madvise(p, PAGE, MADV_REMOVE));
  ret("REMOVE, shared", madvise(s, PAGE, MADV_REMOVE));
  ret("HWPOISON of nothing", madvise(p, 0, 99));
  pid_t child = fork();
  if (child == 0) {
    contents("child", p, 6);
    contents("child, shared", s, 2);
    pid_t next = fork();
    if (next == 0) {
      contents("grandchild", p, 6);
      _exit(0);
    }
    wait_say("grandchild", next);
    _exit(0);
  }
  wait_say("child", child);
  munmap(p, 6 * PAGE);
  munmap(s, 2 * PAGE);
}

static void file_says(const char *name, const char *path) {
  char buf[300] = "";
  int fd = open(path, O_RDONLY);
  ssize_t n = read(fd, buf, sizeof buf - 1);
  close(fd);
  for (ssize_t i = 0; i < n; i++)
    if (buf[i] == 0) buf[i] = '|';
  say("%s: %zd %.40s", name, n, buf);
}

static unsigned long stat_field(int field) {
  char buf[2000];
  int fd = open("/proc/self/stat", O_RDONLY);
  buf[read(fd, buf, sizeof buf - 1)] = 0;
  close(fd);
  char *p = strrchr(buf, ')') + 2;
  for (int i = 3; i < field; i++) p = strchr(p, ' ') + 1;
  return strtoul(p, NULL, 10);
}

static long set(const char *name, long what, unsigned long value) { return ret(name, prctl(PR_SET_MM, what, value, 0, 0)); }

static void set_mm(void) {
  struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct caps[2];
  if (syscall(SYS_capget, &head, caps) != 0) return;
  caps[0].effective &= ~(1u << CAP_SYS_RESOURCE);
  ret("capset", syscall(SYS_capset, &head, caps));
  char *area = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  strcpy(area, "new-name");
  strcpy(area + 20, "A=1");
  unsigned size = 0;
  ret("size", prctl(PR_SET_MM, PR_SET_MM_MAP_SIZE, &size, 0, 0));
  say("%u", size);
  ret("size to nowhere", prctl(PR_SET_MM, PR_SET_MM_MAP_SIZE, BAD_PTR, 0, 0));
  ret("a fifth argument", prctl(PR_SET_MM, PR_SET_MM_ARG_START, area, 0, 1));
  ret("a fourth argument", prctl(PR_SET_MM, PR_SET_MM_ARG_START, area, 1, 0));
  set("low address", PR_SET_MM_ARG_START, 1);
  set("high address", PR_SET_MM_ARG_START, 1ul << 47);
  set("unknown", 77, (unsigned long)area);
  set("start behind the end", PR_SET_MM_ARG_START, stat_field(49) + 1);
  set("code ends where it starts", PR_SET_MM_END_CODE, stat_field(26));
  struct prctl_mm_map m = {
      .start_code = stat_field(26), .end_code = stat_field(27), .start_data = stat_field(45), .end_data = stat_field(46),
      .start_brk = stat_field(47), .brk = (uintptr_t)sbrk(0), .start_stack = stat_field(28),
      .arg_start = (uintptr_t)area, .arg_end = (uintptr_t)area + 9, .env_start = (uintptr_t)area + 20,
      .env_end = (uintptr_t)area + 24, .exe_fd = -1};
  ret("map", prctl(PR_SET_MM, PR_SET_MM_MAP, &m, sizeof m, 0));
  file_says("cmdline", "/proc/self/cmdline");
  file_says("environ", "/proc/self/environ");
  is("stat", stat_field(48) == (uintptr_t)area && stat_field(51) == (uintptr_t)area + 24);
  ret("map of another size", prctl(PR_SET_MM, PR_SET_MM_MAP, &m, sizeof m - 8, 0));
  ret("map from nowhere", prctl(PR_SET_MM, PR_SET_MM_MAP, BAD_PTR, sizeof m, 0));
  m.env_end = m.env_start - 1;
  ret("map out of order", prctl(PR_SET_MM, PR_SET_MM_MAP, &m, sizeof m, 0));
  m.env_end = m.env_start;
  m.auxv_size = 16;
  ret("map without auxv", prctl(PR_SET_MM, PR_SET_MM_MAP, &m, sizeof m, 0));
  uint64_t auxv[4] = {AT_PAGESZ, 4096, AT_NULL, 0};
  m.auxv = (void *)auxv;
  m.auxv_size = sizeof auxv;
  ret("map with auxv", prctl(PR_SET_MM, PR_SET_MM_MAP, &m, sizeof m, 0));
  file_says("auxv", "/proc/self/auxv");
  char all[1024];
  long n = prctl(PR_GET_AUXV, all, sizeof all, 0, 0);
  say("PR_GET_AUXV %d, %d", n > 300, memcmp(all, auxv, sizeof auxv));
  ret("PR_GET_AUXV with more", prctl(PR_GET_AUXV, all, 8, 1, 0));
  is("PR_GET_AUXV of 8", prctl(PR_GET_AUXV, all, 8, 0, 0) == n);
  ret("PR_GET_AUXV to nowhere", prctl(PR_GET_AUXV, BAD_PTR, 8, 0, 0));
  char *old = sbrk(PAGE);
  is("the break goes on", sbrk(0) == old + PAGE);
  munmap(area, 2 * PAGE);
}

static void mdwe(void) {
  ret("get", prctl(PR_GET_MDWE, 0, 0, 0, 0));
  ret("get with more", prctl(PR_GET_MDWE, 1, 0, 0, 0));
  ret("unknown bit", prctl(PR_SET_MDWE, 4, 0, 0, 0));
  ret("no inherit alone", prctl(PR_SET_MDWE, 2, 0, 0, 0));
  ret("set with more", prctl(PR_SET_MDWE, 1, 1, 0, 0));
  char *rw = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  char *rx = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ret("set", prctl(PR_SET_MDWE, 3, 0, 0, 0));
  ret("is set", prctl(PR_GET_MDWE, 0, 0, 0, 0));
  ret("set again", prctl(PR_SET_MDWE, 3, 0, 0, 0));
  ret("unset", prctl(PR_SET_MDWE, 0, 0, 0, 0));
  ret("other", prctl(PR_SET_MDWE, 1, 0, 0, 0));
  ok("mmap wx", (long)mmap(NULL, PAGE, PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ok("mmap rx", (long)mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ret("rw to rx", mprotect(rw, PAGE, PROT_READ | PROT_EXEC));
  ret("rw to r", mprotect(rw, PAGE, PROT_READ));
  ret("rx to rx", mprotect(rx, PAGE, PROT_READ | PROT_EXEC));
  ret("rx to x", mprotect(rx, PAGE, PROT_EXEC));
  ret("x to r", mprotect(rx, PAGE, PROT_READ));
  ret("r to rx", mprotect(rx, PAGE, PROT_READ | PROT_EXEC));
  pid_t child = fork();
  if (child == 0) _exit(prctl(PR_GET_MDWE, 0, 0, 0, 0));
  wait_say("child does not inherit", child);
}

int main(int argc, char **argv) {
  (void)argc;
  (void)argv;
  struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
  sigaction(SIGSEGV, &sa, NULL);
  sigaction(SIGBUS, &sa, NULL);
  guards();
  droppable();
  forks();
  pid_t child = fork();
  if (child == 0) {
    set_mm();
    _exit(0);
  }
  wait_say("set_mm", child);
  mdwe();
  return 0;
}
