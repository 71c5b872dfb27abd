/** One message to a server, and what came of it. */
import type { Question, ServedCall } from '../../vfs/served-call.ts';
import * as P from './protocol.ts';

const EMPTY = Buffer.alloc(0);
/** Operations whose message begins with the id of an open file. */
const OF_FILES = new Set([
  P.READ, P.WRITE, P.FLUSH, P.FSYNC, P.FALLOCATE, P.LSEEK, P.RELEASE, P.READDIR, P.FSYNCDIR, P.RELEASEDIR,
]); // prettier-ignore

/** Whom the server takes a message to be from: ids in the mount's user namespace. */
export interface Sender {
  readonly uid: number;
  readonly gid: number;
  readonly tid: number;
}

/** What the kernel says by itself. */
const KERNEL: Sender = { uid: 0, gid: 0, tid: 0 };

export class Request implements Question {
  readonly operation: number;
  readonly node: string;
  body: Buffer;
  private readonly sender: Sender;
  /** The open file that it is about, or null. */
  private readonly file: string | null;
  /** The call that waits for the answer. */
  private call: ServedCall | null;
  /** Set when it is queued. */
  unique = 0;
  /** 0 or −errno, once answered. */
  error = 0;
  reply: Buffer = EMPTY;
  run = -1;
  /** Who waits has a signal. */
  interruptWanted = false;
  /** A node's look-up has been counted by the answer. */
  seen = false;
  /** A file was opened by it, and is in use. */
  claimed = false;
  /** The call is in progress: it may come to make use of the answer again. */
  inCall = true;
  /** Set by the connection: what to do about a signal, and with a file that was opened for nobody. */
  onInterrupt: ((r: Request) => void) | null = null;
  onUnused: ((r: Request) => void) | null = null;

  constructor(operation: number, node: string, body: Buffer, call: ServedCall | null, sender = KERNEL) {
    this.operation = operation;
    this.node = node;
    this.body = body;
    this.call = call;
    this.sender = sender;
    this.file = OF_FILES.has(operation) ? P.readId(body, 0) : null;
  }

  sameFile(r: Request): boolean {
    return this.file !== null && this.file === r.file && this.node === r.node;
  }

  matches(operation: number, node: string, body: Uint8Array): boolean {
    return operation === this.operation && node === this.node && this.body.equals(body);
  }

  get length(): number {
    return P.IN_HEADER + this.body.length;
  }

  /** Bytes of the message: struct fuse_in_header and the body. */
  encode(): Buffer {
    const b = Buffer.alloc(this.length);
    b.writeUInt32LE(b.length, 0);
    b.writeUInt32LE(this.operation, 4);
    b.writeUInt32LE(this.unique >>> 0, 8);
    b.writeUInt32LE(Math.floor(this.unique / 0x100000000), 12);
    b.write(this.node, 16, 'latin1');
    b.writeUInt32LE(this.sender.uid, 24);
    b.writeUInt32LE(this.sender.gid, 28);
    b.writeUInt32LE(this.sender.tid, 32);
    this.body.copy(b, P.IN_HEADER);
    return b;
  }

  finish(error: number, reply: Buffer): void {
    this.error = error;
    this.reply = reply;
    const { call } = this;
    this.call = null;
    if (call === null) this.callOver();
    else call.answer(this);
  }

  callOver(): void {
    this.inCall = false;
    if (!this.claimed && this.error === 0) this.onUnused?.(this);
  }

  /** Somebody waits for the answer. */
  get awaited(): boolean {
    return this.call !== null;
  }

  /** It has been read by the server, and nobody will ask it again. */
  forgetBody(): void {
    this.body = EMPTY;
  }

  abandon(): void {
    this.call = null;
    this.interruptWanted = true;
    this.onInterrupt?.(this);
  }

  interrupt(): void {
    if (this.interruptWanted) return;
    this.interruptWanted = true;
    this.onInterrupt?.(this);
  }
}
