/**
 * RouteSocket: AF_NETLINK, NETLINK_ROUTE for queries (netlink(7), rtnetlink(7)): what getaddrinfo(3), getifaddrs(3), ip(8) and
 * language run-times ask for. Requests are built anew from the guest's fields and answered by the host kernel in the
 * sandbox's network namespace; changes are refused.
 */
import {
  EADDRINUSE,
  EAGAIN,
  ECONNREFUSED,
  EINVAL,
  ENOPROTOOPT,
  EOPNOTSUPP,
  EPERM,
  EPROTONOSUPPORT,
  ESOCKTNOSUPPORT,
} from '../../abi/errno.ts';
import * as S from '../../abi/socket.ts';
import { routeQuery } from '../../host/route.ffi.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import { EPOLLIN, EPOLLOUT, EPOLLRDNORM, EPOLLWRNORM } from '../../waiter/wait-queue.ts';
import { SocketOptions } from '../options.ts';
import { registerSocketProvider } from '../providers.ts';
import { Socket, type RecvInfo, type SendInfo } from '../socket.ts';

const SOL_NETLINK = 270;
const HDR = 16;
const NLMSG_NOOP = 1;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLM_F_REQUEST = 1;
const NLM_F_MULTI = 2;
const NLM_F_ACK = 4;
const NLM_F_DUMP = 0x300;
const RTM_BASE = 16;
const RTM_MAX = 123;
/** RTM_GETLINK, GETADDR, GETROUTE, GETNEIGH, GETRULE: size of the fixed part, attributes that go along. */
const QUERIES = new Map<number, { fixed: number; attrs: readonly number[] }>([
  [18, { fixed: 16, attrs: [3, 29] }],
  [22, { fixed: 8, attrs: [] }],
  [26, { fixed: 12, attrs: [1, 2, 4, 15] }],
  [30, { fixed: 12, attrs: [] }],
  [34, { fixed: 12, attrs: [] }],
]);
/** Unread bytes after which requests are refused. */
const QUEUE_MAX = 1024 * 1024;
const SOCKADDR_NL = 12;

const usedPorts = new Set<number>();
let nextPort = 0x80000000;

function address(port: number, groups: number): Uint8Array {
  const b = Buffer.alloc(SOCKADDR_NL);
  b.writeUInt16LE(S.AF_NETLINK, 0);
  b.writeUInt32LE(port >>> 0, 4);
  b.writeUInt32LE(groups >>> 0, 8);
  return b;
}

export class RouteSocket extends Socket {
  private readonly options = new SocketOptions();
  private port = 0;
  private groups = 0;
  private queue: Buffer[] = [];
  private queued = 0;

  override get messages(): boolean {
    return true;
  }

  override bind(t: CallContext, addr: Uint8Array): number {
    if (addr.length < SOCKADDR_NL || addr[0] !== S.AF_NETLINK) return -EINVAL;
    const b = Buffer.from(addr);
    const port = b.readUInt32LE(4);
    this.groups = b.readUInt32LE(8);
    if (this.port !== 0) return port !== 0 && port !== this.port ? -EINVAL : 0;
    if (port === 0) {
      this.autobind(t);
      return 0;
    }
    if (usedPorts.has(port)) return -EADDRINUSE;
    usedPorts.add(port);
    this.port = port;
    return 0;
  }

  /** netlink_autobind(): the process id if it is free. */
  private autobind(t: CallContext): void {
    if (this.port !== 0) return;
    let port = t.tgid;
    while (usedPorts.has(port)) port = nextPort++;
    usedPorts.add(port);
    this.port = port;
  }

  override connect(t: CallContext, addr: Uint8Array): number {
    if (addr.length < SOCKADDR_NL || addr[0] !== S.AF_NETLINK) return -EINVAL;
    if (Buffer.from(addr).readUInt32LE(4) !== 0) return -EPERM;
    this.autobind(t);
    return 0;
  }

  override getName(peer: boolean): Uint8Array {
    return peer ? address(0, 0) : address(this.port, this.groups);
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
      this.request(b.subarray(at, at + size));
      at += Math.ceil(size / 4) * 4;
    }
    return len;
  }

  /** One message of the guest, header first. */
  private request(m: Buffer): void {
    const type = m.readUInt16LE(4);
    const flags = m.readUInt16LE(6);
    if ((flags & NLM_F_REQUEST) === 0 || type <= NLMSG_NOOP) return;
    if (type < RTM_BASE || type > RTM_MAX) return this.error(m, type < RTM_BASE ? 0 : EOPNOTSUPP);
    const query = QUERIES.get(type);
    if (query === undefined) return this.error(m, (type & 3) === 2 ? EOPNOTSUPP : EPERM);
    const dump = (flags & NLM_F_DUMP) === NLM_F_DUMP;
    const built = rebuild(m, type, query, dump);
    const replies = routeQuery(built);
    if (replies === null) {
      if (dump) this.done(m);
      else this.error(m, EOPNOTSUPP);
      return;
    }
    const seq = m.readUInt32LE(8);
    let failed = false;
    for (const r of replies) {
      for (let at = 0; at + HDR <= r.length;) {
        r.writeUInt32LE(seq, at + 8);
        r.writeUInt32LE(this.port >>> 0, at + 12);
        failed ||= r.readUInt16LE(at + 4) === NLMSG_ERROR;
        at += Math.max(HDR, Math.ceil(r.readUInt32LE(at) / 4) * 4);
      }
      this.push(r);
    }
    if (!dump && !failed && (flags & NLM_F_ACK) !== 0) this.error(m, 0);
  }

  /** struct nlmsgerr: the error and the request's header. */
  private error(m: Buffer, errno: number): void {
    const b = Buffer.alloc(HDR + 4 + HDR);
    this.header(b, NLMSG_ERROR, 0, m);
    b.writeInt32LE(-errno, HDR);
    m.copy(b, HDR + 4, 0, HDR);
    this.push(b);
  }

  private done(m: Buffer): void {
    const b = Buffer.alloc(HDR + 4);
    this.header(b, NLMSG_DONE, NLM_F_MULTI, m);
    this.push(b);
  }

  private header(b: Buffer, type: number, flags: number, request: Buffer): void {
    b.writeUInt32LE(b.length, 0);
    b.writeUInt16LE(type, 4);
    b.writeUInt16LE(flags, 6);
    b.writeUInt32LE(request.readUInt32LE(8), 8);
    b.writeUInt32LE(this.port >>> 0, 12);
  }

  private push(b: Buffer): void {
    this.queue.push(b);
    this.queued += b.length;
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
    const m = this.queue[0];
    if (m === undefined) return -EAGAIN;
    const n = Math.min(len, m.length);
    m.copy(buf, off, 0, n);
    if (info !== null) {
      info.name = address(0, 0);
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
    return (this.queue.length > 0 ? EPOLLIN | EPOLLRDNORM : 0) | EPOLLOUT | EPOLLWRNORM;
  }

  override getOption(_t: CallContext, level: number, name: number, out: Buffer, len: number): number {
    if (level === SOL_NETLINK) return Math.min(len, 4);
    return level === S.SOL_SOCKET ? this.options.get(this, false, name, out, len) : -ENOPROTOOPT;
  }

  /** Memberships and reporting details are accepted: nothing changes that could be reported. */
  override setOption(t: CallContext, level: number, name: number, value: Buffer): number {
    if (level === SOL_NETLINK) return 0;
    return level === S.SOL_SOCKET ? this.options.set(t, this, name, value) : -ENOPROTOOPT;
  }

  protected override release(): void {
    if (this.port !== 0) usedPorts.delete(this.port);
  }
}

/** The request as it goes to the host: known fixed part, known attributes, flags of a query. */
function rebuild(
  m: Buffer,
  type: number,
  query: { fixed: number; attrs: readonly number[] },
  dump: boolean,
): Buffer {
  const out = Buffer.alloc(HDR + query.fixed + 512);
  m.copy(out, HDR, HDR, Math.min(m.length, HDR + query.fixed));
  let to = HDR + query.fixed;
  for (let at = HDR + query.fixed; at + 4 <= m.length;) {
    const len = m.readUInt16LE(at);
    const attr = m.readUInt16LE(at + 2) & 0x3fff;
    if (len < 4 || at + len > m.length) break;
    if (query.attrs.includes(attr) && len <= 64 && to + 64 <= out.length) {
      m.copy(out, to, at, at + len);
      to += Math.ceil(len / 4) * 4;
    }
    at += Math.ceil(len / 4) * 4;
  }
  out.writeUInt32LE(to, 0);
  out.writeUInt16LE(type, 4);
  out.writeUInt16LE(NLM_F_REQUEST | (dump ? NLM_F_DUMP : 0), 6);
  return out.subarray(0, to);
}

/** Offers AF_NETLINK with NETLINK_ROUTE. */
export function registerNetlink(): void {
  registerSocketProvider(S.AF_NETLINK, {
    create(t, type, protocol, flags) {
      if (type !== S.SOCK_RAW && type !== S.SOCK_DGRAM) return -ESOCKTNOSUPPORT;
      return protocol === 0 ? new RouteSocket(t, S.AF_NETLINK, type, 0, flags) : -EPROTONOSUPPORT;
    },
  });
}
