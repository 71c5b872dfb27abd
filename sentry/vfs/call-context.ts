/** What file system code may know of the calling task. kernel/Task implements it; vfs never imports kernel. */
import type { Credentials } from '../auth/credentials.ts';
import type { UserMemory } from '../usermem/user-memory.ts';
import { holdPath, putPath, type Path } from './dentry.ts';
import type { LandlockDomain } from './landlock.ts';
import { treeChanged } from './walk-cache.ts';

export interface CallContext {
  readonly creds: Credentials;
  readonly mem: UserMemory;
  readonly fs: FsContext;
  /** Rules that the task has given itself. */
  readonly landlock: LandlockDomain | null;
  /** Thread group id in the caller's PID namespace. */
  readonly tgid: number;
  /** RLIMIT_FSIZE in bytes, Infinity if none. */
  readonly fileSizeLimit: number;
  /** Wall clock, ns since the epoch is beyond 2^53: seconds and nanoseconds. */
  readonly nowSec: number;
  readonly nowNsec: number;
}

/**
 * fs_struct: root, working directory, umask (include/linux/fs_struct.h). Shared by CLONE_FS: counted, every task that uses it
 * has one reference and gives it back with unref().
 */
export class FsContext {
  private rootPath: Path;
  private cwdPath: Path;
  umask: number;
  private refs = 1;

  constructor(root: Path, cwd: Path, umask: number) {
    this.rootPath = holdPath(root);
    this.cwdPath = holdPath(cwd);
    this.umask = umask;
  }

  get root(): Path {
    return this.rootPath;
  }

  get cwd(): Path {
    return this.cwdPath;
  }

  setRoot(p: Path): void {
    treeChanged(); // For those who look at it from there.
    const old = this.rootPath;
    this.rootPath = holdPath(p);
    putPath(old);
  }

  setCwd(p: Path): void {
    const old = this.cwdPath;
    this.cwdPath = holdPath(p);
    putPath(old);
  }

  get shared(): boolean {
    return this.refs > 1;
  }

  ref(): this {
    this.refs++;
    return this;
  }

  unref(): void {
    if (--this.refs > 0) return;
    putPath(this.rootPath);
    putPath(this.cwdPath);
  }

  /** Private copy, as fork without CLONE_FS makes it. */
  clone(): FsContext {
    return new FsContext(this.rootPath, this.cwdPath, this.umask);
  }
}
