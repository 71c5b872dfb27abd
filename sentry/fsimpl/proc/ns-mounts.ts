/** What a handle of a mount namespace tells of it and of the ones beside it (fs/nsfs.c). */
import { EINVAL, ENOENT, ENOTTY, EPERM } from '../../abi/errno.ts';
import { CAP_SYS_ADMIN } from '../../auth/capability.ts';
import type { Task } from '../../kernel/task.ts';
import { scratch } from '../../usermem/user-memory.ts';
import type { MountNamespace } from '../../vfs/mount-namespace.ts';

/** Commands without the size of struct mnt_ns_info: size, nr_mounts, mnt_ns_id. */
const NS_MNT_GET_INFO = 0x8000b70a;
const NS_MNT_GET_NEXT = 0x8000b70b;
const NS_MNT_GET_PREV = 0x8000b70c;
const MNT_NS_INFO_SIZE = 16;

/** copy_ns_info_to_user(): without the mount of the root. 0 or −errno. */
function copyInfo(t: Task, ns: MountNamespace, arg: number): number {
  const w = scratch.u32;
  w[0] = MNT_NS_INFO_SIZE;
  w[1] = Math.max(0, ns.count - 1);
  w[2] = ns.number >>> 0;
  w[3] = Math.floor(ns.number / 0x100000000);
  return t.mem.copyOut(arg, scratch.bytes, 0, MNT_NS_INFO_SIZE);
}

/** get_sequential_mnt_ns(): the next one of the container, or the one before, that the caller has power over. */
function beside(t: Task, ns: MountNamespace, back: boolean): MountNamespace | null {
  const all = [...ns.family.values()];
  if (back) all.reverse();
  const at = all.indexOf(ns);
  return all.find((o, i) => i > at && t.creds.hasIn(CAP_SYS_ADMIN, o.owner)) ?? null;
}

/** The commands whose struct may grow (extensible_ioctl_valid): 0, −errno, or a namespace to be opened. */
export function mountNamespaceIoctl(
  t: Task,
  handle: { kind: string; namespace: object },
  cmd: number,
  arg: number,
): MountNamespace | number {
  const size = (cmd >>> 16) & 0x3fff;
  const name = cmd - size * 0x10000;
  const info = name === NS_MNT_GET_INFO;
  if ((!info && name !== NS_MNT_GET_NEXT && name !== NS_MNT_GET_PREV) || size < MNT_NS_INFO_SIZE)
    return -ENOTTY;
  // may_see_all_namespaces()
  if (!info && (t.pidNs.parent !== null || !t.creds.has(CAP_SYS_ADMIN))) return -EPERM;
  if (handle.kind !== 'mnt' || (info && arg === 0)) return -EINVAL;
  const ns = handle.namespace as MountNamespace;
  if (info) return copyInfo(t, ns, arg);
  const next = beside(t, ns, name === NS_MNT_GET_PREV);
  if (next === null) return -ENOENT;
  const r = arg === 0 ? 0 : copyInfo(t, next, arg);
  return r !== 0 ? r : next;
}
