import { expect, test } from 'vitest';
import * as ms from '../../sentry/vfs/mount.ts';
import { mountAt, mountsBelow, parseMountInfo } from './host-mounts.ts';

test('mountinfo: flags, escapes, optional fields', () => {
  const text = [
    '22 1 8:1 / / rw,relatime shared:1 master:2 - ext4 /dev/sda1 rw,errors=remount-ro',
    '23 22 0:5 /x /a\\040b\\303\\244 ro,nosuid,nodev,noexec,nosymfollow unbindable - tmpfs none rw',
    '24 22 0:6 / /c rw,noatime,nodiratime - proc proc rw',
  ].join('\n');
  expect(parseMountInfo(text)).toEqual([
    { id: 22, point: '/', flags: ms.MS_RELATIME, type: 'ext4', unbindable: false },
    {
      id: 23,
      point: '/a bä',
      flags: ms.MS_RDONLY | ms.MS_NOSUID | ms.MS_NODEV | ms.MS_NOEXEC | ms.MS_NOSYMFOLLOW | ms.MS_STRICTATIME,
      type: 'tmpfs',
      unbindable: true,
    },
    { id: 24, point: '/c', flags: ms.MS_NOATIME | ms.MS_NODIRATIME, type: 'proc', unbindable: false },
  ]);
});

test('the mount of a path, and those below it', () => {
  expect(mountAt('/proc/self/status')).toMatchObject({ type: 'proc' });
  expect(mountAt('/no/such/path')).toBe(null);
  expect(mountsBelow('/no/such/path', 10)).toEqual([]);
  expect(mountsBelow('/', 0)).toBe(null);
});
