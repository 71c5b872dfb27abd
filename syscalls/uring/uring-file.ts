/**
 * UringFile: an io_uring (io_uring/io_uring.c struct io_ring_ctx): its rings, its requests, and what was registered with it. It ends with
 * its last descriptor and mapping, and its requests with it.
 */
import { ENOMEM } from '../../sentry/abi/errno.ts';
import { O_RDWR } from '../../sentry/abi/fcntl.ts';
import { IOSQE_IO_DRAIN } from '../../sentry/abi/io-uring.ts';
import type { Credentials } from '../../sentry/auth/credentials.ts';
import { anonInode } from '../../sentry/fsimpl/anon/anon-inode.ts';
import type { EventFile } from '../../sentry/fsimpl/eventfd/eventfd.ts';
import type { Task } from '../../sentry/kernel/task.ts';
import { FileDescription, type MapSource } from '../../sentry/vfs/file-description.ts';
import { EPOLLIN, EPOLLOUT, EPOLLRDNORM, EPOLLWRNORM } from '../../sentry/waiter/wait-queue.ts';
import type { BufferGroup } from './buffers.ts';
import type { Request } from './request.ts';
import type { Rings } from './rings.ts';

/** A registered buffer; null: a hole of a sparse table. */
export interface FixedBuffer {
  readonly addr: number;
  readonly len: number;
}

/** IORING_REGISTER_RESTRICTIONS: what is allowed. */
export interface Restrictions {
  readonly registerOps: Set<number>;
  readonly sqeOps: Set<number>;
  flagsAllowed: number;
  flagsRequired: number;
}

export class UringFile extends FileDescription {
  readonly rings: Rings;
  /** IORING_SETUP_* */
  readonly setup: number;
  /** Not yet enabled (IORING_SETUP_R_DISABLED). */
  disabled: boolean;
  /** The one task that may submit (IORING_SETUP_SINGLE_ISSUER). */
  submitter: Task | null;
  /** Begun, and not yet over. */
  readonly requests = new Set<Request>();
  /** Of those the ones that were woken. */
  readonly ready = new Set<Request>();
  /** Submitted and not yet over: the begun ones, and those that are linked to them. */
  inflight = 0;
  /** IOSQE_IO_DRAIN: heads of chains that have not begun. */
  readonly drained: Request[] = [];
  /** Timeouts that end when `posted` is so much. */
  readonly counting = new Map<Request, number>();
  /** Completions so far, but for those of timeouts. */
  posted = 0;
  /** Bytes moved in the run of the handler in hand. */
  moved = 0;
  /** Registered: files, buffers, credentials, an eventfd. */
  files: (FileDescription | null)[] | null = null;
  buffers: (FixedBuffer | null)[] | null = null;
  readonly groups = new Map<number, BufferGroup>();
  readonly personalities = new Map<number, Credentials>();
  lastPersonality = 0;
  /** Of registered buffers. */
  lockedBytes = 0;
  /** IORING_REGISTER_IOWQ_MAX_WORKERS: bounded and unbounded ones. */
  readonly maxWorkers = [0, 0];
  eventFile: EventFile | null = null;
  /** IORING_REGISTER_EVENTFD_ASYNC: not for what is over when it is submitted. */
  isEventAsync = false;
  restrictions: Restrictions | null = null;
  /** IORING_REGISTER_FILE_ALLOC_RANGE: free slots are looked for from here up to there. */
  allocRange: readonly [number, number] = [0, Infinity];
  /** IOSQE_CQE_SKIP_SUCCESS was used: nobody can drain any more. */
  skipsCompletions = false;
  /** The chain that a submission is putting together. */
  chainHead: Request | null = null;
  chainLast: Request | null = null;
  /** A run of io_uring_enter(2) is submitting. */
  isSubmitting = false;
  private hasNews = false;

  constructor(rings: Rings, setup: number, disabled: boolean, submitter: Task | null) {
    super(null, anonInode('io_uring'), O_RDWR);
    this.rings = rings;
    this.setup = setup;
    this.disabled = disabled;
    this.submitter = submitter;
  }

  protected override release(): void {
    for (const r of [...this.requests]) r.abandon();
    for (const r of this.drained.splice(0)) r.abandon();
    for (const f of this.files ?? []) f?.unref();
    this.files = null;
    this.eventFile?.unref();
    this.rings.release();
  }

  /** A completion; the guest sees it with the next `settle`. */
  post(lo: number, hi: number, res: number, flags: number): void {
    this.hasNews = true;
    this.rings.postAlways(lo, hi, res, flags);
  }

  /** The same of a request that goes on. False: there is no room, it has to end. */
  postMore(lo: number, hi: number, res: number, flags: number): boolean {
    if (!this.rings.post(lo, hi, res, flags)) return false;
    this.hasNews = true;
    this.posted++;
    return true;
  }

  /** Requests that what has ended makes room for; then tells of what was posted: who waits, and the registered eventfd. */
  settle(): void {
    for (const [r, count] of this.counting) if (this.posted >= count) r.cancel(0);
    this.beginDrained();
    if (!this.hasNews) return;
    this.hasNews = false;
    this.rings.commit();
    this.waiters.wake(EPOLLIN | EPOLLRDNORM);
    const e = this.eventFile;
    if (e !== null && !(this.isEventAsync && this.isSubmitting) && !this.rings.eventsDisabled) e.add(1);
  }

  /** io_queue_deferred(): those that drain begin when no other is left, what came behind them with them. */
  private beginDrained(): void {
    while (this.drained.length > 0) {
      if (this.drained[0]!.has(IOSQE_IO_DRAIN) && this.inflight > 0) return;
      const head = this.drained.shift()!;
      for (let r: Request | null = head; r !== null; r = r.link) this.inflight++;
      head.start();
    }
  }

  override poll(): number {
    const hasRoom = this.rings.submitted < this.rings.sqEntries;
    const hasEvents = this.rings.unseen > 0 || this.rings.hasOverflow;
    return (hasRoom ? EPOLLOUT | EPOLLWRNORM : 0) | (hasEvents ? EPOLLIN | EPOLLRDNORM : 0);
  }

  override mapSource(_shared: boolean, _prot: number, offset: number): MapSource | number {
    const hostOffset = this.rings.mapped(offset);
    if (hostOffset < 0) return -ENOMEM;
    return { hostFd: this.rings.memory.hostFd, hostOffset, privateOnly: false, inMemory: true };
  }

  /** io_uring_show_fdinfo() */
  override fdinfo(): string {
    const count = (of: readonly unknown[] | null): number => of?.length ?? 0;
    return (
      `${this.rings.figures}SQEs:\t0\nCQEs:\t${this.rings.unseen}\n` +
      'SqThread:\t-1\nSqThreadCpu:\t-1\nSqTotalTime:\t0\nSqWorkTime:\t0\n' +
      `UserFiles:\t${count(this.files)}\nUserBufs:\t${count(this.buffers)}\n` +
      'PollList:\nCqOverflowList:\nNAPI:\tdisabled\n'
    );
  }
}
