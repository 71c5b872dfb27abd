/** What docs/engines.md says of Docker, CI and Swarm, and README.md of all, done as it is written; `debian` is the image made here. */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { blocksOf } from '../lib/docs.ts';
import { root, run, runscTs, type Outcome } from '../lib/sandbox.ts';
import { needed, startDockerd, type Dockerd } from './lib/dockerd.ts';
import { missing } from './lib/programs.ts';
import { until } from './lib/until.ts';

const lacking = missing(needed);
if (lacking.length > 0)
  console.log(`SKIPPED: the Docker part of docs/engines.md needs ${lacking.join(', ')}`);

const KERNEL = '6.12.0-runsc-ts';
const DOCUMENT = 'docs/engines.md';

/** Commands at a daemon: /etc/docker and the service are those of the test. */
function shell(daemon: Dockerd, cwd: string, script: string): Outcome {
  mkdirSync(join(daemon.dir, 'etc'), { recursive: true });
  const program = `set -e
    mkdir -p /etc/docker
    mount --bind "$DIR/etc" /etc/docker
    sudo() { "$@"; }
    systemctl() {
      test "$*" = "restart docker"
      cp /etc/docker/daemon.json "$DIR/daemon.json"
      kill -HUP $(cat "$DIR/pid")
      until docker info --format '{{json .Runtimes}}' | grep -q runsc-ts; do sleep 0.1; done
    }
    docker() { /usr/bin/docker "$@"; }
    ${script}`;
  const env = { ...process.env, DOCKER_HOST: daemon.host, DIR: daemon.dir } as Record<string, string>;
  return run('unshare', ['--mount', '/bin/bash', '-c', program], { cwd, env, timeoutMs: 300_000 });
}

async function withDaemon(
  options: Parameters<typeof startDockerd>[0],
  use: (d: Dockerd) => void,
): Promise<void> {
  const daemon = await startDockerd(options);
  try {
    daemon.docker(['tag', 'busybox', 'debian']);
    use(daemon);
  } finally {
    await daemon.stop();
  }
}

/** The commands of a workflow's steps: `run: COMMAND`, or folded lines below `run: >-`. */
function commandsOf(workflow: string): string[] {
  return [...workflow.matchAll(/^( +)run: (.*)\n((?:\1 +.*\n)*)/gm)].map((m) =>
    m[2] === '>-' ? m[3]!.trim().split(/\n +/).join(' ') : m[2]!,
  );
}

describe.skipIf(lacking.length > 0)('Docker, CI and Swarm in docs/engines.md', () => {
  test('install, restart, run', () =>
    withDaemon({ config: { runtimes: {} } }, (daemon) => {
      for (const script of blocksOf(DOCUMENT, 'Docker', 'sh')) {
        const r = shell(daemon, root, script);
        expect(r, r.stderr).toMatchObject({ status: 0 });
        expect(r.stdout).toContain(KERNEL);
      }
    }));

  test('the commands of README.md', () =>
    withDaemon({ config: { runtimes: {} } }, (daemon) => {
      const cwd = join(daemon.dir, 'reader');
      mkdirSync(join(cwd, 'bin'), { recursive: true });
      symlinkSync(join(root, 'dist'), join(cwd, 'dist'));
      // What it makes is the reader's business.
      writeFileSync(join(cwd, 'bin/make'), '#!/bin/sh\necho made\n', { mode: 0o755 });
      const outputs: Record<string, string> = {
        'do -- uname': ` ${KERNEL} `,
        '--volume': 'bin\ndist\n',
        '--memory': 'made\n',
        'docker run': ` ${KERNEL} `,
      };
      const [block, ...others] = blocksOf('README.md', 'Use it', 'sh');
      expect(others).toEqual([]);
      for (const command of block.trim().split('\n')) {
        const before = command.startsWith('docker') ? 'systemctl restart docker' : '';
        const r = shell(daemon, cwd, `PATH="$PWD/bin:$PATH"\n${before}\n${command}`);
        expect(r.status, `${command}: ${r.stdout}${r.stderr}`).toBe(0);
        for (const [part, output] of Object.entries(outputs)) {
          if (command.includes(part)) expect(r.stdout, command).toContain(output);
        }
      }
    }));

  test('the workflow', () =>
    withDaemon({ config: { runtimes: {} } }, (daemon) => {
      const checkout = join(daemon.dir, 'checkout');
      mkdirSync(checkout);
      writeFileSync(join(checkout, 'README'), '');
      const [install, ...runs] = blocksOf(DOCUMENT, 'CI', 'yaml').flatMap(commandsOf);
      const installed = shell(daemon, checkout, install!.replace('/opt/runsc-ts/dist/runsc-ts', runscTs));
      expect(installed, installed.stderr).toMatchObject({ status: 0 });
      expect(runs.length).toBe(1);
      expect(shell(daemon, checkout, runs[0]!)).toMatchObject({
        status: 0,
        stdout: `${KERNEL}\nREADME\ndone\n`,
      });
    }));

  test('a service of Swarm', () =>
    withDaemon({ defaultRuntime: 'runsc-ts' }, (daemon) => {
      const commands = blocksOf(DOCUMENT, 'Swarm', 'sh').join('').trim().split('\n');
      for (const command of commands) {
        if (command.startsWith('docker service rm')) {
          const replicas = (): string =>
            daemon.docker(['service', 'ls', '--format', '{{.Replicas}}']).stdout.trim();
          until('three tasks run', () => replicas() === '3/3', replicas);
        }
        const r = shell(daemon, root, command);
        expect(r, `${command}: ${r.stderr}`).toMatchObject({ status: 0 });
      }
      until('its containers are gone', () => daemon.docker(['ps', '--all', '--quiet']).stdout === '');
    }));
});
