// The life of containers as an engine drives it: oci-shim/lifecycle, the control socket, the stubs.
import { execFileSync } from 'node:child_process';
import {
  closeSync, constants, existsSync, openSync, readdirSync, readFileSync, writeFileSync, writeSync,
} from 'node:fs'; // prettier-ignore
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Engine, spec, until } from '../lib/oci.ts';
import { childrenOf, isAlive, processesOf, survivors } from '../lib/processes.ts';
import { platforms } from '../lib/sandbox.ts';

describe.each(platforms)('on %s', (platform) => {
  let engine: Engine;
  beforeEach(() => {
    engine = new Engine(platform);
  });
  afterEach(() => engine.close());

  /** A container that counts in /tmp/n until it gets SIGTERM. */
  function counting(id: string): string {
    const script = 'trap "exit 9" TERM; i=0; while :; do i=$((i+1)); echo $i > /tmp/n; sleep 0.02; done';
    const bundle = engine.bundle(id, spec(['sh', '-c', script]));
    engine.detached('run', '--detach', '--bundle', bundle, id);
    return join(bundle, 'rootfs/tmp/n');
  }

  test('create, start, end, delete', async () => {
    const bundle = engine.bundle('b', spec(['sh', '-c', 'echo begin; read x; echo "got $x"; exit 7']));
    const fifo = join(engine.dir, 'fifo');
    execFileSync('mkfifo', [fifo]);
    const input = openSync(fifo, constants.O_RDWR);
    const cli = engine.spawn(
      ['create', '--bundle', bundle, '--pid-file', join(engine.dir, 'pid'), 'c1'],
      input,
    );
    let out = '';
    cli.stdout!.on('data', (d: Buffer) => (out += d.toString()));
    const closed = new Promise((resolve) => cli.stdout!.on('close', resolve));
    expect(await new Promise((resolve) => cli.on('exit', resolve))).toBe(0);
    const pid = Number(readFileSync(join(engine.dir, 'pid'), 'utf8'));
    expect(engine.state('c1')).toMatchObject({ id: 'c1', status: 'created', pid, bundle });
    expect(out).toBe('');
    expect(engine.call('create', '--bundle', bundle, 'c1').stderr).toContain('already exists');

    engine.ok('start', 'c1');
    await until(() => out === 'begin\n');
    expect(engine.state('c1').status).toBe('running');
    expect(engine.call('start', 'c1').stderr).toContain('cannot start an already running container');
    expect(engine.call('delete', 'c1').stderr).toContain('that is not stopped: running');
    writeSync(input, 'a line\n');
    closeSync(input);
    await closed;
    expect(out).toBe('begin\ngot a line\n');
    await until(() => engine.state('c1').status === 'stopped');
    expect(engine.call('start', 'c1').stderr).toContain('cannot start a container that has stopped');
    expect(engine.call('kill', 'c1', '15').stderr).toContain('container not running');
    expect(engine.call('kill', '--all', 'c1', '9').status).toBe(0);
    expect(engine.call('exec', 'c1', 'true')).toMatchObject({
      status: 255,
      stderr: expect.stringContaining('cannot exec in a stopped container') as string,
    });
    engine.ok('delete', 'c1');
    expect(engine.call('delete', 'c1').stderr).toContain('container does not exist');
    expect(engine.call('delete', '--force', 'c1').status).toBe(0);
    expect(engine.call('state', 'c1').stderr).toContain('container does not exist');
    expect(engine.lastError()).toBe('container does not exist');
  });

  test('run in the foreground ends as the container', () => {
    const exits = engine.bundle('exits', spec(['sh', '-c', 'echo out; echo err >&2; exit 5']));
    const r = engine.call('run', '--bundle', exits, 'c1');
    expect(r).toMatchObject({ status: 5, stdout: 'out\n', stderr: 'err\n' });
    expect(engine.ok('list', '-q')).toBe('');
  });

  test('a program that is not there fails the create, and leaves nothing', () => {
    const cases: [program: string, message: string, env?: string[]][] = [
      ['nosuch', 'exec: "nosuch": executable file not found in $PATH'],
      ['/no/such', 'exec: "/no/such": stat /no/such: no such file or directory'],
      ['/tmp', 'exec: "/tmp": permission denied'],
      ['/bin/cat/', 'exec: "/bin/cat/": stat /bin/cat/: not a directory'],
      // A directory in PATH, and no name at all, are not found.
      ['tmp', 'exec: "tmp": executable file not found in $PATH'],
      ['', 'exec: "": executable file not found in $PATH'],
      // Nothing is searched where the bundle names no PATH.
      ['cat', 'exec: "cat": executable file not found in $PATH', ['TERM=dumb']],
    ];
    cases.forEach(([program, message, env], i) => {
      const config = spec([program]);
      config.process['env'] = env ?? ['PATH=/bin:/'];
      const bundle = engine.bundle(`b${i}`, config);
      const r = engine.call('create', '--bundle', bundle, `c${i}`);
      expect(r.status).toBe(1);
      expect(engine.lastError()).toBe(`unable to start container process: ${message}`);
    });
    expect(readdirSync(join(engine.dir, 'state'))).toEqual([]);
  });

  test('a create whose caller is killed leaves nothing', async () => {
    const bundle = engine.bundle('b', spec(['sleep', '60']));
    const cli = engine.spawn(['create', '--bundle', bundle, 'c1']);
    // Its first child ends as soon as it has made the stub.
    const below = await until(() =>
      childrenOf(cli.pid!)
        .map(processesOf)
        .find((all) => all.length >= 4),
    );
    cli.kill('SIGKILL');
    expect(await survivors(below, 5000)).toEqual([]);
    engine.detached('run', '--detach', '--bundle', bundle, 'c1');
  });

  test('exec: output, status, environment, missing program', () => {
    counting('c1');
    const r = engine.call(
      'exec',
      '--env',
      'A=b',
      '--cwd',
      '/tmp',
      '--user',
      '3:4',
      'c1',
      'sh',
      '-c',
      'echo $A; pwd; id -u; id -g; exit 6',
    );
    expect(r).toMatchObject({ status: 6, stdout: 'b\n/tmp\n3\n4\n' });
    // A process.json without capabilities means the container's.
    const file = join(engine.dir, 'process.json');
    writeFileSync(file, JSON.stringify({ args: ['cat', '/proc/self/status'], env: ['PATH=/bin'], cwd: '/' }));
    const bits = (1 << 5) | (1 << 10); // CAP_KILL, CAP_NET_BIND_SERVICE
    expect(engine.ok('exec', '--process', file, 'c1')).toContain(
      `CapEff:\t${bits.toString(16).padStart(16, '0')}\n`,
    );
    const missing = engine.call('exec', 'c1', 'nosuch');
    expect(missing.status).toBe(255);
    expect(missing.stderr).toContain('exec: "nosuch": executable file not found in $PATH');
  });

  test('exec reads config.json as it is then', () => {
    counting('c1');
    const config = join(engine.dir, 'c1/config.json');
    const changed = JSON.parse(readFileSync(config, 'utf8')) as { process: { env: string[]; cwd: string } };
    changed.process.env.push('LATER=yes');
    changed.process.cwd = '/tmp';
    writeFileSync(config, JSON.stringify(changed));
    expect(engine.ok('exec', 'c1', 'sh', '-c', 'echo $LATER; pwd')).toBe('yes\n/tmp\n');
  });

  test('exec of what a signal ends is not killed by one itself', async () => {
    counting('c1');
    const cli = engine.spawn(['exec', 'c1', 'sh', '-c', 'kill -TERM $$']);
    const end = await new Promise((resolve) => cli.on('exit', (code, signal) => resolve({ code, signal })));
    expect(end).toEqual({ code: 143, signal: null });
  });

  test('run in the foreground passes signals on, but not a window’s size', async () => {
    const script =
      'trap "echo winch" WINCH; trap "echo usr1; exit 9" USR1; echo ready; while :; do sleep 0.02; done';
    const cli = engine.spawn(['run', '--bundle', engine.bundle('b', spec(['sh', '-c', script])), 'c1']);
    let out = '';
    cli.stdout!.on('data', (d: Buffer) => (out += d.toString()));
    await until(() => out === 'ready\n');
    for (const signal of ['SIGWINCH', 'SIGUSR1'] as const) cli.kill(signal);
    expect(await new Promise((resolve) => cli.on('exit', resolve))).toBe(9);
    expect(out).toBe('ready\nusr1\n');
  });

  test('exec: what is refused, with runc’s status', () => {
    counting('c1');
    const nothing = join(engine.dir, 'null.json');
    writeFileSync(nothing, 'null');
    const noTerminal = 'cannot use console socket if runc will not detach or allocate tty';
    const cases: [args: string[], said: string][] = [
      [['--console-socket', '/nosuch', 'c1', 'true'], noTerminal],
      [['--tty', '--console-socket', '/nosuch', 'c1', 'true'], noTerminal],
      [['--detach', '--console-socket', '/nosuch', 'c1', 'true'], noTerminal],
      [['--detach', '--pid-file', '/nosuch/pid', 'c1', 'true'], 'no such file or directory'],
      [['--user', '1:2:3', 'c1', 'true'], '1:2:3: must be UID or UID:GID'],
      [['--process', nothing, 'c1'], 'must be a JSON object'],
    ];
    for (const [args, said] of cases) {
      const r = engine.call('exec', ...args);
      expect(r).toMatchObject({ status: 255, stderr: expect.stringContaining(said) as string });
      expect(r.stderr).toContain('exec failed: ');
    }
    // An empty directory is the container's own, and flags are Go's.
    expect(engine.ok('exec', '--cwd', '', '-detach=false', '--tty=false', 'c1', 'pwd')).toBe('/\n');
    engine.ok('kill', 'c1', '');
  });

  test('exec --detach: pid file, signals to the stub, its death and the container’s', async () => {
    const counter = counting('c1');
    const file = (name: string) => join(engine.dir, name);
    const start = (name: string, ...args: string[]): number => {
      const p = { ...spec(args).process };
      writeFileSync(file(`${name}.json`), JSON.stringify(p));
      engine.detached('exec', '--process', file(`${name}.json`), '--detach', '--pid-file', file(name), 'c1');
      return Number(readFileSync(file(name), 'utf8'));
    };
    const handler = start(
      'handler',
      'sh',
      '-c',
      'trap "touch /tmp/usr1; exit 0" USR1; touch /tmp/up; while :; do sleep 0.02; done',
    );
    const victim = start('victim', 'sh', '-c', 'exec sleep 12345');
    const other = start('other', 'sleep', '12345');
    expect(JSON.parse(engine.ok('ps', '--format', 'json', 'c1'))).toHaveLength(4);
    const inTmp = (name: string) => existsSync(join(counter, '..', name));
    await until(() => inTmp('up'));
    process.kill(handler, 'SIGUSR1');
    await until(() => inTmp('usr1'));
    const count = () => engine.ok('exec', 'c1', 'ps').split('sleep 12345').length - 1;
    expect(count()).toBe(2);
    process.kill(victim, 'SIGKILL');
    await until(() => count() === 1);
    const left = { pid: other, started: startTime(other), role: 'launcher' as const };
    expect(isAlive(left)).toBe(true);
    engine.ok('kill', 'c1', 'SIGTERM');
    expect(await survivors([left], 5000)).toEqual([]);
  });

  test('pause and resume', async () => {
    const counter = counting('c1');
    await until(() => existsSync(counter) && readFileSync(counter, 'latin1') !== '');
    engine.ok('pause', 'c1');
    expect(engine.state('c1').status).toBe('paused');
    const at = readFileSync(counter, 'latin1');
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(readFileSync(counter, 'latin1')).toBe(at);
    expect(engine.call('exec', 'c1', 'true')).toMatchObject({
      status: 255,
      stderr: expect.stringContaining(
        'cannot exec in a paused container (use --ignore-paused to override)',
      ) as string,
    });
    const made = join(engine.dir, 'c1/rootfs/tmp/made');
    engine.detached('exec', '--detach', '--ignore-paused', 'c1', 'touch', '/tmp/made');
    engine.ok('update', '--pids-limit', '100', 'c1');
    engine.ok('kill', 'c1', 'USR1'); // ignored by who has no handler, as the init of a PID namespace
    expect(existsSync(made)).toBe(false);
    engine.ok('resume', 'c1');
    await until(() => existsSync(made));
    await until(() => readFileSync(counter, 'latin1') !== at);
    engine.ok('pause', 'c1');
    engine.ok('kill', 'c1', 'KILL');
    await until(() => engine.state('c1').status === 'stopped');
    engine.ok('delete', 'c1');
    // Its stub may be killed by anybody; frozen by the host, it does not end before somebody thaws it.
    counting('c2');
    engine.ok('pause', 'c2');
    process.kill(engine.state('c2').pid, 'SIGKILL');
    engine.ok('delete', '--force', 'c2');
  });

  test('exec into groups that the container has made, and with what nobody knows', () => {
    const config = spec(['sleep', '1000']);
    config['mounts'] = [...(config['mounts'] as unknown[]), { destination: '/cgroup', type: 'cgroup' }];
    engine.detached('run', '--detach', '--bundle', engine.bundle('b', config), 'c1');
    const own = ['c1', 'cat', '/proc/self/cgroup'];
    engine.ok('exec', 'c1', 'mkdir', '-p', '/cgroup/a/b');
    expect(engine.ok('exec', ...own)).toBe('0::/\n');
    expect(engine.ok('exec', '--cgroup', 'a/b', ...own)).toBe('0::/a/b\n');
    expect(engine.ok('exec', '--cgroup', 'pids,cpu:/a', ...own)).toBe('0::/a\n');
    const wrong = [
      ['none', 'unable to start container process: error adding the process to cgroups: none: no such file'],
      ['nope:a', 'unknown controller nope in SubCgroupPaths'],
    ] as const;
    for (const [group, why] of wrong) {
      const r = engine.call('exec', '--cgroup', group, ...own);
      expect(r).toMatchObject({ status: 255, stderr: expect.stringContaining(why) as string });
    }
    engine.ok('exec', '--cap', 'CAP_NONE', '--cap', 'CAP_KILL', 'c1', 'true');
    expect(engine.lastWarning()).toBe('ignoring unknown or unavailable capabilities: [CAP_NONE]');
  });

  test('when the sentry or the stub is killed, everything ends', async () => {
    for (const role of ['sentry', 'launcher', 'gofer'] as const) {
      counting(role);
      const all = processesOf(engine.state(role).pid);
      process.kill(all.find((p) => p.role === role)!.pid, 'SIGKILL');
      expect(await survivors(all, 5000)).toEqual([]);
      expect(engine.state(role).status).toBe('stopped');
      engine.ok('delete', role);
    }
  });

  test('fifty execs at once', async () => {
    counting('c1');
    const ends = Array.from({ length: 50 }, (_, i) => {
      const cli = engine.spawn(['exec', 'c1', 'sh', '-c', `exit ${i}`]);
      return new Promise((resolve) => cli.on('exit', resolve));
    });
    expect(await Promise.all(ends)).toEqual(Array.from({ length: 50 }, (_, i) => i));
  });

  test('writes to the root stay in memory with --overlay, and where an annotation says so', () => {
    const config = spec(['sh', '-c', 'touch /written /bin/sh && ls -d /written /absent']);
    config['mounts'] = [...(config['mounts'] as unknown[]), { destination: '/absent', type: 'tmpfs' }];
    const annotation = 'dev.runsc-ts.root.overlay';
    const run = (name: string, value: string | null, ...global: string[]) => {
      if (value !== null) config['annotations'] = { [annotation]: value };
      const bundle = engine.bundle(name, config);
      const r = engine.call(...global, 'run', '--bundle', bundle, name);
      const left = ['written', 'absent'].filter((f) => existsSync(join(bundle, 'rootfs', f)));
      return { status: r.status, stdout: r.stdout, left };
    };
    const done = { status: 0, stdout: '/absent\n/written\n' };
    expect(run('through', null)).toEqual({ ...done, left: ['written', 'absent'] });
    expect(run('flag', null, '--overlay')).toEqual({ ...done, left: [] });
    expect(run('annotation', 'memory')).toEqual({ ...done, left: [] });
    expect(run('annotation-first', 'none', '--overlay')).toEqual({ ...done, left: ['written', 'absent'] });
    config['annotations'] = { [annotation]: 'disk' };
    const refused = engine.call('run', '--bundle', engine.bundle('refused', config), 'refused');
    expect(refused.stderr).toContain(`annotations.${annotation} "disk": must be "memory" or "none"`);
    expect(refused.status).toBe(1);
  });

  test('a container that has not been started ends of the signals that end `runc init`', async () => {
    const bundle = engine.bundle('b', spec(['sleep', '1000']));
    engine.detached('create', '--bundle', bundle, 'c1');
    for (const signal of ['USR1', 'ALRM', 'PIPE', 'TSTP', '34']) engine.ok('kill', 'c1', signal);
    expect(engine.state('c1').status).toBe('created');
    engine.ok('kill', 'c1', 'ABRT');
    await until(() => engine.state('c1').status === 'stopped');
    engine.ok('delete', 'c1');
    expect(engine.ok('list', '--format', 'json')).toBe('null\n');
    // One that is paused does so when it goes on.
    engine.detached('create', '--bundle', bundle, 'c1');
    engine.ok('pause', 'c1');
    engine.ok('kill', 'c1', 'TERM');
    expect(engine.state('c1').status).toBe('paused');
    engine.ok('resume', 'c1');
    await until(() => engine.state('c1').status === 'stopped');
  });

  test('ps: the guests’ processes, or the host’s by options of ps(1)', async () => {
    const script = 'sleep 12345 & (sleep 12346; true) & exec sleep 12347 # a\nb';
    const config = spec(['sh', '-c', script]);
    config.process['user'] = { uid: 7, gid: 8 };
    const bundle = engine.bundle('b', config);
    const lines = (...args: string[]): string[] =>
      engine
        .ok('ps', 'c1', ...args)
        .trimEnd()
        .split('\n');
    engine.detached('create', '--bundle', bundle, 'c1');
    expect(lines()).toEqual([
      'UID          PID    PPID  C STIME TTY          TIME CMD',
      expect.stringMatching(/^7 +1 +0 +\d+ \S+ +\? +00:00:00 sh -c sleep 12345 & .*# a\?b$/),
    ]);
    engine.ok('start', 'c1');
    engine.detached('exec', '--detach', '--user', '0', 'c1', 'sleep', '12348');
    const shown = (): string[] =>
      lines().map((l) => l.replace(/^(\d+) +(\d+) +(\d+) .* \d\d:\d\d:\d\d /, '$1 $2 $3 '));
    // Who has not called execve yet is shown as what it was cloned from.
    await until(() => shown().filter((l) => l.includes('sleep 1234') && !l.includes('sh -c')).length === 4);
    expect(shown().slice(1).sort()).toEqual([
      '0 5 0 sleep 12348',
      '7 1 0 sleep 12347',
      '7 2 1 sleep 12345',
      expect.stringMatching(/^7 3 1 sh -c /),
      '7 4 3 sleep 12346',
    ]);
    engine.ok('pause', 'c1');
    expect(shown()).toHaveLength(6);
    engine.ok('resume', 'c1');
    const { pid } = engine.state('c1');
    expect(lines('-eo', 'pid,args')).toHaveLength(3);
    expect(JSON.parse(engine.ok('ps', '--format', 'json', 'c1'))).toEqual([pid, expect.any(Number)]);
    engine.ok('kill', 'c1', 'KILL');
    await until(() => engine.state('c1').status === 'stopped');
    expect(lines()).toHaveLength(1);
  });

  test('ps of more processes than one answer has room for', async () => {
    const many = `i=0; while [ $i -lt 40 ]; do sh -c 'sleep 12345; true' ${'x'.repeat(3000)} & i=$((i + 1)); done; wait`;
    engine.detached('run', '--detach', '--bundle', engine.bundle('b', spec(['sh', '-c', many])), 'c1');
    await until(() => engine.ok('ps', 'c1').split('sleep 12345\n').length - 1 === 40);
    expect(engine.ok('ps', 'c1').trimEnd().split('\n')).toHaveLength(82);
  });

  test('list, version', () => {
    counting('c1');
    expect(JSON.parse(engine.ok('list', '--format', 'json'))).toMatchObject([
      { id: 'c1', status: 'running' },
    ]);
    const { pid } = engine.state('c1');
    expect(engine.ok('ps', 'c1', '-o', 'pid,args')).toMatch(new RegExp(`^ *PID COMMAND\n *${pid} `));
    const wrong = engine.call('ps', 'c1', '--no-such');
    expect(wrong).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('exit status 1: error: ') as string,
    });
    expect(engine.ok('list')).toMatch(/^ID +PID +STATUS +BUNDLE +CREATED +OWNER\nc1 +\d+ +running /);
    expect(engine.ok('--version')).toMatch(/^runsc-ts version \S+\ncommit: \S+\nspec: 1\.\d+\.\d+\n$/);
  });
});

function startTime(pid: number): string {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]!;
}
