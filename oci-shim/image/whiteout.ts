/**
 * Whiteouts as overlayfs knows them: a character device 0:0 hides the name in the layers below. A directory that hides
 * everything below (opaque) gets one whiteout for each name that the layers below have in it, so that no extended
 * attribute is needed.
 */
import { lstatSync, mkdirSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { makeNode, type UnpackedLayer } from './layer.ts';

const S_IFCHR = 0o020000;

/** Makes the whiteouts of a layer in `root`. `below`: the directories of the lower layers, topmost first. */
export function makeWhiteouts(
  root: string,
  layer: UnpackedLayer,
  below: readonly string[],
  what: string,
): void {
  if (below.length === 0) return;
  const make = (path: string): void => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    makeNode(join(root, path), S_IFCHR, `${what}: whiteout of ${path}`);
  };
  for (const path of layer.whiteouts) {
    const st = lstatSync(join(root, path), { throwIfNoEntry: false });
    if (st === undefined) make(path);
    // Removed and made anew in the same layer: nothing of the old directory shows.
    else if (st.isDirectory()) hideBelow(root, path, below, make);
  }
  for (const path of layer.opaque) hideBelow(root, path, below, make);
}

/** Hides everything that the layers below have in directory `path`. */
function hideBelow(root: string, path: string, below: readonly string[], make: (path: string) => void): void {
  const names = new Set<string>();
  for (const lower of below) {
    const dir = plainDirectory(lower, path);
    // What is not a directory there ends the view of still lower layers.
    if (dir === null) break;
    if (dir !== '') for (const name of readdirSync(dir)) names.add(name);
  }
  for (const name of names) {
    const child = path === '' ? name : `${path}/${name}`;
    const st = lstatSync(join(root, child), { throwIfNoEntry: false });
    if (st === undefined) make(child);
    else if (st.isDirectory()) hideBelow(root, child, below, make);
  }
}

/** The directory `path` of a layer, '' if the layer has nothing there, null if it hides what is below. */
function plainDirectory(layer: string, path: string): string | null {
  let at = layer;
  for (const part of path.split('/')) {
    if (part === '') continue;
    at = join(at, part);
    const st = lstatSync(at, { throwIfNoEntry: false });
    if (st === undefined) return '';
    if (!st.isDirectory()) return null;
  }
  return at;
}
