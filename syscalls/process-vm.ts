/** process_vm_readv(2), process_vm_writev(2) (mm/process_vm_access.c). */
import { EFAULT, EINVAL, EPERM, ESRCH } from '../sentry/abi/errno.ts';
import { PROT_READ } from '../sentry/abi/mman.ts';
import type { SyscallArgs } from '../sentry/arch/syscall-args.ts';
import { mayTrace } from '../sentry/fsimpl/proc/access.ts';
import { pid, ptr, ulong, type SysResult, type SyscallRow } from '../sentry/kernel/syscall-table.ts';
import type { Task } from '../sentry/kernel/task.ts';
import type { MemoryManager } from '../sentry/mm/memory-manager.ts';
import { RUN_BUDGET } from './io.ts';
import { importIovec, iovRanges, MAX_RW_COUNT, UIO_MAXIOV } from './iovec.ts';

interface Range {
  readonly addr: number;
  readonly len: number;
}

const bounce = Buffer.alloc(256 * 1024);

/** The iovec array at `addr` of the caller: ranges, or −errno. */
function readVector(t: Task, addr: number, count: number): Range[] | number {
  if (count > UIO_MAXIOV) return -EINVAL;
  const raw = Buffer.alloc(count * 16);
  // A negative length before the end of the memory counts first.
  const got = t.mem.copyInPartial(addr, raw, 0, raw.length);
  const ranges: Range[] = [];
  let left = MAX_RW_COUNT;
  for (let i = 0; i < count; i++) {
    if ((i + 1) * 16 > got) return -EFAULT;
    const u64 = (at: number): number => raw.readUInt32LE(at + 4) * 0x100000000 + raw.readUInt32LE(at);
    const len = u64(i * 16 + 8);
    if (len >= 0x8000000000000000) return -EINVAL;
    ranges.push({ addr: u64(i * 16), len: Math.min(len, left) });
    left -= Math.min(len, left);
  }
  return ranges;
}

/** A transfer in progress: where it is in both vectors. */
class Transfer {
  done = 0;
  private readonly from: MemoryManager;
  private readonly to: MemoryManager;
  private readonly readsRemote: boolean;
  private readonly src: Range[];
  private readonly dst: Range[];
  private i = 0;
  private j = 0;
  private si = 0;
  private dj = 0;

  constructor(from: MemoryManager, to: MemoryManager, readsRemote: boolean, src: Range[], dst: Range[]) {
    this.from = from;
    this.to = to;
    this.readsRemote = readsRemote;
    this.src = src;
    this.dst = dst;
  }

  /** Moves bytes one piece at a time up to the first that cannot be moved. A large transfer takes several turns. */
  run(t: Task): SysResult {
    const budget = this.done + RUN_BUDGET;
    while (this.i < this.src.length && this.j < this.dst.length) {
      const s = this.src[this.i]!;
      const d = this.dst[this.j]!;
      const want = Math.min(s.len - this.si, d.len - this.dj, bounce.length);
      if (want > 0) {
        if (this.done >= budget) return t.yieldCall(this, this.done);
        const src = s.addr + this.si;
        const wanted = this.readsRemote ? readableByOthers(this.from, src, want) : want;
        const n = move(this.from, this.to, src, d.addr + this.dj, wanted);
        this.done += Math.max(n, 0);
        if (n < want) return this.done > 0 ? this.done : -EFAULT;
        this.si += n;
        this.dj += n;
      }
      if (this.si === s.len) {
        this.i++;
        this.si = 0;
      }
      if (this.dj === d.len) {
        this.j++;
        this.dj = 0;
      }
    }
    return this.done;
  }
}

/** Unlike the processor, get_user_pages() wants PROT_READ (check_vma_flags()). What is not there `move` notices. */
function readableByOthers(mm: MemoryManager, addr: number, len: number): number {
  let n = len;
  mm.table.forEachIn(addr, addr + len, (v) => {
    if ((v.prot & PROT_READ) === 0) n = Math.min(n, Math.max(v.start - addr, 0));
  });
  return n;
}

function move(from: MemoryManager, to: MemoryManager, src: number, dst: number, len: number): number {
  const readable = Math.min(from.accessible(src, len, false), to.accessible(dst, len, true));
  if (readable === 0) return -EFAULT;
  const got = from.space.read(src, bounce, 0, readable);
  return got <= 0 ? -EFAULT : to.space.write(dst, bounce, 0, got);
}

function processVm(t: Task, a: SyscallArgs, write: boolean): SysResult {
  if (t.blockState !== null) return (t.blockState as Transfer).run(t);
  if (a.size(5) !== 0) return -EINVAL;
  const bad = importIovec(t, a.addr(1), a.uint(2));
  if (bad < 0) return bad;
  const local = iovRanges();
  if (local.every((r) => r.len === 0)) return 0;
  const remote = readVector(t, a.addr(3), a.size(4));
  if (typeof remote === 'number') return remote;
  if (remote.every((r) => r.len === 0)) return 0;
  const other = t.pidNs.findTask(a.int(0));
  if (other === null || other.dead) return -ESRCH;
  if (!mayTrace(t, other)) return -EPERM;
  const transfer = write
    ? new Transfer(t.mm, other.mm, false, local, remote)
    : new Transfer(other.mm, t.mm, true, remote, local);
  return transfer.run(t);
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
