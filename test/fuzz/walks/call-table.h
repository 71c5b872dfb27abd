// The calls of calls.c, each with the kinds of its arguments (call-args.h, call-lists.h). `?` before them: the number that it returns is
// an address, an id or a time. Calls occur more often than once if they do many things.
//
// Missing on purpose: what would change the machine (reboot, modules, swap, kexec), what ends the process or replaces it at once, what
// waits for nobody, and what a sandbox refuses (docs/limits.md).
#ifndef CALL_TABLE_H
#define CALL_TABLE_H
#include <sys/syscall.h>

struct call {
  int nr;
  const char *name, *args;
};
#define C(name, args) {SYS_##name, #name, args}
#define N(nr, name, args) {nr, #name, args}

static const struct call calls[] = {
  // Files and descriptors.
  C(read, "foz"), C(write, "fbz"), C(open, "sOm"), C(close, "f"), C(stat, "sv"), C(fstat, "fv"), C(lstat, "sv"), C(poll, "pch"), C(lseek, "f~W"),
  C(pread64, "foz~"), C(pwrite64, "fbz~"), C(readv, "fVc"), C(writev, "fVc"), C(access, "si"), C(pipe, "o"), C(select, "cxxxt"), C(dup, "f"), C(dup2, "ff"),
  C(sendfile, "ffxz"), C(fcntl, "f1j"), C(fcntl, "f1x"), C(fcntl, "f!e"), C(flock, "fi"), C(fsync, "f"), C(fdatasync, "f"), C(truncate, "s~"), C(ftruncate, "f~"),
  C(getdents, "?fvz"), C(getcwd, "oz"), C(chdir, "s"), C(fchdir, "f"), C(rename, "ss"), C(mkdir, "sm"), C(rmdir, "s"), C(creat, "sm"), C(link, "ss"), C(unlink, "s"),
  C(symlink, "ss"), C(readlink, "soz"), C(chmod, "sm"), C(fchmod, "fm"), C(chown, "suu"), C(fchown, "fuu"), C(lchown, "suu"), C(umask, "m"), C(utime, "sx"), C(mknod, "smD"),
  C(ustat, "Dv"), C(statfs, "sv"), C(fstatfs, "fv"), C(sysfs, "?iij"), C(sysfs, "?isx"), C(chroot, "s"), C(readahead, "f~z"), C(setxattr, "snbzF"), C(lsetxattr, "snbzF"),
  C(fsetxattr, "fnbzF"), C(getxattr, "snoz"), C(lgetxattr, "snoz"), C(fgetxattr, "fnoz"), C(listxattr, "soz"), C(llistxattr, "soz"), C(flistxattr, "foz"), C(removexattr, "sn"),
  C(lremovexattr, "sn"), C(fremovexattr, "fn"), C(getdents64, "?fvz"), C(fadvise64, "f~zi"), C(utimes, "sT"), C(openat, "dsOm"), C(mkdirat, "dsm"), C(mknodat, "dsmD"),
  C(fchownat, "dsuuF"), C(futimesat, "dsT"), C(newfstatat, "dsvF"), C(unlinkat, "dsF"), C(renameat, "dsds"), C(linkat, "dsdsF"), C(symlinkat, "sds"), C(readlinkat, "dsoz"),
  C(fchmodat, "dsm"), C(faccessat, "dsi"), C(pselect6, "cxxxtx"), C(ppoll, "pctq8"), C(splice, "fxfxzF"), C(tee, "ffzF"), C(sync_file_range, "f~~F"), C(vmsplice, "fVcF"),
  C(utimensat, "dsTF"), C(fallocate, "fF~~"), C(dup3, "ffO"), C(pipe2, "oO"), C(preadv, "fVc~j"), C(pwritev, "fVc~j"), C(name_to_handle_at, "dsyvF"),
  C(open_by_handle_at, "fxO"), C(syncfs, "f"), C(renameat2, "dsdsF"), C(copy_file_range, "fxfxzF"), C(preadv2, "fVc~jF"), C(pwritev2, "fVc~jF"), C(statx, "dsFjv"),
  C(close_range, "cfF"), C(openat2, "dsxz"), C(faccessat2, "dsiF"), N(451, cachestat, "fxvF"), N(452, fchmodat2, "dsmF"), N(463, setxattrat, "dsFnxz"),
  N(464, getxattrat, "dsFnxz"), N(465, listxattrat, "dsFoz"), N(466, removexattrat, "dsFn"), N(468, file_getattr, "dsozF"), N(469, file_setattr, "dsxzF"),
  C(openat2, "ds$]"), C(openat2, "ds$]"),
  C(ioctl, "f2x"), C(ioctl, "f2o"), C(ioctl, "f2j"), C(ioctl, "f(x"), C(ioctl, "f(y"), C(ioctl, "f)x"), C(ioctl, "f)j"),
  // Events.
  C(epoll_create, "i"), C(epoll_wait, "foch"), C(epoll_ctl, "fifE"), C(epoll_pwait, "fochq8"), C(epoll_create1, "O"), C(epoll_pwait2, "foctq8"), C(inotify_init, ""),
  C(inotify_add_watch, "fsF"), C(inotify_rm_watch, "fi"), C(inotify_init1, "O"), C(signalfd, "fq8"), C(signalfd4, "fq8O"), C(timerfd_create, "CO"), C(timerfd_settime, "fiTv"),
  C(timerfd_gettime, "fv"), C(eventfd, "i"), C(eventfd2, "iO"), C(io_setup, "cy"), C(io_destroy, "j"), C(io_submit, "jjx"), C(io_getevents, "jccot"), C(io_cancel, "jxo"),
  C(io_pgetevents, "jccotx"), C(io_submit, ":c|"), C(io_submit, ":c|"), C(io_getevents, ":ccot"), C(io_destroy, ":"), C(read, ",oz"), C(write, ",xz"), C(fcntl, ",1i"), C(ioctl, ",)x"),
  C(timerfd_settime, ",iTv"), C(timerfd_gettime, ",v"), C(signalfd4, ",q8O"),
  // Memory.
  C(mmap, "?AlR*f~"), C(mmap, "?AlR*f~"), C(mprotect, "AlR"), C(munmap, "Al"), C(brk, "?j"), C(mremap, "?AllFA"), C(msync, "AlF"), C(mincore, "Alv"), C(madvise, "Al6"), C(mlock, "Al"),
  C(munlock, "Al"), C(mlockall, "F"), C(munlockall, ""), C(remap_file_pages, "AlRjF"), C(mlock2, "AlF"), C(pkey_mprotect, "AlRi"), C(pkey_alloc, "?ii"), C(pkey_free, "i"),
  C(membarrier, "?NFi"), C(memfd_create, "nF"), C(process_madvise, "fVc6F"), N(462, mseal, "AlF"), C(mbind, "AlixjF"), C(set_mempolicy, "ixj"), C(get_mempolicy, "oxjAF"),
  C(migrate_pages, "wjxx"), C(move_pages, "wjxxxF"), N(450, set_mempolicy_home_node, "AljF"), C(process_vm_readv, "wVcVcF"), C(process_vm_writev, "wVcVcF"), C(process_mrelease, "fF"),
  C(shmget, "KzI"), C(shmat, "?&AF"), C(shmctl, "&=y"), C(shmdt, "A"), C(semget, "KiI"), C(semop, "&xz"), C(semtimedop, "&xzt"), C(semctl, "&i=y"), C(semctl, "&i=j"), C(msgget, "KI"),
  C(msgsnd, "&xzI"), C(msgrcv, "&ozjI"), C(msgctl, "&=y"), C(mq_open, "nOmx"), C(mq_unlink, "n"), C(mq_timedsend, "fbzjt"), C(mq_timedreceive, "fozot"), C(mq_notify, "fx"),
  C(mq_getsetattr, "fxo"), C(mq_getsetattr, "f;o"), C(mq_open, "nOm;"), C(mq_notify, "f/"), C(fcntl, "\"1i"), C(ftruncate, "\"~"), C(fallocate, "\"F~~"), C(write, "\"bz"),
  C(mmap, "?AlR*\"~"), C(process_madvise, ".Vc6F"), C(process_mrelease, ".F"),
  // Sockets.
  C(socket, "@#%"), C(connect, "faB"), C(accept, "fok"), C(accept4, "fokO"), C(sendto, "fbzSaB"), C(recvfrom, "fozSok"), C(sendmsg, "fHS"), C(recvmsg, "fHS"), C(shutdown, "fi"), C(bind, "faB"),
  C(listen, "fi"), C(getsockname, "fvk"), C(getpeername, "fvk"), C(socketpair, "@#%o"), C(setsockopt, "f79xB"), C(setsockopt, "f79xB"), C(setsockopt, "f79kB"), C(getsockopt, "f79vk"),
  C(getsockopt, "f79vk"), C(recvmmsg, "fHcSt"), C(sendmmsg, "fHcS"),
  // Processes, signals, time.
  C(rt_sigaction, "gxv8"), C(rt_sigprocmask, "iqo8"), C(rt_sigpending, "oz"), C(rt_sigtimedwait, "qyt8"), C(rt_sigqueueinfo, "wgx"), C(rt_tgsigqueueinfo, "wwgx"), C(sigaltstack, "xv"),
  C(kill, "wg"), C(tkill, "wg"), C(tgkill, "wwg"), C(pidfd_send_signal, "fgxF"), C(pidfd_open, "?wF"), C(pidfd_getfd, "ffF"), C(wait4, "?wFov"), C(waitid, "iwvFv"), C(setpgid, "ww"),
  C(getpgid, "?w"), C(getsid, "?w"), C(setsid, "?"), C(getpgrp, "?"), C(getpid, "?"), C(gettid, "?"), C(getppid, "?"), C(sched_yield, ""), C(set_tid_address, "?x"), C(set_robust_list, "xz"),
  C(get_robust_list, "wvv"), C(futex, "y4itxi"), C(futex, "y4ityi"), C(futex, "A4itxi"), N(449, futex_waitv, "xcFti"), N(454, futex_wake, "xjiF"), N(455, futex_wait, "xjjFtC"),
  N(456, futex_requeue, "xFii"), C(nanosleep, "to"), C(getitimer, "iv"), C(setitimer, "iTv"), C(alarm, "?i"), C(gettimeofday, "vv"), C(settimeofday, "tx"), C(time, "?v"), C(times, "?v"),
  C(adjtimex, "y"), C(clock_adjtime, "Cy"), C(clock_settime, "Ct"), C(clock_gettime, "Cv"), C(clock_getres, "Cv"), C(clock_nanosleep, "CFtv"), C(timer_create, "Cxo"), C(timer_settime, "iiTv"),
  C(timer_gettime, "iv"), C(timer_getoverrun, "i"), C(timer_delete, "i"), C(getrlimit, "rv"), C(setrlimit, "rx"), C(prlimit64, "wrxv"), C(getrusage, "iv"), C(sysinfo, "v"), C(getcpu, "vvx"),
  C(getpriority, "Pw"), C(setpriority, "Pwi"), C(ioprio_get, "<w"), C(ioprio_set, "<wj"), C(sched_setparam, "wx"), C(sched_getparam, "wo"), C(sched_setscheduler, "wQx"),
  C(sched_getscheduler, "w"), C(sched_get_priority_max, "Q"), C(sched_get_priority_min, "Q"), C(sched_rr_get_interval, "wv"), C(sched_setaffinity, "wzx"), C(sched_getaffinity, "?w8v"),
  C(sched_setattr, "wxF"), C(sched_getattr, "wvzF"), C(personality, "j"), C(prctl, "3jjjj"), C(prctl, "3jjjj"), C(prctl, "3jj00"), C(prctl, "3y000"), C(prctl, "3j000"), C(arch_prctl, "Xv"),
  C(arch_prctl, "Xj"), C(ptrace, "Ywxy"), C(ptrace, "Ywjy"), C(ptrace, "Ywjj"), C(kcmp, "?wwijj"), C(seccomp, "iFx"), C(execve, "sxx"), C(execveat, "dsxxF"), C(restart_syscall, ""),
  C(clone3, "?_]"), C(clone3, "?_]"), C(clone3, "?_]"), C(seccomp, "iF^"), C(seccomp, "iF^"), C(prctl, "3iiii"), C(prctl, "3iAl0"), C(prctl, "3ixz0"), C(prctl, "3ij00"), C(timer_create, "C/o"),
  C(sched_setattr, "w'F"), C(pidfd_send_signal, ".gxF"), C(pidfd_send_signal, ".g0F"), C(pidfd_getfd, ".f0"), C(ioctl, ".)y"), C(ioctl, ".)y"), C(ptrace, "Ywjj"), C(ptrace, "Ywzy"),
  // Who one is, and where.
  C(getuid, ""), C(geteuid, ""), C(getgid, ""), C(getegid, ""), C(setuid, "u"), C(setgid, "u"), C(setreuid, "uu"), C(setregid, "uu"), C(setresuid, "uuu"), C(setresgid, "uuu"),
  C(getresuid, "ooo"), C(getresgid, "ooo"), C(setfsuid, "u"), C(setfsgid, "u"), C(getgroups, "co"), C(setgroups, "cx"), C(capget, "xo"), C(capset, "xx"), C(uname, "v"), C(sethostname, "bi"),
  C(setdomainname, "bi"), C(unshare, "U"), C(unshare, "F"), C(setns, "fU"), C(add_key, "?+nbz-"), C(add_key, "?+nbz-"), C(keyctl, "?5----"), C(keyctl, "?5-x-z"), C(keyctl, "?5-ozj"),  N(459, lsm_get_self_attr, "ioxF"), N(460, lsm_set_self_attr, "ixjF"), C(getrandom, "vzF"),
  C(capset, "`}"), C(capset, "`}"), C(capget, "`o"), C(setns, "\\U"), C(setns, "\\U"), C(unshare, "U"), C(syslog, "Lvi"), C(vhangup, ""), C(acct, "s"),
  // Mounts.
  C(mount, "ss+Mb"), C(mount, "ss+M0"), C(umount2, "sF"), C(pivot_root, "ss"), C(open_tree, "dsF"), C(move_mount, "dsdsF"), C(fsopen, "+F"), C(fsconfig, "finbi"), C(fsmount, "fFF"),
  C(fspick, "dsF"), C(mount_setattr, "dsFxz"), N(457, statmount, "xvzF"), N(458, listmount, "xvzF"), N(467, open_tree_attr, "dsFxz"),
  C(fsconfig, "GZJ00"), C(fsconfig, "GZJ>0"), C(fsconfig, "GZJ>i"), C(fsconfig, "GZJ0f"), C(fsconfig, "GZ000"), C(fsconfig, "GZ000"), C(fsmount, "GFF"), C(fsmount, "GFF"), C(move_mount, "GsdsF"),
  C(move_mount, "GsdsF"), C(read, "Goz"), C(mount_setattr, "dsF[]"), C(mount_setattr, "dsF[]"), C(mount_setattr, "GsF[]"), N(467, open_tree_attr, "dsF[]"), N(457, statmount, "{vz0"),
  N(457, statmount, "{vz0"), N(458, listmount, "{vcF"), N(458, listmount, "{vc0"), C(open_tree, "GsF"),
  // None, or none any more.
  C(uselib, "s"), C(_sysctl, "x"), C(create_module, "xz"), C(nfsservctl, "ixx"), C(getpmsg, "fxxx"), C(tuxcall, "i"), C(security, "i"), C(lookup_dcookie, "joz"), C(epoll_wait_old, "foch"),
  C(vserver, "ixx"), N(350, number 350, "jjj"), N(423, number 423, "jjj"), N(500, number 500, "jjj"), N(1000, number 1000, "jjj"), N(-1, number -1, "jjj"),
};
#undef C
#undef N
#endif
