/**
 * Drivers by device number: what open(2) of a device node leads to, whatever file system the node is in
 * (fs/char_dev.c chrdev_open). Drivers register when the kernel is put together.
 */
import { ENXIO } from '../abi/errno.ts';
import { S_IFBLK, S_IFCHR, S_IFMT } from '../abi/stat.ts';
import { makedev } from '../abi/device.ts';
import type { CallContext } from './call-context.ts';
import type { Path } from './dentry.ts';
import type { FileDescription } from './file-description.ts';
import type { Inode } from './inode.ts';
import { setDeviceOpen, type SpecialOpen } from './special.ts';

export type DeviceOpen = SpecialOpen;

const charDevices = new Map<number, DeviceOpen>();

/** Registers a driver for minors [firstMinor, firstMinor + count). */
export function registerCharDevice(major: number, firstMinor: number, open: DeviceOpen, count = 1): void {
  for (let i = 0; i < count; i++) charDevices.set(makedev(major, firstMinor + i), open);
}

export function isDevice(inode: Inode): boolean {
  const type = inode.mode & S_IFMT;
  return type === S_IFCHR || type === S_IFBLK;
}

/** Opens the device that the node at `path` names; −ENXIO if no driver has that number. */
function openDevice(t: CallContext, path: Path, inode: Inode, flags: number): FileDescription | number {
  const open = (inode.mode & S_IFMT) === S_IFCHR ? charDevices.get(inode.rdev) : undefined;
  return open === undefined ? -ENXIO : open(t, path, inode, flags);
}

setDeviceOpen(openDevice);
