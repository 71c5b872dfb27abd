/** A launcher as a stub: a child in a session of its own, and the socket over which the CLI brings it up. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errnoName } from '../../sentry/abi/errno.ts';
import { nativeDir } from '../../sentry/host/koffi.ffi.ts';
import { childEnd, spawn } from '../../sentry/host/spawn.ffi.ts';
import { close } from '../../sentry/host/sys.ffi.ts';
import {
  launcherArgv,
  MSG_COMMIT,
  MSG_FAILED,
  MSG_GO,
  MSG_HOOKED,
  MSG_STUB,
  type LauncherOptions,
} from '../../platform-ptrace/confine/launcher-protocol.ts';
import { CLOSED, NOTHING, pair, receive, send } from '../control/socket.ts';
import type { ProcessConfig } from '../sandbox-config.ts';
import { isAlive, startTimeOf, type HostProcess } from '../state/host-process.ts';
import { sleepMs } from '../state/lock.ts';
import { UserError } from '../user-error.ts';

/** How long a stub may take to end everything below it. */
const END_MS = 15_000;

/** What the host sees of a stub as of its process; `setOomScore` for what a process cannot say of itself. */
export const identityOf = (p: ProcessConfig): NonNullable<LauncherOptions['identity']> => ({
  uid: p.uid,
  gid: p.gid,
  umask: p.umask,
  groups: p.additionalGids,
  cwd: p.cwd,
  rlimits: p.rlimits,
});

/** Descriptors that a stub inherits beside its standard streams, and the numbers they have there. */
export class Inherited {
  readonly fds: number[] = [];

  add(fd: number): number {
    this.fds.push(fd);
    return 2 + this.fds.length;
  }
}

export class Stub {
  private current: HostProcess;
  private readonly socket: number;
  private over = false;
  /** Messages before their time: a stub that is born elsewhere may be placed before its parent tells of the birth. */
  private readonly early = new Map<number, number>();

  private constructor(pid: number, socket: number) {
    this.socket = socket;
    this.current = { pid, startTime: startTimeOf(pid) };
  }

  /**
   * Starts a stub; it waits for `go`. `options` name descriptors by their numbers in `inherited`. `detached`: in a session of
   * its own.
   */
  static spawn(
    options: LauncherOptions,
    stdio: readonly [number, number, number],
    inherited: Inherited,
    detached: boolean,
  ): Stub {
    const sockets = pair();
    if (typeof sockets === 'number') throw new UserError(`socketpair: ${errnoName(-sockets)}`);
    const [own, theirs] = sockets;
    const createFd = inherited.add(theirs);
    // Nothing inside needs the caller's environment, or its directory.
    const launcher = join(nativeDir, 'launcher');
    const pid = spawn(
      launcher,
      launcherArgv({ ...options, createFd }),
      [...stdio, ...inherited.fds],
      detached,
    );
    close(theirs);
    if (pid > 0) return new Stub(pid, own);
    close(own);
    throw new UserError(`cannot start ${launcher}: ${errnoName(-pid)}`);
  }

  /** The process that was started; from `born` on the one that it has made for its place in a PID namespace. */
  get process(): HostProcess {
    return this.current;
  }

  /** It is where it shall be (cgroup), or its ids are mapped. */
  go(): void {
    this.send(MSG_GO);
  }

  /** Waits for the process that is going to be the stub. */
  born(): void {
    const pid = this.wait(MSG_STUB);
    this.current = { pid, startTime: startTimeOf(pid) };
  }

  hooked(): void {
    this.send(MSG_HOOKED);
  }

  /** "If oomScoreAdj is set, the runtime MUST set oom_score_adj to the given value": as far as the caller may. */
  setOomScore(value: number): void {
    try {
      writeFileSync(`/proc/${this.process.pid}/oom_score_adj`, String(value));
    } catch {
      // Less than the runtime's own, or an ordinary user's stub: the sandbox's kernel shows it nevertheless.
    }
  }

  /** From now on it stands on its own. */
  commit(): void {
    this.send(MSG_COMMIT);
    close(this.socket);
  }

  private send(type: number): void {
    send(this.socket, type, 0); // if it is gone, the next wait says so
  }

  /** Waits for a message of the stub and returns its value, or throws what went wrong there. */
  wait(type: number): number {
    const early = this.early.get(type);
    if (early !== undefined) return early;
    for (;;) {
      const m = receive(this.socket, true);
      if (m === CLOSED || m === NOTHING) throw new UserError('the sandbox ended before it was ready');
      if (m.type === MSG_FAILED) throw new UserError(m.text);
      if (m.type === type) return m.value;
      this.early.set(m.type, m.value);
    }
  }

  /** Ends it and everything below it, and waits for that. */
  abort(): void {
    close(this.socket);
    for (let waited = 0; isAlive(this.process); waited += 2) {
      if (waited > END_MS) {
        process.kill(this.process.pid, 'SIGKILL');
        return;
      }
      sleepMs(2);
    }
  }

  /** Its end: exit code, or 128 + signal. */
  async ended(): Promise<number> {
    const code = await childEnd(this.process.pid);
    this.over = true;
    return code;
  }

  kill(signal: NodeJS.Signals): void {
    if (!this.over) process.kill(this.process.pid, signal);
  }
}
