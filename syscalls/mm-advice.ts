/** mseal(2), process_madvise(2), process_mrelease(2), cachestat(2), remap_file_pages(2). */
import { EBADF, EFAULT, EINVAL, EPERM, ESRCH } from '../sentry/abi/errno.ts';
import { SIGKILL } from '../sentry/abi/signal.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { CAP_SYS_NICE } from '../sentry/auth/capability.ts';
import { PidFdFile } from '../sentry/fsimpl/anon/pidfd.ts';
import { mayAccess } from '../sentry/fsimpl/proc/access.ts';
import { SHM_DEST } from '../sentry/kernel/ipc/shm.ts';
import {
  fd,
  hex,
  int,
  ptr,
  size,
  uint,
  ulong,
  type SysResult,
  type SyscallRow,
} from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { pageDown, PAGE_SIZE } from '../sentry/lib/addr.ts';
import * as advice from '../sentry/mm/madvise.ts';
import { mapVma, munmap } from '../sentry/mm/mmap.ts';
import { hasSealed, mseal } from '../sentry/mm/seal.ts';
import { VM_LOCKED, VM_MAYEXEC, VM_MAYWRITE, VM_SHARED, type Vma } from '../sentry/mm/vma.ts';
import { scratch } from '../sentry/usermem/user-memory.ts';
import { inodePermission, MAY_WRITE, ownerOrCapable } from '../sentry/vfs/permission.ts';
import { importIovec, iovRanges } from './iovec.ts';
import { segmentOf } from './shm.ts';

function sysMseal(t: Task, a: SyscallArgs): SysResult {
  return a.size(2) !== 0 ? -EINVAL : mseal(t.mm, a.addr(0), a.size(1));
}

/** pidfd_get_task(): a live task of the process, −EBADF or −ESRCH. */
function taskOfPidfd(t: Task, fdnum: number): Task | number {
  const f = t.fdTable.get(fdnum);
  if (!(f instanceof PidFdFile)) return -EBADF;
  const g = f.pid.group;
  if (g === null || g.isZombie) return -ESRCH;
  return g.leader.dead ? (g.tasks.values().next().value ?? -ESRCH) : g.leader;
}

const REMOTE_ADVICE: readonly number[] = [advice.MADV_COLD, advice.MADV_PAGEOUT, advice.MADV_WILLNEED];

/** process_madvise(2): what others are advised has no effect here, so only the ranges count. */
function sysProcessMadvise(t: Task, a: SyscallArgs): SysResult {
  if (a.uint(4) !== 0) return -EINVAL;
  const bad = importIovec(t, a.addr(1), a.uint(2));
  if (bad < 0) return bad;
  const ranges = iovRanges();
  const other = taskOfPidfd(t, a.int(0));
  if (typeof other === 'number') return other;
  const what = a.int(3);
  const own = other.mm === t.mm;
  if (mayAccess(t, other) !== 0) return -EPERM;
  if (!own && !REMOTE_ADVICE.includes(what)) return -EINVAL;
  if (!own && !t.creds.has(CAP_SYS_NICE)) return -EPERM;
  let done = 0;
  for (const { addr, len } of ranges) {
    const r = advice.madvise(other.mm, t.ctx, addr, len, what);
    if (r < 0) return done > 0 ? done : r;
    done += len;
  }
  return done;
}

/** process_mrelease(2): "EINVAL: the process is not about to die"; memory of one that is goes with it at once. */
function sysProcessMrelease(t: Task, a: SyscallArgs): SysResult {
  if (a.uint(1) !== 0) return -EINVAL;
  const other = taskOfPidfd(t, a.int(0));
  if (typeof other === 'number') return other;
  const dying = other.killed || other.group.exiting || other.group.pending.has(SIGKILL);
  return dying ? 0 : -EINVAL;
}

/** cachestat(2): pages of the file up to its end count as cached and clean. */
function sysCachestat(t: Task, a: SyscallArgs): SysResult {
  const f = t.fdTable.get(a.int(0));
  if (f === null) return -EBADF;
  if (t.mem.copyIn(a.addr(1), scratch.bytes, 0, 16) !== 0) return -EFAULT;
  // can_do_cachestat()
  if (!f.writable && !ownerOrCapable(t, f.inode) && inodePermission(t, f.inode, MAY_WRITE) !== 0)
    return -EPERM;
  if (a.uint(3) !== 0) return -EINVAL;
  const u64 = (i: number): number => scratch.u32[2 * i + 1]! * 0x100000000 + scratch.u32[2 * i]!;
  const off = u64(0);
  const len = u64(1);
  f.inode.refresh();
  const pages = f.inode.isRegular ? Math.ceil(f.inode.size / PAGE_SIZE) : 0;
  const first = Math.floor(off / PAGE_SIZE);
  const last = len === 0 ? Infinity : Math.floor((off + len - 1) / PAGE_SIZE);
  const cached = Math.max(0, Math.min(last + 1, pages) - first);
  scratch.bytes.fill(0, 0, 40);
  scratch.u32[0] = cached >>> 0;
  scratch.u32[1] = Math.floor(cached / 0x100000000);
  return t.mem.copyOut(a.addr(2), scratch.bytes, 0, 40);
}

/** The removed segment of System V memory that `v` shows is shown nowhere but in [start, end). */
function endsWith(t: Task, v: Vma, start: number, end: number): boolean {
  const s = segmentOf(t, v);
  if (s === null || (s.mode & SHM_DEST) === 0) return false;
  let shown = 0;
  t.mm.table.forEachIn(start, end, (o) => {
    if (o.start >= start && o.end <= end && o.backing === s.memory) shown++;
  });
  return shown === s.attached;
}

/** remap_file_pages(2): since 4.0 a mapping of the same object over the range (mm/mmap.c). */
function sysRemapFilePages(t: Task, a: SyscallArgs): SysResult {
  const start = pageDown(a.addr(0));
  const len = pageDown(a.size(1));
  const pgoff = a.size(3);
  if (a.size(2) !== 0 || len === 0) return -EINVAL;
  const offset = pgoff * PAGE_SIZE;
  if (offset + len > Number.MAX_SAFE_INTEGER) return -EINVAL;
  const end = start + len;
  const v = t.mm.table.find(start);
  if (v === null || !v.shared || v.backing === null) return -EINVAL;
  // A shared mapping of what was opened for reading only is none (VM_MAYSHARE without VM_SHARED).
  if (!(v.backing.file?.writable ?? (v.flags & VM_MAYWRITE) !== 0)) return -EINVAL;
  let same = true;
  t.mm.table.forEachIn(start, end, (o) => {
    same &&= o.backing !== null && o.flags === v.flags && o.backing.key === v.backing!.key;
  });
  if (!same || t.mm.table.firstHole(start, end) < end) return -EINVAL;
  if (hasSealed(t.mm, start, end) || !t.mm.mayAddVmas(2)) return -EPERM;
  if (endsWith(t, v, start, end)) {
    // shm_mmap(): "the file can represent an IPC ID that was removed"; what was mapped is gone by then.
    const r = munmap(t.mm, t.ctx, start, len);
    return r < 0 ? r : -EINVAL;
  }
  const copy = v.slice(v.start, v.end);
  copy.start = start;
  copy.end = end;
  copy.offset = offset;
  // A new mapping: of the old one's advice nothing is left.
  copy.flags = (v.flags & (VM_SHARED | VM_MAYWRITE | VM_MAYEXEC | VM_LOCKED)) | t.mm.lockFuture;
  mapVma(t.mm, t.ctx, copy, t.memoryChange);
  return 0;
}

export const mmAdviceRows: readonly SyscallRow[] = [
  {
    nr: 216,
    name: 'remap_file_pages',
    fn: sysRemapFilePages,
    args: [hex, size, ulong, ulong, hex],
    support: 'full',
  },
  {
    nr: 440,
    name: 'process_madvise',
    fn: sysProcessMadvise,
    args: [fd, ptr, size, int, uint],
    support: 'partial',
    note: 'as madvise',
  },
  { nr: 448, name: 'process_mrelease', fn: sysProcessMrelease, args: [fd, uint], support: 'full' },
  {
    nr: 451,
    name: 'cachestat',
    fn: sysCachestat,
    args: [fd, ptr, ptr, uint],
    support: 'partial',
    note: 'all pages of a file count as cached and clean',
  },
  { nr: 462, name: 'mseal', fn: sysMseal, args: [hex, size, ulong], support: 'full' },
];
