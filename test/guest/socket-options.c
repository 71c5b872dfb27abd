// link: -w
// Every option of every level: read with several lengths, set with several values and lengths, on sockets of all kinds.
#include "guest.h"
#include <netinet/in.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/socket.h>

static const struct {
  const char *name;
  int domain, type, protocol;
} kinds[] = {
    {"tcp", AF_INET, SOCK_STREAM, 0},       {"tcp6", AF_INET6, SOCK_STREAM, 0},     {"udp", AF_INET, SOCK_DGRAM, 0},
    {"udp6", AF_INET6, SOCK_DGRAM, 0},      {"stream", AF_UNIX, SOCK_STREAM, 0},    {"datagrams", AF_UNIX, SOCK_DGRAM, 0},
    {"packets", AF_UNIX, SOCK_SEQPACKET, 0}, {"netlink", AF_NETLINK, SOCK_RAW, 0},
};
enum { KINDS = sizeof kinds / sizeof *kinds };
static const struct {
  const char *name;
  int level, first, last;
  const char *kinds; // those that have the level; of the others the last name only is asked
} levels[] = {
    {"SOL_SOCKET", SOL_SOCKET, 73, 83, "tcp udp"},
    {"SOL_SOCKET", SOL_SOCKET, 0, 72, "tcp udp stream datagrams netlink"},
    {"SOL_IP", 0, 0, 52, "tcp udp"},
    {"SOL_TCP", 6, 0, 37, "tcp"},
    {"SOL_UDP", 17, 101, 105, "udp"},
    {"SOL_IPV6", 41, 0, 79, "tcp6 udp6"},
    {"SOL_RAW", 255, 0, 3, ""},
    {"SOL_NETLINK", 270, 0, 13, "netlink"},
    {"none", 12345, 0, 1, ""},
};
enum { LEVELS = sizeof levels / sizeof *levels };

static int first_of(int k, int l) {
  char list[64], *rest = strcpy(list, levels[l].kinds);
  for (char *word; (word = strsep(&rest, " "));)
    if (strcmp(word, kinds[k].name) == 0) return levels[l].first;
  return levels[l].last;
}

// Values that are nobody's but the kernel's, or those of another machine.
// Filters of multicast sources: what is read depends on the buffer's content.
static int asks(int level, int name) { return level == 0 ? name == 41 || name == 48 : level == 41 && (name == 48 || name == 32); }

static int varies(int level, int name) {
  if (level == SOL_SOCKET) return name == 15 || name == 49 || name == 55 || name == 56 || name == 57 || name == 71 || name == 17 || name == 59;
  if (level == 6) return name == 11 || name == 13 || name == 26 || name == 2 || name == 24 || name == 10;
  if (level == 270) return name == 9;
  return 0;
}

static const char *text(int r, unsigned char *v, unsigned n, int hide) {
  static char out[200];
  if (r < 0) return strerrorname_np(errno);
  int at = sprintf(out, "%u:", n);
  if (!hide)
    for (unsigned i = 0; i < n && i < 24; i++) at += sprintf(out + at, "%02x", v[i]);
  return out;
}

static void read_all(int k, int l) {
  static const int lengths[] = {4, 0, 1, 3, 5, 8, 16, 300};
  char last[300] = "";
  int s = socket(kinds[k].domain, kinds[k].type | SOCK_CLOEXEC, kinds[k].protocol);
  for (int name = first_of(k, l); name <= levels[l].last; name++) {
    char line[2000];
    int at = 0;
    if (asks(levels[l].level, name)) continue;
    for (unsigned i = 0; i < sizeof lengths / sizeof *lengths; i++) {
      unsigned char v[512];
      memset(v, 0xee, sizeof v);
      socklen_t n = lengths[i];
      int r = getsockopt(s, levels[l].level, name, v, &n);
      at += sprintf(line + at, " %s", text(r, v, n, varies(levels[l].level, name)));
      if (r >= 0 && n < sizeof v && v[n] != 0xee) at += sprintf(line + at, "!");
    }
    socklen_t n = -1;
    unsigned char v[8];
    int r = getsockopt(s, levels[l].level, name, v, &n);
    at += sprintf(line + at, " %s", text(r, v, 0, 1));
    n = 4;
    r = getsockopt(s, levels[l].level, name, BAD_PTR, &n);
    at += sprintf(line + at, " %s", text(r, v, 0, 1));
    r = getsockopt(s, levels[l].level, name, v, BAD_PTR);
    sprintf(line + at, " %s", text(r, v, 0, 1));
    say("%s %s %d:%s", kinds[k].name, levels[l].name, name, line);
  }
  close(s);
}

static void write_all(int k, int l) {
  static const int values[] = {0, 1, -1, 2, 64, 255, 256, 70000};
  static const int lengths[] = {0, 1, 2, 3, 8, 16, 40};
  for (int name = first_of(k, l); name <= levels[l].last; name++) {
    char line[2000];
    int at = 0;
    // SO_DEBUG is the host's for root, SO_DEVMEM_DONTNEED for network cards.
    if (levels[l].level == SOL_SOCKET && (name == 1 || name == 80)) continue;
    for (unsigned i = 0; i < 8; i++) {
      // The largest buffer is the machine's to say.
      if (values[i] == -1 && levels[l].level == SOL_SOCKET && (name == SO_SNDBUF || name == SO_RCVBUF)) continue;
      int s = socket(kinds[k].domain, kinds[k].type | SOCK_CLOEXEC, kinds[k].protocol);
      int v = values[i], r = setsockopt(s, levels[l].level, name, &v, sizeof v);
      at += sprintf(line + at, " %s", r < 0 ? strerrorname_np(errno) : "0");
      if (r == 0) {
        unsigned char w[64] = {0};
        socklen_t n = 4;
        r = getsockopt(s, levels[l].level, name, w, &n);
        at += sprintf(line + at, ">%s", text(r, w, n, varies(levels[l].level, name)));
      }
      close(s);
    }
    int s = socket(kinds[k].domain, kinds[k].type | SOCK_CLOEXEC, kinds[k].protocol);
    for (unsigned i = 0; i < sizeof lengths / sizeof *lengths; i++) {
      unsigned char v[64] = {1};
      int r = setsockopt(s, levels[l].level, name, v, lengths[i]);
      at += sprintf(line + at, " %s", r < 0 ? strerrorname_np(errno) : "0");
    }
    int r = setsockopt(s, levels[l].level, name, BAD_PTR, 4);
    at += sprintf(line + at, " %s", r < 0 ? strerrorname_np(errno) : "0");
    r = setsockopt(s, levels[l].level, name, BAD_PTR, -1);
    sprintf(line + at, " %s", r < 0 ? strerrorname_np(errno) : "0");
    close(s);
    say("%s set %s %d:%s", kinds[k].name, levels[l].name, name, line);
  }
}

int main(void) {
  // A network without anything but loopback, and no rights over it.
  struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct none[2] = {{0, 0, 0}, {0, 0, 0}};
  if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) {
    say("no user namespaces here");
    return 0;
  }
  syscall(SYS_capset, &h, none);
  for (int k = 0; k < KINDS; k++)
    for (int l = 0; l < LEVELS; l++) read_all(k, l), write_all(k, l);
  return 0;
}
