// For differential guest programs: each prints one line per case, the same on Linux and in the sandbox. The runner
// (test/differential) runs the program natively first and compares line by line, so print nothing that varies:
// no pids, addresses, times or inode numbers, only relations between them.
#ifndef GUEST_H
#define GUEST_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// A pointer that is never mapped, and a page that is PROT_NONE.
#define BAD_PTR ((void *)0x10)

// `name = 3` or `name = -1 ENOENT`. Use: ret("open missing", open(...));
static inline long ret(const char *name, long r) {
  int e = errno;
  if (r == -1) printf("%s = -1 %s\n", name, strerrorname_np(e));
  else printf("%s = %ld\n", name, r);
  fflush(stdout);
  return r;
}

// `name ok` or `name FAIL`. For facts that must hold on Linux too.
static inline void is(const char *name, int fact) {
  printf("%s %s\n", name, fact ? "ok" : "FAIL");
  fflush(stdout);
}

// `name succeeds` or the errno, where the value itself varies (descriptors, addresses, pids).
static inline long ok(const char *name, long r) {
  int e = errno;
  printf("%s %s\n", name, r == -1 ? strerrorname_np(e) : "succeeds");
  fflush(stdout);
  return r;
}

static inline void say(const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  vprintf(fmt, ap);
  va_end(ap);
  putchar('\n');
  fflush(stdout);
}

// A number, or the name of the errno if it is negative; for a line with several of them. Text of the last eight calls is kept.
static inline const char *err(long r) {
  static char text[8][40];
  static int at;
  char *s = text[at++ & 7];
  if (r < 0) snprintf(s, sizeof text[0], "%s", strerrorname_np(errno));
  else snprintf(s, sizeof text[0], "%ld", r);
  return s;
}

static inline void sleep_ms(int ms) {
  struct timespec ts = {ms / 1000, (ms % 1000) * 1000000L};
  while (nanosleep(&ts, &ts) < 0 && errno == EINTR) {}
}

// Until the process is in the state that ps(1) calls so: 'S' sleeping, 'Z' a zombie, 'T' stopped.
static inline void until_state(pid_t pid, char state) {
  char path[40], line[200];
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  for (char now = 0; now != state; sleep_ms(1)) {
    FILE *f = fopen(path, "r");
    if (f == NULL) return;
    if (fgets(line, sizeof line, f) != NULL) now = strrchr(line, ')')[2];
    fclose(f);
  }
}

// Until the thread has told its id and sleeps, or is `done`.
static inline void until_asleep(const volatile pid_t *tid, const volatile int *done) {
  char path[64], line[200];
  for (int i = 0; i < 100000 && !(done && *done); i++, usleep(100)) {
    if (*tid == 0) continue;
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", *tid);
    FILE *f = fopen(path, "r");
    char *r = f ? fgets(line, sizeof line, f) : NULL;
    if (f) fclose(f);
    if (r && strrchr(line, ')')[2] == 'S') return;
  }
}

// Makes a file, or writes it anew.
static inline void put_file(const char *name, const char *text) {
  int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (fd < 0 || write(fd, text, strlen(text)) < 0) say("put %s failed: %s", name, strerrorname_np(errno));
  close(fd);
}

// Reads a whole file as a string; its length, or -1.
static inline long get_file(const char *path, char *text, size_t size) {
  int fd = open(path, O_RDONLY);
  if (fd < 0) {
    say("%s: %s", path, strerrorname_np(errno));
    return -1;
  }
  long n = 0, r;
  while ((r = read(fd, text + n, size - 1 - n)) > 0) n += r;
  text[n] = 0;
  close(fd);
  return r < 0 ? -1 : n;
}

// Waits for `pid` and prints how it ended.
static inline void wait_say(const char *name, pid_t pid) {
  int st = 0;
  if (waitpid(pid, &st, 0) != pid) {
    say("%s: waitpid %s", name, strerrorname_np(errno));
    return;
  }
  if (WIFEXITED(st)) say("%s: exit %d", name, WEXITSTATUS(st));
  else if (WIFSIGNALED(st)) say("%s: signal %d%s", name, WTERMSIG(st), WCOREDUMP(st) ? " core" : "");
  else say("%s: status %x", name, st);
}

// Runs `fn` in a child, and prints how that ended.
static inline void in_child(const char *name, void (*fn)(void)) {
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    fn();
    fflush(stdout);
    _exit(0);
  }
  wait_say(name, pid);
}

#endif
