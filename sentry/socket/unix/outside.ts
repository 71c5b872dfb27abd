/**
 * Connections to sockets of the host that are files of the container's trees (`--host-uds=open`): the gofer connects and donates
 * the descriptor. Data only: no descriptors are passed, nobody outside is told who asks.
 */
import { EAGAIN, EMSGSIZE, ENOBUFS } from '../../abi/errno.ts';
import * as S from '../../abi/socket.ts';
import { shutdown } from '../../host/net.ffi.ts';
import { close } from '../../host/sys.ffi.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import { EPOLL_ALL, WaitEntry, type WaitQueue } from '../../waiter/wait-queue.ts';
import type { RecvInfo, SendInfo } from '../socket.ts';
import { findSocketNode, type UnixName } from './address.ts';
import { DonatedSocket } from './donated-socket.ts';

/** Longest message that goes over in one piece. */
const MESSAGE_MAX = 65536;

/** What SO_PEERCRED says of whoever is outside: the overflow ids. */
export const OUTSIDE_CREDS = { pid: 0, uid: 65534, gid: 65534, groups: [] };

export class Outside {
  readonly name: UnixName;
  private readonly host: DonatedSocket;
  private readonly hostFd: number;
  private readonly onHost: WaitEntry;

  private constructor(name: UnixName, host: DonatedSocket, hostFd: number, waiters: WaitQueue) {
    this.name = name;
    this.host = host;
    this.hostFd = hostFd;
    this.onHost = new WaitEntry((events) => waiters.wake(events));
    host.waiters.add(this.onHost, EPOLL_ALL);
  }

  /** Connects to the socket that `name` is, for a socket of the sandbox with these waiters; −errno. */
  static connect(t: CallContext, name: UnixName, type: number, waiters: WaitQueue): Outside | number {
    const inode = findSocketNode(t, name.name);
    if (typeof inode === 'number') return inode;
    const hostFd = inode.connectOutside(type);
    if (hostFd < 0) return hostFd;
    const host = DonatedSocket.open(t, hostFd);
    if (typeof host !== 'number') return new Outside(name, host, hostFd, waiters);
    close(hostFd);
    return host;
  }

  poll(): number {
    return this.host.poll();
  }

  send(
    t: CallContext,
    buf: Uint8Array,
    off: number,
    len: number,
    flags: number,
    info: SendInfo | null,
  ): number {
    if (this.host.type !== S.SOCK_STREAM && len > MESSAGE_MAX) return -EMSGSIZE;
    return this.host.send(t, buf, off, len, flags, info);
  }

  /** Of a socket that is not connected: it would wait for room in vain. */
  sendOnce(t: CallContext, buf: Uint8Array, off: number, len: number, flags: number): number {
    const r = this.send(t, buf, off, len, flags, null);
    this.leave();
    return r === -EAGAIN ? -ENOBUFS : r;
  }

  recv(
    t: CallContext,
    buf: Uint8Array,
    off: number,
    len: number,
    flags: number,
    info: RecvInfo | null,
  ): number {
    return this.host.recv(t, buf, off, len, flags, info);
  }

  shutdown(how: number): number {
    return shutdown(this.hostFd, how);
  }

  ioctl(t: CallContext, cmd: number, arg: number): number {
    return this.host.ioctl(t, cmd, arg);
  }

  leave(): void {
    this.onHost.remove();
    this.host.unref();
  }
}
