/**
 * The connection between a mounted FUSE file system and the program that serves it through /dev/fuse (fs/fuse/dev.c): requests that
 * wait to be read, requests that wait for their answer, and what the server said about itself in FUSE_INIT.
 */
import { ECONNABORTED, EINVAL, EIO, ENOENT, ENOSYS, ENOTCONN } from '../../abi/errno.ts';
import { EPOLLERR, EPOLLIN, EPOLLRDNORM, WaitQueue } from '../../waiter/wait-queue.ts';
import type { UserNamespace } from '../../auth/credentials.ts';
import { servedCall, UNANSWERED } from '../../vfs/served-call.ts';
import type { SuperBlock } from '../../vfs/super-block.ts';
import * as P from './protocol.ts';
import { Request } from './request.ts';

const MAX_ERROR = 512;
/** Shortest answers of operations that have one. */
const REPLY_MIN = new Map([
  [P.LOOKUP, P.ENTRY_OUT],
  [P.SYMLINK, P.ENTRY_OUT],
  [P.MKNOD, P.ENTRY_OUT],
  [P.MKDIR, P.ENTRY_OUT],
  [P.LINK, P.ENTRY_OUT],
  [P.GETATTR, P.ATTR_OUT],
  [P.SETATTR, P.ATTR_OUT],
  [P.OPEN, P.OPEN_OUT],
  [P.OPENDIR, P.OPEN_OUT],
  [P.CREATE, P.ENTRY_OUT + P.OPEN_OUT],
  [P.WRITE, 4],
  [P.STATFS, 48],
  [P.LSEEK, 8],
  [P.INIT, 24],
]);
/** Those whose answer is data of any length. */
const DATA = new Set([P.READ, P.READDIR, P.READLINK, P.GETXATTR, P.LISTXATTR]);
const OPENS = new Set([P.OPEN, P.OPENDIR, P.CREATE]);
const RELEASES = new Set([P.RELEASE, P.RELEASEDIR]);
const NO_REPLY = Buffer.alloc(0);

/** The file system that is served, with what it does about notifications. */
export interface ServedFileSystem extends SuperBlock {
  invalidateNode(node: string): void;
  invalidateEntry(parent: string, name: string): void;
}

export class Connection {
  connected = true;
  /** INIT has been answered. */
  private ready = false;
  /** fuse_init_out.max_write, and what a READ may ask for. */
  maxWrite = 4096;
  maxRead = P.MAX_DATA;
  minor = P.FUSE_MINOR;
  readonly waiters = new WaitQueue();
  fileSystem: ServedFileSystem | null = null;
  private lastUnique = 0;
  private readonly init: Request;
  private pending: Request[] = [];
  private interrupts: Request[] = [];
  private readonly forgets = new Map<string, number>();
  private readonly sent = new Map<number, Request>();
  /** RELEASEs of files about which something has not been answered yet. */
  private releases: Request[] = [];
  /** Operations that the server does not have. */
  private readonly missing = new Set<number>();
  /** Open files of /dev/fuse. */
  private devices = 0;

  /** The mount's: ids in messages are as they are named there. */
  readonly userNs: UserNamespace;

  constructor(userNs: UserNamespace) {
    this.userNs = userNs;
    const flags =
      P.FUSE_ASYNC_READ | P.FUSE_EXPORT_SUPPORT | P.FUSE_BIG_WRITES | P.FUSE_DONT_MASK | P.FUSE_AUTO_INVAL_DATA |
      P.FUSE_NO_OPEN_SUPPORT | P.FUSE_PARALLEL_DIROPS | P.FUSE_NO_OPENDIR_SUPPORT; // prettier-ignore
    const body = new P.Body().u32(P.FUSE_MAJOR, P.FUSE_MINOR, 131072, flags).done;
    this.init = new Request(P.INIT, P.NO_NODE, body, null);
    this.init.unique = this.nextUnique();
  }

  private nextUnique(): number {
    // Even, as Linux's are: an INTERRUPT has the odd number after its request's.
    return (this.lastUnique += 2);
  }

  attach(): void {
    this.devices++;
  }

  /** One open /dev/fuse less; without any, nobody serves. */
  detach(): void {
    if (--this.devices === 0) this.abort();
  }

  // ---- the file system's side --------------------------------------------------------------------------------------------

  /** Does the server lack the operation (ENOSYS)? */
  lacks(operation: number): boolean {
    return this.missing.has(operation);
  }

  /**
   * Asks the server on behalf of the call in hand: the answered request, −errno (the server's, or −ENOTCONN), or UNANSWERED, to be
   * handed on as the result.
   */
  ask(operation: number, node: string, body: Buffer): Request | number {
    const call = servedCall();
    if (call === null) return -EIO;
    const known = call.find(operation, node, body) as Request | null;
    if (known !== null) {
      if (known.error === -ENOSYS) this.missing.add(operation);
      return known.error !== 0 ? known.error : known;
    }
    if (!this.connected) return -ENOTCONN;
    if (call.waiting === null) {
      const { creds, tid } = call.asker;
      const { userNs } = this;
      const sender = { uid: userNs.fromUid(creds.fsuid), gid: userNs.fromGid(creds.fsgid), tid };
      const r = new Request(operation, node, body, call, sender);
      if (OPENS.has(operation)) r.onUnused = (q) => this.release(q);
      call.waiting = r;
      this.enqueue(r);
    }
    return UNANSWERED;
  }

  /** Lets go of the file that `r` has opened. */
  private release(r: Request): void {
    const created = r.operation === P.CREATE;
    const node = created ? P.readId(r.reply, 0) : r.node;
    const file = P.readId(r.reply, created ? P.ENTRY_OUT : 0);
    const operation = r.operation === P.OPENDIR ? P.RELEASEDIR : P.RELEASE;
    const q = new Request(operation, node, P.releaseBody(file, r.body.readUInt32LE(0)), null);
    q.unique = this.lastUnique;
    this.releases.push(q);
    this.sendReleases();
  }

  /** A server forgets a file when it reads the RELEASE: that comes after the answers about it, those included that nobody waits for. */
  private sendReleases(): void {
    if (!this.connected) return;
    const held = this.releases;
    this.releases = [];
    for (const r of held) {
      if (this.inUse(r)) this.releases.push(r);
      else this.enqueue(r);
    }
  }

  /** Is something about its file, asked before it, not answered yet? */
  private inUse(release: Request): boolean {
    const before = (r: Request): boolean => r.unique <= release.unique && r.sameFile(release);
    return this.pending.some(before) || [...this.sent.values()].some(before);
  }

  /** The open file of `r` is closed. In the call that opened it that may be one more run's end only. */
  closed(r: Request): void {
    r.claimed = false;
    if (!r.inCall) this.release(r);
  }

  /** Tells the server something whose answer nobody waits for. */
  tell(operation: number, node: string, body: Buffer): void {
    if (this.connected) this.enqueue(new Request(operation, node, body, null));
  }

  /** The kernel forgets `count` look-ups of a node. */
  forget(node: string, count: number): void {
    if (!this.connected) return;
    this.forgets.set(node, (this.forgets.get(node) ?? 0) + count);
    this.wakeReaders();
  }

  /**
   * A node that can be forgotten, or null: not before the answers to RELEASE, which other threads of the server may still be busy
   * with (fuse_release_end() has the last reference).
   */
  private forgettable(): string | null {
    if (this.forgets.size === 0) return null;
    const releases = [...this.sent.values(), ...this.releases].filter((r) => RELEASES.has(r.operation));
    const inUse = new Set(releases.map((r) => r.node));
    for (const node of this.forgets.keys()) if (!inUse.has(node)) return node;
    return null;
  }

  /** An answer of READ or WRITE whose data has gone where it belongs. */
  consume(r: Request): void {
    servedCall()?.forget(r);
  }

  private enqueue(r: Request): void {
    r.unique = this.nextUnique();
    r.onInterrupt = (q) => this.interrupt(q);
    this.pending.push(r);
    if (this.ready) this.wakeReaders();
  }

  private wakeReaders(): void {
    this.waiters.wake(EPOLLIN | EPOLLRDNORM);
  }

  /** Who asked is gone or has a signal: the server hears of it after the request, which it need not read if nobody waits. */
  private interrupt(r: Request): void {
    const at = this.pending.indexOf(r);
    if (at >= 0) {
      if (!r.awaited) {
        this.pending.splice(at, 1);
        this.sendReleases();
      }
    } else if (this.sent.has(r.unique)) {
      // A server need never answer; what it opened has to be released with the flags that it was opened with.
      if (!r.awaited && !OPENS.has(r.operation)) r.forgetBody();
      const q = new Request(P.INTERRUPT, P.NO_NODE, new P.Body().u64(r.unique).done, null);
      q.unique = r.unique + 1;
      this.interrupts.push(q);
      this.wakeReaders();
    }
  }

  /** fuse_abort_conn(): everybody who waits gets −ECONNABORTED, and nothing can be asked any more. */
  abort(): void {
    if (!this.connected) return;
    this.connected = false;
    const waiting = [...this.sent.values(), ...this.pending];
    this.sent.clear();
    this.pending = [];
    this.interrupts = [];
    this.releases = [];
    this.forgets.clear();
    for (const r of waiting) r.finish(-ECONNABORTED, NO_REPLY);
    this.waiters.wake(EPOLLERR);
  }

  // ---- the server's side -------------------------------------------------------------------------------------------------

  get readable(): boolean {
    if (!this.ready) return this.init.error === 0 && !this.sent.has(this.init.unique);
    return this.interrupts.length > 0 || this.pending.length > 0 || this.forgettable() !== null;
  }

  /** Least size of a buffer that every request fits into. */
  get readMin(): number {
    return Math.max(P.MIN_READ_BUFFER, P.IN_HEADER + 40 + this.maxWrite);
  }

  /** The next request, or null. It waits for its answer from now on. */
  next(): Request | null {
    if (!this.ready) {
      if (!this.readable) return null;
      this.sent.set(this.init.unique, this.init);
      return this.init;
    }
    const interrupt = this.interrupts.shift();
    if (interrupt !== undefined) return interrupt;
    const r = this.pending.shift();
    if (r !== undefined) {
      this.sent.set(r.unique, r);
      if (r.interruptWanted) this.interrupt(r);
      return r;
    }
    const node = this.forgettable();
    if (node === null) return null;
    const forget = new Request(P.FORGET, node, new P.Body().u64(this.forgets.get(node)!).done, null);
    this.forgets.delete(node);
    forget.unique = this.nextUnique();
    return forget;
  }

  /** fuse_dev_do_write(): an answer or a notification of the server. Its length or −errno. */
  receive(message: Buffer): number {
    if (message.length < P.OUT_HEADER || message.readUInt32LE(0) !== message.length) return -EINVAL;
    const error = message.readInt32LE(4);
    const unique = P.readU64(message, 8);
    const payload = Buffer.from(message.subarray(P.OUT_HEADER));
    if (unique === 0) {
      const r = this.notified(error, payload);
      return r < 0 ? r : message.length;
    }
    if (error > 0 || error <= -MAX_ERROR) return -EINVAL;
    if ((unique & 1) !== 0) return this.sent.has(unique - 1) ? message.length : -ENOENT;
    const r = this.sent.get(unique);
    if (r === undefined) return -ENOENT;
    this.sent.delete(unique);
    const refused = this.accept(r, error, payload);
    if (this.releases.length > 0) this.sendReleases();
    if (this.forgets.size > 0 && RELEASES.has(r.operation)) this.wakeReaders();
    return refused < 0 ? refused : message.length;
  }

  private accept(r: Request, error: number, payload: Buffer): number {
    if (r === this.init) return this.initialized(error, payload);
    const least = REPLY_MIN.get(r.operation) ?? 0;
    const tooLong = least === 0 && !DATA.has(r.operation) && payload.length > 0;
    if (error !== 0 ? payload.length > 0 : payload.length < least || tooLong) {
      r.finish(-EIO, NO_REPLY);
      return -EINVAL;
    }
    r.finish(error, payload);
    return 0;
  }

  /** process_init_reply() */
  private initialized(error: number, b: Buffer): number {
    if (
      error !== 0 ||
      b.length < 24 ||
      b.readUInt32LE(0) !== P.FUSE_MAJOR ||
      b.readUInt32LE(4) < P.FUSE_MINOR_MIN
    ) {
      this.init.error = -EIO;
      this.abort();
      return error !== 0 ? 0 : -EINVAL;
    }
    this.minor = Math.min(b.readUInt32LE(4), P.FUSE_MINOR);
    this.maxWrite = Math.min(P.MAX_DATA, Math.max(4096, b.readUInt32LE(20)));
    this.ready = true;
    if (this.readable) this.wakeReaders();
    return 0;
  }

  private notified(code: number, b: Buffer): number {
    const { fileSystem } = this;
    switch (code) {
      case P.NOTIFY_POLL:
        return b.length === 8 ? 0 : -EINVAL;
      case P.NOTIFY_INVAL_INODE:
        if (b.length !== 24) return -EINVAL;
        fileSystem?.invalidateNode(P.readId(b, 0));
        return 0;
      case P.NOTIFY_INVAL_ENTRY:
      case P.NOTIFY_DELETE: {
        const head = code === P.NOTIFY_DELETE ? 24 : 16;
        if (b.length < head) return -EINVAL;
        const length = b.readUInt32LE(code === P.NOTIFY_DELETE ? 16 : 8);
        if (b.length !== head + length + 1) return -EINVAL;
        fileSystem?.invalidateEntry(P.readId(b, 0), b.toString('latin1', head, head + length));
        return 0;
      }
      default:
        return -EINVAL;
    }
  }
}
