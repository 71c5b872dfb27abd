// Urgent bytes of AF_UNIX streams taken one after the other: of the marks that stay in the queue a read sees one end only.
#include "guest.h"
#include <sys/socket.h>

static int s[2];
static void tx(const char *data, int flags) { ret(data, send(s[1], data, strlen(data), flags)); }
static void rx(const char *name, int len, int flags) {
  char b[16] = {0};
  ssize_t n = ret(name, recv(s[0], b, len, flags | MSG_DONTWAIT));
  if (n > 0) say("got %s", b);
}

int main(void) {
  socketpair(AF_UNIX, SOCK_STREAM, 0, s);
  tx("A", MSG_OOB), rx("urgent", 1, MSG_OOB);
  tx("B", MSG_OOB), rx("urgent", 1, MSG_OOB);
  tx("C", MSG_OOB), rx("plain", 1, 0), rx("urgent", 1, MSG_OOB), rx("plain", 4, 0);
  tx("xyz", 0), tx("D", MSG_OOB), rx("urgent", 1, MSG_OOB), tx("E", MSG_OOB);
  rx("plain", 8, 0), rx("plain", 8, 0), rx("urgent", 1, MSG_OOB), rx("plain", 8, 0);
  return 0;
}
