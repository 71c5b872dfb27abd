/**
 * /proc/net (net/*_proc.c; proc_pid_net(5)). What a network's interfaces, routes and counters are the host's own files say, for the
 * network is one of the host's; sockets are listed by those who implement them (`netTables`).
 */
import { EACCES } from '../../abi/errno.ts';
import { DT_REG } from '../../abi/stat.ts';
import { AF_NETLINK, AF_PACKET, AF_UNIX, SOCK_STREAM } from '../../abi/socket.ts';
import type { Inode } from '../../vfs/inode.ts';
import { StaticDir } from '../kernfs/dir.ts';
import { refuseWriters, type KernfsFileOptions } from '../kernfs/file.ts';
import type { NetNamespace } from '../../kernel/namespaces.ts';
import { InterfacesDir, netTables, type SocketTable } from '../net-devices.ts';
import { ProcFile } from './nodes.ts';
import type { ProcSuperBlock } from './super-block.ts';

/** Files that are the host's as they are. */
const HOST_FILES =
  'anycast6 arp dev dev_mcast fib_trie fib_triestat if_inet6 igmp igmp6 ip6_flowlabel ip6_mr_cache ip6_mr_vif ip_mr_cache ' +
  'ip_mr_vif ipv6_route mcfilter mcfilter6 netstat ptype route rt6_stats rt_cache snmp snmp6 sockstat6 softnet_stat xfrm_stat';
const SOCKET_TABLES: readonly SocketTable[] = [
  'icmp', 'icmp6', 'netlink', 'packet', 'raw', 'raw6', 'tcp', 'tcp6', 'udp', 'udp6', 'udplite', 'udplite6', 'unix',
]; // prettier-ignore
/** Not with every host: CONFIG_XFRM_STATISTICS. */
const OPTIONAL: ReadonlySet<string> = new Set(['xfrm_stat']);

/** Not of a network: anybody may open these for writing, to no avail. */
const PLAIN: ReadonlySet<string> = new Set(['psched', 'rt_cache', 'softnet_stat']);
/** Files of one piece can be opened for writing, the others not (fs/proc/proc_net.c proc_simple_write, seq_open_net). */
const NET_SINGLE: ReadonlySet<string> = new Set([
  'fib_triestat',
  'netstat',
  'rt6_stats',
  'snmp',
  'snmp6',
  'sockstat',
  'sockstat6',
  'xfrm_stat',
]);
const SINGLE: KernfsFileOptions = { store: () => -EACCES };
const READ_ONLY: KernfsFileOptions = { onOpen: refuseWriters };

const hostText = (ns: NetNamespace | null, path: string): string => netTables.host?.(ns, path) ?? '';

/** /proc/net/dev_snmp6 */
class DeviceCountersDir extends InterfacesDir {
  protected override readonly entryType = DT_REG;

  protected override make(name: string): Inode {
    const text = (): string => hostText(this.net, `dev_snmp6/${name}`);
    return new ProcFile(this.sb as ProcSuperBlock, 0o444, text);
  }
}

/** The network namespace `ns` as seen below `sb`. */
export function makeNetDir(sb: ProcSuperBlock, ns: NetNamespace | null): StaticDir {
  const dir = new StaticDir(sb, 0o555);
  const add = (name: string, text: () => string): void => {
    const options = PLAIN.has(name) ? {} : NET_SINGLE.has(name) ? SINGLE : READ_ONLY;
    dir.add(name, new ProcFile(sb, 0o444, text, options));
  };
  for (const name of HOST_FILES.split(' ')) {
    if (OPTIONAL.has(name) && hostText(null, name) === '') continue;
    add(name, () => hostText(ns, name));
  }
  for (const table of SOCKET_TABLES) add(table, () => netTables.sockets?.(ns, table) ?? '');
  add('protocols', () => protocols(ns));
  add('sockstat', () => sockstat(ns));
  add('psched', () => '000003e8 00000040 000f4240 3b9aca00\n');
  dir.add('dev_snmp6', new DeviceCountersDir(sb, ns, 0o555));
  const statistics = new StaticDir(sb, 0o555);
  statistics.add('rt_cache', new ProcFile(sb, 0o444, () => hostText(ns, 'stat/rt_cache')));
  return dir.add('stat', statistics);
}

const count = (ns: NetNamespace | null, family: number, type: number): number =>
  netTables.count?.(ns, family, type) ?? 0;

/** net/ipv4/proc.c sockstat_seq_show(): the first line counts sockets of every family. */
function sockstat(ns: NetNamespace | null): string {
  const text = hostText(ns, 'sockstat');
  return text.replace(/^sockets: used \d+/, `sockets: used ${count(ns, 0, 0)}`);
}

/** Families that guests have sockets of. */
const OFFERED = /^(TCP|UDP|UDPLITE|UDP-Lite|RAW|PING|UNIX|UNIX-STREAM|NETLINK|PACKET)(v6)?$/;

/** net/core/sock.c proto_seq_printf(): those that are no sockets of the host's are counted here. */
function protocols(ns: NetNamespace | null): string {
  const streams = count(ns, AF_UNIX, SOCK_STREAM);
  const own = new Map([
    ['UNIX-STREAM', streams],
    ['UNIX', count(ns, AF_UNIX, 0) - streams],
    ['NETLINK', count(ns, AF_NETLINK, 0)],
    ['PACKET', count(ns, AF_PACKET, 0)],
  ]);
  return hostText(ns, 'protocols').replace(/^(\S+)( +\d+ )( *\d+)(.*)\n/gm, (line, name, size, _n, rest) => {
    if (!OFFERED.test(name as string)) return '';
    const n = own.get(name as string);
    return n === undefined ? line : `${name}${size}${String(n).padStart(6)}${rest}\n`;
  });
}
