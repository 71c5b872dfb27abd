// /proc/self and what programs do with it.
#include "guest.h"
#include <dirent.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/uio.h>

static char buf[65536];

static int has(const char *text) { return strstr(buf, text) != NULL; }

static long field(const char *name) {
  char *p = strstr(buf, name);
  return p ? strtol(p + strlen(name), NULL, 10) : -1;
}

int main(int argc, char **argv) {
  (void)argc;
  char link[4096], want[100];
  long n = readlink("/proc/self", link, sizeof link);
  link[n] = 0;
  is("self", atoi(link) == getpid());
  n = readlink("/proc/thread-self", link, sizeof link);
  link[n] = 0;
  snprintf(want, sizeof want, "%d/task/%ld", getpid(), syscall(SYS_gettid));
  is("thread-self", strcmp(link, want) == 0);
  n = readlink("/proc/self/exe", link, sizeof link);
  link[n] = 0;
  is("exe", strstr(link, "proc-self") != NULL);
  struct stat a, b;
  is("exe is the program", stat("/proc/self/exe", &a) == 0 && stat(link, &b) == 0 && a.st_ino == b.st_ino);
  getcwd(buf, sizeof buf);
  n = readlink("/proc/self/cwd", link, sizeof link);
  link[n] = 0;
  is("cwd", strcmp(buf, link) == 0);
  n = readlink("/proc/self/root", link, sizeof link);
  say("root %.*s", (int)n, link);

  n = get_file("/proc/self/cmdline", buf, sizeof buf);
  is("cmdline", n == (long)strlen(argv[0]) + 1 && strcmp(buf, argv[0]) == 0);
  setenv("X", "y", 1);
  n = get_file("/proc/self/environ", buf, sizeof buf);
  is("environ", n >= 0);
  get_file("/proc/self/comm", buf, sizeof buf);
  printf("comm %s", buf);
  prctl(PR_SET_NAME, "new name");
  get_file("/proc/self/comm", buf, sizeof buf);
  printf("comm %s", buf);
  int fd = open("/proc/self/comm", O_WRONLY);
  ret("write comm", write(fd, "written-that-is-long\n", 21));
  close(fd);
  prctl(PR_GET_NAME, buf);
  say("name %s", buf);
  get_file("/proc/self/status", buf, sizeof buf);
  is("status Pid", field("\nPid:\t") == getpid());
  is("status PPid", field("\nPPid:\t") == getppid());
  is("status Threads", field("\nThreads:\t") == 1);
  is("status has Vm", has("VmRSS:") && has("VmSize:") && has("SigCgt:") && has("CapEff:"));
  get_file("/proc/self/stat", buf, sizeof buf);
  char *paren = strrchr(buf, ')');
  int fields = 2;
  for (char *p = paren; *p; p++) fields += *p == ' ';
  say("stat fields %d", fields);
  is("stat pid", atoi(buf) == getpid());
  get_file("/proc/self/statm", buf, sizeof buf);
  fields = 1;
  for (char *p = buf; *p; p++) fields += *p == ' ';
  say("statm fields %d", fields);

  get_file("/proc/self/maps", buf, sizeof buf);
  is("maps stack", has("[stack]"));
  is("maps heap and vdso", has("[heap]") && has("[vdso]"));
  is("maps program", has("proc-self"));
  void *m = mmap(NULL, 3 * 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  mprotect((char *)m + 4096, 4096, PROT_READ | PROT_WRITE);
  get_file("/proc/self/maps", buf, sizeof buf);
  snprintf(want, sizeof want, "%lx-%lx rw-p", (long)m + 4096, (long)m + 8192);
  is("maps split", has(want));
  get_file("/proc/self/smaps", buf, sizeof buf);
  is("smaps", has("Rss:") && has("VmFlags:") && has("Private_Dirty:"));
  get_file("/proc/self/limits", buf, sizeof buf);
  is("limits", has("Max open files") && has("Max stack size"));
  is("auxv", get_file("/proc/self/auxv", buf, sizeof buf) % 16 == 0);
  get_file("/proc/self/mountinfo", buf, sizeof buf);
  is("mountinfo", has(" - proc "));
  get_file("/proc/self/cgroup", buf, sizeof buf);
  is("cgroup", has("0::/"));
  get_file("/proc/self/uid_map", buf, sizeof buf);
  is("uid_map", atoi(buf) == 0);
  get_file("/proc/self/oom_score_adj", buf, sizeof buf);
  is("oom_score_adj", strlen(buf) > 1);
  fd = open("/proc/self/oom_score_adj", O_WRONLY);
  ret("oom_score_adj 100", write(fd, "100", 3));
  ret("oom_score_adj 2000", write(fd, "2000", 4));
  ret("oom_score_adj x", write(fd, "x", 1));
  close(fd);
  get_file("/proc/self/oom_score_adj", buf, sizeof buf);
  printf("oom_score_adj %s", buf);

  int p[2];
  pipe(p);
  snprintf(want, sizeof want, "/proc/self/fd/%d", p[0]);
  n = readlink(want, link, sizeof link);
  link[n] = 0;
  fstat(p[0], &a);
  snprintf(buf, sizeof buf, "pipe:[%lu]", a.st_ino);
  is("fd of a pipe", strcmp(buf, link) == 0);
  is("stat through fd", stat(want, &b) == 0 && a.st_ino == b.st_ino && S_ISFIFO(b.st_mode));
  is("lstat of fd", lstat(want, &b) == 0 && S_ISLNK(b.st_mode));
  say("link mode %o", b.st_mode & 0777);
  snprintf(want, sizeof want, "/proc/self/fdinfo/%d", p[0]);
  get_file(want, buf, sizeof buf);
  is("fdinfo", has("pos:\t0\n") && has("flags:\t00\n") && has("mnt_id:\t"));
  fd = open("/tmp/guest-proc-self", O_CREAT | O_RDWR | O_TRUNC, 0600);
  write(fd, "content", 7);
  unlink("/tmp/guest-proc-self");
  snprintf(want, sizeof want, "/proc/self/fd/%d", fd);
  n = readlink(want, link, sizeof link);
  say("deleted file %.*s", (int)n, link);
  int fd2 = open(want, O_RDONLY);
  ok("open a deleted file again", fd2);
  say("read %ld", (long)read(fd2, buf, 100));
  DIR *d = opendir("/proc/self/fd");
  int seen = 0, mine = 0;
  for (struct dirent *e; (e = readdir(d));) {
    if (e->d_name[0] == '.') continue;
    seen++;
    mine += atoi(e->d_name) == fd2 && e->d_type == DT_LNK;
  }
  closedir(d);
  is("fd directory", seen >= 6 && mine == 1);
  d = opendir("/proc");
  int self = 0, cpuinfo = 0;
  for (struct dirent *e; (e = readdir(d));) {
    self += atoi(e->d_name) == getpid();
    cpuinfo += strcmp(e->d_name, "cpuinfo") == 0;
  }
  closedir(d);
  say("proc lists us %d and cpuinfo %d", self, cpuinfo);

  volatile int value = 5;
  fd = open("/proc/self/mem", O_RDWR);
  int copy = 0, seven = 7;
  ret("pread mem", pread(fd, &copy, sizeof copy, (off_t)&value));
  ret("pwrite mem", pwrite(fd, &seven, sizeof seven, (off_t)&value));
  say("copy %d value %d", copy, value);
  ret("pread mem nothing there", pread(fd, &copy, sizeof copy, 16));
  close(fd);

  pid_t pid = fork();
  if (pid == 0) {
    pause();
    _exit(0);
  }
  snprintf(want, sizeof want, "/proc/%d/stat", pid);
  fd = open(want, O_RDONLY);
  for (int i = 0; i < 100; i++) {
    get_file(want, buf, sizeof buf);
    if (strstr(buf, ") S ")) break;
    usleep(2000);
  }
  is("child sleeps", has(") S "));
  kill(pid, SIGKILL);
  for (int i = 0; i < 100; i++) {
    get_file(want, buf, sizeof buf);
    if (strstr(buf, ") Z ")) break;
    usleep(2000);
  }
  is("child is a zombie", has(") Z "));
  snprintf(link, sizeof link, "/proc/%d/cmdline", pid);
  say("zombie's cmdline %ld", get_file(link, buf, sizeof buf));
  wait(NULL);
  ret("stat of the reaped child", stat(want, &a));
  ret("read of an open file about it", read(fd, buf, 100));
  ret("missing file", open("/proc/self/missing", O_RDONLY));
  ret("missing process", open("/proc/999999/stat", O_RDONLY));
  ret("create", open("/proc/self/new", O_CREAT | O_WRONLY, 0600));
  ret("mkdir", mkdir("/proc/dir", 0700));
  ret("unlink", unlink("/proc/self/stat"));
  ret("chmod", chmod("/proc/self/stat", 0777));
  ret("write to a read-only file", open("/proc/self/stat", O_WRONLY) >= 0 ? 0 : -1);
  ret("ns link", readlink("/proc/self/ns/net", buf, sizeof buf) > 0 ? 0 : -1);
  is("ns name", strncmp(buf, "net:[", 5) == 0);
  get_file("/proc/sys/kernel/ostype", buf, sizeof buf);
  printf("ostype %s", buf);
  get_file("/proc/sys/kernel/random/uuid", buf, sizeof buf);
  say("uuid %zu", strlen(buf));
  get_file("/proc/uptime", buf, sizeof buf);
  is("uptime", atof(buf) > 0);
  get_file("/proc/meminfo", buf, sizeof buf);
  is("meminfo", field("MemTotal:") > 0 && field("MemAvailable:") > 0);
  get_file("/proc/filesystems", buf, sizeof buf);
  is("filesystems", has("nodev\tproc\n") && has("nodev\ttmpfs\n"));
  get_file("/proc/net/dev", buf, sizeof buf);
  is("net/dev", has("lo:"));
  get_file("/proc/self/mounts", buf, sizeof buf);
  struct pollfd pf = {open("/proc/self/mounts", O_RDONLY), POLLPRI, 0};
  ret("poll mounts", poll(&pf, 1, 0));
  return 0;
}
