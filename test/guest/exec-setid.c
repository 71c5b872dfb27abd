// Credentials and capabilities across execve: set-user-ID, set-group-ID, root's rules, no_new_privs, ambient.
#include "guest.h"
#include <grp.h>
#include <linux/capability.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/xattr.h>

static char self[4096], dir[] = "/tmp/setidXXXXXX", prog[4200];

static unsigned long long caps(const char *field) {
  char line[200];
  unsigned long long v = 0;
  FILE *f = fopen("/proc/self/status", "r");
  while (fgets(line, sizeof line, f))
    if (!strncmp(line, field, strlen(field))) sscanf(line + strlen(field), ": %llx", &v);
  fclose(f);
  return v;
}
static int child(void) {
  uid_t r, e, s;
  gid_t gr, ge, gs;
  getresuid(&r, &e, &s);
  getresgid(&gr, &ge, &gs);
  say("  uid %d %d %d gid %d %d %d secure %lu", r, e, s, gr, ge, gs, getauxval(AT_SECURE));
  unsigned long long all = 1ULL << CAP_CHOWN | 1ULL << CAP_KILL;
  say("  of two: effective %llx permitted %llx", caps("CapEff") & all, caps("CapPrm") & all);
  say("  effective %s permitted %s ambient %s dumpable %d", caps("CapEff") ? "some" : "none",
      caps("CapPrm") ? "some" : "none", caps("CapAmb") ? "some" : "none", prctl(PR_GET_DUMPABLE));
  return 0;
}
static void copy(const char *name, uid_t u, gid_t g, mode_t mode) {
  char b[65536];
  ssize_t n;
  sprintf(prog, "%s/%s", dir, name);
  int in = open(self, O_RDONLY), out = open(prog, O_CREAT | O_WRONLY | O_TRUNC, 0700);
  while ((n = read(in, b, sizeof b)) > 0) write(out, b, n);
  fchown(out, u, g);
  fchmod(out, mode);
  close(in);
  close(out);
}
// As user and group `id`, after `prepare`.
static void run(const char *name, uid_t id, void (*prepare)(void)) {
  say("%s:", name);
  pid_t c = fork();
  if (c == 0) {
    if (id) {
      setgroups(0, 0);
      setresgid(id, id, id);
      if (prepare) prctl(PR_SET_KEEPCAPS, 1);
      setresuid(id, id, id);
    }
    if (prepare) prepare();
    char *argv[] = {"x", "child", 0};
    execve(prog, argv, argv + 2);
    ret("execve", -1);
    _exit(1);
  }
  wait_say(name, c);
}
static void no_new_privs(void) { prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); }
static void ambient(void) {
  struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct d[2] = {{1 << CAP_CHOWN, 1 << CAP_CHOWN, 1 << CAP_CHOWN}, {0, 0, 0}};
  ret("capset", syscall(SYS_capset, &h, d));
  ret("raise", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0));
}
static void no_kill(void) { prctl(PR_CAPBSET_DROP, CAP_KILL, 0, 0, 0); }
static void inheritable(void) {
  struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct d[2] = {{0, 0, 1 << CAP_CHOWN}, {0, 0, 0}};
  ret("capset", syscall(SYS_capset, &h, d));
}

// security.capability: revision, flags, permitted and inheritable of the first 32; the length as told.
static void give(const char *what, int revision, int effective, uint32_t permitted, uint32_t inherited, size_t len) {
  uint32_t v[6] = {(uint32_t)revision << 24 | effective, permitted, inherited, 0, 0, 0};
  ret(what, setxattr(prog, "security.capability", v, len, 0));
}
static void given(const char *what) { ret(what, getxattr(prog, "security.capability", NULL, 0)); }

static void file_capabilities(void) {
  copy("caps", 0, 0, 0755);
  give("permitted", 2, 0, 1 << CAP_CHOWN | 1 << CAP_KILL, 0, 20);
  run("permitted by user", 2000, 0);
  give("effective", 2, 1, 1 << CAP_CHOWN | 1 << CAP_KILL, 0, 20);
  run("effective by user", 2000, 0);
  run("effective by root", 0, 0);
  run("effective, no_new_privs", 2000, no_new_privs);
  run("effective with ambient", 2000, ambient);
  run("effective without one in the bounding set", 0, no_kill);
  give("inheritable", 2, 1, 0, 1 << CAP_CHOWN, 20);
  run("inheritable of who has none", 2000, 0);
  run("inheritable", 2000, inheritable);
  give("of nothing", 2, 1, 0, 0, 20);
  run("of nothing by user", 2000, 0);
  run("of nothing by root", 0, 0);
  give("revision 3", 3, 1, 1 << CAP_CHOWN, 0, 24);
  run("revision 3 by user", 2000, 0);
  give("short", 2, 1, 1, 0, 16);
  give("revision 4", 4, 1, 1, 0, 20);
  give("effective again", 2, 1, 1 << CAP_CHOWN, 0, 20);
  int fd = open(prog, O_WRONLY | O_APPEND);
  given("before a write");
  write(fd, "x", 1);
  close(fd);
  given("after a write");
  give("once more", 2, 1, 1 << CAP_CHOWN, 0, 20);
  chown(prog, 0, 0);
  given("after chown");
  give("and again", 2, 1, 1 << CAP_CHOWN, 0, 20);
  chmod(prog, 0755);
  given("after chmod");
  truncate(prog, 100);
  given("after truncate");
  copy("caps-suid", 0, 0, 04755);
  give("of a set-user-ID program", 2, 1, 1 << CAP_CHOWN, 0, 20);
  run("set-user-ID root with capabilities", 2000, 0);
}

static void drop_effective(void) { setresuid(-1, 2000, -1); }

// Ids that are not the real ones: with no_new_privs they end, if the group is not one of the caller's or capabilities would be gained.
static void other_group(void) { setresgid(1000, 1001, 1001); }
static void other_group_in_vain(void) { other_group(), no_new_privs(); }
static void other_fs_group(void) { other_group_in_vain(), setfsgid(3000); }
static void other_fs_group_kept(void) { other_group(), setfsgid(3000); }
static void listed_group(void) {
  gid_t list[] = {1001};
  setgroups(1, list), other_fs_group();
}
static void other_user(void) { setresuid(-1, 2000, 2000), no_new_privs(); }
static void other_user_and_group(void) { setfsgid(1000), other_user(); }
static void fewer(void) {
  struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct d[2] = {{1 << CAP_CHOWN, 1 << CAP_CHOWN, 0}, {0, 0, 0}};
  setresgid(1000, 1001, 1001), no_new_privs();
  ret("capset", syscall(SYS_capset, &h, d));
}
static void unlike_ids(void) {
  copy("plain-too", 0, 0, 0755);
  run("other group", 0, other_group);
  run("other group, no_new_privs", 0, other_group_in_vain);
  run("other group, of the file system too, no_new_privs", 0, other_fs_group);
  run("the same without no_new_privs", 0, other_fs_group_kept);
  run("the same with the group in the list", 0, listed_group);
  run("other user, no_new_privs", 0, other_user);
  run("other user and group, no_new_privs", 0, other_user_and_group);
  run("fewer capabilities and other group, no_new_privs", 0, fewer);
}

int main(int argc, char **argv) {
  if (argc > 1) return child();
  if (getuid() != 0) return say("needs root"), 0;
  readlink("/proc/self/exe", self, sizeof self - 1);
  mkdtemp(dir);
  chmod(dir, 0755);
  copy("plain", 0, 0, 0755);
  run("root", 0, 0);
  run("user", 2000, 0);
  run("user with ambient", 2000, ambient);
  run("root, other effective user", 0, drop_effective);
  copy("suid", 1000, 1000, 04755);
  run("set-user-ID by user", 2000, 0);
  run("set-user-ID by root", 0, 0);
  run("set-user-ID, no_new_privs", 2000, no_new_privs);
  run("set-user-ID with ambient", 2000, ambient);
  copy("suid-root", 0, 0, 04755);
  run("set-user-ID root", 2000, 0);
  copy("sgid", 1000, 1000, 02755);
  run("set-group-ID", 2000, 0);
  copy("sgid-no-x", 1000, 1000, 02745);
  run("set-group-ID without x", 2000, 0);
  file_capabilities();
  unlike_ids();
  char cmd[100];
  sprintf(cmd, "rm -rf %s", dir);
  return system(cmd);
}
