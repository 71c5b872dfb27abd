/**
 * The sentry's end of the connection: one request, one reply, with a deadline. A gofer that died, does not answer
 * or breaks the protocol is gone for good.
 */
import { EAGAIN, EINTR } from '../../sentry/abi/errno.ts';
import { HostBuffer } from '../../sentry/host/memory.ffi.ts';
import { close } from '../../sentry/host/sys.ffi.ts';
import {
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLRDHUP,
  pollOne,
  receivePacket,
  receivePacketWithFd,
  receivedBadControl,
  receivedFd,
  sendPacket,
  setSocketTimeout,
} from '../protocol/socket.ffi.ts';
import { MESSAGE_MAX } from '../protocol/layout.ts';

export interface Channel {
  readonly request: HostBuffer;
  readonly reply: HostBuffer;
  readonly pollFd: number;
  /** Descriptor that came with the last reply; the taker's to close. −1 if none, −ENFILE if there was no room for it. */
  donatedFd: number;
  /** Sends `length` bytes of `request`. Length of the packet now in `reply`, or −1 if there is none. */
  roundTrip(length: number, mayDonate: boolean): number;
  /** True if the other end has closed the connection or sent what nobody asked for. */
  isBroken(): boolean;
  close(): void;
}

/** Seconds a gofer may take for an answer. */
export const REPLY_TIMEOUT_S = 30;
/**
 * After a pause of the whole sandbox (cgroup freezer) the deadline may be over although the gofer had no time: it
 * gets this much more.
 */
const GRACE_S = 5;

export class SocketChannel implements Channel {
  readonly request = new HostBuffer(MESSAGE_MAX);
  readonly reply = new HostBuffer(MESSAGE_MAX);
  readonly pollFd: number;
  donatedFd = -1;

  /** Takes over `socket`. Must be made before the sentry gives up setsockopt(2). */
  constructor(socket: number, timeoutS = REPLY_TIMEOUT_S) {
    this.pollFd = socket;
    setSocketTimeout(socket, timeoutS);
  }

  roundTrip(length: number, mayDonate: boolean): number {
    this.donatedFd = -1;
    let n: number;
    do n = sendPacket(this.pollFd, this.request.addr, length);
    while (n === -EINTR);
    if (n !== length) return -1;
    n = this.receive(mayDonate);
    if (n === -EAGAIN && pollOne(this.pollFd, POLLIN, GRACE_S * 1000) > 0) n = this.receive(mayDonate);
    if (n <= 0) return -1;
    if (mayDonate) {
      if (receivedBadControl) return -1;
      this.donatedFd = receivedFd;
    }
    return n;
  }

  private receive(mayDonate: boolean): number {
    for (;;) {
      const n = mayDonate
        ? receivePacketWithFd(this.pollFd, this.reply.addr, MESSAGE_MAX)
        : receivePacket(this.pollFd, this.reply.addr, MESSAGE_MAX);
      if (n !== -EINTR) return n;
    }
  }

  isBroken(): boolean {
    // Between requests nothing may arrive: also unasked data counts.
    const events = pollOne(this.pollFd, POLLIN | POLLRDHUP, 0);
    return events > 0 && (events & (POLLIN | POLLHUP | POLLRDHUP | POLLERR)) !== 0;
  }

  close(): void {
    close(this.pollFd);
  }
}
