// Random walks of threads and processes that meet at futexes: private and shared words, aliases of a word, every operation of futex(2),
// futex_waitv and the calls of futex2, locks with priority inheritance, robust lists, words cleared at exit; waits are ended by signals,
// stops, exits and executed programs. Nothing waits for time: times are long past or far off.
#include "agents.h"
#include <linux/futex.h>

#define SYS_futex_wake_ 454
#define SYS_futex_wait_ 455
#define SYS_futex_requeue_ 456
#define FUTEX2_U32 2
#define BEGIN 60
#define WORDS 2
#define LOCKS 2
struct lock {
  void *next;
  unsigned word;
};
struct head {
  void *list;
  long offset;
  void *pending;
  int tid; // whose list the kernel knows
};
struct world {
  unsigned words[WORDS];
  struct lock locks[LOCKS];
  struct head heads[AGENTS];
};
static struct world *const shared = (struct world *)(SHARED + 0x41000);
static struct world *const own = (struct world *)STACKS;         // in the first one's alternate stack
static struct world *const alias = (struct world *)0x230000000;  // `shared` again, for reading only

static int in(const void *p, const struct world *w) { return (char *)p >= (char *)w && (char *)p < (char *)(w + 1); }
static const char *named(const unsigned *p) {
  static char names[4][16];
  static int turn;
  char *s = names[turn = (turn + 1) % 4];
  const struct world *w = in(p, shared) ? shared : in(p, own) ? own : in(p, alias) ? alias : NULL;
  if (w == NULL) return p == NULL ? "0" : "bad";
  int odd = (unsigned long)p % 4, i = (const unsigned *)((char *)p - odd) - w->words;
  snprintf(s, 16, "%c%s%d%s", w == shared ? 'S' : w == own ? 'P' : 'R', i < WORDS ? "" : "L", i < WORDS ? i : (int)((struct lock *)((char *)p - 8) - w->locks), odd ? "+" : "");
  return s;
}
static unsigned *a_lock(void) { return &(one_in(3) ? own : shared)->locks[below(LOCKS)].word; }
static unsigned *a_word(void) {
  struct world *w = one_in(2) ? own : one_in(6) ? alias : shared;
  unsigned *p = one_in(10) ? &w->locks[below(LOCKS)].word : &w->words[below(WORDS)];
  return one_in(30) ? NULL : one_in(30) ? (unsigned *)((char *)p + 1) : one_in(40) ? (unsigned *)0x7000 : p;
}
static unsigned value_of(const unsigned *p) {
  if (in(p, alias)) p = (unsigned *)((char *)p - (char *)alias + (char *)shared);
  return in(p, shared) || in(p, own) ? *p : 0;
}
static unsigned expected(const unsigned *p) { return one_in(8) ? below(3) : value_of(p); }
static int private(const unsigned *p) { return one_in(8) == in(p, own) ? 0 : FUTEX_PRIVATE_FLAG; }
static unsigned a_set(void) { return one_in(20) ? 0 : PICK(1, 2, 3, 0xffffffff, 0xffffffff); }
static int a_count(void) { return PICK(0, 1, 1, 1, 2, 3, 100, 100, -1); }
// Of a lock, whose word names a thread.
static const char *held(unsigned v) {
  static char texts[4][20];
  static int turn;
  char *s = texts[turn = (turn + 1) % 4];
  snprintf(s, 20, "%s%s%s", who(v & FUTEX_TID_MASK), v & FUTEX_WAITERS ? " waiters" : "", v & FUTEX_OWNER_DIED ? " died" : "");
  return s;
}

// When to give up: never, in the past, or so late that it is never.
// Each agent has its own: whether a time that changes under a sleeper counts is Linux's no, and a known difference (docs/limits.md).
static struct timespec times[AGENTS];
#define a_time times[me()]
static struct timespec *until(void) {
  switch (below(12)) {
    case 0 ... 6: return NULL;
    case 7 ... 8: a_time = (struct timespec){2000000000, 5}; break;
    case 9 ... 10: a_time = (struct timespec){0, below(2)}; break;
    default: a_time = (struct timespec){PICK(0, -1), PICK(0, 1000000000)};
  }
  return &a_time;
}
// Such a call sleeps only if it may do so for ever.
#define futex_sleeps(time, ...) ((time) == NULL || (time)->tv_sec > 1 ? waits(__VA_ARGS__) : sys(__VA_ARGS__))
static const char *time_name(const struct timespec *t) {
  return t == NULL ? "never" : t->tv_sec > 1 ? "late" : t->tv_sec < 0 || t->tv_nsec > 999999999 ? "bad" : "past";
}

static void do_wait(void) {
  unsigned *at = a_word(), value = expected(at), set = a_set();
  int bits = one_in(2), op = (bits ? FUTEX_WAIT_BITSET : FUTEX_WAIT) | private(at) | (one_in(6) ? FUTEX_CLOCK_REALTIME : 0);
  struct timespec *t = until();
  tell("WAIT %x(%s, %s, %s, %x)", op, named(at), value == value_of(at) ? "same" : "other", time_name(t), bits ? set : 0);
  told(futex_sleeps(t, SYS_futex, at, op, value, t, NULL, set));
}
static void do_wake(void) {
  unsigned *at = a_word(), set = a_set();
  int bits = one_in(3), op = (bits ? FUTEX_WAKE_BITSET : FUTEX_WAKE) | private(at), n = a_count();
  tell("WAKE %x(%s, %d, %x)", op, named(at), n, bits ? set : 0);
  told(sys(SYS_futex, at, op, n, NULL, NULL, set));
}
static void do_requeue(void) {
  unsigned *at = a_word(), *to = a_word(), value = expected(at);
  int op = PICK(FUTEX_REQUEUE, FUTEX_CMP_REQUEUE, FUTEX_CMP_REQUEUE) | private(at), n = a_count(), move = a_count();
  tell("REQUEUE %x(%s, %d, %d, %s)", op, named(at), n, move, named(to));
  told(sys(SYS_futex, at, op, n, move, to, value));
}
static void do_wake_op(void) {
  unsigned *at = a_word(), *to = &(one_in(3) ? own : one_in(8) ? alias : shared)->words[below(WORDS)];
  int what = below(5) | (one_in(4) ? 8 : 0), arg = below(4), compare = below(6), with = below(3), n = a_count(), m = a_count(), op = FUTEX_WAKE_OP | private(at);
  if (one_in(20)) what = 5;
  tell("WAKE_OP %x(%s, %d, %d, %s, %d %d, %d %d)", op, named(at), n, m, named(to), what, arg, compare, with);
  told(sys(SYS_futex, at, op, n, m, to, FUTEX_OP(what, arg, compare, with)));
}

// Lists of robust locks, as libraries keep them.
static struct head *my_head(void) {
  struct head *h = &shared->heads[me()];
  return h->tid == sys(SYS_gettid) ? h : NULL;
}
static void *clean(void *p) { return (void *)((unsigned long)p & ~1UL); }
static void enlist(unsigned *at, int pi) {
  struct lock *l = (struct lock *)((char *)at - 8);
  struct head *h = my_head();
  if (h == NULL || one_in(8)) return;
  for (void *p = clean(h->list); p != h; p = clean(*(void **)p))
    if (p == l) return;
  l->next = h->list, h->list = (char *)l + pi;
  tell(" listed");
}
static void delist(unsigned *at) {
  struct lock *l = (struct lock *)((char *)at - 8);
  struct head *h = my_head();
  if (h == NULL) return;
  for (void **p = &h->list; clean(*p) != h; p = clean(*p)) {
    if (clean(*p) != l) continue;
    *p = l->next;
    tell(" off the list");
    return;
  }
}
static void do_robust(void) {
  int to = another();
  struct head *h = NULL;
  size_t size = 0;
  if (one_in(2)) {
    h = &shared->heads[me()];
    *h = (struct head){h, 8, NULL, sys(SYS_gettid)};
    tell("set_robust_list"), told(sys(SYS_set_robust_list, h, one_in(10) ? 23 : 24));
    return;
  }
  tell("get_robust_list(%c)", 'A' + to);
  if (told(sys(SYS_get_robust_list, agents[to].tid, &h, &size)) == 0) tell(" %s %lu", h == NULL ? "none" : h == &shared->heads[to] ? "its" : "?", size);
}

static void do_lock(void) {
  unsigned *at = a_lock(), tid = sys(SYS_gettid), free = 0;
  int try = one_in(4), op = (try ? FUTEX_TRYLOCK_PI : one_in(2) ? FUTEX_LOCK_PI : FUTEX_LOCK_PI2) | (in(at, own) ? FUTEX_PRIVATE_FLAG : 0);
  struct timespec *t = try ? NULL : until();
  if (one_in(2) && __atomic_compare_exchange_n(at, &free, tid, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
    tell("takes %s", named(at)), enlist(at, 1);
    return;
  }
  struct head *h = my_head();
  if (h != NULL && one_in(2)) h->pending = (char *)at - 8 + 1;
  tell("LOCK %x(%s, %s)", op, named(at), time_name(t));
  if (told(futex_sleeps(t, SYS_futex, at, op, 0, t, NULL, 0)) == 0) tell(" %s", held(*at)), enlist(at, 1);
  if (h != NULL) h->pending = NULL;
}
static void do_unlock(void) {
  unsigned *at = a_lock(), tid = sys(SYS_gettid), was = tid;
  for (int i = 0; i < 4 && (*at & FUTEX_TID_MASK) != tid; i++) at = a_lock();
  tell("unlock %s", named(at));
  delist(at);
  if (one_in(2) && __atomic_compare_exchange_n(at, &was, 0, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) return;
  tell(" UNLOCK_PI"), told(sys(SYS_futex, at, FUTEX_UNLOCK_PI | (in(at, own) ? FUTEX_PRIVATE_FLAG : 0), 0, NULL, NULL, 0));
}
// A lock that is robust, but not the kernel's: taken if it is free, else waited for.
static void do_plain_lock(void) {
  unsigned *at = &shared->locks[0].word, tid = sys(SYS_gettid), was = *at;
  tell("plain lock %s", named(at));
  if ((was & FUTEX_TID_MASK) == 0) *at = tid | (was & FUTEX_WAITERS), enlist(at, 0);
  else if ((was & FUTEX_TID_MASK) == tid) tell(" own");
  else *at = was | FUTEX_WAITERS, told(waits(SYS_futex, at, FUTEX_WAIT, was | FUTEX_WAITERS, NULL, NULL, 0)), tell(" %s", held(*at));
}
static void do_requeue_pi(void) {
  unsigned *at = &(one_in(3) ? own : shared)->words[below(WORDS)], *to = a_lock(), value = expected(at);
  int flag = in(at, own) && !one_in(6) ? FUTEX_PRIVATE_FLAG : 0;
  struct timespec *t = until();
  if (one_in(2)) {
    tell("WAIT_REQUEUE_PI %x(%s, %s, %s)", flag, named(at), time_name(t), named(to));
    if (told(futex_sleeps(t, SYS_futex, at, FUTEX_WAIT_REQUEUE_PI | flag, value, t, to, 0)) == 0) tell(" %s", held(*to)), enlist(to, 1);
  } else {
    int wake = one_in(8) ? 2 : 1, move = PICK(0, 1, 100);
    tell("CMP_REQUEUE_PI %x(%s, %d, %d, %s)", flag, named(at), wake, move, named(to));
    told(sys(SYS_futex, at, FUTEX_CMP_REQUEUE_PI | flag, wake, move, to, value));
  }
}

static void a_waiter(struct futex_waitv *v) {
  unsigned *at = a_word();
  *v = (struct futex_waitv){expected(at), (long)at, FUTEX2_U32 | private(at)};
  if (one_in(40)) v->flags = PICK(0, 1, 3, 0x102);
  if (one_in(40)) v->__reserved = 1;
  tell(" %s %x", named(at), v->flags);
}
static void do_waitv(void) {
  struct futex_waitv v[3];
  int n = 1 + below(3);
  struct timespec *t = until();
  tell("waitv(");
  for (int i = 0; i < n; i++) a_waiter(&v[i]);
  tell(", %s)", time_name(t));
  told(futex_sleeps(t, SYS_futex_waitv, v, one_in(30) ? PICK(0, 129) : n, one_in(30), t, PICK(CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC)));
}
static void do_futex2(void) {
  struct futex_waitv v[2];
  struct timespec *t = until();
  unsigned set = a_set();
  int n = a_count(), move = a_count(), clock = one_in(10) ? CLOCK_BOOTTIME : CLOCK_REALTIME;
  switch (below(3)) {
    case 0: tell("futex_wait("), a_waiter(v), tell(", %x, %s, %d)", set, time_name(t), clock), told(futex_sleeps(t, SYS_futex_wait_, v->uaddr, v->val, (long)set, v->flags, t, clock)); break;
    case 1: tell("futex_wake("), a_waiter(v), tell(", %x, %d)", set, n), told(sys(SYS_futex_wake_, v->uaddr, (long)set, n, v->flags)); break;
    default: tell("futex_requeue("), a_waiter(v), a_waiter(v + 1), tell(", %d, %d)", n, move), told(sys(SYS_futex_requeue_, v, one_in(30), n, move));
  }
}

static void handler(int sig) { note(" [%d]", sig); }
static void do_signal(void) {
  int to = another(), sig = PICK(SIGUSR1, SIGUSR1, SIGUSR2, SIGUSR2, SIGSTOP, SIGCONT, SIGCONT), thread = one_in(2);
  if (one_in(12)) sig = SIGKILL;
  tell("%s(%c, %d)", thread ? "tkill" : "kill", 'A' + to, sig);
  told_sent(agents[to].pid, thread ? sys(SYS_tkill, agents[to].tid, sig) : sys(SYS_kill, agents[to].pid, sig));
}
static void act(int op) {
  unsigned *at;
  struct sched_param p;
  switch (op >= 0 ? op : below(BEGIN)) {
    case 0 ... 2: at = &(one_in(2) ? own : shared)->words[below(WORDS)], *at = below(3), tell("%s := %u", named(at), *at); break;
    case 3 ... 11: do_wait(); break;
    case 12 ... 19: do_wake(); break;
    case 20 ... 23: do_requeue(); break;
    case 24 ... 25: do_wake_op(); break;
    case 26 ... 30: do_lock(); break;
    case 31 ... 34: do_unlock(); break;
    case 35 ... 36: do_plain_lock(); break;
    case 37 ... 39: do_requeue_pi(); break;
    case 40 ... 42: do_waitv(); break;
    case 43 ... 45: do_futex2(); break;
    case 46 ... 47: do_robust(); break;
    case 48: at = &own->words[below(WORDS)], tell("set_tid_address(%s)%s", named(at), whose(sys(SYS_set_tid_address, at))); break;
    case 49: p.sched_priority = below(3), tell("priority %d", p.sched_priority), told(sys(SYS_sched_setscheduler, 0, p.sched_priority ? SCHED_FIFO : SCHED_OTHER, &p)); break;
    case 50 ... 52: spawn(PICK(THREAD, THREAD, THREAD, SIGCHLD, CLONE_VM | SIGCHLD)); break;
    case 53 ... 57: do_signal(); break;
    case 58: tell("exit"), sys(one_in(4) ? SYS_exit_group : SYS_exit, 3); break;
    case 59: if (one_in(3)) shared->heads[me()].tid = 0, execute(); else tell("exit"), sys(SYS_exit, 3); break;
    case BEGIN:
      mmap(alias, 4096, PROT_READ, MAP_SHARED | MAP_FIXED, SHARED_FD, 0x41000);
      sigaction(SIGUSR1, &(struct sigaction){.sa_handler = handler}, NULL), sigaction(SIGUSR2, &(struct sigaction){.sa_handler = handler, .sa_flags = SA_RESTART}, NULL);
  }
}

static void one(char *to, size_t room, const char *status, const char *stat) { snprintf(to, room, "%c threads %s", stat[0], field(status, "\nThreads:")); }
static void state(char *to, size_t room) {
  static char last[200], now[200];
  agents_state(to, room, one);
  int n = snprintf(now, sizeof now, "   ");
  for (int i = 0; i < WORDS; i++) n += snprintf(now + n, sizeof now - n, " S%d %x", i, shared->words[i]);
  for (int i = 0; i < LOCKS; i++) n += snprintf(now + n, sizeof now - n, " SL%d %s", i, held(shared->locks[i].word));
  if (strcmp(now, last) != 0) snprintf(to + strlen(to), room - strlen(to), "%s\n", strcpy(last, now));
}
static void step(unsigned i) {
  int used = 0, ready = 0;
  for (int k = 0; k < AGENTS; k++) used += agents[k].used, ready += agents[k].used && agents[k].at == IDLE && letter(&agents[k]) == 'S';
  if (used < AGENTS || ready > 0) return agents_step();
  int k = somebody();
  out("M kills %c", 'A' + k), kill(agents[k].pid, SIGKILL), settle(), show_texts(), reap();
}
static void begin(uint64_t seed) {
  agents_begin();
  order(0, BEGIN);
  for (int i = 0; i < 3; i++) order(0, 50);
  out("\n");
}
