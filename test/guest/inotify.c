// link: -w
// inotify: events of names and files, queues, one-shot watches.
#include "guest.h"
#include <poll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>

static int in;
static char buf[65536];

static void events(const char *name) {
  long n = read(in, buf, sizeof buf);
  printf("%s:", name);
  if (n < 0) printf(" %s", strerrorname_np(errno));
  for (long at = 0; at < n;) {
    struct inotify_event *e = (void *)(buf + at);
    printf(" [%d %x%s %s]", e->wd, e->mask, e->cookie ? " cookie" : "", e->len ? e->name : "-");
    at += sizeof *e + e->len;
  }
  printf("\n");
  fflush(stdout);
}

int main(void) {
  mkdir("d", 0700);
  ret("bad flags", inotify_init1(1));
  in = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  ok("init", in);
  events("none");
  ret("no bits", inotify_add_watch(in, "d", 0));
  ret("missing", inotify_add_watch(in, "nothing", IN_ALL_EVENTS));
  ret("bad fd", inotify_add_watch(1, "d", IN_ALL_EVENTS));
  ret("bad path", inotify_add_watch(in, BAD_PTR, IN_ALL_EVENTS));
  int d = inotify_add_watch(in, "d", IN_ALL_EVENTS);
  ret("directory", d);
  ret("same watch", inotify_add_watch(in, "d/.", IN_ALL_EVENTS));
  int f = open("d/f", O_CREAT | O_RDWR, 0600);
  events("create");
  write(f, "x", 1);
  write(f, "y", 1);
  events("modify is joined");
  pread(f, buf, 1, 0);
  events("access");
  close(f);
  events("close");
  f = open("d/f", O_RDONLY);
  close(f);
  events("read only");
  chmod("d/f", 0640);
  events("attrib");
  truncate("d/f", 0);
  events("truncate");
  rename("d/f", "d/g");
  events("rename");
  rename("d/g", "g");
  events("moved out");
  rename("g", "d/g");
  events("moved in");
  mkdir("d/sub", 0700);
  events("mkdir");
  rmdir("d/sub");
  events("rmdir");
  symlink("g", "d/l");
  link("d/g", "d/h");
  events("links");
  unlink("d/l");
  unlink("d/h");
  events("unlink");
  int g = inotify_add_watch(in, "d/g", IN_MODIFY | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF);
  ret("file", g);
  ret("mask add", inotify_add_watch(in, "d/g", IN_OPEN | IN_MASK_ADD));
  ret("mask create", inotify_add_watch(in, "d/g", IN_OPEN | IN_MASK_CREATE));
  ret("not a directory", inotify_add_watch(in, "d/g", IN_OPEN | IN_ONLYDIR));
  ret("quiet directory", inotify_add_watch(in, "d", IN_DELETE_SELF));
  f = open("d/g", O_RDWR);
  write(f, "x", 1);
  close(f);
  events("file watched");
  rename("d/g", "d/k");
  events("moved itself");
  unlink("d/k");
  events("deleted itself");
  ret("remove gone", inotify_rm_watch(in, g));
  int one = inotify_add_watch(in, "d", IN_CREATE | IN_ONESHOT);
  is("same", one == d);
  close(open("d/n", O_CREAT, 0600));
  close(open("d/o", O_CREAT, 0600));
  events("one-shot");
  ret("remove", inotify_rm_watch(in, one));
  d = inotify_add_watch(in, "d", IN_CREATE | IN_DELETE_SELF);
  ret("new number", d);
  mkdir("d/p", 0700);
  int n = 0;
  ret("fionread", ioctl(in, FIONREAD, &n));
  say("%d", n);
  ret("short", read(in, buf, 16));
  say("poll %d", poll(&(struct pollfd){in, POLLIN, 0}, 1, 0));
  events("created");
  say("poll %d", poll(&(struct pollfd){in, POLLIN, 0}, 1, 0));
  unlink("d/n"), unlink("d/o"), rmdir("d/p");
  rmdir("d");
  events("directory gone");
  mkdir("x", 0700);
  f = open("x/f", O_CREAT | O_RDWR, 0600);
  inotify_add_watch(in, "x", IN_MODIFY | IN_EXCL_UNLINK);
  inotify_add_watch(in, "x/f", IN_MODIFY | IN_CLOSE_WRITE | IN_EXCL_UNLINK);
  link("x/f", "linked");
  write(f, "x", 1);
  events("a name that is there");
  unlink("x/f");
  write(f, "x", 1);
  close(f);
  events("a name that is gone");
  close(open("linked", O_WRONLY));
  events("another name");
  unlink("linked");
  events("no name");
  // What is unlinked is gone with its last open file.
  mkdir("w", 0700);
  f = open("w/open", O_CREAT | O_RDWR, 0600);
  close(open("w/over", O_CREAT, 0600));
  close(open("w/new", O_CREAT, 0600));
  ret("only IN_MASK_CREATE", inotify_add_watch(in, "w", IN_MASK_CREATE));
  ret("once more", inotify_add_watch(in, "w", IN_MASK_CREATE | IN_CREATE));
  inotify_add_watch(in, "w", IN_ALL_EVENTS & ~IN_OPEN);
  inotify_add_watch(in, "w/open", IN_ALL_EVENTS & ~IN_OPEN);
  inotify_add_watch(in, "w/over", IN_ALL_EVENTS & ~IN_OPEN);
  unlink("w/open");
  events("unlinked while open");
  write(f, "x", 1);
  close(f);
  events("last close");
  rename("w/new", "w/over");
  events("replaced");
  f = open("w", O_RDONLY | O_DIRECTORY);
  unlink("w/over");
  rmdir("w");
  events("directory removed while open");
  close(f);
  events("last close of it");
  pid_t pid = fork();
  mkdir("e", 0700);
  if (pid == 0) {
    sleep_ms(30);
    mkdir("e/new", 0700);
    _exit(0);
  }
  inotify_add_watch(in, "e", IN_CREATE);
  fcntl(in, F_SETFL, 0);
  events("blocking");
  wait_say("child", pid);
  return 0;
}
