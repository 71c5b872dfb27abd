// The pages of a pipe: what fills up the last one, what takes one of its own (splice, tee, vmsplice, packets), and what is an edge for epoll.
#include "guest.h"
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

static char buf[1 << 18] __attribute__((aligned(4096)));
static int p[2], q[2], file;

static void fresh(int size) {
  close(p[0]), close(p[1]), close(q[0]), close(q[1]);
  pipe2(p, O_NONBLOCK), pipe2(q, O_NONBLOCK);
  if (size) fcntl(p[1], F_SETPIPE_SZ, size), fcntl(q[1], F_SETPIPE_SZ, size);
  lseek(file, 0, SEEK_SET);
}
static int held(int fd) {
  int n = -1;
  ioctl(fd, FIONREAD, &n);
  return n;
}
// How many single bytes still go in: up to the end of the last page, then as packets.
static int bytes_more(int fd) {
  int n = 0;
  fcntl(fd, F_SETFL, O_NONBLOCK | O_DIRECT);
  while (write(fd, "x", 1) == 1) n++;
  fcntl(fd, F_SETFL, O_NONBLOCK);
  return n;
}

static void sizes(void) {
  static const int all[] = {1, 1000, 1365, 1366, 2048, 2049, 3000, 4095, 4096, 4097, 5000, 8191, 8193, 20000};
  for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
    int writes = 0;
    long n, last = 0;
    fresh(32768);
    while ((n = write(p[1], buf, all[i])) > 0) writes++, last = n;
    say("%d at a time: %d writes, the last %ld, %d bytes, then %s", all[i], writes, last, held(p[0]), strerrorname_np(errno));
  }
}

static void tails(void) {
  fresh(16384);
  write(p[1], buf, 3000), write(p[1], buf, 5000);
  say("3000 and 5000: %d more", bytes_more(p[1]));
  fresh(16384);
  write(p[1], buf, 3500), write(p[1], buf, 5000);
  say("3500 and 5000: %d more", bytes_more(p[1]));
  fresh(16384);
  write(p[1], buf, 3500), read(p[0], buf, 3000), write(p[1], buf, 600);
  say("what was read stays taken: %d more", bytes_more(p[1]));
  fresh(16384);
  for (int i = 0; i < 4; i++) write(p[1], buf, 4000);
  ret("full, but for its end", write(p[1], buf, 90));
  ret("full", write(p[1], buf, 10));
  ret("a bit of more", write(p[1], buf, 4096 + 3));
  ret("shrink", fcntl(p[1], F_SETPIPE_SZ, 8192));
  read(p[0], buf, 5000);
  say("%d bytes", held(p[0]));
  ret("shrink", fcntl(p[1], F_SETPIPE_SZ, 8192));
  read(p[0], buf, 3100);
  say("%d bytes", held(p[0]));
  ret("shrink", fcntl(p[1], F_SETPIPE_SZ, 8192));
}

static void moved(void) {
  loff_t off;
  fresh(16384);
  write(p[1], buf, 10);
  ret("tee", tee(p[0], q[1], 10, 0));
  write(q[1], buf, 10), write(p[1], buf, 10);
  say("after tee: %d more, of the first %d", bytes_more(q[1]), bytes_more(p[1]));
  fresh(16384);
  write(p[1], buf, 10);
  ret("splice of all", splice(p[0], NULL, q[1], NULL, 10, 0));
  write(q[1], buf, 10);
  say("goes on: %d more", bytes_more(q[1]));
  fresh(16384);
  write(p[1], buf, 10);
  ret("splice of a part", splice(p[0], NULL, q[1], NULL, 4, 0));
  write(q[1], buf, 10), write(p[1], buf, 10);
  say("%d more, of the first %d", bytes_more(q[1]), bytes_more(p[1]));
  for (int i = 0; i < 3; i++) {
    fresh(16384), off = i == 2 ? 4000 : 100;
    ret("splice of a file", splice(file, &off, p[1], NULL, i == 0 ? 3996 : 4096, 0));
    write(p[1], buf, 1);
    say("offset %ld, %d more", (long)off, bytes_more(p[1]));
  }
  fresh(16384), off = 50;
  ret("more than fits", splice(file, &off, p[1], NULL, 100000, 0));
  fresh(0), fcntl(p[1], F_SETFL, 0);
  ret("sendfile of more than fits", sendfile(p[1], file, NULL, 200000));
  say("at %ld", (long)lseek(file, 0, SEEK_CUR));
  fcntl(p[1], F_SETFL, O_NONBLOCK);
  ret("when full", sendfile(p[1], file, NULL, 200000));
  fresh(1 << 20);
  ret("splice of much", splice(file, NULL, p[1], NULL, 200000, 0));
  fresh(16384);
  struct iovec v[3] = {{buf + 4000, 200}, {buf, 5}, {buf + 10, 5}};
  ret("vmsplice", vmsplice(p[1], v, 3, 0));
  say("%d bytes, %d more", held(p[0]), bytes_more(p[1]));
  fresh(16384), v[0].iov_len = 8192;
  ret("vmsplice", vmsplice(p[1], v, 3, 0));
  ret("when full", vmsplice(p[1], v, 3, SPLICE_F_NONBLOCK));
  fresh(16384);
  fcntl(p[1], F_SETFL, 0), fcntl(p[0], F_SETFL, 0);
  ret("one end blocks, the other does not", splice(p[0], NULL, q[1], NULL, 10, 0));
  ret("tee", tee(p[0], q[1], 10, 0));
}

static void packets(void) {
  fresh(16384);
  write(p[1], "stream", 6), fcntl(p[1], F_SETFL, O_NONBLOCK | O_DIRECT), write(p[1], "joined", 6), write(p[1], buf, 4090), write(p[1], "packet", 6);
  ret("stream", read(p[0], buf, 3));
  ret("up to a packet's end", read(p[0], buf, 8000));
  ret("packet", read(p[0], buf, 100));
  write(p[1], "one", 3), write(p[1], "two", 3), tee(p[0], q[1], 100, 0);
  ret("spliced", splice(p[0], NULL, q[1], NULL, 2, 0));
  ret("its rest", read(p[0], buf, 100));
  ret("tee of one", read(q[0], buf, 100));
  ret("tee of two", read(q[0], buf, 1));
  ret("a part of one", read(q[0], buf, 100));
}

// Whether an edge has come since the last time.
static void edge(const char *name, int ep) {
  struct epoll_event e[2] = {0};
  int n = epoll_wait(ep, e, 2, 0);
  say("%s: %d %x", name, n, n > 0 ? e[0].events : 0);
}

static void edges(void) {
  int in = epoll_create1(0), out = epoll_create1(0);
  struct epoll_event e = {EPOLLIN | EPOLLOUT | EPOLLET};
  fresh(16384);
  epoll_ctl(in, EPOLL_CTL_ADD, q[0], &e), epoll_ctl(out, EPOLL_CTL_ADD, p[1], &e);
  edge("at first", in), edge("at first", out);
  write(p[1], buf, 6000), edge("writer writes", out);
  read(p[0], buf, 5000), edge("reader reads", out);
  splice(p[0], NULL, q[1], NULL, 500, 0), edge("a part is spliced away", out), edge("and comes", in);
  splice(p[0], NULL, q[1], NULL, 500, 0), edge("a page is spliced away", out), edge("and comes", in);
  write(p[1], buf, 10), tee(p[0], q[1], 10, 0), edge("tee", out), edge("and comes", in);
  splice(file, NULL, q[1], NULL, 10, 0), edge("from a file", in);
  splice(p[0], NULL, file, NULL, 10, 0), edge("to a file", out);
  read(q[0], buf, sizeof buf), vmsplice(q[1], &(struct iovec){buf, 5}, 1, SPLICE_F_NONBLOCK), edge("vmsplice", in);
  fcntl(p[1], F_SETPIPE_SZ, 32768), edge("more room", out);
  fcntl(p[1], F_SETPIPE_SZ, 16384), edge("less room", out);
}

int main(void) {
  file = memfd_create("f", 0);
  ftruncate(file, 1 << 18);
  pipe(p), pipe(q);
  sizes(), tails(), moved(), packets(), edges();
}
