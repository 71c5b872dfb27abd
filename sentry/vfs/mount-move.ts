/** Moving mounts: MS_MOVE, move_mount(2), pivot_root(2) (fs/namespace.c). */
import { EINVAL, ELOOP } from '../abi/errno.ts';
import type { Dentry, Path } from './dentry.ts';
import type { Mount } from './mount.ts';
import { attachTo, hang, hasLockedChildren, isBelow, subtree, topOf } from './mount-namespace.ts';
import { copyPropagation } from './propagation.ts';

/** MS_MOVE. 0 or −errno. */
export function moveMount(m: Mount, to: Path): number {
  return moveAttached(m, topOf(to));
}

function moveAttached(m: Mount, to: Path): number {
  const ns = m.ns;
  if (ns === null || m.parent === null) return -EINVAL;
  // Where a shared mount hangs, others would have to lose it.
  if (m.parent.group !== null) return -EINVAL;
  if (to.mount.group !== null && subtree(m).some((c) => c.unbindable)) return -EINVAL;
  if (isAncestor(m, to.mount)) return -ELOOP;
  const { parent, mountpoint } = m;
  const all = subtree(m);
  mountpoint!.hold();
  m.detach();
  ns.count -= all.length;
  const r = attachTo(m, to);
  if (r !== 0) hang(m, parent, mountpoint!, ns);
  mountpoint!.put();
  return r;
}

/** propagation_would_overmount(): what is mounted on `d` of `from` would be mounted on the root of `to` as well. */
function wouldOvermount(from: Mount, to: Mount, d: Dentry): boolean {
  if (from.group === null || to.root !== d) return false;
  if (to.group === from.group) return true;
  for (let g = to.master; g !== null;) {
    if (g === from.group) return true;
    g = g.members.values().next().value?.master ?? null;
  }
  return false;
}

/** mount_is_ancestor(): `of` is `m`, or hangs somewhere below it. */
function isAncestor(m: Mount, of: Mount): boolean {
  for (let at: Mount | null = of; at !== null; at = at.parent) if (at === m) return true;
  return false;
}

/**
 * MOVE_MOUNT_BENEATH: `m` goes below the topmost mount at `to`, which has to be a mount's root (can_move_mount_beneath): 0 or
 * −errno. `root` is the caller's.
 */
export function moveBeneath(m: Mount, to: Path, root: Mount): number {
  if (to.dentry !== to.mount.root) return -EINVAL;
  const over = topOf(to).mount;
  const { parent, mountpoint } = over;
  if (parent === null || mountpoint === null || over.locked || over === root) return -EINVAL;
  if (m.mountOn(m.root) !== null || isAncestor(over, m)) return -EINVAL;
  if (wouldOvermount(parent, over, mountpoint)) return -EINVAL;
  if (m.ns !== null && wouldOvermount(parent, m, mountpoint)) return -EINVAL;
  const place = { mount: parent, dentry: mountpoint };
  if (m.parent !== null) return moveAttached(m, place);
  return isAncestor(m, parent) ? -ELOOP : attachTo(m, place);
}

/** MOVE_MOUNT_SET_GROUP: `to` shares with and receives from whom `from` does (do_set_group). 0 or −errno. */
export function setGroup(from: Path, to: Path): number {
  if (from.dentry !== from.mount.root || to.dentry !== to.mount.root) return -EINVAL;
  if (from.mount.sb !== to.mount.sb || !isBelow(to.dentry, from.dentry)) return -EINVAL;
  if (hasLockedChildren(from.mount, to.dentry)) return -EINVAL;
  const isPrivate = (m: Mount): boolean => m.group === null && m.master === null;
  if (!isPrivate(to.mount) || isPrivate(from.mount)) return -EINVAL;
  copyPropagation(from.mount, to.mount);
  if (to.mount.ns !== null) to.mount.ns.event++;
  return 0;
}

/** pivot_root(2): `next` takes the place of `old`, which goes to `putOld`, a place in the new tree. 0 or −errno. */
export function pivotRoot(old: Mount, next: Mount, putOld: Path): number {
  const ns = old.ns;
  if (ns === null || next.parent === null) return -EINVAL;
  if (putOld.mount.group !== null || next.parent.group !== null || (old.parent?.group ?? null) !== null) {
    return -EINVAL;
  }
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
