/** `linux` of config.json, as far as it acts inside the sandbox (runtime-spec config-linux.md). */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { isAbsolute, resolve } from 'node:path';
import { S_IFBLK, S_IFCHR, S_IFIFO, S_ISGID, S_ISUID, S_IXGRP } from '../../sentry/abi/stat.ts';
import { deviceList } from '../cgroup/devices.ts';
import { hostUid } from '../global-options.ts';
import type { DeviceConfig, IdMapping, LinuxConfig } from '../sandbox-config.ts';
import { UserError } from '../user-error.ts';
import type { Field } from './field.ts';
import { PROPAGATION_FLAGS } from './mount-options.ts';
import { isOwnNamespace, type NamespaceConfig } from './namespaces.ts';
import { seccompConfig } from './seccomp.ts';

const MAX_ID = 0xfffffffe;
const FILE_MODE_BITS = 0o7777;
const DEVICE_TYPES: Record<string, number> = { c: S_IFCHR, u: S_IFCHR, b: S_IFBLK, p: S_IFIFO };
/** PER_LINUX32 (include/uapi/linux/personality.h). */
const PERSONALITIES: Record<string, number> = { LINUX: 0, LINUX32: 8 };

const FIELDS = [
  'namespaces', 'maskedPaths', 'readonlyPaths', 'sysctl', 'resources', 'cgroupsPath', 'rootfsPropagation', 'mountLabel',
  'devices', 'netDevices', 'seccomp', 'uidMappings', 'gidMappings', 'intelRdt', 'personality', 'timeOffsets',
  'memoryPolicy',
]; // prettier-ignore

export function linuxConfig(linux: Field, namespaces: readonly NamespaceConfig[]): LinuxConfig {
  linux.only(FIELDS);
  linux.ignore(['mountLabel'], 'security modules have no effect inside the sandbox');
  linux.ignore(['memoryPolicy'], 'has no effect inside the sandbox');
  linux.refuse(['intelRdt'], 'cache and bandwidth allocation are not supported');
  linux.refuse(['netDevices'], 'moving network devices is not supported');
  let uidMappings = mappings(linux, 'uidMappings');
  let gidMappings = mappings(linux, 'gidMappings');
  const hasUserNs = namespaces.some((n) => n.type === 'user');
  if (hasUserNs && !namespaces.some((n) => n.type === 'user' && n.path !== null)) {
    if (uidMappings.length === 0) linux.bad('uidMappings', 'a user namespace needs uid mappings');
    if (gidMappings.length === 0) linux.bad('gidMappings', 'a user namespace needs gid mappings');
  } else if (!hasUserNs && uidMappings.length + gidMappings.length > 0) {
    linux.warn('uidMappings', 'no effect: there is no user namespace among linux.namespaces');
  }
  if (!hasUserNs || uidMappings.length === 0) {
    uidMappings = mapsOf('uid', namespaces);
    gidMappings = mapsOf('gid', namespaces);
  }
  const devices = linux.objects('devices').map(device);
  const given = devices.map((d) => d.path);
  return {
    devices,
    // As runc leaves ordinary users' groups alone.
    allowedDevices: hostUid() === 0 ? deviceList(linux.optionalObject('resources'), given) : null,
    seccomp: seccompConfig(linux.optionalObject('seccomp')),
    rootfsPropagation: rootfsPropagation(linux),
    uidMappings,
    gidMappings,
    personality: personality(linux.optionalObject('personality')),
    timeOffsets: timeOffsets(linux, namespaces),
  };
}

/** Clocks of the time namespace: "The name of the clock MUST be either monotonic or boottime". As /proc/PID/timens_offsets takes it. */
function timeOffsets(linux: Field, namespaces: readonly NamespaceConfig[]): string {
  const clocks = linux.optionalObject('timeOffsets');
  if (clocks === null || clocks.keys().length === 0) return '';
  if (!namespaces.some((n) => n.type === 'time' && n.path === null)) {
    linux.bad('timeOffsets', 'time namespace offsets specified, but time namespace is not enabled');
  }
  const lines = clocks.keys().map((clock) => {
    if (clock !== 'monotonic' && clock !== 'boottime') clocks.bad(clock, 'must be "monotonic" or "boottime"');
    const offset = clocks.object(clock);
    offset.only(['secs', 'nanosecs']);
    const secs = offset.integer('secs', 0, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
    return `${clock} ${secs} ${offset.integer('nanosecs', 0, 0, 999_999_999)}\n`;
  });
  return lines.join('');
}

function rootfsPropagation(linux: Field): number {
  const name = linux.optionalString('rootfsPropagation');
  if (name === null) return 0;
  const flag = PROPAGATION_FLAGS.get(name);
  if (flag === undefined) linux.bad('rootfsPropagation', `rootfsPropagation=${name} is not supported`);
  return flag;
}

function device(d: Field): DeviceConfig {
  d.only(['path', 'type', 'major', 'minor', 'fileMode', 'uid', 'gid']);
  const name = d.string('type');
  const type = DEVICE_TYPES[name];
  if (type === undefined) d.bad('type', `invalid device type "${name}"`);
  return {
    path: resolve('/', d.string('path')),
    mode: type | afterChown(d.integer('fileMode', 0o666, 0, 0xffffffff) & FILE_MODE_BITS),
    major: d.integer('major', 0, 0, 0xfff),
    minor: d.integer('minor', 0, 0, 0xfffff),
    uid: d.integer('uid', 0, 0, MAX_ID),
    gid: d.integer('gid', 0, 0, MAX_ID),
  };
}

/** As under runc, which makes the node first: chown(2) takes the set-id bits away. */
const afterChown = (mode: number): number => mode & ~(S_ISUID | ((mode & S_IXGRP) !== 0 ? S_ISGID : 0));

export function mappings(linux: Field, key: string): IdMapping[] {
  return linux.objects(key).map((m) => {
    m.only(['containerID', 'hostID', 'size']);
    const id = {
      containerID: m.integer('containerID', 0, 0, MAX_ID),
      hostID: m.integer('hostID', 0, 0, MAX_ID),
    };
    const size = m.integer('size', 0, 1, MAX_ID);
    if (Math.max(id.containerID, id.hostID) + size > MAX_ID + 1) m.bad('size', 'goes beyond the last id');
    return { ...id, size };
  });
}

/** Those of the user namespace that is joined, or of the runtime's; none if ids are as outside. */
function mapsOf(kind: 'uid' | 'gid', namespaces: readonly NamespaceConfig[]): IdMapping[] {
  const path = namespaces.find((n) => n.type === 'user')?.path ?? null;
  const file = `/proc/self/${kind}_map`;
  const text =
    path === null
      ? readFileSync(file, 'latin1')
      : spawnSync('nsenter', [`--user=${path}`, 'cat', file], { encoding: 'latin1' }).stdout;
  const maps = (text ?? '')
    .split('\n')
    .filter(Boolean)
    .map((l) => l.trim().split(/\s+/).map(Number));
  const all = maps.map(([containerID, hostID, size]) => ({
    containerID: containerID!,
    hostID: hostID!,
    size: size!,
  }));
  return all.length === 1 && all[0]!.hostID === 0 && all[0]!.size === MAX_ID + 1 ? [] : all;
}

function personality(p: Field | null): number {
  if (p === null) return 0;
  p.only(['domain', 'flags']);
  const domain = PERSONALITIES[p.string('domain')];
  if (domain === undefined) p.bad('domain', 'must be "LINUX" or "LINUX32"');
  if (p.strings('flags').length > 0) p.bad('flags', 'additional flags are not supported');
  return domain;
}

/**
 * Paths to mask or make read-only: "The values MUST be absolute paths in the container namespace". runc takes others as
 * relative to the root; so they are taken here, with a warning.
 */
export function containerPaths(linux: Field, key: string, namespaces: readonly NamespaceConfig[]): string[] {
  const paths = linux.strings(key).filter((p) => p !== '');
  if (paths.length > 0 && !namespaces.some((n) => n.type === 'mount')) {
    throw new UserError('unable to restrict sys entries without a private MNT namespace');
  }
  for (const p of paths)
    if (!isAbsolute(p)) linux.warn(key, `"${p}" is not absolute, taken as relative to "/"`);
  return paths.map((p) => resolve('/', p));
}

/** Sysctls of the IPC namespace (runc: libcontainer/configs/validate, sysctl()). */
const IPC_SYSCTLS = [
  'kernel.msgmax', 'kernel.msgmnb', 'kernel.msgmni', 'kernel.sem', 'kernel.shmall', 'kernel.shmmax', 'kernel.shmmni',
  'kernel.shm_rmid_forced',
]; // prettier-ignore

/** Checked as runc does: only what belongs to a namespace of the container's own may be set. */
export function sysctls(linux: Field, namespaces: readonly NamespaceConfig[]): Record<string, string> {
  const has = (type: string): boolean => namespaces.some((n) => n.type === type);
  const given = linux.stringMap('sysctl');
  const out: Record<string, string> = {};
  for (const [key, value] of Object.entries(given)) {
    const name = dotted(key);
    if (IPC_SYSCTLS.includes(name) || name.startsWith('fs.mqueue.')) {
      if (!has('ipc')) throw new UserError(`sysctl "${key}" is not allowed in the hosts ipc namespace`);
    } else if (name.startsWith('net.')) {
      const network = namespaces.find((n) => n.type === 'network');
      const path = network?.path ?? null;
      if (network === undefined || (path !== null && isOwnNamespace('network', path)))
        throw new UserError(`sysctl "${key}" not allowed in host network namespace`);
    } else if (name === 'kernel.domainname' && has('uts')) {
      // Has no field of its own in older versions of the specification.
    } else if (name === 'kernel.hostname' && has('uts')) {
      throw new UserError(`sysctl "${key}" is not allowed as it conflicts with the OCI "hostname" field`);
    } else throw new UserError(`sysctl "${key}" is not in a separate kernel namespace`);
    out[name] = value;
  }
  return out;
}

/** `net/ipv4/conf/eth0.1/forwarding` and `net.ipv4.conf.eth0/1.forwarding` are the same: slashes and dots change places. */
function dotted(name: string): string {
  const firstDot = name.indexOf('.');
  const firstSlash = name.indexOf('/');
  if (firstSlash < 0 || (firstDot >= 0 && firstDot < firstSlash)) return name;
  return [...name].map((c) => (c === '.' ? '/' : c === '/' ? '.' : c)).join('');
}

interface Names {
  hostname: string | null;
  domainname: string | null;
}

/** `hostname` and `domainname`, which need a UTS namespace. */
export function givenNames(spec: Field, namespaces: readonly NamespaceConfig[]): Names {
  const own = namespaces.some((n) => n.type === 'uts');
  const name = spec.optionalString('hostname');
  const domain = spec.optionalString('domainname');
  if (name !== null && !own) throw new UserError('unable to set hostname without a private UTS namespace');
  if (domain !== null && !own)
    throw new UserError('unable to set domainname without a private UTS namespace');
  if ((name?.length ?? 0) > 64) spec.bad('hostname', 'is longer than 64 bytes');
  return { hostname: name, domainname: domain };
}

/** What the container sees: names that are not given are those of the UTS namespace that it joins, or of the runtime's. */
export function effectiveNames(
  given: Names,
  namespaces: readonly NamespaceConfig[],
): { hostname: string; domainname: string } {
  if (given.hostname !== null && given.domainname !== null) {
    return { hostname: given.hostname, domainname: given.domainname };
  }
  const path = namespaces.find((n) => n.type === 'uts')?.path ?? '/proc/self/ns/uts';
  const files = ['/proc/sys/kernel/hostname', '/proc/sys/kernel/domainname'];
  const inside =
    path === '/proc/self/ns/uts'
      ? files.map((f) => readFileSync(f, 'latin1')).join('')
      : spawnSync('nsenter', [`--uts=${path}`, 'cat', ...files], { encoding: 'latin1' }).stdout;
  const [hostname = '', domainname = ''] = (inside ?? '').split('\n');
  return {
    hostname: given.hostname ?? hostname,
    domainname: given.domainname ?? (domainname || '(none)'),
  };
}
