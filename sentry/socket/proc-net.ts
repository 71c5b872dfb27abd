/**
 * /proc/net/{unix,tcp,tcp6,udp,udp6,udplite,raw,icmp,packet,…}: the sockets that processes have open (net/unix/af_unix.c unix_seq_show,
 * net/ipv4/tcp_ipv4.c get_tcp4_sock, net/ipv4/udp.c udp4_format_sock, net/packet/af_packet.c packet_seq_show).
 */
import {
  AF_INET,
  AF_INET6,
  AF_NETLINK,
  AF_PACKET,
  AF_UNIX,
  SOCK_DGRAM,
  SOCK_RAW,
  SOCK_STREAM,
} from '../abi/socket.ts';
import { netTables } from '../fsimpl/proc/net.ts';
import type { Kernel } from '../kernel/kernel.ts';
import type { NetNamespace } from '../kernel/namespaces.ts';
import { NetlinkSocket, OFFERED } from './netlink/netlink-socket.ts';
import {
  datagramState,
  isListening,
  listSocketsOf,
  openSockets,
  TCP_CLOSE,
  tcpState,
} from './socket-list.ts';

const IPPROTO_ICMP = 1;
const IPPROTO_UDP = 17;
const IPPROTO_ICMPV6 = 58;
const IPPROTO_UDPLITE = 136;
/** SO_ACCEPTCON of unix sockets' flags. */
const ACCEPTS = 0x10000;
const SS_UNCONNECTED = 1;
const SS_CONNECTED = 3;
/** Widths that lines are padded to. */
const TCP_WIDTH = 149;
const UDP_WIDTH = 127;

const hex = (n: number, width: number): string => n.toString(16).toUpperCase().padStart(width, '0');

/** tx_queue:rx_queue */
const queues = (q: { rx: number; tx: number }): string => `${hex(q.tx, 8)}:${hex(q.rx, 8)}`;

function unixTable(ns: NetNamespace | null): string {
  let text = '';
  for (const f of openSockets(ns, AF_UNIX, 0)) {
    const s = f.socket;
    const listening = isListening(f);
    const connected = typeof s.getName(true) !== 'number';
    const name = s.getName(false);
    const path = typeof name === 'number' ? '' : pathOf(name);
    const state = hex(connected ? SS_CONNECTED : SS_UNCONNECTED, 2);
    text +=
      `${'0'.repeat(16)}: ${hex(connected ? 3 : 2, 8)} 00000000 ${hex(listening ? ACCEPTS : 0, 8)} ` +
      `${hex(s.type, 4)} ${state} ${String(s.inode.ino).padStart(5)}${path === '' ? '' : ` ${path}`}\n`;
  }
  return text;
}

/** sun_path; abstract names begin with "@" and show their NULs as "@". */
function pathOf(addr: Uint8Array): string {
  const path = Buffer.from(addr.buffer, addr.byteOffset + 2, Math.max(0, addr.length - 2));
  if (path.length === 0) return '';
  if (path[0] === 0) return path.toString('latin1').replaceAll('\0', '@');
  const nul = path.indexOf(0);
  return path.toString('latin1', 0, nul < 0 ? path.length : nul);
}

/** Address and port as the tables print them: words in host order, the port in network order. */
function inetName(addr: Uint8Array | number, v6: boolean): string {
  const words = v6 ? 4 : 1;
  if (typeof addr === 'number' || addr.length < (v6 ? 24 : 8)) return `${'0'.repeat(8 * words)}:0000`;
  const b = Buffer.from(addr.buffer, addr.byteOffset, addr.length);
  let text = '';
  for (let i = 0; i < words; i++) text += hex(b.readUInt32LE((v6 ? 8 : 4) + 4 * i), 8);
  return `${text}:${hex(b.readUInt16BE(2), 4)}`;
}

function tcpTable(ns: NetNamespace | null, v6: boolean): string {
  let text = '';
  let sl = 0;
  for (const f of openSockets(ns, v6 ? AF_INET6 : AF_INET, SOCK_STREAM)) {
    const state = tcpState(f);
    // A socket that was never bound is in no table.
    if (state === TCP_CLOSE) continue;
    const { rx, tx } = f.socket.queueLengths();
    const listening = isListening(f);
    const line =
      `${String(sl++).padStart(4)}: ${inetName(f.socket.getName(false), v6)} ${inetName(f.socket.getName(true), v6)} ` +
      `${hex(state, 2)} ${queues({ rx, tx: listening ? 0 : tx })} 00:00000000 00000000 ` +
      `${String(f.task.creds.euid).padStart(5)}        0 ${f.socket.inode.ino} 1 ${'0'.repeat(16)} 100 0 0 10 0`;
    text += `${v6 ? line : line.padEnd(TCP_WIDTH)}\n`;
  }
  return text;
}

/** Datagram and raw sockets; `protocol` 0: any. */
function datagramTable(ns: NetNamespace | null, v6: boolean, type: number, protocol: number): string {
  let text = '';
  let sl = 0;
  for (const f of openSockets(ns, v6 ? AF_INET6 : AF_INET, type)) {
    if (protocol !== 0 && f.socket.protocol !== protocol) continue;
    const local = inetName(f.socket.getName(false), v6);
    if (local.endsWith(':0000') && type === SOCK_DGRAM) continue;
    const line =
      `${String(sl++).padStart(5)}: ${local} ${inetName(f.socket.getName(true), v6)} ${hex(datagramState(f), 2)} ` +
      `${queues(f.socket.queueLengths())} 00:00000000 00000000 ${String(f.task.creds.euid).padStart(5)}        0 ` +
      `${f.socket.inode.ino} 2 ${'0'.repeat(16)} 0`;
    text += `${v6 || type === SOCK_RAW ? line : line.padEnd(UDP_WIDTH)}\n`;
  }
  return text;
}

function packetTable(ns: NetNamespace | null): string {
  let text = '';
  for (const { socket, task } of openSockets(ns, AF_PACKET, 0)) {
    // struct sockaddr_ll: protocol in network order, index of the interface.
    const name = socket.getName(false);
    const b = typeof name === 'number' ? Buffer.alloc(20) : Buffer.from(name);
    text +=
      `${'0'.repeat(16)} ${'3'.padEnd(6)} ${String(socket.type).padEnd(4)} ${b.readUInt16BE(2).toString(16).padStart(4, '0')}   ` +
      `${String(b.readInt32LE(4)).padEnd(5)} 1 ${String(socket.queueLengths().rx).padEnd(6)} ` +
      `${String(task.creds.euid).padEnd(6)} ${String(socket.inode.ino).padEnd(6)}\n`;
  }
  return text;
}

/** netlink_native_seq_show() */
function netlinkTable(ns: NetNamespace | null): string {
  const line = (protocol: number, port: number, groups: number, rx: number, ino: number): string =>
    `${'0'.repeat(16)} ${String(protocol).padEnd(3)} ${String(port).padEnd(10)} ${groups.toString(16).padStart(8, '0')} ` +
    `${String(rx).padEnd(8)} ${'0'.padEnd(8)} ${'0'.padEnd(5)} ${'2'.padEnd(8)} ${'0'.padEnd(8)} ${String(ino).padEnd(8)}\n`;
  const sockets = openSockets(ns, AF_NETLINK, 0);
  let text = '';
  for (const protocol of OFFERED) {
    text += line(protocol, 0, 0, 0, 0);
    for (const { socket } of sockets) {
      if (!(socket instanceof NetlinkSocket) || socket.protocol !== protocol) continue;
      const groups = socket.groupWords[0] ?? 0;
      text += line(protocol, socket.portId >>> 0, groups, socket.queueLengths().rx, socket.inode.ino);
    }
  }
  return text;
}

/** Makes /proc/net list the sockets of `kernel`'s processes. */
export function installSocketTables(kernel: Kernel): void {
  listSocketsOf(kernel);
  netTables.unix = unixTable;
  netTables.tcp = (ns) => tcpTable(ns, false);
  netTables.tcp6 = (ns) => tcpTable(ns, true);
  netTables.udp = (ns) => datagramTable(ns, false, SOCK_DGRAM, IPPROTO_UDP);
  netTables.udp6 = (ns) => datagramTable(ns, true, SOCK_DGRAM, IPPROTO_UDP);
  netTables.udplite = (ns) => datagramTable(ns, false, SOCK_DGRAM, IPPROTO_UDPLITE);
  netTables.udplite6 = (ns) => datagramTable(ns, true, SOCK_DGRAM, IPPROTO_UDPLITE);
  netTables.icmp = (ns) => datagramTable(ns, false, SOCK_DGRAM, IPPROTO_ICMP);
  netTables.icmp6 = (ns) => datagramTable(ns, true, SOCK_DGRAM, IPPROTO_ICMPV6);
  netTables.raw = (ns) => datagramTable(ns, false, SOCK_RAW, 0);
  netTables.raw6 = (ns) => datagramTable(ns, true, SOCK_RAW, 0);
  netTables.packet = packetTable;
  netTables.netlink = netlinkTable;
}
