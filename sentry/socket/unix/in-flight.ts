/**
 * Descriptors in flight (net/unix/garbage.c, scm.c). A socket whose every reference sits in a queue that only such sockets can
 * read is garbage: its queue is emptied, which breaks the cycle.
 */
import { clockNs } from '../../host/sys.ffi.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import { panic } from '../../lib/assert.ts';
import { Timer } from '../../time/timer-queue.ts';
import type { FileDescription } from '../../vfs/file-description.ts';
import type { UnixMessage } from './message.ts';

const CLOCK_MONOTONIC = 1;
/** A collection that looked at more descriptors than this is not repeated before so many times as long as it took have passed. */
const QUICK = 1000;
const PAUSE = 10;

/** What the collector wants from a socket. */
export interface Collectable extends FileDescription {
  /** Calls `visit` for every message with descriptors queued on this socket or on connections not yet accepted. */
  eachWithFds(visit: (m: UnixMessage) => void): void;
  /** Empties the queue. */
  purge(): void;
}

/** How often each socket is in flight. Other files are no part of a cycle. */
const inFlight = new Map<Collectable, number>();
/** Descriptors that each user has in flight (user_struct.unix_inflight). */
const byUser = new Map<number, number>();
let total = 0;

export function inFlightTotal(): number {
  return total;
}

export function inFlightOf(uid: number): number {
  return byUser.get(uid) ?? 0;
}

function collectable(f: FileDescription): f is Collectable {
  return 'eachWithFds' in f;
}

function count<K>(map: Map<K, number>, key: K, by: number): void {
  const n = (map.get(key) ?? 0) + by;
  if (n < 0) panic('descriptors in flight without account');
  if (n === 0) map.delete(key);
  else map.set(key, n);
}

let kernel: Kernel | undefined;

/** unix_attach_fds(): `m` is about to be queued. */
export function addInFlight(m: UnixMessage, k: Kernel): void {
  kernel = k;
  for (const f of m.fds!) if (collectable(f)) count(inFlight, f, 1);
  count(byUser, m.uid, m.fds!.length);
  total += m.fds!.length;
}

/** unix_detach_fds(): the descriptors of `m`, whose references are the caller's now. */
export function takeInFlight(m: UnixMessage): FileDescription[] {
  const fds = m.fds!;
  m.fds = null;
  for (const f of fds) if (collectable(f)) count(inFlight, f, -1);
  count(byUser, m.uid, -fds.length);
  total -= fds.length;
  return fds;
}

const dropped: FileDescription[] = [];
let dropping = false;

/**
 * Lets files go that nobody received. Sockets among them may hold further ones, those too, however long the chain: one after
 * another, not one within the other.
 */
export function dropFiles(files: readonly FileDescription[]): void {
  for (const f of files) dropped.push(f);
  if (dropping) return;
  dropping = true;
  for (let f = dropped.pop(); f !== undefined; f = dropped.pop()) f.unref();
  dropping = false;
}

let notBefore = 0;
let looks = 0;
let collecting = false;
const later = new Timer(collectGarbage);

/** Frees sockets that nobody can reach. Run when a socket is closed or sent; if it takes its time, not each time. */
export function collectGarbage(): void {
  if (collecting || inFlight.size === 0) return;
  const begun = clockNs(CLOCK_MONOTONIC);
  if (begun < notBefore) {
    if (!later.armed) kernel?.timers.arm(later, notBefore);
    return;
  }
  collecting = true;
  looks = inFlight.size;
  const freed: FileDescription[] = [];
  for (const c of unreachable()) {
    c.eachWithFds((m) => {
      for (const f of takeInFlight(m)) freed.push(f);
    });
    c.purge();
  }
  dropFiles(freed);
  collecting = false;
  const now = clockNs(CLOCK_MONOTONIC);
  notBefore = looks > QUICK ? now + PAUSE * (now - begun) : 0;
}

function eachQueuedFd(c: Collectable, visit: (f: FileDescription) => void): void {
  c.eachWithFds((m) => {
    looks += m.fds!.length;
    for (const f of m.fds!) visit(f);
  });
}

function unreachable(): Collectable[] {
  const candidates = new Map<Collectable, number>();
  for (const [f, n] of inFlight) if (f.refCount === n) candidates.set(f, n);
  // Take away the references that candidates hold on each other: who keeps one is reachable from outside.
  for (const c of candidates.keys()) {
    eachQueuedFd(c, (f) => {
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
    eachQueuedFd(c, (f) => {
      if (candidates.has(f as Collectable) && !reachable.has(f as Collectable)) work.push(f as Collectable);
    });
  }
  return [...candidates.keys()].filter((c) => !reachable.has(c));
}
