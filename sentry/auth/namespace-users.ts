/** How long namespaces live: counts of the tasks in them and of their handles, open or mounted (refcounts of struct ns_common). */

/** Network namespaces that guests of a sandbox may have at a time: each is one of the host's (user.max_net_namespaces). */
export const NET_NAMESPACES_MAX = 64;

/** As /proc/sys/user names them. */
export const NAMESPACE_KINDS = ['cgroup', 'ipc', 'mnt', 'net', 'pid', 'time', 'user', 'uts'] as const;
export type NamespaceKind = (typeof NAMESPACE_KINDS)[number];

/** A namespace that holds more than names: what it holds is given back when nobody is in it and no handle leads to it. */
export interface Counted {
  users: number;
  /** null: it stays for the sandbox's life (what the container began with). */
  onUnused: (() => void) | null;
}

/** A task comes into a namespace, or a handle of it is opened or mounted. */
export function useNamespace(ns: object): void {
  if ('users' in ns) (ns as Counted).users++;
}

/** The same has ended. */
export function leaveNamespace(ns: object): void {
  if ('users' in ns && --(ns as Counted).users === 0) (ns as Counted).onUnused?.();
}

/** NS_LAST_INIT_ID of include/uapi/linux/nsfs.h: numbers up to it are those of Linux's first namespaces of each kind. */
let lastNumber = 8;
const numbers = new WeakMap<object, number>();

export function nextNamespaceNumber(): number {
  return ++lastNumber;
}

/** NS_GET_ID: a number that no other namespace has ever had. */
export function namespaceNumber(ns: object): number {
  const known = (ns as { number?: number }).number ?? numbers.get(ns);
  if (known !== undefined) return known;
  const number = nextNamespaceNumber();
  numbers.set(ns, number);
  return number;
}
