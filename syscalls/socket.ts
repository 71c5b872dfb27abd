/** socket(2), bind(2), connect(2), accept(2) and the rest that is not data (net/socket.c). */
import {
  EAGAIN,
  EBADF,
  EFAULT,
  EINPROGRESS,
  EINTR,
  EINVAL,
  EMFILE,
  ENOTSOCK,
  EOPNOTSUPP,
  EPERM,
  ERESTARTSYS,
} from '../sentry/abi/errno.ts';
import * as S from '../sentry/abi/socket.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { BPF_MAXINSNS } from '../sentry/lib/bpf.ts';
import {
  fd,
  flags,
  inBuf,
  int,
  oneOf,
  outStruct,
  ptr,
  type SysResult,
  type SyscallRow,
} from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { createSocket, unixType } from '../sentry/socket/providers.ts';
import { Socket } from '../sentry/socket/socket.ts';
import { UnixSocket } from '../sentry/socket/unix/unix-socket.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';
import type { FileDescription } from '../sentry/vfs/file-description.ts';
import { EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT } from '../sentry/waiter/wait-queue.ts';
import { installFd, installPair, openFileLimit } from './fd-install.ts';
import { endIo, fileAt, nonBlocking, parkIo, type IoWait } from './io.ts';
import { readAddress, writeAddress } from './socket-address.ts';
import { socketAt } from './msghdr.ts';

/** Largest option value taken or given. */
const OPTION_MAX = 4096;
const option = Buffer.alloc(OPTION_MAX);
const SOL_IPV6 = 41;
/** sizeof(struct sock_filter) */
const SOCK_FILTER = 8;

function sysSocket(t: Task, a: SyscallArgs): SysResult {
  const type = a.int(1);
  const f = type & ~S.SOCK_TYPE_MASK;
  if ((f & ~(S.SOCK_NONBLOCK | S.SOCK_CLOEXEC)) !== 0) return -EINVAL;
  const s = createSocket(t, a.int(0), type & S.SOCK_TYPE_MASK, a.int(2), f & S.SOCK_NONBLOCK);
  return typeof s === 'number' ? s : installFd(t, s, (f & S.SOCK_CLOEXEC) !== 0);
}

function sysSocketpair(t: Task, a: SyscallArgs): SysResult {
  const type = a.int(1);
  const f = type & ~S.SOCK_TYPE_MASK;
  if ((f & ~(S.SOCK_NONBLOCK | S.SOCK_CLOEXEC)) !== 0) return -EINVAL;
  // Linux tells the numbers before it looks at anything else.
  const first = t.fdTable.free(0);
  const second = t.fdTable.free(first + 1);
  if (second >= openFileLimit(t)) return -EMFILE;
  scratch.i32[0] = first;
  scratch.i32[1] = second;
  if (t.mem.copyOut(a.addr(3), scratch.bytes, 0, 8) !== 0) return -EFAULT;
  if (a.int(0) !== S.AF_UNIX) {
    // Linux makes both sockets before it asks the family to join them.
    const s = createSocket(t, a.int(0), type & S.SOCK_TYPE_MASK, a.int(2), 0);
    if (typeof s === 'number') return s;
    s.unref();
    return -EOPNOTSUPP;
  }
  const kind = unixType(type & S.SOCK_TYPE_MASK, a.int(2));
  if (kind < 0) return kind;
  const [x, y] = UnixSocket.pair(t, kind, f & S.SOCK_NONBLOCK);
  return installPair(t, x, y, (f & S.SOCK_CLOEXEC) !== 0, a.addr(3));
}

function sysBind(t: Task, a: SyscallArgs): SysResult {
  const s = socketAt(t, a.int(0));
  if (typeof s === 'number') return s;
  const name = readAddress(t, a.addr(1), a.int(2));
  return typeof name === 'number' ? name : s.bind(t, name);
}

function sysListen(t: Task, a: SyscallArgs): SysResult {
  const s = socketAt(t, a.int(0));
  return typeof s === 'number' ? s : s.listen(t, a.int(1));
}

/** connect(2) while parked. */
class ConnectWait {
  readonly file: Socket;
  readonly deadlineNs: number;
  /** The family has begun and only the outcome is awaited. */
  begun: boolean;

  constructor(file: Socket, deadlineNs: number, begun: boolean) {
    this.file = file;
    this.deadlineNs = deadlineNs;
    this.begun = begun;
  }
}

function connectInterrupted(t: Task): SysResult {
  const w = t.blockState as ConnectWait;
  w.file.unref();
  return w.deadlineNs === Infinity ? -ERESTARTSYS : -EINTR;
}

function sysConnect(t: Task, a: SyscallArgs): SysResult {
  const w = t.blockState as ConnectWait | null;
  const s = w === null ? socketAt(t, a.int(0)) : w.file;
  if (typeof s === 'number') {
    if (s === -EBADF) return s;
    // The address is looked at before what kind of file it is for.
    const name = readAddress(t, a.addr(1), a.int(2));
    return typeof name === 'number' ? name : s;
  }
  let r: number;
  if (w !== null && w.begun) r = s.finishConnect();
  else {
    const name = readAddress(t, a.addr(1), a.int(2));
    r = typeof name === 'number' ? name : s.connect(t, name);
  }
  if ((r !== -EINPROGRESS && r !== -EAGAIN) || nonBlocking(s) || t.timedOut) {
    w?.file.unref();
    return r;
  }
  const limit = s.sendTimeoutNs;
  const state =
    w ??
    new ConnectWait(
      s.ref() as Socket,
      limit === Infinity ? limit : t.kernel.clock.monotonicNs() + limit,
      false,
    );
  state.begun = r === -EINPROGRESS;
  t.blockState = state;
  const queue: FileDescription = state.begun ? s : s.connectQueue();
  t.waitOn(queue.waiters, EPOLLOUT | EPOLLERR | EPOLLHUP);
  return t.block(state.deadlineNs, connectInterrupted);
}

function doAccept(t: Task, a: SyscallArgs, f: number): SysResult {
  const s = socketAt(t, a.int(0));
  if (s === -EBADF) return s;
  if ((f & ~(S.SOCK_NONBLOCK | S.SOCK_CLOEXEC)) !== 0) return -EINVAL;
  if (typeof s === 'number') return s;
  const w = t.blockState as IoWait | null;
  if (!t.fdTable.hasRoom(openFileLimit(t))) return endIo(w, -EMFILE);
  const got = s.accept(t, f & S.SOCK_NONBLOCK);
  if (got === -EAGAIN && !nonBlocking(s) && !t.timedOut) {
    return parkIo(t, s, w, 0, EPOLLIN | EPOLLERR | EPOLLHUP, s.recvTimeoutNs);
  }
  if (typeof got === 'number') return endIo(w, got);
  if (a.addr(1) !== 0) {
    const name = got.getName(true);
    const r = typeof name === 'number' ? name : writeAddress(t, a.addr(1), a.addr(2), name);
    if (r < 0) {
      got.unref();
      return endIo(w, r);
    }
  }
  return endIo(w, installFd(t, got, (f & S.SOCK_CLOEXEC) !== 0));
}

function sysAccept(t: Task, a: SyscallArgs): SysResult {
  return doAccept(t, a, 0);
}

function sysAccept4(t: Task, a: SyscallArgs): SysResult {
  return doAccept(t, a, a.int(3));
}

function nameCall(t: Task, a: SyscallArgs, peer: boolean): SysResult {
  const s = socketAt(t, a.int(0));
  if (typeof s === 'number') return s;
  const name = s.getName(peer);
  return typeof name === 'number' ? name : writeAddress(t, a.addr(1), a.addr(2), name);
}

function sysGetsockname(t: Task, a: SyscallArgs): SysResult {
  return nameCall(t, a, false);
}

function sysGetpeername(t: Task, a: SyscallArgs): SysResult {
  return nameCall(t, a, true);
}

function sysShutdown(t: Task, a: SyscallArgs): SysResult {
  const s = socketAt(t, a.int(0));
  return typeof s === 'number' ? s : s.shutdown(a.int(1));
}

/** What sk_setsockopt() reads of a value, however long the caller says that it is. */
function socketOptionSize(name: number): number {
  switch (name) {
    case S.SO_RCVTIMEO:
    case S.SO_SNDTIMEO:
    case S.SO_RCVTIMEO_NEW:
    case S.SO_SNDTIMEO_NEW:
    case S.SO_ATTACH_FILTER:
    case S.SO_ATTACH_REUSEPORT_CBPF:
      return 16;
    case S.SO_BINDTODEVICE:
      return 15;
    case S.SO_LINGER:
    case S.SO_TIMESTAMPING:
    case S.SO_TIMESTAMPING_NEW:
    case S.SO_MAX_PACING_RATE:
    case S.SO_TXTIME:
      return 8;
    default:
      return 4;
  }
}

function sysSetsockopt(t: Task, a: SyscallArgs): SysResult {
  const len = a.int(4);
  const f = fileAt(t, a.int(0));
  if (f === null) return -EBADF;
  if (!(f instanceof Socket)) return -ENOTSOCK;
  if (len < 0) return -EINVAL;
  const level = a.int(1);
  const name = a.int(2);
  const bad = f.levelError(level, true);
  if (bad < 0) return bad;
  // Options that cost memory are shorter; of the others the rest is not looked at.
  const value = Buffer.alloc(Math.min(len, OPTION_MAX));
  const needed = level === S.SOL_SOCKET ? Math.min(len, socketOptionSize(name)) : value.length;
  const short = level === S.SOL_SOCKET && name !== S.SO_BINDTODEVICE && len < 4;
  if (short) return -EINVAL;
  if (t.mem.copyInPartial(a.addr(3), value, 0, value.length) < needed) return f.faultOption(level, name, len);
  if (level === S.SOL_SOCKET) {
    switch (name) {
      case S.SO_ATTACH_FILTER:
      case S.SO_ATTACH_REUSEPORT_CBPF:
        return attachFilter(t, f, name, value);
      case S.SO_ATTACH_BPF:
      case S.SO_ATTACH_REUSEPORT_EBPF:
        // No descriptor is one of an eBPF program.
        return len === 4 && fileAt(t, value.readInt32LE(0)) === null ? -EBADF : -EINVAL;
      default:
    }
  }
  return f.setOption(t, level, name, value);
}

/** copy_bpf_fprog_from_user(), __get_filter(): struct sock_fprog. */
function attachFilter(t: Task, s: Socket, name: number, fprog: Buffer): number {
  const code = readProgram(t, fprog);
  if (typeof code !== 'number') return s.attachFilter(name, code);
  // TCP sockets of newer kernels want CAP_NET_ADMIN first: one instruction that no checker takes.
  return s.attachFilter(name, Buffer.alloc(SOCK_FILTER)) === -EPERM ? -EPERM : code;
}

function readProgram(t: Task, fprog: Buffer): Buffer | number {
  if (fprog.length !== 16) return -EINVAL;
  const count = fprog.readUInt16LE(0);
  const addr = fprog.readUInt32LE(12) * 0x100000000 + fprog.readUInt32LE(8);
  if (count === 0 || count > BPF_MAXINSNS || addr === 0) return -EINVAL;
  const code = Buffer.alloc(count * SOCK_FILTER);
  return t.mem.copyIn(addr, code, 0, code.length) !== 0 ? -EFAULT : code;
}

/** sk_get_filter(): lengths are counts of instructions; a room of 0 asks for the count. */
function getFilter(t: Task, s: Socket, a: SyscallArgs, room: number): number {
  const code = s.getFilter();
  if (typeof code === 'number') return code;
  const count = code.length / SOCK_FILTER;
  if (room !== 0 && room < count) return -EINVAL;
  if (room !== 0 && count > 0 && t.mem.copyOut(a.addr(3), code, 0, code.length) !== 0) return -EFAULT;
  return t.mem.writeU32(a.addr(4), count);
}

function sysGetsockopt(t: Task, a: SyscallArgs): SysResult {
  const f = fileAt(t, a.int(0));
  if (f === null) return -EBADF;
  if (!(f instanceof Socket)) return -ENOTSOCK;
  const level = a.int(1);
  const name = a.int(2);
  const bad = f.levelError(level, false);
  if (bad < 0) return bad;
  if (t.mem.readU32(a.addr(4)) !== 0) return -EFAULT;
  const given = scratch.i32[0]!;
  // do_ipv6_getsockopt() takes it for a large one.
  const len = given < 0 && level === SOL_IPV6 && f.domain === S.AF_INET6 ? OPTION_MAX : given;
  if (len < 0) return -EINVAL;
  if (level === S.SOL_SOCKET && name === S.SO_ATTACH_FILTER) return getFilter(t, f, a, len);
  option.fill(0);
  const input = f.readsOption(level, name);
  if (input > 0 && len >= input && t.mem.copyIn(a.addr(3), option, 0, input) !== 0) return -EFAULT;
  const r = f.getOption(t, level, name, option, Math.min(len, OPTION_MAX));
  if (r < 0) return r;
  const n = Math.min(r, len);
  if (n > 0 && t.mem.copyOut(a.addr(3), option, 0, n) !== 0) return -EFAULT;
  return t.mem.writeU32(a.addr(4), r);
}

const domain = oneOf({ AF_UNIX: 1, AF_INET: 2, AF_INET6: 10, AF_NETLINK: 16, AF_PACKET: 17 });
const acceptFlags = flags({ SOCK_NONBLOCK: S.SOCK_NONBLOCK, SOCK_CLOEXEC: S.SOCK_CLOEXEC });
const how = oneOf({ SHUT_RD: 0, SHUT_WR: 1, SHUT_RDWR: 2 });

export const socketRows: SyscallRow[] = [
  {
    nr: 41,
    name: 'socket',
    fn: sysSocket,
    args: [domain, int, int],
    support: 'partial',
    note: 'AF_UNIX, AF_INET, AF_INET6, AF_NETLINK (route, usersock, sock_diag, uevent, generic without families), AF_PACKET; raw and packet sockets not in the network of the caller (EPERM)',
  },
  { nr: 42, name: 'connect', fn: sysConnect, args: [fd, inBuf(2), int], support: 'full' },
  { nr: 43, name: 'accept', fn: sysAccept, args: [fd, ptr, ptr], support: 'full' },
  { nr: 48, name: 'shutdown', fn: sysShutdown, args: [fd, how], support: 'full' },
  { nr: 49, name: 'bind', fn: sysBind, args: [fd, inBuf(2), int], support: 'full' },
  { nr: 50, name: 'listen', fn: sysListen, args: [fd, int], support: 'full' },
  { nr: 51, name: 'getsockname', fn: sysGetsockname, args: [fd, ptr, ptr], support: 'full' },
  { nr: 52, name: 'getpeername', fn: sysGetpeername, args: [fd, ptr, ptr], support: 'full' },
  {
    nr: 53,
    name: 'socketpair',
    fn: sysSocketpair,
    args: [domain, int, int, outStruct(8, 'int[2]')],
    support: 'full',
  },
  {
    nr: 54,
    name: 'setsockopt',
    fn: sysSetsockopt,
    args: [fd, int, int, inBuf(4), int],
    support: 'partial',
    note: 'eBPF, TCP_ULP, UDP_ENCAP, netfilter and programs of fan-out groups are refused',
  },
  {
    nr: 55,
    name: 'getsockopt',
    fn: sysGetsockopt,
    args: [fd, int, int, ptr, ptr],
    support: 'partial',
    note: 'options of packet sockets by an allow-list; others answer ENOPROTOOPT',
  },
  { nr: 288, name: 'accept4', fn: sysAccept4, args: [fd, ptr, ptr, acceptFlags], support: 'full' },
];
