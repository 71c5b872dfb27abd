// link: -w
// A process that is killed while it waits in a call gives back what the call held.
#include "guest.h"
#include <poll.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/un.h>

static int p[2], s[2];
static char big[1 << 20];

static void do_read(void) { read(p[0], big, 1); }
static void do_poll(void) { poll(&(struct pollfd){p[0], POLLIN, 0}, 1, -1); }
static void do_select(void) {
  fd_set r;
  FD_ZERO(&r);
  FD_SET(p[0], &r);
  select(p[0] + 1, &r, NULL, NULL, NULL);
}
static void do_epoll(void) {
  int e = epoll_create1(0);
  struct epoll_event ev = {EPOLLIN};
  epoll_ctl(e, EPOLL_CTL_ADD, p[0], &ev);
  epoll_wait(e, &ev, 1, -1);
}
static void *reader(void *arg) {
  do_read();
  return arg;
}
static void do_thread(void) {
  pthread_t t;
  pthread_create(&t, NULL, reader, NULL);
  sleep(10);
}
static void do_splice(void) {
  int q[2];
  pipe(q);
  splice(p[0], NULL, q[1], NULL, 10, 0);
}
static void do_exit(void) {
  pthread_t t;
  pthread_create(&t, NULL, reader, NULL);
  sleep_ms(20);
  exit(3);
}

// The child holds the only read end while it waits.
static void pipe_case(const char *name, void (*wait_in)(void), int sig) {
  pipe(p);
  pid_t pid = fork();
  if (pid == 0) {
    close(p[1]);
    wait_in();
    _exit(9);
  }
  close(p[0]);
  sleep_ms(60);
  if (sig) kill(pid, sig);
  wait_say(name, pid);
  ret("  write", write(p[1], "x", 1));
  close(p[1]);
}

static void do_recv(void) { recv(s[1], big, 1, 0); }
static void do_send(void) {
  for (;;) send(s[1], big, sizeof big, 0);
}

static void socket_case(const char *name, void (*wait_in)(void)) {
  socketpair(AF_UNIX, SOCK_STREAM, 0, s);
  pid_t pid = fork();
  if (pid == 0) {
    close(s[0]);
    wait_in();
    _exit(9);
  }
  close(s[1]);
  sleep_ms(60);
  kill(pid, SIGKILL);
  wait_say(name, pid);
  struct timeval tv = {1, 0};
  setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
  long n;
  while ((n = recv(s[0], big, sizeof big, 0)) > 0) {}
  ret("  end", n);
  close(s[0]);
}

int main(void) {
  signal(SIGPIPE, SIG_IGN);
  pipe_case("read killed", do_read, SIGKILL);
  pipe_case("read terminated", do_read, SIGTERM);
  pipe_case("poll", do_poll, SIGKILL);
  pipe_case("select", do_select, SIGKILL);
  pipe_case("epoll", do_epoll, SIGKILL);
  pipe_case("other thread reads", do_thread, SIGKILL);
  pipe_case("splice", do_splice, SIGKILL);
  pipe_case("exit while a thread reads", do_exit, 0);
  socket_case("recv", do_recv);
  socket_case("send", do_send);

  struct sockaddr_un a = {AF_UNIX, "\0kill-waiting"};
  socklen_t l = offsetof(struct sockaddr_un, sun_path) + 13;
  int srv = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0);
  bind(srv, (struct sockaddr *)&a, l);
  listen(srv, 1);
  pid_t pid = fork();
  if (pid == 0) accept(srv, NULL, NULL), _exit(9);
  close(srv);
  sleep_ms(60);
  kill(pid, SIGKILL);
  wait_say("accept", pid);
  ret("  connect", connect(c, (struct sockaddr *)&a, l));

  int f = open("lock", O_CREAT | O_RDWR, 0600);
  flock(f, LOCK_EX);
  pid = fork();
  if (pid == 0) {
    int g = open("lock", O_RDWR);
    flock(g, LOCK_EX);
    _exit(9);
  }
  sleep_ms(60);
  kill(pid, SIGKILL);
  wait_say("flock", pid);
  flock(f, LOCK_UN);
  int g = open("lock", O_RDWR);
  ret("  flock", flock(g, LOCK_EX | LOCK_NB));

  mkfifo("fifo", 0600);
  pid = fork();
  if (pid == 0) open("fifo", O_RDONLY), _exit(9);
  sleep_ms(60);
  kill(pid, SIGKILL);
  wait_say("open", pid);
  ret("  open", open("fifo", O_WRONLY | O_NONBLOCK));

  int sem = semget(IPC_PRIVATE, 1, 0600);
  pid = fork();
  if (pid == 0) {
    struct sembuf op = {0, -1, 0};
    semop(sem, &op, 1);
    _exit(9);
  }
  sleep_ms(60);
  ret("semop waits", semctl(sem, 0, GETNCNT));
  kill(pid, SIGKILL);
  wait_say("semop", pid);
  ret("  waiting", semctl(sem, 0, GETNCNT));
  semctl(sem, 0, IPC_RMID);
  return 0;
}
