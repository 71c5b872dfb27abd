// Protection keys (pkeys(7)). On a CPU or kernel without them what needs them counts as as it should be, so that the lines are the same.
#include "guest.h"

#include <linux/futex.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdbool.h>
#include <sys/rseq.h>
#include <sys/uio.h>
#include <ucontext.h>

#define PAGE 4096L
#define INIT_PKRU 0x55555554u
#ifndef SEGV_PKUERR
#define SEGV_PKUERR 4
#endif

static bool keys; // There are keys here.

static void fact(const char *name, bool holds) { is(name, !keys || holds); }

static unsigned get_pkru(void) {
  unsigned a, d;
  if (!keys) return INIT_PKRU;
  __asm__ volatile(".byte 0x0f,0x01,0xee" : "=a"(a), "=d"(d) : "c"(0));
  return a;
}

static void set_pkru(unsigned pkru) {
  if (keys) __asm__ volatile(".byte 0x0f,0x01,0xef" ::"a"(pkru), "c"(0), "d"(0) : "memory");
}

static unsigned with_rights(unsigned pkru, int key, unsigned rights) { return (pkru & ~(3u << 2 * key)) | rights << 2 * key; }
static void allow(int key, unsigned rights) { set_pkru(with_rights(get_pkru(), key, rights)); }

static long alloc_key(unsigned long flags, unsigned long rights) { return syscall(SYS_pkey_alloc, flags, rights); }
static long free_key(int key) { return syscall(SYS_pkey_free, key); }
static long protect(void *p, size_t len, int prot, int key) { return syscall(SYS_pkey_mprotect, p, len, prot, key); }
static char *pages(int n, int prot) { return mmap(NULL, n * PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }

// Offset of PKRU in an XSAVE area.
static unsigned pkru_at(void) {
  unsigned a = 0xd, b, c = 9, d;
  __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
  return b;
}

// The key of the mapping that `p` lies in, and how many mappings [p, p+len) has.
static int key_of(const void *p) {
  FILE *f = fopen("/proc/self/smaps", "r");
  char line[512];
  unsigned long start, end;
  bool inside = false;
  int key = -1;
  while (f != NULL && fgets(line, sizeof line, f) != NULL) {
    char flag;
    if (sscanf(line, "%lx-%lx %c", &start, &end, &flag) == 3) inside = start <= (unsigned long)p && (unsigned long)p < end;
    if (inside) sscanf(line, "ProtectionKey: %d", &key);
  }
  if (f != NULL) fclose(f);
  return key;
}

static int mappings(const void *p, size_t len) {
  FILE *f = fopen("/proc/self/maps", "r");
  char line[512];
  unsigned long start, end, at = (unsigned long)p;
  int n = 0;
  while (f != NULL && fgets(line, sizeof line, f) != NULL)
    if (sscanf(line, "%lx-%lx", &start, &end) == 2 && start < at + len && end > at) n++;
  if (f != NULL) fclose(f);
  return n;
}

// ---- faults ---------------------------------------------------------------------------------------------------------
static sigjmp_buf back;
static volatile int seen_code, seen_key;
static volatile unsigned seen_pkru;
static void *volatile seen_addr;

static void on_fault(int signo, siginfo_t *info, void *context) {
  (void)signo, (void)context;
  seen_code = info->si_code;
  seen_addr = info->si_addr;
  memcpy((void *)&seen_key, (char *)info + 32, 4);
  seen_pkru = get_pkru();
  siglongjmp(back, 1);
}

// The code of the fault at `p`, 0 if there is none.
static int touch(char *p, bool write) {
  unsigned pkru = get_pkru();
  seen_code = 0;
  if (sigsetjmp(back, 1) == 0) {
    if (write) *(volatile char *)p = 1;
    else (void)*(volatile char *)p;
  }
  set_pkru(pkru);
  return seen_code;
}

static void handle(int signo, void (*f)(int, siginfo_t *, void *), int flags) {
  struct sigaction sa = {.sa_sigaction = f, .sa_flags = SA_SIGINFO | flags};
  sigaction(signo, &sa, NULL);
}

static void numbers(void) {
  ret("flags", alloc_key(1, 0));
  ret("rights that are none", alloc_key(0, 4));
  ret("freeing what nobody has", free_key(3));
  ret("freeing 16", free_key(16));
  ret("freeing -1", free_key(-1));
  int first = alloc_key(0, 3);
  fact("the first is 1", first == 1);
  fact("its rights", get_pkru() == with_rights(INIT_PKRU, 1, 3));
  int second = alloc_key(0, 0);
  fact("the second is 2, open", second == 2 && get_pkru() == with_rights(with_rights(INIT_PKRU, 1, 3), 2, 0));
  int n = 2;
  while (alloc_key(0, 1) > 0) n++;
  fact("fifteen of them", n == 15 && errno == ENOSPC);
  fact("the lowest free one is next", free_key(7) == 0 && free_key(4) == 0 && alloc_key(0, 1) == 4 && alloc_key(0, 1) == 7);
  for (int k = 1; k < 16 && keys; k++)
    if (free_key(k) != 0) say("key %d is not there", k);
  ret("freeing twice", free_key(5));
  fact("key 0 can be freed, and allocated", free_key(0) == 0 && free_key(0) == -1 && alloc_key(0, 0) == 0);
  set_pkru(INIT_PKRU);
}

static void mappings_with_keys(void) {
  char *p = pages(6, PROT_READ | PROT_WRITE);
  // Nothing next to it that it could be one with.
  mprotect(p, PAGE, PROT_NONE), mprotect(p + 5 * PAGE, PAGE, PROT_NONE);
  char *q = p + PAGE;
  ret("a key nobody has", protect(q, PAGE, PROT_READ, 9));
  ret("a key that is none", protect(q, PAGE, PROT_READ, 16));
  ret("a key, misaligned", protect(q + 1, PAGE, PROT_READ, 9));
  ret("a key for nothing", protect(q, 0, PROT_READ, 9));
  ret("no key", protect(q, PAGE, PROT_READ | PROT_WRITE, -1));
  int k = alloc_key(0, 0);
  fact("a key", protect(q + PAGE, 2 * PAGE, PROT_READ | PROT_WRITE, k) == 0);
  fact("splits", mappings(q, 4 * PAGE) == 3 && key_of(q) == 0 && key_of(q + PAGE) == k && key_of(q + 3 * PAGE) == 0);
  fact("mprotect keeps it", mprotect(q, 4 * PAGE, PROT_READ) == 0 && mappings(q, 4 * PAGE) == 3 && key_of(q + 2 * PAGE) == k);
  fact("-1 keeps it", protect(q, 4 * PAGE, PROT_READ | PROT_WRITE, -1) == 0 && mappings(q, 4 * PAGE) == 3 && key_of(q + PAGE) == k);
  fact("a hole", protect(q + PAGE, PAGE, PROT_READ | PROT_WRITE, 0) == 0 && mappings(q, 4 * PAGE) == 3 && key_of(q + PAGE) == 0);
  fact("one again", protect(q, 4 * PAGE, PROT_READ | PROT_WRITE, 0) == 0 && mappings(q, 4 * PAGE) == 1);
  fact("all of it", protect(q, 4 * PAGE, PROT_READ | PROT_WRITE, k) == 0 && mappings(q, 4 * PAGE) == 1 && key_of(q) == k);
  q[2 * PAGE] = 5;
  char *m = mremap(q + 2 * PAGE, 2 * PAGE, 3 * PAGE, MREMAP_MAYMOVE);
  fact("mremap keeps it", key_of(m) == k && key_of(m + 2 * PAGE) == k && *m == 5);
  allow(k, 1);
  fact("and what it means", touch(m, false) == SEGV_PKUERR && touch(m + 2 * PAGE, false) == SEGV_PKUERR && seen_key == k);
  fact("freed, it stays", free_key(k) == 0 && key_of(m) == k && touch(m, false) == SEGV_PKUERR);
  fact("what is mapped there later has none",
       mmap(m, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == m && key_of(m) == 0 && touch(m, true) == 0);
  munmap(m, 3 * PAGE);
  fact("unmapped and mapped", mmap(m, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == m &&
                                  key_of(m) == 0 && touch(m + 2 * PAGE, true) == 0);
  munmap(m, 3 * PAGE), munmap(p, 6 * PAGE);
  set_pkru(INIT_PKRU);
}

static void faults(void) {
  char *p = pages(2, PROT_READ | PROT_WRITE);
  p[0] = 1;
  int k = alloc_key(0, 1);
  fact("denied", protect(p, 2 * PAGE, PROT_READ | PROT_WRITE, k) == 0 && touch(p, false) == SEGV_PKUERR);
  fact("says which", seen_key == k && seen_addr == p);
  fact("handlers begin with the first rights", seen_pkru == INIT_PKRU);
  fact("what was not there yet", touch(p + PAGE + 5, true) == SEGV_PKUERR && seen_addr == p + PAGE + 5 && seen_key == k);
  allow(k, 2);
  fact("read only", touch(p, false) == 0 && touch(p, true) == SEGV_PKUERR && *p == 1);
  allow(k, 0);
  fact("open", touch(p, true) == 0 && touch(p + PAGE, true) == 0);
  mprotect(p, PAGE, PROT_READ);
  fact("protection comes first", touch(p, true) == SEGV_ACCERR);
  mprotect(p, PAGE, PROT_NONE);
  allow(k, 1);
  fact("of what nobody may read, too", touch(p, false) == SEGV_ACCERR || seen_code == SEGV_PKUERR);
  munmap(p, 2 * PAGE), free_key(k);
  fact("and nothing there", touch(p, false) == SEGV_MAPERR);
  set_pkru(INIT_PKRU);
}

// ---- signals ----------------------------------------------------------------------------------------------------------
static volatile unsigned handler_pkru, frame_pkru, new_pkru;
static volatile int handled;

static void on_signal(int signo, siginfo_t *info, void *context) {
  (void)signo, (void)info;
  handled++;
  handler_pkru = get_pkru();
  if (!keys) return;
  char *fp = (char *)((ucontext_t *)context)->uc_mcontext.fpregs;
  memcpy((void *)&frame_pkru, fp + pkru_at(), 4);
  if (new_pkru != 0) memcpy(fp + pkru_at(), (void *)&new_pkru, 4);
  set_pkru(0);
}

static void signals(void) {
  int k = alloc_key(0, 0);
  unsigned mine = get_pkru();
  handle(SIGUSR1, on_signal, 0);
  raise(SIGUSR1);
  fact("the handler's rights", handler_pkru == INIT_PKRU);
  fact("the frame has the program's", frame_pkru == mine && frame_pkru != INIT_PKRU);
  fact("they come back", get_pkru() == mine);
  new_pkru = with_rights(mine, 9, 0);
  raise(SIGUSR1);
  fact("unless the frame says otherwise", get_pkru() == new_pkru);
  new_pkru = 0;
  char *p = pages(16, PROT_READ | PROT_WRITE);
  protect(p, 16 * PAGE, PROT_READ | PROT_WRITE, k);
  stack_t ss = {.ss_sp = p, .ss_size = 16 * PAGE}, none = {.ss_flags = SS_DISABLE};
  sigaltstack(&ss, NULL);
  allow(k, 0);
  handled = 0;
  mine = get_pkru();
  handle(SIGUSR2, on_signal, 0);
  raise(SIGUSR2);
  fact("a second signal", handled == 1 || !keys);
  sigaltstack(&none, NULL);
  munmap(p, 16 * PAGE), free_key(k);
  set_pkru(INIT_PKRU);
}

// ---- what the kernel may touch ------------------------------------------------------------------------------------------
static void kernel_access(void) {
  char *p = pages(2, PROT_READ | PROT_WRITE);
  strcpy(p, "/dev/null");
  int k = alloc_key(0, 1), fds[2], null = open("/dev/zero", O_RDWR);
  pipe(fds);
  protect(p, PAGE, PROT_READ | PROT_WRITE, k);
  errno = 0;
  fact("write from there", write(fds[1], p, 4) == -1 && errno == EFAULT);
  fact("a name there", open(p, O_RDONLY) == -1 && errno == EFAULT);
  fact("a struct there", fstat(0, (struct stat *)p) == -1 && errno == EFAULT);
  fact("clock_gettime", syscall(SYS_clock_gettime, CLOCK_REALTIME, p) == -1 && errno == EFAULT);
  fact("a signal set there", syscall(SYS_rt_sigprocmask, SIG_BLOCK, p, NULL, 8) == -1 && errno == EFAULT);
  fact("read to there", read(null, p, 4) == -1 && errno == EFAULT);
  fact("a futex there", syscall(SYS_futex, p, FUTEX_WAIT_PRIVATE, 1, NULL) == -1 && errno == EFAULT);
  struct iovec two[2] = {{p + PAGE, 8}, {p, 8}};
  fact("up to there", readv(null, two, 2) == 8);
  allow(k, 2);
  fact("read only: from there", write(fds[1], p, 4) == 4);
  fact("read only: a name", close(open(p, O_RDONLY)) == 0);
  fact("read only: to there", read(fds[0], p, 4) == -1 && errno == EFAULT);
  fact("read only: a futex", syscall(SYS_futex, p, FUTEX_WAIT_PRIVATE, 1, NULL) == -1 && errno == EAGAIN);
  struct stat st;
  fact("with a copy elsewhere", stat(p, &st) == 0 && S_ISCHR(st.st_mode));
  allow(k, 0);
  fact("open: to there", read(null, p, 4) == 4 && p[0] == 0);
  fact("open: struct", fstat(null, (struct stat *)p) == 0 && S_ISCHR(((struct stat *)p)->st_mode));
  fact("open: large", write(fds[1], p, PAGE) == PAGE);
  int calls = 0;
  for (int i = 0; i < 2000; i++) { // Until the calls come from patched text, if that is what happens.
    allow(k, i % 2);
    int r = read(null, p, 16), e = errno;
    if (i % 2 == 0 ? r == 16 : r == -1 && e == EFAULT) calls++;
  }
  fact("two thousand calls", calls == 2000);
  free_key(k), munmap(p, 2 * PAGE), close(fds[0]), close(fds[1]), close(null);
  set_pkru(INIT_PKRU);
}

// ---- who has which rights ---------------------------------------------------------------------------------------------
static unsigned wanted;

static void *thread(void *arg) {
  (void)arg;
  unsigned pkru = get_pkru();
  set_pkru(0x55555500);
  return (void *)(long)(pkru == wanted);
}

static void inheritance(const char *self) {
  int k = alloc_key(0, 0);
  char *p = pages(1, PROT_READ | PROT_WRITE);
  protect(p, PAGE, PROT_READ | PROT_WRITE, k);
  wanted = get_pkru();
  pthread_t t;
  void *r;
  pthread_create(&t, NULL, thread, NULL);
  pthread_join(t, &r);
  fact("a thread has its creator's", r != NULL);
  fact("and not the other way round", get_pkru() == wanted);
  pid_t pid = fork();
  if (pid == 0) {
    int good = get_pkru() == wanted && key_of(p) == k && touch(p, true) == 0 && free_key(k) == 0;
    allow(k, 1);
    _exit(!keys || (good && touch(p, false) == SEGV_PKUERR && read(0, p, 0) == 0) ? 0 : 1);
  }
  wait_say("a child has its parent's", pid);
  fact("the parent's are its own", get_pkru() == wanted && free_key(k) == 0);
  set_pkru(0);
  pid = fork();
  if (pid == 0) {
    execl(self, self, "pkru", NULL);
    _exit(1);
  }
  wait_say("a program begins with the first rights", pid);
  pid = vfork();
  if (pid == 0) {
    execl(self, self, "pkru", NULL);
    _exit(1);
  }
  wait_say("after vfork, too", pid);
  munmap(p, PAGE);
  set_pkru(INIT_PKRU);
}

// ---- what may only be executed ----------------------------------------------------------------------------------------
static void execute_only(void) {
  static const unsigned char code[] = {0xb8, 42, 0, 0, 0, 0xc3}; // mov $42, %eax; ret
  char *p = pages(1, PROT_READ | PROT_WRITE);
  int (*f)(void) = (int (*)(void))p, fds[2];
  pipe(fds);
  memcpy(p, code, sizeof code);
  set_pkru(0);
  ret("mprotect", mprotect(p, PAGE, PROT_EXEC));
  int k = key_of(p);
  fact("has a key", k > 0);
  fact("which is closed", (get_pkru() >> 2 * k & 1) == 1);
  is("runs", f() == 42);
  fact("cannot be read", touch(p, false) == SEGV_PKUERR && seen_key == k);
  fact("by the kernel either", write(fds[1], p, 4) == -1 && errno == EFAULT);
  fact("nobody can name that key", free_key(k) == -1 && errno == EINVAL && protect(p, PAGE, PROT_READ, k) == -1 && errno == EINVAL);
  fact("mapped so", touch(mmap(NULL, PAGE, PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), false) == SEGV_PKUERR && seen_key == k);
  ret("and readable again", mprotect(p, PAGE, PROT_READ | PROT_EXEC));
  fact("has none", key_of(p) == 0 && touch(p, false) == 0);
  int n = 0;
  while (alloc_key(0, 1) > 0) n++;
  fact("fourteen are left", n == 14);
  for (int i = 1; i < 16; i++) free_key(i);
  munmap(p, PAGE), close(fds[0]), close(fds[1]);
  set_pkru(INIT_PKRU);
}

// ---- without key 0 ------------------------------------------------------------------------------------------------------
// A call whose program may touch no memory but its text meanwhile.
static long call_without(unsigned denied, long nr, long a, long b, long c) {
  long r;
  if (!keys) return 0;
  unsigned before = get_pkru();
  register long r12 __asm__("r12") = before;
  register long r13 __asm__("r13") = c;
  __asm__ volatile("xor %%ecx, %%ecx\n xor %%edx, %%edx\n .byte 0x0f,0x01,0xef\n" // wrpkru
                   "mov %%r13, %%rdx\n mov %%rbx, %%rax\n xor %%r10d, %%r10d\n syscall\n"
                   "mov %%rax, %%rbx\n mov %%r12d, %%eax\n xor %%ecx, %%ecx\n xor %%edx, %%edx\n .byte 0x0f,0x01,0xef\n"
                   : "=b"(r), "+a"(denied), "+r"(r12), "+r"(r13)
                   : "b"(nr), "D"(a), "S"(b)
                   : "rcx", "rdx", "r10", "r11", "memory");
  return r;
}

static void without_key_0(unsigned denied, const char *how) {
  char name[80], buffer[8] = "";
  int null = open("/dev/zero", O_RDWR), calls = 0, fds[2];
  pipe(fds);
#define NAMED(what) (snprintf(name, sizeof name, "%s: %s", how, what), name)
  fact(NAMED("getpid"), call_without(denied, SYS_getpid, 0, 0, 0) == getpid());
  fact(NAMED("read"), call_without(denied, SYS_read, null, (long)buffer, 4) == -EFAULT);
  bool readable = denied % 2 == 0;
  fact(NAMED("write"), call_without(denied, SYS_write, fds[1], (long)buffer, 4) == (readable ? 4 : -EFAULT));
  fact(NAMED("a name"), call_without(denied, SYS_access, (long)"/", 0, 0) == (readable ? 0 : -EFAULT));
  fact(NAMED("a futex"), call_without(denied, SYS_futex, (long)buffer, FUTEX_WAIT_PRIVATE, 77) == (readable ? -EAGAIN : -EFAULT));
  fact(NAMED("the mask"), call_without(denied, SYS_rt_sigprocmask, 0, 0, (long)buffer) == -EINVAL);
  fact(NAMED("nothing to wake"), call_without(denied, SYS_futex, (long)buffer, FUTEX_WAKE_PRIVATE, 1) == 0);
  for (int i = 0; i < 500; i++) calls += call_without(denied, SYS_getppid, 0, 0, 0) == getppid();
  fact(NAMED("five hundred calls"), calls == 500);
  handled = 0;
  fact(NAMED("a signal"), call_without(denied, SYS_kill, getpid(), SIGUSR1, 0) == 0 && handled == 1);
  fact(NAMED("its handler's rights"), handler_pkru == INIT_PKRU);
  pid_t pid = call_without(denied, SYS_fork, 0, 0, 0);
  if (pid == 0 && keys) _exit(0);
  if (!keys && fork() == 0) _exit(0);
  int st = 1;
  fact(NAMED("a child"), waitpid(-1, &st, 0) == pid && st == 0);
  close(null), close(fds[0]), close(fds[1]);
}

static void key_0(void) {
  // Linux ends programs whose rseq area it cannot write to.
  if (__rseq_size != 0) syscall(SYS_rseq, (char *)__builtin_thread_pointer() + __rseq_offset, 32, RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
  handle(SIGUSR1, on_signal, 0);
  without_key_0(0xffffffff, "nothing allowed");
  without_key_0(0x55555555, "nothing readable");
  without_key_0(0xaaaaaaaa, "nothing writable");
  // A fault there: the handler opens the way.
  int k = alloc_key(0, 1);
  char *p = pages(1, PROT_READ | PROT_WRITE);
  fact("a page", protect(p, PAGE, PROT_READ | PROT_WRITE, 0) == 0 && touch(p, true) == 0);
  unsigned before = get_pkru();
  seen_code = 0;
  if (sigsetjmp(back, 1) == 0 && keys) {
    __asm__ volatile("xor %%ecx, %%ecx\n xor %%edx, %%edx\n .byte 0x0f,0x01,0xef\n movb $1, (%%rdi)" ::"a"(0x55555555), "D"(p)
                     : "rcx", "rdx", "memory");
  }
  set_pkru(before);
  fact("a fault without key 0", seen_code == SEGV_PKUERR && seen_key == 0 && seen_addr == p);
  munmap(p, PAGE), free_key(k);
}

int main(int argc, char **argv) {
  int k = syscall(SYS_pkey_alloc, 0UL, 0UL);
  keys = k > 0;
  if (keys) free_key(k), set_pkru(argc > 1 ? get_pkru() : INIT_PKRU);
  if (argc > 1) return get_pkru() == with_rights(INIT_PKRU, 1, 0) ? 0 : 1;
  handle(SIGSEGV, on_fault, 0);
  numbers();
  mappings_with_keys();
  faults();
  signals();
  kernel_access();
  inheritance(argv[0]);
  execute_only();
  key_0();
  return 0;
}
