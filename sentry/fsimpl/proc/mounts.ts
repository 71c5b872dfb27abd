/** /proc/PID/{mounts,mountinfo,mountstats} (fs/proc_namespace.c; proc_pid_mountinfo(5)). */
import { EINVAL } from '../../abi/errno.ts';
import { EPOLLERR, EPOLLIN, EPOLLPRI, EPOLLRDNORM } from '../../waiter/wait-queue.ts';
import type { Credentials } from '../../auth/credentials.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { Path } from '../../vfs/dentry.ts';
import type { FileDescription } from '../../vfs/file-description.ts';
import {
  MS_NOATIME,
  MS_NODEV,
  MS_NODIRATIME,
  MS_NOEXEC,
  MS_NOSUID,
  MS_NOSYMFOLLOW,
  MS_RDONLY,
  MS_RELATIME,
  type Mount,
} from '../../vfs/mount.ts';
import type { MountNamespace } from '../../vfs/mount-namespace.ts';
import { propagationFields } from '../../vfs/propagation.ts';
import { superFlagNames } from '../../vfs/super-options.ts';
import { isReachable, mountRootName, pathName } from '../../vfs/path-name.ts';
import { KernfsFileDescription, type KernfsFile } from '../kernfs/file.ts';
import { PidFile } from './nodes.ts';
import type { Subject } from './subject.ts';

/** Names in these files have blanks and backslashes as octal escapes (mangle). */
function mangle(name: string): string {
  let out = '';
  for (const c of name) {
    const escape = c === ' ' || c === '\t' || c === '\n' || c === '\\' || c === '#';
    out += escape ? `\\${c.charCodeAt(0).toString(8).padStart(3, '0')}` : c;
  }
  return out;
}

const FLAG_NAMES: readonly (readonly [number, string])[] = [
  [MS_NOSUID, 'nosuid'],
  [MS_NODEV, 'nodev'],
  [MS_NOEXEC, 'noexec'],
  [MS_NOATIME, 'noatime'],
  [MS_NODIRATIME, 'nodiratime'],
  [MS_RELATIME, 'relatime'],
  [MS_NOSYMFOLLOW, 'nosymfollow'],
];

function mountFlagNames(m: Mount): string {
  let text = '';
  for (const [bit, name] of FLAG_NAMES) if ((m.flags & bit) !== 0) text += `,${name}`;
  return text;
}

/** In the order in which they were mounted. */
function reachableMounts(ns: MountNamespace, root: Path): Mount[] {
  const all = ns.mounts().filter((m) => isReachable({ mount: m, dentry: m.root }, root));
  return all.sort((a, b) => a.id - b.id);
}

/** Where the mount is seen: the root's own mount is "/". */
function mountPoint(m: Mount, root: Path): string {
  if (m === root.mount) return '/';
  return mangle(pathName({ mount: m, dentry: m.root }, root));
}

function mountsText(mounts: readonly Mount[], root: Path, _reader: CallContext): string {
  let text = '';
  for (const m of mounts) {
    const { sb } = m;
    const options = `${m.readOnly ? 'ro' : 'rw'}${superFlagNames(sb)}${mountFlagNames(m)}${sb.options()}`;
    text += `${mangle(m.source)} ${mountPoint(m, root)} ${m.sb.fsType} ${options} 0 0\n`;
  }
  return text;
}

function mountInfoText(mounts: readonly Mount[], root: Path, reader: CallContext): string {
  let text = '';
  for (const m of mounts) {
    const place = mangle(m.sb.nameOf(m.root, reader) ?? mountRootName(m));
    // The parent of the topmost mount lies outside of what the namespace shows.
    const parent = m.parent === null ? 1 : m.parent.id;
    const { sb } = m;
    const flags = `${(m.flags & MS_RDONLY) !== 0 ? 'ro' : 'rw'}${mountFlagNames(m)}`;
    text +=
      `${m.id} ${parent} 0:${sb.dev} ${place} ${mountPoint(m, root)} ${flags}${propagationFields(m)} - ` +
      `${sb.fsType} ${mangle(m.source)} ${sb.readOnly ? 'ro' : 'rw'}${superFlagNames(sb)}${sb.options()}\n`;
  }
  return text;
}

function mountStatsText(mounts: readonly Mount[], root: Path): string {
  let text = '';
  for (const m of mounts) {
    text += `device ${mangle(m.source)} mounted on ${mountPoint(m, root)} with fstype ${m.sb.fsType}\n`;
  }
  return text;
}

export type MountFileKind = 'mounts' | 'mountinfo' | 'mountstats';

const RENDER = { mounts: mountsText, mountinfo: mountInfoText, mountstats: mountStatsText };

/** A task in a dying state has no file system context: EINVAL (mounts_open_common). */
function text(s: Subject, kind: MountFileKind, reader: CallContext): string | number {
  const t = s.live;
  const ns = t?.fs.root.mount.ns ?? null;
  if (t === null || ns === null) return -EINVAL;
  return RENDER[kind](reachableMounts(ns, t.fs.root), t.fs.root, reader);
}

export class MountsFile extends PidFile {
  constructor(sb: ConstructorParameters<typeof PidFile>[0], s: Subject, kind: MountFileKind) {
    super(sb, s, kind === 'mountstats' ? 0o400 : 0o444, (_, reader) => text(s, kind, reader));
  }

  /** proc_mounts_operations have an iterator. */
  override get oldOperations(): boolean {
    return false;
  }

  override open(t: CallContext, path: Path, flags: number): FileDescription | number {
    const ns = this.subject.live?.fs.root.mount.ns ?? null;
    if (ns === null) return -EINVAL;
    return new MountsDescription(path, this, { flags, opener: t.creds }, ns);
  }
}

/** Pollers get POLLPRI and POLLERR once after every change of the namespace. */
class MountsDescription extends KernfsFileDescription {
  private readonly ns: MountNamespace;
  private seen: number;

  constructor(path: Path, file: KernfsFile, how: { flags: number; opener: Credentials }, ns: MountNamespace) {
    super(path, file, how.flags, how.opener);
    this.ns = ns;
    this.seen = ns.event;
  }

  override get pollable(): boolean {
    return true;
  }

  override poll(): number {
    const changed = this.ns.event !== this.seen;
    this.seen = this.ns.event;
    return EPOLLIN | EPOLLRDNORM | (changed ? EPOLLERR | EPOLLPRI : 0);
  }
}
