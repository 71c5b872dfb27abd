#include "guest.h"
// The first thread leaves while another goes on.
static volatile u32 alive = 1;
static u8 stack[4096] __attribute__((aligned(16)));
static void body(void) {
  for (int i = 0; i < 500; i++) sys(T_ECHO, (u64)i, 0, 0, 0, 0, 0);
  report(&alive);
  for (int i = 0; i < 500; i++) sys(T_ECHO, (u64)i, 0, 0, 0, 0, 0);
  report(alive);
  quit(4);
}
void start(void) {
  sys(T_SPAWN, (u64)body, (u64)(stack + 4096 - 8), 0, 0, 0, 0);
  quit(0);
}
