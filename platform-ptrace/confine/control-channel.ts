/** One end of the control socket between the launcher and the sentry or the gofer. Message types: launcher-protocol.ts. */
import { EAGAIN, EINTR } from '../../sentry/abi/errno.ts';
import { HostBuffer } from '../../sentry/host/memory.ffi.ts';
import { hostSyscall } from '../../sentry/host/sys.ffi.ts';
import { MAX_TEXT, MSG_GO, MSG_PING, MSG_PONG, MSG_READY, MSG_SIZE } from './launcher-protocol.ts';

const SYS_sendto = 44;
const SYS_recvfrom = 45;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;

/** Results of `receive` beside a message's type (> 0). */
export const NOTHING = 0;
export const CLOSED = -1;

export class ControlChannel {
  readonly fd: number;
  /** Value of the message that `receive` has just returned. */
  value = 0;
  readonly #buffer = new HostBuffer(MSG_SIZE);

  constructor(fd: number) {
    this.fd = fd;
  }

  /** False if the launcher is gone. */
  send(type: number, value: number): boolean {
    this.#buffer.i32[0] = type;
    this.#buffer.i32[1] = value;
    return hostSyscall(SYS_sendto, this.fd, this.#buffer.addr, MSG_SIZE, MSG_NOSIGNAL, 0, 0) === MSG_SIZE;
  }

  /** A message with text behind it (at most MAX_TEXT bytes). */
  sendText(type: number, value: number, text: string): void {
    const body = Buffer.from(text).subarray(0, MAX_TEXT);
    const message = new HostBuffer(MSG_SIZE + body.length);
    message.i32[0] = type;
    message.i32[1] = value;
    message.bytes.set(body, MSG_SIZE);
    hostSyscall(SYS_sendto, this.fd, message.addr, message.size, MSG_NOSIGNAL, 0, 0);
  }

  /** Answers pings by itself. Type of the next message, its value in `value`; NOTHING if none is queued (only without `wait`), or CLOSED. */
  receive(wait = false): number {
    for (;;) {
      const flags = wait ? 0 : MSG_DONTWAIT;
      const n = hostSyscall(SYS_recvfrom, this.fd, this.#buffer.addr, MSG_SIZE, flags, 0, 0);
      if (n === -EINTR) continue;
      if (n === -EAGAIN) return NOTHING;
      if (n !== MSG_SIZE) return CLOSED;
      const type = this.#buffer.i32[0]!;
      this.value = this.#buffer.i32[1]!;
      if (type !== MSG_PING) return type;
      this.send(MSG_PONG, this.value);
    }
  }

  /**
   * Says that nothing more is needed from the host's file system, and waits until it is gone. That takes some milliseconds, in
   * which `meanwhile` is done. False: give up.
   */
  waitForPivot(meanwhile: () => void = () => {}): boolean {
    if (!this.send(MSG_READY, 0)) return false;
    meanwhile();
    return this.receive(true) === MSG_GO;
  }
}
