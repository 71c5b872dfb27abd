// Part of the stub: what the sentry has a guest thread do on the host, and copies that may fault.
#include "stub.h"

// A fault with rip between stub_copy_begin and stub_copy_end is resumed at stub_copy_fault. Nothing but the return
// address is on the stack there.
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

static long try_order(const struct order *o) {
  long r;
  if (o->nr == NR_clone) {
    if (o->args[0] == CLONE_FLAGS_THREAD) return clone_thread(o->args[1]);
    r = clone_process(o->nonce);
    if (o->args[2] != 0) SYS1(NR_close, GATE_FD); // The child's area, which it has inherited.
    return r;
  }
  if (o->nr == ORDER_CMPXCHG) {
    r = stub_swap((void *)o->args[0], (u32)o->args[1], (u32)o->args[2]);
    return r < 0 ? r : (u32)r == (u32)o->args[1] ? 0 : -EAGAIN;
  }
  if (o->nr == NR_rseq) return stub_rseq((u64)o & ~(SLOT_SIZE - 1), o->args);
  r = syscall6((long)o->nr, o->args[0], o->args[1], o->args[2], o->args[3], o->args[4], o->args[5]);
  if (o->nr == NR_mmap && (int)o->args[4] >= 0) SYS1(NR_close, o->args[4]);
  return r;
}

// The interrupt signal, which a patched call does not keep out, ends the wait for the gate's consent with EINTR if the gate
// has not heard of the call yet (WAIT_KILLABLE_RECV): what was ordered is still to be done.
static long run_order(const struct order *o) {
  long r;
  do r = try_order(o);
  while (r == -EINTR);
  return r;
}

int stub_run_orders(u64 slot) {
  u32 count = WORD(slot, SLOT_ORDER_COUNT);
  for (u32 i = 0; i < count && i < ORDERS_MAX; i++) {
    long r = run_order((const struct order *)(slot + SLOT_ORDERS + i * ORDER_SIZE));
    QUAD(slot, SLOT_NR) = (u64)r;
    // The nonce is clone's; of the others it says whether failing matters.
    if (WORD(slot, SLOT_ORDERS + i * ORDER_SIZE) != NR_clone && QUAD(slot, SLOT_ORDERS + i * ORDER_SIZE + 56) != 0) continue;
    if (r < 0 && r >= -4095) {
      QUAD(slot, SLOT_ARGS) = i;
      QUAD(slot, SLOT_ARGS + 8) = (u64)-r;
      publish(slot, EVENT_ORDER_FAILED);
      return -1;
    }
  }
  return 0;
}

int stub_run_copyouts(u64 slot) {
  u32 count = WORD(slot, SLOT_COPYOUT_COUNT);
  for (u32 i = 0; i < count && i < COPYOUTS_MAX; i++) {
    struct copyout c = *(struct copyout *)(slot + SLOT_COPYOUTS + i * COPYOUT_SIZE);
    if (stub_copy((void *)c.addr, (void *)(slot + SLOT_DATA + c.offset), c.len) != 0) return -1;
  }
  return 0;
}
