/**
 * Runs hooks on the host (runtime-spec config.md, "POSIX-platform Hooks"): argv as given, exactly the given environment, the
 * container's state on standard input. What fails before the program runs stops the container, what fails after it is a
 * warning. Messages are runc's. startContainer hooks run inside the sandbox: start-container.ts.
 */
import { spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { nativeDir } from '../../sentry/host/koffi.ffi.ts';
import { ociState, type ContainerState, type OciState } from '../state/container-state.ts';
import { warn } from '../lifecycle/log.ts';
import { UserError } from '../user-error.ts';
import type { Hook, HookKind } from './hooks-config.ts';

/** What a hook may print; more is cut off by killing it. */
const OUTPUT_MAX = 16 << 20;

export interface HookOptions {
  /** Directory that the hooks start in. */
  readonly bundle: string;
  /** createContainer: the process whose namespaces they run in, CLONE_NEW* of these. */
  readonly enter?: { readonly pid: number; readonly flags: number };
}

/** Hooks whose failure is "logged … but the remaining hooks and lifecycle continue as if the hook had succeeded". */
function mayFail(kind: HookKind): boolean {
  return kind === 'poststart' || kind === 'poststop';
}

/** Runs the hooks of one kind in their order; throws at the first that fails unless the kind may. */
export function runHooks(
  kind: HookKind,
  hooks: readonly Hook[],
  state: OciState,
  options: HookOptions,
): void {
  hooks.forEach((hook, i) => {
    const error = runHook(hook, JSON.stringify(state), options);
    if (error === null) return;
    const message = `error running ${kind} hook #${i}: ${error}`;
    if (!mayFail(kind)) throw new UserError(message);
    warn(message);
  });
}

/** When everything of the container is gone; its bundle may be, too. */
export function runPoststopHooks(state: ContainerState): void {
  if (state.hooks === null) return;
  const bundle = existsSync(state.bundle) ? state.bundle : '/';
  runHooks('poststop', state.hooks.poststop, ociState(state, 'stopped'), { bundle });
}

/** null, or what went wrong. */
function runHook(hook: Hook, input: string, { bundle, enter }: HookOptions): string | null {
  const args = hook.args.length === 0 ? [hook.path] : hook.args;
  const entering =
    enter === undefined ? [] : ['enter', String(enter.pid), String(enter.flags), bundle, hook.path, args[0]!];
  const r = spawnSync(
    enter === undefined ? hook.path : join(nativeDir, 'launcher'),
    [...entering, ...args.slice(1)],
    {
      argv0: enter === undefined ? args[0]! : 'runsc-ts',
      cwd: enter === undefined ? bundle : '/',
      env: environment(hook.env),
      input,
      maxBuffer: OUTPUT_MAX,
      killSignal: 'SIGKILL',
      ...(hook.timeout === 0 ? {} : { timeout: 1000 * hook.timeout }),
    },
  );
  return describe(hook, r);
}

function describe(hook: Hook, r: SpawnSyncReturns<Buffer>): string | null {
  const code = (r.error as NodeJS.ErrnoException | undefined)?.code;
  if (code === 'ETIMEDOUT') return `hook ran past specified timeout of ${hook.timeout.toFixed(1)}s`;
  if (r.pid === 0 || (r.status === null && r.signal === null))
    return `fork/exec ${hook.path}: ${goError(code)}`;
  if (r.status === 0) return null;
  const how = r.signal === null ? `exit status ${r.status}` : `signal: ${r.signal}`;
  return `error running hook: ${how}, stdout: ${r.stdout.toString()}, stderr: ${r.stderr.toString()}`;
}

/** The words by which engines know what happened. */
function goError(code: string | undefined): string {
  if (code === 'ENOENT') return 'no such file or directory';
  if (code === 'EACCES') return 'permission denied';
  if (code === 'ENOEXEC') return 'exec format error';
  return code ?? 'unknown error';
}

/** Without a variable PATH the hook has none either: the runtime's own environment is not handed on. */
function environment(env: readonly string[]): Record<string, string> {
  const all: Record<string, string> = Object.create(null) as Record<string, string>;
  for (const e of env) {
    const eq = e.indexOf('=');
    if (eq > 0) all[e.slice(0, eq)] = e.slice(eq + 1);
  }
  return all;
}
