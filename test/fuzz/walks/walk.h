// Random walks that are compared with Linux: programs include this, define step() and state(), and are run by walks.ts.
//
// Each line of standard input is a walk: `SEED STEPS [i,j,k]`: STEPS steps, or only those listed (that is how differences are
// shrunk). What a step does is a function of the seed and of its index alone. Each walk runs in a process of its own and writes into
// memory that it shares with this one, so that nothing is lost when it dies. Lines must not vary from run to run: no
// addresses, ids or times, only names for them.
#ifndef WALK_H
#define WALK_H

#include "../../guest/guest.h"
#include <sys/resource.h>

#define LOG_SIZE (1 << 22)
struct log {
  int len;
  char text[LOG_SIZE];
};
static struct log *walk_log;
static char walk_state[1 << 17], walk_last_state[1 << 17];
static uint64_t walk_rng;

static inline uint64_t rnd(void) {
  uint64_t z = (walk_rng += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}
static inline unsigned below(unsigned n) { return (rnd() >> 11) % n; }
static inline int one_in(unsigned n) { return below(n) == 0; }
#define PICK(...) (((const long[]){__VA_ARGS__})[below(sizeof((const long[]){__VA_ARGS__}) / sizeof(long))])

static inline void out(const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  int room = LOG_SIZE - walk_log->len;
  int n = vsnprintf(walk_log->text + walk_log->len, room, fmt, ap);
  walk_log->len += n < room ? n : room - 1;
  va_end(ap);
}
// " = 3", " = ENOENT"
static inline long result(long r) {
  int e = errno;
  if (r == -1) out(" = %s", strerrorname_np(e) ? strerrorname_np(e) : "?");
  else out(" = %ld", r);
  errno = e;
  return r;
}
// The same where the value itself varies.
static inline long done(long r) {
  int e = errno;
  if (r == -1) out(" = %s", strerrorname_np(e) ? strerrorname_np(e) : "?");
  else out(" = ok");
  errno = e;
  return r;
}

// The whole of a small file. No stdio: the heap may be part of what is compared.
static inline char *slurp(const char *path) {
  static char text[1 << 18];
  int fd = open(path, O_RDONLY | O_CLOEXEC), len = 0;
  for (int n; (n = read(fd, text + len, sizeof text - 1 - len)) > 0;) len += n;
  close(fd);
  text[len] = 0;
  return text;
}
// The rest of the line that begins with `name`.
static inline const char *field(const char *text, const char *name) {
  static char values[16][300];
  static int turn;
  char *to = values[turn = (turn + 1) % 16];
  const char *p = strstr(text, name);
  if (p == NULL) return "-";
  p += strlen(name);
  p += strspn(p, " \t");
  snprintf(to, 300, "%.*s", (int)strcspn(p, "\n"), p);
  return to;
}

static void begin(uint64_t seed); // before the first step
static void step(unsigned i);     // writes `name(args) = result`
static void state(char *to, size_t size); // what can be seen; printed when it changes

static inline void run_step(uint64_t seed, unsigned i) {
  walk_rng = seed * 0xd1342543de82ef95 + i * 0x2545f4914f6cdd1d + 7;
  rnd(), rnd();
  out("%u: ", i);
  step(i);
  out("\n");
  state(walk_state, sizeof walk_state);
  if (strcmp(walk_state, walk_last_state) == 0) return;
  strcpy(walk_last_state, walk_state);
  out("%s", walk_state);
}

static inline void walk(uint64_t seed, unsigned steps, char *only) {
  walk_rng = seed * 0x9e3779b97f4a7c15 + 1;
  begin(seed);
  if (only == NULL)
    for (unsigned i = 0; i < steps; i++) run_step(seed, i);
  else
    for (char *p = strtok(only, ","); p != NULL; p = strtok(NULL, ",")) run_step(seed, atoi(p));
}

#ifdef EXECUTED
static int executed(int argc, char **argv); // this program, executed by a walk
#endif

int main(int argc, char **argv) {
#ifdef EXECUTED
  if (argc > 1) return executed(argc, argv);
#endif
  char line[1 << 16];
  walk_log = mmap(NULL, sizeof *walk_log, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  while (fgets(line, sizeof line, stdin) != NULL) {
    char *at = line;
    uint64_t seed = strtoull(at, &at, 10);
    unsigned steps = strtoul(at, &at, 10);
    at[strcspn(at, "\n")] = 0;
    walk_log->len = 0;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
      alarm(20);
      setpriority(PRIO_PROCESS, 0, 0); // whatever the runner has
      walk(seed, steps, *at == ' ' ? at + 1 : NULL);
      _exit(0);
    }
    int st = 0;
    waitpid(pid, &st, 0);
    if (getpid() == 1) { // what the walk has left
      kill(-1, SIGKILL);
      while (waitpid(-1, NULL, __WALL) > 0) {}
    }
    printf("walk %lu\n%s", seed, walk_log->len > 0 ? walk_log->text : "");
    if (walk_log->len > 0 && walk_log->text[walk_log->len - 1] != '\n') printf("\n");
    printf("end %x\n", st);
    fflush(stdout);
    memset(walk_log->text, 0, walk_log->len);
  }
}
#endif
