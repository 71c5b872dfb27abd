// More threads of a process than two thousand, all blocked at once, and woken; then each maps a file.
#include "guest.h"
#include <pthread.h>

enum { THREADS = 2100, STACK = 65536 };
static pthread_barrier_t barrier;
static int fd;
static int values[THREADS];

static void *run(void *arg) {
  int i = (int)(long)arg;
  pthread_barrier_wait(&barrier);
  int *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, (long)(i % 8) * 4096);
  if (p != MAP_FAILED) {
    values[i] = *p == i % 8 + 1;
    munmap(p, 4096);
  }
  pthread_barrier_wait(&barrier);
  return (void *)(long)values[i];
}

static void round_of(const char *name) {
  static pthread_t threads[THREADS];
  pthread_attr_t attr;
  int made = 0, good = 0;
  memset(values, 0, sizeof values);
  pthread_attr_init(&attr);
  pthread_attr_setstacksize(&attr, STACK);
  pthread_barrier_init(&barrier, NULL, THREADS);
  while (made < THREADS && pthread_create(&threads[made], &attr, run, (void *)(long)made) == 0) made++;
  if (made < THREADS) {
    say("%s: only %d threads", name, made);
    _exit(1);
  }
  for (int i = 0; i < THREADS; i++) {
    void *value;
    pthread_join(threads[i], &value);
    good += value != NULL;
  }
  pthread_barrier_destroy(&barrier);
  say("%s: %d of %d", name, good, made);
}

int main(void) {
  char page[4096] = {0};
  fd = memfd_create("f", 0);
  for (int i = 0; i < 8; i++) {
    page[0] = (char)(i + 1);
    if (write(fd, page, sizeof page) != sizeof page) return 1;
  }
  round_of("threads");
  return 0;
}
