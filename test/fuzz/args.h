// Arguments for random calls: each kind is a letter, most values make sense for it, some never do.
#ifndef ARGS_H
#define ARGS_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define ARENA (64 << 10)
#define PLAYGROUND (256 << 10)

// Each thread has a generator of its own; memory is shared by the threads of a process.
static __thread uint64_t rng;
static char *arena;      // structures and buffers; what lies behind it is not mapped
static char *playground; // for calls that change mappings
static uint64_t aio_context;

static uint64_t rnd(void) {
  rng ^= rng << 13, rng ^= rng >> 7, rng ^= rng << 17;
  return rng;
}
static unsigned below(unsigned n) { return rnd() % n; }
static char *place(void) { return arena + below(ARENA / 8 - 64) * 8; }

static const char *const paths[] = {
    "a", "b", "c", "d", "d/a", "d/b", "d/e", "d/e/f", "l", "loop", "fifo", "sock", "s", "..", ".", "", "/", "d/..", "./a", "a/",
    "d/", "nothing/x", "/tmp/a", "/tmp", "/proc/self/maps", "/proc/self/status", "/proc/self/fd", "/proc/self/fd/3",
    "/proc/self/mem", "/proc/self/exe", "/proc/self/cwd/a", "/proc/self/root", "/proc/self/task", "/proc/self/environ",
    "/proc/self/ns/mnt", "/proc/self/ns/pid", "/proc/self/oom_score_adj", "/proc/self/smaps", "/proc/self/comm",
    "/proc/self/mountinfo", "/proc/self/uid_map", "/proc/self/stat", "/proc/self/limits", "/proc/self/cmdline",
    "/proc/mounts", "/proc/stat", "/proc/meminfo", "/proc/net/tcp", "/proc/net/unix", "/proc/locks", "/proc/2/status",
    "/proc/3/fd", "/proc/sys/kernel/hostname", "/proc/sys/vm/overcommit_memory", "/proc/sysvipc/shm", "/proc/uptime",
    "/dev/null", "/dev/zero", "/dev/full", "/dev/urandom", "/dev/tty", "/dev/ptmx", "/dev/pts/0", "/dev/pts/1", "/dev/shm/x",
    "/dev/fd/4", "/sys/devices/system/cpu/online", "/sys/fs/cgroup", "/sys", "/proc", "/dev", "mnt", "mnt/a", "self",
    "/proc/self/pagemap", "/proc/self/clear_refs", "/proc/self/coredump_filter", "/proc/self/ns/net", "/proc/self/ns/user",
    "/proc/self/gid_map", "/proc/self/setgroups", "/proc/self/net/dev", "/proc/keys", "/proc/key-users", "/proc/sys/kernel/core_pattern",
};
static const char *const names[] = {"user.a", "user.b", "user.longer.name", "security.capability", "trusted.x",
    "system.posix_acl_access", "user.", "a", "/a", "/queue", "__proto__", "constructor", "", "x y\n", "\xff\xfe"};
static const char *const types[] = {"tmpfs", "proc", "sysfs", "devpts", "mqueue", "overlay", "ramfs", "devtmpfs", "none", "ext4"};
static const int interesting_ioctls[] = {0x5401, 0x5402, 0x5403, 0x5404, 0x5405, 0x5407, 0x5409, 0x540a, 0x540b, 0x540e,
    0x540f, 0x5410, 0x5411, 0x5412, 0x5413, 0x5414, 0x541b, 0x541e, 0x5420, 0x5421, 0x5422, 0x5423, 0x5424, 0x5429, 0x5450,
    0x5451, 0x5452, 0x5460, 0x8901, 0x8903, 0x8905, 0x8910, 0x8912, 0x8913, 0x8914, 0x8915, 0x8919, 0x891b, 0x891d, 0x8921,
    0x8927, 0x8933, 0x8942, 0x80045430, 0x40045431, 0x80045432, 0x80045438, 0x80045440, 0x5441, 0x80086601, 0x40086602,
    0x40049409, 0x4020940d, 0xc020660b, 0x801c581f, 0xb701, 0xb703, 0x40187013,
    0xc0686611 /* PROCMAP_QUERY */, 0xc0606610 /* PAGEMAP_SCAN */, 0x894c /* SIOCGSKNS */, 0xc0502100, 0xc0182101, 0x40082102,
    0xc0182103 /* seccomp listeners */, 0xb702, 0xb704, 0x8918, 0x8922, 0x8940};

static long anything(void) {
  switch (below(10)) {
    case 0: return 0;
    case 1: return -1;
    case 2: case 3: return below(40);
    case 4: return (long)place();
    case 5: return (long)(arena + ARENA - below(40)); // at the edge of what is mapped
    case 6: return below(70000);
    case 7: return 1L << below(64);
    case 8: return (long)rnd();
    default: return (int)rnd();
  }
}

static long flags(void) {
  long f = 0;
  for (unsigned n = below(4); n > 0; n--) f |= 1L << below(below(4) ? 22 : 33);
  return f;
}

static void fill_timespec(struct timespec *ts) {
  ts->tv_sec = below(12) ? 0 : anything();
  ts->tv_nsec = below(12) ? (long)below(400000) : anything();
}

static void fill_iov(struct iovec *iov, int n) {
  for (int i = 0; i < n; i++)
    iov[i].iov_base = below(12) ? place() : (void *)anything(), iov[i].iov_len = below(12) ? below(6000) : (unsigned long)anything();
}

static void fill_address(char *at) {
  memset(at, 0, 110);
  switch (below(7)) {
    case 0: case 1: case 2: {
      struct sockaddr_un *un = (void *)at;
      un->sun_family = AF_UNIX;
      if (below(2)) snprintf(un->sun_path, 100, "%s", below(2) ? "sock" : "s");
      else un->sun_path[1] = 'a' + below(3);
      break;
    }
    case 3: case 4: {
      struct sockaddr_in *in = (void *)at;
      in->sin_family = AF_INET, in->sin_port = htons(below(6) + 4000), in->sin_addr.s_addr = htonl(below(3) ? 0x7f000001 : 0);
      break;
    }
    case 5: {
      struct sockaddr_in6 *in = (void *)at;
      in->sin6_family = AF_INET6, in->sin6_port = htons(below(6) + 4000);
      if (below(3)) in->sin6_addr.s6_addr[15] = 1;
      break;
    }
    default: {
      struct sockaddr_nl *nl = (void *)at;
      nl->nl_family = AF_NETLINK, nl->nl_pid = below(3);
    }
  }
}

static void fill_msghdr(struct msghdr *h) {
  struct iovec *iov = (void *)place();
  fill_iov(iov, 3);
  char *c = place();
  struct cmsghdr *cmsg = (void *)c;
  unsigned fds = below(4);
  cmsg->cmsg_len = below(9) ? CMSG_LEN(4 * fds) : (size_t)anything();
  cmsg->cmsg_level = below(6) ? SOL_SOCKET : below(50), cmsg->cmsg_type = below(6) ? 1 + below(2) : below(50);
  for (unsigned i = 0; i < 4; i++) ((int *)CMSG_DATA(cmsg))[i] = below(24);
  char *a = place();
  if (below(3) == 0) fill_address(a);
  *h = (struct msghdr){.msg_name = below(3) ? NULL : a, .msg_namelen = below(5) ? 16 : below(130), .msg_iov = iov,
      .msg_iovlen = below(9) ? below(4) : (size_t)anything(), .msg_control = below(2) ? c : NULL,
      .msg_controllen = below(5) ? CMSG_SPACE(4 * fds) : below(300), .msg_flags = 0};
}

// What several calls read: a signal event, a semaphore operation, a lock, an epoll event, rlimits, open_how, BPF …: words.
static void fill_words(char *at) {
  long *w = (long *)at;
  for (int i = 0; i < 8; i++) {
    switch (below(8)) {
      case 0: case 1: w[i] = below(40); break;
      case 2: w[i] = (long)place(); break;
      case 3: w[i] = below(40) | (long)below(40) << 32; break;
      case 4: w[i] = (long)below(4) | (long)below(4) << 16 | (long)below(3000) << 32; break;
      case 5: w[i] = anything(); break;
      default: break; // what is there already
    }
  }
}

static void fill_filter(char *at) {
  struct sock_filter *f = (struct sock_filter *)(at + 16);
  unsigned n = 1 + below(5);
  for (unsigned i = 0; i < n; i++) f[i] = (struct sock_filter){below(60), below(4), below(4), below(3) ? below(64) : (unsigned)rnd()};
  static const unsigned actions[] = {0x7fff0000, 0x7fff0000, 0x7fff0000, 0x7ff00000, 0x7fc00000, 0x7ffc0000, 0x00050000, 0x00030000};
  f[n - 1] = (struct sock_filter){6, 0, 0, actions[below(8)] | below(200)};
  *(short *)at = n, *(void **)(at + 8) = f;
}

static long argument(char kind) {
  if (below(24) == 0) return anything();
  char *at = place();
  switch (kind) {
    case '0': return 0;
    case '8': return 8;
    case 'f': return below(28);
    case 'd': return below(3) ? AT_FDCWD : (int)below(28);
    case 'b': if (below(2)) fill_words(at); return (long)(below(12) ? at : NULL);
    case 'B': return (long)(playground + below(8) * 4);
    case 'q': *(uint64_t *)at = below(4) ? 1UL << below(64) : rnd(); return (long)(below(6) ? at : NULL);
    case 's': strcpy(at, paths[below(sizeof paths / sizeof *paths)]); return (long)at;
    case 'S': case 'y': strcpy(at, names[below(sizeof names / sizeof *names)]); return (long)at;
    case 'z': strcpy(at, types[below(sizeof types / sizeof *types)]); return (long)at;
    case 'n': return below(6) ? below(9000) : below(3) ? below(300) : anything();
    case 'c': return below(6);
    case 'i': return below(3) ? below(6) : below(30);
    case 'X': return below(below(3) ? 24 : 80);
    case 'F': return below(3) ? flags() : 0;
    case 'O': return below(4) | (below(2) ? O_CREAT : below(4) ? 0 : O_TMPFILE) | (below(3) ? 0 : flags());
    // Namespaces: mostly those of the network, sometimes all.
    case 'N': return below(3) ? 0x40000000 : (long)(rnd() & 0x7e020080);
    case 'G': return (int[]){26, 27, 50, 51, 44, 36}[below(6)]; // SO_ATTACH_FILTER and its kin
    case 'Q': fill_filter(at); return (long)at;
    case 'W': return -(long)below(8); // keyrings
    case '1': return 1;
    case 'm': return below(4) ? 0777 & rnd() : (long)(S_IFMT & rnd()) | 0644;
    case 'o': return below(5) ? below(20000) : anything();
    case 'u': return below(3) ? below(2) * 1000 : anything();
    case 'g': return below(65);
    case 'w': return below(4) ? (int)below(8) : below(2) ? getpid() : -1;
    case 'A': return (long)(playground + below(PLAYGROUND / 4096) * 4096);
    case 'l': return below(12) * 4096;
    case 'R': return below(8);
    case 'M': return (below(3) ? 0x2 : 0x1) | (below(2) ? 0x20 : 0) | (below(2) ? 0x10 : 0) | (below(6) ? 0 : flags());
    case 'T': return below(4) ? (long)below(3) : -1;
    case 't': fill_timespec((void *)at), fill_timespec((void *)(at + 16)); return (long)(below(8) ? at : NULL);
    case 'v': fill_iov((void *)at, 5); return (long)at;
    case 'a': fill_address(at); return (long)at;
    case 'L': return below(3) ? below(2) ? 16 : 110 : below(130);
    case 'k': *(int *)at = below(130); return (long)at;
    case 'h': fill_msghdr((void *)at); return (long)at;
    case 'H': for (int i = 0; i < 3; i++) fill_msghdr((void *)(at + i * 64)); return (long)at;
    case 'p': for (int i = 0; i < 6; i++) ((struct pollfd *)at)[i] = (struct pollfd){below(28), below(64), 0}; return (long)at;
    case 'D': return (int[]){AF_UNIX, AF_UNIX, AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, 40}[below(8)];
    case 'Y': return (1 + below(5)) | (below(3) ? SOCK_NONBLOCK : 0) | (below(6) ? 0 : SOCK_CLOEXEC);
    case 'K': return below(3) ? 0 : below(20);
    case 'E': return (int[]){1, 1, 1, 6, 17, 0, 41, 270, 58}[below(9)];
    case 'I': return interesting_ioctls[below(sizeof interesting_ioctls / sizeof *interesting_ioctls)];
    case 'C': return below(5) ? below(17) : 1024 + below(18);
    case 'e': // struct flock
      *(short *)at = below(3), *(short *)(at + 2) = below(3), *(long *)(at + 8) = below(50), *(long *)(at + 16) = below(50);
      *(int *)(at + 24) = 0;
      return (long)at;
    case 'Z': return below(6) ? below(72) : 0x59616d61;
    case 'r': return (long)aio_context;
    case 'j': { // pointers to struct iocb
      for (int i = 0; i < 5; i++) {
        char *cb = place();
        memset(cb, 0, 64);
        *(short *)(cb + 16) = below(9), *(int *)(cb + 20) = below(28), *(void **)(cb + 24) = place();
        *(long *)(cb + 32) = below(5000), *(long *)(cb + 40) = below(9000);
        ((void **)at)[i] = cb;
      }
      return (long)at;
    }
    default: return anything();
  }
}
#endif
