/**
 * What a container finds in /dev (OCI runtime spec, "Default Devices" and "Dev symbolic links"). Made on any file system
 * that can hold device nodes, normally a tmpfs. The directories of what is mounted there come with those mounts: a container
 * without a mount on /dev/shm has no /dev/shm (`docker run --ipc none`).
 */
import { makedev, MEM_MAJOR, TTYAUX_MAJOR } from '../../abi/device.ts';
import { S_IFCHR } from '../../abi/stat.ts';
import type { Inode } from '../../vfs/inode.ts';

const NODES: readonly (readonly [string, number, number, number])[] = [
  ['null', 0o666, MEM_MAJOR, 3],
  ['zero', 0o666, MEM_MAJOR, 5],
  ['full', 0o666, MEM_MAJOR, 7],
  ['random', 0o666, MEM_MAJOR, 8],
  ['urandom', 0o666, MEM_MAJOR, 9],
  ['tty', 0o666, TTYAUX_MAJOR, 0],
];

/** Made last: what is mounted in /dev under one of these names has it. */
export const DEV_LINKS: readonly (readonly [string, string])[] = [
  ['fd', '/proc/self/fd'],
  ['stdin', '/proc/self/fd/0'],
  ['stdout', '/proc/self/fd/1'],
  ['stderr', '/proc/self/fd/2'],
  ['ptmx', 'pts/ptmx'],
];

const TTY_GID = 5;

/** Is it one of the nodes that every container has? */
export const isDefaultDevice = (path: string): boolean => NODES.some(([name]) => path === `/dev/${name}`);

/** Fills `dev`; `consoleUid` ≥ 0 adds a /dev/console of that user (there is a terminal). 0 or −errno. */
export function populateDev(dev: Inode, consoleUid: number): number {
  for (const [name, perm, major, minor] of NODES) {
    const r = dev.mknod(name, S_IFCHR | perm, makedev(major, minor), 0, 0);
    if (typeof r === 'number') return r;
  }
  if (consoleUid >= 0) {
    const r = dev.mknod('console', S_IFCHR | 0o620, makedev(TTYAUX_MAJOR, 1), consoleUid, TTY_GID);
    if (typeof r === 'number') return r;
  }
  return 0;
}
