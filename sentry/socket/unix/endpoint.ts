/**
 * UnixEndpoint: what an AF_UNIX socket is made of (struct unix_sock): its state, the other end, the queue of what it has received
 * and the account of what it has sent. Names and connections are unix-socket.ts, data transmit.ts and receive.ts.
 */
import { ECONNRESET } from '../../abi/errno.ts';
import * as S from '../../abi/socket.ts';
import type { NetNamespace } from '../../kernel/namespaces.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import * as W from '../../waiter/wait-queue.ts';
import { netNsOf } from '../network.ts';
import { SocketOptions } from '../options.ts';
import { Socket, type QueueLengths } from '../socket.ts';
import { unixAddress, type UnixName } from './address.ts';
import { dropFiles, takeInFlight } from './in-flight.ts';
import { MessageQueue, type Sender, type UnixMessage } from './message.ts';

/** net.unix.max_dgram_qlen where it was not set. */
const MAX_DGRAM_QLEN = 512;
/** Bytes of unread messages in the whole sandbox. */
const QUEUED_MAX = 256 * 1024 * 1024;
let queuedTotal = 0;
export const WRITE_EVENTS = W.EPOLLOUT | W.EPOLLWRNORM | W.EPOLLWRBAND;
export const READ_EVENTS = W.EPOLLIN | W.EPOLLRDNORM;

export type State = 'closed' | 'listening' | 'connected';

/** No more messages fit into the sandbox. */
export function queuesAreFull(): boolean {
  return queuedTotal >= QUEUED_MAX;
}

export abstract class UnixEndpoint extends Socket implements Sender {
  readonly options = new SocketOptions();
  state: State = 'closed';
  name: UnixName = { kind: 'none', name: '' };
  bound = false;
  /** Other end, or a datagram socket's default destination, which may have been closed. */
  peer: UnixEndpoint | null = null;
  readonly queue = new MessageQueue();
  queuedBytes = 0;
  /** The urgent byte that was sent last, while it is not taken (oob_skb). */
  urgent: UnixMessage | null = null;
  /** Buffer space that this socket's unread messages take. */
  charged = 0;
  shut = 0;
  released = false;
  /** Messages that others may queue here, beyond one (sk_max_ack_backlog). */
  backlog: number;
  accepting: UnixEndpoint[] = [];
  /** Senders that wait for room in this queue. */
  readonly blockedSenders = new Set<UnixEndpoint>();

  constructor(t: CallContext | null, type: number, flags: number, net: NetNamespace | null = netNsOf(t)) {
    super(t, S.AF_UNIX, type, 0, flags, net);
    this.backlog = Number(net?.sysctls.get('net/unix/max_dgram_qlen') ?? MAX_DGRAM_QLEN);
  }

  get stream(): boolean {
    return this.type === S.SOCK_STREAM;
  }

  get connectionless(): boolean {
    return this.type === S.SOCK_DGRAM;
  }

  /** unix_find_other() */
  abstract find(t: CallContext, addr: Uint8Array): UnixEndpoint | number;

  /** unix_autobind() */
  abstract autobind(): number;

  override queueLengths(): QueueLengths {
    if (this.state === 'listening') return { rx: this.accepting.length, tx: this.backlog };
    return { rx: this.queuedBytes, tx: 0 };
  }

  /** The other end of a connection. */
  get connectedTo(): Socket | null {
    return this.peer === null || this.peer.released ? null : this.peer;
  }

  /** unix_recvq_full() as a sender that is not the peer meets it. */
  fullFor(sender: UnixEndpoint): boolean {
    return this !== sender && this.peer !== sender && this.queue.length > this.backlog;
  }

  override setError(errno: number): void {
    this.options.error = errno;
  }

  wakeState(): void {
    const hup = this.shut === S.SHUTDOWN_MASK ? W.EPOLLHUP : 0;
    this.waiters.wake(READ_EVENTS | WRITE_EVENTS | W.EPOLLRDHUP | hup);
  }

  /** Sets the default destination; what came from the last one is lost (unix_dgram_disconnected). */
  setPeer(other: UnixEndpoint | null): void {
    const old = this.peer;
    this.peer = other;
    if (old === null || old === other) return;
    old.blockedSenders.delete(this);
    if (this.queue.length === 0) return;
    this.purge();
    this.wakeBlocked();
    if (!old.released && old.peer === this) {
      old.options.error = ECONNRESET;
      old.waiters.wake(W.EPOLLERR);
    }
  }

  /** A message of this socket has been queued somewhere. */
  charge(m: UnixMessage): void {
    this.charged += m.truesize;
    queuedTotal += m.truesize;
  }

  uncharge(bytes: number): void {
    this.charged -= bytes;
    queuedTotal -= bytes;
    this.writeSpace();
  }

  /** unix_write_space() */
  protected writeSpace(): void {
    if (!this.released && (this.charged + 1) * 4 <= this.options.sndbuf) this.waiters.wake(WRITE_EVENTS);
  }

  get address(): Uint8Array | null {
    return this.name.kind !== 'none' ? unixAddress(this.name) : null;
  }

  /** A message is out of the queue: its sender and those who waited for room go on. */
  consumed(m: UnixMessage): void {
    m.sender.uncharge(m.truesize);
    if (this.blockedSenders.size > 0 && this.queue.length <= this.backlog) this.wakeBlocked();
  }

  wakeBlocked(): void {
    for (const s of this.blockedSenders) s.waiters.wake(WRITE_EVENTS);
    this.blockedSenders.clear();
  }

  /** Descriptors nobody asked for. */
  dropFds(m: UnixMessage): void {
    if (m.fds !== null) dropFiles(takeInFlight(m));
  }

  /** Empties the queue. */
  purge(): void {
    for (let m = this.queue.shift(); m !== undefined; m = this.queue.shift()) {
      m.sender.uncharge(m.truesize);
      this.dropFds(m);
    }
    this.queuedBytes = 0;
  }

  /** unix_poll(), unix_dgram_poll() */
  override poll(): number {
    let events = 0;
    if (this.options.error !== 0) events |= W.EPOLLERR;
    if (this.shut === S.SHUTDOWN_MASK) events |= W.EPOLLHUP;
    if ((this.shut & S.RCV_SHUTDOWN) !== 0) events |= W.EPOLLRDHUP | READ_EVENTS;
    if (this.queue.length > 0 || this.accepting.length > 0) events |= READ_EVENTS;
    if (this.urgent !== null) events |= W.EPOLLPRI;
    if (!this.connectionless && this.state === 'closed') events |= W.EPOLLHUP;
    if (this.state === 'listening') return events;
    const other = this.peer;
    const peerFull = this.connectionless && other !== null && !other.released && other.fullFor(this);
    if (peerFull) other.blockedSenders.add(this);
    if ((this.charged + 1) * 4 <= this.options.sndbuf && !peerFull) events |= WRITE_EVENTS;
    return events;
  }

  /** What the collector of descriptors in flight asks (in-flight.ts). */
  eachWithFds(visit: (m: UnixMessage) => void): void {
    for (let i = 0; i < this.queue.length; i++) {
      const m = this.queue.at(i)!;
      if (m.fds !== null) visit(m);
    }
    for (const s of this.accepting) s.eachWithFds(visit);
  }
}

export function wantsCreds(options: SocketOptions): boolean {
  return options.passCred || options.passPidfd;
}
