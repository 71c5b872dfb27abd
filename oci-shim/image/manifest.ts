/** Manifests and the image configuration (OCI image-spec; `docker save`'s manifest.json). */
import { UserError } from '../user-error.ts';
import { type ImageArchive, sha256 } from './archive.ts';

export interface ImageConfig {
  env: string[];
  entrypoint: string[];
  cmd: string[];
  workingDir: string;
  /** As written: "name", "uid", "name:group", "uid:gid" or "". */
  user: string;
}

export interface LayerRef {
  /** Member of the archive. */
  member: string;
  /** Digest of the member as it is (hex), or null if the format has none. */
  blobDigest: string | null;
  /** Digest of the uncompressed layer (hex). */
  diffId: string;
}

export interface ImageManifest {
  config: ImageConfig;
  /** Bottom layer first. */
  layers: LayerRef[];
}

type Json = Record<string, unknown>;

const INDEX_DEPTH_MAX = 4;
const LAYERS_MAX = 127;
const INDEX_TYPES = new Set([
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
]);

/** Finds the one linux/amd64 image of the archive. */
export function readManifest(archive: ImageArchive): ImageManifest {
  if (archive.has('index.json') && archive.has('oci-layout')) return readOci(archive);
  if (archive.has('manifest.json')) return readDockerSave(archive);
  throw new UserError(
    `${archive.file}: neither a "docker save" archive (manifest.json) nor an OCI image layout (index.json)`,
  );
}

function fail(archive: ImageArchive, text: string): never {
  throw new UserError(`${archive.file}: ${text}`);
}

function object(archive: ImageArchive, value: unknown, what: string): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return fail(archive, `${what} is not an object`);
  }
  return value as Json;
}

function list(archive: ImageArchive, value: unknown, what: string): unknown[] {
  return Array.isArray(value) ? (value as unknown[]) : fail(archive, `${what} is not a list`);
}

function text(archive: ImageArchive, value: unknown, what: string): string {
  return typeof value === 'string' && value !== '' ? value : fail(archive, `${what} is not a string`);
}

/** Hex part of "sha256:…". */
function digest(archive: ImageArchive, value: unknown, what: string): string {
  const m = /^sha256:([0-9a-f]{64})$/.exec(text(archive, value, what));
  return m === null ? fail(archive, `${what} "${String(value)}" is not a SHA-256 digest`) : m[1]!;
}

/** A blob of metadata, its digest checked. */
function blob(archive: ImageArchive, hex: string, what: string): Json {
  const name = `blobs/sha256/${hex}`;
  if (!archive.has(name)) fail(archive, `${what} ${name} is missing`);
  const actual = sha256(archive.read(name));
  if (actual !== hex) fail(archive, `${what} ${name} has the digest ${actual}`);
  return object(archive, archive.readJson(name), name);
}

function readOci(archive: ImageArchive): ImageManifest {
  const manifest = pickManifest(archive, object(archive, archive.readJson('index.json'), 'index.json'), 0);
  const configHex = digest(archive, object(archive, manifest['config'], 'config').digest, 'config.digest');
  const { config, diffIds } = readConfig(archive, blob(archive, configHex, 'image configuration'));
  const layers = list(archive, manifest['layers'], 'layers').map((l, i) => {
    const layer = object(archive, l, `layers[${i}]`);
    const mediaType = String(layer['mediaType'] ?? '');
    if (mediaType.endsWith('+zstd')) fail(archive, `layers[${i}]: zstd compression is not supported`);
    const hex = digest(archive, layer['digest'], `layers[${i}].digest`);
    return { member: `blobs/sha256/${hex}`, blobDigest: hex };
  });
  return { config, layers: withDiffIds(archive, layers, diffIds) };
}

/** Descends through indexes to the image for this platform; attestations have another one. */
function pickManifest(archive: ImageArchive, index: Json, depth: number): Json {
  if (depth > INDEX_DEPTH_MAX) fail(archive, 'image indexes are nested too deep');
  const entries = list(archive, index['manifests'], 'manifests').map((m) => object(archive, m, 'manifest'));
  const usable = entries.filter((m) => {
    const platform = m['platform'] as Json | undefined;
    return platform === undefined || (platform['os'] === 'linux' && platform['architecture'] === 'amd64');
  });
  if (usable.length === 0) fail(archive, 'no image for linux/amd64');
  if (usable.length > 1) fail(archive, `${usable.length} images in one archive: save one of them alone`);
  const entry = usable[0]!;
  const json = blob(archive, digest(archive, entry['digest'], 'manifest digest'), 'manifest');
  const type = String(entry['mediaType'] ?? json['mediaType'] ?? '');
  return INDEX_TYPES.has(type) || json['manifests'] !== undefined
    ? pickManifest(archive, json, depth + 1)
    : json;
}

function readDockerSave(archive: ImageArchive): ImageManifest {
  const images = list(archive, archive.readJson('manifest.json'), 'manifest.json');
  if (images.length !== 1) fail(archive, `${images.length} images in one archive: save one of them alone`);
  const image = object(archive, images[0], 'manifest.json[0]');
  const configName = text(archive, image['Config'], 'Config');
  if (!archive.has(configName)) fail(archive, `image configuration ${configName} is missing`);
  const named = /([0-9a-f]{64})(\.json)?$/.exec(configName);
  const actual = sha256(archive.read(configName));
  if (named !== null && named[1] !== actual) {
    fail(archive, `image configuration ${configName} has the digest ${actual}`);
  }
  const { config, diffIds } = readConfig(archive, object(archive, archive.readJson(configName), configName));
  const layers = list(archive, image['Layers'], 'Layers').map((l, i) => {
    const member = text(archive, l, `Layers[${i}]`);
    return { member, blobDigest: null };
  });
  return { config, layers: withDiffIds(archive, layers, diffIds) };
}

function withDiffIds(
  archive: ImageArchive,
  layers: { member: string; blobDigest: string | null }[],
  diffIds: string[],
): LayerRef[] {
  if (layers.length !== diffIds.length) {
    fail(archive, `${layers.length} layers in the manifest, ${diffIds.length} in the image configuration`);
  }
  if (layers.length === 0) fail(archive, 'the image has no layers');
  if (layers.length > LAYERS_MAX)
    fail(archive, `${layers.length} layers, at most ${LAYERS_MAX} are possible`);
  return layers.map((l, i) => {
    if (!archive.has(l.member)) fail(archive, `layer ${l.member} is missing`);
    return { ...l, diffId: diffIds[i]! };
  });
}

function readConfig(archive: ImageArchive, json: Json): { config: ImageConfig; diffIds: string[] } {
  const os = json['os'] ?? 'linux';
  const architecture = json['architecture'] ?? 'amd64';
  if (os !== 'linux' || architecture !== 'amd64') {
    fail(archive, `the image is for ${String(os)}/${String(architecture)}, not linux/amd64`);
  }
  const rootfs = object(archive, json['rootfs'], 'rootfs');
  const diffIds = list(archive, rootfs['diff_ids'], 'rootfs.diff_ids').map((d, i) =>
    digest(archive, d, `rootfs.diff_ids[${i}]`),
  );
  const c =
    json['config'] === undefined || json['config'] === null ? {} : object(archive, json['config'], 'config');
  const workingDir = optional(archive, c, 'WorkingDir');
  if (workingDir !== '' && !workingDir.startsWith('/')) {
    fail(archive, `config.WorkingDir "${workingDir}" is not an absolute path`);
  }
  const config = {
    env: strings(archive, c, 'Env'),
    entrypoint: strings(archive, c, 'Entrypoint'),
    cmd: strings(archive, c, 'Cmd'),
    workingDir: workingDir === '' ? '/' : workingDir,
    user: optional(archive, c, 'User'),
  };
  const bad = config.env.find((e) => e.indexOf('=') < 1);
  if (bad !== undefined) fail(archive, `config.Env "${bad}" is not NAME=VALUE`);
  return { config, diffIds };
}

function optional(archive: ImageArchive, c: Json, key: string): string {
  const v = c[key] ?? '';
  if (typeof v !== 'string' || v.includes('\0')) fail(archive, `config.${key} is not a string`);
  return v as string;
}

function strings(archive: ImageArchive, c: Json, key: string): string[] {
  if (c[key] === undefined || c[key] === null) return [];
  return list(archive, c[key], `config.${key}`).map((v) => {
    if (typeof v !== 'string' || v.includes('\0'))
      fail(archive, `config.${key} holds something else than strings`);
    return v as string;
  });
}
