// Modes: set-group-ID directories, sticky ones, umask, what clears set-id bits, effective and real ids, read-only attributes.
#pragma GCC diagnostic ignored "-Wunused-result"
#include "guest.h"
#include <linux/fs.h>
#include <grp.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

static void mode(const char *path) {
  struct stat st;
  if (lstat(path, &st)) say("  %s %s", path, strerrorname_np(errno));
  else say("  %s %o %d:%d", path, st.st_mode, st.st_uid, st.st_gid);
}

// As another user; the directory stays.
static void as(int uid, int gid, void (*f)(void)) {
  pid_t p = fork();
  if (p == 0) {
    if (setgroups(0, NULL) || setresgid(gid, gid, gid) || setresuid(uid, uid, uid)) _exit(1);
    f();
    _exit(0);
  }
  wait_say("  as another", p);
}

static void make_all(const char *dir) {
  char name[100];
  const int modes[] = {0644, 0755, 02755, 02644, 04755, 01755, 07777, 06644};
  for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
    snprintf(name, sizeof name, "%s/f%o", dir, modes[i]);
    close(open(name, O_CREAT | O_RDWR, modes[i]));
    mode(name);
    snprintf(name, sizeof name, "%s/d%o", dir, modes[i]);
    mkdir(name, modes[i]);
    mode(name);
    snprintf(name, sizeof name, "%s/n%o", dir, modes[i]);
    mknod(name, S_IFIFO | modes[i], 0);
    mode(name);
  }
  snprintf(name, sizeof name, "%s/l", dir);
  symlink("x", name);
  mode(name);
  int fd = open(dir, O_TMPFILE | O_RDWR, 02755);
  struct stat st;
  fstat(fd, &st);
  say("  tmpfile %o %d:%d", st.st_mode, st.st_uid, st.st_gid);
  close(fd);
}

static void in_setgid(void) { make_all("sg"); }
static void in_open(void) { make_all("open"); }

static void inheritance(void) {
  say("== set-group-ID directories");
  mkdir("sg", 0755);
  chown("sg", 0, 500);
  chmod("sg", 02777);
  make_all("sg");
  system("rm -rf sg/*");
  as(1000, 1000, in_setgid);
  system("rm -rf sg/*");
  as(1000, 500, in_setgid);
  mkdir("open", 0777);
  chmod("open", 0777);
  as(1000, 1000, in_open);
  say("-- umask");
  for (int m = 0; m <= 07777; m = m * 2 + 1) {
    umask(m);
    unlink("u");
    close(open("u", O_CREAT | O_RDWR, 07777));
    mode("u");
  }
  umask(022);
}

static void chmods(void) {
  const int modes[] = {0644, 02755, 04755, 06755, 01644, 07777};
  for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
    ret("chmod", chmod("own", modes[i]));
    mode("own");
    ret("chmod of a directory", chmod("owndir", modes[i]));
    mode("owndir");
  }
  ret("chmod of root's", chmod("roots", 0777));
  ret("chown to another", chown("own", 1001, -1));
  ret("chown to oneself", chown("own", 1000, -1));
  ret("chgrp to own group", chown("own", -1, 1000));
  ret("chgrp to another", chown("own", -1, 500));
  ret("chown of nothing", chown("own", -1, -1));
  ret("chown of nothing of root's", chown("roots", -1, -1));
  mode("own");
}

static void changes(void) {
  say("== chmod and chown");
  close(open("own", O_CREAT | O_RDWR, 0644));
  close(open("roots", O_CREAT | O_RDWR, 0644));
  mkdir("owndir", 0755);
  chown("own", 1000, 500);
  chown("owndir", 1000, 500);
  as(1000, 1000, chmods);
  say("-- in the file's group");
  chown("own", 1000, 500);
  chown("owndir", 1000, 500);
  as(1000, 500, chmods);
  chmod("own", 0666);
  say("-- what clears bits");
  const int modes[] = {06755, 06644, 02644, 02755, 04644, 07777};
  for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
    say("  from %o", modes[i]);
    for (int how = 0; how < 8; how++) {
      unlink("c");
      int fd = open("c", O_CREAT | O_RDWR, 0600);
      write(fd, "0123456789", 10);
      fchown(fd, 1000, 1000);
      fchmod(fd, modes[i] | 0222);
      pid_t p = fork();
      if (p == 0) {
        if (how < 5) {
          setgroups(0, NULL);
          setresgid(1001, 1001, 1001);
          setresuid(1001, 1001, 1001);
        }
        char *m;
        switch (how) {
          case 0: pwrite(fd, "x", 1, 0); break;
          case 1: ftruncate(fd, 5); break;
          case 2: truncate("c", 5); break;
          case 3: close(open("c", O_WRONLY | O_TRUNC)); break;
          case 4:
            m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
            m[0] = 1;
            break;
          case 5: fchown(fd, 1002, -1); break;
          case 6: fchown(fd, -1, -1); break;
          case 7: pwrite(fd, "x", 1, 0); break;
        }
        _exit(0);
      }
      waitpid(p, NULL, 0);
      mode("c");
      close(fd);
    }
    unlink("c");
    int fd = open("c", O_CREAT | O_RDWR, 0600);
    fchmod(fd, modes[i]);
    ret("  fallocate", fallocate(fd, 0, 0, 100));
    ret("  chown", fchown(fd, 1000, 1000));
    mode("c");
    close(fd);
  }
}

static void sticky_other(void) {
  ret("unlink another's", unlink("st/theirs"));
  ret("rename another's", rename("st/theirs", "st/x"));
  ret("rename over another's", rename("st/mine", "st/theirs"));
  ret("rmdir another's", rmdir("st/theirdir"));
  ret("exchange with another's", renameat2(AT_FDCWD, "st/mine", AT_FDCWD, "st/theirs", RENAME_EXCHANGE));
  ret("link another's", link("st/theirs", "st/l"));
  ret("move another's out", rename("st/theirs", "open/theirs"));
  ret("move one's own out", rename("st/mine", "open/mine"));
  ret("and in", rename("open/mine", "st/mine"));
  ret("unlink one's own", unlink("st/mine"));
  ret("chmod of the directory", chmod("st", 0777));
}

static void sticky_owner(void) {
  ret("directory's owner unlinks", unlink("st/theirs"));
  ret("directory's owner removes", rmdir("st/theirdir"));
}

static void sticky(void) {
  say("== sticky directories");
  mkdir("st", 0777);
  chmod("st", 01777);
  close(open("st/theirs", O_CREAT | O_RDWR, 0666));
  close(open("st/mine", O_CREAT | O_RDWR, 0666));
  mkdir("st/theirdir", 0777);
  chown("st/theirs", 1001, 1001);
  chown("st/mine", 1000, 1000);
  chown("st/theirdir", 1001, 1001);
  as(1000, 1000, sticky_other);
  chown("st", 1002, 1002);
  as(1002, 1002, sticky_owner);
}

static void real_and_effective(void) {
  say("== access by real ids");
  close(open("secret", O_CREAT | O_RDWR, 0600));
  mkdir("closed", 0700);
  close(open("closed/f", O_CREAT | O_RDWR, 0666));
  pid_t p = fork();
  if (p == 0) {
    setresuid(1000, 0, 0);
    ret("access", access("secret", R_OK));
    ret("eaccess", faccessat(AT_FDCWD, "secret", R_OK, AT_EACCESS));
    ret("open", open("secret", O_RDONLY) >= 0 ? 0 : -1);
    ret("access below", access("closed/f", R_OK));
    ret("eaccess below", faccessat(AT_FDCWD, "closed/f", R_OK, AT_EACCESS));
    setresuid(0, 1000, 0);
    ret("access", access("secret", R_OK));
    ret("access write", access("secret", W_OK));
    ret("access execute", access("secret", X_OK));
    ret("eaccess", faccessat(AT_FDCWD, "secret", R_OK, AT_EACCESS));
    ret("open", open("secret", O_RDONLY) >= 0 ? 0 : -1);
    ret("access below", access("closed/f", R_OK));
    setresuid(0, 0, 0);
    setfsuid(1000);
    ret("fsuid open", open("secret", O_RDONLY) >= 0 ? 0 : -1);
    ret("fsuid access", access("secret", R_OK));
    ret("fsuid create", open("byfsuid", O_CREAT | O_RDWR, 0600) >= 0 ? 0 : -1);
    ret("fsuid chmod", chmod("secret", 0600));
    setfsuid(0);
    ret("root executes nothing", access("secret", X_OK));
    ret("root searches", access("closed", X_OK));
    _exit(0);
  }
  wait_say("child", p);
  const int modes[] = {0000, 0700, 0070, 0007, 0400, 0040, 0004, 0111, 0333, 0555};
  for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
    chmod("own", modes[i]);
    chmod("owndir", modes[i]);
    for (int who = 0; who < 3; who++) {
      if ((p = fork()) == 0) {
        const int uids[] = {1000, 1001, 1002}, gids[] = {77, 500, 77};
        setgroups(0, NULL);
        setresgid(gids[who], gids[who], gids[who]);
        setresuid(uids[who], uids[who], uids[who]);
        char out[200] = "";
        for (int a = 0; a < 8; a++) sprintf(out + strlen(out), " %d", access("own", a) == 0);
        sprintf(out + strlen(out), " open %d %d dir %d %d %d", open("own", O_RDONLY) >= 0, open("own", O_WRONLY) >= 0, open("owndir", O_RDONLY) >= 0,
                chdir("owndir") == 0, access("x", F_OK) == 0 || errno == ENOENT);
        say("  %o %d:%s", modes[i], who, out);
        _exit(0);
      }
      waitpid(p, NULL, 0);
    }
  }
}

static void attributes(void) {
  say("== attributes");
  int f, fd = open("attr", O_CREAT | O_RDWR, 0644);
  ret("get", ioctl(fd, FS_IOC_GETFLAGS, &f));
  say("  flags %x", f);
  const int flags[] = {FS_IMMUTABLE_FL, FS_APPEND_FL, FS_NOATIME_FL, FS_NODUMP_FL, FS_COMPR_FL, FS_SYNC_FL, FS_DIRSYNC_FL, FS_NOCOW_FL, FS_SECRM_FL, 0};
  for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
    f = flags[i];
    say("-- flag %x", f);
    ret("set", ioctl(fd, FS_IOC_SETFLAGS, &f));
    ret("get", ioctl(fd, FS_IOC_GETFLAGS, &f));
    say("  flags %x", f);
    struct statx sx;
    statx(AT_FDCWD, "attr", 0, STATX_BASIC_STATS, &sx);
    say("  statx %llx of %llx", (long long)sx.stx_attributes, (long long)sx.stx_attributes_mask);
    ret("write", pwrite(fd, "x", 1, 0));
    ret("append", open("attr", O_WRONLY | O_APPEND) >= 0 ? 0 : -1);
    ret("open to write", open("attr", O_WRONLY) >= 0 ? 0 : -1);
    ret("truncating open", open("attr", O_RDWR | O_TRUNC) >= 0 ? 0 : -1);
    ret("truncate", truncate("attr", 3));
    ret("ftruncate", ftruncate(fd, 2));
    ret("fallocate", fallocate(fd, 0, 0, 10));
    ret("punch", fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096));
    ret("chmod", chmod("attr", 0600));
    ret("chown", chown("attr", 1, 1));
    ret("utimes now", utimensat(AT_FDCWD, "attr", NULL, 0));
    struct timespec ts[2] = {{1, 0}, {1, 0}};
    ret("utimes", utimensat(AT_FDCWD, "attr", ts, 0));
    ret("link", link("attr", "attrlink"));
    ret("unlink link", unlink("attrlink"));
    ret("rename", rename("attr", "attr2"));
    ret("rename back", rename("attr2", "attr"));
    close(open("over", O_CREAT | O_RDWR, 0600));
    ret("rename over", rename("over", "attr"));
    ret("access", access("attr", W_OK));
    if (i < 2) ret("unlink", unlink("attr"));
    mkdir("attrdir", 0755);
    close(open("attrdir/f", O_CREAT | O_RDWR, 0600));
    int d = open("attrdir", O_RDONLY);
    f = flags[i];
    ret("set of a directory", ioctl(d, FS_IOC_SETFLAGS, &f));
    ret("create", open("attrdir/g", O_CREAT | O_RDWR, 0600) >= 0 ? 0 : -1);
    ret("unlink", unlink("attrdir/f"));
    ret("rename", rename("attrdir/g", "attrdir/h"));
    ret("rmdir", rmdir("attrdir"));
    f = 0;
    ret("clear", ioctl(d, FS_IOC_SETFLAGS, &f));
    ret("clear", ioctl(fd, FS_IOC_SETFLAGS, &f));
    close(d);
    close(fd);
    system("rm -rf attrdir");
    unlink("attr");
    fd = open("attr", O_CREAT | O_RDWR, 0644);
  }
  struct fsxattr x;
  ret("fsgetxattr", ioctl(fd, FS_IOC_FSGETXATTR, &x));
  ret("unknown flag", (f = 1 << 30, ioctl(fd, FS_IOC_SETFLAGS, &f)));
  ret("bad pointer", ioctl(fd, FS_IOC_GETFLAGS, BAD_PTR));
  ret("version", ioctl(fd, FS_IOC_GETVERSION, &f));
  pid_t p = fork();
  if (p == 0) {
    fchown(fd, 1000, 1000);
    setresuid(1000, 1000, 1000);
    f = FS_IMMUTABLE_FL;
    ret("immutable by its owner", ioctl(fd, FS_IOC_SETFLAGS, &f));
    f = FS_NODUMP_FL;
    ret("nodump by its owner", ioctl(fd, FS_IOC_SETFLAGS, &f));
    setresuid(1001, 1001, 1001);
    _exit(0);
  }
  wait_say("child", p);
}

int main(void) {
  setvbuf(stdout, NULL, _IONBF, 0);
  umask(022);
  if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL)) return 1;
  mkdir("work", 0755);
  if (mount("none", "work", "tmpfs", 0, "mode=755") || chdir("work")) return 1;
  inheritance();
  changes();
  sticky();
  real_and_effective();
  attributes();
  return 0;
}
