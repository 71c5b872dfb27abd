/** One message to a server, and what came of it. */
import type { Question, ServedCall } from '../../vfs/served-call.ts';
import { IN_HEADER } from './protocol.ts';

const EMPTY = Buffer.alloc(0);

export class Request implements Question {
  readonly operation: number;
  readonly node: string;
  readonly body: Buffer;
  /** Counted by the connection; 0 for messages without an answer. */
  unique = 0;
  /** 0 or −errno, once answered. */
  error = 0;
  reply: Buffer = EMPTY;
  /** The answer has been looked at. */
  seen = false;
  interruptWanted = false;
  run = -1;
  private call: ServedCall | null;

  constructor(operation: number, node: string, body: Buffer, call: ServedCall | null) {
    this.operation = operation;
    this.node = node;
    this.body = body;
    this.call = call;
  }

  matches(operation: number, node: string, body: Uint8Array): boolean {
    return operation === this.operation && node === this.node && this.body.equals(body);
  }

  get length(): number {
    return IN_HEADER + this.body.length;
  }

  /** Bytes of the message: struct fuse_in_header and the body. */
  encode(): Buffer {
    const b = Buffer.alloc(this.length);
    b.writeUInt32LE(b.length, 0);
    b.writeUInt32LE(this.operation, 4);
    b.writeUInt32LE(this.unique, 8);
    b.write(this.node, 16, 'latin1');
    const asker = this.asker;
    b.writeUInt32LE(this.uid, 24);
    b.writeUInt32LE(this.gid, 28);
    b.writeUInt32LE(asker, 32);
    this.body.copy(b, IN_HEADER);
    return b;
  }

  private uid = 0;
  private gid = 0;
  private asker = 0;

  /** Whom the server takes it to be from. */
  from(uid: number, gid: number, tid: number): void {
    this.uid = uid;
    this.gid = gid;
    this.asker = tid;
  }

  finish(error: number, reply: Buffer): void {
    this.error = error;
    this.reply = reply;
    const { call } = this;
    this.call = null;
    if (call === null) this.callOver();
    else call.answer(this);
  }

  abandon(): void {
    this.call = null;
    this.interrupt();
  }

  /** A file was opened by it, and is in use. */
  claimed = false;
  /** The call is in progress: it may come to make use of the answer again. */
  inCall = true;
  /** What to do with a file that was opened for nobody. */
  onUnused: ((r: Request) => void) | null = null;

  callOver(): void {
    this.inCall = false;
    if (!this.claimed && this.error === 0) this.onUnused?.(this);
  }

  /** Set by the connection while the request is under way. */
  onInterrupt: ((r: Request) => void) | null = null;

  interrupt(): void {
    if (this.interruptWanted) return;
    this.interruptWanted = true;
    this.onInterrupt?.(this);
  }

  /** Somebody waits for the answer. */
  get awaited(): boolean {
    return this.call !== null;
  }
}
