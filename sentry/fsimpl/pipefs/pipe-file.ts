/** PipeFile: an open end of a pipe or FIFO (fs/pipe.c). PipeEnds holds what all ends of one pipe share. */
import { EAGAIN, EFAULT, EPIPE } from '../../abi/errno.ts';
import { FASYNC, O_DIRECT, O_NONBLOCK, O_RDONLY, O_WRONLY } from '../../abi/fcntl.ts';
import { pageDown } from '../../lib/addr.ts';
import { touchAtime } from '../../vfs/atime.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { Path } from '../../vfs/dentry.ts';
import { FileDescription, RWF_WAITING, type TornRead } from '../../vfs/file-description.ts';
import type { FileIdentity, Inode } from '../../vfs/inode.ts';
import { currentTime } from '../../vfs/times.ts';
import {
  EPOLLERR,
  EPOLLHUP,
  EPOLLIN,
  EPOLLOUT,
  EPOLLRDNORM,
  EPOLLWRNORM,
  WAKE_ASYNC_OUT,
} from '../../waiter/wait-queue.ts';
import { pipeInode } from '../anon/anon-inode.ts';
import { Pipe, PIPE_BUF } from './pipe.ts';

const FIONREAD = 0x541b;

class PipeEnds {
  readonly pipe = new Pipe();
  readonly files = new Set<PipeFile>();
  readers = 0;
  writers = 0;
  /** Some end is, or was, in use with O_ASYNC. */
  signals = false;
  /** How often the pipe was opened for reading and writing: a FIFO's open(2) waits for the other count to move. */
  readerOpens = 0;
  writerOpens = 0;

  /** wr_wait and rd_wait: what concerns one side is no edge for an epoll item of the other. */
  wakeReaders(events: number): void {
    for (const f of this.files) if (f.readable) f.waiters.wake(events);
  }

  wakeWriters(events: number): void {
    for (const f of this.files) if (f.writable) f.waiters.wake(events);
  }

  /** Signals of writers come at every read, whether it makes room or not (pipe_read). */
  signalWriters(): void {
    for (const f of this.files) if (f.writable && (f.flags & FASYNC) !== 0) f.waiters.wake(WAKE_ASYNC_OUT);
  }
}

export class PipeFile extends FileDescription {
  override get fasync(): boolean {
    return true;
  }

  override rwFlags(write: boolean): number {
    return this.path === null ? super.rwFlags(write) : RWF_WAITING;
  }

  readonly ends: PipeEnds;
  /** Value of the peers' open counter at which open(2) still waits; −1: it does not. */
  private readonly awaitWriters: number;
  private readonly awaitReaders: number;
  /** writerOpens when this reader came while nobody was writing: no hang-up before a writer was there. */
  private readonly silentUntil: number;

  /** `isPipe`: not a FIFO; open(2) of such through /proc/self/fd never waits for the other side (fs/pipe.c fifo_open). */
  constructor(path: Path | null, inode: Inode, flags: number, ends: PipeEnds, isPipe = false) {
    super(path, inode, flags);
    this.ends = ends;
    const blocking = path !== null && !isPipe && (flags & O_NONBLOCK) === 0;
    if (this.readable) {
      ends.readers++;
      ends.readerOpens++;
    }
    if (this.writable) {
      ends.writers++;
      ends.writerOpens++;
    }
    this.silentUntil = path !== null && !isPipe && ends.writers === 0 ? ends.writerOpens : -1;
    this.awaitWriters = blocking && ends.writers === 0 ? ends.writerOpens : -1;
    this.awaitReaders = blocking && ends.readers === 0 ? ends.readerOpens : -1;
    ends.files.add(this);
    // Those who wait in open(2) or poll for this side.
    if (path !== null) {
      ends.wakeReaders(EPOLLIN);
      ends.wakeWriters(EPOLLOUT);
    }
  }

  override get openPending(): boolean {
    return this.awaitWriters === this.ends.writerOpens || this.awaitReaders === this.ends.readerOpens;
  }

  override read(_t: CallContext, buf: Uint8Array, off: number, len: number): number {
    if (len === 0) return 0;
    const pipe = this.ends.pipe;
    if (pipe.used === 0) {
      if (this.ends.signals) this.ends.signalWriters();
      // A FIFO that no writer has opened yet reads as at its end, too.
      return this.ends.writers === 0 ? 0 : -EAGAIN;
    }
    if (this.path === null) this.inode.accessed(currentTime());
    else touchAtime(this);
    return this.take(buf, off, len);
  }

  /** pipe_read(): a page that does not fit stays. */
  override get tornRead(): TornRead {
    return 'kept';
  }

  override copyUnit(): number {
    return PIPE_BUF;
  }

  /** What fills up the last page comes first. */
  override writePiece(left: number, max: number): number {
    if (left <= max) return left;
    const part = this.ends.pipe.fits(left);
    return part > 0 ? max - PIPE_BUF + part : max;
  }

  override writeNowhere(): number {
    return this.ends.readers === 0 ? -EPIPE : -EFAULT;
  }

  override peek(_t: CallContext, buf: Uint8Array, off: number, len: number): number {
    const { pipe, writers } = this.ends;
    if (pipe.used === 0) return writers === 0 ? 0 : -EAGAIN;
    return pipe.peek(buf, off, Math.min(len, pipe.firstRead));
  }

  override wholePieces(len: number): number {
    return pageDown(len);
  }

  /** Takes bytes out of a pipe that has some, and tells writers. */
  private take(buf: Uint8Array, off: number, len: number): number {
    const pipe = this.ends.pipe;
    const wasFull = !pipe.writable;
    const n = pipe.read(buf, off, len);
    if (wasFull && pipe.writable) this.ends.wakeWriters(EPOLLOUT | EPOLLWRNORM);
    else if (this.ends.signals) this.ends.signalWriters();
    return n;
  }

  /** The first `n` bytes went elsewhere (splice): writers hear of every page that is free by that, not of the first one only. */
  spliced(n: number): void {
    const { pipe } = this.ends;
    const before = pipe.pages;
    pipe.skip(n);
    if (pipe.pages < before) this.ends.wakeWriters(EPOLLOUT | EPOLLWRNORM);
  }

  /** Splices bytes in: how many, or −EAGAIN. `lead`: where in its page the first one lay. */
  give(buf: Uint8Array, off: number, len: number, lead: number): number {
    const n = this.ends.pipe.give(buf, off, len, lead);
    if (n > 0) this.ends.wakeReaders(EPOLLIN | EPOLLRDNORM);
    return n;
  }

  /** splice(2) and tee(2) between pipes: bytes moved, or copied unless `take`. */
  passTo(out: PipeFile, len: number, take: boolean): number {
    const { pipe } = this.ends;
    const before = pipe.pages;
    const n = pipe.passTo(out.ends.pipe, len, take);
    if (n > 0) out.ends.wakeReaders(EPOLLIN | EPOLLRDNORM);
    if (pipe.pages < before) this.ends.wakeWriters(EPOLLOUT | EPOLLWRNORM);
    return n;
  }

  override write(_t: CallContext, buf: Uint8Array, off: number, len: number): number {
    if (len === 0) return 0;
    if (this.ends.readers === 0) return -EPIPE;
    const pipe = this.ends.pipe;
    const n = pipe.write(buf, off, len, (this.flags & O_DIRECT) !== 0);
    if (n > 0) this.inode.modified(currentTime());
    // Of a write that had no room readers hear as well (anon_pipe_write with poll_usage).
    this.ends.wakeReaders(EPOLLIN | EPOLLRDNORM);
    return n;
  }

  override poll(): number {
    const { pipe, readers, writers, writerOpens } = this.ends;
    let events = 0;
    if (this.readable) {
      if (pipe.used > 0) events |= EPOLLIN | EPOLLRDNORM;
      if (writers === 0 && this.silentUntil !== writerOpens) events |= EPOLLHUP;
    }
    if (this.writable) {
      if (pipe.writable) events |= EPOLLOUT | EPOLLWRNORM;
      if (readers === 0) events |= EPOLLERR;
    }
    return events;
  }

  /** fcntl(F_GETPIPE_SZ) */
  get pipeSize(): number {
    return this.ends.pipe.capacity;
  }

  /** fcntl(F_SETPIPE_SZ): the new size or −errno. */
  setPipeSize(size: number, privileged: boolean): number {
    const r = this.ends.pipe.setCapacity(size, privileged);
    if (r > 0 && this.ends.pipe.writable) this.ends.wakeWriters(EPOLLOUT | EPOLLWRNORM);
    return r;
  }

  override ioctl(t: CallContext, cmd: number, arg: number): number {
    if (cmd === FIONREAD) return t.mem.writeU32(arg, this.ends.pipe.used);
    return super.ioctl(t, cmd, arg);
  }

  protected override release(): void {
    const ends = this.ends;
    ends.files.delete(this);
    if (this.readable && --ends.readers === 0) ends.wakeWriters(EPOLLOUT | EPOLLWRNORM | EPOLLERR);
    if (this.writable && --ends.writers === 0) ends.wakeReaders(EPOLLIN | EPOLLRDNORM | EPOLLHUP);
    if (ends.files.size > 0) return;
    ends.pipe.release();
    fifos.delete(this.inode.identity);
  }
}

/** pipe2(2): [read end, write end]. `flags` ⊆ O_NONBLOCK|O_DIRECT. */
export function makePipe(t: CallContext | null, flags: number): [PipeFile, PipeFile] {
  const inode = pipeInode(t);
  const ends = fifoEnds(inode);
  inode.opener = (path, openFlags) => new PipeFile(path, inode, openFlags, ends, true);
  return [
    // Packets are the writer's to make.
    new PipeFile(null, inode, O_RDONLY | (flags & O_NONBLOCK), ends),
    new PipeFile(null, inode, O_WRONLY | flags, ends),
  ];
}

/** Pipes that are open, by inode. */
const fifos = new Map<FileIdentity, PipeEnds>();

/** The pipe behind `inode`, made when its first end is opened. */
export function fifoEnds(inode: Inode): PipeEnds {
  const file = inode.findIdentity();
  let ends = fifos.get(file);
  if (ends === undefined) {
    ends = new PipeEnds();
    fifos.set(file, ends);
  }
  return ends;
}
