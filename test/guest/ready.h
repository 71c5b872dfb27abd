// For guest programs that look at what poll(2) tells of descriptors, and at the states of sockets.
#ifndef READY_H
#define READY_H

#include "guest.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

enum { ALL = POLLIN | POLLPRI | POLLOUT | POLLRDHUP | POLLRDNORM | POLLRDBAND | POLLWRNORM | POLLWRBAND };

// What is ready now.
static inline int mask(int fd) {
  struct pollfd p = {fd, ALL, 0};
  poll(&p, 1, 0);
  return p.revents;
}

// Waits until all of `bits` are ready, at most some seconds; then what is.
static inline int until(int fd, int bits) {
  for (int i = 0; i < 50000 && (mask(fd) & bits) != bits; i++) usleep(100);
  return mask(fd);
}

// SO_ERROR, which is gone then.
static inline int so_error(int s) {
  int v = -1;
  socklen_t l = sizeof v;
  getsockopt(s, SOL_SOCKET, SO_ERROR, &v, &l);
  return v;
}

// The state of a connection (net/tcp_states.h), -1 if it is none of TCP's.
static inline int tcp_state(int s) {
  struct tcp_info i = {0};
  socklen_t l = sizeof i;
  return getsockopt(s, IPPROTO_TCP, TCP_INFO, &i, &l) < 0 ? -1 : i.tcpi_state;
}

static inline void until_tcp_state(int s, int want) {
  for (int i = 0; i < 50000 && tcp_state(s) != want; i++) usleep(100);
}

#endif
