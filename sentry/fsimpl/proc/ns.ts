/** /proc/PID/ns and nsfs: handles of namespaces for setns(2) (fs/nsfs.c, fs/proc/namespaces.c; namespaces(7)). */
import { EACCES, EINVAL, ENOENT, ENOTTY, EPERM, ESRCH } from '../../abi/errno.ts';
import { O_RDONLY } from '../../abi/fcntl.ts';
import { DT_LNK, S_IFLNK, S_IFREG } from '../../abi/stat.ts';
import type { Owned, UserNamespace } from '../../auth/credentials.ts';
import { leaveNamespace, namespaceNumber, useNamespace } from '../../auth/namespace-users.ts';
import type { PidNamespace } from '../../kernel/pid-namespace.ts';
import type { Task } from '../../kernel/task.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import { Dentry, type Path } from '../../vfs/dentry.ts';
import { FileDescription } from '../../vfs/file-description.ts';
import { Inode } from '../../vfs/inode.ts';
import { makeMount, type MountNamespace } from '../../vfs/mount-namespace.ts';
import { MAY_WRITE } from '../../vfs/permission.ts';
import type { Mount } from '../../vfs/mount.ts';
import { now } from '../kernfs/attr.ts';
import { FIRST_ENTRY, KernfsDir, StaticDir, type KernfsEntry } from '../kernfs/dir.ts';
import { KernfsSuperBlock } from '../kernfs/super-block.ts';
import { mayAccess } from './access.ts';
import { refreshOwner } from './nodes.ts';
import { mountNamespaceIoctl } from './ns-mounts.ts';
import type { Subject } from './subject.ts';

const NSFS_MAGIC = 0x6e736673;

class NsfsSuperBlock extends KernfsSuperBlock {
  readonly fsType = 'nsfs';
  override readonly noExec = true;
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
    case 'time_for_children':
      return t.ns.timeForChildren;
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

  /** It is immutable (nsfs_init_inode). */
  override permission(_t: CallContext, mask: number): number {
    return (mask & MAY_WRITE) !== 0 ? -EPERM : 0;
  }

  override open(_t: CallContext, path: Path, flags: number): FileDescription {
    return new NsFile(path, this, flags);
  }
}

/** What is open or mounted of a namespace keeps it. */
class NsDentry extends Dentry {
  private readonly namespace: object;

  constructor(inode: NsInode) {
    super(inode.anonName, null, inode);
    this.namespace = inode.namespace;
  }

  override hold(): this {
    useNamespace(this.namespace);
    return super.hold();
  }

  override put(): void {
    super.put();
    leaveNamespace(this.namespace);
  }
}

function nsPath(inode: NsInode): Path {
  nsfsMount ??= makeMount(nsfs, 0, 'nsfs');
  return { mount: nsfsMount, dentry: new NsDentry(inode) };
}

// include/uapi/linux/nsfs.h
const NS_GET_USERNS = 0xb701;
const NS_GET_PARENT = 0xb702;
const NS_GET_NSTYPE = 0xb703;
const NS_GET_OWNER_UID = 0xb704;
const NS_GET_MNTNS_ID = 0x8008b705;
const NS_GET_PID_FROM_PIDNS = 0x8004b706;
const NS_GET_TGID_FROM_PIDNS = 0x8004b707;
const NS_GET_PID_IN_PIDNS = 0x8004b708;
const NS_GET_TGID_IN_PIDNS = 0x8004b709;
const NS_GET_ID = 0x8008b70d;

/** Opens a namespace for a task: a descriptor or −errno (open_related_ns, open_namespace). */
function openNamespace(t: Task, kind: string, namespace: object): number {
  const inode = new NsInode(kind, KINDS.find(([, k]) => k === kind)![2], namespace);
  const f = new NsFile(nsPath(inode), inode, O_RDONLY);
  const fd = t.fdTable.install(f, true, t.group.limits.openFiles);
  if (fd < 0) f.unref();
  return fd;
}

/** Opens what an ioctl has answered, if it is a namespace. */
function openOther(t: Task, r: MountNamespace | number): number {
  return typeof r === 'number' ? r : openNamespace(t, 'mnt', r);
}

/** The namespaces that PIDFD_GET_*_NAMESPACE name, by the last byte of the command (include/uapi/linux/pidfd.h). */
const BY_PIDFD: readonly string[] = [
  '', 'cgroup', 'ipc', 'mnt', 'net', 'pid', 'pid_for_children', 'time', 'time_for_children', 'user', 'uts',
]; // prettier-ignore

/** PIDFD_GET_*_NAMESPACE: the namespace of `target`, to whom may look into it. */
export function openNamespaceOf(t: Task, target: Task, index: number): number {
  const name = BY_PIDFD[index];
  if (name === undefined || name === '') return -ENOTTY;
  const kind = KINDS.find(([n]) => n === name)![1];
  if (mayAccess(t, target) !== 0) return -EACCES;
  const ns = namespaceOf(target, name);
  return ns === null ? -ESRCH : openNamespace(t, kind, ns);
}

export class NsFile extends FileDescription {
  readonly ns: NsInode;

  constructor(path: Path, ns: NsInode, flags: number) {
    super(path, ns, flags);
    this.ns = ns;
  }

  override get pollable(): boolean {
    return false;
  }

  override takesOffset(_write: boolean): boolean {
    return true;
  }

  override ioctl(t: CallContext, cmd: number, arg: number): number {
    const { kind, namespace } = this.ns;
    const own = t.creds.userNs;
    switch (cmd) {
      case NS_GET_NSTYPE:
        return this.ns.cloneFlag;
      case NS_GET_OWNER_UID:
        if (kind !== 'user') return -EINVAL;
        return t.mem.writeU32(arg, own.fromUid((namespace as UserNamespace).owner));
      case NS_GET_USERNS: {
        // ns_get_owner(): only what is in the caller's own user namespace.
        const owner = kind === 'user' ? (namespace as UserNamespace).parent : (namespace as Owned).owner;
        if (owner === null) {
          const first = kind !== 'user' && own.level === 0;
          return first ? openNamespace(t as Task, 'user', own) : -EPERM;
        }
        return own.contains(owner) ? openNamespace(t as Task, 'user', owner) : -EPERM;
      }
      case NS_GET_PARENT:
        return this.openParent(t as Task);
      case NS_GET_MNTNS_ID:
        return kind === 'mnt' ? t.mem.writeU64(arg, (namespace as MountNamespace).number) : -EINVAL;
      case NS_GET_PID_FROM_PIDNS:
      case NS_GET_TGID_FROM_PIDNS:
      case NS_GET_PID_IN_PIDNS:
      case NS_GET_TGID_IN_PIDNS:
        return kind === 'pid' ? translatePid(t as Task, namespace as PidNamespace, cmd, arg) : -EINVAL;
      case NS_GET_ID:
        return t.mem.writeU64(arg, namespaceNumber(namespace));
      default:
        return openOther(t as Task, mountNamespaceIoctl(t as Task, this.ns, cmd, arg));
    }
  }

  /** NS_GET_PARENT: of user and PID namespaces, not beyond the caller's own. */
  private openParent(t: Task): number {
    const { kind, namespace } = this.ns;
    if (kind === 'user') {
      const { parent } = namespace as UserNamespace;
      return parent !== null && t.creds.userNs.contains(parent) ? openNamespace(t, kind, parent) : -EPERM;
    }
    if (kind !== 'pid') return -EINVAL;
    const { parent } = namespace as PidNamespace;
    for (let at = parent; at !== null; at = at.parent) {
      if (at === t.pidNs) return openNamespace(t, kind, parent!);
    }
    return -EPERM;
  }
}

/** The number of a process in the caller's PID namespace, or in `ns`; −ESRCH. */
function translatePid(t: Task, ns: PidNamespace, cmd: number, arg: number): number {
  const inwards = cmd === NS_GET_PID_IN_PIDNS || cmd === NS_GET_TGID_IN_PIDNS;
  const thread = cmd === NS_GET_PID_FROM_PIDNS || cmd === NS_GET_PID_IN_PIDNS;
  const task = (inwards ? t.pidNs : ns).findTask(arg);
  if (task === null) return -ESRCH;
  const nr = (thread ? task.pid : task.group.pid).nrIn(inwards ? ns : t.pidNs);
  return nr === 0 ? -ESRCH : nr;
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
    const [name, kind, flag] = this.entry;
    // A zombie still has these two.
    const task = name === 'pid' || name === 'user' ? this.subject.task : this.subject.live;
    if (task === null) return -ENOENT;
    if (mayAccess(t as Task, task) !== 0) return -EACCES;
    const ns = namespaceOf(task, name);
    return ns === null ? -ENOENT : new NsInode(kind, flag, ns);
  }

  override followMagic(t: CallContext): Path | number {
    const inode = this.find(t);
    return typeof inode === 'number' ? inode : nsPath(inode);
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
