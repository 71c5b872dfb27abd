// The network namespace of the sandbox: made, joined, and set up while there still are rights to do so.
#define _GNU_SOURCE
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static void set_sysctl(const char *path, const char *value) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  if (write(fd, value, strlen(value)) < 0) {} // ignored: see the caller
  close(fd);
}

static void bring_up_loopback(void) {
  struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0) die("cannot bring up the loopback interface");
  close(fd);
}

// One that is joined has the loopback interface as its owner wants it, as under runc.
void set_up_network(void) {
  if (opt.network_fd < 0) bring_up_loopback();
  // The sentry opens guests' sockets without any capability, and which guest may use which port is its own decision: in
  // this namespace every port and echo socket is theirs. Where /proc/sys cannot be written, low ports stay refused.
  // The group of an unprivileged sandbox is 0 in its own user namespace; root's has the id of `gid=`.
  set_sysctl("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
  set_sysctl("/proc/sys/net/ipv4/ping_group_range", opt.new_network || opt.network_fd >= 0 ? "0 2147483647" : "0 0");
  errno = 0;
}

bool own_network;

void enter_network(void) {
  if (opt.network_fd >= 0) {
    if (setns(opt.network_fd, CLONE_NEWNET) < 0) die("cannot join the network namespace");
  } else if (opt.new_network) {
    if (unshare(CLONE_NEWNET) < 0) die("cannot make a network namespace");
  } else {
    return;
  }
  set_up_network();
  own_network = true;
  opt.host_network = true; // from here on: the one L is in
  opt.new_network = false;
  opt.network_fd = -1;
}
