// The stub: the code of ours that lives in guest address spaces, and the zygote from which they all descend.
//
// Freestanding, position fixed (STUB_BASE), no data of its own. It enters as the handler of SIGSYS, of fault signals and
// of the interrupt signal on the alternate stack inside a slot of the shared area, publishes what happened there, waits
// for the sentry's command and obeys it. It holds no secret and is not trusted: guest code may overwrite it or jump
// anywhere into it. What a guest thread may ask of the host is decided by the seccomp filter (guest-filter.ts) alone.
#include "stub-layout.h"

typedef unsigned long u64;
typedef unsigned int u32;
typedef unsigned short u16;
typedef unsigned char u8;

#define HIDDEN __attribute__((visibility("hidden")))
#define NORETURN __attribute__((noreturn))

enum {
  NR_close = 3, NR_mmap = 9, NR_mprotect = 10, NR_munmap = 11, NR_rt_sigaction = 13, NR_rt_sigprocmask = 14,
  NR_rt_sigreturn = 15, NR_sched_yield = 24, NR_mincore = 27, NR_clone = 56, NR_exit = 60, NR_sigaltstack = 131,
  NR_prctl = 157, NR_futex = 202, NR_exit_group = 231, NR_prlimit64 = 302, NR_seccomp = 317, NR_close_range = 436,
};
enum { EAGAIN = 11, EFAULT = 14, ENOSYS = 38 };
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
// The only `syscall` of the stub is the first instruction of its text. It returns through rbx, so that code without a
// stack can use it.
__asm__(".section .site,\"ax\",@progbits\n"
        ".globl stub_site\n.hidden stub_site\n"
        "stub_site:\n"
        "  syscall\n"
        "  jmp *%rbx\n"
        "  int3\n" // STUB_TRAP: where rbx leads when a tracer has set the registers
        ".balign 8\n"
        "  lock cmpxchg %esi, (%rdi)\n" // STUB_CMPXCHG
        "  jmp *%rbx\n"
        "  .p2align 4\n" // STUB_FAST
        "  jmp stub_fast\n"
        ".text\n");

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

// ---- copying with fault recovery ------------------------------------------------------------------------------------
// A fault with rip between stub_copy_begin and stub_copy_end is resumed at stub_copy_fault. Nothing but the return
// address is on the stack there.
long stub_copy(void *dst, const void *src, u64 n) HIDDEN;              // 0 or −EFAULT
long stub_copy_string(void *dst, const void *src, u64 max) HIDDEN;     // length with NUL, 0 without one, or −EFAULT
long stub_swap(void *word, u32 expected, u32 value) HIDDEN;            // what was there, or −EFAULT
extern const char stub_copy_begin[] HIDDEN, stub_copy_end[] HIDDEN, stub_copy_fault[] HIDDEN;
__asm__(".text\n"
        ".globl stub_copy, stub_copy_string, stub_swap, stub_copy_begin, stub_copy_end, stub_copy_fault\n"
        "stub_copy_begin:\n"
        "stub_copy:\n"
        "  mov %rdx, %rcx\n"
        "  shr $3, %rcx\n"
        "  jz 2f\n"
        "  cmp $32, %rcx\n"
        "  ja 4f\n"
        "1: mov (%rsi), %rax\n"
        "  mov %rax, (%rdi)\n"
        "  add $8, %rsi\n"
        "  add $8, %rdi\n"
        "  dec %rcx\n"
        "  jnz 1b\n"
        "  jmp 2f\n"
        "4: rep movsq\n"
        "2: mov %rdx, %rcx\n"
        "  and $7, %rcx\n"
        "  rep movsb\n"
        "  xor %eax, %eax\n"
        "  ret\n"
        "stub_copy_string:\n"
        "  xor %ecx, %ecx\n"
        "3: cmp %rdx, %rcx\n"
        "  jae 5f\n"
        "  movzbl (%rsi,%rcx), %eax\n"
        "  mov %al, (%rdi,%rcx)\n"
        "  inc %rcx\n"
        "  test %al, %al\n"
        "  jnz 3b\n"
        "  mov %rcx, %rax\n"
        "  ret\n"
        "5: xor %eax, %eax\n"
        "  ret\n"
        "stub_swap:\n"
        "  mov %esi, %eax\n"
        "  lock cmpxchg %edx, (%rdi)\n"
        "  ret\n"
        "stub_copy_end:\n"
        "stub_copy_fault:\n"
        "  mov $-14, %rax\n"
        "  ret\n");

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

NORETURN void stub_wait(u64 slot) HIDDEN;

// clone of a process. Parent and child share the slot area until the child has mapped its own, so the child must not
// touch the stack: registers only until then.
static long clone_process(u64 nonce) {
  long ret = NR_clone;
  register u64 r10 __asm__("r10") = 0;
  register u64 r8 __asm__("r8") = 0;
  register u64 r12 __asm__("r12") = nonce << 32 | GATE_FD;
  __asm__ volatile("leaq 1f(%%rip), %%rbx\n"
                   "jmp stub_site\n"
                   "1: test %%rax, %%rax\n"
                   "jnz 9f\n"
                   // Child: map the own area over the parent's.
                   "mov %[area], %%rdi\n"
                   "mov %[size], %%rsi\n"
                   "mov $3, %%edx\n"
                   "mov $0x11, %%r10d\n"
                   "mov %%r12, %%r8\n"
                   "xor %%r9d, %%r9d\n"
                   "mov $9, %%eax\n"
                   "leaq 2f(%%rip), %%rbx\n"
                   "jmp stub_site\n"
                   "2: mov %[area], %%r12\n"
                   "cmp %%r12, %%rax\n"
                   "je 4f\n"
                   "3: mov $231, %%eax\n"
                   "mov $1, %%edi\n"
                   "leaq 3b(%%rip), %%rbx\n"
                   "jmp stub_site\n"
                   "4: mov $3, %%eax\n"
                   "mov %[fd], %%edi\n"
                   "leaq 5f(%%rip), %%rbx\n"
                   "jmp stub_site\n"
                   "5: lea %c[slot](%%r12), %%rdi\n"
                   "mov %c[frame](%%rdi), %%rsp\n"
                   "sub $256, %%rsp\n"
                   "and $-16, %%rsp\n"
                   "call stub_wait\n"
                   "ud2\n"
                   "9:"
                   : "+a"(ret), "+r"(r12), "+r"(r10), "+r"(r8)
                   : "D"(CLONE_FLAGS_PROCESS), "S"(0), "d"(0), [area] "i"(AREA_ADDR), [size] "i"(AREA_SIZE),
                     [fd] "i"(GATE_FD), [slot] "i"(SLOT_SIZE), [frame] "i"(SLOT_FRAME)
                   : "rbx", "rcx", "r11", "r9", "memory");
  return ret;
}

// clone of a thread: the child starts on the stack of its own slot.
static long clone_thread(u64 slot) {
  long ret = NR_clone;
  u64 stack = (QUAD(slot, SLOT_FRAME) - 256) & ~15UL;
  register u64 r10 __asm__("r10") = 0;
  register u64 r8 __asm__("r8") = 0;
  register u64 r12 __asm__("r12") = slot;
  __asm__ volatile("leaq 1f(%%rip), %%rbx\n"
                   "jmp stub_site\n"
                   "1: test %%rax, %%rax\n"
                   "jnz 9f\n"
                   "mov %%r12, %%rdi\n"
                   "call stub_wait\n"
                   "ud2\n"
                   "9:"
                   : "+a"(ret), "+r"(r12), "+r"(r10), "+r"(r8)
                   : "D"(CLONE_FLAGS_THREAD), "S"(stack), "d"(0)
                   : "rbx", "rcx", "r11", "r9", "memory");
  return ret;
}

static long run_order(const struct order *o) {
  if (o->nr == NR_clone)
    return o->args[0] == CLONE_FLAGS_THREAD ? clone_thread(o->args[1]) : clone_process(o->nonce);
  long r;
  if (o->nr == ORDER_CMPXCHG) {
    r = stub_swap((void *)o->args[0], (u32)o->args[1], (u32)o->args[2]);
    return r < 0 ? r : (u32)r == (u32)o->args[1] ? 0 : -EAGAIN;
  }
  for (;;) {
    r = syscall6((long)o->nr, o->args[0], o->args[1], o->args[2], o->args[3], o->args[4], o->args[5]);
    // The mapping descriptor is in use by another thread of this process.
    if (r != -EAGAIN || o->nr != NR_mmap) break;
    SYS0(NR_sched_yield);
  }
  if (o->nr == NR_mmap && (u32)o->args[4] == GATE_FD) SYS1(NR_close, GATE_FD);
  return r;
}

// Returns 0 when all orders have been executed; else publishes the failure.
static int run_orders(u64 slot) {
  u32 count = WORD(slot, SLOT_ORDER_COUNT);
  for (u32 i = 0; i < count && i < ORDERS_MAX; i++) {
    long r = run_order((const struct order *)(slot + SLOT_ORDERS + i * ORDER_SIZE));
    QUAD(slot, SLOT_NR) = (u64)r;
    if (r < 0 && r >= -4095) {
      QUAD(slot, SLOT_ARGS) = i;
      QUAD(slot, SLOT_ARGS + 8) = (u64)-r;
      publish(slot, EVENT_ORDER_FAILED);
      return -1;
    }
    __atomic_store_n((volatile u32 *)(slot + SLOT_PROGRESS), i + 1, __ATOMIC_RELEASE);
  }
  return 0;
}

static int run_copyouts(u64 slot) {
  u32 count = WORD(slot, SLOT_COPYOUT_COUNT);
  for (u32 i = 0; i < count && i < COPYOUTS_MAX; i++) {
    struct copyout c = *(struct copyout *)(slot + SLOT_COPYOUTS + i * COPYOUT_SIZE);
    if (stub_copy((void *)c.addr, (void *)(slot + SLOT_DATA + c.offset), c.len) != 0) return -1;
  }
  return 0;
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

// The thread's life outside the guest: wait for a command, obey, until one of them leads back.
NORETURN void stub_wait(u64 slot) {
  for (;;) {
    wait_go(slot);
    u32 command = WORD(slot, SLOT_EVENT);
    u64 result = QUAD(slot, SLOT_NR);
    if (command == COMMAND_EXIT_THREAD) exit_thread(slot);
    if (WORD(slot, SLOT_ORDER_COUNT) != 0 && run_orders(slot) != 0) continue;
    if (command == COMMAND_REPORT) {
      publish(slot, EVENT_ORDERS_DONE);
      continue;
    }
    u64 frame = QUAD(slot, SLOT_FRAME);
    struct ucontext *uc = (struct ucontext *)(frame + 8);
    if (WORD(slot, SLOT_COPYOUT_COUNT) != 0 && run_copyouts(slot) != 0) result = (u64)-EFAULT;
    if (command == COMMAND_RESUME_SYSCALL) uc->mc.rax = result;
    // A guest without a GS base of its own has its slot there: that is how calls from patched sites find it.
    if (QUAD(slot, SLOT_GS_BASE) == 0) {
      QUAD(slot, SLOT_SELF) = slot;
      __asm__ volatile("wrgsbase %0" ::"r"(slot));
    }
    leave(frame);
  }
}

// Fetches what the syscall's arguments point to into the window, as the copy plan says. Absent or faulting: length 0.
static inline void prefetch(u64 slot, u32 nr, const u64 *args) {
  const u32 *plan = (const u32 *)(PUBLISH_ADDR + PUBLISH_PLAN) + nr * 6;
  u64 used = 0;
  for (u32 i = 0; i < 6; i++) {
    u32 p = plan[i];
    u64 len = 0;
    if ((p & 3) != 0 && args[i] != 0 && used < PREFETCH_SIZE) {
      u64 room = PREFETCH_SIZE - used;
      void *dst = (void *)(slot + SLOT_PREFETCH + used);
      if ((p & 3) == PLAN_KIND_STRING) {
        long n = stub_copy_string(dst, (const void *)args[i], room < 4096 ? room : 4096);
        len = n > 0 ? (u64)n : 0;
      } else {
        u64 want = p >> 8;
        if ((p & 3) == PLAN_KIND_IN_BUF) {
          u64 count = args[p >> 2 & 7];
          want = count < PREFETCH_SIZE ? want * count : PREFETCH_SIZE + 1;
        }
        if (want <= room && stub_copy(dst, (const void *)args[i], want) == 0) len = want;
      }
    }
    WORD(slot, SLOT_PREFETCH_LEN + 4 * i) = (u32)len;
    used += (len + 7) & ~7UL;
  }
}

static inline void save_segments(u64 slot) {
  u64 fs, gs;
  __asm__ volatile("rdfsbase %0\n rdgsbase %1" : "=r"(fs), "=r"(gs));
  QUAD(slot, SLOT_FS_BASE) = fs;
  QUAD(slot, SLOT_GS_BASE) = gs == slot ? 0 : gs;
}

// ---- calls from patched sites -----------------------------------------------------------------------------------------
// No signal and no frame: the guest's registers stay where they are, its stack is not touched, the call is handled on a
// stack of the slot. What cannot be done so goes to the site's own `syscall`, two bytes before the return address, or
// leaves by a trap in the stub whose frame is made to look like one at the site.
//
// The interrupt signal may come at any point here. Until the call has been published it is overtaken by it. While the
// thread is on its way back it sets SLOT_FAST_INTERRUPT, and behind the last look at that word (from stub_fast_leave on) the
// return is completed in the frame.
enum { STUB_TEXT_MAX = 0x10000 };
extern const char stub_fast[] HIDDEN, stub_fast_probe[] HIDDEN, stub_fast_slow[] HIDDEN, stub_fast_leave[] HIDDEN, stub_fast_end[] HIDDEN,
    stub_fast_trapped[] HIDDEN;
// Words below SLOT_FAST_STACK.
enum { SAVED_FLAGS = -1, SAVED_RIP = -2, SAVED_NR = -3, SAVED_R9 = -4, SAVED_R8 = -5, SAVED_R10 = -6, SAVED_RDX = -7,
       SAVED_RSI = -8, SAVED_RDI = -9 };
#define RESTORE_ARGS "  pop %rdi\n  pop %rsi\n  pop %rdx\n  pop %r10\n  pop %r8\n  pop %r9\n"
__asm__(".text\n"
        ".globl stub_fast, stub_fast_probe, stub_fast_slow, stub_fast_leave, stub_fast_end, stub_fast_trapped\n"
        "stub_fast:\n"
        "  rdgsbase %r11\n"
        "stub_fast_probe:\n" // May fault: a GS base of the guest's own.
        "  cmp %r11, %gs:" SLOT_SELF_ASM "\n"
        "  jne stub_fast_slow\n"
        "  mov %rsp, " SLOT_FAST_RSP_ASM "(%r11)\n"
        "  mov %rcx, " SLOT_FAST_RIP_ASM "(%r11)\n"
        "  lea " SLOT_FAST_STACK_ASM "(%r11), %rsp\n"
        "  pushfq\n"
        "  testl $0x40500, (%rsp)\n" // AC, DF, TF
        "  jnz 1f\n"
        "  push %rcx\n"
        "  push %rax\n"
        "  push %r9\n"
        "  push %r8\n"
        "  push %r10\n"
        "  push %rdx\n"
        "  push %rsi\n"
        "  push %rdi\n"
        "  movl $0, " SLOT_FAST_INTERRUPT_ASM "(%r11)\n"
        "  mov %r11, %rdi\n"
        "  sub $8, %rsp\n"
        "  call stub_fast_call\n" // Result in rax; in rdx 0, or the event to trap with.
        "  add $8, %rsp\n"
        "  test %edx, %edx\n"
        "  jnz 2f\n"
        "  cmpl $0, %gs:" SLOT_FAST_INTERRUPT_ASM "\n"
        "stub_fast_leave:\n"
        "  jne 3f\n"
        RESTORE_ARGS
        "  pop %rcx\n"
        "  pop %rcx\n"
        "  pop %r11\n"
        "  mov %gs:" SLOT_FAST_RSP_ASM ", %rsp\n"
        "  jmp *%rcx\n"
        "stub_fast_end:\n"
        "1: mov %gs:" SLOT_FAST_RSP_ASM ", %rsp\n"
        "stub_fast_slow:\n"
        "  lea -2(%rcx), %rcx\n"
        "  jmp *%rcx\n"
        "3: mov $" EVENT_INTERRUPT_ASM ", %edx\n"
        "2: mov %rax, %gs:" SLOT_FAST_RAX_ASM "\n"
        "  mov %edx, %gs:" SLOT_FAST_EVENT_ASM "\n"
        RESTORE_ARGS
        "  pop %rcx\n"
        "  pop %rcx\n"
        "  pop %r11\n"
        "  mov %gs:" SLOT_FAST_RSP_ASM ", %rsp\n"
        "  mov $39, %eax\n"
        "  syscall\n" // Not where the filter lets anything through.
        "stub_fast_trapped:\n"
        "  ud2\n");

struct outcome { u64 rax, event; };

__attribute__((used)) HIDDEN struct outcome stub_fast_call(u64 slot) {
  const u64 *saved = (const u64 *)(slot + SLOT_FAST_STACK);
  u64 nr = saved[SAVED_NR];
  if (nr >= PLAN_SYSCALLS || (WORD(PUBLISH_ADDR, PUBLISH_FAST + nr / 32 * 4) >> nr % 32 & 1) == 0)
    return (struct outcome){nr, EVENT_SYSCALL};
  u64 own[6] = {saved[SAVED_RDI], saved[SAVED_RSI], saved[SAVED_RDX], saved[SAVED_R10], saved[SAVED_R8], saved[SAVED_R9]};
  u64 *args = (u64 *)(slot + SLOT_ARGS);
  for (u32 i = 0; i < 6; i++) args[i] = own[i];
  WORD(slot, SLOT_NR) = (u32)nr;
  const u32 *plan = (const u32 *)(PUBLISH_ADDR + PUBLISH_PLAN) + nr * 6;
  if ((plan[0] | plan[1] | plan[2] | plan[3] | plan[4] | plan[5]) != 0) prefetch(slot, (u32)nr, own);
  publish(slot, EVENT_FAST_SYSCALL);
  for (;;) {
    wait_go(slot);
    u32 command = WORD(slot, SLOT_EVENT);
    u64 result = QUAD(slot, SLOT_NR);
    if (command == COMMAND_EXIT_THREAD) exit_thread(slot);
    if (command == COMMAND_COMPLETE) return (struct outcome){nr, EVENT_ORDERS_DONE};
    if (WORD(slot, SLOT_ORDER_COUNT) != 0 && run_orders(slot) != 0) continue;
    if (command == COMMAND_REPORT) {
      publish(slot, EVENT_ORDERS_DONE);
      continue;
    }
    if (WORD(slot, SLOT_COPYOUT_COUNT) != 0 && run_copyouts(slot) != 0) result = (u64)-EFAULT;
    return (struct outcome){result, 0};
  }
}

// A signal has come while the thread was in the stub on behalf of a patched site. Returns 0 if it goes on there.
static inline int fast_signal(u64 slot, int signo, struct sigcontext *mc) {
  if (signo == SIGSYS && mc->rip == (u64)stub_fast_trapped) {
    mc->rip = mc->rcx = QUAD(slot, SLOT_FAST_RIP);
    mc->rax = QUAD(slot, SLOT_FAST_RAX);
    return 1;
  }
  if (signo == SIGTRAP) return mc->rip - (u64)stub_fast >= (u64)(stub_fast_trapped - stub_fast); // Single steps.
  if (mc->rip == (u64)stub_fast_probe && signo == SIGSEGV) mc->rip = (u64)stub_fast_slow;
  else if (signo != INTERRUPT_SIGNAL) return 1;
  if (mc->rip == (u64)stub_fast_slow) return 0;
  if (mc->rip - (u64)stub_fast_leave >= (u64)(stub_fast_end - stub_fast_leave)) {
    if (WORD(slot, SLOT_STATE) == STATE_GO) WORD(slot, SLOT_FAST_INTERRUPT) = 1;
    return 0;
  }
  const u64 *saved = (const u64 *)(slot + SLOT_FAST_STACK);
  mc->rdi = saved[SAVED_RDI];
  mc->rsi = saved[SAVED_RSI];
  mc->rdx = saved[SAVED_RDX];
  mc->r10 = saved[SAVED_R10];
  mc->r8 = saved[SAVED_R8];
  mc->r9 = saved[SAVED_R9];
  mc->r11 = saved[SAVED_FLAGS];
  mc->rip = mc->rcx = saved[SAVED_RIP];
  mc->rsp = QUAD(slot, SLOT_FAST_RSP);
  return 1;
}

NORETURN __attribute__((used)) HIDDEN void stub_trap(int signo, struct siginfo *info, struct ucontext *uc, u64 frame) {
  u64 slot = frame & ~(SLOT_SIZE - 1);
  struct sigcontext *mc = &uc->mc;
  if ((signo == SIGSEGV || signo == SIGBUS) && mc->rip - (u64)stub_copy_begin < (u64)(stub_copy_end - stub_copy_begin)) {
    mc->rip = (u64)stub_copy_fault;
    leave(frame);
  }
  int fast = signo == SIGSYS && mc->rip == (u64)stub_fast_trapped;
  if (mc->rip - STUB_BASE < STUB_TEXT_MAX && !fast_signal(slot, signo, mc)) leave(frame);
  QUAD(slot, SLOT_FRAME) = frame;
  save_segments(slot);
  u64 *args = (u64 *)(slot + SLOT_ARGS);
  u32 event;
  if (fast && WORD(slot, SLOT_FAST_EVENT) != EVENT_SYSCALL) {
    event = WORD(slot, SLOT_FAST_EVENT);
  } else if (signo == SIGSYS && info->code == 1 /* SYS_SECCOMP */) {
    int native = info->arch == 0xc000003e && mc->cs == 0x33;
    int nr = native ? info->syscall : -1;
    if (fast) nr = (int)mc->rax;
    args[0] = mc->rdi;
    args[1] = mc->rsi;
    args[2] = mc->rdx;
    args[3] = mc->r10;
    args[4] = mc->r8;
    args[5] = mc->r9;
    WORD(slot, SLOT_NR) = (u32)nr;
    if ((u32)nr < PLAN_SYSCALLS) {
      const u32 *plan = (const u32 *)(PUBLISH_ADDR + PUBLISH_PLAN) + (u32)nr * 6;
      u64 own[6] = {mc->rdi, mc->rsi, mc->rdx, mc->r10, mc->r8, mc->r9};
      if ((plan[0] | plan[1] | plan[2] | plan[3] | plan[4] | plan[5]) != 0) prefetch(slot, (u32)nr, own);
    }
    event = EVENT_SYSCALL;
  } else if (signo == INTERRUPT_SIGNAL) {
    event = EVENT_INTERRUPT;
  } else {
    args[0] = info->addr;
    args[1] = (u64)(long)info->code;
    args[2] = mc->trapno;
    args[3] = mc->err;
    event = (u32)signo;
  }
  publish(slot, event);
  stub_wait(slot);
}

// Signal entry. The guest's AC flag survives into handlers and would make unaligned accesses fault.
__asm__(".text\n"
        ".globl stub_entry\n.hidden stub_entry\n"
        "stub_entry:\n"
        "  pushfq\n"
        "  andl $~0x40000, (%rsp)\n"
        "  popfq\n"
        "  mov %rsp, %rcx\n"
        "  and $-16, %rsp\n"
        "  call stub_trap\n"
        "  ud2\n"
        ".globl stub_restorer\n.hidden stub_restorer\n"
        "stub_restorer:\n"
        "  mov $15, %eax\n"
        "  jmp stub_site\n");

// ---- zygote -----------------------------------------------------------------------------------------------------------
struct sock_filter { u16 code; u8 jt, jf; u32 k; };
struct sock_fprog { u16 len; const struct sock_filter *filter; };
static const struct sock_filter guest_filter[] = {
#include "guest-filter.h"
};
struct sigaction { void (*handler)(void); u64 flags; void (*restorer)(void); u64 mask; };
extern void stub_entry(void) HIDDEN;
extern void stub_restorer(void) HIDDEN;
extern void stub_site(void) HIDDEN;

enum { SA_SIGINFO = 4, SA_RESTORER = 0x04000000, SA_ONSTACK = 0x08000000, SA_NODEFER = 0x40000000 };

static inline void must(long r, int status) {
  if (r < 0) die(status);
}

static void limit(int resource, u64 value) {
  u64 both[2] = {value, value};
  must(SYS4(NR_prlimit64, 0, resource, both, 0), 20);
}

static void install_handlers(void) {
  // Fault signals stay unblocked in the handler: its copies may fault.
  u64 open = 1UL << (SIGSEGV - 1) | 1UL << (SIGBUS - 1) | 1UL << (SIGILL - 1) | 1UL << (SIGFPE - 1) |
             1UL << (SIGTRAP - 1) | 1UL << (SIGSYS - 1);
  struct sigaction sa = {stub_entry, SA_SIGINFO | SA_RESTORER | SA_ONSTACK | SA_NODEFER, stub_restorer, ~open};
  static const u8 signals[] = {SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV, SIGSYS, INTERRUPT_SIGNAL};
  for (u32 i = 0; i < sizeof signals; i++) must(SYS4(NR_rt_sigaction, signals[i], &sa, 0, 8), 21);
  u64 none = 0;
  must(SYS4(NR_rt_sigprocmask, 2 /* SIG_SETMASK */, &none, 0, 8), 22);
  u64 stack[3] = {AREA_ADDR + SLOT_SIZE + SLOT_STACK, 0, STACK_SIZE};
  must(SYS2(NR_sigaltstack, stack, 0), 23);
}

static int mapped(u64 page) {
  u8 vec;
  return SYS3(NR_mincore, page, 4096, &vec) == 0;
}

// Runs on memory of the area outside the alternate stack, so that the initial stack can go.
__attribute__((used, noreturn)) HIDDEN void zygote_rest(void) {
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

  must(syscall6(NR_prctl, 38 /* PR_SET_NO_NEW_PRIVS */, 1, 0, 0, 0, 0), 30);
  struct sock_fprog prog = {sizeof guest_filter / sizeof guest_filter[0], guest_filter};
  // NEW_LISTENER | WAIT_KILLABLE_RECV; the latter since Linux 5.19.
  long fd = SYS3(NR_seccomp, 1 /* SECCOMP_SET_MODE_FILTER */, 8 | 32, &prog);
  if (fd < 0) fd = SYS3(NR_seccomp, 1, 8, &prog);
  must(fd, 31);
  if (fd != GATE_FD) die(32);
  volatile u32 *ready = (volatile u32 *)(head + ZYGOTE_READY), *taken = (volatile u32 *)(head + ZYGOTE_TAKEN);
  __atomic_store_n(ready, 1, __ATOMIC_SEQ_CST);
  SYS3(NR_futex, ready, 1 /* FUTEX_WAKE */, 1);
  while (__atomic_load_n(taken, __ATOMIC_SEQ_CST) == 0) SYS3(NR_futex, taken, 0 /* FUTEX_WAIT */, 0);
  SYS1(NR_close, GATE_FD);
  SYS1(NR_close, 0);
  // The first trap: from here on this thread is a context like any other. Its frame becomes the pattern of all.
  for (;;) __asm__ volatile("mov $39, %%eax\n syscall" ::: "rax", "rcx", "r11", "memory");
}

__attribute__((used, noreturn)) HIDDEN void zygote_main(u64 *sp) {
  u64 vdso = 0, minsigstksz = 2048, hwcap2 = 0;
  u64 *p = sp + 1 + sp[0] + 1;
  while (*p != 0) p++;
  for (p++; p[0] != 0; p += 2) {
    if (p[0] == 33) vdso = p[1];        // AT_SYSINFO_EHDR
    if (p[0] == 51) minsigstksz = p[1]; // AT_MINSIGSTKSZ
    if (p[0] == 26) hwcap2 = p[1];      // AT_HWCAP2
  }
  if ((hwcap2 & 2) == 0) die(10); // no rdfsbase in user mode
  u32 eax = 0x80000001, ebx, ecx, edx;
  __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "=c"(ecx), "=d"(edx));
  if ((edx & 1u << 27) == 0) die(15); // no rdtscp
  // Frame, handler and a nested frame.
  if (2 * minsigstksz + 2048 > STACK_SIZE) die(11);
  // Descriptor 0 is the area of this process; nothing else.
  SYS3(NR_close_range, 1, 0xffffffff, 0);
  if (syscall6(NR_mmap, AREA_ADDR, AREA_SIZE, 3, 0x11 /* SHARED|FIXED */, 0, 0) != (long)AREA_ADDR) die(12);
  // Until the sentry has published its pages, zeros: nobody spins, nothing is prefetched.
  if (syscall6(NR_mmap, PUBLISH_ADDR, PUBLISH_SIZE, 1, 0x32 /* PRIVATE|FIXED|ANON */, -1UL, 0) != (long)PUBLISH_ADDR)
    die(13);
  u64 vvar = vdso, vdso_end = vdso;
  if (vdso != 0) {
    while (vdso - vvar < 64 * 4096 && mapped(vvar - 4096)) vvar -= 4096;
    while (vdso_end - vdso < 64 * 4096 && mapped(vdso_end)) vdso_end += 4096;
    if (vvar < AREA_ADDR + AREA_SIZE) die(14);
  }
  QUAD(AREA_ADDR, ZYGOTE_VVAR) = vvar;
  QUAD(AREA_ADDR, ZYGOTE_VDSO) = vdso;
  QUAD(AREA_ADDR, ZYGOTE_VDSO_END) = vdso_end;
  QUAD(AREA_ADDR, ZYGOTE_MINSIGSTKSZ) = minsigstksz;

  limit(4, 1);   // CORE: 1, not 0: a pipe core helper runs at 0 (fs/coredump.c)
  limit(7, 2);   // NOFILE: 0 and GATE_FD
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
