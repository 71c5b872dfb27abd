// The launcher's arguments; struct options (launcher.h) tells each.
#define _GNU_SOURCE
#include "launcher.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct options opt = {
    .uid = 65534, .gid = 65534, .log_fd = -1, .sentry_config_fd = -1, .gofer_config_fd = -1,
    .network_fd = -1, .create_fd = -1, .join_fd = -1, .gofer_link_fd = -1};

static const char *value_of(const char *arg, const char *key) {
  size_t n = strlen(key);
  return strncmp(arg, key, n) == 0 && arg[n] == '=' ? arg + n + 1 : NULL;
}

static int number(const char *text) {
  char *end;
  long n = strtol(text, &end, 10);
  if (*end || end == text || n < 0 || n > 0x7fffffff) die("not a number: %s", text);
  return n;
}

static void append(const char **list, int *count, int max, const char *value) {
  if (*count == max) die("too many arguments of one kind: %s", value);
  list[(*count)++] = value;
}

static void append_fd(int *list, int *count, int max, const char *value) {
  if (*count == max) die("too many descriptors of one kind: %s", value);
  list[(*count)++] = number(value);
}

static void parse_namespace(const char *value) {
  if (opt.njoined == MAX_NAMESPACES) die("too many namespaces");
  if (sscanf(value, "%d:%d", &opt.joined[opt.njoined].type, &opt.joined[opt.njoined].fd) != 2)
    die("not a namespace: %s", value);
  opt.njoined++;
}

static void parse_limit(const char *value) {
  if (opt.nrlimits == MAX_RLIMITS) die("too many limits");
  struct limit *l = &opt.rlimits[opt.nrlimits++];
  if (sscanf(value, "%d:%" SCNu64 ":%" SCNu64, &l->nr, &l->soft, &l->hard) != 3) die("not a limit: %s", value);
}

// argv's own place is written over: show_title().
static char *copy_of(const char *text) {
  char *copy = strdup(text);
  if (copy == NULL) die("no memory");
  return copy;
}

static void parse_idmap(char *value) {
  char *index = strsep(&value, ":"), *recursive = strsep(&value, ":"), *uids = strsep(&value, ":");
  if (value == NULL || number(index) >= MAX_EXPORTS) die("not a mapping of an export's ids");
  int i = number(index);
  opt.idmaps[i].recursive = *recursive == '1';
  opt.idmaps[i].uids = uids;
  opt.idmaps[i].gids = value;
}

static void parse_alone(char *value) {
  char *index = strsep(&value, ":");
  if (value == NULL || number(index) >= MAX_EXPORTS) die("not the flags of an export");
  opt.alone[number(index)] = value;
}

static void parse_overlay(char *value) {
  char *index = strsep(&value, ":");
  if (value == NULL || number(index) >= MAX_EXPORTS) die("not the overlay of an export");
  opt.overlays[number(index)] = value;
}

void parse_options(int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    const char *v, *arg = copy_of(argv[i]);
    if ((v = value_of(arg, "node"))) opt.node = v;
    else if ((v = value_of(arg, "dist"))) opt.dist = v;
    else if ((v = value_of(arg, "stub"))) opt.has_stub = strcmp(v, "1") == 0;
    else if ((v = value_of(arg, "uid"))) opt.uid = number(v);
    else if ((v = value_of(arg, "gid"))) opt.gid = number(v);
    else if ((v = value_of(arg, "net"))) {
      opt.host_network = strcmp(v, "host") == 0;
      opt.new_network = strcmp(v, "new") == 0;
    } else if ((v = value_of(arg, "netns"))) opt.network_fd = number(v);
    else if ((v = value_of(arg, "raw"))) opt.raw_sockets = strcmp(v, "1") == 0;
    else if ((v = value_of(arg, "terminal"))) opt.terminal = strcmp(v, "1") == 0;
    else if ((v = value_of(arg, "create"))) opt.create_fd = number(v);
    else if ((v = value_of(arg, "join"))) opt.join_fd = number(v);
    else if ((v = value_of(arg, "gofer-link"))) opt.gofer_link_fd = number(v);
    else if ((v = value_of(arg, "log"))) opt.log_fd = number(v);
    else if ((v = value_of(arg, "sentry-config"))) opt.sentry_config_fd = number(v);
    else if ((v = value_of(arg, "gofer-config"))) opt.gofer_config_fd = number(v);
    else if ((v = value_of(arg, "sentry-arg"))) append(opt.sentry_argv, &opt.sentry_argc, MAX_ARGS, v);
    else if ((v = value_of(arg, "gofer-arg"))) append(opt.gofer_argv, &opt.gofer_argc, MAX_ARGS, v);
    else if ((v = value_of(arg, "sentry-snapshot"))) opt.sentry_snapshot = v;
    else if ((v = value_of(arg, "gofer-snapshot"))) opt.gofer_snapshot = v;
    else if ((v = value_of(arg, "export"))) {
      if (strncmp(v, "ro:/", 4) != 0 && strncmp(v, "rw:/", 4) != 0) die("malformed export %s", v);
      append(opt.exports, &opt.nexports, MAX_EXPORTS, v);
    } else if ((v = value_of(arg, "idmap"))) {
      parse_idmap(copy_of(v));
    } else if ((v = value_of(arg, "alone"))) {
      parse_alone(copy_of(v));
    } else if ((v = value_of(arg, "overlay"))) {
      parse_overlay(copy_of(v));
    } else if ((v = value_of(arg, "donate"))) append_fd(opt.donated, &opt.ndonated, MAX_DONATED, v);
    else if ((v = value_of(arg, "join-procs"))) append_fd(opt.join_procs, &opt.njoin_procs, MAX_GROUPS, v);
    else if ((v = value_of(arg, "late-procs"))) append_fd(opt.late_procs, &opt.nlate_procs, MAX_GROUPS, v);
    else if ((v = value_of(arg, "guest-procs"))) append_fd(opt.guest_procs, &opt.nguest_procs, MAX_GROUPS, v);
    else if ((v = value_of(arg, "leave-procs"))) append_fd(opt.leave_procs, &opt.nleave_procs, MAX_GROUPS, v);
    else if ((v = value_of(arg, "title"))) append(opt.title, &opt.ntitle, MAX_ARGS, v);
    else if ((v = value_of(arg, "user"))) opt.user = v;
    else if ((v = value_of(arg, "cwd"))) opt.cwd = v;
    else if ((v = value_of(arg, "rlimit"))) parse_limit(v);
    else if ((v = value_of(arg, "new-ns"))) opt.new_namespaces = number(v);
    else if ((v = value_of(arg, "join-ns"))) parse_namespace(v);
    else if ((v = value_of(arg, "hostname"))) opt.hostname = v;
    else if ((v = value_of(arg, "domainname"))) opt.domainname = v;
    else if ((v = value_of(arg, "time-offsets"))) opt.time_offsets = v;
    else if ((v = value_of(arg, "root"))) opt.root = v;
    else if ((v = value_of(arg, "view"))) append(opt.view, &opt.nview, MAX_VIEW, v);
    else if ((v = value_of(arg, "rmdir"))) append(opt.rmdirs, &opt.nrmdirs, MAX_GROUPS, v);
    else die("launcher: unknown argument %s", arg);
  }
  if (!opt.node || !opt.dist) die("launcher: node= and dist= are needed");
}
