/** recv(2) and its kin (net/socket.c). */
import { EAGAIN, EFAULT, EINVAL } from '../sentry/abi/errno.ts';
import * as S from '../sentry/abi/socket.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import {
  fd,
  inoutStruct,
  inStruct,
  outBuf,
  ptr,
  size,
  uint,
  type SysResult,
  type SyscallRow,
} from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { RecvInfo, type Socket } from '../sentry/socket/socket.ts';
import { IO_CHUNK, IO_MAX, ioBuffer } from '../sentry/usermem/io-buffer.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';
import * as W from '../sentry/waiter/wait-queue.ts';
import { buildControl } from './cmsg.ts';
import { endIo, type IoWait, nonBlocking, parkIo } from './io.ts';
import { importRange, iovAccessible, iovCopyOut, iovTotal } from './iovec.ts';
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
import { writeAddress } from './socket-address.ts';
import { readTorn, tornEnd } from './torn-read.ts';
import { readTimespec } from './wait-args.ts';

const READ_EVENTS = W.EPOLLIN | W.EPOLLRDNORM | W.EPOLLERR | W.EPOLLHUP | W.EPOLLRDHUP;

const recvInfo = new RecvInfo();
const controlOut = Buffer.alloc(OPTMEM_MAX + 64);

/** Why the last transfer ended: 0, −errno (−EAGAIN: nothing more now). */
let stopped = 0;

/** TCP copies nothing with MSG_TRUNC (tcp(7)). */
function discards(s: Socket, msgFlags: number): boolean {
  if ((msgFlags & S.MSG_TRUNC) === 0 || (msgFlags & (S.MSG_OOB | S.MSG_ERRQUEUE)) !== 0) return false;
  return s.type === S.SOCK_STREAM && s.domain !== S.AF_UNIX;
}

/** Receives into the imported ranges and `recvInfo`, from byte `done` on; conventions as sendVec’s (socket-send.ts). */
function recvVec(t: Task, s: Socket, msgFlags: number, done: number): number {
  const total = iovTotal();
  const chunk = s.messages ? IO_MAX : IO_CHUNK;
  stopped = 0;
  for (let at = done; ;) {
    let want = Math.min(total - at, chunk);
    if (want > 0) {
      const fit = discards(s, msgFlags) ? want : iovAccessible(t, at, want, true);
      if (fit < want) {
        const read = (n: number): number => s.recv(t, ioBuffer.bytes, 0, n, msgFlags, recvInfo);
        want = readTorn(t, s, at, want, fit, read);
        if (want === 0) {
          if (tornEnd < 0) dropReceived();
          stopped = Math.min(tornEnd, 0);
          return at + Math.max(0, tornEnd);
        }
      }
    }
    const n = s.recv(t, ioBuffer.bytes, 0, want, msgFlags, recvInfo);
    if (n < 0) {
      stopped = n;
      // The next call tells of it.
      if (at > 0 && n !== -EAGAIN) s.setError(-n);
      return at;
    }
    const copies = n > 0 && !recvInfo.discarded;
    if (copies && iovCopyOut(t, at, ioBuffer.bytes, 0, n) < n) {
      stopped = -EFAULT;
      return at;
    }
    at += n;
    const more = n === want && at < total && !s.messages && (msgFlags & S.MSG_PEEK) === 0;
    if (!more || recvInfo.last) return at;
  }
}

/** True if a recv that has `n` of the wanted bytes goes on waiting. */
function waitsForAll(s: Socket, msgFlags: number, n: number, before: number): boolean {
  return (
    (msgFlags & S.MSG_WAITALL) !== 0 &&
    (msgFlags & S.MSG_PEEK) === 0 &&
    !s.messages &&
    (n > before || stopped === -EAGAIN) &&
    (stopped === 0 || stopped === -EAGAIN) &&
    n < iovTotal() &&
    !recvInfo.last
  );
}

/** A peek of a TCP stream waits for all, too (tcp_recvmsg_locked); it is made again then. */
function peeksForAll(s: Socket, msgFlags: number, n: number): boolean {
  const both = S.MSG_WAITALL | S.MSG_PEEK;
  return (msgFlags & both) === both && !s.messages && s.domain !== S.AF_UNIX && n > 0 && n < iovTotal();
}

/** What a receive of `n` bytes returns: with MSG_TRUNC how long the message was. */
function lengthOf(n: number, msgFlags: number): number {
  return (msgFlags & S.MSG_TRUNC) !== 0 && recvInfo.fullLen > n ? recvInfo.fullLen : n;
}

/** Receives with blocking; `finish` delivers name and control once data is there. */
function recvBlocking(
  t: Task,
  s: Socket,
  msgFlags: number,
  w: IoWait | null,
  finish: (n: number) => number,
): SysResult {
  const done = w === null ? 0 : w.done;
  const noWait = nonBlocking(s) || (msgFlags & (S.MSG_DONTWAIT | S.MSG_ERRQUEUE)) !== 0;
  const n = recvVec(t, s, msgFlags, done);
  if (n === 0 && stopped < 0) {
    if (stopped === -EAGAIN && !noWait && !t.timedOut)
      return parkIo(t, s, w, 0, READ_EVENTS, s.recvTimeoutNs);
    return endIo(w, stopped);
  }
  const peeks = peeksForAll(s, msgFlags, n);
  if (
    !noWait &&
    !t.timedOut &&
    (peeks || waitsForAll(s, msgFlags, n, done)) &&
    (s.poll() & (W.EPOLLRDHUP | W.EPOLLHUP)) === 0
  ) {
    return parkIo(t, s, w, peeks ? 0 : n, READ_EVENTS, s.recvTimeoutNs);
  }
  const r = finish(n);
  if (r < 0) return endIo(w, r);
  return endIo(w, lengthOf(n, msgFlags));
}

function dropControl(): void {
  if (recvInfo.fds !== null) recvInfo.msgFlags |= S.MSG_CTRUNC;
  dropReceived();
}

function dropReceived(): void {
  for (const f of recvInfo.fds ?? []) f.unref();
  recvInfo.fds = null;
}

function sysRecvfrom(t: Task, a: SyscallArgs): SysResult {
  const w = t.blockState as IoWait | null;
  const r = importRange(a.addr(1), a.size(2));
  if (r < 0) return endIo(w, r);
  const s = socketAt(t, a.int(0));
  if (typeof s === 'number') return s;
  recvInfo.reset();
  return recvBlocking(t, s, a.uint(3), w, () => {
    dropReceived();
    if (a.addr(4) === 0) return 0;
    return writeAddress(t, a.addr(4), a.addr(5), recvInfo.name ?? new Uint8Array(0));
  });
}

/** Writes name, control data and flags back into the msghdr at `addr`. */
function finishMsg(t: Task, addr: number, msgFlags: number): number {
  if (nameAddr !== 0) {
    const name = recvInfo.name ?? new Uint8Array(0);
    if (t.mem.copyOut(nameAddr, name, 0, Math.min(name.length, nameLen)) !== 0) return -EFAULT;
    if (t.mem.writeU32(addr + 8, name.length) !== 0) return -EFAULT;
  }
  const room = controlAddr === 0 ? 0 : Math.min(controlLen, OPTMEM_MAX);
  // Control data that cannot be written are lost, the message is not (put_cmsg, scm_detach_fds).
  const lost = room > 0 && t.mem.copyIn(controlAddr, controlOut, 0, 1) !== 0;
  if (lost) dropControl();
  let used = lost ? 0 : buildControl(t, recvInfo, room, msgFlags, controlOut);
  if (used > 0 && t.mem.copyOut(controlAddr, controlOut, 0, used) !== 0) used = 0;
  scratch.u32[0] = used;
  scratch.u32[1] = 0;
  scratch.u32[2] = (recvInfo.msgFlags | (msgFlags & S.MSG_CMSG_CLOEXEC)) >>> 0;
  return t.mem.copyOut(addr + 40, scratch.bytes, 0, 12);
}

function sysRecvmsg(t: Task, a: SyscallArgs): SysResult {
  if ((a.uint(2) & S.MSG_CMSG_COMPAT) !== 0) return -EINVAL;
  const s = socketAt(t, a.int(0));
  if (typeof s === 'number') return s;
  const w = t.blockState as IoWait | null;
  recvInfo.reset();
  const r = readMsghdr(t, a.addr(1)) || importMsghdr(t);
  if (r < 0) return endIo(w, r);
  recvInfo.controlRoom = controlAddr === 0 ? 0 : Math.min(controlLen, OPTMEM_MAX);
  return recvBlocking(t, s, a.uint(2), w, () => finishMsg(t, a.addr(1), a.uint(2)));
}

/** Writes what is left of recvmmsg's time: −EFAULT or `count`. */
function tellTimeLeft(t: Task, addr: number, leftNs: number, count: number): number {
  if (addr === 0 || count <= 0 || leftNs === Infinity) return count;
  scratch.u32.fill(0, 0, 4);
  scratch.u32[0] = Math.floor(leftNs / 1e9) >>> 0;
  scratch.u32[2] = leftNs - Math.floor(leftNs / 1e9) * 1e9;
  return t.mem.copyOut(addr, scratch.bytes, 0, 16) !== 0 ? -EFAULT : count;
}

/** do_recvmmsg(): "The timeout argument does not work as intended" (recvmmsg(2)): it is looked at after each message. */
function sysRecvmmsg(t: Task, a: SyscallArgs): SysResult {
  if ((a.uint(3) & S.MSG_CMSG_COMPAT) !== 0) return -EINVAL;
  const w = t.blockState as IoWait | null;
  const { clock } = t.kernel;
  let endNs = w?.endNs ?? Infinity;
  if (w === null && a.addr(4) !== 0) {
    const timeout = readTimespec(t, a.addr(4));
    if (timeout < 0) return timeout;
    endNs = clock.monotonicNs() + timeout;
  }
  const s = socketAt(t, a.int(0));
  if (typeof s === 'number') return s;
  const vlen = Math.min(a.uint(2), UIO_MAXIOV);
  const msgFlags = a.uint(3) & ~S.MSG_WAITFORONE;
  let left = Math.max(0, endNs - clock.monotonicNs());
  let i = w === null ? 0 : w.done;
  while (i < vlen) {
    const hdr = a.addr(1) + i * MMSGHDR_SIZE;
    recvInfo.reset();
    let r = readMsghdr(t, hdr) || importMsghdr(t);
    recvInfo.controlRoom = controlAddr === 0 ? 0 : Math.min(controlLen, OPTMEM_MAX);
    if (r === 0) {
      r = recvVec(t, s, msgFlags, 0);
      if (r === 0) r = stopped;
    }
    if (r === -EAGAIN) {
      const noWait =
        nonBlocking(s) ||
        t.timedOut ||
        (a.uint(3) & (S.MSG_DONTWAIT | S.MSG_ERRQUEUE)) !== 0 ||
        (i > 0 && (a.uint(3) & S.MSG_WAITFORONE) !== 0);
      if (!noWait) {
        // Each message has the whole time of SO_RCVTIMEO.
        if (w !== null && i > w.done) w.restartTime(t, s.recvTimeoutNs);
        const parked = parkIo(t, s, w, i, READ_EVENTS, s.recvTimeoutNs);
        (t.blockState as IoWait).endNs = endNs;
        return parked;
      }
    }
    if (r >= 0) {
      const f = finishMsg(t, hdr, msgFlags);
      const told = f < 0 ? f : t.mem.writeU32(hdr + MSGHDR_SIZE, lengthOf(r, msgFlags));
      r = told < 0 ? told : r;
    }
    if (r < 0) {
      if (i === 0) return endIo(w, r);
      // Told by the next call, or by SO_ERROR.
      if (r !== -EAGAIN) s.setError(-r);
      break;
    }
    i++;
    left = Math.max(0, endNs - clock.monotonicNs());
    if (left === 0) break;
  }
  return endIo(w, tellTimeLeft(t, a.addr(4), left, i));
}

export const socketRecvRows: SyscallRow[] = [
  { nr: 45, name: 'recvfrom', fn: sysRecvfrom, args: [fd, outBuf(2), size, MSG, ptr, ptr], support: 'full' },
  { nr: 47, name: 'recvmsg', fn: sysRecvmsg, args: [fd, inoutStruct(MSGHDR_SIZE), MSG], support: 'full' },
  {
    nr: 299,
    name: 'recvmmsg',
    fn: sysRecvmmsg,
    args: [fd, ptr, uint, MSG, inStruct(16, 'timespec')],
    support: 'full',
  },
];
