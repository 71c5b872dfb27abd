// Descriptors in flight: long chains of sockets in each other's queues, cycles that nobody can reach, the limit of a user.
#include "guest.h"
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

// Sends `fd` `n` times in one message.
static int pass(int over, int fd, int n) {
  char control[CMSG_SPACE(64 * sizeof(int))] = {0};
  struct iovec io = {"x", 1};
  struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(n * sizeof(int))};
  struct cmsghdr *h = CMSG_FIRSTHDR(&m);
  h->cmsg_level = SOL_SOCKET, h->cmsg_type = SCM_RIGHTS, h->cmsg_len = CMSG_LEN(n * sizeof(int));
  for (int i = 0; i < n; i++) memcpy(CMSG_DATA(h) + i * sizeof(int), &fd, sizeof(int));
  return sendmsg(over, &m, MSG_DONTWAIT) == 1 ? 0 : -errno;
}

// A pipe whose only write end lies innermost: its end of file says that all of it has been freed.
static int ended(int fd) {
  struct pollfd p = {.fd = fd, .events = POLLIN};
  char c;
  return poll(&p, 1, 20000) == 1 && read(fd, &c, 1) == 0;
}

static void chain(int length) {
  int end[2], inner, failed = 0;
  pipe(end);
  inner = end[1];
  for (int i = 0; i < length; i++) {
    int s[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    failed += pass(s[0], inner, 1) != 0;
    close(inner), close(s[0]);
    inner = s[1];
  }
  say("chain of %d: %d not sent", length, failed);
  close(inner);
  is("all freed", ended(end[0]));
  close(end[0]);
}

static void cycle(int type) {
  int end[2], s[2], other[2];
  pipe(end);
  socketpair(AF_UNIX, type, 0, s);
  pass(s[0], s[0], 1), pass(s[0], end[1], 1), pass(s[1], s[1], 60);
  close(end[1]), close(s[0]), close(s[1]);
  // What comes next of that kind looks for garbage.
  socketpair(AF_UNIX, SOCK_STREAM, 0, other);
  close(other[0]), close(other[1]);
  is("cycle freed", ended(end[0]));
  close(end[0]);
}

// A socket that lies in its own queue only: what is in there has not been left unread.
static void in_itself(int type) {
  int s[2], error = -1;
  socklen_t len = sizeof error;
  socketpair(AF_UNIX, type, 0, s);
  pass(s[0], s[1], 1), close(s[1]);
  // What comes next of that kind looks for garbage.
  int other[2];
  socketpair(AF_UNIX, SOCK_STREAM, 0, other), close(other[0]), close(other[1]);
  struct pollfd p = {s[0], 0, 0};
  for (int i = 0; i < 10000 && !(p.revents & POLLHUP); i++) poll(&p, 1, 1); // Linux collects when it has time.
  getsockopt(s[0], SOL_SOCKET, SO_ERROR, &error, &len);
  say("its peer: %x, error %d", p.revents, error);
  close(s[0]);
}

static void limit(void) {
  if (fork() == 0) {
    struct rlimit l = {100, 100};
    setrlimit(RLIMIT_NOFILE, &l);
    setresuid(54321, 54321, 54321);
    int s[2], r = 0, n = 0;
    socketpair(AF_UNIX, SOCK_DGRAM, 0, s);
    while (n < 10 && (r = pass(s[0], s[0], 60)) == 0) n++;
    say("messages of 60 with a limit of 100: %d, then %s", n, strerrorname_np(-r));
    exit(0);
  }
  wait(NULL);
}

int main(void) {
  struct rlimit l = {4096, 4096};
  setrlimit(RLIMIT_NOFILE, &l);
  chain(10);
  chain(3000);
  cycle(SOCK_STREAM);
  cycle(SOCK_SEQPACKET);
  in_itself(SOCK_STREAM), in_itself(SOCK_SEQPACKET);
  limit();
  return 0;
}
