/** FrameRing: versions 1 and 2 of a ring to receive with: frames of one size, each handed over by its status (tpacket_rcv). */
import * as P from '../../abi/packet.ts';
import { HostBuffer } from '../../host/memory.ffi.ts';
import type { Captured } from './captured.ts';
import { frameOffset, headerLength, type RingGeometry } from './geometry.ts';
import { frameStart, type FrameStart, type ReceiveRing } from './receive-ring.ts';
import type { RingMemory } from '../../mm/ring-memory.ts';

const head = new HostBuffer(P.TPACKET_HEADERS[P.TPACKET_V2]! + P.SOCKADDR_LL);
const start: FrameStart = { link: 0, network: 0 };

export class FrameRing implements ReceiveRing {
  readonly geometry: RingGeometry;
  private memory: RingMemory | null = null;
  private next = 0;

  constructor(geometry: RingGeometry) {
    this.geometry = geometry;
  }

  begin(memory: RingMemory): void {
    this.memory = memory;
    this.next = 0;
  }

  put(c: Captured, losing: boolean): boolean {
    const { geometry: g, memory } = this;
    if (memory === null || !frameStart(g, c, start)) return false;
    const at = frameOffset(g, this.next);
    if (memory.readU32(at) !== P.TP_STATUS_KERNEL) return false;
    const snap = Math.max(0, Math.min(c.snapLength, g.frameSize - start.link));
    const status = losing ? c.status | P.TP_STATUS_LOSING : c.status;
    memory.write(at + start.link, c.data, 0, snap);
    // Two words of status in version 1, one in version 2, which comes last.
    const v1 = g.version === P.TPACKET_V1;
    const rest = v1 ? 8 : 4;
    const h = head.bytes.fill(0);
    h.writeUInt32LE(c.length, rest);
    h.writeUInt32LE(snap, rest + 4);
    h.writeUInt16LE(start.link, rest + 8);
    h.writeUInt16LE(start.network, rest + 10);
    h.writeUInt32LE(c.sec, rest + 12);
    h.writeUInt32LE(v1 ? Math.floor(c.nsec / 1000) : c.nsec, rest + 16);
    if (!v1) {
      h.writeUInt16LE(c.vlanTci, 24);
      h.writeUInt16LE(c.vlanTpid, 26);
    }
    h.set(c.address, headerLength(g.version) - P.SOCKADDR_LL);
    memory.write(at + rest, head, rest, headerLength(g.version) - rest);
    memory.writeU32(at, status);
    this.next = (this.next + 1) % g.frames;
    return true;
  }

  /** packet_previous_rx_frame() */
  get readable(): boolean {
    const previous = (this.next + this.geometry.frames - 1) % this.geometry.frames;
    return (
      this.memory !== null && this.memory.readU32(frameOffset(this.geometry, previous)) !== P.TP_STATUS_KERNEL
    );
  }

  readonly freezes = 0;

  end(): void {
    this.memory = null;
  }
}
