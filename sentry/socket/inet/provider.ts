/** AF_INET and AF_INET6 for guests: sockets of the host. */
import { EINVAL, EPERM, EPROTONOSUPPORT, ESOCKTNOSUPPORT } from '../../abi/errno.ts';
import * as S from '../../abi/socket.ts';
import { CAP_NET_RAW } from '../../auth/capability.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import { netNsOf, networkOf } from '../network.ts';
import { registerSocketProvider } from '../providers.ts';
import { HostSocket } from './host-socket.ts';

const IPPROTO_ICMP = 1;
const IPPROTO_TCP = 6;
const IPPROTO_UDP = 17;
const IPPROTO_ICMPV6 = 58;
const IPPROTO_UDPLITE = 136;
const IPPROTO_MAX = 263;

/** Protocols that guests get, by type; 0 means the default one (net/ipv4/af_inet.c inet_create). */
function checkProtocol(t: CallContext, domain: number, type: number, protocol: number): number {
  if (protocol < 0 || protocol >= IPPROTO_MAX) return -EINVAL;
  if (type === S.SOCK_STREAM) return protocol === 0 || protocol === IPPROTO_TCP ? 0 : -EPROTONOSUPPORT;
  if (type === S.SOCK_DGRAM) {
    const icmp = domain === S.AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6;
    const known = protocol === 0 || protocol === IPPROTO_UDP || protocol === IPPROTO_UDPLITE;
    return known || protocol === icmp ? 0 : -EPROTONOSUPPORT;
  }
  if (type !== S.SOCK_RAW) return -ESOCKTNOSUPPORT;
  if (protocol === 0) return -EPROTONOSUPPORT;
  return t.creds.hasIn(CAP_NET_RAW, netNsOf(t)?.owner ?? null) ? 0 : -EPERM;
}

/** Offers AF_INET and AF_INET6 by sockets of the host. */
export function registerHostInet(): void {
  for (const domain of [S.AF_INET, S.AF_INET6]) {
    registerSocketProvider(domain, {
      create(t, type, protocol, flags) {
        const ok = checkProtocol(t, domain, type, protocol);
        if (ok < 0) return ok;
        const fd = networkOf(netNsOf(t)).socket(domain, type, protocol);
        if (fd < 0) return fd;
        const proto = protocol !== 0 ? protocol : type === S.SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP;
        return new HostSocket(t, domain, type, proto, flags, fd);
      },
    });
  }
}
