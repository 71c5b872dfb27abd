// PI futexes, FUTEX_WAKE_OP, futex2 calls and membarrier(2).
#include "guest.h"
#include <linux/futex.h>
#include <pthread.h>

static long futex(void *u, int op, unsigned v, const void *ts, void *u2, unsigned v3) {
  return syscall(SYS_futex, u, op, v, ts, u2, v3);
}
#ifndef FUTEX_LOCK_PI2
#define FUTEX_LOCK_PI2 13
#endif
static int *w;
static volatile int ready;
static pid_t tid(void) { return (pid_t)syscall(SYS_gettid); }
static unsigned flags_of(int v) { return (unsigned)v & 0xc0000000u; }

static void after(struct timespec *ts, clockid_t c, long ms) {
  clock_gettime(c, ts);
  ts->tv_nsec += ms * 1000000;
  if (ts->tv_nsec >= 1000000000) ts->tv_sec++, ts->tv_nsec -= 1000000000;
}

static void alone(void) {
  w[0] = 0;
  ret("lock", futex(w, FUTEX_LOCK_PI_PRIVATE, 0, 0, 0, 0));
  is("word is tid", w[0] == tid());
  ret("lock again", futex(w, FUTEX_LOCK_PI_PRIVATE, 0, 0, 0, 0));
  ret("trylock own", futex(w, FUTEX_TRYLOCK_PI_PRIVATE, 0, 0, 0, 0));
  ret("unlock", futex(w, FUTEX_UNLOCK_PI_PRIVATE, 0, 0, 0, 0));
  is("word is 0", w[0] == 0);
  ret("unlock unowned", futex(w, FUTEX_UNLOCK_PI_PRIVATE, 0, 0, 0, 0));
  ret("trylock", futex(w, FUTEX_TRYLOCK_PI_PRIVATE, 0, 0, 0, 0));
  ret("unlock", futex(w, FUTEX_UNLOCK_PI_PRIVATE, 0, 0, 0, 0));
  w[0] = 0x40000000;
  ret("lock of a dead owner", futex(w, FUTEX_LOCK_PI_PRIVATE, 0, 0, 0, 0));
  is("keeps OWNER_DIED", w[0] == (tid() | 0x40000000));
  w[0] = tid();
  ret("unlock", futex(w, FUTEX_UNLOCK_PI_PRIVATE, 0, 0, 0, 0));
  w[0] = 0x3ffff0;
  ret("owner that does not exist", futex(w, FUTEX_LOCK_PI_PRIVATE, 0, 0, 0, 0));
  ret("trylock", futex(w, FUTEX_TRYLOCK_PI_PRIVATE, 0, 0, 0, 0));
  w[0] = 0;
  ret("fault", futex(BAD_PTR, FUTEX_LOCK_PI_PRIVATE, 0, 0, 0, 0));
  ret("unlock fault", futex(BAD_PTR, FUTEX_UNLOCK_PI_PRIVATE, 0, 0, 0, 0));
  ret("unaligned", futex((char *)w + 1, FUTEX_LOCK_PI_PRIVATE, 0, 0, 0, 0));
  struct timespec bad = {0, 1000000000};
  ret("bad time", futex(w, FUTEX_LOCK_PI_PRIVATE, 0, &bad, 0, 0));
  ret("realtime lock_pi", futex(w, FUTEX_LOCK_PI_PRIVATE | FUTEX_CLOCK_REALTIME, 0, 0, 0, 0));
  ret("lock2", futex(w, FUTEX_LOCK_PI2 | 128, 0, 0, 0, 0));
  ret("unlock", futex(w, FUTEX_UNLOCK_PI_PRIVATE, 0, 0, 0, 0));
}

static void *contender(void *a) {
  (void)a;
  ready++;
  long r = futex(w, FUTEX_LOCK_PI_PRIVATE, 0, 0, 0, 0);
  long e = r == -1 ? errno : 0;
  int mine = ((unsigned)w[0] & FUTEX_TID_MASK) == (unsigned)tid();
  if (r == 0) futex(w, FUTEX_UNLOCK_PI_PRIVATE, 0, 0, 0, 0);
  return (void *)(e * 2 + mine);
}
static void *trier(void *a) {
  (void)a;
  struct timespec ts;
  ret("trylock held", futex(w, FUTEX_TRYLOCK_PI_PRIVATE, 0, 0, 0, 0));
  after(&ts, CLOCK_REALTIME, 20);
  ret("timeout", futex(w, FUTEX_LOCK_PI_PRIVATE, 0, &ts, 0, 0));
  after(&ts, CLOCK_MONOTONIC, 20);
  ret("timeout of lock2", futex(w, FUTEX_LOCK_PI2 | 128, 0, &ts, 0, 0));
  after(&ts, CLOCK_REALTIME, 20);
  ret("realtime timeout of lock2", futex(w, FUTEX_LOCK_PI2 | 128 | FUTEX_CLOCK_REALTIME, 0, &ts, 0, 0));
  ret("unlock of another's", futex(w, FUTEX_UNLOCK_PI_PRIVATE, 0, 0, 0, 0));
  return 0;
}
static void contended(void) {
  pthread_t t[3];
  void *r;
  w[0] = 0;
  futex(w, FUTEX_LOCK_PI_PRIVATE, 0, 0, 0, 0);
  pthread_create(&t[0], 0, trier, 0);
  pthread_join(t[0], 0);
  say("flags %x", flags_of(w[0]));
  ready = 0;
  for (int i = 0; i < 3; i++) pthread_create(&t[i], 0, contender, 0);
  while (ready < 3) sched_yield();
  sleep_ms(40);
  say("flags %x", flags_of(w[0]));
  ret("plain wake", futex(w, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0));
  ret("unlock", futex(w, FUTEX_UNLOCK_PI_PRIVATE, 0, 0, 0, 0));
  for (int i = 0; i < 3; i++) pthread_join(t[i], &r), say("contender %ld", (long)r);
  is("free", w[0] == 0);
}

static pthread_mutex_t a_lock, b_lock;
static void *cross(void *arg) {
  (void)arg;
  pthread_mutex_lock(&b_lock);
  ready = 1;
  futex(w, FUTEX_LOCK_PI_PRIVATE, 0, 0, 0, 0); // waits for the main thread
  futex(w, FUTEX_UNLOCK_PI_PRIVATE, 0, 0, 0, 0);
  pthread_mutex_unlock(&b_lock);
  return 0;
}
static void deadlock(void) {
  pthread_mutexattr_t at;
  pthread_t t;
  pthread_mutexattr_init(&at);
  pthread_mutexattr_setprotocol(&at, PTHREAD_PRIO_INHERIT);
  pthread_mutexattr_settype(&at, PTHREAD_MUTEX_NORMAL);
  pthread_mutex_init(&b_lock, &at);
  w[0] = 0, ready = 0;
  futex(w, FUTEX_LOCK_PI_PRIVATE, 0, 0, 0, 0);
  pthread_create(&t, 0, cross, 0);
  while (!ready) sched_yield();
  sleep_ms(30);
  ret("deadlock", futex(&b_lock, FUTEX_LOCK_PI_PRIVATE, 0, 0, 0, 0));
  futex(w, FUTEX_UNLOCK_PI_PRIVATE, 0, 0, 0, 0);
  pthread_join(t, 0);
}

static void *hold_and_die(void *a) {
  futex(w, FUTEX_LOCK_PI_PRIVATE, 0, 0, 0, 0);
  ready = 1;
  sleep_ms(a ? 60 : 0);
  return 0;
}
static void owner_death(void) {
  pthread_t t;
  w[0] = 0, ready = 0;
  pthread_create(&t, 0, hold_and_die, (void *)1);
  while (!ready) sched_yield();
  ret("lock of one who dies", futex(w, FUTEX_LOCK_PI_PRIVATE, 0, 0, 0, 0));
  say("flags %x, mine %d", flags_of(w[0]) & 0x40000000, ((unsigned)w[0] & FUTEX_TID_MASK) == (unsigned)tid());
  pthread_join(t, 0);
  pthread_mutexattr_t at;
  pthread_mutexattr_init(&at);
  pthread_mutexattr_setprotocol(&at, PTHREAD_PRIO_INHERIT);
  pthread_mutexattr_setrobust(&at, PTHREAD_MUTEX_ROBUST);
  pthread_mutexattr_setpshared(&at, PTHREAD_PROCESS_SHARED);
  pthread_mutex_t *m = mmap(0, 4096, 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pthread_mutex_init(m, &at);
  for (int waits = 0; waits < 2; waits++) {
    pid_t c = fork();
    if (c == 0) {
      pthread_mutex_lock(m);
      sleep_ms(waits ? 60 : 0);
      _exit(0);
    }
    if (!waits) wait_say("owner", c);
    else sleep_ms(25);
    say("robust: %s", strerrorname_np(pthread_mutex_lock(m)));
    int c1 = pthread_mutex_consistent(m), c2 = pthread_mutex_unlock(m);
    say("consistent %d unlock %d", c1, c2);
    if (waits) wait_say("owner", c);
  }
  say("again %d", pthread_mutex_lock(m));
}

static pthread_mutex_t pim;
static int sum;
static void *add(void *a) {
  (void)a;
  for (int i = 0; i < 3000; i++) {
    pthread_mutex_lock(&pim);
    sum++;
    pthread_mutex_unlock(&pim);
  }
  return 0;
}
static void mutexes(void) {
  pthread_mutexattr_t at;
  pthread_t t[4];
  pthread_mutexattr_init(&at);
  pthread_mutexattr_setprotocol(&at, PTHREAD_PRIO_INHERIT);
  pthread_mutex_init(&pim, &at);
  for (int i = 0; i < 4; i++) pthread_create(&t[i], 0, add, 0);
  for (int i = 0; i < 4; i++) pthread_join(t[i], 0);
  say("sum %d", sum);
  struct timespec ts;
  pthread_mutex_lock(&pim);
  after(&ts, CLOCK_REALTIME, 10);
  say("timed %s", strerrorname_np(pthread_mutex_timedlock(&pim, &ts)));
}

// w[1] is the condition, w[2] the lock.
static void *cond_waiter(void *a) {
  (void)a;
  __atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
  long r = futex(w + 1, FUTEX_WAIT_REQUEUE_PI | 128, 0, 0, w + 2, 0);
  long e = r == -1 ? errno : 0;
  int mine = ((unsigned)w[2] & FUTEX_TID_MASK) == (unsigned)tid();
  if (r == 0) futex(w + 2, FUTEX_UNLOCK_PI_PRIVATE, 0, 0, 0, 0);
  return (void *)(e * 2 + mine);
}
static void conditions(int held) {
  pthread_t t[3];
  void *r;
  w[1] = w[2] = 0;
  ready = 0;
  for (int i = 0; i < 3; i++) pthread_create(&t[i], 0, cond_waiter, 0);
  while (ready < 3) sched_yield();
  sleep_ms(40);
  if (held) futex(w + 2, FUTEX_LOCK_PI_PRIVATE, 0, 0, 0, 0);
  ret("plain wake of requeue waiters", futex(w + 1, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0));
  ret("plain requeue", futex(w + 1, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)9, w + 2, 0));
  ret("requeue to another lock", futex(w + 1, FUTEX_CMP_REQUEUE_PI | 128, 1, (void *)9, w + 3, 0));
  ret("requeue mismatch", futex(w + 1, FUTEX_CMP_REQUEUE_PI | 128, 1, (void *)9, w + 2, 7));
  ret("requeue wakes two", futex(w + 1, FUTEX_CMP_REQUEUE_PI | 128, 2, (void *)9, w + 2, 0));
  ret("requeue to itself", futex(w + 1, FUTEX_CMP_REQUEUE_PI | 128, 1, (void *)9, w + 1, 0));
  ret("requeue", futex(w + 1, FUTEX_CMP_REQUEUE_PI | 128, 1, (void *)9, w + 2, 0));
  if (held) ret("unlock", futex(w + 2, FUTEX_UNLOCK_PI_PRIVATE, 0, 0, 0, 0));
  for (int i = 0; i < 3; i++) pthread_join(t[i], &r), say("waiter %ld", (long)r);
  is("free", w[2] == 0);
  struct timespec ts;
  after(&ts, CLOCK_MONOTONIC, 10);
  ret("wait_requeue timeout", futex(w + 1, FUTEX_WAIT_REQUEUE_PI | 128, 0, &ts, w + 2, 0));
  ret("wait_requeue mismatch", futex(w + 1, FUTEX_WAIT_REQUEUE_PI | 128, 1, 0, w + 2, 0));
  ret("wait_requeue same", futex(w + 1, FUTEX_WAIT_REQUEUE_PI | 128, 0, 0, w + 1, 0));
}

#define OP(op, oparg, cmp, cmparg) FUTEX_OP((op), oparg, cmp, cmparg)
static void wake_op(void) {
  w[0] = 0, w[1] = 5;
  ret("set", futex(w, FUTEX_WAKE_OP_PRIVATE, 1, 0, w + 1, OP(FUTEX_OP_SET, 7, FUTEX_OP_CMP_EQ, 5)));
  say("word %d", w[1]);
  ret("add", futex(w, FUTEX_WAKE_OP_PRIVATE, 1, 0, w + 1, OP(FUTEX_OP_ADD, 0xfff, FUTEX_OP_CMP_NE, 0)));
  say("word %d", w[1]);
  ret("or", futex(w, FUTEX_WAKE_OP_PRIVATE, 1, 0, w + 1, OP(FUTEX_OP_OR, 0x100, FUTEX_OP_CMP_LT, 0)));
  say("word %d", w[1]);
  ret("andn", futex(w, FUTEX_WAKE_OP_PRIVATE, 1, 0, w + 1, OP(FUTEX_OP_ANDN, 2, FUTEX_OP_CMP_LE, 0)));
  say("word %d", w[1]);
  ret("xor", futex(w, FUTEX_WAKE_OP_PRIVATE, 1, 0, w + 1, OP(FUTEX_OP_XOR, 3, FUTEX_OP_CMP_GT, 0)));
  say("word %d", w[1]);
  ret("shift", futex(w, FUTEX_WAKE_OP_PRIVATE, 1, 0, w + 1, OP(8 /* SET, shifted */, 10, FUTEX_OP_CMP_GE, 0)));
  say("word %d", w[1]);
  ret("unknown op", futex(w, FUTEX_WAKE_OP_PRIVATE, 1, 0, w + 1, OP(6u, 1, 0, 0)));
  ret("unknown comparison", futex(w, FUTEX_WAKE_OP_PRIVATE, 1, 0, w + 1, OP(FUTEX_OP_SET, 1, 9, 0)));
  ret("fault", futex(w, FUTEX_WAKE_OP_PRIVATE, 1, 0, BAD_PTR, OP(FUTEX_OP_SET, 1, 0, 0)));
  ret("shared", futex(w, FUTEX_WAKE_OP, 1, 0, w + 1, OP(FUTEX_OP_SET, 1, 0, 0)));
  int *ro = mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ret("read-only", futex(w, FUTEX_WAKE_OP_PRIVATE, 1, 0, ro, OP(FUTEX_OP_SET, 1, 0, 0)));
}
static void *waiter(void *a) {
  __atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
  futex(a, FUTEX_WAIT_PRIVATE, 0, 0, 0, 0);
  return 0;
}
static void wake_op_wakes(void) {
  pthread_t t[4];
  w[0] = w[1] = 0, ready = 0;
  for (int i = 0; i < 4; i++) pthread_create(&t[i], 0, waiter, w + i / 2);
  while (ready < 4) sched_yield();
  sleep_ms(40);
  ret("one word", futex(w, FUTEX_WAKE_OP_PRIVATE, 1, (void *)5, w + 1, OP(FUTEX_OP_ADD, 0, FUTEX_OP_CMP_NE, 0)));
  ret("both words", futex(w, FUTEX_WAKE_OP_PRIVATE, 9, (void *)9, w + 1, OP(FUTEX_OP_ADD, 1, FUTEX_OP_CMP_EQ, 0)));
  for (int i = 0; i < 4; i++) pthread_join(t[i], 0);
}
static volatile int going;
static void *spinner(void *a) {
  for (int i = 0; i < 20000; i++) __atomic_add_fetch((int *)a, 1, __ATOMIC_SEQ_CST);
  going = 0;
  return 0;
}
static void wake_op_atomic(void) {
  pthread_t t;
  int n = 0;
  w[1] = 0, going = 1;
  pthread_create(&t, 0, spinner, w + 1);
  while (going) futex(w, FUTEX_WAKE_OP_PRIVATE, 1, 0, w + 1, OP(FUTEX_OP_ADD, 1, FUTEX_OP_CMP_EQ, 0)), n++;
  pthread_join(t, 0);
  is("atomic", w[1] == 20000 + n);
}

struct waitv { uint64_t val, uaddr; uint32_t flags, reserved; };
static void *waiter2(void *a) {
  __atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
  return (void *)syscall(455, a, 0ul, 3ul, 2 | 128, 0, 0);
}
static volatile pid_t vector_tid;
static void *vector_waiter(void *a) {
  vector_tid = tid();
  return (void *)syscall(449, a, 2, 0, NULL, 0);
}
static void futex2(void) {
  struct timespec ts;
  if (syscall(454, w, 1ul, 1, 2 | 128) == -1 && errno == ENOSYS) return;
  w[0] = w[1] = 0;
  ret("mismatch", syscall(455, w, 1ul, 1ul, 2 | 128, 0, 0));
  ret("mask 0", syscall(455, w, 0ul, 0ul, 2 | 128, 0, 0));
  ret("size", syscall(455, w, 0ul, 1ul, 0 | 128, 0, 0));
  ret("flags", syscall(455, w, 0ul, 1ul, 2 | 128 | 256, 0, 0));
  ret("wide value", syscall(455, w, 1ul << 32, 1ul, 2 | 128, 0, 0));
  after(&ts, CLOCK_MONOTONIC, 10);
  ret("timeout", syscall(455, w, 0ul, 1ul, 2 | 128, &ts, CLOCK_MONOTONIC));
  after(&ts, CLOCK_REALTIME, 10);
  ret("realtime", syscall(455, w, 0ul, 1ul, 2 | 128, &ts, CLOCK_REALTIME));
  ret("clock", syscall(455, w, 0ul, 1ul, 2 | 128, &ts, CLOCK_BOOTTIME));
  ret("wake size", syscall(454, w, 1ul, 1, 1 | 128));
  ret("wake mask 0", syscall(454, w, 0ul, 1, 2 | 128));
  pthread_t t[4];
  void *r;
  ready = 0;
  for (int i = 0; i < 4; i++) pthread_create(&t[i], 0, waiter2, w);
  while (ready < 4) sched_yield();
  sleep_ms(40);
  ret("wake none", syscall(454, w, 1ul, 0, 2 | 128));
  ret("wake other bit", syscall(454, w, 4ul, 9, 2 | 128));
  ret("wake", syscall(454, w, 2ul, 1, 2 | 128));
  struct waitv v[2] = {{0, (uintptr_t)w, 2 | 128, 0}, {0, (uintptr_t)(w + 1), 2 | 128, 0}};
  ret("requeue flags", syscall(456, v, 1, 1, 1));
  ret("requeue negative", syscall(456, v, 0, -1, 1));
  ret("requeue", syscall(456, v, 0, 1, 1));
  v[0].val = 3;
  ret("requeue mismatch", syscall(456, v, 0, 1, 1));
  ret("left", syscall(454, w, 1ul, 9, 2 | 128));
  ret("moved", syscall(454, w + 1, 1ul, 9, 2 | 128));
  for (int i = 0; i < 4; i++) pthread_join(t[i], &r), say("waiter %ld", (long)r);
  v[0].val = 0, v[0].flags = 2;
  ret("requeue from shared to private", syscall(456, v, 0, 0, 0));
  ret("wake none nowhere", syscall(454, NULL, 1ul, 0, 2));
  v[1] = v[0], v[1].flags = 3, v[0].val = 1;
  ret("flags before values", syscall(449, v, 2, 0, NULL, 0));
  v[1].flags = 2, v[1].uaddr = 0;
  ret("addresses before values", syscall(449, v, 2, 0, NULL, 0));
  v[0].val = 0, v[0].flags = 2 | 128, v[1] = v[0];
  pthread_create(t, 0, vector_waiter, v);
  while (!vector_tid) sched_yield();
  until_state(vector_tid, 'S');
  ret("wake both", futex(w, FUTEX_WAKE_PRIVATE, 2, 0, 0, 0));
  pthread_join(*t, &r), say("the last of them: %ld", (long)r);
}

static void *spin(void *a) {
  while (__atomic_load_n((int *)a, __ATOMIC_RELAXED)) {}
  return 0;
}
static void barriers(void) {
  long mask = syscall(SYS_membarrier, 0, 0, 0);
  is("private commands", (mask & 0x78) == 0x78);
  ret("query flags", syscall(SYS_membarrier, 0, 1, 0));
  ret("unknown", syscall(SYS_membarrier, 1 << 20, 0, 0));
  ret("unregistered", syscall(SYS_membarrier, 8, 0, 0));
  ret("unregistered sync", syscall(SYS_membarrier, 32, 0, 0));
  ret("register", syscall(SYS_membarrier, 16, 0, 0));
  ret("again", syscall(SYS_membarrier, 16, 0, 0));
  ret("flags", syscall(SYS_membarrier, 8, 1, 0));
  ret("alone", syscall(SYS_membarrier, 8, 0, 0));
  if (mask & 512) ret("registrations", syscall(SYS_membarrier, 512, 0, 0));
  pthread_t t;
  w[0] = 1;
  pthread_create(&t, 0, spin, w);
  ret("with a thread", syscall(SYS_membarrier, 8, 0, 0));
  ret("global", syscall(SYS_membarrier, 1, 0, 0));
  ret("global expedited", syscall(SYS_membarrier, 2, 0, 0));
  ret("register for it", syscall(SYS_membarrier, 4, 0, 0));
  ret("global expedited again", syscall(SYS_membarrier, 2, 0, 0));
  ret("register sync", syscall(SYS_membarrier, 64, 0, 0));
  ret("sync", syscall(SYS_membarrier, 32, 0, 0));
  __atomic_store_n(w, 0, __ATOMIC_SEQ_CST);
  pthread_join(t, 0);
  pid_t c = fork();
  if (c == 0) {
    ret("child", syscall(SYS_membarrier, 8, 0, 0));
    _exit(0);
  }
  wait_say("child", c);
}

int main(void) {
  w = mmap(0, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  (void)a_lock;
  say("# alone"), alone();
  char *odd = (char *)w + 4096 - 7;
  ret("unlock, nobody's and not aligned", syscall(SYS_futex, odd, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
  *(int *)odd = gettid(), ret("unlock, one's own and not aligned", syscall(SYS_futex, odd, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
  int *still = mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ret("shared wait for memory that stays as it is", syscall(SYS_futex, still, FUTEX_WAIT, 1, NULL, NULL, 0));
  ret("private wait for it", syscall(SYS_futex, still, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0));
  ret("shared wake", syscall(SYS_futex, still, FUTEX_WAKE, 1, NULL, NULL, 0));
  say("# contended"), contended();
  say("# deadlock"), deadlock();
  say("# owner death"), owner_death();
  say("# mutexes"), mutexes();
  say("# conditions"), conditions(0);
  say("# conditions, lock held"), conditions(1);
  say("# wake op"), wake_op();
  say("# wake op wakes"), wake_op_wakes(), wake_op_atomic();
  say("# futex2"), futex2();
  say("# membarrier"), barriers();
  return 0;
}
