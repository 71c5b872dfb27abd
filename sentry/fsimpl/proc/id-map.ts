/**
 * /proc/PID/{uid_map,gid_map,projid_map,setgroups} (kernel/user_namespace.c; user_namespaces(7)). Ids are the same in all
 * namespaces of the sandbox: only maps that leave them as they are can be written.
 */
import { EINVAL, EPERM, ESRCH } from '../../abi/errno.ts';
import type { IdMaps, UserNamespace } from '../../auth/credentials.ts';
import { CAP_SYS_ADMIN } from '../../auth/capability.ts';
import type { Task } from '../../kernel/task.ts';
import { parseInteger, strip } from '../kernfs/parse.ts';
import type { Subject } from './subject.ts';

const ROOT_MAP = '         0          0 4294967295\n';
const UINT_MAX = 4294967295;
/** UID_GID_MAP_MAX_EXTENTS */
const MAX_EXTENTS = 340;

type MapName = keyof IdMaps & ('uid' | 'gid' | 'projid');

function namespaceOf(s: Subject): UserNamespace | null {
  return s.task?.creds.userNs ?? null;
}

export function idMapText(name: MapName): (s: Subject) => string | number {
  return (s) => {
    const ns = namespaceOf(s);
    if (ns === null) return -ESRCH;
    return ns.maps[name] ?? (ns.parent === null ? ROOT_MAP : '');
  };
}

export function storeIdMap(name: MapName): (s: Subject, data: string, writer: Task) => number {
  return (s, data, writer) => {
    const ns = namespaceOf(s);
    if (ns === null) return -ESRCH;
    if (ns.parent === null || ns.maps[name] !== null || !writer.creds.has(CAP_SYS_ADMIN)) return -EPERM;
    const text = parseMap(data);
    if (typeof text === 'number') return text;
    ns.maps[name] = text;
    return data.length;
  };
}

/** "The fields are: start inside, start outside, length"; the map as it is printed, or −errno. */
function parseMap(data: string): string | number {
  const lines = strip(data).split('\n');
  if (lines.length > MAX_EXTENTS) return -EINVAL;
  let text = '';
  let moves = false;
  for (const line of lines) {
    const fields = line.split(' ').filter((f) => f !== '');
    if (fields.length !== 3) return -EINVAL;
    const [inside, outside, count] = fields.map((f) => parseInteger(f)) as [number, number, number];
    const valid = inside >= 0 && outside >= 0 && count > 0 && Math.max(inside, outside) + count <= UINT_MAX;
    if (!valid) return -EINVAL;
    if (inside !== outside) moves = true;
    text += `${[inside, outside, count].map((n) => String(n).padStart(10)).join(' ')}\n`;
  }
  return moves ? -EPERM : text;
}

export function setgroupsText(s: Subject): string | number {
  const ns = namespaceOf(s);
  return ns === null ? -ESRCH : ns.maps.setgroups ? 'allow\n' : 'deny\n';
}

/** "deny" must be written before gid_map, "allow" changes nothing. */
export function storeSetgroups(s: Subject, data: string, writer: Task): number {
  const ns = namespaceOf(s);
  if (ns === null) return -ESRCH;
  if (!writer.creds.has(CAP_SYS_ADMIN)) return -EPERM;
  const word = strip(data);
  if (word === 'allow') return ns.maps.setgroups ? data.length : -EPERM;
  if (word !== 'deny') return -EINVAL;
  if (ns.parent === null || ns.maps.gid !== null) return -EPERM;
  ns.maps.setgroups = false;
  return data.length;
}
