/** From an OCI bundle (config.json of the runtime-spec) to a sandbox configuration, with every field checked. */
import { existsSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { limitsOf, parseResources, type Resources } from '../cgroup/resources.ts';
import type { GlobalOptions } from '../global-options.ts';
import type { Export } from '../launch.ts';
import type { SandboxConfig } from '../sandbox-config.ts';
import { UserError } from '../user-error.ts';
import { Field } from './field.ts';
import { mountConfig } from './mounts.ts';
import { processConfig } from './process.ts';

export interface Bundle {
  config: SandboxConfig;
  exports: Export[];
  /** `linux.resources`: for the host's groups. */
  resources: Resources;
  cgroupsPath: string;
}

const ID_PATTERN = /^[\w+.-]+$/;

/** `linux` fields that are honoured, or without effect inside a sandbox of one container. */
const LINUX_FIELDS = [
  'namespaces', 'maskedPaths', 'readonlyPaths', 'sysctl', 'resources', 'cgroupsPath', 'rootfsPropagation', 'mountLabel',
]; // prettier-ignore

export function loadBundle(id: string, dir: string, network: string, globals: GlobalOptions): Bundle {
  if (!ID_PATTERN.test(id))
    throw new UserError(`container id "${id}": may hold letters, digits and _ + - . only`);
  if (network !== 'none' && network !== 'host') {
    throw new UserError(`--network ${network}: must be "none" or "host"`);
  }
  const bundle = resolve(dir);
  const spec = Field.root(readConfig(bundle));
  spec.string('ociVersion');
  spec.only([
    'ociVersion', 'process', 'root', 'hostname', 'domainname', 'mounts', 'linux', 'annotations',
  ]); // prettier-ignore

  const root = spec.object('root');
  root.only(['path', 'readonly']);
  const rootPath = resolve(bundle, root.string('path'));
  if (!existsSync(rootPath) || !statSync(rootPath).isDirectory()) {
    throw new UserError(`config.json: root.path "${root.string('path')}": ${rootPath} is not a directory`);
  }
  const linux = spec.optionalObject('linux') ?? Field.root({});
  linux.only(LINUX_FIELDS);
  const namespaces = linux.objects('namespaces');
  for (const ns of namespaces) {
    if (ns.optionalString('path')) {
      throw new UserError(
        `config.json: ${ns.name}.path "${ns.optionalString('path')}": joining namespaces is not supported yet`,
      );
    }
  }
  // The root is the container's own: what it caches nobody else changes. Volumes are looked at anew each time.
  const exports: Export[] = [
    { path: realpathSync(rootPath), readOnly: root.boolean('readonly', false), exclusive: true },
  ];
  const resources = parseResources(linux.optionalObject('resources'));
  const config: SandboxConfig = {
    id,
    platform: globals.platform,
    hostname: spec.optionalString('hostname') ?? id,
    domainname: spec.optionalString('domainname') ?? '(none)',
    process: processConfig(spec.object('process')),
    root: { layers: [0], overlay: 'none', readOnly: root.boolean('readonly', false) },
    mounts: spec.objects('mounts').map((m) => mountConfig(m, bundle, exports)),
    maskedPaths: linux.strings('maskedPaths'),
    readonlyPaths: linux.strings('readonlyPaths'),
    sysctl: linux.stringMap('sysctl'),
    initUnkillable: true,
    pidsLimit: Math.max(0, resources.pids.limit ?? 0),
    limits: limitsOf(resources),
    network,
    managed: false,
    strace: globals.strace,
    debugLog: globals.debugLog !== null,
    exclusiveExports: [],
  };
  config.exclusiveExports = exports.map((e) => e.exclusive);
  return { config, exports, resources, cgroupsPath: linux.optionalString('cgroupsPath') ?? '' };
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
