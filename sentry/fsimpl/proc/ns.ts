/** /proc/PID/ns and nsfs: handles of namespaces for setns(2) (fs/nsfs.c, fs/proc/namespaces.c; namespaces(7)). */
import { EACCES, ENOENT, ENOTTY } from '../../abi/errno.ts';
import { DT_LNK, S_IFLNK, S_IFREG } from '../../abi/stat.ts';
import type { Task } from '../../kernel/task.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import { Dentry, type Path } from '../../vfs/dentry.ts';
import { FileDescription } from '../../vfs/file-description.ts';
import { Inode } from '../../vfs/inode.ts';
import { makeMount } from '../../vfs/mount-namespace.ts';
import type { Mount } from '../../vfs/mount.ts';
import { now } from '../kernfs/attr.ts';
import { FIRST_ENTRY, KernfsDir, StaticDir, type KernfsEntry } from '../kernfs/dir.ts';
import { KernfsSuperBlock } from '../kernfs/super-block.ts';
import { mayAccess } from './access.ts';
import { refreshOwner } from './nodes.ts';
import type { Subject } from './subject.ts';

const NSFS_MAGIC = 0x6e736673;

class NsfsSuperBlock extends KernfsSuperBlock {
  readonly fsType = 'nsfs';
  readonly magic = NSFS_MAGIC;
  readonly root: Inode = new StaticDir(this, 0o555);
}

const nsfs = new NsfsSuperBlock();
let nsfsMount: Mount | null = null;

/** Names as in /proc/PID/ns, and the CLONE_NEW* flag that setns(2) may be asked to check. */
const KINDS: readonly (readonly [string, string, number])[] = [
  ['cgroup', 'cgroup', 0x02000000],
  ['ipc', 'ipc', 0x08000000],
  ['mnt', 'mnt', 0x00020000],
  ['net', 'net', 0x40000000],
  ['pid', 'pid', 0x20000000],
  ['pid_for_children', 'pid', 0x20000000],
  ['time', 'time', 0x00000080],
  ['time_for_children', 'time', 0x00000080],
  ['user', 'user', 0x10000000],
  ['uts', 'uts', 0x04000000],
];

// PROC_USER_INIT_INO and PROC_MNT_INIT_INO of include/linux/proc_ns.h.
let nextOtherIno = 0xf1000000;
const otherInos = new WeakMap<object, number>();
const FIRST_USER_NS = 0xeffffffd;
const FIRST_MNT_NS = 0xeffffff8;

function inoOf(kind: string, ns: object): number {
  const own = (ns as { ino?: number }).ino;
  if (own !== undefined) return own;
  let ino = otherInos.get(ns);
  if (ino === undefined) {
    const isFirstUser = kind === 'user' && (ns as { parent: unknown }).parent === null;
    ino = isFirstUser ? FIRST_USER_NS : nextOtherIno++;
    if (kind === 'mnt' && ino === 0xf1000000) ino = FIRST_MNT_NS;
    otherInos.set(ns, ino);
  }
  return ino;
}

function namespaceOf(t: Task, name: string): object | null {
  switch (name) {
    case 'cgroup':
      return t.ns.cgroup;
    case 'ipc':
      return t.ns.ipc;
    case 'mnt':
      return t.fs.root.mount.ns;
    case 'net':
      return t.ns.net;
    case 'pid':
      return t.pidNs;
    case 'pid_for_children':
      return t.ns.pidForChildren;
    case 'user':
      return t.creds.userNs;
    case 'uts':
      return t.ns.uts;
    default:
      return t.ns.time;
  }
}

/** A namespace as a file: what setns(2) is given. */
export class NsInode extends Inode {
  readonly kind: string;
  readonly cloneFlag: number;
  readonly namespace: object;

  constructor(kind: string, cloneFlag: number, namespace: object) {
    super(nsfs, inoOf(kind, namespace), S_IFREG | 0o444, 0, 0);
    this.kind = kind;
    this.cloneFlag = cloneFlag;
    this.namespace = namespace;
    this.atime = this.mtime = this.ctime = now();
  }

  override get anonName(): string {
    return `${this.kind}:[${this.ino}]`;
  }

  override open(_t: CallContext, path: Path, flags: number): FileDescription {
    return new NsFile(path, this, flags);
  }
}

/** NS_GET_NSTYPE (include/uapi/linux/nsfs.h) */
const NS_GET_NSTYPE = 0xb703;

export class NsFile extends FileDescription {
  readonly ns: NsInode;

  constructor(path: Path, ns: NsInode, flags: number) {
    super(path, ns, flags);
    this.ns = ns;
  }

  override get pollable(): boolean {
    return false;
  }

  override ioctl(_t: CallContext, cmd: number): number {
    return cmd === NS_GET_NSTYPE ? this.ns.cloneFlag : -ENOTTY;
  }
}

class NsLink extends Inode {
  private readonly subject: Subject;
  private readonly entry: readonly [string, string, number];

  constructor(sb: KernfsSuperBlock, s: Subject, entry: readonly [string, string, number], ino: number) {
    super(sb, ino, S_IFLNK | 0o777, 0, 0);
    this.subject = s;
    this.entry = entry;
    this.atime = this.mtime = this.ctime = now();
  }

  override refresh(): number {
    refreshOwner(this, this.subject);
    return 0;
  }

  private find(t: CallContext): NsInode | number {
    const task = this.subject.live;
    if (task === null) return -ENOENT;
    if (mayAccess(t as Task, task) !== 0) return -EACCES;
    const [name, kind, flag] = this.entry;
    const ns = namespaceOf(task, name);
    return ns === null ? -ENOENT : new NsInode(kind, flag, ns);
  }

  override followMagic(t: CallContext): Path | number {
    const inode = this.find(t);
    if (typeof inode === 'number') return inode;
    nsfsMount ??= makeMount(nsfs, 0, 'nsfs');
    return { mount: nsfsMount, dentry: new Dentry(inode.anonName, null, inode) };
  }

  override readlink(t: CallContext | null): string | number {
    if (t === null) return -ENOENT;
    const inode = this.find(t);
    return typeof inode === 'number' ? inode : inode.anonName;
  }
}

export class NsDir extends KernfsDir {
  private readonly subject: Subject;
  private readonly kernfs: KernfsSuperBlock;
  private readonly inos: number[];

  constructor(sb: KernfsSuperBlock, s: Subject) {
    super(sb, 0o511);
    this.kernfs = sb;
    this.subject = s;
    this.inos = KINDS.map(() => sb.nextIno());
  }

  override refresh(): number {
    refreshOwner(this, this.subject);
    return 0;
  }

  override lookup(name: string): Inode | number {
    const i = KINDS.findIndex(([n]) => n === name);
    return i < 0 ? -ENOENT : new NsLink(this.kernfs, this.subject, KINDS[i]!, this.inos[i]!);
  }

  override *entries(_t: CallContext, from: number): Iterable<KernfsEntry> {
    for (let i = Math.max(0, from - FIRST_ENTRY); i < KINDS.length; i++) {
      yield { name: KINDS[i]![0], ino: this.inos[i]!, type: DT_LNK, off: i + FIRST_ENTRY };
    }
  }
}
