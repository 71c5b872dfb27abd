/** Rules for changing attributes (fs/attr.c, fs/inode.c). */
import { EINVAL, EPERM } from '../abi/errno.ts';
import { S_IFMT, S_IFREG, S_ISGID, S_ISUID, S_IXGRP } from '../abi/stat.ts';
import { CAP_CHOWN, CAP_FSETID } from '../auth/capability.ts';
import type { CallContext } from './call-context.ts';
import type { AttrChange, Inode } from './inode.ts';
import { capableWrtInode, ownerOrCapable } from './permission.ts';
import { aclMode, aclValid, type AclType, type PosixAcl } from './posix-acl.ts';

/**
 * Mode after a write or truncation by someone without CAP_FSETID: setuid goes, setgid goes if the group may execute
 * (setattr_should_drop_suidgid).
 */
export function modeWithoutPrivs(t: CallContext, inode: Inode): number {
  const { mode } = inode;
  if ((mode & S_IFMT) !== S_IFREG || (mode & (S_ISUID | S_ISGID)) === 0) return mode;
  if (capableWrtInode(t.creds, inode, CAP_FSETID)) return mode;
  let kept = mode & ~S_ISUID;
  if ((mode & S_ISGID) !== 0) {
    if ((mode & S_IXGRP) !== 0 || !t.creds.inGroup(inode.gid)) kept &= ~S_ISGID;
  }
  return kept;
}

/** file_remove_privs(): before the first byte is written. */
export function fileRemovePrivs(t: CallContext, inode: Inode): void {
  if (inode.hasFileCaps) inode.killFileCaps();
  const mode = modeWithoutPrivs(t, inode);
  if (mode !== inode.mode) inode.setAttr({ mode: mode & 0o7777 });
}

/** may_setattr(): owner, mode and times stay as they are. */
export function isProtected(inode: Inode): boolean {
  return inode.isImmutable || inode.isAppendOnly;
}

/** May the caller chmod? Drops setgid for strangers to the group. 0 or −EPERM. */
export function prepareChmod(t: CallContext, inode: Inode, change: AttrChange): number {
  if (isProtected(inode)) return -EPERM;
  if (!ownerOrCapable(t, inode)) return -EPERM;
  if (!t.creds.inGroup(inode.gid) && !capableWrtInode(t.creds, inode, CAP_FSETID)) {
    change.mode = change.mode! & ~S_ISGID;
  }
  return 0;
}

/** May the caller give the inode away (ids −1: unchanged)? Adds what happens to setuid and setgid. 0 or −EPERM. */
export function prepareChown(t: CallContext, inode: Inode, uid: number, gid: number): AttrChange | number {
  const { creds } = t;
  if ((uid !== -1 || gid !== -1) && isProtected(inode)) return -EPERM;
  const change: AttrChange = {};
  if (uid !== -1) {
    const self = creds.fsuid === inode.uid && uid === inode.uid;
    if (!self && !capableWrtInode(creds, inode, CAP_CHOWN)) return -EPERM;
    change.uid = uid;
  }
  if (gid !== -1) {
    const own = creds.fsuid === inode.uid && (creds.inGroup(gid) || gid === inode.gid);
    if (!own && !capableWrtInode(creds, inode, CAP_CHOWN)) return -EPERM;
    change.gid = gid;
  }
  if (!inode.isDir && (inode.mode & (S_ISUID | S_ISGID)) !== 0) {
    // chown_common() kills the bits whoever asks; setgid without group execute only for outsiders.
    let mode = inode.mode & ~S_ISUID;
    const outsider = !creds.inGroup(inode.gid) && !capableWrtInode(creds, inode, CAP_FSETID);
    if ((mode & S_IXGRP) !== 0 || outsider) mode &= ~S_ISGID;
    if (mode !== inode.mode) {
      // A change of mode, if only to drop bits, is the owner's (setattr_prepare).
      if (!ownerOrCapable(t, inode)) return -EPERM;
      change.mode = mode & 0o7777;
    }
  }
  return change;
}

/** Group and mode of a new object in a directory (inode_init_owner): setgid directories hand down their group. */
export function newGid(t: CallContext, dir: Inode): number {
  return (dir.mode & S_ISGID) !== 0 ? dir.gid : t.creds.fsgid;
}

export function newDirMode(dir: Inode, mode: number): number {
  return (dir.mode & S_ISGID) !== 0 ? mode | S_ISGID : mode;
}

/** mode_strip_sgid(): who is not in the inherited group does not get setgid executables of it. */
export function newFileMode(t: CallContext, dir: Inode, mode: number): number {
  if ((mode & (S_ISGID | S_IXGRP)) !== (S_ISGID | S_IXGRP) || (dir.mode & S_ISGID) === 0) return mode;
  if (t.creds.inGroup(dir.gid) || capableWrtInode(t.creds, dir, CAP_FSETID)) return mode;
  return mode & ~S_ISGID;
}

/** Mode of a new object of `dir`: a default list stands for the umask (posix_acl_create). */
export function modeByDefaultAcl(t: CallContext, dir: Inode, mode: number): number {
  const acl = dir.getAcl('default');
  if (acl === null || typeof acl === 'number') return mode & ~t.fs.umask;
  return mode & (~0o777 | aclMode(acl).bits);
}

/** posix_acl_update_mode(): what the mode becomes with `acl`, and the list if the mode does not say all of it. */
function updateMode(t: CallContext, inode: Inode, acl: PosixAcl): { mode: number; acl: PosixAcl | null } {
  const { bits, equivalent } = aclMode(acl);
  let mode = (inode.mode & 0o7000) | bits;
  if (!t.creds.inGroup(inode.gid) && !capableWrtInode(t.creds, inode, CAP_FSETID)) mode &= ~S_ISGID;
  return { mode, acl: equivalent ? null : acl };
}

/** set_posix_acl() once the caller may: `acl` null takes it away. 0 or −errno. */
export function setPosixAcl(t: CallContext, inode: Inode, type: AclType, acl: PosixAcl | null): number {
  if (acl !== null && aclValid(acl) !== 0) return -EINVAL;
  if (acl === null) return inode.removeAcl(type);
  if (type === 'default') return inode.setAcl(type, acl, inode.mode & 0o7777);
  const updated = updateMode(t, inode, acl);
  return inode.setAcl(type, updated.acl, updated.mode);
}
