// N: the network namespaces that guests make. It holds one descriptor of each, moves into the one that a request is about and
// does there what needs a capability or that place: opens sockets for the sentry, binds them to low ports, changes
// interfaces, addresses and routes. They belong to the sandbox's user namespace, in which N has its capabilities, and nowhere else.
#define _GNU_SOURCE
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int networks_ctl[2] = {-1, -1};

enum { NETWORKS_MAX = OWN_NETWORK + 1 };
static bool made[NETWORKS_MAX]; // there is a descriptor, NETWORK_FD and the number
static int here = -1;           // the one that N is in

static int host_socket(int domain, int type, int protocol) {
  int fd = socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
  return fd < 0 ? -errno : fd;
}

// The namespace that N is in gets a number.
static int keep(int number) {
  int fd = host_socket(AF_INET, SOCK_DGRAM, 0);
  if (fd < 0) return fd;
  int network = ioctl(fd, SIOCGSKNS);
  int result = network < 0 ? -errno : 0;
  close(fd);
  if (network < 0) return result;
  result = dup3(network, NETWORK_FD + number, O_CLOEXEC) < 0 ? -errno : 0;
  close(network);
  if (result < 0) return result;
  made[number] = true;
  here = number;
  return 0;
}

static int make(int number) {
  if (made[number]) return -EEXIST;
  here = -1;
  return unshare(CLONE_NEWNET) < 0 ? -errno : keep(number);
}

static int enter(int number) {
  if (number == here) return 0;
  // Another's: the guest may not.
  if (!made[number]) return number == OWN_NETWORK ? -EPERM : -ENOENT;
  if (setns(NETWORK_FD + number, CLONE_NEWNET) < 0) return -errno;
  here = number;
  return 0;
}

static int open_socket(const struct request *r) {
  int domain = r->args[0], type = r->args[1], protocol = r->args[2];
  bool offered = domain == AF_INET || domain == AF_INET6 || domain == AF_PACKET ||
                 (domain == AF_NETLINK && protocol == NETLINK_ROUTE);
  bool known = type == SOCK_STREAM || type == SOCK_DGRAM || type == SOCK_RAW || (type == SOCK_PACKET && domain == AF_PACKET);
  return offered && known ? host_socket(domain, type, protocol) : -EACCES;
}

// The kernel's answer goes into `answer`, its length into *length.
static int change(struct nlmsghdr *h, int n, void *answer, int *length) {
  if (!may_change_network(h, n)) return -EACCES;
  int fd = host_socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
  if (fd < 0) return fd;
  setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &(int){1}, sizeof(int));
  setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &(int){1}, sizeof(int));
  int result = -EIO;
  h->nlmsg_flags |= NLM_F_ACK;
  // The kernel answers within sendto.
  int got = sendto(fd, h, n, MSG_DONTWAIT, NULL, 0) == n ? recvfrom(fd, answer, ANSWER_MAX, MSG_DONTWAIT, NULL, NULL) : -1;
  const struct nlmsghdr *head = answer;
  if (got >= (int)NLMSG_LENGTH(sizeof(int))) {
    // A question has an answer of its own.
    result = head->nlmsg_type == NLMSG_ERROR ? ((const struct nlmsgerr *)NLMSG_DATA(head))->error : 0;
    *length = got;
  }
  close(fd);
  return result;
}

static int set_interface(int cmd, int domain, void *value, int n) {
  struct rtentry *route = value;
  switch (cmd) {
    case SIOCADDRT:
    case SIOCDELRT:
      // The device's name is behind it.
      if (domain == AF_INET) route->rt_dev = n > (int)sizeof *route ? (char *)(route + 1) : NULL;
      break;
    case SIOCSARP:
    case SIOCDARP:
    case SIOCDIFADDR:
    case SIOCSIFFLAGS:
    case SIOCSIFADDR:
    case SIOCSIFDSTADDR:
    case SIOCSIFBRDADDR:
    case SIOCSIFNETMASK:
    case SIOCSIFMTU:
    case SIOCSIFHWADDR:
    case SIOCSIFHWBROADCAST:
    case SIOCSIFNAME:
    case SIOCADDMULTI:
    case SIOCDELMULTI:
    case SIOCSIFTXQLEN: break;
    default: return -EOPNOTSUPP;
  }
  int fd = host_socket(domain == AF_INET6 ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);
  if (fd < 0) return fd;
  int result = ioctl(fd, cmd, value) < 0 ? -errno : 0;
  close(fd);
  return result;
}

// Options that the kernel wants a capability for: not those of netfilter and multicast routing, which begin at 64.
static int set_option(int fd, int level, int name, const void *value, int n) {
  enum { BEYOND = 64 };
  bool known = level == SOL_SOCKET || ((level == SOL_IP || level == SOL_IPV6) && name < BEYOND);
  // Of those, one that the host does not allow everybody. It loads no module: that takes a capability in its own user namespace.
  known = known || (level == SOL_TCP && (name == TCP_CONGESTION || name == TCP_REPAIR));
  if (!known || name < 0) return -EPERM;
  return setsockopt(fd, level, name, value, n) < 0 ? -errno : 0;
}

// /proc/net as one process has it, a detached mount: nothing else of procfs can be reached from it. N's own shows the network
// that N is in at the time; init's the sandbox's own, to which N may not be able to return.
static int proc_here = -1, proc_own = -1;

static int proc_net(void) { return syscall(SYS_open_tree, AT_FDCWD, "/proc/self/net", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC); }

static int open_proc(int number, const char *path) {
  int result = number == OWN_NETWORK ? 0 : enter(number);
  if (result < 0) return result;
  int fd = openat(number == OWN_NETWORK ? proc_own : proc_here, path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

struct answer {
  int fd; // -1: none
  int length;
  unsigned char data[ANSWER_MAX] __attribute__((aligned(8)));
};

static int answer_ifreq(struct answer *a, const void *ifreq) {
  a->length = sizeof(struct ifreq);
  memcpy(a->data, ifreq, a->length);
  return 0;
}

// 0 or -errno
static int serve(struct request *r, int n, int given, struct answer *a) {
  if (r->network < 0 || r->network >= NETWORKS_MAX) return -EINVAL;
  if (r->op == REQUEST_NETWORK) return make(r->network);
  if (r->op == REQUEST_FORGET) {
    if (made[r->network]) close(NETWORK_FD + r->network);
    made[r->network] = false;
    if (here == r->network) here = -1;
    return 0;
  }
  if (r->op == REQUEST_PROC) {
    if (n == 0 || r->data[n - 1] != 0 || r->data[0] == '/') return -EINVAL;
    a->fd = open_proc(r->network, (char *)r->data);
    return a->fd < 0 ? a->fd : 0;
  }
  int result = enter(r->network);
  if (result < 0) return result;
  switch (r->op) {
    case REQUEST_SOCKET:
      a->fd = open_socket(r);
      return a->fd < 0 ? a->fd : 0;
    case REQUEST_BIND: return bind(given, (struct sockaddr *)r->data, n) < 0 ? -errno : 0;
    case REQUEST_ROUTE: return change((struct nlmsghdr *)r->data, n, a->data, &a->length);
    case REQUEST_IFREQ: return set_interface(r->args[0], r->args[1], r->data, n);
    case REQUEST_OPTION: return set_option(given, r->args[0], r->args[1], r->data, n);
    case REQUEST_TUN:
      a->fd = open_tun(r->data);
      return a->fd < 0 ? a->fd : answer_ifreq(a, r->data);
    case REQUEST_TUN_SET:
      result = set_tun(given, r->args[0], r->data, n);
      return result < 0 ? result : answer_ifreq(a, r->data);
    default: return -EINVAL;
  }
}

void start_networker(void) {
  proc_own = proc_net();
  pid_t pid = fork();
  if (pid < 0) die("fork");
  if (pid > 0) {
    if (proc_own >= 0) close(proc_own);
    close(networks_ctl[1]);
    networks_ctl[1] = -1;
    return;
  }
  static const int calls[] = {SYS_recvmsg,    SYS_sendmsg, SYS_socket, SYS_close,    SYS_unshare,
                              SYS_setns,      SYS_ioctl,   SYS_bind,   SYS_sendto,   SYS_recvfrom,
                              SYS_setsockopt, SYS_openat,  SYS_dup3,   SYS_exit,     SYS_exit_group,
                              SYS_restart_syscall};
  uint64_t caps = 1u << CAP_SYS_ADMIN | 1u << CAP_NET_ADMIN | 1u << CAP_NET_RAW | 1u << CAP_NET_BIND_SERVICE;
  proc_here = proc_net();
  errno = 0;
  become_opener(&networks_ctl[1], (int *[ALSO_MAX]){&tun_dir, &proc_own, &proc_here}, caps, calls, sizeof calls / sizeof *calls);
  // Refused where another user namespace owns it: the host's, an engine's.
  keep(OWN_NETWORK);
  struct request r;
  int given, n;
  while ((n = next_request(networks_ctl[1], &r, &given)) >= 0) {
    struct answer a = {.fd = -1};
    int result = serve(&r, n, given, &a);
    answer_request(networks_ctl[1], result, a.data, a.length, a.fd);
    if (a.fd >= 0) close(a.fd);
    if (given >= 0) close(given);
  }
  _exit(0);
}
