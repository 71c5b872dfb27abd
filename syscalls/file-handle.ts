/** name_to_handle_at(2), open_by_handle_at(2) (fs/fhandle.c). */
import { EBADF, EFAULT, EINVAL, ENOTDIR, EOPNOTSUPP, EOVERFLOW, EPERM, ESTALE } from '../sentry/abi/errno.ts';
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_SYMLINK_FOLLOW,
  AT_SYMLINK_NOFOLLOW,
  O_CLOEXEC,
  O_DIRECTORY,
  O_PATH,
} from '../sentry/abi/fcntl.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { CAP_DAC_READ_SEARCH } from '../sentry/auth/capability.ts';
import { fd, hex, path, ptr, type SysResult, type SyscallRow } from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';
import type { Dentry, Path } from '../sentry/vfs/dentry.ts';
import { OverlaySuperBlock } from '../sentry/fsimpl/overlay/super-block.ts';
import type { SuperBlock } from '../sentry/vfs/super-block.ts';
import { openFound, PathFile } from '../sentry/vfs/open.ts';
import { nd } from '../sentry/vfs/walk.ts';
import { installFd } from './fd-install.ts';
import { resolveAt, target } from './path.ts';
import { MNT_UNIQUE_ID_OFFSET } from './stat-buf.ts';

// include/uapi/linux/fcntl.h
const AT_HANDLE_MNT_ID_UNIQUE = 0x1;
const AT_HANDLE_CONNECTABLE = 0x2;
const AT_HANDLE_FID = 0x200;
const MAX_HANDLE_SZ = 128;
const HEADER = 8;
/** A handle holds a secret of this run, and the number of the inode. */
const HANDLE_BYTES = 16;
const HANDLE_TYPE = 1;
// What the kernel adds to the type of a handle that leads to a name (include/linux/exportfs.h).
const FILEID_IS_CONNECTABLE = 0x10000;
const FILEID_IS_DIR = 0x20000;
const FILEID_USER_FLAGS = 0xffff0000;

/** File systems whose files can be found again; the others make their files up (EOPNOTSUPP). */
const WITH_HANDLES: readonly string[] = ['tmpfs', 'overlay', 'gofer'];
/** Overlays that guests mount have no handles without nfs_export=on. */
function hasHandles(sb: SuperBlock): boolean {
  return WITH_HANDLES.includes(sb.fsType) && !(sb instanceof OverlaySuperBlock && sb.guest !== null);
}

/** Names of the files that handles were asked for: a handle is stale once the name's cache entry is gone. */
const MAX_KNOWN = 65536;
const known = new WeakMap<SuperBlock, Map<number, WeakRef<Dentry>>>();

function remember(d: Dentry): void {
  const inode = d.inode!;
  let files = known.get(inode.sb);
  if (files === undefined) known.set(inode.sb, (files = new Map()));
  if (files.size >= MAX_KNOWN) files.delete(files.keys().next().value!);
  files.set(inode.ino, new WeakRef(d));
}

function find(sb: SuperBlock, ino: number): Dentry | null {
  const d = known.get(sb)?.get(ino)?.deref() ?? null;
  return d === null || d.unhashed || d.inode?.ino !== ino ? null : d;
}

/** What tells the handles of one super block from those of others, and from guesses. */
function generation(sb: SuperBlock): number {
  return (Math.imul(sb.dev, 0x9e3779b1) ^ 0x5bd1e995) >>> 0;
}

function encode(sb: SuperBlock, ino: number, flags: number): void {
  const w = scratch.u32;
  w[0] = HANDLE_BYTES;
  w[1] = HANDLE_TYPE | flags;
  w[2] = generation(sb);
  w[3] = ino >>> 0;
  w[4] = Math.floor(ino / 0x100000000);
  w[5] = sb.dev >>> 0;
}

const NAME_FLAGS =
  AT_SYMLINK_FOLLOW | AT_EMPTY_PATH | AT_HANDLE_FID | AT_HANDLE_MNT_ID_UNIQUE | AT_HANDLE_CONNECTABLE;

function sysNameToHandleAt(t: Task, a: SyscallArgs): SysResult {
  const flags = a.uint(4);
  if ((flags & ~NAME_FLAGS) !== 0) return -EINVAL;
  const connectable = (flags & AT_HANDLE_CONNECTABLE) !== 0;
  if (connectable && (flags & (AT_HANDLE_FID | AT_EMPTY_PATH)) !== 0) return -EINVAL;
  const follow = (flags & AT_SYMLINK_FOLLOW) !== 0;
  const r = resolveAt(t, a.int(0), a.addr(1), (flags & AT_EMPTY_PATH) | (follow ? 0 : AT_SYMLINK_NOFOLLOW));
  if (r !== 0) return r;
  const place: Path | null = target.file === null && target.path === null ? nd.path() : target.path;
  const inode = target.inode;
  const supported = place !== null && hasHandles(inode.sb);
  if (!supported && (flags & AT_HANDLE_FID) === 0) return -EOPNOTSUPP;
  // A file of tmpfs does not know its directory (shmem_encode_fh).
  if (connectable && inode.sb.fsType === 'tmpfs' && place!.dentry !== place!.mount.root) return -EOPNOTSUPP;
  if (t.mem.readU32(a.addr(2)) !== 0) return -EFAULT;
  const room = scratch.u32[0]!;
  if (room > MAX_HANDLE_SZ) return -EINVAL;
  const flagged = connectable ? FILEID_IS_CONNECTABLE | (inode.isDir ? FILEID_IS_DIR : 0) : 0;
  encode(inode.sb, inode.ino, flagged);
  const fits = room >= HANDLE_BYTES;
  if (t.mem.copyOut(a.addr(2), scratch.bytes, 0, fits ? HEADER + HANDLE_BYTES : 4) !== 0) return -EFAULT;
  const id = place === null ? 0 : place.mount.id;
  const told =
    (flags & AT_HANDLE_MNT_ID_UNIQUE) !== 0
      ? t.mem.writeU64(a.addr(3), id + MNT_UNIQUE_ID_OFFSET)
      : t.mem.writeU32(a.addr(3), id);
  if (told !== 0) return -EFAULT;
  if (!fits) return -EOVERFLOW;
  if (place !== null) remember(place.dentry);
  return 0;
}

/** The place of the handle at `addr` in the file system that `mountFd` is in, or −errno. */
function handleToPath(t: Task, mountFd: number, addr: number): Path | number {
  if (t.mem.copyIn(addr, scratch.bytes, 0, HEADER) !== 0) return -EFAULT;
  const len = scratch.u32[0]!;
  const flagged = scratch.u32[1]! & FILEID_USER_FLAGS;
  if (len > MAX_HANDLE_SZ || len === 0) return -EINVAL;
  if ((flagged & ~(FILEID_IS_CONNECTABLE | FILEID_IS_DIR)) !== 0) return -EINVAL;
  const f = mountFd === AT_FDCWD ? null : t.fdTable.get(mountFd);
  if (f === null && mountFd !== AT_FDCWD) return -EBADF;
  if (!t.creds.has(CAP_DAC_READ_SEARCH)) return -EPERM;
  if (t.mem.copyIn(addr, scratch.bytes, 0, HEADER + len) !== 0) return -EFAULT;
  const at = f === null ? t.fs.cwd : f.path;
  // Of no file system that has handles.
  if (at === null) return -ESTALE;
  const [, type, gen, lo, hi, dev] = scratch.u32 as unknown as number[];
  const { sb } = at.mount;
  const ours =
    (type! & ~FILEID_USER_FLAGS) === HANDLE_TYPE &&
    len === HANDLE_BYTES &&
    gen === generation(sb) &&
    dev === sb.dev >>> 0;
  const dentry = ours ? find(sb, hi! * 0x100000000 + lo!) : null;
  // The caller of a connectable handle counts on what it leads to.
  const wrongKind = (flagged & FILEID_IS_DIR) !== 0 && dentry?.inode?.isDir !== true;
  return dentry === null || wrongKind ? -ESTALE : { mount: at.mount, dentry };
}

function sysOpenByHandleAt(t: Task, a: SyscallArgs): SysResult {
  const flags = a.int(2);
  const place = handleToPath(t, a.int(0), a.addr(1));
  if (typeof place === 'number') return place;
  const inode = place.dentry.inode!;
  if ((flags & O_DIRECTORY) !== 0 && !inode.isDir) return -ENOTDIR;
  const f =
    (flags & O_PATH) !== 0
      ? new PathFile(place, inode, flags & (O_PATH | O_DIRECTORY))
      : openFound(t, place, flags & ~O_CLOEXEC, false);
  return typeof f === 'number' ? f : installFd(t, f, (flags & O_CLOEXEC) !== 0);
}

const note = 'handles are stale once nothing remembers the file’s name';

export const fileHandleRows: readonly SyscallRow[] = [
  {
    nr: 303,
    name: 'name_to_handle_at',
    fn: sysNameToHandleAt,
    args: [fd, path, ptr, ptr, hex],
    support: 'full',
  },
  {
    nr: 304,
    name: 'open_by_handle_at',
    fn: sysOpenByHandleAt,
    args: [fd, ptr, hex],
    support: 'partial',
    note,
  },
];
