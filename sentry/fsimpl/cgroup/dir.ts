/**
 * A control group as a directory (kernel/cgroup/cgroup.c, cgroup_kf_syscall_ops): mkdir(2) and rmdir(2) make and remove groups,
 * its files show them. Inodes are made when somebody looks; owners, modes and attributes are kept from then on.
 */
import { EACCES, ENODATA, ENODEV, ENOENT, ENOSPC, EOPNOTSUPP, EPERM } from '../../abi/errno.ts';
import { DT_DIR, DT_REG, S_IFDIR } from '../../abi/stat.ts';
import type { Cgroup } from '../../kernel/cgroup/cgroup.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { Inode } from '../../vfs/inode.ts';
import { SimpleXattrs } from '../../vfs/xattr.ts';
import { FIRST_ENTRY, KernfsDir, type KernfsEntry } from '../kernfs/dir.ts';
import { CgroupFile } from './file.ts';
import type { CgroupSuperBlock } from './super-block.ts';

export class CgroupDir extends KernfsDir {
  readonly cgroup: Cgroup;
  private readonly cgroupFs: CgroupSuperBlock;
  private readonly files = new Map<string, CgroupFile>();
  private readonly dirs = new Map<string, CgroupDir>();
  private readonly xattrs = new GroupXattrs();
  /** Place among the children of its parent. */
  private readonly serial: number;
  private lastSerial = 0;

  constructor(sb: CgroupSuperBlock, cgroup: Cgroup, perm: number, serial: number, uid = 0, gid = 0) {
    super(sb, perm, uid, gid);
    this.cgroup = cgroup;
    this.cgroupFs = sb;
    this.serial = serial;
    cgroup.listener = (name) => this.files.get(name)?.changed(this);
  }

  /** The file of this name, if the group has it. */
  file(name: string): CgroupFile | null {
    const type = this.cgroupFs.fileType(name);
    if (type === undefined || this.cgroup.dead || !type.visible(this.cgroup)) return null;
    let file = this.files.get(name);
    if (file === undefined) {
      file = new CgroupFile(this.cgroupFs, this.cgroup, type, { uid: this.makerUid, gid: this.makerGid });
      this.files.set(name, file);
    }
    return file;
  }

  /** cgroup_kn_set_ugid(): who made the group owns its files. */
  private makerUid = 0;
  private makerGid = 0;

  override lookup(name: string): Inode | number {
    return this.dirs.get(name) ?? this.file(name) ?? -ENOENT;
  }

  /** The directory of a group below, by its path from here. */
  dirOf(g: Cgroup): CgroupDir {
    return g === this.cgroup || g.parent === null ? this : this.dirOf(g.parent).dirs.get(g.name)!;
  }

  override *entries(_t: CallContext, from: number): Iterable<KernfsEntry> {
    const { types } = this.cgroupFs;
    for (let i = Math.max(0, from - FIRST_ENTRY); i < types.length; i++) {
      const file = this.file(types[i]!.name);
      if (file === null) continue;
      yield { name: types[i]!.name, ino: file.ino, type: DT_REG, off: i + FIRST_ENTRY };
    }
    const first = FIRST_ENTRY + types.length;
    for (const [name, dir] of this.dirs) {
      const off = first + dir.serial;
      if (off >= from) yield { name, ino: dir.ino, type: DT_DIR, off };
    }
  }

  override mkdir(name: string, mode: number, uid: number, gid: number): Inode | number {
    const made = this.cgroup.mkdir(name);
    if (typeof made === 'number') return made;
    const dir = new CgroupDir(this.cgroupFs, made, mode & ~S_IFDIR, this.lastSerial++, uid, gid);
    dir.makerUid = uid;
    dir.makerGid = gid;
    this.dirs.set(name, dir);
    this.nlink++;
    return dir;
  }

  override rmdir(name: string, inode: Inode): number {
    if (!(inode instanceof CgroupDir)) return -EPERM;
    const r = inode.cgroup.rmdir();
    if (r !== 0) return r;
    this.dirs.delete(name);
    this.nlink--;
    inode.gone();
    return 0;
  }

  /** Who polls one of its files is told. */
  private gone(): void {
    for (const f of this.files.values()) f.removed();
  }

  override create(): number {
    return this.cgroup.dead ? -ENODEV : -EACCES;
  }

  override getXattr(name: string): Uint8Array | number {
    return this.xattrs.get(name);
  }

  override setXattr(name: string, value: Uint8Array, flags: number): number {
    return this.xattrs.set(name, value, flags);
  }

  override listXattr(): string[] {
    return this.xattrs.list();
  }

  override removeXattr(name: string): number {
    return this.xattrs.remove(name);
  }

  override evict(): void {
    if (this.cgroup.dead) this.xattrs.clear();
  }
}

/** KERNFS_MAX_USER_XATTRS, KERNFS_USER_XATTR_SIZE_LIMIT: those of one group that anybody may set who may write to it. */
const USER_XATTRS_MAX = 128;

/** Attributes of groups: user.*, trusted.* and security.* (KERNFS_ROOT_SUPPORT_USER_XATTR). */
class GroupXattrs extends SimpleXattrs {
  override set(name: string, value: Uint8Array, flags: number): number {
    if (name.startsWith('system.')) return -EOPNOTSUPP;
    const isNew = typeof this.get(name) === 'number';
    const isUser = name.startsWith('user.');
    if (isUser && isNew && this.list().filter((n) => n.startsWith('user.')).length >= USER_XATTRS_MAX) {
      return -ENOSPC;
    }
    return super.set(name, value, flags);
  }

  override get(name: string): Uint8Array | number {
    return name.startsWith('system.') ? -ENODATA : super.get(name);
  }
}
