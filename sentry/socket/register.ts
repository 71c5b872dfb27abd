/** What a sandbox offers beside AF_UNIX. Called once, before the sentry confines itself: the route socket is opened here. */
import { registerHostInet } from './inet/provider.ts';
import { registerNetDevices } from './netlink/devices.ts';
import { registerNetlink } from './netlink/route-socket.ts';
import { useNetworks } from './network.ts';
import { registerPacket } from './packet/register.ts';
import { registerTun } from './tun/register.ts';

/** Connections to the opener of raw sockets and to the networker; −1: there is none. */
export function registerSocketFamilies(rawOpener = -1, networker = -1): void {
  useNetworks(rawOpener, networker);
  registerHostInet();
  registerPacket();
  registerNetlink();
  registerNetDevices();
  registerTun();
}
