/**
 * Socket: what all socket families have in common (net/socket.c). A family implements the operations; the syscall layer
 * copies addresses, messages and control data and does the waiting.
 */
import { EAGAIN, EFAULT, EINVAL, ENOPROTOOPT, EOPNOTSUPP, ESPIPE } from '../abi/errno.ts';
import { O_NONBLOCK, O_RDWR } from '../abi/fcntl.ts';
import { AF_INET, AF_INET6, AF_NETLINK, AF_UNIX, MSG_PEEK, SOCK_DGRAM, SOCK_STREAM } from '../abi/socket.ts';
import { leaveNamespace, useNamespace } from '../auth/namespace-users.ts';
import { socketInode } from '../fsimpl/anon/anon-inode.ts';
import type { Pid } from '../kernel/pid-namespace.ts';
import type { NetNamespace } from '../kernel/namespaces.ts';
import type { Task } from '../kernel/task.ts';
import type { CallContext } from '../vfs/call-context.ts';
import { FileDescription, type TornRead } from '../vfs/file-description.ts';
import type { Timestamp } from '../vfs/inode.ts';
import { netNsOf } from './network.ts';

/** Pieces in which streams take what is sent (SKB_FRAG_PAGE_ORDER). */
const STREAM_UNIT = 32768;
const EMPTY = new Uint8Array(0);

/** struct ucred */
export interface UCred {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  /** The process itself, for pidfds; absent: it is not known. */
  readonly process?: Pid;
}

/** pid_vnr(): the number that `t` has for a sender or peer, 0 if none. */
export function pidSeenBy(t: CallContext, c: UCred): number {
  return c.process === undefined ? c.pid : c.process.nrIn((t as Task).pidNs);
}

/** What goes along with the data of sendmsg(2). */
export class SendInfo {
  /** Destination, private copy, or null. */
  name: Uint8Array | null = null;
  /** SCM_RIGHTS: references that the message takes over if the send succeeds. */
  fds: FileDescription[] | null = null;
  creds: UCred | null = null;
  /** Other control messages in wire format, for families whose control data goes to the host; null if none. */
  control: Uint8Array | null = null;

  reset(): void {
    this.name = null;
    this.fds = null;
    this.creds = null;
    this.control = null;
  }
}

/** What comes along with the data of recvmsg(2). */
export class RecvInfo {
  /** Source address or null. */
  name: Uint8Array | null = null;
  /** Received references: the receiver's now. */
  fds: FileDescription[] | null = null;
  creds: UCred | null = null;
  /** SO_PASSPIDFD: whose pidfd comes along; null: not asked for. */
  sender: UCred | null = null;
  /** SO_TIMESTAMP and its kin: which of them, and when the message was sent. */
  stampName = 0;
  stamp: Timestamp | null = null;
  control: Uint8Array | null = null;
  /** MSG_TRUNC, MSG_EOR, MSG_CTRUNC, … */
  msgFlags = 0;
  /** Length of the whole message where that is more than was copied (MSG_TRUNC); −1: as copied. */
  fullLen = -1;
  /** What was received goes nowhere: MSG_TRUNC of TCP. */
  discarded = false;
  /** More data would be another receive's: of another sender, or after descriptors. */
  last = false;
  /** Room for control data, for families that ask the host. */
  controlRoom = 0;

  reset(): void {
    this.name = null;
    this.fds = null;
    this.creds = null;
    this.sender = null;
    this.stamp = null;
    this.control = null;
    this.msgFlags = 0;
    this.fullLen = -1;
    this.discarded = false;
    this.last = false;
    this.controlRoom = 0;
  }
}

/** Bytes (of listeners connections) that wait to be taken, and bytes that wait to leave (of listeners: the backlog). */
export interface QueueLengths {
  readonly rx: number;
  readonly tx: number;
}

const EMPTY_QUEUES: QueueLengths = { rx: 0, tx: 0 };

/** The name of struct proto. */
function protocolName(domain: number, type: number): string {
  switch (domain) {
    case AF_UNIX:
      return type === SOCK_STREAM ? 'UNIX-STREAM' : 'UNIX';
    case AF_INET:
    case AF_INET6: {
      const name = type === SOCK_STREAM ? 'TCP' : type === SOCK_DGRAM ? 'UDP' : 'RAW';
      return domain === AF_INET6 ? `${name}v6` : name;
    }
    case AF_NETLINK:
      return 'NETLINK';
    default:
      return 'PACKET';
  }
}

export abstract class Socket extends FileDescription {
  override get fasync(): boolean {
    return true;
  }

  /** IPV6_ADDRFORM changes it. */
  domain: number;
  readonly type: number;
  readonly protocol: number;
  /** Where it was made, for good; null: the sandbox's own network. */
  readonly net: NetNamespace | null;
  /** SO_RCVTIMEO and SO_SNDTIMEO in ns. */
  recvTimeoutNs = Infinity;
  sendTimeoutNs = Infinity;

  constructor(
    t: CallContext | null,
    domain: number,
    type: number,
    protocol: number,
    flags: number,
    net: NetNamespace | null = netNsOf(t),
  ) {
    super(null, socketInode(t, protocolName(domain, type)), O_RDWR | (flags & O_NONBLOCK));
    this.domain = domain;
    this.type = type;
    this.protocol = protocol;
    this.net = net;
    if (net !== null) useNamespace(net);
  }

  protected override release(): void {
    if (this.net !== null) leaveNamespace(this.net);
  }

  override get messages(): boolean {
    return this.type !== SOCK_STREAM;
  }

  /** A message is gone when it has been looked at; what cannot be delivered of a stream stays. */
  override get tornRead(): TornRead {
    return this.messages ? 'lost' : 'kept';
  }

  override copyUnit(): number {
    return this.messages ? Infinity : STREAM_UNIT;
  }

  override peek(t: CallContext, buf: Uint8Array, off: number, len: number): number {
    return this.recv(t, buf, off, len, MSG_PEEK, null);
  }

  override writeNowhere(t: CallContext): number {
    return this.sendNowhere(t, 0, null);
  }

  override ioTimeoutNs(write: boolean): number {
    return write ? this.sendTimeoutNs : this.recvTimeoutNs;
  }

  override seek(): number {
    return -ESPIPE;
  }

  override read(t: CallContext, buf: Uint8Array, off: number, len: number): number {
    // "Match SYS5 behaviour" (sock_read_iter)
    return len === 0 ? 0 : this.recv(t, buf, off, len, 0, null);
  }

  override write(t: CallContext, buf: Uint8Array, off: number, len: number): number {
    return this.send(t, buf, off, len, 0, null);
  }

  /** Sends one piece: bytes taken or −errno; −EAGAIN: wait for EPOLLOUT. */
  abstract send(
    t: CallContext,
    buf: Uint8Array,
    off: number,
    len: number,
    flags: number,
    info: SendInfo | null,
  ): number;

  /**
   * What a send whose data cannot be read says: the state of the socket comes first. It is asked by sending nothing, to nobody
   * where that would be a message.
   */
  sendNowhere(t: CallContext, flags: number, name: Uint8Array | null): number {
    if (this.messages && (name !== null || typeof this.getName(true) !== 'number')) return -EFAULT;
    const r = this.send(t, EMPTY, 0, 0, flags, null);
    return r < 0 && r !== -EAGAIN ? r : -EFAULT;
  }

  /** What a send says before it looks at its control messages, or 0. */
  stateError(): number {
    return 0;
  }

  /** A send with MSG_ZEROCOPY is done: who asked for it (SO_ZEROCOPY) is told. */
  sentZeroCopy(): void {}

  /** Receives into `buf`: bytes, 0 at the end, −EAGAIN: wait for EPOLLIN. */
  abstract recv(
    t: CallContext,
    buf: Uint8Array,
    off: number,
    len: number,
    flags: number,
    info: RecvInfo | null,
  ): number;

  /** Of the host's socket behind it; 0: there is none. */
  hostInode(): number {
    return 0;
  }

  /** For /proc/net and sock_diag. */
  queueLengths(): QueueLengths {
    return EMPTY_QUEUES;
  }

  bind(_t: CallContext, _addr: Uint8Array): number {
    return -EOPNOTSUPP;
  }

  listen(_t: CallContext, _backlog: number): number {
    return -EOPNOTSUPP;
  }

  /** 0, −errno, or −EINPROGRESS: begun; wait for EPOLLOUT, then ask finishConnect. −EAGAIN: the listener is full; wait on it. */
  connect(_t: CallContext, _addr: Uint8Array): number {
    return -EOPNOTSUPP;
  }

  /** An error that a later call tells of: sk_err. */
  setError(_errno: number): void {}

  /** Outcome of a connect in progress: 0, −errno, −EINPROGRESS while it lasts. */
  finishConnect(): number {
    return 0;
  }

  /** File on whose waiters (EPOLLOUT) a connect that returned −EAGAIN waits. */
  connectQueue(): FileDescription {
    return this;
  }

  /** A connected socket, −EAGAIN, or −errno. */
  accept(_t: CallContext, _flags: number): Socket | number {
    return -EOPNOTSUPP;
  }

  shutdown(_how: number): number {
    return -EOPNOTSUPP;
  }

  /** The last descriptor is about to be closed: for how many ns close(2) waits for what is under way (SO_LINGER), 0: not at all. */
  beginLinger(): number {
    return 0;
  }

  /** It still is. */
  get lingering(): boolean {
    return false;
  }

  /** getsockname(2) or, with `peer`, getpeername(2). */
  getName(_peer: boolean): Uint8Array | number {
    return -EOPNOTSUPP;
  }

  /** The errno of options of a level that is no layer of this socket, whatever else is wrong; 0: it is one. */
  levelError(_level: number, _set: boolean): number {
    return 0;
  }

  /** The errno of setting an option whose value cannot be read: some layers look at other things first. */
  faultOption(_level: number, _name: number, _len: number): number {
    return -EFAULT;
  }

  /** SO_ATTACH_FILTER or SO_ATTACH_REUSEPORT_CBPF: 1 to BPF_MAXINSNS instructions, not checked. */
  attachFilter(_name: number, _code: Uint8Array): number {
    return -ENOPROTOOPT;
  }

  /** SO_GET_FILTER: instructions, none without a filter. */
  getFilter(): Uint8Array | number {
    return new Uint8Array(0);
  }

  /** How many bytes of the caller's buffer say what is asked for (PACKET_HDRLEN). */
  readsOption(_level: number, _name: number): number {
    return 0;
  }

  /** Writes the value of an option to `out[0..len)`; returns the length that the caller is told (more than `len` of lists only) or −errno. */
  getOption(_t: CallContext, _level: number, _name: number, _out: Buffer, _len: number): number {
    return -EOPNOTSUPP;
  }

  setOption(_t: CallContext, _level: number, _name: number, _value: Buffer): number {
    return -EOPNOTSUPP;
  }
}

/** Writes an int option value, cut to `len` bytes as Linux does. */
export function putInt(out: Buffer, len: number, value: number): number {
  out.fill(0, 0, 4);
  out.writeInt32LE(value, 0);
  return Math.min(len, 4);
}

/** An int option value, or null if the buffer is too short (EINVAL). */
export function intValue(value: Buffer): number | null {
  return value.length < 4 ? null : value.readInt32LE(0);
}

/** struct timeval of SO_RCVTIMEO: ns (Infinity for 0), or −errno (EDOM for bad microseconds). */
export function timeoutValue(value: Buffer): number {
  if (value.length < 16) return -EINVAL;
  const sec = value.readInt32LE(4) * 0x100000000 + value.readUInt32LE(0);
  const usec = value.readInt32LE(12) * 0x100000000 + value.readUInt32LE(8);
  if (usec < 0 || usec >= 1_000_000) return -33;
  if (sec < 0) return 1;
  const ns = sec * 1e9 + usec * 1000;
  return ns === 0 || sec > 1e6 * 1000 ? Infinity : ns;
}

export function putTimeout(out: Buffer, len: number, ns: number): number {
  out.fill(0, 0, 16);
  if (ns !== Infinity) {
    out.writeUInt32LE(Math.floor(ns / 1e9) >>> 0, 0);
    out.writeUInt32LE(Math.floor((ns % 1e9) / 1000), 8);
  }
  return Math.min(len, 16);
}
