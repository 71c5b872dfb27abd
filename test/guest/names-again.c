// readlink(2) of names that are no symbolic links, asked again and again, and what has to be noticed at once when
// the tree, the asker or its observers change. Answers may be kept by whoever asks (docs/systrap.md).
#include "guest.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/user.h>

enum { OFTEN = 50 };
static char base[200], target[300];

static const char *at(const char *name) {
  static char path[4][300];
  static int turn;
  char *p = path[turn = (turn + 1) % 4];
  snprintf(p, sizeof path[0], "%s/%s", base, name);
  return p;
}

// Asks until an answer would be kept. 0 or errno.
static int ask_path(const char *path) {
  long r = 0;
  for (int i = 0; i < OFTEN; i++) r = readlink(path, target, sizeof target);
  return r < 0 ? errno : 0;
}

static void ask(const char *name, const char *path) {
  int e = ask_path(path);
  say("%s: %s", name, e == 0 ? "a link" : strerrorname_np(e));
}

// By another process.
static void elsewhere(void (*what)(void)) {
  pid_t pid = fork();
  if (pid == 0) {
    what();
    _exit(0);
  }
  waitpid(pid, NULL, 0);
}

static void make_dir(void) { mkdir(at("x"), 0755); }
static void remove_dir(void) { rmdir(at("x")); }
static void make_file(void) { close(open(at("x"), O_CREAT | O_WRONLY, 0644)); }
static void remove_file(void) { unlink(at("x")); }
static void make_link(void) { symlink("nowhere", at("x")); }
static void make_fifo(void) { mkfifo(at("x"), 0644); }
static void hard_link(void) { link(at("file"), at("x")); }
static void rename_link(void) { rename(at("link"), at("x")); }
static void rename_back(void) { rename(at("x"), at("link")); }
static void exchange(void) { renameat2(AT_FDCWD, at("d"), AT_FDCWD, at("link"), RENAME_EXCHANGE); }
static void move_parent(void) { rename(at("p"), at("q")); }
static void move_back(void) { rename(at("q"), at("p")); }
static void close_parent(void) { chmod(at("p"), 0); }
static void open_parent(void) { chmod(at("p"), 0755); }

static void bind_socket(void) {
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  snprintf(a.sun_path, sizeof a.sun_path, "%s", "x"); // In the working directory: the whole path may be too long.
  bind(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&a, sizeof a);
}

static void link_unnamed(void) {
  char path[60];
  int fd = open(base, O_TMPFILE | O_WRONLY, 0644);
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  if (fd < 0 || linkat(AT_FDCWD, path, AT_FDCWD, at("x"), AT_SYMLINK_FOLLOW) < 0) make_file();
}

static void comes_and_goes(const char *name, void (*come)(void), void (*go)(void)) {
  char line[80];
  snprintf(line, sizeof line, "%s, before", name);
  ask(line, at("x"));
  elsewhere(come);
  snprintf(line, sizeof line, "%s, there", name);
  ask(line, at("x"));
  elsewhere(go);
  snprintf(line, sizeof line, "%s, gone", name);
  ask(line, at("x"));
}

static void tree(void) {
  comes_and_goes("directory", make_dir, remove_dir);
  comes_and_goes("file", make_file, remove_file);
  comes_and_goes("link", make_link, remove_file);
  comes_and_goes("fifo", make_fifo, remove_file);
  comes_and_goes("socket", bind_socket, remove_file);
  comes_and_goes("hard link", hard_link, remove_file);
  comes_and_goes("unnamed file", link_unnamed, remove_file);
  comes_and_goes("renamed", rename_link, rename_back);
  make_file();
  ask("renamed over, file", at("x"));
  elsewhere(rename_link);
  ask("renamed over, link", at("x"));
  rename_back();
  ask("exchange, directory", at("d"));
  elsewhere(exchange);
  ask("exchange, link", at("d"));
  elsewhere(exchange);
  ask("exchange, directory again", at("d"));
  ask("parent", at("p/f"));
  elsewhere(move_parent);
  ask("parent has moved", at("p/f"));
  elsewhere(move_back);
  ask("parent is back", at("p/f"));
  ask("not a directory", at("file/x"));
}

static void arguments(void) {
  ask("argument", at("d"));
  ret("no room", readlink(at("d"), target, 0));
  ret("no room for what is missing", readlink(at("x"), target, 0));
  char *volatile nowhere = BAD_PTR;
  ret("no buffer", readlink(at("d"), nowhere, 10));
  ret("no name", readlink(nowhere, target, 10));
  ret("empty name", readlink("", target, 10));
  ret("with a slash", readlink(at("d/"), target, 10));
  ret("readlinkat", readlinkat(AT_FDCWD, at("d"), target, 10));
  ask("relative, directory", "d");
  chdir(at("d"));
  ask("relative, elsewhere", "d");
  chdir(base);
}

// The asker is somebody else now, or its root is another one: each in a process of its own.
static void other_user(void) {
  ask("root asks", at("p/f"));
  close_parent();
  ask("root asks behind closed doors", at("p/f"));
  setresuid(65534, 65534, 65534);
  ask("nobody asks behind closed doors", at("p/f"));
}

static void open_doors(void) {
  setresuid(65534, 65534, 65534);
  ask("nobody asks", at("p/f"));
}

static void other_root(void) {
  ask("before chroot", at("d"));
  ask("before chroot, missing", "/below");
  ok("chroot", chroot(at("d")));
  ask("after chroot", at("d"));
  ask("after chroot, there", "/below");
}

static void other_mounts(void) {
  ok("unshare", unshare(CLONE_NEWNS));
  ok("private", mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
  ask("before mount", at("p/f"));
  elsewhere(make_dir);
  ok("mount", mount("none", at("p"), "tmpfs", 0, NULL));
  ask("mounted over", at("p/f"));
  ok("umount", umount(at("p")));
  ask("after umount", at("p/f"));
  remove_dir();
}

static void *ask_in_thread(void *arg) {
  ask("thread", at("d"));
  make_link();
  return arg;
}

static void threads(void) {
  pthread_t t;
  ask("before thread", at("x"));
  pthread_create(&t, NULL, ask_in_thread, NULL);
  pthread_join(t, NULL);
  ask("thread made a link", at("x"));
  remove_file();
  ask("link is gone", at("x"));
}

// A child in the same memory and with another root.
static void vforked(void) {
  ask("before vfork", "/below");
  pid_t pid = vfork();
  if (pid == 0) {
    chroot(at("d"));
    for (int i = 0; i < OFTEN; i++) readlink("/below", target, sizeof target);
    _exit(errno == EINVAL ? 1 : 2);
  }
  wait_say("vfork child sees its root", pid);
  ask("after vfork", "/below");
}

static void filtered(void) {
  struct sock_filter insns[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_readlink, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPROTO),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog prog = {sizeof insns / sizeof insns[0], insns};
  ask("before filter", at("d"));
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  ok("filter", prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0));
  ask("after filter", at("d"));
}

static volatile char selector;
static volatile int dispatched;
static void on_sigsys(int sig) {
  selector = 0; // SYSCALL_DISPATCH_FILTER_ALLOW
  dispatched += sig == SIGSYS;
}

static void redirected(void) {
  signal(SIGSYS, on_sigsys);
  ask("before dispatch", at("d"));
  ok("dispatch", prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0L, 0L, &selector));
  selector = 1; // SYSCALL_DISPATCH_FILTER_BLOCK
  readlink(at("d"), target, sizeof target);
  selector = 0;
  is("the call was dispatched", dispatched == 1);
}

// A tracer that comes later sees every call.
static void traced(void) {
  int go[2], asked[2];
  char c = 0;
  pipe(go);
  pipe(asked);
  pid_t pid = fork();
  if (pid == 0) {
    ask("before tracer", at("d"));
    write(asked[1], &c, 1);
    read(go[0], &c, 1);
    for (int i = 0; i < 5; i++) readlink(at("d"), target, sizeof target);
    _exit(0);
  }
  read(asked[0], &c, 1);
  ok("seize", ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACESYSGOOD));
  ok("interrupt", ptrace(PTRACE_INTERRUPT, pid, 0, 0));
  int seen = 0, st;
  while (waitpid(pid, &st, 0) == pid && WIFSTOPPED(st)) {
    struct user_regs_struct regs;
    if (WSTOPSIG(st) == (SIGTRAP | 0x80) && ptrace(PTRACE_GETREGS, pid, 0, &regs) == 0) seen += regs.orig_rax == SYS_readlink;
    else write(go[1], &c, 1);
    ptrace(PTRACE_SYSCALL, pid, 0, 0);
  }
  say("stops at readlink: %d", seen);
}

int main(void) {
  strcpy(base, "/tmp/names-again-XXXXXX");
  if (mkdtemp(base) == NULL || chmod(base, 0755) < 0 || chdir(base) < 0) return 1;
  mkdir("d", 0755);
  mkdir("d/below", 0755);
  mkdir("p", 0755);
  mkdir("p/f", 0755);
  close(open("file", O_CREAT | O_WRONLY, 0644));
  symlink("target", "link");
  // Calls of places that are busy take a way of their own.
  for (int i = 0; i < 3000; i++) readlink("/", target, sizeof target);

  tree();
  arguments();
  threads();
  elsewhere(open_doors);
  elsewhere(other_user);
  ask("doors are closed", at("p/f"));
  open_parent();
  elsewhere(other_root);
  elsewhere(other_mounts);
  elsewhere(vforked);
  elsewhere(filtered);
  elsewhere(redirected);
  traced();

  unlink("link");
  unlink("file");
  rmdir("p/f");
  rmdir("p");
  rmdir("d/below");
  rmdir("d");
  ok("all is gone", rmdir(base));
  return 0;
}
