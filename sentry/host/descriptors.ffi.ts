/**
 * Room in this process's descriptor table. What guests make (sockets, shared memory) ends before the table does, then files
 * that they open (ENFILE, as where a whole Linux has no more files); the rest is for processes to start with.
 */
import { ENFILE } from '../abi/errno.ts';
import { HostBuffer } from './memory.ffi.ts';
import { close, hostSyscall } from './sys.ffi.ts';

const SYS_getrlimit = 97;
const RLIMIT_NOFILE = 7;
const limit = new HostBuffer(16);

// First numbers that guests' sockets and memory, and files, may not have: the host gives the lowest free number.
let makingEnd = Number.POSITIVE_INFINITY;
let filesEnd = Number.POSITIVE_INFINITY;

/** Soft limit of open files. */
export function openFileLimit(): number {
  if (hostSyscall(SYS_getrlimit, RLIMIT_NOFILE, limit.addr, 0, 0, 0, 0) < 0) return 256;
  // RLIM_INFINITY has all bits set.
  return limit.u32[1] !== 0 ? 1 << 20 : limit.u32[0]!;
}

/** Keeps a quarter of the table from what guests make, and an eighth from the files that they open. */
export function reserveDescriptors(): void {
  const most = openFileLimit();
  makingEnd = Math.floor((most * 3) / 4);
  filesEnd = Math.floor((most * 7) / 8);
}

/** A new socket or memfd (or −errno) that a guest has asked for: −ENFILE, and closed, if there is no room left for such. */
export function madeForGuest(fd: number): number {
  return below(makingEnd, fd);
}

/** The same for a donated file. */
export function openedForGuest(fd: number): number {
  return below(filesEnd, fd);
}

/** How many descriptors may be kept open in case that they are wanted again: a quarter of the table. */
export function spareDescriptors(): number {
  return Math.floor(makingEnd / 3);
}

function below(end: number, fd: number): number {
  if (fd < end) return fd;
  close(fd);
  return -ENFILE;
}
