// System calls that a container does not get, asked without the capabilities that a container lacks; and calls that no
// Linux has any more.
#include "guest.h"
#include <linux/capability.h>
#include <linux/perf_event.h>
#include <sys/prctl.h>

#define T(name, ...) ret(name, syscall(__VA_ARGS__))

// What container engines leave to root by default.
static void drop(void) {
  struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct d[2] = {{0xa80425fb, 0xa80425fb, 0}, {0, 0, 0}};
  syscall(SYS_capset, &h, d);
}

static void gone(void) {
  T("uselib", SYS_uselib, "/bin/sh");
  T("_sysctl", SYS__sysctl, NULL);
  T("create_module", SYS_create_module, "x", 0);
  T("get_kernel_syms", SYS_get_kernel_syms, 0);
  T("query_module", SYS_query_module, 0);
  T("nfsservctl", SYS_nfsservctl, 0);
  T("getpmsg", SYS_getpmsg);
  T("putpmsg", SYS_putpmsg);
  T("afs_syscall", SYS_afs_syscall);
  T("tuxcall", SYS_tuxcall);
  T("security", SYS_security);
  T("set_thread_area", SYS_set_thread_area, 0);
  T("get_thread_area", SYS_get_thread_area, 0);
  T("lookup_dcookie", SYS_lookup_dcookie, 0L, 0, 0);
  T("epoll_ctl_old", SYS_epoll_ctl_old);
  T("epoll_wait_old", SYS_epoll_wait_old);
  T("vserver", SYS_vserver);
  T("a number far off", 1000);
}

static void privileged(void) {
  char buf[4096] = {0};
  T("acct off", SYS_acct, NULL);
  T("acct", SYS_acct, "/nowhere");
  T("swapon", SYS_swapon, "/nowhere", 0);
  T("swapoff", SYS_swapoff, "/nowhere");
  T("reboot", SYS_reboot, 0, 0, 0, 0);
  T("bpf prog", SYS_bpf, 5, buf, 64);
  T("userfaultfd", SYS_userfaultfd, 0);
  struct perf_event_attr pe = {.type = PERF_TYPE_SOFTWARE, .size = sizeof pe};
  T("perf_event_open", SYS_perf_event_open, &pe, 0, -1, -1, 0);
  T("fanotify_init", SYS_fanotify_init, 0, 0);
  struct timespec ts = {1, 0};
  T("settimeofday", SYS_settimeofday, &ts, NULL);
  T("clock_settime", SYS_clock_settime, 0, &ts);
  T("sethostname", SYS_sethostname, "x", 1);
  T("mount", SYS_mount, "none", "/", "tmpfs", 0, NULL);
  T("umount2", SYS_umount2, "/", 0);
  T("pivot_root", SYS_pivot_root, "/", "/");
  T("syslog", SYS_syslog, 5, NULL, 0);
  T("vhangup", SYS_vhangup);
  T("open_by_handle_at", SYS_open_by_handle_at, AT_FDCWD, buf, 0);
}

static void quotas(void) {
  char buf[256] = {0};
  T("quotactl without a device", SYS_quotactl, 0x80000700, NULL, 0, buf);
  T("quotactl sync", SYS_quotactl, 0x80000100, NULL, 0, NULL);
  T("quotactl type", SYS_quotactl, 0x80000703, NULL, 0, buf);
  T("quotactl no block device", SYS_quotactl, 0x80000700, "/dev/null", 0, buf);
  T("quotactl nothing", SYS_quotactl, 0x80000700, "/nowhere", 0, buf);
  T("quotactl bad name", SYS_quotactl, 0x80000700, BAD_PTR, 0, buf);
  T("quotactl_fd", 443, -1, 0x80000700, 0, buf);
  int fd = open("/proc/self", O_RDONLY);
  T("quotactl_fd of /proc", 443, fd, 0x80000700, 0, buf);
  T("quotactl_fd type", 443, fd, 0x80000703, 0, buf);
}

static void security_modules(void) {
  char buf[64] = {0};
  uint32_t size = 4;
  T("lsm_get_self_attr undefined", 459, 0, buf, &size, 0);
  T("lsm_get_self_attr no size", 459, 100, buf, NULL, 0);
  T("lsm_get_self_attr flags", 459, 100, buf, &size, 8);
  T("lsm_set_self_attr flags", 460, 100, buf, 32, 1);
  T("lsm_set_self_attr small", 460, 100, buf, 8, 0);
  T("lsm_set_self_attr large", 460, 100, buf, 8192, 0);
  T("lsm_set_self_attr bad", 460, 100, BAD_PTR, 32, 0);
  T("lsm_list_modules flags", 461, buf, &size, 1);
  T("lsm_list_modules bad size", 461, buf, BAD_PTR, 0);
  T("lsm_list_modules small", 461, buf, &size, 0);
  is("size told", size >= 8 && size % 8 == 0);
  uint64_t ids[32];
  size = sizeof ids;
  long n = syscall(461, ids, &size, 0);
  is("modules", n >= 1 && size == 8 * n);
  int found = 0, landlock = 0;
  for (long i = 0; i < n; i++) found |= ids[i] == 100, landlock |= ids[i] == 110;
  is("capability is among them", found);
  is("and Landlock where that is there", landlock == (syscall(444, NULL, 0, 1) > 0));
}

int main(void) {
  drop();
  gone();
  privileged();
  quotas();
  security_modules();
  return 0;
}
