/** How a ring is laid out (net/packet/af_packet.c packet_set_ring). */
import { EINVAL } from '../../abi/errno.ts';
import * as P from '../../abi/packet.ts';

const PAGE = 4096;
const INT_MAX = 0x7fffffff;
const U32_MAX = 0xffffffff;

export interface RingGeometry {
  readonly version: number;
  readonly blockSize: number;
  readonly blocks: number;
  readonly frameSize: number;
  readonly frames: number;
  /** PACKET_RESERVE */
  readonly reserve: number;
  /** Of version 3: ns until a block with packets is handed over, the user's part of each block, TP_FT_REQ_*. */
  readonly retireNs: number;
  readonly privateSize: number;
  readonly features: number;
}

const DEFAULT_RETIRE_MS = 8;

/** TPACKET_HDRLEN and its kin. */
export function headerLength(version: number): number {
  return P.TPACKET_HEADERS[version]! + P.SOCKADDR_LL;
}

export function alignTo(n: number, unit: number): number {
  return Math.ceil(n / unit) * unit;
}

/** BLK_PLUS_PRIV() */
export function blockHeader(privateSize: number): number {
  return P.TPACKET_BLOCK_DESC + alignTo(privateSize, 8);
}

/** A struct tpacket_req or tpacket_req3: null if it asks for no ring, −EINVAL. */
export function ringGeometry(
  req: Buffer,
  version: number,
  reserve: number,
  sends: boolean,
): RingGeometry | null | number {
  const v3 = version === P.TPACKET_V3;
  if (req.length < (v3 ? P.TPACKET_REQ3 : P.TPACKET_REQ)) return -EINVAL;
  const [blockSize, blocks, frameSize, frames] = [0, 4, 8, 12].map((at) => req.readUInt32LE(at)) as [
    number,
    number,
    number,
    number,
  ];
  if (blocks === 0) return frames === 0 ? null : -EINVAL;
  const [timeout, privateSize, features] = v3
    ? [req.readUInt32LE(16), req.readUInt32LE(20), req.readUInt32LE(24)]
    : [0, 0, 0];
  const least = headerLength(version) + reserve;
  if (blockSize === 0 || blockSize > INT_MAX || blockSize % PAGE !== 0) return -EINVAL;
  if (v3 && blockSize < blockHeader(privateSize) + least) return -EINVAL;
  if (frameSize < least || frameSize % P.TPACKET_ALIGNMENT !== 0) return -EINVAL;
  const perBlock = Math.floor(blockSize / frameSize);
  if (perBlock === 0 || perBlock > U32_MAX / blocks || perBlock * blocks !== frames) return -EINVAL;
  if (sends && (timeout !== 0 || privateSize !== 0 || features !== 0)) return -EINVAL;
  const retireNs = (timeout === 0 ? DEFAULT_RETIRE_MS : timeout) * 1_000_000;
  return { version, blockSize, blocks, frameSize, frames, reserve, retireNs, privateSize, features };
}

/** Offset of a frame in its ring: frames do not cross blocks. */
export function frameOffset(g: RingGeometry, frame: number): number {
  const perBlock = Math.floor(g.blockSize / g.frameSize);
  return Math.floor(frame / perBlock) * g.blockSize + (frame % perBlock) * g.frameSize;
}
