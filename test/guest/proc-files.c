// Files of /proc: permissions, the first line's shape, and what opening, seeking and writing them answer.
#pragma GCC diagnostic ignored "-Wunused-result"
#include "guest.h"
#include <ctype.h>

// The first line with each number as N: its shape.
static void shape(const char *path) {
  char buf[400] = "", out[400];
  int fd = open(path, O_RDONLY), n = 0;
  if (fd < 0) {
    say("%s: %s", path, strerrorname_np(errno));
    return;
  }
  long got = read(fd, buf, sizeof buf - 1);
  close(fd);
  if (got < 0) {
    say("%s: read %s", path, strerrorname_np(errno));
    return;
  }
  buf[strcspn(buf, "\n")] = 0;
  for (char *p = buf; *p && n < 390; p++) {
    if (isdigit(*p)) {
      while (isdigit(p[1]) || p[1] == '.') p++;
      out[n++] = 'N';
    } else {
      out[n++] = *p;
    }
  }
  out[n] = 0;
  say("%s: %s", path, out);
}

static void mode(const char *path) {
  struct stat st;
  if (lstat(path, &st)) say("%s: %s", path, strerrorname_np(errno));
  else say("%s: %o", path, st.st_mode);
}

static void put(const char *path, const char *text) {
  int fd = open(path, O_WRONLY);
  char what[100];
  snprintf(what, sizeof what, "\"%s\" to %s", text, path);
  if (fd < 0) say("%s: open %s", what, strerrorname_np(errno));
  else ret(what, write(fd, text, strlen(text)));
  close(fd);
}

int main(void) {
  const char *modes[] = {
    "/proc/self/arch_status", "/proc/self/attr", "/proc/self/attr/current", "/proc/self/attr/prev", "/proc/self/auxv",
    "/proc/self/clear_refs", "/proc/self/cmdline", "/proc/self/comm", "/proc/self/cwd", "/proc/self/environ", "/proc/self/exe",
    "/proc/self/fd", "/proc/self/fdinfo", "/proc/self/gid_map", "/proc/self/io", "/proc/self/limits", "/proc/self/loginuid",
    "/proc/self/maps", "/proc/self/mem", "/proc/self/mountinfo", "/proc/self/mounts", "/proc/self/mountstats", "/proc/self/net",
    "/proc/self/ns", "/proc/self/oom_adj", "/proc/self/oom_score", "/proc/self/oom_score_adj", "/proc/self/personality",
    "/proc/self/root", "/proc/self/schedstat", "/proc/self/setgroups", "/proc/self/smaps", "/proc/self/smaps_rollup",
    "/proc/self/stack", "/proc/self/stat", "/proc/self/statm", "/proc/self/status", "/proc/self/syscall", "/proc/self/task",
    "/proc/self/timers", "/proc/self/timerslack_ns", "/proc/self/uid_map", "/proc/self/wchan", "/proc/pressure/cpu", "/proc/slabinfo",
    "/proc/tty", "/proc/tty/drivers", "/proc/tty/driver", "/proc/sys/vm/overcommit_memory", "/proc/sys/kernel/ostype",
    "/proc/sys/fs/inode-nr", "/proc/sys/kernel/randomize_va_space", "/proc/sys/fs/protected_hardlinks"};
  for (unsigned i = 0; i < sizeof modes / sizeof *modes; i++) mode(modes[i]);
  const char *shapes[] = {
    "/proc/self/oom_adj", "/proc/self/attr/current", "/proc/pressure/io", "/proc/slabinfo", "/proc/tty/drivers", "/proc/tty/ldiscs",
    "/proc/self/statm", "/proc/self/schedstat", "/proc/self/oom_score_adj", "/proc/self/limits", "/proc/self/status", "/proc/loadavg",
    "/proc/uptime", "/proc/swaps", "/proc/partitions", "/proc/self/personality", "/proc/self/timerslack_ns", "/proc/self/loginuid"};
  for (unsigned i = 0; i < sizeof shapes / sizeof *shapes; i++) shape(shapes[i]);
  put("/proc/self/oom_adj", "15");
  shape("/proc/self/oom_adj");
  shape("/proc/self/oom_score_adj");
  put("/proc/self/oom_adj", "16");
  put("/proc/self/oom_score_adj", "500");
  shape("/proc/self/oom_adj");
  put("/proc/self/clear_refs", "1");
  put("/proc/self/clear_refs", "6");
  put("/proc/self/clear_refs", "x");
  put("/proc/self/attr/current", "x");
  put("/proc/self/status", "x");
  put("/proc/self/comm", "renamed");
  shape("/proc/self/comm");
  // Files that nobody takes writes of.
  const char *readOnly[] = {
    "/proc/cmdline", "/proc/config.gz", "/proc/cpuinfo", "/proc/filesystems", "/proc/loadavg", "/proc/meminfo", "/proc/stat",
    "/proc/tty/drivers", "/proc/sysvipc/shm", "/proc/uptime", "/proc/version", "/proc/net/dev", "/proc/net/psched",
    "/proc/net/snmp", "/proc/net/tcp", "/proc/net/unix", "/proc/self/maps", "/proc/self/stat", "/proc/self/sched"};
  for (unsigned i = 0; i < sizeof readOnly / sizeof *readOnly; i++) put(readOnly[i], "x");
  return 0;
}
