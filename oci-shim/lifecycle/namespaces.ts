/**
 * Which namespaces of the host the stub of a container is in, as `linux.namespaces` says: hooks, engines and tools find the
 * container by them. Those of network are network.ts's.
 */
import { spawnSync } from 'node:child_process';
import { openSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import type { LauncherOptions } from '../../platform-ptrace/confine/launcher-protocol.ts';
import { mapLines } from '../launch.ts';
import type { IdMapping } from '../sandbox-config.ts';
import type { Bundle } from '../spec/bundle.ts';
import { KINDS, NAMESPACE_TYPES, type NamespaceConfig, type NamespaceType } from '../spec/namespaces.ts';
import { UserError } from '../user-error.ts';

const CAP_SYS_ADMIN = 21n;

/** Whether this process may make namespaces without a user namespace. */
function maySetUpNamespaces(): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1] ?? '0';
  return ((BigInt(`0x${effective}`) >> CAP_SYS_ADMIN) & 1n) === 1n;
}

type StubOptions = Pick<
  LauncherOptions,
  'newNamespaces' | 'joinNamespaces' | 'hostname' | 'domainname' | 'timeOffsets' | 'root'
>;

/** What the launcher is told. `fd` places a descriptor in it. */
export function namespaceOptions(bundle: Bundle, fd: (own: number) => number): StubOptions {
  const { namespaces, names } = bundle;
  const { timeOffsets = '' } = bundle.config.linux ?? {};
  let newNamespaces = makesUserNamespace(namespaces) ? KINDS.user.flag : 0;
  const joinNamespaces: { flag: number; fd: number }[] = [];
  for (const { type, path } of namespaces) {
    if (type === 'network') continue;
    if (path === null) newNamespaces |= KINDS[type].flag;
    else if (!isOwn(type, path)) joinNamespaces.push({ flag: KINDS[type].flag, fd: fd(openSync(path, 'r')) });
  }
  return {
    newNamespaces,
    joinNamespaces,
    ...(names.hostname === null ? {} : { hostname: names.hostname }),
    ...(names.domainname === null ? {} : { domainname: names.domainname }),
    ...(timeOffsets === '' ? {} : { timeOffsets }),
    root: bundle.exports[0]!.path,
  };
}

/** A new one is asked for, or is what gives an ordinary user the right to make the others. */
export function makesUserNamespace(namespaces: readonly NamespaceConfig[]): boolean {
  const user = namespaces.find((n) => n.type === 'user');
  return user === undefined ? !maySetUpNamespaces() : user.path === null;
}

/** Joining the namespace that one is in is an error for some types, and pointless for the others. */
function isOwn(type: NamespaceType, path: string): boolean {
  const own = statSync(`/proc/self/ns/${KINDS[type].proc}`);
  const other = statSync(path);
  return own.ino === other.ino && own.dev === other.dev;
}

/** For one more process of the container whose stub is `pid`: what the stub is in and this process is not. */
export function namespacesOf(pid: number, fd: (own: number) => number): StubOptions {
  const joinNamespaces: { flag: number; fd: number }[] = [];
  for (const type of NAMESPACE_TYPES) {
    const path = `/proc/${pid}/ns/${KINDS[type].proc}`;
    try {
      if (!isOwn(type, path)) joinNamespaces.push({ flag: KINDS[type].flag, fd: fd(openSync(path, 'r')) });
    } catch {
      return {}; // an ordinary user's stub is closed to its user: the process stays outside
    }
  }
  return { joinNamespaces };
}

/** CLONE_NEW* of the namespaces that `pid` is in and this process is not. */
export function foreignNamespaces(pid: number): number {
  let flags = 0;
  for (const type of NAMESPACE_TYPES) {
    if (!isOwn(type, `/proc/${pid}/ns/${KINDS[type].proc}`)) flags |= KINDS[type].flag;
  }
  return flags;
}

/** The number of a process in its own PID namespace (proc_pid_status(5), NSpid). */
export function innerPid(pid: number): number {
  const line = /^NSpid:\s*(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? '';
  return Number(line.split(/\s+/).at(-1) ?? pid);
}

/** Maps the ids of the stub's new user namespace: user_namespaces(7), newuidmap(1) for what an ordinary user may not by himself. */
export function mapIds(pid: number, bundle: Bundle): void {
  const isAsked = bundle.namespaces.some((n) => n.type === 'user');
  const { uidMappings, gidMappings } = (isAsked && bundle.config.linux) || {
    uidMappings: [],
    gidMappings: [],
  };
  mapKind(pid, 'uid', orOwn(uidMappings, process.geteuid!()));
  mapKind(pid, 'gid', orOwn(gidMappings, process.getegid!()));
}

const orOwn = (maps: readonly IdMapping[], own: number): readonly IdMapping[] =>
  maps.length > 0 ? maps : [{ containerID: 0, hostID: own, size: 1 }];

function mapKind(pid: number, kind: 'uid' | 'gid', maps: readonly IdMapping[]): void {
  const own = kind === 'uid' ? process.geteuid!() : process.getegid!();
  const isOwnAlone = maps.length === 1 && maps[0]!.size === 1 && maps[0]!.hostID === own;
  if (!maySetUpNamespaces() && !isOwnAlone) {
    const args = maps.flatMap((m) => [m.containerID, m.hostID, m.size].map(String));
    const r = spawnSync(`new${kind}map`, [String(pid), ...args], { encoding: 'utf8' });
    if (r.status === 0) return;
    throw new UserError(`cannot map ${kind}s: new${kind}map: ${r.error?.message ?? r.stderr.trim()}`);
  }
  try {
    if (kind === 'gid' && !maySetUpNamespaces()) writeFileSync(`/proc/${pid}/setgroups`, 'deny');
    writeFileSync(`/proc/${pid}/${kind}_map`, mapLines(maps));
  } catch (e) {
    throw new UserError(`cannot map ${kind}s: ${(e as NodeJS.ErrnoException).code ?? String(e)}`);
  }
}
