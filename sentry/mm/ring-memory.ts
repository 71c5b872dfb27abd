/**
 * RingMemory: what the kernel and a program share by a mapping (packet_mmap(7), io_setup(2)): a memfd that the guest maps. It owns
 * every byte, so the sentry has no view of it: what it reads is copied by the host kernel first, once.
 */
import { ENOMEM } from '../abi/errno.ts';
import { HostBuffer } from '../host/memory.ffi.ts';
import { pread, pwrite } from '../host/sys.ffi.ts';
import { SharedMemory } from './backing.ts';

/** All rings of a sandbox together. */
const RINGS_MAX = 64 * 1024 * 1024;
let reserved = 0;

/** Takes `bytes` of what rings may have (gives back if negative): false if that is too much. */
export function reserveRing(bytes: number): boolean {
  if (bytes > RINGS_MAX - reserved) return false;
  reserved += bytes;
  return true;
}

const word = new HostBuffer(8);

export class RingMemory {
  readonly shared: SharedMemory;

  private constructor(shared: SharedMemory) {
    this.shared = shared;
  }

  /** `label`: its name in /proc/PID/maps, unless it is mapped by a file. */
  static create(size: number, label = ''): RingMemory | number {
    const shared = SharedMemory.create(size, label);
    return typeof shared === 'number' ? -ENOMEM : new RingMemory(shared);
  }

  get hostFd(): number {
    return this.shared.hostFd;
  }

  readU32(offset: number): number {
    return pread(this.hostFd, word.addr, 4, offset) === 4 ? word.u32[0]! : 0;
  }

  writeU32(offset: number, value: number): void {
    word.u32[0] = value;
    pwrite(this.hostFd, word.addr, 4, offset);
  }

  /** `from[at..at+len)` is in the ring, or part of it. */
  write(offset: number, from: HostBuffer, at: number, len: number): void {
    if (len > 0) pwrite(this.hostFd, from.at(at, len), len, offset);
  }

  read(offset: number, to: HostBuffer, at: number, len: number): boolean {
    return pread(this.hostFd, to.at(at, len), len, offset) === len;
  }

  release(): void {
    this.shared.unref();
  }
}
