/** `mounts` of config.json: type, flags and options as mount(8) and the runtime-spec name them. */
import { existsSync, realpathSync } from 'node:fs';
import { isAbsolute, join, resolve } from 'node:path';
import * as ms from '../../sentry/vfs/mount.ts';
import type { Export } from '../launch.ts';
import type { IdMapping, MountConfig } from '../sandbox-config.ts';
import { UserError } from '../user-error.ts';
import { isHostGroups } from './cgroup-mounts.ts';
import type { Field } from './field.ts';
import { mountAt, mountsBelow } from './host-mounts.ts';
import { mappings } from './linux.ts';
import { MOUNT_FLAGS, PROPAGATION_FLAGS, RECURSIVE_FLAGS } from './mount-options.ts';

/** File systems of the sandbox's kernel, and `bind`. */
export const MOUNT_TYPES: readonly MountConfig['type'][] = [
  'proc', 'sysfs', 'tmpfs', 'devpts', 'mqueue', 'bind', 'cgroup', 'cgroup2', 'devtmpfs', 'ramfs', 'debugfs', 'tracefs',
  'securityfs', 'bpf', 'fusectl', 'pstore',
]; // prettier-ignore

/** Entries of /proc that may be mounted over, as lxcfs does; the list is runc's. */
const PROC_FILES = [
  '/proc/cpuinfo', '/proc/diskstats', '/proc/meminfo', '/proc/stat', '/proc/swaps', '/proc/uptime', '/proc/loadavg',
  '/proc/slabinfo', '/proc/sys/kernel/ns_last_pid', '/proc/sys/crypto/fips_enabled',
]; // prettier-ignore

/** More mounts below binds than this are not told from the directories that they are in. */
const EXPORTS_MAX = 96;

interface Parsed {
  flags: number;
  propagation: number[];
  recursive: { set: number; clear: number };
  copyUp: boolean;
  /** `idmap`, `ridmap` */
  idMap: 'no' | 'one' | 'all';
  data: string[];
}

export function mountConfig(m: Field, bundle: string, exports: Export[], container: Ids): MountConfig {
  m.only(['destination', 'type', 'source', 'options', 'uidMappings', 'gidMappings']);
  // "It MAY be a relative path, in which case it MUST be interpreted as relative to '/'."
  const destination = resolve('/', m.string('destination'));
  const { flags, propagation, recursive, copyUp, idMap, data } = parseOptions(m);
  const named = (flags & ms.MS_BIND) !== 0 ? 'bind' : (m.optionalString('type') ?? 'bind');
  const isOverlay = named === 'overlay';
  const type = isOverlay ? 'bind' : named;
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
    data: isOverlay ? '' : data.join(','),
    propagation,
    recursive,
    copyUp,
  };
  checkProc(m, config);
  const isBind = type === 'bind' && (flags & ms.MS_REMOUNT) === 0;
  if (isOverlay) {
    overlayExport(m, config, data, exports);
    return config;
  }
  if (isBind && isHostGroups(resolve(bundle, m.string('source')))) return { ...config, type: 'cgroup' };
  const from = exports.length;
  if (isBind) bindExport(m, config, bundle, exports, (flags & ms.MS_REC) !== 0);
  if (idMap !== 'no' || m.has('uidMappings') || m.has('gidMappings')) {
    if (!isBind) m.bad('options', 'only bind mounts have ids of their own');
    const ids = { recursive: idMap === 'all', ...mountIds(m, container) };
    for (const e of exports.slice(from, ids.recursive ? exports.length : from + 1)) e.idMap = ids;
  }
  return config;
}

interface Ids {
  uids: IdMapping[];
  gids: IdMapping[];
}

/** "If they are not specified, the runtime MAY use the container's user namespace mapping, otherwise an error MUST be returned." */
function mountIds(m: Field, container: Ids): Ids {
  const own = { uids: mappings(m, 'uidMappings'), gids: mappings(m, 'gidMappings') };
  const given = own.uids.length + own.gids.length > 0 ? own : container;
  if (given.uids.length === 0 || given.gids.length === 0) {
    m.bad(
      'uidMappings',
      'a mount with ids of its own needs uidMappings and gidMappings, or a user namespace that has them',
    );
  }
  return given;
}

function parseOptions(m: Field): Parsed {
  const p: Parsed = {
    flags: 0,
    propagation: [],
    recursive: { set: 0, clear: 0 },
    copyUp: false,
    idMap: 'no',
    data: [],
  };
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
    else if (o === 'idmap') p.idMap = 'one';
    else if (o === 'ridmap') p.idMap = 'all';
    else if (o !== '') p.data.push(o);
  }
  return p;
}

/** Mounts below /proc would hide what programs trust it for (runc: checkProcMount, which leaves out tmpfs). */
function checkProc(m: Field, config: MountConfig): void {
  const { destination, type } = config;
  if (destination === '/proc' && type !== 'proc' && type !== 'bind') {
    throw new UserError(`config.json: ${m.name}: "/proc" cannot be mounted because it is not of type proc`);
  }
  const isOfProcess = /^\/proc\/(self|thread-self|\d+)(\/|$)/.test(destination);
  if (
    isOfProcess ||
    (destination.startsWith('/proc/') && type !== 'tmpfs' && !PROC_FILES.includes(destination))
  ) {
    throw new UserError(
      `config.json: ${m.name}: "${destination}" cannot be mounted because it is inside /proc`,
    );
  }
}

/** Directories of the host (Podman's volumes with `:O`): the host's kernel puts them together, the gofer serves them. */
function overlayExport(m: Field, config: MountConfig, data: readonly string[], exports: Export[]): void {
  const lower = data.find((o) => o.startsWith('lowerdir='))?.slice('lowerdir='.length) ?? '';
  // The topmost one; colons of names are escaped.
  const path = lower.split(/(?<!\\):/)[0]!.replace(/\\(.)/g, '$1');
  if (!isAbsolute(path)) m.bad('options', 'an overlay needs a lowerdir with absolute paths');
  if (!existsSync(path)) {
    throw new UserError(
      `error mounting "overlay" to rootfs at "${config.destination}": stat ${path}: no such file or directory`,
    );
  }
  const readOnly = (config.flags & ms.MS_RDONLY) !== 0;
  exports.push({ path, readOnly, exclusive: false, overlay: data.join(',') });
  config.exportIndex = exports.length - 1;
}

function bindExport(
  m: Field,
  config: MountConfig,
  bundle: string,
  exports: Export[],
  recursive: boolean,
): void {
  const source = resolve(bundle, m.string('source'));
  if (!existsSync(source)) {
    throw new UserError(
      `error mounting "${source}" to rootfs at "${config.destination}": stat ${source}: no such file or directory`,
    );
  }
  const path = realpathSync(source);
  config.source = path;
  config.exportIndex = exports.length;
  const all = config.recursive ?? { set: 0, clear: 0 };
  const host = mountAt(path);
  const below = recursive ? mountsBelow(path, EXPORTS_MAX - exports.length) : [];
  if (host === null || below === null) {
    // Too many to be told one by one.
    const readOnly = ((config.flags | all.set) & ms.MS_RDONLY) !== 0;
    exports.push({ path, readOnly, exclusive: false });
    return;
  }
  const add = (at: string, flags: number): void => {
    const alone = ms.mountFlags((flags & ~all.clear) | all.set);
    exports.push({ path: at, readOnly: (alone & ms.MS_RDONLY) !== 0, exclusive: false, alone });
  };
  config.flags = boundFlags(config.flags, host.flags);
  add(path, config.flags);
  config.below = below.map(({ point, flags }) => {
    const exportIndex = exports.length;
    add(point, flags);
    const destination = join(config.destination, point.slice(path.length));
    return { destination, type: 'bind', exportIndex, source: point, flags, data: '' };
  });
}

/** Without flags of its own a bind has its source's; with some it has these, but times of access as before (path_mount). */
function boundFlags(given: number, source: number): number {
  if (given === 0) return source;
  return (given & ms.ATIME_FLAGS) === 0 ? given | (source & ms.ATIME_FLAGS) : given;
}
