/**
 * BlockRing: version 3 of a ring to receive with: frames of any size fill blocks, which are handed over when they are full or some
 * time has passed (af_packet.c, the functions whose names begin with prb_).
 */
import * as P from '../../abi/packet.ts';
import { HostBuffer } from '../../host/memory.ffi.ts';
import type { Clock } from '../../time/clock.ts';
import { Timer, type TimerQueue } from '../../time/timer-queue.ts';
import type { Captured } from './captured.ts';
import { alignTo, blockHeader, headerLength, type RingGeometry } from './geometry.ts';
import { frameStart, type FrameStart, type ReceiveRing } from './receive-ring.ts';
import type { RingMemory } from '../../mm/ring-memory.ts';

/** Offset of a block's status. */
const STATUS = 8;

const head = new HostBuffer(headerLength(P.TPACKET_V3));
const description = new HostBuffer(P.TPACKET_BLOCK_DESC);
const start: FrameStart = { link: 0, network: 0 };

export class BlockRing implements ReceiveRing {
  readonly geometry: RingGeometry;
  private readonly clock: Clock;
  private readonly timers: TimerQueue;
  private readonly handedOver: () => void;
  private readonly timer = new Timer(() => this.retireInTime());
  private memory: RingMemory | null = null;
  private block = 0;
  /** All blocks are the user's. */
  private frozen = false;
  private sequence = 1;
  private packets = 0;
  /** Offset in the block of the last frame, and of the next one. */
  private last = 0;
  private next = 0;
  private firstSec = 0;
  private firstNsec = 0;
  private lastSec = 0;
  private lastNsec = 0;
  private losing = false;
  private frozenCount = 0;

  constructor(geometry: RingGeometry, clock: Clock, timers: TimerQueue, handedOver: () => void) {
    this.geometry = geometry;
    this.clock = clock;
    this.timers = timers;
    this.handedOver = handedOver;
  }

  begin(memory: RingMemory): void {
    this.memory = memory;
    this.block = 0;
    this.sequence = 1;
    this.open(memory);
  }

  private at(block: number): number {
    return block * this.geometry.blockSize;
  }

  /** prb_curr_blk_in_use() */
  private inUse(memory: RingMemory): boolean {
    return memory.readU32(this.at(this.block) + STATUS) !== P.TP_STATUS_KERNEL;
  }

  /** prb_open_block() */
  private open(memory: RingMemory): void {
    this.frozen = false;
    this.packets = 0;
    this.last = this.next = blockHeader(this.geometry.privateSize);
    this.firstSec = this.clock.realtimeSec();
    this.firstNsec = this.clock.realtimeNsec();
    this.describe(memory);
    this.sequence++;
  }

  /** The description of the block but for its status. */
  private describe(memory: RingMemory): void {
    const d = description.bytes.fill(0);
    d.writeUInt32LE(P.TPACKET_V3, 0);
    d.writeUInt32LE(P.TPACKET_BLOCK_DESC, 4);
    d.writeUInt32LE(this.packets, 12);
    d.writeUInt32LE(blockHeader(this.geometry.privateSize), 16);
    d.writeUInt32LE(this.next, 20);
    d.writeUInt32LE(this.packets === 0 ? this.sequence : this.sequence - 1, 24);
    d.writeUInt32LE(this.firstSec, 32);
    d.writeUInt32LE(this.firstNsec, 36);
    d.writeUInt32LE(this.lastSec, 40);
    d.writeUInt32LE(this.lastNsec, 44);
    memory.write(this.at(this.block), description, 0, STATUS);
    memory.write(
      this.at(this.block) + STATUS + 4,
      description,
      STATUS + 4,
      P.TPACKET_BLOCK_DESC - STATUS - 4,
    );
  }

  /** prb_close_block() */
  private close(memory: RingMemory, status: number): void {
    this.timers.disarm(this.timer);
    if (this.packets > 0) memory.writeU32(this.at(this.block) + this.last, 0);
    this.describe(memory);
    const all = P.TP_STATUS_USER | status | (this.losing ? P.TP_STATUS_LOSING : 0);
    memory.writeU32(this.at(this.block) + STATUS, all);
    this.block = (this.block + 1) % this.geometry.blocks;
    this.handedOver();
  }

  /** prb_dispatch_next_block(): false if the next one is the user's still. */
  private openNext(memory: RingMemory): boolean {
    if (this.inUse(memory)) {
      this.frozen = true;
      this.frozenCount++;
      return false;
    }
    this.open(memory);
    return true;
  }

  /** prb_retire_rx_blk_timer_expired(); here it runs only while the block has packets. */
  private retireInTime(): void {
    const { memory } = this;
    if (memory === null || this.frozen || this.packets === 0) return;
    this.close(memory, P.TP_STATUS_BLK_TMO);
    this.openNext(memory);
  }

  put(c: Captured, losing: boolean): boolean {
    const { geometry: g, memory } = this;
    if (memory === null || !frameStart(g, c, start)) return false;
    this.losing = losing;
    const most = g.blockSize - blockHeader(g.privateSize);
    const link = Math.min(start.link, most);
    const snap = Math.max(0, Math.min(c.snapLength, most - link));
    const size = alignTo(link + snap, 8);
    if (this.frozen) {
      if (this.inUse(memory)) return false;
      this.open(memory);
    }
    if (this.next + size >= g.blockSize) {
      this.close(memory, 0);
      if (!this.openNext(memory)) return false;
    }
    this.place(memory, c, link, snap, size);
    return true;
  }

  private place(memory: RingMemory, c: Captured, link: number, snap: number, size: number): void {
    const at = this.at(this.block) + this.next;
    memory.write(at + link, c.data, 0, snap);
    const h = head.bytes.fill(0);
    h.writeUInt32LE(size, 0);
    h.writeUInt32LE(c.sec, 4);
    h.writeUInt32LE(c.nsec, 8);
    h.writeUInt32LE(snap, 12);
    h.writeUInt32LE(c.length, 16);
    h.writeUInt32LE(c.status, 20);
    h.writeUInt16LE(link, 24);
    h.writeUInt16LE(start.network, 26);
    h.writeUInt32LE(c.vlanTci, 32);
    h.writeUInt16LE(c.vlanTpid, 36);
    h.set(c.address, P.TPACKET_HEADERS[P.TPACKET_V3]!);
    memory.write(at, head, 0, head.size);
    if (this.packets++ === 0) this.timers.arm(this.timer, this.clock.deadlineIn(this.geometry.retireNs));
    this.last = this.next;
    this.next += size;
    this.lastSec = c.sec;
    this.lastNsec = c.nsec;
  }

  /** packet_previous_rx_frame() */
  get readable(): boolean {
    const { blocks } = this.geometry;
    const previous = this.at((this.block + blocks - 1) % blocks);
    return this.memory !== null && this.memory.readU32(previous + STATUS) !== P.TP_STATUS_KERNEL;
  }

  get freezes(): number {
    const n = this.frozenCount;
    this.frozenCount = 0;
    return n;
  }

  end(): void {
    this.timers.disarm(this.timer);
    this.memory = null;
  }
}
