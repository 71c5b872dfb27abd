/** proc: the process file system (fs/proc/root.c; proc(5)). One super block per mount, each bound to a PID namespace. */
import { ENOENT } from '../../abi/errno.ts';
import { DT_DIR } from '../../abi/stat.ts';
import type { NetNamespace } from '../../kernel/namespaces.ts';
import type { Pid, PidNamespace } from '../../kernel/pid-namespace.ts';
import type { Task } from '../../kernel/task.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import { registerFileSystem } from '../../vfs/fs-types.ts';
import type { Inode } from '../../vfs/inode.ts';
import { StaticDir, type KernfsEntry } from '../kernfs/dir.ts';
import { KernfsLink } from '../kernfs/link.ts';
import { parseInteger } from '../kernfs/parse.ts';
import { KernfsSuperBlock } from '../kernfs/super-block.ts';
import { mayAccess } from './access.ts';
import type { ProcEnv } from './env.ts';
import { makeNetDir } from './net.ts';
import { HIDEPID_INVISIBLE, HIDEPID_NOT_PTRACEABLE, ProcOptions } from './options.ts';
import { PidDir } from './pid-dir.ts';
import { Subject } from './subject.ts';
import { addSysctls } from './sysctl.ts';
import { addSysvipc } from './sysvipc.ts';
import { addTopLevelFiles } from './top.ts';

const PROC_SUPER_MAGIC = 0x9fa0;
/** Positions of process directories follow those of the fixed entries. */
const FIRST_PROCESS = 1024;

/** What is left besides processes with subset=pid. */
const OF_PROCESSES: readonly string[] = ['self', 'thread-self'];

class ProcRoot extends StaticDir {
  private readonly proc: ProcSuperBlock;

  constructor(sb: ProcSuperBlock) {
    super(sb, 0o555);
    this.proc = sb;
  }

  override refresh(): number {
    this.nlink = 2 + this.proc.ns.groups().length + 8;
    return 0;
  }

  override lookup(name: string, t: CallContext | null): Inode | number {
    const first = name.charCodeAt(0);
    if (first >= 48 && first <= 57) {
      const nr = parseInteger(name);
      const pid = String(nr) === name ? this.proc.ns.find(nr) : null;
      // A thread's number works too, although it is not listed.
      if (pid === null || (pid.group === null && pid.task === null)) return -ENOENT;
      if (!this.proc.shows(t, pid, HIDEPID_INVISIBLE)) return -ENOENT;
      return this.proc.processDir(pid);
    }
    if (this.proc.opts.pidOnly && !OF_PROCESSES.includes(name)) return -ENOENT;
    return super.lookup(name, t);
  }

  override *entries(t: CallContext, from: number): Iterable<KernfsEntry> {
    for (const e of super.entries(t, from)) {
      if (!this.proc.opts.pidOnly || OF_PROCESSES.includes(e.name)) yield e;
    }
    for (const g of this.proc.ns.groups()) {
      const nr = g.pid.nrIn(this.proc.ns);
      const off = FIRST_PROCESS + nr;
      if (off < from || nr === 0 || !this.proc.shows(t, g.pid, HIDEPID_INVISIBLE)) continue;
      yield { name: String(nr), ino: this.proc.processDir(g.pid).ino, type: DT_DIR, off };
    }
  }
}

export class ProcSuperBlock extends KernfsSuperBlock {
  readonly fsType = 'proc';
  override readonly noExec = true;
  readonly magic = PROC_SUPER_MAGIC;
  override readonly uncached = true;
  override readonly blockSize = 1024;
  override readonly root: StaticDir;
  readonly env: ProcEnv;
  readonly ns: PidNamespace;
  readonly opts = new ProcOptions();
  private readonly networks = new WeakMap<NetNamespace, StaticDir>();
  private readonly processes = new WeakMap<Pid, PidDir>();
  private readonly threads = new WeakMap<Pid, PidDir>();

  constructor(env: ProcEnv, ns: PidNamespace) {
    super();
    this.env = env;
    this.ns = ns;
    this.root = new ProcRoot(this);
    const root = this.root;
    addTopLevelFiles(this, root);
    // Who puts a container's root together is no process.
    const self = (t: CallContext | null): string | number => {
      const nr = (t as { group?: { pid?: Pid } } | null)?.group?.pid?.nrIn(ns) ?? 0;
      return nr === 0 ? -ENOENT : String(nr);
    };
    root.add('self', new KernfsLink(this, self));
    root.add(
      'thread-self',
      new KernfsLink(this, (t) => {
        const group = self(t);
        return typeof group === 'number' ? group : `${group}/task/${(t as Task).pid.nrIn(ns)}`;
      }),
    );
    root.add('mounts', new KernfsLink(this, () => 'self/mounts'));
    root.add('net', new KernfsLink(this, () => 'self/net'));
    root.add('sys', addSysctls(this, new StaticDir(this, 0o555)));
    root.add('sysvipc', addSysvipc(this, new StaticDir(this, 0o555)));
  }

  override options(): string {
    return this.opts.toString();
  }

  override reconfigure(data: string): number {
    const next = new ProcOptions();
    const r = next.parse(data, this.ns.owner);
    if (r < 0) return r;
    return this.opts.parse(data, this.ns.owner);
  }

  /** has_pid_permissions(): `t` may know of the process, unless the mount hides that much (`from`) of it. */
  shows(t: CallContext | null, pid: Pid, from: number): boolean {
    const { hidePid, gid } = this.opts;
    if (hidePid < from || t === null) return true;
    const task = pid.task ?? pid.group?.leader ?? null;
    if (task === null) return true;
    if (hidePid !== HIDEPID_NOT_PTRACEABLE && t.creds.inGroup(gid)) return true;
    return mayAccess(t as Task, task) === 0;
  }

  /** /proc/PID/net of whoever is in `ns`. */
  netDir(ns: NetNamespace): StaticDir {
    let dir = this.networks.get(ns);
    if (dir === undefined) this.networks.set(ns, (dir = makeNetDir(this, ns)));
    return dir;
  }

  processDir(pid: Pid): PidDir {
    return this.dirOf(this.processes, pid, pid.group === null);
  }

  threadDir(pid: Pid): PidDir {
    return this.dirOf(this.threads, pid, true);
  }

  /** The name of a process that is gone, with all that is cached below it. */
  private forget(nr: number): void {
    const dentry = this.rootDentry?.child(String(nr));
    if (dentry !== undefined && dentry.mounted === 0) dentry.drop();
  }

  private dirOf(cache: WeakMap<Pid, PidDir>, pid: Pid, isThread: boolean): PidDir {
    let dir = cache.get(pid);
    if (dir === undefined) {
      dir = new PidDir(this, new Subject(this.env, this.ns, pid, isThread));
      cache.set(pid, dir);
      if (cache === this.processes) pid.onRelease(() => this.forget(pid.nrIn(this.ns)));
    }
    dir.refresh();
    return dir;
  }
}

/** Makes `proc` mountable. A mount shows the PID namespace of whoever mounts it, the first one for the kernel's own mounts. */
export function registerProc(env: ProcEnv): void {
  registerFileSystem({
    name: 'proc',
    nodev: true,
    owner: (t) => (t as Task).pidNs.owner,
    checkOption: (option) => new ProcOptions().parse(option, null),
    mount: (t, _source, _flags, data) => {
      const sb = new ProcSuperBlock(env, t === null ? env.kernel.pidNs : (t as Task).pidNs);
      const r = sb.opts.parse(data, t === null ? null : t.creds.userNs);
      return r < 0 ? r : sb;
    },
  });
}
