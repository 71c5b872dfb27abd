/**
 * A socket of the host: one that the container was started with as a standard stream (what an engine, or a program that spawned
 * the sandbox with socketpair(2), gave it), or a connection that the gofer made (outside.ts). Only data go over: no descriptors are
 * passed, no address is shown.
 */
import { EBADF, EINVAL, EMSGSIZE, EOPNOTSUPP, EPIPE } from '../../abi/errno.ts';
import * as S from '../../abi/socket.ts';
import { HostBuffer } from '../../host/memory.ffi.ts';
import * as net from '../../host/net.ffi.ts';
import { HostStream, openHostFd } from '../../fsimpl/hostfd/host-file.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import { EPOLL_ALL, WaitEntry } from '../../waiter/wait-queue.ts';
import { SocketOptions } from '../options.ts';
import { Socket, type RecvInfo, type SendInfo } from '../socket.ts';

const word = new HostBuffer(8);
/** Longest message that goes over in one piece (HostFile.transfer). */
const MESSAGE_MAX = 65536;
/** struct sockaddr of an unnamed AF_UNIX socket: the family alone. */
const UNNAMED = Uint8Array.of(S.AF_UNIX, 0);

function hostOption(hostFd: number, name: number): number {
  word.i32[0] = 0;
  const r = net.getsockopt(hostFd, S.SOL_SOCKET, name, word.bytes, 4);
  return r < 0 ? r : word.i32[0]!;
}

export class DonatedSocket extends Socket {
  private readonly stream: HostStream;
  /** Others outside have it, too: what this container ends is its own use of it. */
  private readonly shared: boolean;
  private readonly options = new SocketOptions();
  private readonly onHost: WaitEntry;
  private noSend = false;
  private noRecv = false;

  private constructor(t: CallContext, type: number, stream: HostStream, shared: boolean) {
    super(t, S.AF_UNIX, type, 0, 0);
    this.stream = stream;
    this.shared = shared;
    this.onHost = new WaitEntry((events) => this.waiters.wake(events));
    stream.waiters.add(this.onHost, EPOLL_ALL);
  }

  /** Takes over `hostFd`; −errno if it is no socket. */
  static open(t: CallContext, hostFd: number, shared = true): DonatedSocket | number {
    const type = hostOption(hostFd, S.SO_TYPE);
    if (type < 0) return type;
    const stream = openHostFd(hostFd);
    if (typeof stream === 'number') return stream;
    return stream instanceof HostStream ? new DonatedSocket(t, type, stream, shared) : -EBADF;
  }

  override poll(): number {
    return this.stream.poll();
  }

  override send(
    t: CallContext,
    buf: Uint8Array,
    off: number,
    len: number,
    flags: number,
    info: SendInfo | null,
  ): number {
    if (info !== null && (info.name !== null || info.fds !== null)) return -EOPNOTSUPP;
    if ((flags & S.MSG_OOB) !== 0) return -EOPNOTSUPP;
    if (this.type !== S.SOCK_STREAM && len > MESSAGE_MAX) return -EMSGSIZE;
    return this.noSend ? -EPIPE : this.stream.write(t, buf, off, len);
  }

  override recv(
    t: CallContext,
    buf: Uint8Array,
    off: number,
    len: number,
    flags: number,
    _info: RecvInfo | null,
  ): number {
    if ((flags & S.MSG_OOB) !== 0) return -EOPNOTSUPP;
    if (this.noRecv) return 0;
    return (flags & S.MSG_PEEK) === 0
      ? this.stream.read(t, buf, off, len)
      : this.stream.peekHost(buf, off, len);
  }

  /** Of a shared one it ends the guest's use; the peer outside sees the end when the sandbox has closed its descriptor. */
  override shutdown(how: number): number {
    if (how < 0 || how > 2) return -EINVAL;
    if (!this.shared) return net.shutdown(this.stream.hostFd, how);
    if (how !== 1) this.noRecv = true;
    if (how !== 0) this.noSend = true;
    this.waiters.wake(EPOLL_ALL);
    return 0;
  }

  override getName(): Uint8Array | number {
    return UNNAMED;
  }

  override getOption(_t: CallContext, level: number, name: number, out: Buffer, len: number): number {
    if (level !== S.SOL_SOCKET) return -EOPNOTSUPP;
    return this.options.get(this, false, name, out, len);
  }

  override setOption(t: CallContext, level: number, name: number, value: Buffer): number {
    if (level !== S.SOL_SOCKET) return -EOPNOTSUPP;
    return this.options.set(t, this, name, value);
  }

  override ioctl(t: CallContext, cmd: number, arg: number): number {
    return this.stream.ioctl(t, cmd, arg);
  }

  protected override release(): void {
    this.onHost.remove();
    this.stream.unref();
    super.release();
  }
}
