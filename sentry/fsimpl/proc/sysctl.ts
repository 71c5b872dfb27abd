/**
 * /proc/sys (Documentation/admin-guide/sysctl). Values that act here are writable, and so are those of a network or IPC
 * namespace, which the namespace remembers; the others show what holds and are read-only.
 */
import { EPERM } from '../../abi/errno.ts';
import { CAP_NET_ADMIN } from '../../auth/capability.ts';
import type { Task } from '../../kernel/task.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import { MAY_EXEC } from '../../vfs/permission.ts';
import { StaticDir } from '../kernfs/dir.ts';
import { KernfsFile, refuseWriters } from '../kernfs/file.ts';
import type { ProcEnv } from './env.ts';
import type { ProcSuperBlock } from './super-block.ts';
import { sysctlTree } from './sysctl-tree.ts';
import { isOfNamespace, remembered, Variable, type Node, type SysctlTree } from './sysctl-variables.ts';

/** Constants that are so in Linux, too. */
const READ_ONLY: ReadonlySet<string> = new Set([
  'fs/dentry-state',
  'fs/inode-nr',
  'fs/inode-state',
  'kernel/cap_last_cap',
  'kernel/ngroups_max',
  'kernel/osrelease',
  'kernel/ostype',
  'kernel/pty/nr',
  'kernel/random/boot_id',
  'kernel/random/entropy_avail',
  'kernel/random/poolsize',
  'kernel/seccomp/actions_avail',
  'kernel/version',
]);

function addNodes(sb: ProcSuperBlock, dir: StaticDir, nodes: SysctlTree, prefix: string): void {
  for (const [name, found] of Object.entries(nodes)) {
    const path = prefix + name;
    const constant = typeof found === 'number' || typeof found === 'string';
    const node = constant && isOfNamespace(path) ? remembered(path, found) : found;
    if (node instanceof Variable) {
      const store = (t: CallContext, text: string, pos: number): number => {
        if (!mayWrite(t, path)) return -EPERM;
        // sysctl_writes_strict: writes count at position 0 only.
        if (pos !== 0) return text.length;
        const r = node.set(t as Task, text);
        return r < 0 ? r : text.length;
      };
      const Type = path.startsWith('net/') ? NetworkFile : KernfsFile;
      dir.add(name, new Type(sb, 0o644, (t) => `${node.get(t as Task)}\n`, { store, pollable: true }));
    } else if (typeof node === 'object') {
      const child = new StaticDir(sb, 0o555);
      addNodes(sb, child, node, `${path}/`);
      dir.add(name, child);
    } else {
      const get = typeof node === 'function' ? node : (): string | number => node;
      // What Linux lets be written looks so; it cannot be changed here.
      const perm = constant && !READ_ONLY.has(path) ? 0o644 : 0o444;
      dir.add(
        name,
        new KernfsFile(sb, perm, (t) => `${get(t as Task)}\n`, { onOpen: refuseWriters, pollable: true }),
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

/** test_perm(), net_ctl_permissions(): what counts is the user, not what capabilities root has left. */
function mayWrite(t: CallContext, path: string): boolean {
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
    node = Object.hasOwn(node, part) ? node[part] : undefined;
  }
  if (typeof node === 'number' || typeof node === 'string') {
    return isOfNamespace(path) ? remembered(path, node).set(t, value) : null;
  }
  return node instanceof Variable ? node.set(t, value) : null;
}
