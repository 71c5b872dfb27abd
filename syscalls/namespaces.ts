/** unshare, setns, uname and host names. Linux: kernel/nsproxy.c, kernel/sys.c. */
import { EBADF, EFAULT, EINVAL, EMFILE, ENOSPC, EPERM, ESRCH, EUSERS } from '../sentry/abi/errno.ts';
import { UTS_MACHINE, UTS_RELEASE, UTS_RELEASE_26, UTS_SYSNAME, UTS_VERSION } from '../sentry/abi/utsname.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { CapSet, CAP_SETFCAP, CAP_SYS_ADMIN, CAP_SYS_CHROOT } from '../sentry/auth/capability.ts';
import { type Credentials, type Owned, UserNamespace } from '../sentry/auth/credentials.ts';
import type { NamespaceKind } from '../sentry/auth/namespace-users.ts';
import { PidFdFile } from '../sentry/fsimpl/anon/pidfd.ts';
import { mayTrace } from '../sentry/fsimpl/proc/access.ts';
import { NsFile } from '../sentry/fsimpl/proc/ns.ts';
import {
  CgroupNamespace,
  IpcNamespace,
  MountNamespaceRef,
  NetNamespace,
  UtsNamespace,
  leaveNamespaces,
  useNamespaces,
  type Namespaces,
  type NewNamespaces,
} from '../sentry/kernel/namespaces.ts';
import { addNetwork } from '../sentry/socket/network.ts';
import { dropSysvTables } from '../sentry/kernel/ipc/ipc-state.ts';
import { PidNamespace } from '../sentry/kernel/pid-namespace.ts';
import { followTime } from '../sentry/kernel/shifted-time.ts';
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
import type { TimeNamespace } from '../sentry/kernel/time-namespace.ts';
import { mayMakeNamespace, rememberMaker } from '../sentry/kernel/ucount.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';
import { topOf, type MountNamespace } from '../sentry/vfs/mount-namespace.ts';

/** MAX_PID_NS_LEVEL. User namespaces nest one deeper ("parent_ns->level > 32"). */
const MAX_LEVEL = 32;
// Execution domains (include/uapi/linux/personality.h) and what override_architecture() makes of them.
const PER_MASK = 0xff;
const PER_LINUX32 = 8;
const UNAME26 = 0x20000;
const UTSNAME_FIELD = 65;
const UTSNAME_SIZE = 6 * UTSNAME_FIELD;
const NEEDS_ADMIN =
  CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWTIME;

/** Credentials in a user namespace of the caller's own: full capabilities there (create_user_ns). */
function newUserNamespace(t: Task): Credentials | number {
  const o = t.creds;
  const parent = o.userNs;
  if (parent.level > MAX_LEVEL) return -ENOSPC;
  if (mayMakeNamespace(t.kernel, 'user', parent, o.euid) < 0) return -ENOSPC;
  // "Verify that we can not violate the policy of which files may be accessed that is specified by the root directory".
  if (isChrooted(t)) return -EPERM;
  if (!parent.hasUid(o.euid) || !parent.hasGid(o.egid)) return -EPERM;
  const ns = new UserNamespace(parent, o.euid, o.egid, o.effective.has(CAP_SETFCAP));
  return enterUserNamespace(o, ns);
}

/** set_cred_user_ns() */
function enterUserNamespace(o: Credentials, ns: UserNamespace): Credentials {
  const c = o.clone();
  c.userNs = ns;
  c.permitted = CapSet.FULL;
  c.effective = CapSet.FULL;
  c.inheritable = CapSet.EMPTY;
  c.ambient = CapSet.EMPTY;
  c.bounding = CapSet.FULL;
  c.securebits = 0;
  return c;
}

/** current_chrooted() */
function isChrooted(t: Task): boolean {
  const { root } = t.fs;
  const ns = root.mount.ns;
  if (ns === null) return true;
  const top = topOf({ mount: ns.root, dentry: ns.root.root });
  return top.mount !== root.mount || top.dentry !== root.dentry;
}

/** New namespaces for clone and unshare: −EPERM without CAP_SYS_ADMIN. */
export function makeNamespaces(t: Task, flags: number): NewNamespaces | number {
  if ((flags & CLONE_NEWUSER) !== 0) {
    const creds = newUserNamespace(t);
    return typeof creds === 'number' ? creds : compose(t, flags, creds);
  }
  if ((flags & NEEDS_ADMIN) !== 0 && !t.creds.hasOwn(CAP_SYS_ADMIN)) return -EPERM;
  return compose(t, flags, null);
}

function owned<N extends Owned>(ns: N, creds: Credentials): N {
  ns.owner = creds.userNs.level === 0 ? null : creds.userNs;
  rememberMaker(ns, creds);
  return ns;
}

function newIpc(creds: Credentials): IpcNamespace {
  const ns = owned(new IpcNamespace(), creds);
  ns.onUnused = (): void => dropSysvTables(ns);
  return ns;
}

const KINDS: readonly (readonly [number, NamespaceKind])[] = [
  [CLONE_NEWNS, 'mnt'],
  [CLONE_NEWUTS, 'uts'],
  [CLONE_NEWIPC, 'ipc'],
  [CLONE_NEWPID, 'pid'],
  [CLONE_NEWCGROUP, 'cgroup'],
  [CLONE_NEWNET, 'net'],
  [CLONE_NEWTIME, 'time'],
];

/** copy_namespaces(): what is new belongs to the user namespace of `creds`. */
function compose(t: Task, flags: number, creds: Credentials | null): NewNamespaces | number {
  const old = t.ns;
  const by = creds ?? t.creds;
  const { userNs } = by;
  const wants = (flag: number): boolean => (flags & flag) !== 0;
  if (wants(CLONE_NEWPID)) {
    if (old.pidForChildren.level >= MAX_LEVEL) return -ENOSPC;
    // in_userns(): namespaces nest as their owners do.
    const above = old.pidForChildren.owner;
    if (above !== null && !above.contains(userNs)) return -EINVAL;
  }
  for (const [flag, kind] of KINDS) {
    if (wants(flag) && mayMakeNamespace(t.kernel, kind, userNs, by.euid) < 0) return -ENOSPC;
  }
  const owner = userNs.level === 0 ? null : userNs;
  const net = wants(CLONE_NEWNET) ? owned(new NetNamespace(), by) : old.net;
  if (net !== old.net && !addNetwork(net)) return -ENOSPC;
  const mounts = wants(CLONE_NEWNS) && old.mnt !== null ? old.mnt.copyFor(t.fs, owner) : null;
  if (mounts !== null) {
    const tree = mounts.ns.mounts;
    rememberMaker(tree, by);
    tree.onUnused = (): void => tree.dissolve();
  }
  const { nodename, domainname } = old.uts;
  return {
    ns: {
      uts: wants(CLONE_NEWUTS) ? owned(new UtsNamespace(nodename, domainname), by) : old.uts,
      ipc: wants(CLONE_NEWIPC) ? newIpc(by) : old.ipc,
      net,
      mnt: mounts === null ? old.mnt : mounts.ns,
      time: old.time,
      timeForChildren: wants(CLONE_NEWTIME) ? owned(old.timeForChildren.copy(), by) : old.timeForChildren,
      cgroup: wants(CLONE_NEWCGROUP) ? owned(new CgroupNamespace(t.cset), by) : old.cgroup,
      pidForChildren: wants(CLONE_NEWPID)
        ? owned(new PidNamespace(old.pidForChildren), by)
        : old.pidForChildren,
    },
    fs: mounts === null ? null : mounts.fs,
    creds,
  };
}

/** switch_task_namespaces() */
function changeNamespaces(t: Task, ns: Namespaces): void {
  const old = t.ns;
  useNamespaces(ns);
  t.ns = ns;
  leaveNamespaces(old);
}

/** unshare(2). Linux: ksys_unshare(), check_unshare_flags(). */
function sysUnshare(t: Task, a: SyscallArgs): SysResult {
  let flags = a.uint(0);
  if (a.words[1] !== 0) return -EINVAL;
  const known =
    CLONE_THREAD |
    CLONE_FS |
    CLONE_SIGHAND |
    CLONE_VM |
    CLONE_FILES |
    CLONE_SYSVSEM |
    NEEDS_ADMIN |
    CLONE_NEWUSER;
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
  if (alone && Math.max(-1, ...t.fdTable.fds()) >= t.kernel.openFilesMax) {
    made.fs?.unref();
    useNamespaces(made.ns);
    leaveNamespaces(made.ns);
    return -EMFILE;
  }
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
  changeNamespaces(t, made.ns);
  return 0;
}

/** Namespace flags that setns(2) takes with a pidfd (check_setns_flags). */
const SETNS_KINDS = NEEDS_ADMIN | CLONE_NEWUSER;

/** What a setns(2) has gathered before anything is changed (struct nsset). */
interface NsSet {
  creds: Credentials;
  ns: Namespaces;
  /** The mount namespace whose root becomes root and working directory. */
  mounts: MountNamespace | null;
}

function sysSetns(t: Task, a: SyscallArgs): SysResult {
  const f = t.fdTable.get(a.int(0));
  if (f === null) return -EBADF;
  const flags = a.int(1);
  const set: NsSet = { creds: t.creds, ns: t.ns, mounts: null };
  let r: number;
  if (f instanceof NsFile) {
    if (flags !== 0 && flags !== f.ns.cloneFlag) return -EINVAL;
    r = install(t, set, f.ns.cloneFlag, f.ns.namespace);
  } else if (f instanceof PidFdFile) r = installAll(t, set, flags, f);
  else return -EINVAL;
  if (r !== 0) return r;
  if (set.mounts !== null) {
    const place = topOf({ mount: set.mounts.root, dentry: set.mounts.root.root });
    t.fs.setRoot(place);
    t.fs.setCwd(place);
  }
  if (set.creds !== t.creds) t.kernel.commitCreds(t, set.creds);
  changeNamespaces(t, set.ns);
  followTime(t.kernel, t.ctx, t.mm, set.ns.time);
  return 0;
}

/** validate_nsset(): the namespaces of the process that a pidfd names, the user namespace first. */
function installAll(t: Task, set: NsSet, flags: number, f: PidFdFile): number {
  if (flags === 0 || (flags & ~SETNS_KINDS) !== 0) return -EINVAL;
  const other = f.target();
  if (other === null) return -ESRCH;
  if (!mayTrace(t, other)) return -EPERM;
  const targets: [number, object | null][] = [
    [CLONE_NEWUSER, other.creds.userNs],
    [CLONE_NEWNS, other.fs.root.mount.ns],
    [CLONE_NEWUTS, other.ns.uts],
    [CLONE_NEWIPC, other.ns.ipc],
    [CLONE_NEWPID, other.pidNs],
    [CLONE_NEWCGROUP, other.ns.cgroup],
    [CLONE_NEWNET, other.ns.net],
    [CLONE_NEWTIME, other.ns.time],
  ];
  for (const [flag, ns] of targets) {
    if ((flags & flag) === 0 || ns === null) continue;
    const r = install(t, set, flag, ns);
    if (r !== 0) return r;
  }
  return 0;
}

/** proc_ns_operations.install of each kind: 0 or −errno. */
function install(t: Task, set: NsSet, flag: number, ns: object): number {
  if (flag === CLONE_NEWUSER) return installUser(t, set, ns as UserNamespace);
  // timens_install()
  if (flag === CLONE_NEWTIME && t.group.tasks.size > 1) return -EUSERS;
  const { owner } = ns as Owned;
  if (!set.creds.hasIn(CAP_SYS_ADMIN, owner) || !set.creds.hasOwn(CAP_SYS_ADMIN)) return -EPERM;
  switch (flag) {
    case CLONE_NEWNS:
      // Taken apart: a handle that nobody had open led here.
      if ((ns as MountNamespace).count === 0) return -EINVAL;
      if (!set.creds.hasOwn(CAP_SYS_CHROOT)) return -EPERM;
      if (t.fs.shared) return -EINVAL;
      set.mounts = ns as MountNamespace;
      set.ns = { ...set.ns, mnt: new MountNamespaceRef(set.mounts) };
      return 0;
    case CLONE_NEWPID: {
      // "The target is the caller's own or a descendant."
      let at: PidNamespace | null = ns as PidNamespace;
      while (at !== null && at.level > t.pidNs.level) at = at.parent;
      if (at !== t.pidNs) return -EINVAL;
      set.ns = { ...set.ns, pidForChildren: ns as PidNamespace };
      return 0;
    }
    case CLONE_NEWUTS:
      set.ns = { ...set.ns, uts: ns as UtsNamespace };
      return 0;
    case CLONE_NEWIPC:
      set.ns = { ...set.ns, ipc: ns as IpcNamespace };
      return 0;
    case CLONE_NEWNET:
      set.ns = { ...set.ns, net: ns as NetNamespace };
      return 0;
    case CLONE_NEWCGROUP:
      set.ns = { ...set.ns, cgroup: ns as CgroupNamespace };
      return 0;
    default: {
      const time = (ns as TimeNamespace).enter();
      set.ns = { ...set.ns, time, timeForChildren: time };
      return 0;
    }
  }
}

/** userns_install() */
function installUser(t: Task, set: NsSet, ns: UserNamespace): number {
  if (ns.sameAs(t.creds.userNs) || t.group.tasks.size > 1 || t.fs.shared) return -EINVAL;
  if (!t.creds.hasIn(CAP_SYS_ADMIN, ns)) return -EPERM;
  set.creds = enterUserNamespace(t.creds, ns);
  return 0;
}

function putField(i: number, s: string): void {
  scratch.bytes.write(s.slice(0, UTSNAME_FIELD - 1), i * UTSNAME_FIELD, 'latin1');
}

function sysUname(t: Task, a: SyscallArgs): SysResult {
  scratch.bytes.fill(0, 0, UTSNAME_SIZE);
  const machine = (t.personality & PER_MASK) === PER_LINUX32 ? 'i686' : UTS_MACHINE;
  const release = (t.personality & UNAME26) === 0 ? UTS_RELEASE : UTS_RELEASE_26;
  const { nodename, domainname } = t.ns.uts;
  [UTS_SYSNAME, nodename, release, UTS_VERSION, machine, domainname].forEach((s, i) => putField(i, s));
  return t.mem.copyOut(a.addr(0), scratch.bytes, 0, UTSNAME_SIZE);
}

function readName(t: Task, a: SyscallArgs): string | number {
  if (!t.creds.hasIn(CAP_SYS_ADMIN, t.ns.uts.owner)) return -EPERM;
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
    support: 'full',
  },
  {
    nr: 308,
    name: 'setns',
    fn: sysSetns,
    args: [fd, int],
    support: 'full',
  },
];
