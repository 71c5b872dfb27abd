// What the host finds in /proc of a container's stub, as of runc's container: user, groups, umask, working directory and limits
// of the container's process. It may still kill, and nothing else: the ids are no rights.
#define _GNU_SOURCE
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

// A process may say where its arguments lie, together with everything else of the kind: proc_pid_stat(5), fields 26 to 51.
static bool move_arguments(char *from, char *to) {
  unsigned long long field[52] = {0};
  char text[1024] = "", *at;
  int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
  ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
  close(fd);
  if (n <= 0 || (at = strrchr(text, ')')) == NULL) return false;
  strsep(&at, " ");
  for (int i = 3; at && i < 52; i++) field[i] = strtoull(strsep(&at, " "), NULL, 10);
  struct prctl_mm_map map = {
      .start_code = field[26], .end_code = field[27], .start_stack = field[28], .start_data = field[45], .end_data = field[46],
      .start_brk = field[47], .brk = syscall(SYS_brk, 0), .arg_start = (uintptr_t)from, .arg_end = (uintptr_t)to,
      .env_start = field[50], .env_end = field[51], .exe_fd = -1};
  return prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof map, 0) == 0;
}

// ps(1), and with it `docker top`, shows what the stub stands for. Where the arguments cannot be moved, in the place of its own.
void show_title(int argc, char **argv) {
  size_t size = 0, room = argv[argc - 1] + strlen(argv[argc - 1]) - argv[0];
  if (opt.ntitle == 0) return;
  for (int i = 0; i < opt.ntitle; i++) size += strlen(opt.title[i]) + 1;
  char *title = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *at = title;
  if (title == MAP_FAILED) die("no memory");
  for (int i = 0; i < opt.ntitle; i++) at = stpcpy(at, opt.title[i]) + 1;
  if (!move_arguments(title, title + size)) {
    memset(argv[0], 0, room);
    memcpy(argv[0], title, size < room ? size : room);
  }
  const char *slash = strrchr(opt.title[0], '/');
  prctl(PR_SET_NAME, slash ? slash + 1 : opt.title[0]);
  errno = 0;
}

// poll(2) wants no more descriptors than the limit; signals of used up time, or of files too large, are the container's.
enum { FILES_MIN = 16 };

static void take_limits(void) {
  for (int i = 0; i < opt.nrlimits; i++) {
    struct limit *l = &opt.rlimits[i];
    if (l->nr == RLIMIT_CPU || l->nr == RLIMIT_RTTIME || l->nr == RLIMIT_FSIZE || l->nr == RLIMIT_CORE) continue;
    if (l->nr == RLIMIT_NOFILE && l->soft < FILES_MIN) continue;
    struct rlimit limit = {l->soft, l->hard};
    setrlimit(l->nr, &limit); // more than the runtime has is the sandbox's affair
  }
}

static int groups_of(const char *text, gid_t *list) {
  int n = 0;
  for (char *end; *text && n < MAX_STUB_GROUPS; text = *end ? end + 1 : end) list[n++] = strtoul(text, &end, 10);
  return n;
}

// setresuid() leaves the permitted capabilities (PR_SET_KEEPCAPS), but not the effective ones.
static void raise_permitted(void) {
  struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2];
  if (syscall(SYS_capget, &head, data) < 0) die("capget");
  for (int i = 0; i < 2; i++) data[i].effective = data[i].permitted;
  if (syscall(SYS_capset, &head, data) < 0) die("cannot keep capabilities");
}

void take_identity(void) {
  if (opt.cwd && chdir(opt.cwd) < 0) errno = 0; // the sandbox's kernel may find it where the host does not
  take_limits();
  if (opt.user == NULL || !privileged) return;
  unsigned uid, gid, mask;
  int at;
  gid_t groups[MAX_STUB_GROUPS];
  if (sscanf(opt.user, "%u:%u:%o:%n", &uid, &gid, &mask, &at) != 3) die("not a user: %s", opt.user);
  umask(mask);
  prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
  // Ids that a user namespace has not are the sandbox's affair, too.
  setgroups(groups_of(opt.user + at, groups), groups);
  if (setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0) errno = 0;
  prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
  prctl(PR_SET_DUMPABLE, 0); // changing ids sets it to the machine's default
  raise_permitted();
}
