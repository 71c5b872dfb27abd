/** Answers of sock_diag(7) about unix sockets (net/unix/diag.c sk_diag_fill). */
import { EINVAL, ENOENT, ESTALE } from '../../abi/errno.ts';
import * as S from '../../abi/socket.ts';
import type { NetNamespace } from '../../kernel/namespaces.ts';
import {
  cookieOf,
  hasCookie,
  isListening,
  openSockets,
  TCP_CLOSE,
  TCP_ESTABLISHED,
  type OpenSocket,
} from '../socket-list.ts';
import type { Socket } from '../socket.ts';
import { UnixSocket } from '../unix/unix-socket.ts';
import { nlattr } from './attribute.ts';
import { memoryOf } from './inet-diag.ts';

const TCP_LISTEN = 10;
const UNIX_MSG = 16;
const UNIX_DIAG_NAME = 0;
const UNIX_DIAG_PEER = 2;
const UNIX_DIAG_RQLEN = 4;
const UNIX_DIAG_MEMINFO = 5;
const UNIX_DIAG_SHUTDOWN = 6;
const UNIX_DIAG_UID = 7;
const UDIAG_SHOW_NAME = 0x1;
const UDIAG_SHOW_PEER = 0x4;
const UDIAG_SHOW_RQLEN = 0x10;
const UDIAG_SHOW_MEMINFO = 0x20;
const UDIAG_SHOW_UID = 0x40;

function stateOf(f: OpenSocket): number {
  if (isListening(f)) return TCP_LISTEN;
  return typeof f.socket.getName(true) === 'number' ? TCP_CLOSE : TCP_ESTABLISHED;
}

function words(...values: number[]): Buffer {
  const b = Buffer.alloc(4 * values.length);
  values.forEach((v, i) => b.writeUInt32LE(v % 0x100000000, 4 * i));
  return b;
}

function message(f: OpenSocket, state: number, show: number): Buffer {
  const { socket, task } = f;
  const b = Buffer.alloc(UNIX_MSG);
  b[0] = S.AF_UNIX;
  b[1] = socket.type;
  b[2] = state;
  b.writeUInt32LE(socket.inode.ino % 0x100000000, 4);
  b.set(cookieOf(f), 8);
  const parts: Buffer[] = [b];
  const name = socket.getName(false);
  if ((show & UDIAG_SHOW_NAME) !== 0 && typeof name !== 'number' && name.length > 2) {
    parts.push(nlattr(UNIX_DIAG_NAME, name.subarray(2)));
  }
  const peer: Socket | null = socket instanceof UnixSocket ? socket.connectedTo : null;
  if ((show & UDIAG_SHOW_PEER) !== 0 && peer !== null)
    parts.push(nlattr(UNIX_DIAG_PEER, words(peer.inode.ino)));
  if ((show & UDIAG_SHOW_RQLEN) !== 0) {
    const { rx, tx } = socket.queueLengths();
    parts.push(nlattr(UNIX_DIAG_RQLEN, words(rx, tx)));
  }
  const memory = (show & UDIAG_SHOW_MEMINFO) === 0 ? null : memoryOf(f);
  if (memory !== null) parts.push(nlattr(UNIX_DIAG_MEMINFO, memory.all));
  parts.push(nlattr(UNIX_DIAG_SHUTDOWN, Uint8Array.of(0)));
  if ((show & UDIAG_SHOW_UID) !== 0) parts.push(nlattr(UNIX_DIAG_UID, words(task.creds.euid)));
  return Buffer.concat(parts);
}

/** Answers for a struct unix_diag_req. */
export function unixDiag(ns: NetNamespace | null, req: Buffer): Buffer[] {
  const states = req.readUInt32LE(4);
  const show = req.readUInt32LE(12);
  const messages: Buffer[] = [];
  for (const f of openSockets(ns, S.AF_UNIX, 0)) {
    const state = stateOf(f);
    if (Math.floor(states / 2 ** state) % 2 === 1) messages.push(message(f, state, show));
  }
  return messages;
}

/** unix_diag_get_exact(): by the inode, or −errno. */
export function unixDiagOne(ns: NetNamespace | null, req: Buffer): Buffer | number {
  const ino = req.readUInt32LE(8);
  if (ino === 0) return -EINVAL;
  const f = openSockets(ns, S.AF_UNIX, 0).find(({ socket }) => socket.inode.ino % 0x100000000 === ino);
  if (f === undefined) return -ENOENT;
  if (!hasCookie(f, req.subarray(16, 24))) return -ESTALE;
  return message(f, stateOf(f), req.readUInt32LE(12));
}
