// /proc/sys/net of a network namespace of its own: an interface's directories, and what is set for all at once. /proc/sys/user.
#include "guest.h"
#include <dirent.h>
#include <sched.h>

static const char *value(const char *name) {
  static char buf[100];
  char path[200];
  snprintf(path, sizeof path, "/proc/sys/net/%s", name);
  int f = open(path, O_RDONLY);
  if (f < 0) return strerrorname_np(errno);
  long n = read(f, buf, sizeof buf - 1);
  close(f);
  if (n < 0) return strerrorname_np(errno);
  buf[n > 0 && buf[n - 1] == '\n' ? n - 1 : n] = 0;
  return buf;
}

static void set(const char *name, const char *to) {
  char path[200];
  snprintf(path, sizeof path, "/proc/sys/net/%s", name);
  int f = open(path, O_WRONLY);
  long n = write(f, to, strlen(to));
  say("%s = %s: %s", name, to, f < 0 || n < 0 ? strerrorname_np(errno) : "done");
  close(f);
}

static void show(const char *name) { say("  %s is %s", name, value(name)); }

static void forwarding(const char *family) {
  static const char *places[] = {"all", "default", "lo"};
  char name[60];
  for (int i = 0; i < 3; i++) sprintf(name, "%s/conf/%s/forwarding", family, places[i]), show(name);
}

static void list(const char *path) {
  DIR *d = opendir(path);
  int all = 0, def = 0, lo = 0;
  for (struct dirent *e; d && (e = readdir(d));) {
    if (e->d_name[0] == '.') continue;
    if (!strcmp(e->d_name, "all")) all += e->d_type == DT_DIR;
    else if (!strcmp(e->d_name, "default")) def += e->d_type == DT_DIR;
    else if (!strcmp(e->d_name, "lo")) lo += e->d_type == DT_DIR;

  }
  if (d) closedir(d);
  // What else there is depends on the kernel: some have tunnels built in.
  say("%s: %d %d %d", path, all, def, lo);

}

// What users may have is read-only without CAP_SYS_RESOURCE, for root as well. Nothing is opened for writing.
static void limits_of_users(void) {
  const char *path = "/proc/sys/user/max_user_namespaces";
  struct stat st;
  ret("stat", stat(path, &st)), say("%o %d", st.st_mode, (int)st.st_uid);
  struct { unsigned version; int pid; } h = {0x20080522, 0};
  struct { unsigned effective, permitted, inheritable; } d[2];
  syscall(SYS_capget, &h, d);
  ret("read", access(path, R_OK)), ret("run", access(path, X_OK));
  d[0].effective &= ~(1u << 24);
  d[0].permitted &= ~(1u << 24);
  ret("drop", syscall(SYS_capset, &h, d));
  ret("read", access(path, R_OK)), ret("write", access(path, W_OK)), ret("run", access(path, X_OK));
  ret("open", open(path, O_RDWR));
}

int main(void) {
  pid_t p = fork();
  if (p == 0) limits_of_users(), _exit(0);
  wait_say("limits", p);
  if (unshare(CLONE_NEWNET) != 0) return say("no namespace"), 0;
  list("/proc/sys/net/ipv4/conf");
  list("/proc/sys/net/ipv6/conf");
  ret("no such interface", open("/proc/sys/net/ipv4/conf/none/forwarding", O_RDONLY));
  ret("made", mkdir("/proc/sys/net/ipv4/conf/none", 0700));
  struct stat st;
  ret("stat", stat("/proc/sys/net/ipv4/conf/lo", &st)), say("%o", st.st_mode);
  ret("stat", stat("/proc/sys/net/ipv4/conf/lo/forwarding", &st)), say("%o %ld", st.st_mode, (long)st.st_size);
  set("ipv4/ip_forward", "0");
  forwarding("ipv4");
  set("ipv4/ip_forward", "1");
  forwarding("ipv4");
  set("ipv4/conf/lo/forwarding", "0");
  show("ipv4/ip_forward");
  forwarding("ipv4");
  set("ipv4/conf/all/forwarding", "1");
  forwarding("ipv4");
  set("ipv4/conf/all/forwarding", "0");
  show("ipv4/ip_forward");
  set("ipv6/conf/lo/forwarding", "1");
  forwarding("ipv6");
  set("ipv6/conf/all/forwarding", "1");
  forwarding("ipv6");
  set("ipv6/conf/all/forwarding", "0");
  forwarding("ipv6");
  set("ipv4/conf/lo/rp_filter", "2");
  set("ipv4/conf/lo/rp_filter", "x");
  show("ipv4/conf/lo/rp_filter");
  show("ipv4/conf/lo/disable_policy");
  show("ipv4/conf/lo/disable_xfrm");
  set("ipv6/conf/lo/forwarding", "0");
  set("ipv6/conf/all/forwarding", "0");
  forwarding("ipv6");
  show("ipv6/conf/lo/mtu");
  show("ipv6/conf/lo/accept_dad");
  show("ipv6/conf/default/accept_dad");
  show("ipv6/conf/default/hop_limit");
  show("ipv4/neigh/lo/gc_stale_time");
  show("ipv4/neigh/lo/retrans_time_ms");
  show("ipv4/tcp_syn_retries");
  show("ipv4/tcp_synack_retries");
  show("ipv4/tcp_orphan_retries");
  show("ipv4/tcp_abort_on_overflow");
  show("ipv4/icmp_echo_ignore_broadcasts");
  show("ipv4/igmp_max_memberships");
  show("ipv4/ip_no_pmtu_disc");
  show("ipv4/route/min_pmtu");
  show("ipv6/route/min_adv_mss");
  show("ipv6/icmp/ratelimit");
  show("ipv4/none");
  set("ipv4/tcp_syn_retries", "4");
  show("ipv4/tcp_syn_retries");
  pid_t pid = fork();
  if (pid == 0) {
    unshare(CLONE_NEWNET);
    show("ipv4/tcp_syn_retries");
    show("ipv4/conf/lo/rp_filter");
    _exit(0);
  }
  wait_say("another namespace", pid);
  return 0;
}
