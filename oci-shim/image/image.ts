/**
 * An image archive as directories for an overlay. Layers are unpacked once into a cache directory, named by the chain of
 * their digests (OCI image-spec, "Layer ChainID"); what is half done is removed, also what a killed process left.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../user-error.ts';
import { ImageArchive, sha256File } from './archive.ts';
import { unpackLayer } from './layer.ts';
import { readManifest, type ImageConfig, type LayerRef } from './manifest.ts';
import { makeWhiteouts } from './whiteout.ts';

export interface UnpackedImage {
  config: ImageConfig;
  /** Directories of the layers, topmost first. */
  layers: string[];
  /** What was left out, for the user. */
  notes: string[];
}

/** Where a user's unpacked layers are kept. */
function defaultImageCache(): string {
  if (process.getuid!() === 0) return '/var/cache/runsc-ts/layers';
  const home = process.env['HOME'] ?? '/tmp';
  return join(process.env['XDG_CACHE_HOME'] ?? join(home, '.cache'), 'runsc-ts/layers');
}

/** Unpacks `file` into `cache` unless that was done before. Throws UserError; then nothing half done is left. */
export async function openImage(file: string, cache = defaultImageCache()): Promise<UnpackedImage> {
  const archive = await ImageArchive.open(file);
  const manifest = readManifest(archive);
  prepareCache(cache);
  const chain = chainIds(manifest.layers);
  const dirs = chain.map((id) => join(cache, id));
  const notes: string[] = [];
  const missing = dirs.findIndex((d) => !existsSync(d));
  if (missing >= 0) {
    const tmp = mkdtempSync(join(cache, `${TMP}${process.pid}-`));
    try {
      await unpackFrom(archive, manifest.layers, dirs, missing, tmp, notes);
    } finally {
      removeTree(tmp);
    }
  }
  return { config: manifest.config, layers: dirs.reverse(), notes };
}

const TMP = 'tmp-';

/** Unpacks the layers from index `from` upwards. */
async function unpackFrom(
  archive: ImageArchive,
  layers: readonly LayerRef[],
  dirs: readonly string[],
  from: number,
  tmp: string,
  notes: string[],
): Promise<void> {
  const blobs = await archive.extract(new Set(layers.slice(from).map((l) => l.member)), tmp);
  for (let i = from; i < layers.length; i++) {
    if (existsSync(dirs[i]!)) continue;
    const layer = layers[i]!;
    const what = `${archive.file}: layer ${layer.member}`;
    const blob = blobs.get(layer.member)!;
    if (layer.blobDigest !== null) {
      const actual = await sha256File(blob);
      if (actual !== layer.blobDigest) throw new UserError(`${what} has the digest ${actual}`);
    }
    const root = join(tmp, `layer-${i}`);
    mkdirSync(root, 0o755);
    const unpacked = await unpackLayer(blob, what, root);
    if (unpacked.diffId !== layer.diffId) {
      throw new UserError(`${what} unpacks to the digest ${unpacked.diffId}, the image says ${layer.diffId}`);
    }
    makeWhiteouts(root, unpacked, dirs.slice(0, i).reverse(), what);
    unpacked.finish();
    notes.push(...unpacked.notes);
    moveIntoPlace(root, dirs[i]!);
  }
}

/** Another process may have unpacked the same layer meanwhile: its copy is as good. */
function moveIntoPlace(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (e) {
    const { code } = e as NodeJS.ErrnoException;
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw e;
  }
}

/** ChainID of each layer, bottom first. */
function chainIds(layers: readonly LayerRef[]): string[] {
  let parent = '';
  return layers.map((l) => {
    parent =
      parent === ''
        ? l.diffId
        : createHash('sha256').update(`sha256:${parent} sha256:${l.diffId}`).digest('hex');
    return parent;
  });
}

function prepareCache(cache: string): void {
  try {
    mkdirSync(cache, { recursive: true, mode: 0o700 });
  } catch (e) {
    throw new UserError(`image cache ${cache}: ${(e as Error).message}`);
  }
  // Others must not be able to put something into the layers of this user.
  const st = statSync(cache);
  if (st.uid !== process.getuid!() || (st.mode & 0o022) !== 0) {
    throw new UserError(`image cache ${cache}: must belong to the user and be writable for nobody else`);
  }
  for (const name of readdirSync(cache)) {
    const m = /^tmp-(\d+)-/.exec(name);
    if (m !== null && !isRunning(Number(m[1]))) removeTree(join(cache, name));
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (e) {
    return (e as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function removeTree(path: string): void {
  rmSync(path, { recursive: true, force: true, maxRetries: 2 });
}
