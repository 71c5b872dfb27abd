/** io_uring_setup(2) (io_uring/io_uring.c io_uring_create). */
import { EBADF, EFAULT, EINVAL, EMFILE, EPERM } from '../../sentry/abi/errno.ts';
import * as U from '../../sentry/abi/io-uring.ts';
import type { SyscallArgs } from '../../sentry/arch/syscall-args.ts';
import { CAP_SYS_ADMIN } from '../../sentry/auth/capability.ts';
import type { SysResult } from '../../sentry/kernel/syscall-table.ts';
import type { Task } from '../../sentry/kernel/task.ts';
import { scratch } from '../../sentry/usermem/user-memory.ts';
import { installFd, openFileLimit } from '../fd-install.ts';
import { uringsOf } from './kernel-urings.ts';
import * as R from './rings.ts';
import { UringFile } from './uring-file.ts';

const PARAMS_SIZE = 120;

const FEATURES =
  U.IORING_FEAT_SINGLE_MMAP |
  U.IORING_FEAT_NODROP |
  U.IORING_FEAT_RW_CUR_POS |
  U.IORING_FEAT_CUR_PERSONALITY |
  U.IORING_FEAT_FAST_POLL |
  U.IORING_FEAT_POLL_32BITS |
  U.IORING_FEAT_EXT_ARG |
  U.IORING_FEAT_NATIVE_WORKERS |
  U.IORING_FEAT_CQE_SKIP |
  U.IORING_FEAT_LINKED_FILE |
  U.IORING_FEAT_REG_REG_RING |
  U.IORING_FEAT_MIN_TIMEOUT |
  U.IORING_FEAT_NO_IOWAIT;

/** Nobody polls for submissions here (IORING_SETUP_SQPOLL), and rings do not lie in memory of the guest's (IORING_SETUP_NO_MMAP). */
const KNOWN =
  U.IORING_SETUP_IOPOLL |
  U.IORING_SETUP_SQPOLL |
  U.IORING_SETUP_CQSIZE |
  U.IORING_SETUP_CLAMP |
  U.IORING_SETUP_ATTACH_WQ |
  U.IORING_SETUP_R_DISABLED |
  U.IORING_SETUP_SUBMIT_ALL |
  U.IORING_SETUP_COOP_TASKRUN |
  U.IORING_SETUP_TASKRUN_FLAG |
  U.IORING_SETUP_SQE128 |
  U.IORING_SETUP_CQE32 |
  U.IORING_SETUP_SINGLE_ISSUER |
  U.IORING_SETUP_DEFER_TASKRUN |
  U.IORING_SETUP_NO_SQARRAY;

function checkFlags(flags: number): number {
  const has = (f: number): boolean => (flags & f) !== 0;
  if ((flags & ~KNOWN) !== 0) return -EINVAL;
  const runsTasks = U.IORING_SETUP_COOP_TASKRUN | U.IORING_SETUP_DEFER_TASKRUN;
  if (has(U.IORING_SETUP_TASKRUN_FLAG) && !has(runsTasks)) return -EINVAL;
  if (has(U.IORING_SETUP_DEFER_TASKRUN) && !has(U.IORING_SETUP_SINGLE_ISSUER)) return -EINVAL;
  return has(U.IORING_SETUP_SQPOLL) && has(runsTasks | U.IORING_SETUP_TASKRUN_FLAG) ? -EINVAL : 0;
}

const roundUp = (n: number): number => 2 ** Math.ceil(Math.log2(n));

/** Entries of a ring, a power of two; −EINVAL. */
function entriesOf(wanted: number, max: number, flags: number): number {
  if (wanted === 0 || (wanted > max && (flags & U.IORING_SETUP_CLAMP) === 0)) return -EINVAL;
  return roundUp(Math.min(wanted, max));
}

export function sysIoUringSetup(t: Task, a: SyscallArgs): SysResult {
  const { disabled, group } = t.kernel.ioUring;
  const mayAsk = disabled === 0 || (disabled === 1 && (t.creds.inGroup(group) || t.creds.has(CAP_SYS_ADMIN)));
  if (!mayAsk) return -EPERM;
  if (t.mem.copyIn(a.addr(1), scratch.bytes, 0, PARAMS_SIZE) !== 0) return -EFAULT;
  const p = scratch.u32;
  if (p[7] !== 0 || p[8] !== 0 || p[9] !== 0) return -EINVAL;
  const flags = p[2]!;
  const bad = checkFlags(flags);
  if (bad < 0) return bad;
  const sqEntries = entriesOf(a.uint(0), U.IORING_MAX_ENTRIES, flags);
  if (sqEntries < 0) return sqEntries;
  let cqEntries = 2 * sqEntries;
  if ((flags & U.IORING_SETUP_CQSIZE) !== 0) {
    cqEntries = entriesOf(p[1]!, U.IORING_MAX_CQ_ENTRIES, flags);
    if (cqEntries < sqEntries) return -EINVAL;
  }
  if ((flags & U.IORING_SETUP_SQPOLL) !== 0) return -EPERM;
  if ((flags & U.IORING_SETUP_SQ_AFF) !== 0) return -EINVAL;
  if ((flags & U.IORING_SETUP_ATTACH_WQ) !== 0) {
    const f = t.fdTable.get(p[6]! | 0);
    if (!(f instanceof UringFile)) return f === null ? -EBADF : -EINVAL;
  }
  if (!t.fdTable.hasRoom(openFileLimit(t))) return -EMFILE;
  return create(t, a.addr(1), flags, sqEntries, cqEntries);
}

function create(t: Task, paramsAt: number, flags: number, sqEntries: number, cqEntries: number): SysResult {
  const rings = R.Rings.create(flags, sqEntries, cqEntries);
  if (typeof rings === 'number') return rings;
  uringsOf(t.kernel);
  const disabled = (flags & U.IORING_SETUP_R_DISABLED) !== 0;
  const isSingle = (flags & U.IORING_SETUP_SINGLE_ISSUER) !== 0;
  const file = new UringFile(rings, flags, disabled, isSingle && !disabled ? t : null);
  const p = scratch.u32;
  p.fill(0, 10, PARAMS_SIZE / 4);
  p[0] = sqEntries;
  p[1] = cqEntries;
  p[5] = FEATURES;
  p.set([R.SQ_HEAD, R.SQ_TAIL, R.SQ_MASK, R.SQ_ENTRIES, R.SQ_FLAGS, R.SQ_DROPPED, rings.arrayAt], 10);
  p.set([R.CQ_HEAD, R.CQ_TAIL, R.CQ_MASK, R.CQ_ENTRIES, R.CQ_OVERFLOW, R.CQES, R.CQ_FLAGS], 20);
  if (t.mem.copyOut(paramsAt, scratch.bytes, 0, PARAMS_SIZE) === 0) return installFd(t, file, true);
  file.unref();
  return -EFAULT;
}
