/** System V semaphores (ipc/sem.c). */
import { EAGAIN, EFBIG, ENOSPC, ERANGE } from '../../abi/errno.ts';
import type { Credentials } from '../../auth/credentials.ts';
import { EPOLLIN, WaitQueue } from '../../waiter/wait-queue.ts';
import type { Task } from '../task.ts';
import type { ThreadGroup } from '../thread-group.ts';
import { IPC_NOWAIT, IpcIds, IpcObject } from './ipc-ids.ts';
import type { IpcLimits } from './ipc-limits.ts';

export const SEMVMX = 32767;
export const SEM_UNDO = 0x1000;

/** Adjustments of all processes for all sets: 4 bytes each in the kernel's heap. */
const UNDO_MAX = 4_000_000;
let undoEntries = 0;

export interface SemOp {
  readonly num: number;
  readonly op: number;
  readonly flags: number;
}

/** A task parked in semop; `blockedOn` is the operation it cannot do. */
export interface SemWait {
  readonly task: Task;
  readonly set: SemSet;
  readonly ops: readonly SemOp[];
  readonly deadline: number;
  blockedOn: SemOp | null;
}

export class SemSet extends IpcObject {
  readonly values: Int32Array;
  readonly pids: Int32Array;
  readonly waiters = new WaitQueue();
  readonly waiting = new Set<SemWait>();
  /** SEM_UNDO adjustments per process. */
  readonly undo = new Map<ThreadGroup, Int32Array>();
  otime = 0;

  constructor(key: number, mode: number, creds: Credentials, nsems: number) {
    super(key, mode, creds);
    this.values = new Int32Array(nsems);
    this.pids = new Int32Array(nsems);
  }

  /** GETNCNT (negative operations) or GETZCNT. */
  countWaiting(num: number, forZero: boolean): number {
    let n = 0;
    for (const w of this.waiting) {
      if (w.task.blockState !== w) this.waiting.delete(w);
      else if (w.blockedOn !== null && w.blockedOn.num === num && (w.blockedOn.op === 0) === forZero) n++;
    }
    return n;
  }

  wakeAll(): void {
    this.waiters.wake(EPOLLIN);
  }

  /**
   * perform_atomic_semop(): all or nothing. 0; −errno; or the operation that has to wait.
   */
  perform(t: Task, ops: readonly SemOp[]): SemOp | number {
    const before = this.values.slice();
    const undoes = ops.some((o) => (o.flags & SEM_UNDO) !== 0);
    if (undoes && !this.undo.has(t.group) && undoEntries + before.length > UNDO_MAX) return -ENOSPC;
    const adj = undoes ? this.undoOf(t.group).slice() : null;
    for (const o of ops) {
      const value = this.values[o.num]!;
      const result = value + o.op;
      const fails = (o.op === 0 && value !== 0) || result < 0;
      if (fails || result > SEMVMX) {
        this.values.set(before);
        if (!fails) return -ERANGE;
        return (o.flags & IPC_NOWAIT) !== 0 ? -EAGAIN : o;
      }
      if ((o.flags & SEM_UNDO) !== 0) {
        const a = adj![o.num]! - o.op;
        if (a < -SEMVMX - 1 || a > SEMVMX) {
          this.values.set(before);
          return -ERANGE;
        }
        adj![o.num] = a;
      }
      this.values[o.num] = result;
    }
    if (adj !== null) this.undoOf(t.group).set(adj);
    for (const o of ops) this.pids[o.num] = t.tgid;
    return 0;
  }

  private undoOf(g: ThreadGroup): Int32Array {
    let a = this.undo.get(g);
    if (a === undefined) {
      this.undo.set(g, (a = new Int32Array(this.values.length)));
      undoEntries += a.length;
      let sets = undoSets.get(g);
      if (sets === undefined) undoSets.set(g, (sets = new Set()));
      sets.add(this);
    }
    return a;
  }

  /** SETVAL and SETALL: "undo entries are cleared for altered semaphores in all processes" - semctl(2) */
  clearUndo(num: number): void {
    for (const a of this.undo.values()) a[num] = 0;
  }
}

const undoSets = new WeakMap<ThreadGroup, Set<SemSet>>();

/** exit_sem(): what SEM_UNDO operations of a process did is taken back as far as possible. */
export function semExit(g: ThreadGroup): void {
  const sets = undoSets.get(g);
  if (sets === undefined) return;
  for (const set of sets) {
    const adj = set.undo.get(g);
    set.undo.delete(g);
    if (adj === undefined) continue;
    undoEntries -= adj.length;
    if (set.removed) continue;
    adj.forEach((a, i) => {
      if (a === 0) return;
      set.values[i] = Math.min(Math.max(set.values[i]! + a, 0), SEMVMX);
      set.pids[i] = g.tgid;
    });
    set.wakeAll();
  }
  undoSets.delete(g);
}

export class SemTable extends IpcIds<SemSet> {
  used = 0;

  constructor(limits: IpcLimits) {
    super(() => limits.semmni);
  }

  override destroy(s: SemSet): void {
    this.remove(s);
    this.used -= s.values.length;
    s.wakeAll();
  }
}

/** semop(2)'s check of a number against the set. */
export function checkOps(set: SemSet, ops: readonly SemOp[]): number {
  return ops.some((o) => o.num >= set.values.length) ? -EFBIG : 0;
}
