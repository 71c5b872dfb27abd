// link: -w
// sendfile, splice, tee, vmsplice, copy_file_range.
#include "guest.h"
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

static char buf[1 << 20];

static void show(const char *name, int fd) {
  long n = pread(fd, buf, 100, 0);
  say("%s: %ld \"%.*s\" at %ld", name, n, (int)n, buf, (long)lseek(fd, 0, SEEK_CUR));
}

static void *drain(void *arg) {
  static char in[100000];
  long total = 0, n;
  sleep_ms(20);
  while ((n = read(*(int *)arg, in, sizeof in)) > 0) total += n;
  return (void *)total;
}

// vmsplice(2) out of a pipe goes by pages: what is left of a packet stays, and a page that has no place whole.
static void to_memory(void) {
  int p[2], n;
  char *two = mmap(0, 2 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap(two + 4096, 4096);
  struct iovec v = {two, 10};
  pipe2(p, O_DIRECT | O_NONBLOCK);
  write(p[1], "a packet of some bytes", 22), write(p[1], "another", 7);
  ret("part of a packet", vmsplice(p[0], &v, 1, SPLICE_F_NONBLOCK));
  ret("in the pipe", ioctl(p[0], FIONREAD, &n) == 0 ? n : -1);
  v.iov_len = 100;
  ret("the rest and the next", vmsplice(p[0], &v, 1, SPLICE_F_NONBLOCK));
  say("\"%.19s\"", two);
  ret("nothing", vmsplice(p[0], &v, 1, SPLICE_F_NONBLOCK));
  write(p[1], buf, 6000);
  v = (struct iovec){two + 10, 6000};
  ret("no place for a page", vmsplice(p[0], &v, 1, SPLICE_F_NONBLOCK));
  v = (struct iovec){two, 6000};
  ret("place for one", vmsplice(p[0], &v, 1, SPLICE_F_NONBLOCK));
  ret("in the pipe", ioctl(p[0], FIONREAD, &n) == 0 ? n : -1);
  close(p[1]);
  v.iov_len = 4096;
  ret("the last", vmsplice(p[0], &v, 1, 0));
  ret("the end", vmsplice(p[0], &v, 1, 0));
  ret("32 bits of the count", syscall(SYS_vmsplice, p[0], &v, 1L << 32 | 1, 0));
  close(p[0]);
}

int main(void) {
  say("-- to memory"), to_memory();
  int a = open("a", O_CREAT | O_TRUNC | O_RDWR, 0600), b = open("b", O_CREAT | O_TRUNC | O_RDWR, 0600);
  int ap = open("b", O_WRONLY | O_APPEND), wo = open("b", O_WRONLY), dir = open(".", O_RDONLY);
  int p[2], q[2], s[2];
  pipe(p), pipe(q);
  socketpair(AF_UNIX, SOCK_STREAM, 0, s);
  write(a, "0123456789", 10);
  off_t o = 2, w = 1;

  say("-- sendfile");
  ret("with offset", sendfile(b, a, &o, 3));
  say("offset %ld", (long)o);
  show("b", b);
  lseek(a, 5, SEEK_SET);
  ret("position", sendfile(b, a, NULL, 100));
  say("at %ld", (long)lseek(a, 0, SEEK_CUR));
  ret("end", sendfile(b, a, NULL, 100));
  ret("zero", sendfile(b, a, NULL, 0));
  show("b", b);
  o = -1;
  ret("negative", sendfile(b, a, &o, 1));
  ret("bad pointer", sendfile(b, a, BAD_PTR, 1));
  ret("not readable", sendfile(b, wo, NULL, 1));
  ret("bad fd", sendfile(99, a, NULL, 1));
  ret("append", sendfile(ap, a, NULL, 1));
  ret("from pipe", sendfile(b, p[0], NULL, 1));
  o = 0;
  ret("from pipe with offset", sendfile(b, p[0], &o, 1));
  ret("from directory", sendfile(b, dir, NULL, 1));
  ret("to pipe", sendfile(p[1], a, &o, 10));
  ret("read", read(p[0], buf, 100));
  o = 0;
  ret("to socket", sendfile(s[0], a, &o, 10));
  ret("read", read(s[1], buf, 100));
  ftruncate(a, sizeof buf);
  pthread_t t;
  void *got;
  pthread_create(&t, NULL, drain, &s[1]);
  o = 0;
  long sent = sendfile(s[0], a, &o, sizeof buf);
  is("blocking", sent == sizeof buf && o == sizeof buf);
  shutdown(s[0], SHUT_WR);
  pthread_join(t, &got);
  is("arrived", (long)got == sizeof buf);
  fcntl(p[1], F_SETFL, O_NONBLOCK);
  o = 0;
  ret("non-blocking", sendfile(p[1], a, &o, sizeof buf));
  say("offset %ld", (long)o);
  ret("full", sendfile(p[1], a, &o, 10));
  while (poll(&(struct pollfd){p[0], POLLIN, 0}, 1, 0) > 0) read(p[0], buf, sizeof buf);
  fcntl(p[1], F_SETFL, 0);
  ftruncate(a, 10);

  say("-- splice");
  o = 1;
  ret("file to pipe", splice(a, &o, p[1], NULL, 4, 0));
  say("offset %ld", (long)o);
  w = 0;
  ret("pipe to file", splice(p[0], NULL, b, &w, 100, 0));
  show("b", b);
  ret("empty non-blocking", splice(p[0], NULL, b, NULL, 100, SPLICE_F_NONBLOCK));
  ret("no pipe", splice(a, NULL, b, NULL, 1, 0));
  ret("pipe with offset", splice(p[0], &o, b, NULL, 1, 0));
  ret("same pipe", splice(p[0], NULL, p[1], NULL, 1, 0));
  ret("append", splice(p[0], NULL, ap, NULL, 1, SPLICE_F_NONBLOCK));
  ret("bad flags", splice(p[0], NULL, b, NULL, 1, 0x100));
  ret("zero", splice(a, NULL, b, NULL, 0, 0));
  ret("wrong ends", splice(p[1], NULL, p[0], NULL, 1, 0));
  write(p[1], "abcdef", 6);
  ret("pipe to pipe", splice(p[0], NULL, q[1], NULL, 4, 0));
  ret("read", read(q[0], buf, 100));
  ret("rest", read(p[0], buf, 100));
  if (fork() == 0) {
    sleep_ms(20);
    write(p[1], "late", 4);
    _exit(0);
  }
  ret("blocking", splice(p[0], NULL, q[1], NULL, 100, 0));
  wait(NULL);
  read(q[0], buf, 100);

  say("-- tee");
  write(p[1], "twice", 5);
  ret("tee", tee(p[0], q[1], 3, 0));
  ret("copy", read(q[0], buf, 100));
  ret("original", read(p[0], buf, 100));
  ret("empty", tee(p[0], q[1], 3, SPLICE_F_NONBLOCK));
  ret("not a pipe", tee(a, q[1], 3, 0));
  ret("same", tee(p[0], p[1], 3, 0));
  ret("zero", tee(p[0], q[1], 0, 0));

  say("-- vmsplice");
  struct iovec iov[2] = {{"one", 3}, {"two", 3}};
  ret("in", vmsplice(p[1], iov, 2, 0));
  char x[4], y[10];
  struct iovec out[2] = {{x, 4}, {y, 10}};
  ret("out", vmsplice(p[0], out, 2, 0));
  ret("file", vmsplice(a, iov, 1, 0));
  ret("bad", vmsplice(p[1], BAD_PTR, 1, 0));

  say("-- files of /proc, and a file to itself");
  static const char *const files[] = {"/proc/self/mounts", "/proc/self/mountinfo", "/proc/self/mountstats", "/proc/self/status", "/proc/sys/kernel/hostname"};
  for (int i = 0; i < 5; i++) {
    int proc = open(files[i], O_RDONLY);
    ok(files[i], sendfile(b, proc, NULL, 5));
    ok("splice", splice(proc, NULL, p[1], NULL, 5, SPLICE_F_NONBLOCK));
    while (poll(&(struct pollfd){p[0], POLLIN, 0}, 1, 0) > 0) read(p[0], buf, sizeof buf);
    close(proc);
  }
  lseek(a, 0, SEEK_SET);
  ret("to itself", sendfile(a, a, NULL, 4));
  say("at %ld", (long)lseek(a, 0, SEEK_CUR));
  fcntl(p[1], F_SETFL, O_NONBLOCK);
  while (write(p[1], buf, 4096) > 0) {}
  ret("from a pipe to a full one", sendfile(p[1], q[0], NULL, 4));
  read(p[0], buf, 8192);
  ret("from a pipe to one with room", sendfile(p[1], q[0], NULL, 4));

  say("-- sendfile of nothing");
  int full[2], alone[2];
  pipe2(full, O_NONBLOCK), pipe(alone), close(alone[0]);
  while (write(full[1], buf, 4096) > 0) {}
  signal(SIGPIPE, SIG_IGN);
  const struct { const char *name; int fd; } from[] = {{"file", a}, {"directory", dir}, {"null", open("/dev/null", O_RDWR)},
      {"eventfd", eventfd(5, 0)}, {"pipe", q[0]}, {"socket", s[0]}, {"memory", open("/proc/self/mem", O_RDONLY)},
      {"list of descriptors", open("/proc/self/fd", O_RDONLY)}, {"status", open("/proc/self/status", O_RDONLY)}};
  for (unsigned i = 0; i < sizeof from / sizeof *from; i++) {
    int f = from[i].fd;
    say("%s: %s %s, to a pipe %s, a full one %s, one without reader %s", from[i].name, err(sendfile(b, f, NULL, 0)),
        err(sendfile(from[2].fd, f, NULL, 0)), err(sendfile(q[1], f, NULL, 0)), err(sendfile(full[1], f, NULL, 0)),
        err(sendfile(alone[1], f, NULL, 0)));
  }
  ret("to an appending file", sendfile(ap, a, NULL, 0));
  struct timespec old[2] = {{1000000000, 0}, {1000000000, 0}};
  struct stat st;
  for (int n = 0; n < 2; n++) {
    futimens(dir, old), fcntl(dir, F_SETFL, n == 0 ? O_NOATIME : 0);
    ret("a directory", sendfile(b, dir, NULL, 1));
    fstat(dir, &st), is("is accessed", (st.st_atime == 1000000000) == (n == 0));
  }

  say("-- copy_file_range");
  ftruncate(b, 0);
  lseek(a, 0, SEEK_SET), lseek(b, 0, SEEK_SET);
  pwrite(a, "0123456789", 10, 0);
  ret("positions", copy_file_range(a, NULL, b, NULL, 4, 0));
  show("b", b);
  o = 6, w = 2;
  ret("offsets", copy_file_range(a, &o, b, &w, 100, 0));
  say("%ld %ld", (long)o, (long)w);
  show("b", b);
  ret("end", copy_file_range(a, &o, b, &w, 100, 0));
  ret("flags", copy_file_range(a, NULL, b, NULL, 4, 1));
  ret("overlap", copy_file_range(a, NULL, a, NULL, 4, 0));
  ret("directory", copy_file_range(dir, NULL, b, NULL, 4, 0));
  ret("pipe", copy_file_range(p[0], NULL, b, NULL, 4, 0));
  ret("append", copy_file_range(a, NULL, ap, NULL, 4, 0));
  ret("not readable", copy_file_range(wo, NULL, a, NULL, 4, 0));
  o = 0, w = 20;
  ret("within", copy_file_range(a, &o, a, &w, 5, 0));
  return 0;
}
