/**
 * Workers: tasks that are no threads. Each runs one handler at a time for a task, its owner, with the owner's memory, files and names, and
 * may wait in it while the owner goes on (io_uring's requests; io_uring/io-wq.c). What they read and write goes to guest memory at once, as
 * the owner may run meanwhile.
 */
import { SYS_BLOCKED, type SysResult } from './syscall-table.ts';
import { FdTable } from './fd-table.ts';
import { O_PATH } from '../abi/fcntl.ts';
import type { CallContext } from '../vfs/call-context.ts';
import type { FileDescription } from '../vfs/file-description.ts';
import { Task, TASK_KERNEL, type Work } from './task.ts';

/** Numbers of a request's own files, which no table has. */
export const OWN_FILE = 0x7fffffff;
export const OTHER_FILE = 0x7ffffffe;

/** Where a new file goes that is to have no descriptor: its place or −errno; the reference is taken over unless it is an error. */
export type InstallHook = (f: FileDescription) => number;

/** The owner's descriptors, and beside them the files of the request in hand. */
export class WorkerFiles extends FdTable {
  private base: FdTable;
  own: FileDescription | null = null;
  other: FileDescription | null = null;
  installHook: InstallHook | null = null;

  constructor(base: FdTable) {
    super();
    this.base = base;
  }

  bind(base: FdTable): void {
    this.base = base;
    this.installHook = null;
  }

  override getRaw(fd: number): FileDescription | null {
    return fd === OWN_FILE ? this.own : fd === OTHER_FILE ? this.other : this.base.getRaw(fd);
  }

  override get(fd: number): FileDescription | null {
    const f = this.getRaw(fd);
    return f !== null && (f.flags & O_PATH) === 0 ? f : null;
  }

  override isCloexec(fd: number): boolean {
    return this.base.isCloexec(fd);
  }

  override hasRoom(limit: number): boolean {
    return this.installHook !== null || this.base.hasRoom(limit);
  }

  override free(min: number): number {
    return this.base.free(min);
  }

  override install(f: FileDescription, cloexec: boolean, limit: number, min = 0): number {
    return this.installHook === null ? this.base.install(f, cloexec, limit, min) : this.installHook(f);
  }

  override detach(fd: number): FileDescription | null {
    return this.base.detach(fd);
  }

  override close(t: CallContext, fd: number): number {
    return this.base.close(t, fd);
  }
}

/** A new worker for `owner`, or a used one. */
export function bindWorker(used: Task | undefined, owner: Task, work: Work): Task {
  const { pid, group, ctx, mm, fs, fdTable, creds, ns, cset } = owner;
  let t = used;
  if (t === undefined) {
    const files = new WorkerFiles(fdTable);
    t = new Task(owner.kernel, { pid, group, ctx, mm, fs, fdTable: files, creds, ns, cset }, owner);
    t.mem.immediate = true;
    t.args.words = new Uint32Array(12);
  } else {
    (t.fdTable as WorkerFiles).bind(fdTable);
    t.owner = owner;
    t.pid = pid;
    t.group = group;
    t.ctx = ctx;
    t.mm = mm;
    t.mem.rebind(ctx, mm);
    t.fs = fs;
    t.creds = creds;
    t.ns = ns;
    t.cset = cset;
  }
  t.errand = work;
  t.personality = owner.personality;
  t.comm = owner.comm;
  t.state = TASK_KERNEL;
  t.blockState = null;
  t.timedOut = false;
  return t;
}

/** The handler of the worker's row runs, for the first time or again. SYS_BLOCKED: it waits. */
export function runWorker(t: Task): SysResult {
  const { trace } = t.kernel;
  if (trace !== null && t.blockState === null) trace.enter(t);
  const r = t.kernel.invoke(t);
  if (t.state !== TASK_KERNEL) return SYS_BLOCKED;
  t.blockState = null;
  return r;
}
