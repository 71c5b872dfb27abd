#include "guest.h"
// 150 threads at once: more than the slots of one chunk.
enum { N = 150 };
static volatile u32 arrived;
static u8 stacks[N][1024] __attribute__((aligned(16)));
static void body(void) {
  __atomic_fetch_add(&arrived, 1, __ATOMIC_SEQ_CST);
  while (arrived < N) sys(T_ECHO, 0, 0, 0, 0, 0, 0);
  quit(0);
}
void start(void) {
  for (int i = 0; i < N; i++)
    if (sys(T_SPAWN, (u64)body, (u64)(stacks[i] + 1024 - 8), 0, 0, 0, 0) < 0) quit(1);
  sys(T_WAIT, 0, 0, 0, 0, 0, 0);
  report(arrived);
  quit(0);
}
