/** What fsopen(2) and fspick(2) make, and mounts that hang nowhere yet (fs/fs_context.c, fs/fsopen.c). */
import { EMSGSIZE, ENODATA } from '../abi/errno.ts';
import { O_RDWR } from '../abi/fcntl.ts';
import type { CallContext } from './call-context.ts';
import type { Path } from './dentry.ts';
import { FileDescription, type TornRead } from './file-description.ts';
import type { FileSystemType, FsParameters } from './fs-types.ts';
import type { Inode } from './inode.ts';
import { subtree } from './mount-namespace.ts';
import { PathFile } from './open.ts';
import type { SuperBlock } from './super-block.ts';

/** fc_log's ring */
const LOG_MESSAGES = 8;

/** FS_CONTEXT_*: parameters, made, mounted, parameters of a reconfiguration, failed. */
export type FsPhase = 'create' | 'made' | 'mounted' | 'reconfigure' | 'failed';

export class FsContextFile extends FileDescription {
  readonly type: FileSystemType | null;
  phase: FsPhase;
  /** null: not given. */
  source: string | null = null;
  /** Options as mount(2) takes them. */
  readonly options: string[] = [];
  /** Of types that judge them themselves. */
  readonly parameters: FsParameters | null;
  private readonly log: string[] = [];
  /** MS_* of the super block. */
  superFlags = 0;
  /** Made by FSCONFIG_CMD_CREATE, or picked. */
  sb: SuperBlock | null;
  /** Of the picked mount, which it keeps. */
  constructor(inode: Inode, type: FileSystemType | null, picked: SuperBlock | null) {
    super(null, inode, O_RDWR);
    this.type = type;
    this.sb = picked;
    this.parameters = type?.parameters?.() ?? null;
    this.phase = picked === null ? 'create' : 'reconfigure';
  }

  /** errorfc(): a message for who reads the descriptor. The oldest ones are lost (struct fc_log). */
  complain(text: string): void {
    if (this.log.length === LOG_MESSAGES) this.log.shift();
    this.log.push(`e ${text}\n`);
  }

  override get tornRead(): TornRead {
    return 'lost';
  }

  /** fscontext_read(): one message at a time. */
  override read(_t: CallContext, buf: Uint8Array, off: number, len: number): number {
    const message = this.log[0];
    if (message === undefined) return -ENODATA;
    if (message.length > len) return -EMSGSIZE;
    this.log.shift();
    for (let i = 0; i < message.length; i++) buf[off + i] = message.charCodeAt(i);
    return message.length;
  }

  protected override release(): void {
    this.parameters?.release();
    if (this.phase === 'made' && this.sb !== null && this.sb.mounts === 0) this.sb.release();
  }
}

/** The descriptor of a mount that is attached nowhere: goes away with it unless it has been moved to a place (FMODE_NEED_UNMOUNT). */
export class DetachedMountFile extends PathFile {
  constructor(path: Path, flags: number) {
    super(path, path.dentry.inode!, flags);
  }

  protected override release(): void {
    const { mount } = this.path!;
    if (mount.anon === null) return;
    mount.anon = null;
    for (const m of subtree(mount).reverse()) {
      m.detach();
      m.release();
    }
  }
}
