/** What a netlink socket has received and nobody has read (af_netlink.c): counted as Linux does against SO_RCVBUF. */
import type { UCred } from '../socket.ts';

/** sizeof(struct sk_buff), and of struct skb_shared_info behind the data. */
const SK_BUFF = 256;
const SHARED_INFO = 320;

/** A datagram; the multicast group that it came to, 0: this socket alone; who sent it, 0 and null: the kernel. */
export interface Queued {
  readonly data: Buffer;
  readonly group: number;
  readonly port: number;
  readonly creds: UCred | null;
}

/** skb->truesize */
function sizeOf(data: Buffer): number {
  return SK_BUFF + 2 ** Math.ceil(Math.log2(data.length + SHARED_INFO));
}

export class NetlinkQueue {
  private list: Queued[] = [];
  private used = 0;
  /** NETLINK_S_CONGESTED: something was lost; nothing more comes until all has been read. */
  private congested = false;
  /** Called when there is room again. */
  private readonly waiting = new Set<() => void>();

  get first(): Queued | undefined {
    return this.list[0];
  }

  get bytes(): number {
    return this.list.length === 0 ? 0 : this.used;
  }

  hasRoom(data: Buffer, limit: number): boolean {
    return !this.congested && (this.used === 0 || this.used + sizeOf(data) <= limit);
  }

  push(m: Queued): void {
    this.list.push(m);
    this.used += sizeOf(m.data);
  }

  shift(): void {
    const m = this.list.shift();
    if (m === undefined) return;
    this.used -= sizeOf(m.data);
    if (this.list.length === 0) this.congested = false;
    if (!this.congested) this.wake();
  }

  /** netlink_overrun(): true if that is news. */
  overrun(): boolean {
    const news = !this.congested;
    this.congested = true;
    return news;
  }

  whenRoom(f: () => void): void {
    this.waiting.add(f);
  }

  wake(): void {
    for (const f of this.waiting) f();
    this.waiting.clear();
  }
}
