// Random walks over inotify: two instances watch what is in a small tree, with random masks, while files are opened, changed, renamed and removed.
#include "walk.h"
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/xattr.h>

#define OPEN 4
static int notify[2], open_files[OPEN];
static uint32_t cookies[1000];
static int cookie_count;

// Few names, so that they meet: files, directories and links to both.
static const char *name(void) {
  static const char *const names[] = {"a", "b", "d", "d/a", "d/b", "e", "e/a", "d/e", "l", "d/e/a"};
  return names[below(sizeof names / sizeof *names)];
}

static int cookie_name(uint32_t c) {
  if (c == 0) return 0;
  for (int i = 0; i < cookie_count; i++) if (cookies[i] == c) return i + 1;
  if (cookie_count == 1000) return 1001;
  cookies[cookie_count++] = c;
  return cookie_count;
}

static void state(char *to, size_t room) {
  int a = 0, b = 0;
  ioctl(notify[0], FIONREAD, &a), ioctl(notify[1], FIONREAD, &b);
  snprintf(to, room, " pending %d %d\n", a, b);
}

static void begin(uint64_t seed) {
  char dir[40];
  for (int i = 0; i < 10000; i++) {
    snprintf(dir, sizeof dir, "walk%d", i);
    if (mkdir(dir, 0777) == 0) break;
  }
  chdir(dir);
  close(creat("a", 0644)), mkdir("d", 0755), close(creat("d/a", 0600)), symlink("d", "l");
  for (int i = 0; i < 2; i++) notify[i] = inotify_init1(IN_NONBLOCK);
  for (int i = 0; i < OPEN; i++) open_files[i] = -1;
}

static void do_read(void) {
  static char buf[1 << 20];
  int k = below(2), size = PICK(sizeof buf, sizeof buf, sizeof buf, 64, 32, 16, 15);
  out("read(%d, %d)", k, size);
  long n = result(read(notify[k], buf, size));
  int shown = 0;
  for (char *p = buf; n > 0 && p < buf + n;) {
    struct inotify_event *e = (void *)p;
    if (shown++ < 40) out(" [%d %x %d %u %s]", e->wd, e->mask, cookie_name(e->cookie), e->len, e->len ? e->name : "");
    p += sizeof *e + e->len;
  }
}

static void do_watch(void) {
  int k = below(2);
  uint32_t mask = PICK(IN_ALL_EVENTS, IN_ALL_EVENTS, IN_ALL_EVENTS, IN_MODIFY, IN_MOVE | IN_CREATE, IN_DELETE_SELF | IN_MOVE_SELF, IN_OPEN | IN_CLOSE, IN_ATTRIB, 0, IN_ACCESS | IN_DELETE, 1 << 16);
  mask |= PICK(0, 0, 0, 0, IN_ONLYDIR, IN_DONT_FOLLOW, IN_EXCL_UNLINK, IN_MASK_ADD, IN_MASK_CREATE, IN_ONESHOT, IN_MASK_ADD | IN_MASK_CREATE, IN_IGNORED, IN_MASK_ADD | IN_ONESHOT, IN_MASK_ADD | IN_EXCL_UNLINK);
  const char *n = one_in(5) ? "." : name();
  out("add_watch(%d, %s, %x)", k, n, mask), result(inotify_add_watch(notify[k], n, mask));
}

// Something done to an open file.
static void do_file(void) {
  int k = below(OPEN), fd = open_files[k];
  char buf[100];
  switch (below(14)) {
    case 0: out("close(%d)", k), result(close(fd)), open_files[k] = -1; break;
    case 1: out("write(%d)", k), result(write(fd, buf, PICK(0, 5, 100))); break;
    case 2: out("read(%d)", k), result(pread(fd, buf, PICK(0, 5, 100), 0)); break;
    case 3: out("ftruncate(%d)", k), result(ftruncate(fd, PICK(0, 10, 10, 5000))); break;
    case 4: out("fchmod(%d)", k), result(fchmod(fd, PICK(0600, 0644, 0755))); break;
    case 5: out("fchown(%d)", k), result(fchown(fd, PICK(-1, 0, 5), -1)); break;
    case 6: out("futimens(%d)", k), result(futimens(fd, NULL)); break;
    case 7: out("fallocate(%d)", k), result(fallocate(fd, PICK(0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE), 0, 5000)); break;
    case 8: out("fsetxattr(%d)", k), result(fsetxattr(fd, "user.x", "y", 1, 0)), out(" remove"), result(fremovexattr(fd, "user.x")); break;
    case 9: {
      int from = open_files[below(OPEN)];
      off_t zero = 0;
      out("sendfile(%d)", k), result(sendfile(fd, from, &zero, 10)); break;
    }
    case 10: {
      off_t a = 0, b = 200;
      out("copy_file_range(%d)", k), result(copy_file_range(open_files[below(OPEN)], &a, fd, &b, 10, 0)); break;
    }
    case 11: out("getdents(%d)", k), done(syscall(SYS_getdents64, fd, buf, sizeof buf)); break;
    case 12: {
      char *m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
      out("mmap(%d)", k), done((long)m), m != MAP_FAILED ? munmap(m, 4096) : 0; break;
    }
    default: {
      struct iovec { char *p; size_t n; } v = {buf, 7};
      out("pwritev2(%d)", k), result(syscall(SYS_pwritev2, fd, &v, 1, -1, -1, 0)), out(" fdatasync"), result(fdatasync(fd)), out(" dup"), done(close(dup(fd)));
    }
  }
}

// Something done to a name.
static void do_name(void) {
  const char *n = name(), *m = name();
  int flags;
  switch (below(20)) {
    case 0 ... 2: {
      int k = below(OPEN), how = PICK(O_RDONLY, O_RDWR, O_WRONLY, O_RDWR | O_CREAT, O_RDWR | O_CREAT | O_EXCL, O_WRONLY | O_TRUNC, O_PATH, O_DIRECTORY, O_RDWR | O_TMPFILE, O_WRONLY | O_CREAT | O_TRUNC);
      out("open(%s, %x)", n, how);
      int fd = open(n, how, 0644);
      done(fd);
      if (fd >= 0) out(" in %d", k), close(open_files[k]), open_files[k] = fd;
      break;
    }
    case 3 ... 4: out("unlink(%s)", n), result(unlink(n)); break;
    case 5: out("mkdir(%s)", n), result(mkdir(n, 0755)); break;
    case 6: out("rmdir(%s)", n), result(rmdir(n)); break;
    case 7 ... 10:
      flags = PICK(0, 0, 0, 0, 1 /* NOREPLACE */, 2 /* EXCHANGE */, 4 /* WHITEOUT */);
      out("rename(%s, %s, %d)", n, m, flags), result(syscall(SYS_renameat2, AT_FDCWD, n, AT_FDCWD, m, flags)); break;
    case 11 ... 12: out("link(%s, %s)", n, m), result(link(n, m)); break;
    case 13: out("symlink(%s)", n), result(symlink("a", n)); break;
    case 14: out("chmod(%s)", n), result(chmod(n, PICK(0600, 0755))); break;
    case 15: out("truncate(%s)", n), result(truncate(n, PICK(0, 10, 10))); break;
    case 16: {
      struct timespec t[2] = {{PICK(1, 2), PICK(0, UTIME_OMIT, UTIME_NOW)}, {5, PICK(0, UTIME_OMIT, UTIME_NOW)}};
      out("utimensat(%s)", n), result(utimensat(AT_FDCWD, n, t, PICK(0, AT_SYMLINK_NOFOLLOW))); break;
    }
    case 17: out("mknod(%s)", n), result(mknod(n, PICK(S_IFREG, S_IFIFO) | 0644, 0)); break;
    case 18: out("lchown(%s)", n), result(lchown(n, 3, -1)), out(" setxattr"), result(lsetxattr(n, "trusted.x", "y", 1, 0)); break;
    default: {
      char where[100];
      int k = below(OPEN);
      snprintf(where, sizeof where, "/proc/self/fd/%d", open_files[k]);
      out("linkat(%d, %s)", k, m), result(linkat(AT_FDCWD, where, AT_FDCWD, m, AT_SYMLINK_FOLLOW));
    }
  }
}

static void step(unsigned i) {
  int k = below(2), st;
  switch (below(30)) {
    case 0 ... 4: do_watch(); break;
    case 5 ... 7: do_read(); break;
    case 8: {
      int wd = 1 + below(8);
      out("rm_watch(%d, %d)", k, wd), result(inotify_rm_watch(notify[k], wd)); break;
    }
    case 9:
      if (one_in(10)) {
        out("overflow");
        for (int j = 0; j < 9000; j++) close(open("a", O_RDONLY));
      } else if (one_in(4)) out("again"), close(notify[k]), notify[k] = inotify_init1(IN_NONBLOCK);
      else {
        out("child ");
        if (fork() == 0) do_name(), _exit(0);
        while (wait(&st) < 0) {}
      }
      break;
    case 10 ... 16: do_file(); break;
    default: do_name();
  }
}
