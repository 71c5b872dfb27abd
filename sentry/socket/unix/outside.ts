/**
 * Connections to sockets of the host that are files of the container's trees (`--host-uds=open`): the gofer connects and donates
 * the descriptor. Data only: no descriptors are passed, nobody outside is told who asks.
 */
import { EAGAIN, ENOBUFS } from '../../abi/errno.ts';
import { close } from '../../host/sys.ffi.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import { EPOLL_ALL, WaitEntry, type WaitQueue } from '../../waiter/wait-queue.ts';
import { findSocketNode, type UnixName } from './address.ts';
import { DonatedSocket } from './donated-socket.ts';

/** What SO_PEERCRED says of whoever is outside: the overflow ids. */
export const OUTSIDE_CREDS = { pid: 0, uid: 65534, gid: 65534, groups: [] };

export class Outside {
  readonly name: UnixName;
  readonly socket: DonatedSocket;
  private readonly onHost: WaitEntry;

  private constructor(name: UnixName, socket: DonatedSocket, waiters: WaitQueue) {
    this.name = name;
    this.socket = socket;
    this.onHost = new WaitEntry((events) => waiters.wake(events));
    socket.waiters.add(this.onHost, EPOLL_ALL);
  }

  /** Connects to the socket that `name` is, for a socket of the sandbox with these waiters; −errno. */
  static connect(t: CallContext, name: UnixName, type: number, waiters: WaitQueue): Outside | number {
    const inode = findSocketNode(t, name.name);
    if (typeof inode === 'number') return inode;
    const hostFd = inode.connectOutside(type);
    if (hostFd < 0) return hostFd;
    const socket = DonatedSocket.open(t, hostFd, false);
    if (typeof socket !== 'number') return new Outside(name, socket, waiters);
    close(hostFd);
    return socket;
  }

  /** A message of a socket that is not connected: it would wait for room in vain. */
  sendOnce(t: CallContext, buf: Uint8Array, off: number, len: number, flags: number): number {
    const r = this.socket.send(t, buf, off, len, flags, null);
    this.leave();
    return r === -EAGAIN ? -ENOBUFS : r;
  }

  leave(): void {
    this.onHost.remove();
    this.socket.unref();
  }
}
