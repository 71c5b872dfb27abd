// Seccomp user notification: answers, errors, CONTINUE, descriptors, refusals, the end of either side.
#include "guest.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/utsname.h>

#define LOAD(f) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, f))
#define WAIT_KILLABLE 32
#define RET(v) BPF_STMT(BPF_RET | BPF_K, v)
#define IF_EQ(v, t, f) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, v, t, f)

static int install(int nr, int flags) {
  struct sock_filter f[] = {LOAD(nr), IF_EQ(nr, 0, 1), RET(SECCOMP_RET_USER_NOTIF), RET(SECCOMP_RET_ALLOW)};
  struct sock_fprog p = {4, f};
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &p);
}

// What the child has to say comes after what the parent says: they run at the same time.
static char *notes;
static void note(const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(notes + strlen(notes), 1000, fmt, ap);
  va_end(ap);
  strcat(notes, "\n");
}
static void finish(const char *name, pid_t pid) {
  wait_say(name, pid);
  printf("%s", notes);
  notes[0] = 0;
}
#define NAME(r) ((r) == -1 ? strerrorname_np(errno) : "value")

static void send_fd(int s, int fd) {
  char c = 0, buf[CMSG_SPACE(sizeof(int))];
  struct iovec iov = {&c, 1};
  struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = buf, .msg_controllen = sizeof buf};
  struct cmsghdr *h = CMSG_FIRSTHDR(&m);
  h->cmsg_level = SOL_SOCKET, h->cmsg_type = SCM_RIGHTS, h->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(h), &fd, sizeof fd);
  sendmsg(s, &m, 0);
}

static int recv_fd(int s) {
  char c, buf[CMSG_SPACE(sizeof(int))];
  struct iovec iov = {&c, 1};
  struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = buf, .msg_controllen = sizeof buf};
  int fd = -1;
  if (recvmsg(s, &m, 0) > 0) memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fd);
  return fd;
}

// A child whose calls of `nr` are asked about; returns the listener.
static int child_with(int flags, int nr, void (*fn)(void), pid_t *pid) {
  int sv[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, sv)) return -1;
  *pid = fork();
  if (*pid == 0) {
    close(sv[0]);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    int l = install(nr, SECCOMP_FILTER_FLAG_NEW_LISTENER | flags);
    send_fd(sv[1], l);
    close(l);
    fn();
    _exit(0);
  }
  close(sv[1]);
  int l = recv_fd(sv[0]);
  close(sv[0]);
  return l;
}

static int child(int nr, void (*fn)(void), pid_t *pid) { return child_with(0, nr, fn, pid); }

static struct seccomp_notif req;
static int receive(int l) {
  memset(&req, 0, sizeof req);
  return ioctl(l, SECCOMP_IOCTL_NOTIF_RECV, &req);
}
static int answer(int l, long val, int error, unsigned flags) {
  struct seccomp_notif_resp r = {req.id, val, error, flags};
  return ioctl(l, SECCOMP_IOCTL_NOTIF_SEND, &r);
}

static void three_getppids(void) {
  for (int i = 0; i < 3; i++) {
    long r = syscall(SYS_getppid, 11, 22, 33, 44, 55, 66);
    if (i < 2) note("child: %s %ld", NAME(r), r);
    else note("child: the real call %d", r > 0);
  }
}

static void answers(void) {
  pid_t pid;
  int l = child(SYS_getppid, three_getppids, &pid);
  struct pollfd p = {l, POLLIN | POLLOUT, 0};
  is("poll", poll(&p, 1, 10000) == 1);
  say("events %x", p.revents);
  ret("receive", receive(l));
  is("pid", req.pid == (unsigned)pid);
  say("nr %d args %llu %llu %llu %llu %llu %llu flags %u", req.data.nr, req.data.args[0], req.data.args[1], req.data.args[2],
      req.data.args[3], req.data.args[4], req.data.args[5], req.flags);
  is("instruction pointer", req.data.instruction_pointer != 0);
  is("poll", poll(&p, 1, 10000) == 1);
  say("events %x", p.revents);
  ret("valid", ioctl(l, SECCOMP_IOCTL_NOTIF_ID_VALID, &req.id));
  ret("bad flags", answer(l, 1, 0, 2));
  ret("continue with a value", answer(l, 1, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE));
  ret("value", answer(l, 4321, 0, 0));
  ret("receive", receive(l));
  ret("error", answer(l, 0, -EXDEV, 0));
  ret("receive", receive(l));
  ret("continue", answer(l, 0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE));
  finish("child", pid);
  is("poll after the end", poll(&p, 1, 10000) == 1);
  say("events %x", p.revents);
  close(l);
}

static void opener(void) {
  char buf[20] = "";
  int fd = syscall(SYS_uname, NULL);
  note("child: descriptor %d", fd);
  note("reads %d", read(fd, buf, 5) == 5 && !strcmp(buf, "hello"));
  note("child: cloexec %d", fcntl(fd, F_GETFD));
  fd = syscall(SYS_uname, NULL);
  note("child: chosen %d, cloexec %d", fd, fcntl(fd, F_GETFD));
}

static void descriptors(void) {
  pid_t pid;
  int fds[2];
  if (pipe(fds) || write(fds[1], "hello", 5) != 5) return;
  int l = child(SYS_uname, opener, &pid);
  ret("receive", receive(l));
  struct seccomp_notif_addfd a = {.id = req.id, .srcfd = fds[0], .newfd = 5};
  ret("number without flag", ioctl(l, SECCOMP_IOCTL_NOTIF_ADDFD, &a));
  a.newfd = 0, a.srcfd = 999;
  ret("no such file", ioctl(l, SECCOMP_IOCTL_NOTIF_ADDFD, &a));
  a.srcfd = fds[0], a.flags = 64;
  ret("bad flags", ioctl(l, SECCOMP_IOCTL_NOTIF_ADDFD, &a));
  a.flags = 0, a.id ^= 0x55;
  ret("bad id", ioctl(l, SECCOMP_IOCTL_NOTIF_ADDFD, &a));
  a.id = req.id, a.flags = SECCOMP_ADDFD_FLAG_SETFD, a.newfd = 200;
  ret("add at 200", ioctl(l, SECCOMP_IOCTL_NOTIF_ADDFD, &a));
  ret("value", answer(l, 200, 0, 0));
  ret("receive", receive(l));
  a = (struct seccomp_notif_addfd){.id = req.id, .flags = SECCOMP_ADDFD_FLAG_SEND | SECCOMP_ADDFD_FLAG_SETFD, .srcfd = fds[0], .newfd = 201, .newfd_flags = O_CLOEXEC};
  ret("add and answer", ioctl(l, SECCOMP_IOCTL_NOTIF_ADDFD, &a));
  finish("child", pid);
  close(l);
}

static void asks_once(void) {
  struct utsname u;
  note("child: uname %s", NAME(uname(&u)));
}

static void ends(void) {
  pid_t pid;
  int l = child(SYS_uname, asks_once, &pid);
  ret("receive", receive(l));
  ret("close", close(l));
  finish("without a listener", pid);

  l = child(SYS_uname, asks_once, &pid);
  ret("receive", receive(l));
  kill(pid, SIGKILL);
  finish("killed", pid);
  ret("valid", ioctl(l, SECCOMP_IOCTL_NOTIF_ID_VALID, &req.id));
  ret("answer", answer(l, 0, 0, 0));
  close(l);
}

static volatile int handled;
static void on_usr1(int sig) { handled = sig; }
static void interrupted_call(void) {
  struct sigaction sa = {.sa_handler = on_usr1, .sa_flags = SA_RESTART};
  sigaction(SIGUSR1, &sa, NULL);
  asks_once();
  note("child: handled %d", handled == SIGUSR1);
}

static void signals(void) {
  pid_t pid;
  int l = child(SYS_uname, interrupted_call, &pid);
  ret("receive", receive(l));
  __u64 first = req.id;
  kill(pid, SIGUSR1);
  ret("asked again", receive(l));
  is("under another id", req.id != first);
  ret("answer", answer(l, 0, -EDOM, 0));
  finish("child", pid);
  close(l);
}

// Once it was received, only death ends the wait.
static void killable(void) {
  pid_t pid;
  int l = child_with(WAIT_KILLABLE, SYS_uname, interrupted_call, &pid);
  ret("receive", receive(l));
  __u64 first = req.id;
  until_state(pid, 'S');
  kill(pid, SIGUSR1);
  until_state(pid, 'D');
  kill(pid, SIGSTOP);
  kill(pid, SIGCONT);
  ret("still asked", ioctl(l, SECCOMP_IOCTL_NOTIF_ID_VALID, &first));
  ret("answer", answer(l, 0, -EDOM, 0));
  finish("child", pid);
  close(l);
  l = child_with(WAIT_KILLABLE, SYS_uname, interrupted_call, &pid);
  until_state(pid, 'S');
  kill(pid, SIGUSR1);
  ret("receive", receive(l));
  ret("answer", answer(l, 0, -EDOM, 0));
  finish("signal before it was received", pid);
  close(l);
  l = child_with(WAIT_KILLABLE, SYS_uname, interrupted_call, &pid);
  ret("receive", receive(l));
  kill(pid, SIGTERM);
  finish("killed", pid);
  ret("nobody asks", ioctl(l, SECCOMP_IOCTL_NOTIF_ID_VALID, &req.id));
  close(l);
}

static void refusals(void) {
  pid_t pid;
  struct seccomp_notif_sizes z;
  ret("sizes", syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &z));
  say("%d %d %d", z.seccomp_notif, z.seccomp_notif_resp, z.seccomp_data);
  ret("sizes with flags", syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 1, &z));
  unsigned act = SECCOMP_RET_USER_NOTIF;
  ret("action", syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &act));
  pid = fork();
  if (pid == 0) {
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    ret("with TSYNC", install(SYS_uname, SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_TSYNC));
    ret("killable without a listener", install(SYS_uname, WAIT_KILLABLE));
    ret("unknown flag", install(SYS_uname, 64));
    int l = install(SYS_uname, SECCOMP_FILTER_FLAG_NEW_LISTENER);
    is("listener", l >= 0 && (fcntl(l, F_GETFD) & FD_CLOEXEC));
    ret("second listener", install(SYS_getppid, SECCOMP_FILTER_FLAG_NEW_LISTENER));
    char link[100] = "", name[50];
    snprintf(name, sizeof name, "/proc/self/fd/%d", l);
    is("link", readlink(name, link, 99) > 0);
    say("%s", link);
    char dirty[80] = "x";
    ret("receive into used memory", ioctl(l, SECCOMP_IOCTL_NOTIF_RECV, dirty));
    ret("receive bad pointer", ioctl(l, SECCOMP_IOCTL_NOTIF_RECV, BAD_PTR));
    ret("no such id", answer(l, 0, 0, 0));
    ret("unknown request", ioctl(l, 0x1234, 0));
    ret("read", read(l, name, 1));
    struct pollfd p = {l, POLLIN | POLLOUT, 0};
    say("poll %d", poll(&p, 1, 0));
    _exit(0);
  }
  finish("child", pid);
  pid = fork();
  if (pid == 0) {
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    install(SYS_uname, 0);
    asks_once();
    _exit(0);
  }
  finish("nobody listens", pid);
}

int main(void) {
  notes = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  refusals();
  answers();
  descriptors();
  ends();
  signals();
  killable();
  return 0;
}
