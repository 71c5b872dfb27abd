// Memory as /proc/PID/pagemap and PROCMAP_QUERY tell it; addresses that no process has; futexes in files that were cut off.
#include "guest.h"
#include <linux/futex.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>

struct query {
  uint64_t size, flags, addr, start, end, vma_flags, page_size, offset, inode;
  uint32_t major, minor, name_size, id_size;
  uint64_t name, id;
};
#define QUERY _IOWR('f', 17, struct query)
#define HUGE_ADDR ((void *)0xfffffffffffff001)

static char *three;

static void page(const char *name, int fd, void *addr) {
  uint64_t e = 0;
  ssize_t n = pread(fd, &e, 8, (uintptr_t)addr / 4096 * 8);
  say("%s: read %zd, present %d, file %d, swapped %d", name, n, (int)(e >> 63), (int)(e >> 61 & 1), (int)(e >> 62 & 1));
}

static void pagemap(void) {
  int fd = open("/proc/self/pagemap", O_RDONLY);
  is("open", fd >= 0);
  ret("for writing", open("/proc/self/pagemap", O_RDWR) >= 0 ? 0 : -1);
  three[0] = 1;
  page("touched", fd, three);
  page("nothing there", fd, (void *)4096);
  int file = open("pages", O_CREAT | O_RDWR, 0600);
  if (ftruncate(file, 8192) != 0) return;
  char *f = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  f[0] = 1;
  page("file", fd, f);
  uint64_t two[2];
  ret("two", pread(fd, two, 16, (uintptr_t)three / 4096 * 8));
  ret("odd place", pread(fd, two, 8, 4));
  ret("odd size", pread(fd, two, 7, 0));
  ret("beyond", pread(fd, two, 8, 1ll << 45));
  close(fd);
  is("thread's", access("/proc/thread-self/pagemap", F_OK) == 0);
  munmap(f, 8192);
  close(file);
  unlink("pages");
}

static struct query q;
static long ask(const char *name, int fd, uint64_t flags, void *addr) {
  q = (struct query){.size = sizeof q, .flags = flags, .addr = (uintptr_t)addr, .name = q.name, .name_size = q.name_size};
  return ret(name, ioctl(fd, QUERY, &q));
}

static void maps_query(void) {
  char name[256] = "";
  int fd = open("/proc/self/maps", O_RDONLY);
  ask("covering", fd, 0, three + 4096);
  say("whole %d, flags %d, pages %d, offset %d, inode %d", q.start <= (uintptr_t)three && q.end >= (uintptr_t)three + 12288,
      (int)q.vma_flags, (int)q.page_size, (int)q.offset, (int)q.inode);
  mprotect(three, 4096, PROT_READ);
  ask("read-only", fd, 0, three);
  say("one page %d, flags %d", q.start == (uintptr_t)three && q.end == (uintptr_t)three + 4096, (int)q.vma_flags);
  ask("writable wanted", fd, 2, three);
  ask("writable next", fd, 2 | 16, three);
  is("the second page", q.start == (uintptr_t)three + 4096);
  mprotect(three, 4096, PROT_READ | PROT_WRITE);
  ask("nothing there", fd, 0, (void *)4096);
  ask("next of nothing", fd, 16, (void *)4096);
  is("the first mapping", q.start > 4096);
  ask("beyond all", fd, 16, (void *)0x7ffffffff000);
  ask("unknown flag", fd, 64, three);
  q.name = (uintptr_t)name;
  ask("name without room", fd, 0, maps_query);
  q.name_size = sizeof name;
  ask("name", fd, 4, maps_query);
  say("executable %d, file %d, name %d, size %d", (int)(q.vma_flags >> 2 & 1), q.inode != 0, strstr(name, "proc-pages") != NULL,
      q.name_size == strlen(name) + 1);
  q.name_size = 3;
  ask("short name", fd, 4, maps_query);
  q.name_size = sizeof name;
  int stack;
  ask("stack", fd, 0, &stack);
  say("%s", name);
  q.name = 0;
  q.name_size = 0;
  ask("file-backed next", fd, 32 | 16, three);
  q.size = 8;
  ret("small", ioctl(fd, QUERY, &q));
  q.size = 8192;
  ret("large", ioctl(fd, QUERY, &q));
  ret("bad pointer", ioctl(fd, QUERY, BAD_PTR));
  ret("another request", ioctl(fd, QUERY + 1, &q));
  close(fd);
}

static void addresses(void) {
  unsigned char vec[4];
  ret("msync", msync(HUGE_ADDR, 4096, MS_SYNC));
  ret("msync of everything", msync((void *)-1, 4096, MS_SYNC));
  ret("msync high", msync((void *)0xfffffffffffff000, 4096, MS_SYNC));
  ret("mincore", mincore(HUGE_ADDR, 4096, vec));
  ret("mincore high", mincore((void *)0xffff800000000000, 4096, vec));
  ret("munmap", munmap(HUGE_ADDR, 4096));
  ret("munmap high", munmap((void *)0xffff800000000000, 4096));
  ret("mprotect", mprotect(HUGE_ADDR, 4096, PROT_READ));
  ret("mprotect high", mprotect((void *)0xffff800000000000, 4096, PROT_READ));
  ret("madvise", madvise(HUGE_ADDR, 4096, MADV_NORMAL));
  ret("madvise high", madvise((void *)0xffff800000000000, 4096, MADV_NORMAL));
  ret("mlock high", mlock((void *)0xffff800000000000, 4096));
  ret("futex", syscall(SYS_futex, HUGE_ADDR, FUTEX_WAKE, 1, 0, 0, 0));
  ret("futex high", syscall(SYS_futex, (void *)0xffff800000000000, FUTEX_WAKE, 1, 0, 0, 0));
  ret("read", syscall(SYS_read, 0, (void *)0xffff800000000000, 0));
}

static void cut_off(void) {
  int fd = open("words", O_CREAT | O_RDWR, 0600);
  if (ftruncate(fd, 8192) != 0) return;
  uint32_t *w = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ret("second page", syscall(SYS_futex, w + 1024, FUTEX_WAKE, 1, 0, 0, 0));
  if (ftruncate(fd, 100) != 0) return;
  ret("first page", syscall(SYS_futex, w + 1000, FUTEX_WAKE, 1, 0, 0, 0));
  ret("second page, cut off", syscall(SYS_futex, w + 1024, FUTEX_WAKE, 1, 0, 0, 0));
  if (ftruncate(fd, 8192) != 0) return;
  ret("second page again", syscall(SYS_futex, w + 1024, FUTEX_WAKE, 1, 0, 0, 0));
  munmap(w, 8192);
  close(fd);
  unlink("words");
}

static void flags(void) {
  ret("THP", prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
  ret("THP off", prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
  ret("THP is off", prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
  pid_t p = fork();
  if (p == 0) _exit(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
  wait_say("child", p);
  ret("THP on", prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0));
  ret("THP is on", prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
  ret("MCE", prctl(PR_MCE_KILL_GET, 0, 0, 0, 0));
  ret("MCE early", prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0));
  ret("MCE is early", prctl(PR_MCE_KILL_GET, 0, 0, 0, 0));
  ret("MCE late", prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_LATE, 0, 0));
  ret("MCE is late", prctl(PR_MCE_KILL_GET, 0, 0, 0, 0));
  ret("MCE unknown", prctl(PR_MCE_KILL, PR_MCE_KILL_SET, 3, 0, 0));
  ret("MCE clear with more", prctl(PR_MCE_KILL, PR_MCE_KILL_CLEAR, 1, 0, 0));
  ret("MCE clear", prctl(PR_MCE_KILL, PR_MCE_KILL_CLEAR, 0, 0, 0));
  ret("MCE again", prctl(PR_MCE_KILL_GET, 0, 0, 0, 0));
  char set_tid[88] = {[32] = SIGCHLD, [72] = 1};
  pid_t one = 1;
  *(uint64_t *)(set_tid + 64) = (uintptr_t)&one;
  ret("clone3, a number in use", syscall(SYS_clone3, set_tid, sizeof set_tid));
  int id;
  ret("timer of a descriptor's clock", syscall(SYS_timer_create, -5, NULL, &id));
  ret("THP argument", prctl(PR_GET_THP_DISABLE, 1, 0, 0, 0));
}

int main(void) {
  char *all = mmap(NULL, 5 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  three = all + 4096;
  mprotect(three, 3 * 4096, PROT_READ | PROT_WRITE);
  pagemap();
  maps_query();
  addresses();
  cut_off();
  flags();
  return 0;
}
