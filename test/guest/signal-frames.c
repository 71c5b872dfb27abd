// What rt_sigreturn(2) makes of odd frames: segments, addresses, flags, the FP image and where it lies, the alternate stack; what
// the fault that follows is told as; frames at the edge of memory, alternate stacks that overflow or change inside of handlers.
#include "guest.h"
#include <setjmp.h>
#include <sys/ucontext.h>

#define PAGE 4096ul
static char *page;  // one page, followed by one that is not mapped
static char alt[65536] __attribute__((aligned(64)));
static volatile int hits;

static const char *where(void *a) {
  if (a == NULL) return "0";
  if ((char *)a >= page && (char *)a < page + PAGE) return "page";
  if ((char *)a >= page + PAGE && (char *)a < page + 2 * PAGE) return "behind the page";
  return (long)a < 0 ? "kernel" : "elsewhere";
}

static void on_fault(int s, siginfo_t *si, void *p) {
  greg_t *g = ((ucontext_t *)p)->uc_mcontext.gregs;
  say("  signal %d code %d addr %s trap %lld err %llx", s, si->si_code, where(si->si_addr), g[REG_TRAPNO], g[REG_ERR] & ~2ll);
  _exit(0);
}

static void catch_faults(void) {
  stack_t ss = {.ss_sp = alt, .ss_size = sizeof alt};
  sigaltstack(&ss, NULL);
  struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  sigaction(SIGSEGV, &sa, NULL);
  sigaction(SIGBUS, &sa, NULL);
  sigaction(SIGTRAP, &sa, NULL);
  sigaction(SIGILL, &sa, NULL);
  sigaction(SIGFPE, &sa, NULL);
}

static int kind;
static unsigned *fp32(ucontext_t *u, int at) { return (unsigned *)((char *)u->uc_mcontext.fpregs + at); }

static const char *names[] = {
    "as it is", "cs 0", "cs of the kernel", "cs of data", "cs beyond the table", "ss 0", "ss of the kernel", "ss of code",
    "ss beyond the table", "ss bad, not strict", "rip not canonical", "rip of the kernel", "rip just above user space",
    "rip 0", "rip in a page of data", "rsp not canonical", "rsp of the kernel", "rsp 0", "trap flag", "direction flag",
    "alignment check", "nested task", "interrupts off", "I/O privilege", "no FP image", "FP image misaligned",
    "FP image moved", "FP image at the end of memory", "FP image cut off", "FP image cut off within the legacy part",
    "FP image of the kernel", "first magic wrong", "second magic wrong", "size too small", "size too large", "no features",
    "features of nobody", "header not zero", "reserved header", "compacted", "mxcsr reserved", "mxcsr feature mask ignored",
    "uc_flags 0", "uc_flags all", "mask all", "stack too small", "stack flags bad", "stack disabled", "stack another", "rax kept",
};

static void forge(int sig, siginfo_t *si, void *p) {
  ucontext_t *u = p;
  greg_t *r = u->uc_mcontext.gregs;
  char *fp = (char *)u->uc_mcontext.fpregs;
  unsigned size = *fp32(u, 464 + 4), whole = size + 4;
  (void)sig, (void)si;
  long seg = r[REG_CSGSFS];
  switch (kind) {
    case 1: r[REG_CSGSFS] = seg & ~0xffffl; break;
    case 2: r[REG_CSGSFS] = (seg & ~0xffffl) | 0x10; break;
    case 3: r[REG_CSGSFS] = (seg & ~0xffffl) | 0x2b; break;
    case 4: r[REG_CSGSFS] = (seg & ~0xffffl) | 0xfff8; break;
    case 5: r[REG_CSGSFS] = seg & ~(0xffffl << 48); break;
    case 6: r[REG_CSGSFS] = (seg & ~(0xffffl << 48)) | 0x18l << 48; break;
    case 7: r[REG_CSGSFS] = (seg & ~(0xffffl << 48)) | 0x33l << 48; break;
    case 8: r[REG_CSGSFS] = (seg & ~(0xffffl << 48)) | 0x7ff8l << 48; break;
    case 9: r[REG_CSGSFS] = (seg & ~(0xffffl << 48)) | 0x18l << 48, u->uc_flags &= ~4; break;
    case 10: r[REG_RIP] = 0x8000000000001000; break;
    case 11: r[REG_RIP] = 0xffffffff81000000; break;
    case 12: r[REG_RIP] = 0x800000000000; break;
    case 13: r[REG_RIP] = 0; break;
    case 14: page[0] = 1, r[REG_RIP] = (long)page; break;
    case 15: r[REG_RSP] = 0x8000000000001000; break;
    case 16: r[REG_RSP] = 0xffff888000000000; break;
    case 17: r[REG_RSP] = 0; break;
    case 18: r[REG_EFL] |= 0x100; break;
    case 19: r[REG_EFL] |= 0x400; break;
    case 20: r[REG_EFL] |= 0x40000; break;
    case 21: r[REG_EFL] |= 0x4000; break;
    case 22: r[REG_EFL] &= ~0x200; break;
    case 23: r[REG_EFL] |= 0x3000; break;
    case 24: u->uc_mcontext.fpregs = NULL; break;
    case 25: memcpy(page + 8, fp, whole), u->uc_mcontext.fpregs = (void *)(page + 8); break;
    case 26: memcpy(page, fp, whole), u->uc_mcontext.fpregs = (void *)page; break;
    case 27: u->uc_mcontext.fpregs = memcpy(page + ((PAGE - whole) & ~63ul), fp, whole); break;
    case 28: u->uc_mcontext.fpregs = memcpy(page + PAGE - 1024, fp, 1024); break;
    case 29: u->uc_mcontext.fpregs = memcpy(page + PAGE - 256, fp, 256); break;
    case 30: u->uc_mcontext.fpregs = (void *)0xffff888000000000; break;
    case 31: *fp32(u, 464) = 1; break;
    case 32: *fp32(u, size) = 1; break;
    case 33: *fp32(u, 464 + 4) = 512; break;
    case 34: *fp32(u, 464 + 4) = size + 64; break;
    case 35: *fp32(u, 464 + 8) = 0, *fp32(u, 464 + 12) = 0; break;
    case 36: *fp32(u, 512 + 7 * 4 - 24 + 0) |= 1u << 31; break;
    case 37: *fp32(u, 512 + 16) = 1; break;
    case 38: memset(fp + 512 + 24, 0xff, 40); break;
    case 39: *fp32(u, 512 + 12) |= 1u << 31; break;
    case 40: *fp32(u, 24) |= 0x80000000; break;
    case 41: *fp32(u, 28) = 0; break;
    case 42: u->uc_flags = 0; break;
    case 43: u->uc_flags = ~0ul; break;
    case 44: memset(&u->uc_sigmask, 0xff, 8); break;
    case 45: u->uc_stack.ss_size = 100, u->uc_stack.ss_flags = 0; break;
    case 46: u->uc_stack.ss_flags = 0x77; break;
    case 47: u->uc_stack.ss_flags = SS_DISABLE; break;
    case 48: u->uc_stack.ss_sp = page, u->uc_stack.ss_size = PAGE, u->uc_stack.ss_flags = 0; break;
    case 49: r[REG_RAX] = 0x1234567812345678; break;
  }
}

static void odd_frames(void) {
  for (kind = 0; kind < 50; kind++) {
    pid_t p = fork();
    if (p == 0) {
      catch_faults();
      struct sigaction sa = {.sa_sigaction = forge, .sa_flags = SA_SIGINFO};
      sigaction(SIGUSR1, &sa, NULL);
      double x = 1.5;
      asm volatile("movsd %0, %%xmm7" ::"m"(x) : "xmm7");
      long rax = SYS_tgkill, flags = 0;
      asm volatile("syscall\n pushfq\n pop %1\n" "cld\n" "pushfq\n andl $~0x40000,(%%rsp)\n popfq"
                   : "+a"(rax), "=r"(flags) : "D"(getpid()), "S"(syscall(SYS_gettid)), "d"(SIGUSR1) : "rcx", "r11", "memory");
      double y;
      asm volatile("movsd %%xmm7, %0" : "=m"(y));
      sigset_t m;
      stack_t ss;
      sigprocmask(SIG_SETMASK, NULL, &m);
      sigaltstack(NULL, &ss);
      say("  goes on: rax %lx flags %lx xmm7 %d mask %d stack %d %x", rax, flags & 0x47700, (int)(y * 10), sigismember(&m, SIGUSR2),
          ss.ss_sp == alt && ss.ss_size == sizeof alt ? 1 : ss.ss_sp == page ? 2 : 0, ss.ss_flags);
      _exit(0);
    }
    wait_say(names[kind], p);
  }
}

static void count(int s) { (void)s, hits++; }

// A stack that ends where memory begins or ends.
static void edges(void) {
  static const int room[] = {16, 100, 500, 600, 1000, 4000};
  for (int i = 0; i < 6; i++) {
    pid_t p = fork();
    if (p == 0) {
      catch_faults();
      signal(SIGUSR1, count);
      munmap(page - PAGE, PAGE);
      long rax = SYS_tgkill;
      asm volatile("mov %%rsp, %%rbx\n mov %4, %%rsp\n syscall\n mov %%rbx, %%rsp"
                   : "+a"(rax) : "D"(getpid()), "S"(syscall(SYS_gettid)), "d"(SIGUSR1), "r"(page + room[i]) : "rbx", "rcx", "r11", "memory");
      say("  hits %d", hits);
      _exit(0);
    }
    char name[40];
    snprintf(name, sizeof name, "%d bytes of stack", room[i]);
    wait_say(name, p);
  }
}

static int depth, wanted;
static void nested(int s) {
  if (++depth < wanted) raise(s);
}

static void on_alt(void) {
  struct sigaction sa = {.sa_handler = nested, .sa_flags = SA_ONSTACK | SA_NODEFER};
  static const int depths[] = {1, 5, 100};
  for (int i = 0; i < 3; i++) {
    pid_t p = fork();
    if (p == 0) {
      stack_t ss = {.ss_sp = alt, .ss_size = 20000};
      sigaltstack(&ss, NULL);
      sigaction(SIGUSR1, &sa, NULL);
      wanted = depths[i];
      raise(SIGUSR1);
      say("  depth %d", depth);
      _exit(0);
    }
    char name[40];
    snprintf(name, sizeof name, "%d on the alternate stack", depths[i]);
    wait_say(name, p);
  }
  pid_t p = fork();
  if (p == 0) {
    sa.sa_flags = SA_NODEFER;
    sigaction(SIGUSR1, &sa, NULL);
    wanted = 200;
    raise(SIGUSR1);
    say("  depth %d", depth);
    _exit(0);
  }
  wait_say("200 deep on the ordinary stack", p);
}

static void change_stack(int s, siginfo_t *si, void *u) {
  (void)s, (void)si;
  stack_t other = {.ss_sp = page, .ss_size = PAGE}, off = {.ss_flags = SS_DISABLE}, now;
  ret("  another one inside", sigaltstack(&other, NULL));
  ret("  off inside", sigaltstack(&off, NULL));
  sigaltstack(NULL, &now);
  say("  now %s flags %x, of the frame %x", now.ss_sp == alt ? "the same" : now.ss_sp == page ? "the other" : "none", now.ss_flags,
      ((ucontext_t *)u)->uc_stack.ss_flags);
}

static void stacks(void) {
  static const struct { const char *name; unsigned flags; int on; } cases[] = {
      {"on it", 0, SA_ONSTACK}, {"not on it", 0, 0}, {"disarmed by itself", 1u << 31, SA_ONSTACK}, {"disarmed, not on it", 1u << 31, 0}};
  for (int i = 0; i < 4; i++) {
    stack_t ss = {.ss_sp = alt, .ss_size = sizeof alt, .ss_flags = cases[i].flags}, now;
    ret(cases[i].name, sigaltstack(&ss, NULL));
    struct sigaction sa = {.sa_sigaction = change_stack, .sa_flags = SA_SIGINFO | cases[i].on};
    sigaction(SIGUSR1, &sa, NULL);
    raise(SIGUSR1);
    sigaltstack(NULL, &now);
    say("  afterwards %s flags %x", now.ss_sp == alt ? "the same" : now.ss_sp == page ? "the other" : "none", now.ss_flags);
    now.ss_flags = SS_DISABLE;
    sigaltstack(&now, NULL);
  }
}

// Of a thread that has not asked for more features (AMX), which AT_MINSIGSTKSZ counts nevertheless.
static void size_handler(int sig, siginfo_t *si, void *p) {
  (void)sig, (void)si;
  ucontext_t *u = p;
  say("extended state: %u, %u, features %x", *fp32(u, 464 + 4), *fp32(u, 464 + 16), *fp32(u, 464 + 8));
}

static void size_of_frame(void) {
  stack_t ss = {.ss_sp = alt, .ss_size = 8192};
  sigaltstack(&ss, NULL);
  struct sigaction sa = {.sa_sigaction = size_handler, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  sigaction(SIGUSR1, &sa, NULL);
  raise(SIGUSR1);
}

int main(void) {
  page = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  page += PAGE;
  munmap(page + PAGE, PAGE);
  odd_frames();
  edges();
  on_alt();
  stacks();
  size_of_frame();
  return 0;
}
