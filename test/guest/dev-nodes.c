// Memory devices and links in /dev.
#include "guest.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

static unsigned char buf[70000];

static int all(unsigned char c, int n) {
  for (int i = 0; i < n; i++)
    if (buf[i] != c) return 0;
  return 1;
}

static void device(const char *path, int ma, int mi) {
  struct stat st;
  say("== %s", path);
  ret("stat", stat(path, &st));
  is("number", S_ISCHR(st.st_mode) && major(st.st_rdev) == ma && minor(st.st_rdev) == mi);
  int fd = open(path, O_RDWR);
  ok("open", fd);
  memset(buf, 1, sizeof buf);
  long n = read(fd, buf, sizeof buf);
  say("read %ld zeros %d ones %d", n, all(0, sizeof buf), all(1, sizeof buf));
  ret("read 0", read(fd, buf, 0));
  ret("write", write(fd, "hello", 5));
  ret("pread", pread(fd, buf, 10, 1000) >= 0 ? 0 : -1);
  ret("pwrite", pwrite(fd, "hello", 5, 1000));
  ret("lseek", lseek(fd, 100, SEEK_SET));
  ret("ftruncate", ftruncate(fd, 10));
  ret("fsync", fsync(fd));
  ret("ioctl", ioctl(fd, TCGETS, buf));
  struct pollfd p = {fd, POLLIN | POLLOUT, 0};
  ret("poll", poll(&p, 1, 0));
  say("revents %x", p.revents);
  int ep = epoll_create1(0);
  struct epoll_event ev = {.events = EPOLLIN};
  ret("epoll_ctl", epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
  void *m = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  if (m == MAP_FAILED) {
    ret("mmap", -1);
  } else {
    memcpy(buf, m, 8192);
    say("mmap zeros %d", all(0, 8192));
    memset(m, 5, 8192);
    munmap(m, 8192);
  }
  close(ep);
  close(fd);
}

int main(void) {
  device("/dev/null", 1, 3);
  device("/dev/zero", 1, 5);
  device("/dev/full", 1, 7);
  say("== random");
  const char *random[] = {"/dev/random", "/dev/urandom"};
  for (int i = 0; i < 2; i++) {
    int fd = open(random[i], O_RDWR), bits = 0;
    ok("open", fd);
    memset(buf, 0, 64);
    ret("read", read(fd, buf, 64));
    is("not zero", !all(0, 64));
    ret("write", write(fd, "seed", 4));
    ret("RNDGETENTCNT", ioctl(fd, 0x80045200, &bits));
    is("entropy", bits > 0);
    ret("unknown ioctl", ioctl(fd, 0x5299, 0));
    close(fd);
  }
  say("== shared mapping of /dev/zero");
  int fd = open("/dev/zero", O_RDWR);
  char *m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  is("mmap", m != MAP_FAILED);
  if (fork() == 0) {
    m[0] = 42;
    _exit(0);
  }
  wait(NULL);
  say("child wrote %d", m[0]);
  say("== links");
  char link[100];
  const char *links[] = {"/dev/fd", "/dev/stdin", "/dev/stdout", "/dev/stderr"};
  for (int i = 0; i < 4; i++) {
    long n = readlink(links[i], link, sizeof link);
    say("%s -> %.*s", links[i], (int)n, link);
  }
  int p[2];
  ret("pipe", pipe(p));
  write(p[1], "through", 7);
  snprintf(link, sizeof link, "/dev/fd/%d", p[0]);
  int again = open(link, O_RDONLY | O_NONBLOCK);
  ok("open a pipe again", again);
  long n = read(again, buf, 100);
  say("%.*s", (int)n, buf);
  struct stat st;
  ret("stat /dev/shm", stat("/dev/shm", &st));
  say("%o", st.st_mode & 07777);
  int shm = open("/dev/shm/guest-test", O_CREAT | O_RDWR | O_TRUNC, 0600);
  ok("file in /dev/shm", shm);
  ret("unlink", unlink("/dev/shm/guest-test"));
  return 0;
}
