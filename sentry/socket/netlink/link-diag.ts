/** Answers of sock_diag(7) about packet and netlink sockets (net/packet/diag.c, net/netlink/diag.c sk_diag_fill). */
import * as S from '../../abi/socket.ts';
import type { NetNamespace } from '../../kernel/namespaces.ts';
import { cookieOf, openSockets, TCP_CLOSE } from '../socket-list.ts';
import { PacketSocket } from '../packet/packet-socket.ts';
import { nlattr } from './attribute.ts';
import { memoryOf } from './inet-diag.ts';
import { NetlinkSocket, OFFERED } from './netlink-socket.ts';

const PACKET_MSG = 16;
const PACKET_SHOW_INFO = 1;
const PACKET_SHOW_RING_CFG = 4;
const PACKET_SHOW_MEMINFO = 16;
const PACKET_DIAG_INFO = 0;
const PACKET_DIAG_RX_RING = 2;
const PACKET_DIAG_TX_RING = 3;
const PACKET_DIAG_UID = 5;
const PACKET_DIAG_MEMINFO = 6;

function words(values: readonly number[]): Buffer {
  const b = Buffer.alloc(4 * values.length);
  values.forEach((v, i) => b.writeUInt32LE(v % 0x100000000, 4 * i));
  return b;
}

/** Answers for a struct packet_diag_req. */
export function packetDiag(ns: NetNamespace | null, req: Buffer): Buffer[] {
  const show = req.readUInt32LE(8);
  const messages: Buffer[] = [];
  for (const f of openSockets(ns, S.AF_PACKET, 0)) {
    const { socket, task } = f;
    if (!(socket instanceof PacketSocket)) continue;
    const b = Buffer.alloc(PACKET_MSG);
    const name = socket.getName(false);
    // struct sockaddr_ll: protocol in network order, index of the interface.
    const address = typeof name === 'number' ? Buffer.alloc(20) : Buffer.from(name);
    b[0] = S.AF_PACKET;
    b[1] = socket.type;
    b.writeUInt16LE(address.readUInt16BE(2), 2);
    b.writeUInt32LE(socket.inode.ino % 0x100000000, 4);
    b.set(cookieOf(f), 8);
    const parts: Buffer[] = [b];
    if ((show & PACKET_SHOW_INFO) !== 0) {
      parts.push(nlattr(PACKET_DIAG_INFO, words([address.readUInt32LE(4), ...socket.diagInfo])));
      parts.push(nlattr(PACKET_DIAG_UID, words([task.creds.euid])));
    }
    if ((show & PACKET_SHOW_RING_CFG) !== 0) {
      const { rx, tx } = socket.ringsForDiag;
      if (rx !== null) parts.push(nlattr(PACKET_DIAG_RX_RING, words(rx)));
      if (tx !== null) parts.push(nlattr(PACKET_DIAG_TX_RING, words(tx)));
    }
    const memory = (show & PACKET_SHOW_MEMINFO) === 0 ? null : memoryOf(f);
    if (memory !== null) parts.push(nlattr(PACKET_DIAG_MEMINFO, memory.all));
    messages.push(Buffer.concat(parts));
  }
  return messages;
}

const NETLINK_MSG = 28;
const NDIAG_PROTO_ALL = 255;
const NDIAG_SHOW_MEMINFO = 1;
const NDIAG_SHOW_GROUPS = 2;
const NETLINK_DIAG_MEMINFO = 0;
const NETLINK_DIAG_GROUPS = 1;
const MAX_LINKS = 32;

function netlinkMessage(type: number, protocol: number, port: number, ino: number): Buffer {
  const b = Buffer.alloc(NETLINK_MSG);
  b[0] = S.AF_NETLINK;
  b[1] = type;
  b[2] = protocol;
  b[3] = TCP_CLOSE;
  b.writeUInt32LE(port >>> 0, 4);
  b.writeUInt32LE(ino % 0x100000000, 16);
  b.writeUInt32LE(ino % 0x100000000, 20);
  return b;
}

/** Answers for a struct netlink_diag_req: each protocol's socket of the kernel, then the guests'; null: no such protocol. */
export function netlinkDiag(ns: NetNamespace | null, req: Buffer): Buffer[] | null {
  const protocol = req[1]!;
  const show = req.readUInt32LE(8);
  if (protocol !== NDIAG_PROTO_ALL && protocol >= MAX_LINKS) return null;
  const messages: Buffer[] = [];
  const sockets = openSockets(ns, S.AF_NETLINK, 0);
  const none = show & NDIAG_SHOW_MEMINFO ? [nlattr(NETLINK_DIAG_MEMINFO, words(KERNEL_MEMORY))] : [];
  for (const offered of OFFERED) {
    if (protocol !== NDIAG_PROTO_ALL && protocol !== offered) continue;
    messages.push(Buffer.concat([netlinkMessage(S.SOCK_RAW, offered, 0, 0), ...none]));
    for (const f of sockets) {
      const { socket } = f;
      if (!(socket instanceof NetlinkSocket) || socket.protocol !== offered) continue;
      const groups = socket.groupWords;
      // Those in the table of ports or in the list of receivers.
      if (socket.portId === 0 && groups.every((w) => w === 0)) continue;
      const parts = [netlinkMessage(socket.type, offered, socket.portId, socket.inode.ino)];
      const memory = (show & NDIAG_SHOW_MEMINFO) === 0 ? null : memoryOf(f);
      if (memory !== null) parts.push(nlattr(NETLINK_DIAG_MEMINFO, memory.all));
      if ((show & NDIAG_SHOW_GROUPS) !== 0 && groups.length > 0) {
        parts.push(nlattr(NETLINK_DIAG_GROUPS, words(groups)));
      }
      messages.push(Buffer.concat(parts));
    }
  }
  return messages;
}

/** SK_MEMINFO_*: limits and nothing in use. */
const KERNEL_MEMORY = [0, S.DEFAULT_BUFFER, 0, S.DEFAULT_BUFFER, 0, 0, 0, 0, 0];
