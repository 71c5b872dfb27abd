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
  EINVAL,
  EMSGSIZE,
  ENOENT,
  ENOPROTOOPT,
  ENOTTY,
  EOPNOTSUPP,
  EPERM,
  EPROTONOSUPPORT,
  ESOCKTNOSUPPORT,
} from '../../abi/errno.ts';
import { O_NONBLOCK } from '../../abi/fcntl.ts';
import * as S from '../../abi/socket.ts';
import { CAP_NET_BIND_SERVICE, CAP_NET_RAW } from '../../auth/capability.ts';
import type { UserNamespace } from '../../auth/credentials.ts';
import type { NetNamespace } from '../../kernel/namespaces.ts';
import { fstat, ioctl as hostIoctl, pollNow } from '../../host/file-io.ffi.ts';
import { HostBuffer } from '../../host/memory.ffi.ts';
import * as net from '../../host/net.ffi.ts';
import { hostPoller } from '../../host/poller.ffi.ts';
import { close } from '../../host/sys.ffi.ts';
import { hostAddressOf } from '../../usermem/io-buffer.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import * as W from '../../waiter/wait-queue.ts';
import { SocketOptions } from '../options.ts';
import { netNsOf, networkOf } from '../network.ts';
import { registerSocketProvider } from '../providers.ts';
import { putInt, Socket, type QueueLengths, type RecvInfo, type SendInfo } from '../socket.ts';
import { netIoctl, STAMPS } from './net-ioctl.ts';
import { controlForHost, isNetfilter, mayGet, maySet, noFilters } from './options.ts';
import { hasRights, sendWithRights } from './message-rights.ts';
import { ZeroCopy } from './zero-copy.ts';

const IPPROTO_IP = 0;
const IPPROTO_IPV6 = 41;
const IPPROTO_ICMP = 1;
/** net.ipv4.ip_unprivileged_port_start where it was not set. */
const PRIVILEGED_PORTS = 1024;
const IPPROTO_TCP = 6;
const IPPROTO_UDP = 17;
const IPPROTO_ICMPV6 = 58;
const IPPROTO_UDPLITE = 136;
const IPPROTO_MAX = 263;
const SOCKADDR_IN = 16;
/** SIN6_LEN_RFC2133 */
const SOCKADDR_IN6_MIN = 24;
const SIOCATMARK = 0x8905;
const TIMESPEC_SIZE = 16;

const WATCHED = W.EPOLLIN | W.EPOLLOUT | W.EPOLLPRI | W.EPOLLRDHUP;
const POLLED = WATCHED | W.EPOLLRDNORM | W.EPOLLWRNORM | W.EPOLLRDBAND | W.EPOLLWRBAND;
const SEND_FLAGS =
  S.MSG_OOB | S.MSG_PROBE | S.MSG_DONTROUTE | S.MSG_EOR | S.MSG_CONFIRM | S.MSG_MORE | S.MSG_FASTOPEN;

const TCP_INFO = 11;
/** Questions about one group or label: how much of the buffer says which. */
const IP_MSFILTER = 41;
const IP_FILTER = 16;
const MCAST_MSFILTER = 48;
const GROUP_FILTER = 144;
const IPV6_FLOWLABEL_MGR = 32;
const FLOWLABEL_REQUEST = 32;
const IPV6_ADDRFORM = 1;
const TCP_ULP = 31;
/** TCP_FIN_WAIT1, LAST_ACK, CLOSING */
const CLOSING_STATES: ReadonlySet<number> = new Set([4, 9, 11]);
const TCP_CLOSE = 7;
const TCP_LISTEN = 10;
const SOL_RAW = 255;
const SOL_PACKET = 263;

const facts = Buffer.alloc(104);
const bounce = new HostBuffer(256 * 1024);
const word = new HostBuffer(8);
const stampBuffer = new HostBuffer(TIMESPEC_SIZE);
const message: net.HostMessage = { name: new Uint8Array(0), control: new Uint8Array(0), flags: 0 };

export class HostSocket extends Socket {
  readonly hostFd: number;
  private watched = false;
  private lingerSec = 0;
  /** An error that the host does not know of. */
  private error = 0;
  /** Where a connect in progress goes; null: nowhere any more, somebody has ended it. */
  private target: Uint8Array | null = null;
  /** A send with MSG_FASTOPEN waits for the connection. */
  private openingFast = false;
  /** SO_ZEROCOPY is set, or was. */
  private zeroCopy: ZeroCopy | null = null;
  private zeroCopyOn = false;
  /** For SO_RCVTIMEO and SO_SNDTIMEO, which are ours: the host socket never waits. */
  private readonly options = new SocketOptions();

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

  private get netOwner(): UserNamespace | null {
    return this.net?.owner ?? null;
  }

  /** No ports: raw and packet sockets. */
  private get raw(): boolean {
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
    return this.error !== 0 || this.zeroCopy?.pending === true ? r | W.EPOLLERR : r;
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
    const owner = this.net?.owner ?? null;
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
    if (this.target === null) return -(this.takeHostError() || ECONNABORTED);
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
    if (r === 0 && this.stream && this.hostState() === TCP_CLOSE) this.target = null;
    return r;
  }

  /** tcpi_state */
  private hostState(): number {
    return net.getsockopt(this.hostFd, IPPROTO_TCP, TCP_INFO, facts, facts.length) < 32 ? 0 : facts[0]!;
  }

  private takeHostError(): number {
    const got = net.getsockopt(this.hostFd, S.SOL_SOCKET, S.SO_ERROR, facts, 4);
    return got < 4 ? 0 : facts.readInt32LE(0);
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
    if (this.zeroCopy === null || !this.zeroCopyOn) return;
    this.zeroCopy.sent();
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
    if ((flags & S.MSG_ERRQUEUE) !== 0 && this.zeroCopy?.pending === true) {
      const control = this.zeroCopy.take(this.domain);
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
    const skipped = stream ? 0 : this.peekOffset(f);
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

  /** Where a peek begins that is answered with the length of the whole message. */
  private peekOffset(flags: number): number {
    const both = S.MSG_PEEK | S.MSG_TRUNC;
    if ((flags & both) !== both) return 0;
    const got = net.getsockopt(this.hostFd, S.SOL_SOCKET, S.SO_PEEK_OFF, facts, 4);
    return got < 4 ? 0 : Math.max(0, facts.readInt32LE(0));
  }

  override queueLengths(): QueueLengths {
    if (this.type !== S.SOCK_STREAM) {
      // u32[]: SK_MEMINFO_RMEM_ALLOC, RCVBUF, WMEM_ALLOC, …
      const got = net.getsockopt(this.hostFd, S.SOL_SOCKET, S.SO_MEMINFO, facts, facts.length);
      return got < 12 ? { rx: 0, tx: 0 } : { rx: facts.readUInt32LE(0), tx: facts.readUInt32LE(8) };
    }
    // tcpi_unacked and tcpi_sacked of a listener (tcp_get_info)
    if (this.hostState() === TCP_LISTEN) return { rx: facts.readUInt32LE(24), tx: facts.readUInt32LE(28) };
    const rx = hostIoctl(this.hostFd, S.SIOCINQ, word.addr) < 0 ? 0 : word.u32[0]!;
    const tx = hostIoctl(this.hostFd, S.SIOCOUTQ, word.addr) < 0 ? 0 : word.u32[0]!;
    return { rx, tx };
  }

  override getOption(t: CallContext, level: number, name: number, out: Buffer, len: number): number {
    if (isNetfilter(level, name)) return noFilters(t, this.netOwner);
    if (level === S.SOL_SOCKET && isTimeout(name)) return this.options.get(this, false, name, out, len);
    if (this.error !== 0 && level === S.SOL_SOCKET && name === S.SO_ERROR)
      return putInt(out, len, this.takeError());
    if (!mayGet(level, name)) return level === IPPROTO_TCP ? -EINVAL : -ENOPROTOOPT;
    return net.getsockopt(this.hostFd, level, name, out, len, this.readsOption(level, name));
  }

  override readsOption(level: number, name: number): number {
    const v6 = level === IPPROTO_IPV6;
    if (v6 && name === IPV6_FLOWLABEL_MGR) return FLOWLABEL_REQUEST;
    if (name === MCAST_MSFILTER && (v6 || level === IPPROTO_IP)) return GROUP_FILTER;
    return level === IPPROTO_IP && name === IP_MSFILTER ? IP_FILTER : 0;
  }

  override levelError(level: number, set: boolean): number {
    if (level === S.SOL_SOCKET || level === this.protocol) return 0;
    if (this.domain === S.AF_PACKET) return level === SOL_PACKET ? 0 : -ENOPROTOOPT;
    if (level === IPPROTO_IP || (this.raw && (level === SOL_RAW || level === IPPROTO_ICMPV6))) return 0;
    if (level === IPPROTO_IPV6 && this.domain === S.AF_INET6) return 0;
    return set || this.domain === S.AF_INET6 ? -ENOPROTOOPT : -EOPNOTSUPP;
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
    if (level === S.SOL_SOCKET && isTimeout(name)) return this.options.set(t, this, name, value);
    if (isNetfilter(level, name)) return noFilters(t, this.netOwner);
    if (level === IPPROTO_TCP && name === TCP_ULP) return value.length < 1 ? -EINVAL : -ENOENT;
    if (!maySet(level, name)) {
      if (level === IPPROTO_IP || level === IPPROTO_IPV6) return -EPERM;
      return value.length < 4 ? -EINVAL : -ENOPROTOOPT;
    }
    let r = net.setsockopt(this.hostFd, level, name, value);
    if (r === -EPERM && hasRights(t, this.netOwner, level, name))
      r = networkOf(this.net).setOption(this.hostFd, level, name, value);
    if (r === 0 && level === S.SOL_SOCKET && name === S.SO_ZEROCOPY && !this.raw) {
      this.zeroCopyOn = value.readInt32LE(0) !== 0;
      this.zeroCopy ??= new ZeroCopy();
    }
    if (r === 0 && level === IPPROTO_IPV6 && name === IPV6_ADDRFORM) this.domain = S.AF_INET;
    if (r === 0 && level === S.SOL_SOCKET && name === S.SO_LINGER) {
      this.lingerSec = value.readInt32LE(0) !== 0 ? value.readInt32LE(4) : 0;
    }
    return r;
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
    const on = { network: networkOf(this.net), hostFd, owner: this.net?.owner ?? null, domain };
    return netIoctl(t, on, cmd, arg);
  }

  override beginLinger(): number {
    // What nobody has read makes it a reset, at once.
    if (this.lingerSec <= 0 || !this.stream || this.queueLengths().rx > 0) return 0;
    this.watch();
    return net.shutdown(this.hostFd, S.SHUT_RDWR) === 0 ? this.lingerSec * 1e9 : 0;
  }

  /** sk_stream_closing() */
  override get lingering(): boolean {
    return CLOSING_STATES.has(this.hostState());
  }

  protected override release(): void {
    if (this.watched) hostPoller().remove(this.hostFd);
    // The host's close(2) of a lingering socket waits, even of a non-blocking one; the guest's has waited.
    if (this.lingerSec > 0) net.setsockopt(this.hostFd, S.SOL_SOCKET, S.SO_LINGER, new Uint8Array(8));
    close(this.hostFd);
    super.release();
  }
}

function isTimeout(name: number): boolean {
  return (
    name === S.SO_RCVTIMEO ||
    name === S.SO_SNDTIMEO ||
    name === S.SO_RCVTIMEO_NEW ||
    name === S.SO_SNDTIMEO_NEW
  );
}

/** The first port that needs no capability. */
function unprivilegedPorts(ns: NetNamespace | null): number {
  const set = ns?.sysctls.get('net/ipv4/ip_unprivileged_port_start');
  return set === undefined ? PRIVILEGED_PORTS : Number(set);
}

/** Protocols that guests get, by type; 0 means the default one (net/ipv4/af_inet.c inet_create). */
function checkProtocol(t: CallContext, domain: number, type: number, protocol: number): number {
  if (protocol < 0 || protocol >= IPPROTO_MAX) return -EINVAL;
  if (type === S.SOCK_STREAM) return protocol === 0 || protocol === IPPROTO_TCP ? 0 : -EPROTONOSUPPORT;
  if (type === S.SOCK_DGRAM) {
    const icmp = domain === S.AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6;
    const known = protocol === 0 || protocol === IPPROTO_UDP || protocol === IPPROTO_UDPLITE;
    return known || protocol === icmp ? 0 : -EPROTONOSUPPORT;
  }
  if (type !== S.SOCK_RAW) return -ESOCKTNOSUPPORT;
  if (protocol === 0) return -EPROTONOSUPPORT;
  return t.creds.hasIn(CAP_NET_RAW, netNsOf(t)?.owner ?? null) ? 0 : -EPERM;
}

/** Offers AF_INET and AF_INET6 by sockets of the host. */
export function registerHostInet(): void {
  for (const domain of [S.AF_INET, S.AF_INET6]) {
    registerSocketProvider(domain, {
      create(t, type, protocol, flags) {
        const ok = checkProtocol(t, domain, type, protocol);
        if (ok < 0) return ok;
        const fd = networkOf(netNsOf(t)).socket(domain, type, protocol);
        if (fd < 0) return fd;
        const proto = protocol !== 0 ? protocol : type === S.SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP;
        return new HostSocket(t, domain, type, proto, flags, fd);
      },
    });
  }
}
