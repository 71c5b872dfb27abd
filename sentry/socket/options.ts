/** SOL_SOCKET options of sockets that live in the sentry (net/core/sock.c sk_getsockopt, sk_setsockopt). */
import {
  EACCES,
  EBADF,
  EDOM,
  EINVAL,
  ENODATA,
  ENODEV,
  ENOENT,
  ENOPROTOOPT,
  EOPNOTSUPP,
  EPERM,
} from '../abi/errno.ts';
import * as S from '../abi/socket.ts';
import { CAP_NET_ADMIN, CAP_NET_RAW } from '../auth/capability.ts';
import { deviceList } from '../fsimpl/net-devices.ts';
import type { BpfProgram } from '../lib/bpf.ts';
import type { CallContext } from '../vfs/call-context.ts';
import { loadSocketFilter, runSocketFilter } from './socket-filter.ts';
import { intValue, putInt, putTimeout, timeoutValue, type Socket } from './socket.ts';

const SOCK_MIN_SNDBUF = 4608;
const SOCK_MIN_RCVBUF = 2304;
/** net.core.wmem_max, rmem_max */
const BUFFER_MAX = 212992;
const INT_MAX = 0x7fffffff;
/** SKF_AD_MAX: SO_BPF_EXTENSIONS */
const BPF_EXTENSIONS = 64;
const IFNAMSIZ = 16;
const CLOCK_MONOTONIC = 1;
/** SOF_TXTIME_DEADLINE_MODE, REPORT_ERRORS */
const TXTIME_FLAGS = 3;
const TIMESTAMPING_MASK = 0x7ffff;
const TIMESTAMPING_OPT_ID = 0x80;
const TIMESTAMPING_OPT_ID_TCP = 0x10000;
/** SOCK_SNDBUF_LOCK | SOCK_RCVBUF_LOCK */
const BUF_LOCKS = 3;

/** Options that are only remembered. */
const FLAGS: ReadonlySet<number> = new Set([
  S.SO_DEBUG, S.SO_REUSEADDR, S.SO_DONTROUTE, S.SO_BROADCAST, S.SO_KEEPALIVE, S.SO_OOBINLINE, S.SO_NO_CHECK,
  S.SO_REUSEPORT, S.SO_PASSCRED, S.SO_PASSSEC, S.SO_RXQ_OVFL, S.SO_WIFI_STATUS, S.SO_NOFCS, S.SO_LOCK_FILTER,
  S.SO_SELECT_ERR_QUEUE, S.SO_PREFER_BUSY_POLL, S.SO_RCVMARK, S.SO_PASSPIDFD, S.SO_RCVPRIORITY, S.SO_PASSRIGHTS,
]); // prettier-ignore
/** One of them at a time (sock_set_timestamp). */
const TIMESTAMPS: ReadonlySet<number> = new Set([
  S.SO_TIMESTAMP,
  S.SO_TIMESTAMPNS,
  S.SO_TIMESTAMP_NEW,
  S.SO_TIMESTAMPNS_NEW,
]);
/** Numbers that are only remembered: what they may be, and what is said otherwise. */
const NUMBERS: ReadonlySet<number> = new Set([S.SO_BUSY_POLL, S.SO_BINDTOIFINDEX, S.SO_BUF_LOCK]);
/** Of AF_UNIX only. */
const UNIX_ONLY: ReadonlySet<number> = new Set([S.SO_PEEK_OFF, S.SO_PASSPIDFD, S.SO_PASSRIGHTS]);
const UNSUPPORTED: ReadonlySet<number> = new Set([S.SO_TXREHASH]);

let lastCookie = 0;

export class SocketOptions {
  sndbuf = S.DEFAULT_BUFFER;
  rcvbuf = S.DEFAULT_BUFFER;
  error = 0;
  /** SO_PEEK_OFF; −1: none. */
  peekOff = -1;
  private readonly flags = new Map<number, number>();
  /** SO_TIMESTAMP, TIMESTAMPNS, or their _NEW; 0: none. */
  timestamp = 0;
  private timestamping = 0;
  private lingerOn = 0;
  private lingerSec = 0;
  private priority = 0;
  private rcvlowat = 1;
  private mark = 0;
  private cpu = -1;
  private pacing = 0xffffffff;
  private device = '';
  private readonly txtime = Buffer.alloc(8);
  private cookie = 0;
  private code: Uint8Array | null = null;
  private program: BpfProgram | null = null;

  private flag(name: number): number {
    return this.flags.get(name) ?? (name === S.SO_PASSRIGHTS ? 1 : 0);
  }

  get passCred(): boolean {
    return this.flag(S.SO_PASSCRED) !== 0;
  }

  get oobInline(): boolean {
    return this.flag(S.SO_OOBINLINE) !== 0;
  }

  /** What an accepted unix socket has of its listener: sk_scm_recv_flags. */
  inherit(listener: SocketOptions): void {
    for (const name of [S.SO_PASSCRED, S.SO_PASSPIDFD, S.SO_PASSSEC, S.SO_PASSRIGHTS]) {
      this.flags.set(name, listener.flag(name));
    }
  }

  get passPidfd(): boolean {
    return this.flag(S.SO_PASSPIDFD) !== 0;
  }

  get passRights(): boolean {
    return this.flag(S.SO_PASSRIGHTS) !== 0;
  }

  /** SO_ERROR: reads and clears. */
  takeError(): number {
    const e = this.error;
    this.error = 0;
    return e;
  }

  /** SO_ATTACH_FILTER: instructions, which are checked here. Groups of ports (SO_ATTACH_REUSEPORT_CBPF) have internet sockets only. */
  attachFilter(name: number, code: Uint8Array): number {
    if (this.flag(S.SO_LOCK_FILTER) !== 0) return -EPERM;
    const program = loadSocketFilter(code);
    if (program === null || name !== S.SO_ATTACH_FILTER) return -EINVAL;
    this.code = Uint8Array.from(code);
    this.program = program;
    return 0;
  }

  getFilter(): Uint8Array {
    return this.code ?? new Uint8Array(0);
  }

  /** sk_filter(): the part of a message that is kept, null: nothing. `protocol`: skb->protocol. */
  filter<T extends Uint8Array>(data: T, protocol = 0): T | null {
    if (this.program === null) return data;
    const kept = runSocketFilter(this.program, data, protocol);
    return kept === 0 ? null : kept < data.length ? (data.subarray(0, kept) as T) : data;
  }

  private detachFilter(): number {
    if (this.flag(S.SO_LOCK_FILTER) !== 0) return -EPERM;
    if (this.code === null) return -ENOENT;
    this.code = this.program = null;
    return 0;
  }

  get(s: Socket, listening: boolean, name: number, out: Buffer, len: number): number {
    if (s.domain !== S.AF_UNIX && UNIX_ONLY.has(name)) return -EOPNOTSUPP;
    if (FLAGS.has(name) || NUMBERS.has(name)) return putInt(out, len, this.flag(name));
    if (TIMESTAMPS.has(name)) return putInt(out, len, this.timestamp === name ? 1 : 0);
    if (UNSUPPORTED.has(name)) return -EOPNOTSUPP;
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
      case S.SO_MARK:
        return putInt(out, len, this.mark);
      case S.SO_PEEK_OFF:
        return putInt(out, len, this.peekOff);
      case S.SO_INCOMING_CPU:
        return putInt(out, len, this.cpu);
      case S.SO_BPF_EXTENSIONS:
        return putInt(out, len, BPF_EXTENSIONS);
      case S.SO_BSDCOMPAT:
      case S.SO_NAPI_ID:
      case S.SO_ZEROCOPY:
      case S.SO_RESERVE_MEM:
        return putInt(out, len, 0);
      case S.SO_LINGER:
        return putWords(out, len, [this.lingerOn, this.lingerSec]);
      case S.SO_TIMESTAMPING:
      case S.SO_TIMESTAMPING_NEW:
        return putWords(out, len, [this.timestamping, 0]);
      case S.SO_MAX_PACING_RATE:
        if (len < 8) return putInt(out, len, this.pacing | 0);
        return putWords(out, len, [this.pacing, this.pacing === 0xffffffff ? 0xffffffff : 0]);
      case S.SO_TXTIME:
        this.txtime.copy(out);
        return Math.min(len, 8);
      case S.SO_MEMINFO:
        return putWords(out, len, [0, this.rcvbuf, 0, this.sndbuf, 0, 0, 0, 0, 0]);
      case S.SO_COOKIE:
        if (len < 8) return -EINVAL;
        this.cookie ||= ++lastCookie;
        return putWords(out, len, [this.cookie, 0]);
      case S.SO_NETNS_COOKIE:
        return len === 8 ? putWords(out, len, [s.net?.ino ?? 1, 0]) : -EINVAL;
      case S.SO_BINDTODEVICE:
        if (this.device === '') return 0;
        return len < IFNAMSIZ ? -EINVAL : out.write(`${this.device}\0`, 0, 'latin1');
      case S.SO_PEERNAME: {
        const peer = s.getName(true);
        if (typeof peer === 'number') return peer;
        if (peer.length < len) return -EINVAL;
        out.set(peer);
        return len;
      }
      case S.SO_PEERCRED:
        return putWords(out, len, [0, 0xffffffff, 0xffffffff]);
      case S.SO_PEERGROUPS:
      case S.SO_PEERPIDFD:
        return -ENODATA;
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
    if (name === S.SO_BINDTODEVICE) return this.bindToDevice(t, s, value);
    const v = intValue(value);
    if (v === null) return -EINVAL;
    if (name === S.SO_RCVTIMEO || name === S.SO_RCVTIMEO_NEW) return this.setTimeout(s, false, value);
    if (name === S.SO_SNDTIMEO || name === S.SO_SNDTIMEO_NEW) return this.setTimeout(s, true, value);
    if (s.domain !== S.AF_UNIX && UNIX_ONLY.has(name)) return -EOPNOTSUPP;
    if (UNSUPPORTED.has(name)) return -EOPNOTSUPP;
    const may = (cap: number): boolean => t.creds.hasIn(cap, s.net?.owner ?? null);
    if (FLAGS.has(name)) return this.setFlag(name, v !== 0, may(CAP_NET_ADMIN));
    if (TIMESTAMPS.has(name)) {
      this.timestamp = v !== 0 ? name : 0;
      return 0;
    }
    switch (name) {
      case S.SO_SNDBUFFORCE:
      case S.SO_RCVBUFFORCE:
        if (!t.creds.has(CAP_NET_ADMIN)) return -EPERM;
        return this.setBuffer(name === S.SO_SNDBUFFORCE, Math.max(0, v));
      case S.SO_SNDBUF:
      case S.SO_RCVBUF:
        return this.setBuffer(name === S.SO_SNDBUF, Math.min(v >>> 0, BUFFER_MAX));
      case S.SO_PRIORITY:
        if ((v < 0 || v > 6) && !may(CAP_NET_RAW) && !may(CAP_NET_ADMIN)) return -EPERM;
        this.priority = v;
        return 0;
      case S.SO_RCVLOWAT:
        this.rcvlowat = v < 0 ? INT_MAX : v === 0 ? 1 : v;
        return 0;
      case S.SO_MARK:
        if (!may(CAP_NET_RAW) && !may(CAP_NET_ADMIN)) return -EPERM;
        this.mark = v;
        return 0;
      case S.SO_PEEK_OFF:
        this.peekOff = v;
        return 0;
      case S.SO_INCOMING_CPU:
        this.cpu = v;
        return 0;
      case S.SO_BSDCOMPAT:
      case S.SO_CNX_ADVICE:
        return 0;
      case S.SO_LINGER:
        if (value.length < 8) return -EINVAL;
        this.lingerOn = v !== 0 ? 1 : 0;
        if (v !== 0) this.lingerSec = value.readInt32LE(4);
        return 0;
      case S.SO_TIMESTAMPING:
      case S.SO_TIMESTAMPING_NEW:
        if ((v & ~TIMESTAMPING_MASK) !== 0) return -EINVAL;
        if ((v & TIMESTAMPING_OPT_ID_TCP) !== 0 && (v & TIMESTAMPING_OPT_ID) === 0) return -EINVAL;
        this.timestamping = v;
        return 0;
      case S.SO_MAX_PACING_RATE:
        this.pacing = v >>> 0;
        return 0;
      case S.SO_TXTIME:
        return this.setTxtime(value, may(CAP_NET_ADMIN));
      case S.SO_BUSY_POLL:
        return v < 0 ? -EINVAL : this.remember(name, v);
      case S.SO_BUSY_POLL_BUDGET:
        return v > 0 && !may(CAP_NET_ADMIN) ? -EPERM : v < 0 || v > 65535 ? -EINVAL : 0;
      case S.SO_BINDTOIFINDEX:
        if (this.flag(name) !== 0 && !may(CAP_NET_RAW)) return -EPERM;
        return v < 0 ? -EINVAL : this.remember(name, v);
      case S.SO_BUF_LOCK:
        return (v & ~BUF_LOCKS) !== 0 ? -EINVAL : this.remember(name, v);
      case S.SO_RESERVE_MEM:
        return v < 0 ? -EINVAL : -EOPNOTSUPP;
      case S.SO_ZEROCOPY:
        return -EOPNOTSUPP;
      case S.SO_DETACH_FILTER:
        return this.detachFilter();
      case S.SO_DETACH_REUSEPORT_BPF:
        return -EINVAL;
      case S.SO_DEVMEM_DONTNEED:
        return -EBADF;
      default:
        return -ENOPROTOOPT;
    }
  }

  private remember(name: number, value: number): number {
    this.flags.set(name, value);
    return 0;
  }

  private setFlag(name: number, on: boolean, admin: boolean): number {
    if (name === S.SO_DEBUG && on && !admin) return -EACCES;
    // Ports of internet sockets only.
    if (name === S.SO_REUSEPORT && on) return -EOPNOTSUPP;
    if (name === S.SO_PREFER_BUSY_POLL && on && !admin) return -EPERM;
    if (name === S.SO_LOCK_FILTER && !on && this.flag(name) !== 0) return -EPERM;
    return this.remember(name, on ? 1 : 0);
  }

  private setTxtime(value: Buffer, admin: boolean): number {
    if (value.length !== 8 || (value.readUInt32LE(4) & ~TXTIME_FLAGS) !== 0) return -EINVAL;
    if (value.readInt32LE(0) !== CLOCK_MONOTONIC && !admin) return -EPERM;
    value.copy(this.txtime);
    return 0;
  }

  private bindToDevice(t: CallContext, s: Socket, value: Buffer): number {
    if (this.device !== '' && !t.creds.hasIn(CAP_NET_RAW, s.net?.owner ?? null)) return -EPERM;
    const name = value.toString('latin1', 0, Math.min(value.length, IFNAMSIZ - 1)).split('\0')[0]!;
    if (name !== '' && !deviceList(s.net).some((d) => d.name === name)) return -ENODEV;
    this.device = name;
    return 0;
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

/** Writes a struct of words, cut to `len` bytes. */
function putWords(out: Buffer, len: number, words: readonly number[]): number {
  words.forEach((w, i) => out.writeUInt32LE(w >>> 0, 4 * i));
  return Math.min(len, 4 * words.length);
}
