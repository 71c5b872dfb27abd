/** User and group ids, supplementary groups. Linux: kernel/sys.c, kernel/groups.c, security/commoncap.c. */
import { EFAULT, EINVAL, EPERM } from '../sentry/abi/errno.ts';
import { SECBIT_KEEP_CAPS, SECBIT_NO_SETUID_FIXUP } from '../sentry/abi/securebits.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import {
  CAP_CHOWN,
  CAP_DAC_OVERRIDE,
  CAP_DAC_READ_SEARCH,
  CAP_FOWNER,
  CAP_FSETID,
  CAP_LINUX_IMMUTABLE,
  CAP_MAC_OVERRIDE,
  CAP_MKNOD,
  CAP_SETGID,
  CAP_SETUID,
  CapSet,
} from '../sentry/auth/capability.ts';
import type { Credentials } from '../sentry/auth/credentials.ts';
import { int, outBuf, ptr, uint, type SysResult, type SyscallRow } from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';

const NO_ID = 0xffffffff;
const NGROUPS_MAX = 65536;
/** CAP_FS_MASK | CAP_FSETID…: what follows the file system uid. */
const FS_CAPS = CapSet.of(
  CAP_CHOWN,
  CAP_DAC_OVERRIDE,
  CAP_DAC_READ_SEARCH,
  CAP_FOWNER,
  CAP_FSETID,
  CAP_LINUX_IMMUTABLE,
  CAP_MKNOD,
  CAP_MAC_OVERRIDE,
);

/** cap_emulate_setxuid(): capabilities follow the change from and to uid 0. */
function fixCapsAfterSetuid(n: Credentials, o: Credentials): void {
  if ((o.securebits & SECBIT_NO_SETUID_FIXUP) !== 0) return;
  const root = o.userNs.toUid(0);
  const hadRoot = o.uid === root || o.euid === root || o.suid === root;
  const hasRoot = n.uid === root || n.euid === root || n.suid === root;
  if (hadRoot && !hasRoot) {
    if ((o.securebits & SECBIT_KEEP_CAPS) === 0) {
      n.permitted = CapSet.EMPTY;
      n.effective = CapSet.EMPTY;
    }
    // "Pre-ambient programs expect setresuid to nonroot followed by exec to drop capabilities."
    n.ambient = CapSet.EMPTY;
  }
  if (o.euid === root && n.euid !== root) n.effective = CapSet.EMPTY;
  if (o.euid !== root && n.euid === root) n.effective = n.permitted;
}

function commit(t: Task, n: Credentials): SysResult {
  const o = t.creds;
  // Whoever changes identity may hold secrets of the old one (commit_creds).
  if (o.euid !== n.euid || o.egid !== n.egid || o.fsuid !== n.fsuid || o.fsgid !== n.fsgid) {
    t.mm.dumpable = t.kernel.core.suidDumpable;
    t.pdeathSignal = 0;
  }
  t.kernel.commitCreds(t, n);
  return 0;
}

function sysGetuid(t: Task): SysResult {
  return t.creds.userNs.fromUid(t.creds.uid);
}

function sysGeteuid(t: Task): SysResult {
  return t.creds.userNs.fromUid(t.creds.euid);
}

function sysGetgid(t: Task): SysResult {
  return t.creds.userNs.fromGid(t.creds.gid);
}

function sysGetegid(t: Task): SysResult {
  return t.creds.userNs.fromGid(t.creds.egid);
}

/** The ids of one kind: the calls on users and on groups differ in nothing else. */
interface IdKind {
  readonly real: 'uid' | 'gid';
  readonly effective: 'euid' | 'egid';
  readonly saved: 'suid' | 'sgid';
  readonly fs: 'fsuid' | 'fsgid';
  readonly capability: number;
}

const USER: IdKind = { real: 'uid', effective: 'euid', saved: 'suid', fs: 'fsuid', capability: CAP_SETUID };
const GROUP: IdKind = { real: 'gid', effective: 'egid', saved: 'sgid', fs: 'fsgid', capability: CAP_SETGID };

/** make_kuid() of argument `i`; NO_ID stays, −1: nobody. */
function idArg(o: Credentials, a: SyscallArgs, i: number, k: IdKind): number {
  const id = a.uint(i);
  if (id === NO_ID) return NO_ID;
  return k === USER ? o.userNs.toUid(id) : o.userNs.toGid(id);
}

function idName(o: Credentials, id: number, k: IdKind): number {
  return k === USER ? o.userNs.fromUid(id) : o.userNs.fromGid(id);
}

function commitIds(t: Task, n: Credentials, k: IdKind): SysResult {
  if (k === USER) fixCapsAfterSetuid(n, t.creds);
  return commit(t, n);
}

/** setuid(2), setgid(2). */
function setId(t: Task, a: SyscallArgs, k: IdKind): SysResult {
  const o = t.creds;
  const id = idArg(o, a, 0, k);
  if (id === NO_ID || id < 0) return -EINVAL;
  const n = o.clone();
  if (o.hasOwn(k.capability)) {
    n[k.real] = id;
    n[k.saved] = id;
  } else if (id !== o[k.real] && id !== o[k.saved]) return -EPERM;
  n[k.effective] = id;
  n[k.fs] = id;
  return commitIds(t, n, k);
}

/** setreuid(2), setregid(2). */
function setReId(t: Task, a: SyscallArgs, k: IdKind): SysResult {
  const o = t.creds;
  const real = idArg(o, a, 0, k);
  const effective = idArg(o, a, 1, k);
  if (real < 0 || effective < 0) return -EINVAL;
  const n = o.clone();
  const may = o.hasOwn(k.capability);
  if (real !== NO_ID) {
    if (real !== o[k.real] && real !== o[k.effective] && !may) return -EPERM;
    n[k.real] = real;
  }
  if (effective !== NO_ID) {
    if (!may && !isOwn(o, k, effective)) return -EPERM;
    n[k.effective] = effective;
  }
  if (real !== NO_ID || (effective !== NO_ID && effective !== o[k.real])) n[k.saved] = n[k.effective];
  n[k.fs] = n[k.effective];
  return commitIds(t, n, k);
}

/** setresuid(2), setresgid(2). */
function setResId(t: Task, a: SyscallArgs, k: IdKind): SysResult {
  const o = t.creds;
  const ids = [idArg(o, a, 0, k), idArg(o, a, 1, k), idArg(o, a, 2, k)];
  if (ids.some((id) => id < 0)) return -EINVAL;
  if (!o.hasOwn(k.capability)) {
    for (const id of ids) if (id !== NO_ID && !isOwn(o, k, id)) return -EPERM;
  }
  const n = o.clone();
  if (ids[0] !== NO_ID) n[k.real] = ids[0]!;
  if (ids[1] !== NO_ID) n[k.effective] = ids[1]!;
  if (ids[2] !== NO_ID) n[k.saved] = ids[2]!;
  n[k.fs] = n[k.effective];
  return commitIds(t, n, k);
}

function isOwn(o: Credentials, k: IdKind, id: number): boolean {
  return id === o[k.real] || id === o[k.effective] || id === o[k.saved];
}

const sysSetuid = (t: Task, a: SyscallArgs): SysResult => setId(t, a, USER);
const sysSetgid = (t: Task, a: SyscallArgs): SysResult => setId(t, a, GROUP);
const sysSetreuid = (t: Task, a: SyscallArgs): SysResult => setReId(t, a, USER);
const sysSetregid = (t: Task, a: SyscallArgs): SysResult => setReId(t, a, GROUP);
const sysSetresuid = (t: Task, a: SyscallArgs): SysResult => setResId(t, a, USER);
const sysSetresgid = (t: Task, a: SyscallArgs): SysResult => setResId(t, a, GROUP);

function writeThree(t: Task, a: SyscallArgs, k: IdKind): SysResult {
  const o = t.creds;
  if (t.mem.writeU32(a.addr(0), idName(o, o[k.real], k)) !== 0) return -EFAULT;
  if (t.mem.writeU32(a.addr(1), idName(o, o[k.effective], k)) !== 0) return -EFAULT;
  return t.mem.writeU32(a.addr(2), idName(o, o[k.saved], k));
}

function sysGetresuid(t: Task, a: SyscallArgs): SysResult {
  return writeThree(t, a, USER);
}

function sysGetresgid(t: Task, a: SyscallArgs): SysResult {
  return writeThree(t, a, GROUP);
}

/** setfsuid(2), setfsgid(2): return the old value whether they worked or not. */
function setFsId(t: Task, a: SyscallArgs, k: IdKind): SysResult {
  const o = t.creds;
  const id = idArg(o, a, 0, k);
  const old = o[k.fs];
  const told = idName(o, old, k);
  const may = id === old || isOwn(o, k, id) || o.hasOwn(k.capability);
  if (id === NO_ID || id < 0 || !may || id === old) return told;
  const n = o.clone();
  n[k.fs] = id;
  if (k === USER && (o.securebits & SECBIT_NO_SETUID_FIXUP) === 0) {
    const root = o.userNs.toUid(0);
    if (old === root && id !== root) n.effective = n.effective.without(FS_CAPS);
    if (old !== root && id === root) n.effective = n.effective.or(FS_CAPS.and(n.permitted));
  }
  commit(t, n);
  return told;
}

const sysSetfsuid = (t: Task, a: SyscallArgs): SysResult => setFsId(t, a, USER);
const sysSetfsgid = (t: Task, a: SyscallArgs): SysResult => setFsId(t, a, GROUP);

function sysGetgroups(t: Task, a: SyscallArgs): SysResult {
  const room = a.int(0);
  const groups = t.creds.groups;
  if (room < 0) return -EINVAL;
  if (room === 0) return groups.length;
  if (groups.length > room) return -EINVAL;
  const buf = Buffer.alloc(4 * groups.length);
  groups.forEach((g, i) => buf.writeUInt32LE(t.creds.userNs.fromGid(g), 4 * i));
  return t.mem.copyOut(a.addr(1), buf, 0, buf.length) !== 0 ? -EFAULT : groups.length;
}

function sysSetgroups(t: Task, a: SyscallArgs): SysResult {
  const { userNs } = t.creds;
  // may_setgroups(): not before the group map is written, and not if /proc/PID/setgroups says deny.
  const allowed = userNs.maps.setgroups && (userNs.level === 0 || userNs.gidMap !== null);
  if (!t.creds.hasOwn(CAP_SETGID) || !allowed) return -EPERM;
  const n = a.uint(0);
  if (n > NGROUPS_MAX) return -EINVAL;
  const buf = Buffer.alloc(4 * n);
  const got = t.mem.copyInPartial(a.addr(1), buf, 0, buf.length);
  const groups: number[] = [];
  for (let i = 0; i < n; i++) {
    if (4 * (i + 1) > got) return -EFAULT;
    const g = userNs.toGid(buf.readUInt32LE(4 * i));
    if (g === NO_ID || g < 0) return -EINVAL;
    groups.push(g);
  }
  const c = t.creds.clone();
  c.groups = groups.sort((x, y) => x - y);
  t.kernel.commitCreds(t, c);
  return 0;
}

export const credentialRows: SyscallRow[] = [
  { nr: 102, name: 'getuid', fn: sysGetuid, args: [], support: 'full' },
  { nr: 104, name: 'getgid', fn: sysGetgid, args: [], support: 'full' },
  { nr: 105, name: 'setuid', fn: sysSetuid, args: [uint], support: 'full' },
  { nr: 106, name: 'setgid', fn: sysSetgid, args: [uint], support: 'full' },
  { nr: 107, name: 'geteuid', fn: sysGeteuid, args: [], support: 'full' },
  { nr: 108, name: 'getegid', fn: sysGetegid, args: [], support: 'full' },
  { nr: 113, name: 'setreuid', fn: sysSetreuid, args: [int, int], support: 'full' },
  { nr: 114, name: 'setregid', fn: sysSetregid, args: [int, int], support: 'full' },
  { nr: 115, name: 'getgroups', fn: sysGetgroups, args: [int, outBuf(0, 4)], support: 'full' },
  { nr: 116, name: 'setgroups', fn: sysSetgroups, args: [int, ptr], support: 'full' },
  { nr: 117, name: 'setresuid', fn: sysSetresuid, args: [int, int, int], support: 'full' },
  { nr: 118, name: 'getresuid', fn: sysGetresuid, args: [ptr, ptr, ptr], support: 'full' },
  { nr: 119, name: 'setresgid', fn: sysSetresgid, args: [int, int, int], support: 'full' },
  { nr: 120, name: 'getresgid', fn: sysGetresgid, args: [ptr, ptr, ptr], support: 'full' },
  { nr: 122, name: 'setfsuid', fn: sysSetfsuid, args: [uint], support: 'full' },
  { nr: 123, name: 'setfsgid', fn: sysSetfsgid, args: [uint], support: 'full' },
];
