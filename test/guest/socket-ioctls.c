// link: -w
// ioctls of sockets and interfaces (linux/sockios.h) but for those that modules answer, on sockets of all kinds: on lo, on an interface that is not there, from nowhere.
#include "guest.h"
#include <arpa/inet.h>
#include <linux/capability.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static const struct {
  const char *name;
  int domain, type, protocol;
} kinds[] = {
    {"stream", AF_UNIX, SOCK_STREAM, 0},        {"datagram", AF_UNIX, SOCK_DGRAM, 0},
    {"seqpacket", AF_UNIX, SOCK_SEQPACKET, 0},  {"tcp", AF_INET, SOCK_STREAM, 0},
    {"tcp6", AF_INET6, SOCK_STREAM, 0},         {"udp", AF_INET, SOCK_DGRAM, 0},
    {"udp6", AF_INET6, SOCK_DGRAM, 0},          {"raw", AF_INET, SOCK_RAW, IPPROTO_ICMP},
    {"raw6", AF_INET6, SOCK_RAW, IPPROTO_ICMPV6}, {"packet", AF_PACKET, SOCK_RAW, 0},
    {"netlink", AF_NETLINK, SOCK_RAW, NETLINK_ROUTE},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static const struct {
  const char *name;
  unsigned cmd;
} cmds[] = {
    {"FIONREAD", 0x541b},      {"TIOCOUTQ", 0x5411},      {"SIOCOUTQNSD", 0x894b},   {"SIOCATMARK", 0x8905},
    {"FIOGETOWN", 0x8903},     {"SIOCGPGRP", 0x8904},     {"SIOCGSTAMP", 0x8906},    {"SIOCGSTAMPNS", 0x8907},
    {"SIOCGSTAMP_NEW", 0x80108906}, {"SIOCGSTAMPNS_NEW", 0x80108907},
    {"SIOCADDRT", 0x890b},     {"SIOCDELRT", 0x890c},     {"SIOCRTMSG", 0x890d},     {"SIOCGIFNAME", 0x8910},
    {"SIOCSIFLINK", 0x8911},   {"SIOCGIFFLAGS", 0x8913},  {"SIOCGIFADDR", 0x8915},   {"SIOCGIFDSTADDR", 0x8917},
    {"SIOCGIFBRDADDR", 0x8919}, {"SIOCGIFNETMASK", 0x891b}, {"SIOCGIFMETRIC", 0x891d}, {"SIOCGIFMEM", 0x891f},
    {"SIOCSIFMEM", 0x8920},    {"SIOCGIFMTU", 0x8921},    {"SIOCSIFNAME", 0x8923},   {"SIOCGIFENCAP", 0x8925},
    {"SIOCSIFENCAP", 0x8926},  {"SIOCGIFHWADDR", 0x8927}, {"SIOCGIFSLAVE", 0x8929},  {"SIOCSIFSLAVE", 0x8930},
    {"SIOCADDMULTI", 0x8931},  {"SIOCDELMULTI", 0x8932},  {"SIOCGIFINDEX", 0x8933},  {"SIOCSIFPFLAGS", 0x8934},
    {"SIOCGIFPFLAGS", 0x8935}, {"SIOCDIFADDR", 0x8936},   {"SIOCSIFHWBROADCAST", 0x8937}, {"SIOCGIFCOUNT", 0x8938},
    {"SIOCGIFTXQLEN", 0x8942}, {"SIOCSIFTXQLEN", 0x8943},
    {"SIOCGMIIPHY", 0x8947},   {"SIOCGMIIREG", 0x8948},   {"SIOCSMIIREG", 0x8949},   {"SIOCWANDEV", 0x894a},
    {"SIOCDARP", 0x8953},      {"SIOCGARP", 0x8954},      {"SIOCSARP", 0x8955},      {"SIOCDRARP", 0x8960},
    {"SIOCGIFMAP", 0x8970},    {"SIOCADDDLCI", 0x8980},   {"SIOCBONDENSLAVE", 0x8990}, {"SIOCBONDINFOQUERY", 0x8994}, {"SIOCSHWTSTAMP", 0x89b0}, {"SIOCGHWTSTAMP", 0x89b1}, {"SIOCDEVPRIVATE", 0x89f0}, {"SIOCDEVPRIVATE+1", 0x89f1}, {"unknown", 0x89ff},
    {"of other files", 0x5451}, {"TCGETS", 0x5401},       {"FIGETBSZ", 2},
};
enum { CMDS = sizeof cmds / sizeof *cmds };

static const char *outcome(int r) { return r == -1 ? strerrorname_np(errno) : r == 0 ? "0" : "more"; }

static void test_all(const char *who, int s, int k) {
  for (int c = 0; c < CMDS; c++) {
    char line[200];
    int at = 0;
    for (int how = 0; how < 4; how++) {
      union {
        struct ifreq ifr;
        struct arpreq arp;
        long words[40];
      } u;
      memset(&u, 0, sizeof u);
      if (how == 0) strcpy(u.ifr.ifr_name, "lo");
      if (how == 1) strcpy(u.ifr.ifr_name, "none");
      if (cmds[c].cmd == SIOCSIFTXQLEN) u.ifr.ifr_qlen = 1000;
      int r = ioctl(s, cmds[c].cmd, how == 3 ? BAD_PTR : (void *)&u);
      at += sprintf(line + at, " %s", outcome(r));
    }
    say("%s %s %s:%s", who, kinds[k].name, cmds[c].name, line);
  }
}

static void test_kinds(const char *who) {
  for (int k = 0; k < KINDS; k++) {
    int s = socket(kinds[k].domain, kinds[k].type | SOCK_CLOEXEC, kinds[k].protocol);
    if (s < 0) {
      ret(kinds[k].name, s);
      continue;
    }
    test_all(who, s, k);
    close(s);
  }
}

// SIOCGSTAMP: when the last datagram came.
static void test_stamps(int k) {
  int s = socket(kinds[k].domain, kinds[k].type | SOCK_CLOEXEC, 0);
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  int six = kinds[k].domain == AF_INET6;
  socklen_t l = six ? sizeof a6 : sizeof a;
  struct sockaddr *p = six ? (void *)&a6 : (void *)&a;
  struct timespec ts[2] = {{0}};
  char b[10];
  bind(s, p, l);
  getsockname(s, p, &l);
  connect(s, p, l);
  send(s, "x", 1, 0);
  ret("received", recv(s, b, sizeof b, 0));
  ret("SIOCGSTAMPNS before any", ioctl(s, 0x80108907, ts));
  send(s, "x", 1, 0);
  ret("received", recv(s, b, sizeof b, 0));
  ret("SIOCGSTAMPNS", ioctl(s, 0x80108907, ts));
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  is("a time", ts[0].tv_sec > 1000000 && ts[0].tv_sec <= now.tv_sec);
  ret("SIOCGSTAMP", ioctl(s, 0x8906, ts));
  is("a time", ts[0].tv_sec > 1000000 && ts[0].tv_nsec < 1000000);
  close(s);
}

static void test_owner(int k) {
  int s = socket(kinds[k].domain, kinds[k].type | SOCK_CLOEXEC, kinds[k].protocol), v;
  char line[200];
  int at = 0;
  static const int values[] = {0, 0x7ffffff};
  for (int i = 0; i < 2; i++) {
    int r = ioctl(s, 0x8902, &values[i]), q = ioctl(s, 0x8903, &v);
    at += sprintf(line + at, " %s %s %d", outcome(r), outcome(q), v);
  }
  v = getpid();
  int r = ioctl(s, 0x8901, &v), w = 0, q = ioctl(s, 0x8904, &w);
  say("%s owner:%s, %s %s %d %d", kinds[k].name, line, outcome(r), outcome(q), v == w, fcntl(s, F_GETOWN) == v);
  close(s);
}

int main(void) {
  if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) {
    say("no user namespaces here");
    return 0;
  }
  struct ifreq r = {.ifr_name = "lo", .ifr_flags = IFF_UP};
  int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ret("up", ioctl(s, SIOCSIFFLAGS, &r));
  close(s);
  test_stamps(5);
  test_stamps(6);
  for (int k = 0; k < KINDS; k++) test_owner(k);
  test_kinds("root");
  struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct none[2] = {{0, 0, 0}, {0, 0, 0}};
  ret("no capabilities", syscall(SYS_capset, &h, none));
  test_kinds("other");
  return 0;
}
