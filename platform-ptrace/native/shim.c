// shim.so: what TypeScript calls through koffi instead of libc. Every function returns a value or −errno, so that
// no second call for errno is needed, and takes addresses and lengths as they are: bounds are the caller's duty.
#define _GNU_SOURCE
#include <stdint.h>
#include <time.h>

// One raw host syscall. koffi declares it under several prototypes; the SysV ABI makes them the same call.
long shim_syscall(long nr, long a, long b, long c, long d, long e, long f) {
  long ret;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  __asm__ volatile("syscall"
                   : "=a"(ret)
                   : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return ret;
}

// Clock reading in nanoseconds as a double: exact to 2^53 ns (104 days), then to 2 ns. Served by the vDSO.
double shim_clock_ns(int clock) {
  struct timespec ts;
  clock_gettime(clock, &ts);
  return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}
