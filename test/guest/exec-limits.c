// What execve(2) refuses: sizes of arguments, scripts, headers of ELF files, files that are open; and what of a process it keeps.
#include "guest.h"
#include <elf.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>

static char self[4096];

static void make(const char *name, const void *data, size_t n) {
  unlink(name);
  int fd = open(name, O_CREAT | O_RDWR | O_TRUNC, 0700);
  if (write(fd, data, n) != (ssize_t)n) say("write failed");
  close(fd);
}

// Runs `path` in a child: how it ended, or why it did not start.
static void exec_say(const char *name, const char *path, char **argv, char **envp) {
  int p[2];
  if (pipe2(p, O_CLOEXEC) < 0) return;
  pid_t child = fork();
  if (child == 0) {
    execve(path, argv, envp);
    int e = errno;
    if (write(p[1], &e, sizeof e) < 0) _exit(99);
    _exit(0);
  }
  close(p[1]);
  int e = 0, st = 0;
  long n = read(p[0], &e, sizeof e);
  waitpid(child, &st, 0);
  close(p[0]);
  if (n > 0) say("%s: %s", name, strerrorname_np(e));
  else if (WIFSIGNALED(st)) say("%s: signal %d", name, WTERMSIG(st));
  else say("%s: exit %d", name, WEXITSTATUS(st));
}

static char *none[] = {NULL};

static void sizes(void) {
  say("# sizes");
  char *args[] = {self, "exit", NULL, NULL, NULL};
  char label[60];
  char *big = malloc(1 << 20);
  memset(big, 'x', 1 << 20);
  for (int n = 131070; n <= 131073; n++) {
    big[n] = 0;
    args[2] = big;
    snprintf(label, sizeof label, "argument of %d", n);
    exec_say(label, self, args, none);
    char *env[] = {big, NULL};
    args[2] = NULL;
    snprintf(label, sizeof label, "environment of %d", n);
    exec_say(label, self, args, env);
    big[n] = 'x';
  }
  big[100000] = 0;
  static char *many[100];
  many[0] = self;
  many[1] = "exit";
  static const int counts[] = {1, 2, 3, 19, 20, 21, 60, 62};
  static const rlim_t limits[] = {8 << 20, 1 << 20, 64 << 20};
  for (int l = 0; l < 3; l++) {
    struct rlimit old, r;
    getrlimit(RLIMIT_STACK, &old);
    r = old;
    r.rlim_cur = limits[l];
    setrlimit(RLIMIT_STACK, &r);
    for (unsigned i = 0; i < sizeof counts / sizeof *counts; i++) {
      for (int k = 0; k < counts[i]; k++) many[2 + k] = big;
      many[2 + counts[i]] = NULL;
      snprintf(label, sizeof label, "%d of 100000, stack %lu", counts[i], (unsigned long)limits[l]);
      exec_say(label, self, many, none);
    }
    setrlimit(RLIMIT_STACK, &old);
  }
  free(big);
  static char *lots[300000];
  for (int i = 0; i < 299999; i++) lots[i] = i == 0 ? self : i == 1 ? "exit" : "";
  exec_say("300000 empty ones", self, lots, none);
  lots[200000] = NULL;
  exec_say("200000 empty ones", self, lots, none);
  exec_say("no arguments", self, none, none);
  exec_say("NULL arguments", self, NULL, none);
  exec_say("NULL environment", self, args, NULL);
  exec_say("bad arguments", self, BAD_PTR, none);
  char *bad[] = {self, BAD_PTR, NULL};
  exec_say("bad argument", self, bad, none);
  exec_say("bad environment", self, args, bad);
  exec_say("bad path", BAD_PTR, args, none);
  exec_say("empty path", "", args, none);
  exec_say("directory", ".", args, none);
  exec_say("missing", "missing", args, none);
  exec_say("under a file", "/proc/self/exe/x", args, none);
}

static char text[5000];
static char *script_args[] = {"s", "exit", NULL};

static void script(const char *name) {
  make("s", text, strlen(text));
  exec_say(name, "./s", script_args, none);
}

#define SCRIPT(name, ...) (snprintf(text, sizeof text, __VA_ARGS__), script(name))

static void scripts(void) {
  say("# scripts");
  char label[60];
  SCRIPT("simple", "#!%s\n", self);
  SCRIPT("with an argument", "#!%s args\n", self);
  SCRIPT("with several", "#!%s args a b  c \n", self);
  SCRIPT("spaces and tabs", "#! \t %s \t args \t \n", self);
  SCRIPT("no end of line", "#!%s args", self);
  SCRIPT("carriage return", "#!%s args\r\n", self);
  SCRIPT("only the mark", "#!");
  SCRIPT("mark and line", "#!\n");
  SCRIPT("mark and spaces", "#!   \n");
  SCRIPT("relative", "#!sh\n");
  SCRIPT("missing", "#!/missing/x\n");
  SCRIPT("directory", "#!/tmp\n");
  SCRIPT("itself", "#!./s\n");
  SCRIPT("empty", "%s", "");
  SCRIPT("text", "echo\n");
  SCRIPT("mark later", "\n#!%s\n", self);
  for (int n = 253; n < 259; n++) {
    memset(text, 'a', sizeof text);
    memcpy(text, "#!/", 3);
    text[n] = '\n';
    make("s", text, n + 1);
    snprintf(label, sizeof label, "name ends at %d", n);
    exec_say(label, "./s", script_args, none);
  }
  int k = snprintf(text, sizeof text, "#!%s args ", self);
  memset(text + k, 'b', 600);
  make("s", text, 700);
  exec_say("long argument is cut", "./s", script_args, none);
  text[100] = 0;
  make("s", text, 700);
  exec_say("NUL in the argument", "./s", script_args, none);
  SCRIPT("last", "#!%s args\n", self);
  for (int i = 1; i < 8; i++) {
    char name[8];
    snprintf(name, sizeof name, "s%d", i);
    k = i == 1 ? snprintf(text, sizeof text, "#!./s\n") : snprintf(text, sizeof text, "#!./s%d\n", i - 1);
    make(name, text, k);
    snprintf(label, sizeof label, "./s%d", i);
    exec_say(label, label, script_args, none);
  }
  chmod("s", 0600);
  exec_say("not executable", "./s", script_args, none);
  exec_say("interpreter not executable", "./s1", script_args, none);
  chmod("s", 0700);
  exec_say("no arguments for a script", "./s", none, none);
  int fd = open("s", O_RDONLY | O_CLOEXEC);
  pid_t child = fork();
  if (child == 0) {
    syscall(SYS_execveat, fd, "", script_args, none, AT_EMPTY_PATH);
    _exit(errno);
  }
  int st;
  waitpid(child, &st, 0);
  say("execveat of a closing script: %s", strerrorname_np(WEXITSTATUS(st)));
  ret("execveat, odd flags", syscall(SYS_execveat, fd, "", script_args, none, AT_EMPTY_PATH | 1));
  ret("execveat, nothing", syscall(SYS_execveat, fd, "", script_args, none, 0));
  ret("execveat, bad descriptor", syscall(SYS_execveat, 999, "", script_args, none, AT_EMPTY_PATH));
  ret("execveat, under a file", syscall(SYS_execveat, fd, "x", script_args, none, 0));
  symlink("s", "link");
  ret("execveat, no link", syscall(SYS_execveat, AT_FDCWD, "link", script_args, none, AT_SYMLINK_NOFOLLOW));
  close(fd);
}

static char elf[200000];
static size_t elf_size;

static void header(const char *name, void (*change)(Elf64_Ehdr *, Elf64_Phdr *)) {
  static char copy[sizeof elf];
  char *args[] = {"e", "exit", NULL};
  memcpy(copy, elf, elf_size);
  Elf64_Ehdr *e = (Elf64_Ehdr *)copy;
  change(e, (Elf64_Phdr *)(copy + e->e_phoff));
  make("e", copy, elf_size);
  exec_say(name, "./e", args, none);
}

static Elf64_Phdr *find(Elf64_Ehdr *e, Elf64_Phdr *p, unsigned type) {
  for (int i = 0; i < e->e_phnum; i++)
    if (p[i].p_type == type) return p + i;
  return p;
}

#define LOAD find(e, p, PT_LOAD)
#define INTERP find(e, p, PT_INTERP)
#define CHANGE(name, ...) \
  static void name(Elf64_Ehdr *e, Elf64_Phdr *p) { __VA_ARGS__; }
CHANGE(as_is, )
CHANGE(magic, e->e_ident[1] = 'X')
CHANGE(class, e->e_ident[EI_CLASS] = ELFCLASS32)
CHANGE(data, e->e_ident[EI_DATA] = ELFDATA2MSB)
CHANGE(version, e->e_ident[EI_VERSION] = 9; e->e_version = 9)
CHANGE(osabi, e->e_ident[EI_OSABI] = 77)
CHANGE(relocatable, e->e_type = ET_REL)
CHANGE(core, e->e_type = ET_CORE)
CHANGE(machine, e->e_machine = EM_AARCH64)
CHANGE(i386, e->e_machine = EM_386)
CHANGE(ehsize, e->e_ehsize = 1)
CHANGE(phentsize, e->e_phentsize = 32)
CHANGE(no_entries, e->e_phnum = 0)
CHANGE(many_entries, e->e_phnum = 2000)
CHANGE(most_entries, e->e_phnum = 65535)
CHANGE(phoff_past, e->e_phoff = 1 << 30)
CHANGE(phoff_before, e->e_phoff = -8)
CHANGE(no_load, for (int i = 0; i < e->e_phnum; i++) if (p[i].p_type == PT_LOAD) p[i].p_type = PT_NULL)
CHANGE(filesz, LOAD->p_filesz = LOAD->p_memsz + 1)
CHANGE(huge, LOAD->p_memsz = 1L << 60)
CHANGE(far, LOAD->p_vaddr = 1L << 60)
CHANGE(align0, LOAD->p_align = 0)
CHANGE(align3, LOAD->p_align = 3)
CHANGE(align_big, LOAD->p_align = 1 << 21)
CHANGE(interp_empty, INTERP->p_filesz = 0)
CHANGE(interp_one, INTERP->p_filesz = 1)
CHANGE(interp_cut, INTERP->p_filesz -= 1)
CHANGE(interp_long, INTERP->p_filesz = 5000)
CHANGE(interp_past, INTERP->p_offset = 1 << 30)
CHANGE(interp_missing, memcpy((char *)e + INTERP->p_offset, "/missing", 9))
CHANGE(interp_dir, memcpy((char *)e + INTERP->p_offset, "/tmp", 5))
CHANGE(interp_text, memcpy((char *)e + INTERP->p_offset, "./s", 4))
CHANGE(stack_exec, find(e, p, PT_GNU_STACK)->p_flags |= PF_X)
CHANGE(no_sections, e->e_shnum = 0; e->e_shoff = 0; e->e_shstrndx = 0)

static void headers(void) {
  say("# headers");
  int fd = open(self, O_RDONLY);
  elf_size = read(fd, elf, sizeof elf);
  close(fd);
  header("as it is", as_is);
  header("magic", magic);
  header("class", class);
  header("data", data);
  header("version", version);
  header("osabi", osabi);
  header("relocatable", relocatable);
  header("core", core);
  header("machine", machine);
  header("386", i386);
  header("size of the header", ehsize);
  header("size of entries", phentsize);
  header("no entries", no_entries);
  header("too many entries", many_entries);
  header("most entries", most_entries);
  header("entries past the end", phoff_past);
  header("entries before it", phoff_before);
  header("nothing to load", no_load);
  header("more in the file", filesz);
  header("huge segment", huge);
  header("far segment", far);
  header("alignment 0", align0);
  header("alignment 3", align3);
  header("alignment 2 MiB", align_big);
  header("interpreter empty", interp_empty);
  header("interpreter of one byte", interp_one);
  header("interpreter cut", interp_cut);
  header("interpreter long", interp_long);
  header("interpreter past the end", interp_past);
  header("interpreter missing", interp_missing);
  header("interpreter a directory", interp_dir);
  header("interpreter a text", interp_text);
  header("executable stack", stack_exec);
  header("no sections", no_sections);
  char *args[] = {"e", "exit", NULL};
  static const int cuts[] = {0, 1, 3, 4, 20, 63, 64, 100, 500};
  for (unsigned i = 0; i < sizeof cuts / sizeof *cuts; i++) {
    char label[30];
    make("e", elf, cuts[i]);
    snprintf(label, sizeof label, "cut at %d", cuts[i]);
    exec_say(label, "./e", args, none);
  }
}

static void busy(void) {
  say("# busy");
  char *args[] = {"e", "sleep", NULL};
  char path[40], line[100] = "";
  make("e", elf, elf_size);
  int fd = open("e", O_WRONLY | O_CLOEXEC);
  exec_say("open for writing", "./e", args, none);
  close(fd);
  int rd = open("e", O_RDONLY | O_CLOEXEC), p[2];
  if (pipe2(p, O_CLOEXEC) < 0) return;
  pid_t child = fork();
  if (child == 0) {
    dup2(p[0], 0);
    execve("./e", args, none);
    _exit(1);
  }
  close(p[0]);
  snprintf(path, sizeof path, "/proc/%d/comm", child);
  while (strcmp(line, "e\n") != 0) {
    FILE *f = fopen(path, "r");
    if (f == NULL || fgets(line, sizeof line, f) == NULL) break;
    fclose(f);
    sleep_ms(1);
  }
  ok("write", open("e", O_WRONLY));
  ok("read and write", open("e", O_RDWR));
  ok("truncate", truncate("e", 0));
  ok("truncating open", open("e", O_RDONLY | O_TRUNC));
  snprintf(path, sizeof path, "/proc/self/fd/%d", rd);
  ok("by another descriptor", open(path, O_WRONLY));
  ok("map", (long)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, rd, 0));
  ok("link", link("e", "e2"));
  ok("rename", rename("e2", "e3"));
  ok("unlink", unlink("e3"));
  ok("chmod", chmod("e", 0711));
  close(p[1]);
  wait_say("done", child);
  ok("write again", open("e", O_WRONLY));
  close(rd);
}

static void handler(int sig) {}

static void keeps(void) {
  say("# kept");
  pid_t child = fork();
  if (child == 0) {
    char *args[] = {"e", "report", NULL}, *env[] = {"A=B", NULL};
    prctl(PR_SET_NAME, "before");
    prctl(PR_SET_PDEATHSIG, SIGUSR2);
    prctl(PR_SET_DUMPABLE, 0);
    prctl(PR_SET_KEEPCAPS, 1);
    prctl(PR_SET_TIMERSLACK, 12345);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    signal(SIGUSR1, SIG_IGN);
    signal(SIGHUP, handler);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL);
    kill(getpid(), SIGUSR2);
    alarm(100);
    struct itimerval v = {{0, 0}, {50, 0}};
    setitimer(ITIMER_VIRTUAL, &v, NULL);
    timer_t tm;
    timer_create(CLOCK_REALTIME, NULL, &tm);
    umask(027);
    setpriority(PRIO_PROCESS, 0, 5);
    stack_t ss = {malloc(1 << 16), 0, 1 << 16};
    sigaltstack(&ss, NULL);
    execve(self, args, env);
    _exit(1);
  }
  wait_say("report", child);
}

static int report(int argc) {
  char name[20] = "";
  int v = 0;
  prctl(PR_GET_NAME, name);
  say("name %s, argc %d", name, argc);
  prctl(PR_GET_PDEATHSIG, &v);
  say("death signal %d, dumpable %d, keepcaps %d", v, prctl(PR_GET_DUMPABLE), prctl(PR_GET_KEEPCAPS));
  prctl(PR_GET_CHILD_SUBREAPER, &v);
  say("slack %d, reaper %d", prctl(PR_GET_TIMERSLACK), v);
  say("no new privileges %d", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
  struct sigaction a, b;
  sigaction(SIGUSR1, NULL, &a);
  sigaction(SIGHUP, NULL, &b);
  say("ignored %d, default %d", a.sa_handler == SIG_IGN, b.sa_handler == SIG_DFL);
  sigset_t set;
  sigprocmask(SIG_BLOCK, NULL, &set);
  int blocked = sigismember(&set, SIGUSR2);
  sigpending(&set);
  say("blocked %d, pending %d", blocked, sigismember(&set, SIGUSR2));
  struct itimerval iv;
  getitimer(ITIMER_REAL, &iv);
  int alarm_left = iv.it_value.tv_sec > 0;
  getitimer(ITIMER_VIRTUAL, &iv);
  say("alarm %d, virtual %d", alarm_left, iv.it_value.tv_sec > 0);
  struct itimerspec ts;
  ret("timer", syscall(SYS_timer_gettime, 0, &ts));
  say("umask %o, nice %d", umask(0), getpriority(PRIO_PROCESS, 0));
  stack_t ss;
  sigaltstack(NULL, &ss);
  say("alternate stack %d", ss.ss_flags);
  is("page size", getauxval(AT_PAGESZ) == 4096);
  is("ticks", getauxval(AT_CLKTCK) == 100);
  say("path %s", (char *)getauxval(AT_EXECFN));
  is("random", getauxval(AT_RANDOM) != 0);
  is("not secure", getauxval(AT_SECURE) == 0);
  is("platform", strcmp((char *)getauxval(AT_PLATFORM), "x86_64") == 0);
  is("ids", getauxval(AT_UID) == getuid() && getauxval(AT_EUID) == geteuid() && getauxval(AT_GID) == getgid());
  is("entry", getauxval(AT_ENTRY) != 0 && getauxval(AT_PHENT) == 56);
  is("minimal stack", getauxval(AT_MINSIGSTKSZ) > 1000);
  return 0;
}

int main(int argc, char **argv) {
  if (argc == 1 && argv[0][0] == 0) return 41;
  if (argc > 1) {
    const char *what = argv[1];
    if (strcmp(what, "exit") == 0) return 7;
    if (strcmp(what, "report") == 0) return report(argc);
    if (strcmp(what, "sleep") == 0) {
      char c;
      return read(0, &c, 1) == 0 ? 3 : 2;
    }
    if (strncmp(what, "args", 4) != 0) return 9;
    for (int i = 0; i < argc; i++) {
      if (strlen(argv[i]) > 60) say("  argument %d has %zu", i, strlen(argv[i]));
      else say("  argument %d: [%s]", i, argv[i]);
    }
    return 8;
  }
  readlink("/proc/self/exe", self, sizeof self - 1);
  symlink(self, "me");
  // A short name, so that limits of lines are the same wherever this is.
  strcpy(self, "./me");
  sizes();
  scripts();
  headers();
  busy();
  keeps();
  return 0;
}
