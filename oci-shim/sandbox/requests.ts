/** What the CLI and the stubs may ask of the sandbox (oci-shim/control/protocol.ts), carried out. */
import { MSG_EXIT, MSG_SIGNAL } from '../../platform-ptrace/confine/launcher-protocol.ts';
import { SocketChannel } from '../../gofer/client/channel.ts';
import { RemoteGofer } from '../../gofer/client/client.ts';
import { SIGKILL, SI_USER } from '../../sentry/abi/signal.ts';
import { hostPoller } from '../../sentry/host/poller.ffi.ts';
import { close } from '../../sentry/host/sys.ffi.ts';
import type { ContainerLimits } from '../../sentry/kernel/container.ts';
import type { Kernel } from '../../sentry/kernel/kernel.ts';
import { PidNamespace } from '../../sentry/kernel/pid-namespace.ts';
import { sigInfoUser } from '../../sentry/kernel/sig-info.ts';
import { sendGroupSignal } from '../../sentry/kernel/signal-send.ts';
import { TASKS_MAX_DEFAULT } from '../../sentry/kernel/tasks-max.ts';
import { BootError } from '../boot/error.ts';
import { createContainer, initialCredentials, ownNamespaces } from '../boot/boot.ts';
import { signalFromTerminal } from '../boot/stdio.ts';
import type { ControlRequest } from '../control/protocol.ts';
import type { Connection, RequestHandler } from '../control/server.ts';
import type { ProcessConfig, SandboxConfig } from '../sandbox-config.ts';
import type { SandboxContainer } from './container.ts';
import { adopter, openFigures } from './group-figures.ts';
import { processList } from './process-list.ts';
import { containerStats } from './stats.ts';

/** Namespaces of other containers of the sandbox that a member joins: kind → container id. */
export type Shares = Partial<Record<'pid' | 'ipc' | 'uts' | 'net', string>>;

export class Requests {
  private readonly kernel: Kernel;
  private readonly containers = new Map<string, SandboxContainer>();

  constructor(kernel: Kernel) {
    this.kernel = kernel;
  }

  add(c: SandboxContainer): void {
    this.containers.set(c.config.id, c);
  }

  readonly handle: RequestHandler = (request, fds, connection) => {
    if (request.op === 'member') {
      this.addMember(request, fds, connection);
      return;
    }
    const c = this.containers.get(request.id);
    if (c === undefined || c.status !== null) {
      for (const fd of fds) close(fd);
      connection.fail('container not running');
      return;
    }
    switch (request.op) {
      case 'start':
        if (c.init.started) {
          connection.fail('cannot start an already running container');
          return;
        }
        c.init.start();
        connection.reply();
        return;
      case 'settled':
        c.whenSettled(() => connection.reply());
        return;
      case 'kill':
        if (request['all'] === true) c.signalAll(Number(request['signal']));
        else c.signal(Number(request['signal']));
        connection.reply();
        return;
      case 'pause':
        c.pause(() => connection.reply());
        return;
      case 'resume':
        connection.reply(); // a signal that it got meanwhile may be its end
        c.resume();
        return;
      case 'exec':
        this.exec(c, request, fds, connection);
        return;
      case 'wait':
        c.endListeners.push((status) => connection.reply({ status }));
        return;
      case 'update':
        this.update(c, request);
        connection.reply();
        return;
      case 'pid':
        connection.reply({ pid: c.init.task.group.pid.nr });
        return;
      case 'processes':
        connection.reply({ processes: processList(c, Number(request['after'])) });
        return;
      case 'stats':
        connection.reply({ stats: containerStats(c) });
        return;
      default:
        connection.fail(`request "${request.op}" is not known`);
    }
  };

  /** The host's groups have got their new limits; this is what the kernel itself enforces and shows. */
  private update(c: SandboxContainer, request: ControlRequest): void {
    const limits = { ...c.box.limits, ...(request['limits'] as Partial<ContainerLimits>) };
    const pidsLimit = Number(request['pidsLimit'] ?? 0);
    c.box.limits = limits;
    if (pidsLimit !== 0) c.box.tasksMax = pidsLimit > 0 ? pidsLimit : TASKS_MAX_DEFAULT;
    if (this.containers.size === 1) {
      this.kernel.memTotal = this.kernel.memoryOf(c.box);
    }
  }

  /** The connection is the process's: signals in, wait status out, and its end is the process's. */
  private exec(c: SandboxContainer, request: ControlRequest, fds: number[], connection: Connection): void {
    const process = request['process'] as ProcessConfig;
    const groups = (request['groups'] ?? []) as string[];
    const creds = initialCredentials(process, c.init.task.creds.userNs);
    const ended = (status: number): void => {
      connection.onMessage = connection.onClose = null;
      connection.send(MSG_EXIT, status);
      connection.close();
    };
    c.exec({ process, creds, stdioFds: fds, groups }, ended, (p) => {
      if (p instanceof Error) {
        failWith(connection, p);
        return;
      }
      const { group } = p.task;
      const signal = (signo: number): void => {
        sendGroupSignal(group, sigInfoUser(signo, SI_USER, 0, 0), true);
      };
      connection.onMessage = (m) => {
        if (m.type !== MSG_SIGNAL) return;
        if (!signalFromTerminal(p.terminal?.tty ?? null, m.value)) signal(m.value);
      };
      connection.onClose = () => signal(SIGKILL);
      connection.reply({ pid: group.tgid });
    });
  }

  /** One more container, with a gofer of its own: the first descriptor is the connection to it. */
  private addMember(request: ControlRequest, fds: number[], connection: Connection): void {
    const config = request['config'] as SandboxConfig;
    const shares = request['shares'] as Shares;
    const figures = config.figures ?? [];
    const [link, ...rest] = fds as [number, ...number[]];
    const figureFds = rest.splice(3, figures.length);
    const procsFds = rest.splice(3, config.groupProcs ?? 0);
    const groupFds = [...figureFds, ...procsFds];
    const stdioFds = rest;
    let container: SandboxContainer | null = null;
    const gofer = new RemoteGofer(new SocketChannel(link), () => container?.signalAll(SIGKILL));
    const forget = (): void => {
      hostPoller().remove(gofer.pollFd);
      gofer.close();
    };
    if (gofer.hello() < 0) {
      for (const fd of [...stdioFds, ...groupFds]) close(fd);
      gofer.close();
      connection.fail('the file server of the container does not answer', 125);
      return;
    }
    hostPoller().add(gofer.pollFd, 0, () => gofer.checkAlive());
    const own = ownNamespaces(config, new PidNamespace(null));
    const of = (kind: keyof Shares) => this.containers.get(shares[kind] ?? '');
    const env = {
      config,
      gofer,
      stdioFds,
      pidNs: of('pid')?.box.pidNs ?? own.pidNs,
      uts: of('uts')?.ns.uts ?? own.uts,
      ipc: of('ipc')?.ns.ipc ?? own.ipc,
      net: of('net')?.ns.net ?? own.net,
    };
    createContainer(this.kernel, env, (c) => {
      if (c instanceof Error) {
        forget();
        for (const fd of groupFds) close(fd);
        failWith(connection, c);
        return;
      }
      container = c;
      c.box.figures = openFigures(figures, figureFds);
      c.box.adopt = adopter(procsFds);
      this.add(c);
      connection.onMessage = (m) => {
        if (m.type !== MSG_SIGNAL) return;
        if (!signalFromTerminal(c.init.terminal?.tty ?? null, m.value)) c.signal(m.value);
      };
      connection.onClose = () => c.signalAll(SIGKILL);
      c.endListeners.push((status) => {
        this.containers.delete(config.id);
        if (env.pidNs === own.pidNs) this.kernel.rootPidNamespaces.delete(own.pidNs);
        connection.onMessage = connection.onClose = null;
        connection.send(MSG_EXIT, status);
        connection.close();
        for (const fd of groupFds) close(fd);
        c.box.figures = c.box.adopt = null;
        forget();
      });
      connection.reply();
    });
  }
}

function failWith(connection: Connection, e: Error): void {
  connection.fail(e.message, e instanceof BootError ? e.exitCode : 125);
}
