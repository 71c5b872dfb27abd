// Part of the stub: calls from patched sites.
//
// No signal and no frame: the guest's registers stay where they are, its stack is not touched, the call is handled on a
// stack of the slot. What cannot be done so goes to the site's own `syscall`, two bytes before the return address, or
// leaves by a trap in the stub whose frame is made to look like one at the site.
//
// The interrupt signal may come at any point here. It sets SLOT_FAST_INTERRUPT, and behind the last look at that word (from
// stub_fast_leave on) the return is completed in the frame. Until the call has been published it is overtaken by it; a wait
// that is not published ends (stub-futex.c).
#include "stub.h"

// Words below SLOT_FAST_STACK.
enum { SAVED_FLAGS = -1, SAVED_RIP = -2, SAVED_NR = -3, SAVED_R9 = -4, SAVED_R8 = -5, SAVED_R10 = -6, SAVED_RDX = -7,
       SAVED_RSI = -8, SAVED_RDI = -9, SAVED_WORDS = 9 };
#define RESTORE_ARGS "  pop %rdi\n  pop %rsi\n  pop %rdx\n  pop %r10\n  pop %r8\n  pop %r9\n"
// A field of the slot, from the stack pointer with the nine words saved and with none.
#define WITH_SAVED(FIELD) "(72 + " FIELD " - " SLOT_FAST_STACK_ASM ")(%rsp)"
#define WITH_NONE(FIELD) "(" FIELD " - " SLOT_FAST_STACK_ASM ")(%rsp)"
__asm__(".text\n"
        ".globl stub_fast, stub_fast_probe, stub_fast_store, stub_fast_slow, stub_fast_leave, stub_fast_end, stub_fast_trapped\n"
        ".globl stub_detour, stub_detour_leave, stub_detour_end\n"
        "stub_fast:\n"
        "  rdgsbase %r11\n"
        "stub_fast_probe:\n" // May fault: a GS base of the guest's own, or a PKRU that denies key 0.
        "  cmp %r11, %gs:" SLOT_SELF_ASM "\n"
        "  jne stub_fast_slow\n"
        "stub_fast_store:\n" // The same: a PKRU that denies writes.
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
        "  mov %r11, %rdi\n"
        "  sub $8, %rsp\n"
        "  call stub_fast_call\n" // Result in rax; in rdx 0, or the event to trap with.
        "  add $8, %rsp\n"
        "  test %edx, %edx\n"
        "  jnz 2f\n"
        "  cmpl $0, " WITH_SAVED(SLOT_FAST_INTERRUPT_ASM) "\n"
        "stub_fast_leave:\n"
        "  jne 3f\n"
        RESTORE_ARGS
        "  pop %rcx\n"
        "  pop %rcx\n"
        "  pop %r11\n"
        "  mov " WITH_NONE(SLOT_FAST_RSP_ASM) ", %rsp\n"
        "  jmp *%rcx\n"
        "stub_fast_end:\n"
        // A trapped call that goes on like one from a patched site (stub_make_detour); r11 is the slot.
        "stub_detour:\n"
        "  mov %r11, %rdi\n"
        "  sub $8, %rsp\n"
        "  call stub_fast_call\n"
        "  add $8, %rsp\n"
        "  test %edx, %edx\n"
        "  jnz 2f\n"
        "  cmpl $0, " WITH_SAVED(SLOT_FAST_INTERRUPT_ASM) "\n"
        "stub_detour_leave:\n"
        "  jne 3f\n"
        RESTORE_ARGS
        "  pop %rcx\n"
        "  pop %rcx\n"
        "  popfq\n"
        "  mov " WITH_NONE(SLOT_FAST_RSP_ASM) ", %rsp\n"
        "  jmp *%rcx\n"
        "stub_detour_end:\n"
        "1: mov " SLOT_FAST_RSP_ASM "(%r11), %rsp\n"
        "stub_fast_slow:\n"
        "  lea -2(%rcx), %rcx\n"
        "  jmp *%rcx\n"
        "3: mov $" EVENT_INTERRUPT_ASM ", %edx\n"
        "2: movl $0, " WITH_SAVED(SLOT_FAST_INTERRUPT_ASM) "\n"
        "  mov %rax, " WITH_SAVED(SLOT_FAST_RAX_ASM) "\n"
        "  mov %edx, " WITH_SAVED(SLOT_FAST_EVENT_ASM) "\n"
        RESTORE_ARGS
        "  pop %rcx\n"
        "  pop %rcx\n"
        "  pop %r11\n"
        "  mov " WITH_NONE(SLOT_FAST_RSP_ASM) ", %rsp\n"
        "  mov $39, %eax\n"
        "  syscall\n" // Not where the filter lets anything through.
        "stub_fast_trapped:\n"
        "  ud2\n");

struct outcome { u64 rax, event; };

__attribute__((used)) struct outcome stub_fast_call(u64 slot) {
  const u64 *saved = (const u64 *)(slot + SLOT_FAST_STACK);
  u64 nr = saved[SAVED_NR];
  if (nr >= PLAN_SYSCALLS || (WORD(PUBLISH_ADDR, PUBLISH_FAST + nr / 32 * 4) >> nr % 32 & 1) == 0)
    return (struct outcome){nr, EVENT_SYSCALL};
  if (has_keys()) WORD(slot, SLOT_PKRU) = read_pkru();
  u64 own[6] = {saved[SAVED_RDI], saved[SAVED_RSI], saved[SAVED_RDX], saved[SAVED_R10], saved[SAVED_R8], saved[SAVED_R9]};
  u64 answer;
  if (stub_answer(slot, nr, own, &answer)) return (struct outcome){answer, 0};
  if (nr == NR_futex && stub_owns_futex(own)) {
    long r = stub_futex(slot, own);
    if (r != -EINTR) return (struct outcome){(u64)r, 0};
    WORD(slot, SLOT_FAST_INTERRUPT) = 0; // The sentry is told by the call itself.
  }
  if (stub_is_sleep(nr) && stub_owns_sleep(slot, nr, own)) {
    long r = stub_sleep(slot);
    if (r != -EINTR) return (struct outcome){(u64)r, 0};
    WORD(slot, SLOT_FAST_INTERRUPT) = 0;
  }
  u64 *args = (u64 *)(slot + SLOT_ARGS);
  for (u32 i = 0; i < 6; i++) args[i] = own[i];
  WORD(slot, SLOT_NR) = (u32)nr;
  const u32 *plan = (const u32 *)(PUBLISH_ADDR + PUBLISH_PLAN) + nr * 6;
  if ((plan[0] | plan[1] | plan[2] | plan[3] | plan[4] | plan[5]) != 0) stub_prefetch(slot, (u32)nr, own);
  publish(slot, EVENT_FAST_SYSCALL);
  for (;;) {
    wait_go(slot);
    u32 command = WORD(slot, SLOT_EVENT);
    u64 result = QUAD(slot, SLOT_NR);
    if (command == COMMAND_EXIT_THREAD) exit_thread(slot);
    if (command == COMMAND_COMPLETE) return (struct outcome){nr, EVENT_ORDERS_DONE};
    if (WORD(slot, SLOT_ORDER_COUNT) != 0 && stub_run_orders(slot) != 0) continue;
    if (command == COMMAND_REPORT) {
      publish(slot, EVENT_ORDERS_DONE);
      continue;
    }
    if (WORD(slot, SLOT_COPYOUT_COUNT) != 0 && stub_run_copyouts(slot) != 0) result = (u64)-EFAULT;
    if (nr == NR_readlink && WORD(slot, SLOT_LENT_ANSWER) != 0) stub_keep_name(slot, result);
    return (struct outcome){result, 0};
  }
}

void stub_make_detour(u64 slot, u64 nr, struct sigcontext *mc) {
  u64 *saved = (u64 *)(slot + SLOT_FAST_STACK);
  saved[SAVED_FLAGS] = mc->eflags;
  saved[SAVED_RIP] = QUAD(slot, SLOT_FAST_RIP) = mc->rip;
  saved[SAVED_NR] = nr;
  saved[SAVED_R9] = mc->r9;
  saved[SAVED_R8] = mc->r8;
  saved[SAVED_R10] = mc->r10;
  saved[SAVED_RDX] = mc->rdx;
  saved[SAVED_RSI] = mc->rsi;
  saved[SAVED_RDI] = mc->rdi;
  QUAD(slot, SLOT_FAST_RSP) = mc->rsp;
  mc->rsp = (u64)(saved - SAVED_WORDS);
  mc->eflags &= ~0x40500UL;
  mc->r11 = slot;
  mc->rip = (u64)stub_detour;
}

int stub_fast_signal(u64 slot, int signo, struct sigcontext *mc) {
  const u64 *saved = (const u64 *)(slot + SLOT_FAST_STACK);
  if (signo == SIGSYS && mc->rip == (u64)stub_fast_trapped) {
    mc->rip = mc->rcx = QUAD(slot, SLOT_FAST_RIP);
    mc->rax = QUAD(slot, SLOT_FAST_RAX);
    mc->eflags = saved[SAVED_FLAGS];
    return 1;
  }
  if (signo == SIGTRAP) return mc->rip - (u64)stub_fast >= (u64)(stub_fast_trapped - stub_fast); // Single steps.
  if ((mc->rip == (u64)stub_fast_probe || mc->rip == (u64)stub_fast_store) && signo == SIGSEGV) mc->rip = (u64)stub_fast_slow;
  else if (signo != INTERRUPT_SIGNAL) return 1;
  if (mc->rip == (u64)stub_fast_slow) return 0;
  if (mc->rip - (u64)stub_fast_leave >= (u64)(stub_fast_end - stub_fast_leave) &&
      mc->rip - (u64)stub_detour_leave >= (u64)(stub_detour_end - stub_detour_leave)) {
    if (WORD(slot, SLOT_STATE) == STATE_GO) WORD(slot, SLOT_FAST_INTERRUPT) = 1;
    stub_leave_futex(mc);
    return 0;
  }
  mc->rdi = saved[SAVED_RDI];
  mc->rsi = saved[SAVED_RSI];
  mc->rdx = saved[SAVED_RDX];
  mc->r10 = saved[SAVED_R10];
  mc->r8 = saved[SAVED_R8];
  mc->r9 = saved[SAVED_R9];
  mc->r11 = mc->eflags = saved[SAVED_FLAGS];
  mc->rip = mc->rcx = saved[SAVED_RIP];
  mc->rsp = QUAD(slot, SLOT_FAST_RSP);
  return 1;
}
