/** Operations that are system calls: which one, where its arguments stand in the entry, and what has to be zero there. */
import { EAGAIN, EBADF, EINVAL } from '../../sentry/abi/errno.ts';
import { AT_REMOVEDIR, O_CLOEXEC } from '../../sentry/abi/fcntl.ts';
import * as U from '../../sentry/abi/io-uring.ts';
import { SOCK_CLOEXEC, SOCK_NONBLOCK } from '../../sentry/abi/socket.ts';
import { OWN_FILE, type WorkerFiles } from '../../sentry/kernel/io-worker.ts';
import type { SyscallRow, SysResult } from '../../sentry/kernel/syscall-table.ts';
import { TASK_BLOCKED, TASK_KERNEL, type Task } from '../../sentry/kernel/task.ts';
import { putFixed } from './fixed-files.ts';
import type { Op } from './op.ts';
import type { Request } from './request.ts';

/** An argument: a word of the entry, with WIDE it and the next one; or a constant, negative. */
export type Arg = number;
const WIDE = 0x100;
export const FD = 1;
export const OFF = 2 | WIDE;
export const OFF_LOW = 2;
export const ADDR = 4 | WIDE;
export const LEN = 6;
export const FLAGS = 7;
/** buf_index and personality: only buf_index may be asked to be zero. */
export const BUF_INDEX = 10;
export const FILE_INDEX = 11;
export const ADDR3 = 12 | WIDE;
/** The request's file. */
export const FILE = 0x200;
export const NOTHING = 0x201;

/** Sets argument `i` of the worker's call. */
export function setArg(t: Task, i: number, lo: number, hi = 0): void {
  t.args.words[2 * i] = lo;
  t.args.words[2 * i + 1] = hi;
}

export function setArgs(r: Request, t: Task, args: readonly Arg[]): void {
  for (let i = 0; i < 6; i++) {
    const from = args[i] ?? NOTHING;
    const word = from & 0xff;
    if (from === FILE) setArg(t, i, OWN_FILE);
    else if (from === NOTHING) setArg(t, i, 0);
    else setArg(t, i, r.sqe[word]!, (from & WIDE) !== 0 ? r.sqe[word + 1]! : 0);
  }
}

/** True if one of the fields is not zero. */
export function anySet(r: Request, fields: readonly Arg[]): boolean {
  for (const field of fields) {
    const word = field & 0xff;
    if (word === BUF_INDEX ? r.bufIndex !== 0 : r.sqe[word] !== 0) return true;
    if ((field & WIDE) !== 0 && r.sqe[word + 1] !== 0) return true;
  }
  return false;
}

interface CallOptions {
  /** Fields that have to be zero. */
  readonly zero?: readonly Arg[];
  /** Further checks: 0 or −errno. */
  readonly check?: (r: Request) => number;
  /** Changes arguments. */
  readonly adjust?: (r: Request, t: Task) => void;
  /** A new file may go to a slot of the registered ones: the word that has its O_CLOEXEC, which is not for slots. */
  readonly makesFile?: Arg;
}

/** A system call; its file, if it has one, is its FILE argument. */
export function call(name: string, nr: number, args: readonly Arg[], o: CallOptions = {}): Op {
  const needsFile = args.includes(FILE);
  return {
    name,
    needsFile,
    usesPrio: false,
    selectsBuffer: false,
    prep(r) {
      if (anySet(r, o.zero ?? [])) return -EINVAL;
      if (!needsFile && r.has(U.IOSQE_FIXED_FILE) && takesNames.has(nr)) return -EBADF;
      if (o.makesFile !== undefined && r.fileIndex !== 0 && (r.sqe[o.makesFile]! & O_CLOEXEC) !== 0)
        return -EINVAL;
      return o.check?.(r) ?? 0;
    },
    begin(r, t) {
      setArgs(r, t, args);
      o.adjust?.(r, t);
      if (o.makesFile !== undefined) installDirectly(r, t);
      return t.kernel.table[nr]!;
    },
  };
}

/** What the call makes goes to a slot, if the entry names one. */
export function installDirectly(r: Request, t: Task): void {
  const slot = r.fileIndex;
  if (slot !== 0) (t.fdTable as WorkerFiles).installHook = (f) => putFixed(r.ring, slot, f);
}

/** A row for what is no system call. */
export function ownRow(name: string, fn: (t: Task, r: Request) => SysResult): SyscallRow {
  const run = (t: Task): SysResult => fn(t, t.errand as Request);
  return { nr: 426, name: `io_uring ${name}`, fn: run, args: [], support: 'full' };
}

const NR = {
  shutdown: 48, bind: 49, listen: 50, socket: 41, fsync: 74, fdatasync: 75, ftruncate: 77, madvise: 28, setxattr: 188, fsetxattr: 190,
  getxattr: 191, fgetxattr: 193, fadvise64: 221, epoll_ctl: 233, waitid: 247, openat: 257, mkdirat: 258, unlinkat: 263, linkat: 265,
  symlinkat: 266, sync_file_range: 277, fallocate: 285, pipe2: 293, renameat2: 316, statx: 332, openat2: 437, futex_wake: 454,
  futex_wait: 455,
} as const; // prettier-ignore

/** Calls with a directory instead of a file: -EBADF for IOSQE_FIXED_FILE. */
const takesNames: ReadonlySet<number> = new Set([
  NR.openat, NR.openat2, NR.statx, NR.renameat2, NR.unlinkat, NR.mkdirat, NR.symlinkat, NR.linkat, NR.setxattr, NR.getxattr,
]); // prettier-ignore

export const CALLS: readonly (readonly [number, Op])[] = [
  [
    U.IORING_OP_SYNC_FILE_RANGE,
    call('SYNC_FILE_RANGE', NR.sync_file_range, [FILE, OFF, LEN, FLAGS], {
      zero: [ADDR, BUF_INDEX, FILE_INDEX],
    }),
  ],
  [
    U.IORING_OP_FALLOCATE,
    call('FALLOCATE', NR.fallocate, [FILE, LEN, OFF, ADDR], { zero: [BUF_INDEX, FLAGS, FILE_INDEX] }),
  ],
  [
    U.IORING_OP_OPENAT,
    call('OPENAT', NR.openat, [FD, ADDR, FLAGS, LEN], { zero: [BUF_INDEX], makesFile: FLAGS }),
  ],
  [
    U.IORING_OP_OPENAT2,
    call('OPENAT2', NR.openat2, [FD, ADDR, OFF, LEN], {
      zero: [BUF_INDEX],
      check: (r) => (r.len < 24 ? -EINVAL : 0),
      adjust: installDirectly,
    }),
  ],
  [
    U.IORING_OP_STATX,
    call('STATX', NR.statx, [FD, ADDR, FLAGS, LEN, OFF], { zero: [BUF_INDEX, FILE_INDEX] }),
  ],
  [
    U.IORING_OP_FADVISE,
    call('FADVISE', NR.fadvise64, [FILE, OFF, ADDR, FLAGS], {
      zero: [BUF_INDEX, FILE_INDEX],
      adjust: (r, t) => {
        if (r.addr === 0) setArg(t, 2, r.len);
      },
    }),
  ],
  [
    U.IORING_OP_EPOLL_CTL,
    call('EPOLL_CTL', NR.epoll_ctl, [FD, LEN, OFF_LOW, ADDR], { zero: [BUF_INDEX, FILE_INDEX] }),
  ],
  [
    U.IORING_OP_SHUTDOWN,
    call('SHUTDOWN', NR.shutdown, [FILE, LEN], { zero: [OFF, ADDR, FLAGS, BUF_INDEX, FILE_INDEX] }),
  ],
  [
    U.IORING_OP_RENAMEAT,
    call('RENAMEAT', NR.renameat2, [FD, ADDR, LEN, OFF, FLAGS], { zero: [BUF_INDEX, FILE_INDEX] }),
  ],
  [
    U.IORING_OP_UNLINKAT,
    call('UNLINKAT', NR.unlinkat, [FD, ADDR, FLAGS], {
      zero: [OFF, LEN, BUF_INDEX, FILE_INDEX],
      check: (r) => ((r.opFlags & ~AT_REMOVEDIR) !== 0 ? -EINVAL : 0),
    }),
  ],
  [
    U.IORING_OP_MKDIRAT,
    call('MKDIRAT', NR.mkdirat, [FD, ADDR, LEN], { zero: [OFF, FLAGS, BUF_INDEX, FILE_INDEX] }),
  ],
  [
    U.IORING_OP_SYMLINKAT,
    call('SYMLINKAT', NR.symlinkat, [ADDR, FD, OFF], { zero: [LEN, FLAGS, BUF_INDEX, FILE_INDEX] }),
  ],
  [
    U.IORING_OP_LINKAT,
    call('LINKAT', NR.linkat, [FD, ADDR, LEN, OFF, FLAGS], { zero: [BUF_INDEX, FILE_INDEX] }),
  ],
  [U.IORING_OP_FSETXATTR, call('FSETXATTR', NR.fsetxattr, [FILE, ADDR, OFF, LEN, FLAGS])],
  [U.IORING_OP_SETXATTR, call('SETXATTR', NR.setxattr, [ADDR3, ADDR, OFF, LEN, FLAGS])],
  [U.IORING_OP_FGETXATTR, call('FGETXATTR', NR.fgetxattr, [FILE, ADDR, OFF, LEN], { zero: [FLAGS] })],
  [U.IORING_OP_GETXATTR, call('GETXATTR', NR.getxattr, [ADDR3, ADDR, OFF, LEN], { zero: [FLAGS] })],
  [
    U.IORING_OP_SOCKET,
    call('SOCKET', NR.socket, [FD, OFF_LOW, LEN], {
      zero: [ADDR, FLAGS, BUF_INDEX],
      check: (r) => ((r.sqe[OFF_LOW]! & ~(SOCK_CLOEXEC | SOCK_NONBLOCK | 0xf)) !== 0 ? -EINVAL : 0),
      makesFile: OFF_LOW,
    }),
  ],
  [
    U.IORING_OP_WAITID,
    call('WAITID', NR.waitid, [LEN, FD, OFF, FILE_INDEX], { zero: [ADDR, BUF_INDEX, ADDR3, FLAGS] }),
  ],
  [
    U.IORING_OP_FUTEX_WAIT,
    call('FUTEX_WAIT', NR.futex_wait, [ADDR, OFF, ADDR3, FD], { zero: [LEN, FLAGS, BUF_INDEX, FILE_INDEX] }),
  ],
  [
    U.IORING_OP_FUTEX_WAKE,
    call('FUTEX_WAKE', NR.futex_wake, [ADDR, ADDR3, OFF, FD], { zero: [LEN, FLAGS, BUF_INDEX, FILE_INDEX] }),
  ],
  [
    U.IORING_OP_FTRUNCATE,
    call('FTRUNCATE', NR.ftruncate, [FILE, OFF], { zero: [FLAGS, ADDR, LEN, BUF_INDEX, FILE_INDEX, ADDR3] }),
  ],
  [
    U.IORING_OP_BIND,
    call('BIND', NR.bind, [FILE, ADDR, OFF_LOW], { zero: [LEN, BUF_INDEX, FLAGS, FILE_INDEX] }),
  ],
  [
    U.IORING_OP_LISTEN,
    call('LISTEN', NR.listen, [FILE, LEN], { zero: [ADDR, BUF_INDEX, FLAGS, FILE_INDEX, OFF] }),
  ],
];

const madvise = call('MADVISE', NR.madvise, [ADDR, OFF, FLAGS], {
  zero: [BUF_INDEX, FILE_INDEX],
  adjust: (r, t) => {
    if (!anySet(r, [OFF])) setArg(t, 1, r.len);
  },
});

/** Orders for memory are carried out by the owner's thread: it has to be in the kernel, in this call or waiting. */
export const MADVISE: Op = {
  ...madvise,
  begin(r, t) {
    const { state } = r.owner;
    return state === TASK_KERNEL || state === TASK_BLOCKED ? madvise.begin(r, t) : -EAGAIN;
  },
};

/** fsync(2) or fdatasync(2); of a range, which is checked only. */
export const FSYNC: Op = {
  name: 'FSYNC',
  needsFile: true,
  usesPrio: false,
  selectsBuffer: false,
  prep: (r) =>
    anySet(r, [ADDR, BUF_INDEX, FILE_INDEX]) || (r.opFlags & ~U.IORING_FSYNC_DATASYNC) !== 0 ? -EINVAL : 0,
  begin(r, t) {
    setArgs(r, t, [FILE]);
    return t.kernel.table[r.opFlags === 0 ? NR.fsync : NR.fdatasync]!;
  },
};
