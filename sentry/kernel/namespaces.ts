/** Namespaces a task sees (include/linux/nsproxy.h). The PID namespace of a task is its Pid's; see pidForChildren. */
import type { Credentials } from '../auth/credentials.ts';
import type { FsContext } from '../vfs/call-context.ts';
import type { PidNamespace } from './pid-namespace.ts';

let nextIno = 0xf0000100;

/** uname(2)'s node and domain name. */
export class UtsNamespace {
  readonly ino = nextIno++;
  nodename: string;
  domainname: string;

  constructor(nodename: string, domainname = '(none)') {
    this.nodename = nodename;
    this.domainname = domainname;
  }
}

/** System V and POSIX message objects; the ipc implementation keeps its tables in `state`. */
export class IpcNamespace {
  readonly ino = nextIno++;
  state: unknown = null;
}

export class NetNamespace {
  readonly ino = nextIno++;
  state: unknown = null;
}

/** Mount namespace: the VFS's own object and what unshare(CLONE_NEWNS) needs of it. */
export interface MountNamespaceRef {
  readonly ino: number;
}

export class TimeNamespace {
  readonly ino = nextIno++;
}

export class CgroupNamespace {
  readonly ino = nextIno++;
}

export interface Namespaces {
  readonly uts: UtsNamespace;
  readonly ipc: IpcNamespace;
  readonly net: NetNamespace;
  readonly mnt: MountNamespaceRef | null;
  readonly time: TimeNamespace;
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
