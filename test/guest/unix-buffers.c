// What messages of AF_UNIX sockets take of their sender's buffer (SIOCOUTQ), where writes stop when it is full, and where reads end
// when descriptors came along.
#include "guest.h"
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static char buf[1 << 20];

static int outq(int fd) {
  int n = -1;
  ioctl(fd, SIOCOUTQ, &n);
  return n;
}

static void costs(const char *name, int type) {
  static const int sizes[] = {0, 1, 64, 384, 385, 1000, 3776, 3777, 4096, 8000, 16064, 16065, 36544, 36545, 40000};
  for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    int s[2];
    if (socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, s) != 0) return;
    long n = write(s[0], buf, sizes[i]);
    say("%s of %d: %ld, costs %d", name, sizes[i], n, outq(s[0]));
    close(s[0]), close(s[1]);
  }
}

// Until nothing goes in any more.
static void fill(const char *name, int type, int sndbuf, int size) {
  int s[2], writes = 0;
  if (socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, s) != 0) return;
  if (sndbuf > 0) setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof sndbuf);
  long total = 0, n, last = 0;
  while ((n = write(s[0], buf, size)) > 0) total += n, last = n, writes++;
  say("%s, %d bytes at a time, SO_SNDBUF %d: %d writes, %ld bytes, the last %ld, then %s", name, size, sndbuf, writes, total, last, strerrorname_np(errno));
  int before = outq(s[0]);
  n = read(s[1], buf, 5000);
  say("queued %d, read %ld, queued %d", before, n, outq(s[0]));
  close(s[0]), close(s[1]);
}

static void rights(void) {
  char control[CMSG_SPACE(sizeof(int))] = "";
  int s[2];
  struct iovec v = {buf, 70000};
  struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  struct cmsghdr *c = CMSG_FIRSTHDR(&m);
  *c = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s) != 0) return;
  ret("70000 bytes and a descriptor", sendmsg(s[0], &m, 0));
  ret("first read", read(s[1], buf, sizeof buf));
  ret("second read", read(s[1], buf, sizeof buf));
  close(s[0]), close(s[1]);
}

int main(void) {
  costs("stream", SOCK_STREAM);
  costs("datagram", SOCK_DGRAM);
  costs("seqpacket", SOCK_SEQPACKET);
  for (int sndbuf = 0; sndbuf <= 50000; sndbuf += 25000) {
    fill("stream", SOCK_STREAM, sndbuf, 60000);
    fill("stream", SOCK_STREAM, sndbuf, 1000);
    fill("stream", SOCK_STREAM, sndbuf, 1);
    fill("datagram", SOCK_DGRAM, sndbuf, 10000);
    fill("seqpacket", SOCK_SEQPACKET, sndbuf, 20000);
  }
  rights();
}
