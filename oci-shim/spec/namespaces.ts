/** `linux.namespaces` of config.json. Those of the sandbox's inside are always its own; paths name namespaces of the host. */
import { closeSync, existsSync, openSync, readlinkSync, statSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { hostSyscall } from '../../sentry/host/sys.ffi.ts';
import { UserError } from '../user-error.ts';
import type { Field } from './field.ts';

export type NamespaceType = 'pid' | 'network' | 'mount' | 'ipc' | 'uts' | 'user' | 'cgroup' | 'time';

export interface NamespaceConfig {
  type: NamespaceType;
  /** null: a new one. */
  path: string | null;
}

/** Names in /proc/PID/ns and CLONE_NEW* (include/uapi/linux/sched.h). */
export const KINDS: Record<NamespaceType, { proc: string; flag: number }> = {
  pid: { proc: 'pid', flag: 0x20000000 },
  network: { proc: 'net', flag: 0x40000000 },
  mount: { proc: 'mnt', flag: 0x00020000 },
  ipc: { proc: 'ipc', flag: 0x08000000 },
  uts: { proc: 'uts', flag: 0x04000000 },
  user: { proc: 'user', flag: 0x10000000 },
  cgroup: { proc: 'cgroup', flag: 0x02000000 },
  time: { proc: 'time', flag: 0x00000080 },
};

export const NAMESPACE_TYPES = Object.keys(KINDS) as NamespaceType[];

export function namespaceConfig(linux: Field): NamespaceConfig[] {
  const seen = new Set<string>();
  return linux.objects('namespaces').map((n) => {
    n.only(['type', 'path']);
    const type = n.string('type') as NamespaceType;
    if (!(type in KINDS)) throw new UserError(`config.json: ${n.name}: namespace "${type}" does not exist`);
    if (seen.has(type)) throw new UserError(`malformed spec file: duplicated ns "${type}"`);
    seen.add(type);
    const path = n.optionalString('path');
    if (path !== null) checkPath(n, type, path);
    return { type, path };
  });
}

/** Is the namespace at `path` the one that the runtime itself is in? */
export function isOwnNamespace(type: NamespaceType, path: string): boolean {
  const own = statSync(`/proc/self/ns/${KINDS[type].proc}`);
  const other = statSync(path);
  return own.ino === other.ino && own.dev === other.dev;
}

/** "The runtime MUST generate an error if path is not associated with a namespace of type type." */
function checkPath(n: Field, type: NamespaceType, path: string): void {
  if (!isAbsolute(path)) n.bad('path', 'must be an absolute path');
  // In runc's words: engines look for them.
  if (!existsSync(path)) throw new UserError(`namespace path: lstat ${path}: no such file or directory`);
  const flag = namespaceFlag(path);
  if (flag < 0) n.bad('path', `is not a namespace (${code(path)})`);
  if (flag !== KINDS[type].flag) n.bad('path', `is not a namespace of type "${type}"`);
}

/** NS_GET_NSTYPE of ioctl_ns(2) */
const NS_GET_NSTYPE = 0xb703;
const SYS_IOCTL = 16;

/** CLONE_NEW* of the namespace that a file stands for, −1 if it stands for none. */
function namespaceFlag(path: string): number {
  try {
    // /proc's own links say it without being opened.
    const kind = /^([a-z_]+):\[\d+\]$/.exec(readlinkSync(path))?.[1];
    const found = Object.values(KINDS).find((k) => k.proc === kind);
    if (found !== undefined) return found.flag;
  } catch {
    // Not a link: a bind mount of one (ip-netns(8)).
  }
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch {
    return -1;
  }
  try {
    return hostSyscall(SYS_IOCTL, fd, NS_GET_NSTYPE, 0, 0, 0, 0);
  } finally {
    closeSync(fd);
  }
}

function code(path: string): string {
  try {
    closeSync(openSync(path, 'r'));
    return 'it is another kind of file';
  } catch (e) {
    return (e as NodeJS.ErrnoException).code ?? String(e);
  }
}
