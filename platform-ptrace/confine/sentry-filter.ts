/** The sentry's allow-list: Node's, and what the kernel and the platforms do on the host. */
import type { Row } from './filter-table.ts';
import { nodeRows } from './node-filter.ts';

export interface SentryFilterOptions {
  /** Own process id in the PID namespace. */
  readonly pid: number;
  readonly platform: 'systrap' | 'ptrace';
}

/** SECCOMP_IOCTL_NOTIF_RECV, SEND, ID_VALID, ADDFD, SET_FLAGS */
const SECCOMP_NOTIF = [0xc0502100, 0xc0182101, 0x40082102, 0x40182103, 0x40082104];
/** TIOCGPGRP TIOCSWINSZ TIOCOUTQ FIONREAD, SIOCATMARK, GSTAMP, GSTAMPNS and SIOCOUTQNSD: state of donated terminals, pipes and sockets. */
const IO_STATE = [0x540f, 0x5414, 0x5411, 0x541b, 0x8905, 0x8906, 0x8907, 0x894b];
/** SIOCGIFNAME CONF FLAGS ADDR DSTADDR BRDADDR NETMASK METRIC MTU HWADDR INDEX TXQLEN, SIOCGARP, MAP, SIOCETHTOOL: facts about interfaces. */
const IF_FACTS = [
  0x8910, 0x8912, 0x8913, 0x8915, 0x8917, 0x8919, 0x891b, 0x891d, 0x8921, 0x8927, 0x8933, 0x8942, 0x8954,
  0x8970, 0x8946,
];
/** GETLK SETLK SETLKW, OFD_GETLK OFD_SETLK OFD_SETLKW, SETPIPE_SZ GETPIPE_SZ, ADD_SEALS GET_SEALS */
const FCNTL = [5, 6, 7, 36, 37, 38, 1031, 1032, 1033, 1034];
/** No user, no group: chown(2) leaves them alone. */
const NOBODY = 0xffffffff;
const SIGKILL = 9;
/** The signal by which systrap stops a running guest thread. */
const SIGURG = 23;
const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_FLAGS_CLEAR = ~(0o4000 | 0o2000000) >>> 0;
/** IPPROTO_IP, ICMP, TCP, UDP, ICMPV6, UDPLITE */
const PROTOCOLS = [0, 1, 6, 17, 58, 136];
const SOL_SOCKET = 1;
/** All up to SO_PASSRIGHTS, but not SO_ATTACH_BPF, SO_ATTACH_REUSEPORT_EBPF and SO_DEVMEM_*. */
const SO_NAMES = Array.from({ length: 84 }, (_, name) => name).filter(
  (n) => ![50, 52, 78, 79, 80].includes(n),
);
/** SOL_IP, SOL_TCP, SOL_UDP, SOL_IPV6, SOL_UDPLITE */
const PROTOCOL_LEVELS = [0, 6, 17, 41, 136];
/** SOL_ICMPV6 and SOL_RAW: filters of types, IPV6_CHECKSUM. */
const ICMP_LEVELS = [58, 255];
const SOL_PACKET = 263;
const SOL_NETLINK = 270;
/** PKTINFO CAP_ACK EXT_ACK GET_STRICT_CHK: of the sentry's own route sockets. */
const NETLINK_NAMES = [3, 10, 11, 12];
/** ADD_MEMBERSHIP DROP_MEMBERSHIP AUXDATA ORIGDEV VNET_HDR FANOUT ROLLOVER_STATS IGNORE_OUTGOING VNET_HDR_SZ: no rings. */
const PACKET_NAMES = [1, 2, 8, 9, 15, 18, 21, 23, 24];
/** PEEKUSER POKEUSER CONT GETREGS SETREGS SYSEMU, GETEVENTMSG GETSIGINFO GET/SETREGSET SEIZE INTERRUPT, GET_SYSCALL_INFO */
const PTRACE = [3, 6, 7, 12, 13, 31, 0x4201, 0x4202, 0x4204, 0x4205, 0x4206, 0x4207, 0x420e];

export function sentryRows(options: SentryFilterOptions): Row[] {
  const rows: Row[] = [
    { calls: 'ioctl', when: [[{ arg: 1, is: SECCOMP_NOTIF }]], why: 'the gate and sleeping guests' },
    {
      calls: 'kill',
      when: [[{ arg: 1, is: [SIGKILL] }]],
      why: 'stopping and ending guest processes; nothing else is in the PID namespace',
    },
    {
      calls: 'tgkill',
      when: [[{ arg: 2, is: [0, SIGURG, SIGKILL] }]],
      why: 'the same; 0: is a thread of that process',
    },
    ...nodeRows(options.pid),
    {
      calls: 'process_vm_readv process_vm_writev',
      why: 'guest memory; reaches any process of the PID namespace',
    },
    {
      calls: 'move_pages',
      when: [
        [
          { arg: 3, is: [0] },
          { arg: 5, is: [0] },
        ],
      ],
      why: 'which pages of guests are in memory; without nodes it moves none',
    },
    { calls: 'pread64 pwrite64 preadv pwritev preadv2 pwritev2 lseek', why: 'contents of donated files' },
    { calls: 'ftruncate fallocate fdatasync sync_file_range fstatfs copy_file_range', why: 'the same' },
    {
      calls: 'fchown',
      when: [
        [
          { arg: 1, is: [NOBODY] },
          { arg: 2, is: [NOBODY] },
        ],
      ],
      why: 'time of change of donated files; it gives them to nobody',
    },
    { calls: 'fcntl', when: [[{ arg: 1, is: FCNTL }]], why: 'host locks, pipe sizes, seals of memfds' },
    { calls: 'ioctl', when: [[{ arg: 1, is: IO_STATE }]], why: 'donated terminals, pipes and sockets' },
    { calls: 'ioctl', when: [[{ arg: 1, is: IF_FACTS }]], why: 'interface queries of guests' },
    {
      calls: 'memfd_create',
      why: 'shared guest memory, slot areas, tmpfs files, copies of small ones, patched text',
    },
    { calls: 'pidfd_open pidfd_send_signal waitid', why: 'ends of guest processes' },
    { calls: 'timerfd_create timerfd_settime timerfd_gettime', why: 'guest timers' },
    { calls: 'sched_setaffinity', why: 'placement of guests and of this thread' },
    { calls: 'sendto recvfrom sendmsg recvmsg', why: 'gofer, launcher, guest sockets' },
    {
      calls: 'socket',
      when: [
        [
          { arg: 0, is: [AF_INET, AF_INET6] },
          { arg: 1, mask: SOCK_FLAGS_CLEAR, is: [SOCK_STREAM, SOCK_DGRAM] },
          { arg: 2, is: PROTOCOLS },
        ],
      ],
      why: 'guest internet sockets, in the network namespace that the sandbox was given',
    },
    { calls: 'bind connect listen accept4 getsockname getpeername getsockopt', why: 'the same' },
    {
      calls: 'setsockopt',
      when: [
        [
          { arg: 1, is: [SOL_SOCKET] },
          { arg: 2, is: SO_NAMES },
        ],
        [{ arg: 1, is: PROTOCOL_LEVELS }],
        [
          { arg: 1, is: ICMP_LEVELS },
          { arg: 2, is: [1, 7] },
        ],
        [
          { arg: 1, is: [SOL_PACKET] },
          { arg: 2, is: PACKET_NAMES },
        ],
        [
          { arg: 1, is: [SOL_NETLINK] },
          { arg: 2, is: NETLINK_NAMES },
        ],
      ],
      why: 'the same; classic packet filters',
    },
  ];
  if (options.platform === 'ptrace') {
    rows.unshift({ calls: 'ptrace', when: [[{ arg: 0, is: PTRACE }]], why: 'the ptrace platform' });
    rows.push({ calls: 'signalfd4', why: 'its event loop' });
  }
  return rows;
}
