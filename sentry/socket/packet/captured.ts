/** A frame as a packet socket of the host gives it, with what PACKET_AUXDATA and SO_TIMESTAMPNS tell of it. */
import * as P from '../../abi/packet.ts';
import { SO_TIMESTAMP, SO_TIMESTAMPNS, SOL_SOCKET } from '../../abi/socket.ts';
import { HostBuffer } from '../../host/memory.ffi.ts';
import { recvMessage, type HostMessage } from '../../host/net.ffi.ts';
import type { Clock } from '../../time/clock.ts';

/** Frames are cut to so much. */
export const FRAME_MAX = 256 * 1024;
const CMSG_HEADER = 16;
const CONTROL_ROOM = 256;
const MSG_TRUNC = 0x20;

const message: HostMessage = { name: new Uint8Array(0), control: new Uint8Array(0), flags: 0 };

/** One object: what the last receive gave. */
export class Captured {
  readonly data = new HostBuffer(FRAME_MAX);
  /** Bytes there are, after the filter, and bytes of the whole packet. */
  snapLength = 0;
  length = 0;
  /** Bytes of the link's header, 0 on SOCK_DGRAM. */
  linkLength = 0;
  /** TP_STATUS_USER and what is known of checksums and VLAN tags. */
  status = 0;
  vlanTci = 0;
  vlanTpid = 0;
  sec = 0;
  nsec = 0;
  readonly address = Buffer.alloc(P.SOCKADDR_LL);

  /** Takes the next one from the host: 0 or −errno. */
  receive(hostFd: number, clock: Clock): number {
    const n = recvMessage(hostFd, this.data.addr, FRAME_MAX, MSG_TRUNC, CONTROL_ROOM, message);
    if (n < 0) return n;
    this.snapLength = Math.min(n, FRAME_MAX);
    this.length = n;
    this.linkLength = 0;
    this.status = P.TP_STATUS_USER;
    this.vlanTci = this.vlanTpid = 0;
    this.sec = clock.realtimeSec();
    this.nsec = clock.realtimeNsec();
    this.address.fill(0);
    this.address.set(message.name.subarray(0, P.SOCKADDR_LL));
    this.readControl(Buffer.from(message.control));
    return 0;
  }

  private readControl(c: Buffer): void {
    for (let at = 0; at + CMSG_HEADER <= c.length;) {
      const len = c.readUInt32LE(at);
      if (len < CMSG_HEADER || at + len > c.length) break;
      const level = c.readInt32LE(at + 8);
      const type = c.readInt32LE(at + 12);
      const body = at + CMSG_HEADER;
      if (level === P.SOL_PACKET && type === P.PACKET_AUXDATA && len >= CMSG_HEADER + P.TPACKET_AUXDATA) {
        this.status = c.readUInt32LE(body);
        this.length = c.readUInt32LE(body + 4);
        this.linkLength = c.readUInt16LE(body + 14);
        this.vlanTci = c.readUInt16LE(body + 16);
        this.vlanTpid = c.readUInt16LE(body + 18);
      } else if (level === SOL_SOCKET && (type === SO_TIMESTAMP || type === SO_TIMESTAMPNS)) {
        this.sec = c.readUInt32LE(body);
        this.nsec = c.readUInt32LE(body + 8) * (type === SO_TIMESTAMP ? 1000 : 1);
      }
      at += Math.ceil(len / 8) * 8;
    }
  }
}
