// Leases: who may have one, what they are told, who waits for whom.
#include "guest.h"
#include <poll.h>

static void lease(const char *what, int fd) {
  int r = fcntl(fd, F_GETLEASE);
  say("%s: %s", what, r == F_RDLCK ? "F_RDLCK" : r == F_WRLCK ? "F_WRLCK" : r == F_UNLCK ? "F_UNLCK" : "error");
}

static volatile sig_atomic_t told, told_fd, told_code;

static void on_break(int sig, siginfo_t *info, void *ctx) {
  told = sig;
  told_fd = info->si_fd;
  told_code = info->si_code;
}

static void nothing(int sig) {}

static void who_may(void) {
  int rd = open("lease", O_RDONLY | O_CREAT, 0644), wr, rd2, p[2];
  signal(SIGIO, SIG_IGN);
  lease("none", rd);
  ret("unlock without", fcntl(rd, F_SETLEASE, F_UNLCK));
  ret("bad type", fcntl(rd, F_SETLEASE, 7));
  ret("read lease", fcntl(rd, F_SETLEASE, F_RDLCK));
  lease("read", rd);
  rd2 = open("lease", O_RDONLY);
  ret("second read lease", fcntl(rd2, F_SETLEASE, F_RDLCK));
  ret("write lease with other readers", fcntl(rd2, F_SETLEASE, F_WRLCK));
  lease("second", rd2);
  close(rd2);
  ret("upgrade alone", fcntl(rd, F_SETLEASE, F_WRLCK));
  lease("upgraded", rd);
  ret("downgrade", fcntl(rd, F_SETLEASE, F_RDLCK));
  lease("downgraded", rd);
  ret("unlock", fcntl(rd, F_SETLEASE, F_UNLCK));
  lease("unlocked", rd);
  close(rd);

  wr = open("lease", O_RDWR);
  ret("read lease of a writer", fcntl(wr, F_SETLEASE, F_RDLCK));
  ret("write lease of a writer", fcntl(wr, F_SETLEASE, F_WRLCK));
  lease("writer", wr);
  ret("another lease while written", fcntl(open("lease", O_RDONLY | O_NONBLOCK), F_SETLEASE, F_RDLCK));
  close(wr);
  wr = open("lease", O_WRONLY);
  rd = open("lease", O_RDONLY);
  ret("read lease while open for writing", fcntl(rd, F_SETLEASE, F_RDLCK));
  ret("write lease while open for reading", fcntl(wr, F_SETLEASE, F_WRLCK));
  close(wr);
  close(rd);

  pipe(p);
  ret("lease of a pipe", fcntl(p[0], F_SETLEASE, F_RDLCK));
  ret("lease of a directory", fcntl(open(".", O_RDONLY), F_SETLEASE, F_RDLCK));
  pid_t c = fork();
  if (c == 0) {
    rd = open("lease", O_RDONLY);
    setresuid(65534, 65534, 65534);
    ret("lease of somebody else's", fcntl(rd, F_SETLEASE, F_RDLCK));
    _exit(0);
  }
  waitpid(c, NULL, 0);
}

static void broken_without_waiting(void) {
  int rd = open("lease", O_RDONLY), fd;
  struct sigaction sa = {.sa_sigaction = on_break, .sa_flags = SA_SIGINFO};
  sigaction(SIGIO, &sa, NULL);
  sigaction(SIGRTMIN, &sa, NULL);
  ret("read lease", fcntl(rd, F_SETLEASE, F_RDLCK));
  ok("a reader does not mind", fd = open("lease", O_RDONLY | O_NONBLOCK));
  close(fd);
  ret("a writer that does not wait", open("lease", O_WRONLY | O_NONBLOCK));
  say("told by SIGIO %d", told == SIGIO);
  lease("to become", rd);
  told = 0;
  ret("again", open("lease", O_RDWR | O_NONBLOCK));
  say("told once %d", told == 0);
  fd = open("lease", O_RDONLY);
  ret("no new lease meanwhile", fcntl(fd, F_SETLEASE, F_RDLCK));
  close(fd);
  ret("give up", fcntl(rd, F_SETLEASE, F_UNLCK));
  ok("now a writer", fd = open("lease", O_WRONLY | O_NONBLOCK));
  close(fd);
  close(rd);

  rd = open("lease", O_RDWR);
  ret("signal chosen", fcntl(rd, F_SETSIG, SIGRTMIN));
  ret("write lease", fcntl(rd, F_SETLEASE, F_WRLCK));
  ret("a reader that does not wait", open("lease", O_RDONLY | O_NONBLOCK));
  say("told by the chosen signal %d, its descriptor %d, POLL_MSG %d", told == SIGRTMIN, told_fd == rd, told_code == POLL_MSG);
  lease("to become", rd);
  ret("a writer asks for more", open("lease", O_WRONLY | O_NONBLOCK));
  lease("to become then", rd);
  close(rd);
  ok("closing the file ends the lease", fd = open("lease", O_WRONLY | O_NONBLOCK));
  close(fd);
}

static void waiting(void) {
  int rd = open("lease", O_RDWR), p[2];
  pipe(p);
  signal(SIGIO, SIG_IGN);
  write(rd, "x", 1);
  close(rd);
  rd = open("lease", O_RDONLY);
  ret("write lease", fcntl(rd, F_SETLEASE, F_WRLCK));
  pid_t c = fork();
  if (c == 0) {
    close(rd);
    close(open("lease", O_RDONLY));
    write(p[1], "1", 1);
    _exit(truncate("lease", 0));
  }
  struct pollfd pf = {.fd = p[0], .events = POLLIN};
  ret("the reader waits", poll(&pf, 1, 100));
  ret("downgrade", fcntl(rd, F_SETLEASE, F_RDLCK));
  ret("the reader goes on", poll(&pf, 1, 5000));
  sleep_ms(50);
  struct stat st;
  fstat(rd, &st);
  say("truncate waits, size %ld", (long)st.st_size);
  ret("unlock", fcntl(rd, F_SETLEASE, F_UNLCK));
  wait_say("opener", c);
  fstat(rd, &st);
  say("size %ld", (long)st.st_size);
  close(rd);

  rd = open("lease", O_RDONLY);
  ret("read lease", fcntl(rd, F_SETLEASE, F_RDLCK));
  c = fork();
  if (c == 0) {
    struct sigaction sa = {.sa_handler = nothing};
    sigaction(SIGALRM, &sa, NULL);
    close(rd);
    alarm(1);
    ret("interrupted writer", open("lease", O_WRONLY));
    _exit(0);
  }
  wait_say("writer", c);
}

int main(void) {
  who_may();
  broken_without_waiting();
  waiting();
  return 0;
}
