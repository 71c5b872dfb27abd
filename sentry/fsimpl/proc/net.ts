/**
 * /proc/net (net/*_proc.c; proc_pid_net(5)). Sockets and interfaces are listed by those who implement them, through
 * `netTables`; without them the network is a loopback device.
 */
import { EACCES } from '../../abi/errno.ts';
import { StaticDir } from '../kernfs/dir.ts';
import { IP_EXT, snmp6, TCP_EXT, zeroCounters } from './net-counters.ts';
import { refuseWriters, type KernfsFileOptions } from '../kernfs/file.ts';
import type { NetNamespace } from '../../kernel/namespaces.ts';
import { ProcFile } from './nodes.ts';
import type { ProcSuperBlock } from './super-block.ts';

/** An interface as rtnetlink(7) describes it. */
export interface NetDevice {
  readonly name: string;
  readonly index: number;
  /** Index of the device below or at the other end; its own if there is none. */
  readonly link: number;
  /** ARPHRD_* */
  readonly type: number;
  /** IFF_* */
  readonly flags: number;
  readonly mtu: number;
  readonly txQueueLength: number;
  /** `02:42:ac:11:00:02` */
  readonly address: string;
  readonly broadcast: string;
  /** IF_OPER_* */
  readonly operState: number;
  readonly carrier: number;
  /** Of interfaces of /dev/net/tun: its flags, and who may use it (−1: not set). */
  readonly tun: { readonly flags: number; readonly owner: number; readonly group: number } | null;
  /** struct rtnl_link_stats64, in its order. */
  readonly counters: readonly number[];
}

type Table = ((ns: NetNamespace | null) => string) | null;

/** Lines (with line feeds) below the headings of these files; set by the socket implementations. */
export const netTables: Record<
  | 'unix'
  | 'tcp'
  | 'tcp6'
  | 'udp'
  | 'udp6'
  | 'udplite'
  | 'udplite6'
  | 'icmp'
  | 'icmp6'
  | 'raw'
  | 'raw6'
  | 'packet'
  | 'netlink'
  | 'route'
  | 'arp'
  | 'if_inet6'
  | 'ipv6_route'
  | 'igmp'
  | 'igmp6'
  | 'dev_mcast',
  Table
> & {
  devices: ((ns: NetNamespace | null) => NetDevice[]) | null;
} = {
  unix: null,
  tcp: null,
  tcp6: null,
  udp: null,
  udp6: null,
  udplite: null,
  udplite6: null,
  icmp: null,
  icmp6: null,
  raw: null,
  raw6: null,
  packet: null,
  netlink: null,
  route: null,
  arp: null,
  if_inet6: null,
  ipv6_route: null,
  igmp: null,
  igmp6: null,
  dev_mcast: null,
  devices: null,
};

const INET =
  '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode';
const INET6 =
  '  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode';
const DEV =
  'Inter-|   Receive                                                |  Transmit\n' +
  ' face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n';
/** Tables of what guests cannot make: their headings. */
const NOTHING_THERE: Readonly<Record<string, string>> = {
  anycast6: '',
  ip6_flowlabel: 'Label S Owner  Users  Linger Expires  Dst                              Opt\n',
  ip6_mr_cache:
    'Group                            Origin                           Iif      Pkts  Bytes     Wrong  Oifs\n',
  ip6_mr_vif: 'Interface      BytesIn  PktsIn  BytesOut PktsOut Flags\n',
  ip_mr_cache: 'Group    Origin   Iif     Pkts    Bytes    Wrong Oifs\n',
  ip_mr_vif: 'Interface      BytesIn  PktsIn  BytesOut PktsOut Flags Local    Remote\n',
  mcfilter: 'Idx Device        MCA        SRC    INC    EXC\n',
  mcfilter6: 'Idx Device                Multicast Address                   Source Address    INC    EXC\n',
  rt_cache:
    'Iface\tDestination\tGateway \tFlags\t\tRefCnt\tUse\tMetric\tSource\t\tMTU\tWindow\tIRTT\tTOS\tHHRef\tHHUptod\tSpecDst                          \n',
};
const PTYPE =
  'Type Device      Function\n0800          ip_rcv\n0806          arp_rcv\n86dd          ipv6_rcv\n';
/** Where nobody knows of interfaces. */
const LOOPBACK: NetDevice = {
  name: 'lo',
  index: 1,
  link: 1,
  type: 772,
  flags: 0x10049,
  mtu: 65536,
  txQueueLength: 1000,
  address: '00:00:00:00:00:00',
  broadcast: '00:00:00:00:00:00',
  operState: 0,
  carrier: 1,
  tun: null,
  counters: [],
};

export function deviceList(ns: NetNamespace | null): readonly NetDevice[] {
  const found = netTables.devices?.(ns) ?? [];
  return found.length === 0 ? [LOOPBACK] : found;
}

/** A line of /proc/net/dev (net/core/net-procfs.c dev_seq_printf_stats). */
function deviceLine({ name, counters }: NetDevice): string {
  const c = (...which: number[]): number => which.reduce((sum, i) => sum + (counters[i] ?? 0), 0);
  const columns: [number, number][] = [
    [c(2), 7], [c(0), 7], [c(4), 4], [c(6, 15), 4], [c(14), 4], [c(10, 11, 12, 13), 5], [c(21), 10], [c(8), 9],
    [c(3), 8], [c(1), 7], [c(5), 4], [c(7), 4], [c(18), 4], [c(9), 5], [c(17, 16, 20, 19), 7], [c(22), 10],
  ]; // prettier-ignore
  return `${name.padStart(6)}: ${columns.map(([v, width]) => String(v).padStart(width)).join(' ')}\n`;
}

/** Files of one piece can be opened for writing, the others not (fs/proc/proc_net.c proc_simple_write, seq_open_net). */
const NET_SINGLE: ReadonlySet<string> = new Set([
  'fib_triestat',
  'netstat',
  'rt6_stats',
  'snmp',
  'snmp6',
  'sockstat',
  'sockstat6',
]);
const SINGLE: KernfsFileOptions = { store: () => -EACCES };

/** The network namespace `ns` as seen below `sb`. */
export function makeNetDir(sb: ProcSuperBlock, ns: NetNamespace | null): StaticDir {
  const dir = new StaticDir(sb, 0o555);
  const add = (name: string, text: () => string): void => {
    dir.add(name, new ProcFile(sb, 0o444, text, NET_SINGLE.has(name) ? SINGLE : { onOpen: refuseWriters }));
  };
  add(
    'arp',
    () =>
      `IP address       HW type     Flags       HW address            Mask     Device\n${netTables.arp?.(ns) ?? ''}`,
  );
  add('dev', () => DEV + deviceList(ns).map(deviceLine).join(''));
  add('dev_mcast', () => netTables.dev_mcast?.(ns) ?? '');
  add('if_inet6', () => netTables.if_inet6?.(ns) ?? '');
  add(
    'igmp',
    () => `Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n${netTables.igmp?.(ns) ?? ''}`,
  );
  add('igmp6', () => netTables.igmp6?.(ns) ?? '');
  for (const [name, text] of Object.entries(NOTHING_THERE)) add(name, () => text);
  add('netstat', () => zeroCounters('TcpExt', TCP_EXT) + zeroCounters('IpExt', IP_EXT));
  add('snmp6', snmp6);
  add('ipv6_route', () => netTables.ipv6_route?.(ns) ?? '');
  add(
    'netlink',
    () =>
      'sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n' +
      (netTables.netlink?.(ns) ?? ''),
  );
  add(
    'packet',
    () =>
      'sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n' + (netTables.packet?.(ns) ?? ''),
  );
  add('protocols', () => PROTOCOLS);
  dir.add('psched', new ProcFile(sb, 0o444, () => '000003e8 00000040 000f4240 3b9aca00\n'));
  add('ptype', () => PTYPE);
  add('raw', () => `${INET} ref pointer drops\n${netTables.raw?.(ns) ?? ''}`);
  add('raw6', () => `${INET6} ref pointer drops\n${netTables.raw6?.(ns) ?? ''}`);
  add('route', () => netTables.route?.(ns) ?? '');
  add('snmp', () => snmp(ns));
  add('sockstat', () => sockstat(ns));
  add('sockstat6', () => sockstat6(ns));
  add('tcp', () => `${INET.padEnd(149)}\n${netTables.tcp?.(ns) ?? ''}`);
  add('tcp6', () => `${INET6}\n${netTables.tcp6?.(ns) ?? ''}`);
  add('udp', () => `${` ${INET} ref pointer drops`.padEnd(127)}\n${netTables.udp?.(ns) ?? ''}`);
  add('udp6', () => `${INET6} ref pointer drops\n${netTables.udp6?.(ns) ?? ''}`);
  add('udplite', () => `${` ${INET} ref pointer drops`.padEnd(127)}\n${netTables.udplite?.(ns) ?? ''}`);
  add('udplite6', () => `${INET6} ref pointer drops\n${netTables.udplite6?.(ns) ?? ''}`);
  add('icmp', () => `${`${INET} ref pointer drops`.padEnd(127)}\n${netTables.icmp?.(ns) ?? ''}`);
  add('icmp6', () => `${INET6} ref pointer drops\n${netTables.icmp6?.(ns) ?? ''}`);
  add('unix', () => `Num       RefCount Protocol Flags    Type St Inode Path\n${netTables.unix?.(ns) ?? ''}`);
  return dir;
}

function lines(ns: NetNamespace | null, table: Table): number {
  const text = table?.(ns) ?? '';
  let n = 0;
  for (let i = text.indexOf('\n'); i >= 0; i = text.indexOf('\n', i + 1)) n++;
  return n;
}

/** net/ipv4/proc.c sockstat_seq_show() */
function sockstat(ns: NetNamespace | null): string {
  const t = netTables;
  const tcp = lines(ns, t.tcp);
  const udp = lines(ns, t.udp);
  const others = [t.tcp6, t.udp6, t.udplite, t.udplite6, t.icmp, t.icmp6, t.raw, t.raw6, t.packet, t.unix];
  const used = others.reduce((sum, table) => sum + lines(ns, table), tcp + udp);
  return (
    `sockets: used ${used}\nTCP: inuse ${tcp} orphan 0 tw 0 alloc ${tcp + lines(ns, t.tcp6)} mem 0\n` +
    `UDP: inuse ${udp} mem 0\nUDPLITE: inuse ${lines(ns, t.udplite)}\nRAW: inuse ${lines(ns, t.raw)}\nFRAG: inuse 0 memory 0\n`
  );
}

function sockstat6(ns: NetNamespace | null): string {
  const t = netTables;
  return (
    `TCP6: inuse ${lines(ns, t.tcp6)}\nUDP6: inuse ${lines(ns, t.udp6)}\nUDPLITE6: inuse ${lines(ns, t.udplite6)}\n` +
    `RAW6: inuse ${lines(ns, t.raw6)}\nFRAG6: inuse 0 memory 0\n`
  );
}

const PROTOCOLS =
  'protocol  size sockets  memory press maxhdr  slab module     cl co di ac io in de sh ss gs se re bi br ha uh gp em\n';

/** Headings and values pair by position; packets are not counted. */
const SNMP_FIELDS: readonly (readonly [string, string, string])[] = [
  [
    'Ip',
    'Forwarding DefaultTTL InReceives InHdrErrors InAddrErrors ForwDatagrams InUnknownProtos InDiscards InDelivers OutRequests OutDiscards OutNoRoutes ReasmTimeout ReasmReqds ReasmOKs ReasmFails FragOKs FragFails FragCreates OutTransmits',
    '2 64',
  ],
  [
    'Icmp',
    'InMsgs InErrors InCsumErrors InDestUnreachs InTimeExcds InParmProbs InSrcQuenchs InRedirects InEchos InEchoReps InTimestamps InTimestampReps InAddrMasks InAddrMaskReps OutMsgs OutErrors OutRateLimitGlobal OutRateLimitHost OutDestUnreachs OutTimeExcds OutParmProbs OutSrcQuenchs OutRedirects OutEchos OutEchoReps OutTimestamps OutTimestampReps OutAddrMasks OutAddrMaskReps',
    '',
  ],
  [
    'Tcp',
    'RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets CurrEstab InSegs OutSegs RetransSegs InErrs OutRsts InCsumErrors',
    '1 200 120000 -1',
  ],
  [
    'Udp',
    'InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti MemErrors',
    '',
  ],
  [
    'UdpLite',
    'InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti MemErrors',
    '',
  ],
];

const TCP_ESTABLISHED = '01';
const TCP_CLOSE_WAIT = '08';

/** TCP_MIB_CURRESTAB: connections among the lines of a table. */
function established(ns: NetNamespace | null, table: Table): number {
  let n = 0;
  for (const line of (table?.(ns) ?? '').split('\n')) {
    const state = line.trim().split(' ')[3];
    if (state === TCP_ESTABLISHED || state === TCP_CLOSE_WAIT) n++;
  }
  return n;
}

function snmp(ns: NetNamespace | null): string {
  const connections = established(ns, netTables.tcp) + established(ns, netTables.tcp6);
  return SNMP_FIELDS.map(([name, fields, known]) => {
    const names = fields.split(' ');
    const values = known === '' ? [] : known.split(' ');
    while (values.length < names.length) {
      values.push(names[values.length] === 'CurrEstab' ? String(connections) : '0');
    }
    return `${name}: ${fields}\n${name}: ${values.join(' ')}\n`;
  }).join('');
}
