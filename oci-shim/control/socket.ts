/** Messages with descriptors over SOCK_SEQPACKET (unix(7), cmsg(3)), for both ends of the control socket. */
import { closeSync, openSync } from 'node:fs';
import { EAGAIN, EINTR } from '../../sentry/abi/errno.ts';
import { HostBuffer } from '../../sentry/host/memory.ffi.ts';
import { close, hostSyscall } from '../../sentry/host/sys.ffi.ts';
import { CONTROL_SOCKET, REPLY_MAX, REQUEST_FDS_MAX } from './protocol.ts';

const SYS_socket = 41;
const SYS_connect = 42;
const SYS_sendto = 44;
const SYS_recvfrom = 45;
const SYS_sendmsg = 46;
const SYS_recvmsg = 47;
const SYS_bind = 49;
const SYS_listen = 50;
const SYS_socketpair = 53;
const SYS_setsockopt = 54;
const SYS_accept4 = 288;
const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_SEQPACKET = 5;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const SO_RCVTIMEO = 20;
const MSG_DONTWAIT = 0x40;
const MSG_CTRUNC = 8;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x40000000;
const O_PATH = 0o10000000;
const CMSG_HEADER = 16;
const BACKLOG = 128;

/** Results of `receive` beside a message. */
export const NOTHING = 0;
export const CLOSED = -1;

export interface Message {
  readonly type: number;
  readonly value: number;
  readonly text: string;
  /** The receiver's to close. */
  readonly fds: readonly number[];
}

const head = new HostBuffer(8);
const iov = new HostBuffer(32);
const msghdr = new HostBuffer(56);
const control = new HostBuffer(CMSG_HEADER + 4 * REQUEST_FDS_MAX);
const body = new HostBuffer(REPLY_MAX);
const timeval = new HostBuffer(16);

function put(b: HostBuffer, at: number, value: number): void {
  b.view.setBigUint64(at, BigInt(value), true);
}

/** Sets up msghdr for the header and `bodyLen` bytes of text, with room for `controlLen` bytes of control data. */
function prepare(bodyLen: number, controlLen: number): void {
  put(iov, 0, head.addr);
  put(iov, 8, 8);
  put(iov, 16, body.addr);
  put(iov, 24, bodyLen);
  msghdr.bytes.fill(0);
  put(msghdr, 16, iov.addr);
  put(msghdr, 24, 2);
  if (controlLen > 0) put(msghdr, 32, control.addr);
  put(msghdr, 40, controlLen);
}

/** 0 or −errno. Never waits for room: a peer that does not read is its own misfortune. */
export function send(
  fd: number,
  type: number,
  value: number,
  text = '',
  fds: readonly number[] = [],
): number {
  head.i32[0] = type;
  head.i32[1] = value;
  const n = body.bytes.write(text, 'utf8');
  const controlLen = fds.length === 0 ? 0 : CMSG_HEADER + 4 * fds.length;
  prepare(n, controlLen);
  if (controlLen > 0) {
    put(control, 0, controlLen);
    control.i32[2] = SOL_SOCKET;
    control.i32[3] = SCM_RIGHTS;
    fds.forEach((f, i) => (control.i32[4 + i] = f));
  }
  for (;;) {
    const r = hostSyscall(SYS_sendmsg, fd, msghdr.addr, MSG_NOSIGNAL | MSG_DONTWAIT, 0, 0, 0);
    if (r !== -EINTR) return r < 0 ? r : 0;
  }
}

/** The next message; NOTHING if there is none yet (without `wait`, or the time is over), CLOSED at the end. */
export function receive(fd: number, wait: boolean): Message | typeof NOTHING | typeof CLOSED {
  for (;;) {
    prepare(body.size, control.size);
    const flags = MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT);
    const r = hostSyscall(SYS_recvmsg, fd, msghdr.addr, flags, 0, 0, 0);
    if (r === -EINTR) continue;
    if (r === -EAGAIN) return NOTHING;
    if (r <= 0) return CLOSED;
    const fds = receivedFds();
    if (r < 8 || (msghdr.u32[12]! & MSG_CTRUNC) !== 0) {
      for (const f of fds) close(f);
      continue;
    }
    return {
      type: head.i32[0]!,
      value: head.i32[1]!,
      text: body.bytes.toString('utf8', 0, r - 8),
      fds,
    };
  }
}

function receivedFds(): number[] {
  const len = msghdr.u32[10]!;
  if (len < CMSG_HEADER || control.i32[2] !== SOL_SOCKET || control.i32[3] !== SCM_RIGHTS) return [];
  const n = Math.floor((Math.min(control.u32[0]!, len) - CMSG_HEADER) / 4);
  return Array.from({ length: n }, (_, i) => control.i32[4 + i]!);
}

/** sockaddr_un of `name` in `dir`, by descriptor: paths of sockets end at 107 bytes, an engine's directories do not. */
function withAddress(dir: string, name: string, use: (addr: number, len: number) => number): number {
  const dirFd = openSync(dir, O_PATH);
  try {
    return withPath(`/proc/self/fd/${dirFd}/${name}`, use);
  } finally {
    closeSync(dirFd);
  }
}

function withPath(path: string, use: (addr: number, len: number) => number): number {
  return withBytes(`\x01\0${path}\0`, use);
}

/** A sockaddr_un. */
function withBytes(text: string, use: (addr: number, len: number) => number): number {
  const bytes = Buffer.from(text, 'utf8');
  const address = new HostBuffer(bytes.length);
  address.bytes.set(bytes);
  return use(address.addr, bytes.length);
}

function newSocket(type: number): number {
  return hostSyscall(SYS_socket, AF_UNIX, type | SOCK_CLOEXEC, 0, 0, 0, 0);
}

/** A listening socket, in `dir`; −errno. */
export function listenIn(dir: string): number {
  const fd = newSocket(SOCK_SEQPACKET | SOCK_NONBLOCK);
  if (fd < 0) return fd;
  const r = withAddress(dir, CONTROL_SOCKET, (a, n) => hostSyscall(SYS_bind, fd, a, n, 0, 0, 0));
  const l = r < 0 ? r : hostSyscall(SYS_listen, fd, BACKLOG, 0, 0, 0, 0);
  if (l >= 0) return fd;
  close(fd);
  return l;
}

/** A connection to the control socket in `dir`; −errno. Receiving from it takes `timeoutS` at most. */
export function connectIn(dir: string, timeoutS: number): number {
  const fd = newSocket(SOCK_SEQPACKET);
  if (fd < 0) return fd;
  const r = withAddress(dir, CONTROL_SOCKET, (a, n) => hostSyscall(SYS_connect, fd, a, n, 0, 0, 0));
  if (r < 0) {
    close(fd);
    return r;
  }
  limitReceive(fd, timeoutS, 0);
  return fd;
}

function limitReceive(fd: number, seconds: number, micros: number): void {
  put(timeval, 0, seconds);
  put(timeval, 8, micros);
  hostSyscall(SYS_setsockopt, fd, SOL_SOCKET, SO_RCVTIMEO, timeval.addr, 16, 0);
}

/** A new datagram socket `name` in `dir`; −errno. Receiving from it takes `timeoutMs`, below a second, at most. */
export function datagramSocketIn(dir: string, name: string, timeoutMs: number): number {
  const fd = newSocket(SOCK_DGRAM);
  if (fd < 0) return fd;
  const r = withAddress(dir, name, (a, n) => hostSyscall(SYS_bind, fd, a, n, 0, 0, 0));
  if (r < 0) close(fd);
  else limitReceive(fd, 0, timeoutMs * 1000);
  return r < 0 ? r : fd;
}

/** null: none has come in time. */
export function receiveDatagram(fd: number, wait: boolean): string | null {
  const r = hostSyscall(SYS_recvfrom, fd, body.addr, 4096, wait ? 0 : MSG_DONTWAIT, 0, 0);
  return r < 0 ? null : body.bytes.toString('utf8', 0, r);
}

/** To a path, or with @ to an abstract name (sd_notify(3)). 0 or −errno. */
export function sendDatagram(to: string, text: string): number {
  const fd = newSocket(SOCK_DGRAM);
  if (fd < 0) return fd;
  const n = body.bytes.write(text, 'utf8');
  const use = (a: number, len: number): number =>
    hostSyscall(SYS_sendto, fd, body.addr, n, MSG_NOSIGNAL, a, len);
  const r = to.startsWith('@') ? withBytes(`\x01\0\0${to.slice(1)}`, use) : withPath(to, use);
  close(fd);
  return r < 0 ? r : 0;
}

/** A stream connection to the socket `path` (an engine's console socket); −errno. */
export function connectStream(path: string): number {
  const fd = newSocket(SOCK_STREAM);
  if (fd < 0) return fd;
  const r = withPath(path, (a, n) => hostSyscall(SYS_connect, fd, a, n, 0, 0, 0));
  if (r >= 0) return fd;
  close(fd);
  return r;
}

/** Sends `payload` with one descriptor over a stream. 0 or −errno. */
export function sendFd(fd: number, payload: string, donated: number): number {
  const n = body.bytes.write(payload, 'utf8');
  prepare(0, CMSG_HEADER + 4);
  put(iov, 0, body.addr);
  put(iov, 8, n);
  put(msghdr, 24, 1);
  put(control, 0, CMSG_HEADER + 4);
  control.i32[2] = SOL_SOCKET;
  control.i32[3] = SCM_RIGHTS;
  control.i32[4] = donated;
  const r = hostSyscall(SYS_sendmsg, fd, msghdr.addr, MSG_NOSIGNAL, 0, 0, 0);
  return r < 0 ? r : 0;
}

/** Two connected SOCK_SEQPACKET sockets, or −errno. */
export function pair(): [number, number] | number {
  const r = hostSyscall(SYS_socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, head.addr, 0, 0);
  return r < 0 ? r : [head.i32[0]!, head.i32[1]!];
}

/** A new connection; −EAGAIN if nobody waits. */
export function accept(fd: number): number {
  return hostSyscall(SYS_accept4, fd, 0, 0, SOCK_CLOEXEC | SOCK_NONBLOCK, 0, 0);
}
