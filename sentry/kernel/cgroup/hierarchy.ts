/**
 * Hierarchies of control groups: the unified one of version 2 and those of version 1. Every container has its own, whose topmost
 * groups stand for the groups it is in on the host: guests can neither see nor leave what is above.
 */
import { ALL_CONTROLLERS, PIDS } from '../../abi/cgroup.ts';
import { EBUSY, ENOSPC } from '../../abi/errno.ts';
import { Cgroup } from './cgroup.ts';
import { CssSet } from './css-set.ts';

/** Groups of one container: each is a directory with its files in the heap once it is looked into. */
const GROUPS_MAX = 8192;
/** Hierarchies of version 1 that a container can ever have had. */
const HIERARCHIES_MAX = 32;

export class Hierarchy {
  readonly all: CgroupHierarchies;
  /** Place of its groups in a CssSet; the unified hierarchy's is 0. */
  readonly index: number;
  /** Of version 1: what `name=` says; '' is none. */
  readonly name: string;
  controllers: number;
  readonly root: Cgroup;
  /** Of version 1, no longer mounted: it is gone. */
  gone = false;

  constructor(all: CgroupHierarchies, index: number, name: string, controllers: number) {
    this.all = all;
    this.index = index;
    this.name = name;
    this.controllers = controllers;
    this.root = new Cgroup(this, null, '');
  }

  get unified(): boolean {
    return this.index === 0;
  }

  get mayGrow(): boolean {
    return this.all.groups < GROUPS_MAX;
  }

  count(by: number): void {
    this.all.groups += by;
  }

  /** What is told of it in /proc/PID/cgroup and mountinfo: `pids`, `name=systemd`. */
  get label(): string {
    if (this.unified) return '';
    const pids = (this.controllers & PIDS) !== 0 ? 'pids' : '';
    const name = this.name === '' ? '' : `name=${this.name}`;
    return pids !== '' && name !== '' ? `${pids},${name}` : pids + name;
  }
}

export class CgroupHierarchies {
  readonly unified: Hierarchy;
  /** By index. */
  readonly list: Hierarchy[];
  /** The set of processes that are in no group of their own. */
  readonly initial: CssSet;
  /** Sets with live tasks, by the groups they are made of. */
  readonly sets = new Map<string, CssSet>();
  groups = 0;
  private lastGroupId = 0;
  private readonly ids = new WeakMap<Cgroup, number>();

  constructor() {
    this.unified = new Hierarchy(this, 0, '', ALL_CONTROLLERS);
    this.list = [this.unified];
    this.initial = new CssSet(this, [this.unified.root]);
  }

  /** The hierarchy that limits the number of tasks. */
  pids: Hierarchy | null = null;

  /** The set that a process from outside comes into: the topmost groups, or where `init` is if they hand on controllers. */
  entrance(init: CssSet | null): CssSet {
    const { initial } = this;
    if (init !== null && initial.unified.vetMigration() !== 0) return init;
    return this.sets.get(initial.key) ?? initial;
  }

  /** Hierarchies of version 1 that are there, the last one first. */
  *mounted(): Iterable<Hierarchy> {
    for (let i = this.list.length - 1; i > 0; i--) if (!this.list[i]!.gone) yield this.list[i]!;
  }

  idOf(g: Cgroup): number {
    let id = this.ids.get(g);
    if (id === undefined) this.ids.set(g, (id = ++this.lastGroupId));
    return id;
  }

  /** A hierarchy of version 1 (cgroup1_root_to_use), whose topmost group everybody is in; −errno. */
  make(name: string, controllers: number): Hierarchy | number {
    const { root } = this.unified;
    if (this.list.length > HIERARCHIES_MAX) return -ENOSPC;
    // "if @ss has non-root csses attached to it, can't move" - rebind_subsystems().
    if ((controllers & (root.subtreeControl | ~this.unified.controllers)) !== 0) return -EBUSY;
    this.unified.controllers &= ~controllers;
    const h = new Hierarchy(this, this.list.length, name, controllers);
    this.list.push(h);
    for (let i = 0; i < this.sets.size; i++) h.root.countSet(1);
    if ((controllers & PIDS) !== 0) {
      this.pids = h;
      h.root.chargePids(root.pids);
    }
    return h;
  }

  /** Its last mount is gone: without groups below it is taken apart (cgroup_kill_sb). */
  unmounted(h: Hierarchy): void {
    if (h.unified || h.root.children.size > 0) return;
    h.gone = true;
    this.unified.controllers |= h.controllers;
    if (this.pids === h) {
      this.pids = null;
      this.unified.root.chargePids(h.root.pids - this.unified.root.pids);
    }
  }
}
