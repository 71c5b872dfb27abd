/** Who may do what with an inode (fs/namei.c inode_permission, may_create, may_delete; fs/attr.c). */
import { EACCES, EISDIR, ENOENT, ENOTDIR, EPERM, EROFS } from '../abi/errno.ts';
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG, S_IRWXG, S_ISVTX } from '../abi/stat.ts';
import { CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER } from '../auth/capability.ts';
import type { Credentials } from '../auth/credentials.ts';
import type { CallContext } from './call-context.ts';
import type { Inode } from './inode.ts';
import { aclPermission } from './posix-acl.ts';

export const MAY_EXEC = 1;
export const MAY_WRITE = 2;
export const MAY_READ = 4;
/** The question is access(2)'s or chdir(2)'s, for file systems that judge themselves. */
export const MAY_ACCESS = 16;

/**
 * capable_wrt_inode_uidgid(): a capability counts for an inode only if its ids are mapped in the caller's user namespace.
 */
export function capableWrtInode(creds: Credentials, inode: Inode, cap: number): boolean {
  return creds.hasOwn(cap) && creds.userNs.hasUid(inode.uid) && creds.userNs.hasGid(inode.gid);
}

/** Capabilities that stand for missing permission bits. */
function capableOf(creds: Credentials, inode: Inode, mask: number): boolean {
  if ((inode.mode & S_IFMT) === S_IFDIR) {
    if ((mask & MAY_WRITE) === 0 && capableWrtInode(creds, inode, CAP_DAC_READ_SEARCH)) return true;
    return capableWrtInode(creds, inode, CAP_DAC_OVERRIDE);
  }
  if (mask === MAY_READ && capableWrtInode(creds, inode, CAP_DAC_READ_SEARCH)) return true;
  if ((mask & MAY_EXEC) !== 0 && (inode.mode & 0o111) === 0) return false;
  return capableWrtInode(creds, inode, CAP_DAC_OVERRIDE);
}

/** generic_permission(): access control list or mode bits, then capabilities. */
function modePermission(creds: Credentials, inode: Inode, mask: number): number {
  const shift = creds.permissionShift(inode.uid, inode.gid);
  if (inode.mayHaveAcl && shift !== 6 && (inode.mode & S_IRWXG) !== 0) {
    // Capabilities first: a remote file system need not be asked then.
    if (capableOf(creds, inode, mask)) return 0;
    const acl = inode.getAcl('access');
    if (acl !== null && typeof acl !== 'number') return aclPermission(creds, inode.gid, acl, mask);
  }
  if ((mask & ~(inode.mode >>> shift)) === 0) return 0;
  return capableOf(creds, inode, mask) ? 0 : -EACCES;
}

/** Whether everybody may search the directory. */
export function isOpenDirectory(dir: Inode): boolean {
  return (dir.mode & 0o111) === 0o111 && !dir.mayHaveAcl;
}

/** inode_permission(): 0, −EACCES, −EROFS for writing to a read-only file system, or −EPERM to what is immutable. */
export function inodePermission(t: CallContext, inode: Inode, mask: number): number {
  if ((mask & MAY_WRITE) !== 0 && inode.sb.readOnly) {
    const type = inode.mode & S_IFMT;
    if (type === S_IFREG || type === S_IFDIR || type === S_IFLNK) return -EROFS;
  }
  // "Nobody gets write access to an immutable file."
  if ((mask & MAY_WRITE) !== 0 && inode.isImmutable) return -EPERM;
  const special = inode.permission(t, mask);
  if (special !== 0) return special > 0 ? 0 : special;
  mask &= ~MAY_ACCESS;
  const r = modePermission(t.creds, inode, mask);
  return r === 0 && deviceGuard !== null ? devicePermission(t, inode, mask) : r;
}

/** Whether a task may use a device node: 1 to make it, 2 to read, 4 to write. */
type DeviceGuard = (t: CallContext, mode: number, rdev: number, access: number) => boolean;

let deviceGuard: DeviceGuard | null = null;

/** Control groups ask to be asked once they have rules. */
export function setDeviceGuard(guard: DeviceGuard): void {
  deviceGuard = guard;
}

/** devcgroup_inode_permission() */
function devicePermission(t: CallContext, inode: Inode, mask: number): number {
  const type = inode.mode & S_IFMT;
  if (inode.rdev === 0 || (type !== S_IFCHR && type !== S_IFBLK)) return 0;
  const access = ((mask & MAY_READ) !== 0 ? 2 : 0) | ((mask & MAY_WRITE) !== 0 ? 4 : 0);
  return deviceGuard!(t, inode.mode, inode.rdev, access) ? 0 : -EPERM;
}

/** devcgroup_inode_mknod(): 0 or −EPERM. */
export function mayMakeDevice(t: CallContext, mode: number, rdev: number): number {
  return deviceGuard === null || deviceGuard(t, mode, rdev, 1) ? 0 : -EPERM;
}

/** Permission to look up names in a directory; the common case needs no credentials. */
export function maySearch(t: CallContext, dir: Inode): number {
  const special = dir.permission(t, MAY_EXEC);
  if (special !== 0) return special > 0 ? 0 : special;
  return isOpenDirectory(dir) ? 0 : modePermission(t.creds, dir, MAY_EXEC);
}

/** inode_owner_or_capable(): the owner's rights over metadata. */
export function ownerOrCapable(t: CallContext, inode: Inode): boolean {
  return t.creds.fsuid === inode.uid || capableWrtInode(t.creds, inode, CAP_FOWNER);
}

/** May an entry be made in `dir`? (may_create) */
export function mayCreate(t: CallContext, dir: Inode): number {
  if (dir.dead) return -ENOENT;
  return inodePermission(t, dir, MAY_WRITE | MAY_EXEC);
}

/** check_sticky(): in a sticky directory only the owner of the entry or of the directory removes it. */
function stickyForbids(t: CallContext, dir: Inode, victim: Inode): boolean {
  if ((dir.mode & S_ISVTX) === 0) return false;
  const fsuid = t.creds.fsuid;
  if (victim.uid === fsuid || dir.uid === fsuid) return false;
  return !capableWrtInode(t.creds, victim, CAP_FOWNER);
}

/** May `victim` be removed from `dir`, as a directory or as anything else? (may_delete) */
export function mayDelete(t: CallContext, dir: Inode, victim: Inode, asDir: boolean): number {
  const r = inodePermission(t, dir, MAY_WRITE | MAY_EXEC);
  if (r !== 0) return r;
  if (dir.isAppendOnly || victim.isAppendOnly || victim.isImmutable) return -EPERM;
  if (stickyForbids(t, dir, victim)) return -EPERM;
  if (asDir !== victim.isDir) return asDir ? -ENOTDIR : -EISDIR;
  return dir.dead ? -ENOENT : 0;
}
