/** fs.protected_*: names in sticky directories that everybody may write to (Documentation/admin-guide/sysctl/fs.rst, fs/namei.c). */
import { EACCES, EPERM } from '../abi/errno.ts';
import { S_IFIFO, S_IFMT, S_IFREG, S_ISGID, S_ISUID, S_ISVTX, S_IWOTH, S_IXGRP } from '../abi/stat.ts';
import type { CallContext } from './call-context.ts';
import type { Inode } from './inode.ts';
import { MAY_READ, MAY_WRITE, inodePermission, ownerOrCapable } from './permission.ts';
import { treeChanged } from './walk-cache.ts';

export const PROTECTIONS = ['symlinks', 'hardlinks', 'fifos', 'regular'] as const;
export type Protection = (typeof PROTECTIONS)[number];

const protections: Record<Protection, number> = { symlinks: 0, hardlinks: 0, fifos: 0, regular: 0 };

export function protection(of: Protection): number {
  return protections[of];
}

export function setProtection(of: Protection, value: number): void {
  protections[of] = value;
  // What walks have remembered was allowed by the old value.
  treeChanged();
}

/** True if following a link in `dir` depends on who does it. */
export function protectsLinks(dir: Inode): boolean {
  return protections.symlinks !== 0 && (dir.mode & (S_ISVTX | S_IWOTH)) === (S_ISVTX | S_IWOTH);
}

/** may_follow_link(): `link` is the last component of a name, in `dir`. */
export function mayFollowLink(t: CallContext, dir: Inode, link: Inode): number {
  if (!protectsLinks(dir) || link.uid === t.creds.fsuid || link.uid === dir.uid) return 0;
  return -EACCES;
}

/** safe_hardlink_source() */
function isSafeSource(t: CallContext, inode: Inode): boolean {
  const { mode } = inode;
  if ((mode & S_IFMT) !== S_IFREG || (mode & S_ISUID) !== 0) return false;
  if ((mode & (S_ISGID | S_IXGRP)) === (S_ISGID | S_IXGRP)) return false;
  return inodePermission(t, inode, MAY_READ | MAY_WRITE) === 0;
}

/** may_linkat() */
export function mayLink(t: CallContext, inode: Inode): number {
  if (protections.hardlinks === 0 || isSafeSource(t, inode) || ownerOrCapable(t, inode)) return 0;
  return -EPERM;
}

/** may_create_in_sticky(): O_CREAT has found `inode` in `dir`. */
export function mayCreateInSticky(t: CallContext, dir: Inode, inode: Inode): number {
  if ((dir.mode & S_ISVTX) === 0) return 0;
  const type = inode.mode & S_IFMT;
  if (type === S_IFREG && protections.regular === 0) return 0;
  if (type === S_IFIFO && protections.fifos === 0) return 0;
  if (inode.uid === dir.uid || inode.uid === t.creds.fsuid) return 0;
  if ((dir.mode & 0o002) !== 0) return -EACCES;
  if ((dir.mode & 0o020) === 0) return 0;
  if (type === S_IFIFO && protections.fifos >= 2) return -EACCES;
  return type === S_IFREG && protections.regular >= 2 ? -EACCES : 0;
}
