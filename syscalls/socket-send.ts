/** send(2) and its kin (net/socket.c). */
import { EAGAIN, EFAULT, EINVAL, EMSGSIZE, ENOBUFS, EPIPE } from '../sentry/abi/errno.ts';
import * as S from '../sentry/abi/socket.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import {
  fd,
  inBuf,
  inStruct,
  int,
  ptr,
  size,
  uint,
  type SysResult,
  type SyscallRow,
} from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { SendInfo, type Socket } from '../sentry/socket/socket.ts';
import { IO_CHUNK, IO_MAX, ioBuffer } from '../sentry/usermem/io-buffer.ts';
import * as W from '../sentry/waiter/wait-queue.ts';
import { dropSent, parseControl } from './cmsg.ts';
import { endIo, IoWait, nonBlocking, parkIo } from './io.ts';
import { raisePipe } from './io-signals.ts';
import { importRange, iovCopyIn, iovTotal } from './iovec.ts';
import {
  controlAddr,
  controlLen,
  MMSGHDR_SIZE,
  MSG,
  MSGHDR_SIZE,
  nameAddr,
  nameLen,
  OPTMEM_MAX,
  importMsghdr,
  readMsghdr,
  socketAt,
  UIO_MAXIOV,
} from './msghdr.ts';
import { readAddress } from './socket-address.ts';

const WRITE_EVENTS = W.EPOLLOUT | W.EPOLLWRNORM | W.EPOLLERR | W.EPOLLHUP;

const sendInfo = new SendInfo();

/** Why the last transfer ended: 0, −errno (−EAGAIN: nothing more now). */
let stopped = 0;

/** Sends the imported ranges with `sendInfo`, from byte `done` on: bytes of the whole that have gone, and `stopped`. */
function sendVec(t: Task, s: Socket, msgFlags: number, done: number): number {
  const total = iovTotal();
  const chunk = s.messages ? IO_MAX : IO_CHUNK;
  stopped = s.messages && total > IO_MAX ? -EMSGSIZE : 0;
  for (let at = done; stopped === 0;) {
    const want = s.writePiece(total - at, chunk);
    const n = iovCopyIn(t, at, ioBuffer.bytes, 0, want);
    // The urgent byte is the last one of all.
    const pieceFlags = at + want < total ? msgFlags & ~S.MSG_OOB : msgFlags;
    // What cannot be read whole is not sent: a message, and of a stream the piece (skb_copy_datagram_from_iter).
    const r =
      n < want
        ? s.sendNowhere(t, pieceFlags, sendInfo.name)
        : s.send(t, ioBuffer.bytes, 0, n, pieceFlags, at === 0 ? sendInfo : null);
    if (r < 0) {
      stopped = r;
      return at;
    }
    at += r;
    if (at >= total || s.messages) return at;
  }
  return 0;
}

/** What a send returns that has sent `n` bytes: of a stream's end that nobody has heard of SIGPIPE tells, too. */
function sentOrError(t: Task, s: Socket, msgFlags: number, n: number): number {
  if (n > 0 || stopped === 0) return n;
  if (stopped === -EPIPE && (msgFlags & S.MSG_NOSIGNAL) === 0 && s.type === S.SOCK_STREAM) raisePipe(t);
  return stopped;
}

/** Whether a send that was `stopped` waits. */
function mayWait(t: Task, s: Socket, msgFlags: number): boolean {
  return stopped === -EAGAIN && !nonBlocking(s) && (msgFlags & S.MSG_DONTWAIT) === 0 && !t.timedOut;
}

/** Sends with blocking; `w.done` bytes have gone already. */
function sendBlocking(t: Task, s: Socket, msgFlags: number, w: IoWait | null): SysResult {
  const n = sendVec(t, s, msgFlags, w === null ? 0 : w.done);
  dropSent(sendInfo);
  if (mayWait(t, s, msgFlags)) return parkIo(t, s, w, n, WRITE_EVENTS, s.sendTimeoutNs);
  const r = sentOrError(t, s, msgFlags, n);
  if (r > 0 && (msgFlags & S.MSG_ZEROCOPY) !== 0) s.sentZeroCopy();
  return endIo(w, r);
}

function sysSendto(t: Task, a: SyscallArgs): SysResult {
  const w = t.blockState as IoWait | null;
  const r = importRange(a.addr(1), a.size(2));
  if (r < 0) return endIo(w, r);
  const s = socketAt(t, a.int(0));
  if (typeof s === 'number') return s;
  sendInfo.reset();
  if (a.addr(4) !== 0) {
    const name = readAddress(t, a.addr(4), a.int(5));
    if (typeof name === 'number') return endIo(w, name);
    sendInfo.name = name;
  }
  return sendBlocking(t, s, a.uint(3), w);
}

/** Fills `sendInfo` and the ranges from the msghdr at `addr`. */
function prepareSend(t: Task, s: Socket, addr: number): number {
  sendInfo.reset();
  let r = readMsghdr(t, addr);
  if (r < 0) return r;
  if (nameLen > 0) {
    const name = readAddress(t, nameAddr, nameLen);
    if (typeof name === 'number') return name;
    sendInfo.name = name;
  }
  r = importMsghdr(t);
  if (r < 0) return r;
  if (controlLen > 0) {
    if (controlLen > OPTMEM_MAX) return -ENOBUFS;
    const ctl = Buffer.alloc(controlLen);
    r = t.mem.copyIn(controlAddr, ctl, 0, controlLen) || s.stateError();
    if (r < 0) return r;
    return parseControl(t, s, ctl, sendInfo);
  }
  return 0;
}

function sysSendmsg(t: Task, a: SyscallArgs): SysResult {
  if ((a.uint(2) & S.MSG_CMSG_COMPAT) !== 0) return -EINVAL;
  const s = socketAt(t, a.int(0));
  if (typeof s === 'number') return s;
  const w = t.blockState as IoWait | null;
  const r = prepareSend(t, s, a.addr(1));
  return r < 0 ? endIo(w, r) : sendBlocking(t, s, a.uint(2), w);
}

function sysSendmmsg(t: Task, a: SyscallArgs): SysResult {
  if ((a.uint(3) & S.MSG_CMSG_COMPAT) !== 0) return -EINVAL;
  const s = socketAt(t, a.int(0));
  if (typeof s === 'number') return s;
  const w = t.blockState as IoWait | null;
  const vlen = Math.min(a.uint(2), UIO_MAXIOV);
  const msgFlags = a.uint(3);
  let i = w === null ? 0 : w.done;
  let part = w === null ? 0 : w.part;
  for (; i < vlen; i++, part = 0) {
    const hdr = a.addr(1) + i * MMSGHDR_SIZE;
    let r = prepareSend(t, s, hdr);
    if (r === 0) {
      const n = sendVec(t, s, msgFlags, part);
      if (mayWait(t, s, msgFlags)) {
        dropSent(sendInfo);
        return parkMany(t, s, w, i, n, hdr);
      }
      r = sentOrError(t, s, msgFlags, n);
    }
    dropSent(sendInfo);
    if (r < 0) return endIo(w, i > 0 ? i : r);
    if (r > 0 && (msgFlags & S.MSG_ZEROCOPY) !== 0) s.sentZeroCopy();
    if (t.mem.writeU32(hdr + MSGHDR_SIZE, r) !== 0) return endIo(w, i > 0 ? i : -EFAULT);
    // "some (but not all) of the bytes": no further messages (__sys_sendmmsg).
    if (r < iovTotal()) return endIo(w, i + 1);
  }
  return endIo(w, i);
}

/** Parks sendmmsg(2) with `part` bytes of message `i` gone. Each message has the whole time of SO_SNDTIMEO. */
function parkMany(t: Task, s: Socket, w: IoWait | null, i: number, part: number, hdr: number): SysResult {
  const state = w ?? new IoWait(t, s, s.sendTimeoutNs);
  if (i > state.done) state.restartTime(t, s.sendTimeoutNs);
  state.part = part;
  state.partLenAddr = hdr + MSGHDR_SIZE;
  return parkIo(t, s, state, i, WRITE_EVENTS, s.sendTimeoutNs);
}

export const socketSendRows: SyscallRow[] = [
  { nr: 44, name: 'sendto', fn: sysSendto, args: [fd, inBuf(2), size, MSG, inBuf(5), int], support: 'full' },
  {
    nr: 46,
    name: 'sendmsg',
    fn: sysSendmsg,
    args: [fd, inStruct(MSGHDR_SIZE, 'msghdr'), MSG],
    support: 'full',
  },
  { nr: 307, name: 'sendmmsg', fn: sysSendmmsg, args: [fd, ptr, uint, MSG], support: 'full' },
];
