/** lsm_get_self_attr, lsm_set_self_attr, lsm_list_modules (security/lsm_syscalls.c): capabilities and Landlock, neither with attributes. */
import { E2BIG, EFAULT, EINVAL, EOPNOTSUPP } from '../sentry/abi/errno.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { ptr, uint, type SysResult, type SyscallRow } from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { PAGE_SIZE } from '../sentry/lib/addr.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';

const LSM_ATTR_UNDEF = 0;
const LSM_FLAG_SINGLE = 1;
/** LSM_ID_CAPABILITY, LSM_ID_LANDLOCK */
const MODULES: readonly number[] = [100, 110];
/** sizeof(struct lsm_ctx) without the context. */
const LSM_CTX_SIZE = 32;

/** security_getselfattr(): no module has an attribute. */
function sysLsmGetSelfAttr(t: Task, a: SyscallArgs): SysResult {
  const how = a.uint(3);
  if (a.uint(0) === LSM_ATTR_UNDEF || a.addr(2) === 0) return -EINVAL;
  if (t.mem.readU32(a.addr(2)) !== 0) return -EFAULT;
  if ((how & ~LSM_FLAG_SINGLE) !== 0) return -EINVAL;
  if (how === LSM_FLAG_SINGLE) {
    if (a.addr(1) === 0) return -EINVAL;
    if (t.mem.copyIn(a.addr(1), scratch.bytes, 0, LSM_CTX_SIZE) !== 0) return -EFAULT;
    if (scratch.u32[0] === 0 && scratch.u32[1] === 0) return -EINVAL;
  }
  return t.mem.writeU32(a.addr(2), 0) !== 0 ? -EFAULT : -EOPNOTSUPP;
}

/** security_setselfattr() */
function sysLsmSetSelfAttr(t: Task, a: SyscallArgs): SysResult {
  const len = a.uint(2);
  if (a.uint(3) !== 0 || len < LSM_CTX_SIZE) return -EINVAL;
  if (len > PAGE_SIZE) return -E2BIG;
  if (t.mem.copyIn(a.addr(1), scratch.bytes, 0, len) !== 0) return -EFAULT;
  const u64 = (at: number): number => scratch.u32[at + 1]! * 0x100000000 + scratch.u32[at]!;
  const total = u64(4);
  const context = u64(6);
  if (len < total || total < LSM_CTX_SIZE + context) return -EINVAL;
  return -EOPNOTSUPP;
}

function sysLsmListModules(t: Task, a: SyscallArgs): SysResult {
  if (a.uint(2) !== 0) return -EINVAL;
  if (t.mem.readU32(a.addr(1)) !== 0) return -EFAULT;
  const room = scratch.u32[0]!;
  const size = 8 * MODULES.length;
  if (t.mem.writeU32(a.addr(1), size) !== 0) return -EFAULT;
  if (room < size) return -E2BIG;
  return MODULES.every((id, i) => t.mem.writeU64(a.addr(0) + 8 * i, id) === 0) ? MODULES.length : -EFAULT;
}

export const lsmRows: readonly SyscallRow[] = [
  {
    nr: 459,
    name: 'lsm_get_self_attr',
    fn: sysLsmGetSelfAttr,
    args: [uint, ptr, ptr, uint],
    support: 'full',
  },
  {
    nr: 460,
    name: 'lsm_set_self_attr',
    fn: sysLsmSetSelfAttr,
    args: [uint, ptr, uint, uint],
    support: 'full',
  },
  { nr: 461, name: 'lsm_list_modules', fn: sysLsmListModules, args: [ptr, ptr, uint], support: 'full' },
];
