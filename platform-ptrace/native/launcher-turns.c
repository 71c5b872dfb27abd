// How long the sandbox's kernel and its guests run at a time. They hand one call after the other to each other, so what counts is
// how soon a thread that is woken runs. Since Linux 6.12 a thread may ask for shorter turns than others (EEVDF's slice), and is
// then preferred when it wakes; it gets no more of the CPU than before. Older kernels take no notice.
#define _GNU_SOURCE
#include "launcher.h"

#include <linux/sched.h>
#include <linux/sched/types.h>
#include <sys/syscall.h>
#include <unistd.h>

// The shortest there is (kernel/sched/syscalls.c __setparam_fair()).
enum { TURN_NS = 100 * 1000 };

void ask_for_short_turns(void) {
  struct sched_attr attr = {0};
  if (syscall(SYS_sched_getattr, 0, &attr, SCHED_ATTR_SIZE_VER0, 0) < 0) return;
  if (attr.sched_policy != SCHED_NORMAL) return; // Somebody has decided otherwise.
  attr.sched_runtime = TURN_NS;
  syscall(SYS_sched_setattr, 0, &attr, 0);
}
