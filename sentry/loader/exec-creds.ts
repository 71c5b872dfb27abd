/** Credentials across execve: set-user-ID files and capabilities (security/commoncap.c cap_bprm_creds_from_file()). */
import { S_ISGID, S_ISUID } from '../abi/stat.ts';

import { CAP_SETUID, CapSet } from '../auth/capability.ts';
import type { Credentials } from '../auth/credentials.ts';
import { EPERM } from '../abi/errno.ts';
import { fileCaps } from './file-caps.ts';
import type { FileDescription } from '../vfs/file-description.ts';
import { MS_NOSUID } from '../vfs/mount.ts';

const S_IXGRP = 0o010;
const SECBIT_NOROOT = 1;
const SECBIT_KEEP_CAPS = 16;

export interface ExecCreds {
  creds: Credentials;
  /** AT_SECURE: the program must not trust its environment. */
  secure: boolean;
  /** Ids or capabilities changed: PR_SET_PDEATHSIG is cleared. */
  forgetsParent: boolean;
  /** PR_GET_DUMPABLE will be 1. */
  dumpable: boolean;
}

/**
 * New credentials for running `file`, or −EPERM: it lets itself be run only with capabilities that the caller cannot have. −EINVAL:
 * its attribute is malformed.
 */
export function execCredentials(
  old: Credentials,
  file: FileDescription,
  noNewPrivs: boolean,
  tracedByLesser: boolean,
): ExecCreds | number {
  const c = old.clone();
  const { inode, path } = file;
  const maySuid = path !== null && (path.mount.flags & MS_NOSUID) === 0;
  const honoured = maySuid && !noNewPrivs;
  // "We cannot trust the identity" of who has no name in the namespace (bprm_fill_uid).
  const { userNs } = old;
  const known = honoured && userNs.hasUid(inode.uid) && userNs.hasGid(inode.gid);
  if (known && (inode.mode & S_ISUID) !== 0) c.euid = inode.uid;
  if (known && (inode.mode & (S_ISGID | S_IXGRP)) === (S_ISGID | S_IXGRP)) c.egid = inode.gid;
  const idsChanged = c.euid !== old.euid || !old.inGroup(c.egid);
  const given = maySuid ? fileCaps(userNs, inode) : null;
  if (typeof given === 'number') return given;
  if (idsChanged || given !== null) c.ambient = CapSet.EMPTY;
  c.permitted = CapSet.EMPTY;
  let effective = given?.effective === true;
  if (given !== null) {
    // bprm_caps_from_vfs_caps(): "pP' = (X & fP) | (pI & fI)"
    c.permitted = c.bounding.and(given.permitted).or(c.inheritable.and(given.inheritable));
    if (effective && !given.permitted.isSubsetOf(c.permitted)) return -EPERM;
  }
  // handle_privileged_root(): not for a set-user-ID root program that says itself what it needs.
  const rootRules = (c.securebits & SECBIT_NOROOT) === 0;
  const root = userNs.toUid(0);
  if (rootRules && !(given !== null && c.euid === root && c.uid !== root)) {
    if (c.euid === root || c.uid === root) c.permitted = c.inheritable.or(c.bounding);
    if (c.euid === root) effective = true;
  }
  const isUnsafe = noNewPrivs || tracedByLesser;
  if (isUnsafe && (idsChanged || !c.permitted.isSubsetOf(old.permitted))) {
    // "downgrade; they get no more than they had, and maybe less"
    if (noNewPrivs || !old.hasIn(CAP_SETUID, userNs)) {
      c.euid = c.uid;
      c.egid = c.gid;
    }
    c.permitted = c.permitted.and(old.permitted);
  }
  c.suid = c.euid;
  c.fsuid = c.euid;
  c.sgid = c.egid;
  c.fsgid = c.egid;
  c.permitted = c.permitted.or(c.ambient);
  c.effective = effective ? c.permitted : c.ambient;
  c.securebits &= ~SECBIT_KEEP_CAPS;
  const gainedCaps = c.uid !== root && (effective || !c.permitted.isSubsetOf(c.ambient));
  const secure = idsChanged || c.euid !== c.uid || c.egid !== c.gid || gainedCaps;
  // begin_new_exec(), commit_creds(): not with other ids, of the file system neither, or more capabilities than before.
  const fsIdsChanged = c.fsuid !== old.fsuid || c.fsgid !== old.fsgid;
  const credsChanged =
    c.euid !== old.euid || c.egid !== old.egid || fsIdsChanged || !c.permitted.isSubsetOf(old.permitted);
  const dumpable = old.euid === old.uid && old.egid === old.gid && !credsChanged;
  return { creds: c, secure, forgetsParent: secure || credsChanged, dumpable };
}
