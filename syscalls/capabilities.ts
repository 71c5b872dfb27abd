/** capget, capset. Linux: kernel/capability.c, security/commoncap.c cap_capset(). */
import { EFAULT, EINVAL, EPERM, ESRCH } from '../sentry/abi/errno.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { CAP_SETPCAP, CapSet } from '../sentry/auth/capability.ts';
import { ptr, type SysResult, type SyscallRow } from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';

const VERSION_1 = 0x19980330;
const VERSION_2 = 0x20071026;
const VERSION_3 = 0x20080522;

/** cap_validate_magic(): number of 32-bit rows of the caller's version; −EINVAL after telling it ours. */
function readVersion(t: Task, header: number): number {
  if (t.mem.readU32(header) !== 0) return -EFAULT;
  const version = scratch.u32[0]!;
  if (version === VERSION_1) return 1;
  if (version === VERSION_2 || version === VERSION_3) return 2;
  return t.mem.writeU32(header, VERSION_3) !== 0 ? -EFAULT : -EINVAL;
}

function sysCapget(t: Task, a: SyscallArgs): SysResult {
  const rows = readVersion(t, a.addr(0));
  // A null data pointer asks for the version only.
  if (a.addr(1) === 0) return rows === -EFAULT ? rows : 0;
  if (rows < 0) return rows;
  if (t.mem.readU32(a.addr(0) + 4) !== 0) return -EFAULT;
  const nr = scratch.i32[0]!;
  if (nr < 0) return -EINVAL;
  const target = nr === 0 ? t : t.pidNs.findTask(nr);
  if (target === null) return -ESRCH;
  const c = target.creds;
  const u = scratch.u32;
  [c.effective, c.permitted, c.inheritable].forEach((set, i) => {
    u[i] = set.lo;
    u[3 + i] = set.hi;
  });
  return t.mem.copyOut(a.addr(1), scratch.bytes, 0, 12 * rows);
}

function sysCapset(t: Task, a: SyscallArgs): SysResult {
  const rows = readVersion(t, a.addr(0));
  if (rows < 0) return rows;
  if (t.mem.readU32(a.addr(0) + 4) !== 0) return -EFAULT;
  const nr = scratch.i32[0]!;
  // "EPERM: may only affect current now".
  if (nr !== 0 && nr !== t.tid) return -EPERM;
  scratch.bytes.fill(0, 0, 24);
  if (t.mem.copyIn(a.addr(1), scratch.bytes, 0, 12 * rows) !== 0) return -EFAULT;
  const u = scratch.u32;
  const effective = new CapSet(u[0]!, u[3]!);
  const permitted = new CapSet(u[1]!, u[4]!);
  const inheritable = new CapSet(u[2]!, u[5]!);
  const o = t.creds;
  if (!o.hasOwn(CAP_SETPCAP) && !inheritable.isSubsetOf(o.inheritable.or(o.permitted))) return -EPERM;
  if (!inheritable.isSubsetOf(o.inheritable.or(o.bounding))) return -EPERM;
  if (!permitted.isSubsetOf(o.permitted)) return -EPERM;
  if (!effective.isSubsetOf(permitted)) return -EPERM;
  const n = o.clone();
  n.effective = effective;
  n.permitted = permitted;
  n.inheritable = inheritable;
  n.ambient = o.ambient.and(permitted).and(inheritable);
  t.kernel.commitCreds(t, n);
  return 0;
}

export const capabilityRows: SyscallRow[] = [
  { nr: 125, name: 'capget', fn: sysCapget, args: [ptr, ptr], support: 'full' },
  { nr: 126, name: 'capset', fn: sysCapset, args: [ptr, ptr], support: 'full' },
];
