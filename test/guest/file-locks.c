// Record locks (POSIX and OFD), flock, descriptors: dup, close_range, fcntl commands.
#pragma GCC diagnostic ignored "-Wunused-result"
#pragma GCC diagnostic ignored "-Wnonnull"
#pragma GCC diagnostic ignored "-Wstringop-overread"
#include "guest.h"
#include <sys/file.h>

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC 4
#endif

static int lock(int fd, int cmd, int type, off_t start, off_t len) {
  struct flock fl = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
  return fcntl(fd, cmd, &fl);
}

// What a process that has no locks is told.
static void probe(const char *what, int type, off_t start, off_t len) {
  pid_t p = fork();
  if (p == 0) {
    int fd = open("f", O_RDWR);
    struct flock fl = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
    fcntl(fd, F_GETLK, &fl);
    if (fl.l_type == F_UNLCK) say("%s: free", what);
    else say("%s: %s %ld+%ld %s", what, fl.l_type == F_RDLCK ? "read" : "write", (long)fl.l_start, (long)fl.l_len,
             fl.l_pid == getppid() ? "parent" : fl.l_pid == -1 ? "ofd" : "other");
    _exit(0);
  }
  waitpid(p, NULL, 0);
}

static void records(void) {
  int fd = open("f", O_RDWR | O_CREAT, 0644);
  ftruncate(fd, 100);
  ret("write lock", lock(fd, F_SETLK, F_WRLCK, 10, 20));
  probe("before", F_WRLCK, 0, 10);
  probe("inside", F_WRLCK, 15, 1);
  probe("read inside", F_RDLCK, 29, 1);
  probe("after", F_WRLCK, 30, 0);
  ret("join", lock(fd, F_SETLK, F_WRLCK, 30, 10));
  probe("joined", F_RDLCK, 0, 0);
  ret("split", lock(fd, F_SETLK, F_UNLCK, 20, 5));
  probe("left", F_RDLCK, 0, 22);
  probe("hole", F_WRLCK, 20, 5);
  probe("right", F_RDLCK, 24, 0);
  ret("downgrade", lock(fd, F_SETLK, F_RDLCK, 30, 5));
  probe("read part", F_WRLCK, 31, 1);
  probe("read part for read", F_RDLCK, 31, 1);
  ret("to the end", lock(fd, F_SETLK, F_WRLCK, 50, 0));
  probe("far", F_RDLCK, 1L << 40, 1);
  ret("negative length", lock(fd, F_SETLK, F_WRLCK, 8, -4));
  probe("negative", F_RDLCK, 0, 6);
  ret("before zero", lock(fd, F_SETLK, F_WRLCK, 2, -4));
  ret("negative start", lock(fd, F_SETLK, F_WRLCK, -1, 4));
  ret("bad type", lock(fd, F_SETLK, 7, 0, 1));
  struct flock fl = {.l_type = F_WRLCK, .l_whence = 9};
  ret("bad whence", fcntl(fd, F_SETLK, &fl));
  ret("bad pointer", fcntl(fd, F_SETLK, BAD_PTR));
  fl.l_type = F_UNLCK, fl.l_whence = SEEK_SET;
  ret("getlk unlck", fcntl(fd, F_GETLK, &fl));
  int ro = open("f", O_RDONLY);
  ret("write lock on O_RDONLY", lock(ro, F_SETLK, F_WRLCK, 90, 1));
  int d = dup(fd);
  close(d);
  probe("closing a dup drops all", F_WRLCK, 0, 0);
  lock(fd, F_SETLK, F_WRLCK, 0, 10);
  close(ro);
  probe("closing another open drops all", F_WRLCK, 0, 0);
  close(fd);
}

static void blocking(void) {
  int fd = open("f", O_RDWR), sync_[2];
  char c;
  pipe(sync_);
  lock(fd, F_SETLK, F_WRLCK, 0, 10);
  pid_t p = fork();
  if (p == 0) {
    int own = open("f", O_RDWR);
    ret("child try", lock(own, F_SETLK, F_WRLCK, 5, 1));
    write(sync_[1], "x", 1);
    ret("child wait", lock(own, F_SETLKW, F_WRLCK, 5, 1));
    _exit(0);
  }
  read(sync_[0], &c, 1);
  sleep_ms(50);
  say("unlock");
  lock(fd, F_SETLK, F_UNLCK, 0, 10);
  wait_say("waiter", p);
  // Each holds one and wants the other's.
  lock(fd, F_SETLK, F_WRLCK, 0, 1);
  p = fork();
  if (p == 0) {
    lock(fd, F_SETLK, F_WRLCK, 1, 1);
    write(sync_[1], "x", 1);
    _exit(lock(fd, F_SETLKW, F_WRLCK, 0, 1) == 0 ? 0 : 1);
  }
  read(sync_[0], &c, 1);
  sleep_ms(100);
  ret("deadlock", lock(fd, F_SETLKW, F_WRLCK, 1, 1));
  lock(fd, F_SETLK, F_UNLCK, 0, 0);
  wait_say("other", p);
  close(fd);
}

static void on_alarm(int s) { (void)s; }

static void interrupted(void) {
  int fd = open("f", O_RDWR);
  lock(fd, F_SETLK, F_WRLCK, 0, 1);
  pid_t p = fork();
  if (p == 0) {
    struct sigaction sa = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &sa, NULL);
    int own = open("f", O_RDWR);
    ualarm(200000, 0);
    ret("interrupted wait", lock(own, F_SETLKW, F_WRLCK, 0, 1));
    int fl = open("g", O_RDWR | O_CREAT, 0600), fl2 = open("g", O_RDWR);
    flock(fl, LOCK_EX);
    ualarm(200000, 0);
    ret("interrupted flock", flock(fl2, LOCK_EX));
    _exit(0);
  }
  wait_say("interrupted", p);
  close(fd);
}

static void ofd(void) {
  int a = open("f", O_RDWR), b = open("f", O_RDWR);
  ret("ofd lock", lock(a, F_OFD_SETLK, F_WRLCK, 0, 10));
  ret("other ofd", lock(b, F_OFD_SETLK, F_WRLCK, 5, 10));
  ret("posix against ofd", lock(b, F_SETLK, F_WRLCK, 5, 10));
  probe("ofd seen", F_RDLCK, 0, 1);
  struct flock fl = {.l_type = F_WRLCK, .l_pid = 1};
  ret("pid not zero", fcntl(a, F_OFD_SETLK, &fl));
  int d = dup(a);
  close(a);
  ret("dup keeps it", lock(b, F_OFD_SETLK, F_WRLCK, 5, 10));
  close(d);
  ret("last close drops it", lock(b, F_OFD_SETLK, F_WRLCK, 5, 10));
  close(b);
}

static void flocks(void) {
  int a = open("g", O_RDWR | O_CREAT, 0644), b = open("g", O_RDONLY);
  ret("shared", flock(a, LOCK_SH));
  ret("shared too", flock(b, LOCK_SH | LOCK_NB));
  ret("exclusive refused", flock(a, LOCK_EX | LOCK_NB));
  ret("lost by conversion", flock(b, LOCK_EX | LOCK_NB));
  ret("unlock", flock(a, LOCK_UN));
  ret("exclusive", flock(b, LOCK_EX | LOCK_NB));
  ret("shared refused", flock(a, LOCK_SH | LOCK_NB));
  ret("posix does not care", lock(a, F_SETLK, F_WRLCK, 0, 0));
  ret("bad op", flock(a, 99));
  ret("bad fd", flock(99, LOCK_SH));
  pid_t p = fork();
  if (p == 0) _exit(flock(b, LOCK_UN));
  wait_say("child unlocks", p);
  ret("free now", flock(a, LOCK_EX | LOCK_NB));
  p = fork();
  if (p == 0) {
    int own = open("g", O_RDONLY);
    ret("child blocks", flock(own, LOCK_EX));
    _exit(0);
  }
  sleep_ms(50);
  say("release");
  close(a);
  // The child inherited the description, its copy has to go too: it holds the lock until it ends.
  kill(p, SIGKILL);
  wait_say("child", p);
  close(b);
}

static void descriptors(void) {
  int fd = open("f", O_RDONLY);
  ret("dup2 same", dup2(fd, fd) == fd ? 0 : -1);
  ret("dup2 same bad", dup2(99, 99));
  ret("dup3 same", dup3(fd, fd, 0));
  ret("dup3 bad flag", dup3(fd, 60, 1));
  ret("dup3 cloexec", dup3(fd, 60, O_CLOEXEC));
  ret("cloexec set", fcntl(60, F_GETFD));
  ret("dup clears", fcntl(dup2(60, 61), F_GETFD));
  ret("F_DUPFD", fcntl(fd, F_DUPFD, 60));
  ret("F_DUPFD_CLOEXEC", fcntl(fd, F_DUPFD_CLOEXEC, 60));
  ret("its flag", fcntl(63, F_GETFD));
  ret("F_DUPFD negative", fcntl(fd, F_DUPFD, -1));
  ret("dup negative", dup(-1));
  ret("close_range cloexec", close_range(60, 61, CLOSE_RANGE_CLOEXEC));
  ret("61 flag", fcntl(61, F_GETFD));
  ret("close_range", close_range(60, ~0U, 0));
  ret("gone", fcntl(61, F_GETFD));
  ret("close_range backwards", close_range(5, 4, 0));
  ret("close_range bad flag", close_range(5, 6, 99));
  ret("close", close(fd));
  ret("close again", close(fd));
  ret("bad cmd", fcntl(0, 9999, 0));
  ret("F_GETFD bad", fcntl(99, F_GETFD));
  int p[2];
  pipe(p);
  ret("F_GETPIPE_SZ", fcntl(p[0], F_GETPIPE_SZ));
  ret("F_SETPIPE_SZ", fcntl(p[0], F_SETPIPE_SZ, 5000));
  int f = open("f", O_RDWR);
  ret("pipe size of file", fcntl(f, F_GETPIPE_SZ));
  ret("F_GETOWN", fcntl(p[0], F_GETOWN));
  ret("F_SETOWN", fcntl(p[0], F_SETOWN, getpid()));
  is("F_GETOWN own", fcntl(p[0], F_GETOWN) == getpid());
  ret("F_SETSIG bad", fcntl(p[0], F_SETSIG, 99));
  ret("F_SETSIG", fcntl(p[0], F_SETSIG, SIGUSR1));
  ret("F_GETSIG", fcntl(p[0], F_GETSIG));
  ret("seals of a file", fcntl(f, F_GET_SEALS) == -1 || fcntl(f, F_GET_SEALS) == F_SEAL_SEAL ? 0 : -1);
  off_t o = lseek(f, 7, SEEK_SET);
  int g = dup(f);
  is("dup shares position", lseek(g, 0, SEEK_CUR) == o);
  ret("fsync", fsync(f));
  ret("fdatasync", fdatasync(f));
  ret("syncfs", syncfs(f));
  ret("sync_file_range", sync_file_range(f, 0, 0, 0));
  ret("sync_file_range bad", sync_file_range(f, 0, 0, 99));
  ret("fadvise", posix_fadvise(f, 0, 0, POSIX_FADV_SEQUENTIAL));
  ret("fadvise bad", posix_fadvise(f, 0, 0, 99));
  ret("fadvise pipe", posix_fadvise(p[0], 0, 0, 0));
  ret("readahead", readahead(f, 0, 10));
  is("umask", umask(077) == 022 && umask(022) == 077);
}

int main(void) {
  umask(022);
  records();
  blocking();
  interrupted();
  ofd();
  flocks();
  descriptors();
  return 0;
}
