/** /proc/sys/kernel (Documentation/admin-guide/sysctl/kernel.rst). */
import { EPERM } from '../../abi/errno.ts';
import { UTS_RELEASE, UTS_SYSNAME, UTS_VERSION } from '../../abi/utsname.ts';
import { CAP_LAST_CAP, CAP_SYS_ADMIN } from '../../auth/capability.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import { keyFiles } from './keys.ts';
import { integer, ipc, keyQuota, semLimits, utsText, Variable, type SysctlTree } from './sysctl-variables.ts';
import { randomUuid, BOOT_ID } from './uuid.ts';

export function kernelSysctls(kernel: Kernel, threadsMax: number): SysctlTree {
  return {
    arch: 'x86_64',
    auto_msgmni: 0,
    cad_pid: 0,
    cap_last_cap: CAP_LAST_CAP,
    core_pattern: new Variable(
      () => kernel.core.pattern,
      (_t, text) => kernel.core.setPattern(text),
    ),
    core_pipe_limit: 0,
    core_uses_pid: integer(
      () => kernel.core.usesPid,
      (_t, v) => {
        kernel.core.usesPid = v;
      },
      0,
      0x7fffffff,
    ),
    'ctrl-alt-del': 1,
    dmesg_restrict: 1,
    domainname: new Variable(
      (t) => t.ns.uts.domainname,
      (t, text) => {
        t.ns.uts.domainname = utsText(text);
        return 0;
      },
    ),
    hardlockup_all_cpu_backtrace: 0,
    hardlockup_panic: 0,
    hostname: new Variable(
      (t) => t.ns.uts.nodename,
      (t, text) => {
        t.ns.uts.nodename = utsText(text);
        return 0;
      },
    ),
    hung_task_all_cpu_backtrace: 0,
    hung_task_panic: 0,
    hung_task_timeout_secs: 120,
    hung_task_warnings: 10,
    io_uring_disabled: integer(
      () => kernel.ioUring.disabled,
      (_t, v) => {
        kernel.ioUring.disabled = v;
      },
      0,
      2,
    ),
    io_uring_group: integer(
      () => kernel.ioUring.group,
      (_t, v) => {
        kernel.ioUring.group = v;
      },
      -1,
      0x7fffffff,
    ),
    keys: {
      gc_delay: integer(
        (t) => keyFiles.quotas(t).gcDelay,
        (t, v) => {
          keyFiles.quotas(t).gcDelay = v;
        },
        0,
        0x7fffffff,
      ),
      maxbytes: keyQuota('quota', 'maxBytes'),
      maxkeys: keyQuota('quota', 'maxKeys'),
      root_maxbytes: keyQuota('rootQuota', 'maxBytes'),
      root_maxkeys: keyQuota('rootQuota', 'maxKeys'),
    },
    kptr_restrict: 1,
    max_rcu_stall_to_panic: 0,
    msg_next_id: -1,
    msgmax: ipc('msgmax', 0, 0x7fffffff),
    msgmnb: ipc('msgmnb', 0, 0x7fffffff),
    msgmni: ipc('msgmni', 0, 32768),
    ngroups_max: 65536,
    nmi_watchdog: 0,
    ns_last_pid: integer(
      (t) => t.pidNs.lastPid,
      (t, v) => {
        if (!t.creds.has(CAP_SYS_ADMIN)) return -EPERM;
        t.pidNs.lastPid = v;
        return 0;
      },
      0,
      4194304,
    ),
    oops_all_cpu_backtrace: 0,
    oops_limit: 10000,
    osrelease: UTS_RELEASE,
    ostype: UTS_SYSNAME,
    overflowgid: 65534,
    overflowuid: 65534,
    panic: 0,
    panic_on_io_nmi: 0,
    panic_on_oops: 0,
    panic_on_rcu_stall: 0,
    panic_on_unrecovered_nmi: 0,
    panic_on_warn: 0,
    panic_print: 0,
    perf_cpu_time_max_percent: 25,
    perf_event_max_contexts_per_stack: 8,
    perf_event_max_sample_rate: 100000,
    perf_event_max_stack: 127,
    perf_event_mlock_kb: 516,
    perf_event_paranoid: 3,
    pid_max: integer(
      (t) => t.pidNs.pidMax,
      (t, v) => {
        t.pidNs.pidMax = v;
        return 0;
      },
      301,
      4194304,
    ),
    poweroff_cmd: '/sbin/poweroff',
    'print-fatal-signals': 0,
    printk: '4\t4\t1\t7',
    printk_delay: 0,
    printk_devkmsg: 'ratelimit',
    printk_ratelimit: 5,
    printk_ratelimit_burst: 10,
    pty: { max: 4096, nr: 0, reserve: 1024 },
    random: {
      boot_id: BOOT_ID,
      entropy_avail: 256,
      poolsize: 256,
      urandom_min_reseed_secs: 60,
      uuid: () => randomUuid(),
      write_wakeup_threshold: 256,
    },
    randomize_va_space: 2,
    sched_autogroup_enabled: 0,
    sched_cfs_bandwidth_slice_us: 5000,
    sched_deadline_period_max_us: 4194304,
    sched_deadline_period_min_us: 100,
    sched_rr_timeslice_ms: 100,
    sched_rt_period_us: 1000000,
    sched_rt_runtime_us: 950000,
    seccomp: {
      actions_avail: 'kill_process kill_thread trap errno user_notif trace log allow',
      actions_logged: 'kill_process kill_thread trap errno user_notif trace log',
    },
    sem: semLimits(),
    sem_next_id: -1,
    shm_next_id: -1,
    shm_rmid_forced: 0,
    shmall: ipc('shmall', 0, 2 ** 64),
    shmmax: ipc('shmmax', 0, 2 ** 64),
    shmmni: ipc('shmmni', 0, 32768),
    soft_watchdog: 1,
    softlockup_all_cpu_backtrace: 0,
    softlockup_panic: 0,
    sysctl_writes_strict: 1,
    tainted: 0,
    'threads-max': threadsMax,
    timer_migration: 1,
    unknown_nmi_panic: 0,
    unprivileged_bpf_disabled: 2,
    version: UTS_VERSION,
    warn_limit: 0,
    watchdog: 1,
    watchdog_thresh: 10,
  };
}
