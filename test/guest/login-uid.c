// /proc/PID/loginuid and sessionid as pam_loginuid(8) uses them: set once by anybody, again with CAP_AUDIT_CONTROL only,
// inherited by children and threads. Runs as root; whatever the machine's login has set is taken back first.
#include "guest.h"
#include <pthread.h>

static void show(const char *when) {
  char buf[40] = "";
  int fd = open("/proc/thread-self/loginuid", O_RDONLY);
  long n = read(fd, buf, sizeof buf - 1);
  close(fd);
  say("%s: %s, %ld bytes", when, buf, n);
}

static long session(void) {
  char buf[40] = "";
  int fd = open("/proc/thread-self/sessionid", O_RDONLY);
  if (read(fd, buf, sizeof buf - 1) < 0) say("sessionid: %s", strerrorname_np(errno));
  close(fd);
  return strtol(buf, NULL, 10);
}

static void put_at(const char *path, const char *text, size_t size, long at) {
  char what[160];
  int fd = open(path, O_WRONLY);
  snprintf(what, sizeof what, "\"%.*s\" at %ld", (int)strcspn(text, "\n"), text, at);
  if (fd < 0) say("%s: open %s", what, strerrorname_np(errno));
  else ret(what, pwrite(fd, text, size, at));
  close(fd);
}

static void put(const char *text) { put_at("/proc/thread-self/loginuid", text, strlen(text), 0); }

static void *thread(void *arg) {
  show("a thread inherits");
  put("2003");
  show("and sets its own");
  // The files of /proc/self are the first thread's.
  put_at("/proc/self/loginuid", "2004", 4, 0);
  return arg;
}

// The file is opened before privileges go: afterwards the process is not its owner.
static void unprivileged(const char *when) {
  pid_t pid = fork();
  if (pid == 0) {
    int fd = open("/proc/self/loginuid", O_WRONLY);
    if (setresgid(1000, 1000, 1000) || setresuid(1000, 1000, 1000)) _exit(1);
    show(when);
    ok("opening", open("/proc/self/loginuid", O_WRONLY));
    ret("setting", pwrite(fd, "2005", 4, 0));
    ret("again", pwrite(fd, "2006", 4, 0));
    ret("taking back", pwrite(fd, "4294967295", 10, 0));
    show(when);
    _exit(0);
  }
  wait_say(when, pid);
}

int main(void) {
  put("4294967295");
  show("taken back");
  is("no session", session() == 4294967295);
  const char *bad[] = {"x", "", "-1", "1 ", " 1", "0x1", "4294967296", "99999999999999999999999999", "1\n\n", "+", "1x"};
  for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) put(bad[i]);
  put_at("/proc/thread-self/loginuid", "1", 1, 1);
  show("still");
  put("2000\n");
  show("set");
  long first = session();
  is("a session", first != 4294967295);
  put("+2001");
  show("set again");
  long second = session();
  is("another session", second != first && second != 4294967295);
  unprivileged("unprivileged, set");
  pid_t pid = fork();
  if (pid == 0) {
    show("a child inherits");
    is("with the session", session() == second);
    put("2002");
    show("and sets its own");
    char path[60];
    snprintf(path, sizeof path, "/proc/%d/loginuid", getppid());
    put_at(path, "2006", 4, 0);
    put_at(path, "x", 1, 1);
    _exit(0);
  }
  wait_say("child", pid);
  show("the parent's is its own");
  pthread_t t;
  pthread_create(&t, NULL, thread, NULL);
  pthread_join(t, NULL);
  show("after the thread");
  put("4294967295");
  unprivileged("unprivileged, not set");
  return 0;
}
