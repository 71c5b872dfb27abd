// shim.so: what TypeScript calls through koffi instead of libc. Every function returns a value or −errno, so that
// no second call for errno is needed, and takes addresses and lengths as they are: bounds are the caller's duty.
#define _GNU_SOURCE
#include <cpuid.h>
#include <errno.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

// SECCOMP_IOCTL_NOTIF_SET_FLAGS; not in the headers of Debian 12.
#define SHIM_NOTIF_SET_FLAGS _IOW('!', 4, uint64_t)

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

// A relative time limit for ppoll, or NULL for none: a negative one, or one that no timespec holds (guests may sleep until 2^63 s).
struct timespec *shim_limit(double ns, struct timespec *ts) {
  if (!(ns >= 0 && ns < 1e18)) return NULL;
  ts->tv_sec = (time_t)(ns / 1e9);
  ts->tv_nsec = (long)(ns - (double)ts->tv_sec * 1e9);
  return ts;
}

// ---- seccomp notifications -----------------------------------------------------------------------------------------

// Receives up to `max` waiting notifications (struct seccomp_notif, 80 bytes each) into `out`; never blocks. The caller
// knows already that `expected` of them are there (one that is killed before it is received still counts: ENOENT).
// Count or −errno.
int shim_notif_receive(int listener, void *out, int max, int expected) {
  int count = 0;
  while (count < max) {
    struct pollfd p = {.fd = listener, .events = POLLIN};
    // RECV would block on an empty queue.
    if (--expected < 0 && (poll(&p, 1, 0) <= 0 || (p.revents & POLLIN) == 0)) break;
    struct seccomp_notif *n = (struct seccomp_notif *)((char *)out + count * sizeof(struct seccomp_notif));
    memset(n, 0, sizeof *n);
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, n) == 0) {
      count++;
    } else if (errno != ENOENT && errno != EINTR) { // ENOENT: the notifier was killed meanwhile
      return count > 0 ? count : -errno;
    }
  }
  return count;
}

static uint64_t join(uint32_t lo, uint32_t hi) { return (uint64_t)hi << 32 | lo; }

// Answers a notification: the call returns `error` (≤ 0), or is executed if `proceed`. 0 or −errno.
int shim_notif_send(int listener, uint32_t id_lo, uint32_t id_hi, int error, int proceed) {
  struct seccomp_notif_resp r = {.id = join(id_lo, id_hi), .error = error};
  if (proceed) r.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
  return ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &r) == 0 ? 0 : -errno;
}

// Puts `fd` into the notifier's descriptor table as number `newfd`. `newfd` or −errno.
int shim_notif_addfd(int listener, uint32_t id_lo, uint32_t id_hi, int fd, int newfd) {
  struct seccomp_notif_addfd a = {
      .id = join(id_lo, id_hi), .flags = SECCOMP_ADDFD_FLAG_SETFD, .srcfd = (uint32_t)fd, .newfd = (uint32_t)newfd};
  int r = ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &a);
  return r >= 0 ? r : -errno;
}

// Makes notifications wake the other side on the waker's CPU (Linux 6.6). 0 or −errno.
int shim_notif_sync_wake_up(int listener) {
  return ioctl(listener, SHIM_NOTIF_SET_FLAGS, 1UL) == 0 ? 0 : -errno;
}

// Entry of this process's auxiliary vector, 0 if absent: what the CPU and the host kernel offer guests too.
uint64_t shim_getauxval(int type) {
  static unsigned hwcap;
  if (type != AT_HWCAP) return getauxval((unsigned long)type);
  // glibc keeps flags of its own there; the kernel's value is CPUID 1's EDX. In a virtual machine CPUID is slow.
  unsigned a = 0, b, c;
  if (hwcap == 0 && !__get_cpuid(1, &a, &b, &c, &hwcap)) return 0;
  return hwcap;
}

// Clock reading in two parts, because nanoseconds since the epoch do not fit a double: seconds, and behind it the rest of
// the same reading. Failure (a clock that does not exist any more): −1.
static long last_nsec;
double shim_clock_sec(int clock) {
  struct timespec ts;
  if (clock_gettime(clock, &ts) < 0) return -1;
  last_nsec = ts.tv_nsec;
  return (double)ts.tv_sec;
}
double shim_last_nsec(void) { return (double)last_nsec; }

