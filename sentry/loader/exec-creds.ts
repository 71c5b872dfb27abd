/** Credentials across execve: set-user-ID files and capabilities (security/commoncap.c cap_bprm_creds_from_file()). */
import { S_ISGID, S_ISUID } from '../abi/stat.ts';
import { CapSet } from '../auth/capability.ts';
import type { Credentials } from '../auth/credentials.ts';
import type { FileDescription } from '../vfs/file-description.ts';
import { MS_NOSUID } from '../vfs/mount.ts';

const S_IXGRP = 0o010;
const SECBIT_NOROOT = 1;
const SECBIT_KEEP_CAPS = 16;

export interface ExecCreds {
  creds: Credentials;
  /** AT_SECURE: the program must not trust its environment. */
  secure: boolean;
  /** The ids changed: PR_SET_PDEATHSIG is cleared. */
  idsChanged: boolean;
  /** PR_GET_DUMPABLE will be 1. */
  dumpable: boolean;
}

/**
 * New credentials for running `file`. File capabilities do not exist here (the gofer passes on no security.* attributes), so
 * beside set-user-ID only the root rules of capabilities(7) apply.
 */
export function execCredentials(old: Credentials, file: FileDescription, noNewPrivs: boolean): ExecCreds {
  const c = old.clone();
  const { inode, path } = file;
  const honoured = path !== null && (path.mount.flags & MS_NOSUID) === 0 && !noNewPrivs;
  // "We cannot trust the identity" of who has no name in the namespace (bprm_fill_uid).
  const { userNs } = old;
  const known = honoured && userNs.hasUid(inode.uid) && userNs.hasGid(inode.gid);
  if (known && (inode.mode & S_ISUID) !== 0) c.euid = inode.uid;
  if (known && (inode.mode & (S_ISGID | S_IXGRP)) === (S_ISGID | S_IXGRP)) c.egid = inode.gid;
  const idsChanged = c.euid !== old.euid || c.egid !== old.egid;
  const isSetid = c.euid !== c.uid || c.egid !== c.gid;
  c.suid = c.euid;
  c.fsuid = c.euid;
  c.sgid = c.egid;
  c.fsgid = c.egid;
  if (idsChanged) c.ambient = CapSet.EMPTY;
  // handle_privileged_root()
  const rootRules = (c.securebits & SECBIT_NOROOT) === 0;
  const root = userNs.toUid(0);
  if (rootRules && (c.euid === root || c.uid === root)) {
    c.permitted = c.inheritable.or(c.bounding).or(c.ambient);
    c.effective = c.euid === root ? c.permitted : c.ambient;
  } else {
    c.permitted = c.ambient;
    c.effective = c.ambient;
  }
  if (noNewPrivs) {
    c.permitted = c.permitted.and(old.permitted);
    c.effective = c.effective.and(c.permitted);
  }
  c.securebits &= ~SECBIT_KEEP_CAPS;
  const gainedCaps = c.uid !== root && !c.effective.isSubsetOf(c.ambient);
  const secure = isSetid || gainedCaps;
  return { creds: c, secure, idsChanged, dumpable: !secure };
}
