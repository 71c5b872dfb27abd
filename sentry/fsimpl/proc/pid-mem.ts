/** Files of /proc/PID that show its memory: cmdline, environ, auxv, mem (fs/proc/base.c). */
import { EAGAIN, EINVAL, EIO, ESRCH } from '../../abi/errno.ts';
import { SEEK_CUR, SEEK_SET } from '../../abi/fcntl.ts';
import type { MemoryManager } from '../../mm/memory-manager.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { Path } from '../../vfs/dentry.ts';
import { FileDescription, type TornRead } from '../../vfs/file-description.ts';
import type { Inode } from '../../vfs/inode.ts';
import type { Task } from '../../kernel/task.ts';
import { EPOLLOUT } from '../../waiter/wait-queue.ts';
import type { Subject } from './subject.ts';

/** Arguments and environment are at most a quarter of the stack limit; more is a forged layout. */
const MAX_AREA = 6 * 1024 * 1024;

function readArea(mm: MemoryManager, start: number, end: number): Buffer {
  const len = Math.min(end - start, MAX_AREA);
  if (len <= 0) return Buffer.alloc(0);
  const ok = mm.accessible(start, len, false);
  const buf = Buffer.alloc(ok);
  const n = ok === 0 ? 0 : mm.space.read(start, buf, 0, ok);
  return buf.subarray(0, Math.max(0, n));
}

/**
 * get_mm_cmdline(): the argument area; when a program has overwritten its final NUL (setproctitle), the string that begins
 * there and may run on into the environment.
 */
export function argumentsOf(mm: MemoryManager): string {
  const { argStart, argEnd, envStart, envEnd } = mm.layout;
  const args = readArea(mm, argStart, argEnd);
  if (args.length === 0 || args[args.length - 1] === 0) return args.toString('latin1');
  const all = envStart === argEnd ? readArea(mm, argStart, envEnd) : args;
  const nul = all.indexOf(0);
  return all.toString('latin1', 0, nul < 0 ? all.length : nul);
}

export function cmdlineText(s: Subject): string | number {
  const mm = s.mm;
  if (mm === null) return s.task === null ? -ESRCH : '';
  return argumentsOf(mm);
}

export function environText(s: Subject): string | number {
  const mm = s.mm;
  if (mm === null) return s.task === null ? -ESRCH : '';
  return readArea(mm, mm.layout.envStart, mm.layout.envEnd).toString('latin1');
}

export function auxvText(s: Subject): string | number {
  const mm = s.mm;
  if (mm === null) return s.task === null ? -ESRCH : '';
  const { auxv } = mm.layout;
  // "do nwords += 2; while (mm->saved_auxv[nwords - 2] != 0)" (proc_pid_auxv)
  let end = 0;
  while (end < auxv.length && auxv.subarray(end, end + 8).some((b) => b !== 0)) end += 16;
  return Buffer.from(auxv.subarray(0, end + 16)).toString('latin1');
}

interface ForcedWrite {
  readonly pos: number;
  readonly len: number;
  /** null: not yet done. */
  result: number | null;
}

/** /proc/PID/mem: the address is the file position. Bound to the address space that open(2) found. */
export class ProcMemFile extends FileDescription {
  private readonly mm: MemoryManager;
  private forced: ForcedWrite | null = null;

  constructor(path: Path, inode: Inode, flags: number, mm: MemoryManager) {
    super(path, inode, flags);
    this.mm = mm;
  }

  override get pollable(): boolean {
    return false;
  }

  override get seekable(): boolean {
    return true;
  }

  override get tornRead(): TornRead {
    return 'lost';
  }

  override copyUnit(): number {
    return Infinity;
  }

  override read(t: CallContext, buf: Uint8Array, off: number, len: number, pos: number): number {
    return this.transfer(t, buf, off, len, pos, false);
  }

  override write(t: CallContext, buf: Uint8Array, off: number, len: number, pos: number): number {
    return this.transfer(t, buf, off, len, pos, true);
  }

  private transfer(
    t: CallContext,
    buf: Uint8Array,
    off: number,
    len: number,
    pos: number,
    write: boolean,
  ): number {
    const mm = this.mm;
    if (len === 0) return 0;
    if (mm.space.dead || mm.userCount <= 0) return 0;
    const ok = mm.accessible(pos, len, write);
    if (ok <= 0) return write ? this.force(t, buf, off, len, pos) : -EIO;
    const n = write ? mm.space.write(pos, buf, off, ok) : mm.space.read(pos, buf, off, ok);
    return n > 0 ? n : -EIO;
  }

  /** A tracer's write to what its tracee may only read: waits for the tracee to open its pages. */
  private force(t: CallContext, buf: Uint8Array, off: number, len: number, pos: number): number {
    const started = this.forced;
    if (started !== null) {
      if (started.result === null) return -EAGAIN;
      this.forced = null;
      if (started.pos === pos && started.len === len) return started.result;
    }
    const own: ForcedWrite = { pos, len, result: null };
    const bytes = Buffer.from(buf.subarray(off, off + len));
    const found = (t as Task).kernel.pokeTracee(t as Task, this.mm, pos, bytes, (r) => {
      own.result = r === 0 ? len : r;
      this.waiters.wake(EPOLLOUT);
    });
    if (!found) return -EIO;
    if (own.result !== null) return own.result;
    this.forced = own;
    return -EAGAIN;
  }

  override seek(_t: CallContext, offset: number, whence: number): number {
    if (whence !== SEEK_SET && whence !== SEEK_CUR) return -EINVAL;
    this.pos = whence === SEEK_CUR ? this.pos + offset : offset;
    return this.pos;
  }
}
