// zygote-run PROGRAM [ARG…]: spawns a zygote and executes PROGRAM as its parent, with RUNSC_TS_ZYGOTE=PID,LISTENER,AREA in
// the environment. The platform's tests run the platform this way, without the namespaces that the launcher makes.
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "zygote.h"

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  char path[4096];
  ssize_t n = readlink("/proc/self/exe", path, sizeof path - 8);
  if (n < 0) return 2;
  path[n] = 0;
  strcpy(strrchr(path, '/') + 1, "stub");
  int stub = open(path, O_RDONLY | O_CLOEXEC);
  if (stub < 0) {
    perror(path);
    return 2;
  }
  struct zygote z;
  int r = zygote_spawn(stub, &z, NULL);
  if (r < 0) {
    fprintf(stderr, "zygote: %s (%d)\n", strerror(-r), z.pid);
    return 2;
  }
  close(stub);
  fcntl(z.listener, F_SETFD, 0);
  fcntl(z.area, F_SETFD, 0);
  char env[64];
  snprintf(env, sizeof env, "%d,%d,%d", z.pid, z.listener, z.area);
  setenv("RUNSC_TS_ZYGOTE", env, 1);
  execvp(argv[1], argv + 1);
  perror(argv[1]);
  return 127;
}
