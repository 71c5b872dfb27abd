// futex(2) operations, robust lists, pthread primitives on top.
#include "guest.h"
#include <linux/futex.h>
#include <pthread.h>
#include <sys/time.h>

static long futex(void *u, int op, unsigned v, void *ts, void *u2, unsigned v3) {
  return syscall(SYS_futex, u, op, v, ts, u2, v3);
}
static int *word;
static volatile int ready;
static int op_flags = FUTEX_PRIVATE_FLAG;

static void *waiter(void *arg) {
  __atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
  long r = futex(word, FUTEX_WAIT_BITSET | op_flags, 0, 0, 0, arg ? (unsigned)(uintptr_t)arg : ~0u);
  return (void *)(r == 0 ? 0 : (long)errno);
}
static void wait_for(int n) {
  while (ready < n) sched_yield();
  sleep_ms(30);
}

static void errors(void) {
  int w = 0;
  struct timespec ts = {0, 5000000}, bad = {0, 1000000000};
  ret("wait mismatch", futex(&w, FUTEX_WAIT_PRIVATE, 1, 0, 0, 0));
  ret("wait timeout", futex(&w, FUTEX_WAIT_PRIVATE, 0, &ts, 0, 0));
  ret("wait shared timeout", futex(&w, FUTEX_WAIT, 0, &ts, 0, 0));
  ret("wait bad timeout", futex(&w, FUTEX_WAIT_PRIVATE, 0, &bad, 0, 0));
  ret("wait unaligned", futex((char *)&w + 1, FUTEX_WAIT_PRIVATE, 0, 0, 0, 0));
  ret("wait fault", futex(BAD_PTR, FUTEX_WAIT_PRIVATE, 0, 0, 0, 0));
  ret("wake shared fault", futex(BAD_PTR, FUTEX_WAKE, 1, 0, 0, 0));
  ret("wake nobody", futex(&w, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0));
  ret("bitset 0", futex(&w, FUTEX_WAIT_BITSET_PRIVATE, 0, 0, 0, 0));
  ret("wake bitset 0", futex(&w, FUTEX_WAKE_BITSET_PRIVATE, 1, 0, 0, 0));
  ret("unknown op", futex(&w, 77, 0, 0, 0, 0));
  ret("requeue negative", futex(&w, FUTEX_REQUEUE_PRIVATE, -1, 0, &w, 0));
  ret("cmp mismatch", futex(&w, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)1, &w, 9));
  clock_gettime(CLOCK_REALTIME, &ts);
  ret("absolute realtime", futex(&w, FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME, 0, &ts, 0, ~0u));
  ret("realtime wake", futex(&w, FUTEX_WAKE_PRIVATE | FUTEX_CLOCK_REALTIME, 1, 0, 0, 0));
}

static void wakes(int flags) {
  pthread_t t[4];
  op_flags = flags;
  ready = 0;
  for (int i = 0; i < 4; i++) pthread_create(&t[i], 0, waiter, (void *)(uintptr_t)(1u << i));
  wait_for(4);
  ret("wake bit 2", futex(word, FUTEX_WAKE_BITSET | flags, 9, 0, 0, 4));
  ret("wake 1", futex(word, FUTEX_WAKE | flags, 1, 0, 0, 0));
  ret("wake rest", futex(word, FUTEX_WAKE | flags, 100, 0, 0, 0));
  for (int i = 0; i < 4; i++) {
    void *r;
    pthread_join(t[i], &r);
    if (r) say("waiter %d: %ld", i, (long)r);
  }
}

static void requeues(void) {
  pthread_t t[5];
  op_flags = FUTEX_PRIVATE_FLAG;
  ready = 0;
  for (int i = 0; i < 5; i++) pthread_create(&t[i], 0, waiter, 0);
  wait_for(5);
  ret("cmp_requeue", futex(word, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)3, word + 1, 0));
  ret("left", futex(word, FUTEX_WAKE_PRIVATE, 100, 0, 0, 0));
  ret("moved", futex(word + 1, FUTEX_WAKE_PRIVATE, 100, 0, 0, 0));
  for (int i = 0; i < 5; i++) pthread_join(t[i], 0);
}

static void across_fork(void) {
  int *s = mmap(0, 4096, 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pid_t c = fork();
  if (c == 0) {
    s[1] = 1;
    _exit(futex(s, FUTEX_WAIT, 0, 0, 0, 0) == 0 ? 0 : 1);
  }
  while (!__atomic_load_n(&s[1], __ATOMIC_SEQ_CST)) sched_yield();
  sleep_ms(30);
  ret("private does not reach", futex(s, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0));
  ret("shared reaches", futex(s, FUTEX_WAKE, 1, 0, 0, 0));
  wait_say("child", c);
}

static void on_alarm(int s) { (void)s; }
static void signals(void) {
  struct sigaction sa = {.sa_handler = on_alarm};
  sigaction(SIGALRM, &sa, 0);
  struct itimerval it = {{0, 0}, {0, 20000}};
  setitimer(ITIMER_REAL, &it, 0);
  *word = 0;
  ret("interrupted", futex(word, FUTEX_WAIT_PRIVATE, 0, 0, 0, 0));
  struct timespec ts = {5, 0};
  setitimer(ITIMER_REAL, &it, 0);
  ret("interrupted with timeout", futex(word, FUTEX_WAIT_PRIVATE, 0, &ts, 0, 0));
}

static pthread_mutex_t *rm;
static void *die_holding(void *a) {
  (void)a;
  pthread_mutex_lock(rm);
  return 0;
}
static void robust(void) {
  rm = mmap(0, 4096, 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pthread_mutexattr_t at;
  pthread_mutexattr_init(&at);
  pthread_mutexattr_setrobust(&at, PTHREAD_MUTEX_ROBUST);
  pthread_mutexattr_setpshared(&at, PTHREAD_PROCESS_SHARED);
  pthread_mutex_init(rm, &at);
  pthread_t t;
  pthread_create(&t, 0, die_holding, 0);
  pthread_join(t, 0);
  say("thread died: %s", strerrorname_np(pthread_mutex_lock(rm)));
  pthread_mutex_consistent(rm);
  pthread_mutex_unlock(rm);
  pid_t c = fork();
  if (c == 0) {
    pthread_mutex_lock(rm);
    sleep_ms(50);
    _exit(0);
  }
  sleep_ms(25);
  say("process died: %s", strerrorname_np(pthread_mutex_lock(rm)));
  wait_say("child", c);
  void *head;
  size_t len;
  ret("get_robust_list", syscall(SYS_get_robust_list, 0, &head, &len));
  say("len %zu", len);
  ret("set bad len", syscall(SYS_set_robust_list, head, 8));
}

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cv = PTHREAD_COND_INITIALIZER;
static int turn, count;
static void *pingpong(void *arg) {
  int me = (int)(intptr_t)arg;
  pthread_mutex_lock(&m);
  for (int i = 0; i < 500; i++) {
    while (turn != me) pthread_cond_wait(&cv, &m);
    turn = !me;
    count++;
    pthread_cond_broadcast(&cv);
  }
  pthread_mutex_unlock(&m);
  return 0;
}
static void *adder(void *a) {
  (void)a;
  for (int i = 0; i < 20000; i++) {
    pthread_mutex_lock(&m);
    count++;
    pthread_mutex_unlock(&m);
  }
  return 0;
}
static void threads(void) {
  pthread_t t[4];
  for (int i = 0; i < 2; i++) pthread_create(&t[i], 0, pingpong, (void *)(intptr_t)i);
  for (int i = 0; i < 2; i++) pthread_join(t[i], 0);
  say("ping-pong %d", count);
  count = 0;
  for (int i = 0; i < 4; i++) pthread_create(&t[i], 0, adder, 0);
  for (int i = 0; i < 4; i++) pthread_join(t[i], 0);
  say("sum %d", count);
}

struct waitv { uint64_t val, uaddr; uint32_t flags, reserved; };
static void *wake_second(void *a) {
  sleep_ms(30);
  futex(a, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
  return 0;
}
static void vectors(void) {
#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif
  int w[2] = {0, 0};
  struct waitv v[2] = {{0, (uintptr_t)&w[0], 2 | 128, 0}, {0, (uintptr_t)&w[1], 2 | 128, 0}};
  pthread_t t;
  pthread_create(&t, 0, wake_second, &w[1]);
  ret("waitv", syscall(SYS_futex_waitv, v, 2, 0, 0, 0));
  pthread_join(t, 0);
  v[1].val = 5;
  ret("waitv mismatch", syscall(SYS_futex_waitv, v, 2, 0, 0, 0));
  ret("waitv none", syscall(SYS_futex_waitv, v, 0, 0, 0, 0));
  v[1].flags = 0;
  ret("waitv size", syscall(SYS_futex_waitv, v, 2, 0, 0, 0));
}

int main(void) {
  word = mmap(0, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  say("# errors"), errors();
  say("# private"), wakes(FUTEX_PRIVATE_FLAG);
  say("# shared"), wakes(0);
  say("# requeue"), requeues();
  say("# fork"), across_fork();
  say("# signals"), signals();
  say("# robust"), robust();
  say("# threads"), threads();
  say("# vectors"), vectors();
  return 0;
}
