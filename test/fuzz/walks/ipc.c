// Random walks over pipes, Unix sockets, eventfds, timers, epoll, System V semaphores and messages: nothing blocks, after each step what poll(2) and
// FIONREAD say of each descriptor is compared.
#include "walk.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>

#define FDS 26
#define PG 4096
#define BIG (1 << 20)
static int fds[FDS]; // pipes 0–5, sockets 6–17, eventfds 18–19, epolls 20–21, timer 22, copies 23–25
static int sem, queue;
static char *buf, *lent; // what vmsplice has taken stays as it is

static int any(void) { return below(FDS); }
static int any_pipe(void) { return below(6); }
static int any_socket(void) { return 6 + below(12); }

static void state(char *to, size_t room) {
  char *p = to;
  for (int i = 0; i < FDS; i++) {
    struct pollfd f = {fds[i], 0x3fff};
    int n = -1;
    poll(&f, 1, 0);
    if (i < 18 && ioctl(fds[i], FIONREAD, &n) != 0) n = -2;
    p += snprintf(p, room - (p - to), " %d:%x/%d", i, f.revents, n);
  }
  for (int i = 0; i < 3; i++)
    p += snprintf(p, room - (p - to), " sem %d %d%s", semctl(sem, i, GETVAL), semctl(sem, i, GETNCNT), semctl(sem, i, GETPID) ? "" : " -");
  struct msqid_ds d;
  if (msgctl(queue, IPC_STAT, &d) == 0) p += snprintf(p, room - (p - to), " msgs %lu %lu %lu", d.msg_qnum, d.__msg_cbytes, d.msg_qbytes);
  snprintf(p, room - (p - to), "\n");
}

static void begin(uint64_t seed) {
  static const int types[] = {SOCK_STREAM, SOCK_STREAM, SOCK_DGRAM, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_SEQPACKET};
  buf = mmap(NULL, BIG, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  lent = mmap(NULL, BIG, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memset(lent, 9, BIG);
  signal(SIGPIPE, SIG_IGN);
  for (int i = 0; i < 6; i += 2)
    if (pipe2(fds + i, O_NONBLOCK | (i == 4 ? O_DIRECT : 0)) != 0) _exit(9);
  for (int i = 0; i < 6; i++)
    if (socketpair(AF_UNIX, types[i] | SOCK_NONBLOCK, 0, fds + 6 + 2 * i) != 0) _exit(9);
  fds[18] = eventfd(0, EFD_NONBLOCK);
  fds[19] = eventfd(3, EFD_NONBLOCK | EFD_SEMAPHORE);
  fds[20] = epoll_create1(0), fds[21] = epoll_create1(0);
  fds[22] = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
  for (int i = 23; i < FDS; i++) fds[i] = dup(fds[below(18)]);
  sem = semget(IPC_PRIVATE, 3, 0600);
  queue = msgget(IPC_PRIVATE, 0600);
}

static int amount(void) { return PICK(0, 1, 10, 100, 1000, PG - 1, PG, PG + 1, 3 * PG, 65536, 60000, 40000); }

static void do_write(unsigned i) {
  int f = any(), n = amount();
  if (f >= 20 && f < 23) f = 0;
  if (f == 18 || f == 19) {
    uint64_t v = PICK(0, 1, 5, -2, -1, 0x7fffffffffffffff);
    out("write(%d, %lx)", f, v), result(write(fds[f], &v, one_in(8) ? 4 : 8));
    return;
  }
  memset(buf, i, n);
  out("write(%d, %d)", f, n), result(write(fds[f], buf, n));
}

static void do_read(void) {
  int f = any(), n = amount();
  if (f >= 20 && f < 22) f = 1;
  memset(buf, 0, n ? n : 1);
  out("read(%d, %d)", f, n);
  long r = result(read(fds[f], buf, n));
  if (r > 0 && f != 22) out(" %d %d", buf[0], buf[r - 1]);
}

static void do_sendmsg(unsigned i) {
  char control[CMSG_SPACE(4 * sizeof(int))] = "";
  int f = any_socket(), n = amount(), k = below(4), flags = PICK(0, 0, MSG_EOR, MSG_MORE, MSG_DONTROUTE, MSG_NOSIGNAL);
  struct iovec v[2] = {{buf, n / 3}, {buf + n / 3, n - n / 3}};
  struct msghdr m = {.msg_iov = v, .msg_iovlen = 2};
  memset(buf, i, n);
  out("sendmsg(%d, %d, %x", f, n, flags);
  if (k > 0) {
    m.msg_control = control, m.msg_controllen = CMSG_SPACE(k * sizeof(int));
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    *c = (struct cmsghdr){CMSG_LEN(k * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
    for (int j = 0; j < k; j++) {
      int which = below(20);
      ((int *)CMSG_DATA(c))[j] = one_in(30) ? -1 : fds[which];
      out(" fd %d", which);
    }
  }
  out(")"), result(sendmsg(fds[f], &m, flags));
}

static void do_recvmsg(void) {
  char control[200] = "";
  int f = any_socket(), n = amount(), flags = PICK(0, 0, 0, MSG_PEEK, MSG_TRUNC, MSG_OOB, MSG_WAITALL, MSG_CMSG_CLOEXEC, MSG_PEEK | MSG_TRUNC);
  struct iovec v = {buf, n};
  struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = PICK(0, 200, 200, 20, CMSG_LEN(4))};
  out("recvmsg(%d, %d, %x, %lu)", f, n, flags, m.msg_controllen);
  long r = result(recvmsg(fds[f], &m, flags));
  if (r < 0) return;
  out(" flags %x control %lu", m.msg_flags, m.msg_controllen);
  if (r > 0) out(" %d %d", buf[0], buf[(r < n ? r : n) - 1 < 0 ? 0 : (r < n ? r : n) - 1]);
  for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
    int k = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    out(" cmsg %lu %d %d", c->cmsg_len, c->cmsg_level, c->cmsg_type);
    for (int j = 0; j < k && c->cmsg_type == SCM_RIGHTS; j++) close(((int *)CMSG_DATA(c))[j]);
  }
}

static void do_epoll(void) {
  int e = 20 + below(2), f = any(), op = PICK(EPOLL_CTL_ADD, EPOLL_CTL_ADD, EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_MOD, EPOLL_CTL_DEL, 9);
  struct epoll_event ev[10], one = {PICK(EPOLLIN, EPOLLOUT, EPOLLIN | EPOLLOUT, EPOLLIN | EPOLLRDHUP, 0, EPOLLPRI | EPOLLIN), {.u32 = f}};
  one.events |= PICK(0, 0, EPOLLET, EPOLLONESHOT, EPOLLET | EPOLLONESHOT, EPOLLEXCLUSIVE, EPOLLWAKEUP);
  if (one_in(2)) {
    out("epoll_ctl(%d, %d, %d, %x)", e, op, f, one.events), result(epoll_ctl(fds[e], op, fds[f], &one));
    return;
  }
  int max = PICK(1, 2, 10, 10, 10, 0);
  out("epoll_wait(%d, %d)", e, max);
  long n = result(epoll_wait(fds[e], ev, max, 0));
  for (int i = 0; i < n; i++) out(" %d:%x", ev[i].data.u32, ev[i].events);
}

static void do_sem(void) {
  struct sembuf ops[4];
  int n = 1 + below(3);
  if (one_in(5)) {
    int which = below(3), value = PICK(0, 1, 5, 32767, 32768, -1);
    if (one_in(2)) out("SETVAL(%d, %d)", which, value), result(semctl(sem, which, SETVAL, value));
    else {
      unsigned short all[3] = {below(4), below(4), PICK(0, 40000, 3)};
      out("SETALL(%d %d %d)", all[0], all[1], all[2]), result(semctl(sem, 0, SETALL, all));
    }
    return;
  }
  int child = one_in(3);
  out(child ? "child semop(" : "semop(");
  for (int i = 0; i < n; i++) {
    ops[i] = (struct sembuf){one_in(20) ? 5 : below(3), PICK(1, 2, -1, -2, 0, 32767, -3), IPC_NOWAIT | PICK(0, SEM_UNDO, 0, SEM_UNDO)};
    out(" %d:%d%s", ops[i].sem_num, ops[i].sem_op, ops[i].sem_flg & SEM_UNDO ? "u" : "");
  }
  out(")");
  if (!child) {
    result(semop(sem, ops, n));
    return;
  }
  int st;
  if (fork() == 0) {
    result(semop(sem, ops, n));
    for (int i = 0; i < 3; i++) out(" %d", semctl(sem, i, GETVAL));
    _exit(0);
  }
  while (wait(&st) < 0) {}
}

static void do_msg(unsigned i) {
  struct { long type; char text[9000]; } m = {PICK(1, 2, 3, 0, -1), ""};
  int n = PICK(0, 1, 100, 4000, 8192, 8193), flags = IPC_NOWAIT;
  if (one_in(2)) {
    m.text[0] = i;
    out("msgsnd(%ld, %d)", m.type, n), result(msgsnd(queue, &m, n, flags));
    return;
  }
  flags |= PICK(0, MSG_NOERROR, MSG_EXCEPT, 040000 /* MSG_COPY */, MSG_NOERROR | MSG_EXCEPT);
  long type = PICK(0, 1, 2, 3, -2, -3, -1);
  out("msgrcv(%d, %ld, %x)", n, type, flags);
  long r = result(msgrcv(queue, &m, n, type, flags));
  if (r >= 0) out(" type %ld", m.type);
  if (r > 0) out(" %d", m.text[0]);
}

static void do_splice(unsigned i) {
  int a = any(), b = any(), n = amount(), flags = SPLICE_F_NONBLOCK;
  if (one_in(2)) a = any_pipe();
  if (one_in(2)) b = any_pipe();
  switch (below(3)) {
    case 0: out("tee(%d, %d, %d)", a, b, n), result(tee(fds[a], fds[b], n, flags)); break;
    case 1:
      if (a >= 18 && a < 23) a = 0;
      out("splice(%d, %d, %d)", a, b, n), result(splice(fds[a], NULL, fds[b], NULL, n, flags)); break;
    default: {
      struct iovec v = {lent, n};
      out("vmsplice(%d, %d)", b, n), result(vmsplice(fds[b], &v, 1, flags));
    }
  }
}

static void step(unsigned i) {
  int f = any(), n;
  socklen_t len = sizeof n;
  switch (below(32)) {
    case 0 ... 5: do_write(i); break;
    case 6 ... 10: do_read(); break;
    case 11 ... 13: do_sendmsg(i); break;
    case 14 ... 16: do_recvmsg(); break;
    case 17 ... 21: do_epoll(); break;
    case 22 ... 23: do_sem(); break;
    case 24 ... 25: do_msg(i); break;
    case 26 ... 27: do_splice(i); break;
    case 28:
      f = any_pipe();
      if (one_in(2)) n = PICK(1, PG, 2 * PG, 65536, 1 << 20, 0), out("F_SETPIPE_SZ(%d, %d)", f, n), result(fcntl(fds[f], F_SETPIPE_SZ, n));
      else out("F_GETPIPE_SZ(%d)", f), result(fcntl(fds[f], F_GETPIPE_SZ));
      break;
    case 29:
      f = any_socket();
      switch (below(4)) {
        case 0: n = below(3), out("shutdown(%d, %d)", f, n), one_in(3) ? result(shutdown(fds[f], n)) : out(" not now"); break;
        case 1: n = PICK(0, 4608, 20000, 100000), out("SO_SNDBUF(%d, %d)", f, n), result(setsockopt(fds[f], SOL_SOCKET, SO_SNDBUF, &n, 4)); break;
        case 2: n = -1, out("SO_SNDBUF(%d)", f), getsockopt(fds[f], SOL_SOCKET, SO_SNDBUF, &n, &len), out(" %d", n); break;
        default: n = -1, out("SIOCOUTQ(%d)", f), result(ioctl(fds[f], TIOCOUTQ, &n)), out(" %d", n);
      }
      break;
    case 30: {
      int g = below(23);
      if (one_in(3)) f = below(18), out("close(%d)", f), result(close(fds[f])), fds[f] = -1;
      else if (fds[g] >= 0) f = 23 + below(3), out("dup(%d) to %d", g, f), close(fds[f]), fds[f] = dup(fds[g]);
      break;
    }
    case 31: {
      struct itimerspec t = {{PICK(0, 0, 1), 0}, {PICK(0, 1000), one_in(2)}};
      out("timerfd_settime"), result(timerfd_settime(fds[22], one_in(4) ? 4 : 0, &t, NULL));
    }
  }
}
