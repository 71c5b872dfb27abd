/**
 * NetlinkSocket: AF_NETLINK (netlink(7)): addresses, multicast groups, requests of the guest one by one, and a queue of answers.
 */
import { EADDRINUSE, EAGAIN, ECONNREFUSED, EINVAL, ENOPROTOOPT, EPERM } from '../../abi/errno.ts';
import * as S from '../../abi/socket.ts';
import { CAP_NET_BROADCAST } from '../../auth/capability.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import { EPOLLIN, EPOLLOUT, EPOLLRDNORM, EPOLLWRBAND, EPOLLWRNORM } from '../../waiter/wait-queue.ts';
import { netIoctl } from '../inet/net-ioctl.ts';
import { networkOf } from '../network.ts';
import { SocketOptions } from '../options.ts';
import { intValue, putInt, Socket, type QueueLengths, type RecvInfo, type SendInfo } from '../socket.ts';

export const SOL_NETLINK = 270;
const NETLINK_ADD_MEMBERSHIP = 1;
const NETLINK_DROP_MEMBERSHIP = 2;
export const NETLINK_PKTINFO = 3;
export const NETLINK_CAP_ACK = 10;
export const NETLINK_EXT_ACK = 11;
export const NETLINK_GET_STRICT_CHK = 12;
const NETLINK_LISTEN_ALL_NSID = 8;
const NETLINK_LIST_MEMBERSHIPS = 9;
/** sizeof(struct nlmsghdr) */
export const HDR = 16;
export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;
export const NLM_F_REQUEST = 1;
export const NLM_F_MULTI = 2;
export const NLM_F_ACK = 4;
export const NLM_F_DUMP = 0x300;
export const NLM_F_CAPPED = 0x100;
export const NLM_F_ACK_TLVS = 0x200;
/** Unread bytes after which requests are refused. */
const QUEUE_MAX = 1024 * 1024;
const SOCKADDR_NL = 12;
const WRITABLE = EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND;

/** NETLINK_ROUTE, SOCK_DIAG, KOBJECT_UEVENT, GENERIC: the protocols that there are. */
export const OFFERED: readonly number[] = [0, 4, 15, 16];

/** By network namespace and protocol. */
const usedPorts = new WeakMap<object, Map<number, Set<number>>>();
const OWN = {};
let nextPort = 0x80000000;

function address(port: number, groups: number): Uint8Array {
  const b = Buffer.alloc(SOCKADDR_NL);
  b.writeUInt16LE(S.AF_NETLINK, 0);
  b.writeUInt32LE(port >>> 0, 4);
  b.writeUInt32LE(groups >>> 0, 8);
  return b;
}

/** A datagram, and the multicast group that it came to; 0: this socket alone. */
interface Queued {
  readonly data: Buffer;
  readonly group: number;
}

/** struct cmsghdr and nl_pktinfo */
function groupControl(group: number): Uint8Array {
  const b = Buffer.alloc(24);
  b.writeUInt32LE(20, 0);
  b.writeInt32LE(SOL_NETLINK, 8);
  b.writeInt32LE(NETLINK_PKTINFO, 12);
  b.writeUInt32LE(group, 16);
  return b;
}

export abstract class NetlinkSocket extends Socket {
  private readonly options = new SocketOptions();
  /** NETLINK_PKTINFO, BROADCAST_ERROR, NO_ENOBUFS, CAP_ACK, EXT_ACK, GET_STRICT_CHK */
  private readonly reporting = new Map([3, 4, 5, 10, 11, 12].map((name) => [name, 0]));
  protected port = 0;
  /** Multicast groups that it is a member of, by number. */
  protected readonly groups = new Set<number>();
  /** It has been a member of some: nlk->groups is there. */
  private grouped = false;
  private queue: Queued[] = [];
  private queued = 0;

  /** Port ids that sockets of this protocol have. */
  private get ports(): Set<number> {
    const ns = this.net ?? OWN;
    let protocols = usedPorts.get(ns);
    if (protocols === undefined) usedPorts.set(ns, (protocols = new Map()));
    let ports = protocols.get(this.protocol);
    if (ports === undefined) protocols.set(this.protocol, (ports = new Set()));
    return ports;
  }

  override get messages(): boolean {
    return true;
  }

  override bind(t: CallContext, addr: Uint8Array): number {
    if (addr.length < SOCKADDR_NL || addr[0] !== S.AF_NETLINK) return -EINVAL;
    const b = Buffer.from(addr);
    const port = b.readUInt32LE(4);
    const mask = b.readUInt32LE(8);
    if (this.port !== 0 && port !== 0 && port !== this.port) return -EINVAL;
    if (this.port === 0 && port === 0) this.autobind(t);
    else if (this.port === 0) {
      if (this.ports.has(port)) return -EADDRINUSE;
      this.ports.add(port);
      this.port = port;
    }
    for (let group = 1; group <= Math.min(32, this.groupCount); group++) {
      if ((mask & (1 << (group - 1))) !== 0) this.groups.add(group);
      else this.groups.delete(group);
    }
    this.grouped ||= mask !== 0;
    this.groupsChanged();
    return 0;
  }

  /** What it is told of is other than before. */
  protected groupsChanged(): void {}

  /** nlk->groups[0] */
  private get groupMask(): number {
    return this.groupWords[0] ?? 0;
  }

  /** netlink_autobind(): the process id if it is free. */
  private autobind(t: CallContext): void {
    if (this.port !== 0) return;
    let port = t.tgid;
    while (this.ports.has(port)) port = nextPort++;
    this.ports.add(port);
    this.port = port;
  }

  override connect(t: CallContext, addr: Uint8Array): number {
    if (addr.length < SOCKADDR_NL || addr[0] !== S.AF_NETLINK) return -EINVAL;
    if (Buffer.from(addr).readUInt32LE(4) !== 0) return -EPERM;
    this.autobind(t);
    return 0;
  }

  override getName(peer: boolean): Uint8Array {
    return peer ? address(0, 0) : address(this.port, this.groupMask);
  }

  override send(
    t: CallContext,
    buf: Uint8Array,
    off: number,
    len: number,
    _flags: number,
    info: SendInfo | null,
  ): number {
    const name = info?.name ?? null;
    if (name !== null) {
      if (name.length < SOCKADDR_NL || name[0] !== S.AF_NETLINK) return -EINVAL;
      if (Buffer.from(name).readUInt32LE(4) !== 0) return -ECONNREFUSED;
    }
    if (this.queued > QUEUE_MAX) return -EAGAIN;
    this.autobind(t);
    const b = Buffer.from(buf.subarray(off, off + len));
    for (let at = 0; at + HDR <= len;) {
      const size = b.readUInt32LE(at);
      if (size < HDR || at + size > len) break;
      this.request(t, b.subarray(at, at + size));
      at += Math.ceil(size / 4) * 4;
    }
    return len;
  }

  /** One message of the guest, header first. */
  protected abstract request(t: CallContext, m: Buffer): void;

  protected get strict(): boolean {
    return this.reporting.get(NETLINK_GET_STRICT_CHK) !== 0;
  }

  protected get extendedAcks(): boolean {
    return this.reporting.get(NETLINK_EXT_ACK) !== 0;
  }

  /** netlink_ack(): struct nlmsgerr: the error and the request, or its header alone; attributes that say more. */
  protected error(m: Buffer, errno: number, more: Buffer | null = null): void {
    const whole = errno !== 0 && this.reporting.get(NETLINK_CAP_ACK) === 0;
    const size = HDR + 4 + (whole ? Math.ceil(m.length / 4) * 4 : HDR);
    const extra = more !== null && this.extendedAcks ? more : Buffer.alloc(0);
    const b = Buffer.alloc(size + extra.length);
    this.header(b, NLMSG_ERROR, (whole ? 0 : NLM_F_CAPPED) | (extra.length > 0 ? NLM_F_ACK_TLVS : 0), m);
    b.writeInt32LE(-errno, HDR);
    m.copy(b, HDR + 4, 0, whole ? m.length : HDR);
    extra.copy(b, size);
    this.push(b);
  }

  protected done(m: Buffer): void {
    const b = Buffer.alloc(HDR + 4);
    this.header(b, NLMSG_DONE, NLM_F_MULTI, m);
    this.push(b);
  }

  protected header(b: Buffer, type: number, flags: number, request: Buffer): void {
    b.writeUInt32LE(b.length, 0);
    b.writeUInt16LE(type, 4);
    b.writeUInt16LE(flags, 6);
    b.writeUInt32LE(request.readUInt32LE(8), 8);
    b.writeUInt32LE(this.port >>> 0, 12);
  }

  /** netlink_sendskb(): a message that nobody asked for here. Lost if the queue is full. */
  deliver(b: Buffer, group = 0): void {
    if (this.queued <= QUEUE_MAX) this.push(b, group);
  }

  isMember(group: number): boolean {
    return this.groups.has(group);
  }

  protected push(whole: Buffer, group = 0): void {
    const data = this.options.filter(whole, this.protocol);
    if (data === null) return;
    this.queue.push({ data, group });
    this.queued += data.length;
    this.waiters.wake(EPOLLIN | EPOLLRDNORM);
  }

  override recv(
    _t: CallContext,
    buf: Uint8Array,
    off: number,
    len: number,
    flags: number,
    info: RecvInfo | null,
  ): number {
    const first = this.queue[0];
    if (first === undefined) return -EAGAIN;
    const m = first.data;
    const n = Math.min(len, m.length);
    m.copy(buf, off, 0, n);
    if (info !== null) {
      info.name = address(0, first.group === 0 ? 0 : 1 << (first.group - 1));
      if (this.reporting.get(NETLINK_PKTINFO) !== 0) info.control = groupControl(first.group);
      if (n < m.length) {
        info.msgFlags |= S.MSG_TRUNC;
        info.fullLen = m.length;
      }
    }
    if ((flags & S.MSG_PEEK) === 0) {
      this.queue.shift();
      this.queued -= m.length;
    }
    return n;
  }

  override poll(): number {
    return (this.queue.length > 0 ? EPOLLIN | EPOLLRDNORM : 0) | WRITABLE;
  }

  override getOption(_t: CallContext, level: number, name: number, out: Buffer, len: number): number {
    if (level !== SOL_NETLINK) return this.options.get(this, false, name, out, len);
    if (name === NETLINK_LIST_MEMBERSHIPS) return this.listGroups(out, len);
    const kept = this.reporting.get(name) ?? (name === NETLINK_LISTEN_ALL_NSID ? 0 : undefined);
    if (kept === undefined) return -ENOPROTOOPT;
    return len < 4 ? -EINVAL : putInt(out, len, kept);
  }

  get portId(): number {
    return this.port;
  }

  /** A bit for each group, in words. */
  get groupWords(): number[] {
    const words = new Array<number>(this.grouped ? Math.ceil(this.groupCount / 32) : 0).fill(0);
    for (const group of this.groups) {
      const i = Math.floor((group - 1) / 32);
      words[i] = (words[i]! | (1 << ((group - 1) % 32))) >>> 0;
    }
    return words;
  }

  override queueLengths(): QueueLengths {
    return { rx: this.queued, tx: 0 };
  }

  private listGroups(out: Buffer, len: number): number {
    const words = this.groupWords;
    for (let i = 0; i < Math.min(words.length, Math.floor(len / 4)); i++) out.writeUInt32LE(words[i]!, 4 * i);
    return 4 * words.length;
  }

  /** Questions about interfaces may be asked of any socket: sock_do_ioctl(). */
  override ioctl(t: CallContext, cmd: number, arg: number): number {
    const network = networkOf(this.net);
    const on = { network, hostFd: network.asker(), owner: this.net?.owner ?? null, domain: S.AF_NETLINK };
    return netIoctl(t, on, cmd, arg);
  }

  override attachFilter(name: number, code: Uint8Array): number {
    return this.options.attachFilter(name, code);
  }

  override getFilter(): Uint8Array {
    return this.options.getFilter();
  }

  override levelError(level: number): number {
    return level === S.SOL_SOCKET || level === SOL_NETLINK ? 0 : -ENOPROTOOPT;
  }

  /** netlink_setsockopt() */
  override setOption(t: CallContext, level: number, name: number, value: Buffer): number {
    if (level !== SOL_NETLINK) return this.options.set(t, this, name, value);
    const v = intValue(value) ?? 0;
    if (this.reporting.has(name)) {
      this.reporting.set(name, v !== 0 ? 1 : 0);
      return 0;
    }
    if (name === NETLINK_ADD_MEMBERSHIP || name === NETLINK_DROP_MEMBERSHIP) {
      if (v <= 0 || v > this.groupCount) return -EINVAL;
      this.grouped = true;
      if (name === NETLINK_ADD_MEMBERSHIP) this.groups.add(v);
      else this.groups.delete(v);
      this.groupsChanged();
      return 0;
    }
    if (name === NETLINK_LISTEN_ALL_NSID) return t.creds.has(CAP_NET_BROADCAST) ? 0 : -EPERM;
    return -ENOPROTOOPT;
  }

  /** Multicast groups of the protocol. */
  protected get groupCount(): number {
    return 0;
  }

  protected override release(): void {
    this.groups.clear();
    this.groupsChanged();
    if (this.port !== 0) this.ports.delete(this.port);
    super.release();
  }
}
