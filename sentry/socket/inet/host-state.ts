/** What the host tells of one of its sockets. */
import * as S from '../../abi/socket.ts';
import { ioctl } from '../../host/file-io.ffi.ts';
import { HostBuffer } from '../../host/memory.ffi.ts';
import { getsockopt } from '../../host/net.ffi.ts';
import type { QueueLengths } from '../socket.ts';

const IPPROTO_TCP = 6;
const TCP_INFO = 11;
/** Values of tcpi_state (net/tcp_states.h). */
const TCP_FIN_WAIT1 = 4;
export const TCP_CLOSE = 7;
const TCP_LAST_ACK = 9;
const TCP_LISTEN = 10;
const TCP_CLOSING = 11;

const answer = Buffer.alloc(104);
const word = new HostBuffer(8);

/** tcpi_state; 0: it is not of TCP. */
export function hostTcpState(hostFd: number): number {
  return getsockopt(hostFd, IPPROTO_TCP, TCP_INFO, answer, answer.length) < 32 ? 0 : answer[0]!;
}

/** sk_stream_closing() */
export function isClosing(hostFd: number): boolean {
  const state = hostTcpState(hostFd);
  return state === TCP_FIN_WAIT1 || state === TCP_LAST_ACK || state === TCP_CLOSING;
}

/** SO_ERROR, which is gone then. */
export function takeHostError(hostFd: number): number {
  const got = getsockopt(hostFd, S.SOL_SOCKET, S.SO_ERROR, answer, 4);
  return got < 4 ? 0 : answer.readInt32LE(0);
}

/** Where a peek begins that is answered with the length of the whole message. */
export function peekOffset(hostFd: number, flags: number): number {
  const both = S.MSG_PEEK | S.MSG_TRUNC;
  if ((flags & both) !== both) return 0;
  const got = getsockopt(hostFd, S.SOL_SOCKET, S.SO_PEEK_OFF, answer, 4);
  return got < 4 ? 0 : Math.max(0, answer.readInt32LE(0));
}

export function hostQueueLengths(hostFd: number, stream: boolean): QueueLengths {
  if (!stream) {
    // u32[]: SK_MEMINFO_RMEM_ALLOC, RCVBUF, WMEM_ALLOC, …
    const got = getsockopt(hostFd, S.SOL_SOCKET, S.SO_MEMINFO, answer, answer.length);
    return got < 12 ? { rx: 0, tx: 0 } : { rx: answer.readUInt32LE(0), tx: answer.readUInt32LE(8) };
  }
  // tcpi_unacked and tcpi_sacked of a listener (tcp_get_info)
  if (hostTcpState(hostFd) === TCP_LISTEN)
    return { rx: answer.readUInt32LE(24), tx: answer.readUInt32LE(28) };
  const rx = ioctl(hostFd, S.SIOCINQ, word.addr) < 0 ? 0 : word.u32[0]!;
  const tx = ioctl(hostFd, S.SIOCOUTQ, word.addr) < 0 ? 0 : word.u32[0]!;
  return { rx, tx };
}
