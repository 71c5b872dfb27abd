// mount, umount2, pivot_root in a mount namespace of its own: new mounts, binds, moves, remounts, busy ones.
#pragma GCC diagnostic ignored "-Wunused-result"
#pragma GCC diagnostic ignored "-Wnonnull"
#include "guest.h"
#include <sched.h>
#include <sys/mount.h>
#include <sys/statvfs.h>

static void in_use(void) {
  mkdir("m", 0755);
  put_file("m/hidden", "x");
  ret("mount", mount("none", "m", "tmpfs", 0, "size=64k,mode=700"));
  ret("hidden", access("m/hidden", F_OK));
  struct stat st, up;
  stat("m", &st);
  ret("mode", st.st_mode & 07777);
  stat(".", &up);
  is("other device", st.st_dev != up.st_dev);
  put_file("m/f", "inside");
  ret("rename across", rename("m/f", "f"));
  ret("link across", link("m/f", "f"));
  ret("rmdir mount point", rmdir("m"));
  ret("rename mount point", rename("m", "m2"));
  int fd = open("m/f", O_RDONLY);
  ret("umount busy", umount("m"));
  close(fd);
  static char big[100000];
  fd = open("m/big", O_WRONLY | O_CREAT, 0644);
  long n = write(fd, big, sizeof big);
  is("size limit", n > 0 && n <= 65536);
  ret("full", write(fd, big, 4096));
  close(fd);
  unlink("m/big");
  put_file("m/again", "space again");
  ret("umount not a mount", umount("m/f"));
  ret("umount missing", umount("none"));
  ret("umount bad flags", umount2("m", 64));
  ret("expire", umount2("m", MNT_EXPIRE));
  ret("expire again", umount2("m", MNT_EXPIRE));
  ret("hidden is back", access("m/hidden", F_OK));
}

static void errors(void) {
  ret("no type", mount("none", "m", NULL, 0, NULL));
  ret("unknown type", mount("none", "m", "nosuchfs", 0, NULL));
  ret("missing target", mount("none", "none", "tmpfs", 0, NULL));
  ret("file target", mount("none", "m/hidden", "tmpfs", 0, NULL));
  ret("bad option", mount("none", "m", "tmpfs", 0, "nonsense=1"));
  ret("bad type pointer", mount("none", "m", BAD_PTR, 0, NULL));
  ret("bad data pointer", mount("none", "m", "tmpfs", 0, BAD_PTR));
  ret("remount no mount", mount(NULL, "m", NULL, MS_REMOUNT, NULL));
  pid_t p = fork();
  if (p == 0) {
    setuid(1000);
    ret("user mount", mount("none", "m", "tmpfs", 0, NULL));
    ret("user umount", umount("/proc"));
    _exit(0);
  }
  wait_say("user", p);
}

static void binds(void) {
  mkdir("src", 0755);
  mkdir("src/sub", 0755);
  put_file("src/f", "f");
  put_file("target-file", "t");
  mkdir("dst", 0755);
  ret("sub mount", mount("none", "src/sub", "tmpfs", 0, NULL));
  put_file("src/sub/g", "g");
  ret("bind", mount("src", "dst", NULL, MS_BIND, NULL));
  ret("bound file", access("dst/f", F_OK));
  ret("not recursive", access("dst/sub/g", F_OK));
  put_file("dst/new", "n");
  ret("seen in source", access("src/new", F_OK));
  ret("rename across bind", rename("src/new", "dst/newer"));
  ret("umount", umount("dst"));
  ret("rbind", mount("src", "dst", NULL, MS_BIND | MS_REC, NULL));
  ret("recursive", access("dst/sub/g", F_OK));
  ret("umount parent", umount("dst"));
  ret("lazy", umount2("dst", MNT_DETACH));
  ret("gone", access("dst/f", F_OK));
  ret("bind file", mount("src/f", "target-file", NULL, MS_BIND, NULL));
  struct stat st;
  stat("target-file", &st);
  ret("bound size", st.st_size);
  ret("unlink bound", unlink("target-file"));
  ret("bind dir on file", mount("src", "target-file", NULL, MS_BIND, NULL));
  ret("bind missing", mount("none", "dst", NULL, MS_BIND, NULL));
  ret("umount file", umount("target-file"));
  ret("bind for ro", mount("src", "dst", NULL, MS_BIND, NULL));
  ret("remount ro", mount(NULL, "dst", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
  ret("ro create", open("dst/x", O_WRONLY | O_CREAT, 0644));
  ret("ro write", open("dst/f", O_WRONLY));
  ok("ro read", open("dst/f", O_RDONLY | O_CREAT, 0644));
  ret("ro mkdir", mkdir("dst/x", 0755));
  ret("ro mkdir existing", mkdir("dst/sub", 0755));
  ret("ro unlink", unlink("dst/f"));
  ret("ro unlink missing", unlink("dst/none"));
  ret("ro rename", rename("dst/f", "dst/g"));
  ret("ro chmod", chmod("dst/f", 0600));
  ret("ro truncate", truncate("dst/f", 0));
  ret("ro utimes", utimensat(AT_FDCWD, "dst/f", NULL, 0));
  ret("ro access", access("dst/f", W_OK));
  ret("rw through source", chmod("src/f", 0600));
  struct statvfs sv;
  statvfs("dst", &sv);
  is("statvfs ro", sv.f_flag & ST_RDONLY);
  put_file("src/script", "#!/bin/sh\nexit 0\n");
  chmod("src/script", 0755);
  ret("noexec", mount(NULL, "dst", NULL, MS_REMOUNT | MS_BIND | MS_NOEXEC | MS_NODEV | MS_NOSUID, NULL));
  ret("access noexec", access("dst/script", X_OK));
  ret("access exec", access("src/script", X_OK));
  pid_t p = fork();
  if (p == 0) {
    execl("dst/script", "script", NULL);
    ret("exec noexec", -1);
    _exit(1);
  }
  wait_say("exec", p);
  mknod("src/null", S_IFCHR | 0666, 0x103);
  ret("nodev", open("dst/null", O_RDONLY));
  ok("dev", open("src/null", O_RDONLY));
}

static void moves(void) {
  mkdir("from", 0755);
  mkdir("to", 0755);
  ret("mount", mount("none", "from", "tmpfs", 0, NULL));
  put_file("from/f", "x");
  ret("make private", mount(NULL, ".", NULL, MS_PRIVATE, NULL));
  ret("private from", mount(NULL, "from", NULL, MS_PRIVATE, NULL));
  ret("move", mount("from", "to", NULL, MS_MOVE, NULL));
  ret("moved", access("to/f", F_OK));
  ret("left", access("from/f", F_OK));
  mkdir("to/below", 0755);
  ret("move below itself", mount("to", "to/below", NULL, MS_MOVE, NULL));
  ret("move no mount", mount("from", "to/below", NULL, MS_MOVE, NULL));
  ret("stack", mount("none", "to", "tmpfs", 0, NULL));
  ret("covered", access("to/f", F_OK));
  ret("unstack", umount("to"));
  ret("uncovered", access("to/f", F_OK));
  ret("two propagations", mount(NULL, "to", NULL, MS_PRIVATE | MS_SHARED, NULL));
}

static void pivot(void) {
  mkdir("newroot", 0755);
  ret("tmpfs", mount("none", "newroot", "tmpfs", 0, NULL));
  mkdir("newroot/old", 0755);
  put_file("newroot/marker", "x");
  ret("not a mount", syscall(SYS_pivot_root, "newroot/old", "newroot/old"));
  ret("old outside", syscall(SYS_pivot_root, "newroot", "m"));
  ret("pivot", syscall(SYS_pivot_root, "newroot", "newroot/old"));
  chdir("/");
  ret("marker", access("/marker", F_OK));
  ret("old root", access("/old/proc", F_OK));
  ret("no proc", access("/proc", F_OK));
  ret("detach old", umount2("/old", MNT_DETACH));
  ret("old gone", access("/old/proc", F_OK));
  char buf[100];
  is("cwd", getcwd(buf, sizeof buf) && !strcmp(buf, "/"));
}

int main(void) {
  umask(022);
  ret("unshare", unshare(CLONE_NEWNS));
  mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
  // A mount of our own to work in, so that both runs start alike.
  mkdir("work", 0755);
  ret("work", mount("none", "work", "tmpfs", 0, NULL));
  chdir("work");
  in_use();
  errors();
  binds();
  moves();
  pivot();
  return 0;
}
