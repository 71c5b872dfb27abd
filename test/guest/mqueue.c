// POSIX message queues: order, limits, timeouts, notification.
#include "guest.h"
#include <linux/netlink.h>
#include <mqueue.h>
#include <semaphore.h>
#include <sys/socket.h>
#include <poll.h>

static char buf[8192];
static volatile sig_atomic_t notified;
static int notify_code, notify_value;

static void on_notify(int sig, siginfo_t *si, void *ctx) {
  (void)sig, (void)ctx;
  notify_code = si->si_code;
  notify_value = si->si_value.sival_int;
  notified++;
}

static void receive(const char *name, mqd_t q, size_t len) {
  unsigned prio = 77;
  memset(buf, 0, sizeof buf);
  long n = mq_receive(q, buf, len, &prio);
  if (n < 0) say("%s: %s", name, strerrorname_np(errno));
  else say("%s: %ld \"%s\" prio %u", name, n, buf, prio);
}

static sem_t called;
static int called_with;
static void on_thread(union sigval v) {
  called_with = v.sival_int;
  sem_post(&called);
}

// The C library's way: a function in a thread.
static void by_thread(mqd_t q) {
  char buf[100];
  struct sigevent ev = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = on_thread, .sigev_value.sival_int = 99};
  sem_init(&called, 0, 0);
  for (int i = 0; i < 2; i++) {
    ret("SIGEV_THREAD", mq_notify(q, &ev));
    mq_send(q, "t", 1, 0);
    while (sem_wait(&called) < 0) {}
    say("called with %d", called_with);
    mq_receive(q, buf, sizeof buf, NULL);
  }
  ret("SIGEV_THREAD, once more", mq_notify(q, &ev));
  ret("busy", mq_notify(q, &ev));
  ret("taken back", mq_notify(q, NULL));
}

static void read_cookie(const char *name, int s) {
  unsigned char b[64];
  long n = recv(s, b, sizeof b, 0);
  say("%s: %ld bytes, %c%c, last %d", name, n, b[0], b[30], b[31]);
}

// What is below it: a cookie that comes back through a netlink socket.
static void by_cookie(mqd_t q) {
  char buf[100], cookie[32] = "abcdefghijklmnopqrstuvwxyz01234";
  int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0), u = socket(AF_UNIX, SOCK_STREAM, 0);
  struct sigevent ev = {.sigev_notify = SIGEV_THREAD, .sigev_signo = s, .sigev_value.sival_ptr = cookie};
  ret("cookie", syscall(SYS_mq_notify, q, &ev));
  mq_send(q, "c", 1, 0);
  read_cookie("woken", s);
  mq_receive(q, buf, sizeof buf, NULL);
  syscall(SYS_mq_notify, q, &ev);
  syscall(SYS_mq_notify, q, NULL);
  read_cookie("taken back", s);
  mqd_t second = mq_open("/guest-q", O_RDWR);
  syscall(SYS_mq_notify, q, &ev);
  mq_close(second);
  read_cookie("closed", s);
  ev.sigev_signo = u, ret("no netlink socket", syscall(SYS_mq_notify, q, &ev));
  ev.sigev_signo = q, ret("no socket", syscall(SYS_mq_notify, q, &ev));
  ev.sigev_signo = 999, ret("no descriptor", syscall(SYS_mq_notify, q, &ev));
  ev.sigev_signo = s, ret("no queue", syscall(SYS_mq_notify, s, &ev));
  ev.sigev_value.sival_ptr = BAD_PTR, ret("no cookie", syscall(SYS_mq_notify, q, &ev));
  close(s), close(u);
}

int main(void) {
  mq_unlink("/guest-q");
  mq_unlink("/guest-r");
  struct mq_attr a = {.mq_maxmsg = 3, .mq_msgsize = 16}, got;
  ret("open missing", mq_open("/guest-q", O_RDWR));
  mqd_t q = mq_open("/guest-q", O_RDWR | O_CREAT | O_EXCL, 0600, &a);
  ok("create", q);
  ret("create again", mq_open("/guest-q", O_RDWR | O_CREAT | O_EXCL, 0600, &a));
  ok("open with O_CREAT", mq_open("/guest-q", O_RDWR | O_CREAT, 0600, NULL));
  ret("slash in name", syscall(SYS_mq_open, "a/b", O_RDWR | O_CREAT, 0600, NULL));
  ret("empty name", syscall(SYS_mq_open, "", O_RDWR | O_CREAT, 0600, NULL));
  ret("bad name", syscall(SYS_mq_open, BAD_PTR, O_RDWR, 0600, NULL));
  ret("bad attr", syscall(SYS_mq_open, "guest-r", O_RDWR | O_CREAT, 0600, BAD_PTR));
  struct mq_attr bad = {.mq_maxmsg = 0, .mq_msgsize = 16};
  ret("no messages", mq_open("/guest-r", O_RDWR | O_CREAT, 0600, &bad));
  bad.mq_maxmsg = 1, bad.mq_msgsize = -1;
  ret("negative size", mq_open("/guest-r", O_RDWR | O_CREAT, 0600, &bad));
  bad.mq_maxmsg = 1000000, bad.mq_msgsize = 1;
  ret("too many", mq_open("/guest-r", O_RDWR | O_CREAT, 0600, &bad));
  is("close on exec", fcntl(q, F_GETFD) == FD_CLOEXEC);
  ret("getattr", mq_getattr(q, &got));
  say("%ld %ld %ld %ld", got.mq_flags, got.mq_maxmsg, got.mq_msgsize, got.mq_curmsgs);

  say("lseek %ld %ld", lseek(q, 5, SEEK_END), lseek(q, 3, SEEK_HOLE));
  ret("lseek behind", lseek(q, 80, SEEK_DATA));
  ret("lseek before data", lseek(q, -1, SEEK_DATA)), ret("before a hole", lseek(q, -1, SEEK_HOLE));
  struct stat st;
  fstat(q, &st);
  say("size %ld", st.st_size);
  ret("ftruncate", ftruncate(q, 7));
  fstat(q, &st);
  say("size %ld", st.st_size);
  lseek(q, 0, SEEK_SET);

  ret("send", mq_send(q, "low", 3, 1));
  ret("send", mq_send(q, "high", 4, 9));
  ret("send", mq_send(q, "low2", 4, 1));
  ret("send too long", mq_send(q, buf, 17, 1));
  ret("bad priority", mq_send(q, "x", 1, 32768));
  ret("bad data", mq_send(q, BAD_PTR, 3, 1));
  struct timespec past = {0, 0}, wrong = {0, 1000000000};
  ret("full, past deadline", mq_timedsend(q, "x", 1, 0, &past));
  ret("full, wrong deadline", mq_timedsend(q, "x", 1, 0, &wrong));
  struct pollfd p = {q, POLLIN | POLLOUT, 0};
  poll(&p, 1, 0);
  say("full poll %x", p.revents);
  receive("short buffer", q, 15);
  receive("1", q, sizeof buf);
  receive("2", q, sizeof buf);
  receive("3", q, sizeof buf);
  ret("empty, past deadline", mq_timedreceive(q, buf, sizeof buf, NULL, &past));
  poll(&p, 1, 0);
  say("empty poll %x", p.revents);
  a.mq_flags = O_NONBLOCK;
  ret("setattr", mq_setattr(q, &a, &got));
  receive("nonblocking", q, sizeof buf);
  for (int i = 0; i < 3; i++) mq_send(q, "f", 1, 0);
  ret("nonblocking full", mq_send(q, "f", 1, 0));
  for (int i = 0; i < 3; i++) mq_receive(q, buf, sizeof buf, NULL);
  a.mq_flags = O_APPEND;
  ret("setattr other flag", mq_setattr(q, &a, NULL));
  a.mq_flags = 0;
  mq_setattr(q, &a, NULL);
  ret("zero length", mq_send(q, "", 0, 5));
  receive("zero length", q, sizeof buf);

  int n = read(q, buf, sizeof buf);
  buf[n > 0 ? n : 0] = 0;
  printf("status %s", buf);
  mqd_t ro = mq_open("/guest-q", O_RDONLY), wo = mq_open("/guest-q", O_WRONLY);
  ret("send on read-only", mq_send(ro, "x", 1, 0));
  receive("receive on write-only", wo, sizeof buf);
  ret("send on no queue", mq_send(1, "x", 1, 0));
  ret("send on bad fd", mq_send(999, "x", 1, 0));

  struct sigaction sa = {.sa_sigaction = on_notify, .sa_flags = SA_SIGINFO};
  sigaction(SIGUSR1, &sa, NULL);
  struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 42};
  ret("notify", mq_notify(q, &ev));
  ret("notify twice", mq_notify(q, &ev));
  mq_send(q, "n", 1, 0);
  for (int i = 0; i < 100 && !notified; i++) usleep(2000);
  say("notified %d code %d value %d", notified, notify_code, notify_value);
  mq_send(q, "n", 1, 0);
  say("notified once %d", notified);
  mq_receive(q, buf, sizeof buf, NULL);
  mq_receive(q, buf, sizeof buf, NULL);
  ret("notify again", mq_notify(q, &ev));
  ret("unregister", mq_notify(q, NULL));
  ev.sigev_notify = 99;
  ret("notify bad method", syscall(SYS_mq_notify, q, &ev));
  ev.sigev_notify = SIGEV_SIGNAL, ev.sigev_signo = 99;
  ret("notify bad signal", syscall(SYS_mq_notify, q, &ev));

  by_thread(q);
  by_cookie(q);

  pid_t pid = fork();
  if (pid == 0) {
    usleep(50000);
    mq_send(wo, "child", 5, 3);
    for (int i = 0; i < 4; i++) mq_send(wo, "more", 4, 2);
    _exit(0);
  }
  receive("blocking", q, sizeof buf);
  usleep(100000);
  for (int i = 0; i < 4; i++) receive("more", q, sizeof buf);
  int status;
  waitpid(pid, &status, 0);

  struct timespec soon;
  clock_gettime(CLOCK_REALTIME, &soon);
  soon.tv_nsec += 50000000;
  if (soon.tv_nsec >= 1000000000) soon.tv_sec++, soon.tv_nsec -= 1000000000;
  ret("timed out", mq_timedreceive(q, buf, sizeof buf, NULL, &soon));
  ret("unlink", mq_unlink("/guest-q"));
  ret("unlink again", mq_unlink("/guest-q"));
  ret("still usable", mq_send(q, "x", 1, 0));
  receive("still usable", q, sizeof buf);
  ret("close", mq_close(q));
  ret("close again", mq_close(q));
  return 0;
}
