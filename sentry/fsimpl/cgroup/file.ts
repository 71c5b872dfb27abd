/** A file of a control group (struct cftype, kernfs attributes): shown, written, watched by poll(2) and inotify(7). */
import { EINVAL, ENODEV, EPERM } from '../../abi/errno.ts';
import type { Credentials } from '../../auth/credentials.ts';
import type { Cgroup } from '../../kernel/cgroup/cgroup.ts';
import type { CgroupNamespace } from '../../kernel/namespaces.ts';
import type { Task } from '../../kernel/task.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { Path } from '../../vfs/dentry.ts';
import type { FileDescription } from '../../vfs/file-description.ts';
import { IN_MODIFY, notifyChild } from '../../vfs/fsnotify.ts';
import type { Inode } from '../../vfs/inode.ts';
import { EPOLLERR, EPOLLIN, EPOLLOUT, EPOLLPRI, EPOLLRDNORM, EPOLLWRNORM } from '../../waiter/wait-queue.ts';
import { KernfsFile, KernfsFileDescription } from '../kernfs/file.ts';
import type { CgroupSuperBlock } from './super-block.ts';

/** Who writes: rights and namespace are those of who opened the file. */
export interface GroupWriter {
  readonly t: Task;
  readonly opener: Credentials;
  readonly ns: CgroupNamespace;
  readonly sb: CgroupSuperBlock;
}

export interface CgroupFileType {
  readonly name: string;
  readonly visible: (g: Cgroup) => boolean;
  /** Content without the last newline, a number that is not negative, or −errno. Missing: it cannot be read. */
  readonly show?: (g: Cgroup, t: Task) => string | number;
  /** The content ends as it is. */
  readonly raw?: boolean;
  /** 0 or −errno. Missing: it cannot be written. */
  readonly store?: (g: Cgroup, text: string, w: GroupWriter) => number;
  /** CFTYPE_NS_DELEGATABLE: who has the group for the topmost one of its namespace may write, too. */
  readonly delegatable?: boolean;
}

const permOf = (type: CgroupFileType): number =>
  (type.show === undefined ? 0 : 0o444) | (type.store === undefined ? 0 : 0o200);

export class CgroupFile extends KernfsFile {
  readonly cgroup: Cgroup;
  readonly type: CgroupFileType;
  /** Times that it was told to have changed (kernfs_open_node.event). */
  event = 0;
  readonly opened = new Set<CgroupFileDescription>();

  constructor(
    sb: CgroupSuperBlock,
    g: Cgroup,
    type: CgroupFileType,
    owner: { readonly uid: number; readonly gid: number },
  ) {
    const show = (t: CallContext): string | number => {
      if (g.dead) return -ENODEV;
      const text = type.show?.(g, t as Task) ?? -EINVAL;
      if (typeof text === 'number' && text < 0) return text;
      return type.raw === true ? String(text) : `${text}\n`;
    };
    super(sb, permOf(type), show, {
      ...owner,
      splicedInto: true,
      pollable: true,
    });
    this.cgroup = g;
    this.type = type;
  }

  override open(t: CallContext, path: Path, flags: number): FileDescription | number {
    if (this.cgroup.dead) return -ENODEV;
    return new CgroupFileDescription(path, this, flags, t as Task);
  }

  /** kernfs_notify(). `dir` is its directory. */
  changed(dir: Inode): void {
    this.event++;
    for (const f of this.opened) f.waiters.wake(EPOLLPRI | EPOLLERR);
    notifyChild(IN_MODIFY, this, dir, this.type.name);
  }

  /** Its group is gone. */
  removed(): void {
    this.event++;
    for (const f of this.opened) f.waiters.wake(EPOLLPRI | EPOLLERR);
  }
}

class CgroupFileDescription extends KernfsFileDescription {
  private readonly target: CgroupFile;
  private readonly creds: Credentials;
  private readonly ns: CgroupNamespace;
  private seen: number;

  constructor(path: Path, file: CgroupFile, flags: number, t: Task) {
    super(path, file, flags, t.creds);
    this.target = file;
    this.creds = t.creds;
    this.ns = t.ns.cgroup;
    this.seen = file.event;
    file.opened.add(this);
  }

  protected override release(): void {
    this.target.opened.delete(this);
    super.release();
  }

  override read(t: CallContext, buf: Uint8Array, off: number, len: number, pos: number): number {
    if (this.target.cgroup.dead) return -ENODEV;
    this.seen = this.target.event;
    return super.read(t, buf, off, len, pos);
  }

  /** cgroup_file_write(). */
  override write(t: CallContext, buf: Uint8Array, off: number, len: number): number {
    const { cgroup: g, type } = this.target;
    if (len === 0) return 0;
    if (type.store === undefined) return -EINVAL;
    if (g.dead) return -ENODEV;
    if (type.delegatable !== true && g.hierarchy.unified && this.ns.root.unified === g) return -EPERM;
    const n = Math.min(len, 4096);
    const text = Buffer.from(buf.buffer, buf.byteOffset + off, n).toString('latin1');
    const sb = this.target.sb as CgroupSuperBlock;
    const r = type.store(g, text, { t: t as Task, opener: this.creds, ns: this.ns, sb });
    return r < 0 ? r : n;
  }

  /** kernfs_generic_poll() */
  override poll(): number {
    const changed = this.seen !== this.target.event || this.target.cgroup.dead;
    return EPOLLIN | EPOLLOUT | EPOLLRDNORM | EPOLLWRNORM | (changed ? EPOLLERR | EPOLLPRI : 0);
  }
}
