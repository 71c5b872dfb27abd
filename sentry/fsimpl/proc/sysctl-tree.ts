/** The entries of /proc/sys (Documentation/admin-guide/sysctl) with their values. */
import { EPERM } from '../../abi/errno.ts';
import { UTS_RELEASE, UTS_SYSNAME, UTS_VERSION } from '../../abi/utsname.ts';
import { CAP_LAST_CAP, CAP_SYS_ADMIN } from '../../auth/capability.ts';
import { leaseBreakTime, setLeaseBreakTime } from '../../vfs/leases.ts';
import { maxMapCount, setMaxMapCount } from '../../mm/memory-manager.ts';
import { pipeMaxSize, setPipeMaxSize } from '../pipefs/pipe.ts';
import { keyFiles } from './keys.ts';
import type { ProcEnv } from './env.ts';
import { randomUuid, BOOT_ID } from './uuid.ts';
import { CORE, IPV4, IPV6, ipv4Conf, ipv4Neighbours, ipv6Conf, ipv6Neighbours } from './sysctl-network.ts';
import {
  inotifyLimit,
  integer,
  ipc,
  keyQuota,
  namespaceLimits,
  nameProtection,
  PerInterface,
  semLimits,
  utsText,
  Variable,
  type SysctlTree,
} from './sysctl-variables.ts';

/** Events of asynchronous I/O cost the kernel's heap. */
const AIO_MAX = 1_000_000;

export function sysctlTree(env: ProcEnv): SysctlTree {
  const { kernel } = env;
  const threadsMax = Math.min(65536, Math.floor(env.host.memTotal / 65536));
  const pagesTotal = Math.floor(env.host.memTotal / 4096);
  return {
    abi: { vsyscall32: 1 },
    debug: { 'exception-trace': 1 },
    dev: { tty: { ldisc_autoload: 1, legacy_tiocsti: 1 } },
    fs: {
      'aio-max-nr': integer(
        () => kernel.aio.max,
        (_t, v) => {
          kernel.aio.max = v;
        },
        0,
        AIO_MAX,
      ),
      'aio-nr': () => kernel.aio.used,
      'dentry-state': '0\t0\t45\t0\t0\t0',
      'dir-notify-enable': 1,
      epoll: { max_user_watches: Math.floor(env.host.memTotal / 25 / 160) },
      'file-max': '9223372036854775807',
      'file-nr': () => `${openFiles(env)}\t0\t9223372036854775807`,
      'inode-nr': '0\t0',
      'inode-state': '0\t0\t0\t0\t0\t0\t0',
      inotify: {
        max_queued_events: inotifyLimit('queuedEvents'),
        max_user_instances: inotifyLimit('instances'),
        max_user_watches: inotifyLimit('watches'),
      },
      'lease-break-time': integer(leaseBreakTime, (_t, v) => setLeaseBreakTime(v), 0, 0x7fffffff),
      'leases-enable': 1,
      'mount-max': 4096,
      mqueue: {
        msg_default: 10,
        msg_max: 10,
        msgsize_default: 8192,
        msgsize_max: 8192,
        queues_max: 256,
      },
      nr_open: integer(
        () => kernel.openFilesMax,
        (_t, v) => {
          kernel.openFilesMax = v;
        },
        64,
        1048576,
      ),
      overflowgid: 65534,
      overflowuid: 65534,
      'pipe-max-size': integer(pipeMaxSize, (_t, v) => setPipeMaxSize(v), 4096, 0x7fffffff),
      'pipe-user-pages-hard': 0,
      'pipe-user-pages-soft': 16384,
      quota: {
        allocated_dquots: 0,
        cache_hits: 0,
        drops: 0,
        free_dquots: 0,
        lookups: 0,
        reads: 0,
        syncs: 0,
        writes: 0,
      },
      protected_fifos: nameProtection('fifos', 2),
      protected_hardlinks: nameProtection('hardlinks', 1),
      protected_regular: nameProtection('regular', 2),
      protected_symlinks: nameProtection('symlinks', 1),
      suid_dumpable: integer(
        () => kernel.core.suidDumpable,
        (_t, v) => {
          kernel.core.suidDumpable = v;
        },
        0,
        2,
      ),
    },
    kernel: {
      arch: 'x86_64',
      cad_pid: 0,
      'ctrl-alt-del': 1,
      hardlockup_all_cpu_backtrace: 0,
      hardlockup_panic: 0,
      hung_task_all_cpu_backtrace: 0,
      hung_task_panic: 0,
      hung_task_timeout_secs: 120,
      hung_task_warnings: 10,
      max_rcu_stall_to_panic: 0,
      msg_next_id: -1,
      nmi_watchdog: 0,
      oops_all_cpu_backtrace: 0,
      oops_limit: 10000,
      panic_on_io_nmi: 0,
      panic_on_rcu_stall: 0,
      panic_on_unrecovered_nmi: 0,
      panic_on_warn: 0,
      panic_print: 0,
      perf_cpu_time_max_percent: 25,
      perf_event_max_contexts_per_stack: 8,
      perf_event_max_sample_rate: 100000,
      perf_event_max_stack: 127,
      perf_event_mlock_kb: 516,
      poweroff_cmd: '/sbin/poweroff',
      'print-fatal-signals': 0,
      printk_delay: 0,
      printk_devkmsg: 'ratelimit',
      printk_ratelimit: 5,
      printk_ratelimit_burst: 10,
      sched_cfs_bandwidth_slice_us: 5000,
      sched_deadline_period_max_us: 4194304,
      sched_deadline_period_min_us: 100,
      sem_next_id: -1,
      shm_next_id: -1,
      soft_watchdog: 1,
      softlockup_all_cpu_backtrace: 0,
      softlockup_panic: 0,
      timer_migration: 1,
      unknown_nmi_panic: 0,
      warn_limit: 0,
      watchdog: 1,
      watchdog_thresh: 10,
      auto_msgmni: 0,
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
      dmesg_restrict: 1,
      domainname: new Variable(
        (t) => t.ns.uts.domainname,
        (t, text) => {
          t.ns.uts.domainname = utsText(text);
          return 0;
        },
      ),
      hostname: new Variable(
        (t) => t.ns.uts.nodename,
        (t, text) => {
          t.ns.uts.nodename = utsText(text);
          return 0;
        },
      ),
      io_uring_disabled: 2,
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
      msgmax: ipc('msgmax', 0, 0x7fffffff),
      msgmnb: ipc('msgmnb', 0, 0x7fffffff),
      msgmni: ipc('msgmni', 0, 32768),
      ngroups_max: 65536,
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
      osrelease: UTS_RELEASE,
      ostype: UTS_SYSNAME,
      overflowgid: 65534,
      overflowuid: 65534,
      panic: 0,
      panic_on_oops: 0,
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
      printk: '4\t4\t1\t7',
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
      sched_rr_timeslice_ms: 100,
      sched_rt_period_us: 1000000,
      sched_rt_runtime_us: 950000,
      seccomp: {
        actions_avail: 'kill_process kill_thread trap errno user_notif trace log allow',
        actions_logged: 'kill_process kill_thread trap errno user_notif trace log',
      },
      sem: semLimits(),
      shm_rmid_forced: 0,
      shmall: ipc('shmall', 0, 2 ** 64),
      shmmax: ipc('shmmax', 0, 2 ** 64),
      shmmni: ipc('shmmni', 0, 32768),
      sysctl_writes_strict: 1,
      tainted: 0,
      'threads-max': threadsMax,
      unprivileged_bpf_disabled: 2,
      version: UTS_VERSION,
    },
    net: {
      core: {
        ...CORE,
        default_qdisc: 'pfifo_fast',
        netdev_max_backlog: 1000,
        optmem_max: 131072,
        rmem_default: 212992,
        rmem_max: 212992,
        somaxconn: 4096,
        wmem_default: 212992,
        wmem_max: 212992,
      },
      ipv4: {
        ...IPV4,
        conf: new PerInterface(ipv4Conf, ['all', 'default']),
        neigh: new PerInterface(ipv4Neighbours, []),
        tcp_mem: `${Math.floor(pagesTotal / 10)}\t${Math.floor(pagesTotal / 8)}\t${Math.floor(pagesTotal / 5)}`,
      },
      ipv6: {
        ...IPV6,
        conf: new PerInterface(ipv6Conf, ['all', 'default']),
        neigh: new PerInterface(ipv6Neighbours, []),
      },
      unix: { max_dgram_qlen: 512 },
    },
    user: {
      max_inotify_instances: inotifyLimit('instances'),
      max_inotify_watches: inotifyLimit('watches'),
      ...namespaceLimits(Math.floor(threadsMax / 2)),
    },
    vm: {
      compact_unevictable_allowed: 1,
      compaction_proactiveness: 20,
      dirty_background_bytes: 0,
      dirty_bytes: 0,
      dirtytime_expire_seconds: 43200,
      extfrag_threshold: 500,
      laptop_mode: 0,
      lowmem_reserve_ratio: '256\t256\t32\t0\t0',
      min_slab_ratio: 5,
      min_unmapped_ratio: 1,
      mmap_rnd_compat_bits: 8,
      nr_hugepages_mempolicy: 0,
      numa_stat: 1,
      page_lock_unfairness: 5,
      percpu_pagelist_high_fraction: 0,
      stat_interval: 1,
      watermark_boost_factor: 15000,
      watermark_scale_factor: 10,
      admin_reserve_kbytes: 8192,
      dirty_background_ratio: 10,
      dirty_expire_centisecs: 3000,
      dirty_ratio: 20,
      dirty_writeback_centisecs: 500,
      // The sandbox has no caches of pages; names and attributes are dropped by their own rules.
      drop_caches: integer(
        () => 0,
        () => {},
        1,
        4,
      ),
      hugetlb_shm_group: 0,
      legacy_va_layout: 0,
      max_map_count: integer(maxMapCount, (_t, v) => setMaxMapCount(v), 0, 65530),
      memfd_noexec: 0,
      min_free_kbytes: 67584,
      mmap_min_addr: kernel.platform.minAddr,
      mmap_rnd_bits: 28,
      nr_hugepages: 0,
      nr_overcommit_hugepages: 0,
      oom_dump_tasks: 1,
      oom_kill_allocating_task: 0,
      overcommit_kbytes: 0,
      overcommit_memory: 0,
      overcommit_ratio: 50,
      'page-cluster': 3,
      panic_on_oom: 0,
      swappiness: 60,
      unprivileged_userfaultfd: 0,
      user_reserve_kbytes: 131072,
      vfs_cache_pressure: 100,
      zone_reclaim_mode: 0,
    },
  };
}

function openFiles(env: ProcEnv): number {
  let n = 0;
  for (const g of env.kernel.allGroups()) if (!g.leader.dead) n += g.leader.fdTable.fds().length;
  return n;
}
