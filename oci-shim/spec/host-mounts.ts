/**
 * Mounts of the host at and below the source of a bind: mount(2) with MS_BIND takes one of them, with MS_REC those below it too, each
 * with its own flags.
 */
import { closeSync, constants, openSync, readFileSync } from 'node:fs';
import * as ms from '../../sentry/vfs/mount.ts';

export interface HostMount {
  readonly id: number;
  /** Absolute path on the host. */
  readonly point: string;
  /** MS_* flags. */
  readonly flags: number;
  readonly type: string;
  readonly unbindable: boolean;
}

/** Options of a mount in /proc/PID/mountinfo (proc_pid_mountinfo(5)). */
const FLAGS: Record<string, number> = {
  ro: ms.MS_RDONLY,
  nosuid: ms.MS_NOSUID,
  nodev: ms.MS_NODEV,
  noexec: ms.MS_NOEXEC,
  noatime: ms.MS_NOATIME,
  nodiratime: ms.MS_NODIRATIME,
  relatime: ms.MS_RELATIME,
  nosymfollow: ms.MS_NOSYMFOLLOW,
};

/** File systems that the gofer does not serve where they are mounted below something else (launcher-gofer.c has the same list). */
const PSEUDO_TYPES = [
  'proc', 'sysfs', 'devtmpfs', 'devpts', 'cgroup', 'cgroup2', 'mqueue', 'debugfs', 'tracefs', 'securityfs', 'bpf', 'pstore',
  'configfs', 'fusectl', 'efivarfs', 'binfmt_misc', 'autofs', 'hugetlbfs', 'rpc_pipefs', 'selinuxfs',
]; // prettier-ignore

export const O_PATH = 0o10000000;

const unescape = (s: string): string =>
  Buffer.from(
    s.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8))),
    'latin1',
  ).toString('utf8');

export function parseMountInfo(text: string): HostMount[] {
  return text
    .split('\n')
    .filter((l) => l !== '')
    .map((line) => {
      const [left, right] = line.split(' - ') as [string, string];
      const [id, , , , point, options, ...optional] = left.split(' ');
      const flags = options!.split(',').reduce((all, o) => all | (FLAGS[o] ?? 0), 0);
      const atime = (flags & (ms.MS_NOATIME | ms.MS_RELATIME)) === 0 ? ms.MS_STRICTATIME : 0;
      return {
        id: Number(id),
        point: unescape(point!),
        flags: flags | atime,
        type: right.split(' ')[0]!,
        unbindable: optional.includes('unbindable'),
      };
    });
}

let known: HostMount[] | null = null;

/** Those of this process's mount namespace, read once. */
function mounts(): HostMount[] {
  known ??= parseMountInfo(readFileSync('/proc/self/mountinfo', 'latin1'));
  return known;
}

/** The number of the mount that shows a path; −1 if nobody can say. */
function mountId(path: string): number {
  try {
    const fd = openSync(path, O_PATH | constants.O_NOFOLLOW);
    try {
      return Number(/^mnt_id:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1] ?? -1);
    } finally {
      closeSync(fd);
    }
  } catch {
    return -1;
  }
}

/** The mount that shows `path`, a path without links. */
export function mountAt(path: string): HostMount | null {
  const id = mountId(path);
  return mounts().find((m) => m.id === id) ?? null;
}

/**
 * What a recursive bind of `path` takes along: mounts that are seen there (not those that others cover), without those that
 * cannot be bound and what is below them, in the order of mounting. null: more than `max`.
 */
export function mountsBelow(path: string, max: number): HostMount[] | null {
  const top = path === '/' ? '/' : `${path}/`;
  const below = mounts().filter((m) => m.point.startsWith(top) && m.point !== path);
  if (below.length > 4 * max) return null;
  const seen = below.filter((m) => mountId(m.point) === m.id);
  const left = seen.filter((m) => m.unbindable || PSEUDO_TYPES.includes(m.type)).map((m) => `${m.point}/`);
  const taken = seen.filter((m) => !left.some((l) => `${m.point}/`.startsWith(l)));
  return taken.length > max ? null : taken.sort((a, b) => a.point.length - b.point.length);
}
