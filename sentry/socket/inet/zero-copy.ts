/**
 * Completions of MSG_ZEROCOPY (net/core/skbuff.c __msg_zerocopy_callback): what guests send is copied, which Linux may do, too, and says.
 * Each call has a number; consecutive ones that nobody has read of are told of together.
 */
import { AF_INET6 } from '../../abi/socket.ts';

const SOL_IP = 0;
const IP_RECVERR = 11;
const SOL_IPV6 = 41;
const IPV6_RECVERR = 25;
const SO_EE_ORIGIN_ZEROCOPY = 5;
const SO_EE_CODE_ZEROCOPY_COPIED = 1;
const CMSG_HEADER = 16;
/** struct sock_extended_err, and with it a sockaddr_in or sockaddr_in6. */
const EXTENDED_ERR = 16;
const WITH_OFFENDER = 32;
const WITH_OFFENDER6 = 44;

export class ZeroCopy {
  private next = 0;
  /** First and last number of what is to be told. */
  private first = 0;

  get pending(): boolean {
    return this.first !== this.next;
  }

  sent(): void {
    this.next = (this.next + 1) >>> 0;
  }

  /** The control message of what is pending, which is told then. */
  take(domain: number): Uint8Array {
    const v6 = domain === AF_INET6;
    const length = CMSG_HEADER + (v6 ? WITH_OFFENDER6 : WITH_OFFENDER);
    const b = Buffer.alloc(Math.ceil(length / 8) * 8);
    b.writeUInt32LE(length, 0);
    b.writeInt32LE(v6 ? SOL_IPV6 : SOL_IP, 8);
    b.writeInt32LE(v6 ? IPV6_RECVERR : IP_RECVERR, 12);
    const e = b.subarray(CMSG_HEADER, CMSG_HEADER + EXTENDED_ERR);
    e[4] = SO_EE_ORIGIN_ZEROCOPY;
    e[6] = SO_EE_CODE_ZEROCOPY_COPIED;
    e.writeUInt32LE(this.first, 8);
    e.writeUInt32LE((this.next - 1) >>> 0, 12);
    this.first = this.next;
    return b;
  }
}
