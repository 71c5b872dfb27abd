/** fsopen(2), fsconfig(2), fsmount(2), fspick(2) (fs/fsopen.c, fs/namespace.c). */
import { EBADF, EBUSY, EINVAL, ENAMETOOLONG, ENODEV, EOPNOTSUPP, EPERM } from '../sentry/abi/errno.ts';
import { AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, O_PATH } from '../sentry/abi/fcntl.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { CAP_SYS_ADMIN } from '../sentry/auth/capability.ts';
import { anonInode } from '../sentry/fsimpl/anon/anon-inode.ts';
import {
  fd,
  hex,
  int,
  oneOf,
  path,
  ptr,
  str,
  uint,
  type SysResult,
  type SyscallRow,
} from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { PAGE_SIZE } from '../sentry/lib/addr.ts';
import { DetachedMountFile, FsContextFile } from '../sentry/vfs/fs-context.ts';
import { fileSystemType, mountOf } from '../sentry/vfs/fs-types.ts';
import * as M from '../sentry/vfs/mount.ts';
import { parseSuperFlag, reconfigureSuper, setSuperFlags } from '../sentry/vfs/super-options.ts';
import { nd } from '../sentry/vfs/walk.ts';
import { installFd } from './fd-install.ts';
import { mayMount, ownerFor } from './mount.ts';
import { resolveAt, target } from './path.ts';

const FSOPEN_CLOEXEC = 1;
const FSMOUNT_CLOEXEC = 1;
const FSPICK_CLOEXEC = 1;
const FSPICK_SYMLINK_NOFOLLOW = 2;
const FSPICK_NO_AUTOMOUNT = 4;
const FSPICK_EMPTY_PATH = 8;

// enum fsconfig_command
const FSCONFIG_SET_FLAG = 0;
const FSCONFIG_SET_STRING = 1;
const FSCONFIG_SET_BINARY = 2;
const FSCONFIG_SET_PATH = 3;
const FSCONFIG_SET_PATH_EMPTY = 4;
const FSCONFIG_SET_FD = 5;
const FSCONFIG_CMD_CREATE = 6;
const FSCONFIG_CMD_RECONFIGURE = 7;
const FSCONFIG_CMD_CREATE_EXCL = 8;
const COMMANDS = {
  FSCONFIG_SET_FLAG, FSCONFIG_SET_STRING, FSCONFIG_SET_BINARY, FSCONFIG_SET_PATH, FSCONFIG_SET_PATH_EMPTY,
  FSCONFIG_SET_FD, FSCONFIG_CMD_CREATE, FSCONFIG_CMD_RECONFIGURE, FSCONFIG_CMD_CREATE_EXCL,
}; // prettier-ignore

const MAX_BLOB = 1024 * 1024;
const MAX_KEY = 256;

function sysFsopen(t: Task, a: SyscallArgs): SysResult {
  if (!mayMount(t)) return -EPERM;
  if ((a.uint(1) & ~FSOPEN_CLOEXEC) !== 0) return -EINVAL;
  const name = userString(t, a.addr(0), PAGE_SIZE);
  if (typeof name === 'number') return name;
  const type = fileSystemType(name);
  if (type === undefined) return -ENODEV;
  return installFd(t, new FsContextFile(anonInode('fscontext'), type, null), a.uint(1) !== 0);
}

function userString(t: Task, addr: number, max: number): string | number {
  const s = t.mem.copyInString(addr, max);
  return s === -ENAMETOOLONG ? -EINVAL : s;
}

/** The checks of arguments that do not belong to a command. */
function badArguments(cmd: number, key: number, value: number, aux: number): number {
  switch (cmd) {
    case FSCONFIG_SET_FLAG:
      return key === 0 || value !== 0 || aux !== 0 ? -EINVAL : 0;
    case FSCONFIG_SET_STRING:
      return key === 0 || value === 0 || aux !== 0 ? -EINVAL : 0;
    case FSCONFIG_SET_BINARY:
      return key === 0 || value === 0 || aux <= 0 || aux > MAX_BLOB ? -EINVAL : 0;
    case FSCONFIG_SET_PATH:
    case FSCONFIG_SET_PATH_EMPTY:
      return key === 0 || value === 0 || (aux !== AT_FDCWD && aux < 0) ? -EINVAL : 0;
    case FSCONFIG_SET_FD:
      return key === 0 || value !== 0 || aux < 0 ? -EINVAL : 0;
    case FSCONFIG_CMD_CREATE:
    case FSCONFIG_CMD_CREATE_EXCL:
    case FSCONFIG_CMD_RECONFIGURE:
      return key !== 0 || value !== 0 || aux !== 0 ? -EINVAL : 0;
    default:
      return -EOPNOTSUPP;
  }
}

function sysFsconfig(t: Task, a: SyscallArgs): SysResult {
  const cmd = a.uint(1);
  if (a.int(0) < 0) return -EINVAL;
  const bad = badArguments(cmd, a.addr(2), a.addr(3), a.int(4));
  if (bad !== 0) return bad;
  const f = t.fdTable.get(a.int(0));
  if (f === null) return -EBADF;
  if (!(f instanceof FsContextFile)) return -EINVAL;
  switch (cmd) {
    case FSCONFIG_SET_FLAG:
    case FSCONFIG_SET_STRING: {
      const key = userString(t, a.addr(2), MAX_KEY);
      if (typeof key === 'number') return key;
      const value = cmd === FSCONFIG_SET_FLAG ? null : userString(t, a.addr(3), MAX_KEY);
      if (typeof value === 'number') return value;
      return setParameter(t, f, key, value);
    }
    case FSCONFIG_SET_FD:
      return setFile(t, f, a);
    case FSCONFIG_CMD_CREATE:
    case FSCONFIG_CMD_CREATE_EXCL:
      return create(t, f);
    case FSCONFIG_CMD_RECONFIGURE:
      return reconfigure(t, f);
    default:
      // No file system here takes blobs or names of files for parameters, and most no files.
      return isTakingParameters(f) ? -EINVAL : -EBUSY;
  }
}

function setFile(t: Task, f: FsContextFile, a: SyscallArgs): number {
  const key = userString(t, a.addr(2), MAX_KEY);
  if (typeof key === 'number') return key;
  const file = t.fdTable.getRaw(a.int(4));
  if (file === null) return -EBADF;
  if (!isTakingParameters(f)) return -EBUSY;
  if (setSuperFlag(f, key)) return 0;
  if (f.parameters === null || f.phase === 'reconfigure' || file.path === null) return -EINVAL;
  return f.parameters.set(t, key, file.path);
}

function isTakingParameters(f: FsContextFile): boolean {
  return f.phase === 'create' || f.phase === 'reconfigure';
}

/** What is wrong with a parameter, for the log. */
function complainOf(f: FsContextFile, key: string, value: string | null): void {
  const known = value !== null && (f.type?.optionNames?.includes(key) ?? false);
  f.complain(`${f.type?.name ?? ''}: ${known ? 'Bad value for' : 'Unknown parameter'} '${key}'`);
}

/** vfs_parse_sb_flag(): whatever the value is. */
function setSuperFlag(f: FsContextFile, key: string): boolean {
  const flags = parseSuperFlag(f.superFlags, key);
  if (flags >= 0) f.superFlags = flags;
  return flags >= 0;
}

/** vfs_parse_fs_param() */
function setParameter(t: Task, f: FsContextFile, key: string, value: string | null): number {
  if (!isTakingParameters(f)) return -EBUSY;
  if (key === '') {
    complainOf(f, key, value);
    return -EINVAL;
  }
  if (setSuperFlag(f, key)) return 0;
  if (key === 'source') {
    if (value === null || f.source !== null) {
      f.complain(value === null ? 'Non-string source' : 'Multiple sources');
      return -EINVAL;
    }
    f.source = value;
    return 0;
  }
  if (f.parameters !== null) return f.phase === 'reconfigure' ? -EINVAL : f.parameters.set(t, key, value);
  const option = value === null ? key : `${key}=${value}`;
  if (option.includes(',')) return -EINVAL;
  const bad = f.type?.checkOption?.(option) ?? 0;
  if (bad === 0) f.options.push(option);
  else complainOf(f, key, value);
  return bad;
}

function create(t: Task, f: FsContextFile): number {
  if (f.phase !== 'create') return -EBUSY;
  if (!t.creds.hasOwn(CAP_SYS_ADMIN)) return -EPERM;
  const type = f.type!;
  if (type.owner !== undefined && !t.creds.hasIn(CAP_SYS_ADMIN, type.owner(t))) return -EPERM;
  const sb = f.parameters?.create(t) ?? type.mount(t, f.source ?? '', f.superFlags, f.options.join(','));
  f.phase = typeof sb === 'number' ? 'failed' : 'made';
  if (typeof sb === 'number') return sb;
  f.sb = sb;
  if (sb.mounts === 0) {
    if (t.creds.userNs.level > 0) sb.owner = t.creds.userNs;
    setSuperFlags(sb, f.superFlags);
  }
  return 0;
}

function reconfigure(t: Task, f: FsContextFile): number {
  if (f.phase !== 'reconfigure') return -EBUSY;
  const sb = f.sb!;
  if (!t.creds.hasIn(CAP_SYS_ADMIN, sb.owner)) return -EPERM;
  const r = reconfigureSuper(sb, f.superFlags, f.options.join(','));
  if (r < 0) return r;
  f.options.length = 0;
  return 0;
}

// MOUNT_ATTR_* (include/uapi/linux/mount.h)
const MOUNT_ATTR__ATIME = 0x70;
const MOUNT_ATTR_NOATIME = 0x10;
const MOUNT_ATTR_STRICTATIME = 0x20;
const ATTRIBUTES: readonly (readonly [number, number])[] = [
  [0x1, M.MS_RDONLY],
  [0x2, M.MS_NOSUID],
  [0x4, M.MS_NODEV],
  [0x8, M.MS_NOEXEC],
  [0x80, M.MS_NODIRATIME],
  [0x200000, M.MS_NOSYMFOLLOW],
];
const MOUNT_ATTR_VALID = ATTRIBUTES.reduce((all, [attr]) => all | attr, MOUNT_ATTR__ATIME);

/** MS_* of the attributes apart from atime ones. */
export function attributeFlags(attr: number): number {
  return ATTRIBUTES.reduce((all, [bit, flag]) => ((attr & bit) !== 0 ? all | flag : all), 0);
}

/** MOUNT_ATTR_* that a mount's flags amount to. */
export function attributesOf(flags: number): number {
  const atime =
    (flags & M.MS_NOATIME) !== 0
      ? MOUNT_ATTR_NOATIME
      : (flags & M.MS_RELATIME) !== 0
        ? 0
        : MOUNT_ATTR_STRICTATIME;
  return ATTRIBUTES.reduce((all, [bit, flag]) => ((flags & flag) !== 0 ? all | bit : all), atime);
}

/** The atime flags that MOUNT_ATTR__ATIME names; −EINVAL. */
export function atimeFlags(attr: number): number {
  switch (attr & MOUNT_ATTR__ATIME) {
    case 0:
      return M.MS_RELATIME;
    case MOUNT_ATTR_NOATIME:
      return M.MS_NOATIME;
    case MOUNT_ATTR_STRICTATIME:
      return M.MS_STRICTATIME;
    default:
      return -EINVAL;
  }
}

function sysFsmount(t: Task, a: SyscallArgs): SysResult {
  if (!mayMount(t)) return -EPERM;
  const attr = a.uint(2);
  if ((a.uint(1) & ~FSMOUNT_CLOEXEC) !== 0 || (attr & ~MOUNT_ATTR_VALID) !== 0) return -EINVAL;
  const atime = atimeFlags(attr);
  if (atime < 0) return atime;
  const f = t.fdTable.get(a.int(0));
  if (f === null) return -EBADF;
  if (!(f instanceof FsContextFile) || f.sb === null) return -EINVAL;
  if (f.phase !== 'made') return -EBUSY;
  const at = { flags: M.mountFlags(attributeFlags(attr) | atime), source: f.source ?? 'none' };
  const m = mountOf(t, f.type!, f.sb, at);
  if (typeof m === 'number') return m;
  f.phase = 'mounted';
  m.anon = { owner: ownerFor(t), origin: null };
  return openDetached(t, m, a.uint(1) !== 0);
}

/** A descriptor of a detached mount (O_PATH), which owns it. */
export function openDetached(t: Task, m: M.Mount, cloexec: boolean): number {
  return installFd(t, new DetachedMountFile({ mount: m, dentry: m.root }, O_PATH), cloexec);
}

function sysFspick(t: Task, a: SyscallArgs): SysResult {
  if (!mayMount(t)) return -EPERM;
  const how = a.uint(2);
  const known = FSPICK_CLOEXEC | FSPICK_SYMLINK_NOFOLLOW | FSPICK_NO_AUTOMOUNT | FSPICK_EMPTY_PATH;
  if ((how & ~known) !== 0) return -EINVAL;
  const at =
    ((how & FSPICK_SYMLINK_NOFOLLOW) !== 0 ? AT_SYMLINK_NOFOLLOW : 0) |
    ((how & FSPICK_EMPTY_PATH) !== 0 ? AT_EMPTY_PATH : 0);
  const r = resolveAt(t, a.int(0), a.addr(1), at);
  if (r !== 0) return r;
  const place = target.file === null && target.path === null ? nd.path() : target.path;
  if (place === null || place.dentry !== place.mount.root) return -EINVAL;
  const { sb } = place.mount;
  const f = new FsContextFile(anonInode('fscontext'), fileSystemType(sb.fsType) ?? null, sb);
  f.superFlags = sb.flags | (sb.readOnly ? M.MS_RDONLY : 0);
  return installFd(t, f, (how & FSPICK_CLOEXEC) !== 0);
}

export const fsContextRows: readonly SyscallRow[] = [
  { nr: 430, name: 'fsopen', fn: sysFsopen, args: [str, hex], support: 'full' },
  {
    nr: 431,
    name: 'fsconfig',
    fn: sysFsconfig,
    args: [fd, oneOf(COMMANDS), str, ptr, int],
    support: 'partial',
    note: 'no blobs, no names of files',
  },
  { nr: 432, name: 'fsmount', fn: sysFsmount, args: [fd, hex, uint], support: 'full' },
  { nr: 433, name: 'fspick', fn: sysFspick, args: [fd, path, hex], support: 'full' },
];
