/** shmget(2), shmat(2), shmdt(2), shmctl(2) (ipc/shm.c). */
import { EACCES, EFAULT, EINVAL, ENOMEM, ENOSPC, EPERM } from '../sentry/abi/errno.ts';
import { PROT_EXEC, PROT_READ, PROT_WRITE } from '../sentry/abi/mman.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { CAP_IPC_LOCK } from '../sentry/auth/capability.ts';
import type { Credentials } from '../sentry/auth/credentials.ts';
import { sysvipcTables } from '../sentry/fsimpl/proc/sysvipc.ts';
import { SHM_BYTES_MAX, type IpcLimits } from '../sentry/kernel/ipc/ipc-limits.ts';
import { IPC_INFO, IPC_RMID, IPC_SET, IPC_STAT } from '../sentry/kernel/ipc/ipc-ids.ts';
import { sysvTables } from '../sentry/kernel/ipc/ipc-state.ts';
import { SHM_DEST, SHM_LOCKED, ShmSegment, type ShmTable } from '../sentry/kernel/ipc/shm.ts';
import {
  hex,
  int,
  octal,
  ptr,
  size,
  type SysResult,
  type SyscallRow,
} from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import { PAGE_SIZE, TASK_SIZE, isPageAligned, pageDown, pageUp } from '../sentry/lib/addr.ts';
import { SharedMemory } from '../sentry/mm/backing.ts';
import { mayFlags } from '../sentry/mm/host-map.ts';
import { HUGE_SHIFTS, mapVma, munmap } from '../sentry/mm/mmap.ts';
import { findFree } from '../sentry/mm/unmapped-area.ts';
import { VM_MAYWRITE, Vma } from '../sentry/mm/vma.ts';
import { setIpc, statIpc, type IpcKind } from './ipc-control.ts';

const SHM_RDONLY = 0o10000;
const SHM_RND = 0o20000;
const SHM_REMAP = 0o40000;
const SHM_EXEC = 0o100000;
const SHM_HUGETLB = 0o4000;
const SHM_HUGE_SHIFT = 26;
const SHM_LOCK = 11;
const SHM_UNLOCK = 12;
const SHM_STAT = 13;
const SHM_INFO = 14;
const SHM_STAT_ANY = 15;

/** struct shmid64_ds. */
const KIND: IpcKind<ShmSegment> = {
  dsSize: 112,
  statAny: SHM_STAT_ANY,
  fill(s, b) {
    putU64(b, 48, s.size);
    putU64(b, 56, s.atime);
    putU64(b, 64, s.dtime);
    putU64(b, 72, s.ctime);
    b.writeInt32LE(s.cpid, 80);
    b.writeInt32LE(s.lpid, 84);
    putU64(b, 88, s.attached);
  },
};

const tableOf = (t: Task): ShmTable => sysvTables(t.ns.ipc).shm;

/** hugetlb_file_setup() with an empty pool: −errno. */
function hugeSegment(creds: Credentials, flags: number): number {
  if (!HUGE_SHIFTS.includes((flags >>> SHM_HUGE_SHIFT) & 63)) return -EINVAL;
  // Root's group is vm.hugetlb_shm_group.
  return creds.has(CAP_IPC_LOCK) || creds.inGroup(0) ? -ENOMEM : -EPERM;
}

function sysShmget(t: Task, a: SyscallArgs): SysResult {
  const key = a.int(0);
  const bytes = a.size(1);
  const flags = a.int(2);
  const { shm: table, limits } = sysvTables(t.ns.ipc);
  const create = (): ShmSegment | number => {
    if (bytes < 1 || bytes > limits.shmmax) return -EINVAL;
    const mapped = pageUp(bytes);
    if (table.bytes + mapped > Math.min(limits.shmall * PAGE_SIZE, SHM_BYTES_MAX)) return -ENOSPC;
    if ((flags & SHM_HUGETLB) !== 0) return hugeSegment(t.creds, flags);
    const name = `/SYSV${(key >>> 0).toString(16).padStart(8, '0')} (deleted)`;
    const memory = SharedMemory.create(mapped, name);
    if (typeof memory === 'number') return memory;
    const s = new ShmSegment(key, flags, t.creds, bytes, memory, t.tgid);
    s.ctime = t.nowSec;
    table.register(s);
    return s;
  };
  return table.get(key, flags, t.creds, create, (s) => (bytes > s.size ? -EINVAL : 0));
}

/** The address that the caller wants, 0 for any; −EINVAL. */
function wantedAddress(addr: number, flags: number): number {
  if (!isPageAligned(addr) && (flags & SHM_RND) === 0) return -EINVAL;
  const at = pageDown(addr);
  return at === 0 && (flags & SHM_REMAP) !== 0 ? -EINVAL : at;
}

/** Where to attach: the address, or −errno. */
function attachAddress(t: Task, addr: number, s: ShmSegment, flags: number): number {
  const len = s.memory.size;
  if (addr === 0) {
    const at = findFree(t.mm, 0, len, PAGE_SIZE);
    return at < 0 ? -ENOMEM : at;
  }
  if ((flags & SHM_REMAP) === 0) {
    // Round the end of the address space (SyscallArgs.addr), or over something.
    if (addr + s.size > Number.MAX_SAFE_INTEGER || !t.mm.table.isFree(addr, addr + len)) return -EINVAL;
  }
  if (addr + len > TASK_SIZE) return -ENOMEM;
  return t.mm.inBounds(addr, len) ? addr : -EINVAL;
}

function sysShmat(t: Task, a: SyscallArgs): SysResult {
  const id = a.int(0);
  const flags = a.int(2);
  if (id < 0) return -EINVAL;
  const wanted = wantedAddress(a.addr(1), flags);
  if (wanted < 0) return wanted;
  const s = tableOf(t).find(id);
  if (typeof s === 'number') return s;
  const readOnly = (flags & SHM_RDONLY) !== 0;
  const exec = (flags & SHM_EXEC) !== 0;
  if (!s.permits(t.creds, (readOnly ? 4 : 6) | (exec ? 1 : 0))) return -EACCES;
  const len = s.memory.size;
  const addr = attachAddress(t, wanted, s, flags);
  if (addr < 0) return addr;
  if (!t.mm.mayExpand(len, false, t.group.limits)) return -ENOMEM;
  const prot = PROT_READ | (readOnly ? 0 : PROT_WRITE) | (exec ? PROT_EXEC : 0);
  const may = readOnly ? mayFlags(true, true, true) & ~VM_MAYWRITE : mayFlags(true, true, true);
  s.memory.ref();
  mapVma(t.mm, t.ctx, new Vma(addr, addr + len, prot, may, s.memory, 0), t.memoryChange);
  s.atime = t.nowSec;
  s.lpid = t.tgid;
  return addr;
}

/** shmdt(2): unmaps what is left of the attachment that began at the address. */
function sysShmdt(t: Task, a: SyscallArgs): SysResult {
  const addr = a.addr(0);
  if (!isPageAligned(addr)) return -EINVAL;
  const { table } = t.mm;
  for (let i = table.indexAt(addr); i < table.size; i++) {
    const v = table.at(i)!;
    if (v.backing === null || v.start - v.offset !== addr) {
      if (v.start > addr + SHM_BYTES_MAX) break;
      continue;
    }
    const s = segmentOf(t, v);
    if (s === null) continue;
    s.lpid = t.tgid;
    s.dtime = t.nowSec;
    detach(t, addr, s);
    return 0;
  }
  return -EINVAL;
}

/** The segment of the caller's IPC namespace that `v` shows, or null. */
export function segmentOf(t: Task, v: Vma): ShmSegment | null {
  return v.backing === null ? null : (tableOf(t).byMemory.get(v.backing) ?? null);
}

function detach(t: Task, addr: number, s: ShmSegment): void {
  const parts: [number, number][] = [];
  t.mm.table.forEachIn(addr, addr + s.memory.size, (v) => {
    if (v.backing === s.memory && v.start - v.offset === addr) parts.push([v.start, v.length]);
  });
  for (const [start, len] of parts) munmap(t.mm, t.ctx, start, len);
}

function sysShmctl(t: Task, a: SyscallArgs): SysResult {
  const id = a.int(0);
  const cmd = a.int(1);
  const table = tableOf(t);
  if (id < 0 || cmd < 0) return -EINVAL;
  switch (cmd) {
    case IPC_RMID: {
      const s = table.owned(id, t.creds);
      if (typeof s === 'number') return s;
      if (s.attached === 0) {
        table.destroy(s);
        return 0;
      }
      s.mode |= SHM_DEST;
      table.hide(s);
      return 0;
    }
    case IPC_SET:
      return setIpc(t, table, id, a.addr(2), KIND);
    case IPC_STAT:
    case SHM_STAT:
    case SHM_STAT_ANY:
      return statIpc(t, table, id, a.addr(2), cmd, KIND);
    case IPC_INFO:
      return info(t, a.addr(2), table, false);
    case SHM_INFO:
      return info(t, a.addr(2), table, true);
    case SHM_LOCK:
    case SHM_UNLOCK:
      return lock(t, table.find(id), cmd === SHM_LOCK);
    default:
      return -EINVAL;
  }
}

function lock(t: Task, s: ShmSegment | number, on: boolean): SysResult {
  if (typeof s === 'number') return s;
  const owner = t.creds.euid === s.uid || t.creds.euid === s.cuid;
  if (!t.creds.has(CAP_IPC_LOCK) && (!owner || t.group.limits.memlock === 0)) return -EPERM;
  s.mode = on ? s.mode | SHM_LOCKED : s.mode & ~SHM_LOCKED;
  return 0;
}

function putU64(b: Buffer, at: number, v: number): void {
  b.writeUInt32LE(v % 0x100000000, at);
  b.writeUInt32LE(Math.floor(v / 0x100000000), at + 4);
}

/** struct shminfo (limits) or struct shm_info (use). */
function info(t: Task, addr: number, table: ShmTable, use: boolean): SysResult {
  const b = Buffer.alloc(use ? 48 : 72);
  if (use) {
    b.writeInt32LE(table.count, 0);
    putU64(b, 8, table.bytes / PAGE_SIZE);
    putU64(b, 16, table.bytes / PAGE_SIZE);
  } else {
    const { limits } = sysvTables(t.ns.ipc);
    putU64(b, 0, limits.shmmax);
    putU64(b, 8, 1);
    putU64(b, 16, limits.shmmni);
    putU64(b, 24, limits.shmmni);
    putU64(b, 32, limits.shmall);
  }
  return t.mem.copyOut(addr, b, 0, b.length) !== 0 ? -EFAULT : table.highest;
}

/** A line of /proc/sysvipc/shm (sysvipc_shm_proc_show). */
function procLine(s: ShmSegment): string {
  const n = (v: number, width: number): string => String(v).padStart(width);
  return (
    `${n(s.key, 10)} ${n(s.id, 10)}  ${s.mode.toString(8).padStart(4)} ${n(s.size, 21)} ` +
    `${n(s.cpid, 5)} ${n(s.lpid, 5)}  ${n(s.attached, 5)} ${n(s.uid, 5)} ${n(s.gid, 5)} ` +
    `${n(s.cuid, 5)} ${n(s.cgid, 5)} ${n(s.atime, 10)} ${n(s.dtime, 10)} ${n(s.ctime, 10)} ` +
    `${n(s.memory.size, 21)} ${n(0, 21)}\n`
  );
}
sysvipcTables.limits = (t): IpcLimits => sysvTables(t.ns.ipc).limits;
sysvipcTables.shm = (t): string => tableOf(t).all().map(procLine).join('');

export const shmRows: readonly SyscallRow[] = [
  { nr: 29, name: 'shmget', fn: sysShmget, args: [hex, size, octal], support: 'full' },
  { nr: 30, name: 'shmat', fn: sysShmat, args: [int, hex, octal], support: 'full' },
  {
    nr: 31,
    name: 'shmctl',
    fn: sysShmctl,
    args: [int, int, ptr],
    support: 'partial',
    note: 'locking has no effect',
  },
  { nr: 67, name: 'shmdt', fn: sysShmdt, args: [hex], support: 'full' },
];
