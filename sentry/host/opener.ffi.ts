/** Connections to the launcher's processes that open sockets for the sentry (launcher-opener.c); launcher.h has the requests. */
import { pollFor } from './file-io.ffi.ts';
import { HostBuffer } from './memory.ffi.ts';
import { recvMessage, send, sendControl, type HostMessage } from './net.ffi.ts';

export const REQUEST_SOCKET = 1;
export const REQUEST_NETWORK = 2;
export const REQUEST_FORGET = 3;
export const REQUEST_BIND = 4;
export const REQUEST_ROUTE = 5;
export const REQUEST_IFREQ = 6;

const POLLIN = 1;
/** An opener makes a few system calls for an answer. */
const ANSWER_MS = 2000;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_CMSG_CLOEXEC = 0x40000000;
const CMSG_HEADER = 16;
const CONTROL_ROOM = 24;
const EPERM = 1;
const EMFILE = 24;
const EMSGSIZE = 90;
/** Offset and size of struct request's data. */
const DATA = 20;
const DATA_MAX = 1024;

const request = new HostBuffer(DATA + DATA_MAX);
const reply = new HostBuffer(4);
const message: HostMessage = { name: new Uint8Array(0), control: new Uint8Array(0), flags: 0 };
const NO_ARGS: readonly number[] = [];

/** A descriptor to go along with a request. */
function rights(fd: number): Buffer {
  const c = Buffer.alloc(CONTROL_ROOM);
  c.writeUInt32LE(CMSG_HEADER + 4, 0);
  c.writeInt32LE(SOL_SOCKET, 8);
  c.writeInt32LE(SCM_RIGHTS, 12);
  c.writeInt32LE(fd, CMSG_HEADER);
  return c;
}

export class Opener {
  private fd: number;

  /** `fd`: the connection, which is taken over; −1: there is no opener. */
  constructor(fd: number) {
    this.fd = fd;
  }

  /** A non-blocking socket or −errno; EPERM without an opener, or when it is gone. */
  socket(network: number, domain: number, type: number, protocol: number): number {
    const r = this.ask(REQUEST_SOCKET, network, [domain, type, protocol]);
    if (r < 0) return r;
    const c = Buffer.from(message.control);
    const donated =
      c.length >= CMSG_HEADER + 4 && c.readInt32LE(8) === SOL_SOCKET && c.readInt32LE(12) === SCM_RIGHTS;
    // No room for it in this process's descriptor table.
    return donated ? c.readInt32LE(CMSG_HEADER) : -EMFILE;
  }

  /** 0 or −errno. `sent`: a descriptor that the request is about. */
  ask(op: number, network: number, args = NO_ARGS, data: Uint8Array | null = null, sent = -1): number {
    if (this.fd < 0) return -EPERM;
    const size = data === null ? 0 : data.length;
    if (size > DATA_MAX) return -EMSGSIZE;
    request.i32[0] = op;
    request.i32[1] = network;
    for (let i = 0; i < 3; i++) request.i32[2 + i] = args[i] ?? 0;
    if (data !== null) request.bytes.set(data, DATA);
    const length = DATA + size;
    const n =
      sent < 0
        ? send(this.fd, request.addr, length, 0, null)
        : sendControl(this.fd, request.addr, length, 0, null, rights(sent));
    if (n !== length) return -EPERM;
    if (pollFor(this.fd, POLLIN, ANSWER_MS) <= 0) {
      // What comes late would be taken for the answer to another request.
      this.fd = -1;
      return -EPERM;
    }
    if (recvMessage(this.fd, reply.addr, 4, MSG_CMSG_CLOEXEC, CONTROL_ROOM, message) !== 4) return -EPERM;
    return reply.i32[0]!;
  }
}
