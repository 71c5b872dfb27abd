// The stub: the code of ours that lives in guest address spaces, and the zygote from which they all descend.
//
// Freestanding, position fixed (STUB_BASE), no data of its own. It enters as the handler of SIGSYS, of fault signals and
// of the interrupt signal on the alternate stack inside a slot of the shared area, publishes what happened there, waits
// for the sentry's command and obeys it. It holds no secret and is not trusted: guest code may overwrite it or jump
// anywhere into it. What a guest thread may ask of the host is decided by the seccomp filter (guest-filter.ts) alone.
#include "stub.h"

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

// The thread's life outside the guest: wait for a command, obey, until one of them leads back.
NORETURN void stub_wait(u64 slot) {
  for (;;) {
    wait_go(slot);
    u32 command = WORD(slot, SLOT_EVENT);
    u64 result = QUAD(slot, SLOT_NR);
    if (has_keys()) write_pkru(0); // The sentry has looked at the guest's, which the frame brings back.
    if (command == COMMAND_EXIT_THREAD) exit_thread(slot);
    if (WORD(slot, SLOT_ORDER_COUNT) != 0 && stub_run_orders(slot) != 0) continue;
    if (command == COMMAND_REPORT) {
      publish(slot, EVENT_ORDERS_DONE);
      continue;
    }
    u64 frame = QUAD(slot, SLOT_FRAME);
    struct ucontext *uc = (struct ucontext *)(frame + 8);
    if (WORD(slot, SLOT_COPYOUT_COUNT) != 0 && stub_run_copyouts(slot) != 0) result = (u64)-EFAULT;
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
void stub_prefetch(u64 slot, u32 nr, const u64 *args) {
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

NORETURN __attribute__((used)) void stub_trap(int signo, struct siginfo *info, struct ucontext *uc, u64 frame) {
  u64 slot = frame & ~(SLOT_SIZE - 1);
  struct sigcontext *mc = &uc->mc;
  if ((signo == SIGSEGV || signo == SIGBUS) && mc->rip - (u64)stub_copy_begin < (u64)(stub_copy_end - stub_copy_begin)) {
    mc->rip = (u64)stub_copy_fault;
    leave(frame);
  }
  int fast = signo == SIGSYS && mc->rip == (u64)stub_fast_trapped;
  if (mc->rip - STUB_BASE < STUB_TEXT_MAX && !stub_fast_signal(slot, signo, mc)) leave(frame);
  QUAD(slot, SLOT_FRAME) = frame;
  save_segments(slot);
  u64 *args = (u64 *)(slot + SLOT_ARGS);
  u32 event;
  int denied = 0;
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
      u64 answer;
      // What the guest may touch is not what the handler may: copies for it are the sentry's, by the guest's PKRU.
      denied = denies_slot(mc);
      int keys = denied || has_keys();
      if (!keys && stub_answer(slot, (u32)nr, own, &answer)) {
        mc->rax = answer;
        leave(frame);
      }
      if (nr == NR_futex && !denied && stub_owns_futex(own)) {
        if (keys || stub_futex_waits(own)) stub_make_detour(slot, NR_futex, mc);
        else mc->rax = (u64)stub_futex(slot, own);
        leave(frame);
      }
      if (stub_is_sleep((u32)nr) && !keys && stub_owns_sleep(slot, (u32)nr, own)) {
        stub_make_detour(slot, (u32)nr, mc);
        leave(frame);
      }
      if (nr == NR_exit) stub_forget_rseq(slot);
      note_usage(slot, (u32)nr);
      if ((plan[0] | plan[1] | plan[2] | plan[3] | plan[4] | plan[5]) != 0) {
        if (keys) for (u32 i = 0; i < 6; i++) WORD(slot, SLOT_PREFETCH_LEN + 4 * i) = 0;
        else stub_prefetch(slot, (u32)nr, own);
      }
    }
    event = denied ? EVENT_SYSCALL | EVENT_KEY_DENIED : EVENT_SYSCALL;
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
