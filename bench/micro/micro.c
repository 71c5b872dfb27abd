// micro CASE: runs one micro benchmark and prints the median cost of one operation in ns. Each case is measured
// in its own process, in batches, so that a noisy neighbour spoils a batch and not the result.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now_ns(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return ts.tv_sec * 1e9 + ts.tv_nsec;
}

static void die(const char *what) {
  perror(what);
  exit(1);
}

static int fd, fds[2], back[2];
static char buf[65536];
static const char *dir = "/tmp";
static char path[256], path2[256];
static volatile int handled;
static char **self;

static void open_file(size_t size) {
  snprintf(path, sizeof path, "%s/micro-%d", dir, getpid());
  fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
  if (fd < 0) die(path);
  for (size_t n = 0; n < size; n += sizeof buf)
    if (write(fd, buf, size - n < sizeof buf ? size - n : sizeof buf) < 0) die("write");
}

static void b_getppid(void) { syscall(SYS_getppid); }

static void s_file(void) { open_file(65536); }
#define RW(NAME, SIZE)                                                                                                 \
  static void b_pread_##NAME(void) {                                                                                   \
    if (pread(fd, buf, SIZE, 0) != SIZE) die("pread");                                                                 \
  }                                                                                                                    \
  static void b_pwrite_##NAME(void) {                                                                                  \
    if (pwrite(fd, buf, SIZE, 0) != SIZE) die("pwrite");                                                               \
  }
RW(1, 1)
RW(4k, 4096)
RW(64k, 65536)
static void b_read_1(void) {
  if (read(fd, buf, 1) != 1) {
    lseek(fd, 0, SEEK_SET);
  }
}
static void s_null(void) {
  fd = open("/dev/null", O_WRONLY);
  if (fd < 0) die("/dev/null");
}
static void b_write_1(void) {
  if (write(fd, buf, 1) != 1) die("write");
}
static void b_stat(void) {
  struct stat st;
  if (stat(path, &st) < 0) die("stat");
}
static void b_open_close(void) {
  int f = open(path, O_RDONLY);
  if (f < 0) die("open");
  close(f);
}
static void b_create_unlink(void) {
  snprintf(path2, sizeof path2, "%s/micro-c-%d", dir, getpid());
  int f = open(path2, O_CREAT | O_EXCL | O_WRONLY, 0600);
  if (f < 0) die("create");
  close(f);
  unlink(path2);
}
static void s_readdir(void) {
  snprintf(path, sizeof path, "%s/micro-d-%d", dir, getpid());
  mkdir(path, 0700);
  for (int i = 0; i < 100; i++) {
    snprintf(path2, sizeof path2, "%s/f%d", path, i);
    int f = open(path2, O_CREAT | O_WRONLY, 0600);
    if (f < 0) die("create");
    close(f);
  }
}
static void b_readdir(void) {
  DIR *d = opendir(path);
  if (!d) die("opendir");
  int n = 0;
  while (readdir(d)) n++;
  closedir(d);
  if (n != 102) die("readdir count");
}
static void e_readdir(void) {
  for (int i = 0; i < 100; i++) {
    snprintf(path2, sizeof path2, "%s/f%d", path, i);
    unlink(path2);
  }
  rmdir(path);
}
static void s_pipe(void) {
  if (pipe(fds) < 0) die("pipe");
}
static void b_pipe(void) {
  if (write(fds[1], buf, 1) != 1 || read(fds[0], buf, 1) != 1) die("pipe rw");
}
static void s_socketpair(void) {
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0) die("socketpair");
}
static int ep;
static void s_epoll(void) {
  s_pipe();
  if (write(fds[1], buf, 1) != 1) die("write");
  ep = epoll_create1(0);
  struct epoll_event ev = {.events = EPOLLIN};
  if (epoll_ctl(ep, EPOLL_CTL_ADD, fds[0], &ev) < 0) die("epoll_ctl");
}
static void b_epoll(void) {
  struct epoll_event ev;
  if (epoll_wait(ep, &ev, 1, 0) != 1) die("epoll_wait");
}
static void on_signal(int s) {
  (void)s;
  handled++;
}
static void s_signal(void) { signal(SIGUSR1, on_signal); }
static void b_signal(void) { syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGUSR1); }
static void b_mmap(void) {
  char *p = mmap(NULL, 1 << 18, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) die("mmap");
  for (int i = 0; i < 1 << 18; i += 4096) p[i] = 1;
  munmap(p, 1 << 18);
}
static char *fault_area;
static size_t fault_at;
#define FAULT_SIZE (256u << 20)
static void b_fault(void) {
  if (fault_area == NULL || fault_at >= FAULT_SIZE) {
    if (fault_area) munmap(fault_area, FAULT_SIZE);
    fault_area = mmap(NULL, FAULT_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (fault_area == MAP_FAILED) die("mmap");
    madvise(fault_area, FAULT_SIZE, MADV_NOHUGEPAGE);
    fault_at = 0;
  }
  fault_area[fault_at] = 1;
  fault_at += 4096;
}
static void *nothing(void *p) { return p; }
static void b_thread(void) {
  pthread_t t;
  if (pthread_create(&t, NULL, nothing, NULL)) die("pthread_create");
  pthread_join(t, NULL);
}
static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cv = PTHREAD_COND_INITIALIZER;
static int turn;
static void *cond_peer(void *p) {
  pthread_mutex_lock(&mu);
  for (;;) {
    while (turn != 1) pthread_cond_wait(&cv, &mu);
    turn = 0;
    pthread_cond_broadcast(&cv);
  }
  return p;
}
static void s_condvar(void) {
  pthread_t t;
  if (pthread_create(&t, NULL, cond_peer, NULL)) die("pthread_create");
}
static void b_condvar(void) {
  pthread_mutex_lock(&mu);
  turn = 1;
  pthread_cond_broadcast(&cv);
  while (turn != 0) pthread_cond_wait(&cv, &mu);
  pthread_mutex_unlock(&mu);
}
static void b_fork(void) {
  pid_t p = fork();
  if (p < 0) die("fork");
  if (p == 0) _exit(0);
  waitpid(p, NULL, 0);
}
static void b_exec(void) {
  pid_t p = fork();
  if (p < 0) die("fork");
  if (p == 0) {
    execl(self[0], self[0], "nothing", NULL);
    _exit(1);
  }
  int st;
  waitpid(p, &st, 0);
  if (st != 0) die("exec");
}
static pid_t peer;
static void s_pingpong(void) {
  if (pipe(fds) < 0 || pipe(back) < 0) die("pipe");
  peer = fork();
  if (peer == 0) {
    close(fds[1]);
    while (read(fds[0], buf, 1) == 1)
      if (write(back[1], buf, 1) != 1) break;
    _exit(0);
  }
}
static void b_pingpong(void) {
  if (write(fds[1], buf, 1) != 1 || read(back[0], buf, 1) != 1) die("pingpong");
}
static void e_pingpong(void) {
  kill(peer, SIGKILL);
  waitpid(peer, NULL, 0);
}
static void e_file(void) { unlink(path); }

struct bench {
  const char *name;
  void (*setup)(void), (*op)(void), (*end)(void);
};
static const struct bench benches[] = {
    {"getppid", NULL, b_getppid, NULL},
    {"read-1", s_file, b_read_1, e_file},
    {"write-1", s_null, b_write_1, NULL},
    {"pread-1", s_file, b_pread_1, e_file},
    {"pread-4k", s_file, b_pread_4k, e_file},
    {"pread-64k", s_file, b_pread_64k, e_file},
    {"pwrite-1", s_file, b_pwrite_1, e_file},
    {"pwrite-4k", s_file, b_pwrite_4k, e_file},
    {"pwrite-64k", s_file, b_pwrite_64k, e_file},
    {"stat", s_file, b_stat, e_file},
    {"open-close", s_file, b_open_close, e_file},
    {"create-unlink", NULL, b_create_unlink, NULL},
    {"readdir-100", s_readdir, b_readdir, e_readdir},
    {"pipe", s_pipe, b_pipe, NULL},
    {"socketpair", s_socketpair, b_pipe, NULL},
    {"epoll", s_epoll, b_epoll, NULL},
    {"signal", s_signal, b_signal, NULL},
    {"mmap-touch-munmap", NULL, b_mmap, NULL},
    {"fault", NULL, b_fault, NULL},
    {"thread", NULL, b_thread, NULL},
    {"condvar", s_condvar, b_condvar, NULL},
    {"fork-wait", NULL, b_fork, NULL},
    {"fork-exec", NULL, b_exec, NULL},
    {"pipe-pingpong", s_pingpong, b_pingpong, e_pingpong},
};

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

int main(int argc, char **argv) {
  self = argv;
  if (argc < 2) {
    for (size_t i = 0; i < sizeof benches / sizeof *benches; i++) puts(benches[i].name);
    return 0;
  }
  if (!strcmp(argv[1], "nothing")) return 0;
  double budget = (argc > 2 ? atof(argv[2]) : 1.0) * 1e9;
  for (size_t i = 0; i < sizeof benches / sizeof *benches; i++) {
    const struct bench *b = &benches[i];
    if (strcmp(b->name, argv[1])) continue;
    if (b->setup) b->setup();
    // Warms up for as long as it measures; then a batch takes about a 25th of the budget, at the speed that was reached. The size
    // of batches must not be left to the first calls: a column that is slow in the beginning would be measured there.
    long n = 1;
    for (double begin = now_ns(); now_ns() - begin < budget;) {
      double t = now_ns();
      for (long k = 0; k < n; k++) b->op();
      double rate = n / (now_ns() - t);
      n = rate * budget / 25 < 1 ? 1 : rate * budget / 25 > n * 8.0 ? n * 8 : (long)(rate * budget / 25);
    }
    double batch[25], start = now_ns();
    int count = 0;
    while (count < 25 && (count < 3 || now_ns() - start < budget)) {
      double t = now_ns();
      for (long k = 0; k < n; k++) b->op();
      batch[count++] = (now_ns() - t) / n;
    }
    qsort(batch, count, sizeof *batch, by_value);
    printf("%.1f\n", batch[count / 2]);
    if (b->end) b->end();
    return 0;
  }
  fprintf(stderr, "micro: no case %s\n", argv[1]);
  return 2;
}
