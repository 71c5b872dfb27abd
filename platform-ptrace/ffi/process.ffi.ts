/** Host processes that carry guest address spaces: their memory, signals, death, and the sentry's sleep. */
import { atStart } from '../../sentry/host/at-start.ts';
import { nativeFunction } from '../../sentry/host/koffi.ffi.ts';

/** Memfd of `size` bytes, sealed against resizing, its first `len` bytes mapped over host address `addr`. fd or −errno. */
export let areaCreate: (addr: number, len: number, size: number) => number;

type VmCopy = (pid: number, addr: number, buf: Uint8Array, off: number, len: number) => number;
/** process_vm_readv/writev(2) of one range; `off` and `len` must lie in `buf`. Bytes or −errno. */
export let vmRead: VmCopy;
export let vmWrite: VmCopy;

/**
 * Which of `pages` pages from `addr` on process `pid` has in its page tables, into `out[off..)`: PAGE_* of platform.ts. 0 or −errno.
 */
export let residentPages: (pid: number, addr: number, pages: number, out: Uint8Array, off: number) => number;

/** pidfd of child `pid`, whose death `epfd` will report with `data`; or −errno. */
export let watchProcess: (epfd: number, pid: number, data: number) => number;

export let killProcess: (pidfd: number) => number;

/** Reaps a dead child: its pid, and its wait status as an int at host address `status`; 0 if there is none. */
export let reap: (status: number) => number;

/** CPU this thread runs on. */
export let currentCpu: () => number;

export const WAIT_LISTENER = 1;
export const WAIT_DEATHS = 2;
export const WAIT_WAKE = 4;
export const WAIT_COUNT_SHIFT = 3;
export const WAIT_COUNT_MASK = 0x3f;
export const WAIT_CPU_SHIFT = 16;
/**
 * Sleeps until a descriptor is readable and receives up to 32 notifications to host address `out`: WAIT_ bits, number
 * received, CPU. `timeoutNs` < 0: no limit.
 */
export let waitForEvents: (
  listener: number,
  deaths: number,
  wakeFd: number,
  timeoutNs: number,
  out: number,
) => number;

atStart(() => {
  areaCreate = nativeFunction('shim_area_create', 'int', ['int64', 'int64', 'int64']);
  vmRead = nativeFunction('shim_vm_read', 'int64', ['int', 'int64', 'void *', 'int64', 'int64']);
  vmWrite = nativeFunction('shim_vm_write', 'int64', ['int', 'int64', 'void *', 'int64', 'int64']);
  residentPages = nativeFunction('shim_resident', 'int', ['int', 'int64', 'int64', 'void *', 'int64']);
  watchProcess = nativeFunction('shim_watch_process', 'int', ['int', 'int', 'uint32']);
  killProcess = nativeFunction('shim_kill_process', 'int', ['int']);
  reap = nativeFunction('shim_reap', 'int', ['int64']);
  currentCpu = nativeFunction('shim_cpu', 'int', []);
  waitForEvents = nativeFunction('shim_wait', 'int', ['int', 'int', 'int', 'double', 'int64']);
});
