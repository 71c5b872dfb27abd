/**
 * cgroup2 as the container sees it: one group, the root of its cgroup namespace, with the figures of the sandbox
 * (Documentation/admin-guide/cgroup-v2.rst). Limits are enforced by the host's groups around the sandbox (that of processes by
 * the kernel); what is written in here would have no effect, so nothing can be. Engines also ask for it by the name of version 1.
 */
import { EINVAL } from '../../abi/errno.ts';
import type { Container, ContainerLimits, GroupFigures } from '../../kernel/container.ts';
import type { Task } from '../../kernel/task.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import { registerFileSystem } from '../../vfs/fs-types.ts';
import { StaticDir } from '../kernfs/dir.ts';
import { KernfsFile, refuseWriters } from '../kernfs/file.ts';
import { parseBounded } from '../kernfs/parse.ts';
import { KernfsSuperBlock } from '../kernfs/super-block.ts';
import { cpuList } from '../proc/cpus.ts';
import type { ProcEnv } from '../proc/env.ts';
import { memoryFigures } from '../proc/memory.ts';
import { sandboxUsage } from '../proc/usage.ts';
import { sharesToWeight } from './shares.ts';

const CGROUP2_SUPER_MAGIC = 0x63677270;
const PID_MAX = 4194304;

export class CgroupSuperBlock extends KernfsSuperBlock {
  readonly fsType = 'cgroup2';
  readonly magic = CGROUP2_SUPER_MAGIC;
  override readonly root: StaticDir;
  private readonly env: ProcEnv;

  constructor(env: ProcEnv) {
    super();
    this.env = env;
    this.root = new StaticDir(this, 0o555);
    this.addFiles();
  }

  private addFiles(): void {
    const used = (t: Task): number => {
      const counted = figure(t, (f) => f.memoryUsage());
      if (counted > 0) return counted;
      const { anonKb, sharedKb } = memoryFigures(this.env);
      return (anonKb + sharedKb) * 1024;
    };
    const limit = (t: Task, what: (l: ContainerLimits) => number, none: string | number): string | number => {
      const box = boxOf(t);
      const value = box === null ? 0 : what(box.limits);
      return value > 0 ? value : none;
    };
    const cpus = cpuList(this.env.host.cpus);
    const add = (name: string, text: (t: Task) => string | number): void => {
      const make = (t: CallContext): string => `${text(t as Task)}\n`;
      this.root.add(name, new KernfsFile(this, 0o444, make, { onOpen: refuseWriters }));
    };
    add('cgroup.controllers', () => 'cpuset cpu io memory pids');
    add('cgroup.events', () => 'populated 1\nfrozen 0');
    add('cgroup.freeze', () => 0);
    add('cgroup.max.depth', () => 'max');
    add('cgroup.max.descendants', () => 'max');
    this.root.add(
      'cgroup.procs',
      new KernfsFile(this, 0o644, (t) => this.processes(t as Task), {
        store: (t, text) => this.moveHere(t as Task, text),
      }),
    );
    add('cgroup.stat', () => 'nr_descendants 0\nnr_dying_descendants 0');
    add('cgroup.subtree_control', () => '');
    this.root.add('cgroup.threads', new KernfsFile(this, 0o444, (t) => this.threads(t as Task)));
    add('cgroup.type', () => 'domain');
    add('cpu.max', (t) => `${limit(t, (l) => l.cpuQuota, 'max')} ${limit(t, (l) => l.cpuPeriod, 100_000)}`);
    add('cpu.stat', (t) => this.cpuStat(t));
    add('cpu.weight', (t) => limit(t, (l) => (l.cpuShares === 0 ? 0 : sharesToWeight(l.cpuShares)), 100));
    add('cpuset.cpus', () => '');
    add('cpuset.cpus.effective', () => cpus);
    add('cpuset.mems', () => '');
    add('cpuset.mems.effective', () => 0);
    add('io.stat', () => '');
    add('memory.current', used);
    add('memory.events', (t) => {
      const hits = figure(t, (f) => f.limitHits());
      const kills = figure(t, (f) => f.oomKills());
      return `low 0\nhigh 0\nmax ${hits}\noom ${kills}\noom_kill ${kills}\noom_group_kill 0`;
    });
    add('memory.high', () => 'max');
    add('memory.low', () => 0);
    add('memory.max', (t) => limit(t, (l) => l.memory, 'max'));
    add('memory.peak', (t) =>
      Math.max(
        used(t),
        figure(t, (f) => f.memoryPeak()),
      ),
    );
    add('memory.min', () => 0);
    add('memory.stat', () => this.memoryStat());
    add('memory.swap.current', () => 0);
    add('memory.swap.max', (t) => {
      const swap = limit(t, (l) => l.memorySwap, 'max');
      return typeof swap === 'string' ? swap : swap - Number(limit(t, (l) => l.memory, 0));
    });
    add('pids.current', () => this.env.kernel.pidNs.groups().reduce((n, g) => n + g.tasks.size, 0));
    add('pids.max', (t) => boxOf(t)?.tasksMax ?? 'max');
  }

  private processes(t: Task): string {
    let text = '';
    for (const g of t.pidNs.groups()) if (!g.isZombie) text += `${g.pid.nrIn(t.pidNs)}\n`;
    return text;
  }

  private threads(t: Task): string {
    let text = '';
    for (const g of t.pidNs.groups()) for (const o of g.tasks) text += `${o.pid.nrIn(t.pidNs)}\n`;
    return text;
  }

  /** Every process is here already. */
  private moveHere(t: Task, text: string): number {
    const { value, error } = parseBounded(text, 0, PID_MAX);
    if (error < 0 || (value !== 0 && t.pidNs.find(value) === null)) return -EINVAL;
    return text.length;
  }

  private cpuStat(t: Task): string {
    const { utimeNs: user, stimeNs: system } = sandboxUsage(this.env);
    const us = (ns: number): number => Math.floor(ns / 1000);
    return (
      `usage_usec ${us(user + system)}\nuser_usec ${us(user)}\nsystem_usec ${us(system)}\n` +
      `nr_periods ${figure(t, (f) => f.periods())}\nnr_throttled ${figure(t, (f) => f.throttledPeriods())}\n` +
      `throttled_usec ${us(figure(t, (f) => f.throttledNs()))}`
    );
  }

  private memoryStat(): string {
    const { anonKb, sharedKb } = memoryFigures(this.env);
    return (
      `anon ${anonKb * 1024}\nfile ${sharedKb * 1024}\nkernel 0\nshmem ${sharedKb * 1024}\nfile_mapped 0\n` +
      `file_dirty 0\nfile_writeback 0\ninactive_anon 0\nactive_anon ${anonKb * 1024}\ninactive_file 0\n` +
      `active_file ${sharedKb * 1024}\nunevictable 0\nslab_reclaimable 0\nslab_unreclaimable 0\nslab 0\n` +
      'pgfault 0\npgmajfault 0'
    );
  }
}

const boxOf = (t: Task): Container | null => t.group.container;

/** 0 where the host does not say. */
function figure(t: Task, read: (f: GroupFigures) => number): number {
  const figures = boxOf(t)?.figures ?? null;
  return figures === null ? 0 : Math.max(0, read(figures));
}

export function registerCgroup(env: ProcEnv): void {
  for (const name of ['cgroup', 'cgroup2']) {
    registerFileSystem({ name, nodev: true, mount: () => new CgroupSuperBlock(env) });
  }
}
