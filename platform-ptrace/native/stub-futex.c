// Part of the stub: futex calls on private words. They concern the memory of this process only, so the host's futexes do
// what is asked for, and the sentry, which would have to wake a thread for each of them, is left out. The sentry switches
// it on and off for a whole address space (AREA_OWN_FUTEXES), never for single threads: who waits on the host is found by
// calls on the host only.
//
// A wait ends with EINTR when the interrupt signal comes, be it before the host has begun to wait; the call is then
// published like any other, for the sentry has something to say.
//
// Short sleeps are waits for a word that nobody wakes. Only short ones: how long an interrupted one has lasted is not told, so the
// sentry lets it begin anew.
#include "stub.h"

// FUTEX_WAIT 0, WAKE 1, REQUEUE 3, CMP_REQUEUE 4, WAKE_OP 5, WAIT_BITSET 9, WAKE_BITSET 10 with PRIVATE_FLAG 128, and
// WAIT_BITSET with CLOCK_REALTIME 256: what the filter admits, and syscalls/futex.ts leaves to the stub.
int stub_owns_futex(const u64 *args) {
  // The caller has changed the word, the sentry changes the switch before it looks at a word: one of both sees it.
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  if (WORD(AREA_ADDR, AREA_OWN_FUTEXES) == 0 || args[0] >= GUEST_MAX) return 0;
  switch ((u32)args[1]) {
  case 129: case 138:
    return 1;
  case 128: case 137: case 393:
    // The host would read the time from the platform's pages too.
    return args[3] <= GUEST_MAX - 16;
  case 131: case 132: case 133:
    return args[4] < GUEST_MAX;
  default:
    return 0;
  }
}

int stub_futex_waits(const u64 *args) {
  u32 op = (u32)args[1];
  return op == 128 || op == 137 || op == 393;
}

__attribute__((noinline)) static long wait_on_host(u64 slot, const u64 *args) {
  long ret;
  register u64 r10 __asm__("r10") = args[3];
  register u64 r9 __asm__("r9") = args[5];
  __asm__ volatile(".globl stub_futex_begin, stub_futex_end\n"
                   "stub_futex_begin:\n"
                   "  mov $-4, %%rax\n" // −EINTR
                   "  cmpl $0, %c[interrupt](%[slot])\n"
                   "  jne stub_futex_end\n"
                   "  mov $202, %%eax\n"
                   "  lea stub_futex_end(%%rip), %%rbx\n"
                   "  jmp stub_site\n"
                   "stub_futex_end:\n"
                   : "=&a"(ret)
                   : "D"(args[0]), "S"((u64)(u32)args[1]), "d"(args[2]), "r"(r10), "r"(r9), [slot] "r"(slot),
                     [interrupt] "i"(SLOT_FAST_INTERRUPT)
                   : "rbx", "rcx", "r11", "memory");
  return ret;
}
extern const char stub_futex_begin[], stub_futex_end[];

void stub_leave_futex(struct sigcontext *mc) {
  if (mc->rip - (u64)stub_futex_begin >= (u64)(stub_futex_end - stub_futex_begin) &&
      !(mc->rip == (u64)stub_site && mc->rbx == (u64)stub_futex_end))
    return;
  mc->rip = (u64)stub_futex_end;
  mc->rax = (u64)-EINTR;
}

long stub_futex(u64 slot, const u64 *args) {
  if (!stub_futex_waits(args)) return syscall6(NR_futex, args[0], (u32)args[1], args[2], args[3], args[4], args[5]);
  u64 chunk = slot & ~(CHUNK_SIZE - 1);
  u32 bit = 1u << (slot - chunk) / SLOT_SIZE;
  volatile u32 *waiting = (volatile u32 *)(chunk + CHUNK_WAITING);
  __atomic_fetch_or(waiting, bit, __ATOMIC_RELAXED);
  long r = wait_on_host(slot, args);
  __atomic_fetch_and(waiting, ~bit, __ATOMIC_RELAXED);
  return r;
}

enum { OWN_SLEEP_MAX_NS = 1000000 };

// nanosleep(request, …), and clock_nanosleep(clock, flags, request, …) relative to the real or the monotonic clock.
int stub_owns_sleep(u64 slot, u64 nr, const u64 *args) {
  if (WORD(AREA_ADDR, AREA_OWN_FUTEXES) == 0) return 0;
  if (nr == NR_clock_nanosleep && ((u32)args[0] > 1 || (u32)args[1] != 0)) return 0;
  u64 request = args[nr == NR_nanosleep ? 0 : 2];
  if (request > GUEST_MAX - 16 || stub_copy((void *)(slot + SLOT_PREFETCH), (const void *)request, 16) != 0) return 0;
  return QUAD(slot, SLOT_PREFETCH) == 0 && QUAD(slot, SLOT_PREFETCH + 8) - 1 < OWN_SLEEP_MAX_NS;
}

long stub_sleep(u64 slot) {
  u64 wait[6] = {slot + SLOT_FAST_INTERRUPT, 128, 0, slot + SLOT_PREFETCH, 0, 0};
  long r = stub_futex(slot, wait);
  return r == -ETIMEDOUT ? 0 : r == -EAGAIN ? -EINTR : r;
}
