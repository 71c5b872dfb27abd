/** Memory calls: mmap, munmap, mprotect, brk, mremap, madvise, mlock, msync, mincore, pkeys. */
import { EBADF, EFAULT, EINVAL, ENOMEM, ENOSPC, ERESTARTNOINTR } from '../sentry/abi/errno.ts';
import {
  MAP_32BIT,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_GROWSDOWN,
  MAP_HUGETLB,
  MAP_LOCKED,
  MAP_NORESERVE,
  MAP_POPULATE,
  MAP_PRIVATE,
  MAP_SHARED,
  MAP_STACK,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_EXEC,
  PROT_READ,
  PROT_WRITE,
} from '../sentry/abi/mman.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { CAP_IPC_LOCK } from '../sentry/auth/capability.ts';
import {
  fd,
  flags,
  hex,
  int,
  off,
  ptr,
  size,
  SYS_DETACHED,
  uint,
  ulong,
  type SysResult,
  type SyscallRow,
} from '../sentry/kernel/syscall-table.ts';
import { TASK_DETACHED, type Task } from '../sentry/kernel/task.ts';
import { PAGE_SIZE, TASK_SIZE, isPageAligned, pageUp } from '../sentry/lib/addr.ts';
import * as advice from '../sentry/mm/madvise.ts';
import type { MemoryLimits, PendingChange } from '../sentry/mm/memory-manager.ts';
import { MS_NOEXEC } from '../sentry/vfs/mount.ts';
import { mmap, munmap, type MemoryCaller, type MmapRequest } from '../sentry/mm/mmap.ts';
import { mprotect } from '../sentry/mm/mprotect.ts';
import { brk } from '../sentry/mm/brk.ts';
import { mremap, type MremapRequest } from '../sentry/mm/mremap.ts';
import { keyAllows, PKEY_ACCESS_MASK, PKEY_DISABLE_ACCESS, withRights } from '../sentry/mm/pkeys.ts';
import { inCore } from '../sentry/mm/residency.ts';
import { VM_LOCKED, VM_LOCKED_MASK } from '../sentry/mm/vma.ts';

const PROT_NAMES = { PROT_READ, PROT_WRITE, PROT_EXEC };
const MAP_NAMES = {
  MAP_SHARED,
  MAP_PRIVATE,
  MAP_FIXED,
  MAP_ANONYMOUS,
  MAP_32BIT,
  MAP_GROWSDOWN,
  MAP_LOCKED,
  MAP_NORESERVE,
  MAP_POPULATE,
  MAP_STACK,
  MAP_HUGETLB,
  MAP_FIXED_NOREPLACE,
};
const MREMAP_NAMES = { MREMAP_MAYMOVE, MREMAP_FIXED, MREMAP_DONTUNMAP };

/** The calling task as memory management sees it. One object: used within one handler only. */
class Caller implements MemoryCaller {
  limits!: MemoryLimits;
  canLock = false;
  change!: PendingChange;

  of(t: Task): this {
    this.limits = t.group.limits;
    this.canLock = t.creds.has(CAP_IPC_LOCK);
    this.change = t.memoryChange;
    return this;
  }
}
const caller = new Caller();

const request: MmapRequest = { addr: 0, len: 0, prot: 0, flags: 0, file: null, offset: 0 };

/** A bit that means nothing. */
const PROT_UNKNOWN = 0x10;

/** "With this set, PROT_READ implies PROT_EXEC for mmap(2)" - personality(2), and for mprotect(2). */
const READ_IMPLIES_EXEC = 0x0400000;

function withPersonality(t: Task, prot: number): number {
  return (t.personality & READ_IMPLIES_EXEC) !== 0 && (prot & PROT_READ) !== 0 ? prot | PROT_EXEC : prot;
}

/**
 * mmap(2). Linux: arch/x86/kernel/sys_x86_64.c, mm/mmap.c do_mmap(). There are no huge page pools.
 */
function sysMmap(t: Task, a: SyscallArgs): SysResult {
  return needsPkru(t, a) ? withPkru(t, a, doMmap) : doMmap(t, a);
}

function doMmap(t: Task, a: SyscallArgs): SysResult {
  const r = request;
  r.addr = a.addr(0);
  r.len = a.size(1);
  r.prot = withPersonality(t, a.int(2));
  r.flags = a.int(3);
  r.offset = a.size(5);
  r.file = null;
  // By its low bits: a number that is near 2^64 has lost them.
  if (!isPageAligned(a.uint(5))) return -EINVAL;
  if ((r.flags & MAP_ANONYMOUS) === 0) {
    r.file = t.fdTable.get(a.int(4));
    if (r.file === null) return -EBADF;
    // Not from where nothing may be run.
    if (((r.file.path?.mount.flags ?? 0) & MS_NOEXEC) !== 0) r.prot = a.int(2);
  } else {
    r.offset = 0;
  }
  const result = mmap(t.mm, t.ctx, r, caller.of(t));
  r.file = null;
  if (r.prot === PROT_EXEC) denyExecuteOnly(t);
  return result;
}

/** execute_only_pkey(): whoever makes such memory may not read it. */
function denyExecuteOnly(t: Task): void {
  const key = t.mm.keys.executeOnly;
  if (key < 0 || !keyAllows(t.ctx.pkru, key, false)) return;
  t.ctx.setPkru(withRights(t.ctx.pkru, key, PKEY_DISABLE_ACCESS));
}

/** Makes memory that may only be executed by a call from patched text, which comes without the caller's rights. */
function needsPkru(t: Task, a: SyscallArgs): boolean {
  return a.int(2) === PROT_EXEC && t.ctx.partial && t.mm.space.hasKeys;
}

function withPkru(t: Task, a: SyscallArgs, run: (t: Task, a: SyscallArgs) => SysResult): SysResult {
  t.state = TASK_DETACHED;
  t.ctx.complete(() => {
    if (!t.dead) t.kernel.endDetached(t, run(t, a));
  });
  return SYS_DETACHED;
}

function sysMunmap(t: Task, a: SyscallArgs): SysResult {
  return munmap(t.mm, t.ctx, a.addr(0), a.size(1));
}

function sysMprotect(t: Task, a: SyscallArgs): SysResult {
  return needsPkru(t, a) ? withPkru(t, a, doMprotect) : doMprotect(t, a);
}

function doMprotect(t: Task, a: SyscallArgs): SysResult {
  return protect(t, a, -1);
}

function protect(t: Task, a: SyscallArgs, key: number): SysResult {
  // Of this call it is a long.
  const unknown = a.size(2) > 0xffffffff ? PROT_UNKNOWN : 0;
  const prot = withPersonality(t, a.int(2)) | unknown;
  const at = a.addr(0);
  // Pages near the top are told exactly: the end of a range may wrap.
  const start = isPageAligned(at) ? a.size(0) : at;
  const r = mprotect(t.mm, t.ctx, start, a.size(1), prot, t.group.limits, key);
  if (prot === PROT_EXEC) denyExecuteOnly(t);
  return r;
}

function sysBrk(t: Task, a: SyscallArgs): SysResult {
  return brk(t.mm, t.ctx, a.addr(0), caller.of(t));
}

const remap: MremapRequest = { addr: 0, oldLen: 0, newLen: 0, flags: 0, newAddr: 0 };

function sysMremap(t: Task, a: SyscallArgs): SysResult {
  remap.addr = a.addr(0);
  remap.oldLen = a.size(1);
  remap.newLen = a.size(2);
  remap.flags = a.uint(3);
  remap.newAddr = a.addr(4);
  return mremap(t.mm, t.ctx, remap, caller.of(t));
}

function sysMadvise(t: Task, a: SyscallArgs): SysResult {
  return advice.madvise(t.mm, t.ctx, a.addr(0), a.size(1), a.int(2));
}

function sysMlock(t: Task, a: SyscallArgs): SysResult {
  return advice.mlock(t.mm, t.ctx, a.size(0), a.size(1), VM_LOCKED, caller.of(t));
}

const MLOCK_ONFAULT = 1;

function sysMlock2(t: Task, a: SyscallArgs): SysResult {
  if ((a.int(2) & ~MLOCK_ONFAULT) !== 0) return -EINVAL;
  const lock = a.int(2) === MLOCK_ONFAULT ? VM_LOCKED_MASK : VM_LOCKED;
  return advice.mlock(t.mm, t.ctx, a.size(0), a.size(1), lock, caller.of(t));
}

function sysMunlock(t: Task, a: SyscallArgs): SysResult {
  return advice.mlock(t.mm, t.ctx, a.size(0), a.size(1), 0, caller.of(t));
}

function sysMlockall(t: Task, a: SyscallArgs): SysResult {
  return advice.mlockall(t.mm, t.ctx, a.int(0), caller.of(t));
}

function sysMunlockall(t: Task): SysResult {
  advice.munlockall(t.mm);
  return 0;
}

function sysMsync(t: Task, a: SyscallArgs): SysResult {
  return advice.msync(t.mm, a.addr(0), a.size(1), a.int(2));
}

const resident = new Uint8Array(4096);
/** Pages in a row before others have their turn, and how many of them a look at a mapping costs besides. */
const MINCORE_TURN = 32 * 1024;
const MINCORE_CALL = 32;
/** Bytes that are gone through in spite of a signal. */
const MINCORE_AT_ONCE = 2 ** 30;

/** mincore(2). Pages of the host's files count as cached. Linux: mm/mincore.c. */
function sysMincore(t: Task, a: SyscallArgs): SysResult {
  const start = a.addr(0);
  if (!isPageAligned(start)) return -EINVAL;
  const len = pageUp(a.size(1));
  if (len > TASK_SIZE || start + len > TASK_SIZE) return -ENOMEM;
  const vec = a.addr(2);
  if (vec + len / PAGE_SIZE > TASK_SIZE) return -EFAULT;
  return ((t.blockState as MincoreWalk | null) ?? new MincoreWalk(start, start + len, vec)).run(t);
}

/** A mincore(2) of much memory, which takes several turns. */
class MincoreWalk {
  private at: number;
  private vec: number;
  private readonly end: number;

  constructor(at: number, end: number, vec: number) {
    this.at = at;
    this.end = end;
    this.vec = vec;
  }

  run(t: Task, turn = MINCORE_TURN): SysResult {
    for (let cost = 0; this.at < this.end; cost += MINCORE_CALL) {
      if (cost > turn) return t.yieldCall(this, this.interrupted);
      const v = t.mm.table.find(this.at);
      if (v === null) return -ENOMEM;
      const n = Math.min(resident.length, (Math.min(v.end, this.end) - this.at) / PAGE_SIZE);
      inCore(t.mm, v, this.at, n, resident, 0);
      if (t.mem.check(this.vec, n, true) !== 0) return -EFAULT;
      // Not by the platform's queue: the answers of one call are many.
      if (t.mm.space.write(this.vec, resident, 0, n) !== n) return -EFAULT;
      this.at += n * PAGE_SIZE;
      this.vec += n;
      cost += n;
    }
    return 0;
  }

  /** On Linux no signal ends the call. What takes too long for that begins anew. */
  private readonly interrupted = (t: Task): SysResult =>
    t.killed || this.end - this.at > MINCORE_AT_ONCE ? -ERESTARTNOINTR : this.run(t, Infinity);
}

/** pkey_alloc(2). Without keys: what Linux answers on such a CPU. */
function sysPkeyAlloc(t: Task, a: SyscallArgs): SysResult {
  const rights = a.size(1);
  if (a.size(0) !== 0 || rights > PKEY_ACCESS_MASK) return -EINVAL;
  const key = t.mm.space.hasKeys ? t.mm.keys.alloc() : -1;
  if (key < 0) return -ENOSPC;
  t.ctx.setPkru(withRights(t.ctx.pkru, key, rights));
  return key;
}

function sysPkeyFree(t: Task, a: SyscallArgs): SysResult {
  const { keys } = t.mm;
  const key = a.int(0);
  if (!t.mm.space.hasKeys || !keys.has(key)) return -EINVAL;
  keys.free(key);
  return 0;
}

function sysPkeyMprotect(t: Task, a: SyscallArgs): SysResult {
  return protect(t, a, a.int(3));
}

const noSwap = 'brings up to 1 GiB in and counts; the host may swap it out';

export const mmRows: readonly SyscallRow[] = [
  {
    nr: 9,
    name: 'mmap',
    fn: sysMmap,
    args: [hex, size, flags(PROT_NAMES), flags(MAP_NAMES), fd, off],
    support: 'partial',
    note: 'no huge page pools, no MAP_SYNC; MAP_GROWSDOWN mappings grow by accesses of the program, not of system calls',
  },
  { nr: 10, name: 'mprotect', fn: sysMprotect, args: [hex, size, flags(PROT_NAMES)], support: 'full' },
  { nr: 11, name: 'munmap', fn: sysMunmap, args: [hex, size], support: 'full' },
  { nr: 12, name: 'brk', fn: sysBrk, args: [hex], support: 'full' },
  {
    nr: 25,
    name: 'mremap',
    fn: sysMremap,
    args: [hex, size, size, flags(MREMAP_NAMES), hex],
    support: 'full',
  },
  {
    nr: 26,
    name: 'msync',
    fn: sysMsync,
    args: [hex, size, int],
    support: 'full',
  },
  {
    nr: 27,
    name: 'mincore',
    fn: sysMincore,
    args: [hex, size, ptr],
    support: 'partial',
    note: 'pages of files of the host count as cached',
  },
  {
    nr: 28,
    name: 'madvise',
    fn: sysMadvise,
    args: [hex, size, int],
    support: 'partial',
    note: 'no COLLAPSE or HWPOISON; hints about paging and merging have no effect',
  },
  { nr: 149, name: 'mlock', fn: sysMlock, args: [hex, size], support: 'partial', note: noSwap },
  { nr: 150, name: 'munlock', fn: sysMunlock, args: [hex, size], support: 'full' },
  { nr: 151, name: 'mlockall', fn: sysMlockall, args: [int], support: 'partial', note: noSwap },
  { nr: 152, name: 'munlockall', fn: sysMunlockall, args: [], support: 'full' },
  {
    nr: 325,
    name: 'mlock2',
    fn: sysMlock2,
    args: [hex, size, uint],
    support: 'partial',
    note: noSwap,
  },
  {
    nr: 329,
    name: 'pkey_mprotect',
    fn: sysPkeyMprotect,
    args: [hex, size, flags(PROT_NAMES), int],
    support: 'full',
  },
  {
    nr: 330,
    name: 'pkey_alloc',
    fn: sysPkeyAlloc,
    args: [ulong, ulong],
    support: 'full',
  },
  {
    nr: 331,
    name: 'pkey_free',
    fn: sysPkeyFree,
    args: [int],
    support: 'full',
  },
];
