/** `linux.resources` of config.json and of `update` (runtime-spec config-linux.md, "Control groups"), checked and typed. */
import type { ContainerLimits } from '../../sentry/kernel/container.ts';
import type { DeviceList } from '../../sentry/kernel/device-list.ts';
import type { Field } from '../spec/field.ts';
import { deviceList } from './devices.ts';

/** Absent fields and zeros mean: leave as it is. Engines write zeros for everything their user did not set. */
export interface Resources {
  memory: MemoryResources;
  cpu: CpuResources;
  /** Most tasks; −1: no limit. */
  pids: { limit?: number };
  blockIO: BlockIoResources;
  hugepageLimits: { pageSize: string; limit: number }[];
  network: { classID?: number; priorities: { name: string; priority: number }[] };
  rdma: { device: string; hcaHandles?: number; hcaObjects?: number }[];
  /** File of the unified hierarchy → value. */
  unified: Record<string, string>;
  /** For a new group; null: it stays as its parent is. */
  devices: DeviceList | null;
}

/** Bytes; −1: no limit. */
export interface MemoryResources {
  limit?: number;
  reservation?: number;
  /** Memory and swap together. */
  swap?: number;
  kernelTCP?: number;
  swappiness?: number;
  disableOOMKiller?: boolean;
  /** Refuse a limit that is below what is used already. */
  checkBeforeUpdate?: boolean;
}

/** Times in µs. */
export interface CpuResources {
  shares?: number;
  quota?: number;
  burst?: number;
  period?: number;
  realtimeRuntime?: number;
  realtimePeriod?: number;
  cpus?: string;
  mems?: string;
  idle?: number;
}

export interface BlockIoResources {
  weight?: number;
  leafWeight?: number;
  weightDevice: { device: string; weight?: number; leafWeight?: number }[];
  throttleReadBpsDevice: DeviceRate[];
  throttleWriteBpsDevice: DeviceRate[];
  throttleReadIOPSDevice: DeviceRate[];
  throttleWriteIOPSDevice: DeviceRate[];
}

export interface DeviceRate {
  /** `major:minor` */
  device: string;
  rate: number;
}

/** µs; what a quota refers to if nothing else is said. */
export const CPU_PERIOD = 100_000;

const U32_MAX = 0xffffffff;
const U64_MAX = 2 ** 64;

export function noResources(): Resources {
  return {
    memory: {},
    cpu: {},
    pids: {},
    blockIO: {
      weightDevice: [],
      throttleReadBpsDevice: [],
      throttleWriteBpsDevice: [],
      throttleReadIOPSDevice: [],
      throttleWriteIOPSDevice: [],
    },
    hugepageLimits: [],
    network: { priorities: [] },
    rdma: [],
    unified: {},
    devices: null,
  };
}

export function parseResources(r: Field | null): Resources {
  if (r === null) return { ...noResources(), devices: deviceList(null) };
  r.only([
    'devices', 'memory', 'cpu', 'pids', 'blockIO', 'hugepageLimits', 'network', 'rdma', 'unified',
  ]); // prettier-ignore
  return {
    memory: parseMemory(r.optionalObject('memory')),
    cpu: parseCpu(r.optionalObject('cpu')),
    pids: parsePids(r.optionalObject('pids')),
    blockIO: parseBlockIo(r.optionalObject('blockIO')),
    hugepageLimits: r.objects('hugepageLimits').map((h) => ({
      pageSize: h.string('pageSize'),
      limit: h.integer('limit', 0, 0, U64_MAX),
    })),
    network: parseNetwork(r.optionalObject('network')),
    rdma: parseRdma(r.optionalObject('rdma')),
    unified: r.stringMap('unified'),
    devices: deviceList(r),
  };
}

/** `{ key: value }`, or nothing if it is missing or zero. Values that JSON cannot hold exactly stand for "no limit". */
function number<K extends string>(f: Field | null, key: K, min: number, max: number): { [P in K]?: number } {
  const v = f?.integer(key, 0, min, max) ?? 0;
  if (v === 0) return {};
  return { [key]: v > Number.MAX_SAFE_INTEGER ? -1 : v } as { [P in K]?: number };
}

function text<K extends string>(f: Field, key: K): { [P in K]?: string } {
  const v = f.optionalString(key);
  return v === null ? {} : ({ [key]: v } as { [P in K]?: string });
}

/** Whatever is below 0 is no limit, as for runc. */
function parsePids(p: Field | null): Resources['pids'] {
  const { limit } = number(p, 'limit', -U64_MAX, U64_MAX);
  return limit === undefined ? {} : { limit: Math.max(limit, -1) };
}

function parseMemory(m: Field | null): MemoryResources {
  if (m === null) return {};
  // Kernel memory has no limit of its own since Linux 5.16; the hierarchy is always used.
  m.only([
    'limit', 'reservation', 'swap', 'kernel', 'kernelTCP', 'swappiness', 'disableOOMKiller', 'useHierarchy',
    'checkBeforeUpdate',
  ]); // prettier-ignore
  const memory: MemoryResources = {
    ...number(m, 'limit', -1, U64_MAX),
    ...number(m, 'reservation', -1, U64_MAX),
    ...number(m, 'swap', -1, U64_MAX),
    ...number(m, 'kernelTCP', -1, U64_MAX),
  };
  // 0 is a value of its own here; engines say −1 or 2^64−1 for "not set".
  const swappiness = m.integer('swappiness', -1, -1, U64_MAX);
  if (swappiness >= 0 && swappiness <= 100) memory.swappiness = swappiness;
  else if (swappiness > 100 && swappiness < Number.MAX_SAFE_INTEGER) m.integer('swappiness', -1, 0, 100);
  if (m.boolean('disableOOMKiller', false)) memory.disableOOMKiller = true;
  if (m.boolean('checkBeforeUpdate', false)) memory.checkBeforeUpdate = true;
  return memory;
}

function parseCpu(c: Field | null): CpuResources {
  if (c === null) return {};
  c.only([
    'shares', 'quota', 'burst', 'period', 'realtimeRuntime', 'realtimePeriod', 'cpus', 'mems', 'idle',
  ]); // prettier-ignore
  return {
    ...number(c, 'shares', 0, U64_MAX),
    ...number(c, 'quota', -1, U64_MAX),
    ...number(c, 'burst', 0, U64_MAX),
    ...number(c, 'period', 0, U64_MAX),
    ...number(c, 'realtimeRuntime', -1, U64_MAX),
    ...number(c, 'realtimePeriod', 0, U64_MAX),
    ...text(c, 'cpus'),
    ...text(c, 'mems'),
    ...number(c, 'idle', 0, 1),
  };
}

function deviceName(d: Field): string {
  return `${d.integer('major', 0, 0, U32_MAX)}:${d.integer('minor', 0, 0, U32_MAX)}`;
}

function parseBlockIo(b: Field | null): BlockIoResources {
  if (b === null) return noResources().blockIO;
  b.only([
    'weight', 'leafWeight', 'weightDevice', 'throttleReadBpsDevice', 'throttleWriteBpsDevice', 'throttleReadIOPSDevice',
    'throttleWriteIOPSDevice',
  ]); // prettier-ignore
  const rates = (key: string): DeviceRate[] =>
    b.objects(key).map((d) => ({ device: deviceName(d), rate: d.integer('rate', 0, 0, U64_MAX) }));
  return {
    ...number(b, 'weight', 0, 1000),
    ...number(b, 'leafWeight', 0, 1000),
    weightDevice: b.objects('weightDevice').map((d) => ({
      device: deviceName(d),
      ...number(d, 'weight', 0, 1000),
      ...number(d, 'leafWeight', 0, 1000),
    })),
    throttleReadBpsDevice: rates('throttleReadBpsDevice'),
    throttleWriteBpsDevice: rates('throttleWriteBpsDevice'),
    throttleReadIOPSDevice: rates('throttleReadIOPSDevice'),
    throttleWriteIOPSDevice: rates('throttleWriteIOPSDevice'),
  };
}

function parseNetwork(n: Field | null): Resources['network'] {
  if (n === null) return { priorities: [] };
  n.only(['classID', 'priorities']);
  return {
    ...number(n, 'classID', 0, U32_MAX),
    priorities: n
      .objects('priorities')
      .map((p) => ({ name: p.string('name'), priority: p.integer('priority', 0, 0, U32_MAX) })),
  };
}

function parseRdma(r: Field | null): Resources['rdma'] {
  return (r?.keys() ?? []).map((device) => {
    const d = r!.object(device);
    return { device, ...number(d, 'hcaHandles', 0, U32_MAX), ...number(d, 'hcaObjects', 0, U32_MAX) };
  });
}

export const asksForLimits = (r: Resources): boolean =>
  JSON.stringify({ ...r, devices: null }) !== JSON.stringify(noResources());

/** What the guest is shown of them. */
export function limitsOf(r: Resources): ContainerLimits {
  const atLeast0 = (n: number | undefined): number => Math.max(0, n ?? 0);
  return {
    memory: atLeast0(r.memory.limit),
    memorySwap: atLeast0(r.memory.swap),
    cpuQuota: atLeast0(r.cpu.quota),
    cpuPeriod: r.cpu.period ?? CPU_PERIOD,
    cpuShares: r.cpu.shares ?? 0,
    cpus: cpuCount(r.cpu.cpus ?? ''),
  };
}

/** How many CPUs `0-2,4` names; 0 for what the kernel will refuse. */
function cpuCount(list: string): number {
  const parts = list.split(',').filter(Boolean);
  const counts = parts.map((part) => {
    const [first, last = first] = part.split('-').map(Number);
    return last! - first! + 1;
  });
  return counts.reduce((sum, n) => sum + n, 0) || 0;
}

const UNITS: Record<string, number> = { '': 1, b: 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 };

/** `512m`, `1.5g`, `4096` in bytes; null if it is nothing of the kind. */
export function parseSize(value: string): number | null {
  const m = /^(\d+(?:\.\d+)?)\s?([bkmgt]?)(?:i?b)?$/i.exec(value.trim());
  return m === null ? null : Math.floor(Number(m[1]) * UNITS[m[2]!.toLowerCase()]!);
}
