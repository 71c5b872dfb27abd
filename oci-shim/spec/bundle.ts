/** From an OCI bundle (config.json of the runtime-spec) to a sandbox configuration, with every field checked. */
import { existsSync, lstatSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { ownGroups } from './cgroup-mounts.ts';
import { limitsOf, parseResources, type Resources } from '../cgroup/resources.ts';
import type { GlobalOptions } from '../global-options.ts';
import { type Hooks, hooksConfig } from '../hooks/hooks-config.ts';
import type { Export } from '../launch.ts';
import type { SandboxConfig } from '../sandbox-config.ts';
import { UserError } from '../user-error.ts';
import { Field } from './field.ts';
import { containerPaths, effectiveNames, givenNames, linuxConfig, mappings, sysctls } from './linux.ts';
import { mountConfig } from './mounts.ts';

import { namespaceConfig, type NamespaceConfig } from './namespaces.ts';
import { allowNotifySocket } from './notify.ts';
import { processConfig } from './process.ts';

export interface Bundle {
  /** Absolute path of the bundle's directory. */
  dir: string;
  ociVersion: string;
  config: SandboxConfig;
  exports: Export[];
  /** `linux.resources`: for the host's groups. */
  resources: Resources;
  cgroupsPath: string;
  hooks: Hooks;
  annotations: Record<string, string>;
  /** `process` as it is in the file. */
  process: Record<string, unknown>;
  namespaces: NamespaceConfig[];
  /** `hostname` and `domainname`; null: not set. */
  names: { hostname: string | null; domainname: string | null };
  /** What the user should know: fields without effect, unknown ones. */
  warnings: string[];
}

const ID_PATTERN = /^[\w+.-]+$/;
/** Versions of the runtime-spec with which configurations of 1.0 are compatible. */
const VERSION_PATTERN = /^1\.\d+\.\d+(?:[-+][\w.+-]+)?$/;

const OVERLAY_ANNOTATION = 'dev.runsc-ts.root.overlay';

export function loadBundle(id: string, dir: string, network: string, globals: GlobalOptions): Bundle {
  if (!ID_PATTERN.test(id))
    throw new UserError(`container id "${id}": may hold letters, digits and _ + - . only`);
  if (network !== 'none' && network !== 'host') {
    throw new UserError(`--network ${network}: must be "none" or "host"`);
  }
  const bundle = resolve(dir);
  const source = readConfig(bundle);
  const spec = Field.root(source);
  const ociVersion = spec.string('ociVersion');
  if (!VERSION_PATTERN.test(ociVersion)) spec.bad('ociVersion', 'must be a version 1.x.y');
  spec.only([
    'ociVersion', 'process', 'root', 'hostname', 'domainname', 'mounts', 'linux', 'annotations', 'hooks', 'solaris',
    'windows', 'vm', 'zos', 'freebsd',
  ]); // prettier-ignore
  spec.refuse(['solaris', 'windows', 'vm', 'zos', 'freebsd'], 'only Linux containers are supported');
  const root = spec.object('root');
  root.only(['path', 'readonly']);
  const rootPath = resolve(bundle, root.string('path'));
  if (!existsSync(rootPath) || !statSync(rootPath).isDirectory()) {
    throw new UserError(`config.json: root.path "${root.string('path')}": ${rootPath} is not a directory`);
  }
  const linux = spec.optionalObject('linux') ?? Field.root({});
  const namespaces = namespaceConfig(linux);
  const names = givenNames(spec, namespaces);
  const { hostname, domainname } = effectiveNames(names, namespaces);
  const readOnly = root.boolean('readonly', false);
  const ownAnnotations = annotations(spec);
  const overlay = rootOverlay(ownAnnotations, globals.overlay);
  // The root is the container's own: what it caches nobody else changes. Volumes are looked at anew each time.
  const rootExport: Export = { path: realpathSync(rootPath), readOnly: false, exclusive: true };
  const exports = [rootExport];
  const resources = parseResources(linux.optionalObject('resources'));
  const containerIds = { uids: mappings(linux, 'uidMappings'), gids: mappings(linux, 'gidMappings') };
  const config: SandboxConfig = {
    id,
    platform: globals.platform,
    patching: globals.systrapPatching,
    hostname,
    domainname,
    process: processConfig(spec.object('process')),
    root: { layers: [0], overlay, readOnly },
    mounts: ownGroups(spec.objects('mounts').map((m) => mountConfig(m, bundle, exports, containerIds))),
    maskedPaths: containerPaths(linux, 'maskedPaths', namespaces),
    readonlyPaths: containerPaths(linux, 'readonlyPaths', namespaces),
    sysctl: sysctls(linux, namespaces),
    linux: linuxConfig(linux, namespaces),
    initUnkillable: true,
    pidsLimit: Math.max(0, resources.pids.limit ?? 0),
    limits: limitsOf(resources),
    network,
    managed: false,
    preservedFds: 0,
    strace: globals.strace,
    report: null,
    debugLog: globals.debugLog !== null,
    exclusiveExports: [],
  };
  rootExport.readOnly = overlay === 'memory' || (readOnly && !needsWrites(rootExport.path, config));
  allowNotifySocket(config, exports);
  config.exclusiveExports = exports.map((e) => e.exclusive);
  return {
    dir: bundle,
    ociVersion,
    config,
    exports,
    resources,
    cgroupsPath: linux.optionalString('cgroupsPath') ?? '',
    hooks: hooksConfig(spec.optionalObject('hooks')),
    annotations: ownAnnotations,
    process: (source as { process: Record<string, unknown> }).process,
    namespaces,
    names,
    warnings: [...spec.warnings, ...(linux.warnings === spec.warnings ? [] : linux.warnings)],
  };
}

/**
 * A read-only root is read-only for the file server too, unless mount points, devices or the working directory have to be made
 * in it first; then the sandbox's kernel alone refuses writes. Links are not followed: what is behind one counts as missing.
 */
function needsWrites(rootPath: string, config: SandboxConfig): boolean {
  const others = config.mounts.filter((m) => m.type !== 'bind').map((m) => `${m.destination}/`);
  const places = [
    ...config.mounts.map((m) => m.destination),
    ...(config.linux?.devices ?? []).map((d) => d.path),
    config.process.cwd,
    '/dev',
  ];
  return places.some((p) => !others.some((o) => p.startsWith(o)) && !existsWithoutLinks(rootPath, p));
}

function existsWithoutLinks(root: string, path: string): boolean {
  let at = root;
  return path.split('/').every((part) => {
    if (part === '') return true;
    at = join(at, part);
    const st = lstatSync(at, { throwIfNoEntry: false });
    return st !== undefined && !st.isSymbolicLink();
  });
}

/** "Keys MUST be strings. Keys MUST NOT be an empty string." Values may be empty. */
function annotations(spec: Field): Record<string, string> {
  const all = spec.stringMap('annotations');
  if ('' in all) spec.bad('annotations', 'keys must not be empty');
  return all;
}

/** Where writes to the root go: the container's annotation counts, then `--overlay`. */
function rootOverlay(given: Record<string, string>, byDefault: boolean): 'memory' | 'none' {
  const value = given[OVERLAY_ANNOTATION] ?? (byDefault ? 'memory' : 'none');
  if (value === 'memory' || value === 'none') return value;
  throw new UserError(
    `config.json: annotations.${OVERLAY_ANNOTATION} "${value}": must be "memory" or "none"`,
  );
}

function readConfig(bundle: string): unknown {
  const path = `${bundle}/config.json`;
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (e) {
    throw new UserError(`cannot read ${path}: ${(e as NodeJS.ErrnoException).code ?? String(e)}`);
  }
  try {
    return JSON.parse(text);
  } catch (e) {
    throw new UserError(`${path} is not JSON: ${(e as Error).message}`);
  }
}
