/**
 * Queries of rtnetlink(7): which there are, and what of them goes to the host: the fixed part and attributes that are known here.
 * What a stricter kernel would refuse (NETLINK_GET_STRICT_CHK) is refused here already, where it is not passed on.
 */
import { EINVAL } from '../../abi/errno.ts';
import { HDR, NLM_F_DUMP, NLM_F_REQUEST } from './netlink-socket.ts';

interface Query {
  /** Size of the fixed part. */
  readonly fixed: number;
  readonly attrs: readonly number[];
}

/** Values are addresses, names, numbers and filters of a few of them. */
const VALUE_MAX = 64;
const NESTED = 0x8000;

/** tcmsg: TCA_KIND, DUMP_INVISIBLE, CHAIN, DUMP_FLAGS */
const TRAFFIC: Query = { fixed: 20, attrs: [1, 10, 11, 15] };

export const QUERIES = new Map<number, Query>([
  // RTM_GETLINK: IFLA_IFNAME, MASTER, LINKINFO, EXT_MASK, ALT_IFNAME
  [18, { fixed: 16, attrs: [3, 10, 18, 29, 53] }],
  // GETADDR
  [22, { fixed: 8, attrs: [] }],
  // GETROUTE: RTA_DST, SRC, IIF, OIF, PREFSRC, TABLE, MARK, UID, IP_PROTO, SPORT, DPORT
  [26, { fixed: 12, attrs: [1, 2, 3, 4, 7, 15, 16, 25, 27, 28, 29] }],
  // GETNEIGH: NDA_DST, IFINDEX, MASTER
  [30, { fixed: 12, attrs: [1, 8, 9] }],
  // GETRULE
  [34, { fixed: 12, attrs: [] }],
  // GETQDISC, GETTCLASS, GETTFILTER, GETCHAIN
  [38, TRAFFIC],
  [42, TRAFFIC],
  [46, TRAFFIC],
  [102, TRAFFIC],
  // GETACTION: TCA_ACT_TAB, ROOT_FLAGS, ROOT_TIME_DELTA
  [50, { fixed: 4, attrs: [1, 2, 4] }],
  // GETMULTICAST, GETANYCAST
  [58, { fixed: 8, attrs: [] }],
  [62, { fixed: 8, attrs: [] }],
  // GETNEIGHTBL
  [66, { fixed: 4, attrs: [] }],
  // GETADDRLABEL: IFAL_ADDRESS
  [74, { fixed: 12, attrs: [1] }],
  // GETNETCONF: NETCONFA_IFINDEX
  [82, { fixed: 4, attrs: [1] }],
  // GETMDB
  [86, { fixed: 8, attrs: [] }],
  // GETNSID: no descriptors and process ids
  [90, { fixed: 4, attrs: [] }],
  // GETSTATS: IFLA_STATS_GET_FILTERS
  [94, { fixed: 12, attrs: [1] }],
  // GETNEXTHOP: NHA_ID, OIF, GROUPS, MASTER, FDB
  [106, { fixed: 8, attrs: [1, 5, 7, 10, 11] }],
  // GETVLAN: BRIDGE_VLANDB_DUMP_FLAGS
  [114, { fixed: 8, attrs: [1] }],
]);

/** The request as it goes to the host, or −errno. */
export function rebuildQuery(
  m: Buffer,
  type: number,
  query: Query,
  dump: boolean,
  strict: boolean,
): Buffer | number {
  const out = Buffer.alloc(HDR + query.fixed + 512);
  m.copy(out, HDR, HDR, Math.min(m.length, HDR + query.fixed));
  // A strict kernel says what it thinks of a short one.
  let to = strict ? Math.min(m.length, HDR + query.fixed) : HDR + query.fixed;
  for (let at = HDR + query.fixed; at + 4 <= m.length;) {
    const len = m.readUInt16LE(at);
    const attr = m.readUInt16LE(at + 2);
    if (len < 4 || at + len > m.length) break;
    const known = query.attrs.includes(attr & ~NESTED) && len <= VALUE_MAX && to + VALUE_MAX <= out.length;
    if (!known && strict) return -EINVAL;
    if (known) {
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
