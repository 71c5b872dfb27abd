// A random walk over mmap, munmap, mprotect, mremap, madvise, brk and fork in one area of pages, with a fixed seed: after each
// step what the calls said, from time to time what /proc/self/maps shows and what the pages hold.
#include "guest.h"
#include <setjmp.h>
#include <sys/shm.h>

#define PAGE 4096ul
#define PAGES 64
#define STEPS 1500

static char *area;
static int files[3];
static uint64_t seed;
static sigjmp_buf back;

static unsigned rnd(unsigned n) {
  seed ^= seed << 13;
  seed ^= seed >> 7;
  seed ^= seed << 17;
  return (unsigned)(seed >> 11) % n;
}

static void on_fault(int sig) { siglongjmp(back, sig); }

// Reads a page's first byte: '.' for 0, '!' SIGSEGV, '#' SIGBUS.
static char peek(int page) {
  int sig = sigsetjmp(back, 1);
  if (sig != 0) return sig == SIGSEGV ? '!' : '#';
  char c = *(volatile char *)(area + page * PAGE);
  return c == 0 ? '.' : c;
}

static void poke(int page, char c) {
  if (sigsetjmp(back, 1) == 0) *(volatile char *)(area + page * PAGE) = c;
}

static void look(int step) {
  char line[PAGES + 1] = "";
  for (volatile int i = 0; i < PAGES; i++) line[i] = peek(i);
  say("%d contents %s", step, line);
}

// Protection and kind of every page, as /proc/self/maps has them: neighbours may be merged or not.
static void maps(int step) {
  char kinds[PAGES + 1], text[300];
  memset(kinds, '.', PAGES);
  kinds[PAGES] = 0;
  FILE *f = fopen("/proc/self/maps", "r");
  unsigned long offsets = 0;
  while (fgets(text, sizeof text, f) != NULL) {
    unsigned long start, end, offset, inode;
    char perms[5];
    if (sscanf(text, "%lx-%lx %4s %lx %*s %lu", &start, &end, perms, &offset, &inode) != 5) continue;
    for (unsigned long at = start; at < end; at += PAGE) {
      if (at < (uintptr_t)area || at >= (uintptr_t)area + PAGES * PAGE) continue;
      int v = (perms[0] == 'r') + 2 * (perms[1] == 'w') + 4 * (perms[2] == 'x') + 8 * (perms[3] == 's');
      kinds[(at - (uintptr_t)area) / PAGE] = (inode != 0 ? 'A' : 'a') + v;
      if (inode != 0 && strstr(text, "zero") == NULL) offsets = offsets * 31 + (offset + at - start) / PAGE;
    }
  }
  fclose(f);
  say("%d maps %s %lu", step, kinds, offsets);
}

static const int prots[] = {PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC};

static long step(void) {
  int from = rnd(PAGES - 8), n = 1 + rnd(8), to = rnd(PAGES - 8);
  char *at = area + from * PAGE;
  int prot = prots[rnd(5)];
  int file = files[rnd(3)];
  long r;
  switch (rnd(13)) {
    case 0:
      r = (long)mmap(at, n * PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
      break;
    case 1:
      r = (long)mmap(at, n * PAGE, prot, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
      break;
    case 2:
      r = (long)mmap(at, n * PAGE, prot, MAP_PRIVATE | MAP_FIXED, file, rnd(4) * PAGE);
      break;
    case 3:
      r = (long)mmap(at, n * PAGE, prot, MAP_SHARED | MAP_FIXED, file, rnd(4) * PAGE);
      break;
    case 4:
      return munmap(at, n * PAGE);
    case 5:
    case 6:
      return mprotect(at, n * PAGE, prot);
    // Since Linux 6.17 one call moves several mappings if it only moves: here a page at a time, or another size.
    case 7: {
      int bigger = 1 + rnd(8);
      r = (long)mremap(at, (bigger == n ? 1 : n) * PAGE, bigger == n ? PAGE : bigger * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, area + to * PAGE);
      break;
    }
    case 8:
      r = (long)mremap(at, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, area + to * PAGE);
      break;
    case 9:
      r = (long)mremap(at, n * PAGE, (1 + rnd(8)) * PAGE, 0);
      break;
    case 10: {
      static const int advices[] = {MADV_DONTNEED, MADV_DONTNEED, MADV_WILLNEED, MADV_DONTFORK, MADV_DOFORK, MADV_WIPEONFORK,
                                    MADV_KEEPONFORK, MADV_POPULATE_WRITE, MADV_POPULATE_READ, 102, 103, MADV_REMOVE};
      return madvise(at, n * PAGE, advices[rnd(12)]);
    }
    case 11:
      for (int i = from; i < from + n; i++) poke(i, 'a' + rnd(26));
      return 0;
    default:
      r = (long)mmap(at, n * PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  }
  return r == -1 ? -1 : (r - (long)area) / (long)PAGE;
}

static void walk(uint64_t start) {
  seed = start;
  for (int i = 0; i < STEPS; i++) {
    long results = 0;
    for (int k = 0; k < 10; k++, i++) {
      errno = 0;
      long r = step();
      results = results * 1000003 + (r == -1 ? -errno : r);
    }
    say("%d results %lx", i, results);
    if (i % 3 != 0) continue;
    maps(i);
    look(i);
    if (i % 5 != 0) continue;
    pid_t child = fork();
    if (child == 0) {
      look(i);
      for (int k = 0; k < PAGES; k++) poke(k, 'Z');
      maps(i);
      _exit(0);
    }
    wait_say("child", child);
    look(i);
  }
}

int main(void) {
  stack_t alt = {.ss_sp = malloc(65536), .ss_size = 65536};
  sigaltstack(&alt, NULL);
  struct sigaction sa = {.sa_handler = on_fault, .sa_flags = SA_ONSTACK | SA_NODEFER};
  sigaction(SIGSEGV, &sa, NULL);
  sigaction(SIGBUS, &sa, NULL);
  for (int i = 0; i < 3; i++) {
    char name[20];
    snprintf(name, sizeof name, "walk%d", i);
    files[i] = i == 2 ? memfd_create(name, 0) : open(name, O_CREAT | O_RDWR | O_TRUNC, 0600);
    if (i != 2) unlink(name);
    for (int k = 0; k < 6; k++)
      if (pwrite(files[i], "0123456789ABCDEFGH" + 6 * i + k, 1, k * PAGE) != 1) return 1;
    if (ftruncate(files[i], 6 * PAGE) != 0) return 1;
  }
  // With room around it, so that nothing else comes near.
  char *room = mmap(NULL, 4 * PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  area = room + PAGES * PAGE;
  munmap(area, 2 * PAGES * PAGE);
  madvise(room, PAGE, MADV_NOHUGEPAGE);
  for (uint64_t s = 1; s <= 3; s++) {
    say("walk %d", (int)s);
    walk(s * 0x9e3779b97f4a7c15ull);
    munmap(area, PAGES * PAGE);
  }
  return 0;
}
