// link: -lpthread
// Calls that need the host's help for each process (mappings of files, threads) while another process sends signals: three for each
// step, so that the handler does not take all the time there is.
#include "guest.h"
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>

static volatile sig_atomic_t hits;
static void on(int s) {
  (void)s;
  hits++;
}

static volatile unsigned *steps; // shared

static pid_t storm(void) {
  steps = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pid_t me = getpid(), child = fork();
  if (child != 0) return child;
  for (unsigned sent = 0; getppid() == me;) {
    if (sent / 3 > *steps) sched_yield();
    else kill(me, SIGUSR1), sent++;
  }
  _exit(0);
}

static void mappings(int fd) {
  int failed = 0, wrong = 0;
  for (int i = 0; i < 4000; i++, ++*steps) {
    volatile int *p = mmap(0, 1 << 16, PROT_READ | PROT_WRITE, i % 2 ? MAP_SHARED : MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED) {
      failed++;
      continue;
    }
    wrong += p[1] != 4711;
    p[0] = i;
    munmap((void *)p, 1 << 16);
  }
  say("mappings: %d failed, %d wrong", failed, wrong);
}

static void *end(void *p) { return p; }

static void threads(void) {
  int failed = 0;
  for (int i = 0; i < 200; i++, ++*steps) {
    pthread_t t;
    if (pthread_create(&t, 0, end, 0)) failed++;
    else pthread_join(t, 0);
  }
  say("threads: %d failed", failed);
}

int main(void) {
  struct sigaction sa = {.sa_handler = on, .sa_flags = SA_RESTART};
  sigaction(SIGUSR1, &sa, 0);
  int fd = memfd_create("x", 0), magic = 4711;
  ftruncate(fd, 1 << 16);
  pwrite(fd, &magic, sizeof magic, sizeof magic);
  pid_t child = storm();
  while (hits == 0) sched_yield();
  mappings(fd);
  threads();
  is("signals came", hits > 0);
  ret("kill", kill(child, SIGKILL));
  is("reaped", waitpid(child, 0, 0) == child);
}
