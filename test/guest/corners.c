// Corners of many calls: order of checks, odd arguments, what test suites ask for.
#pragma GCC diagnostic ignored "-Wunused-result"
#pragma GCC diagnostic ignored "-Wnonnull"
#include "guest.h"
#include <netinet/in.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/sendfile.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>

static char buf[1 << 18] __attribute__((aligned(4096)));

static void directories(void) {
  int d = open(".", O_RDONLY);
  struct iovec v = {buf, 10};
  ret("read", read(d, buf, 10));
  ret("pread", pread(d, buf, 10, 0));
  ret("preadv", preadv(d, &v, 1, 0));
  ret("preadv2", preadv2(d, &v, 1, 0, 0));
  ret("preadv2 at -1", preadv2(d, &v, 1, -1, 0));
  ret("pwrite", pwrite(d, buf, 10, 0));
  close(d);
}

static void pipe_sizes(void) {
  int p[2];
  pipe(p);
  ret("huge", fcntl(p[0], F_SETPIPE_SZ, 0x80000001u));
  ret("smallest", fcntl(p[0], F_SETPIPE_SZ, 0));
  write(p[1], buf, 4096);
  ret("negative", fcntl(p[0], F_SETPIPE_SZ, -1));
  ret("larger", fcntl(p[0], F_SETPIPE_SZ, 8192));
  write(p[1], buf, 4096);
  ret("too small for what it holds", fcntl(p[0], F_SETPIPE_SZ, 4096));
}

static void partial_vmsplice(void) {
  int p[2];
  pipe(p);
  struct iovec v = {buf, sizeof buf};
  ret("takes what fits", vmsplice(p[1], &v, 1, 0));
  ret("full", vmsplice(p[1], &v, 1, SPLICE_F_NONBLOCK));
}

static void sendfile_offset(void) {
  int a = open("a", O_RDWR | O_CREAT | O_TRUNC, 0644), b = open("b", O_RDWR | O_CREAT | O_TRUNC, 0644);
  off_t *o = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ret("offset read-only, nothing to send", sendfile(b, a, o, 10));
  write(a, "0123456789", 10);
  ret("offset read-only", sendfile(b, a, o, 10));
  ret("offset read-only, no count", sendfile(b, a, o, 0));
  close(a), close(b);
}

static void types(void) {
  char name[256];
  long n = syscall(SYS_sysfs, 3), proc = syscall(SYS_sysfs, 1, "proc");
  is("types are numbered", n > 3 && proc >= 0 && proc < n);
  ret("name", syscall(SYS_sysfs, 2, proc, name));
  say("%s", name);
  ret("unknown name", syscall(SYS_sysfs, 1, "no such type"));
  ret("bad name", syscall(SYS_sysfs, 1, BAD_PTR));
  ret("bad index", syscall(SYS_sysfs, 2, 10000, name));
  ret("bad buffer", syscall(SYS_sysfs, 2, proc, BAD_PTR));
  ret("bad option", syscall(SYS_sysfs, 4));
}

static void ustats(void) {
  struct stat st;
  stat("/", &st);
  struct {
    int tfree;
    unsigned long tinode;
    char fname[6], fpack[6];
  } u;
  unsigned dev = (minor(st.st_dev) & 0xff) | major(st.st_dev) << 8 | (minor(st.st_dev) & ~0xffu) << 12;
  ret("root", syscall(SYS_ustat, dev, &u));
  ret("no such device", syscall(SYS_ustat, 0x7ffffffe, &u));
  ret("bad pointer", syscall(SYS_ustat, dev, BAD_PTR));
}

static void error_queue(void) {
  int s = socket(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  bind(s, (struct sockaddr *)&a, sizeof a);
  ret("an empty error queue is not waited for", recv(s, buf, 10, MSG_ERRQUEUE));
  close(s);
}

struct message {
  long type;
  char text[16];
};

static void ipc(void) {
  struct msqid_ds qd;
  struct shmid_ds sd;
  struct semid_ds md;
  union {
    struct semid_ds *buf;
  } arg = {&md};
  int old = msgget(IPC_PRIVATE, 0600);
  msgctl(old, IPC_RMID, NULL);
  int q = msgget(IPC_PRIVATE, 0600), s = shmget(IPC_PRIVATE, 100, 0600), m = semget(IPC_PRIVATE, 1, 0600);
  is("MSG_STAT_ANY by identifier", msgctl(q, 13, &qd) == q);
  is("SHM_STAT_ANY by identifier", shmctl(s, 15, &sd) == s);
  is("SEM_STAT_ANY by identifier", semctl(m, 0, 20, arg) == m);
  struct message a = {1, "first"}, b = {2, "second"}, c;
  msgsnd(q, &a, 6, 0);
  msgsnd(q, &b, 7, 0);
  ret("copy the second", msgrcv(q, &c, 16, 1, MSG_COPY | IPC_NOWAIT));
  say("%ld %s", c.type, c.text);
  ret("copy waits for nobody", msgrcv(q, &c, 16, 1, MSG_COPY));
  ret("copy with except", msgrcv(q, &c, 16, 1, MSG_COPY | IPC_NOWAIT | MSG_EXCEPT));
  ret("copy too long", msgrcv(q, &c, 3, 1, MSG_COPY | IPC_NOWAIT));
  ret("copy none", msgrcv(q, &c, 16, 2, MSG_COPY | IPC_NOWAIT));
  msgctl(q, IPC_STAT, &qd);
  say("still %d", (int)qd.msg_qnum);
  msgctl(q, IPC_RMID, NULL), shmctl(s, IPC_RMID, NULL), semctl(m, 0, IPC_RMID);
}

int main(void) {
  directories();
  pipe_sizes();
  partial_vmsplice();
  sendfile_offset();
  types();
  ustats();
  error_queue();
  ipc();
  return 0;
}
