// /proc/PID/map_files: names, links, modes, who may follow them; clear_refs, autogroup, ksm_stat; uname(2) under UNAME26.
#include "guest.h"
#include <dirent.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/utsname.h>

static char name[100], text[500];

static const char *range(void *from, long len, const char *format) {
  snprintf(name, sizeof name, format, (long)from, (long)from + len);
  return name;
}

static const char *link_of(void *from, long len) { return range(from, len, "/proc/self/map_files/%lx-%lx"); }

static void put(const char *file, const char *what) {
  int fd = open(file, O_WRONLY);
  long n = fd < 0 ? -1 : write(fd, what, strlen(what));
  say("%s %s: %ld %s", file, what, n, n < 0 ? strerrorname_np(errno) : "");
  close(fd);
}

static void show(const char *file) {
  int fd = open(file, O_RDONLY);
  int n = fd < 0 ? -1 : (int)read(fd, text, sizeof text);
  say("%s: %s%.*s", file, n < 0 ? strerrorname_np(errno) : "", n < 0 ? 0 : n, text);
  close(fd);
}

static void target(const char *what, const char *path) {
  int n = readlink(path, text, sizeof text - 1);
  if (n < 0) say("%s: %s", what, strerrorname_np(errno));
  else text[n] = 0, say("%s: %s", what, strrchr(text, '/') + 1);
}

static void modes(const char *what, int flags, int prot, int kind) {
  struct stat st;
  int fd = open("mapped", flags, 0600);
  void *m = mmap(NULL, 4096, prot, kind, fd, 0);
  if (lstat(link_of(m, 4096), &st) < 0) say("%s: %s", what, strerrorname_np(errno));
  else say("%s: %o size %ld", what, st.st_mode, (long)st.st_size);
  // It stays: the name of one that is gone is remembered with its mode.
  close(fd);
}

static void links(void) {
  struct stat st;
  int fd = open("mapped", O_CREAT | O_RDWR, 0600);
  ftruncate(fd, 3 * 4096);
  char *m = mmap(NULL, 3 * 4096, PROT_READ, MAP_SHARED, fd, 0);
  target("all of it", link_of(m, 3 * 4096));
  target("a part", link_of(m, 4096));
  target("more", link_of(m, 4 * 4096));
  target("leading zero", range(m, 3 * 4096, "/proc/self/map_files/0%lx-%lx"));
  target("capitals", range(m, 3 * 4096, "/proc/self/map_files/%lX-%lX"));
  target("0x", range(m, 3 * 4096, "/proc/self/map_files/0x%lx-%lx"));
  target("no dash", "/proc/self/map_files/123");
  target("no end", "/proc/self/map_files/123-");
  target("trailing", range(m, 3 * 4096, "/proc/self/map_files/%lx-%lxx"));
  int again = open(link_of(m, 3 * 4096), O_RDWR);
  ok("open through it", again);
  ret("write through it", write(again, "hello", 5));
  is("it is the file", memcmp(m, "hello", 5) == 0);
  unlink("mapped");
  target("of a deleted file", link_of(m, 3 * 4096));
  ok("open of a deleted file", open(name, O_RDONLY));
  munmap(m + 4096, 4096);
  target("split", link_of(m, 4096));
  target("whole no more", link_of(m, 3 * 4096));
  void *anon = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  target("private anonymous", link_of(anon, 4096));
  void *shared = mmap(NULL, 4096, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  target("shared anonymous", link_of(shared, 4096));
  modes("read-only", O_CREAT | O_RDONLY, PROT_READ, MAP_PRIVATE);
  modes("read-write", O_CREAT | O_RDWR, PROT_READ, MAP_PRIVATE);
  ret("stat", stat("/proc/self/map_files", &st));
  say("directory %o links %ld", st.st_mode, (long)st.st_nlink);
  ret("mkdir", mkdir("/proc/self/map_files/1-2", 0700));
  ret("of a thread", access("/proc/thread-self/map_files", F_OK));
}

// As many as maps has rows of files.
static void listing(void) {
  static char line[500];
  int files = 0, listed = 0, sorted = 1;
  unsigned long last = 0;
  FILE *f = fopen("/proc/self/maps", "r");
  while (fgets(line, sizeof line, f)) {
    char *p = line;
    for (int i = 0; i < 4; i++) p = strchr(p, ' ') + 1;
    files += atol(p) != 0;
  }
  fclose(f);
  DIR *d = opendir("/proc/self/map_files");
  for (struct dirent *e; (e = readdir(d));)
    if (e->d_name[0] != '.') {
      unsigned long at = strtoul(e->d_name, NULL, 16);
      listed += e->d_type == DT_LNK;
      sorted &= at > last;
      last = at;
    }
  closedir(d);
  say("listed as in maps %d, sorted %d", listed == files, sorted);
}

static void others(void) {
  int fd = open("own", O_CREAT | O_RDWR, 0600);
  ftruncate(fd, 4096);
  void *m = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
  fchmod(fd, 0666);
  pid_t p = fork();
  if (p == 0) {
    setresgid(1000, 1000, 1000);
    setresuid(1000, 1000, 1000);
    prctl(PR_SET_DUMPABLE, 1);
    target("without a capability, reading", link_of(m, 4096));
    ok("without a capability, opening", open(name, O_RDONLY));
    snprintf(name, sizeof name, "/proc/%d/map_files", getppid());
    ok("another's", open(name, O_RDONLY));
    _exit(0);
  }
  waitpid(p, NULL, 0);
}

int main(void) {
  links();
  listing();
  others();
  static const char *refs[] = {"0", "1", "2", "3", "4", "5", "6", "-1", "x", " 1\n", "12345678901234567890", "1 2"};
  for (int i = 0; i < 12; i++) put("/proc/self/clear_refs", refs[i]);
  show("/proc/self/ksm_stat");
  void *m = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ret("MADV_MERGEABLE", madvise(m, 4096, MADV_MERGEABLE));
  show("/proc/self/ksm_stat");
  ret("MADV_UNMERGEABLE", madvise(m, 4096, MADV_UNMERGEABLE));
  show("/proc/self/ksm_stat");
  show("/proc/self/ksm_merging_pages");
  pid_t p = fork();
  if (p == 0) {
    setsid();
    int id, nice;
    show("/proc/self/autogroup/x");
    FILE *f = fopen("/proc/self/autogroup", "r");
    say("autogroup %d", fscanf(f, "/autogroup-%d nice %d\n", &id, &nice));
    say("nice %d", nice);
    static const char *values[] = {"5", "20", "-21", "x", "", "0x3", "99999999999"};
    for (int i = 0; i < 7; i++) put("/proc/self/autogroup", values[i]);
    rewind(f);
    fscanf(f, "/autogroup-%d nice %d\n", &id, &nice);
    say("nice now %d", nice);
    _exit(0);
  }
  waitpid(p, NULL, 0);
  struct utsname u;
  personality(0x20000);
  uname(&u);
  is("UNAME26", strncmp(u.release, "2.6.", 4) == 0);
  return 0;
}
