/** Facts about the machine and small services: sysinfo, getrandom, syslog. Linux: kernel/sys.c, drivers/char/random.c. */
import { EFAULT, EINVAL, EPERM } from '../sentry/abi/errno.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { CAP_SYSLOG } from '../sentry/auth/capability.ts';
import { memoryFigures } from '../sentry/fsimpl/proc/memory.ts';
import {
  flags,
  int,
  outBuf,
  outStruct,
  ptr,
  size,
  type SysResult,
  type SyscallRow,
} from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { clockNs } from '../sentry/host/sys.ffi.ts';
import { fillRandom } from '../sentry/lib/random.ts';
import { CLOCK_BOOTTIME } from '../sentry/time/clock.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';
import { RUN_BUDGET } from './io.ts';

const GRND_NONBLOCK = 1;
const GRND_RANDOM = 2;
const GRND_INSECURE = 4;
const MAX_RW_COUNT = 0x7ffff000;
/** Fraction bits of loads. */
const SI_LOAD_SHIFT = 16;
const SYSINFO_SIZE = 112;

const pool = Buffer.alloc(4096);

/** getrandom(2). The host's generator is always ready, so nothing ever blocks. */
function sysGetrandom(t: Task, a: SyscallArgs): SysResult {
  const how = a.uint(2);
  if ((how & ~(GRND_NONBLOCK | GRND_RANDOM | GRND_INSECURE)) !== 0) return -EINVAL;
  if ((how & (GRND_RANDOM | GRND_INSECURE)) === (GRND_RANDOM | GRND_INSECURE)) return -EINVAL;
  const len = Math.min(a.size(1), MAX_RW_COUNT);
  const addr = a.addr(0);
  let done = (t.blockState as number | null) ?? 0;
  const budget = done + RUN_BUDGET;
  // "Requests of up to 256 bytes will always return as many bytes as requested"; larger ones end at a signal.
  while (done < len && !(done >= 256 && t.interrupted)) {
    const n = Math.min(len - done, pool.length);
    fillRandom(pool, 0, n);
    const copied = t.mem.copyOutPartial(addr + done, pool, 0, n);
    if (copied < 0) return done > 0 ? done : -EFAULT;
    done += copied;
    if (copied < n) break;
    if (done >= budget && done < len) return t.yieldCall(done, done);
  }
  return done;
}

/** sysinfo(2). Memory is the container's. */
function sysSysinfo(t: Task, a: SyscallArgs): SysResult {
  const { bytes, view } = scratch;
  bytes.fill(0, 0, SYSINFO_SIZE);
  const u64 = (at: number, v: number): void => {
    view.setUint32(at, v >>> 0, true);
    view.setUint32(at + 4, Math.floor(v / 0x100000000), true);
  };
  u64(0, Math.ceil((clockNs(CLOCK_BOOTTIME) + t.ns.time.shiftNs(CLOCK_BOOTTIME)) / 1e9));
  const memory = t.kernel.memoryOf(t.group.container);
  const { freeKb, sharedKb } = memoryFigures(t.kernel, memory);
  t.kernel.load.note(t.kernel, t.kernel.clock.monotonicNs(), true);
  for (let i = 0; i < 3; i++) u64(8 + 8 * i, t.kernel.load.scaled(i, SI_LOAD_SHIFT));
  u64(32, memory);
  u64(40, freeKb * 1024);
  u64(48, sharedKb * 1024);
  view.setUint16(80, Math.min(t.pidNs.groups().length, 0xffff), true);
  view.setUint32(104, 1, true);
  return t.mem.copyOut(a.addr(0), bytes, 0, SYSINFO_SIZE);
}

const SYSLOG_ACTION_CLOSE = 0;
const SYSLOG_ACTION_OPEN = 1;
const SYSLOG_ACTION_READ_ALL = 3;
const SYSLOG_ACTION_SIZE_UNREAD = 9;
const SYSLOG_ACTION_SIZE_BUFFER = 10;
const LOG_BUFFER_SIZE = 1 << 17;

/** syslog(2): a kernel log that holds nothing. */
function sysSyslog(t: Task, a: SyscallArgs): SysResult {
  const type = a.int(0);
  const open = type === SYSLOG_ACTION_READ_ALL || type === SYSLOG_ACTION_SIZE_BUFFER;
  if (!open && !t.creds.has(CAP_SYSLOG)) return -EPERM;
  if (type < 0 || type > SYSLOG_ACTION_SIZE_BUFFER) return -EINVAL;
  switch (type) {
    case SYSLOG_ACTION_CLOSE:
    case SYSLOG_ACTION_OPEN:
    case SYSLOG_ACTION_SIZE_UNREAD:
      return 0;
    case SYSLOG_ACTION_SIZE_BUFFER:
      return LOG_BUFFER_SIZE;
    case 2:
    case SYSLOG_ACTION_READ_ALL:
    case 4:
      return a.addr(1) === 0 || a.int(2) < 0 ? -EINVAL : 0;
    case 8:
      return a.int(2) < 1 || a.int(2) > 8 ? -EINVAL : 0;
    default:
      return 0;
  }
}

const GRND_NAMES = { GRND_NONBLOCK, GRND_RANDOM, GRND_INSECURE };

export const systemRows: readonly SyscallRow[] = [
  {
    nr: 99,
    name: 'sysinfo',
    fn: sysSysinfo,
    args: [outStruct(SYSINFO_SIZE, 'sysinfo')],
    support: 'full',
  },
  {
    nr: 103,
    name: 'syslog',
    fn: sysSyslog,
    args: [int, ptr, size],
    support: 'partial',
    note: 'the log is empty',
  },
  {
    nr: 318,
    name: 'getrandom',
    fn: sysGetrandom,
    args: [outBuf(1), size, flags(GRND_NAMES)],
    support: 'full',
  },
];
