/** What semctl(2), shmctl(2) and msgctl(2) have in common (ipc/util.c). */
import { EACCES, EFAULT } from '../sentry/abi/errno.ts';
import { IPC_STAT, type IpcIds, type IpcObject } from '../sentry/kernel/ipc/ipc-ids.ts';
import type { SysResult } from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';

/** How one of the three families shows its objects. */
export interface IpcKind<T extends IpcObject> {
  /** Of the struct *_ds. */
  readonly dsSize: number;
  /** The *_STAT_ANY command. */
  readonly statAny: number;
  /** Puts all of the struct but its ipc_perm. */
  fill(o: T, ds: Buffer): void;
}

/** IPC_RMID of what vanishes at once. */
export function removeIpc<T extends IpcObject>(t: Task, table: IpcIds<T>, id: number): SysResult {
  const o = table.owned(id, t.creds);
  if (typeof o === 'number') return o;
  table.destroy(o);
  return 0;
}

/** For IPC_SET: the object if the caller may control it; `ds` gets the struct *_ds at `addr`. */
export function ipcToSet<T extends IpcObject>(
  t: Task,
  table: IpcIds<T>,
  id: number,
  addr: number,
  ds: Buffer,
): T | number {
  if (t.mem.copyIn(addr, ds, 0, ds.length) !== 0) return -EFAULT;
  return table.owned(id, t.creds);
}

/** IPC_SET where owner and mode are all that can be set. */
export function setIpc<T extends IpcObject>(
  t: Task,
  table: IpcIds<T>,
  id: number,
  addr: number,
  { dsSize }: IpcKind<T>,
): SysResult {
  const ds = Buffer.alloc(dsSize);
  const o = ipcToSet(t, table, id, addr, ds);
  if (typeof o === 'number') return o;
  const r = o.setPerm(ds, t.creds.userNs);
  if (r === 0) o.ctime = t.nowSec;
  return r;
}

/**
 * IPC_STAT, and *_STAT and *_STAT_ANY, which name an object by index and return its identifier; the last does not ask for
 * permission.
 */
export function statIpc<T extends IpcObject>(
  t: Task,
  table: IpcIds<T>,
  id: number,
  addr: number,
  cmd: number,
  { dsSize, statAny, fill }: IpcKind<T>,
): SysResult {
  const o = cmd === IPC_STAT ? table.find(id) : table.atIndex(id);
  if (typeof o === 'number') return o;
  if (cmd !== statAny && !o.permits(t.creds, 4)) return -EACCES;
  const ds = Buffer.alloc(dsSize);
  o.putPerm(ds, t.creds.userNs);
  fill(o, ds);
  if (t.mem.copyOut(addr, ds, 0, ds.length) !== 0) return -EFAULT;
  return cmd === IPC_STAT ? 0 : o.id;
}
