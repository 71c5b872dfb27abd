// Memory that the calls of calls.c are given, and descriptors.
#ifndef CALL_MEMORY_H
#define CALL_MEMORY_H
#include "call-world.h"
#include <sys/uio.h>

#define PAGE 4096
#define PAGES 6
// Each argument has a page of its own, behind which nothing is mapped. In `data` are what vectors and headers point to.
static char *pages[PAGES], *data_page, *read_only, *playground;
static char before[PAGES][PAGE];
static long args[6];
static char volatile_output[6];

// Where the addresses are the same each time, as some calls take them for numbers.
static char *mapped(unsigned long at, int n) {
  return mmap((void *)at, n * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
}

static void make_memory(void) {
  char *all = mapped(0x100000000000, 2 * PAGES + 4);
  for (int i = 0; i < PAGES; i++) pages[i] = all + 2 * i * PAGE, munmap(pages[i] + PAGE, PAGE);
  data_page = all + 2 * PAGES * PAGE, munmap(data_page + PAGE, PAGE);
  read_only = data_page + 2 * PAGE, memset(read_only, 'a', PAGE), mprotect(read_only, PAGE, PROT_READ);
  munmap(read_only + PAGE, PAGE);
  playground = mapped(0x200000000000, 16), memset(playground, 0, 16 * PAGE);
}

// A pointer for argument `i` to `size` bytes of `data`, or to where as much fits; often none that is any good.
static long put(int i, const void *data, long size) {
  char *at = pages[i] + 1024, *end = pages[i] + PAGE;
  switch (below(20)) {
    case 0: out("NULL"); return 0;
    case 1: at = end - size, out("edge "); break;
    case 2: { int k = size > 1 ? 1 + below(one_in(2) ? size - 1 : 1) : 0; at = end - size + k, out("cut%d ", k); break; }
    case 3: out("read-only"); return (long)read_only + 64;
    case 4: out("hole"); return (long)end;
    case 5:
      switch (below(6)) {
        case 0: out("kernel"); return 0xffff888000000000;
        case 1: out("non-canonical"); return 0x8000000000000000;
        case 2: out("-1"); return -1;
        case 3: out("1"); return 1;
        case 4: out("task-end"); return 0x7ffffffff000 - 8;
        default: out("-8"); return -8;
      }
    case 6: at += 1, out("odd "); break;
    default: break;
  }
  for (long k = 0; data != NULL && k < size && at + k < end; k++) at[k] = ((const char *)data)[k];
  return (long)at;
}
#define PUT(i, what) put(i, &(what), sizeof(what))

// An int: its upper half does not count, sometimes there is something in it.
static long narrow(long v) {
  if (!one_in(16)) return v;
  out("^");
  return one_in(2) ? (unsigned int)v | 0x500000000 : (unsigned int)v;
}

static long descriptor(void) {
  unsigned k = below(world_fd_count + 4);
  if (k < world_fd_count) { out("%s", world_fds[k].name); return narrow(world_fds[k].fd); }
  k -= world_fd_count;
  out("%s", ((const char *const[]){"closed", "fd -1", "AT_FDCWD", "fd INT_MAX"})[k]);
  return narrow(((const long[]){19, -1, AT_FDCWD, 0x7fffffff})[k]);
}
#endif
