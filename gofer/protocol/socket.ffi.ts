/** SOCK_SEQPACKET messages with at most one file descriptor (SCM_RIGHTS), unix(7). Values or −errno. */
import { ENFILE } from '../../sentry/abi/errno.ts';
import { HostBuffer } from '../../sentry/host/memory.ffi.ts';
import { hostSyscall } from '../../sentry/host/sys.ffi.ts';

const SYS_close = 3;
const SYS_poll = 7;
const SYS_sendto = 44;
const SYS_recvfrom = 45;
const SYS_sendmsg = 46;
const SYS_recvmsg = 47;
const SYS_setsockopt = 54;
const SYS_getsockopt = 55;

const AF_UNIX = 1;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const SO_TYPE = 3;
const SO_DOMAIN = 39;
const SO_RCVTIMEO = 20;
const SO_SNDTIMEO = 21;
const MSG_CTRUNC = 0x8;
const MSG_TRUNC = 0x20;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x40000000;

export const POLLIN = 0x1;
export const POLLERR = 0x8;
export const POLLHUP = 0x10;
export const POLLRDHUP = 0x2000;

// struct msghdr at 0, struct iovec at 64, control buffer at 96, struct pollfd and timeval at 160.
const scratch = new HostBuffer(192);
const IOV = 64;
const CONTROL = 96;
const CMSG_LEN = 20; // header 16, one int
const CMSG_SPACE = 24;
const POLLFD = 160;
const TIMEVAL = 176;

function put64(at: number, n: number): void {
  scratch.view.setUint32(at, n % 0x100000000, true);
  scratch.view.setUint32(at + 4, Math.floor(n / 0x100000000), true);
}

function prepareMsghdr(addr: number, len: number, controlLen: number): void {
  scratch.bytes.fill(0, 0, POLLFD);
  put64(16, scratch.addr + IOV);
  put64(24, 1);
  put64(IOV, addr);
  put64(IOV + 8, len);
  if (controlLen > 0) {
    put64(32, scratch.addr + CONTROL);
    put64(40, controlLen);
  }
}

export function sendPacket(fd: number, addr: number, len: number): number {
  return hostSyscall(SYS_sendto, fd, addr, len, MSG_NOSIGNAL, 0, 0);
}

/** Length of the packet, also if it was longer than `len` and cut. Descriptors that came with it are dropped. */
export function receivePacket(fd: number, addr: number, len: number): number {
  return hostSyscall(SYS_recvfrom, fd, addr, len, MSG_TRUNC, 0, 0);
}

export function sendPacketWithFd(fd: number, addr: number, len: number, donated: number): number {
  prepareMsghdr(addr, len, CMSG_SPACE);
  put64(CONTROL, CMSG_LEN);
  scratch.view.setInt32(CONTROL + 8, SOL_SOCKET, true);
  scratch.view.setInt32(CONTROL + 12, SCM_RIGHTS, true);
  scratch.view.setInt32(CONTROL + 16, donated, true);
  return hostSyscall(SYS_sendmsg, fd, scratch.addr, MSG_NOSIGNAL, 0, 0, 0);
}

/**
 * What came with the last packet of `receivePacketWithFd`: a descriptor that now is the caller's, −1, or −ENFILE if there was no room
 * for it.
 */
export let receivedFd = -1;
/** True if the control data was not exactly one descriptor or none. */
export let receivedBadControl = false;

export function receivePacketWithFd(fd: number, addr: number, len: number): number {
  prepareMsghdr(addr, len, CMSG_SPACE);
  receivedFd = -1;
  receivedBadControl = false;
  const n = hostSyscall(SYS_recvmsg, fd, scratch.addr, MSG_TRUNC | MSG_CMSG_CLOEXEC, 0, 0, 0);
  if (n < 0) return n;
  const controlLen = scratch.view.getUint32(40, true);
  const cut = (scratch.view.getInt32(48, true) & MSG_CTRUNC) !== 0;
  if (controlLen === 0) {
    if (cut) receivedFd = -ENFILE;
    return n;
  }
  if (cut) receivedBadControl = true;
  const isRights =
    controlLen >= CMSG_LEN &&
    scratch.view.getInt32(CONTROL + 8, true) === SOL_SOCKET &&
    scratch.view.getInt32(CONTROL + 12, true) === SCM_RIGHTS;
  if (!isRights) {
    receivedBadControl = true;
    return n;
  }
  receivedFd = scratch.view.getInt32(CONTROL + 16, true);
  // The padding of the control buffer has room for a second descriptor.
  if (scratch.view.getUint32(CONTROL, true) !== CMSG_LEN) {
    hostSyscall(SYS_close, scratch.view.getInt32(CONTROL + 20, true), 0, 0, 0, 0, 0);
    receivedBadControl = true;
  }
  if (receivedBadControl) {
    hostSyscall(SYS_close, receivedFd, 0, 0, 0, 0, 0);
    receivedFd = -1;
  }
  return n;
}

/** Limits how long sends and receives block; they then return −EAGAIN. */
export function setSocketTimeout(fd: number, seconds: number): number {
  put64(TIMEVAL, seconds);
  put64(TIMEVAL + 8, 0);
  const at = scratch.addr + TIMEVAL;
  const r = hostSyscall(SYS_setsockopt, fd, SOL_SOCKET, SO_RCVTIMEO, at, 16, 0);
  return r < 0 ? r : hostSyscall(SYS_setsockopt, fd, SOL_SOCKET, SO_SNDTIMEO, at, 16, 0);
}

/** poll(2) on one descriptor: its events, 0 when the time is over, −errno. */
export function pollOne(fd: number, events: number, timeoutMs: number): number {
  scratch.view.setInt32(POLLFD, fd, true);
  scratch.view.setInt16(POLLFD + 4, events, true);
  scratch.view.setInt16(POLLFD + 6, 0, true);
  const n = hostSyscall(SYS_poll, scratch.addr + POLLFD, 1, timeoutMs, 0, 0, 0);
  return n <= 0 ? n : scratch.view.getUint16(POLLFD + 6, true);
}

// struct stat and F_GETFL, for what the receiver of a descriptor has to check.
const statBuffer = new HostBuffer(144);
const SYS_fstat = 5;
const SYS_fcntl = 72;
const F_GETFL = 3;
const O_PATH = 0o10000000;

/** Access mode (O_RDONLY, O_WRONLY, O_RDWR) of a descriptor of a regular file; −1 for everything else. */
export function regularFileAccess(fd: number): number {
  if (hostSyscall(SYS_fstat, fd, statBuffer.addr, 0, 0, 0, 0) < 0) return -1;
  if ((statBuffer.view.getUint32(24, true) & 0o170000) !== 0o100000) return -1;
  const flags = hostSyscall(SYS_fcntl, fd, F_GETFL, 0, 0, 0, 0);
  return flags < 0 || (flags & O_PATH) !== 0 ? -1 : flags & 3;
}

/** True for anonymous inodes such as inotify's: fstat shows no type. */
export function isNotFile(fd: number): boolean {
  if (hostSyscall(SYS_fstat, fd, statBuffer.addr, 0, 0, 0, 0) < 0) return false;
  return (statBuffer.view.getUint32(24, true) & 0o170000) === 0;
}

/** True for AF_UNIX sockets of a type. */
export function isUnixSocket(fd: number, type: number): boolean {
  return socketOption(fd, SO_DOMAIN) === AF_UNIX && socketOption(fd, SO_TYPE) === type;
}

function socketOption(fd: number, name: number): number {
  const { view, addr } = statBuffer;
  view.setUint32(0, 4, true);
  view.setInt32(4, -1, true);
  const r = hostSyscall(SYS_getsockopt, fd, SOL_SOCKET, name, addr + 4, addr, 0);
  return r < 0 ? r : view.getInt32(4, true);
}
