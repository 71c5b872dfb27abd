// Random walks over POSIX message queues: attributes, priorities, modes, other users, limits, names, notification.
#include "walk.h"
#include <linux/capability.h>
#include <mqueue.h>
#include <poll.h>
#include <sys/resource.h>

#define SLOTS 6
static int fds[SLOTS];
static volatile int signals, last_code, last_value;

static int slot(void) { return below(SLOTS); }
static void on_signal(int sig, siginfo_t *info, void *context) { signals++, last_code = info->si_code, last_value = info->si_value.sival_int; }

static void state(char *to, size_t room) {
  char *p = to, text[200];
  for (int i = 0; i < SLOTS; i++) {
    struct pollfd f = {fds[i], 0x3fff};
    struct mq_attr a;
    struct stat st;
    if (fds[i] < 0 || fstat(fds[i], &st) != 0 || mq_getattr(fds[i], &a) != 0) continue;
    poll(&f, 1, 0);
    int n = pread(fds[i], text, sizeof text - 1, 0);
    text[n < 0 ? 0 : n] = 0;
    char *pid = strstr(text, "NOTIFY_PID:");
    p += snprintf(p, room - (p - to), " %d: %lx %ld/%ld of %ld poll %x %o %d.%d size %ld links %ld", i, a.mq_flags, a.mq_curmsgs, a.mq_maxmsg, a.mq_msgsize, f.revents, st.st_mode, st.st_uid, st.st_gid, st.st_size, st.st_nlink);
    if (n > 0 && pid) p += snprintf(p, room - (p - to), " %.*s%s", (int)(pid - text), text, atoi(pid + 11) ? "pid" : "-");
    for (char *c = to; *c; c++) if (*c == '\n') *c = ' ';
  }
  snprintf(p, room - (p - to), " signals %d %d %d\n", signals, last_code, last_value);
}

static const char *name(void) { return ((const char *[]){"q0", "q1", "q2", "q1"})[below(4)]; }

// Limits are what is compared: not everywhere may root go beyond them.
static void drop_resource(void) {
  struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct d[2];
  syscall(SYS_capget, &h, d);
  d[0].effective &= ~(1u << CAP_SYS_RESOURCE);
  syscall(SYS_capset, &h, d);
}

static void begin(uint64_t seed) {
  drop_resource();
  syscall(SYS_mq_unlink, "q0"), syscall(SYS_mq_unlink, "q1"), syscall(SYS_mq_unlink, "q2");
  for (int i = 0; i < SLOTS; i++) fds[i] = -1;
  struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
  sigaction(SIGUSR1, &sa, NULL);
  umask(one_in(2) ? 022 : 0);
}

static int do_open(void) {
  struct mq_attr a = {PICK(0, 0, O_NONBLOCK, 7), PICK(1, 3, 10, 11, 0, -1, 70000), PICK(1, 8, 100, 8192, 8193, 0, -1, 20000000), 5};
  int flags = PICK(O_RDWR, O_RDWR, O_RDONLY, O_WRONLY, 3) | PICK(0, O_CREAT, O_CREAT, O_CREAT | O_EXCL, O_EXCL) | PICK(0, O_NONBLOCK, O_TRUNC, O_CLOEXEC, O_NONBLOCK);
  int mode = PICK(0600, 0666, 0, 0444, 0222, 07777, 0640), attr = one_in(2);
  const char *n = one_in(15) ? ((const char *[]){"", "a/b", "..", ".", "none"})[below(5)] : name();
  out("open(%s, %x, %o", n, flags, mode);
  if (attr) out(", %ld of %ld", a.mq_maxmsg, a.mq_msgsize);
  out(")");
  return done(syscall(SYS_mq_open, n, flags, mode, attr ? &a : NULL));
}

static void other_user(void) {
  int st;
  if (fork() == 0) {
    int uid = PICK(1000, 1001);
    struct rlimit l = {PICK(0, 400, 10000, 819200), 819200};
    out("[%d", uid);
    if (one_in(2)) out(" limit %lu", l.rlim_cur), setrlimit(RLIMIT_MSGQUEUE, &l);
    out("] ");
    setresgid(uid, uid, uid), setresuid(uid, uid, uid);
    if (one_in(4)) {
      const char *n = name();
      out("unlink(%s)", n), result(syscall(SYS_mq_unlink, n));
    } else {
      int fd = do_open();
      if (fd >= 0) out(" send"), result(syscall(SYS_mq_timedsend, fd, "other", one_in(2) ? 5 : 0, 3, &(struct timespec){0, 0}));
    }
    _exit(0);
  }
  while (wait(&st) < 0) {}
}

static void step(unsigned i) {
  static char buf[20000];
  static const struct timespec past = {0, 0}, bad = {0, 2000000000}, before = {-1, 0};
  const struct timespec *timeout = ((const struct timespec *[]){&past, &past, &past, &past, &past, &bad, &before})[below(7)];
  int s = slot(), fd = fds[s];
  switch (below(22)) {
    case 0 ... 4:
      fd = do_open();
      if (fd >= 0) out(" in %d", s), close(fds[s]), fds[s] = fd;
      break;
    case 5 ... 8: {
      int n = PICK(0, 1, 8, 9, 100, 8192, 8193), prio = PICK(0, 1, 5, 5, 32767, 32768, -1);
      memset(buf, i, sizeof buf);
      out("send(%d, %d, %d, %s)", s, n, prio, timeout == &bad ? "bad" : "past"), result(syscall(SYS_mq_timedsend, fd, buf, n, prio, timeout));
      break;
    }
    case 9 ... 12: {
      int n = PICK(0, 1, 8, 100, 8192, 8193, 20000);
      unsigned prio = 99;
      out("receive(%d, %d, %s)", s, n, timeout == &bad ? "bad" : "past");
      long r = result(syscall(SYS_mq_timedreceive, fd, buf, n, &prio, timeout));
      out(" prio %u", prio);
      if (r > 0) out(" %d", buf[0]);
      break;
    }
    case 13 ... 14: {
      struct sigevent e = {.sigev_notify = PICK(SIGEV_SIGNAL, SIGEV_SIGNAL, SIGEV_NONE, SIGEV_THREAD_ID, 9), .sigev_signo = PICK(SIGUSR1, SIGUSR1, SIGUSR1, 0, 65, -1), .sigev_value.sival_int = i};
      int none = one_in(3);
      out("notify(%d, %d %d)", s, none ? -1 : e.sigev_notify, e.sigev_signo), result(syscall(SYS_mq_notify, fd, none ? NULL : &e));
      break;
    }
    case 15: {
      struct mq_attr a = {PICK(0, O_NONBLOCK, O_NONBLOCK, 1, O_NONBLOCK | O_APPEND), 5, 5, 5}, old = {9, 9, 9, 9};
      out("setattr(%d, %lx)", s, a.mq_flags), result(syscall(SYS_mq_getsetattr, fd, &a, &old)), out(" was %lx %ld %ld %ld", old.mq_flags, old.mq_maxmsg, old.mq_msgsize, old.mq_curmsgs);
      break;
    }
    case 16: {
      const char *n = name();
      out("unlink(%s)", n), result(syscall(SYS_mq_unlink, n));
      break;
    }
    case 17: out("close(%d)", s), result(close(fd)), fds[s] = -1; break;
    case 18 ... 19: other_user(); break;
    case 20: {
      int t = slot();
      if (fds[t] >= 0) out("dup(%d) to %d", t, s), fds[s] = fcntl(fds[t], F_DUPFD, 3), fd >= 0 ? close(fd) : 0;
      else out("fchmod(%d)", s), result(fchmod(fd, PICK(0600, 0, 0666, 0444)));
      break;
    }
    default: {
      int n = PICK(0, 3, 20, 200);
      out("read(%d, %d)", s, n), done(pread(fd, buf, n, PICK(0, 0, 3, 1000, -1))), out(" write"), result(write(fd, buf, n)), out(" lseek"), result(lseek(fd, 5, PICK(SEEK_SET, SEEK_END, SEEK_CUR, 9)));
      out(" truncate"), result(ftruncate(fd, 0)), out(" fsync"), result(fsync(fd)), out(" mmap"), done((long)mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0));
    }
  }
}
