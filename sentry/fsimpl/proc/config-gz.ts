/**
 * /proc/config.gz (kernel/configs.c): the build options of the Linux that this kernel behaves like. Programs and test suites
 * read it to learn what they may ask for, so an option stands here exactly if its calls work in the sandbox.
 */
import { gzipSync } from 'node:zlib';
import { UTS_RELEASE } from '../../abi/utsname.ts';

const ENABLED = [
  '64BIT', 'X86_64', 'X86', 'MMU', 'SMP', 'MULTIUSER', 'POSIX_TIMERS', 'HIGH_RES_TIMERS', 'PRINTK', 'FUTEX', 'EPOLL', 'SIGNALFD',
  'TIMERFD', 'EVENTFD', 'SHMEM', 'CHECKPOINT_RESTORE', 'KCMP', 'AIO', 'IO_URING', 'RSEQ', 'MEMBARRIER', 'ADVISE_SYSCALLS', 'SYSVIPC', 'SYSVIPC_SYSCTL', 'POSIX_MQUEUE', 'POSIX_MQUEUE_SYSCTL',
  'CROSS_MEMORY_ATTACH', 'IKCONFIG', 'IKCONFIG_PROC', 'CGROUPS', 'CGROUP_PIDS', 'CPUSETS', 'MEMCG', 'NAMESPACES',
  'UTS_NS', 'TIME_NS', 'IPC_NS', 'PID_NS', 'NET_NS', 'USER_NS', 'SECCOMP', 'SECCOMP_FILTER', 'SECURITY_LANDLOCK', 'BINFMT_ELF', 'BINFMT_SCRIPT', 'NET', 'PACKET',
  'UNIX', 'AF_UNIX_OOB', 'INET', 'IPV6', 'VETH', 'BRIDGE', 'DUMMY', 'IFB', 'TUN', 'TTY', 'UNIX98_PTYS', 'DEVTMPFS', 'FILE_LOCKING', 'FSNOTIFY', 'DNOTIFY', 'KEYS', 'INOTIFY_USER', 'OVERLAY_FS', 'PROC_FS',
  'PROC_SYSCTL', 'PROC_PAGE_MONITOR', 'SYSFS', 'TMPFS', 'TMPFS_XATTR', 'TMPFS_POSIX_ACL', 'MEMFD_CREATE', 'KSM', 'BASE_FULL',
  'HZ_100',
]; // prettier-ignore

const ABSENT = [
  'USERFAULTFD', 'FANOTIFY', 'SWAP',
  'NUMA', 'MIGRATION', 'HUGETLBFS', 'TRANSPARENT_HUGEPAGE', 'BPF_SYSCALL', 'MODULES', 'QUOTA',
  'BSD_PROCESS_ACCT', 'BLOCK', 'BLK_DEV_LOOP', 'BLK_DEV_RAM', 'MEMORY_FAILURE', 'MODIFY_LDT_SYSCALL', 'IA32_EMULATION', 'X86_X32_ABI',
  'PERF_EVENTS', 'KEXEC', 'PREEMPT_RT', 'TRACING', 'TLS', 'FS_VERITY', 'USELIB',
]; // prettier-ignore

const HZ = 100;

const lines = [
  '#',
  `# Linux/x86 ${UTS_RELEASE} Kernel Configuration`,
  '#',
  ...ENABLED.map((o) => `CONFIG_${o}=y`),
  `CONFIG_HZ=${HZ}`,
  ...ABSENT.map((o) => `# CONFIG_${o} is not set`),
];

/** The compressed file as a byte string: a part of the sentry's heap snapshot, for it takes 3 ms to make. */
export const CONFIG_GZ = gzipSync(`${lines.join('\n')}\n`).toString('latin1');
