// The calls that the fuzzer makes, each with the kinds of its arguments (args.h). Missing on purpose: what ends the process
// or the test at once and says nothing (exit and fork have their own weights in fuzz.c), and what waits for nobody (pause).
#ifndef CALLS_H
#define CALLS_H
#include <sys/syscall.h>

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

struct call {
  int nr;
  const char *args;
};

static const struct call calls[] = {
    {SYS_read, "fbn"}, {SYS_write, "fbn"}, {SYS_open, "sOm"}, {SYS_close, "f"}, {SYS_stat, "sb"}, {SYS_fstat, "fb"},
    {SYS_lstat, "sb"}, {SYS_poll, "pcT"}, {SYS_lseek, "foi"}, {SYS_mmap, "AlRMfo"}, {SYS_mprotect, "AlR"},
    {SYS_munmap, "Al"}, {SYS_brk, "x"}, {SYS_rt_sigaction, "gqb8"}, {SYS_rt_sigprocmask, "iqb8"}, {SYS_ioctl, "fIb"},
    {SYS_pread64, "fbno"}, {SYS_pwrite64, "fbno"}, {SYS_readv, "fvc"}, {SYS_writev, "fvc"}, {SYS_access, "si"},
    {SYS_pipe, "b"}, {SYS_select, "cbbbt"}, {SYS_sched_yield, ""}, {SYS_mremap, "AllFA"}, {SYS_msync, "Ali"},
    {SYS_mincore, "Alb"}, {SYS_madvise, "AlX"}, {SYS_shmget, "inF"}, {SYS_shmat, "iAF"}, {SYS_shmctl, "iib"},
    {SYS_dup, "f"}, {SYS_dup2, "ff"}, {SYS_nanosleep, "tb"}, {SYS_getitimer, "ib"}, {SYS_alarm, "i"},
    {SYS_setitimer, "itb"}, {SYS_sendfile, "ffbn"}, {SYS_socket, "DYK"}, {SYS_connect, "faL"}, {SYS_accept, "fbk"},
    {SYS_sendto, "fbnFaL"}, {SYS_recvfrom, "fbnFbk"}, {SYS_sendmsg, "fhF"}, {SYS_recvmsg, "fhF"}, {SYS_shutdown, "fi"},
    {SYS_bind, "faL"}, {SYS_listen, "fi"}, {SYS_getsockname, "fbk"}, {SYS_getpeername, "fbk"},
    {SYS_socketpair, "DYKb"}, {SYS_setsockopt, "fEXbL"}, {SYS_getsockopt, "fEXbk"}, {SYS_wait4, "wFbb"},
    {SYS_kill, "wg"}, {SYS_uname, "b"}, {SYS_semget, "iiF"}, {SYS_semop, "ibc"}, {SYS_semctl, "iiXb"}, {SYS_shmdt, "A"},
    {SYS_msgget, "iF"}, {SYS_msgsnd, "ibnF"}, {SYS_msgrcv, "ibniF"}, {SYS_msgctl, "iib"}, {SYS_fcntl, "fCx"},
    {SYS_fcntl, "fCe"}, {SYS_flock, "fi"}, {SYS_fsync, "f"}, {SYS_truncate, "so"}, {SYS_ftruncate, "fo"},
    {SYS_getdents, "fbn"}, {SYS_getcwd, "bn"}, {SYS_chdir, "s"}, {SYS_fchdir, "f"}, {SYS_rename, "ss"}, {SYS_mkdir, "sm"},
    {SYS_rmdir, "s"}, {SYS_creat, "sm"}, {SYS_link, "ss"}, {SYS_unlink, "s"}, {SYS_symlink, "ss"}, {SYS_readlink, "sbn"},
    {SYS_chmod, "sm"}, {SYS_fchmod, "fm"}, {SYS_chown, "suu"}, {SYS_fchown, "fuu"}, {SYS_lchown, "suu"}, {SYS_umask, "m"},
    {SYS_gettimeofday, "bb"}, {SYS_getrlimit, "ib"}, {SYS_getrusage, "ib"}, {SYS_sysinfo, "b"}, {SYS_times, "b"},
    {SYS_ptrace, "Xwbb"}, {SYS_getuid, ""}, {SYS_syslog, "ibn"}, {SYS_setpgid, "ww"}, {SYS_getppid, ""}, {SYS_setsid, ""},
    {SYS_getgroups, "cb"}, {SYS_setgroups, "cb"}, {SYS_setfsuid, "u"}, {SYS_getpgid, "w"}, {SYS_getsid, "w"},
    {SYS_capget, "bb"}, {SYS_capset, "bb"}, {SYS_rt_sigpending, "bn"}, {SYS_rt_sigtimedwait, "qbt8"},
    {SYS_rt_sigqueueinfo, "wgb"}, {SYS_sigaltstack, "bb"}, {SYS_utime, "sb"}, {SYS_mknod, "smx"}, {SYS_personality, "i"},
    {SYS_ustat, "ib"}, {SYS_statfs, "sb"}, {SYS_fstatfs, "fb"}, {SYS_sysfs, "iib"}, {SYS_getpriority, "iw"},
    {SYS_setpriority, "iwi"}, {SYS_sched_setparam, "wb"}, {SYS_sched_getparam, "wb"}, {SYS_sched_setscheduler, "wib"},
    {SYS_sched_getscheduler, "w"}, {SYS_sched_rr_get_interval, "wb"}, {SYS_mlock, "Al"}, {SYS_munlock, "Al"},
    {SYS_mlockall, "i"}, {SYS_pivot_root, "ss"}, {SYS_prctl, "Zxxxx"}, {SYS_prctl, "Zb000"}, {SYS_arch_prctl, "Xb"},
    {SYS_adjtimex, "b"}, {SYS_chroot, "s"}, {SYS_sync, ""}, {SYS_mount, "sszFb"}, {SYS_umount2, "si"},
    {SYS_sethostname, "bn"}, {SYS_setdomainname, "bn"}, {SYS_gettid, ""}, {SYS_readahead, "fon"},
    {SYS_setxattr, "sybnF"}, {SYS_lsetxattr, "sybnF"}, {SYS_fsetxattr, "fybnF"}, {SYS_getxattr, "sybn"},
    {SYS_fgetxattr, "fybn"}, {SYS_listxattr, "sbn"}, {SYS_flistxattr, "fbn"}, {SYS_removexattr, "sy"},
    {SYS_fremovexattr, "fy"}, {SYS_tkill, "wg"}, {SYS_time, "b"}, {SYS_futex, "bXitbi"}, {SYS_futex, "BXitBi"},
    {SYS_sched_setaffinity, "wnb"}, {SYS_sched_getaffinity, "wnb"}, {SYS_io_setup, "cb"}, {SYS_io_destroy, "r"},
    {SYS_io_getevents, "rccbt"}, {SYS_io_submit, "rcj"}, {SYS_io_cancel, "rbb"}, {SYS_epoll_create, "i"},
    {SYS_getdents64, "fbn"}, {SYS_set_tid_address, "b"}, {SYS_restart_syscall, ""}, {SYS_semtimedop, "ibct"},
    {SYS_fadvise64, "foni"}, {SYS_timer_create, "ibb"}, {SYS_timer_settime, "iitb"}, {SYS_timer_gettime, "ib"},
    {SYS_timer_getoverrun, "i"}, {SYS_timer_delete, "i"}, {SYS_clock_gettime, "xb"}, {SYS_clock_gettime, "ib"},
    {SYS_clock_getres, "ib"}, {SYS_clock_nanosleep, "iitb"}, {SYS_epoll_wait, "fbcT"}, {SYS_epoll_ctl, "fifb"},
    {SYS_tgkill, "wwg"}, {SYS_utimes, "st"}, {SYS_mq_open, "SOmb"}, {SYS_mq_unlink, "S"}, {SYS_mq_timedsend, "fbnit"},
    {SYS_mq_timedreceive, "fbnbt"}, {SYS_mq_notify, "fb"}, {SYS_mq_getsetattr, "fbb"}, {SYS_waitid, "iwbFb"},
    {SYS_ioprio_set, "iwi"}, {SYS_ioprio_get, "iw"}, {SYS_inotify_init, ""}, {SYS_inotify_add_watch, "fsF"},
    {SYS_inotify_rm_watch, "fi"}, {SYS_openat, "dsOm"}, {SYS_mkdirat, "dsm"}, {SYS_mknodat, "dsmx"},
    {SYS_fchownat, "dsuuF"}, {SYS_futimesat, "dst"}, {SYS_newfstatat, "dsbF"}, {SYS_unlinkat, "dsF"},
    {SYS_renameat, "dsds"}, {SYS_linkat, "dsdsF"}, {SYS_symlinkat, "sds"}, {SYS_readlinkat, "dsbn"},
    {SYS_fchmodat, "dsm"}, {SYS_faccessat, "dsi"}, {SYS_pselect6, "cbbbtb"}, {SYS_ppoll, "pctq8"}, {SYS_unshare, "F"},
    {SYS_set_robust_list, "bn"}, {SYS_get_robust_list, "wbb"}, {SYS_splice, "fbfbnF"}, {SYS_tee, "ffnF"},
    {SYS_sync_file_range, "fonF"}, {SYS_vmsplice, "fvcF"}, {SYS_utimensat, "dstF"}, {SYS_epoll_pwait, "fbcTq8"},
    {SYS_signalfd, "fq8"}, {SYS_timerfd_create, "iF"}, {SYS_eventfd, "i"}, {SYS_fallocate, "fioo"},
    {SYS_timerfd_settime, "fitb"}, {SYS_timerfd_gettime, "fb"}, {SYS_accept4, "fbkF"}, {SYS_signalfd4, "fq8F"},
    {SYS_eventfd2, "iF"}, {SYS_epoll_create1, "F"}, {SYS_dup3, "ffF"}, {SYS_pipe2, "bF"}, {SYS_inotify_init1, "F"},
    {SYS_preadv, "fvco0"}, {SYS_pwritev, "fvco0"}, {SYS_rt_tgsigqueueinfo, "wwgb"}, {SYS_perf_event_open, "bwifF"},
    {SYS_recvmmsg, "fHcFt"}, {SYS_prlimit64, "wibb"}, {SYS_name_to_handle_at, "dsbbF"}, {SYS_open_by_handle_at, "fbF"},
    {SYS_clock_adjtime, "ib"}, {SYS_syncfs, "f"}, {SYS_sendmmsg, "fHcF"}, {SYS_setns, "fF"}, {SYS_getcpu, "bbb"},
    {SYS_process_vm_readv, "wvcvc0"}, {SYS_process_vm_writev, "wvcvc0"}, {SYS_kcmp, "wwiff"}, {SYS_sched_setattr, "wbF"},
    {SYS_sched_getattr, "wbnF"}, {SYS_renameat2, "dsdsF"}, {SYS_seccomp, "iib"}, {SYS_getrandom, "bnF"},
    {SYS_memfd_create, "SF"}, {SYS_membarrier, "Xii"}, {SYS_mlock2, "AlF"}, {SYS_copy_file_range, "fbfbnF"},
    {SYS_preadv2, "fvco0F"}, {SYS_pwritev2, "fvco0F"}, {SYS_pkey_mprotect, "AlRi"}, {SYS_pkey_alloc, "ii"},
    {SYS_statx, "dsFxb"}, {SYS_io_pgetevents, "rccbtb"}, {SYS_rseq, "bnFx"}, {SYS_pidfd_send_signal, "fgbF"},
    {SYS_open_tree, "dsF"}, {SYS_move_mount, "dsdsF"}, {SYS_fsopen, "zF"}, {SYS_fsconfig, "fiSbi"}, {SYS_fsmount, "fFF"},
    {SYS_fspick, "dsF"}, {SYS_pidfd_open, "wF"}, {SYS_close_range, "ffF"}, {SYS_openat2, "dsbn"}, {SYS_pidfd_getfd, "ffF"},
    {SYS_faccessat2, "dsiF"}, {SYS_process_madvise, "fvcXF"}, {SYS_epoll_pwait2, "fbctq8"}, {SYS_mount_setattr, "dsFbn"},
    {SYS_futex_waitv, "bcFti"}, {SYS_fchmodat2, "dsmF"}, {454, "bqiF"}, {455, "bqqFti"}, {456, "bFii"}, {451, "fbbF"},
    {453, "AlF"}, {457, "bbnF"}, {458, "bbcF"}, {462, "AlF"}, {440, "fvcXF"}, {448, "fF"},
    {SYS_unshare, "N"}, {SYS_setsockopt, "f1GQL"}, {SYS_add_key, "zSbnW"}, {SYS_add_key, "ySbnW"}, {SYS_request_key, "ySSW"},
    {SYS_keyctl, "XWWbn"}, {SYS_keyctl, "XWxbn"}, {SYS_linkat, "fsdsm"}, {SYS_seccomp, "1cQ"},
};
#endif
