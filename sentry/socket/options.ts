/** SOL_SOCKET options of sockets that live in the sentry (net/core/sock.c sk_getsockopt, sk_setsockopt). */
import { EDOM, EINVAL, ENOPROTOOPT, EPERM } from '../abi/errno.ts';
import * as S from '../abi/socket.ts';
import type { CallContext } from '../vfs/call-context.ts';
import { intValue, putInt, putTimeout, timeoutValue, type Socket } from './socket.ts';

const SOCK_MIN_SNDBUF = 4608;
const SOCK_MIN_RCVBUF = 2304;
/** net.core.wmem_max, rmem_max */
const BUFFER_MAX = 212992;

/** Options that are only remembered. */
const REMEMBERED = [
  S.SO_DEBUG,
  S.SO_REUSEADDR,
  S.SO_DONTROUTE,
  S.SO_BROADCAST,
  S.SO_KEEPALIVE,
  S.SO_OOBINLINE,
  S.SO_REUSEPORT,
  S.SO_TIMESTAMP,
  S.SO_PASSCRED,
];

export class SocketOptions {
  sndbuf = S.DEFAULT_BUFFER;
  rcvbuf = S.DEFAULT_BUFFER;
  error = 0;
  private readonly flags = new Map<number, number>();
  private lingerOn = 0;
  private lingerSec = 0;
  private priority = 0;
  private rcvlowat = 1;

  get passCred(): boolean {
    return (this.flags.get(S.SO_PASSCRED) ?? 0) !== 0;
  }

  /** SO_ERROR: reads and clears. */
  takeError(): number {
    const e = this.error;
    this.error = 0;
    return e;
  }

  get(s: Socket, listening: boolean, name: number, out: Buffer, len: number): number {
    if (REMEMBERED.includes(name)) return putInt(out, len, this.flags.get(name) ?? 0);
    switch (name) {
      case S.SO_TYPE:
        return putInt(out, len, s.type);
      case S.SO_DOMAIN:
        return putInt(out, len, s.domain);
      case S.SO_PROTOCOL:
        return putInt(out, len, s.protocol);
      case S.SO_ERROR:
        return putInt(out, len, this.takeError());
      case S.SO_ACCEPTCONN:
        return putInt(out, len, listening ? 1 : 0);
      case S.SO_SNDBUF:
        return putInt(out, len, this.sndbuf);
      case S.SO_RCVBUF:
        return putInt(out, len, this.rcvbuf);
      case S.SO_PRIORITY:
        return putInt(out, len, this.priority);
      case S.SO_RCVLOWAT:
        return putInt(out, len, this.rcvlowat);
      case S.SO_SNDLOWAT:
        return putInt(out, len, 1);
      case S.SO_LINGER:
        out.fill(0, 0, 8);
        out.writeInt32LE(this.lingerOn, 0);
        out.writeInt32LE(this.lingerSec, 4);
        return Math.min(len, 8);
      case S.SO_RCVTIMEO:
      case S.SO_RCVTIMEO_NEW:
        return putTimeout(out, len, s.recvTimeoutNs);
      case S.SO_SNDTIMEO:
      case S.SO_SNDTIMEO_NEW:
        return putTimeout(out, len, s.sendTimeoutNs);
      default:
        return -ENOPROTOOPT;
    }
  }

  set(t: CallContext, s: Socket, name: number, value: Buffer): number {
    if (name === S.SO_RCVTIMEO || name === S.SO_RCVTIMEO_NEW) return this.setTimeout(s, false, value);
    if (name === S.SO_SNDTIMEO || name === S.SO_SNDTIMEO_NEW) return this.setTimeout(s, true, value);
    const v = intValue(value);
    if (v === null) return -EINVAL;
    if (REMEMBERED.includes(name)) {
      this.flags.set(name, v !== 0 ? 1 : 0);
      return 0;
    }
    switch (name) {
      case S.SO_SNDBUFFORCE:
      case S.SO_RCVBUFFORCE:
        if (!t.creds.has(12)) return -EPERM;
        return this.setBuffer(name === S.SO_SNDBUFFORCE, Math.max(0, v));
      case S.SO_SNDBUF:
      case S.SO_RCVBUF:
        return this.setBuffer(name === S.SO_SNDBUF, Math.min(v >>> 0, BUFFER_MAX));
      case S.SO_PRIORITY:
        if (v < 0 || (v > 6 && !t.creds.has(12))) return -EPERM;
        this.priority = v;
        return 0;
      case S.SO_RCVLOWAT:
        this.rcvlowat = v <= 0 ? 1 : v;
        return 0;
      case S.SO_LINGER:
        if (value.length < 8) return -EINVAL;
        this.lingerOn = v !== 0 ? 1 : 0;
        this.lingerSec = value.readInt32LE(4);
        return 0;
      default:
        return -ENOPROTOOPT;
    }
  }

  private setBuffer(send: boolean, v: number): number {
    const size = Math.min(v, 16 * 1024 * 1024) * 2;
    if (send) this.sndbuf = Math.max(size, SOCK_MIN_SNDBUF);
    else this.rcvbuf = Math.max(size, SOCK_MIN_RCVBUF);
    return 0;
  }

  private setTimeout(s: Socket, send: boolean, value: Buffer): number {
    const ns = timeoutValue(value);
    if (ns < 0) return ns === -33 ? -EDOM : ns;
    if (send) s.sendTimeoutNs = ns;
    else s.recvTimeoutNs = ns;
    return 0;
  }
}
