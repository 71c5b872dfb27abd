/** What the daemon does for containers: its own restarts, events, logs by drivers, terminals that come and go. */
import { onTerminal } from './lib/terminal.ts';
import { seen, tellStories, type Container, type Story } from './lib/stories.ts';
import { until } from './lib/until.ts';

/** Names of what happened to a container, in order. */
function events(c: Container): string[] {
  const filter = ['--filter', 'type=container', '--filter', `container=${c.name}`];
  const r = c.docker(
    'events',
    '--since',
    '0',
    '--until',
    `${Date.now() / 1000}`,
    ...filter,
    '--format',
    '{{.Action}}',
  );
  return r.stdout.split('\n').filter(Boolean);
}

const stories: Readonly<Record<string, Story>> = {
  'containers outlive the daemon (live-restore)': async (c) => {
    c.run(
      ['--detach'],
      'sh',
      '-c',
      'trap "echo bye; exit 6" TERM; echo one; until test -e /tmp/go; do sleep 0.1; done; echo two; while :; do sleep 0.1; done',
    );
    c.logged('one');
    const pid = c.inspect('.State.Pid');
    await c.daemon.kill();
    await c.daemon.restart();
    until('the container is known again', () => c.inspect('.State.Running') === 'true');
    const exec = seen(c.exec('sh', '-c', 'touch /tmp/go; echo inside; exit 4'));
    c.logged('two');
    const same = c.inspect('.State.Pid') === pid;
    const stopped = c.docker('stop', '--time', '100', c.name).status;
    return [exec, same, stopped, c.inspect('.State.ExitCode'), c.docker('logs', c.name).stdout];
  },
  events: (c) => {
    c.run(['--detach'], 'sleep', '1000');
    c.docker('pause', c.name);
    c.docker('unpause', c.name);
    c.exec('true');
    until('the end of the exec is known', () => events(c).includes('exec_die'));
    c.docker('kill', '--signal', 'CONT', c.name);
    c.docker('kill', c.name);
    c.docker('wait', c.name);
    c.docker('start', c.name);
    c.docker('stop', '--time', '0', c.name);
    until('the second end is known', () => events(c).filter((e) => e === 'stop').length === 1);
    // Its end and the command that asked for it are told by two threads.
    const told = events(c).map((e) => e.replace(/^(exec_\w+): .*/, '$1'));
    return [told.filter((e) => !/^(kill|die|stop)$/.test(e)), told.sort()];
  },
  'drivers of logs': (c) => {
    // One stream: dockerd reads two at the same time, so their order in the log is nobody's.
    const write = 'for i in $(seq 300); do echo "line $i of the log"; done';
    return [['json-file', '--log-opt', 'max-size=2k', '--log-opt', 'max-file=2'], ['local'], ['none']].map(
      ([driver, ...options]) => {
        const r = c.run(['--log-driver', driver!, ...options], 'sh', '-c', write);
        const logs = c.docker('logs', '--tail', '2', c.name);
        c.remove();
        return [
          r.status,
          r.stdout.length,
          r.stderr,
          logs.status,
          logs.stdout,
          logs.stderr.replace(/^Error.*: /, ''),
        ];
      },
    );
  },
  'attach: what is written, what is typed, its end': (c) => {
    c.docker(
      'create',
      '--runtime',
      c.runtime,
      '--name',
      c.name,
      '--interactive',
      'busybox',
      'sh',
      '-c',
      'read a; echo "got $a"; exit 5',
    );
    c.docker('start', c.name);
    const r = c.daemon.docker(['attach', c.name], { input: 'typed\n' });
    return [r.status, r.stdout];
  },
  'a terminal that changes its size': (c) => {
    const wait = 'until test "$(stty size 2>/dev/null)" = "33 99"; do sleep 0.1; done; stty size';
    const ready = `until docker --host ${c.daemon.host} logs ${c.name} 2>/dev/null | grep -q ready; do sleep 0.1; done`;
    const resize = `(${ready}; stty rows 33 cols 99 </dev/tty) & `;
    const r = onTerminal(
      c.daemon,
      `run -it --name ${c.name} --runtime ${c.runtime} busybox sh -c 'echo ready; ${wait}'`,
      resize,
    );
    return [r.status, r.stdout];
  },
  'exec on a terminal that changes its size': (c) => {
    c.run(['--detach'], 'sleep', '1000');
    const wait =
      'touch /tmp/ready; until test "$(stty size 2>/dev/null)" = "33 99"; do sleep 0.1; done; stty size; exit 2';
    const ready = `until docker --host ${c.daemon.host} exec ${c.name} test -e /tmp/ready; do sleep 0.1; done`;
    const resize = `(${ready}; stty rows 33 cols 99 </dev/tty) & `;
    const r = onTerminal(c.daemon, `exec -it ${c.name} sh -c '${wait}'`, resize);
    return [r.status, r.stdout];
  },
  'rename, export, wait': (c) => {
    c.run(
      ['--detach'],
      'sh',
      '-c',
      'echo x > /tmp/f; echo ready; until test -e /tmp/go; do sleep 0.1; done; exit 9',
    );
    c.logged('ready');
    const renamed = c.docker('rename', c.name, `${c.name}-new`).status;
    const back = c.docker('rename', `${c.name}-new`, c.name).status;
    const exported = c.docker('export', '--output', `${c.daemon.dir}/export.tar`, c.name).status;
    c.docker('exec', '--detach', c.name, 'touch', '/tmp/go');
    return [renamed, back, exported, c.docker('wait', c.name).stdout];
  },
};

tellStories('the daemon of docker', stories, { script: 'bsdutils' }, { config: { 'live-restore': true } });
