/**
 * Host memory with a known address. The only place where the address of a JS buffer becomes a number that is
 * handed to the host kernel; whoever adds an offset to `addr` checks it against `size` first.
 */
import { atStart } from './at-start.ts';
import { koffi } from './koffi.ffi.ts';

// Before the start (see at-start.ts): the same types, so that the shape of a buffer does not change.
const NO_BYTES = Buffer.from(new ArrayBuffer(0));
const NO_VIEW = new DataView(NO_BYTES.buffer);
const NO_U32 = new Uint32Array(0);
const NO_I32 = new Int32Array(0);

/** A buffer outside the V8 heap that never moves, with the views a caller needs made once. */
export class HostBuffer {
  readonly size: number;
  readonly addr: number = NaN;
  readonly bytes: Buffer = NO_BYTES;
  readonly view: DataView = NO_VIEW;
  readonly u32: Uint32Array = NO_U32;
  readonly i32: Int32Array = NO_I32;

  constructor(size: number) {
    this.size = size;
    atStart(() => allocate(this));
  }

  /** Host address of byte `offset`; the range [offset, offset+len) must lie inside. */
  at(offset: number, len: number): number {
    if (offset < 0 || len < 0 || offset + len > this.size) {
      throw new RangeError(`host buffer: ${offset}+${len} of ${this.size}`);
    }
    return this.addr + offset;
  }
}

function allocate(b: { -readonly [K in keyof HostBuffer]: HostBuffer[K] }): void {
  const ab = new ArrayBuffer((b.size + 7) & ~7);
  b.bytes = Buffer.from(ab, 0, b.size);
  b.view = new DataView(ab);
  b.u32 = new Uint32Array(ab);
  b.i32 = new Int32Array(ab);
  b.addr = Number(koffi.address(ab));
}

/** A string as C takes it, in UTF-8. */
export function cString(s: string): HostBuffer {
  const bytes = Buffer.from(`${s}\0`);
  const buffer = new HostBuffer(bytes.length);
  buffer.bytes.set(bytes);
  return buffer;
}

let held: readonly HostBuffer[] = [];

/**
 * Keeps buffers until the next ones are: an address alone does not, and what is made after a buffer may have it collected before the
 * host is called.
 */
export function hold(...buffers: HostBuffer[]): readonly HostBuffer[] {
  held = buffers;
  return held;
}

/** Views host memory at `addr` (a mapping this process made). The view must not outlive the mapping. */
export function viewHostMemory(addr: number, size: number): ArrayBuffer {
  return koffi.view(BigInt(addr), size);
}
