// Everything that can be seen: the tree, the descriptors, the mounts. Reading it changes no time.
#include "world.h"

// Files by number, in the order of being met, with the times they had.
static struct known {
  dev_t dev;
  ino_t ino;
  struct timespec mtime, ctime;
  // Numbers are used again.
  struct statx_timestamp btime;
} known[400];
static int known_files;

static int same(struct timespec a, struct timespec b) { return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec; }

static void say_times(const struct stat *st, int dir, const char *name) {
  struct known *k = known;
  struct statx x = {0};
  statx(dir, name, AT_SYMLINK_NOFOLLOW, STATX_BTIME, &x);
  while (k < known + known_files && (k->ino != st->st_ino || k->dev != st->st_dev || memcmp(&k->btime, &x.stx_btime, sizeof x.stx_btime) != 0)) k++;
  struct known before = *k;
  int met = k < known + known_files;
  if (!met && known_files < 399) known_files++;
  *k = (struct known){st->st_dev, st->st_ino, st->st_mtim, st->st_ctim, x.stx_btime};
  if (!met) say(" new");
  if (!is_stored(st->st_ino)) {
    if (met && !same(before.mtime, st->st_mtim)) say(" mtime");
    if (met && !same(before.ctime, st->st_ctim)) say(" ctime");
    if (st->st_mtim.tv_sec < 1500000000) say(" m%ld.%09ld", st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
  }
  // Times of access go by the clock's ticks: only those that an operation has set are seen. Those of the host's files are what
  // the host makes of the sandbox's reads: it keeps links' targets, and has one descriptor with and without O_NOATIME.
  if (st->st_atim.tv_sec < 1500000000 && kind < VOLUME) say(" a%ld.%09ld", st->st_atim.tv_sec, st->st_atim.tv_nsec);
}

static void say_attrs(int dir, const char *name) {
  char p[60], list[1000], v[300];
  int fd = openat(dir, name, O_PATH | O_NOFOLLOW);
  sprintf(p, "self/fd/%d", fd);
  fchdir(proc_fd);
  long n = listxattr(p, list, sizeof list);
  if (n < 0) say(" xattrs %s", strerrorname_np(errno));
  char names[20][64];
  int count = 0;
  for (long i = 0; i < n && count < 20; i += strlen(list + i) + 1) snprintf(names[count++], 64, "%s", list + i);
  qsort(names, count, 64, by_text);
  for (int i = 0; i < count; i++) {
    // An overlay's marks name its own numbers.
    long r = getxattr(p, names[i], v, sizeof v);
    if (r < 0) say(" %s %s", names[i], strerrorname_np(errno));
    else say(" %s=%ld{%08x}", names[i], r, hash(v, r));
  }
  close(fd);
}

static void say_content(int dir, const char *name, long size) {
  int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NOATIME | O_NONBLOCK);
  if (fd < 0) return (void)say(" open %s", strerrorname_np(errno));
  unsigned h = 0;
  long n, total = 0;
  while (total < 1 << 21 && (n = read(fd, data, 65536)) > 0) h = h * 31 + hash(data, n), total += n;
  if (n < 0) say(" read %s", strerrorname_np(errno));
  say(" {%08x}", h);
  if (total != size && size < 1 << 21) say(" read %ld", total);
  long end = 0;
  // Copies that an overlay has made have fewer holes.
  for (int i = 0; i < 8 && kind != ROOT; i++) {
    long d = lseek(fd, end, SEEK_DATA);
    if (d < 0) break;
    end = lseek(fd, d, SEEK_HOLE);
    say(" [%ld-%ld]", d, end);
    if (end < 0) break;
  }
  struct flock l = {.l_type = F_WRLCK};
  if (fcntl(fd, F_OFD_GETLK, &l) == 0 && l.l_type != F_UNLCK)
    say(" lock %d %ld+%ld", l.l_type, l.l_start, l.l_len);
  close(fd);
}

static void say_tree(int dir, char *prefix, int depth) {
  char names[100][32], link[300];
  int n = 0;
  DIR *d = fdopendir(dup(dir));
  if (d == NULL) return (void)say("  %s: %s\n", prefix, strerrorname_np(errno));
  for (struct dirent *e; (e = readdir(d)) != NULL && n < 100;)
    if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) snprintf(names[n++], 32, "%s", e->d_name);
  closedir(d);
  qsort(names, n, 32, by_text);
  for (int i = 0; i < n; i++) {
    struct stat st;
    char p[300];
    snprintf(p, sizeof p, "%s%s", prefix, names[i]);
    if (fstatat(dir, names[i], &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0) {
      say("  %s %s\n", p, strerrorname_np(errno));
      continue;
    }
    // An overlay does not count directories.
    if (kind == ROOT && S_ISDIR(st.st_mode)) st.st_nlink = 0;
    say("  %s %#o %u:%u n%lu", p, st.st_mode, st.st_uid, st.st_gid, (long)st.st_nlink);
    if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) say(" %u:%u", major(st.st_rdev), minor(st.st_rdev));
    if (S_ISREG(st.st_mode)) say(" %ld", st.st_size), say_content(dir, names[i], st.st_size);
    if (S_ISREG(st.st_mode) && kind == TMPFS) say(" b%ld", st.st_blocks);
    if (S_ISLNK(st.st_mode)) {
      long r = readlinkat(dir, names[i], link, sizeof link);
      say(" %ld -> %.*s", st.st_size, (int)(r < 0 ? 0 : r), link);
    }
    say_times(&st, dir, names[i]), say_attrs(dir, names[i]), say("\n");
    if (S_ISDIR(st.st_mode) && depth < 6) {
      int sub = openat(dir, names[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NOATIME);
      if (sub < 0) say("  %s open %s\n", p, strerrorname_np(errno));
      strcat(p, "/");
      if (sub >= 0) say_tree(sub, p, depth + 1), close(sub);
    }
  }
}

// Numbers in targets of sockets, pipes and unnamed files vary.
static void say_target(const char *name) {
  char b[400];
  long n = readlinkat(proc_fd, name, b, sizeof b - 1);
  if (n < 0) return (void)say(" %s", strerrorname_np(errno));
  b[n] = 0;
  char *digits = strstr(b, ":[");
  if (digits != NULL) digits[2] = 0;
  if ((digits = strstr(b, "/#")) != NULL) digits[2] = 0;
  say(" %s", b);
}

static void say_descriptors(void) {
  for (int s = 0; s < SLOTS + SPECIAL_SLOTS; s++) {
    char p[60], line[400];
    struct stat st;
    if (slots[s] < 0) continue;
    say("  p%d s%d: fd %d", me, s, slots[s]);
    sprintf(p, "self/fd/%d", slots[s]), say_target(p);
    if (fstat(slots[s], &st) == 0) {
      say(" %#o %u:%u", st.st_mode, st.st_uid, st.st_gid);
      if (S_ISREG(st.st_mode)) say(" n%lu %ld", (long)st.st_nlink, st.st_size);
      if (S_ISDIR(st.st_mode) && kind != ROOT) say(" n%lu", (long)st.st_nlink);
    } else say(" fstat %s", strerrorname_np(errno));
    say(" fl %#x fd %d", fcntl(slots[s], F_GETFL), fcntl(slots[s], F_GETFD));
    sprintf(p, "self/fdinfo/%d", slots[s]);
    int fd = openat(proc_fd, p, O_RDONLY);
    FILE *f = fdopen(fd, "r");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
      line[strcspn(line, "\n")] = 0;
      for (char *t = line; *t; t++) if (*t == '\t') *t = ' ';
      if (strncmp(line, "pos:", 4) == 0 && !S_ISDIR(st.st_mode)) say(", %s", line);
      if (strncmp(line, "flags:", 6) == 0) say(", %s", line);
      if (strncmp(line, "inotify wd:", 11) == 0) {
        char *mask = strstr(line, "mask:");
        *strstr(line, " ino:") = 0, say(", %s %.20s", line, mask);
      }
      // "lock: 1: POSIX ADVISORY WRITE pid major:minor:inode start end"
      char type[20], kind_of[20], access[20], start[30], end[30];
      int pid;
      if (sscanf(line, "lock: %*d: %19s %19s %19s %d %*s %29s %29s", type, kind_of, access, &pid, start, end) == 6)
        say(", %s %s %s %s %s", type, access, pid < 0 ? "-1" : pid == getpid() ? "me" : "other", start, end);
    }
    if (f != NULL) fclose(f);
    say("\n");
  }
  say("  p%d root", me), say_target("self/root"), say(" cwd"), say_target("self/cwd");
  mode_t mask = umask(0);
  umask(mask);
  say(" umask %#o\n", mask);
}

// Mounts that this process sees below its root, their groups numbered in the order of being met.
static void say_mounts(void) {
  char line[2000];
  int groups[100], n = 0;
  FILE *f = fdopen(openat(proc_fd, "self/mountinfo", O_RDONLY), "r");
  while (f != NULL && fgets(line, sizeof line, f) != NULL) {
    char point[300], options[300], *rest;
    if (sscanf(line, "%*d %*d %*s %*s %299s %299s", point, options) != 2) continue;
    say("  mount %s %s", point, options);
    for (rest = strstr(line, options); *rest != ' '; rest++) {}
    for (char *w = strtok(rest, " "); w != NULL && strcmp(w, "-") != 0; w = strtok(NULL, " ")) {
      char *colon = strchr(w, ':');
      int id = colon == NULL ? 0 : atoi(colon + 1), i = 0;
      while (i < n && groups[i] != id) i++;
      if (i == n && n < 100) groups[n++] = id;
      if (colon != NULL) *colon = 0;
      say(" %s:%d", w, colon == NULL ? -1 : i);
    }
    char *type = strtok(NULL, " ");
    if (kind < VOLUME) say(" %s", type == NULL ? "?" : type);
    say("\n");
  }
  if (f != NULL) fclose(f);
}

static void say_state(void) {
  int cwd = open(".", O_PATH | O_CLOEXEC);
  char prefix[4] = "/";
  if (slots[WATCHER] >= 0) say_events();
  if (me == 0) {
    int dir = openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_NOATIME);
    say_tree(dir, prefix, 0);
    close(dir);
    say_mounts();
  }
  if (cwd < 0 || fchdir(cwd) < 0) chdir("/");
  close(cwd);
  say_descriptors();
  if (slots[WATCHER] >= 0) while (read(slots[WATCHER], data, sizeof data) > 0) {}
  // The next change has another time, whatever the clock's ticks are.
  usleep(5000);
}
