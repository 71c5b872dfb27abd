// link: -w
// How much waits in the queues of sockets: SIOCINQ, SIOCOUTQ, SIOCOUTQNSD, SIOCATMARK.
#include "guest.h"
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static void queues(const char *what, int s) {
  static const struct { const char *name; int cmd; } all[] = {{"in", 0x541b}, {"out", 0x5411}, {"not sent", 0x894b}, {"at mark", 0x8905}};
  printf("%s:", what);
  for (int i = 0; i < 4; i++) {
    int v = -1, r = ioctl(s, all[i].cmd, &v);
    if (r < 0) printf(" %s %s", all[i].name, strerrorname_np(errno));
    else printf(" %s %d (%s)", all[i].name, v, ioctl(s, all[i].cmd, BAD_PTR) < 0 ? strerrorname_np(errno) : "0");
  }
  say("");
}

int main(void) {
  int unspec[2];
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t l = sizeof a;
  int lis = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0), v;
  queues("fresh", c);
  bind(lis, (void *)&a, sizeof a), listen(lis, 4), getsockname(lis, (void *)&a, &l);
  queues("listening", lis);
  connect(c, (void *)&a, sizeof a);
  int s = accept(lis, NULL, NULL);
  queues("connected", c), queues("accepted", s);
  send(c, "hello", 5, 0);
  struct pollfd p = {s, POLLIN, 0};
  poll(&p, 1, 10000);
  // Until it is acknowledged.
  for (int i = 0; i < 10000 && ioctl(c, 0x5411, &v) == 0 && v > 0; i++) sleep_ms(1);
  queues("sent", c), queues("arrived", s);
  // More than the other side takes: some of it stays here.
  static char much[1 << 16];
  fcntl(c, F_SETFL, O_NONBLOCK);
  int all = 0, waiting = 0;
  for (int i = 0; i < 10000; i++) {
    while (send(c, much, sizeof much, 0) > 0) {}
    if (ioctl(c, 0x894b, &waiting) < 0 || ioctl(c, 0x5411, &all) < 0 || (waiting > 0 && all >= waiting)) break;
    sleep_ms(1);
  }
  is("some was not sent", waiting > 0);
  is("all is more", all >= waiting);
  queues("UDP", socket(AF_INET, SOCK_DGRAM, 0));
  queues("TCP 6", socket(AF_INET6, SOCK_STREAM, 0));
  for (int type = SOCK_STREAM; type <= SOCK_SEQPACKET; type++) {
    if (socketpair(AF_UNIX, type, 0, unspec) < 0) continue;
    queues("unix", unspec[0]);
  }
  queues("netlink", socket(AF_NETLINK, SOCK_RAW, 0));
  return 0;
}
