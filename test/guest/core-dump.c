// host: /proc/sys/kernel/core_pattern core
// host: /proc/sys/kernel/core_uses_pid 0
// Core files: when there is one, what its notes and its memory say (core(5)).
#include "guest.h"
#include <elf.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/procfs.h>
#include <sys/resource.h>
#include <sys/user.h>

static char marker[64] = "initialised data of the program";
static char *anon, *shared_anon, *private_file, *shared_file, *advised;
static volatile int ready;

static void limit_core(rlim_t n) {
  struct rlimit r = {n, RLIM_INFINITY};
  if (setrlimit(RLIMIT_CORE, &r) != 0) say("setrlimit: %s", strerrorname_np(errno));
}

static void die(int sig) {
  signal(sig, SIG_DFL);
  kill(getpid(), sig);
  for (;;) pause();
}

// How a child ended that ran `f`, and whether it left a core file.
static pid_t run(const char *name, void (*f)(void)) {
  pid_t p = fork();
  if (p == 0) {
    limit_core(RLIM_INFINITY);
    f();
    _exit(9);
  }
  wait_say(name, p);
  say("%s: %s", name, access("core", F_OK) == 0 ? "core file" : "no core file");
  return p;
}

static char *core;
static size_t core_size;

static int load(void) {
  int fd = open("core", O_RDONLY);
  struct stat st;
  if (fd < 0 || fstat(fd, &st) != 0) return 0;
  core_size = st.st_size;
  core = mmap(NULL, core_size, PROT_READ, MAP_PRIVATE, fd, 0);
  close(fd);
  return core != MAP_FAILED;
}

static Elf64_Phdr *header(int i) { return (Elf64_Phdr *)(core + ((Elf64_Ehdr *)core)->e_phoff) + i; }

// The segment of an address, null if there is none.
static Elf64_Phdr *segment(const void *addr) {
  for (int i = 0; i < ((Elf64_Ehdr *)core)->e_phnum; i++) {
    Elf64_Phdr *p = header(i);
    uintptr_t a = (uintptr_t)addr;
    if (p->p_type == PT_LOAD && a >= p->p_vaddr && a < p->p_vaddr + p->p_memsz) return p;
  }
  return NULL;
}

// What the core file has of an address: "dumped", "left out", or "not mapped".
static void memory(const char *name, const void *addr, const char *want) {
  Elf64_Phdr *p = segment(addr);
  if (p == NULL) say("%s: not mapped", name);
  else if ((uintptr_t)addr - p->p_vaddr >= p->p_filesz) say("%s: left out", name);
  else {
    const char *got = core + p->p_offset + ((uintptr_t)addr - p->p_vaddr);
    say("%s: dumped, flags %x, content %s", name, p->p_flags, strcmp(got, want) == 0 ? "right" : "wrong");
  }
}

// The n-th note of a type, null if there is none.
static char *note(uint32_t type, int n, size_t *size) {
  Elf64_Phdr *p = header(0);
  for (size_t at = 0; at < p->p_filesz;) {
    Elf64_Nhdr *h = (Elf64_Nhdr *)(core + p->p_offset + at);
    char *desc = (char *)(h + 1) + ((h->n_namesz + 3) & ~3u);
    if (h->n_type == type && n-- == 0) {
      *size = h->n_descsz;
      return desc;
    }
    at = desc + ((h->n_descsz + 3) & ~3u) - (core + p->p_offset);
  }
  return NULL;
}

static int count(uint32_t type) {
  size_t size;
  int n = 0;
  while (note(type, n, &size) != NULL) n++;
  return n;
}

static uint64_t aux(uint64_t type) {
  size_t size;
  Elf64_auxv_t *a = (Elf64_auxv_t *)note(NT_AUXV, 0, &size);
  for (; a != NULL && a->a_type != AT_NULL; a++)
    if (a->a_type == type) return a->a_un.a_val;
  return 0;
}

static void drop(void) {
  munmap(core, core_size);
  unlink("core");
}

static void by_abort(void) { abort(); }

static void the_file(void) {
  pid_t p = run("abort", by_abort);
  struct stat st;
  stat("core", &st);
  say("mode %o, links %d, own %d", st.st_mode, (int)st.st_nlink, st.st_uid == getuid() && st.st_gid == getgid());
  if (!load()) return;
  Elf64_Ehdr *e = (Elf64_Ehdr *)core;
  say("ident %d %d %d, type %d, machine %d, version %d", memcmp(e->e_ident, ELFMAG, 4), e->e_ident[EI_CLASS],
      e->e_ident[EI_DATA], e->e_type, e->e_machine, e->e_version);
  say("first header %d, sizes %d %d, sections %d", header(0)->p_type, e->e_ehsize, e->e_phentsize, e->e_shnum);
  Elf64_Phdr *last = header(e->e_phnum - 1);
  is("the last segment ends the file", last->p_offset + last->p_filesz <= core_size);
  int aligned = 1;
  for (int i = 1; i < e->e_phnum; i++) aligned &= header(i)->p_offset % 4096 == 0 && header(i)->p_align == 4096;
  is("segments are aligned", aligned);
  size_t size;
  prstatus_t *s = (prstatus_t *)note(NT_PRSTATUS, 0, &size);
  say("prstatus: size %zu, signal %d %d, pid %d, parent %d, group %d, session %d, fp %d", size, s->pr_cursig,
      s->pr_info.si_signo, s->pr_pid == p, s->pr_ppid == getpid(), s->pr_pgrp == getpgrp(), s->pr_sid == getsid(0),
      s->pr_fpvalid);
  struct user_regs_struct *r = (struct user_regs_struct *)s->pr_reg;
  say("in call %lld, result %lld, cs %llx, ss %llx", (long long)r->orig_rax, (long long)r->rax, r->cs, r->ss);
  memory("stack", (void *)(r->rsp & ~7ul), (char *)core + segment((void *)r->rsp)->p_offset + ((r->rsp & ~7ul) - segment((void *)r->rsp)->p_vaddr));
  is("fs base", segment((void *)r->fs_base) != NULL);
  prpsinfo_t *ps = (prpsinfo_t *)note(NT_PRPSINFO, 0, &size);
  say("prpsinfo: size %zu, %c, nice %d, uid %d, pid %d, name %d, arguments %d", size, ps->pr_sname, ps->pr_nice == getpriority(PRIO_PROCESS, 0),
      ps->pr_uid == getuid(), ps->pr_pid == p, strncmp(ps->pr_fname, "core-dump", 9), strstr(ps->pr_psargs, "core-dump") != NULL);
  siginfo_t *si = (siginfo_t *)note(NT_SIGINFO, 0, &size);
  say("siginfo: size %zu, signal %d, code %d, pid %d", size, si->si_signo, si->si_code, si->si_pid == p);
  say("auxv: page size %d, entry %d", (int)aux(AT_PAGESZ), segment((void *)aux(AT_ENTRY)) != NULL);
  say("notes: files %d, fp %d, xstate %d", count(NT_FILE), count(NT_FPREGSET), count(NT_X86_XSTATE) > 0);
  uint64_t *f = (uint64_t *)note(NT_FILE, 0, &size);
  const char *names = (char *)(f + 2 + 3 * f[0]), *exe = NULL;
  for (uint64_t i = 0; i < f[0]; i++, names += strlen(names) + 1)
    if (strstr(names, "core-dump") != NULL && exe == NULL) exe = names;
  say("files: page size %d, the program %s", (int)f[1], exe != NULL && exe[0] == '/' ? "named" : "missing");
  memory("data", marker, marker);
  char *vdso = (char *)aux(AT_SYSINFO_EHDR);
  if (vdso != NULL) {
    Elf64_Phdr *v = segment(vdso);
    is("vdso", v != NULL && memcmp(core + v->p_offset, ELFMAG, 4) == 0);
  }
  drop();
}

static rlim_t limit;
static void limited(void) {
  limit_core(limit);
  abort();
}

static void limits(void) {
  for (limit = 0; limit <= 4096; limit += limit == 0 ? 4095 : 1) {
    char name[32];
    sprintf(name, "limit %d", (int)limit);
    run(name, limited);
    unlink("core");
  }
  limit = 40960;
  run("limit 40960", limited);
  unlink("core");
}

static int number;
static void by_signal(void) { die(number); }

static void signals(void) {
  for (number = 1; number < 32; number++) {
    if (number == SIGSTOP || number == SIGTSTP || number == SIGTTIN || number == SIGTTOU || number == SIGCHLD ||
        number == SIGCONT || number == SIGURG || number == SIGWINCH)
      continue;
    char name[32];
    sprintf(name, "signal %d", number);
    run(name, by_signal);
    unlink("core");
  }
  number = SIGRTMIN;
  run("real-time signal", by_signal);
}

static void fault(void) { *(volatile int *)16 = 1; }
static void divide(void) {
  volatile int zero = 0, one = 42;
  one = one / zero;
}
static void trap(void) { __asm__ volatile("int3"); }
static void undefined(void) { __asm__ volatile("ud2"); }

static void faults(void) {
  void (*f[])(void) = {fault, divide, trap, undefined};
  const char *names[] = {"fault", "division", "breakpoint", "undefined"};
  for (int i = 0; i < 4; i++) {
    run(names[i], f[i]);
    if (!load()) continue;
    size_t size;
    siginfo_t *si = (siginfo_t *)note(NT_SIGINFO, 0, &size);
    prstatus_t *s = (prstatus_t *)note(NT_PRSTATUS, 0, &size);
    struct user_regs_struct *r = (struct user_regs_struct *)s->pr_reg;
    say("%s: signal %d, code %d, address %lx, in call %lld", names[i], si->si_signo, si->si_code,
        i == 0 ? (long)si->si_addr : 0, (long long)r->orig_rax);
    drop();
  }
}

static void undumpable(void) {
  prctl(PR_SET_DUMPABLE, 0);
  abort();
}
static void other_user(void) {
  if (setresuid(1000, 1000, 1000) != 0) _exit(3);
  say("dumpable after setresuid: %d", prctl(PR_GET_DUMPABLE));
  abort();
}
static void other_user_dumpable(void) {
  if (setresuid(1000, 1000, 1000) != 0) _exit(3);
  prctl(PR_SET_DUMPABLE, 1);
  abort();
}
static void in_no_directory(void) {
  if (mkdir("gone", 0700) != 0 || chdir("gone") != 0 || rmdir("../gone") != 0) _exit(3);
  abort();
}

static void places(void) {
  run("not dumpable", undumpable);
  run("another user", other_user);
  chmod(".", 0755);
  run("another user in a directory of ours", other_user_dumpable);
  chmod(".", 0777);
  run("another user in a directory of all", other_user_dumpable);
  struct stat st;
  stat("core", &st);
  say("owner %d", (int)st.st_uid);
  unlink("core");
  run("removed directory", in_no_directory);
  int fd = open("old", O_CREAT | O_WRONLY, 0644);
  if (write(fd, "old", 3) != 3) say("write");
  close(fd);
  link("old", "core");
  run("over a file", by_abort);
  stat("old", &st);
  say("the old file: size %d, links %d", (int)st.st_size, (int)st.st_nlink);
  unlink("core");
  symlink("old", "core");
  run("over a symbolic link", by_abort);
  stat("old", &st);
  lstat("core", &st);
  say("now %o", st.st_mode & S_IFMT);
  unlink("core");
  mkdir("core", 0700);
  run("a directory in its place", by_abort);
  rmdir("core");
  unlink("old");
}

static void filtered(int filter) {
  char text[16];
  int fd = open("/proc/self/coredump_filter", O_RDWR), n = sprintf(text, "%d", filter);
  if (filter >= 0 && write(fd, text, n) != n) say("filter: %s", strerrorname_np(errno));
  close(fd);
  strcpy(anon, "private memory");
  abort();
}
static void filter_default(void) { filtered(-1); }
static void filter_none(void) { filtered(0); }
static void filter_anon_private(void) { filtered(1); }
static void filter_anon_shared(void) { filtered(2); }
static void filter_mapped_private(void) { filtered(4); }
static void filter_mapped_shared(void) { filtered(8); }
static void filter_headers(void) { filtered(16); }

static void filters(void) {
  char text[32] = "";
  int fd = open("/proc/self/coredump_filter", O_RDWR);
  if (read(fd, text, sizeof text) < 0) say("read");
  say("default filter %s", strtok(text, "\n"));
  ret("filter: not a number", write(fd, "x", 1));
  close(fd);
  fd = open("mapped", O_CREAT | O_RDWR, 0600);
  if (ftruncate(fd, 4096) != 0 || pwrite(fd, "contents of the file", 21, 0) != 21) say("file");
  anon = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  advised = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  madvise(advised, 4096, MADV_DONTDUMP);
  strcpy(advised, "advised");
  shared_anon = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  strcpy(shared_anon, "shared memory");
  private_file = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
  shared_file = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  void (*f[])(void) = {filter_default,     filter_none,           filter_anon_private, filter_anon_shared,
                       filter_mapped_private, filter_mapped_shared, filter_headers};
  for (unsigned i = 0; i < sizeof f / sizeof f[0]; i++) {
    run("filter", f[i]);
    if (!load()) continue;
    memory("anonymous", anon, "private memory");
    memory("not to be dumped", advised, "advised");
    memory("shared anonymous", shared_anon, "shared memory");
    memory("private file", private_file, "contents of the file");
    memory("shared file", shared_file, "contents of the file");
    drop();
  }
  unlink("mapped");
}

static pid_t waiters[2];

static void *in_call(void *arg) {
  *(volatile pid_t *)arg = syscall(SYS_gettid);
  for (;;) pause();
  return NULL;
}
static void *in_code(void *arg) {
  ready = 1;
  for (volatile long n = 0;; n++) {}
  return NULL;
}
static void *crash(void *arg) {
  *(volatile int *)16 = 1;
  return NULL;
}

// Until a thread of ours sleeps.
static void threads(void) {
  pthread_t t;
  pthread_create(&t, NULL, in_call, &waiters[0]);
  pthread_create(&t, NULL, in_call, &waiters[1]);
  pthread_create(&t, NULL, in_code, NULL);
  until_asleep(&waiters[0], NULL);
  until_asleep(&waiters[1], NULL);
  while (!ready) sched_yield();
  pthread_create(&t, NULL, crash, NULL);
  pthread_join(t, NULL);
}

static void with_threads(void) {
  pid_t p = run("threads", threads);
  if (!load()) return;
  size_t size;
  say("threads: %d status, %d fp, %d process", count(NT_PRSTATUS), count(NT_FPREGSET), count(NT_PRPSINFO));
  int leaders = 0, waits = 0, stacks = 0;
  for (int i = 0; i < count(NT_PRSTATUS); i++) {
    prstatus_t *s = (prstatus_t *)note(NT_PRSTATUS, i, &size);
    struct user_regs_struct *r = (struct user_regs_struct *)s->pr_reg;
    leaders += s->pr_pid == p;
    if (i == 0) say("the first one: leader %d, in call %lld, signal %d", s->pr_pid == p, (long long)r->orig_rax, s->pr_cursig);
    else waits += r->orig_rax == SYS_pause && (long long)r->rax == -514;
    stacks += segment((void *)r->rsp) != NULL;
  }
  say("leaders %d, waiting %d, stacks %d", leaders, waits, stacks);
  drop();
}

static void killed_by_filter(void) {
  struct sock_filter f[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getpgid, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS | 7),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog prog = {4, f};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog);
  signal(SIGSYS, SIG_IGN);
  syscall(SYS_getpgid, 0);
}
static void killed_thread_by_filter(void) {
  struct sock_filter f[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getpgid, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_THREAD),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog prog = {4, f};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog);
  syscall(SYS_getpgid, 0);
}

static void by_seccomp(void) {
  run("seccomp", killed_by_filter);
  if (load()) {
    size_t size;
    siginfo_t *si = (siginfo_t *)note(NT_SIGINFO, 0, &size);
    prstatus_t *s = (prstatus_t *)note(NT_PRSTATUS, 0, &size);
    struct user_regs_struct *r = (struct user_regs_struct *)s->pr_reg;
    say("seccomp: signal %d, code %d, errno %d, call %d, rax %lld", si->si_signo, si->si_code, si->si_errno,
        si->si_syscall == SYS_getpgid, (long long)r->rax);
    drop();
  }
  run("seccomp, only thread", killed_thread_by_filter);
  unlink("core");
}

static void told(void) {
  sigset_t set;
  siginfo_t si;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  sigprocmask(SIG_BLOCK, &set, NULL);
  pid_t p = fork();
  if (p == 0) {
    limit_core(RLIM_INFINITY);
    abort();
  }
  int r = sigwaitinfo(&set, &si);
  say("SIGCHLD: %d, dumped %d, status %d, pid %d", r == SIGCHLD, si.si_code == CLD_DUMPED, si.si_status, si.si_pid == p);
  memset(&si, 0, sizeof si);
  waitid(P_PID, p, &si, WEXITED);
  say("waitid: dumped %d, status %d, pid %d", si.si_code == CLD_DUMPED, si.si_status, si.si_pid == p);
  sigprocmask(SIG_UNBLOCK, &set, NULL);
  unlink("core");
  limit = 0;
  p = fork();
  if (p == 0) limited();
  memset(&si, 0, sizeof si);
  waitid(P_PID, p, &si, WEXITED);
  say("waitid without a core: killed %d, status %d", si.si_code == CLD_KILLED, si.si_status);
}

// A program that may be run but not read.
static void unreadable(const char *self) {
  char command[512];
  snprintf(command, sizeof command, "cp %s unreadable && chmod 0111 unreadable", self);
  if (system(command) != 0) return;
  pid_t p = fork();
  if (p == 0) {
    if (setresgid(1000, 1000, 1000) != 0 || setresuid(1000, 1000, 1000) != 0) _exit(3);
    execl("./unreadable", "core-dump", "dumpable", NULL);
    _exit(4);
  }
  wait_say("a program that cannot be read", p);
  unlink("unreadable");
}

int main(int argc, char **argv) {
  if (argc > 1) {
    say("dumpable: %d", prctl(PR_GET_DUMPABLE));
    return 0;
  }
  the_file();
  limits();
  signals();
  faults();
  places();
  filters();
  with_threads();
  by_seccomp();
  told();
  unreadable(argv[0]);
  return 0;
}
