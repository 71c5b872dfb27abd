// What the host sees of stubs, and how hooks and descriptors of the caller meet them. SECURITY.md says the same in words.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, openSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { SyscallCounts } from '../../sentry/strace/syscall-report.ts';
import { Engine, spec, until } from '../lib/oci.ts';
import { childrenOf, processesOf } from '../lib/processes.ts';
import { usualNamespaces } from '../lib/bundle-parts.ts';
import { platforms, run, runscTs } from '../lib/sandbox.ts';

const isRoot = process.getuid?.() === 0;

function status(pid: number): Record<string, string> {
  const lines = readFileSync(`/proc/${pid}/status`, 'latin1').split('\n');
  return Object.fromEntries(lines.map((l) => [l.split(':')[0]!, l.slice(l.indexOf(':') + 1).trim()]));
}

/** What descriptors point to, without numbers. */
function descriptors(pid: number): string[] {
  return readdirSync(`/proc/${pid}/fd`).map((fd) =>
    readlinkSync(`/proc/${pid}/fd/${fd}`).replace(/^(socket|pipe):\[\d+\]$/, '$1'),
  );
}

/** Takes a pidfd and says whose it is; then, if told to end it, sends SIGTERM until the process is gone. */
const PIDFD_LISTENER = `
import os, re, select, signal, socket, sys
if os.path.exists(sys.argv[1]): os.unlink(sys.argv[1])
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print("listening", flush=True)
connection, _ = listener.accept()
_, fds, _, _ = socket.recv_fds(connection, 1024, 4)
info = open("/proc/self/fdinfo/%d" % fds[0]).read()
print("pid", re.search("Pid:\\s*(\\d+)", info)[1], flush=True)
if sys.argv[2] == "watch": sys.exit()
while not select.select([fds[0]], [], [], 0.1)[0]: signal.pidfd_send_signal(fds[0], signal.SIGTERM)
print("ended", flush=True)
`;

describe.each(platforms)('on %s', (platform) => {
  let engine: Engine;
  beforeEach(() => {
    engine = new Engine(platform);
  });
  afterEach(() => engine.close());

  test('stubs have no rights but to kill, and no descriptors but their own', () => {
    engine.detached('run', '--detach', '--bundle', engine.bundle('b', spec(['sleep', '1000'])), 'c1');
    const pidFile = join(engine.dir, 'exec');
    engine.detached('exec', '--detach', '--pid-file', pidFile, 'c1', 'sleep', '1000');
    const stub = engine.state('c1').pid;
    const exec = Number(readFileSync(pidFile, 'utf8'));
    for (const pid of [stub, exec]) {
      expect(status(pid)).toMatchObject({
        NoNewPrivs: '1',
        Seccomp: '2',
        PPid: expect.not.stringMatching('^0$') as string,
      });
      if (isRoot)
        for (const set of ['CapPrm', 'CapEff', 'CapBnd']) expect(status(pid)[set]).toBe('0000000000000020');
      expect(readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]!.split(' ')[3], 'session').toBe(
        String(pid),
      );
      expect(readlinkSync(`/proc/${pid}/cwd`)).toBe('/');
      expect(readFileSync(`/proc/${pid}/cmdline`, 'latin1')).toBe('sleep\0' + '1000\0');
    }
    const null3 = ['/dev/null', '/dev/null', '/dev/null'];
    expect(descriptors(stub)).toEqual([...null3, 'anon_inode:[signalfd]', 'socket', 'socket', 'socket']);
    expect(descriptors(exec)).toEqual([...null3, 'anon_inode:[signalfd]', 'socket']);
    expect(childrenOf(exec)).toEqual([]);
  });

  test('who may have raw sockets gets an opener in the network namespace, with that right alone', async () => {
    if (!isRoot) return;
    const may = spec(['sleep', '1000']);
    for (const set of Object.values(may.process['capabilities'] as Record<string, string[]>)) {
      set.push('CAP_NET_RAW');
    }
    engine.detached('run', '--detach', '--bundle', engine.bundle('b', may), 'c1');
    const stub = engine.state('c1').pid;
    const [, init, opener] = childrenOf(stub);
    // The sentry, and who makes network namespaces for guests.
    expect(childrenOf(init!)).toHaveLength(2);
    for (const set of ['CapPrm', 'CapEff', 'CapBnd']) expect(status(opener!)[set]).toBe('0000000000002000');
    expect(status(opener!)).toMatchObject({ NoNewPrivs: '1', Seccomp: '2' });
    expect(readlinkSync(`/proc/${opener}/ns/net`)).toBe(readlinkSync(`/proc/${stub}/ns/net`));
    expect(readlinkSync(`/proc/${opener}/ns/net`)).not.toBe(readlinkSync('/proc/self/ns/net'));
    expect(descriptors(opener!)).toEqual(['/dev/null', '/dev/null', '/dev/null', 'socket']);
    expect(engine.call('exec', 'c1', 'ping', '-c', '1', '127.0.0.1').stdout).toContain('1 packets received');
    // Whoever cannot have them in the first container has them in none.
    engine.detached('run', '--detach', '--bundle', engine.bundle('b2', spec(['sleep', '1000'])), 'c2');
    expect(childrenOf(engine.state('c2').pid)).toHaveLength(2);
    expect(engine.call('exec', '--cap', 'CAP_NET_RAW', 'c2', 'ping', '-c', '1', '127.0.0.1')).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('permission denied') as string,
    });
    process.kill(opener!, 'SIGKILL');
    await until(() => childrenOf(stub).length === 2);
    expect(engine.call('exec', 'c1', 'ping', '-c', '1', '127.0.0.1').status).toBe(1);
  });

  test.each([
    ['', {}],
    [
      ' with ids of its own',
      {
        uidMappings: [{ containerID: 0, hostID: 0, size: 65536 }],
        gidMappings: [{ containerID: 0, hostID: 0, size: 65536 }],
      },
    ],
  ])('the root may be the host’s%s', (_, ids) => {
    if (!isRoot) return;
    const config = spec(['/usr/bin/busybox', 'sleep', '1000']);
    config['root'] = { path: '/', readonly: true };
    const namespaces = [...usualNamespaces, ...('uidMappings' in ids ? [{ type: 'user' }] : [])];
    config['linux'] = { namespaces, ...ids };
    engine.detached('run', '--detach', '--bundle', engine.bundle('b', config), 'c1');
    expect(engine.ok('exec', 'c1', '/usr/bin/busybox', 'readlink', '/proc/self/exe')).toBe(
      '/usr/bin/busybox\n',
    );
    const { pid } = engine.state('c1');
    const inside = run('nsenter', ['-t', `${pid}`, '-m', '-p', '/usr/bin/busybox', 'ls', '/proc/1'], {
      cwd: '/',
    });
    expect(inside).toMatchObject({ status: 0, stderr: '' });
    expect(readlinkSync(`/proc/${pid}/root`)).toBe('/');
  });

  test('what the caller happens to have open reaches nobody', async () => {
    const bundle = engine.bundle('b', spec(['sleep', '1000']));
    const leaked = openSync(bundle, 'r');
    const root = join(engine.dir, 'state');
    const stdio = ['ignore', 'ignore', 'ignore', leaked, leaked, leaked] as const;
    for (const args of [
      ['run', '--detach', '--bundle', bundle],
      ['exec', '--detach'],
    ]) {
      const tail = args[0] === 'exec' ? ['c1', 'sleep', '1000'] : ['c1'];
      const r = spawnSync(runscTs, ['--platform', platform, '--root', root, ...args, ...tail], {
        stdio: [...stdio],
      });
      expect(r.status).toBe(0);
    }
    const pids = JSON.parse(engine.ok('ps', '--format', 'json', 'c1')) as number[];
    expect(pids).toHaveLength(2);
    const all = await until(() => {
      const found = pids.flatMap((pid) => processesOf(pid));
      return found.length >= 6 ? found : null;
    });
    for (const p of all) expect(descriptors(p.pid), p.role).not.toContain(bundle);
  });

  test('--pidfd-socket: who listens there can watch and signal the stub', async () => {
    const socket = join(engine.dir, 'pidfd');
    const listen = (what: 'watch' | 'end') => {
      const child = spawn('python3', ['-u', '-c', PIDFD_LISTENER, socket, what], { stdio: ['ignore', 'pipe', 'inherit'] }); // prettier-ignore
      const heard = { text: '' };
      child.stdout.on('data', (d: Buffer) => (heard.text += d.toString()));
      return until(() => heard.text.includes('listening')).then(() => heard);
    };
    const heard = await listen('watch');
    const script = 'trap "exit 7" TERM; while :; do sleep 0.02; done';
    const bundle = engine.bundle('b', spec(['sh', '-c', script]));
    engine.detached('run', '--detach', '--pidfd-socket', socket, '--bundle', bundle, 'c1');
    await until(() => heard.text.includes(`pid ${engine.state('c1').pid}\n`));
    const second = await listen('end');
    engine.detached('exec', '--detach', '--pidfd-socket', socket, 'c1', 'sh', '-c', script);
    await until(() => second.text.includes('ended'));
    expect(engine.call('run', '--pidfd-socket', '/nosuch', '--bundle', bundle, 'c2').stderr).toContain(
      'cannot connect to the pidfd socket /nosuch: ENOENT',
    );
  });

  test('--preserve-fds hands descriptors to the container', () => {
    const config = spec(['sh', '-c', 'cat <&3; cat <&4']);
    const bundle = engine.bundle('b', config);
    const file = (name: string) => {
      writeFileSync(join(engine.dir, name), `${name}\n`);
      return openSync(join(engine.dir, name), 'r');
    };
    const root = join(engine.dir, 'state');
    const args = ['--platform', platform, '--root', root, 'run', '--bundle', bundle, '--preserve-fds'];
    const stdio = ['ignore', 'pipe', 'pipe', file('three'), file('four')] as const;
    // Without a fifth one Node's own descriptors come next, which are nobody's business.
    const tooMany = spawnSync(runscTs, [...args, '3', 'c1'], { stdio: [...stdio] });
    expect(tooMany.stderr.toString()).toContain('descriptor 5 is not open');
    expect(tooMany.status).toBe(1);
    const r = spawnSync(runscTs, [...args, '2', 'c1'], { stdio: [...stdio] });
    expect(r.stdout.toString()).toBe('three\nfour\n');
    expect(r.status).toBe(0);
  });

  test('a container has a report on its system calls of its own', () => {
    const bundle = engine.bundle('b', spec(['true']));
    const args = ['--platform', platform, '--root', join(engine.dir, 'state')];
    const reports = join(engine.dir, 'reports/%ID%.json');
    const r = spawnSync(runscTs, [...args, '--syscall-report', reports, 'run', '--bundle', bundle, 'c1']);
    expect({ status: r.status, stderr: r.stderr.toString() }).toEqual({ status: 0, stderr: '' });
    const { calls } = JSON.parse(readFileSync(join(engine.dir, 'reports/c1.json'), 'utf8')) as SyscallCounts;
    expect(calls.find((c) => c.name === 'exit_group')).toMatchObject({ count: 1, support: 'full' });
  });

  test('sockets that systemd has opened come first, and the container is told of them', () => {
    const config = spec(['sh', '-c', 'echo $LISTEN_FDS $LISTEN_PID; cat <&3; cat <&4']);
    const bundle = engine.bundle('b', config);
    const file = (name: string) => {
      writeFileSync(join(engine.dir, name), `${name}\n`);
      return openSync(join(engine.dir, name), 'r');
    };
    const command = `exec ${runscTs} --platform ${platform} --root ${join(engine.dir, 'state')} run --bundle ${bundle} "$@"`;
    const run = (script: string, ...args: string[]) =>
      spawnSync('sh', ['-c', script, 'sh', ...args], {
        stdio: ['ignore', 'pipe', 'pipe', file('socket'), file('other')],
      });
    const told = run(`LISTEN_PID=$$ LISTEN_FDS=1 ${command}`, '--preserve-fds', '1', 'c1');
    expect(told.stderr.toString()).toBe('');
    expect(told.stdout.toString()).toBe('1 1\nsocket\nother\n');
    const tooMany = run(`LISTEN_PID=$$ LISTEN_FDS=3 ${command}`, 'c1');
    expect(tooMany.stderr.toString()).toContain('LISTEN_FDS=3: descriptor 5 is not open');
    // Meant for another process.
    const others = run(`LISTEN_PID=1 LISTEN_FDS=1 ${command}`, 'c1');
    expect(others.stdout.toString()).toBe('\n');
    expect(others.status).not.toBe(0);
  });

  test('hooks get the stub in its network namespace, before and after', async () => {
    const log = join(engine.dir, 'hooks');
    const hook = (kind: string, script: string) => ({
      path: '/bin/sh',
      args: ['sh', '-c', `exec >> ${log}; ${script}; echo ${kind}`],
      env: ['PATH=/usr/bin:/bin'],
    });
    const pid = `pid=$(sed 's/.*"pid":\\([0-9]*\\).*/\\1/')`;
    const config = spec(['sh', '-c', 'exit 0']);
    config['hooks'] = {
      prestart: [hook('prestart', `${pid}; readlink /proc/$pid/ns/net`)],
      createRuntime: [hook('createRuntime', 'grep -o creating')],
      poststart: [hook('poststart', 'grep -o running || true')],
      poststop: [hook('poststop', 'grep -o stopped')],
    };
    const r = engine.call('run', '--bundle', engine.bundle('b', config), 'c1');
    expect(r).toMatchObject({ status: 0, stderr: '' });
    const lines = (await until(() => existsSync(log) && readFileSync(log, 'utf8'))).split('\n');
    const net = lines.shift()!;
    expect(net).toMatch(/^net:/);
    expect(net).not.toBe(readlinkSync('/proc/self/ns/net'));
    expect(lines.filter((l) => l !== 'running')).toEqual([
      'prestart',
      'creating',
      'createRuntime',
      'poststart',
      'stopped',
      'poststop',
      '',
    ]);
  });

  test('a hook that fails fails the create, and leaves nothing', () => {
    const config = spec(['true']);
    config['hooks'] = {
      prestart: [{ path: '/bin/sh', args: ['sh', '-c', 'echo no such network >&2; exit 3'] }],
    };
    const r = engine.call('create', '--bundle', engine.bundle('b', config), 'c1');
    expect(r.status).toBe(1);
    expect(engine.lastError()).toContain('error running prestart hook #0: error running hook: exit status 3');
    expect(engine.lastError()).toContain('no such network');
    expect(engine.ok('list', '-q')).toBe('');
  });
});
