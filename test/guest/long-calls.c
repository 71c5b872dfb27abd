// Calls that move many megabytes, which the sandbox carries out in pieces: all is moved, in its place.
#include "guest.h"
#include <sys/random.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#define SIZE (5 << 20)

static unsigned word(size_t i) { return i * 2654435761u; }

static int holds_words(const unsigned *p, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (p[i] != word(i)) return 0;
  return 1;
}

// Ranges whose borders lie elsewhere on both sides.
static int cut(struct iovec *v, char *at, size_t piece) {
  int n = 0;
  for (size_t done = 0; done < SIZE; done += piece, n++)
    v[n] = (struct iovec){at + done, SIZE - done < piece ? SIZE - done : piece};
  return n;
}

static char *memory(void) { return mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }

int main(void) {
  struct iovec local[64], remote[64];
  unsigned *from = (unsigned *)memory(), *to = (unsigned *)memory();
  for (size_t i = 0; i < SIZE / 4; i++) from[i] = word(i);

  int n = cut(local, (char *)to, 700001), m = cut(remote, (char *)from, 1300003);
  ret("process_vm_readv", process_vm_readv(getpid(), local, n, remote, m, 0));
  is("as it was", holds_words(to, SIZE / 4));
  memset(to, 0, SIZE);
  n = cut(local, (char *)from, 3000001), m = cut(remote, (char *)to, 400009);
  ret("process_vm_writev", process_vm_writev(getpid(), local, n, remote, m, 0));
  is("as it was", holds_words(to, SIZE / 4));
  mprotect((char *)to + (4 << 20), 4096, PROT_NONE);
  local[0] = (struct iovec){from, SIZE}, remote[0] = (struct iovec){to, SIZE};
  ret("up to a hole", process_vm_writev(getpid(), local, 1, remote, 1, 0));
  mprotect((char *)to + (4 << 20), 4096, PROT_READ | PROT_WRITE);

  memset(to, 0, SIZE);
  ret("getrandom", getrandom(to, SIZE - 3, 0));
  int zeros = 0;
  for (size_t at = 0; at + 4096 <= SIZE; at += 4096) zeros += to[at / 4] == 0 && to[at / 4 + 1] == 0 && to[at / 4 + 2] == 0;
  is("everywhere", zeros == 0);
  is("no further", ((char *)to)[SIZE - 3] == 0 && ((char *)to)[SIZE - 1] == 0);

  int a = memfd_create("a", 0), b = memfd_create("b", 0);
  ret("write", write(a, from, SIZE));
  off_t at = 0;
  ret("sendfile", sendfile(b, a, &at, 2 * SIZE));
  say("offset %ld", (long)at);
  memset(to, 0, SIZE);
  ret("readv", preadv(b, (struct iovec[]){{to, SIZE}}, 1, 0));
  is("as it was", holds_words(to, SIZE / 4));
  return 0;
}
