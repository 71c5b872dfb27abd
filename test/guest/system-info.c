// Resource limits, getrandom, sysinfo, uname, syslog, getcpu.
// Bad pointers are the point of it.
#pragma GCC diagnostic ignored "-Wstringop-overflow"
#pragma GCC diagnostic ignored "-Wstringop-overread"
#pragma GCC diagnostic ignored "-Wnonnull"
#include "guest.h"
#include <sys/klog.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

static void limits(void) {
  struct rlimit r, old;
  for (int i = 0; i < 16; i++) {
    char n[20];
    sprintf(n, "getrlimit %d", i);
    ret(n, getrlimit(i, &r));
    is("order", r.rlim_cur <= r.rlim_max);
  }
  ret("getrlimit 16", syscall(SYS_getrlimit, 16, &r));
  ret("getrlimit fault", syscall(SYS_getrlimit, 0, BAD_PTR));
  ret("prlimit bad", syscall(SYS_prlimit64, 0, 99, 0, 0));
  ret("prlimit no process", prlimit(4000000, RLIMIT_CPU, 0, &r));
  ret("prlimit fault", syscall(SYS_prlimit64, 0, 0, BAD_PTR, 0));
  r.rlim_cur = 100, r.rlim_max = 50;
  ret("soft above hard", setrlimit(RLIMIT_NPROC, &r));
  getrlimit(RLIMIT_NOFILE, &old);
  r.rlim_cur = 64, r.rlim_max = old.rlim_max;
  ret("prlimit old and new", prlimit(0, RLIMIT_NOFILE, &r, &r));
  is("old value", r.rlim_cur == old.rlim_cur);
  ret("dup2 beyond", dup2(0, 64));
  ret("fcntl beyond", fcntl(0, F_DUPFD, 64));
  int fd, n = 0;
  while ((fd = dup(0)) >= 0) n++;
  ret("exhausted", dup(0));
  for (fd = 3; fd < 64; fd++) close(fd);
  setrlimit(RLIMIT_NOFILE, &old);
  r.rlim_cur = 1 << 20, r.rlim_max = 2 << 20;
  ret("huge nofile", setrlimit(RLIMIT_NOFILE, &r));
  fflush(stdout);
  pid_t c = fork();
  if (c == 0) {
    r.rlim_cur = r.rlim_max = 1000;
    setrlimit(RLIMIT_FSIZE, &r);
    signal(SIGXFSZ, SIG_IGN);
    char name[] = "/tmp/limXXXXXX", b[600] = {0};
    int f = mkstemp(name);
    unlink(name);
    ret("write", write(f, b, 600));
    ret("partial", write(f, b, 600));
    ret("none", write(f, b, 600));
    if (getuid() == 0) setresuid(1000, 1000, 1000);
    r.rlim_cur = r.rlim_max = 2000;
    ret("raise hard", setrlimit(RLIMIT_FSIZE, &r));
    _exit(0);
  }
  wait_say("child", c);
}

static void others(void) {
  char a[5000] = {0}, b[5000] = {0};
  ret("getrandom", getrandom(a, sizeof a, 0));
  getrandom(b, sizeof b, GRND_NONBLOCK);
  is("random", memcmp(a, b, sizeof a) != 0 && (a[4990] | a[4991] | a[4992] | a[4993] | a[4994]) != 0);
  ret("0 bytes", getrandom(a, 0, 0));
  ret("bad flags", getrandom(a, 10, 0x80));
  ret("both", getrandom(a, 10, GRND_RANDOM | 4));
  ret("fault", getrandom(BAD_PTR, 10, 0));
  struct sysinfo si;
  ret("sysinfo", sysinfo(&si));
  is("memory", si.totalram > 0 && si.freeram <= si.totalram && si.mem_unit == 1 && si.uptime > 0 && si.procs > 0);
  ret("sysinfo fault", syscall(SYS_sysinfo, BAD_PTR));
  struct utsname u;
  ret("uname", uname(&u));
  say("%s %s", u.sysname, u.machine);
  ret("uname fault", syscall(SYS_uname, BAD_PTR));
  unsigned cpu = 99, node = 99;
  ret("getcpu", syscall(SYS_getcpu, &cpu, &node, 0));
  is("cpu", cpu < 64 && node < 8);
  ret("syslog bad", klogctl(77, 0, 0));
  is("syslog size", klogctl(10, 0, 0) > 0);
}

int main(void) {
  say("# limits"), limits();
  say("# others"), others();
  return 0;
}
