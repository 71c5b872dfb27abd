// Memory policies of a machine with one node: get_mempolicy(2), set_mempolicy(2), mbind(2), migrate_pages(2), move_pages(2).
#include "guest.h"

#define PG 4096
#define NR_home_node 450
enum { DEFAULT, PREFERRED, BIND, INTERLEAVE, LOCAL, PREFERRED_MANY };
#define F_STATIC (1 << 15)
#define F_RELATIVE (1 << 14)
#define MF_STRICT 1
#define MF_MOVE 2
#define MF_MOVE_ALL 4
#define GET_NODE 1
#define GET_ADDR 2
#define GET_ALLOWED 4

static long get(int *mode, unsigned long *mask, unsigned long max, void *addr, int flags) {
  return syscall(SYS_get_mempolicy, mode, mask, max, addr, flags);
}
static long set(int mode, unsigned long *mask, unsigned long max) {
  return syscall(SYS_set_mempolicy, mode, mask, max);
}
static long bind_(void *p, unsigned long len, int mode, unsigned long *mask, unsigned long max, int flags) {
  return syscall(SYS_mbind, p, len, mode, mask, max, flags);
}
static void now(const char *what, void *addr, int flags) {
  int mode = -1;
  unsigned long mask[2] = {~0UL, ~0UL};
  long r = get(&mode, mask, 65, addr, flags);
  if (r < 0) say("%s: %s", what, strerrorname_np(errno));
  else say("%s: mode %d mask %lx", what, mode, mask[0]);
}

static void task_policy(void) {
  unsigned long none = 0, first = 1, second = 2, both = 3;
  now("at first", NULL, 0);
  now("allowed", NULL, GET_ALLOWED);
  now("allowed and node", NULL, GET_ALLOWED | GET_NODE);
  now("node of the default", NULL, GET_NODE);
  now("address without the flag", (void *)0x1000, 0);
  now("unknown flag", NULL, 8);
  ret("mask of no bits", get(NULL, &none, 0, NULL, 0));
  ret("bad mode pointer", get(BAD_PTR, NULL, 0, NULL, 0));
  ret("set default with nodes", set(DEFAULT, &first, 64));
  ret("set bind", set(BIND, &first, 64));
  now("bind", NULL, 0);
  ret("set bind none", set(BIND, &none, 64));
  ret("set bind absent", set(BIND, &second, 64));
  ret("set bind both", set(BIND, &both, 64));
  now("bind both", NULL, 0);
  ret("set bind static", set(BIND | F_STATIC, &both, 64));
  now("static", NULL, 0);
  ret("set both flags", set(BIND | F_STATIC | F_RELATIVE, &both, 64));
  ret("set interleave", set(INTERLEAVE, &first, 64));
  now("interleave", NULL, 0);
  now("interleave node", NULL, GET_NODE);
  ret("set preferred", set(PREFERRED, &first, 64));
  now("preferred", NULL, 0);
  ret("set preferred none", set(PREFERRED, &none, 64));
  now("preferred none", NULL, 0);
  ret("set preferred none static", set(PREFERRED | F_STATIC, &none, 64));
  ret("set local", set(LOCAL, NULL, 0));
  now("local", NULL, 0);
  ret("set local with nodes", set(LOCAL, &first, 64));
  ret("set unknown", set(99, &first, 64));
  ret("set bad mask", set(BIND, BAD_PTR, 64));
  ret("set huge mask", set(BIND, &first, 1UL << 40));
  ret("set preferred many", set(PREFERRED_MANY, &first, 64));
  pid_t pid = fork();
  if (pid == 0) {
    now("child", NULL, 0);
    _exit(0);
  }
  wait_say("child", pid);
  ret("set default", set(DEFAULT, NULL, 0));
  now("at last", NULL, 0);
}

static void ranges(void) {
  unsigned long first = 1, none = 0, second = 2;
  char *p = mmap(NULL, 4 * PG, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memset(p, 1, 4 * PG);
  now("of an address", p, GET_ADDR);
  now("node of an address", p, GET_ADDR | GET_NODE);
  now("of nothing", (void *)0x10000, GET_ADDR);
  ret("mbind", bind_(p + PG, PG, BIND, &first, 64, 0));
  now("before", p, GET_ADDR);
  now("bound", p + PG, GET_ADDR);
  now("after", p + 2 * PG, GET_ADDR);
  ret("home node", syscall(NR_home_node, p + PG, PG, 0, 0));
  ret("home node absent", syscall(NR_home_node, p + PG, PG, 70, 0));
  ret("home node flags", syscall(NR_home_node, p + PG, PG, 0, 1));
  ret("home node of the default", syscall(NR_home_node, p, PG, 0, 0));
  ret("home node unaligned", syscall(NR_home_node, p + 1, PG, 0, 0));
  ret("mbind preferred", bind_(p + 2 * PG, PG, PREFERRED, &first, 64, MF_STRICT | MF_MOVE));
  ret("home node of preferred", syscall(NR_home_node, p + 2 * PG, PG, 0, 0));
  ret("mbind unaligned", bind_(p + 1, PG, BIND, &first, 64, 0));
  ret("mbind flags", bind_(p, PG, BIND, &first, 64, 99));
  ret("mbind none", bind_(p, PG, BIND, &none, 64, 0));
  ret("mbind absent", bind_(p, PG, BIND, &second, 64, 0));
  ret("mbind nothing", bind_((void *)0x10000, PG, BIND, &first, 64, 0));
  ret("mbind empty", bind_(p, 0, BIND, &first, 64, 0));
  ret("mbind default", bind_(p, 4 * PG, DEFAULT, NULL, 0, 0));
  now("default again", p + PG, GET_ADDR);
}

static void moving(void) {
  unsigned long first = 1, none = 0;
  char *p = mmap(NULL, 2 * PG, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memset(p, 1, 2 * PG);
  void *pages[3] = {p, p + PG, (void *)0x10000};
  int nodes[3] = {0, 0, 0}, status[3] = {9, 9, 9};
  ret("move_pages query", syscall(SYS_move_pages, 0, 3, pages, NULL, status, 0));
  say("%d %d %d", status[0], status[1], status[2]);
  ret("move_pages", syscall(SYS_move_pages, 0, 2, pages, nodes, status, MF_MOVE));
  say("%d %d", status[0], status[1]);
  nodes[1] = 70;
  ret("move_pages absent node", syscall(SYS_move_pages, 0, 2, pages, nodes, status, MF_MOVE));
  ret("move_pages flags", syscall(SYS_move_pages, 0, 1, pages, NULL, status, 99));
  ret("move_pages none", syscall(SYS_move_pages, 0, 0, NULL, NULL, NULL, 0));
  ret("move_pages nobody", syscall(SYS_move_pages, 4000000, 1, pages, NULL, status, 0));
  ret("move_pages bad list", syscall(SYS_move_pages, 0, 1, BAD_PTR, NULL, status, 0));
  ret("move_pages bad status", syscall(SYS_move_pages, 0, 1, pages, NULL, BAD_PTR, 0));
  ret("migrate_pages", syscall(SYS_migrate_pages, 0, 64, &first, &first));
  ret("migrate_pages nowhere", syscall(SYS_migrate_pages, 0, 64, &first, &none));
  ret("migrate_pages nobody", syscall(SYS_migrate_pages, 4000000, 64, &first, &first));
  ret("migrate_pages bad", syscall(SYS_migrate_pages, 0, 64, BAD_PTR, &first));
}

// What /proc/self/numa_maps says of the mapping at `p`, without numbers of pages.
static void shown(const char *what, void *p) {
  char line[400], key[30];
  FILE *f = fopen("/proc/self/numa_maps", "r");
  sprintf(key, "%08lx ", (unsigned long)p);
  while (f && fgets(line, sizeof line, f)) {
    if (strncmp(line, key, strlen(key))) continue;
    line[strcspn(line, "\n")] = 0;
    char *end = strstr(line, " anon=");
    say("%s: %.*s%s", what, end ? (int)(end - line - strlen(key)) : 300, line + strlen(key),
        end && strstr(end, " N0=") && strstr(end, " kernelpagesize_kB=4") ? ", pages" : "");
  }
  if (f) fclose(f);
  else say("%s: %s", what, strerrorname_np(errno));
}

static void maps(void) {
  unsigned long first = 1, both = 3;
  char *p = mmap(0, 8 * PG, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *q = p + 2 * PG;
  mprotect(q, 4 * PG, PROT_READ | PROT_WRITE);
  memset(q, 1, 4 * PG);
  shown("default", q);
  bind_(q, 4 * PG, BIND, &first, 65, 0);
  shown("bind", q);
  bind_(q, 4 * PG, INTERLEAVE | F_STATIC, &first, 65, 0);
  shown("interleave", q);
  bind_(q, 4 * PG, PREFERRED_MANY | F_RELATIVE, &both, 65, 0);
  shown("relative", q);
  bind_(q, 4 * PG, LOCAL, NULL, 0, 0);
  shown("local", q);
  bind_(q, 4 * PG, DEFAULT, NULL, 0, 0);
  set(PREFERRED, &first, 65);
  shown("the task's", q);
  set(DEFAULT, NULL, 0);
}

static void masks(void) {
  unsigned long far[16] = {1, 0, 4}, one = 1, *edge = mmap(0, 2 * PG, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap((char *)edge + PG, PG), edge += PG / 8 - 2;
  ret("a mask of 0 bits less one", set(DEFAULT, &one, 0));
  ret("no mask of 0 bits", set(DEFAULT, NULL, 0));
  ret("the default with nodes far away", set(DEFAULT, far, 193));
  ret("nodes far away beside the first", set(BIND, far, 193));
  far[0] = 0;
  ret("nodes far away only", set(BIND, far, 193));
  ret("of which no bit counts", set(DEFAULT, far, 131));
  ret("moving to nodes far away", syscall(SYS_migrate_pages, 0, 193, far, far));
  set(DEFAULT, NULL, 0);
  // The third node there is none of, before the pages' list comes to its end.
  int nodes[4] = {0, 0, 64, 0}, status[4] = {9, 9, 9, 9};
  edge[0] = edge[1] = (unsigned long)status;
  ret("move_pages, three of two", syscall(SYS_move_pages, 0, 3, edge, nodes, status, MF_MOVE));
  is("two were told", status[0] == 0 && status[1] == 0 && status[2] == 9);
  nodes[1] = 64, status[0] = status[1] = 9;
  ret("move_pages, a bad node before the end", syscall(SYS_move_pages, 0, 3, edge, nodes, status, MF_MOVE));
  is("one was told", status[0] == 0 && status[1] == 9);
  status[0] = 9;
  ret("move_pages, only asking", syscall(SYS_move_pages, 0, 3, edge, NULL, status, MF_MOVE));
  is("nothing was told", status[0] == 9);
}

int main(void) {
  task_policy();
  ranges();
  moving();
  maps();
  masks();
  return 0;
}
