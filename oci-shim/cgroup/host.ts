/** The machine's cgroup hierarchies: which are mounted where, and where in them this process is (cgroups(7)). */
import { existsSync, readFileSync } from 'node:fs';

export interface Hierarchy {
  /** Mount point of the hierarchy on this machine. */
  mount: string;
  /** The caller's own group, relative to the mount point: `/`, `/user.slice`. */
  own: string;
}

export interface CgroupHost {
  version: 1 | 2;
  /**
   * Version 1: by controller name (`memory`, `cpu`; `name=systemd` for the named one), and `unified` for a cgroup2 tree beside
   * them. Version 2: `unified` only. Controllers that are mounted together share mount and group.
   */
  hierarchies: Map<string, Hierarchy>;
}

/** Undoes the octal escapes of mountinfo (proc(5)). */
const unescape = (s: string): string =>
  s.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));

interface CgroupMount {
  mount: string;
  /** Directory of the hierarchy that is mounted: `/` unless inside a container. */
  root: string;
  type: 'cgroup' | 'cgroup2';
  options: string[];
}

function parseMounts(mountinfo: string): CgroupMount[] {
  const mounts: CgroupMount[] = [];
  for (const line of mountinfo.split('\n')) {
    const [before, after] = line.split(' - ');
    if (after === undefined) continue;
    const fields = before!.split(' ');
    const [type, , options = ''] = after.split(' ');
    if (type !== 'cgroup' && type !== 'cgroup2') continue;
    mounts.push({
      mount: unescape(fields[4]!),
      root: unescape(fields[3]!),
      type,
      options: options.split(','),
    });
  }
  return mounts;
}

/** Controller list → group of `/proc/self/cgroup`. */
function parseOwn(text: string): Map<string, string> {
  const own = new Map<string, string>();
  for (const line of text.split('\n')) {
    const first = line.indexOf(':');
    const second = line.indexOf(':', first + 1);
    if (second < 0) continue;
    for (const name of line.slice(first + 1, second).split(',')) own.set(name, line.slice(second + 1));
  }
  return own;
}

/** The group as seen below the mount point. */
function relative(group: string, root: string): string {
  if (root === '/' || root === '') return group;
  if (group === root) return '/';
  return group.startsWith(`${root}/`) ? group.slice(root.length) : group;
}

/**
 * Null without any cgroup file system. Named hierarchies other than systemd's belong to whoever mounted them.
 */
export function readCgroupHost(proc = '/proc'): CgroupHost | null {
  let own: Map<string, string>;
  let mounts: CgroupMount[];
  try {
    own = parseOwn(readFileSync(`${proc}/self/cgroup`, 'utf8'));
    mounts = parseMounts(readFileSync(`${proc}/self/mountinfo`, 'utf8'));
  } catch {
    return null;
  }
  const hierarchies = new Map<string, Hierarchy>();
  let controllers = 0;
  for (const m of mounts) {
    const names = m.type === 'cgroup2' ? [''] : m.options.filter((o) => own.has(o));
    for (const name of names) {
      const key = name === '' ? 'unified' : name;
      if (hierarchies.has(key) || (name.startsWith('name=') && name !== 'name=systemd')) continue;
      if (m.type === 'cgroup' && !name.startsWith('name=')) controllers++;
      hierarchies.set(key, { mount: m.mount, own: relative(own.get(name) ?? '/', m.root) });
    }
  }
  if (hierarchies.size === 0) return null;
  return { version: controllers > 0 ? 1 : 2, hierarchies };
}

/** systemd is the machine's init and can be asked for scopes (sd_booted(3)). */
export const systemdRuns = (): boolean => existsSync('/run/systemd/system');
