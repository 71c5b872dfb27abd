// Operations on what is in files.
#include "world.h"
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/resource.h>

static void say_read(long r, const void *b) {
  int e = errno;
  if (r > 0) say(" {%08x}", hash(b, r));
  errno = e;
  result(r);
}

static void op_read(void) {
  int s = file_slot();
  size_t n = some_data();
  long off = offset();
  memset(data, 0, sizeof data);
  struct iovec v[3] = {{data, n / 3}, {data + n / 3, 0}, {data + n / 3, n - n / 3}};
  // RWF_NOWAIT goes by what is in memory; ext4 knows RWF_DONTCACHE (0x80).
  static const int flags[] = {0, 0, RWF_HIPRI, RWF_DSYNC, RWF_APPEND, 0x40 /* ATOMIC */, 0x100 /* NOSIGNAL */, 0x200};
  int flag = PICK(flags);
  switch (below(5)) {
    case 0: say("pread(s%d, %zu, %ld)", s, n, off), say_read(pread(slots[s], data, n, off), data); break;
    case 1: say("readv(s%d, %zu)", s, n), say_read(readv(slots[s], v, 3), data); break;
    case 2: say("preadv2(s%d, %zu, %ld, %#x)", s, n, off, flag), say_read(preadv2(slots[s], v, 3, off, flag), data); break;
    default: say("read(s%d, %zu)", s, n), say_read(read(slots[s], data, n), data);
  }
}

static void op_write(void) {
  int s = file_slot();
  size_t n = s < SLOTS ? some_data() : 100;
  long off = offset();
  static const int flags[] = {0, RWF_APPEND, RWF_DSYNC, RWF_SYNC, 0x20 /* NOAPPEND */, RWF_HIPRI, 0x40, 0x100, 0x1000};
  int flag = PICK(flags);
  struct iovec v[3] = {{data, n / 3}, {data + n / 3, 0}, {data + n / 3, n - n / 3}};
  switch (below(6)) {
    case 0: say("pwrite(s%d, %zu, %ld)", s, n, off), result(pwrite(slots[s], data, n, off)); break;
    case 1: say("writev(s%d, %zu)", s, n), result(writev(slots[s], v, 3)); break;
    case 2: say("pwritev2(s%d, %zu, %ld, %#x)", s, n, off, flag), result(pwritev2(slots[s], v, 3, off, flag)); break;
    default: say("write(s%d, %zu)", s, n), result(write(slots[s], data, n));
  }
}

static void op_seek(void) {
  int s = slot();
  static const int whences[] = {SEEK_SET, SEEK_CUR, SEEK_END, SEEK_DATA, SEEK_HOLE, SEEK_DATA, SEEK_HOLE, 5, -1};
  int w = PICK(whences);
  long off = w == SEEK_END || w == SEEK_CUR ? (long)below(9000) - 4500 : offset();
  if (kind == ROOT && w >= SEEK_DATA) w = SEEK_SET;
  // Each file system has its own positions in directories.
  struct stat st;
  if (fstat(slots[s], &st) == 0 && S_ISDIR(st.st_mode)) off = 0, w = kind == TMPFS && w != SEEK_CUR ? w : SEEK_SET;
  say("lseek(s%d, %ld, %d)", s, off, w);
  result(lseek(slots[s], off, w));
}

static void op_truncate(void) {
  long n = offset();
  if (n > 1 << 21) n = 1L << 62;
  if (one_in(2)) {
    int s = file_slot();
    say("ftruncate(s%d, %ld)", s, n);
    result(ftruncate(slots[s], n));
  } else {
    const char *p = path();
    say("truncate(%s, %ld)", p, n);
    result(truncate(p, n));
  }
}

static void op_fallocate(void) {
  static const int modes[] = {0, 0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE,
      FALLOC_FL_ZERO_RANGE, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_INSERT_RANGE,
      FALLOC_FL_UNSHARE_RANGE, 0x80, 0x1000, FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_KEEP_SIZE};
  int s = file_slot(), m = PICK(modes);
  long off = offset(), n = one_in(12) ? 0 : one_in(3) ? 4096 * (1 + (long)below(4)) : (long)some_data();
  if ((m & (FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE)) != 0 && one_in(2)) off = 4096 * below(3);
  say("fallocate(s%d, %#x, %ld, %ld)", s, m, off, n);
  result(fallocate(slots[s], m, off, n));
}

static void op_copy(void) {
  int from = file_slot(), to = file_slot();
  long in = offset(), out = offset();
  int use_in = one_in(2), use_out = one_in(2), flags = one_in(12);
  size_t n = some_data();
  long r;
  switch (below(3)) {
    case 0:
      say("copy_file_range(s%d, %ld, s%d, %ld, %zu, %d)", from, use_in ? in : -1, to, use_out ? out : -1, n, flags);
      r = copy_file_range(slots[from], use_in ? &in : NULL, slots[to], use_out ? &out : NULL, n, flags);
      break;
    case 1:
      say("sendfile(s%d, s%d, %ld, %zu)", to, from, use_in ? in : -1, n);
      r = sendfile(slots[to], slots[from], use_in ? &in : NULL, n);
      break;
    default:
      if (one_in(3)) {
        to = SLOTS + 1, n %= 50000;
        while (read(slots[SLOTS], data, sizeof data) > 0) {}
      }
      else if (one_in(2)) from = SLOTS + below(2);
      say("splice(s%d, %ld, s%d, %ld, %zu, NONBLOCK)", from, use_in ? in : -1, to, use_out ? out : -1, n);
      r = splice(slots[from], use_in ? &in : NULL, slots[to], use_out ? &out : NULL, n, SPLICE_F_NONBLOCK);
  }
  int e = errno;
  if (r >= 0) say(" in %ld out %ld", in, out);
  errno = e;
  result(r);
}

// None of these file systems shares blocks.
static void op_clone(void) {
  int from = file_slot(), to = file_slot();
  struct file_clone_range range = {slots[from], 0, one_in(2) ? 0 : 4096, one_in(2) ? 0 : 100};
  if (one_in(2)) say("ioctl(s%d, FICLONE, s%d)", to, from), result(ioctl(slots[to], FICLONE, slots[from]));
  else {
    say("ioctl(s%d, FICLONERANGE, s%d %llu %llu)", to, from, range.src_length, range.dest_offset);
    result(ioctl(slots[to], FICLONERANGE, &range));
  }
}

// How long files may become. Copying up obeys, too, in parts of its own.
static void op_limit(void) {
  static const rlim_t sizes[] = {5000, 12288, 100000, RLIM_INFINITY};
  struct rlimit l = {PICK(sizes), RLIM_INFINITY};
  if (kind == OVERLAY || kind == ROOT) return (void)say("limit: none\n");
  say("setrlimit(FSIZE, %ld)", (long)l.rlim_cur), result(setrlimit(RLIMIT_FSIZE, &l));
}

static void op_sync(void) {
  int s = slot();
  switch (below(6)) {
    case 4: say("syncfs(s%d)", s), result(syncfs(slots[s])); break;
    case 5: say("readahead(s%d)", s), result(readahead(slots[s], 0, 4096)); break;
    case 0: say("fsync(s%d)", s), result(fsync(slots[s])); break;
    case 1: say("fdatasync(s%d)", s), result(fdatasync(slots[s])); break;
    case 2: {
      long off = offset();
      unsigned f = below(9);
      say("sync_file_range(s%d, %ld, 100, %u)", s, off, f), result(sync_file_range(slots[s], off, 100, f));
      break;
    }
    default: {
      unsigned a = below(8);
      say("fadvise(s%d, %u)", s, a);
      int e = posix_fadvise(slots[s], 0, 4096, a);
      errno = e;
      result(e == 0 ? 0 : -1);
    }
  }
}

// Mappings of two to four pages; what cannot be touched says SIGBUS or SIGSEGV.
static struct {
  char *at;
  size_t size;
  // Whose pages a private mapping shows until it is stored into.
  ino_t file;
} maps[MAPS];
static sigjmp_buf fault;
static volatile int fault_signal;
static void on_fault(int s) { fault_signal = s, siglongjmp(fault, 1); }

// Files that somebody has mapped to store into: their times change when a page is first written to, which nobody is told.
// Both processes know them.
static struct {
  int n;
  ino_t files[400];
} *stored;
static ino_t number_of(int fd) {
  struct stat st;
  return fstat(fd, &st) == 0 ? st.st_ino : 0;
}
static void note_stored(int fd) {
  if (stored->n < 400) stored->files[stored->n++] = number_of(fd);
}
static int is_stored(ino_t ino) {
  for (int i = 0; i < stored->n; i++) if (stored->files[i] == ino) return 1;
  return 0;
}

static void op_map(void) {
  int m = below(MAPS), s = file_slot(), prot = one_in(4) ? PROT_READ : PROT_READ | PROT_WRITE;
  int flags = one_in(3) ? MAP_PRIVATE : one_in(6) ? MAP_SHARED_VALIDATE : MAP_SHARED;
  size_t size = 4096 * (1 + below(4));
  long off = one_in(10) ? 100 : 4096 * (one_in(2) ? 0 : below(4));
  say("m%d = mmap(%zu, %#x, %#x, s%d, %ld)", m, size, prot, flags, s, off);
  void *p = mmap(NULL, size, prot, flags, slots[s], off);
  if (outcome(p == MAP_FAILED ? -1 : 0) < 0) return;
  if (maps[m].at != NULL) munmap(maps[m].at, maps[m].size);
  maps[m].at = p, maps[m].size = size, maps[m].file = number_of(slots[s]);
  if (!(flags & MAP_PRIVATE)) note_stored(slots[s]);
}

static void op_touch(void) {
  int m = below(MAPS), how = below(6);
  size_t off = below(16384), n = 1 + below(5000);
  if (maps[m].at == NULL) return (void)say("touch m%d: none\n", m);
  if (off >= maps[m].size) off = 0;
  if (off + n > maps[m].size) n = maps[m].size - off;
  say("touch m%d +%zu %zu:", m, off, n);
  if (how == 0) say(" msync"), result(msync(maps[m].at, maps[m].size, 1 << below(3)));
  else if (how == 1) {
    int prot = below(4);
    say(" mprotect %d", prot), result(mprotect(maps[m].at, maps[m].size, prot));
  } else if (how == 2 && one_in(2)) say(" munmap"), result(munmap(maps[m].at, maps[m].size)), maps[m].at = NULL;
  else if (how == 2) {
    static const int advice[] = {MADV_DONTNEED, MADV_REMOVE, MADV_WILLNEED, MADV_POPULATE_READ, MADV_POPULATE_WRITE};
    int a = PICK(advice);
    say(" madvise %d", a), result(madvise(maps[m].at, maps[m].size, a));
  } else if (sigsetjmp(fault, 1)) say(" %s\n", sigabbrev_np(fault_signal));
  else if (how < 5) say(" %08x\n", hash(maps[m].at + off, n));
  else {
    for (size_t i = 0; i < n; i++) maps[m].at[off + i] = 1 + (at + i) % 251;
    say(" stored\n");
  }
}

// The system's own look at memory that may not be there.
static void op_map_io(void) {
  int m = below(MAPS), s = file_slot();
  size_t n = 1 + below(9000);
  int w = one_in(2);
  if (maps[m].at == NULL) return (void)say("%s m%d: none\n", w ? "write" : "read", m);
  if (n > maps[m].size) n = maps[m].size;
  // Linux takes a page after the other: those of the file itself change meanwhile.
  if (w && maps[m].file == number_of(slots[s])) return (void)say("write(s%d, m%d): of itself\n", s, m);
  say("%s(s%d, m%d, %zu)", w ? "write" : "read", s, m, n);
  result(w ? write(slots[s], maps[m].at, n) : read(slots[s], maps[m].at, n));
}
