#include "guest.h"
static char path[] = "/usr/share/a path";
static u8 big[6000];
void start(void) {
  // Strings, structs and counted buffers as the copy plan of cases.ts says.
  sys(T_OPEN, (u64)path, 0, 0, 0, 0, 0);
  sys(T_TWO_PATHS, (u64)path, (u64)(path + 5), 0, 0, 0, 0);
  for (u32 i = 0; i < sizeof big; i++) big[i] = (u8)i;
  sys(T_BUFFER, 3, (u64)big, 4096, 0, 0, 0);
  sys(T_STRUCT, (u64)big + 1, 0, 0, 0, 0, 0);
  // The last bytes of the last mapped page, and an absent pointer.
  char *end = (char *)0x10000000;
  end[-3] = 'x'; end[-2] = 'y'; end[-1] = 0;
  sys(T_OPEN, (u64)(end - 3), 0, 0, 0, 0, 0);
  end[-1] = 'z';
  sys(T_OPEN, (u64)(end - 3), 0, 0, 0, 0, 0);
  sys(T_OPEN, 0x666000, 0, 0, 0, 0, 0);
  sys(T_BUFFER, 3, (u64)big, 1UL << 40, 0, 0, 0);
  // Outputs.
  u8 out[16];
  for (int i = 0; i < 16; i++) out[i] = 0xee;
  report(sys(T_OUTPUT, (u64)out, 0, 0, 0, 0, 0));
  report(out[0] | out[1] << 8 | out[2] << 16 | (u64)out[3] << 24);
  report(sys(T_OUTPUT, 0x666000, 0, 0, 0, 0, 0));
  report(sys(T_OUTPUT, 0xffff800000000000, 0, 0, 0, 0, 0));
  quit(0);
}
