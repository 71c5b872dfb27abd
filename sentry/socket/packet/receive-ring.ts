/** What the versions of rings to receive with have in common. */
import { TPACKET_ALIGNMENT } from '../../abi/packet.ts';
import type { Captured } from './captured.ts';
import { alignTo, headerLength, type RingGeometry } from './geometry.ts';
import type { RingMemory } from '../../mm/ring-memory.ts';

export interface ReceiveRing {
  readonly geometry: RingGeometry;
  /** The ring lies at the beginning of `memory`, which is all zeros. */
  begin(memory: RingMemory): void;
  /** Hands a frame to the user; false: there is no room. `losing`: frames have been lost. */
  put(c: Captured, losing: boolean): boolean;
  /** Something was handed over and not given back. */
  readonly readable: boolean;
  /** How often all blocks were full; it counts anew afterwards. */
  readonly freezes: number;
  end(): void;
}

/** Offsets in a frame of the link's header and of the network's. */
export interface FrameStart {
  link: number;
  network: number;
}

const LINK_ROOM = 16;
const U16_MAX = 0xffff;

/** Where a frame's parts begin (tpacket_rcv); false: beyond what its header can tell. */
export function frameStart(g: RingGeometry, c: Captured, out: FrameStart): boolean {
  const link = Math.max(LINK_ROOM, c.linkLength);
  out.network = alignTo(headerLength(g.version) + link, TPACKET_ALIGNMENT) + g.reserve;
  out.link = out.network - c.linkLength;
  return out.network <= U16_MAX;
}
