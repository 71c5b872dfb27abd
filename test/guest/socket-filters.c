// link: -w
// Classic filters of sockets: attached, read back, locked, taken off, and what they let through.
#include "guest.h"
#include <arpa/inet.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <sys/socket.h>

#define SO_ATTACH_REUSEPORT_CBPF 51

static int bound(struct sockaddr_in *a) {
  int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  *a = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t l = sizeof *a;
  bind(s, (void *)a, sizeof *a);
  getsockname(s, (void *)a, &l);
  return s;
}

static int attach(int s, int name, struct sock_filter *code, int n) {
  struct sock_fprog p = {n, code};
  return setsockopt(s, SOL_SOCKET, name, &p, sizeof p);
}

int main(void) {
  struct sockaddr_in a, b;
  int s = bound(&a), c = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  char buf[100];
  // UDP's filters see the header: 8 bytes, then the data. Datagrams that begin with 'y' pass, cut to 4 bytes of data.
  struct sock_filter only_y[] = {
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 8),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 'y', 0, 1),
      BPF_STMT(BPF_RET | BPF_K, 12),
      BPF_STMT(BPF_RET | BPF_K, 0),
  };
  struct sock_filter bad[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0)};
  struct sock_filter far[] = {BPF_JUMP(BPF_JMP | BPF_JA, 7, 0, 0), BPF_STMT(BPF_RET | BPF_K, 0)};
  socklen_t n = sizeof buf;
  ret("none yet", getsockopt(s, SOL_SOCKET, SO_GET_FILTER, buf, &n));
  say("%u", n);
  ret("detach none", setsockopt(s, SOL_SOCKET, SO_DETACH_FILTER, buf, 4));
  ret("without return", attach(s, SO_ATTACH_FILTER, bad, 1));
  ret("jump out", attach(s, SO_ATTACH_FILTER, far, 2));
  ret("empty", attach(s, SO_ATTACH_FILTER, only_y, 0));
  ret("too long", attach(s, SO_ATTACH_FILTER, only_y, 4097));
  ret("no program", attach(s, SO_ATTACH_FILTER, NULL, 4));
  ret("unreadable program", attach(s, SO_ATTACH_FILTER, BAD_PTR, 4));
  ret("attach", attach(s, SO_ATTACH_FILTER, only_y, 4));
  sendto(c, "no", 2, 0, (void *)&a, sizeof a);
  sendto(c, "yes, please", 11, 0, (void *)&a, sizeof a);
  ret("recv", recv(s, buf, sizeof buf, MSG_TRUNC));
  ret("no more", recv(s, buf, sizeof buf, MSG_DONTWAIT));
  struct sock_filter back[8] = {0};
  n = 0;
  ret("how long", getsockopt(s, SOL_SOCKET, SO_GET_FILTER, back, &n));
  say("%u", n);
  n = 3;
  ret("too short", getsockopt(s, SOL_SOCKET, SO_GET_FILTER, back, &n));
  n = 8;
  ret("read", getsockopt(s, SOL_SOCKET, SO_GET_FILTER, back, &n));
  say("%u", n);
  is("the same", memcmp(back, only_y, sizeof only_y) == 0);
  n = 8;
  ret("unreadable", getsockopt(s, SOL_SOCKET, SO_GET_FILTER, BAD_PTR, &n));
  ret("detach", setsockopt(s, SOL_SOCKET, SO_DETACH_FILTER, buf, 4));
  sendto(c, "no", 2, 0, (void *)&a, sizeof a);
  ret("all pass", recv(s, buf, sizeof buf, 0));
  ret("attach again", attach(s, SO_ATTACH_FILTER, only_y, 4));
  int one = 1, zero = 0;
  ret("lock", setsockopt(s, SOL_SOCKET, SO_LOCK_FILTER, &one, 4));
  ret("unlock", setsockopt(s, SOL_SOCKET, SO_LOCK_FILTER, &zero, 4));
  ret("detach locked", setsockopt(s, SOL_SOCKET, SO_DETACH_FILTER, buf, 4));
  ret("attach locked", attach(s, SO_ATTACH_FILTER, only_y, 4));
  ret("eBPF of no descriptor", setsockopt(c, SOL_SOCKET, SO_ATTACH_BPF, &(int){-1}, 4));
  ret("eBPF of a socket", setsockopt(c, SOL_SOCKET, SO_ATTACH_BPF, &s, 4));
  ret("eBPF of a length", setsockopt(c, SOL_SOCKET, SO_ATTACH_BPF, buf, 8));

  // Of two sockets on one port the second one gets everything.
  struct sock_filter second[] = {BPF_STMT(BPF_RET | BPF_K, 1)};
  int x = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), y = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  setsockopt(x, SOL_SOCKET, SO_REUSEPORT, &one, 4);
  setsockopt(y, SOL_SOCKET, SO_REUSEPORT, &one, 4);
  a.sin_port = 0;
  socklen_t l = sizeof a;
  bind(x, (void *)&a, sizeof a);
  getsockname(x, (void *)&a, &l);
  ret("bind", bind(y, (void *)&a, sizeof a));
  ret("choose", attach(x, SO_ATTACH_REUSEPORT_CBPF, second, 1));
  for (int i = 0; i < 8; i++) {
    int d = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sendto(d, "x", 1, 0, (void *)&a, sizeof a);
    close(d);
  }
  int got = 0;
  while (recv(y, buf, sizeof buf, MSG_DONTWAIT) == 1) got++;
  say("%d", got);
  ret("first", recv(x, buf, sizeof buf, MSG_DONTWAIT));
  return 0;
}
