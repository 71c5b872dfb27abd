/** Super block of file systems whose objects the kernel makes up (fs/kernfs, fs/proc). */
import { SuperBlock, type StatFs } from '../../vfs/super-block.ts';

export abstract class KernfsSuperBlock extends SuperBlock {
  private lastIno = 0;

  /** Magic number of statfs(2), include/uapi/linux/magic.h. */
  abstract readonly magic: number;

  nextIno(): number {
    return ++this.lastIno;
  }

  override statfs(): StatFs {
    return {
      type: this.magic,
      bsize: 4096,
      blocks: 0,
      bfree: 0,
      bavail: 0,
      files: 0,
      ffree: 0,
      namelen: 255,
    };
  }
}
