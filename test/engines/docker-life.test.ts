/**
 * The life of containers under Docker: exec, signals, logs, pause, copies, commits, restarts, limits, terminals. Each
 * story is told by runc and by runsc-ts under the same dockerd, and has to be the same story.
 */
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { processesOf, survivors } from '../lib/processes.ts';
import { run as runHost } from '../lib/sandbox.ts';
import { needed, startDockerd, type Dockerd, type Result } from './lib/dockerd.ts';
import { missing } from './lib/programs.ts';
import { onTerminal } from './lib/terminal.ts';
import { retry, until } from './lib/until.ts';

const lacking = missing({ ...needed, script: 'bsdutils' });
if (lacking.length > 0) console.log(`SKIPPED: Docker tests need ${lacking.join(', ')}`);

let daemon: Dockerd;
let serial = 0;

/** runc shows version 1 of control groups on such a host, runsc-ts always version 2. */
const readMemoryLimit =
  'cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max';

/** What a story observes, in order. */
type Observations = unknown[];

/** A container of one story. */
class Container {
  readonly name = `c${serial++}`;
  readonly runtime: string;

  constructor(runtime: string) {
    this.runtime = runtime;
  }

  run(options: readonly string[], ...command: string[]): Result {
    return docker('run', '--runtime', this.runtime, '--name', this.name, ...options, 'busybox', ...command);
  }

  exec(...args: string[]): Result {
    return docker('exec', this.name, ...args);
  }

  inspect(field: string): string {
    return docker('inspect', '--format', `{{${field}}}`, this.name).stdout.trim();
  }

  /** Waits until the container has written `line` to its log. */
  logged(line: string): void {
    const log = (): string => docker('logs', this.name).stdout;
    until(`"${line}" in the log`, () => log().split('\n').includes(line), log);
  }

  /** Waits until a shell command succeeds in the container. */
  holds(condition: string): void {
    until(condition, () => this.exec('sh', '-c', condition).status === 0);
  }

  remove(): void {
    docker('rm', '--force', this.name);
  }
}

const docker = (...args: string[]): Result => daemon.docker(args);

/** What a user sees of a command. */
const seen = (r: Result): unknown => [
  r.status,
  r.stdout,
  r.stderr.replace(/\bc\d+\b/g, 'NAME').replace(/[0-9a-f]{64}/g, 'ID'),
];

const stories: Readonly<Record<string, (c: Container) => Observations>> = {
  'exec: output, status, user, environment, directory': (c) => {
    c.run(['--detach', '--env', 'A=1'], 'sleep', '1000');
    return [
      seen(c.exec('sh', '-c', 'echo $A; pwd; id -u; exit 3')),
      seen(
        docker(
          'exec',
          '--user',
          'user',
          '--env',
          'B=2',
          '--workdir',
          '/tmp',
          c.name,
          'sh',
          '-c',
          'echo $A $B; pwd; id',
        ),
      ),
      seen(daemon.docker(['exec', '--interactive', c.name, 'cat'], { input: 'through\n' })),
      seen(c.exec('sh', '-c', 'kill -9 $$')),
      c.exec('nosuch').status,
      c.exec('/etc/plain').status,
      seen(c.exec('sh', '-c', 'until ps -o comm | grep "^sleep"; do sleep 0.1; done')),
      docker('exec', '--detach', c.name, 'sh', '-c', 'echo done > /tmp/marker').status,
      seen(c.exec('sh', '-c', 'until test -s /tmp/marker; do sleep 0.1; done; cat /tmp/marker')),
    ];
  },
  'signals and the end': (c) => {
    c.run(
      ['--detach'],
      'sh',
      '-c',
      'trap "echo got usr1" USR1; trap "echo bye; exit 5" TERM; echo ready; while :; do sleep 0.1; done',
    );
    c.logged('ready');
    const kill = docker('kill', '--signal', 'USR1', c.name).status;
    c.logged('got usr1');
    const stop = docker('stop', '--time', '100', c.name).status;
    return [kill, stop, c.inspect('.State.ExitCode'), docker('logs', c.name).stdout];
  },
  'a program that ignores SIGTERM is killed': (c) => {
    c.run(['--detach'], 'sleep', '1000');
    const stop = docker('stop', '--time', '1', c.name).status;
    return [stop, c.inspect('.State.ExitCode'), c.inspect('.State.Status'), c.inspect('.State.OOMKilled')];
  },
  kill: (c) => {
    c.run(['--detach'], 'sleep', '1000');
    return [docker('kill', c.name).status, docker('wait', c.name).stdout, seen(docker('kill', c.name))];
  },
  'remove a running container': (c) => {
    c.run(['--detach'], 'sleep', '1000');
    return [
      docker('rm', '--force', c.name).status,
      docker('ps', '--all', '--quiet', '--filter', `name=${c.name}`).stdout,
    ];
  },
  logs: (c) => {
    c.run(['--detach'], 'sh', '-c', 'for i in 1 2 3; do echo line $i; echo error $i >&2; done');
    docker('wait', c.name);
    const logs = docker('logs', c.name);
    return [logs.stdout, logs.stderr];
  },
  pause: (c) => {
    c.run(['--detach'], 'sh', '-c', 'i=0; while :; do echo $i > /tmp/n; i=$((i+1)); sleep 0.05; done');
    c.holds('test -s /tmp/n');
    const count = (): string => {
      const file = join(daemon.dir, 'n');
      docker('cp', `${c.name}:/tmp/n`, file);
      return readFileSync(file, 'utf8');
    };
    const paused = docker('pause', c.name).status;
    const state = c.inspect('.State.Status');
    const a = count();
    runHost('sleep', ['0.5']);
    const b = count();
    const refused = docker('exec', c.name, 'true').status;
    const resumed = docker('unpause', c.name).status;
    until('the count goes on', () => count() !== b);
    return [paused, state, a === b, refused, resumed, c.inspect('.State.Status')];
  },
  'copies in and out of a running container': (c) => {
    c.run(['--detach'], 'sh', '-c', 'echo inside > /tmp/inside; echo ready; exec sleep 1000');
    c.logged('ready');
    writeFileSync(join(daemon.dir, 'in'), 'from the host\n');
    const into = docker('cp', join(daemon.dir, 'in'), `${c.name}:/root/in`).status;
    const read = seen(c.exec('cat', '/root/in'));
    const out = docker('cp', `${c.name}:/tmp/inside`, join(daemon.dir, 'out')).status;
    return [
      into,
      read,
      out,
      readFileSync(join(daemon.dir, 'out'), 'utf8'),
      docker('diff', c.name).stdout.split('\n').sort(),
    ];
  },
  'commit and run the image': (c) => {
    c.run([], 'sh', '-c', 'echo kept > /kept; rm /etc/plain; mkdir /d; ln -s x /d/l');
    const committed = docker('commit', c.name, `image-${c.name}`).status;
    const again = docker(
      'run',
      '--rm',
      '--runtime',
      c.runtime,
      `image-${c.name}`,
      'sh',
      '-c',
      'cat /kept; ls /etc/plain; readlink /d/l',
    );
    docker('rmi', '--force', `image-${c.name}`);
    return [committed, seen(again)];
  },
  'restart keeps files': (c) => {
    c.run(['--detach'], 'sh', '-c', 'echo again >> /tmp/runs; exec sleep 1000');
    c.holds('test $(wc -l < /tmp/runs) = 1');
    const restarted = docker('restart', '--time', '0', c.name).status;
    c.holds('test $(wc -l < /tmp/runs) = 2');
    return [restarted, seen(c.exec('cat', '/tmp/runs'))];
  },
  'start, attach and stop again': (c) => {
    docker('create', '--runtime', c.runtime, '--name', c.name, '--interactive', 'busybox', 'cat');
    const first = daemon.docker(['start', '--attach', '--interactive', c.name], { input: 'one\n' });
    const second = daemon.docker(['start', '--attach', '--interactive', c.name], { input: 'two\n' });
    return [seen(first), seen(second)];
  },
  'restart policy': (c) => {
    c.run(['--detach', '--restart', 'on-failure:2'], 'sh', '-c', 'echo run; exit 1');
    until('the container has ended', () => c.inspect('.State.Status') === 'exited');
    return [docker('logs', c.name).stdout, c.inspect('.RestartCount'), c.inspect('.State.ExitCode')];
  },
  'health check': (c) => {
    c.run(
      ['--detach', '--health-cmd', 'test -f /tmp/ok', '--health-interval', '500ms', '--health-retries', '1'],
      'sh',
      '-c',
      'touch /tmp/ok; sleep 1000',
    );
    const health = (): string => c.inspect('.State.Health.Status');
    until('the container is healthy', () => health() === 'healthy');
    docker('exec', c.name, 'rm', '/tmp/ok');
    until('the container is unhealthy', () => health() === 'unhealthy', health);
    return [c.inspect('.State.Status')];
  },
  top: (c) => {
    c.run(['--detach'], 'sleep', '1000');
    const top = (): string[] => docker('top', c.name, '-o', 'pid,args').stdout.trim().split('\n');
    until(
      'the program is listed',
      () => top()[1]?.includes('sleep 1000') === true,
      () => top().join('\n'),
    );
    return [top().length];
  },
  stats: (c) => {
    c.run(['--detach', '--memory', '256m'], 'sleep', '1000');
    const r = docker('stats', '--no-stream', '--format', '{{.MemUsage}} {{.PIDs}}', c.name);
    const [used, limit] = /^([\d.]+\w+) \/ ([\d.]+\w+) \d+/.exec(r.stdout)?.slice(1) ?? [];
    return [r.status, used !== undefined && used !== '0B', limit];
  },
  update: (c) => {
    c.run(['--detach', '--memory', '256m', '--memory-swap', '256m'], 'sleep', '1000');
    const updated = docker(
      'update',
      '--memory',
      '128m',
      '--memory-swap',
      '128m',
      '--cpus',
      '0.5',
      c.name,
    ).status;
    return [updated, c.exec('sh', '-c', readMemoryLimit).stdout];
  },
  'a terminal': (c) => {
    const shell =
      'tty; test -t 0 && test -t 1 && echo terminal; stty -a | grep -o "isig\\|icanon" | sort -u; exit 9';
    const r = onTerminal(daemon, `run -it --rm --runtime ${c.runtime} busybox sh -c '${shell}'`);
    return [r.status, r.stdout];
  },
  'exec with a terminal': (c) => {
    c.run(['--detach'], 'sleep', '1000');
    const r = onTerminal(daemon, `exec -it ${c.name} sh -c 'tty; echo hi; exit 4'`);
    return [r.status, r.stdout];
  },
  'two containers by name on a network of their own': (c) => {
    const net = `net-${c.name}`;
    docker('network', 'create', net);
    docker(
      'run',
      '--detach',
      '--runtime',
      c.runtime,
      '--name',
      `${c.name}-server`,
      '--network',
      net,
      'busybox',
      'sh',
      '-c',
      'echo page > /var/www/index.html; exec httpd -f -p 80 -h /var/www',
    );
    const r = docker(
      'run',
      '--rm',
      '--runtime',
      c.runtime,
      '--network',
      net,
      'busybox',
      'sh',
      '-c',
      `${retry(`wget -q -O - http://${c.name}-server/`)}; nslookup nosuch-name. >/dev/null 2>&1; echo $?`,
    );
    docker('rm', '--force', `${c.name}-server`);
    docker('network', 'rm', net);
    return [seen(r)];
  },
  'a published port': (c) => {
    c.run(
      ['--detach', '--publish', '127.0.0.1:8099:80'],
      'sh',
      '-c',
      'echo page > /var/www/index.html; exec httpd -f -p 80 -h /var/www',
    );
    const get = daemon.enter(['sh', '-c', retry('busybox wget -q -O - http://127.0.0.1:8099/')]);
    const r = runHost(get[0]!, get.slice(1));
    return [r.status, r.stdout];
  },
  'the network of another container': (c) => {
    c.run(['--detach'], 'sh', '-c', 'echo page > /var/www/index.html; exec httpd -f -p 80 -h /var/www');
    const r = docker(
      'run',
      '--rm',
      '--runtime',
      c.runtime,
      '--network',
      `container:${c.name}`,
      'busybox',
      'sh',
      '-c',
      retry('wget -q -O - http://127.0.0.1/'),
    );
    return [seen(r)];
  },
};

describe.skipIf(lacking.length > 0)('docker', () => {
  beforeAll(async () => {
    daemon = await startDockerd();
  }, 300_000);
  afterAll(async () => {
    await daemon?.stop();
  }, 120_000);

  test.each(Object.entries(stories))('%s', (_name, story) => {
    const told = ['runc', process.env['RUNTIME'] ?? 'runsc-ts'].map((runtime) => {
      const c = new Container(runtime);
      try {
        return story(c);
      } finally {
        c.remove();
      }
    });
    expect(told[1]).toEqual(told[0]);
  });

  // Of runsc-ts alone: runc has no such processes.
  test.each(['sentry', 'gofer', 'init'])('the %s is killed: 137, and the reason in the log', async (role) => {
    const c = new Container(process.env['RUNTIME'] ?? 'runsc-ts');
    try {
      c.run(['--detach'], 'sleep', '1000');
      const exec = spawn('docker', ['-H', daemon.host, 'exec', c.name, 'sh', '-c', 'echo up; sleep 1000'], {
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      const execEnded = new Promise((resolve) => exec.on('exit', resolve));
      await new Promise((resolve) => exec.stdout.once('data', resolve));
      const all = processesOf(Number(c.inspect('.State.Pid')));
      process.kill(all.find((p) => p.role === role)!.pid, 'SIGKILL');
      expect(docker('wait', c.name).stdout).toBe('137\n');
      expect(await execEnded).toBe(137);
      expect(docker('logs', c.name).stderr).toMatch(/^runsc-ts: .*(unexpectedly|gone)/m);
      expect(await survivors(all, 20_000)).toEqual([]);
    } finally {
      c.remove();
    }
  });
});
