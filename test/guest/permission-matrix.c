// link: -w
// What other users may do: times of files in every form, System V objects of every mode and command, signals, priorities.
#include "guest.h"
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <utime.h>

static const char *outcome(long r) { return r == -1 ? strerrorname_np(errno) : "ok"; }

static const struct { const char *name; uid_t uid; gid_t gid; } WHO[] = {
  {"owner", 1000, 1000}, {"group", 1001, 1000}, {"other", 1002, 1002}, {"creator", 1003, 1003}};

// A line of what everybody is told, each in a process of its own.
static void everybody(const char *name, long (*f)(void)) {
  printf("%s:", name);
  fflush(stdout);
  for (int i = 0; i < 4; i++) {
    pid_t p = fork();
    if (p == 0) {
      if (setresgid(WHO[i].gid, WHO[i].gid, WHO[i].gid) || setresuid(WHO[i].uid, WHO[i].uid, WHO[i].uid)) _exit(1);
      long r = f();
      printf(" %s %s", WHO[i].name, outcome(r));
      fflush(stdout);
      _exit(0);
    }
    waitpid(p, NULL, 0);
  }
  printf("\n");
  fflush(stdout);
}

#define E(name, expr) { long f_(void) { return expr; } everybody(name, f_); }

static struct timespec both_now[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_NOW}};
static struct timespec both_omit[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_OMIT}};
static struct timespec now_omit[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_OMIT}};
static struct timespec omit_now[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_NOW}};
static struct timespec given[2] = {{5, 5}, {6, 6}};
static struct timespec now_given[2] = {{.tv_nsec = UTIME_NOW}, {6, 6}};
static struct timespec bad[2] = {{5, 1000000000}, {6, 6}};
static struct timespec bad_omit[2] = {{5, -1}, {.tv_nsec = UTIME_OMIT}};

static void times_of(int mode) {
  close(open("t", O_CREAT | O_RDWR, 0600));
  if (chown("t", 1000, 1000)) exit(1);
  chmod("t", mode);
  char n[60];
#define T(what, expr) snprintf(n, sizeof n, "%o %s", mode, what); E(n, expr)
  T("null", utimensat(AT_FDCWD, "t", NULL, 0))
  T("both now", utimensat(AT_FDCWD, "t", both_now, 0))
  T("both omitted", utimensat(AT_FDCWD, "t", both_omit, 0))
  T("now and omitted", utimensat(AT_FDCWD, "t", now_omit, 0))
  T("omitted and now", utimensat(AT_FDCWD, "t", omit_now, 0))
  T("given", utimensat(AT_FDCWD, "t", given, 0))
  T("now and given", utimensat(AT_FDCWD, "t", now_given, 0))
  T("bad", utimensat(AT_FDCWD, "t", bad, 0))
  T("bad and omitted", utimensat(AT_FDCWD, "t", bad_omit, 0))
  T("utime null", utime("t", NULL))
  T("utime", utime("t", &(struct utimbuf){1, 2}))
  T("missing, both omitted", utimensat(AT_FDCWD, "missing", both_omit, 0))
  T("bad pointer", utimensat(AT_FDCWD, "t", (void *)0x10, 0))
  T("by a descriptor", ({ int fd = open("t", O_RDONLY); fd < 0 ? -1 : futimens(fd, NULL); }))
  T("by an O_PATH descriptor", futimens(open("t", O_PATH), NULL))
  T("of its link", ({ char l[40]; snprintf(l, 40, "/proc/self/fd/%d", open("t", O_PATH)); utimensat(AT_FDCWD, l, NULL, 0); }))
}

union semun { int val; struct semid_ds *buf; unsigned short *array; struct seminfo *info; };
static int sem, shm, msg;
static char buf[4096];

static void own(int mode) {
  struct semid_ds sd;
  struct shmid_ds hd;
  struct msqid_ds md;
  semctl(sem, 0, IPC_STAT, (union semun){.buf = &sd});
  sd.sem_perm.uid = sd.sem_perm.gid = 1000, sd.sem_perm.mode = mode;
  semctl(sem, 0, IPC_SET, (union semun){.buf = &sd});
  shmctl(shm, IPC_STAT, &hd);
  hd.shm_perm.uid = hd.shm_perm.gid = 1000, hd.shm_perm.mode = mode;
  shmctl(shm, IPC_SET, &hd);
  msgctl(msg, IPC_STAT, &md);
  md.msg_perm.uid = md.msg_perm.gid = 1000, md.msg_perm.mode = mode;
  msgctl(msg, IPC_SET, &md);
}

static struct { long type; char c; } m = {1, 'x'};

// The low numbers of the three kinds are indices of slots in use.
static int index_of(int id) { return id & 0x7fff; }

static int mode;

static void ipc(int m_) {
  mode = m_;
  own(mode);
  char n[60];
  T("semop up", semop(sem, &(struct sembuf){0, 1, IPC_NOWAIT}, 1))
  T("semop zero", semop(sem, &(struct sembuf){1, 0, IPC_NOWAIT}, 1))
  T("GETVAL", semctl(sem, 0, GETVAL))
  T("SETVAL", semctl(sem, 0, SETVAL, (union semun){.val = 1}))
  T("GETALL", semctl(sem, 0, GETALL, (union semun){.array = (void *)buf}))
  T("SETALL", semctl(sem, 0, SETALL, (union semun){.array = (void *)memset(buf, 0, 10)}))
  T("sem IPC_STAT", semctl(sem, 0, IPC_STAT, (union semun){.buf = (void *)buf}))
  T("SEM_STAT", semctl(index_of(sem), 0, SEM_STAT, (union semun){.buf = (void *)buf}))
  T("SEM_STAT_ANY", semctl(index_of(sem), 0, 20, (union semun){.buf = (void *)buf}))
  T("SEM_INFO", semctl(0, 0, SEM_INFO, (union semun){.info = (void *)buf}))
  T("sem IPC_INFO", semctl(0, 0, IPC_INFO, (union semun){.info = (void *)buf}))
  T("semget", semget(0x7e57, 0, 0))
  T("semget 0400", semget(0x7e57, 0, 0400))
  T("semget 0666", semget(0x7e57, 0, 0666))
  T("semget more", semget(0x7e57, 50, 0))
  T("shmat", (long)shmat(shm, NULL, 0))
  T("shmat read-only", (long)shmat(shm, NULL, SHM_RDONLY))
  T("shmat executable", (long)shmat(shm, NULL, SHM_RDONLY | SHM_EXEC))
  T("shm IPC_STAT", shmctl(shm, IPC_STAT, (void *)buf))
  T("SHM_STAT", shmctl(index_of(shm), SHM_STAT, (void *)buf))
  T("SHM_STAT_ANY", shmctl(index_of(shm), 15, (void *)buf))
  T("SHM_LOCK", shmctl(shm, SHM_LOCK, NULL))
  T("SHM_UNLOCK", shmctl(shm, SHM_UNLOCK, NULL))
  T("msgsnd", msgsnd(msg, &m, 1, IPC_NOWAIT))
  T("msgrcv", msgrcv(msg, buf, 100, 0, IPC_NOWAIT | MSG_NOERROR))
  T("msg IPC_STAT", msgctl(msg, IPC_STAT, (void *)buf))
  T("MSG_STAT", msgctl(index_of(msg), MSG_STAT, (void *)buf))
  T("MSG_STAT_ANY", msgctl(index_of(msg), 13, (void *)buf))
  T("IPC_SET", ({ struct msqid_ds d = {0}; d.msg_perm.uid = d.msg_perm.gid = 1000; d.msg_perm.mode = mode; d.msg_qbytes = 100; msgctl(msg, IPC_SET, &d); }))
  T("IPC_SET of more bytes", ({ struct msqid_ds d = {0}; d.msg_perm.uid = d.msg_perm.gid = 1000; d.msg_perm.mode = mode; d.msg_qbytes = 1 << 20; msgctl(msg, IPC_SET, &d); }))
}

static void processes(void) {
  static pid_t p;
  p = fork();
  if (p == 0) {
    if (setresgid(1000, 1000, 1000) || setresuid(1000, 1000, 1000)) _exit(1);
    pause();
    _exit(0);
  }
  until_state(p, 'S');
  E("kill 0", kill(p, 0))
  E("kill 65", kill(p, 65))
  E("tgkill", syscall(SYS_tgkill, p, p, 0))
  E("sigqueue", sigqueue(p, 0, (union sigval){0}))
  E("forged", syscall(SYS_rt_sigqueueinfo, p, SIGUSR1, &(siginfo_t){.si_code = SI_TKILL}))
  E("kernel's", syscall(SYS_rt_sigqueueinfo, p, SIGUSR1, &(siginfo_t){.si_code = 5}))
  E("getpriority", (errno = 0, getpriority(PRIO_PROCESS, p), errno ? -1 : 0))
  E("setpriority up", setpriority(PRIO_PROCESS, p, 5))
  E("setpriority down", setpriority(PRIO_PROCESS, p, -5))
  E("setpriority of a user", setpriority(PRIO_USER, 1000, 6))
  E("ioprio_set", syscall(SYS_ioprio_set, 1, p, 2 << 13 | 5))
  E("ioprio_set real time", syscall(SYS_ioprio_set, 1, p, 1 << 13 | 5))
  E("prlimit", prlimit(p, RLIMIT_NOFILE, NULL, (void *)buf))
  E("getpgid", getpgid(p))
  E("setpgid", setpgid(p, p))
  E("getsid", getsid(p))
  E("sched_getscheduler", syscall(SYS_sched_getscheduler, p))
  E("sched_setscheduler", syscall(SYS_sched_setscheduler, p, 3, buf + 4000))
  E("sched_setaffinity", syscall(SYS_sched_setaffinity, p, 8, &(long){-1}))
  E("get_robust_list", syscall(SYS_get_robust_list, p, buf, buf + 8))
  E("process_vm_readv", syscall(SYS_process_vm_readv, p, NULL, 0, NULL, 0, 0))
  E("kcmp", syscall(SYS_kcmp, p, p, 1, 0, 0))
  E("pidfd_open", syscall(SYS_pidfd_open, p, 0))
  E("migrate_pages", syscall(SYS_migrate_pages, p, 1, &(long){1}, &(long){1}))
  kill(p, SIGKILL);
  wait_say("killed", p);
}

int main(void) {
  umask(0);
  chmod(".", 0777);
  say("== times");
  times_of(0644);
  times_of(0666);
  times_of(0000);
  say("== System V");
  sem = semget(0x7e57, 3, IPC_CREAT | 0600), shm = shmget(0x7e57, 4096, IPC_CREAT | 0600), msg = msgget(0x7e57, IPC_CREAT | 0600);
  ipc(0600);
  ipc(0640);
  ipc(0606);
  ipc(0444);
  E("semaphores removed", semctl(sem, 0, IPC_RMID))
  semctl(sem, 0, IPC_RMID), shmctl(shm, IPC_RMID, NULL), msgctl(msg, IPC_RMID, NULL);
  say("== processes");
  processes();
  return 0;
}
