/**
 * Requests of rtnetlink(7) that change something in a network that guests may change: links, addresses, routes, rules, neighbours. Built
 * anew from fields and attributes that are known here (link-attributes.ts); the host's answer is the guest's.
 */
import { EBADF, EINVAL, ENODEV, EOPNOTSUPP, EPERM, ESRCH } from '../../abi/errno.ts';
import { CAP_NET_ADMIN } from '../../auth/capability.ts';
import { NsFile } from '../../fsimpl/proc/ns.ts';
import type { NetNamespace } from '../../kernel/namespaces.ts';
import type { Task } from '../../kernel/task.ts';
import { networkOf, type Network } from '../network.ts';
import {
  ADDRESS,
  isKind,
  kindOf,
  knownAttributes,
  LINK,
  NAMESPACE,
  NEIGHBOUR,
  ROUTE,
  RULE,
  type AttributeSet,
} from './link-attributes.ts';
import { nlattr } from './attribute.ts';
import { HDR, NLM_F_ACK_TLVS, NLM_F_REQUEST, NLMSG_ERROR } from './netlink-socket.ts';

/** NLM_F_REPLACE, EXCL, CREATE, APPEND */
const MODIFIERS = 0xf00;
const RTM_NEWLINK = 16;
const RTM_SETLINK = 19;
/** Asked of whoever has the namespaces' descriptors. */
export const RTM_GETNSID = 90;

const NLM_F_CREATE = 0x400;
const NLMSGERR_ATTR_MSG = 1;
const IFLA_IFNAME = 3;
const IFLA_LINKINFO = 18;
const TYPE_MASK = 0x3fff;
const NOTHING = Buffer.alloc(0);
const UNKNOWN_KIND = 'Unknown device type';
const RTM_GETLINK = 18;
const IFF_UP = 1;
/** struct ifinfomsg behind the header: family, type, index, flags, change. */
const IFI_INDEX = HDR + 4;
const IFI_FLAGS = HDR + 8;
const IFI_CHANGE = HDR + 12;
const IFINFO_END = HDR + 16;

interface Change {
  /** sizeof(struct ifinfomsg), ifaddrmsg, rtmsg, ndmsg, fib_rule_hdr */
  readonly fixed: number;
  readonly attrs: AttributeSet;
}

const CHANGES = new Map<number, Change>([
  [RTM_NEWLINK, { fixed: 16, attrs: LINK }],
  // DELLINK
  [17, { fixed: 16, attrs: LINK }],
  [RTM_SETLINK, { fixed: 16, attrs: LINK }],
  // NEWADDR, DELADDR
  [20, { fixed: 8, attrs: ADDRESS }],
  [21, { fixed: 8, attrs: ADDRESS }],
  // NEWROUTE, DELROUTE
  [24, { fixed: 12, attrs: ROUTE }],
  [25, { fixed: 12, attrs: ROUTE }],
  // NEWNEIGH, DELNEIGH
  [28, { fixed: 12, attrs: NEIGHBOUR }],
  [29, { fixed: 12, attrs: NEIGHBOUR }],
  // NEWRULE, DELRULE
  [32, { fixed: 12, attrs: RULE }],
  [33, { fixed: 12, attrs: RULE }],
  // NEWNSID, GETNSID
  [88, { fixed: 4, attrs: NAMESPACE }],
  [RTM_GETNSID, { fixed: 4, attrs: NAMESPACE }],
  // NEWLINKPROP, DELLINKPROP
  [108, { fixed: 16, attrs: LINK }],
  [109, { fixed: 16, attrs: LINK }],
]);

/** rtnl_link_get_net_capable(): the network that a request of `t` names. */
function findNetwork(t: Task, type: number, value: number, byPid: boolean): number {
  let ns: NetNamespace;
  if (byPid) {
    const other = t.pidNs.findTask(value);
    if (other === null) return -ESRCH;
    ns = other.ns.net;
  } else {
    const f = t.fdTable.get(value);
    if (f === null) return -EBADF;
    if (!(f instanceof NsFile) || f.ns.kind !== 'net') return -EINVAL;
    ns = f.ns.namespace as NetNamespace;
  }
  const may = type === RTM_GETNSID || t.creds.hasIn(CAP_NET_ADMIN, ns.owner);
  return may ? networkOf(ns).reference() : -EPERM;
}

/** An NLMSG_ERROR that says more than its number. */
function refusal(errno: number, text: string): Buffer {
  const head = Buffer.alloc(HDR + 4 + HDR);
  head.writeInt32LE(-errno, HDR);
  const b = Buffer.concat([head, nlattr(NLMSGERR_ATTR_MSG, Buffer.from(`${text}\0`))]);
  b.writeUInt32LE(b.length, 0);
  b.writeUInt16LE(NLMSG_ERROR, 4);
  b.writeUInt16LE(NLM_F_ACK_TLVS, 6);
  return b;
}

/** The value of an attribute of a request about links; null: it is not there. */
function linkAttribute(m: Buffer, type: number): Buffer | null {
  for (let at = IFINFO_END; at + 4 <= m.length;) {
    const length = m.readUInt16LE(at);
    if (length < 4 || at + length > m.length) break;
    if ((m.readUInt16LE(at + 2) & TYPE_MASK) === type) return m.subarray(at + 4, at + length);
    at += Math.ceil(length / 4) * 4;
  }
  return null;
}

/** A link that is to be made if it is not there, of a kind that nobody knows: there is nothing to make (__rtnl_newlink). */
function withoutKind(m: Buffer): boolean {
  return (
    (m.readUInt16LE(6) & NLM_F_CREATE) !== 0 && !isKind(kindOf(linkAttribute(m, IFLA_LINKINFO) ?? NOTHING))
  );
}

/** The guest's request with what is known of it, or −errno. */
function rebuild(t: Task, m: Buffer, type: number, change: Change): Buffer | number {
  const end = HDR + change.fixed;
  const attrs = knownAttributes(m.subarray(end), change.attrs, (value, byPid) =>
    findNetwork(t, type, value, byPid),
  );
  if (typeof attrs === 'number') return attrs;
  const out = Buffer.concat([m.subarray(0, end), attrs]);
  out.writeUInt32LE(out.length, 0);
  // Setting a link is what RTM_NEWLINK does to one that is there, without modifiers (net/core/rtnetlink.c rtnl_setlink).
  const set = type === RTM_SETLINK;
  out.writeUInt16LE(set ? RTM_NEWLINK : type, 4);
  out.writeUInt16LE(NLM_F_REQUEST | (set ? 0 : m.readUInt16LE(6) & MODIFIERS), 6);
  out.fill(0, 8, HDR);
  return out;
}

/** The host's answer, NLMSG_ERROR but for RTM_GETNSID, or −errno. */
export function changeNetwork(t: Task, network: Network, m: Buffer): Buffer | number {
  const type = m.readUInt16LE(4);
  const change = CHANGES.get(type);
  if (change === undefined) return -EOPNOTSUPP;
  if (m.length < HDR + change.fixed)
    return refusal(EINVAL, change.attrs === RULE ? 'Invalid msg length' : 'Invalid header length');
  const noKind = type === RTM_NEWLINK && withoutKind(m);
  const named =
    m.length >= IFINFO_END && (m.readInt32LE(IFI_INDEX) !== 0 || linkAttribute(m, IFLA_IFNAME) !== null);
  const namesKind = noKind && linkAttribute(m, IFLA_LINKINFO) !== null;
  if (noKind && (namesKind || !named)) return refusal(EOPNOTSUPP, UNKNOWN_KIND);
  const built = rebuild(t, m, type, change);
  if (typeof built === 'number') return built;
  if (noKind) built.writeUInt16LE(built.readUInt16LE(6) & ~NLM_F_CREATE, 6);
  const r = network.change(built);
  if (noKind && typeof r !== 'number' && r.readInt32LE(HDR) === -ENODEV)
    return refusal(EOPNOTSUPP, UNKNOWN_KIND);
  return r === -EPERM && type === RTM_NEWLINK && isUpAlready(network, built) ? 0 : r;
}

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
