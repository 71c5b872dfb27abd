/**
 * devpts: the file system of pseudo-terminal slaves (fs/devpts/inode.c). Every mount is an instance of its own with its
 * own ptmx and numbers.
 */
import { EINVAL, EIO, ENODEV, ENOENT, ENOSPC, ENXIO } from '../../abi/errno.ts';
import { TTYAUX_MAJOR, UNIX98_PTY_SLAVE_MAJOR, makedev } from '../../abi/device.ts';
import { O_NOCTTY, O_PATH } from '../../abi/fcntl.ts';
import { DT_CHR, S_IFCHR } from '../../abi/stat.ts';
import type { Task } from '../../kernel/task.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import { Dentry, type Path } from '../../vfs/dentry.ts';
import { registerCharDevice } from '../../vfs/device.ts';
import type { FileDescription } from '../../vfs/file-description.ts';
import { registerFileSystem } from '../../vfs/fs-types.ts';
import { Inode, type AttrChange } from '../../vfs/inode.ts';
import { applyAttr, now } from '../kernfs/attr.ts';
import { FIRST_ENTRY, KernfsDir, type KernfsEntry } from '../kernfs/dir.ts';
import { parseInteger } from '../kernfs/parse.ts';
import { KernfsSuperBlock } from '../kernfs/super-block.ts';
import { PtyMaster, type PtyOwner } from './pty-master.ts';
import type { Tty } from '../tty/tty.ts';
import { Pty } from './pty.ts';

const DEVPTS_SUPER_MAGIC = 0x1cd1;
/** Pseudo-terminals of an instance (kernel.pty.max is 4096 for all). */
const PTY_MAX = 1024;

export interface DevptsOptions {
  uid: number | null;
  gid: number | null;
  mode: number;
  ptmxMode: number;
  max: number;
}

class PtsInode extends Inode {
  /** null: ptmx */
  readonly tty: Tty | null;

  constructor(sb: DevptsSuperBlock, ino: number, perm: number, rdev: number, tty: Tty | null) {
    super(sb, ino, S_IFCHR | perm, 0, 0);
    this.rdev = rdev;
    this.tty = tty;
    this.atime = this.mtime = this.ctime = now();
  }

  override setAttr(change: AttrChange): number {
    return applyAttr(this, change);
  }

  override open(t: CallContext, path: Path, flags: number): FileDescription | number {
    return this.tty === null ? openPtmx(t, path, this, flags) : openSlave(t, path, this, flags);
  }
}

class DevptsRoot extends KernfsDir {
  readonly slaves = new Map<number, PtsInode>();
  readonly ptmx: PtsInode;

  constructor(sb: DevptsSuperBlock, options: DevptsOptions) {
    super(sb, 0o755);
    this.ptmx = new PtsInode(sb, sb.nextIno(), options.ptmxMode, makedev(TTYAUX_MAJOR, 2), null);
  }

  override lookup(name: string): Inode | number {
    if (name === 'ptmx') return this.ptmx;
    const index = parseInteger(name);
    const slave = String(index) === name ? this.slaves.get(index) : undefined;
    return slave ?? -ENOENT;
  }

  override *entries(_t: CallContext, from: number): Iterable<KernfsEntry> {
    if (from <= FIRST_ENTRY) yield { name: 'ptmx', ino: this.ptmx.ino, type: DT_CHR, off: FIRST_ENTRY };
    for (let i = Math.max(0, from - FIRST_ENTRY - 1); i < PTY_MAX; i++) {
      const slave = this.slaves.get(i);
      if (slave !== undefined) {
        yield { name: String(i), ino: slave.ino, type: DT_CHR, off: i + FIRST_ENTRY + 1 };
      }
    }
  }
}

export class DevptsSuperBlock extends KernfsSuperBlock implements PtyOwner {
  readonly fsType = 'devpts';
  readonly magic = DEVPTS_SUPER_MAGIC;
  /** Slaves come and go by themselves. */
  override readonly uncached = true;
  override readonly blockSize = 1024;
  override readonly root: DevptsRoot;
  private readonly opts: DevptsOptions;

  constructor(options: Partial<DevptsOptions> = {}) {
    super();
    this.opts = { uid: null, gid: null, mode: 0o600, ptmxMode: 0, max: PTY_MAX, ...options };
    this.root = new DevptsRoot(this, this.opts);
    offerDefault(this);
  }

  override options(): string {
    const { uid, gid, mode, ptmxMode, max } = this.opts;
    const octal = (m: number): string => m.toString(8).padStart(3, '0');
    const ids = (uid === null ? '' : `,uid=${uid}`) + (gid === null ? '' : `,gid=${gid}`);
    const limit = max < PTY_MAX ? `,max=${max}` : '';
    return `${ids},mode=${octal(mode)},ptmxmode=${octal(ptmxMode)}${limit}`;
  }

  /** A new pair, locked, with the lowest free number; −ENOSPC if there are too many. */
  create(t: CallContext): Pty | number {
    const index = this.freeIndex();
    if (index < 0) return index;
    const pty = new Pty(index);
    this.add(t, index, pty);
    return pty;
  }

  private freeIndex(): number {
    let index = 0;
    while (this.root.slaves.has(index)) index++;
    return index >= this.opts.max ? -ENOSPC : index;
  }

  private add(t: CallContext, index: number, tty: Tty): PtsInode {
    const inode = new PtsInode(this, index + 3, this.opts.mode, makedev(UNIX98_PTY_SLAVE_MAJOR, index), tty);
    inode.uid = this.opts.uid ?? t.creds.fsuid;
    inode.gid = this.opts.gid ?? t.creds.fsgid;
    this.root.slaves.set(index, inode);
    return inode;
  }

  /** A terminal from outside as one of this instance: `make` gets its number. The node's path below `at`, or −ENOSPC. */
  adopt(t: CallContext, at: Path, make: (index: number) => Tty): Path | number {
    const index = this.freeIndex();
    if (index < 0) return index;
    const inode = this.add(t, index, make(index));
    return { mount: at.mount, dentry: new Dentry(String(index), at.dentry, inode) };
  }

  remove(pty: { readonly index: number }): void {
    this.root.slaves.delete(pty.index);
  }

  openPeer(t: CallContext, pty: Pty, master: Path, flags: number): FileDescription | number {
    const inode = this.root.slaves.get(pty.index);
    if (inode === undefined) return -EIO;
    const parent = master.mount.sb === this ? master.mount.root : master.dentry.parent;
    return openSlave(
      t,
      { mount: master.mount, dentry: new Dentry(String(pty.index), parent, inode) },
      inode,
      flags,
    );
  }
}

/** Instance behind a /dev/ptmx that is a device node outside any devpts: the first one. */
let defaultInstance: DevptsSuperBlock | null = null;

function offerDefault(sb: DevptsSuperBlock): void {
  defaultInstance ??= sb;
}

function openPtmx(t: CallContext, path: Path, inode: Inode, flags: number): FileDescription | number {
  const sb = inode.sb instanceof DevptsSuperBlock ? inode.sb : defaultInstance;
  if (sb === null) return -ENODEV;
  const pty = sb.create(t);
  return typeof pty === 'number' ? pty : new PtyMaster(pty, sb, path, inode, flags);
}

function openSlave(t: CallContext, path: Path, inode: Inode, flags: number): FileDescription | number {
  if (!(inode instanceof PtsInode) || inode.tty === null) return -EIO;
  const f = inode.tty.openFile(t, path, inode, flags);
  if (typeof f !== 'number' && (flags & (O_NOCTTY | O_PATH)) === 0) {
    inode.tty.openedBy(t as Task, f.readable);
  }
  return f;
}

/** /dev/tty: the caller's controlling terminal. */
function openDevTty(ctx: CallContext, path: Path, inode: Inode, flags: number): FileDescription | number {
  const tty = (ctx as Task).group.session.tty as Tty | null;
  return tty === null ? -ENXIO : tty.openFile(ctx, path, inode, flags);
}

/** Mount options: uid=, gid=, mode=, ptmxmode=, max=, newinstance (which every mount is). */
function parseDevptsOptions(data: string): DevptsOptions | number {
  const o: DevptsOptions = { uid: null, gid: null, mode: 0o600, ptmxMode: 0, max: PTY_MAX };
  for (const option of data.split(',')) {
    if (option === '' || option === 'newinstance') continue;
    const eq = option.indexOf('=');
    const key = eq < 0 ? option : option.slice(0, eq);
    const octal = key === 'mode' || key === 'ptmxmode';
    const value = eq < 0 ? NaN : parseInteger(option.slice(eq + 1), octal ? 8 : 10);
    if (Number.isNaN(value) || value < 0) return -EINVAL;
    if (key === 'uid') o.uid = value;
    else if (key === 'gid') o.gid = value;
    else if (key === 'mode') o.mode = value & 0o7777;
    else if (key === 'ptmxmode') o.ptmxMode = value & 0o7777;
    else if (key === 'max') o.max = Math.min(value, PTY_MAX);
    else return -EINVAL;
  }
  return o;
}

export function registerDevpts(): void {
  registerCharDevice(TTYAUX_MAJOR, 0, openDevTty);
  registerCharDevice(TTYAUX_MAJOR, 2, openPtmx);
  registerCharDevice(UNIX98_PTY_SLAVE_MAJOR, 0, openSlave, PTY_MAX);
  registerFileSystem({
    name: 'devpts',
    nodev: true,
    mount: (_t, _source, _flags, data) => {
      const options = parseDevptsOptions(data);
      return typeof options === 'number' ? options : new DevptsSuperBlock(options);
    },
  });
}
