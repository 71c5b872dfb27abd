/** A minimal OCI bundle for benchmarks: a static program, a tmpfs on /tmp, no network. */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const micro = join(import.meta.dirname, '../../node_modules/.cache/bench/micro');

/** Compiles bench/micro/micro.c statically: the same bytes run in every column. */
export function buildMicro(): void {
  mkdirSync(join(micro, '..'), { recursive: true });
  const source = join(import.meta.dirname, '../micro/micro.c');
  execFileSync('cc', ['-O2', '-static', '-pthread', '-o', micro, source], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
}

interface Mount {
  destination: string;
  type: string;
  source: string;
  options?: string[];
}

/** A bundle whose process is `args`, with the host's programs, and `volume` of the host as /volume. */
export function makeVolumeBundle(args: readonly string[], volume: string): string {
  const bind = (source: string, destination: string, mode: string): Mount => {
    return { destination, type: 'bind', source, options: ['rbind', mode] };
  };
  const programs = ['/usr', '/bin', '/lib', '/lib64'].map((d) => bind(d, d, 'ro'));
  const script = bind(join(import.meta.dirname, '../workload'), '/workload', 'ro');
  return makeBundle(args, [...programs, script, bind(volume, '/volume', 'rw')]);
}

/** Directory of a new bundle whose process is `args`. */
export function makeBundle(args: readonly string[], mounts: readonly Mount[] = []): string {
  const dir = mkdtempSync(join(tmpdir(), 'bench-bundle-'));
  for (const d of ['bin', 'tmp', 'proc', 'dev', 'sys', ...mounts.map((m) => m.destination)])
    mkdirSync(join(dir, 'rootfs', d), { recursive: true });
  copyFileSync(micro, join(dir, 'rootfs/bin/micro'));
  const caps = ['CAP_KILL', 'CAP_DAC_OVERRIDE'];
  writeFileSync(
    join(dir, 'config.json'),
    JSON.stringify({
      ociVersion: '1.0.2',
      process: {
        args,
        cwd: '/',
        env: ['PATH=/usr/bin:/bin'],
        user: { uid: 0, gid: 0 },
        capabilities: { bounding: caps, effective: caps, permitted: caps },
      },
      root: { path: 'rootfs', readonly: true },
      hostname: 'bench',
      mounts: [
        { destination: '/proc', type: 'proc', source: 'proc' },
        { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'mode=755'] },
        { destination: '/tmp', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'nodev', 'mode=1777'] },
        ...mounts,
      ],
      linux: { namespaces: ['pid', 'mount', 'ipc', 'uts', 'network'].map((type) => ({ type })) },
    }),
  );
  return dir;
}
