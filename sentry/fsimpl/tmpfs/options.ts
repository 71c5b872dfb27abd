/** Mount options of tmpfs (mm/shmem.c shmem_parse_one; tmpfs(5)). */
import { EINVAL } from '../../abi/errno.ts';
import { PAGE_SIZE } from '../../lib/addr.ts';
import { parseInteger } from '../kernfs/parse.ts';

export interface TmpfsOptions {
  /** Bytes; Infinity for no limit. */
  size?: number;
  inodes?: number;
  mode?: number;
  uid?: number;
  gid?: number;
  /** Numbers of the inodes start after this. */
  firstIno?: number;
  /** Shown, without an effect: inode numbers are what they are, and memory is the host's to swap and to join. */
  inode64?: boolean;
  huge?: string;
  noswap?: boolean;
}

const SUFFIXES = 'kmgtpe';

/** memparse(): a decimal number with an optional suffix; −1 if malformed. */
function memparse(s: string): number {
  let i = 0;
  let n = 0;
  for (; i < s.length && s.charCodeAt(i) >= 48 && s.charCodeAt(i) <= 57; i++)
    n = n * 10 + s.charCodeAt(i) - 48;
  if (i === 0 || s.length - i > 1) return -1;
  const shift = i === s.length ? 0 : SUFFIXES.indexOf(s[i]!.toLowerCase()) + 1;
  if (shift === 0 && i < s.length) return -1;
  const value = n * 1024 ** shift;
  return value > Number.MAX_SAFE_INTEGER ? -1 : value;
}

/** Bytes of `64m`, `50%`, `4096`, …; −1 if malformed. */
function parseSize(s: string): number {
  if (!s.endsWith('%')) return memparse(s);
  const percent = memparse(s.slice(0, -1));
  return percent < 0 ? -1 : Math.floor((memoryTotal * percent) / 100);
}

/** Size that `%` and the default of half the memory refer to. */
let memoryTotal = 2 * 1024 ** 3;

export function setTmpfsMemoryTotal(bytes: number): void {
  memoryTotal = bytes;
}

/** Default limit as in Linux: half the memory, in whole pages (shmem_default_max_blocks()). */
export function defaultTmpfsSize(): number {
  return Math.floor(memoryTotal / 2 / PAGE_SIZE) * PAGE_SIZE;
}

/** shmem_default_max_inodes() */
export function defaultInodes(): number {
  return Math.floor(memoryTotal / 8192);
}

const HUGE: readonly string[] = ['never', 'always', 'within_size', 'advise'];
const POLICIES: readonly string[] = ['default', 'prefer', 'bind', 'interleave', 'local'];

/** Options that take a value. */
export const TMPFS_VALUES = ['size', 'nr_blocks', 'nr_inodes', 'mode', 'uid', 'gid', 'huge', 'mpol'];

/** The options of mount(2)'s data, or −EINVAL. */
export function parseTmpfsOptions(data: string): TmpfsOptions | number {
  const o: TmpfsOptions = {};
  for (const part of data.split(',')) {
    if (part === '') continue;
    const eq = part.indexOf('=');
    const fits = eq < 0 ? parseWord(o, part) : parseValue(o, part.slice(0, eq), part.slice(eq + 1));
    if (!fits) return -EINVAL;
  }
  return o;
}

function parseWord(o: TmpfsOptions, word: string): boolean {
  if (word === 'inode64' || word === 'inode32') o.inode64 = word === 'inode64';
  else if (word === 'noswap') o.noswap = true;
  else return false;
  return true;
}

function parseValue(o: TmpfsOptions, key: string, value: string): boolean {
  switch (key) {
    case 'size':
    case 'nr_blocks': {
      const n = key === 'size' ? parseSize(value) : memparse(value) * PAGE_SIZE;
      o.size = n === 0 ? Infinity : n;
      return n >= 0;
    }
    case 'nr_inodes': {
      const n = memparse(value);
      o.inodes = n === 0 ? Infinity : n;
      return n >= 0;
    }
    case 'mode': {
      const mode = parseInteger(value, 8);
      o.mode = mode & 0o7777;
      return mode >= 0 && mode <= 0xffffffff;
    }
    case 'uid':
    case 'gid': {
      const id = parseInteger(value, 0);
      o[key] = id;
      // The last number stands for no user.
      return id >= 0 && id < 0xffffffff;
    }
    case 'huge':
      o.huge = value;
      return HUGE.includes(value);
    case 'mpol':
      return POLICIES.some((p) => value === p || value.startsWith(`${p}:`) || value.startsWith(`${p}=`));
    // Of SELinux, which engines pass whether it is there or not.
    case 'context':
      return true;
    default:
      return false;
  }
}
