/**
 * MemoryManager: the address space as the guest sees it (include/linux/mm_types.h struct mm_struct). Owns the VMA table,
 * keeps the accounts that limits look at; unmapped-area.ts chooses addresses. Changes are decided here and queued as orders on the
 * calling task's context; the host executes them when the task resumes.
 *
 * The whole stack below [stack] is mapped on the host ahead of the guest's need, so that growth costs no order. The table
 * does not show it until the guest owns it.
 */
import { EFAULT, ENOMEM } from '../abi/errno.ts';
import { PROT_EXEC, PROT_WRITE } from '../abi/mman.ts';
import { PAGE_SIZE, pageDown, pageUp } from '../lib/addr.ts';
import type { AddressSpace, Orders } from '../platform/platform.ts';
import type { AccessMap } from '../usermem/user-memory.ts';
import type { FileDescription } from '../vfs/file-description.ts';
import { GuardRanges } from './guards.ts';
import { EMPTY_LAYOUT, type ImageLayout } from './image-layout.ts';
import { beforeDenied, ProtectionKeys } from './pkeys.ts';
import type { LastCount } from './residency.ts';
import { WINDOW_SIZE, WINDOW_START, type CopyWindow } from './small-copies.ts';
import { FreeRanges } from './free-ranges.ts';
import { VmaTable } from './vma-table.ts';
import { VM_DONTCOPY, VM_GROWSDOWN, VM_LOCKED, VM_LOCKED_MASK, PR_MDWE_NO_INHERIT, type Vma } from './vma.ts';

let mapCountMax = 65530;
/** vm.max_map_count */
export function maxMapCount(): number {
  return mapCountMax;
}

export function setMaxMapCount(count: number): void {
  mapCountMax = count;
}

/** The same for the whole sandbox: about 150 MiB of the kernel's heap. */
const MAX_TOTAL_MAP_COUNT = 1_000_000;

/** The limits that memory calls look at; ResourceLimits of the calling process provides them. */
export interface MemoryLimits {
  /** RLIMIT_AS, RLIMIT_DATA, RLIMIT_STACK, RLIMIT_MEMLOCK soft, in bytes. */
  readonly addressSpace: number;
  readonly data: number;
  /** RLIMIT_DATA for mappings: may_expand_vm() takes a soft limit of 0 ("Workaround for Valgrind") for the hard one. */
  readonly mappedData: number;
  readonly stack: number;
  readonly memlock: number;
}

/** What an order that may fail on the host has changed, so that it can be taken back. */
export interface PendingChange {
  /** 'exec': the image itself, without which there is nothing to go back to. */
  kind: 'none' | 'map' | 'brk' | 'lock' | 'exec';
  start: number;
  /** Length of a mapping, or the old break. */
  value: number;
}

const probe = new Uint8Array(1);

/** Where what `v` shows ends, at least for an access that ends at `upTo`: pages past the end of a file are SIGBUS. */
function fileEnd(v: Vma, upTo: number): number {
  const inode = v.backing?.file?.inode ?? null;
  if (inode === null || !inode.isRegular) return v.end;
  if (v.offset + (Math.min(upTo, v.end) - v.start) <= inode.size) return v.end;
  inode.refresh();
  return Math.min(v.end, v.start + pageUp(inode.size) - v.offset);
}

export class MemoryManager implements AccessMap {
  readonly table = new VmaTable();
  readonly free: FreeRanges;
  /** The host side. Memory is addressed through it, never through a task (its leader may be gone). */
  space: AddressSpace;
  /** Bounds of guest mappings, and where top-down searches begin. */
  readonly minAddr: number;
  readonly maxAddr: number;
  mmapBase: number;
  layout: ImageLayout = EMPTY_LAYOUT;
  /** Current break (byte-exact). */
  brk = 0;
  /** Start of the host's mapping of the stack: at or below [stack]. 0: none. */
  stackReserve = 0;
  /** /proc/PID/exe */
  exeFile: FileDescription | null = null;
  /** PR_SET_DUMPABLE */
  dumpable = 1;
  /** PR_SET_THP_DISABLE with its flags, PR_SET_MEMORY_MERGE and PR_SET_MDWE: kept over fork and exec. */
  thpDisabled = 0;
  mergesAll = false;
  mdwe = 0;
  /** MEMBARRIER_CMD_REGISTER_* that were called. */
  membarriers = 0;
  readonly guards = new GuardRanges();
  /** A program without interpreter: texts that it maps may be for it to read, not to run (valgrind). */
  loadsItself = false;
  readonly keys = new ProtectionKeys();
  /** Some mapping may have a key other than 0, or some thread denies itself key 0: what threads may touch goes by their PKRU. */
  keyed = false;
  /** Some mapping may be sealed. */
  hasSeals = false;
  /** Who carries out futex calls on private words (kernel/own-futexes.ts). */
  futexes: 'undecided' | 'own' | 'kernel' = 'undecided';
  /** Its vDSO makes system calls (mm/calling-vdso.ts). */
  vdsoCalls = false;
  /** Private mappings of small files that show copies (small-copies.ts): where they come from, and whether there are any. */
  copies: CopyWindow | null = null;
  hasCopies = false;
  /** Such mappings made before copies were worth it. */
  smallMaps = 0;
  /** Some show no longer what the file is: to be replaced before guest code goes on. */
  lostCopies = false;
  /** mlockall(MCL_FUTURE): what new mappings get of VM_LOCKED and VM_LOCKONFAULT. */
  lockFuture = 0;

  // Accounts in bytes: total_vm, data_vm, stack_vm, locked_vm, exec_vm, shared mappings.
  totalBytes = 0;
  dataBytes = 0;
  stackBytes = 0;
  lockedBytes = 0;
  execBytes = 0;
  sharedBytes = 0;
  /** VmPeak */
  peakBytes = 0;
  /** A costly count of what was in memory, and until when it will do (residency.ts). Calls that take pages out or in forget it. */
  resident: LastCount | null = null;
  /** VmHWM as far as it has been seen. */
  peakResident = 0;
  /** The last page fault that went to the table, and how often it has come again. */
  readonly lastFault = { addr: -1, repeats: 0 };

  private users = 1;

  constructor(space: AddressSpace, minAddr: number, maxAddr: number, mmapBase: number) {
    this.space = space;
    this.minAddr = minAddr;
    this.free = new FreeRanges(this.table, minAddr);
    this.maxAddr = maxAddr;
    this.mmapBase = mmapBase;
  }

  // Life.

  /** A further task shares this address space (CLONE_VM). */
  ref(): this {
    this.space.forgetAnswers();
    this.users++;
    return this;
  }

  /** Called when the last task has left. */
  readonly releaseHooks: (() => void)[] = [];

  get userCount(): number {
    return this.users;
  }

  /** A task leaves; the last one releases files and shared memory. The host side is the platform's. */
  unref(): void {
    if (--this.users > 0) return;
    for (const hook of this.releaseHooks) hook();
    for (const v of this.table.clear()) v.backing?.unref();
    this.setExeFile(null);
    this.endCopies();
  }

  /** /proc/PID/exe: a running program's file cannot be written (ETXTBSY). Takes a reference of its own. */
  setExeFile(file: FileDescription | null): void {
    if (file !== null) {
      file.ref();
      file.inode.writeCount--;
    }
    const old = this.exeFile;
    this.exeFile = file;
    if (old !== null) {
      old.inode.writeCount++;
      old.unref();
    }
  }

  /** mmf_init_flags() */
  inheritFrom(old: MemoryManager): void {
    this.thpDisabled = old.thpDisabled;
    this.mergesAll = old.mergesAll;
    this.mdwe = (old.mdwe & PR_MDWE_NO_INHERIT) !== 0 ? 0 : old.mdwe;
  }

  /** dup_mmap(): the table for a forked address space, whose host side `space` is a copy of ours. */
  fork(space: AddressSpace): MemoryManager {
    const mm = new MemoryManager(space, this.minAddr, this.maxAddr, this.mmapBase);
    mm.layout = { ...this.layout };
    mm.brk = this.brk;
    mm.stackReserve = this.stackReserve;
    mm.setExeFile(this.exeFile);
    mm.dumpable = this.dumpable;
    mm.membarriers = this.membarriers;
    mm.inheritFrom(this);
    // Both sides see what is in the pool: nothing new may come there.
    this.endCopies();
    mm.hasCopies = this.hasCopies;
    mm.lostCopies = this.lostCopies;
    mm.hasSeals = this.hasSeals;
    mm.guards.copyFrom(this.guards);
    mm.loadsItself = this.loadsItself;
    mm.keys.copyFrom(this.keys);
    if (this.keyed) mm.useKeys();
    mm.vdsoCalls = this.vdsoCalls;
    for (let i = 0; i < this.table.size; i++) {
      const v = this.table.at(i)!;
      if ((v.flags & VM_DONTCOPY) !== 0) continue;
      const copy = v.slice(v.start, v.end);
      // "Memory locks are not inherited by a child created via fork(2)" - mlock(2)
      copy.flags &= ~VM_LOCKED_MASK;
      mm.addVma(copy);
    }
    return mm;
  }

  // Access.

  /** Bytes from `addr` on, at most `len`, that the guest itself could read (or write). */
  accessible(addr: number, len: number, write: boolean): number {
    const end = addr + len;
    let at = addr;
    while (at < end) {
      const v = this.table.find(at) ?? this.growStack(at);
      // On x86 everything with any protection bit is readable (arch/x86/mm/fault.c access_error).
      if (v === null || (write ? (v.prot & PROT_WRITE) === 0 : v.prot === 0)) break;
      at = v.backing === null ? v.end : fileEnd(v, end);
      if (at < v.end) break;
    }
    const n = Math.max(0, Math.min(at, end) - addr);
    return this.guards.any ? this.beforeGuard(addr, n) : n;
  }

  /** Of the `n` accessible bytes from `addr` on those that a thread with `pkru` may use before the first that it may not. */
  permitted(addr: number, n: number, write: boolean, pkru: number): number {
    return beforeDenied(this.table, addr, n, write, pkru);
  }

  useKeys(): void {
    if (this.keyed) return;
    this.keyed = true;
    this.space.useKeys(true);
  }

  /** Of the `n` bytes from `addr` on those before the first guard. */
  private beforeGuard(addr: number, n: number): number {
    for (const r of this.guards.within(addr, addr + n)) {
      for (let at = r.start; at < r.end; at = pageDown(at) + PAGE_SIZE) {
        if (this.space.read(at, probe, 0, 1) !== 1) return at - addr;
      }
    }
    return n;
  }

  /** The stack VMA grown down to `addr`, if that is in the part the host has mapped for it; else null. */
  growStack(addr: number): Vma | null {
    if (this.stackReserve === 0 || addr < this.stackReserve) return null;
    const v = this.table.at(this.table.indexAt(addr));
    if (v === undefined || (v.flags & VM_GROWSDOWN) === 0) return null;
    this.extendDown(v, pageDown(addr));
    return v;
  }

  /** A growing VMA begins at `start` from now on. */
  extendDown(v: Vma, start: number): void {
    this.account(v, -1);
    v.start = start;
    this.account(v, 1);
  }

  // Table changes. The callers check limits and queue the orders.

  /** Adds a VMA over free space. */
  addVma(v: Vma): Vma {
    this.account(v, 1);
    return this.table.insert(v);
  }

  /** Forgets what is mapped in [start, end); the host's part is the caller's. */
  removeVmas(start: number, end: number): void {
    this.resident = null;
    this.guards.remove(start, end);
    for (const v of this.table.remove(start, end)) {
      this.account(v, -1);
      v.backing?.unref();
    }
  }

  /** Takes VMAs out with their references, to be put back elsewhere (mremap). */
  takeVmas(start: number, end: number): Vma[] {
    const taken = this.table.remove(start, end);
    for (const v of taken) this.account(v, -1);
    return taken;
  }

  /** Changes every VMA in [start, end). */
  changeVmas(start: number, end: number, change: (v: Vma) => void): void {
    this.table.modify(start, end, (v) => {
      this.account(v, -1);
      change(v);
      this.account(v, 1);
    });
  }

  private account(v: Vma, sign: 1 | -1): void {
    const bytes = sign * v.length;
    this.totalBytes += bytes;
    if (v.isData) this.dataBytes += bytes;
    if ((v.flags & VM_GROWSDOWN) !== 0) this.stackBytes += bytes;
    if ((v.flags & VM_LOCKED) !== 0) this.lockedBytes += bytes;
    if (v.shared) this.sharedBytes += bytes;
    if ((v.prot & PROT_EXEC) !== 0 && (v.prot & PROT_WRITE) === 0) this.execBytes += bytes;
    if (this.totalBytes > this.peakBytes) this.peakBytes = this.totalBytes;
  }

  /** Nothing more comes into the pool of copies; its window may stay on the host, unseen. */
  endCopies(): void {
    this.copies?.end();
    this.copies = null;
  }

  // Reserves.

  /**
   * [start, end) gets another meaning: gives up what a reserve has there and what that cuts off from its owner. To be
   * called before the order that maps or unmaps the range.
   */
  cutReserves(o: Orders, start: number, end: number): void {
    if (this.copies !== null && start < WINDOW_START + WINDOW_SIZE && end > WINDOW_START) this.endCopies();
    if (this.stackReserve === 0 || end <= this.stackReserve) return;
    const stack = this.table.at(this.table.indexAt(this.stackReserve));
    const edge = stack === undefined ? this.stackReserve : stack.start;
    if (start > edge) return;
    // A change below the stack moves the reserve's start; one at the stack's edge ends it.
    const keep = Math.min(end, edge);
    if (keep > this.stackReserve) o.munmap(this.stackReserve, keep - this.stackReserve);
    this.stackReserve = end <= edge ? keep : 0;
  }

  // Addresses.

  /** True if [addr, addr+len) lies where guest mappings may be. */
  inBounds(addr: number, len: number): boolean {
    return addr >= this.minAddr && len <= this.maxAddr && addr + len <= this.maxAddr;
  }

  /** [start, end) is being unmapped by an order on `o`. A single thread's own orders keep their order. */
  unmapping(o: Orders, start: number, end: number): void {
    if (this.users > 1) this.free.unmapping(o, start, end);
  }

  // Limits (may_expand_vm).

  /** Whether `count` further VMAs may be made. */
  mayAddVmas(count: number): boolean {
    return this.table.size + count <= mapCountMax && VmaTable.live + count <= MAX_TOTAL_MAP_COUNT;
  }

  /** Whether a copy of the table may be made (fork). */
  get mayFork(): boolean {
    return VmaTable.live + this.table.size <= MAX_TOTAL_MAP_COUNT;
  }

  /** Whether `bytes` more may be mapped; `data`: private writable memory. */
  mayExpand(bytes: number, data: boolean, limits: MemoryLimits): boolean {
    if (this.totalBytes + bytes > limits.addressSpace) return false;
    return !data || this.dataBytes + bytes <= limits.mappedData;
  }

  // Failure on the host.

  /** Takes back what an order that failed with `errno` had announced. Returns the syscall's result. */
  rollback(change: PendingChange, errno: number): number {
    const { kind } = change;
    if (change.kind === 'map') {
      this.removeVmas(change.start, change.start + change.value);
      this.endCopies();
    }
    if (change.kind === 'brk') {
      this.removeVmas(pageUp(change.value), pageUp(this.brk));
      this.brk = change.value;
    }
    change.kind = 'none';
    // brk(2) has no errors: it answers with the break as it is.
    if (kind === 'brk') return this.brk;
    // __mlock_posix_error_return()
    return kind === 'lock' && errno === EFAULT ? -ENOMEM : -errno;
  }
}
