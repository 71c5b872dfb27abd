// Operations on descriptors: copies, flags, locks, watches, pipes, memory files.
#include "world.h"
#include <linux/close_range.h>
#include <poll.h>

enum { WATCHER = SLOTS + 2, MEMFD = SLOTS + 3 };

static void op_dup(void) {
  int a = slot(), b = slot(), flags = one_in(3) ? O_CLOEXEC : 0;
  int to = below(3);
  if (to == 0) {
    say("s%d = fcntl(s%d, F_DUPFD%s)", b, a, flags ? "_CLOEXEC" : "");
    keep(b, result(fcntl(slots[a], flags ? F_DUPFD_CLOEXEC : F_DUPFD, 3)));
  } else if (to == 1 && slots[b] >= 0) say("dup3(s%d, s%d, %#x)", a, b, flags), result(dup3(slots[a], slots[b], flags));
  else say("s%d = dup(s%d)", b, a), keep(b, result(dup(slots[a])));
}

static void on_signal(int s) { (void)s; }

static void op_fcntl(void) {
  int s = slot();
  static const int bits[] = {O_APPEND, O_NONBLOCK | O_APPEND, O_NOATIME, O_DIRECT, O_ASYNC, O_SYNC, O_NONBLOCK, 0};
  int fl = PICK(bits) | O_NONBLOCK, fd = one_in(2);
  static const int sizes[] = {65536, 65537, 1 << 17, 1 << 20};
  int size = PICK(sizes), seals = below(64), notify = 1 << below(6), uint = below(7), t = slot();
  switch (below(16)) {
    case 11: say("fcntl(s%d, F_DUPFD_QUERY, s%d)", s, t), result(fcntl(slots[s], 1027, slots[t])); break;
    case 12: say("fcntl(s%d, F_CREATED_QUERY)", s), result(fcntl(slots[s], 1028)); break;
    case 13: {
      unsigned from = slots[s], to = slots[t], how = one_in(8) ? 1 << below(4) : CLOSE_RANGE_CLOEXEC;
      if (how != CLOSE_RANGE_CLOEXEC && how != CLOSE_RANGE_UNSHARE << 1) how = CLOSE_RANGE_CLOEXEC;
      say("close_range(s%d, s%d, %u)", s, t, how);
      if (to > PRIVATE_FDS) to = PRIVATE_FDS - 1;
      result(close_range(from, to, how));
      break;
    }
    case 14: {
      long hint = 0, r = fcntl(slots[s], F_GET_RW_HINT, &hint);
      int e = errno;
      say("fcntl(s%d, F_GET_RW_HINT) %ld", s, hint), errno = e, result(r);
      break;
    }
    case 0: case 1: say("fcntl(s%d, F_SETFL, %#x)", s, fl), result(fcntl(slots[s], F_SETFL, fl)); break;
    case 2: say("fcntl(s%d, F_GETFL)", s), result(fcntl(slots[s], F_GETFL)); break;
    case 3: say("fcntl(s%d, F_SETFD, %d)", s, fd), result(fcntl(slots[s], F_SETFD, fd)); break;
    case 4: s = SLOTS + below(2), say("fcntl(s%d, F_SETPIPE_SZ, %d)", s, size), result(fcntl(slots[s], F_SETPIPE_SZ, size)); break;
    case 5: say("fcntl(s%d, F_GETPIPE_SZ)", s), result(fcntl(slots[s], F_GETPIPE_SZ)); break;
    case 6: s = SLOTS + 3, say("fcntl(s%d, F_ADD_SEALS, %#x)", s, seals), result(fcntl(slots[s], F_ADD_SEALS, seals)); break;
    case 7:
      if (kind == ROOT) s = MEMFD;
      say("fcntl(s%d, F_GET_SEALS)", s), result(fcntl(slots[s], F_GET_SEALS)); break;
    case 8: s = dir_slot(), say("fcntl(s%d, F_NOTIFY, %#x)", s, notify), result(fcntl(slots[s], F_NOTIFY, notify)); break;
    case 9: {
      long hint = uint;
      say("fcntl(s%d, F_SET_RW_HINT, %ld)", s, hint), result(fcntl(slots[s], F_SET_RW_HINT, &hint));
      break;
    }
    case 10: say("fcntl(s%d, F_GETLEASE)", s), result(fcntl(slots[s], F_GETLEASE)); break;
    default: {
      // A lease that nobody breaks: it goes with the same call, and signals would come at others' times.
      static const int types[] = {F_RDLCK, F_WRLCK, F_UNLCK};
      int type = PICK(types);
      say("fcntl(s%d, F_SETLEASE, %d)", s, type);
      if (result(fcntl(slots[s], F_SETLEASE, type)) == 0) fcntl(slots[s], F_SETLEASE, F_UNLCK);
    }
  }
}

static void op_lock(void) {
  int s = file_slot(), cmd = below(5), whence = below(3);
  static const long starts[] = {0, 0, 10, 100, 4096};
  struct flock l = {.l_type = below(3), .l_whence = whence, .l_start = PICK(starts), .l_len = one_in(3) ? 0 : (long)below(200) - 20};
  int ops[] = {LOCK_SH, LOCK_EX, LOCK_UN}, op = PICK(ops);
  static const int cmds[] = {F_SETLK, F_GETLK, F_OFD_SETLK, F_OFD_GETLK};
  if (cmd == 4) return (void)(say("flock(s%d, %d)", s, op), result(flock(slots[s], op | LOCK_NB)));
  say("fcntl(s%d, %s, type %d whence %d %ld +%ld)", s, (const char *[]){"SETLK", "GETLK", "OFD_SETLK", "OFD_GETLK"}[cmd], l.l_type, whence, l.l_start, l.l_len);
  long r = fcntl(slots[s], cmds[cmd], &l);
  int e = errno;
  if (r == 0 && (cmd & 1)) say(" type %d whence %d %ld +%ld %s", l.l_type, l.l_whence, l.l_start, l.l_len, l.l_pid < 0 ? "ofd" : l.l_pid == 0 ? "none" : l.l_pid == getpid() ? "me" : "other");
  errno = e;
  result(r);
}

static const struct flag watch_flags[] = {{"ACCESS", IN_ACCESS}, {"MODIFY", IN_MODIFY}, {"ATTRIB", IN_ATTRIB},
    {"CLOSE_WRITE", IN_CLOSE_WRITE}, {"CLOSE_NOWRITE", IN_CLOSE_NOWRITE}, {"OPEN", IN_OPEN}, {"MOVED_FROM", IN_MOVED_FROM},
    {"MOVED_TO", IN_MOVED_TO}, {"CREATE", IN_CREATE}, {"DELETE", IN_DELETE}, {"DELETE_SELF", IN_DELETE_SELF},
    {"MOVE_SELF", IN_MOVE_SELF}, {"UNMOUNT", IN_UNMOUNT}, {"Q_OVERFLOW", IN_Q_OVERFLOW}, {"IGNORED", IN_IGNORED},
    {"ISDIR", IN_ISDIR}, {"ONLYDIR", IN_ONLYDIR}, {"DONT_FOLLOW", IN_DONT_FOLLOW}, {"EXCL_UNLINK", IN_EXCL_UNLINK},
    {"MASK_ADD", IN_MASK_ADD}, {"MASK_CREATE", IN_MASK_CREATE}, {"ONESHOT", IN_ONESHOT}, {NULL, 0}};

static void op_watch(void) {
  const char *p = path();
  unsigned mask = one_in(2) ? IN_ALL_EVENTS : (unsigned)rnd() & IN_ALL_EVENTS;
  static const unsigned more[] = {0, 0, 0, IN_ONLYDIR, IN_DONT_FOLLOW, IN_EXCL_UNLINK, IN_MASK_ADD, IN_MASK_CREATE, IN_ONESHOT};
  mask |= PICK(more);
  // What an overlay's file is mapped from is not the open file: it is closed before the mapping ends.
  if (kind == OVERLAY) mask &= ~IN_CLOSE;
  int wd = 1 + below(6);
  if (slots[WATCHER] < 0) keep(WATCHER, inotify_init1(IN_NONBLOCK));
  if (one_in(8)) return (void)(say("inotify_rm_watch(%d)", wd), result(inotify_rm_watch(slots[WATCHER], wd)));
  say("inotify_add_watch(%s, ", p), say_flags(watch_flags, mask), say(")");
  result(inotify_add_watch(slots[WATCHER], p, mask));
}

static void say_events(void) {
  static uint32_t cookies[2];
  char b[8192] __attribute__((aligned(8)));
  long n;
  while ((n = read(slots[WATCHER], b, sizeof b)) > 0)
    for (long i = 0; i < n;) {
      struct inotify_event *e = (void *)(b + i);
      int fresh = e->cookie != 0 && e->cookie != cookies[0];
      if (fresh) cookies[0] = e->cookie, cookies[1]++;
      say("  event %d ", e->wd), say_flags(watch_flags, e->mask);
      // Files without a name are told by their number.
      say(" \"%s\"%s\n", e->len == 0 ? "" : e->name[0] == '#' ? "#" : e->name, e->cookie == 0 ? "" : fresh ? " new cookie" : " same cookie");
      i += sizeof *e + e->len;
    }
}

static void op_pipe(void) {
  int two[2], flags = O_NONBLOCK | (one_in(4) ? O_DIRECT : 0);
  if (one_in(2)) {
    unsigned f = below(16);
    say("s%d = memfd_create(%#x)", MEMFD, f);
    keep(MEMFD, result(memfd_create("memory", f & ~4u)));
    return;
  }
  say("s%d, s%d = pipe2(%#x)", SLOTS, SLOTS + 1, flags);
  if (result(pipe2(two, flags)) < 0) return;
  keep(SLOTS, two[0]), keep(SLOTS + 1, two[1]);
}

static void op_pipe_data(void) {
  static char more[65536];
  size_t n = some_data() % 50000;
  switch (below(5)) {
    // A full pipe counts pages on Linux, bytes in the sandbox: it never is.
    case 0: while (read(slots[SLOTS], more, sizeof more) > 0) {}
      say("write(pipe, %zu)", n), result(write(slots[SLOTS + 1], data, n)); break;
    case 1: memset(data, 0, n), say("read(pipe, %zu)", n), say_read(read(slots[SLOTS], data, n), data); break;
    case 2: {
      int s = SLOTS + below(2), u = SLOTS + below(2);
      say("tee(s%d, s%d, %zu)", s, u, n), result(tee(slots[s], slots[u], n, SPLICE_F_NONBLOCK));
      break;
    }
    default: {
      int s = slot(), v = -1;
      struct pollfd p = {slots[s], POLLIN | POLLOUT | POLLPRI | POLLRDHUP, 0};
      long r = poll(&p, 1, 0);
      say("poll(s%d) %#x", s, p.revents), result(r);
      struct stat st;
      if (fstat(slots[s], &st) == 0 && S_ISDIR(st.st_mode)) return;
      say("  FIONREAD(s%d)", s);
      r = ioctl(slots[s], FIONREAD, &v);
      int e = errno;
      if (r == 0) say(" %d", v);
      errno = e, result(r);
    }
  }
}

static void op_bind(void) {
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  const char *p = path();
  strncpy(a.sun_path, p, sizeof a.sun_path - 1);
  int s = socket(AF_UNIX, SOCK_STREAM, 0), c = one_in(3);
  say("%s(%s)", c ? "connect" : "bind", p);
  result(c ? connect(s, (void *)&a, sizeof a) : bind(s, (void *)&a, sizeof a));
  close(s);
}
