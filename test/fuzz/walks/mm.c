// Random walks over an address space: mappings of every kind in an arena, faults, contents across fork, /proc/self/smaps.
#include "walk.h"
#include <setjmp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/uio.h>

#define PG 4096UL
#define ARENA 0x100000000UL
#define LOW 14      // pages at the arena's start that most steps are about
#define GAP 540     // and some more behind a gap that a stack can grow through
#define END_PAGE (GAP + 6)
#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 8
#endif
#define UNINITIALIZED 0x4000000
#define MSEAL 462

static sigjmp_buf out_of;
static volatile int fault_sig, fault_code;
static volatile unsigned long fault_at;
static int memfd, file, sealed, pid_self, readonly;
static long base_size, base_data, base_lck, base_stack;
static char *base_brk;

static void on_fault(int sig, siginfo_t *si, void *uc) {
  (void)uc;
  fault_sig = sig;
  fault_code = si->si_code;
  fault_at = (unsigned long)si->si_addr;
  siglongjmp(out_of, 1);
}

static unsigned page(void) {
  unsigned d = below(12);
  if (d == 0) return GAP + below(6);
  if (d == 1 && one_in(3)) return LOW + below(GAP - LOW);
  return below(LOW);
}
static unsigned long at(void) { return ARENA + page() * PG; }
// Mostly whole pages within the arena, sometimes not.
static unsigned long length(unsigned long from) {
  unsigned long room = ARENA + END_PAGE * PG - from;
  unsigned long len = (1 + below(5)) * PG;
  if (one_in(30)) len += PICK(1, -1, 100, -PG);
  if (one_in(60)) len = PICK(0, -1, -PG, 1L << 46);
  if (one_in(40)) len = room;
  return len < room || one_in(2) ? len : PG;
}
static const char *place(unsigned long a) {
  static char names[4][40];
  static int turn;
  char *s = names[turn = (turn + 1) % 4];
  if (a >= ARENA && a < ARENA + 4096 * PG) {
    if (a % PG) sprintf(s, "p%lu+%lu", (a - ARENA) / PG, a % PG);
    else sprintf(s, "p%lu", (a - ARENA) / PG);
  } else if (a == 0 || a >= 1UL << 47) sprintf(s, "%#lx", a);
  else sprintf(s, "elsewhere");
  return s;
}
static const char *size(unsigned long n) {
  static char names[4][40];
  static int turn;
  char *s = names[turn = (turn + 1) % 4];
  if (n % PG == 0 && n < 4096 * PG) sprintf(s, "%lup", n / PG);
  else sprintf(s, "%#lx", n);
  return s;
}
static void where(unsigned long r) {
  if (r == -1UL) out(" = %s", strerrorname_np(errno));
  else out(" = %s", place(r));
}

static void touch(unsigned long a, int write, int value) {
  out("%s(%s)", write ? "write" : "read", place(a));
  if (sigsetjmp(out_of, 1) == 0) {
    if (write) *(volatile char *)a = value;
    out(" = %d", *(volatile char *)a);
  } else out(" = signal %d code %d at %s", fault_sig, fault_code, place(fault_at));
}

static void peek_all(void) {
  out("contents ");
  for (unsigned i = 0; i < END_PAGE; i++) {
    if (i == LOW) i = GAP;
    if (sigsetjmp(out_of, 1) == 0) {
      volatile int c = *(volatile unsigned char *)(ARENA + i * PG);
      out("%d ", c);
    } else out(fault_sig == SIGBUS ? "B%d " : fault_code == 1 ? "- " : "x%d ", fault_code);
  }
}

// The mappings in the arena, neighbours that differ in nothing taken together.
// Offsets of private anonymous memory are addresses.
static int ino_matters(const char *key) { return strchr(key, (char)47) != NULL; }

static void mappings(char *to, size_t room) {
  char key[400] = "", last[400] = "", *rest = slurp("/proc/self/smaps");
  unsigned long start = 0, end = 0, from = 0, until = 0, off = 0, last_off = 0;
  int in = 0;
  char perms[8], name[200];
  *to = 0;
  char *p = to;
  for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
    unsigned long a, b, o;
    unsigned long ino;
    char dev[20];
    name[0] = 0;
    if (sscanf(line, "%lx-%lx %7s %lx %19s %lu %199[^\n]", &a, &b, perms, &o, dev, &ino, name) >= 6) {
      start = a, end = b, off = o;
      in = a >= ARENA && a < ARENA + END_PAGE * PG;
      char *slash = strrchr(name, '/');
      if (slash) memmove(name, slash, strlen(slash) + 1);
      snprintf(key, sizeof key, "%s %s", perms, name);
    }
    if (!in || strncmp(line, "VmFlags:", 8) != 0) continue;
    char *flags = line + 8;
    char kept[200] = "";
    for (char *w = strtok(flags, " \n"); w; w = strtok(NULL, " \n"))
      if (strcmp(w, "sd") != 0 && strcmp(w, "sf") != 0 && strcmp(w, "ac") != 0 && strcmp(w, "gu") != 0) strcat(kept, " "), strcat(kept, w);
    strcat(key, kept);
    int has_off = ino_matters(key);
    if (until == start && strcmp(key, last) == 0 && (!has_off || last_off + (until - from) == off)) {
      until = end;
      continue;
    }
    if (until) p += snprintf(p, room - (p - to), "  %lu-%lu %s +%lu\n", (from - ARENA) / PG, (until - ARENA) / PG, last, last_off / PG);
    from = start, until = end, last_off = has_off ? off : 0;
    strcpy(last, key);
  }
  if (until) p += snprintf(p, room - (p - to), "  %lu-%lu %s +%lu\n", (from - ARENA) / PG, (until - ARENA) / PG, last, last_off / PG);
}

static long status(const char *name) {
  char *p = strstr(slurp("/proc/self/status"), name);
  return p ? strtol(p + strlen(name), NULL, 10) : -1;
}

static void state(char *to, size_t room) {
  mappings(to, room);
  char *p = to + strlen(to);
  snprintf(p, room - (p - to), "  size %+ld data %+ld locked %+ld stack %+ld brk %+ld\n", status("VmSize:") - base_size, status("VmData:") - base_data,
           status("VmLck:") - base_lck, status("VmStk:") - base_stack, (long)((char *)syscall(SYS_brk, 0) - base_brk));
}

// The stack is as large as it gets: how far it grows depends on where it begins.
static __attribute__((noinline)) void grow_stack(void) {
  volatile char deep[512 << 10];
  for (unsigned i = 0; i < sizeof deep; i += PG) deep[i] = 1;
}

static void begin(uint64_t seed) {
  grow_stack();
  struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
  stack_t ss = {.ss_sp = malloc(1 << 16), .ss_size = 1 << 16};
  sigaltstack(&ss, NULL);
  sigaction(SIGSEGV, &sa, NULL);
  sigaction(SIGBUS, &sa, NULL);
  prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
  char fill[8 * PG];
  for (unsigned i = 0; i < sizeof fill; i++) fill[i] = 100 + i / PG;
  memfd = memfd_create("memfd", MFD_ALLOW_SEALING);
  if (write(memfd, fill, 6 * PG) < 0) _exit(9);
  sealed = memfd_create("sealed", MFD_ALLOW_SEALING);
  if (write(sealed, fill, 4 * PG) < 0) _exit(9);
  fcntl(sealed, F_ADD_SEALS, PICK(F_SEAL_WRITE, F_SEAL_FUTURE_WRITE, F_SEAL_SHRINK | F_SEAL_GROW));
  unlink("file");
  file = open("file", O_RDWR | O_CREAT, 0644);
  if (write(file, fill, 5 * PG + 200) < 0) _exit(9);
  readonly = open("file", O_RDONLY);
  unlink("file");
  base_brk = (char *)syscall(SYS_brk, 0);
  walk_state[0] = 1, walk_last_state[0] = 1;
  base_size = status("VmSize:"), base_data = status("VmData:"), base_lck = status("VmLck:"), base_stack = status("VmStk:");
  if (seed % 4 == 1) {
    struct rlimit r = {PICK(0, 4, 10, 200) * PG, 1 << 30};
    if (one_in(2) && setresuid(65534, 65534, 65534) == 0) out("nobody ");
    setrlimit(RLIMIT_MEMLOCK, &r);
    out("memlock %s\n", size(r.rlim_cur));
    prctl(PR_SET_DUMPABLE, 1);
  }
}

static int descriptor(const char **name) {
  switch (below(6)) {
    case 0: case 1: return *name = "memfd", memfd;
    case 2: case 3: return *name = "file", file;
    case 4: return *name = "sealed", sealed;
    default: return *name = "readonly", readonly;
  }
}

static int prot(void) {
  if (one_in(40)) return PICK(PROT_GROWSDOWN | 3, PROT_GROWSUP | 3, 8, 0x100, PROT_GROWSDOWN | PROT_GROWSUP, 16);
  return PICK(0, 1, 3, 3, 3, 3, 1, 2, 7, 5);
}

static void do_mmap(int i) {
  unsigned long a = at(), len = length(a);
  int p = prot(), flags = PICK(MAP_FIXED, MAP_FIXED, MAP_FIXED, MAP_FIXED, MAP_FIXED_NOREPLACE, 0), fd = -1;
  const char *name = "-";
  unsigned long off = 0;
  if (one_in(25)) a += PICK(1, 2048);
  if (one_in(80)) a = PICK(-PG, 1L << 47, (1L << 47) - PG);
  flags |= PICK(MAP_PRIVATE, MAP_PRIVATE, MAP_SHARED, MAP_SHARED, MAP_PRIVATE, MAP_SHARED_VALIDATE, MAP_DROPPABLE);
  if (one_in(50)) flags = (flags & ~15) | PICK(0, 4, 9);
  if (one_in(2)) flags |= MAP_ANONYMOUS;
  else {
    fd = descriptor(&name);
    off = below(7) * PG;
    if (one_in(30)) off = PICK(1, -PG, 100 * PG, (1L << 52));
  }
  if (one_in(3)) flags |= PICK(MAP_POPULATE, MAP_LOCKED, MAP_NORESERVE, MAP_GROWSDOWN, MAP_GROWSDOWN, MAP_STACK, MAP_NONBLOCK | MAP_POPULATE, MAP_DENYWRITE, MAP_HUGETLB, MAP_32BIT, MAP_SYNC, UNINITIALIZED);
  // Without huge pages, what was there is unmapped before they are missed; how much is up to their size.
  if (flags & MAP_HUGETLB && flags & MAP_FIXED) flags &= ~MAP_HUGETLB;
  out("mmap(%s, %s, %x, %x, %s, %s)", place(a), size(len), p, flags, name, size(off));
  unsigned long r = (unsigned long)mmap((void *)a, len, p, flags, fd, off);
  where(r);
  if (r != -1UL && (r < ARENA || r >= ARENA + END_PAGE * PG)) munmap((void *)r, len);
}

static void do_mremap(void) {
  unsigned long a = at(), len = length(a), more = one_in(3) ? len : length(a), to = at();
  if (one_in(8)) len = 0;
  int flags = PICK(0, 1, 1, 3, 3, 3, 5, 7, 2, 4, 8, 6);
  if (flags == 5 || flags == 7) more = one_in(8) ? more : len;
  if (one_in(30)) to += 1;
  out("mremap(%s, %s, %s, %d, %s)", place(a), size(len), size(more), flags, place(to));
  unsigned long r = syscall(SYS_mremap, a, len, more, flags, to);
  where(r);
  if (r != -1UL && (r < ARENA || r >= ARENA + END_PAGE * PG)) {
    if (sigsetjmp(out_of, 1) == 0) out(" with %d", *(volatile char *)r);
    else out(" with signal %d code %d", fault_sig, fault_code);
    munmap((void *)r, more);
  }
}

static void do_advise(void) {
  static const int advice[] = {0, 1, 2, 3, 4, 4, 4, 8, 9, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 18, 19, 20, 21, 22, 23, 24, 102, 103, 5, 30};
  unsigned long a = at(), len = length(a);
  int w = advice[below(sizeof advice / sizeof *advice)];
  if (one_in(5)) {
    struct iovec v[3];
    int n = below(4);
    for (int k = 0; k < n; k++) v[k].iov_base = (void *)at(), v[k].iov_len = length((unsigned long)v[k].iov_base);
    out("process_madvise(%d", w);
    for (int k = 0; k < n; k++) out(" %s+%s", place((unsigned long)v[k].iov_base), size(v[k].iov_len));
    out(")");
    result(syscall(SYS_process_madvise, pid_self, v, n, w, one_in(20)));
    return;
  }
  if (one_in(20)) a += 1;
  out("madvise(%s, %s, %d)", place(a), size(len), w);
  result(madvise((void *)a, len, w));
}

static void do_mincore(void) {
  unsigned char vec[600];
  unsigned long a = at(), len = (1 + below(6)) * PG;
  memset(vec, 9, sizeof vec);
  out("mincore(%s, %s)", place(a), size(len));
  if (result(mincore((void *)a, len, vec)) == 0)
    for (unsigned k = 0; k < len / PG; k++) out(" %d", vec[k]);
}

static void do_fork(int i) {
  unsigned pages[6];
  for (int k = 0; k < 6; k++) pages[k] = page();
  int inside = below(3);
  out("fork {");
  pid_t pid = fork();
  if (pid == 0) {
    pid_self = syscall(SYS_pidfd_open, getpid(), 0);
    peek_all();
    for (int k = 0; k < 3; k++) touch(ARENA + pages[k] * PG + 1, 1, i + k), out("; ");
    mappings(walk_state, sizeof walk_state);
    out("\n%s", walk_state);
    out("  locked %ld\n", status("VmLck:"));
    if (inside == 1) do_mmap(i), peek_all();
    if (inside == 2) do_advise(), peek_all();
    _exit(0);
  }
  int st;
  while (waitpid(pid, &st, 0) < 0) {}
  out("} = %x", st);
}

static void do_process_vm(int i) {
  char buf[6 * PG];
  struct iovec remote[3], local = {buf, sizeof buf};
  int n = 1 + below(3), wr = below(2);
  unsigned long total = 0;
  memset(buf, 200 + i % 50, sizeof buf);
  out("process_vm_%s(", wr ? "writev" : "readv");
  for (int k = 0; k < n; k++) {
    unsigned long a = at() + PICK(0, 0, 4000, 8);
    remote[k] = (struct iovec){(void *)a, PICK(1, 100, PG, 2 * PG, 0)};
    total += remote[k].iov_len;
    out("%s+%lu ", place(a), remote[k].iov_len);
  }
  if (one_in(4)) local.iov_len = total / 2;
  out(")");
  long r = wr ? process_vm_writev(getpid(), &local, 1, remote, n, 0) : process_vm_readv(getpid(), &local, 1, remote, n, 0);
  result(r);
  if (!wr && r > 0) out(" %d %d", (unsigned char)buf[0], (unsigned char)buf[r - 1]);
}

static void do_file(int i) {
  const char *name;
  int fd = descriptor(&name);
  unsigned long off = below(9) * PG + PICK(0, 0, 0, 100);
  unsigned char b[2] = {i, i};
  if (fd == readonly) fd = file, name = "file";
  switch (below(5)) {
    case 0: out("ftruncate(%s, %lu)", name, off), result(ftruncate(fd, off)); break;
    case 1: out("pwrite(%s, %lu)", name, off), result(pwrite(fd, b, 2, off)); break;
    case 2: out("pread(%s, %lu)", name, off), out(" %d", result(pread(fd, b, 2, off)) > 0 ? b[0] : -1); break;
    case 3: {
      int mode = PICK(3, 1, 0, 0x10, 3);
      out("fallocate(%s, %d, %lu, 2p)", name, mode, off), result(fallocate(fd, mode, off, 2 * PG));
      break;
    }
    default: out("fcntl(%s, F_GET_SEALS)", name), result(fcntl(fd, F_GET_SEALS));
  }
}

static void io_from_arena(int i) {
  unsigned long a = at() + PICK(0, 4090, 10);
  int len = PICK(1, 100, PG, 2 * PG), fds[2];
  if (pipe(fds) < 0) return;
  unsigned char buf[3 * PG];
  memset(buf, 50 + i % 50, sizeof buf);
  if (one_in(2)) {
    out("write(pipe, %s, %d)", place(a), len);
    result(write(fds[1], (void *)a, len));
  } else {
    out("read(pipe, %s, %d)", place(a), len);
    if (write(fds[1], buf, len) < 0) return;
    result(read(fds[0], (void *)a, len));
  }
  close(fds[0]), close(fds[1]);
}

static void do_rlimit(void) {
  int what = PICK(RLIMIT_AS, RLIMIT_DATA, RLIMIT_STACK, RLIMIT_MEMLOCK);
  long n = PICK(-1, 0, 2, 5, 10, 30);
  struct rlimit r;
  getrlimit(what, &r);
  if (n == -1) r.rlim_cur = r.rlim_max;
  else if (what == RLIMIT_AS) r.rlim_cur = status("VmSize:") * 1024 + n * PG;
  else if (what == RLIMIT_DATA) r.rlim_cur = status("VmData:") * 1024 + n * PG;
  else if (what == RLIMIT_STACK && n < 5) r.rlim_cur = 8 << 20;
  else r.rlim_cur = n * PG;
  if (r.rlim_cur > r.rlim_max) r.rlim_cur = r.rlim_max;
  out("setrlimit(%d, %ld)", what, n), result(setrlimit(what, &r));
}

static void step(unsigned i) {
  if (pid_self == 0) pid_self = syscall(SYS_pidfd_open, getpid(), 0);
  unsigned long a = at(), len = length(a);
  int p, n;
  if (one_in(30)) a += PICK(1, 2000);
  switch (below(46)) {
    case 0 ... 9: do_mmap(i); break;
    case 10 ... 11: out("munmap(%s, %s)", place(a), size(len)), result(a + len < ARENA + 2 * END_PAGE * PG ? munmap((void *)a, len) : -2); break;
    case 12 ... 15: p = prot(), out("mprotect(%s, %s, %x)", place(a), size(len), p), result(mprotect((void *)a, len, p)); break;
    case 16 ... 20: do_mremap(); break;
    case 21 ... 25: do_advise(); break;
    case 26:
      n = PICK(0, 0, 1, 2);
      out("mlock2(%s, %s, %d)", place(a), size(len), n), result(syscall(SYS_mlock2, a, len, n)); break;
    case 27: out("munlock(%s, %s)", place(a), size(len)), result(munlock((void *)a, len)); break;
    case 28:
      n = PICK(0, 2, 6, 4, 8, 2);
      if (one_in(6)) out("munlockall"), result(munlockall());
      else out("mlockall(%d)", n), result(mlockall(n));
      break;
    case 29: {
      long by = PICK(0, 1, -1, 3, 10) * PG + PICK(0, 0, 5);
      out("brk(%+ld)", by);
      char *now = (char *)syscall(SYS_brk, 0);
      char *to = now + by;
      if (to < base_brk) to = base_brk;
      out(" = %+ld", (long)((char *)syscall(SYS_brk, to) - now));
      break;
    }
    case 30:
      n = PICK(1, 2, 4, 6, 5, 0, 8, 4);
      out("msync(%s, %s, %d)", place(a), size(len), n), result(msync((void *)a, len, n)); break;
    case 31: do_mincore(); break;
    case 32: {
      unsigned long off = below(6);
      int pr = one_in(10), fl = one_in(3) ? MAP_NONBLOCK : 0;
      out("remap_file_pages(%s, %s, %d, %lu, %x)", place(a), size(len), pr, off, fl), result(syscall(SYS_remap_file_pages, a, len, pr, off, fl));
      break;
    }
    case 33:
      if (one_in(6)) n = one_in(10), out("mseal(%s, %s, %d)", place(a), size(len), n), result(syscall(MSEAL, a, len, n));
      else n = PICK(-1, 3), p = prot(), out("pkey_mprotect(%s, %s, %x, %d)", place(a), size(len), p, n), result(syscall(SYS_pkey_mprotect, a, len, p, n));
      break;
    case 34 ... 36: touch(a + 8, 1, i); break;
    case 37: touch(a + 8, 0, 0); break;
    case 38: peek_all(); break;
    case 39 ... 40: do_fork(i); break;
    case 41: do_process_vm(i); break;
    case 42: touch(a + 16, 1, i); break;
    case 43: do_file(i); break;
    case 44: io_from_arena(i); break;
    case 45:
      if (one_in(4)) do_rlimit();
      else if (one_in(3)) {
        int wp = PICK(0, 1, 2, 3, 5, 6, 7);
        out("prctl(PR_SET_VMA_NAME)");
        const char *nm = one_in(4) ? NULL : one_in(4) ? "bad[name" : "named";
        out(" %s %s %s", place(a), size(len), nm ? nm : "-");
        (void)wp;
        result(prctl(PR_SET_VMA, 0, a, len, nm));
      } else touch(a + 4, 1, i);
      break;
  }
}
