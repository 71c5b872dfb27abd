// Calls from text that is busy enough to be patched: nothing a program can see may change, but the bytes of its own text.
// Every group runs after the C library has made some ten thousand calls.
#include "guest.h"
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <pthread.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/ucontext.h>
#include <ucontext.h>

static volatile int calls;
static volatile unsigned long seen_rip, seen_rsp;

static void busy(void) {
  char c;
  int fd = open("/dev/zero", O_RDONLY);
  struct stat st;
  for (int i = 0; i < 6000; i++) {
    getppid();
    if (read(fd, &c, 1) != 1) say("read FAIL");
    fstat(fd, &st);
    syscall(SYS_gettid);
  }
  close(fd);
}

static void on(int sig, siginfo_t *si, void *p) {
  (void)sig;
  (void)si;
  ucontext_t *uc = p;
  calls++;
  seen_rip = uc->uc_mcontext.gregs[REG_RIP];
  seen_rsp = uc->uc_mcontext.gregs[REG_RSP];
}

static void set(int sig, int flags) {
  struct sigaction sa;
  memset(&sa, 0, sizeof sa);
  sa.sa_sigaction = on;
  sa.sa_flags = SA_SIGINFO | flags;
  sigaction(sig, &sa, NULL);
}

// A call by the instructions of the C library's wrappers, with all registers filled before and compared after.
struct regs { unsigned long rbx, rbp, rdi, rsi, rdx, r8, r9, r10, r12, r13, r14, r15, flags, rax; unsigned char red[128]; };
long call_getppid(struct regs *r);
__asm__(".text\n.globl call_getppid\n.type call_getppid,@function\ncall_getppid:\n.cfi_startproc\n"
        " push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n push %rdi\n"
        " mov $11,%rbx\n mov $12,%rbp\n mov $13,%rsi\n mov $14,%rdx\n mov $15,%r8\n mov $16,%r9\n mov $17,%r10\n"
        " mov $18,%r12\n mov $19,%r13\n mov $20,%r14\n mov $21,%r15\n mov $22,%rdi\n"
        " movq $0x1234567,-8(%rsp)\n movq $0x89abcde,-128(%rsp)\n"
        " mov $110,%eax\n syscall\n"
        " cmp $-4095,%rax\n jae 1f\n"
        "1: xchg %rdi,(%rsp)\n"
        " mov %rbx,0(%rdi)\n mov %rbp,8(%rdi)\n mov %rsi,24(%rdi)\n mov %rdx,32(%rdi)\n mov %r8,40(%rdi)\n mov %r9,48(%rdi)\n"
        " mov %r10,56(%rdi)\n mov %r12,64(%rdi)\n mov %r13,72(%rdi)\n mov %r14,80(%rdi)\n mov %r15,88(%rdi)\n mov %rax,104(%rdi)\n"
        " mov -8(%rsp),%rax\n mov %rax,112(%rdi)\n mov -128(%rsp),%rax\n mov %rax,120(%rdi)\n"
        " pop %rax\n mov %rax,16(%rdi)\n mov 104(%rdi),%rax\n"
        " pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n ret\n.cfi_endproc\n");

static void registers(void) {
  struct regs r;
  int same = 1;
  for (int i = 0; i < 20000; i++) {
    memset(&r, 0, sizeof r);
    long p = call_getppid(&r);
    unsigned long *red = (unsigned long *)r.red;
    same &= p == getppid() && r.rbx == 11 && r.rbp == 12 && r.rdi == 22 && r.rsi == 13 && r.rdx == 14 && r.r8 == 15 &&
            r.r9 == 16 && r.r10 == 17 && r.r12 == 18 && r.r13 == 19 && r.r14 == 20 && r.r15 == 21;
    same &= red[0] == 0x1234567 && red[1] == 0x89abcde;
  }
  is("registers and red zone survive", same);
}

static void vectors(void) {
  double sum = 0, x = 1.5;
  __asm__ volatile("" : "+x"(x));
  for (int i = 0; i < 5000; i++) {
    sum += x;
    getppid();
  }
  is("vector registers survive", sum == 7500.0);
}

static void flags(void) {
  long r;
  unsigned long after;
  // The direction flag.
  __asm__ volatile("std\n call getppid@PLT\n pushfq\n pop %1\n cld" : "=a"(r), "=r"(after)::"rcx", "r11", "rdi", "rsi", "rdx",
                   "r8", "r9", "r10", "memory", "cc");
  is("call with the direction flag", r == getppid() && (after & 0x400) != 0);
  __asm__ volatile("pushfq\n orl $0x40000,(%%rsp)\n popfq\n call getppid@PLT\n pushfq\n pop %1\n pushfq\n"
                   " andl $~0x40000,(%%rsp)\n popfq"
                   : "=a"(r), "=r"(after)::"rcx", "r11", "rdi", "rsi", "rdx", "r8", "r9", "r10", "memory", "cc");
  is("call with alignment checks", r == getppid() && (after & 0x40000) != 0);
}

static void pointers(void) {
  char c = 0;
  void *volatile nothing = BAD_PTR;
  int fd = open("/dev/zero", O_RDONLY);
  ret("read into nothing", read(fd, nothing, 1));
  ret("write from nothing", write(1, nothing, 1));
  ret("stat of nothing", stat(nothing, (struct stat *)&c));
  struct stat st;
  ret("stat into nothing", syscall(SYS_stat, "/", BAD_PTR));
  ret("stat", stat("/", &st));
  ret("bad descriptor", read(-1, &c, 1));
  ret("no such call", syscall(511));
  ret("no such call, far", syscall(100000));
  ret("no such call, negative", syscall(-1));
  close(fd);
}

// Signals.
static void interrupted(void) {
  char c;
  int p[2];
  if (pipe(p) != 0) return;
  struct itimerval soon = {.it_value = {0, 50000}}, off = {0};
  set(SIGALRM, 0);
  calls = 0;
  setitimer(ITIMER_REAL, &soon, NULL);
  ret("read ends with EINTR", read(p[0], &c, 1));
  is("handler ran once", calls == 1);
  Dl_info in;
  is("rip in the C library", dladdr((void *)seen_rip, &in) != 0 && in.dli_fname != NULL && strstr(in.dli_fname, "libc") != NULL);
  is("rip behind a syscall", *(unsigned short *)(seen_rip - 2) == 0x050f);
  is("rsp on the stack", seen_rsp < (unsigned long)&c + 65536 && seen_rsp > (unsigned long)&c - 65536);
  set(SIGALRM, SA_RESTART);
  calls = 0;
  pid_t child = fork();
  if (child == 0) {
    usleep(200000);
    _exit(write(p[1], "x", 1) == 1 ? 0 : 1);
  }
  setitimer(ITIMER_REAL, &soon, NULL);
  ret("read restarts", read(p[0], &c, 1));
  is("handler ran once", calls == 1);
  waitpid(child, NULL, 0);
  setitimer(ITIMER_REAL, &off, NULL);
  // nanosleep: restart_syscall with an ignored signal, EINTR and the rest with a handler.
  set(SIGALRM, 0);
  setitimer(ITIMER_REAL, &soon, NULL);
  struct timespec t = {1, 0}, rest = {0, 0};
  ret("nanosleep", nanosleep(&t, &rest));
  is("rest", rest.tv_sec == 0 && rest.tv_nsec > 500000000);
  close(p[0]);
  close(p[1]);
}

static void storm(void) {
  struct itimerval often = {{0, 300}, {0, 300}}, off = {0};
  set(SIGALRM, SA_RESTART);
  calls = 0;
  pid_t parent = getppid();
  setitimer(ITIMER_REAL, &often, NULL);
  long wrong = 0;
  char a[64], b[64];
  int p[2];
  if (pipe(p) != 0) return;
  for (int i = 0; i < 30000; i++) {
    wrong += getppid() != parent;
    if ((i & 7) == 0) {
      memset(a, i & 0xff, sizeof a);
      wrong += write(p[1], a, sizeof a) != sizeof a || read(p[0], b, sizeof b) != sizeof b || memcmp(a, b, sizeof a) != 0;
    }
  }
  setitimer(ITIMER_REAL, &off, NULL);
  is("a storm of signals changes no result", wrong == 0);
  is("signals came", calls > 3);
  close(p[0]);
  close(p[1]);
}

static void self_signal(void) {
  set(SIGUSR1, 0);
  calls = 0;
  for (int i = 0; i < 100; i++) raise(SIGUSR1);
  is("raise delivers at once", calls == 100);
  sigset_t m, old;
  sigemptyset(&m);
  sigaddset(&m, SIGUSR1);
  sigprocmask(SIG_BLOCK, &m, &old);
  raise(SIGUSR1);
  is("blocked", calls == 100);
  sigprocmask(SIG_SETMASK, &old, NULL);
  is("delivered by sigprocmask", calls == 101);
}

// Threads.
static volatile int stop;
static void *worker(void *p) {
  long bad = 0;
  pid_t own = (pid_t)syscall(SYS_gettid);
  for (int i = 0; i < 8000; i++) bad += syscall(SYS_gettid) != own;
  *(long *)p = bad;
  return NULL;
}

static void threads(void) {
  pthread_t t[6];
  long bad[6];
  for (int i = 0; i < 6; i++) pthread_create(&t[i], NULL, worker, &bad[i]);
  long sum = 0;
  for (int i = 0; i < 6; i++) {
    pthread_join(t[i], NULL);
    sum += bad[i];
  }
  is("every thread gets its own answers", sum == 0);
}

static void *reader(void *p) {
  char c;
  return (void *)read(*(int *)p, &c, 1);
}

static void blocked_thread(void) {
  int p[2];
  if (pipe(p) != 0) return;
  pthread_t t;
  pthread_create(&t, NULL, reader, &p[0]);
  usleep(50000);
  pid_t child = fork();
  if (child == 0) _exit(getppid() > 0 ? 7 : 1);
  int status;
  waitpid(child, &status, 0);
  is("fork while a thread waits", WEXITSTATUS(status) == 7);
  set(SIGUSR2, 0);
  calls = 0;
  pthread_kill(t, SIGUSR2);
  void *r;
  pthread_join(t, &r);
  is("a signal ends the wait", (long)r == -1 && calls == 1);
  pthread_create(&t, NULL, reader, &p[0]);
  usleep(20000);
  child = vfork();
  if (child == 0) _exit(9);
  waitpid(child, &status, 0);
  is("vfork while a thread waits", WEXITSTATUS(status) == 9);
  if (write(p[1], "x", 1) != 1) say("write FAIL");
  pthread_join(t, &r);
  is("the wait ends with data", (long)r == 1);
  child = fork();
  if (child == 0) {
    pthread_create(&t, NULL, reader, &p[0]);
    usleep(20000);
    exit(5);
  }
  waitpid(child, &status, 0);
  is("exit while a thread waits", WIFEXITED(status) && WEXITSTATUS(status) == 5);
  child = fork();
  if (child == 0) {
    pthread_create(&t, NULL, reader, &p[0]);
    usleep(20000);
    kill(getpid(), SIGKILL);
  }
  waitpid(child, &status, 0);
  is("kill while a thread waits", WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void vfork_calls(void) {
  volatile pid_t own = 0;
  pid_t child = vfork();
  if (child == 0) {
    for (int i = 0; i < 1000; i++) own = (pid_t)syscall(SYS_getpid);
    _exit(0);
  }
  waitpid(child, NULL, 0);
  is("a vfork child has its own answers", own == child && syscall(SYS_getpid) != child);
}

// The text itself.
static int find_text(struct dl_phdr_info *info, size_t size, void *p) {
  (void)size;
  if (strstr(info->dlpi_name, "libc.so") == NULL) return 0;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *h = &info->dlpi_phdr[i];
    if (h->p_type != PT_LOAD || (h->p_flags & PF_X) == 0) continue;
    unsigned long *range = p;
    range[0] = info->dlpi_addr + h->p_vaddr;
    range[1] = (range[0] + h->p_filesz + 4095) & ~4095UL;
    return 1;
  }
  return 0;
}

static int in_maps(unsigned long from, const char *prot, const char *name) {
  FILE *f = fopen("/proc/self/maps", "r");
  char line[512];
  int found = 0;
  while (fgets(line, sizeof line, f) != NULL) {
    unsigned long a, b;
    char p[8];
    if (sscanf(line, "%lx-%lx %4s", &a, &b, p) == 3 && a <= from && b > from)
      found = strncmp(p, prot, 4) == 0 && strstr(line, name) != NULL;
  }
  fclose(f);
  return found;
}

static void text(void) {
  unsigned long range[2] = {0, 0};
  dl_iterate_phdr(find_text, range);
  is("maps name the file", in_maps(range[0], "r-xp", "libc.so.6") && in_maps(range[1] - 1, "r-xp", "libc.so.6"));
  struct iovec to = {(char[64]){0}, 64}, from = {(void *)getppid, 64};
  is("reading text as a debugger does", process_vm_readv(getpid(), &to, 1, &from, 1, 0) == 64 &&
                                            memcmp(to.iov_base, (void *)getppid, 64) == 0);
  ret("text writable", mprotect((void *)range[0], range[1] - range[0], PROT_READ | PROT_WRITE | PROT_EXEC));
  Dl_info in;
  dladdr((void *)getppid, &in);
  int fd = open(in.dli_fname, O_RDONLY);
  unsigned char file[16];
  off_t at = (char *)getppid - (char *)in.dli_fbase;
  is("writable text is the file's", pread(fd, file, 16, at) == 16 && memcmp(file, (void *)getppid, 16) == 0);
  close(fd);
  is("calls go on", getppid() == syscall(SYS_getppid));
  // Self-modification: getppid answers 42 by its own new code.
  static const unsigned char answer[] = {0xb8, 42, 0, 0, 0, 0xc3};
  memcpy((void *)getppid, answer, sizeof answer);
  ret("self-modified text", getppid());
  memcpy((void *)getppid, file, sizeof answer);
  is("and back", getppid() == syscall(SYS_getppid));
  ret("text read-only again", mprotect((void *)range[0], range[1] - range[0], PROT_READ | PROT_EXEC));
  busy();
  is("calls go on", getppid() == syscall(SYS_getppid));
}

// In a child, whose end does not matter to us.
static void cut_text(void) {
  pid_t child = fork();
  if (child == 0) {
    unsigned long range[2] = {0, 0};
    dl_iterate_phdr(find_text, range);
    // The last page is where patched sites lead.
    void *copy = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(copy, (void *)(range[1] - 4096), 4096);
    if (mprotect(copy, 4096, PROT_READ | PROT_EXEC) != 0) _exit(1);
    if (mremap(copy, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)(range[1] - 4096)) == MAP_FAILED) _exit(2);
    long bad = 0;
    for (int i = 0; i < 100; i++) bad += getppid() != syscall(SYS_getppid);
    _exit(bad == 0 ? 3 : 4);
  }
  int status;
  waitpid(child, &status, 0);
  is("the end of the text replaced", WIFEXITED(status) && WEXITSTATUS(status) == 3);
}

static void processes(void) {
  int status = 0, bad = 0;
  pid_t self = getpid();
  for (int i = 0; i < 20; i++) {
    pid_t child = fork();
    if (child == 0) {
      if (i & 1) execl("/bin/true", "true", NULL);
      _exit(getppid() == self ? 0 : 1);
    }
    waitpid(child, &status, 0);
    bad += status != 0;
  }
  is("processes", bad == 0);
  FILE *f = popen("echo a | cat; exit 3", "r");
  char line[16] = "";
  is("shell", fgets(line, sizeof line, f) != NULL && strcmp(line, "a\n") == 0);
  is("status", WEXITSTATUS(pclose(f)) == 3);
}

static void segment_base(void) {
  // A GS base of the program's own: calls trap again, and the base is its.
  unsigned long base = 0, value = 0x1122334455667788;
  unsigned long *own = &value;
  syscall(SYS_arch_prctl, 0x1001 /* ARCH_SET_GS */, own);
  int fine = 1;
  for (int i = 0; i < 1000; i++) {
    fine &= getppid() == syscall(SYS_getppid);
    unsigned long got;
    __asm__ volatile("mov %%gs:0, %0" : "=r"(got));
    fine &= got == value;
  }
  is("calls with a GS base", fine);
  syscall(SYS_arch_prctl, 0x1004 /* ARCH_GET_GS */, &base);
  is("GS base is the program's", base == (unsigned long)own);
  syscall(SYS_arch_prctl, 0x1001, 0);
  syscall(SYS_arch_prctl, 0x1004, &base);
  is("no GS base", base == 0);
  is("calls go on", getppid() == syscall(SYS_getppid));
}

static void libraries(void) {
  void *h = NULL;
  int fine = 1;
  for (int i = 0; i < 5; i++) {
    h = dlopen("libm.so.6", RTLD_NOW | RTLD_LOCAL);
    fine &= h != NULL;
    if (h != NULL) dlclose(h);
  }
  is("dlopen and dlclose", fine);
  // A second copy of the C library beside the first.
  h = dlmopen(LM_ID_NEWLM, "libc.so.6", RTLD_NOW);
  pid_t (*other)(void) = h == NULL ? NULL : (pid_t (*)(void))dlsym(h, "getppid");
  fine = other != NULL;
  for (int i = 0; fine && i < 1000; i++) fine &= other() == getppid();
  is("a second C library", fine);
  if (h != NULL) dlclose(h);
  is("the first goes on", getppid() == syscall(SYS_getppid));
}

int main(void) {
  busy();
  registers();
  vectors();
  flags();
  pointers();
  interrupted();
  storm();
  self_signal();
  threads();
  blocked_thread();
  vfork_calls();
  processes();
  segment_base();
  libraries();
  cut_text();
  text();
  return 0;
}
