#include "guest.h"
// Processes and threads that make all kinds of calls at once, while the kernel interrupts them.
enum { CHILDREN = 5, THREADS = 3, ROUNDS = 400 };
static u8 stacks[THREADS][2048] __attribute__((aligned(16)));
static volatile u32 finished;
static void work(u64 seed) {
  static char path[] = "/a/path";
  u8 out[8];
  for (u64 i = 0; i < ROUNDS; i++) {
    if (sys(T_ECHO, i + seed, 0, 0, 0, 0, 0) != (long)(i + seed)) quit(50);
    u64 a = (u64)sys(T_MMAP, i & 1, 0, 0, 0, 0, 0);
    if (*(volatile u32 *)a != 1234) quit(51);
    if (sys(T_OPEN, (u64)path, 0, 0, 0, 0, 0) != 7) quit(52);
    if (sys(T_OUTPUT, (u64)out, 0, 0, 0, 0, 0) != 7 || out[0] != 0xef) quit(53);
    if (sys(T_MUNMAP, a, 0, 0, 0, 0, 0) != 0) quit(54);
    for (volatile int k = 0; k < 50; k++) {}
  }
}
static void body(void) {
  work(1000);
  __atomic_fetch_add(&finished, 1, __ATOMIC_SEQ_CST);
  quit(0);
}
void start(void) {
  for (int c = 0; c < CHILDREN; c++)
    if (sys(T_FORK, 0, 0, 0, 0, 0, 0) == 0) break;
  for (int t = 0; t < THREADS; t++)
    if (sys(T_SPAWN, (u64)body, (u64)(stacks[t] + 2048 - 8), 0, 0, 0, 0) < 0) quit(55);
  work(5);
  while (finished != THREADS) sys(T_ECHO, 0, 0, 0, 0, 0, 0);
  report(finished);
  quit(0);
}
