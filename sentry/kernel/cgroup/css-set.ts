/**
 * CssSet: the groups that a task is in, one of every hierarchy (include/linux/cgroup-defs.h struct css_set). Tasks in the same
 * groups share one, so that fork counts one number.
 */
import type { Cgroup } from './cgroup.ts';
import type { CgroupHierarchies, Hierarchy } from './hierarchy.ts';

export class CssSet {
  readonly all: CgroupHierarchies;
  /** By index of the hierarchy. Of those made later than the set it is the topmost group. */
  private readonly groups: readonly Cgroup[];
  /** Live tasks. */
  private tasks = 0;

  constructor(all: CgroupHierarchies, groups: readonly Cgroup[]) {
    this.all = all;
    this.groups = groups;
  }

  groupIn(h: Hierarchy): Cgroup {
    return this.groups[h.index] ?? h.root;
  }

  /** Its group of version 2. */
  get unified(): Cgroup {
    return this.groups[0]!;
  }

  /** The freezer keeps its tasks from guest code. */
  get frozen(): boolean {
    return this.groups[0]!.effectiveFreeze;
  }

  /** The group whose limits of tasks are in force. */
  get pids(): Cgroup {
    const h = this.all.pids;
    return h === null ? this.groups[0]! : this.groupIn(h);
  }

  /** A live task has come. */
  enter(): void {
    if (this.tasks++ > 0) return;
    this.all.sets.set(this.key, this);
    for (const h of this.all.list) if (!h.gone) this.groupIn(h).countSet(1);
  }

  /** It has ended, or gone elsewhere. */
  leave(): void {
    if (--this.tasks > 0) return;
    const { sets } = this.all;
    if (sets.get(this.key) === this) sets.delete(this.key);
    for (const h of this.all.list) if (!h.gone) this.groupIn(h).countSet(-1);
  }

  /** The set that differs in one group (find_css_set). */
  with(g: Cgroup): CssSet {
    const { index } = g.hierarchy;
    const { list } = this.all;
    if (this.groupIn(g.hierarchy) === g) return this;
    const groups = list.map((h) => (h.index === index ? g : this.groupIn(h)));
    const made = new CssSet(this.all, groups);
    return this.all.sets.get(made.key) ?? made;
  }

  /** Hierarchies whose topmost group it is in, at the end, are left out: sets made before and after them are the same. */
  get key(): string {
    let n = this.groups.length;
    while (n > 1 && this.groups[n - 1]!.parent === null) n--;
    let key = '';
    for (let i = 0; i < n; i++) key += `${this.all.idOf(this.groups[i]!)},`;
    return key;
  }
}
