// What the parts of the stub share. Everything is hidden: the stub is linked at a fixed address and exports nothing.
#pragma once
#include "stub-layout.h"
#pragma GCC visibility push(hidden)

typedef unsigned long u64;
typedef unsigned int u32;
typedef unsigned short u16;
typedef unsigned char u8;

#define NORETURN __attribute__((noreturn))

enum {
  NR_close = 3, NR_mmap = 9, NR_mprotect = 10, NR_munmap = 11, NR_rt_sigaction = 13, NR_rt_sigprocmask = 14,
  NR_rt_sigreturn = 15, NR_sched_yield = 24, NR_mincore = 27, NR_nanosleep = 35, NR_clone = 56, NR_execve = 59,
  NR_exit = 60, NR_getrusage = 98, NR_sigaltstack = 131,
  NR_readlink = 89, NR_prctl = 157, NR_futex = 202, NR_clock_nanosleep = 230, NR_exit_group = 231, NR_prlimit64 = 302, NR_seccomp = 317, NR_close_range = 436,
  NR_set_robust_list = 273, NR_execveat = 322, NR_pkey_alloc = 330, NR_rseq = 334,
};
enum { EINTR = 4, EAGAIN = 11, EFAULT = 14, EINVAL = 22, ENOSYS = 38, ETIMEDOUT = 110 };
enum { RSEQ_FLAG_UNREGISTER = 1 };
enum { SIGILL = 4, SIGTRAP = 5, SIGBUS = 7, SIGFPE = 8, SIGSEGV = 11, SIGSYS = 31 };

struct sigcontext {
  u64 r8, r9, r10, r11, r12, r13, r14, r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, eflags;
  u16 cs, gs, fs, ss;
  u64 err, trapno, oldmask, cr2, fpstate, reserved[8];
};
struct ucontext {
  u64 flags, link, stack_sp, stack_flags, stack_size;
  struct sigcontext mc;
  u64 sigmask;
};
struct siginfo {
  int signo, error, code, pad;
  u64 addr; // si_addr; of SIGSYS: si_call_addr
  int syscall;
  u32 arch;
};

// ---- system calls -------------------------------------------------------------------------------------------------
extern void stub_site(void); // The one `syscall` (stub.c).

static inline long syscall6(long nr, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f) {
  long ret;
  register u64 r10 __asm__("r10") = d;
  register u64 r8 __asm__("r8") = e;
  register u64 r9 __asm__("r9") = f;
  __asm__ volatile("leaq 1f(%%rip), %%rbx\n jmp stub_site\n 1:"
                   : "=a"(ret)
                   : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rbx", "rcx", "r11", "memory");
  return ret;
}
#define SYS0(nr) syscall6(nr, 0, 0, 0, 0, 0, 0)
#define SYS1(nr, a) syscall6(nr, (u64)(a), 0, 0, 0, 0, 0)
#define SYS2(nr, a, b) syscall6(nr, (u64)(a), (u64)(b), 0, 0, 0, 0)
#define SYS3(nr, a, b, c) syscall6(nr, (u64)(a), (u64)(b), (u64)(c), 0, 0, 0)
#define SYS4(nr, a, b, c, d) syscall6(nr, (u64)(a), (u64)(b), (u64)(c), (u64)(d), 0, 0)

NORETURN static inline void die(int status) {
  for (;;) SYS1(NR_exit_group, status);
}

// ---- copying with fault recovery (stub-orders.c) --------------------------------------------------------------------
long stub_copy(void *dst, const void *src, u64 n);              // 0 or −EFAULT
long stub_copy_string(void *dst, const void *src, u64 max);     // length with NUL, 0 without one, or −EFAULT
long stub_swap(void *word, u32 expected, u32 value);            // what was there, or −EFAULT
extern const char stub_copy_begin[], stub_copy_end[], stub_copy_fault[];

// ---- slots ----------------------------------------------------------------------------------------------------------
#define WORD(base, off) (*(volatile u32 *)((base) + (off)))
#define QUAD(base, off) (*(volatile u64 *)((base) + (off)))

struct order { u64 nr, args[6], nonce; };
struct copyout { u64 addr; u32 offset, len; };

static inline u32 current_cpu(void) {
  u32 lo, hi, aux;
  __asm__ volatile("rdtscp" : "=a"(lo), "=d"(hi), "=c"(aux));
  return aux & 0xfff;
}

// ---- protection keys --------------------------------------------------------------------------------------------------
// A handler runs with INIT_PKRU, calls from patched sites with the guest's PKRU. The platform's pages have key 0.
static inline u32 read_pkru(void) {
  u32 pkru, zero;
  __asm__ volatile("rdpkru" : "=a"(pkru), "=d"(zero) : "c"(0));
  return pkru;
}

static inline void write_pkru(u32 pkru) {
  __asm__ volatile("wrpkru" ::"a"(pkru), "c"(0), "d"(0) : "memory");
}

static inline int has_keys(void) {
  return WORD(AREA_ADDR, AREA_KEYS) != 0;
}

// True if what has trapped may not use key 0.
static inline int denies_slot(const struct sigcontext *mc) {
  u32 at = WORD(PUBLISH_ADDR, PUBLISH_PKRU);
  return at != 0 && (QUAD(mc->fpstate, 512) >> XFEATURE_PKRU & 1) != 0 && (WORD(mc->fpstate, at) & 3) != 0;
}

static inline void publish(u64 slot, u32 event) {
  WORD(slot, SLOT_EVENT) = event | current_cpu() << 8;
  __atomic_store_n((volatile u32 *)(slot + SLOT_STATE), STATE_TRAPPED, __ATOMIC_RELEASE);
  u64 chunk = slot & ~(CHUNK_SIZE - 1);
  u32 bit = (u32)((slot - chunk) / SLOT_SIZE);
  __atomic_fetch_or((volatile u32 *)(chunk + CHUNK_PENDING), 1u << bit, __ATOMIC_SEQ_CST);
}

// Waits for the sentry's answer: spins while the sentry is awake on another CPU, else (or after that) sleeps in a
// notification, which also wakes the sentry.
static inline void wait_go(u64 slot) {
  volatile u32 *state = (volatile u32 *)(slot + SLOT_STATE);
  u32 rounds = WORD(PUBLISH_ADDR, PUBLISH_SPIN);
  if (WORD(PUBLISH_ADDR, PUBLISH_SENTRY_CPU) != current_cpu()) {
    for (u32 i = 0; i < rounds; i++) {
      u32 now = __atomic_load_n(state, __ATOMIC_ACQUIRE);
      if (now == STATE_GO) return;
      if (now == STATE_PARKED || WORD(PUBLISH_ADDR, PUBLISH_ASLEEP)) break;
      __builtin_ia32_pause();
    }
  }
  u32 expected = STATE_TRAPPED;
  if (!__atomic_compare_exchange_n(state, &expected, STATE_SLEEPING, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE) &&
      expected == STATE_PARKED)
    __atomic_compare_exchange_n(state, &expected, STATE_SLEEPING, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
  while (__atomic_load_n(state, __ATOMIC_ACQUIRE) != STATE_GO) {
    long r = SYS1(SLEEP_SYSCALL, slot);
    if (r == -ENOSYS) die(1); // the sentry is gone
    if (r < 0) SYS0(NR_sched_yield);
  }
}

NORETURN static inline void leave(u64 frame) {
  __asm__ volatile("lea 8(%0), %%rsp\n mov %1, %%eax\n jmp stub_site" ::"r"(frame), "i"(NR_rt_sigreturn) : "memory");
  __builtin_unreachable();
}

NORETURN static inline void exit_thread(u64 slot) {
  __asm__ volatile("movl %2, (%0)\n mov %1, %%eax\n xor %%edi, %%edi\n jmp stub_site" ::"r"(slot + SLOT_STATE),
                   "i"(NR_exit), "i"(STATE_FREE) : "memory");
  __builtin_unreachable();
}

// The last words of a thread, a process or a program: what the host has counted.
static inline void note_usage(u64 slot, u32 nr) {
  if (nr == NR_exit) SYS2(NR_getrusage, 1 /* RUSAGE_THREAD */, slot + SLOT_THREAD_USAGE);
  if (nr == NR_exit_group || nr == NR_execve || nr == NR_execveat) SYS2(NR_getrusage, 0, slot + SLOT_USAGE);
}

NORETURN void stub_wait(u64 slot);
void stub_prefetch(u64 slot, u32 nr, const u64 *args);
// Signal entry, and what signal frames return to.
extern void stub_entry(void);
extern void stub_restorer(void);

// ---- orders (stub-orders.c) -----------------------------------------------------------------------------------------
int stub_run_orders(u64 slot);   // 0 when all have been executed; else the failure has been published
int stub_run_copyouts(u64 slot); // 0, or −1 after a fault

// ---- calls from patched sites (stub-fast.c) -------------------------------------------------------------------------
enum { STUB_TEXT_MAX = 0x10000 };
extern const char stub_fast[], stub_fast_probe[], stub_fast_store[], stub_fast_slow[], stub_fast_leave[], stub_fast_end[],
    stub_fast_trapped[], stub_detour[], stub_detour_leave[], stub_detour_end[];
// A signal has come while the thread was in the stub on behalf of a patched site. Returns 0 if it goes on there.
int stub_fast_signal(u64 slot, int signo, struct sigcontext *mc);
// Makes a frame of a trapped call lead to where the call goes on as if it came from a patched site.
void stub_make_detour(u64 slot, u64 nr, struct sigcontext *mc);

// ---- calls about what the kernel has lent to the thread (stub-lent.c) --------------------------------------------------
int stub_answer_lent(u64 slot, u64 nr, const u64 *args, u64 *result);
long stub_rseq(u64 slot, const u64 *args); // rseq(2), made on the host
void stub_forget_rseq(u64 slot);           // The guest thread ends.

// ---- answers about names that the kernel has lent (stub-names.c) -----------------------------------------------------
int stub_answer_name(u64 slot, const u64 *args, u64 *result);
void stub_keep_name(u64 slot, u64 result); // The sentry's answer to the call that is under way may be repeated.

// sched_yield(2) of threads that make futex calls themselves: what they wait for is one another.
static inline int stub_yield(u64 *result) {
  if (WORD(AREA_ADDR, AREA_OWN_FUTEXES) == 0) return 0;
  *result = (u64)SYS0(NR_sched_yield);
  return 1;
}

// True if the thread has answered the call itself.
static inline int stub_answer(u64 slot, u64 nr, const u64 *args, u64 *result) {
  if (nr == NR_sched_yield) return stub_yield(result);
  if (nr == NR_readlink) return stub_answer_name(slot, args, result);
  return (nr == NR_rt_sigprocmask || nr == NR_set_robust_list || nr == NR_rseq) && stub_answer_lent(slot, nr, args, result);
}

// ---- futex calls on private words (stub-futex.c) --------------------------------------------------------------------
int stub_owns_futex(const u64 *args);        // True if the thread makes the call itself.
int stub_futex_waits(const u64 *args);       // True if such a call may wait.
long stub_futex(u64 slot, const u64 *args);  // −EINTR: interrupted, the sentry is to decide. A wait is not made in a handler.
static inline int stub_is_sleep(u64 nr) { return nr == NR_nanosleep || nr == NR_clock_nanosleep; }
int stub_owns_sleep(u64 slot, u64 nr, const u64 *args); // The same for sleeps, whose time is then in the slot.
long stub_sleep(u64 slot);
void stub_leave_futex(struct sigcontext *mc); // An interrupt signal has come: a wait that is about to begin does not.
