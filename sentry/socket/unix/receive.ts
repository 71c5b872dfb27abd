/**
 * Receiving on AF_UNIX sockets: unix_stream_read_generic(), __unix_dgram_recvmsg(), manage_oob() (net/unix/af_unix.c) and the
 * offset of SO_PEEK_OFF (sk_peek_offset_fwd, sk_peek_offset_bwd).
 */
import { EAGAIN, EINVAL, ENOTCONN, EOPNOTSUPP } from '../../abi/errno.ts';
import { O_NONBLOCK } from '../../abi/fcntl.ts';
import * as S from '../../abi/socket.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { RecvInfo, UCred } from '../socket.ts';
import { wantsCreds, type UnixEndpoint } from './endpoint.ts';
import { takeInFlight } from './in-flight.ts';
import { wallTime, type UnixMessage } from './message.ts';

const NO_CREDS: UCred = { pid: 0, uid: 65534, gid: 65534 };

function giveInfo(s: UnixEndpoint, m: UnixMessage, info: RecvInfo, peek: boolean): void {
  if (m.fds !== null) {
    if (peek) for (const f of m.fds) f.ref();
    info.fds = peek ? m.fds : takeInFlight(m);
  }
  info.creds = s.options.passCred ? (m.creds ?? NO_CREDS) : null;
  info.sender = s.options.passPidfd ? (m.creds ?? NO_CREDS) : null;
}

/** Where a peek begins. */
function peekStart(s: UnixEndpoint, peek: boolean): number {
  return peek ? Math.max(0, s.options.peekOff) : 0;
}

/** `n` bytes were peeked at, or taken. */
function movePeek(s: UnixEndpoint, peek: boolean, n: number): void {
  const { options } = s;
  if (options.peekOff >= 0) options.peekOff = Math.max(0, options.peekOff + (peek ? n : -n));
}

function takeAt(s: UnixEndpoint, i: number): void {
  const m = s.queue.remove(i)!;
  s.dropFds(m);
  s.consumed(m);
}

/**
 * manage_oob(): which message a read that has come to the `i`th of the queue goes on with, −1: none now. A read ends before the
 * urgent byte; the next one leaves it out, or with SO_OOBINLINE begins with it.
 */
function pastUrgent(s: UnixEndpoint, i: number, peek: boolean, done: number): number {
  let m = s.queue.at(i)!;
  if (m.left > 0 && m !== s.urgent) return i;
  if (m.left === 0 && m.taken) {
    if (done > 0 && s.urgent === null) return -1;
    if (peek) i++;
    else takeAt(s, i);
    const next = s.queue.at(i);
    if (next === undefined) return -1;
    m = next;
  }
  if (m !== s.urgent) return i;
  if (done > 0) return -1;
  const inline = s.options.oobInline;
  if (!peek) {
    s.urgent = null;
    if (inline) return i;
    s.queuedBytes -= m.left;
    takeAt(s, i);
    return s.queue.length > i ? i : -1;
  }
  if (inline) return i;
  return s.queue.length > i + 1 ? i + 1 : -1;
}

/** unix_stream_recv_urg(): the byte is copied out of its message, which stays in its place as a mark. */
function recvUrgent(
  s: UnixEndpoint,
  buf: Uint8Array,
  off: number,
  len: number,
  peek: boolean,
  info: RecvInfo | null,
): number {
  const m = s.urgent;
  if (m === null || s.options.oobInline) return -EINVAL;
  if (len > 0) buf[off] = m.data[0]!;
  if (info !== null) info.msgFlags |= S.MSG_OOB;
  if (!peek) {
    s.urgent = null;
    m.off = 1;
    m.taken = true;
    s.queuedBytes -= 1;
    // Of marks in a row only the last one stays.
    let i = s.queue.length - 1;
    while (s.queue.at(i) !== m) i--;
    const before = i > 0 ? s.queue.at(i - 1) : undefined;
    if (before !== undefined && before.left === 0 && before.taken) takeAt(s, i - 1);
  }
  return Math.min(len, 1);
}

export function recvStream(
  s: UnixEndpoint,
  buf: Uint8Array,
  off: number,
  len: number,
  flags: number,
  info: RecvInfo | null,
): number {
  const peek = (flags & S.MSG_PEEK) !== 0;
  if (s.state !== 'connected') return -EINVAL;
  if ((flags & S.MSG_OOB) !== 0) return recvUrgent(s, buf, off, len, peek, info);
  let done = 0;
  let seen = false;
  let skip = peekStart(s, peek);
  let creds: UCred | null = null;
  // A peek looks at the next messages even when it has all it wants, up to one with descriptors.
  for (let i = 0; !seen || done < len || peek;) {
    if (i >= s.queue.length) break;
    i = pastUrgent(s, i, peek, done);
    if (i < 0) break;
    const m = s.queue.at(i)!;
    if (skip > 0 && skip >= m.left) {
      skip -= m.left;
      i++;
      continue;
    }
    if (seen && wantsCreds(s.options) && !sameCreds(creds, m.creds)) {
      if (info !== null) info.last = true;
      break;
    }
    creds = m.creds;
    const n = Math.min(len - done, m.left - skip);
    const from = m.off + skip;
    buf.set(m.data.subarray(from, from + n), off + done);
    done += n;
    const hadFds = m.fds !== null;
    if (info !== null) {
      if (!seen) info.name = m.sender.address;
      const before = info.fds;
      giveInfo(s, m, info, peek);
      if (before !== null && info.fds === null) info.fds = before;
      if (hadFds) info.last = true;
    } else if (!peek) s.dropFds(m);
    seen = true;
    movePeek(s, peek, n);
    if (peek) {
      skip = 0;
      i++;
    } else {
      m.off += n;
      s.queuedBytes -= n;
      if (m.left > 0) break;
      takeAt(s, i);
    }
    if (hadFds) break;
  }
  if (seen) return done;
  const e = s.options.takeError();
  if (e !== 0) return -e;
  return (s.shut & S.RCV_SHUTDOWN) !== 0 ? 0 : -EAGAIN;
}

/** Which message a datagram's receive means, and in `start` where in it (__skb_try_recv_from_queue). −1: none. */
let start = 0;
function messageAt(s: UnixEndpoint, peek: boolean): number {
  start = peekStart(s, peek);
  if (!peek || s.options.peekOff < 0) return s.queue.length > 0 ? 0 : -1;
  for (let i = 0; i < s.queue.length; i++) {
    const m = s.queue.at(i)!;
    if (start < m.data.length || (start === 0 && !m.taken)) {
      if (m.data.length === 0) m.taken = true;
      return i;
    }
    start -= m.data.length;
  }
  return -1;
}

export function recvMessage(
  t: CallContext,
  s: UnixEndpoint,
  buf: Uint8Array,
  off: number,
  len: number,
  flags: number,
  info: RecvInfo | null,
): number {
  if (!s.connectionless && s.state !== 'connected') return -ENOTCONN;
  if ((flags & S.MSG_OOB) !== 0) return -EOPNOTSUPP;
  const e = s.options.takeError();
  if (e !== 0) return -e;
  const peek = (flags & S.MSG_PEEK) !== 0;
  const i = messageAt(s, peek);
  if (i < 0) {
    // A datagram socket that does not wait hears nothing of the end (__unix_dgram_recvmsg).
    const noWait = (flags & S.MSG_DONTWAIT) !== 0 || (s.flags & O_NONBLOCK) !== 0;
    if (s.connectionless && noWait) return -EAGAIN;
    return (s.shut & S.RCV_SHUTDOWN) !== 0 ? 0 : -EAGAIN;
  }
  const m = s.queue.at(i)!;
  const there = m.data.length - start;
  const n = Math.min(len, there);
  buf.set(m.data.subarray(start, start + n), off);
  if (info !== null) {
    info.name = m.sender.address;
    if (n < there) {
      info.msgFlags |= S.MSG_TRUNC;
      info.fullLen = there;
    }
    giveInfo(s, m, info, peek);
    info.stampName = s.options.timestamp;
    // Asked for only after the message was sent: the time of now.
    if (info.stampName !== 0) info.stamp = m.stamp ??= wallTime(t);
  }
  if (peek) movePeek(s, true, n);
  else {
    s.queuedBytes -= m.data.length;
    movePeek(s, false, m.data.length);
    takeAt(s, i);
  }
  return n;
}

function sameCreds(a: UCred | null, b: UCred | null): boolean {
  if (a === null || b === null) return a === b;
  return a.pid === b.pid && a.process === b.process && a.uid === b.uid && a.gid === b.gid;
}
