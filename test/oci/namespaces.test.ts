// What the host finds in /proc of a container's stub, namespaces first, compared with runc's container for the same config.json.
import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { until } from '../lib/oci.ts';
import { run, runscTs } from '../lib/sandbox.ts';
import { defaultSpec, hasBusybox, hasRunc, type Spec, TestBundle } from './bundle.ts';

const RUNC = '/usr/sbin/runc';
const NAMES = ['cgroup', 'ipc', 'mnt', 'net', 'pid', 'user', 'uts'];

const link = (pid: number | 'self', name: string): string => readlinkSync(`/proc/${pid}/ns/${name}`);

const lines = (pid: number, file: string, wanted: RegExp): string[] =>
  readFileSync(`/proc/${pid}/${file}`, 'latin1')
    .split('\n')
    .filter((l) => wanted.test(l));

/** A process in namespaces of its own, for paths to name. */
class Holder {
  private readonly child: ChildProcess;
  readonly pid: number;

  constructor() {
    const flags = ['--uts', '--ipc', '--net', '--cgroup', '--mount', '--pid', '--fork', '--kill-child'];
    const script = 'hostname held; exec sleep 1000';
    this.child = spawn('unshare', [...flags, 'sh', '-c', script], { stdio: 'ignore' });
    this.pid = this.child.pid!;
  }

  /** When it is what it shall be: pid of the process inside. */
  async inside(): Promise<number> {
    const children = `/proc/${this.pid}/task/${this.pid}/children`;
    return until(() => {
      const inner = Number(readFileSync(children, 'latin1').trim().split(' ')[0]);
      const isReady = inner > 0 && readFileSync(`/proc/${inner}/comm`, 'latin1') === 'sleep\n';
      return isReady && inner;
    });
  }

  close(): void {
    this.child.kill('SIGKILL');
  }
}

interface Seen {
  /** For each namespace the runtime's, the holder's, or another. */
  where: Record<string, string>;
  hostname: string;
  root: string[];
  maps: string;
  /** Whose process it is, where, and its limits as far as config.json sets them. */
  identity: string[];
}

describe.runIf(hasBusybox && hasRunc)('namespaces of the stub', () => {
  const holder = new Holder();
  let held = 0;
  let b: TestBundle;
  beforeAll(async () => {
    held = await holder.inside();
    b = new TestBundle();
  });
  afterAll(() => {
    holder.close();
    b.remove();
  });

  function look(pid: number): Seen {
    const where = (name: string): string => {
      const of = link(pid, name);
      return of === link('self', name) ? 'runtime' : of === link(held, name) ? 'holder' : 'own';
    };
    return {
      where: Object.fromEntries(NAMES.map((n) => [n, where(n)])),
      hostname: run('nsenter', ['--target', String(pid), '--uts', 'hostname']).stdout,
      root: readdirSync(`/proc/${pid}/root`).sort(),
      maps: readFileSync(`/proc/${pid}/uid_map`, 'latin1'),
      identity: [
        ...lines(pid, 'status', /^(Uid|Gid|Groups):/),
        ...lines(pid, 'limits', /^Max (open files|stack size|locked memory) /),
        ...lines(pid, 'oom_score_adj', /./),
        readlinkSync(`/proc/${pid}/cwd`),
      ],
    };
  }

  /** Of the container, before and after its start, and of one more process in it. */
  function seen(runtime: string, state: string, spec: Spec): Seen[] {
    const call = (...args: string[]) => {
      const r = run('sh', ['-c', '"$@" </dev/null >out 2>&1; s=$?; cat out; exit $s', 'sh', runtime, '--root', join(b.dir, state), ...args], { cwd: b.dir }); // prettier-ignore
      expect(r.stdout, args.join(' ')).toBe('');
      expect(r.status).toBe(0);
    };
    b.write(spec);
    const id = `ns-${process.pid}`;
    const pidOf = (name: string): number => Number(readFileSync(join(b.dir, name), 'latin1'));
    call('create', '--bundle', b.dir, '--pid-file', join(b.dir, 'pid'), id);
    try {
      const all = [look(pidOf('pid'))];
      call('start', id);
      all.push(look(pidOf('pid')));
      call('exec', '--detach', '--pid-file', join(b.dir, 'exec'), id, 'sleep', '1000');
      all.push(look(pidOf('exec')));
      return all;
    } finally {
      run(runtime, ['--root', join(b.dir, state), 'delete', '--force', id]);
    }
  }

  const path = (kind: string): string => `/proc/${held}/ns/${kind}`;
  const of = (...types: string[]): { type: string; path?: string }[] => types.map((type) => ({ type }));

  const cases: Record<string, (s: Spec) => void> = {
    'the usual ones': () => {},
    'one more of control groups': (s) => s.linux.namespaces.push({ type: 'cgroup' }),
    'no name of its own': (s) => delete s.hostname,
    'the runtime’s network, names and IPC': (s) => {
      s.linux.namespaces = of('pid', 'mount');
      delete s.hostname;
    },
    'the runtime’s processes': (s) => (s.linux.namespaces = of('mount', 'uts', 'ipc', 'network')),
    'others’ by path': (s) => {
      const joined = { ipc: 'ipc', uts: 'uts', network: 'net', cgroup: 'cgroup' };
      const paths = Object.entries(joined).map(([type, kind]) => ({ type, path: path(kind) }));
      s.linux.namespaces = [...of('pid', 'mount'), ...paths];
      delete s.hostname;
    },
    'a user’s process, with limits': (s) => {
      s.process.user = { uid: 1001, gid: 1002, additionalGids: [5, 7], umask: 0o27 };
      s.process.oomScoreAdj = 500;
      s.process.cwd = '/bin';
      const limits = { NOFILE: [200, 300], STACK: [1 << 20, 1 << 21], MEMLOCK: [4096, 8192] };
      s.process.rlimits = Object.entries(limits).map(([type, [soft, hard]]) => ({
        type: `RLIMIT_${type}`,
        soft,
        hard,
      }));
    },
    'a user namespace': (s) => {
      s.linux.namespaces.push({ type: 'user' });
      s.linux.uidMappings = [{ containerID: 0, hostID: 200_000, size: 70_000 }];
      s.linux.gidMappings = [{ containerID: 0, hostID: 200_000, size: 70_000 }];
      // runc's process there has to walk to the root itself.
      run('chmod', ['755', b.dir]);
      run('chown', ['-R', '-h', '200000:200000', b.rootfs]);
    },
  };

  test.each(Object.entries(cases))('%s', (_name, change) => {
    const spec = defaultSpec('exec sleep 1000');
    // Not what happens to be the runtime's own: that may change on its way through it.
    spec.process.rlimits = [{ type: 'RLIMIT_NOFILE', soft: 100, hard: 100 }];
    change(spec);
    const native = seen(RUNC, 'runc', spec);
    expect(seen(runscTs, 'runsc-ts', spec)).toEqual(native);
  });

  test('a PID namespace by path, for the host alone', () => {
    const spec = defaultSpec('exec sleep 1000');
    spec.linux.namespaces = [...of('mount', 'uts', 'ipc', 'network'), { type: 'pid', path: path('pid') }];
    for (const s of seen(runscTs, 'runsc-ts', spec)) expect(s.where['pid']).toBe('holder');
  });

  test('the loopback interface of a network that is joined stays as it is', () => {
    const spec = defaultSpec('cat /sys/class/net/lo/flags');
    spec.linux.namespaces = [...of('pid', 'mount', 'uts', 'ipc'), { type: 'network', path: path('net') }];
    expect(b.run('systrap', spec).stdout).toBe(b.runc(spec).stdout);
  });

  test('guests see the name of the namespace that is joined', () => {
    const spec = defaultSpec('hostname');
    spec.linux.namespaces = [...of('pid', 'mount'), { type: 'uts', path: path('uts') }];
    delete spec.hostname;
    expect(b.runc(spec).stdout).toBe('held\n');
    expect(b.run('systrap', spec).stdout).toBe('held\n');
  });
});
