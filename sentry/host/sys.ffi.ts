/**
 * Host system calls as plain functions. Each returns the kernel's value or −errno. Numbers cross as they are, so
 * buffers are named by address (HostBuffer.at) and never allocated here.
 */
import { atStart } from './at-start.ts';
import { nativeFunction } from './koffi.ffi.ts';
import { cString, hold, HostBuffer } from './memory.ffi.ts';

type Sys = (nr: number, ...args: number[]) => number;

/** Raw host syscall with up to six numbers. Results above 2^53 do not occur for the calls used here. */
let sys6: (nr: number, a: number, b: number, c: number, d: number, e: number, f: number) => number;
// koffi converts per declared argument: shorter prototypes are measurably cheaper.
let sys2: Sys;
let sys4: Sys;
let clockNsFn: (clock: number) => number;

let clockSecFn: (clock: number) => number;
let lastNsecFn: () => number;
let getauxval: (type: number) => number;

atStart(() => {
  sys6 = nativeFunction('shim_syscall', 'int64', Array(7).fill('int64'));
  sys2 = nativeFunction('shim_syscall', 'int', ['int', 'int', 'int64']);
  sys4 = nativeFunction('shim_syscall', 'int64', ['int', 'int', 'int64', 'int64', 'int64']);
  clockNsFn = nativeFunction('shim_clock_ns', 'double', ['int']);
  clockSecFn = nativeFunction('shim_clock_sec', 'double', ['int']);
  lastNsecFn = nativeFunction('shim_last_nsec', 'double', []);
  getauxval = nativeFunction('shim_getauxval', 'uint64', ['int']);
});

export { sys6 as hostSyscall };

const scratch = new HostBuffer(4096);

/** Reading of a host clock in ns (CLOCK_REALTIME 0, CLOCK_MONOTONIC 1, …), the guest's vDSO shows the same. */
export function clockNs(clock: number): number {
  return clockNsFn(clock);
}

/** Seconds of a host clock, −1 if there is no such clock; lastNsec() is the rest of the same reading. */
export function clockSec(clock: number): number {
  return clockSecFn(clock);
}

export function lastNsec(): number {
  return lastNsecFn();
}

export function close(fd: number): number {
  return sys2(3, fd, 0);
}

export function pread(fd: number, addr: number, len: number, offset: number): number {
  return sys4(17, fd, addr, len, offset);
}

export function pwrite(fd: number, addr: number, len: number, offset: number): number {
  return sys4(18, fd, addr, len, offset);
}

export function read(fd: number, addr: number, len: number): number {
  return sys4(0, fd, addr, len, 0);
}

export function write(fd: number, addr: number, len: number): number {
  return sys4(1, fd, addr, len, 0);
}

export function ftruncate(fd: number, len: number): number {
  return sys4(77, fd, len, 0, 0);
}

/** F_DUPFD_CLOEXEC */
export function dup(fd: number): number {
  return sys4(72, fd, 1030, 0, 0);
}

/** memfd_create(2); `flags` e.g. MFD_CLOEXEC | MFD_ALLOW_SEALING. */
export function memfdCreate(name: string, flags: number): number {
  const n = scratch.bytes.write(name.slice(0, 200), 0, 'latin1');
  scratch.bytes[n] = 0;
  return sys6(319, scratch.addr, flags, 0, 0, 0, 0);
}

/** renameat2(2) with RENAME_EXCHANGE, of paths that start at the root or in the working directory. 0 or −errno. */
export function renameExchange(a: string, b: string): number {
  const [from, to] = hold(cString(a), cString(b));
  return sys6(316, AT_FDCWD, from!.addr, AT_FDCWD, to!.addr, RENAME_EXCHANGE, 0);
}
const AT_FDCWD = -100;
const RENAME_EXCHANGE = 2;

export function fcntl(fd: number, cmd: number, arg: number): number {
  return sys4(72, fd, cmd, arg, 0);
}

export function mmap(
  addr: number,
  len: number,
  prot: number,
  flags: number,
  fd: number,
  off: number,
): number {
  return sys6(9, addr, len, prot, flags, fd, off);
}

export function munmap(addr: number, len: number): number {
  return sys6(11, addr, len, 0, 0, 0, 0);
}

export function fallocate(fd: number, mode: number, offset: number, len: number): number {
  return sys4(285, fd, mode, offset, len);
}

/** lseek(2), for SEEK_DATA and SEEK_HOLE. */
export function lseek(fd: number, offset: number, whence: number): number {
  return sys4(8, fd, offset, whence, 0);
}

/** st_blocks of an open file: 512-byte units allocated, or −errno. */
export function fstatBlocks(fd: number): number {
  const r = sys4(5, fd, scratch.addr, 0, 0);
  return r < 0 ? r : scratch.u32[16]! + scratch.u32[17]! * 0x100000000;
}

/** What tells one state of an open file from every other: device, inode, size, mtime, ctime. '' if fstat fails. */
export function fstatIdentity(fd: number): string {
  if (sys4(5, fd, scratch.addr, 0, 0) < 0) return '';
  const w = scratch.u32;
  let id = '';
  // st_dev, st_ino; st_size; st_mtim, st_ctim
  for (const [from, to] of STAT_IDENTITY) for (let i = from; i < to; i++) id += `${w[i]!.toString(36)}.`;
  return id;
}
const STAT_IDENTITY = [
  [0, 4],
  [12, 14],
  [22, 30],
] as const;

/** Entry of the host's auxiliary vector (AT_HWCAP, AT_MINSIGSTKSZ, …), 0 if it has none. */
export function auxVector(type: number): number {
  return Number(getauxval(type));
}
