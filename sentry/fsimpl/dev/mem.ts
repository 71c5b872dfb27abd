/** Memory devices: null, zero, full, random, urandom (drivers/char/mem.c, drivers/char/random.c; null(4), random(4)). */
import { EFAULT, EINVAL, ENOSPC, EPERM } from '../../abi/errno.ts';
import { MEM_MAJOR } from '../../abi/device.ts';
import { CAP_SYS_ADMIN } from '../../auth/capability.ts';
import { fillRandom } from '../../lib/random.ts';
import { EPOLLIN, EPOLLOUT, EPOLLRDNORM, EPOLLWRNORM } from '../../waiter/wait-queue.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { Path } from '../../vfs/dentry.ts';
import { registerCharDevice } from '../../vfs/device.ts';
import {
  FileDescription,
  RWF_HIPRI,
  RWF_WAITING,
  type MapSource,
  type TornRead,
} from '../../vfs/file-description.ts';
import type { Inode } from '../../vfs/inode.ts';

/** null_lseek: any seek succeeds and stays at 0. */
abstract class MemDevice extends FileDescription {
  override get pollable(): boolean {
    return false;
  }

  override get seekable(): boolean {
    return true;
  }

  override seek(): number {
    this.pos = 0;
    return 0;
  }

  override fsync(): number {
    return -EINVAL;
  }

  override get movesOffset(): boolean {
    return false;
  }

  override get ignoresData(): boolean {
    return true;
  }

  override write(_t: CallContext, _buf: Uint8Array, _off: number, len: number): number {
    return len;
  }
}

class NullDevice extends MemDevice {
  /** There is never anything to deliver. */
  override get tornRead(): TornRead {
    return 'lost';
  }

  override read(): number {
    return 0;
  }

  override canSplice(write: boolean): boolean {
    return write;
  }
}

class ZeroDevice extends MemDevice {
  override read(_t: CallContext, buf: Uint8Array, off: number, len: number): number {
    buf.fill(0, off, off + len);
    return len;
  }

  override mapSource(): MapSource | number {
    return { hostFd: -1, hostOffset: 0, privateOnly: false };
  }
}

class FullDevice extends MemDevice {
  override read(_t: CallContext, buf: Uint8Array, off: number, len: number): number {
    buf.fill(0, off, off + len);
    return len;
  }

  override rwFlags(write: boolean): number {
    return write ? RWF_HIPRI : RWF_WAITING;
  }

  override canSplice(write: boolean): boolean {
    return !write;
  }

  override write(): number {
    return -ENOSPC;
  }
}

// ioctls of random(4), include/uapi/linux/random.h
const RNDGETENTCNT = 0x80045200;
const RNDADDTOENTCNT = 0x40045201;
const RNDADDENTROPY = 0x40085203;
const RNDZAPENTCNT = 0x5204;
const RNDCLEARPOOL = 0x5206;
const RNDRESEEDCRNG = 0x5207;
/** POOL_READY_BITS: the pool is always full. */
const ENTROPY_BITS = 256;

class RandomDevice extends FileDescription {
  private readonly canPoll: boolean;

  constructor(path: Path, inode: Inode, flags: number, canPoll: boolean) {
    super(path, inode, flags);
    this.canPoll = canPoll;
  }

  override get pollable(): boolean {
    return this.canPoll;
  }

  override get seekable(): boolean {
    return true;
  }

  override get movesOffset(): boolean {
    return false;
  }

  /** noop_llseek */
  override seek(): number {
    return this.pos;
  }

  override get fasync(): boolean {
    return true;
  }

  override read(_t: CallContext, buf: Uint8Array, off: number, len: number): number {
    fillRandom(buf, off, len);
    return len;
  }

  /** "Writing to /dev/random or /dev/urandom will update the entropy pool" - random(4): the host's is not ours to touch. */
  override write(_t: CallContext, _buf: Uint8Array, _off: number, len: number): number {
    return len;
  }

  override poll(): number {
    return EPOLLIN | EPOLLRDNORM | EPOLLOUT | EPOLLWRNORM;
  }

  override ioctl(t: CallContext, cmd: number, arg: number): number {
    switch (cmd) {
      case RNDGETENTCNT:
        return t.mem.writeU32(arg, ENTROPY_BITS);
      case RNDADDTOENTCNT:
      case RNDADDENTROPY:
        if (!t.creds.has(CAP_SYS_ADMIN)) return -EPERM;
        return t.mem.readU32(arg) !== 0 ? -EFAULT : 0;
      case RNDZAPENTCNT:
      case RNDCLEARPOOL:
      case RNDRESEEDCRNG:
        return t.creds.has(CAP_SYS_ADMIN) ? 0 : -EPERM;
      default:
        return -EINVAL;
    }
  }
}

export function registerMemDevices(): void {
  registerCharDevice(MEM_MAJOR, 3, (_t, path, inode, flags) => new NullDevice(path, inode, flags));
  registerCharDevice(MEM_MAJOR, 5, (_t, path, inode, flags) => new ZeroDevice(path, inode, flags));
  registerCharDevice(MEM_MAJOR, 7, (_t, path, inode, flags) => new FullDevice(path, inode, flags));
  registerCharDevice(MEM_MAJOR, 8, (_t, path, inode, flags) => new RandomDevice(path, inode, flags, true));
  registerCharDevice(MEM_MAJOR, 9, (_t, path, inode, flags) => new RandomDevice(path, inode, flags, false));
}
