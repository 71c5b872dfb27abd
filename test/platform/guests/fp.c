#include "guest.h"
// xmm0 and ymm1's high half survive traps, forks and setFpState; fresh spaces start with the initial state.
static u64 a[2] = {0x1111, 0x2222}, b[4] = {1, 2, 3, 4}, out[4];
void start(void) {
  u32 mxcsr;
  unsigned short fcw;
  __asm__ volatile("stmxcsr %0\n fnstcw %1" : "=m"(mxcsr), "=m"(fcw));
  report(mxcsr);
  report(fcw);
  __asm__ volatile("movups %0, %%xmm0\n vmovups %1, %%ymm1" ::"m"(a), "m"(b));
  sys(T_ECHO, 0, 0, 0, 0, 0, 0);
  __asm__ volatile("vmovups %%ymm1, %0" : "=m"(out));
  report(out[3]);
  long r = sys(T_FORK, 0, 0, 0, 0, 0, 0);
  __asm__ volatile("vmovups %%ymm1, %0" : "=m"(out));
  if (r == 0) {
    report(out[2] * 10);
    quit(0);
  }
  sys(T_WAIT, (u64)r, 0, 0, 0, 0, 0);
  sys(T_CHANGE_FP, 0, 0, 0, 0, 0, 0); // the kernel changes xmm0
  __asm__ volatile("vmovups %%ymm0, %0" : "=m"(out));
  report(out[0]);
  quit(0);
}
