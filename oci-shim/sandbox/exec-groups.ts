/**
 * `exec --cgroup [CONTROLLER,...:]GROUP`: groups below the container's that the process begins in, as the container's programs
 * have made them (docs/cgroups.md). The words of errors are runc's.
 */
import { CONTROLLERS } from '../../sentry/abi/cgroup.ts';
import type { Cgroup } from '../../sentry/kernel/cgroup/cgroup.ts';
import type { CgroupHierarchies, Hierarchy } from '../../sentry/kernel/cgroup/hierarchy.ts';
import { attachTasks } from '../../sentry/kernel/cgroup/operations.ts';
import type { Task } from '../../sentry/kernel/task.ts';
import { BootError } from '../boot/error.ts';

/** Puts a new process into `groups`. */
export function enterGroups(t: Task, groups: readonly string[]): void {
  const all = t.ns.cgroup.hierarchies;
  for (const g of groups.flatMap((wanted) => groupsNamed(all, wanted))) {
    if (g.vetMigration() !== 0) throw failure(`${g.name}: device or resource busy`);
    attachTasks(g, t, true);
  }
}

const failure = (why: string): BootError => new BootError(`error adding the process to cgroups: ${why}`, 125);

function groupsNamed(all: CgroupHierarchies, wanted: string): Cgroup[] {
  const colon = wanted.indexOf(':');
  const path = wanted.slice(colon + 1);
  if (colon < 0) return [find(all.unified, path)];
  return wanted
    .slice(0, colon)
    .split(',')
    .map((name) => find(hierarchyOf(all, name), path));
}

/** Controllers that no hierarchy of version 1 has taken are the unified one's. */
function hierarchyOf(all: CgroupHierarchies, name: string): Hierarchy {
  for (const h of all.mounted()) if (h.label.split(',').includes(name)) return h;
  if (!(CONTROLLERS as readonly string[]).includes(name)) {
    throw new BootError(`unknown controller ${name} in SubCgroupPaths`, 125);
  }
  return all.unified;
}

function find(h: Hierarchy, path: string): Cgroup {
  let at = h.root;
  for (const name of path.split('/')) {
    if (name === '' || name === '.') continue;
    const child = at.children.get(Buffer.from(name, 'utf8').toString('latin1'));
    if (child === undefined) throw failure(`${path}: no such file or directory`);
    at = child;
  }
  return at;
}
