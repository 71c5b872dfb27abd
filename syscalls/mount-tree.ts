/** open_tree(2), move_mount(2), mount_setattr(2), open_tree_attr(2) (fs/namespace.c). */
import { E2BIG, EBUSY, EFAULT, EINVAL, ENOENT, EPERM } from '../sentry/abi/errno.ts';
import {
  AT_EMPTY_PATH,
  AT_NO_AUTOMOUNT,
  AT_SYMLINK_NOFOLLOW,
  O_CLOEXEC,
  O_PATH,
} from '../sentry/abi/fcntl.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { fd, hex, path, ptr, size, type SysResult, type SyscallRow } from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { PAGE_SIZE } from '../sentry/lib/addr.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';
import type { FileDescription } from '../sentry/vfs/file-description.ts';
import type { Path } from '../sentry/vfs/dentry.ts';
import * as M from '../sentry/vfs/mount.ts';
import { moveBeneath, moveMount, setGroup } from '../sentry/vfs/mount-move.ts';
import {
  attachMount,
  cloneTree,
  hasLockedChildren,
  setPropagation,
  subtree,
  topOf,
} from '../sentry/vfs/mount-namespace.ts';
import { PathFile } from '../sentry/vfs/open.ts';
import { isMounted, treeRoot } from '../sentry/vfs/propagation.ts';
import { treeChanged } from '../sentry/vfs/walk-cache.ts';
import { nd } from '../sentry/vfs/walk.ts';
import { installFd } from './fd-install.ts';
import { atimeFlags, attributeFlags, openDetached } from './fs-context.ts';
import {
  isOurs,
  mayChangeFlags,
  mayChangePropagation,
  mayChangeTree,
  mayMount,
  mayUse,
  ownerFor,
} from './mount.ts';
import { resolveAt, target } from './path.ts';

const AT_RECURSIVE = 0x8000;
const OPEN_TREE_CLONE = 1;

/** The place that an *at name means; −errno. */
function placeAt(t: Task, dfd: number, addr: number, at: number): Path | number {
  const r = resolveAt(t, dfd, addr, at & (AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW));
  if (r !== 0) return r;
  if (target.file === null && target.path === null) return nd.path();
  return target.path ?? -EINVAL;
}

/** open_tree(2) of a descriptor whose file has no name: an O_PATH one for the same file. */
function openNameless(t: Task, a: SyscallArgs): FileDescription | null {
  const flags = a.uint(2);
  const known = AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_SYMLINK_NOFOLLOW | O_CLOEXEC;
  if ((flags & ~known) !== 0 || (flags & AT_EMPTY_PATH) === 0) return null;
  if (resolveAt(t, a.int(0), a.addr(1), AT_EMPTY_PATH) !== 0) return null;
  const { file } = target;
  return file === null || file.path !== null ? null : new PathFile(null, file.inode, O_PATH);
}

function openTree(t: Task, a: SyscallArgs): Path | number {
  const flags = a.uint(2);
  const known =
    AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_RECURSIVE | AT_SYMLINK_NOFOLLOW | OPEN_TREE_CLONE | O_CLOEXEC;
  if ((flags & ~known) !== 0) return -EINVAL;
  if ((flags & (AT_RECURSIVE | OPEN_TREE_CLONE)) === AT_RECURSIVE) return -EINVAL;
  if ((flags & OPEN_TREE_CLONE) !== 0 && !mayMount(t)) return -EPERM;
  if (a.addr(1) === 0) return -EFAULT;
  const from = placeAt(t, a.int(0), a.addr(1), flags);
  if (typeof from === 'number' || (flags & OPEN_TREE_CLONE) === 0) return from;
  const { mount, dentry } = from;
  if ((!mayUse(t, mount) && mount.sb.fsType !== 'nsfs') || mount.unbindable) return -EINVAL;
  const recursive = (flags & AT_RECURSIVE) !== 0;
  if (!recursive && hasLockedChildren(mount, dentry)) return -EINVAL;
  const copy = cloneTree(from, recursive);
  copy.anon = { owner: ownerFor(t), origin: mount.ns ?? treeRoot(mount).anon?.origin ?? null };
  return { mount: copy, dentry: copy.root };
}

/** The descriptor for what openTree() returned. */
function finishOpenTree(t: Task, flags: number, place: Path): number {
  const cloexec = (flags & O_CLOEXEC) !== 0;
  if ((flags & OPEN_TREE_CLONE) !== 0) return openDetached(t, place.mount, cloexec);
  return installFd(t, new PathFile(place, place.dentry.inode!, O_PATH), cloexec);
}

function sysOpenTree(t: Task, a: SyscallArgs): SysResult {
  const place = openTree(t, a);
  if (place === -EINVAL) {
    const nameless = openNameless(t, a);
    if (nameless !== null) return installFd(t, nameless, (a.uint(2) & O_CLOEXEC) !== 0);
  }
  return typeof place === 'number' ? place : finishOpenTree(t, a.uint(2), place);
}

/** open_tree_attr(2): attributes of the copy before anybody sees it. */
function sysOpenTreeAttr(t: Task, a: SyscallArgs): SysResult {
  const flags = a.uint(2);
  if (a.addr(3) === 0 && a.size(4) !== 0) return -EINVAL;
  const place = openTree(t, a);
  if (typeof place === 'number') return place;
  if (a.addr(3) !== 0) {
    const r = copyAttr(t, a.addr(3), a.size(4)) || setAttributes(t, place, (flags & AT_RECURSIVE) !== 0);
    if (r !== 0) {
      const fdnum = finishOpenTree(t, flags, place);
      if (fdnum >= 0) t.fdTable.close(t, fdnum);
      return r;
    }
  }
  return finishOpenTree(t, flags, place);
}

const MOVE_MOUNT_F_SYMLINKS = 1;
const MOVE_MOUNT_F_EMPTY_PATH = 4;
const MOVE_MOUNT_T_SYMLINKS = 0x10;
const MOVE_MOUNT_T_EMPTY_PATH = 0x40;
const MOVE_MOUNT_SET_GROUP = 0x100;
const MOVE_MOUNT_BENEATH = 0x200;
const MOVE_MOUNT_FLAGS = 0x377;

/** *at flags for one side of a move. */
function sideFlags(follow: boolean, empty: boolean): number {
  return (follow ? 0 : AT_SYMLINK_NOFOLLOW) | (empty ? AT_EMPTY_PATH : 0);
}

function sysMoveMount(t: Task, a: SyscallArgs): SysResult {
  if (!mayChangeTree(t)) return -EPERM;
  const flags = a.uint(4);
  const groupOrBeneath = MOVE_MOUNT_SET_GROUP | MOVE_MOUNT_BENEATH;
  if ((flags & ~MOVE_MOUNT_FLAGS) !== 0 || (flags & groupOrBeneath) === groupOrBeneath) return -EINVAL;
  const has = (bit: number): boolean => (flags & bit) !== 0;
  const to = placeAt(
    t,
    a.int(2),
    a.addr(3),
    sideFlags(has(MOVE_MOUNT_T_SYMLINKS), has(MOVE_MOUNT_T_EMPTY_PATH)),
  );
  if (typeof to === 'number') return to;
  const from = placeAt(
    t,
    a.int(0),
    a.addr(1),
    sideFlags(has(MOVE_MOUNT_F_SYMLINKS), has(MOVE_MOUNT_F_EMPTY_PATH)),
  );
  if (typeof from === 'number') return from;
  if (has(MOVE_MOUNT_SET_GROUP)) return shareGroup(t, from, to);
  return moveTo(t, from, to, has(MOVE_MOUNT_BENEATH));
}

/** do_set_group(): for those who may change the namespaces of both. */
function shareGroup(t: Task, from: Path, to: Path): number {
  return mayChangePropagation(t, from.mount) || mayChangePropagation(t, to.mount) || setGroup(from, to);
}

/** do_move_mount() */
function moveTo(t: Task, from: Path, to: Path, beneath: boolean): number {
  const m = from.mount;
  if (from.dentry !== m.root || m.root.inode!.isDir !== to.dentry.inode!.isDir) return -EINVAL;
  if (to.dentry.inode!.dead || !isMounted(to.mount)) return -ENOENT;
  const detached = !isOurs(t, m);
  if (detached) {
    if (m.anon === null || treeRoot(to.mount) === m || !mayUse(t, to.mount)) return -EINVAL;
  } else if (m.parent === null || m.locked || !isOurs(t, to.mount)) return -EINVAL;
  if (beneath) {
    const parent = topOf(to).mount.parent;
    const breaks = (parent?.group ?? null) !== null && subtree(m).some((c) => c.unbindable);
    return breaks ? -EINVAL : moveBeneath(m, to, t.fs.root.mount);
  }
  if (!detached) return moveMount(m, to);
  if (to.mount.group !== null && subtree(m).some((c) => c.unbindable)) return -EINVAL;
  return attachMount(m, to);
}

// struct mount_attr: attr_set, attr_clr, propagation, userns_fd
const MOUNT_ATTR_SIZE_VER0 = 32;
const MOUNT_ATTR__ATIME = 0x70;
const VALID_ATTR = 0x2000ff;
const PROPAGATION = M.MS_SHARED | M.MS_PRIVATE | M.MS_SLAVE | M.MS_UNBINDABLE;

const wanted = { set: 0, clear: 0, atime: 0, propagation: 0 };

/** wants_mount_setattr(), build_mount_kattr(): fills `wanted`: 0, 1 for nothing to do, or −errno. */
function copyAttr(t: Task, addr: number, len: number): number {
  if (len > PAGE_SIZE) return -E2BIG;
  if (len < MOUNT_ATTR_SIZE_VER0) return -EINVAL;
  if (!mayMount(t)) return -EPERM;
  const bad = t.mem.copyInStruct(addr, len, MOUNT_ATTR_SIZE_VER0);
  if (bad !== 0) return bad;
  const [set, setHi, clr, clrHi, propagation, propagationHi] = scratch.u32 as unknown as number[];
  if (setHi !== 0 || clrHi !== 0 || propagationHi !== 0) return -EINVAL;
  if ((propagation! & ~PROPAGATION) !== 0 || (propagation! & (propagation! - 1)) !== 0) return -EINVAL;
  // MOUNT_ATTR_IDMAP: "EINVAL: the file system does not support it".
  if (((set! | clr!) & ~VALID_ATTR) !== 0) return -EINVAL;
  wanted.set = attributeFlags(set!);
  wanted.clear = attributeFlags(clr!);
  wanted.propagation = propagation!;
  wanted.atime = 0;
  if ((clr! & MOUNT_ATTR__ATIME) !== 0) {
    if ((clr! & MOUNT_ATTR__ATIME) !== MOUNT_ATTR__ATIME) return -EINVAL;
    wanted.atime = atimeFlags(set!);
    return wanted.atime < 0 ? -EINVAL : 0;
  }
  return (set! & MOUNT_ATTR__ATIME) !== 0 ? -EINVAL : 0;
}

function flagsAfter(m: M.Mount): number {
  let flags = (m.flags & ~wanted.clear) | wanted.set;
  if (wanted.atime !== 0)
    flags = M.mountFlags((flags & ~M.ATIME_FLAGS) | wanted.atime | (flags & M.MS_NODIRATIME));
  return flags;
}

/** do_mount_setattr(): all of the tree or nothing. */
function setAttributes(t: Task, place: Path, recursive: boolean): number {
  const { mount, dentry } = place;
  if (dentry !== mount.root || (mount.anon === null && !isOurs(t, mount))) return -EINVAL;
  const all = recursive ? subtree(mount) : [mount];
  for (const m of all) {
    const flags = flagsAfter(m);
    if (!mayChangeFlags(m, flags)) return -EPERM;
    const becomesReadOnly = (flags & ~m.flags & M.MS_RDONLY) !== 0;
    if (becomesReadOnly && m.writers > 0) return -EBUSY;
  }
  for (const m of all) {
    m.flags = flagsAfter(m);
    if (wanted.propagation !== 0) setPropagation(m, wanted.propagation);
    if (m.ns !== null) m.ns.event++;
  }
  treeChanged();
  return 0;
}

function sysMountSetattr(t: Task, a: SyscallArgs): SysResult {
  const flags = a.uint(2);
  const known = AT_EMPTY_PATH | AT_RECURSIVE | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT;
  if ((flags & ~known) !== 0) return -EINVAL;
  const r = copyAttr(t, a.addr(3), a.size(4));
  if (r !== 0) return r;
  const nothing = wanted.set === 0 && wanted.clear === 0 && wanted.atime === 0 && wanted.propagation === 0;
  if (nothing) return 0;
  const place = placeAt(t, a.int(0), a.addr(1), flags);
  return typeof place === 'number' ? place : setAttributes(t, place, (flags & AT_RECURSIVE) !== 0);
}

export const mountTreeRows: readonly SyscallRow[] = [
  { nr: 428, name: 'open_tree', fn: sysOpenTree, args: [fd, path, hex], support: 'full' },
  {
    nr: 429,
    name: 'move_mount',
    fn: sysMoveMount,
    args: [fd, path, fd, path, hex],
    support: 'full',
  },
  {
    nr: 442,
    name: 'mount_setattr',
    fn: sysMountSetattr,
    args: [fd, path, hex, ptr, size],
    support: 'partial',
    note: 'no id-mapped mounts (EINVAL)',
  },
  {
    nr: 467,
    name: 'open_tree_attr',
    fn: sysOpenTreeAttr,
    args: [fd, path, hex, ptr, size],
    support: 'partial',
    note: 'as mount_setattr',
  },
];
