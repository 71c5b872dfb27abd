// What linux.resources and cgroupsPath become in the host's groups, found as a checker finds them: through /proc/PID/cgroup of the
// container. The same as with runc for the same config.json, before the container's start and after it.
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readCgroupHost } from '../../oci-shim/cgroup/host.ts';
import { run, runscTs } from '../lib/sandbox.ts';
import { defaultSpec, hasBusybox, hasRunc, type Spec, TestBundle } from './bundle.ts';

const host = hasRunc ? readCgroupHost() : null;
const usable = hasBusybox && hasRunc && host?.version === 1;
if (!usable) console.warn('no cgroups of version 1 to use here: values in them are NOT compared');

const DEVICES = [
  { allow: false, access: 'rwm' },
  { allow: true, type: 'c', major: 10, minor: 229, access: 'rw' },
  { allow: true, type: 'b', major: 8, minor: 20, access: 'rwm' },
  { allow: true, type: 'c', major: 10, access: 'r' },
];

interface Case {
  readonly controller: string;
  readonly files: readonly string[];
  readonly resources: object;
}

const cases: Record<string, Case> = {
  memory: {
    controller: 'memory',
    files: ['limit_in_bytes', 'soft_limit_in_bytes', 'swappiness', 'oom_control'].map((f) => `memory.${f}`),
    resources: {
      memory: {
        limit: 100 << 20,
        reservation: 50 << 20,
        swap: 150 << 20,
        swappiness: 10,
        disableOOMKiller: true,
      },
    },
  },
  cpu: {
    controller: 'cpu',
    files: ['cpu.shares', 'cpu.cfs_quota_us', 'cpu.cfs_period_us'],
    resources: { cpu: { shares: 512, quota: 50_000, period: 100_000 } },
  },
  cpuset: {
    controller: 'cpuset',
    files: ['cpuset.cpus', 'cpuset.mems'],
    resources: { cpu: { cpus: '0', mems: '0' } },
  },
  pids: { controller: 'pids', files: ['pids.max'], resources: { pids: { limit: 1000 } } },
  devices: { controller: 'devices', files: ['devices.list'], resources: { devices: DEVICES } },
  'devices that nobody named': { controller: 'devices', files: ['devices.list'], resources: {} },
  'all devices but one': {
    controller: 'devices',
    files: ['devices.list'],
    resources: {
      devices: [
        { allow: true, access: 'rwm' },
        { allow: false, type: 'c', major: 10, minor: 229, access: 'w' },
      ],
    },
  },
};

describe.runIf(usable)('the host’s groups', () => {
  let b: TestBundle;
  let count = 0;
  beforeAll(() => {
    b = new TestBundle();
  });
  afterAll(() => b.remove());

  /** Path of the group from the runtime's own, and contents of its files; created and running. */
  function seen(runtime: string, spec: Spec, c: Case): unknown[] {
    const id = `groups-${process.pid}-${count++}`;
    const own = host!.hierarchies.get(c.controller)!;
    const call = (...args: string[]) => {
      const root = join(b.dir, runtime === runscTs ? 'ours' : 'theirs');
      const r = run('sh', ['-c', '"$@" </dev/null >out 2>&1; s=$?; cat out; exit $s', 'sh', runtime, '--root', root, ...args], { cwd: b.dir }); // prettier-ignore
      expect({ args, ...r }).toMatchObject({ status: 0, stdout: '' });
    };
    const look = (): unknown => {
      const groups = readFileSync(`/proc/${readFileSync(join(b.dir, 'pid'), 'latin1')}/cgroup`, 'latin1');
      const path = new RegExp(`:${c.controller}:(.*)`).exec(groups)![1]!;
      const values = c.files.map((f) =>
        readFileSync(join(own.mount, path, f), 'latin1')
          .split('\n')
          .sort(),
      );
      return { path: path.replaceAll(id, 'ID'), values };
    };
    spec.linux.cgroupsPath = spec.linux.cgroupsPath?.replace('ID', id);
    b.write(spec);
    call('create', '--bundle', b.dir, '--pid-file', join(b.dir, 'pid'), id);
    try {
      const created = look();
      call('start', id);
      return [created, look()];
    } finally {
      run(runtime, ['--root', join(b.dir, runtime === runscTs ? 'ours' : 'theirs'), 'delete', '--force', id]);
      expect(existsSync(join(own.mount, `groups-${id}`))).toBe(false);
    }
  }

  const create = (runtime: string, spec: Spec, id: string) => {
    b.write(spec);
    const root = join(b.dir, runtime === runscTs ? 'ours' : 'theirs');
    const call = (...args: string[]) =>
      run('sh', ['-c', '"$@" </dev/null >out 2>&1; s=$?; cat out; exit $s', 'sh', runtime, '--root', root, ...args], { cwd: b.dir }); // prettier-ignore
    return { call, made: call('run', '--detach', '--bundle', b.dir, id) };
  };

  test('a group that is frozen already is refused', () => {
    for (const runtime of ['/usr/sbin/runc', runscTs]) {
      const path = `/groups-frozen-${process.pid}-${count++}`;
      const dir = join(host!.hierarchies.get('freezer')!.mount, path);
      mkdirSync(dir);
      writeFileSync(join(dir, 'freezer.state'), 'FROZEN');
      const s = defaultSpec('true');
      s.linux.cgroupsPath = path;
      const { made } = create(runtime, s, `frozen-${process.pid}`);
      expect(made).toMatchObject({ status: 1 });
      expect(made.stdout).toContain("container's cgroup unexpectedly frozen");
      if (existsSync(dir)) rmdirSync(dir);
    }
  });

  test('a group of another container: a warning, and the other one stays', () => {
    for (const runtime of ['/usr/sbin/runc', runscTs]) {
      const s = defaultSpec('exec sleep 1000');
      s.linux.cgroupsPath = `/groups-both-${process.pid}-${count++}`;
      const [one, two] = ['one', 'two'].map((n) => `${n}-${process.pid}`) as [string, string];
      const { call, made } = create(runtime, s, one);
      try {
        expect(made).toMatchObject({ status: 0, stdout: '' });
        expect(create(runtime, s, two).made).toMatchObject({
          status: 0,
          stdout: expect.stringMatching(/cgroup is not empty: \d+ process\(es\) found/) as string,
        });
        call('delete', '--force', two);
        expect(call('state', one).stdout).toContain('"running"');
      } finally {
        for (const id of [two, one]) call('delete', '--force', id);
      }
    }
  });

  for (const [name, c] of Object.entries(cases)) {
    test.runIf(host?.hierarchies.has(c.controller))(name, () => {
      const make = (path?: string): Spec => {
        const s = defaultSpec('exec sleep 1000');
        s.linux.resources = c.resources;
        if (path !== undefined) s.linux.cgroupsPath = path;
        return s;
      };
      expect(seen(runscTs, make(), c)).toEqual(seen('/usr/sbin/runc', make(), c));
      if (name !== 'pids') return;
      for (const path of ['/groups-ID', 'groups-ID']) {
        expect(seen(runscTs, make(path), c), path).toEqual(seen('/usr/sbin/runc', make(path), c));
      }
    });
  }
});
