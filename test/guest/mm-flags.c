// What mappings say of themselves in smaps (VmFlags), and moves of several mappings at once.
#include "guest.h"
#include <sys/uio.h>

#define PG 4096L
#define AT ((char *)0x200000000)
#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 8
#endif

// VmFlags of the mapping that begins at `at`, without what depends on the kernel's configuration (sd) or on accounting (ac).
static void vm_flags(const char *what, char *at) {
  char line[500], kept[200] = " missing";
  unsigned long start = 0, a, b;
  FILE *f = fopen("/proc/self/smaps", "r");
  while (fgets(line, sizeof line, f) != NULL) {
    if (sscanf(line, "%lx-%lx ", &a, &b) == 2) start = a;
    if (start != (unsigned long)at || strncmp(line, "VmFlags:", 8) != 0) continue;
    kept[0] = 0;
    for (char *w = strtok(line + 8, " \n"); w != NULL; w = strtok(NULL, " \n"))
      if (strcmp(w, "sd") != 0 && strcmp(w, "ac") != 0) strcat(kept, " "), strcat(kept, w);
  }
  fclose(f);
  say("%s:%s", what, kept);
}

static char *map(char *at, int pages, int prot, int flags, int fd) {
  char *p = mmap(at, pages * PG, prot, flags | MAP_FIXED, fd, 0);
  if (p == MAP_FAILED) say("mmap %s", strerrorname_np(errno));
  return p;
}

static void flags_of(void) {
  int anon = MAP_ANONYMOUS, rw = PROT_READ | PROT_WRITE;
  int fd = open("file", O_RDWR | O_CREAT, 0600), readonly = open("file", O_RDONLY);
  ret("ftruncate", ftruncate(fd, 4 * PG));
  vm_flags("private", map(AT, 1, rw, MAP_PRIVATE | anon, -1));
  vm_flags("shared", map(AT, 1, rw, MAP_SHARED | anon, -1));
  vm_flags("file, shared", map(AT, 1, rw, MAP_SHARED, fd));
  vm_flags("file, shared, not reserved", map(AT, 1, rw, MAP_SHARED | MAP_NORESERVE, fd));
  vm_flags("file open for reading, shared", map(AT, 1, PROT_READ, MAP_SHARED, readonly));
  vm_flags("file open for reading, private", map(AT, 1, rw, MAP_PRIVATE, readonly));
  vm_flags("stack", map(AT, 1, rw, MAP_PRIVATE | anon | MAP_STACK, -1));
  map(AT, 1, rw, MAP_PRIVATE | anon, -1);
  ret("mlock2 on fault", syscall(SYS_mlock2, AT, PG, 1));
  vm_flags("locked on fault", AT);
  ret("munlock", munlock(AT, PG));
  ret("random", madvise(AT, PG, MADV_RANDOM));
  vm_flags("random", AT);
  ret("sequential", madvise(AT, PG, MADV_SEQUENTIAL));
  vm_flags("sequential", AT);
  ret("normal", madvise(AT, PG, MADV_NORMAL));
  vm_flags("normal", AT);
  ret("mlockall future", mlockall(MCL_FUTURE));
  vm_flags("new, all locked", map(AT, 1, rw, MAP_PRIVATE | anon, -1));
  vm_flags("new and droppable, all locked", map(AT, 1, rw, MAP_DROPPABLE | anon, -1));
  ret("munlockall", munlockall());
  map(AT, 2, rw, MAP_SHARED, fd);
  ret("not for children", madvise(AT, 2 * PG, MADV_DONTFORK));
  ret("remap_file_pages", remap_file_pages(AT, PG, 0, 1, 0));
  vm_flags("remapped", AT);
  vm_flags("as it was", AT + PG);
  munmap(AT, 2 * PG);
  close(fd), close(readonly);
}

// From `from`: which pages of eight are mapped, and what their first bytes are.
static void pages(const char *what, char *from) {
  char text[100] = "";
  unsigned char vec;
  for (int i = 0; i < 8; i++) {
    int mapped = mincore(from + i * PG, PG, &vec) == 0;
    snprintf(text + strlen(text), 8, " %d", mapped ? from[i * PG] : -1);
  }
  say("%s:%s", what, text);
}

static void moves(void) {
  char *to = AT + 64 * PG;
  int rw = PROT_READ | PROT_WRITE;
  for (int i = 0; i < 8; i++) {
    if (i == 3 || i == 4) continue;
    *map(AT + i * PG, 1, rw, MAP_ANONYMOUS | (i & 1 ? MAP_SHARED : MAP_PRIVATE), -1) = 10 + i;
  }
  *map(to + 3 * PG, 1, rw, MAP_ANONYMOUS | MAP_PRIVATE, -1) = 77;
  int fixed = MREMAP_MAYMOVE | MREMAP_FIXED;
  ok("a gap first", (long)mremap(AT + 3 * PG, 5 * PG, 5 * PG, fixed, to));
  ok("several that grow", (long)mremap(AT, 6 * PG, 7 * PG, fixed, to));
  ok("several, without a place", (long)mremap(AT, 6 * PG, 6 * PG, MREMAP_MAYMOVE));
  is("several and a gap", mremap(AT, 6 * PG, 6 * PG, fixed, to) == to);
  pages("old", AT);
  pages("new", to);
  ok("several to their own end", (long)mremap(to, 6 * PG, 6 * PG, fixed, to + 5 * PG));
  is("back, and nothing at the end", mremap(to, 8 * PG, 8 * PG, fixed, AT) == AT);
  pages("old again", to);
  pages("new again", AT);
  munmap(AT, 8 * PG);
}

// MADV_MERGEABLE is for private memory (ksm_compatible()).
static void mergeable(void) {
  int rw = PROT_READ | PROT_WRITE, anon = MAP_ANONYMOUS, fd = open("file", O_RDWR);
  char *p = map(AT, 1, rw, MAP_PRIVATE | anon, -1);
  ret("private", madvise(p, PG, MADV_MERGEABLE)), vm_flags("private", p);
  ret("no more", madvise(p, PG, MADV_UNMERGEABLE)), vm_flags("private", p);
  p = map(AT, 1, rw, MAP_PRIVATE, fd), ret("file", madvise(p, PG, MADV_MERGEABLE)), vm_flags("file", p);
  p = map(AT, 1, rw, MAP_SHARED | anon, -1), ret("shared", madvise(p, PG, MADV_MERGEABLE)), vm_flags("shared", p);
  p = map(AT, 1, PROT_READ, MAP_SHARED, fd), ret("shared file", madvise(p, PG, MADV_MERGEABLE)), vm_flags("shared file", p);
  p = map(AT, 1, rw, MAP_DROPPABLE | anon, -1), ret("droppable", madvise(p, PG, MADV_MERGEABLE)), vm_flags("droppable", p);
  close(fd);
}
// A hint is rounded down.
static void hints(void) {
  munmap(AT, 8 * PG);
  for (int k = 0; k < 4; k++) {
    int more = (const int[]){0, 1, 2048, 4095}[k], flags = MAP_PRIVATE | MAP_ANONYMOUS;
    char *low = (char *)0x50000000, *p = mmap(AT + more, PG, PROT_READ, flags, -1, 0);
    say("hint %ld", (p - AT) / PG);
    munmap(p, PG);
    p = mmap(low + more, PG, PROT_READ, flags | MAP_32BIT, -1, 0);
    say("low hint %ld", (p - low) / PG);
    munmap(p, PG);
  }
}
// The processor reads what can be written only, other processes do not.
static void write_only(void) {
  static char buf[3 * PG];
  char *p = map(AT, 3, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  struct iovec local = {buf, sizeof buf}, remote = {p, 3 * PG};
  p[0] = p[PG] = 1;
  ret("mprotect", mprotect(p + PG, PG, PROT_WRITE));
  say("%d", p[PG]);
  ret("readv up to it", process_vm_readv(getpid(), &local, 1, &remote, 1, 0));
  remote.iov_base = p + PG + 8, remote.iov_len = PG;
  ret("readv from it", process_vm_readv(getpid(), &local, 1, &remote, 1, 0));
  ret("writev", process_vm_writev(getpid(), &local, 1, &remote, 1, 0));
  ret("writev from there", process_vm_writev(getpid(), &remote, 1, &local, 1, 0));
  munmap(p, 3 * PG);
}

int main(void) {
  flags_of();
  moves();
  ret("huge pages at an odd address", (long)mmap(AT + PG, 2 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_HUGETLB, -1, 0));
  ret("huge pages of a file", (long)mmap(AT, -PG, PROT_READ, MAP_PRIVATE | MAP_HUGETLB, open("/proc/self/exe", O_RDONLY), 0));
  ret("huge pages, shared, checked", (long)mmap(NULL, 2 << 20, PROT_READ, MAP_SHARED_VALIDATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0));
  mergeable();
  hints();
  write_only();
  ret("a key and no length", syscall(SYS_pkey_mprotect, AT, 0, PROT_READ, 14));
  ret("a hint with a class", syscall(SYS_ioprio_set, 1, 0, 8));
}
