#include "guest.h"
static u64 tls[2] = {4711, 0}, tls2[2] = {4712, 0};
void start(void) {
  u64 v;
  sys(T_SET_FS, (u64)tls, 0, 0, 0, 0, 0);
  __asm__ volatile("mov %%fs:0, %0" : "=r"(v));
  report(v);
  __asm__ volatile("wrfsbase %0" ::"r"((u64)tls2));
  report(sys(T_GET_FS, 0, 0, 0, 0, 0, 0) == (long)tls2);
  __asm__ volatile("mov %%fs:0, %0" : "=r"(v));
  report(v);
  quit(0);
}
