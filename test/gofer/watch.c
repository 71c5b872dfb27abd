// Watches what it is told on standard input to watch, and prints the events that it gets.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define CHANGES (IN_MODIFY | IN_ATTRIB | IN_CLOSE_WRITE | IN_MOVE | IN_CREATE | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF)

static const struct { unsigned bit; const char *name; } bits[] = {
    {IN_MODIFY, "modify"}, {IN_ATTRIB, "attrib"}, {IN_CLOSE_WRITE, "closew"}, {IN_MOVED_FROM, "from"},
    {IN_MOVED_TO, "to"}, {IN_CREATE, "create"}, {IN_DELETE, "delete"}, {IN_DELETE_SELF, "dself"},
    {IN_MOVE_SELF, "mself"}, {IN_UNMOUNT, "unmount"}, {IN_Q_OVERFLOW, "overflow"}, {IN_IGNORED, "ignored"},
    {IN_ISDIR, "isdir"},
};
static int in, quiet;
static unsigned cookie;

static void print(struct inotify_event *e) {
  printf("%d", e->wd);
  unsigned left = e->mask;
  for (unsigned i = 0; i < sizeof bits / sizeof *bits; i++)
    if (e->mask & bits[i].bit) printf(" %s", bits[i].name), left &= ~bits[i].bit;
  if (left) printf(" %x", left);
  if (e->len) printf(" %s", e->name);
  if (e->cookie) printf(e->cookie == cookie ? " =" : " *"), cookie = e->cookie;
  printf("\n");
}

// Reads what is there; with a name until an event of it has come, with "" until events were lost.
static void events(const char *until) {
  static char buf[1 << 16];
  for (int found = 0; !found;) {
    if (until) poll(&(struct pollfd){in, POLLIN, 0}, 1, -1);
    long n = read(in, buf, sizeof buf);
    if (n < 0) return;
    for (long at = 0; at < n;) {
      struct inotify_event *e = (void *)(buf + at);
      if (!quiet) print(e);
      if (until && !(*until ? e->len && strcmp(e->name, until) : !(e->mask & IN_Q_OVERFLOW))) found = 1;
      at += sizeof *e + e->len;
    }
  }
}

int main(void) {
  char line[4096];
  int file = -1;
  in = inotify_init1(IN_NONBLOCK);
  while (fgets(line, sizeof line, stdin)) {
    line[strcspn(line, "\n")] = 0;
    char *arg = strchr(line, ' ');
    if (arg) *arg++ = 0;
    if (!strcmp(line, "add")) {
      int wd = inotify_add_watch(in, arg, CHANGES);
      printf("add %s: %s\n", arg, wd < 0 ? strerrorname_np(errno) : "watched");
    }
    if (!strcmp(line, "rm")) inotify_rm_watch(in, atoi(arg));
    if (!strcmp(line, "now")) events(NULL);
    if (!strcmp(line, "until")) events(arg);
    if (!strcmp(line, "lost")) quiet = 1, events(""), quiet = 0, printf("lost\n");
    if (!strcmp(line, "sh")) system(arg);
    if (!strcmp(line, "open")) file = open(arg, O_RDWR);
    if (!strcmp(line, "close")) close(file);
    printf(".\n");
    fflush(stdout);
  }
}
