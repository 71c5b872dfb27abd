// What a tracer finds at the stops of a call: the memory that the call has filled, PTRACE_GET_SYSCALL_INFO at a seccomp stop, register
// sets of odd lengths, and the numbers of a tracee in a PID namespace of its own.
#include "guest.h"
#include <elf.h>
#include <linux/filter.h>
#include <linux/ptrace.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

static long pt(long req, pid_t pid, void *addr, void *data) { return syscall(SYS_ptrace, req, pid, addr, data); }
#define N(x) ((void *)(uintptr_t)(x))

static char buf[64], more[64], name[16];
static int fd, ends[2];

static pid_t traced(void (*f)(void)) {
  pid_t c = fork();
  if (c == 0) {
    pt(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    f();
    _exit(0);
  }
  waitpid(c, 0, 0);
  pt(PTRACE_SETOPTIONS, c, 0, N(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACESECCOMP | PTRACE_O_EXITKILL));
  return c;
}

static void fill(void) {
  struct iovec two[2] = {{buf, 3}, {more, 3}};
  struct msghdr m = {.msg_iov = two, .msg_iovlen = 2};
  pread(fd, buf, 8, 0);
  memset(buf, '-', 8);
  lseek(fd, 2, SEEK_SET);
  read(fd, buf, 3);
  readv(fd, two, 2);
  preadv(fd, two, 2, 1);
  recv(ends[1], buf, 4, MSG_PEEK);
  recvmsg(ends[1], &m, 0);
  read(ends[1], buf, 4);
  prctl(PR_GET_NAME, name);
  getcwd(buf, sizeof buf);
}

static void memory(void) {
  fd = memfd_create("x", 0);
  write(fd, "0123456789", 10);
  socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
  write(ends[0], "abcdefghij", 10);
  prctl(PR_SET_NAME, "filler");
  pid_t c = traced(fill);
  int st, leaving = 0;
  for (;;) {
    pt(PTRACE_SYSCALL, c, 0, 0);
    waitpid(c, &st, 0);
    if (!WIFSTOPPED(st)) break;
    if ((leaving = !leaving)) continue;
    struct ptrace_syscall_info i = {0};
    pt(PTRACE_GET_SYSCALL_INFO, c, N(sizeof i), &i);
    long word[4] = {0};
    char there[9] = "";
    struct iovec to = {there, 8}, from = {more, 8};
    pt(PTRACE_PEEKDATA, c, buf, word);
    pt(PTRACE_PEEKDATA, c, name, word + 1);
    process_vm_readv(c, &to, 1, &from, 1, 0);
    say("exit %lld: %.8s %.8s %s", (long long)i.exit.rval, (char *)word, (char *)(word + 1), there);
  }
  close(fd), close(ends[0]), close(ends[1]);
}

static void filtered(void) {
  struct sock_filter f[] = {{0x20, 0, 0, 0}, {0x15, 0, 1, SYS_chdir}, {6, 0, 0, SECCOMP_RET_TRACE | 77}, {6, 0, 0, SECCOMP_RET_ALLOW}};
  struct sock_fprog p = {4, f};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  prctl(PR_SET_SECCOMP, 2, &p);
  syscall(SYS_chdir, "/nonexistent", 2, 3, 4, 5, 6);
  syscall(SYS_chdir, "/nonexistent", 7, 8, 9, 10, 11);
}

static void seccomp_stop(void) {
  pid_t c = traced(filtered);
  int st;
  for (int again = 0; again < 2; again++) {
    pt(PTRACE_CONT, c, 0, 0);
    waitpid(c, &st, 0);
    unsigned char b[128];
    memset(b, 0xee, sizeof b);
    long *q = (long *)b, n = pt(PTRACE_GET_SYSCALL_INFO, c, N(sizeof b), b);
    say("seccomp stop %x: %ld bytes, op %d nr %ld args %ld %ld %ld data %d then %02x", st >> 8, n, b[0], q[3], q[5], q[6], q[9], (int)q[10], b[84]);
    pt(PTRACE_SYSCALL, c, 0, 0);
    waitpid(c, &st, 0);
    n = pt(PTRACE_GET_SYSCALL_INFO, c, N(sizeof b), b);
    say("then %x: %ld bytes, op %d result %ld", st >> 8, n, b[0], q[3]);
  }
  static const int sets[] = {NT_PRSTATUS, NT_PRFPREG, NT_X86_XSTATE};
  for (int s = 0; s < 3; s++)
    for (int len = 504; len < 514; len++) {
      static char regs[8192];
      struct iovec v = {regs, len};
      char title[32];
      sprintf(title, "set %x of %d", sets[s], len);
      ret(title, pt(PTRACE_GETREGSET, c, N(sets[s]), &v));
      say("length %s", (int)v.iov_len == len ? "same" : "changed");
    }
  kill(c, SIGKILL), waitpid(c, 0, 0);
}

// `NSpid: own 1` and its kin of `pid`, by their relations.
static void numbers(const char *title, pid_t pid) {
  char path[64], line[256];
  sprintf(path, "/proc/%d/status", pid);
  FILE *f = fopen(path, "r");
  while (f && fgets(line, sizeof line, f)) {
    int a = -1, b = -1, c = -1;
    if (strncmp(line, "NS", 2) == 0 && strchr(line, ':')) {
      int n = sscanf(strchr(line, ':') + 1, "%d %d %d", &a, &b, &c);
      *strchr(line, ':') = 0;
      say("%s: %s of %d: first %s, second %d, third %d", title, line, n, a == pid ? "own" : a == getsid(0) ? "session" : a == getpgrp() ? "group" : "other", b, c);
    }
  }
  if (f) fclose(f);
}

static void namespaces(void) {
  int ready[2];
  pipe(ready);
  setsid();
  numbers("here", getpid());
  pid_t child = fork();
  if (child == 0) {
    unshare(CLONE_NEWPID);
    pid_t inner = fork();
    if (inner == 0) {
      setsid();
      unshare(CLONE_NEWPID);
      if (fork() == 0) write(ready[1], "x", 1);
      for (;;) pause();
    }
    write(ready[1], &inner, sizeof inner);
    for (;;) pause();
  }
  pid_t inner = 0;
  char b[8];
  int n = 0;
  while (n < 5) n += read(ready[0], b + n, 5 - n);
  memcpy(&inner, b[0] == 'x' ? b + 1 : b, 4);
  numbers("below", inner);
  kill(inner, SIGKILL), kill(child, SIGKILL), waitpid(child, 0, 0);
}

int main(void) {
  chdir("/");
  memory();
  seccomp_stop();
  fflush(stdout);
  pid_t c = fork();
  if (c == 0) namespaces(), exit(0);
  waitpid(c, 0, 0);
}
