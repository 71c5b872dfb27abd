/**
 * Containers that `ctr` runs: output and status, exec, processes, pausing, figures, the end, what is refused. Each story is
 * told by runc and by runsc-ts under the same containerd, and has to be the same story.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { until } from '../lib/oci.ts';
import { runscTs, type Outcome } from '../lib/sandbox.ts';
import { Containerd, IMAGE, needed } from './lib/containerd.ts';
import { missing } from './lib/programs.ts';

const lacking = missing(needed);
if (lacking.length > 0) console.log(`SKIPPED: tests of ctr need ${lacking.join(', ')}`);

let daemon: Containerd;
let serial = 0;

function ctr(...args: string[]): Outcome {
  const r = daemon.ctr(args);
  // Both would tell the same.
  if (r.stderr.includes('Usage')) throw new Error(r.stderr);
  return r;
}

/** A container of one story. */
class Container {
  readonly name = `c${serial++}`;
  private readonly binary: string | null;
  private execs = 0;

  constructor(binary: string | null) {
    this.binary = binary;
  }

  run(options: readonly string[], ...command: string[]): Outcome {
    const runtime = this.binary === null ? [] : ['--runc-binary', this.binary];
    return ctr('run', ...runtime, ...options, IMAGE, this.name, ...command);
  }

  exec(options: readonly string[], ...command: string[]): Outcome {
    return ctr('tasks', 'exec', '--exec-id', `e${this.execs++}`, ...options, this.name, ...command);
  }

  /** As `ctr tasks ls` says; empty if there is none. */
  status(): string {
    const line = ctr('tasks', 'ls')
      .stdout.split('\n')
      .find((l) => l.startsWith(`${this.name} `));
    return line?.trim().split(/\s+/)[2] ?? '';
  }

  async kill(signal: string): Promise<number> {
    const { status } = ctr('tasks', 'kill', '--signal', signal, this.name);
    await until(() => this.status() === 'STOPPED');
    return status;
  }

  remove(): void {
    ctr('tasks', 'rm', '--force', this.name);
    ctr('containers', 'rm', this.name);
  }
}

/** What a user sees of a command. */
const seen = (r: Outcome): unknown => [
  r.status,
  r.stdout,
  r.stderr
    .replace(/\bc\d+\b/g, 'NAME')
    .replace(/time="[^"]*" /g, '')
    .replace('runc create failed: ', ''),
];

const stories: Readonly<Record<string, (c: Container) => unknown[] | Promise<unknown[]>>> = {
  'output and status': (c) => [
    seen(c.run(['--rm'], 'sh', '-c', 'echo out; echo err >&2; ls /sys/class/net; exit 7')),
    seen(c.run(['--rm'], 'nosuch')),
    seen(c.run(['--rm'], 'sh', '-c', 'kill -9 $$; echo no')),
  ],
  'environment, directory, root, limits, mounts': (c) => [
    seen(
      c.run(
        [
          ...['--rm', '--env', 'A=1', '--cwd', '/tmp', '--read-only', '--no-pivot'],
          ...[
            '--memory-limit',
            '67108864',
            '--mount',
            `type=bind,src=${daemon.dir}/cni,dst=/mnt,options=rbind:ro`,
          ],
        ],
        ...['sh', '-c'],
        'echo $A; pwd; touch /x; ls /mnt; touch /mnt/x; grep -E "Cap|NoNewPrivs" /proc/self/status',
      ),
    ),
    seen(
      c.run(
        ['--rm', '--privileged', '--cap-drop', 'CAP_SYS_RESOURCE'],
        'sh',
        '-c',
        'mkdir /t; mount -t tmpfs t /t; grep -c " /t " /proc/mounts',
      ),
    ),
    seen(c.run(['--rm', '--net-host'], 'ls', '/sys/class/net')),
  ],
  'exec, processes, the end': async (c) => {
    c.run(['--detach'], 'sleep', '1000');
    const told = [
      c.status(),
      seen(
        c.exec([], 'sh', '-c', 'echo inside; until ps -o comm | grep "^sleep"; do sleep 0.1; done; exit 3'),
      ),
      seen(c.exec(['--user', '1000', '--cwd', '/tmp'], 'sh', '-c', 'pwd; id -u')),
      seen(c.exec([], 'nosuch')),
      ctr('tasks', 'ps', c.name).stdout.trim().split('\n').length,
      seen(ctr('tasks', 'rm', c.name)),
      await c.kill('SIGKILL'),
      seen(c.exec([], 'true')),
      seen(ctr('tasks', 'rm', c.name)),
    ];
    // The same container again.
    const again = ctr('tasks', 'start', '--detach', c.name).status;
    return [...told, again, c.status(), await c.kill('SIGKILL'), ctr('tasks', 'rm', c.name).status];
  },
  'a signal that the program handles': async (c) => {
    c.run(['--detach'], 'sh', '-c', 'trap "exit 5" TERM; touch /tmp/ready; while :; do sleep 0.1; done');
    await until(() => c.exec([], 'test', '-e', '/tmp/ready').status === 0);
    return [await c.kill('SIGTERM'), seen(ctr('tasks', 'rm', c.name))];
  },
  'pause and resume': (c) => {
    c.run(['--detach'], 'sleep', '1000');
    return [
      ctr('tasks', 'pause', c.name).status,
      c.status(),
      seen(c.exec([], 'true')),
      ctr('tasks', 'resume', c.name).status,
      c.status(),
      c.exec([], 'true').status,
    ];
  },
  figures: (c) => {
    c.run(['--detach', '--memory-limit', '67108864'], 'sleep', '1000');
    const r = ctr('tasks', 'metrics', c.name);
    const value = (metric: string): number =>
      Number(
        r.stdout
          .split('\n')
          .find((l) => l.startsWith(`${metric} `))
          ?.trim()
          .split(/\s+/)[1],
      );
    const used = value('memory.usage_in_bytes');
    return [
      r.status,
      value('memory.limit_in_bytes'),
      used > 0 && used < 16 << 20,
      value('cpuacct.usage') > 0,
    ];
  },
  'what is refused': (c) => {
    c.run(['--detach'], 'sleep', '1000');
    return [ctr('tasks', 'checkpoint', c.name).status, c.status()];
  },
};

describe.skipIf(lacking.length > 0)('ctr', () => {
  beforeAll(async () => {
    daemon = await Containerd.start();
  });
  afterAll(() => daemon?.stop());

  test.each(Object.entries(stories))('%s', async (_name, story) => {
    const told: unknown[][] = [];
    for (const binary of [null, runscTs]) {
      const c = new Container(binary);
      try {
        told.push(await story(c));
      } finally {
        c.remove();
      }
    }
    expect(told[1]).toEqual(told[0]);
  });

  test('the refusal of a checkpoint says why', () => {
    const c = new Container(runscTs);
    c.run(['--detach'], 'sleep', '1000');
    expect(ctr('tasks', 'checkpoint', c.name).stderr).toContain('checkpoint is not supported');
    c.remove();
  });

  test('nothing is left', async () => {
    await until(() => daemon.shims().length === 0);
  });
});
