/** Files at the top of /proc (fs/proc/*.c; proc(5)): the machine as the sandbox has it, from the kernel's own state. */
import { UTS_RELEASE, UTS_SYSNAME, UTS_VERSION } from '../../abi/utsname.ts';
import type { Task } from '../../kernel/task.ts';
import { CLOCK_BOOTTIME } from '../../time/clock.ts';
import { clockNs } from '../../host/sys.ffi.ts';
import { fileSystemTypes } from '../../vfs/fs-types.ts';
import { StaticDir } from '../kernfs/dir.ts';
import { KernfsFile, refuseWriters } from '../kernfs/file.ts';
import { keyFiles } from './keys.ts';
import { CONFIG_GZ } from './config-gz.ts';
import { cpusShown } from './env.ts';
import { locksText } from './locks-file.ts';
import { memoryFigures } from './memory.ts';
import { ProcFile } from './nodes.ts';
import type { ProcSuperBlock } from './super-block.ts';

const NS_PER_TICK = 1e7;

export function addTopLevelFiles(sb: ProcSuperBlock, root: StaticDir): void {
  const add = (name: string, text: (t: Task) => string, perm = 0o444): void => {
    root.add(name, new ProcFile(sb, perm, (t) => text(t as Task)));
  };
  add('buddyinfo', () => buddyInfo(sb));
  add('cgroups', (t) => cgroupsText(t as Task));
  add('cmdline', () => 'runsc-ts\n');
  root.add('config.gz', new ProcFile(sb, 0o444, () => CONFIG_GZ, { size: CONFIG_GZ.length }));
  add('consoles', () => '');
  add('cpuinfo', (t) => cpuInfo(sb, t));
  add('crypto', () => '');
  add('devices', () => DEVICES);
  add('diskstats', () => '');
  add('dma', () => ' 4: cascade\n');
  add('execdomains', () => '0-0\tLinux           \t[kernel]\n');
  add('filesystems', fileSystems);
  add('interrupts', (t) => interrupts(cpusShown(sb.env, t)));
  add('iomem', () => '');
  add('ioports', () => '');
  add('kallsyms', () => '');
  add('key-users', (t) => keyFiles.users(t));
  add('keys', (t) => keyFiles.keys(t));
  // The log of syslog(2), which holds nothing.
  add('kmsg', () => '', 0o400);
  add('loadavg', () => loadAverage(sb));
  add('locks', () => locksText(sb.ns));
  add('meminfo', (t) => memInfo(sb, t));
  add('misc', () => '');
  add('modules', () => '');
  add('partitions', () => 'major minor  #blocks  name\n\n');
  add('softirqs', (t) => softIrqs(cpusShown(sb.env, t)));
  add('stat', (t) => statText(sb, t));
  add('swaps', () => 'Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n');
  add('uptime', (t) => uptimeText(sb, t));
  add('version', () => `${UTS_SYSNAME} version ${UTS_RELEASE} (runsc-ts) ${UTS_VERSION}\n`);
  add('vmstat', () => vmStat(sb));
  add('zoneinfo', () => zoneInfo(sb));
  add('slabinfo', () => SLABINFO, 0o400);
  const tty = new StaticDir(sb, 0o555);
  tty.add('drivers', new ProcFile(sb, 0o444, () => TTY_DRIVERS));
  tty.add('ldiscs', new ProcFile(sb, 0o444, () => 'n_tty       0\n'));
  tty.add('driver', new StaticDir(sb, 0o500));
  tty.add('ldisc', new StaticDir(sb, 0o555));
  root.add('tty', tty);
  const pressure = new StaticDir(sb, 0o555);
  for (const name of ['cpu', 'io', 'memory']) {
    pressure.add(name, new KernfsFile(sb, 0o666, () => NO_PRESSURE, { onOpen: refuseWriters }));
  }
  root.add('pressure', pressure);
  // Empty: there are no buses, drivers and interrupts. Container engines make them read-only.
  for (const name of ['bus', 'driver', 'fs', 'irq']) root.add(name, new StaticDir(sb, 0o555));
}

const SUBSYSTEMS = ['cpuset', 'cpu', 'cpuacct', 'blkio', 'memory', 'devices', 'freezer', 'pids'];

/** Hierarchy 0 is the unified one (fsimpl/cgroup). JVMs decide by it. */
function cgroupsText(t: Task): string {
  const { unified, pids } = t.ns.cgroup.hierarchies;
  let text = '#subsys_name\thierarchy\tnum_cgroups\tenabled\n';
  for (const name of SUBSYSTEMS) {
    const h = name === 'pids' ? (pids ?? unified) : unified;
    text += `${name}\t${h.index}\t${h.root.descendants + 1}\t1\n`;
  }
  return text;
}

/** How ps(1) names terminals. */
const TTY_DRIVERS = `/dev/tty             /dev/tty        5       0 system:/dev/tty
/dev/console         /dev/console    5       1 system:console
/dev/ptmx            /dev/ptmx       5       2 system
pty_slave            /dev/pts      136 0-1048575 pty:slave
pty_master           /dev/ptm      128 0-1048575 pty:master
`;

/** Stalls are not measured; triggers are refused. */
const NO_PRESSURE = `some avg10=0.00 avg60=0.00 avg300=0.00 total=0
full avg10=0.00 avg60=0.00 avg300=0.00 total=0
`;

const SLABINFO = `slabinfo - version: 2.1
# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> : tunables <limit> <batchcount> <sharedfactor> : slabdata <active_slabs> <num_slabs> <sharedavail>
`;

const DEVICES = `Character devices:
  1 mem
  5 /dev/tty
  5 /dev/console
  5 /dev/ptmx
128 ptm
136 pts

Block devices:
`;

/** What the CPU may have but system calls refuse: faults of CPUID, AMX; protection keys (as with `nopku`) where guests have none. */
const LACKING = /^(cpuid_fault|amx_.*)$/;
const LACKING_KEYS = /^(pku|ospke|cpuid_fault|amx_.*)$/;

function withoutLacking(block: string, hasKeys: boolean): string {
  const line = block.split('\n').find((l) => l.startsWith('flags\t'));
  if (line === undefined) return block;
  const lacking = hasKeys ? LACKING : LACKING_KEYS;
  const kept = line.split(' ').filter((flag) => !lacking.test(flag));
  return block.replace(line, kept.join(' '));
}

/** "processor", "cpu MHz" and the rest are the host's; topology lines count what the sandbox has. */
function cpuInfo(sb: ProcSuperBlock, t: Task): string {
  const cpus = cpusShown(sb.env, t);
  const { hasKeys } = t.mm.space;
  let out = '';
  for (const block of sb.env.host.cpuInfo.split('\n\n')) {
    const first = block.slice(0, block.indexOf('\n'));
    const nr = Number(first.slice(first.indexOf(':') + 1));
    if (block !== '' && cpus.includes(nr)) out += `${withoutLacking(block, hasKeys)}\n\n`;
  }
  return out;
}

function fileSystems(): string {
  let text = '';
  for (const type of fileSystemTypes()) text += `${type.nodev ? 'nodev' : ''}\t${type.name}\n`;
  return text;
}

function memInfo(sb: ProcSuperBlock, reader: Task): string {
  const total = sb.env.kernel.memoryOf(reader.group.container);
  const { totalKb, freeKb, anonKb, sharedKb } = memoryFigures(sb.env.kernel, total);
  const rows: (readonly [string, number])[] = [
    ['MemTotal', totalKb],
    ['MemFree', freeKb],
    ['MemAvailable', freeKb],
    ['Buffers', 0],
    ['Cached', sharedKb],
    ['SwapCached', 0],
    ['Active', anonKb],
    ['Inactive', sharedKb],
    ['Active(anon)', anonKb],
    ['Inactive(anon)', sharedKb],
    ['Active(file)', 0],
    ['Inactive(file)', 0],
    ['Unevictable', 0],
    ['Mlocked', 0],
    ['SwapTotal', 0],
    ['SwapFree', 0],
    ['Zswap', 0],
    ['Zswapped', 0],
    ['Dirty', 0],
    ['Writeback', 0],
    ['AnonPages', anonKb],
    ['Mapped', 0],
    ['Shmem', sharedKb],
    ['KReclaimable', 0],
    ['Slab', 0],
    ['SReclaimable', 0],
    ['SUnreclaim', 0],
    ['KernelStack', 0],
    ['PageTables', 0],
    ['SecPageTables', 0],
    ['NFS_Unstable', 0],
    ['Bounce', 0],
    ['WritebackTmp', 0],
    ['CommitLimit', Math.floor(totalKb / 2)],
    ['Committed_AS', anonKb + sharedKb],
    ['VmallocTotal', 34359738367],
    ['VmallocUsed', 0],
    ['VmallocChunk', 0],
    ['Percpu', 0],
    ['AnonHugePages', 0],
    ['ShmemHugePages', 0],
    ['ShmemPmdMapped', 0],
    ['FileHugePages', 0],
    ['FilePmdMapped', 0],
  ];
  let text = '';
  for (const [name, kb] of rows) text += `${`${name}:`.padEnd(16)}${String(kb).padStart(8)} kB\n`;
  for (const name of ['HugePages_Total', 'HugePages_Free', 'HugePages_Rsvd', 'HugePages_Surp']) {
    text += `${`${name}:`.padEnd(16)}${'0'.padStart(8)}\n`;
  }
  text += `Hugepagesize:       2048 kB\nHugetlb:               0 kB\n`;
  return text;
}

/** CLOCK_BOOTTIME: the guest's vDSO shows the host's, so the uptime is the host's too. */
function bootNs(): number {
  return clockNs(CLOCK_BOOTTIME);
}

function uptimeText(sb: ProcSuperBlock, reader: Task): string {
  const machine = bootNs() / 1e9;
  const up = machine + reader.ns.time.shiftNs(CLOCK_BOOTTIME) / 1e9;
  const used = sb.env.kernel.accounts.usageOfAll(sb.env.kernel);
  const idle = Math.max(0, machine * cpusShown(sb.env, reader).length - (used.utimeNs + used.stimeNs) / 1e9);
  return `${up.toFixed(2)} ${idle.toFixed(2)}\n`;
}

function statText(sb: ProcSuperBlock, reader: Task): string {
  const cpus = cpusShown(sb.env, reader);
  const n = cpus.length;
  const { kernel } = sb.env;
  const used = kernel.accounts.usageOfAll(kernel);
  const boot = bootNs();
  const row = (share: number): string => {
    const user = Math.floor(used.utimeNs / NS_PER_TICK / share);
    const system = Math.floor(used.stimeNs / NS_PER_TICK / share);
    const idle = Math.max(0, Math.floor((boot / NS_PER_TICK) * (n / share)) - user - system);
    return `${user} 0 ${system} ${idle} 0 0 0 0 0 0\n`;
  };
  let text = `cpu  ${row(1)}`;
  for (const cpu of cpus) text += `cpu${cpu} ${row(n)}`;
  const btime = Math.floor((Date.now() - (boot + reader.ns.time.shiftNs(CLOCK_BOOTTIME)) / 1e6) / 1000);
  text += `intr 0\nctxt ${used.voluntarySwitches + used.involuntarySwitches}\nbtime ${btime}\nprocesses ${kernel.tasksMade}\n`;
  text += `procs_running ${kernel.accounts.countTasks(kernel).running}\nprocs_blocked 0\nsoftirq 0 0 0 0 0 0 0 0 0 0 0\n`;
  return text;
}

function loadAverage(sb: ProcSuperBlock): string {
  const { kernel } = sb.env;
  kernel.load.note(kernel, kernel.clock.monotonicNs(), true);
  const { running, all } = kernel.accounts.countTasks(kernel);
  return `${kernel.load.text} ${running}/${all} ${sb.ns.lastPid}\n`;
}

function interrupts(cpus: readonly number[]): string {
  return `${' '.repeat(11)}${cpus.map((cpu) => `CPU${cpu}`.padEnd(11)).join('')}\n`;
}

const SOFTIRQS = [
  'HI',
  'TIMER',
  'NET_TX',
  'NET_RX',
  'BLOCK',
  'IRQ_POLL',
  'TASKLET',
  'SCHED',
  'HRTIMER',
  'RCU',
];

function softIrqs(cpus: readonly number[]): string {
  let text = `${' '.repeat(20)}${cpus.map((cpu) => `CPU${String(cpu).padEnd(8)}`).join('')}\n`;
  for (const name of SOFTIRQS) {
    text += `${`${name}:`.padStart(13)}${cpus.map(() => ` ${'0'.padStart(10)}`).join('')}\n`;
  }
  return text;
}

const VMSTAT = ['pgpgin', 'pgpgout', 'pswpin', 'pswpout'];

function vmStat(sb: ProcSuperBlock): string {
  const { freeKb, anonKb, sharedKb } = memoryFigures(sb.env.kernel);
  const used = sb.env.kernel.accounts.usageOfAll(sb.env.kernel);
  const pages = (kb: number): number => Math.floor(kb / 4);
  let text =
    `nr_free_pages ${pages(freeKb)}\nnr_inactive_anon 0\nnr_active_anon ${pages(anonKb)}\n` +
    `nr_inactive_file 0\nnr_active_file 0\nnr_unevictable 0\nnr_mlock 0\nnr_anon_pages ${pages(anonKb)}\n` +
    `nr_mapped 0\nnr_file_pages ${pages(sharedKb)}\nnr_dirty 0\nnr_writeback 0\nnr_shmem ${pages(sharedKb)}\n`;
  for (const name of VMSTAT) text += `${name} 0\n`;
  return `${text}pgfault ${used.minFaults + used.majFaults}\npgmajfault ${used.majFaults}\noom_kill 0\n`;
}

function zoneInfo(sb: ProcSuperBlock): string {
  const { totalKb, freeKb } = memoryFigures(sb.env.kernel);
  const pages = (kb: number): number => Math.floor(kb / 4);
  return (
    'Node 0, zone   Normal\n' +
    `  pages free     ${pages(freeKb)}\n        min      0\n        low      0\n        high     0\n` +
    `        spanned  ${pages(totalKb)}\n        present  ${pages(totalKb)}\n        managed  ${pages(totalKb)}\n`
  );
}

/** Free memory as blocks of the largest order. */
function buddyInfo(sb: ProcSuperBlock): string {
  const { freeKb } = memoryFigures(sb.env.kernel);
  const orders = new Array<number>(11).fill(0);
  orders[10] = Math.floor(freeKb / 4096);
  return `Node 0, zone   Normal${orders.map((n) => ` ${String(n).padStart(6)}`).join('')} \n`;
}
