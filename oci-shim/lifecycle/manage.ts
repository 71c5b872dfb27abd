/** What is done with a container that exists: start, kill, pause, resume, delete. Errors are runc's words, which engines know. */
import { SIGKILL } from '../../sentry/abi/signal.ts';
import { openCgroup, type CgroupHandle } from '../cgroup/cgroup.ts';
import { noResources } from '../cgroup/resources.ts';
import { makeGroups } from '../cgroup/sandbox-groups.ts';
import { controlCall, SandboxGone } from '../control/client.ts';
import { runHooks, runPoststopHooks } from '../hooks/run-hooks.ts';
import { runStartContainerHooks } from '../hooks/start-container.ts';
import { ociState, statusOf, type ContainerState } from '../state/container-state.ts';
import { isAlive } from '../state/host-process.ts';
import { sleepMs } from '../state/lock.ts';
import { isLeftover, NoSuchContainer, type LockedContainer, type StateDir } from '../state/state-dir.ts';
import { UserError } from '../user-error.ts';
import { toProcessConfig } from './exec.ts';
import { warn } from './log.ts';
import { NotifySocket } from './notify-socket.ts';

/** Whoever does not end within this time after SIGKILL is stuck in the host's kernel. */
const END_MS = 20_000;
/** Seconds that the sentry gets to answer before its stub is killed instead. */
const KILL_ANSWER_S = 5;

/** For a service manager it waits until the container's programs say that they are ready. */
export function startAndNotify(states: StateDir, id: string): void {
  const notify = NotifySocket.open(states.pathOf(id));
  startContainer(states, id);
  const { stub } = states.load(id);
  notify?.wait(stub.pid, () => !isAlive(stub));
}

export function startContainer(states: StateDir, id: string): void {
  states.withLock(id, (c) => {
    const status = statusOf(c.state);
    if (status === 'stopped') throw new UserError('cannot start a container that has stopped');
    if (status === 'paused') throw new UserError('cannot start a container in the paused state');
    if (status !== 'created') throw new UserError('cannot start an already running container');
    const { hooks, bundle } = c.state;
    if (hooks !== null && hooks.startContainer.length > 0) {
      const base = toProcessConfig(c.state.process);
      const { pid } = controlCall(states, c.state, 'pid');
      const inside = { ...ociState(c.state, 'created'), pid: Number(pid) };
      try {
        runStartContainerHooks(states, c.state, hooks.startContainer, inside, base);
      } catch (e) {
        killStub(c.state); // "stop the container": what is left of it is for `delete`
        throw e;
      }
    }
    controlCall(states, c.state, 'start');
    c.save({ ...c.state, phase: 'running' });
    if (hooks === null || hooks.poststart.length === 0) return;
    awaitProgram(states, c.state);
    runHooks('poststart', hooks.poststart, ociState(c.state, 'running'), { bundle });
  });
}

/** "The poststart hooks MUST be called after the user-specified process is executed": when it has done what it does first. */
function awaitProgram(states: StateDir, state: ContainerState): void {
  try {
    controlCall(states, state, 'settled');
  } catch (e) {
    if (!(e instanceof UserError)) throw e; // it has ended already
  }
}

export function killContainer(states: StateDir, id: string, signal: number, all: boolean): void {
  const state = states.load(id);
  if (statusOf(state) === 'stopped') {
    if (all) return; // nobody is left, as asked for
    throw new UserError('container not running');
  }
  // A stub that is frozen could not end.
  if (signal === SIGKILL) thawStub(state);
  try {
    controlCall(states, state, 'kill', { signal, all }, KILL_ANSWER_S);
  } catch (e) {
    if (e instanceof SandboxGone && !all) throw e;
    if (signal === SIGKILL) killStub(state);
    else if (!(e instanceof SandboxGone)) throw e;
  }
}

export function pauseContainer(states: StateDir, id: string): void {
  states.withLock(id, (c) => {
    const status = statusOf(c.state);
    if (status !== 'running' && status !== 'created') {
      throw new UserError('container not running');
    }
    controlCall(states, c.state, 'pause');
    c.save({ ...c.state, paused: true });
    freezeStub(c.state);
  });
}

export function resumeContainer(states: StateDir, id: string): void {
  states.withLock(id, (c) => {
    if (statusOf(c.state) !== 'paused') throw new UserError('container not paused');
    thawStub(c.state);
    controlCall(states, c.state, 'resume');
    c.save({ ...c.state, paused: false });
  });
}

/** What the host's freezer shows is for people and engines; the guests stand still without. */
function freezeStub({ cgroup }: ContainerState): void {
  if (cgroup === null) return;
  try {
    openCgroup(cgroup).freezeStub();
  } catch (e) {
    warn((e as Error).message);
  }
}

function thawStub({ cgroup }: ContainerState): void {
  if (cgroup !== null) openCgroup(cgroup).thaw();
}

/** Frees everything that belongs to the container. `force`: whatever its state, and no error if it does not exist. */
export function deleteContainer(states: StateDir, id: string, force: boolean): void {
  let c: LockedContainer;
  try {
    c = states.lock(id);
  } catch (e) {
    if (!force || !(e instanceof NoSuchContainer)) throw e;
    states.removeEmpty(id);
    return;
  }
  try {
    const status = statusOf(c.state);
    if (!force && !isLeftover(c.state) && status !== 'stopped' && status !== 'created') {
      throw new UserError(`cannot delete container ${id} that is not stopped: ${status}`);
    }
    thawStub(c.state);
    killStub(c.state);
    for (const exec of c.state.execs) if (isAlive(exec)) kill(exec.pid);
    groupsOf(c.state)?.remove();
    c.remove();
    runPoststopHooks(c.state);
  } finally {
    c.release();
  }
}

/** Those of a create that was killed may be there without having been noted: making them again finds them. */
function groupsOf({ id, cgroup, cgroupsPath, systemdCgroup, phase }: ContainerState): CgroupHandle | null {
  if (cgroup !== null) return openCgroup(cgroup);
  if (phase !== 'creating') return null;
  return makeGroups({ id, cgroupsPath, systemd: systemdCgroup, resources: noResources() }, () => {});
}

/** Kills the stub, and with it everything of the container; waits for its end. */
function killStub({ stub }: ContainerState): void {
  for (let waited = 0; isAlive(stub); waited += 2) {
    if (waited === 0) kill(stub.pid);
    if (waited > END_MS) throw new UserError(`process ${stub.pid} does not end`);
    sleepMs(2);
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It was faster.
  }
}
