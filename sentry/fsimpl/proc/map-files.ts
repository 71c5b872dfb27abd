/** /proc/PID/map_files: one link per mapping of a file, called by its addresses (fs/proc/base.c proc_map_files_*). */
import { EACCES, ENOENT, ENXIO, EPERM } from '../../abi/errno.ts';
import { DT_LNK, S_IFLNK } from '../../abi/stat.ts';
import { CAP_CHECKPOINT_RESTORE, CAP_SYS_ADMIN } from '../../auth/capability.ts';
import type { Task } from '../../kernel/task.ts';
import { PAGE_SIZE } from '../../lib/addr.ts';
import { vmaName } from '../../mm/maps.ts';
import type { Vma } from '../../mm/vma.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { Path } from '../../vfs/dentry.ts';
import type { FileDescription } from '../../vfs/file-description.ts';
import { Inode } from '../../vfs/inode.ts';
import { linkText } from '../../vfs/path-name.ts';
import { now } from '../kernfs/attr.ts';
import { FIRST_ENTRY, KernfsDir, type KernfsEntry } from '../kernfs/dir.ts';
import type { KernfsSuperBlock } from '../kernfs/super-block.ts';
import { mayAccess } from './access.ts';
import { placeOf, readerFileName } from './fd-dir.ts';
import { refreshOwner } from './nodes.ts';
import type { Subject } from './subject.ts';

/** Hexadecimal digits of either case without leading zeros, else NaN. */
function hexNumber(text: string): number {
  const value = text.length > 0 && text.length <= 12 ? Number(`0x${text}`) : NaN;
  return value.toString(16) === text.toLowerCase() ? value : NaN;
}

/** dname_to_vma_addr() and find_exact_vma(): the mapping of a file with exactly these bounds. */
function mappingOf(s: Subject, name: string): Vma | null {
  const dash = name.indexOf('-');
  if (dash < 0) return null;
  const start = hexNumber(name.slice(0, dash));
  const end = hexNumber(name.slice(dash + 1));
  if (Number.isNaN(start) || Number.isNaN(end)) return null;
  const v = s.mm?.table.find(start) ?? null;
  return v !== null && v.start === start && v.end === end && v.backing !== null ? v : null;
}

const nameOf = (v: Vma): string => `${v.start.toString(16)}-${v.end.toString(16)}`;

class MapLink extends Inode {
  private readonly subject: Subject;
  private readonly name: string;

  constructor(sb: KernfsSuperBlock, s: Subject, name: string) {
    super(sb, sb.nextIno(), S_IFLNK, 0, 0);
    this.subject = s;
    this.name = name;
    this.size = 64;
    this.atime = this.mtime = this.ctime = now();
    this.refresh();
  }

  /** proc_map_files_instantiate(): the mode says how the file was opened. */
  override refresh(): number {
    refreshOwner(this, this.subject);
    const v = mappingOf(this.subject, this.name);
    const file = v?.backing?.file ?? null;
    const readable = file === null || file.readable ? 0o400 : 0;
    const writable = file === null ? v !== null : file.writable;
    this.mode = S_IFLNK | readable | (writable ? 0o200 : 0);
    return 0;
  }

  private find(t: CallContext): Vma | number {
    const task = this.subject.live;
    if (task === null) return -ENOENT;
    if (mayAccess(t as Task, task) !== 0) return -EACCES;
    return mappingOf(this.subject, this.name) ?? -ENOENT;
  }

  /** proc_map_files_get_link(): files that have no name any more are nobody's to open without a capability. */
  override followMagic(t: CallContext): Path | number {
    if (!t.creds.has(CAP_CHECKPOINT_RESTORE) && !t.creds.has(CAP_SYS_ADMIN)) return -EPERM;
    const v = this.find(t);
    if (typeof v === 'number') return v;
    const file = v.backing!.file;
    // Shared anonymous memory is no file here.
    return file === null ? -ENXIO : placeOf(file);
  }

  override readlink(t: CallContext | null): string | number {
    if (t === null) return -ENOENT;
    const v = this.find(t);
    return typeof v === 'number' ? v : linkText(vmaName(this.subject.mm!, v, readerFileName(t as Task)));
  }
}

export class MapFilesDir extends KernfsDir {
  private readonly subject: Subject;
  private readonly kernfs: KernfsSuperBlock;

  constructor(sb: KernfsSuperBlock, s: Subject) {
    super(sb, 0o500);
    this.kernfs = sb;
    this.subject = s;
  }

  override refresh(): number {
    refreshOwner(this, this.subject);
    return 0;
  }

  private refused(t: CallContext): number {
    const { task } = this.subject;
    if (task === null) return -ENOENT;
    return mayAccess(t as Task, task) !== 0 ? -EACCES : 0;
  }

  override lookup(name: string, t: CallContext | null): Inode | number {
    const refused = t === null ? -ENOENT : this.refused(t);
    if (refused !== 0) return refused;
    return mappingOf(this.subject, name) === null ? -ENOENT : new MapLink(this.kernfs, this.subject, name);
  }

  override open(t: CallContext, path: Path, flags: number): FileDescription | number {
    const refused = this.refused(t);
    return refused !== 0 ? refused : super.open(t, path, flags);
  }

  /** An entry's position is that of its first page: mappings may come and go between two calls. */
  override *entries(_t: CallContext, from: number): Iterable<KernfsEntry> {
    const table = this.subject.mm?.table;
    if (table === undefined) return;
    const page = Math.max(0, from - FIRST_ENTRY);
    for (let i = table.indexAt(page * PAGE_SIZE); i < table.size; i++) {
      const v = table.at(i)!;
      if (v.backing === null || v.start < page * PAGE_SIZE) continue;
      const off = v.start / PAGE_SIZE + FIRST_ENTRY;
      yield { name: nameOf(v), ino: this.kernfs.nextIno(), type: DT_LNK, off };
    }
  }
}
