/**
 * /proc/net/{unix,tcp,tcp6,udp,udp6,udplite,raw,icmp,packet,…}: the sockets that processes have open (net/unix/af_unix.c unix_seq_show,
 * net/packet/af_packet.c packet_seq_show); internet sockets as the host lists them.
 */
import { AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_UNIX } from '../abi/socket.ts';
import { netTables, type SocketTable } from '../fsimpl/net-devices.ts';
import type { Kernel } from '../kernel/kernel.ts';
import type { NetNamespace } from '../kernel/namespaces.ts';
import { NetlinkSocket, OFFERED } from './netlink/netlink-socket.ts';
import { countSockets, isListening, listSocketsOf, openSockets, type OpenSocket } from './socket-list.ts';

/** SO_ACCEPTCON of unix sockets' flags. */
const ACCEPTS = 0x10000;
const SS_UNCONNECTED = 1;
const SS_CONNECTED = 3;

const hex = (n: number, width: number): string => n.toString(16).toUpperCase().padStart(width, '0');

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

/** Sockets of the host by the numbers of their inodes there. */
function hostSockets(ns: NetNamespace | null): Map<number, OpenSocket> {
  const found = new Map<number, OpenSocket>();
  for (const f of [...openSockets(ns, AF_INET, 0), ...openSockets(ns, AF_INET6, 0)]) {
    found.set(f.socket.hostInode(), f);
  }
  return found;
}

/** Up to the retransmissions; owner, timeout, inode, references, address and what else. */
const INET_LINE = /^( *\S+: \S+ \S+ \S+ \S+ \S+ \S+) +(\d+) +(\d+) (\d+) (\d+) \S+(.*)$/;

/** The host's table with the sandbox's owners and inodes. Where others use the network, too, theirs have none. */
function inetTable(ns: NetNamespace | null, name: SocketTable): string {
  const text = netTables.host?.(ns, name) ?? '';
  const sockets = hostSockets(ns);
  return text
    .split('\n')
    .map((line) => {
      const m = INET_LINE.exec(line);
      if (m === null) return line;
      const f = sockets.get(Number(m[4]));
      const uid = f === undefined ? m[2]! : String(f.socket.inode.uid);
      const head = `${m[1]} ${uid.padStart(5)} ${m[3]!.padStart(8)} ${f?.socket.inode.ino ?? 0} ${m[5]} `;
      // The tables of IPv4 are as wide as their headings.
      return `${head}${'0'.repeat(16)}${m[6]!.trimEnd()}`.padEnd(line.endsWith(' ') ? line.length : 0);
    })
    .join('\n');
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
      if (!(socket instanceof NetlinkSocket) || socket.protocol !== protocol || socket.portId === 0) continue;
      const groups = socket.groupWords[0] ?? 0;
      text += line(protocol, socket.portId >>> 0, groups, socket.queueLengths().rx, socket.inode.ino);
    }
  }
  return text;
}

const OWN_TABLES: { [name in SocketTable]?: readonly [heading: string, lines: typeof unixTable] } = {
  unix: ['Num       RefCount Protocol Flags    Type St Inode Path', unixTable],
  packet: ['sk               RefCnt Type Proto  Iface R Rmem   User   Inode', packetTable],
  netlink: [
    'sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode',
    netlinkTable,
  ],
};

/** Makes /proc/net list the sockets of `kernel`'s processes. */
export function installSocketTables(kernel: Kernel): void {
  listSocketsOf(kernel);
  netTables.sockets = (ns, name) => {
    const own = OWN_TABLES[name];
    return own === undefined ? inetTable(ns, name) : `${own[0]}\n${own[1](ns)}`;
  };
  netTables.count = countSockets;
}
