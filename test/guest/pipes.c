// link: -w
// Pipes and FIFOs: capacity, atomicity, hang-ups, packets, blocking opens.
#include "guest.h"
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

static char big[1 << 18];

static int events(int fd, int mask) {
  struct pollfd p = {fd, mask, 0};
  poll(&p, 1, 0);
  return p.revents;
}

static void *late_writer(void *arg) {
  sleep_ms(30);
  write(*(int *)arg, "late", 4);
  return NULL;
}

static void *slow_reader(void *arg) {
  static char in[1 << 18];
  long total = 0;
  sleep_ms(20);
  while (total < (long)sizeof big) {
    long n = read(*(int *)arg, in, sizeof in);
    if (n <= 0) break;
    total += n;
  }
  return (void *)total;
}

static volatile sig_atomic_t pipes, alarms;
static void on_sigpipe(int s) { (void)s, pipes++; }
static void on_alarm(int s) { (void)s, alarms++; }

int main(void) {
  int p[2];
  struct stat st;
  ret("bad flags", pipe2(p, 0x7));
  ret("bad pointer", syscall(SYS_pipe2, BAD_PTR, 0));
  ret("pipe", pipe(p));
  is("cloexec is off", fcntl(p[0], F_GETFD) == 0);
  say("flags %o %o", fcntl(p[0], F_GETFL), fcntl(p[1], F_GETFL));
  fstat(p[0], &st);
  say("mode %o", st.st_mode);
  ret("size", fcntl(p[0], F_GETPIPE_SZ));
  ret("lseek", lseek(p[0], 0, SEEK_CUR));
  ret("pread", pread(p[0], big, 1, 0));
  ret("pwrite", pwrite(p[1], big, 1, 0));
  ret("read end is not writable", write(p[0], "x", 1));
  ret("write end is not readable", read(p[1], big, 1));
  say("poll empty %x %x", events(p[0], POLLIN | POLLOUT), events(p[1], POLLIN | POLLOUT));
  ret("write", write(p[1], "hello", 5));
  int n = 0;
  ret("fionread", ioctl(p[0], FIONREAD, &n));
  say("%d bytes", n);
  say("poll full %x", events(p[0], POLLIN | POLLOUT));
  ret("read 0", read(p[0], big, 0));
  ret("write 0", write(p[1], big, 0));
  ret("read into nowhere", read(p[0], BAD_PTR, 5));
  ret("write from nowhere", write(p[1], BAD_PTR, 5));
  ret("read 3", read(p[0], big, 3));
  ret("read rest", read(p[0], big, 100));

  // Non-blocking.
  fcntl(p[0], F_SETFL, O_NONBLOCK);
  fcntl(p[1], F_SETFL, O_NONBLOCK);
  ret("empty", read(p[0], big, 1));
  long total = 0, w;
  while ((w = write(p[1], big, 4096)) > 0) total += w;
  ret("full", w);
  say("took %ld", total);
  say("poll full %x", events(p[1], POLLOUT));
  ret("drain a page", read(p[0], big, 4096));
  say("poll with a page %x", events(p[1], POLLOUT));
  ret("atomic write too big for the room", write(p[1], big, 4097) > 0 ? 1 : -1);
  ret("grow", fcntl(p[1], F_SETPIPE_SZ, 100000));
  ret("size", fcntl(p[1], F_GETPIPE_SZ));
  ret("shrink below content", fcntl(p[1], F_SETPIPE_SZ, 4096));
  while (read(p[0], big, sizeof big) > 0) {}
  ret("shrink", fcntl(p[1], F_SETPIPE_SZ, 1));
  ret("big write takes what fits", write(p[1], big, 10000));
  while (read(p[0], big, sizeof big) > 0) {}

  // Vectors.
  struct iovec out[3] = {{"ab", 2}, {"", 0}, {"cde", 3}};
  ret("writev", writev(p[1], out, 3));
  char a[2], b[8];
  struct iovec in[2] = {{a, 2}, {b, 8}};
  ret("readv", readv(p[0], in, 2));
  say("%.2s %.3s", a, b);
  ret("too many", writev(p[1], out, 1025));
  ret("negative count", syscall(SYS_writev, p[1], out, -1L));
  struct iovec neg = {big, -1};
  ret("negative length", writev(p[1], &neg, 1));
  struct iovec half[2] = {{"xy", 2}, {BAD_PTR, 5}};
  ret("second range bad", writev(p[1], half, 2));
  ret("bad array", writev(p[1], BAD_PTR, 2));
  while (read(p[0], big, sizeof big) > 0) {}

  // Blocking and partial transfers.
  fcntl(p[0], F_SETFL, 0);
  fcntl(p[1], F_SETFL, 0);
  pthread_t th;
  pthread_create(&th, NULL, late_writer, &p[1]);
  ret("blocking read", read(p[0], big, 100));
  pthread_join(th, NULL);
  pthread_create(&th, NULL, slow_reader, &p[0]);
  ret("blocking write goes through", write(p[1], big, sizeof big));
  void *got;
  pthread_join(th, &got);
  is("reader got all", (long)got == sizeof big);

  struct sigaction sa = {.sa_handler = on_alarm};
  sigaction(SIGALRM, &sa, NULL);
  ualarm(20000, 0);
  ret("interrupted read", read(p[0], big, 1));
  ualarm(20000, 0);
  long partial = write(p[1], big, sizeof big);
  is("interrupted write is partial", partial > 0 && partial < (long)sizeof big);
  say("alarms %d", alarms);
  sa.sa_flags = SA_RESTART;
  sigaction(SIGALRM, &sa, NULL);
  while (events(p[0], POLLIN)) read(p[0], big, sizeof big);
  ualarm(10000, 0);
  pthread_create(&th, NULL, late_writer, &p[1]);
  ret("restarted read", read(p[0], big, 10));
  pthread_join(th, NULL);
  say("alarms %d", alarms);

  // Ends.
  signal(SIGPIPE, on_sigpipe);
  write(p[1], "tail", 4);
  close(p[1]);
  say("hang-up with data %x", events(p[0], POLLIN));
  ret("data first", read(p[0], big, 10));
  ret("then end", read(p[0], big, 10));
  say("hang-up %x", events(p[0], POLLIN));
  close(p[0]);
  pipe(p);
  close(p[0]);
  ret("no reader", write(p[1], "x", 1));
  say("sigpipe %d", pipes);
  say("error %x", events(p[1], POLLOUT));
  close(p[1]);

  // Packets.
  ret("packet pipe", pipe2(p, O_DIRECT | O_CLOEXEC));
  is("cloexec", fcntl(p[1], F_GETFD) == FD_CLOEXEC);
  write(p[1], "one", 3);
  write(p[1], "three", 5);
  ret("packet", read(p[0], big, 100));
  ret("cut packet", read(p[0], big, 2));
  write(p[1], big, 5000);
  ret("long packet", read(p[0], big, 10000));
  ret("its rest", read(p[0], big, 10000));
  close(p[0]);
  close(p[1]);

  // FIFOs.
  unlink("fifo");
  ret("mkfifo", mkfifo("fifo", 0600));
  ret("writer without reader", open("fifo", O_WRONLY | O_NONBLOCK));
  int r = open("fifo", O_RDONLY | O_NONBLOCK);
  ok("reader without writer", r);
  ret("no writer yet", read(r, big, 1));
  say("poll %x", events(r, POLLIN));
  int wfd = open("fifo", O_WRONLY | O_NONBLOCK);
  ok("writer", wfd);
  ret("empty", read(r, big, 1));
  write(wfd, "x", 1);
  close(wfd);
  say("poll %x", events(r, POLLIN));
  ret("read", read(r, big, 10));
  ret("end", read(r, big, 10));
  close(r);
  int both = open("fifo", O_RDWR);
  ok("read-write", both);
  write(both, "self", 4);
  ret("own data", read(both, big, 10));
  close(both);
  pid_t pid = fork();
  if (pid == 0) {
    sleep_ms(30);
    int c = open("fifo", O_WRONLY);
    write(c, "from child", 10);
    _exit(0);
  }
  r = open("fifo", O_RDONLY);
  ok("blocking open", r);
  ret("read", read(r, big, 100));
  wait_say("child", pid);
  close(r);
  sa.sa_flags = 0;
  sigaction(SIGALRM, &sa, NULL);
  ualarm(20000, 0);
  ret("interrupted open", open("fifo", O_RDONLY));
  fstat(p[0], &st);
  ret("unlink", unlink("fifo"));

  // Reopening through /proc.
  pipe(p);
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", p[0]);
  int again = open(path, O_RDONLY | O_NONBLOCK);
  ok("reopen", again);
  write(p[1], "shared", 6);
  ret("read again", read(again, big, 3));
  ret("read rest", read(p[0], big, 10));
  return 0;
}
