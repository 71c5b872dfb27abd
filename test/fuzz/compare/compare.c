// Random sequences of file operations from a seed, each printed with its result, and everything that can be seen now and
// then: the same on Linux and in the sandbox (run-walks.ts).
//
//   compare KIND DIR         walks from standard input: "SEED STEPS [i,j,k]", as in walks/walk.h
//   compare populate DIR N   directories DIR/0 to DIR/N-1 with the files that every sequence begins with
//
// Kinds: tmpfs and overlay mount what they need at DIR; volume: a new directory in DIR; root: DIR/0, DIR/1, … of `populate`,
// in a sandbox whose root they are below; plainroot: what that is to be like, one file system in memory.
#include "world.h"

#include "data-calls.h"
#include "name-calls.h"

#include "attr-calls.h"
#include "descriptor-calls.h"
#include "mount-calls.h"
#include "state.h"

enum { STATE_EVERY = 8, SECONDS = 20 };

static const struct {
  void (*run)(void);
  int weight, topic;
} operations[] = {{op_open, 22, 0}, {op_close, 4, 0}, {op_read, 5, 1}, {op_write, 7, 1}, {op_seek, 3, 1}, {op_truncate, 3, 1},
    {op_fallocate, 3, 1}, {op_copy, 3, 1}, {op_sync, 1, 1}, {op_map, 3, 2}, {op_touch, 6, 2}, {op_map_io, 2, 2}, {op_make, 10, 3},
    {op_remove, 7, 3}, {op_rename, 7, 3}, {op_link, 6, 3}, {op_readlink, 1, 3}, {op_chdir, 2, 4}, {op_list, 3, 4},
    {op_handle, 1, 4}, {op_mode, 4, 5}, {op_owner, 4, 5}, {op_times, 3, 5}, {op_attr_set, 4, 6}, {op_attr_get, 3, 6},
    {op_flags, 1, 6}, {op_stat, 2, 5}, {op_access, 2, 5}, {op_statfs, 1, 4}, {op_dup, 2, 7}, {op_fcntl, 4, 7}, {op_lock, 5, 8},
    {op_watch, 5, 9}, {op_pipe, 2, 7}, {op_pipe_data, 3, 7}, {op_bind, 1, 3}, {op_mount, 6, 10},
    {op_list_on, 2, 4}, {op_exec, 2, 5}, {op_attr_at, 3, 6}, {op_clone, 1, 1}, {op_limit, 1, 1}, {op_mount_tree, 4, 10}};
enum { OPERATIONS = sizeof operations / sizeof *operations, TOPICS = 11 };

static void put(const char *name, size_t n, mode_t mode, uid_t owner) {
  int fd = open(name, O_CREAT | O_WRONLY, 0600);
  for (size_t i = 0; i < n; i++) data[i] = 'A' + i % 53;
  if (fd < 0 || write(fd, data, n) != (ssize_t)n) exit(3);
  fchown(fd, owner, owner), fchmod(fd, mode);
  close(fd);
}

// Into the current directory.
static void populate(void) {
  static const struct timespec times[2] = {{1000000000, 0}, {1000000000, 0}};
  static const char *const all[] = {"a/c/b", "a/c", "a/b", "a", "b", "c", "d/e/a", "d/e", "d/a", "d/b", "d/c", "d", "e", "f"};
  umask(0);
  chown(".", 0, 0), chmod(".", 0777);
  mkdir("a", 0755), mkdir("a/c", 0777), mkdir("d", 0700), mkdir("d/e", 0755);
  chown("d", 1000, 1000), chmod("d", 01777), chown("d/e", 1000, 2000), chmod("d/e", 02775);
  put("a/b", 10000, 0644, 0), put("b", 5000, 0666, 1000), put("a/c/b", 0, 04755, 1000), put("d/e/a", 70000, 0600, 1001);
  put("d/a", 100, 02755, 1000);
  truncate("d/a", 30000);
  symlink("a", "c"), symlink("../b", "d/c"), symlink("e", "e"), link("d/e/a", "d/b"), mkfifo("f", 0666);
  setxattr("a/b", "user.a", "value", 5, 0), setxattr("a", "user.b", "", 0, 0);
  for (unsigned i = 0; i < sizeof all / sizeof *all; i++) utimensat(AT_FDCWD, all[i], times, AT_SYMLINK_NOFOLLOW);
  utimensat(AT_FDCWD, ".", times, 0);
}

static int high(int fd) {
  int to = fcntl(fd, F_DUPFD_CLOEXEC, PRIVATE_FDS);
  close(fd);
  return to;
}

// The tree of this kind becomes the root of a namespace of its own: there is no way out of it.
static void enter(const char *how, const char *dir, int n) {
  char sub[300];
  sprintf(sub, "%s/%d", dir, n);
  if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) exit(4);
  if (kind != ROOT && mkdir(sub, 0777) < 0) exit(5);
  int plain = kind == TMPFS || strcmp(how, "plainroot") == 0;
  if (plain && mount("none", sub, "tmpfs", 0, NULL) < 0) exit(6);
  if (kind == OVERLAY) {
    if (mount("none", sub, "tmpfs", 0, NULL) < 0 || chdir(sub) < 0) exit(7);
    mkdir("lower", 0777), mkdir("upper", 0777), mkdir("work", 0777), mkdir("merged", 0777);
    if (chdir("lower") < 0 || (populate(), chdir("..")) < 0) exit(8);
    if (mount("none", "merged", "overlay", 0, "lowerdir=lower,upperdir=upper,workdir=work") < 0) exit(9);
    if (chdir("merged") < 0) exit(10);
  } else if (chdir(sub) < 0) exit(11);
  if (plain || kind == VOLUME) populate();
  if (kind == VOLUME || strcmp(how, "root") == 0) {
    if (mount(sub, sub, NULL, MS_BIND, NULL) < 0 || chdir(sub) < 0) exit(12);
  }
  // The flags of what the sandbox has mounted of the host.
  if (kind >= VOLUME && mount(NULL, ".", NULL, MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV, NULL) < 0) exit(15);
  proc_fd = high(open("/proc", O_PATH | O_DIRECTORY));
  if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0) exit(13);
  root_fd = high(open("/", O_RDONLY | O_DIRECTORY));
}

static int wanted(const char *list, int i) {
  if (*list == 0) return 1;
  for (char *p = (char *)list; *p != 0; p += *p == ',')
    if (strtol(p, &p, 10) == i) return 1;
  return 0;
}

static int holder;
static void turn(int who) {
  char c = 0;
  if (who == holder) return;
  if (holder == me) fflush(stdout), write(turn_out, &c, 1);
  else if (read(turn_in, &c, 1) != 1) exit(0);
  holder = who;
}

static void sequence(uint64_t seed, int count, const char *list) {
  int weights[OPERATIONS], total = 0, pending = 0, users, mounts, others;
  seed_from(seed, 1ULL << 40);
  int favourites[3] = {below(TOPICS), below(TOPICS), below(TOPICS)};
  users = one_in(2), mounts = one_in(4), others = one_in(2);
  for (int i = 0; i < OPERATIONS; i++) {
    weights[i] = operations[i].weight;
    for (int k = 0; k < 3; k++) if (operations[i].topic == favourites[k]) weights[i] *= 3;
    if (operations[i].topic == 10 && !mounts) weights[i] = 0;
    total += weights[i];
  }
  for (int i = 0; i < count; i++) {
    int last = i == count - 1 || i % STATE_EVERY == STATE_EVERY - 1;
    at = i;
    if (wanted(list, i)) {
      pending = 1;
      seed_from(seed, i);
      int who = others && one_in(3), user = users && one_in(3) ? 1 + below(3) : 0, op = 0;
      for (int w = below(total); w >= weights[op]; op++) w -= weights[op];
      turn(who);
      if (who == me) {
        say("%d: p%d u%d ", i, who, user);
        become(user);
        operations[op].run();
        become_root(user);
      }
    }
    if (!last || !pending) continue;
    pending = 0;
    turn(0);
    if (me == 0) say_state();
    turn(1);
    if (me == 1) say_state();
    turn(0);
  }
  fflush(stdout);
}

// What both begin with, so that the first operations find something.
static void begin(void) {
  static const struct {
    int slot, flags;
    const char *path;
  } files[] = {{0, O_RDWR, "a/b"}, {1, O_RDONLY, "b"}, {2, O_RDWR | O_APPEND, "d/a"}, {3, O_WRONLY, "d/b"}, {4, O_PATH, "f"},
      {8, O_RDONLY | O_DIRECTORY, "a"}, {9, O_PATH | O_DIRECTORY, "d"}, {10, O_RDONLY, "d/e"}};
  int two[2];
  for (unsigned i = 0; i < sizeof files / sizeof *files; i++) slots[files[i].slot] = open(files[i].path, files[i].flags | O_NONBLOCK);
  if (pipe2(two, O_NONBLOCK) == 0) slots[SLOTS] = two[0], slots[SLOTS + 1] = two[1];
  slots[WATCHER] = inotify_init1(IN_NONBLOCK);
  slots[MEMFD] = memfd_create("memory", MFD_ALLOW_SEALING);
  maps[0].size = maps[1].size = 12288;
  maps[0].file = maps[1].file = number_of(slots[0]);
  note_stored(slots[0]);
  maps[0].at = mmap(NULL, 12288, PROT_READ | PROT_WRITE, MAP_SHARED, slots[0], 0);
  maps[1].at = mmap(NULL, 12288, PROT_READ | PROT_WRITE, MAP_PRIVATE, slots[0], 0);
}

static void run(const char *how, const char *dir, int n, uint64_t seed, int count, const char *list) {
  int there[2], back[2], null = open("/dev/null", O_RDWR);
  alarm(SECONDS);
  enter(how, dir, n);
  dup2(null, 0), dup2(null, 2);
  close(null);
  if (pipe(there) < 0 || pipe(back) < 0) exit(14);
  for (int i = 0; i < 2; i++) there[i] = high(there[i]), back[i] = high(back[i]);
  for (int i = 0; i < SLOTS + SPECIAL_SLOTS; i++) slots[i] = -1;
  umask(022);
  struct sigaction sa = {.sa_handler = on_fault, .sa_flags = SA_NODEFER};
  sigaction(SIGBUS, &sa, NULL), sigaction(SIGSEGV, &sa, NULL);
  sa.sa_handler = on_signal, sa.sa_flags = SA_RESTART, sigaction(SIGIO, &sa, NULL);
  signal(SIGPIPE, SIG_IGN), signal(SIGXFSZ, SIG_IGN);
  stored = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pid_t other = fork();
  me = other == 0;
  turn_in = me == 0 ? back[0] : there[0], turn_out = me == 0 ? there[1] : back[1];
  close(me == 0 ? back[1] : there[1]), close(me == 0 ? there[0] : back[0]);
  if (me == 0) begin();
  turn(1);
  if (me == 1) begin();
  turn(0);
  sequence(seed, count, list);
  if (me == 1) _exit(0);
  waitpid(other, NULL, 0);
  _exit(0);
}

int main(int argc, char **argv) {
  static const char *const kinds[] = {"tmpfs", "overlay", "volume", "root"};
  if (argc == 4 && strcmp(argv[1], "populate") == 0) {
    for (int i = 0; i < atoi(argv[3]); i++) {
      char sub[300];
      sprintf(sub, "%s/%d", argv[2], i);
      if (mkdir(sub, 0777) < 0 || chdir(sub) < 0) return 3;
      populate();
    }
    return 0;
  }
  if (argc != 3) return 2;
  while (kind < ROOT && strcmp(argv[1], kinds[kind]) != 0) kind++;
  setvbuf(stdout, malloc(1 << 20), _IOFBF, 1 << 20);
  static char line[65536], list[65536];
  unsigned long seed;
  int count, n, status;
  if (kind != ROOT) {
    char own[300];
    sprintf(own, "%s/run-%d", argv[2], getpid());
    mkdir(own, 0777);
    argv[2] = own;
  }
  for (n = 0; fgets(line, sizeof line, stdin) != NULL; n++) {
    *list = 0;
    if (sscanf(line, "%lu %d %65535s", &seed, &count, list) < 2) return 2;
    printf("walk %lu\n", seed);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) run(argv[1], argv[2], n, seed, count, list);
    waitpid(pid, &status, 0);
    printf("end %x\n", status);
    fflush(stdout);
  }
  return 0;
}
