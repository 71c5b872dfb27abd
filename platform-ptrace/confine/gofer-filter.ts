/** The gofer's allow-list: Node's, and file system calls. Which files, is decided by its root and by the server's walk. */
import type { Row } from './filter-table.ts';
import { nodeRows } from './node-filter.ts';

const S_IFMT = 0o170000;
const FCNTL = [5, 6, 7, 36, 37, 38]; // GETLK SETLK SETLKW, OFD_GETLK OFD_SETLK OFD_SETLKW
const AF_UNIX = 1;
const SOL_SOCKET = 1;
/** SO_SNDBUF, SO_RCVBUF and their FORCE variants */
const SO_BUFFERS = [7, 8, 32, 33];

const socketRows: Row[] = [
  {
    calls: 'socket',
    when: [[{ arg: 0, is: [AF_UNIX] }]],
    why: 'connections to sockets in its trees, only with `--host-uds=open` or NOTIFY_SOCKET',
  },
  { calls: 'connect', why: 'the same' },
];

export function goferRows(pid: number, hostSockets: boolean): Row[] {
  return [
    // Before Node's rows, which answer these with an error.
    { calls: 'openat openat2 readlinkat newfstatat statx', why: 'the walk, and opening what it found' },
    ...nodeRows(pid),
    { calls: 'getdents64 lseek fstatfs', why: 'directories and file systems' },
    { calls: 'mkdirat symlinkat linkat unlinkat renameat2', why: 'names' },
    {
      calls: 'mknodat',
      when: [[{ arg: 2, mask: S_IFMT, is: [0, 0o100000, 0o010000, 0o140000] }]],
      why: 'files, FIFOs and sockets; never devices',
    },
    { calls: 'fchmod fchmodat fchown fchownat utimensat ftruncate fallocate', why: 'attributes' },
    { calls: 'inotify_init1 inotify_add_watch inotify_rm_watch', why: 'changes that others make' },
    { calls: 'fgetxattr fsetxattr flistxattr llistxattr fremovexattr', why: 'extended attributes' },
    {
      calls: 'pread64 pwrite64 preadv pwritev preadv2 pwritev2 fdatasync sync_file_range copy_file_range',
      why: 'contents of files that are not donated',
    },
    { calls: 'fcntl', when: [[{ arg: 1, is: FCNTL }]], why: 'locks' },
    { calls: 'flock', why: 'locks' },
    { calls: 'dup dup3', why: 'placing descriptors' },
    { calls: 'sendto recvfrom sendmsg recvmsg', why: 'the sentry' },
    {
      calls: 'setsockopt getsockopt',
      when: [
        [
          { arg: 1, is: [SOL_SOCKET] },
          { arg: 2, is: SO_BUFFERS },
        ],
      ],
      why: "the sentry's socket",
    },
    ...(hostSockets ? socketRows : []),
  ];
}
