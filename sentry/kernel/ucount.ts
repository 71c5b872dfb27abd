/**
 * How many namespaces users may have in a user namespace and in those below it (kernel/ucount.c, namespaces(7),
 * /proc/sys/user). What there is is counted only where somebody has set a limit: by asking all tasks where they are, so a
 * namespace that only an open or mounted handle keeps does not count.
 */
import { ENOSPC } from '../abi/errno.ts';
import type { Credentials, UserNamespace } from '../auth/credentials.ts';
import type { NamespaceKind } from '../auth/namespace-users.ts';
import type { Kernel } from './kernel.ts';
import type { Task } from './task.ts';

/** Whom a namespace counts for; namespaces of users count for their owner in their parent. */
interface Maker {
  readonly userNs: UserNamespace;
  readonly uid: number;
}

const makers = new WeakMap<object, Maker>();

/** `creds` are those that it was made with: in the user namespace that it belongs to. */
export function rememberMaker(ns: object, creds: Credentials): void {
  makers.set(ns, { userNs: creds.userNs, uid: creds.euid });
}

/** inc_ucount(): 0, or −ENOSPC if `uid` in `userNs`, or who made that for those above, has as many as allowed. */
export function mayMakeNamespace(
  kernel: Kernel,
  kind: NamespaceKind,
  userNs: UserNamespace,
  uid: number,
): number {
  let of = uid;
  for (let at: UserNamespace | null = userNs; at !== null; of = at.owner, at = at.parent) {
    const max = at.namespacesMax.get(kind);
    if (max !== undefined && countOf(kernel, kind, at, of) >= max) return -ENOSPC;
  }
  return 0;
}

function countOf(kernel: Kernel, kind: NamespaceKind, at: UserNamespace, uid: number): number {
  const all = new Set<object>();
  for (const g of kernel.allGroups()) for (const t of g.tasks) if (!t.dead) addNamespacesOf(t, kind, all);
  let n = 0;
  for (const ns of all) if (countsFor(kind, ns, at, uid)) n++;
  return n;
}

function countsFor(kind: NamespaceKind, ns: object, at: UserNamespace, uid: number): boolean {
  if (kind !== 'user') {
    const maker = makers.get(ns);
    if (maker === undefined) return false;
    if (maker.userNs === at) return maker.uid === uid;
    return countsFor('user', maker.userNs, at, uid);
  }
  for (let u = ns as UserNamespace; u.parent !== null; u = u.parent)
    if (u.parent === at) return u.owner === uid;
  return false;
}

function addNamespacesOf(t: Task, kind: NamespaceKind, all: Set<object>): void {
  const { ns } = t;
  switch (kind) {
    case 'user':
      addWithParents(t.creds.userNs, all);
      for (const { owner } of [
        ns.uts,
        ns.ipc,
        ns.net,
        ns.time,
        ns.timeForChildren,
        ns.cgroup,
        ns.pidForChildren,
      ])
        addWithParents(owner, all);
      return addWithParents(ns.mnt?.mounts.owner ?? null, all);
    case 'pid':
      addWithParents(t.pidNs, all);
      return addWithParents(ns.pidForChildren, all);
    case 'time':
      all.add(ns.time);
      all.add(ns.timeForChildren);
      return;
    case 'mnt':
      if (ns.mnt !== null) all.add(ns.mnt.mounts);
      return;
    default:
      all.add(ns[kind]);
  }
}

function addWithParents<N extends { readonly parent: N | null }>(ns: N | null, all: Set<object>): void {
  for (let at = ns; at !== null && !all.has(at); at = at.parent) all.add(at);
}
