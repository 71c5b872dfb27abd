/** `mounts` of config.json: type, flags and options as mount(8) and the runtime-spec name them. */
import { existsSync, realpathSync } from 'node:fs';
import { isAbsolute, resolve } from 'node:path';
import * as ms from '../../sentry/vfs/mount.ts';
import type { Export } from '../launch.ts';
import type { MountConfig } from '../sandbox-config.ts';
import { UserError } from '../user-error.ts';
import type { Field } from './field.ts';

const TYPES: readonly string[] = ['proc', 'sysfs', 'tmpfs', 'devpts', 'mqueue', 'bind', 'cgroup', 'devtmpfs'];

/** Option → flags to set or clear. Propagation has no meaning here: nothing propagates out of a sandbox. */
const FLAGS: Record<string, { set?: number; clear?: number }> = {
  ro: { set: ms.MS_RDONLY },
  rw: { clear: ms.MS_RDONLY },
  nosuid: { set: ms.MS_NOSUID },
  suid: { clear: ms.MS_NOSUID },
  nodev: { set: ms.MS_NODEV },
  dev: { clear: ms.MS_NODEV },
  noexec: { set: ms.MS_NOEXEC },
  exec: { clear: ms.MS_NOEXEC },
  noatime: { set: ms.MS_NOATIME },
  atime: { clear: ms.MS_NOATIME },
  nodiratime: { set: ms.MS_NODIRATIME },
  relatime: { set: ms.MS_RELATIME },
  strictatime: { set: ms.MS_STRICTATIME },
  sync: { set: ms.MS_SYNCHRONOUS },
  bind: {},
  rbind: {},
  defaults: {},
  private: {},
  rprivate: {},
  slave: {},
  rslave: {},
  shared: {},
  rshared: {},
  async: {},
  newinstance: {},
};

export function mountConfig(m: Field, bundle: string, exports: Export[]): MountConfig {
  m.only(['destination', 'type', 'source', 'options']);
  const destination = m.string('destination');
  if (!isAbsolute(destination)) {
    throw new UserError(`config.json: ${m.name}.destination "${destination}": must be an absolute path`);
  }
  const options = m.strings('options');
  const bind = options.includes('bind') || options.includes('rbind');
  const type = bind ? 'bind' : (m.optionalString('type') ?? 'bind');
  if (!TYPES.includes(type)) {
    throw new UserError(`config.json: ${m.name}.type "${type}": must be one of ${TYPES.join(', ')}`);
  }
  let flags = 0;
  const data: string[] = [];
  for (const o of options) {
    const f = FLAGS[o];
    if (f !== undefined) flags = (flags | (f.set ?? 0)) & ~(f.clear ?? 0);
    else if (o.includes('=')) data.push(o);
    else throw new UserError(`config.json: ${m.name}.options "${o}": this mount option is not supported`);
  }
  const config: MountConfig = {
    destination,
    type: type as MountConfig['type'],
    exportIndex: -1,
    source: m.optionalString('source') ?? type,
    flags,
    data: data.join(','),
  };
  if (type === 'bind') bindExport(m, config, bundle, exports);
  return config;
}

function bindExport(m: Field, config: MountConfig, bundle: string, exports: Export[]): void {
  const source = resolve(bundle, m.string('source'));
  if (!existsSync(source)) throw new UserError(`config.json: ${m.name}.source "${source}": does not exist`);
  const readOnly = (config.flags & ms.MS_RDONLY) !== 0;
  exports.push({ path: realpathSync(source), readOnly, exclusive: false });
  config.exportIndex = exports.length - 1;
}
