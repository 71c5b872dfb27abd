/** Sending on AF_UNIX sockets: unix_stream_sendmsg(), unix_dgram_sendmsg() and queue_oob() (net/unix/af_unix.c). */
import {
  EAGAIN,
  ECONNREFUSED,
  EINVAL,
  EISCONN,
  EMSGSIZE,
  ENOBUFS,
  ENOTCONN,
  EOPNOTSUPP,
  EPERM,
  EPIPE,
} from '../../abi/errno.ts';
import * as S from '../../abi/socket.ts';
import type { Task } from '../../kernel/task.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import { EPOLLPRI } from '../../waiter/wait-queue.ts';
import type { SendInfo } from '../socket.ts';
import { parseUnixAddress } from './address.ts';
import { queuesAreFull, READ_EVENTS, wantsCreds, type UnixEndpoint } from './endpoint.ts';
import { addInFlight, collectGarbage, inFlightTotal } from './in-flight.ts';
import { datagramTruesize, STREAM_MESSAGE_MAX, streamTruesize, UnixMessage, wallTime } from './message.ts';

/** The address given, null without one: a length of 0 is none. */
function nameOf(info: SendInfo | null): Uint8Array | null {
  return info === null || info.name === null || info.name.length === 0 ? null : info.name;
}

/** A private copy (a slice of a Buffer would not be one). */
function copyOf(buf: Uint8Array, off: number, len: number): Uint8Array {
  const data = new Uint8Array(len);
  data.set(buf.subarray(off, off + len));
  return data;
}

function deliver(
  t: CallContext,
  s: UnixEndpoint,
  other: UnixEndpoint,
  data: Uint8Array,
  truesize: number,
  info: SendInfo | null,
): UnixMessage {
  let creds = info === null ? null : info.creds;
  if (creds === null && (wantsCreds(s.options) || wantsCreds(other.options))) {
    creds = { pid: t.tgid, uid: t.creds.uid, gid: t.creds.gid, process: (t as Task).group?.pid };
  }
  const fds = info === null ? null : info.fds;
  const m = new UnixMessage(data, truesize, fds, t.creds.uid, creds, s);
  if (fds !== null) {
    info!.fds = null;
    addInFlight(m, (t as Task).kernel);
  }
  if (!other.stream && other.options.timestamp !== 0) m.stamp = wallTime(t);
  s.charge(m);
  other.queue.push(m);
  other.queuedBytes += data.length;
  if (fds !== null && inFlightTotal() > 256) collectGarbage();
  return m;
}

/** SO_PASSRIGHTS of the receiver. */
function refusesRights(other: UnixEndpoint, info: SendInfo | null): boolean {
  return info !== null && info.fds !== null && !other.options.passRights;
}

/** The one byte of MSG_OOB, in a message of its own. */
function deliverUrgent(t: CallContext, s: UnixEndpoint, other: UnixEndpoint, byte: number): void {
  other.urgent = deliver(t, s, other, Uint8Array.of(byte), streamTruesize(1), null);
  other.waiters.wake(READ_EVENTS | EPOLLPRI);
}

/** Bytes of one message of a stream: "Keep two messages in the pipe so it schedules better". */
export function streamMost(sndbuf: number): number {
  return Math.min(STREAM_MESSAGE_MAX, Math.floor(sndbuf / 2) - 64);
}

export function sendStream(
  t: CallContext,
  s: UnixEndpoint,
  buf: Uint8Array,
  off: number,
  len: number,
  flags: number,
  info: SendInfo | null,
): number {
  const urgent = (flags & S.MSG_OOB) !== 0;
  if (urgent && len === 0) return -EOPNOTSUPP;
  if (nameOf(info) !== null) return s.state === 'connected' ? -EISCONN : -EOPNOTSUPP;
  const other = s.peer;
  if (other === null) return -ENOTCONN;
  // Who has waited for room, or for a page of it, hears of an error before an end (sock_alloc_send_pskb).
  const ended = (s.shut & S.SEND_SHUTDOWN) !== 0;
  if (len > 0 && (!ended || (t as Task).blockState !== null)) {
    const e = s.options.takeError();
    if (e !== 0) return -e;
  }
  if (ended || other.released || (other.shut & S.RCV_SHUTDOWN) !== 0) return -EPIPE;
  if (refusesRights(other, info)) return -EPERM;
  if (len === 0) return 0;
  const { sndbuf } = s.options;
  const plain = urgent ? len - 1 : len;
  // Descriptors go with the first message.
  const most = streamMost(sndbuf);
  let sent = 0;
  while (sent < plain) {
    if (s.charged >= sndbuf) return sent > 0 ? sent : -EAGAIN;
    if (queuesAreFull()) return sent > 0 ? sent : -ENOBUFS;
    const n = Math.min(plain - sent, most);
    deliver(t, s, other, copyOf(buf, off + sent, n), streamTruesize(n), info);
    other.waiters.wake(READ_EVENTS);
    sent += n;
  }
  if (!urgent) return sent;
  if (s.charged >= sndbuf) return sent > 0 ? sent : -EAGAIN;
  deliverUrgent(t, s, other, buf[off + sent]!);
  return len;
}

/** Where a message without an address goes, or −errno. */
function defaultDestination(s: UnixEndpoint): UnixEndpoint | number {
  const other = s.peer;
  if (other === null) return -ENOTCONN;
  if (!other.released) return other;
  if (!s.connectionless) return -EPIPE;
  s.state = 'closed';
  s.setPeer(null);
  return -ECONNREFUSED;
}

export function sendMessage(
  t: CallContext,
  s: UnixEndpoint,
  buf: Uint8Array,
  off: number,
  len: number,
  flags: number,
  info: SendInfo | null,
): number {
  const { options } = s;
  let name = nameOf(info);
  if (!s.connectionless) {
    const e = s.stateError();
    if (e < 0) return e;
    name = null;
  }
  if ((flags & S.MSG_OOB) !== 0) return -EOPNOTSUPP;
  if (name !== null) {
    const parsed = parseUnixAddress(name);
    if (typeof parsed === 'number') return parsed;
    if (parsed.kind === 'none') return -EINVAL;
  }
  if (s.connectionless && !s.bound && wantsCreds(options)) {
    const r = s.autobind();
    if (r < 0) return r;
  }
  if (len > options.sndbuf - 32) return -EMSGSIZE;
  const e = options.takeError();
  if (e !== 0) return -e;
  if ((s.shut & S.SEND_SHUTDOWN) !== 0) return -EPIPE;
  if (s.charged >= options.sndbuf) return -EAGAIN;
  if (queuesAreFull()) return -ENOBUFS;
  const other = name === null ? defaultDestination(s) : s.find(t, name);
  if (typeof other === 'number') return other;
  const data = other.options.filter(copyOf(buf, off, len));
  // The sender is not told.
  if (data === null) return len;
  // unix_may_send()
  if (other.peer !== null && other.peer !== s) return -EPERM;
  if ((other.shut & S.RCV_SHUTDOWN) !== 0) return -EPIPE;
  if (refusesRights(other, info)) return -EPERM;
  if (other.fullFor(s)) {
    other.blockedSenders.add(s);
    return -EAGAIN;
  }
  deliver(t, s, other, data, datagramTruesize(len), info);
  other.waiters.wake(READ_EVENTS);
  return len;
}
