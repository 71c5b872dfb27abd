/** `docker-compose` (Debian's 1.29) as a client of a test's dockerd. */
import { spawnSync } from 'node:child_process';
import type { Dockerd, Result } from './dockerd.ts';

export interface Compose {
  (...args: string[]): Result;
}

/** Commands of the project in directory `dir`; `env` is what its file may refer to. */
export function composeIn(daemon: Dockerd, dir: string, env: Readonly<Record<string, string>>): Compose {
  return (...args) => {
    const r = spawnSync('docker-compose', ['--no-ansi', ...args], {
      cwd: dir,
      encoding: 'utf8',
      input: '',
      timeout: 600_000,
      env: { ...process.env, ...env, DOCKER_HOST: daemon.host, COMPOSE_HTTP_TIMEOUT: '300' },
    });
    return { status: r.status, stdout: r.stdout, stderr: r.stderr };
  };
}
