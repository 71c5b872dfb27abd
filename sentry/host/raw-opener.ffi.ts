/** Raw and packet sockets from the launcher's opener, which has CAP_NET_RAW in the sandbox's network namespace (launcher-raw.c). */
import { pollFor } from './file-io.ffi.ts';
import { HostBuffer } from './memory.ffi.ts';
import { recvMessage, send, type HostMessage } from './net.ffi.ts';

const POLLIN = 1;
/** The opener makes one system call for an answer. */
const ANSWER_MS = 2000;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_CMSG_CLOEXEC = 0x40000000;
const CMSG_HEADER = 16;
const CONTROL_ROOM = 24;
const EPERM = 1;
const EMFILE = 24;

const request = new HostBuffer(12);
const reply = new HostBuffer(4);
const message: HostMessage = { name: new Uint8Array(0), control: new Uint8Array(0), flags: 0 };
let opener = -1;

/** Takes over the connection; −1: there is no opener. */
export function useRawOpener(fd: number): void {
  opener = fd;
}

/** A non-blocking socket or −errno; EPERM without an opener, or when it is gone. */
export function openRawSocket(domain: number, type: number, protocol: number): number {
  if (opener < 0) return -EPERM;
  request.i32[0] = domain;
  request.i32[1] = type;
  request.i32[2] = protocol;
  if (send(opener, request.addr, 12, 0, null) !== 12) return -EPERM;
  if (pollFor(opener, POLLIN, ANSWER_MS) <= 0) {
    // What comes late would be taken for the answer to another request.
    opener = -1;
    return -EPERM;
  }
  if (recvMessage(opener, reply.addr, 4, MSG_CMSG_CLOEXEC, CONTROL_ROOM, message) !== 4) return -EPERM;
  const result = reply.i32[0]!;
  if (result < 0) return result;
  const c = Buffer.from(message.control);
  const donated =
    c.length >= CMSG_HEADER + 4 && c.readInt32LE(8) === SOL_SOCKET && c.readInt32LE(12) === SCM_RIGHTS;
  // No room for it in this process's descriptor table.
  return donated ? c.readInt32LE(CMSG_HEADER) : -EMFILE;
}
