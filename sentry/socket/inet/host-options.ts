/** Options of one host socket: most are the host's, some have effects that are the sentry's. */
import { EINVAL, ENOENT, ENOPROTOOPT, EOPNOTSUPP, EPERM } from '../../abi/errno.ts';
import * as S from '../../abi/socket.ts';
import { getsockopt, setsockopt } from '../../host/net.ffi.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import { networkOf } from '../network.ts';
import { SocketOptions } from '../options.ts';
import type { HostSocket } from './host-socket.ts';
import { hasRights } from './message-rights.ts';
import { isNetfilter, mayGet, maySet, noFilters } from './options.ts';
import { ZeroCopy } from './zero-copy.ts';

const IPPROTO_IP = 0;
const IPPROTO_TCP = 6;
const IPPROTO_IPV6 = 41;
const IPPROTO_ICMPV6 = 58;
const SOL_RAW = 255;
const SOL_PACKET = 263;
const TCP_ULP = 31;
const IPV6_ADDRFORM = 1;
// Questions about one group or label: how much of the buffer says which.
const IP_MSFILTER = 41;
const IP_FILTER = 16;
const MCAST_MSFILTER = 48;
const GROUP_FILTER = 144;
const IPV6_FLOWLABEL_MGR = 32;
const FLOWLABEL_REQUEST = 32;

export class HostOptions {
  /** For SO_RCVTIMEO and SO_SNDTIMEO, which are ours: the host socket never waits. */
  private readonly timeouts = new SocketOptions();
  /** SO_LINGER in seconds; 0: off. */
  lingerSec = 0;
  /** SO_ZEROCOPY is set, or was. */
  zeroCopy: ZeroCopy | null = null;
  zeroCopyOn = false;

  /** Bytes written to `out`, or −errno. */
  get(t: CallContext, s: HostSocket, level: number, name: number, out: Buffer, len: number): number {
    if (isNetfilter(level, name)) return noFilters(t, s.netOwner);
    if (isTimeout(level, name)) return this.timeouts.get(s, false, name, out, len);
    if (!mayGet(level, name)) return level === IPPROTO_TCP ? -EINVAL : -ENOPROTOOPT;
    return getsockopt(s.hostFd, level, name, out, len, questionLength(level, name));
  }

  set(t: CallContext, s: HostSocket, level: number, name: number, value: Buffer): number {
    if (isTimeout(level, name)) return this.timeouts.set(t, s, name, value);
    if (isNetfilter(level, name)) return noFilters(t, s.netOwner);
    if (level === IPPROTO_TCP && name === TCP_ULP) return value.length < 1 ? -EINVAL : -ENOENT;
    if (!maySet(level, name)) {
      if (level === IPPROTO_IP || level === IPPROTO_IPV6) return -EPERM;
      return value.length < 4 ? -EINVAL : -ENOPROTOOPT;
    }
    let r = setsockopt(s.hostFd, level, name, value);
    if (r === -EPERM && hasRights(t, s.netOwner, level, name))
      r = networkOf(s.net).setOption(s.hostFd, level, name, value);
    if (r === 0) this.wasSet(s, level, name, value);
    return r;
  }

  private wasSet(s: HostSocket, level: number, name: number, value: Buffer): void {
    if (level === IPPROTO_IPV6 && name === IPV6_ADDRFORM) s.domain = S.AF_INET;
    if (level !== S.SOL_SOCKET) return;
    if (name === S.SO_LINGER) this.lingerSec = value.readInt32LE(0) !== 0 ? value.readInt32LE(4) : 0;
    if (name === S.SO_ZEROCOPY && !s.raw) {
      this.zeroCopyOn = value.readInt32LE(0) !== 0;
      this.zeroCopy ??= new ZeroCopy();
    }
  }
}

function isTimeout(level: number, name: number): boolean {
  return (
    level === S.SOL_SOCKET &&
    (name === S.SO_RCVTIMEO ||
      name === S.SO_SNDTIMEO ||
      name === S.SO_RCVTIMEO_NEW ||
      name === S.SO_SNDTIMEO_NEW)
  );
}

/** How much getsockopt(2) reads of its buffer. */
export function questionLength(level: number, name: number): number {
  const v6 = level === IPPROTO_IPV6;
  if (v6 && name === IPV6_FLOWLABEL_MGR) return FLOWLABEL_REQUEST;
  if (name === MCAST_MSFILTER && (v6 || level === IPPROTO_IP)) return GROUP_FILTER;
  return level === IPPROTO_IP && name === IP_MSFILTER ? IP_FILTER : 0;
}

/** What a socket says of a level that it does not have; 0: it has it. */
export function levelError(s: HostSocket, level: number, set: boolean): number {
  if (level === S.SOL_SOCKET || level === s.protocol) return 0;
  if (s.domain === S.AF_PACKET) return level === SOL_PACKET ? 0 : -ENOPROTOOPT;
  if (level === IPPROTO_IP || (s.raw && (level === SOL_RAW || level === IPPROTO_ICMPV6))) return 0;
  if (level === IPPROTO_IPV6 && s.domain === S.AF_INET6) return 0;
  return set || s.domain === S.AF_INET6 ? -ENOPROTOOPT : -EOPNOTSUPP;
}
