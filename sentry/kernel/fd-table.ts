/** FdTable: descriptor numbers of a process (include/linux/fdtable.h struct files_struct). Shared by CLONE_FILES. */
import { EBADF, EMFILE } from '../abi/errno.ts';
import { O_PATH } from '../abi/fcntl.ts';
import type { CallContext } from '../vfs/call-context.ts';
import type { FileDescription } from '../vfs/file-description.ts';
import { removePosixLocks } from '../vfs/locks.ts';

export class FdTable {
  private files: (FileDescription | null)[] = [];
  private cloexec: boolean[] = [];
  /** No free number below this one. */
  private lowestFree = 0;
  private refs = 1;

  ref(): this {
    this.refs++;
    return this;
  }

  get shared(): boolean {
    return this.refs > 1;
  }

  /** A task leaves; the last one closes every file. */
  unref(t: CallContext): void {
    if (--this.refs === 0) for (let fd = 0; fd < this.files.length; fd++) this.close(t, fd);
  }

  /** Copy for fork: same descriptions, one more reference each. */
  clone(): FdTable {
    const copy = new FdTable();
    copy.files = this.files.slice();
    copy.cloexec = this.cloexec.slice();
    copy.lowestFree = this.lowestFree;
    for (const f of copy.files) f?.ref();
    return copy;
  }

  /** The open file, or null; O_PATH files too (fget_raw). */
  getRaw(fd: number): FileDescription | null {
    return fd >= 0 && fd < this.files.length ? this.files[fd]! : null;
  }

  /** The open file for I/O, null for none and for O_PATH files (fget): both are EBADF. */
  get(fd: number): FileDescription | null {
    const f = fd >= 0 && fd < this.files.length ? this.files[fd]! : null;
    return f !== null && (f.flags & O_PATH) === 0 ? f : null;
  }

  isCloexec(fd: number): boolean {
    return this.cloexec[fd] === true;
  }

  setCloexec(fd: number, on: boolean): void {
    this.cloexec[fd] = on;
  }

  /** True if a number below `limit` is free. */
  hasRoom(limit: number): boolean {
    return this.files.length < limit || this.free(0) < limit;
  }

  /** The lowest number ≥ `min` that is free. */
  free(min: number): number {
    let fd = Math.max(min, this.lowestFree);
    while (fd < this.files.length && this.files[fd] !== null) fd++;
    return fd;
  }

  /** One past the highest number ever used. */
  get size(): number {
    return this.files.length;
  }

  /** max_fds of struct fdtable (alloc_fdtable): what select(2) looks at, and FDSize. */
  get allocated(): number {
    let n = 64;
    while (n < this.files.length) n *= 2;
    return n;
  }

  /** Takes over the caller's reference of `f` under the lowest number ≥ `min`; −EMFILE at `limit` (the reference stays the caller's). */
  install(f: FileDescription, cloexec: boolean, limit: number, min = 0): number {
    const fd = this.free(min);
    if (fd >= limit) return -EMFILE;
    while (this.files.length < fd) {
      this.files.push(null);
      this.cloexec.push(false);
    }
    this.files[fd] = f;
    this.cloexec[fd] = cloexec;
    if (min <= this.lowestFree) this.lowestFree = fd + 1;
    return fd;
  }

  /** Takes over the reference of `f` under exactly `fd`, closing what was there (dup2). */
  replace(t: CallContext, fd: number, f: FileDescription, cloexec: boolean): void {
    this.close(t, fd);
    while (this.files.length <= fd) {
      this.files.push(null);
      this.cloexec.push(false);
    }
    this.files[fd] = f;
    this.cloexec[fd] = cloexec;
  }

  /** Takes `fd` out; the caller gets the table's reference. */
  detach(fd: number): FileDescription | null {
    const f = this.getRaw(fd);
    if (f === null) return null;
    this.files[fd] = null;
    this.cloexec[fd] = false;
    if (fd < this.lowestFree) this.lowestFree = fd;
    return f;
  }

  close(t: CallContext, fd: number): number {
    const f = this.detach(fd);
    if (f === null) return -EBADF;
    // close(2): "All record locks (see fcntl(2)) held on the file … owned by the process are removed".
    if (f.inode.identity.locks !== null) removePosixLocks(f.inode, this);
    if (f.closeHooks !== null) f.closeHooks.get(this)?.fileClosed();
    const r = f.flush(t);
    f.unref();
    return r;
  }

  closeOnExec(t: CallContext): void {
    for (let fd = 0; fd < this.files.length; fd++) if (this.cloexec[fd]) this.close(t, fd);
  }

  /** Open numbers, ascending. */
  fds(): number[] {
    const open: number[] = [];
    for (let fd = 0; fd < this.files.length; fd++) if (this.files[fd] !== null) open.push(fd);
    return open;
  }
}
