/** Host calls on donated fds that must neither block nor change the flags of an open file shared with other processes. */
import { HostBuffer } from './memory.ffi.ts';
import { hostSyscall } from './sys.ffi.ts';

const NR_read = 0;
const NR_write = 1;
const NR_fstat = 5;
const NR_poll = 7;
const NR_lseek = 8;
const NR_ioctl = 16;
const NR_sendto = 44;
const NR_recvfrom = 45;
const NR_fsync = 74;
const NR_fdatasync = 75;
const NR_fchown = 93;
const NR_preadv2 = 327;
const NR_pwritev2 = 328;
const RWF_NOWAIT = 8;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;

const iov = new HostBuffer(16);
const pollFd = new HostBuffer(8);
const statBuf = new HostBuffer(144);

function setIov(addr: number, len: number): void {
  iov.u32[0] = addr >>> 0;
  iov.u32[1] = Math.floor(addr / 0x100000000);
  iov.u32[2] = len;
  iov.u32[3] = 0;
}

/** Of descriptors that are the sentry's own and never wait. */
export function readNow(fd: number, addr: number, len: number): number {
  return hostSyscall(NR_read, fd, addr, len, 0, 0, 0);
}

export function writeNow(fd: number, addr: number, len: number): number {
  return hostSyscall(NR_write, fd, addr, len, 0, 0, 0);
}

/** Reads at the shared position without waiting; −EAGAIN, or −EOPNOTSUPP where the file has no such mode (ttys). */
export function readNoWait(fd: number, addr: number, len: number): number {
  setIov(addr, len);
  return hostSyscall(NR_preadv2, fd, iov.addr, 1, -1, -1, RWF_NOWAIT);
}

export function writeNoWait(fd: number, addr: number, len: number): number {
  setIov(addr, len);
  return hostSyscall(NR_pwritev2, fd, iov.addr, 1, -1, -1, RWF_NOWAIT);
}

export function recvNoWait(fd: number, addr: number, len: number, flags = 0): number {
  return hostSyscall(NR_recvfrom, fd, addr, len, flags | MSG_DONTWAIT, 0, 0);
}

export function sendNoWait(fd: number, addr: number, len: number): number {
  return hostSyscall(NR_sendto, fd, addr, len, MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0);
}

/** Readiness now: revents of poll(2) for `events`, or −errno. */
export function pollNow(fd: number, events: number): number {
  return pollFor(fd, events, 0);
}

/** The same after at most `timeoutMs`. */
export function pollFor(fd: number, events: number, timeoutMs: number): number {
  pollFd.i32[0] = fd;
  pollFd.view.setInt16(4, events, true);
  pollFd.view.setInt16(6, 0, true);
  const n = hostSyscall(NR_poll, pollFd.addr, 1, timeoutMs, 0, 0, 0);
  return n < 0 ? n : pollFd.view.getUint16(6, true);
}

export function lseek(fd: number, offset: number, whence: number): number {
  return hostSyscall(NR_lseek, fd, offset, whence, 0, 0, 0);
}

/** Changes an open file's ctime, as chown(2) to its owner does: whose file it is need not be known. */
export function touchCtime(fd: number): number {
  return hostSyscall(NR_fchown, fd, NO_ID, NO_ID, 0, 0, 0);
}
const NO_ID = 0xffffffff;

export function fsync(fd: number, dataOnly: boolean): number {
  return hostSyscall(dataOnly ? NR_fdatasync : NR_fsync, fd, 0, 0, 0, 0, 0);
}

/** ioctl(2) with the address of a buffer, or a plain number. Callers have checked `cmd` against their list. */
export function ioctl(fd: number, cmd: number, arg: number): number {
  return hostSyscall(NR_ioctl, fd, cmd, arg, 0, 0, 0);
}

export interface HostStat {
  ino: number;
  mode: number;
  nlink: number;
  uid: number;
  gid: number;
  size: number;
  blocks: number;
  /** Device number as the kernel encodes it for user space (new_encode_dev). */
  rdev: number;
  atime: { sec: number; nsec: number };
  mtime: { sec: number; nsec: number };
  ctime: { sec: number; nsec: number };
}

/** fstat(2), or −errno. */
export function fstat(fd: number): HostStat | number {
  const r = hostSyscall(NR_fstat, fd, statBuf.addr, 0, 0, 0, 0);
  if (r < 0) return r;
  const v = statBuf.view;
  const u64 = (o: number): number => v.getUint32(o + 4, true) * 0x100000000 + v.getUint32(o, true);
  const i64 = (o: number): number => v.getInt32(o + 4, true) * 0x100000000 + v.getUint32(o, true);
  const time = (o: number): { sec: number; nsec: number } => ({ sec: i64(o), nsec: u64(o + 8) });
  return {
    ino: u64(8),
    nlink: u64(16),
    mode: v.getUint32(24, true),
    uid: v.getUint32(28, true),
    gid: v.getUint32(32, true),
    rdev: u64(40),
    size: u64(48),
    blocks: u64(64),
    atime: time(72),
    mtime: time(88),
    ctime: time(104),
  };
}
