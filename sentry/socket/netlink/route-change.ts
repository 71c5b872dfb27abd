/**
 * Requests of rtnetlink(7) that change something in a network of a guest's own: loopback up and down, its addresses, routes. Built anew
 * from fields and attributes that are known here; the host's answer is the guest's. Interfaces cannot be made.
 */
import { EINVAL, EOPNOTSUPP, EPERM } from '../../abi/errno.ts';
import type { Network } from '../network.ts';
import { HDR, NLM_F_REQUEST } from './netlink-socket.ts';

const NLM_F_CREATE = 0x400;
/** NLM_F_REPLACE, EXCL, CREATE, APPEND */
const MODIFIERS = 0xf00;
const RTM_NEWLINK = 16;
const RTM_SETLINK = 19;
/** Attributes' values are addresses, names and numbers. */
const VALUE_MAX = 64;

interface Change {
  /** sizeof(struct ifinfomsg), ifaddrmsg, rtmsg */
  readonly fixed: number;
  readonly attrs: readonly number[];
}

/** IFLA_IFNAME MTU TXQLEN */
const LINK: Change = { fixed: 16, attrs: [3, 4, 13] };
/** IFA_ADDRESS LOCAL LABEL BROADCAST ANYCAST CACHEINFO FLAGS RT_PRIORITY PROTO */
const ADDRESS: Change = { fixed: 8, attrs: [1, 2, 3, 4, 5, 6, 8, 9, 11] };
/** RTA_DST SRC OIF GATEWAY PRIORITY PREFSRC TABLE PREF */
const ROUTE: Change = { fixed: 12, attrs: [1, 2, 4, 5, 6, 7, 15, 20] };
const CHANGES = new Map<number, Change>([
  [RTM_NEWLINK, LINK],
  [RTM_SETLINK, LINK],
  [20, ADDRESS],
  [21, ADDRESS],
  [24, ROUTE],
  [25, ROUTE],
]);

/** The guest's request with what is known of it, or −errno. */
function rebuild(m: Buffer, type: number, change: Change): Buffer | number {
  if (m.length < HDR + change.fixed) return -EINVAL;
  const out = Buffer.alloc(m.length);
  m.copy(out, HDR, HDR, HDR + change.fixed);
  let to = HDR + change.fixed;
  for (let at = to; at + 4 <= m.length;) {
    const len = m.readUInt16LE(at);
    if (len < 4 || at + len > m.length) break;
    if (!change.attrs.includes(m.readUInt16LE(at + 2)) || len > VALUE_MAX) return -EOPNOTSUPP;
    m.copy(out, to, at, at + len);
    to += Math.ceil(len / 4) * 4;
    at += Math.ceil(len / 4) * 4;
  }
  out.writeUInt32LE(Math.min(to, out.length), 0);
  // Setting a link is what RTM_NEWLINK does to one that is there, without modifiers (net/core/rtnetlink.c rtnl_setlink).
  const set = type === RTM_SETLINK;
  out.writeUInt16LE(set ? RTM_NEWLINK : type, 4);
  out.writeUInt16LE(NLM_F_REQUEST | (set ? 0 : m.readUInt16LE(6) & MODIFIERS), 6);
  return out.subarray(0, Math.min(to, out.length));
}

/** 0 or −errno. */
export function changeNetwork(network: Network, m: Buffer): number {
  const type = m.readUInt16LE(4);
  const change = CHANGES.get(type);
  if (change === undefined) return -EOPNOTSUPP;
  const built = rebuild(m, type, change);
  if (typeof built === 'number') return built;
  if (type === RTM_NEWLINK && (m.readUInt16LE(6) & NLM_F_CREATE) !== 0) return -EOPNOTSUPP;
  const r = network.change(built);
  return r === -EPERM && type === RTM_NEWLINK && isUpAlready(network, built) ? 0 : r;
}

const RTM_GETLINK = 18;
const IFF_UP = 1;
/** struct ifinfomsg behind the header: family, type, index, flags, change. */
const IFI_FLAGS = HDR + 8;
const IFI_CHANGE = HDR + 12;
const IFINFO_END = HDR + 16;

/** Nothing but "up" is asked for, of an interface that is: engines do so with the loopback of a network that nobody inside may change. */
function isUpAlready(network: Network, m: Buffer): boolean {
  if (m.length !== IFINFO_END || m.readUInt32LE(IFI_CHANGE) !== IFF_UP) return false;
  if ((m.readUInt32LE(IFI_FLAGS) & IFF_UP) === 0) return false;
  const question = Buffer.from(m);
  question.writeUInt16LE(RTM_GETLINK, 4);
  question.writeUInt16LE(NLM_F_REQUEST, 6);
  question.fill(0, IFI_FLAGS, IFINFO_END);
  const [reply] = network.query(question) ?? [];
  return (
    reply !== undefined &&
    reply.length >= IFINFO_END &&
    reply.readUInt16LE(4) === RTM_NEWLINK &&
    (reply.readUInt32LE(IFI_FLAGS) & IFF_UP) !== 0
  );
}
