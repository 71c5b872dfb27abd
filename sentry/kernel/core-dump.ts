/**
 * Core dumps (fs/coredump.c do_coredump, fs/binfmt_elf.c elf_core_dump; core(5)). The thread whose signal is fatal waits until
 * its siblings stand still, opens the file, and writes memory piece by piece from the kernel's loop, so that others run
 * meanwhile. Only SIGKILL ends a dump early. When it is over the process ends like any other.
 */
import { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } from '../abi/fcntl.ts';
import { PROT_READ, PROT_WRITE } from '../abi/mman.ts';
import { SIGKILL } from '../abi/signal.ts';
import { PAGE_SIZE } from '../lib/addr.ts';
import { MADV_HUGEPAGE } from '../mm/madvise.ts';
import { VM_DONTDUMP, VM_SPECIAL, type Vma } from '../mm/vma.ts';
import { Timer } from '../time/timer-queue.ts';
import type { FileDescription } from '../vfs/file-description.ts';
import { vfsUnlink } from '../vfs/namei.ts';
import { truncateInode, vfsOpen } from '../vfs/open.ts';
import { pathName } from '../vfs/path-name.ts';
import { coreHead, type CoreSegment } from './core-notes.ts';
import { coreName } from './core-pattern.ts';
import { RLIMIT_CORE } from './limits.ts';
import { leaveThunk } from './patched-text.ts';
import type { SigInfo } from './sig-info.ts';
import { beginGroupExit, signalWake } from './signal-send.ts';
import {
  TASK_BLOCKED,
  TASK_DEAD,
  TASK_DUMPED,
  TASK_FROZEN,
  TASK_RUNNING,
  TASK_STOPPED,
  TASK_TRACED,
  TASK_ASKING,
  TASK_VFORK,
  type Task,
} from './task.ts';

/** /proc/PID/coredump_filter */
const MMF_DUMP_ANON_PRIVATE = 0x1;
const MMF_DUMP_ANON_SHARED = 0x2;
const MMF_DUMP_MAPPED_PRIVATE = 0x4;
const MMF_DUMP_MAPPED_SHARED = 0x8;
const MMF_DUMP_ELF_HEADERS = 0x10;

const HUGE_PAGE = 2 * 1024 * 1024;
const MAX_ORDERS = 64;
/** Memory written per turn of the kernel's loop. */
const PIECE = 1024 * 1024;
/** Memory copied at once. */
const CHUNK = 256 * 1024;
const elfMagic = Buffer.alloc(4);

/** SUID_DUMP_ROOT: the core of a program that changed identity is root's. */
const SUID_DUMP_ROOT = 2;

export class CoreDump {
  private readonly task: Task;
  private readonly info: SigInfo;
  /** What the dumping thread does when the dump is over. */
  private readonly done: (t: Task) => void;
  /** Siblings that have yet to stand still. */
  private readonly awaited = new Set<Task>();
  private readonly timer = new Timer(() => this.step());
  private file: FileDescription | null = null;
  private readonly chunk = new Int32Array(CHUNK / 4);
  private readonly buffer = Buffer.from(this.chunk.buffer);
  private segments: readonly CoreSegment[] = [];
  private next = 0;
  /** Done of the segment that is next, in bytes. */
  private segmentDone = 0;
  private filePos = 0;
  private written = 0;
  private scanned = 0;
  private isOver = false;

  constructor(task: Task, info: SigInfo, done: (t: Task) => void) {
    this.task = task;
    this.info = info;
    this.done = done;
  }

  /** zap_threads(): the siblings shall stand still; then goes on in write(). */
  start(): void {
    const { task } = this;
    const g = task.group;
    g.coreDump = this;
    beginGroupExit(g, this.info.signo);
    task.killed = false;
    for (const o of [...g.tasks]) {
      if (o === task) continue;
      this.awaited.add(o);
      this.halt(o);
    }
    this.park(task);
  }

  /** Brings a sibling to a stand from wherever it is; others come by park() on their way through the kernel. */
  private halt(o: Task): void {
    switch (o.state) {
      case TASK_RUNNING:
        signalWake(o);
        return;
      case TASK_BLOCKED:
        o.stopResult = o.interruptWait();
        o.stopInSyscall = true;
        break;
      case TASK_ASKING:
        o.endServed();
        o.stopResult = o.interruptWait();
        o.stopInSyscall = true;
        break;
      case TASK_VFORK:
        o.stopResult = 0;
        o.stopInSyscall = true;
        break;
      case TASK_TRACED:
        o.stopResult = o.ptrace!.result;
        o.stopInSyscall = o.ptrace!.inSyscall;
        break;
      case TASK_STOPPED:
      case TASK_FROZEN:
        break;
      default:
        return;
    }
    this.park(o);
  }

  /** coredump_task_exit(): `t` stands still, in the place that stopResult and stopInSyscall tell, with its registers at hand. */
  park(t: Task): void {
    t.state = TASK_DUMPED;
    const ready = (): void => {
      if (t.state === TASK_DEAD) return;
      leaveThunk(t);
      this.awaited.delete(t);
      this.tryWrite();
    };
    if (!t.ctxGone && t.ctx.partial) {
      this.awaited.add(t);
      t.ctx.complete(ready);
    } else ready();
  }

  /** A thread has ended all the same; without the one that dumps there is no dump. */
  left(t: Task): void {
    this.awaited.delete(t);
    if (t !== this.task) this.tryWrite();
    else if (!this.isOver) {
      this.abandon();
      t.kernel.runQueue.addExit(t.group);
    }
  }

  /** SIGKILL */
  kill(): void {
    this.task.group.exitStatus = SIGKILL;
    this.finish();
  }

  private tryWrite(): void {
    const t = this.task;
    if (this.isOver || this.file !== null || this.awaited.size > 0 || t.state !== TASK_DUMPED) return;
    const file = openCore(t, this.info.signo);
    if (file === null) {
      this.finish();
      return;
    }
    this.file = file;
    const others = [...t.group.tasks].filter((o) => o !== t && !o.ctxGone);
    this.segments = segmentsOf(t);
    const { head, dataStart } = coreHead(t, this.info, others, this.segments);
    // "has_dumped = 1": also if the limit cuts it short.
    t.group.exitStatus = this.info.signo | 0x80;
    if (!this.put(head, 0, head.length)) {
      this.finish();
      return;
    }
    this.filePos = dataStart;
    this.prepareReading();
  }

  /** Large memory that was never touched reads as huge zero pages then: a fault per 2 MiB instead of one per page. */
  private prepareReading(): void {
    const { ctx, kernel } = this.task;
    let orders = 0;
    for (const s of this.segments) {
      if (s.size < HUGE_PAGE || !s.isAnonymous || s.prot === 0 || ++orders > MAX_ORDERS) continue;
      ctx.madvise(s.start, s.size, MADV_HUGEPAGE);
    }
    // A host without huge pages refuses, which does not matter.
    ctx.runOrders(() => {
      if (!this.isOver) kernel.timers.arm(this.timer, 0);
    });
  }

  /** dump_emit(): false at the limit, or if the file takes no more. */
  private put(from: Uint8Array, off: number, len: number): boolean {
    const t = this.task;
    if (this.written + len > t.group.limits.cur(RLIMIT_CORE)) return false;
    let at = 0;
    while (at < len) {
      const n = this.file!.write(t, from, off + at, len - at, this.filePos);
      if (n <= 0) return false;
      at += n;
      this.filePos += n;
    }
    this.written += len;
    return true;
  }

  private step(): void {
    if (this.isOver) return;
    const { kernel } = this.task;
    for (let n = 0; n < PIECE; n += CHUNK) {
      const s = this.segments[this.next];
      if (s === undefined) {
        this.complete();
        return;
      }
      const len = Math.min(CHUNK, s.size - this.segmentDone);
      if (len > 0 && !this.copy(s, s.start + this.segmentDone, len)) {
        this.finish();
        return;
      }
      this.segmentDone += len;
      if (this.segmentDone < s.size) continue;
      this.next++;
      this.segmentDone = 0;
    }
    // Reading what was never touched costs page tables: a hostile address space has 128 TiB of it.
    this.scanned += PIECE;
    if (this.scanned > 2 * kernel.memTotal + 2 ** 32) this.finish();
    else kernel.timers.arm(this.timer, 0);
  }

  /** dump_user_range(): pages that cannot be read, or are zero, become holes. */
  private copy(s: CoreSegment, addr: number, len: number): boolean {
    const { space } = this.task.mm;
    for (let at = 0; at < len;) {
      const n = s.prot === 0 || space.dead ? 0 : space.read(addr + at, this.buffer, at, len - at);
      const got = n <= 0 ? 0 : n - (n % PAGE_SIZE);
      if (!this.putPages(at, got)) return false;
      at += got;
      if (at < len) {
        this.filePos += PAGE_SIZE;
        at += PAGE_SIZE;
      }
    }
    return true;
  }

  private putPages(from: number, len: number): boolean {
    let run = from;
    for (let at = from; at < from + len; at += PAGE_SIZE) {
      if (!this.isZero(at)) continue;
      if (at > run && !this.put(this.buffer, run, at - run)) return false;
      this.filePos += PAGE_SIZE;
      run = at + PAGE_SIZE;
    }
    return run >= from + len || this.put(this.buffer, run, from + len - run);
  }

  private isZero(page: number): boolean {
    for (let i = page / 4, end = i + PAGE_SIZE / 4; i < end; i++) if (this.chunk[i] !== 0) return false;
    return true;
  }

  /** dump_truncate(): a hole at the end belongs to the file too. */
  private complete(): void {
    const { inode } = this.file!;
    if (inode.size < this.filePos) truncateInode(this.task, inode, this.filePos);
    this.finish();
  }

  private abandon(): void {
    this.isOver = true;
    this.task.kernel.timers.disarm(this.timer);
    this.task.group.coreDump = null;
    this.file?.unref();
    this.file = null;
  }

  private finish(): void {
    if (this.isOver) return;
    this.abandon();
    this.done(this.task);
  }
}

/** Whether the fatal signal of `t` is worth the try. */
export function mayDumpCore(t: Task): boolean {
  return t.mm.dumpable !== 0 && t.group.limits.cur(RLIMIT_CORE) >= PAGE_SIZE && !t.ctxGone;
}

/** The new core file of `t`, or null if there is to be none. */
function openCore(t: Task, signal: number): FileDescription | null {
  const { dumpable, exeFile } = t.mm;
  if (!mayDumpCore(t)) return null;
  const { creds } = t;
  const exe = exeFile?.path ?? null;
  const name = coreName(t.kernel.core, {
    tgid: t.tgid,
    globalTgid: t.group.pid.numbers[0]!,
    tid: t.tid,
    globalTid: t.pid.numbers[0]!,
    uid: creds.userNs.fromUid(creds.uid),
    gid: creds.userNs.fromGid(creds.gid),
    dumpable,
    signal,
    seconds: t.nowSec,
    hostname: t.ns.uts.nodename,
    comm: t.comm,
    exe: exe === null ? '' : pathName(exe, t.fs.root),
    coreLimit: t.group.limits.cur(RLIMIT_CORE),
  });
  if (dumpable !== SUID_DUMP_ROOT) return create(t, name, true);
  if (!name.startsWith('/')) return null;
  const root = creds.clone();
  root.fsuid = 0;
  t.creds = root;
  const file = create(t, name, false);
  t.creds = creds;
  return file;
}

/** "The file is created with mode 0600" and belongs to nobody else; an old one is removed first, unless it is root's. */
function create(t: Task, name: string, replace: boolean): FileDescription | null {
  const start = t.fs.cwd;
  if (name === '') return null;
  if (replace) vfsUnlink(t, start, name);
  const file = vfsOpen(t, start, name, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY, 0o600);
  if (typeof file === 'number') return null;
  const { inode } = file;
  const isOwn = inode.isRegular && inode.nlink <= 1 && inode.uid === t.creds.fsuid;
  if (isOwn && (inode.mode & 0o677) === 0o600 && file.writable) return file;
  file.unref();
  return null;
}

/** vma_dump_size() of every mapping. */
function segmentsOf(t: Task): CoreSegment[] {
  const { table } = t.mm;
  const segments: CoreSegment[] = [];
  for (let i = 0; i < table.size; i++) {
    const v = table.at(i)!;
    const isAnonymous = v.backing === null && (v.flags & VM_SPECIAL) === 0;
    segments.push({ start: v.start, end: v.end, prot: v.prot, size: dumpSize(t, v), isAnonymous });
  }
  return segments;
}

function dumpSize(t: Task, v: Vma): number {
  const has = (bit: number): boolean => (t.group.coredumpFilter & bit) !== 0;
  if ((v.flags & VM_SPECIAL) !== 0) return v.length;
  if ((v.flags & VM_DONTDUMP) !== 0) return 0;
  const file = v.backing?.file ?? null;
  if (v.shared) {
    const unnamed = file === null || file.inode.nlink === 0;
    return has(unnamed ? MMF_DUMP_ANON_SHARED : MMF_DUMP_MAPPED_SHARED) ? v.length : 0;
  }
  // Linux looks whether a page was ever written (anon_vma).
  const mayBeWritten = v.backing === null || (v.prot & PROT_WRITE) !== 0 || !v.asMapped;
  if (mayBeWritten && has(MMF_DUMP_ANON_PRIVATE)) return v.length;
  if (v.backing === null) return 0;
  if (has(MMF_DUMP_MAPPED_PRIVATE)) return v.length;
  // The first page of a program or library says which one it is.
  if (!has(MMF_DUMP_ELF_HEADERS) || v.offset !== 0 || (v.prot & PROT_READ) === 0) return 0;
  return ((file?.inode.mode ?? 0) & 0o111) !== 0 || startsLikeElf(t, v.start) ? PAGE_SIZE : 0;
}

function startsLikeElf(t: Task, addr: number): boolean {
  return t.mm.space.read(addr, elfMagic, 0, 4) === 4 && elfMagic.readUInt32BE(0) === 0x7f454c46;
}
