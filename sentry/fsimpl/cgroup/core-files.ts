/** The files cgroup.* of version 2 (kernel/cgroup/cgroup.c cgroup_base_files): what a group is and who is in it. */
import { controllerBit, controllerNames } from '../../abi/cgroup.ts';
import { EINVAL, ENOENT, EOPNOTSUPP, ERANGE, ESRCH } from '../../abi/errno.ts';
import type { Cgroup } from '../../kernel/cgroup/cgroup.ts';
import type { CgroupOperations } from '../../kernel/cgroup/operations.ts';
import type { Task } from '../../kernel/task.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import { inodePermission, MAY_WRITE } from '../../vfs/permission.ts';
import { parseInteger, strip } from '../kernfs/parse.ts';
import type { CgroupFileType, GroupWriter } from './file.ts';

/** A container's topmost group has what Linux's root lacks: it is no root where containers run on Linux. */
const always = (): boolean => true;
const PID_MAX = 4194304;

/** The processes or threads of a group, as the reader numbers them; those that it does not see are 0. */
export function members(ops: CgroupOperations, g: Cgroup, t: Task, threads: boolean): string {
  let text = '';
  const seen = new Set<object>();
  // "cgroup.procs" of a threaded domain has the processes of its threaded groups.
  const deep = !threads && g.threadedChildren > 0;
  for (const o of ops.tasksIn(t.kernel, g, deep)) {
    if (deep && o.cset.groupIn(g.hierarchy).domain !== g) continue;
    if (!threads && seen.has(o.group)) continue;
    seen.add(o.group);
    text += `${(threads ? o.pid : o.group.pid).nrIn(t.pidNs)}\n`;
  }
  return text;
}

/** cgroup_procs_write_start(): who is to be moved, or −errno. */
export function findMoved(t: Task, text: string, threadgroup: boolean): Task | number {
  const nr = parseInteger(strip(text), 0);
  if (Number.isNaN(nr) || nr < 0 || nr > 0x7fffffff) return -EINVAL;
  if (nr === 0) return t;
  const found = nr > PID_MAX ? null : t.pidNs.findTask(nr);
  if (found === null) return t.pidNs.findGroup(nr) === null ? -ESRCH : t.pidNs.findGroup(nr)!.leader;
  return threadgroup ? found.group.leader : found;
}

/** cgroup_may_write(): the rights to move somebody within a group are those to its cgroup.procs. */
function mayWrite(g: Cgroup, w: Pick<GroupWriter, 'opener' | 'sb'>): number {
  const file = w.sb.root.dirOf(g).file('cgroup.procs');
  const as = { creds: w.opener } as CallContext;
  return file === null ? -ENOENT : inodePermission(as, file, MAY_WRITE);
}

/** cgroup_attach_permissions() */
export function mayAttach(
  from: Cgroup,
  to: Cgroup,
  w: Pick<GroupWriter, 'opener' | 'ns' | 'sb'>,
  threadgroup: boolean,
): number {
  let common = from;
  while (!to.isBelow(common) && common.parent !== null) common = common.parent;
  const may = mayWrite(common, w);
  if (may !== 0) return may;
  // "If namespaces are delegation boundaries, %current must be able to see both source and destination".
  const top = w.ns.root.groupIn(to.hierarchy);
  if (to.hierarchy.unified && (!from.isBelow(top) || !to.isBelow(top))) return -ENOENT;
  const vet = to.vetMigration();
  if (vet !== 0) return vet;
  return !threadgroup && from.domain !== to.domain ? -EOPNOTSUPP : 0;
}

function attach(ops: CgroupOperations, threadgroup: boolean): NonNullable<CgroupFileType['store']> {
  return (g, text, w) => {
    const moved = findMoved(w.t, text, threadgroup);
    if (typeof moved === 'number') return moved;
    // Another container's, seen in a PID namespace that both share.
    if (moved.cset.all !== g.hierarchy.all) return -ENOENT;
    const bad = mayAttach(moved.cset.groupIn(g.hierarchy), g, w, threadgroup);
    if (bad === 0) ops.attachTasks(g, moved, threadgroup);
    return bad;
  };
}

/** A word per controller, each with + or − before it. */
function controlWrite(g: Cgroup, text: string): number {
  let enable = 0;
  let disable = 0;
  for (const word of strip(text).split(' ')) {
    if (word === '') continue;
    const bit = controllerBit(word.slice(1));
    if (bit === 0) return -EINVAL;
    if (word[0] === '+') {
      enable |= bit;
      disable &= ~bit;
    } else if (word[0] === '-') {
      disable |= bit;
      enable &= ~bit;
    } else return -EINVAL;
  }
  return g.control(enable, disable);
}

/** "max" or a number that is not negative. */
function limitWrite(set: (g: Cgroup, n: number) => void): NonNullable<CgroupFileType['store']> {
  return (g, text) => {
    const word = strip(text);
    const n = word === 'max' ? Infinity : parseInteger(word, 0);
    if (Number.isNaN(n)) return -EINVAL;
    if (n < 0 || (n !== Infinity && n > 0x7fffffff)) return -ERANGE;
    set(g, n);
    return 0;
  };
}

/** 0 or 1. */
function parseSwitch(text: string): number {
  const n = parseInteger(strip(text), 0);
  if (Number.isNaN(n)) return -EINVAL;
  return n === 0 || n === 1 ? n : -ERANGE;
}

const limitText = (n: number): string => (n === Infinity ? 'max' : String(n));
const noThreaded = (g: Cgroup, text: () => string): string | number => (g.isThreaded ? -EOPNOTSUPP : text());

export function coreFiles(ops: CgroupOperations): CgroupFileType[] {
  return [
    {
      name: 'cgroup.type',
      visible: always,
      show: (g) => g.type,
      store: (g, text) => (strip(text) === 'threaded' ? g.makeThreaded() : -EINVAL),
    },
    {
      name: 'cgroup.procs',
      visible: always,
      raw: true,
      show: (g, t) => noThreaded(g, () => members(ops, g, t, false)),
      store: attach(ops, true),
      delegatable: true,
    },
    {
      name: 'cgroup.threads',
      visible: always,
      raw: true,
      show: (g, t) => members(ops, g, t, true),
      store: attach(ops, false),
      delegatable: true,
    },
    { name: 'cgroup.controllers', visible: always, show: (g) => controllerNames(g.controllers) },
    {
      name: 'cgroup.subtree_control',
      visible: always,
      show: (g) => controllerNames(g.subtreeControl),
      store: controlWrite,
      delegatable: true,
    },
    {
      name: 'cgroup.events',
      visible: always,
      show: (g) => `populated ${g.populated ? 1 : 0}\nfrozen ${g.frozen ? 1 : 0}`,
    },
    {
      name: 'cgroup.max.descendants',
      visible: always,
      show: (g) => limitText(g.maxDescendants),
      store: limitWrite((g, n) => (g.maxDescendants = n)),
    },
    {
      name: 'cgroup.max.depth',
      visible: always,
      show: (g) => limitText(g.maxDepth),
      store: limitWrite((g, n) => (g.maxDepth = n)),
    },
    {
      name: 'cgroup.stat',
      visible: always,
      show: (g) => `nr_descendants ${g.descendants}\nnr_dying_descendants 0`,
    },
    {
      name: 'cgroup.freeze',
      visible: always,
      show: (g) => (g.freeze ? '1' : '0'),
      store: (g, text, w) => {
        const on = parseSwitch(text);
        if (on >= 0) ops.freezeGroup(w.t.kernel, g, on === 1);
        return Math.min(0, on);
      },
    },
    {
      name: 'cgroup.kill',
      visible: always,
      store: (g, text, w) => {
        const n = parseInteger(strip(text), 0);
        if (n !== 1) return Number.isNaN(n) ? -EINVAL : -ERANGE;
        if (g.isThreaded) return -EOPNOTSUPP;
        ops.killGroup(w.t.kernel, g);
        return 0;
      },
    },
  ];
}
