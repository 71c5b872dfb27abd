import { expect, test } from 'vitest';
import { EINVAL, EPERM } from '../../abi/errno.ts';
import { CgroupHierarchies } from '../../kernel/cgroup/hierarchy.ts';
import { cgroupOperations } from '../../kernel/cgroup/operations.ts';
import { NO_LIMITS } from '../../kernel/container.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import { CgroupNamespace } from '../../kernel/namespaces.ts';
import { VmaTable } from '../../mm/vma-table.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import { Dentry } from '../../vfs/dentry.ts';
import type { FileDescription } from '../../vfs/file-description.ts';
import type { Inode } from '../../vfs/inode.ts';
import { makeMount } from '../../vfs/mount-namespace.ts';
import { controllerFiles } from './controller-files.ts';
import { coreFiles } from './core-files.ts';
import { CgroupSuperBlock } from './super-block.ts';

const resident = { bytes: { anon: 0, file: 0, shmem: 0 }, totalBytes: 0, validUntil: Infinity };
const mm = { totalBytes: 0, resident, table: new VmaTable() };
const all = new CgroupHierarchies();
const used = { utimeNs: 5_000_000, stimeNs: 2_000_000 };
const pid = { nrIn: () => 1 };
const group = { pid, isZombie: false, settledCpu: { user: 0, system: 0 } };
const task = {
  dead: false,
  mm,
  pid,
  cset: all.initial,
  group,
};
Object.assign(group, { tasks: new Set([task]), leader: task });
all.initial.enter();
all.initial.pids.chargePids(1);
const pidNs = { groups: () => [group], find: (nr: number) => (nr === 1 ? {} : null) };
const box = {
  tasksMax: 77,
  limits: { memory: 4096, memorySwap: 6144, cpuQuota: 50000, cpuPeriod: 20000, cpuShares: 1024, cpus: 0 },
  figures: { oomKills: () => 3, limitHits: () => 5, memoryPeak: () => -1, memoryUsage: () => 2048 },
};
const unlimited = { tasksMax: 4096, limits: NO_LIMITS, figures: null };
let container: unknown = unlimited;
const kernel = {
  pidNs,
  memTotal: 2 ** 30,
  allGroups: () => [group],
  clock: { monotonicNs: () => 0 },
  sharedBytes: () => 0,
  accounts: { processUsage: () => used },
} as unknown as Kernel;
const t = {
  kernel,
  pidNs,
  ns: { cgroup: new CgroupNamespace(all.initial) },
  group: {
    get container(): unknown {
      return container;
    },
  },
} as unknown as CallContext;
const env = { kernel, host: { cpuInfo: '', cpus: [0, 1, 3], memTotal: 2 ** 30 } };
const types = [...coreFiles(cgroupOperations), ...controllerFiles(env, cgroupOperations)];
const sb = new CgroupSuperBlock(all.unified, types);

function open(name: string, flags = 0): FileDescription | number {
  const node = sb.root.lookup(name) as Inode;
  return node.open(t, { mount: makeMount(sb, 0, 'cgroup'), dentry: new Dentry(name, null, node) }, flags);
}

function cat(name: string): string {
  const buf = Buffer.alloc(4096);
  return buf.toString('latin1', 0, (open(name) as FileDescription).read(t, buf, 0, 4096, 0));
}

test('what run-time libraries size themselves by', () => {
  expect(cat('cpuset.cpus.effective')).toBe('0-1,3\n');
  expect(cat('cpu.max')).toBe('max 100000\n');
  expect(cat('memory.max')).toBe('max\n');
  expect(cat('memory.current')).toBe('0\n');
  expect(cat('pids.current')).toBe('1\n');
  expect(cat('cpu.stat').split('\n').slice(0, 3)).toEqual([
    'usage_usec 7000',
    'user_usec 5000',
    'system_usec 2000',
  ]);
});

test('limits and figures are the container’s', () => {
  container = box;
  expect(cat('memory.max')).toBe('4096\n');
  expect(cat('memory.swap.max')).toBe('2048\n');
  expect(cat('cpu.max')).toBe('50000 20000\n');
  expect(cat('cpu.weight')).toBe('39\n');
  expect(cat('pids.max')).toBe('77\n');
  expect(cat('memory.current')).toBe('2048\n');
  expect(cat('memory.peak')).toBe('2048\n');
  expect(cat('memory.events')).toContain('max 5\noom 3\noom_kill 3\n');
  container = unlimited;
});

test('limits of the topmost group are the host’s to set; what only tells cannot be written', () => {
  const max = open('memory.max', 1) as FileDescription;
  expect(max.write(t, Buffer.from('1\n'), 0, 2, 0)).toBe(-EPERM);
  const told = open('memory.current', 1) as FileDescription;
  expect(told.write(t, Buffer.from('1\n'), 0, 2, 0)).toBe(-EINVAL);
  expect(cat('cgroup.procs')).toBe('1\n');
});
