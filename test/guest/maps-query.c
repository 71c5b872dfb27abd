// ioctl PROCMAP_QUERY of /proc/PID/maps: one mapping without the text.
#include "guest.h"
#include <sys/ioctl.h>

// include/uapi/linux/fs.h of Linux 6.11
struct query {
  uint64_t size, flags, addr, start, end, vma_flags, page_size, offset, inode;
  uint32_t dev_major, dev_minor, name_size, build_id_size;
  uint64_t name_addr, build_id_addr;
};
#define QUERY _IOWR('f', 17, struct query)
enum { READABLE = 1, WRITABLE = 2, EXECUTABLE = 4, SHARED = 8, OR_NEXT = 0x10, FILE_BACKED = 0x20 };

static int fd;
static struct query q;
static char text[8192];

static long ask(const void *addr, uint64_t flags) {
  q.size = sizeof q, q.addr = (uintptr_t)addr, q.flags = flags;
  return ioctl(fd, QUERY, &q);
}

int main(void) {
  fd = open("/proc/self/maps", O_RDONLY);
  char *base = mmap(NULL, 0x10000, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  int file = open("mapped", O_CREAT | O_RDWR, 0600);
  ftruncate(file, 0x4000);
  munmap(base, 0x10000);
  // Hole, read-only page, writable page, hole, two pages of the file, hole.
  char *ro = mmap(base + 0x1000, 0x1000, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  char *rw = mmap(base + 0x2000, 0x1000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  char *of = mmap(base + 0x4000, 0x2000, PROT_READ, MAP_SHARED | MAP_FIXED, file, 0x1000);
  struct stat st;
  fstat(file, &st);

  ret("covering", ask(ro + 5, 0));
  is("its range", q.start == (uintptr_t)ro && q.end == (uintptr_t)rw);
  say("flags %lx page %lu offset %lx inode %lu device %x:%x", q.vma_flags, q.page_size, q.offset, q.inode, q.dev_major,
      q.dev_minor);
  ret("writable", ask(rw, WRITABLE));
  ret("not writable", ask(ro, WRITABLE));
  ret("next writable", ask(ro, WRITABLE | OR_NEXT));
  is("is the second", q.start == (uintptr_t)rw);
  ret("hole", ask(base, 0));
  ret("behind the hole", ask(base, OR_NEXT));
  is("is the first", q.start == (uintptr_t)ro);
  ret("of a file", ask(ro, FILE_BACKED));
  ret("next of a file", ask(base, FILE_BACKED | OR_NEXT));
  is("is the third", q.start == (uintptr_t)of && q.end == (uintptr_t)of + 0x2000);
  say("flags %lx offset %lx", q.vma_flags, q.offset);
  is("its inode", q.inode == st.st_ino);
  ret("executable and writable", ask(ro, EXECUTABLE | WRITABLE));
  ret("shared", ask(of + 0x1fff, SHARED));
  ret("beyond all", ask((void *)0x7ffffffff000, OR_NEXT));

  char name[4096] = "";
  q.name_addr = (uintptr_t)name, q.name_size = sizeof name;
  ret("with its name", ask(of, 0));
  is("the name's size", q.name_size == strlen(name) + 1 && strlen(name) > 7);
  is("the name", strcmp(name + strlen(name) - 7, "/mapped") == 0);
  q.name_size = 7;
  ret("a short buffer", ask(of, 0));
  q.name_size = 4096;
  ret("no name", ask(ro, 0));
  say("size %u", q.name_size);
  q.name_size = 4096;
  unlink("mapped");
  ret("deleted", ask(of, 0));
  is("said so", strcmp(name + strlen(name) - 17, "/mapped (deleted)") == 0);
  q.name_size = 4096, q.name_addr = (uintptr_t)BAD_PTR;
  ret("bad buffer", ask(of, 0));
  q.name_addr = 0;
  ret("size without buffer", ask(of, 0));
  q.name_size = 0, q.name_addr = (uintptr_t)name;
  ret("buffer without size", ask(of, 0));
  q.name_addr = 0, q.build_id_size = 20;
  ret("build id without buffer", ask(of, 0));
  q.build_id_addr = (uintptr_t)name;
  ret("build id of what has none", ask(ro, 0));
  say("size %u", q.build_id_size);
  q.build_id_addr = 0;

  ret("unknown flag", ask(ro, 0x40));
  ret("unknown high flag", ask(ro, 1ul << 32));
  q.flags = 0;
  q.size = 23;
  ret("too small", ioctl(fd, QUERY, &q));
  q.size = 24, q.start = 1;
  ret("the question alone", ioctl(fd, QUERY, &q));
  is("nothing is told", q.start == 1);
  q.size = 48;
  ret("two answers", ioctl(fd, QUERY, &q));
  is("are told", q.start == (uintptr_t)ro);
  memcpy(text, &q, sizeof q);
  ((struct query *)text)->size = 4096;
  ret("larger, zeros", ioctl(fd, QUERY, text));
  text[200] = 1;
  ((struct query *)text)->size = 4096;
  ret("larger, not zeros", ioctl(fd, QUERY, text));
  ((struct query *)text)->size = 4097;
  ret("too large", ioctl(fd, QUERY, text));
  ret("bad pointer", ioctl(fd, QUERY, BAD_PTR));
  ret("another request", ioctl(fd, _IO('f', 17), &q));
  int smaps = open("/proc/self/smaps", O_RDONLY);
  ret("smaps", ioctl(smaps, QUERY, &q));
  pid_t pid = fork();
  if (pid == 0) {
    // Opened by the parent, so about the parent.
    munmap(ro, 0x1000);
    q.size = sizeof q;
    ret("by a child", ioctl(fd, QUERY, &q));
    exit(0);
  }
  wait_say("child", pid);
  return 0;
}
