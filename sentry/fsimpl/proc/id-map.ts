/** /proc/PID/{uid_map,gid_map,projid_map,setgroups} (kernel/user_namespace.c; user_namespaces(7)). */
import { EINVAL, EPERM, ESRCH } from '../../abi/errno.ts';
import { CAP_SETFCAP, CAP_SETGID, CAP_SETUID, CAP_SYS_ADMIN } from '../../auth/capability.ts';
import type { Credentials, UserNamespace } from '../../auth/credentials.ts';
import { IdMap, type IdExtent } from '../../auth/id-map.ts';
import type { Task } from '../../kernel/task.ts';
import { PAGE_SIZE } from '../../lib/addr.ts';
import { parseInteger, strip } from '../kernfs/parse.ts';
import type { SubjectStore, SubjectText } from './nodes.ts';
import type { Subject } from './subject.ts';

const ROOT_MAP = '         0          0 4294967295\n';
const UINT_MAX = 4294967295;
/** UID_GID_MAP_MAX_EXTENTS */
const MAX_EXTENTS = 340;

type MapName = 'uid' | 'gid' | 'projid';

function namespaceOf(s: Subject): UserNamespace | null {
  return s.task?.creds.userNs ?? null;
}

function mapOf(ns: UserNamespace, name: MapName): IdMap | null {
  return name === 'uid' ? ns.uidMap : name === 'gid' ? ns.gidMap : ns.projidMap;
}

/** The ids outside are those of the reader's namespace, or of the parent if the reader is inside (uid_m_show). */
export function idMapText(name: MapName): SubjectText {
  return (s, reader) => {
    const ns = namespaceOf(s);
    if (ns === null) return -ESRCH;
    if (ns.parent === null) return ns.maps[name] ?? ROOT_MAP;
    const own = reader.creds.userNs;
    const lower = own === ns ? ns.parent : own;
    const outside = (id: number): number => {
      const map = mapOf(lower, name);
      if (lower.level === 0) return id;
      return map !== null && map.covers(id) ? map.toInside(id) : UINT_MAX;
    };
    return mapOf(ns, name)?.renamed(outside).toString() ?? '';
  };
}

/** map_write() */
export function storeIdMap(name: MapName): SubjectStore {
  return (s, data, writer, from) => {
    const ns = namespaceOf(s);
    if (ns === null) return -ESRCH;
    const { opener } = from;
    if (ns.parent === null) return -EPERM;
    if (opener.userNs !== ns && !opener.userNs.sameAs(ns.parent)) return -EPERM;
    if (from.pos !== 0 || data.length >= PAGE_SIZE) return -EINVAL;
    if (mapOf(ns, name) !== null) return -EPERM;
    if (name !== 'projid' && !opener.hasIn(CAP_SYS_ADMIN, ns)) return -EPERM;
    const extents = parseMap(data);
    if (typeof extents === 'number') return extents;
    if (!mayMap(ns, name, extents, writer, opener)) return -EPERM;
    const lowered = lowerExtents(ns.parent, name, extents);
    if (lowered === null) return -EPERM;
    const map = new IdMap(lowered);
    if (name === 'uid') ns.uidMap = map;
    else if (name === 'gid') ns.gidMap = map;
    else ns.projidMap = map;
    return data.length;
  };
}

/** new_idmap_permitted() */
function mayMap(
  ns: UserNamespace,
  name: MapName,
  extents: readonly IdExtent[],
  writer: Task,
  opener: Credentials,
): boolean {
  const parent = ns.parent!;
  if (name === 'uid' && !mayMapRoot(ns, extents, opener)) return false;
  const [first] = extents;
  if (extents.length === 1 && first!.size === 1 && ns.owner === opener.euid) {
    // "Allow mapping to your own filesystem ids"
    if (name === 'uid' && parent.toUid(first!.hostID) === opener.euid) return true;
    if (name === 'gid' && !ns.maps.setgroups && parent.toGid(first!.hostID) === opener.egid) return true;
  }
  if (name === 'projid') return true;
  const cap = name === 'uid' ? CAP_SETUID : CAP_SETGID;
  return writer.creds.hasIn(cap, parent) && opener.hasIn(cap, parent);
}

/** verify_root_map(): uid 0 of the parent takes CAP_SETFCAP there. */
function mayMapRoot(ns: UserNamespace, extents: readonly IdExtent[], opener: Credentials): boolean {
  if (!extents.some((e) => e.hostID === 0)) return true;
  return opener.userNs === ns ? ns.parentCouldSetfcap : opener.hasIn(CAP_SETFCAP, ns.parent);
}

/** map_id_range_down(): the extents with the outermost namespace's ids; null if one has none. */
function lowerExtents(parent: UserNamespace, name: MapName, extents: readonly IdExtent[]): IdExtent[] | null {
  if (parent.level === 0) return [...extents];
  const map = mapOf(parent, name);
  const lowered: IdExtent[] = [];
  for (const e of extents) {
    const first = map === null ? -1 : map.toOutside(e.hostID);
    // A range that leaves the parent's extent has no counterpart as a whole.
    if (first < 0 || map!.toOutside(e.hostID + e.size - 1) !== first + e.size - 1) return null;
    lowered.push({ ...e, hostID: first });
  }
  return lowered;
}

/** "The fields are: start inside, start outside, length"; −EINVAL. */
function parseMap(data: string): IdExtent[] | number {
  const lines = strip(data).split('\n');
  if (lines.length > MAX_EXTENTS) return -EINVAL;
  const extents: IdExtent[] = [];
  for (const line of lines) {
    const fields = line.split(' ').filter((f) => f !== '');
    if (fields.length !== 3) return -EINVAL;
    const [inside, outside, count] = fields.map((f) => parseInteger(f)) as [number, number, number];
    const valid = inside >= 0 && outside >= 0 && count > 0 && Math.max(inside, outside) + count <= UINT_MAX;
    if (!valid) return -EINVAL;
    const e = { containerID: inside, hostID: outside, size: count };
    if (extents.some((o) => overlap(o, e))) return -EINVAL;
    extents.push(e);
  }
  return extents;
}

function overlap(a: IdExtent, b: IdExtent): boolean {
  const meet = (x: number, y: number): boolean => x < y + b.size && y < x + a.size;
  return meet(a.containerID, b.containerID) || meet(a.hostID, b.hostID);
}

export function setgroupsText(s: Subject): string | number {
  const ns = namespaceOf(s);
  return ns === null ? -ESRCH : ns.maps.setgroups ? 'allow\n' : 'deny\n';
}

/** "deny" must be written before gid_map, "allow" changes nothing. */
export const storeSetgroups: SubjectStore = (s, data, _writer, from) => {
  const ns = namespaceOf(s);
  if (ns === null) return -ESRCH;
  if (!from.opener.hasIn(CAP_SYS_ADMIN, ns)) return -EPERM;
  const word = strip(data);
  if (word === 'allow') return ns.maps.setgroups ? data.length : -EPERM;
  if (word !== 'deny') return -EINVAL;
  if (ns.parent === null || ns.gidMap !== null) return -EPERM;
  ns.maps.setgroups = false;
  return data.length;
};
