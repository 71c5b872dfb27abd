/**
 * File systems in which drivers, tracers and security modules show themselves, of whom the sandbox has none: debugfs, tracefs,
 * securityfs, bpf, fusectl, pstore. They can be mounted, have nothing in them and take nothing.
 */
import { EINVAL } from '../../abi/errno.ts';
import { noOptions, registerFileSystem } from '../../vfs/fs-types.ts';
import { StaticDir } from '../kernfs/dir.ts';
import { KernfsSuperBlock } from '../kernfs/super-block.ts';

interface EmptyType {
  readonly name: string;
  /** include/uapi/linux/magic.h */
  readonly magic: number;
  /** Of its root. */
  readonly perm: number;
  /** `mode`, `uid` and `gid` of the root may be given. */
  readonly options: boolean;
}

const TYPES: readonly EmptyType[] = [
  { name: 'debugfs', magic: 0x64626720, perm: 0o700, options: true },
  { name: 'tracefs', magic: 0x74726163, perm: 0o700, options: true },
  { name: 'securityfs', magic: 0x73636673, perm: 0o755, options: false },
  { name: 'bpf', magic: 0xcafe4a11, perm: 0o1777, options: true },
  { name: 'fusectl', magic: 0x65735543, perm: 0o500, options: false },
  { name: 'pstore', magic: 0x6165676c, perm: 0o750, options: false },
];

class EmptySuperBlock extends KernfsSuperBlock {
  readonly fsType: string;
  readonly magic: number;
  override readonly root: StaticDir;

  constructor(type: EmptyType, perm: number, uid: number, gid: number) {
    super();
    this.fsType = type.name;
    this.magic = type.magic;
    this.root = new StaticDir(this, perm, uid, gid);
  }
}

export function registerEmptyFileSystems(): void {
  for (const type of TYPES) {
    registerFileSystem({
      name: type.name,
      nodev: true,
      // No FS_USERNS_MOUNT.
      owner: () => null,
      mount: (_t, _source, _flags, data) => mountEmpty(type, data),
    });
  }
}

function mountEmpty(type: EmptyType, data: string): EmptySuperBlock | number {
  if (!type.options) return noOptions(data) || new EmptySuperBlock(type, type.perm, 0, 0);
  const given = { mode: type.perm, uid: 0, gid: 0 };
  for (const option of data.split(',')) {
    const eq = option.indexOf('=');
    const name = option.slice(0, Math.max(0, eq));
    if (name !== 'mode' && name !== 'uid' && name !== 'gid') continue; // "We might like to report bad mount options here", debugfs_parse_param()
    const value = parseInt(option.slice(eq + 1), name === 'mode' ? 8 : 10);
    if (!(value >= 0 && value <= 0xfffffffe)) return -EINVAL;
    given[name] = value;
  }
  return new EmptySuperBlock(type, given.mode & 0o7777, given.uid, given.gid);
}
