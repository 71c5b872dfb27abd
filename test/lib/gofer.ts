/** A real gofer process over host directories, started as the launcher would, but in the test's own root. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RemoteGofer } from '../../gofer/client/client.ts';
import { SocketChannel } from '../../gofer/client/channel.ts';
import { ControlChannel } from '../../platform-ptrace/confine/control-channel.ts';
import { MSG_GO, MSG_READY } from '../../platform-ptrace/confine/launcher-protocol.ts';
import { HostBuffer } from '../../sentry/host/memory.ffi.ts';
import { hostSyscall } from '../../sentry/host/sys.ffi.ts';

const SYS_socketpair = 53;
const AF_UNIX = 1;
const SOCK_SEQPACKET = 5;
const SOCK_CLOEXEC = 0o2000000;

const pair = new HostBuffer(8);

/** Two connected SOCK_SEQPACKET sockets. */
function socketPair(): [number, number] {
  const r = hostSyscall(SYS_socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.addr, 0, 0);
  if (r < 0) throw new Error(`socketpair: errno ${-r}`);
  return [pair.i32[0], pair.i32[1]];
}

export interface GoferProcess {
  readonly child: ChildProcess;
  /** The sentry's end of the connection, if no client was made on it. */
  readonly socket: number;
  readonly client: RemoteGofer;
  /** Why the client gave the gofer up. */
  readonly lost: string[];
  stderr: string;
  /** Exit code or a signal's name. */
  readonly ended: Promise<number | string>;
  stop(): Promise<void>;
}

export interface TestMount {
  readonly path: string;
  readonly readOnly?: boolean;
  readonly crossMounts?: boolean;
}

export function startGofer(mounts: readonly TestMount[], timeoutS = 10): GoferProcess {
  const dir = mkdtempSync(join(tmpdir(), 'gofer-test-'));
  writeFileSync(join(dir, 'config'), JSON.stringify({ exports: mounts }));
  const config = openSync(join(dir, 'config'), 'r');
  rmSync(dir, { recursive: true });
  // Stands for the directory of the program's files.
  const dist = openSync('/dev/null', 'r');
  const [control, childControl] = socketPair();
  const [socket, childSocket] = socketPair();
  const program = join(import.meta.dirname, '../../dist/gofer.cjs');
  const child = spawn(process.execPath, [program], {
    stdio: ['ignore', 'ignore', 'pipe', childControl, childSocket, config, dist],
  });
  for (const fd of [config, dist, childControl, childSocket]) closeSync(fd);
  const launcher = new ControlChannel(control);
  if (launcher.receive(true) !== MSG_READY) throw new Error('the gofer did not start');
  launcher.send(MSG_GO, 0);
  const lost: string[] = [];
  let stopped = false;
  const gofer: GoferProcess = {
    child,
    socket,
    lost,
    client: new RemoteGofer(new SocketChannel(socket, timeoutS), (why) => lost.push(why)),
    stderr: '',
    ended: new Promise((resolve) => child.on('close', (code, signal) => resolve(signal ?? code ?? -1))),
    async stop() {
      gofer.client.close();
      if (!stopped) closeSync(control);
      stopped = true;
      await gofer.ended;
    },
  };
  child.stderr!.on('data', (data: Buffer) => (gofer.stderr += data.toString('latin1')));
  return gofer;
}
