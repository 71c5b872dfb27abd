// io_uring by system call, for guest programs: a ring, entries, completions.
#ifndef URING_H
#define URING_H

#include "guest.h"
#include <linux/io_uring.h>

struct ring {
  int fd;
  struct io_uring_params p;
  unsigned char *mem;
  struct io_uring_sqe *sqes;
  unsigned *sq_head, *sq_tail, *sq_mask, *sq_array, *sq_flags, *sq_dropped, *cq_head, *cq_tail, *cq_mask, *cq_overflow;
  struct io_uring_cqe *cqes;
  size_t size;
};

static inline int uring_setup(unsigned n, struct io_uring_params *p) { return syscall(SYS_io_uring_setup, n, p); }

static inline int uring_enter(int fd, unsigned submit, unsigned min, unsigned flags, void *arg, size_t size) {
  return syscall(SYS_io_uring_enter, fd, submit, min, flags, arg, size);
}

static inline int uring_register(int fd, unsigned op, void *arg, unsigned nr) {
  return syscall(SYS_io_uring_register, fd, op, arg, nr);
}

// Makes and maps a ring; `r->p` has flags and sizes. -1 if there is none.
static inline int ring_open(struct ring *r, unsigned n) {
  r->fd = uring_setup(n, &r->p);
  if (r->fd < 0) return -1;
  struct io_uring_params *p = &r->p;
  size_t cqe = p->flags & IORING_SETUP_CQE32 ? 32 : 16, sqe = p->flags & IORING_SETUP_SQE128 ? 128 : 64;
  size_t cq_end = p->cq_off.cqes + p->cq_entries * cqe, sq_end = p->sq_off.array + p->sq_entries * 4;
  r->size = cq_end > sq_end ? cq_end : sq_end;
  r->mem = mmap(NULL, r->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, r->fd, IORING_OFF_SQ_RING);
  r->sqes = mmap(NULL, p->sq_entries * sqe, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, r->fd, IORING_OFF_SQES);
  if (r->mem == MAP_FAILED || (void *)r->sqes == MAP_FAILED) return -1;
  r->sq_head = (unsigned *)(r->mem + p->sq_off.head);
  r->sq_tail = (unsigned *)(r->mem + p->sq_off.tail);
  r->sq_mask = (unsigned *)(r->mem + p->sq_off.ring_mask);
  r->sq_array = (unsigned *)(r->mem + p->sq_off.array);
  r->sq_flags = (unsigned *)(r->mem + p->sq_off.flags);
  r->sq_dropped = (unsigned *)(r->mem + p->sq_off.dropped);
  r->cq_head = (unsigned *)(r->mem + p->cq_off.head);
  r->cq_tail = (unsigned *)(r->mem + p->cq_off.tail);
  r->cq_mask = (unsigned *)(r->mem + p->cq_off.ring_mask);
  r->cq_overflow = (unsigned *)(r->mem + p->cq_off.overflow);
  r->cqes = (struct io_uring_cqe *)(r->mem + p->cq_off.cqes);
  return 0;
}

static inline void ring_close(struct ring *r) {
  munmap(r->sqes, r->p.sq_entries * (r->p.flags & IORING_SETUP_SQE128 ? 128 : 64));
  munmap(r->mem, r->size);
  close(r->fd);
}

// The next free entry, zeroed, with `data`; the kernel sees it after ring_enter.
static inline struct io_uring_sqe *sqe_at(struct ring *r, int op, int fd, const void *addr, unsigned len, uint64_t off,
                                          uint64_t data) {
  unsigned tail = *r->sq_tail, i = tail & *r->sq_mask;
  struct io_uring_sqe *s = &r->sqes[r->p.flags & IORING_SETUP_SQE128 ? 2 * i : i];
  *s = (struct io_uring_sqe){.opcode = op, .fd = fd, .addr = (uint64_t)addr, .len = len, .off = off, .user_data = data};
  if (r->p.sq_off.array) r->sq_array[i] = i;
  __atomic_store_n(r->sq_tail, tail + 1, __ATOMIC_RELEASE);
  return s;
}

// Submits all that is in the ring and waits for `min` completions.
static inline int ring_enter(struct ring *r, unsigned min) {
  unsigned n = *r->sq_tail - __atomic_load_n(r->sq_head, __ATOMIC_ACQUIRE);
  return uring_enter(r->fd, n, min, min ? IORING_ENTER_GETEVENTS : 0, NULL, 0);
}

static inline unsigned ring_ready(struct ring *r) { return __atomic_load_n(r->cq_tail, __ATOMIC_ACQUIRE) - *r->cq_head; }

// Takes the next completion: 1, or 0 if there is none.
static inline int ring_take(struct ring *r, struct io_uring_cqe *c) {
  unsigned head = *r->cq_head;
  if (head == __atomic_load_n(r->cq_tail, __ATOMIC_ACQUIRE)) return 0;
  *c = r->cqes[(r->p.flags & IORING_SETUP_CQE32 ? 2 : 1) * (head & *r->cq_mask)];
  __atomic_store_n(r->cq_head, head + 1, __ATOMIC_RELEASE);
  return 1;
}

static inline const char *res_name(int res) {
  static char text[8][24];
  static int at;
  char *s = text[at++ & 7];
  if (res < 0) return strerrorname_np(-res) ? strerrorname_np(-res) : "?";
  snprintf(s, 24, "%d", res);
  return s;
}

// Takes all that is there and prints it in order of user_data; flags but for IORING_CQE_F_SOCK_NONEMPTY, a hint.
static inline void ring_show(struct ring *r) {
  struct io_uring_cqe c[256];
  int n = 0;
  while (n < 256 && ring_take(r, &c[n])) n++;
  for (int i = 1; i < n; i++)
    for (int j = i; j > 0 && c[j].user_data < c[j - 1].user_data; j--) {
      struct io_uring_cqe t = c[j];
      c[j] = c[j - 1];
      c[j - 1] = t;
    }
  if (n == 0) say("  nothing");
  for (int i = 0; i < n; i++)
    say("  %ld: %s%s%s", (long)c[i].user_data, res_name(c[i].res), c[i].flags & IORING_CQE_F_MORE ? " more" : "",
        c[i].flags & IORING_CQE_F_BUFFER ? " buffer" : "");
}

// One entry by itself, and what comes of it.
static inline void ring_one(struct ring *r, const char *what) {
  int n = ring_enter(r, 1);
  if (n < 0) say("%s: %s", what, strerrorname_np(errno));
  else say("%s: submitted %d", what, n);
  ring_show(r);
}

#endif
