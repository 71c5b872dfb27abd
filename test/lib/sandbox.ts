/** Runs the built program, for tests. */
import { spawnSync, type SpawnSyncOptions } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

export const root = join(import.meta.dirname, '../..');
export const runscTs = join(root, 'dist/runsc-ts');

/** Platforms under test: both, or the one named by RUNSC_TS_PLATFORM. */
export const platforms: readonly string[] = process.env['RUNSC_TS_PLATFORM']?.split(',') ?? [
  'systrap',
  'ptrace',
];

/** RUNSC_TS_PATCHING=always: every program has its syscall sites patched from its first call. */
const patching = process.env['RUNSC_TS_PATCHING'];

export interface Outcome {
  stdout: string;
  stderr: string;
  /** Exit status; 128 + signal if it died of one. */
  status: number;
  timedOut: boolean;
}

export interface RunOptions {
  input?: string;
  cwd?: string;
  env?: Record<string, string>;
  timeoutMs?: number;
}

export function run(file: string, args: readonly string[], options: RunOptions = {}): Outcome {
  const spawnOptions: SpawnSyncOptions = {
    timeout: options.timeoutMs ?? 60_000,
    killSignal: 'SIGKILL',
    maxBuffer: 64 << 20,
    input: options.input ?? '',
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.env === undefined ? {} : { env: options.env }),
  };
  const r = spawnSync(file, args, spawnOptions);
  const signals = { SIGKILL: 9, SIGSEGV: 11, SIGABRT: 6, SIGTERM: 15, SIGINT: 2 } as Record<string, number>;
  return {
    stdout: r.stdout?.toString('latin1') ?? '',
    stderr: r.stderr?.toString('latin1') ?? '',
    status: r.status ?? 128 + (signals[r.signal ?? ''] ?? 0),
    timedOut: (r.error as NodeJS.ErrnoException | undefined)?.code === 'ETIMEDOUT',
  };
}

/** `runsc-ts --platform P [global…] do [flags…] -- command…` */
export function sandbox(
  platform: string,
  command: readonly string[],
  options: RunOptions & { global?: readonly string[]; flags?: readonly string[] } = {},
): Outcome {
  if (!existsSync(runscTs)) throw new Error('dist/runsc-ts is missing: npm run build');
  const args = [
    '--platform',
    platform,
    ...(patching === undefined ? [] : [`--systrap-patching=${patching}`]),
    ...(options.global ?? []),
    'do',
    ...(options.flags ?? []),
    '--',
    ...command,
  ];
  return run(runscTs, args, options);
}
