// Resources written to trees of ordinary files: what each controller is told under version 1 and 2.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { sharesToWeight } from '../../sentry/fsimpl/cgroup/shares.ts';
import { Field } from '../spec/field.ts';
import { createCgroup, openCgroup, type CgroupHandle } from './cgroup.ts';
import type { CgroupHost } from './host.ts';
import { limitsOf, noResources, parseResources, parseSize, type Resources } from './resources.ts';
import { oomKills, parseCpuList, readStats } from './stats.ts';
import { ioWeight } from './v2.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'runsc-ts-cgroup-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

function files(contents: Record<string, string>): void {
  for (const [name, text] of Object.entries(contents)) {
    mkdirSync(dirname(join(dir, name)), { recursive: true });
    writeFileSync(join(dir, name), text);
  }
}

const read = (name: string): string => readFileSync(join(dir, name), 'utf8');
const resources = (json: unknown): Resources => parseResources(Field.root(json));

function v1(...controllers: string[]): CgroupHandle {
  return openCgroup({
    version: 1,
    paths: Object.fromEntries(controllers.map((c) => [c, `${dir}/${c}`])),
    sentryPaths: {},
  });
}

const v2 = (): CgroupHandle => openCgroup({ version: 2, paths: { unified: dir }, sentryPaths: {} });

test('zeros and huge numbers of engines mean "not set" and "no limit"', () => {
  const r = resources({
    memory: { limit: 0, swap: 18446744073709552000, swappiness: 18446744073709552000 },
    cpu: { shares: 0, cpus: '' },
    pids: { limit: -1 },
    blockIO: { weight: 0 },
    devices: [{ allow: false, access: 'rwm' }],
  });
  expect(r.memory).toEqual({ swap: -1 });
  expect(r.cpu).toEqual({});
  expect(r.pids).toEqual({ limit: -1 });
  expect(resources({ pids: { limit: -7 } }).pids).toEqual({ limit: -1 });
  expect(r.blockIO.weight).toBeUndefined();
});

test('rules for devices leave a change of limits alone', () => {
  files({ 'devices/devices.allow': '', 'devices/devices.deny': '' });
  v1('devices').apply(resources({ devices: [{ allow: true, access: 'rwm' }] }));
  expect(read('devices/devices.allow')).toBe('');
});

test.each([
  [{ devices: [{ allow: true, type: 'x' }] }, /devices\[0\]\.type "x": invalid cgroup device type/],
  [{ devices: [{ allow: true, access: 'q' }] }, /devices\[0\]\.access "q"/],
  [{ memory: { limit: 'much' } }, /memory\.limit "much"/],
  [{ memory: { swappiness: 101 } }, /memory\.swappiness 101/],
])('%j is refused', (json, message) => {
  expect(() => resources(json)).toThrow(message);
});

test('version 1: memory is lowered before swap, and raised after it', () => {
  files({
    'memory/memory.limit_in_bytes': '9223372036854771712',
    'memory/memory.memsw.limit_in_bytes': '9223372036854771712',
  });
  v1('memory').apply(resources({ memory: { limit: 1 << 20, swap: 2 << 20 } }));
  expect(read('memory/memory.limit_in_bytes')).toMatch(/^1048576/);
  expect(read('memory/memory.memsw.limit_in_bytes')).toMatch(/^2097152/);
});

test('version 1: one file per field', () => {
  files({
    'memory/memory.soft_limit_in_bytes': '',
    'memory/memory.swappiness': '',
    'memory/memory.oom_control': '',
    'cpu/cpu.shares': '512',
    'cpu/cpu.cfs_quota_us': '',
    'cpu/cpu.cfs_period_us': '',
    'cpuset/cpuset.cpus': '',
    'pids/pids.max': '',
    'blkio/blkio.bfq.weight': '',
    'blkio/blkio.throttle.read_bps_device': '',
    'hugetlb/hugetlb.2MB.limit_in_bytes': '',
    'net_cls/net_cls.classid': '',
    'net_prio/net_prio.ifpriomap': '',
  });
  const warnings = v1('memory', 'cpu', 'cpuset', 'pids', 'blkio', 'hugetlb', 'net_cls', 'net_prio').apply(
    resources({
      memory: { reservation: 4096, swappiness: 0, disableOOMKiller: true },
      cpu: { shares: 512, quota: 50000, period: 100000, cpus: '0-1' },
      pids: { limit: 1000 },
      blockIO: { weight: 500, throttleReadBpsDevice: [{ major: 8, minor: 16, rate: 1000 }] },
      hugepageLimits: [{ pageSize: '2MB', limit: 4194304 }],
      network: { classID: 1048577, priorities: [{ name: 'eth0', priority: 5 }] },
    }),
  );
  expect(warnings).toEqual([]);
  expect(read('memory/memory.soft_limit_in_bytes')).toBe('4096');
  expect(read('memory/memory.swappiness')).toBe('0');
  expect(read('memory/memory.oom_control')).toBe('1');
  expect(read('cpu/cpu.shares')).toBe('512');
  expect(read('cpu/cpu.cfs_quota_us')).toBe('50000');
  expect(read('cpu/cpu.cfs_period_us')).toBe('100000');
  expect(read('cpuset/cpuset.cpus')).toBe('0-1');
  expect(read('pids/pids.max')).toBe('1000');
  expect(read('blkio/blkio.bfq.weight')).toBe('500');
  expect(read('blkio/blkio.throttle.read_bps_device')).toBe('8:16 1000');
  expect(read('hugetlb/hugetlb.2MB.limit_in_bytes')).toBe('4194304');
  expect(read('net_cls/net_cls.classid')).toBe('1048577');
  expect(read('net_prio/net_prio.ifpriomap')).toBe('eth0 5');
});

test('a small limit of processes leaves room for the launcher, which the kernel of the sandbox does not count', () => {
  files({ 'pids/pids.max': '' });
  v1('pids').apply(resources({ pids: { limit: 10 } }));
  expect(Number(read('pids/pids.max'))).toBeGreaterThan(10);
  v1('pids').apply(resources({ pids: { limit: -1 } }));
  expect(read('pids/pids.max')).toMatch(/^max/);
});

test('a limit without its controller is an error, no limit is none', () => {
  expect(() => v1().apply(resources({ hugepageLimits: [{ pageSize: '2MB', limit: 1 }] }))).toThrow(
    /hugepageLimits: there is no cgroup controller "hugetlb"/,
  );
  expect(v1().apply(noResources())).toEqual([]);
  expect(() => v1('memory').apply(resources({ unified: { 'memory.high': '1' } }))).toThrow(
    /unified.*version 1/,
  );
});

test('a limit below the usage is refused if that is asked for', () => {
  files({ 'memory/memory.limit_in_bytes': '100', 'memory/memory.usage_in_bytes': '50' });
  const r = resources({ memory: { limit: 20, checkBeforeUpdate: true } });
  expect(() => v1('memory').apply(r)).toThrow(/below the current usage 50/);
});

test('version 2: the same in its own terms, with an allowance for the processes of the sandbox itself', () => {
  files({
    'cgroup.controllers': 'cpuset cpu io memory pids\n',
    'memory.max': '',
    'memory.swap.max': '',
    'memory.low': '',
    'memory.high': '',
    'cpu.max': '',
    'cpu.weight': '',
    'io.weight': '',
    'io.max': '',
    'pids.max': '',
  });
  v2().apply(
    resources({
      memory: { limit: 64 << 20, swap: 96 << 20, reservation: 4096 },
      cpu: { shares: 1024, quota: 150000 },
      pids: { limit: 5 },
      blockIO: { weight: 500, throttleWriteIOPSDevice: [{ major: 8, minor: 0, rate: 7 }] },
      unified: { 'memory.high': '50M' },
    }),
  );
  expect(Number(read('memory.max'))).toBeGreaterThan(64 << 20);
  expect(read('memory.swap.max')).toBe(String(32 << 20));
  expect(read('memory.low')).toBe('4096');
  expect(read('memory.high')).toBe('50M');
  expect(read('cpu.max')).toBe('150000 100000');
  expect(read('cpu.weight')).toBe('39');
  expect(read('io.weight')).toBe('default 4950');
  expect(read('io.max')).toBe('8:0 wiops=7');
  expect(Number(read('pids.max'))).toBeGreaterThan(5);
});

test('version 2: names of files do not leave the group', () => {
  files({ 'cgroup.controllers': 'memory', 'memory.max': '' });
  expect(() => v2().apply(resources({ unified: { 'memory./../x': '1' } }))).toThrow(
    /must be the name of a file/,
  );
  expect(() => v2().apply(resources({ unified: { 'rdma.max': '1' } }))).toThrow(
    /no cgroup controller "rdma"/,
  );
});

test('conversions have the ends that runc’s have', () => {
  expect([2, 1024, 262144].map(sharesToWeight)).toEqual([1, 39, 10000]);
  expect([10, 1000].map(ioWeight)).toEqual([1, 10000]);
});

test('the guest is shown what is in force', () => {
  const r = resources({ memory: { limit: 4096, swap: -1 }, cpu: { quota: 150000 } });
  expect(limitsOf(r)).toEqual({
    memory: 4096,
    memorySwap: 0,
    cpuQuota: 150000,
    cpuPeriod: 100000,
    cpuShares: 0,
    cpus: 0,
  });
});

test.each([
  ['512m', 512 << 20],
  ['1.5g', 1.5 * 2 ** 30],
  ['4096', 4096],
  ['2GiB', 2 ** 31],
  ['much', null],
  ['-1', null],
])('size %s', (text, bytes) => {
  expect(parseSize(text)).toBe(bytes);
});

test('new groups: one per hierarchy, CPUs inherited, controllers passed on, sentry apart', () => {
  files({
    'cpuset/cpuset.cpus': '0-3\n',
    'cpuset/cpuset.mems': '0\n',
    'cpuset/a/c/cpuset.cpus': '',
    'cpuset/a/c/cpuset.mems': '',
    'cpuset/a/cpuset.cpus': '',
    'cpuset/a/cpuset.mems': '',
    'memory/cgroup.procs': '',
  });
  const host: CgroupHost = {
    version: 1,
    hierarchies: new Map(['cpuset', 'memory'].map((name) => [name, { mount: `${dir}/${name}`, own: '/' }])),
  };
  const group = createCgroup(host, { path: '/a/c', scope: null }, noResources(), []);
  expect(read('cpuset/a/cpuset.cpus')).toBe('0-3');
  expect(read('cpuset/a/c/cpuset.mems')).toBe('0');
  expect(group.state).toEqual({
    version: 1,
    paths: { cpuset: `${dir}/cpuset/a/c`, memory: `${dir}/memory/a/c` },
    sentryPaths: { memory: `${dir}/memory/a/c.sentry` },
  });
  expect(group.guestFiles()).toEqual([`${dir}/memory/a/c/tasks`]);
  expect(group.joinFiles('sentry')).toEqual([`${dir}/cpuset/a/c/tasks`, `${dir}/memory/a/c.sentry/tasks`]);
  expect(group.joinFiles('container')).toEqual([`${dir}/cpuset/a/c/tasks`, `${dir}/memory/a/c/tasks`]);
  expect(group.memberProcsFiles().sort()).toEqual([
    `${dir}/cpuset/a/c/cgroup.procs`,
    `${dir}/memory/a/c/cgroup.procs`,
  ]);
  files({ 'memory/a/c/cgroup.procs': '7\n8\n' });
  expect(group.procs()).toEqual([7, 8]);
});

test('a group that others use keeps its processes and the groups below it', async () => {
  const other = spawn('sleep', ['1000'], { stdio: 'ignore' });
  const ended = new Promise((resolve) => other.on('exit', (_code, signal) => resolve(signal)));
  files({
    'blkio/c/cgroup.procs': '',
    'pids/c/cgroup.procs': `${other.pid}\n`,
    'freezer/c/below/cgroup.procs': '',
  });
  const names = ['blkio', 'pids', 'freezer', 'devices'];
  const hierarchies = new Map(names.map((name) => [name, { mount: `${dir}/${name}`, own: '/' }]));
  const group = createCgroup({ version: 1, hierarchies }, { path: '/c', scope: null }, noResources(), []);
  expect(group.state.shared).toEqual([`${dir}/pids/c`, `${dir}/freezer/c`]);
  rmSync(join(dir, 'blkio/c/cgroup.procs')); // as the kernel's files go with their directory
  rmSync(join(dir, 'devices/c'), { recursive: true }); // its rules are a file here
  openCgroup(group.state).remove();
  const there = (name: string): boolean => existsSync(join(dir, name));
  expect(['blkio/c', 'pids/c', 'freezer/c/below'].map(there)).toEqual([false, true, true]);
  expect(other.exitCode ?? other.signalCode).toBeNull();
  other.kill('SIGTERM');
  expect(await ended).toBe('SIGTERM');
});

test('what the user may not do is said once, and is no error', () => {
  const host: CgroupHost = {
    version: 1,
    // Nobody can make directories there, not even root.
    hierarchies: new Map(['memory', 'pids'].map((name) => [name, { mount: '/sys/kernel', own: '/' }])),
  };
  const place = { path: '/c', scope: null };
  const make = (r: Resources, warnings: string[]): void => {
    expect(createCgroup(host, place, r, warnings).state.paths).toEqual({});
  };
  const none: string[] = [];
  make(noResources(), none);
  expect(none).toEqual([]);
  const some: string[] = [];
  make(resources({ memory: { limit: 4096, reservation: 4096 }, pids: { limit: 5 } }), some);
  expect(some).toEqual(['limits are not in force: this user may not make cgroups']);
});

test('version 2: every ancestor passes its controllers on', () => {
  files({ 'cgroup.controllers': 'memory pids', 'cgroup.subtree_control': 'memory' });
  const host: CgroupHost = { version: 2, hierarchies: new Map([['unified', { mount: dir, own: '/' }]]) };
  const group = createCgroup(host, { path: '/c', scope: null }, noResources(), []);
  expect(group.joinFiles('sentry')).toEqual([`${dir}/c/cgroup.procs`]);
  expect([...group.guestFiles(), ...group.lateFiles('sentry')]).toEqual([]);
  expect(read('cgroup.subtree_control')).toMatch(/^\+pids/);
});

test('freezing and thawing wait for the kernel to say that it is done', () => {
  files({ 'freezer/freezer.state': 'THAWED' });
  const one = v1('freezer');
  one.freezeStub();
  expect(read('freezer/freezer.state')).toBe('FROZEN');
  one.thaw();
  expect(read('freezer/freezer.state')).toBe('THAWED');
  files({ 'cgroup.freeze': '0', 'cgroup.events': 'populated 1\nfrozen 0\n' });
  v2().freezeStub();
  expect(read('cgroup.freeze')).toBe('0');
  v1('memory').freezeStub();
});

test('the stub alone is in the freezer’s group', () => {
  const mounts = ['freezer', 'pids'].map((name) => [name, { mount: `${dir}/${name}`, own: '/' }] as const);
  const host: CgroupHost = { version: 1, hierarchies: new Map(mounts) };
  const group = createCgroup(host, { path: '/c', scope: null }, noResources(), []);
  const apart = [`${dir}/freezer/c.sentry/tasks`, `${dir}/pids/c.sentry/tasks`];
  expect(group.joinFiles('sentry')).toEqual(apart);
  expect(group.joinFiles('container')).toEqual([apart[0], `${dir}/pids/c/tasks`]);
  expect(group.guestFiles()).toEqual([`${dir}/pids/c/tasks`]);
  expect(group.lateFiles('sentry')).toEqual([`${dir}/freezer/c/tasks`]);
  expect(group.lateFiles('container')).toEqual([]);
});

test('figures of version 1', () => {
  files({
    'memory/memory.stat': 'cache 10\nrss 20\n',
    'memory/memory.usage_in_bytes': '30\n',
    'memory/memory.limit_in_bytes': '9223372036854771712\n',
    'memory/memory.oom_control': 'oom_kill_disable 0\nunder_oom 0\noom_kill 3\n',
    'cpuacct/cpuacct.usage': '500\n',
    'cpuacct/cpuacct.usage_percpu': '200 300 \n',
    'cpu/cpu.stat': 'nr_periods 4\nnr_throttled 1\nthrottled_time 99\n',
    'pids/pids.current': '5\n',
    'pids/pids.max': 'max\n',
    'blkio/blkio.throttle.io_service_bytes_recursive': '8:0 Read 4096\n8:0 Write 1\nTotal 4097\n',
  });
  const { state } = v1('memory', 'cpuacct', 'cpu', 'pids', 'blkio');
  const stats = readStats(state);
  expect(stats.memory).toMatchObject({ cache: 10, usage: { usage: 30 }, raw: { rss: 20 } });
  expect(stats.cpu.usage).toMatchObject({ total: 500, percpu: [200, 300] });
  expect(stats.cpu.throttling).toEqual({ periods: 4, throttledPeriods: 1, throttledTime: 99 });
  expect(stats.pids).toEqual({ current: 5 });
  expect(stats.blkio.ioServiceBytesRecursive).toEqual([
    { major: 8, minor: 0, op: 'Read', value: 4096 },
    { major: 8, minor: 0, op: 'Write', value: 1 },
  ]);
  expect(oomKills(state)).toBe(3);
});

test('figures of version 2', () => {
  files({
    'memory.current': '30\n',
    'memory.max': '100\n',
    'memory.swap.current': '4\n',
    'memory.swap.max': '50\n',
    'memory.stat': 'file 10\nkernel 2\n',
    'memory.events': 'max 6\noom_kill 1\n',
    'cpu.stat': 'usage_usec 3\nuser_usec 1\nsystem_usec 2\nnr_periods 0\n',
    'pids.current': '5\n',
    'pids.max': '9\n',
    'io.stat': '8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n',
  });
  const { state } = v2();
  const stats = readStats(state);
  expect(stats.memory.usage).toEqual({ limit: 100, usage: 30, max: 0, failcnt: 6 });
  expect(stats.memory.swap).toMatchObject({ limit: 150, usage: 34 });
  expect(stats.cpu.usage).toEqual({ total: 3000, kernel: 2000, user: 1000 });
  expect(stats.pids).toEqual({ current: 5, limit: 9 });
  expect(stats.blkio.ioServicedRecursive).toContainEqual({ major: 8, minor: 0, op: 'Write', value: 4 });
  expect(oomKills(state)).toBe(1);
});

test('lists of CPUs', () => {
  expect(parseCpuList('0-2,5\n')).toEqual([0, 1, 2, 5]);
  expect(parseCpuList('\n')).toEqual([]);
});
