/** A container of the sandbox as the control server sees it: its processes from outside, its life, its freezer. */
import { errnoName } from '../../sentry/abi/errno.ts';
import * as sig from '../../sentry/abi/signal.ts';
import type { Container } from '../../sentry/kernel/container.ts';
import { freeze, isFrozen, thaw } from '../../sentry/kernel/freezer.ts';
import type { Kernel } from '../../sentry/kernel/kernel.ts';
import type { Namespaces } from '../../sentry/kernel/namespaces.ts';
import { sigInfoUser } from '../../sentry/kernel/sig-info.ts';
import { sendGroupSignal } from '../../sentry/kernel/signal-send.ts';
import { exitTask } from '../../sentry/kernel/task-exit.ts';
import type { ThreadGroup } from '../../sentry/kernel/thread-group.ts';
import { Timer } from '../../sentry/time/timer-queue.ts';
import type { Path } from '../../sentry/vfs/dentry.ts';
import { BootError } from '../boot/error.ts';
import { showAsConsole } from '../boot/stdio.ts';
import type { SandboxConfig } from '../sandbox-config.ts';
import { makeProcess, type OutsideProcess, type ProcessEnv } from './process.ts';

const FREEZE_POLL_NS = 1e6;
const SETTLED_NS = 500e6;

/** Of other signals the runtime of Go, which `runc init` is made with, does nothing, as the kernel for a namespace's first process. */
const ENDS_INIT: readonly number[] = [
  sig.SIGHUP, sig.SIGINT, sig.SIGQUIT, sig.SIGILL, sig.SIGTRAP, sig.SIGABRT, sig.SIGBUS, sig.SIGFPE, sig.SIGKILL, sig.SIGSEGV,
  sig.SIGTERM, sig.SIGSTKFLT, sig.SIGSYS,
]; // prettier-ignore

export class SandboxContainer {
  readonly kernel: Kernel;
  readonly config: SandboxConfig;
  readonly box: Container;
  readonly root: Path;
  readonly ns: Namespaces;
  /** Wait status once it has ended. */
  status: number | null = null;
  /** Called when it has ended. */
  readonly endListeners: ((status: number) => void)[] = [];
  private first: OutsideProcess | null = null;
  /** Sent while it was paused, and not yet started: signals that end it when it goes on. */
  private readonly pending: number[] = [];

  constructor(kernel: Kernel, config: SandboxConfig, box: Container, root: Path, ns: Namespaces) {
    this.kernel = kernel;
    this.config = config;
    this.box = box;
    this.root = root;
    this.ns = ns;
  }

  get init(): OutsideProcess {
    return this.first!;
  }

  /** Makes its first process. `shared`: the PID namespace is another container's, which has an init. */
  makeInit(
    env: Pick<ProcessEnv, 'creds' | 'stdioFds'>,
    shared: boolean,
    done: (c: SandboxContainer | Error) => void,
  ): void {
    const init = shared ? null : { unkillable: this.config.initUnkillable };
    const { root, ns, config } = this;
    const { process, linux, sysctl } = config;
    const all = { process, linux, sysctl, root, ns, init, groups: [], ...env };
    makeProcess(this.kernel, this.box, all, (p) => {
      if (p instanceof Error) {
        done(p);
        return;
      }
      const r = p.terminal === null ? 0 : showAsConsole(p.task, p.terminal);
      if (r !== 0) {
        done(new BootError(`cannot show the terminal as /dev/console: ${errnoName(-r)}`, 125));
        return;
      }
      this.first = p;
      this.box.console = p.terminal?.tty ?? null;
      p.task.group.onEnd = (status) => this.ended(p, status);
      done(this);
    });
  }

  private ended(p: OutsideProcess, status: number): void {
    p.terminal?.release();
    this.status = status;
    this.killAll();
    for (const listener of this.endListeners) listener(status);
  }

  /** One more process, which runs at once. `onEnd` gets its wait status. */
  exec(
    own: Pick<ProcessEnv, 'process' | 'creds' | 'stdioFds' | 'groups'>,
    onEnd: (status: number) => void,
    done: (p: OutsideProcess | Error) => void,
  ): void {
    const { root, ns } = this;
    const { linux, sysctl } = this.config;
    const env = { root, ns, linux, sysctl, init: null, ...own };
    makeProcess(this.kernel, this.box, env, (p) => {
      if (!(p instanceof Error)) {
        p.task.group.onEnd = (status) => {
          p.terminal?.release();
          onEnd(status);
        };
      }
      done(p);
      if (!(p instanceof Error)) p.start();
    });
  }

  *groups(): Iterable<ThreadGroup> {
    for (const g of this.kernel.allGroups()) if (g.container === this.box && !g.isZombie) yield g;
  }

  /** To its first process. One that has not been started ends of what would end `runc init`. */
  signal(signo: number): void {
    const p = this.init;
    if (signo === 0 || this.status !== null) return;
    if (p.started) sendGroupSignal(p.task.group, sigInfoUser(signo, sig.SI_USER, 0, 0), true);
    else if (this.box.frozen && signo !== sig.SIGKILL) this.pending.push(signo);
    else if (ENDS_INIT.includes(signo)) exitTask(p.task, signo);
  }

  signalAll(signo: number): void {
    if (signo === 0) return;
    if (!this.init.started) this.signal(signo);
    else for (const g of [...this.groups()]) sendGroupSignal(g, sigInfoUser(signo, sig.SI_USER, 0, 0), true);
  }

  /** In a shared PID namespace nobody else would. */
  private killAll(): void {
    for (const g of [...this.groups()]) sendGroupSignal(g, sigInfoUser(sig.SIGKILL, sig.SI_USER, 0, 0), true);
  }

  /** Calls `done` when the program waits for something, has ended, or has computed for a while: poststart hooks find it at work. */
  whenSettled(done: () => void): void {
    const { leader } = this.init.task.group;
    const deadline = this.kernel.clock.monotonicNs() + SETTLED_NS;
    const look = (): void => {
      const now = this.kernel.clock.monotonicNs();
      if (this.status !== null || leader.sleeping || now >= deadline) done();
      else this.kernel.timers.arm(timer, now + FREEZE_POLL_NS);
    };
    const timer = new Timer(look);
    look();
  }

  /** Calls `done` when no thread is in guest code any more. */
  pause(done: () => void): void {
    freeze(this.kernel, this.box);
    const look = (): void => {
      if (isFrozen(this.kernel, this.box) || !this.box.frozen) done();
      else this.kernel.timers.arm(timer, this.kernel.clock.monotonicNs() + FREEZE_POLL_NS);
    };
    const timer = new Timer(look);
    look();
  }

  resume(): void {
    thaw(this.kernel, this.box);
    for (const signo of this.pending.splice(0)) this.signal(signo);
  }
}
