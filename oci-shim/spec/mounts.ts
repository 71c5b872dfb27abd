/** `mounts` of config.json: type, flags and options as mount(8) and the runtime-spec name them. */
import { existsSync, realpathSync } from 'node:fs';
import { isAbsolute, normalize, resolve } from 'node:path';
import * as ms from '../../sentry/vfs/mount.ts';
import type { Export } from '../launch.ts';
import type { MountConfig } from '../sandbox-config.ts';
import { UserError } from '../user-error.ts';
import type { Field } from './field.ts';
import { MOUNT_FLAGS, PROPAGATION_FLAGS, RECURSIVE_FLAGS } from './mount-options.ts';

/** File systems of the sandbox's kernel, and `bind`. */
export const MOUNT_TYPES: readonly MountConfig['type'][] = [
  'proc', 'sysfs', 'tmpfs', 'devpts', 'mqueue', 'bind', 'cgroup', 'cgroup2', 'devtmpfs',
]; // prettier-ignore

/** Entries of /proc that may be mounted over, as lxcfs does; the list is runc's. */
const PROC_FILES = [
  '/proc/cpuinfo', '/proc/diskstats', '/proc/meminfo', '/proc/stat', '/proc/swaps', '/proc/uptime', '/proc/loadavg',
  '/proc/slabinfo', '/proc/sys/kernel/ns_last_pid', '/proc/sys/crypto/fips_enabled',
]; // prettier-ignore

interface Parsed {
  flags: number;
  propagation: number[];
  recursive: { set: number; clear: number };
  copyUp: boolean;
  data: string[];
}

export function mountConfig(m: Field, bundle: string, exports: Export[]): MountConfig {
  m.only(['destination', 'type', 'source', 'options', 'uidMappings', 'gidMappings']);
  m.refuse(['uidMappings', 'gidMappings'], 'mounts with ids of their own are not supported');
  const given = m.string('destination');
  if (!isAbsolute(given)) {
    throw new UserError(`config.json: ${m.name}.destination "${given}": must be an absolute path`);
  }
  const destination = normalize(given).replace(/(.)\/+$/, '$1');
  const { flags, propagation, recursive, copyUp, data } = parseOptions(m);
  const type = (flags & ms.MS_BIND) !== 0 ? 'bind' : (m.optionalString('type') ?? 'bind');
  if (!MOUNT_TYPES.includes(type as MountConfig['type'])) {
    throw new UserError(
      `error mounting "${m.optionalString('source') ?? type}" to rootfs at "${destination}": mount ${type}: no such device`,
    );
  }
  if (copyUp && type !== 'tmpfs') {
    throw new UserError(`config.json: ${m.name}.options "tmpcopyup": is for tmpfs only`);
  }
  const config: MountConfig = {
    destination,
    type: type as MountConfig['type'],
    exportIndex: -1,
    source: m.optionalString('source') ?? type,
    flags: flags & ~(ms.MS_BIND | ms.MS_REC),
    data: data.join(','),
    propagation,
    recursive,
    copyUp,
  };
  checkProc(m, config);
  if (type === 'bind' && (flags & ms.MS_REMOUNT) === 0) bindExport(m, config, bundle, exports);
  return config;
}

function parseOptions(m: Field): Parsed {
  const p: Parsed = { flags: 0, propagation: [], recursive: { set: 0, clear: 0 }, copyUp: false, data: [] };
  for (const o of m.strings('options')) {
    const flag = MOUNT_FLAGS.get(o);
    const propagation = PROPAGATION_FLAGS.get(o);
    const recursive = RECURSIVE_FLAGS.get(o);
    if (flag !== undefined) p.flags = (p.flags | (flag.set ?? 0)) & ~(flag.clear ?? 0);
    else if (propagation !== undefined) p.propagation.push(propagation);
    else if (recursive !== undefined) {
      const set = recursive.set ?? 0;
      const clear = recursive.clear ?? 0;
      p.recursive = {
        set: (p.recursive.set & ~clear) | set,
        clear: (p.recursive.clear & ~set) | clear,
      };
    } else if (o === 'tmpcopyup') p.copyUp = true;
    else if (o === 'idmap' || o === 'ridmap') {
      throw new UserError(
        `config.json: ${m.name}.options "${o}": mounts with ids of their own are not supported`,
      );
    } else if (o !== '') p.data.push(o);
  }
  return p;
}

/** Mounts below /proc would hide what programs trust it for (runc: checkProcMount). */
function checkProc(m: Field, config: MountConfig): void {
  const { destination, type } = config;
  if (destination === '/proc' && type !== 'proc' && type !== 'bind') {
    throw new UserError(`config.json: ${m.name}: "/proc" cannot be mounted because it is not of type proc`);
  }
  if (destination.startsWith('/proc/') && !PROC_FILES.includes(destination)) {
    throw new UserError(
      `config.json: ${m.name}: "${destination}" cannot be mounted because it is inside /proc`,
    );
  }
}

function bindExport(m: Field, config: MountConfig, bundle: string, exports: Export[]): void {
  const source = resolve(bundle, m.string('source'));
  if (!existsSync(source)) {
    throw new UserError(
      `error mounting "${source}" to rootfs at "${config.destination}": stat ${source}: no such file or directory`,
    );
  }
  const readOnly = ((config.flags | (config.recursive?.set ?? 0)) & ms.MS_RDONLY) !== 0;
  const path = realpathSync(source);
  exports.push({ path, readOnly, exclusive: false });
  config.exportIndex = exports.length - 1;
  config.source = path;
}
