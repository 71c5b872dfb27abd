/**
 * startContainer hooks (runtime-spec config.md): programs of the container, run in it after `start` was called and before its
 * own program. Each is one more process of the sandbox, with the rights of the container's first.
 */
import { readFileSync } from 'node:fs';
import { close } from '../../sentry/host/sys.ffi.ts';
import { MSG_EXIT } from '../../platform-ptrace/confine/launcher-protocol.ts';
import { connectSandbox, jsonMemfd, requestOn } from '../control/client.ts';
import { NOTHING, CLOSED, receive } from '../control/socket.ts';
import type { ProcessConfig } from '../sandbox-config.ts';
import type { ContainerState, OciState } from '../state/container-state.ts';
import type { StateDir } from '../state/state-dir.ts';
import { UserError } from '../user-error.ts';
import type { Hook } from './hooks-config.ts';

/** Without a limit of its own a hook may take as long as it likes; this is about a day. */
const NO_TIMEOUT_S = 86_400;

/** Runs them in their order; throws at the first that fails. */
export function runStartContainerHooks(
  states: StateDir,
  container: ContainerState,
  hooks: readonly Hook[],
  state: OciState,
  process: ProcessConfig,
): void {
  hooks.forEach((hook, i) => {
    const error = runInside(states, container, hook, JSON.stringify(state), process);
    if (error !== null) throw new UserError(`error running startContainer hook #${i}: ${error}`);
  });
}

/** The process that a hook is. */
function hookProcess(hook: Hook, base: ProcessConfig): ProcessConfig {
  return {
    ...base,
    args: hook.args.length === 0 ? [hook.path] : hook.args,
    program: hook.path,
    env: hook.env ?? base.env,
    cwd: '/',
    terminal: false,
    homeFromPasswd: false,
  };
}

function runInside(
  states: StateDir,
  container: ContainerState,
  hook: Hook,
  input: string,
  base: ProcessConfig,
): string | null {
  const connection = connectSandbox(states, container, hook.timeout === 0 ? NO_TIMEOUT_S : hook.timeout);
  const streams = [input, '', ''].map((text) => jsonMemfd(Buffer.from(text)));
  const [stdout, stderr] = streams.slice(1).map((fd) => () => readFileSync(`/proc/self/fd/${fd}`, 'utf8'));
  try {
    requestOn(connection, 'exec', container.id, { process: hookProcess(hook, base) }, streams);
    const m = receive(connection, true);
    if (m === CLOSED) return 'the sandbox is gone';
    // Closing the connection kills it.
    if (m === NOTHING) return `hook ran past specified timeout of ${hook.timeout.toFixed(1)}s`;
    if (m.type !== MSG_EXIT) return 'the sandbox gave an answer that makes no sense';
    if (m.value === 0) return null;
    const signal = m.value & 0x7f;
    const how = signal === 0 ? `exit status ${m.value >>> 8}` : `signal ${signal}`;
    return `error running hook: ${how}, stdout: ${stdout!()}, stderr: ${stderr!()}`;
  } catch (e) {
    if (e instanceof UserError) return e.message;
    throw e;
  } finally {
    streams.forEach(close);
    close(connection);
  }
}
