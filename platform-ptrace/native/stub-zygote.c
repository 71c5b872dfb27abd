// Part of the stub: the zygote, from which all guest processes descend. It comes into being by execve of this program, sets
// up what its clones inherit, and installs the filter.
#include "stub.h"
#include "xstate.h"
#include "zygote-status.h"

struct sock_filter { u16 code; u8 jt, jf; u32 k; };
struct sock_fprog { u16 len; const struct sock_filter *filter; };
static const struct sock_filter guest_filter[] = {
#include "guest-filter.h"
};
struct sigaction { void (*handler)(void); u64 flags; void (*restorer)(void); u64 mask; };

enum { SA_SIGINFO = 4, SA_RESTORER = 0x04000000, SA_ONSTACK = 0x08000000, SA_NODEFER = 0x40000000 };

static inline void must(long r, int status) {
  if (r < 0) die(status);
}

static void limit(int resource, u64 value) {
  u64 both[2] = {value, value};
  must(SYS4(NR_prlimit64, 0, resource, both, 0), ZYGOTE_NO_LIMITS);
}

// The same, but no more than is allowed already.
static void lower_limit(int resource, u64 value) {
  u64 now[2];
  must(SYS4(NR_prlimit64, 0, resource, 0, now), ZYGOTE_NO_LIMITS);
  limit(resource, now[1] < value ? now[1] : value);
}

static void install_handlers(void) {
  // Fault signals stay unblocked in the handler: its copies may fault.
  u64 open = 1UL << (SIGSEGV - 1) | 1UL << (SIGBUS - 1) | 1UL << (SIGILL - 1) | 1UL << (SIGFPE - 1) |
             1UL << (SIGTRAP - 1) | 1UL << (SIGSYS - 1);
  struct sigaction sa = {stub_entry, SA_SIGINFO | SA_RESTORER | SA_ONSTACK | SA_NODEFER, stub_restorer, ~open};
  static const u8 signals[] = {SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV, SIGSYS, INTERRUPT_SIGNAL};
  for (u32 i = 0; i < sizeof signals; i++) must(SYS4(NR_rt_sigaction, signals[i], &sa, 0, 8), ZYGOTE_NO_HANDLERS);
  u64 none = 0;
  must(SYS4(NR_rt_sigprocmask, 2 /* SIG_SETMASK */, &none, 0, 8), ZYGOTE_NO_HANDLERS);
  u64 stack[3] = {AREA_ADDR + SLOT_SIZE + SLOT_STACK, 0, STACK_SIZE};
  must(SYS2(NR_sigaltstack, stack, 0), ZYGOTE_NO_HANDLERS);
}

static int mapped(u64 page) {
  u8 vec;
  return SYS3(NR_mincore, page, 4096, &vec) == 0;
}

// Runs on memory of the area outside the alternate stack, so that the initial stack can go.
__attribute__((used, noreturn)) void zygote_rest(void) {
  u64 head = AREA_ADDR;
  u64 vvar = QUAD(head, ZYGOTE_VVAR), vdso_end = QUAD(head, ZYGOTE_VDSO_END);
  u64 publish_end = PUBLISH_ADDR + PUBLISH_SIZE, area_end = AREA_ADDR + AREA_SIZE;
  u64 task_size = 0x7ffffffff000;
  SYS2(NR_munmap, 0, STUB_BASE);
  SYS2(NR_munmap, publish_end, AREA_ADDR - publish_end);
  if (vvar != 0) {
    SYS2(NR_munmap, area_end, vvar - area_end);
    SYS2(NR_munmap, vdso_end, task_size - vdso_end);
  } else {
    SYS2(NR_munmap, area_end, task_size - area_end);
  }

  must(syscall6(NR_prctl, 38 /* PR_SET_NO_NEW_PRIVS */, 1, 0, 0, 0, 0), ZYGOTE_NO_NEW_PRIVS);
  struct sock_fprog prog = {sizeof guest_filter / sizeof guest_filter[0], guest_filter};
  // NEW_LISTENER | WAIT_KILLABLE_RECV; the latter since Linux 5.19.
  long fd = SYS3(NR_seccomp, 1 /* SECCOMP_SET_MODE_FILTER */, 8 | 32, &prog);
  if (fd < 0) fd = SYS3(NR_seccomp, 1, 8, &prog);
  must(fd, ZYGOTE_NO_FILTER);
  if (fd != GATE_FD) die(ZYGOTE_BAD_FILTER_FD);
  volatile u32 *ready = (volatile u32 *)(head + ZYGOTE_READY), *taken = (volatile u32 *)(head + ZYGOTE_TAKEN);
  __atomic_store_n(ready, 1, __ATOMIC_SEQ_CST);
  SYS3(NR_futex, ready, 1 /* FUTEX_WAKE */, 1);
  while (__atomic_load_n(taken, __ATOMIC_SEQ_CST) == 0) SYS3(NR_futex, taken, 0 /* FUTEX_WAIT */, 0);
  SYS1(NR_close, GATE_FD);
  SYS1(NR_close, 0);
  // The first trap: from here on this thread is a context like any other. Its frame becomes the pattern of all.
  for (;;) __asm__ volatile("mov $39, %%eax\n syscall" ::: "rax", "rcx", "r11", "memory");
}

__attribute__((used, noreturn)) void zygote_main(u64 *sp) {
  u64 vdso = 0, minsigstksz = 2048, hwcap2 = 0;
  u64 *p = sp + 1 + sp[0] + 1;
  while (*p != 0) p++;
  for (p++; p[0] != 0; p += 2) {
    if (p[0] == 33) vdso = p[1];        // AT_SYSINFO_EHDR
    if (p[0] == 51) minsigstksz = p[1]; // AT_MINSIGSTKSZ
    if (p[0] == 26) hwcap2 = p[1];      // AT_HWCAP2
  }
  if ((hwcap2 & 2) == 0) die(ZYGOTE_NO_FSGSBASE);
  u32 regs[4];
  xstate_cpuid(0x80000001, 0, regs);
  if ((regs[3] & 1u << 27) == 0) die(ZYGOTE_NO_RDTSCP);
  // AT_MINSIGSTKSZ counts what guests' host processes cannot ask for, too.
  struct xstate_sizes xstate = xstate_sizes();
  // Frame, handler and a nested frame.
  if (2 * (minsigstksz - (xstate.all - xstate.initial)) + 2048 > STACK_SIZE) die(ZYGOTE_FRAMES_TOO_LARGE);
  // Descriptor 0 is the area of this process; nothing else.
  SYS3(NR_close_range, 1, 0xffffffff, 0);
  if (syscall6(NR_mmap, AREA_ADDR, AREA_SIZE, 3, 0x11 /* SHARED|FIXED */, 0, 0) != (long)AREA_ADDR) die(ZYGOTE_NO_AREA);
  // Until the sentry has published its pages, zeros: nobody spins, nothing is prefetched.
  if (syscall6(NR_mmap, PUBLISH_ADDR, PUBLISH_SIZE, 1, 0x32 /* PRIVATE|FIXED|ANON */, -1UL, 0) != (long)PUBLISH_ADDR)
    die(ZYGOTE_NO_PUBLISH);
  u64 vvar = vdso, vdso_end = vdso;
  if (vdso != 0) {
    while (vdso - vvar < 64 * 4096 && mapped(vvar - 4096)) vvar -= 4096;
    while (vdso_end - vdso < 64 * 4096 && mapped(vdso_end)) vdso_end += 4096;
    if (vvar < AREA_ADDR + AREA_SIZE) die(ZYGOTE_BAD_VDSO);
  }
  QUAD(AREA_ADDR, ZYGOTE_VVAR) = vvar;
  QUAD(AREA_ADDR, ZYGOTE_VDSO) = vdso;
  QUAD(AREA_ADDR, ZYGOTE_VDSO_END) = vdso_end;

  // All keys are allocated on the host, once for all descendants: which of them a guest has is the sentry's to say.
  int keys = xstate.pkru != 0;
  for (u32 i = 1; i < KEYS && keys; i++) keys = SYS2(NR_pkey_alloc, 0, 1 /* PKEY_DISABLE_ACCESS */) == (long)i;
  WORD(AREA_ADDR, ZYGOTE_PKRU) = xstate.pkru;
  WORD(AREA_ADDR, ZYGOTE_KEYS) = (u32)keys;

  limit(4, 1);   // CORE: 1, not 0: a pipe core helper runs at 0 (fs/coredump.c)
  lower_limit(7, MAP_FD + SLOTS_PER_CHUNK * CHUNKS_PER_AREA); // NOFILE: 0, GATE_FD, and one for each slot
  limit(8, 0);   // MEMLOCK
  limit(11, 64); // SIGPENDING
  limit(12, 0);  // MSGQUEUE
  limit(13, 0);  // NICE
  limit(14, 0);  // RTPRIO
  syscall6(NR_prctl, 15 /* PR_SET_NAME */, (u64) "guest", 0, 0, 0, 0);
  install_handlers();
  __asm__ volatile("mov %0, %%rsp\n call zygote_rest\n ud2" ::"r"(AREA_ADDR + SLOT_SIZE + SLOT_PREFETCH + PREFETCH_SIZE)
                   : "memory");
  __builtin_unreachable();
}

__asm__(".text\n"
        ".globl _start\n"
        "_start:\n"
        "  xor %ebp, %ebp\n"
        "  mov %rsp, %rdi\n"
        "  and $-16, %rsp\n"
        "  call zygote_main\n"
        "  ud2\n");
