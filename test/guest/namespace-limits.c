// /proc/sys/user: how many namespaces a user may have in a user namespace and in those below it (kernel/ucount.c).
#include "guest.h"
#include <linux/capability.h>
#include <sched.h>
#include <sys/prctl.h>

#define UID 1234

static const struct {
  const char *name;
  int flag;
} kinds[] = {
    {"user", CLONE_NEWUSER}, {"pid", CLONE_NEWPID}, {"uts", CLONE_NEWUTS},       {"ipc", CLONE_NEWIPC},
    {"net", CLONE_NEWNET},   {"mnt", CLONE_NEWNS},  {"cgroup", CLONE_NEWCGROUP}, {"time", CLONE_NEWTIME},
};
#define KINDS (sizeof kinds / sizeof *kinds)

static void put(const char *file, const char *text) {
  int fd = open(file, O_WRONLY);
  if (fd < 0 || write(fd, text, strlen(text)) < 0) say("%s <- %s: %s", file, text, strerrorname_np(errno));
  close(fd);
}

static const char *path_of(const char *kind) {
  static char path[80];
  snprintf(path, sizeof path, "/proc/sys/user/max_%s_namespaces", kind);
  return path;
}

static void limit(const char *kind, const char *text) { put(path_of(kind), text); }

static void show(const char *kind) {
  char text[40] = {0};
  int fd = open(path_of(kind), O_RDONLY);
  read(fd, text, sizeof text - 1);
  close(fd);
  text[strcspn(text, "\n")] = 0;
  say("max_%s_namespaces %s", kind, text);
}

// A user namespace in which the caller is root.
static int enter(void) {
  int id = geteuid();
  char map[40];
  if (unshare(CLONE_NEWUSER) < 0) return -1;
  snprintf(map, sizeof map, "0 %d 1", id);
  put("/proc/self/setgroups", "deny");
  put("/proc/self/uid_map", map);
  put("/proc/self/gid_map", map);
  return 0;
}

// A process in a user namespace of its own, until its standard input ends.
static pid_t start_inhabitant(const char *name, int *hold) {
  int ready[2], end[2];
  pipe(ready);
  pipe(end);
  pid_t p = fork();
  if (p == 0) {
    char c = 0;
    close(end[1]);
    ret(name, unshare(CLONE_NEWUSER));
    write(ready[1], &c, 1);
    read(end[0], &c, 1);
    _exit(0);
  }
  char c;
  read(ready[0], &c, 1);
  close(ready[0]);
  close(ready[1]);
  close(end[0]);
  *hold = end[1];
  return p;
}

static void try_all(void) {
  for (unsigned i = 0; i < KINDS; i++) {
    pid_t p = fork();
    if (p == 0) {
      ret(kinds[i].name, unshare(kinds[i].flag));
      _exit(0);
    }
    waitpid(p, NULL, 0);
  }
}

static void none_of_each(void) {
  for (unsigned i = 0; i < KINDS; i++) {
    say("no %s namespaces", kinds[i].name);
    limit(kinds[i].name, "0");
    try_all();
    limit(kinds[i].name, "2147483647");
  }
}

// Whoever changes from one to the next has two for a while. (A user namespace is the parent of the next one.)
static void one_of_each(void) {
  for (unsigned i = 2; i < KINDS; i++) {
    pid_t p = fork();
    if (p == 0) {
      say("one %s namespace", kinds[i].name);
      enter();
      limit(kinds[i].name, "1");
      ret("first", unshare(kinds[i].flag));
      ret("second", unshare(kinds[i].flag));
      _exit(0);
    }
    waitpid(p, NULL, 0);
  }
}

static void below(void) {
  ret("enter", enter());
  show("user");
  ret("one more", unshare(CLONE_NEWUSER));
}

static void users(void) {
  int hold;
  enter();
  limit("user", "1");
  pid_t p = start_inhabitant("the only one", &hold);
  in_child("a second one", below);
  limit("user", "2");
  in_child("a third one below", below);
  limit("user", "1");
  close(hold);
  waitpid(p, NULL, 0);
  // Namespaces are freed by and by.
  int r = -1;
  for (int i = 0; i < 20000 && r < 0; i++) {
    p = fork();
    if (p == 0) _exit(unshare(CLONE_NEWUSER) < 0);
    int st;
    waitpid(p, &st, 0);
    r = st == 0 ? 0 : -1;
    if (r < 0) sleep_ms(1);
  }
  is("after its end", r == 0);
}

// What bwrap --disable-userns does.
static void locked(void) {
  enter();
  limit("user", "1");
  ret("enter", enter());
  show("user");
  limit("user", "100");
  show("user");
  ret("unshare", unshare(CLONE_NEWUSER));
  pid_t p = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
  if (p == 0) _exit(0);
  ret("clone", p);
}

static void values(void) {
  const char *texts[] = {"-1", "2147483648", "x", "", " 7\n", "8 9", "0x10"};
  for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) {
    limit("uts", texts[i]);
    show("uts");
  }
  limit("uts", "2147483647");
  struct stat st;
  ret("stat", stat(path_of("uts"), &st));
  say("mode %o", st.st_mode);
}

static void drop(int cap) {
  struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct d[2];
  syscall(SYS_capget, &h, d);
  d[cap / 32].effective &= ~(1U << (cap % 32));
  ret("drop a capability", syscall(SYS_capset, &h, d));
}

static void without_resource(void) {
  drop(CAP_SYS_RESOURCE);
  ok("read", open(path_of("ipc"), O_RDONLY));
  ok("write", open(path_of("ipc"), O_WRONLY));
  ok("read and write", open(path_of("ipc"), O_RDWR));
}

static void without_override(void) {
  drop(CAP_DAC_OVERRIDE);
  ok("write", open(path_of("ipc"), O_WRONLY));
}

int main(void) {
  if (setresgid(UID, UID, UID) != 0 || setresuid(UID, UID, UID) != 0) return 1;
  // Its files of /proc belong to root otherwise.
  prctl(PR_SET_DUMPABLE, 1);
  ok("as an ordinary user", open(path_of("user"), O_WRONLY));
  ret("enter", enter());
  for (unsigned i = 0; i < KINDS; i++) show(kinds[i].name);
  none_of_each();
  one_of_each();
  in_child("users", users);
  in_child("locked", locked);
  values();
  in_child("without CAP_SYS_RESOURCE", without_resource);
  in_child("without CAP_DAC_OVERRIDE", without_override);
  return 0;
}
