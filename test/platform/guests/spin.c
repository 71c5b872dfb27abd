#include "guest.h"
static volatile u64 n;
void start(void) {
  report((u64)&n);
  for (;;) n++;
}
