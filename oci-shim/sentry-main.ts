/**
 * The sentry process: reads its configuration, loads everything, waits for the launcher to take the host's file system
 * away, confines itself, boots the kernel and runs its loop until the container has ended.
 */
import { readFileSync, writeSync } from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';
import { CLOSED, ControlChannel, NOTHING } from '../platform-ptrace/confine/control-channel.ts';
import { lockSentry } from '../platform-ptrace/confine/lockdown.ts';
import {
  MSG_EXIT,
  MSG_SIGNAL,
  MSG_STOPPED,
  SENTRY_CONFIG_FD,
  SENTRY_CONTROL_FD,
  SENTRY_GOFER_FD,
  SENTRY_STDIO_FD,
} from '../platform-ptrace/confine/launcher-protocol.ts';
import { PtracePlatform } from '../platform-ptrace/ptrace/platform.ts';
import { SystrapPlatform } from '../platform-ptrace/systrap/systrap.ts';
import { parseZygote } from '../platform-ptrace/zygote.ts';
import { SocketChannel } from '../gofer/client/channel.ts';
import { RemoteGofer } from '../gofer/client/client.ts';
import { HOST_EPOLLIN, hostPoller } from '../sentry/host/poller.ffi.ts';
import { close } from '../sentry/host/sys.ffi.ts';
import { registerSocketFamilies } from '../sentry/socket/register.ts';
import type { Kernel } from '../sentry/kernel/kernel.ts';
import { SI_USER } from '../sentry/abi/signal.ts';
import { sigInfoUser } from '../sentry/kernel/sig-info.ts';
import { sendGroupSignal } from '../sentry/kernel/signal-send.ts';
import type { SysResult } from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import type { Platform } from '../sentry/platform/platform.ts';
import { Strace } from '../sentry/strace/strace.ts';
import { copyPlan } from '../syscalls/copy-plan.ts';
import { signalFromTerminal } from './boot-stdio.ts';
import { boot, BootError } from './boot.ts';
import type { HostFacts } from './boot-parts.ts';
import type { SandboxConfig } from './sandbox-config.ts';

/** The kernel's loop returns to Node's now and then, for what V8 posts to it. */
const NODE_TURN_NS = 100e6;
const STDERR = 2;

function say(line: string): void {
  writeSync(STDERR, `runsc-ts: ${line}\n`);
}

/** Wait status of an exit. */
const exitStatus = (code: number): number => code << 8;

function main(): void {
  const config = JSON.parse(readFileSync(SENTRY_CONFIG_FD, 'utf8')) as SandboxConfig;
  close(SENTRY_CONFIG_FD);
  const control = new ControlChannel(SENTRY_CONTROL_FD);
  const platform = makePlatform(config.platform);
  const host: HostFacts = {
    cpuInfo: readFileSync('/proc/cpuinfo', 'latin1'),
    cpus: Array.from({ length: availableParallelism() }, (_, i) => i),
    memTotal: totalmem(),
  };
  let goferGone = '';
  const gofer = new RemoteGofer(new SocketChannel(SENTRY_GOFER_FD), (why) => {
    goferGone = why;
  });
  if (gofer.hello() < 0) throw new Error('the gofer does not answer');
  if (!control.waitForPivot()) return;
  registerSocketFamilies();
  lockSentry(config.platform);

  let ended: number | null = null;
  const kernel = boot({
    config,
    platform,
    gofer,
    host,
    stdioFds: [0, 1, 2].map((i) => SENTRY_STDIO_FD + i),
    log: say,
    onFailure: (e) => {
      say(e instanceof BootError ? e.message : `cannot start the container: ${e.stack ?? String(e)}`);
      ended = exitStatus(e instanceof BootError ? e.exitCode : 125);
    },
  });
  if (config.strace !== null) installStrace(kernel, config.strace);
  kernel.onInitStop = (stopped) => {
    if (stopped) control.send(MSG_STOPPED, kernel.pidNs.reaper?.stopSignal ?? 0);
  };
  kernel.onExit = (status) => {
    ended = status;
  };
  hostPoller().add(control.fd, HOST_EPOLLIN, () => {
    const type = control.receive();
    if (type === MSG_SIGNAL) signalInit(kernel, control.value);
    else if (type === CLOSED) ended = exitStatus(137);
    else if (type !== NOTHING) say(`unknown message ${type} from the launcher`);
  });
  hostPoller().add(gofer.pollFd, 0, () => gofer.checkAlive());

  const finish = (status: number): void => {
    if (config.debugLog) reportUnimplemented(kernel);
    platform.shutdown();
    control.send(MSG_EXIT, status);
    process.exit(0);
  };
  const wakeFd = hostPoller().epollFd;
  const loop = (): void => {
    const until = kernel.clock.monotonicNs() + NODE_TURN_NS;
    do {
      if (kernel.turn(-1, wakeFd)) hostPoller().run();
      kernel.runReady();
      if (ended !== null) return finish(ended);
      if (goferGone !== '') {
        say(`the file server is gone (${goferGone}): the sandbox ends`);
        return finish(exitStatus(134));
      }
    } while (kernel.clock.monotonicNs() < until);
    setImmediate(loop);
  };
  loop();
}

/** A signal from outside the PID namespace. */
function signalInit(kernel: Kernel, signo: number): void {
  if (signalFromTerminal(signo)) return;
  const init = kernel.pidNs.reaper;
  if (init !== null) sendGroupSignal(init, sigInfoUser(signo, SI_USER, 0, 0), true);
}

function makePlatform(name: SandboxConfig['platform']): Platform {
  const zygote = parseZygote(process.env['RUNSC_TS_ZYGOTE']);
  if (zygote === null)
    throw new Error('RUNSC_TS_ZYGOTE is missing: the sentry is started by the launcher only');
  return name === 'ptrace'
    ? new PtracePlatform(zygote)
    : new SystrapPlatform({ zygote, copyPlan: copyPlan() });
}

function installStrace(kernel: Kernel, calls: string[]): void {
  const strace = new Strace(calls.length === 0 ? null : calls, (line) => writeSync(STDERR, `${line}\n`));
  const open = new WeakMap<Task, string>();
  kernel.trace = {
    enter(t: Task): void {
      const call = strace.enter(t);
      if (call === null) open.delete(t);
      else open.set(t, call);
    },
    exit(t: Task, result: SysResult): void {
      const call = open.get(t);
      // Codes below −4095 are the kernel's own: blocked, restarted, gone.
      if (call !== undefined) strace.exit(call, result < -4095 ? null : result);
    },
  };
}

/** What programs asked for in vain, by name: for whoever wonders why one does not run. */
function reportUnimplemented(kernel: Kernel): void {
  if (kernel.unimplemented.size === 0) return;
  const list = [...kernel.unimplemented].map(([name, n]) => `${name} ×${n}`).join(', ');
  say(`system calls that are not implemented: ${list}`);
}

try {
  main();
} catch (e) {
  say(`cannot start the sandbox: ${(e as Error).stack ?? String(e)}`);
  process.exit(125);
}
