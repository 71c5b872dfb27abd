// RWF_NOSIGNAL of pwritev2(2) (Linux 6.18): a broken pipe without SIGPIPE; and what memfd_create(2) refuses of MFD_HUGETLB.
#include "guest.h"
#include <sys/socket.h>
#include <sys/uio.h>

#ifndef RWF_NOSIGNAL
#define RWF_NOSIGNAL 0x100
#endif

static volatile sig_atomic_t signals;
static void count(int s) { signals += s == SIGPIPE; }

static void writes(const char *what, int fd, int flags) {
  struct iovec v[2] = {{"abc", 3}, {"def", 3}};
  signals = 0;
  ret(what, pwritev2(fd, v, 2, -1, flags));
  say("  %d signals", (int)signals);
}

static void broken(void) {
  int p[2], s[2];
  if (pipe(p) || socketpair(AF_UNIX, SOCK_STREAM, 0, s)) return;
  writes("pipe", p[1], RWF_NOSIGNAL);
  writes("socket", s[1], RWF_NOSIGNAL);
  char b[10];
  struct iovec v = {b, 6};
  ret("read of a pipe", preadv2(p[0], &v, 1, -1, RWF_NOSIGNAL));
  close(p[0]), close(s[0]);
  writes("broken pipe", p[1], 0);
  writes("broken pipe without", p[1], RWF_NOSIGNAL);
  writes("broken pipe, not waiting", p[1], RWF_NOSIGNAL | RWF_NOWAIT);
  writes("broken socket", s[1], 0);
  writes("broken socket without", s[1], RWF_NOSIGNAL);
  writes("next flag", p[1], 0x200);
  close(p[1]), close(s[1]);
}

// The reader goes while the writer waits for room.
static void waiting(void) {
  int p[2], go[2];
  static char full[200000];
  if (pipe(p) || pipe(go)) return;
  pid_t writer = fork();
  if (writer == 0) {
    close(p[0]), close(go[0]);
    signals = 0;
    struct iovec v = {full, sizeof full};
    ret("waiting", pwritev2(p[1], &v, 1, -1, RWF_NOSIGNAL));
    say("  %d signals", (int)signals);
    _exit(0);
  }
  close(p[1]);
  until_state(writer, 'S');
  close(p[0]);
  wait_say("writer", writer);
}

static void files(void) {
  int fd = open("f", O_CREAT | O_RDWR, 0600), dir = open(".", O_RDONLY), null = open("/dev/null", O_RDWR), proc = open("/proc/version", O_RDONLY);
  writes("file", fd, RWF_NOSIGNAL);
  writes("null", null, RWF_NOSIGNAL);
  char b[3];
  struct iovec v = {b, 3};
  ret("read of a file", preadv2(fd, &v, 1, 0, RWF_NOSIGNAL));
  ret("read of /proc", preadv2(proc, &v, 1, 0, RWF_NOSIGNAL));
  ret("read of a directory", preadv2(dir, &v, 1, 0, RWF_NOSIGNAL));
}

static long memfd(void *name, unsigned flags) { return syscall(SYS_memfd_create, name, flags); }

static void huge(void) {
  ret("unknown flag", memfd("a", 4 | 0x20));
  ret("size without MFD_HUGETLB", memfd("a", 21u << 26));
  ret("exec and not", memfd("a", 4 | 8 | 16));
  ret("bad name", memfd(BAD_PTR, 4));
  char name[300];
  memset(name, 'x', sizeof name - 1);
  name[sizeof name - 1] = 0;
  ret("long name", memfd(name, 4));
  ret("no such size", memfd("a", 4 | 13u << 26));
  ret("no such size either", memfd("a", 4 | 63u << 26));
}

int main(void) {
  struct sigaction sa = {.sa_handler = count};
  sigaction(SIGPIPE, &sa, NULL);
  broken();
  waiting();
  files();
  huge();
  return 0;
}
