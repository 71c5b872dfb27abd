/** Mount namespaces and the operations on their trees (fs/namespace.c). */
import { EBUSY, EINVAL, ENOSPC } from '../abi/errno.ts';
import type { Owned, UserNamespace } from '../auth/credentials.ts';
import { nextNamespaceNumber } from '../auth/namespace-users.ts';
import { Dentry, type Path } from './dentry.ts';
import {
  ATIME_FLAGS,
  Mount,
  mountsOn,
  MS_NODEV,
  MS_NOEXEC,
  MS_NOSUID,
  MS_PRIVATE,
  MS_RDONLY,
  MS_REC,
  MS_SHARED,
  MS_SLAVE,
} from './mount.ts';
import {
  applyReceiver,
  copyPropagation,
  makePrivate,
  makeShared,
  makeSlave,
  makeUnbindable,
  propagatedChildren,
  type Receiver,
  receivers,
  treeRoot,
} from './propagation.ts';
import type { SuperBlock } from './super-block.ts';

/** fs.mount-max is 100000 in Linux; a hostile guest must not fill the heap. */
export const MOUNT_MAX = 4096;

export class MountNamespace implements Owned {
  /** NS_GET_MNTNS_ID: never used again. */
  readonly number = nextNamespaceNumber();
  /** The container's namespaces by number, in the order in which they were made (mnt_ns_tree). */
  readonly family: Map<number, MountNamespace>;
  owner: UserNamespace | null = null;
  /** The mount that everything hangs on. */
  root: Mount;
  count = 0;
  /** Increases with every change: /proc/mounts readers poll for it. */
  event = 1;

  constructor(root: Mount, family = new Map<number, MountNamespace>()) {
    this.root = root;
    root.ns = this;
    this.count = 1;
    this.family = family;
    family.set(this.number, this);
  }

  /** Tasks in it and open handles of it (see kernel/namespaces.ts). */
  users = 0;
  onUnused: (() => void) | null = null;

  /** Nobody can come back: all mounts are taken off (put_mnt_ns). What is still open lives on, as after MNT_DETACH. */
  dissolve(): void {
    this.family.delete(this.number);
    for (const m of this.mounts().reverse()) {
      m.detach();
      m.ns = null;
      m.release();
    }
    this.count = 0;
    this.event++;
  }

  /** Every mount, parents before children. */
  mounts(): Mount[] {
    return subtree(this.root);
  }

  /** Copy for CLONE_NEWNS, and what each old mount became (fs_struct of the caller moves along). */
  clone(): { ns: MountNamespace; map: Map<Mount, Mount> } {
    const map = new Map<Mount, Mount>();
    const root = copyMount(this.root, this.root.root);
    const ns = new MountNamespace(root, this.family);
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

/** clone_mnt(): the copy is a peer of a shared original. */
function copyMount(m: Mount, root: Dentry): Mount {
  const copy = new Mount(m.sb, root, m.flags, m.source);
  copyPropagation(m, copy);
  copy.lockedFlags = m.lockedFlags;
  copy.locked = m.locked;
  return copy;
}

/** lock_mnt_tree() and CL_SHARED_TO_SLAVE: what a namespace of less privilege has been given. */
export function lockTree(ns: MountNamespace): void {
  for (const m of ns.mounts()) {
    if (m.group !== null) makeSlave(m);
    m.lockedFlags = (m.flags & (MS_RDONLY | MS_NODEV | MS_NOSUID | MS_NOEXEC)) | ATIME_FLAGS;
    m.locked = m !== ns.root;
  }
}

/** has_locked_children(): a bind mount of `d` alone would show what they hide. */
export function hasLockedChildren(m: Mount, d: Dentry): boolean {
  return m.children.some((c) => c.locked && isBelow(c.mountpoint!, d));
}

/** The root dentry of a file system, made at first use. */
export function rootDentry(sb: SuperBlock): Dentry {
  if (sb.rootDentry === null) sb.rootDentry = new Dentry('/', null, sb.root).hold();
  return sb.rootDentry;
}

export function makeMount(sb: SuperBlock, flags: number, source: string): Mount {
  return new Mount(sb, rootDentry(sb), flags, source);
}

/**
 * Mounts the detached tree `m` on the top of `at` and on the same place of every mount that receives from it
 * (attach_recursive_mnt): 0 or −errno. The caller checked types and privilege.
 */
export function attachMount(m: Mount, at: Path): number {
  return attachTo(m, topOf(at));
}

/** The same at a place that is not what shows there: below what is mounted on it (MOVE_MOUNT_BENEATH). */
export function attachTo(m: Mount, { mount, dentry }: Path): number {
  const all = subtree(m);
  const targets = receivers(mount, dentry);
  if (!hasRoom(mount, all.length, targets)) return -ENOSPC;
  m.anon = null;
  if (mount.group !== null) for (const c of all) makeShared(c);
  const copies: Mount[] = [];
  for (const t of targets) copies.push(copyFor(t, t.copyOf < 0 ? m : copies[t.copyOf]!));
  tuck(m, mount, dentry);
  targets.forEach((t, i) => tuck(copies[i]!, t.mount, dentry));
  return 0;
}

/** Every namespace may hold MOUNT_MAX mounts, those without a name, too. */
function hasRoom(dest: Mount, size: number, targets: readonly Receiver[]): boolean {
  const more = new Map<Mount, number>();
  for (const m of [dest, ...targets.map((t) => t.mount)]) {
    const root = treeRoot(m);
    more.set(root, (more.get(root) ?? root.ns?.count ?? subtree(root).length) + size);
  }
  for (const count of more.values()) if (count > MOUNT_MAX) return false;
  return true;
}

/** The copy of a tree that a receiver gets. */
function copyFor(t: Receiver, original: Mount): Mount {
  return copyTree(original, original.root, (m, root) => {
    const copy = new Mount(m.sb, root, m.flags, m.source);
    applyReceiver(t.how, m, copy);
    copy.lockedFlags = m.lockedFlags;
    return copy;
  });
}

/** Hangs a detached tree on a place. */
export function hang(m: Mount, parent: Mount, d: Dentry, ns: MountNamespace | null): void {
  m.attach(parent, d, ns);
  const all = subtree(m);
  for (const c of all) c.ns = ns;
  if (ns === null) return;
  ns.count += all.length;
  ns.event++;
}

/** A propagated mount, or one that is to be so, goes below what is mounted on its place already. */
function tuck(m: Mount, parent: Mount, d: Dentry): void {
  const above = parent.mountOn(d);
  hang(m, parent, d, parent.ns);
  if (above === null) return;
  const ns = above.ns;
  above.detach();
  above.attach(m, m.root, ns);
}

/** follow_down(): what is mounted on a place. */
export function topOf(p: Readonly<Path>): Path {
  let { mount, dentry } = p;
  for (let next = mount.mountOn(dentry); next !== null; next = mount.mountOn(dentry)) {
    mount = next;
    dentry = next.root;
  }
  return { mount, dentry };
}

/** A mount and everything below it in Linux's order (next_mnt): each followed by what is below it. */
export function subtree(m: Mount): Mount[] {
  const all: Mount[] = [];
  const stack = [m];
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    all.push(next);
    for (let i = next.children.length - 1; i >= 0; i--) stack.push(next.children[i]!);
  }
  return all;
}

/** Bind: a detached copy of what is seen at `from`, with the mounts below it if `recursive`. */
export function cloneTree(from: Path, recursive: boolean): Mount {
  const top = recursive ? copyTree(from.mount, from.dentry, copyMount) : copyMount(from.mount, from.dentry);
  top.locked = false;
  return top;
}

/** copy_tree(): copies `from` seen from `root` and what is mounted below, without what is unbindable. */
function copyTree(from: Mount, root: Dentry, copyOne: (m: Mount, root: Dentry) => Mount): Mount {
  const top = copyOne(from, root);
  const map = new Map<Mount, Mount>([[from, top]]);
  for (const m of subtree(from)) {
    const parent = map.get(m.parent!);
    if (m === from || parent === undefined || m.unbindable) continue;
    if (m.parent === from && !isBelow(m.mountpoint!, root)) continue;
    const copy = copyOne(m, m.root);
    copy.attach(parent, m.mountpoint!, null);
    map.set(m, copy);
  }
  return top;
}

/** Changes the propagation of a mount, with MS_REC of all below it too. `kind` has exactly one of the four MS_* flags. */
export function setPropagation(m: Mount, kind: number): void {
  for (const c of (kind & MS_REC) !== 0 ? subtree(m) : [m]) {
    if ((kind & MS_SHARED) !== 0) makeShared(c);
    else if ((kind & MS_SLAVE) !== 0) makeSlave(c);
    else if ((kind & MS_PRIVATE) !== 0) makePrivate(c);
    else makeUnbindable(c);
  }
  if (m.ns !== null) m.ns.event++;
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
  if (m.ns === null || m.parent === null) return -EINVAL;
  if (!lazy) {
    if (isBusy(m)) return -EBUSY;
    for (const c of propagatedChildren(m.parent, m.mountpoint!)) {
      if (c.children.length === 0 && c.refs > 0) return -EBUSY;
    }
  }
  const all = subtree(m);
  for (let i = all.length - 1; i >= 0; i--) {
    const c = all[i]!;
    // Receivers lose it too, unless more is mounted below theirs.
    const others = propagatedChildren(c.parent!, c.mountpoint!);
    takeOff(c);
    for (const o of others) if (!all.includes(o)) takeOffReceived(o);
  }
  return 0;
}

/** What is mounted right on top of it takes its place. */
function takeOffReceived(m: Mount): void {
  const [topper] = m.children;
  if (m.children.length > 1 || (topper !== undefined && topper.mountpoint !== m.root)) return;
  const { parent, mountpoint, ns } = m;
  mountpoint!.hold();
  topper?.detach();
  takeOff(m);
  topper?.attach(parent!, mountpoint!, ns);
  mountpoint!.put();
}

function takeOff(m: Mount): void {
  const ns = m.ns;
  m.detach();
  m.release();
  if (ns === null) return;
  ns.count--;
  ns.event++;
}

/** True if something is mounted on `d` in that namespace (is_local_mountpoint). */
export function isMountpointIn(ns: MountNamespace | null, d: Dentry): boolean {
  return d.mounted > 0 && mountsOn(d).some((m) => m.ns === ns);
}

/** A name is gone: so are the mounts that other namespaces have on it, without being propagated (detach_mounts). */
export function detachMountsOn(d: Dentry): void {
  if (d.mounted === 0) return;
  for (const m of [...mountsOn(d)]) for (const c of subtree(m).reverse()) takeOff(c);
}
