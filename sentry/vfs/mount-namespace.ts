/**
 * Mount namespaces and the operations on their trees (fs/namespace.c). Propagation types are recorded as private: a
 * sandbox has no peer outside itself, and inside it shared subtrees are not propagated.
 */
import { EBUSY, EINVAL, ELOOP } from '../abi/errno.ts';
import { Dentry, type Path } from './dentry.ts';
import { Mount } from './mount.ts';
import type { SuperBlock } from './super-block.ts';

/** fs.mount-max is 100000 in Linux; a hostile guest must not fill the heap. */
export const MOUNT_MAX = 4096;

export class MountNamespace {
  /** The mount that everything hangs on. */
  root: Mount;
  count = 0;
  /** Increases with every change: /proc/mounts readers poll for it. */
  event = 1;

  constructor(root: Mount) {
    this.root = root;
    root.ns = this;
    this.count = 1;
  }

  /** Every mount, parents before children. */
  mounts(): Mount[] {
    const all: Mount[] = [this.root];
    for (let i = 0; i < all.length; i++) all.push(...all[i]!.children);
    return all;
  }

  /** Copy for CLONE_NEWNS, and what each old mount became (fs_struct of the caller moves along). */
  clone(): { ns: MountNamespace; map: Map<Mount, Mount> } {
    const map = new Map<Mount, Mount>();
    const root = copyMount(this.root, this.root.root);
    const ns = new MountNamespace(root);
    map.set(this.root, root);
    for (const m of this.mounts()) {
      if (m === this.root) continue;
      const copy = copyMount(m, m.root);
      copy.attach(map.get(m.parent!)!, m.mountpoint!, ns);
      ns.count++;
      map.set(m, copy);
    }
    return { ns, map };
  }
}

function copyMount(m: Mount, root: Dentry): Mount {
  return new Mount(m.sb, root, m.flags, m.source);
}

/** The root dentry of a file system, made at first use. */
export function rootDentry(sb: SuperBlock): Dentry {
  if (sb.rootDentry === null) sb.rootDentry = new Dentry('/', null, sb.root).hold();
  return sb.rootDentry;
}

export function makeMount(sb: SuperBlock, flags: number, source: string): Mount {
  return new Mount(sb, rootDentry(sb), flags, source);
}

/** Mounts `m` on the top of `at`: 0 or −errno. The caller checked types and privilege. */
export function attachMount(m: Mount, at: Path): number {
  const ns = at.mount.ns;
  if (ns === null) return -EINVAL;
  const all = subtree(m);
  if (ns.count + all.length > MOUNT_MAX) return -EBUSY;
  let mount = at.mount;
  let dentry = at.dentry;
  for (let next = mount.mountOn(dentry); next !== null; next = mount.mountOn(dentry)) {
    mount = next;
    dentry = next.root;
  }
  m.attach(mount, dentry, ns);
  for (const c of all) c.ns = ns;
  ns.count += all.length;
  ns.event++;
  return 0;
}

/** A mount and everything below it, parents first. */
export function subtree(m: Mount): Mount[] {
  const all = [m];
  for (let i = 0; i < all.length; i++) all.push(...all[i]!.children);
  return all;
}

/** Bind: a detached copy of what is seen at `from`, with the mounts below it if `recursive`. */
export function cloneTree(from: Path, recursive: boolean): Mount {
  const top = copyMount(from.mount, from.dentry);
  if (!recursive) return top;
  const map = new Map<Mount, Mount>([[from.mount, top]]);
  for (const m of subtree(from.mount)) {
    const parent = map.get(m.parent!);
    if (m === from.mount || parent === undefined) continue;
    if (m.parent === from.mount && !isBelow(m.mountpoint!, from.dentry)) continue;
    const copy = copyMount(m, m.root);
    copy.attach(parent, m.mountpoint!, null);
    map.set(m, copy);
  }
  return top;
}

/** True if `d` is `top` or lies below it in the same file system. */
export function isBelow(d: Dentry, top: Dentry): boolean {
  for (let at: Dentry | null = d; at !== null; at = at.parent) if (at === top) return true;
  return false;
}

/** True if the place `p` is the place `top` or lies below it, across mounts (is_path_reachable). */
export function isPathBelow(p: Path, top: Path): boolean {
  let mount: Mount | null = p.mount;
  let dentry = p.dentry;
  while (mount !== null) {
    if (mount === top.mount && isBelow(dentry, top.dentry)) return true;
    if (mount.mountpoint === null) return false;
    dentry = mount.mountpoint;
    mount = mount.parent;
  }
  return false;
}

/** Open files, roots or working directories somewhere in the tree. */
function isBusy(m: Mount): boolean {
  return m.refs > 0 || m.children.length > 0;
}

/** umount(2): `lazy` (MNT_DETACH) takes the whole tree off at once. 0 or −errno. */
export function detachMount(m: Mount, lazy: boolean): number {
  const ns = m.ns;
  if (ns === null || m.parent === null) return -EINVAL;
  if (!lazy && isBusy(m)) return -EBUSY;
  const all = subtree(m);
  for (let i = all.length - 1; i >= 0; i--) {
    const c = all[i]!;
    c.detach();
    c.release();
    ns.count--;
  }
  ns.event++;
  return 0;
}

/** MS_MOVE. 0 or −errno. */
export function moveMount(m: Mount, to: Path): number {
  const ns = m.ns;
  if (ns === null || m.parent === null) return -EINVAL;
  for (let p: Mount | null = to.mount; p !== null; p = p.parent) if (p === m) return -ELOOP;
  const all = subtree(m);
  m.detach();
  ns.count -= all.length;
  return attachMount(m, to);
}

/** pivot_root(2): `next` takes the place of `old`, which goes to `putOld`, a place in the new tree. 0 or −errno. */
export function pivotRoot(old: Mount, next: Mount, putOld: Path): number {
  const ns = old.ns;
  if (ns === null || next.parent === null) return -EINVAL;
  const parent = old.parent;
  const place = old.mountpoint;
  next.detach();
  next.ns = ns;
  if (parent === null || place === null) {
    ns.root = next;
  } else {
    // `old` gives its place to `next`.
    place.hold();
    old.detach();
    next.attach(parent, place, ns);
    place.put();
  }
  old.attach(putOld.mount, putOld.dentry, ns);
  ns.event++;
  return 0;
}
