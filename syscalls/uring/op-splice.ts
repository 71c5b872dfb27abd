/** SPLICE and TEE (io_uring/splice.c): the file of the entry is the output, splice_fd_in the input. */
import { EBADF, EINVAL } from '../../sentry/abi/errno.ts';
import { OTHER_FILE, type WorkerFiles } from '../../sentry/kernel/io-worker.ts';
import type { SyscallRow } from '../../sentry/kernel/syscall-table.ts';
import type { Task } from '../../sentry/kernel/task.ts';
import { MAX_RW_COUNT } from '../iovec.ts';
import { spliceFiles, type SplicePlace } from '../splice.ts';
import {
  ADDR,
  anySet,
  FILE,
  FILE_INDEX,
  FLAGS,
  LEN,
  NOTHING,
  OFF,
  ownRow,
  setArg,
  setArgs,
} from './op-calls.ts';
import type { Op } from './op.ts';
import { wide, type Request } from './request.ts';

const NR_TEE = 276;
/** splice_fd_in is a registered file. */
const SPLICE_F_FD_IN_FIXED = 2 ** 31;
const SPLICE_F_ALL = 15;

/** The offset in words `i` and `i + 1`: all ones mean none. */
function placeOf(r: Request, i: number): SplicePlace {
  const [lo, hi] = [r.sqe[i]!, r.sqe[i + 1]!];
  if (lo === 0xffffffff && hi === 0xffffffff) return { isGiven: false, pos: -1, addr: 0 };
  return { isGiven: true, pos: hi >= 0x80000000 ? -EINVAL : wide(r.sqe, i), addr: 0 };
}

const spliceRow = ownRow('SPLICE', (t, r) => {
  const len = Math.min(r.len, MAX_RW_COUNT);
  if (len === 0) return 0;
  const flags = r.opFlags % SPLICE_F_FD_IN_FIXED;
  return spliceFiles(t, r.other!, placeOf(r, 4), r.file!, placeOf(r, 2), len, flags);
});

function checkFlags(r: Request): number {
  return ((r.opFlags % SPLICE_F_FD_IN_FIXED) & ~SPLICE_F_ALL) !== 0 ? -EINVAL : 0;
}

/** Takes the input; −EBADF. */
function openInput(r: Request, t: Task): number {
  r.other = r.fileOf(r.sqe[FILE_INDEX]!, r.opFlags >= SPLICE_F_FD_IN_FIXED);
  (t.fdTable as WorkerFiles).other = r.other;
  return r.other === null ? -EBADF : 0;
}

const moves = {
  needsFile: true,
  usesPrio: false,
  selectsBuffer: false,
  failed: (r: Request, result: number): boolean => result !== r.len,
} as const;

export const SPLICE: Op = {
  ...moves,
  name: 'SPLICE',
  prep: checkFlags,
  begin: (r, t): SyscallRow | number => openInput(r, t) || spliceRow,
};

export const TEE: Op = {
  ...moves,
  name: 'TEE',
  prep: (r) => (anySet(r, [OFF, ADDR]) ? -EINVAL : checkFlags(r)),
  begin(r, t) {
    const bad = openInput(r, t);
    if (bad < 0) return bad;
    setArgs(r, t, [NOTHING, FILE, LEN, FLAGS]);
    setArg(t, 0, OTHER_FILE);
    setArg(t, 3, r.opFlags % SPLICE_F_FD_IN_FIXED);
    return t.kernel.table[NR_TEE]!;
  },
};
