// The part of shim.so that says which system call a filter has refused.
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

// Prints "runsc-ts: system call N is not in this process's allow-list" and ends the process by SIGSYS.
static void on_forbidden(int signo, siginfo_t *info, void *context) {
  (void)context;
  static const char head[] = "runsc-ts: system call ", tail[] = " is not in this process's allow-list\n";
  char line[128];
  unsigned n = sizeof head - 1, nr = info->si_syscall, digits = 1;
  memcpy(line, head, n);
  for (unsigned rest = nr; rest >= 10; rest /= 10) digits++;
  for (unsigned i = digits; i-- > 0; nr /= 10) line[n + i] = '0' + nr % 10;
  n += digits;
  memcpy(line + n, tail, sizeof tail - 1);
  n += sizeof tail - 1;
  if (write(2, line, n) < 0) n = 0;
  signal(signo, SIG_DFL);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signo);
  sigprocmask(SIG_UNBLOCK, &set, NULL);
  syscall(SYS_tgkill, getpid(), (int)syscall(SYS_gettid), signo);
  _exit(128 + signo);
}

int shim_report_forbidden_calls(void) {
  struct sigaction action = {.sa_sigaction = on_forbidden, .sa_flags = SA_SIGINFO};
  return sigaction(SIGSYS, &action, NULL) < 0 ? -errno : 0;
}
