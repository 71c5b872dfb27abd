/** The container's mount tree: root from the gofer (with an overlay in memory or written through), then the other mounts. */
import { errnoName } from '../sentry/abi/errno.ts';
import { S_IFDIR, S_IFREG } from '../sentry/abi/stat.ts';
import type { Credentials } from '../sentry/auth/credentials.ts';
import { populateDev } from '../sentry/fsimpl/dev/populate.ts';
import { GoferSuperBlock } from '../sentry/fsimpl/goferfs/super-block.ts';
import { OverlaySuperBlock } from '../sentry/fsimpl/overlay/super-block.ts';
import { defaultTmpfsSize, TmpfsSuperBlock } from '../sentry/fsimpl/tmpfs/super-block.ts';
import type { IpcNamespace } from '../sentry/kernel/namespaces.ts';
import type { PidNamespace } from '../sentry/kernel/pid-namespace.ts';
import type { GoferClient } from '../sentry/gofer-api/gofer-api.ts';
import type { CallContext } from '../sentry/vfs/call-context.ts';
import { FsContext } from '../sentry/vfs/call-context.ts';
import type { Path } from '../sentry/vfs/dentry.ts';
import { fileSystemType } from '../sentry/vfs/fs-types.ts';
import { attachMount, cloneTree, makeMount, MountNamespace } from '../sentry/vfs/mount-namespace.ts';
import { MS_RDONLY, type Mount } from '../sentry/vfs/mount.ts';
import { vfsMkdir, vfsMknod } from '../sentry/vfs/namei.ts';
import type { SuperBlock } from '../sentry/vfs/super-block.ts';
import { LOOKUP_FOLLOW, nd, walk } from '../sentry/vfs/walk.ts';
import type { MountConfig, SandboxConfig } from './sandbox-config.ts';

const latin1 = (s: string): string => Buffer.from(s, 'utf8').toString('latin1');

/** Who mounts: the kernel itself, with every right, for the container's namespaces (file systems ask the task for them). */
function kernelContext({ creds, pidNs, ipc }: MountEnv, root: Path): CallContext {
  const own = creds.clone();
  own.fsuid = 0;
  own.fsgid = 0;
  own.effective = own.bounding.or(own.permitted);
  const t: CallContext & { pidNs: PidNamespace; ns: { ipc: IpcNamespace } } = {
    pidNs,
    ns: { ipc },
    creds: own,
    // Nothing here reads guest memory.
    mem: null as never,
    fs: new FsContext(root, root, 0),
    tgid: 0,
    fileSizeLimit: Infinity,
    nowSec: 0,
    nowNsec: 0,
  };
  return t;
}

export interface MountEnv {
  readonly config: SandboxConfig;
  readonly gofer: GoferClient;
  readonly creds: Credentials;
  /** A standard stream is a terminal: there is a /dev/console. */
  readonly hasTerminal: boolean;
  readonly pidNs: PidNamespace;
  readonly ipc: IpcNamespace;
}

export function mountAll(env: MountEnv): MountNamespace {
  const { config, gofer } = env;
  const rootSb = makeRoot(config, gofer);
  const flags = config.root.readOnly ? MS_RDONLY : 0;
  // Mount points that are missing are made before the root becomes read-only.
  const root = makeMount(rootSb, 0, config.root.overlay === 'memory' ? 'overlay' : 'rootfs');
  const ns = new MountNamespace(root);
  const t = kernelContext(env, { mount: root, dentry: root.root });
  for (const m of config.mounts) mountOne(t, m, env);
  for (const path of config.readonlyPaths) remountReadOnly(t, path);
  root.flags |= flags;
  return ns;
}

function check<T>(result: T | number, what: string): T {
  if (typeof result === 'number') throw new Error(`${what}: ${errnoName(-result)}`);
  return result;
}

function makeRoot(config: SandboxConfig, gofer: GoferClient): SuperBlock {
  const layers = config.root.layers.map((index) =>
    check(
      GoferSuperBlock.attach(gofer, index, config.exclusiveExports[index] ?? false),
      `cannot attach layer ${index} of the root`,
    ),
  );
  if (config.root.overlay === 'none') return layers[0]!;
  return new OverlaySuperBlock(
    layers.map((sb) => sb.root),
    new TmpfsSuperBlock({ size: defaultTmpfsSize(), mode: 0o755 }),
  );
}

function mountOne(t: CallContext, m: MountConfig, env: MountEnv): void {
  const sb = makeSuperBlock(t, m, env);
  const at = mountPoint(t, latin1(m.destination), !sb.root.isDir);
  const mount: Mount = makeMount(sb, m.flags, latin1(m.source));
  const r = attachMount(mount, at);
  if (r !== 0) throw new Error(`cannot mount ${m.type} on ${m.destination}: ${errnoName(-r)}`);
}

function makeSuperBlock(t: CallContext, m: MountConfig, env: MountEnv): SuperBlock {
  const { config, gofer } = env;
  if (m.type === 'bind') {
    const exclusive = config.exclusiveExports[m.exportIndex] ?? false;
    return check(GoferSuperBlock.attach(gofer, m.exportIndex, exclusive), `cannot attach ${m.source}`);
  }
  const name = m.type === 'devtmpfs' ? 'tmpfs' : m.type;
  const type = fileSystemType(name);
  if (type === undefined)
    throw new Error(`mount on ${m.destination}: file system type "${name}" is not known`);
  const sb = check(type.mount(t, m.source, m.flags, m.data), `cannot mount ${m.type} on ${m.destination}`);
  if (m.destination === '/dev' && name === 'tmpfs') {
    const r = populateDev(sb.root, config.process.terminal || env.hasTerminal ? config.process.uid : -1);
    if (r !== 0) throw new Error(`cannot fill /dev: ${errnoName(-r)}`);
  }
  return sb;
}

/** The place to mount on; missing directories (or the file) are made, as runc does. */
function mountPoint(t: CallContext, destination: string, isFile: boolean): Path {
  const parts = destination.split('/').filter((p) => p !== '');
  let prefix = '';
  parts.forEach((part, i) => {
    prefix += `/${part}`;
    if (walk(t, t.fs.root, prefix, LOOKUP_FOLLOW) === 0) return;
    const last = i === parts.length - 1;
    const r =
      last && isFile
        ? vfsMknod(t, t.fs.root, prefix, S_IFREG | 0o644, 0)
        : vfsMkdir(t, t.fs.root, prefix, S_IFDIR | 0o755);
    if (r !== 0) throw new Error(`cannot make the mount point ${prefix}: ${errnoName(-r)}`);
  });
  const r = walk(t, t.fs.root, destination, LOOKUP_FOLLOW);
  if (r !== 0) throw new Error(`cannot find the mount point ${destination}: ${errnoName(-r)}`);
  return nd.path();
}

function remountReadOnly(t: CallContext, path: string): void {
  if (walk(t, t.fs.root, latin1(path), LOOKUP_FOLLOW) !== 0) return;
  const at = nd.path();
  const mount = makeReadOnlyBind(at);
  const r = attachMount(mount, at);
  if (r !== 0) throw new Error(`cannot make ${path} read-only: ${errnoName(-r)}`);
}

function makeReadOnlyBind(at: Path): Mount {
  const bind = cloneTree(at, false);
  bind.flags |= MS_RDONLY;
  return bind;
}
