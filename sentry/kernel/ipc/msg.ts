/** System V message queues (ipc/msg.c). */
import type { Credentials } from '../../auth/credentials.ts';
import { WaitQueue } from '../../waiter/wait-queue.ts';
import { IpcIds, IpcObject } from './ipc-ids.ts';
import type { IpcLimits } from './ipc-limits.ts';

/** Text of all messages of a sandbox: it lives in the kernel's memory. */
const TOTAL_BYTES_MAX = 64 * 1024 * 1024;
let totalBytes = 0;

export interface Message {
  /** A long: exact within ±2^53, which is enough to compare. */
  readonly type: number;
  readonly typeLo: number;
  readonly typeHi: number;
  readonly text: Buffer;
}

export class MsgQueue extends IpcObject {
  readonly messages: Message[] = [];
  bytes = 0;
  maxBytes: number;
  stime = 0;
  rtime = 0;
  lspid = 0;
  lrpid = 0;
  readonly readers = new WaitQueue();
  readonly writers = new WaitQueue();

  constructor(key: number, mode: number, creds: Credentials, maxBytes: number) {
    super(key, mode, creds);
    this.maxBytes = maxBytes;
  }

  hasRoom(len: number): boolean {
    if (totalBytes + len > TOTAL_BYTES_MAX) return false;
    return this.bytes + len <= this.maxBytes && this.messages.length + 1 <= this.maxBytes;
  }

  add(m: Message): void {
    this.messages.push(m);
    this.bytes += m.text.length;
    totalBytes += m.text.length;
  }

  take(i: number): Message {
    const m = this.messages.splice(i, 1)[0]!;
    this.bytes -= m.text.length;
    totalBytes -= m.text.length;
    return m;
  }

  /**
   * Index of the message that msgrcv's `type` asks for: 0 the first, > 0 the first of that type (with `except`: of another),
   * < 0 the first of the lowest type not above −type. −1: none.
   */
  findMessage(type: number, except: boolean): number {
    if (type === 0) return this.messages.length > 0 ? 0 : -1;
    if (type > 0) return this.messages.findIndex((m) => (m.type === type) !== except);
    let best = -1;
    this.messages.forEach((m, i) => {
      if (m.type <= -type && (best < 0 || m.type < this.messages[best]!.type)) best = i;
    });
    return best;
  }
}

export class MsgTable extends IpcIds<MsgQueue> {
  constructor(limits: IpcLimits) {
    super(() => limits.msgmni);
  }

  override destroy(q: MsgQueue): void {
    this.remove(q);
    while (q.messages.length > 0) q.take(q.messages.length - 1);
    q.readers.wake(1);
    q.writers.wake(1);
  }
}
