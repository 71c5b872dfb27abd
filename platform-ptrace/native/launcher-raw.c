// P: opens raw and packet sockets for the sentry, which has no capability. It is in the sandbox's network namespace, with
// CAP_NET_RAW alone: a child of L where L is in that namespace, else of I, whose user namespace owns it.
#define _GNU_SOURCE
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int raw_ctl[2] = {-1, -1};

// Domain, type and protocol; answered by 0 with the socket, or by -errno.
struct request {
  int32_t domain, type, protocol;
};

static bool may_open(const struct request *r) {
  if (r->domain == AF_INET || r->domain == AF_INET6) return r->type == SOCK_RAW;
  return r->domain == AF_PACKET && (r->type == SOCK_RAW || r->type == SOCK_DGRAM);
}

static void answer(int32_t result, int fd) {
  union {
    struct cmsghdr head;
    char room[CMSG_SPACE(sizeof(int))];
  } control;
  struct iovec iov = {&result, sizeof result};
  struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
  if (fd >= 0) {
    memset(&control, 0, sizeof control);
    control.head.cmsg_level = SOL_SOCKET;
    control.head.cmsg_type = SCM_RIGHTS;
    control.head.cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(&control.head), &fd, sizeof fd);
    m.msg_control = &control;
    m.msg_controllen = sizeof control;
  }
  sendmsg(raw_ctl[1], &m, MSG_NOSIGNAL);
}

static void serve(void) __attribute__((noreturn));
static void serve(void) {
  for (;;) {
    struct request r;
    ssize_t n = recv(raw_ctl[1], &r, sizeof r, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) _exit(0); // S is gone
    if (n != sizeof r) continue;
    int fd = -1, result = -EACCES;
    if (may_open(&r)) {
      fd = socket(r.domain, r.type | SOCK_NONBLOCK | SOCK_CLOEXEC, r.protocol);
      result = fd < 0 ? -errno : 0;
    }
    answer(result, fd);
    if (fd >= 0) close(fd);
  }
}

pid_t start_raw_opener(void) {
  pid_t pid = fork();
  if (pid < 0) die("fork");
  if (pid > 0) {
    close(raw_ctl[1]);
    raw_ctl[1] = -1;
    return pid;
  }
  die_with_parent();
  prctl(PR_SET_DUMPABLE, 0);
  int null_fd, log_fd;
  open_null_and_log(&null_fd, &log_fd);
  struct place places[4] = {{null_fd, 0}, {null_fd, 1}, {null_fd, 2}, {raw_ctl[1], 3}};
  place_fds(places, 4);
  raw_ctl[1] = 3;
  opt.log_fd = opt.create_fd = -1;
  drop_caps(1u << CAP_NET_RAW);
  static const int calls[] = {SYS_recvfrom, SYS_sendmsg,    SYS_socket,         SYS_close,
                              SYS_exit,     SYS_exit_group, SYS_restart_syscall};
  lock_calls(calls, sizeof calls / sizeof *calls);
  serve();
}
