/**
 * Runs hooks on the host (runtime-spec config.md, "POSIX-platform Hooks"): argv as given, exactly the given environment, the
 * container's state on standard input. What fails before the program runs stops the container, what fails after it is a
 * warning. Messages are runc's. startContainer hooks run inside the sandbox: start-container.ts.
 */
import { spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { nativeDir } from '../../sentry/host/koffi.ffi.ts';
import { close } from '../../sentry/host/sys.ffi.ts';
import { jsonMemfd } from '../control/client.ts';
import { ociState, type ContainerState, type OciState } from '../state/container-state.ts';
import { warn } from '../lifecycle/log.ts';
import { UserError } from '../user-error.ts';
import type { Hook, HookKind } from './hooks-config.ts';

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
  const { pid, flags } = enter ?? { pid: 0, flags: 0 };
  const args = hook.args.length === 0 ? [hook.path] : hook.args;
  // Node's own pipes are sockets, which a script cannot open: `jq .pid /dev/stdin`, `echo why > /dev/stderr`.
  const streams = [input, '', '', ''].map((text) => jsonMemfd(Buffer.from(text)));
  try {
    const r = spawnSync(
      join(nativeDir, 'launcher'),
      ['enter', String(pid), String(flags), bundle, hook.path, ...args],
      {
        argv0: 'runsc-ts',
        cwd: '/',
        env: hook.env === null ? process.env : environment(hook.env),
        stdio: streams,
        killSignal: 'SIGKILL',
        ...(hook.timeout === 0 ? {} : { timeout: 1000 * hook.timeout }),
      },
    );
    return describe(hook, r, streams);
  } finally {
    streams.forEach(close);
  }
}

function describe(
  hook: Hook,
  r: SpawnSyncReturns<Buffer>,
  [, stdout, stderr, reason]: readonly number[],
): string | null {
  const printed = (fd: number | undefined): string => readFileSync(`/proc/self/fd/${fd}`, 'utf8');
  const code = (r.error as NodeJS.ErrnoException | undefined)?.code;
  if (code === 'ETIMEDOUT') return `hook ran past specified timeout of ${hook.timeout.toFixed(1)}s`;
  const whyNot = code ?? printed(reason);
  if (whyNot !== '') return `fork/exec ${hook.path}: ${whyNot}`;
  if (r.status === 0) return null;
  const how = r.signal === null ? `exit status ${r.status}` : `signal: ${r.signal}`;
  return `error running hook: ${how}, stdout: ${printed(stdout)}, stderr: ${printed(stderr)}`;
}

/** Without a variable PATH the hook has none either. One whose `env` is missing has the runtime's environment, as under runc. */
function environment(env: readonly string[]): Record<string, string> {
  const all: Record<string, string> = Object.create(null) as Record<string, string>;
  for (const e of env) {
    const eq = e.indexOf('=');
    if (eq > 0) all[e.slice(0, eq)] = e.slice(eq + 1);
  }
  return all;
}
