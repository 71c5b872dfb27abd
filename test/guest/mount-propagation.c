// Shared subtrees: peers, slaves, unbindable mounts, what is propagated where, and the optional fields of mountinfo.
#include "guest.h"
#include <sched.h>
#include <sys/mount.h>

static int ids[100], known;

// Group numbers depend on what else runs: the first that is seen is 1.
static int number(int id) {
  for (int i = 0; i < known; i++)
    if (ids[i] == id) return i + 1;
  ids[known++] = id;
  return known;
}

// Mount points below the working directory with their optional fields.
static void show(const char *title) {
  char cwd[500], line[1000];
  if (!getcwd(cwd, sizeof cwd)) return;
  say("-- %s", title);
  FILE *f = fopen("/proc/self/mountinfo", "r");
  while (f && fgets(line, sizeof line, f)) {
    char *save, *word = strtok_r(line, " ", &save);
    for (int i = 0; i < 4 && word; i++) word = strtok_r(NULL, " ", &save);
    if (!word || strncmp(word, cwd, strlen(cwd)) != 0) continue;
    char out[300];
    int n = snprintf(out, sizeof out, "%s", word[strlen(cwd)] ? word + strlen(cwd) : "/");
    strtok_r(NULL, " ", &save);
    while ((word = strtok_r(NULL, " ", &save)) && strcmp(word, "-") != 0) {
      char *colon = strchr(word, ':');
      if (colon) n += snprintf(out + n, sizeof out - n, " %.*s:%d", (int)(colon - word), word, number(atoi(colon + 1)));
      else n += snprintf(out + n, sizeof out - n, " %s", word);
    }
    say("%s", out);
  }
  if (f) fclose(f);
}

static void make(const char *dir) { ret(dir, mkdir(dir, 0755)); }
static int tmpfs(const char *dir) { return mount("none", dir, "tmpfs", 0, NULL); }
static int change(const char *dir, int how) { return mount(NULL, dir, NULL, how, NULL); }
static int bind(const char *from, const char *to, int rec) { return mount(from, to, NULL, MS_BIND | rec, NULL); }

static void peers(void) {
  make("a");
  make("b");
  ret("tmpfs", tmpfs("a"));
  ret("shared", change("a", MS_SHARED));
  make("a/x");
  ret("bind", bind("a", "b", 0));
  show("peers");
  ret("mount in a", tmpfs("a/x"));
  show("propagated to b");
  ret("umount in b", umount("b/x"));
  show("and its end");
  ret("mount in b", tmpfs("b/x"));
  int fd = open("a/x/f", O_CREAT | O_RDWR, 0644);
  ret("busy in a", umount("b/x"));
  close(fd);
  ret("not busy", umount("b/x"));
}

static void slaves(void) {
  make("s");
  ret("bind", bind("a", "s", 0));
  ret("slave", change("s", MS_SLAVE));
  show("slave");
  ret("mount in a", tmpfs("a/x"));
  show("the slave receives");
  ret("mount in s", tmpfs("s/x"));
  show("and does not send");
  ret("umount in a", umount("a/x"));
  show("what lies on top stays");
  ret("umount in s", umount("s/x"));
  ret("again", umount("s/x"));
  ret("shared slave", change("s", MS_SHARED));
  make("s2");
  ret("bind", bind("s", "s2", 0));
  show("shared and slave");
  ret("mount in b", tmpfs("b/x"));
  show("through the group of slaves");
  ret("umount in a", umount("a/x"));
  ret("private", change("s", MS_PRIVATE));
  ret("private peer", change("b", MS_PRIVATE));
  ret("last of the masters", change("a", MS_SLAVE));
  show("the group ends");
  ret("umount s2", umount("s2"));
  ret("umount s", umount("s"));
  ret("umount b", umount("b"));
  ret("umount a", umount("a"));
}

static void unbindables(void) {
  make("u");
  make("v");
  ret("tmpfs", tmpfs("u"));
  make("u/in");
  ret("tmpfs below", tmpfs("u/in"));
  ret("unbindable", change("u/in", MS_UNBINDABLE));
  ret("bind it", bind("u/in", "v", 0));
  ret("rbind around it", bind("u", "v", MS_REC));
  show("unbindable is left out");
  ret("umount", umount("v"));
  ret("top unbindable", change("u", MS_UNBINDABLE | MS_REC));
  ret("rbind it", bind("u", "v", MS_REC));
  ret("umount both", umount2("u", MNT_DETACH));
}

static void recursive(void) {
  make("r");
  make("q");
  ret("tmpfs", tmpfs("r"));
  make("r/one");
  ret("one", tmpfs("r/one"));
  make("r/one/two");
  ret("two", tmpfs("r/one/two"));
  ret("rshared", change("r", MS_SHARED | MS_REC));
  ret("rbind", bind("r", "q", MS_REC));
  show("trees of peers");
  ret("rslave", change("q", MS_SLAVE | MS_REC));
  make("r/one/three");
  ret("three", tmpfs("r/one/three"));
  show("slaves at every level");
  ret("move out of shared", mount("r/one", "r/moved", NULL, MS_MOVE, NULL));
  make("r/moved");
  ret("move in shared", mount("r/one", "r/moved", NULL, MS_MOVE, NULL));
  make("free");
  ret("free", tmpfs("free"));
  ret("move into shared", mount("free", "r/moved", NULL, MS_MOVE, NULL));
  show("moved mounts are propagated");
  ret("detach", umount2("r", MNT_DETACH));
  show("slaves keep what hides more");
  ret("detach q", umount2("q", MNT_DETACH));
  show("nothing");
}

static void self(void) {
  make("w");
  ret("tmpfs", tmpfs("w"));
  ret("shared", change("w", MS_SHARED));
  make("w/t");
  make("w/m");
  make("w/test");
  ret("bind itself below", bind("w", "w/t", MS_REC));
  ret("mount", bind("w/test", "w/m", 0));
  show("exposed below itself");
  ret("detach m", umount2("w/m", MNT_DETACH));
  show("gone below itself");
  ret("detach w", umount2("w", MNT_DETACH));
}

static void namespaces(void) {
  int down[2], up[2];
  char c;
  make("n");
  ret("tmpfs", tmpfs("n"));
  ret("shared", change("n", MS_SHARED));
  make("n/x");
  make("n/y");
  if (pipe(down) || pipe(up)) return;
  pid_t p = fork();
  if (p == 0) {
    ret("unshare", unshare(CLONE_NEWNS));
    if (write(up[1], "1", 1) != 1 || read(down[0], &c, 1) != 1) _exit(1);
    show("seen in the other namespace");
    ret("mount there", tmpfs("n/y"));
    ret("slave there", change("n", MS_SLAVE | MS_REC));
    show("slaves there");
    _exit(0);
  }
  ret("wait", read(up[0], &c, 1));
  ret("mount here", tmpfs("n/x"));
  if (write(down[1], "1", 1) != 1) return;
  wait_say("other", p);
  show("received from there");
  ret("detach", umount2("n", MNT_DETACH));
}

static void errors(void) {
  make("e");
  ret("no mount", change("e", MS_SHARED));
  ret("two kinds", change(".", MS_SHARED | MS_SLAVE));
  ret("more flags", change(".", MS_SHARED | MS_NOSUID));
  ret("silent", change(".", MS_SHARED | MS_SILENT));
  ret("private", change(".", MS_PRIVATE));
}

int main(void) {
  umask(022);
  setvbuf(stdout, NULL, _IONBF, 0);
  ret("unshare", unshare(CLONE_NEWNS));
  mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
  make("work");
  ret("work", tmpfs("work"));
  ret("chdir", chdir("work"));
  peers();
  slaves();
  unbindables();
  recursive();
  self();
  namespaces();
  errors();
  return 0;
}
