// link: -w
// futex(2): arithmetic of FUTEX_WAKE_OP, bad times, bad addresses of every operation.
#include "guest.h"
#include <linux/futex.h>

static long futex(void *u, int op, unsigned v, const void *ts, void *u2, unsigned v3) {
  return syscall(SYS_futex, u, op, v, ts, u2, v3);
}

static int *w;

static void wake_op(void) {
  const char *ops[] = {"SET", "ADD", "OR", "ANDN", "XOR", "5", "15"};
  const int opn[] = {0, 1, 2, 3, 4, 5, 15};
  const int args[] = {0, 1, 5, 31, 0x7ff, 0x800, 0xfff};
  const unsigned start[] = {0, 1, 0x7fffffff, 0x80000000, 0xffffffff};
  for (int shift = 0; shift < 2; shift++) {
    for (int i = 0; i < 7; i++) {
      for (int j = 0; j < 7; j++) {
        printf("%s%s %x:", ops[i], shift ? " shifted" : "", args[j]);
        for (int k = 0; k < 5; k++) {
          w[1] = start[k];
          long r = futex(w, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, w + 1, FUTEX_OP(opn[i] | shift << 3, args[j], 0, 0));
          if (r < 0) printf(" %s", strerrorname_np(errno));
          else printf(" %ld/%x", r, w[1]);
        }
        printf("\n");
      }
    }
  }
  fflush(stdout);
}

static void comparisons(void) {
  const char *cmps[] = {"EQ", "NE", "LT", "LE", "GT", "GE", "6"};
  const int args[] = {0, 1, 0x7ff, 0x800, 0xfff};
  const unsigned start[] = {0, 1, 0x7ff, 0xfffff800, 0xffffffff};
  for (int i = 0; i < 7; i++) {
    printf("%s:", cmps[i]);
    for (int j = 0; j < 5; j++) {
      for (int k = 0; k < 5; k++) {
        w[1] = start[k];
        // Nobody waits: only whether the comparison is known shows.
        long r = futex(w, FUTEX_WAKE_OP_PRIVATE, 0, (void *)0, w + 1, FUTEX_OP(FUTEX_OP_OR, 0, i, args[j]));
        printf(" %s", r < 0 ? strerrorname_np(errno) : "0");
      }
    }
    printf("\n");
  }
  fflush(stdout);
}

static void errors(void) {
  const char *names[] = {"WAIT", "WAKE", "FD", "REQUEUE", "CMP_REQUEUE", "WAKE_OP", "LOCK_PI", "UNLOCK_PI", "TRYLOCK_PI", "WAIT_BITSET",
                         "WAKE_BITSET", "WAIT_REQUEUE_PI", "CMP_REQUEUE_PI", "LOCK_PI2"};
  struct timespec past = {1, 0}, bad = {1, 1000000000}, negative = {-1, 0};
  char *none = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  void *places[] = {(char *)w + 1, none, (void *)0x10, (void *)(1ul << 62), NULL};
  const char *what[] = {"unaligned", "unreadable", "nowhere", "in the kernel", "null"};
  for (int op = 0; op < 14; op++) {
    if (op == 2) continue;
    for (int p = 0; p < 5; p++) {
      if (op == 7 || op == 12) continue;
      printf("%s %s:", names[op], what[p]);
      for (int flags = 0; flags <= 384; flags += 128) {
        // A time long ago, so that nothing waits. The second address is good, then the first.
        int timed = op == 0 || op == 6 || op == 9 || op == 11 || op == 13;
        struct timespec none_ = {0, 0};
        w[0] = w[1] = 0;
        const void *ts = timed ? (op == 0 ? (void *)&none_ : (void *)&past) : (void *)1;
        long r = futex(places[p], op | flags, op == 12 ? 1 : 0, ts, w + 1, op == 4 || op == 12 ? 0 : 1);
        printf(" %s", r < 0 ? strerrorname_np(errno) : "ok");
        if (op == 3 || op == 4 || op == 5 || op == 11 || op == 12) {
          w[0] = w[1] = 0;
          r = futex(w, op | flags, op == 12 ? 1 : 0, ts, places[p], op == 4 || op == 12 ? 0 : 1);
          printf("/%s", r < 0 ? strerrorname_np(errno) : "ok");
        }
      }
      printf("\n");
    }
  }
  w[0] = 5;
  for (int op = 0; op < 14; op++) {
    if (op != 0 && op != 9 && op != 11) continue;
    printf("%s:", names[op]);
    printf(" %s", futex(w, op | 128, 5, &bad, w + 1, 1) < 0 ? strerrorname_np(errno) : "ok");
    printf(" %s", futex(w, op | 128, 5, &negative, w + 1, 1) < 0 ? strerrorname_np(errno) : "ok");
    printf(" %s", futex(w, op | 128, 5, BAD_PTR, w + 1, 1) < 0 ? strerrorname_np(errno) : "ok");
    printf(" %s", futex(w, op | 384, 5, &bad, w + 1, 1) < 0 ? strerrorname_np(errno) : "ok");
    printf(" %s", futex(w, op | 384, 5, BAD_PTR, w + 1, 1) < 0 ? strerrorname_np(errno) : "ok");
    printf(" %s", futex(w, op | 128, 6, op == 0 ? (void *)&(struct timespec){0, 0} : (void *)&past, w + 1, 0) < 0 ? strerrorname_np(errno) : "ok");
    printf("\n");
  }
  fflush(stdout);
}

int main(void) {
  w = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  say("== wake op");
  wake_op();
  say("== comparisons");
  comparisons();
  say("== errors");
  errors();
  return 0;
}
