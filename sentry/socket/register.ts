/** What a sandbox offers beside AF_UNIX. Called once, before the sentry confines itself: the route socket is opened here. */
import { openRouteSocket } from '../host/route.ffi.ts';
import { registerHostInet } from './inet/host-socket.ts';
import { registerNetDevices } from './netlink/devices.ts';
import { registerNetlink } from './netlink/route-socket.ts';

export function registerSocketFamilies(): void {
  openRouteSocket();
  registerHostInet();
  registerNetlink();
  registerNetDevices();
}
