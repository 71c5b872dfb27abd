// Part of the stub: calls about what the kernel has lent to its thread, the signal mask and the head of the robust list. They are
// in the slot, and the thread looks after them until the kernel takes them back, which it does by one exchange of SLOT_MASK
// whenever it wants to know (sentry/kernel/lent-state.ts). A change is made by one compare-and-exchange of that word; one that
// comes too late is none, and the call goes to the kernel like any other.
//
// A guest that writes there itself deceives the kernel about itself only: the mask is its own thread's.
#include "stub.h"

#define MASK_MARKS (MASK_LENT | MASK_SECOND)

static int own_sigprocmask(u64 slot, const u64 *args, u32 word) {
  u32 second = (word & MASK_SECOND) != 0;
  u64 old = (word & ~MASK_MARKS) | (u64)WORD(slot, SLOT_MASK_HIGH + 4 * second) << 32;
  u64 set = 0;
  if (args[3] != 8 || args[1] > GUEST_MAX - 8 || args[2] > GUEST_MAX - 8) return 0;
  if (args[1] != 0) {
    if (stub_copy(&set, (const void *)args[1], 8) != 0) return 0;
    switch ((u32)args[0]) {
    case 0: set |= old; break;  // SIG_BLOCK
    case 1: set = old & ~set; break; // SIG_UNBLOCK
    case 2: break; // SIG_SETMASK
    default: return 0;
    }
  }
  // Before the change, because a fault here is the kernel's to tell, and it is to find the old mask.
  if (args[2] != 0 && stub_copy((void *)args[2], &old, 8) != 0) return 0;
  if (args[1] == 0) return 1;
  WORD(slot, SLOT_MASK_HIGH + 4 * !second) = (u32)(set >> 32);
  u32 next = ((u32)set & ~MASK_MARKS) | MASK_LENT | (second ? 0 : MASK_SECOND);
  return __atomic_compare_exchange_n((volatile u32 *)(slot + SLOT_MASK), &word, next, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

// The guest's thread is the host's, so the host looks after its restartable sequences. The area must not outlive the guest's
// thread, whose host thread may go on: whoever joins it may give the memory away.
long stub_rseq(u64 slot, const u64 *args) {
  u32 flags = (u32)args[2];
  if (flags > RSEQ_FLAG_UNREGISTER) return -EINVAL;
  long r = SYS4(NR_rseq, args[0], (u32)args[1], flags, (u32)args[3]);
  if (r == 0) {
    QUAD(slot, SLOT_RSEQ) = flags == 0 ? args[0] : 0;
    WORD(slot, SLOT_RSEQ_LEN) = (u32)args[1];
    WORD(slot, SLOT_RSEQ_SIG) = (u32)args[3];
  }
  return r;
}

void stub_forget_rseq(u64 slot) {
  u64 args[4] = {QUAD(slot, SLOT_RSEQ), WORD(slot, SLOT_RSEQ_LEN), RSEQ_FLAG_UNREGISTER, WORD(slot, SLOT_RSEQ_SIG)};
  if (args[0] != 0) stub_rseq(slot, args);
}

int stub_answer_lent(u64 slot, u64 nr, const u64 *args, u64 *result) {
  u32 word = __atomic_load_n((volatile u32 *)(slot + SLOT_MASK), __ATOMIC_ACQUIRE);
  if ((word & MASK_LENT) == 0) return 0;
  switch (nr) {
  case NR_rt_sigprocmask:
    *result = 0;
    return own_sigprocmask(slot, args, word);
  case NR_set_robust_list:
    if (args[1] != 24) return 0;
    QUAD(slot, SLOT_ROBUST_LIST) = args[0];
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    *result = 0;
    return (WORD(slot, SLOT_MASK) & MASK_LENT) != 0;
  case NR_rseq:
    *result = WORD(slot, SLOT_MAY_RSEQ) != 0 ? (u64)stub_rseq(slot, args) : (u64)-ENOSYS;
    return 1;
  default:
    return 0;
  }
}
