/** What a sandbox offers beside AF_UNIX. Called once, before the sentry confines itself: the route socket is opened here. */
import { useRawOpener } from '../host/raw-opener.ffi.ts';
import { openRouteSocket } from '../host/route.ffi.ts';
import { registerHostInet } from './inet/host-socket.ts';
import { registerPacket } from './inet/packet.ts';
import { registerNetDevices } from './netlink/devices.ts';
import { registerNetlink } from './netlink/route-socket.ts';

/** `rawOpener`: connection to the opener of raw sockets; −1: there is none. */
export function registerSocketFamilies(rawOpener = -1): void {
  openRouteSocket();
  useRawOpener(rawOpener);
  registerHostInet();
  registerPacket();
  registerNetlink();
  registerNetDevices();
}
