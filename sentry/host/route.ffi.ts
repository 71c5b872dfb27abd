/** Queries through route sockets of the host (AF_NETLINK, NETLINK_ROUTE). */
import { HostBuffer } from './memory.ffi.ts';
import { recv, recvMessage, send, setsockopt, type HostMessage } from './net.ffi.ts';

const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLM_F_MULTI = 2;
const HDR = 16;
const CHUNK = 64 * 1024;
/**
 * The kernel makes the pieces of a dump as large as the largest buffer it has seen (netlink_recvmsg): a small one, so
 * that guests with a page to receive into get whole messages.
 */
const USUAL = 4096;
const MSG_PEEK_TRUNC = 0x22;
const MAX_CHUNKS = 256;
const ENOBUFS = 105;

const request = new HostBuffer(4096);
let reply: HostBuffer | null = null;
let seq = 1;

const SOL_NETLINK = 270;
const NETLINK_PKTINFO = 3;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const NETLINK_GET_STRICT_CHK = 12;
const ONE = Uint8Array.of(1, 0, 0, 0);
const ZERO = new Uint8Array(4);

/** Errors of queries through `fd` come with what the kernel says of them, and without the query itself. */
export function prepareQueries(fd: number): void {
  setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, ONE);
  setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, ONE);
}

export function setStrict(fd: number, strict: boolean): void {
  setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, strict ? ONE : ZERO);
}

/** Received notifications tell their group. */
export function prepareNotices(fd: number): void {
  setsockopt(fd, SOL_NETLINK, NETLINK_PKTINFO, ONE);
}

const notice: HostMessage = { name: new Uint8Array(0), control: new Uint8Array(0), flags: 0 };
const CONTROL_ROOM = 64;
const CMSG_HEADER = 16;

/** The next notification and its group; null: there is none now. Those that were lost are passed over. */
export function nextNotice(fd: number): { data: Buffer; group: number } | null {
  reply ??= new HostBuffer(CHUNK);
  for (let i = 0; i < MAX_CHUNKS; i++) {
    const n = recvMessage(fd, reply.addr, CHUNK, 0, CONTROL_ROOM, notice);
    if (n === -ENOBUFS) continue;
    if (n < HDR) return null;
    const c = Buffer.from(notice.control);
    const known = c.length >= CMSG_HEADER + 4 && c.readInt32LE(8) === SOL_NETLINK;
    return { data: Buffer.from(reply.bytes.subarray(0, n)), group: known ? c.readUInt32LE(CMSG_HEADER) : 0 };
  }
  return null;
}

/**
 * Sends one request (its length, type and flags are set) and returns the datagrams of the answer; null if that
 * failed.
 */
export function routeQuery(fd: number, message: Uint8Array): Buffer[] | null {
  if (fd < 0 || message.length > request.size) return null;
  reply ??= new HostBuffer(CHUNK);
  while (recv(fd, reply.addr, USUAL, 0) > 0);
  request.bytes.set(message);
  const mine = seq++;
  request.u32[2] = mine;
  request.u32[3] = 0;
  if (send(fd, request.addr, message.length, 0, null) < 0) return null;
  const out: Buffer[] = [];
  for (let i = 0; i < MAX_CHUNKS; i++) {
    const size = recv(fd, reply.addr, USUAL, MSG_PEEK_TRUNC);
    if (size < 0) break;
    const n = recv(fd, reply.addr, Math.min(Math.max(size, USUAL), CHUNK), 0);
    if (n < HDR) break;
    if (reply.u32[2] !== mine) continue;
    const chunk = Buffer.from(reply.bytes.subarray(0, n));
    out.push(chunk);
    if (ends(chunk)) break;
  }
  return out;
}

/** True if the datagram is the last of an answer. */
function ends(chunk: Buffer): boolean {
  let multi = false;
  for (let at = 0; at + HDR <= chunk.length;) {
    const len = chunk.readUInt32LE(at);
    const type = chunk.readUInt16LE(at + 4);
    if (type === NLMSG_DONE || type === NLMSG_ERROR) return true;
    multi = (chunk.readUInt16LE(at + 6) & NLM_F_MULTI) !== 0;
    if (len < HDR) return true;
    at += Math.ceil(len / 4) * 4;
  }
  return !multi;
}
