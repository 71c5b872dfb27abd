/**
 * POSIX access control lists (fs/posix_acl.c, acl(5)): their form as an extended attribute, the permission check, what a chmod
 * makes of them and what new objects inherit. User and group ids are the kernel's; calls translate them.
 */
import { EACCES, EINVAL, EIO, EOPNOTSUPP } from '../abi/errno.ts';
import { S_IFDIR, S_IFMT } from '../abi/stat.ts';
import type { Credentials, UserNamespace } from '../auth/credentials.ts';

export const XATTR_ACL_ACCESS = 'system.posix_acl_access';
export const XATTR_ACL_DEFAULT = 'system.posix_acl_default';

/** Which of the two lists: the object's own, or what is made in the directory gets. */
export type AclType = 'access' | 'default';

export interface AclEntry {
  readonly tag: number;
  readonly perm: number;
  /** User or group of ACL_USER and ACL_GROUP. */
  readonly id: number;
}
/** In the order that posix_acl_valid() asks for. */
export type PosixAcl = readonly AclEntry[];

export const ACL_USER_OBJ = 0x01;
export const ACL_USER = 0x02;
export const ACL_GROUP_OBJ = 0x04;
export const ACL_GROUP = 0x08;
export const ACL_MASK = 0x10;
export const ACL_OTHER = 0x20;

const ACL_VERSION = 2;
const HEADER_SIZE = 4;
const ENTRY_SIZE = 8;
const UNDEFINED_ID = 0xffffffff;

export const XATTR_ACL: Readonly<Record<AclType, string>> = {
  access: XATTR_ACL_ACCESS,
  default: XATTR_ACL_DEFAULT,
};

export function aclTypeOf(name: string): AclType | null {
  if (name === XATTR_ACL_ACCESS) return 'access';
  return name === XATTR_ACL_DEFAULT ? 'default' : null;
}

/** posix_acl_from_xattr(): null for a list without entries, −EINVAL, −EOPNOTSUPP. Ids are those of `ns`. */
export function aclFromXattr(ns: UserNamespace | null, value: Uint8Array): PosixAcl | null | number {
  if (value.length === 0) return null;
  if (value.length < HEADER_SIZE) return -EINVAL;
  const v = new DataView(value.buffer, value.byteOffset, value.length);
  if (v.getUint32(0, true) !== ACL_VERSION) return -EOPNOTSUPP;
  if ((value.length - HEADER_SIZE) % ENTRY_SIZE !== 0) return -EINVAL;
  const acl: AclEntry[] = [];
  for (let at = HEADER_SIZE; at < value.length; at += ENTRY_SIZE) {
    const tag = v.getUint16(at, true);
    let id = v.getUint32(at + 4, true);
    if (tag === ACL_USER || tag === ACL_GROUP) {
      if (id === UNDEFINED_ID) return -EINVAL;
      if (ns !== null) id = tag === ACL_USER ? ns.toUid(id) : ns.toGid(id);
      if (id < 0) return -EINVAL;
    } else {
      id = UNDEFINED_ID;
    }
    acl.push({ tag, perm: v.getUint16(at + 2, true), id });
  }
  return acl.length === 0 ? null : acl;
}

/** posix_acl_to_xattr(); who has no name in `ns` is −1. */
export function aclToXattr(ns: UserNamespace | null, acl: PosixAcl): Uint8Array {
  const value = new Uint8Array(HEADER_SIZE + acl.length * ENTRY_SIZE);
  const v = new DataView(value.buffer);
  v.setUint32(0, ACL_VERSION, true);
  let at = HEADER_SIZE;
  for (const { tag, perm, id } of acl) {
    v.setUint16(at, tag, true);
    v.setUint16(at + 2, perm, true);
    v.setUint32(at + 4, ns === null ? id : shownId(ns, tag, id), true);
    at += ENTRY_SIZE;
  }
  return value;
}

function shownId(ns: UserNamespace, tag: number, id: number): number {
  if (tag === ACL_USER) return ns.hasUid(id) ? ns.fromUid(id) : UNDEFINED_ID;
  if (tag === ACL_GROUP) return ns.hasGid(id) ? ns.fromGid(id) : UNDEFINED_ID;
  return UNDEFINED_ID;
}

/** posix_acl_valid(): owner, users, group, groups, mask, others; a mask if users or groups are named. 0 or −EINVAL. */
export function aclValid(acl: PosixAcl): number {
  let next = ACL_USER_OBJ;
  let needsMask = false;
  for (const { tag, perm } of acl) {
    if ((perm & ~7) !== 0) return -EINVAL;
    if (tag === ACL_USER_OBJ && next === ACL_USER_OBJ) next = ACL_USER;
    else if (tag === ACL_USER && next === ACL_USER) needsMask = true;
    else if (tag === ACL_GROUP_OBJ && next === ACL_USER) next = ACL_GROUP;
    else if (tag === ACL_GROUP && next === ACL_GROUP) needsMask = true;
    else if (tag === ACL_MASK && next === ACL_GROUP) next = ACL_OTHER;
    else if (tag === ACL_OTHER && (next === ACL_OTHER || (next === ACL_GROUP && !needsMask))) next = 0;
    else return -EINVAL;
  }
  return next === 0 ? 0 : -EINVAL;
}

/** posix_acl_equiv_mode(): the permission bits that a list amounts to, and whether they say all of it. */
export function aclMode(acl: PosixAcl): { bits: number; equivalent: boolean } {
  let bits = 0;
  let equivalent = true;
  for (const { tag, perm } of acl) {
    if (tag === ACL_USER_OBJ) bits |= perm << 6;
    else if (tag === ACL_GROUP_OBJ) bits |= perm << 3;
    else if (tag === ACL_OTHER) bits |= perm;
    else equivalent = false;
    if (tag === ACL_MASK) bits = (bits & ~0o070) | (perm << 3);
  }
  return { bits, equivalent };
}

/** posix_acl_permission(): 0, −EACCES or −EIO for who is not the owner. `gid`: the object's; `mask`: MAY_*. */
export function aclPermission(creds: Credentials, gid: number, acl: PosixAcl, mask: number): number {
  const want = mask & 7;
  const upper = acl.find((e) => e.tag === ACL_MASK)?.perm ?? 7;
  let inSomeGroup = false;
  for (const { tag, perm, id } of acl) {
    if (tag === ACL_USER) {
      if (id === creds.fsuid) return denied(perm & upper, want);
    } else if (tag === ACL_GROUP_OBJ || tag === ACL_GROUP) {
      if (!creds.inGroup(tag === ACL_GROUP ? id : gid)) continue;
      if ((perm & want) === want) return denied(perm & upper, want);
      inSomeGroup = true;
    } else if (tag === ACL_OTHER) {
      return denied(inSomeGroup ? 0 : perm, want);
    }
  }
  return -EIO;
}

const denied = (perm: number, want: number): number => ((perm & want) === want ? 0 : -EACCES);

/** __posix_acl_chmod_masq(): owner's, others' and the mask's (or the group's) entry follow the mode. */
export function aclChmod(acl: PosixAcl, mode: number): PosixAcl {
  const group = acl.some((e) => e.tag === ACL_MASK) ? ACL_MASK : ACL_GROUP_OBJ;
  return acl.map((e) => {
    if (e.tag === ACL_USER_OBJ) return { ...e, perm: (mode >> 6) & 7 };
    if (e.tag === group) return { ...e, perm: (mode >> 3) & 7 };
    return e.tag === ACL_OTHER ? { ...e, perm: mode & 7 } : e;
  });
}

/** posix_acl_create_masq(): what an object that is made with `mode` inherits: the lesser of both. */
function aclInherit(acl: PosixAcl, mode: number): PosixAcl {
  const { bits } = aclMode(acl);
  return aclChmod(acl, bits & mode);
}

/** Both lists that an object made in a directory with the default list `acl` starts with. */
export function inherited(
  acl: PosixAcl,
  mode: number,
): { access: PosixAcl | null; byDefault: PosixAcl | null } {
  const own = aclInherit(acl, mode & 0o777);
  return {
    access: aclMode(own).equivalent ? null : own,
    byDefault: (mode & S_IFMT) === S_IFDIR ? acl : null,
  };
}
