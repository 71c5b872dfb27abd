// link: -w
// Signal-driven I/O: O_ASYNC with F_SETOWN and F_SETSIG.
#include "guest.h"
#include <sys/ioctl.h>
#include <sys/socket.h>

static volatile sig_atomic_t hits, code, fd, band;
static void on_io(int s, siginfo_t *si, void *c) {
  (void)s, (void)c;
  hits++, code = si->si_code, fd = si->si_fd, band = si->si_band;
}

static void wait_hits(const char *name) {
  for (int i = 0; i < 100 && hits == 0; i++) sleep_ms(2);
  say("%s: %s", name, hits ? "signal" : "none");
  hits = 0;
}

int main(void) {
  setpgid(0, 0); // signals to the group are for this program only
  struct sigaction sa = {.sa_sigaction = on_io, .sa_flags = SA_SIGINFO};
  sigaction(SIGIO, &sa, NULL);
  sigaction(SIGRTMIN, &sa, NULL);
  int p[2], s[2];
  char b[10];
  pipe(p);
  ret("owner", fcntl(p[0], F_GETOWN));
  ret("setown", fcntl(p[0], F_SETOWN, getpid()));
  is("getown", fcntl(p[0], F_GETOWN) == getpid());
  ret("async", fcntl(p[0], F_SETFL, O_ASYNC));
  is("flag", fcntl(p[0], F_GETFL) & O_ASYNC);
  write(p[1], "x", 1);
  wait_hits("pipe");
  ret("setsig", fcntl(p[0], F_SETSIG, SIGRTMIN));
  read(p[0], b, 1);
  write(p[1], "x", 1);
  wait_hits("with siginfo");
  is("code", code == POLL_IN);
  is("fd", fd == p[0]);
  ret("off", fcntl(p[0], F_SETFL, 0));
  read(p[0], b, 1);
  write(p[1], "x", 1);
  sleep_ms(20);
  wait_hits("quiet");
  socketpair(AF_UNIX, SOCK_STREAM, 0, s);
  int on = 1;
  ret("ioctl", ioctl(s[0], FIOASYNC, &on));
  fcntl(s[0], F_SETOWN, -getpgrp());
  write(s[1], "x", 1);
  wait_hits("socket to group");
  struct f_owner_ex ex = {F_OWNER_TID, getpid()};
  ret("setown_ex", fcntl(s[0], F_SETOWN_EX, &ex));
  ret("getown_ex", fcntl(s[0], F_GETOWN_EX, &ex));
  say("type %d", ex.type);
  write(s[1], "x", 1);
  wait_hits("to thread");
  close(s[1]);
  wait_hits("hang-up");
  ex.type = 9;
  ret("bad type", fcntl(s[0], F_SETOWN_EX, &ex));
  ret("bad signal", fcntl(s[0], F_SETSIG, 99));
  int f = open("f", O_CREAT | O_RDWR, 0600);
  ret("regular file", fcntl(f, F_SETFL, O_ASYNC));
  return 0;
}
