// execve among threads, from vfork children and from other threads than the leader; failing exec leaves all as it was.
#include "guest.h"
#include <pthread.h>
#include <spawn.h>

extern char **environ;
static char self[4096];

static void *spin(void *a) {
  volatile long *n = a;
  for (;;) ++*n;
  return 0;
}
static void *sleeper(void *a) {
  (void)a;
  pause();
  return 0;
}
static void *execer(void *a) {
  sleep_ms(20);
  char *argv[] = {"x", a, 0};
  execve(self, argv, environ);
  return 0;
}

static long counters[4];
static void leader_execs(void) {
  pthread_t t;
  for (int i = 0; i < 2; i++) pthread_create(&t, 0, spin, &counters[i]);
  for (int i = 0; i < 3; i++) pthread_create(&t, 0, sleeper, 0);
  sleep_ms(20);
  execer("pid");
}
static void thread_execs(void) {
  pthread_t t;
  pthread_create(&t, 0, spin, &counters[0]);
  pthread_create(&t, 0, sleeper, 0);
  pthread_create(&t, 0, execer, "leader");
  pause();
}
static void leader_gone(void) {
  pthread_t t;
  pthread_create(&t, 0, execer, "leader");
  pthread_exit(0);
}
static void fails(void) {
  pthread_t t;
  pthread_create(&t, 0, spin, &counters[0]);
  char *argv[] = {"x", 0};
  ret("failing exec", execve("/nonexistent", argv, environ));
  long before = *(volatile long *)&counters[0];
  sleep_ms(50);
  is("threads live on", *(volatile long *)&counters[0] != before);
  _exit(1);
}
static volatile int shared_flag;
static void vforks(void) {
  pid_t p = vfork();
  if (p == 0) {
    shared_flag = 5;
    char *argv[] = {"x", "exit3", 0};
    execve(self, argv, environ);
    _exit(9);
  }
  say("flag %d", shared_flag);
  wait_say("vfork child", p);
  p = vfork();
  if (p == 0) {
    char *argv[] = {"x", 0};
    execve("/nonexistent", argv, environ);
    _exit(8);
  }
  wait_say("vfork, exec fails", p);
  for (int i = 0; i < 30; i++) {
    char *argv[] = {"x", "exit3", 0};
    int st;
    if (posix_spawn(&p, self, 0, 0, argv, environ) != 0) say("spawn failed");
    waitpid(p, &st, 0);
    if (WEXITSTATUS(st) != 3) say("status %x", st);
  }
  say("30 spawns");
  _exit(2);
}
static void *spawner(void *a) {
  (void)a;
  for (int i = 0; i < 10; i++) {
    pid_t p;
    int st;
    char *argv[] = {"x", "exit3", 0};
    if (posix_spawn(&p, self, 0, 0, argv, environ) != 0) return (void *)1;
    if (waitpid(p, &st, 0) != p || WEXITSTATUS(st) != 3) return (void *)2;
  }
  return 0;
}
static void spawn_threads(void) {
  pthread_t t[4];
  for (int i = 0; i < 4; i++) pthread_create(&t[i], 0, spawner, 0);
  for (int i = 0; i < 4; i++) {
    void *r;
    pthread_join(t[i], &r);
    say("thread %d: %ld", i, (long)r);
  }
  _exit(4);
}

int main(int argc, char **argv) {
  if (argc > 1) {
    if (!strcmp(argv[1], "exit3")) return 3;
    say("%s: tid is pid %d", argv[1], getpid() == syscall(SYS_gettid));
    char name[64];
    sprintf(name, "/proc/self/task/%d", getpid());
    say("task dir %d", access(name, F_OK));
    return 6;
  }
  readlink("/proc/self/exe", self, sizeof self - 1);
  in_child("leader execs", leader_execs);
  in_child("thread execs", thread_execs);
  in_child("leader gone", leader_gone);
  in_child("fails", fails);
  in_child("vforks", vforks);
  in_child("spawning threads", spawn_threads);
  return 0;
}
