// link: -w
// device: /dev/net/tun
// /dev/net/tun in a network namespace of the process's own: interfaces of both kinds, packets and frames in both directions.
#include "guest.h"
#include <arpa/inet.h>
#include <linux/capability.h>
#include <linux/if_ether.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static const char path[] = "/dev/net/tun";
static unsigned char buf[70000];

static int open_tun(void) { return open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC); }

static int attach(int fd, const char *name, int flags) {
  struct ifreq r = {.ifr_flags = flags};
  strcpy(r.ifr_name, name);
  return ioctl(fd, TUNSETIFF, &r);
}

static int configure(const char *name, const char *address) {
  int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  struct ifreq r = {0};
  strcpy(r.ifr_name, name);
  struct sockaddr_in *a = (void *)&r.ifr_addr;
  a->sin_family = AF_INET;
  inet_pton(AF_INET, address, &a->sin_addr);
  int e = ioctl(s, SIOCSIFADDR, &r);
  inet_pton(AF_INET, "255.255.255.0", &a->sin_addr);
  e |= ioctl(s, SIOCSIFNETMASK, &r);
  e |= ioctl(s, SIOCGIFFLAGS, &r);
  r.ifr_flags |= IFF_UP;
  e |= ioctl(s, SIOCSIFFLAGS, &r);
  close(s);
  return e;
}

static unsigned short checksum(const void *p, int n) {
  const unsigned short *w = p;
  unsigned sum = 0;
  for (int i = 0; i < n / 2; i++) sum += w[i];
  sum = (sum & 0xffff) + (sum >> 16);
  return ~(sum + (sum >> 16));
}

// What is not IPv4 (router solicitations, neighbours) is passed over.
static int next_packet(int fd, int at) {
  struct pollfd f = {fd, POLLIN, 0};
  for (;;) {
    poll(&f, 1, -1);
    int n = read(fd, buf, sizeof buf);
    if (n < 0) return n;
    if (n >= at + 20 && buf[at] == 0x45) return n;
  }
}

static int ping(unsigned char *to, const char *from, const char *address) {
  struct iphdr ip = {.version = 4, .ihl = 5, .tot_len = htons(28), .ttl = 64, .protocol = IPPROTO_ICMP};
  struct icmphdr icmp = {.type = ICMP_ECHO, .un.echo = {htons(7), htons(1)}};
  inet_pton(AF_INET, from, &ip.saddr);
  inet_pton(AF_INET, address, &ip.daddr);
  ip.check = checksum(&ip, sizeof ip);
  icmp.checksum = checksum(&icmp, sizeof icmp);
  memcpy(to, &ip, sizeof ip);
  memcpy(to + sizeof ip, &icmp, sizeof icmp);
  return sizeof ip + sizeof icmp;
}

static void test_unattached(void) {
  int fd = open_tun();
  struct ifreq r = {0};
  unsigned features = 0;
  ret("read", read(fd, buf, 10));
  ret("write", write(fd, buf, 10));
  struct pollfd f = {fd, POLLIN | POLLOUT, 0};
  ret("poll", poll(&f, 1, 0));
  say("events %x", f.revents);
  ret("TUNGETIFF", ioctl(fd, TUNGETIFF, &r));
  ret("TUNSETPERSIST", ioctl(fd, TUNSETPERSIST, 1));
  ret("TUNGETFEATURES", ioctl(fd, TUNGETFEATURES, &features));
  is("both kinds", (features & (IFF_TUN | IFF_TAP | IFF_NO_PI)) == (IFF_TUN | IFF_TAP | IFF_NO_PI));
  ret("TUNGETFEATURES to nowhere", ioctl(fd, TUNGETFEATURES, BAD_PTR));
  ret("TUNSETIFF from nowhere", ioctl(fd, TUNSETIFF, BAD_PTR));
  ret("no kind", attach(fd, "t0", 0));
  ret("both kinds", attach(fd, "t0", IFF_TUN | IFF_TAP));
  ret("lseek", lseek(fd, 0, SEEK_SET));
  ret("unknown", ioctl(fd, 0x5411, &r));
  close(fd);
}

static void test_names(void) {
  int fd = open_tun(), other = open_tun();
  struct ifreq r = {.ifr_flags = IFF_TUN | IFF_NO_PI};
  ret("any name", ioctl(fd, TUNSETIFF, &r));
  say("%s %x", r.ifr_name, r.ifr_flags);
  ret("attached already", attach(fd, "t1", IFF_TUN));
  ret("in use", attach(other, "tun0", IFF_TUN | IFF_NO_PI));
  ret("of another kind", attach(other, "tun0", IFF_TAP | IFF_NO_PI));
  ret("no such device", attach(other, "lo", IFF_TUN));
  ret("a pattern", (strcpy(r.ifr_name, "t%d"), ioctl(other, TUNSETIFF, &r)));
  say("%s", r.ifr_name);
  memset(&r, 0, sizeof r);
  ret("TUNGETIFF", ioctl(other, TUNGETIFF, &r));
  say("%s %x", r.ifr_name, r.ifr_flags);
  is("there", if_nametoindex("t0") != 0);
  close(other);
  is("gone", if_nametoindex("t0") == 0);
  ret("persistent", ioctl(fd, TUNSETPERSIST, 1));
  close(fd);
  is("still there", if_nametoindex("tun0") != 0);
  fd = open_tun();
  ret("again", attach(fd, "tun0", IFF_TUN | IFF_NO_PI));
  ret("TUNSETOWNER", ioctl(fd, TUNSETOWNER, 0));
  ret("not persistent", ioctl(fd, TUNSETPERSIST, 0));
  int v = 0;
  ret("TUNGETSNDBUF", ioctl(fd, TUNGETSNDBUF, &v));
  v = 5000;
  ret("TUNSETSNDBUF", ioctl(fd, TUNSETSNDBUF, &v));
  ret("TUNGETSNDBUF", ioctl(fd, TUNGETSNDBUF, &v));
  say("%d", v);
  ret("TUNGETVNETHDRSZ", ioctl(fd, TUNGETVNETHDRSZ, &v));
  say("%d", v);
  ret("TUNSETOFFLOAD", ioctl(fd, TUNSETOFFLOAD, 0));
  ret("TUNSETOFFLOAD of nothing known", ioctl(fd, TUNSETOFFLOAD, 0x1000000));
  ret("unknown", ioctl(fd, 0x5411, &r));
  close(fd);
  is("gone with it", if_nametoindex("tun0") == 0);
}

static void test_tun(int pi) {
  int fd = open_tun(), at = pi ? 4 : 0;
  say("tun %s headers", pi ? "with" : "without");
  ret("TUNSETIFF", attach(fd, "t0", IFF_TUN | (pi ? 0 : IFF_NO_PI)));
  ret("down: write", write(fd, buf, 40));
  ret("configure", configure("t0", "10.3.0.1"));
  ret("short", write(fd, buf, 1));
  // To the other side.
  int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(4000), .sin_addr.s_addr = inet_addr("10.3.0.2")};
  ret("sendto", sendto(s, "hello", 5, 0, (void *)&a, sizeof a));
  ret("read", next_packet(fd, at));
  struct iphdr *ip = (void *)(buf + at);
  say("protocol %d to %s: %.5s", ip->protocol, inet_ntoa((struct in_addr){ip->daddr}), (char *)buf + at + 28);
  if (pi) say("flags %d protocol %04x", buf[0] + buf[1], buf[2] << 8 | buf[3]);
  ret("sendto", sendto(s, "longer than the buffer", 22, 0, (void *)&a, sizeof a));
  struct pollfd f = {fd, POLLIN, 0};
  int n;
  do poll(&f, 1, -1);
  while ((n = read(fd, buf, at + 26)) > 0 && buf[at] != 0x45);
  ret("read less", n);
  if (pi) say("flags %d", buf[0] + buf[1]);
  // From the other side.
  memset(buf, 0, 4);
  if (pi) buf[2] = 8;
  n = ping(buf + at, "10.3.0.2", "10.3.0.1");
  ret("write", write(fd, buf, n + at));
  ret("reply", next_packet(fd, at));
  say("type %d", buf[at + 20]);
  close(s);
  close(fd);
}

// A guest that waits is woken by what comes.
static void test_waiting(void) {
  int fd = open(path, O_RDWR | O_CLOEXEC);
  ret("TUNSETIFF", attach(fd, "t0", IFF_TUN | IFF_NO_PI));
  ret("configure", configure("t0", "10.3.0.1"));
  pid_t pid = fork();
  if (pid == 0) {
    for (;;) {
      int n = read(fd, buf, sizeof buf);
      if (n >= 33 && buf[0] == 0x45) _exit(n);
    }
  }
  until_state(pid, 'S');
  int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(4000), .sin_addr.s_addr = inet_addr("10.3.0.2")};
  ret("sendto", sendto(s, "hello", 5, 0, (void *)&a, sizeof a));
  wait_say("reader", pid);
  int e = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event ev = {.events = EPOLLIN | EPOLLET};
  ret("epoll", epoll_ctl(e, EPOLL_CTL_ADD, fd, &ev));
  ret("sendto", sendto(s, "hello", 5, 0, (void *)&a, sizeof a));
  ret("epoll_wait", epoll_wait(e, &ev, 1, 10000));
  close(e);
  close(s);
  close(fd);
}

static void test_tap(void) {
  int fd = open_tun();
  ret("TUNSETIFF", attach(fd, "tap%d", IFF_TAP | IFF_NO_PI));
  struct ifreq r = {0};
  ret("SIOCGIFHWADDR", ioctl(fd, SIOCGIFHWADDR, &r));
  memcpy(r.ifr_hwaddr.sa_data, "\2\0\0\0\0\1", 6);
  ret("SIOCSIFHWADDR", ioctl(fd, SIOCSIFHWADDR, &r));
  ret("configure", configure("tap0", "10.4.0.1"));
  // Who has 10.4.0.1?
  static const unsigned char question[42] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 2, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1,
                                             2, 0, 0, 0, 0, 2, 10, 4, 0, 2, 0, 0, 0, 0, 0, 0, 10, 4, 0, 1};
  ret("write", write(fd, question, sizeof question));
  struct pollfd f = {fd, POLLIN, 0};
  do poll(&f, 1, -1);
  while (read(fd, buf, sizeof buf) > 0 && (buf[12] != 8 || buf[13] != 6));
  say("answer %d of %02x:%02x", buf[21], buf[22], buf[27]);
  memcpy(buf, "\2\0\0\0\0\1\2\0\0\0\0\2\x8\0", 14);
  int n = ping(buf + 14, "10.4.0.2", "10.4.0.1");
  ret("write", write(fd, buf, n + 14));
  ret("reply", next_packet(fd, 14));
  say("type %d", buf[34]);
  ret("less than a header", write(fd, buf, 10));
  close(fd);
}

// A descriptor belongs to the namespace that it was opened in.
static void test_namespaces(void) {
  int fd = open_tun();
  ret("another", unshare(CLONE_NEWNET));
  ret("TUNSETIFF", attach(fd, "t0", IFF_TUN | IFF_NO_PI));
  is("not here", if_nametoindex("t0") == 0);
  int here = open_tun();
  ret("TUNSETIFF", attach(here, "t0", IFF_TUN | IFF_NO_PI));
  is("here", if_nametoindex("t0") != 0);
  close(fd);
  close(here);
}

static void test_without_rights(void) {
  pid_t pid = fork();
  if (pid == 0) {
    struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct none[2] = {{0, 0, 0}, {0, 0, 0}};
    ret("no capabilities", syscall(SYS_capset, &h, none));
    int fd = open_tun();
    ret("TUNSETIFF", attach(fd, "t0", IFF_TUN));
    ret("TUNGETIFF", ioctl(fd, TUNGETIFF, buf));
    _exit(0);
  }
  wait_say("without rights", pid);
}

int main(void) {
  if (unshare(CLONE_NEWNET) < 0) return 1;
  test_unattached();
  test_names();
  test_tun(0);
  test_tun(1);
  test_waiting();
  test_tap();
  test_namespaces();
  test_without_rights();
  return 0;
}
