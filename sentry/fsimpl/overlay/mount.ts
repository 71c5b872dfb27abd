/** Mounting an overlay of a guest's (fs/overlayfs/super.c): which directories can be its layers, and the work directory. */
import { EINVAL, ELOOP } from '../../abi/errno.ts';
import { CAP_SYS_ADMIN } from '../../auth/capability.ts';
import { fillRandom } from '../../lib/random.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { Path } from '../../vfs/dentry.ts';
import { type FsParameters, type ParameterValue, registerFileSystem } from '../../vfs/fs-types.ts';
import type { Inode } from '../../vfs/inode.ts';
import { Mount, MS_NOATIME, MS_RDONLY } from '../../vfs/mount.ts';
import { hasLockedChildren, isBelow } from '../../vfs/mount-namespace.ts';
import type { SuperBlock } from '../../vfs/super-block.ts';
import { TmpfsSuperBlock } from '../tmpfs/super-block.ts';
import { upperEntries } from './dir-file.ts';
import type { OverlayDir } from './directory.ts';
import { Markers } from './markers.ts';
import { OverlayConfig, splitOptions, type Layer } from './parameters.ts';
import { OverlaySuperBlock } from './super-block.ts';

/** FILESYSTEM_MAX_STACK_DEPTH. The container's root does not count: it passes for a file system of its own. */
const MAX_STACK_DEPTH = 2;

function stackDepth(sb: SuperBlock): number {
  return sb instanceof OverlaySuperBlock && sb.guest !== null ? sb.guest.stackDepth : 0;
}

/**
 * What can have whiteouts and attributes: file systems in memory, and the container's root if it is an overlay in memory. Linux
 * says EINVAL of those that cannot, "upper fs missing required features".
 */
function canBeUpper(sb: SuperBlock): boolean {
  return sb instanceof TmpfsSuperBlock || (sb instanceof OverlaySuperBlock && sb.guest === null);
}

/** clone_private_mount(): the overlay's own, seen nowhere. −EINVAL for what the caller could not bind. */
function privateMount(t: CallContext, { mount, dentry }: Path, flags: number): Mount | number {
  if (mount.ns !== null && mount.ns !== t.fs.root.mount.ns) return -EINVAL;
  if (mount.unbindable || hasLockedChildren(mount, dentry)) return -EINVAL;
  return new Mount(mount.sb, dentry, flags, 'overlay');
}

function isDescendant(a: Path, of: Path): boolean {
  return isBelow(a.dentry, of.dentry);
}

/** ovl_get_upper(), ovl_get_workdir(): 0 or −EINVAL. */
function checkUpper({ upper, work }: OverlayConfig): number {
  if (upper === null) return 0;
  if (work === null) return -EINVAL;
  if (upper.path.mount.readOnly || upper.path.mount !== work.path.mount) return -EINVAL;
  if (isDescendant(upper.path, work.path) || isDescendant(work.path, upper.path)) return -EINVAL;
  return canBeUpper(upper.path.mount.sb) ? 0 : -EINVAL;
}

/** ovl_setup_trap(), ovl_check_overlapping_layers(): −ELOOP if layers are the same, or a lower one lies in another. */
function checkOverlap(lowers: readonly Layer[], all: readonly Layer[]): number {
  for (const l of lowers) {
    for (const other of all) if (l !== other && isDescendant(l.path, other.path)) return -ELOOP;
  }
  return all.some((l) => lowers.some((o) => l !== o && l.path.dentry === o.path.dentry)) ? -ELOOP : 0;
}

function removeChild(dir: Inode, name: string, child: Inode): number {
  return child.isDir ? dir.rmdir(name, child) : dir.unlink(name, child);
}

/** ovl_workdir_cleanup(): what an earlier mount has left there, two levels deep. */
function cleanUp(base: Inode, name: string, dir: Inode): number {
  if (!dir.isDir) return base.unlink(name, dir);
  for (const [n, child] of upperEntries({ upper: dir } as OverlayDir)) {
    // "overlay with incompat feature '%s' cannot be mounted"
    if (n === 'incompat') return -EINVAL;
    if (child.isDir)
      for (const [m, c] of upperEntries({ upper: child } as OverlayDir)) removeChild(child, m, c);
    removeChild(dir, n, child);
  }
  return base.rmdir(name, dir);
}

const WORKDIR = 'work';

/** ovl_workdir_create(): a new directory `work` in the one that was given. 0 or −errno. */
function makeWorkdir(work: Path, config: OverlayConfig, uid: number, gid: number): number {
  const base = work.dentry.inode!;
  const old = base.lookup(WORKDIR, null);
  if (typeof old !== 'number') {
    const r = cleanUp(base, WORKDIR, old);
    if (r < 0) return r;
  }
  const made = base.mkdir(WORKDIR, 0, uid, gid);
  if (typeof made === 'number') return made;
  if (config.volatile) {
    const incompat = made.mkdir('incompat', 0, uid, gid);
    const dir = typeof incompat === 'number' ? incompat : incompat.mkdir('volatile', 0, uid, gid);
    if (typeof dir !== 'number') dir.create('dirty', 0, uid, gid);
  }
  work.dentry.child(WORKDIR)?.drop();
  return 0;
}

/** ovl_init_uuid_xattr() */
function initUuid(config: OverlayConfig, markers: Markers, upper: Inode): void {
  config.uuid = config.choice('uuid', 'auto');
  if (config.uuid !== 'auto' && config.uuid !== 'on') return;
  if (markers.has(upper, 'uuid')) return;
  if (config.uuid === 'auto') config.uuid = markers.has(upper, 'impure') ? 'null' : 'on';
  if (config.uuid !== 'on') return;
  const uuid = Buffer.alloc(16);
  fillRandom(uuid, 0, 16);
  if (markers.set(upper, 'uuid', uuid.toString('latin1')) < 0) config.uuid = 'null';
}

/** ovl_fill_super() */
function fillSuper(t: CallContext, config: OverlayConfig): SuperBlock | number {
  let r = config.verify(t);
  if (r < 0) return r;
  const { lowers, upper, work } = config;
  if (lowers.length === 0) return -EINVAL;
  r = checkUpper(config);
  if (r < 0) return r;
  if (upper === null && lowers.length === 1) return -EINVAL;
  const all = upper === null ? lowers : [upper, work!, ...lowers];
  const depth = all.reduce((d, l) => Math.max(d, stackDepth(l.path.mount.sb)), 0) + 1;
  if (depth > MAX_STACK_DEPTH) return -EINVAL;
  r = checkOverlap(lowers, all);
  if (r < 0) return r;
  const mounts: Mount[] = [];
  for (const l of all) {
    // "Make lower layers R/O."
    const m = privateMount(t, l.path, lowers.includes(l) ? MS_RDONLY | MS_NOATIME : 0);
    if (typeof m === 'number') r = m;
    else mounts.push(m);
  }
  const { userNs, fsuid, fsgid } = t.creds;
  const userXattr = config.has('userxattr');
  const markers = new Markers(userXattr, userXattr || t.creds.has(CAP_SYS_ADMIN));
  if (r === 0 && upper !== null) {
    r = makeWorkdir(work!.path, config, fsuid, fsgid);
    if (r === 0) initUuid(config, markers, upper.path.dentry.inode!);
  }
  if (r < 0) {
    for (const m of mounts) m.release();
    return r;
  }
  // What layers for data only have is reached by metacopy, which is off.
  const merged = mounts.slice(upper === null ? 0 : 2, mounts.length - config.dataLayers);
  const dataOnly = mounts.slice(mounts.length - config.dataLayers);
  const [top, base] = upper === null ? [null, null] : [mounts[0]!, mounts[1]!];
  return new OverlaySuperBlock({
    lowers: merged,
    upper: top,
    others: base === null ? dataOnly : [base, ...dataOnly],
    markers,
    redirects: config.redirect === 'on',
    followsRedirects: config.redirect !== 'nofollow',
    userNs: userNs.level > 0 ? userNs : null,
    options: config.show(all.every((l) => l.path.mount.sb === all[0]!.path.mount.sb)),
    uid: fsuid,
    gid: fsgid,
    stackDepth: depth,
  });
}

class OverlayParameters implements FsParameters {
  private readonly config = new OverlayConfig();

  set(t: CallContext, key: string, value: ParameterValue): number {
    return this.config.set(t, key, value);
  }

  create(t: CallContext): SuperBlock | number {
    return fillSuper(t, this.config);
  }

  release(): void {
    this.config.release();
  }
}

export function registerOverlay(): void {
  registerFileSystem({
    name: 'overlay',
    nodev: true,
    parameters: () => new OverlayParameters(),
    mount: (t, _source, _flags, data) => {
      if (t === null) return -EINVAL;
      const config = new OverlayConfig();
      for (const option of splitOptions(data)) {
        const eq = option.indexOf('=');
        const r =
          eq < 0 ? config.set(t, option, null) : config.set(t, option.slice(0, eq), option.slice(eq + 1));
        if (r < 0) {
          config.release();
          return r;
        }
      }
      const sb = fillSuper(t, config);
      config.release();
      return sb;
    },
  });
}
