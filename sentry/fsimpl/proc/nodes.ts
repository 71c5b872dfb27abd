/**
 * Inodes of /proc. Those of /proc/PID: their owner is the process's, unless it is not dumpable (fs/proc/base.c
 * task_dump_owner).
 */
import { EACCES, EIO, ENOENT, ESRCH } from '../../abi/errno.ts';
import { S_IFLNK } from '../../abi/stat.ts';
import type { Credentials } from '../../auth/credentials.ts';
import type { Task } from '../../kernel/task.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { Path } from '../../vfs/dentry.ts';
import { Inode, type AttrChange } from '../../vfs/inode.ts';
import { linkText, pathName } from '../../vfs/path-name.ts';
import { now, procSetAttr } from '../kernfs/attr.ts';
import { KernfsFile, type Generate, type KernfsFileOptions, type Part, type Store } from '../kernfs/file.ts';
import type { KernfsSuperBlock } from '../kernfs/super-block.ts';
import { mayAccess } from './access.ts';
import type { Subject } from './subject.ts';

/** A file of proc_create(): writing it is EIO without a handler (proc_reg_write), where files of /proc/PID answer EINVAL. */
export class ProcFile extends KernfsFile {
  constructor(sb: KernfsSuperBlock, perm: number, text: Generate, options: KernfsFileOptions = {}) {
    super(sb, perm, text, { store: () => -EIO, ...options });
  }
}

/** Sets the owner of an inode about `s`. World-readable directories stay the user's even when not dumpable. */
export function refreshOwner(inode: Inode, s: Subject): void {
  const t = s.task;
  const mm = s.mm;
  const visible = (inode.mode & 0o777) === 0o555 && inode.isDir;
  const own = t !== null && (visible || mm === null || mm.dumpable === 1);
  inode.uid = own ? t.creds.euid : 0;
  inode.gid = own ? t.creds.egid : 0;
}

/** Makes the content of a file about a process. `reader` asks. */
export type SubjectText = (s: Subject, reader: Task) => string | number;
export type SubjectStore = (s: Subject, data: string, writer: Task, from: WriteContext) => number;

/** Where a write goes, and who opened the file. */
export interface WriteContext {
  readonly pos: number;
  readonly opener: Credentials;
}

export interface PidFileOptions {
  store?: SubjectStore;
  /** Made piece by piece instead (kernfs/file.ts GeneratePart). */
  parts?: (s: Subject, reader: Task, from: number) => Part | number;
  /** ptrace access is needed to open it. */
  guarded?: boolean;
}

/** proc_mem_open() and friends: who may open what shows the inside of a process. `ended`: of zombies, too. */
function guard(s: Subject, ended: boolean): (t: CallContext) => number {
  return (t) => {
    const target = ended ? s.task : s.live;
    if (target === null) return -ESRCH;
    return mayAccess(t as Task, target);
  };
}

export class PidFile extends KernfsFile {
  protected readonly subject: Subject;

  constructor(sb: KernfsSuperBlock, s: Subject, perm: number, text: SubjectText, o: PidFileOptions = {}) {
    const { store, parts } = o;
    const kernfsStore: Store | null =
      store === undefined ? null : (t, data, pos, opener) => store(s, data, t as Task, { pos, opener });
    super(sb, perm, (t) => text(s, t as Task), {
      ...(kernfsStore === null ? {} : { store: kernfsStore }),
      ...(parts === undefined ? {} : { parts: (t, from) => parts(s, t as Task, from) }),
      ...(o.guarded === true ? { onOpen: guard(s, parts !== undefined) } : {}),
    });
    this.subject = s;
  }

  override get oldOperations(): boolean {
    return true;
  }

  override refresh(): number {
    refreshOwner(this, this.subject);
    return 0;
  }

  override setAttr(change: AttrChange): number {
    return procSetAttr(this, change);
  }
}

/** Magic link: `target` names the place. Needs ptrace access, as proc_fd_access_allowed(). */
export class PidLink extends Inode {
  private readonly subject: Subject;
  private readonly target: (t: Task) => Path | null;

  constructor(sb: KernfsSuperBlock, s: Subject, target: (t: Task) => Path | null, perm = 0o777) {
    super(sb, sb.nextIno(), S_IFLNK | perm, 0, 0);
    this.subject = s;
    this.target = target;
    this.atime = this.mtime = this.ctime = now();
  }

  override refresh(): number {
    refreshOwner(this, this.subject);
    return 0;
  }

  private find(t: CallContext): Path | number {
    const task = this.subject.live;
    if (task === null) return -ENOENT;
    if (mayAccess(t as Task, task) !== 0) return -EACCES;
    return this.target(task) ?? -ENOENT;
  }

  override followMagic(t: CallContext): Path | number {
    return this.find(t);
  }

  override readlink(t: CallContext | null): string | number {
    if (t === null) return -ENOENT;
    const p = this.find(t);
    return typeof p === 'number' ? p : linkText(pathName(p, t.fs.root));
  }

  override setAttr(change: AttrChange): number {
    return procSetAttr(this, change);
  }
}
