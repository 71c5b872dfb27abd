/**
 * The files of controllers (Documentation/admin-guide/cgroup-v2.rst). In a container's topmost group they show the limits and
 * figures of the host's groups around the sandbox. Of the groups that guests make, pids.* is in force, what is counted is shown,
 * and the other settings are kept and told back, without effect (docs/cgroups.md says so).
 */
import { controllerBit } from '../../abi/cgroup.ts';
import { EINVAL } from '../../abi/errno.ts';
import type { Cgroup } from '../../kernel/cgroup/cgroup.ts';
import type { CgroupOperations } from '../../kernel/cgroup/operations.ts';
import type { Container, ContainerLimits, GroupFigures } from '../../kernel/container.ts';
import type { Task } from '../../kernel/task.ts';
import { residentOf, residentSum, residentTotal } from '../../mm/residency.ts';
import { parseInteger, strip } from '../kernfs/parse.ts';
import { cpuList } from '../proc/cpus.ts';
import type { ProcEnv } from '../proc/env.ts';
import { memoryFigures } from '../proc/memory.ts';
import type { CgroupFileType } from './file.ts';
import { SETTINGS, type Setting } from './settings.ts';
import { sharesToWeight } from './shares.ts';

const PID_LIMIT = 4194304;

const boxOf = (t: Task): Container | null => t.group.container;
const isTop = (g: Cgroup): boolean => g.parent === null;
const us = (ns: number): number => Math.floor(ns / 1000);

/** 0 where the host does not say. */
function figure(t: Task, read: (f: GroupFigures) => number): number {
  const figures = boxOf(t)?.figures ?? null;
  return figures === null ? 0 : Math.max(0, read(figures));
}

function limit(t: Task, what: (l: ContainerLimits) => number, none: string | number): string | number {
  const box = boxOf(t);
  const value = box === null ? 0 : what(box.limits);
  return value > 0 ? value : none;
}

const has = (controller: string): ((g: Cgroup) => boolean) => {
  const bit = controllerBit(controller);
  return (g) => (g.controllers & bit) !== 0;
};

/** Settings that the topmost group has from the container's configuration. */
const TOP: { readonly [name: string]: (t: Task) => string | number } = {
  'cpu.max': (t) => `${limit(t, (l) => l.cpuQuota, 'max')} ${limit(t, (l) => l.cpuPeriod, 100_000)}`,
  'cpu.weight': (t) => limit(t, (l) => (l.cpuShares === 0 ? 0 : sharesToWeight(l.cpuShares)), 100),
  'memory.max': (t) => limit(t, (l) => l.memory, 'max'),
  'memory.swap.max': (t) => {
    const swap = limit(t, (l) => l.memorySwap, 'max');
    return typeof swap === 'string' ? swap : swap - Number(limit(t, (l) => l.memory, 0));
  },
};

function settingFile(s: Setting): CgroupFileType {
  const top = TOP[s.name];
  return {
    name: s.name,
    visible: has(s.name.slice(0, s.name.indexOf('.'))),
    show: (g, t) => (isTop(g) && top !== undefined ? top(t) : (g.value(s.name) ?? s.initial)),
    store: (g, text) => {
      const value = s.parse(strip(text));
      if (typeof value === 'number') return value;
      g.setValue(s.name, value);
      return 0;
    },
  };
}

/** What is counted of a group and those below it. */
class Figures {
  private readonly env: ProcEnv;
  private readonly ops: CgroupOperations;

  constructor(env: ProcEnv, ops: CgroupOperations) {
    this.env = env;
    this.ops = ops;
  }

  /** Bytes: of the topmost group what the host counts, else what its processes have in memory. */
  memory(g: Cgroup, t: Task): number {
    if (!isTop(g)) return this.resident(g, t);
    const counted = figure(t, (f) => f.memoryUsage());
    if (counted > 0) return counted;
    const { anonKb, sharedKb } = memoryFigures(this.env.kernel);
    return (anonKb + sharedKb) * 1024;
  }

  private resident(g: Cgroup, t: Task): number {
    const tasks = this.ops.tasksIn(t.kernel, g, true);
    return residentSum(tasks, (mm, max) => residentTotal(residentOf(mm, max)));
  }

  memoryStat(g: Cgroup, t: Task): string {
    const top = memoryFigures(this.env.kernel);
    const anon = isTop(g) ? top.anonKb * 1024 : this.resident(g, t);
    const shared = isTop(g) ? top.sharedKb * 1024 : 0;
    return (
      `anon ${anon}\nfile ${shared}\nkernel 0\nshmem ${shared}\nfile_mapped 0\n` +
      `file_dirty 0\nfile_writeback 0\ninactive_anon 0\nactive_anon ${anon}\ninactive_file 0\n` +
      `active_file ${shared}\nunevictable 0\nslab_reclaimable 0\nslab_unreclaimable 0\nslab 0\n` +
      'pgfault 0\npgmajfault 0'
    );
  }

  cpuStat(g: Cgroup, t: Task): string {
    let user = 0;
    let system = 0;
    for (const c of g.subtree()) {
      user += c.pastCpu.user;
      system += c.pastCpu.system;
    }
    for (const p of t.kernel.allGroups()) {
      const { cset } = p.leader;
      if (cset.all !== g.hierarchy.all || !cset.unified.isBelow(g)) continue;
      const used = t.kernel.accounts.processUsage(p);
      user += used.utimeNs - p.settledCpu.user;
      system += used.stimeNs - p.settledCpu.system;
    }
    const throttled = isTop(g)
      ? [
          figure(t, (f) => f.periods()),
          figure(t, (f) => f.throttledPeriods()),
          us(figure(t, (f) => f.throttledNs())),
        ]
      : [0, 0, 0];
    return (
      `usage_usec ${us(user + system)}\nuser_usec ${us(user)}\nsystem_usec ${us(system)}\n` +
      `nr_periods ${throttled[0]}\nnr_throttled ${throttled[1]}\nthrottled_usec ${throttled[2]}`
    );
  }

  memoryEvents(g: Cgroup, t: Task): string {
    const hits = isTop(g) ? figure(t, (f) => f.limitHits()) : 0;
    const kills = isTop(g) ? figure(t, (f) => f.oomKills()) : 0;
    return `low 0\nhigh 0\nmax ${hits}\noom ${kills}\noom_kill ${kills}\noom_group_kill 0`;
  }
}

/** pids_max_write() */
function storePidsMax(g: Cgroup, text: string): number {
  const word = strip(text);
  const n = word === 'max' ? Infinity : parseInteger(word, 0);
  if (Number.isNaN(n) || n < 0 || (n !== Infinity && n > PID_LIMIT)) return -EINVAL;
  g.pidsMax = n;
  return 0;
}

const pidsMax = (g: Cgroup, t: Task): string | number => {
  const max = isTop(g) && g.hierarchy.unified ? (boxOf(t)?.tasksMax ?? Infinity) : g.pidsMax;
  return max === Infinity ? 'max' : max;
};

/** Those of the pids controller, in both versions. */
export function pidsFiles(): CgroupFileType[] {
  const visible = has('pids');
  return [
    { name: 'pids.current', visible, show: (g) => g.pids },
    { name: 'pids.events', visible, show: (g) => `max ${g.pidsEvents}` },
    { name: 'pids.events.local', visible, show: (g) => `max ${g.pidsEventsLocal}` },
    { name: 'pids.max', visible, show: pidsMax, store: storePidsMax },
    { name: 'pids.peak', visible, show: (g) => g.pidsPeak },
  ];
}

export function controllerFiles(env: ProcEnv, ops: CgroupOperations): CgroupFileType[] {
  const figures = new Figures(env, ops);
  const cpus = cpuList(env.host.cpus);
  const shown = (name: string, show: NonNullable<CgroupFileType['show']>): CgroupFileType => ({
    name,
    visible: has(name.slice(0, name.indexOf('.'))),
    show,
  });
  return [
    { name: 'cpu.stat', visible: () => true, show: (g, t) => figures.cpuStat(g, t) },
    // Nobody is kept to a part of what the container has.
    shown('cpuset.cpus.effective', () => cpus),
    shown('cpuset.mems.effective', () => 0),
    shown('io.stat', () => ''),
    shown('memory.current', (g, t) => figures.memory(g, t)),
    shown('memory.events', (g, t) => figures.memoryEvents(g, t)),
    shown('memory.peak', (g, t) => {
      const peak = isTop(g) ? figure(t, (f) => f.memoryPeak()) : 0;
      return Math.max(figures.memory(g, t), peak);
    }),
    shown('memory.stat', (g, t) => figures.memoryStat(g, t)),
    shown('memory.swap.current', () => 0),
    ...pidsFiles(),
    ...SETTINGS.map(settingFile),
  ];
}
