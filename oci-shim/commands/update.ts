/** `runsc-ts update`: new limits for a container that runs. */
import { readFileSync } from 'node:fs';
import { limitsOf, parseResources, parseSize, type Resources } from '../cgroup/resources.ts';
import { openCgroup } from '../cgroup/cgroup.ts';
import { controlCall } from '../control/client.ts';
import type { GlobalOptions } from '../global-options.ts';
import { Field } from '../spec/field.ts';
import { statusOf } from '../state/container-state.ts';
import { StateDir } from '../state/state-dir.ts';
import { warn } from '../lifecycle/log.ts';
import { UserError } from '../user-error.ts';

/** As commander names the options of `runc update`. */
export interface UpdateOptions {
  resources?: string;
  blkioWeight?: string;
  cpuPeriod?: string;
  cpuQuota?: string;
  cpuBurst?: string;
  cpuShare?: string;
  cpuRtPeriod?: string;
  cpuRtRuntime?: string;
  cpuIdle?: string;
  cpusetCpus?: string;
  cpusetMems?: string;
  memory?: string;
  memoryReservation?: string;
  memorySwap?: string;
  kernelMemory?: string;
  kernelMemoryTcp?: string;
  pidsLimit?: string;
  l3CacheSchema?: string;
  memBwSchema?: string;
}

const STDIN = 0;

export function update(id: string, o: UpdateOptions, globals: GlobalOptions): void {
  const resources = o.resources === undefined ? fromOptions(o) : fromFile(o.resources);
  new StateDir(globals.root).withLock(id, (c) => {
    const { state } = c;
    if (statusOf(state) === 'stopped') throw new UserError('container not running');
    const group = state.cgroup === null ? null : openCgroup(state.cgroup);
    if (group === null) warn('the container has no cgroup: only the limit of processes is in force');
    else group.apply(resources).forEach(warn);
    // The sandbox's kernel counts processes itself, and shows its guests the rest.
    const { pids } = resources;
    controlCall(new StateDir(globals.root), state, 'update', {
      limits: changed(resources),
      ...(pids.limit === undefined ? {} : { pidsLimit: pids.limit }),
    });
  });
}

/** What the guests are to be shown: only what was given. 0: no limit any more. */
function changed(r: Resources): Record<string, number> {
  const limits = limitsOf(r);
  const given: Record<string, unknown> = {
    memory: r.memory.limit,
    memorySwap: r.memory.swap,
    cpuQuota: r.cpu.quota,
    cpuPeriod: r.cpu.period,
    cpuShares: r.cpu.shares,
    cpus: r.cpu.cpus,
  };
  return Object.fromEntries(Object.entries(limits).filter(([key]) => given[key] !== undefined));
}

function fromFile(name: string): Resources {
  let text: string;
  try {
    text = readFileSync(name === '-' ? STDIN : name, 'utf8');
  } catch (e) {
    throw new UserError(`--resources ${name}: ${(e as NodeJS.ErrnoException).code}`);
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (e) {
    throw new UserError(`--resources ${name} is not JSON: ${(e as Error).message}`);
  }
  return parseResources(Field.root(json));
}

/** The options as the JSON that they stand for, so that both ways are checked alike. */
export function fromOptions(o: UpdateOptions): Resources {
  if (o.l3CacheSchema !== undefined || o.memBwSchema !== undefined) {
    throw new UserError('--l3-cache-schema and --mem-bw-schema: Intel RDT is not supported');
  }
  const cpu: Record<string, unknown> = {
    shares: number('--cpu-share', o.cpuShare),
    quota: number('--cpu-quota', o.cpuQuota),
    burst: number('--cpu-burst', o.cpuBurst),
    period: number('--cpu-period', o.cpuPeriod),
    realtimePeriod: number('--cpu-rt-period', o.cpuRtPeriod),
    realtimeRuntime: number('--cpu-rt-runtime', o.cpuRtRuntime),
    idle: number('--cpu-idle', o.cpuIdle),
    cpus: o.cpusetCpus,
    mems: o.cpusetMems,
  };
  const memory = {
    limit: size('--memory', o.memory),
    reservation: size('--memory-reservation', o.memoryReservation),
    swap: size('--memory-swap', o.memorySwap),
    kernelTCP: size('--kernel-memory-tcp', o.kernelMemoryTcp),
  };
  return parseResources(
    Field.root({
      cpu,
      memory,
      pids: { limit: number('--pids-limit', o.pidsLimit) },
      blockIO: { weight: number('--blkio-weight', o.blkioWeight) },
    }),
  );
}

function number(name: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (!/^-?\d+$/.test(value)) throw new UserError(`${name} ${value}: must be a whole number`);
  return Number(value);
}

function size(name: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const bytes = value === '-1' ? -1 : parseSize(value);
  if (bytes === null) throw new UserError(`${name} ${value}: must be a size as 512m or 2g, or -1`);
  return bytes;
}
