/** Messages in the receive queues of AF_UNIX sockets, and the account of descriptors in flight. */
import { PAGE_SIZE, pageUp } from '../../lib/addr.ts';
import type { Task } from '../../kernel/task.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { FileDescription } from '../../vfs/file-description.ts';
import type { Timestamp } from '../../vfs/inode.ts';
import type { UCred } from '../socket.ts';

/** struct skb_shared_info, which lies behind the data, and struct sk_buff, both in cache lines. */
const SHARED_INFO = 320;
const SK_BUFF = 256;
/** Smallest head that kmalloc gives. */
const SMALL_HEAD = 512;
/** SKB_MAX_HEAD(0), SKB_MAX_ALLOC: what lies in the head, the rest in pages. */
const STREAM_HEAD = PAGE_SIZE - SHARED_INFO;
const DATAGRAM_HEAD = 4 * PAGE_SIZE - SHARED_INFO;
/** Most bytes of one message of a stream: with UNIX_SKB_FRAGS_SZ. */
export const STREAM_MESSAGE_MAX = STREAM_HEAD + 32768;

/** What a message of `len` bytes costs its sender (alloc_skb_with_frags): a head that kmalloc rounds up, and pages. */
function truesizeOf(len: number, inPages: number): number {
  let head = SMALL_HEAD;
  const wanted = Math.ceil((len - inPages) / 64) * 64 + SHARED_INFO;
  while (head < wanted) head *= 2;
  return head + SK_BUFF + pageUp(inPages);
}

/** unix_stream_sendmsg(): what does not fit into one page with its head is in whole pages. */
export function streamTruesize(len: number): number {
  return truesizeOf(len, Math.min(len, pageUp(Math.max(0, len - STREAM_HEAD))));
}

/** unix_dgram_sendmsg() */
export function datagramTruesize(len: number): number {
  return truesizeOf(len, Math.min(len, pageUp(Math.max(0, len - DATAGRAM_HEAD))));
}

/** __net_timestamp() */
export function wallTime(t: CallContext): Timestamp {
  const { clock } = (t as Task).kernel;
  const sec = clock.realtimeSec();
  return { sec, nsec: clock.realtimeNsec() };
}

/** Who has sent a message, as it is when that is received. */
export interface Sender {
  /** Null without a name. */
  readonly address: Uint8Array | null;
  /** Gives buffer space back. */
  uncharge(bytes: number): void;
}

export class UnixMessage {
  /** Private copy of the bytes. */
  readonly data: Uint8Array;
  /** What it takes of its sender's buffer. */
  readonly truesize: number;
  /** Bytes already read (streams). */
  off = 0;
  /** Of streams: an urgent byte that was taken out, which stays as a mark. Of empty datagrams: peeked at. */
  taken = false;
  fds: FileDescription[] | null;
  /** Whose descriptors in flight they are. */
  readonly uid: number;
  readonly creds: UCred | null;
  readonly sender: Sender;
  /** When it was sent, if the receiver asked for that (skb->tstamp). */
  stamp: Timestamp | null = null;

  constructor(
    data: Uint8Array,
    truesize: number,
    fds: FileDescription[] | null,
    uid: number,
    creds: UCred | null,
    sender: Sender,
  ) {
    this.data = data;
    this.truesize = truesize;
    this.fds = fds;
    this.uid = uid;
    this.creds = creds;
    this.sender = sender;
  }

  get left(): number {
    return this.data.length - this.off;
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
