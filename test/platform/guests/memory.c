#include "guest.h"
void start(void) {
  u64 a = (u64)sys(T_MMAP, 0, 0, 0, 0, 0, 0); // private file mapping
  volatile u32 *p = (u32 *)a;
  report(p[0]);
  p[0] = 5;
  report(p[0]);
  u64 b = (u64)sys(T_MMAP, 1, 0, 0, 0, 0, 0); // shared
  volatile u32 *q = (u32 *)b;
  q[1] = 77;
  report(q[0]);
  quit(sys(T_MUNMAP, a, 0, 0, 0, 0, 0));
}
