/** How long namespaces live: counts of the tasks in them and of their open handles (refcounts of struct ns_common). */

/** A namespace that holds more than names: what it holds is given back when nobody is in it and no handle leads to it. */
export interface Counted {
  users: number;
  /** null: it stays for the sandbox's life (what the container began with, and what a handle of is mounted). */
  onUnused: (() => void) | null;
}

/** A handle of a namespace is opened. */
export function useNamespace(ns: object): void {
  if ('users' in ns) (ns as Counted).users++;
}

/** A handle of a namespace is closed. */
export function leaveNamespace(ns: object): void {
  if ('users' in ns && --(ns as Counted).users === 0) (ns as Counted).onUnused?.();
}

/** A handle is mounted somewhere: the namespace stays. */
export function pinNamespace(ns: object): void {
  if ('users' in ns) (ns as Counted).onUnused = null;
}
