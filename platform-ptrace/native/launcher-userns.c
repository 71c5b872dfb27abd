// Ids of the user namespaces that L makes: user_namespaces(7).
#define _GNU_SOURCE
#include "launcher.h"

#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

// The number of a child in the mounted /proc, which is not L's own if L has a PID namespace of the container's.
int number_in_proc(pid_t pid) {
  char path[64], line[64];
  int pidfd = syscall(SYS_pidfd_open, pid, 0), shown = -1;
  snprintf(path, sizeof path, "/proc/self/fdinfo/%d", pidfd);
  FILE *info = fopen(path, "re");
  if (info == NULL) die("cannot read %s", path);
  while (shown < 0 && fgets(line, sizeof line, info)) sscanf(line, "Pid: %d", &shown);
  fclose(info);
  close(pidfd);
  return shown;
}

void write_file(int pid, const char *name, const char *text) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0 || write(fd, text, strlen(text)) < 0) die("cannot write %s", path);
  close(fd);
}

// Groups of the caller that a user namespace does not let go are no more than the caller has.
bool drop_groups(void) {
  if (setgroups(0, NULL) == 0 || in_user_namespace) return true;
  char text[8] = "";
  int fd = open("/proc/self/setgroups", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  bool denied = read(fd, text, sizeof text - 1) > 0 && strncmp(text, "deny", 4) == 0;
  close(fd);
  return denied;
}

// `id` if there is such a one in L's user namespace, else its 0.
static unsigned mapped(const char *map, unsigned id) {
  unsigned first, count, found = 0;
  FILE *f = fopen(map, "re");
  if (f == NULL) die("cannot read %s", map);
  while (fscanf(f, "%u %*u %u", &first, &count) == 2)
    if (id >= first && id - first < count) found = id;
  fclose(f);
  return found;
}

// The sandbox's 0 is an id without rights: opt.uid for root, the caller himself otherwise.
void write_id_maps(pid_t child) {
  char map[64];
  int pid = number_in_proc(child);
  if (!privileged) write_file(pid, "setgroups", "deny");
  snprintf(map, sizeof map, "0 %u 1", privileged ? mapped("/proc/self/gid_map", opt.gid) : getegid());
  write_file(pid, "gid_map", map);
  snprintf(map, sizeof map, "0 %u 1", privileged ? mapped("/proc/self/uid_map", opt.uid) : geteuid());
  write_file(pid, "uid_map", map);
}
