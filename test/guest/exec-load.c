// execve and execveat: arguments, scripts, errors, what survives.
// Bad pointers are the point of it.
#pragma GCC diagnostic ignored "-Wstringop-overflow"
#pragma GCC diagnostic ignored "-Wstringop-overread"
#pragma GCC diagnostic ignored "-Wnonnull"
#include "guest.h"
#include <elf.h>
#include <limits.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static char dir[] = "/tmp/execXXXXXX", path[PATH_MAX], self[PATH_MAX];

static char *put(const char *name, const void *data, size_t len, int mode) {
  snprintf(path, sizeof path, "%s/%s", dir, name);
  int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0700);
  write(fd, data, len);
  fchmod(fd, mode);
  close(fd);
  return path;
}
static char *puts_(const char *name, const char *text) { return put(name, text, strlen(text), 0755); }

// Runs `file` in a child: its exit, or the errno of execve.
static void run(const char *name, const char *file, char *const argv[], char *const envp[]) {
  fflush(stdout);
  pid_t c = fork();
  if (c == 0) {
    execve(file, argv, envp);
    ret(name, -1);
    _exit(99);
  }
  wait_say(name, c);
}
#define ARGS(...) ((char *const[]){__VA_ARGS__, 0})
static char *const noenv[] = {0};

static int child(int argc, char **argv) {
  if (!strcmp(argv[1], "args")) {
    for (int i = 2; i < argc; i++) printf(" [%s]", argv[i][0] == '/' ? strrchr(argv[i], '/') : argv[i]);
    for (char **e = environ; *e; e++) printf(" {%s}", *e);
    printf("\n");
  } else if (!strcmp(argv[1], "state")) {
    struct sigaction sa;
    sigaction(SIGUSR1, 0, &sa);
    say("handler reset %d", sa.sa_handler == SIG_DFL);
    sigaction(SIGUSR2, 0, &sa);
    say("ignore kept %d", sa.sa_handler == SIG_IGN);
    sigset_t s;
    sigprocmask(0, 0, &s);
    say("mask kept %d", sigismember(&s, SIGHUP));
    say("cloexec fd %d, other %d", fcntl(50, F_GETFD), fcntl(51, F_GETFD));
    char comm[17] = {0};
    prctl(PR_GET_NAME, comm);
    say("comm %s", comm);
    stack_t ss;
    sigaltstack(0, &ss);
    say("altstack disabled %d", ss.ss_flags == SS_DISABLE);
  } else if (!strcmp(argv[1], "auxv")) {
    say("pagesz %lu clktck %lu secure %lu", getauxval(AT_PAGESZ), getauxval(AT_CLKTCK), getauxval(AT_SECURE));
    say("platform %s execfn %s", (char *)getauxval(AT_PLATFORM), strrchr((char *)getauxval(AT_EXECFN), '/'));
    say("phent %lu", getauxval(AT_PHENT));
    is("vdso", getauxval(AT_SYSINFO_EHDR) && !memcmp((void *)getauxval(AT_SYSINFO_EHDR), ELFMAG, 4));
    is("phdr", *(unsigned *)getauxval(AT_PHDR) == PT_PHDR);
    is("uid", getauxval(AT_UID) == getuid() && getauxval(AT_EGID) == getegid());
    is("random", getauxval(AT_RANDOM) != 0);
    is("hwcap", getauxval(AT_HWCAP) != 0);
    extern char etext, edata, end;
    is("order", &etext < &edata && &edata <= &end && (void *)&end <= sbrk(0));
  } else if (!strcmp(argv[1], "fd")) {
    say("read %d", (int)read(51, &(char){0}, 0));
  } else if (!strcmp(argv[1], "count")) {
    say("argc %d", argc);
  }
  fflush(stdout);
  return 7;
}

static void on_usr(int s) { (void)s; }

static void survives(void) {
  fflush(stdout);
  pid_t c = fork();
  if (c == 0) {
    signal(SIGUSR1, on_usr);
    signal(SIGUSR2, SIG_IGN);
    sigset_t s;
    sigemptyset(&s);
    sigaddset(&s, SIGHUP);
    sigprocmask(SIG_BLOCK, &s, 0);
    int fd = open("/dev/null", O_RDONLY);
    dup3(fd, 50, O_CLOEXEC);
    dup2(fd, 51);
    static char alt[65536];
    stack_t ss = {.ss_sp = alt, .ss_size = sizeof alt};
    sigaltstack(&ss, 0);
    symlink(self, put("a-rather-long-name", "", 0, 0755) ? "" : "");
    unlink(path);
    symlink(self, path);
    execve(path, ARGS("x", "state"), noenv);
    _exit(98);
  }
  wait_say("state", c);
}

static void scripts(void) {
  char text[PATH_MAX + 600];
  sprintf(text, "#!%s args\n", self);
  run("script", puts_("s1", text), ARGS("zero", "one", "two"), ARGS("E=1"));
  sprintf(text, "#!  %s   args  a b  \n", self);
  run("script one argument", puts_("s2", text), ARGS("zero", "x"), noenv);
  sprintf(text, "#!%s args", self);
  run("script without newline", puts_("s3", text), ARGS("zero"), noenv);
  run("script missing interpreter", puts_("s4", "#!/nonexistent/x\n"), ARGS("x"), noenv);
  run("empty interpreter", puts_("s5", "#!\n"), ARGS("x"), noenv);
  char inner[PATH_MAX];
  sprintf(text, "#!%s args\n", self);
  strcpy(inner, puts_("n0", text));
  for (int i = 1; i <= 6; i++) {
    char n[8];
    sprintf(text, "#!%s\n", inner);
    sprintf(n, "n%d", i);
    strcpy(inner, puts_(n, text));
    if (i >= 3) {
      sprintf(n, "nest %d", i);
      fflush(stdout);
      pid_t c = fork();
      if (c == 0) {
        freopen("/dev/null", "w", stdout);
        execve(inner, ARGS("x"), noenv);
        _exit(errno);
      }
      int st;
      waitpid(c, &st, 0);
      say("%s: %d", n, WEXITSTATUS(st));
    }
  }
  memset(text, 'a', 300);
  memcpy(text, "#!/", 3);
  text[300] = 0;
  run("cut off", puts_("s6", text), ARGS("x"), noenv);
  run("no magic", puts_("s7", "echo hi\n"), ARGS("x"), noenv);
  run("empty file", puts_("s8", ""), ARGS("x"), noenv);
}

static void elfs(void) {
  static char image[1 << 20];
  int fd = open(self, O_RDONLY);
  ssize_t n = read(fd, image, sizeof image);
  close(fd);
  Elf64_Ehdr *e = (void *)image;
  Elf64_Ehdr good = *e;
  char *f = put("copy", image, n, 0755);
  run("copy", f, ARGS("x", "count"), noenv);
  run("truncated header", put("e1", image, 40, 0755), ARGS("x"), noenv);
  run("truncated table", put("e2", image, 70, 0755), ARGS("x"), noenv);
#define WITH(name, change) do { change; run(name, put("e", image, n, 0755), ARGS("x", "count"), noenv); *e = good; } while (0)
  WITH("ET_CORE", e->e_type = ET_CORE);
  WITH("ET_REL", e->e_type = ET_REL);
  WITH("i386", e->e_machine = EM_386);
  WITH("arm", e->e_machine = EM_AARCH64);
  WITH("phentsize", e->e_phentsize = 32);
  WITH("phnum 0", e->e_phnum = 0);
  WITH("phnum large", e->e_phnum = 5000);
  WITH("phoff far", e->e_phoff = 1UL << 40);
  Elf64_Phdr *ph = (void *)(image + e->e_phoff);
  for (int i = 0; i < good.e_phnum; i++) {
    if (ph[i].p_type != PT_INTERP) continue;
    Elf64_Phdr was = ph[i];
    ph[i].p_filesz = 1;
    run("interp short", put("e", image, n, 0755), ARGS("x"), noenv);
    ph[i].p_filesz = 5000;
    run("interp long", put("e", image, n, 0755), ARGS("x"), noenv);
    ph[i] = was;
    ph[i].p_filesz--;
    run("interp unterminated", put("e", image, n, 0755), ARGS("x"), noenv);
    ph[i] = was;
    image[was.p_offset + 3] = 'X';
    run("interp missing", put("e", image, n, 0755), ARGS("x"), noenv);
    strcpy(image + was.p_offset, "/etc/passwd");
    run("interp no program", put("e", image, n, 0755), ARGS("x"), noenv);
  }
}

static void errors(void) {
  run("missing", "/nonexistent", ARGS("x"), noenv);
  run("directory", "/tmp", ARGS("x"), noenv);
  run("not executable", put("data", "#!/bin/true\n", 12, 0644), ARGS("x"), noenv);
  run("device", "/dev/null", ARGS("x"), noenv);
  run("empty path", "", ARGS("x"), noenv);
  run("path fault", BAD_PTR, ARGS("x"), noenv);
  run("argv fault", self, BAD_PTR, noenv);
  run("argv element fault", self, ARGS("x", BAD_PTR), noenv);
  run("envp fault", self, ARGS("x"), BAD_PTR);
  run("null argv and envp", self, 0, 0);
  snprintf(path, sizeof path, "%s/data/x", dir);
  run("not a directory", path, ARGS("x"), noenv);
  char *big = malloc(200000);
  memset(big, 'a', 131072);
  big[131072] = 0;
  run("string too long", self, ARGS("x", big), noenv);
  big[131071] = 0;
  run("longest string", self, ARGS("x", "count", big), noenv);
  char **many = malloc(300000 * sizeof *many);
  for (int i = 0; i < 300000; i++) many[i] = "x";
  many[1] = "count";
  many[299999] = 0;
  run("too many", self, many, noenv);
  many[100000] = 0;
  run("100000 arguments", self, many, noenv);
  struct rlimit rl = {1 << 20, 1 << 20}, old;
  getrlimit(RLIMIT_STACK, &old);
  rl.rlim_max = old.rlim_max;
  setrlimit(RLIMIT_STACK, &rl);
  run("quarter of the stack", self, many, noenv);
  setrlimit(RLIMIT_STACK, &old);
  char *busy = put("busy", "", 0, 0755);
  int fd = open(busy, O_WRONLY);
  run("open for writing", busy, ARGS("x"), noenv);
  close(fd);
  fflush(stdout);
  ret("write to a running program", open(self, O_WRONLY));
}

static void at(void) {
  int d = open(dir, O_RDONLY | O_DIRECTORY), f = open(self, O_PATH);
  char text[PATH_MAX + 10];
  sprintf(text, "#!%s args\n", self);
  puts_("script", text);
  fflush(stdout);
#define AT(name, ...) do { pid_t c = fork(); if (c == 0) { ret(name, syscall(SYS_execveat, __VA_ARGS__)); _exit(99); } wait_say(name, c); fflush(stdout); } while (0)
  AT("empty path", f, "", ARGS("x", "count"), noenv, AT_EMPTY_PATH);
  AT("no flag", f, "", ARGS("x"), noenv, 0);
  AT("relative", d, "copy", ARGS("x", "count", "y"), noenv, 0);
  AT("bad fd", 99, "copy", ARGS("x"), noenv, 0);
  AT("bad flags", d, "copy", ARGS("x"), noenv, 0x10);
  symlinkat("copy", d, "link");
  AT("nofollow", d, "link", ARGS("x"), noenv, AT_SYMLINK_NOFOLLOW);
  int s = openat(d, "script", O_RDONLY | O_CLOEXEC);
  AT("script by cloexec fd", s, "", ARGS("x"), noenv, AT_EMPTY_PATH);
}

int main(int argc, char **argv) {
  if (argc > 1 || argc == 0) return child(argc, argv);
  if (!strcmp(argv[0], "")) return 5;
  if (!strcmp(argv[0], "x")) return 6;
  readlink("/proc/self/exe", self, sizeof self - 1);
  mkdtemp(dir);
  say("# survives"), survives();
  say("# arguments");
  run("plain", self, ARGS("x", "args", "", "b c"), ARGS("A=1", "B="));
  run("auxv", self, ARGS("x", "auxv"), noenv);
  say("# scripts"), scripts();
  say("# elf"), elfs();
  say("# errors"), errors();
  say("# execveat"), at();
  char cmd[100];
  sprintf(cmd, "rm -rf %s", dir);
  return system(cmd);
}
