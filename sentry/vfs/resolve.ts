/** The `resolve` field of openat2(2). */
import {
  LOOKUP_BENEATH,
  LOOKUP_CACHED,
  LOOKUP_IN_ROOT,
  LOOKUP_NO_MAGICLINKS,
  LOOKUP_NO_SYMLINKS,
  LOOKUP_NO_XDEV,
} from './walk.ts';

export const RESOLVE_NO_XDEV = 0x01;
export const RESOLVE_NO_MAGICLINKS = 0x02;
export const RESOLVE_NO_SYMLINKS = 0x04;
export const RESOLVE_BENEATH = 0x08;
export const RESOLVE_IN_ROOT = 0x10;
export const RESOLVE_CACHED = 0x20;

/** LOOKUP_* flags of a RESOLVE_* mask. */
export function resolveFlags(resolve: number): number {
  let flags = 0;
  if (resolve & RESOLVE_NO_XDEV) flags |= LOOKUP_NO_XDEV;
  if (resolve & RESOLVE_NO_MAGICLINKS) flags |= LOOKUP_NO_MAGICLINKS;
  if (resolve & RESOLVE_NO_SYMLINKS) flags |= LOOKUP_NO_SYMLINKS | LOOKUP_NO_MAGICLINKS;
  if (resolve & RESOLVE_BENEATH) flags |= LOOKUP_BENEATH;
  if (resolve & RESOLVE_IN_ROOT) flags |= LOOKUP_IN_ROOT;
  if (resolve & RESOLVE_CACHED) flags |= LOOKUP_CACHED;
  return flags;
}
