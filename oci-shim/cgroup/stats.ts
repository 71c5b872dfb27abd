/** Figures of a container's groups in the shape of `runc events --stats` (runc's types/events.go). */
import type { CgroupState } from './cgroup.ts';
import { readCgroupFile, readFlatKeyed, readNumber } from './file.ts';

export interface MemoryEntry {
  limit: number;
  usage: number;
  max: number;
  failcnt: number;
}

export interface BlkioEntry {
  major: number;
  minor: number;
  op: string;
  value: number;
}

export interface CgroupStats {
  cpu: {
    usage: { total: number; percpu?: number[]; kernel: number; user: number };
    throttling: { periods: number; throttledPeriods: number; throttledTime: number };
  };
  cpuset: { cpus?: number[]; mems?: number[] };
  memory: {
    cache: number;
    usage: MemoryEntry;
    swap: MemoryEntry;
    kernel: MemoryEntry;
    kernelTCP: MemoryEntry;
    raw: Record<string, number>;
  };
  pids: { current: number; limit?: number };
  blkio: { ioServiceBytesRecursive?: BlkioEntry[]; ioServicedRecursive?: BlkioEntry[] };
  hugetlb: Record<string, { usage: number; max: number; failcnt: number }>;
  intel_rdt: Record<string, never>;
  network_interfaces: null;
}

/** `max` as runc writes it: the largest 64-bit number, as near as JSON's reader will come. */
const UNLIMITED = 2 ** 64;

const orUnlimited = (n: number | null): number => (n === null ? 0 : n === Infinity ? UNLIMITED : n);

export function readStats(state: CgroupState): CgroupStats {
  return state.version === 1 ? statsV1(state.paths) : statsV2(state.paths['unified'] ?? '');
}

/** `0-2,5` → 0, 1, 2, 5 */
export function parseCpuList(list: string): number[] {
  const cpus: number[] = [];
  for (const part of list.trim().split(',').filter(Boolean)) {
    const [first, last = first] = part.split('-').map(Number);
    for (let c = first!; c <= last!; c++) cpus.push(c);
  }
  return cpus;
}

function entryV1(dir: string, name: string): MemoryEntry {
  const get = (what: string): number => readNumber(dir, `memory.${name}${what}`) ?? 0;
  return {
    limit: get('limit_in_bytes'),
    usage: get('usage_in_bytes'),
    max: get('max_usage_in_bytes'),
    failcnt: get('failcnt'),
  };
}

function statsV1(paths: Record<string, string>): CgroupStats {
  const dir = (name: string): string => paths[name] ?? '';
  const raw = readFlatKeyed(dir('memory'), 'memory.stat');
  const throttled = readFlatKeyed(dir('cpu'), 'cpu.stat');
  const acct = dir('cpuacct');
  const percpu = readCgroupFile(acct, 'cpuacct.usage_percpu')?.trim().split(' ').map(Number);
  const pidsMax = readNumber(dir('pids'), 'pids.max');
  const cpuset = dir('cpuset');
  return {
    cpu: {
      usage: {
        total: readNumber(acct, 'cpuacct.usage') ?? 0,
        ...(percpu === undefined ? {} : { percpu }),
        kernel: readNumber(acct, 'cpuacct.usage_sys') ?? 0,
        user: readNumber(acct, 'cpuacct.usage_user') ?? 0,
      },
      throttling: {
        periods: throttled['nr_periods'] ?? 0,
        throttledPeriods: throttled['nr_throttled'] ?? 0,
        throttledTime: throttled['throttled_time'] ?? 0,
      },
    },
    cpuset: {
      cpus: parseCpuList(readCgroupFile(cpuset, 'cpuset.cpus') ?? ''),
      mems: parseCpuList(readCgroupFile(cpuset, 'cpuset.mems') ?? ''),
    },
    memory: {
      cache: raw['cache'] ?? 0,
      usage: entryV1(dir('memory'), ''),
      swap: entryV1(dir('memory'), 'memsw.'),
      kernel: entryV1(dir('memory'), 'kmem.'),
      kernelTCP: entryV1(dir('memory'), 'kmem.tcp.'),
      raw,
    },
    pids: pids(readNumber(dir('pids'), 'pids.current'), pidsMax),
    blkio: {
      ioServiceBytesRecursive: blkioEntries(dir('blkio'), 'io_service_bytes'),
      ioServicedRecursive: blkioEntries(dir('blkio'), 'io_serviced'),
    },
    hugetlb: {},
    intel_rdt: {},
    network_interfaces: null,
  };
}

function pids(current: number | null, limit: number | null): CgroupStats['pids'] {
  return { current: current ?? 0, ...(limit === null || limit === Infinity ? {} : { limit }) };
}

/** Lines `8:0 Read 4096`; the I/O scheduler's own files come first, as in runc. */
function blkioEntries(dir: string, what: string): BlkioEntry[] {
  const text =
    readCgroupFile(dir, `blkio.bfq.${what}_recursive`) ||
    readCgroupFile(dir, `blkio.throttle.${what}_recursive`) ||
    '';
  const entries: BlkioEntry[] = [];
  for (const line of text.split('\n')) {
    const [device, op, value] = line.split(' ');
    if (value === undefined) continue; // the total
    const [major, minor] = device!.split(':').map(Number);
    entries.push({ major: major!, minor: minor!, op: op!, value: Number(value) });
  }
  return entries;
}

const NS_PER_US = 1000;

function statsV2(dir: string): CgroupStats {
  const cpu = readFlatKeyed(dir, 'cpu.stat');
  const raw = readFlatKeyed(dir, 'memory.stat');
  const events = readFlatKeyed(dir, 'memory.events');
  const none: MemoryEntry = { limit: 0, usage: 0, max: 0, failcnt: 0 };
  const usage: MemoryEntry = {
    limit: orUnlimited(readNumber(dir, 'memory.max')),
    usage: readNumber(dir, 'memory.current') ?? 0,
    max: readNumber(dir, 'memory.peak') ?? 0,
    failcnt: events['max'] ?? 0,
  };
  const swapLimit = orUnlimited(readNumber(dir, 'memory.swap.max'));
  const us = (key: string): number => (cpu[key] ?? 0) * NS_PER_US;
  return {
    cpu: {
      usage: { total: us('usage_usec'), kernel: us('system_usec'), user: us('user_usec') },
      throttling: {
        periods: cpu['nr_periods'] ?? 0,
        throttledPeriods: cpu['nr_throttled'] ?? 0,
        throttledTime: us('throttled_usec'),
      },
    },
    cpuset: {
      cpus: parseCpuList(readCgroupFile(dir, 'cpuset.cpus') ?? ''),
      mems: parseCpuList(readCgroupFile(dir, 'cpuset.mems') ?? ''),
    },
    memory: {
      cache: raw['file'] ?? 0,
      usage,
      // As version 1 counts: memory and swap together.
      swap: {
        ...none,
        limit: Math.min(UNLIMITED, usage.limit + swapLimit),
        usage: usage.usage + (readNumber(dir, 'memory.swap.current') ?? 0),
      },
      kernel: { ...none, usage: raw['kernel'] ?? 0 },
      kernelTCP: { ...none, usage: raw['sock'] ?? 0 },
      raw,
    },
    pids: pids(readNumber(dir, 'pids.current'), readNumber(dir, 'pids.max')),
    blkio: { ioServiceBytesRecursive: ioEntries(dir, 'bytes'), ioServicedRecursive: ioEntries(dir, 'ios') },
    hugetlb: {},
    intel_rdt: {},
    network_interfaces: null,
  };
}

/** io.stat: `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0` */
function ioEntries(dir: string, unit: 'bytes' | 'ios'): BlkioEntry[] {
  const operations = { r: 'Read', w: 'Write', d: 'Discard' };
  const entries: BlkioEntry[] = [];
  for (const line of (readCgroupFile(dir, 'io.stat') ?? '').split('\n').filter(Boolean)) {
    const [device, ...pairs] = line.split(' ');
    const [major, minor] = device!.split(':').map(Number);
    for (const [letter, op] of Object.entries(operations)) {
      const pair = pairs.find((p) => p.startsWith(`${letter}${unit}=`));
      if (pair === undefined) continue;
      entries.push({ major: major!, minor: minor!, op, value: Number(pair.slice(pair.indexOf('=') + 1)) });
    }
  }
  return entries;
}

/** Processes of the container that the kernel killed for lack of memory, as far as it counts them. */
export function oomKills(state: CgroupState): number {
  if (state.version === 1)
    return readFlatKeyed(state.paths['memory'] ?? '', 'memory.oom_control')['oom_kill'] ?? 0;
  return readFlatKeyed(state.paths['unified'] ?? '', 'memory.events')['oom_kill'] ?? 0;
}
