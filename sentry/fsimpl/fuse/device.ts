/** /dev/fuse: where a server reads requests and writes answers (fs/fuse/dev.c; fuse(4)). */
import { EAGAIN, EFAULT, EINVAL, EIO, ENODEV, ENOTTY, EPERM } from '../../abi/errno.ts';
import { FUSE_MINOR, MISC_MAJOR } from '../../abi/device.ts';
import type { Task } from '../../kernel/task.ts';
import { EPOLLERR, EPOLLIN, EPOLLOUT, EPOLLRDNORM, EPOLLWRNORM, WaitEntry } from '../../waiter/wait-queue.ts';
import { scratch } from '../../usermem/user-memory.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import { registerCharDevice } from '../../vfs/device.ts';
import { FileDescription } from '../../vfs/file-description.ts';
import type { Connection } from './connection.ts';
import { OUT_HEADER } from './protocol.ts';

const FUSE_DEV_IOC_CLONE = 0x8004e500;

export class FuseDevice extends FileDescription {
  /** null until a mount names this file, or a clone of it. */
  connection: Connection | null = null;
  private readonly woken = new WaitEntry((events) => this.waiters.wake(events));

  connect(c: Connection): void {
    this.connection = c;
    c.attach();
    c.waiters.add(this.woken, EPOLLIN | EPOLLRDNORM);
    if (c.readable) this.waiters.wake(EPOLLIN | EPOLLRDNORM);
  }

  /** A request and an answer are one read and one write each. */
  override get messages(): boolean {
    return true;
  }

  override get fasync(): boolean {
    return true;
  }

  override read(_t: CallContext, buf: Uint8Array, off: number, len: number): number {
    const c = this.connection;
    if (c === null) return -EPERM;
    if (len < c.readMin) return -EINVAL;
    if (!c.connected) return -ENODEV;
    const r = c.next();
    if (r === null) return -EAGAIN;
    if (r.length > len) return -EIO;
    buf.set(r.encode(), off);
    return r.length;
  }

  override write(_t: CallContext, buf: Uint8Array, off: number, len: number): number {
    const c = this.connection;
    if (c === null) return -EPERM;
    return c.receive(Buffer.from(buf.buffer, buf.byteOffset + off, len));
  }

  /**
   * libfuse corrects a header's length after vmsplice(2), which Linux takes by reference and we do not: what has come is the
   * message, if it is shorter than it says.
   */
  override writeSpliced(t: CallContext, buf: Uint8Array, off: number, len: number): number {
    const message = Buffer.from(buf.buffer, buf.byteOffset + off, len);
    if (len >= OUT_HEADER && message.readUInt32LE(0) > len) message.writeUInt32LE(len, 0);
    return this.write(t, buf, off, len);
  }

  override poll(): number {
    const c = this.connection;
    if (c === null || !c.connected) return EPOLLERR;
    return EPOLLOUT | EPOLLWRNORM | (c.readable ? EPOLLIN | EPOLLRDNORM : 0);
  }

  /** FUSE_DEV_IOC_CLONE: this file serves the same connection as another one. */
  override ioctl(t: CallContext, cmd: number, arg: number): number {
    if (cmd !== FUSE_DEV_IOC_CLONE) return -ENOTTY;
    if (t.mem.readU32(arg) !== 0) return -EFAULT;
    const from = (t as Task).fdTable.get(scratch.i32[0]!);
    if (!(from instanceof FuseDevice) || from.connection === null || this.connection !== null) return -EINVAL;
    this.connect(from.connection);
    return 0;
  }

  protected override release(): void {
    this.woken.remove();
    this.connection?.detach();
  }
}

export function registerFuseDevice(): void {
  registerCharDevice(MISC_MAJOR, FUSE_MINOR, (_t, path, inode, flags) => new FuseDevice(path, inode, flags));
}
