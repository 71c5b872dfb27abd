import { expect, test } from 'vitest';
import { MS_NOSUID, MS_RDONLY } from '../../sentry/vfs/mount.ts';
import type { MountConfig } from '../sandbox-config.ts';
import { isHostGroups, ownGroups } from './cgroup-mounts.ts';

function groups(destination: string, flags: number): MountConfig {
  return { destination, type: 'cgroup', exportIndex: -1, source: 'cgroup', flags, data: '' };
}

test('what is the host’s control groups', () => {
  expect(isHostGroups('/sys/fs/cgroup')).toBe(true);
  expect(isHostGroups('/sys/fs/cgroup/systemd')).toBe(true);
  expect(isHostGroups('/sys/fs/cgroups')).toBe(false);
});

test('a writable part makes the container’s own groups writable', () => {
  const top = groups('/sys/fs/cgroup', MS_RDONLY | MS_NOSUID);
  const made = ownGroups([top, groups('/sys/fs/cgroup/systemd', 0)]);
  expect(made).toEqual([{ ...top, flags: MS_NOSUID }]);
});

test('a part that can only be read changes nothing', () => {
  const top = groups('/sys/fs/cgroup', MS_RDONLY);
  expect(ownGroups([top, groups('/sys/fs/cgroup/systemd', MS_RDONLY)])).toEqual([
    groups('/sys/fs/cgroup', MS_RDONLY),
  ]);
  expect(ownGroups([groups('/mnt/systemd', 0)]).length).toBe(1);
});
