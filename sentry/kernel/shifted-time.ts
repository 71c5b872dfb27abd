/** What a time namespace with offsets means for an address space (timens_commit()). */
import { MAP_PRIVATE, PROT_EXEC, PROT_READ } from '../abi/mman.ts';
import { callingVdso } from '../mm/calling-vdso.ts';
import type { MemoryManager } from '../mm/memory-manager.ts';
import type { Orders } from '../platform/platform.ts';
import type { Kernel } from './kernel.ts';
import { takeFutexes } from './own-futexes.ts';
import type { TimeNamespace } from './time-namespace.ts';

/**
 * The programs of `mm` are in `ns` from now on. What reads the host's clocks without the kernel shows the sandbox's time: where
 * that is not theirs, clock_gettime() of the vDSO makes the system call, and the kernel sees all waits. It stays so
 * when they go back.
 */
export function followTime(kernel: Kernel, o: Orders, mm: MemoryManager, ns: TimeNamespace): void {
  if (!ns.shifted) return;
  takeFutexes(mm);
  const { vdsoStart, vdsoEnd } = kernel.platform;
  if (mm.vdsoCalls || mm.table.find(vdsoStart)?.name !== '[vdso]') return;
  const fd = callingVdso(vdsoEnd - vdsoStart);
  if (fd < 0) return;
  o.mmap(vdsoStart, vdsoEnd - vdsoStart, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
  mm.vdsoCalls = true;
}
