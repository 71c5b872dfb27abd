// A file system served through /dev/fuse by the program itself, spoken to by raw messages, and what others see of it.
#include "guest.h"
#include <dirent.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/xattr.h>

#define NODES 64
static struct node {
  int used;
  uint64_t parent;
  char name[256];
  mode_t mode;
  uid_t uid;
  gid_t gid;
  unsigned nlink, rdev;
  size_t size;
  char data[400000];
  char xname[64], xvalue[64];
  int xlen;
  uint64_t mtime, atime;
} *nodes;

static int dev;
static int valid;          // seconds that names and attributes hold
static int has_create = 1; // or ENOSYS
static int fail_read;      // errno of READ
static int stall;          // READs are not answered until interrupted
static struct {
  int flushes, hold, held, early, releases, pending;
} *files_seen; // hold: a FLUSH is answered when something else is asked; early: a RELEASE came before that; pending: more to read at a RELEASE

static void answer(struct fuse_in_header *h, int error, const void *data, size_t n) {
  struct fuse_out_header o = {.len = sizeof o + (error ? 0 : n), .error = -error, .unique = h->unique};
  struct iovec v[2] = {{&o, sizeof o}, {(void *)data, error ? 0 : n}};
  if (writev(dev, v, 2) < 0 && errno != ENOENT) _exit(90);
}

static struct fuse_attr attr(uint64_t id) {
  struct node *n = &nodes[id];
  return (struct fuse_attr){.ino = id, .size = n->size, .blocks = (n->size + 511) / 512, .mode = n->mode, .nlink = n->nlink,
    .uid = n->uid, .gid = n->gid, .rdev = n->rdev, .mtime = n->mtime, .atime = n->atime, .blksize = 4096};
}

static void entry(struct fuse_in_header *h, uint64_t id, int opened) {
  struct {
    struct fuse_entry_out e;
    struct fuse_open_out o;
  } r = {.e = {.nodeid = id, .generation = 1, .entry_valid = valid, .attr_valid = valid, .attr = attr(id)}, .o = {.fh = id + 1000}};
  answer(h, 0, &r, opened ? sizeof r : sizeof r.e);
}

static uint64_t find(uint64_t dir, const char *name) {
  for (uint64_t i = 2; i < NODES; i++)
    if (nodes[i].used && nodes[i].parent == dir && !strcmp(nodes[i].name, name)) return i;
  return 0;
}

static uint64_t make(struct fuse_in_header *h, const char *name, mode_t mode) {
  for (uint64_t i = 2; i < NODES; i++) {
    if (nodes[i].used) continue;
    memset(&nodes[i], 0, sizeof nodes[i]);
    nodes[i].used = 1;
    nodes[i].parent = h->nodeid;
    strcpy(nodes[i].name, name);
    nodes[i].mode = mode;
    nodes[i].uid = h->uid;
    nodes[i].gid = h->gid;
    nodes[i].nlink = S_ISDIR(mode) ? 2 : 1;
    return i;
  }
  _exit(91);
}

static void readdir_op(struct fuse_in_header *h, struct fuse_read_in *r) {
  static char buf[70000];
  size_t n = 0;
  for (uint64_t i = r->offset + 1; i < NODES; i++) {
    const char *name = i == 1 ? "." : nodes[i].name;
    if (!nodes[i].used || (i > 1 && nodes[i].parent != h->nodeid) || nodes[i].name[0] == '#') continue;
    struct fuse_dirent *d = (struct fuse_dirent *)(buf + n);
    size_t len = strlen(name);
    if (n + FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + len) > r->size) break;
    memset(d, 0, FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + len));
    d->ino = i, d->off = i, d->namelen = len, d->type = nodes[i].mode >> 12;
    memcpy(d->name, name, len);
    n += FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + len);
  }
  answer(h, 0, buf, n);
}

static void serve(void) {
  static char buf[1 << 20];
  uint64_t stalled = 0, held = 0;
  for (;;) {
    ssize_t n = read(dev, buf, sizeof buf);
    if (n < 0 && (errno == EINTR || errno == EAGAIN || errno == ENOENT)) continue;
    if (n < 0) _exit(errno == ENODEV ? 0 : 92);
    struct fuse_in_header *h = (void *)buf;
    void *arg = buf + sizeof *h;
    if (h->len != n) _exit(93);
    if (held && h->opcode != FUSE_RELEASE && h->opcode != FUSE_INTERRUPT) {
      struct fuse_in_header f = {.unique = held};
      held = 0;
      answer(&f, 0, NULL, 0);
    }
    struct node *me = h->nodeid < NODES ? &nodes[h->nodeid] : NULL;
    switch (h->opcode) {
      case FUSE_INIT: {
        struct fuse_init_in *i = arg;
        struct fuse_init_out o = {.major = 7, .minor = 31, .max_readahead = i->max_readahead, .max_write = 1 << 17, .max_background = 12,
          .congestion_threshold = 9, .time_gran = 1};
        answer(h, i->major == 7 && i->minor >= 31 ? 0 : EPROTO, &o, sizeof o);
        break;
      }
      case FUSE_LOOKUP: {
        uint64_t id = find(h->nodeid, arg);
        if (id) entry(h, id, 0);
        else answer(h, ENOENT, NULL, 0);
        break;
      }
      case FUSE_FORGET:
      case FUSE_BATCH_FORGET: break;
      case FUSE_INTERRUPT:
        if (((struct fuse_interrupt_in *)arg)->unique == stalled) {
          struct fuse_in_header s = {.unique = stalled};
          stalled = 0;
          answer(&s, EINTR, NULL, 0);
        }
        break;
      case FUSE_GETATTR: {
        struct fuse_attr_out o = {.attr_valid = valid, .attr = attr(h->nodeid)};
        answer(h, 0, &o, sizeof o);
        break;
      }
      case FUSE_SETATTR: {
        struct fuse_setattr_in *s = arg;
        if (s->valid & FATTR_MODE) me->mode = (me->mode & S_IFMT) | (s->mode & 07777);
        if (s->valid & FATTR_UID) me->uid = s->uid;
        if (s->valid & FATTR_GID) me->gid = s->gid;
        if (s->valid & FATTR_ATIME) me->atime = s->atime;
        if (s->valid & FATTR_MTIME) me->mtime = s->mtime;
        if (s->valid & FATTR_SIZE) {
          if (s->size > sizeof me->data) {
            answer(h, EFBIG, NULL, 0);
            break;
          }
          if (s->size > me->size) memset(me->data + me->size, 0, s->size - me->size);
          me->size = s->size;
        }
        struct fuse_attr_out o = {.attr_valid = valid, .attr = attr(h->nodeid)};
        answer(h, 0, &o, sizeof o);
        break;
      }
      case FUSE_MKNOD: {
        struct fuse_mknod_in *m = arg;
        uint64_t id = make(h, arg + sizeof *m, m->mode);
        nodes[id].rdev = m->rdev;
        entry(h, id, 0);
        break;
      }
      case FUSE_MKDIR: entry(h, make(h, arg + sizeof(struct fuse_mkdir_in), S_IFDIR | ((struct fuse_mkdir_in *)arg)->mode), 0); break;
      case FUSE_SYMLINK: {
        const char *name = arg, *target = name + strlen(name) + 1;
        uint64_t id = make(h, name, S_IFLNK | 0777);
        strcpy(nodes[id].data, target);
        nodes[id].size = strlen(target);
        entry(h, id, 0);
        break;
      }
      case FUSE_READLINK: answer(h, 0, me->data, me->size); break;
      case FUSE_LINK: answer(h, EMLINK, NULL, 0); break;
      case FUSE_UNLINK:
      case FUSE_RMDIR: {
        uint64_t id = find(h->nodeid, arg);
        int busy = 0;
        for (int i = 2; i < NODES; i++) busy |= nodes[i].used && nodes[i].parent == id && id;
        if (!id || busy) {
          answer(h, id ? ENOTEMPTY : ENOENT, NULL, 0);
          break;
        }
        nodes[id].name[0] = '#';
        nodes[id].nlink = 0;
        nodes[id].parent = 0;
        answer(h, 0, NULL, 0);
        break;
      }
      case FUSE_RENAME:
      case FUSE_RENAME2: {
        struct fuse_rename2_in *r = arg;
        const char *from = arg + (h->opcode == FUSE_RENAME2 ? sizeof *r : sizeof(struct fuse_rename_in)), *to = from + strlen(from) + 1;
        unsigned flags = h->opcode == FUSE_RENAME2 ? r->flags : 0;
        uint64_t id = find(h->nodeid, from), old = find(r->newdir, to);
        if (flags & ~RENAME_NOREPLACE) {
          answer(h, EINVAL, NULL, 0);
          break;
        }
        if (old) nodes[old].name[0] = '#', nodes[old].nlink = 0, nodes[old].parent = 0;
        nodes[id].parent = r->newdir;
        strcpy(nodes[id].name, to);
        answer(h, 0, NULL, 0);
        break;
      }
      case FUSE_CREATE: {
        struct fuse_create_in *c = arg;
        if (!has_create) answer(h, ENOSYS, NULL, 0);
        else entry(h, make(h, arg + sizeof *c, c->mode), 1);
        break;
      }
      case FUSE_OPEN:
      case FUSE_OPENDIR: {
        struct fuse_open_out o = {.fh = h->nodeid + 1000};
        answer(h, 0, &o, sizeof o);
        break;
      }
      case FUSE_READ: {
        struct fuse_read_in *r = arg;
        if (stall) {
          stalled = h->unique;
          break;
        }
        size_t left = r->offset < me->size ? me->size - r->offset : 0;
        if (r->fh != h->nodeid + 1000) _exit(94);
        answer(h, fail_read, me->data + r->offset, r->size < left ? r->size : left);
        break;
      }
      case FUSE_WRITE: {
        struct fuse_write_in *w = arg;
        struct fuse_write_out o = {.size = w->size};
        if (w->offset + w->size > sizeof me->data) {
          answer(h, ENOSPC, NULL, 0);
          break;
        }
        if (w->offset > me->size) memset(me->data + me->size, 0, w->offset - me->size);
        memcpy(me->data + w->offset, arg + sizeof *w, w->size);
        if (w->offset + w->size > me->size) me->size = w->offset + w->size;
        answer(h, 0, &o, sizeof o);
        break;
      }
      case FUSE_STATFS: {
        struct fuse_statfs_out o = {.st = {.blocks = 100, .bfree = 50, .bavail = 40, .files = 64, .ffree = 10, .bsize = 4096, .namelen = 255, .frsize = 4096}};
        answer(h, 0, &o, sizeof o);
        break;
      }
      case FUSE_SETXATTR: {
        struct fuse_setxattr_in *s = arg;
        const char *name = arg + FUSE_COMPAT_SETXATTR_IN_SIZE;
        strcpy(me->xname, name);
        memcpy(me->xvalue, name + strlen(name) + 1, s->size);
        me->xlen = s->size;
        answer(h, 0, NULL, 0);
        break;
      }
      case FUSE_GETXATTR: {
        struct fuse_getxattr_in *g = arg;
        struct fuse_getxattr_out o = {.size = me->xlen};
        if (strcmp(me->xname, arg + sizeof *g) || !me->xname[0]) answer(h, ENODATA, NULL, 0);
        else if (g->size == 0) answer(h, 0, &o, sizeof o);
        else answer(h, g->size < (unsigned)me->xlen ? ERANGE : 0, me->xvalue, me->xlen);
        break;
      }
      case FUSE_LISTXATTR: {
        struct fuse_getxattr_in *g = arg;
        size_t len = me->xname[0] ? strlen(me->xname) + 1 : 0;
        struct fuse_getxattr_out o = {.size = len};
        if (g->size == 0) answer(h, 0, &o, sizeof o);
        else answer(h, g->size < len ? ERANGE : 0, me->xname, len);
        break;
      }
      case FUSE_REMOVEXATTR: me->xname[0] = 0; answer(h, 0, NULL, 0); break;
      case FUSE_READDIR: readdir_op(h, arg); break;
      case FUSE_FLUSH:
        files_seen->flushes++;
        if (files_seen->hold) {
          held = h->unique;
          files_seen->held = 1;
        } else {
          answer(h, 0, NULL, 0);
        }
        break;
      case FUSE_RELEASE:
        if (held) files_seen->early = 1;
        files_seen->pending = poll(&(struct pollfd){dev, POLLIN, 0}, 1, 0);
        answer(h, 0, NULL, 0);
        __atomic_fetch_add(&files_seen->releases, 1, __ATOMIC_RELEASE);
        break;
      case FUSE_RELEASEDIR:
      case FUSE_FSYNC: answer(h, 0, NULL, 0); break;
      default: answer(h, ENOSYS, NULL, 0);
    }
  }
}

static int open_device(void) {
  int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
  if (fd >= 0) return fd;
  mknod("fuse-device", S_IFCHR | 0600, makedev(10, 229));
  return open("fuse-device", O_RDWR | O_CLOEXEC);
}

static char *options(int fd, const char *more) {
  static char text[200];
  snprintf(text, sizeof text, "fd=%d,rootmode=40000,user_id=0,group_id=0%s", fd, more);
  return text;
}

static pid_t server;

static void start(const char *more) {
  memset(nodes, 0, NODES * sizeof *nodes);
  nodes[1] = (struct node){.used = 1, .mode = S_IFDIR | 0755, .nlink = 2};
  dev = open_device();
  ok("mount", mount("served", "mnt", "fuse.guest", MS_NOSUID | MS_NODEV, options(dev, more)));
  server = fork();
  if (server == 0) serve();
  close(dev);
}

static void stop(void) {
  ret("umount", umount2("mnt", 0));
  int status;
  waitpid(server, &status, 0);
  say("server ended with %d", WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
}

static void list(const char *dir) {
  DIR *d = opendir(dir);
  struct dirent *e;
  int n = 0;
  while (d && (e = readdir(d))) {
    if (e->d_name[0] == '.') continue;
    say("  entry %s type %d", e->d_name, e->d_type);
    n++;
  }
  say("  %d entries of %s", n, dir);
  if (d) {
    rewinddir(d);
    int again = 0;
    while ((e = readdir(d))) again += e->d_name[0] != '.';
    is("as many after rewinding", again == n);
    closedir(d);
  }
}

static void files(void) {
  char buf[300000];
  int fd = ok("create", open("mnt/file", O_CREAT | O_RDWR | O_EXCL, 0640));
  ok("create again", open("mnt/file", O_CREAT | O_RDWR | O_EXCL, 0640));
  ret("write", write(fd, "hello world", 11));
  ret("pread", pread(fd, buf, 5, 6));
  is("what was written", !memcmp(buf, "world", 5));
  ret("lseek end", lseek(fd, 0, SEEK_END));
  ret("lseek data", lseek(fd, 3, SEEK_DATA));
  ret("lseek hole", lseek(fd, 3, SEEK_HOLE));
  ret("lseek data beyond", lseek(fd, 30, SEEK_DATA));
  for (size_t i = 0; i < sizeof buf; i++) buf[i] = i * 7 + i / 4096;
  ret("large write", pwrite(fd, buf, sizeof buf, 1000));
  static char back[400000];
  ret("large read", pread(fd, back, sizeof back, 1000));
  is("the same", !memcmp(buf, back, sizeof buf));
  ret("write without room", pwrite(fd, buf, sizeof buf, 300000) < 0 && errno == ENOSPC ? 0 : 1);
  struct stat st;
  ret("fstat", fstat(fd, &st));
  say("mode %o nlink %d uid %d", st.st_mode, (int)st.st_nlink, st.st_uid);
  ret("ftruncate", ftruncate(fd, 5));
  ret("read at the end", pread(fd, back, 10, 5));
  ret("fstat", fstat(fd, &st));
  say("size %ld", (long)st.st_size);
  ret("ftruncate too far", ftruncate(fd, 1 << 30));
  ret("fsync", fsync(fd));
  ret("fallocate", fallocate(fd, 0, 0, 100));
  ret("close", close(fd));
  fd = open("mnt/file", O_WRONLY | O_APPEND);
  ret("append", write(fd, " again", 6));
  ret("read of what is write-only", read(fd, buf, 1));
  close(fd);
  fd = open("mnt/file", O_RDONLY);
  ret("read", read(fd, buf, 100));
  is("appended", !memcmp(buf, "hello again", 11));
  ret("read on", read(fd, buf, 100));
  char *p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
  is("mapped", p != MAP_FAILED && !memcmp(p, "hello again", 11) && p[11] == 0);
  if (p != MAP_FAILED) munmap(p, 4096);
  struct iovec v[2] = {{buf, 3}, {buf + 10, 50}};
  ret("preadv", preadv(fd, v, 2, 2));
  is("the second part", !memcmp(buf + 10, " again", 6));
  close(fd);
  fd = open("mnt/file", O_RDWR | O_TRUNC);
  fstat(fd, &st);
  say("size after O_TRUNC %ld", (long)st.st_size);
  close(fd);
  ok("open missing", open("mnt/none", O_RDONLY));
  ok("directory as file", open("mnt/file/x", O_RDONLY));
  fail_read = 0;
}

static void names(void) {
  struct stat st;
  ret("mkdir", mkdir("mnt/dir", 0755));
  ret("mkdir again", mkdir("mnt/dir", 0755));
  ret("mkdir below", mkdir("mnt/dir/sub", 0700));
  ret("rmdir not empty", rmdir("mnt/dir"));
  ret("rename", rename("mnt/file", "mnt/dir/moved"));
  ret("stat of the old name", stat("mnt/file", &st));
  ret("stat of the new name", stat("mnt/dir/moved", &st));
  ret("rename noreplace", renameat2(AT_FDCWD, "mnt/dir/moved", AT_FDCWD, "mnt/dir/sub", RENAME_NOREPLACE));
  ret("rename exchange", renameat2(AT_FDCWD, "mnt/dir/moved", AT_FDCWD, "mnt/dir/sub", RENAME_EXCHANGE));
  ret("rename out", rename("mnt/dir/moved", "moved"));
  ret("symlink", symlink("dir/moved", "mnt/link"));
  char buf[100];
  ret("readlink", readlink("mnt/link", buf, sizeof buf));
  ret("lstat", lstat("mnt/link", &st));
  is("a link", S_ISLNK(st.st_mode));
  ret("stat through it", stat("mnt/link", &st));
  is("a file", S_ISREG(st.st_mode));
  ret("hard link", link("mnt/dir/moved", "mnt/hard"));
  ret("mkfifo", mkfifo("mnt/fifo", 0600));
  ret("stat of the fifo", stat("mnt/fifo", &st));
  is("a fifo", S_ISFIFO(st.st_mode));
  for (int i = 0; i < 20; i++) {
    char name[32];
    sprintf(name, "mnt/dir/sub/%d", i);
    close(open(name, O_CREAT | O_WRONLY, 0600));
  }
  list("mnt");
  list("mnt/dir/sub");
  for (int i = 0; i < 20; i++) {
    char name[32];
    sprintf(name, "mnt/dir/sub/%d", i);
    unlink(name);
  }
  ret("rmdir", rmdir("mnt/dir/sub"));
  ret("unlink a directory", unlink("mnt/dir"));
  ret("rmdir a file", rmdir("mnt/dir/moved"));
  int fd = open("mnt/dir/moved", O_RDWR);
  ret("unlink", unlink("mnt/dir/moved"));
  ret("unlink again", unlink("mnt/dir/moved"));
  ret("write to what has no name", write(fd, "x", 1));
  fstat(fd, &st);
  say("nlink %d", (int)st.st_nlink);
  close(fd);
  ret("getcwd below", chdir("mnt/dir"));
  is("cwd", getcwd(buf, sizeof buf) != NULL && strstr(buf, "/mnt/dir"));
  if (chdir("../..") != 0) _exit(95);
}

static void attributes(void) {
  struct stat st;
  close(open("mnt/a", O_CREAT | O_WRONLY, 0644));
  ret("chmod", chmod("mnt/a", 0604));
  ret("chown", chown("mnt/a", 12, 34));
  struct timespec ts[2] = {{1000, 0}, {2000, 0}};
  ret("utimensat", utimensat(AT_FDCWD, "mnt/a", ts, 0));
  ret("stat", stat("mnt/a", &st));
  say("mode %o uid %d gid %d atime %ld mtime %ld", st.st_mode, st.st_uid, st.st_gid, (long)st.st_atime, (long)st.st_mtime);
  ret("truncate", truncate("mnt/a", 77));
  stat("mnt/a", &st);
  say("size %ld", (long)st.st_size);
  char buf[100];
  ret("getxattr of none", getxattr("mnt/a", "user.x", buf, sizeof buf));
  ret("setxattr", setxattr("mnt/a", "user.x", "value", 5, 0));
  ret("getxattr", getxattr("mnt/a", "user.x", buf, sizeof buf));
  is("its value", !memcmp(buf, "value", 5));
  ret("getxattr size", getxattr("mnt/a", "user.x", NULL, 0));
  ret("getxattr short", getxattr("mnt/a", "user.x", buf, 2));
  ret("listxattr", listxattr("mnt/a", buf, sizeof buf));
  ret("removexattr", removexattr("mnt/a", "user.x"));
  ret("listxattr", listxattr("mnt/a", buf, sizeof buf));
  struct statfs s;
  ret("statfs", statfs("mnt", &s));
  say("type %lx blocks %ld free %ld available %ld files %ld name %ld", (long)s.f_type, (long)s.f_blocks, (long)s.f_bfree, (long)s.f_bavail, (long)s.f_files, (long)s.f_namelen);
  ret("access", access("mnt/a", R_OK | W_OK));
  ret("access x", access("mnt/a", X_OK));
}

static void others(void) {
  pid_t p = fork();
  if (p == 0) {
    if (setgid(1000) || setuid(1000)) _exit(1);
    struct stat st;
    ret("a stranger's stat of the root", stat("mnt", &st));
    ok("a stranger's open", open("mnt/a", O_RDONLY));
    ret("a stranger's mkdir", mkdir("mnt/strange", 0700));
    _exit(0);
  }
  waitpid(p, NULL, 0);
}

static void programs(void) {
  int in = open("/proc/self/exe", O_RDONLY), out = open("mnt/small", O_CREAT | O_WRONLY | O_TRUNC, 0755);
  close(in);
  const char *script = "#!/bin/sh\nexit 7\n";
  if (write(out, script, strlen(script)) < 0) _exit(96);
  close(out);
  pid_t p = fork();
  if (p == 0) {
    execl("mnt/small", "small", NULL);
    _exit(errno);
  }
  int status;
  waitpid(p, &status, 0);
  say("script ended with %d", WEXITSTATUS(status));
}

static void noop(int sig) { (void)sig; }

// A tick every so often ends the wait for a server that does not answer: each asks it to interrupt.
static void interrupts(void) {
  struct sigaction sa = {.sa_handler = noop};
  sigaction(SIGALRM, &sa, NULL);
  int fd = open("mnt/small", O_RDONLY | O_DIRECT);
  struct itimerval t = {{0, 20000}, {0, 20000}}, off = {0};
  setitimer(ITIMER_REAL, &t, NULL);
  char *page = aligned_alloc(4096, 4096);
  ret("read that is interrupted", read(fd, page, 4096));
  setitimer(ITIMER_REAL, &off, NULL);
  close(fd);
  pid_t p = fork();
  if (p == 0) {
    fd = open("mnt/small", O_RDONLY | O_DIRECT);
    if (write(1, "", 0) || read(fd, page, 4096)) {}
    _exit(0);
  }
  usleep(50000);
  kill(p, SIGKILL);
  int status;
  waitpid(p, &status, 0);
  is("killed while it waits", WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

// What has been asked before, by those who were killed too, the server has heard of.
static int open_small(void) {
  struct stat st;
  stat("mnt/missing", &st);
  files_seen->flushes = 0;
  return open("mnt/small", O_WRONLY);
}

// Whatever closes a file waits until the server has heard of it.
static void flushing(void) {
  int fd = open_small();
  ret("dup2 over it", dup2(0, fd) == fd ? 0 : -1);
  say("flushes %d", files_seen->flushes);
  close(fd);
  fd = open_small();
  ret("dup3 over it", dup3(0, fd, O_CLOEXEC) == fd ? 0 : -1);
  say("flushes %d", files_seen->flushes);
  close(fd);
  fd = open_small();
  int more = dup(fd);
  ret("close_range", close_range(fd, more, 0));
  say("flushes %d", files_seen->flushes);
  pid_t p = fork();
  if (p == 0) _exit(open_small() < 0);
  int status;
  waitpid(p, &status, 0);
  say("exit %x, flushes %d", status, files_seen->flushes);
  files_seen->hold = 1;
  p = fork();
  if (p == 0) _exit(close(open_small()));
  while (!__atomic_load_n(&files_seen->held, __ATOMIC_ACQUIRE)) usleep(1000);
  kill(p, SIGKILL);
  struct stat st;
  ret("stat", stat("mnt/missing", &st));
  files_seen->hold = 0;
  waitpid(p, &status, 0);
  is("killed in close", WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  ret("stat", stat("mnt/missing", &st));
  is("no RELEASE before the answer to FLUSH", !files_seen->early);
}

// Other threads of a server may still be busy with the RELEASE.
static void forgetting(void) {
  struct stat st;
  stat("mnt/missing", &st);
  int seen = files_seen->releases, fd = open("mnt/gone", O_CREAT | O_WRONLY, 0600);
  ret("unlink", unlink("mnt/gone"));
  ret("close", close(fd));
  while (__atomic_load_n(&files_seen->releases, __ATOMIC_ACQUIRE) == seen) usleep(1000);
  is("no FORGET before the answer to RELEASE", files_seen->pending == 0);
}

static void roots(void) {
  close(open("mnt-file", O_CREAT | O_WRONLY, 0600));
  const char *modes[] = {"0", "100644", "010000", "40000"};
  for (int i = 0; i < 4; i++) {
    int fd = open_device();
    char text[200];
    snprintf(text, sizeof text, "fd=%d,rootmode=%s,user_id=0,group_id=0", fd, modes[i]);
    say("root of mode %s", modes[i]);
    ret("mount on a file", mount("x", "mnt-file", "fuse", 0, text));
    close(fd);
    struct stat st;
    ret("stat", stat("mnt-file", &st));
    ret("umount", umount2("mnt-file", 0));
    fd = open_device();
    snprintf(text, sizeof text, "fd=%d,rootmode=%s,user_id=0,group_id=0", fd, modes[i]);
    ret("mount on a directory", mount("x", "mnt", "fuse", 0, text));
    close(fd);
    ret("umount", umount2("mnt", 0));
  }
  unlink("mnt-file");
}

static void devices(void) {
  char buf[9000];
  int fd = open_device();
  ret("read before a mount", read(fd, buf, sizeof buf));
  ret("write before a mount", write(fd, buf, 16));
  ret("mount without options", mount("x", "mnt", "fuse", 0, ""));
  ret("mount of a file that is no device", mount("x", "mnt", "fuse", 0, options(0, "")));
  ret("mount with an option nobody knows", mount("x", "mnt", "fuse", 0, options(fd, ",nonsense")));
  ok("mount", mount("x", "mnt", "fuse", 0, options(fd, "")));
  ret("mount of a device in use, at the same place", mount("x", "mnt", "fuse", 0, options(fd, "")));
  struct pollfd p = {fd, POLLIN | POLLOUT, 0};
  poll(&p, 1, -1);
  say("poll %x", p.revents);
  ret("read too short", read(fd, buf, 100));
  ssize_t n = read(fd, buf, sizeof buf);
  struct fuse_in_header *h = (void *)buf;
  is("INIT is first", n >= (ssize_t)sizeof *h + 16 && h->opcode == FUSE_INIT && h->nodeid == 0);
  struct fuse_out_header o = {.len = 16, .error = 0, .unique = 12345678};
  ret("answer to nothing", write(fd, &o, 16));
  o.len = 20;
  ret("answer of another length", write(fd, &o, 16));
  ret("answer too short", write(fd, &o, 8));
  o.len = 16, o.error = 5;
  ret("answer with a positive error", write(fd, &o, 16));
  fcntl(fd, F_SETFL, O_NONBLOCK);
  ret("read of nothing", read(fd, buf, sizeof buf));
  p.events = POLLIN;
  ret("poll of nothing", poll(&p, 1, 0));
  ret("close", close(fd));
  struct stat st;
  ret("stat without a server", stat("mnt/x", &st));
  ret("umount", umount2("mnt", MNT_DETACH));
}

int main(void) {
  nodes = mmap(NULL, NODES * sizeof *nodes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  files_seen = mmap(NULL, sizeof *files_seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  signal(SIGPIPE, SIG_IGN);
  umask(022);
  if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) return 1;
  char dir[] = "/tmp/fuse-guest-XXXXXX";
  if (mkdtemp(dir) == NULL || chmod(dir, 0755) || chdir(dir) || mkdir("mnt", 0755)) return 1;
  devices();
  roots();
  static const char *const more[] = {"", ",default_permissions,allow_other", ",default_permissions,max_read=8192"};
  for (int i = 0; i < 3; i++) {
    valid = i == 1;
    has_create = i > 0;
    say("names hold for %d s, %s%s", valid, has_create ? "CREATE" : "MKNOD and OPEN", more[i]);
    start(more[i]);
    files();
    names();
    attributes();
    others();
    programs();
    stop();
  }
  stall = 1;
  valid = 0;
  start("");
  close(open("mnt/small", O_CREAT | O_WRONLY, 0755));
  ret("truncate", truncate("mnt/small", 8192));
  interrupts();
  flushing();
  forgetting();
  pid_t p = fork();
  if (p == 0) {
    char *page = aligned_alloc(4096, 4096);
    int fd = open("mnt/small", O_RDONLY | O_DIRECT);
    _exit(read(fd, page, 4096) < 0 ? errno : 0);
  }
  usleep(50000);
  ret("forced umount while a file is open", umount2("mnt", MNT_FORCE));
  int status;
  waitpid(p, &status, 0);
  say("a read was ended by %s", strerrorname_np(WEXITSTATUS(status)));
  ret("umount", umount2("mnt", 0));
  waitpid(server, NULL, 0);
  start("");
  close(open("mnt/small", O_CREAT | O_WRONLY, 0755));
  kill(server, SIGKILL);
  waitpid(server, NULL, 0);
  struct stat st;
  ret("stat when the server is gone", stat("mnt/small", &st));
  ret("umount", umount2("mnt", 0));
  rmdir("mnt");
  unlink("fuse-device");
  if (chdir("/") == 0) rmdir(dir);
  return 0;
}
