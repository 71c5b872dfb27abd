// What the host finds in /proc of a container's stub, as of runc's container: user, groups, umask, working directory and limits
// of the container's process. It may still kill, and nothing else: the ids are no rights.
#define _GNU_SOURCE
#include "launcher.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

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
