/** The CLI's end of the control socket: one connection per request, synchronous. */
import { closeSync, openSync } from 'node:fs';
import { ECONNREFUSED, EINTR, ENOENT, errnoName } from '../../sentry/abi/errno.ts';
import { HostBuffer } from '../../sentry/host/memory.ffi.ts';
import { close, hostSyscall } from '../../sentry/host/sys.ffi.ts';
import type { ContainerState } from '../state/container-state.ts';
import type { StateDir } from '../state/state-dir.ts';
import { UserError } from '../user-error.ts';
import {
  CONTROL_SOCKET,
  CONTROL_VERSION,
  FRAME_HEADER,
  FRAME_MAX,
  FRAME_REPLY,
  FRAME_REQUEST,
  type ControlReply,
} from './protocol.ts';

const SYS_socket = 41;
const SYS_connect = 42;
const SYS_sendto = 44;
const SYS_recvfrom = 45;
const SYS_setsockopt = 54;
const AF_UNIX = 1;
const SOCK_STREAM_CLOEXEC = 1 | 0o2000000;
const MSG_NOSIGNAL = 0x4000;
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const O_PATH = 0o10000000;
const CHUNK = 64 * 1024;

/** The sandbox is gone: its socket is not there, or nobody listens any more. */
export class SandboxGone extends UserError {
  constructor() {
    super('container not running');
  }
}

/** Asks the sandbox of `state` something about this container; `fields` belong to the request. */
export function controlCall(
  states: StateDir,
  state: ContainerState,
  op: string,
  fields: Record<string, unknown> = {},
  timeoutS = 30,
): Record<string, unknown> {
  const fd = connect(states.pathOf(state.sandbox), timeoutS);
  try {
    sendFrame(fd, FRAME_REQUEST, JSON.stringify({ v: CONTROL_VERSION, op, id: state.id, ...fields }));
    const reply = JSON.parse(receiveFrame(fd, FRAME_REPLY)) as ControlReply;
    if (!reply.ok) throw new UserError(reply.error, reply.exitCode);
    return reply;
  } finally {
    close(fd);
  }
}

/** By descriptor of the directory: paths of sockets end at 107 bytes, an engine's state directories do not. */
function connect(dir: string, timeoutS: number): number {
  let dirFd: number;
  try {
    dirFd = openSync(dir, O_PATH);
  } catch {
    throw new SandboxGone();
  }
  try {
    const fd = hostSyscall(SYS_socket, AF_UNIX, SOCK_STREAM_CLOEXEC, 0, 0, 0, 0);
    if (fd < 0) throw new UserError(`socket: ${errnoName(-fd)}`);
    const path = Buffer.from(`\x01\0/proc/self/fd/${dirFd}/${CONTROL_SOCKET}\0`, 'latin1');
    const address = new HostBuffer(path.length);
    address.bytes.set(path);
    const r = hostSyscall(SYS_connect, fd, address.addr, path.length, 0, 0, 0);
    if (r === -ENOENT || r === -ECONNREFUSED) {
      close(fd);
      throw new SandboxGone();
    }
    if (r < 0) throw new UserError(`${dir}/${CONTROL_SOCKET}: ${errnoName(-r)}`);
    const timeout = new HostBuffer(16);
    timeout.view.setBigInt64(0, BigInt(timeoutS), true);
    hostSyscall(SYS_setsockopt, fd, SOL_SOCKET, SO_RCVTIMEO, timeout.addr, 16, 0);
    return fd;
  } finally {
    closeSync(dirFd);
  }
}

export function sendFrame(fd: number, type: number, payload: string): void {
  const body = Buffer.from(payload);
  const frame = new HostBuffer(FRAME_HEADER + body.length);
  frame.u32[0] = body.length;
  frame.u32[1] = type;
  frame.bytes.set(body, FRAME_HEADER);
  for (let at = 0; at < frame.size;) {
    const r = hostSyscall(SYS_sendto, fd, frame.addr + at, frame.size - at, MSG_NOSIGNAL, 0, 0);
    if (r === -EINTR) continue;
    if (r <= 0) throw new SandboxGone();
    at += r;
  }
}

/** Text of the next frame, which has to be of `type`. */
export function receiveFrame(fd: number, type: number): string {
  const header = receiveBytes(fd, FRAME_HEADER);
  const length = header.readUInt32LE(0);
  if (header.readUInt32LE(4) !== type || length > FRAME_MAX) {
    throw new UserError('the sandbox gave an answer that makes no sense');
  }
  return receiveBytes(fd, length).toString('utf8');
}

function receiveBytes(fd: number, n: number): Buffer {
  const all = Buffer.alloc(n);
  const chunk = new HostBuffer(Math.min(CHUNK, Math.max(n, 1)));
  for (let at = 0; at < n;) {
    const r = hostSyscall(SYS_recvfrom, fd, chunk.addr, Math.min(chunk.size, n - at), 0, 0, 0);
    if (r === -EINTR) continue;
    if (r === 0) throw new SandboxGone();
    if (r < 0) throw new UserError(`the sandbox does not answer (${errnoName(-r)})`);
    all.set(chunk.bytes.subarray(0, r), at);
    at += r;
  }
  return all;
}
