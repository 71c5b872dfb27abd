/** What Node, V8 and libuv need once everything is loaded and all threads are running. Measured, see ARCHITECTURE.md. */
import { EINVAL, ENOENT, EPERM } from '../../sentry/abi/errno.ts';
import type { Row } from './filter-table.ts';

const PROT_EXEC_CLEAR = 0xfffffffc; // ~(PROT_READ | PROT_WRITE)
const MAP_SHARED = 0x1;
const MAP_PRIVATE_ANONYMOUS = 0x22;
/** ~(MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_NORESERVE | MAP_STACK) */
const MAP_PLACING_CLEAR = ~(0x10 | 0x100000 | 0x4000 | 0x20000) >>> 0;
/** WAIT, WAKE and, private, also REQUEUE, CMP_REQUEUE, WAKE_OP, WAIT_BITSET, WAKE_BITSET; with CLOCK_REALTIME. */
const FUTEX_OPS = [0, 1, 9, 10, 128, 129, 131, 132, 133, 137, 138, 265, 393];
const MADV = [1, 2, 3, 4, 8, 10, 11, 14, 15, 16, 17];
const FCNTL = [1, 2, 3, 4, 1030]; // GETFD SETFD GETFL SETFL DUPFD_CLOEXEC
const TERMINAL = [0x5401, 0x5402, 0x5403, 0x5404, 0x5413]; // TCGETS TCSETS TCSETSW TCSETSF TIOCGWINSZ
const FIONBIO = 0x5421;

/** `pid`: the process's own id in its PID namespace. */
export function nodeRows(pid: number): Row[] {
  return [
    // First what is called often and has conditions: the kernel evaluates those in order.
    { calls: 'futex', when: [[{ arg: 1, is: FUTEX_OPS }]], why: 'V8, libuv: locks and condition variables' },
    {
      calls: 'mmap',
      when: [
        [{ arg: 3, mask: MAP_PLACING_CLEAR, is: [MAP_PRIVATE_ANONYMOUS] }],
        [
          { arg: 3, mask: MAP_PLACING_CLEAR, is: [MAP_SHARED] },
          { arg: 2, mask: PROT_EXEC_CLEAR, is: [0] },
        ],
      ],
      why: 'V8: heap and code; our buffers shared with guests, never executable',
    },
    { calls: 'madvise', when: [[{ arg: 2, is: MADV }]], why: 'V8, malloc: giving memory back' },
    { calls: 'fcntl', when: [[{ arg: 1, is: FCNTL }]], why: 'libuv: descriptor flags; private duplicates' },
    {
      calls: 'tgkill',
      when: [[{ arg: 0, is: [pid] }]],
      why: 'abort(); passing a signal on to the main thread',
    },
    {
      calls: 'ioctl',
      when: [[{ arg: 1, is: [...TERMINAL, FIONBIO] }]],
      why: 'Node: state of a terminal, put back at exit; libuv: non-blocking mode',
    },
    {
      calls: 'munmap mprotect brk',
      why: 'V8 switches code pages between writable and executable: so no W^X is claimed',
    },
    { calls: 'read write readv writev close fstat', why: 'every descriptor that was donated' },
    { calls: 'epoll_pwait epoll_wait epoll_ctl epoll_create1 poll ppoll eventfd2', why: 'event loops' },
    { calls: 'clock_gettime clock_getres clock_nanosleep nanosleep sched_yield', why: 'time and waiting' },
    { calls: 'rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack restart_syscall', why: 'signals' },
    { calls: 'getpid gettid getppid uname getrusage sched_getaffinity getcpu', why: 'facts about itself' },
    {
      calls: 'set_robust_list rseq',
      why: 'a thread that Node started and that runs for the first time only now',
    },
    { calls: 'getrandom', why: 'hash seeds; guest randomness' },
    { calls: 'exit exit_group', why: 'the end' },
    { calls: 'shutdown fsync', why: 'Node at exit' },
    { calls: 'wait4', why: 'children, guest processes among them' },
    {
      calls: 'open openat stat lstat newfstatat access readlink readlinkat getcwd',
      errno: ENOENT,
      why: 'malloc and libuv look at /proc and /sys on rare paths; there is no file system',
    },
    { calls: 'getrlimit prlimit64 setrlimit sysinfo', errno: EPERM, why: 'queried on rare paths' },
    { calls: 'madvise prctl', errno: EINVAL, why: 'hints, such as names of mappings' },
  ];
}
