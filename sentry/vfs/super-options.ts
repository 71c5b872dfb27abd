/** Flags and options that super blocks of all file systems have (fs/fs_context.c, fs/super.c, fs/proc_namespace.c). */
import { EBUSY, EROFS } from '../abi/errno.ts';
import { MS_DIRSYNC, MS_LAZYTIME, MS_MANDLOCK, MS_RDONLY, MS_SYNCHRONOUS } from './mount.ts';
import type { SuperBlock } from './super-block.ts';

/** Those of mount(2)'s flags that are the super block's (path_mount). */
export const SUPER_FLAGS = MS_RDONLY | MS_SYNCHRONOUS | MS_MANDLOCK | MS_DIRSYNC | MS_LAZYTIME;
/** Those that a remount can change (MS_RMT_MASK). */
export const REMOUNT_FLAGS = MS_RDONLY | MS_SYNCHRONOUS | MS_MANDLOCK | MS_LAZYTIME;

const SET = new Map([
  ['ro', MS_RDONLY],
  ['sync', MS_SYNCHRONOUS],
  ['dirsync', MS_DIRSYNC],
  ['lazytime', MS_LAZYTIME],
  ['mand', MS_MANDLOCK],
]);
const CLEAR = new Map([
  ['rw', MS_RDONLY],
  ['async', MS_SYNCHRONOUS],
  ['nolazytime', MS_LAZYTIME],
  ['nomand', MS_MANDLOCK],
]);

/** vfs_parse_sb_flag(): the flags after an option of that name, −1 if it is the file system's own. */
export function parseSuperFlag(flags: number, key: string): number {
  const set = SET.get(key);
  if (set !== undefined) return flags | set;
  const clear = CLEAR.get(key);
  return clear === undefined ? -1 : flags & ~clear;
}

export interface SuperOptions {
  flags: number;
  /** What is the file system's own. */
  data: string;
}

/** Takes the flags among mount(2)'s data out of it. */
export function splitSuperOptions(flags: number, data: string): SuperOptions {
  const rest: string[] = [];
  let f = flags & SUPER_FLAGS;
  for (const option of data.split(',')) {
    const eq = option.indexOf('=');
    const next = parseSuperFlag(f, eq < 0 ? option : option.slice(0, eq));
    if (next < 0) rest.push(option);
    else f = next;
  }
  return { flags: f, data: rest.join(',') };
}

/** Flags of a super block that was made just now. */
export function setSuperFlags(sb: SuperBlock, flags: number): void {
  if ((flags & MS_RDONLY) !== 0) makeReadOnly(sb);
  sb.flags = flags & SUPER_FLAGS & ~MS_RDONLY;
}

/** Super blocks that became read-only by a call, and may become writable again. */
const madeReadOnly = new WeakSet<SuperBlock>();

function makeReadOnly(sb: SuperBlock): void {
  if (sb.readOnly) return;
  sb.readOnly = true;
  madeReadOnly.add(sb);
}

/** reconfigure_super(): 0 or −errno. The caller checked privilege. */
export function reconfigureSuper(sb: SuperBlock, flags: number, data: string): number {
  const readOnly = (flags & MS_RDONLY) !== 0;
  if (readOnly && !sb.readOnly && sb.writers > 0) return -EBUSY;
  if (!readOnly && sb.readOnly && !madeReadOnly.has(sb)) return -EROFS;
  const r = sb.reconfigure(data);
  if (r < 0) return r;
  if (readOnly) makeReadOnly(sb);
  else if (madeReadOnly.delete(sb)) sb.readOnly = false;
  sb.flags = (sb.flags & ~REMOUNT_FLAGS) | (flags & REMOUNT_FLAGS & ~MS_RDONLY);
  return 0;
}

const NAMES: readonly (readonly [number, string])[] = [
  [MS_SYNCHRONOUS, ',sync'],
  [MS_DIRSYNC, ',dirsync'],
  [MS_MANDLOCK, ',mand'],
  [MS_LAZYTIME, ',lazytime'],
];

/** show_sb_opts(): the flags as words, each with a comma before it, `ro` and `rw` left out. */
export function superFlagNames(sb: SuperBlock): string {
  let text = '';
  for (const [bit, name] of NAMES) if ((sb.flags & bit) !== 0) text += name;
  return text;
}
