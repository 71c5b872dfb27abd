/** Resources as values of version 2 controllers (Documentation/admin-guide/cgroup-v2.rst, runc's libcontainer/cgroups/fs2). */
import { sharesToWeight } from '../../sentry/fsimpl/cgroup/shares.ts';
import { CgroupError, codeOf, readCgroupFile, readNumber, writeCgroupFile } from './file.ts';
import type { Resources } from './resources.ts';
import { limitPlus, SettingList, throttles, type Allowance, type Setting } from './settings.ts';

const orMax = (limit: number | undefined): string | undefined =>
  limit === undefined ? undefined : limit < 0 ? 'max' : String(limit);

/** Block I/O weight 10…1000 → 1…10000. */
export function ioWeight(weight: number): number {
  return 1 + Math.floor(((weight - 10) * 9999) / 990);
}

/** Swap alone: version 2 does not count memory in it. */
function swapMax(r: Resources): string | undefined {
  const { swap, limit } = r.memory;
  if (swap === undefined) return limit === -1 ? 'max' : undefined;
  if (swap < 0) return 'max';
  if (limit === undefined || limit < 0) {
    throw new CgroupError(`memory.swap ${swap}: needs a memory limit`, 'EINVAL');
  }
  if (swap < limit)
    throw new CgroupError(`memory.swap ${swap}: must not be below memory.limit ${limit}`, 'EINVAL');
  return String(swap - limit);
}

export function settingsV2(r: Resources, allowance: Allowance): Setting[] {
  const s = new SettingList();
  const { memory, cpu, blockIO } = r;
  s.add('memory.swap', 'memory', 'memory.swap.max', swapMax(r));
  s.add('memory.limit', 'memory', 'memory.max', orMax(limitPlus(memory.limit, allowance.memory)));
  s.add('memory.reservation', 'memory', 'memory.low', orMax(memory.reservation));
  s.add('cpu.shares', 'cpu', 'cpu.weight', cpu.shares === undefined ? undefined : sharesToWeight(cpu.shares));
  s.add('cpu.idle', 'cpu', 'cpu.idle', cpu.idle);
  if (cpu.quota !== undefined || cpu.period !== undefined) {
    s.add('cpu.quota', 'cpu', 'cpu.max', `${orMax(cpu.quota) ?? 'max'} ${cpu.period ?? 100_000}`);
  }
  s.add('cpu.burst', 'cpu', 'cpu.max.burst', cpu.burst);
  s.add('cpu.cpus', 'cpuset', 'cpuset.cpus', cpu.cpus);
  s.add('cpu.mems', 'cpuset', 'cpuset.mems', cpu.mems);
  s.add('pids.limit', 'pids', 'pids.max', orMax(limitPlus(r.pids.limit, allowance.pids)));
  if (blockIO.weight !== undefined) s.add('blockIO.weight', 'io', 'io.bfq.weight', blockIO.weight);
  for (const d of blockIO.weightDevice) {
    if (d.weight) s.add('blockIO.weightDevice', 'io', 'io.bfq.weight', `${d.device} ${d.weight}`);
  }
  for (const { field, v2, rates } of throttles(r)) {
    for (const d of rates) s.add(field, 'io', 'io.max', `${d.device} ${v2}=${d.rate}`);
  }
  for (const h of r.hugepageLimits) s.add('hugepageLimits', 'hugetlb', `hugetlb.${h.pageSize}.max`, h.limit);
  for (const d of r.rdma) {
    const handles = d.hcaHandles === undefined ? '' : ` hca_handle=${d.hcaHandles}`;
    const objects = d.hcaObjects === undefined ? '' : ` hca_object=${d.hcaObjects}`;
    s.add('rdma', 'rdma', 'rdma.max', `${d.device}${handles}${objects}`);
  }
  for (const [file, value] of Object.entries(r.unified)) {
    s.add(`unified.${file}`, file.slice(0, file.indexOf('.')), file, value);
  }
  return s.list;
}

export function writeSettingV2(dir: string, s: Setting): void {
  if (s.file.includes('/')) throw new CgroupError(`"${s.file}" must be the name of a file`, 'EINVAL');
  try {
    writeCgroupFile(dir, s.file, s.value);
  } catch (e) {
    if (codeOf(e) !== 'ENOENT') throw e;
    if (s.file === 'memory.swap.max') return; // a kernel without swap accounting: as runc
    if (s.file !== 'io.bfq.weight') throw e;
    // No BFQ: the controller's own weight, for the default only.
    writeCgroupFile(dir, 'io.weight', `default ${ioWeight(Number(s.value))}`);
  }
}

/** Refuses a limit below what is in use, which the kernel would answer by killing. */
export function checkUsageV2(dir: string, r: Resources, allowance: Allowance): void {
  const limit = limitPlus(r.memory.limit, allowance.memory);
  if (r.memory.checkBeforeUpdate !== true || limit === undefined || limit < 0) return;
  const usage = readNumber(dir, 'memory.current') ?? 0;
  if (usage > limit)
    throw new CgroupError(`memory limit ${limit} is below the current usage ${usage}`, 'EBUSY');
}

/**
 * Passes a group's controllers on to its children. What it refuses (processes in it, no right) is missing below, and
 * reported when a limit needs it.
 */
export function enableControllers(dir: string): void {
  const names = (file: string): string[] =>
    (readCgroupFile(dir, file) ?? '').trim().split(' ').filter(Boolean);
  const enabled = names('cgroup.subtree_control');
  for (const c of names('cgroup.controllers').filter((name) => !enabled.includes(name))) {
    try {
      writeCgroupFile(dir, 'cgroup.subtree_control', `+${c}`);
    } catch {
      continue;
    }
  }
}

/** Controllers that are in force in a group. */
export function controllersOf(dir: string): string[] {
  return (readCgroupFile(dir, 'cgroup.controllers') ?? '').trim().split(' ').filter(Boolean);
}
