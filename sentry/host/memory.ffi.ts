/**
 * Host memory with a known address. The only place where the address of a JS buffer becomes a number that is
 * handed to the host kernel; whoever adds an offset to `addr` checks it against `size` first.
 */
import { koffi } from './koffi.ffi.ts';

/** A buffer outside the V8 heap that never moves, with the views a caller needs made once. */
export class HostBuffer {
  readonly size: number;
  readonly addr: number;
  readonly bytes: Buffer;
  readonly view: DataView;
  readonly u32: Uint32Array;
  readonly i32: Int32Array;

  constructor(size: number) {
    const ab = new ArrayBuffer((size + 7) & ~7);
    this.size = size;
    this.bytes = Buffer.from(ab, 0, size);
    this.view = new DataView(ab);
    this.u32 = new Uint32Array(ab);
    this.i32 = new Int32Array(ab);
    this.addr = Number(koffi.address(ab));
  }

  /** Host address of byte `offset`; the range [offset, offset+len) must lie inside. */
  at(offset: number, len: number): number {
    if (offset < 0 || len < 0 || offset + len > this.size) {
      throw new RangeError(`host buffer: ${offset}+${len} of ${this.size}`);
    }
    return this.addr + offset;
  }
}

/** Views host memory at `addr` (a mapping this process made). The view must not outlive the mapping. */
export function viewHostMemory(addr: number, size: number): ArrayBuffer {
  return koffi.view(BigInt(addr), size);
}
