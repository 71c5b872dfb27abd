/** The file systems every program expects (runtime-spec config-linux.md, "Default Filesystems"). */
import { MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY } from '../sentry/vfs/mount.ts';
import type { MountConfig } from './sandbox-config.ts';

export function standardMounts(): MountConfig[] {
  const mount = (destination: string, type: MountConfig['type'], flags: number, data = ''): MountConfig => ({
    destination,
    type,
    exportIndex: -1,
    source: type === 'devtmpfs' ? 'dev' : type,
    flags,
    data,
  });
  return [
    mount('/proc', 'proc', MS_NOSUID | MS_NODEV | MS_NOEXEC),
    mount('/sys', 'sysfs', MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY),
    mount('/dev', 'devtmpfs', MS_NOSUID, 'mode=755'),
    mount('/dev/pts', 'devpts', MS_NOSUID | MS_NOEXEC, 'gid=5,mode=620,ptmxmode=666'),
    mount('/dev/shm', 'tmpfs', MS_NOSUID | MS_NODEV, 'mode=1777'),
    mount('/dev/mqueue', 'mqueue', MS_NOSUID | MS_NODEV | MS_NOEXEC),
    mount('/sys/fs/cgroup', 'cgroup', MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY),
  ];
}
