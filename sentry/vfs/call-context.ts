/** What file system code may know of the calling task. kernel/Task implements it; vfs never imports kernel. */
import type { Credentials } from '../auth/credentials.ts';
import type { UserMemory } from '../usermem/user-memory.ts';
import type { Path } from './dentry.ts';

export interface CallContext {
  readonly creds: Credentials;
  readonly mem: UserMemory;
  readonly fs: FsContext;
  /** Thread group id in the caller's PID namespace. */
  readonly tgid: number;
  /** RLIMIT_FSIZE in bytes, Infinity if none. */
  readonly fileSizeLimit: number;
  /** Wall clock, ns since the epoch is beyond 2^53: seconds and nanoseconds. */
  readonly nowSec: number;
  readonly nowNsec: number;
}

/** fs_struct: root, working directory, umask (include/linux/fs_struct.h). Shared by CLONE_FS. */
export class FsContext {
  root: Path;
  cwd: Path;
  umask: number;

  constructor(root: Path, cwd: Path, umask: number) {
    this.root = root;
    this.cwd = cwd;
    this.umask = umask;
  }

  clone(): FsContext {
    return new FsContext(this.root, this.cwd, this.umask);
  }
}
