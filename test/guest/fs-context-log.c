// What fsconfig(2) says in the context's log (fs/fs_context.c logfc, fs/fsopen.c fscontext_read).
#include "guest.h"

enum { FLAG, STRING, BINARY, PATH, PATH_EMPTY, FD, CREATE, RECONFIGURE };

static int fs;

static int config(int cmd, const char *key, const char *value) { return syscall(SYS_fsconfig, fs, cmd, key, value, 0); }

static void set(const char *key, const char *value) {
  char line[100], buf[300];
  snprintf(line, sizeof line, "%s=%s", key, value ? value : "");
  ret(line, config(value ? STRING : FLAG, key, value));
  for (;;) {
    long n = read(fs, buf, sizeof buf);
    if (n < 0) {
      if (errno != ENODATA) say("  %s", strerrorname_np(errno));
      return;
    }
    say("  %ld: %.*s", n, (int)n, buf);
  }
}

int main(void) {
  char buf[300];
  fs = syscall(SYS_fsopen, "tmpfs", 0);
  if (fs < 0) return say("no file systems"), 0;
  ret("empty", read(fs, buf, sizeof buf));
  ret("nothing of the empty", read(fs, buf, 0));
  set("unknown", NULL);
  set("unknown", "value");
  set("size", "none");
  set("size", "1m");
  set("mode", "999");
  set("mode", "700");
  set("nr_inodes", "many");
  set("huge", "perhaps");
  set("source", "one");
  set("source", "two");
  set("source", NULL);
  set("ro", NULL);
  set("", "x");
  config(FLAG, "first", NULL), config(FLAG, "second", NULL);
  ret("short", read(fs, buf, 5));
  ret("second", read(fs, buf, sizeof buf));
  ret("none", read(fs, buf, sizeof buf));
  ret("none, to nowhere", read(fs, NULL, sizeof buf));
  config(FLAG, "lost", NULL), ret("one, to nowhere", read(fs, NULL, sizeof buf)), ret("it is lost", read(fs, buf, sizeof buf));
  for (int i = 0; i < 10; i++) sprintf(buf, "n%d", i), config(FLAG, buf, NULL);
  for (long n; (n = read(fs, buf, sizeof buf)) > 0;) say("%.*s", (int)n, buf);
  ret("a flag with a file", syscall(SYS_fsconfig, fs, 5, "sync", NULL, 0));
  ret("create", config(CREATE, NULL, NULL));
  ret("read", read(fs, buf, sizeof buf));
  set("late", NULL);
  ret("a late file", syscall(SYS_fsconfig, fs, 5, "file", NULL, 0));
  ret("without a name", syscall(SYS_fsconfig, fs, 5, BAD_PTR, NULL, 0));
  ret("of no file", syscall(SYS_fsconfig, fs, 5, "file", NULL, 99));
  return 0;
}
