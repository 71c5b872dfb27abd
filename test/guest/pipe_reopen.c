#include "guest.h"

int main(void) {
  int p[2];
  char name[64], c = 0;
  if (pipe(p) < 0) return 1;
  ret("write", write(p[1], "a", 1));
  close(p[1]);
  // fs/pipe.c fifo_open: a pipe, unlike a FIFO, opens at once although nobody writes any more.
  snprintf(name, sizeof name, "/proc/self/fd/%d", p[0]);
  int again = ok("open of a pipe without writers", open(name, O_RDONLY));
  ret("read", read(again, &c, 1));
  ret("read at the end", read(again, &c, 1));
  ok("open for writing", p[1] = open(name, O_WRONLY));
  ret("write again", write(p[1], "bc", 2));
  ret("read by the first", read(p[0], &c, 1));
  is("byte", c == 'b');
  ret("readlink is a pipe", readlink(name, name, 5));
  is("name", !memcmp(name, "pipe:", 5));
  return 0;
}
