/** The CLI's end of the control socket: one connection per request, synchronous. */
import { ECONNREFUSED, ENOENT, errnoName } from '../../sentry/abi/errno.ts';
import { HostBuffer } from '../../sentry/host/memory.ffi.ts';
import { close, memfdCreate, pwrite } from '../../sentry/host/sys.ffi.ts';
import type { ContainerState } from '../state/container-state.ts';
import type { StateDir } from '../state/state-dir.ts';
import { UserError } from '../user-error.ts';
import { CONTROL_VERSION, MSG_REPLY, MSG_REQUEST, type ControlReply } from './protocol.ts';
import { CLOSED, connectIn, NOTHING, receive, send } from './socket.ts';

const MFD_CLOEXEC = 1;

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
  const fd = connectSandbox(states, state, timeoutS);
  try {
    return requestOn(fd, op, state.id, fields);
  } finally {
    close(fd);
  }
}

/** A connection on which a request can be made, and which may then be given to a stub. */
export function connectSandbox(states: StateDir, state: ContainerState, timeoutS = 30): number {
  const dir = states.pathOf(state.sandbox);
  let fd: number;
  try {
    fd = connectIn(dir, timeoutS);
  } catch {
    throw new SandboxGone(); // the directory does not exist
  }
  if (fd === -ENOENT || fd === -ECONNREFUSED) throw new SandboxGone();
  if (fd < 0) throw new UserError(`${dir}: cannot reach the sandbox: ${errnoName(-fd)}`);
  return fd;
}

/** One request with its answer. `fds` go along. */
export function requestOn(
  fd: number,
  op: string,
  id: string,
  fields: Record<string, unknown>,
  fds: readonly number[] = [],
): Record<string, unknown> {
  const text = Buffer.from(JSON.stringify({ v: CONTROL_VERSION, op, id, ...fields }));
  const memfd = jsonMemfd(text);
  try {
    if (send(fd, MSG_REQUEST, text.length, '', [memfd, ...fds]) < 0) throw new SandboxGone();
  } finally {
    close(memfd);
  }
  const m = receive(fd, true);
  if (m === CLOSED) throw new SandboxGone();
  if (m === NOTHING) throw new UserError('the sandbox does not answer');
  if (m.type !== MSG_REPLY) throw new UserError('the sandbox gave an answer that makes no sense');
  const reply = JSON.parse(m.text) as ControlReply;
  if (!reply.ok) throw new UserError(reply.error, reply.exitCode);
  return reply;
}

/** Readable descriptor of memory that holds `text`. */
export function jsonMemfd(text: Buffer): number {
  const memfd = memfdCreate('request', MFD_CLOEXEC);
  if (memfd < 0) throw new UserError(`memfd_create: ${errnoName(-memfd)}`);
  const copy = new HostBuffer(Math.max(text.length, 1));
  copy.bytes.set(text);
  if (pwrite(memfd, copy.addr, text.length, 0) !== text.length) throw new UserError('cannot write a memfd');
  return memfd;
}
