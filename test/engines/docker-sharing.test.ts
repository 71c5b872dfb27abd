/** What containers share with each other and with the host: namespaces, volumes, devices, control groups. */
import { readFileSync } from 'node:fs';
import { seen, tellStories, type Story } from './lib/stories.ts';

const stories: Readonly<Record<string, Story>> = {
  'processes of another container': (c) => {
    c.run(['--detach'], 'sh', '-c', 'echo inside > /tmp/file; echo ready; exec sleep 1000');
    c.logged('ready');
    c.holds('grep -q sleep /proc/1/comm');
    const script = 'cat /proc/1/comm /proc/1/root/tmp/file; ls /tmp/file 2>/dev/null; kill -CONT 1; echo $?';
    return [
      seen(c.other(['--pid', `container:${c.name}`], 'sh', '-c', script)),
      // The first process of the namespace is not theirs: its end is the end of all in it.
      c.docker('kill', c.name).status,
      c.docker('wait', c.name).stdout,
    ];
  },
  'shared memory of another container': (c) => {
    c.run(
      ['--detach', '--ipc', 'shareable'],
      'sh',
      '-c',
      'echo shared > /dev/shm/f; echo ready; exec sleep 1000',
    );
    c.logged('ready');
    return [
      seen(c.other(['--ipc', `container:${c.name}`], 'sh', '-c', 'cat /dev/shm/f; echo back > /dev/shm/g')),
      seen(c.exec('cat', '/dev/shm/g')),
      seen(c.other([], 'ls', '/dev/shm')),
    ];
  },
  'no shared memory': (c) => [seen(c.other(['--ipc', 'none'], 'ls', '-d', '/dev/shm'))],
  'everything of another container': (c) => {
    c.run(
      ['--detach', '--ipc', 'shareable', '--hostname', 'box'],
      'sh',
      '-c',
      'echo x > /dev/shm/f; exec sleep 1000',
    );
    c.holds('test -s /dev/shm/f && grep -q sleep /proc/1/comm');
    const all = ['pid', 'ipc', 'network'].map((ns) => `--${ns}=container:${c.name}`);
    return [seen(c.other(all, 'sh', '-c', 'cat /dev/shm/f /proc/1/comm; hostname'))];
  },
  'names of the host': (c) => [
    c.other(['--uts', 'host'], 'hostname').stdout === c.other(['--network', 'host'], 'hostname').stdout,
    seen(c.other(['--uts', 'host'], 'sh', '-c', 'hostname other 2>/dev/null; echo $?')),
    c.other(['--uts', 'host', '--hostname', 'x'], 'true').status,
  ],
  'shared memory of the host': (c) => [seen(c.other(['--ipc', 'host'], 'test', '-d', '/dev/shm'))],
  'volumes of another container': (c) => {
    c.run(['--volume', '/data', '--volume', `named-${c.name}:/bin2:ro`], 'sh', '-c', 'echo x > /data/f');
    const again = c.other(['--volumes-from', c.name], 'sh', '-c', 'cat /data/f; echo y > /bin2/f; echo $?');
    const readOnly = c.other(
      ['--volumes-from', `${c.name}:ro`],
      'sh',
      '-c',
      'cat /data/f; echo y > /data/f; echo $?',
    );
    c.docker('rm', '--force', '--volumes', c.name);
    return [seen(again), seen(readOnly), c.docker('volume', 'rm', `named-${c.name}`).status];
  },
  'a volume takes over what the image has there': (c) => {
    const volume = `copied-${c.name}`;
    const r = c.other(
      ['--volume', `${volume}:/home`],
      'sh',
      '-c',
      'stat -c "%a %u %n" /home/user; touch /home/user/f',
    );
    const again = c.other(['--volume', `${volume}:/x`], 'ls', '/x/user');
    return [seen(r), seen(again), c.docker('volume', 'rm', volume).status];
  },
  'mounts by --mount': (c) => {
    const mounts = [
      'type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=700',
      'type=bind,src=/etc/passwd,dst=/p,ro',
      'type=volume,dst=/v',
    ];
    const script =
      'stat -c %a /t; df -k /t | tail -1 | awk "{print \\$2}"; test -s /p; echo $?; echo > /p; touch /v/f; ls /v';
    return [
      seen(
        c.other(
          mounts.flatMap((m) => ['--mount', m]),
          'sh',
          '-c',
          script,
        ),
      ),
      c.other(['--mount', 'type=bind,src=/nosuch,dst=/x'], 'true').status,
    ];
  },
  'a parent in the control groups': (c) => {
    c.run(['--detach', '--cgroup-parent', '/rts-parent', '--memory', '64m'], 'sleep', '1000');
    const groups = readFileSync(`/proc/${c.inspect('.State.Pid')}/cgroup`, 'utf8')
      .trim()
      .split('\n');
    return [
      groups.every((line) => line.endsWith(`:/rts-parent/${c.inspect('.Id')}`) || line.startsWith('0::')),
    ];
  },
  devices: (c) => [
    seen(
      c.other(
        ['--device', '/dev/null:/dev/other'],
        'sh',
        '-c',
        'echo x > /dev/other; wc -c < /dev/other; stat -c %F /dev/other',
      ),
    ),
    c.other(['--device', '/dev/nosuch'], 'true').status,
    c.other(['--gpus', 'all'], 'true').status,
  ],
  'too much memory: 137': (c) => {
    c.run(['--memory', '32m', '--memory-swap', '32m'], 'sh', '-c', 'exec tail -c 200m /dev/zero');
    return [c.inspect('.State.ExitCode')];
  },
  'as many processes as allowed': (c) => [
    c.other(
      ['--pids-limit', '20'],
      'sh',
      '-c',
      'for i in $(seq 40); do sleep 1000 & done 2>/dev/null; exit 3',
    ).status,
  ],
};

tellStories('what containers share', stories, {}, { every: 3 });
