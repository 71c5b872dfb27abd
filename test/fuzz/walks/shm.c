// Random walks over System V shared memory: segments with keys, attached to a region whose maps are compared, by several users, across fork
// and execve, with parts unmapped, protected and moved.
#include "walk.h"
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/uio.h>

#define PG 4096L
#define SLOTS 5
#define REGION 0x200000000000L
#define PAGES 64
static int ids[SLOTS]; // -1: none
static int channel[2];

static int slot(void) { return below(SLOTS); }
static char *place(void) { return (char *)REGION + PG * PICK(0, 4, 8, 9, 12, 20, 24, 28, 40, 60); }

static void state(char *to, size_t room) {
  char *p = to;
  for (int i = 0; i < SLOTS; i++) {
    struct shmid_ds d;
    if (ids[i] < 0 || shmctl(ids[i], IPC_STAT, &d) != 0) continue;
    p += snprintf(p, room - (p - to), " %d: %x %zu %o by %d.%d n%lu%s%s%s%s", i, d.shm_perm.__key, d.shm_segsz, d.shm_perm.mode, d.shm_perm.uid, d.shm_perm.gid,
      d.shm_nattch, d.shm_cpid == getpid() ? " mine" : "", d.shm_lpid ? " l" : "", d.shm_atime ? " a" : "", d.shm_dtime ? " d" : "");
  }
  for (char *line = slurp("/proc/self/maps"); line && *line; line = strchr(line, '\n'), line += line != NULL) {
    unsigned long from, end, offset;
    char perms[8], name[40] = "";
    if (sscanf(line, "%lx-%lx %7s %lx %*s %*s%*[ ]%39[^\n]", &from, &end, perms, &offset, name) < 4) continue;
    if (from < REGION || from >= REGION + PAGES * PG) continue;
    p += snprintf(p, room - (p - to), " %ld+%ld %s %lx %s", (from - REGION) / PG, (end - from) / PG, perms, offset, name);
  }
  snprintf(p, room - (p - to), "\n");
}

static void begin(uint64_t seed) {
  struct shmid_ds d;
  int last = shmctl(0, SHM_INFO, &d);
  for (int i = 0; i <= last; i++) shmctl(shmctl(i, SHM_STAT, &d), IPC_RMID, NULL);
  for (int i = 0; i < SLOTS; i++) ids[i] = -1;
  pipe2(channel, O_NONBLOCK);
}

// Runs the rest in a child of another user; the caller goes on with 0 after it has ended.
static int as_other(void) {
  int st;
  if (fork() == 0) {
    int uid = PICK(1000, 1001), gid = PICK(1000, 50);
    out("[%d.%d] ", uid, gid);
    setresgid(gid, gid, gid), setresuid(uid, uid, uid);
    return 1;
  }
  while (wait(&st) < 0) {}
  return 0;
}

static void do_get(void) {
  int s = slot(), key = PICK(IPC_PRIVATE, 1, 2, 3, 3), flags = PICK(0600, 0644, 0444, 0666, 0060, 0, 0222) | PICK(0, IPC_CREAT, IPC_CREAT, IPC_CREAT, IPC_CREAT | IPC_EXCL, IPC_EXCL);
  long size = PICK(0, 1, PG, 3 * PG + 5, 4 * PG, 8 * PG, -1);
  if (one_in(12)) flags |= PICK(SHM_NORESERVE, SHM_EXEC, SHM_RDONLY, 0100000);
  out("shmget(%d, %x, %ld, %o)", s, key, size, flags);
  int id = done(shmget(key, size, flags));
  if (id < 0) return;
  for (int i = 0; i < SLOTS; i++) if (ids[i] == id) out(" is %d", i);
  ids[s] = id;
}

static void do_attach(void) {
  int s = slot(), flags = PICK(0, 0, 0, SHM_RDONLY, SHM_EXEC, SHM_REMAP, SHM_REMAP | SHM_RDONLY, SHM_RDONLY | SHM_EXEC, 1 << 20);
  char *to = place();
  if (one_in(8)) to = (char *)PICK(0, 0, -PG, -9 * PG, 0x7ffffffff000), flags |= PICK(0, SHM_RND);
  else if (one_in(6)) to += 77, flags |= PICK(0, SHM_RND);
  if (one_in(20)) to += 1;
  long at = (long)to < REGION ? (long)to : ((long)to - REGION);
  out("shmat(%d, %lx, %o)", s, at, flags);
  char *r = shmat(ids[s], to, flags);
  if (r == (void *)-1) result(-1);
  else if (to == NULL || r < (char *)REGION || r >= (char *)REGION + PG * PAGES) out(" somewhere"), result(shmdt(r));
  else out(" = %lx", (long)r - REGION);
}

static void touch(void) {
  char *at = place() + PICK(0, PG, PG - 1, 3 * PG, 2 * PG), c = 7;
  long off = at - (char *)REGION;
  if (one_in(2)) out("load(%lx)", off), result(write(channel[1], at, 1)), c = 0, read(channel[0], &c, 1), out(" %d", c);
  else c = 1 + below(100), write(channel[1], &c, 1), out("store(%lx, %d)", off, c), result(read(channel[0], at, 1)), read(channel[0], &c, 1);
}

static void do_control(void) {
  int s = slot(), id = ids[s];
  union { struct shmid_ds d; struct shminfo info; struct shm_info use; } u;
  memset(&u, 0, sizeof u);
  switch (below(11)) {
    case 0 ... 1: out("IPC_RMID(%d)", s), result(shmctl(id, IPC_RMID, NULL)); break;
    case 2 ... 3:
      u.d.shm_perm.mode = PICK(0600, 0666, 0, 0444, 01777, 0200), u.d.shm_perm.uid = PICK(0, 1000, 1001, -1), u.d.shm_perm.gid = PICK(0, 50, 1000);
      out("IPC_SET(%d, %o, %d.%d)", s, u.d.shm_perm.mode, u.d.shm_perm.uid, u.d.shm_perm.gid), result(shmctl(id, IPC_SET, &u.d)); break;
    case 4: out("SHM_LOCK(%d)", s), result(shmctl(id, SHM_LOCK, NULL)); break;
    case 5: out("SHM_UNLOCK(%d)", s), result(shmctl(id, SHM_UNLOCK, NULL)); break;
    case 6: out("SHM_INFO"), done(shmctl(0, SHM_INFO, &u.d)), out("  %d %lu", u.use.used_ids, u.use.shm_tot); break;
    case 7: out("IPC_INFO"), done(shmctl(0, IPC_INFO, &u.d)), out(" %lu %lu %lu", u.info.shmmin, u.info.shmmni, u.info.shmseg); break;
    case 8 ... 9: {
      int cmd = PICK(SHM_STAT, 15 /* SHM_STAT_ANY */, IPC_STAT);
      out("STAT %d(%d)", cmd, s), done(shmctl(cmd == IPC_STAT ? id : id & 32767, cmd, &u.d)), out(" %zu %o %lu", u.d.shm_segsz, u.d.shm_perm.mode, u.d.shm_nattch);
      break;
    }
    default: {
      int cmd = PICK(16, -1, 3, 200), which = PICK(-1, 0x7fffffff, 5 << 15);
      out("shmctl(%d, %d)", which, cmd), result(shmctl(which, cmd, &u.d));
      out(" RMID"), result(shmctl(which, IPC_RMID, NULL)), out(" STAT"), result(shmctl(which, IPC_STAT, &u.d));
    }
  }
}

static void do_maps(void) {
  char *at = place() + PG * PICK(0, 0, 1, 2), *to = place();
  long n = PG * PICK(1, 1, 2, 4, 8);
  out("%ld+%ld ", (at - (char *)REGION) / PG, n / PG);
  switch (below(6)) {
    case 0: out("munmap"), result(munmap(at, n)); break;
    case 1: {
      int prot = PICK(PROT_READ, PROT_NONE, PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC);
      out("mprotect %d", prot), result(mprotect(at, n, prot)); break;
    }
    case 2:
      out("mremap to %ld", (to - (char *)REGION) / PG), done((long)mremap(at, n, PG * PICK(1, 2, 4, 8), MREMAP_MAYMOVE | MREMAP_FIXED, to)); break;
    case 3: out("mmap"), done((long)mmap(at, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0)); break;
    case 4: {
      int advice = PICK(MADV_DONTNEED, MADV_REMOVE, MADV_DONTFORK, MADV_DOFORK);
      out("madvise %d", advice), result(madvise(at, n, advice)); break;
    }
    default: out("remap_file_pages"), result(remap_file_pages(at, n, 0, PICK(0, 1, 3), 0));
  }
}

static void say_attached(void) {
  for (int i = 0; i < SLOTS; i++) {
    struct shmid_ds d;
    if (ids[i] >= 0 && shmctl(ids[i], IPC_STAT, &d) == 0) out(" %d n%lu", i, d.shm_nattch);
  }
}


static void do_child(void) {
  int st, how = below(4), r;
  out("fork");
  if (fork() == 0) {
    say_attached();
    if (how == 0) out(" shmdt"), result(shmdt(place())), say_attached();
    if (how == 1) do_control();
    if (how == 2) out(" "), do_attach(), say_attached();
    _exit(0);
  }
  while ((r = wait(&st)) < 0) {}
}

static void step(unsigned i) {
  int other = one_in(6);
  if (other && !as_other()) return;
  switch (below(24)) {
    case 0 ... 4: do_get(); break;
    case 5 ... 9: do_attach(); break;
    case 10 ... 12: {
      char *at = place() + PICK(0, 0, 0, PG, 1);
      out("shmdt(%lx)", at - (char *)REGION), result(shmdt(at)); break;
    }
    case 13 ... 15: touch(); break;
    case 16 ... 19: do_control(); break;
    case 20 ... 22: do_maps(); break;
    default: do_child();
  }
  if (other) _exit(0);
}
