/** unshare, setns, uname and host names. Linux: kernel/nsproxy.c, kernel/sys.c. */
import { EBADF, EFAULT, EINVAL, EMFILE, ENOSPC, EPERM } from '../sentry/abi/errno.ts';
import { UTS_MACHINE, UTS_RELEASE, UTS_SYSNAME, UTS_VERSION } from '../sentry/abi/utsname.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { CapSet, CAP_SYS_ADMIN } from '../sentry/auth/capability.ts';
import { type Credentials, UserNamespace } from '../sentry/auth/credentials.ts';
import {
  CgroupNamespace,
  IpcNamespace,
  NetNamespace,
  UtsNamespace,
  type NewNamespaces,
} from '../sentry/kernel/namespaces.ts';
import { PidNamespace } from '../sentry/kernel/pid-namespace.ts';
import {
  fd,
  hex,
  int,
  outStruct,
  ptr,
  size,
  type SysResult,
  type SyscallRow,
} from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import {
  CLONE_FILES,
  CLONE_FS,
  CLONE_NEWCGROUP,
  CLONE_NEWIPC,
  CLONE_NEWNET,
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWTIME,
  CLONE_NEWUSER,
  CLONE_NEWUTS,
  CLONE_SIGHAND,
  CLONE_SYSVSEM,
  CLONE_THREAD,
  CLONE_VM,
} from '../sentry/kernel/task-clone.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';

/** MAX_PID_NS_LEVEL and the bound of nested user namespaces. */
const MAX_LEVEL = 32;
// Execution domains (include/uapi/linux/personality.h) and what override_architecture() makes of them.
const PER_MASK = 0xff;
const PER_LINUX32 = 8;
const UTSNAME_FIELD = 65;
const UTSNAME_SIZE = 6 * UTSNAME_FIELD;
const NEEDS_ADMIN = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET;

/** Credentials in a user namespace of the caller's own: full capabilities there (create_user_ns). */
function newUserNamespace(t: Task): Credentials | number {
  const parent = t.creds.userNs;
  if (parent.level >= MAX_LEVEL) return -ENOSPC;
  const c = t.creds.clone();
  c.userNs = new UserNamespace(parent, c.euid);
  c.permitted = CapSet.FULL;
  c.effective = CapSet.FULL;
  c.inheritable = CapSet.EMPTY;
  c.ambient = CapSet.EMPTY;
  c.bounding = CapSet.FULL;
  c.securebits = 0;
  return c;
}

/** New namespaces for clone and unshare: −EPERM without CAP_SYS_ADMIN, −EINVAL for kinds that are not there. */
export function makeNamespaces(t: Task, flags: number): NewNamespaces | number {
  if ((flags & CLONE_NEWTIME) !== 0) return -EINVAL;
  // Capabilities in a user namespace of one's own would have to be told from those over the sandbox everywhere.
  if ((flags & CLONE_NEWUSER) !== 0) return t.creds.has(CAP_SYS_ADMIN) ? withUserNamespace(t, flags) : -EPERM;
  if ((flags & NEEDS_ADMIN) !== 0 && !t.creds.has(CAP_SYS_ADMIN)) return -EPERM;
  return compose(t, flags, null);
}

function withUserNamespace(t: Task, flags: number): NewNamespaces | number {
  const creds = newUserNamespace(t);
  return typeof creds === 'number' ? creds : compose(t, flags, creds);
}

function compose(t: Task, flags: number, creds: Credentials | null): NewNamespaces | number {
  const old = t.ns;
  if ((flags & CLONE_NEWPID) !== 0 && old.pidForChildren.level >= MAX_LEVEL) return -ENOSPC;
  const mounts = (flags & CLONE_NEWNS) !== 0 && old.mnt !== null ? old.mnt.copyFor(t.fs) : null;
  return {
    ns: {
      uts: (flags & CLONE_NEWUTS) !== 0 ? new UtsNamespace(old.uts.nodename, old.uts.domainname) : old.uts,
      ipc: (flags & CLONE_NEWIPC) !== 0 ? new IpcNamespace() : old.ipc,
      net: (flags & CLONE_NEWNET) !== 0 ? new NetNamespace() : old.net,
      mnt: mounts === null ? old.mnt : mounts.ns,
      time: old.time,
      cgroup: (flags & CLONE_NEWCGROUP) !== 0 ? new CgroupNamespace() : old.cgroup,
      pidForChildren:
        (flags & CLONE_NEWPID) !== 0 ? new PidNamespace(old.pidForChildren) : old.pidForChildren,
    },
    fs: mounts === null ? null : mounts.fs,
    creds,
  };
}

/** unshare(2). Linux: ksys_unshare(), check_unshare_flags(). */
function sysUnshare(t: Task, a: SyscallArgs): SysResult {
  let flags = a.uint(0);
  const known =
    CLONE_THREAD |
    CLONE_FS |
    CLONE_SIGHAND |
    CLONE_VM |
    CLONE_FILES |
    CLONE_SYSVSEM |
    NEEDS_ADMIN |
    CLONE_NEWUSER |
    CLONE_NEWTIME;
  if ((flags & ~known) !== 0) return -EINVAL;
  if ((flags & CLONE_NEWUSER) !== 0) flags |= CLONE_THREAD | CLONE_FS;
  if ((flags & CLONE_VM) !== 0) flags |= CLONE_SIGHAND;
  if ((flags & CLONE_SIGHAND) !== 0) flags |= CLONE_THREAD;
  if ((flags & CLONE_NEWNS) !== 0) flags |= CLONE_FS;
  if ((flags & (CLONE_THREAD | CLONE_SIGHAND | CLONE_VM)) !== 0 && t.group.tasks.size > 1) return -EINVAL;
  if ((flags & CLONE_SIGHAND) !== 0 && t.group.handlers.shared) return -EINVAL;
  if ((flags & CLONE_VM) !== 0 && t.mm.userCount > 1) return -EINVAL;
  const made = makeNamespaces(t, flags);
  if (typeof made === 'number') return made;
  const alone = (flags & CLONE_FILES) !== 0 && t.fdTable.shared;
  // A table that was filled before fs.nr_open was lowered cannot be copied.
  if (alone && Math.max(-1, ...t.fdTable.fds()) >= t.kernel.openFilesMax) return -EMFILE;
  if (made.fs !== null || ((flags & CLONE_FS) !== 0 && t.fs.shared)) {
    const old = t.fs;
    t.fs = made.fs ?? old.clone();
    old.unref();
  }
  if (alone) {
    const old = t.fdTable;
    t.fdTable = old.clone();
    old.unref(t);
  }
  if (made.creds !== null) t.kernel.commitCreds(t, made.creds);
  t.ns = made.ns;
  return 0;
}

/** setns(2): namespace files cannot be opened here, so every descriptor is one of another kind. */
function sysSetns(t: Task, a: SyscallArgs): SysResult {
  const f = t.fdTable.get(a.int(0));
  return f === null ? -EBADF : -EINVAL;
}

function putField(i: number, s: string): void {
  scratch.bytes.write(s.slice(0, UTSNAME_FIELD - 1), i * UTSNAME_FIELD, 'latin1');
}

function sysUname(t: Task, a: SyscallArgs): SysResult {
  scratch.bytes.fill(0, 0, UTSNAME_SIZE);
  const machine = (t.personality & PER_MASK) === PER_LINUX32 ? 'i686' : UTS_MACHINE;
  const { nodename, domainname } = t.ns.uts;
  [UTS_SYSNAME, nodename, UTS_RELEASE, UTS_VERSION, machine, domainname].forEach((s, i) => putField(i, s));
  return t.mem.copyOut(a.addr(0), scratch.bytes, 0, UTSNAME_SIZE);
}

function readName(t: Task, a: SyscallArgs): string | number {
  if (!t.creds.has(CAP_SYS_ADMIN)) return -EPERM;
  const len = a.int(1);
  if (len < 0 || len > UTSNAME_FIELD - 1) return -EINVAL;
  if (t.mem.copyIn(a.addr(0), scratch.bytes, 0, len) !== 0) return -EFAULT;
  return scratch.bytes.toString('latin1', 0, len);
}

function sysSethostname(t: Task, a: SyscallArgs): SysResult {
  const name = readName(t, a);
  if (typeof name === 'number') return name;
  t.ns.uts.nodename = name;
  return 0;
}

function sysSetdomainname(t: Task, a: SyscallArgs): SysResult {
  const name = readName(t, a);
  if (typeof name === 'number') return name;
  t.ns.uts.domainname = name;
  return 0;
}

export const namespaceRows: SyscallRow[] = [
  { nr: 63, name: 'uname', fn: sysUname, args: [outStruct(UTSNAME_SIZE, 'utsname')], support: 'full' },
  { nr: 170, name: 'sethostname', fn: sysSethostname, args: [ptr, size], support: 'full' },
  { nr: 171, name: 'setdomainname', fn: sysSetdomainname, args: [ptr, size], support: 'full' },
  {
    nr: 272,
    name: 'unshare',
    fn: sysUnshare,
    args: [hex],
    support: 'partial',
    note: 'user namespaces only with CAP_SYS_ADMIN; no time namespaces (EINVAL)',
  },
  {
    nr: 308,
    name: 'setns',
    fn: sysSetns,
    args: [fd, int],
    support: 'none',
    note: 'namespace files cannot be opened: EINVAL',
  },
];
