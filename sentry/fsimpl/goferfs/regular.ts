/** Regular files of goferfs and their host fds. */
import { EACCES, EMFILE, ENFILE, ENOENT, EROFS, ESTALE } from '../../abi/errno.ts';
import { O_ACCMODE, O_NOATIME, O_RDONLY, O_RDWR } from '../../abi/fcntl.ts';
import { GOFER_NOATIME, GOFER_RDWR, GOFER_READ, GOFER_WRITE } from '../../gofer-api/gofer-api.ts';
import type { GoferAttr, GoferOpened } from '../../gofer-api/gofer-api.ts';
import { fstat, touchCtime, type HostStat } from '../../host/file-io.ffi.ts';
import { close, ftruncate } from '../../host/sys.ffi.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { Path } from '../../vfs/dentry.ts';
import type { FileDescription } from '../../vfs/file-description.ts';
import { IN_ATTRIB, IN_CLOSE_WRITE, notifyNobody } from '../../vfs/fsnotify.ts';
import type { AttrChange } from '../../vfs/inode.ts';
import { GoferFile } from './file.ts';
import { HostEvents } from './host-events.ts';
import type { FdHolder } from './host-fd-cache.ts';
import { GoferInode } from './inode.ts';

export class GoferRegular extends GoferInode implements FdHolder {
  /** O_RDONLY host fd, −1 if not open. */
  private readFd = -1;
  /** O_RDWR host fd (O_WRONLY if the host refuses reading), −1 if not open. */
  private writeFd = -1;
  private writeFdReads = true;
  /** O_RDONLY | O_NOATIME host fd, −1 if not open. */
  private quietFd = -1;
  /** Open files. */
  private users = 0;
  /** A writable shared mapping exists or existed: times change at moments that nobody tells us. */
  mappedWritable = false;

  /** Any host fd of the file, for fstat; −1 if none is open. */
  get anyFd(): number {
    if (this.readFd >= 0) return this.readFd;
    return this.writeFd >= 0 ? this.writeFd : this.quietFd;
  }

  /** Host fd that can be read, if one is open. */
  get openReadFd(): number {
    if (this.readFd >= 0) return this.readFd;
    return this.writeFdReads ? this.writeFd : -1;
  }

  /** Host fd with O_RDONLY rights, `quiet`: for open files with O_NOATIME. */
  readOnlyFd(quiet: boolean): number {
    const open = quiet ? this.quietFd : this.readFd;
    if (open >= 0) return open;
    const fd = this.donated(quiet ? GOFER_READ | GOFER_NOATIME : GOFER_READ);
    if (fd < 0) return fd;
    if (quiet) this.quietFd = fd;
    else this.readFd = fd;
    return fd;
  }

  /** Host fd that can be written. */
  writableFd(): number {
    if (this.writeFd >= 0) return this.writeFd;
    let fd = this.donated(GOFER_RDWR);
    this.writeFdReads = fd !== -EACCES;
    if (fd === -EACCES) fd = this.donated(GOFER_WRITE);
    if (fd >= 0) this.writeFd = fd;
    return fd;
  }

  /** Takes over a writable host fd that came with the file's creation. */
  adoptWritable(fd: number): void {
    if (this.writeFd >= 0) {
      close(fd);
      return;
    }
    this.writeFd = fd;
    this.writeFdReads = true;
    if (this.users === 0) this.gofer.fds.add(this);
  }

  private donated(access: number): number {
    // A file that is copied up when it is opened for writing cannot be told by what it is then.
    const byId = this.hasId || this.parent === null || (access & (GOFER_WRITE | GOFER_RDWR)) !== 0;
    let r = this.ask(byId, access);
    if (r === -EMFILE || r === -ENFILE) {
      this.gofer.fds.closeIdle(0);
      r = this.ask(byId, access);
    }
    if (typeof r === 'number') return r;
    if (!byId && !this.isKnownAs(r.attr)) {
      close(r.hostFd);
      return -ESTALE;
    }
    this.apply(r.attr);
    return r.hostFd;
  }

  /** One message, whether the gofer knows the file already or by its name only. */
  private ask(byId: boolean, access: number): GoferOpened | number {
    const { client } = this.gofer;
    if (byId || this.parent === null) {
      const id = this.goferId();
      return id < 0 ? id : client.open(id, access);
    }
    const dir = this.parent.goferId();
    if (dir < 0) return dir;
    const r = client.openName(dir, this.name, access);
    return r === -ENOENT ? -ESTALE : r;
  }

  override open(_t: CallContext, path: Path, flags: number): FileDescription | number {
    const writes = (flags & O_ACCMODE) !== O_RDONLY;
    if (writes && this.gofer.readOnly) return -EROFS;
    const fd = writes ? this.writableFd() : this.openForReading((flags & O_NOATIME) !== 0);
    if (fd < 0) return fd;
    // The guest may read the file, but the host does not let its user.
    if ((flags & O_ACCMODE) === O_RDWR && !this.writeFdReads) return -EACCES;
    if (this.users++ === 0) this.gofer.fds.remove(this);
    this.fresh = false;
    return new GoferFile(path, this, flags);
  }

  private openForReading(quiet: boolean): number {
    return !quiet && this.openReadFd >= 0 ? this.openReadFd : this.readOnlyFd(quiet);
  }

  override get isOpen(): boolean {
    return this.users > 0;
  }

  /** An open file is gone. */
  closed(): void {
    if (--this.users > 0) return;
    if (this.watchRefs > 0) this.gofer.events?.closed(this);
    if (this.inUse && this.nlink > 0) this.rest();
    else this.closeHostFds();
  }

  /** Nobody has the file open: its host fds are kept for who opens it next. */
  private rest(): void {
    // The host executes no file that may be written to (ETXTBSY): what was built in a volume can be run there.
    if ((this.mode & 0o111) !== 0) this.closeWritable();
    if (this.anyFd >= 0) this.gofer.fds.add(this);
  }

  private closeWritable(): void {
    if (this.writeFd < 0) return;
    const told = HostEvents.closeUnheard(this.writeFd, this.name);
    this.writeFd = -1;
    if (!told && this.mappedWritable) notifyNobody(IN_CLOSE_WRITE, this, this.parent, this.name, true);
  }

  closeHostFds(): void {
    this.closeReading();
    this.closeWritable();
  }

  private closeReading(): void {
    if (this.readFd >= 0) close(this.readFd);
    if (this.quietFd >= 0) close(this.quietFd);
    this.readFd = -1;
    this.quietFd = -1;
  }

  override apply(attr: GoferAttr): void {
    // What was opened before an overlay of the host's has copied the file up maps the lower file.
    if (!this.hasBirth(attr) && this.users === 0) this.closeReading();
    super.apply(attr);
  }

  /** `n` bytes were written at `pos`. */
  written(pos: number, n: number): void {
    if (pos + n > this.size) this.size = pos + n;
    this.stale = true;
  }

  override refresh(): number {
    // fstat on the host is cheap, and sees writes of others and through mappings.
    if (this.gofer.exclusive && !this.stale && !this.mappedWritable) return 0;
    if (this.anyFd < 0) return super.refresh();
    return this.fetch();
  }

  protected override fetch(): number {
    const fd = this.anyFd;
    if (fd < 0 || this.suspect) return super.fetch();
    const st = fstat(fd);
    if (typeof st === 'number') return st;
    this.applyStat(st);
    return 0;
  }

  /** Not the owner: fstat(2) shows it as the sentry's user namespace maps it, which is "nobody" for all. */
  private applyStat(st: HostStat): void {
    this.mode = st.mode;
    this.nlink = st.nlink;
    this.size = st.size;
    this.blocks = st.blocks;
    this.atime = st.atime;
    this.mtime = st.mtime;
    this.ctime = st.ctime;
    this.stale = false;
    this.fresh = false;
  }

  override setAttr(change: AttrChange): number {
    const { size } = change;
    // Truncation alone: the host sets the times. The fd stays for the writes that follow.
    if (
      size === undefined ||
      change.mode !== undefined ||
      change.uid !== undefined ||
      change.gid !== undefined
    ) {
      if (this.isOwnersAgain(change) && touchCtime(this.writeFd) === 0) {
        this.stale = true;
        return 0;
      }
      const r = super.setAttr(change);
      if (this.users === 0 && this.writeFd >= 0) this.rest();
      return r;
    }
    const fd = this.writableFd();
    if (fd < 0) return fd;
    const r = ftruncate(fd, size);
    if (r < 0) return r;
    if (this.users === 0) this.rest();
    this.size = size;
    this.stale = true;
    this.keepSetIdBits();
    return 0;
  }

  /** chown(2) to the user and group whose the file is: all that it changes is the time of change. */
  private isOwnersAgain(c: AttrChange): boolean {
    if (c.uid === undefined && c.gid === undefined) return false;
    if ((c.uid ?? this.uid) !== this.uid || (c.gid ?? this.gid) !== this.gid) return false;
    const more = c.mode ?? c.size ?? c.atime ?? c.mtime;
    if (more !== undefined || this.writeFd < 0 || (this.mode & 0o6000) !== 0) return false;
    if (this.gofer.exclusive) return true;
    if (!this.isWatched()) return false;
    this.gofer.watcher!.poll();
    return !this.suspect && this.isWatched();
  }

  /**
   * After a change of the content through a descriptor: whoever kept set-id bits through it has CAP_FSETID; the sentry has
   * not, so the host has dropped them.
   */
  keepSetIdBits(): void {
    if ((this.mode & 0o6000) === 0) return;
    notifyNobody(IN_ATTRIB, this, this.parent, this.name, false);
    this.setAttr({ mode: this.mode & 0o7777 });
    notifyNobody(IN_ATTRIB, this, this.parent, this.name, false);
  }

  override evict(): void {
    this.gofer.fds.remove(this);
    this.closeHostFds();
    super.evict();
  }
}
