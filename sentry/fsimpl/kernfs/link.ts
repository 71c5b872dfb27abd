/** Generated symbolic links: the target is made at each readlink(2). */
import { S_IFLNK } from '../../abi/stat.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import { Inode } from '../../vfs/inode.ts';
import { now } from './attr.ts';
import type { KernfsSuperBlock } from './super-block.ts';

export class KernfsLink extends Inode {
  private readonly target: (t: CallContext | null) => string | number;

  constructor(sb: KernfsSuperBlock, target: (t: CallContext | null) => string | number) {
    super(sb, sb.nextIno(), S_IFLNK | 0o777, 0, 0);
    this.target = target;
    this.atime = this.mtime = this.ctime = now();
  }

  override readlink(t: CallContext | null): string | number {
    return this.target(t);
  }
}
