/** The directories /proc/PID and /proc/PID/task/TID. */
import { ENOENT, EPERM } from '../../abi/errno.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { Path } from '../../vfs/dentry.ts';
import type { FileDescription } from '../../vfs/file-description.ts';
import type { Inode } from '../../vfs/inode.ts';
import { FIRST_ENTRY, KernfsDir, type KernfsEntry } from '../kernfs/dir.ts';
import { refreshOwner } from './nodes.ts';
import { HIDEPID_NO_ACCESS } from './options.ts';
import { PID_ENTRIES, type PidEntry } from './pid-entries.ts';
import type { Subject } from './subject.ts';
import type { ProcSuperBlock } from './super-block.ts';

export class PidDir extends KernfsDir {
  readonly subject: Subject;
  private readonly proc: ProcSuperBlock;
  private readonly list: readonly PidEntry[];
  private readonly nodes = new Map<string, Inode>();

  constructor(sb: ProcSuperBlock, s: Subject) {
    super(sb, 0o555);
    this.proc = sb;
    this.subject = s;
    const not = s.isThread ? 'process' : 'thread';
    this.list = PID_ENTRIES.filter((e) => e.where !== not);
  }

  override refresh(): number {
    if (this.subject.task === null) return -ENOENT;
    refreshOwner(this, this.subject);
    return 0;
  }

  private node(e: PidEntry): Inode {
    let node = this.nodes.get(e.name);
    if (node === undefined || e.changes === true) {
      node = e.make(this.proc, this.subject);
      this.nodes.set(e.name, node);
    }
    node.refresh();
    return node;
  }

  /** proc_pid_permission(): what mount option hidepid lets others see of it. */
  private hidden(t: CallContext | null): boolean {
    return !this.subject.isThread && !this.proc.shows(t, this.subject.pid, HIDEPID_NO_ACCESS);
  }

  override lookup(name: string, t: CallContext | null): Inode | number {
    if (this.subject.task === null) return -ENOENT;
    if (this.hidden(t)) return -EPERM;
    const e = this.list.find((x) => x.name === name);
    return e === undefined ? -ENOENT : this.node(e);
  }

  override open(t: CallContext, path: Path, flags: number): FileDescription | number {
    return this.hidden(t) ? -EPERM : super.open(t, path, flags);
  }

  override *entries(_t: CallContext, from: number): Iterable<KernfsEntry> {
    if (this.subject.task === null) return;
    for (let i = Math.max(0, from - FIRST_ENTRY); i < this.list.length; i++) {
      const e = this.list[i]!;
      yield { name: e.name, ino: this.node(e).ino, type: e.type, off: i + FIRST_ENTRY };
    }
  }
}
