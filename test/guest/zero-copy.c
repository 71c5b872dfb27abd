// MSG_ZEROCOPY: completions come to the error queue, each call has a number.
#include "guest.h"
#include <arpa/inet.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

static char data[8000];

static void show(struct msghdr *h) {
  struct cmsghdr *c = CMSG_FIRSTHDR(h);
  struct sock_extended_err *e = (void *)CMSG_DATA(c);
  say(" level %d type %d length %d errno %u origin %d code %d", c->cmsg_level, c->cmsg_type, (int)c->cmsg_len, e->ee_errno,
      e->ee_origin, e->ee_code);
}

// Reads completions until call `last` is done: which come together varies.
static void completions(int s, unsigned first, unsigned last) {
  int shown = 0, in_order = 1;
  for (unsigned next = first; next <= last;) {
    struct pollfd p = {s, 0, 0};
    char control[200];
    struct sockaddr_storage from;
    struct msghdr h = {&from, sizeof from, NULL, 0, control, sizeof control, 0};
    if (poll(&p, 1, 5000) != 1) {
      say(" nothing comes");
      return;
    }
    if (!shown) say(" revents %x", p.revents);
    int n = recvmsg(s, &h, MSG_ERRQUEUE);
    if (n < 0) continue;
    struct sock_extended_err *e = (void *)CMSG_DATA(CMSG_FIRSTHDR(&h));
    if (!shown++) say(" n %d flags %x name %u", n, h.msg_flags, h.msg_namelen), show(&h);
    in_order &= e->ee_info == next;
    next = e->ee_data + 1;
  }
  is("numbers", in_order);
  ret("no more", recv(s, data, 0, MSG_ERRQUEUE));
}

static void test(int family, int type) {
  struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  struct sockaddr *a = family == AF_INET ? (void *)&a4 : (void *)&a6;
  socklen_t l = family == AF_INET ? sizeof a4 : sizeof a6;
  int r = socket(family, type, 0), s = socket(family, type, 0), one = 1, d = r;
  say("family %d type %d", family, type);
  ok("bind", bind(r, a, l));
  getsockname(r, a, &l);
  if (type == SOCK_STREAM) listen(r, 1);
  ok("connect", connect(s, a, l));
  if (type == SOCK_STREAM) d = accept(r, NULL, NULL);
  ret("without the option", send(s, data, 100, MSG_ZEROCOPY));
  recv(d, data, 100, MSG_WAITALL);
  ret("nothing to tell", recv(s, data, 0, MSG_ERRQUEUE));
  ret("option", setsockopt(s, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof one));
  ret("send", send(s, data, 1000, MSG_ZEROCOPY));
  ret("recv", recv(d, data, 1000, MSG_WAITALL));
  completions(s, 0, 0);
  ret("usual send", send(s, data, 1000, 0));
  ret("recv", recv(d, data, 1000, MSG_WAITALL));
  struct iovec v[2] = {{data, 500}, {data, 500}};
  struct mmsghdr m[2] = {{.msg_hdr = {.msg_iov = v, .msg_iovlen = 2}}, {.msg_hdr = {.msg_iov = v, .msg_iovlen = 2}}};
  ret("sendmmsg", sendmmsg(s, m, 2, MSG_ZEROCOPY));
  for (int i = 0; i < 2; i++) ret("recv", recv(d, data, 1000, MSG_WAITALL));
  ret("send", send(s, data, 1000, MSG_ZEROCOPY));
  ret("recv", recv(d, data, 1000, MSG_WAITALL));
  completions(s, 1, 3);
  close(s), close(r);
  if (d != r) close(d);
}

int main(void) {
  test(AF_INET, SOCK_DGRAM);
  test(AF_INET, SOCK_STREAM);
  test(AF_INET6, SOCK_DGRAM);
  test(AF_INET6, SOCK_STREAM);
  return 0;
}
