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
  const hadRoot = o.uid === 0 || o.euid === 0 || o.suid === 0;
  const hasRoot = n.uid === 0 || n.euid === 0 || n.suid === 0;
  if (hadRoot && !hasRoot) {
    if ((o.securebits & SECBIT_KEEP_CAPS) === 0) {
      n.permitted = CapSet.EMPTY;
      n.effective = CapSet.EMPTY;
    }
    // "Pre-ambient programs expect setresuid to nonroot followed by exec to drop capabilities."
    n.ambient = CapSet.EMPTY;
  }
  if (o.euid === 0 && n.euid !== 0) n.effective = CapSet.EMPTY;
  if (o.euid !== 0 && n.euid === 0) n.effective = n.permitted;
}

function commit(t: Task, n: Credentials): SysResult {
  const o = t.creds;
  // Whoever changes identity may hold secrets of the old one (commit_creds).
  if (o.euid !== n.euid || o.egid !== n.egid || o.fsuid !== n.fsuid || o.fsgid !== n.fsgid) {
    t.mm.dumpable = 0;
    t.pdeathSignal = 0;
  }
  t.kernel.commitCreds(t, n);
  return 0;
}

function commitUid(t: Task, n: Credentials): SysResult {
  fixCapsAfterSetuid(n, t.creds);
  return commit(t, n);
}

function sysGetuid(t: Task): SysResult {
  return t.creds.uid;
}

function sysGeteuid(t: Task): SysResult {
  return t.creds.euid;
}

function sysGetgid(t: Task): SysResult {
  return t.creds.gid;
}

function sysGetegid(t: Task): SysResult {
  return t.creds.egid;
}

function sysSetuid(t: Task, a: SyscallArgs): SysResult {
  const id = a.uint(0);
  if (id === NO_ID) return -EINVAL;
  const o = t.creds;
  const n = o.clone();
  if (o.has(CAP_SETUID)) {
    n.uid = id;
    n.suid = id;
  } else if (id !== o.uid && id !== o.suid) return -EPERM;
  n.euid = id;
  n.fsuid = id;
  return commitUid(t, n);
}

function sysSetreuid(t: Task, a: SyscallArgs): SysResult {
  const ruid = a.uint(0);
  const euid = a.uint(1);
  const o = t.creds;
  const n = o.clone();
  const may = o.has(CAP_SETUID);
  if (ruid !== NO_ID) {
    if (ruid !== o.uid && ruid !== o.euid && !may) return -EPERM;
    n.uid = ruid;
  }
  if (euid !== NO_ID) {
    if (euid !== o.uid && euid !== o.euid && euid !== o.suid && !may) return -EPERM;
    n.euid = euid;
  }
  if (ruid !== NO_ID || (euid !== NO_ID && euid !== o.uid)) n.suid = n.euid;
  n.fsuid = n.euid;
  return commitUid(t, n);
}

function sysSetresuid(t: Task, a: SyscallArgs): SysResult {
  const o = t.creds;
  const ids = [a.uint(0), a.uint(1), a.uint(2)];
  if (!o.has(CAP_SETUID)) {
    for (const id of ids) if (id !== NO_ID && id !== o.uid && id !== o.euid && id !== o.suid) return -EPERM;
  }
  const n = o.clone();
  if (ids[0] !== NO_ID) n.uid = ids[0]!;
  if (ids[1] !== NO_ID) n.euid = ids[1]!;
  if (ids[2] !== NO_ID) n.suid = ids[2]!;
  n.fsuid = n.euid;
  return commitUid(t, n);
}

function sysSetgid(t: Task, a: SyscallArgs): SysResult {
  const id = a.uint(0);
  if (id === NO_ID) return -EINVAL;
  const o = t.creds;
  const n = o.clone();
  if (o.has(CAP_SETGID)) {
    n.gid = id;
    n.sgid = id;
  } else if (id !== o.gid && id !== o.sgid) return -EPERM;
  n.egid = id;
  n.fsgid = id;
  return commit(t, n);
}

function sysSetregid(t: Task, a: SyscallArgs): SysResult {
  const rgid = a.uint(0);
  const egid = a.uint(1);
  const o = t.creds;
  const n = o.clone();
  const may = o.has(CAP_SETGID);
  if (rgid !== NO_ID) {
    if (rgid !== o.gid && rgid !== o.egid && !may) return -EPERM;
    n.gid = rgid;
  }
  if (egid !== NO_ID) {
    if (egid !== o.gid && egid !== o.egid && egid !== o.sgid && !may) return -EPERM;
    n.egid = egid;
  }
  if (rgid !== NO_ID || (egid !== NO_ID && egid !== o.gid)) n.sgid = n.egid;
  n.fsgid = n.egid;
  return commit(t, n);
}

function sysSetresgid(t: Task, a: SyscallArgs): SysResult {
  const o = t.creds;
  const ids = [a.uint(0), a.uint(1), a.uint(2)];
  if (!o.has(CAP_SETGID)) {
    for (const id of ids) if (id !== NO_ID && id !== o.gid && id !== o.egid && id !== o.sgid) return -EPERM;
  }
  const n = o.clone();
  if (ids[0] !== NO_ID) n.gid = ids[0]!;
  if (ids[1] !== NO_ID) n.egid = ids[1]!;
  if (ids[2] !== NO_ID) n.sgid = ids[2]!;
  n.fsgid = n.egid;
  return commit(t, n);
}

function writeThree(t: Task, a: SyscallArgs, x: number, y: number, z: number): SysResult {
  if (t.mem.writeU32(a.addr(0), x) !== 0) return -EFAULT;
  if (t.mem.writeU32(a.addr(1), y) !== 0) return -EFAULT;
  return t.mem.writeU32(a.addr(2), z);
}

function sysGetresuid(t: Task, a: SyscallArgs): SysResult {
  return writeThree(t, a, t.creds.uid, t.creds.euid, t.creds.suid);
}

function sysGetresgid(t: Task, a: SyscallArgs): SysResult {
  return writeThree(t, a, t.creds.gid, t.creds.egid, t.creds.sgid);
}

/** setfsuid(2): returns the old value whether it worked or not. */
function sysSetfsuid(t: Task, a: SyscallArgs): SysResult {
  const id = a.uint(0);
  const o = t.creds;
  const may = id === o.uid || id === o.euid || id === o.suid || id === o.fsuid || o.has(CAP_SETUID);
  if (id === NO_ID || !may || id === o.fsuid) return o.fsuid;
  const n = o.clone();
  n.fsuid = id;
  if ((o.securebits & SECBIT_NO_SETUID_FIXUP) === 0) {
    if (o.fsuid === 0 && id !== 0) n.effective = n.effective.without(FS_CAPS);
    if (o.fsuid !== 0 && id === 0) n.effective = n.effective.or(FS_CAPS.and(n.permitted));
  }
  commit(t, n);
  return o.fsuid;
}

function sysSetfsgid(t: Task, a: SyscallArgs): SysResult {
  const id = a.uint(0);
  const o = t.creds;
  const may = id === o.gid || id === o.egid || id === o.sgid || id === o.fsgid || o.has(CAP_SETGID);
  if (id === NO_ID || !may || id === o.fsgid) return o.fsgid;
  const n = o.clone();
  n.fsgid = id;
  commit(t, n);
  return o.fsgid;
}

function sysGetgroups(t: Task, a: SyscallArgs): SysResult {
  const room = a.int(0);
  const groups = t.creds.groups;
  if (room < 0) return -EINVAL;
  if (room === 0) return groups.length;
  if (groups.length > room) return -EINVAL;
  const buf = Buffer.alloc(4 * groups.length);
  groups.forEach((g, i) => buf.writeUInt32LE(g, 4 * i));
  return t.mem.copyOut(a.addr(1), buf, 0, buf.length) !== 0 ? -EFAULT : groups.length;
}

function sysSetgroups(t: Task, a: SyscallArgs): SysResult {
  if (!t.creds.has(CAP_SETGID)) return -EPERM;
  const n = a.uint(0);
  if (n > NGROUPS_MAX) return -EINVAL;
  const buf = Buffer.alloc(4 * n);
  if (t.mem.copyIn(a.addr(1), buf, 0, buf.length) !== 0) return -EFAULT;
  const groups: number[] = [];
  for (let i = 0; i < n; i++) {
    const g = buf.readUInt32LE(4 * i);
    if (g === NO_ID) return -EINVAL;
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
