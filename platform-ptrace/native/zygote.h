// Spawns the zygote and fetches its seccomp listener. To be called, with signals as the sentry shall have them, in the
// process that then executes the sentry: guest processes are cloned with CLONE_PARENT and become its children.
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "stub-layout.h"

struct zygote {
  int pid;
  int listener; // seccomp notification descriptor of all guest threads
  int area;     // memfd of the zygote's slot area
};

#ifndef F_ADD_SEALS
#define F_ADD_SEALS 1033
#endif

// `stub_fd`: the stub's executable, opened. All descriptors are close-on-exec. 0, or −errno; a zygote that gave up before
// it was ready is −ECHILD and its exit status is in z->pid (zygote-status.h). `prepare`, if any, is called in
// the zygote before it becomes the stub: all guest processes inherit what it does.
static int zygote_spawn(int stub_fd, struct zygote *z, void (*prepare)(void)) {
  z->pid = z->listener = -1;
  z->area = (int)syscall(SYS_memfd_create, "slots", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (z->area < 0) return -errno;
  // F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW: nobody can make the sentry's mapping fault.
  if (ftruncate(z->area, AREA_SIZE) != 0 || fcntl(z->area, F_ADD_SEALS, 1 | 2 | 4) != 0) return -errno;
  char *area = (char *)mmap(NULL, CHUNK_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, z->area, 0);
  if (area == MAP_FAILED) return -errno;
  volatile uint32_t *ready = (volatile uint32_t *)(area + ZYGOTE_READY);
  volatile uint32_t *taken = (volatile uint32_t *)(area + ZYGOTE_TAKEN);

  int pid = fork();
  if (pid < 0) return -errno;
  if (pid == 0) {
    static char *argv[] = {(char *)"guest", NULL};
    static char *envp[] = {NULL};
    if (prepare) prepare();
    // If memory runs out, guests go first.
    int oom = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (oom >= 0 && write(oom, "500", 3) != 3) {} // a stricter value is in force
    // The same layout in every zygote: [vdso] and [vvar] above the stub.
    personality(ADDR_NO_RANDOMIZE);
    int stub = fcntl(stub_fd, F_DUPFD_CLOEXEC, 3);
    if (dup2(z->area, 0) == 0) syscall(SYS_execveat, stub, "", argv, envp, 0x1000 /* AT_EMPTY_PATH */);
    _exit(127);
  }
  int result = 0;
  for (int i = 0; __atomic_load_n(ready, __ATOMIC_SEQ_CST) == 0 && i < 5000; i++) {
    int status;
    if (waitpid(pid, &status, WNOHANG) == pid) {
      munmap(area, CHUNK_SIZE);
      z->pid = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      return -ECHILD;
    }
    struct timespec wait = {0, 200 * 1000};
    syscall(SYS_futex, ready, 0 /* FUTEX_WAIT */, 0, &wait, NULL, 0);
  }
  int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
  z->listener = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, (int)GATE_FD, 0);
  if (z->listener < 0) {
    result = -errno;
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
  } else {
    z->pid = pid;
    __atomic_store_n(taken, 1, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, taken, 1 /* FUTEX_WAKE */, 1, NULL, NULL, 0);
  }
  if (pidfd >= 0) close(pidfd);
  munmap(area, CHUNK_SIZE);
  return result;
}
