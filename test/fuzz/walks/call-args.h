// Arguments of the calls of calls.c. A kind is a letter of the strings in call-table.h; what is chosen is printed by a name.
#ifndef CALL_ARGS_H
#define CALL_ARGS_H
#include "call-lists.h"
#include "call-structs.h"
#include <poll.h>

static long directory(void) {
  if (one_in(3)) return descriptor();
  if (one_in(3)) { out("dir"); return world_fds[5].fd; }
  out("AT_FDCWD");
  return narrow(AT_FDCWD);
}
static long process(void) {
  switch (below(12)) {
    case 0 ... 2: out("0"); return 0;
    case 3 ... 4: out("self"); return narrow(getpid());
    case 5 ... 6: out("stopped"); return narrow(stopped);
    case 7: out("zombie"); return zombie;
    case 8: out("none"); return 4000000;
    case 9: out("-self"); return -getpid();
    case 10: out("INT_MIN"); return narrow(-0x80000000L);
    default: out("INT_MAX"); return 0x7fffffff;
  }
}

static long text(int i, const char *const *of, int n) {
  const char *s = of[below(n)];
  long p = put(i, s, strlen(s) + 1);
  out("\"%s\"", s);
  return p;
}

static long path(int i) {
  static char longer[PAGE];
  if (one_in(40)) {
    int n = PICK(255, 256, 300), slashes = one_in(2);
    for (int k = 0; k < n; k++) longer[k] = slashes && k % 2 ? '/' : 'd';
    longer[n] = 0, out("name of %d%s ", n, slashes ? " /" : "");
    return put(i, longer, n + 1);
  }
  return text(i, paths, sizeof paths / sizeof *paths);
}

static struct timespec time_of(void) {
  struct timespec t = {PICK(0, 0, 0, 0, 0, -1, 1L << 62, 0), PICK(0, 0, 1, 1, 1000, 999999999, 1000000000, -1)};
  if (t.tv_sec != 0) t.tv_nsec = PICK(0, -1, 1000000000);
  if (t.tv_nsec == 999999999) t.tv_nsec = 999;
  out("%ld.%ld ", t.tv_sec, t.tv_nsec);
  return t;
}

static long words(int i) {
  long w[16];
  int n = PICK(1, 2, 4, 8, 16), small = one_in(2);
  out("{");
  for (int k = 0; k < n; k++) {
    w[k] = small ? PICK(0, 0, 1, 2, 8, 64) : PICK(0, 0, 0, 1, -1, 1L << below(64), below(40), below(40) | (long)below(40) << 32, 4096);
    out(k ? " %lx" : "%lx", w[k]);
  }
  out("}");
  return put(i, w, 8 * n);
}

static void vectors(struct iovec *v, int n) {
  for (int k = 0; k < n; k++) {
    switch (below(8)) {
      case 0: v[k] = (struct iovec){NULL, PICK(0, 1, -1)}; break;
      case 1: v[k] = (struct iovec){data_page + PAGE - 16, PICK(16, 17, 32)}; break;
      case 2: v[k] = (struct iovec){data_page + 256, PICK(0, -1, 1UL << 63, 0x7fffffff)}; break;
      default: v[k] = (struct iovec){data_page + 512 * k, PICK(1, 8, 100, 400)}; break;
    }
    out("%s%ld", k ? " " : "", (long)v[k].iov_len);
    if (v[k].iov_base == NULL) out("@0");
    else if (v[k].iov_base == data_page + PAGE - 16) out("@end");
  }
}

static int address(char *to) {
  memset(to, 0, 128);
  switch (below(9)) {
    case 0: ((struct sockaddr_un *)to)->sun_family = AF_UNIX, strcpy(to + 2, "sock"), out("unix:sock"); return 110;
    case 1: ((struct sockaddr_un *)to)->sun_family = AF_UNIX, strcpy(to + 2, "none"), out("unix:none"); return 7;
    case 2: ((struct sockaddr_un *)to)->sun_family = AF_UNIX, to[3] = 'n', out("unix:@n"); return 4;
    case 3: ((struct sockaddr_un *)to)->sun_family = AF_UNIX, out("unix:"); return 2;
    case 4: case 5: *(struct sockaddr_in *)to = loopback(one_in(2) ? 4000 : 4001), out("inet"); return 16;
    case 6: ((struct sockaddr_in6 *)to)->sin6_family = AF_INET6, to[23] = 1, to[2] = 15, out("inet6"); return 28;
    case 7: *(short *)to = AF_NETLINK, out("netlink"); return 12;
    default: *(short *)to = PICK(0, 40, -1), out("family %d", *(short *)to); return 16;
  }
}

static long message(int i) {
  // Vectors, address and control data lie in a page that calls do not get as an argument.
  struct iovec *v = (void *)(data_page + 2048);
  struct cmsghdr *c = (void *)(data_page + 2560);
  int n = PICK(0, 1, 2, 3);
  out("{");
  vectors(v, n);
  int len = address(data_page + 2304), named = one_in(3), control = one_in(3);
  struct msghdr h = {named ? data_page + 2304 : NULL, named ? PICK(len, len, len, 0, 1, -1, 200) : 0, v, one_in(10) ? PICK(1025, -1) : n, 0, 0, PICK(0, 0, -1)};
  if (control) {
    c->cmsg_len = PICK(20, 20, 16, 24, 28, 15, 0, -1), c->cmsg_level = PICK(1, 1, 1, 0, 41, 270), c->cmsg_type = PICK(1, 1, 2, 3, 8, 20);
    ((int *)CMSG_DATA(c))[0] = PICK(20, 30, 19, -1), ((int *)CMSG_DATA(c))[1] = 20, ((int *)CMSG_DATA(c))[2] = 0;
    h.msg_control = c, h.msg_controllen = PICK(24, 24, 20, 16, 32, 15, 4, 0, -1);
    out(" control %ld: %ld %d %d %d", (long)h.msg_controllen, (long)c->cmsg_len, c->cmsg_level, c->cmsg_type, ((int *)CMSG_DATA(c))[0]);
  }
  out(" name %d count %ld}", (int)h.msg_namelen, (long)h.msg_iovlen);
  return PUT(i, h);
}

static long listed(char kind) {
  for (int k = 0; k < sizeof lists / sizeof *lists; k++) {
    if (lists[k].kind != kind) continue;
    long v = lists[k].values[below(lists[k].count)];
    int odd = lists[k].wide == FIXED ? 9 : below(24);
    if (odd == 0) v = 1L << below(32);
    if (odd == 1) v = below(70);
    out(v < 1000 && v > -1000 ? "%ld" : "%#lx", v);
    return lists[k].wide == 1 ? v : narrow(v);
  }
  out("?%c", kind);
  return 0;
}

static long flag_bits(void) {
  long f = 0;
  for (unsigned n = PICK(0, 0, 0, 1, 1, 2); n > 0; n--) f |= 1L << below(PICK(4, 8, 16, 32));
  if (one_in(20)) f = PICK(0xffffffff, -1, 0x7fffffff);
  out("%#lx", f);
  return narrow(f);
}

static long argument(char kind, int i) {
  char buf[256];
  switch (kind) {
    case '0': out("0"); return 0;
    case 'f': return descriptor();
    case 'd': return directory();
    case 'w': return process();
    case 's': return path(i);
    case 'n': return text(i, names, sizeof names / sizeof *names);
    case '+': return text(i, types, sizeof types / sizeof *types);
    case 'b': memset(buf, 'b', 200), out("data "); return put(i, buf, 200);
    case 'v': volatile_output[i] = 1; // falls through
    case 'o': { int n = PICK(4, 8, 16, 64, 144); out("out%d ", n); return put(i, NULL, n); }
    case 'y': volatile_output[i] = 1; // falls through
    case 'x': return words(i);
    case 'F': return flag_bits();
    case 't': { struct timespec t = time_of(); volatile_output[i] = 1; return PUT(i, t); }
    case 'T': { struct timespec t[2]; t[0] = time_of(), t[1] = time_of(); return PUT(i, t); }
    case 'q': { long set = PICK(0, -1, 1L << below(64), 0x4000); out("set %lx ", set); return PUT(i, set); }
    case 'k': { int n = PICK(0, 1, 2, 3, 4, 8, 12, 16, 28, 110, 128, 1000, -1, 0x7fffffff); out("len %d ", n); return PUT(i, n); }
    case 'V': { struct iovec v[4]; int n = sizeof v / sizeof *v; out("["), vectors(v, n), out("] "); return put(i, v, sizeof v); }
    case 'H': return message(i);
    case 'a': { int n = address(buf); out(" "); return put(i, buf, n); }
    case 'e': {
      struct flock l = {PICK(0, 1, 2, 2, 3, -1), PICK(0, 0, 1, 2, 3), PICK(0, 10, -1, -20, 1L << 62, 0x7fffffffffffffff), PICK(0, 0, 5, -5, 0x7fffffffffffffff), PICK(0, 0, 0, 1)};
      out("lock %d %d %ld %ld %d ", l.l_type, l.l_whence, l.l_start, l.l_len, l.l_pid);
      return PUT(i, l);
    }
    case 'E': {
      struct epoll_event e = {PICK(1, 4, 5, 0, 1u << 31 | 1, 1 << 30, 1u << 28 | 1, 1u << 29 | 1, 0xffffffff), {.u64 = 7}};
      out("events %x ", e.events);
      return PUT(i, e);
    }
    case 'p': {
      struct pollfd p[4];
      for (int k = 0; k < 4; k++) p[k].fd = descriptor(), p[k].events = PICK(1, 4, 5, 0, 0x3f, -1), p[k].revents = 9, out(":%x ", p[k].events);
      return PUT(i, p);
    }
    case 'A': {
      int page = below(18) - 1, odd = one_in(12);
      if (one_in(20)) { out("NULL"); return 0; }
      if (one_in(30)) { long a = PICK(0xffff888000000000, -1, -4096, 0x7ffffffff000, 0x8000000000000000); out("%lx", a); return a; }
      out("page %d%s", page, odd ? " odd" : "");
      return (long)playground + page * PAGE + odd;
    }
    case ']': return size_of_struct();
    case '$': return open_how(i);
    case '[': return mount_attr(i);
    case '{': volatile_output[i + 1] = 1; return mount_query(i);
    case '_': return clone_args(i);
    case ':': return aio_context();
    case '|': return control_blocks(i);
    case '/': return signal_event(i);
    case ';': return queue_attr(i);
    case '^': return program(i);
    case '`': return cap_header(i);
    case '}': return cap_data(i);
    case '\'': return sched_attr(i);
    case 'G': return descriptor_of((const char *const[]){"context", "mount_", NULL});
    case '.': return descriptor_of((const char *const[]){"pidfd", NULL});
    case ',': return descriptor_of((const char *const[]){"timerfd", "eventfd", "signalfd", "inotify", "epoll", NULL});
    case '"': return descriptor_of((const char *const[]){"memfd", NULL});
    case '\\': return descriptor_of((const char *const[]){"ns_", "pidfd", NULL});
    case 'J': return text(i, settings, sizeof settings / sizeof *settings);
    case '>': return text(i, values, sizeof values / sizeof *values);
    default: return listed(kind);
  }
}
#endif
