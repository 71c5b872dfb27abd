// Corners of many calls: order of checks, odd arguments, what test suites ask for.
#pragma GCC diagnostic ignored "-Wunused-result"
#pragma GCC diagnostic ignored "-Wnonnull"
#include "guest.h"
#include <net/if.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/sendfile.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/timex.h>
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

static void sockets(void) {
  int p[2], v = 0, s = socket(AF_INET, SOCK_STREAM, 0), u = socket(AF_INET, SOCK_DGRAM, 0);
  socklen_t len = sizeof v;
  ret("pair of unknown family", socketpair(0, SOCK_STREAM, 0, p));
  ret("pair of unknown type", socketpair(AF_INET, 75, 0, p));
  ret("pair raw", socketpair(AF_INET, SOCK_RAW, 0, p));
  ret("pair udp", socketpair(AF_INET, SOCK_DGRAM, IPPROTO_UDP, p));
  ret("pair tcp dgram", socketpair(AF_INET, SOCK_DGRAM, IPPROTO_TCP, p));
  ret("pair tcp", socketpair(AF_INET, SOCK_STREAM, IPPROTO_TCP, p));
  ret("pair icmp stream", socketpair(AF_INET, SOCK_STREAM, IPPROTO_ICMP, p));
  ret("raw without protocol", socket(AF_INET, SOCK_RAW, 0));
  ret("unknown level", getsockopt(s, 500, SO_OOBINLINE, &v, &len));
  ret("level of another protocol", getsockopt(s, IPPROTO_UDP, SO_OOBINLINE, &v, &len));
  ret("unknown ip option", getsockopt(s, IPPROTO_IP, -1, &v, &len));
  ret("unknown tcp option", getsockopt(s, IPPROTO_TCP, -1, &v, &len));
  ret("unknown socket option", getsockopt(s, SOL_SOCKET, 9999, &v, &len));
  ret("tcp option of udp", setsockopt(u, IPPROTO_TCP, 1, &v, sizeof v));
  ret("unknown level set", setsockopt(u, 500, 1, &v, sizeof v));
  close(s), close(u);
  pid_t c = fork();
  if (c == 0) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(463), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct ifreq r = {.ifr_name = "lo"};
    setresuid(65534, 65534, 65534);
    s = socket(AF_INET, SOCK_STREAM, 0);
    ret("privileged port", bind(s, (struct sockaddr *)&a, sizeof a));
    ret("interface flags", ioctl(s, SIOCSIFFLAGS, &r));
    ret("interface flags, bad pointer", ioctl(s, SIOCSIFFLAGS, BAD_PTR));
    _exit(0);
  }
  waitpid(c, NULL, 0);
}

static void nothing(int sig) {}

static void processes(void) {
  ret("slack", prctl(PR_SET_TIMERSLACK, 70000));
  pid_t c = fork();
  if (c == 0) {
    ret("inherited", prctl(PR_GET_TIMERSLACK));
    prctl(PR_SET_TIMERSLACK, 1);
    prctl(PR_SET_TIMERSLACK, 0);
    ret("back to the creator's", prctl(PR_GET_TIMERSLACK));
    _exit(0);
  }
  waitpid(c, NULL, 0);
  prctl(PR_SET_TIMERSLACK, 0);
  ret("own default", prctl(PR_GET_TIMERSLACK));
  ret("speculation, odd argument", prctl(52, 0, 1, 0, 0));
  struct {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
  } args = {.flags = 0x1000, .pidfd = 16, .exit_signal = SIGCHLD};
  ret("clone3, pidfd to nowhere", syscall(SYS_clone3, &args, sizeof args));
  if (fork() == 0) {
    int tid = 0;
    uint64_t numbered[11] = {[4] = SIGCHLD, [8] = (uintptr_t)&tid, [9] = 1};
    setresuid(1000, 1000, 1000);
    ret("clone3, number 0, by anybody", syscall(SYS_clone3, numbered, 88));
    tid = 30000, ret("number 30000", syscall(SYS_clone3, numbered, 88));
    numbered[8] = (uintptr_t)BAD_PTR, ret("of nowhere", syscall(SYS_clone3, numbered, 88));
    _exit(0);
  }
  wait(NULL);
  int d = open("/proc/self", O_RDONLY | O_DIRECTORY);
  ret("signal to a directory of /proc", syscall(SYS_pidfd_send_signal, d, 0, NULL, 0));
  ret("signal to another directory", syscall(SYS_pidfd_send_signal, open("/", O_RDONLY), 0, NULL, 0));
  if ((c = fork()) == 0) {
    setresuid(65534, 65534, 65534);
    ret("vhangup", syscall(SYS_vhangup));
    _exit(0);
  }
  waitpid(c, NULL, 0);
  struct timex tx = {.modes = 0x8000};
  ret("adjtimex, half a mode", adjtimex(&tx));
  struct sigaction sa = {.sa_handler = nothing};
  sigaction(SIGALRM, &sa, NULL);
  struct timespec ts = {5, 0};
  ualarm(50000, 0);
  ret("rest of a sleep to nowhere", syscall(SYS_nanosleep, &ts, BAD_PTR));
}

static void mappings(void) {
  int f = open("a", O_RDWR | O_CREAT, 0644);
  is("validate", mmap(NULL, 4096, PROT_READ, MAP_SHARED_VALIDATE, f, 0) != MAP_FAILED);
  is("validate refuses", mmap(NULL, 4096, PROT_READ, MAP_SHARED_VALIDATE | 1 << 10, f, 0) == MAP_FAILED && errno == EOPNOTSUPP);
  is("shared ignores", mmap(NULL, 4096, PROT_READ, MAP_SHARED | 1 << 10, f, 0) != MAP_FAILED);
  close(f);
}

static void watches(void) {
  char text[1024] = "", path[64];
  int i = inotify_init();
  inotify_add_watch(i, ".", IN_MODIFY | IN_ONESHOT);
  sprintf(path, "/proc/self/fdinfo/%d", i);
  int f = open(path, O_RDONLY);
  read(f, text, sizeof text - 1);
  char *m = strstr(text, "mask:");
  say("%.13s", m ? m : "no mask");
  close(f), close(i);
}

// Of several that wait exclusively each event wakes one.
static void exclusive(void) {
  int p[2], done[2], status;
  pipe(p), pipe(done);
  for (int i = 0; i < 3; i++) {
    if (fork() == 0) {
      struct epoll_event e = {.events = EPOLLIN | EPOLLET | EPOLLEXCLUSIVE};
      int ep = epoll_create1(0);
      epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &e);
      int n = epoll_wait(ep, &e, 1, 5000);
      write(done[1], "x", 1);
      _exit(n);
    }
  }
  sleep_ms(200);
  for (int i = 1; i <= 3; i++) {
    int n = 0;
    write(p[1], "x", 1);
    sleep_ms(100);
    ioctl(done[0], FIONREAD, &n);
    say("after %d events %d woke", i, n);
    read(done[0], buf, n);
  }
  for (int i = 0; i < 3; i++) wait(&status), say("waiter %d", WEXITSTATUS(status));
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
  sockets();
  processes();
  mappings();
  watches();
  exclusive();
  return 0;
}
