/** Extended attributes kept in memory, for file systems of the kernel's own (fs/xattr.c simple_xattrs). */
import { EEXIST, ENODATA, ENOSPC } from '../abi/errno.ts';

/** What a file gives to who runs it. */
export const XATTR_CAPABILITY = 'security.capability';

export const XATTR_CREATE = 1;
export const XATTR_REPLACE = 2;
export const XATTR_NAME_MAX = 255;
export const XATTR_SIZE_MAX = 65536;
export const XATTR_LIST_MAX = 65536;

/** What the attributes of one inode may take together. Linux leaves it to the file system; ours is held in the heap. */
const TOTAL_MAX = 256 * 1024;

/** All attributes kept in the heap together. */
const HEAP_MAX = 64 * 1024 * 1024;
let heapInUse = 0;

export class SimpleXattrs {
  private readonly values = new Map<string, Uint8Array>();
  private bytes = 0;

  get(name: string): Uint8Array | number {
    return this.values.get(name) ?? -ENODATA;
  }

  set(name: string, value: Uint8Array, flags: number): number {
    const old = this.values.get(name);
    if (old !== undefined && (flags & XATTR_CREATE) !== 0) return -EEXIST;
    if (old === undefined && (flags & XATTR_REPLACE) !== 0) return -ENODATA;
    const grown = value.length + (old === undefined ? name.length + 64 : -old.length);
    if (this.bytes + grown > TOTAL_MAX || heapInUse + grown > HEAP_MAX) return -ENOSPC;
    this.bytes += grown;
    heapInUse += grown;
    this.values.set(name, value);
    return 0;
  }

  remove(name: string): number {
    const old = this.values.get(name);
    if (old === undefined) return -ENODATA;
    const freed = old.length + name.length + 64;
    this.bytes -= freed;
    heapInUse -= freed;
    this.values.delete(name);
    return 0;
  }

  list(): string[] {
    return [...this.values.keys()];
  }

  /** The inode is gone. */
  clear(): void {
    heapInUse -= this.bytes;
    this.bytes = 0;
    this.values.clear();
  }
}
