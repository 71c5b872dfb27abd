/** process_vm_readv(2), process_vm_writev(2) (mm/process_vm_access.c). */
import { EFAULT, EINVAL, EPERM, ESRCH } from '../sentry/abi/errno.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { mayAccess } from '../sentry/fsimpl/proc/access.ts';
import { pid, ptr, ulong, type SysResult, type SyscallRow } from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import type { MemoryManager } from '../sentry/mm/memory-manager.ts';
import { MAX_RW_COUNT, UIO_MAXIOV } from './iovec.ts';

interface Range {
  readonly addr: number;
  readonly len: number;
}

const bounce = Buffer.alloc(256 * 1024);

/** The iovec array at `addr` of the caller: ranges, or −errno. */
function readVector(t: Task, addr: number, count: number): Range[] | number {
  if (count > UIO_MAXIOV) return -EINVAL;
  const raw = Buffer.alloc(count * 16);
  if (t.mem.copyIn(addr, raw, 0, raw.length) !== 0) return -EFAULT;
  const ranges: Range[] = [];
  let left = MAX_RW_COUNT;
  for (let i = 0; i < count; i++) {
    const u64 = (at: number): number => raw.readUInt32LE(at + 4) * 0x100000000 + raw.readUInt32LE(at);
    const len = u64(i * 16 + 8);
    if (len >= 0x8000000000000000) return -EINVAL;
    ranges.push({ addr: u64(i * 16), len: Math.min(len, left) });
    left -= Math.min(len, left);
  }
  return ranges;
}

/** Moves bytes one piece at a time; stops at the first that cannot be moved. */
function transfer(from: MemoryManager, to: MemoryManager, src: Range[], dst: Range[]): number {
  let done = 0;
  let i = 0;
  let j = 0;
  let si = 0;
  let dj = 0;
  while (i < src.length && j < dst.length) {
    const s = src[i]!;
    const d = dst[j]!;
    const want = Math.min(s.len - si, d.len - dj, bounce.length);
    if (want > 0) {
      const n = move(from, to, s.addr + si, d.addr + dj, want);
      done += Math.max(n, 0);
      if (n < want) return done > 0 ? done : -EFAULT;
      si += n;
      dj += n;
    }
    if (si === s.len) {
      i++;
      si = 0;
    }
    if (dj === d.len) {
      j++;
      dj = 0;
    }
  }
  return done;
}

function move(from: MemoryManager, to: MemoryManager, src: number, dst: number, len: number): number {
  const readable = Math.min(from.accessible(src, len, false), to.accessible(dst, len, true));
  if (readable === 0) return -EFAULT;
  const got = from.space.read(src, bounce, 0, readable);
  return got <= 0 ? -EFAULT : to.space.write(dst, bounce, 0, got);
}

function processVm(t: Task, a: SyscallArgs, write: boolean): SysResult {
  if (a.size(5) !== 0) return -EINVAL;
  const local = readVector(t, a.addr(1), a.size(2));
  if (typeof local === 'number') return local;
  const remote = readVector(t, a.addr(3), a.size(4));
  if (typeof remote === 'number') return remote;
  if (local.every((r) => r.len === 0) || remote.every((r) => r.len === 0)) return 0;
  const other = t.pidNs.findTask(a.int(0));
  if (other === null || other.dead) return -ESRCH;
  if (mayAccess(t, other) !== 0) return -EPERM;
  return write ? transfer(t.mm, other.mm, local, remote) : transfer(other.mm, t.mm, remote, local);
}

function sysProcessVmReadv(t: Task, a: SyscallArgs): SysResult {
  return processVm(t, a, false);
}

function sysProcessVmWritev(t: Task, a: SyscallArgs): SysResult {
  return processVm(t, a, true);
}

const args = [pid, ptr, ulong, ptr, ulong, ulong];

export const processVmRows: readonly SyscallRow[] = [
  { nr: 310, name: 'process_vm_readv', fn: sysProcessVmReadv, args, support: 'full' },
  { nr: 311, name: 'process_vm_writev', fn: sysProcessVmWritev, args, support: 'full' },
];
