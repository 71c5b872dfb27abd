// N: the network namespaces that guests make. It holds one descriptor of each, moves into the one that a request is about and
// does there what needs a capability or that place: opens sockets for the sentry, binds them to low ports, brings up the
// loopback interface. They belong to the sandbox's user namespace, in which N has its capabilities, and nowhere else.
#define _GNU_SOURCE
#include "launcher.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int networks_ctl[2] = {-1, -1};

enum { NETWORKS_MAX = 64 };
static int networks[NETWORKS_MAX]; // descriptors; 0: none
static int here = -1;              // the one that N is in

static int host_socket(int domain, int type, int protocol) {
  int fd = socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
  return fd < 0 ? -errno : fd;
}

static int make(int number) {
  if (networks[number]) return -EEXIST;
  here = -1;
  if (unshare(CLONE_NEWNET) < 0) return -errno;
  int fd = host_socket(AF_INET, SOCK_DGRAM, 0);
  if (fd < 0) return fd;
  int network = ioctl(fd, SIOCGSKNS);
  int result = network < 0 ? -errno : 0;
  close(fd);
  if (network < 0) return result;
  networks[number] = network;
  here = number;
  return 0;
}

static int enter(int number) {
  if (number == here) return 0;
  if (!networks[number]) return -ENOENT;
  if (setns(networks[number], CLONE_NEWNET) < 0) return -errno;
  here = number;
  return 0;
}

static int open_socket(const struct request *r) {
  int domain = r->args[0], type = r->args[1], protocol = r->args[2];
  bool offered = domain == AF_INET || domain == AF_INET6 || domain == AF_PACKET ||
                 (domain == AF_NETLINK && protocol == NETLINK_ROUTE);
  bool known = type == SOCK_STREAM || type == SOCK_DGRAM || type == SOCK_RAW;
  return offered && known ? host_socket(domain, type, protocol) : -EACCES;
}

// Addresses, routes, and what interfaces are there: no new ones, whose kinds are much of the kernel.
static bool may_change(const struct nlmsghdr *h, int n) {
  if (n < (int)sizeof *h || h->nlmsg_len != (unsigned)n) return false;
  switch (h->nlmsg_type) {
    case RTM_NEWLINK: return !(h->nlmsg_flags & NLM_F_CREATE);
    case RTM_NEWADDR:
    case RTM_DELADDR:
    case RTM_NEWROUTE:
    case RTM_DELROUTE: return true;
    default: return false;
  }
}

static int change(struct nlmsghdr *h, int n) {
  struct {
    struct nlmsghdr head;
    struct nlmsgerr error;
    char rest[1024];
  } in;
  if (!may_change(h, n)) return -EACCES;
  int fd = host_socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
  if (fd < 0) return fd;
  int result = -EIO;
  h->nlmsg_flags |= NLM_F_ACK;
  // The kernel answers within sendto.
  if (sendto(fd, h, n, MSG_DONTWAIT, NULL, 0) == n && recvfrom(fd, &in, sizeof in, MSG_DONTWAIT, NULL, NULL) >=
      (ssize_t)(sizeof in.head + sizeof in.error) && in.head.nlmsg_type == NLMSG_ERROR)
    result = in.error.error;
  close(fd);
  return result;
}

static int set_interface(int cmd, void *ifreq) {
  switch (cmd) {
    case SIOCSIFFLAGS:
    case SIOCSIFADDR:
    case SIOCSIFDSTADDR:
    case SIOCSIFBRDADDR:
    case SIOCSIFNETMASK:
    case SIOCSIFMTU:
    case SIOCSIFTXQLEN: break;
    default: return -EOPNOTSUPP;
  }
  int fd = host_socket(AF_INET, SOCK_DGRAM, 0);
  if (fd < 0) return fd;
  int result = ioctl(fd, cmd, ifreq) < 0 ? -errno : 0;
  close(fd);
  return result;
}

// 0 or -errno; *fd: a socket for the answer.
static int serve(struct request *r, int n, int given, int *fd) {
  if (r->network < 0 || r->network >= NETWORKS_MAX) return -EINVAL;
  if (r->op == REQUEST_NETWORK) return make(r->network);
  if (r->op == REQUEST_FORGET) {
    if (networks[r->network]) close(networks[r->network]);
    networks[r->network] = 0;
    if (here == r->network) here = -1;
    return 0;
  }
  int result = enter(r->network);
  if (result < 0) return result;
  switch (r->op) {
    case REQUEST_SOCKET:
      *fd = open_socket(r);
      return *fd < 0 ? *fd : 0;
    case REQUEST_BIND: return bind(given, (struct sockaddr *)r->data, n) < 0 ? -errno : 0;
    case REQUEST_ROUTE: return change((struct nlmsghdr *)r->data, n);
    case REQUEST_IFREQ: return set_interface(r->args[0], r->data);
    default: return -EINVAL;
  }
}

void start_networker(void) {
  pid_t pid = fork();
  if (pid < 0) die("fork");
  if (pid > 0) {
    close(networks_ctl[1]);
    networks_ctl[1] = -1;
    return;
  }
  static const int calls[] = {SYS_recvmsg, SYS_sendmsg, SYS_socket, SYS_close, SYS_unshare, SYS_setns,      SYS_ioctl,
                              SYS_bind,    SYS_sendto,  SYS_recvfrom, SYS_exit, SYS_exit_group, SYS_restart_syscall};
  uint64_t caps = 1u << CAP_SYS_ADMIN | 1u << CAP_NET_ADMIN | 1u << CAP_NET_RAW | 1u << CAP_NET_BIND_SERVICE;
  become_opener(&networks_ctl[1], caps, calls, sizeof calls / sizeof *calls);
  struct request r;
  int given, n;
  while ((n = next_request(networks_ctl[1], &r, &given)) >= 0) {
    int fd = -1;
    int result = serve(&r, n, given, &fd);
    answer_request(networks_ctl[1], result, fd);
    if (fd >= 0) close(fd);
    if (given >= 0) close(given);
  }
  _exit(0);
}
