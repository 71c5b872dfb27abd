// Credentials and capabilities across execve: set-user-ID, set-group-ID, root's rules, no_new_privs, ambient.
#include "guest.h"
#include <grp.h>
#include <linux/capability.h>
#include <sys/auxv.h>
#include <sys/prctl.h>

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
static void drop_effective(void) { setresuid(-1, 2000, -1); }

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
  char cmd[100];
  sprintf(cmd, "rm -rf %s", dir);
  return system(cmd);
}
