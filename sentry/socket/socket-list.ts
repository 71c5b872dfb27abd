/** The sockets that processes have open, with what /proc/net and sock_diag(7) tell of each. Those on their way in messages or waiting to be accepted are not among them. */
import { AF_INET6 } from '../abi/socket.ts';
import type { Kernel } from '../kernel/kernel.ts';
import type { NetNamespace } from '../kernel/namespaces.ts';
import type { Task } from '../kernel/task.ts';
import { Socket } from './socket.ts';

const SOL_SOCKET = 1;
const SO_ACCEPTCONN = 30;
const SO_COOKIE = 57;
const IPPROTO_TCP = 6;
const TCP_INFO = 11;
export const TCP_ESTABLISHED = 1;
export const TCP_CLOSE = 7;

const option = Buffer.alloc(256);
let kernel: Kernel | null = null;

/** Whose sockets are listed. */
export function listSocketsOf(k: Kernel): void {
  kernel = k;
}

/** A socket and a task that has it. */
export interface OpenSocket {
  readonly socket: Socket;
  readonly task: Task;
}

/** Every open socket of a network, a family and a type (0: any) once. */
export function openSockets(ns: NetNamespace | null, domain: number, type: number): OpenSocket[] {
  return [...holders(ns, domain, type)].map(([socket, task]) => ({ socket, task }));
}

/** How many; family 0: of any. */
export function countSockets(ns: NetNamespace | null, domain: number, type: number): number {
  return holders(ns, domain, type).size;
}

function holders(ns: NetNamespace | null, domain: number, type: number): Map<Socket, Task> {
  const found = new Map<Socket, Task>();
  for (const g of kernel?.allGroups() ?? []) {
    for (const t of g.tasks) {
      if (t.dead) continue;
      for (const fd of t.fdTable.fds()) {
        const f = t.fdTable.getRaw(fd);
        if (!(f instanceof Socket) || f.net !== ns) continue;
        if (domain !== 0 && f.domain !== domain) continue;
        if (type === 0 || f.type === type) found.set(f, t);
      }
    }
  }
  return found;
}

export function isListening({ socket, task }: OpenSocket): boolean {
  option.fill(0);
  return socket.getOption(task, SOL_SOCKET, SO_ACCEPTCONN, option, 4) >= 0 && option[0] !== 0;
}

/** TCP_ESTABLISHED, TCP_LISTEN, …; TCP_CLOSE also for a socket that was never bound. */
export function tcpState({ socket, task }: OpenSocket): number {
  option.fill(0);
  return socket.getOption(task, IPPROTO_TCP, TCP_INFO, option, 104) > 0 ? option[0]! : TCP_CLOSE;
}

/** Of a datagram or raw socket. */
export function datagramState({ socket }: OpenSocket): number {
  return typeof socket.getName(true) === 'number' ? TCP_CLOSE : TCP_ESTABLISHED;
}

/** SO_COOKIE: eight bytes. */
export function cookieOf({ socket, task }: OpenSocket): Buffer {
  option.fill(0);
  socket.getOption(task, SOL_SOCKET, SO_COOKIE, option, 8);
  return Buffer.from(option.subarray(0, 8));
}

const NO_COOKIE = 'ffffffffffffffff';

/** sock_diag_check_cookie(): whether the cookie in a request, if there is one, is this socket's. */
export function hasCookie(f: OpenSocket, wanted: Buffer): boolean {
  return wanted.toString('hex') === NO_COOKIE || wanted.equals(cookieOf(f));
}

/** IPV6_V6ONLY */
export function isV6Only({ socket, task }: OpenSocket): boolean {
  option.fill(0);
  return socket.domain === AF_INET6 && socket.getOption(task, 41, 26, option, 4) >= 0 && option[0] !== 0;
}
