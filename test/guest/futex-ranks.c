// Who is woken first at a futex: real-time threads by their priority, the others in order of arrival.
#include "guest.h"
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>

#define THREADS 8
static const struct { int policy, priority; } kinds[THREADS] = {{SCHED_OTHER, 0}, {SCHED_FIFO, 1}, {SCHED_RR, 10}, {SCHED_BATCH, 0},
                                                                {SCHED_FIFO, 5},  {SCHED_FIFO, 10}, {SCHED_IDLE, 0}, {SCHED_RR, 3}};
static int word, other, flag, late;
static int tids[THREADS], order[THREADS], woken;

static long futex(int *at, int op, int val, long val2, int *at2, int val3) {
  return syscall(SYS_futex, at, op | flag, val, val2, at2, val3);
}
static void *waiter(void *arg) {
  int i = (intptr_t)arg;
  struct sched_param p = {kinds[i].priority};
  int tid = syscall(SYS_gettid);
  if (!late && sched_setscheduler(0, kinds[i].policy, &p) < 0) say("setscheduler %s", strerrorname_np(errno));
  __atomic_store_n(&tids[i], tid, __ATOMIC_SEQ_CST);
  while (futex(&word, FUTEX_WAIT, 0, 0, 0, 0) < 0 && errno == EINTR) {}
  order[__atomic_load_n(&woken, __ATOMIC_SEQ_CST)] = i;
  __atomic_add_fetch(&woken, 1, __ATOMIC_SEQ_CST);
  return 0;
}
static void wake(int *at, int n) {
  for (int i = 0; i < n; i++) {
    int before = __atomic_load_n(&woken, __ATOMIC_SEQ_CST);
    ret("wake", futex(at, FUTEX_WAKE, 1, 0, 0, 0));
    while (__atomic_load_n(&woken, __ATOMIC_SEQ_CST) == before) sleep_ms(1);
  }
}
static void round_of(const char *name, int requeued) {
  pthread_t th[THREADS];
  woken = 0;
  memset(tids, 0, sizeof tids);
  for (intptr_t i = 0; i < THREADS; i++) {
    pthread_create(&th[i], 0, waiter, (void *)i);
    while (__atomic_load_n(&tids[i], __ATOMIC_SEQ_CST) == 0) sleep_ms(1);
    until_state(tids[i], 'S');
  }
  if (requeued) {
    ret("requeue", futex(&word, FUTEX_CMP_REQUEUE, 0, 3, &other, 0));
    ret("the rest", futex(&word, FUTEX_CMP_REQUEUE, 0, 100, &other, 0));
  }
  if (late) { // the order is that of the time when they began to wait
    struct sched_param p = {20};
    ret("later priority", sched_setscheduler(tids[6], SCHED_FIFO, &p));
  }
  wake(requeued ? &other : &word, THREADS);
  for (int i = 0; i < THREADS; i++) pthread_join(th[i], 0);
  say("%s: %d %d %d %d %d %d %d %d", name, order[0], order[1], order[2], order[3], order[4], order[5], order[6], order[7]);
}

int main(void) {
  flag = FUTEX_PRIVATE_FLAG;
  round_of("private", 0);
  round_of("requeued", 1);
  flag = 0;
  round_of("shared", 0);
  late = 1;
  round_of("changed while waiting", 0);
  return 0;
}
