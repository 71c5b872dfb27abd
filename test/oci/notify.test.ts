// NOTIFY_SOCKET of a service manager (sd_notify(3)): `start` and `run` tell it when the container's program is ready, as runc does.
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Engine, spec, until } from '../lib/oci.ts';
import { platforms } from '../lib/sandbox.ts';

const PERL = '/usr/bin/perl';
if (!existsSync(PERL)) console.warn(`${PERL} is missing: NOTIFY_SOCKET is NOT tested`);

/** The manager: prints what it is told. */
const MANAGER = `use Socket; $| = 1; socket(S, AF_UNIX, SOCK_DGRAM, 0); bind(S, pack_sockaddr_un($ARGV[0])) or die $!;
  print "listening\\n"; while (1) { recv(S, $m, 4096, 0); print $m }`;
/** A service: says the lines, each in a message, and ends when it is told to. After READY= nobody listens any more. */
const SERVICE = `use Socket; socket(S, AF_UNIX, SOCK_DGRAM, 0); my $a = pack_sockaddr_un($ENV{NOTIFY_SOCKET});
  for (@ARGV) { defined send(S, $_, 0, $a) or die $! } unlink($ENV{NOTIFY_SOCKET}) and die "removed"; $SIG{TERM} = sub { exit 3 };
  sleep 1 while 1`;

describe.skipIf(!existsSync(PERL)).each(platforms)('on %s', (platform) => {
  let engine: Engine;
  let manager: ChildProcess;
  let told = '';

  beforeEach(async () => {
    engine = new Engine(platform);
    const socket = join(engine.dir, 'manager');
    told = '';
    manager = spawn(PERL, ['-e', MANAGER, socket], { stdio: ['ignore', 'pipe', 'inherit'] });
    manager.stdout!.on('data', (d: Buffer) => (told += d.toString()));
    await until(() => told === 'listening\n');
    process.env['NOTIFY_SOCKET'] = socket;
  });
  afterEach(() => {
    delete process.env['NOTIFY_SOCKET'];
    manager.kill('SIGKILL');
    engine.close();
  });

  function service(...messages: string[]): string {
    const config = spec([PERL, '-e', SERVICE, ...messages]);
    const usr = { destination: '/usr', type: 'bind', source: '/usr', options: ['rbind', 'ro'] };
    config['mounts'] = [...(config['mounts'] as unknown[]), usr];
    config['root'] = { path: 'rootfs', readonly: true };
    const bundle = engine.bundle('service', config);
    mkdirSync(join(bundle, 'rootfs/usr'), { recursive: true });
    for (const lib of ['lib', 'lib64']) symlinkSync(`usr/${lib}`, join(bundle, 'rootfs', lib));
    return bundle;
  }

  test('start returns when the program is ready, and nothing else of it is handed on', async () => {
    engine.detached('create', '--bundle', service('STATUS=soon', 'READY=1\nSTATUS=now'), 'c1');
    expect(told).toBe('listening\n');
    engine.detached('start', 'c1');
    const { pid } = engine.state('c1');
    await until(() => told === `listening\nREADY=1\nMAINPID=${pid}\n`);
    engine.ok('kill', 'c1', 'TERM');
    await until(() => engine.state('c1').status === 'stopped');
    engine.ok('delete', 'c1');
    expect(engine.ok('list', '--quiet')).toBe('');
  });

  test('run in the foreground names itself; a program that never is ready may end', async () => {
    const cli = engine.spawn(['run', '--bundle', service('READY=1'), 'c1']);
    const ended = new Promise((resolve) => cli.on('exit', resolve));
    await until(() => told === `listening\nREADY=1\nMAINPID=${cli.pid}\n`);
    cli.kill('SIGTERM');
    expect(await ended).toBe(3);
    const silent = engine.bundle('silent', spec(['true']));
    engine.detached('run', '--detach', '--bundle', silent, 'c2');
    expect(engine.state('c2').status).toBe('stopped');
  });
});
