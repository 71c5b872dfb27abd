/** AF_PACKET (packet(7)) by sockets of the host that the opener makes: link-level frames of the sandbox's own network. */
import { EPERM, ESOCKTNOSUPPORT } from '../../abi/errno.ts';
import { AF_PACKET, SOCK_DGRAM, SOCK_PACKET, SOCK_RAW } from '../../abi/socket.ts';
import { CAP_NET_RAW } from '../../auth/capability.ts';
import { netNsOf, networkOf } from '../network.ts';
import { registerSocketProvider } from '../providers.ts';
import { PacketSocket } from './packet-socket.ts';

export function registerPacket(): void {
  registerSocketProvider(AF_PACKET, {
    create(t, type, protocol, flags) {
      // packet_create()
      if (!t.creds.hasIn(CAP_NET_RAW, netNsOf(t)?.owner ?? null)) return -EPERM;
      if (type !== SOCK_RAW && type !== SOCK_DGRAM && type !== SOCK_PACKET) return -ESOCKTNOSUPPORT;
      const fd = networkOf(netNsOf(t)).socket(AF_PACKET, type, protocol);
      return fd < 0 ? fd : new PacketSocket(t, type, protocol, flags, fd, AF_PACKET);
    },
  });
}
