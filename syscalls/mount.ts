/** mount(2), umount2(2), pivot_root(2) (fs/namespace.c). */
import {
  EAGAIN,
  EBUSY,
  EFAULT,
  EINVAL,
  ENAMETOOLONG,
  ENODEV,
  ENOENT,
  ENOTDIR,
  EPERM,
} from '../sentry/abi/errno.ts';
import { PATH_MAX, AT_FDCWD } from '../sentry/abi/fcntl.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { CAP_SYS_ADMIN } from '../sentry/auth/capability.ts';
import type { UserNamespace } from '../sentry/auth/credentials.ts';
import { flags, path, ptr, str, type SysResult, type SyscallRow } from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import type { Path } from '../sentry/vfs/dentry.ts';
import { fileSystemType, mountOf } from '../sentry/vfs/fs-types.ts';
import * as M from '../sentry/vfs/mount.ts';
import {
  ATIME_FLAGS,
  mountFlags,
  MS_BIND,
  MS_MOVE,
  MS_REC,
  MS_REMOUNT,
  type Mount,
} from '../sentry/vfs/mount.ts';
import { moveMount, pivotRoot } from '../sentry/vfs/mount-move.ts';
import {
  attachMount,
  cloneTree,
  detachMount,
  hasLockedChildren,
  isPathBelow,
  setPropagation,
  subtree,
  topOf,
} from '../sentry/vfs/mount-namespace.ts';
import { isMounted, treeRoot } from '../sentry/vfs/propagation.ts';
import { reconfigureSuper, setSuperFlags, splitSuperOptions } from '../sentry/vfs/super-options.ts';
import { treeChanged } from '../sentry/vfs/walk-cache.ts';
import { LOOKUP_DIRECTORY, LOOKUP_FOLLOW, LOOKUP_KEEP_EXPIRY, nd } from '../sentry/vfs/walk.ts';
import { walkAt } from './path.ts';

const MS_MGC_VAL = 0xc0ed0000;
const MS_NOUSER = 1 << 31;
const PROPAGATION = M.MS_SHARED | M.MS_PRIVATE | M.MS_SLAVE | M.MS_UNBINDABLE;
/** may_mount() and check_mnt(): privileged, and in the caller's own mount namespace. */
export function mayMount(t: Task): boolean {
  return t.creds.hasIn(CAP_SYS_ADMIN, t.fs.root.mount.ns?.owner ?? null);
}

/** The same, and no Landlock rules depend on the tree of mounts (hook_sb_mount). */
export function mayChangeTree(t: Task): boolean {
  return mayMount(t) && t.landlock === null;
}

export function isOurs(t: Task, m: Mount): boolean {
  return m.ns !== null && m.ns === t.fs.root.mount.ns;
}

/** The owner of namespaces that the caller makes. */
export function ownerFor(t: Task): UserNamespace | null {
  return t.creds.userNs.level === 0 ? null : t.creds.userNs;
}

/** may_use_mount(): in the caller's namespace, or in a nameless one that is no copy of another's. */
export function mayUse(t: Task, m: Mount): boolean {
  if (isOurs(t, m)) return true;
  const { anon } = treeRoot(m);
  return anon !== null && (anon.origin === null || anon.origin === t.fs.root.mount.ns);
}

/** may_change_propagation(): 0 or −errno. */
export function mayChangePropagation(t: Task, m: Mount): number {
  const ns = m.ns ?? treeRoot(m).anon;
  if (ns === null) return -EINVAL;
  return t.creds.hasIn(CAP_SYS_ADMIN, ns.owner) ? 0 : -EPERM;
}

/** copy_mount_string(): null for a null pointer. */
function optionalString(t: Task, addr: number): string | null | number {
  if (addr === 0) return null;
  const s = t.mem.copyInString(addr, PATH_MAX);
  return s === -ENAMETOOLONG ? -EINVAL : s;
}

const page = Buffer.alloc(4096);

/** copy_mount_options(): up to a page, however much of it can be read. */
function mountData(t: Task, addr: number): string | number {
  if (addr === 0) return '';
  const n = t.mem.copyInPartial(addr, page, 0, 4096);
  if (n <= 0) return -EFAULT;
  const nul = page.indexOf(0);
  return page.toString('latin1', 0, nul >= 0 && nul < n ? nul : Math.min(n, 4095));
}

function sysMount(t: Task, a: SyscallArgs): SysResult {
  const type = optionalString(t, a.addr(2));
  if (typeof type === 'number') return type;
  const source = optionalString(t, a.addr(0));
  if (typeof source === 'number') return source;
  const data = mountData(t, a.addr(4));
  if (typeof data === 'number') return data;
  const r = walkAt(t, AT_FDCWD, a.addr(1), LOOKUP_FOLLOW);
  if (r !== 0) return r;
  const at = nd.path();
  let f = a.int(3);
  if ((f & 0xffff0000) >>> 0 === MS_MGC_VAL) f &= 0xffff;
  if ((f & MS_NOUSER) !== 0) return -EINVAL;
  if (!mayChangeTree(t)) return -EPERM;
  if ((f & MS_REMOUNT) !== 0) return remount(t, at, f, data);
  if ((f & (MS_BIND | PROPAGATION | MS_MOVE)) === 0) return mountNew(t, type, source, at, f, data);
  if ((f & MS_BIND) === 0 && (f & PROPAGATION) !== 0) return changePropagation(t, at, f);
  if (source === null || source === '') return -EINVAL;
  if ((f & MS_BIND) !== 0) return bind(t, a.addr(0), at, f);
  return move(t, a.addr(0), at);
}

/** can_change_locked_flags() */
export function mayChangeFlags(m: Mount, wanted: number): boolean {
  const { lockedFlags } = m;
  if ((lockedFlags & ATIME_FLAGS) !== 0 && ((m.flags ^ wanted) & ATIME_FLAGS) !== 0) return false;
  return (lockedFlags & ~ATIME_FLAGS & ~wanted) === 0;
}

/** Remount: with MS_BIND only this mount's flags, otherwise the super block's options too. */
function remount(t: Task, at: Path, f: number, data: string): SysResult {
  const { mount } = at;
  if (at.dentry !== mount.root || !isOurs(t, mount)) return -EINVAL;
  const atime = (f & ATIME_FLAGS) === 0 ? mount.flags & ATIME_FLAGS : 0;
  if (!mayChangeFlags(mount, mountFlags(f | atime))) return -EPERM;
  if ((f & MS_BIND) !== 0) {
    if ((f & ~mount.flags & M.MS_RDONLY) !== 0 && mount.writers > 0) return -EBUSY;
  } else {
    // The super block belongs to whoever mounted it.
    if (!t.creds.hasIn(CAP_SYS_ADMIN, mount.sb.owner)) return -EPERM;
    const options = splitSuperOptions(f, data);
    const r = reconfigureSuper(mount.sb, options.flags, options.data);
    if (r < 0) return r;
  }
  mount.flags = mountFlags(f | atime);
  mount.ns!.event++;
  treeChanged();
  return 0;
}

function bind(t: Task, sourceAddr: number, at: Path, f: number): SysResult {
  const r = walkAt(t, AT_FDCWD, sourceAddr, LOOKUP_FOLLOW);
  if (r !== 0) return r;
  const from = nd.path();
  // A namespace's file can be bound although its mount is nobody's.
  const fromOurs = mayUse(t, from.mount) || from.mount.sb.fsType === 'nsfs';
  const r1 = checkPlace(t, at);
  if (r1 !== 0) return r1;
  if (!fromOurs || from.mount.unbindable) return -EINVAL;
  if (from.dentry.unhashed) return -ENOENT;
  if ((f & MS_REC) === 0 && hasLockedChildren(from.mount, from.dentry)) return -EINVAL;
  return attach(cloneTree(from, (f & MS_REC) !== 0), at);
}

/** lock_mount(), check_mnt(): something can be mounted there by the caller. 0 or −errno. */
function checkPlace(t: Task, at: Path): number {
  if (at.dentry.unhashed || at.dentry.inode!.dead || !isMounted(at.mount)) return -ENOENT;
  return isOurs(t, at.mount) ? 0 : -EINVAL;
}

/** graft_tree(): directories on directories, anything else on anything else. The mount is given up if that fails. */
function attach(m: Mount, at: Path): SysResult {
  let r = m.root.inode!.isDir === at.dentry.inode!.isDir ? 0 : -ENOTDIR;
  if (r === 0) r = attachMount(m, at);
  if (r !== 0) for (const c of subtree(m).reverse()) giveUp(c);
  return r;
}

function giveUp(m: Mount): void {
  m.detach();
  m.release();
}

/** do_change_type(): with MS_REC for everything below as well. */
function changePropagation(t: Task, at: Path, f: number): SysResult {
  const kind = f & PROPAGATION;
  if ((kind & (kind - 1)) !== 0 || (f & ~(PROPAGATION | MS_REC | M.MS_SILENT)) !== 0) return -EINVAL;
  if (at.dentry !== at.mount.root) return -EINVAL;
  const r = mayChangePropagation(t, at.mount);
  if (r === 0) setPropagation(at.mount, f);
  return r;
}

function move(t: Task, sourceAddr: number, at: Path): SysResult {
  const r = walkAt(t, AT_FDCWD, sourceAddr, LOOKUP_FOLLOW);
  if (r !== 0) return r;
  const { mount, dentry } = nd;
  if (dentry !== mount.root || !isOurs(t, mount) || !isOurs(t, at.mount) || mount.locked) return -EINVAL;
  if (dentry.inode!.isDir !== at.dentry.inode!.isDir) return -EINVAL;
  return moveMount(mount, at);
}

/** do_new_mount() */
function mountNew(
  t: Task,
  type: string | null,
  source: string | null,
  at: Path,
  f: number,
  data: string,
): SysResult {
  if (type === null) return -EINVAL;
  const fs = fileSystemType(type);
  if (fs === undefined) return -ENODEV;
  if (fs.owner !== undefined && !t.creds.hasIn(CAP_SYS_ADMIN, fs.owner(t))) return -EPERM;
  const options = splitSuperOptions(f, data);
  const sb = fs.mount(t, source ?? '', options.flags, options.data);
  if (typeof sb === 'number') return sb;
  if (sb.mounts === 0) {
    if (t.creds.userNs.level > 0) sb.owner = t.creds.userNs;
    setSuperFlags(sb, options.flags);
  }
  const m = mountOf(t, fs, sb, { flags: mountFlags(f), source: source ?? 'none' });
  if (typeof m === 'number') return m;
  let r = checkPlace(t, at);
  if (r === 0 && at.mount.sb === sb && at.dentry === at.mount.root) r = -EBUSY;
  if (r === 0) return attach(m, at);
  giveUp(m);
  return r;
}

const MNT_FORCE = 1;
const MNT_DETACH = 2;
const MNT_EXPIRE = 4;
const UMOUNT_NOFOLLOW = 8;

function sysUmount2(t: Task, a: SyscallArgs): SysResult {
  const f = a.int(1);
  if ((f & ~(MNT_FORCE | MNT_DETACH | MNT_EXPIRE | UMOUNT_NOFOLLOW)) !== 0) return -EINVAL;
  const r = walkAt(
    t,
    AT_FDCWD,
    a.addr(0),
    LOOKUP_KEEP_EXPIRY | ((f & UMOUNT_NOFOLLOW) !== 0 ? 0 : LOOKUP_FOLLOW),
  );
  if (r !== 0) return r;
  // LOOKUP_MOUNTPOINT: "." and ".." mean what is mounted on top there, as after pivot_root(".", ".").
  const { mount, dentry } = topOf(nd);
  if (!mayMount(t)) return -EPERM;
  if (dentry !== mount.root || !isOurs(t, mount) || mount.locked) return -EINVAL;
  if (t.landlock !== null) return -EPERM;
  if ((f & MNT_FORCE) !== 0 && !t.creds.hasIn(CAP_SYS_ADMIN, mount.sb.owner)) return -EPERM;
  if ((f & MNT_EXPIRE) !== 0) {
    if ((f & (MNT_FORCE | MNT_DETACH)) !== 0 || mount === t.fs.root.mount) return -EINVAL;
    if (mount.refs > 0 || mount.children.length > 0) return -EBUSY;
    if (!mount.expiring) {
      mount.expiring = true;
      // Whoever comes by must not do so by a short cut that leaves the mark.
      treeChanged();
      return -EAGAIN;
    }
  }
  if ((f & MNT_FORCE) !== 0) mount.sb.umountBegin();
  if (mount === t.fs.root.mount && (f & MNT_DETACH) === 0) return umountRoot(t, mount);
  return detachMount(mount, (f & MNT_DETACH) !== 0);
}

/** do_umount_root(): "special case for unmounting root: we just try to remount it readonly". */
function umountRoot(t: Task, { sb }: Mount): number {
  if (!t.creds.hasIn(CAP_SYS_ADMIN, sb.owner)) return -EPERM;
  return sb.readOnly ? 0 : reconfigureSuper(sb, sb.flags | M.MS_RDONLY, '');
}

function sysPivotRoot(t: Task, a: SyscallArgs): SysResult {
  if (!mayChangeTree(t)) return -EPERM;
  let r = walkAt(t, AT_FDCWD, a.addr(0), LOOKUP_FOLLOW | LOOKUP_DIRECTORY);
  if (r !== 0) return r;
  const to = nd.path();
  r = walkAt(t, AT_FDCWD, a.addr(1), LOOKUP_FOLLOW | LOOKUP_DIRECTORY);
  if (r !== 0) return r;
  const putOld = nd.path();
  const { root } = t.fs;
  if (!isOurs(t, to.mount) || !isOurs(t, putOld.mount) || to.mount.locked) return -EINVAL;
  if (to.dentry.inode!.dead) return -ENOENT;
  if (to.mount === root.mount || putOld.mount === root.mount) return -EBUSY;
  if (root.dentry !== root.mount.root || to.dentry !== to.mount.root) return -EINVAL;
  if (!isPathBelow(putOld, to) || !isPathBelow(to, root)) return -EINVAL;
  const old: Path = { mount: root.mount, dentry: root.dentry };
  r = pivotRoot(old.mount, to.mount, putOld);
  if (r !== 0) return r;
  // chroot_fs_refs(): whoever has the old root or works in it moves to the new one.
  for (const group of t.kernel.allGroups()) {
    for (const task of group.tasks) {
      const { fs } = task;
      if (fs.root.mount === old.mount && fs.root.dentry === old.dentry) fs.setRoot(to);
      if (fs.cwd.mount === old.mount && fs.cwd.dentry === old.dentry) fs.setCwd(to);
    }
  }
  return 0;
}

const flagNames = flags(
  Object.fromEntries(
    Object.entries(M).filter(([k, v]) => k.startsWith('MS_') && typeof v === 'number'),
  ) as Record<string, number>,
);

export const mountRows: SyscallRow[] = [
  { nr: 155, name: 'pivot_root', fn: sysPivotRoot, args: [path, path], support: 'full' },
  {
    nr: 165,
    name: 'mount',
    fn: sysMount,
    args: [str, path, str, flagNames, ptr],
    support: 'partial',
    note: 'types as in /proc/filesystems',
  },
  {
    nr: 166,
    name: 'umount2',
    fn: sysUmount2,
    args: [path, flags({ MNT_FORCE, MNT_DETACH, MNT_EXPIRE, UMOUNT_NOFOLLOW })],
    support: 'full',
  },
];
