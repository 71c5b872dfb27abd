#include "guest.h"
static volatile long value = 1;
void start(void) {
  for (int i = 0; i < 500; i++) {
    long pid = sys(T_FORK, 0, 0, 0, 0, 0, 0);
    if (pid == 0) {
      value += 100; // private copy
      report(value);
      quit(i);
    }
    if (pid < 0) quit(1000 - pid);
    value++;
    if (value != i + 2) quit(2000);
    sys(T_WAIT, (u64)pid, 0, 0, 0, 0, 0);
  }
  quit(7);
}
