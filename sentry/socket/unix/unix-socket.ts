/** AF_UNIX sockets: streams, datagrams, sequenced packets (net/unix/af_unix.c, unix(7)). */
import {
  EADDRINUSE,
  EAGAIN,
  ECONNREFUSED,
  ECONNRESET,
  EEXIST,
  EINVAL,
  EISCONN,
  EMSGSIZE,
  ENODATA,
  ENOBUFS,
  ENOENT,
  ENOTCONN,
  EOPNOTSUPP,
  EPERM,
  EPIPE,
  EPROTOTYPE,
  ERANGE,
} from '../../abi/errno.ts';
import * as S from '../../abi/socket.ts';
import type { Task } from '../../kernel/task.ts';
import type { NetNamespace } from '../../kernel/namespaces.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { FileDescription } from '../../vfs/file-description.ts';
import type { Inode } from '../../vfs/inode.ts';
import * as W from '../../waiter/wait-queue.ts';
import { netIoctl } from '../inet/net-ioctl.ts';
import { netNsOf, networkOf } from '../network.ts';
import { installPidfd } from '../../fsimpl/anon/pidfd.ts';
import { SocketOptions } from '../options.ts';
import { putInt, Socket, type QueueLengths, type RecvInfo, type SendInfo, type UCred } from '../socket.ts';
import {
  autoName,
  claimAbstract,
  findAbstract,
  findSocketNode,
  makeSocketNode,
  parseUnixAddress,
  releaseAbstract,
  unixAddress,
  type UnixName,
} from './address.ts';
import { addInFlight, collectGarbage, inFlightTotal, removeInFlight } from './in-flight.ts';
import { MESSAGE_OVERHEAD, MessageQueue, UnixMessage } from './message.ts';

/** net.unix.max_dgram_qlen */
const MAX_DGRAM_QLEN = 512;
/** Bytes of unread messages in the whole sandbox. */
const QUEUED_MAX = 256 * 1024 * 1024;
let queuedTotal = 0;
const NO_CREDS: UCred = { pid: 0, uid: 65534, gid: 65534 };
const WRITE_EVENTS = W.EPOLLOUT | W.EPOLLWRNORM | W.EPOLLWRBAND;
const READ_EVENTS = W.EPOLLIN | W.EPOLLRDNORM;

type State = 'closed' | 'listening' | 'connected';

function credsOf(t: CallContext): UCred & { groups: readonly number[] } {
  const process = (t as Task).group?.pid;
  return { pid: t.tgid, uid: t.creds.euid, gid: t.creds.egid, groups: t.creds.groups, process };
}

export class UnixSocket extends Socket {
  readonly options = new SocketOptions();
  private state: State = 'closed';
  private name: UnixName = { kind: 'none', name: '' };
  private bound = false;
  private node: Inode | null = null;
  /** Other end, or a datagram socket's default destination. */
  private peer: UnixSocket | null = null;
  /** Sockets whose `peer` is this one without being its own peer (datagrams). */
  private readonly admirers = new Set<UnixSocket>();
  private peerCreds: (UCred & { groups: readonly number[] }) | null = null;
  private peerName: Uint8Array | null = null;
  private readonly queue = new MessageQueue();
  private queuedBytes = 0;
  /** Buffer space that this socket's unread messages take. */
  private charged = 0;
  private shut = 0;
  private released = false;
  // Listening.
  private backlog = 0;
  private accepting: UnixSocket[] = [];
  /** Senders that wait for room in this queue. */
  private readonly blockedSenders = new Set<UnixSocket>();

  constructor(t: CallContext | null, type: number, flags: number, net: NetNamespace | null = netNsOf(t)) {
    super(t, S.AF_UNIX, type, 0, flags, net);
  }

  private get stream(): boolean {
    return this.type === S.SOCK_STREAM;
  }

  private get connectionless(): boolean {
    return this.type === S.SOCK_DGRAM;
  }

  /** socketpair(2) */
  static pair(t: CallContext, type: number, flags: number): [UnixSocket, UnixSocket] {
    const a = new UnixSocket(t, type, flags);
    const b = new UnixSocket(t, type, flags);
    const creds = credsOf(t);
    a.peerCreds = creds;
    b.peerCreds = creds;
    a.peer = b;
    b.peer = a;
    a.state = 'connected';
    b.state = 'connected';
    return [a, b];
  }

  // Names.

  override bind(t: CallContext, addr: Uint8Array): number {
    const name = parseUnixAddress(addr);
    if (typeof name === 'number') return name;
    if (name.kind === 'none') return this.bound ? 0 : this.autobind();
    if (this.bound) {
      // A pathname is made before that is noticed (unix_bind_bsd).
      return name.kind === 'path' && findSocketNode(t, name.name) !== -ENOENT ? -EADDRINUSE : -EINVAL;
    }
    if (name.kind === 'abstract') {
      const r = claimAbstract(name.name, this);
      if (r < 0) return r;
    } else {
      const inode = makeSocketNode(t, name.name);
      if (typeof inode === 'number') return inode === -EEXIST ? -EADDRINUSE : inode;
      inode.findIdentity().boundSocket = this;
      this.node = inode.hold();
    }
    this.name = name;
    this.bound = true;
    return 0;
  }

  private autobind(): number {
    const name = autoName(this.net, this.type);
    if (typeof name === 'number') return name;
    claimAbstract(name, this);
    this.name = { kind: 'abstract', name };
    this.bound = true;
    return 0;
  }

  override getName(peer: boolean): Uint8Array | number {
    if (!peer) return unixAddress(this.name);
    if (this.peer === null && this.peerName === null) return -ENOTCONN;
    return this.peer !== null ? unixAddress(this.peer.name) : this.peerName!;
  }

  /** unix_find_other() */
  private find(t: CallContext, addr: Uint8Array): UnixSocket | number {
    const name = parseUnixAddress(addr);
    if (typeof name === 'number') return name;
    if (name.kind === 'none') return -EINVAL;
    let other: UnixSocket | undefined;
    if (name.kind === 'abstract') other = findAbstract(this.net, name.name, this.type);
    else {
      const inode = findSocketNode(t, name.name);
      if (typeof inode === 'number') return inode;
      other = (inode.findIdentity().boundSocket as UnixSocket | null) ?? undefined;
    }
    if (other === undefined || other.released) return -ECONNREFUSED;
    return other.type === this.type ? other : -EPROTOTYPE;
  }

  // Connections.

  override queueLengths(): QueueLengths {
    if (this.state === 'listening') return { rx: this.accepting.length, tx: this.backlog };
    return { rx: this.queuedBytes, tx: 0 };
  }

  /** The other end of a connection. */
  get connectedTo(): Socket | null {
    return this.peer;
  }

  override listen(t: CallContext, backlog: number): number {
    if (this.connectionless) return -EOPNOTSUPP;
    if (!this.bound || this.state === 'connected') return -EINVAL;
    this.backlog = Math.min(backlog >>> 0, S.SOMAXCONN);
    this.state = 'listening';
    this.peerCreds = credsOf(t);
    this.waiters.wake(WRITE_EVENTS);
    return 0;
  }

  override connect(t: CallContext, addr: Uint8Array): number {
    if (addr.length >= 2 && addr[0] === S.AF_UNSPEC && addr[1] === 0 && this.connectionless) {
      this.setPeer(null);
      this.state = 'closed';
      return 0;
    }
    if (this.connectionless) return this.connectDatagram(t, addr);
    if (addr.length <= 2) return -EINVAL;
    const other = this.find(t, addr);
    if (typeof other === 'number') return other;
    if (this.state === 'connected') return -EISCONN;
    if (this.state === 'listening') return -EINVAL;
    if (other.state !== 'listening' || (other.shut & S.RCV_SHUTDOWN) !== 0) return -ECONNREFUSED;
    if (other.accepting.length > other.backlog) {
      this.full = other;
      return -EAGAIN;
    }
    const server = new UnixSocket(t, this.type, 0, other.net);
    server.name = other.name;
    server.bound = false;
    server.options.sndbuf = other.options.sndbuf;
    if (other.options.passCred) server.options.set(t, server, S.SO_PASSCRED, Buffer.from([1, 0, 0, 0]));
    server.peer = this;
    server.state = 'connected';
    server.peerCreds = credsOf(t);
    this.peer = server;
    this.state = 'connected';
    this.peerCreds = other.peerCreds;
    other.accepting.push(server);
    other.waiters.wake(READ_EVENTS);
    this.waiters.wake(WRITE_EVENTS);
    return 0;
  }

  private full: UnixSocket | null = null;

  override connectQueue(): FileDescription {
    return this.full ?? this;
  }

  private connectDatagram(t: CallContext, addr: Uint8Array): number {
    if (addr.length <= 2) return -EINVAL;
    const other = this.find(t, addr);
    if (typeof other === 'number') return other;
    if (other.peer !== null && other.peer !== this) return -EPERM;
    if (this.options.passCred && !this.bound) this.autobind();
    this.setPeer(other);
    this.state = 'connected';
    return 0;
  }

  private setPeer(other: UnixSocket | null): void {
    this.peer?.admirers.delete(this);
    this.peer?.blockedSenders.delete(this);
    this.peer = other;
    other?.admirers.add(this);
  }

  override accept(_t: CallContext, flags: number): Socket | number {
    if (this.connectionless) return -EOPNOTSUPP;
    if (this.state !== 'listening') return -EINVAL;
    const s = this.accepting.shift();
    if (s === undefined) return (this.shut & S.RCV_SHUTDOWN) !== 0 ? -EINVAL : -EAGAIN;
    s.flags |= flags;
    this.waiters.wake(WRITE_EVENTS);
    return s;
  }

  override shutdown(how: number): number {
    if (how < S.SHUT_RD || how > S.SHUT_RDWR) return -EINVAL;
    const mask = how + 1;
    this.shut |= mask;
    const other = this.peer;
    if (other !== null && !this.connectionless) {
      other.shut |=
        ((mask & S.RCV_SHUTDOWN) !== 0 ? S.SEND_SHUTDOWN : 0) |
        ((mask & S.SEND_SHUTDOWN) !== 0 ? S.RCV_SHUTDOWN : 0);
      other.wakeState();
    }
    this.wakeState();
    return 0;
  }

  private wakeState(): void {
    const hup = this.shut === S.SHUTDOWN_MASK ? W.EPOLLHUP : 0;
    this.waiters.wake(READ_EVENTS | WRITE_EVENTS | W.EPOLLRDHUP | hup);
  }

  // Data.

  /** Where a datagram goes, or −errno. */
  private destination(t: CallContext, info: SendInfo | null): UnixSocket | number {
    if (info === null || info.name === null) {
      if (this.peer === null) return this.state === 'connected' ? -ECONNREFUSED : -ENOTCONN;
      if (this.peer.released) {
        this.setPeer(null);
        return -ECONNREFUSED;
      }
      return this.peer;
    }
    if (!this.connectionless) return this.state === 'connected' ? -EISCONN : -EOPNOTSUPP;
    const other = this.find(t, info.name);
    if (typeof other !== 'number' && other.peer !== null && other.peer !== this) return -EPERM;
    return other;
  }

  override send(
    t: CallContext,
    buf: Uint8Array,
    off: number,
    len: number,
    flags: number,
    info: SendInfo | null,
  ): number {
    if ((flags & S.MSG_OOB) !== 0) return -EOPNOTSUPP;
    if (this.stream) return this.sendStream(t, buf, off, len, info);
    if (this.type === S.SOCK_SEQPACKET && this.state !== 'connected') return -ENOTCONN;
    const other = this.destination(t, this.type === S.SOCK_SEQPACKET ? null : info);
    if (typeof other === 'number')
      return other === -ECONNREFUSED && this.type === S.SOCK_SEQPACKET ? -EPIPE : other;
    if (len > this.options.sndbuf - 32) return -EMSGSIZE;
    if ((this.shut & S.SEND_SHUTDOWN) !== 0 || (other.shut & S.RCV_SHUTDOWN) !== 0) return -EPIPE;
    if (this.charged >= this.options.sndbuf) return -EAGAIN;
    if (queuedTotal >= QUEUED_MAX) return -ENOBUFS;
    if (other.peer !== this && other.queue.length > MAX_DGRAM_QLEN) {
      other.blockedSenders.add(this);
      return -EAGAIN;
    }
    if (!this.bound && this.connectionless && (this.options.passCred || other.options.passCred))
      this.autobind();
    this.deliver(t, other, buf, off, len, info);
    return len;
  }

  private sendStream(
    t: CallContext,
    buf: Uint8Array,
    off: number,
    len: number,
    info: SendInfo | null,
  ): number {
    if (info !== null && info.name !== null) return this.state === 'connected' ? -EISCONN : -EOPNOTSUPP;
    const other = this.peer;
    if (other === null) return this.state === 'connected' ? -EPIPE : -ENOTCONN;
    if ((this.shut & S.SEND_SHUTDOWN) !== 0 || other.released || (other.shut & S.RCV_SHUTDOWN) !== 0)
      return -EPIPE;
    if (len === 0) return 0;
    const room = this.options.sndbuf - this.charged;
    if (room <= 0) return -EAGAIN;
    if (queuedTotal >= QUEUED_MAX) return -ENOBUFS;
    const n = Math.min(len, Math.max(room, 4096));
    this.deliver(t, other, buf, off, n, info);
    return n;
  }

  private deliver(
    t: CallContext,
    other: UnixSocket,
    buf: Uint8Array,
    off: number,
    len: number,
    info: SendInfo | null,
  ): void {
    const data = new Uint8Array(len);
    data.set(buf.subarray(off, off + len));
    let creds = info === null ? null : info.creds;
    if (creds === null && (wantsCreds(this.options) || wantsCreds(other.options))) {
      creds = { pid: t.tgid, uid: t.creds.uid, gid: t.creds.gid, process: (t as Task).group?.pid };
    }
    const fds = info === null ? null : info.fds;
    if (fds !== null) {
      addInFlight(fds);
      info!.fds = null;
    }
    const from = this.bound ? unixAddress(this.name) : null;
    const m = new UnixMessage(data, fds, creds, from, this.uncharge);
    this.charged += m.truesize;
    queuedTotal += m.truesize;
    other.queue.push(m);
    other.queuedBytes += len;
    other.waiters.wake(READ_EVENTS);
    if (fds !== null && inFlightTotal() > 256) collectGarbage();
  }

  private readonly uncharge = (bytes: number): void => {
    this.charged -= bytes;
    queuedTotal -= bytes;
    if (!this.released && this.charged * 4 <= this.options.sndbuf) this.waiters.wake(WRITE_EVENTS);
  };

  /** A message is used up: its sender and those who waited for room go on. */
  private consumed(m: UnixMessage): void {
    m.uncharge(m.truesize);
    if (this.blockedSenders.size > 0 && this.queue.length <= MAX_DGRAM_QLEN) {
      for (const s of this.blockedSenders) s.waiters.wake(WRITE_EVENTS);
      this.blockedSenders.clear();
    }
  }

  private giveInfo(m: UnixMessage, info: RecvInfo, peek: boolean): void {
    if (m.fds !== null) {
      info.fds = m.fds;
      if (peek) for (const f of m.fds) f.ref();
      else {
        removeInFlight(m.fds);
        m.fds = null;
      }
    }
    info.creds = this.options.passCred ? (m.creds ?? NO_CREDS) : null;
    info.sender = this.options.passPidfd ? (m.creds ?? NO_CREDS) : null;
  }

  override recv(
    _t: CallContext,
    buf: Uint8Array,
    off: number,
    len: number,
    flags: number,
    info: RecvInfo | null,
  ): number {
    if ((flags & S.MSG_OOB) !== 0) return -EOPNOTSUPP;
    if (this.stream) return this.recvStream(buf, off, len, (flags & S.MSG_PEEK) !== 0, info);
    if (this.type === S.SOCK_SEQPACKET && this.state !== 'connected') return -ENOTCONN;
    const peek = (flags & S.MSG_PEEK) !== 0;
    const m = this.queue.at(0);
    if (m === undefined) {
      const e = this.options.takeError();
      if (e !== 0) return -e;
      // A datagram socket that does not wait hears nothing of the end (__unix_dgram_recvmsg).
      const noWait = (flags & S.MSG_DONTWAIT) !== 0 || (this.flags & S.SOCK_NONBLOCK) !== 0;
      if (this.connectionless && noWait) return -EAGAIN;
      return (this.shut & S.RCV_SHUTDOWN) !== 0 ? 0 : -EAGAIN;
    }
    const n = Math.min(len, m.data.length);
    buf.set(n === m.data.length ? m.data : m.data.subarray(0, n), off);
    if (info !== null) {
      info.name = m.from;
      if (n < m.data.length) {
        info.msgFlags |= S.MSG_TRUNC;
        info.fullLen = m.data.length;
      }
      this.giveInfo(m, info, peek);
    }
    if (!peek) {
      this.queue.shift();
      this.queuedBytes -= m.data.length;
      this.dropFds(m);
      this.consumed(m);
    }
    return n;
  }

  private recvStream(
    buf: Uint8Array,
    off: number,
    len: number,
    peek: boolean,
    info: RecvInfo | null,
  ): number {
    if (this.state !== 'connected') return -EINVAL;
    let done = 0;
    let creds: UCred | null = null;
    for (let i = 0; done < len || (done === 0 && len === 0);) {
      const m = this.queue.at(peek ? i : 0);
      if (m === undefined) break;
      if (done > 0 && wantsCreds(this.options) && !sameCreds(creds, m.creds)) break;
      creds = m.creds;
      const n = Math.min(len - done, m.left);
      buf.set(m.data.subarray(m.off, m.off + n), off + done);
      done += n;
      const hadFds = m.fds !== null;
      if (info !== null) {
        const before = info.fds;
        this.giveInfo(m, info, peek);
        if (before !== null && info.fds === null) info.fds = before;
      } else if (!peek) this.dropFds(m);
      if (peek) {
        i++;
        if (hadFds) break;
        continue;
      }
      m.off += n;
      this.queuedBytes -= n;
      if (m.left > 0) break;
      this.queue.shift();
      this.consumed(m);
      if (hadFds) break;
    }
    if (done > 0 || len === 0) return done;
    const e = this.options.takeError();
    if (e !== 0) return -e;
    return (this.shut & S.RCV_SHUTDOWN) !== 0 ? 0 : -EAGAIN;
  }

  /** Descriptors nobody asked for. */
  private dropFds(m: UnixMessage): void {
    if (m.fds === null) return;
    const fds = m.fds;
    m.fds = null;
    removeInFlight(fds);
    for (const f of fds) f.unref();
  }

  // Readiness, options, end.

  override poll(): number {
    let events = 0;
    if (this.options.error !== 0) events |= W.EPOLLERR;
    if (this.shut === S.SHUTDOWN_MASK) events |= W.EPOLLHUP;
    if ((this.shut & S.RCV_SHUTDOWN) !== 0) events |= W.EPOLLRDHUP | READ_EVENTS;
    if (this.queue.length > 0 || this.accepting.length > 0) events |= READ_EVENTS;
    if (!this.connectionless && this.state === 'closed') events |= W.EPOLLHUP;
    if (this.state === 'listening') return events;
    const other = this.peer;
    const peerFull =
      this.connectionless && other !== null && other.peer !== this && other.queue.length > MAX_DGRAM_QLEN;
    if (peerFull) other.blockedSenders.add(this);
    if (this.charged * 4 <= this.options.sndbuf && !peerFull) events |= WRITE_EVENTS;
    return events;
  }

  override getOption(t: CallContext, level: number, name: number, out: Buffer, len: number): number {
    if (level !== S.SOL_SOCKET) return -EOPNOTSUPP;
    if (name === S.SO_PEERCRED) {
      const { userNs } = t.creds;
      const c = this.peerCreds ?? { pid: 0, uid: 0xffffffff, gid: 0xffffffff };
      out.writeInt32LE(c.pid, 0);
      const known = this.peerCreds !== null;
      out.writeUInt32LE(known ? userNs.fromUid(c.uid) : c.uid, 4);
      out.writeUInt32LE(known ? userNs.fromGid(c.gid) : c.gid, 8);
      return Math.min(len, 12);
    }
    if (name === S.SO_PEERPIDFD) {
      const process = this.peerCreds?.process;
      const fd = process === undefined ? -ENODATA : installPidfd(t as Task, process);
      return fd < 0 ? fd : putInt(out, len, fd);
    }
    if (name === S.SO_PEERGROUPS) {
      if (this.peerCreds === null) return -ENODATA;
      const groups = this.peerCreds.groups;
      if (len < groups.length * 4) return -ERANGE;
      groups.forEach((g, i) => out.writeUInt32LE(g, 4 * i));
      return groups.length * 4;
    }
    return this.options.get(this, this.state === 'listening', name, out, len);
  }

  override levelError(level: number): number {
    return level === S.SOL_SOCKET ? 0 : -EOPNOTSUPP;
  }

  override setOption(t: CallContext, _level: number, name: number, value: Buffer): number {
    return this.options.set(t, this, name, value);
  }

  override ioctl(t: CallContext, cmd: number, arg: number): number {
    if (cmd === S.SIOCOUTQ) return t.mem.writeU32(arg, this.charged);
    if (cmd !== S.SIOCINQ) {
      const network = networkOf(this.net);
      return netIoctl(t, network, network.asker(), this.net?.owner ?? null, cmd, arg);
    }
    if (this.state === 'listening') return -EINVAL;
    const first = this.queue.at(0);
    return t.mem.writeU32(arg, this.stream ? this.queuedBytes : first === undefined ? 0 : first.data.length);
  }

  eachQueuedFd(visit: (f: FileDescription) => void): void {
    for (let i = 0; i < this.queue.length; i++) for (const f of this.queue.at(i)!.fds ?? []) visit(f);
    for (const s of this.accepting) s.eachQueuedFd(visit);
  }

  purgeQueuedFds(): FileDescription[] {
    const out: FileDescription[] = [];
    for (let i = 0; i < this.queue.length; i++) {
      const m = this.queue.at(i)!;
      if (m.fds === null) continue;
      removeInFlight(m.fds);
      out.push(...m.fds);
      m.fds = null;
    }
    for (const s of this.accepting) out.push(...s.purgeQueuedFds());
    return out;
  }

  protected override release(): void {
    this.released = true;
    if (this.name.kind === 'abstract' && this.bound) releaseAbstract(this.name.name, this);
    if (this.node !== null) {
      const { identity } = this.node;
      if (identity.boundSocket === this) identity.boundSocket = null;
      this.node.drop();
    }
    const unread = this.queue.length > 0;
    const embryos = this.accepting;
    this.accepting = [];
    for (const s of embryos) {
      if (s.peer !== null) s.peer.options.error = ECONNRESET;
      s.unref();
    }
    const other = this.peer;
    if (this.connectionless) {
      this.setPeer(null);
      for (const a of this.admirers) {
        if (a.peer === this) a.peer = null;
        a.waiters.wake(WRITE_EVENTS);
      }
      if (other !== null && other.peer === this) {
        other.peer = null;
        other.wakeState();
      }
    } else if (other !== null) {
      other.peerName = unixAddress(this.name);
      other.peer = null;
      other.shut = S.SHUTDOWN_MASK;
      if (unread) other.options.error = ECONNRESET;
      other.waiters.wake(READ_EVENTS | WRITE_EVENTS | W.EPOLLRDHUP | W.EPOLLHUP | (unread ? W.EPOLLERR : 0));
    }
    this.peer = null;
    for (const s of this.blockedSenders) s.waiters.wake(WRITE_EVENTS);
    for (let m = this.queue.shift(); m !== undefined; m = this.queue.shift()) {
      m.uncharge(m.data.length + MESSAGE_OVERHEAD);
      this.dropFds(m);
    }
    super.release();
    if (inFlightTotal() > 0) collectGarbage();
  }
}

function wantsCreds(options: SocketOptions): boolean {
  return options.passCred || options.passPidfd;
}

function sameCreds(a: UCred | null, b: UCred | null): boolean {
  if (a === null || b === null) return a === b;
  return a.pid === b.pid && a.uid === b.uid && a.gid === b.gid;
}
