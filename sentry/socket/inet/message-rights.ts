/**
 * What callers with rights may that the sentry has not. SO_MARK and SO_PRIORITY as control messages (net/core/sock.c __sock_cmsg_send): the
 * socket has them while the message is sent. Nobody else can send on it in between.
 */
import { EINVAL, EPERM } from '../../abi/errno.ts';
import * as S from '../../abi/socket.ts';
import { CAP_NET_ADMIN, CAP_NET_RAW } from '../../auth/capability.ts';
import type { UserNamespace } from '../../auth/credentials.ts';
import * as net from '../../host/net.ffi.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { Network } from '../network.ts';

const IPPROTO_TCP = 6;
const TCP_REPAIR = 19;
const HEADER = 16;
const WORD = 4;
const EXCEPTIONAL: ReadonlySet<number> = new Set([S.SO_MARK, S.SO_PRIORITY]);

/** Whether `t` may what the sentry may not: marks, priorities and most options with either right over the network, TCP_REPAIR as its administrator. */
export function hasRights(t: CallContext, owner: UserNamespace | null, level = 0, name = 0): boolean {
  if (t.creds.hasIn(CAP_NET_ADMIN, owner)) return true;
  return !(level === IPPROTO_TCP && name === TCP_REPAIR) && t.creds.hasIn(CAP_NET_RAW, owner);
}

/** `control` has been checked for its form; `send` sends with what is left of it. */
export function sendWithRights(
  network: Network,
  hostFd: number,
  control: Uint8Array,
  send: (rest: Uint8Array) => number,
): number {
  const b = Buffer.from(control.buffer, control.byteOffset, control.length);
  const rest: Buffer[] = [];
  const wanted = new Map<number, Buffer>();
  for (let at = 0; at < b.length;) {
    const length = b.readUInt32LE(at);
    const room = Math.ceil(length / 8) * 8;
    const type = b.readInt32LE(at + 12);
    if (b.readInt32LE(at + 8) !== S.SOL_SOCKET || !EXCEPTIONAL.has(type))
      rest.push(b.subarray(at, at + room));
    else if (length !== HEADER + WORD) return -EINVAL;
    else wanted.set(type, b.subarray(at + HEADER, at + HEADER + WORD));
    at += room;
  }
  const before: [number, Buffer][] = [];
  let r = wanted.size === 0 ? -EPERM : 0;
  for (const [name, value] of wanted) {
    const old = Buffer.alloc(WORD);
    net.getsockopt(hostFd, S.SOL_SOCKET, name, old, WORD);
    r = network.setOption(hostFd, S.SOL_SOCKET, name, value);
    if (r < 0) break;
    before.push([name, old]);
  }
  if (r >= 0) r = send(Buffer.concat(rest));
  for (const [name, old] of before) network.setOption(hostFd, S.SOL_SOCKET, name, old);
  return r;
}
