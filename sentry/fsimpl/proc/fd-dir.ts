/** /proc/PID/fd and fdinfo (fs/proc/fd.c). The links lead to the open file's place itself, named or not. */
import { EACCES, ENOENT } from '../../abi/errno.ts';
import { O_CLOEXEC } from '../../abi/fcntl.ts';
import { DT_LNK, DT_REG, S_IFLNK } from '../../abi/stat.ts';
import type { Task } from '../../kernel/task.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import { Dentry, type Path } from '../../vfs/dentry.ts';
import type { FileDescription } from '../../vfs/file-description.ts';
import { Inode } from '../../vfs/inode.ts';
import { Mount } from '../../vfs/mount.ts';
import { rootDentry } from '../../vfs/mount-namespace.ts';
import { linkText, pathName } from '../../vfs/path-name.ts';
import type { SuperBlock } from '../../vfs/super-block.ts';
import { now } from '../kernfs/attr.ts';
import { FIRST_ENTRY, KernfsDir, type KernfsEntry } from '../kernfs/dir.ts';
import { KernfsFile } from '../kernfs/file.ts';
import { parseInteger } from '../kernfs/parse.ts';
import type { KernfsSuperBlock } from '../kernfs/super-block.ts';
import { mayAccess } from './access.ts';
import { fdLocksText } from './locks-file.ts';
import { refreshOwner } from './nodes.ts';
import { NsInode } from './ns.ts';
import type { Subject } from './subject.ts';

/** Detached mounts of pipefs, sockfs and the like, so that files without a name have a place. */
const namelessMounts = new WeakMap<SuperBlock, Mount>();

/** The place of an open file; one is made up for pipes, sockets and anonymous inodes. */
export function placeOf(f: FileDescription): Path {
  if (f.path !== null) return f.path;
  return { mount: namelessMount(f.inode.sb), dentry: new Dentry(f.inode.anonName, null, f.inode) };
}

export function namelessMount(sb: SuperBlock): Mount {
  let mount = namelessMounts.get(sb);
  if (mount === undefined) {
    mount = new Mount(sb, rootDentry(sb), 0, sb.fsType);
    namelessMounts.set(sb, mount);
  }
  return mount;
}

/** What readlink(2) of /proc/PID/fd/N says. */
export function fileName(f: FileDescription, root: Path): string {
  // Namespaces have a place without a name.
  return f.path === null || f.inode instanceof NsInode ? f.inode.anonName : pathName(f.path, root);
}

/** The same for whoever reads. */
export const readerFileName =
  (reader: Task) =>
  (f: FileDescription): string =>
    fileName(f, reader.fs.root);

function openFile(s: Subject, fd: number): FileDescription | null {
  return s.live?.fdTable.getRaw(fd) ?? null;
}

class FdLink extends Inode {
  private readonly subject: Subject;
  private readonly fd: number;

  constructor(sb: KernfsSuperBlock, s: Subject, fd: number, ino: number) {
    super(sb, ino, S_IFLNK | 0o700, 0, 0);
    this.subject = s;
    this.fd = fd;
    this.atime = this.mtime = this.ctime = now();
    this.refresh();
  }

  /** "The permission bits show the open mode" - proc_pid_fd(5). */
  override refresh(): number {
    refreshOwner(this, this.subject);
    const f = openFile(this.subject, this.fd);
    if (f !== null) this.mode = S_IFLNK | (f.readable ? 0o500 : 0) | (f.writable ? 0o300 : 0);
    // "st_size": 64, what proc_fd_instantiate leaves in place of a length
    this.size = 64;
    return 0;
  }

  private find(t: CallContext): FileDescription | number {
    const task = this.subject.live;
    if (task === null) return -ENOENT;
    if (mayAccess(t as Task, task) !== 0) return -EACCES;
    return openFile(this.subject, this.fd) ?? -ENOENT;
  }

  override followMagic(t: CallContext): Path | number {
    const f = this.find(t);
    return typeof f === 'number' ? f : placeOf(f);
  }

  override readlink(t: CallContext | null): string | number {
    if (t === null) return -ENOENT;
    const f = this.find(t);
    return typeof f === 'number' ? f : linkText(fileName(f, t.fs.root));
  }
}

/** Common to fd and fdinfo: entries are the open numbers. */
abstract class FdEntries extends KernfsDir {
  protected readonly subject: Subject;
  /** Inode numbers stay with the descriptor number. */
  private readonly inos = new Map<number, number>();
  protected readonly kernfs: KernfsSuperBlock;

  constructor(sb: KernfsSuperBlock, s: Subject, perm: number) {
    super(sb, perm);
    this.kernfs = sb;
    this.subject = s;
  }

  protected abstract readonly entryType: number;
  protected abstract make(fd: number, ino: number): Inode;

  override refresh(): number {
    refreshOwner(this, this.subject);
    return 0;
  }

  /** A process may always look at its own, even when it is not dumpable (proc_fd_permission). */
  override permission(t: CallContext): number {
    return (t as Task).group === this.subject.group ? 1 : 0;
  }

  protected inoOf(fd: number): number {
    let ino = this.inos.get(fd);
    if (ino === undefined) {
      ino = this.kernfs.nextIno();
      this.inos.set(fd, ino);
    }
    return ino;
  }

  override lookup(name: string): Inode | number {
    const fd = parseInteger(name);
    if (String(fd) !== name || openFile(this.subject, fd) === null) return -ENOENT;
    return this.make(fd, this.inoOf(fd));
  }

  override *entries(_t: CallContext, from: number): Iterable<KernfsEntry> {
    const table = this.subject.live?.fdTable;
    if (table === undefined) return;
    for (let fd = Math.max(0, from - FIRST_ENTRY); fd < table.size; fd++) {
      if (table.getRaw(fd) === null) continue;
      yield { name: String(fd), ino: this.inoOf(fd), type: this.entryType, off: fd + FIRST_ENTRY };
    }
  }
}

export class FdDir extends FdEntries {
  protected readonly entryType = DT_LNK;

  constructor(sb: KernfsSuperBlock, s: Subject) {
    super(sb, s, 0o500);
  }

  protected override make(fd: number, ino: number): Inode {
    return new FdLink(this.kernfs, this.subject, fd, ino);
  }
}

class FdInfoFile extends KernfsFile {
  private readonly subject: Subject;

  constructor(sb: KernfsSuperBlock, s: Subject, fd: number) {
    super(sb, 0o444, () => fdInfoText(s, fd), {
      onOpen: (t) => (s.live === null ? -ENOENT : mayAccess(t as Task, s.live)),
    });
    this.subject = s;
  }

  override refresh(): number {
    refreshOwner(this, this.subject);
    return 0;
  }
}

export class FdInfoDir extends FdEntries {
  protected readonly entryType = DT_REG;

  constructor(sb: KernfsSuperBlock, s: Subject) {
    super(sb, s, 0o555);
  }

  protected override make(fd: number): Inode {
    return new FdInfoFile(this.kernfs, this.subject, fd);
  }
}

function fdInfoText(s: Subject, fd: number): string | number {
  const f = openFile(s, fd);
  if (f === null) return -ENOENT;
  const cloexec = s.live?.fdTable.isCloexec(fd) === true ? O_CLOEXEC : 0;
  const flags = (f.flags | cloexec) >>> 0;
  const place = placeOf(f);
  const table = s.live?.fdTable;
  const locks = table === undefined ? '' : fdLocksText(f, table, s.ns);
  return (
    `pos:\t${f.pos}\nflags:\t0${flags.toString(8)}\nmnt_id:\t${place.mount.id}\nino:\t${f.inode.ino}\n` +
    locks +
    f.fdinfo()
  );
}
