/** /dev of a container: default devices, those of the configuration (runtime-spec config-linux.md, "Devices"). */
import { FUSE_MINOR, makedev, MISC_MAJOR, TUN_MINOR } from '../../sentry/abi/device.ts';
import { EEXIST } from '../../sentry/abi/errno.ts';
import { S_IFCHR, S_IFMT, S_IFREG } from '../../sentry/abi/stat.ts';
import { DEV_LINKS, isDefaultDevice, populateDev } from '../../sentry/fsimpl/dev/populate.ts';
import { TmpfsSuperBlock } from '../../sentry/fsimpl/tmpfs/super-block.ts';
import type { CallContext } from '../../sentry/vfs/call-context.ts';
import { attachMount, rootDentry } from '../../sentry/vfs/mount-namespace.ts';
import { Mount, mountFlags, MS_NOEXEC, MS_NOSUID } from '../../sentry/vfs/mount.ts';
import { vfsMknod, vfsSymlink, vfsUnlink } from '../../sentry/vfs/namei.ts';
import type { Inode } from '../../sentry/vfs/inode.ts';
import type { SuperBlock } from '../../sentry/vfs/super-block.ts';
import { lookupDentry } from '../../sentry/vfs/lookup.ts';
import { LOOKUP_FOLLOW, nd, walk } from '../../sentry/vfs/walk.ts';
import { check, MountError, reason } from './error.ts';
import { latin1, makeDirectories } from './paths.ts';
import type { DeviceConfig, SandboxConfig } from '../sandbox-config.ts';

/** A fresh tmpfs on /dev gets the default devices. */
export function populateContainerDev(sb: SuperBlock, config: SandboxConfig, hasTerminal: boolean): void {
  const r = populateDev(sb.root, config.process.terminal || hasTerminal ? config.process.uid : -1);
  if (r !== 0) throw new MountError(`cannot fill /dev: ${reason(-r)}`);
  // Containers have them only if their configuration says so.
  if (config.linux === null) addMiscDevices(sb.root);
}

function addMiscDevices(dev: Inode): void {
  dev.mknod('fuse', S_IFCHR | 0o666, makedev(MISC_MAJOR, FUSE_MINOR), 0, 0);
  const dir = dev.mkdir('net', 0o755, 0, 0);
  if (typeof dir !== 'number') dir.mknod('tun', S_IFCHR | 0o666, makedev(MISC_MAJOR, TUN_MINOR), 0, 0);
}

/** `linux.devices` and the links, after all mounts: they may be anywhere. A /dev of the host's is as it is, as under runc. */
export function addDevices(t: CallContext, config: SandboxConfig): void {
  if (config.mounts.some((m) => m.destination === '/dev' && m.type === 'bind')) return;
  // A device node on /dev/ptmx would lead out of the container's own devpts.
  for (const d of config.linux?.devices ?? []) if (d.path !== '/dev/ptmx') addDevice(t, d);
  for (const [name, target] of DEV_LINKS) {
    const r = vfsSymlink(t, target, t.fs.root, `/dev/${name}`);
    if (r !== 0 && r !== -EEXIST) throw new MountError(`symlink ${target} /dev/${name}: ${reason(-r)}`);
  }
}

function addDevice(t: CallContext, d: DeviceConfig): void {
  const path = latin1(d.path);
  makeDirectories(t, path.slice(0, path.lastIndexOf('/')));
  if (walk(t, t.fs.root, path, 0) === 0 && isReplaced(d)) vfsUnlink(t, t.fs.root, path);
  let r = vfsMknod(t, t.fs.root, path, d.mode, makedev(d.major, d.minor));
  if (r === -EEXIST) return;
  // Trees of the host hold no device nodes: one of the sandbox is mounted there.
  if (r !== 0) r = bindDevice(t, path, d);
  if (r !== 0 || walk(t, t.fs.root, path, 0) !== 0) {
    throw new MountError(`error creating device nodes: mknod ${d.path}: ${reason(-r)}`);
  }
  check(nd.dentry.inode!.setAttr({ uid: d.uid, gid: d.gid, mode: d.mode }) || null, `chown ${d.path}`);
}

/** Default devices may be given with other rights or numbers. What lies in trees of the host stays. */
function isReplaced(d: DeviceConfig): boolean {
  const { dentry, mount } = nd;
  if (!(mount.sb instanceof TmpfsSuperBlock) || dentry === mount.root) return false;
  const { mode, rdev } = dentry.inode!;
  const isSame = (mode & S_IFMT) === (d.mode & S_IFMT) && rdev === makedev(d.major, d.minor);
  return isSame || isDefaultDevice(d.path);
}

/** A node on a file system of its own, mounted on an empty file. */
function bindDevice(t: CallContext, path: string, d: DeviceConfig): number {
  const sb = new TmpfsSuperBlock();
  const node = sb.root.mknod('device', d.mode, makedev(d.major, d.minor), d.uid, d.gid);
  if (typeof node === 'number') return node;
  const place = lookupDentry(t, rootDentry(sb), 'device');
  if (typeof place === 'number') return place;
  let r = vfsMknod(t, t.fs.root, path, S_IFREG, 0);
  if (r === 0) r = walk(t, t.fs.root, path, LOOKUP_FOLLOW);
  if (r !== 0) return r;
  return attachMount(new Mount(sb, place, mountFlags(MS_NOSUID | MS_NOEXEC), 'devtmpfs'), nd.path());
}
