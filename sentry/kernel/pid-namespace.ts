/**
 * Pid and PidNamespace (include/linux/pid.h, pid_namespace.h). A Pid is the identity behind a number: it outlives the
 * task for as long as a process group or session bears its number, and it is what pidfds refer to. It has one number in
 * its own namespace and one in each ancestor.
 */
import { EAGAIN, EEXIST, EINVAL } from '../abi/errno.ts';
import type { Owned, UserNamespace } from '../auth/credentials.ts';
import { WaitQueue } from '../waiter/wait-queue.ts';
import type { ProcessGroup, Session } from './job-control.ts';
import type { Task } from './task.ts';
import type { ThreadGroup } from './thread-group.ts';

/** Numbers below this are not given out again after the first round (kernel/pid.c RESERVED_PIDS). */
const RESERVED_PIDS = 300;
/** Default of /proc/sys/kernel/pid_max. */
export const PID_MAX_DEFAULT = 32768;

export class Pid {
  readonly ns: PidNamespace;
  /** Number in the namespace of level i; the last one is the number in `ns`. */
  readonly numbers: readonly number[];
  task: Task | null = null;
  group: ThreadGroup | null = null;
  processGroup: ProcessGroup | null = null;
  session: Session | null = null;
  /** Wait status of the process once it has been waited for (PIDFD_GET_INFO). */
  exitStatus: number | null = null;
  /** Wakes pidfd pollers when the process has ended. */
  readonly waiters = new WaitQueue();
  private caches: (() => void)[] | null = null;

  constructor(ns: PidNamespace, numbers: readonly number[]) {
    this.ns = ns;
    this.numbers = numbers;
  }

  get nr(): number {
    return this.numbers[this.ns.level]!;
  }

  /** Number as seen from `ns`, 0 if it is not visible there (pid_nr_ns). */
  nrIn(ns: PidNamespace): number {
    let own: PidNamespace | null = this.ns;
    while (own !== null && own.level > ns.level) own = own.parent;
    return own === ns ? this.numbers[ns.level]! : 0;
  }

  /** `forget` drops what is kept elsewhere under one of the numbers; called when they are given back (proc_flush_pid). */
  onRelease(forget: () => void): void {
    (this.caches ??= []).push(forget);
  }

  /** Gives the numbers back once nothing uses them. */
  releaseIfUnused(): void {
    if (this.task !== null || this.group !== null || this.processGroup !== null || this.session !== null)
      return;
    if (this.caches !== null) for (const forget of this.caches) forget();
    this.caches = null;
    for (let ns: PidNamespace | null = this.ns; ns !== null; ns = ns.parent) ns.free(this.numbers[ns.level]!);
  }
}

export class PidNamespace implements Owned {
  owner: UserNamespace | null = null;
  readonly parent: PidNamespace | null;
  readonly level: number;
  /** Inode number of /proc/PID/ns/pid. */
  readonly ino: number;
  private readonly pids = new Map<number, Pid>();
  private last = 0;
  pidMax = PID_MAX_DEFAULT;
  /** The namespace's init; gets the orphans, and takes the namespace with it when it dies. */
  reaper: ThreadGroup | null = null;
  /** init is gone: no new processes. */
  dying = false;

  private static nextIno = 0xf0000010;

  constructor(parent: PidNamespace | null) {
    this.parent = parent;
    this.level = parent === null ? 0 : parent.level + 1;
    this.ino = PidNamespace.nextIno++;
  }

  /**
   * A new identity with numbers here and in all ancestors, −EAGAIN, −EEXIST or −EINVAL. `wanted` (clone3 set_tid): this level
   * first; 0 = any.
   */
  alloc(wanted: readonly number[] = []): Pid | number {
    const chain = this.chain();
    const numbers: number[] = new Array<number>(this.level + 1).fill(0);
    const pid = new Pid(this, numbers);
    for (let i = 0; i < chain.length; i++) {
      const ns = chain[i]!;
      const nr = ns.take(pid, wanted[i] ?? 0);
      if (nr < 0) {
        for (let u = 0; u < i; u++) chain[u]!.free(numbers[chain[u]!.level]!);
        return nr;
      }
      numbers[ns.level] = nr;
    }
    return pid;
  }

  /** This namespace and its ancestors. */
  private chain(): PidNamespace[] {
    return this.parent === null ? [this] : [this, ...this.parent.chain()];
  }

  private take(pid: Pid, wanted: number): number {
    if (wanted !== 0) {
      if (wanted < 1 || wanted >= this.pidMax) return -EINVAL;
      if (this.pids.has(wanted)) return -EEXIST;
      this.pids.set(wanted, pid);
      return wanted;
    }
    let nr = this.last + 1;
    for (let tries = 0; tries <= this.pidMax; tries++, nr++) {
      if (nr >= this.pidMax) nr = RESERVED_PIDS;
      if (!this.pids.has(nr)) {
        this.last = nr;
        this.pids.set(nr, pid);
        return nr;
      }
    }
    return -EAGAIN;
  }

  free(nr: number): void {
    this.pids.delete(nr);
  }

  /** find_pid_ns() */
  find(nr: number): Pid | null {
    return this.pids.get(nr) ?? null;
  }

  findTask(tid: number): Task | null {
    return this.pids.get(tid)?.task ?? null;
  }

  /** Process with this tgid, zombies included. */
  findGroup(tgid: number): ThreadGroup | null {
    return this.pids.get(tgid)?.group ?? null;
  }

  findProcessGroup(pgid: number): ProcessGroup | null {
    return this.pids.get(pgid)?.processGroup ?? null;
  }

  /** All processes seen from here, zombies included, by ascending tgid. */
  groups(): ThreadGroup[] {
    const found: ThreadGroup[] = [];
    for (const p of this.pids.values()) if (p.group !== null) found.push(p.group);
    return found.sort((a, b) => a.pid.nrIn(this) - b.pid.nrIn(this));
  }

  /** Last number given out (/proc/sys/kernel/ns_last_pid, /proc/loadavg). */
  get lastPid(): number {
    return this.last;
  }

  set lastPid(nr: number) {
    this.last = nr;
  }

  get count(): number {
    return this.pids.size;
  }
}
