// Private read-only mappings of small files, and everything that lets a program tell whether it sees the file itself: what is
// written later, by whom and how ever, shows in pages that it has not written to.
#include "guest.h"
#include <pthread.h>
#include <setjmp.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#define PAGE 4096

static sigjmp_buf env;
static int got;

static void on_fault(int sig) {
  got = sig;
  siglongjmp(env, 1);
}

// The byte, or the name of the signal that looking at it gives.
static const char *look(const volatile char *p) {
  static char text[4][24];
  static int n;
  char *t = text[n++ % 4];
  if (sigsetjmp(env, 1) == 0) {
    char c = *p;
    if (c >= ' ' && c <= '~') sprintf(t, "'%c'", c);
    else sprintf(t, "%d", c);
  } else sprintf(t, "%s", got == SIGBUS ? "SIGBUS" : "SIGSEGV");
  return t;
}

static const char *poke(volatile char *p, char c) {
  if (sigsetjmp(env, 1) == 0) {
    *p = c;
    return "written";
  }
  return got == SIGBUS ? "SIGBUS" : "SIGSEGV";
}

static void make(const char *name, char c, size_t size) {
  int fd = open(name, O_CREAT | O_TRUNC | O_WRONLY, 0600);
  char *b = malloc(size);
  memset(b, c, size);
  if (write(fd, b, size) != (ssize_t)size) say("%s: short", name);
  close(fd);
  free(b);
}

static char *map_with(const char *name, size_t len, int flags) {
  int fd = open(name, O_RDONLY);
  char *p = mmap(NULL, len, PROT_READ, flags, fd, 0);
  close(fd);
  return p;
}

static char *map(const char *name, size_t len) {
  return map_with(name, len, MAP_PRIVATE);
}

// A file of `size` bytes 'a', freshly mapped.
static char *fresh(const char *name, size_t size) {
  make(name, 'a', size);
  return map(name, size);
}

static void put(const char *name, off_t at, const char *what) {
  int fd = open(name, O_WRONLY);
  if (pwrite(fd, what, strlen(what), at) < 0) say("%s: pwrite %s", name, strerrorname_np(errno));
  close(fd);
}

// Only programs that map many such files are interesting.
static void warm_up(void) {
  char name[20];
  int good = 0;
  for (int i = 0; i < 200; i++) {
    sprintf(name, "warm%d", i);
    make(name, 'a' + i % 26, 100 + i * 60);
    char *p = map(name, 100 + i * 60);
    good += p[0] == 'a' + i % 26 && p[99 + i * 60] == p[0] && (i * 60 + 100) % PAGE != 0 && p[100 + i * 60] == 0;
    if (i % 3 != 0) munmap(p, 100 + i * 60);
    unlink(name);
  }
  ret("200 files", good);
}

static void later_writes(void) {
  char *p = fresh("w", 5000);
  say("before %s %s %s %s", look(p), look(p + 4999), look(p + 5000), look(p + 8191));
  put("w", 0, "b");
  put("w", 4999, "cc");
  say("pwrite %s %s %s %s", look(p), look(p + 4999), look(p + 5000), look(p + 5001));
  put("w", 8190, "dddd");
  say("past the mapping %s %s", look(p + 8190), look(p + 8191));
  int fd = open("w", O_RDWR | O_APPEND);
  ret("truncate to 100", ftruncate(fd, 100));
  say("seen %s %s %s %s", look(p), look(p + 99), look(p + 100), look(p + PAGE));
  ret("append", write(fd, "eee", 3));
  say("seen %s %s %s", look(p + 100), look(p + 103), look(p + PAGE));
  ret("grow", ftruncate(fd, 9000));
  say("seen %s %s %s", look(p + 100), look(p + PAGE), look(p + 8191));
  put("w", PAGE, "f");
  say("seen %s", look(p + PAGE));
  struct iovec v[2] = {{"gg", 2}, {"hh", 2}};
  ret("pwritev", pwritev(fd, v, 2, 0));
  munmap(p, 5000);
  close(fd);

  p = fresh("w", 100);
  make("w", 'z', 40);
  say("O_TRUNC and less %s %s %s", look(p), look(p + 40), look(p + 99));
  make("w", 'y', 0);
  say("O_TRUNC %s", look(p));
  make("w", 'x', 10);
  say("again %s %s", look(p), look(p + 10));
  munmap(p, 100);

  p = fresh("w", 3 * PAGE);
  ret("truncate", truncate("w", PAGE + 1));
  say("seen %s %s %s %s", look(p), look(p + PAGE), look(p + PAGE + 1), look(p + 2 * PAGE));
  fd = open("w", O_RDWR);
  ret("zero range", fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 10, 10));
  say("seen %s %s %s", look(p + 9), look(p + 10), look(p + 20));
  ret("allocate", fallocate(fd, 0, 0, 3 * PAGE));
  say("seen %s %s", look(p + PAGE), look(p + 2 * PAGE));
  munmap(p, 3 * PAGE);
  close(fd);
}

static void copying_calls(void) {
  make("src", 's', 600);
  int src = open("src", O_RDONLY), pipes[2];
  char *p = fresh("c", 1000);
  int fd = open("c", O_RDWR);
  ret("sendfile", sendfile(fd, src, NULL, 10));
  say("seen %s %s", look(p + 9), look(p + 10));
  loff_t from = 0, to = 20;
  ret("copy_file_range", copy_file_range(src, &from, fd, &to, 10, 0));
  say("seen %s %s %s", look(p + 19), look(p + 29), look(p + 30));
  if (pipe(pipes) < 0 || write(pipes[1], "pppp", 4) != 4) return;
  to = 40;
  ret("splice", splice(pipes[0], NULL, fd, &to, 4, 0));
  say("seen %s %s %s", look(p + 39), look(p + 43), look(p + 44));
  close(pipes[0]);
  close(pipes[1]);
  close(src);
  char big[70000];
  memset(big, 'B', sizeof big);
  ret("much", pwrite(fd, big, sizeof big, 0));
  say("seen %s %s", look(p), look(p + 4095));
  ret("very much", ftruncate(fd, 1 << 20));
  put("c", 5, "v");
  put("c", 1 << 19, "v");
  say("seen %s %s", look(p + 5), look(p + 6));
  munmap(p, 1000);
  close(fd);
}

static void shared_too(void) {
  char *p = fresh("sh", 5000);
  int fd = open("sh", O_RDWR);
  char *s = mmap(NULL, 5000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  s[1] = 'S';
  s[4500] = 'T';
  say("shared store %s %s", look(p + 1), look(p + 4500));
  put("sh", 2, "U");
  say("write %s %s", look(p + 2), look(s + 2));
  char *again = map("sh", 5000);
  s[3] = 'V';
  say("second private %s %s", look(again + 3), look(p + 3));
  ret("MADV_REMOVE", madvise(s, PAGE, MADV_REMOVE));
  say("seen %s %s", look(p + 1), look(p + 4500));
  munmap(s, 5000);
  munmap(p, 5000);
  munmap(again, 5000);
  close(fd);
  p = fresh("sh", 300);
  s = map_with("sh", 300, MAP_SHARED);
  put("sh", 0, "W");
  say("shared for reading %s %s", look(p), look(s));
  munmap(s, 300);
  munmap(p, 300);
}

static void own_stores(void) {
  char *p = fresh("m", 5000);
  say("store %s", poke(p, 'x'));
  ret("mprotect", mprotect(p, PAGE, PROT_READ | PROT_WRITE));
  say("store %s", poke(p, 'x'));
  say("seen %s", look(p));
  put("m", 0, "FF");
  put("m", 4500, "F");
  say("own page %s %s, the other %s", look(p), look(p + 1), look(p + 4500));
  int fd = open("m", O_RDONLY);
  char c[2];
  ret("pread", pread(fd, c, 2, 0));
  say("the file %c%c", c[0], c[1]);
  ret("mprotect back", mprotect(p, PAGE, PROT_READ));
  say("store %s", poke(p, 'y'));
  say("seen %s", look(p));
  ret("MADV_DONTNEED", madvise(p, 2 * PAGE, MADV_DONTNEED));
  say("the file's again %s %s", look(p), look(p + 4500));
  ret("PROT_NONE", mprotect(p, PAGE, PROT_NONE));
  say("seen %s", look(p));
  ret("PROT_READ", mprotect(p, PAGE, PROT_READ));
  say("seen %s", look(p));
  put("m", 3, "G");
  say("later %s", look(p + 3));
  ret("read into it", read(fd, p, 10));
  munmap(p, 5000);
  close(fd);
  p = fresh("m", 200);
  ret("MADV_FREE", madvise(p, PAGE, MADV_FREE));
  ret("MADV_DONTNEED", madvise(p, PAGE, MADV_DONTNEED));
  ret("MADV_WIPEONFORK", madvise(p, PAGE, MADV_WIPEONFORK));
  ret("MADV_REMOVE", madvise(p, PAGE, MADV_REMOVE));
  ret("MADV_WILLNEED", madvise(p, PAGE, MADV_WILLNEED));
  ret("MADV_POPULATE_READ", madvise(p, PAGE, MADV_POPULATE_READ));
  unsigned char vec = 0;
  ret("mincore", mincore(p, PAGE, &vec));
  ret("in memory", vec & 1);
  ret("mlock", mlock(p, PAGE));
  ret("munlock", munlock(p, PAGE));
  ret("remap_file_pages", syscall(SYS_remap_file_pages, p, PAGE, 0, 0, 0));
  say("seen %s", look(p));
  munmap(p, 200);
}

static void moving(void) {
  char *p = fresh("r", 5000);
  char *to = mmap(NULL, 16 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  char *q = mremap(p, 5000, 5000, MREMAP_MAYMOVE | MREMAP_FIXED, to);
  is("moved", q == to);
  put("r", 1, "M");
  say("seen %s, before %s", look(q + 1), look(p + 1));
  q = mremap(q, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to + 8 * PAGE);
  say("grown %s %s %s", look(q + 1), look(q + PAGE), look(q + 2 * PAGE));
  ret("file grows", truncate("r", 3 * PAGE));
  say("seen %s %s", look(q + 2 * PAGE), look(q + 3 * PAGE));
  munmap(to, 16 * PAGE);

  p = fresh("r", 2 * PAGE);
  put("r", PAGE, "N");
  ret("munmap first", munmap(p, PAGE));
  say("seen %s %s", look(p), look(p + PAGE));
  put("r", PAGE, "O");
  say("later %s", look(p + PAGE));
  is("MAP_FIXED over", mmap(p + PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p + PAGE);
  say("seen %s", look(p + PAGE));
  munmap(p + PAGE, PAGE);

  p = fresh("r", 100);
  ok("DONTUNMAP at no page", (long)mremap(p, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, p + 1));
  char *two = mremap(p, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
  is("DONTUNMAP moves", two != MAP_FAILED);
  put("r", 0, "P");
  say("DONTUNMAP %s %s", look(two), look(p));
  munmap(p, PAGE);
  munmap(two, PAGE);
  p = fresh("r", 100);
  is("old length 0", mremap(p, 0, PAGE, MREMAP_MAYMOVE) == MAP_FAILED);
  q = mremap(p, PAGE, 3 * PAGE, MREMAP_MAYMOVE);
  say("longer %s %s", look(q), look(q + PAGE));
  munmap(q, 3 * PAGE);
  p = map_with("r", 100, MAP_PRIVATE | MAP_POPULATE);
  put("r", 0, "Q");
  say("MAP_POPULATE %s", look(p));
  munmap(p, 100);
}

static void names_and_ends(void) {
  char *p = fresh("n", 100);
  make("n2", 'n', 50);
  ret("rename over", rename("n2", "n"));
  say("seen %s %s", look(p), look(p + 99));
  munmap(p, 100);
  p = fresh("n", 100);
  int fd = open("n", O_RDWR);
  ret("unlink", unlink("n"));
  ret("write", pwrite(fd, "k", 1, 0));
  say("seen %s", look(p));
  close(fd);
  say("and after close %s", look(p));
  munmap(p, 100);
  fd = memfd_create("small", 0);
  ret("write", write(fd, "memfd", 5));
  p = mmap(NULL, 5, PROT_READ, MAP_PRIVATE, fd, 0);
  say("memfd %s", look(p + 4));
  ret("write", pwrite(fd, "D", 1, 4));
  say("seen %s", look(p + 4));
  ret("truncate", ftruncate(fd, 0));
  say("seen %s", look(p));
  munmap(p, 5);
  close(fd);
}

// What another process sees that has the mapping from before the fork.
static void forks(void) {
  char *p = fresh("f", 5000);
  char *later = NULL;
  int go[2], done[2];
  char c;
  if (pipe(go) < 0 || pipe(done) < 0) return;
  pid_t child = fork();
  if (child == 0) {
    later = fresh("g", 200);
    for (int i = 0; i < 5; i++) {
      if (read(go[0], &c, 1) != 1) _exit(1);
      say("child %s %s %s %s", look(p), look(p + 4999), look(p + PAGE), look(later));
      if (write(done[1], "x", 1) != 1) _exit(1);
    }
    char *more = fresh("h", 200);
    say("child's own %s", look(more));
    _exit(0);
  }
#define STEP()                                                        \
  do {                                                                \
    if (write(go[1], "x", 1) != 1 || read(done[0], &c, 1) != 1) return; \
  } while (0)
  STEP();
  put("f", 0, "1");
  put("g", 0, "1");
  STEP();
  ret("truncate", truncate("f", 4500));
  put("f", PAGE, "2");
  STEP();
  ret("truncate", truncate("f", 10));
  say("parent %s %s %s", look(p), look(p + 10), look(p + PAGE));
  STEP();
  int fd = open("g", O_RDWR);
  char *s = mmap(NULL, 200, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  s[0] = '3';
  STEP();
  wait_say("child", child);
  munmap(s, 200);
  munmap(p, 5000);
  close(fd);
  close(go[0]);
  close(go[1]);
  close(done[0]);
  close(done[1]);
}

// Somebody reads the memory of one that waits in a call.
static void foreign_reads(void) {
  char *p = fresh("v", 5000);
  int hold[2];
  if (pipe(hold) < 0) return;
  pid_t child = fork();
  if (child == 0) {
    char c;
    close(hold[1]);
    _exit(read(hold[0], &c, 1) == 0 && p[0] == 'R' ? 0 : 1);
  }
  char b[5000];
  struct iovec l = {b, 5000}, r = {p, 5000};
  until_state(child, 'S');
  ret("process_vm_readv", process_vm_readv(child, &l, 1, &r, 1, 0));
  put("v", 0, "R");
  ret("again", process_vm_readv(child, &l, 1, &r, 1, 0));
  say("read %c%c", b[0], b[4999]);
  ret("truncate", truncate("v", 100));
  r.iov_len = 1;
  ret("there", process_vm_readv(child, &l, 1, &r, 1, 0));
  r.iov_base = p + PAGE;
  ret("no more", process_vm_readv(child, &l, 1, &r, 1, 0));
  r.iov_base = p;
  ret("process_vm_writev", process_vm_writev(child, &l, 1, &r, 1, 0));
  close(hold[1]);
  wait_say("child", child);
  close(hold[0]);
  munmap(p, 5000);
}

static char *shared_by_threads;

static void *changes(void *arg) {
  (void)arg;
  put("t", 0, "T");
  return truncate("t", 50) == 0 ? NULL : arg;
}

static void threads(void) {
  shared_by_threads = fresh("t", 5000);
  pthread_t th;
  pthread_create(&th, NULL, changes, NULL);
  pthread_join(th, NULL);
  say("another thread's %s %s %s", look(shared_by_threads), look(shared_by_threads + 50), look(shared_by_threads + PAGE));
  char *p = fresh("t", 200);
  put("t", 0, "U");
  say("after threads %s", look(p));
  munmap(p, 200);
  munmap(shared_by_threads, 5000);
}

static void one_place(void) {
  // The address that the kernel might have an eye on itself.
  char *at = (char *)0x200000000000;
  char *p = mmap(at, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  is("somewhere", p == at);
  say("empty %s", look(p));
  say("store %s", poke(p, 'q'));
  char *q = fresh("o", 200);
  say("seen %s %s", look(q), look(p));
  munmap(q, 200);
  munmap(p, PAGE);
  q = fresh("o", 200);
  is("hint", mmap(at, 200, PROT_READ, MAP_PRIVATE, open("o", O_RDONLY), 0) == at);
  put("o", 0, "Z");
  say("seen %s %s", look(q), look(at));
  munmap(q, 200);
  munmap(at, 200);
  int fd = open("o", O_RDONLY);
  say("offset %s", look(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, PAGE)));
  say("longer %s", look((char *)mmap(NULL, 3 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0) + PAGE));
  say("none %s", look(mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE, fd, 0)));
  char line[300], *maps = fresh("in-maps", 5000);
  FILE *f = fopen("/proc/self/maps", "r");
  while (fgets(line, sizeof line, f) != NULL) {
    unsigned long from, to, off;
    char perms[5];
    if (sscanf(line, "%lx-%lx %4s %lx", &from, &to, perms, &off) == 4 && (char *)from == maps)
      say("maps %ld pages %s %lx %s", (to - from) / PAGE, perms, off, strstr(line, "/in-maps\n") ? "named" : "unnamed");
  }
  fclose(f);
  munmap(maps, 5000);
}

int main(void) {
  struct sigaction sa = {.sa_handler = on_fault};
  sigaction(SIGBUS, &sa, NULL);
  sigaction(SIGSEGV, &sa, NULL);
  warm_up();
  later_writes();
  copying_calls();
  shared_too();
  own_stores();
  moving();
  names_and_ends();
  forks();
  foreign_reads();
  threads();
  one_place();
  return 0;
}
