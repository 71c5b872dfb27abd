/** tmpfs: files in memory (mm/shmem.c). One super block with its limits, which its inodes and pages are charged to. */
import { EINVAL } from '../../abi/errno.ts';
import { PAGE_SIZE } from '../../lib/addr.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { Inode } from '../../vfs/inode.ts';
import { SuperBlock, type StatFs } from '../../vfs/super-block.ts';
import type { PageAccount } from './content.ts';
import { TmpfsDir } from './directory.ts';

export const TMPFS_MAGIC = 0x01021994;
/** Inodes of all tmpfs together: they are held in the sentry's heap, about 1 KiB each. */
const INODES_MAX = 500_000;

/** Targets of symbolic links are strings of the heap as well. */
const TARGETS_MAX = 128 * 1024 * 1024;

let inodesInUse = 0;
let targetsInUse = 0;

/** Of all tmpfs together: their memory is the sentry's as far as the host knows, so the container's limit is kept here. */
let pagesInUse = 0;
/** The guard is asked each time that so much more is in use. */
const CHECK_PAGES = 256;
let nextCheck = CHECK_PAGES;
let guard: (bytes: number) => boolean = () => true;

/** `mayHold`: whether all tmpfs together may hold so many bytes. */
export function setTmpfsGuard(mayHold: (bytes: number) => boolean): void {
  guard = mayHold;
}

export function tmpfsBytesInUse(): number {
  return pagesInUse * PAGE_SIZE;
}

function hasRoom(pages: number): boolean {
  const wanted = pagesInUse + pages;
  if (wanted < nextCheck) return true;
  if (!guard(wanted * PAGE_SIZE)) return false;
  nextCheck = wanted + CHECK_PAGES;
  return true;
}

export interface TmpfsOptions {
  /** Bytes; Infinity for no limit. */
  size?: number;
  inodes?: number;
  mode?: number;
  uid?: number;
  gid?: number;
  /** Numbers of the inodes start after this. */
  firstIno?: number;
}

export class TmpfsSuperBlock extends SuperBlock implements PageAccount {
  readonly fsType: string = 'tmpfs';
  readonly root: TmpfsDir;
  private maxPages: number;
  private maxInodes: number;
  private pages = 0;
  private inodes = 0;
  private lastIno: number;
  private readonly given: TmpfsOptions;

  constructor(options: TmpfsOptions = {}) {
    super();
    this.given = { ...options };
    this.maxPages = Math.ceil((options.size ?? Infinity) / PAGE_SIZE);
    this.maxInodes = options.inodes ?? Infinity;
    this.lastIno = options.firstIno ?? 0;
    this.inodes = 1;
    inodesInUse++;
    this.root = new TmpfsDir(this, options.mode ?? 0o1777, options.uid ?? 0, options.gid ?? 0);
  }

  nextIno(): number {
    return ++this.lastIno;
  }

  charge(pages: number): boolean {
    if (pages > 0 && (this.pages + pages > this.maxPages || !hasRoom(pages))) return false;
    this.pages += pages;
    pagesInUse += pages;
    if (pages < 0) nextCheck = Math.min(nextCheck, pagesInUse + CHECK_PAGES);
    return true;
  }

  /** Takes an inode; false at the limit. */
  chargeInode(): boolean {
    if (this.inodes >= this.maxInodes || inodesInUse >= INODES_MAX) return false;
    this.inodes++;
    inodesInUse++;
    return true;
  }

  unchargeInode(): void {
    this.inodes--;
    inodesInUse--;
  }

  /** Room for a symbolic link's target. */
  chargeTarget(len: number): boolean {
    if (targetsInUse + len > TARGETS_MAX) return false;
    targetsInUse += len;
    return true;
  }

  unchargeTarget(len: number): void {
    targetsInUse -= len;
  }

  override statfs(): StatFs {
    const limited = this.maxPages !== Infinity;
    const free = limited ? Math.max(0, this.maxPages - this.pages) : 0;
    const maxInodes = this.maxInodes === Infinity ? 0 : this.maxInodes;
    return {
      type: TMPFS_MAGIC,
      bsize: PAGE_SIZE,
      blocks: limited ? this.maxPages : 0,
      bfree: free,
      bavail: free,
      files: maxInodes,
      ffree: Math.max(0, maxInodes - this.inodes),
      namelen: 255,
    };
  }

  override options(): string {
    const o = this.given;
    let s = this.readOnly ? 'ro' : 'rw';
    const isDefault = this.maxPages === Math.floor(defaultTmpfsSize() / PAGE_SIZE);
    if (this.maxPages !== Infinity && !isDefault) s += `,size=${(this.maxPages * PAGE_SIZE) / 1024}k`;
    if (this.maxInodes !== Infinity && this.maxInodes !== defaultInodes())
      s += `,nr_inodes=${this.maxInodes}`;
    if (o.mode !== undefined && o.mode !== 0o1777) s += `,mode=${o.mode.toString(8)}`;
    if (o.uid) s += `,uid=${o.uid}`;
    if (o.gid) s += `,gid=${o.gid}`;
    return s;
  }

  /** MS_REMOUNT with new limits: 0, or −EINVAL if more is in use than they allow. */
  override reconfigure(data: string): number {
    const o = parseTmpfsOptions(data);
    if (typeof o === 'number') return o;
    const maxPages = o.size === undefined ? this.maxPages : Math.ceil(o.size / PAGE_SIZE);
    const maxInodes = o.inodes ?? this.maxInodes;
    if (this.pages > maxPages || this.inodes > maxInodes) return -EINVAL;
    this.maxPages = maxPages;
    this.maxInodes = maxInodes;
    return 0;
  }

  /** The last mount is gone: every memfd is closed, except those that open files still use. */
  override release(): void {
    const stack: Inode[] = [this.root];
    for (let dir = stack.pop(); dir !== undefined; dir = stack.pop()) {
      for (const child of (dir as TmpfsDir).inodes()) {
        if (child.isDir) stack.push(child);
        child.nlink = 0;
        if (!child.inUse) child.evict();
      }
    }
  }
}

/** Bytes of `64m`, `50%`, `4096`, … (memparse); −1 if malformed. */
function parseSize(s: string, total: number): number {
  let n = 0;
  let i = 0;
  for (; i < s.length && s.charCodeAt(i) >= 48 && s.charCodeAt(i) <= 57; i++)
    n = n * 10 + s.charCodeAt(i) - 48;
  if (i === 0 || n > Number.MAX_SAFE_INTEGER) return -1;
  const suffix = s.slice(i).toLowerCase();
  if (suffix === '%') return Math.floor((total * n) / 100);
  const shift = ['', 'k', 'm', 'g', 't'].indexOf(suffix);
  return shift < 0 ? -1 : n * 1024 ** shift;
}

/** Size that `%` and the default of half the memory refer to. */
let memoryTotal = 2 * 1024 ** 3;

export function setTmpfsMemoryTotal(bytes: number): void {
  memoryTotal = bytes;
}

/** Default limit as in Linux: half the memory. */
export function defaultTmpfsSize(): number {
  return Math.floor(memoryTotal / 2);
}

/** shmem_default_max_inodes() */
function defaultInodes(): number {
  return Math.floor(memoryTotal / 8192);
}

/** mount(2)'s data for tmpfs(5); unknown options are −EINVAL. */
export function parseTmpfsOptions(data: string): TmpfsOptions | number {
  const o: TmpfsOptions = {};
  for (const part of data.split(',')) {
    if (part === '') continue;
    const eq = part.indexOf('=');
    const key = eq < 0 ? part : part.slice(0, eq);
    const value = eq < 0 ? '' : part.slice(eq + 1);
    if (key === 'size' || key === 'nr_blocks' || key === 'nr_inodes') {
      const n = parseSize(value, memoryTotal);
      if (n < 0) return -EINVAL;
      if (key === 'nr_inodes') o.inodes = n === 0 ? Infinity : n;
      else o.size = n === 0 ? Infinity : key === 'size' ? n : n * PAGE_SIZE;
    } else if (key === 'mode') {
      const mode = parseInt(value, 8);
      if (!(mode >= 0 && mode <= 0o7777)) return -EINVAL;
      o.mode = mode;
    } else if (key === 'uid' || key === 'gid') {
      const id = Number(value);
      if (!Number.isInteger(id) || id < 0) return -EINVAL;
      o[key] = id;
    } else if (!IGNORED.has(key)) {
      return -EINVAL;
    }
  }
  return o;
}

/**
 * What mount(2) of a tmpfs makes: with Linux's default limits and the caller's ids unless the data says otherwise, whose ids
 * are those of the caller's user namespace.
 */
export function mountTmpfs(t: CallContext | null, data: string): TmpfsSuperBlock | number {
  const options = parseTmpfsOptions(data);
  if (typeof options === 'number') return options;
  if (t !== null) {
    const { userNs, fsuid, fsgid } = t.creds;
    options.uid = options.uid === undefined ? fsuid : userNs.toUid(options.uid);
    options.gid = options.gid === undefined ? fsgid : userNs.toGid(options.gid);
    if (options.uid < 0 || options.gid < 0) return -EINVAL;
  }
  return new TmpfsSuperBlock({
    size: defaultTmpfsSize(),
    inodes: defaultInodes(),
    ...options,
  });
}

/** Options without a meaning here: NUMA policy, huge pages, inode number width; SELinux labels that engines pass. */
const IGNORED: ReadonlySet<string> = new Set([
  'huge',
  'mpol',
  'inode32',
  'inode64',
  'noswap',
  'rw',
  'ro',
  'context',
]);
