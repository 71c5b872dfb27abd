/** What bundles of the tests have in common: the mounts and namespaces that `runc spec` writes, and busybox as a root. */
import { copyFileSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';

export const BUSYBOX = '/usr/bin/busybox';

export interface Mount {
  destination: string;
  type: string;
  source: string;
  options?: string[];
}

const restricted = ['nosuid', 'noexec', 'nodev'];

/** /proc, /dev and /dev/pts. */
export const coreMounts: readonly Mount[] = [
  { destination: '/proc', type: 'proc', source: 'proc' },
  {
    destination: '/dev',
    type: 'tmpfs',
    source: 'tmpfs',
    options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'],
  },
  {
    destination: '/dev/pts',
    type: 'devpts',
    source: 'devpts',
    options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
  },
];

/** All that `runc spec` mounts but for the control groups. */
export const usualMounts: readonly Mount[] = [
  ...coreMounts,
  {
    destination: '/dev/shm',
    type: 'tmpfs',
    source: 'shm',
    options: [...restricted, 'mode=1777', 'size=65536k'],
  },
  { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: restricted },
  { destination: '/sys', type: 'sysfs', source: 'sysfs', options: [...restricted, 'ro'] },
];

export const usualNamespaces: readonly { type: string }[] = ['pid', 'network', 'ipc', 'uts', 'mount'].map(
  (type) => ({ type }),
);

/** A root at `rootfs` with busybox under the names of `applets` in /bin, and the empty `directories`. */
export function busyboxRoot(
  rootfs: string,
  applets: readonly string[],
  directories: readonly string[] = [],
): void {
  for (const d of ['bin', 'tmp', ...directories]) mkdirSync(join(rootfs, d), { recursive: true });
  copyFileSync(BUSYBOX, join(rootfs, 'bin/busybox'));
  for (const a of applets) symlinkSync('busybox', join(rootfs, 'bin', a));
}
