/** SendRing: frames that the user has put into a ring to be sent (af_packet.c tpacket_snd, tpacket_parse_header). */
import { EAGAIN, EINVAL, EMSGSIZE, ENOBUFS } from '../../abi/errno.ts';
import * as P from '../../abi/packet.ts';
import { HostBuffer } from '../../host/memory.ffi.ts';
import { frameOffset, type RingGeometry } from './geometry.ts';
import type { RingMemory } from '../../mm/ring-memory.ts';

/** Offsets of tp_status, tp_len and tp_mac by version. */
const STATUS = [0, 0, 20];
const LENGTH = [8, 4, 16];
const LINK = [16, 12, 24];
/** Of one call. */
const FRAMES_MAX = 4096;
/** Longer ones no interface takes. */
const DATA_MAX = 128 * 1024;

const head = new HostBuffer(P.TPACKET_HEADERS[P.TPACKET_V3]!);
let data: HostBuffer | null = null;

/** Sends `len` bytes at a host address: bytes taken or −errno. */
export type Transmit = (addr: number, len: number) => number;

export class SendRing {
  readonly geometry: RingGeometry;
  /** Where the ring begins in the memory. */
  private readonly start: number;
  private next = 0;

  constructor(geometry: RingGeometry, start: number) {
    this.geometry = geometry;
    this.start = start;
  }

  /** Sends what is to be sent: bytes or −errno. `skip`: what cannot be sent is passed over (PACKET_LOSS). */
  send(
    memory: RingMemory,
    type: { dgram: boolean; hasOffset: boolean; skip: boolean },
    to: Transmit,
  ): number {
    const { version, frames, frameSize } = this.geometry;
    const headSize = P.TPACKET_HEADERS[version]!;
    data ??= new HostBuffer(DATA_MAX);
    let sum = 0;
    for (let i = 0; i < Math.min(frames, FRAMES_MAX); i++) {
      const at = this.start + frameOffset(this.geometry, this.next);
      const status = at + STATUS[version]!;
      if (memory.readU32(status) !== P.TP_STATUS_SEND_REQUEST) break;
      let r = memory.read(at, head, 0, headSize) ? 0 : -EINVAL;
      const length = head.bytes.readUInt32LE(LENGTH[version]!);
      const from = type.hasOffset ? head.bytes.readUInt16LE(LINK[version]! + (type.dgram ? 2 : 0)) : headSize;
      if (length > Math.min(frameSize - headSize, DATA_MAX)) r = -EMSGSIZE;
      else if (from < headSize || from > frameSize - length) r = -EINVAL;
      else if (version === P.TPACKET_V3 && head.bytes.readUInt32LE(0) !== 0) r = -EINVAL;
      if (r === 0) r = memory.read(at + from, data, 0, length) ? to(data.addr, length) : -EINVAL;
      if (r === -EAGAIN || r === -ENOBUFS) return sum > 0 ? sum : r;
      if (r < 0 && !type.skip) {
        memory.writeU32(status, P.TP_STATUS_WRONG_FORMAT);
        return r;
      }
      memory.writeU32(status, P.TP_STATUS_AVAILABLE);
      this.next = (this.next + 1) % frames;
      sum += Math.max(0, r);
    }
    return sum;
  }
}
