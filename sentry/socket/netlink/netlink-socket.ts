/**
 * NetlinkSocket: AF_NETLINK (netlink(7)): addresses, multicast groups, requests of the guest one by one, and a queue of answers.
 */
import { EADDRINUSE, EAGAIN, ECONNREFUSED, EINVAL, EMSGSIZE, ENOBUFS, ENODATA, ENOPROTOOPT, EOPNOTSUPP, EPERM } from '../../abi/errno.ts'; // prettier-ignore
import * as S from '../../abi/socket.ts';
import { CAP_NET_ADMIN, CAP_NET_BROADCAST } from '../../auth/capability.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import {
  EPOLLERR,
  EPOLLIN,
  EPOLLOUT,
  EPOLLRDNORM,
  EPOLLWRBAND,
  EPOLLWRNORM,
} from '../../waiter/wait-queue.ts';
import type { Task } from '../../kernel/task.ts';
import { netIoctl } from '../inet/net-ioctl.ts';
import { networkOf } from '../network.ts';
import { SocketOptions } from '../options.ts';
import {
  intValue,
  putInt,
  Socket,
  type QueueLengths,
  type RecvInfo,
  type SendInfo,
  type UCred,
} from '../socket.ts';
import { NetlinkQueue, type Queued } from './netlink-queue.ts';
import { firstGroup, groupMask, netlinkAddress, netlinkTable, readNetlinkAddress, type NetlinkTable } from './netlink-table.ts'; // prettier-ignore

export const SOL_NETLINK = 270;
const NETLINK_ADD_MEMBERSHIP = 1;
const NETLINK_DROP_MEMBERSHIP = 2;
export const NETLINK_PKTINFO = 3;
const NETLINK_NO_ENOBUFS = 5;
export const NETLINK_CAP_ACK = 10;
export const NETLINK_EXT_ACK = 11;
export const NETLINK_GET_STRICT_CHK = 12;
const NETLINK_LISTEN_ALL_NSID = 8;
const NETLINK_LIST_MEMBERSHIPS = 9;
/** sizeof(struct nlmsghdr) */
export const HDR = 16;
const NLMSG_MIN_TYPE = 16;
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
const WRITABLE = EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND;

/** NETLINK_ROUTE, USERSOCK, SOCK_DIAG, KOBJECT_UEVENT, GENERIC: the protocols that there are. */
export const OFFERED: readonly number[] = [0, 2, 4, 15, 16];
/** Groups of a protocol that asks for no more (__netlink_kernel_create). */
const LEAST_GROUPS = 32;
/** What a message may not use of SO_SNDBUF. */
const SNDBUF_RESERVE = 32;

/** What the kernel's messages have with SO_PASSCRED. */
const KERNEL: UCred = { pid: 0, uid: 0, gid: 0 };

function credsOf(t: CallContext): UCred {
  return { pid: t.tgid, uid: t.creds.uid, gid: t.creds.gid, process: (t as Task).group?.pid };
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
  /** The port is its own. */
  private bound = false;
  private peerPort = 0;
  private peerGroup = 0;
  private connected = false;
  /** Multicast groups that it is a member of, by number. */
  protected readonly groups = new Set<number>();
  /** It has been a member of some: nlk->groups is there. */
  private grouped = false;
  private readonly queue = new NetlinkQueue();
  /** One for each sender: who tries again and again is entered once. */
  private readonly onRoom = () => this.waiters.wake(WRITABLE);

  protected get table(): NetlinkTable {
    return netlinkTable(this.net, this.protocol);
  }

  /** NL_CFG_F_NONROOT_RECV: everybody may be a member of its groups. */
  protected get everybodyReceives(): boolean {
    return true;
  }

  /** NL_CFG_F_NONROOT_SEND: everybody may send to others than the kernel. */
  protected get everybodySends(): boolean {
    return false;
  }

  /** The kernel listens. */
  protected get hasKernel(): boolean {
    return true;
  }

  private isAdmin(t: CallContext): boolean {
    return t.creds.hasIn(CAP_NET_ADMIN, this.net?.owner ?? null);
  }

  override get messages(): boolean {
    return true;
  }

  /** netlink_bind() */
  override bind(t: CallContext, addr: Uint8Array): number {
    const a = readNetlinkAddress(addr);
    if (a === null) return -EINVAL;
    if (a.groups !== 0 && !this.everybodyReceives && !this.isAdmin(t)) return -EPERM;
    if (this.bound && a.port !== this.port) return -EINVAL;
    if (!this.bound && a.port === 0) this.autobind(t);
    else if (!this.bound) {
      // netlink_insert() writes it down first.
      this.port = a.port;
      if (this.table.ports.has(a.port)) return -EADDRINUSE;
      this.take(a.port);
    }
    for (let group = 1; group <= Math.min(32, this.groupCount); group++) {
      if ((a.groups & (1 << (group - 1))) !== 0) this.groups.add(group);
      else this.groups.delete(group);
    }
    this.grouped ||= a.groups !== 0;
    this.membersChanged();
    return 0;
  }

  private membersChanged(): void {
    const { members } = this.table;
    if (this.groups.size > 0) members.add(this);
    else members.delete(this);
    this.groupsChanged();
  }

  /** What it is told of is other than before. */
  protected groupsChanged(): void {}

  /** nlk->groups[0] */
  private get groupMask(): number {
    return this.groupWords[0] ?? 0;
  }

  private take(port: number): void {
    this.table.ports.set(port, this);
    this.port = port;
    this.bound = true;
  }

  /** netlink_autobind() */
  private autobind(t: CallContext): void {
    if (!this.bound) this.take(this.table.freePort(t.tgid));
  }

  /** netlink_connect() */
  override connect(t: CallContext, addr: Uint8Array): number {
    if (addr.length < 2) return -EINVAL;
    const nowhere = addr[0] === S.AF_UNSPEC && addr[1] === 0;
    const a = nowhere ? { port: 0, groups: 0 } : readNetlinkAddress(addr);
    if (a === null) return -EINVAL;
    if ((a.port !== 0 || a.groups !== 0) && !this.everybodySends && !this.isAdmin(t)) return -EPERM;
    if (!nowhere) this.autobind(t);
    this.connected = !nowhere;
    this.peerPort = a.port;
    this.peerGroup = firstGroup(a.groups);
    return 0;
  }

  override getName(peer: boolean): Uint8Array {
    if (peer) return netlinkAddress(this.peerPort, groupMask(this.peerGroup));
    return netlinkAddress(this.port, this.groupMask);
  }

  /** netlink_sendmsg() */
  override send(
    t: CallContext,
    buf: Uint8Array,
    off: number,
    len: number,
    flags: number,
    info: SendInfo | null,
  ): number {
    if ((flags & S.MSG_OOB) !== 0) return -EOPNOTSUPP;
    if (len === 0) return -ENODATA;
    let port = this.peerPort;
    let group = this.peerGroup;
    const name = info?.name ?? null;
    if (name !== null) {
      const a = readNetlinkAddress(name);
      if (a === null) return -EINVAL;
      port = a.port;
      group = firstGroup(a.groups);
      if ((port !== 0 || group !== 0) && !this.everybodySends && !this.isAdmin(t)) return -EPERM;
    }
    this.autobind(t);
    if (len > this.options.sndbuf - SNDBUF_RESERVE) return -EMSGSIZE;
    const data = Buffer.from(buf.subarray(off, off + len));
    const creds = info?.creds ?? credsOf(t);
    const to = port === 0 ? null : (this.table.ports.get(port) ?? null);
    if (to !== null && to.accepts(this.port) && !to.queue.hasRoom(data, to.options.rcvbuf)) {
      to.queue.whenRoom(this.onRoom);
      return -EAGAIN;
    }
    const m = { data, group, port: this.port, creds };
    if (group !== 0) this.broadcast(m, port);
    if (port === 0) return this.toKernel(t, data);
    if (to === null || !to.accepts(this.port)) return -ECONNREFUSED;
    to.enqueue(m);
    return len;
  }

  /** netlink_broadcast(), but to the port that gets a copy of its own. */
  protected broadcast(m: Queued, exceptPort: number): void {
    for (const member of this.table.members) {
      const gets = member !== this && member.port !== exceptPort && member.groups.has(m.group);
      if (gets) member.offer(m);
    }
  }

  /** netlink_getsockbyportid(): who is connected to somebody else takes nothing. */
  private accepts(from: number): boolean {
    return !this.connected || this.peerPort === from;
  }

  /** netlink_rcv_skb() */
  private toKernel(t: CallContext, b: Buffer): number {
    if (!this.hasKernel) return -ECONNREFUSED;
    if (this.queue.bytes > QUEUE_MAX) return -EAGAIN;
    for (let at = 0; at + HDR <= b.length;) {
      const size = b.readUInt32LE(at);
      if (size < HDR || at + size > b.length) break;
      const m = b.subarray(at, at + size);
      const flags = m.readUInt16LE(6);
      // Control messages, and what is no request, are acknowledged at most.
      if ((flags & NLM_F_REQUEST) !== 0 && m.readUInt16LE(4) >= NLMSG_MIN_TYPE) this.request(t, m);
      else if ((flags & NLM_F_ACK) !== 0) this.error(m, 0);
      at += Math.ceil(size / 4) * 4;
    }
    return b.length;
  }

  /** One request of the guest, header first. */
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
    this.deliver(b);
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

  /** A message of the kernel's, lost if there is no room. */
  deliver(data: Buffer, group = 0): void {
    this.offer({ data, group, port: 0, creds: null });
  }

  private offer(m: Queued): void {
    if (this.queue.hasRoom(m.data, this.options.rcvbuf)) return this.enqueue(m);
    if (this.reporting.get(NETLINK_NO_ENOBUFS) !== 0 || !this.queue.overrun()) return;
    this.options.error = ENOBUFS;
    this.waiters.wake(EPOLLERR);
  }

  isMember(group: number): boolean {
    return this.groups.has(group);
  }

  /** A part of an answer, of which Linux makes the next when there is room. */
  protected push(data: Buffer): void {
    this.enqueue({ data, group: 0, port: 0, creds: null });
  }

  private enqueue(m: Queued): void {
    const data = this.options.filter(m.data, this.protocol);
    if (data === null) return;
    this.queue.push(data === m.data ? m : { ...m, data });
    this.waiters.wake(EPOLLIN | EPOLLRDNORM);
  }

  /** netlink_recvmsg() */
  override recv(
    _t: CallContext,
    buf: Uint8Array,
    off: number,
    len: number,
    flags: number,
    info: RecvInfo | null,
  ): number {
    if ((flags & S.MSG_OOB) !== 0) return -EOPNOTSUPP;
    if (this.options.error !== 0) return -this.options.takeError();
    const m = this.queue.first;
    if (m === undefined) return -EAGAIN;
    const n = Math.min(len, m.data.length);
    m.data.copy(buf, off, 0, n);
    if (info !== null) {
      info.name = netlinkAddress(m.port, groupMask(m.group));
      if (this.reporting.get(NETLINK_PKTINFO) !== 0) info.control = groupControl(m.group);
      if (this.options.passCred) info.creds = m.creds ?? KERNEL;
      if (n < m.data.length) {
        info.msgFlags |= S.MSG_TRUNC;
        info.fullLen = m.data.length;
      }
    }
    if ((flags & S.MSG_PEEK) === 0) this.queue.shift();
    return n;
  }

  override poll(): number {
    const readable = this.queue.first === undefined ? 0 : EPOLLIN | EPOLLRDNORM;
    return readable | (this.options.error !== 0 ? EPOLLERR : 0) | WRITABLE;
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
    return { rx: this.queue.bytes, tx: 0 };
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
      if (!this.everybodyReceives && !this.isAdmin(t)) return -EPERM;
      this.grouped = true;
      if (v <= 0 || v > this.groupCount) return -EINVAL;
      if (name === NETLINK_ADD_MEMBERSHIP) this.groups.add(v);
      else this.groups.delete(v);
      this.membersChanged();
      return 0;
    }
    if (name === NETLINK_LISTEN_ALL_NSID) return t.creds.has(CAP_NET_BROADCAST) ? 0 : -EPERM;
    return -ENOPROTOOPT;
  }

  /** Multicast groups of the protocol. */
  protected get groupCount(): number {
    return LEAST_GROUPS;
  }

  protected override release(): void {
    this.groups.clear();
    this.membersChanged();
    if (this.bound) this.table.ports.delete(this.port);
    this.queue.wake();
    super.release();
  }
}
