/**
 * Whole names and where they led, so that the walk of a name that was walked before is one look-up. An entry is good while
 *  - no directory, symbolic link or mount has changed its place or its permissions anywhere (`generation`), and
 *  - the last component's dentry still has its name and its inode (checked here, so files may come and go).
 * Names that pass through volatile file systems, magic links or directories closed to somebody else are not kept.
 */
import type { Credentials } from '../auth/credentials.ts';
import type { Dentry } from './dentry.ts';
import type { Inode } from './inode.ts';
import type { Mount } from './mount.ts';

/** Longer names are walked. */
export const CACHED_NAME_MAX = 256;
const ENTRIES_MAX = 8192;

export class WalkCacheEntry {
  generation = -1;
  rootMount: Mount | null = null;
  root: Dentry | null = null;
  startMount: Mount | null = null;
  start: Dentry | null = null;
  /** The last component's own dentry, with what it was when the entry was made. A negative one answers ENOENT. */
  leaf: Dentry | null = null;
  leafParent: Dentry | null = null;
  leafName = '';
  leafInode: Inode | null = null;
  /** null: everybody may search all directories passed; otherwise whose walk it was. */
  creds: Credentials | null = null;
  /** Result, across mounts. */
  mount: Mount | null = null;
  dentry: Dentry | null = null;
}

let following = new Map<string, WalkCacheEntry>();
let staying = new Map<string, WalkCacheEntry>();

/** Increases when the shape of the tree changes: see Dentry, Mount and the chmod family. */
let generation = 0;

const RELIED_MAX = 8192;
/** Names in `relied` are good until the generation changes, too: the platform lets threads repeat answers about them. */
const relied = new Set<Dentry>();
let listener: (generation: number) => void = () => {};

export function treeChanged(): void {
  generation++;
  relied.clear();
  listener(generation);
}

/** `told` hears of the generation now, and of each further one before anything that depends on it is answered. */
export function onTreeChange(told: (generation: number) => void): void {
  listener = told;
  told(generation);
}

/** From now on a change of what the last component of an entry leads to changes the generation. */
export function relyOn(e: WalkCacheEntry): void {
  // Directories do so anyway: Dentry.shapes.
  if (e.leafInode !== null && e.leafInode.isDir) return;
  // Somebody asks for ever more names: what is known of them may be forgotten, but not kept.
  if (relied.size >= RELIED_MAX) treeChanged();
  relied.add(e.leaf!);
}

/** What `d` leads to, or its name, is about to change. */
export function leafChanges(d: Dentry): void {
  if (relied.size > 0 && relied.has(d)) treeChanged();
}

export function treeGeneration(): number {
  return generation;
}

/** The entry of a name if it still holds; `follow` tells the two ways to treat a last symbolic link apart. */
export function cachedWalk(name: string, follow: boolean): WalkCacheEntry | undefined {
  const e = (follow ? following : staying).get(name);
  if (e === undefined || e.generation !== generation) return undefined;
  const leaf = e.leaf!;
  if (
    leaf.inode !== e.leafInode ||
    leaf.unhashed ||
    leaf.parent !== e.leafParent ||
    leaf.name !== e.leafName
  ) {
    return undefined;
  }
  leaf.used = true;
  return e;
}

/** The entry to fill for a name, a used one if there is one. */
export function entryToFill(name: string, follow: boolean): WalkCacheEntry {
  let map = follow ? following : staying;
  let e = map.get(name);
  if (e !== undefined) return e;
  if (map.size >= ENTRIES_MAX) {
    map = new Map();
    if (follow) following = map;
    else staying = map;
  }
  e = new WalkCacheEntry();
  map.set(name, e);
  return e;
}
