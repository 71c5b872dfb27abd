/** Resources as values of version 1 controllers (Documentation/admin-guide/cgroup-v1, runc's libcontainer/cgroups/fs). */
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { CgroupError, codeOf, readCgroupFile, readNumber, writeCgroupFile } from './file.ts';
import type { Resources } from './resources.ts';
import { limitPlus, SettingList, throttles, type Allowance, type Setting } from './settings.ts';

/** Everything but memory and CPU bandwidth, whose files depend on each other. */
export function settingsV1(r: Resources, allowance: Allowance): Setting[] {
  const s = new SettingList();
  const { memory, cpu, blockIO } = r;
  s.add('memory.reservation', 'memory', 'memory.soft_limit_in_bytes', memory.reservation);
  s.add('memory.kernelTCP', 'memory', 'memory.kmem.tcp.limit_in_bytes', memory.kernelTCP);
  s.add('memory.swappiness', 'memory', 'memory.swappiness', memory.swappiness);
  s.add('memory.disableOOMKiller', 'memory', 'memory.oom_control', memory.disableOOMKiller ? 1 : undefined);
  s.add('cpu.shares', 'cpu', 'cpu.shares', cpu.shares);
  s.add('cpu.idle', 'cpu', 'cpu.idle', cpu.idle);
  s.add('cpu.realtimePeriod', 'cpu', 'cpu.rt_period_us', cpu.realtimePeriod);
  s.add('cpu.realtimeRuntime', 'cpu', 'cpu.rt_runtime_us', cpu.realtimeRuntime);
  s.add('cpu.cpus', 'cpuset', 'cpuset.cpus', cpu.cpus);
  s.add('cpu.mems', 'cpuset', 'cpuset.mems', cpu.mems);
  const pids = limitPlus(r.pids.limit, allowance.pids);
  s.add('pids.limit', 'pids', 'pids.max', pids === -1 ? 'max' : pids);
  s.add('blockIO.weight', 'blkio', 'blkio.weight', blockIO.weight);
  s.add('blockIO.leafWeight', 'blkio', 'blkio.leaf_weight', blockIO.leafWeight);
  for (const d of blockIO.weightDevice) {
    const value = (w: number | undefined): string | undefined => (w ? `${d.device} ${w}` : undefined);
    s.add('blockIO.weightDevice', 'blkio', 'blkio.weight_device', value(d.weight));
    s.add('blockIO.weightDevice', 'blkio', 'blkio.leaf_weight_device', value(d.leafWeight));
  }
  for (const { field, v1, rates } of throttles(r)) {
    for (const d of rates) s.add(field, 'blkio', `blkio.throttle.${v1}_device`, `${d.device} ${d.rate}`);
  }
  for (const h of r.hugepageLimits) {
    s.add('hugepageLimits', 'hugetlb', `hugetlb.${h.pageSize}.limit_in_bytes`, h.limit);
  }
  s.add('network.classID', 'net_cls', 'net_cls.classid', r.network.classID);
  for (const p of r.network.priorities) {
    s.add('network.priorities', 'net_prio', 'net_prio.ifpriomap', `${p.name} ${p.priority}`);
  }
  for (const d of r.rdma) {
    const parts = [d.device];
    if (d.hcaHandles !== undefined) parts.push(`hca_handle=${d.hcaHandles}`);
    if (d.hcaObjects !== undefined) parts.push(`hca_object=${d.hcaObjects}`);
    s.add('rdma', 'rdma', 'rdma.max', parts.join(' '));
  }
  return s.list;
}

/** Other names of a file: I/O schedulers bring their own weights. */
const ALTERNATIVES: Record<string, string> = {
  'blkio.weight': 'blkio.bfq.weight',
  'blkio.weight_device': 'blkio.bfq.weight_device',
};

export function writeSettingV1(dir: string, s: Setting): void {
  try {
    writeCgroupFile(dir, s.file, s.value);
  } catch (e) {
    const other = ALTERNATIVES[s.file];
    if (other === undefined || codeOf(e) !== 'ENOENT') throw e;
    writeCgroupFile(dir, other, s.value);
  }
  if (s.file === 'cpu.shares') checkShares(dir, s.value);
}

/** The kernel clamps without a word. */
function checkShares(dir: string, value: string): void {
  const got = readNumber(dir, 'cpu.shares');
  if (got === null || got === Number(value)) return;
  const bound = got < Number(value) ? 'maximum' : 'minimum';
  throw new CgroupError(`cpu.shares ${value}: the ${bound} is ${got}`, 'EINVAL');
}

const MEMORY = 'memory.limit_in_bytes';
const MEMSW = 'memory.memsw.limit_in_bytes';

/** True if `dir` counts swap, too. */
const countsSwap = (dir: string): boolean => readCgroupFile(dir, MEMSW) !== null;

/**
 * Memory and memory with swap: neither may exceed the other at any moment, so the order depends on what is in force.
 * Without swap accounting a limit on swap has no effect, as with runc.
 */
export function writeMemoryV1(dir: string, r: Resources, allowance: Allowance): void {
  const limit = limitPlus(r.memory.limit, allowance.memory);
  let swap = limitPlus(r.memory.swap, allowance.memory);
  if (limit === undefined && swap === undefined) return;
  if (limit === -1 && swap === undefined) swap = -1;
  if (!countsSwap(dir)) swap = undefined;
  if (limit !== undefined && limit >= 0 && r.memory.checkBeforeUpdate === true) {
    const usage = readNumber(dir, 'memory.usage_in_bytes') ?? 0;
    if (usage > limit) {
      throw new CgroupError(`memory limit ${limit} is below the current usage ${usage}`, 'EBUSY');
    }
  }
  if (limit === undefined) return writeLimit(dir, MEMSW, swap!);
  if (swap === undefined) return writeLimit(dir, MEMORY, limit);
  const current = readNumber(dir, MEMORY) ?? Infinity;
  const raising = swap === -1 || swap > current;
  writeLimit(dir, raising ? MEMSW : MEMORY, raising ? swap : limit);
  writeLimit(dir, raising ? MEMORY : MEMSW, raising ? limit : swap);
}

function writeLimit(dir: string, file: string, limit: number): void {
  try {
    writeCgroupFile(dir, file, String(limit));
  } catch (e) {
    if (codeOf(e) !== 'EBUSY') throw e;
    const usage = readNumber(dir, file.replace('limit', 'usage'));
    const peak = readNumber(dir, file.replace('limit', 'max_usage'));
    throw new CgroupError(
      `unable to set memory limit to ${limit} (current usage: ${usage}, peak usage: ${peak})`,
      'EBUSY',
    );
  }
}

/** cpu.cfs_*: a period may only be acceptable together with the new quota, and a burst never exceeds the quota. */
export function writeBandwidthV1(dir: string, r: Resources): void {
  const { quota, period, burst } = r.cpu;
  let periodLeft = period;
  if (period !== undefined) {
    try {
      writeCgroupFile(dir, 'cpu.cfs_period_us', String(period));
      periodLeft = undefined;
    } catch (e) {
      if (codeOf(e) !== 'EINVAL' || quota === undefined) throw e;
    }
  }
  if (quota !== undefined) writeCgroupFile(dir, 'cpu.cfs_quota_us', String(quota));
  if (periodLeft !== undefined) writeCgroupFile(dir, 'cpu.cfs_period_us', String(periodLeft));
  if (burst !== undefined) writeCgroupFile(dir, 'cpu.cfs_burst_us', String(burst));
}

/** A new cpuset group takes no process before it has CPUs and memory nodes: those of the nearest ancestor that has. */
export function fillCpuset(dir: string, mount: string): void {
  for (const file of ['cpuset.cpus', 'cpuset.mems']) fillFrom(dir, mount, file);
}

function fillFrom(dir: string, mount: string, file: string): string {
  const value = readFileSync(`${dir}/${file}`, 'utf8').trim();
  if (value !== '' || dir === mount) return value;
  const inherited = fillFrom(dirname(dir), mount, file);
  if (inherited !== '') writeCgroupFile(dir, file, inherited);
  return inherited;
}
