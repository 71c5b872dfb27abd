/** READ, WRITE and their kin (io_uring/rw.c), by the loops of read(2) and write(2). */
import { EBADF, EFAULT, EINVAL, EOPNOTSUPP, EPERM } from '../../sentry/abi/errno.ts';
import { O_NONBLOCK } from '../../sentry/abi/fcntl.ts';
import { IORING_SETUP_IOPOLL, IOSQE_BUFFER_SELECT } from '../../sentry/abi/io-uring.ts';
import { CAP_SYS_ADMIN, CAP_SYS_NICE } from '../../sentry/auth/capability.ts';
import type { SysResult } from '../../sentry/kernel/syscall-table.ts';
import type { Task } from '../../sentry/kernel/task.ts';
import { RWF_NOWAIT, type FileDescription } from '../../sentry/vfs/file-description.ts';
import { readVec, type IoWait } from '../io.ts';
import { importBuffer, importIovec, importRanges, iovRanges, iovTotal } from '../iovec.ts';
import { checkRwFlags, writeFlagged } from '../read-write.ts';
import { bufferFlags, dropBuffer, selectBuffer } from './buffers.ts';
import { ownRow } from './op-calls.ts';
import type { Op } from './op.ts';
import { wide, type Request } from './request.ts';

/** A transfer: its ranges, as they were when it was submitted, and where in the file it is. */
interface Transfer {
  ranges: { addr: number; len: number }[];
  total: number;
  /** −1: the file's own position, or a stream. */
  pos: number;
}

const IOPRIO_CLASS_RT = 1;
const IOPRIO_CLASS_IDLE = 3;

/** ioprio_check_cap() */
function checkPrio(r: Request, t: Task): number {
  const ioClass = r.prio >> 13;
  if (ioClass === IOPRIO_CLASS_RT && !t.creds.has(CAP_SYS_ADMIN) && !t.creds.has(CAP_SYS_NICE)) return -EPERM;
  return ioClass > IOPRIO_CLASS_IDLE || (ioClass === 0 && r.prio !== 0) ? -EINVAL : 0;
}

function prepare(r: Request, t: Task, vectored: boolean): number {
  const bad = checkPrio(r, t);
  if (bad < 0) return bad;
  const selects = r.has(IOSQE_BUFFER_SELECT);
  if (vectored && selects && r.len > 1) return -EINVAL;
  let error = 0;
  if (vectored && !selects) error = importIovec(t, r.addr, r.len);
  else if (!selects) error = importBuffer(r.addr, r.len);
  if (error < 0) return error;
  r.state = {
    ranges: selects ? [] : iovRanges(),
    total: selects ? r.len : iovTotal(),
    pos: 0,
  } satisfies Transfer;
  return 0;
}

/** io_import_fixed(): the range lies in the registered buffer. */
function checkFixed(r: Request): number {
  const b = r.ring.buffers?.[r.bufIndex] ?? null;
  return b === null || r.addr < b.addr || r.addr + r.len > b.addr + b.len ? -EFAULT : 0;
}

/** The offset of the entry: −1 for the file's own position, which streams have none of. */
function positionOf(r: Request, f: FileDescription): number {
  const [lo, hi] = [r.sqe[2]!, r.sqe[3]!];
  if (!f.seekable || (lo === 0xffffffff && hi === 0xffffffff)) return -1;
  return hi >= 0x80000000 ? -EINVAL : wide(r.sqe, 2);
}

function checkFile(r: Request, write: boolean, fixed: boolean): number {
  const f = r.file!;
  if ((r.ring.setup & IORING_SETUP_IOPOLL) !== 0) return -EOPNOTSUPP;
  if (!(write ? f.writable : f.readable)) return -EBADF;
  const bad = checkRwFlags(f, r.opFlags, write);
  if (bad < 0) return bad;
  if (fixed && checkFixed(r) < 0) return -EFAULT;
  if (!(write ? f.canWrite : f.canRead)) return -EINVAL;
  const s = r.state as Transfer;
  s.pos = positionOf(r, f);
  return s.pos < -1 ? s.pos : 0;
}

/** O_NONBLOCK is for files that cannot say whether they would block; of others io_uring waits (REQ_F_SUPPORT_NOWAIT). */
function mayNotWait(r: Request, f: FileDescription, write: boolean): boolean {
  if ((r.opFlags & RWF_NOWAIT) !== 0) return true;
  return (f.flags & O_NONBLOCK) !== 0 && (f.rwFlags(write) & RWF_NOWAIT) === 0;
}

function transfer(t: Task, r: Request, write: boolean): SysResult {
  const s = r.state as Transfer;
  const f = r.file!;
  const w = t.blockState as IoWait | null;
  const selects = r.has(IOSQE_BUFFER_SELECT);
  if (selects) {
    const b = selectBuffer(r, t, s.total);
    if (typeof b === 'number') {
      w?.release();
      return b;
    }
    s.ranges = [b];
  }
  importRanges(s.ranges);
  if (iovTotal() === 0 && s.ranges.length !== 1) return 0;
  const noWait = mayNotWait(r, f, write);
  const n = write ? writeFlagged(t, f, s.pos, r.opFlags, noWait, w) : readVec(t, f, s.pos, noWait, w);
  if (selects && (n < 0 || t.blockState !== null)) dropBuffer(r);
  if (n > 0) r.ring.moved += n;
  return n;
}

function op(name: string, write: boolean, kind: 'plain' | 'vectored' | 'fixed'): Op {
  const row = ownRow(name, (t, r) => transfer(t, r, write));
  return {
    name,
    needsFile: true,
    usesPrio: true,
    polls: true,
    selectsBuffer: !write && kind !== 'fixed',
    prep: (r, t) => prepare(r, t, kind === 'vectored'),
    begin(r) {
      const bad = checkFile(r, write, kind === 'fixed');
      return bad < 0 ? bad : row;
    },
    failed: (r, result) => result !== (r.state as Transfer | null)?.total,
    cqeFlags: bufferFlags,
    end: dropBuffer,
  };
}

export const READV = op('READV', false, 'vectored');
export const WRITEV = op('WRITEV', true, 'vectored');
export const READ = op('READ', false, 'plain');
export const WRITE = op('WRITE', true, 'plain');
export const READ_FIXED = op('READ_FIXED', false, 'fixed');
export const WRITE_FIXED = op('WRITE_FIXED', true, 'fixed');

/** Reads again and again, each time into another provided buffer. */
export const READ_MULTISHOT: Op = {
  ...READ,
  name: 'READ_MULTISHOT',
  usesPrio: true,
  prep(r, t) {
    if (!r.has(IOSQE_BUFFER_SELECT) || r.addr !== 0 || r.len !== 0) return -EINVAL;
    return prepare(r, t, false);
  },
  begin(r, t) {
    const row = READ.begin(r, t);
    return typeof row !== 'number' && !r.file!.pollable ? -EBADF : row;
  },
  goesOn: (_r, result) => result > 0,
  failed: (_r, result) => result < 0,
};
