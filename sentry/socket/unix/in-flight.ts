/**
 * Descriptors in flight (net/unix/garbage.c). A socket whose every reference sits in a queue that only such sockets can
 * read is garbage: its queue is emptied, which breaks the cycle.
 */
import type { FileDescription } from '../../vfs/file-description.ts';
import { panic } from '../../lib/assert.ts';

/** What the collector wants from a socket. */
export interface Collectable extends FileDescription {
  /** Calls `visit` for every descriptor in messages queued on this socket or on connections not yet accepted. */
  eachQueuedFd(visit: (f: FileDescription) => void): void;
  /** Drops all queued descriptors. */
  purgeQueuedFds(): FileDescription[];
}

/** How often each file is in flight. Only files with `eachQueuedFd` can be part of a cycle. */
const inFlight = new Map<FileDescription, number>();
let total = 0;

export function inFlightTotal(): number {
  return total;
}

export function addInFlight(fds: readonly FileDescription[]): void {
  for (const f of fds) inFlight.set(f, (inFlight.get(f) ?? 0) + 1);
  total += fds.length;
}

export function removeInFlight(fds: readonly FileDescription[]): void {
  for (const f of fds) {
    const n = inFlight.get(f);
    if (n === undefined) panic('file in flight without account');
    if (n === 1) inFlight.delete(f);
    else inFlight.set(f, n - 1);
  }
  total -= fds.length;
}

function collectable(f: FileDescription): f is Collectable {
  return 'eachQueuedFd' in f;
}

let collecting = false;

/** Frees sockets that nobody can reach. Run when a socket is closed while descriptors are in flight. */
export function collectGarbage(): void {
  if (collecting || inFlight.size === 0) return;
  const candidates = new Map<Collectable, number>();
  for (const [f, n] of inFlight) if (collectable(f) && f.refCount === n) candidates.set(f, n);
  if (candidates.size === 0) return;
  // Take away the references that candidates hold on each other: who keeps one is reachable from outside.
  for (const c of candidates.keys()) {
    c.eachQueuedFd((f) => {
      const n = candidates.get(f as Collectable);
      if (n !== undefined) candidates.set(f as Collectable, n - 1);
    });
  }
  const reachable = new Set<Collectable>();
  const work: Collectable[] = [];
  for (const [c, n] of candidates) if (n > 0) work.push(c);
  while (work.length > 0) {
    const c = work.pop()!;
    if (reachable.has(c)) continue;
    reachable.add(c);
    c.eachQueuedFd((f) => {
      if (candidates.has(f as Collectable)) work.push(f as Collectable);
    });
  }
  collecting = true;
  const freed: FileDescription[] = [];
  for (const c of candidates.keys()) if (!reachable.has(c)) freed.push(...c.purgeQueuedFds());
  for (const f of freed) f.unref();
  collecting = false;
}
