// io_uring: what waits: polls, timeouts, linked timeouts, sockets, cancelling, signals, ends of tasks, provided buffers.
#pragma GCC diagnostic ignored "-Wunused-result"
#include "uring.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>

static struct ring r;

static void submit(const char *what) {
  ret(what, ring_enter(&r, 0));
  ring_show(&r);
}

static void await(const char *what, unsigned n) {
  ret(what, ring_enter(&r, n));
  ring_show(&r);
}

static void polls(void) {
  int p[2];
  char c;
  pipe(p);
  sqe_at(&r, IORING_OP_POLL_ADD, p[0], NULL, 0, 0, 1)->poll32_events = POLLIN;
  submit("poll of an empty pipe");
  write(p[1], "a", 1);
  await("it comes", 1);
  sqe_at(&r, IORING_OP_POLL_ADD, p[0], NULL, 0, 0, 2)->poll32_events = POLLIN;
  ring_one(&r, "at once");
  read(p[0], &c, 1);
  sqe_at(&r, IORING_OP_POLL_ADD, p[0], NULL, IORING_POLL_ADD_MULTI, 0, 3)->poll32_events = POLLIN;
  submit("again and again");
  for (int i = 0; i < 3; i++) {
    write(p[1], "a", 1);
    await("once more", 1);
    read(p[0], &c, 1);
  }
  sqe_at(&r, IORING_OP_POLL_REMOVE, -1, (void *)3, 0, 0, 4);
  await("removed", 2);
  sqe_at(&r, IORING_OP_POLL_REMOVE, -1, (void *)3, 0, 0, 5);
  ring_one(&r, "nothing to remove");
  sqe_at(&r, IORING_OP_POLL_ADD, p[0], NULL, 0, 0, 6)->poll32_events = POLLPRI;
  submit("for nothing");
  struct io_uring_sqe *s = sqe_at(&r, IORING_OP_POLL_REMOVE, -1, (void *)6, IORING_POLL_UPDATE_EVENTS | IORING_POLL_UPDATE_USER_DATA, 66, 7);
  s->poll32_events = POLLIN;
  ring_one(&r, "updated");
  write(p[1], "a", 1);
  await("under its new name", 1);
  sqe_at(&r, IORING_OP_POLL_ADD, p[0], NULL, 8 | 64, 0, 8);
  ring_one(&r, "unknown flag");
  close(p[1]);
  read(p[0], &c, 1);
  sqe_at(&r, IORING_OP_POLL_ADD, p[0], NULL, 0, 0, 9)->poll32_events = 0;
  await("hung up", 1);
  close(p[0]);
}

static void timeouts(void) {
  struct __kernel_timespec soon = {0, 1000}, late = {1000, 0}, bad = {0, -1}, neg = {-1, 0};
  sqe_at(&r, IORING_OP_TIMEOUT, -1, &soon, 1, 0, 1);
  await("timeout", 1);
  sqe_at(&r, IORING_OP_TIMEOUT, -1, &late, 1, 2, 2);
  sqe_at(&r, IORING_OP_NOP, -1, NULL, 0, 0, 3);
  sqe_at(&r, IORING_OP_NOP, -1, NULL, 0, 0, 4);
  await("or so many completions", 3);
  sqe_at(&r, IORING_OP_TIMEOUT, -1, &late, 1, 0, 5);
  submit("late");
  sqe_at(&r, IORING_OP_TIMEOUT_REMOVE, -1, (void *)5, 0, 0, 6);
  await("removed", 2);
  sqe_at(&r, IORING_OP_TIMEOUT_REMOVE, -1, (void *)5, 0, 0, 7);
  ring_one(&r, "nothing to remove");
  sqe_at(&r, IORING_OP_TIMEOUT, -1, &late, 1, 0, 8);
  submit("late");
  sqe_at(&r, IORING_OP_TIMEOUT_REMOVE, -1, (void *)8, 0, (uint64_t)&soon, 9)->timeout_flags = IORING_TIMEOUT_UPDATE;
  await("made earlier", 2);
  sqe_at(&r, IORING_OP_TIMEOUT, -1, &bad, 1, 0, 10);
  ring_one(&r, "bad nanoseconds");
  sqe_at(&r, IORING_OP_TIMEOUT, -1, &neg, 1, 0, 10);
  ring_one(&r, "negative seconds");
  sqe_at(&r, IORING_OP_TIMEOUT, -1, BAD_PTR, 1, 0, 11);
  ring_one(&r, "bad pointer");
  sqe_at(&r, IORING_OP_TIMEOUT, -1, &soon, 2, 0, 12);
  ring_one(&r, "two");
  sqe_at(&r, IORING_OP_TIMEOUT, -1, &soon, 1, 3, 13)->timeout_flags = 64;
  await("three times", 3);
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  struct __kernel_timespec at = {now.tv_sec - 5, 0};
  sqe_at(&r, IORING_OP_TIMEOUT, -1, &at, 1, 0, 14)->timeout_flags = IORING_TIMEOUT_ABS | IORING_TIMEOUT_REALTIME;
  await("in the past", 1);
  sqe_at(&r, IORING_OP_TIMEOUT, -1, &soon, 1, 0, 15)->flags = IOSQE_IO_LINK;
  sqe_at(&r, IORING_OP_NOP, -1, NULL, 0, 0, 16);
  await("breaks a link", 2);
  struct io_uring_sqe *s = sqe_at(&r, IORING_OP_TIMEOUT, -1, &soon, 1, 0, 17);
  s->flags = IOSQE_IO_LINK;
  s->timeout_flags = IORING_TIMEOUT_ETIME_SUCCESS;
  sqe_at(&r, IORING_OP_NOP, -1, NULL, 0, 0, 18);
  await("or not", 2);
  int p[2];
  char c;
  pipe(p);
  sqe_at(&r, IORING_OP_READ, p[0], &c, 1, 0, 20)->flags = IOSQE_IO_LINK;
  sqe_at(&r, IORING_OP_LINK_TIMEOUT, -1, &soon, 1, 0, 21);
  await("linked timeout", 2);
  write(p[1], "x", 1);
  sqe_at(&r, IORING_OP_READ, p[0], &c, 1, 0, 22)->flags = IOSQE_IO_LINK;
  sqe_at(&r, IORING_OP_LINK_TIMEOUT, -1, &late, 1, 0, 23)->flags = IOSQE_IO_LINK;
  sqe_at(&r, IORING_OP_NOP, -1, NULL, 0, 0, 24);
  await("not needed", 3);
  sqe_at(&r, IORING_OP_READ, p[0], &c, 1, 0, 25)->flags = IOSQE_IO_LINK;
  sqe_at(&r, IORING_OP_LINK_TIMEOUT, -1, &late, 1, 0, 26);
  submit("still waiting");
  write(p[1], "x", 1);
  await("not needed in the end", 2);
  sqe_at(&r, IORING_OP_LINK_TIMEOUT, -1, &late, 1, 0, 27);
  ring_one(&r, "linked to nothing");
  close(p[0]);
  close(p[1]);
}

static void sockets(void) {
  char buf[64] = "";
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof a;
  int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), s, u[2];
  bind(l, (void *)&a, sizeof a);
  getsockname(l, (void *)&a, &len);
  listen(l, 8);
  struct io_uring_cqe e;
  sqe_at(&r, IORING_OP_ACCEPT, l, NULL, 0, 0, 1);
  submit("accept");
  sqe_at(&r, IORING_OP_CONNECT, c, &a, 0, sizeof a, 2);
  ret("connect", ring_enter(&r, 2));
  for (s = -1; ring_take(&r, &e);) {
    if (e.user_data == 1) s = e.res;
    else say("  connected %s", res_name(e.res));
  }
  is("accepted", s >= 0);
  sqe_at(&r, IORING_OP_RECV, c, buf, 10, 0, 3);
  submit("recv");
  sqe_at(&r, IORING_OP_SEND, s, "hello", 5, 0, 4);
  await("send", 2);
  say("  %s", buf);
  struct iovec v = {buf, sizeof buf};
  struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
  sqe_at(&r, IORING_OP_RECVMSG, c, &m, 1, 0, 5);
  submit("recvmsg");
  struct iovec w = {"message", 8};
  struct msghdr n = {.msg_iov = &w, .msg_iovlen = 1};
  sqe_at(&r, IORING_OP_SENDMSG, s, &n, 1, 0, 6);
  await("sendmsg", 2);
  say("  %s", buf);
  sqe_at(&r, IORING_OP_RECV, c, buf, 10, 0, 7)->msg_flags = MSG_DONTWAIT;
  ring_one(&r, "MSG_DONTWAIT");
  sqe_at(&r, IORING_OP_SHUTDOWN, s, NULL, SHUT_WR, 0, 8);
  ring_one(&r, "shutdown");
  sqe_at(&r, IORING_OP_RECV, c, buf, 10, 0, 9);
  ring_one(&r, "the end");
  sqe_at(&r, IORING_OP_CLOSE, c, NULL, 0, 0, 10);
  ring_one(&r, "close");
  sqe_at(&r, IORING_OP_CLOSE, c, NULL, 0, 0, 10);
  ring_one(&r, "close again");
  sqe_at(&r, IORING_OP_ACCEPT, l, NULL, 0, 0, 11)->ioprio = IORING_ACCEPT_MULTISHOT;
  submit("accept again and again");
  for (int i = 0; i < 2; i++) {
    c = socket(AF_INET, SOCK_STREAM, 0);
    connect(c, (void *)&a, sizeof a);
    ret("one", ring_enter(&r, 1));
    while (ring_take(&r, &e)) say("  %d %s", e.res >= 0, e.flags & IORING_CQE_F_MORE ? "more" : "");
  }
  sqe_at(&r, IORING_OP_ASYNC_CANCEL, -1, (void *)11, 0, 0, 12);
  await("cancelled", 2);
  sqe_at(&r, IORING_OP_SOCKET, AF_INET, NULL, 0, SOCK_STREAM, 13);
  ret("socket", ring_enter(&r, 1));
  while (ring_take(&r, &e)) is("made", e.res >= 0);
  socketpair(AF_UNIX, SOCK_STREAM, 0, u);
  close(u[1]);
  sqe_at(&r, IORING_OP_SEND, u[0], "x", 1, 0, 14);
  ring_one(&r, "no SIGPIPE");
  sqe_at(&r, IORING_OP_RECV, 0, buf, 1, 0, 15);
  ring_one(&r, "no socket");
  close(l);
}

static void cancels(void) {
  char buf[8];
  int p[2];
  pipe(p);
  sqe_at(&r, IORING_OP_READ, p[0], buf, 1, 0, 1);
  submit("waits");
  sqe_at(&r, IORING_OP_ASYNC_CANCEL, -1, (void *)1, 0, 0, 2);
  await("cancelled", 2);
  sqe_at(&r, IORING_OP_ASYNC_CANCEL, -1, (void *)1, 0, 0, 3);
  ring_one(&r, "nothing");
  for (int i = 0; i < 3; i++) sqe_at(&r, IORING_OP_READ, p[0], buf, 1, 0, 4);
  submit("three");
  sqe_at(&r, IORING_OP_ASYNC_CANCEL, -1, (void *)4, 0, 0, 5)->cancel_flags = IORING_ASYNC_CANCEL_ALL;
  await("all of them", 4);
  for (int i = 0; i < 2; i++) sqe_at(&r, IORING_OP_READ, p[0], buf, 1, 0, 6 + i);
  submit("two");
  sqe_at(&r, IORING_OP_ASYNC_CANCEL, p[0], NULL, 0, 0, 8)->cancel_flags = IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_FD;
  await("by file", 3);
  sqe_at(&r, IORING_OP_READ, p[0], buf, 1, 0, 9);
  submit("one");
  struct io_uring_sync_cancel_reg c = {.addr = 9, .fd = -1, .timeout = {-1, -1}};
  ret("by call", uring_register(r.fd, IORING_REGISTER_SYNC_CANCEL, &c, 1));
  await("gone", 1);
  sqe_at(&r, IORING_OP_READ, p[0], buf, 1, 0, 10);
  submit("its descriptor is closed");
  write(p[1], "y", 1);
  close(p[0]);
  await("all the same", 1);
  close(p[1]);
}

static void registered(void) {
  char buf[64] = "", other[16];
  int f = open("uring", O_RDWR | O_CREAT | O_TRUNC, 0644), fds[3] = {f, -1, f};
  struct iovec v[2] = {{buf, sizeof buf}, {NULL, 0}};
  ret("files", uring_register(r.fd, IORING_REGISTER_FILES, fds, 3));
  ret("again", uring_register(r.fd, IORING_REGISTER_FILES, fds, 3));
  sqe_at(&r, IORING_OP_WRITE, 0, "registered", 10, 0, 1)->flags = IOSQE_FIXED_FILE;
  ring_one(&r, "write");
  sqe_at(&r, IORING_OP_WRITE, 1, "registered", 10, 0, 2)->flags = IOSQE_FIXED_FILE;
  ring_one(&r, "a hole");
  sqe_at(&r, IORING_OP_WRITE, 3, "registered", 10, 0, 3)->flags = IOSQE_FIXED_FILE;
  ring_one(&r, "beyond");
  ret("buffers", uring_register(r.fd, IORING_REGISTER_BUFFERS, v, 2));
  sqe_at(&r, IORING_OP_READ_FIXED, f, buf + 4, 10, 0, 4)->buf_index = 0;
  ring_one(&r, "read");
  say("  %.10s", buf + 4);
  sqe_at(&r, IORING_OP_READ_FIXED, f, other, 10, 0, 5)->buf_index = 0;
  ring_one(&r, "not in the buffer");
  sqe_at(&r, IORING_OP_READ_FIXED, f, buf, 10, 0, 6)->buf_index = 1;
  ring_one(&r, "no buffer");
  struct io_uring_rsrc_update up = {.offset = 1, .data = (uint64_t)fds};
  ret("update", uring_register(r.fd, IORING_REGISTER_FILES_UPDATE, &up, 1));
  close(f);
  sqe_at(&r, IORING_OP_READ, 1, buf, 3, 0, 7)->flags = IOSQE_FIXED_FILE;
  ring_one(&r, "closed, but registered");
  sqe_at(&r, IORING_OP_OPENAT, AT_FDCWD, "uring", 0, 0, 8)->file_index = 1;
  ring_one(&r, "open into a slot");
  sqe_at(&r, IORING_OP_CLOSE, 0, NULL, 0, 0, 9)->file_index = 1;
  ring_one(&r, "close a slot");
  sqe_at(&r, IORING_OP_CLOSE, 0, NULL, 0, 0, 9)->file_index = 1;
  ring_one(&r, "twice");
  ret("no files", uring_register(r.fd, IORING_UNREGISTER_FILES, NULL, 0));
  ret("twice", uring_register(r.fd, IORING_UNREGISTER_FILES, NULL, 0));
  ret("no buffers", uring_register(r.fd, IORING_UNREGISTER_BUFFERS, NULL, 0));
  int s[2];
  static char pool[4][16];
  socketpair(AF_UNIX, SOCK_STREAM, 0, s);
  sqe_at(&r, IORING_OP_PROVIDE_BUFFERS, 4, pool, 16, 0, 10)->buf_group = 5;
  ring_one(&r, "buffers are provided");
  struct io_uring_sqe *e = sqe_at(&r, IORING_OP_RECV, s[0], NULL, 16, 0, 11);
  e->flags = IOSQE_BUFFER_SELECT;
  e->buf_group = 5;
  write(s[1], "one", 3);
  ring_one(&r, "one is taken");
  say("  %.3s", pool[0]);
  e = sqe_at(&r, IORING_OP_RECV, s[0], NULL, 0, 0, 12);
  e->flags = IOSQE_BUFFER_SELECT;
  e->buf_group = 5;
  e->ioprio = IORING_RECV_MULTISHOT;
  submit("again and again");
  for (int i = 0; i < 4; i++) {
    write(s[1], "more", 4);
    await("received", 1);
  }
  sqe_at(&r, IORING_OP_REMOVE_BUFFERS, 4, NULL, 0, 0, 13)->buf_group = 5;
  ring_one(&r, "none is left");
  close(s[0]);
  close(s[1]);
}

static void nothing(int sig) { (void)sig; }

static void *submits(void *fd) {
  static char c;
  sqe_at(&r, IORING_OP_READ, *(int *)fd, &c, 1, 0, 50);
  ring_enter(&r, 0);
  return NULL;
}

static void ends(void) {
  int p[2];
  struct sigaction act = {.sa_handler = nothing};
  struct itimerval it = {{0, 0}, {0, 1000}};
  pipe(p);
  sigaction(SIGALRM, &act, NULL);
  setitimer(ITIMER_REAL, &it, NULL);
  ret("a signal", uring_enter(r.fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0));
  // What they have submitted is cancelled, at the latest when it is its turn.
  pthread_t t;
  pthread_create(&t, NULL, submits, &p[0]);
  pthread_join(t, NULL);
  write(p[1], "x", 1);
  ret("who submitted has ended", uring_enter(r.fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0));
  ring_show(&r);
}

int main(void) {
  ring_open(&r, 16);
  polls();
  timeouts();
  sockets();
  cancels();
  registered();
  ends();
  return 0;
}
