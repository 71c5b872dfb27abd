/**
 * The two rings of an io_uring and its submission entries (io_uring/io_uring.c struct io_rings): one memfd that the guest maps. It may
 * write anywhere in it at any time, so positions are kept here, what is read is copied once, and indices are masked or checked.
 */
import { ENOMEM } from '../../sentry/abi/errno.ts';
import {
  CQE_SIZE,
  IORING_CQ_EVENTFD_DISABLED,
  IORING_OFF_CQ_RING,
  IORING_OFF_SQ_RING,
  IORING_OFF_SQES,
  IORING_SETUP_CQE32,
  IORING_SETUP_NO_SQARRAY,
  IORING_SETUP_SQE128,
  IORING_SQ_CQ_OVERFLOW,
  SQE_SIZE,
} from '../../sentry/abi/io-uring.ts';
import { HostBuffer } from '../../sentry/host/memory.ffi.ts';
import { pageUp } from '../../sentry/lib/addr.ts';
import { reserveRing, RingMemory } from '../../sentry/mm/ring-memory.ts';

// struct io_rings
export const SQ_HEAD = 0;
export const SQ_TAIL = 4;
export const CQ_HEAD = 8;
export const CQ_TAIL = 12;
export const SQ_MASK = 16;
export const CQ_MASK = 20;
export const SQ_ENTRIES = 24;
export const CQ_ENTRIES = 28;
export const SQ_DROPPED = 32;
export const SQ_FLAGS = 36;
export const CQ_FLAGS = 40;
export const CQ_OVERFLOW = 44;
export const CQES = 64;

/** Words of a submission entry that are looked at. */
export const SQE_WORDS = SQE_SIZE / 4;
/** Indices and entries that are fetched at once, and completions that are stored at once. */
const BATCH = 32;
/** Completions that found no room, of all rings together. */
const OVERFLOW_MAX = 65536;
let overflows = 0;

/** A completion that waits for room: user_data (lo, hi), res, flags. */
type Waiting = readonly [number, number, number, number];

const indices = new HostBuffer(4 * BATCH);
const entries = new HostBuffer(2 * SQE_SIZE * BATCH);
const cqes = new HostBuffer(2 * CQE_SIZE * BATCH);

/** Which submission entries `entries` holds, and whose. */
let fetchedFor: RingMemory | null = null;
/** Whose completions `cqes` holds. */
let stager: Rings | null = null;
let fetchedFirst = 0;
let fetchedCount = 0;

export class Rings {
  readonly sqEntries: number;
  readonly cqEntries: number;
  /** Where the index array begins; 0: there is none. */
  readonly arrayAt: number;
  readonly memory: RingMemory;
  private readonly sqeSize: number;
  private readonly cqeSize: number;
  /** Where the submission entries begin: behind the rings, on a page of their own. */
  private readonly sqesAt: number;
  private readonly size: number;
  sqHead = 0;
  cqTail = 0;
  private dropped = 0;
  private lost = 0;
  private sqFlags = 0;
  /** Slots that are known to be free, and how many of them are filled but not yet stored. */
  private free = 0;
  private staged = 0;
  /** The guest has not been told of all that is stored. */
  private isTailBehind = false;
  private readonly overflow: Waiting[] = [];

  private constructor(memory: RingMemory, flags: number, sqEntries: number, cqEntries: number) {
    const l = layout(flags, sqEntries, cqEntries);
    this.memory = memory;
    this.sqEntries = sqEntries;
    this.cqEntries = cqEntries;
    this.arrayAt = l.arrayAt;
    this.sqesAt = l.sqesAt;
    this.size = l.size;
    this.sqeSize = l.sqeSize;
    this.cqeSize = l.cqeSize;
    memory.writeU32(SQ_MASK, sqEntries - 1);
    memory.writeU32(CQ_MASK, cqEntries - 1);
    memory.writeU32(SQ_ENTRIES, sqEntries);
    memory.writeU32(CQ_ENTRIES, cqEntries);
  }

  /** Counts are powers of two. −ENOMEM beyond what rings may have. */
  static create(flags: number, sqEntries: number, cqEntries: number): Rings | number {
    const { size } = layout(flags, sqEntries, cqEntries);
    if (!reserveRing(size)) return -ENOMEM;
    const memory = RingMemory.create(size);
    if (typeof memory !== 'number') return new Rings(memory, flags, sqEntries, cqEntries);
    reserveRing(-size);
    return memory;
  }

  release(): void {
    overflows -= this.overflow.length;
    this.overflow.length = 0;
    if (fetchedFor === this.memory) fetchedFor = null;
    if (stager === this) stager = null;
    reserveRing(-this.size);
    this.memory.release();
  }

  /** Where in the memory a mapping at mmap(2)'s `offset` begins, or −1. How long it is does not matter. */
  mapped(offset: number): number {
    if (offset === IORING_OFF_SQ_RING || offset === IORING_OFF_CQ_RING) return 0;
    return offset === IORING_OFF_SQES ? this.sqesAt : -1;
  }

  /** io_sqring_entries(): what may be taken. A tail that is nowhere near means a full ring, as in Linux. */
  get submitted(): number {
    return Math.min((this.memory.readU32(SQ_TAIL) - this.sqHead) >>> 0, this.sqEntries);
  }

  /**
   * io_get_sqe(): copies the next entry of `left` ones to `to`. False: its index is none, it counts as dropped. What is fetched ahead
   * is fetched in the same call: `endSubmission` forgets it.
   */
  take(to: Uint32Array, left: number): boolean {
    const slot = (this.sqHead & (this.sqEntries - 1)) >>> 0;
    this.sqHead = (this.sqHead + 1) >>> 0;
    let index = slot;
    if (this.arrayAt !== 0) {
      const at = this.indexAt(slot, left);
      if (at >= this.sqEntries) {
        this.memory.writeU32(SQ_DROPPED, (this.dropped = (this.dropped + 1) >>> 0));
        return false;
      }
      index = at;
    }
    if (fetchedFor !== this.memory || index < fetchedFirst || index >= fetchedFirst + fetchedCount) {
      fetchedFor = this.memory;
      fetchedFirst = index;
      fetchedCount = Math.min(left, BATCH, this.sqEntries - index);
      const bytes = fetchedCount * this.sqeSize;
      if (!this.memory.read(this.sqesAt + index * this.sqeSize, entries, 0, bytes)) entries.bytes.fill(0);
    }
    const word = ((index - fetchedFirst) * this.sqeSize) / 4;
    for (let i = 0; i < SQE_WORDS; i++) to[i] = entries.u32[word + i]!;
    return true;
  }

  private indexFirst = 0;
  private indexCount = 0;

  private indexAt(slot: number, left: number): number {
    if (slot < this.indexFirst || slot >= this.indexFirst + this.indexCount) {
      this.indexFirst = slot;
      this.indexCount = Math.min(left, BATCH, this.sqEntries - slot);
      if (!this.memory.read(this.arrayAt + 4 * slot, indices, 0, 4 * this.indexCount)) indices.u32.fill(0);
    }
    return indices.u32[slot - this.indexFirst]!;
  }

  /** io_commit_sqring(): the guest may use again what has been taken. */
  endSubmission(): void {
    fetchedFor = null;
    this.indexCount = 0;
    this.memory.writeU32(SQ_HEAD, this.sqHead);
  }

  /** Completions that the guest has not taken; its head may lie. */
  get unseen(): number {
    return Math.min((this.cqTail - this.memory.readU32(CQ_HEAD)) >>> 0, this.cqEntries);
  }

  get hasOverflow(): boolean {
    return this.overflow.length > 0;
  }

  /** How many completions wait for room. */
  get overflowing(): number {
    return this.overflow.length;
  }

  get eventsDisabled(): boolean {
    return (this.memory.readU32(CQ_FLAGS) & IORING_CQ_EVENTFD_DISABLED) !== 0;
  }

  /** A completion in the ring, after the next `commit`. False: there is no room, or others wait for it. */
  post(lo: number, hi: number, res: number, flags: number): boolean {
    return this.overflow.length === 0 && this.store(lo, hi, res, flags);
  }

  /** A completion in the ring, or among those that wait; the counter of the lost goes up if there are too many. */
  postAlways(lo: number, hi: number, res: number, flags: number): void {
    if (this.post(lo, hi, res, flags)) return;
    if (overflows >= OVERFLOW_MAX) {
      this.memory.writeU32(CQ_OVERFLOW, (this.lost = (this.lost + 1) >>> 0));
      return;
    }
    overflows++;
    this.overflow.push([lo, hi, res, flags]);
    if (this.overflow.length === 1) this.setSqFlags(this.sqFlags | IORING_SQ_CQ_OVERFLOW);
  }

  /** io_cqring_overflow_flush(): those that waited, as far as there is room now. */
  flushOverflow(): void {
    let n = 0;
    while (n < this.overflow.length && this.store(...this.overflow[n]!)) n++;
    if (n === 0) return;
    this.overflow.splice(0, n);
    overflows -= n;
    if (this.overflow.length === 0) this.setSqFlags(this.sqFlags & ~IORING_SQ_CQ_OVERFLOW);
    this.commit();
  }

  private store(lo: number, hi: number, res: number, flags: number): boolean {
    if (this.free === 0) {
      this.commit();
      this.free = this.cqEntries - this.unseen;
      if (this.free === 0) return false;
    }
    const slot = (this.cqTail & (this.cqEntries - 1)) >>> 0;
    if (stager !== this || this.staged === BATCH || slot === 0) stageFor(this);
    const at = (this.staged * this.cqeSize) / 4;
    cqes.u32.fill(0, at, at + this.cqeSize / 4);
    cqes.u32[at] = lo;
    cqes.u32[at + 1] = hi;
    cqes.i32[at + 2] = res;
    cqes.u32[at + 3] = flags;
    this.staged++;
    this.free--;
    this.cqTail = (this.cqTail + 1) >>> 0;
    return true;
  }

  /** Stores what is staged, which the guest does not see before its tail. */
  storeStaged(): void {
    if (this.staged === 0) return;
    // The tail is behind the last of them, which lie in one piece.
    const last = ((this.cqTail - 1) & (this.cqEntries - 1)) >>> 0;
    const first = last + 1 - this.staged;
    this.memory.write(CQES + first * this.cqeSize, cqes, 0, this.staged * this.cqeSize);
    this.staged = 0;
    this.isTailBehind = true;
  }

  /** io_commit_cqring(): the guest sees what was posted. True if there is something new. */
  commit(): boolean {
    this.storeStaged();
    if (!this.isTailBehind) return false;
    this.isTailBehind = false;
    this.memory.writeU32(CQ_TAIL, this.cqTail);
    return true;
  }

  /** io_uring_show_fdinfo(), but for requests. */
  get figures(): string {
    const { memory, sqEntries, cqEntries } = this;
    const cqHead = memory.readU32(CQ_HEAD);
    const sqTail = memory.readU32(SQ_TAIL);
    const cqTail = memory.readU32(CQ_TAIL);
    return (
      `SqMask:\t0x${(sqEntries - 1).toString(16)}\nSqHead:\t${memory.readU32(SQ_HEAD)}\nSqTail:\t${sqTail}\n` +
      `CachedSqHead:\t${this.sqHead}\nCqMask:\t0x${(cqEntries - 1).toString(16)}\nCqHead:\t${cqHead}\n` +
      `CqTail:\t${cqTail}\nCachedCqTail:\t${this.cqTail}\n`
    );
  }

  private setSqFlags(flags: number): void {
    this.sqFlags = flags;
    this.memory.writeU32(SQ_FLAGS, flags);
  }
}

function stageFor(rings: Rings): void {
  stager?.storeStaged();
  stager = rings;
}

function layout(flags: number, sqEntries: number, cqEntries: number) {
  const cqeSize = (flags & IORING_SETUP_CQE32) !== 0 ? 2 * CQE_SIZE : CQE_SIZE;
  const sqeSize = (flags & IORING_SETUP_SQE128) !== 0 ? 2 * SQE_SIZE : SQE_SIZE;
  const cqEnd = CQES + cqEntries * cqeSize;
  const hasArray = (flags & IORING_SETUP_NO_SQARRAY) === 0;
  // SMP_CACHE_BYTES
  const arrayAt = hasArray ? Math.ceil(cqEnd / 64) * 64 : 0;
  const sqesAt = pageUp(hasArray ? arrayAt + 4 * sqEntries : cqEnd);
  return { cqeSize, sqeSize, arrayAt, sqesAt, size: sqesAt + pageUp(sqEntries * sqeSize) };
}
