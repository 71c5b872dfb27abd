/**
 * Propagation of mounts and unmounts between mounts (fs/pnode.c, Documentation/filesystems/sharedsubtree.rst): peer groups
 * of shared mounts, and slaves that receive from a group. Mounts of different namespaces can be peers.
 */
import type { Dentry } from './dentry.ts';
import type { Mount } from './mount.ts';

const used = new Set<number>();
let lowestFree = 1;

/** Shared mounts that tell each other of what is mounted and unmounted below them. */
export class PeerGroup {
  /** As mountinfo shows it: the lowest number that is free. */
  readonly id: number;
  readonly members = new Set<Mount>();
  /** Mounts that receive from the group and send nothing back. */
  readonly slaves = new Set<Mount>();

  constructor() {
    while (used.has(lowestFree)) lowestFree++;
    this.id = lowestFree;
    used.add(this.id);
  }

  release(): void {
    used.delete(this.id);
    lowestFree = Math.min(lowestFree, this.id);
  }
}

function join(m: Mount, group: PeerGroup): void {
  group.members.add(m);
  m.group = group;
}

function setMaster(m: Mount, master: PeerGroup | null): void {
  m.master?.slaves.delete(m);
  m.master = master;
  master?.slaves.add(m);
}

/** Out of its group; the last one to go leaves the group's slaves to its own master. */
function leave(m: Mount): void {
  const group = m.group;
  if (group === null) return;
  group.members.delete(m);
  m.group = null;
  if (group.members.size > 0) return;
  for (const s of [...group.slaves]) setMaster(s, m.master);
  group.release();
}

export function makeShared(m: Mount): void {
  m.unbindable = false;
  if (m.group === null) join(m, new PeerGroup());
}

/** A slave of its former peers. Without any it is what its master, if it has one, makes it. */
export function makeSlave(m: Mount): void {
  m.unbindable = false;
  const group = m.group;
  if (group === null) return;
  const others = group.members.size > 1;
  leave(m);
  if (others) setMaster(m, group);
}

export function makePrivate(m: Mount): void {
  makeSlave(m);
  setMaster(m, null);
}

export function makeUnbindable(m: Mount): void {
  makePrivate(m);
  m.unbindable = true;
}

/** A copy is a peer of a shared original and a slave of the original's master. */
export function copyPropagation(from: Mount, to: Mount): void {
  if (from.group !== null) join(to, from.group);
  if (from.master !== null) setMaster(to, from.master);
  to.unbindable = from.unbindable;
}

/** A mount that receives what is mounted on another, and how its copy relates to the one it is a copy of. */
export interface Receiver {
  readonly mount: Mount;
  /** Index of the receiver whose copy is copied; −1: the original. */
  readonly copyOf: number;
  /** peer: same groups. slave: receives from the groups. shared-slave: and makes groups of its own. */
  readonly how: 'peer' | 'slave' | 'shared-slave';
}

/** Who receives what is mounted on `d` of `dest`: in an order in which each copy's original comes first (propagate_mnt). */
export function receivers(dest: Mount, d: Dentry): Receiver[] {
  const list: Receiver[] = [];
  if (dest.group === null) return list;
  // What is being mounted is not there yet (IS_MNT_NEW), and what hangs nowhere receives nothing.
  const contains = (m: Mount): boolean => m.ns !== null && isWithin(d, m.root);
  for (const m of dest.group.members) {
    if (m !== dest && contains(m)) list.push({ mount: m, copyOf: -1, how: 'peer' });
  }
  const groups: { group: PeerGroup; copyOf: number }[] = [{ group: dest.group, copyOf: -1 }];
  for (const { group, copyOf } of groups) {
    const done = new Set<PeerGroup>();
    for (const s of group.slaves) {
      if (s.group === null) {
        if (contains(s)) list.push({ mount: s, copyOf, how: 'slave' });
        continue;
      }
      if (done.has(s.group)) continue;
      done.add(s.group);
      let first = copyOf;
      for (const m of s.group.members) {
        if (!contains(m)) continue;
        if (first === copyOf) {
          list.push({ mount: m, copyOf, how: 'shared-slave' });
          first = list.length - 1;
        } else list.push({ mount: m, copyOf: first, how: 'peer' });
      }
      groups.push({ group: s.group, copyOf: first });
    }
  }
  return list;
}

/** The relation of a copy that was made for a receiver. */
export function applyReceiver(how: Receiver['how'], original: Mount, copy: Mount): void {
  if (how === 'peer') return copyPropagation(original, copy);
  setMaster(copy, original.group);
  if (how === 'shared-slave') makeShared(copy);
}

/** What is unmounted along with the mount on `d` of `parent`: the mounts at that place of every receiver. */
export function propagatedChildren(parent: Mount, d: Dentry): Mount[] {
  const found: Mount[] = [];
  for (const r of receivers(parent, d)) {
    const child = r.mount.mountOn(d);
    if (child !== null) found.push(child);
  }
  return found;
}

/** The root of the tree that it hangs in. */
export function treeRoot(m: Mount): Mount {
  let root = m;
  while (root.parent !== null) root = root.parent;
  return root;
}

/** is_mounted(): in a namespace, with or without a name. */
export function isMounted(m: Mount): boolean {
  return m.ns !== null || treeRoot(m).anon !== null;
}

function isWithin(d: Dentry, top: Dentry): boolean {
  for (let at: Dentry | null = d; at !== null; at = at.parent) if (at === top) return true;
  return false;
}

/** Optional fields of mountinfo: `shared:N master:N propagate_from:N unbindable`, each with a blank before it. */
export function propagationFields(m: Mount): string {
  let text = '';
  if (m.group !== null) text += ` shared:${m.group.id}`;
  if (m.master !== null) {
    text += ` master:${m.master.id}`;
    const from = dominating(m.master, m);
    if (from !== null && from !== m.master) text += ` propagate_from:${from.id}`;
  }
  if (m.unbindable) text += ' unbindable';
  return text;
}

/** The nearest group above with a member in the mount's own namespace (get_dominating_id). */
export function dominating(master: PeerGroup, m: Mount): PeerGroup | null {
  for (let g: PeerGroup | null = master; g !== null;) {
    let above: PeerGroup | null = null;
    for (const member of g.members) {
      if (member.ns === m.ns) return g;
      above = member.master;
    }
    g = above;
  }
  return null;
}
