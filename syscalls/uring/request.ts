/**
 * A request of an io_uring (io_uring/io_uring.c struct io_kiocb): a copy of its submission entry, carried out by a worker, and the requests
 * that are linked to it.
 */
import {
  ECANCELED,
  EALREADY,
  EBADF,
  EINTR,
  ERESTARTSYS,
  ERESTART_RESTARTBLOCK,
} from '../../sentry/abi/errno.ts';
import * as U from '../../sentry/abi/io-uring.ts';
import type { Credentials } from '../../sentry/auth/credentials.ts';
import { bindWorker, runWorker, type WorkerFiles } from '../../sentry/kernel/io-worker.ts';
import { SYS_BLOCKED } from '../../sentry/kernel/syscall-table.ts';
import { TASK_ASKING, TASK_BLOCKED, TASK_KERNEL, type Task, type Work } from '../../sentry/kernel/task.ts';
import type { FileDescription } from '../../sentry/vfs/file-description.ts';
import { uringsOf } from './kernel-urings.ts';
import type { Op } from './op.ts';
import { SQE_WORDS } from './rings.ts';
import type { UringFile } from './uring-file.ts';

/** Completions of one request in a row. */
const SHOTS_IN_A_ROW = 32;

export class Request implements Work {
  readonly ring: UringFile;
  /** Who has submitted it. */
  readonly owner: Task;
  readonly sqe = new Uint32Array(SQE_WORDS);
  op: Op;
  /** IOSQE_* */
  flags = 0;
  /** The outcome, if it is known before the request begins. */
  result = 0;
  isFailed = false;
  /** REQ_F_SKIP_LINK_CQES: those that are linked to it end without a word. */
  skipsLinked = false;
  link: Request | null = null;
  /** LINK_TIMEOUT: the timeout of this request, and whose timeout it is. */
  timeout: Request | null = null;
  timed: Request | null = null;
  file: FileDescription | null = null;
  other: FileDescription | null = null;
  creds: Credentials | null = null;
  /** IOSQE_BUFFER_SELECT: the provided buffer in use. */
  buffer: { readonly addr: number; readonly len: number; readonly id: number } | null = null;
  /** What its operation keeps. */
  state: unknown = null;
  worker: Task | null = null;

  constructor(ring: UringFile, owner: Task, op: Op) {
    this.ring = ring;
    this.owner = owner;
    this.op = op;
  }

  // The submission entry.
  get fd(): number {
    return this.sqe[1]! | 0;
  }

  get prio(): number {
    return this.sqe[0]! >>> 16;
  }

  get addr(): number {
    return wide(this.sqe, 4);
  }

  get len(): number {
    return this.sqe[6]!;
  }

  get opFlags(): number {
    return this.sqe[7]!;
  }

  get bufIndex(): number {
    return this.sqe[10]! & 0xffff;
  }

  /** file_index: 0 for none, else one more than the slot, or IORING_FILE_INDEX_ALLOC. */
  get fileIndex(): number {
    return this.sqe[11]!;
  }

  has(flag: number): boolean {
    return (this.flags & flag) !== 0;
  }

  /** req_set_fail() */
  fail(): void {
    this.isFailed = true;
    if (!this.has(U.IOSQE_CQE_SKIP_SUCCESS)) return;
    this.flags &= ~U.IOSQE_CQE_SKIP_SUCCESS;
    this.skipsLinked = true;
  }

  /** It has to wait for its turn: after others that were submitted, or that it is linked to. */
  schedule(): void {
    const { ring } = this;
    ring.requests.add(this);
    uringsOf(this.owner.kernel).track(this);
    const t = this.makeWorker();
    t.block(Infinity, -ECANCELED);
    t.wake();
  }

  private makeWorker(): Task {
    const t = bindWorker(uringsOf(this.owner.kernel).idle.pop(), this.owner, this);
    if (this.creds !== null) t.creds = this.creds;
    t.row = null;
    this.worker = t;
    return t;
  }

  woken(): void {
    this.ring.ready.add(this);
  }

  /** The worker has been woken. */
  resume(): void {
    this.advance();
    this.ring.settle();
  }

  /** Goes on, without telling of completions. */
  advance(): void {
    this.ring.ready.delete(this);
    const t = this.worker;
    if (t === null) return;
    if (t.state === TASK_BLOCKED) t.cancelWait();
    else if (t.state === TASK_ASKING && (t.served === null || t.served.waiting === null))
      t.state = TASK_KERNEL;
    else return;
    if (t.row === null) this.begin();
    else this.run();
  }

  /** io_issue_sqe(): begins at once. */
  issue(): void {
    this.ring.requests.add(this);
    uringsOf(this.owner.kernel).track(this);
    this.makeWorker();
    this.begin();
  }

  private begin(): void {
    const t = this.worker!;
    const files = t.fdTable as WorkerFiles;
    if (this.op.needsFile) {
      this.file = this.fileOf(this.sqe[1]!, this.has(U.IOSQE_FIXED_FILE));
      if (this.file === null) {
        this.finish(-EBADF);
        return;
      }
      files.own = this.file;
    }
    const row = this.op.begin(this, t);
    if (typeof row === 'number') {
      this.finish(row);
      return;
    }
    t.row = row;
    t.sysno = row.nr;
    this.run();
    if (this.worker !== null) this.armTimeout();
  }

  /** The file of a number, registered or not, with a reference. */
  fileOf(fd: number, fixed: boolean): FileDescription | null {
    const f = fixed ? (this.ring.files?.[fd] ?? null) : this.owner.fdTable.get(fd | 0);
    return f === null ? null : f.ref();
  }

  private run(): void {
    const t = this.worker!;
    for (let shots = 0; ; shots++) {
      const r = runWorker(t);
      if (this.worker !== t || r === SYS_BLOCKED) return;
      const result = r <= -ERESTARTSYS && r >= -ERESTART_RESTARTBLOCK ? -EINTR : r;
      const flags = this.op.cqeFlags?.(this, result) ?? 0;
      if (
        this.op.goesOn === undefined ||
        !this.op.goesOn(this, result) ||
        !this.ring.postMore(this.sqe[8]!, this.sqe[9]!, result, flags | U.IORING_CQE_F_MORE)
      ) {
        this.finish(result, flags);
        return;
      }
      if (shots < SHOTS_IN_A_ROW) continue;
      t.yieldCall(null, -ECANCELED);
      return;
    }
  }

  /** io_try_cancel(): 0, or −EALREADY if it is too far. */
  cancel(result = -ECANCELED): number {
    const t = this.worker;
    if (t === null) return -EALREADY;
    if (t.state === TASK_ASKING) t.served?.waiting?.interrupt();
    if (t.state !== TASK_BLOCKED) return -EALREADY;
    const r = t.interruptWait();
    this.finish(r > 0 ? r : result);
    return 0;
  }

  /** Its owner goes: it ends now, wherever it is. */
  terminate(): void {
    const at = this.ring.drained.indexOf(this);
    if (at >= 0) {
      this.ring.drained.splice(at, 1);
      this.ring.inflight++;
      for (let r = this.link; r !== null; r = r.link) this.ring.inflight++;
    }
    this.stopWaiting();
    this.finish(-ECANCELED);
  }

  private stopWaiting(): void {
    const t = this.worker;
    if (t === null || (t.state !== TASK_BLOCKED && t.state !== TASK_ASKING)) return;
    t.endServed();
    t.interruptWait();
  }

  /** Its ring goes: nobody hears of it. */
  abandon(): void {
    this.stopWaiting();
    for (let r = this.link; r !== null; r = r.link) {
      r.letGo();
      this.ring.inflight--;
    }
    this.link = null;
    this.letGo();
    this.ring.inflight--;
  }

  /** What it holds is given back. */
  private letGo(): void {
    const { ring, worker } = this;
    const urings = uringsOf(this.owner.kernel);
    ring.requests.delete(this);
    ring.ready.delete(this);
    ring.counting.delete(this);
    this.op.end?.(this);
    const { file, other } = this;
    this.file = null;
    this.other = null;
    this.worker = null;
    if (worker !== null) {
      const files = worker.fdTable as WorkerFiles;
      files.own = null;
      files.other = null;
      urings.putBack(worker);
    }
    urings.untrack(this);
    file?.unref();
    other?.unref();
  }

  /** It is over. Those that are linked to it begin, or end with it. */
  finish(result: number, cqeFlags = 0): void {
    const { timeout } = this;
    if (!this.isFailed && (this.op.failed?.(this, result) ?? result < 0)) this.fail();
    this.letGo();
    this.tell(result, cqeFlags);
    this.timeout = null;
    if (timeout !== null) {
      timeout.timed = null;
      timeout.cancel();
    }
    if (this.link !== null && this.link.op === linkTimeout) {
      const unused = this.link;
      this.link = unused.link;
      unused.link = null;
      unused.letGo();
      unused.tell(-ECANCELED, 0);
    }
    if (this.isFailed && !this.has(U.IOSQE_IO_HARDLINK)) this.failLinked();
    const next = this.link;
    this.link = null;
    if (next !== null) next.start();
  }

  /** Begins after what it was linked to; one that has failed in its submission ends with that. */
  start(): void {
    if (!this.isFailed) this.schedule();
    else {
      // io_queue_sqe_fallback(): even a hard link ends with the first.
      this.flags &= ~U.IOSQE_IO_HARDLINK;
      this.finish(this.result);
    }
  }

  private tell(result: number, cqeFlags: number): void {
    this.ring.inflight--;
    if (this.has(U.IOSQE_CQE_SKIP_SUCCESS)) return;
    this.ring.post(this.sqe[8]!, this.sqe[9]!, result, cqeFlags);
    if (this.op.isTimeout !== true) this.ring.posted++;
  }

  /** io_fail_links() */
  private failLinked(): void {
    for (let r = this.unlink(); r !== null;) {
      const next = r.unlink();
      if (this.skipsLinked) r.flags |= U.IOSQE_CQE_SKIP_SUCCESS;
      r.letGo();
      r.tell(r.isFailed ? r.result : -ECANCELED, 0);
      r = next;
    }
  }

  private unlink(): Request | null {
    const { link } = this;
    this.link = null;
    return link;
  }

  /** A linked timeout runs from when its request has begun. */
  private armTimeout(): void {
    const lt = this.link;
    if (lt === null || lt.op !== linkTimeout) return;
    this.link = lt.link;
    lt.link = null;
    lt.timed = this;
    this.timeout = lt;
    lt.issue();
  }
}

let linkTimeout: Op | null = null;

/** The operation that is no link of its own. */
export function setLinkTimeout(op: Op): void {
  linkTimeout = op;
}

/** The 64 bits at word `i`, as a number; beyond 2^53 it is too large for every range. */
export function wide(sqe: Uint32Array, i: number): number {
  const hi = sqe[i + 1]!;
  return (hi < 0x200000 ? hi : 0x1fffff) * 0x100000000 + sqe[i]!;
}
