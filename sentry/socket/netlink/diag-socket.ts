/** NETLINK_SOCK_DIAG (sock_diag(7)): dumps of internet and unix sockets, as ss(8) asks for them. */
import { EINVAL, ENOENT, EOPNOTSUPP } from '../../abi/errno.ts';
import * as S from '../../abi/socket.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import { datagramState, isListening, isV6Only, openSockets, TCP_CLOSE, TCP_ESTABLISHED, tcpState, type OpenSocket } from '../socket-list.ts'; // prettier-ignore
import type { Socket } from '../socket.ts';
import { UnixSocket } from '../unix/unix-socket.ts';
import { HDR, NetlinkSocket, NLM_F_DUMP, NLM_F_MULTI, NLM_F_REQUEST } from './netlink-socket.ts';

const SOCK_DIAG_BY_FAMILY = 20;
/** AF_MAX */
const FAMILIES = 46;
const IPPROTO_TCP = 6;
const IPPROTO_UDP = 17;
const IPPROTO_UDPLITE = 136;
const IPPROTO_RAW = 255;
const TCP_LISTEN = 10;
const TCP_INFO = 11;
/** sizeof(struct inet_diag_req_v2), inet_diag_msg, unix_diag_req, unix_diag_msg */
const INET_REQ = 56;
const INET_MSG = 72;
const UNIX_REQ = 24;
const UNIX_MSG = 16;
const INET_DIAG_INFO = 2;
const INET_DIAG_SKV6ONLY = 11;
const UNIX_DIAG_NAME = 0;
const UNIX_DIAG_PEER = 2;
const UNIX_DIAG_RQLEN = 4;
const UDIAG_SHOW_NAME = 0x1;
const UDIAG_SHOW_PEER = 0x4;
const UDIAG_SHOW_RQLEN = 0x10;
/** Datagrams of a dump are at most so long. */
const CHUNK = 4096;

/** Socket type that a protocol's sockets have. */
const TYPES = new Map([
  [IPPROTO_TCP, S.SOCK_STREAM],
  [IPPROTO_UDP, S.SOCK_DGRAM],
  [IPPROTO_UDPLITE, S.SOCK_DGRAM],
  [IPPROTO_RAW, S.SOCK_RAW],
]);

const option = Buffer.alloc(256);

/** struct nlattr with its value. */
function attribute(type: number, value: Uint8Array): Buffer {
  const b = Buffer.alloc(4 + Math.ceil(value.length / 4) * 4);
  b.writeUInt16LE(4 + value.length, 0);
  b.writeUInt16LE(type, 2);
  b.set(value, 4);
  return b;
}

/** Port and address of a sockaddr, into a struct inet_diag_sockid. */
function putName(b: Buffer, port: number, addr: number, name: Uint8Array | number): void {
  if (typeof name === 'number' || name.length < 8) return;
  b.set(name.subarray(2, 4), port);
  if (name[0] === S.AF_INET6) b.set(name.subarray(8, 24), addr);
  else b.set(name.subarray(4, 8), addr);
}

/** inet_sk_diag_fill() */
function inetMessage(f: OpenSocket, state: number, wanted: number): Buffer {
  const { socket, task } = f;
  const b = Buffer.alloc(INET_MSG);
  b[0] = socket.domain;
  b[1] = state;
  putName(b, 4, 8, socket.getName(false));
  putName(b, 6, 24, socket.getName(true));
  b.writeUInt32LE(socket.inode.ino % 0x100000000, 44);
  const { rx, tx } = socket.queueLengths();
  b.writeUInt32LE(rx, 56);
  b.writeUInt32LE(tx, 60);
  b.writeUInt32LE(task.creds.euid, 64);
  b.writeUInt32LE(socket.inode.ino % 0x100000000, 68);
  const parts: Buffer[] = [b];
  const stream = socket.type === S.SOCK_STREAM;
  if (stream && Math.floor(wanted / 2 ** (INET_DIAG_INFO - 1)) % 2 === 1) {
    const n = socket.getOption(task, IPPROTO_TCP, TCP_INFO, option, option.length);
    if (n > 0) parts.push(attribute(INET_DIAG_INFO, option.subarray(0, n)));
  }
  if (socket.domain === S.AF_INET6) {
    parts.push(attribute(INET_DIAG_SKV6ONLY, Uint8Array.of(isV6Only(f) ? 1 : 0)));
  }
  return Buffer.concat(parts);
}

function unixState(f: OpenSocket): number {
  if (isListening(f)) return TCP_LISTEN;
  return typeof f.socket.getName(true) === 'number' ? TCP_CLOSE : TCP_ESTABLISHED;
}

/** sk_diag_fill() of net/unix/diag.c */
function unixMessage({ socket }: OpenSocket, state: number, show: number): Buffer {
  const b = Buffer.alloc(UNIX_MSG);
  b[0] = S.AF_UNIX;
  b[1] = socket.type;
  b[2] = state;
  b.writeUInt32LE(socket.inode.ino % 0x100000000, 4);
  b.writeUInt32LE(socket.inode.ino % 0x100000000, 8);
  const parts: Buffer[] = [b];
  const name = socket.getName(false);
  if ((show & UDIAG_SHOW_NAME) !== 0 && typeof name !== 'number' && name.length > 2) {
    parts.push(attribute(UNIX_DIAG_NAME, name.subarray(2)));
  }
  const peer: Socket | null = socket instanceof UnixSocket ? socket.connectedTo : null;
  const word = Buffer.alloc(8);
  if ((show & UDIAG_SHOW_PEER) !== 0 && peer !== null) {
    word.writeUInt32LE(peer.inode.ino % 0x100000000, 0);
    parts.push(attribute(UNIX_DIAG_PEER, Uint8Array.from(word.subarray(0, 4))));
  }
  if ((show & UDIAG_SHOW_RQLEN) !== 0) {
    const { rx, tx } = socket.queueLengths();
    word.writeUInt32LE(rx, 0);
    word.writeUInt32LE(tx, 4);
    parts.push(attribute(UNIX_DIAG_RQLEN, word));
  }
  return Buffer.concat(parts);
}

export class DiagSocket extends NetlinkSocket {
  protected override request(_t: CallContext, m: Buffer): void {
    const flags = m.readUInt16LE(6);
    if ((flags & NLM_F_REQUEST) === 0) return;
    if (m.readUInt16LE(4) !== SOCK_DIAG_BY_FAMILY || m.length < HDR + 2) return this.error(m, EINVAL);
    // One socket by its addresses is not looked up.
    if ((flags & NLM_F_DUMP) === 0) return this.error(m, EOPNOTSUPP);
    const family = m[HDR]!;
    if (family === S.AF_INET || family === S.AF_INET6) this.dumpInet(m, family);
    else if (family === S.AF_UNIX) this.dumpUnix(m);
    else this.error(m, family < FAMILIES ? ENOENT : EINVAL);
  }

  private dumpInet(m: Buffer, family: number): void {
    if (m.length < HDR + INET_REQ) return this.error(m, EINVAL);
    const protocol = m[HDR + 1]!;
    const type = TYPES.get(protocol);
    if (type === undefined) return this.error(m, ENOENT);
    const wanted = m[HDR + 2]!;
    const states = m.readUInt32LE(HDR + 4);
    const messages: Buffer[] = [];
    for (const f of openSockets(this.net, family, type)) {
      if (type !== S.SOCK_RAW && f.socket.protocol !== protocol) continue;
      const state = type === S.SOCK_STREAM ? tcpState(f) : datagramState(f);
      // A socket that was never bound is in no table.
      const name = f.socket.getName(false);
      const bound = typeof name !== 'number' && (name[2] !== 0 || name[3] !== 0);
      if (!bound || (type === S.SOCK_STREAM && state === TCP_CLOSE)) continue;
      if (Math.floor(states / 2 ** state) % 2 === 1) messages.push(inetMessage(f, state, wanted));
    }
    this.answer(m, messages);
  }

  private dumpUnix(m: Buffer): void {
    if (m.length < HDR + UNIX_REQ) return this.error(m, EINVAL);
    const states = m.readUInt32LE(HDR + 4);
    const show = m.readUInt32LE(HDR + 12);
    const messages: Buffer[] = [];
    for (const f of openSockets(this.net, S.AF_UNIX, 0)) {
      const state = unixState(f);
      if (Math.floor(states / 2 ** state) % 2 === 1) messages.push(unixMessage(f, state, show));
    }
    this.answer(m, messages);
  }

  private answer(m: Buffer, messages: readonly Buffer[]): void {
    let chunk: Buffer[] = [];
    let size = 0;
    for (const body of messages) {
      const head = Buffer.alloc(HDR);
      const whole = Buffer.concat([head, body]);
      this.header(whole, SOCK_DIAG_BY_FAMILY, NLM_F_MULTI, m);
      if (size > 0 && size + whole.length > CHUNK) {
        this.push(Buffer.concat(chunk));
        chunk = [];
        size = 0;
      }
      chunk.push(whole);
      size += whole.length;
    }
    if (size > 0) this.push(Buffer.concat(chunk));
    this.done(m);
  }
}
