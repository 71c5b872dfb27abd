/** Connections to the launcher's processes that open sockets for the sentry (launcher-opener.c); launcher.h has the requests. */
import { ENFILE } from '../abi/errno.ts';
import { madeForGuest } from './descriptors.ffi.ts';
import { pollFor } from './file-io.ffi.ts';
import { HostBuffer } from './memory.ffi.ts';
import { recvMessage, send, sendControl, type HostMessage } from './net.ffi.ts';

export const REQUEST_SOCKET = 1;
export const REQUEST_NETWORK = 2;
export const REQUEST_FORGET = 3;
export const REQUEST_BIND = 4;
export const REQUEST_ROUTE = 5;
export const REQUEST_IFREQ = 6;
export const REQUEST_OPTION = 7;
export const REQUEST_TUN = 8;
export const REQUEST_TUN_SET = 9;
export const REQUEST_PROC = 10;
/** The networker's number of the sandbox's own network. */
export const OWN_NETWORK = 64;
/** What the networker calls network 0 in requests of rtnetlink(7): its descriptors. */
export const NETWORK_FD = 100;

const POLLIN = 1;
/** An opener makes a few system calls for an answer. */
const ANSWER_MS = 2000;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_CMSG_CLOEXEC = 0x40000000;
const CMSG_HEADER = 16;
const CONTROL_ROOM = 24;
const EPERM = 1;
const EMSGSIZE = 90;
/** Offset and size of struct request's data. */
const DATA = 20;
const DATA_MAX = 1024;

const request = new HostBuffer(DATA + DATA_MAX);
/** A result and ANSWER_MAX bytes. */
const reply = new HostBuffer(4 + 256);
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

  /** What the last answer carried beside its result. */
  answer: Buffer = Buffer.alloc(0);

  /** A non-blocking socket or −errno; EPERM without an opener, or when it is gone. */
  socket(network: number, domain: number, type: number, protocol: number): number {
    const r = this.ask(REQUEST_SOCKET, network, [domain, type, protocol]);
    return r < 0 ? r : this.donated();
  }

  /** The descriptor that came with the last answer, or −errno. */
  donated(): number {
    const c = Buffer.from(message.control);
    const there =
      c.length >= CMSG_HEADER + 4 && c.readInt32LE(8) === SOL_SOCKET && c.readInt32LE(12) === SCM_RIGHTS;
    // No room for it in this process's descriptor table.
    return there ? madeForGuest(c.readInt32LE(CMSG_HEADER)) : -ENFILE;
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
    const got = recvMessage(this.fd, reply.addr, reply.size, MSG_CMSG_CLOEXEC, CONTROL_ROOM, message);
    if (got < 4) return -EPERM;
    this.answer = Buffer.from(reply.bytes.subarray(4, got));
    return reply.i32[0]!;
  }
}
