/** Offers character device 10:200, wherever a node of it is. */
import { MISC_MAJOR, TUN_MINOR } from '../../abi/device.ts';
import { registerCharDevice } from '../../vfs/device.ts';
import { TunFile } from './tun-file.ts';

export function registerTun(): void {
  registerCharDevice(MISC_MAJOR, TUN_MINOR, (t, path, inode, flags) => new TunFile(t, path, inode, flags));
}
