// mseal(2), process_madvise(2), process_mrelease(2), cachestat(2) and remap_file_pages(2).
#include "guest.h"
#include <sys/shm.h>
#include <sys/uio.h>

#define PG 4096
#define NR_process_madvise 440
#define NR_process_mrelease 448
#define NR_cachestat 451
#define NR_mseal 462

static long seal(void *p, size_t n, unsigned long flags) { return syscall(NR_mseal, p, n, flags); }

static char *anon(int pages, int prot) {
  return mmap(NULL, pages * PG, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void sealing(void) {
  char *p = anon(4, PROT_READ | PROT_WRITE);
  ret("mseal flags", seal(p, PG, 1));
  ret("mseal unaligned", seal(p + 1, PG, 0));
  ret("mseal empty", seal(p, 0, 0));
  ret("mseal wraps", seal(p, -1UL - 8192, 0));
  munmap(p + 3 * PG, PG);
  ret("mseal hole", seal(p, 4 * PG, 0));
  ret("a refused one seals nothing", munmap(p, PG));
  ret("mseal", seal(p + PG, PG, 0));
  ret("mseal again", seal(p + PG, PG, 0));
  ret("munmap", munmap(p + PG, PG));
  ret("munmap of more", munmap(p + PG, 2 * PG));
  is("nothing was unmapped", (p[PG] = 1, p[2 * PG] = 2, 1));
  ret("mprotect", mprotect(p + PG, PG, PROT_READ));
  ret("mprotect of neighbour", mprotect(p + 2 * PG, PG, PROT_READ));
  void *r = mmap(p + PG, PG, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  ret("mmap over it", r == MAP_FAILED ? -1 : 0);
  r = mremap(p + PG, PG, 2 * PG, MREMAP_MAYMOVE);
  ret("mremap grow", r == MAP_FAILED ? -1 : 0);
  r = mremap(p + PG, PG, PG, 0);
  ret("mremap same", r == MAP_FAILED ? -1 : 0);
  char *q = anon(1, PROT_READ);
  r = mremap(q, PG, PG, MREMAP_MAYMOVE | MREMAP_FIXED, p + PG);
  ret("mremap onto it", r == MAP_FAILED ? -1 : 0);
  ret("madvise DONTNEED writable", madvise(p + PG, PG, MADV_DONTNEED));
  ret("madvise WILLNEED", madvise(p + PG, PG, MADV_WILLNEED));
  ret("seal read-only", seal(q, PG, 0));
  ret("madvise DONTNEED read-only", madvise(q, PG, MADV_DONTNEED));
  ret("madvise FREE read-only", madvise(q, PG, MADV_FREE));
  ret("madvise DONTFORK read-only", madvise(q, PG, MADV_DONTFORK));
  ret("madvise NORMAL read-only", madvise(q, PG, MADV_NORMAL));
  ret("mlock", mlock(q, PG));
  pid_t pid = fork();
  if (pid == 0) _exit(munmap(q, PG) == -1 && errno == EPERM ? 0 : 1);
  wait_say("a child's copy is sealed", pid);
}

static void advising(void) {
  char *p = anon(4, PROT_READ | PROT_WRITE);
  memset(p, 7, 4 * PG);
  struct iovec v[2] = {{p, PG}, {p + 2 * PG, PG}};
  int self = syscall(SYS_pidfd_open, getpid(), 0);
  ret("process_madvise flags", syscall(NR_process_madvise, self, v, 2, MADV_COLD, 1));
  ret("process_madvise bad fd", syscall(NR_process_madvise, -1, v, 2, MADV_COLD, 0));
  ret("process_madvise no pidfd", syscall(NR_process_madvise, 0, v, 2, MADV_COLD, 0));
  ret("process_madvise unknown", syscall(NR_process_madvise, self, v, 2, 999, 0));
  ret("process_madvise cold", syscall(NR_process_madvise, self, v, 2, MADV_COLD, 0));
  ret("process_madvise bad vector", syscall(NR_process_madvise, self, BAD_PTR, 2, MADV_COLD, 0));
  ret("process_madvise many", syscall(NR_process_madvise, self, v, 2000, MADV_COLD, 0));
  ret("process_madvise none", syscall(NR_process_madvise, self, v, 0, MADV_COLD, 0));
  int fds[2];
  if (pipe(fds)) return;
  pid_t pid = fork();
  if (pid == 0) {
    close(fds[1]);
    char c;
    _exit((int)read(fds[0], &c, 1));
  }
  close(fds[0]);
  int other = syscall(SYS_pidfd_open, pid, 0);
  ret("of a child: cold", syscall(NR_process_madvise, other, v, 2, MADV_COLD, 0));
  ret("of a child: pageout", syscall(NR_process_madvise, other, v, 1, MADV_PAGEOUT, 0));
  ret("of a child: dontneed", syscall(NR_process_madvise, other, v, 1, MADV_DONTNEED, 0));
  struct iovec hole = {(void *)0x10000, PG};
  ret("of a child: nothing there", syscall(NR_process_madvise, other, &hole, 1, MADV_COLD, 0));
  ret("process_mrelease flags", syscall(NR_process_mrelease, other, 1));
  ret("process_mrelease bad fd", syscall(NR_process_mrelease, -1, 0));
  ret("process_mrelease no pidfd", syscall(NR_process_mrelease, 0, 0));
  ret("process_mrelease of the living", syscall(NR_process_mrelease, other, 0));
  close(fds[1]);
  siginfo_t si;
  waitid(P_PID, pid, &si, WEXITED | WNOWAIT);
  ret("process_mrelease of a zombie", syscall(NR_process_mrelease, other, 0));
  ret("of a zombie: cold", syscall(NR_process_madvise, other, v, 2, MADV_COLD, 0));
  wait_say("child", pid);
}

struct range { uint64_t off, len; };
struct stat5 { uint64_t cache, dirty, writeback, evicted, recent; };

static void caching(void) {
  int fd = open("cached", O_RDWR | O_CREAT, 0600);
  char page[PG] = {1};
  for (int i = 0; i < 8; i++)
    if (write(fd, page, PG) != PG) return;
  struct range all = {0, 0}, some = {PG, 3 * PG}, edge = {PG - 1, 2}, past = {100 * PG, PG};
  struct stat5 st;
  memset(&st, 255, sizeof st);
  ret("cachestat", syscall(NR_cachestat, fd, &all, &st, 0));
  say("%d pages, evicted %d", (int)st.cache, (int)st.evicted);
  ret("cachestat part", syscall(NR_cachestat, fd, &some, &st, 0));
  say("%d pages", (int)st.cache);
  ret("cachestat edge", syscall(NR_cachestat, fd, &edge, &st, 0));
  say("%d pages", (int)st.cache);
  ret("cachestat past the end", syscall(NR_cachestat, fd, &past, &st, 0));
  say("%d pages", (int)st.cache);
  ret("cachestat flags", syscall(NR_cachestat, fd, &all, &st, 1));
  ret("cachestat bad fd", syscall(NR_cachestat, -1, &all, &st, 0));
  ret("cachestat bad range", syscall(NR_cachestat, fd, BAD_PTR, &st, 0));
  ret("cachestat bad buffer", syscall(NR_cachestat, fd, &all, BAD_PTR, 0));
  close(fd);
}

static void remapping(void) {
  int fd = open("remapped", O_RDWR | O_CREAT, 0600);
  for (int i = 0; i < 4; i++) {
    char page[PG];
    memset(page, 'a' + i, PG);
    if (write(fd, page, PG) != PG) return;
  }
  char *p = mmap(NULL, 4 * PG, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ret("remap_file_pages prot", syscall(SYS_remap_file_pages, p, PG, PROT_READ, 0, 0));
  ret("remap_file_pages empty", syscall(SYS_remap_file_pages, p, 0, 0, 0, 0));
  ret("remap_file_pages", syscall(SYS_remap_file_pages, p, PG, 0, 3, 0));
  ret("remap_file_pages two", syscall(SYS_remap_file_pages, p + 2 * PG, 2 * PG, 0, 0, 0));
  say("%c%c%c%c", p[0], p[PG], p[2 * PG], p[3 * PG]);
  p[0] = 'z';
  char c;
  if (pread(fd, &c, 1, 3 * PG) == 1) say("written through: %c", c);
  char *a = anon(2, PROT_READ);
  ret("remap_file_pages private", syscall(SYS_remap_file_pages, a, PG, 0, 1, 0));
  ret("remap_file_pages nothing", syscall(SYS_remap_file_pages, 0x10000, PG, 0, 1, 0));
  char *s = mmap(NULL, 2 * PG, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  s[0] = '0';
  s[PG] = '1';
  ret("remap_file_pages anonymous", syscall(SYS_remap_file_pages, s, PG, 0, 1, 0));
  say("%c%c", s[0], s[PG]);
  close(fd);
}

// The last mapping of a removed segment of System V memory cannot be remapped, and is gone after the attempt.
static void remapping_the_removed(void) {
  for (int attached = 1; attached < 3; attached++) {
    int id = shmget(IPC_PRIVATE, 2 * PG, 0600);
    char *p = shmat(id, NULL, 0);
    char *q = attached > 1 ? shmat(id, NULL, 0) : NULL;
    p[PG] = 'r';
    ret("remap_file_pages segment", syscall(SYS_remap_file_pages, p, PG, 0, 1, 0));
    ret("remove", shmctl(id, IPC_RMID, NULL));
    ret("remap_file_pages part", syscall(SYS_remap_file_pages, p + PG, PG, 0, 0, 0));
    ret("remap_file_pages all", syscall(SYS_remap_file_pages, p, 2 * PG, 0, 0, 0));
    unsigned char v[2];
    ret("mapped", mincore(p, 2 * PG, v));
    struct shmid_ds ds;
    ret("segment", shmctl(id, IPC_STAT, &ds));
    if (q) ret("detach", shmdt(q));
  }
}

int main(void) {
  sealing();
  advising();
  caching();
  remapping();
  remapping_the_removed();
  return 0;
}
