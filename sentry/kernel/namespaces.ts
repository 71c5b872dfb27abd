/** Namespaces a task sees (include/linux/nsproxy.h). The PID namespace of a task is its Pid's; see pidForChildren. */
import type { Credentials, Owned, UserNamespace } from '../auth/credentials.ts';
import { leaveNamespace, useNamespace, type Counted } from '../auth/namespace-users.ts';
import { FsContext } from '../vfs/call-context.ts';
import type { Path } from '../vfs/dentry.ts';
import { lockTree, type MountNamespace } from '../vfs/mount-namespace.ts';
import { treeChanged } from '../vfs/walk-cache.ts';
import type { CssSet } from './cgroup/css-set.ts';
import { CgroupHierarchies } from './cgroup/hierarchy.ts';
import type { PidNamespace } from './pid-namespace.ts';
import type { TimeNamespace } from './time-namespace.ts';

let nextIno = 0xf0000100;

export function nextNamespaceIno(): number {
  return nextIno++;
}

/** uname(2)'s node and domain name. */
export class UtsNamespace implements Owned {
  readonly ino = nextIno++;
  owner: UserNamespace | null = null;
  nodename: string;
  domainname: string;

  constructor(nodename: string, domainname = '(none)') {
    this.nodename = nodename;
    this.domainname = domainname;
  }
}

/** System V and POSIX message objects; the ipc implementation keeps its tables in `state`. */
export class IpcNamespace implements Owned, Counted {
  readonly ino = nextIno++;
  owner: UserNamespace | null = null;
  users = 0;
  onUnused: (() => void) | null = null;
  state: unknown = null;
  /** /proc/sys entries of the namespace that were set, by path: `kernel/msgmax`. */
  readonly sysctls = new Map<string, string>();

  /** A limit that was set, else the kernel's own. */
  limit(name: string, missing: number): number {
    const set = this.sysctls.get(name);
    return set === undefined ? missing : Number(set);
  }
}

/** Sockets, interfaces and abstract names; a guest's own has its `state` from the socket families (socket/network.ts). */
export class NetNamespace implements Owned, Counted {
  readonly ino = nextIno++;
  owner: UserNamespace | null = null;
  users = 0;
  onUnused: (() => void) | null = null;
  state: unknown = null;
  /** /proc/sys entries of the namespace that were set, by path: `net/ipv4/ip_forward`. */
  readonly sysctls = new Map<string, string>();
}

/** A mount namespace with its number in /proc/PID/ns. */
export class MountNamespaceRef {
  readonly ino = nextIno++;
  readonly mounts: MountNamespace;

  constructor(mounts: MountNamespace) {
    this.mounts = mounts;
  }

  /**
   * copy_mnt_ns(): a copy of the tree for `owner`, and root and working directory moved to their copies. In a lesser user
   * namespace nothing can be taken off that may hide something, and nothing goes back.
   */
  copyFor(fs: FsContext, owner: UserNamespace | null): { ns: MountNamespaceRef; fs: FsContext } {
    const { ns, map } = this.mounts.clone();
    ns.owner = owner;
    if (owner !== this.mounts.owner) lockTree(ns);
    treeChanged(); // Another root, even if nothing is mounted below it.
    const move = (p: Path): Path => ({ mount: map.get(p.mount) ?? p.mount, dentry: p.dentry });
    return { ns: new MountNamespaceRef(ns), fs: new FsContext(move(fs.root), move(fs.cwd), fs.umask) };
  }
}

/** Who is in it sees the groups of `root` as the topmost ones. */
export class CgroupNamespace implements Owned {
  readonly ino = nextIno++;
  owner: UserNamespace | null = null;
  readonly root: CssSet;

  /** Without argument: a container's own, with groups of its own. */
  constructor(root = new CgroupHierarchies().initial) {
    this.root = root;
  }

  get hierarchies(): CgroupHierarchies {
    return this.root.all;
  }
}

export interface Namespaces {
  readonly uts: UtsNamespace;
  readonly ipc: IpcNamespace;
  readonly net: NetNamespace;
  readonly mnt: MountNamespaceRef | null;
  readonly time: TimeNamespace;
  /** The one that children come into, and the task itself at execve; differs from the own one after unshare(CLONE_NEWTIME). */
  readonly timeForChildren: TimeNamespace;
  readonly cgroup: CgroupNamespace;
  /** Where children of this task get their numbers; differs from the own one after unshare(CLONE_NEWPID). */
  readonly pidForChildren: PidNamespace;
}

/** What clone or unshare with CLONE_NEW* flags makes: the new set, and what has to move along with it. */
export interface NewNamespaces {
  readonly ns: Namespaces;
  /** Root and working directory in the copied mounts; null: unchanged. */
  readonly fs: FsContext | null;
  /** Credentials in a new user namespace; null: unchanged. */
  readonly creds: Credentials | null;
}

/** timens_on_fork(): the set of a task with memory of its own. */
export function joinTimeNamespace(ns: Namespaces): Namespaces {
  return ns.time === ns.timeForChildren ? ns : { ...ns, time: ns.timeForChildren.enter() };
}

/** A task comes into a set of namespaces. */
export function useNamespaces({ ipc, net, mnt }: Namespaces): void {
  useNamespace(ipc);
  useNamespace(net);
  if (mnt !== null) useNamespace(mnt.mounts);
}

/** A task has left, or did not come after all. */
export function leaveNamespaces({ ipc, net, mnt }: Namespaces): void {
  leaveNamespace(ipc);
  leaveNamespace(net);
  if (mnt !== null) leaveNamespace(mnt.mounts);
}
