/**
 * The life of containers under Docker: exec, signals, logs, pause, copies, commits, restarts, limits, terminals. Each
 * story is told by runc and by runsc-ts under the same dockerd, and has to be the same story.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run as runHost } from '../lib/sandbox.ts';
import { seen, tellStories, type Story } from './lib/stories.ts';
import { onTerminal } from './lib/terminal.ts';
import { retry, until } from './lib/until.ts';

/** runc shows version 1 of control groups on such a host, runsc-ts always version 2. */
const readMemoryLimit =
  'cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max';

const stories: Readonly<Record<string, Story>> = {
  'exec: output, status, user, environment, directory': (c) => {
    c.run(['--detach', '--env', 'A=1'], 'sleep', '1000');
    return [
      seen(c.exec('sh', '-c', 'echo $A; pwd; id -u; exit 3')),
      seen(
        c.docker(
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
      seen(c.daemon.docker(['exec', '--interactive', c.name, 'cat'], { input: 'through\n' })),
      seen(c.exec('sh', '-c', 'kill -9 $$')),
      c.exec('nosuch').status,
      c.exec('/etc/plain').status,
      seen(c.exec('sh', '-c', 'until ps -o comm | grep "^sleep"; do sleep 0.1; done')),
      c.docker('exec', '--detach', c.name, 'sh', '-c', 'echo done > /tmp/marker').status,
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
    const kill = c.docker('kill', '--signal', 'USR1', c.name).status;
    c.logged('got usr1');
    const stop = c.docker('stop', '--time', '100', c.name).status;
    return [kill, stop, c.inspect('.State.ExitCode'), c.docker('logs', c.name).stdout];
  },
  'a program that ignores SIGTERM is killed': (c) => {
    c.run(['--detach'], 'sleep', '1000');
    const stop = c.docker('stop', '--time', '1', c.name).status;
    return [stop, c.inspect('.State.ExitCode'), c.inspect('.State.Status'), c.inspect('.State.OOMKilled')];
  },
  kill: (c) => {
    c.run(['--detach'], 'sleep', '1000');
    return [c.docker('kill', c.name).status, c.docker('wait', c.name).stdout, seen(c.docker('kill', c.name))];
  },
  'remove a running container': (c) => {
    c.run(['--detach'], 'sleep', '1000');
    return [
      c.docker('rm', '--force', c.name).status,
      c.docker('ps', '--all', '--quiet', '--filter', `name=${c.name}`).stdout,
    ];
  },
  logs: (c) => {
    c.run(['--detach'], 'sh', '-c', 'for i in 1 2 3; do echo line $i; echo error $i >&2; done');
    c.docker('wait', c.name);
    const logs = c.docker('logs', c.name);
    return [logs.stdout, logs.stderr];
  },
  pause: (c) => {
    c.run(['--detach'], 'sh', '-c', 'i=0; while :; do echo $i > /tmp/n; i=$((i+1)); sleep 0.05; done');
    c.holds('test -s /tmp/n');
    const count = (): string => {
      const file = join(c.daemon.dir, 'n');
      c.docker('cp', `${c.name}:/tmp/n`, file);
      return readFileSync(file, 'utf8');
    };
    const paused = c.docker('pause', c.name).status;
    const state = c.inspect('.State.Status');
    const a = count();
    runHost('sleep', ['0.5']);
    const b = count();
    const refused = c.docker('exec', c.name, 'true').status;
    const resumed = c.docker('unpause', c.name).status;
    until('the count goes on', () => count() !== b);
    return [paused, state, a === b, refused, resumed, c.inspect('.State.Status')];
  },
  'paused containers are killed, stopped and removed': (c) => {
    const frozen = (): string | null => {
      const group = `/sys/fs/cgroup/freezer/docker/${c.inspect('.Id')}/freezer.state`;
      return existsSync(group) ? readFileSync(group, 'latin1') : null;
    };
    const told: unknown[] = [];
    for (const end of [['kill'], ['stop', '--time', '1'], ['rm', '--force']]) {
      c.run(['--detach', '--stop-signal', 'KILL'], 'sleep', '1000');
      told.push(frozen(), c.docker('pause', c.name).status, frozen(), c.inspect('.State.Status'));
      told.push(c.docker(...end, c.name).status);
      told.push(end[0] === 'rm' ? '' : c.docker('wait', c.name).stdout);
      c.remove();
    }
    return told;
  },
  'copies in and out of a running container': (c) => {
    c.run(['--detach'], 'sh', '-c', 'echo inside > /tmp/inside; echo ready; exec sleep 1000');
    c.logged('ready');
    writeFileSync(join(c.daemon.dir, 'in'), 'from the host\n');
    const into = c.docker('cp', join(c.daemon.dir, 'in'), `${c.name}:/root/in`).status;
    const read = seen(c.exec('cat', '/root/in'));
    const out = c.docker('cp', `${c.name}:/tmp/inside`, join(c.daemon.dir, 'out')).status;
    return [
      into,
      read,
      out,
      readFileSync(join(c.daemon.dir, 'out'), 'utf8'),
      c.docker('diff', c.name).stdout.split('\n').sort(),
    ];
  },
  'commit and run the image': (c) => {
    c.run([], 'sh', '-c', 'echo kept > /kept; rm /etc/plain; mkdir /d; ln -s x /d/l');
    const committed = c.docker('commit', c.name, `image-${c.name}`).status;
    const again = c.docker(
      'run',
      '--rm',
      '--runtime',
      c.runtime,
      `image-${c.name}`,
      'sh',
      '-c',
      'cat /kept; ls /etc/plain; readlink /d/l',
    );
    c.docker('rmi', '--force', `image-${c.name}`);
    return [committed, seen(again)];
  },
  'restart keeps files': (c) => {
    c.run(['--detach'], 'sh', '-c', 'echo again >> /tmp/runs; exec sleep 1000');
    c.holds('test $(wc -l < /tmp/runs) = 1');
    const restarted = c.docker('restart', '--time', '0', c.name).status;
    c.holds('test $(wc -l < /tmp/runs) = 2');
    return [restarted, seen(c.exec('cat', '/tmp/runs'))];
  },
  'start, attach and stop again': (c) => {
    c.docker('create', '--runtime', c.runtime, '--name', c.name, '--interactive', 'busybox', 'cat');
    const first = c.daemon.docker(['start', '--attach', '--interactive', c.name], { input: 'one\n' });
    const second = c.daemon.docker(['start', '--attach', '--interactive', c.name], { input: 'two\n' });
    return [seen(first), seen(second)];
  },
  'restart policy': (c) => {
    c.run(['--detach', '--restart', 'on-failure:2'], 'sh', '-c', 'echo run; exit 1');
    until('the container has ended', () => c.inspect('.State.Status') === 'exited');
    return [c.docker('logs', c.name).stdout, c.inspect('.RestartCount'), c.inspect('.State.ExitCode')];
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
    c.docker('exec', c.name, 'rm', '/tmp/ok');
    until('the container is unhealthy', () => health() === 'unhealthy', health);
    return [c.inspect('.State.Status')];
  },
  top: (c) => {
    c.run(['--detach'], 'sleep', '1000');
    const top = (): string[] => c.docker('top', c.name, '-o', 'pid,args').stdout.trim().split('\n');
    until(
      'the program is listed',
      () => top()[1]?.includes('sleep 1000') === true,
      () => top().join('\n'),
    );
    return [top().length];
  },
  stats: (c) => {
    c.run(['--detach', '--memory', '256m'], 'sleep', '1000');
    const r = c.docker('stats', '--no-stream', '--format', '{{.MemUsage}} {{.PIDs}}', c.name);
    const [used, limit] = /^([\d.]+\w+) \/ ([\d.]+\w+) \d+/.exec(r.stdout)?.slice(1) ?? [];
    return [r.status, used !== undefined && used !== '0B', limit];
  },
  update: (c) => {
    c.run(['--detach', '--memory', '256m', '--memory-swap', '256m'], 'sleep', '1000');
    const updated = c.docker(
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
    const r = onTerminal(c.daemon, `run -it --rm --runtime ${c.runtime} busybox sh -c '${shell}'`);
    return [r.status, r.stdout];
  },
  'exec with a terminal': (c) => {
    c.run(['--detach'], 'sleep', '1000');
    const r = onTerminal(c.daemon, `exec -it ${c.name} sh -c 'tty; echo hi; exit 4'`);
    return [r.status, r.stdout];
  },
  'two containers by name on a network of their own': (c) => {
    const net = `net-${c.name}`;
    c.docker('network', 'create', net);
    c.docker(
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
    const r = c.docker(
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
    c.docker('rm', '--force', `${c.name}-server`);
    c.docker('network', 'rm', net);
    return [seen(r)];
  },
  'a published port': (c) => {
    c.run(
      ['--detach', '--publish', '127.0.0.1:8099:80'],
      'sh',
      '-c',
      'echo page > /var/www/index.html; exec httpd -f -p 80 -h /var/www',
    );
    const get = c.daemon.enter(['sh', '-c', retry('busybox wget -q -O - http://127.0.0.1:8099/')]);
    const r = runHost(get[0]!, get.slice(1));
    return [r.status, r.stdout];
  },
  'the network of another container': (c) => {
    c.run(['--detach'], 'sh', '-c', 'echo page > /var/www/index.html; exec httpd -f -p 80 -h /var/www');
    const r = c.docker(
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

tellStories('docker', stories, { script: 'bsdutils' });
