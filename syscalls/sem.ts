/** semget(2), semop(2), semtimedop(2), semctl(2) (ipc/sem.c). */
import { E2BIG, EACCES, EAGAIN, EFAULT, EIDRM, EINTR, EINVAL, ENOSPC, ERANGE } from '../sentry/abi/errno.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { sysvipcTables } from '../sentry/fsimpl/proc/sysvipc.ts';
import { IPC_INFO, IPC_RMID, IPC_SET, IPC_STAT } from '../sentry/kernel/ipc/ipc-ids.ts';
import { sysvTables } from '../sentry/kernel/ipc/ipc-state.ts';
import {
  SEMVMX,
  SemSet,
  checkOps,
  type SemOp,
  type SemTable,
  type SemWait,
} from '../sentry/kernel/ipc/sem.ts';
import {
  hex,
  int,
  octal,
  ptr,
  size,
  type SysResult,
  type SyscallRow,
} from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { EPOLLIN } from '../sentry/waiter/wait-queue.ts';
import { removeIpc, setIpc, statIpc, type IpcKind } from './ipc-control.ts';
import { deadlineIn, readTimespec } from './wait-args.ts';

const GETPID = 11;
const GETVAL = 12;
const GETALL = 13;
const GETNCNT = 14;
const GETZCNT = 15;
const SETVAL = 16;
const SETALL = 17;
const SEM_STAT = 18;
const SEM_INFO = 19;
const SEM_STAT_ANY = 20;
/** Values of all sets of a namespace together: they live in the kernel's heap. */
const SEMS_MAX = 4_000_000;

/** struct semid64_ds. */
const KIND: IpcKind<SemSet> = {
  dsSize: 104,
  statAny: SEM_STAT_ANY,
  fill(s, b) {
    b.writeUIntLE(s.otime, 48, 6);
    b.writeUIntLE(s.ctime, 64, 6);
    b.writeUInt32LE(s.values.length, 80);
  },
};

const tableOf = (t: Task): SemTable => sysvTables(t.ns.ipc).sem;

function sysSemget(t: Task, a: SyscallArgs): SysResult {
  const key = a.int(0);
  const nsems = a.int(1);
  const flags = a.int(2);
  const { sem: table, limits } = sysvTables(t.ns.ipc);
  if (nsems < 0 || nsems > limits.semmsl) return -EINVAL;
  const create = (): SemSet | number => {
    if (nsems === 0) return -EINVAL;
    if (table.used + nsems > Math.min(SEMS_MAX, limits.semmns)) return -ENOSPC;
    table.used += nsems;
    const s = new SemSet(key, flags, t.creds, nsems);
    s.ctime = t.nowSec;
    return s;
  };
  return table.get(key, flags, t.creds, create, (s) => (nsems > s.values.length ? -EINVAL : 0));
}

function sysSemop(t: Task, a: SyscallArgs): SysResult {
  if (t.blockState !== null) return retry(t, t.blockState as SemWait);
  return semop(t, a, Infinity);
}

function sysSemtimedop(t: Task, a: SyscallArgs): SysResult {
  if (t.blockState !== null) return retry(t, t.blockState as SemWait);
  const ns = readTimespec(t, a.addr(3));
  return ns === -EFAULT ? ns : semop(t, a, ns);
}

/** A time that is none (−EINVAL) is looked at last. */
function semop(t: Task, a: SyscallArgs, timeoutNs: number): SysResult {
  const count = a.uint(2);
  if (count > sysvTables(t.ns.ipc).limits.semopm) return -E2BIG;
  if (count < 1) return -EINVAL;
  const raw = Buffer.alloc(count * 6);
  if (t.mem.copyIn(a.addr(1), raw, 0, raw.length) !== 0) return -EFAULT;
  const ops: SemOp[] = [];
  for (let i = 0; i < raw.length; i += 6)
    ops.push({ num: raw.readUInt16LE(i), op: raw.readInt16LE(i + 2), flags: raw.readUInt16LE(i + 4) });
  if (a.int(0) < 0 || timeoutNs < 0) return -EINVAL;
  const set = tableOf(t).find(a.int(0));
  if (typeof set === 'number') return set;
  const bad = checkOps(set, ops);
  if (bad !== 0) return bad;
  if (!set.permits(t.creds, ops.some((o) => o.op !== 0) ? 2 : 4)) return -EACCES;
  return retry(t, { task: t, set, ops, deadline: deadlineIn(t, timeoutNs), blockedOn: null });
}

function retry(t: Task, w: SemWait): SysResult {
  const { set } = w;
  if (set.removed) return -EIDRM;
  const r = set.perform(t, w.ops);
  if (typeof r === 'number') {
    set.waiting.delete(w);
    if (r === 0) {
      set.otime = t.nowSec;
      if (w.ops.some((o) => o.op !== 0)) set.wakeAll();
    }
    return r;
  }
  if (t.timedOut) {
    set.waiting.delete(w);
    return -EAGAIN;
  }
  w.blockedOn = r;
  set.waiting.add(w);
  t.blockState = w;
  t.waitOn(set.waiters, EPOLLIN);
  return t.block(w.deadline, interrupted);
}

/** "semop() is never automatically restarted after being interrupted by a signal handler" - semop(2) */
function interrupted(t: Task): SysResult {
  const w = t.blockState as SemWait;
  w.set.waiting.delete(w);
  return -EINTR;
}

function sysSemctl(t: Task, a: SyscallArgs): SysResult {
  const id = a.int(0);
  const cmd = a.int(2);
  const table = tableOf(t);
  if (id < 0) return -EINVAL;
  switch (cmd) {
    case IPC_RMID:
      return removeIpc(t, table, id);
    case IPC_SET:
      return setIpc(t, table, id, a.addr(3), KIND);
    case IPC_STAT:
    case SEM_STAT:
    case SEM_STAT_ANY:
      return statIpc(t, table, id, a.addr(3), cmd, KIND);
    case IPC_INFO:
    case SEM_INFO:
      return info(t, a.addr(3), table, cmd === SEM_INFO);
    default:
      return control(t, a, table.find(id), cmd);
  }
}

/** Commands on the values of a set. */
function control(t: Task, a: SyscallArgs, s: SemSet | number, cmd: number): SysResult {
  const writes = cmd === SETVAL || cmd === SETALL;
  if (cmd < GETPID || cmd > SETALL) return -EINVAL;
  if (cmd === SETVAL && (a.int(3) < 0 || a.int(3) > SEMVMX)) return -ERANGE;
  if (typeof s === 'number') return s;
  const num = a.int(1);
  const all = cmd === GETALL || cmd === SETALL;
  const none = !all && (num < 0 || num >= s.values.length);
  // semctl_setval() looks at the number first, semctl_main() at the permissions.
  if (none && cmd === SETVAL) return -EINVAL;
  if (!s.permits(t.creds, writes ? 2 : 4)) return -EACCES;
  if (none) return -EINVAL;
  switch (cmd) {
    case GETPID:
      return s.pids[num]!;
    case GETVAL:
      return s.values[num]!;
    case GETNCNT:
    case GETZCNT:
      return s.countWaiting(num, cmd === GETZCNT);
    case SETVAL:
      return setValues(t, s, [a.int(3)], num);
    case GETALL:
      return getAll(t, s, a.addr(3));
    default: {
      const raw = Buffer.alloc(s.values.length * 2);
      if (t.mem.copyIn(a.addr(3), raw, 0, raw.length) !== 0) return -EFAULT;
      const values: number[] = [];
      for (let i = 0; i < raw.length; i += 2) values.push(raw.readUInt16LE(i));
      return values.some((v) => v > SEMVMX) ? -ERANGE : setValues(t, s, values, 0);
    }
  }
}

function setValues(t: Task, s: SemSet, values: readonly number[], first: number): SysResult {
  values.forEach((v, i) => {
    s.values[first + i] = v;
    s.pids[first + i] = t.tgid;
    s.clearUndo(first + i);
  });
  s.ctime = t.nowSec;
  s.wakeAll();
  return 0;
}

function getAll(t: Task, s: SemSet, addr: number): SysResult {
  const raw = Buffer.alloc(s.values.length * 2);
  s.values.forEach((v, i) => raw.writeUInt16LE(v, i * 2));
  return t.mem.copyOut(addr, raw, 0, raw.length);
}

/** struct seminfo. */
function info(t: Task, addr: number, table: SemTable, use: boolean): SysResult {
  const b = Buffer.alloc(40);
  const l = sysvTables(t.ns.ipc).limits;
  const fields = [l.semmns, l.semmni, l.semmns, l.semmns, l.semmsl, l.semopm, l.semopm, 20, SEMVMX, SEMVMX];
  if (use) {
    fields[7] = table.count;
    fields[9] = table.used;
  }
  fields.forEach((v, i) => b.writeInt32LE(v, i * 4));
  return t.mem.copyOut(addr, b, 0, b.length) !== 0 ? -EFAULT : table.highest;
}

/** A line of /proc/sysvipc/sem (sysvipc_sem_proc_show). */
function procLine(s: SemSet): string {
  const n = (v: number, width: number): string => String(v).padStart(width);
  return (
    `${n(s.key, 10)} ${n(s.id, 10)}  ${s.mode.toString(8).padStart(4)} ${n(s.values.length, 10)} ` +
    `${n(s.uid, 5)} ${n(s.gid, 5)} ${n(s.cuid, 5)} ${n(s.cgid, 5)} ${n(s.otime, 10)} ${n(s.ctime, 10)}\n`
  );
}
sysvipcTables.sem = (t): string => tableOf(t).all().map(procLine).join('');

export const semRows: readonly SyscallRow[] = [
  { nr: 64, name: 'semget', fn: sysSemget, args: [hex, int, octal], support: 'full' },
  { nr: 65, name: 'semop', fn: sysSemop, args: [int, ptr, size], support: 'full' },
  { nr: 66, name: 'semctl', fn: sysSemctl, args: [int, int, int, hex], support: 'full' },
  { nr: 220, name: 'semtimedop', fn: sysSemtimedop, args: [int, ptr, size, ptr], support: 'full' },
];
