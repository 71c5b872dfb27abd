/** tmpfs: files in memory (mm/shmem.c). One super block with its limits, which its inodes and pages are charged to. */
import { EINVAL } from '../../abi/errno.ts';
import { PAGE_SIZE } from '../../lib/addr.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { Inode } from '../../vfs/inode.ts';
import { SuperBlock, type StatFs } from '../../vfs/super-block.ts';
import type { PageAccount } from './content.ts';
import { TmpfsDir } from './directory.ts';
import { defaultInodes, defaultTmpfsSize, parseTmpfsOptions, type TmpfsOptions } from './options.ts';

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

/** Takes pages of the sandbox's memory for files (gives back if negative): false if there are none. */
export function chargePages(pages: number): boolean {
  if (pages > 0 && !hasRoom(pages)) return false;
  pagesInUse += pages;
  if (pages < 0) nextCheck = Math.min(nextCheck, pagesInUse + CHECK_PAGES);
  return true;
}

export class TmpfsSuperBlock extends SuperBlock implements PageAccount {
  readonly fsType: string = 'tmpfs';
  protected readonly magic: number = TMPFS_MAGIC;
  /** Files have the flags of chattr(1). */
  readonly keepsFlags: boolean = true;
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
    if (pages > 0 && this.pages + pages > this.maxPages) return false;
    if (!chargePages(pages)) return false;
    this.pages += pages;
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
      type: this.magic,
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
    const { mode, uid, gid, inode64, huge, noswap } = this.given;
    const pages = this.maxPages === Infinity ? 0 : this.maxPages;
    const inodes = this.maxInodes === Infinity ? 0 : this.maxInodes;
    let s = '';
    if (pages !== defaultTmpfsSize() / PAGE_SIZE) s += `,size=${(pages * PAGE_SIZE) / 1024}k`;
    if (inodes !== defaultInodes()) s += `,nr_inodes=${inodes}`;
    if (mode !== undefined && mode !== 0o1777) s += `,mode=${mode.toString(8).padStart(3, '0')}`;
    if (uid) s += `,uid=${uid}`;
    if (gid) s += `,gid=${gid}`;
    if (inode64 === true) s += ',inode64';
    if (huge !== undefined && huge !== 'never') s += `,huge=${huge}`;
    return noswap === true ? `${s},noswap` : s;
  }

  /** MS_REMOUNT with new limits: 0, or −EINVAL if there was none, or more is in use than they allow (shmem_reconfigure). */
  override reconfigure(data: string): number {
    const o = parseTmpfsOptions(data);
    if (typeof o === 'number') return o;
    const maxPages = o.size === undefined ? this.maxPages : Math.ceil(o.size / PAGE_SIZE);
    const maxInodes = o.inodes ?? this.maxInodes;
    const limits = (now: number, next: number, used: number): boolean =>
      next === Infinity || next === now || (now !== Infinity && used <= next);
    if (!limits(this.maxPages, maxPages, this.pages)) return -EINVAL;
    if (!limits(this.maxInodes, maxInodes, this.inodes)) return -EINVAL;
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

const RAMFS_MAGIC = 0x858458f6;
const RAMFS_DEFAULT_MODE = 0o755;

/** ramfs (fs/ramfs/inode.c): without limits of its own. */
class RamfsSuperBlock extends TmpfsSuperBlock {
  override readonly fsType = 'ramfs';
  protected override readonly magic = RAMFS_MAGIC;
  override readonly keepsFlags = false;
  private readonly mode: number;

  constructor(mode: number, uid: number, gid: number) {
    super({ mode, uid, gid });
    this.mode = mode;
  }

  override options(): string {
    return this.mode === RAMFS_DEFAULT_MODE ? '' : `,mode=${this.mode.toString(8)}`;
  }

  override reconfigure(): number {
    return 0;
  }
}

/** "We might like to report bad mount options here; but traditionally ramfs has ignored all mount options" */
export function mountRamfs(t: CallContext | null, data: string): SuperBlock | number {
  let mode = RAMFS_DEFAULT_MODE;
  for (const option of data.split(',')) {
    if (!option.startsWith('mode=')) continue;
    const parsed = parseTmpfsOptions(option);
    if (typeof parsed === 'number') return parsed;
    mode = parsed.mode!;
  }
  return new RamfsSuperBlock(mode, t?.creds.fsuid ?? 0, t?.creds.fsgid ?? 0);
}
