/**
 * The only module that touches memory which guests can write. All slot areas are mapped into one window of this
 * process; outside, a place in it is a word index. What is read here is a single word or a private copy, and no view
 * of the window leaves this module: a value that is decoded in place while a guest changes it can crash V8.
 *
 * Chunks that are not in use are backed by read-only zero pages, so that no index can fault.
 */
import { ENOMEM } from '../../sentry/abi/errno.ts';
import * as host from '../../sentry/host/sys.ffi.ts';
import { viewHostMemory } from '../../sentry/host/memory.ffi.ts';
import { signedFromLoHi } from '../../sentry/lib/addr.ts';
import { assert } from '../../sentry/lib/assert.ts';
import { areaCreate } from '../ffi/process.ffi.ts';
import { AREA_SIZE, CHUNK_SIZE } from '../stub-layout.ts';

const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 0x01;
const MAP_FIXED = 0x10;
const IDLE_FLAGS = 0x4022; // MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
const CHUNK_WORDS = CHUNK_SIZE / 4;
/**
 * Chunks in the view to begin with, enough for most sandboxes: V8 collects garbage when it is shown tens of MiB
 * of outside memory at once, which would cost every start of a sandbox some milliseconds.
 */
const FIRST_CHUNKS = 24;
/** Below this many bytes a loop is cheaper than a temporary subarray. */
const LOOP_COPY_MAX = 48;

export class SharedMemory {
  private readonly addr: number;
  private readonly chunks: number;
  private i32!: Int32Array;
  private u8!: Uint8Array;
  private viewed = 0;
  private readonly freeChunks: number[] = [];

  /** Room for `chunks` chunks. */
  constructor(chunks: number) {
    const size = chunks * CHUNK_SIZE;
    assert(size < 0x80000000, 'byte offsets into the window fit 31 bits');
    this.chunks = chunks;
    this.addr = host.mmap(0, size, PROT_READ, IDLE_FLAGS, -1, 0);
    assert(this.addr > 0, 'address space for the slot window');
    this.view(Math.min(chunks, FIRST_CHUNKS));
  }

  /** Makes the first `chunks` chunks accessible. */
  private view(chunks: number): void {
    const buffer = viewHostMemory(this.addr, chunks * CHUNK_SIZE);
    this.i32 = new Int32Array(buffer);
    this.u8 = new Uint8Array(buffer);
    for (let i = chunks - 1; i >= this.viewed; i--) this.freeChunks.push(i * CHUNK_WORDS);
    this.viewed = chunks;
  }

  private takeChunk(): number | undefined {
    if (this.freeChunks.length === 0 && this.viewed < this.chunks) this.view(this.chunks);
    return this.freeChunks.pop();
  }

  /** Creates an area and maps its first chunk. Returns the descriptor or −errno; the chunk is at `takenChunk`. */
  createArea(): number {
    const chunk = this.takeChunk();
    if (chunk === undefined) return -ENOMEM;
    const fd = areaCreate(this.addr + chunk * 4, CHUNK_SIZE, AREA_SIZE);
    if (fd < 0) this.freeChunks.push(chunk);
    else this.takenChunk = chunk;
    return fd;
  }

  /** Word index of the chunk that the last successful createArea mapped. */
  takenChunk = 0;

  /** Maps chunk number `index` of an area. Word index or −errno. */
  mapChunk(areaFd: number, index: number): number {
    const chunk = this.takeChunk();
    if (chunk === undefined) return -ENOMEM;
    const r = host.mmap(
      this.addr + chunk * 4,
      CHUNK_SIZE,
      PROT_READ | PROT_WRITE,
      MAP_SHARED | MAP_FIXED,
      areaFd,
      index * CHUNK_SIZE,
    );
    if (r >= 0) return chunk;
    this.freeChunks.push(chunk);
    return r;
  }

  /** Takes a chunk out of use. */
  unmapChunk(chunk: number): void {
    const r = host.mmap(this.addr + chunk * 4, CHUNK_SIZE, PROT_READ, IDLE_FLAGS | MAP_FIXED, -1, 0);
    // Without the replacement the chunk stays mapped, which is harmless, but it cannot be given out again.
    if (r >= 0) this.freeChunks.push(chunk);
  }

  /** Host address of a place, for host calls that write there. */
  hostAddr(word: number): number {
    return this.addr + word * 4;
  }

  load(word: number): number {
    return Atomics.load(this.i32, word);
  }

  /**
   * A word that an earlier `load` or `exchange` has said is there. V8 calls a function for every Atomics.load (20 ns), and makes one
   * access of this; it may keep the value for a later one, so nothing that another process is waited for may be read so.
   */
  loadRelaxed(word: number): number {
    return this.i32[word]!;
  }

  store(word: number, value: number): void {
    Atomics.store(this.i32, word, value);
  }

  /** A store that other stores may overtake; publish it by a later `exchange` or `store`. */
  storeRelaxed(word: number, value: number): void {
    this.i32[word] = value;
  }

  exchange(word: number, value: number): number {
    return Atomics.exchange(this.i32, word, value);
  }

  compareExchange(word: number, expected: number, value: number): void {
    Atomics.compareExchange(this.i32, word, expected, value);
  }

  /** Private copy of `count` words, each as by `loadRelaxed`. */
  loadWords(word: number, dst: Uint32Array, at: number, count: number): void {
    const { i32 } = this;
    for (let i = 0; i < count; i++) dst[at + i] = i32[word + i]!;
  }

  storeWords(word: number, src: Uint32Array, at: number, count: number): void {
    for (let i = 0; i < count; i++) this.i32[word + i] = src[at + i]!;
  }

  /** A 64-bit value as a number, each half as by `loadRelaxed`; beyond 2^53 it is inexact, never small. */
  loadNumber(word: number): number {
    return (this.i32[word + 1]! >>> 0) * 0x100000000 + (this.i32[word]! >>> 0);
  }

  /** The same of an address that may be in the kernel's half: negative then. */
  loadSigned(word: number): number {
    return signedFromLoHi(this.i32[word]!, this.i32[word + 1]!);
  }

  storeNumber(word: number, value: number): void {
    this.i32[word] = value >>> 0;
    this.i32[word + 1] = Math.floor(value / 0x100000000) >>> 0;
  }

  /** Private copy of `len` bytes. The caller has checked both ranges. */
  copyOut(word: number, byteOffset: number, dst: Uint8Array, at: number, len: number): void {
    const from = word * 4 + byteOffset;
    if (len <= LOOP_COPY_MAX) {
      for (let i = 0; i < len; i++) dst[at + i] = this.u8[from + i]!;
    } else {
      dst.set(this.u8.subarray(from, from + len), at);
    }
  }

  copyIn(word: number, byteOffset: number, src: Uint8Array, at: number, len: number): void {
    const to = word * 4 + byteOffset;
    if (len <= LOOP_COPY_MAX) {
      for (let i = 0; i < len; i++) this.u8[to + i] = src[at + i]!;
    } else {
      this.u8.set(src.subarray(at, at + len), to);
    }
  }

  zero(word: number, words: number): void {
    this.i32.fill(0, word, word + words);
  }

  /** Copies within the window. */
  move(toWord: number, fromWord: number, words: number): void {
    this.i32.copyWithin(toWord, fromWord, fromWord + words);
  }
}
