// A process whose first thread has ended while another goes on: what /proc/PID has of it, and what the other can do by /proc/self.
#include "guest.h"
#include <dirent.h>
#include <pthread.h>

static char buf[70000], path[100];

static void files(const char *dir) {
  static const char *const names[] = {"environ", "auxv", "status", "limits", "cmdline", "stat", "statm", "maps", "smaps", "smaps_rollup", "numa_maps", "mem", "pagemap",
                                      "mounts", "mountinfo", "mountstats", "io", "timers", "syscall", "wchan", "comm", "oom_score_adj", "uid_map", "cgroup", "fdinfo/1"};
  for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
    snprintf(path, sizeof path, "%s/%s", dir, names[i]);
    int fd = open(path, O_RDONLY);
    if (fd < 0) {
      say("%s: open %s", path, strerrorname_np(errno));
      continue;
    }
    long n = read(fd, buf, sizeof buf - 1);
    buf[n > 0 ? n : 0] = 0;
    say("%s: %s%s%s", path, n < 0 ? strerrorname_np(errno) : n > 0 ? "text" : "empty", strstr(buf, "\nVmSize:") ? ", sizes" : "", strstr(buf, "\nUmask:") ? ", umask" : "");
    if (n > 0 && strcmp(names[i], "statm") == 0) say("%s", strcmp(buf, "0 0 0 0 0 0 0\n") != 0 ? "pages" : "no pages");
    close(fd);
  }
}
static void links(const char *dir) {
  static const char *const names[] = {"exe", "cwd", "root", "fd/1", "ns/mnt", "ns/pid", "ns/user", "ns/net"};
  static const char *const dirs[] = {"fd", "fdinfo", "map_files", "task"};
  for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
    snprintf(path, sizeof path, "%s/%s", dir, names[i]);
    say("%s: %s", path, readlink(path, buf, 100) < 0 ? strerrorname_np(errno) : "there");
  }
  for (unsigned i = 0; i < sizeof dirs / sizeof *dirs; i++) {
    snprintf(path, sizeof path, "%s/%s", dir, dirs[i]);
    DIR *d = opendir(path);
    int n = 0;
    while (d != NULL && readdir(d) != NULL) n++;
    say("%s: %s", path, d == NULL ? strerrorname_np(errno) : n > 2 ? "entries" : "empty");
    if (d != NULL) closedir(d);
  }
}

static void *other(void *unused) {
  until_state(getpid(), 'Z');
  files("/proc/self");
  links("/proc/self");
  ok("open of a descriptor by name", open("/proc/self/fd/1", O_WRONLY));
  char *argv[] = {"nothing", NULL};
  ret("exec of itself", execv("/proc/self/exe", argv));
  // The other thread has it all.
  ok("its own", readlink("/proc/thread-self/exe", buf, 100));
  ok("its own descriptors", open("/proc/thread-self/fd/1", O_WRONLY));
  exit(0);
}

int main(void) {
  pthread_t t;
  pthread_create(&t, NULL, other, NULL);
  pthread_exit(NULL);
}
