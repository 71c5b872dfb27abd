/** Answers of sock_diag(7) about internet sockets (net/ipv4/inet_diag.c inet_sk_diag_fill, inet_diag_msg_attrs_fill). */
import { ENOENT, ESTALE } from '../../abi/errno.ts';
import * as S from '../../abi/socket.ts';
import {
  cookieOf,
  hasCookie,
  isV6Only,
  TCP_CLOSE,
  tcpState,
  datagramState,
  openSockets,
  type OpenSocket,
} from '../socket-list.ts';
import type { NetNamespace } from '../../kernel/namespaces.ts';
import { nlattr } from './attribute.ts';
import { inetLookup } from './inet-lookup.ts';

const IPPROTO_IP = 0;
const IPPROTO_TCP = 6;
const IPPROTO_UDP = 17;
const IPPROTO_IPV6 = 41;
const IPPROTO_UDPLITE = 136;
const IPPROTO_RAW = 255;
const IP_TOS = 1;
const IPV6_TCLASS = 67;
const TCP_INFO = 11;
const TCP_CONGESTION = 13;
const INET_MSG = 72;
/** In a request. */
const COOKIE = 48;
const INET_DIAG_MEMINFO = 1;
const INET_DIAG_INFO = 2;
const INET_DIAG_CONG = 4;
const INET_DIAG_TOS = 5;
const INET_DIAG_TCLASS = 6;
const INET_DIAG_SKMEMINFO = 7;
const INET_DIAG_SHUTDOWN = 8;
const INET_DIAG_SKV6ONLY = 11;
/** SK_MEMINFO_VARS u32 */
const SK_MEMINFO = 36;

/** Socket type that a protocol's sockets have. */
const TYPES = new Map([
  [IPPROTO_TCP, S.SOCK_STREAM],
  [IPPROTO_UDP, S.SOCK_DGRAM],
  [IPPROTO_UDPLITE, S.SOCK_DGRAM],
  [IPPROTO_RAW, S.SOCK_RAW],
]);

const option = Buffer.alloc(256);

function ask({ socket, task }: OpenSocket, level: number, name: number, room: number): Buffer | null {
  option.fill(0);
  const n = socket.getOption(task, level, name, option, room);
  return n > 0 ? Buffer.from(option.subarray(0, n)) : null;
}

/** Port and address of a sockaddr, into a struct inet_diag_sockid. */
function putName(b: Buffer, port: number, addr: number, name: Uint8Array | number): void {
  if (typeof name === 'number' || name.length < 8) return;
  b.set(name.subarray(2, 4), port);
  if (name[0] === S.AF_INET6) b.set(name.subarray(8, 24), addr);
  else b.set(name.subarray(4, 8), addr);
}

/** SO_MEMINFO, and what struct inet_diag_meminfo has of it. */
export function memoryOf(f: OpenSocket): { all: Buffer; short: Buffer } | null {
  const all = ask(f, S.SOL_SOCKET, S.SO_MEMINFO, SK_MEMINFO);
  if (all === null || all.length < SK_MEMINFO) return null;
  // rmem, wmem (queued), fmem, tmem (allocated)
  const short = Buffer.concat([
    all.subarray(0, 4),
    all.subarray(20, 24),
    all.subarray(16, 20),
    all.subarray(8, 12),
  ]);
  return { all, short };
}

function message(f: OpenSocket, state: number, wanted: number): Buffer {
  const { socket, task } = f;
  const b = Buffer.alloc(INET_MSG);
  b[0] = socket.domain;
  b[1] = state;
  putName(b, 4, 8, socket.getName(false));
  putName(b, 6, 24, socket.getName(true));
  b.set(cookieOf(f), 44);
  const { rx, tx } = socket.queueLengths();
  b.writeUInt32LE(rx, 56);
  b.writeUInt32LE(tx, 60);
  b.writeUInt32LE(task.creds.euid, 64);
  b.writeUInt32LE(socket.inode.ino % 0x100000000, 68);
  const parts: Buffer[] = [b];
  const put = (type: number, value: Uint8Array | null): void => {
    if (value !== null) parts.push(nlattr(type, value));
  };
  const asked = (type: number): boolean => Math.floor(wanted / 2 ** (type - 1)) % 2 === 1;
  const v6 = socket.domain === S.AF_INET6;
  put(INET_DIAG_SHUTDOWN, Uint8Array.of(0));
  if (asked(INET_DIAG_TOS)) put(INET_DIAG_TOS, ask(f, IPPROTO_IP, IP_TOS, 1));
  if (v6) {
    if (asked(INET_DIAG_TCLASS))
      put(INET_DIAG_TCLASS, ask(f, IPPROTO_IPV6, IPV6_TCLASS, 4)?.subarray(0, 1) ?? null);
    put(INET_DIAG_SKV6ONLY, Uint8Array.of(isV6Only(f) ? 1 : 0));
  }
  const memory = memoryOf(f);
  if (asked(INET_DIAG_MEMINFO)) put(INET_DIAG_MEMINFO, memory?.short ?? null);
  if (asked(INET_DIAG_SKMEMINFO)) put(INET_DIAG_SKMEMINFO, memory?.all ?? null);
  if (socket.type === S.SOCK_STREAM) {
    if (asked(INET_DIAG_INFO)) put(INET_DIAG_INFO, ask(f, IPPROTO_TCP, TCP_INFO, option.length));
    if (asked(INET_DIAG_CONG)) {
      const name = ask(f, IPPROTO_TCP, TCP_CONGESTION, 16)?.toString('latin1').split('\0')[0];
      if (name !== undefined) put(INET_DIAG_CONG, Buffer.from(`${name}\0`, 'latin1'));
    }
  }
  return Buffer.concat(parts);
}

const stateOf = (f: OpenSocket): number => (f.socket.type === S.SOCK_STREAM ? tcpState(f) : datagramState(f));

/** The answer about the one socket that a struct inet_diag_req_v2 names, or −errno. */
export function inetDiagOne(ns: NetNamespace | null, req: Buffer): Buffer | number {
  const protocol = req[1]!;
  const type = TYPES.get(protocol);
  const f = type === undefined ? null : inetLookup(ns, req, type, protocol);
  if (f === null) return -ENOENT;
  if (!hasCookie(f, req.subarray(COOKIE, COOKIE + 8))) return type === S.SOCK_STREAM ? -ENOENT : -ESTALE;
  return message(f, stateOf(f), req[2]!);
}

/** Answers for a struct inet_diag_req_v2; null: no such protocol. */
export function inetDiag(ns: NetNamespace | null, req: Buffer): Buffer[] | null {
  const protocol = req[1]!;
  const type = TYPES.get(protocol);
  if (type === undefined) return null;
  const wanted = req[2]!;
  const states = req.readUInt32LE(4);
  const messages: Buffer[] = [];
  for (const f of openSockets(ns, req[0]!, type)) {
    if (type !== S.SOCK_RAW && f.socket.protocol !== protocol) continue;
    const state = stateOf(f);
    // A socket that was never bound is in no table.
    const name = f.socket.getName(false);
    const bound = typeof name !== 'number' && (name[2] !== 0 || name[3] !== 0);
    const listed = type === S.SOCK_RAW || (bound && (type !== S.SOCK_STREAM || state !== TCP_CLOSE));
    if (listed && Math.floor(states / 2 ** state) % 2 === 1) messages.push(message(f, state, wanted));
  }
  return messages;
}
