/**
 * PacketSocket: AF_PACKET (packet(7)) by a socket of the host. Rings (packet_mmap) are the sentry's own: it takes what the host
 * socket receives and fills memory that the guest maps, as af_packet.c would; the host knows of no ring.
 */
import { EAGAIN, EBUSY, EINVAL, ENOMEM, ENOPROTOOPT } from '../../abi/errno.ts';
import * as P from '../../abi/packet.ts';
import { SO_TIMESTAMPNS, SOCK_DGRAM, SOCK_RAW, SOL_SOCKET } from '../../abi/socket.ts';
import * as net from '../../host/net.ffi.ts';
import type { Task } from '../../kernel/task.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { MapSource } from '../../vfs/file-description.ts';
import { EPOLLIN, EPOLLRDNORM } from '../../waiter/wait-queue.ts';
import { HostSocket } from '../inet/host-socket.ts';
import { maySet } from '../inet/options.ts';
import { intValue, putInt, type RecvInfo, type SendInfo } from '../socket.ts';
import { BlockRing } from './block-ring.ts';
import { Captured } from './captured.ts';
import { FrameRing } from './frame-ring.ts';
import { ringGeometry, type RingGeometry } from './geometry.ts';
import type { ReceiveRing } from './receive-ring.ts';
import { reserveRing, RingMemory } from '../../mm/ring-memory.ts';
import { SendRing } from './send-ring.ts';

const INT_MAX = 0x7fffffff;
const READABLE = EPOLLIN | EPOLLRDNORM;
/** Of one wake-up. */
const FRAMES_MAX = 4096;
const ONE = Uint8Array.of(1, 0, 0, 0);
/** Flags of struct packet_diag_info. */
const PDI_AUXDATA = 2;
const PDI_LOSS = 16;

/** Options that are only remembered, and what they may be while there is a ring. */
const NUMBERS: ReadonlySet<number> = new Set([P.PACKET_TIMESTAMP, P.PACKET_QDISC_BYPASS]);
const BEFORE_RINGS: ReadonlySet<number> = new Set([
  P.PACKET_VERSION,
  P.PACKET_RESERVE,
  P.PACKET_LOSS,
  P.PACKET_TX_HAS_OFF,
]);

let captured: Captured | null = null;
const counts = Buffer.alloc(8);

const sizeOf = (g: RingGeometry | undefined): number => (g === undefined ? 0 : g.blockSize * g.blocks);

export class PacketSocket extends HostSocket {
  private readonly kernel: Task['kernel'];
  private readonly kept = new Map<number, number>();
  private receiveRing: ReceiveRing | null = null;
  private sendRing: SendRing | null = null;
  /** Made when it is mapped for the first time: until then frames wait in the host's socket. */
  private memory: RingMemory | null = null;
  private mappings = 0;
  /** PACKET_VNET_HDR: a struct virtio_net_hdr comes before each frame. */
  private virtioHeaders = false;
  /** Frames for which there was no room since PACKET_STATISTICS. */
  private drops = 0;

  constructor(t: CallContext, type: number, protocol: number, flags: number, hostFd: number, domain: number) {
    super(t, domain, type, protocol, flags, hostFd);
    this.kernel = (t as Task).kernel;
  }

  private number(name: number): number {
    return this.kept.get(name) ?? 0;
  }

  private get rings(): boolean {
    return this.receiveRing !== null || this.sendRing !== null;
  }

  private get ringSize(): number {
    return sizeOf(this.receiveRing?.geometry) + sizeOf(this.sendRing?.geometry);
  }

  /** Fills the ring with what has come: tpacket_rcv(). */
  private drain(): void {
    const ring = this.receiveRing;
    if (ring === null || this.memory === null) return;
    captured ??= new Captured();
    let some = false;
    for (let i = 0; i < FRAMES_MAX; i++) {
      const r = captured.receive(this.hostFd, this.kernel.clock);
      if (r < 0) {
        if (r !== -EAGAIN) this.setError(-r);
        break;
      }
      if (ring.put(captured, this.drops > 0)) some = true;
      else this.drops++;
    }
    if (some && ring instanceof FrameRing) this.waiters.wake(READABLE);
  }

  protected override hostReady(events: number): void {
    if (this.receiveRing === null) return super.hostReady(events);
    this.drain();
    super.hostReady(events & ~READABLE);
  }

  override poll(): number {
    const ring = this.receiveRing;
    if (ring === null) return super.poll();
    this.drain();
    return (super.poll() & ~READABLE) | (ring.readable ? READABLE : 0);
  }

  override recv(
    t: CallContext,
    buf: Uint8Array,
    off: number,
    len: number,
    flags: number,
    info: RecvInfo | null,
  ): number {
    if (this.receiveRing === null) return super.recv(t, buf, off, len, flags, info);
    this.drain();
    const e = this.takeError();
    return e !== 0 ? -e : -EAGAIN;
  }

  override send(
    t: CallContext,
    buf: Uint8Array,
    off: number,
    len: number,
    flags: number,
    info: SendInfo | null,
  ): number {
    const ring = this.sendRing;
    if (ring === null) return super.send(t, buf, off, len, flags, info);
    if (this.memory === null) return 0;
    const to = info === null ? null : info.name;
    const how = {
      dgram: this.type === SOCK_DGRAM,
      hasOffset: this.number(P.PACKET_TX_HAS_OFF) !== 0,
      skip: this.number(P.PACKET_LOSS) !== 0,
    };
    return ring.send(this.memory, how, (addr, n) => net.send(this.hostFd, addr, n, 0, to));
  }

  /** packet_mmap(): all rings at once, the one to receive with first. */
  override mapSource(_shared: boolean, _prot: number, offset: number, len: number): MapSource | number {
    const size = this.ringSize;
    if (offset !== 0 || size === 0 || len !== size) return -EINVAL;
    if (this.memory === null) {
      const memory = RingMemory.create(size);
      if (typeof memory === 'number') return memory;
      this.memory = memory;
      this.receiveRing?.begin(memory);
      this.drain();
    }
    this.mappings++;
    return {
      hostFd: this.memory.hostFd,
      hostOffset: 0,
      privateOnly: false,
      onUnmapped: () => this.mappings--,
    };
  }

  /** packet_set_ring() */
  private setRing(sends: boolean, value: Buffer): number {
    const version = this.number(P.PACKET_VERSION);
    const g = ringGeometry(value, version, this.number(P.PACKET_RESERVE), sends);
    if (this.mappings > 0) return -EBUSY;
    // What the host puts before each frame then is not for rings of the sentry's.
    if (this.virtioHeaders && g !== null) return -EINVAL;
    const old = sends ? this.sendRing : this.receiveRing;
    if (g !== null && old !== null) return -EBUSY;
    if (typeof g === 'number') return g;
    if (g !== null && !reserveRing(sizeOf(g))) return -ENOMEM;
    reserveRing(-sizeOf(old?.geometry));
    this.forgetMemory();
    if (sends) this.sendRing = g === null ? null : new SendRing(g, 0);
    else this.setReceiveRing(g);
    const tx = this.sendRing?.geometry;
    if (tx !== undefined) this.sendRing = new SendRing(tx, sizeOf(this.receiveRing?.geometry));
    return 0;
  }

  private setReceiveRing(g: RingGeometry | null): void {
    this.receiveRing?.end();
    this.receiveRing = null;
    if (g === null) return;
    // What had come before is gone, as in Linux.
    captured ??= new Captured();
    for (let i = 0; i < FRAMES_MAX && captured.receive(this.hostFd, this.kernel.clock) >= 0; i++);
    net.setsockopt(this.hostFd, P.SOL_PACKET, P.PACKET_AUXDATA, ONE);
    net.setsockopt(this.hostFd, SOL_SOCKET, SO_TIMESTAMPNS, ONE);
    const { clock, timers } = this.kernel;
    this.receiveRing =
      g.version === P.TPACKET_V3
        ? new BlockRing(g, clock, timers, () => this.waiters.wake(READABLE))
        : new FrameRing(g);
    this.watch();
  }

  /** struct packet_diag_info after the interface: version, reserve, copy_thresh, tstamp, flags. */
  get diagInfo(): number[] {
    const flag = (name: number, bit: number): number => (this.number(name) !== 0 ? bit : 0);
    const flags = flag(P.PACKET_AUXDATA, PDI_AUXDATA) | flag(P.PACKET_LOSS, PDI_LOSS);
    return [
      this.number(P.PACKET_VERSION),
      this.number(P.PACKET_RESERVE),
      0,
      this.number(P.PACKET_TIMESTAMP),
      flags,
    ];
  }

  /** struct packet_diag_ring of both. */
  get ringsForDiag(): { rx: number[] | null; tx: number[] | null } {
    const of = (g: RingGeometry | undefined): number[] | null =>
      g === undefined
        ? null
        : [
            g.blockSize,
            g.blocks,
            g.frameSize,
            g.frames,
            g.version === P.TPACKET_V3 ? g.retireNs / 1e6 : 0,
            g.privateSize,
            g.features,
          ];
    return { rx: of(this.receiveRing?.geometry), tx: of(this.sendRing?.geometry) };
  }

  private forgetMemory(): void {
    this.memory?.release();
    this.memory = null;
  }

  override setOption(t: CallContext, level: number, name: number, value: Buffer): number {
    if (level !== P.SOL_PACKET) return super.setOption(t, level, name, value);
    if (name === P.PACKET_RX_RING || name === P.PACKET_TX_RING)
      return this.setRing(name === P.PACKET_TX_RING, value);
    const v = intValue(value);
    if (BEFORE_RINGS.has(name)) {
      if (v === null || value.length !== 4) return -EINVAL;
      if (name === P.PACKET_VERSION && (v < P.TPACKET_V1 || v > P.TPACKET_V3)) return -EINVAL;
      if (name === P.PACKET_RESERVE && (v < 0 || v > INT_MAX)) return -EINVAL;
      // PACKET_TX_HAS_OFF says nothing.
      if (this.rings) return name === P.PACKET_TX_HAS_OFF ? 0 : -EBUSY;
      const flag = name === P.PACKET_LOSS || name === P.PACKET_TX_HAS_OFF;
      this.kept.set(name, flag && v !== 0 ? 1 : v);
      return 0;
    }
    if (NUMBERS.has(name)) {
      if (v === null || value.length !== 4) return -EINVAL;
      this.kept.set(name, name === P.PACKET_QDISC_BYPASS && v !== 0 ? 1 : v);
      return 0;
    }
    if (name === P.PACKET_VNET_HDR || name === P.PACKET_VNET_HDR_SZ) {
      if (this.type === SOCK_RAW && v !== null && this.rings) return -EBUSY;
      const r = super.setOption(t, level, name, value);
      if (r === 0) this.virtioHeaders = v !== 0;
      return r;
    }
    if (name === P.PACKET_AUXDATA && v !== null) {
      this.kept.set(name, v !== 0 ? 1 : 0);
      if (this.receiveRing !== null) return 0;
    }
    if (!maySet(level, name)) return name === P.PACKET_FANOUT_DATA ? -EINVAL : -ENOPROTOOPT;
    return super.setOption(t, level, name, value);
  }

  override readsOption(level: number, name: number): number {
    return level === P.SOL_PACKET && name === P.PACKET_HDRLEN ? 4 : 0;
  }

  override getOption(t: CallContext, level: number, name: number, out: Buffer, len: number): number {
    if (level !== P.SOL_PACKET) return super.getOption(t, level, name, out, len);
    switch (name) {
      case P.PACKET_STATISTICS:
        return this.statistics(out, len);
      case P.PACKET_HDRLEN: {
        if (len < 4) return -EINVAL;
        const size = P.TPACKET_HEADERS[out.readInt32LE(0)];
        return size === undefined ? -EINVAL : putInt(out, len, size);
      }
      case P.PACKET_AUXDATA:
      case P.PACKET_VERSION:
      case P.PACKET_RESERVE:
      case P.PACKET_LOSS:
      case P.PACKET_TX_HAS_OFF:
      case P.PACKET_TIMESTAMP:
      case P.PACKET_QDISC_BYPASS:
        return putInt(out, len, this.number(name));
      default:
        return super.getOption(t, level, name, out, len);
    }
  }

  /** struct tpacket_stats or tpacket_stats_v3; they are told once. */
  private statistics(out: Buffer, len: number): number {
    this.drain();
    if (net.getsockopt(this.hostFd, P.SOL_PACKET, P.PACKET_STATISTICS, counts, 8) < 0) return -ENOPROTOOPT;
    out.writeUInt32LE(counts.readUInt32LE(0), 0);
    out.writeUInt32LE((counts.readUInt32LE(4) + this.drops) >>> 0, 4);
    this.drops = 0;
    out.writeUInt32LE(this.receiveRing?.freezes ?? 0, 8);
    return Math.min(len, this.number(P.PACKET_VERSION) === P.TPACKET_V3 ? 12 : 8);
  }

  protected override release(): void {
    this.receiveRing?.end();
    reserveRing(-this.ringSize);
    this.forgetMemory();
    super.release();
  }
}
