/**
 * The bounce buffer of read, write and their kin: file data passes through it between a file and guest memory. One kernel
 * thread, one buffer: it is valid within one step of a handler and never across a block.
 * A FileDescription that talks to the host may test `buf === ioBuffer.bytes` and use ioBuffer.at(off, len) as the address.
 */
import { HostBuffer } from '../host/memory.ffi.ts';

/** Bytes moved per step for byte streams and regular files: small enough to stay in the cache. */
export const IO_CHUNK = 64 * 1024;
/** Largest message (datagram) that passes in one piece. */
export const IO_MAX = 256 * 1024;

export const ioBuffer = new HostBuffer(IO_MAX);

/** Host address of `buf[off..off+len)` where `buf` is the bounce buffer, −1 for other buffers. */
export function hostAddressOf(buf: Uint8Array, off: number, len: number): number {
  return buf === ioBuffer.bytes ? ioBuffer.at(off, len) : -1;
}
