/**
 * /proc/sys (Documentation/admin-guide/sysctl). Values that act here are writable, and so are those of a network or IPC
 * namespace, which the namespace remembers; the others show what holds and are read-only.
 */
import { EACCES, ENOENT, EPERM } from '../../abi/errno.ts';
import { DT_DIR } from '../../abi/stat.ts';
import { CAP_NET_ADMIN, CAP_SYS_RESOURCE } from '../../auth/capability.ts';
import type { Task } from '../../kernel/task.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import { MAY_EXEC, MAY_WRITE } from '../../vfs/permission.ts';
import type { Inode } from '../../vfs/inode.ts';
import { FIRST_ENTRY, KernfsDir, StaticDir, type KernfsEntry } from '../kernfs/dir.ts';
import { KernfsFile, refuseWriters } from '../kernfs/file.ts';
import type { ProcEnv } from './env.ts';
import { deviceList } from '../net-devices.ts';
import type { ProcSuperBlock } from './super-block.ts';
import { sysctlTree } from './sysctl-tree.ts';
import {
  isOfNamespace,
  PerInterface,
  remembered,
  Variable,
  type Node,
  type SysctlTree,
} from './sysctl-variables.ts';

/** Constants that are so in Linux, too. */
const READ_ONLY: ReadonlySet<string> = new Set([
  'fs/dentry-state',
  'fs/inode-nr',
  'fs/inode-state',
  'fs/quota/allocated_dquots',
  'fs/quota/cache_hits',
  'fs/quota/drops',
  'fs/quota/free_dquots',
  'fs/quota/lookups',
  'fs/quota/reads',
  'fs/quota/syncs',
  'fs/quota/writes',
  'kernel/arch',
  'kernel/cap_last_cap',
  'kernel/msg_next_id',
  'kernel/ngroups_max',
  'kernel/osrelease',
  'kernel/nmi_watchdog',
  'kernel/ostype',
  'kernel/pty/nr',
  'kernel/random/boot_id',
  'kernel/random/entropy_avail',
  'kernel/random/poolsize',
  'kernel/seccomp/actions_avail',
  'kernel/sem_next_id',
  'kernel/shm_next_id',
  'kernel/version',
]);

/** Modes that are not what they seem. */
const MODES: ReadonlyMap<string, number> = new Map([
  ['kernel/cad_pid', 0o600],
  ['kernel/ns_last_pid', 0o666],
  ['kernel/usermodehelper/bset', 0o600],
  ['kernel/usermodehelper/inheritable', 0o600],
  ['net/ipv4/tcp_allowed_congestion_control', 0o444],
  ['net/ipv4/tcp_available_congestion_control', 0o444],
  ['vm/drop_caches', 0o200],
  ['vm/mmap_rnd_bits', 0o600],
  ['vm/mmap_rnd_compat_bits', 0o600],
]);

/** Directories of interfaces, in the namespace of who looks. */
class InterfaceDirs extends KernfsDir {
  private readonly per: PerInterface;
  private readonly prefix: string;
  private readonly made = new Map<string, StaticDir>();

  constructor(sb: ProcSuperBlock, per: PerInterface, prefix: string) {
    super(sb, 0o555);
    this.per = per;
    this.prefix = prefix;
  }

  override lookup(name: string, t: CallContext | null): Inode | number {
    if (!this.names(t).includes(name)) {
      if (t !== null) this.made.delete(name);
      return -ENOENT;
    }
    return this.dir(name);
  }

  private names(t: CallContext | null): string[] {
    const interfaces = t === null ? [] : deviceList((t as Task).ns.net).map((d) => d.name);
    return [...this.per.others, ...interfaces];
  }

  private dir(name: string): StaticDir {
    let dir = this.made.get(name);
    if (dir === undefined) {
      dir = new StaticDir(this.sb as ProcSuperBlock, 0o555);
      addNodes(this.sb as ProcSuperBlock, dir, this.per.of(name), `${this.prefix}${name}/`);
      this.made.set(name, dir);
    }
    return dir;
  }

  override *entries(t: CallContext, from: number): Iterable<KernfsEntry> {
    const names = this.names(t);
    for (let i = Math.max(0, from - FIRST_ENTRY); i < names.length; i++) {
      const name = names[i]!;
      yield { name, ino: this.dir(name).ino, type: DT_DIR, off: i + FIRST_ENTRY };
    }
  }
}

function addNodes(sb: ProcSuperBlock, dir: StaticDir, nodes: SysctlTree, prefix: string): void {
  for (const [name, found] of Object.entries(nodes)) {
    const path = prefix + name;
    const constant = typeof found === 'number' || typeof found === 'string';
    const node = constant && isOfNamespace(path) ? remembered(path, found) : found;
    if (node instanceof Variable) {
      const store = (t: CallContext, text: string, pos: number): number => {
        if (!mayWrite(t, path)) return -EPERM;
        // sysctl_writes_strict: writes count at position 0 only, and empty ones set nothing.
        if (pos !== 0 || text === '') return text.length;
        const r = node.set(t as Task, text);
        return r < 0 ? r : text.length;
      };
      dir.add(
        name,
        new (typeOf(path))(sb, MODES.get(path) ?? 0o644, (t) => `${node.get(t as Task)}\n`, {
          store,
          pollable: true,
          splicedInto: true,
        }),
      );
    } else if (node instanceof PerInterface) {
      dir.add(name, new InterfaceDirs(sb, node, `${path}/`));
    } else if (typeof node === 'object') {
      const child = new StaticDir(sb, 0o555);
      addNodes(sb, child, node, `${path}/`);
      dir.add(name, child);
    } else {
      const get = typeof node === 'function' ? node : (): string | number => node;
      // What Linux lets be written looks so; it cannot be changed here.
      const perm = MODES.get(path) ?? (constant && !READ_ONLY.has(path) ? 0o644 : 0o444);
      dir.add(
        name,
        new (typeOf(path))(sb, perm, (t) => `${get(t as Task)}\n`, { onOpen: refuseWriters, pollable: true }),
      );
    }
  }
}

function mayConfigure(t: Task): boolean {
  return t.creds.hasIn(CAP_NET_ADMIN, t.ns.net.owner);
}

/** "Allow network administrator to have same access as root" (net_ctl_permissions). */
class NetworkFile extends KernfsFile {
  override permission(t: CallContext, mask: number): number {
    return (mask & MAY_EXEC) === 0 && mayConfigure(t as Task) ? 1 : super.permission(t, mask);
  }
}

/** Those that each user namespace has; the others of `user` are the sandbox's. */
const isUserLimit = (path: string): boolean => path.startsWith('user/') && path.endsWith('_namespaces');

/** "Allow users with CAP_SYS_RESOURCE unrestrained access", "all others at most read-only access" (kernel/ucount.c). */
class UserLimitFile extends KernfsFile {
  override permission(t: CallContext, mask: number): number {
    if ((mask & MAY_EXEC) !== 0) return super.permission(t, mask);
    return (mask & MAY_WRITE) === 0 || mayRaise(t) ? 1 : -EACCES;
  }
}

function mayRaise(t: CallContext): boolean {
  return t.creds.hasIn(CAP_SYS_RESOURCE, t.creds.userNs);
}

function typeOf(path: string): typeof KernfsFile {
  if (path.startsWith('net/')) return NetworkFile;
  return isUserLimit(path) ? UserLimitFile : KernfsFile;
}

/** test_perm(), net_ctl_permissions(): what counts is the user, not what capabilities root has left. */
function mayWrite(t: CallContext, path: string): boolean {
  if (isUserLimit(path)) return mayRaise(t);
  return t.creds.euid === 0 || (path.startsWith('net/') && mayConfigure(t as Task));
}

export function addSysctls(sb: ProcSuperBlock, dir: StaticDir): StaticDir {
  addNodes(sb, dir, sysctlTree(sb.env), '');
  return dir;
}

/**
 * Sets the entry `path` ("net/ipv4/ip_forward") in the namespaces of `t`, for a container's configuration: null if there is
 * none that can be set, 0, or −errno.
 */
export function setSysctl(env: ProcEnv, t: Task, path: string, value: string): number | null {
  let node: Node | undefined = sysctlTree(env);
  for (const part of path.split('/')) {
    if (typeof node !== 'object' || node instanceof Variable) return null;
    if (node instanceof PerInterface) {
      const known: boolean = node.others.includes(part) || deviceList(t.ns.net).some((d) => d.name === part);
      node = known ? node.of(part) : undefined;
      continue;
    }
    node = Object.hasOwn(node, part) ? node[part] : undefined;
  }
  if (typeof node === 'number' || typeof node === 'string') {
    return isOfNamespace(path) ? remembered(path, node).set(t, value) : null;
  }
  if (node === undefined) return null;
  return node instanceof Variable ? node.set(t, value) : null;
}
