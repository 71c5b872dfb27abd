// PTRACE_SET_SYSCALL_INFO: another call, other arguments, another result; what it refuses.
#include "guest.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>

#define SET_INFO 0x4212
struct info {
  uint8_t op, reserved;
  uint16_t flags;
  uint32_t arch;
  uint64_t ip, sp;
  uint64_t nr, args[6];
  uint32_t ret_data, reserved2;
};

static long pt(int request, pid_t pid, size_t size, void *p) { return syscall(SYS_ptrace, request, pid, size, p); }

static struct info get(pid_t pid) {
  struct info i = {0};
  pt(0x420e, pid, sizeof i, &i);
  return i;
}

// On to the next stop of a call; 0 if the child has ended.
static int next(pid_t pid, int how) {
  int st;
  ptrace(how, pid, 0, 0);
  return waitpid(pid, &st, 0) == pid && WIFSTOPPED(st);
}

static long results[4];

static pid_t child(int filter) {
  pid_t pid = fork();
  if (pid != 0) {
    int st;
    waitpid(pid, &st, 0);
    ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACESECCOMP | PTRACE_O_EXITKILL);
    return pid;
  }
  ptrace(PTRACE_TRACEME, 0, 0, 0);
  if (filter) {
    struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE | 7),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &(struct sock_fprog){4, code});
  }
  raise(SIGSTOP);
  for (int i = 0; i < 4; i++) {
    long r = syscall(SYS_getppid, 11, 12, 13, 14, 15, 16);
    results[i] = r < 0 ? -errno : r;
  }
  for (int i = 0; i < 4; i++) say("result %ld", results[i]);
  _exit(0);
}

static long try(const char *name, pid_t pid, size_t size, struct info i) { return ret(name, pt(SET_INFO, pid, size, &i)); }

static void refused(void) {
  pid_t pid = child(0);
  struct info i = get(pid);
  try("at no call", pid, sizeof i, i);
  i.op = 1;
  try("at no call, as if", pid, sizeof i, i);
  next(pid, PTRACE_SYSCALL);
  i = get(pid);
  say("op %d nr %d last %d", i.op, (int)i.nr, (int)i.args[5]);
  try("small", pid, sizeof i - 1, i);
  try("large", pid, sizeof i + 100, i);
  try("bad size", pid, 0, i);
  ret("bad address", pt(SET_INFO, pid, sizeof i, BAD_PTR));
  struct info j = i;
  j.reserved = 1;
  try("reserved", pid, sizeof j, j);
  j = i, j.flags = 1;
  try("flags", pid, sizeof j, j);
  j = i, j.op = 2;
  try("exit at entry", pid, sizeof j, j);
  j = i, j.op = 3;
  try("seccomp at entry", pid, sizeof j, j);
  j = i, j.op = 9;
  try("unknown", pid, sizeof j, j);
  j = i, j.nr = 1ull << 32;
  try("number beyond int", pid, sizeof j, j);
  j = i, j.nr = 0xffffffff;
  try("number as unsigned", pid, sizeof j, j);
  j = i, j.ip = j.sp = 0, j.arch = 0;
  try("places are not looked at", pid, sizeof j, j);
  ret("of nobody", pt(SET_INFO, getpid(), sizeof i, &i));
  kill(pid, SIGKILL);
  waitpid(pid, NULL, 0);
}

static void changed(void) {
  pid_t pid = child(0);
  struct info i;
  // Another call with other arguments.
  next(pid, PTRACE_SYSCALL);
  i = get(pid);
  i.nr = SYS_lseek, i.args[0] = 99, i.args[1] = 0;
  try("lseek instead", pid, sizeof i, i);
  i = get(pid);
  say("nr %d first %d last %d", (int)i.nr, (int)i.args[0], (int)i.args[5]);
  next(pid, PTRACE_SYSCALL);
  i = get(pid);
  say("op %d result %d error %d", i.op, (int)i.nr, (int)i.args[0] & 255);
  // Skipped: the arguments stay.
  next(pid, PTRACE_SYSCALL);
  i = get(pid);
  i.nr = -1, i.args[5] = 99;
  try("none", pid, sizeof i, i);
  i = get(pid);
  say("nr %d last %d", (int)i.nr, (int)i.args[5]);
  next(pid, PTRACE_SYSCALL);
  i = get(pid);
  say("op %d result %d error %d", i.op, (int)i.nr, (int)i.args[0] & 255);
  i.nr = 4711, i.args[0] = 0;
  try("result", pid, sizeof i, i);
  i = get(pid);
  say("result %d error %d", (int)i.nr, (int)i.args[0] & 255);
  // A result, and an error.
  next(pid, PTRACE_SYSCALL), next(pid, PTRACE_SYSCALL);
  i = get(pid);
  i.nr = -ENOTEMPTY, i.args[0] = 1;
  try("error", pid, sizeof i, i);
  i = get(pid);
  say("result %d error %d", (int)i.nr, (int)i.args[0] & 255);
  next(pid, PTRACE_SYSCALL), next(pid, PTRACE_SYSCALL);
  i = get(pid);
  i.nr = 42, i.args[0] = 1;
  try("error that is none", pid, sizeof i, i);
  i = get(pid);
  say("result %d error %d", (int)i.nr, (int)i.args[0] & 255);
  ptrace(PTRACE_CONT, pid, 0, 0);
  wait_say("child", pid);
}

static void at_seccomp(void) {
  pid_t pid = child(1);
  struct info i;
  next(pid, PTRACE_CONT);
  i = get(pid);
  say("op %d nr %d data %d", i.op, (int)i.nr, (int)i.ret_data);
  i.nr = SYS_lseek, i.args[0] = 99, i.ret_data = 1;
  try("lseek instead", pid, sizeof i, i);
  i.op = 1;
  try("entry at seccomp", pid, sizeof i, i);
  i = get(pid);
  say("op %d nr %d data %d", i.op, (int)i.nr, (int)i.ret_data);
  next(pid, PTRACE_CONT);
  i = get(pid);
  i.nr = -1;
  try("none", pid, sizeof i, i);
  next(pid, PTRACE_CONT);
  i = get(pid);
  i.nr = SYS_close, i.args[0] = -1;
  try("close instead", pid, sizeof i, i);
  next(pid, PTRACE_CONT);
  i = get(pid);
  i.nr = SYS_getpriority, i.args[0] = 77;
  try("getpriority instead", pid, sizeof i, i);
  ptrace(PTRACE_CONT, pid, 0, 0);
  wait_say("child", pid);
}

int main(void) {
  in_child("refused", refused);
  in_child("changed", changed);
  in_child("at a seccomp stop", at_seccomp);
  return 0;
}
