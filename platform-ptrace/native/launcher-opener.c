// What the processes that open sockets for the sentry have in common: P and N.
#define _GNU_SOURCE
#include "launcher.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

union descriptor {
  struct cmsghdr head;
  char room[CMSG_SPACE(sizeof(int))];
};

int next_request(int ctl, struct request *r, int *fd) {
  for (;;) {
    union descriptor control;
    struct iovec iov = {r, sizeof *r};
    // Room for one descriptor; the padding would hold a second one.
    struct msghdr m = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_LEN(sizeof *fd)};
    memset(r, 0, sizeof *r);
    ssize_t n = recvmsg(ctl, &m, MSG_CMSG_CLOEXEC);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return -1;
    *fd = -1;
    if (m.msg_controllen >= CMSG_LEN(sizeof *fd) && control.head.cmsg_type == SCM_RIGHTS)
      memcpy(fd, CMSG_DATA(&control.head), sizeof *fd);
    if (n >= (ssize_t)offsetof(struct request, data)) return n - offsetof(struct request, data);
    if (*fd >= 0) close(*fd);
  }
}

void answer_request(int ctl, int result, const void *data, int n, int fd) {
  int32_t word = result;
  union descriptor control;
  struct iovec iov[2] = {{&word, sizeof word}, {(void *)data, n}};
  struct msghdr m = {.msg_iov = iov, .msg_iovlen = n > 0 ? 2 : 1};
  if (fd >= 0) {
    memset(&control, 0, sizeof control);
    control.head.cmsg_level = SOL_SOCKET;
    control.head.cmsg_type = SCM_RIGHTS;
    control.head.cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(&control.head), &fd, sizeof fd);
    m.msg_control = &control;
    m.msg_controllen = sizeof control;
  }
  sendmsg(ctl, &m, MSG_NOSIGNAL);
}

void become_opener(int *ctl, int *const also[ALSO_MAX], uint64_t caps, const int *calls, int n) {
  die_with_parent();
  prctl(PR_SET_DUMPABLE, 0);
  int null_fd, log_fd;
  open_null_and_log(&null_fd, &log_fd);
  struct place places[4 + ALSO_MAX] = {{null_fd, 0}, {null_fd, 1}, {null_fd, 2}, {*ctl, 3}};
  int there = 4;
  for (int i = 0; i < ALSO_MAX; i++) {
    if (also[i] == NULL || *also[i] < 0) continue;
    places[there] = (struct place){*also[i], there};
    *also[i] = there++;
  }
  place_fds(places, there);
  *ctl = 3;
  opt.log_fd = opt.create_fd = -1;
  drop_caps(caps);
  lock_calls(calls, n);
}
