/** The System V tables of an IPC namespace. */
import type { IpcNamespace } from '../namespaces.ts';
import { IpcLimits } from './ipc-limits.ts';
import { MsgTable } from './msg.ts';
import { SemTable } from './sem.ts';
import { SHM_DEST, ShmTable } from './shm.ts';

export interface SysvTables {
  readonly limits: IpcLimits;
  readonly shm: ShmTable;
  readonly sem: SemTable;
  readonly msg: MsgTable;
}

const tables = new WeakMap<IpcNamespace, SysvTables>();

/** The tables of a namespace, made at first use. */
export function sysvTables(ns: IpcNamespace): SysvTables {
  let t = tables.get(ns);
  if (t === undefined) {
    const limits = new IpcLimits();
    t = { limits, shm: new ShmTable(limits), sem: new SemTable(limits), msg: new MsgTable(limits) };
    t.shm.owner = t.sem.owner = t.msg.owner = ns.owner;
    tables.set(ns, t);
  }
  return t;
}

/** free_ipc_ns(): segments go when their last mapping does; semaphores and messages are only memory here. */
export function dropSysvTables(ns: IpcNamespace): void {
  const t = tables.get(ns);
  if (t === undefined) return;
  for (const s of t.shm.all()) {
    if (s.attached === 0) t.shm.destroy(s);
    else s.mode |= SHM_DEST;
  }
}
