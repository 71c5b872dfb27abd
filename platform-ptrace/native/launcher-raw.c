// P: opens raw and packet sockets for the sentry, which has no capability. It is in the sandbox's network namespace, with
// CAP_NET_RAW alone: a child of L where L is in that namespace, else of I, whose user namespace owns it.
#define _GNU_SOURCE
#include "launcher.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int raw_ctl[2] = {-1, -1};

static bool may_open(const struct request *r) {
  int domain = r->args[0], type = r->args[1];
  if (r->op != REQUEST_SOCKET) return false;
  if (domain == AF_INET || domain == AF_INET6) return type == SOCK_RAW;
  return domain == AF_PACKET && (type == SOCK_RAW || type == SOCK_DGRAM || type == SOCK_PACKET);
}

pid_t start_raw_opener(void) {
  pid_t pid = fork();
  if (pid < 0) die("fork");
  if (pid > 0) {
    close(raw_ctl[1]);
    raw_ctl[1] = -1;
    return pid;
  }
  static const int calls[] = {SYS_recvmsg, SYS_sendmsg,    SYS_socket,         SYS_close,
                              SYS_exit,    SYS_exit_group, SYS_restart_syscall};
  become_opener(&raw_ctl[1], (int *[ALSO_MAX]){NULL}, 1u << CAP_NET_RAW, calls, sizeof calls / sizeof *calls);
  struct request r;
  int given;
  while (next_request(raw_ctl[1], &r, &given) >= 0) {
    int fd = -1, result = -EACCES;
    if (may_open(&r)) {
      fd = socket(r.args[0], r.args[1] | SOCK_NONBLOCK | SOCK_CLOEXEC, r.args[2]);
      result = fd < 0 ? -errno : 0;
    }
    answer_request(raw_ctl[1], result, NULL, 0, fd);
    if (fd >= 0) close(fd);
    if (given >= 0) close(given);
  }
  _exit(0);
}
