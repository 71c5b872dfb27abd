// /proc/locks and the lock lines of /proc/self/fdinfo, for a file of memory, whose inode number is known to both.
#pragma GCC diagnostic ignored "-Wunused-result"
#include "guest.h"
#include <ctype.h>
#include <sys/file.h>
#include <sys/sysmacros.h>

static char key[60];
static pid_t child;
static char lines[40][200];

static int cmp(const void *a, const void *b) { return strcmp(a, b); }

// The lines about the file without what varies: numbers of locks, processes, the file's own.
static int collect(const char *path) {
  FILE *f = fopen(path, "r");
  char line[200];
  int n = 0;
  while (f && n < 40 && fgets(line, sizeof line, f)) {
    char *at = strstr(line, key), *p = line;
    if (at == NULL) continue;
    char *pid = at - 1;
    while (pid[-1] != ' ') pid--;
    int nr = atoi(pid);
    pid[0] = 0;
    p = strchr(line, ':');
    if (!strncmp(line, "lock:", 5)) p = strchr(p + 1, ':');
    line[strcspn(line, "\n")] = 0;
    at[strlen(at) - 1] = at[strlen(at) - 1] == '\n' ? 0 : at[strlen(at) - 1];
    snprintf(lines[n++], 200, "%s%s FILE%s", p + 1,
             nr == getpid() ? "SELF" : nr == child ? "CHILD" : nr == -1 ? "-1" : "OTHER", at + strlen(key));
  }
  if (f) fclose(f);
  qsort(lines, n, 200, cmp);
  return n;
}

static void show(const char *what) {
  int n = collect("/proc/locks");
  for (int i = 0; i < n; i++) say("%s:%s", what, lines[i]);
  if (n == 0) say("%s: none", what);
}

static void info(const char *what, int fd) {
  char path[60];
  sprintf(path, "/proc/self/fdinfo/%d", fd);
  int n = collect(path);
  for (int i = 0; i < n; i++) say("%s, fdinfo:%s", what, lines[i]);
  if (n == 0) say("%s, fdinfo: none", what);
}

static int lock(int fd, int cmd, int type, off_t start, off_t len) {
  struct flock fl = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
  return fcntl(fd, cmd, &fl);
}

static void until_blocked(void) {
  for (;; sleep_ms(1)) {
    int n = collect("/proc/locks");
    for (int i = 0; i < n; i++) if (strstr(lines[i], "->")) return;
  }
}

int main(void) {
  int fd = memfd_create("locks", 0);
  struct stat st;
  char path[40];
  fstat(fd, &st);
  sprintf(key, "%02x:%02x:%lu ", major(st.st_dev), minor(st.st_dev), (unsigned long)st.st_ino);
  sprintf(path, "/proc/self/fd/%d", fd);
  int other = open(path, O_RDWR);
  show("nothing");
  lock(fd, F_SETLK, F_WRLCK, 10, 20);
  show("write");
  info("write", fd);
  info("other descriptor", other);
  lock(fd, F_SETLK, F_RDLCK, 20, 0);
  show("read to the end");
  lock(fd, F_SETLK, F_UNLCK, 0, 0);
  show("unlocked");
  lock(other, F_OFD_SETLK, F_WRLCK, 5, 1);
  show("ofd");
  info("ofd", other);
  info("ofd not ours", fd);
  flock(fd, LOCK_SH);
  show("flock too");
  info("flock", fd);
  flock(fd, LOCK_UN);
  lock(other, F_OFD_SETLK, F_UNLCK, 0, 0);
  lock(fd, F_SETLK, F_RDLCK, 1, 1);
  child = fork();
  if (child == 0) {
    lock(fd, F_SETLKW, F_WRLCK, 0, 4);
    show("child has it");
    _exit(0);
  }
  until_blocked();
  show("blocked");
  lock(fd, F_SETLK, F_UNLCK, 0, 0);
  wait_say("child", child);
  flock(fd, LOCK_EX);
  child = fork();
  if (child == 0) {
    int own = open(path, O_RDWR);
    flock(own, LOCK_EX);
    _exit(0);
  }
  until_blocked();
  show("blocked flock");
  kill(child, SIGKILL);
  wait_say("child", child);
  show("nobody waits");
  // Whose lock it is outlives neither the process nor the open file.
  child = fork();
  if (child == 0) {
    lock(fd, F_SETLK, F_WRLCK, 100, 1);
    _exit(0);
  }
  wait_say("child", child);
  close(other);
  show("left");
  flock(fd, LOCK_UN);
  show("end");
  return 0;
}
