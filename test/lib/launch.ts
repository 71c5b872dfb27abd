/** Starts the launcher with the fixture sentry and gofer, as the CLI would. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildSync } from 'esbuild';
import {
  GOFER_DIST_FD,
  launcherArgv,
  type LauncherOptions,
  NODE_ARGS,
  SENTRY_DIST_FD,
} from '../../platform-ptrace/confine/launcher-protocol.ts';
import type { FixtureConfig } from '../fixtures/sentry.ts';

const top = join(import.meta.dirname, '../..');
export const dist = join(top, 'dist');

/** Bundles a fixture beside the real programs, with the same settings as build.js. */
export function bundleFixture(name: string): string {
  const outfile = `test-${name}.cjs`;
  buildSync({
    absWorkingDir: top,
    entryPoints: [`test/fixtures/${name}.ts`],
    outfile: `dist/${outfile}`,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    define: { 'import.meta.url': '__bundle_url' },
    banner: { js: "const __bundle_url = require('node:url').pathToFileURL(__filename).href;" },
    external: ['@koromix/koffi-linux-x64'],
    logLevel: 'warning',
  });
  return outfile;
}

export interface Launched {
  readonly child: ChildProcess;
  stdout: string;
  stderr: string;
  /** Exit code, or a signal's name. */
  readonly ended: Promise<number | string>;
}

/** Descriptor 3 is the sentry's configuration, 4 the gofer's. */
export function launch(
  config: FixtureConfig | object,
  options: Partial<LauncherOptions> & { readonly sentry?: string; readonly ids?: number } = {},
): Launched {
  const dir = mkdtempSync(join(tmpdir(), 'runsc-ts-test-'));
  writeFileSync(join(dir, 'config'), JSON.stringify(config));
  const fds = [openSync(join(dir, 'config'), 'r'), openSync(join(dir, 'config'), 'r')];
  rmSync(dir, { recursive: true });
  const { sentry = 'test-sentry.cjs', ids, ...rest } = options;
  const argv = launcherArgv({
    node: process.execPath,
    dist,
    sentryConfigFd: 3,
    goferConfigFd: 4,
    sentryArgs: [...NODE_ARGS, `/proc/self/fd/${SENTRY_DIST_FD}/${sentry}`],
    goferArgs: [...NODE_ARGS, `/proc/self/fd/${GOFER_DIST_FD}/test-gofer.cjs`],
    exports: [{ path: '/', readOnly: true }],
    zygote: false,
    ...rest,
  });
  const child = spawn(join(dist, 'launcher'), argv.slice(1), {
    stdio: ['pipe', 'pipe', 'pipe', ...fds],
    ...(ids === undefined ? {} : { uid: ids, gid: ids }),
  });
  for (const fd of fds) closeSync(fd);
  const launched: Launched = {
    child,
    stdout: '',
    stderr: '',
    ended: new Promise((resolve) => child.on('close', (code, signal) => resolve(signal ?? code ?? -1))),
  };
  child.stdout!.on('data', (data: Buffer) => (launched.stdout += data.toString('latin1')));
  child.stderr!.on('data', (data: Buffer) => (launched.stderr += data.toString('latin1')));
  return launched;
}
