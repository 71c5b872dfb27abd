/**
 * /proc/net/{unix,tcp,tcp6,udp,udp6,raw}: the sockets that processes have open (net/unix/af_unix.c unix_seq_show,
 * net/ipv4/tcp_ipv4.c get_tcp4_sock, net/ipv4/udp.c udp4_format_sock). Sockets on their way in messages or waiting to be
 * accepted are not shown.
 */
import { AF_INET, AF_INET6, AF_UNIX, SOCK_DGRAM, SOCK_RAW, SOCK_STREAM } from '../abi/socket.ts';
import { netTables } from '../fsimpl/proc/net.ts';
import type { Kernel } from '../kernel/kernel.ts';
import type { Task } from '../kernel/task.ts';
import { Socket } from './socket.ts';

const SOL_SOCKET = 1;
const SO_ACCEPTCONN = 30;
const IPPROTO_TCP = 6;
const TCP_INFO = 11;
const TCP_ESTABLISHED = 1;
const TCP_CLOSE = 7;
/** SO_ACCEPTCON of unix sockets' flags. */
const ACCEPTS = 0x10000;
const SS_UNCONNECTED = 1;
const SS_CONNECTED = 3;
/** Widths that lines are padded to. */
const TCP_WIDTH = 149;
const UDP_WIDTH = 127;

const option = Buffer.alloc(256);

interface Found {
  readonly socket: Socket;
  readonly task: Task;
}

/** Every open socket of a family and type once, with a task that has it. */
function sockets(kernel: Kernel, domain: number, type: number): Found[] {
  const found = new Map<Socket, Task>();
  for (const g of kernel.pidNs.groups()) {
    for (const t of g.tasks) {
      if (t.dead) continue;
      for (const fd of t.fdTable.fds()) {
        const f = t.fdTable.getRaw(fd);
        if (!(f instanceof Socket) || f.domain !== domain) continue;
        if (type === 0 || f.type === type) found.set(f, t);
      }
    }
  }
  return [...found].map(([socket, task]) => ({ socket, task }));
}

const hex = (n: number, width: number): string => n.toString(16).toUpperCase().padStart(width, '0');

function isListening({ socket, task }: Found): boolean {
  option.fill(0);
  return socket.getOption(task, SOL_SOCKET, SO_ACCEPTCONN, option, 4) >= 0 && option[0] !== 0;
}

function unixTable(kernel: Kernel): string {
  let text = '';
  for (const f of sockets(kernel, AF_UNIX, 0)) {
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

function tcpState(f: Found): number {
  option.fill(0);
  return f.socket.getOption(f.task, IPPROTO_TCP, TCP_INFO, option, 104) > 0 ? option[0]! : TCP_CLOSE;
}

function tcpTable(kernel: Kernel, v6: boolean): string {
  let text = '';
  let sl = 0;
  for (const f of sockets(kernel, v6 ? AF_INET6 : AF_INET, SOCK_STREAM)) {
    const state = tcpState(f);
    const local = f.socket.getName(false);
    // A socket that was never bound is in no table.
    if (state === TCP_CLOSE) continue;
    const line =
      `${String(sl++).padStart(4)}: ${inetName(local, v6)} ${inetName(f.socket.getName(true), v6)} ${hex(state, 2)} ` +
      `00000000:00000000 00:00000000 00000000 ${String(f.task.creds.euid).padStart(5)}        0 ` +
      `${f.socket.inode.ino} 1 ${'0'.repeat(16)} 100 0 0 10 0`;
    text += `${v6 ? line : line.padEnd(TCP_WIDTH)}\n`;
  }
  return text;
}

function udpTable(kernel: Kernel, v6: boolean, type: number): string {
  let text = '';
  let sl = 0;
  for (const f of sockets(kernel, v6 ? AF_INET6 : AF_INET, type)) {
    const local = inetName(f.socket.getName(false), v6);
    if (local.endsWith(':0000') && type === SOCK_DGRAM) continue;
    const peer = f.socket.getName(true);
    const state = typeof peer === 'number' ? TCP_CLOSE : TCP_ESTABLISHED;
    const line =
      `${String(sl++).padStart(5)}: ${local} ${inetName(peer, v6)} ${hex(state, 2)} ` +
      `00000000:00000000 00:00000000 00000000 ${String(f.task.creds.euid).padStart(5)}        0 ` +
      `${f.socket.inode.ino} 2 ${'0'.repeat(16)} 0`;
    text += `${v6 ? line : line.padEnd(UDP_WIDTH)}\n`;
  }
  return text;
}

/** Makes /proc/net list the sockets of `kernel`'s processes. */
export function installSocketTables(kernel: Kernel): void {
  netTables.unix = () => unixTable(kernel);
  netTables.tcp = () => tcpTable(kernel, false);
  netTables.tcp6 = () => tcpTable(kernel, true);
  netTables.udp = () => udpTable(kernel, false, SOCK_DGRAM);
  netTables.udp6 = () => udpTable(kernel, true, SOCK_DGRAM);
  netTables.raw = () => udpTable(kernel, false, SOCK_RAW);
}
