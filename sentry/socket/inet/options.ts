/**
 * What guests may ask of host sockets: options and control messages by level and number. Left out on purpose: everything
 * whose value holds pointers, filters and programs, tunnels, zero copy, and what needs privilege on the host. The sentry's
 * system call filter admits what may be set here, and no more.
 */
import { EINVAL, EPERM } from '../../abi/errno.ts';

const SOL_IP = 0;
const SOL_SOCKET = 1;
const SOL_TCP = 6;
const SOL_UDP = 17;
const SOL_IPV6 = 41;
const SOL_ICMPV6 = 58;
const SOL_UDPLITE = 136;
const SOL_RAW = 255;
const SOL_PACKET = 263;

/** Level → options that can be both read and set; the values of the second table can only be read. */
const SETTABLE = new Map<number, ReadonlySet<number>>([
  [SOL_SOCKET, new Set([2, 5, 6, 7, 8, 9, 10, 12, 13, 15, 18, 25, 29, 35])],
  [SOL_TCP, new Set([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 18, 23, 24, 25, 30, 36, 37])],
  [
    SOL_IP,
    new Set([1, 2, 3, 4, 6, 7, 8, 10, 11, 12, 13, 15, 20, 21, 24, 32, 33, 34, 35, 36, 39, 40, 49, 50, 51]),
  ],
  [
    SOL_IPV6,
    new Set([2, 7, 8, 16, 17, 18, 19, 20, 21, 23, 24, 25, 26, 29, 49, 51, 62, 66, 67, 70, 72, 74, 76, 78]),
  ],
  [SOL_UDP, new Set([1, 103, 104])],
  [SOL_UDPLITE, new Set([10, 11])],
  // ICMP_FILTER, IPV6_CHECKSUM; ICMPV6_FILTER; PACKET_ADD_MEMBERSHIP, DROP_MEMBERSHIP, AUXDATA, ORIGDEV: no rings.
  [SOL_RAW, new Set([1, 7])],
  [SOL_ICMPV6, new Set([1])],
  [SOL_PACKET, new Set([1, 2, 8, 9])],
]);
const READABLE = new Map<number, ReadonlySet<number>>([
  [SOL_SOCKET, new Set([3, 4, 19, 30, 36, 38, 39, 40, 42, 46, 47, 49, 55, 56, 57])],
  [SOL_TCP, new Set([11, 26])],
  [SOL_IP, new Set([14])],
  [SOL_PACKET, new Set([6])],
]);

/** Control messages that may go to the host with a datagram. */
const CONTROL = new Map<number, ReadonlySet<number>>([
  [SOL_IP, new Set([1, 2, 8])],
  [SOL_IPV6, new Set([50, 52, 67])],
  [SOL_UDP, new Set([103])],
]);

export function maySet(level: number, name: number): boolean {
  return SETTABLE.get(level)?.has(name) === true;
}

export function mayGet(level: number, name: number): boolean {
  return maySet(level, name) || READABLE.get(level)?.has(name) === true;
}

/** 0 if every control message in `ctl` may go to the host, else −errno. SCM_RIGHTS never may. */
export function checkControl(ctl: Uint8Array): number {
  const b = Buffer.from(ctl.buffer, ctl.byteOffset, ctl.length);
  let at = 0;
  while (at + 16 <= b.length) {
    const len = b.readUInt32LE(at + 4) === 0 ? b.readUInt32LE(at) : Infinity;
    if (len < 16 || at + len > b.length) return -EINVAL;
    if (CONTROL.get(b.readInt32LE(at + 8))?.has(b.readInt32LE(at + 12)) !== true) return -EPERM;
    at += Math.ceil(len / 8) * 8;
  }
  return 0;
}
