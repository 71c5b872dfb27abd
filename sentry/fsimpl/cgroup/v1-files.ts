/** The files of a hierarchy of version 1 (kernel/cgroup/cgroup-v1.c cgroup1_base_files). */
import { EINVAL, EACCES, ENODEV } from '../../abi/errno.ts';
import { CAP_SYS_NICE } from '../../auth/capability.ts';
import type { CgroupOperations } from '../../kernel/cgroup/operations.ts';
import type { Task } from '../../kernel/task.ts';
import { parseInteger, strip } from '../kernfs/parse.ts';
import { pidsFiles } from './controller-files.ts';
import { findMoved, members } from './core-files.ts';
import type { CgroupFileType, GroupWriter } from './file.ts';

const always = (): boolean => true;

/** cgroup1_procs_write(): "Even if we're attaching all tasks in the thread group, we only need to check permissions on one". */
function mayMove(moved: Task, w: GroupWriter): boolean {
  const { opener } = w;
  const { creds } = moved;
  if (opener.euid === 0 || opener.euid === creds.uid || opener.euid === creds.suid) return true;
  return opener.hasIn(CAP_SYS_NICE, creds.userNs);
}

function attach(ops: CgroupOperations, threadgroup: boolean): NonNullable<CgroupFileType['store']> {
  return (g, text, w) => {
    const moved = findMoved(w.t, text, threadgroup);
    if (typeof moved === 'number') return moved;
    if (moved.cset.all !== g.hierarchy.all) return -ENODEV;
    if (!mayMove(moved, w)) return -EACCES;
    ops.attachTasks(g, moved, threadgroup);
    return 0;
  };
}

function flag(name: string): CgroupFileType {
  return {
    name,
    visible: always,
    show: (g) => g.value(name) ?? '0',
    store: (g, text) => {
      const n = parseInteger(strip(text), 0);
      if (Number.isNaN(n)) return -EINVAL;
      g.setValue(name, n === 0 ? '0' : '1');
      return 0;
    },
  };
}

export function v1Files(ops: CgroupOperations): CgroupFileType[] {
  return [
    {
      name: 'cgroup.procs',
      visible: always,
      raw: true,
      show: (g, t) => members(ops, g, t, false),
      store: attach(ops, true),
    },
    flag('cgroup.clone_children'),
    { name: 'cgroup.sane_behavior', visible: (g) => g.parent === null, show: () => '0' },
    {
      name: 'tasks',
      visible: always,
      raw: true,
      show: (g, t) => members(ops, g, t, true),
      store: attach(ops, false),
    },
    flag('notify_on_release'),
    ...pidsFiles(),
  ];
}
