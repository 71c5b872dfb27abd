/** The bytes of a served file in memory that can be mapped: a memfd, filled from the server as far as the file reached then. */
import { EFBIG, EIO, ENOMEM } from '../../abi/errno.ts';
import { madeForGuest } from '../../host/descriptors.ffi.ts';
import { HostBuffer } from '../../host/memory.ffi.ts';
import { close, ftruncate, memfdCreate, pread, pwrite } from '../../host/sys.ffi.ts';
import { PAGE_SIZE } from '../../lib/addr.ts';
import { chargePages } from '../tmpfs/super-block.ts';
import type { Request } from './request.ts';
import { MAX_DATA } from './protocol.ts';

const MFD_CLOEXEC = 1;
const MFD_ALLOW_SEALING = 2;
/** They count as the sandbox's memory; one must not be all of it. */
const MAX_SIZE = 1024 * 1024 * 1024;
const bounce = new HostBuffer(MAX_DATA);

export class FuseContent {
  private readonly size: number;
  private filled = 0;
  private complete = false;
  private users = 1;
  hostFd = -1;

  constructor(size: number) {
    this.size = size;
  }

  private get pages(): number {
    return Math.ceil(this.size / PAGE_SIZE);
  }

  /** Goes on filling: 0 when all is there, or −errno. `read` asks for what lies at a place. */
  fill(read: (pos: number, len: number) => Request | number): number {
    if (this.size > MAX_SIZE) return -EFBIG;
    if (this.hostFd < 0) {
      if (!chargePages(this.pages)) return -ENOMEM;
      const fd = madeForGuest(memfdCreate('fuse', MFD_CLOEXEC | MFD_ALLOW_SEALING));
      if (fd < 0) {
        chargePages(-this.pages);
        return fd;
      }
      this.hostFd = fd;
      if (ftruncate(fd, this.size) < 0) return -ENOMEM;
    }
    while (!this.complete) {
      const r = this.filled < this.size ? read(this.filled, this.size - this.filled) : null;
      if (typeof r === 'number') return r;
      if (r === null || r.reply.length === 0) {
        this.complete = true;
        break;
      }
      bounce.bytes.set(r.reply, 0);
      if (pwrite(this.hostFd, bounce.addr, r.reply.length, this.filled) !== r.reply.length) return -EIO;
      this.filled += r.reply.length;
    }
    return 0;
  }

  read(dst: Uint8Array, off: number, len: number, pos: number): number {
    const n = pread(this.hostFd, bounce.addr, Math.min(len, bounce.size), pos);
    if (n > 0) dst.set(bounce.bytes.subarray(0, n), off);
    return n;
  }

  hold(): this {
    this.users++;
    return this;
  }

  release(): void {
    if (--this.users > 0) return;
    if (this.hostFd < 0) return;
    close(this.hostFd);
    this.hostFd = -1;
    chargePages(-this.pages);
  }
}
