// memfd_create with seals, process_vm_readv and writev.
// Bad pointers are the point of it.
#pragma GCC diagnostic ignored "-Wstringop-overflow"
#pragma GCC diagnostic ignored "-Wstringop-overread"
#pragma GCC diagnostic ignored "-Wnonnull"
#include "guest.h"
#include <sys/uio.h>

#define PG 4096L
static void seals(void) {
  int fd = memfd_create("name", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  ok("memfd_create", fd);
  ret("cloexec", fcntl(fd, F_GETFD));
  char link[100] = {0}, path[40];
  sprintf(path, "/proc/self/fd/%d", fd);
  readlink(path, link, 99);
  say("link %s", link);
  struct stat st;
  fstat(fd, &st);
  say("mode %o nlink %d size %ld", st.st_mode, (int)st.st_nlink, (long)st.st_size);
  ret("truncate", ftruncate(fd, 2 * PG));
  char *p = mmap(0, 2 * PG, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  p[PG] = 'x';
  char c = 0;
  ret("pread", pread(fd, &c, 1, PG));
  say("%c", c);
  ret("write seal while mapped", fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
  ret("size seals", fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW));
  ret("shrink", ftruncate(fd, PG));
  ret("grow", ftruncate(fd, 3 * PG));
  ret("write beyond", pwrite(fd, "abc", 3, 2 * PG));
  ret("write inside", pwrite(fd, "abc", 3, 0));
  munmap(p, 2 * PG);
  ret("write seal", fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
  ret("write", pwrite(fd, "abc", 3, 0));
  ret("writable mapping", (long)mmap(0, PG, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
  p = mmap(0, PG, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  is("private mapping", p != MAP_FAILED && p[0] == 'a');
  ret("seals", fcntl(fd, F_GET_SEALS));
  ret("seal seal", fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL));
  ret("no more", fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE));
  fd = memfd_create("plain", 0);
  ret("not sealable", fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
  ret("its seals", fcntl(fd, F_GET_SEALS));
  ret("bad flags", memfd_create("x", 0x800));
  char long_name[260];
  memset(long_name, 'a', sizeof long_name);
  long_name[250] = 0;
  ret("name too long", memfd_create(long_name, 0));
  long_name[249] = 0;
  ok("longest name", memfd_create(long_name, 0));
  ret("name fault", memfd_create(BAD_PTR, 0));
}

static void shared(void) {
  int fd = memfd_create("shared", 0);
  ftruncate(fd, PG);
  int *p = mmap(0, PG, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  pid_t c = fork();
  if (c == 0) {
    int *q = mmap(0, PG, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    q[3] = 33;
    _exit(0);
  }
  wait_say("child", c);
  say("%d", p[3]);
}

static void exec_memfd(void) {
  int fd = memfd_create("script", 0);
  dprintf(fd, "#!/bin/sh\nexit 9\n");
  fflush(stdout);
  pid_t c = fork();
  if (c == 0) {
    char *argv[] = {"x", 0};
    fexecve(fd, argv, argv + 1);
    _exit(1);
  }
  wait_say("fexecve", c);
}

static void process_vm(void) {
  char *p = mmap(0, 4 * PG, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memset(p, 'o', 4 * PG);
  int pipefd[2];
  pipe(pipefd);
  pid_t c = fork();
  if (c == 0) {
    memset(p, 'c', 4 * PG);
    munmap(p + 3 * PG, PG);
    write(pipefd[1], "x", 1);
    pause();
  }
  char b[3 * PG];
  read(pipefd[0], b, 1);
  struct iovec l = {b, sizeof b}, r[2] = {{p, 10}, {p + PG, 2 * PG}};
  ret("readv", process_vm_readv(c, &l, 1, r, 2, 0));
  say("%c%c", b[0], b[PG]);
  r[0].iov_base = p + 2 * PG, r[0].iov_len = 2 * PG;
  ret("readv into hole", process_vm_readv(c, &l, 1, r, 1, 0));
  r[0].iov_base = p + 3 * PG, r[0].iov_len = 10;
  ret("readv of hole", process_vm_readv(c, &l, 1, r, 1, 0));
  r[0].iov_base = p, r[0].iov_len = 5;
  memcpy(b, "hello", 5);
  l.iov_len = 5;
  ret("writev", process_vm_writev(c, &l, 1, r, 1, 0));
  memset(b, 0, 10);
  ret("read back", process_vm_readv(c, &l, 1, r, 1, 0));
  say("%s, mine %c", b, p[0]);
  ret("flags", process_vm_readv(c, &l, 1, r, 1, 1));
  ret("no process", process_vm_readv(4000000, &l, 1, r, 1, 0));
  ret("bad iov", process_vm_readv(c, BAD_PTR, 1, r, 1, 0));
  kill(c, SIGKILL);
  wait_say("child", c);
}

int main(void) {
  say("# seals"), seals();
  say("# shared"), shared();
  say("# exec"), exec_memfd();
  say("# process_vm"), process_vm();
  return 0;
}
