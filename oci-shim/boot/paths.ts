/** Paths of the container's file system while it is put together. */
import { EEXIST } from '../../sentry/abi/errno.ts';
import { O_NONBLOCK, O_RDONLY } from '../../sentry/abi/fcntl.ts';
import { S_IFDIR } from '../../sentry/abi/stat.ts';
import { CapSet } from '../../sentry/auth/capability.ts';
import type { Credentials } from '../../sentry/auth/credentials.ts';
import type { Container } from '../../sentry/kernel/container.ts';
import type { CgroupNamespace, IpcNamespace } from '../../sentry/kernel/namespaces.ts';
import type { PidNamespace } from '../../sentry/kernel/pid-namespace.ts';
import { type CallContext, FsContext } from '../../sentry/vfs/call-context.ts';
import type { Path } from '../../sentry/vfs/dentry.ts';
import { vfsMkdir } from '../../sentry/vfs/namei.ts';
import { vfsOpen } from '../../sentry/vfs/open.ts';
import { LOOKUP_FOLLOW, nd, walk } from '../../sentry/vfs/walk.ts';
import { MountError, reason } from './error.ts';

/** Configuration is UTF-8, names in the kernel are bytes. */
export const latin1 = (s: string): string => Buffer.from(s, 'utf8').toString('latin1');

/** Whose container it is: file systems ask the task that mounts them. */
export interface ForContainer {
  readonly box: Container | null;
  readonly creds: Credentials;
  readonly pidNs: PidNamespace;
  readonly ipc: IpcNamespace;
  readonly cgroup: CgroupNamespace;
}

/** Who mounts: the kernel itself, with every right, for the container's namespaces. */
export function kernelContext({ box, creds, pidNs, ipc, cgroup }: ForContainer, root: Path): CallContext {
  const own = creds.clone();
  own.fsuid = 0;
  own.fsgid = 0;
  own.effective = CapSet.FULL;
  const t: CallContext & Pick<ForContainer, 'pidNs'> & { ns: object; group: object } = {
    group: { container: box },
    pidNs,
    ns: { ipc, cgroup },
    creds: own,
    // Nothing here reads guest memory.
    mem: null as never,
    fs: new FsContext(root, root, 0),
    tgid: 0,
    landlock: null,
    fileSizeLimit: Infinity,
    nowSec: 0,
    nowNsec: 0,
  };
  return t;
}

/** Makes what is missing of a path, each directory with mode 755 (os.MkdirAll). */
export function makeDirectories(t: CallContext, path: string): void {
  if (path === '' || walk(t, t.fs.root, path, LOOKUP_FOLLOW) === 0) return;
  let prefix = '';
  for (const part of path.split('/')) {
    if (part === '') continue;
    prefix += `/${part}`;
    if (walk(t, t.fs.root, prefix, LOOKUP_FOLLOW) === 0) continue;
    const r = vfsMkdir(t, t.fs.root, prefix, S_IFDIR | 0o755);
    // Another container of the same root may have been faster.
    if (r === -EEXIST && walk(t, t.fs.root, prefix, LOOKUP_FOLLOW) === 0) continue;
    if (r !== 0) throw new MountError(`mkdir ${prefix}: ${reason(-r)}`);
  }
}

const MAX_LINKS = 40;

/** The path that runc would mount on: links to what is not there name what shall be made (securejoin). */
export function withoutDanglingLinks(t: CallContext, path: string): string {
  let links = 0;
  const parts = path.split('/').filter((p) => p !== '');
  for (let i = 1; i <= parts.length; i++) {
    const prefix = `/${parts.slice(0, i).join('/')}`;
    if (walk(t, t.fs.root, prefix, LOOKUP_FOLLOW) === 0) continue;
    if (walk(t, t.fs.root, prefix, 0) !== 0 || !nd.dentry.inode!.isSymlink || ++links > MAX_LINKS) break;
    const target = nd.dentry.inode!.readlink(t);
    if (typeof target === 'number') break;
    const from = target.startsWith('/') ? 0 : i - 1;
    parts.splice(from, i - from, ...target.split('/').filter((p) => p !== ''));
    i = 0;
  }
  return `/${parts.join('/')}`;
}

/** The bytes of a regular file, or null if there is none; at most `max`. */
export function readGuestFile(t: CallContext, path: string, max: number): string | null {
  if (walk(t, t.fs.root, path, LOOKUP_FOLLOW) !== 0 || !nd.dentry.inode!.isRegular) return null;
  const file = vfsOpen(t, t.fs.root, path, O_RDONLY | O_NONBLOCK, 0);
  if (typeof file === 'number') return null;
  const buffer = Buffer.alloc(max);
  let n = 0;
  while (n < max) {
    const got = file.read(t, buffer, n, max - n, n);
    if (got <= 0) break;
    n += got;
  }
  file.unref();
  return buffer.toString('latin1', 0, n);
}
