/** /proc/PID/task: the threads of a process. */
import { ENOENT } from '../../abi/errno.ts';
import { DT_DIR } from '../../abi/stat.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { Inode } from '../../vfs/inode.ts';
import { FIRST_ENTRY, KernfsDir, type KernfsEntry } from '../kernfs/dir.ts';
import { parseInteger } from '../kernfs/parse.ts';
import { refreshOwner } from './nodes.ts';
import type { ProcSuperBlock } from './super-block.ts';
import type { Subject } from './subject.ts';

export class TaskListDir extends KernfsDir {
  private readonly subject: Subject;
  private readonly proc: ProcSuperBlock;

  constructor(sb: ProcSuperBlock, s: Subject) {
    super(sb, 0o555);
    this.proc = sb;
    this.subject = s;
  }

  /** st_nlink is 2 + the number of threads. */
  override refresh(): number {
    refreshOwner(this, this.subject);
    this.nlink = 2 + (this.subject.group?.threadCount ?? 0);
    return 0;
  }

  override lookup(name: string): Inode | number {
    const tid = parseInteger(name);
    if (String(tid) !== name) return -ENOENT;
    const task = this.subject.ns.findTask(tid);
    if (task === null || task.group !== this.subject.group) return -ENOENT;
    return this.proc.threadDir(task.pid);
  }

  override *entries(_t: CallContext, from: number): Iterable<KernfsEntry> {
    const g = this.subject.group;
    if (g === null) return;
    const tids = [...g.tasks, ...g.tracedZombies].map((t) => ({
      tid: this.subject.number(t.pid),
      pid: t.pid,
    }));
    if (!g.tasks.has(g.leader)) tids.push({ tid: this.subject.number(g.pid), pid: g.pid });
    tids.sort((a, b) => a.tid - b.tid);
    for (const { tid, pid } of tids) {
      const off = tid + FIRST_ENTRY;
      if (off < from || tid === 0) continue;
      yield { name: String(tid), ino: this.proc.threadDir(pid).ino, type: DT_DIR, off };
    }
  }
}
