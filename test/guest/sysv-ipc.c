// System V shared memory, semaphores and message queues.
#include "guest.h"
#include <grp.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/time.h>

#define PG 4096L
union semun { int val; struct semid_ds *buf; unsigned short *array; };

static void shm(void) {
  int id = shmget(IPC_PRIVATE, 10000, IPC_CREAT | 0600);
  is("shmget", id >= 0);
  char *p = shmat(id, 0, 0);
  is("shmat", p != (void *)-1 && p[9999] == 0);
  struct shmid_ds ds;
  ret("stat", shmctl(id, IPC_STAT, &ds));
  say("size %zu nattch %d mode %o pid %d", ds.shm_segsz, (int)ds.shm_nattch, ds.shm_perm.mode, ds.shm_cpid == getpid());
  pid_t c = fork();
  if (c == 0) {
    p[5] = 42;
    shmctl(id, IPC_STAT, &ds);
    say("child nattch %d", (int)ds.shm_nattch);
    _exit(0);
  }
  wait_say("child", c);
  say("byte %d", p[5]);
  char *q = shmat(id, 0, SHM_RDONLY);
  is("second, read-only", q != (void *)-1 && q[5] == 42);
  ret("mprotect it writable", mprotect(q, PG, PROT_READ | PROT_WRITE));
  ret("at taken address", (long)shmat(id, p, 0));
  ret("unaligned", (long)shmat(id, p + 1, 0));
  is("remap", shmat(id, q, SHM_REMAP) == q);
  ret("detach", shmdt(q));
  ret("detach again", shmdt(q));
  ret("remove while attached", shmctl(id, IPC_RMID, 0));
  p[6] = 1;
  shmctl(id, IPC_STAT, &ds);
  say("dest %d nattch %d", (ds.shm_perm.mode & SHM_DEST) != 0, (int)ds.shm_nattch);
  ret("last detach", shmdt(p));
  ret("gone", shmctl(id, IPC_STAT, &ds));
  key_t k = 0x7a31 + getpid();
  id = shmget(k, PG, IPC_CREAT | IPC_EXCL | 0600);
  is("keyed", id >= 0);
  ret("exists", shmget(k, PG, IPC_CREAT | IPC_EXCL | 0600));
  is("found", shmget(k, 100, 0600) == id);
  ret("too large", shmget(k, 3 * PG, 0600));
  ret("remove", shmctl(id, IPC_RMID, 0));
  ret("not found", shmget(k, PG, 0600));
  ret("size 0", shmget(IPC_PRIVATE, 0, IPC_CREAT | 0600));
  ret("bad id", (long)shmat(0x7fffffff, 0, 0));
  ret("bad cmd", shmctl(id, 99, 0));
  ret("command about a negative id", shmctl(-1, IPC_INFO, &ds));
}

// Of huge pages there are none; Open MPI's UCX asks for them first.
static void shm_huge(void) {
  int how = IPC_CREAT | IPC_EXCL | SHM_HUGETLB | 0600;
  ret("huge", shmget(IPC_PRIVATE, 3 << 21, how));
  ret("huge, of 2 MiB", shmget(IPC_PRIVATE, 3 << 21, how | 21 << 26));
  ret("huge, of 2 bytes", shmget(IPC_PRIVATE, 3 << 21, how | 1 << 26));
  ret("huge, size 0", shmget(IPC_PRIVATE, 0, how));
  pid_t c = fork();
  if (c == 0) {
    if (setgroups(0, NULL) != 0 || setgid(1000) != 0 || setuid(1000) != 0) _exit(1);
    ret("huge, as a user", shmget(IPC_PRIVATE, 3 << 21, how));
    _exit(0);
  }
  wait_say("user", c);
  c = fork();
  if (c == 0) {
    if (setgroups(0, NULL) != 0 || setuid(1000) != 0) _exit(1);
    ret("huge, as a user of root's group", shmget(IPC_PRIVATE, 3 << 21, how));
    _exit(0);
  }
  wait_say("user of the group", c);
}

// Identifiers of the past, keys of what is removed, the order of checks.
static void counted(const char *what, int id) {
  struct shmid_ds ds;
  shmctl(id, IPC_STAT, &ds);
  say("%s: %ld attached, %s detached", what, (long)ds.shm_nattch, ds.shm_dtime ? "once" : "never");
}

// Parts of a mapping count, and do not become one again; what changes nothing makes none.
static void shm_parts(void) {
  int id = shmget(IPC_PRIVATE, 8 * 4096, 0600);
  char *p = shmat(id, NULL, 0);
  counted("attached", id);
  mprotect(p + 4096, 4096, PROT_READ | PROT_WRITE), counted("protected as before", id);
  mprotect(p + 4096, 4096, PROT_READ), counted("a page read-only", id);
  mprotect(p + 4096, 4096, PROT_READ | PROT_WRITE), counted("and back", id);
  mprotect(p + 3 * 4096, 4096, PROT_READ), counted("another page", id);
  mprotect(p + 4 * 4096, 4096, PROT_READ), counted("its neighbour", id);
  mprotect(p, 8 * 4096, PROT_READ | PROT_WRITE), counted("all", id);
  madvise(p + 5 * 4096, 4096, MADV_DONTFORK), madvise(p + 5 * 4096, 4096, MADV_DOFORK), counted("advised", id);
  munmap(p, 4096), counted("unmapped in part", id);
  ret("shmdt", shmdt(p)), counted("detached", id);
  shmctl(id, IPC_RMID, NULL);
}

static void shm_edges(void) {
  struct shmid_ds ds;
  int old = shmget(IPC_PRIVATE, 1, 0600), other = shmget(IPC_PRIVATE, 1, 0600);
  is("indices in turn", (other & 32767) == ((old + 1) & 32767));
  struct shm_info before, after;
  shmctl(0, SHM_INFO, (void *)&before);
  ret("remove", shmctl(old, IPC_RMID, 0));
  shmctl(0, SHM_INFO, (void *)&after);
  say("pages %ld", before.shm_tot - after.shm_tot);
  ret("of the past", shmctl(old, IPC_STAT, &ds));
  ret("attach it", (long)shmat(old, 0, 0));
  ret("remove it", shmctl(old, IPC_RMID, 0));
  ret("unaligned before unknown", (long)shmat(old, (void *)1, 0));
  ret("above all", (long)shmat(other, (void *)-PG, SHM_RND));
  ret("above all, over what is there", (long)shmat(other, (void *)-PG, SHM_REMAP));
  ret("remove", shmctl(other, IPC_RMID, 0));
  key_t k = 0x7a32 + getpid();
  int id = shmget(k, PG, IPC_CREAT | 0600);
  char *p = shmat(id, 0, SHM_RDONLY);
  ret("remap_file_pages of a read-only one", remap_file_pages(p, PG, 0, 0, 0));
  shmctl(id, IPC_RMID, 0);
  ret("stat", shmctl(id, IPC_STAT, &ds));
  say("key %d mode %o", ds.shm_perm.__key, ds.shm_perm.mode);
  shmdt(p);
}

static int op(int id, int num, int n, int flags) {
  struct sembuf b = {num, n, flags};
  return semop(id, &b, 1);
}
static void on_alarm(int s) { (void)s; }

static void sem(void) {
  int id = semget(IPC_PRIVATE, 3, IPC_CREAT | 0600);
  is("semget", id >= 0);
  union semun u = {.val = 2};
  ret("setval", semctl(id, 1, SETVAL, u));
  ret("getval", semctl(id, 1, GETVAL));
  ret("down", op(id, 1, -2, 0));
  ret("would block", op(id, 1, -1, IPC_NOWAIT));
  ret("zero", op(id, 1, 0, 0));
  ret("up", op(id, 1, 1, 0));
  ret("not zero", op(id, 1, 0, IPC_NOWAIT));
  struct sembuf two[2] = {{0, 1, 0}, {1, -5, IPC_NOWAIT}};
  ret("atomic fails", semop(id, two, 2));
  ret("nothing done", semctl(id, 0, GETVAL));
  ret("range", op(id, 0, 32767, 0));
  ret("over", op(id, 0, 1, 0));
  ret("number", op(id, 9, 1, 0));
  ret("no ops", semop(id, two, 0));
  ret("many ops", semop(id, two, 501));
  ret("bad val", (u.val = -1, semctl(id, 0, SETVAL, u)));
  unsigned short all[3] = {1, 2, 3}, got[3];
  u.array = all;
  ret("setall", semctl(id, 0, SETALL, u));
  u.array = got;
  ret("getall", semctl(id, 0, GETALL, u));
  say("%d %d %d", got[0], got[1], got[2]);
  pid_t c = fork();
  if (c == 0) {
    op(id, 0, -1, SEM_UNDO);
    op(id, 2, 4, SEM_UNDO);
    say("child: %d %d", semctl(id, 0, GETVAL), semctl(id, 2, GETVAL));
    _exit(0);
  }
  wait_say("child", c);
  say("undone: %d %d", semctl(id, 0, GETVAL), semctl(id, 2, GETVAL));
  say("last pid is the child %d", semctl(id, 0, GETPID) == c);
  c = fork();
  if (c == 0) _exit(op(id, 0, -5, 0) == 0 ? 3 : 4);
  while (semctl(id, 0, GETNCNT) == 0) sleep_ms(5);
  ret("waiting", semctl(id, 0, GETNCNT));
  ret("wake it", op(id, 0, 4, 0));
  wait_say("woken", c);
  struct timespec ts = {0, 20000000};
  struct sembuf b = {0, -1, 0};
  ret("timed out", semtimedop(id, &b, 1, &ts));
  struct sigaction sa = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
  sigaction(SIGALRM, &sa, 0);
  struct itimerval it = {{0, 0}, {0, 20000}};
  setitimer(ITIMER_REAL, &it, 0);
  ret("interrupted", semop(id, &b, 1));
  c = fork();
  if (c == 0) {
    op(id, 0, -1, 0);
    _exit(errno == EIDRM ? 5 : 6);
  }
  while (semctl(id, 0, GETNCNT) == 0) sleep_ms(5);
  ret("remove", semctl(id, 0, IPC_RMID));
  wait_say("removed under it", c);
  ret("gone", op(id, 0, 1, 0));
  ret("size 0", semget(IPC_PRIVATE, 0, 0600));
  ret("too many", semget(IPC_PRIVATE, 40000, 0600));
}

static struct { long type; char text[9000]; } m;
static long snd(int id, long type, const char *s, int flags) {
  m.type = type;
  strcpy(m.text, s);
  return msgsnd(id, &m, strlen(s) + 1, flags);
}
static void rcv(const char *name, int id, size_t len, long type, int flags) {
  memset(&m, 0, sizeof m);
  long r = msgrcv(id, &m, len, type, flags | IPC_NOWAIT);
  if (r < 0) ret(name, r);
  else say("%s: %ld %ld %s", name, r, m.type, m.text);
}
static void msg(void) {
  int id = msgget(IPC_PRIVATE, 0600);
  is("msgget", id >= 0);
  ret("send", snd(id, 3, "three", 0));
  snd(id, 1, "one", 0);
  snd(id, 2, "two", 0);
  snd(id, 3, "again", 0);
  struct msqid_ds ds;
  ret("stat", msgctl(id, IPC_STAT, &ds));
  say("qnum %ld bytes %ld max %ld", (long)ds.msg_qnum, (long)ds.__msg_cbytes, (long)ds.msg_qbytes);
  rcv("type 2", id, 100, 2, 0);
  rcv("lowest", id, 100, -3, 0);
  rcv("too small", id, 3, 0, 0);
  rcv("cut", id, 3, 0, MSG_NOERROR);
  rcv("except", id, 100, 7, MSG_EXCEPT);
  rcv("empty", id, 100, 0, 0);
  ret("type 0", snd(id, 0, "x", 0));
  ret("too long", msgsnd(id, &m, 8193, 0));
  ret("fault", msgsnd(id, BAD_PTR, 1, 0));
  m.type = 1;
  int n = 0;
  while (msgsnd(id, &m, 4096, IPC_NOWAIT) == 0) n++;
  say("full after %d: %s", n, strerrorname_np(errno));
  pid_t c = fork();
  if (c == 0) _exit(msgsnd(id, &m, 10, 0) == 0 ? 1 : 2);
  sleep_ms(120);
  rcv("make room", id, 1, 0, MSG_NOERROR);
  wait_say("sender", c);
  while (msgrcv(id, &m, 9000, 0, IPC_NOWAIT) >= 0) {}
  c = fork();
  if (c == 0) {
    long r = msgrcv(id, &m, 100, 5, 0);
    _exit(r == 3 ? 1 : 2);
  }
  sleep_ms(120);
  snd(id, 4, "no", 0);
  snd(id, 5, "ab", 0);
  wait_say("receiver", c);
  c = fork();
  if (c == 0) {
    msgrcv(id, &m, 100, 77, 0);
    _exit(errno == EIDRM ? 1 : 2);
  }
  sleep_ms(120);
  ret("remove", msgctl(id, IPC_RMID, 0));
  wait_say("removed under it", c);
  ret("gone", snd(id, 1, "x", 0));
}

int main(void) {
  say("# shm"), shm(), shm_edges(), shm_parts(), shm_huge();
  say("# sem"), sem();
  say("# msg"), msg();
  return 0;
}
