// Structures that calls of calls.c take, with values that mostly make sense, and descriptors of one kind.
#ifndef CALL_STRUCTS_H
#define CALL_STRUCTS_H
#include "call-memory.h"
#include <linux/aio_abi.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

// Of the last structure.
static long struct_size;

static long put_struct(int i, const void *data, long size) {
  struct_size = size;
  return put(i, data, size);
}
#define PUT_STRUCT(i, what) put_struct(i, &(what), sizeof(what))

// Its size, mostly.
static long size_of_struct(void) {
  long n = below(3) ? struct_size : PICK(0, 1, 8, 16, 24, 31, 32, 40, 64, 72, 88, 96, 200, 4096, 4097, -1);
  out("size %ld", n);
  return n;
}

// One of the descriptors whose names begin so; sometimes any.
static long descriptor_of(const char *const *names) {
  int found[24], n = 0;
  for (int k = 0; k < world_fd_count; k++)
    for (const char *const *name = names; *name; name++)
      if (n < 24 && strncmp(world_fds[k].name, *name, strlen(*name)) == 0) { found[n++] = k; break; }
  if (n == 0 || one_in(8)) return descriptor();
  int k = found[below(n)];
  out("%s", world_fds[k].name);
  return narrow(world_fds[k].fd);
}

static long open_how(int i) {
  long how[3] = {PICK(0, 1, 2, O_RDWR | O_CREAT, O_RDWR | O_CREAT | O_EXCL, O_DIRECTORY, O_PATH, O_PATH | O_NOFOLLOW, O_PATH | O_CREAT, O_TMPFILE | O_RDWR, O_NOFOLLOW, 3, 1 << 30, 1L << 40, -1),
      PICK(0, 0, 0, 0644, 0644, 07777, 010000, -1), PICK(0, 0, 1, 2, 4, 8, 8, 16, 16, 32, 5, 24, 36, 64, -1)};
  out("how %#lx %lo %lx ", how[0], how[1], how[2]);
  return put_struct(i, how, 24);
}

static long mount_attr(int i) {
  long a[4];
  for (int k = 0; k < 2; k++) a[k] = PICK(0, 0, 0, 1, 2, 4, 8, 0xf, 0x10, 0x20, 0x70, 0x30, 0x80, 0x200000, 0x100000, 0x400, 1L << 40);
  a[2] = PICK(0, 0, 0, 0, MS_SHARED, MS_PRIVATE, MS_SLAVE, MS_UNBINDABLE, MS_SHARED | MS_PRIVATE, MS_REC, 1);
  out("attr +%lx -%lx %lx ", a[0], a[1], a[2]);
  a[3] = one_in(3) ? descriptor() : PICK(0, 0, -1);
  out(" ");
  return put_struct(i, a, 32);
}

// Of a mount by a path of its own.
static long mount_query(int i) {
  static const char *const of[] = {"/", "/w", "/proc", "/dev/pts", "mnt"};
  struct statx s = {0};
  struct { unsigned size, fd; unsigned long id, param, ns; } q = {PICK(24, 24, 32, 32, 0, 16, 23, 40, 4096), PICK(0, 0, 0, 1)};
  int what = below(8), n = below(5);
  statx(AT_FDCWD, of[n], AT_SYMLINK_NOFOLLOW, 0x4000, &s);
  q.id = what == 0 ? (unsigned long)-1 : what == 1 ? PICK(0, 1, 1L << 31, 1L << 60) : s.stx_mnt_id;
  q.param = PICK(0, 0, 1, 2, 4, 8, 0x10, 0x20, 0x38, 0x80, 0x100, 0x200, 0x23a, 1L << 40, -1);
  out("query of %s %u param %#lx ", what == 0 ? "root" : what == 1 ? "none" : of[n], q.size, q.param);
  q.ns = PICK(0, 0, 0, 1);
  struct_size = q.size;
  return PUT(i, q);
}

static long clone_args(int i) {
  static const long one[] = {0x100, 0x200, 0x400, 0x800, 0x1000, 0x2000, 0x4000, 0x8000, 0x10000, 0x20000, 0x40000, 0x80000, 0x100000, 0x200000, 0x400000, 0x800000, 0x1000000,
      0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000, 0x80000000, 0x100000000, 0x200000000, 0x80, 1, 1L << 34, 0x4100, 0x50f00, 0x10900, 0x10000000};
  unsigned long a[11] = {0};
  for (int n = below(4); n > 0; n--) a[0] |= one[below(sizeof one / sizeof *one)];
  // Memory of both: its own stack or nobody else runs.
  if (a[0] & 0x100 && one_in(2)) a[0] |= 0x4000;
  int *tids = (int *)(data_page + 3000);
  tids[0] = PICK(12345, 12345, 1, 0, -1, 0x7fffffff), tids[1] = 12346;
  if (!one_in(8)) a[1] = (long)(data_page + 3072);
  a[2] = (long)(data_page + 3080), a[3] = (long)(data_page + 3088), a[4] = PICK(0, 0, SIGCHLD, SIGCHLD, SIGCHLD, SIGURG, SIGUSR1, 64, 65, -1);
  if (a[0] & (0x8000 | 0x10000) && below(4)) a[4] = 0;
  switch (below(8)) {
    case 0: a[5] = (long)data_page, a[6] = 2048; break;
    case 1: a[5] = (long)data_page; break;
    case 2: a[6] = 2048; break;
    case 3: a[5] = -4096, a[6] = 8192; break;
  }
  a[7] = PICK(0, 0, 0, 0, 1L << 63);
  if (one_in(5)) a[8] = (long)tids, a[9] = PICK(1, 1, 2, 33);
  if (one_in(8)) a[9] = 1;
  a[10] = PICK(0, 0, 20, 25, -1, 1L << 40);
  long size = PICK(88, 88, 88, 88, 64, 80, 80, 96, 63, 0, 65);
  out("clone %#lx signal %ld%s%s set %lx tls %lx tid %d of %ld ", a[0], (long)a[4], a[5] ? " stack" : "", a[6] ? " size" : "", a[1] ? 1L : 0L, a[7], a[8] ? tids[0] : 0, (long)a[9]);
  return struct_size = size, put(i, a, 88);
}

// A child runs nothing but its end: whatever its stack is.
static long raw_clone3(long args, long size) {
  long r;
  asm volatile("syscall; test %%rax, %%rax; jnz 1f; mov $7, %%edi; mov $60, %%eax; syscall; 1:" : "=a"(r) : "0"(435L), "D"(args), "S"(size) : "rcx", "r11", "memory");
  if (r < 0) return errno = -r, -1;
  int status = 0;
  if (waitpid(r, &status, __WALL) == r) out(" child %x", status);
  else
    while (syscall(SYS_tkill, r, 0) == 0) usleep(100);
  return r;
}

static long aio_context(void) {
  static aio_context_t context;
  if (one_in(10)) { long c = PICK(0, 1, 4096, -1); out("context %ld", c); return c; }
  if (context == 0) syscall(SYS_io_setup, 8, &context);
  out("context");
  return context;
}

static long control_blocks(int i) {
  struct iocb *cb = (void *)(data_page + 2048), *list[3];
  struct iovec *v = (void *)(data_page + 2560);
  for (int k = 0; k < 3; k++) {
    int vectors = 0;
    memset(&cb[k], 0, sizeof *cb);
    cb[k].aio_lio_opcode = PICK(0, 0, 1, 1, 2, 3, 5, 6, 7, 8, 4, 9), vectors = cb[k].aio_lio_opcode == 7 || cb[k].aio_lio_opcode == 8;
    v[k] = (struct iovec){data_page + 256 * k, PICK(1, 8, 100)};
    out("%d ", cb[k].aio_lio_opcode), cb[k].aio_fildes = descriptor();
    cb[k].aio_buf = (long)(vectors ? (char *)&v[k] : data_page + 256 * k), cb[k].aio_nbytes = vectors ? 1 : PICK(0, 1, 8, 100, 200, -1);
    if (cb[k].aio_lio_opcode == 2 || cb[k].aio_lio_opcode == 3 || cb[k].aio_lio_opcode == 5) cb[k].aio_buf = PICK(0, 0, 1, 4, 5), cb[k].aio_nbytes = PICK(0, 0, 0, 1);
    cb[k].aio_offset = cb[k].aio_lio_opcode == 5 ? 0 : PICK(0, 0, 10, 9000, -1), cb[k].aio_rw_flags = PICK(0, 0, 0, 1, 2, 4, 8, 16, 0x100);
    cb[k].aio_data = 7, cb[k].aio_key = PICK(0, 1);
    if (one_in(4)) cb[k].aio_flags = PICK(1, 1, 2, 4), out(" notes "), cb[k].aio_resfd = descriptor();
    out(" %ld at %ld %x; ", (long)cb[k].aio_nbytes, (long)cb[k].aio_offset, cb[k].aio_rw_flags);
    list[k] = one_in(16) ? NULL : &cb[k];
  }
  return put(i, list, sizeof list);
}

static long signal_event(int i) {
  struct sigevent e = {.sigev_notify = PICK(0, 0, 1, 1, 2, 3, 4, -1), .sigev_signo = PICK(SIGURG, SIGURG, SIGUSR1, 0, 64, 65, -1)};
  if (e.sigev_notify == 4) e._sigev_un._tid = PICK(0, 4000000);
  out("event %d %d ", e.sigev_notify, e.sigev_signo);
  // A signal that comes from elsewhere: ignored.
  signal(SIGUSR1, SIG_IGN), signal(64, SIG_IGN);
  return PUT(i, e);
}

static long queue_attr(int i) {
  struct mq_attr a = {PICK(0, O_NONBLOCK, 1, -1), PICK(1, 4, 10, 11, 0, -1, 65536), PICK(1, 64, 8192, 8193, 0, -1, 1 << 24), PICK(0, 1)};
  out("attr %lx %ld %ld ", a.mq_flags, a.mq_maxmsg, a.mq_msgsize);
  return PUT(i, a);
}

// What it refuses of the calls of this table: none that a walk needs for its end.
static long program(int i) {
  struct sock_filter *f = (void *)(data_page + 3200);
  static const int refused[] = {SYS_dup, SYS_getppid, SYS_openat, SYS_mmap, SYS_fcntl, SYS_ioctl};
  unsigned action = PICK(SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO | 5, SECCOMP_RET_ERRNO | 4096, SECCOMP_RET_TRAP | 3, SECCOMP_RET_USER_NOTIF, SECCOMP_RET_TRACE | 1);
  struct { unsigned short n; void *at; } p = {5, f};
  f[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0), f[1] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, refused[below(6)], 0, 1);
  f[2] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action), f[3] = f[4] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  int bad = below(20);
  switch (bad) {
    case 0: p.n = 0; break;
    case 1: p.n = 4097; break;
    case 2: p.at = NULL; break;
    case 3: f[0].k = PICK(1, 64, 60, -4096); break;
    case 4: f[1].jt = 200; break;
    case 5: f[4].code = BPF_LD; break;
    case 6: f[3].code = PICK(BPF_LD | BPF_MSH, BPF_MISC, 0xff, BPF_ALU | BPF_DIV | BPF_K, BPF_LD | BPF_MEM), f[3].k = 0; break;
    case 7: f[3] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_MEM, PICK(0, 15, 16)); break;
  }
  out("filter %u of %x bad %d ", f[1].k, action, bad);
  return PUT(i, p);
}

static long cap_header(int i) {
  struct __user_cap_header_struct h = {PICK(_LINUX_CAPABILITY_VERSION_3, _LINUX_CAPABILITY_VERSION_3, _LINUX_CAPABILITY_VERSION_2, _LINUX_CAPABILITY_VERSION_1, 0, 5), PICK(0, 0, 0, getpid(), stopped, 4000000, -1)};
  out("version %x of %s ", h.version, h.pid == 0 ? "0" : h.pid == stopped ? "stopped" : h.pid == getpid() ? "self" : "none");
  return PUT(i, h);
}

static long cap_data(int i) {
  unsigned d[6];
  for (int k = 0; k < 6; k++) d[k] = PICK(0, 0, USUAL, USUAL, ADMIN, 1, 1 << below(32)) >> (k < 3 ? 0 : 31) & (k < 3 ? -1 : 0x1ff);
  if (one_in(2)) d[0] &= d[1];
  out("%x %x %x %x %x %x ", d[0], d[1], d[2], d[3], d[4], d[5]);
  return put(i, d, one_in(6) ? 12 : 24);
}

static long sched_attr(int i) {
  struct { unsigned size, policy; long flags; int nice, priority; long runtime, deadline, period; int min, max; } a = {PICK(48, 56, 56, 0, 47, 64, 4096), PICK(0, 0, 3, 5, 1, 2, 4, 7, -1),
      PICK(0, 0, 1, 8, 0x10, 0x20, 0x60, 0x80, -1), PICK(0, 0, 5, 19, 20, -1, -20), PICK(0, 0, 1, 99, 100)};
  a.min = PICK(0, 0, -1, 1024, 1025), a.max = PICK(0, 1024, -1, 5);
  out("%u policy %d flags %lx nice %d priority %d clamp %d %d ", a.size, a.policy, a.flags, a.nice, a.priority, a.min, a.max);
  return PUT(i, a);
}
#endif
