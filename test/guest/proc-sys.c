// /proc/sys, /proc/net and /sys: reading and refusing.
#include "guest.h"
#include <dirent.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/utsname.h>

static char buf[1 << 20];

static void number(const char *path, long low, long high) {
  get_file(path, buf, sizeof buf);
  char *end;
  long v = strtol(buf, &end, 10);
  say("%s %s, one line %d", path, v >= low && v <= high ? "in range" : "OUT OF RANGE", *end == '\n' && end[1] == 0);
}

static int lines(void) {
  int n = 0;
  for (char *p = buf; *p; p++) n += *p == '\n';
  return n;
}

// Sysctls can be spliced into, files of /proc/PID cannot.
static void splice_into(const char *path, const char *text) {
  int p[2], f = open(path, O_WRONLY);
  if (pipe(p) != 0) return;
  ret("filled", write(p[1], text, strlen(text)));
  ret(path, splice(p[0], NULL, f, NULL, strlen(text), 0));
  close(p[0]), close(p[1]), close(f);
}

int main(void) {
  struct utsname u;
  uname(&u);
  get_file("/proc/sys/kernel/hostname", buf, sizeof buf);
  strtok(buf, "\n");
  is("hostname", strcmp(buf, u.nodename) == 0);
  get_file("/proc/sys/kernel/osrelease", buf, sizeof buf);
  strtok(buf, "\n");
  is("osrelease", strcmp(buf, u.release) == 0);
  get_file("/proc/sys/kernel/version", buf, sizeof buf);
  strtok(buf, "\n");
  is("version", strcmp(buf, u.version) == 0);
  number("/proc/sys/kernel/pid_max", 301, 4194304);
  number("/proc/sys/kernel/threads-max", 20, 100000000);
  number("/proc/sys/kernel/cap_last_cap", 37, 63);
  number("/proc/sys/kernel/ngroups_max", 65536, 65536);
  number("/proc/sys/kernel/overflowuid", 65534, 65534);
  number("/proc/sys/kernel/randomize_va_space", 0, 2);
  number("/proc/sys/vm/max_map_count", 1000, 100000000);
  number("/proc/sys/vm/overcommit_memory", 0, 2);
  number("/proc/sys/vm/mmap_min_addr", 0, 65536);
  number("/proc/sys/fs/nr_open", 1024, 2147483647);
  number("/proc/sys/fs/pipe-max-size", 4096, 2147483647);
  number("/proc/sys/fs/mqueue/msg_max", 1, 65536);
  number("/proc/sys/net/core/somaxconn", 1, 65536);
  get_file("/proc/sys/kernel/random/boot_id", buf, sizeof buf);
  char boot[64];
  snprintf(boot, sizeof boot, "%.63s", buf);
  get_file("/proc/sys/kernel/random/boot_id", buf, sizeof buf);
  is("boot_id stays", strcmp(boot, buf) == 0 && strlen(buf) == 37);
  get_file("/proc/sys/kernel/random/uuid", buf, sizeof buf);
  snprintf(boot, sizeof boot, "%.63s", buf);
  get_file("/proc/sys/kernel/random/uuid", buf, sizeof buf);
  is("uuid changes", strcmp(boot, buf) != 0);
  ret("missing", open("/proc/sys/kernel/no-such", O_RDONLY));
  ret("create", open("/proc/sys/kernel/new", O_CREAT | O_RDWR, 0600));
  ret("read-only value", open("/proc/sys/kernel/osrelease", O_WRONLY));

  cpu_set_t set;
  sched_getaffinity(0, sizeof set, &set);
  get_file("/proc/cpuinfo", buf, sizeof buf);
  int cpus = 0;
  for (char *p = buf; (p = strstr(p, "processor\t:")); p++) cpus++;
  is("cpuinfo has every processor", cpus >= CPU_COUNT(&set));
  is("sysconf", sysconf(_SC_NPROCESSORS_ONLN) >= CPU_COUNT(&set) && sysconf(_SC_NPROCESSORS_CONF) >= CPU_COUNT(&set));
  get_file("/proc/stat", buf, sizeof buf);
  is("stat", strncmp(buf, "cpu  ", 5) == 0 && strstr(buf, "\nbtime ") && strstr(buf, "\ncpu0 "));
  get_file("/sys/devices/system/cpu/online", buf, sizeof buf);
  is("online", buf[0] >= '0' && buf[0] <= '9');
  struct stat st;
  ret("topology", stat("/sys/devices/system/cpu/cpu0/topology/core_id", &st));
  say("attribute size %ld mode %o", (long)st.st_size, st.st_mode & 0777);
  is("attributes refuse writers", open("/sys/devices/system/cpu/online", O_WRONLY) == -1);
  get_file("/sys/class/net/lo/operstate", buf, sizeof buf);
  printf("lo %s", buf);
  get_file("/sys/class/net/lo/address", buf, sizeof buf);
  printf("lo %s", buf);

  int before, s = socket(AF_UNIX, SOCK_STREAM, 0);
  get_file("/proc/net/unix", buf, sizeof buf);
  before = lines();
  struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "/tmp/guest-proc-sys.sock"};
  unlink(a.sun_path);
  ret("bind", bind(s, (struct sockaddr *)&a, sizeof a));
  ret("listen", listen(s, 1));
  get_file("/proc/net/unix", buf, sizeof buf);
  is("unix socket listed", lines() >= before && strstr(buf, "/tmp/guest-proc-sys.sock") != NULL);
  char *line = strstr(buf, "/tmp/guest-proc-sys.sock");
  if (line) {
    while (line > buf && line[-1] != '\n') line--;
    say("flags and state %.*s", 25, strchr(line, ' ') + 10);
  }
  unlink(a.sun_path);
  get_file("/proc/net/tcp", buf, sizeof buf);
  is("tcp heading", strncmp(buf, "  sl  local_address", 19) == 0);
  get_file("/proc/sysvipc/shm", buf, sizeof buf);
  is("shm heading", strstr(buf, "shmid") != NULL);
  get_file("/proc/swaps", buf, sizeof buf);
  is("swaps heading", strncmp(buf, "Filename", 8) == 0);
  // Kernels need not have it.
  int config = open("/proc/config.gz", O_RDONLY);
  fstat(config, &st);
  is("config.gz is gzip of the size told",
     config < 0 || (get_file("/proc/config.gz", buf, sizeof buf) == st.st_size && st.st_size > 100 && memcmp(buf, "\x1f\x8b", 2) == 0));
  DIR *d = opendir("/proc/self/task");
  int tasks = 0;
  for (struct dirent *e; (e = readdir(d));) tasks += e->d_name[0] != '.';
  closedir(d);
  say("threads %d", tasks);
  ret("names of its own", unshare(CLONE_NEWUTS));
  splice_into("/proc/sys/kernel/domainname", "spliced\n");
  get_file("/proc/sys/kernel/domainname", buf, sizeof buf);
  is("domain name", strcmp(buf, "spliced\n") == 0 || strcmp(buf, "spliced") == 0);
  splice_into("/proc/self/comm", "spliced");
  return 0;
}
