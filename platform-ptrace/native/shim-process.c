// Part of shim.so: host processes that carry guest address spaces, and the sentry's sleep.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// A memfd of `size` bytes whose size nobody can change, mapped from offset 0 to host address `addr`, `len` bytes.
// Descriptor or −errno.
int shim_area_create(int64_t addr, int64_t len, int64_t size) {
  int fd = memfd_create("slots", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return -errno;
  if (ftruncate(fd, size) == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW) == 0 &&
      mmap((void *)addr, (size_t)len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) != MAP_FAILED)
    return fd;
  int e = errno;
  close(fd);
  return -e;
}

// Copies between guest memory and a buffer of ours at `buf + off`. Bytes copied or −errno.
int64_t shim_vm_read(int pid, int64_t addr, char *buf, int64_t off, int64_t len) {
  struct iovec local = {buf + off, (size_t)len}, remote = {(void *)addr, (size_t)len};
  ssize_t n = process_vm_readv(pid, &local, 1, &remote, 1, 0);
  return n >= 0 ? n : -errno;
}

int64_t shim_vm_write(int pid, int64_t addr, const char *buf, int64_t off, int64_t len) {
  struct iovec local = {(char *)buf + off, (size_t)len}, remote = {(void *)addr, (size_t)len};
  ssize_t n = process_vm_writev(pid, &local, 1, &remote, 1, 0);
  return n >= 0 ? n : -errno;
}

// Which of `pages` pages from `addr` on process `pid` has in its page tables: a byte each in `out`, 0 not there, 1 there,
// 2 the page of zeros. 0 or −errno. move_pages(2) without nodes moves nothing: it tells where pages are.
int shim_resident(int pid, int64_t addr, int64_t pages, uint8_t *out, int64_t off) {
  enum { BATCH = 512 };
  void *list[BATCH];
  int status[BATCH];
  for (int64_t done = 0; done < pages; done += BATCH) {
    int n = pages - done < BATCH ? (int)(pages - done) : BATCH;
    for (int i = 0; i < n; i++) list[i] = (char *)addr + (done + i) * 4096;
    if (syscall(SYS_move_pages, pid, (long)n, list, NULL, status, 0) < 0) return -errno;
    for (int i = 0; i < n; i++) out[off + done + i] = status[i] >= 0 ? 1 : status[i] == -EFAULT ? 2 : 0;
  }
  return 0;
}

// Opens a pidfd for a child of ours and lets `epfd` report its death with `data`. pidfd or −errno.
int shim_watch_process(int epfd, int pid, uint32_t data) {
  int fd = (int)syscall(SYS_pidfd_open, pid, 0);
  if (fd < 0) return -errno;
  struct epoll_event ev = {.events = EPOLLIN, .data.u64 = data};
  if (epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev) == 0) return fd;
  int e = errno;
  close(fd);
  return -e;
}

int shim_kill_process(int pidfd) { return syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) == 0 ? 0 : -errno; }

// Reaps one dead child. Its pid, with the wait status in `*status`, or 0 if there is none.
int shim_reap(int32_t *status) {
  pid_t r = waitpid(-1, status, WNOHANG | __WALL);
  return r > 0 ? r : 0;
}

int shim_cpu(void) { return sched_getcpu(); }

int shim_notif_receive(int listener, void *out, int max, int expected);
struct timespec *shim_limit(double ns, struct timespec *ts);

// Sleeps until one of three descriptors (−1: none) is readable. Bits 0 to 2 say which; notifications are received into
// `out`, up to 32 of them, bits 3 to 8 say how many; bits 16 and up are the CPU it woke on.
int shim_wait(int listener, int deaths, int wake, double timeout_ns, void *out) {
  struct pollfd fds[3] = {{listener, POLLIN, 0}, {deaths, POLLIN, 0}, {wake, POLLIN, 0}};
  struct timespec ts;
  int bits = 0;
  if (ppoll(fds, 3, shim_limit(timeout_ns, &ts), NULL) > 0)
    for (int i = 0; i < 3; i++)
      if (fds[i].revents != 0) bits |= 1 << i;
  int count = (bits & 1) != 0 ? shim_notif_receive(listener, out, 1, 1) : 0;
  return bits | (count > 0 ? count : 0) << 3 | sched_getcpu() << 16;
}
