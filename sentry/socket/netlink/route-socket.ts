/**
 * RouteSocket: NETLINK_ROUTE for queries (rtnetlink(7)): what getaddrinfo(3), getifaddrs(3), ip(8) and language run-times ask
 * for. Requests are built anew from the guest's fields and answered by the host kernel in the socket's network namespace;
 * changes are a guest's in networks of its own only (route-change.ts).
 */
import { EOPNOTSUPP, EPERM, EPROTONOSUPPORT, ESOCKTNOSUPPORT } from '../../abi/errno.ts';
import * as S from '../../abi/socket.ts';
import { CAP_NET_ADMIN } from '../../auth/capability.ts';
import type { Task } from '../../kernel/task.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import { networkOf, type NetworkWatcher } from '../network.ts';
import { registerSocketProvider } from '../providers.ts';
import type { RecvInfo } from '../socket.ts';
import { changeNetwork, RTM_GETNSID } from './route-change.ts';
import { DiagSocket } from './diag-socket.ts';
import { GenericSocket } from './generic-socket.ts';
import { UeventSocket } from './uevent-socket.ts';
import { UserSocket } from './user-socket.ts';
import { QUERIES, rebuildQuery } from './route-query.ts';
import { HDR, NetlinkSocket, NLM_F_ACK, NLM_F_ACK_TLVS, NLM_F_DUMP, NLMSG_DONE, NLMSG_ERROR } from './netlink-socket.ts'; // prettier-ignore

const NETLINK_ROUTE = 0;
const NETLINK_USERSOCK = 2;
const NETLINK_SOCK_DIAG = 4;
const NETLINK_KOBJECT_UEVENT = 15;
const NETLINK_GENERIC = 16;
/** The highest group of the kernels that answer, newer than many headers. */
const ROUTE_GROUPS = 38;
const RTM_MAX = 123;
class RouteSocket extends NetlinkSocket implements NetworkWatcher {
  protected override get groupCount(): number {
    return ROUTE_GROUPS;
  }

  protected override groupsChanged(): void {
    const network = networkOf(this.net);
    if (this.groups.size > 0) network.watch(this);
    else network.unwatch(this);
  }

  networkChanged(data: Buffer, group: number): void {
    if (!this.isMember(group)) return;
    const copy = Buffer.from(data);
    // Whose request it was is a matter of the host.
    copy.writeUInt32LE(0, 12);
    this.deliver(copy, group);
  }

  override poll(): number {
    if (this.groups.size > 0) networkOf(this.net).tellWatchers();
    return super.poll();
  }

  override recv(
    t: CallContext,
    buf: Uint8Array,
    off: number,
    len: number,
    flags: number,
    info: RecvInfo | null,
  ): number {
    if (this.groups.size > 0) networkOf(this.net).tellWatchers();
    return super.recv(t, buf, off, len, flags, info);
  }

  /** One message of the guest, header first. */
  protected override request(t: CallContext, m: Buffer): void {
    const type = m.readUInt16LE(4);
    const flags = m.readUInt16LE(6);
    if (type > RTM_MAX) return this.error(m, EOPNOTSUPP);
    // All have a family at least (rtnetlink_rcv_msg).
    if (m.length === HDR) {
      if ((flags & NLM_F_ACK) !== 0) this.error(m, 0);
      return;
    }
    const query = QUERIES.get(type);
    if (type === RTM_GETNSID && (flags & NLM_F_DUMP) === 0) {
      const r = changeNetwork(t as Task, networkOf(this.net), m);
      if (typeof r === 'number') this.error(m, -r);
      else if (!this.reply(m, r) && (flags & NLM_F_ACK) !== 0) this.error(m, 0);
      return;
    }
    if (query === undefined) {
      if ((type & 3) === 2) return this.error(m, EOPNOTSUPP);
      const may = t.creds.hasIn(CAP_NET_ADMIN, this.net?.owner ?? null);
      const r = may ? changeNetwork(t as Task, networkOf(this.net), m) : -EPERM;
      this.changed(m, r, (flags & NLM_F_ACK) !== 0);
      return;
    }
    const dump = (flags & NLM_F_DUMP) !== 0;
    const built = rebuildQuery(m, type, query, dump, this.strict);
    if (typeof built === 'number') return this.error(m, -built);
    const replies = networkOf(this.net).query(built, this.strict);
    if (replies === null) {
      if (dump) this.done(m);
      else this.error(m, EOPNOTSUPP);
      return;
    }
    let failed = false;
    for (const r of replies) failed = this.reply(m, r) || failed;
    if (!dump && !failed && (flags & NLM_F_ACK) !== 0) this.error(m, 0);
  }

  /** Tells of a change: `r`: the host's NLMSG_ERROR or −errno. */
  private changed(m: Buffer, r: Buffer | number, ack: boolean): void {
    const errno = typeof r === 'number' ? -r : -r.readInt32LE(HDR);
    if (errno === 0 && !ack) return;
    this.error(m, errno, typeof r === 'number' ? null : saidMore(r, 0));
  }

  /** Hands on a datagram of the host's answer, addressed anew: true if it is an error. */
  private reply(m: Buffer, r: Buffer): boolean {
    for (let at = 0; at + HDR <= r.length;) {
      const type = r.readUInt16LE(at + 4);
      if (type === NLMSG_ERROR) {
        this.error(m, -r.readInt32LE(at + HDR), saidMore(r, at));
        return true;
      }
      r.writeUInt32LE(m.readUInt32LE(8), at + 8);
      r.writeUInt32LE(this.port >>> 0, at + 12);
      if (type === NLMSG_DONE && !this.extendedAcks && (r.readUInt16LE(at + 6) & NLM_F_ACK_TLVS) !== 0) {
        r.writeUInt16LE(r.readUInt16LE(at + 6) & ~NLM_F_ACK_TLVS, at + 6);
        r.writeUInt32LE(HDR + 4, at);
        r = r.subarray(0, at + HDR + 4);
      }
      at += Math.max(HDR, Math.ceil(r.readUInt32LE(at) / 4) * 4);
    }
    this.push(r);
    return false;
  }
}

/** Attributes of the NLMSG_ERROR at `at`, which repeats but the header of what was asked. */
function saidMore(r: Buffer, at: number): Buffer | null {
  const told = (r.readUInt16LE(at + 6) & NLM_F_ACK_TLVS) !== 0;
  return told ? r.subarray(at + HDR + 4 + HDR, at + r.readUInt32LE(at)) : null;
}

/** Offers AF_NETLINK with NETLINK_ROUTE, USERSOCK, SOCK_DIAG, GENERIC and KOBJECT_UEVENT. */
export function registerNetlink(): void {
  registerSocketProvider(S.AF_NETLINK, {
    create(t, type, protocol, flags) {
      if (type !== S.SOCK_RAW && type !== S.SOCK_DGRAM) return -ESOCKTNOSUPPORT;
      if (protocol === NETLINK_ROUTE) return new RouteSocket(t, S.AF_NETLINK, type, protocol, flags);
      if (protocol === NETLINK_GENERIC) return new GenericSocket(t, S.AF_NETLINK, type, protocol, flags);
      if (protocol === NETLINK_KOBJECT_UEVENT)
        return new UeventSocket(t, S.AF_NETLINK, type, protocol, flags);
      if (protocol === NETLINK_USERSOCK) return new UserSocket(t, S.AF_NETLINK, type, protocol, flags);
      if (protocol === NETLINK_SOCK_DIAG) return new DiagSocket(t, S.AF_NETLINK, type, protocol, flags);
      return -EPROTONOSUPPORT;
    },
  });
}
