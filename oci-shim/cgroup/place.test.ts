// Which hierarchies there are and where a container's groups go in them, on recorded /proc files.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { readCgroupHost, type CgroupHost } from './host.ts';
import { cgroupPlace, directoryIn, expandSlice } from './path.ts';
import { scopeCommand } from './systemd.ts';

const dir = mkdtempSync(join(tmpdir(), 'runsc-ts-cgroup-'));
afterAll(() => rmSync(dir, { recursive: true }));

function host(cgroup: string, mountinfo: string): CgroupHost | null {
  mkdirSync(`${dir}/self`, { recursive: true });
  writeFileSync(`${dir}/self/cgroup`, cgroup);
  writeFileSync(`${dir}/self/mountinfo`, mountinfo);
  return readCgroupHost(dir);
}

const HYBRID_CGROUP = '4:memory:/daemon\n3:cpu,cpuacct:/\n2:name=systemd:/\n1:name=mine:/\n0::/\n';
const HYBRID_MOUNTS = `24 1 0:22 / /proc rw - proc proc rw
30 24 0:26 / /sys/fs/cgroup ro - tmpfs tmpfs ro
31 30 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
32 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
33 30 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd
34 30 0:30 / /sys/fs/cgroup/with\\040space rw - cgroup cgroup rw,name=mine
35 30 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
`;

test('hybrid: controllers of version 1 with a named and a unified tree beside them', () => {
  const h = host(HYBRID_CGROUP, HYBRID_MOUNTS)!;
  expect(h.version).toBe(1);
  expect([...h.hierarchies.keys()].sort()).toEqual(['cpu', 'cpuacct', 'memory', 'name=systemd', 'unified']);
  expect(h.hierarchies.get('memory')).toEqual({ mount: '/sys/fs/cgroup/memory', own: '/daemon' });
  expect(h.hierarchies.get('cpuacct')!.mount).toBe('/sys/fs/cgroup/cpu,cpuacct');
});

test('absolute paths start at the mount point, relative ones below the own group', () => {
  const h = host(HYBRID_CGROUP, HYBRID_MOUNTS)!;
  const memory = h.hierarchies.get('memory')!;
  expect(directoryIn(h, memory, '/docker/x')).toBe('/sys/fs/cgroup/memory/docker/x');
  expect(directoryIn(h, memory, 'x')).toBe('/sys/fs/cgroup/memory/daemon/x');
  expect(directoryIn(h, h.hierarchies.get('cpu')!, 'x')).toBe('/sys/fs/cgroup/cpu,cpuacct/x');
});

test('version 2: relative paths go beside the own group, which has processes in it', () => {
  const h = host('0::/user.slice/session.scope\n', '31 30 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n')!;
  expect(h.version).toBe(2);
  const unified = h.hierarchies.get('unified')!;
  expect(directoryIn(h, unified, 'x')).toBe('/sys/fs/cgroup/user.slice/x');
  expect(directoryIn(h, unified, '/docker/x')).toBe('/sys/fs/cgroup/docker/x');
});

test('inside a container the mounted directory is taken off the own group', () => {
  const mounts = '31 30 0:27 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n';
  expect(host('4:memory:/docker/abc\n', mounts)!.hierarchies.get('memory')!.own).toBe('/');
  expect(host('4:memory:/docker/abc/sub\n', mounts)!.hierarchies.get('memory')!.own).toBe('/sub');
});

test('no cgroup file system at all', () => {
  expect(host('', '24 1 0:22 / /proc rw - proc proc rw\n')).toBeNull();
  expect(readCgroupHost(`${dir}/nowhere`)).toBeNull();
});

test.each([
  ['', 'c1', 'c1'],
  ['/docker/c1', 'x', '/docker/c1'],
  ['/../../etc', 'x', '/etc'],
  ['../../up', 'x', 'up'],
])('cgroupsPath %j is %j', (path, id, expected) => {
  expect(cgroupPlace(path, id, false)).toEqual({ path: expected, scope: null });
});

test.each(['/', '//', '/..', '.', './', '/a/..'])(
  'cgroupsPath %j is no group of the container’s own',
  (path) => {
    expect(() => cgroupPlace(path, 'x', false)).toThrow(/must name a group below the root/);
  },
);

test('the form of systemd', () => {
  expect(cgroupPlace('system.slice:docker:c1', 'x', true)).toEqual({
    path: '/system.slice/docker-c1.scope',
    scope: { slice: 'system.slice', unit: 'docker-c1.scope' },
  });
  expect(cgroupPlace('kubepods-burstable-pod1.slice:cri:c1', 'x', true).path).toBe(
    '/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice/cri-c1.scope',
  );
  expect(cgroupPlace('-.slice::c1', 'x', true).path).toBe('/c1.scope');
  expect(() => cgroupPlace('/docker/c1', 'x', true)).toThrow(/SLICE:PREFIX:NAME/);
});

test('the call that asks systemd for a scope: properties are counted and typed', () => {
  const argv = scopeCommand({ slice: 'system.slice', unit: 'docker-c1.scope' }, 42);
  const [signature, unit, mode, count, ...properties] = argv.slice(argv.indexOf('StartTransientUnit') + 1);
  expect([signature, unit, mode]).toEqual(['ssa(sv)a(sa(sv))', 'docker-c1.scope', 'replace']);
  expect(properties.join(' ')).toBe(
    'Slice s system.slice Delegate b true DefaultDependencies b false PIDs au 1 42 0',
  );
  expect(count).toBe('4');
});

test.each(['a/b.slice', 'a', '-a.slice', 'a--b.slice', '.slice'])('%j is no slice', (name) => {
  expect(() => expandSlice(name)).toThrow(/not the name of a slice/);
});
