/**
 * HostSocket: AF_INET and AF_INET6 through sockets of the host kernel, opened by the sentry in its own network namespace
 * (hostinet). Each has an open file description of its own, so it is non-blocking for good.
 */
import {
  EACCES,
  EAGAIN,
  EALREADY,
  EDESTADDRREQ,
  ECONNABORTED,
  EFAULT,
  EINPROGRESS,
  EMSGSIZE,
  ENOTTY,
  EPERM,
} from '../../abi/errno.ts';
import { O_NONBLOCK } from '../../abi/fcntl.ts';
import * as S from '../../abi/socket.ts';
import { CAP_NET_BIND_SERVICE } from '../../auth/capability.ts';
import type { UserNamespace } from '../../auth/credentials.ts';
import { fstat, ioctl as hostIoctl, pollNow } from '../../host/file-io.ffi.ts';
import { HostBuffer } from '../../host/memory.ffi.ts';
import * as net from '../../host/net.ffi.ts';
import { hostPoller } from '../../host/poller.ffi.ts';
import { close } from '../../host/sys.ffi.ts';
import type { NetNamespace } from '../../kernel/namespaces.ts';
import { hostAddressOf } from '../../usermem/io-buffer.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import * as W from '../../waiter/wait-queue.ts';
import { netNsOf, networkOf } from '../network.ts';
import { putInt, Socket, type QueueLengths, type RecvInfo, type SendInfo } from '../socket.ts';
import { HostOptions, levelError, questionLength } from './host-options.ts';
import {
  hostQueueLengths,
  hostTcpState,
  isClosing,
  peekOffset,
  takeHostError,
  TCP_CLOSE,
} from './host-state.ts';
import { hasRights, sendWithRights } from './message-rights.ts';
import { netIoctl, STAMPS } from './net-ioctl.ts';
import { controlForHost, maySet } from './options.ts';

const IPPROTO_IP = 0;
/** net.ipv4.ip_unprivileged_port_start where it was not set. */
const PRIVILEGED_PORTS = 1024;
const SOCKADDR_IN = 16;
/** SIN6_LEN_RFC2133 */
const SOCKADDR_IN6_MIN = 24;
const SIOCATMARK = 0x8905;
const TIMESPEC_SIZE = 16;

const WATCHED = W.EPOLLIN | W.EPOLLOUT | W.EPOLLPRI | W.EPOLLRDHUP;
const POLLED = WATCHED | W.EPOLLRDNORM | W.EPOLLWRNORM | W.EPOLLRDBAND | W.EPOLLWRBAND;
const SEND_FLAGS =
  S.MSG_OOB | S.MSG_PROBE | S.MSG_DONTROUTE | S.MSG_EOR | S.MSG_CONFIRM | S.MSG_MORE | S.MSG_FASTOPEN;

const bounce = new HostBuffer(256 * 1024);
const word = new HostBuffer(8);
const stampBuffer = new HostBuffer(TIMESPEC_SIZE);
const message: net.HostMessage = { name: new Uint8Array(0), control: new Uint8Array(0), flags: 0 };

export class HostSocket extends Socket {
  readonly hostFd: number;
  private watched = false;
  /** An error that the host does not know of. */
  private error = 0;
  /** Where a connect in progress goes; null: nowhere any more, somebody has ended it. */
  private target: Uint8Array | null = null;
  /** A send with MSG_FASTOPEN waits for the connection. */
  private openingFast = false;
  private readonly options = new HostOptions();

  constructor(
    t: CallContext | null,
    domain: number,
    type: number,
    protocol: number,
    flags: number,
    hostFd: number,
    ns: NetNamespace | null = netNsOf(t),
  ) {
    super(t, domain, type, protocol, flags, ns);
    this.hostFd = hostFd;
  }

  override hostInode(): number {
    const st = fstat(this.hostFd);
    return typeof st === 'number' ? 0 : st.ino;
  }

  /** Whose capabilities count. */
  get netOwner(): UserNamespace | null {
    return this.net?.owner ?? null;
  }

  /** No ports: raw and packet sockets. */
  get raw(): boolean {
    return this.type === S.SOCK_RAW || this.domain === S.AF_PACKET;
  }

  private get stream(): boolean {
    return this.type === S.SOCK_STREAM;
  }

  /** The port that a bind to this address takes, 0: none, or whatever is free. Other addresses are the host's to refuse. */
  private portOf(addr: Uint8Array): number {
    if (this.raw || addr.length < (this.domain === S.AF_INET6 ? SOCKADDR_IN6_MIN : SOCKADDR_IN)) return 0;
    const family = addr[0]! + addr[1]! * 256;
    return family === this.domain || family === S.AF_UNSPEC ? addr[2]! * 256 + addr[3]! : 0;
  }

  /** Edge-triggered, so that each event of the host reaches guests' epoll instances once. */
  protected watch(): void {
    if (this.watched) return;
    this.watched = true;
    hostPoller().addEdges(this.hostFd, WATCHED, (events) => {
      let e = events & (WATCHED | W.EPOLLERR | W.EPOLLHUP);
      if ((e & W.EPOLLIN) !== 0) e |= W.EPOLLRDNORM;
      if ((e & W.EPOLLOUT) !== 0) e |= W.EPOLLWRNORM;
      this.hostReady(e);
    });
  }

  /** The host tells of events. */
  protected hostReady(events: number): void {
    this.waiters.wake(events);
  }

  override poll(): number {
    this.watch();
    const r = pollNow(this.hostFd, POLLED);
    if (r < 0) return W.EPOLLERR;
    return this.error !== 0 || this.options.zeroCopy?.pending === true ? r | W.EPOLLERR : r;
  }

  override setError(errno: number): void {
    this.error = errno;
  }

  protected takeError(): number {
    const e = this.error;
    this.error = 0;
    return e;
  }

  override bind(t: CallContext, addr: Uint8Array): number {
    const port = this.portOf(addr);
    if (port === 0 || port >= PRIVILEGED_PORTS) return net.bind(this.hostFd, addr);
    const owner = this.netOwner;
    if (port < unprivilegedPorts(this.net) && !t.creds.hasIn(CAP_NET_BIND_SERVICE, owner)) return -EACCES;
    return networkOf(this.net).bind(this.hostFd, addr);
  }

  override listen(_t: CallContext, backlog: number): number {
    return net.listen(this.hostFd, backlog);
  }

  override connect(_t: CallContext, addr: Uint8Array): number {
    this.watch();
    this.target = addr[0] === S.AF_UNSPEC && addr[1] === 0 ? null : addr;
    const r = net.connect(this.hostFd, addr);
    // A blocking connect that a signal interrupted goes on when it is called again.
    return r === -EALREADY && (this.flags & S.SOCK_NONBLOCK) === 0 ? -EINPROGRESS : r;
  }

  override finishConnect(): number {
    // Asked again, the host would begin a new one.
    if (this.target === null) return -(takeHostError(this.hostFd) || ECONNABORTED);
    const ready = pollNow(this.hostFd, W.EPOLLOUT);
    if (ready === 0) return -EINPROGRESS;
    // Asking again tells the outcome and lets the host socket leave its connecting state. An ICMP error that comes while
    // the first SYN is being sent makes the socket readable for errors, but it goes on: the next SYN decides (tcp_v4_err()).
    const r = net.connect(this.hostFd, this.target);
    return r === -EALREADY ? -EINPROGRESS : r;
  }

  override accept(t: CallContext, flags: number): Socket | number {
    this.watch();
    const fd = net.accept(this.hostFd);
    return fd < 0 ? fd : new HostSocket(t, this.domain, this.type, this.protocol, flags, fd, this.net);
  }

  override shutdown(how: number): number {
    const r = net.shutdown(this.hostFd, how);
    // A connect in progress ends by that (inet_shutdown).
    if (r === 0 && this.stream && hostTcpState(this.hostFd) === TCP_CLOSE) this.target = null;
    return r;
  }

  override getName(peer: boolean): Uint8Array | number {
    return peer ? net.getpeername(this.hostFd) : net.getsockname(this.hostFd);
  }

  override send(
    t: CallContext,
    buf: Uint8Array,
    off: number,
    len: number,
    flags: number,
    info: SendInfo | null,
  ): number {
    if (this.error !== 0) return -this.takeError();
    // Streams look at it for MSG_FASTOPEN only.
    const to = info === null || (this.stream && (flags & S.MSG_FASTOPEN) === 0) ? null : info.name;
    let addr = hostAddressOf(buf, off, len);
    let n = len;
    if (addr < 0) {
      if (len > bounce.size && this.messages) return -EMSGSIZE;
      n = Math.min(len, bounce.size);
      bounce.bytes.set(buf.subarray(off, off + n));
      addr = bounce.addr;
    }
    let f = flags & SEND_FLAGS;
    if ((f & S.MSG_FASTOPEN) !== 0) {
      if (this.openingFast) return this.sendOnceOpen(addr, n, f & ~S.MSG_FASTOPEN);
      // Later pieces.
      if (info === null) f &= ~S.MSG_FASTOPEN;
    }
    if (info === null || info.control === null) {
      const r = net.send(this.hostFd, addr, n, f, to);
      if (r < 0) this.watch();
      if (r === -EINPROGRESS && to !== null && (flags & S.MSG_DONTWAIT) === 0) return this.openFast(to);
      return r;
    }
    const control = controlForHost(info.control);
    if (typeof control === 'number') return this.unsendable(f, to) || control;
    this.watch();
    const send = (c: Uint8Array): number =>
      c.length === 0
        ? net.send(this.hostFd, addr, n, f, to)
        : net.sendControl(this.hostFd, addr, n, f, to, c);
    const r = send(control);
    if (r !== -EPERM || !hasRights(t, this.netOwner)) return r;
    return sendWithRights(networkOf(this.net), this.hostFd, control, send);
  }

  /** Nothing of the data went with the SYN (no cookie yet): who waits sends it when the connection is there (tcp_sendmsg_fastopen). */
  private openFast(to: Uint8Array): number {
    this.target = to;
    if ((this.flags & O_NONBLOCK) !== 0) return -EINPROGRESS;
    this.openingFast = true;
    return -EAGAIN;
  }

  private sendOnceOpen(addr: number, n: number, flags: number): number {
    const r = this.finishConnect();
    if (r === -EINPROGRESS) return -EAGAIN;
    this.openingFast = false;
    return r < 0 ? r : net.send(this.hostFd, addr, n, flags, null);
  }

  /** What a send says before it looks at control messages, 0: nothing. A stream is asked by sending nothing. */
  private unsendable(flags: number, to: Uint8Array | null): number {
    if (this.stream) return Math.min(0, net.send(this.hostFd, bounce.addr, 0, flags, to));
    return to === null && typeof this.getName(true) === 'number' ? -EDESTADDRREQ : 0;
  }

  override sentZeroCopy(): void {
    const { zeroCopy, zeroCopyOn } = this.options;
    if (zeroCopy === null || !zeroCopyOn) return;
    zeroCopy.sent();
    this.waiters.wake(W.EPOLLERR);
  }

  override recv(
    _t: CallContext,
    buf: Uint8Array,
    off: number,
    len: number,
    flags: number,
    info: RecvInfo | null,
  ): number {
    if ((flags & S.MSG_ERRQUEUE) !== 0 && this.options.zeroCopy?.pending === true) {
      const control = this.options.zeroCopy.take(this.domain);
      if (info !== null) {
        info.control = control;
        info.msgFlags |= S.MSG_ERRQUEUE;
      }
      return 0;
    }
    if (this.error !== 0) return -this.takeError();
    let addr = hostAddressOf(buf, off, len);
    const copied = addr < 0;
    const room = copied ? Math.min(len, bounce.size) : len;
    if (copied) addr = bounce.addr;
    const { stream } = this;
    const f = flags & (S.MSG_PEEK | S.MSG_OOB | S.MSG_ERRQUEUE | (info === null ? 0 : S.MSG_TRUNC));
    // TCP does not copy then.
    if (stream && info !== null && (f & S.MSG_TRUNC) !== 0 && (f & S.MSG_ERRQUEUE) === 0)
      info.discarded = true;
    const skipped = stream ? 0 : peekOffset(this.hostFd, f);
    let r: number;
    if (info === null || (stream && info.controlRoom === 0 && (f & (S.MSG_ERRQUEUE | S.MSG_OOB)) === 0)) {
      r = net.recv(this.hostFd, addr, room, f);
    } else {
      r = net.recvMessage(this.hostFd, addr, room, f, info.controlRoom, message);
      if (r >= 0) {
        info.name = message.name;
        info.control = message.control.length > 0 ? message.control : null;
        info.msgFlags |= message.flags & ~S.MSG_CMSG_CLOEXEC;
        if (r > room || skipped > 0) info.fullLen = r;
      }
    }
    if (r < 0) {
      this.watch();
      return r === -EAGAIN && this.waitsInVain(flags) ? 0 : r;
    }
    const n = Math.min(Math.max(0, r - skipped), room);
    if (copied && n > 0) buf.set(bounce.bytes.subarray(0, n), off);
    return n;
  }

  /** Only who waits for messages hears that no more will be read (__skb_wait_for_more_packets); the host socket never waits. */
  private waitsInVain(flags: number): boolean {
    if (this.stream || (flags & (S.MSG_DONTWAIT | S.MSG_ERRQUEUE)) !== 0) return false;
    return (this.flags & O_NONBLOCK) === 0 && (pollNow(this.hostFd, W.EPOLLRDHUP) & W.EPOLLRDHUP) !== 0;
  }

  override queueLengths(): QueueLengths {
    return hostQueueLengths(this.hostFd, this.stream);
  }

  override getOption(t: CallContext, level: number, name: number, out: Buffer, len: number): number {
    if (this.error !== 0 && level === S.SOL_SOCKET && name === S.SO_ERROR)
      return putInt(out, len, this.takeError());
    return this.options.get(t, this, level, name, out, len);
  }

  override readsOption(level: number, name: number): number {
    return questionLength(level, name);
  }

  override levelError(level: number, set: boolean): number {
    return levelError(this, level, set);
  }

  override faultOption(level: number, name: number, len: number): number {
    if (!maySet(level, name)) return level === IPPROTO_IP ? -EPERM : -EFAULT;
    return Math.min(net.setsockoptFault(this.hostFd, level, name, len), -1);
  }

  override attachFilter(name: number, code: Uint8Array): number {
    return net.attachFilter(this.hostFd, name, code);
  }

  override getFilter(): Uint8Array | number {
    return net.getFilter(this.hostFd);
  }

  override setOption(t: CallContext, level: number, name: number, value: Buffer): number {
    return this.options.set(t, this, level, name, value);
  }

  override ioctl(t: CallContext, cmd: number, arg: number): number {
    if (cmd === S.SIOCINQ || cmd === S.SIOCOUTQ || cmd === S.SIOCOUTQNSD || cmd === SIOCATMARK) {
      const r = hostIoctl(this.hostFd, cmd, word.addr);
      if (r !== -ENOTTY) return r < 0 ? r : t.mem.writeU32(arg, word.u32[0]!);
    }
    const stamp = STAMPS.get(cmd);
    if (stamp !== undefined) {
      const r = hostIoctl(this.hostFd, stamp, stampBuffer.addr);
      return r < 0 ? r : t.mem.copyOut(arg, stampBuffer.bytes, 0, TIMESPEC_SIZE);
    }
    const { domain, hostFd } = this;
    const on = { network: networkOf(this.net), hostFd, owner: this.netOwner, domain };
    return netIoctl(t, on, cmd, arg);
  }

  override beginLinger(): number {
    // What nobody has read makes it a reset, at once.
    const { lingerSec } = this.options;
    if (lingerSec <= 0 || !this.stream || this.queueLengths().rx > 0) return 0;
    this.watch();
    return net.shutdown(this.hostFd, S.SHUT_RDWR) === 0 ? lingerSec * 1e9 : 0;
  }

  override get lingering(): boolean {
    return isClosing(this.hostFd);
  }

  protected override release(): void {
    if (this.watched) hostPoller().remove(this.hostFd);
    // The host's close(2) of a lingering socket waits, even of a non-blocking one; the guest's has waited.
    if (this.options.lingerSec > 0) net.setsockopt(this.hostFd, S.SOL_SOCKET, S.SO_LINGER, new Uint8Array(8));
    close(this.hostFd);
    super.release();
  }
}

/** The first port that needs no capability. */
function unprivilegedPorts(ns: NetNamespace | null): number {
  const set = ns?.sysctls.get('net/ipv4/ip_unprivileged_port_start');
  return set === undefined ? PRIVILEGED_PORTS : Number(set);
}
