/**
 * Device nodes that guests make in directories of the host. The gofer makes none: the host has a socket there, which nobody has bound
 * and which cannot be opened, with the node's name, owner, permissions and times. What it stands for is known here, for all exports
 * and for as long as the sandbox lives; the devices are the sandbox's own.
 */
import { EPERM, ENOSPC } from '../../abi/errno.ts';
import { S_IFMT } from '../../abi/stat.ts';
import type { GoferAttr } from '../../gofer-api/gofer-api.ts';

export interface DeviceNode {
  /** S_IFCHR or S_IFBLK */
  readonly type: number;
  readonly rdev: number;
  readonly birthSec: number;
  readonly birthNsec: number;
}

const NODES_MAX = 4096;

/** By device and inode number of the host. */
const nodes = new Map<string, DeviceNode>();

/** The socket with `attr` stands for a device from now on. 0 or −errno. */
export function keepDeviceNode(key: string, attr: GoferAttr, mode: number, rdev: number): number {
  // Without a time of birth the next file of this number could not be told from it.
  if (!attr.hasBtime) return -EPERM;
  if (nodes.size >= NODES_MAX) return -ENOSPC;
  nodes.set(key, { type: mode & S_IFMT, rdev, birthSec: attr.btimeSec, birthNsec: attr.btimeNsec });
  return 0;
}

export function haveDeviceNodes(): boolean {
  return nodes.size > 0;
}

/** What the socket with this number stands for, as far as the number tells. */
export function deviceNodeAt(key: string): DeviceNode | null {
  return nodes.get(key) ?? null;
}

/** What the socket with `attr` stands for. */
export function deviceNodeOf(key: string, attr: GoferAttr): DeviceNode | null {
  const node = nodes.get(key);
  if (node === undefined) return null;
  if (node.birthSec === attr.btimeSec && node.birthNsec === attr.btimeNsec) return node;
  // Somebody outside has removed it.
  nodes.delete(key);
  return null;
}

/** Its last name is gone. */
export function dropDeviceNode(key: string): void {
  nodes.delete(key);
}
