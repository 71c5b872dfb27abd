/** Messages in the receive queues of AF_UNIX sockets, and the account of descriptors in flight. */
import type { Task } from '../../kernel/task.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { FileDescription } from '../../vfs/file-description.ts';
import type { Timestamp } from '../../vfs/inode.ts';
import type { UCred } from '../socket.ts';

/** What a message costs its sender beside its bytes (struct sk_buff and rounding). */
export const MESSAGE_OVERHEAD = 768;

/** __net_timestamp() */
export function wallTime(t: CallContext): Timestamp {
  const { clock } = (t as Task).kernel;
  const sec = clock.realtimeSec();
  return { sec, nsec: clock.realtimeNsec() };
}

export class UnixMessage {
  /** Private copy of the bytes. */
  readonly data: Uint8Array;
  /** Bytes already read (streams). */
  off = 0;
  /** Of streams: an urgent byte that was taken out, which stays as a mark. Of empty datagrams: peeked at. */
  taken = false;
  fds: FileDescription[] | null;
  /** Whose descriptors in flight they are. */
  readonly uid: number;
  readonly creds: UCred | null;
  /** Address of the sender, null if it had none. */
  readonly from: Uint8Array | null;
  /** When it was sent, if the receiver asked for that (skb->tstamp). */
  stamp: Timestamp | null = null;
  /** Gives the sender its buffer space back. */
  readonly uncharge: (bytes: number) => void;

  constructor(
    data: Uint8Array,
    fds: FileDescription[] | null,
    uid: number,
    creds: UCred | null,
    from: Uint8Array | null,
    uncharge: (bytes: number) => void,
  ) {
    this.data = data;
    this.fds = fds;
    this.uid = uid;
    this.creds = creds;
    this.from = from;
    this.uncharge = uncharge;
  }

  get left(): number {
    return this.data.length - this.off;
  }

  get truesize(): number {
    return this.data.length + MESSAGE_OVERHEAD;
  }
}

/** FIFO with O(1) amortised shift. */
export class MessageQueue {
  private items: (UnixMessage | null)[] = [];
  private head = 0;

  get length(): number {
    return this.items.length - this.head;
  }

  at(i: number): UnixMessage | undefined {
    return this.items[this.head + i] ?? undefined;
  }

  push(m: UnixMessage): void {
    this.items.push(m);
  }

  /** Takes out the `i`th. */
  remove(i: number): UnixMessage | undefined {
    if (i === 0) return this.shift();
    const m = this.at(i);
    if (m !== undefined) this.items.splice(this.head + i, 1);
    return m;
  }

  shift(): UnixMessage | undefined {
    const m = this.items[this.head];
    if (m === undefined) return undefined;
    this.items[this.head++] = null;
    if (this.head > 32 && this.head * 2 > this.items.length) {
      this.items = this.items.slice(this.head);
      this.head = 0;
    }
    return m!;
  }
}
