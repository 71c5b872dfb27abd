// /dev/net/tun for network namespaces of the sandbox's. A descriptor of it belongs to the namespace that its opener is in, so N has to open
// it, which may nothing on the host: L, if it is root, makes a directory for it with nothing but that device.
#define _GNU_SOURCE
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/mount.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

int tun_dir = -1;

enum { MISC_MAJOR = 10, TUN_MINOR = 200 };

void make_tun_directory(void) {
  if (!privileged) return;
  int fs = syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
  if (fs < 0) return;
  syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "mode", "0555", 0);
  if (syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
    tun_dir = syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
  close(fs);
  mode_t mask = umask(0);
  // Root of a user namespace cannot make nodes.
  if (tun_dir >= 0 && mknodat(tun_dir, "tun", S_IFCHR | 0666, makedev(MISC_MAJOR, TUN_MINOR)) < 0) {
    close(tun_dir);
    tun_dir = -1;
  }
  umask(mask);
  errno = 0;
}

int open_tun(void *ifreq) {
  if (tun_dir < 0) return -ENODEV;
  int fd = openat(tun_dir, "tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return -errno;
  if (ioctl(fd, TUNSETIFF, ifreq) == 0) return fd;
  int result = -errno;
  close(fd);
  return result;
}

int set_tun(int fd, unsigned cmd, void *arg, int n) {
  unsigned long value = *(unsigned *)arg;
  switch (cmd) {
    case TUNSETNOCSUM:
    case TUNSETPERSIST:
    case TUNSETLINK:
    case TUNSETOFFLOAD: return ioctl(fd, cmd, value) < 0 ? -errno : 0;
    case TUNSETSNDBUF:
    case TUNSETVNETHDRSZ:
    case TUNSETVNETLE:
    case TUNSETVNETBE:
    case TUNSETCARRIER: return n < 4 || ioctl(fd, cmd, arg) < 0 ? -errno : 0;
    case TUNGETFEATURES:
    case TUNGETIFF:
    case TUNGETSNDBUF:
    case TUNGETVNETHDRSZ:
    case TUNGETVNETLE:
    case TUNGETVNETBE:
    case SIOCGIFHWADDR:
    case SIOCSIFHWADDR:
    case TUNSETQUEUE: return ioctl(fd, cmd, arg) < 0 ? -errno : 0;
    default: return -EINVAL;
  }
}
