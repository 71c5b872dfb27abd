/** Open directories of goferfs. */
import { ENOENT } from '../../abi/errno.ts';
import type { GoferDirent } from '../../gofer-api/gofer-api.ts';
import { isReadNoted } from '../../vfs/atime.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { Path } from '../../vfs/dentry.ts';
import { DirFile, FIRST_ENTRY } from '../../vfs/dir-file.ts';
import type { DirEmit } from '../../vfs/file-description.ts';
import type { DirNames } from './dir-names.ts';

/** Its position is the index of the entry plus FIRST_ENTRY. */
export class GoferDirFile extends DirFile {
  private readonly dir: DirNames;
  private list: GoferDirent[] | null = null;

  constructor(path: Path, dir: DirNames, flags: number) {
    super(path, dir, flags);
    this.dir = dir;
  }

  protected override prepare(): number {
    if (this.dir.dead) return -ENOENT;
    if (this.list !== null && this.pos !== 0) return 0;
    const list = this.dir.entries(isReadNoted(this));
    if (typeof list === 'number') return list;
    this.list = list;
    return 0;
  }

  protected override emitEntries(_t: CallContext, emit: DirEmit): void {
    const list = this.list!;
    while (this.pos - FIRST_ENTRY < list.length) {
      const e = list[this.pos - FIRST_ENTRY]!;
      if (!emit(e.name, e.ino, e.type, this.pos + 1)) return;
      this.pos++;
    }
  }

  override fsync(dataOnly: boolean): number {
    const id = this.dir.goferId();
    return id < 0 ? id : this.dir.gofer.client.fsync(id, dataOnly);
  }
}
