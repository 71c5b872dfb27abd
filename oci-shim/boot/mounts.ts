/**
 * The container's mount tree: root from the gofer (with an overlay in memory or written through), then the other mounts in
 * the order in which they are listed, with what runc does around them (libcontainer/rootfs_linux.go).
 */
import { ENOENT, ENOTDIR, EEXIST } from '../../sentry/abi/errno.ts';
import { S_IFDIR, S_IFREG } from '../../sentry/abi/stat.ts';
import type { Credentials } from '../../sentry/auth/credentials.ts';
import { GoferSuperBlock } from '../../sentry/fsimpl/goferfs/super-block.ts';
import { OverlaySuperBlock } from '../../sentry/fsimpl/overlay/super-block.ts';
import { defaultTmpfsSize } from '../../sentry/fsimpl/tmpfs/options.ts';
import { TmpfsSuperBlock } from '../../sentry/fsimpl/tmpfs/super-block.ts';
import type { Container } from '../../sentry/kernel/container.ts';
import type { CgroupNamespace, IpcNamespace } from '../../sentry/kernel/namespaces.ts';
import type { PidNamespace } from '../../sentry/kernel/pid-namespace.ts';
import type { GoferClient } from '../../sentry/gofer-api/gofer-api.ts';
import type { CallContext } from '../../sentry/vfs/call-context.ts';
import type { Path } from '../../sentry/vfs/dentry.ts';
import { fileSystemType } from '../../sentry/vfs/fs-types.ts';
import {
  attachMount,
  cloneTree,
  makeMount,
  MountNamespace,
  setPropagation,
  subtree,
} from '../../sentry/vfs/mount-namespace.ts';
import { mountFlags, MS_RDONLY, MS_REMOUNT, type Mount } from '../../sentry/vfs/mount.ts';
import { vfsMknod } from '../../sentry/vfs/namei.ts';
import type { SuperBlock } from '../../sentry/vfs/super-block.ts';
import { setSuperFlags, splitSuperOptions } from '../../sentry/vfs/super-options.ts';
import { LOOKUP_FOLLOW, nd, walk } from '../../sentry/vfs/walk.ts';
import { copyUpTree } from './copy-up.ts';
import { addDevices, populateContainerDev } from './devices.ts';
import { check, MountError, reason } from './error.ts';
import { kernelContext, latin1, makeDirectories, withoutDanglingLinks } from './paths.ts';
import type { MountConfig, SandboxConfig } from '../sandbox-config.ts';

export interface MountEnv {
  readonly config: SandboxConfig;
  readonly gofer: GoferClient;
  readonly box: Container;
  readonly creds: Credentials;
  /** A standard stream is a terminal: there is a /dev/console. */
  readonly hasTerminal: boolean;
  readonly pidNs: PidNamespace;
  readonly ipc: IpcNamespace;
  readonly cgroup: CgroupNamespace;
}

export function mountAll(env: MountEnv): MountNamespace {
  const { config, gofer } = env;
  const root = makeMount(
    makeRoot(config, gofer),
    mountFlags(0),
    config.root.overlay === 'memory' ? 'overlay' : 'rootfs',
  );
  const ns = new MountNamespace(root);
  const t = kernelContext(env, { mount: root, dentry: root.root });
  // Read-only from the end on: until then mount points and devices are made.
  const later: Mount[] = [];
  const mounts = config.mounts.some((m) => m.destination === '/dev')
    ? config.mounts
    : [DEFAULT_DEV, ...config.mounts];
  for (const m of mounts) mountOne(t, m, env, later);
  addDevices(t, config);
  if (!OF_PROCESS.test(config.process.cwd)) makeDirectories(t, latin1(config.process.cwd));
  if (config.linux !== null && config.linux.rootfsPropagation !== 0) {
    setPropagation(root, config.linux.rootfsPropagation);
  }
  for (const m of later) m.flags |= MS_RDONLY;
  if (config.root.readOnly) root.flags |= MS_RDONLY;
  for (const path of config.readonlyPaths) makeReadOnly(t, path);
  for (const path of config.maskedPaths) mask(t, path);
  return ns;
}

/** Paths that lead somewhere once there is a process. */
const OF_PROCESS = /^\/proc\/(thread-)?self(\/|$)/;

/** "Default Devices" must be there even if nothing is to be mounted on /dev. */
const DEFAULT_DEV: MountConfig = {
  destination: '/dev',
  type: 'devtmpfs',
  exportIndex: -1,
  source: 'tmpfs',
  flags: 0,
  data: 'mode=755,size=65536k',
};

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

function mountOne(t: CallContext, m: MountConfig, env: MountEnv, later: Mount[]): void {
  const mount = (m.flags & MS_REMOUNT) !== 0 ? remount(t, m) : mountNew(t, m, env);
  for (const below of m.below ?? []) mountNew(t, below, env);
  const recursive = m.recursive ?? { set: 0, clear: 0 };
  if ((recursive.set | recursive.clear) !== 0) {
    for (const c of subtree(mount)) c.flags = mountFlags((c.flags & ~recursive.clear) | recursive.set);
  }
  for (const kind of m.propagation ?? []) setPropagation(mount, kind);
  // Mounts below it have yet to find their places.
  if ((mount.flags & MS_RDONLY) !== 0 && (m.type === 'tmpfs' || m.destination === '/dev')) {
    mount.flags &= ~MS_RDONLY;
    later.push(mount);
  }
}

function mountNew(t: CallContext, m: MountConfig, env: MountEnv): Mount {
  const sb = makeSuperBlock(t, m, env);
  if (m.type === 'proc' || m.type === 'sysfs') checkOrdinary(t, m);
  const destination = withoutDanglingLinks(t, latin1(m.destination));
  const wasThere = walk(t, t.fs.root, destination, LOOKUP_FOLLOW) === 0;
  const at = mountPoint(t, destination, !sb.root.isDir);
  if (sb instanceof TmpfsSuperBlock && wasThere && !/(^|,)mode=/.test(m.data)) {
    // Without a mode of its own a tmpfs looks like what it covers, as under runc.
    sb.root.mode = S_IFDIR | (at.dentry.inode!.mode & 0o7777);
  }
  if (m.copyUp === true) {
    check(copyUpTree(t, at, sb as TmpfsSuperBlock), `tmpcopyup: failed to copy ${m.destination}`);
  }
  const mount = makeMount(sb, mountFlags(m.flags), m.source === '' ? 'none' : latin1(m.source));
  const r = sb.root.isDir === at.dentry.inode!.isDir ? attachMount(mount, at) : -ENOTDIR;
  if (r !== 0) {
    throw new MountError(
      `error mounting "${m.source}" to rootfs at "${m.destination}": mount ${m.source}:${m.destination}: ${reason(-r)}`,
    );
  }
  return mount;
}

/** Programs trust what is there: not behind a link, where it could be hidden or changed. */
function checkOrdinary(t: CallContext, m: MountConfig): void {
  if (walk(t, t.fs.root, latin1(m.destination), 0) !== 0 || nd.dentry.inode!.isDir) return;
  throw new MountError(
    `error mounting "${m.source}" to rootfs at "${m.destination}": filesystem "${m.type}" must be mounted on ordinary directory`,
  );
}

/** `remount`: other flags, and for file systems other than binds other limits. */
function remount(t: CallContext, m: MountConfig): Mount {
  const r = walk(t, t.fs.root, latin1(m.destination), LOOKUP_FOLLOW);
  const what = `error remounting "${m.destination}"`;
  if (r !== 0) throw new MountError(`${what}: ${reason(-r)}`);
  const { mount, dentry } = nd;
  if (dentry !== mount.root) throw new MountError(`${what}: nothing is mounted there`);
  if (m.type !== 'bind') {
    const options = splitSuperOptions(m.flags, m.data);
    check(mount.sb.reconfigure(options.data) || null, what);
  }
  mount.flags = mountFlags(m.flags & ~MS_REMOUNT);
  return mount;
}

function makeSuperBlock(t: CallContext, m: MountConfig, env: MountEnv): SuperBlock {
  const { config, gofer } = env;
  if (m.type === 'bind') {
    const exclusive = config.exclusiveExports[m.exportIndex] ?? false;
    const sb = check(GoferSuperBlock.attach(gofer, m.exportIndex, exclusive), `cannot attach ${m.source}`);
    sb.rootName = m.source.startsWith('/') ? latin1(m.source) : '';
    return sb;
  }
  const name = m.type === 'devtmpfs' ? 'tmpfs' : m.type === 'cgroup' ? 'cgroup2' : m.type;
  const what = `error mounting "${m.source}" to rootfs at "${m.destination}"`;
  const type = fileSystemType(name);
  if (type === undefined) throw new MountError(`${what}: mount ${m.type}: no such device`);
  const options = splitSuperOptions(m.flags, m.data);
  const sb = check(type.mount(t, m.source, m.flags, options.data), what);
  // What is mounted below the others comes later.
  const isFilled = name === 'sysfs' || name === 'proc';
  setSuperFlags(sb, isFilled ? options.flags : options.flags & ~MS_RDONLY);
  if (m.destination === '/dev' && name === 'tmpfs') populateContainerDev(sb, config, env.hasTerminal);
  return sb;
}

/** The place to mount on; missing directories (or the file) are made, as runc does. */
function mountPoint(t: CallContext, destination: string, isFile: boolean): Path {
  const slash = destination.lastIndexOf('/');
  if (isFile && walk(t, t.fs.root, destination, LOOKUP_FOLLOW) !== 0) {
    makeDirectories(t, destination.slice(0, slash));
    const r = vfsMknod(t, t.fs.root, destination, S_IFREG | 0o755, 0);
    if (r !== 0 && r !== -EEXIST)
      throw new MountError(`cannot make the mount point ${destination}: ${reason(-r)}`);
  } else makeDirectories(t, destination);
  const r = walk(t, t.fs.root, destination, LOOKUP_FOLLOW);
  if (r !== 0) throw new MountError(`cannot find the mount point ${destination}: ${reason(-r)}`);
  return nd.path();
}

/** Binds a path and what is mounted below it on itself, read-only. Missing ones are left out. */
function makeReadOnly(t: CallContext, path: string): void {
  const r = walk(t, t.fs.root, latin1(path), LOOKUP_FOLLOW);
  if (r === -ENOENT) return;
  if (r !== 0) throw new MountError(`can't make "${path}" read-only: ${reason(-r)}`);
  const at = nd.path();
  // Nobody would see what is mounted on the root.
  if (at.mount === t.fs.root.mount && at.dentry === t.fs.root.dentry) {
    at.mount.flags |= MS_RDONLY;
    return;
  }
  const bind = cloneTree(at, true);
  bind.flags |= MS_RDONLY;
  check(attachMount(bind, at) || null, `can't make "${path}" read-only`);
}

function emptyTmpfs(t: CallContext): SuperBlock {
  const sb = check(fileSystemType('tmpfs')!.mount(t, 'tmpfs', MS_RDONLY, ''), 'tmpfs');
  setSuperFlags(sb, MS_RDONLY);
  return sb;
}

/** Files become /dev/null, directories an empty read-only tmpfs. Missing ones are left out. */
function mask(t: CallContext, path: string): void {
  let r = walk(t, t.fs.root, latin1(path), LOOKUP_FOLLOW);
  if (r === -ENOENT) return;
  if (r !== 0) throw new MountError(`can't mask path "${path}": ${reason(-r)}`);
  const at = nd.path();
  let cover: Mount;
  if (at.dentry.inode!.isDir) cover = makeMount(emptyTmpfs(t), mountFlags(MS_RDONLY), 'tmpfs');
  else {
    r = walk(t, t.fs.root, '/dev/null', LOOKUP_FOLLOW);
    if (r !== 0) throw new MountError(`can't mask path "${path}": /dev/null: ${reason(-r)}`);
    cover = cloneTree(nd.path(), false);
  }
  check(attachMount(cover, at) || null, `can't mask path "${path}"`);
}
