/** The listings that the directories of a super block keep, and what use they are. */
import type { DirNames } from './dir-names.ts';

/** Directory entries kept in listings of one super block; beyond it all listings are dropped. */
const ENTRIES_MAX = 50_000;
/** Entries listed after which what was seen of them counts half. */
const MEMORY = 1024;

export class Listings {
  private readonly dirs = new Set<DirNames>();
  private entries = 0;
  /** Entries listed lately. */
  private seen = 0;
  /** How many of them were looked up then. */
  lookedUp = 0;

  /**
   * Whether a listing should bring attributes along. For the gofer they are a fifth of a walk: worth it for `ls -l` and tar, who
   * ask for all, but not for find(1), who asks for directories only.
   */
  get wantAttrs(): boolean {
    return this.lookedUp * 4 >= this.seen;
  }

  /** `dir` has a listing of `n` entries now. */
  count(dir: DirNames, n: number): void {
    this.seen += n;
    while (this.seen > MEMORY) {
      this.seen /= 2;
      this.lookedUp /= 2;
    }
    this.dirs.add(dir);
    this.entries += n;
    if (this.entries <= ENTRIES_MAX) return;
    for (const d of this.dirs) if (d !== dir) d.dropListing();
    this.dirs.clear();
    this.dirs.add(dir);
    this.entries = n;
  }

  /** The listing of `dir` is gone. */
  uncount(dir: DirNames, n: number): void {
    if (this.dirs.delete(dir)) this.entries -= n;
  }
}
