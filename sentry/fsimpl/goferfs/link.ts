/** Symbolic links and special files of goferfs. */
import { ECONNREFUSED, EINVAL, ENOENT, EOPNOTSUPP, EPERM, ESTALE } from '../../abi/errno.ts';
import { S_IFLNK, S_IFMT, S_IFSOCK } from '../../abi/stat.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import { GoferInode } from './inode.ts';

/** Symbolic links, and what is only a name here: FIFOs and sockets (their implementations are the sentry's), devices. */
export class GoferLink extends GoferInode {
  private target: string | null = null;

  override readlink(_t: CallContext | null): string | number {
    // A link's target never changes: another target is another inode.
    if (this.target !== null) return this.target;
    if ((this.mode & S_IFMT) !== S_IFLNK) return super.readlink(_t);
    const target = this.ask();
    if (typeof target === 'string') this.target = target;
    return target;
  }

  /** One message, whether the gofer knows the link already or by its name only. */
  private ask(): string | number {
    const { client } = this.gofer;
    if (this.hasId || this.parent === null) {
      const id = this.goferId();
      return id < 0 ? id : client.readlink(id);
    }
    const dir = this.parent.goferId();
    const link = dir < 0 ? dir : client.readlinkName(dir, this.name);
    if (typeof link === 'number') return link === -ENOENT || link === -EINVAL ? -ESTALE : link;
    return this.isIdentified(link.attr) ? link.target : -ESTALE;
  }

  override connectOutside(type: number): number {
    if ((this.mode & S_IFMT) !== S_IFSOCK) return -ECONNREFUSED;
    const id = this.goferId();
    return id < 0 ? id : this.gofer.client.connect(id, type);
  }

  override getXattr(name: string): Uint8Array | number {
    return (this.mode & S_IFMT) === S_IFLNK ? -EOPNOTSUPP : super.getXattr(name);
  }

  override setXattr(name: string, value: Uint8Array, flags: number): number {
    return (this.mode & S_IFMT) === S_IFLNK ? -EPERM : super.setXattr(name, value, flags);
  }

  override listXattr(): string[] | number {
    return [];
  }
}
