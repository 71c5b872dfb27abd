/** A calling task for unit tests of file systems and path walk: root's credentials, a tmpfs as root. */
import { CapSet } from '../../auth/capability.ts';
import { Credentials, UserNamespace } from '../../auth/credentials.ts';
import type { UserMemory } from '../../usermem/user-memory.ts';
import { FsContext, type CallContext } from '../call-context.ts';
import type { Path } from '../dentry.ts';
import { makeMount, MountNamespace } from '../mount-namespace.ts';
import type { SuperBlock } from '../super-block.ts';

export class TestContext implements CallContext {
  creds: Credentials;
  readonly mem = null as unknown as UserMemory;
  readonly fs: FsContext;
  readonly tgid = 1;
  readonly landlock = null;
  fileSizeLimit = Infinity;
  readonly nowSec = 0;
  readonly nowNsec = 0;
  readonly ns: MountNamespace;

  constructor(sb: SuperBlock) {
    this.creds = new Credentials(new UserNamespace(null, 0));
    this.creds.permitted = this.creds.effective = CapSet.FULL;
    this.ns = new MountNamespace(makeMount(sb, 0, 'root'));
    const root: Path = { mount: this.ns.root, dentry: this.ns.root.root };
    this.fs = new FsContext(root, root, 0o022);
  }

  /** Becomes an ordinary user. */
  as(uid: number, gid: number): void {
    const c = this.creds.clone();
    c.uid = c.euid = c.suid = c.fsuid = uid;
    c.gid = c.egid = c.sgid = c.fsgid = gid;
    if (uid !== 0) c.effective = c.permitted = CapSet.EMPTY;
    this.creds = c;
  }
}
