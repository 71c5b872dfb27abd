/**
 * What a guest's overlay stores in its upper layer besides whiteouts: extended attributes `trusted.overlay.*`, or `user.overlay.*`
 * with the option userxattr (fs/overlayfs/overlayfs.h, xattrs.c). Those of an overlay mounted in an overlay are escaped.
 */
import { EIO } from '../../abi/errno.ts';
import type { Inode } from '../../vfs/inode.ts';

const OVL_FH_MAGIC = 0xfb;
/** struct ovl_fb: version, magic, length, flags, type, uuid; then the number of the inode. */
const ORIGIN_HEADER = 21;
const ORIGIN_LENGTH = ORIGIN_HEADER + 16;
const FILEID_INO64 = 0x81;

const REDIRECT_MAX = 4096;

export class Markers {
  /** `trusted.overlay.` or `user.overlay.` */
  readonly prefix: string;
  /** False: whoever mounted it may not set such attributes, which makes some changes impossible. */
  readonly usable: boolean;

  constructor(userXattr: boolean, usable: boolean) {
    this.prefix = userXattr ? 'user.overlay.' : 'trusted.overlay.';
    this.usable = usable;
  }

  private get(inode: Inode, name: string): string | null {
    const value = inode.getXattr(this.prefix + name);
    return typeof value === 'number' ? null : Buffer.from(value).toString('latin1');
  }

  /** `failure`: what a file system without such attributes means for the caller. */
  set(inode: Inode, name: string, value: string, failure = -EIO): number {
    if (!this.usable) return failure;
    return inode.setXattr(this.prefix + name, Buffer.from(value, 'latin1'), 0);
  }

  has(inode: Inode, name: string): boolean {
    return typeof inode.getXattr(this.prefix + name) !== 'number';
  }

  /** What lies below is not merged with the directory. */
  isOpaque(dir: Inode): boolean {
    return this.get(dir, 'opaque') === 'y';
  }

  /** A lower directory whose whiteouts are files with an attribute ("x"). */
  hasFileWhiteouts(dir: Inode): boolean {
    return this.get(dir, 'opaque') === 'x';
  }

  isFileWhiteout(file: Inode): boolean {
    return file.isRegular && file.size === 0 && this.has(file, 'whiteout');
  }

  /** Where the lower layers have the directory: another name in the same place, or a path from their roots. */
  redirectOf(dir: Inode): string | null {
    const to = this.get(dir, 'redirect');
    return to === null || to === '' || to.length > REDIRECT_MAX ? null : to;
  }

  /** The number of the lower object that `up` is a copy of; −1 if it is none, or not by this kernel. */
  originOf(up: Inode): number {
    const value = up.getXattr(`${this.prefix}origin`);
    if (typeof value === 'number' || value.length !== ORIGIN_LENGTH || value[1] !== OVL_FH_MAGIC) return -1;
    const b = Buffer.from(value);
    const ino = b.readUInt32LE(ORIGIN_HEADER) + b.readUInt32LE(ORIGIN_HEADER + 4) * 2 ** 32;
    return Number.isSafeInteger(ino) ? ino : -1;
  }

  setOrigin(up: Inode, ino: number): void {
    const b = Buffer.alloc(ORIGIN_LENGTH);
    b[1] = OVL_FH_MAGIC;
    b[2] = ORIGIN_LENGTH;
    b[4] = FILEID_INO64;
    b.writeUInt32LE(ino % 2 ** 32, ORIGIN_HEADER);
    b.writeUInt32LE(Math.floor(ino / 2 ** 32), ORIGIN_HEADER + 4);
    if (this.usable) up.setXattr(`${this.prefix}origin`, b, 0);
  }

  /** What the layers call an attribute that a guest names: `trusted.overlay.x` of an overlay is `trusted.overlay.overlay.x` there. */
  escaped(name: string): string {
    return name.startsWith(this.prefix) ? `${this.prefix}overlay.${name.slice(this.prefix.length)}` : name;
  }

  /** The overlay's own, which nobody sees through it and which is not copied up. */
  isOwn(real: string): boolean {
    return real.startsWith(this.prefix) && !real.startsWith(`${this.prefix}overlay.`);
  }

  /** What guests see of the names that a layer has. */
  visible(names: readonly string[]): string[] {
    const skip = this.prefix.length + 'overlay.'.length;
    return names
      .filter((n) => !this.isOwn(n))
      .map((n) => (n.startsWith(`${this.prefix}overlay.`) ? this.prefix + n.slice(skip) : n));
  }
}
