/**
 * AF_UNIX sockets (net/unix/af_unix.c, unix(7)): names, connections, options, their end. What they are made of is endpoint.ts, data
 * go by transmit.ts and receive.ts.
 */
import {
  EADDRINUSE,
  EAGAIN,
  ECONNREFUSED,
  ECONNRESET,
  EEXIST,
  EFAULT,
  EINVAL,
  EISCONN,
  ENODATA,
  ENOTCONN,
  EOPNOTSUPP,
  EPIPE,
  EPERM,
  EPROTOTYPE,
  ERANGE,
} from '../../abi/errno.ts';
import { O_NONBLOCK } from '../../abi/fcntl.ts';
import * as S from '../../abi/socket.ts';
import type { Task } from '../../kernel/task.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { FileDescription } from '../../vfs/file-description.ts';
import type { Inode } from '../../vfs/inode.ts';
import * as W from '../../waiter/wait-queue.ts';
import { netIoctl } from '../inet/net-ioctl.ts';
import { networkOf } from '../network.ts';
import { installPidfd } from '../../fsimpl/anon/pidfd.ts';
import { pidSeenBy, putInt, type RecvInfo, type SendInfo, type Socket, type UCred } from '../socket.ts';
import {
  autoName,
  claimAbstract,
  findAbstract,
  findSocketNode,
  makeSocketNode,
  parseUnixAddress,
  releaseAbstract,
  removeSocketNode,
  unixAddress,
  type UnixName,
} from './address.ts';
import { READ_EVENTS, UnixEndpoint, wantsCreds, WRITE_EVENTS } from './endpoint.ts';
import { collectGarbage, inFlightTotal } from './in-flight.ts';
import { Outside, OUTSIDE_CREDS } from './outside.ts';
import { recvMessage, recvStream } from './receive.ts';
import { sendMessage, sendStream, streamMost } from './transmit.ts';

const SIOCATMARK = 0x8905;

type PeerCreds = UCred & { groups: readonly number[] };

function credsOf(t: CallContext): PeerCreds {
  const process = (t as Task).group?.pid;
  return { pid: t.tgid, uid: t.creds.euid, gid: t.creds.egid, groups: t.creds.groups, process };
}

export class UnixSocket extends UnixEndpoint {
  private node: Inode | null = null;
  private peerCreds: PeerCreds | null = null;
  /** The listener that had no room for a connect. */
  private full: UnixEndpoint | null = null;
  /** The socket of the host that this one is connected to. */
  private outside: Outside | null = null;

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

  override peek(t: CallContext, buf: Uint8Array, off: number, len: number): number {
    const { peekOff } = this.options;
    this.options.peekOff = -1;
    const n = super.peek(t, buf, off, len);
    this.options.peekOff = peekOff;
    return n;
  }

  /** unix_dgram_sendmsg() fetches the data first. */
  override sendNowhere(t: CallContext, flags: number, name: Uint8Array | null): number {
    // Urgent data of messages is refused before there is one.
    if (!this.stream && (flags & S.MSG_OOB) !== 0) return this.send(t, new Uint8Array(0), 0, 0, flags, null);
    if (!this.stream && (this.shut & S.SEND_SHUTDOWN) !== 0) return -EPIPE;
    return this.connectionless ? -EFAULT : super.sendNowhere(t, flags, name);
  }

  override wholePieces(len: number): number {
    let n = 0;
    for (let i = 0; i < this.queue.length && n + this.queue.at(i)!.left <= len; i++)
      n += this.queue.at(i)!.left;
    return n;
  }

  /** Whole messages, as if all of it had come at once. */
  override writePiece(left: number, max: number): number {
    if (left <= max || !this.stream) return Math.min(left, max);
    const most = streamMost(this.options.sndbuf);
    return max - (max % most);
  }

  // Names.

  override bind(t: CallContext, addr: Uint8Array): number {
    const name = parseUnixAddress(addr);
    if (typeof name === 'number') return name;
    if (name.kind === 'none') return this.autobind();
    if (this.bound && name.kind === 'abstract') return -EINVAL;
    if (name.kind === 'abstract') {
      const r = claimAbstract(name.name, this);
      if (r < 0) return r;
    } else {
      const inode = makeSocketNode(t, name.name, this.inode.mode);
      if (typeof inode === 'number') return inode === -EEXIST ? -EADDRINUSE : inode;
      if (this.bound) {
        // Noticed when the file is there (unix_bind_bsd).
        removeSocketNode(t, name.name);
        return -EINVAL;
      }
      inode.findIdentity().boundSocket = this;
      this.node = inode.hold();
    }
    this.name = name;
    this.bound = true;
    return 0;
  }

  override autobind(): number {
    if (this.bound) return 0;
    const name = autoName(this.net, this.type);
    if (typeof name === 'number') return name;
    claimAbstract(name, this);
    this.name = { kind: 'abstract', name };
    this.bound = true;
    return 0;
  }

  override getName(peer: boolean): Uint8Array | number {
    if (!peer) return unixAddress(this.name);
    if (this.outside !== null) return unixAddress(this.outside.name);
    return this.peer === null ? -ENOTCONN : unixAddress(this.peer.name);
  }

  override find(t: CallContext, addr: Uint8Array): UnixEndpoint | number {
    const name = parseUnixAddress(addr);
    if (typeof name === 'number') return name;
    if (name.kind === 'none') return -EINVAL;
    let other: UnixEndpoint | undefined;
    if (name.kind === 'abstract') other = findAbstract(this.net, name.name, this.type);
    else {
      const inode = findSocketNode(t, name.name);
      if (typeof inode === 'number') return inode;
      other = (inode.findIdentity().boundSocket as UnixEndpoint | null) ?? undefined;
    }
    if (other === undefined || other.released) return -ECONNREFUSED;
    return other.type === this.type ? other : -EPROTOTYPE;
  }

  // Connections.

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
      this.leaveOutside();
      this.setPeer(null);
      this.state = 'closed';
      return 0;
    }
    const name = parseUnixAddress(addr);
    if (typeof name === 'number') return name;
    if (name.kind === 'none') return -EINVAL;
    if (wantsCreds(this.options)) {
      const r = this.autobind();
      if (r < 0) return r;
    }
    const other = this.find(t, addr);
    if (other === -ECONNREFUSED && name.kind === 'path') return this.connectOutside(t, name);
    if (typeof other === 'number') return other;
    return this.connectionless ? this.connectDatagram(other) : this.connectStream(t, other as UnixSocket);
  }

  /** unix_stream_connect() */
  private connectStream(t: CallContext, other: UnixSocket): number {
    if (other.state !== 'listening' || (other.shut & S.RCV_SHUTDOWN) !== 0) return -ECONNREFUSED;
    if (other.accepting.length > other.backlog) {
      this.full = other;
      return -EAGAIN;
    }
    if (this.state === 'connected') return -EISCONN;
    if (this.state === 'listening') return -EINVAL;
    const server = new UnixSocket(t, this.type, 0, other.net);
    server.name = other.name;
    server.bound = other.bound;
    server.options.inherit(other.options);
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

  /** To a socket of the host, if the file is one that may be connected to: from now on that does what this one is asked for. */
  private connectOutside(t: CallContext, name: UnixName): number {
    const outside = Outside.connect(t, name, this.type, this.waiters);
    if (typeof outside === 'number') return outside;
    if (!this.connectionless && this.state !== 'closed') {
      outside.leave();
      return this.state === 'connected' ? -EISCONN : -EINVAL;
    }
    this.leaveOutside();
    this.setPeer(null);
    this.outside = outside;
    this.state = 'connected';
    this.peerCreds = OUTSIDE_CREDS;
    this.waiters.wake(WRITE_EVENTS);
    return 0;
  }

  private leaveOutside(): void {
    this.outside?.leave();
    this.outside = null;
  }

  override connectQueue(): FileDescription {
    return this.full ?? this;
  }

  private connectDatagram(other: UnixEndpoint): number {
    // unix_may_send()
    if (other.peer !== null && other.peer !== this) return -EPERM;
    this.leaveOutside();
    this.setPeer(other);
    this.state = 'connected';
    return 0;
  }

  override accept(_t: CallContext, flags: number): Socket | number {
    if (this.connectionless) return -EOPNOTSUPP;
    if (this.state !== 'listening') return -EINVAL;
    const s = this.accepting.shift();
    if (s === undefined) {
      // One who does not wait hears nothing of the end (skb_recv_datagram).
      const ended = (this.shut & S.RCV_SHUTDOWN) !== 0 && (this.flags & O_NONBLOCK) === 0;
      return ended ? -EINVAL : -EAGAIN;
    }
    s.flags |= flags;
    this.waiters.wake(WRITE_EVENTS);
    return s;
  }

  override poll(): number {
    return this.outside === null ? super.poll() : this.outside.socket.poll();
  }

  override shutdown(how: number): number {
    if (how < S.SHUT_RD || how > S.SHUT_RDWR) return -EINVAL;
    if (this.outside !== null) return this.outside.socket.shutdown(how);
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

  /** unix_seqpacket_sendmsg() */
  override stateError(): number {
    if (this.stream || this.connectionless) return 0;
    return -this.options.takeError() || (this.state === 'connected' ? 0 : -ENOTCONN);
  }

  override send(
    t: CallContext,
    buf: Uint8Array,
    off: number,
    len: number,
    flags: number,
    info: SendInfo | null,
  ): number {
    const named = info !== null && info.name !== null && info.name.length > 0;
    if (this.outside !== null && !named) return this.outside.socket.send(t, buf, off, len, flags, info);
    const send = this.stream ? sendStream : sendMessage;
    const r = send(t, this, buf, off, len, flags, info);
    return r === -ECONNREFUSED && named && this.connectionless
      ? this.sendOutside(t, buf, off, len, flags, info)
      : r;
  }

  /** A message to a socket of the host that this one is not connected to. */
  private sendOutside(
    t: CallContext,
    buf: Uint8Array,
    off: number,
    len: number,
    flags: number,
    info: SendInfo,
  ): number {
    const name = parseUnixAddress(info.name!);
    if (typeof name === 'number' || name.kind !== 'path') return -ECONNREFUSED;
    const outside = Outside.connect(t, name, this.type, this.waiters);
    if (typeof outside === 'number') return outside;
    if (info.fds === null) return outside.sendOnce(t, buf, off, len, flags);
    outside.leave();
    return -EOPNOTSUPP;
  }

  override recv(
    t: CallContext,
    buf: Uint8Array,
    off: number,
    len: number,
    flags: number,
    info: RecvInfo | null,
  ): number {
    if (this.outside !== null) return this.outside.socket.recv(t, buf, off, len, flags, info);
    return this.stream
      ? recvStream(this, buf, off, len, flags, info)
      : recvMessage(t, this, buf, off, len, flags, info);
  }

  // Options, end.

  override getOption(t: CallContext, level: number, name: number, out: Buffer, len: number): number {
    if (level !== S.SOL_SOCKET) return -EOPNOTSUPP;
    if (name === S.SO_PEERCRED) {
      const { userNs } = t.creds;
      const c = this.peerCreds ?? { pid: 0, uid: 0xffffffff, gid: 0xffffffff };
      out.writeInt32LE(pidSeenBy(t, c), 0);
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

  override attachFilter(name: number, code: Uint8Array): number {
    return this.options.attachFilter(name, code);
  }

  override getFilter(): Uint8Array {
    return this.options.getFilter();
  }

  override levelError(level: number): number {
    return level === S.SOL_SOCKET ? 0 : -EOPNOTSUPP;
  }

  override setOption(t: CallContext, _level: number, name: number, value: Buffer): number {
    const r = this.options.set(t, this, name, value);
    if (r === 0 && (name === S.SO_SNDBUF || name === S.SO_SNDBUFFORCE)) this.writeSpace();
    return r;
  }

  override ioctl(t: CallContext, cmd: number, arg: number): number {
    if (this.outside !== null && cmd === S.SIOCINQ) return this.outside.socket.ioctl(t, cmd, arg);
    if (cmd === S.SIOCOUTQ) return t.mem.writeU32(arg, this.charged);
    if (cmd === SIOCATMARK) {
      const at = this.atMark();
      return at < 0 ? at : t.mem.writeU32(arg, at);
    }
    if (cmd !== S.SIOCINQ) {
      const network = networkOf(this.net);
      const on = { network, hostFd: network.asker(), owner: this.net?.owner ?? null, domain: S.AF_UNIX };
      return netIoctl(t, on, cmd, arg);
    }
    if (this.state === 'listening') return -EINVAL;
    return t.mem.writeU32(arg, this.connectionless ? (this.queue.at(0)?.data.length ?? 0) : this.queuedBytes);
  }

  /** The read position is at the urgent byte, or where one was taken. */
  private atMark(): number {
    if (!this.stream) return -EOPNOTSUPP;
    const first = this.queue.at(0);
    if (first === undefined) return 0;
    if (first === this.urgent) return 1;
    const next = this.queue.at(1) ?? null;
    return first.left === 0 && (this.urgent === null || next === this.urgent) ? 1 : 0;
  }

  /** unix_release_sock() */
  protected override release(): void {
    this.released = true;
    this.leaveOutside();
    if (this.name.kind === 'abstract' && this.bound) releaseAbstract(this.name.name, this);
    if (this.node !== null) {
      const { identity } = this.node;
      if (identity.boundSocket === this) identity.boundSocket = null;
      this.node.drop();
    }
    // An urgent byte that was taken is not unread, nor is one empty message.
    const first = this.queue.at(0);
    const unread = first !== undefined && (this.queue.length > 1 || first.left > 0);
    const embryos = this.accepting;
    this.accepting = [];
    for (const s of embryos) {
      if (s.peer !== null) s.peer.options.error = ECONNRESET;
      s.unref();
    }
    const other = this.peer;
    if (!this.connectionless && other !== null && !other.released) {
      other.shut = S.SHUTDOWN_MASK;
      if (unread) other.options.error = ECONNRESET;
      const failed = other.options.error !== 0 ? W.EPOLLERR : 0;
      other.waiters.wake(READ_EVENTS | WRITE_EVENTS | W.EPOLLRDHUP | W.EPOLLHUP | failed);
    }
    other?.blockedSenders.delete(this);
    this.peer = null;
    this.purge();
    this.wakeBlocked();
    // Those who wait to connect.
    this.waiters.wake(WRITE_EVENTS);
    super.release();
    if (inFlightTotal() > 0) collectGarbage();
  }
}
