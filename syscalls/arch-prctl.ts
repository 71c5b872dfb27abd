/** arch_prctl, personality, modify_ldt and other calls that belong to the machine. Linux: arch/x86/kernel/process_64.c. */
import { EINVAL, ENODEV, ENOSYS, EOPNOTSUPP, EPERM } from '../sentry/abi/errno.ts';
import { FP_SW_RESERVED } from '../sentry/arch/signal-frame.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { fromLoHi, TASK_SIZE } from '../sentry/lib/addr.ts';
import {
  hex,
  int,
  oneOf,
  ptr,
  ulong,
  type SysResult,
  type SyscallRow,
} from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { userXstate } from '../sentry/kernel/user-regs.ts';

const ARCH_SET_GS = 0x1001;
const ARCH_SET_FS = 0x1002;
const ARCH_GET_FS = 0x1003;
const ARCH_GET_GS = 0x1004;
const ARCH_GET_CPUID = 0x1011;
const ARCH_SET_CPUID = 0x1012;
const ARCH_GET_XCOMP_SUPP = 0x1021;
const ARCH_GET_XCOMP_PERM = 0x1022;
const ARCH_REQ_XCOMP_PERM = 0x1023;
const ARCH_GET_XCOMP_GUEST_PERM = 0x1024;
const ARCH_REQ_XCOMP_GUEST_PERM = 0x1025;
/** Linux 6.18, arch/x86/include/asm/fpu/types.h. */
const XFEATURE_MAX = 20;
const XFEATURE_MASK_FPSSE = 3;
const PERSONALITY_QUERY = 0xffffffff;

/** do_arch_prctl_64(): segment bases of `c`, asked by `t`. */
export function segmentBase(t: Task, c: Task, option: number, addr: number): SysResult {
  switch (option) {
    case ARCH_SET_FS:
    case ARCH_SET_GS:
      if (addr >= TASK_SIZE) return -EPERM;
      c.ctx.setSegmentBase(option === ARCH_SET_FS ? 'fs' : 'gs', addr);
      return 0;
    case ARCH_GET_FS:
      return t.mem.writeU64(addr, c.ctx.segmentBase('fs'));
    case ARCH_GET_GS:
      return t.mem.writeU64(addr, c.ctx.segmentBase('gs'));
    default:
      return -EINVAL;
  }
}

/** fpu_xstate_prctl() of a processor that has nothing to ask for: AMX's tiles do not fit into the stub's signal frames. */
function getXcomp(t: Task, addr: number): SysResult {
  const xstate = userXstate(t);
  if (typeof xstate === 'number') return t.mem.writeU64(addr, XFEATURE_MASK_FPSSE);
  return t.mem.writeU64(
    addr,
    fromLoHi(xstate.readUInt32LE(FP_SW_RESERVED), xstate.readUInt32LE(FP_SW_RESERVED + 4)),
  );
}

function sysArchPrctl(t: Task, a: SyscallArgs): SysResult {
  switch (a.int(0)) {
    case ARCH_GET_XCOMP_SUPP:
    case ARCH_GET_XCOMP_PERM:
    case ARCH_GET_XCOMP_GUEST_PERM:
      return getXcomp(t, a.addr(1));
    case ARCH_REQ_XCOMP_PERM:
    case ARCH_REQ_XCOMP_GUEST_PERM:
      return a.addr(1) < XFEATURE_MAX ? -EOPNOTSUPP : -EINVAL;
    case ARCH_GET_CPUID:
      return 1;
    case ARCH_SET_CPUID:
      return -ENODEV;
    default:
      return segmentBase(t, t, a.int(0), a.addr(1));
  }
}

function sysPersonality(t: Task, a: SyscallArgs): SysResult {
  const old = t.personality;
  const wanted = a.uint(0);
  if (wanted !== PERSONALITY_QUERY) t.personality = wanted;
  return old;
}

/** modify_ldt(2): as a kernel built without CONFIG_MODIFY_LDT_SYSCALL. */
function sysNone(): SysResult {
  return -ENOSYS;
}

export const archRows: SyscallRow[] = [
  {
    nr: 135,
    name: 'personality',
    fn: sysPersonality,
    args: [hex],
    support: 'partial',
    note: 'MMAP_PAGE_ZERO and ADDR_COMPAT_LAYOUT have no effect',
  },
  {
    nr: 154,
    name: 'modify_ldt',
    fn: sysNone,
    args: [int, ptr, ulong],
    support: 'none',
    note: 'as CONFIG_MODIFY_LDT_SYSCALL=n',
  },
  {
    nr: 158,
    name: 'arch_prctl',
    fn: sysArchPrctl,
    args: [oneOf({ ARCH_SET_GS, ARCH_SET_FS, ARCH_GET_FS, ARCH_GET_GS }), ptr],
    support: 'full',
    note: "there is no AMX: a processor's is not shown in /proc/cpuinfo, ARCH_REQ_XCOMP_PERM is EOPNOTSUPP",
  },
];
