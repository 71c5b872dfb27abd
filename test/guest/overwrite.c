// Writes of pages over bytes that a file has already: what changes, what does not, and where a fault or a limit ends them.
#include "guest.h"
#include <sys/resource.h>

enum { PAGE = 4096, SIZE = 16 * PAGE };
static char *from, now[SIZE + 4 * PAGE];

static void fill(int fd, char c) {
  memset(from, c, SIZE);
  if (pwrite(fd, from, SIZE, 0) != SIZE) say("cannot fill");
}

// Prints the runs of equal bytes.
static void show(const char *what, int fd) {
  long n = pread(fd, now, sizeof now, 0);
  printf("%s: %ld bytes", what, n);
  for (long i = 0, j; i < n; i = j) {
    for (j = i; j < n && now[j] == now[i]; j++) continue;
    if (now[i] == 0) printf(", %ld of nul", j - i);
    else printf(", %ld of %c", j - i, now[i]);
  }
  putchar('\n');
  fflush(stdout);
}

static void on(const char *kind, int fd) {
  struct stat st;
  struct timespec old[2] = {{1, 0}, {1, 0}};
  say("-- %s", kind);
  fill(fd, 'a');
  memset(from, 'b', SIZE);
  futimens(fd, old);
  ret("two pages at 100", pwrite(fd, from, 2 * PAGE, 100));
  show("after it", fd);
  fstat(fd, &st);
  is("it is a change", st.st_mtime > 1 && st.st_ctime > 1 && st.st_size == SIZE);

  // The last page of the buffer cannot be read.
  char *end = from + SIZE;
  ret("nothing readable", pwrite(fd, end, 2 * PAGE, 0));
  ret("one page readable", pwrite(fd, end - PAGE, 2 * PAGE, 3 * PAGE));
  show("after it", fd);

  lseek(fd, 5 * PAGE, SEEK_SET);
  memset(from, 'c', SIZE);
  ret("at the position", write(fd, from, PAGE));
  ret("which moves", lseek(fd, 0, SEEK_CUR));
  ret("over the end", pwrite(fd, from, 2 * PAGE, SIZE - PAGE));
  show("after it", fd);

  fcntl(fd, F_SETFL, O_APPEND);
  memset(from, 'd', SIZE);
  ret("appended wherever", pwrite(fd, from, PAGE, 0));
  show("after it", fd);
  fcntl(fd, F_SETFL, 0);

  struct rlimit saved, limit;
  getrlimit(RLIMIT_FSIZE, &saved);
  limit = saved;
  limit.rlim_cur = PAGE + 10;
  setrlimit(RLIMIT_FSIZE, &limit);
  memset(from, 'e', SIZE);
  ret("over the limit", pwrite(fd, from, 2 * PAGE, 0));
  setrlimit(RLIMIT_FSIZE, &saved);
  show("after it", fd);

  ftruncate(fd, 0);
  ftruncate(fd, SIZE);
  ret("into a hole", pwrite(fd, from, PAGE, 2 * PAGE));
  ret("over it", pwrite(fd, from, PAGE, 2 * PAGE));
  ret("half over it", pwrite(fd, from, PAGE, 2 * PAGE + PAGE / 2));
  show("after it", fd);

  fill(fd, 'a');
  fchmod(fd, 06755);
  pid_t p = fork();
  if (p == 0) {
    if (setresgid(1000, 1000, 1000) < 0 || setresuid(1000, 1000, 1000) < 0) _exit(1);
    memset(from, 'f', SIZE);
    _exit(pwrite(fd, from, PAGE, 0) == PAGE ? 0 : 2);
  }
  int status;
  waitpid(p, &status, 0);
  ret("by another user", WEXITSTATUS(status));
  fstat(fd, &st);
  say("mode %o", st.st_mode & 07777);

  char *m = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
  memset(from, 'g', SIZE);
  ret("while it is mapped", pwrite(fd, from, 2 * PAGE, PAGE));
  say("mapping: %c %c %c %c", m[0], m[PAGE], m[3 * PAGE - 1], m[3 * PAGE]);
  munmap(m, SIZE);
  show("after it", fd);
}

int main(void) {
  signal(SIGXFSZ, SIG_IGN);
  from = mmap(NULL, SIZE + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  mprotect(from + SIZE, PAGE, PROT_NONE);
  int fd = memfd_create("m", MFD_ALLOW_SEALING);
  on("memfd", fd);
  ftruncate(fd, SIZE);
  fcntl(fd, F_ADD_SEALS, F_SEAL_GROW);
  ret("sealed against growth", pwrite(fd, from, PAGE, 0));
  fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE);
  ret("sealed against writing", pwrite(fd, from, PAGE, 0));
  close(fd);
  int shm = open("/dev/shm/overwrite", O_RDWR | O_CREAT | O_TRUNC, 0600);
  unlink("/dev/shm/overwrite");
  on("tmpfs", shm);
  close(shm);
  int file = open("overwrite-file", O_RDWR | O_CREAT | O_TRUNC, 0600);
  unlink("overwrite-file");
  on("file", file);
  return 0;
}
