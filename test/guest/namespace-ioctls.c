// What nsfs tells of namespaces by ioctl: their numbers, mount namespaces one after another.
#include "guest.h"
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

struct info { uint32_t size, mounts; uint64_t id; };
#define GET_MNTNS_ID _IOR(0xb7, 5, uint64_t)
#define MNT_INFO _IOR(0xb7, 10, struct info)
#define MNT_NEXT _IOR(0xb7, 11, struct info)
#define MNT_PREV _IOR(0xb7, 12, struct info)
#define GET_ID _IOR(0xb7, 13, uint64_t)
static const char *const kinds[] = {"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"};
enum { KINDS = sizeof kinds / sizeof *kinds };

static int handle(const char *kind) {
  char path[40];
  snprintf(path, sizeof path, "/proc/self/ns/%s", kind);
  return open(path, O_RDONLY | O_CLOEXEC);
}

static void numbers(void) {
  uint64_t ids[KINDS] = {0}, again, new;
  int fds[KINDS];
  for (int i = 0; i < KINDS; i++) {
    fds[i] = handle(kinds[i]);
    ret(kinds[i], ioctl(fds[i], GET_ID, &ids[i]));
    int other = handle(kinds[i]);
    ioctl(other, GET_ID, &again);
    is("the same of another handle", again == ids[i] && ids[i] != 0);
    close(other);
    for (int j = 0; j < i; j++)
      if (ids[i] == ids[j]) say("%s and %s have one number", kinds[i], kinds[j]);
  }
  ret("to nowhere", ioctl(fds[0], GET_ID, BAD_PTR));
  ret("mount namespace's", ioctl(fds[2], GET_MNTNS_ID, &again));
  is("is its number", again == ids[2]);
  ret("mount number of others", ioctl(fds[3], GET_MNTNS_ID, &again));
  ret("unshare", unshare(CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNS));
  for (int i = 1; i < KINDS; i++) {
    int fd = handle(kinds[i]);
    ioctl(fd, GET_ID, &new);
    say("%s %s", kinds[i], new == ids[i] ? "stays" : new > ids[i] ? "greater" : "less");
    close(fd);
  }
  for (int i = 0; i < KINDS; i++) close(fds[i]);
}

static void told(const char *name, int fd, unsigned long cmd, void *p) {
  long r = ioctl(fd, cmd, p);
  if (r > 0) close(r), say("%s succeeds", name);
  else ret(name, r);
}

static void sizes(void) {
  struct { struct info i; uint64_t more; } s;
  int mnt = handle("mnt"), uts = handle("uts");
  uint64_t id;
  ioctl(mnt, GET_ID, &id);
  memset(&s, 0x55, sizeof s);
  told("info", mnt, MNT_INFO, &s);
  is("its number", s.i.id == id);
  is("counted", s.i.mounts > 0 && s.i.mounts < 10000);
  say("size %u, beyond it %s", s.i.size, s.more == 0x5555555555555555 ? "untouched" : "written");
  memset(&s, 0x55, sizeof s);
  told("larger info", mnt, _IOR(0xb7, 10, s), &s);
  say("size %u, beyond it %s", s.i.size, s.more == 0x5555555555555555 ? "untouched" : "written");
  told("smaller info", mnt, _IOR(0xb7, 10, uint64_t), &s);
  told("info without size", mnt, _IO(0xb7, 10), &s);
  told("info the other way", mnt, _IOW(0xb7, 10, struct info), &s);
  told("info both ways", mnt, _IOWR(0xb7, 10, struct info), &s);
  told("info of another type", mnt, _IOR(0xb8, 10, struct info), &s);
  told("info to nowhere", mnt, MNT_INFO, BAD_PTR);
  told("info without address", mnt, MNT_INFO, NULL);
  told("info of another kind", uts, MNT_INFO, &s);
  told("next of another kind", uts, MNT_NEXT, &s);
  told("previous of another kind", uts, MNT_PREV, &s);
  told("smaller next", mnt, _IOR(0xb7, 11, uint64_t), &s);
  told("unknown", mnt, _IOR(0xb7, 99, uint64_t), &s);
  close(mnt), close(uts);
}

// How many mounts come and go.
static void counts(void) {
  struct info before, after;
  int mnt = handle("mnt");
  ioctl(mnt, MNT_INFO, &before);
  mkdir("m", 0700);
  mount("none", "m", "tmpfs", 0, NULL);
  ioctl(mnt, MNT_INFO, &after);
  say("one more: %d", (int)(after.mounts - before.mounts));
  umount("m");
  ioctl(mnt, MNT_INFO, &after);
  say("one less: %d", (int)(after.mounts - before.mounts));
  close(mnt);
}

// From the first of two new ones to the second and back. Others may be between them, made by others.
static void walk(void) {
  uint64_t ids[2];
  int fds[2];
  for (int i = 0; i < 2; i++) {
    unshare(CLONE_NEWNS);
    fds[i] = handle("mnt");
    ioctl(fds[i], GET_ID, &ids[i]);
  }
  for (int back = 0; back < 2; back++) {
    int at = fcntl(fds[back], F_DUPFD_CLOEXEC, 0), next, same = 1;
    struct info s = {0};
    while ((next = ioctl(at, back ? MNT_PREV : MNT_NEXT, &s)) >= 0) {
      uint64_t id;
      ioctl(next, GET_ID, &id);
      same &= id == s.id && s.size == 16 && ioctl(next, 0xb703) == CLONE_NEWNS && fcntl(next, F_GETFD) == FD_CLOEXEC;
      close(at), at = next;
      if (s.id == ids[!back]) break;
    }
    is(back ? "the previous one" : "the next one", same && s.id == ids[!back]);
    close(at);
  }
  told("next without address", fds[0], MNT_NEXT, NULL);
  told("next to nowhere", fds[0], MNT_NEXT, BAD_PTR);
  int at = fds[1], next, steps = 0;
  struct info s = {0}, last;
  while (last = s, steps++ < 10000 && (next = ioctl(at, MNT_NEXT, &s)) >= 0) close(at), at = next;
  is("the last one says so", next == -1 && errno == ENOENT);
  is("nothing was told then", memcmp(&s, &last, sizeof s) == 0);
}

// Without privilege over any of them.
static void powerless(void) {
  struct info s = {0};
  int mnt = handle("mnt");
  setresuid(1000, 1000, 1000);
  told("info", mnt, MNT_INFO, &s);
  told("next", mnt, MNT_NEXT, &s);
  told("next of another kind", handle("uts"), MNT_NEXT, &s);
  told("smaller next", mnt, _IOR(0xb7, 11, uint64_t), &s);
  told("previous", mnt, MNT_PREV, &s);
  unshare(CLONE_NEWUSER | CLONE_NEWNS);
  told("next in a user namespace", mnt, MNT_NEXT, &s);
  uint64_t id;
  ok("number", ioctl(mnt, GET_ID, &id));
}

static void nested_pids(void) {
  unshare(CLONE_NEWPID);
  pid_t pid = fork();
  if (pid == 0) {
    struct info s;
    int mnt = open("/proc/self/ns/mnt", O_RDONLY), one = handle("mnt");
    unshare(CLONE_NEWNS);
    told("next from a nested PID namespace", mnt < 0 ? one : mnt, MNT_NEXT, &s);
    _exit(0);
  }
  waitpid(pid, NULL, 0);
}

int main(void) {
  in_child("numbers", numbers);
  in_child("sizes", sizes);
  in_child("counts", counts);
  in_child("walk", walk);
  in_child("powerless", powerless);
  in_child("nested", nested_pids);
  return 0;
}
