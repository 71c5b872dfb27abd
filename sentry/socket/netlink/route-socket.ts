/**
 * RouteSocket: NETLINK_ROUTE for queries (rtnetlink(7)): what getaddrinfo(3), getifaddrs(3), ip(8) and language run-times ask
 * for. Requests are built anew from the guest's fields and answered by the host kernel in the socket's network namespace;
 * changes are a guest's in networks of its own only (route-change.ts).
 */
import { EOPNOTSUPP, EPERM, EPROTONOSUPPORT, ESOCKTNOSUPPORT } from '../../abi/errno.ts';
import * as S from '../../abi/socket.ts';
import { CAP_NET_ADMIN } from '../../auth/capability.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import { networkOf } from '../network.ts';
import { registerSocketProvider } from '../providers.ts';
import { changeNetwork } from './route-change.ts';
import { DiagSocket } from './diag-socket.ts';
import { HDR, NetlinkSocket, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST } from './netlink-socket.ts';

const NETLINK_ROUTE = 0;
const NETLINK_SOCK_DIAG = 4;
const NLMSG_NOOP = 1;
const NLMSG_ERROR = 2;
/** The highest group of the kernels that answer, newer than many headers. */
const ROUTE_GROUPS = 38;
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

export class RouteSocket extends NetlinkSocket {
  protected override get groupCount(): number {
    return ROUTE_GROUPS;
  }

  /** One message of the guest, header first. */
  protected override request(t: CallContext, m: Buffer): void {
    const type = m.readUInt16LE(4);
    const flags = m.readUInt16LE(6);
    if ((flags & NLM_F_REQUEST) === 0 || type <= NLMSG_NOOP) return;
    if (type < RTM_BASE || type > RTM_MAX) return this.error(m, type < RTM_BASE ? 0 : EOPNOTSUPP);
    const query = QUERIES.get(type);
    if (query === undefined) {
      if ((type & 3) === 2) return this.error(m, EOPNOTSUPP);
      const may = t.creds.hasIn(CAP_NET_ADMIN, this.net?.owner ?? null);
      const r = may ? changeNetwork(networkOf(this.net), m) : -EPERM;
      if (r !== 0 || (flags & NLM_F_ACK) !== 0) this.error(m, -r);
      return;
    }
    const dump = (flags & NLM_F_DUMP) === NLM_F_DUMP;
    const built = rebuild(m, type, query, dump);
    const replies = networkOf(this.net).query(built);
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

/** Offers AF_NETLINK with NETLINK_ROUTE and NETLINK_SOCK_DIAG. */
export function registerNetlink(): void {
  registerSocketProvider(S.AF_NETLINK, {
    create(t, type, protocol, flags) {
      if (type !== S.SOCK_RAW && type !== S.SOCK_DGRAM) return -ESOCKTNOSUPPORT;
      if (protocol === NETLINK_ROUTE) return new RouteSocket(t, S.AF_NETLINK, type, protocol, flags);
      if (protocol === NETLINK_SOCK_DIAG) return new DiagSocket(t, S.AF_NETLINK, type, protocol, flags);
      return -EPROTONOSUPPORT;
    },
  });
}
