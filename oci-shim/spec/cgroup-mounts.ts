/**
 * Control groups of the host that engines bind into containers: Podman for systemd on hosts of version 1, users with
 * `-v /sys/fs/cgroup:/sys/fs/cgroup`. Guests get their own hierarchy instead (docs/cgroups.md), writable where part of the host's
 * would be.
 */
import { MS_RDONLY } from '../../sentry/vfs/mount.ts';
import type { MountConfig } from '../sandbox-config.ts';

const GROUPS = '/sys/fs/cgroup';

const isBelow = (path: string, top: string): boolean => path === top || path.startsWith(`${top}/`);

/** Is it the host's hierarchies, or a part of one, that `source` names? */
export function isHostGroups(source: string): boolean {
  return isBelow(source, GROUPS);
}

/** Binds of parts of the host's hierarchies make the container's own writable, or are it. */
export function ownGroups(mounts: readonly MountConfig[]): MountConfig[] {
  const isGroups = (m: MountConfig): boolean => m.type === 'cgroup' || m.type === 'cgroup2';
  const isPart = (m: MountConfig): boolean => isGroups(m) && m.destination.startsWith(`${GROUPS}/`);
  const top = mounts.find((m) => isGroups(m) && m.destination === GROUPS);
  if (top === undefined) return [...mounts];
  if (mounts.some((m) => isPart(m) && (m.flags & MS_RDONLY) === 0)) top.flags &= ~MS_RDONLY;
  return mounts.filter((m) => !isPart(m));
}
