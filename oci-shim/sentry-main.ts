/**
 * The sentry process: reads its configuration, loads everything, waits for the launcher to take the host's file system
 * away, confines itself, boots the kernel and runs its loop until the container has ended.
 */
import { readFileSync, writeSync } from 'node:fs';
import { getHeapStatistics } from 'node:v8';
import { CLOSED, ControlChannel, NOTHING } from '../platform-ptrace/confine/control-channel.ts';
import { lowerHelperThreads } from '../platform-ptrace/confine/helper-threads.ts';
import { sentryLock } from '../platform-ptrace/confine/lockdown.ts';
import {
  EXIT_SANDBOX_GONE,
  MSG_CREATED,
  MSG_EXIT,
  MSG_FAILED,
  MSG_SIGNAL,
  MSG_STOPPED,
  SENTRY_CONFIG_FD,
  SENTRY_CONTROL_FD,
  SENTRY_EXTRA_FD,
  SENTRY_GOFER_FD,
  SENTRY_NETWORKS_FD,
  SENTRY_RAW_FD,
  SENTRY_STDIO_FD,
} from '../platform-ptrace/confine/launcher-protocol.ts';
import { PtracePlatform } from '../platform-ptrace/ptrace/platform.ts';
import { SystrapPlatform } from '../platform-ptrace/systrap/systrap.ts';
import { parseZygote } from '../platform-ptrace/zygote.ts';
import { SocketChannel } from '../gofer/client/channel.ts';
import { RemoteGofer } from '../gofer/client/client.ts';
import { reserveDescriptors } from '../sentry/host/descriptors.ffi.ts';
import { HOST_EPOLLIN, hostPoller } from '../sentry/host/poller.ffi.ts';
import { runProgram } from '../sentry/host/program.ts';
import { exitNow } from '../sentry/host/spawn.ffi.ts';
import { close } from '../sentry/host/sys.ffi.ts';
import { registerSocketFamilies } from '../sentry/socket/register.ts';
import { HeapGuard } from '../sentry/kernel/heap-guard.ts';
import type { Kernel } from '../sentry/kernel/kernel.ts';
import type { Platform } from '../sentry/platform/platform.ts';
import { SyscallReport } from '../sentry/strace/syscall-report.ts';
import { copyPlan } from '../syscalls/copy-plan.ts';
import { setUpPatching } from './boot/patching.ts';
import { signalFromTerminal } from './boot/stdio.ts';
import { BootError } from './boot/error.ts';
import { bootKernel, createContainer, ownNamespaces, type ContainerEnv } from './boot/boot.ts';
import { hostFacts, takeProtections } from './boot/host-facts.ts';
import { serveControl } from './control/server.ts';
import type { SandboxContainer } from './sandbox/container.ts';
import { openFigures } from './sandbox/group-figures.ts';
import { observe, writeReport } from './sandbox/observers.ts';
import { Requests } from './sandbox/requests.ts';
import type { SandboxConfig } from './sandbox-config.ts';

/** The kernel's loop returns to Node's now and then, for what V8 posts to it. */
const NODE_TURN_NS = 100e6;
/** Turns of the kernel's loop between two looks at the clock, which cost a tenth of a short system call. */
const CLOCK_TURNS = 16;
/** Three times --max-semi-space-size: part of the limit that V8 tells, but nothing lasting goes there. */
const YOUNG_GENERATION = 3 * 16 * 1024 * 1024;
const STDERR = 2;

/**
 * Standard error is the container's, and whatever the engine made of it: closed by its reader, full, /dev/null opened for reading
 * (containerd's shim). The sandbox does not depend on it.
 */
function writeLine(line: string): void {
  try {
    writeSync(STDERR, `${line}\n`);
  } catch {
    // Nobody listens.
  }
}

const say = (line: string): void => writeLine(`runsc-ts: ${line}`);

/** Wait status of an exit. */
const exitStatus = (code: number): number => code << 8;

/** The end of the sandbox: told by whoever notices first, looked at between two turns of the kernel. */
class Fate {
  /** Wait status of the sandbox, once it has ended. */
  status: number | null = null;
  /** What the user is to know of it. */
  why = '';

  readonly end = (status: number, why = ''): void => {
    if (this.status !== null) return;
    this.status = status;
    this.why = why;
  };
}

function main(): void {
  const config = JSON.parse(readFileSync(SENTRY_CONFIG_FD, 'utf8')) as SandboxConfig;
  close(SENTRY_CONFIG_FD);
  const control = new ControlChannel(SENTRY_CONTROL_FD);
  const platform = makePlatform(config.platform);
  const host = hostFacts(config);
  takeProtections();
  setUpPatching(platform, config.patching);
  const fate = new Fate();
  const gofer = new RemoteGofer(new SocketChannel(SENTRY_GOFER_FD), (why) => {
    fate.end(exitStatus(EXIT_SANDBOX_GONE), `the file server is gone (${why}): the sandbox ends`);
  });
  if (gofer.hello() < 0) throw new Error('the gofer does not answer');
  let kernel!: Kernel;
  let lock!: () => void;
  const pivoted = control.waitForPivot(() => {
    lock = sentryLock(config.platform, config.debugLog);
    kernel = bootKernel({ config, platform, host, log: say });
  });
  if (!pivoted) return;
  registerSocketFamilies(config.rawSockets === true ? SENTRY_RAW_FD : -1, SENTRY_NETWORKS_FD);
  lowerHelperThreads();
  reserveDescriptors();
  lock();

  const report = config.report === null ? null : new SyscallReport();
  platform.start(kernel);
  observe(kernel, config.strace, report, writeLine);
  startContainer({ config, kernel, gofer, control, fate });
  hostPoller().add(gofer.pollFd, 0, () => gofer.checkAlive());
  runKernel(kernel, fate, (status) => {
    if (fate.why !== '') say(fate.why);
    if (config.debugLog) reportUnimplemented(kernel);
    if (report !== null && config.report !== null) writeReport(report, config.report);
    // The launcher ends everything at once; guests' processes are in the sandbox's PID namespace, and children of this one.
    control.send(MSG_EXIT, status);
    exitNow(0);
  });
}

interface Sandbox {
  readonly config: SandboxConfig;
  readonly kernel: Kernel;
  readonly gofer: RemoteGofer;
  readonly control: ControlChannel;
  readonly fate: Fate;
}

/** Makes the first container and connects it with the launcher; one that is managed waits for its start. */
function startContainer(sandbox: Sandbox): void {
  const { config, kernel, control, fate } = sandbox;
  let root: SandboxContainer | null = null;
  createContainer(kernel, containerEnv(sandbox), (c) => {
    if (c instanceof Error) {
      fate.end(exitStatus(tellFailure(config, control, c)));
      return;
    }
    root = c;
    // Behind the control socket, if there is one.
    const figures = config.figures ?? [];
    const firstFd = SENTRY_EXTRA_FD + (config.managed ? 1 : 0);
    kernel.figures = c.box.figures = openFigures(
      figures,
      figures.map((_, i) => firstFd + i),
    );
    c.endListeners.push(fate.end);
    if (!config.managed) {
      c.init.start();
      return;
    }
    const requests = new Requests(kernel);
    requests.add(c);
    serveControl(SENTRY_EXTRA_FD, requests.handle);
    control.send(MSG_CREATED, 0);
  });
  kernel.onInitStop = (stopped) => {
    if (stopped && !config.managed) control.send(MSG_STOPPED, kernel.pidNs.reaper?.stopSignal ?? 0);
  };
  hostPoller().add(control.fd, HOST_EPOLLIN, () => {
    const type = control.receive();
    if (type === MSG_SIGNAL) {
      if (root !== null && !signalFromTerminal(root.init.terminal?.tty ?? null, control.value)) {
        root.signal(control.value);
      }
    } else if (type === CLOSED) fate.end(exitStatus(EXIT_SANDBOX_GONE));
    else if (type !== NOTHING) say(`unknown message ${type} from the launcher`);
  });
}

function containerEnv({ config, kernel, gofer }: Sandbox): ContainerEnv {
  const firstPreserved = SENTRY_EXTRA_FD + 1 + (config.figures?.length ?? 0);
  return {
    config,
    gofer,
    stdioFds: [
      ...[0, 1, 2].map((i) => SENTRY_STDIO_FD + i),
      ...Array.from({ length: config.preservedFds }, (_, i) => firstPreserved + i),
    ],
    ...ownNamespaces(config, kernel.pidNs),
  };
}

/** Exit code of the sandbox whose container could not be made. */
function tellFailure(config: SandboxConfig, control: ControlChannel, e: Error): number {
  const known = e instanceof BootError;
  const exitCode = known ? e.exitCode : 125;
  if (config.managed) control.sendText(MSG_FAILED, exitCode, e.message);
  else say(known ? e.message : `cannot start the container: ${e.stack ?? String(e)}`);
  return exitCode;
}

/** The kernel's loop, until the sandbox has ended. */
function runKernel(kernel: Kernel, fate: Fate, finish: (status: number) => void): void {
  const wakeFd = hostPoller().epollFd;
  const guard = new HeapGuard(kernel);
  let turns = 0;
  const loop = (): void => {
    const heap = getHeapStatistics();
    guard.note(heap.used_heap_size, heap.heap_size_limit - YOUNG_GENERATION);
    let now = kernel.clock.monotonicNs();
    const until = now + NODE_TURN_NS;
    do {
      if (kernel.turn(-1, wakeFd)) hostPoller().run();
      kernel.runQueue.run();
      if (fate.status !== null) return finish(fate.status);
      if (++turns % CLOCK_TURNS !== 0) continue;
      now = kernel.clock.monotonicNs();
      kernel.load.note(kernel, now);
    } while (now < until);
    setImmediate(loop);
  };
  loop();
}

function makePlatform(name: SandboxConfig['platform']): Platform {
  const zygote = parseZygote(process.env['RUNSC_TS_ZYGOTE']);
  if (zygote === null)
    throw new Error('RUNSC_TS_ZYGOTE is missing: the sentry is started by the launcher only');
  return name === 'ptrace'
    ? new PtracePlatform(zygote)
    : new SystrapPlatform({ zygote, copyPlan: copyPlan() });
}

/** What programs asked for in vain, by name: for whoever wonders why one does not run. */
function reportUnimplemented(kernel: Kernel): void {
  if (kernel.unimplemented.size === 0) return;
  const list = [...kernel.unimplemented].map(([name, n]) => `${name} ×${n}`).join(', ');
  say(`system calls that are not implemented: ${list}`);
}

runProgram(() => {
  try {
    main();
  } catch (e) {
    say(`cannot start the sandbox: ${(e as Error).stack ?? String(e)}`);
    process.exit(125);
  }
});
