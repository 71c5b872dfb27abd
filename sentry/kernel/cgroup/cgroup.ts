/**
 * Cgroup: one control group (include/linux/cgroup-defs.h struct cgroup) with what the kernel keeps of it. Which tasks are in it is
 * theirs to say (css-set.ts); here are the tree, which controllers it hands on, and what it counts.
 */
import { controllerBit, PIDS, THREADED_CONTROLLERS as THREADED } from '../../abi/cgroup.ts';
import { EAGAIN, EBUSY, EEXIST, EINVAL, ENODEV, ENOENT, ENOSPC, EOPNOTSUPP } from '../../abi/errno.ts';
import type { Hierarchy } from './hierarchy.ts';

/** Where a walk through the tree begins. */
const walkFrom = (g: Cgroup): Cgroup | null => g;

/** What of a group is told to whoever watches its files: `name` has changed. */
export type GroupListener = (name: string) => void;

export class Cgroup {
  readonly hierarchy: Hierarchy;
  readonly parent: Cgroup | null;
  readonly name: string;
  readonly level: number;
  readonly children = new Map<string, Cgroup>();
  /** rmdir(2) has removed it; who holds it still sees it. */
  dead = false;
  /** Controllers that its children have. */
  subtreeControl = 0;
  /** The nearest group that is no threaded one (dom_cgrp): itself unless it is threaded. */
  domain: Cgroup = this;
  threadedChildren = 0;
  maxDescendants = Infinity;
  maxDepth = Infinity;
  descendants = 0;

  // Who is in it: sets with live tasks, and children that have somebody.
  populatedSets = 0;
  populatedDomainChildren = 0;
  populatedThreadedChildren = 0;

  /** cgroup.freeze as written, and whether it or an ancestor is frozen. */
  freeze = false;
  effectiveFreeze = false;
  /** cgroup.events has said that all stand still. */
  frozen = false;

  // The pids controller.
  pidsMax = Infinity;
  pids = 0;
  pidsPeak = 0;
  /** Forks refused below it, and by its own limit. */
  pidsEvents = 0;
  pidsEventsLocal = 0;

  /** CPU time in ns of processes that have ended in it or left it, theirs only. */
  readonly pastCpu = { user: 0, system: 0 };
  /** What was written to files that nothing else keeps, by name. */
  private readonly values = new Map<string, string>();
  /** The file system's directory of it. */
  listener: GroupListener | null = null;

  constructor(hierarchy: Hierarchy, parent: Cgroup | null, name: string) {
    this.hierarchy = hierarchy;
    this.parent = parent;
    this.name = name;
    this.level = parent === null ? 0 : parent.level + 1;
    if (parent !== null) {
      this.effectiveFreeze = this.frozen = parent.effectiveFreeze;
    }
  }

  /** Controllers that it has (cgroup_control). */
  get controllers(): number {
    if (this.parent === null) return this.hierarchy.controllers;
    return this.isThreaded ? this.parent.subtreeControl & THREADED : this.parent.subtreeControl;
  }

  get isThreaded(): boolean {
    return this.domain !== this;
  }

  /** cgroup_is_populated() */
  get populated(): boolean {
    return this.populatedSets + this.populatedDomainChildren + this.populatedThreadedChildren > 0;
  }

  /** True if this is `top` or lies below it. */
  isBelow(top: Cgroup): boolean {
    for (let at = walkFrom(this); at !== null; at = at.parent) if (at === top) return true;
    return false;
  }

  /** This group and all below it, parents first. */
  *subtree(): Iterable<Cgroup> {
    const stack: Cgroup[] = [this];
    for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
      yield at;
      for (const c of at.children.values()) stack.push(c);
    }
  }

  value(name: string): string | undefined {
    return this.values.get(name);
  }

  setValue(name: string, value: string): void {
    this.values.set(name, value);
  }

  /** cgroup_file_notify() */
  notify(name: string): void {
    this.listener?.(name);
  }

  // Making and removing.

  /** cgroup_mkdir(): the new group or −errno. */
  mkdir(name: string): Cgroup | number {
    if (name.includes('\n')) return -EINVAL;
    if (this.dead) return -ENODEV;
    if (this.children.has(name)) return -EEXIST;
    let depth = 1;
    for (let at = walkFrom(this); at !== null; at = at.parent, depth++) {
      if (at.descendants >= at.maxDescendants || depth > at.maxDepth) return -EAGAIN;
    }
    if (!this.hierarchy.mayGrow) return -ENOSPC;
    const made = new Cgroup(this.hierarchy, this, name);
    this.children.set(name, made);
    this.countDescendants(1);
    return made;
  }

  /** cgroup_destroy_locked() */
  rmdir(): number {
    if (this.populated || this.children.size > 0) return -EBUSY;
    const parent = this.parent!;
    this.dead = true;
    parent.children.delete(this.name);
    parent.countDescendants(-1);
    if (this.isThreaded) parent.threadedChildren--;
    // What has ended here is still the parent's.
    parent.pastCpu.user += this.pastCpu.user;
    parent.pastCpu.system += this.pastCpu.system;
    return 0;
  }

  private countDescendants(by: number): void {
    for (let at = walkFrom(this); at !== null; at = at.parent) at.descendants += by;
    this.hierarchy.count(by);
  }

  // Who may be where (Documentation/admin-guide/cgroup-v2.rst, "Threads" and "No Internal Process Constraint").

  /** A container's topmost group is not the machine's: what Linux exempts its root from is in force (cgroup_is_mixable is never true). */
  private get canBeThreadRoot(): boolean {
    return !this.isThreaded && this.populatedDomainChildren === 0 && (this.subtreeControl & ~THREADED) === 0;
  }

  /** cgroup_is_thread_root() */
  private get isThreadRoot(): boolean {
    if (this.isThreaded) return false;
    return this.threadedChildren > 0 || (this.populatedSets > 0 && (this.subtreeControl & THREADED) !== 0);
  }

  /** cgroup_is_valid_domain() */
  private get isValidDomain(): boolean {
    if (this.isThreaded) return false;
    for (let at = this.parent; at !== null; at = at.parent)
      if (at.isThreadRoot || at.isThreaded) return false;
    return true;
  }

  /** cgroup.type */
  get type(): string {
    if (this.isThreaded) return 'threaded';
    if (!this.isValidDomain) return 'domain invalid';
    return this.isThreadRoot ? 'domain threaded' : 'domain';
  }

  /** cgroup_enable_threaded() */
  makeThreaded(): number {
    if (this.isThreaded) return 0;
    const parent = this.parent;
    if (parent === null || this.populated || (this.subtreeControl & ~THREADED) !== 0) return -EOPNOTSUPP;
    const { domain } = parent;
    if (!domain.isValidDomain || !domain.canBeThreadRoot) return -EOPNOTSUPP;
    for (const g of this.subtree()) if (g === this || g.isThreaded) g.domain = domain;
    parent.threadedChildren++;
    return 0;
  }

  /** cgroup_migrate_vet_dst(): may tasks be in it? 0 or −errno. */
  vetMigration(): number {
    if (!this.hierarchy.unified) return 0;
    if (!this.domain.isValidDomain) return -EOPNOTSUPP;
    if (this.canBeThreadRoot || this.isThreaded) return 0;
    return this.subtreeControl !== 0 ? -EBUSY : 0;
  }

  /** cgroup.subtree_control: hands controllers on to the children or takes them back. 0 or −errno. */
  control(enable: number, disable: number): number {
    if (this.dead) return -ENODEV;
    const on = enable & ~this.subtreeControl;
    const off = disable & this.subtreeControl;
    if ((on & ~this.controllers) !== 0) return -ENOENT;
    for (const c of this.children.values()) if ((c.subtreeControl & off) !== 0) return -EBUSY;
    const bad = on === 0 ? 0 : this.vetControl(on);
    if (bad !== 0) return bad;
    this.subtreeControl = (this.subtreeControl | on) & ~off;
    if (off !== 0) for (const c of this.children.values()) c.forget(off);
    return 0;
  }

  /** cgroup_vet_subtree_control_enable() */
  private vetControl(enable: number): number {
    if (!this.domain.isValidDomain) return -EOPNOTSUPP;
    if ((enable & ~THREADED) !== 0) {
      if (this.isThreadRoot || this.isThreaded) return -EOPNOTSUPP;
    } else if (this.canBeThreadRoot || this.isThreaded) return 0;
    return this.populatedSets > 0 ? -EBUSY : 0;
  }

  /** The files of these controllers are gone, and what was in them. */
  private forget(controllers: number): void {
    if ((controllers & PIDS) !== 0) {
      this.pidsMax = Infinity;
      this.pidsEvents = this.pidsEventsLocal = 0;
    }
    for (const name of this.values.keys()) {
      if ((controllerBit(name.slice(0, name.indexOf('.'))) & controllers) !== 0) this.values.delete(name);
    }
  }

  // Who is in it.

  /** cgroup_update_populated(): one more (+1) or one less set of tasks. */
  countSet(by: number): void {
    let was = this.populated;
    this.populatedSets += by;
    let at: Cgroup = walkFrom(this)!;
    while (was !== at.populated) {
      at.notify('cgroup.events');
      const { parent } = at;
      if (parent === null) return;
      was = parent.populated;
      if (at.isThreaded) parent.populatedThreadedChildren += by;
      else parent.populatedDomainChildren += by;
      at = parent;
    }
  }

  // The pids controller (kernel/cgroup/pids.c).

  /** pids_try_charge(): one more task, if every group up to the topmost has room. 0 or −EAGAIN. */
  tryChargePid(): number {
    for (let at = walkFrom(this); at !== null; at = at.parent) {
      if (at.pids >= at.pidsMax) {
        at.pidRefused();
        return -EAGAIN;
      }
    }
    this.chargePids(1);
    return 0;
  }

  chargePids(by: number): void {
    for (let at = walkFrom(this); at !== null; at = at.parent) {
      at.pids += by;
      if (at.pids > at.pidsPeak) at.pidsPeak = at.pids;
    }
  }

  /** pids_event() */
  pidRefused(): void {
    this.pidsEventsLocal++;
    this.notify('pids.events.local');
    for (let at = walkFrom(this); at !== null; at = at.parent) {
      at.pidsEvents++;
      at.notify('pids.events');
    }
  }

  /** kernfs_path_from_node(): how it is named by who has `root` for the topmost group. */
  pathFrom(root: Cgroup): string {
    let common = root;
    let up = '';
    while (!this.isBelow(common) && common.parent !== null) {
      common = common.parent;
      up += '/..';
    }
    let down = '';
    for (let at: Cgroup = walkFrom(this)!; at !== common && at.parent !== null; at = at.parent)
      down = `/${at.name}${down}`;
    return up + down === '' ? '/' : up + down;
  }
}
