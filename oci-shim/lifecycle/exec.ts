/**
 * `exec`: one more process in a container. A stub stands for it outside: it holds the connection over which the sandbox
 * tells of the process's end, hands signals on, and ends as the process did.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { nativeDir } from '../../sentry/host/koffi.ffi.ts';
import { close } from '../../sentry/host/sys.ffi.ts';
import { becomeLauncher } from '../../platform-ptrace/confine/become-launcher.ts';
import {
  MSG_PLACED,
  MSG_READY,
  type LauncherOptions,
} from '../../platform-ptrace/confine/launcher-protocol.ts';
import { openCgroup } from '../cgroup/cgroup.ts';
import { groupOptions } from '../cgroup/sandbox-groups.ts';
import { connectSandbox, requestOn } from '../control/client.ts';
import type { ProcessConfig } from '../sandbox-config.ts';
import { Field } from '../spec/field.ts';
import { processConfig } from '../spec/process.ts';
import { statusOf, type ContainerState } from '../state/container-state.ts';
import { isAlive, type HostProcess } from '../state/host-process.ts';
import { writeAtomically, type StateDir } from '../state/state-dir.ts';
import { UserError } from '../user-error.ts';
import { checkConsole, openConsole, sendPidfd } from './console.ts';
import { warn } from './log.ts';
import { namespacesOf } from './namespaces.ts';
import { identityOf, Inherited, Stub } from './stub.ts';

export interface ExecOptions {
  readonly id: string;
  readonly process: ProcessConfig;
  /** Groups below the container's: [CONTROLLER:]GROUP. */
  readonly groups: readonly string[];
  readonly pidFile?: string;
  readonly consoleSocket?: string;
  readonly pidfdSocket?: string;
  readonly preserveFds: number;
  readonly detached: boolean;
  /** Also in a paused container: the process runs when that is resumed. */
  readonly ignorePaused: boolean;
}

export function readObject(file: string): Record<string, unknown> {
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(file, 'utf8'));
  } catch (e) {
    throw new UserError(`cannot read ${file}: ${(e as Error).message}`);
  }
  if (typeof json === 'object' && json !== null) return json as Record<string, unknown>;
  throw new UserError(`${file}: must be a JSON object`);
}

export const toProcessConfig = (p: Record<string, unknown>): ProcessConfig => processConfig(Field.root(p));

/** As `create` does it, and warns; but not of what has been said of the container's own process. */
export function execConfig(state: ContainerState, p: Record<string, unknown>): ProcessConfig {
  const own = Field.root(state.process);
  const given = Field.root(p);
  processConfig(own);
  const config = processConfig(given);
  for (const w of given.warnings) if (!own.warnings.includes(w)) warn(w);
  return config;
}

/** Starts the process. Returns when it runs; without `detached` this process becomes its stub and does not return. */
export function execProcess(states: StateDir, state: ContainerState, o: ExecOptions): void {
  const status = statusOf(state);
  if (status === 'stopped') throw new UserError('cannot exec in a stopped container');
  if (status === 'paused' && !o.ignorePaused) {
    throw new UserError('cannot exec in a paused container (use --ignore-paused to override)');
  }
  checkConsole(o, o.process.terminal);
  const connection = connectSandbox(states, state, 60);
  if (!o.detached) becomeStub(state, o, connection);
  else startStub(states, state, o, connection);
}

function becomeStub(state: ContainerState, o: ExecOptions, connection: number): never {
  requestExec(connection, o, [0, 1, 2]);
  if (o.pidfdSocket !== undefined) sendPidfd(o.pidfdSocket, process.pid);
  if (o.pidFile !== undefined) writeAtomically(o.pidFile, String(process.pid), 0o644);
  const groups = execGroups(state, (own) => own);
  const title = o.process.args;
  const options = { node: process.execPath, dist: nativeDir, joinFd: connection, title, ...groups };
  const r = becomeLauncher(options);
  throw new UserError(`cannot start ${join(nativeDir, 'launcher')}: errno ${-r}`);
}

function startStub(states: StateDir, state: ContainerState, o: ExecOptions, connection: number): void {
  const slave =
    o.consoleSocket === undefined ? -1 : openConsole(o.consoleSocket, o.process.consoleSize ?? null);
  const stdio: [number, number, number] = slave < 0 ? [0, 1, 2] : [slave, slave, slave];
  const inherited = new Inherited();
  const joinFd = inherited.add(connection);
  const options = {
    node: process.execPath,
    dist: nativeDir,
    joinFd,
    terminal: slave >= 0,
    title: o.process.args,
    identity: identityOf(o.process),
    ...execGroups(state, (own) => inherited.add(own)),
    ...namespacesOf(state.stub.pid, (own) => inherited.add(own)),
  };
  const stub = Stub.spawn(options, stdio, inherited, true);
  try {
    stub.go();
    stub.born();
    stub.wait(MSG_PLACED);
    stub.hooked();
    stub.wait(MSG_READY);
    requestExec(connection, o, stdio);
    remember(states, state.id, stub.process);
    stub.setOomScore(o.process.oomScoreAdj);
    if (o.pidfdSocket !== undefined) sendPidfd(o.pidfdSocket, stub.process.pid);
    if (o.pidFile !== undefined) writeAtomically(o.pidFile, String(stub.process.pid), 0o644);
    stub.commit();
  } catch (e) {
    stub.abort();
    throw e;
  } finally {
    close(connection);
    if (slave >= 0) close(slave);
  }
}

/** The stub counts as the container's, as every process of it. If its groups are just being removed, so is the container. */
function execGroups(state: ContainerState, fd: (own: number) => number): Partial<LauncherOptions> {
  if (state.cgroup === null) return {};
  try {
    return groupOptions(openCgroup(state.cgroup), 'container', fd);
  } catch {
    return {};
  }
}

function requestExec(connection: number, o: ExecOptions, stdio: readonly number[]): void {
  const preserved = Array.from({ length: o.preserveFds }, (_, i) => 3 + i);
  try {
    requestOn(connection, 'exec', o.id, { process: o.process, groups: o.groups }, [...stdio, ...preserved]);
  } catch (e) {
    throw e instanceof UserError ? new UserError(`unable to start container process: ${e.message}`) : e;
  }
}

/** For `ps`, and for `delete`. */
function remember(states: StateDir, id: string, stub: HostProcess): void {
  states.withLock(id, (c) => c.save({ ...c.state, execs: [...c.state.execs.filter(isAlive), stub] }));
}
